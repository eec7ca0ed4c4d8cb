#include "base/test.h"

#include "base/limits.h"
#include "engine/dag.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODE(name, ...)                                                                            \
    {                                                                                              \
        .id = name, .agent = "echo", .retry = {.attempts = 1, .factor = 1}, __VA_ARGS__            \
    }

static int make(const struct dag_node_spec *nodes, size_t count, const char *output,
                dag_t **ret_dag, struct err *err)
{
    const struct dag_spec spec = {
        .name = "test", .nodes = nodes, .nodes_count = count, .output = output};
    return dag_new(&spec, ret_dag, err);
}

static void expect_sources(const dag_t *dag, const char *id, const char *expected)
{
    const struct dag_node *node = dag_node(dag, dag_find(dag, id, strlen(id)));
    struct buf text = {0};
    for (uint32_t i = 0; i < node->sources_count; i++)
        buf_printf(&text, "%s%s", i ? " " : "", dag_node(dag, node->sources[i])->id);
    assert_string_equal(buf_string(&text), expected);
    buf_release(&text);
}

static void expect_targets(const dag_t *dag, const char *id, const char *expected)
{
    const struct dag_node *node = dag_node(dag, dag_find(dag, id, strlen(id)));
    struct buf text = {0};
    for (uint32_t i = 0; i < node->targets_count; i++)
        buf_printf(&text, "%s%s", i ? " " : "", dag_node(dag, node->targets[i])->id);
    assert_string_equal(buf_string(&text), expected);
    buf_release(&text);
}

static void test_references_and_order_make_edges_once(void **state)
{
    (void)state;
    value_t *say = value_string("{{a}} and {{a.x}} of {{input.y}} in {{execution.id}}");
    value_t *status = value_string("{{nodes.b.status}}");
    const char *after[] = {"a", "c"};
    const struct dag_node_spec nodes[] = {
        NODE("d", .message = status, .after = after, .after_count = 2),
        NODE("a"),
        NODE("b", .message = say, .after = after, .after_count = 1),
        NODE("c"),
    };
    dag_t *dag = NULL;
    assert_int_equal(make(nodes, 4, NULL, &dag, NULL), 0);
    expect_sources(dag, "a", "");
    expect_sources(dag, "b", "a");
    expect_sources(dag, "d", "a c b"); /* what `after` says first: its edges may have conditions */
    expect_targets(dag, "a", "d b");
    expect_targets(dag, "b", "d");
    expect_targets(dag, "d", "");
    assert_int_equal(dag_find(dag, "c", 1), 3);
    assert_int_equal(dag_find(dag, "cc", 2), UINT32_MAX);
    dag_destroy(&dag);
    assert_null(dag);
    value_destroy(&say);
    value_destroy(&status);
}

static void test_strings_are_copied(void **state)
{
    (void)state;
    char id[] = "first";
    char agent[] = "scout";
    struct dag_node_spec nodes[] = {
        NODE("x", .on_error = DAG_FALLBACK, .fallback = "other"),
        NODE("y", .on_error = DAG_FALLBACK, .fallback = "scout"),
    };
    nodes[0].id = id;
    nodes[0].agent = agent;
    dag_t *dag = NULL;
    assert_int_equal(make(nodes, 2, "first", &dag, NULL), 0);
    memset(id, 'z', sizeof id - 1);
    memset(agent, 'z', sizeof agent - 1);
    assert_string_equal(dag_node(dag, 0)->id, "first");
    assert_int_equal(dag_agents(dag), 3);
    assert_string_equal(dag_agent(dag, 0), "scout");
    assert_string_equal(dag_agent(dag, 1), "other");
    assert_string_equal(dag_agent(dag, 2), "echo");
    assert_int_equal(dag_node(dag, 1)->agent_index, 2);
    assert_int_equal(dag_node(dag, 1)->fallback_index, 0);
    assert_non_null(dag_output(dag));
    dag_t *again = dag_ref(dag);
    dag_destroy(&dag);
    assert_string_equal(dag_node(again, 0)->agent, "scout");
    dag_destroy(&again);
}

static void expect_refused(const struct dag_node_spec *nodes, size_t count, const char *output,
                           const char *where, const char *what)
{
    struct err err = {0};
    dag_t *dag = NULL;
    assert_int_equal(make(nodes, count, output, &dag, &err), ERR_INVALID);
    assert_null(dag);
    assert_string_equal(err.where, where);
    if (!strstr(err.what, what))
        fail_msg("\"%s\" lacks \"%s\"", err.what, what);
    assert_int_equal(make(nodes, count, output, &dag, NULL), ERR_INVALID);
}

static void test_mistakes_name_their_place(void **state)
{
    (void)state;
    value_t *unknown = value_string("{{foo}}");
    value_t *broken = value_string("{{foo");
    value_t *nested = value_map();
    value_set_string(nested, "text", "{{ ]");
    const char *after[] = {"a", "nobody"};
    const struct dag_node_spec unknown_name[] = {NODE("a", .message = unknown)};
    const struct dag_node_spec broken_text[] = {NODE("a", .message = broken)};
    const struct dag_node_spec broken_nested[] = {NODE("a", .message = nested)};
    const struct dag_node_spec unknown_after[] = {NODE("a"),
                                                  NODE("b", .after = after, .after_count = 2)};
    const struct dag_node_spec twice[] = {NODE("a"), NODE("a")};
    const struct dag_node_spec no_id[] = {NODE("")};
    struct dag_node_spec attempts[] = {NODE("a")};
    struct dag_node_spec factor[] = {NODE("a")};
    attempts[0].retry.attempts = 0;
    factor[0].retry.factor = 0.5;
    const struct dag_node_spec fallback[] = {NODE("a", .on_error = DAG_FALLBACK)};
    const struct dag_node_spec timeout[] = {NODE("a", .timeout_us = -1)};
    const struct dag_node_spec fine[] = {NODE("a")};
    expect_refused(unknown_name, 1, NULL, "nodes.a.message", "\"foo\"");
    expect_refused(broken_text, 1, NULL, "nodes.a.message", "");
    expect_refused(broken_nested, 1, NULL, "nodes.a.message.text", "");
    expect_refused(unknown_after, 2, NULL, "nodes.b.after[1]", "\"nobody\"");
    expect_refused(twice, 2, NULL, "nodes.a", "two nodes");
    expect_refused(no_id, 1, NULL, "nodes", "no id");
    expect_refused(attempts, 1, NULL, "nodes.a.retry.attempts", "attempts");
    expect_refused(factor, 1, NULL, "nodes.a.retry", "factor");
    expect_refused(fallback, 1, NULL, "nodes.a.on_error", "fallback");
    expect_refused(timeout, 1, NULL, "nodes.a.timeout", "timeout");
    expect_refused(fine, 1, "b", "output", "\"b\"");
    expect_refused(fine, 1, "a.", "output", "");
    expect_refused(fine, 0, NULL, "nodes", "nodes");
    value_destroy(&unknown);
    value_destroy(&broken);
    value_destroy(&nested);
}

static void test_a_cycle_is_told_with_its_path(void **state)
{
    (void)state;
    const char *a[] = {"a"}, *b[] = {"b"}, *d[] = {"d"}, *c_and_e[] = {"c", "e"};
    const struct dag_node_spec nodes[] = {
        NODE("e"),
        NODE("a"),
        NODE("b", .after = c_and_e, .after_count = 2),
        NODE("c", .after = d, .after_count = 1),
        NODE("d", .after = b, .after_count = 1),
        NODE("f", .after = d, .after_count = 1),
    };
    const struct dag_node_spec itself[] = {NODE("a", .after = a, .after_count = 1)};
    expect_refused(nodes, 6, NULL, "nodes.b", "b -> d -> c -> b");
    expect_refused(itself, 1, NULL, "nodes.a", "a -> a");
}

static void test_a_long_cycle_is_cut(void **state)
{
    (void)state;
    enum { SIZE = 1000 };
    static char names[SIZE][16];
    static const char *after[SIZE];
    static struct dag_node_spec nodes[SIZE];
    for (int i = 0; i < SIZE; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%d", i);
        after[i] = names[(i + SIZE - 1) % SIZE];
        nodes[i] = (struct dag_node_spec)NODE(names[i], .after = &after[i], .after_count = 1);
    }
    expect_refused(nodes, SIZE, NULL, "nodes.n0", "n4 -> n5 -> (994 more) -> n0");
}

static void test_cycles_in_bare_graphs(void **state)
{
    (void)state;
    const uint32_t none[][2] = {{0, 1}, {1, 2}, {0, 2}, {0, 2}};
    const uint32_t two[][2] = {{5, 4}, {4, 5}, {0, 1}, {3, 2}, {2, 3}};
    uint32_t *cycle = NULL;
    assert_int_equal(dag_cycle(0, NULL, 0, &cycle), 0);
    assert_int_equal(dag_cycle(3, none, 4, &cycle), 0);
    assert_null(cycle);
    assert_int_equal(dag_cycle(6, two, 5, &cycle), 2);
    assert_int_equal(cycle[0], 2);
    assert_int_equal(cycle[1], 3);
    free(cycle);
}

/* The largest workflow there may be, as a chain: nothing recurses, nothing is quadratic. */
static void test_the_largest_chain(void **state)
{
    (void)state;
    char(*names)[16] = xcalloc(LIMIT_NODES, sizeof *names);
    const char **after = xcalloc(LIMIT_NODES, sizeof *after);
    struct dag_node_spec *nodes = xcalloc(LIMIT_NODES + 1, sizeof *nodes);
    for (int i = 0; i < LIMIT_NODES; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%d", i);
        after[i] = i ? names[i - 1] : NULL;
        nodes[i] = (struct dag_node_spec)NODE(names[i], .after = &after[i], .after_count = i > 0);
    }
    dag_t *dag = NULL;
    assert_int_equal(make(nodes, LIMIT_NODES, NULL, &dag, NULL), 0);
    assert_int_equal(dag_nodes(dag), LIMIT_NODES);
    expect_sources(dag, "n99999", "n99998");
    dag_destroy(&dag);
    assert_int_equal(make(nodes, LIMIT_NODES + 1, NULL, &dag, NULL), ERR_INVALID);
    after[0] = names[LIMIT_NODES - 1];
    nodes[0].after_count = 1;
    assert_int_equal(make(nodes, LIMIT_NODES, NULL, &dag, NULL), ERR_INVALID);
    free(names);
    free((void *)after);
    free(nodes);
}

static void test_an_agent_alone(void **state)
{
    (void)state;
    dag_t *dag = NULL;
    assert_int_equal(dag_new_for_agent("scout", &dag, NULL), 0);
    assert_int_equal(dag_nodes(dag), 1);
    assert_string_equal(dag_node(dag, 0)->id, "ask");
    assert_string_equal(dag_node(dag, 0)->agent, "scout");
    assert_string_equal(cel_template_sole_variable(dag_node(dag, 0)->message), "input");
    assert_string_equal(cel_sole_variable(dag_output(dag)), "ask");
    dag_destroy(&dag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references_and_order_make_edges_once),
        cmocka_unit_test(test_strings_are_copied),
        cmocka_unit_test(test_mistakes_name_their_place),
        cmocka_unit_test(test_a_cycle_is_told_with_its_path),
        cmocka_unit_test(test_a_long_cycle_is_cut),
        cmocka_unit_test(test_cycles_in_bare_graphs),
        cmocka_unit_test(test_the_largest_chain),
        cmocka_unit_test(test_an_agent_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
