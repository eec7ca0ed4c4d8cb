/* Definitions made to be too much: each is refused with its place and a remedy, and soon. The bound
 * of time is for any machine and any sanitizer; what it took is printed. */
#include "base/limits.h"
#include "definitions/definitions.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SECONDS_MOST 20

/* The first problem of the text, as the line that people get. */
static void expect(const char *name, struct buf *text, const char *line)
{
    struct definitions definitions = {0};
    struct diagnostics diagnostics = {0};
    clock_t begin = clock();
    definitions_parse(buf_string(text), text->size, "test.yaml", &definitions, &diagnostics);
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    printf("%s: %zu bytes refused in %.3f s\n", name, text->size, seconds);
    assert_true(diagnostics.count > 0);
    struct buf found = {0};
    diagnostics_format(&diagnostics, &found);
    char *end = strchr(buf_string(&found), '\n');
    const char *begun = strstr(buf_string(&found), line);
    if (!begun || (end && begun > end))
        fail_msg("%s: %.*s", name, 400, buf_string(&found));
    buf_release(&found);
    assert_true(seconds < SECONDS_MOST);
    definitions_release(&definitions);
    diagnostics_release(&diagnostics);
    buf_release(text);
}

static void test_more_than_10_mb(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_puts(&text, "workflow: w\nabout: \"");
    while (text.size <= LIMIT_DEFINITION_BYTES)
        buf_puts(&text, "words and words and words and words ");
    buf_puts(&text, "\"\nnodes: {a: {agent: e}}\n");
    expect("more than 10 MB", &text, "test.yaml:1:1: error: ");
}

static void test_10_mb_of_problems(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_puts(&text, "workflow: w\nnodes:\n");
    for (int i = 0; i < LIMIT_NODES && text.size < LIMIT_DEFINITION_BYTES - 200; i++)
        buf_printf(&text,
                   "  n%d: {agent: echo, sya: \"{{inptu.t%d}} and some more\", if: \"n%d > (((1\", "
                   "after: [m%d]}\n",
                   i, i, i, i);
    expect("10 MB of problems", &text, "test.yaml:3:");
}

static void test_too_many_nodes(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_puts(&text, "workflow: w\nnodes:\n");
    for (int i = 0; i <= LIMIT_NODES; i++)
        buf_printf(&text, "  n%d: {agent: e}\n", i);
    expect("too many nodes", &text,
           "test.yaml:3:3: error: nodes: a workflow has from 1 to 100000 nodes, not 100001");
}

static void test_1000_levels(void **state)
{
    (void)state;
    struct buf flow = {0}, block = {0};
    buf_puts(&flow, "workflow: w\nnodes:\n  a:\n    agent: e\n    with: {x: ");
    buf_puts(&block, "workflow: w\nnodes:\n  a:\n    agent: e\n    with:\n");
    for (int i = 0; i < 1000; i++) {
        buf_putc(&flow, '[');
        buf_printf(&block, "%*sk:\n", 6 + i, "");
    }
    for (int i = 0; i < 1000; i++)
        buf_putc(&flow, ']');
    buf_puts(&flow, "}\n");
    buf_printf(&block, "%*s1\n", 1010, "");
    expect("1,000 levels of lists", &flow,
           "test.yaml:5:75: error: nested deeper than 64 levels; flatten it");
    expect("1,000 levels of objects", &block,
           "test.yaml:67:68: error: nested deeper than 64 levels; flatten it");
}

static void test_cycle_of_10000(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_puts(&text, "workflow: w\nnodes:\n");
    for (int i = 0; i < 10000; i++)
        buf_printf(&text, "  n%d: {agent: e, after: [n%d]}\n", i, (i + 1) % 10000);
    expect("a cycle of 10,000 nodes", &text,
           "error: nodes.n9999.after[0]: the nodes wait for each other: n0 -> n9999 -> ");
}

/* Brackets, signs, calls within each other, conditions in a row. */
static void test_expressions(void **state)
{
    (void)state;
    static const struct {
        const char *name, *open, *middle, *close;
        int count;
    } EXPRESSIONS[] = {
        {"brackets", "(", "1", ")", 1000},
        {"signs", "!", "true", "", 20000},
        {"lists", "[", "1", "]", 1000},
        {"calls", "size(", "[]", ")", 1000},
        {"macros", "[1].map(x, ", "1", ")", 1000},
        {"conditions", "true ? ", "1", " : 2", 1000},
    };
    for (size_t i = 0; i < sizeof EXPRESSIONS / sizeof *EXPRESSIONS; i++) {
        struct buf text = {0};
        buf_puts(&text, "workflow: w\nnodes:\n  a: {agent: e}\n  b:\n    agent: e\n    if: \"");
        for (int level = 0; level < EXPRESSIONS[i].count; level++)
            buf_puts(&text, EXPRESSIONS[i].open);
        buf_puts(&text, EXPRESSIONS[i].middle);
        for (int level = 0; level < EXPRESSIONS[i].count; level++)
            buf_puts(&text, EXPRESSIONS[i].close);
        buf_puts(&text, " == 1\"\n");
        expect(EXPRESSIONS[i].name, &text,
               "error: nodes.b.if: the expression is nested deeper than 128 levels; compute a part "
               "of it in a node of its own");
    }
}

static void test_long_expression(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_puts(&text, "workflow: w\nnodes:\n  a:\n    agent: e\n    if: \"1");
    while (text.size <= LIMIT_EXPRESSION_BYTES + 100)
        buf_puts(&text, " + 1");
    buf_puts(&text, " > 1\"\n");
    expect("a long expression", &text, "test.yaml:5:9: error: nodes.a.if: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more_than_10_mb), cmocka_unit_test(test_10_mb_of_problems),
        cmocka_unit_test(test_too_many_nodes),  cmocka_unit_test(test_1000_levels),
        cmocka_unit_test(test_cycle_of_10000),  cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_long_expression),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
