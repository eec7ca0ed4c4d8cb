/* `approve`, `wait`, `show` and `on_expiry`: what the graph gets of them. What is wrong with them:
 * tests/data/definitions/bad, the files called *-waits.yaml. */
#include "base/limits.h"
#include "definitions/definitions.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The graph of a workflow with the nodes x and z, z with these keys. */
static dag_t *graph_of(const char *keys)
{
    struct definitions definitions = {0};
    struct diagnostics diagnostics = {0};
    struct err err;
    char text[512];
    dag_t *dag = NULL;
    (void)snprintf(text, sizeof text, "workflow: w\nnodes:\n  x: {agent: a}\n  z: {%s}\n", keys);
    definitions_parse(text, strlen(text), "test.yaml", &definitions, &diagnostics);
    if (diagnostics.count > 0)
        fail_msg("%s: %s", text, diagnostics.items[0].message);
    if (workflow_compile(definitions.items[0].canonical, &dag, &err))
        fail_msg("%s: %s (%s)", text, err.what, err.where);
    definitions_release(&definitions);
    diagnostics_release(&diagnostics);
    return dag;
}

static void test_approve(void **state)
{
    (void)state;
    dag_t *dag = graph_of("approve: \"Publish {{x.title}}?\", show: x.text, timeout: 2d, "
                          "on_expiry: {approved: false}, on_error: continue");
    const struct dag_node *node = dag_node(dag, 1);
    assert_int_equal(node->kind, DAG_APPROVE);
    assert_null(node->agent);
    assert_non_null(node->message);
    assert_non_null(node->show);
    assert_int_equal(node->sources_count, 1);
    assert_true(node->timeout_us == 2 * 86400 * LIMIT_SECOND_US);
    assert_int_equal(value_type(value_get(node->on_expiry, "approved")), VALUE_BOOL);
    assert_int_equal(node->on_error, DAG_CONTINUE);
    dag_destroy(&dag);
}

static void test_approve_each(void **state)
{
    (void)state;
    dag_t *dag = graph_of("approve: \"{{item}}?\", for: x.list, show: item.text, parallel: 2");
    const struct dag_node *node = dag_node(dag, 1);
    assert_non_null(node->items);
    assert_non_null(node->show);
    assert_null(node->on_expiry);
    dag_destroy(&dag);
}

static void test_expiry(void **state)
{
    (void)state;
    dag_t *dag = graph_of("approve: ok?, timeout: 1h, on_expiry: fail");
    assert_null(dag_node(dag, 1)->on_expiry);
    dag_destroy(&dag);
    dag = graph_of("approve: ok?, timeout: 1h, on_expiry: null");
    assert_int_equal(value_type(dag_node(dag, 1)->on_expiry), VALUE_NULL);
    dag_destroy(&dag);
    dag = graph_of("approve: ok?, timeout: 1h, on_expiry: {}");
    assert_int_equal(value_type(dag_node(dag, 1)->on_expiry), VALUE_MAP);
    dag_destroy(&dag);
}

static void test_wait(void **state)
{
    (void)state;
    dag_t *dag = graph_of("wait: 30s, after: [x]");
    assert_int_equal(dag_node(dag, 1)->kind, DAG_WAIT);
    assert_true(dag_node(dag, 1)->wait_us == 30 * LIMIT_SECOND_US);
    dag_destroy(&dag);
    dag = graph_of("wait: {signal: go}");
    assert_int_equal(dag_node(dag, 1)->kind, DAG_SIGNAL);
    assert_string_equal(dag_node(dag, 1)->signal, "go");
    assert_true(dag_node(dag, 1)->timeout_us == 0);
    dag_destroy(&dag);
    dag = graph_of("wait: {signal: go, timeout: 1h}, on_expiry: late");
    assert_true(dag_node(dag, 1)->timeout_us == 3600 * LIMIT_SECOND_US);
    assert_string_equal(value_as_string(dag_node(dag, 1)->on_expiry), "late");
    dag_destroy(&dag);
}

static void check_stored(const char *node, const char *where)
{
    char text[256];
    value_t *canonical = NULL;
    dag_t *dag = NULL;
    struct err err;
    (void)snprintf(text, sizeof text, "{\"workflow\":\"w\",\"nodes\":[{\"id\":\"a\",%s}]}", node);
    assert_int_equal(value_from_json(text, strlen(text), &canonical, NULL), 0);
    assert_int_equal(workflow_compile(canonical, &dag, &err), ERR_INVALID);
    assert_string_equal(err.where, where);
    value_destroy(&canonical);
}

static void test_stored_forms(void **state)
{
    (void)state;
    check_stored("\"agent\":\"x\",\"approve\":\"b\"", "nodes.a.agent");
    check_stored("\"approve\":3", "nodes.a.approve");
    check_stored("\"wait\":3", "nodes.a.wait");
    check_stored("\"wait\":{}", "nodes.a.wait");
    check_stored("\"wait\":{\"time_us\":5,\"signal\":\"go\"}", "nodes.a.wait");
    check_stored("\"wait\":{\"time_us\":0}", "nodes.a.time_us");
    check_stored("\"approve\":\"b\",\"show\":\"a.\"", "nodes.a.show");
    check_stored("\"approve\":\"b\",\"on_error\":{\"fallback\":\"c\"}", "nodes.a.on_error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_approve),      cmocka_unit_test(test_approve_each),
        cmocka_unit_test(test_expiry),       cmocka_unit_test(test_wait),
        cmocka_unit_test(test_stored_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
