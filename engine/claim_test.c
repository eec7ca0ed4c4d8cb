#include "engine/fixture.h"

/* What instances say they hold when they say hello, and restarts of the coordinator. */

static void one(struct fixture *f)
{
    WORKFLOW(f, "one", NODE("a", "{{input}}"));
}

static struct claim claim_of(const struct effect_dispatch *dispatch)
{
    return (struct claim){.execution = dispatch->execution,
                          .path = dispatch->path,
                          .run = dispatch->run,
                          .acknowledged_step = dispatch->journaled_step};
}

static bool kept(const struct fixture *f, size_t index)
{
    return welcome_of(f)->verdicts[index].keep;
}

/* --- within one life of the coordinator ------------------------------------------------------- */

static void test_a_claimed_task_moves_to_the_new_link(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    f->credit = 1;
    up(f, 1, "echo");
    assert_int_equal(welcome_of(f)->handle, 1);
    assert_int_equal(welcome_of(f)->count, 0);
    struct uuid id = start(f, "one");
    struct effect_dispatch a = *dispatch_of(f, "a");
    struct claim claim = claim_of(&a);
    up_claiming(f, 2, 1, "echo", &claim, 1);
    assert_int_equal(f->journal_count, f->first_event);
    assert_int_equal(welcome_of(f)->handle, 2);
    assert_true(kept(f, 0));
    assert_int_equal(welcome_of(f)->verdicts[0].journaled_step, 0);
    assert_string_equal(welcome_of(f)->verdicts[0].path, "a");
    assert_int_equal(engine_instance_tasks(f->engine, 1), 0);
    assert_int_equal(engine_instance_tasks(f->engine, 2), 1);
    start(f, "one"); /* the kept task counts as sent */
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    down(f, 1, "silence"); /* the old link's end is of no account any more */
    assert_int_equal(f->journal_count, f->first_event);
    a.handle = 2;
    result(f, &a, "1");
    assert_string_equal(status_of(f, id), "succeeded");
    fixture_free(&f);
}

static void test_what_is_not_claimed_is_lost_before_the_welcome(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "two", NODE("a", NULL), NODE("b", NULL));
    up(f, 1, "echo");
    start(f, "two");
    struct effect_dispatch a = *dispatch_of(f, "a");
    struct effect_dispatch b = *dispatch_of(f, "b");
    struct claim claim = claim_of(&a);
    up_claiming(f, 2, 1, "echo", &claim, 1);
    assert_int_equal(count_events(f, EVENT_LOST), 1);
    assert_string_equal(event_of(f, EVENT_LOST)->lost.path, "b");
    assert_string_equal(event_of(f, EVENT_LOST)->lost.reason, "not claimed");
    assert_true(event_of(f, EVENT_LOST)->lost.counted);
    assert_int_equal(f->effects[f->first].kind, EFFECT_WELCOME);
    assert_true(run_compare(dispatch_of(f, "b")->run, b.run) > 0);
    fixture_free(&f);
}

static void test_claims_that_can_not_be_good_are_dropped(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    up(f, 1, "echo");
    up(f, 2, "echo");
    struct uuid id = start(f, "one");
    struct effect_dispatch a = *dispatch_of(f, "a");
    struct claim good = claim_of(&a);
    struct claim claims[6] = {good, good, good, good, good, good};
    claims[0].run.counter++;            /* never given out */
    claims[1].path = "zz";              /* no such task */
    claims[2].execution.bytes[5] = 9;   /* no such execution */
    claims[3].acknowledged_step = 4;    /* knows more than the journal */
    claims[4].run = (struct run){9, 1}; /* of an epoch to come */
    claims[5].path = NULL;
    up_claiming(f, 10, 3 - a.handle, "echo", claims, 6);
    for (size_t i = 0; i < 6; i++)
        assert_false(kept(f, i));
    up_claiming(f, 11, 10, "echo", &good, 1); /* the right run, from somebody else */
    assert_false(kept(f, 0));
    assert_int_equal(f->journal_count, f->first_event);
    result(f, &a, "1");
    assert_string_equal(status_of(f, id), "succeeded");
    up_claiming(f, 12, a.handle, "echo", &good, 1); /* its result is journaled */
    assert_false(kept(f, 0));
    assert_int_equal(welcome_of(f)->verdicts[0].journaled_step, 1);
    fixture_free(&f);
}

static void test_the_same_claim_twice_is_one(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    up(f, 1, "echo");
    start(f, "one");
    struct claim good = claim_of(dispatch_of(f, "a"));
    struct claim claims[] = {good, good};
    up_claiming(f, 2, 1, "echo", claims, 2);
    assert_true(kept(f, 0) && kept(f, 1));
    assert_int_equal(engine_instance_tasks(f->engine, 2), 1);
    fixture_free(&f);
}

static void test_claims_by_acknowledged_and_unacknowledged_steps(void **state)
{
    (void)state;
    const uint32_t two[] = {1, 2}, three[] = {3};
    const struct {
        uint32_t acknowledged;
        const uint32_t *unacknowledged;
        size_t count;
        bool keep;
    } cases[] = {
        {2, NULL, 0, true},  {2, three, 1, true},  {0, two, 2, true},
        {1, NULL, 0, false}, {1, three, 1, false}, {3, NULL, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f = fixture_new();
        one(f);
        up(f, 1, "echo");
        start(f, "one");
        struct effect_dispatch a = *dispatch_of(f, "a");
        step(f, &a, (struct event_step){.kind = STEP_TURN, .number = 1});
        step(f, &a, (struct event_step){.kind = STEP_TURN, .number = 2});
        struct claim claim = claim_of(&a);
        claim.acknowledged_step = cases[i].acknowledged;
        claim.unacknowledged_steps = cases[i].unacknowledged;
        claim.unacknowledged_count = cases[i].count;
        up_claiming(f, 2, 1, "echo", &claim, 1);
        assert_int_equal(kept(f, 0), cases[i].keep);
        assert_int_equal(count_events(f, EVENT_LOST), !cases[i].keep);
        assert_int_equal(welcome_of(f)->verdicts[0].journaled_step, 2);
        fixture_free(&f);
    }
}

/* An unacknowledged step proves nothing when the journal's step of that number is another run's. */
static void test_an_unacknowledged_step_of_another_run_is_not_the_journals(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    up(f, 1, "echo");
    start(f, "one");
    step(f, dispatch_of(f, "a"), (struct event_step){.kind = STEP_TURN, .number = 1});
    down(f, 1, "exited");
    up(f, 2, "echo");
    struct claim claim = claim_of(dispatch_of(f, "a"));
    const uint32_t steps[] = {1};
    claim.acknowledged_step = 0;
    claim.unacknowledged_steps = steps;
    claim.unacknowledged_count = 1;
    up_claiming(f, 3, 2, "echo", &claim, 1);
    assert_false(kept(f, 0));
    assert_int_equal(count_events(f, EVENT_LOST), 1);
    fixture_free(&f);
}

static void test_the_same_handle_again_ends_what_was(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    up(f, 1, "echo");
    start(f, "one");
    up(f, 1, "echo");
    assert_int_equal(count_events(f, EVENT_LOST), 1);
    assert_non_null(dispatch_of(f, "a"));
    fixture_free(&f);
}

/* A loss that fails the execution stops a task that the same hello claims: no drop is sent before
 * the link is open; the verdict says it. */
static void test_a_loss_may_stop_what_is_claimed_with_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->rerun_never = true;
    WORKFLOW(f, "two", NODE("a", NULL), NODE("b", NULL));
    up(f, 1, "echo");
    struct uuid id = start(f, "two");
    struct effect_dispatch b = *dispatch_of(f, "b");
    struct claim claim = claim_of(&b);
    up_claiming(f, 2, 1, "echo", &claim, 1);
    assert_string_equal(status_of(f, id), "failing");
    assert_false(kept(f, 0));
    assert_int_equal(count_effects(f, EFFECT_DROP), 0);
    assert_int_equal(engine_instance_tasks(f->engine, 2), 1);
    b.handle = 2;
    failure(f, &b, "cancelled", false);
    assert_string_equal(status_of(f, id), "failed");
    fixture_free(&f);
}

static void test_a_stopping_task_claimed_anew_still_has_to_stop(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    up(f, 1, "echo");
    struct uuid id = start(f, "one");
    struct effect_dispatch a = *dispatch_of(f, "a");
    assert_int_equal(cancel(f, id), 0);
    struct claim claim = claim_of(&a);
    up_claiming(f, 2, 1, "echo", &claim, 1);
    assert_false(kept(f, 0));
    assert_string_equal(status_of(f, id), "cancelling");
    up(f, 3, "echo");
    up_claiming(f, 4, 2, "echo", NULL, 0); /* not in its next inventory: it has stopped */
    assert_string_equal(status_of(f, id), "cancelled");
    assert_int_equal(count_events(f, EVENT_LOST), 0);
    fixture_free(&f);
}

/* Its run is void by the timeout, but the instance is still at work. */
static void test_a_task_that_timed_out_and_is_claimed_anew_still_has_to_stop(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one",
             NODE("a", NULL, .timeout_us = SECOND,
                  .retry = {.attempts = 2, .backoff_us = 1, .factor = 1}));
    up(f, 1, "echo");
    start(f, "one");
    struct claim claim = claim_of(dispatch_of(f, "a"));
    tick(f, T0 + SECOND + LIMIT_TIMEOUT_GRACE_US);
    up(f, 2, "echo");
    up_claiming(f, 3, 1, "echo", &claim, 1);
    assert_false(kept(f, 0));
    tick(f, f->now + SECOND);
    assert_null(dispatch_of(f, "a"));
    up_claiming(f, 4, 3, "echo", NULL, 0); /* it has stopped */
    assert_int_equal(dispatch_of(f, "a")->attempt, 2);
    fixture_free(&f);
}

/* --- restarts --------------------------------------------------------------------------------- */

static void test_a_claim_after_a_restart_goes_on(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    up(f, 1, "echo");
    struct uuid id = start(f, "one");
    struct effect_dispatch a = *dispatch_of(f, "a");
    restart(f);
    assert_true(engine_deadline(f->engine) == T0 + LIMIT_CLAIM_WAIT_US);
    up(f, 50, "echo");
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0); /* held back for its claim */
    struct claim claim = claim_of(&a);
    up_claiming(f, 51, 0, "echo", &claim, 1);
    assert_true(kept(f, 0));
    assert_string_equal(task_status_of(f, id, "a"), "running");
    struct claim late = claim;
    up_claiming(f, 52, 0, "echo", &late, 1); /* at most one holder */
    assert_false(kept(f, 0));
    tick(f, T0 + LIMIT_CLAIM_WAIT_US);
    assert_int_equal(f->journal_count, f->first_event);
    a.handle = 51;
    result(f, &a, "1");
    assert_string_equal(status_of(f, id), "succeeded");
    fixture_free(&f);
}

/* What waits for its claim may be at work all the time. */
static void test_what_may_be_claimed_counts_as_parallel(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const struct node nodes[] = {NODE("a", NULL), NODE("b", NULL), NODE("c", NULL, AFTER("b"))};
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .parallel = 2}, nodes, 3);
    up(f, 1, "echo");
    up(f, 2, "echo");
    start(f, "w");
    struct effect_dispatch a = *dispatch_of(f, "a"), b = *dispatch_of(f, "b");
    restart(f);
    struct claim claims[] = {claim_of(&b), claim_of(&a)};
    up_claiming(f, 51, 0, "echo", &claims[0], 1);
    b.handle = 51;
    result(f, &b, "1");
    assert_non_null(dispatch_of(f, "c")); /* with what may run of "a", two */
    restart(f);
    up(f, 52, "echo");
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    tick(f, f->now + LIMIT_CLAIM_WAIT_US);
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 2);
    fixture_free(&f);
}

/* After a restart several may claim the same task: only the run that was not lost is good, and none
 * that this coordinator can't have followed. */
static void test_only_the_current_run_is_claimed_after_a_restart(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    up(f, 1, "echo");
    start(f, "one");
    struct claim lost = claim_of(dispatch_of(f, "a"));
    down(f, 1, "silence");
    up(f, 2, "echo");
    struct claim current = claim_of(dispatch_of(f, "a"));
    restart(f);
    struct claim forged = current;
    forged.run = (struct run){f->epoch, 1};
    up_claiming(f, 10, 0, "echo", &forged, 1);
    assert_false(kept(f, 0));
    up_claiming(f, 11, 0, "echo", &lost, 1);
    assert_false(kept(f, 0));
    up_claiming(f, 12, 0, "echo", &current, 1);
    assert_true(kept(f, 0));
    fixture_free(&f);
}

static void test_what_nobody_claims_is_given_out_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "two", NODE("a", NULL), NODE("b", "{{a}}"));
    up(f, 1, "echo");
    struct uuid id = start(f, "two");
    struct effect_dispatch a = *dispatch_of(f, "a");
    restart(f);
    up(f, 50, "echo");
    struct uuid fresh = start(f, "two"); /* what starts after the resume is not held back */
    assert_true(uuid_equal(dispatch_of(f, "a")->execution, fresh));
    tick(f, T0 + LIMIT_CLAIM_WAIT_US - 1);
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    tick(f, T0 + LIMIT_CLAIM_WAIT_US);
    const struct event_lost *lost = &event_of(f, EVENT_LOST)->lost;
    assert_int_equal(count_events(f, EVENT_LOST), 1);
    assert_string_equal(lost->reason, "restart");
    assert_false(lost->counted);
    assert_true(lost->run.epoch == 7 && lost->run.counter == UINT64_MAX);
    assert_int_equal(task(f, id, "a").losses, 0);
    assert_int_equal(dispatch_of(f, "a")->run.epoch, 8);
    struct effect_dispatch again = *dispatch_of(f, "a");
    assert_true(engine_deadline(f->engine) == INT64_MAX);
    struct claim late = claim_of(&a);
    up_claiming(f, 51, 0, "echo", &late, 1); /* too late: its run is void */
    assert_false(kept(f, 0));
    result(f, &again, "1");
    result(f, dispatch_of(f, "b"), "2");
    assert_string_equal(status_of(f, id), "succeeded");
    fixture_free(&f);
}

/* Two restarts in a row: the second finds all runs of the first epochs void already or voids them
 * with its own event. */
static void test_restarts_in_a_row(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    struct uuid id = start(f, "one");
    for (int i = 0; i < 3; i++) {
        restart(f);
        tick(f, f->now + LIMIT_CLAIM_WAIT_US);
        assert_int_equal(count_events(f, EVENT_LOST), 1);
    }
    restart(f);
    restart(f);
    tick(f, f->now + LIMIT_CLAIM_WAIT_US);
    assert_int_equal(event_of(f, EVENT_LOST)->lost.run.epoch, f->epoch - 1);
    up(f, 1, "echo");
    result(f, dispatch_of(f, "a"), "1");
    assert_string_equal(status_of(f, id), "succeeded");
    fixture_free(&f);
}

static void test_retries_over_a_restart(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->rerun_never = true;
    WORKFLOW(f, "one",
             NODE("a", NULL, .retry = {.attempts = 3, .backoff_us = 60 * SECOND, .factor = 1}));
    up(f, 1, "echo");
    struct uuid id = start(f, "one");
    failure(f, dispatch_of(f, "a"), "exit", false);
    int64_t due = event_of(f, EVENT_STEP)->step.retry_at_us;
    restart(f);
    up(f, 2, "echo");
    tick(f, T0 + LIMIT_CLAIM_WAIT_US); /* not given out yet, so `rerun: never` is kept */
    assert_string_equal(task_status_of(f, id, "a"), "retrying");
    assert_true(engine_deadline(f->engine) == due);
    tick(f, due);
    assert_int_equal(dispatch_of(f, "a")->attempt, 2);
    restart(f);
    tick(f, due + LIMIT_CLAIM_WAIT_US); /* given out by now, perhaps */
    assert_string_equal(status_of(f, id), "failed");
    assert_non_null(strstr(execution(f, id).failure.message, "rerun: never"));
    fixture_free(&f);
}

static void test_many_unclaimed_come_in_batches(void **state)
{
    (void)state;
    enum { WIDTH = LIMIT_BATCH_EVENTS + 100 };
    struct fixture *f = fixture_new();
    struct node *nodes = arena_alloc(&f->arena, WIDTH * sizeof *nodes);
    for (int i = 0; i < WIDTH; i++)
        nodes[i].spec.id = arena_printf(&f->arena, "n%d", i);
    workflow_full(f, (struct dag_spec){.name = "fan", .priority = 5}, nodes, WIDTH);
    start(f, "fan");
    restart(f);
    tick(f, T0 + LIMIT_CLAIM_WAIT_US);
    assert_int_equal(count_events(f, EVENT_LOST), LIMIT_BATCH_EVENTS);
    assert_true(engine_deadline(f->engine) <= f->now);
    tick(f, f->now);
    assert_int_equal(count_events(f, EVENT_LOST), 100);
    assert_true(engine_deadline(f->engine) == INT64_MAX);
    fixture_free(&f);
}

static void test_cancelling_over_a_restart_waits_for_claims(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    up(f, 1, "echo");
    struct uuid first = start(f, "one");
    struct effect_dispatch a = *dispatch_of(f, "a");
    struct uuid second = start(f, "one");
    assert_int_equal(cancel(f, first), 0);
    restart(f);
    assert_int_equal(cancel(f, second), 0);
    assert_string_equal(status_of(f, first), "cancelling");
    struct claim claim = claim_of(&a);
    up_claiming(f, 2, 0, "echo", &claim, 1);
    assert_false(kept(f, 0));
    assert_string_equal(status_of(f, first), "cancelling");
    tick(f, T0 + LIMIT_CLAIM_WAIT_US);
    assert_string_equal(status_of(f, first), "cancelled");
    assert_string_equal(status_of(f, second), "cancelled");
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    fixture_free(&f);
}

static void test_a_kept_claim_has_its_backstop(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one", NODE("a", NULL, .timeout_us = 10 * SECOND));
    up(f, 1, "echo");
    struct uuid id = start(f, "one");
    struct claim claim = claim_of(dispatch_of(f, "a"));
    restart(f);
    up_claiming(f, 2, 0, "echo", &claim, 1);
    tick(f, T0 + LIMIT_CLAIM_WAIT_US);
    tick(f, T0 + 10 * SECOND + LIMIT_TIMEOUT_GRACE_US);
    assert_string_equal(execution(f, id).failure.code, "timeout");
    assert_int_equal(drop_of(f, "a")->handle, 2);
    fixture_free(&f);
}

/* Whoever has an item that was cancelled may not have heard of it, when a restart forgets whom. */
static void test_what_may_still_run_is_waited_for_at_the_end(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const struct node node = NODE("n", "{{item}}", .items = "input");
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .finish = true}, &node, 1);
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "[1,2]");
    failure(f, dispatch_of(f, "n[0]"), "exit", true);
    assert_non_null(drop_of(f, "n[1]"));
    assert_string_equal(status_of(f, id), "failing");
    restart(f);
    up(f, 1, "echo");
    assert_string_equal(status_of(f, id), "failing");
    tick(f, f->now + LIMIT_CLAIM_WAIT_US);
    assert_string_equal(status_of(f, id), "failed");
    fixture_free(&f);
}

static void test_a_stop_keeps_the_slot_of_what_may_still_run(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const struct node nodes[] = {NODE("n", "1"), NODE("s", "ok?", .kind = DAG_APPROVE),
                                 NODE("x", "ok?", .kind = DAG_APPROVE, .timeout_us = 10 * SECOND),
                                 NODE("d", "2", .join = DAG_JOIN_DONE, AFTER("s"))};
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .parallel = 1}, nodes, 4);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    assert_non_null(dispatch_of(f, "n"));
    tick(f, T0 + 9 * SECOND);
    restart(f);
    up(f, 2, "echo");
    assert_int_equal(decision(f, id, "s", true), 0);
    assert_null(dispatch_of(f, "d"));
    tick(f, T0 + 10 * SECOND);
    assert_string_equal(status_of(f, id), "failing");
    assert_string_equal(task_status_of(f, id, "n"), "cancelled");
    assert_null(dispatch_of(f, "d"));
    tick(f, T0 + 9 * SECOND + LIMIT_CLAIM_WAIT_US);
    assert_non_null(dispatch_of(f, "d"));
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_claimed_task_moves_to_the_new_link),
        cmocka_unit_test(test_what_is_not_claimed_is_lost_before_the_welcome),
        cmocka_unit_test(test_claims_that_can_not_be_good_are_dropped),
        cmocka_unit_test(test_the_same_claim_twice_is_one),
        cmocka_unit_test(test_claims_by_acknowledged_and_unacknowledged_steps),
        cmocka_unit_test(test_an_unacknowledged_step_of_another_run_is_not_the_journals),
        cmocka_unit_test(test_the_same_handle_again_ends_what_was),
        cmocka_unit_test(test_a_loss_may_stop_what_is_claimed_with_it),
        cmocka_unit_test(test_a_stopping_task_claimed_anew_still_has_to_stop),
        cmocka_unit_test(test_a_task_that_timed_out_and_is_claimed_anew_still_has_to_stop),
        cmocka_unit_test(test_what_may_be_claimed_counts_as_parallel),
        cmocka_unit_test(test_a_claim_after_a_restart_goes_on),
        cmocka_unit_test(test_only_the_current_run_is_claimed_after_a_restart),
        cmocka_unit_test(test_what_nobody_claims_is_given_out_again),
        cmocka_unit_test(test_restarts_in_a_row),
        cmocka_unit_test(test_retries_over_a_restart),
        cmocka_unit_test(test_many_unclaimed_come_in_batches),
        cmocka_unit_test(test_cancelling_over_a_restart_waits_for_claims),
        cmocka_unit_test(test_a_kept_claim_has_its_backstop),
        cmocka_unit_test(test_what_may_still_run_is_waited_for_at_the_end),
        cmocka_unit_test(test_a_stop_keeps_the_slot_of_what_may_still_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
