#include "agentd/transfer.h"

#include "base/limits.h"
#include <string.h>

int transfer_get(struct transfer *self, const struct datum *datum, struct buf *bytes,
                 struct err *err)
{
    if (datum->size_bytes > LIMIT_VALUE_BYTES)
        return err_set(err, ERR_TOO_LARGE, "the message has %llu bytes; the most is %u",
                       (unsigned long long)datum->size_bytes, LIMIT_VALUE_BYTES);
    *self =
        (struct transfer){.kind = TRANSFER_GET, .size_bytes = datum->size_bytes, .bytes = bytes};
    memcpy(self->hash, datum->hash, sizeof self->hash);
    buf_clear(bytes);
    return 0;
}

void transfer_put(struct transfer *self, struct buf *bytes)
{
    *self = (struct transfer){.kind = TRANSFER_PUT, .size_bytes = bytes->size, .bytes = bytes};
    datum_hash(buf_bytes(bytes), self->hash);
}

struct datum transfer_datum(const struct transfer *self)
{
    struct datum datum = {.is_blob = true, .size_bytes = self->size_bytes};
    memcpy(datum.hash, self->hash, sizeof datum.hash);
    return datum;
}

static void get_message(const struct transfer *self, struct wire_body *ret_body)
{
    *ret_body = (struct wire_body){.kind = WIRE_BLOB_GET, .blob_get = {.offset = self->offset}};
    memcpy(ret_body->blob_get.hash, self->hash, sizeof self->hash);
}

static void put_message(const struct transfer *self, struct wire_body *ret_body,
                        struct bytes *ret_payload)
{
    size_t left = self->bytes->size - (size_t)self->offset;
    size_t size = left < LIMIT_BLOB_CHUNK_BYTES ? left : LIMIT_BLOB_CHUNK_BYTES;
    *ret_payload = bytes_of(self->bytes->data + self->offset, size);
    *ret_body =
        (struct wire_body){.kind = WIRE_BLOB_PUT,
                           .blob_put = {.offset = self->offset, .size_bytes = self->size_bytes}};
    memcpy(ret_body->blob_put.hash, self->hash, sizeof self->hash);
}

void transfer_message(struct transfer *self, uint64_t *correlation, int64_t now_us,
                      struct wire_body *ret_body, struct bytes *ret_payload)
{
    if (!self->correlation) {
        self->correlation = (*correlation)++;
        self->pause_us = LIMIT_RESEND_FIRST_US;
    } else {
        self->pause_us *= 2;
    }
    if (self->pause_us > LIMIT_RESEND_MAX_US)
        self->pause_us = LIMIT_RESEND_MAX_US;
    self->again_us = now_us + self->pause_us;
    *ret_payload = bytes_of(NULL, 0);
    if (self->kind == TRANSFER_GET)
        get_message(self, ret_body);
    else
        put_message(self, ret_body, ret_payload);
}

static enum transfer_result fail(struct err *err, const char *verb, const char *error)
{
    (void)err_set(err, err_from_name(error), "the coordinator can't %s the value: %s", verb,
                  err_text(err_from_name(error)));
    return TRANSFER_FAILED;
}

static enum transfer_result got_all(const struct transfer *self, struct err *err)
{
    uint8_t hash[DATUM_HASH_BYTES];
    datum_hash(buf_bytes(self->bytes), hash);
    if (memcmp(hash, self->hash, sizeof hash) == 0)
        return TRANSFER_DONE;
    (void)err_set(err, ERR_CORRUPT, "the value that arrived has another hash than its name");
    return TRANSFER_FAILED;
}

static enum transfer_result receive_chunk(struct transfer *self,
                                          const struct wire_blob_chunk *chunk, struct bytes payload,
                                          struct err *err)
{
    if (memcmp(chunk->hash, self->hash, sizeof self->hash) != 0)
        return TRANSFER_OTHER;
    if (chunk->error[0])
        return fail(err, "give", chunk->error);
    if (chunk->offset != self->offset)
        return TRANSFER_OTHER;
    if (chunk->size_bytes != self->size_bytes || !payload.size ||
        payload.size > self->size_bytes - self->offset) {
        (void)err_set(err, ERR_MALFORMED, "a chunk of the value does not fit its size");
        return TRANSFER_FAILED;
    }
    if (!self->offset)
        buf_reserve(self->bytes, (size_t)self->size_bytes);
    buf_append_bytes(self->bytes, payload);
    self->offset += payload.size;
    self->correlation = 0;
    return self->offset < self->size_bytes ? TRANSFER_MORE : got_all(self, err);
}

/* What goes by: the chunk is sent again after its pause. */
static bool is_passing(const char *error)
{
    int code = err_from_name(error);
    return error[0] && (code == ERR_BUSY || code == ERR_FULL || code == ERR_AGAIN);
}

static enum transfer_result receive_stored(struct transfer *self,
                                           const struct wire_blob_stored *stored, struct err *err)
{
    if (memcmp(stored->hash, self->hash, sizeof self->hash) != 0)
        return TRANSFER_OTHER;
    if (is_passing(stored->error))
        return TRANSFER_OTHER;
    if (stored->error[0]) {
        if (!stored->what[0])
            return fail(err, "store", stored->error);
        (void)err_set(err, err_from_name(stored->error), "%s", stored->what);
        return TRANSFER_FAILED;
    }
    if (stored->complete)
        return TRANSFER_DONE;
    if (stored->offset >= self->size_bytes)
        return TRANSFER_OTHER;
    self->offset = stored->offset;
    self->correlation = 0;
    return TRANSFER_MORE;
}

enum transfer_result transfer_receive(struct transfer *self, uint64_t correlation,
                                      const struct wire_body *body, struct bytes payload,
                                      struct err *err)
{
    if (!self->correlation || correlation != self->correlation)
        return TRANSFER_OTHER;
    if (self->kind == TRANSFER_GET && body->kind == WIRE_BLOB_CHUNK)
        return receive_chunk(self, &body->blob_chunk, payload, err);
    if (self->kind == TRANSFER_PUT && body->kind == WIRE_BLOB_STORED)
        return receive_stored(self, &body->blob_stored, err);
    return TRANSFER_OTHER;
}
