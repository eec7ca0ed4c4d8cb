#include "store/store.h"

#include "store/committer.h"
#include "store/kv.h"
#include "store/place.h"
#include "store/record.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAP_BYTES_INITIAL (256ull << 20)
#define MAP_BYTES_MAX     (1ull << 40)

struct store {
    kv_t *kv;
    committer_t *committer; /* NULL: read only */
    struct tables tables;
    int lock_fd; /* -1: none */
};

struct store_snapshot {
    const struct tables *tables;
    kv_read_t *read;
};

struct bound {
    uint8_t data[STORE_KEY_MAX];
    size_t size;
    bool none; /* no bound on this side */
};

struct store_scan {
    const struct table *table;
    kv_cursor_t *cursor;
    struct bound lower, upper; /* from lower to before upper */
    bool reverse;
    bool started, ended;
};

/* --- the store ---------------------------------------------------------------------------------
 */

static int open_kv(store_t *self, const struct store_options *options, struct err *err)
{
    struct kv_options kv = {
        .path = options->path,
        .tables = options->tables,
        .format = STORE_FORMAT,
        .map_bytes_max = options->map_bytes_max ? options->map_bytes_max : MAP_BYTES_MAX,
        .read_only = options->read_only,
    };
    kv.map_bytes_initial =
        options->map_bytes_initial ? options->map_bytes_initial : MAP_BYTES_INITIAL;
    if (kv.map_bytes_initial > kv.map_bytes_max)
        kv.map_bytes_initial = kv.map_bytes_max;
    return kv_open(&kv, &self->kv, err);
}

static int open_all(store_t *self, const struct store_options *options, struct err *err)
{
    if (options->read_only)
        return open_kv(self, options, err);
    int code = place_make(options->path, err);
    if (code == 0)
        code = place_lock(options->path, &self->lock_fd, err);
    if (code == 0)
        code = open_kv(self, options, err);
    if (code == 0)
        code = committer_new(self->kv, &self->tables, &self->committer, err);
    return code;
}

int store_open(const struct store_options *options, store_t **ret_store, struct err *err)
{
    store_t *self = xcalloc(1, sizeof *self);
    self->lock_fd = -1;
    tables_init(&self->tables, options->tables);
    int code = open_all(self, options, err);
    if (code == 0)
        *ret_store = self;
    else
        store_close(&self);
    return code;
}

void store_close(store_t **self_p)
{
    store_t *self = *self_p;
    if (!self)
        return;
    CHECK(!self->kv || kv_reads_open(self->kv) == 0);
    committer_destroy(&self->committer);
    kv_close(&self->kv);
    tables_release(&self->tables);
    /* Last, so that nobody opens a store that is still being closed. */
    if (self->lock_fd >= 0)
        close(self->lock_fd);
    free(self);
    *self_p = NULL;
}

int store_apply(store_t *self, const store_batch_t *batch, struct err *err)
{
    CHECK(self->committer);
    /* A commit that has to grow the store waits for every snapshot: this one would wait for us. */
    CHECK(!kv_read_held_here(self->kv));
    return committer_apply(self->committer, batch, err);
}

int store_submit(store_t *self, store_batch_t **batch_p, uint64_t tag, struct err *err)
{
    CHECK(self->committer);
    return committer_submit(self->committer, batch_p, tag, err);
}

int store_completion_fd(const store_t *self)
{
    CHECK(self->committer);
    return committer_fd(self->committer);
}

bool store_complete(store_t *self, struct store_completion *ret_completion)
{
    CHECK(self->committer);
    return committer_complete(self->committer, ret_completion);
}

uint64_t store_commits(const store_t *self)
{
    return self->committer ? committer_commits(self->committer) : 0;
}

void store_info(store_t *self, struct store_info *ret_info)
{
    struct kv_info kv;
    kv_info(self->kv, &kv);
    *ret_info = (struct store_info){
        .map_bytes = kv.map_bytes,
        .used_bytes = kv.used_bytes,
        .commits = store_commits(self),
        .batches = self->committer ? committer_batches(self->committer) : 0,
        .format = STORE_FORMAT,
        .engine = kv.engine,
        .durability = kv.durability,
    };
}

void store_fault(store_t *self, unsigned n, int code, bool for_good)
{
    CHECK(self->committer);
    committer_fault(self->committer, n, code, for_good);
}

/* --- snapshots ---------------------------------------------------------------------------------
 */

int store_snapshot(store_t *self, store_snapshot_t **ret_snapshot, struct err *err)
{
    kv_read_t *read;
    int code = kv_read_open(self->kv, &read, err);
    if (code)
        return code;
    store_snapshot_t *snapshot = xcalloc(1, sizeof *snapshot);
    snapshot->tables = &self->tables;
    snapshot->read = read;
    *ret_snapshot = snapshot;
    return 0;
}

void store_snapshot_close(store_snapshot_t **self_p)
{
    store_snapshot_t *self = *self_p;
    if (!self)
        return;
    kv_read_close(&self->read);
    free(self);
    *self_p = NULL;
}

int store_get(store_snapshot_t *self, const char *table, struct bytes key, struct bytes *ret_value,
              struct err *err)
{
    struct bytes stored;
    unsigned number = tables_find(self->tables, table);
    CHECK(key.size > 0 && key.size <= STORE_KEY_MAX);
    int code = kv_get(self->read, number, key, &stored, err);
    if (code == ERR_NOT_FOUND) {
        err_set(err, code, "there is no such key");
        err_where(err, "table %s", table);
    }
    return code ? code : record_open(&self->tables->list[number], key, stored, ret_value, err);
}

/* --- scans -------------------------------------------------------------------------------------
 */

static int compare(struct bytes a, struct bytes b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static struct bytes bound_bytes(const struct bound *self)
{
    return bytes_of(self->data, self->size);
}

static void bound_set(struct bound *self, struct bytes key)
{
    CHECK(key.size <= STORE_KEY_MAX);
    self->none = key.size == 0;
    self->size = key.size;
    if (key.size)
        memcpy(self->data, key.data, key.size);
}

/* The least key above all that begin with the prefix; none when it is 0xff throughout. */
static struct bound after_prefix(struct bytes prefix)
{
    struct bound bound;
    bound_set(&bound, prefix);
    while (bound.size && bound.data[bound.size - 1] == 0xff)
        bound.size--;
    bound.none = bound.size == 0;
    if (!bound.none)
        bound.data[bound.size - 1]++;
    return bound;
}

static void narrow(store_scan_t *self, const struct store_range *range)
{
    struct bytes from = range->from, prefix = range->prefix;
    bound_set(&self->lower, compare(from, prefix) > 0 ? from : prefix);
    bound_set(&self->upper, range->to);
    struct bound after = after_prefix(prefix);
    if (!after.none &&
        (self->upper.none || compare(bound_bytes(&after), bound_bytes(&self->upper)) < 0))
        self->upper = after;
}

int store_scan(store_snapshot_t *self, const char *table, const struct store_range *range,
               store_scan_t **ret_scan, struct err *err)
{
    kv_cursor_t *cursor;
    unsigned number = tables_find(self->tables, table);
    int code = kv_cursor_open(self->read, number, &cursor, err);
    if (code)
        return code;
    store_scan_t *scan = xcalloc(1, sizeof *scan);
    scan->table = &self->tables->list[number];
    scan->cursor = cursor;
    scan->reverse = range->reverse;
    narrow(scan, range);
    *ret_scan = scan;
    return 0;
}

void store_scan_close(store_scan_t **self_p)
{
    store_scan_t *self = *self_p;
    if (!self)
        return;
    kv_cursor_close(&self->cursor);
    free(self);
    *self_p = NULL;
}

/* To the last key below upper: the one before the first that is not below it. */
static int start_reverse(store_scan_t *self, struct bytes *ret_key, struct bytes *ret_stored,
                         struct err *err)
{
    struct bytes none = {0}, upper = bound_bytes(&self->upper);
    if (self->upper.none)
        return kv_cursor_move(self->cursor, KV_LAST, none, ret_key, ret_stored, err);
    int code = kv_cursor_move(self->cursor, KV_AT_OR_AFTER, upper, ret_key, ret_stored, err);
    if (code == ERR_NOT_FOUND)
        return kv_cursor_move(self->cursor, KV_LAST, none, ret_key, ret_stored, err);
    if (code)
        return code;
    return kv_cursor_move(self->cursor, KV_PREVIOUS, none, ret_key, ret_stored, err);
}

static int start(store_scan_t *self, struct bytes *ret_key, struct bytes *ret_stored,
                 struct err *err)
{
    self->started = true;
    if (self->reverse)
        return start_reverse(self, ret_key, ret_stored, err);
    return kv_cursor_move(self->cursor, self->lower.none ? KV_FIRST : KV_AT_OR_AFTER,
                          bound_bytes(&self->lower), ret_key, ret_stored, err);
}

static bool within(const store_scan_t *self, struct bytes key)
{
    if (self->reverse)
        return self->lower.none || compare(key, bound_bytes(&self->lower)) >= 0;
    return self->upper.none || compare(key, bound_bytes(&self->upper)) < 0;
}

static int advance(store_scan_t *self, struct bytes *ret_key, struct bytes *ret_stored,
                   struct err *err)
{
    struct bytes none = {0};
    int code;
    if (self->ended)
        return ERR_NOT_FOUND;
    if (self->started)
        code = kv_cursor_move(self->cursor, self->reverse ? KV_PREVIOUS : KV_NEXT, none, ret_key,
                              ret_stored, err);
    else
        code = start(self, ret_key, ret_stored, err);
    if (code == 0 && !within(self, *ret_key))
        code = ERR_NOT_FOUND;
    self->ended = code != 0;
    return code;
}

int store_scan_next(store_scan_t *self, struct bytes *ret_key, struct bytes *ret_value,
                    struct err *err)
{
    struct bytes key, stored;
    int code = advance(self, &key, &stored, err);
    if (code == ERR_NOT_FOUND)
        return err_set(err, code, "the end of the scan");
    if (code != 0)
        return code;
    *ret_key = key;
    return record_open(self->table, key, stored, ret_value, err);
}
