#include "engine/fixture.h"
#include <stdio.h>

/* Several egresses, some of which go for good; budgets that are reserved for others; and bounds. */

static void egress_as(struct fixture *f, uint64_t handle, const char *name, uint64_t boot)
{
    struct input input = {.kind = INPUT_EGRESS_UP,
                          .egress_up = {.handle = handle, .egress = name, .boot = boot}};
    assert_int_equal(decide(f, input), 0);
}

static void egress_down(struct fixture *f, uint64_t handle)
{
    struct input input = {.kind = INPUT_EGRESS_DOWN, .egress_down = {handle}};
    assert_int_equal(decide(f, input), 0);
}

static void one(struct fixture *f)
{
    model(f, (struct pinned_agent){.name = "lead"});
    WORKFLOW(f, "one", NODE("a", "{{input}}", .agent = "lead"));
    up(f, 1, "lead");
}

/* Two tasks of one execution with few tokens, each with an instance of its own. */
static void two_with(struct fixture *f, uint64_t tokens)
{
    model(f, (struct pinned_agent){.name = "lead"});
    workflow_full(f, (struct dag_spec){.name = "two", .priority = 5, .tokens = tokens},
                  (const struct node[]){NODE("x", "{{input}}", .agent = "lead"),
                                        NODE("y", "{{input}}", .agent = "lead")},
                  2);
    egress_as(f, 50, "egress:e1", 1);
}

static void test_the_egress_with_least_to_do_is_asked(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    f->credit = 10;
    up(f, 2, "lead");
    egress_as(f, 50, "egress:e1", 1);
    egress_as(f, 51, "egress:e2", 1);
    for (int i = 0; i < 4; i++)
        start(f, "one");
    assert_int_equal(engine_egress_load(f->engine, 50), 2);
    assert_int_equal(engine_egress_load(f->engine, 51), 2);
    assert_int_equal(engine_egress_load(f->engine, 52), 0);
    fixture_free(&f);
}

static void test_another_egress_takes_over(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    egress_as(f, 50, "egress:e1", 1);
    struct uuid id = start(f, "one");
    egress_as(f, 51, "egress:e2", 1);
    egress_down(f, 50);
    assert_null(granted_of(f, "a")); /* it may come back and have the answer */
    assert_true(engine_deadline(f->engine) <= f->now + LIMIT_EGRESS_GRACE_US);
    tick(f, f->now + LIMIT_EGRESS_GRACE_US);
    assert_string_equal(granted_of(f, "a")->egress, "egress:e2");
    assert_string_equal(event_of(f, EVENT_SETTLED)->settled.reason, "egress lost");
    assert_true(execution(f, id).used.output_tokens > LIMIT_TURN_OUTPUT_TOKENS);
    assert_int_equal(engine_egress_load(f->engine, 51), 1);
    fixture_free(&f);
}

static void test_an_egress_that_comes_back_has_its_calls(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    egress_as(f, 50, "egress:e1", 1);
    start(f, "one");
    egress_as(f, 51, "egress:e2", 1);
    egress_down(f, 50);
    tick(f, f->now + LIMIT_EGRESS_GRACE_US / 2);
    egress_as(f, 52, "egress:e1", 1);
    assert_non_null(grant_of(f, "a"));
    assert_int_equal(grant_of(f, "a")->handle, 52);
    assert_null(event_of(f, EVENT_SETTLED));
    assert_int_equal(engine_egress_load(f->engine, 52), 1);
    fixture_free(&f);
}

static void test_after_a_restart_egresses_may_come_in_any_order(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    egress_as(f, 50, "egress:e1", 1);
    start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    egress_as(f, 51, "egress:e2", 1);
    restart(f);
    egress_as(f, 61, "egress:e2", 1);
    struct claim claim = {.execution = a->execution, .path = "a", .run = a->run};
    up_claiming(f, 11, 0, "lead", &claim, 1);
    assert_null(event_of(f, EVENT_SETTLED));
    egress_as(f, 60, "egress:e1", 1);
    assert_non_null(grant_of(f, "a"));
    assert_null(event_of(f, EVENT_SETTLED));
    fixture_free(&f);
}

/* What was late on its way says nothing of the process that has the call. */
static void test_a_late_hello_is_no_loss(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    egress_as(f, 50, "egress:e1", 2);
    start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    restart(f);
    egress_as(f, 60, "egress:e1", 1);
    struct claim claim = {.execution = a->execution, .path = "a", .run = a->run};
    up_claiming(f, 11, 0, "lead", &claim, 1);
    assert_null(event_of(f, EVENT_SETTLED));
    egress_as(f, 61, "egress:e1", 2);
    assert_non_null(grant_of(f, "a"));
    assert_null(event_of(f, EVENT_SETTLED));
    fixture_free(&f);
}

/* y keeps no place that x needs, x's budget is not given to y, and both end. */
static void test_who_waits_for_a_budget_holds_no_place(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->credit = 1;
    two_with(f, 20000);
    up(f, 1, "lead");
    up(f, 2, "lead");
    struct uuid id = start(f, "two");
    const struct effect_dispatch *x = dispatch_of(f, "x"), *y = dispatch_of(f, "y");
    turn(f, y, 1, 1, 8000, CALLS("wc"));
    tool_result(f, y, 2, 1, 0, "7");
    assert_non_null(drop_of(f, "y"));
    assert_null(granted_of(f, "y"));
    credit(f, y->handle, 2);
    down(f, x->handle, "exited");
    x = dispatch_of(f, "x");
    assert_non_null(x);
    turn(f, x, 1, 1, 10, NULL);
    step(f, x, (struct event_step){.kind = STEP_RESULT, .number = 2, .output = datum_of(f, "1")});
    credit(f, x->handle, 3);
    y = dispatch_of(f, "y");
    assert_non_null(y);
    assert_int_equal(y->turn, 2);
    assert_int_equal(y->history_count, 2);
    turn(f, y, 3, 2, 10, NULL);
    step(f, y, (struct event_step){.kind = STEP_RESULT, .number = 4, .output = datum_of(f, "2")});
    assert_string_equal(status_of(f, id), "succeeded");
    assert_int_equal(task(f, id, "y").losses, 0);
    fixture_free(&f);
}

static void test_who_waits_for_an_egress_is_counted_as_ready(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    struct uuid id = start(f, "one");
    struct agent_load load;
    engine_agent_load(f->engine, "lead", &load);
    assert_int_equal(load.ready, 1);
    cancel(f, id);
    engine_agent_load(f->engine, "lead", &load);
    assert_int_equal(load.ready, 0);
    assert_string_equal(status_of(f, id), "cancelled");
    fixture_free(&f);
}

/* Its message is not that of the execution: a node's output made it long. */
static void test_a_long_message_is_reserved_for(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    model(f, (struct pinned_agent){.name = "lead"});
    WORKFLOW(f, "two", NODE("a", "{{input}}"), NODE("b", "{{a}}", .agent = "lead", AFTER("a")));
    egress_as(f, 50, "egress:e1", 1);
    up(f, 1, "echo");
    up(f, 2, "lead");
    start(f, "two");
    char text[60001];
    memset(text, 'z', sizeof text - 1);
    text[0] = text[sizeof text - 2] = '"';
    text[sizeof text - 1] = '\0';
    result(f, dispatch_of(f, "a"), text);
    assert_true(event_of(f, EVENT_RESERVED)->reserved.tokens > 30000);
    fixture_free(&f);
}

/* 0 says on the wire that there is no limit. */
static void test_nothing_left_is_told_as_one(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct pinned_agent ext = {.name = "ext", .version = 1};
    model(f, (struct pinned_agent){.name = "lead"});
    map_put(f->agents, "ext", 3, &ext);
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .tokens = 100},
                  (const struct node[]){NODE("x", "{{input}}", .agent = "lead"),
                                        NODE("y", "{{input}}", .agent = "ext")},
                  2);
    egress_as(f, 50, "egress:e1", 1);
    up(f, 1, "lead");
    up(f, 2, "ext");
    start(f, "w");
    const struct effect_dispatch *x = dispatch_of(f, "x"), *y = dispatch_of(f, "y");
    turn(f, x, 1, 1, 100, NULL);
    turn(f, y, 1, 1, 0, CALLS("context_get"));
    tool_call(f, y, 1, 0, "context_get", "{}");
    assert_int_equal(dispatch_of(f, "y")->tokens_left, 1);
    fixture_free(&f);
}

/* An agent of any language reserves nothing, but has its limit of turns. */
static void test_turns_without_reservations_have_a_limit(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct pinned_agent ext = {.name = "ext", .version = 1, .turns = 2};
    map_put(f->agents, "ext", 3, &ext);
    WORKFLOW(f, "w", NODE("y", "{{input}}", .agent = "ext"));
    up(f, 2, "ext");
    struct uuid id = start(f, "w");
    const struct effect_dispatch *y = dispatch_of(f, "y");
    for (uint32_t i = 1; i <= 3; i++) {
        turn(f, y, 2 * i - 1, i, 0, CALLS("wc"));
        if (i < 3)
            tool_result(f, y, 2 * i, i, 0, "1");
    }
    assert_non_null(drop_of(f, "y"));
    assert_string_equal(task(f, id, "y").failure.code, "limit");
    assert_non_null(strstr(task(f, id, "y").failure.message, "limits.turns"));
    fixture_free(&f);
}

/* What is given up while tasks are given out frees a budget, too. */
static void test_a_budget_given_up_wakes_who_waits(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->credit = 1;
    model(f, (struct pinned_agent){.name = "lead"});
    workflow_full(
        f, (struct dag_spec){.name = "two", .priority = 5, .tokens = 3000},
        (const struct node[]){NODE("x", "{{input}}", .agent = "lead", .on_error = DAG_CONTINUE),
                              NODE("y", "{{input}}", .agent = "lead", .on_error = DAG_CONTINUE)},
        2);
    egress_as(f, 50, "egress:e1", 1);
    up(f, 1, "lead");
    up(f, 2, "lead");
    struct uuid id = start(f, "two");
    const struct effect_dispatch *x = dispatch_of(f, "x");
    egress_as(f, 51, "egress:e2", 1);
    egress_down(f, 50);
    down(f, x->handle, "exited");
    tick(f, f->now + LIMIT_EGRESS_GRACE_US);
    for (int i = 0; i < 5 && engine_deadline(f->engine) <= f->now; i++)
        tick(f, f->now);
    assert_string_equal(task_status_of(f, id, "y"), "failed");
    assert_string_equal(status_of(f, id), "succeeded");
    fixture_free(&f);
}

/* Each node has an agent of its own, named as it is, with one instance; handles go from 1 on. */
static struct uuid beside(struct fixture *f, const char *nodes, uint64_t tokens, uint32_t most_of_y)
{
    char names[4][2] = {{0}};
    struct node all[4];
    size_t count = strlen(nodes);
    f->credit = 1;
    egress_as(f, 50, "egress:e1", 1);
    for (size_t i = 0; i < count; i++) {
        names[i][0] = nodes[i];
        model(f, (struct pinned_agent){.name = names[i],
                                       .max_tokens = nodes[i] == 'y' ? most_of_y : 0});
        all[i] = (struct node)NODE(names[i], "{{input}}", .agent = names[i]);
        up(f, i + 1, names[i]);
    }
    workflow_full(f, (struct dag_spec){.name = "beside", .priority = 5, .tokens = tokens}, all,
                  count);
    return start(f, "beside");
}

static void end_with_little(struct fixture *f, const struct effect_dispatch *of)
{
    turn(f, of, 1, 1, 10, NULL);
    step(f, of, (struct event_step){.kind = STEP_RESULT, .number = 2, .output = datum_of(f, "1")});
}

static void expect_z_to_run(struct fixture *f, struct uuid id)
{
    for (int i = 0; i < 5 && !dispatch_of(f, "z") && engine_deadline(f->engine) <= f->now; i++)
        tick(f, f->now);
    assert_string_equal(task_status_of(f, id, "z"), "running");
}

/* y is the first to get what x left, but has no instance any more: z does not wait for that. */
static void test_a_share_that_nobody_takes_is_given_on(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = beside(f, "xyz", 7000, 0);
    const struct effect_dispatch *x = dispatch_of(f, "x");
    assert_null(dispatch_of(f, "y"));
    assert_null(dispatch_of(f, "z"));
    down(f, 2, "exited");
    end_with_little(f, x);
    expect_z_to_run(f, id);
    fixture_free(&f);
}

/* The same while somebody who lost its instance keeps a reservation. */
static void test_a_share_is_given_on_beside_a_reservation(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = beside(f, "xwyz", 14000, 0);
    const struct effect_dispatch *x = dispatch_of(f, "x");
    assert_non_null(dispatch_of(f, "w"));
    assert_null(dispatch_of(f, "y"));
    assert_null(dispatch_of(f, "z"));
    down(f, 2, "exited");
    down(f, 3, "exited");
    end_with_little(f, x);
    expect_z_to_run(f, id);
    fixture_free(&f);
}

/* z would find room beside w, but y came first, and needs more: nothing is left to do until w ends.
 */
static void test_who_must_not_pass_is_not_looked_at_for_ever(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = beside(f, "xwyz", 14000, 9000);
    end_with_little(f, dispatch_of(f, "x"));
    for (int i = 0; i < 5 && engine_deadline(f->engine) <= f->now; i++)
        tick(f, f->now);
    assert_true(engine_deadline(f->engine) > f->now);
    assert_string_equal(task_status_of(f, id, "z"), "pending");
    fixture_free(&f);
}

/* Who waits for a budget of one subtree holds up nobody that waits for another one's. */
static void test_budgets_of_subtrees_are_waited_for_apart(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->credit = 100;
    model(f, (struct pinned_agent){.name = "boss", .tokens = 20000, .max_tokens = 100, TO("lead")});
    model(f, (struct pinned_agent){.name = "lead", .max_tokens = 15000});
    WORKFLOW(f, "w", NODE("p", "{{input}}", .agent = "boss"),
             NODE("q", "{{input}}", .agent = "boss"));
    egress_as(f, 50, "egress:e1", 1);
    up(f, 1, "boss");
    up(f, 2, "lead");
    struct uuid id = start(f, "w");
    const struct effect_dispatch *tops[] = {dispatch_of(f, "p"), dispatch_of(f, "q")}, *first;
    for (size_t i = 0; i < 2; i++) {
        turn(f, tops[i], 1, 1, 1, CALLS("delegate_to_agent", "delegate_to_agent"));
        delegate(f, tops[i], 1, 0, "lead", "1");
        first = dispatch_of(f, i == 0 ? "p/1" : "q/1");
        delegate(f, tops[i], 1, 1, "lead", "2");
    }
    assert_string_equal(task_status_of(f, id, "q/2"), "pending");
    turn(f, first, 1, 1, 1, NULL);
    assert_non_null(dispatch_of(f, "q/2"));
    assert_string_equal(task_status_of(f, id, "p/2"), "pending");
    fixture_free(&f);
}

static void test_others_that_come_and_go_change_no_grant(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    egress_as(f, 50, "egress:e1", 1);
    start(f, "one");
    egress_as(f, 51, "egress:e2", 1);
    assert_int_equal(count_effects(f, EFFECT_GRANT) + count_effects(f, EFFECT_GRANTED), 0);
    egress_down(f, 51);
    tick(f, f->now + LIMIT_EGRESS_GRACE_US);
    assert_int_equal(count_effects(f, EFFECT_GRANT) + count_effects(f, EFFECT_GRANTED), 0);
    fixture_free(&f);
}

/* Each egress has its own time to come back. */
static void test_an_unsteady_egress_keeps_no_other_from_being_given_up(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    egress_as(f, 49, "egress:e0", 1);
    start(f, "one");
    egress_as(f, 51, "egress:e2", 1);
    egress_down(f, 49);
    f->credit = 10;
    up(f, 2, "lead");
    start(f, "one");
    egress_down(f, 51);
    tick(f, f->now + 4 * SECOND);
    egress_as(f, 52, "egress:e2", 1);
    assert_int_equal(count_events(f, EVENT_SETTLED), 0);
    tick(f, f->now + 2 * SECOND);
    assert_int_equal(count_events(f, EVENT_SETTLED), 1);
    fixture_free(&f);
}

static void test_the_time_of_an_attempt_runs_while_it_waits_for_an_egress(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    model(f, (struct pinned_agent){.name = "lead", .timeout_us = 10 * SECOND});
    WORKFLOW(f, "one", NODE("a", "{{input}}", .agent = "lead"));
    up(f, 1, "lead");
    egress_as(f, 50, "egress:e1", 1);
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    turn(f, a, 1, 1, 10, CALLS("list_agents"));
    egress_down(f, 50);
    tool_call(f, a, 1, 0, "list_agents", "{}");
    assert_true(engine_deadline(f->engine) == f->now + 10 * SECOND);
    tick(f, f->now + 10 * SECOND);
    assert_string_equal(task_status_of(f, id, "a"), "failed");
    assert_string_equal(task(f, id, "a").failure.code, "timeout");
    fixture_free(&f);
}

/* Between two turns nothing of a task runs. */
static void test_who_must_not_run_twice_may_wait_over_a_restart(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->credit = 1;
    two_with(f, 20000);
    model(f, (struct pinned_agent){.name = "lead", .rerun_never = true});
    up(f, 1, "lead");
    up(f, 2, "lead");
    struct uuid id = start(f, "two");
    const struct effect_dispatch *y = dispatch_of(f, "y");
    turn(f, y, 1, 1, 8000, CALLS("wc"));
    tool_result(f, y, 2, 1, 0, "7");
    assert_non_null(drop_of(f, "y"));
    restart(f);
    tick(f, f->now + 60 * SECOND);
    assert_string_equal(task_status_of(f, id, "x"), "failed");
    assert_string_not_equal(task_status_of(f, id, "y"), "failed");
    fixture_free(&f);
}

static void test_the_message_counts_after_a_restart(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one(f);
    egress_as(f, 50, "egress:e1", 1);
    char text[60001];
    memset(text, 'z', sizeof text - 1);
    text[0] = text[sizeof text - 2] = '"';
    text[sizeof text - 1] = '\0';
    start_with(f, "one", text);
    const struct effect_dispatch *a = dispatch_of(f, "a");
    turn(f, a, 1, 1, 10, CALLS("wc"));
    restart(f);
    egress_as(f, 60, "egress:e1", 1);
    struct claim claim = {
        .execution = a->execution, .path = "a", .run = a->run, .acknowledged_step = 1};
    up_claiming(f, 11, 0, "lead", &claim, 1);
    struct effect_dispatch held = *a;
    held.handle = 11;
    tool_result(f, &held, 2, 1, 0, "7");
    assert_true(event_of(f, EVENT_RESERVED)->reserved.tokens > 30000);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_egress_with_least_to_do_is_asked),
        cmocka_unit_test(test_another_egress_takes_over),
        cmocka_unit_test(test_an_egress_that_comes_back_has_its_calls),
        cmocka_unit_test(test_after_a_restart_egresses_may_come_in_any_order),
        cmocka_unit_test(test_a_late_hello_is_no_loss),
        cmocka_unit_test(test_who_waits_for_a_budget_holds_no_place),
        cmocka_unit_test(test_who_waits_for_an_egress_is_counted_as_ready),
        cmocka_unit_test(test_a_long_message_is_reserved_for),
        cmocka_unit_test(test_nothing_left_is_told_as_one),
        cmocka_unit_test(test_turns_without_reservations_have_a_limit),
        cmocka_unit_test(test_a_budget_given_up_wakes_who_waits),
        cmocka_unit_test(test_a_share_that_nobody_takes_is_given_on),
        cmocka_unit_test(test_a_share_is_given_on_beside_a_reservation),
        cmocka_unit_test(test_who_must_not_pass_is_not_looked_at_for_ever),
        cmocka_unit_test(test_budgets_of_subtrees_are_waited_for_apart),
        cmocka_unit_test(test_others_that_come_and_go_change_no_grant),
        cmocka_unit_test(test_an_unsteady_egress_keeps_no_other_from_being_given_up),
        cmocka_unit_test(test_the_time_of_an_attempt_runs_while_it_waits_for_an_egress),
        cmocka_unit_test(test_who_must_not_run_twice_may_wait_over_a_restart),
        cmocka_unit_test(test_the_message_counts_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
