#include "store/record.h"
#include "store/testing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char *path;
    store_t *store;
};

static int set_up(void **state)
{
    struct fixture *self = xcalloc(1, sizeof *self);
    self->path = test_directory();
    self->store = test_open(self->path);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *self = *state;
    store_close(&self->store);
    test_directory_remove(&self->path);
    free(self);
    return 0;
}

static void reopen(struct fixture *self, struct store_options options)
{
    store_close(&self->store);
    self->store = test_open_with(self->path, options);
}

/* --- batches -----------------------------------------------------------------------------------
 */

static void batch_applies_in_order_and_is_used_again(void **state)
{
    struct fixture *self = *state;
    store_batch_t *batch = store_batch_new();
    store_batch_put(batch, "journal", test_text("a"), test_text("1"));
    store_batch_put(batch, "journal", test_text("b"), test_text("2"));
    store_batch_delete(batch, "journal", test_text("a"));
    store_batch_delete(batch, "journal", test_text("was never there"));
    store_batch_put(batch, "journal", test_text("b"), test_text("3"));
    store_batch_put(batch, "other", test_text("b"), test_text(""));
    assert_int_equal(store_batch_operations(batch), 6);
    assert_true(store_batch_size_bytes(batch) > 6);
    assert_int_equal(store_apply(self->store, batch, NULL), 0);
    test_assert_value(self->store, "a", NULL);
    test_assert_value(self->store, "b", "3");
    assert_int_equal(test_count(self->store, "other"), 1);
    assert_int_equal(store_commits(self->store), 1);

    store_batch_clear(batch);
    assert_int_equal(store_batch_operations(batch), 0);
    assert_int_equal(store_batch_size_bytes(batch), 0);
    store_batch_put(batch, "other", test_text("c"), test_text("4"));
    assert_int_equal(store_apply(self->store, batch, NULL), 0);
    assert_int_equal(test_count(self->store, "journal"), 1);
    assert_int_equal(test_count(self->store, "other"), 2);
    store_batch_destroy(&batch);
    assert_null(batch);
    store_batch_destroy(&batch);
}

static void empty_batch_succeeds_without_a_commit(void **state)
{
    struct fixture *self = *state;
    store_batch_t *batch = store_batch_new();
    assert_int_equal(store_apply(self->store, batch, NULL), 0);
    assert_int_equal(store_commits(self->store), 0);
    store_batch_destroy(&batch);
}

static void longest_key_and_large_value_are_kept(void **state)
{
    struct fixture *self = *state;
    uint8_t key[STORE_KEY_MAX];
    size_t size = 3 << 20;
    uint8_t *data = xmalloc(size);
    struct bytes value;
    store_snapshot_t *snapshot;
    memset(key, 0xfe, sizeof key);
    memset(data, 0x5a, size);
    store_batch_t *batch = store_batch_new();
    store_batch_put(batch, "journal", bytes_of(key, sizeof key), bytes_of(data, size));
    assert_int_equal(store_apply(self->store, batch, NULL), 0);
    store_batch_destroy(&batch);
    reopen(self, (struct store_options){0});
    assert_int_equal(store_snapshot(self->store, &snapshot, NULL), 0);
    assert_int_equal(store_get(snapshot, "journal", bytes_of(key, sizeof key), &value, NULL), 0);
    assert_true(bytes_equal(value, bytes_of(data, size)));
    store_snapshot_close(&snapshot);
    free(data);
}

static int require(store_t *store, const char *key, const char *expected, const char *value,
                   struct err *err)
{
    store_batch_t *batch = store_batch_new();
    struct bytes none = {0};
    store_batch_put(batch, "journal", test_text(key), test_text(value));
    store_batch_require(batch, "journal", test_text(key), expected ? test_text(expected) : none);
    int code = store_apply(store, batch, err);
    store_batch_destroy(&batch);
    return code;
}

static void conditions_hold_or_nothing_changes(void **state)
{
    struct fixture *self = *state;
    struct err err;
    assert_int_equal(require(self->store, "k", "1", "x", &err), ERR_CONFLICT);
    assert_non_null(strstr(err.what, "absent"));
    test_assert_value(self->store, "k", NULL);
    assert_int_equal(require(self->store, "k", NULL, "1", NULL), 0);
    assert_int_equal(require(self->store, "k", NULL, "x", &err), ERR_CONFLICT);
    assert_string_equal(err.where, "table journal");
    assert_int_equal(require(self->store, "k", "2", "x", &err), ERR_CONFLICT);
    assert_int_equal(require(self->store, "k", "", "x", &err), ERR_CONFLICT);
    test_assert_value(self->store, "k", "1");
    assert_int_equal(require(self->store, "k", "1", "2", NULL), 0);
    test_assert_value(self->store, "k", "2");
    assert_int_equal(store_commits(self->store), 2);
}

/* --- reads -------------------------------------------------------------------------------------
 */

static void assert_scan(store_t *store, struct store_range range, const char *expected)
{
    store_snapshot_t *snapshot;
    store_scan_t *scan;
    struct bytes key, value;
    struct buf found = {0};
    assert_int_equal(store_snapshot(store, &snapshot, NULL), 0);
    assert_int_equal(store_scan(snapshot, "journal", &range, &scan, NULL), 0);
    while (store_scan_next(scan, &key, &value, NULL) == 0) {
        assert_true(bytes_equal(key, value));
        buf_append_bytes(&found, key);
        buf_putc(&found, ' ');
    }
    assert_int_equal(store_scan_next(scan, &key, &value, NULL), ERR_NOT_FOUND);
    assert_string_equal(buf_string(&found), expected);
    buf_release(&found);
    store_scan_close(&scan);
    store_snapshot_close(&snapshot);
}

static void scans_keep_to_their_range(void **state)
{
    struct fixture *self = *state;
    static const char *const KEYS[] = {"a", "aa", "ab", "abc", "ac", "b", "\xff", "\xff\xff"};
    struct bytes none = {0};
    store_t *store = self->store;
    assert_scan(store, (struct store_range){0}, "");
    assert_scan(store, (struct store_range){.reverse = true}, "");
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        test_put(store, KEYS[i], KEYS[i]);
    static const struct {
        const char *from, *to, *prefix, *forward, *reverse;
    } CASES[] = {
        {"", "", "", "a aa ab abc ac b \xff \xff\xff ", "\xff\xff \xff b ac abc ab aa a "},
        {"ab", "", "", "ab abc ac b \xff \xff\xff ", "\xff\xff \xff b ac abc ab "},
        {"abb", "ac", "", "abc ", "abc "},
        {"", "ab", "", "a aa ", "aa a "},
        {"", "zz", "", "a aa ab abc ac b ", "b ac abc ab aa a "},
        {"c", "d", "", "", ""},
        {"b", "a", "", "", ""},
        {"", "", "ab", "ab abc ", "abc ab "},
        {"", "", "a", "a aa ab abc ac ", "ac abc ab aa a "},
        {"", "", "\xff", "\xff \xff\xff ", "\xff\xff \xff "},
        {"", "", "\xff\xff", "\xff\xff ", "\xff\xff "},
        {"aba", "ac", "a", "abc ", "abc "},
        {"", "ab", "a", "a aa ", "aa a "},
        {"0", "z", "ab", "ab abc ", "abc ab "},
        {"", "", "nothing", "", ""},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct store_range range = {
            .from = *CASES[i].from ? test_text(CASES[i].from) : none,
            .to = *CASES[i].to ? test_text(CASES[i].to) : none,
            .prefix = *CASES[i].prefix ? test_text(CASES[i].prefix) : none,
        };
        assert_scan(store, range, CASES[i].forward);
        range.reverse = true;
        assert_scan(store, range, CASES[i].reverse);
    }
}

static void snapshot_sees_one_moment(void **state)
{
    struct fixture *self = *state;
    store_snapshot_t *snapshot;
    struct bytes value;
    test_put(self->store, "k", "before");
    assert_int_equal(store_snapshot(self->store, &snapshot, NULL), 0);
    test_submit_put(self->store, 1, "k", "after");
    test_submit_put(self->store, 2, "new", "after");
    /* The map has room, so commits don't wait for the snapshot. */
    test_assert_completes(self->store, 1, 0);
    test_assert_completes(self->store, 2, 0);
    assert_int_equal(store_get(snapshot, "journal", test_text("k"), &value, NULL), 0);
    assert_true(bytes_equal(value, test_text("before")));
    assert_int_equal(store_get(snapshot, "journal", test_text("new"), &value, NULL), ERR_NOT_FOUND);
    store_snapshot_close(&snapshot);
    test_assert_value(self->store, "k", "after");
}

static void what_was_applied_is_there_after_reopening(void **state)
{
    struct fixture *self = *state;
    struct store_info info;
    test_put(self->store, "k", "v");
    reopen(self, (struct store_options){0});
    test_assert_value(self->store, "k", "v");
    store_info(self->store, &info);
    assert_int_equal(info.format, STORE_FORMAT);
    assert_int_equal(info.commits, 0);
    assert_int_equal(info.map_bytes, 256 << 20);
    assert_true(info.used_bytes > 0 && info.used_bytes < info.map_bytes);
    assert_memory_equal(info.engine, "lmdb 0.", 7);
    assert_string_equal(info.durability, "fdatasync on every commit");
}

static void read_only_store_reads(void **state)
{
    struct fixture *self = *state;
    static const char *const MORE_TABLES[] = {"journal", "not there", NULL};
    test_put(self->store, "k", "v");
    reopen(self, (struct store_options){.read_only = true, .tables = MORE_TABLES});
    test_assert_value(self->store, "k", "v");
    assert_int_equal(test_count(self->store, "not there"), 0);
    store_snapshot_t *snapshot;
    struct bytes value;
    assert_int_equal(store_snapshot(self->store, &snapshot, NULL), 0);
    assert_int_equal(store_get(snapshot, "not there", test_text("k"), &value, NULL), ERR_NOT_FOUND);
    store_snapshot_close(&snapshot);
}

/* --- what is refused ---------------------------------------------------------------------------
 */

static void assert_open_fails(const char *path, bool read_only, int code, struct err *err)
{
    store_t *store = NULL;
    struct store_options options = {.path = path, .tables = TEST_TABLES, .read_only = read_only};
    assert_string_equal(err_name(store_open(&options, &store, err)), err_name(code));
    assert_null(store);
    assert_true(err->fix[0] != '\0');
    assert_non_null(strstr(err->where, path));
}

static void odd_paths_are_refused_with_a_remedy(void **state)
{
    struct fixture *self = *state;
    struct err err;
    struct stat status;
    char *path = xasprintf("%s/store", self->path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    free(path);
    path = xasprintf("%s/no/store", self->path);
    assert_open_fails(path, false, ERR_NOT_FOUND, &err);
    assert_open_fails(path, true, ERR_NOT_FOUND, &err);
    free(path);
    path = xasprintf("%s/store/data.mdb", self->path);
    assert_open_fails(path, false, ERR_IO, &err);
    assert_non_null(strstr(err.what, "Not a directory"));
    free(path);
}

static void second_opener_is_told_the_pid(void **state)
{
    struct fixture *self = *state;
    struct err err;
    char *path = xasprintf("%s/store", self->path);
    char *expected = xasprintf("in use by process %ld", (long)getpid());
    assert_open_fails(path, false, ERR_BUSY, &err);
    assert_non_null(strstr(err.what, expected));
    store_close(&self->store);
    self->store = test_open(self->path);
    free(expected);
    free(path);
}

/* Runs in a child: opens the store, says so, and stays until it is killed. */
static void hold_store(const char *path, int say)
{
    store_t *store = NULL;
    char *inner = xasprintf("%s/store", path);
    struct store_options options = {.path = inner, .tables = TEST_TABLES};
    if (store_open(&options, &store, NULL) == 0 && write(say, "x", 1) == 1)
        pause();
    _exit(1);
}

static void killed_holder_gives_the_lock_up(void **state)
{
    struct fixture *self = *state;
    struct err err;
    int pipes[2];
    char byte;
    char *path = xasprintf("%s/store", self->path);
    store_close(&self->store);
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0)
        hold_store(self->path, pipes[1]);
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_open_fails(path, false, ERR_BUSY, &err);
    char *expected = xasprintf("process %ld", (long)child);
    assert_non_null(strstr(err.what, expected));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    self->store = test_open(self->path);
    test_put(self->store, "k", "v");
    close(pipes[0]);
    free(expected);
    free(path);
}

static void other_format_is_refused_with_both_numbers(void **state)
{
    struct fixture *self = *state;
    struct err err;
    char *path = xasprintf("%s/store", self->path);
    store_close(&self->store);
    assert_true(test_patch(self->path, "store format 1\n", "store format 7\n") > 0);
    assert_open_fails(path, false, ERR_VERSION, &err);
    assert_non_null(strstr(err.what, "format 7"));
    assert_non_null(strstr(err.what, "format 1"));
    assert_open_fails(path, true, ERR_VERSION, &err);
    test_patch(self->path, "store format 7\n", "store format 1\n");
    self->store = test_open(self->path);
    free(path);
}

static void file_that_is_no_store_is_refused(void **state)
{
    struct fixture *self = *state;
    struct err err;
    char *path = xasprintf("%s/store", self->path);
    char *data = xasprintf("%s/data.mdb", path);
    store_close(&self->store);
    FILE *file = fopen(data, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < 20000; i++)
        fputc('z', file);
    fclose(file);
    assert_open_fails(path, false, ERR_CORRUPT, &err);
    assert_int_equal(access(data, F_OK), 0);
    free(data);
    free(path);
}

/* --- corruption --------------------------------------------------------------------------------
 */

static void changed_value_is_reported_and_never_returned(void **state)
{
    struct fixture *self = *state;
    struct err err;
    store_snapshot_t *snapshot;
    store_scan_t *scan;
    struct bytes key, value;
    test_put(self->store, "k0", "good");
    test_put(self->store, "k1", "the value that will be changed");
    test_put(self->store, "k2", "good");
    store_close(&self->store);
    assert_true(test_patch(self->path, "that will be changed", "that will by changed") > 0);
    self->store = test_open(self->path);

    assert_int_equal(test_get_code(self->store, "k1", &err), ERR_CORRUPT);
    assert_string_equal(err.where, "table journal, key 6b31");
    assert_int_equal(require(self->store, "k1", "good", "x", &err), ERR_CORRUPT);

    assert_int_equal(store_snapshot(self->store, &snapshot, NULL), 0);
    assert_int_equal(store_scan(snapshot, "journal", &(struct store_range){0}, &scan, NULL), 0);
    assert_int_equal(store_scan_next(scan, &key, &value, NULL), 0);
    assert_int_equal(store_scan_next(scan, &key, &value, &err), ERR_CORRUPT);
    assert_true(bytes_equal(key, test_text("k1")));
    assert_string_equal(err.where, "table journal, key 6b31");
    assert_int_equal(store_scan_next(scan, &key, &value, NULL), 0);
    assert_true(bytes_equal(key, test_text("k2")));
    assert_int_equal(store_scan_next(scan, &key, &value, NULL), ERR_NOT_FOUND);
    store_scan_close(&scan);
    store_snapshot_close(&snapshot);

    test_put(self->store, "k1", "mended");
    test_assert_value(self->store, "k1", "mended");
}

static void value_under_a_wrong_key_is_found(void **state)
{
    struct fixture *self = *state;
    struct err err;
    test_put(self->store, "key-long-enough-A", "value");
    store_close(&self->store);
    assert_true(test_patch(self->path, "key-long-enough-A", "key-long-enough-B") > 0);
    self->store = test_open(self->path);
    assert_int_equal(test_get_code(self->store, "key-long-enough-A", NULL), ERR_NOT_FOUND);
    assert_int_equal(test_get_code(self->store, "key-long-enough-B", &err), ERR_CORRUPT);
}

static void checksum_covers_table_key_and_every_byte(void **state)
{
    struct tables tables;
    uint8_t stored[5 + RECORD_SUM_BYTES];
    struct bytes value, key = test_text("key");
    (void)state;
    tables_init(&tables, TEST_TABLES);
    const struct table *table = &tables.list[0];
    record_seal(table, key, test_text("value"), stored);
    struct bytes all = bytes_of(stored, sizeof stored);
    assert_int_equal(record_open(table, key, all, &value, NULL), 0);
    assert_true(bytes_equal(value, test_text("value")));
    assert_int_equal(record_open(&tables.list[1], key, all, &value, NULL), ERR_CORRUPT);
    assert_int_equal(record_open(table, test_text("kez"), all, &value, NULL), ERR_CORRUPT);
    for (size_t bit = 0; bit < sizeof stored * 8; bit++) {
        stored[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(record_open(table, key, all, &value, NULL), ERR_CORRUPT);
        stored[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 0; size < sizeof stored; size++)
        assert_int_equal(record_open(table, key, bytes_of(stored, size), &value, NULL),
                         ERR_CORRUPT);
    tables_release(&tables);
}

static void long_key_is_cut_in_the_report(void **state)
{
    struct tables tables;
    struct err err;
    struct bytes value;
    uint8_t key[STORE_KEY_MAX];
    (void)state;
    memset(key, 0xab, sizeof key);
    tables_init(&tables, TEST_TABLES);
    assert_int_equal(
        record_open(&tables.list[1], bytes_of(key, sizeof key), (struct bytes){0}, &value, &err),
        ERR_CORRUPT);
    assert_memory_equal(err.where, "table other, key abababab", 25);
    assert_string_equal(err.where + strlen(err.where) - 5, "ab...");
    tables_release(&tables);
}

/* --- the map that grows ------------------------------------------------------------------------
 */

struct readers {
    store_t *store;
    atomic_bool stop;
    atomic_uint reads;
};

static void *read_on(void *argument)
{
    struct readers *self = argument;
    while (!atomic_load(&self->stop)) {
        store_snapshot_t *snapshot;
        struct bytes key, value;
        store_scan_t *scan;
        struct store_range range = {.reverse = true};
        CHECK(store_snapshot(self->store, &snapshot, NULL) == 0);
        CHECK(store_scan(snapshot, "journal", &range, &scan, NULL) == 0);
        for (unsigned i = 0; i < 20 && store_scan_next(scan, &key, &value, NULL) == 0; i++)
            CHECK(value.size == 4000 && value.data[3999] == key.data[key.size - 1]);
        store_scan_close(&scan);
        store_snapshot_close(&snapshot);
        atomic_fetch_add(&self->reads, 1);
    }
    return NULL;
}

static void put_numbered(store_t *store, unsigned number)
{
    char key[32], value[4000];
    store_batch_t *batch = store_batch_new();
    snprintf(key, sizeof key, "key-%06u", number);
    memset(value, key[strlen(key) - 1], sizeof value);
    store_batch_put(batch, "journal", test_text(key), bytes_of(value, sizeof value));
    assert_int_equal(store_apply(store, batch, NULL), 0);
    store_batch_destroy(&batch);
}

static void map_grows_while_others_read(void **state)
{
    struct fixture *self = *state;
    pthread_t threads[3];
    struct store_info info;
    reopen(self, (struct store_options){.map_bytes_initial = 1});
    struct readers readers = {.store = self->store};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers), 0);
    for (unsigned i = 0; i < 400; i++)
        put_numbered(self->store, i);
    atomic_store(&readers.stop, true);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(atomic_load(&readers.reads) > 0);
    assert_int_equal(test_count(self->store, "journal"), 400);
    store_info(self->store, &info);
    assert_true(info.map_bytes >= 400 * 4096);
    reopen(self, (struct store_options){.map_bytes_initial = 1});
    assert_int_equal(test_count(self->store, "journal"), 400);
    put_numbered(self->store, 400);
}

/* The commit needs a larger map, which waits for the first snapshot; a second one of the same
 * thread must be let through meanwhile. */
static void growing_waits_for_snapshots_without_locking_up(void **state)
{
    struct fixture *self = *state;
    store_snapshot_t *first, *second;
    struct store_completion completion;
    struct bytes value;
    size_t size = 4 << 20;
    reopen(self, (struct store_options){.map_bytes_initial = 1});
    test_put(self->store, "k", "old");
    assert_int_equal(store_snapshot(self->store, &first, NULL), 0);
    uint8_t *data = xcalloc(1, size);
    store_batch_t *batch = store_batch_new();
    store_batch_put(batch, "journal", test_text("large"), bytes_of(data, size));
    store_batch_put(batch, "journal", test_text("k"), test_text("new"));
    assert_int_equal(store_submit(self->store, &batch, 7, NULL), 0);
    assert_int_equal(store_snapshot(self->store, &second, NULL), 0);
    assert_int_equal(store_get(second, "journal", test_text("k"), &value, NULL), 0);
    assert_true(bytes_equal(value, test_text("old")));
    store_snapshot_close(&second);
    assert_false(store_complete(self->store, &completion));
    assert_int_equal(store_get(first, "journal", test_text("k"), &value, NULL), 0);
    assert_true(bytes_equal(value, test_text("old")));
    store_snapshot_close(&first);
    test_assert_completes(self->store, 7, 0);
    test_assert_value(self->store, "k", "new");
    free(data);
}

static void largest_map_answers_full_and_goes_on_with_a_larger_one(void **state)
{
    struct fixture *self = *state;
    struct err err;
    char key[16], value[1001];
    unsigned stored = 0;
    int code;
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    struct store_options small = {.map_bytes_initial = 1, .map_bytes_max = 1 << 20};
    reopen(self, small);
    do {
        snprintf(key, sizeof key, "%u", stored);
        code = test_apply_put(self->store, key, value, &err);
        stored += code == 0;
    } while (code == 0);
    assert_int_equal(code, ERR_FULL);
    assert_non_null(strstr(err.what, "1048576"));
    assert_true(stored > 100);
    assert_int_equal(test_count(self->store, "journal"), stored);
    reopen(self, small);
    assert_int_equal(test_count(self->store, "journal"), stored);
    assert_int_equal(test_apply_put(self->store, key, value, &err), ERR_FULL);
    reopen(self, (struct store_options){.map_bytes_max = 4 << 20});
    test_put(self->store, key, value);
    assert_int_equal(test_count(self->store, "journal"), stored + 1);
}

/* In a child: looks, says so, waits until the other process has grown the store, looks again. */
static int look_twice(const char *path, int hear, int say)
{
    char byte;
    store_t *store = NULL;
    char *inner = xasprintf("%s/store", path);
    struct store_options options = {
        .path = inner, .tables = TEST_TABLES, .map_bytes_initial = 1, .read_only = true};
    if (read(hear, &byte, 1) != 1 || store_open(&options, &store, NULL) != 0)
        return 1;
    if (test_get_code(store, "key-000000", NULL) != 0 || write(say, "x", 1) != 1)
        return 2;
    if (read(hear, &byte, 1) != 1 || test_get_code(store, "key-000300", NULL) != 0)
        return 3;
    store_close(&store);
    free(inner);
    return 0;
}

static void reader_in_another_process_follows_the_growth(void **state)
{
    struct fixture *self = *state;
    int down[2], up[2], status;
    char byte;
    store_close(&self->store);
    assert_int_equal(pipe(down), 0);
    assert_int_equal(pipe(up), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(look_twice(self->path, down[0], up[1]));
    close(up[1]);
    self->store = test_open_with(self->path, (struct store_options){.map_bytes_initial = 1});
    put_numbered(self->store, 0);
    assert_int_equal(write(down[1], "x", 1), 1);
    assert_int_equal(read(up[0], &byte, 1), 1);
    for (unsigned i = 1; i <= 300; i++)
        put_numbered(self->store, i);
    assert_int_equal(write(down[1], "x", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(down[0]);
    close(down[1]);
    close(up[0]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(batch_applies_in_order_and_is_used_again),
        TEST(empty_batch_succeeds_without_a_commit),
        TEST(longest_key_and_large_value_are_kept),
        TEST(conditions_hold_or_nothing_changes),
        TEST(scans_keep_to_their_range),
        TEST(snapshot_sees_one_moment),
        TEST(what_was_applied_is_there_after_reopening),
        TEST(read_only_store_reads),
        TEST(odd_paths_are_refused_with_a_remedy),
        TEST(second_opener_is_told_the_pid),
        TEST(killed_holder_gives_the_lock_up),
        TEST(other_format_is_refused_with_both_numbers),
        TEST(file_that_is_no_store_is_refused),
        TEST(changed_value_is_reported_and_never_returned),
        TEST(value_under_a_wrong_key_is_found),
        cmocka_unit_test(checksum_covers_table_key_and_every_byte),
        cmocka_unit_test(long_key_is_cut_in_the_report),
        TEST(map_grows_while_others_read),
        TEST(growing_waits_for_snapshots_without_locking_up),
        TEST(largest_map_answers_full_and_goes_on_with_a_larger_one),
        TEST(reader_in_another_process_follows_the_growth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
