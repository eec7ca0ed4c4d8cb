#include "base/test.h"

#include "base/err.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_names_map_both_ways(void **state)
{
    (void)state;
#define EXPECT(code, number, name, text)                                                           \
    assert_int_equal(ERR_##code, -(number));                                                       \
    assert_string_equal(err_name(ERR_##code), name);                                               \
    assert_int_equal(err_from_name(name), ERR_##code);                                             \
    assert_string_equal(err_text(ERR_##code), text);
    ERR_MAP(EXPECT)
#undef EXPECT
    assert_string_equal(err_name(0), "ok");
    assert_string_equal(err_name(-1000), "internal");
    assert_string_equal(err_name(7), "internal");
    assert_int_equal(err_from_name("no such name"), ERR_INTERNAL);
}

static void test_set_clears_the_rest(void **state)
{
    (void)state;
    struct err err = {.line = 3, .column = 4};
    err_where(&err, "old");
    err_fix(&err, "old");
    assert_int_equal(err_set(&err, ERR_BUSY, "%d of %s", 3, "it"), ERR_BUSY);
    assert_int_equal(err.code, ERR_BUSY);
    assert_string_equal(err.what, "3 of it");
    assert_string_equal(err.where, "");
    assert_string_equal(err.fix, "");
    assert_int_equal(err.line, 0);
    assert_int_equal(err.column, 0);
}

static void test_no_detail_wanted(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_IO, "x"), ERR_IO);
    err_where(NULL, "x");
    err_fix(NULL, "x");
}

static void test_old_texts_may_be_arguments(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, ERR_IO, "inner");
    err_where(&err, "b");
    err_where(&err, "a.%s", err.where);
    assert_string_equal(err.where, "a.b");
    err_set(&err, ERR_FAILED, "outer: %s (%s)", err.what, err.where);
    assert_string_equal(err.what, "outer: inner (a.b)");
}

static void test_cut_keeps_whole_characters(void **state)
{
    (void)state;
    struct err err;
    char text[400];
    for (size_t i = 0; i < sizeof text - 2; i += 2)
        memcpy(text + i, "\xc3\xa9", 3);
    err_set(&err, ERR_IO, "%s", text);
    assert_int_equal(strlen(err.what), sizeof err.what - 2);
    assert_memory_equal(err.what + sizeof err.what - 4, "\xc3\xa9", 3);
    char small[6];
    err_set(&err, ERR_IO, "%s", "ab\xe2\x82\xac\xe2\x82\xac");
    assert_string_equal(err_format(&err, small, sizeof small), "ab\xe2\x82\xac");
}

static void test_format(void **state)
{
    (void)state;
    struct err err;
    char text[256];
    err_set(&err, ERR_INVALID, "bad");
    assert_string_equal(err_format(&err, text, sizeof text), "bad");
    err_fix(&err, "mend it");
    assert_string_equal(err_format(&err, text, sizeof text), "bad: mend it");
    err.column = 7;
    assert_string_equal(err_format(&err, text, sizeof text), "bad (column 7): mend it");
    err_where(&err, "x.yaml");
    assert_string_equal(err_format(&err, text, sizeof text), "bad (x.yaml, column 7): mend it");
    err.line = 3;
    assert_string_equal(err_format(&err, text, sizeof text), "bad (x.yaml:3:7): mend it");
    err_set(&err, ERR_NOT_FOUND, "%s", "");
    assert_string_equal(err_format(&err, text, sizeof text), "no such thing");
}

/* Runs what must abort in a child, and gives back what it wrote on standard error. */
static void expect_abort(void (*run)(void), char *ret_output, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        run();
        _exit(0);
    }
    close(ends[1]);
    size_t used = 0;
    ssize_t got;
    while ((got = read(ends[0], ret_output + used, size - 1 - used)) > 0)
        used += (size_t)got;
    ret_output[used] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void fail_a_check(void)
{
    CHECK(1 + 1 == 3);
}

static void test_check_says_where_and_aborts(void **state)
{
    (void)state;
    static char output[1 << 16];
    expect_abort(fail_a_check, output, sizeof output);
    assert_non_null(strstr(output, "fail_a_check: check failed: 1 + 1 == 3"));
    assert_non_null(strstr(output, "err_test.c:"));
}

static void test_memory(void **state)
{
    (void)state;
    char *zeroed = xcalloc(4, 4);
    assert_memory_equal(zeroed, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    free(zeroed);
    free(xmalloc(0));
    char *copy = xstrndup("abc", 2);
    assert_string_equal(copy, "ab");
    free(copy);
    copy = xstrndup("abc", 9);
    assert_string_equal(copy, "abc");
    free(copy);
    char *text = xasprintf("%d-%s", 7, "x");
    assert_string_equal(text, "7-x");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_map_both_ways),
        cmocka_unit_test(test_set_clears_the_rest),
        cmocka_unit_test(test_no_detail_wanted),
        cmocka_unit_test(test_old_texts_may_be_arguments),
        cmocka_unit_test(test_cut_keeps_whole_characters),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_check_says_where_and_aborts),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
