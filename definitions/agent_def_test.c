#include "base/limits.h"
#include "definitions/definitions.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
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

static const char MODEL[] =
    "{\"agent\":\"a\",\"model\":\"script/a.yaml\",\"rules\":{\"rules\":[{\"say\":1}]},"
    "\"instructions\":\"be brief\",\"max_tokens\":9,\"delegates\":[\"b\",\"c_*\"],"
    "\"repeat_tools\":[\"wc\"],\"output\":{\"type\":\"integer\"},\"tools\":["
    "{\"command\":{\"name\":\"wc\",\"about\":\"counts\",\"argv\":[\"wc\",\"-w\"],\"input\":"
    "\"stdin\","
    "\"timeout_us\":7,\"network\":true}},"
    "{\"command\":{\"name\":\"put\",\"argv\":[\"put\"],\"parameters\":{"
    "\"key\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\",\"default\":1},"
    "\"o\":{\"type\":\"string\",\"required\":false}}}},"
    "{\"command\":{\"name\":\"now\",\"argv\":[\"date\"],\"input\":\"none\",\"repeat\":\"safe\"}},"
    "{\"command\":{\"name\":\"any\",\"argv\":[\"any\"],\"input\":\"json\"}}],"
    "\"limits\":{\"turns\":1,\"tokens\":2,\"cost_microusd\":3,\"depth\":4,\"delegations\":5,"
    "\"same_delegation\":6},\"price\":{\"input_microusd\":250000,\"output_microusd\":2000000}}";

static void check_json(const value_t *value, const char *expected)
{
    struct buf text = {0};
    assert_non_null(value);
    value_to_json(value, VALUE_JSON_COMPACT, &text);
    assert_string_equal(buf_string(&text), expected);
    buf_release(&text);
}

static void check_tools(const struct agent_def *agent)
{
    assert_int_equal(agent->tools_count, 4);
    assert_string_equal(agent->tools[0].name, "wc");
    assert_string_equal(agent->tools[0].about, "counts");
    assert_string_equal(agent->tools[0].argv[1], "-w");
    assert_null(agent->tools[0].argv[2]);
    assert_int_equal(agent->tools[0].input, TOOL_INPUT_STDIN);
    assert_true(agent->tools[0].repeat_safe && agent->tools[0].network);
    assert_int_equal(agent->tools[0].timeout_us, 7);
    check_json(agent->tools[0].parameters,
               "{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},"
               "\"required\":[\"input\"]}");
    assert_false(agent->tools[1].repeat_safe || agent->tools[1].network);
    assert_string_equal(agent->tools[1].about, "");
    check_json(agent->tools[1].parameters,
               "{\"type\":\"object\",\"properties\":{\"key\":{\"type\":\"string\"},"
               "\"n\":{\"type\":\"integer\",\"default\":1},\"o\":{\"type\":\"string\"}},"
               "\"required\":[\"key\"]}");
    assert_true(agent->tools[2].repeat_safe);
    check_json(agent->tools[2].parameters,
               "{\"type\":\"object\",\"properties\":{},\"required\":[]}");
    assert_int_equal(agent->tools[3].input, TOOL_INPUT_JSON);
    assert_null(agent->tools[3].parameters);
}

static void test_model(void **state)
{
    (void)state;
    struct agent_def *agent = NULL;
    assert_int_equal(compile(MODEL, &agent, NULL), 0);
    assert_int_equal(agent->answers, AGENT_MODEL);
    assert_string_equal(agent->model, "script/a.yaml");
    assert_string_equal(agent->instructions, "be brief");
    assert_int_equal(agent->max_tokens, 9);
    assert_int_equal(agent->parallel, LIMIT_PARALLEL_MODEL);
    assert_int_equal(agent->timeout_us, 0);
    assert_int_equal(agent->delegates_count, 2);
    assert_string_equal(agent->delegates[1], "c_*");
    assert_null(agent->delegates[2]);
    assert_string_equal(agent->repeat_tools[0], "wc");
    assert_null(agent->repeat_tools[1]);
    check_json(agent->output, "{\"type\":\"integer\"}");
    check_json(agent->rules, "{\"rules\":[{\"say\":1}]}");
    assert_int_equal(agent->turns, 1);
    assert_int_equal(agent->tokens, 2);
    assert_int_equal(agent->cost_microusd, 3);
    assert_int_equal(agent->depth, 4);
    assert_int_equal(agent->delegations, 5);
    assert_int_equal(agent->same_delegation, 6);
    assert_int_equal(agent->input_price, 250000);
    assert_int_equal(agent->output_price, 2000000);
    check_tools(agent);
    agent_def_destroy(&agent);
}

static void test_model_defaults(void **state)
{
    (void)state;
    struct agent_def *agent = NULL;
    assert_int_equal(compile("{\"agent\":\"a\",\"model\":\"script/a\",\"limits\":{\"time_us\":8}}",
                             &agent, NULL),
                     0);
    assert_int_equal(agent->timeout_us, 8);
    assert_null(agent->delegates[0]);
    assert_null(agent->repeat_tools[0]);
    assert_null(agent->rules);
    assert_null(agent->output);
    assert_int_equal(agent->tools_count, 0);
    assert_string_equal(agent->instructions, "");
    assert_int_equal(agent->turns + agent->depth + agent->delegations + agent->max_tokens, 0);
    agent_def_destroy(&agent);
    assert_int_equal(compile("{\"agent\":\"a\",\"external\":true,\"delegates\":[\"b\"],"
                             "\"limits\":{\"depth\":2}}",
                             &agent, NULL),
                     0);
    assert_string_equal(agent->delegates[0], "b");
    assert_int_equal(agent->depth, 2);
    agent_def_destroy(&agent);
}

static void test_globs(void **state)
{
    (void)state;
    assert_true(agent_name_fits("critic", "critic"));
    assert_false(agent_name_fits("critic", "critics"));
    assert_false(agent_name_fits("critics", "critic"));
    assert_true(agent_name_fits("*", "a"));
    assert_true(agent_name_fits("*", ""));
    assert_true(agent_name_fits("research_*", "research_"));
    assert_false(agent_name_fits("research_*", "search_x"));
    assert_true(agent_name_fits("a*b*c", "a_b_b_xc"));
    assert_false(agent_name_fits("a*b*c", "a_b_b_x"));
    assert_true(agent_name_fits("check_?", "check_1"));
    assert_false(agent_name_fits("check_?", "check_"));
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
    check_refused("{\"agent\":\"a\",\"a2a\":\"m\"}", ERR_UNSUPPORTED, "a2a");
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

static void check_model_refused(const char *members, int code, const char *where)
{
    char *json = xasprintf("{\"agent\":\"a\",\"model\":\"script/a\",%s}", members);
    check_refused(json, code, where);
    free(json);
}

static void test_foreign_models_are_refused(void **state)
{
    (void)state;
    check_refused("{\"agent\":\"a\",\"builtin\":\"echo\",\"tools\":[]}", ERR_INVALID, "tools");
    check_refused("{\"agent\":\"a\",\"command\":[\"x\"],\"delegates\":[]}", ERR_INVALID,
                  "delegates");
    check_refused("{\"agent\":\"a\",\"builtin\":\"echo\",\"limits\":{\"turns\":1}}",
                  ERR_UNSUPPORTED, "limits.turns");
    check_model_refused("\"builtin\":\"echo\"", ERR_INVALID, "agent");
    check_model_refused("\"delegates\":[1]", ERR_INVALID, "delegates");
    check_model_refused("\"tools\":[1]", ERR_INVALID, "tools");
    check_model_refused("\"tools\":[{}]", ERR_INVALID, "tools");
    check_model_refused("\"tools\":[{\"mcp\":{}}]", ERR_UNSUPPORTED, "tools.mcp");
    check_model_refused("\"tools\":[{\"command\":{\"name\":\"a\"}}]", ERR_INVALID, "argv");
    check_model_refused("\"tools\":[{\"command\":{\"argv\":[\"a\"]}}]", ERR_INVALID,
                        "tools.command.name");
    check_model_refused(
        "\"tools\":[{\"command\":{\"name\":\"a\",\"argv\":[\"a\"],\"input\":\"tty\"}}]",
        ERR_INVALID, "input");
    check_model_refused(
        "\"tools\":[{\"command\":{\"name\":\"a\",\"argv\":[\"a\"],\"parameters\":{\"x\":1}}}]",
        ERR_INVALID, "parameters");
    check_model_refused("\"output\":true", ERR_INVALID, "output");
    check_model_refused("\"rules\":[]", ERR_INVALID, "rules");
    check_model_refused("\"price\":{\"cached\":1}", ERR_UNSUPPORTED, "price.cached");
    check_model_refused("\"limits\":{\"depth\":33}", ERR_INVALID, "depth");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_model_defaults),
        cmocka_unit_test(test_globs),
        cmocka_unit_test(test_foreign_forms_are_refused),
        cmocka_unit_test(test_foreign_models_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
