#include "engine/fixture.h"

/* Attempts, retries, fallbacks, losses, timeouts, and steps that come from nowhere. */

static void one(struct fixture *f, struct dag_retry retry)
{
    const struct node nodes[] = {NODE("a", "{{input}}", .retry = retry)};
    workflow_full(f, (struct dag_spec){.name = "one", .priority = 5}, nodes, 1);
}

/* Rule 9. */
static void test_retries_pause_longer_and_longer(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct dag_retry){
               .attempts = 5, .backoff_us = 10 * SECOND, .factor = 2, .max_us = 25 * SECOND});
    up(f, 1, "echo");
    struct uuid id = start(f, "one");
    const int64_t pauses[] = {10, 20, 25, 25};
    for (uint32_t n = 1; n <= 4; n++) {
        const struct effect_dispatch *a = dispatch_of(f, "a");
        assert_int_equal(a->attempt, n);
        assert_int_equal(a->journaled_step, n - 1);
        f->now += SECOND;
        failure(f, a, "exit", false);
        const struct event_step *journaled = &event_of(f, EVENT_STEP)->step;
        int64_t pause = journaled->retry_at_us - f->now;
        assert_true(pause >= pauses[n - 1] * SECOND && pause <= pauses[n - 1] * SECOND * 6 / 5);
        assert_int_equal(journaled->attempt, n);
        assert_string_equal(task_status_of(f, id, "a"), "retrying");
        assert_int_equal(task(f, id, "a").attempt, n + 1);
        assert_true(task(f, id, "a").retry_at_us == journaled->retry_at_us);
        assert_true(engine_deadline(f->engine) == journaled->retry_at_us);
        tick(f, journaled->retry_at_us - 1);
        assert_null(dispatch_of(f, "a"));
        tick(f, journaled->retry_at_us);
    }
    assert_string_equal(task_status_of(f, id, "a"), "running");
    failure(f, dispatch_of(f, "a"), "exit", false);
    assert_true(event_of(f, EVENT_STEP)->step.retry_at_us == 0);
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "exit");
    assert_string_equal(execution(f, id).failed_path, "a");
    fixture_free(&f);
}

static int64_t first_pause(struct fixture *f)
{
    start(f, "one");
    failure(f, dispatch_of(f, "a"), "exit", false);
    return event_of(f, EVENT_STEP)->step.retry_at_us - f->now;
}

/* Rule 9. */
static void test_jitter_comes_from_the_seed(void **state)
{
    (void)state;
    int64_t pauses[2][3];
    for (size_t i = 0; i < 2; i++) {
        struct fixture *f = fixture_new();
        one(f, (struct dag_retry){.attempts = 2, .backoff_us = 10 * SECOND, .factor = 1});
        up(f, 1, "echo");
        for (size_t j = 0; j < 3; j++)
            pauses[i][j] = first_pause(f);
        fixture_free(&f);
    }
    assert_memory_equal(pauses[0], pauses[1], sizeof pauses[0]);
    assert_true(pauses[0][0] != pauses[0][1] && pauses[0][1] != pauses[0][2]);
}

/* Rule 9. */
static void test_permanent_failures_are_not_retried(void **state)
{
    (void)state;
    const char *codes[] = {"invalid", "not_allowed", "expression", "anything"};
    for (size_t i = 0; i < 4; i++) {
        struct fixture *f = fixture_new();
        one(f, (struct dag_retry){.attempts = 3, .factor = 1});
        up(f, 1, "echo");
        struct uuid id = start(f, "one");
        failure(f, dispatch_of(f, "a"), codes[i], i == 3);
        assert_string_equal(status_of(f, id), "failed");
        assert_true(execution(f, id).failure.permanent);
        fixture_free(&f);
    }
}

/* Rule 6. */
static void test_a_fallback_gets_as_many_attempts_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one",
             NODE("a", "{{input}}", .agent = "first", .on_error = DAG_FALLBACK,
                  .fallback = "second",
                  .retry = {.attempts = 2, .backoff_us = SECOND, .factor = 1}));
    up(f, 1, "first");
    up(f, 2, "second");
    struct uuid id = start(f, "one");
    const uint64_t handles[] = {1, 1, 2, 2};
    for (uint32_t n = 1; n <= 4; n++) {
        const struct effect_dispatch *a = dispatch_of(f, "a");
        assert_int_equal(a->handle, handles[n - 1]);
        assert_int_equal(a->attempt, n);
        assert_string_equal(a->agent, n <= 2 ? "first" : "second");
        assert_string_equal(json_of(f, &a->message), "\"in\"");
        assert_string_equal(task(f, id, "a").agent, n <= 2 ? "first" : "second");
        failure(f, a, "exit", false);
        assert_string_equal(event_of(f, EVENT_STEP)->step.agent, n <= 2 ? "first" : "second");
        if (n == 1 || n == 3)
            tick(f, f->now + 2 * SECOND);
    }
    assert_string_equal(status_of(f, id), "failed");
    fixture_free(&f);
}

static void test_a_permanent_failure_falls_back_at_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one",
             NODE("a", NULL, .agent = "first", .on_error = DAG_FALLBACK, .fallback = "second",
                  .retry = {.attempts = 3, .factor = 1}));
    up(f, 1, "first");
    up(f, 2, "second");
    struct uuid id = start(f, "one");
    failure(f, dispatch_of(f, "a"), "not_allowed", false);
    assert_int_equal(dispatch_of(f, "a")->handle, 2);
    assert_int_equal(dispatch_of(f, "a")->attempt, 2);
    result(f, dispatch_of(f, "a"), "1");
    assert_string_equal(status_of(f, id), "succeeded");
    assert_string_equal(task(f, id, "a").instance, "inst_2");
    fixture_free(&f);
}

static void test_expressions_fail_their_node_alone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "fails",
             NODE("a", "{{input.missing}}", .on_error = DAG_FALLBACK, .fallback = "other",
                  .retry = {.attempts = 3, .factor = 1}));
    WORKFLOW(f, "goes_on", NODE("a", "{{input.missing}}", .on_error = DAG_CONTINUE),
             NODE("b", "{{a}}"));
    up(f, 1, "echo");
    struct uuid id = start_with(f, "fails", "{}");
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "expression");
    assert_non_null(strstr(execution(f, id).failure.message, "missing"));
    assert_string_equal(event_of(f, EVENT_STEP)->step.instance, "");
    id = start_with(f, "goes_on", "{}");
    assert_string_equal(json_of(f, &dispatch_of(f, "b")->message), "null");
    result(f, dispatch_of(f, "b"), "1");
    assert_string_equal(status_of(f, id), "succeeded");
    fixture_free(&f);
}

/* --- losses ----------------------------------------------------------------------------------- */

static void test_a_lost_task_goes_on_under_a_new_run(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct dag_retry){.attempts = 1, .factor = 1});
    up(f, 1, "echo");
    struct uuid id = start(f, "one");
    const struct effect_dispatch *first = dispatch_of(f, "a");
    down(f, 1, "silence");
    const struct event_lost *lost = &event_of(f, EVENT_LOST)->lost;
    assert_string_equal(lost->path, "a");
    assert_string_equal(lost->reason, "silence");
    assert_string_equal(lost->instance, "inst_1");
    assert_true(lost->counted && run_compare(lost->run, first->run) == 0);
    assert_string_equal(task_status_of(f, id, "a"), "pending");
    assert_int_equal(task(f, id, "a").losses, 1);
    up(f, 2, "echo");
    const struct effect_dispatch *second = dispatch_of(f, "a");
    assert_int_equal(second->attempt, 1);
    assert_true(run_compare(second->run, first->run) > 0);
    result(f, first, "\"late\""); /* its link is gone: nobody to answer */
    assert_int_equal(f->journal_count, f->first_event);
    assert_int_equal(count_effects(f, EFFECT_DROP), 0);
    struct effect_dispatch late = *first;
    late.handle = 2;
    result(f, &late, "\"late\"");
    assert_int_equal(f->journal_count, f->first_event);
    assert_string_equal(drop_of(f, "a")->reason, "void");
    assert_true(run_compare(drop_of(f, "a")->run, first->run) == 0);
    result(f, second, "\"good\"");
    assert_string_equal(output_of(f, id), "{\"a\":\"good\"}");
    fixture_free(&f);
}

static void lose(struct fixture *f, uint64_t *handle)
{
    down(f, *handle, "exited");
    up(f, ++*handle, "echo");
}

static void test_too_many_losses_in_a_row_are_a_failed_attempt(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct dag_retry){.attempts = 2, .factor = 1});
    uint64_t handle = 1;
    up(f, handle, "echo");
    struct uuid id = start(f, "one");
    for (int i = 0; i < LIMIT_LOSSES; i++) {
        lose(f, &handle);
        assert_int_equal(dispatch_of(f, "a")->attempt, 1);
    }
    down(f, handle, "exited");
    const struct event_step *journaled = &event_of(f, EVENT_STEP)->step;
    assert_string_equal(journaled->failure.code, "lost");
    assert_false(journaled->failure.permanent);
    assert_int_equal(journaled->attempt, 1);
    up(f, ++handle, "echo");
    assert_int_equal(dispatch_of(f, "a")->attempt, 2);
    for (int i = 0; i < LIMIT_LOSSES; i++)
        lose(f, &handle); /* counted anew for this attempt */
    assert_string_equal(status_of(f, id), "running");
    assert_int_equal(task(f, id, "a").losses, 2 * LIMIT_LOSSES + 1);
    lose(f, &handle);
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "lost");
    fixture_free(&f);
}

static void test_a_turn_ends_the_row_of_losses(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct dag_retry){.attempts = 1, .factor = 1});
    uint64_t handle = 1;
    up(f, handle, "echo");
    struct uuid id = start(f, "one");
    for (int i = 0; i < LIMIT_LOSSES; i++)
        lose(f, &handle);
    step(f, dispatch_of(f, "a"), (struct event_step){.kind = STEP_TURN});
    assert_int_equal(count_events(f, EVENT_STEP), 1);
    assert_string_equal(task_status_of(f, id, "a"), "running");
    for (int i = 0; i < LIMIT_LOSSES; i++)
        lose(f, &handle);
    assert_int_equal(dispatch_of(f, "a")->journaled_step, 1);
    result(f, dispatch_of(f, "a"), "1");
    assert_string_equal(status_of(f, id), "succeeded");
    fixture_free(&f);
}

static void test_rerun_never_fails_when_lost(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct dag_retry){.attempts = 3, .factor = 1});
    f->rerun_never = true;
    struct uuid id = start(f, "one");
    up(f, 1, "echo");
    down(f, 1, "exited");
    assert_int_equal(count_events(f, EVENT_LOST), 1);
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "lost");
    assert_true(execution(f, id).failure.permanent);
    assert_non_null(strstr(execution(f, id).failure.message, "rerun: never"));
    fixture_free(&f);
}

/* --- timeouts --------------------------------------------------------------------------------- */

static void test_the_backstop_of_a_timeout(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one",
             NODE("a", NULL, .timeout_us = 10 * SECOND,
                  .retry = {.attempts = 2, .backoff_us = SECOND, .factor = 1}));
    up(f, 1, "echo");
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    int64_t due = T0 + 10 * SECOND + LIMIT_TIMEOUT_GRACE_US;
    assert_true(engine_deadline(f->engine) == due);
    tick(f, due - 1);
    assert_int_equal(f->journal_count, f->first_event);
    tick(f, due);
    assert_string_equal(event_of(f, EVENT_STEP)->step.failure.code, "timeout");
    assert_true(run_compare(drop_of(f, "a")->run, a->run) == 0);
    assert_int_equal(drop_of(f, "a")->handle, 1);
    assert_string_equal(task_status_of(f, id, "a"), "retrying");
    result(f, a, "\"late\"");
    assert_int_equal(f->journal_count, f->first_event);
    assert_int_equal(f->effects_count, f->first); /* it answers the drop */
    tick(f, f->now + 2 * SECOND);
    result(f, dispatch_of(f, "a"), "1");
    assert_string_equal(status_of(f, id), "succeeded");
    assert_true(engine_deadline(f->engine) == INT64_MAX);
    fixture_free(&f);
}

static void timed_out(struct fixture *f, enum dag_on_error on_error, uint32_t attempts)
{
    WORKFLOW(f, "one",
             NODE("a", NULL, .timeout_us = 10 * SECOND, .on_error = on_error,
                  .retry = {.attempts = attempts, .backoff_us = 1, .factor = 1}));
    up(f, 1, "echo");
    up(f, 2, "echo");
}

#define BACKSTOP_DUE (T0 + 10 * SECOND + LIMIT_TIMEOUT_GRACE_US)
#define LETS_GO      (BACKSTOP_DUE + 2 * LIMIT_SILENCE_US)

/* The drop is on its way; until it is there the instance may be at work. */
static void test_the_attempt_after_a_timeout_waits_for_the_one_before(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    timed_out(f, DAG_FAIL, 3);
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    tick(f, BACKSTOP_DUE);
    tick(f, BACKSTOP_DUE + SECOND);
    assert_null(dispatch_of(f, "a"));
    assert_string_equal(task_status_of(f, id, "a"), "retrying");
    assert_int_equal(engine_instance_tasks(f->engine, a->handle), 1);
    failure(f, a, "cancelled", true);
    assert_int_equal(f->journal_count, f->first_event);
    const struct effect_dispatch *second = dispatch_of(f, "a");
    assert_non_null(second);
    assert_int_equal(second->attempt, 2);
    down(f, second->handle, "silence");
    assert_int_equal(event_of(f, EVENT_LOST)->lost.counted, true);
    fixture_free(&f);
}

static void test_a_holder_that_says_nothing_is_waited_for_so_long(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    timed_out(f, DAG_FAIL, 2);
    start(f, "one");
    tick(f, BACKSTOP_DUE);
    tick(f, BACKSTOP_DUE + SECOND);
    assert_true(engine_deadline(f->engine) == LETS_GO);
    tick(f, LETS_GO);
    assert_int_equal(dispatch_of(f, "a")->attempt, 2);
    fixture_free(&f);
}

static void test_a_holder_that_is_gone_is_not_waited_for(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    timed_out(f, DAG_FAIL, 2);
    start(f, "one");
    uint64_t holder = dispatch_of(f, "a")->handle;
    tick(f, BACKSTOP_DUE);
    tick(f, BACKSTOP_DUE + SECOND);
    down(f, holder, "silence");
    assert_int_equal(count_events(f, EVENT_LOST), 0); /* its run is void already */
    assert_int_equal(dispatch_of(f, "a")->handle, 3 - holder);
    fixture_free(&f);
}

static void test_the_end_after_a_timeout_waits_as_well(void **state)
{
    (void)state;
    const enum dag_on_error rules[] = {DAG_FAIL, DAG_CONTINUE};
    for (size_t i = 0; i < 2; i++) {
        struct fixture *f = fixture_new();
        timed_out(f, rules[i], 1);
        struct uuid id = start(f, "one");
        tick(f, BACKSTOP_DUE);
        assert_string_equal(task_status_of(f, id, "a"), "failed");
        assert_int_equal(count_events(f, EVENT_ENDED), 0);
        tick(f, LETS_GO);
        assert_string_equal(status_of(f, id), i == 0 ? "failed" : "succeeded");
        assert_true(engine_deadline(f->engine) == INT64_MAX);
        fixture_free(&f);
    }
}

/* --- steps from nowhere ----------------------------------------------------------------------- */

static void test_doubled_steps_are_ignored(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct dag_retry){.attempts = 1, .factor = 1});
    up(f, 1, "echo");
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    step(f, a, (struct event_step){.kind = STEP_TURN});
    step(f, a, (struct event_step){.kind = STEP_TURN});
    assert_int_equal(f->journal_count, f->first_event);
    assert_int_equal(f->effects_count, f->first);
    step(f, a, (struct event_step){.kind = STEP_RESULT, .number = 2, .output = datum_of(f, "5")});
    assert_string_equal(output_of(f, id), "{\"a\":5}");
    step(f, a, (struct event_step){.kind = STEP_RESULT, .number = 2, .output = datum_of(f, "6")});
    assert_string_equal(output_of(f, id), "{\"a\":5}");
    assert_string_equal(drop_of(f, "a")->reason, "ended");
    step(f, a, (struct event_step){.kind = STEP_FAILURE, .number = 3, .failure.code = "cancelled"});
    assert_int_equal(count_effects(f, EFFECT_DROP), 0); /* the answer to a drop */
    fixture_free(&f);
}

static void test_a_gap_in_the_steps_is_a_loss(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct dag_retry){.attempts = 1, .factor = 1});
    up(f, 1, "echo");
    start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    step(f, a, (struct event_step){.kind = STEP_RESULT, .number = 3});
    assert_int_equal(count_events(f, EVENT_STEP), 0);
    assert_int_equal(count_events(f, EVENT_LOST), 1);
    assert_true(run_compare(drop_of(f, "a")->run, a->run) == 0);
    assert_true(run_compare(dispatch_of(f, "a")->run, a->run) > 0);
    a = dispatch_of(f, "a");
    step(f, a, (struct event_step){.kind = (enum step_kind)77});
    assert_int_equal(count_events(f, EVENT_LOST), 1);
    fixture_free(&f);
}

static void test_steps_of_others_are_dropped(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct dag_retry){.attempts = 1, .factor = 1});
    up(f, 1, "echo");
    up(f, 2, "echo");
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    struct effect_dispatch forged = *a;
    forged.handle = 3 - a->handle;
    result(f, &forged, "1");
    assert_string_equal(drop_of(f, "a")->reason, "void");
    forged = *a;
    forged.run.counter++;
    result(f, &forged, "1");
    assert_string_equal(drop_of(f, "a")->reason, "void");
    forged = *a;
    forged.path = "zz";
    result(f, &forged, "1");
    assert_string_equal(drop_of(f, "zz")->reason, "void");
    forged = *a;
    forged.execution.bytes[3] = 77;
    result(f, &forged, "1");
    assert_string_equal(drop_of(f, "a")->reason, "ended");
    forged = *a;
    forged.handle = 99;
    result(f, &forged, "1");
    assert_int_equal(f->effects_count, f->first);
    assert_int_equal(execution(f, id).sequence, 1);
    result(f, a, "1");
    assert_string_equal(status_of(f, id), "succeeded");
    fixture_free(&f);
}

static void test_what_the_instance_says_is_kept_within_bounds(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f, (struct dag_retry){.attempts = 2, .backoff_us = SECOND, .factor = 1});
    up(f, 1, "echo");
    struct uuid id = start(f, "one");
    f->now = T0 + 10 * SECOND;
    step(f, dispatch_of(f, "a"),
         (struct event_step){.kind = STEP_FAILURE,
                             .instance = "inst_forged",
                             .agent = "forged",
                             .agent_version = 4,
                             .started_us = T0 - SECOND,
                             .ended_us = T0 + 3600 * SECOND,
                             .retry_at_us = T0 + 9999 * SECOND});
    const struct event_step *journaled = &event_of(f, EVENT_STEP)->step;
    assert_string_equal(journaled->instance, "inst_1");
    assert_string_equal(journaled->agent, "echo");
    assert_int_equal(journaled->agent_version, 4);
    assert_true(journaled->started_us == T0 && journaled->ended_us == f->now);
    assert_true(journaled->retry_at_us <= f->now + 2 * SECOND);
    assert_string_equal(journaled->failure.code, "failed");
    assert_string_equal(task(f, id, "a").failure.code, "failed");
    assert_string_equal(task(f, id, "a").instance, "inst_1");
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retries_pause_longer_and_longer),
        cmocka_unit_test(test_jitter_comes_from_the_seed),
        cmocka_unit_test(test_permanent_failures_are_not_retried),
        cmocka_unit_test(test_a_fallback_gets_as_many_attempts_again),
        cmocka_unit_test(test_a_permanent_failure_falls_back_at_once),
        cmocka_unit_test(test_expressions_fail_their_node_alone),
        cmocka_unit_test(test_a_lost_task_goes_on_under_a_new_run),
        cmocka_unit_test(test_too_many_losses_in_a_row_are_a_failed_attempt),
        cmocka_unit_test(test_a_turn_ends_the_row_of_losses),
        cmocka_unit_test(test_rerun_never_fails_when_lost),
        cmocka_unit_test(test_the_backstop_of_a_timeout),
        cmocka_unit_test(test_the_attempt_after_a_timeout_waits_for_the_one_before),
        cmocka_unit_test(test_a_holder_that_says_nothing_is_waited_for_so_long),
        cmocka_unit_test(test_a_holder_that_is_gone_is_not_waited_for),
        cmocka_unit_test(test_the_end_after_a_timeout_waits_as_well),
        cmocka_unit_test(test_doubled_steps_are_ignored),
        cmocka_unit_test(test_a_gap_in_the_steps_is_a_loss),
        cmocka_unit_test(test_steps_of_others_are_dropped),
        cmocka_unit_test(test_what_the_instance_says_is_kept_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
