#include "base/test.h"

#include "definitions/definitions.h"
#include "tools/graph.h"
#include <stdlib.h>
#include <string.h>

/* Graphs of workflows: layers, order, and the three ways to print them. */

static value_t *parse(const char *json)
{
    value_t *value = NULL;
    struct buf text = {0};
    for (; *json; json++)
        buf_putc(&text, *json == '\'' ? '"' : *json);
    assert_int_equal(value_from_json(buf_string(&text), text.size, &value, NULL), 0);
    buf_release(&text);
    return value;
}

static struct graph *graph_of(const char *definition, const char *execution)
{
    struct graph *graph = NULL;
    struct err err;
    value_t *workflow = parse(definition), *document = execution ? parse(execution) : NULL;
    if (graph_new(workflow, document, &graph, &err))
        fail_msg("%s (%s)", err.what, err.where);
    value_destroy(&workflow);
    value_destroy(&document);
    return graph;
}

static char *printed(const struct graph *graph, const char *format)
{
    char *text = NULL;
    size_t size = 0;
    struct err err;
    FILE *stream = open_memstream(&text, &size);
    if (strcmp(format, "svg") == 0)
        assert_int_equal(graph_print_svg(graph, stream, &err), 0);
    else if (strcmp(format, "dot") == 0)
        graph_print_dot(graph, stream);
    else
        graph_print_text(graph, stream);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static void assert_has(const struct graph *graph, const char *format, const char *part)
{
    char *text = printed(graph, format);
    if (!strstr(text, part))
        fail_msg("no %s in:\n%s", part, text);
    free(text);
}

#define DIAMOND                                                                                    \
    "{'workflow': 'w', 'nodes': ["                                                                 \
    "{'id': 'd', 'agent': 'z', 'say': '{{b}} {{c}}', 'join': 'any'},"                              \
    "{'id': 'a', 'agent': 'x'},"                                                                   \
    "{'id': 'b', 'agent': 'y', 'after': [{'node': 'a', 'if': 'a.n < 3'}]},"                        \
    "{'id': 'c', 'agent': 'y', 'for': 'a.list', 'if': 'a.ok'},"                                    \
    "{'id': 'e', 'approve': 'Go on?', 'after': ['a', 'd']}]}"

static uint32_t layer_of(const struct graph *graph, const char *id)
{
    for (uint32_t i = 0; i < graph->count; i++)
        if (strcmp(graph->nodes[i].id, id) == 0)
            return graph->nodes[i].layer;
    fail_msg("no node %s", id);
    return 0;
}

static void test_layers_are_longest_ways(void **state)
{
    (void)state;
    struct graph *graph = graph_of(DIAMOND, NULL);
    assert_int_equal(graph->count, 5);
    assert_int_equal(graph->edges_count, 6);
    assert_int_equal(graph->layers, 4);
    assert_int_equal(layer_of(graph, "a"), 0);
    assert_int_equal(layer_of(graph, "b"), 1);
    assert_int_equal(layer_of(graph, "c"), 1);
    assert_int_equal(layer_of(graph, "d"), 2);
    assert_int_equal(layer_of(graph, "e"), 3);
    graph_destroy(&graph);
}

static void test_lines(void **state)
{
    (void)state;
    struct graph *graph = graph_of(DIAMOND, NULL);
    assert_has(graph, "text", "a        x");
    assert_has(graph, "text", "← a if a.n < 3");
    assert_has(graph, "text", "y, for each of a.list, if a.ok");
    assert_has(graph, "text", "z, join: any");
    assert_has(graph, "text", "approve: Go on?");
    graph_destroy(&graph);
}

static void test_states(void **state)
{
    (void)state;
    struct graph *graph = graph_of(
        DIAMOND, "{'tasks': [{'path': 'a', 'status': 'succeeded', 'parent': ''},"
                 "{'path': 'b', 'status': 'skipped', 'reason': 'its if is false', 'parent': ''},"
                 "{'path': 'c', 'status': 'waiting', 'items': 3, 'items_ended': 1, 'parent': ''},"
                 "{'path': 'c[0]', 'status': 'running', 'item': 0, 'parent': 'c'},"
                 "{'path': 'c[0]/1', 'agent': 'helper', 'status': 'running', 'parent': 'c[0]'}]}");
    assert_int_equal(graph->count, 6);
    assert_has(graph, "text", "1 of 3 items");
    assert_has(graph, "text", "skipped: its if is false");
    assert_has(graph, "text", "asked by c");
    assert_has(graph, "svg", "stroke-dasharray");
    graph_destroy(&graph);
}

static void test_texts_are_escaped(void **state)
{
    (void)state;
    struct graph *graph = graph_of(DIAMOND, NULL);
    graph_layout(graph);
    assert_has(graph, "svg", "if a.n &lt; 3");
    graph_destroy(&graph);
    graph = graph_of("{'workflow': 'w', 'nodes': [{'id': 'a', 'approve': 'Say \\'<b>\\' & go?'}]}",
                     NULL);
    graph_layout(graph);
    assert_has(graph, "svg", "Say &quot;&lt;b&gt;&quot; &amp; go?");
    assert_has(graph, "dot", "approve: Say \\\"<b>\\\" & go?");
    graph_destroy(&graph);
}

/* Two crossed edges are laid out without the crossing, and an edge over a layer passes it by a
 * bend. */
static void test_layout(void **state)
{
    (void)state;
    struct graph *graph = graph_of(
        "{'workflow': 'w', 'nodes': [{'id': 'a', 'agent': 'x'}, {'id': 'b', 'agent': 'x'},"
        "{'id': 'c', 'agent': 'x', 'after': ['b']}, {'id': 'd', 'agent': 'x', 'after': ['a']},"
        "{'id': 'e', 'agent': 'x', 'after': ['a', 'c']}]}",
        NULL);
    graph_layout(graph);
    assert_int_equal(graph->count, 6);
    assert_true(graph->nodes[5].bend);
    assert_int_equal(graph->nodes[5].layer, 1);
    bool same = (graph->nodes[0].place < graph->nodes[1].place) ==
                (graph->nodes[3].place < graph->nodes[2].place);
    assert_true(same);
    char *once = printed(graph, "svg");
    char *twice = printed(graph, "svg");
    assert_string_equal(once, twice);
    free(once);
    free(twice);
    graph_destroy(&graph);
}

static void test_too_many_to_draw(void **state)
{
    (void)state;
    struct buf text = {0};
    struct err err;
    buf_puts(&text, "{'workflow': 'w', 'nodes': [{'id': 'n0', 'agent': 'x'}");
    for (int i = 1; i <= GRAPH_DRAWN_MOST; i++)
        buf_printf(&text, ",{'id': 'n%d', 'agent': 'x', 'after': ['n%d']}", i, i - 1);
    buf_puts(&text, "]}");
    struct graph *graph = graph_of(buf_string(&text), NULL);
    graph_layout(graph);
    assert_int_equal(graph_print_svg(graph, stdout, &err), ERR_TOO_LARGE);
    assert_has(graph, "text", "nodes more, in 2001 layers");
    graph_destroy(&graph);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers_are_longest_ways),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_texts_are_escaped),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_too_many_to_draw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
