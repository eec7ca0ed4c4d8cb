#include "base/limits.h"
#include "definitions/definitions.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int compile(const char *json, struct agent_def **ret_agent, struct err *err)
{
    value_t *canonical = NULL, *back = NULL;
    struct buf bytes = {0};
    assert_int_equal(value_from_json(json, strlen(json), &canonical, NULL), 0);
    value_to_msgpack(canonical, &bytes);
    assert_int_equal(value_from_msgpack(buf_bytes(&bytes), &back, NULL), 0);
    int code = agent_compile(back, ret_agent, err);
    buf_release(&bytes);
    value_destroy(&canonical);
    value_destroy(&back);
    return code;
}

static void test_command(void **state)
{
    (void)state;
    struct agent_def *agent = NULL;
    assert_int_equal(
        compile("{\"agent\":\"a\",\"about\":\"b\",\"command\":[\"./x\",\"\"],\"rerun\":\"never\","
                "\"limits\":{\"time_us\":5},\"env\":{\"A\":\"b\",\"C\":\"env:D\"},"
                "\"process\":{\"instances_min\":0,\"instances_max\":4,\"parallel\":3,"
                "\"memory_bytes\":1048576,\"idle_us\":7,\"network\":true}}",
                &agent, NULL),
        0);
    assert_string_equal(agent->name, "a");
    assert_string_equal(agent->about, "b");
    assert_int_equal(agent->answers, AGENT_COMMAND);
    assert_string_equal(agent->argv[0], "./x");
    assert_string_equal(agent->argv[1], "");
    assert_null(agent->argv[2]);
    assert_true(agent->rerun_never);
    assert_true(agent->network);
    assert_int_equal(agent->timeout_us, 5);
    assert_int_equal(agent->instances_min, 0);
    assert_int_equal(agent->instances_max, 4);
    assert_int_equal(agent->parallel, 3);
    assert_int_equal(agent->memory_bytes, 1048576);
    assert_int_equal(agent->idle_us, 7);
    assert_string_equal(agent->env[0], "A=b");
    assert_string_equal(agent->env[1], "C=env:D");
    assert_null(agent->env[2]);
    agent_def_destroy(&agent);
    assert_null(agent);
}

static void test_defaults(void **state)
{
    (void)state;
    struct agent_def *agent = NULL;
    assert_int_equal(compile("{\"agent\":\"a\",\"builtin\":\"sleep\"}", &agent, NULL), 0);
    assert_int_equal(agent->answers, AGENT_BUILTIN);
    assert_string_equal(agent->builtin, "sleep");
    assert_string_equal(agent->about, "");
    assert_null(agent->argv);
    assert_int_equal(agent->instances_min, 1);
    assert_int_equal(agent->instances_max, 1);
    assert_int_equal(agent->parallel, LIMIT_PARALLEL_MODEL);
    assert_int_equal(agent->memory_bytes, LIMIT_COMMAND_MEMORY_BYTES);
    assert_int_equal(agent->idle_us, 0);
    assert_int_equal(agent->timeout_us, LIMIT_TIMEOUT_COMMAND_US);
    assert_false(agent->network || agent->rerun_never);
    assert_null(agent->env[0]);
    agent_def_destroy(&agent);
    assert_int_equal(compile("{\"agent\":\"a\",\"command\":[\"x\"]}", &agent, NULL), 0);
    assert_int_equal(agent->parallel, LIMIT_PARALLEL_COMMAND);
    agent_def_destroy(&agent);
    assert_int_equal(compile("{\"agent\":\"a\",\"external\":true}", &agent, NULL), 0);
    assert_int_equal(agent->answers, AGENT_EXTERNAL);
    agent_def_destroy(&agent);
}

static void check_refused(const char *json, int code, const char *where)
{
    struct agent_def *agent = NULL;
    struct err err = {0};
    assert_int_equal(compile(json, &agent, &err), code);
    assert_null(agent);
    assert_string_equal(err.where, where);
    assert_true(err.what[0] != '\0' && err.fix[0] != '\0');
}

static void test_foreign_forms_are_refused(void **state)
{
    (void)state;
    check_refused("[]", ERR_INVALID, "agent");
    check_refused("{}", ERR_INVALID, "agent");
    check_refused("{\"agent\":\"a\"}", ERR_INVALID, "agent");
    check_refused("{\"agent\":\"a\",\"model\":\"m\"}", ERR_UNSUPPORTED, "model");
    check_refused("{\"agent\":\"a\",\"builtin\":\"dance\"}", ERR_INVALID, "builtin");
    check_refused("{\"agent\":\"a\",\"builtin\":\"echo\",\"external\":true}", ERR_INVALID, "agent");
    check_refused("{\"agent\":\"a\",\"command\":[]}", ERR_INVALID, "command");
    check_refused("{\"agent\":\"a\",\"command\":[\"x\",1]}", ERR_INVALID, "command");
    check_refused("{\"agent\":\"a\",\"builtin\":\"echo\",\"process\":{\"gpu\":1}}", ERR_UNSUPPORTED,
                  "process.gpu");
    check_refused("{\"agent\":\"a\",\"builtin\":\"echo\",\"process\":{\"parallel\":0}}",
                  ERR_INVALID, "parallel");
    check_refused("{\"agent\":\"a\",\"builtin\":\"echo\",\"process\":{\"instances_min\":3}}",
                  ERR_INVALID, "process.instances_min");
    check_refused("{\"agent\":\"a\",\"builtin\":\"echo\",\"limits\":{\"time_us\":-1}}", ERR_INVALID,
                  "time_us");
    check_refused("{\"agent\":\"a\",\"builtin\":\"echo\",\"env\":{\"A\":1}}", ERR_INVALID, "env");
    check_refused("{\"agent\":\"a\",\"builtin\":\"echo\",\"rerun\":\"ever\"}", ERR_INVALID,
                  "rerun");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_foreign_forms_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
