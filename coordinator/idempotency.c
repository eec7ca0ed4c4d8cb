#include "coordinator/idempotency.h"

#include "base/log.h"
#include "base/map.h"
#include "coordinator/pipeline.h"
#include "coordinator/record.h"
#include "coordinator/tables.h"

#include <stdlib.h>
#include <string.h>

#define KEYS_OF_A_SWEEP 500

/* Kept in a batch that is not committed yet. */
struct fresh {
    char *key;
    uint8_t hash[32];
    struct buf reply;
};

struct idempotency {
    map_t *fresh; /* key -> struct fresh */
    struct buf record;
    struct buf swept; /* the key up to which the present sweep has come */
};

struct idempotency *idempotency_new(void)
{
    struct idempotency *self = xcalloc(1, sizeof *self);
    self->fresh = map_new();
    return self;
}

static void fresh_destroy(struct fresh *fresh)
{
    buf_release(&fresh->reply);
    free(fresh->key);
    free(fresh);
}

void idempotency_destroy(struct idempotency **self_p)
{
    struct idempotency *self = *self_p;
    void *item;
    if (self == NULL)
        return;
    for (size_t position = 0; (item = map_next(self->fresh, &position, NULL)) != NULL;)
        fresh_destroy(item);
    map_destroy(&self->fresh);
    buf_release(&self->record);
    buf_release(&self->swept);
    free(self);
    *self_p = NULL;
}

void idempotency_hash(const char *method, struct bytes payload, uint8_t ret_hash[32])
{
    struct buf both = {0};
    buf_append(&both, method, strlen(method) + 1);
    buf_append_bytes(&both, payload);
    datum_hash(buf_bytes(&both), ret_hash);
    buf_release(&both);
}

static int compare(const char *key, const uint8_t kept[32], const uint8_t given[32],
                   struct bytes reply, struct buf *out, struct err *err)
{
    if (memcmp(kept, given, 32) != 0) {
        err_set(err, ERR_INVALID, "the idempotency key \"%s\" was used for another request", key);
        err_fix(err, "use a new key for a new request");
        return ERR_INVALID;
    }
    buf_append_bytes(out, reply);
    return 0;
}

static int find_stored(struct coordinator *self, const char *key, const uint8_t hash[32],
                       struct buf *out, struct err *err)
{
    struct arena arena = {0};
    struct idempotency_record record;
    store_snapshot_t *snapshot = NULL;
    struct bytes value;

    int rc = store_snapshot(self->store, &snapshot, err);
    if (rc == 0)
        rc = store_get(snapshot, TABLE_IDEMPOTENCY, bytes_of_string(key), &value, err);
    if (rc == 0)
        rc = idempotency_decode(&arena, value, &record, err);
    if (rc == 0 && record.stored_us < self->utc_us - LIMIT_IDEMPOTENCY_KEPT_US)
        rc = ERR_NOT_FOUND;
    if (rc == 0)
        rc = compare(key, record.request_hash, hash, record.reply, out, err);
    store_snapshot_close(&snapshot);
    arena_release(&arena);
    return rc;
}

int idempotency_find(struct coordinator *self, const char *key, const uint8_t hash[32],
                     struct buf *out, struct err *err)
{
    const struct fresh *fresh = map_get(self->idempotency->fresh, key, strlen(key));
    if (fresh != NULL)
        return compare(key, fresh->hash, hash, buf_bytes(&fresh->reply), out, err);
    return find_stored(self, key, hash, out, err);
}

bool idempotency_waits(const struct coordinator *self, const char *key)
{
    return map_get(self->idempotency->fresh, key, strlen(key)) != NULL;
}

static void committed(struct coordinator *self, void *argument)
{
    struct fresh *fresh = argument;
    map_remove(self->idempotency->fresh, fresh->key, strlen(fresh->key));
    fresh_destroy(fresh);
}

void idempotency_store(struct coordinator *self, const char *key, const uint8_t hash[32],
                       struct bytes reply)
{
    struct idempotency *keys = self->idempotency;
    struct idempotency_record record = {.reply = reply, .stored_us = self->utc_us};
    struct fresh *fresh = xcalloc(1, sizeof *fresh);

    memcpy(record.request_hash, hash, sizeof record.request_hash);
    idempotency_encode(&record, &keys->record);
    store_batch_put(pipeline_writes(self), TABLE_IDEMPOTENCY, bytes_of_string(key),
                    buf_bytes(&keys->record));
    fresh->key = xstrdup(key);
    memcpy(fresh->hash, hash, sizeof fresh->hash);
    buf_append_bytes(&fresh->reply, reply);
    map_put(keys->fresh, key, strlen(key), fresh);
    pipeline_at_release(self, committed, fresh);
}

static int sweep_some(struct coordinator *self, store_scan_t *scan, struct arena *arena)
{
    struct idempotency_record record;
    struct bytes key = {0}, value;
    int rc = 0;

    for (int i = 0; i < KEYS_OF_A_SWEEP; i++) {
        rc = store_scan_next(scan, &key, &value, NULL);
        if (key.size == 0 || (rc < 0 && rc != ERR_CORRUPT))
            return rc;
        arena_clear(arena);
        buf_clear(&self->idempotency->swept);
        buf_append_bytes(&self->idempotency->swept, key);
        /* A key that was used anew has its new record in a batch that is not committed yet. */
        if (rc == 0 && map_get(self->idempotency->fresh, key.data, key.size) == NULL &&
            idempotency_decode(arena, value, &record, NULL) == 0 &&
            record.stored_us < self->utc_us - LIMIT_IDEMPOTENCY_KEPT_US)
            store_batch_delete(pipeline_writes(self), TABLE_IDEMPOTENCY, key);
    }
    return rc;
}

void idempotency_sweep(struct coordinator *self)
{
    struct arena arena = {0};
    struct buf from = {0};
    store_snapshot_t *snapshot = NULL;
    store_scan_t *scan = NULL;

    buf_append_bytes(&from, buf_bytes(&self->idempotency->swept));
    struct store_range range = {.from = buf_bytes(&from)};
    if (store_snapshot(self->store, &snapshot, NULL) == 0 &&
        store_scan(snapshot, TABLE_IDEMPOTENCY, &range, &scan, NULL) == 0 &&
        sweep_some(self, scan, &arena) == ERR_NOT_FOUND)
        buf_clear(&self->idempotency->swept);
    store_scan_close(&scan);
    store_snapshot_close(&snapshot);
    buf_release(&from);
    arena_release(&arena);
}
