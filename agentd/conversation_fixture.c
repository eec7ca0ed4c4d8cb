#include "agentd/conversation_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

value_t *talk_json(const char *text)
{
    value_t *value = NULL;
    struct err err = {0};
    if (value_from_json(text, strlen(text), &value, &err))
        fail_msg("%s: %s", text, err.what);
    return value;
}

void talk_pack(const char *text, struct buf *out)
{
    value_t *value = talk_json(text);
    buf_clear(out);
    value_to_msgpack(value, out);
    value_destroy(&value);
}

void talk_assert_packed(struct bytes bytes, const char *expected)
{
    value_t *value = NULL, *wanted = talk_json(expected);
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

static char *const ARGV[] = {(char *)(uintptr_t) "tool", NULL};

int talk_set_up(void **state)
{
    struct talk *self = xcalloc(1, sizeof *self);
    self->tools[0] = (struct agent_tool){
        .name = xstrdup("wc"),
        .about = xstrdup("Counts."),
        .argv = (char **)(uintptr_t)ARGV,
        .repeat_safe = true,
        .parameters =
            talk_json("{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"},"
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

int talk_tear_down(void **state)
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
        talk_pack(output, &self->bytes[self->past_count]);
        entry->output = datum_inline(buf_bytes(&self->bytes[self->past_count]));
    }
    self->past_count++;
}

void talk_past_turn(struct talk *self, uint32_t turn, const char *value)
{
    add_past(self, WIRE_STEP_TURN, turn, 0, value, NULL);
}

void talk_past_result(struct talk *self, uint32_t turn, uint32_t call, const char *output)
{
    add_past(self, WIRE_STEP_TOOL_RESULT, turn, call, output, NULL);
}

void talk_past_error(struct talk *self, uint32_t turn, uint32_t call, const char *code,
                     const char *message)
{
    add_past(self, WIRE_STEP_TOOL_RESULT, turn, call, message, code);
}

struct wire_dispatch talk_dispatch_of(const struct talk *self, uint32_t granted, uint32_t from,
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
void talk_begin(struct talk *self, uint32_t granted)
{
    struct wire_dispatch dispatch = talk_dispatch_of(self, granted, 0, self->past_count);
    conversation_destroy(&self->conversation);
    self->conversation = conversation_new(&dispatch);
    conversation_define(self->conversation, &self->def);
}

void talk_expect(struct talk *self, enum conversation_do what)
{
    conversation_next(self->conversation, &self->next);
    if (self->next.what != what)
        fail_msg("is to do %d, not %d (report %d %s)", self->next.what, what,
                 self->next.report.kind,
                 self->next.report.failure.message ? self->next.report.failure.message : "");
}

const struct conversation_report *talk_expect_report(struct talk *self,
                                                     enum conversation_report_kind kind)
{
    talk_expect(self, CONVERSATION_REPORT);
    assert_int_equal(self->next.report.kind, kind);
    return &self->next.report;
}

void talk_reported(struct talk *self)
{
    conversation_reported(self->conversation);
}

void talk_expect_call(struct talk *self, uint32_t turn)
{
    talk_expect(self, CONVERSATION_CALL);
    assert_int_equal(self->next.turn, turn);
    conversation_called(self->conversation);
    talk_expect(self, CONVERSATION_WAIT);
    assert_int_equal(conversation_calling(self->conversation), turn);
}

void talk_answer(struct talk *self, const char *turn)
{
    struct buf bytes = {0};
    talk_pack(turn, &bytes);
    struct conversation_answer one = {.turn = buf_bytes(&bytes), .usage = {3, 4, 5}};
    conversation_answer(self->conversation, &one);
    buf_release(&bytes);
}

void talk_expect_turn(struct talk *self, uint32_t turn, size_t calls)
{
    const struct conversation_report *report = talk_expect_report(self, CONVERSATION_TURN);
    assert_int_equal(report->turn, turn);
    assert_int_equal(report->calls_count, calls);
    assert_int_equal(report->usage.output_tokens, 4);
    talk_reported(self);
}

void talk_expect_error(struct talk *self, uint32_t call, const char *code, const char *says)
{
    const struct conversation_report *report = talk_expect_report(self, CONVERSATION_TOOL_RESULT);
    assert_int_equal(report->call, call);
    assert_string_equal(report->failure.code, code);
    if (!strstr(report->failure.message, says))
        fail_msg("\"%s\" does not say \"%s\"", report->failure.message, says);
    talk_reported(self);
}

void talk_expect_output(struct talk *self, uint32_t call, const char *output)
{
    const struct conversation_report *report = talk_expect_report(self, CONVERSATION_TOOL_RESULT);
    assert_int_equal(report->call, call);
    assert_null(report->failure.code);
    talk_assert_packed(report->output, output);
    talk_reported(self);
}

void talk_expect_tool(struct talk *self, uint32_t call, const char *arguments)
{
    talk_expect(self, CONVERSATION_TOOL);
    assert_int_equal(self->next.call, call);
    value_t *wanted = talk_json(arguments);
    assert_true(value_equal(self->next.arguments, wanted));
    value_destroy(&wanted);
    conversation_started(self->conversation, call);
}

void talk_tool_gives(struct talk *self, uint32_t call, const char *output)
{
    struct buf bytes = {0};
    talk_pack(output, &bytes);
    conversation_result(self->conversation, call, buf_bytes(&bytes), NULL);
    buf_release(&bytes);
}

void talk_tool_fails(struct talk *self, uint32_t call, const char *code)
{
    struct wire_failure failure = {.code = code, .message = "no", .detail = "lines"};
    conversation_result(self->conversation, call, bytes_of(NULL, 0), &failure);
}

void talk_expect_result(struct talk *self, const char *output)
{
    talk_assert_packed(talk_expect_report(self, CONVERSATION_RESULT)->output, output);
    talk_reported(self);
    talk_expect(self, CONVERSATION_END);
}

void talk_expect_failure(struct talk *self, const char *code, bool permanent)
{
    const struct conversation_report *report = talk_expect_report(self, CONVERSATION_FAILURE);
    assert_string_equal(report->failure.code, code);
    assert_int_equal(report->failure.permanent, permanent);
    talk_reported(self);
    talk_expect(self, CONVERSATION_END);
}
