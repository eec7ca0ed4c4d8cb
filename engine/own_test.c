#include "engine/fixture.h"

/* Nodes without an agent, and `set`: what is journaled, who sees it, and what a crash leaves. */

static void a_set_node_writes_the_context_that_later_nodes_see(void **state)
{
    struct fixture *f = *state;
    value_t *set = parse_json("{\"topic\": \"{{input.topic}}\", \"count\": \"{{1 + 1}}\"}");
    WORKFLOW(f, "w", NODE("note", NULL, .kind = DAG_SET, .set = set),
             NODE("a", "{{context.topic}} {{context.count}}", .agent = "echo", AFTER("note")));
    value_destroy(&set);
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"topic\": \"bees\"}");
    assert_string_equal(task_status_of(f, id, "note"), "succeeded");
    echo_all(f);
    assert_string_equal(output_of(f, id), "{\"a\":\"bees 2\"}");
    restart(f);
}

static void a_task_sets_with_its_own_output(void **state)
{
    struct fixture *f = *state;
    value_t *set = parse_json("{\"found\": \"{{a}}\"}");
    WORKFLOW(f, "w", NODE("a", "bees", .agent = "echo", .set = set),
             NODE("b", "{{context.found}}", .agent = "echo", AFTER("a")));
    value_destroy(&set);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    result(f, dispatch_of(f, "a"), "\"wasps\"");
    assert_int_equal(count_events(f, EVENT_STEP), 1);
    assert_false(datum_absent(&event_of(f, EVENT_STEP)->step.patch));
    echo_all(f);
    assert_string_equal(output_of(f, id), "{\"b\":\"wasps\"}");
}

/* Rule 14. */
static void what_is_set_later_is_not_seen_by_who_was_ready_before(void **state)
{
    struct fixture *f = *state;
    value_t *set = parse_json("{\"x\": 1}");
    WORKFLOW(f, "w", NODE("a", "1", .agent = "echo", .set = set),
             NODE("b", "{{has(context.x)}}", .agent = "late"));
    value_destroy(&set);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    result(f, dispatch_of(f, "a"), "1");
    restart(f);
    tick(f, f->now + 10 * SECOND);
    up(f, 2, "late");
    const struct effect_dispatch *b = dispatch_of(f, "b");
    assert_non_null(b);
    assert_string_equal(json_of(f, &b->message), "false");
    (void)id;
}

static void a_set_that_fails_fails_its_node(void **state)
{
    struct fixture *f = *state;
    value_t *set = parse_json("{\"x\": \"{{a.nothing}}\"}");
    WORKFLOW(f, "w", NODE("a", "1", .agent = "echo", .set = set));
    value_destroy(&set);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    result(f, dispatch_of(f, "a"), "{\"some\": 1}");
    assert_string_equal(status_of(f, id), "failed");
    struct task_view a = task(f, id, "a");
    assert_string_equal(a.failure.code, "expression");
    assert_non_null(strstr(a.failure.message, "nothing"));
}

static void a_crash_before_the_result_takes_the_patch_with_it(void **state)
{
    struct fixture *f = *state;
    value_t *set = parse_json("{\"n\": \"{{a}}\"}");
    WORKFLOW(f, "w", NODE("a", "1", .agent = "echo", .set = set));
    value_destroy(&set);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    result(f, dispatch_of(f, "a"), "7");
    crash(f, 1);
    value_t *context = engine_context(f->engine, id);
    assert_int_equal(value_size(context), 0);
    value_destroy(&context);
}

static void each_item_sets(void **state)
{
    struct fixture *f = *state;
    value_t *set = parse_json("{\"last\": \"{{item}}\"}");
    WORKFLOW(f, "w", NODE("m", NULL, .kind = DAG_SET, .items = "[1, 2, 3]", .set = set));
    value_destroy(&set);
    struct uuid id = start(f, "w");
    assert_string_equal(status_of(f, id), "succeeded");
    assert_string_equal(output_of(f, id), "{\"m\":[{\"last\":1},{\"last\":2},{\"last\":3}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_set_node_writes_the_context_that_later_nodes_see),
        FIXTURE_TEST(a_task_sets_with_its_own_output),
        FIXTURE_TEST(what_is_set_later_is_not_seen_by_who_was_ready_before),
        FIXTURE_TEST(a_set_that_fails_fails_its_node),
        FIXTURE_TEST(a_crash_before_the_result_takes_the_patch_with_it),
        FIXTURE_TEST(each_item_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
