/* What standard output gets of what models and commands wrote: on a terminal, and into a pipe. */
#include "tools/output.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

/* A terminal that changes nothing itself; the other end of it in *ret_other. */
static int open_terminal(int *ret_other)
{
    struct termios raw;
    *ret_other = posix_openpt(O_RDWR | O_NOCTTY);
    if (*ret_other < 0)
        skip(); /* a machine without terminals */
    assert_int_equal(grantpt(*ret_other), 0);
    assert_int_equal(unlockpt(*ret_other), 0);
    int terminal = open(ptsname(*ret_other), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    assert_int_equal(tcgetattr(terminal, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(terminal, TCSANOW, &raw), 0);
    return terminal;
}

/* Prints a document there instead of on standard output. */
static void print_to(int fd, void (*print)(const value_t *), const char *json)
{
    value_t *document = NULL;
    assert_int_equal(value_from_json(json, strlen(json), &document, NULL), 0);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    assert_true(saved >= 0 && dup2(fd, STDOUT_FILENO) >= 0);
    print(document);
    fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    value_destroy(&document);
}

static void assert_printed(bool terminal, void (*print)(const value_t *), const char *json,
                           const char *expected)
{
    int ends[2];
    char text[256];
    if (terminal)
        ends[1] = open_terminal(&ends[0]);
    else
        assert_int_equal(pipe(ends), 0);
    print_to(ends[1], print, json);
    ssize_t size = read(ends[0], text, sizeof text - 1);
    assert_true(size >= 0);
    text[size] = '\0';
    assert_string_equal(text, expected);
    close(ends[0]);
    close(ends[1]);
}

#define TEXT "\"a\\u001b[2J\\n\302\2330m\""

static void test_a_terminal_gets_no_control_characters(void **state)
{
    (void)state;
    assert_printed(true, print_output, TEXT, "a\ufffd[2J\n\ufffd0m\n");
    assert_printed(true, print_output, "[" TEXT "]", "[\n  \"a\\u001b[2J\\n\\u009b0m\"\n]\n");
    assert_printed(true, print_json_line, "[" TEXT "]", "[\"a\\u001b[2J\\n\\u009b0m\"]\n");
}

static void test_a_pipe_gets_all(void **state)
{
    (void)state;
    assert_printed(false, print_output, TEXT, "a\x1b[2J\n\302\2330m\n");
    assert_printed(false, print_json, "[" TEXT "]", "[\"a\\u001b[2J\\n\302\2330m\"]\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_terminal_gets_no_control_characters),
        cmocka_unit_test(test_a_pipe_gets_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
