#include "engine/fixture.h"

/* How executions are cancelled, fail, pass their limits and end. */

#define BACKSTOP (2 * LIMIT_SILENCE_US)

/* --- cancel ----------------------------------------------------------------------------------- */

static void test_cancel_without_holders_ends_at_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "two", NODE("a", NULL), NODE("b", "{{a}}"),
             NODE("clean", NULL, AFTER("b"), .join = DAG_JOIN_DONE));
    struct uuid id = start(f, "two");
    assert_int_equal(cancel(f, (struct uuid){{99}}), ERR_NOT_FOUND);
    assert_int_equal(cancel(f, id), 0);
    assert_string_equal(event_of(f, EVENT_CANCEL)->cancel.by, "test");
    assert_string_equal(status_of(f, id), "cancelled");
    assert_string_equal(task_status_of(f, id, "a"), "cancelled");
    assert_string_equal(task_status_of(f, id, "clean"), "cancelled");
    assert_string_equal(task(f, id, "clean").reason, "the execution was cancelled");
    up(f, 1, "echo");
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    assert_int_equal(cancel(f, id), ERR_CONFLICT);
    assert_non_null(strstr(f->err.what, "cancelled"));
    fixture_free(&f);
}

static void test_cancel_waits_until_instances_let_go(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "three", NODE("a", NULL), NODE("b", NULL), NODE("c", NULL), NODE("d", "{{a}}"));
    up(f, 1, "echo");
    up(f, 2, "echo");
    struct uuid id = start(f, "three");
    struct effect_dispatch a = *dispatch_of(f, "a"), b = *dispatch_of(f, "b"),
                           c = *dispatch_of(f, "c");
    assert_int_equal(a.handle, 1);
    assert_int_equal(b.handle, 2);
    assert_int_equal(cancel(f, id), 0);
    assert_int_equal(count_effects(f, EFFECT_DROP), 3);
    assert_string_equal(drop_of(f, "b")->reason, "cancelled");
    assert_true(run_compare(drop_of(f, "b")->run, b.run) == 0);
    assert_int_equal(drop_of(f, "b")->handle, 2);
    assert_string_equal(status_of(f, id), "cancelling");
    assert_int_equal(cancel(f, id), 0); /* asked again: nothing more */
    assert_int_equal(f->effects_count, f->first);
    step(f, &a, (struct event_step){.kind = STEP_TURN});
    assert_int_equal(engine_instance_tasks(f->engine, 1), 2); /* a turn is no end */
    failure(f, &a, "cancelled", false);
    assert_int_equal(f->journal_count, f->first_event);
    result(f, &c, "\"too late\"");
    assert_int_equal(f->journal_count, f->first_event);
    assert_int_equal(engine_instance_tasks(f->engine, 1), 0);
    assert_string_equal(status_of(f, id), "cancelling");
    down(f, 2, "exited");
    assert_int_equal(count_events(f, EVENT_LOST), 0);
    assert_string_equal(status_of(f, id), "cancelled");
    assert_true(engine_deadline(f->engine) == INT64_MAX);
    fixture_free(&f);
}

static void test_cancel_has_a_backstop(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one", NODE("a", NULL));
    up(f, 1, "echo");
    struct uuid id = start(f, "one");
    struct effect_dispatch a = *dispatch_of(f, "a");
    assert_int_equal(cancel(f, id), 0);
    assert_true(engine_deadline(f->engine) == T0 + BACKSTOP);
    tick(f, T0 + BACKSTOP - 1);
    assert_string_equal(status_of(f, id), "cancelling");
    tick(f, T0 + BACKSTOP);
    assert_string_equal(status_of(f, id), "cancelled");
    result(f, &a, "1");
    assert_string_equal(drop_of(f, "a")->reason, "ended");
    fixture_free(&f);
}

static void test_cancel_stops_retries(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one", NODE("a", NULL, .retry = {.attempts = 2, .backoff_us = SECOND}));
    up(f, 1, "echo");
    struct uuid id = start(f, "one");
    failure(f, dispatch_of(f, "a"), "exit", false);
    assert_int_equal(cancel(f, id), 0);
    assert_string_equal(status_of(f, id), "cancelled");
    assert_true(engine_deadline(f->engine) == INT64_MAX);
    fixture_free(&f);
}

/* Dispatch and cancel in one batch: released after its commit, the dispatch would start something
 * that is cancelled already. */
static void test_what_is_stopped_in_the_same_batch_is_not_given_out(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one", NODE("a", NULL));
    struct uuid id = start(f, "one"), other = start(f, "one");
    struct decisions batch = {0};
    struct input inputs[] = {
        {.kind = INPUT_INSTANCE_UP,
         .now_us = T0,
         .up = {.handle = 1, .instance = "inst_1", .agent = "echo", .credit = 1}},
        {.kind = INPUT_CANCEL, .now_us = T0, .cancel = {id, "test", "because"}},
    };
    assert_int_equal(engine_decide(f->engine, &inputs[0], &batch, NULL), 0);
    assert_int_equal(batch.effects_count, 2);
    assert_int_equal(batch.effects[1].kind, EFFECT_DISPATCH);
    assert_true(uuid_equal(batch.effects[1].dispatch.execution, id));
    assert_int_equal(engine_decide(f->engine, &inputs[1], &batch, NULL), 0);
    assert_string_equal(status_of(f, id), "cancelled");
    assert_int_equal(batch.effects_count, 3); /* its credit is there for the other one */
    assert_int_equal(batch.effects[1].kind, EFFECT_DROP);
    assert_int_equal(batch.effects[2].kind, EFFECT_DISPATCH);
    assert_true(uuid_equal(batch.effects[2].dispatch.execution, other));
    decisions_clear(&batch);
    inputs[1].cancel.execution = other; /* handed on by now: it has to be told */
    assert_int_equal(engine_decide(f->engine, &inputs[1], &batch, NULL), 0);
    assert_string_equal(status_of(f, other), "cancelling");
    assert_int_equal(batch.effects[0].kind, EFFECT_DROP);
    decisions_release(&batch);
    fixture_free(&f);
}

/* --- failing ---------------------------------------------------------------------------------- */

static void failing_workflow(struct fixture *f, bool finish)
{
    const struct node nodes[] = {
        NODE("bad", NULL),
        NODE("slow", NULL),
        NODE("below", "{{bad}}"),
        NODE("after_slow", "{{slow}}"),
        NODE("clean", "{{nodes.bad.error.code}}/{{nodes.slow.status}}", .join = DAG_JOIN_DONE),
        NODE("clean_more", "{{clean}}", .join = DAG_JOIN_DONE),
        NODE("not_clean", "{{clean}}"),
    };
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .finish = finish}, nodes, 7);
}

/* Rule 5. */
static void test_stop_cancels_all_but_done_nodes(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    failing_workflow(f, false);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    struct effect_dispatch slow = *dispatch_of(f, "slow");
    failure(f, dispatch_of(f, "bad"), "exit", false);
    const struct event_failing *failing = &event_of(f, EVENT_FAILING)->failing;
    assert_string_equal(failing->path, "bad");
    assert_string_equal(failing->failure.code, "exit");
    assert_false(failing->finish);
    assert_string_equal(status_of(f, id), "failing");
    assert_string_equal(drop_of(f, "slow")->reason, "cancelled");
    assert_string_equal(task_status_of(f, id, "slow"), "cancelled");
    assert_string_equal(task(f, id, "below").reason, "after \"bad\" failed");
    assert_string_equal(task(f, id, "after_slow").reason, "the execution failed");
    assert_string_equal(task_status_of(f, id, "not_clean"), "skipped");
    assert_null(dispatch_of(f, "clean")); /* slow has yet to stop */
    failure(f, &slow, "cancelled", false);
    assert_string_equal(json_of(f, &dispatch_of(f, "clean")->message), "\"exit/cancelled\"");
    result(f, dispatch_of(f, "clean"), "\"tidy\"");
    assert_string_equal(json_of(f, &dispatch_of(f, "clean_more")->message), "\"tidy\"");
    assert_string_equal(status_of(f, id), "failing");
    result(f, dispatch_of(f, "clean_more"), "1");
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failed_path, "bad");
    assert_string_equal(execution(f, id).failure.code, "exit");
    assert_string_equal(event_of(f, EVENT_ENDED)->ended.path, "bad");
    assert_string_equal(output_of(f, id), "absent");
    fixture_free(&f);
}

static void test_stop_does_not_wait_for_the_silent(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    failing_workflow(f, false);
    up(f, 1, "echo");
    start(f, "w");
    failure(f, dispatch_of(f, "bad"), "exit", false);
    tick(f, T0 + BACKSTOP);
    assert_non_null(dispatch_of(f, "clean"));
    fixture_free(&f);
}

/* Rule 5. */
static void test_finish_lets_the_rest_go_on(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    failing_workflow(f, true);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    struct effect_dispatch slow = *dispatch_of(f, "slow");
    failure(f, dispatch_of(f, "bad"), "exit", false);
    assert_true(event_of(f, EVENT_FAILING)->failing.finish);
    assert_int_equal(count_effects(f, EFFECT_DROP), 0);
    assert_string_equal(task_status_of(f, id, "below"), "skipped");
    result(f, &slow, "1");
    assert_non_null(dispatch_of(f, "after_slow"));
    assert_string_equal(json_of(f, &dispatch_of(f, "clean")->message), "\"exit/succeeded\"");
    echo_all(f);
    assert_string_equal(task_status_of(f, id, "after_slow"), "succeeded");
    assert_string_equal(task_status_of(f, id, "not_clean"), "succeeded");
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failed_path, "bad");
    fixture_free(&f);
}

/* A done node that failed is no reason to begin anew, and the first failure stays the reason. */
static void test_failures_after_the_first(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("bad", NULL), NODE("clean", NULL, AFTER("bad"), .join = DAG_JOIN_DONE));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    failure(f, dispatch_of(f, "bad"), "first", false);
    failure(f, dispatch_of(f, "clean"), "second", false);
    assert_int_equal(count_events(f, EVENT_FAILING), 0);
    assert_string_equal(execution(f, id).failure.code, "first");
    assert_string_equal(execution(f, id).failed_path, "bad");
    fixture_free(&f);
}

static void test_failing_over_a_restart(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    failing_workflow(f, false);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    failure(f, dispatch_of(f, "bad"), "exit", false);
    restart(f);
    up(f, 2, "echo");
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0); /* slow may still run somewhere */
    tick(f, T0 + LIMIT_CLAIM_WAIT_US);
    result(f, dispatch_of(f, "clean"), "1");
    result(f, dispatch_of(f, "clean_more"), "1");
    assert_string_equal(status_of(f, id), "failed");
    fixture_free(&f);
}

/* Rule 11. */
static void test_cancel_while_failing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("bad", NULL), NODE("clean", NULL, AFTER("bad"), .join = DAG_JOIN_DONE));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    failure(f, dispatch_of(f, "bad"), "exit", false);
    struct effect_dispatch clean = *dispatch_of(f, "clean");
    assert_int_equal(cancel(f, id), 0);
    assert_non_null(drop_of(f, "clean"));
    failure(f, &clean, "cancelled", false);
    assert_string_equal(status_of(f, id), "cancelled");
    fixture_free(&f);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void limited(struct fixture *f, bool finish)
{
    const struct node nodes[] = {NODE("a", NULL), NODE("b", "{{a}}"),
                                 NODE("clean", NULL, AFTER("b"), .join = DAG_JOIN_DONE)};
    const struct dag_spec options = {
        .name = "w", .priority = 5, .time_us = 100 * SECOND, .finish = finish};
    workflow_full(f, options, nodes, 3);
}

/* Rule 10. */
static void test_the_limit_of_time_leaves_done_nodes_their_grace(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    limited(f, true);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    struct effect_dispatch a = *dispatch_of(f, "a");
    assert_true(engine_deadline(f->engine) == T0 + 100 * SECOND);
    tick(f, T0 + 100 * SECOND - 1);
    assert_string_equal(status_of(f, id), "running");
    tick(f, T0 + 100 * SECOND);
    assert_string_equal(event_of(f, EVENT_FAILING)->failing.failure.code, "limit");
    assert_string_equal(event_of(f, EVENT_FAILING)->failing.path, "");
    assert_non_null(drop_of(f, "a"));
    failure(f, &a, "cancelled", false);
    struct effect_dispatch clean = *dispatch_of(f, "clean");
    int64_t grace_over = T0 + 100 * SECOND + LIMIT_DONE_GRACE_US;
    assert_true(engine_deadline(f->engine) == grace_over);
    assert_true(clean.deadline_us == grace_over);
    tick(f, grace_over);
    assert_non_null(drop_of(f, "clean"));
    assert_string_equal(status_of(f, id), "failing");
    failure(f, &clean, "cancelled", false);
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "limit");
    assert_string_equal(execution(f, id).failed_path, "");
    assert_string_equal(task_status_of(f, id, "clean"), "cancelled");
    assert_true(engine_deadline(f->engine) == INT64_MAX);
    fixture_free(&f);
}

static void test_done_nodes_that_end_in_time(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    limited(f, false);
    struct uuid id = start(f, "w");
    tick(f, T0 + 100 * SECOND);
    up(f, 1, "echo");
    result(f, dispatch_of(f, "clean"), "1");
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "limit");
    fixture_free(&f);
}

static void test_grace_ends_what_only_waits(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    limited(f, false);
    struct uuid id = start(f, "w");
    tick(f, T0 + 100 * SECOND);
    assert_string_equal(status_of(f, id), "failing"); /* clean waits for an instance */
    tick(f, T0 + 100 * SECOND + LIMIT_DONE_GRACE_US);
    assert_string_equal(status_of(f, id), "failed");
    up(f, 1, "echo");
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    fixture_free(&f);
}

/* Stopped for another reason before the deadline, done nodes run on until their grace after it. */
static void test_done_nodes_run_over_the_deadline(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    limited(f, false);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    failure(f, dispatch_of(f, "a"), "exit", false);
    assert_non_null(dispatch_of(f, "clean"));
    struct effect_dispatch clean = *dispatch_of(f, "clean");
    tick(f, T0 + 100 * SECOND);
    assert_int_equal(f->journal_count, f->first_event);
    assert_null(drop_of(f, "clean"));
    assert_true(engine_deadline(f->engine) == T0 + 100 * SECOND + LIMIT_DONE_GRACE_US);
    tick(f, engine_deadline(f->engine));
    assert_non_null(drop_of(f, "clean"));
    failure(f, &clean, "cancelled", false);
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "exit");
    fixture_free(&f);
}

/* With the coordinator down over the deadline, done nodes still get all of their grace. */
static void test_the_limit_over_a_restart(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    limited(f, false);
    struct uuid id = start(f, "w");
    f->now = T0 + 1000 * SECOND;
    restart(f);
    tick(f, f->now);
    assert_string_equal(status_of(f, id), "failing");
    tick(f, f->now + LIMIT_CLAIM_WAIT_US);
    up(f, 1, "echo");
    assert_non_null(dispatch_of(f, "clean"));
    assert_true(engine_deadline(f->engine) == T0 + 1000 * SECOND + LIMIT_DONE_GRACE_US);
    result(f, dispatch_of(f, "clean"), "1");
    assert_string_equal(status_of(f, id), "failed");
    fixture_free(&f);
}

/* A node that failed under when_failed: finish is no leave to run past the limit; the error told
 * stays the first one. */
static void test_the_limit_while_finishing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const struct node nodes[] = {NODE("bad", NULL), NODE("slow", NULL)};
    const struct dag_spec options = {
        .name = "w", .priority = 5, .time_us = 100 * SECOND, .finish = true};
    workflow_full(f, options, nodes, 2);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    failure(f, dispatch_of(f, "bad"), "exit", false);
    assert_string_equal(status_of(f, id), "failing");
    tick(f, T0 + 100 * SECOND);
    assert_non_null(drop_of(f, "slow"));
    down(f, 1, "exited");
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "exit");
    fixture_free(&f);
}

/* --- ends ------------------------------------------------------------------------------------- */

/* Rule 12. */
static void test_an_output_expression(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const struct node node = NODE("a", "{{input}}");
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .output = "a.x[0]"}, &node, 1);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    result(f, dispatch_of(f, "a"), "{\"x\":[7]}");
    assert_string_equal(output_of(f, id), "7");
    id = start(f, "w");
    result(f, dispatch_of(f, "a"), "{\"y\":1}");
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "expression");
    assert_non_null(strstr(execution(f, id).failure.message, "output"));
    assert_string_equal(execution(f, id).failed_path, "");
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel_without_holders_ends_at_once),
        cmocka_unit_test(test_cancel_waits_until_instances_let_go),
        cmocka_unit_test(test_cancel_has_a_backstop),
        cmocka_unit_test(test_cancel_stops_retries),
        cmocka_unit_test(test_what_is_stopped_in_the_same_batch_is_not_given_out),
        cmocka_unit_test(test_stop_cancels_all_but_done_nodes),
        cmocka_unit_test(test_stop_does_not_wait_for_the_silent),
        cmocka_unit_test(test_finish_lets_the_rest_go_on),
        cmocka_unit_test(test_failures_after_the_first),
        cmocka_unit_test(test_failing_over_a_restart),
        cmocka_unit_test(test_cancel_while_failing),
        cmocka_unit_test(test_the_limit_of_time_leaves_done_nodes_their_grace),
        cmocka_unit_test(test_done_nodes_that_end_in_time),
        cmocka_unit_test(test_grace_ends_what_only_waits),
        cmocka_unit_test(test_done_nodes_run_over_the_deadline),
        cmocka_unit_test(test_the_limit_over_a_restart),
        cmocka_unit_test(test_the_limit_while_finishing),
        cmocka_unit_test(test_an_output_expression),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
