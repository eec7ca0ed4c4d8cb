#include "engine/fixture.h"
#include <stdio.h>
#include <stdlib.h>

/* Conditions of nodes and edges, and nodes with a task for each item of a list. */

static const char *reason_of(struct fixture *f, struct uuid id, const char *path)
{
    return task(f, id, path).reason;
}

/* --- if --------------------------------------------------------------------------------------- */

/* Rule 3. */
static void test_a_false_condition_skips(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("a", "1"), NODE("b", "{{a}}", .condition = "input.go"),
             NODE("c", "{{b}}"));
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"go\": false}");
    echo_all(f);
    const struct event_decided *decided = &event_of(f, EVENT_DECIDED)->decided;
    assert_string_equal(decided->path, "b");
    assert_int_equal(decided->what, DECIDED_IF);
    assert_false(decided->holds);
    assert_string_equal(task_status_of(f, id, "b"), "skipped");
    assert_string_equal(reason_of(f, id, "b"), "its `if` is false");
    assert_string_equal(reason_of(f, id, "c"), "after \"b\" was skipped");
    assert_string_equal(status_of(f, id), "succeeded");
    fixture_free(&f);
}

static void test_a_true_condition_runs(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("a", "1", .condition = "input.go"));
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"go\": true}");
    assert_non_null(dispatch_of(f, "a"));
    echo_all(f);
    assert_string_equal(status_of(f, id), "succeeded");
    fixture_free(&f);
}

static void expect_expression_failure(struct fixture *f, struct uuid id, const char *path,
                                      const char *part)
{
    assert_string_equal(task_status_of(f, id, path), "failed");
    assert_string_equal(task(f, id, path).failure.code, "expression");
    assert_non_null(strstr(task(f, id, path).failure.message, part));
    assert_string_equal(status_of(f, id), "failed");
}

/* Rule 8. */
static void test_a_condition_that_fails_fails_its_node(void **state)
{
    (void)state;
    const char *inputs[] = {"{}", "{\"go\": 3}"};
    const char *parts[] = {"go", "true or false"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture *f = fixture_new();
        WORKFLOW(f, "w", NODE("a", "1", .condition = "input.go"));
        up(f, 1, "echo");
        struct uuid id = start_with(f, "w", inputs[i]);
        assert_null(dispatch_of(f, "a"));
        expect_expression_failure(f, id, "a", parts[i]);
        fixture_free(&f);
    }
}

/* A list of numbers that makes `list.all(a, list.all(b, ...))` take some 1.5 million steps. */
static void put_dear_list(struct buf *out)
{
    buf_puts(out, "{\"list\": [0");
    for (int i = 1; i < 500; i++)
        buf_puts(out, ",1");
    buf_puts(out, "]}");
}

/* Conditions that take long together are told in several calls, between which others have turns. */
static void test_dear_conditions_hold_up_nobody(void **state)
{
    enum { DEAR = 18 };
    (void)state;
    struct node nodes[DEAR] = {0};
    char ids[DEAR][16];
    struct fixture *f = fixture_new();
    for (int i = 0; i < DEAR; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "n%d", i);
        nodes[i].spec.id = ids[i];
        nodes[i].spec.condition = "input.list.all(a, input.list.all(b, a + b < 0 || a + b >= 0))";
        nodes[i].say = "1";
    }
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5}, nodes, DEAR);
    WORKFLOW(f, "cheap", NODE("a", "1"));
    up(f, 1, "echo");
    struct buf text = {0};
    put_dear_list(&text);
    start_with(f, "w", buf_string(&text));
    size_t told = count_events(f, EVENT_DECIDED);
    assert_in_range(told, 1, DEAR - 1);
    assert_int_equal(engine_deadline(f->engine), 0);
    struct uuid cheap = start(f, "cheap");
    told += count_events(f, EVENT_DECIDED);
    assert_string_equal(task_status_of(f, cheap, "a"), "running");
    for (int i = 0; i < 10 && told < DEAR; i++) {
        tick(f, f->now);
        told += count_events(f, EVENT_DECIDED);
    }
    assert_int_equal(told, DEAR);
    buf_release(&text);
    fixture_free(&f);
}

static void test_a_failed_condition_may_be_tolerated(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("a", "1", .condition = "input.go", .on_error = DAG_CONTINUE),
             NODE("b", "{{a}}"));
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{}");
    assert_string_equal(json_of(f, &dispatch_of(f, "b")->message), "null");
    echo_all(f);
    assert_string_equal(status_of(f, id), "succeeded");
    fixture_free(&f);
}

/* --- edges ------------------------------------------------------------------------------------ */

#define WHEN(condition_text)                                                                       \
    .after_ifs = (const char *const[])                                                             \
    {                                                                                              \
        condition_text, NULL, NULL, NULL                                                           \
    }

/* Rule 3. */
static void test_branches_merge(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("a", "{{input}}"), NODE("yes", "1", AFTER("a"), WHEN("a.ok")),
             NODE("no", "0", AFTER("a"), WHEN("a.bad")),
             NODE("end", "x", AFTER("yes", "no"), .join = DAG_JOIN_ANY));
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"ok\": true, \"bad\": false}");
    result(f, dispatch_of(f, "a"), "{\"ok\": true, \"bad\": false}");
    assert_null(dispatch_of(f, "no"));
    assert_string_equal(reason_of(f, id, "no"), "the `if` of its edge from \"a\" is false");
    result(f, dispatch_of(f, "yes"), "1");
    assert_non_null(dispatch_of(f, "end"));
    echo_all(f);
    assert_string_equal(status_of(f, id), "succeeded");
    fixture_free(&f);
}

/* What the condition reads may end later than the edge's own source. */
static void test_an_edge_waits_for_what_it_reads(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("a", "1"), NODE("b", "{{input}}"),
             NODE("c", "2", AFTER("a"), WHEN("b.ok")));
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"ok\": true}");
    const struct effect_dispatch *a = dispatch_of(f, "a"), *b = dispatch_of(f, "b");
    result(f, a, "1");
    assert_int_equal(count_events(f, EVENT_DECIDED), 0);
    result(f, b, "{\"ok\": true}");
    assert_int_equal(count_events(f, EVENT_DECIDED), 1);
    assert_non_null(dispatch_of(f, "c"));
    echo_all(f);
    assert_string_equal(status_of(f, id), "succeeded");
    fixture_free(&f);
}

static void test_a_restart_asks_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("a", "{{input}}"),
             NODE("c", "2", AFTER("a"), WHEN("a.ok"), .condition = "a.ok"));
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"ok\": true}");
    result(f, dispatch_of(f, "a"), "{\"ok\": true}");
    size_t left = f->journal_count - count_events(f, EVENT_DECIDED);
    crash(f, left);
    assert_int_equal(f->journal_count, left + 2);
    assert_string_equal(task_status_of(f, id, "c"), "pending");
    up(f, 2, "echo");
    assert_non_null(dispatch_of(f, "c"));
    fixture_free(&f);
}

/* --- for -------------------------------------------------------------------------------------- */

static void one_map(struct fixture *f, struct dag_node_spec spec)
{
    spec.id = "m";
    spec.items = "input.list";
    const struct node nodes[] = {{.spec = spec, .say = "{{item}}"}, NODE("z", "{{m}}")};
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .output = "m"}, nodes, 2);
}

static void test_items_are_tasks_and_their_answers_a_list(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one_map(f, (struct dag_node_spec){0});
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"list\": [\"x\", {\"y\": 1}, 3]}");
    const struct effect_dispatch *first = dispatch_of(f, "m[0]"), *second = dispatch_of(f, "m[1]"),
                                 *third = dispatch_of(f, "m[2]");
    assert_string_equal(json_of(f, &first->message), "\"x\"");
    assert_string_equal(json_of(f, &second->message), "{\"y\":1}");
    assert_string_equal(task_status_of(f, id, "m"), "waiting");
    assert_int_equal(task(f, id, "m").items, 3);
    assert_string_equal(task(f, id, "m[1]").parent, "m");
    assert_int_equal(task(f, id, "m[1]").depth, 0);
    result(f, third, "\"C\"");
    result(f, first, "\"A\"");
    assert_null(dispatch_of(f, "z"));
    result(f, second, "\"B\"");
    assert_string_equal(json_of(f, &dispatch_of(f, "z")->message), "[\"A\",\"B\",\"C\"]");
    assert_string_equal(task_status_of(f, id, "m"), "succeeded");
    echo_all(f);
    assert_string_equal(output_of(f, id), "[\"A\",\"B\",\"C\"]");
    assert_int_equal(execution(f, id).tasks, 5);
    assert_int_equal(execution(f, id).delegations, 0);
    fixture_free(&f);
}

/* Rule 7. */
static void test_an_empty_list_succeeds(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one_map(f, (struct dag_node_spec){0});
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"list\": []}");
    assert_string_equal(json_of(f, &dispatch_of(f, "z")->message), "[]");
    echo_all(f);
    assert_string_equal(output_of(f, id), "[]");
    fixture_free(&f);
}

static void test_items_begin_in_order_so_many_at_a_time(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one_map(f, (struct dag_node_spec){.items_parallel = 2});
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"list\": [0, 1, 2, 3]}");
    const struct effect_dispatch *first = dispatch_of(f, "m[0]"), *second = dispatch_of(f, "m[1]");
    assert_null(dispatch_of(f, "m[2]"));
    result(f, second, "1");
    const struct effect_dispatch *third = dispatch_of(f, "m[2]");
    assert_non_null(third);
    assert_null(dispatch_of(f, "m[3]"));
    result(f, first, "1");
    const struct effect_dispatch *fourth = dispatch_of(f, "m[3]");
    result(f, third, "1");
    result(f, fourth, "1");
    assert_string_equal(task_status_of(f, id, "m"), "succeeded");
    fixture_free(&f);
}

/* Rule 7. */
static void test_a_failed_item_fails_its_node_and_cancels_the_others(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one_map(f, (struct dag_node_spec){0});
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"list\": [0, 1]}");
    const struct effect_dispatch *first = dispatch_of(f, "m[0]"), *second = dispatch_of(f, "m[1]");
    failure(f, first, "exit", false);
    assert_string_equal(task(f, id, "m").failure.code, "exit");
    assert_string_equal(task_status_of(f, id, "m[1]"), "cancelled");
    assert_non_null(drop_of(f, "m[1]"));
    failure(f, second, "cancelled", true);
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failed_path, "m");
    fixture_free(&f);
}

/* Rule 7. */
static void test_a_tolerated_item_is_null(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one_map(f, (struct dag_node_spec){.on_error = DAG_CONTINUE});
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"list\": [0, 1]}");
    const struct effect_dispatch *second = dispatch_of(f, "m[1]");
    failure(f, dispatch_of(f, "m[0]"), "exit", false);
    result(f, second, "\"B\"");
    echo_all(f);
    assert_string_equal(output_of(f, id), "[null,\"B\"]");
    fixture_free(&f);
}

/* Rule 7. */
static void test_each_item_has_its_own_attempts(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one_map(f, (struct dag_node_spec){.retry = {.attempts = 2, .backoff_us = SECOND, .factor = 1}});
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"list\": [0, 1]}");
    const struct effect_dispatch *second = dispatch_of(f, "m[1]");
    failure(f, dispatch_of(f, "m[0]"), "exit", false);
    result(f, second, "1");
    assert_string_equal(task_status_of(f, id, "m[0]"), "retrying");
    tick(f, f->now + 2 * SECOND);
    const struct effect_dispatch *again = dispatch_of(f, "m[0]");
    assert_int_equal(again->attempt, 2);
    assert_string_equal(json_of(f, &again->message), "0");
    result(f, again, "\"A\"");
    assert_string_equal(task_status_of(f, id, "m"), "succeeded");
    fixture_free(&f);
}

/* Rule 7. */
static void test_what_is_no_list_fails(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one_map(f, (struct dag_node_spec){0});
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"list\": 3}");
    expect_expression_failure(f, id, "m", "`for` must give a list");
    fixture_free(&f);
}

static void test_a_restart_in_the_middle(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one_map(f, (struct dag_node_spec){.items_parallel = 2});
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"list\": [0, 1, 2]}");
    result(f, dispatch_of(f, "m[0]"), "\"A\"");
    restart(f);
    up(f, 2, "echo");
    tick(f, f->now + 4 * SECOND);
    const struct effect_dispatch *second = dispatch_of(f, "m[1]"), *third = dispatch_of(f, "m[2]");
    assert_null(dispatch_of(f, "m[0]"));
    result(f, second, "\"B\"");
    result(f, third, "\"C\"");
    echo_all(f);
    assert_string_equal(output_of(f, id), "[\"A\",\"B\",\"C\"]");
    fixture_free(&f);
}

static void test_cancel_reaches_items(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one_map(f, (struct dag_node_spec){.items_parallel = 1});
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", "{\"list\": [0, 1]}");
    const struct effect_dispatch *first = dispatch_of(f, "m[0]");
    cancel(f, id);
    assert_non_null(drop_of(f, "m[0]"));
    failure(f, first, "cancelled", true);
    assert_string_equal(status_of(f, id), "cancelled");
    assert_string_equal(task_status_of(f, id, "m[1]"), "cancelled");
    fixture_free(&f);
}

static void test_items_delegate(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    model(f, (struct pinned_agent){.name = "lead", TO("a")});
    model(f, (struct pinned_agent){.name = "a"});
    WORKFLOW(f, "w", NODE("m", "{{item}}", .agent = "lead", .items = "input"));
    egress_up(f, 50, 1, NULL, 0);
    up(f, 1, "lead");
    up(f, 2, "a");
    struct uuid id = start_with(f, "w", "[1, 2]");
    const struct effect_dispatch *second = dispatch_of(f, "m[1]");
    turn(f, second, 1, 1, 30, CALLS("delegate_to_agent"));
    delegate(f, second, 1, 0, "a", "1");
    const struct effect_dispatch *child = dispatch_of(f, "m[1]/1");
    assert_non_null(child);
    assert_int_equal(child->chain_count, 1);
    turn(f, child, 1, 1, 10, NULL);
    step(f, child,
         (struct event_step){.kind = STEP_RESULT, .number = 2, .output = datum_of(f, "\"ok\"")});
    assert_string_equal(json_of(f, &dispatch_of(f, "m[1]")->history[1].output), "\"ok\"");
    assert_true(task(f, id, "m[1]").subtree.output_tokens == 40);
    assert_true(task(f, id, "m").subtree.output_tokens == 40);
    fixture_free(&f);
}

/* A few at a time, in their order. */
static void test_many_items(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one_map(f, (struct dag_node_spec){.items_parallel = 10});
    f->credit = 200000;
    up(f, 1, "echo");
    struct buf text = {0};
    buf_puts(&text, "{\"list\": [0");
    for (int i = 1; i < 2000; i++)
        buf_printf(&text, ",%d", i);
    buf_puts(&text, "]}");
    struct uuid id = start_with(f, "w", buf_string(&text));
    char path[32];
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(path, sizeof path, "m[%d]", i);
        const struct effect_dispatch *item = NULL;
        for (size_t back = f->effects_count; back-- > 0 && !item;)
            if (f->effects[back].kind == EFFECT_DISPATCH &&
                strcmp(f->effects[back].dispatch.path, path) == 0)
                item = &f->effects[back].dispatch;
        result(f, item, "1");
    }
    assert_string_equal(task_status_of(f, id, "m"), "succeeded");
    buf_release(&text);
    fixture_free(&f);
}

/* What all items read is not decoded anew for each of them, however large it is. */
static void test_items_share_what_they_read(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("m", "{{item}} of {{input.name}}", .items = "input.list"));
    up(f, 1, "echo");
    struct buf text = {0};
    buf_puts(&text, "{\"name\": \"n\", \"list\": [");
    for (int i = 0; i < 50; i++)
        buf_printf(&text, "%s%d", i ? "," : "", i);
    buf_puts(&text, "], \"rest\": \"");
    for (int i = 0; i < 2 << 20; i++)
        buf_putc(&text, 'x');
    buf_puts(&text, "\"}");
    struct uuid id = start_with(f, "w", buf_string(&text));
    size_t reads = f->blob_reads;
    assert_string_equal(json_of(f, &dispatch_of(f, "m[49]")->message), "\"49 of n\"");
    assert_true(reads <= 2); /* the list's expression, and the items */
    echo_all(f);
    assert_string_equal(status_of(f, id), "succeeded");
    assert_true(f->blob_reads <= reads);
    buf_release(&text);
    fixture_free(&f);
}

/* More lists than are kept decoded, in turns. */
static void test_many_lists(void **state)
{
    enum { LISTS = 100 };
    struct uuid ids[LISTS];
    char text[64];
    (void)state;
    struct fixture *f = fixture_new();
    one_map(f, (struct dag_node_spec){.items_parallel = 1});
    for (int i = 0; i < LISTS; i++) {
        (void)snprintf(text, sizeof text, "{\"list\": [%d, %d, [%d]]}", i, i + 1, i);
        ids[i] = start_with(f, "w", text);
    }
    f->credit = 1000;
    up(f, 1, "echo");
    echo_all(f);
    for (int i = 0; i < LISTS; i++) {
        (void)snprintf(text, sizeof text, "[%d,%d,[%d]]", i, i + 1, i);
        assert_string_equal(output_of(f, ids[i]), text);
    }
    fixture_free(&f);
}

static void test_too_many_items_are_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    one_map(f, (struct dag_node_spec){0});
    up(f, 1, "echo");
    struct buf text = {0};
    buf_puts(&text, "{\"list\": [0");
    for (int i = 0; i < LIMIT_MAP_ITEMS; i++)
        buf_puts(&text, ",1");
    buf_puts(&text, "]}");
    struct uuid id = start_with(f, "w", buf_string(&text));
    expect_expression_failure(f, id, "m", "100001 items");
    buf_release(&text);
    fixture_free(&f);
}

/* A large value is read and decoded once for a decision, however often it is referred to. */
static void test_large_values_are_read_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    static struct node nodes[102];
    static char ids[100][16];
    static const char *const after[] = {"gate"};
    struct buf say = {0}, input = {0};
    buf_puts(&input, "{\"a\": 1, \"big\": \"");
    for (int i = 0; i < 2 << 20; i++)
        buf_putc(&input, 'x');
    buf_puts(&input, "\"}");
    nodes[0] = (struct node){.spec = {.id = "src"}, .say = "{{input}}"};
    nodes[1] = (struct node){.spec = {.id = "gate"}, .say = "{{src}}"};
    for (int i = 0; i < 100; i++) {
        buf_puts(&say, "{{src.a}} ");
        (void)snprintf(ids[i], sizeof ids[i], "n%d", i);
        nodes[i + 2] = (struct node){
            .spec = {.id = ids[i], .after = after, .after_count = 1, .condition = "src.a == 1"},
            .say = "1"};
    }
    nodes[101].say = buf_string(&say);
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5}, nodes, 102);
    f->credit = 1000;
    up(f, 1, "echo");
    start_with(f, "w", buf_string(&input));
    result(f, dispatch_of(f, "src"), buf_string(&input));
    size_t before = f->blob_reads;
    result(f, dispatch_of(f, "gate"), "1");
    assert_non_null(dispatch_of(f, "n99"));
    assert_int_equal(f->blob_reads - before, 1);
    buf_release(&say);
    buf_release(&input);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_false_condition_skips),
        cmocka_unit_test(test_a_true_condition_runs),
        cmocka_unit_test(test_a_condition_that_fails_fails_its_node),
        cmocka_unit_test(test_a_failed_condition_may_be_tolerated),
        cmocka_unit_test(test_dear_conditions_hold_up_nobody),
        cmocka_unit_test(test_branches_merge),
        cmocka_unit_test(test_an_edge_waits_for_what_it_reads),
        cmocka_unit_test(test_a_restart_asks_again),
        cmocka_unit_test(test_items_are_tasks_and_their_answers_a_list),
        cmocka_unit_test(test_an_empty_list_succeeds),
        cmocka_unit_test(test_items_begin_in_order_so_many_at_a_time),
        cmocka_unit_test(test_a_failed_item_fails_its_node_and_cancels_the_others),
        cmocka_unit_test(test_a_tolerated_item_is_null),
        cmocka_unit_test(test_each_item_has_its_own_attempts),
        cmocka_unit_test(test_what_is_no_list_fails),
        cmocka_unit_test(test_a_restart_in_the_middle),
        cmocka_unit_test(test_cancel_reaches_items),
        cmocka_unit_test(test_items_delegate),
        cmocka_unit_test(test_many_items),
        cmocka_unit_test(test_items_share_what_they_read),
        cmocka_unit_test(test_many_lists),
        cmocka_unit_test(test_too_many_items_are_refused),
        cmocka_unit_test(test_large_values_are_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
