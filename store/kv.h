/* The seam between the store and what keeps its records: raw bytes in numbered tables, one write
 * transaction at a time, reads that see one moment. lmdb.c stands behind it; another engine has to
 * give these functions and nothing more. Checksums, batches, threads and retries live above.
 *
 * Threads: everything under "writing" belongs to one thread at a time (the committer's, once the
 * store is open); reads may be opened and used on any thread, each read on one at a time. */
#ifndef AF_STORE_KV_H
#define AF_STORE_KV_H

#include "base/buf.h"
#include "base/err.h"

typedef struct kv kv_t;
typedef struct kv_read kv_read_t;
typedef struct kv_cursor kv_cursor_t;

struct kv_options {
    const char *path;          /* an existing directory */
    const char *const *tables; /* NULL-terminated; a table's number is its place in this list */
    unsigned format;
    uint64_t map_bytes_initial;
    uint64_t map_bytes_max;
    bool read_only;
};

/* ERR_VERSION when the directory holds another format, ERR_NOT_FOUND when read_only finds nothing,
 * ERR_FULL, ERR_CORRUPT, ERR_IO. */
int kv_open(const struct kv_options *options, kv_t **ret_kv, struct err *err) MUST_CHECK;
/* No read may be open. */
void kv_close(kv_t **self_p);

/* --- writing ---------------------------------------------------------------------------------- */

/* After any failure but ERR_NOT_FOUND the transaction is good for nothing but kv_abort.
 * ERR_AGAIN: the map is too small; abort, kv_grow, and do the whole transaction again.
 * ERR_TOO_LARGE: more changes than one transaction can hold. ERR_FULL: nothing changed and a later
 * try may succeed. ERR_IO: what the disk holds is unknown. */
int kv_begin(kv_t *self, struct err *err) MUST_CHECK;
int kv_lookup(kv_t *self, unsigned table, struct bytes key, struct bytes *ret_value,
              struct err *err) MUST_CHECK;
/* Gives room for value_size bytes, which the caller fills before its next call. */
int kv_put(kv_t *self, unsigned table, struct bytes key, size_t value_size, uint8_t **ret_room,
           struct err *err) MUST_CHECK;
int kv_delete(kv_t *self, unsigned table, struct bytes key, struct err *err) MUST_CHECK;
/* Ends the transaction, also when it fails. */
int kv_commit(kv_t *self, struct err *err) MUST_CHECK;
void kv_abort(kv_t *self);
/* Doubles the map; waits until every read of this process is closed. ERR_FULL at the largest size. */
int kv_grow(kv_t *self, struct err *err) MUST_CHECK;

/* --- reading ---------------------------------------------------------------------------------- */

int kv_read_open(kv_t *self, kv_read_t **ret_read, struct err *err) MUST_CHECK;
void kv_read_close(kv_read_t **self_p);
/* Whether the calling thread opened a read that is still open. */
bool kv_read_held_here(kv_t *self);
unsigned kv_reads_open(kv_t *self);
/* What is returned points into the engine's pages and dies with the read. */
int kv_get(kv_read_t *self, unsigned table, struct bytes key, struct bytes *ret_value,
           struct err *err) MUST_CHECK;

enum kv_move {
    KV_FIRST,
    KV_LAST,
    KV_AT_OR_AFTER, /* the first key that is not below the one given */
    KV_NEXT,
    KV_PREVIOUS,
};

int kv_cursor_open(kv_read_t *read, unsigned table, kv_cursor_t **ret_cursor,
                   struct err *err) MUST_CHECK;
void kv_cursor_close(kv_cursor_t **self_p);
/* ERR_NOT_FOUND past either end. The key is used by KV_AT_OR_AFTER alone. */
int kv_cursor_move(kv_cursor_t *self, enum kv_move move, struct bytes key, struct bytes *ret_key,
                   struct bytes *ret_value, struct err *err) MUST_CHECK;

struct kv_info {
    uint64_t map_bytes, used_bytes;
    const char *engine;
    const char *durability;
};
void kv_info(kv_t *self, struct kv_info *ret_info);

#endif
