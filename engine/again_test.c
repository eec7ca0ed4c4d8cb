#include "engine/fixture.h"

/* Retries of executions that ended, and forks. */

static void what_succeeded_stays_and_what_failed_runs_again(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "1"), NODE("b", "{{a}}"), NODE("c", "{{b}}"), NODE("d", "{{a}}"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    result(f, dispatch_of(f, "a"), "\"A\"");
    struct effect_dispatch d = *dispatch_of(f, "d");
    failure(f, dispatch_of(f, "b"), "exit", true);
    result(f, &d, "1"); /* too late */
    tick(f, f->now + 7 * SECOND);
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(task_status_of(f, id, "c"), "skipped");
    assert_int_equal(reopen(f, id), 0);
    assert_string_equal(status_of(f, id), "running");
    assert_null(dispatch_of(f, "a"));
    const struct effect_dispatch *b = dispatch_of(f, "b");
    assert_non_null(b);
    assert_int_equal(b->attempt, 2);
    assert_int_equal(b->journaled_step, 1);
    assert_string_equal(json_of(f, &b->message), "\"A\"");
    echo_all(f);
    assert_string_equal(status_of(f, id), "succeeded");
    assert_string_equal(output_of(f, id), "{\"c\":\"A\",\"d\":\"A\"}");
    restart(f);
    assert_int_equal(execution(f, id).reopened, 1);
}

static void a_retry_may_fail_and_be_retried_again(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "1", .retry = {.attempts = 2, .factor = 1}), NODE("b", "{{a}}"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t try = 1; try <= 2; try++) {
            const struct effect_dispatch *a = dispatch_of(f, "a");
            if (!a) {
                tick(f, f->now + SECOND);
                a = dispatch_of(f, "a");
            }
            assert_int_equal(a->attempt, 2 * round + try);
            failure(f, a, "exit", false);
        }
        if (strcmp(status_of(f, id), "failed") != 0)
            tick(f, f->now + 7 * SECOND);
        assert_string_equal(status_of(f, id), "failed");
        assert_int_equal(reopen(f, id), 0);
    }
    echo_all(f);
    assert_string_equal(status_of(f, id), "succeeded");
}

static void only_what_failed_or_was_cancelled_can_be_retried(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "1"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    assert_int_equal(reopen(f, id), ERR_CONFLICT);
    echo_all(f);
    assert_int_equal(reopen(f, id), ERR_CONFLICT);
}

static void a_cancelled_one_goes_on(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "1"), NODE("b", "{{a}}"), NODE("c", "{{b}}"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    result(f, dispatch_of(f, "a"), "\"A\"");
    struct effect_dispatch old = *dispatch_of(f, "b");
    assert_int_equal(cancel(f, id), 0);
    failure(f, &old, "cancelled", true);
    assert_string_equal(status_of(f, id), "cancelled");
    assert_int_equal(reopen(f, id), 0);
    const struct effect_dispatch *b = dispatch_of(f, "b");
    assert_true(run_compare(b->run, old.run) > 0);
    struct effect_dispatch now = *b;
    result(f, &old, "\"old\"");
    assert_string_equal(task_status_of(f, id, "b"), "running");
    result(f, &now, "\"B\"");
    echo_all(f);
    assert_string_equal(output_of(f, id), "{\"c\":\"B\"}");
}

static void an_old_run_is_void_after_a_restart_too(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "1"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    struct effect_dispatch old = *dispatch_of(f, "a");
    assert_int_equal(cancel(f, id), 0);
    tick(f, f->now + 7 * SECOND);
    assert_int_equal(reopen(f, id), 0);
    restart(f);
    const struct claim claim = {.execution = id, .path = "a", .run = old.run};
    up_claiming(f, 2, 0, "echo", &claim, 1);
    assert_false(welcome_of(f)->verdicts[0].keep);
}

static void a_list_keeps_what_its_items_gave(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("m", "{{item}}", .items = "[1, 2, 3, 4]", .items_parallel = 2));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    struct effect_dispatch second = *dispatch_of(f, "m[1]");
    result(f, dispatch_of(f, "m[0]"), "10");
    struct effect_dispatch third = *dispatch_of(f, "m[2]");
    failure(f, &second, "exit", true);
    failure(f, &third, "cancelled", true);
    assert_string_equal(status_of(f, id), "failed");
    assert_int_equal(reopen(f, id), 0);
    assert_null(dispatch_of(f, "m[0]"));
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 2);
    assert_int_equal(dispatch_of(f, "m[1]")->attempt, 2);
    echo_all(f);
    assert_string_equal(output_of(f, id), "{\"m\":[10,2,3,4]}");
    restart(f);
}

static void what_an_if_skipped_stays_skipped(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "1"), NODE("no", "2", .condition = "a == 2"),
             NODE("after_no", "3", AFTER("no")), NODE("b", "{{a}}"),
             NODE("after_b", "4", AFTER("b")),
             NODE("any", "5", AFTER("no", "b"), .join = DAG_JOIN_ANY));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    result(f, dispatch_of(f, "a"), "1");
    failure(f, dispatch_of(f, "b"), "exit", true);
    assert_string_equal(status_of(f, id), "failed");
    assert_int_equal(reopen(f, id), 0);
    assert_string_equal(task_status_of(f, id, "no"), "skipped");
    assert_string_equal(task_status_of(f, id, "after_no"), "skipped");
    assert_string_equal(task_status_of(f, id, "after_b"), "pending");
    assert_string_equal(task_status_of(f, id, "any"), "pending");
    echo_all(f);
    assert_string_equal(status_of(f, id), "succeeded");
    assert_string_equal(task_status_of(f, id, "any"), "succeeded");
    restart(f);
}

/* Conditions that were decided on what has failed are decided anew with it, and only those. */
static void what_a_failure_decided_is_decided_anew(void **state)
{
    struct fixture *f = *state;
    const char *const ok[] = {"nodes.a.status == 'succeeded'"};
    const char *const other[] = {ok[0], NULL}; /* of another edge than that from a */
    WORKFLOW(f, "w", NODE("a", "1", .on_error = DAG_CONTINUE), NODE("b", "7"),
             NODE("edge", "2", AFTER("a"), .after_ifs = ok), NODE("behind", "{{edge}}"),
             NODE("gate", "3", AFTER("a"), .join = DAG_JOIN_DONE, .condition = ok[0]),
             NODE("other", "6", AFTER("b", "a"), .after_ifs = other, .join = DAG_JOIN_ALL),
             NODE("no", "4", .condition = "input == 1"), NODE("bad", "5"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    struct effect_dispatch bad = *dispatch_of(f, "bad");
    struct effect_dispatch b = *dispatch_of(f, "b");
    failure(f, dispatch_of(f, "a"), "exit", true);
    result(f, &b, "7");
    assert_string_equal(task_status_of(f, id, "edge"), "skipped");
    assert_string_equal(task_status_of(f, id, "other"), "skipped");
    assert_string_equal(task_status_of(f, id, "gate"), "skipped");
    failure(f, &bad, "exit", true);
    assert_string_equal(status_of(f, id), "failed");
    assert_int_equal(reopen(f, id), 0);
    assert_string_equal(task_status_of(f, id, "edge"), "pending");
    assert_string_equal(task_status_of(f, id, "no"), "skipped");
    echo_all(f);
    assert_string_equal(status_of(f, id), "succeeded");
    assert_string_equal(task_status_of(f, id, "behind"), "succeeded");
    assert_string_equal(task_status_of(f, id, "other"), "succeeded");
    assert_string_equal(task_status_of(f, id, "gate"), "succeeded");
    restart(f);
}

/* No node is to run again: the output is asked for once more, and the execution ends. */
static void what_failed_by_its_output_ends_again(void **state)
{
    struct fixture *f = *state;
    const struct node node = NODE("a", "1");
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .output = "a.x"}, &node, 1);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    echo_all(f);
    assert_string_equal(status_of(f, id), "failed");
    assert_int_equal(reopen(f, id), 0);
    assert_null(dispatch_of(f, "a"));
    assert_string_equal(status_of(f, id), "failed");
    assert_int_equal(execution(f, id).reopened, 1);
}

/* A fork as the shell makes it: the other one's first events, copied under a new id. */
static struct uuid fork_of(struct fixture *f, struct uuid from, const char *node, const char *input)
{
    struct task_view view = task(f, from, node);
    struct input_fork fork = {.from = from, .node = node, .by = "me"};
    fork.execution = from;
    fork.execution.bytes[15] ^= 0x55;
    assert_true(view.ready_sequence > 0);
    copy_journal(f, from, view.ready_sequence, fork.execution);
    if (input)
        fork.input = datum_of(f, input);
    assert_int_equal(decide(f, (struct input){.kind = INPUT_FORK, .fork = fork}), 0);
    return fork.execution;
}

static void a_fork_goes_on_from_a_node_with_another_input(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "{{input}}"), NODE("b", "{{a}} {{input}}"), NODE("c", "{{b}}"));
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "\"one\"");
    echo_all(f);
    assert_string_equal(output_of(f, id), "{\"c\":\"one one\"}");
    struct uuid other = fork_of(f, id, "b", "\"two\"");
    assert_null(dispatch_of(f, "a"));
    echo_all(f);
    assert_string_equal(output_of(f, other), "{\"c\":\"one two\"}");
    assert_true(uuid_equal(execution(f, other).forked_from, id));
    restart(f);
}

static void what_was_under_way_goes_on_in_a_fork_too(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "1"), NODE("b", "{{a}}"), NODE("slow", "2"),
             NODE("sum", "{{b}} {{slow}}"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    struct effect_dispatch slow = *dispatch_of(f, "slow");
    result(f, dispatch_of(f, "a"), "1");
    struct effect_dispatch b = *dispatch_of(f, "b");
    struct uuid other = fork_of(f, id, "b", NULL);
    assert_non_null(dispatch_of(f, "slow"));
    assert_non_null(dispatch_of(f, "b"));
    echo_all(f);
    assert_string_equal(output_of(f, other), "{\"sum\":\"1 2\"}");
    assert_string_equal(status_of(f, id), "running");
    result(f, &slow, "2");
    result(f, &b, "3");
    echo_all(f);
    assert_string_equal(output_of(f, id), "{\"sum\":\"3 2\"}");
}

/* The call in flight is the other one's, which pays for it; the fork asks for the turn anew. */
static void a_turn_in_flight_is_asked_anew_by_a_fork(void **state)
{
    struct fixture *f = *state;
    model(f, (struct pinned_agent){.name = "lead"});
    WORKFLOW(f, "w", NODE("m", "1", .agent = "lead"), NODE("a", "2"), NODE("b", "{{a}}"));
    egress_up(f, 50, 1, NULL, 0);
    up(f, 1, "lead");
    up(f, 2, "echo");
    struct uuid id = start(f, "w");
    struct effect_dispatch m = *dispatch_of(f, "m");
    assert_int_equal(m.turn, 1);
    result(f, dispatch_of(f, "a"), "2");
    uint64_t reserved = execution(f, id).tokens_reserved;
    struct uuid other = fork_of(f, id, "b", NULL);
    const struct effect_dispatch *again = dispatch_of(f, "m");
    assert_non_null(again);
    assert_int_equal(again->turn, 1);
    assert_true(uuid_equal(grant_of(f, "m")->key.execution, other));
    assert_true(execution(f, other).tokens_reserved == reserved);
    assert_true(execution(f, other).used.output_tokens == 0);
    assert_true(execution(f, id).tokens_reserved == reserved);
    struct effect_dispatch theirs = *again;
    turn(f, &theirs, 1, 1, 70, NULL);
    assert_true(execution(f, other).tokens_reserved == 0);
    assert_true(execution(f, other).used.output_tokens == 70);
    turn(f, &m, 1, 1, 30, NULL);
    assert_true(execution(f, id).used.output_tokens == 30);
    restart(f);
}

/* What the other one waits for, and since when, is its own. */
static void waits_and_times_begin_anew_in_a_fork(void **state)
{
    struct fixture *f = *state;
    model(f, (struct pinned_agent){.name = "lead"});
    WORKFLOW(f, "w", NODE("ok", "Send {{input}}?", .kind = DAG_APPROVE, .timeout_us = 60 * SECOND),
             NODE("m", "1", .agent = "lead", .timeout_us = 60 * SECOND), NODE("a", "2"),
             NODE("b", "{{a}}"));
    egress_up(f, 50, 1, NULL, 0);
    up(f, 1, "lead");
    up(f, 2, "echo");
    struct uuid id = start_with(f, "w", "\"bees\"");
    assert_true(task(f, id, "ok").due_us == T0 + 60 * SECOND);
    result(f, dispatch_of(f, "a"), "2");
    cancel(f, id);
    tick(f, T0 + 100 * SECOND);
    struct uuid other = fork_of(f, id, "b", "\"ants\"");
    const struct event_waiting *asked = &event_of(f, EVENT_WAITING)->waiting;
    assert_true(asked->due_us == T0 + 160 * SECOND);
    assert_string_equal(json_of(f, &asked->text), "\"Send ants?\"");
    assert_string_equal(task_status_of(f, other, "ok"), "waiting");
    assert_int_equal(dispatch_of(f, "m")->timeout_us, 60 * SECOND);
    assert_int_equal(decision(f, other, "ok", true), 0);
    assert_string_equal(task_status_of(f, other, "ok"), "succeeded");
    crash_everywhere(f);
}

/* A limit of time that its start asked for holds for each go. */
static void a_limit_of_the_start_counts_anew(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "1"), NODE("b", "{{a}}"));
    up(f, 1, "echo");
    f->deadline_us = T0 + 30 * SECOND;
    struct uuid id = start(f, "w");
    result(f, dispatch_of(f, "a"), "1");
    struct effect_dispatch b = *dispatch_of(f, "b");
    tick(f, T0 + 30 * SECOND);
    failure(f, &b, "cancelled", true);
    assert_string_equal(status_of(f, id), "failed");
    assert_int_equal(reopen(f, id), 0);
    assert_true(execution(f, id).deadline_us == T0 + 60 * SECOND);
    tick(f, T0 + 40 * SECOND);
    struct uuid other = fork_of(f, id, "b", NULL);
    assert_true(execution(f, other).deadline_us == T0 + 70 * SECOND);
    restart(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(what_succeeded_stays_and_what_failed_runs_again),
        FIXTURE_TEST(a_retry_may_fail_and_be_retried_again),
        FIXTURE_TEST(only_what_failed_or_was_cancelled_can_be_retried),
        FIXTURE_TEST(a_cancelled_one_goes_on),
        FIXTURE_TEST(an_old_run_is_void_after_a_restart_too),
        FIXTURE_TEST(a_list_keeps_what_its_items_gave),
        FIXTURE_TEST(what_an_if_skipped_stays_skipped),
        FIXTURE_TEST(what_a_failure_decided_is_decided_anew),
        FIXTURE_TEST(what_failed_by_its_output_ends_again),
        FIXTURE_TEST(a_fork_goes_on_from_a_node_with_another_input),
        FIXTURE_TEST(what_was_under_way_goes_on_in_a_fork_too),
        FIXTURE_TEST(a_turn_in_flight_is_asked_anew_by_a_fork),
        FIXTURE_TEST(waits_and_times_begin_anew_in_a_fork),
        FIXTURE_TEST(a_limit_of_the_start_counts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
