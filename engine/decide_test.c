#include "engine/fixture.h"
#include <stdlib.h>

/* Starting, and who gets what when. */

static struct input start_input(struct fixture *f, const char *workflow, const char *agent)
{
    static const struct pinned_agent pin = {.name = "echo", .version = 3};
    return (struct input){.kind = INPUT_START,
                          .start = {.execution = {{1}},
                                    .started = {.workflow = workflow,
                                                .agent = agent,
                                                .agents = &pin,
                                                .agents_count = 1,
                                                .input = datum_of(f, "{\"x\":1}")}}};
}

static void test_starts_that_are_refused_change_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one", NODE("a", NULL));
    WORKFLOW(f, "other", NODE("a", NULL, .agent = "scout"));
    assert_int_equal(decide(f, start_input(f, "none", "")), ERR_NOT_FOUND);
    assert_int_equal(decide(f, start_input(f, "", "")), ERR_INVALID);
    assert_int_equal(decide(f, start_input(f, "one", "echo")), ERR_INVALID);
    assert_int_equal(decide(f, start_input(f, "other", "")), ERR_INVALID);
    assert_string_equal(f->err.where, "agents.scout");
    struct input nil = start_input(f, "one", "");
    nil.start.execution = (struct uuid){{0}};
    assert_int_equal(decide(f, nil), ERR_INVALID);
    assert_int_equal(engine_active_executions(f->engine), 0);
    assert_int_equal(decide(f, start_input(f, "one", "")), 0);
    assert_int_equal(decide(f, start_input(f, "one", "")), ERR_EXISTS);
    assert_int_equal(engine_active_executions(f->engine), 1);
    size_t position = 0;
    struct uuid id;
    assert_true(engine_next_execution(f->engine, &position, &id));
    assert_int_equal(id.bytes[0], 1);
    assert_false(engine_next_execution(f->engine, &position, &id));
    assert_int_equal(decide(f, (struct input){.kind = (enum input_kind)77}), ERR_INVALID);
    fixture_free(&f);
}

static void test_an_agent_alone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    dag_t *dag = NULL;
    assert_int_equal(dag_new_for_agent("echo", &dag, NULL), 0);
    (void)map_put(f->dags, "echo", 4, dag);
    up(f, 1, "echo");
    struct input input = start_input(f, "", "echo");
    assert_int_equal(decide(f, input), 0);
    const struct effect_dispatch *ask = dispatch_of(f, "ask");
    assert_string_equal(json_of(f, &ask->message), "{\"x\":1}");
    assert_string_equal(ask->workflow, "");
    assert_string_equal(ask->agent, "echo");
    assert_int_equal(ask->agent_version, 3);
    assert_int_equal(ask->attempt, 1);
    assert_int_equal(ask->run.epoch, 7);
    assert_int_equal(ask->journaled_step, 0);
    result(f, ask, "[1,2]");
    assert_string_equal(output_of(f, input.start.execution), "[1,2]");
    fixture_free(&f);
}

static void test_credit_bounds_what_is_given_out(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct agent_load load;
    WORKFLOW(f, "wide", NODE("a", NULL), NODE("b", NULL), NODE("c", NULL), NODE("d", NULL));
    f->credit = 2;
    up(f, 1, "echo");
    start(f, "wide");
    assert_non_null(dispatch_of(f, "a"));
    assert_non_null(dispatch_of(f, "b"));
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 2);
    const struct effect_dispatch *a = dispatch_of(f, "a");
    engine_agent_load(f->engine, "echo", &load);
    assert_int_equal(load.ready, 2);
    assert_int_equal(load.running, 2);
    assert_int_equal(load.free_credit, 0);
    assert_int_equal(load.instances, 1);
    result(f, a, "1"); /* credit is a total: an end alone gives no room */
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    credit(f, 1, 3);
    assert_non_null(dispatch_of(f, "c"));
    credit(f, 1, 1); /* never taken back */
    credit(f, 1, 3);
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    struct input drain = {.kind = INPUT_CREDIT, .credit = {1, 9, true}};
    assert_int_equal(decide(f, drain), 0);
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    assert_int_equal(engine_instance_tasks(f->engine, 1), 2);
    credit(f, 1, 9);
    assert_non_null(dispatch_of(f, "d"));
    credit(f, 99, 5);
    engine_agent_load(f->engine, "nobody", &load);
    assert_int_equal(load.instances, 0);
    fixture_free(&f);
}

static void test_the_instance_with_most_credit_then_least_recently_used(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one", NODE("a", NULL));
    f->credit = 2;
    up(f, 1, "echo");
    up(f, 2, "echo");
    f->credit = 3;
    up(f, 3, "echo");
    const uint64_t expected[] = {3, 1, 2, 3, 1, 2, 3};
    for (size_t i = 0; i < 7; i++) {
        start(f, "one");
        assert_int_equal(dispatch_of(f, "a")->handle, expected[i]);
    }
    start(f, "one");
    assert_null(dispatch_of(f, "a"));
    fixture_free(&f);
}

static void test_equal_credit_goes_to_the_least_recently_used(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one", NODE("a", NULL));
    f->credit = 2;
    up(f, 1, "echo");
    up(f, 2, "echo");
    for (uint64_t i = 0; i < 6; i++) {
        start(f, "one");
        uint64_t handle = dispatch_of(f, "a")->handle;
        assert_int_equal(handle, 1 + i % 2);
        credit(f, handle, 3 + i / 2);
    }
    fixture_free(&f);
}

static void test_a_retry_at_once_goes_before_new_work(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one", NODE("a", NULL, .retry = {.attempts = 2, .factor = 1}));
    f->credit = 1;
    up(f, 1, "echo");
    struct uuid first = start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    start(f, "one");
    failure(f, a, "exit", false);
    credit(f, 1, 2);
    assert_true(uuid_equal(dispatch_of(f, "a")->execution, first));
    fixture_free(&f);
}

static void test_agents_have_their_own_instances(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "two", NODE("a", NULL, .agent = "x"), NODE("b", NULL, .agent = "y"));
    up(f, 1, "y");
    start(f, "two");
    assert_null(dispatch_of(f, "a"));
    assert_int_equal(dispatch_of(f, "b")->handle, 1);
    size_t position = 0;
    const char *agent;
    assert_true(engine_next_agent(f->engine, &position, &agent));
    assert_string_equal(agent, "y");
    assert_true(engine_next_agent(f->engine, &position, &agent));
    assert_string_equal(agent, "x");
    assert_false(engine_next_agent(f->engine, &position, &agent));
    up(f, 2, "x");
    assert_int_equal(dispatch_of(f, "a")->handle, 2);
    fixture_free(&f);
}

static void test_higher_priority_and_lost_work_go_first(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const struct node node = NODE("a", NULL);
    workflow_full(f, (struct dag_spec){.name = "low", .priority = 0}, &node, 1);
    workflow_full(f, (struct dag_spec){.name = "mid", .priority = 5}, &node, 1);
    workflow_full(f, (struct dag_spec){.name = "high", .priority = 9}, &node, 1);
    f->credit = 1;
    up(f, 1, "echo");
    struct uuid lost = start(f, "mid");
    struct uuid low = start(f, "low");
    struct uuid mid = start(f, "mid");
    struct uuid mid_2 = start(f, "mid");
    struct uuid high = start(f, "high");
    down(f, 1, "exited");
    assert_int_equal(count_events(f, EVENT_LOST), 1);
    const struct uuid expected[] = {high, lost, mid, mid_2, low};
    up(f, 2, "echo");
    for (size_t i = 0; i < 5; i++) {
        assert_true(uuid_equal(dispatch_of(f, "a")->execution, expected[i]));
        credit(f, 2, i + 2);
    }
    fixture_free(&f);
}

static void wide(struct fixture *f, uint32_t parallel)
{
    const struct node nodes[] = {NODE("a1", NULL, .agent = "x"), NODE("a2", NULL, .agent = "x"),
                                 NODE("a3", NULL, .agent = "x"), NODE("b1", NULL, .agent = "y"),
                                 NODE("b2", NULL, .agent = "y")};
    workflow_full(f, (struct dag_spec){.name = "wide", .priority = 5, .parallel = parallel}, nodes,
                  5);
}

static void test_parallel_bounds_one_execution_and_blocks_no_other(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    wide(f, 2);
    WORKFLOW(f, "one", NODE("o", NULL, .agent = "x"));
    up(f, 1, "x");
    struct uuid id = start(f, "wide");
    const struct effect_dispatch *a1 = dispatch_of(f, "a1");
    assert_non_null(dispatch_of(f, "a2"));
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 2);
    start(f, "one");
    assert_non_null(dispatch_of(f, "o"));
    result(f, a1, "1");
    const struct effect_dispatch *a3 = dispatch_of(f, "a3");
    assert_non_null(a3);
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 1);
    up(f, 2, "y"); /* no slot is free, whoever comes */
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    result(f, a3, "1");
    result(f, dispatch_of(f, "b1"), "1");
    assert_non_null(dispatch_of(f, "b2"));
    assert_string_equal(status_of(f, id), "running");
    fixture_free(&f);
}

/* The slot that frees is filled by whoever has an instance, though others waited longer. */
static void test_a_free_slot_goes_to_who_can_use_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    wide(f, 1);
    f->credit = 1;
    up(f, 1, "x");
    f->credit = 10;
    start(f, "wide");
    const struct effect_dispatch *a1 = dispatch_of(f, "a1");
    up(f, 2, "y");
    assert_null(dispatch_of(f, "b1"));
    result(f, a1, "1"); /* x has no credit left */
    const struct effect_dispatch *b1 = dispatch_of(f, "b1");
    assert_non_null(b1);
    result(f, b1, "1");
    const struct effect_dispatch *b2 = dispatch_of(f, "b2");
    assert_non_null(b2);
    credit(f, 1, 9);
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    down(f, 2, "exited"); /* b2 waits again, and its slot is x's */
    assert_non_null(dispatch_of(f, "a2"));
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 1);
    fixture_free(&f);
}

/* The one that stood in the queue for its lane is stopped while a slot is free: the next one of the
 * lane has to take its place. */
static void test_a_lane_goes_on_when_its_queued_task_is_stopped(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const struct node nodes[] = {NODE("bad", NULL, .agent = "x"), NODE("q", NULL, .agent = "y"),
                                 NODE("clean", NULL, .agent = "y", .join = DAG_JOIN_DONE)};
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .parallel = 1}, nodes, 3);
    up(f, 1, "x");
    start(f, "w");
    const struct effect_dispatch *bad = dispatch_of(f, "bad");
    up(f, 2, "y");
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 0);
    failure(f, bad, "exit", false);
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 1);
    assert_non_null(dispatch_of(f, "clean"));
    fixture_free(&f);
}

static void test_parallel_under_a_wide_fan(void **state)
{
    (void)state;
    enum { WIDTH = 2000 };
    struct fixture *f = fixture_new();
    struct node *nodes = arena_alloc(&f->arena, WIDTH * sizeof *nodes);
    for (int i = 0; i < WIDTH; i++)
        nodes[i].spec.id = arena_printf(&f->arena, "n%d", i);
    workflow_full(f, (struct dag_spec){.name = "fan", .priority = 5, .parallel = 7}, nodes, WIDTH);
    f->credit = 10 * WIDTH;
    up(f, 1, "echo");
    struct uuid id = start(f, "fan");
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 7);
    for (size_t i = 0; i < f->effects_count; i++) {
        if (f->effects[i].kind != EFFECT_DISPATCH)
            continue;
        assert_true(engine_instance_tasks(f->engine, 1) <= 7);
        const struct effect_dispatch dispatch = f->effects[i].dispatch;
        result(f, &dispatch, "1");
    }
    assert_string_equal(status_of(f, id), "succeeded");
    fixture_free(&f);
}

static void test_what_a_dispatch_says(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const struct node nodes[] = {NODE("a", NULL, .timeout_us = 9 * SECOND), NODE("b", NULL),
                                 NODE("c", NULL, .join = DAG_JOIN_DONE)};
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .time_us = 60 * SECOND}, nodes,
                  3);
    f->agent_timeout = 30 * SECOND;
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    const struct effect_dispatch *a = dispatch_of(f, "a"), *b = dispatch_of(f, "b");
    assert_true(uuid_equal(a->execution, id));
    assert_true(a->timeout_us == 9 * SECOND && b->timeout_us == 30 * SECOND);
    assert_true(a->deadline_us == T0 + 60 * SECOND);
    assert_true(dispatch_of(f, "c")->deadline_us == T0 + 60 * SECOND + LIMIT_DONE_GRACE_US);
    assert_true(execution(f, id).deadline_us == T0 + 60 * SECOND);
    assert_string_equal(a->workflow, "w");
    assert_true(a->queued_us == T0);
    assert_true(run_compare(a->run, b->run) < 0);
    fixture_free(&f);
}

static void test_time_never_goes_back_in_a_journal(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "two", NODE("a", NULL), NODE("b", "{{a}}"));
    up(f, 1, "echo");
    start(f, "two");
    f->now = T0 - 100 * SECOND;
    result(f, dispatch_of(f, "a"), "1");
    assert_true(event_of(f, EVENT_STEP)->time_us == T0);
    assert_true(event_of(f, EVENT_STEP)->step.ended_us == T0);
    fixture_free(&f);
}

static void test_decisions_gather_over_calls(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "one", NODE("a", NULL));
    struct decisions gathered = {0};
    for (uint8_t i = 1; i <= 100; i++) {
        struct input input = start_input(f, "one", "");
        input.start.execution.bytes[0] = i;
        assert_int_equal(engine_decide(f->engine, &input, &gathered, &f->err), 0);
    }
    assert_int_equal(gathered.events_count, 100);
    assert_int_equal(gathered.events[99].execution.bytes[0], 100);
    assert_string_equal(gathered.events[0].started.agents[0].name, "echo");
    decisions_clear(&gathered);
    assert_int_equal(gathered.events_count, 0);
    decisions_release(&gathered);
    fixture_free(&f);
}

/* A batch that holds all of it at once might be more than a store takes. */
static void test_large_messages_go_out_call_by_call(void **state)
{
    enum { BYTES = 12 << 20, NODES = 5 };
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "large", NODE("a", "a {{input}}"), NODE("b", "b {{input}}"),
             NODE("c", "c {{input}}"), NODE("d", "d {{input}}"), NODE("e", "e {{input}}"));
    up(f, 1, "echo");
    char *json = xmalloc(BYTES + 3);
    memset(json, 'x', BYTES + 2);
    json[0] = json[BYTES + 1] = '"';
    json[BYTES + 2] = '\0';
    start_with(f, "large", json);
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), 3);
    assert_int_equal(engine_deadline(f->engine), 0);
    tick(f, f->now);
    assert_int_equal(count_effects(f, EFFECT_DISPATCH), NODES - 3);
    assert_true(engine_deadline(f->engine) == INT64_MAX);
    free(json);
    fixture_free(&f);
}

/* A chain that starts while a list of 100,000 items waits for the same instance gets its turn after
 * every item at the latest; also when the list keeps to a limit of tasks at a time, and another
 * task has all that this leaves. */
static void starves_nobody(uint32_t parallel)
{
    enum { ITEMS = 100000, CREDIT = 4 };
    struct fixture *f = fixture_new();
    const struct node map = NODE("m", "1", .items = "input.list");
    workflow_full(f, (struct dag_spec){.name = "wide", .priority = 5, .parallel = parallel}, &map,
                  1);
    WORKFLOW(f, "chain", NODE("a", "1"), NODE("b", "{{a}}"), NODE("c", "{{b}}"));
    WORKFLOW(f, "other", NODE("o", "1"));
    struct buf list = {0};
    buf_printf(&list, "{\"list\": [0");
    for (int i = 1; i < ITEMS; i++)
        buf_printf(&list, ",%d", i);
    buf_printf(&list, "]}");
    f->credit = parallel ? CREDIT + 1 : CREDIT;
    up(f, 1, "echo");
    struct uuid wide = start_with(f, "wide", buf_string(&list));
    buf_release(&list);
    assert_int_equal(execution(f, wide).tasks, ITEMS + 1);
    struct effect_dispatch held[CREDIT] = {*dispatch_of(f, "m[0]"), *dispatch_of(f, "m[1]"),
                                           *dispatch_of(f, "m[2]"), *dispatch_of(f, "m[3]")};
    if (parallel)
        start(f, "other");
    struct uuid chain = start(f, "chain");
    uint64_t total = f->credit;
    size_t dispatched = CREDIT;
    for (size_t at = 0; strcmp(status_of(f, chain), "running") == 0; at = (at + 1) % CREDIT) {
        assert_true(dispatched < CREDIT * 8);
        result(f, &held[at], "1");
        credit(f, 1, ++total);
        assert_int_equal(count_effects(f, EFFECT_DISPATCH), 1);
        held[at] = f->effects[f->effects_count - 1].dispatch;
        dispatched++;
    }
    assert_string_equal(status_of(f, chain), "succeeded");
    fixture_free(&f);
}

/* The same with a list of sub-workflows, each of which is an execution: they have the turns of one.
 */
static void test_a_large_family_starves_nobody(void **state)
{
    enum { ITEMS = 1000, CREDIT = 4 };
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "child", NODE("work", "1"));
    WORKFLOW(f, "wide",
             NODE("m", "1", .kind = DAG_WORKFLOW, .workflow = "child", .items = "input"));
    WORKFLOW(f, "chain", NODE("a", "1"), NODE("b", "{{a}}"), NODE("c", "{{b}}"));
    struct buf list = {0};
    for (int i = 0; i < ITEMS; i++)
        buf_printf(&list, "%s%d", i == 0 ? "[" : ",", i);
    buf_printf(&list, "]");
    f->credit = CREDIT;
    up(f, 1, "echo");
    struct uuid wide = start_with(f, "wide", buf_string(&list));
    buf_release(&list);
    for (int i = 0; i < 10 && engine_deadline(f->engine) <= f->now; i++)
        tick(f, f->now);
    struct effect_dispatch held[CREDIT];
    size_t dispatched = 0;
    for (size_t i = 0; i < f->effects_count && dispatched < CREDIT; i++)
        if (f->effects[i].kind == EFFECT_DISPATCH)
            held[dispatched++] = f->effects[i].dispatch;
    assert_int_equal(dispatched, CREDIT);
    struct uuid chain = start(f, "chain");
    uint64_t total = f->credit;
    for (size_t at = 0; strcmp(status_of(f, chain), "running") == 0; at = (at + 1) % CREDIT) {
        assert_true(dispatched++ < CREDIT * 8);
        result(f, &held[at], "1");
        credit(f, 1, ++total);
        assert_int_equal(count_effects(f, EFFECT_DISPATCH), 1);
        for (size_t i = 0; i < f->effects_count; i++)
            if (f->effects[i].kind == EFFECT_DISPATCH)
                held[at] = f->effects[i].dispatch;
    }
    assert_string_equal(status_of(f, chain), "succeeded");
    assert_string_equal(status_of(f, wide), "running");
    fixture_free(&f);
}

static void test_a_long_list_starves_nobody(void **state)
{
    (void)state;
    starves_nobody(0);
}

static void test_a_long_list_with_a_limit_starves_nobody(void **state)
{
    (void)state;
    starves_nobody(4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_that_are_refused_change_nothing),
        cmocka_unit_test(test_an_agent_alone),
        cmocka_unit_test(test_credit_bounds_what_is_given_out),
        cmocka_unit_test(test_the_instance_with_most_credit_then_least_recently_used),
        cmocka_unit_test(test_equal_credit_goes_to_the_least_recently_used),
        cmocka_unit_test(test_a_retry_at_once_goes_before_new_work),
        cmocka_unit_test(test_agents_have_their_own_instances),
        cmocka_unit_test(test_higher_priority_and_lost_work_go_first),
        cmocka_unit_test(test_parallel_bounds_one_execution_and_blocks_no_other),
        cmocka_unit_test(test_a_free_slot_goes_to_who_can_use_it),
        cmocka_unit_test(test_a_lane_goes_on_when_its_queued_task_is_stopped),
        cmocka_unit_test(test_a_large_family_starves_nobody),
        cmocka_unit_test(test_a_long_list_starves_nobody),
        cmocka_unit_test(test_a_long_list_with_a_limit_starves_nobody),
        cmocka_unit_test(test_parallel_under_a_wide_fan),
        cmocka_unit_test(test_what_a_dispatch_says),
        cmocka_unit_test(test_large_messages_go_out_call_by_call),
        cmocka_unit_test(test_time_never_goes_back_in_a_journal),
        cmocka_unit_test(test_decisions_gather_over_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
