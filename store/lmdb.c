/* LMDB behind the seam of kv.h: one environment, no duplicate keys, no nested transactions, and its
 * default durability. What it needs to be told:
 *
 * - The map has a size. Growing it unmaps it, so no read of this process may be open meanwhile:
 *   kv_grow waits for that. Reads that come while it waits are held back a moment, so that a steady
 *   stream of them cannot starve it, and let through then, so that a thread that opens a second
 *   read while it holds one cannot lock up with it.
 * - A file system that fills up in the middle of a write gives a short write, for which LMDB
 *   answers EIO, as it does for a broken disk. A descriptor of our own tells the two apart: the
 *   kernel reports a failed write-back once to every open descriptor, and an allocation shows
 *   whether there is room.
 * - Its lock file is mapped and sparse; touched on a full file system it would kill the process by
 *   SIGBUS. So its room is allocated before LMDB opens it.
 * - A failure while the meta page is written makes LMDB refuse everything that follows. That is
 *   asked for after each failed commit, since then nobody may count on "nothing changed". */
#include "store/kv.h"

#include "base/limits.h"
#include "store/place.h"
#include "store/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define OWN_TABLE       "_store"
#define FORMAT_KEY      "format"
#define FORMAT_TEXT     "agentfactory store format %u\n"
#define MAP_BYTES_LEAST (64u << 10) /* for the pages that an empty store has */
#define PROBE_BYTES     (1 << 20)
#define READER_BYTES    64 /* of one reader's slot in the lock file; its header takes two */

struct kv {
    MDB_env *env;
    MDB_dbi tables[LIMIT_STORE_TABLES];
    bool present[LIMIT_STORE_TABLES]; /* a read-only store may lack tables */
    unsigned table_count;
    char *path;
    char engine[32];
    bool read_only;
    int probe_fd; /* data.mdb; -1: read only */
    uint64_t map_bytes_max;
    MDB_txn *txn; /* the write transaction */

    pthread_mutex_t gate;
    pthread_cond_t changed; /* the last read closed, or the map has grown */
    kv_read_t *reads;
    unsigned read_count;
    bool growing;
    bool map_lost; /* the map could be unmapped but not mapped again */
};

struct kv_read {
    kv_t *kv;
    MDB_txn *txn;
    pthread_t owner;
    kv_read_t *previous, *next;
};

struct kv_cursor {
    MDB_cursor *cursor; /* NULL: the table is not there */
};

static MDB_val val_of(struct bytes bytes)
{
    /* LMDB takes keys without const and doesn't write to them. */
    return (MDB_val){bytes.size, (void *)(uintptr_t)bytes.data};
}

/* --- errors ----------------------------------------------------------------------------------- */

static int code_of(int error)
{
    switch (error) {
    case MDB_MAP_FULL: return ERR_AGAIN;
    case MDB_TXN_FULL: return ERR_TOO_LARGE;
    case MDB_NOTFOUND: return ERR_NOT_FOUND;
    case MDB_READERS_FULL: return ERR_BUSY;
    case MDB_VERSION_MISMATCH: return ERR_VERSION;
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND: return ERR_CORRUPT;
    default: return place_code(error);
    }
}

static const char *remedy(int code)
{
    switch (code) {
    case ERR_FULL: return "free room on its file system";
    case ERR_TOO_LARGE: return "split the batch";
    case ERR_CORRUPT: return "restore the store from a backup, and check the disk and the memory";
    case ERR_VERSION: return "use the program that wrote the store, or another directory";
    case ERR_BUSY: return "close snapshots, and end programs that read the store";
    default: return "check the disk and the kernel's log, then start again";
    }
}

static int report(const kv_t *self, int code, int error, const char *what, struct err *err)
{
    err_set(err, code, "%s: %s", what, mdb_strerror(error));
    err_where(err, "%s", self->path);
    err_fix(err, "%s", remedy(code));
    return code;
}

static bool room_is_left(const kv_t *self)
{
    struct stat status;
    struct statvfs room;
    if (fstat(self->probe_fd, &status) < 0)
        return true;
    if (fallocate(self->probe_fd, FALLOC_FL_KEEP_SIZE, status.st_size, PROBE_BYTES) == 0)
        return true;
    if (errno == ENOSPC || errno == EDQUOT)
        return false;
    return fstatvfs(self->probe_fd, &room) < 0 ||
           (uint64_t)room.f_bavail * room.f_frsize >= PROBE_BYTES;
}

/* Whether EIO of a write stands for a full file system: nothing failed on its way to the disk, and
 * there is no room. In doubt it is the disk. */
static bool full_in_disguise(const kv_t *self)
{
    return self->probe_fd >= 0 && fdatasync(self->probe_fd) == 0 && !room_is_left(self);
}

static int fail_write(const kv_t *self, int error, const char *what, struct err *err)
{
    if (error == EIO && full_in_disguise(self))
        error = ENOSPC;
    int code = code_of(error);
    if (code == ERR_CORRUPT || code == ERR_BUSY || code == ERR_VERSION)
        code = ERR_IO;
    return report(self, code, error, what, err);
}

/* --- open and close --------------------------------------------------------------------------- */

/* LMDB takes the number of readers from the size of a lock file that is larger than it asked for,
 * so a little too much does no harm. */
static int reserve_lock_file(const kv_t *self, struct err *err)
{
    char *name = xasprintf("%s/lock.mdb", self->path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int error = fd < 0 ? errno : posix_fallocate(fd, 0, (LIMIT_STORE_READERS + 2) * READER_BYTES);
    if (fd >= 0)
        close(fd);
    free(name);
    return error ? report(self, place_code(error), error, "cannot make the table of readers", err)
                 : 0;
}

static int open_environment(kv_t *self, const struct kv_options *options, const char *data_file,
                            struct err *err)
{
    unsigned flags = MDB_NOTLS | (options->read_only ? MDB_RDONLY : 0);
    size_t map =
        options->map_bytes_initial > MAP_BYTES_LEAST ? options->map_bytes_initial : MAP_BYTES_LEAST;
    bool fresh = access(data_file, F_OK) != 0;
    CHECK(mdb_env_create(&self->env) == 0);
    CHECK(mdb_env_set_maxdbs(self->env, LIMIT_STORE_TABLES + 1) == 0);
    CHECK(mdb_env_set_maxreaders(self->env, LIMIT_STORE_READERS) == 0);
    CHECK(mdb_env_set_mapsize(self->env, map) == 0);
    int error = mdb_env_open(self->env, self->path, flags, 0600);
    if (error == 0)
        return 0;
    /* A store of which not even the first pages could be written must not stand in the way of the
     * next try. */
    if (fresh && !options->read_only)
        unlink(data_file);
    if (error == ENOENT && options->read_only)
        return report(self, ERR_NOT_FOUND, error, "there is no store", err);
    return report(self, code_of(error), error, "cannot open the store", err);
}

static int open_probe(kv_t *self, const char *data_file, struct err *err)
{
    self->probe_fd = open(data_file, O_RDWR | O_CLOEXEC);
    return self->probe_fd < 0 ? report(self, ERR_IO, errno, "cannot open the data file", err) : 0;
}

static int open_files(kv_t *self, const struct kv_options *options, struct err *err)
{
    char *data_file = xasprintf("%s/data.mdb", self->path);
    int code = options->read_only ? 0 : reserve_lock_file(self, err);
    if (code == 0)
        code = open_environment(self, options, data_file, err);
    if (code == 0 && !options->read_only)
        code = open_probe(self, data_file, err);
    if (code == 0 && !options->read_only)
        code = place_sync(self->path, err);
    free(data_file);
    return code;
}

static int other_format(const kv_t *self, const char *found, unsigned wanted, struct err *err)
{
    int code =
        err_set(err, ERR_VERSION, "the store has %s, this program uses format %u", found, wanted);
    err_where(err, "%s", self->path);
    err_fix(err, "%s", remedy(ERR_VERSION));
    return code;
}

/* The format stands in the clear, without a checksum, since how checksums are made is part of what
 * it says. */
static int check_format(kv_t *self, MDB_dbi table, unsigned wanted, struct err *err)
{
    MDB_val key = val_of(bytes_of_string(FORMAT_KEY)), value;
    char text[64], found[64];
    unsigned format = 0;
    int error = mdb_get(self->txn, table, &key, &value);
    if (error == MDB_NOTFOUND)
        return other_format(self, "no format number", wanted, err);
    if (error)
        return report(self, code_of(error), error, "cannot read the format", err);
    size_t size = value.mv_size < sizeof text ? value.mv_size : sizeof text - 1;
    memcpy(text, value.mv_data, size);
    text[size] = '\0';
    if (sscanf(text, FORMAT_TEXT, &format) != 1)
        return other_format(self, "no readable format number", wanted, err);
    snprintf(found, sizeof found, "format %u", format);
    return format == wanted ? 0 : other_format(self, found, wanted, err);
}

static int write_format(kv_t *self, unsigned format, struct err *err)
{
    MDB_dbi table;
    char text[64];
    MDB_val key = val_of(bytes_of_string(FORMAT_KEY)), value = {0, text};
    value.mv_size = (size_t)snprintf(text, sizeof text, FORMAT_TEXT, format);
    int error = mdb_dbi_open(self->txn, OWN_TABLE, MDB_CREATE, &table);
    if (error == 0)
        error = mdb_put(self->txn, table, &key, &value, 0);
    return error ? fail_write(self, error, "cannot write the format", err) : 0;
}

static int settle_format(kv_t *self, unsigned format, struct err *err)
{
    MDB_dbi table, names;
    MDB_stat stat;
    int error = mdb_dbi_open(self->txn, OWN_TABLE, 0, &table);
    if (error == 0)
        return check_format(self, table, format, err);
    if (error == MDB_NOTFOUND && (error = mdb_dbi_open(self->txn, NULL, 0, &names)) == 0)
        error = mdb_stat(self->txn, names, &stat);
    if (error)
        return report(self, code_of(error), error, "cannot read the format", err);
    if (stat.ms_entries || self->read_only)
        return other_format(self, "no format number", format, err);
    return write_format(self, format, err);
}

static int open_tables(kv_t *self, const struct kv_options *options, struct err *err)
{
    int code = settle_format(self, options->format, err);
    for (unsigned i = 0; code == 0 && options->tables[i]; i++) {
        CHECK(i < LIMIT_STORE_TABLES);
        int error = mdb_dbi_open(self->txn, options->tables[i], options->read_only ? 0 : MDB_CREATE,
                                 &self->tables[i]);
        self->present[i] = error == 0;
        self->table_count = i + 1;
        if (error && !(error == MDB_NOTFOUND && options->read_only))
            code = fail_write(self, error, "cannot open a table", err);
    }
    return code;
}

/* One transaction: a store has its format and all its tables, or nothing. */
static int prepare(kv_t *self, const struct kv_options *options, struct err *err)
{
    int error = mdb_txn_begin(self->env, NULL, options->read_only ? MDB_RDONLY : 0, &self->txn);
    if (error)
        return report(self, code_of(error), error, "cannot begin a transaction", err);
    int code = open_tables(self, options, err);
    if (code == 0)
        return kv_commit(self, err);
    kv_abort(self);
    return code;
}

static kv_t *kv_new(const struct kv_options *options)
{
    int major, minor, patch;
    kv_t *self = xcalloc(1, sizeof *self);
    mdb_version(&major, &minor, &patch);
    snprintf(self->engine, sizeof self->engine, "lmdb %d.%d.%d", major, minor, patch);
    self->path = xstrdup(options->path);
    self->read_only = options->read_only;
    self->map_bytes_max = options->map_bytes_max;
    self->probe_fd = -1;
    CHECK(pthread_mutex_init(&self->gate, NULL) == 0);
    wait_init(&self->changed);
    return self;
}

int kv_open(const struct kv_options *options, kv_t **ret_kv, struct err *err)
{
    int dead;
    kv_t *self = kv_new(options);
    int code = open_files(self, options, err);
    if (code == 0) {
        /* A reader that was killed would keep its pages from being used again. */
        mdb_reader_check(self->env, &dead);
        while ((code = prepare(self, options, err)) == ERR_AGAIN)
            if ((code = kv_grow(self, err)) != 0)
                break;
    }
    if (code == 0)
        *ret_kv = self;
    else
        kv_close(&self);
    return code;
}

void kv_close(kv_t **self_p)
{
    kv_t *self = *self_p;
    if (!self)
        return;
    CHECK(!self->reads && !self->txn);
    if (self->env)
        mdb_env_close(self->env);
    if (self->probe_fd >= 0)
        close(self->probe_fd);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->gate);
    free(self->path);
    free(self);
    *self_p = NULL;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int lost(const kv_t *self, struct err *err)
{
    return report(self, ERR_IO, ENOMEM, "the store's map is gone", err);
}

int kv_begin(kv_t *self, struct err *err)
{
    if (self->map_lost)
        return lost(self, err);
    int error = mdb_txn_begin(self->env, NULL, 0, &self->txn);
    return error ? fail_write(self, error, "cannot begin a transaction", err) : 0;
}

int kv_lookup(kv_t *self, unsigned table, struct bytes key, struct bytes *ret_value,
              struct err *err)
{
    MDB_val name = val_of(key), value;
    int error = mdb_get(self->txn, self->tables[table], &name, &value);
    if (error == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    if (error)
        return fail_write(self, error, "cannot read a record", err);
    *ret_value = bytes_of(value.mv_data, value.mv_size);
    return 0;
}

int kv_put(kv_t *self, unsigned table, struct bytes key, size_t value_size, uint8_t **ret_room,
           struct err *err)
{
    MDB_val name = val_of(key), value = {value_size, NULL};
    int error = mdb_put(self->txn, self->tables[table], &name, &value, MDB_RESERVE);
    if (error)
        return fail_write(self, error, "cannot write a record", err);
    *ret_room = value.mv_data;
    return 0;
}

int kv_delete(kv_t *self, unsigned table, struct bytes key, struct err *err)
{
    MDB_val name = val_of(key);
    int error = mdb_del(self->txn, self->tables[table], &name, NULL);
    if (error == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    return error ? fail_write(self, error, "cannot delete a record", err) : 0;
}

static bool panicked(const kv_t *self)
{
    MDB_txn *txn;
    if (mdb_txn_begin(self->env, NULL, 0, &txn))
        return true;
    mdb_txn_abort(txn);
    return false;
}

int kv_commit(kv_t *self, struct err *err)
{
    MDB_txn *txn = self->txn;
    self->txn = NULL;
    int error = mdb_txn_commit(txn);
    if (error == 0)
        return 0;
    int code = fail_write(self, error, "cannot commit", err);
    if (code != ERR_IO && !self->read_only && panicked(self))
        code = report(self, ERR_IO, error, "cannot say whether a commit took place", err);
    return code;
}

void kv_abort(kv_t *self)
{
    mdb_txn_abort(self->txn);
    self->txn = NULL;
}

static uint64_t map_bytes(const kv_t *self)
{
    MDB_envinfo info;
    CHECK(mdb_env_info(self->env, &info) == 0);
    return info.me_mapsize;
}

/* LMDB unmaps before it maps, and what it cannot map again is lost: so it is tried out first. */
static bool address_space_left(uint64_t size)
{
    void *trial = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return trial != MAP_FAILED && munmap(trial, size) == 0;
}

static int remap(kv_t *self, uint64_t size, struct err *err)
{
    if (!address_space_left(size)) {
        int code =
            err_set(err, ERR_FULL, "no address space for a store of %" PRIu64 " bytes", size);
        err_where(err, "%s", self->path);
        err_fix(err, "raise the limit on this process's address space");
        return code;
    }
    int error = mdb_env_set_mapsize(self->env, size);
    self->map_lost = error != 0;
    return error ? report(self, ERR_IO, error, "cannot map the store again", err) : 0;
}

static int at_its_largest(const kv_t *self, struct err *err)
{
    int code = err_set(err, ERR_FULL, "the store has reached its largest size of %" PRIu64 " bytes",
                       self->map_bytes_max);
    err_where(err, "%s", self->path);
    err_fix(err, "raise the largest size of the store");
    return code;
}

int kv_grow(kv_t *self, struct err *err)
{
    int dead;
    uint64_t now = map_bytes(self);
    if (now >= self->map_bytes_max)
        return at_its_largest(self, err);
    uint64_t size = now > self->map_bytes_max / 2 ? self->map_bytes_max : now * 2;
    mdb_reader_check(self->env, &dead);
    pthread_mutex_lock(&self->gate);
    self->growing = true;
    while (self->reads)
        pthread_cond_wait(&self->changed, &self->gate);
    int code = remap(self, size, err);
    self->growing = false;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->gate);
    return code;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int enter(kv_t *self, kv_read_t *read, struct err *err)
{
    int code = 0;
    struct timespec deadline = wait_deadline(LIMIT_STORE_COURTESY_US);
    pthread_mutex_lock(&self->gate);
    while (self->growing && wait_until(&self->changed, &self->gate, &deadline))
        ;
    if (self->map_lost) {
        code = lost(self, err);
    } else {
        read->next = self->reads;
        if (read->next)
            read->next->previous = read;
        self->reads = read;
        self->read_count++;
    }
    pthread_mutex_unlock(&self->gate);
    return code;
}

static void leave(kv_t *self, kv_read_t *read)
{
    pthread_mutex_lock(&self->gate);
    if (read->next)
        read->next->previous = read->previous;
    if (read->previous)
        read->previous->next = read->next;
    else
        self->reads = read->next;
    self->read_count--;
    if (!self->reads)
        pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->gate);
}

/* Another process has grown the store since this one, which only reads, mapped it. */
static int follow_growth(kv_t *self)
{
    pthread_mutex_lock(&self->gate);
    int error = MDB_READERS_FULL;
    if (self->read_count == 1) {
        error = mdb_env_set_mapsize(self->env, 0);
        self->map_lost = error != 0;
    }
    pthread_mutex_unlock(&self->gate);
    return error;
}

static int begin_read(kv_t *self, kv_read_t *read)
{
    int dead;
    int error = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &read->txn);
    if (error == MDB_MAP_RESIZED && self->read_only)
        error = follow_growth(self);
    else if (error == MDB_READERS_FULL)
        error = mdb_reader_check(self->env, &dead);
    else
        return error;
    return error ? error : mdb_txn_begin(self->env, NULL, MDB_RDONLY, &read->txn);
}

int kv_read_open(kv_t *self, kv_read_t **ret_read, struct err *err)
{
    kv_read_t *read = xcalloc(1, sizeof *read);
    read->kv = self;
    read->owner = pthread_self();
    int code = enter(self, read, err);
    if (code == 0) {
        int error = begin_read(self, read);
        if (error) {
            leave(self, read);
            code = report(self, code_of(error), error, "cannot open a snapshot", err);
        }
    }
    if (code == 0)
        *ret_read = read;
    else
        free(read);
    return code;
}

void kv_read_close(kv_read_t **self_p)
{
    kv_read_t *self = *self_p;
    if (!self)
        return;
    mdb_txn_abort(self->txn);
    leave(self->kv, self);
    free(self);
    *self_p = NULL;
}

bool kv_read_held_here(kv_t *self)
{
    bool held = false;
    pthread_t here = pthread_self();
    pthread_mutex_lock(&self->gate);
    for (const kv_read_t *read = self->reads; read && !held; read = read->next)
        held = pthread_equal(read->owner, here);
    pthread_mutex_unlock(&self->gate);
    return held;
}

unsigned kv_reads_open(kv_t *self)
{
    pthread_mutex_lock(&self->gate);
    unsigned count = self->read_count;
    pthread_mutex_unlock(&self->gate);
    return count;
}

int kv_get(kv_read_t *self, unsigned table, struct bytes key, struct bytes *ret_value,
           struct err *err)
{
    MDB_val name = val_of(key), value;
    const kv_t *kv = self->kv;
    if (!kv->present[table])
        return ERR_NOT_FOUND;
    int error = mdb_get(self->txn, kv->tables[table], &name, &value);
    if (error == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    if (error)
        return report(kv, ERR_IO, error, "cannot read a record", err);
    *ret_value = bytes_of(value.mv_data, value.mv_size);
    return 0;
}

int kv_cursor_open(kv_read_t *read, unsigned table, kv_cursor_t **ret_cursor, struct err *err)
{
    const kv_t *kv = read->kv;
    kv_cursor_t *self = xcalloc(1, sizeof *self);
    int error =
        kv->present[table] ? mdb_cursor_open(read->txn, kv->tables[table], &self->cursor) : 0;
    if (error) {
        free(self);
        return report(kv, ERR_IO, error, "cannot open a scan", err);
    }
    *ret_cursor = self;
    return 0;
}

void kv_cursor_close(kv_cursor_t **self_p)
{
    kv_cursor_t *self = *self_p;
    if (!self)
        return;
    if (self->cursor)
        mdb_cursor_close(self->cursor);
    free(self);
    *self_p = NULL;
}

int kv_cursor_move(kv_cursor_t *self, enum kv_move move, struct bytes key, struct bytes *ret_key,
                   struct bytes *ret_value, struct err *err)
{
    static const MDB_cursor_op OPERATIONS[] = {
        [KV_FIRST] = MDB_FIRST, [KV_LAST] = MDB_LAST,     [KV_AT_OR_AFTER] = MDB_SET_RANGE,
        [KV_NEXT] = MDB_NEXT,   [KV_PREVIOUS] = MDB_PREV,
    };
    MDB_val name = val_of(key), value;
    int error =
        self->cursor ? mdb_cursor_get(self->cursor, &name, &value, OPERATIONS[move]) : MDB_NOTFOUND;
    if (error == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    if (error)
        return err_set(err, ERR_IO, "cannot go on with a scan: %s", mdb_strerror(error));
    *ret_key = bytes_of(name.mv_data, name.mv_size);
    *ret_value = bytes_of(value.mv_data, value.mv_size);
    return 0;
}

void kv_info(kv_t *self, struct kv_info *ret_info)
{
    MDB_envinfo info = {0};
    MDB_stat stat = {0};
    pthread_mutex_lock(&self->gate);
    if (!self->map_lost) {
        CHECK(mdb_env_info(self->env, &info) == 0);
        CHECK(mdb_env_stat(self->env, &stat) == 0);
    }
    pthread_mutex_unlock(&self->gate);
    *ret_info = (struct kv_info){
        .map_bytes = info.me_mapsize,
        .used_bytes = (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize,
        .engine = self->engine,
        .durability = "fdatasync on every commit",
    };
}
