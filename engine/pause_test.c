#include "engine/fixture.h"

/* Pause and resume. */

static void test_nothing_new_begins(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "x"), NODE("b", "{{a}}"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    const struct effect_dispatch a = *dispatch_of(f, "a");
    assert_int_equal(pause_it(f, id), 0);
    assert_string_equal(status_of(f, id), "paused");
    assert_string_equal(task_status_of(f, id, "a"), "running");
    result(f, &a, "1");
    assert_string_equal(task_status_of(f, id, "a"), "succeeded");
    assert_null(dispatch_of(f, "b"));
    assert_int_equal(go_on(f, id), 0);
    assert_string_equal(status_of(f, id), "running");
    result(f, dispatch_of(f, "b"), "2");
    assert_string_equal(status_of(f, id), "succeeded");
    assert_int_equal(pause_it(f, id), ERR_CONFLICT);
    assert_int_equal(go_on(f, id), ERR_CONFLICT);
}

static void test_twice_is_fine(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "x"));
    struct uuid id = start(f, "w");
    assert_int_equal(go_on(f, id), 0);
    assert_int_equal(f->journal_count - f->first_event, 0);
    assert_int_equal(pause_it(f, id), 0);
    assert_int_equal(pause_it(f, id), 0);
    assert_int_equal(f->journal_count - f->first_event, 0);
    assert_int_equal(go_on(f, id), 0);
    assert_int_equal(count_events(f, EVENT_RESUMED), 1);
    struct uuid none = {0};
    assert_int_equal(pause_it(f, none), ERR_NOT_FOUND);
}

static void test_queued_tasks_are_not_given_out(void **state)
{
    struct fixture *f = *state;
    const struct node nodes[] = {NODE("a", "x"), NODE("b", "x"), NODE("c", "x")};
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .parallel = 2}, nodes, 3);
    struct uuid id = start(f, "w");
    assert_int_equal(pause_it(f, id), 0);
    up(f, 1, "echo");
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    assert_int_equal(go_on(f, id), 0);
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 2);
    echo_all(f);
    assert_string_equal(status_of(f, id), "succeeded");
}

static void test_retry_waits(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "x", .retry = {2, SECOND, 1, 0}));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    const struct effect_dispatch a = *dispatch_of(f, "a");
    assert_int_equal(pause_it(f, id), 0);
    failure(f, &a, "exit", false);
    tick(f, T0 + 10 * SECOND);
    assert_null(dispatch_of(f, "a"));
    assert_int_equal(go_on(f, id), 0);
    assert_int_equal(dispatch_of(f, "a")->attempt, 2);
}

static void test_pause_survives_a_restart(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "x"), NODE("b", "{{a}}"),
             NODE("t", NULL, .kind = DAG_WAIT, .wait_us = SECOND, AFTER("a")));
    struct uuid id = start(f, "w");
    assert_int_equal(pause_it(f, id), 0);
    restart(f);
    assert_string_equal(status_of(f, id), "paused");
    up(f, 1, "echo");
    tick(f, T0 + 10 * SECOND);
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    restart(f);
    up(f, 2, "echo");
    assert_int_equal(go_on(f, id), 0);
    tick(f, T0 + 20 * SECOND);
    result(f, dispatch_of(f, "a"), "1");
    assert_non_null(dispatch_of(f, "b"));
    assert_string_equal(task_status_of(f, id, "t"), "waiting");
}

/* What became ready in the pause was not given out, so that it may run for the first time. */
static void test_rerun_never_is_not_lost_to_a_pause(void **state)
{
    struct fixture *f = *state;
    f->rerun_never = true;
    WORKFLOW(f, "w", NODE("a", "x"), NODE("b", "{{a}}"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    const struct effect_dispatch a = *dispatch_of(f, "a");
    assert_int_equal(pause_it(f, id), 0);
    result(f, &a, "1");
    restart(f);
    up(f, 2, "echo");
    tick(f, T0 + 10 * SECOND);
    assert_string_equal(task_status_of(f, id, "b"), "pending");
    assert_int_equal(go_on(f, id), 0);
    result(f, dispatch_of(f, "b"), "2");
    assert_string_equal(status_of(f, id), "succeeded");
}

static void test_held_run_is_claimed_while_paused(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "x"), NODE("b", "{{a}}"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    struct effect_dispatch a = *dispatch_of(f, "a");
    assert_int_equal(pause_it(f, id), 0);
    restart(f);
    const struct claim claim = {.execution = id, .path = "a", .run = a.run};
    up_claiming(f, 2, 0, "echo", &claim, 1);
    assert_true(welcome_of(f)->verdicts[0].keep);
    a.handle = 2;
    result(f, &a, "1");
    assert_string_equal(task_status_of(f, id, "a"), "succeeded");
    assert_null(dispatch_of(f, "b"));
}

static void test_waits_go_on(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("t", NULL, .kind = DAG_WAIT, .wait_us = SECOND),
             NODE("s", NULL, .kind = DAG_SIGNAL, .signal = "go"),
             NODE("review", "ok?", .kind = DAG_APPROVE),
             NODE("late", NULL, .kind = DAG_WAIT, .wait_us = SECOND, AFTER("t")));
    struct uuid id = start(f, "w");
    assert_int_equal(pause_it(f, id), 0);
    tick(f, T0 + SECOND);
    assert_string_equal(task_status_of(f, id, "t"), "succeeded");
    assert_string_equal(task_status_of(f, id, "late"), "pending");
    assert_int_equal(signal_to(f, id, "go", "1"), 0);
    assert_string_equal(task_status_of(f, id, "s"), "succeeded");
    assert_int_equal(decision(f, id, "review", true), 0);
    assert_string_equal(task_status_of(f, id, "review"), "succeeded");
    restart(f);
    assert_string_equal(task_status_of(f, id, "late"), "pending");
    assert_int_equal(go_on(f, id), 0);
    assert_string_equal(task_status_of(f, id, "late"), "waiting");
    tick(f, T0 + 5 * SECOND);
    assert_string_equal(status_of(f, id), "succeeded");
}

static void test_cancel_works(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "x"));
    struct uuid id = start(f, "w");
    assert_int_equal(pause_it(f, id), 0);
    assert_int_equal(cancel(f, id), 0);
    assert_string_equal(status_of(f, id), "cancelled");
    assert_int_equal(go_on(f, id), ERR_CONFLICT);
}

static void test_time_runs_on(void **state)
{
    struct fixture *f = *state;
    const struct node nodes[] = {NODE("a", "x"),
                                 NODE("last", "y", .join = DAG_JOIN_DONE, AFTER("a"))};
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .time_us = 60 * SECOND}, nodes,
                  2);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    assert_int_equal(pause_it(f, id), 0);
    tick(f, T0 + 60 * SECOND);
    assert_string_equal(status_of(f, id), "failing");
    assert_null(dispatch_of(f, "last"));
    tick(f, T0 + 61 * SECOND + LIMIT_DONE_GRACE_US);
    tick(f, T0 + 70 * SECOND + LIMIT_DONE_GRACE_US);
    assert_string_equal(status_of(f, id), "failed");
}

static void test_turns_end_and_no_more_begin(void **state)
{
    struct fixture *f = *state;
    model(f, (struct pinned_agent){.name = "lead"});
    WORKFLOW(f, "w", NODE("a", "x", .agent = "lead"));
    egress_up(f, 100, 1, NULL, 0);
    up(f, 1, "lead");
    struct uuid id = start(f, "w");
    const struct effect_dispatch a = *dispatch_of(f, "a");
    assert_int_equal(pause_it(f, id), 0);
    turn(f, &a, 1, 1, 10, CALLS("wc"));
    assert_null(drop_of(f, "a"));
    tool_result(f, &a, 2, 1, 0, "1");
    assert_int_equal(count_events(f, EVENT_RESERVED), 0);
    assert_non_null(drop_of(f, "a"));
    assert_int_equal(engine_instance_tasks(f->engine, 1), 0);
    restart(f);
    egress_up(f, 101, 1, NULL, 0);
    up(f, 2, "lead");
    tick(f, T0 + 10 * SECOND);
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    assert_int_equal(go_on(f, id), 0);
    assert_int_equal(count_events(f, EVENT_RESERVED), 1);
    const struct effect_dispatch again = *dispatch_of(f, "a");
    assert_int_equal(again.turn, 2);
    assert_int_equal(again.history_count, 2);
    turn(f, &again, 3, 2, 10, NULL);
    result(f,
           &(struct effect_dispatch){.handle = again.handle,
                                     .execution = id,
                                     .path = "a",
                                     .attempt = 1,
                                     .run = again.run,
                                     .journaled_step = 3},
           "1");
    assert_string_equal(status_of(f, id), "succeeded");
}

static void test_last_task_ends_the_execution(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "x"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    const struct effect_dispatch a = *dispatch_of(f, "a");
    assert_int_equal(pause_it(f, id), 0);
    result(f, &a, "1");
    assert_string_equal(status_of(f, id), "succeeded");
}

static void test_no_own_node_begins(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "x"), NODE("review", "ok?", .kind = DAG_APPROVE, AFTER("a")));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    const struct effect_dispatch a = *dispatch_of(f, "a");
    assert_int_equal(pause_it(f, id), 0);
    result(f, &a, "1");
    assert_int_equal(count_events(f, EVENT_WAITING), 0);
    assert_int_equal(go_on(f, id), 0);
    assert_int_equal(count_events(f, EVENT_WAITING), 1);
    assert_string_equal(status_of(f, id), "waiting");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_nothing_new_begins),
        FIXTURE_TEST(test_twice_is_fine),
        FIXTURE_TEST(test_queued_tasks_are_not_given_out),
        FIXTURE_TEST(test_retry_waits),
        FIXTURE_TEST(test_pause_survives_a_restart),
        FIXTURE_TEST(test_rerun_never_is_not_lost_to_a_pause),
        FIXTURE_TEST(test_held_run_is_claimed_while_paused),
        FIXTURE_TEST(test_waits_go_on),
        FIXTURE_TEST(test_cancel_works),
        FIXTURE_TEST(test_time_runs_on),
        FIXTURE_TEST(test_turns_end_and_no_more_begin),
        FIXTURE_TEST(test_last_task_ends_the_execution),
        FIXTURE_TEST(test_no_own_node_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
