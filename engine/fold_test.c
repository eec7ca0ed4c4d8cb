#include "engine/fixture.h"

/* What the journal makes of an execution: edges, joins, skips, and what it refuses. */

static void test_a_chain_runs_and_ends(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "chain", NODE("a", "{{input}}"), NODE("b", "{{a}}"), NODE("c", "{{b}}"));
    struct uuid id = start(f, "chain");
    assert_int_equal(count_events(f, EVENT_STARTED), 1);
    assert_int_equal(engine_active_executions(f->engine), 1);
    assert_string_equal(task_status_of(f, id, "a"), "pending");
    assert_int_equal(task(f, id, "a").status, TASK_READY);
    assert_int_equal(task(f, id, "b").status, TASK_PENDING);
    up(f, 1, "echo");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    assert_non_null(a);
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 1);
    assert_string_equal(task_status_of(f, id, "a"), "running");
    assert_string_equal(task(f, id, "a").instance, "inst_1");
    f->now += 5;
    result(f, a, "\"one\"");
    assert_int_equal(f->journal_count - f->first_event, 1); /* successors are not journaled */
    assert_non_null(dispatch_of(f, "b"));
    f->now += 5;
    result(f, dispatch_of(f, "b"), "\"two\"");
    result(f, dispatch_of(f, "c"), "\"three\"");
    assert_int_equal(count_events(f, EVENT_STEP), 1);
    assert_int_equal(count_events(f, EVENT_ENDED), 1);
    assert_string_equal(status_of(f, id), "succeeded");
    assert_string_equal(output_of(f, id), "{\"c\":\"three\"}");
    assert_int_equal(engine_active_executions(f->engine), 0);
    assert_true(engine_deadline(f->engine) == INT64_MAX);
    struct task_view b = task(f, id, "b");
    assert_int_equal(b.attempt, 1);
    assert_int_equal(b.step, 1);
    assert_true(b.queued_us == T0 + 5 && b.started_us == T0 + 5 && b.ended_us == T0 + 10);
    assert_string_equal(json_of(f, &b.output), "\"two\"");
    assert_int_equal(engine_instance_tasks(f->engine, 1), 0);
    engine_forget(f->engine, id);
    struct execution_view view;
    assert_int_equal(engine_execution(f->engine, id, &view), ERR_NOT_FOUND);
    fixture_free(&f);
}

static void test_fan_out_and_in(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "fan", NODE("top", "{{input}}"), NODE("l", "{{top}}"), NODE("r", "{{top}}"),
             NODE("join", "{{l}}+{{r}}"));
    up(f, 1, "echo");
    struct uuid id = start(f, "fan");
    result(f, dispatch_of(f, "top"), "1");
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 2);
    const struct effect_dispatch *l = dispatch_of(f, "l"), *r = dispatch_of(f, "r");
    result(f, r, "\"R\"");
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    result(f, l, "\"L\"");
    const struct effect_dispatch *join = dispatch_of(f, "join");
    assert_string_equal(json_of(f, &join->message), "\"L+R\"");
    result(f, join, "\"done\"");
    assert_string_equal(output_of(f, id), "{\"join\":\"done\"}");
    fixture_free(&f);
}

/* a fails tolerated, b fails tolerated or not, c succeeds. */
static void test_joins(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "joins", NODE("off", NULL, .disabled = true), NODE("a", NULL),
             NODE("all_dead", NULL, AFTER("a", "off")),
             NODE("any_taken", NULL, AFTER("a", "off"), .join = DAG_JOIN_ANY),
             NODE("any_dead", NULL, AFTER("off", "all_dead"), .join = DAG_JOIN_ANY),
             NODE("done", NULL, AFTER("a", "off", "all_dead"), .join = DAG_JOIN_DONE),
             NODE("below", NULL, AFTER("all_dead")));
    up(f, 1, "echo");
    struct uuid id = start(f, "joins");
    assert_string_equal(task_status_of(f, id, "off"), "skipped");
    assert_string_equal(task(f, id, "off").reason, "disabled");
    assert_string_equal(task(f, id, "all_dead").reason, "after \"off\" was skipped");
    assert_string_equal(task(f, id, "below").reason, "after \"all_dead\" was skipped");
    assert_string_equal(task_status_of(f, id, "any_dead"), "skipped");
    assert_string_equal(task(f, id, "any_dead").reason, "none of the nodes before it succeeded");
    assert_int_equal(task(f, id, "done").status, TASK_PENDING);
    assert_int_equal(task(f, id, "any_taken").status, TASK_PENDING);
    result(f, dispatch_of(f, "a"), "1");
    assert_non_null(dispatch_of(f, "any_taken"));
    assert_non_null(dispatch_of(f, "done"));
    echo_all(f);
    assert_string_equal(status_of(f, id), "succeeded");
    assert_string_equal(output_of(f, id),
                        "{\"any_taken\":null,\"any_dead\":null,\"done\":null,\"below\":null}");
    fixture_free(&f);
}

static void test_any_starts_once_and_tolerated_failures_are_taken(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "any", NODE("a", NULL, .on_error = DAG_CONTINUE), NODE("b", NULL),
             NODE("c", "{{a}}/{{b}}", .join = DAG_JOIN_ANY));
    up(f, 1, "echo");
    struct uuid id = start(f, "any");
    const struct effect_dispatch *a = dispatch_of(f, "a"), *b = dispatch_of(f, "b");
    failure(f, a, "exit", false);
    const struct effect_dispatch *c = dispatch_of(f, "c");
    assert_string_equal(json_of(f, &c->message), "\"null/null\"");
    result(f, b, "\"B\"");
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    /* Given out again, it is asked the same, though b has an output by now. */
    down(f, 1, "silence");
    up(f, 2, "echo");
    c = dispatch_of(f, "c");
    assert_string_equal(json_of(f, &c->message), "\"null/null\"");
    result(f, c, "3");
    assert_string_equal(status_of(f, id), "succeeded");
    assert_string_equal(task_status_of(f, id, "a"), "failed");
    assert_string_equal(task(f, id, "a").failure.code, "exit");
    fixture_free(&f);
}

/* A skip runs down the longest chain there may be without recursing. */
static void test_a_skip_runs_down_the_longest_chain(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct dag_node_spec *nodes = arena_alloc(&f->arena, LIMIT_NODES * sizeof *nodes);
    for (int i = 0; i < LIMIT_NODES; i++) {
        const char **after = arena_alloc(&f->arena, sizeof *after);
        nodes[i] = (struct dag_node_spec){.id = arena_printf(&f->arena, "n%d", i),
                                          .agent = "echo",
                                          .retry = {.attempts = 1, .factor = 1},
                                          .after = after,
                                          .after_count = i > 0,
                                          .disabled = i == 0};
        *after = i > 0 ? nodes[i - 1].id : NULL;
    }
    dag_t *dag = NULL;
    const struct dag_spec spec = {.name = "long", .nodes = nodes, .nodes_count = LIMIT_NODES};
    assert_int_equal(dag_new(&spec, &dag, NULL), 0);
    (void)map_put(f->dags, "long", 4, dag);
    struct uuid id = start(f, "long");
    assert_string_equal(status_of(f, id), "succeeded");
    assert_string_equal(task(f, id, "n99999").reason, "after \"n99998\" was skipped");
    fixture_free(&f);
}

/* --- what is refused -------------------------------------------------------------------------- */

static void expect_refused(struct fixture *f, struct uuid id, struct event event, const char *what)
{
    uint64_t before = engine_fingerprint(f->twin, id);
    event.execution = id;
    if (event.sequence == 0)
        event.sequence = execution(f, id).sequence + 1;
    if (event.time_us == 0)
        event.time_us = f->now;
    f->err = (struct err){0};
    assert_int_equal(engine_apply(f->twin, &event, &f->err), ERR_INVALID);
    if (!strstr(f->err.what, what))
        fail_msg("\"%s\" lacks \"%s\"", f->err.what, what);
    assert_int_equal(engine_apply(f->twin, &event, NULL), ERR_INVALID);
    assert_true(engine_fingerprint(f->twin, id) == before);
}

static struct event step_event(const char *path, uint32_t number, uint64_t counter)
{
    return (struct event){.kind = EVENT_STEP,
                          .step = {.path = path,
                                   .attempt = 1,
                                   .run = {7, counter},
                                   .instance = "inst_1",
                                   .number = number,
                                   .kind = STEP_RESULT}};
}

static void test_steps_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "two", NODE("a", NULL), NODE("b", "{{a}}"), NODE("c", NULL));
    up(f, 1, "echo");
    struct uuid id = start(f, "two");
    result(f, dispatch_of(f, "a"), "1");
    down(f, 1, "exited");
    struct event event = step_event("nobody", 1, 9);
    expect_refused(f, id, event, "no such task");
    expect_refused(f, id, step_event(NULL, 1, 9), "no such task");
    expect_refused(f, id, step_event("a", 2, 9), "not under way");
    expect_refused(f, id, step_event("b", 2, 9), "number");
    expect_refused(f, id, step_event("b", 0, 9), "number");
    expect_refused(f, id, step_event("b", 1, 1), "void");
    event = step_event("b", 1, 9);
    event.step.attempt = 2;
    expect_refused(f, id, event, "attempt");
    event = step_event("b", 1, 9);
    event.step.kind = (enum step_kind)9;
    expect_refused(f, id, event, "kind");
    event = step_event("b", 1, 9);
    event.step.instance = "";
    expect_refused(f, id, event, "no instance");
    event = step_event("b", 1, 9);
    event.step.kind = STEP_FAILURE;
    event.step.failure.code = "exit";
    event.step.retry_at_us = T0;
    expect_refused(f, id, event, "no attempt left");
    event = step_event("b", 1, 9);
    event.sequence = execution(f, id).sequence;
    expect_refused(f, id, event, "missing or doubled");
    event.sequence += 2;
    expect_refused(f, id, event, "missing or doubled");
    event = step_event("b", 1, 9);
    event.time_us = T0 - 1;
    expect_refused(f, id, event, "time");
    fixture_free(&f);
}

static void test_other_events_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one", NODE("a", NULL), NODE("b", "{{a}}"));
    up(f, 1, "echo");
    struct uuid id = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    struct event lost = {.kind = EVENT_LOST, .lost = {.path = "b", .run = {7, 1}}};
    expect_refused(f, id, lost, "not under way");
    lost.lost.path = "a";
    lost.lost.run = (struct run){0, 0};
    expect_refused(f, id, lost, "void");
    struct event failing = {.kind = EVENT_FAILING, .failing = {.path = "zz"}};
    expect_refused(f, id, failing, "no failure");
    failing.failing.failure.code = "exit";
    expect_refused(f, id, failing, "no such task");
    struct event ended = {.kind = EVENT_ENDED, .ended = {.status = EXECUTION_SUCCEEDED}};
    expect_refused(f, id, ended, "have not ended");
    ended.ended.status = EXECUTION_CANCELLED;
    expect_refused(f, id, ended, "can't end so");
    ended.ended.status = EXECUTION_RUNNING;
    expect_refused(f, id, ended, "can't end so");
    struct event unknown = {.kind = (enum event_kind)99};
    expect_refused(f, id, unknown, "kind");
    struct event again = f->journal[0];
    expect_refused(f, id, again, "started before");
    struct uuid nobody = {{9}};
    assert_int_equal(
        engine_apply(f->twin, &(struct event){.execution = nobody, .kind = EVENT_CANCEL}, NULL),
        ERR_INVALID);
    assert_int_equal(cancel(f, id), 0);
    expect_refused(f, id, (struct event){.kind = EVENT_CANCEL}, "already");
    failure(f, a, "cancelled", false);
    expect_refused(f, id, (struct event){.kind = EVENT_CANCEL}, "has ended");
    fixture_free(&f);
}

static void test_started_must_pin_every_agent(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one", NODE("a", NULL, .agent = "scout"));
    struct pinned_agent pin = {.name = "other"};
    struct event event = {.execution = {{1}},
                          .sequence = 1,
                          .kind = EVENT_STARTED,
                          .started = {.workflow = "one", .agents = &pin, .agents_count = 1}};
    assert_int_equal(engine_apply(f->engine, &event, &f->err), ERR_INVALID);
    assert_string_equal(f->err.where, "agents.scout");
    pin.name = "scout";
    event.sequence = 2;
    assert_int_equal(engine_apply(f->engine, &event, &f->err), ERR_INVALID);
    event.sequence = 1;
    event.started.workflow = "none";
    assert_int_equal(engine_apply(f->engine, &event, &f->err), ERR_NOT_FOUND);
    event.started.workflow = "one";
    assert_int_equal(engine_apply(f->engine, &event, &f->err), 0);
    fixture_free(&f);
}

static void test_names_of_statuses(void **state)
{
    (void)state;
    assert_string_equal(task_status_name(TASK_READY), "pending");
    assert_string_equal(task_status_name(TASK_RETRYING), "retrying");
    assert_string_equal(execution_status_name(EXECUTION_CANCELLING), "cancelling");
    assert_string_equal(event_kind_name(EVENT_FAILING), "failing");
    assert_true(run_compare((struct run){1, 9}, (struct run){2, 0}) < 0);
    assert_true(run_compare((struct run){2, 1}, (struct run){2, 0}) > 0);
    assert_true(run_compare((struct run){2, 1}, (struct run){2, 1}) == 0);
    assert_true(execution_status_terminal(EXECUTION_FAILED));
    assert_false(execution_status_terminal(EXECUTION_FAILING));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_chain_runs_and_ends),
        cmocka_unit_test(test_fan_out_and_in),
        cmocka_unit_test(test_joins),
        cmocka_unit_test(test_any_starts_once_and_tolerated_failures_are_taken),
        cmocka_unit_test(test_a_skip_runs_down_the_longest_chain),
        cmocka_unit_test(test_steps_that_do_not_fit_are_refused),
        cmocka_unit_test(test_other_events_that_do_not_fit_are_refused),
        cmocka_unit_test(test_started_must_pin_every_agent),
        cmocka_unit_test(test_names_of_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
