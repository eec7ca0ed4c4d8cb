#include "store/testing.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 20000

const char *const TEST_TABLES[] = {"journal", "other", NULL};

char *test_directory(void)
{
    const char *above = getenv("TMPDIR");
    char *path = xasprintf("%s/store-test-XXXXXX", above ? above : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

static void remove_files(const char *path)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    if (!directory)
        return;
    while ((entry = readdir(directory)) != NULL)
        unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    rmdir(path);
}

void test_directory_remove(char **path_p)
{
    char *inner = xasprintf("%s/store", *path_p);
    remove_files(inner);
    remove_files(*path_p);
    free(inner);
    free(*path_p);
    *path_p = NULL;
}

store_t *test_open_with(const char *path, struct store_options options)
{
    struct err err = {0};
    char text[800];
    store_t *store = NULL;
    char *inner = xasprintf("%s/store", path);
    options.path = inner;
    if (!options.tables)
        options.tables = TEST_TABLES;
    if (store_open(&options, &store, &err))
        fail_msg("%s", err_format(&err, text, sizeof text));
    free(inner);
    return store;
}

store_t *test_open(const char *path)
{
    return test_open_with(path, (struct store_options){0});
}

struct bytes test_text(const char *text)
{
    return bytes_of_string(text);
}

int test_apply_put(store_t *store, const char *key, const char *value, struct err *err)
{
    store_batch_t *batch = store_batch_new();
    store_batch_put(batch, "journal", test_text(key), test_text(value));
    int code = store_apply(store, batch, err);
    store_batch_destroy(&batch);
    return code;
}

void test_put(store_t *store, const char *key, const char *value)
{
    assert_int_equal(test_apply_put(store, key, value, NULL), 0);
}

char *test_get(store_t *store, const char *key)
{
    struct bytes value;
    store_snapshot_t *snapshot;
    char *text = NULL;
    assert_int_equal(store_snapshot(store, &snapshot, NULL), 0);
    int code = store_get(snapshot, "journal", test_text(key), &value, NULL);
    if (code == 0)
        text = xstrndup((const char *)value.data, value.size);
    else
        assert_int_equal(code, ERR_NOT_FOUND);
    store_snapshot_close(&snapshot);
    return text;
}

void test_assert_value(store_t *store, const char *key, const char *value)
{
    char *found = test_get(store, key);
    if (!value) {
        assert_null(found);
    } else {
        assert_non_null(found);
        assert_string_equal(found, value);
    }
    free(found);
}

int test_get_code(store_t *store, const char *key, struct err *err)
{
    struct bytes value;
    store_snapshot_t *snapshot;
    assert_int_equal(store_snapshot(store, &snapshot, NULL), 0);
    int code = store_get(snapshot, "journal", test_text(key), &value, err);
    store_snapshot_close(&snapshot);
    return code;
}

unsigned test_count(store_t *store, const char *table)
{
    unsigned count = 0;
    struct bytes key, value;
    store_snapshot_t *snapshot;
    store_scan_t *scan;
    int code;
    assert_int_equal(store_snapshot(store, &snapshot, NULL), 0);
    assert_int_equal(store_scan(snapshot, table, &(struct store_range){0}, &scan, NULL), 0);
    while ((code = store_scan_next(scan, &key, &value, NULL)) == 0)
        count++;
    assert_int_equal(code, ERR_NOT_FOUND);
    store_scan_close(&scan);
    store_snapshot_close(&snapshot);
    return count;
}

void test_submit_put(store_t *store, uint64_t tag, const char *key, const char *value)
{
    store_batch_t *batch = store_batch_new();
    store_batch_put(batch, "journal", test_text(key), test_text(value));
    assert_int_equal(store_submit(store, &batch, tag, NULL), 0);
    assert_null(batch);
}

struct store_completion test_complete(store_t *store)
{
    struct store_completion completion;
    struct pollfd readable = {.fd = store_completion_fd(store), .events = POLLIN};
    if (poll(&readable, 1, WAIT_MS) != 1)
        fail_msg("no completion within %d ms", WAIT_MS);
    assert_true(store_complete(store, &completion));
    return completion;
}

void test_assert_completes(store_t *store, uint64_t tag, int code)
{
    struct store_completion completion = test_complete(store);
    assert_int_equal(completion.tag, tag);
    assert_string_equal(err_name(completion.code), err_name(code));
    assert_int_equal(completion.err.code, code);
    store_batch_destroy(&completion.batch);
}

static size_t read_all(FILE *file, uint8_t **ret_data)
{
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size > 0);
    rewind(file);
    *ret_data = xmalloc((size_t)size);
    assert_int_equal(fread(*ret_data, 1, (size_t)size, file), (size_t)size);
    return (size_t)size;
}

unsigned test_patch(const char *path, const char *find, const char *replace)
{
    uint8_t *data;
    unsigned count = 0;
    char *name = xasprintf("%s/store/data.mdb", path);
    FILE *file = fopen(name, "r+");
    assert_non_null(file);
    size_t size = read_all(file, &data);
    assert_int_equal(strlen(find), strlen(replace));
    for (const uint8_t *at = data;
         (at = memmem(at, size - (size_t)(at - data), find, strlen(find))) != NULL;
         at += strlen(find), count++) {
        assert_int_equal(fseek(file, at - data, SEEK_SET), 0);
        assert_int_equal(fwrite(replace, 1, strlen(replace), file), strlen(replace));
    }
    assert_int_equal(fclose(file), 0);
    free(data);
    free(name);
    return count;
}
