/* The store: named tables of byte keys to byte values, snapshot reads, range scans, and atomic,
 * durable batches that may be conditional. Nothing here knows of agents, or names its engine.
 *
 * Threads: a store may be read from any thread (each read opens its own snapshot). Batches are
 * built by any one thread and applied in order of submission by one committer thread, which groups
 * what waits into one transaction and one fsync. Every stored value carries a checksum that is
 * verified on read; a record that fails it is reported with its table and key, never returned.
 * The store lives in one directory, locked exclusively while it is open. */
#ifndef AF_STORE_STORE_H
#define AF_STORE_STORE_H

#include "base/buf.h"
#include "base/err.h"

typedef struct store store_t;
typedef struct store_batch store_batch_t;
typedef struct store_snapshot store_snapshot_t;
typedef struct store_scan store_scan_t;

#define STORE_KEY_MAX      500
#define STORE_FORMAT       1 /* a store of another format is refused with both numbers named */

struct store_options {
    const char *path;           /* directory; made when missing, mode 0700 */
    const char *const *tables;  /* NULL-terminated; at most 30 */
    uint64_t map_bytes_initial; /* 0: 256 MiB; the map doubles by itself as needed */
    uint64_t map_bytes_max;     /* 0: 1 TiB; past it a commit answers ERR_FULL */
    bool read_only;             /* no committer, no lock: for inspection */
};

/* ERR_BUSY: another process has it open (the message names the path and its pid when known).
 * ERR_VERSION, ERR_IO, ERR_FULL, ERR_CORRUPT; ERR_NOT_FOUND when the directory above is missing, or
 * read_only finds no store. A process may have a store open once, read-only or not. */
int store_open(const struct store_options *options, store_t **ret_store,
               struct err *err) MUST_CHECK;
/* Waits for submitted batches (those that keep failing with ERR_FULL are given up). No snapshot may
 * be open. */
void store_close(store_t **self_p);

/* --- batches ---------------------------------------------------------------------------------- */

store_batch_t *store_batch_new(void);
void store_batch_destroy(store_batch_t **self_p);
void store_batch_clear(store_batch_t *self); /* for reuse; keeps memory */
size_t store_batch_size_bytes(const store_batch_t *self);
size_t store_batch_operations(const store_batch_t *self);
/* Keys and values are copied. Operations apply in order. */
void store_batch_put(store_batch_t *self, const char *table, struct bytes key, struct bytes value);
void store_batch_delete(store_batch_t *self, const char *table, struct bytes key);
/* The whole batch fails with ERR_CONFLICT, and changes nothing, unless the key now has this value;
 * with expected.data == NULL, unless the key is absent. Checked before all operations. */
void store_batch_require(store_batch_t *self, const char *table, struct bytes key,
                         struct bytes expected);

/* Applies one batch durably and waits. ERR_CONFLICT, ERR_CORRUPT (the record of a condition is;
 * nothing changed), ERR_TOO_LARGE (split it; nothing changed), ERR_FULL (nothing changed; try again
 * when there is room), ERR_IO (what the disk holds is unknown: exit and open anew). The calling
 * thread must not hold a snapshot (CHECK): a commit that has to grow the store waits until every
 * snapshot is closed. For the same reason no thread may hold one while it waits for completions. */
int store_apply(store_t *self, const store_batch_t *batch, struct err *err) MUST_CHECK;

/* Submits *batch_p (consumed) to the committer; it never blocks. At most LIMIT 64 may be in flight,
 * else ERR_BUSY and the batch stays the caller's (as it does on ERR_TOO_LARGE and ERR_IO). A batch is
 * in flight until its completion was taken. Batches complete in order of submission. */
int store_submit(store_t *self, store_batch_t **batch_p, uint64_t tag, struct err *err) MUST_CHECK;

struct store_completion {
    uint64_t tag;
    int code;          /* 0, ERR_CONFLICT, ERR_CORRUPT, ERR_TOO_LARGE, ERR_FULL, ERR_IO */
    struct err err;
    store_batch_t *batch; /* owned by the receiver: to clear and reuse, or destroy */
};
/* A file descriptor that is readable while completions wait (an eventfd). */
int store_completion_fd(const store_t *self);
/* Takes one completion; false when none waits. On ERR_FULL the committer holds this batch and those
 * behind it and tries again by itself each 200 ms: it reports ERR_FULL once (batch NULL) for the
 * first failure and completes with 0 when it went through. On ERR_IO it stops for good: every later
 * submission answers ERR_IO. */
bool store_complete(store_t *self, struct store_completion *ret_completion);
uint64_t store_commits(const store_t *self); /* transactions committed since open */

/* --- reads ------------------------------------------------------------------------------------ */

/* Short-lived: a snapshot that stays open makes the store grow, and holds up commits when its map
 * has to. Keys and values returned point into it and die with it. ERR_BUSY, ERR_IO. */
int store_snapshot(store_t *self, store_snapshot_t **ret_snapshot, struct err *err) MUST_CHECK;
void store_snapshot_close(store_snapshot_t **self_p);
/* ERR_NOT_FOUND, ERR_CORRUPT (table and key named), ERR_IO. */
int store_get(store_snapshot_t *self, const char *table, struct bytes key, struct bytes *ret_value,
              struct err *err) MUST_CHECK;

struct store_range {
    struct bytes from;   /* inclusive; empty: from the first */
    struct bytes to;     /* exclusive; empty: to the last */
    struct bytes prefix; /* when not empty, only keys that begin so (from/to apply too) */
    bool reverse;        /* from the last to the first */
};
/* The range is copied. A scan is closed before its snapshot. */
int store_scan(store_snapshot_t *self, const char *table, const struct store_range *range,
               store_scan_t **ret_scan, struct err *err) MUST_CHECK;
/* 0, or ERR_NOT_FOUND at the end, ERR_CORRUPT (the record's key is given where it is known, and the
 * scan may go on past it), ERR_IO. */
int store_scan_next(store_scan_t *self, struct bytes *ret_key, struct bytes *ret_value,
                    struct err *err) MUST_CHECK;
void store_scan_close(store_scan_t **self_p);

struct store_info {
    uint64_t map_bytes, used_bytes, commits, batches;
    unsigned format;
    const char *engine;     /* "lmdb 0.9.24" */
    const char *durability; /* "fdatasync on every commit" */
};
void store_info(store_t *self, struct store_info *ret_info);

/* Faults for tests, counted down: the n-th transaction from now (1: the next) fails with this code,
 * once or for good. n 0 switches off. */
void store_fault(store_t *self, unsigned n, int code, bool for_good);

#endif
