#include "agentd/conversation_fixture.h"
#include "base/limits.h"
#include "base/utf8.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- turns ---------------------------------------------------------------------------------------
 */

static void test_a_turn_without_calls_is_the_answer(void **state)
{
    struct talk *self = *state;
    talk_begin(self, 1);
    talk_expect(self, CONVERSATION_CALL);
    value_t *request = NULL;
    assert_int_equal(value_from_msgpack(self->next.request, &request, NULL), 0);
    assert_string_equal(value_get_string(request, "agent", ""), "lead");
    assert_string_equal(value_get_string(request, "instructions", ""), "Be brief.");
    assert_string_equal(value_get_string(request, "message", ""), "go");
    assert_int_equal(value_get_int(request, "attempt", 0), 1);
    assert_int_equal(value_get_int(request, "turn", 0), 1);
    assert_int_equal(value_size(value_get(request, "turns")), 0);
    const value_t *tools = value_get(request, "tools");
    static const char *const names[] = {"delegate_to_agent", "list_agents", "context_get",
                                        "context_set",       "wc",          "pay"};
    assert_int_equal(value_size(tools), 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(value_get_string(value_at(tools, i), "name", ""), names[i]);
    value_destroy(&request);
    talk_expect_call(self, 1);
    talk_answer(self, TURN_FINAL);
    talk_expect_turn(self, 1, 0);
    talk_expect_result(self, "\"done\"");
}

static void test_tools_are_offered_as_the_agent_may_use_them(void **state)
{
    struct talk *self = *state;
    value_t *request = NULL;
    self->def.delegates_count = 0;
    talk_begin(self, 1);
    talk_expect(self, CONVERSATION_CALL);
    assert_int_equal(value_from_msgpack(self->next.request, &request, NULL), 0);
    const value_t *tools = value_get(request, "tools");
    assert_int_equal(value_size(tools), 4);
    assert_string_equal(value_get_string(value_at(tools, 0), "name", ""), "context_get");
    assert_string_equal(value_get_string(value_at(tools, 2), "about", ""), "Counts.");
    value_destroy(&request);
}

static void test_nothing_is_asked_for_without_a_grant(void **state)
{
    struct talk *self = *state;
    talk_begin(self, 0);
    talk_expect(self, CONVERSATION_WAIT);
    conversation_granted(self->conversation, 2);
    talk_expect(self, CONVERSATION_WAIT);
    talk_begin(self, 0);
    conversation_granted(self->conversation, 1);
    talk_expect_call(self, 1);
    talk_answer(self, TURN_WC);
    talk_expect_turn(self, 1, 1);
    conversation_acknowledged(self->conversation);
    talk_expect_tool(self, 0, "{\"input\":\"x\",\"times\":1}");
    talk_tool_gives(self, 0, "7");
    talk_expect_output(self, 0, "7");
    conversation_granted(self->conversation, 1);
    talk_expect(self, CONVERSATION_WAIT);
    conversation_granted(self->conversation, 2);
    talk_expect_call(self, 2);
}

static void test_a_grant_said_again_asks_again(void **state)
{
    struct talk *self = *state;
    talk_begin(self, 1);
    talk_expect_call(self, 1);
    conversation_granted(self->conversation, 1);
    talk_expect_call(self, 1);
    conversation_granted(self->conversation, 1);
    talk_expect(self, CONVERSATION_CALL);
    talk_answer(self, TURN_FINAL); /* comes too late, or too early: it is not asked for now */
    talk_expect_call(self, 1);
}

static void test_a_request_that_was_forgotten(void **state)
{
    struct talk *self = *state;
    struct buf first = {0};
    talk_begin(self, 1);
    talk_expect(self, CONVERSATION_CALL);
    buf_append_bytes(&first, self->next.request);
    conversation_called(self->conversation);
    assert_true(bytes_equal(conversation_request(self->conversation), buf_bytes(&first)));
    conversation_forget_request(self->conversation);
    assert_true(bytes_equal(conversation_request(self->conversation), buf_bytes(&first)));
    conversation_forget_request(self->conversation);
    talk_answer(self, TURN_FINAL);
    talk_expect_turn(self, 1, 0);
    talk_expect_result(self, "\"done\"");
    buf_release(&first);
}

static void test_commands_wait_for_their_turn_to_be_journaled(void **state)
{
    struct talk *self = *state;
    talk_begin(self, 1);
    talk_expect_call(self, 1);
    talk_answer(self, "{\"calls\":[{\"tool\":\"wc\",\"arguments\":{\"input\":\"x\",\"times\":3}},"
                      "{\"tool\":\"pay\"},{\"tool\":\"pay\",\"arguments\":{\"a\":1}}]}");
    talk_expect_turn(self, 1, 3);
    talk_expect(self, CONVERSATION_WAIT);
    assert_true(conversation_awaits_acknowledgement(self->conversation));
    conversation_acknowledged(self->conversation);
    assert_false(conversation_awaits_acknowledgement(self->conversation));
    talk_expect_tool(self, 0, "{\"input\":\"x\",\"times\":3}");
    talk_expect_tool(self, 1, "{}");
    talk_expect_tool(self, 2, "{\"a\":1}");
    talk_expect(self, CONVERSATION_WAIT);
    talk_tool_gives(self, 2, "{\"late\":false}");
    talk_expect_output(self, 2, "{\"late\":false}");
    talk_tool_fails(self, 0, "exit");
    talk_expect_error(self, 0, "exit", "no");
    conversation_granted(self->conversation, 2);
    talk_expect(self, CONVERSATION_WAIT);
    talk_tool_gives(self, 1, "null");
    talk_tool_gives(self, 1, "1"); /* once is enough */
    talk_expect_output(self, 1, "null");
    talk_expect(self, CONVERSATION_CALL);
    value_t *request = NULL;
    assert_int_equal(value_from_msgpack(self->next.request, &request, NULL), 0);
    value_t *wanted = talk_json(
        "[{\"content\":null,\"calls\":[{\"tool\":\"wc\",\"arguments\":{\"input\":\"x\","
        "\"times\":3}},{\"tool\":\"pay\",\"arguments\":{}},{\"tool\":\"pay\",\"arguments\":"
        "{\"a\":1}}],\"results\":[{\"error\":{\"code\":\"exit\",\"message\":\"no\"}},"
        "{\"output\":null},{\"output\":{\"late\":false}}]}]");
    assert_true(value_equal(value_get(request, "turns"), wanted));
    value_destroy(&wanted);
    value_destroy(&request);
}

static void test_calls_that_make_no_sense(void **state)
{
    struct talk *self = *state;
    static const struct {
        const char *call, *code, *says;
    } cases[] = {
        {"{\"tool\":\"wx\"}", "unknown_tool", "context_set, wc, pay"},
        {"{\"tool\":\"wc\"}", "invalid_arguments", "needs the member \"input\""},
        {"{\"tool\":\"wc\",\"arguments\":[]}", "invalid_arguments", "must be an object"},
        {"{\"tool\":\"wc\",\"arguments\":{\"input\":1}}", "invalid_arguments", "input of wc must"},
        {"{\"tool\":\"pay\",\"arguments\":\"all\"}", "invalid_arguments", "object, not text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *turn = xasprintf("{\"calls\":[%s]}", cases[i].call);
        talk_begin(self, 1);
        talk_expect_call(self, 1);
        talk_answer(self, turn);
        talk_expect_turn(self, 1, 1);
        talk_expect_error(self, 0, cases[i].code, cases[i].says);
        /* None of them is the coordinator's: the run goes on. */
        conversation_granted(self->conversation, 2);
        talk_expect_call(self, 2);
        free(turn);
    }
}

/* The coordinator knows the calls by their names alone: these end the run all the same. */
static void test_wrong_arguments_of_builtin_tools(void **state)
{
    struct talk *self = *state;
    static const struct {
        const char *tool, *arguments, *says;
    } cases[] = {
        {"delegate_to_agent", "{}", "\"agent\""},
        {"delegate_to_agent", "{\"agent\":\"a\"}", "\"message\""},
        {"delegate_to_agent", "{\"agent\":\"\",\"message\":1}", "name of an agent"},
        {"delegate_to_agent", "{\"agent\":7,\"message\":1}", "agent of delegate_to_agent must"},
        {"delegate_to_agent", "{\"agent\":\"a\",\"message\":1,\"hand_off\":1}", "hand_off"},
        {"delegate_to_agent", "{\"agent\":\"a\",\"mesage\":1,\"message\":2}", "\"mesage\""},
        {"list_agents", "{\"of\":1}", "takes none"},
        {"context_get", "{\"path\":1}", "path"},
        {"context_set", "{}", "\"patch\""},
        {"context_set", "{\"patch\":[]}", "patch"},
        {"context_set", "[]", "must be of type object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *turn = xasprintf("{\"calls\":[{\"tool\":\"%s\",\"arguments\":%s}]}", cases[i].tool,
                               cases[i].arguments);
        talk_begin(self, 1);
        talk_expect_call(self, 1);
        talk_answer(self, turn);
        talk_expect_turn(self, 1, 1);
        talk_expect_error(self, 0, "invalid_arguments", cases[i].says);
        talk_expect(self, CONVERSATION_YIELD);
        free(turn);
    }
}

static void test_what_is_too_large_for_a_delegation(void **state)
{
    struct talk *self = *state;
    char *text = xmalloc(LIMIT_INLINE_BYTES);
    memset(text, 'x', LIMIT_INLINE_BYTES);
    text[LIMIT_INLINE_BYTES - 40] = '\0';
    for (int i = 0; i < 2; i++) {
        char *turn = xasprintf("{\"calls\":[{\"tool\":\"delegate_to_agent\",\"arguments\":"
                               "{\"agent\":\"a\",\"message\":\"%s\"%s}}]}",
                               text, i ? ",\"context\":\"0123456789\"" : "");
        talk_begin(self, 1);
        talk_expect_call(self, 1);
        talk_answer(self, turn);
        talk_expect_turn(self, 1, 1);
        if (i)
            talk_expect_error(self, 0, "too_large", "the most is 65536");
        else
            (void)talk_expect_report(self, CONVERSATION_DELEGATE);
        free(turn);
    }
    free(text);
}

static void test_failures_of_calls(void **state)
{
    struct talk *self = *state;
    struct conversation_answer failed = {
        .error = "overloaded", .what = "later", .usage = {1, 2, 3}};
    talk_begin(self, 1);
    talk_expect_call(self, 1);
    conversation_answer(self->conversation, &failed);
    const struct conversation_report *report = talk_expect_report(self, CONVERSATION_FAILURE);
    assert_int_equal(report->turn, 1);
    assert_int_equal(report->usage.cost_microusd, 3);
    assert_string_equal(report->failure.message, "later");
    talk_expect_failure(self, "overloaded", false);
    static const char *const malformed[] = {"1", "{\"calls\":1}", "{\"calls\":[1]}",
                                            "{\"calls\":[{\"tool\":1}]}",
                                            "{\"calls\":[{\"tool\":\"a\\u0000b\"}]}"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        talk_begin(self, 1);
        talk_expect_call(self, 1);
        talk_answer(self, malformed[i]);
        talk_expect_failure(self, "malformed", false);
    }
}

static void test_a_conversation_that_is_too_large(void **state)
{
    struct talk *self = *state;
    char *text = xmalloc(LIMIT_CONVERSATION_BYTES + 3);
    memset(text, 'x', LIMIT_CONVERSATION_BYTES + 2);
    text[0] = text[LIMIT_CONVERSATION_BYTES + 1] = '"';
    text[LIMIT_CONVERSATION_BYTES + 2] = '\0';
    talk_begin(self, 1);
    talk_expect_call(self, 1);
    char *turn = xasprintf("{\"content\":%s,\"calls\":[{\"tool\":\"x\"}]}", text);
    talk_answer(self, turn);
    talk_expect_turn(self, 1, 1);
    talk_expect_error(self, 0, "unknown_tool", "x");
    conversation_granted(self->conversation, 2);
    talk_expect_failure(self, "too_large", true);
    free(turn);
    free(text);
}

/* --- the output ----------------------------------------------------------------------------------
 */

static void test_the_answer_has_to_fit_the_output(void **state)
{
    struct talk *self = *state;
    value_t *request = NULL;
    self->def.output =
        talk_json("{\"type\":\"object\",\"properties\":{\"score\":{\"type\":\"integer\"}},"
                  "\"required\":[\"score\"]}");
    talk_begin(self, 1);
    talk_expect_call(self, 1);
    talk_answer(self, "{\"content\":\"seven\"}");
    talk_expect_turn(self, 1, 0);
    talk_expect_error(self, 0, "output", "must be of type object, not text");
    talk_expect(self, CONVERSATION_WAIT);
    conversation_granted(self->conversation, 2);
    talk_expect(self, CONVERSATION_CALL);
    assert_int_equal(value_from_msgpack(self->next.request, &request, NULL), 0);
    const value_t *results = value_get(value_at(value_get(request, "turns"), 0), "results");
    assert_string_equal(value_get_string(value_get(value_at(results, 0), "error"), "code", ""),
                        "output");
    value_destroy(&request);
    talk_expect_call(self, 2);
    talk_answer(self, "{\"content\":\"{\\\"score\\\": \\\"7\\\"}\"}");
    talk_expect_turn(self, 2, 0);
    talk_expect_error(self, 0, "output", "score must be of type integer");
    conversation_granted(self->conversation, 3);
    talk_expect_call(self, 3);
    talk_answer(self, "{\"content\":\"{\\\"score\\\": 7}\"}");
    talk_expect_turn(self, 3, 0);
    talk_expect_result(self, "{\"score\":7}");
    /* Resumed before and after the correction. */
    talk_past_turn(self, 1, "{\"content\":\"seven\"}");
    talk_begin(self, 0);
    talk_expect_error(self, 0, "output", "must be of type object");
    talk_past_error(self, 1, 0, "output", "it must be of type object");
    talk_begin(self, 2);
    talk_expect_call(self, 2);
    talk_answer(self, "{\"content\":{\"score\":1}}");
    talk_expect_turn(self, 2, 0);
    talk_expect_result(self, "{\"score\":1}");
}

/* What is wrong is said in a bounded text, which may be cut anywhere. */
static void test_messages_are_valid_utf8(void **state)
{
    struct talk *self = *state;
    for (size_t before = 0; before < 3; before++) {
        struct buf schema = {0};
        buf_printf(&schema, "{\"enum\":[\"%.*s", (int)before, "ab");
        for (int i = 0; i < 200; i++)
            buf_puts(&schema, "\xe2\x82\xac");
        buf_puts(&schema, "\"]}");
        value_destroy(&self->def.output);
        self->def.output = talk_json(buf_string(&schema));
        buf_release(&schema);
        talk_begin(self, 1);
        talk_expect_call(self, 1);
        talk_answer(self, TURN_FINAL);
        talk_expect_turn(self, 1, 0);
        const char *message = talk_expect_report(self, CONVERSATION_TOOL_RESULT)->failure.message;
        assert_true(utf8_valid(message, strlen(message)));
        talk_expect_error(self, 0, "output", "must be one of");
        conversation_granted(self->conversation, 2);
        talk_expect_call(self, 2);
    }
}

static void test_a_text_that_reads_as_json_may_be_what_is_wanted(void **state)
{
    struct talk *self = *state;
    self->def.output = talk_json("{\"type\":\"string\"}");
    talk_begin(self, 1);
    talk_expect_call(self, 1);
    talk_answer(self, "{\"content\":\"12\"}");
    talk_expect_turn(self, 1, 0);
    talk_expect_result(self, "\"12\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, talk_set_up, talk_tear_down)
        TEST(test_a_turn_without_calls_is_the_answer),
        TEST(test_tools_are_offered_as_the_agent_may_use_them),
        TEST(test_nothing_is_asked_for_without_a_grant),
        TEST(test_a_grant_said_again_asks_again),
        TEST(test_a_request_that_was_forgotten),
        TEST(test_commands_wait_for_their_turn_to_be_journaled),
        TEST(test_calls_that_make_no_sense),
        TEST(test_wrong_arguments_of_builtin_tools),
        TEST(test_what_is_too_large_for_a_delegation),
        TEST(test_failures_of_calls),
        TEST(test_a_conversation_that_is_too_large),
        TEST(test_the_answer_has_to_fit_the_output),
        TEST(test_messages_are_valid_utf8),
        TEST(test_a_text_that_reads_as_json_may_be_what_is_wanted),
    };
    return cmocka_run_group_tests_name("conversation", tests, NULL, NULL);
}
