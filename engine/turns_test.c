#include "engine/fixture.h"
#include <stdlib.h>

/* Turns of model agents: reservations, grants, tool results, losses, restarts, egresses that come
 * and go, and the ledger. */

static void one(struct fixture *f, struct pinned_agent as)
{
    as.name = "lead";
    model(f, as);
    WORKFLOW(f, "one", NODE("a", "{{input}}", .agent = "lead"));
    egress_up(f, 50, 1, NULL, 0);
    up(f, 1, "lead");
}

static void test_a_turn_is_reserved_and_granted_with_the_dispatch(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct pinned_agent){0});
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    const struct event_reserved *reserved = &event_of(f, EVENT_RESERVED)->reserved;
    assert_int_equal(a->turn, 1);
    assert_string_equal(a->egress, "egress:e1");
    assert_int_equal(a->history_count, 0);
    assert_int_equal(reserved->turn, 1);
    assert_true(reserved->tokens > LIMIT_TURN_OUTPUT_TOKENS);
    const struct effect_grant *grant = grant_of(f, "a");
    assert_int_equal(grant->handle, 50);
    assert_int_equal(grant->key.turn, 1);
    assert_true(run_compare(grant->run, a->run) == 0);
    assert_true(grant->tokens == reserved->tokens);
    assert_true(execution(f, id).tokens_reserved == reserved->tokens);
    turn(f, a, 1, 1, 70, NULL);
    assert_non_null(forget_of(f, "a"));
    assert_null(granted_of(f, "a"));
    assert_true(execution(f, id).tokens_reserved == 0);
    assert_true(execution(f, id).used.output_tokens == 70);
    assert_true(execution(f, id).used.cost_microusd == 140);
    step(f, a, (struct event_step){.kind = STEP_RESULT, .number = 2, .output = datum_of(f, "1")});
    assert_string_equal(status_of(f, id), "succeeded");
    assert_int_equal(task(f, id, "a").turns, 1);
    fixture_free(&f);
}

static void test_tool_results_lead_to_the_next_turn(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct pinned_agent){0});
    start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    turn(f, a, 1, 1, 10, CALLS("wc", "date"));
    assert_null(granted_of(f, "a"));
    tool_result(f, a, 2, 1, 1, "\"now\"");
    assert_null(granted_of(f, "a"));
    tool_result(f, a, 3, 1, 0, "7");
    assert_int_equal(granted_of(f, "a")->turn, 2);
    assert_string_equal(granted_of(f, "a")->egress, "egress:e1");
    assert_int_equal(grant_of(f, "a")->key.turn, 2);
    assert_int_equal(count_events(f, EVENT_RESERVED), 1);
    fixture_free(&f);
}

static void test_a_correction_leads_to_the_next_turn(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct pinned_agent){0});
    start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    turn(f, a, 1, 1, 10, NULL);
    step(f, a,
         (struct event_step){.kind = STEP_TOOL_RESULT,
                             .number = 2,
                             .turn = 1,
                             .failure = {.code = "output", .message = "needs the member \"n\""}});
    assert_int_equal(granted_of(f, "a")->turn, 2);
    fixture_free(&f);
}

/* What makes no sense ends the run, and changes nothing else. */
static void test_nonsense_ends_the_run(void **state)
{
    (void)state;
    static const struct event_step wrong[] = {
        {.kind = STEP_TURN, .number = 1, .turn = 2},
        {.kind = STEP_TURN, .number = 1},
        {.kind = STEP_TOOL_RESULT, .number = 1, .turn = 1},
        {.kind = STEP_TURN, .number = 2, .turn = 1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct fixture *f = fixture_new();
        one(f, (struct pinned_agent){0});
        struct uuid id = start(f, "one");
        const struct effect_dispatch *a = dispatch_of(f, "a");
        struct event_step said = wrong[i];
        said.output = datum_of(f, "{}");
        step(f, a, said);
        assert_non_null(drop_of(f, "a"));
        assert_int_equal(count_events(f, EVENT_STEP), 0);
        assert_int_equal(task(f, id, "a").losses, 1);
        assert_int_equal(dispatch_of(f, "a")->turn, 1);
        fixture_free(&f);
    }
}

static void test_a_result_of_a_call_comes_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct pinned_agent){0});
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    turn(f, a, 1, 1, 10, CALLS("wc", "date"));
    tool_result(f, a, 2, 1, 0, "7");
    tool_result(f, a, 3, 1, 0, "8");
    assert_int_equal(task(f, id, "a").losses, 1);
    assert_int_equal(task(f, id, "a").step, 2);
    fixture_free(&f);
}

static void test_a_lost_task_goes_on_from_its_history(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct pinned_agent){0});
    up(f, 2, "lead");
    start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    turn(f, a, 1, 1, 10, CALLS("wc"));
    tool_result(f, a, 2, 1, 0, "7");
    const struct event *reserved = event_of(f, EVENT_RESERVED);
    down(f, a->handle, "exited");
    const struct effect_dispatch *b = dispatch_of(f, "a");
    assert_true(b->handle != a->handle);
    assert_int_equal(b->turn, 2);
    assert_int_equal(b->journaled_step, 2);
    assert_int_equal(b->history_count, 2);
    assert_int_equal(b->history_here, 2);
    assert_int_equal(b->history[0].kind, STEP_TURN);
    assert_int_equal(b->history[1].call, 0);
    assert_string_equal(json_of(f, &b->history[1].output), "7");
    /* The call may be under way: the same reservation serves the new run. */
    assert_int_equal(count_events(f, EVENT_RESERVED), 0);
    assert_true(grant_of(f, "a")->tokens == reserved->reserved.tokens);
    assert_true(run_compare(grant_of(f, "a")->run, b->run) == 0);
    fixture_free(&f);
}

static void test_an_unfinished_turn_reserves_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct pinned_agent){0});
    start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    turn(f, a, 1, 1, 10, CALLS("wc"));
    down(f, 1, "exited");
    up(f, 2, "lead");
    const struct effect_dispatch *b = dispatch_of(f, "a");
    assert_int_equal(b->turn, 0);
    assert_null(grant_of(f, "a"));
    tool_result(f, b, 2, 1, 0, "7");
    assert_int_equal(granted_of(f, "a")->turn, 2);
    fixture_free(&f);
}

static void test_a_restart_keeps_reservations(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct pinned_agent){0});
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    restart(f);
    const struct claim claim = {.execution = id, .path = "a", .run = a->run};
    up_claiming(f, 1, 0, "lead", &claim, 1);
    assert_true(welcome_of(f)->verdicts[0].keep);
    assert_null(granted_of(f, "a"));
    const struct call_key held[] = {
        {.execution = id, .path = "a", .attempt = 1, .turn = 1},
        {.execution = id, .path = "a", .attempt = 1, .turn = 7},
    };
    egress_up(f, 51, 1, held, 2);
    assert_int_equal(granted_of(f, "a")->turn, 1);
    assert_int_equal(grant_of(f, "a")->handle, 51);
    assert_int_equal(count_effects(f, EFFECT_FORGET), 1);
    assert_int_equal(forget_of(f, "a")->key.turn, 7);
    assert_int_equal(count_events(f, EVENT_RESERVED), 0);
    fixture_free(&f);
}

static void test_a_lost_egress_is_counted_and_asked_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct pinned_agent){0});
    struct uuid id = start(f, "one");
    uint64_t bound = event_of(f, EVENT_RESERVED)->reserved.tokens;
    assert_int_equal(decide(f, (struct input){.kind = INPUT_EGRESS_DOWN, .egress_down = {50}}), 0);
    assert_int_equal(count_events(f, EVENT_SETTLED), 0);
    egress_up(f, 51, 2, NULL, 0);
    assert_int_equal(count_events(f, EVENT_SETTLED), 1);
    assert_int_equal(count_events(f, EVENT_RESERVED), 1);
    assert_int_equal(granted_of(f, "a")->turn, 1);
    assert_int_equal(task(f, id, "a").calls_again, 1);
    assert_true(execution(f, id).used.output_tokens == bound);
    fixture_free(&f);
}

static void test_without_an_egress_tasks_wait(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    model(f, (struct pinned_agent){.name = "lead"});
    WORKFLOW(f, "one", NODE("a", "{{input}}", .agent = "lead"));
    up(f, 1, "lead");
    start(f, "one");
    assert_null(dispatch_of(f, "a"));
    egress_up(f, 50, 1, NULL, 0);
    assert_int_equal(dispatch_of(f, "a")->turn, 1);
    fixture_free(&f);
}

static void test_turns_have_a_limit(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct pinned_agent){.turns = 1});
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    turn(f, a, 1, 1, 10, CALLS("wc"));
    tool_result(f, a, 2, 1, 0, "7");
    assert_non_null(drop_of(f, "a"));
    assert_string_equal(task(f, id, "a").failure.code, "limit");
    assert_non_null(strstr(task(f, id, "a").failure.message, "limits.turns: lead"));
    down(f, 1, "exited");
    assert_string_equal(status_of(f, id), "failed");
    fixture_free(&f);
}

static void test_tokens_have_a_limit(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct pinned_agent){.tokens = 100});
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    assert_true(grant_of(f, "a")->tokens == 100);
    assert_true(a->tokens_left == 100);
    turn(f, a, 1, 1, 60, CALLS("wc"));
    tool_result(f, a, 2, 1, 0, "7");
    assert_true(grant_of(f, "a")->tokens == 40);
    turn(f, a, 3, 2, 40, CALLS("wc"));
    tool_result(f, a, 4, 2, 0, "7");
    assert_null(grant_of(f, "a"));
    assert_string_equal(task(f, id, "a").failure.code, "limit");
    assert_non_null(strstr(task(f, id, "a").failure.message, "limits.tokens of agent \"lead\""));
    fixture_free(&f);
}

static void test_cost_has_a_limit(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct pinned_agent){.cost_microusd = 100, .output_price = 1000000});
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    assert_true(grant_of(f, "a")->cost_microusd == 100);
    turn(f, a, 1, 1, 50, CALLS("wc")); /* costs 100 */
    tool_result(f, a, 2, 1, 0, "7");
    assert_string_equal(task(f, id, "a").failure.code, "limit");
    fixture_free(&f);
}

/* What others have reserved is not gone: who finds nothing waits until their calls have ended. */
static void test_reservations_of_others_are_waited_for(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    model(f, (struct pinned_agent){.name = "lead"});
    const struct node nodes[] = {NODE("a", NULL, .agent = "lead"),
                                 NODE("b", NULL, .agent = "lead")};
    workflow_full(f, (struct dag_spec){.name = "two", .priority = 5, .tokens = 7000}, nodes, 2);
    egress_up(f, 50, 1, NULL, 0);
    up(f, 1, "lead");
    struct uuid id = start(f, "two");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    assert_non_null(a);
    assert_null(dispatch_of(f, "b"));
    assert_string_equal(task_status_of(f, id, "b"), "pending");
    turn(f, a, 1, 1, 100, NULL);
    const struct effect_dispatch *b = dispatch_of(f, "b");
    assert_non_null(b);
    assert_true(execution(f, id).tokens_reserved <= 6900);
    fixture_free(&f);
}

static void test_a_failed_call_counts_what_it_says(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct pinned_agent){0});
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    step(f, a,
         (struct event_step){.kind = STEP_FAILURE,
                             .number = 1,
                             .turn = 1,
                             .failure = {.code = "overloaded", .message = "try later"},
                             .usage = {.input_tokens = 5}});
    assert_true(execution(f, id).used.input_tokens == 5);
    assert_true(execution(f, id).used.output_tokens == 0);
    assert_non_null(forget_of(f, "a"));
    fixture_free(&f);
}

static void test_a_new_attempt_begins_anew(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    model(f, (struct pinned_agent){.name = "lead"});
    WORKFLOW(f, "one",
             NODE("a", NULL, .agent = "lead",
                  .retry = {.attempts = 2, .backoff_us = SECOND, .factor = 1}));
    egress_up(f, 50, 1, NULL, 0);
    up(f, 1, "lead");
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    turn(f, a, 1, 1, 10, CALLS("wc"));
    step(f, a, (struct event_step){.kind = STEP_FAILURE, .number = 2, .failure = {.code = "exit"}});
    tick(f, f->now + 2 * SECOND);
    const struct effect_dispatch *b = dispatch_of(f, "a");
    assert_int_equal(b->attempt, 2);
    assert_int_equal(b->turn, 1);
    assert_int_equal(b->history_count, 0);
    assert_int_equal(grant_of(f, "a")->key.attempt, 2);
    turn(f, b, 3, 1, 10, NULL);
    assert_int_equal(task(f, id, "a").turns, 2);
    fixture_free(&f);
}

static void test_history_comes_in_parts(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct pinned_agent){0});
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    char *json = xcalloc(1, LIMIT_INLINE_BYTES);
    json[0] = '"';
    memset(json + 1, 'x', LIMIT_INLINE_BYTES - 100);
    json[LIMIT_INLINE_BYTES - 99] = '"';
    uint32_t number = 0;
    for (uint32_t n = 1; n <= 6; n++) {
        turn(f, a, ++number, n, 10, CALLS("wc"));
        tool_result(f, a, ++number, n, 0, json);
    }
    down(f, 1, "exited");
    up(f, 2, "lead");
    const struct effect_dispatch *b = dispatch_of(f, "a");
    assert_int_equal(b->history_count, 12);
    assert_true(b->history_here < 12 && b->history_here > 4);
    struct arena arena = {0};
    const struct history_entry *entries;
    size_t count;
    uint32_t total;
    assert_int_equal(engine_history(f->engine, id, "a", 1, (uint32_t)b->history_here, &arena,
                                    &entries, &count, &total, &f->err),
                     0);
    assert_int_equal(total, 12);
    assert_int_equal(b->history_here + count, 12);
    assert_int_equal(entries[count - 1].turn, 6);
    assert_int_equal(
        engine_history(f->engine, id, "a", 0, 13, &arena, &entries, &count, &total, &f->err),
        ERR_INVALID);
    assert_int_equal(
        engine_history(f->engine, id, "a", 2, 0, &arena, &entries, &count, &total, &f->err),
        ERR_NOT_FOUND);
    assert_int_equal(
        engine_history(f->engine, id, "b", 0, 0, &arena, &entries, &count, &total, &f->err),
        ERR_NOT_FOUND);
    arena_release(&arena);
    free(json);
    fixture_free(&f);
}

static void test_cancel_forgets_calls_in_flight(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct pinned_agent){0});
    struct uuid id = start(f, "one");
    uint64_t bound = event_of(f, EVENT_RESERVED)->reserved.tokens;
    cancel(f, id);
    assert_non_null(forget_of(f, "a"));
    assert_non_null(drop_of(f, "a"));
    assert_true(execution(f, id).used.output_tokens == bound);
    assert_true(execution(f, id).tokens_reserved == 0);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_turn_is_reserved_and_granted_with_the_dispatch),
        cmocka_unit_test(test_tool_results_lead_to_the_next_turn),
        cmocka_unit_test(test_a_correction_leads_to_the_next_turn),
        cmocka_unit_test(test_nonsense_ends_the_run),
        cmocka_unit_test(test_a_result_of_a_call_comes_once),
        cmocka_unit_test(test_a_lost_task_goes_on_from_its_history),
        cmocka_unit_test(test_an_unfinished_turn_reserves_nothing),
        cmocka_unit_test(test_a_restart_keeps_reservations),
        cmocka_unit_test(test_a_lost_egress_is_counted_and_asked_again),
        cmocka_unit_test(test_without_an_egress_tasks_wait),
        cmocka_unit_test(test_turns_have_a_limit),
        cmocka_unit_test(test_tokens_have_a_limit),
        cmocka_unit_test(test_cost_has_a_limit),
        cmocka_unit_test(test_reservations_of_others_are_waited_for),
        cmocka_unit_test(test_a_failed_call_counts_what_it_says),
        cmocka_unit_test(test_a_new_attempt_begins_anew),
        cmocka_unit_test(test_history_comes_in_parts),
        cmocka_unit_test(test_cancel_forgets_calls_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
