#include "tools/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <getopt.h>

/* getopt keeps its place between calls. */
static int parse(struct options *options, struct err *err, int argc, char **argv)
{
    optind = 0;
    return options_parse(argc, argv, options, err);
}

#define PARSE(options, err, ...)                                                                   \
    parse(options, err, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),             \
          (char **)(const char *[]){__VA_ARGS__, NULL})

static void test_flags_in_any_position(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(0, PARSE(&options, NULL, "agentctl", "run", "--json", "brief", "-i", "a=1",
                              "-d", "-i", "b=two=2", "--timeout", "5m"));
    assert_true(options.json);
    assert_true(options.detach);
    assert_int_equal(2, options.args_count);
    assert_string_equal("run", options.args[0]);
    assert_string_equal("brief", options.args[1]);
    assert_int_equal(2, options.inputs_count);
    assert_string_equal("b=two=2", options.inputs[1]);
    assert_int_equal(300000000, options.timeout_us);
    options_release(&options);
}

static void test_refusals_name_the_flag_and_the_remedy(void **state)
{
    (void)state;
    struct options options;
    struct err err;
    assert_int_equal(ERR_INVALID, PARSE(&options, &err, "agentctl", "run", "--jsno"));
    assert_non_null(strstr(err.what, "--jsno"));
    assert_non_null(strstr(err.fix, "--json"));
    assert_int_equal(ERR_INVALID, PARSE(&options, &err, "agentctl", "run", "--timeout", "soon"));
    assert_string_equal("--timeout", err.where);
    assert_int_equal(ERR_INVALID, PARSE(&options, &err, "agentctl", "run", "-i", "no_equals"));
    assert_non_null(strstr(err.what, "key=value"));
    assert_int_equal(ERR_INVALID, PARSE(&options, &err, "agentctl", "replay", "--at", "-3"));
    assert_int_equal(ERR_INVALID, PARSE(&options, &err, "agentctl", "run", "--input"));
    assert_non_null(strstr(err.what, "needs a value"));
}

static void test_suggestions(void **state)
{
    static const char *const names[] = {"status", "executions", "run", NULL};
    (void)state;
    assert_string_equal("status", options_suggest("stauts", names));
    assert_string_equal("executions", options_suggest("exections", names));
    assert_null(options_suggest("zzzzzz", names));
}

static void test_exit_statuses(void **state)
{
    (void)state;
    assert_int_equal(EXIT_OK, exit_status_of(0));
    assert_int_equal(2, exit_status_of(ERR_INVALID));
    assert_int_equal(3, exit_status_of(ERR_NOT_FOUND));
    assert_int_equal(4, exit_status_of(ERR_NOT_ALLOWED));
    assert_int_equal(5, exit_status_of(ERR_UNREACHABLE));
    assert_int_equal(12, exit_status_of(ERR_TIMEOUT));
    assert_int_equal(14, exit_status_of(ERR_BUSY));
    assert_int_equal(1, exit_status_of(ERR_INTERNAL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags_in_any_position),
        cmocka_unit_test(test_refusals_name_the_flag_and_the_remedy),
        cmocka_unit_test(test_suggestions),
        cmocka_unit_test(test_exit_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
