/* What a definition may have at most, from base/limits.h: one more is refused, with the whole line
 * that says so, and just as much is not. Of everything else that can be wrong there are files in
 * tests/data/definitions/bad. */
#include "base/limits.h"
#include "definitions/definitions.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct bound {
    const char *head;
    const char *item; /* # in it becomes the number of the item */
    const char *tail;
    size_t most;
    const char *line;  /* with one item more */
    bool is_wrong_yet; /* for other reasons, with as many as may be */
};

static void add_item(struct buf *text, const char *item, size_t number)
{
    const char *mark = strchr(item, '#');
    if (mark)
        buf_printf(text, "%.*s%zu%s", (int)(mark - item), item, number, mark + 1);
    else
        buf_puts(text, item);
}

/* The lines that people get for a definition with so many items. */
static void check_lines(const struct bound *bound, size_t count, struct buf *ret_lines)
{
    struct definitions definitions = {0};
    struct diagnostics diagnostics = {0};
    struct buf text = {0};
    buf_puts(&text, bound->head);
    for (size_t i = 0; i < count; i++)
        add_item(&text, bound->item, i);
    buf_puts(&text, bound->tail);
    definitions_parse(buf_string(&text), text.size, "test.yaml", &definitions, &diagnostics);
    diagnostics_format(&diagnostics, ret_lines);
    for (size_t i = 0; i < diagnostics.count; i++)
        assert_string_not_equal(diagnostics.items[i].fix, "");
    definitions_release(&definitions);
    diagnostics_release(&diagnostics);
    buf_release(&text);
}

static void check_bound(const struct bound *bound)
{
    struct buf lines = {0};
    if (!bound->is_wrong_yet) {
        check_lines(bound, bound->most, &lines);
        assert_string_equal(buf_string(&lines), "");
    }
    check_lines(bound, bound->most + 1, &lines);
    const char *found = strstr(buf_string(&lines), bound->line);
    if (!found || found[strlen(bound->line)] != '\n')
        fail_msg("instead of %s: %.500s", bound->line, buf_string(&lines));
    buf_release(&lines);
}

#define CHECK_ALL(bounds)                                                                          \
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds)[0]; i++)                                \
    check_bound(&(bounds)[i])

static void test_counts_of_agents(void **state)
{
    (void)state;
    static const struct bound BOUNDS[] = {
        {"agent: a\nmodel: script/r\ndelegates:\n", "- n#\n", "", LIMIT_DELEGATES,
         "test.yaml:4:1: error: delegates: has 1025 items, more than 1024; take some out", false},
        {"agent: a\nmodel: script/r\ntools:\n", "- command: {name: t#, argv: [a]}\n", "",
         LIMIT_TOOLS, "test.yaml:4:1: error: tools: has 129 tools, more than 128; take some out",
         false},
        {"agent: a\nmodel: script/r\nrepeat_tools:\n", "- t#\n", "", LIMIT_TOOLS,
         "test.yaml:4:1: error: repeat_tools: has 129 items, more than 128; take some out", true},
        {"agent: a\nmodel: script/r\ntools:\n- command:\n    name: t\n    argv: [a]\n"
         "    parameters:\n",
         "      p#: text\n", "", LIMIT_INPUTS,
         "test.yaml:8:7: error: tools[0].command.parameters: has 1001 members, more than 1000; "
         "take some out",
         false},
        {"agent: a\ncommand: [a]\nenv:\n", "  A#: x\n", "", LIMIT_LABELS,
         "test.yaml:4:3: error: env: has 65 members, more than 64; take some out", false},
    };
    CHECK_ALL(BOUNDS);
}

static void test_counts_of_rules(void **state)
{
    (void)state;
    static const struct bound BOUNDS[] = {
        {"rules:\n", "- say: x\n", "", LIMIT_RULES,
         "test.yaml:2:1: error: rules: has 10001 items, more than 10000; take some out", false},
        {"rules:\n- calls:\n", "  - tool: t\n", "", LIMIT_TURN_CALLS,
         "test.yaml:3:3: error: rules[0].calls: has 1025 items, more than 1024; take some out",
         false},
        {"rules:\n- say: x\n  when:\n    equals:\n", "      results[#]: 1\n", "", LIMIT_RULE_EQUALS,
         "test.yaml:5:7: error: rules[0].when.equals: has 257 members, more than 256; take some "
         "out",
         false},
    };
    CHECK_ALL(BOUNDS);
}

#define NODES "nodes: {a: {agent: e}}\n"

static void test_counts_of_workflows(void **state)
{
    (void)state;
    static const struct bound BOUNDS[] = {
        {"workflow: w\n" NODES "labels:\n", "  l#: x\n", "", LIMIT_LABELS,
         "test.yaml:4:3: error: labels: has 65 members, more than 64; take some out", false},
        {"workflow: w\n" NODES "input:\n", "  i#: text\n", "", LIMIT_INPUTS,
         "test.yaml:4:3: error: input: has 1001 members, more than 1000; take some out", false},
        {"workflow: w\n" NODES "input:\n  i:\n    properties:\n", "      p#: text\n", "",
         LIMIT_INPUTS,
         "test.yaml:6:7: error: input.i.properties: has 1001 members, more than 1000; take some "
         "out",
         false},
        {"workflow: w\n" NODES "input:\n  i:\n    enum:\n", "    - #\n", "", LIMIT_ENUM,
         "test.yaml:6:5: error: input.i.enum: has 257 items, more than 256; take some out", false},
        {"workflow: w\nnodes:\n", "  n#: {agent: e}\n", "", LIMIT_NODES,
         "test.yaml:3:3: error: nodes: a workflow has from 1 to 100000 nodes, not 100001; split "
         "the workflow",
         true},
        {"workflow: w\nnodes:\n  a: {agent: e}\n  b: {agent: e, after: [", "a,", "]}\n",
         LIMIT_EDGES,
         "test.yaml:4:2000025: error: nodes.b.after[1000000]: the workflow has more than 1000000 "
         "references; split the workflow",
         true},
    };
    CHECK_ALL(BOUNDS);
}

static void test_lengths(void **state)
{
    (void)state;
    static const struct bound BOUNDS[] = {
        {"workflow: w\n" NODES "about: ", "x", "\n", LIMIT_TEXT_BYTES,
         "test.yaml:3:8: error: about: the text has 1048577 bytes, more than 1048576; shorten it",
         false},
        {"workflow: w\nnodes:\n  a:\n    agent: e\n    with: {list: [", "x", "]}\n",
         LIMIT_TEXT_BYTES,
         "test.yaml:5:19: error: nodes.a.with.list[0]: the text has 1048577 bytes, more than "
         "1048576; shorten it",
         false},
        {"workflow: w\nnodes:\n  a:\n    agent: e\n    say: '{{1}}", "x", "'\n",
         LIMIT_EXPRESSION_BYTES - 5,
         "test.yaml:5:10: error: nodes.a.say: a text with expressions has 65537 bytes, more than "
         "65536; move its long parts into values that it names",
         false},
        {"workflow: w\nnodes:\n  a:\n    agent: e\n    if: '1==1", " ", "'\n",
         LIMIT_EXPRESSION_BYTES - 4,
         "test.yaml:5:9: error: nodes.a.if: a text with expressions has 65537 bytes, more than "
         "65536; move its long parts into values that it names",
         false},
        {"agent: a\nmodel: script/", "r", "\n", LIMIT_RULES_PATH_BYTES - 7,
         "test.yaml:2:8: error: model: \"script/rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
         "rrrrrr...\" names no model; write script/FILE, where FILE is the path of a file with "
         "rules",
         false},
    };
    CHECK_ALL(BOUNDS);
}

static void test_sizes_of_files(void **state)
{
    (void)state;
    static const struct bound BOUNDS[] = {
        {"workflow: w\n" NODES "schedule: {cron: '@daily', input: {list: [", "1,", "]}}\n",
         LIMIT_DEFINITION_VALUES - 17,
         "test.yaml:3:4000009: error: the file holds more than 2000000 values; split it into "
         "several files",
         true},
        {"workflow: w\n" NODES "#", "x", "", LIMIT_DEFINITION_BYTES - 36,
         "test.yaml:1:1: error: the file has 10485761 bytes, more than 10485760; split it into "
         "several files",
         false},
        {"workflow: w\nnodes:\n", "  n#: {agent: e, x: 1}\n", "", LIMIT_DIAGNOSTICS - 1,
         "further problems are not shown: mend these 1000 first", true},
    };
    CHECK_ALL(BOUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_of_agents),    cmocka_unit_test(test_counts_of_rules),
        cmocka_unit_test(test_counts_of_workflows), cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_sizes_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
