/* `if`, `for`, `parallel` and edges with conditions: their canonical form, what the graph gets of
 * them, and branches that exclude each other. What is wrong with them: tests/data/definitions/bad,
 * the files called *-conditions.yaml. */
#include "definitions/definitions.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct checked {
    struct definitions definitions;
    struct diagnostics diagnostics;
};

static struct checked check(const char *text)
{
    struct checked checked = {0};
    definitions_parse(text, strlen(text), "test.yaml", &checked.definitions, &checked.diagnostics);
    return checked;
}

static void release(struct checked *self)
{
    definitions_release(&self->definitions);
    diagnostics_release(&self->diagnostics);
}

static struct checked check_good(const char *text)
{
    struct checked checked = check(text);
    if (checked.diagnostics.count > 0)
        fail_msg("%s: %s", text, checked.diagnostics.items[0].message);
    assert_int_equal(checked.definitions.count, 1);
    return checked;
}

/* --- the canonical form ------------------------------------------------------------------------
 */

/* Of a workflow with the nodes x and y, and z with these keys. */
static struct checked check_keys(const char *keys)
{
    char text[512];
    snprintf(text, sizeof text,
             "workflow: w\nnodes:\n  x: {agent: a}\n  y: {agent: a}\n  z: {agent: a%s}\n", keys);
    return check_good(text);
}

static bool same_hash(const char *a, const char *b)
{
    struct checked left = check_keys(a), right = check_keys(b);
    int order = memcmp(left.definitions.items[0].hash, right.definitions.items[0].hash,
                       sizeof(uint8_t[32]));
    release(&left);
    release(&right);
    return order == 0;
}

static void test_equal_meaning_has_equal_hash(void **state)
{
    (void)state;
    assert_true(same_hash(", if: true", ""));
    assert_true(same_hash(", if: x.ok", ", \"if\": \"x.ok\""));
    assert_true(same_hash(", after: [{node: x}, {node: y, if: true}]", ", after: [y, x]"));
    assert_true(
        same_hash(", after: [y, {node: x, if: x.ok}]", ", after: [{if: x.ok, node: x}, y]"));
}

static void test_other_meaning_has_another_hash(void **state)
{
    (void)state;
    assert_false(same_hash(", if: x.ok", ", after: [{node: x, if: x.ok}]"));
    assert_false(same_hash(", if: x.ok", ", if: x.no"));
    assert_false(same_hash(", after: [x]", ", after: [{node: x, if: x.ok}]"));
    assert_false(same_hash(", after: [{node: x, if: x.no}]", ", after: [{node: x, if: x.ok}]"));
    assert_false(same_hash(", for: x.list", ", for: x.list, parallel: 1"));
}

static void test_canonical_form(void **state)
{
    (void)state;
    struct checked checked = check_keys(", for: x.list, parallel: 4, if: y.ok, "
                                        "after: [y, {node: x, if: x.ok}]");
    const value_t *nodes = value_get(checked.definitions.items[0].canonical, "nodes");
    struct buf text = {0};
    value_to_json(value_at(nodes, 2), VALUE_JSON_COMPACT, &text);
    assert_string_equal(buf_string(&text),
                        "{\"id\":\"z\",\"agent\":\"a\",\"for\":\"x.list\",\"parallel\":4,"
                        "\"if\":\"y.ok\",\"after\":[{\"node\":\"x\",\"if\":\"x.ok\"},\"y\"]}");
    buf_release(&text);
    release(&checked);
}

/* --- the graph ---------------------------------------------------------------------------------
 */

/* To MessagePack and back, as through the store. */
static value_t *through_store(const value_t *canonical)
{
    struct buf bytes = {0};
    value_t *back = NULL;
    value_to_msgpack(canonical, &bytes);
    assert_int_equal(value_from_msgpack(buf_bytes(&bytes), &back, NULL), 0);
    buf_release(&bytes);
    return back;
}

static dag_t *compile(const struct checked *checked)
{
    value_t *back = through_store(checked->definitions.items[0].canonical);
    dag_t *dag = NULL;
    struct err err = {0};
    if (workflow_compile(back, &dag, &err) != 0)
        fail_msg("%s: %s", err.where, err.what);
    value_destroy(&back);
    return dag;
}

static const struct dag_node *node_of(const dag_t *dag, const char *id)
{
    return dag_node(dag, dag_find(dag, id, strlen(id)));
}

static void test_the_graph_has_conditions(void **state)
{
    (void)state;
    struct checked checked = check_keys(", if: nodes.y.status, after: [{node: x, if: x.ok}]");
    dag_t *dag = compile(&checked);
    const struct dag_node *z = node_of(dag, "z");
    assert_non_null(z->condition);
    assert_null(z->items);
    assert_int_equal(z->sources_count, 2); /* what a condition reads is waited for, too */
    assert_non_null(z->source_ifs);
    for (uint32_t i = 0; i < 2; i++) {
        bool is_x = z->sources[i] == dag_find(dag, "x", 1);
        assert_true(is_x == (z->source_ifs[i] != NULL));
    }
    assert_null(node_of(dag, "x")->condition);
    assert_null(node_of(dag, "x")->source_ifs);
    dag_destroy(&dag);
    release(&checked);
}

static void test_the_graph_has_items(void **state)
{
    (void)state;
    struct checked checked =
        check_keys(", for: x.list, parallel: 4, say: \"{{index}}: {{item.name}} of {{y}}\"");
    dag_t *dag = compile(&checked);
    const struct dag_node *z = node_of(dag, "z");
    assert_non_null(z->items);
    assert_int_equal(z->items_parallel, 4);
    assert_int_equal(z->sources_count, 2);
    dag_destroy(&dag);
    release(&checked);
    checked = check_keys(", for: x.list");
    dag = compile(&checked);
    assert_int_equal(node_of(dag, "z")->items_parallel, 0);
    dag_destroy(&dag);
    release(&checked);
}

static void assert_refused(const char *node_keys, int code, const char *where)
{
    char text[256];
    value_t *canonical = NULL;
    dag_t *dag = NULL;
    struct err err = {0};
    snprintf(text, sizeof text,
             "{\"workflow\":\"w\",\"nodes\":[{\"id\":\"x\",\"agent\":\"a\"},"
             "{\"id\":\"z\",\"agent\":\"a\",%s}]}",
             node_keys);
    assert_int_equal(value_from_json(text, strlen(text), &canonical, NULL), 0);
    assert_int_equal(workflow_compile(canonical, &dag, &err), code);
    assert_string_equal(err.where, where);
    value_destroy(&canonical);
}

/* Of a store that another version wrote. */
static void test_stored_forms_that_are_wrong(void **state)
{
    (void)state;
    assert_refused("\"if\":true", ERR_INVALID, "nodes.z.if");
    assert_refused("\"if\":\"x.\"", ERR_INVALID, "nodes.z.if");
    assert_refused("\"if\":\"item.ok\",\"for\":\"x\"", ERR_INVALID, "nodes.z.if");
    assert_refused("\"for\":[1]", ERR_INVALID, "nodes.z.for");
    assert_refused("\"for\":\"x\",\"parallel\":0", ERR_INVALID, "nodes.z.parallel");
    assert_refused("\"parallel\":2", ERR_INVALID, "nodes.z.parallel");
    assert_refused("\"after\":[1]", ERR_INVALID, "nodes.z.after");
    assert_refused("\"after\":[{\"if\":\"x\"}]", ERR_INVALID, "nodes.z.after");
    assert_refused("\"after\":[{\"node\":\"x\",\"if\":1}]", ERR_INVALID, "nodes.z.if");
    assert_refused("\"after\":[{\"node\":\"x\",\"when\":1}]", ERR_UNSUPPORTED, "nodes.z.when");
    assert_refused("\"after\":[{\"node\":\"x\",\"if\":\"x..y\"}]", ERR_INVALID, "nodes.z.after[0]");
}

/* --- branches that exclude each other ----------------------------------------------------------
 */

static void assert_warned(const char *nodes, const char *path)
{
    char text[512];
    char *found = NULL;
    snprintf(text, sizeof text, "workflow: w\nnodes:\n  t: {agent: a}\n%s", nodes);
    struct checked checked = check(text);
    for (size_t i = 0; i < checked.diagnostics.count; i++)
        if (strcmp(checked.diagnostics.items[i].kind, "join") == 0)
            found = checked.diagnostics.items[i].path;
    if (!path && found)
        fail_msg("%s: a warning at %s", text, found);
    if (path && (!found || strcmp(found, path) != 0))
        fail_msg("%s: no warning at %s", text, path);
    release(&checked);
}

static void test_a_join_of_branches_is_warned_of(void **state)
{
    (void)state;
    assert_warned("  x: {agent: a, if: t.ok}\n  y: {agent: a, if: \"!t.ok\"}\n"
                  "  z: {agent: a, after: [x, y]}\n",
                  "nodes.z");
    assert_warned("  x: {agent: a, after: [{node: t, if: t.ok}]}\n"
                  "  y: {agent: a, after: [{node: t, if: \"!(t.ok)\"}]}\n"
                  "  z: {agent: a, say: \"{{x}} {{y}}\"}\n",
                  "nodes.z");
    assert_warned("  x: {agent: a, if: t.a == t.b}\n  y: {agent: a, if: \"!(t.a == t.b)\"}\n"
                  "  z: {agent: a, join: all, after: [x, y]}\n",
                  "nodes.z");
    assert_warned("  x: {agent: a, if: t.ok}\n  z: {agent: a, if: \"!t.ok\", after: [x]}\n",
                  "nodes.z");
    assert_warned("  z: {agent: a, if: t.ok, after: [{node: t, if: \"!t.ok\"}]}\n", "nodes.z");
}

static void test_other_joins_are_not_warned_of(void **state)
{
    (void)state;
    static const char BRANCHES[] = "  x: {agent: a, if: t.ok}\n  y: {agent: a, if: \"!t.ok\"}\n";
    char text[256];
    snprintf(text, sizeof text, "%s  z: {agent: a, after: [x, y], join: any}\n", BRANCHES);
    assert_warned(text, NULL);
    snprintf(text, sizeof text, "%s  z: {agent: a, after: [x, y], join: done}\n", BRANCHES);
    assert_warned(text, NULL);
    snprintf(text, sizeof text, "%s  z: {agent: a, after: [x, t]}\n", BRANCHES);
    assert_warned(text, NULL);
    assert_warned("  x: {agent: a, if: t.a && t.b}\n  y: {agent: a, if: \"!t.a && t.b\"}\n"
                  "  z: {agent: a, after: [x, y]}\n",
                  NULL);
    assert_warned("  x: {agent: a, if: t.ok}\n  y: {agent: a, if: t.ok}\n"
                  "  z: {agent: a, after: [x, y]}\n",
                  NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_meaning_has_equal_hash),
        cmocka_unit_test(test_other_meaning_has_another_hash),
        cmocka_unit_test(test_canonical_form),
        cmocka_unit_test(test_the_graph_has_conditions),
        cmocka_unit_test(test_the_graph_has_items),
        cmocka_unit_test(test_stored_forms_that_are_wrong),
        cmocka_unit_test(test_a_join_of_branches_is_warned_of),
        cmocka_unit_test(test_other_joins_are_not_warned_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
