#include "coordinator/blobs.h"

#include "base/log.h"
#include "base/map.h"
#include "base/value.h"
#include "coordinator/pipeline.h"
#include "coordinator/record.h"
#include "coordinator/tables.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* An upload that has not moved for so long makes room for others when there is none. */
#define ARRIVING_STALE_US (30 * LIMIT_SECOND_US)

/* Written in a batch that is not committed yet. */
struct fresh {
    uint8_t hash[DATUM_HASH_BYTES];
    struct buf bytes;
    unsigned writers; /* batches that hold it */
};

/* Chunks of one BlobPut, in order. */
struct arriving {
    uint64_t size_bytes;
    struct buf bytes;
    int64_t moved_us;
    crypto_generichash_state hash;
};

struct blobs {
    map_t *fresh;    /* hash -> struct fresh */
    map_t *arriving; /* sender and hash -> struct arriving */
    uint64_t arriving_bytes;
    struct buf key, record;
    struct buf *reads; /* blobs put together for the engine's present call */
    size_t reads_count;
};

struct blobs *blobs_new(void)
{
    struct blobs *self = xcalloc(1, sizeof *self);
    self->fresh = map_new();
    self->arriving = map_new();
    return self;
}

static void fresh_destroy(struct fresh *fresh)
{
    buf_release(&fresh->bytes);
    free(fresh);
}

static void arriving_destroy(struct arriving *arriving)
{
    buf_release(&arriving->bytes);
    free(arriving);
}

static void end_reads(struct blobs *self)
{
    for (size_t i = 0; i < self->reads_count; i++)
        buf_release(&self->reads[i]);
    free(self->reads);
    self->reads = NULL;
    self->reads_count = 0;
}

void blobs_destroy(struct blobs **self_p)
{
    struct blobs *self = *self_p;
    void *item;
    if (self == NULL)
        return;
    for (size_t position = 0; (item = map_next(self->fresh, &position, NULL)) != NULL;)
        fresh_destroy(item);
    for (size_t position = 0; (item = map_next(self->arriving, &position, NULL)) != NULL;)
        arriving_destroy(item);
    map_destroy(&self->fresh);
    map_destroy(&self->arriving);
    end_reads(self);
    buf_release(&self->key);
    buf_release(&self->record);
    free(self);
    *self_p = NULL;
}

/* --- reading ---------------------------------------------------------------------------------- */

static struct fresh *find_fresh(const struct blobs *self, const uint8_t hash[DATUM_HASH_BYTES])
{
    return map_get(self->fresh, hash, DATUM_HASH_BYTES);
}

static int read_head(store_snapshot_t *snapshot, const uint8_t hash[DATUM_HASH_BYTES],
                     uint64_t *ret_size, struct err *err)
{
    struct bytes value;
    struct blob_head head;
    int rc = store_get(snapshot, TABLE_BLOBS, bytes_of(hash, DATUM_HASH_BYTES), &value, err);
    if (rc == 0)
        rc = blob_head_decode(value, &head, err);
    if (rc == 0)
        *ret_size = head.size_bytes;
    return rc;
}

/* The chunk of the blob that begins at offset. */
static int read_chunk(store_snapshot_t *snapshot, const uint8_t hash[DATUM_HASH_BYTES],
                      uint64_t offset, struct bytes *ret_chunk, struct err *err)
{
    uint8_t key[KEY_CHUNK_BYTES];
    return store_get(snapshot, TABLE_BLOBS,
                     key_chunk(hash, (uint32_t)(offset / LIMIT_BLOB_CHUNK_BYTES), key), ret_chunk,
                     err);
}

static int read_whole(struct coordinator *self, const uint8_t hash[DATUM_HASH_BYTES],
                      struct buf *out, struct err *err)
{
    store_snapshot_t *snapshot = NULL;
    struct bytes chunk;
    uint64_t size = 0;
    int rc = store_snapshot(self->store, &snapshot, err);

    if (rc == 0)
        rc = read_head(snapshot, hash, &size, err);
    while (rc == 0 && out->size < size) {
        rc = read_chunk(snapshot, hash, out->size, &chunk, err);
        if (rc == 0 && chunk.size == 0)
            rc = err_set(err, ERR_CORRUPT, "a chunk of a blob is empty");
        if (rc == 0)
            buf_append_bytes(out, chunk);
    }
    store_snapshot_close(&snapshot);
    return rc;
}

int blobs_read(void *context, const uint8_t hash[DATUM_HASH_BYTES], struct bytes *ret_bytes,
               struct err *err)
{
    struct coordinator *self = context;
    struct blobs *blobs = self->blobs;
    const struct fresh *fresh = find_fresh(blobs, hash);
    struct buf whole = {0};

    if (fresh != NULL) {
        *ret_bytes = buf_bytes(&fresh->bytes);
        return 0;
    }
    int rc = read_whole(self, hash, &whole, err);
    if (rc < 0) {
        buf_release(&whole);
        return rc;
    }
    blobs->reads = xrealloc(blobs->reads, (blobs->reads_count + 1) * sizeof(*blobs->reads));
    blobs->reads[blobs->reads_count++] = whole;
    *ret_bytes = buf_bytes(&whole);
    return 0;
}

void blobs_end_reads(struct coordinator *self)
{
    if (self->blobs->reads_count > 0)
        end_reads(self->blobs);
}

int blobs_check(struct coordinator *self, const uint8_t hash[DATUM_HASH_BYTES], uint64_t size_bytes,
                struct err *err)
{
    const struct fresh *fresh = find_fresh(self->blobs, hash);
    store_snapshot_t *snapshot = NULL;
    uint64_t size = 0;
    int rc = 0;

    if (fresh != NULL) {
        size = fresh->bytes.size;
    } else {
        rc = store_snapshot(self->store, &snapshot, err);
        if (rc == 0)
            rc = read_head(snapshot, hash, &size, err);
        store_snapshot_close(&snapshot);
    }
    if (rc == ERR_NOT_FOUND)
        return err_set(err, rc, "the store holds no blob of that hash");
    if (rc == 0 && size != size_bytes)
        rc = err_set(err, ERR_INVALID, "the blob has another size than it was said to have");
    return rc;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void fresh_committed(struct coordinator *self, void *argument)
{
    struct fresh *fresh = argument;
    if (--fresh->writers > 0)
        return;
    map_remove(self->blobs->fresh, fresh->hash, DATUM_HASH_BYTES);
    fresh_destroy(fresh);
}

static void write_chunks(struct coordinator *self, const uint8_t hash[DATUM_HASH_BYTES],
                         struct bytes bytes)
{
    uint8_t key[KEY_CHUNK_BYTES];
    store_batch_t *writes = pipeline_writes(self);
    struct blob_head head = {.size_bytes = bytes.size, .stored_us = self->utc_us};

    blob_head_encode(&head, &self->blobs->record);
    store_batch_put(writes, TABLE_BLOBS, bytes_of(hash, DATUM_HASH_BYTES),
                    buf_bytes(&self->blobs->record));
    for (size_t at = 0, chunk = 0; at < bytes.size; at += LIMIT_BLOB_CHUNK_BYTES, chunk++) {
        size_t left = bytes.size - at;
        size_t size = left < LIMIT_BLOB_CHUNK_BYTES ? left : LIMIT_BLOB_CHUNK_BYTES;
        store_batch_put(writes, TABLE_BLOBS, key_chunk(hash, (uint32_t)chunk, key),
                        bytes_of(bytes.data + at, size));
    }
}

static void write_owned(struct coordinator *self, const uint8_t hash[DATUM_HASH_BYTES],
                        struct buf *bytes)
{
    struct fresh *fresh = find_fresh(self->blobs, hash);
    write_chunks(self, hash, buf_bytes(bytes));
    if (fresh == NULL) {
        fresh = xcalloc(1, sizeof *fresh);
        memcpy(fresh->hash, hash, DATUM_HASH_BYTES);
        fresh->bytes = *bytes;
        map_put(self->blobs->fresh, hash, DATUM_HASH_BYTES, fresh);
    } else {
        buf_release(bytes);
    }
    fresh->writers++;
    pipeline_at_release(self, fresh_committed, fresh);
}

void blobs_write(struct coordinator *self, const uint8_t hash[DATUM_HASH_BYTES], struct bytes bytes)
{
    struct buf copy = {0};
    buf_append_bytes(&copy, bytes);
    write_owned(self, hash, &copy);
}

struct datum blobs_datum(struct coordinator *self, struct bytes msgpack)
{
    if (msgpack.size <= LIMIT_INLINE_BYTES)
        return datum_inline(msgpack);
    struct datum datum = {.is_blob = true, .size_bytes = msgpack.size};
    datum_hash(msgpack, datum.hash);
    blobs_write(self, datum.hash, msgpack);
    return datum;
}

/* --- BlobGet ---------------------------------------------------------------------------------- */

static int get_chunk(store_snapshot_t *snapshot, const struct wire_blob_get *get,
                     struct wire_blob_chunk *chunk, struct bytes *ret_bytes, struct err *err)
{
    struct bytes whole = {0};
    size_t into = (size_t)(get->offset % LIMIT_BLOB_CHUNK_BYTES);
    int rc = read_head(snapshot, get->hash, &chunk->size_bytes, err);

    if (rc < 0 || get->offset >= chunk->size_bytes)
        return rc;
    rc = read_chunk(snapshot, get->hash, get->offset, &whole, err);
    if (rc == 0 && into < whole.size)
        *ret_bytes = bytes_of(whole.data + into, whole.size - into);
    return rc;
}

void blobs_receive_get(struct coordinator *self, const struct message *message)
{
    const struct wire_blob_get *get = &message->body.blob_get;
    struct wire_body body = {.kind = WIRE_BLOB_CHUNK, .blob_chunk = {.offset = get->offset}};
    struct wire_route route = {.kind = WIRE_BLOB_CHUNK,
                               .to = message->route.from,
                               .correlation = message->route.correlation};
    store_snapshot_t *snapshot = NULL;
    struct bytes bytes = {0};
    struct err err;

    memcpy(body.blob_chunk.hash, get->hash, DATUM_HASH_BYTES);
    int rc = store_snapshot(self->store, &snapshot, &err);
    if (rc == 0)
        rc = get_chunk(snapshot, get, &body.blob_chunk, &bytes, &err);
    if (rc < 0)
        body.blob_chunk.error = err_name(rc);
    if (rc < 0 && rc != ERR_NOT_FOUND)
        log_error("COORD-BLOB-UNREADABLE", err.what, "where", err.where, NULL);
    if (peer_send(self->peer, &route, &body, bytes, NULL) < 0)
        self->counters.unsent++;
    store_snapshot_close(&snapshot);
}

/* --- BlobPut ---------------------------------------------------------------------------------- */

static struct bytes arriving_key(struct blobs *self, const struct message *message)
{
    buf_clear(&self->key);
    buf_puts(&self->key, message->route.from);
    buf_putc(&self->key, '\0');
    buf_append(&self->key, message->body.blob_put.hash, DATUM_HASH_BYTES);
    return buf_bytes(&self->key);
}

static void forget_arriving(struct blobs *self, struct bytes key)
{
    struct arriving *arriving = map_remove(self->arriving, key.data, key.size);
    if (arriving == NULL)
        return;
    self->arriving_bytes -= arriving->size_bytes;
    arriving_destroy(arriving);
}

static void forget_stale(struct blobs *self, int64_t now_us)
{
    struct arriving *arriving;
    struct bytes key;
    for (size_t position = 0; (arriving = map_next(self->arriving, &position, &key)) != NULL;)
        if (arriving->moved_us < now_us - ARRIVING_STALE_US)
            forget_arriving(self, key);
}

static bool has_room(const struct blobs *self, uint64_t size_bytes)
{
    return map_size(self->arriving) < LIMIT_BLOBS_ARRIVING &&
           self->arriving_bytes + size_bytes <= LIMIT_BLOBS_ARRIVING_BYTES;
}

static int begin_arriving(struct coordinator *self, const struct wire_blob_put *put,
                          struct bytes key, struct arriving **ret_arriving, struct err *err)
{
    struct blobs *blobs = self->blobs;
    if (put->size_bytes == 0 || put->size_bytes > LIMIT_VALUE_BYTES)
        return err_set(err, ERR_TOO_LARGE, "a blob has 1 to %u bytes", LIMIT_VALUE_BYTES);
    if (!has_room(blobs, put->size_bytes))
        forget_stale(blobs, self->mono_us);
    if (!has_room(blobs, put->size_bytes))
        return err_set(err, ERR_BUSY, "too many blobs arrive at once; try again later");
    struct arriving *arriving = xcalloc(1, sizeof *arriving);
    arriving->size_bytes = put->size_bytes;
    crypto_generichash_init(&arriving->hash, NULL, 0, DATUM_HASH_BYTES);
    map_put(blobs->arriving, key.data, key.size, arriving);
    blobs->arriving_bytes += put->size_bytes;
    *ret_arriving = arriving;
    return 0;
}

static int add_chunk(struct arriving *arriving, const struct wire_blob_put *put,
                     struct bytes payload, struct err *err)
{
    if (put->size_bytes != arriving->size_bytes)
        return err_set(err, ERR_INVALID, "the size differs from that of the chunks before");
    /* The same chunk again, or one whose forerunners were forgotten with the last coordinator: the
     * answer says where to go on. */
    if (put->offset != arriving->bytes.size)
        return 0;
    if (payload.size == 0 || payload.size > LIMIT_BLOB_CHUNK_BYTES ||
        payload.size > arriving->size_bytes - arriving->bytes.size)
        return err_set(err, ERR_INVALID, "a chunk has 1 to %u bytes and ends within its blob",
                       LIMIT_BLOB_CHUNK_BYTES);
    buf_append_bytes(&arriving->bytes, payload);
    crypto_generichash_update(&arriving->hash, payload.data, payload.size);
    return 0;
}

static int finish_arriving(struct coordinator *self, struct arriving *arriving,
                           const struct wire_blob_put *put, struct err *err)
{
    uint8_t hash[DATUM_HASH_BYTES];
    crypto_generichash_final(&arriving->hash, hash, sizeof hash);
    if (memcmp(hash, put->hash, sizeof hash) != 0)
        return err_set(err, ERR_INVALID, "the bytes have another hash than they were said to have");
    int rc = value_check_msgpack(buf_bytes(&arriving->bytes), err);
    if (rc == 0) {
        write_owned(self, hash, &arriving->bytes);
        arriving->bytes = (struct buf){0};
    }
    return rc;
}

static int put_chunk(struct coordinator *self, const struct message *message,
                     struct wire_blob_stored *stored, struct err *err)
{
    const struct wire_blob_put *put = &message->body.blob_put;
    struct bytes key = arriving_key(self->blobs, message);
    struct arriving *arriving = map_get(self->blobs->arriving, key.data, key.size);
    int rc = 0;

    if (self->full)
        return err_set(err, ERR_FULL, "the store has no room");
    if (blobs_check(self, put->hash, put->size_bytes, NULL) == 0) {
        forget_arriving(self->blobs, key);
        stored->offset = put->size_bytes;
        stored->complete = true;
        return 0;
    }
    if (arriving == NULL)
        rc = begin_arriving(self, put, key, &arriving, err);
    if (rc == 0)
        rc = add_chunk(arriving, put, message->payload, err);
    if (rc < 0)
        return rc;
    arriving->moved_us = self->mono_us;
    stored->offset = arriving->bytes.size;
    if (arriving->bytes.size < arriving->size_bytes)
        return 0;
    rc = finish_arriving(self, arriving, put, err);
    forget_arriving(self->blobs, key);
    stored->complete = rc == 0;
    return rc;
}

void blobs_receive_put(struct coordinator *self, const struct message *message)
{
    struct wire_body body = {.kind = WIRE_BLOB_STORED};
    struct err err = {0};

    memcpy(body.blob_stored.hash, message->body.blob_put.hash, DATUM_HASH_BYTES);
    int rc = put_chunk(self, message, &body.blob_stored, &err);
    if (rc < 0) {
        body.blob_stored.error = err_name(rc);
        body.blob_stored.what = err.what;
    }
    if (self->full) {
        struct wire_route route = {.kind = body.kind,
                                   .to = message->route.from,
                                   .correlation = message->route.correlation};
        if (peer_send(self->peer, &route, &body, (struct bytes){0}, NULL) < 0)
            self->counters.unsent++;
        return;
    }
    /* "complete" says durable: the answer goes out with the batch that holds the bytes. */
    pipeline_send(self, message->route.from, message->route.correlation, &body, (struct bytes){0});
}
