/* The files that hostd keeps: records of processes, the host's id, and what processes wrote. */
#include "hostd/output.h"
#include "hostd/record.h"

#include "base/limits.h"
#include "base/utf8.h"
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define INSTANCE "inst_01h455vb4pex5vsknk084sn02q"
#define LATER    "inst_01h455vb4pex5vsknk084sn02r"

static int set_up(void **state)
{
    char dir[] = "/tmp/af-files-XXXXXX";
    struct run_paths *paths = xcalloc(1, sizeof *paths);
    *state = paths;
    return !mkdtemp(dir) || run_paths_init(paths, dir, NULL) || run_paths_make(paths, NULL);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static int tear_down(void **state)
{
    struct run_paths *paths = *state;
    nftw(paths->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    run_paths_release(paths);
    free(paths);
    return 0;
}

struct found {
    struct record records[4];
    size_t count;
};

static void note(void *context, const struct record *record)
{
    struct found *found = context;
    assert_true(found->count < 4);
    found->records[found->count++] = *record;
}

static void write_text(const char *path, const void *text, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

static void test_records_come_back(void **state)
{
    const struct run_paths *paths = *state;
    struct found found = {0};
    struct record record = {.instance = LATER,
                            .agent = "echo-1",
                            .pid = 4711,
                            .starttime = UINT64_MAX,
                            .boot = 1234567890123456,
                            .memory_bytes = 1 << 30,
                            .restarts = 7};
    assert_int_equal(record_write(paths, &record, NULL), 0);
    record.pid = 4712;
    assert_int_equal(record_write(paths, &record, NULL), 0);
    memcpy(record.instance, INSTANCE, sizeof INSTANCE);
    assert_int_equal(record_write(paths, &record, NULL), 0);
    assert_int_equal(record_each(paths, note, &found, NULL), 0);
    assert_int_equal(found.count, 2);
    assert_string_equal(found.records[0].instance, INSTANCE);
    const struct record *second = &found.records[1];
    assert_string_equal(second->instance, LATER);
    assert_string_equal(second->agent, "echo-1");
    assert_int_equal(second->pid, 4712);
    assert_true(second->starttime == UINT64_MAX && second->boot == 1234567890123456);
    assert_true(second->memory_bytes == 1 << 30 && second->restarts == 7);
    record_remove(paths, LATER);
    found.count = 0;
    assert_int_equal(record_each(paths, note, &found, NULL), 0);
    assert_int_equal(found.count, 1);
}

static void test_removes_records_that_are_none(void **state)
{
    const struct run_paths *paths = *state;
    static const char *const texts[] = {"",
                                        "1 2 3\n",
                                        "x 2 3 4 5 echo\n",
                                        "-1 2 3 4 5 echo\n",
                                        "99999999999 2 3 4 5 echo\n",
                                        "1 2 3 4 5 Not-A-Name\n"};
    char path[256];
    struct found found = {0};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        snprintf(path, sizeof path, "%s/instances/" INSTANCE, paths->run);
        write_text(path, texts[i], strlen(texts[i]));
        assert_int_equal(record_each(paths, note, &found, NULL), 0);
        assert_int_equal(found.count, 0);
        assert_int_equal(access(path, F_OK), -1);
    }
    snprintf(path, sizeof path, "%s/instances/no-id", paths->run);
    write_text(path, "1 2 3 4 5 echo\n", 15);
    assert_int_equal(record_each(paths, note, &found, NULL), 0);
    assert_int_equal(found.count, 0);
}

static void test_a_host_keeps_its_id(void **state)
{
    const struct run_paths *paths = *state;
    char first[TYPEID_TEXT_SIZE], second[TYPEID_TEXT_SIZE], path[256];
    struct err err = {0};
    assert_int_equal(record_host_id(paths, first, &err), 0);
    assert_memory_equal(first, "host_", 5);
    assert_int_equal(record_host_id(paths, second, &err), 0);
    assert_string_equal(first, second);
    snprintf(path, sizeof path, "%s/host_id", paths->dir);
    write_text(path, "nonsense", 8);
    assert_int_not_equal(record_host_id(paths, second, &err), 0);
    assert_string_equal(err.where, path);
}

static void test_a_tail_is_the_last_lines(void **state)
{
    const struct run_paths *paths = *state;
    struct buf text = {0}, tail = {0};
    char *path = output_path(paths, "echo", INSTANCE);
    output_tail(path, &tail);
    assert_int_equal(tail.size, 0);
    for (int i = 1; i <= LIMIT_STDERR_TAIL_LINES + 10; i++)
        buf_printf(&text, "line %d\n", i);
    write_text(path, text.data, text.size);
    output_tail(path, &tail);
    assert_memory_equal(tail.data, "line 11\n", 8);
    assert_non_null(strstr(buf_string(&tail), "line 74\n"));
    write_text(path, "no newline", 10);
    buf_clear(&tail);
    output_tail(path, &tail);
    assert_string_equal(buf_string(&tail), "no newline");
    buf_release(&text);
    buf_release(&tail);
    free(path);
}

static void test_a_tail_is_text_whatever_was_written(void **state)
{
    const struct run_paths *paths = *state;
    struct buf tail = {0};
    char *path = output_path(paths, "echo", INSTANCE);
    write_text(path, "a\0b\xff\xfe\xc3", 6);
    output_tail(path, &tail);
    assert_true(utf8_valid(tail.data, tail.size));
    assert_int_equal(strlen(buf_string(&tail)), tail.size);
    assert_memory_equal(tail.data, "a b", 3);
    buf_release(&tail);
    free(path);
}

static void test_an_overflowing_log_is_cut_to_its_tail(void **state)
{
    const struct run_paths *paths = *state;
    struct buf text = {0}, tail = {0};
    struct stat status;
    char *path = output_path(paths, "echo", INSTANCE);
    while (text.size <= LIMIT_INSTANCE_LOG_BYTES)
        buf_printf(&text, "a line of some length at %zu\n", text.size);
    write_text(path, text.data, LIMIT_INSTANCE_LOG_BYTES);
    output_trim(path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, LIMIT_INSTANCE_LOG_BYTES);
    buf_puts(&text, "the last line\n");
    write_text(path, text.data, text.size);
    output_trim(path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, LIMIT_STDERR_TAIL_BYTES);
    output_tail(path, &tail);
    assert_non_null(strstr(buf_string(&tail), "the last line\n"));
    buf_release(&text);
    buf_release(&tail);
    free(path);
}

static void test_archives_what_an_instance_wrote(void **state)
{
    const struct run_paths *paths = *state;
    struct buf tail = {0};
    char *path = output_path(paths, "echo", INSTANCE);
    char archive[256];
    snprintf(archive, sizeof archive, "%s/agentd-echo.log", paths->log);
    write_text(path, "boom", 4);
    output_archive(paths, "echo", INSTANCE, "exited with status 1", "boom");
    output_archive(paths, "echo", LATER, "ended", "");
    assert_int_equal(access(path, F_OK), -1);
    output_tail(archive, &tail);
    const char *text = buf_string(&tail);
    assert_non_null(strstr(text, INSTANCE " exited with status 1\nboom\n--- "));
    assert_non_null(strstr(text, LATER " ended\n"));

    char *much = xcalloc(1, LIMIT_AGENT_LOG_BYTES + 1);
    write_text(archive, much, LIMIT_AGENT_LOG_BYTES + 1);
    output_archive(paths, "echo", INSTANCE, "ended", "");
    struct stat status;
    assert_int_equal(stat(archive, &status), 0);
    assert_true(status.st_size < 200);
    free(much);
    buf_release(&tail);
    free(path);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_records_come_back),
        TEST(test_removes_records_that_are_none),
        TEST(test_a_host_keeps_its_id),
        TEST(test_a_tail_is_the_last_lines),
        TEST(test_a_tail_is_text_whatever_was_written),
        TEST(test_an_overflowing_log_is_cut_to_its_tail),
        TEST(test_archives_what_an_instance_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
