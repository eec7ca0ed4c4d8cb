/* Conversations that go on after a yield, or from what the journal has of them. */
#include "agentd/conversation_fixture.h"
#include "base/limits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- yields --------------------------------------------------------------------------------------
 */

static void test_calls_of_the_coordinator_end_the_run(void **state)
{
    struct talk *self = *state;
    talk_begin(self, 1);
    talk_expect_call(self, 1);
    talk_answer(self, TURN_MIXED);
    talk_expect_turn(self, 1, 3);
    const struct conversation_report *report = talk_expect_report(self, CONVERSATION_DELEGATE);
    assert_int_equal(report->turn, 1);
    assert_int_equal(report->call, 0);
    assert_string_equal(report->name, "writer");
    talk_assert_packed(report->output, "[1]");
    assert_int_equal(report->context.size, 0);
    assert_false(report->hand_off);
    talk_reported(self);
    report = talk_expect_report(self, CONVERSATION_TOOL_CALL);
    assert_int_equal(report->call, 2);
    assert_string_equal(report->name, "context_get");
    talk_assert_packed(report->output, "{\"path\":\"a.b\"}");
    talk_reported(self);
    talk_expect(self, CONVERSATION_WAIT);
    conversation_acknowledged(self->conversation);
    talk_expect_tool(self, 1, "{\"input\":\"x\",\"times\":1}");
    talk_expect(self, CONVERSATION_WAIT);
    talk_tool_gives(self, 1, "\"2\"");
    talk_expect_output(self, 1, "\"2\"");
    talk_expect(self, CONVERSATION_YIELD);
}

static void test_hand_off_and_context(void **state)
{
    struct talk *self = *state;
    talk_begin(self, 1);
    talk_expect_call(self, 1);
    talk_answer(self, "{\"calls\":[{\"tool\":\"delegate_to_agent\",\"arguments\":{\"agent\":\"w\","
                      "\"message\":null,\"context\":{\"a\":1},\"hand_off\":true}},"
                      "{\"tool\":\"list_agents\"}]}");
    talk_expect_turn(self, 1, 2);
    const struct conversation_report *report = talk_expect_report(self, CONVERSATION_DELEGATE);
    assert_true(report->hand_off);
    talk_assert_packed(report->output, "null");
    talk_assert_packed(report->context, "{\"a\":1}");
    talk_reported(self);
    report = talk_expect_report(self, CONVERSATION_TOOL_CALL);
    talk_assert_packed(report->output, "{}");
    talk_reported(self);
    talk_expect(self, CONVERSATION_YIELD);
}

/* A parked conversation goes on with what the dispatch brings of its last turn. */
static void test_parked_and_resumed(void **state)
{
    struct talk *self = *state;
    talk_begin(self, 1);
    talk_expect_call(self, 1);
    talk_answer(self, TURN_WC);
    talk_expect_turn(self, 1, 1);
    conversation_acknowledged(self->conversation);
    talk_expect_tool(self, 0, "{\"input\":\"x\",\"times\":1}");
    talk_tool_gives(self, 0, "7");
    talk_expect_output(self, 0, "7");
    conversation_granted(self->conversation, 2);
    talk_expect_call(self, 2);
    talk_answer(self, TURN_DELEGATE);
    talk_expect_turn(self, 2, 1);
    talk_expect_report(self, CONVERSATION_DELEGATE);
    talk_reported(self);
    talk_expect(self, CONVERSATION_YIELD);
    talk_past_turn(self, 1, TURN_WC);
    talk_past_result(self, 1, 0, "7");
    talk_past_turn(self, 2, TURN_DELEGATE);
    talk_past_result(self, 2, 0, "{\"text\":\"written\"}");
    struct wire_dispatch dispatch = talk_dispatch_of(self, 3, 2, 2);
    assert_true(conversation_resume(self->conversation, &dispatch));
    talk_expect(self, CONVERSATION_CALL);
    struct buf live = {0};
    buf_append_bytes(&live, self->next.request);
    /* Anybody else writes the same request. */
    talk_begin(self, 3);
    talk_expect(self, CONVERSATION_CALL);
    assert_true(bytes_equal(self->next.request, buf_bytes(&live)));
    buf_release(&live);
    dispatch.attempt = 2;
    assert_false(conversation_resume(self->conversation, &dispatch));
}

/* Its own last turn never came to the journal, where another one stands. */
static void test_a_parked_turn_that_the_journal_lacks(void **state)
{
    struct talk *self = *state;
    talk_begin(self, 1);
    talk_expect_call(self, 1);
    talk_answer(self, TURN_DELEGATE);
    talk_expect_turn(self, 1, 1);
    talk_past_turn(self, 1, TURN_WC);
    talk_past_result(self, 1, 0, "1");
    talk_past_turn(self, 2, TURN_PAY);
    talk_past_result(self, 2, 0, "2");
    struct wire_dispatch dispatch = talk_dispatch_of(self, 3, 2, 2);
    assert_true(conversation_resume(self->conversation, &dispatch));
    talk_expect(self, CONVERSATION_HISTORY);
    assert_int_equal(self->next.from, 0);
    struct err err = {0};
    assert_int_equal(conversation_history(self->conversation, 0, self->past, 1, &err), 0);
    talk_expect(self, CONVERSATION_HISTORY);
    assert_int_equal(self->next.from, 1);
    assert_int_equal(conversation_history(self->conversation, 1, self->past + 1, 3, &err), 0);
    talk_expect_call(self, 3);
}

/* --- resuming ------------------------------------------------------------------------------------
 */

static void test_history_comes_in_pieces(void **state)
{
    struct talk *self = *state;
    talk_past_turn(self, 1, TURN_WC);
    talk_past_result(self, 1, 0, "1");
    talk_past_turn(self, 2, TURN_WC);
    talk_past_result(self, 2, 0, "2");
    talk_past_turn(self, 3, TURN_WC);
    talk_past_result(self, 3, 0, "3");
    struct wire_dispatch dispatch = talk_dispatch_of(self, 4, 2, 2);
    self->conversation = conversation_new(&dispatch);
    talk_expect(self, CONVERSATION_WAIT); /* no definition yet */
    conversation_define(self->conversation, &self->def);
    talk_expect(self, CONVERSATION_HISTORY);
    assert_int_equal(self->next.from, 0);
    struct err err = {0};
    assert_int_equal(conversation_history(self->conversation, 0, self->past, 0, &err),
                     ERR_MALFORMED);
    assert_int_equal(conversation_history(self->conversation, 0, self->past, 4, &err), 0);
    talk_expect(self, CONVERSATION_HISTORY);
    assert_int_equal(self->next.from, 4);
    assert_int_equal(conversation_history(self->conversation, 4, self->past + 4, 2, &err), 0);
    talk_expect_call(self, 4);
}

static void test_blobs_are_fetched_first(void **state)
{
    struct talk *self = *state;
    talk_past_turn(self, 1, TURN_WC);
    talk_past_result(self, 1, 0, "1");
    struct buf turn = {0}, result = {0}, message = {0};
    buf_append_bytes(&turn, self->past[0].output.inline_bytes);
    self->past[0].output = (struct datum){.is_blob = true, .hash = {1}, .size_bytes = 100};
    self->past[1].output = (struct datum){.is_blob = true, .hash = {2}, .size_bytes = 200000};
    struct wire_dispatch dispatch = talk_dispatch_of(self, 2, 0, 2);
    dispatch.message = (struct datum){.is_blob = true, .hash = {3}, .size_bytes = 300};
    self->conversation = conversation_new(&dispatch);
    conversation_define(self->conversation, &self->def);
    talk_expect(self, CONVERSATION_BLOB);
    assert_int_equal(self->next.blob.hash[0], 3);
    talk_pack("{\"large\":true}", &message);
    conversation_blob(self->conversation, buf_bytes(&message));
    talk_expect(self, CONVERSATION_BLOB);
    assert_int_equal(self->next.blob.hash[0], 1);
    conversation_blob(self->conversation, buf_bytes(&turn));
    talk_expect(self, CONVERSATION_BLOB);
    assert_int_equal(self->next.blob.hash[0], 2);
    /* Cut within a character of two bytes, which goes as a whole. */
    value_t *parts = value_list();
    char *text = xmalloc(2 * LIMIT_TOOL_RESULT_BYTES);
    for (size_t i = 0; i < LIMIT_TOOL_RESULT_BYTES; i++)
        memcpy(text + 2 * i, "é", 2);
    value_t *long_text = value_string_n(text, 2 * LIMIT_TOOL_RESULT_BYTES);
    value_append(parts, &long_text);
    value_to_msgpack(parts, &result);
    value_destroy(&parts);
    conversation_blob(self->conversation, buf_bytes(&result));
    talk_expect(self, CONVERSATION_CALL);
    value_t *request = NULL;
    assert_int_equal(value_from_msgpack(self->next.request, &request, NULL), 0);
    assert_true(value_get_bool(value_get(request, "message"), "large", false));
    const value_t *results = value_get(value_at(value_get(request, "turns"), 0), "results");
    const value_t *output = value_get(value_at(results, 0), "output");
    assert_int_equal(value_get_int(output, "size", 0), 2 * LIMIT_TOOL_RESULT_BYTES + 4);
    const value_t *first = value_get(output, "cut");
    assert_int_equal(value_size(first), LIMIT_TOOL_RESULT_BYTES);
    assert_memory_equal(value_as_string(first), "[\"é", 4);
    value_destroy(&request);
    buf_release(&turn);
    buf_release(&result);
    buf_release(&message);
    free(text);
}

static void test_a_long_text_is_cut_as_it_is(void **state)
{
    struct talk *self = *state;
    value_t *request = NULL;
    char *text = xmalloc(LIMIT_TOOL_RESULT_BYTES + 13);
    memset(text, 'x', LIMIT_TOOL_RESULT_BYTES + 12);
    text[0] = text[LIMIT_TOOL_RESULT_BYTES + 11] = '"';
    text[LIMIT_TOOL_RESULT_BYTES + 12] = '\0';
    talk_past_turn(self, 1, TURN_WC);
    talk_past_result(self, 1, 0, text);
    talk_begin(self, 2);
    talk_expect(self, CONVERSATION_CALL);
    assert_int_equal(value_from_msgpack(self->next.request, &request, NULL), 0);
    const value_t *results = value_get(value_at(value_get(request, "turns"), 0), "results");
    const value_t *output = value_get(value_at(results, 0), "output");
    assert_int_equal(value_get_int(output, "size", 0), LIMIT_TOOL_RESULT_BYTES + 10);
    assert_int_equal(value_size(value_get(output, "cut")), LIMIT_TOOL_RESULT_BYTES);
    value_destroy(&request);
    free(text);
}

static void test_interrupted_calls(void **state)
{
    struct talk *self = *state;
    talk_past_turn(
        self, 1,
        "{\"calls\":[{\"tool\":\"wc\",\"arguments\":{\"input\":\"x\"}},{\"tool\":\"pay\"},"
        "{\"tool\":\"what\"},{\"tool\":\"pay\"}]}");
    talk_past_result(self, 1, 3, "1");
    talk_begin(self, 0);
    talk_expect_error(self, 1, "interrupted", "interrupted, outcome unknown");
    talk_expect_error(self, 2, "unknown_tool", "what");
    /* Safe to repeat, and its turn is in the journal. */
    talk_expect_tool(self, 0, "{\"input\":\"x\",\"times\":1}");
    talk_tool_gives(self, 0, "5");
    talk_expect_output(self, 0, "5");
    talk_expect(self, CONVERSATION_WAIT);
    conversation_granted(self->conversation, 2);
    talk_expect_call(self, 2);
}

/* What of a turn of the coordinator's calls is in the journal at each point of it. */
static void test_resumed_at_every_point_of_a_turn(void **state)
{
    struct talk *self = *state;
    talk_past_turn(self, 1, TURN_MIXED);
    talk_begin(self, 0);
    talk_expect_report(self, CONVERSATION_DELEGATE);
    talk_reported(self);
    talk_expect_report(self, CONVERSATION_TOOL_CALL);
    talk_reported(self);
    talk_expect_tool(self, 1, "{\"input\":\"x\",\"times\":1}");
    talk_tool_gives(self, 1, "1");
    talk_expect_output(self, 1, "1");
    talk_expect(self, CONVERSATION_YIELD);
    talk_past_result(self, 1, 2, "null");
    talk_begin(self, 0);
    talk_expect_report(self, CONVERSATION_DELEGATE);
    talk_reported(self);
    talk_expect_tool(self, 1, "{\"input\":\"x\",\"times\":1}");
    talk_tool_gives(self, 1, "1");
    talk_expect_output(self, 1, "1");
    talk_expect(self, CONVERSATION_YIELD);
    talk_past_result(self, 1, 0, "\"from the child\"");
    talk_begin(self, 0);
    talk_expect_tool(self, 1, "{\"input\":\"x\",\"times\":1}");
    talk_tool_gives(self, 1, "1");
    talk_expect_output(self, 1, "1");
    talk_expect(self, CONVERSATION_YIELD);
    talk_past_result(self, 1, 1, "1");
    talk_begin(self, 0);
    talk_expect(self, CONVERSATION_WAIT);
    talk_begin(self, 2);
    talk_expect_call(self, 2);
    /* A refusal is a result like any other. */
    self->past_count = 0;
    talk_past_turn(self, 1, TURN_DELEGATE);
    talk_past_error(self, 1, 0, "not_allowed", "only: reviewer");
    talk_begin(self, 2);
    talk_expect_call(self, 2);
    talk_past_turn(self, 2, TURN_FINAL);
    talk_begin(self, 0);
    talk_expect_result(self, "\"done\"");
}

static void test_a_history_that_is_not_in_order(void **state)
{
    struct talk *self = *state;
    talk_past_result(self, 1, 0, "1");
    talk_begin(self, 1);
    talk_expect_failure(self, "malformed", false);
    self->past_count = 0;
    talk_past_turn(self, 1, TURN_WC);
    talk_past_result(self, 1, 1, "1");
    talk_begin(self, 1);
    talk_expect_failure(self, "malformed", false);
    self->past_count = 0;
    talk_past_turn(self, 2, TURN_WC);
    talk_past_turn(self, 1, TURN_WC);
    talk_begin(self, 1);
    talk_expect_failure(self, "malformed", false);
    struct wire_dispatch dispatch = talk_dispatch_of(self, 1, 0, 0);
    dispatch.history_count = UINT32_MAX;
    conversation_destroy(&self->conversation);
    self->conversation = conversation_new(&dispatch);
    conversation_define(self->conversation, &self->def);
    talk_expect_failure(self, "too_large", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, talk_set_up, talk_tear_down)
        TEST(test_calls_of_the_coordinator_end_the_run),
        TEST(test_hand_off_and_context),
        TEST(test_parked_and_resumed),
        TEST(test_a_parked_turn_that_the_journal_lacks),
        TEST(test_history_comes_in_pieces),
        TEST(test_blobs_are_fetched_first),
        TEST(test_a_long_text_is_cut_as_it_is),
        TEST(test_interrupted_calls),
        TEST(test_resumed_at_every_point_of_a_turn),
        TEST(test_a_history_that_is_not_in_order),
    };
    return cmocka_run_group_tests_name("conversation_resume", tests, NULL, NULL);
}
