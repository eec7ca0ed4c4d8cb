/* One conversation whose instance crashes again and again, at any point, and is followed by another
 * that has what is in the journal, or by itself with what it has in memory: each turn is asked for
 * with the same bytes, a command that isn't safe to repeat starts once at most, and the answer is
 * the same. Seeded; a seed that fails is printed. */
#include "agentd/conversation_fixture.h"

#include "base/limits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const script[] = {
    "{\"content\":\"look\",\"calls\":[{\"tool\":\"wc\",\"arguments\":{\"input\":\"x\"}},"
    "{\"tool\":\"pay\",\"arguments\":{}},{\"tool\":\"what\"}]}",
    "{\"calls\":[{\"tool\":\"delegate_to_agent\",\"arguments\":{\"agent\":\"w\",\"message\":1}},"
    "{\"tool\":\"wc\",\"arguments\":{\"input\":\"y\"}},{\"tool\":\"context_get\"}]}",
    "{\"content\":\"not yet\"}",
    "{\"calls\":[{\"tool\":\"delegate_to_agent\",\"arguments\":{}},{\"tool\":\"list_agents\"}]}",
    "{\"calls\":[{\"tool\":\"pay\"},{\"tool\":\"wc\",\"arguments\":{}}]}",
    "{\"calls\":[{\"tool\":\"wc\",\"arguments\":{\"input\":\"z\"}},{\"tool\":\"list_agents\"}]}",
    "{\"content\":{\"score\":7}}",
};
enum { TURNS = sizeof script / sizeof script[0], CALLS = 3 };

struct world {
    struct talk *talk;
    conversation_t *parked; /* another instance's, of a run long ago */
    uint32_t random;
    unsigned crashes, calls;
    uint8_t hashes[TURNS + 1][DATUM_HASH_BYTES];
    bool asked[TURNS + 1];
    unsigned started[TURNS + 1][CALLS];
    bool said[TURNS + 1][CALLS]; /* to the coordinator, and not answered yet */
    bool ended;
};

static unsigned seed_now;

/* Failed expectations tell which one it was. */
static int tear_down(void **state)
{
    print_message("the last seed was %u\n", seed_now);
    return talk_tear_down(state);
}

static unsigned any(struct world *self, unsigned below)
{
    self->random = self->random * 1664525 + 1013904223;
    return (self->random >> 8) % below;
}

/* What is journaled outlives the conversation that said it. */
static void journal(struct world *self, enum wire_step_kind kind,
                    const struct conversation_report *report)
{
    struct talk *talk = self->talk;
    uint32_t at = talk->past_count++;
    assert_true(at < PAST);
    talk->past[at] =
        (struct wire_history){.kind = kind, .turn = report->turn, .call = report->call};
    buf_clear(&talk->bytes[at]);
    if (report->failure.code) {
        buf_puts(&talk->bytes[at], report->failure.message);
        talk->past[at].failure.message = buf_string(&talk->bytes[at]);
        talk->past[at].failure.code =
            strcmp(report->failure.code, "interrupted") == 0         ? "interrupted"
            : strcmp(report->failure.code, "output") == 0            ? "output"
            : strcmp(report->failure.code, "unknown_tool") == 0      ? "unknown_tool"
            : strcmp(report->failure.code, "invalid_arguments") == 0 ? "invalid_arguments"
                                                                     : "exit";
        return;
    }
    buf_append_bytes(&talk->bytes[at], report->output);
    talk->past[at].output = datum_inline(buf_bytes(&talk->bytes[at]));
}

static void take_report(struct world *self, const struct conversation_report *report)
{
    switch (report->kind) {
    case CONVERSATION_TURN: journal(self, WIRE_STEP_TURN, report); return;
    case CONVERSATION_TOOL_RESULT: journal(self, WIRE_STEP_TOOL_RESULT, report); return;
    case CONVERSATION_DELEGATE:
    case CONVERSATION_TOOL_CALL: self->said[report->turn][report->call] = true; return;
    case CONVERSATION_RESULT:
        talk_assert_packed(report->output, "{\"score\":7}");
        self->ended = true;
        return;
    case CONVERSATION_FAILURE: fail_msg("failed: %s", report->failure.message);
    }
}

static bool has_result(const struct talk *talk, uint32_t turn, uint32_t call)
{
    for (uint32_t i = 0; i < talk->past_count; i++)
        if (talk->past[i].kind == WIRE_STEP_TOOL_RESULT && talk->past[i].turn == turn &&
            talk->past[i].call == call)
            return true;
    return false;
}

/* The coordinator's own results, in any order and at any time after they were asked for. */
static void answer_said(struct world *self)
{
    for (uint32_t turn = 1; turn <= TURNS; turn++) {
        for (uint32_t call = 0; call < CALLS; call++) {
            if (!self->said[turn][call] || has_result(self->talk, turn, call))
                continue;
            struct conversation_report report = {
                .turn = turn, .call = call, .output = bytes_of("\x2a", 1)};
            journal(self, WIRE_STEP_TOOL_RESULT, &report);
        }
    }
}

/* The place of the last turn's entry; the number of its results that are missing. */
static uint32_t last_turn(const struct talk *talk, uint32_t *ret_at, size_t *ret_open)
{
    uint32_t turn = 0, results = 0;
    *ret_at = 0;
    *ret_open = 0;
    for (uint32_t i = 0; i < talk->past_count; i++) {
        results = talk->past[i].kind == WIRE_STEP_TURN ? 0 : results + 1;
        if (talk->past[i].kind != WIRE_STEP_TURN)
            continue;
        *ret_at = i;
        turn = talk->past[i].turn;
    }
    if (!turn)
        return 0;
    value_t *value = talk_json(script[turn - 1]);
    const value_t *calls = value_get(value, "calls");
    size_t wanted = calls ? value_size(calls) : 1; /* a correction, or the end */
    value_destroy(&value);
    *ret_open = wanted - results;
    return turn;
}

static void give_out(struct world *self, bool in_memory)
{
    struct talk *talk = self->talk;
    uint32_t at = 0;
    size_t open = 0;
    uint32_t turn = last_turn(talk, &at, &open);
    in_memory = in_memory && talk->conversation;
    uint32_t from = in_memory && any(self, 2) ? at : any(self, talk->past_count + 1);
    struct wire_dispatch dispatch = talk_dispatch_of(talk, open ? 0 : turn + 1, from, 0);
    dispatch.history_here = talk->past_count - from;
    if (in_memory) {
        assert_true(conversation_resume(talk->conversation, &dispatch));
    } else {
        conversation_destroy(&talk->conversation);
        talk->conversation = conversation_new(&dispatch);
    }
    conversation_define(talk->conversation, &talk->def);
}

static void ask(struct world *self, const struct conversation_next *next)
{
    uint8_t hash[DATUM_HASH_BYTES];
    datum_hash(next->request, hash);
    if (self->asked[next->turn])
        assert_memory_equal(hash, self->hashes[next->turn], sizeof hash);
    memcpy(self->hashes[next->turn], hash, sizeof hash);
    self->asked[next->turn] = true;
    self->calls++;
    conversation_called(self->talk->conversation);
    if (any(self, 3))
        talk_answer(self->talk, script[next->turn - 1]);
}

static void start(struct world *self, const struct conversation_next *next)
{
    self->started[next->turn][next->call]++;
    if (!next->tool->repeat_safe)
        assert_int_equal(self->started[next->turn][next->call], 1);
    conversation_started(self->talk->conversation, next->call);
    char output[16]; /* another one each time: only that of the journal counts */
    snprintf(output, sizeof output, "%u", self->random);
    if (any(self, 4))
        talk_tool_gives(self->talk, next->call, output);
}

/* One thing; false: the run is over, or nothing follows unless it crashes. */
static bool step(struct world *self)
{
    struct talk *talk = self->talk;
    conversation_next(talk->conversation, &talk->next);
    const struct conversation_next *next = &talk->next;
    uint32_t at = 0;
    size_t open = 0;
    switch (next->what) {
    case CONVERSATION_HISTORY: {
        uint32_t count = 1 + any(self, talk->past_count - next->from);
        assert_int_equal(conversation_history(talk->conversation, next->from,
                                              talk->past + next->from, count, NULL),
                         0);
        return true;
    }
    case CONVERSATION_REPORT:
        take_report(self, &next->report);
        conversation_reported(talk->conversation);
        return true;
    case CONVERSATION_TOOL: start(self, next); return true;
    case CONVERSATION_CALL: ask(self, next); return true;
    case CONVERSATION_WAIT: {
        uint32_t turn = last_turn(talk, &at, &open);
        bool waits = conversation_awaits_acknowledgement(talk->conversation);
        conversation_acknowledged(talk->conversation);
        if (!open && !conversation_calling(talk->conversation))
            conversation_granted(talk->conversation, turn + 1);
        conversation_next(talk->conversation, &talk->next);
        return waits || talk->next.what != CONVERSATION_WAIT;
    }
    default: return false;
    }
}

static void run(struct world *self)
{
    bool in_memory = false;
    for (unsigned rounds = 0; !self->ended; rounds++) {
        assert_true(rounds < 10000);
        give_out(self, in_memory);
        unsigned left = any(self, 12);
        while (!self->ended && left-- && step(self)) {
        }
        if (self->ended)
            return;
        self->crashes++;
        in_memory = any(self, 2);
        if (any(self, 3) == 0) {
            conversation_t *before = self->parked;
            self->parked = self->talk->conversation;
            self->talk->conversation = before;
        }
        answer_said(self);
    }
}

static void test_crashes_anywhere(void **state)
{
    struct talk *talk = *state;
    unsigned crashes = 0;
    talk->def.output = talk_json("{\"type\":\"object\"}");
    for (unsigned seed = 1; seed <= 2000; seed++) {
        struct world self = {.talk = talk, .random = seed};
        conversation_destroy(&talk->conversation);
        talk->past_count = 0;
        seed_now = seed;
        run(&self);
        conversation_destroy(&self.parked);
        crashes += self.crashes;
        assert_true(self.calls >= TURNS);
    }
    assert_true(crashes > 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_crashes_anywhere, talk_set_up, tear_down),
    };
    return cmocka_run_group_tests_name("conversation_crash", tests, NULL, NULL);
}
