#include "base/datum.h"

#include "base/err.h"
#include <sodium.h>
#include <string.h>

struct datum datum_inline(struct bytes bytes)
{
    return (struct datum){.inline_bytes = bytes};
}

bool datum_absent(const struct datum *self)
{
    return !self->is_blob && self->inline_bytes.size == 0;
}

bool datum_equal(const struct datum *a, const struct datum *b)
{
    if (a->is_blob != b->is_blob)
        return false;
    if (!a->is_blob)
        return bytes_equal(a->inline_bytes, b->inline_bytes);
    return a->size_bytes == b->size_bytes && memcmp(a->hash, b->hash, sizeof a->hash) == 0;
}

uint64_t datum_size(const struct datum *self)
{
    return self->is_blob ? self->size_bytes : self->inline_bytes.size;
}

void datum_hash(struct bytes bytes, uint8_t ret_hash[DATUM_HASH_BYTES])
{
    int failed = crypto_generichash(ret_hash, DATUM_HASH_BYTES, bytes.data, bytes.size, NULL, 0);
    CHECK(!failed);
}

struct datum datum_copy(struct arena *arena, const struct datum *self)
{
    struct datum copy = *self;
    copy.inline_bytes = arena_copy(arena, self->inline_bytes);
    return copy;
}

void datum_hash_hex(const uint8_t hash[DATUM_HASH_BYTES], char ret_text[2 * DATUM_HASH_BYTES + 1])
{
    sodium_bin2hex(ret_text, 2 * DATUM_HASH_BYTES + 1, hash, DATUM_HASH_BYTES);
}
