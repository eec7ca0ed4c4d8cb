#include "agentd/conversation.h"

#include "base/limits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static value_t *json(const char *text)
{
    value_t *value = NULL;
    struct err err = {0};
    if (value_from_json(text, strlen(text), &value, &err))
        fail_msg("%s: %s", text, err.what);
    return value;
}

static void pack(const char *text, struct buf *out)
{
    value_t *value = json(text);
    buf_clear(out);
    value_to_msgpack(value, out);
    value_destroy(&value);
}

static void assert_packed(struct bytes bytes, const char *expected)
{
    value_t *value = NULL, *wanted = json(expected);
    struct buf got = {0};
    assert_int_equal(value_from_msgpack(bytes, &value, NULL), 0);
    value_to_json(value, 0, &got);
    if (!value_equal(value, wanted))
        fail_msg("got %.600s\nwanted %s", buf_string(&got), expected);
    buf_release(&got);
    value_destroy(&value);
    value_destroy(&wanted);
}

/* --- a fixture: one task, its definition, and the history that the coordinator would have
 * ---------
 */

enum { PAST = 64 };

struct talk {
    struct agent_def def;
    struct agent_tool tools[2];
    conversation_t *conversation;
    struct conversation_next next;
    struct buf bytes[PAST];
    struct wire_history past[PAST];
    uint32_t past_count;
};

static char *const ARGV[] = {(char *)(uintptr_t) "tool", NULL};

static int set_up(void **state)
{
    struct talk *self = xcalloc(1, sizeof *self);
    self->tools[0] = (struct agent_tool){
        .name = xstrdup("wc"),
        .about = xstrdup("Counts."),
        .argv = (char **)(uintptr_t)ARGV,
        .repeat_safe = true,
        .parameters = json("{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"},"
                           "\"times\":{\"type\":\"integer\",\"default\":1}},"
                           "\"required\":[\"input\"]}")};
    self->tools[1] = (struct agent_tool){.name = xstrdup("pay"), .argv = (char **)(uintptr_t)ARGV};
    self->def = (struct agent_def){.name = xstrdup("lead"),
                                   .answers = AGENT_MODEL,
                                   .instructions = xstrdup("Be brief."),
                                   .tools = self->tools,
                                   .tools_count = 2,
                                   .delegates_count = 1};
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct talk *self = *state;
    conversation_destroy(&self->conversation);
    for (size_t i = 0; i < 2; i++) {
        free(self->tools[i].name);
        free(self->tools[i].about);
        value_destroy(&self->tools[i].parameters);
    }
    free(self->def.name);
    free(self->def.instructions);
    value_destroy(&self->def.output);
    for (size_t i = 0; i < PAST; i++)
        buf_release(&self->bytes[i]);
    free(self);
    return 0;
}

static void add_past(struct talk *self, enum wire_step_kind kind, uint32_t turn, uint32_t call,
                     const char *output, const char *code)
{
    struct wire_history *entry = &self->past[self->past_count];
    *entry = (struct wire_history){.kind = kind, .turn = turn, .call = call};
    if (code) {
        entry->failure = (struct wire_failure){.code = code, .message = output};
    } else {
        pack(output, &self->bytes[self->past_count]);
        entry->output = datum_inline(buf_bytes(&self->bytes[self->past_count]));
    }
    self->past_count++;
}

static void past_turn(struct talk *self, uint32_t turn, const char *value)
{
    add_past(self, WIRE_STEP_TURN, turn, 0, value, NULL);
}

static void past_result(struct talk *self, uint32_t turn, uint32_t call, const char *output)
{
    add_past(self, WIRE_STEP_TOOL_RESULT, turn, call, output, NULL);
}

static void past_error(struct talk *self, uint32_t turn, uint32_t call, const char *code,
                       const char *message)
{
    add_past(self, WIRE_STEP_TOOL_RESULT, turn, call, message, code);
}

static struct wire_dispatch dispatch_of(const struct talk *self, uint32_t granted, uint32_t from,
                                        uint32_t here)
{
    static const uint8_t message[] = {0xa2, 'g', 'o'};
    return (struct wire_dispatch){.path = "n",
                                  .attempt = 1,
                                  .run = {1, 1},
                                  .message = datum_inline(bytes_of(message, sizeof message)),
                                  .turn = granted,
                                  .history_count = self->past_count,
                                  .history_from = from,
                                  .history = self->past + from,
                                  .history_here = here};
}

/* With all of the history. */
static void begin(struct talk *self, uint32_t granted)
{
    struct wire_dispatch dispatch = dispatch_of(self, granted, 0, self->past_count);
    conversation_destroy(&self->conversation);
    self->conversation = conversation_new(&dispatch);
    conversation_define(self->conversation, &self->def);
}

static void expect(struct talk *self, enum conversation_do what)
{
    conversation_next(self->conversation, &self->next);
    if (self->next.what != what)
        fail_msg("is to do %d, not %d (report %d %s)", self->next.what, what,
                 self->next.report.kind,
                 self->next.report.failure.message ? self->next.report.failure.message : "");
}

static const struct conversation_report *expect_report(struct talk *self,
                                                       enum conversation_report_kind kind)
{
    expect(self, CONVERSATION_REPORT);
    assert_int_equal(self->next.report.kind, kind);
    return &self->next.report;
}

static void reported(struct talk *self)
{
    conversation_reported(self->conversation);
}

static void expect_call(struct talk *self, uint32_t turn)
{
    expect(self, CONVERSATION_CALL);
    assert_int_equal(self->next.turn, turn);
    conversation_called(self->conversation);
    expect(self, CONVERSATION_WAIT);
    assert_int_equal(conversation_calling(self->conversation), turn);
}

static void answer(struct talk *self, const char *turn)
{
    struct buf bytes = {0};
    pack(turn, &bytes);
    struct conversation_answer one = {.turn = buf_bytes(&bytes), .usage = {3, 4, 5}};
    conversation_answer(self->conversation, &one);
    buf_release(&bytes);
}

static void expect_turn(struct talk *self, uint32_t turn, size_t calls)
{
    const struct conversation_report *report = expect_report(self, CONVERSATION_TURN);
    assert_int_equal(report->turn, turn);
    assert_int_equal(report->calls_count, calls);
    assert_int_equal(report->usage.output_tokens, 4);
    reported(self);
}

static void expect_error(struct talk *self, uint32_t call, const char *code, const char *says)
{
    const struct conversation_report *report = expect_report(self, CONVERSATION_TOOL_RESULT);
    assert_int_equal(report->call, call);
    assert_string_equal(report->failure.code, code);
    if (!strstr(report->failure.message, says))
        fail_msg("\"%s\" does not say \"%s\"", report->failure.message, says);
    reported(self);
}

static void expect_output(struct talk *self, uint32_t call, const char *output)
{
    const struct conversation_report *report = expect_report(self, CONVERSATION_TOOL_RESULT);
    assert_int_equal(report->call, call);
    assert_null(report->failure.code);
    assert_packed(report->output, output);
    reported(self);
}

static void expect_tool(struct talk *self, uint32_t call, const char *arguments)
{
    expect(self, CONVERSATION_TOOL);
    assert_int_equal(self->next.call, call);
    value_t *wanted = json(arguments);
    assert_true(value_equal(self->next.arguments, wanted));
    value_destroy(&wanted);
    conversation_started(self->conversation, call);
}

static void tool_gives(struct talk *self, uint32_t call, const char *output)
{
    struct buf bytes = {0};
    pack(output, &bytes);
    conversation_result(self->conversation, call, buf_bytes(&bytes), NULL);
    buf_release(&bytes);
}

static void tool_fails(struct talk *self, uint32_t call, const char *code)
{
    struct wire_failure failure = {.code = code, .message = "no", .detail = "lines"};
    conversation_result(self->conversation, call, bytes_of(NULL, 0), &failure);
}

static void expect_result(struct talk *self, const char *output)
{
    assert_packed(expect_report(self, CONVERSATION_RESULT)->output, output);
    reported(self);
    expect(self, CONVERSATION_END);
}

static void expect_failure(struct talk *self, const char *code, bool permanent)
{
    const struct conversation_report *report = expect_report(self, CONVERSATION_FAILURE);
    assert_string_equal(report->failure.code, code);
    assert_int_equal(report->failure.permanent, permanent);
    reported(self);
    expect(self, CONVERSATION_END);
}

#define TURN_WC    "{\"content\":\"a\",\"calls\":[{\"tool\":\"wc\",\"arguments\":{\"input\":\"x\"}}]}"
#define TURN_PAY   "{\"content\":null,\"calls\":[{\"tool\":\"pay\",\"arguments\":{}}]}"
#define TURN_FINAL "{\"content\":\"done\"}"
#define CALL_DELEGATE                                                                              \
    "{\"tool\":\"delegate_to_agent\",\"arguments\":{\"agent\":\"writer\",\"message\":[1]}}"
#define TURN_DELEGATE "{\"content\":null,\"calls\":[" CALL_DELEGATE "]}"
#define TURN_MIXED                                                                                 \
    "{\"calls\":[" CALL_DELEGATE ",{\"tool\":\"wc\",\"arguments\":{\"input\":\"x\"}},"             \
    "{\"tool\":\"context_get\",\"arguments\":{\"path\":\"a.b\"}}]}"

/* --- turns ---------------------------------------------------------------------------------------
 */

static void test_a_turn_without_calls_is_the_answer(void **state)
{
    struct talk *self = *state;
    begin(self, 1);
    expect(self, CONVERSATION_CALL);
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
    expect_call(self, 1);
    answer(self, TURN_FINAL);
    expect_turn(self, 1, 0);
    expect_result(self, "\"done\"");
}

static void test_tools_are_offered_as_the_agent_may_use_them(void **state)
{
    struct talk *self = *state;
    value_t *request = NULL;
    self->def.delegates_count = 0;
    begin(self, 1);
    expect(self, CONVERSATION_CALL);
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
    begin(self, 0);
    expect(self, CONVERSATION_WAIT);
    conversation_granted(self->conversation, 2);
    expect(self, CONVERSATION_WAIT);
    begin(self, 0);
    conversation_granted(self->conversation, 1);
    expect_call(self, 1);
    answer(self, TURN_WC);
    expect_turn(self, 1, 1);
    conversation_acknowledged(self->conversation);
    expect_tool(self, 0, "{\"input\":\"x\",\"times\":1}");
    tool_gives(self, 0, "7");
    expect_output(self, 0, "7");
    conversation_granted(self->conversation, 1);
    expect(self, CONVERSATION_WAIT);
    conversation_granted(self->conversation, 2);
    expect_call(self, 2);
}

static void test_a_grant_said_again_asks_again(void **state)
{
    struct talk *self = *state;
    begin(self, 1);
    expect_call(self, 1);
    conversation_granted(self->conversation, 1);
    expect_call(self, 1);
    conversation_granted(self->conversation, 1);
    expect(self, CONVERSATION_CALL);
    answer(self, TURN_FINAL); /* comes too late, or too early: it is not asked for now */
    expect_call(self, 1);
}

static void test_commands_wait_for_their_turn_to_be_journaled(void **state)
{
    struct talk *self = *state;
    begin(self, 1);
    expect_call(self, 1);
    answer(self, "{\"calls\":[{\"tool\":\"wc\",\"arguments\":{\"input\":\"x\",\"times\":3}},"
                 "{\"tool\":\"pay\"},{\"tool\":\"pay\",\"arguments\":{\"a\":1}}]}");
    expect_turn(self, 1, 3);
    expect(self, CONVERSATION_WAIT);
    assert_true(conversation_awaits_acknowledgement(self->conversation));
    conversation_acknowledged(self->conversation);
    assert_false(conversation_awaits_acknowledgement(self->conversation));
    expect_tool(self, 0, "{\"input\":\"x\",\"times\":3}");
    expect_tool(self, 1, "{}");
    expect_tool(self, 2, "{\"a\":1}");
    expect(self, CONVERSATION_WAIT);
    tool_gives(self, 2, "{\"late\":false}");
    expect_output(self, 2, "{\"late\":false}");
    tool_fails(self, 0, "exit");
    expect_error(self, 0, "exit", "no");
    conversation_granted(self->conversation, 2);
    expect(self, CONVERSATION_WAIT);
    tool_gives(self, 1, "null");
    tool_gives(self, 1, "1"); /* once is enough */
    expect_output(self, 1, "null");
    expect(self, CONVERSATION_CALL);
    value_t *request = NULL;
    assert_int_equal(value_from_msgpack(self->next.request, &request, NULL), 0);
    value_t *wanted =
        json("[{\"content\":null,\"calls\":[{\"tool\":\"wc\",\"arguments\":{\"input\":\"x\","
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
        begin(self, 1);
        expect_call(self, 1);
        answer(self, turn);
        expect_turn(self, 1, 1);
        expect_error(self, 0, cases[i].code, cases[i].says);
        /* None of them is the coordinator's: the run goes on. */
        conversation_granted(self->conversation, 2);
        expect_call(self, 2);
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
        begin(self, 1);
        expect_call(self, 1);
        answer(self, turn);
        expect_turn(self, 1, 1);
        expect_error(self, 0, "invalid_arguments", cases[i].says);
        expect(self, CONVERSATION_YIELD);
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
        begin(self, 1);
        expect_call(self, 1);
        answer(self, turn);
        expect_turn(self, 1, 1);
        if (i)
            expect_error(self, 0, "too_large", "the most is 65536");
        else
            (void)expect_report(self, CONVERSATION_DELEGATE);
        free(turn);
    }
    free(text);
}

static void test_failures_of_calls(void **state)
{
    struct talk *self = *state;
    struct conversation_answer failed = {
        .error = "overloaded", .what = "later", .usage = {1, 2, 3}};
    begin(self, 1);
    expect_call(self, 1);
    conversation_answer(self->conversation, &failed);
    const struct conversation_report *report = expect_report(self, CONVERSATION_FAILURE);
    assert_int_equal(report->turn, 1);
    assert_int_equal(report->usage.cost_microusd, 3);
    assert_string_equal(report->failure.message, "later");
    expect_failure(self, "overloaded", false);
    static const char *const malformed[] = {"1", "{\"calls\":1}", "{\"calls\":[1]}",
                                            "{\"calls\":[{\"tool\":1}]}",
                                            "{\"calls\":[{\"tool\":\"a\\u0000b\"}]}"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        begin(self, 1);
        expect_call(self, 1);
        answer(self, malformed[i]);
        expect_failure(self, "malformed", false);
    }
}

static void test_a_conversation_that_is_too_large(void **state)
{
    struct talk *self = *state;
    char *text = xmalloc(LIMIT_CONVERSATION_BYTES + 3);
    memset(text, 'x', LIMIT_CONVERSATION_BYTES + 2);
    text[0] = text[LIMIT_CONVERSATION_BYTES + 1] = '"';
    text[LIMIT_CONVERSATION_BYTES + 2] = '\0';
    begin(self, 1);
    expect_call(self, 1);
    char *turn = xasprintf("{\"content\":%s,\"calls\":[{\"tool\":\"x\"}]}", text);
    answer(self, turn);
    expect_turn(self, 1, 1);
    expect_error(self, 0, "unknown_tool", "x");
    conversation_granted(self->conversation, 2);
    expect_failure(self, "too_large", true);
    free(turn);
    free(text);
}

/* --- yields --------------------------------------------------------------------------------------
 */

static void test_calls_of_the_coordinator_end_the_run(void **state)
{
    struct talk *self = *state;
    begin(self, 1);
    expect_call(self, 1);
    answer(self, TURN_MIXED);
    expect_turn(self, 1, 3);
    const struct conversation_report *report = expect_report(self, CONVERSATION_DELEGATE);
    assert_int_equal(report->turn, 1);
    assert_int_equal(report->call, 0);
    assert_string_equal(report->name, "writer");
    assert_packed(report->output, "[1]");
    assert_int_equal(report->context.size, 0);
    assert_false(report->hand_off);
    reported(self);
    report = expect_report(self, CONVERSATION_TOOL_CALL);
    assert_int_equal(report->call, 2);
    assert_string_equal(report->name, "context_get");
    assert_packed(report->output, "{\"path\":\"a.b\"}");
    reported(self);
    expect(self, CONVERSATION_WAIT);
    conversation_acknowledged(self->conversation);
    expect_tool(self, 1, "{\"input\":\"x\",\"times\":1}");
    expect(self, CONVERSATION_WAIT);
    tool_gives(self, 1, "\"2\"");
    expect_output(self, 1, "\"2\"");
    expect(self, CONVERSATION_YIELD);
}

static void test_hand_off_and_context(void **state)
{
    struct talk *self = *state;
    begin(self, 1);
    expect_call(self, 1);
    answer(self, "{\"calls\":[{\"tool\":\"delegate_to_agent\",\"arguments\":{\"agent\":\"w\","
                 "\"message\":null,\"context\":{\"a\":1},\"hand_off\":true}},"
                 "{\"tool\":\"list_agents\"}]}");
    expect_turn(self, 1, 2);
    const struct conversation_report *report = expect_report(self, CONVERSATION_DELEGATE);
    assert_true(report->hand_off);
    assert_packed(report->output, "null");
    assert_packed(report->context, "{\"a\":1}");
    reported(self);
    report = expect_report(self, CONVERSATION_TOOL_CALL);
    assert_packed(report->output, "{}");
    reported(self);
    expect(self, CONVERSATION_YIELD);
}

/* A parked conversation goes on with what the dispatch brings of its last turn. */
static void test_parked_and_resumed(void **state)
{
    struct talk *self = *state;
    begin(self, 1);
    expect_call(self, 1);
    answer(self, TURN_WC);
    expect_turn(self, 1, 1);
    conversation_acknowledged(self->conversation);
    expect_tool(self, 0, "{\"input\":\"x\",\"times\":1}");
    tool_gives(self, 0, "7");
    expect_output(self, 0, "7");
    conversation_granted(self->conversation, 2);
    expect_call(self, 2);
    answer(self, TURN_DELEGATE);
    expect_turn(self, 2, 1);
    expect_report(self, CONVERSATION_DELEGATE);
    reported(self);
    expect(self, CONVERSATION_YIELD);
    past_turn(self, 1, TURN_WC);
    past_result(self, 1, 0, "7");
    past_turn(self, 2, TURN_DELEGATE);
    past_result(self, 2, 0, "{\"text\":\"written\"}");
    struct wire_dispatch dispatch = dispatch_of(self, 3, 2, 2);
    assert_true(conversation_resume(self->conversation, &dispatch));
    expect(self, CONVERSATION_CALL);
    struct buf live = {0};
    buf_append_bytes(&live, self->next.request);
    /* Anybody else writes the same request. */
    begin(self, 3);
    expect(self, CONVERSATION_CALL);
    assert_true(bytes_equal(self->next.request, buf_bytes(&live)));
    buf_release(&live);
    dispatch.attempt = 2;
    assert_false(conversation_resume(self->conversation, &dispatch));
}

/* Its own last turn never came to the journal, where another one stands. */
static void test_a_parked_turn_that_the_journal_lacks(void **state)
{
    struct talk *self = *state;
    begin(self, 1);
    expect_call(self, 1);
    answer(self, TURN_DELEGATE);
    expect_turn(self, 1, 1);
    past_turn(self, 1, TURN_WC);
    past_result(self, 1, 0, "1");
    past_turn(self, 2, TURN_PAY);
    past_result(self, 2, 0, "2");
    struct wire_dispatch dispatch = dispatch_of(self, 3, 2, 2);
    assert_true(conversation_resume(self->conversation, &dispatch));
    expect(self, CONVERSATION_HISTORY);
    assert_int_equal(self->next.from, 0);
    struct err err = {0};
    assert_int_equal(conversation_history(self->conversation, 0, self->past, 1, &err), 0);
    expect(self, CONVERSATION_HISTORY);
    assert_int_equal(self->next.from, 1);
    assert_int_equal(conversation_history(self->conversation, 1, self->past + 1, 3, &err), 0);
    expect_call(self, 3);
}

/* --- resuming ------------------------------------------------------------------------------------
 */

static void test_history_comes_in_pieces(void **state)
{
    struct talk *self = *state;
    past_turn(self, 1, TURN_WC);
    past_result(self, 1, 0, "1");
    past_turn(self, 2, TURN_WC);
    past_result(self, 2, 0, "2");
    past_turn(self, 3, TURN_WC);
    past_result(self, 3, 0, "3");
    struct wire_dispatch dispatch = dispatch_of(self, 4, 2, 2);
    self->conversation = conversation_new(&dispatch);
    expect(self, CONVERSATION_WAIT); /* no definition yet */
    conversation_define(self->conversation, &self->def);
    expect(self, CONVERSATION_HISTORY);
    assert_int_equal(self->next.from, 0);
    struct err err = {0};
    assert_int_equal(conversation_history(self->conversation, 0, self->past, 0, &err),
                     ERR_MALFORMED);
    assert_int_equal(conversation_history(self->conversation, 0, self->past, 4, &err), 0);
    expect(self, CONVERSATION_HISTORY);
    assert_int_equal(self->next.from, 4);
    assert_int_equal(conversation_history(self->conversation, 4, self->past + 4, 2, &err), 0);
    expect_call(self, 4);
}

static void test_blobs_are_fetched_first(void **state)
{
    struct talk *self = *state;
    past_turn(self, 1, TURN_WC);
    past_result(self, 1, 0, "1");
    struct buf turn = {0}, result = {0}, message = {0};
    buf_append_bytes(&turn, self->past[0].output.inline_bytes);
    self->past[0].output = (struct datum){.is_blob = true, .hash = {1}, .size_bytes = 100};
    self->past[1].output = (struct datum){.is_blob = true, .hash = {2}, .size_bytes = 200000};
    struct wire_dispatch dispatch = dispatch_of(self, 2, 0, 2);
    dispatch.message = (struct datum){.is_blob = true, .hash = {3}, .size_bytes = 300};
    self->conversation = conversation_new(&dispatch);
    conversation_define(self->conversation, &self->def);
    expect(self, CONVERSATION_BLOB);
    assert_int_equal(self->next.blob.hash[0], 3);
    pack("{\"large\":true}", &message);
    conversation_blob(self->conversation, buf_bytes(&message));
    expect(self, CONVERSATION_BLOB);
    assert_int_equal(self->next.blob.hash[0], 1);
    conversation_blob(self->conversation, buf_bytes(&turn));
    expect(self, CONVERSATION_BLOB);
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
    expect(self, CONVERSATION_CALL);
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
    past_turn(self, 1, TURN_WC);
    past_result(self, 1, 0, text);
    begin(self, 2);
    expect(self, CONVERSATION_CALL);
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
    past_turn(self, 1,
              "{\"calls\":[{\"tool\":\"wc\",\"arguments\":{\"input\":\"x\"}},{\"tool\":\"pay\"},"
              "{\"tool\":\"what\"},{\"tool\":\"pay\"}]}");
    past_result(self, 1, 3, "1");
    begin(self, 0);
    expect_error(self, 1, "interrupted", "interrupted, outcome unknown");
    expect_error(self, 2, "unknown_tool", "what");
    /* Safe to repeat, and its turn is in the journal. */
    expect_tool(self, 0, "{\"input\":\"x\",\"times\":1}");
    tool_gives(self, 0, "5");
    expect_output(self, 0, "5");
    expect(self, CONVERSATION_WAIT);
    conversation_granted(self->conversation, 2);
    expect_call(self, 2);
}

/* What of a turn of the coordinator's calls is in the journal at each point of it. */
static void test_resumed_at_every_point_of_a_turn(void **state)
{
    struct talk *self = *state;
    past_turn(self, 1, TURN_MIXED);
    begin(self, 0);
    expect_report(self, CONVERSATION_DELEGATE);
    reported(self);
    expect_report(self, CONVERSATION_TOOL_CALL);
    reported(self);
    expect_tool(self, 1, "{\"input\":\"x\",\"times\":1}");
    tool_gives(self, 1, "1");
    expect_output(self, 1, "1");
    expect(self, CONVERSATION_YIELD);
    past_result(self, 1, 2, "null");
    begin(self, 0);
    expect_report(self, CONVERSATION_DELEGATE);
    reported(self);
    expect_tool(self, 1, "{\"input\":\"x\",\"times\":1}");
    tool_gives(self, 1, "1");
    expect_output(self, 1, "1");
    expect(self, CONVERSATION_YIELD);
    past_result(self, 1, 0, "\"from the child\"");
    begin(self, 0);
    expect_tool(self, 1, "{\"input\":\"x\",\"times\":1}");
    tool_gives(self, 1, "1");
    expect_output(self, 1, "1");
    expect(self, CONVERSATION_YIELD);
    past_result(self, 1, 1, "1");
    begin(self, 0);
    expect(self, CONVERSATION_WAIT);
    begin(self, 2);
    expect_call(self, 2);
    /* A refusal is a result like any other. */
    self->past_count = 0;
    past_turn(self, 1, TURN_DELEGATE);
    past_error(self, 1, 0, "not_allowed", "only: reviewer");
    begin(self, 2);
    expect_call(self, 2);
    past_turn(self, 2, TURN_FINAL);
    begin(self, 0);
    expect_result(self, "\"done\"");
}

static void test_a_history_that_is_not_in_order(void **state)
{
    struct talk *self = *state;
    past_result(self, 1, 0, "1");
    begin(self, 1);
    expect_failure(self, "malformed", false);
    self->past_count = 0;
    past_turn(self, 1, TURN_WC);
    past_result(self, 1, 1, "1");
    begin(self, 1);
    expect_failure(self, "malformed", false);
    self->past_count = 0;
    past_turn(self, 2, TURN_WC);
    past_turn(self, 1, TURN_WC);
    begin(self, 1);
    expect_failure(self, "malformed", false);
    struct wire_dispatch dispatch = dispatch_of(self, 1, 0, 0);
    dispatch.history_count = UINT32_MAX;
    conversation_destroy(&self->conversation);
    self->conversation = conversation_new(&dispatch);
    conversation_define(self->conversation, &self->def);
    expect_failure(self, "too_large", true);
}

/* --- the output ----------------------------------------------------------------------------------
 */

static void test_the_answer_has_to_fit_the_output(void **state)
{
    struct talk *self = *state;
    value_t *request = NULL;
    self->def.output =
        json("{\"type\":\"object\",\"properties\":{\"score\":{\"type\":\"integer\"}},"
             "\"required\":[\"score\"]}");
    begin(self, 1);
    expect_call(self, 1);
    answer(self, "{\"content\":\"seven\"}");
    expect_turn(self, 1, 0);
    expect_error(self, 0, "output", "must be of type object, not text");
    expect(self, CONVERSATION_WAIT);
    conversation_granted(self->conversation, 2);
    expect(self, CONVERSATION_CALL);
    assert_int_equal(value_from_msgpack(self->next.request, &request, NULL), 0);
    const value_t *results = value_get(value_at(value_get(request, "turns"), 0), "results");
    assert_string_equal(value_get_string(value_get(value_at(results, 0), "error"), "code", ""),
                        "output");
    value_destroy(&request);
    expect_call(self, 2);
    answer(self, "{\"content\":\"{\\\"score\\\": \\\"7\\\"}\"}");
    expect_turn(self, 2, 0);
    expect_error(self, 0, "output", "score must be of type integer");
    conversation_granted(self->conversation, 3);
    expect_call(self, 3);
    answer(self, "{\"content\":\"{\\\"score\\\": 7}\"}");
    expect_turn(self, 3, 0);
    expect_result(self, "{\"score\":7}");
    /* Resumed before and after the correction. */
    past_turn(self, 1, "{\"content\":\"seven\"}");
    begin(self, 0);
    expect_error(self, 0, "output", "must be of type object");
    past_error(self, 1, 0, "output", "it must be of type object");
    begin(self, 2);
    expect_call(self, 2);
    answer(self, "{\"content\":{\"score\":1}}");
    expect_turn(self, 2, 0);
    expect_result(self, "{\"score\":1}");
}

static void test_a_text_that_reads_as_json_may_be_what_is_wanted(void **state)
{
    struct talk *self = *state;
    self->def.output = json("{\"type\":\"string\"}");
    begin(self, 1);
    expect_call(self, 1);
    answer(self, "{\"content\":\"12\"}");
    expect_turn(self, 1, 0);
    expect_result(self, "\"12\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_a_turn_without_calls_is_the_answer),
        TEST(test_tools_are_offered_as_the_agent_may_use_them),
        TEST(test_nothing_is_asked_for_without_a_grant),
        TEST(test_a_grant_said_again_asks_again),
        TEST(test_commands_wait_for_their_turn_to_be_journaled),
        TEST(test_calls_that_make_no_sense),
        TEST(test_wrong_arguments_of_builtin_tools),
        TEST(test_what_is_too_large_for_a_delegation),
        TEST(test_failures_of_calls),
        TEST(test_a_conversation_that_is_too_large),
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
        TEST(test_the_answer_has_to_fit_the_output),
        TEST(test_a_text_that_reads_as_json_may_be_what_is_wanted),
    };
    return cmocka_run_group_tests_name("conversation", tests, NULL, NULL);
}
