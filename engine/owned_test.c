#include "engine/fixture.h"

/* Sub-workflows: rule 13. */

#define SUB(name, other, text, ...)                                                                \
    NODE(name, text, .kind = DAG_WORKFLOW, .workflow = (other), __VA_ARGS__)

static int setup(void **state)
{
    struct fixture *f = fixture_new();
    WORKFLOW(f, "child", NODE("work", "{{input}}"));
    *state = f;
    return 0;
}

/* Of the task that runs it. */
static struct uuid child_of(const struct fixture *f, struct uuid id, const char *path)
{
    struct uuid child = task(f, id, path).owned;
    assert_false(uuid_is_nil(child));
    return child;
}

static void test_gives_its_output(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", SUB("sub", "child", "{\"n\": 1}"), NODE("then", "{{sub}}"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    struct uuid child = child_of(f, id, "sub");
    assert_string_equal(task_status_of(f, id, "sub"), "waiting");
    assert_string_equal(status_of(f, id), "running");
    struct execution_view view = execution(f, child);
    assert_string_equal(view.workflow, "child");
    assert_true(uuid_equal(view.owner, id));
    assert_string_equal(view.owner_path, "sub");
    assert_string_equal(json_of(f, &view.input), "{\"n\":1}");
    result(f, dispatch_of(f, "work"), "[2]");
    assert_int_equal(count_events(f, EVENT_ENDED), 1);
    assert_string_equal(status_of(f, child), "succeeded");
    assert_string_equal(json_of(f, &dispatch_of(f, "then")->message), "{\"work\":[2]}");
    result(f, dispatch_of(f, "then"), "3");
    assert_string_equal(output_of(f, id), "{\"then\":3}");
    crash_everywhere(f);
}

static void test_failure_names_the_execution(void **state)
{
    struct fixture *f = *state;
    char text[TYPEID_TEXT_SIZE];
    WORKFLOW(f, "w", SUB("sub", "child", "x"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    struct uuid child = child_of(f, id, "sub");
    failure(f, dispatch_of(f, "work"), "exit", false);
    assert_string_equal(status_of(f, id), "failed");
    struct failure failed = execution(f, id).failure;
    assert_string_equal(failed.code, "exit");
    assert_non_null(strstr(failed.detail, typeid_text("exec", child, text)));
    assert_int_equal(reopen(f, child), ERR_CONFLICT);
    assert_int_equal(reopen(f, id), 0);
    struct uuid second = child_of(f, id, "sub");
    assert_false(uuid_equal(second, child));
    result(f, dispatch_of(f, "work"), "1");
    assert_string_equal(status_of(f, id), "succeeded");
    crash_everywhere(f);
}

static void test_bad_input_fails_for_good(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", SUB("sub", "child", "{\"bad\": 1}", .retry = {.attempts = 3}));
    struct uuid id = start(f, "w");
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "invalid");
    assert_int_equal(count_events(f, EVENT_OWNED), 0);
}

static void test_each_attempt_has_its_own(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w",
             SUB("sub", "child", "x", .retry = {.attempts = 2, .backoff_us = SECOND, .factor = 1}));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    struct uuid first = child_of(f, id, "sub");
    failure(f, dispatch_of(f, "work"), "exit", false);
    assert_string_equal(task_status_of(f, id, "sub"), "retrying");
    tick(f, T0 + 2 * SECOND);
    assert_false(uuid_equal(first, child_of(f, id, "sub")));
    result(f, dispatch_of(f, "work"), "2");
    assert_string_equal(output_of(f, id), "{\"sub\":{\"work\":2}}");
    crash_everywhere(f);
}

static void test_cancel_goes_down(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "middle", SUB("inner", "child", "x"));
    WORKFLOW(f, "w", SUB("sub", "middle", "x"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    struct uuid middle = child_of(f, id, "sub"), child = child_of(f, middle, "inner");
    const struct effect_dispatch *work = dispatch_of(f, "work");
    cancel(f, id);
    assert_int_equal(count_events(f, EVENT_CANCEL), 3);
    assert_non_null(drop_of(f, "work"));
    assert_string_equal(status_of(f, id), "cancelling");
    assert_string_equal(status_of(f, middle), "cancelling");
    failure(f, work, "cancelled", true);
    assert_string_equal(status_of(f, child), "cancelled");
    assert_string_equal(status_of(f, middle), "cancelled");
    assert_string_equal(status_of(f, id), "cancelled");
    crash_everywhere(f);
}

static void test_cancelled_alone_is_a_failure(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", SUB("sub", "child", "x", .retry = {.attempts = 2}));
    struct uuid id = start(f, "w");
    cancel(f, child_of(f, id, "sub"));
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "cancelled");
}

static void test_failing_of_the_owner_cancels(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", SUB("sub", "child", "x"), NODE("other", "y", .agent = "other"));
    up(f, 1, "echo");
    up(f, 2, "other");
    struct uuid id = start(f, "w");
    struct uuid child = child_of(f, id, "sub");
    const struct effect_dispatch *work = dispatch_of(f, "work");
    failure(f, dispatch_of(f, "other"), "exit", false);
    assert_string_equal(status_of(f, child), "cancelling");
    assert_string_equal(status_of(f, id), "failing");
    failure(f, work, "cancelled", true);
    assert_string_equal(status_of(f, id), "failed");
    crash_everywhere(f);
}

static void test_timeout_waits_for_the_first(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "slow", NODE("work", "x"), NODE("last", "y", AFTER("work"), .join = DAG_JOIN_DONE));
    WORKFLOW(f, "w",
             SUB("sub", "slow", "x", .timeout_us = 10 * SECOND,
                 .retry = {.attempts = 2, .backoff_us = SECOND, .factor = 1}));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    struct uuid first = child_of(f, id, "sub");
    assert_true(execution(f, first).deadline_us == T0 + 10 * SECOND);
    const struct effect_dispatch *work = dispatch_of(f, "work");
    tick(f, T0 + 10 * SECOND);
    assert_string_equal(task(f, id, "sub").failure.code, "timeout");
    assert_string_equal(status_of(f, first), "cancelling");
    tick(f, T0 + 12 * SECOND);
    assert_true(uuid_equal(child_of(f, id, "sub"), first));
    failure(f, work, "cancelled", true);
    struct uuid second = child_of(f, id, "sub");
    assert_false(uuid_equal(second, first));
    crash_everywhere(f);
}

static void test_map_runs_many(void **state)
{
    struct fixture *f = *state;
    char list[2 * 1000 + 2] = "[1";
    for (size_t i = 1; i < 1000; i++)
        memcpy(list + 2 * i, ",1", 2);
    list[2000] = ']';
    WORKFLOW(f, "w", SUB("sub", "child", "{{item}}", .items = "input", .items_parallel = 7));
    f->credit = 5000;
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", list);
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 7);
    echo_all(f);
    assert_string_equal(status_of(f, id), "succeeded");
    assert_int_equal(execution(f, id).tasks, 1001);
}

static void test_depth_counts(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "self", SUB("again", "self", "x"));
    struct uuid id = start(f, "self");
    assert_int_equal(count_events(f, EVENT_STARTED), 1 + LIMIT_DEPTH);
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "limit");
}

static void test_pause_goes_down(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", SUB("sub", "child", "x"));
    struct uuid id = start(f, "w");
    struct uuid child = child_of(f, id, "sub");
    assert_int_equal(pause_it(f, id), 0);
    assert_string_equal(status_of(f, child), "paused");
    up(f, 1, "echo");
    assert_null(dispatch_of(f, "work"));
    assert_int_equal(go_on(f, id), 0);
    result(f, dispatch_of(f, "work"), "1");
    assert_string_equal(status_of(f, id), "succeeded");
}

static void test_ledger_is_the_roots(void **state)
{
    struct fixture *f = *state;
    model(f, (struct pinned_agent){.name = "m", .max_tokens = 1000});
    WORKFLOW(f, "ask", NODE("work", "x", .agent = "m"));
    workflow_full(
        f, (struct dag_spec){.name = "w", .priority = 5, .tokens = 4000},
        (const struct node[]){SUB("one", "ask", "x"), SUB("two", "ask", "x", AFTER("one"))}, 2);
    egress_up(f, 9, 1, NULL, 0);
    up(f, 1, "m");
    struct uuid id = start(f, "w");
    const struct effect_dispatch *work = dispatch_of(f, "work");
    turn(f, work, 1, 1, 4000, CALLS(NULL));
    step(f, work,
         (struct event_step){.number = 2, .kind = STEP_RESULT, .output = datum_of(f, "1")});
    assert_string_equal(task_status_of(f, id, "one"), "succeeded");
    assert_int_equal(execution(f, id).used.output_tokens, 4000);
    assert_int_equal(task(f, id, "one").subtree.output_tokens, 4000);
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "limit");
    crash_everywhere(f);
}

static void test_usage_counts_when_nobody_waits(void **state)
{
    struct fixture *f = *state;
    model(f, (struct pinned_agent){.name = "m", .max_tokens = 1000});
    WORKFLOW(f, "ask", NODE("work", "x", .agent = "m"));
    WORKFLOW(f, "w", SUB("one", "ask", "x"));
    egress_up(f, 9, 1, NULL, 0);
    up(f, 1, "m");
    struct uuid id = start(f, "w");
    const struct effect_dispatch *work = dispatch_of(f, "work");
    turn(f, work, 1, 1, 500, CALLS("x"));
    cancel(f, id);
    failure(f, work, "cancelled", true);
    assert_string_equal(status_of(f, id), "cancelled");
    assert_int_equal(execution(f, id).used.output_tokens, 500);
}

/* Rules 10 and 13: what cleans up has its grace also as a sub-workflow. At the end of it both are
 * cancelled, one after the other. */
static void test_clean_up_has_its_grace(void **state)
{
    struct fixture *f = *state;
    const struct node nodes[] = {SUB("one", "ask", "x", .join = DAG_JOIN_DONE),
                                 SUB("two", "ask2", "x", .join = DAG_JOIN_DONE)};
    const struct dag_spec options = {.name = "w", .priority = 5, .time_us = 10 * SECOND};
    model(f, (struct pinned_agent){.name = "m", .max_tokens = 1000});
    WORKFLOW(f, "ask", NODE("work", "x", .agent = "m"));
    WORKFLOW(f, "ask2", NODE("work2", "x", .agent = "m"));
    workflow_full(f, options, nodes, 2);
    egress_up(f, 9, 1, NULL, 0);
    up(f, 1, "m");
    struct uuid id = start(f, "w");
    struct uuid one = child_of(f, id, "one"), two = child_of(f, id, "two");
    const struct effect_dispatch *works[2] = {dispatch_of(f, "work"), dispatch_of(f, "work2")};
    turn(f, works[0], 1, 1, 500, CALLS("x"));
    turn(f, works[1], 1, 1, 300, CALLS("x"));
    tick(f, T0 + 10 * SECOND);
    assert_string_equal(status_of(f, id), "failing");
    assert_string_equal(status_of(f, one), "running");
    tick(f, T0 + 10 * SECOND + LIMIT_DONE_GRACE_US);
    assert_string_equal(status_of(f, one), "cancelling");
    assert_string_equal(status_of(f, two), "cancelling");
    failure(f, works[0], "cancelled", true);
    assert_string_equal(status_of(f, id), "failing");
    assert_string_equal(task(f, id, "one").failure.code, "cancelled");
    failure(f, works[1], "cancelled", true);
    assert_string_equal(status_of(f, id), "failed");
    assert_int_equal(execution(f, id).used.output_tokens, 800);
    crash_everywhere(f);
}

static void test_fork_starts_its_own(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", SUB("sub", "child", "x"), NODE("a", "y", .agent = "other"),
             NODE("then", "{{a}}", .agent = "other"));
    up(f, 1, "echo");
    up(f, 2, "other");
    struct uuid id = start(f, "w"), other = id;
    struct uuid child = child_of(f, id, "sub");
    result(f, dispatch_of(f, "a"), "1");
    other.bytes[15] ^= 0x55;
    copy_journal(f, id, task(f, id, "then").ready_sequence, other);
    struct input input = {.kind = INPUT_FORK,
                          .fork = {.execution = other, .from = id, .node = "then", .by = "me"}};
    assert_int_equal(decide(f, input), 0);
    struct uuid second = child_of(f, other, "sub");
    assert_false(uuid_equal(second, child));
    assert_true(uuid_equal(execution(f, second).owner, other));
    result(f, dispatch_of(f, "then"), "2");
    cancel(f, id);
    assert_string_equal(status_of(f, second), "running");
    assert_string_equal(status_of(f, child), "cancelling");
}

static void test_fork_of_an_owned_one_is_nobodys(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", SUB("sub", "child", "x"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    struct uuid child = child_of(f, id, "sub"), other = child;
    other.bytes[15] ^= 0x55;
    copy_journal(f, child, 1, other);
    struct input input = {.kind = INPUT_FORK,
                          .fork = {.execution = other, .from = child, .node = "work", .by = "me"}};
    assert_int_equal(decide(f, input), 0);
    assert_true(uuid_is_nil(execution(f, other).owner));
    result(f, dispatch_of(f, "work"), "1");
    assert_string_equal(status_of(f, other), "succeeded");
    assert_string_equal(status_of(f, id), "running");
}

static void test_restart_goes_on(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", SUB("sub", "child", "x"));
    struct uuid id = start(f, "w");
    struct uuid child = child_of(f, id, "sub");
    restart(f);
    cancel(f, child);
    tick(f, T0 + 2 * LIMIT_CLAIM_WAIT_US);
    assert_string_equal(status_of(f, child), "cancelled");
    assert_string_equal(status_of(f, id), "failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gives_its_output, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_failure_names_the_execution, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_bad_input_fails_for_good, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_each_attempt_has_its_own, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_cancel_goes_down, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_cancelled_alone_is_a_failure, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_failing_of_the_owner_cancels, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_timeout_waits_for_the_first, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_map_runs_many, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_depth_counts, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_pause_goes_down, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_ledger_is_the_roots, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_usage_counts_when_nobody_waits, setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_clean_up_has_its_grace, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_fork_starts_its_own, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_fork_of_an_owned_one_is_nobodys, setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_restart_goes_on, setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
