/* A value at rest: MessagePack inline, or a blob named by its content hash when it is larger than
 * LIMIT_INLINE_BYTES. Plain data; memory belongs to whoever made it. */
#ifndef AF_BASE_DATUM_H
#define AF_BASE_DATUM_H

#include "base/buf.h"

#define DATUM_HASH_BYTES 32

struct datum {
    bool is_blob;
    struct bytes inline_bytes;      /* MessagePack; empty when is_blob. Empty and not a blob: absent */
    uint8_t hash[DATUM_HASH_BYTES]; /* BLAKE2b-256 of the MessagePack, when is_blob */
    uint64_t size_bytes;            /* of the MessagePack, when is_blob */
};

struct datum datum_inline(struct bytes bytes);
bool datum_absent(const struct datum *self);
bool datum_equal(const struct datum *a, const struct datum *b);
uint64_t datum_size(const struct datum *self);
void datum_hash(struct bytes bytes, uint8_t ret_hash[DATUM_HASH_BYTES]);
struct datum datum_copy(struct arena *arena, const struct datum *self);
void datum_hash_hex(const uint8_t hash[DATUM_HASH_BYTES], char ret_text[2 * DATUM_HASH_BYTES + 1]);

#endif
