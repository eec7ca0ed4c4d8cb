#include "coordinator/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Records of turns, delegations, reservations and decisions, there and back. */

static const struct uuid execution = {{1, 2, 3}};
static struct buf record;
static struct arena arena;

static struct event round_trip(struct event event)
{
    struct event back;
    struct err err;
    event.execution = execution;
    event.sequence = 9;
    event.time_us = 1700000000000001;
    journal_encode(&event, &record);
    assert_int_equal(journal_decode(&arena, execution, 9, buf_bytes(&record), &back, &err), 0);
    assert_int_equal(back.kind, event.kind);
    assert_int_equal(back.time_us, event.time_us);
    return back;
}

static int clean(void **state)
{
    (void)state;
    buf_release(&record);
    arena_release(&arena);
    return 0;
}

static const struct call_place place = {
    .path = "draft/1", .run = {9, 12345678901}, .attempt = 2, .turn = 3, .call = 4};

static void assert_place(const struct call_place *by)
{
    assert_string_equal(by->path, "draft/1");
    assert_int_equal(run_compare(by->run, place.run), 0);
    assert_int_equal(by->attempt, 2);
    assert_int_equal(by->turn, 3);
    assert_int_equal(by->call, 4);
}

static void test_turns(void **state)
{
    static const char *const calls[] = {"wc", "delegate_to_agent"};
    (void)state;
    struct event event = {.kind = EVENT_STEP,
                          .step = {.path = "draft",
                                   .attempt = 1,
                                   .run = {1, 2},
                                   .instance = "inst_1",
                                   .number = 3,
                                   .kind = STEP_TURN,
                                   .output = datum_inline(bytes_of("\xc0", 1)),
                                   .agent = "lead",
                                   .turn = 2,
                                   .calls = calls,
                                   .calls_count = 2,
                                   .usage = {100, 20, UINT64_MAX}}};
    struct event_step back = round_trip(event).step;
    assert_int_equal(back.turn, 2);
    assert_int_equal(back.calls_count, 2);
    assert_string_equal(back.calls[1], "delegate_to_agent");
    assert_int_equal(back.usage.input_tokens, 100);
    assert_int_equal(back.usage.output_tokens, 20);
    assert_true(back.usage.cost_microusd == UINT64_MAX);

    event.step.kind = STEP_TOOL_RESULT;
    event.step.calls_count = 0;
    event.step.call = 1;
    event.step.output = (struct datum){0};
    event.step.failure = (struct failure){.code = "exit", .message = "m", .detail = "d"};
    back = round_trip(event).step;
    assert_int_equal(back.turn, 2);
    assert_int_equal(back.call, 1);
    assert_string_equal(back.failure.code, "exit");
    assert_int_equal(back.usage.input_tokens, 0);
}

static void test_reservations(void **state)
{
    (void)state;
    const struct event reserved = {.kind = EVENT_RESERVED,
                                   .reserved = {.path = "draft",
                                                .attempt = 2,
                                                .turn = 3,
                                                .egress = "egress:e1",
                                                .boot = 77,
                                                .tokens = 9000,
                                                .cost_microusd = 70000}};
    struct event_reserved back = round_trip(reserved).reserved;
    assert_string_equal(back.path, "draft");
    assert_int_equal(back.attempt, 2);
    assert_int_equal(back.turn, 3);
    assert_string_equal(back.egress, "egress:e1");
    assert_int_equal(back.boot, 77);
    assert_int_equal(back.tokens, 9000);
    assert_int_equal(back.cost_microusd, 70000);
    const struct event settled = {
        .kind = EVENT_SETTLED,
        .settled = {.path = "draft", .attempt = 2, .turn = 3, .reason = "egress lost"}};
    struct event_settled settled_back = round_trip(settled).settled;
    assert_int_equal(settled_back.turn, 3);
    assert_string_equal(settled_back.reason, "egress lost");
}

static void test_delegations(void **state)
{
    static const char *const delegates[] = {"a", "b*"};
    (void)state;
    const struct event event = {.kind = EVENT_DELEGATED,
                                .delegated = {.by = place,
                                              .child = "draft/1/5",
                                              .agent = {.name = "critic",
                                                        .version = 6,
                                                        .timeout_us = 5,
                                                        .takes_turns = true,
                                                        .delegates = delegates,
                                                        .delegates_count = 2,
                                                        .turns = 7,
                                                        .depth = 8,
                                                        .delegations = 9,
                                                        .same_delegation = 10,
                                                        .max_tokens = 11,
                                                        .tokens = 12,
                                                        .cost_microusd = 13,
                                                        .input_price = 14,
                                                        .output_price = 15},
                                              .message = datum_inline(bytes_of("\xa1x", 2)),
                                              .hand_off = true}};
    struct event_delegated back = round_trip(event).delegated;
    assert_place(&back.by);
    assert_string_equal(back.child, "draft/1/5");
    assert_string_equal(back.agent.name, "critic");
    assert_int_equal(back.agent.version, 6);
    assert_int_equal(back.agent.timeout_us, 5);
    assert_true(back.agent.takes_turns);
    assert_int_equal(back.agent.delegates_count, 2);
    assert_string_equal(back.agent.delegates[1], "b*");
    assert_int_equal(back.agent.turns, 7);
    assert_int_equal(back.agent.depth, 8);
    assert_int_equal(back.agent.delegations, 9);
    assert_int_equal(back.agent.same_delegation, 10);
    assert_int_equal(back.agent.max_tokens, 11);
    assert_int_equal(back.agent.tokens, 12);
    assert_int_equal(back.agent.cost_microusd, 13);
    assert_int_equal(back.agent.input_price, 14);
    assert_int_equal(back.agent.output_price, 15);
    assert_true(datum_equal(&back.message, &event.delegated.message));
    assert_true(back.hand_off);
}

static void test_what_the_coordinator_answers(void **state)
{
    (void)state;
    struct event event = {.kind = EVENT_REFUSED,
                          .refused = {.by = place,
                                      .agent = "nobody",
                                      .failure = {.code = "not_found",
                                                  .message = "there is none",
                                                  .detail = "",
                                                  .permanent = true}}};
    struct event back = round_trip(event);
    assert_place(&back.refused.by);
    assert_string_equal(back.refused.agent, "nobody");
    assert_string_equal(back.refused.failure.code, "not_found");
    event = (struct event){.kind = EVENT_ANSWERED,
                           .answered = {.by = place,
                                        .tool = "list_agents",
                                        .output = datum_inline(bytes_of("\x90", 1))}};
    back = round_trip(event);
    assert_place(&back.answered.by);
    assert_string_equal(back.answered.tool, "list_agents");
    assert_null(back.answered.failure.code);
    assert_true(datum_equal(&back.answered.output, &event.answered.output));
    event = (struct event){
        .kind = EVENT_PATCHED,
        .patched = {.by = place, .patch = datum_inline(bytes_of("\x81\xa1k\x01", 4))}};
    back = round_trip(event);
    assert_place(&back.patched.by);
    assert_true(datum_equal(&back.patched.patch, &event.patched.patch));
}

static struct event decided(enum decided_what what)
{
    return (struct event){.kind = EVENT_DECIDED,
                          .decided = {.path = "score", .what = what, .source = ""}};
}

static void test_conditions(void **state)
{
    (void)state;
    struct event event = decided(DECIDED_EDGE);
    event.decided.source = "find";
    struct event_decided back = round_trip(event).decided;
    assert_string_equal(back.path, "score");
    assert_int_equal(back.what, DECIDED_EDGE);
    assert_string_equal(back.source, "find");
    assert_false(back.holds);
    assert_null(back.failure.code);
    event = decided(DECIDED_IF);
    event.decided.holds = true;
    back = round_trip(event).decided;
    assert_int_equal(back.what, DECIDED_IF);
    assert_string_equal(back.source, "");
    assert_true(back.holds);
    assert_true(datum_absent(&back.items));
    event = decided(DECIDED_FOR);
    event.decided.failure = (struct failure){
        .code = "expression", .message = "no such key", .detail = "d", .permanent = true};
    back = round_trip(event).decided;
    assert_string_equal(back.failure.code, "expression");
    assert_string_equal(back.failure.message, "no such key");
    assert_true(back.failure.permanent);
    assert_true(datum_absent(&back.items));
}

static void test_lists(void **state)
{
    (void)state;
    struct event event = decided(DECIDED_FOR);
    event.decided.items = datum_inline(bytes_of("\x93\x01\x02\x03", 4));
    event.decided.items_count = 3;
    struct event_decided back = round_trip(event).decided;
    assert_int_equal(back.items_count, 3);
    assert_true(datum_equal(&back.items, &event.decided.items));
    event.decided.items = (struct datum){.is_blob = true, .hash = {7, 8}, .size_bytes = 1 << 20};
    event.decided.items_count = 100000;
    back = round_trip(event).decided;
    assert_int_equal(back.items_count, 100000);
    assert_true(datum_equal(&back.items, &event.decided.items));
    event.decided.items = datum_inline(bytes_of("\x90", 1));
    event.decided.items_count = 0;
    back = round_trip(event).decided;
    assert_int_equal(back.items_count, 0);
    assert_true(datum_equal(&back.items, &event.decided.items));
}

static void assert_damaged(struct event event, const char *what)
{
    struct event back;
    struct err err;
    journal_encode(&event, &record);
    assert_int_equal(journal_decode(&arena, execution, 9, buf_bytes(&record), &back, &err),
                     ERR_MALFORMED);
    assert_string_equal(err.what, what);
}

/* What no coordinator writes is not read either. */
static void test_damaged_decisions(void **state)
{
    (void)state;
    const struct datum list = datum_inline(bytes_of("\x91\x01", 2));
    assert_damaged(decided((enum decided_what)0), "0 is nothing that is decided");
    assert_damaged(decided((enum decided_what)4), "4 is nothing that is decided");
    assert_damaged(decided(DECIDED_FOR), "the field \"items\" is missing");
    struct event event = decided(DECIDED_IF);
    event.decided.items = list;
    assert_damaged(event, "the field \"items\" is where no list is");
    event = decided(DECIDED_EDGE);
    event.decided.items_count = 2;
    assert_damaged(event, "there are 2 items, but no list");
    event = decided(DECIDED_FOR);
    event.decided.items = list;
    event.decided.failure.code = "expression";
    assert_damaged(event, "the field \"items\" is where no list is");
    event = decided(DECIDED_EDGE);
    event.decided.source = "\xff";
    assert_damaged(event, "the field \"source\" is not UTF-8");
    event = decided(DECIDED_FOR);
    event.decided.items = (struct datum){.is_blob = true, .hash = {7}, .size_bytes = 9};
    event.decided.items_count = 1;
    (void)round_trip(event);
    for (size_t size = 0; size < record.size; size++) {
        struct event back;
        struct bytes cut = {record.data, size};
        assert_int_equal(journal_decode(&arena, execution, 9, cut, &back, NULL), ERR_MALFORMED);
    }
}

/* No cut of a record is taken for a whole one of another kind. */
static void test_cuts(void **state)
{
    (void)state;
    const struct event event = {.kind = EVENT_DELEGATED,
                                .delegated = {.by = place,
                                              .child = "draft/1/5",
                                              .agent = {.name = "critic", .version = 6},
                                              .message = datum_inline(bytes_of("\xc0", 1))}};
    (void)round_trip(event);
    for (size_t size = 0; size < record.size; size++) {
        struct event back;
        struct err err;
        struct bytes cut = {record.data, size};
        if (journal_decode(&arena, execution, 9, cut, &back, &err) == 0)
            assert_int_equal(back.kind, EVENT_DELEGATED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_turns, clean),
        cmocka_unit_test_teardown(test_reservations, clean),
        cmocka_unit_test_teardown(test_delegations, clean),
        cmocka_unit_test_teardown(test_what_the_coordinator_answers, clean),
        cmocka_unit_test_teardown(test_conditions, clean),
        cmocka_unit_test_teardown(test_lists, clean),
        cmocka_unit_test_teardown(test_damaged_decisions, clean),
        cmocka_unit_test_teardown(test_cuts, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
