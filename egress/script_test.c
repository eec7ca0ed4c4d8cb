#include "egress/script.h"

#include "base/limits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The second turn of a conversation whose first one called three tools. */
static const char REQUEST[] =
    "{\"agent\":\"lead\",\"instructions\":\"\",\"attempt\":2,\"turn\":2,"
    "\"message\":{\"topic\":\"bees\",\"n\":7},\"tools\":[],\"turns\":[{\"content\":\"let me see\","
    "\"calls\":[{\"tool\":\"wc\",\"arguments\":{\"input\":\"x\"}},"
    "{\"tool\":\"delegate_to_agent\",\"arguments\":{\"agent\":\"checker\",\"message\":\"look\"}},"
    "{\"tool\":\"wc\",\"arguments\":{}}],"
    "\"results\":[{\"output\":{\"kinds\":[\"c\",\"py\"],\"score\":7,\"none\":[],\"name\":\"a b\"}},"
    "{\"output\":\"fine\"},{\"error\":{\"code\":\"not_allowed\",\"message\":\"no\"}}]}]}";

static value_t *parse(const char *json)
{
    struct err err = {0};
    value_t *value = NULL;
    if (value_from_json(json, strlen(json), &value, &err) != 0)
        fail_msg("%s: %s", json, err.what);
    return value;
}

static void evaluate_for(const char *rules_json, const char *request_json,
                         struct script_answer *ret_answer)
{
    value_t *list = parse(rules_json), *rules = value_map(), *request = parse(request_json);
    value_set(rules, "rules", &list);
    script_evaluate(rules, request, ret_answer);
    value_destroy(&rules);
    value_destroy(&request);
}

static void evaluate(const char *rules_json, struct script_answer *ret_answer)
{
    evaluate_for(rules_json, REQUEST, ret_answer);
}

static void expect_turn(const char *rules_json, const char *turn_json)
{
    struct script_answer answer;
    struct buf text = {0};
    evaluate(rules_json, &answer);
    if (!answer.turn)
        fail_msg("%s: %s: %s", rules_json, answer.code, answer.what);
    value_to_json(answer.turn, VALUE_JSON_COMPACT, &text);
    assert_string_equal(buf_string(&text), turn_json);
    buf_release(&text);
    script_answer_release(&answer);
}

static void expect_failure(const char *rules_json, const char *code, const char *what)
{
    struct script_answer answer;
    evaluate(rules_json, &answer);
    assert_null(answer.turn);
    assert_string_equal(answer.code, code);
    if (!strstr(answer.what, what))
        fail_msg("\"%s\" does not hold \"%s\"", answer.what, what);
    script_answer_release(&answer);
}

/* Whether a rule with this condition answers, rather than the one after it. */
static void expect_when(const char *when, bool fits)
{
    char *rules = xasprintf("[{\"when\":{%s},\"say\":true},{\"say\":false}]", when);
    struct script_answer answer;
    evaluate(rules, &answer);
    assert_non_null(answer.turn);
    if (value_get_bool(answer.turn, "content", false) != fits)
        fail_msg("%s %s", when, fits ? "does not fit" : "fits");
    script_answer_release(&answer);
    free(rules);
}

static void test_the_first_rule_that_fits_answers(void **state)
{
    (void)state;
    expect_turn("[{\"when\":{\"turn\":[1,1]},\"say\":\"one\"},{\"say\":\"two\"},{\"say\":\"3\"}]",
                "{\"content\":\"two\"}");
    expect_turn("[{}]", "{\"content\":null}");
    expect_failure("[{\"when\":{\"turn\":[1,1]},\"say\":\"one\"}]", "no_rule",
                   "none of the script's 1 rules fits turn 2");
    expect_failure("[]", "no_rule", "");
}

static void test_conditions(void **state)
{
    (void)state;
    static const struct {
        const char *when;
        bool fits;
    } cases[] = {
        {"", true},
        {"\"turn\":[2,2]", true},
        {"\"turn\":[1,5]", true},
        {"\"turn\":[3,5]", false},
        {"\"attempt\":[2,2]", true},
        {"\"attempt\":[1,1]", false},
        {"\"message\":\"bees\"", true},
        {"\"message\":\"\\\"n\\\":7\"", true},
        {"\"message\":\"wasps\"", false},
        {"\"message\":\"\"", true},
        {"\"results\":\"\\\"kinds\\\":[\\\"c\\\"\"", true},
        {"\"results\":\"not_allowed\"", true},
        {"\"results\":\"fine\"", true},
        {"\"results\":\"let me see\"", false},
        {"\"called\":\"wc\"", true},
        {"\"called\":\"delegate_to_agent\"", true},
        {"\"called\":\"grep\"", false},
        {"\"not_called\":\"grep\"", true},
        {"\"not_called\":\"wc\"", false},
        {"\"delegated\":\"checker\"", true},
        {"\"delegated\":\"writer\"", false},
        {"\"not_delegated\":\"writer\"", true},
        {"\"not_delegated\":\"checker\"", false},
        {"\"has\":\"results[0].output.kinds\"", true},
        {"\"has\":\"results[0].output.score\"", true},
        {"\"has\":\"results[0].output.none\"", false},
        {"\"has\":\"results[0].output.missing.deeper\"", false},
        {"\"has\":\"results[9]\"", false},
        {"\"has\":\"results[1].output.field\"", false},
        {"\"has\":\"message.n\"", true},
        {"\"has\":\"turns[0].content\"", true},
        {"\"lacks\":\"results[0].output.none\"", true},
        {"\"lacks\":\"results[0].output.kinds\"", false},
        {"\"lacks\":\"item\"", true},
        {"\"equals\":[[\"results[0].output.score\",7]]", true},
        {"\"equals\":[[\"results[0].output.score\",7.0],[\"agent\",\"lead\"]]", true},
        {"\"equals\":[[\"results[0].output.score\",7],[\"agent\",\"other\"]]", false},
        {"\"equals\":[[\"results[0].output.missing\",null]]", false},
        {"\"equals\":[[\"results[0].output.kinds\",[\"c\",\"py\"]]]", true},
        {"\"turn\":[2,2],\"has\":\"results[9]\"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_when(cases[i].when, cases[i].fits);
}

static void test_something_and_nothing(void **state)
{
    (void)state;
    static const char *const nothing[] = {"null", "false", "0", "0.0", "\"\"", "[]", "{}"};
    static const char *const something[] = {"true", "-1", "0.5", "\" \"", "[null]", "{\"a\":null}"};
    const char *rules = "[{\"when\":{\"has\":\"message\"},\"say\":true},{\"say\":false}]";
    struct script_answer answer;
    for (size_t i = 0; i < 7 + 6; i++) {
        char *request =
            xasprintf("{\"turn\":1,\"message\":%s}", i < 7 ? nothing[i] : something[i - 7]);
        evaluate_for(rules, request, &answer);
        assert_int_equal(value_get_bool(answer.turn, "content", false), i >= 7);
        script_answer_release(&answer);
        free(request);
    }
}

static void test_what_is_said(void **state)
{
    (void)state;
    expect_turn("[{\"say\":\"{{message.topic}} in turn {{turn}} of {{agent}}\"}]",
                "{\"content\":\"bees in turn 2 of lead\"}");
    expect_turn("[{\"say\":\"{{results[0].output.kinds}}\"}]", "{\"content\":[\"c\",\"py\"]}");
    expect_turn("[{\"say\":{\"a\":[\"{{attempt}}\",1],\"b\":\"{{turns[0].content}}\"}}]",
                "{\"content\":{\"a\":[2,1],\"b\":\"let me see\"}}");
}

static void test_calls(void **state)
{
    (void)state;
    expect_turn("[{\"say\":\"x\",\"calls\":[{\"tool\":\"wc\",\"with\":{\"input\":\"{{message}}\"}},"
                "{\"tool\":\"list_agents\"}]}]",
                "{\"content\":\"x\",\"calls\":[{\"tool\":\"wc\",\"arguments\":{\"input\":"
                "{\"topic\":\"bees\",\"n\":7}}},{\"tool\":\"list_agents\",\"arguments\":{}}]}");
    expect_turn("[{\"calls\":[{\"delegate\":\"check_{{message.topic}}\",\"message\":\"go\","
                "\"context\":{\"n\":\"{{message.n}}\"},\"hand_off\":true}]}]",
                "{\"content\":null,\"calls\":[{\"tool\":\"delegate_to_agent\",\"arguments\":"
                "{\"agent\":\"check_bees\",\"message\":\"go\",\"context\":{\"n\":7},"
                "\"hand_off\":true}}]}");
    expect_turn("[{\"calls\":[{\"delegate\":\"check_{{item}}\",\"message\":\"{{index}}: {{item}}\","
                "\"for\":\"results[0].output.kinds\"}]}]",
                "{\"content\":null,\"calls\":["
                "{\"tool\":\"delegate_to_agent\",\"arguments\":{\"agent\":\"check_c\","
                "\"message\":\"0: c\"}},"
                "{\"tool\":\"delegate_to_agent\",\"arguments\":{\"agent\":\"check_py\","
                "\"message\":\"1: py\"}}]}");
    expect_turn("[{\"calls\":[{\"tool\":\"a\",\"if\":\"results[0].output.none\"},"
                "{\"tool\":\"b\",\"if\":\"results[0].output.score\"},"
                "{\"tool\":\"c\",\"if\":\"index\",\"for\":\"results[0].output.kinds\"}]}]",
                "{\"content\":null,\"calls\":[{\"tool\":\"b\",\"arguments\":{}},"
                "{\"tool\":\"c\",\"arguments\":{}}]}");
    /* None is left: the turn is the last one. */
    expect_turn("[{\"say\":1,\"calls\":[{\"tool\":\"a\",\"for\":\"results[0].output.none\"}]}]",
                "{\"content\":1}");
}

static void test_calls_are_bounded(void **state)
{
    (void)state;
    for (int more = 0; more <= 1; more++) {
        struct buf request = {0};
        struct script_answer answer;
        buf_puts(&request, "{\"turn\":1,\"message\":[0");
        for (int i = 1; i < LIMIT_TURN_CALLS + more; i++)
            buf_printf(&request, ",%d", i);
        buf_puts(&request, "]}");
        evaluate_for("[{\"calls\":[{\"tool\":\"a\",\"for\":\"message\"}]}]", buf_string(&request),
                     &answer);
        assert_int_equal(answer.turn != NULL, !more);
        if (more)
            assert_non_null(strstr(answer.what, "a turn has at most 1024 calls"));
        else
            assert_int_equal(value_size(value_get(answer.turn, "calls")), LIMIT_TURN_CALLS);
        script_answer_release(&answer);
        buf_release(&request);
    }
}

static void test_times_usage_and_failures(void **state)
{
    (void)state;
    struct script_answer answer;
    evaluate("[{\"say\":\"x\",\"delay_us\":50000,\"stream_us\":5000,\"usage\":{\"input\":100}}]",
             &answer);
    assert_int_equal(answer.delay_us, 50000);
    assert_int_equal(answer.stream_us, 5000);
    assert_int_equal(answer.input_tokens, 100);
    assert_int_equal(answer.output_tokens, -1);
    script_answer_release(&answer);
    evaluate("[{\"delay_us\":7,\"usage\":{\"input\":1,\"output\":2},"
             "\"fail\":{\"code\":\"overloaded\",\"message\":\"later\"}}]",
             &answer);
    assert_null(answer.turn);
    assert_string_equal(answer.code, "overloaded");
    assert_string_equal(answer.what, "later");
    assert_false(answer.permanent);
    assert_int_equal(answer.delay_us, 7);
    assert_int_equal(answer.output_tokens, 2);
    script_answer_release(&answer);
    evaluate("[{\"fail\":{\"code\":\"refused\",\"message\":\"\",\"permanent\":true}}]", &answer);
    assert_true(answer.permanent);
    script_answer_release(&answer);
}

/* Each names the rule, where in it, and what is wrong. */
static void test_rules_that_cannot_be_followed(void **state)
{
    (void)state;
    expect_failure("[{\"name\":\"ask them\",\"say\":\"{{results[0].output.missing}}\"}]", "script",
                   "rule 1 (\"ask them\"), say: ");
    expect_failure("[{\"name\":\"ask them\",\"say\":\"{{results[0].output.missing}}\"}]", "script",
                   "missing");
    expect_failure("[{\"when\":{\"turn\":[1,1]}},{\"calls\":[{\"tool\":\"a\"},"
                   "{\"tool\":\"b\",\"with\":{\"x\":\"{{nothing}}\"}}]}]",
                   "script", "rule 2, calls[1]");
    expect_failure("[{\"calls\":[{\"tool\":\"a\",\"for\":\"results[0].output.gone\"}]}]", "script",
                   "rule 1, calls[0].for: ");
    expect_failure("[{\"calls\":[{\"tool\":\"a\",\"for\":\"message\"}]}]", "script",
                   "a list is needed, and this is object");
    expect_failure("[{\"calls\":[{\"tool\":\"a\",\"with\":\"{{message.topic}}\"}]}]", "script",
                   "an object is needed, and this is text");
    expect_failure("[{\"calls\":[{\"delegate\":\"{{message}}\",\"message\":\"x\"}]}]", "script",
                   "the name of an agent is needed, and this is object");
    expect_failure("[{\"say\":\"{{item}}\"}]", "script", "there is no variable item here");
    expect_failure("[{\"calls\":[{\"tool\":\"a\",\"for\":\"results[0].output.kinds\"},"
                   "{\"tool\":\"b\",\"with\":{\"x\":\"{{item}}\"}}]}]",
                   "script", "rule 1, calls[1]");
    expect_failure("[{\"calls\":[{\"with\":{}}]}]", "script", "a call names a tool");
    expect_failure("[{\"when\":{\"turn\":3}}]", "script", "rule 1, when.turn: ");
    expect_failure("[{\"when\":{\"equals\":[[1,2]]}}]", "script", "rule 1, when: ");
    expect_failure("[7]", "script", "rule 1, when: ");
    expect_failure("[{\"calls\":[7]}]", "script", "rule 1, calls[0]: ");
}

static void test_a_request_that_lacks_everything(void **state)
{
    (void)state;
    struct script_answer answer;
    evaluate_for("[{\"when\":{\"has\":\"results\"}},{\"when\":{\"called\":\"a\"}},"
                 "{\"say\":\"{{message}}\"}]",
                 "{}", &answer);
    assert_non_null(answer.turn);
    script_answer_release(&answer);
    evaluate_for("[{\"say\":\"x\"}]", "[1,2]", &answer);
    assert_non_null(answer.turn);
    script_answer_release(&answer);
    evaluate_for("[{\"when\":{\"called\":\"a\"}},{\"when\":{\"results\":\"a\"}},{\"say\":1}]",
                 "{\"turns\":[1,{\"calls\":[2,{\"tool\":\"a\",\"arguments\":3}]}]}", &answer);
    assert_non_null(answer.turn);
    script_answer_release(&answer);
}

static void test_the_same_gives_the_same(void **state)
{
    (void)state;
    const char *rules = "[{\"say\":\"{{message}} {{results}}\",\"calls\":[{\"tool\":\"a\",\"with\":"
                        "{\"m\":\"{{turns}}\",\"i\":\"{{item}}\"},\"for\":\"results\"}]}]";
    struct buf first = {0}, again = {0};
    for (int i = 0; i < 10; i++) {
        struct script_answer answer;
        evaluate(rules, &answer);
        buf_clear(&again);
        value_to_msgpack(answer.turn, &again);
        if (i == 0)
            buf_append_bytes(&first, buf_bytes(&again));
        assert_true(bytes_equal(buf_bytes(&first), buf_bytes(&again)));
        script_answer_release(&answer);
    }
    buf_release(&first);
    buf_release(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_rule_that_fits_answers),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_something_and_nothing),
        cmocka_unit_test(test_what_is_said),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_calls_are_bounded),
        cmocka_unit_test(test_times_usage_and_failures),
        cmocka_unit_test(test_rules_that_cannot_be_followed),
        cmocka_unit_test(test_a_request_that_lacks_everything),
        cmocka_unit_test(test_the_same_gives_the_same),
    };
    return cmocka_run_group_tests_name("script", tests, NULL, NULL);
}
