/* Agents and the rules of their scripts, over several files. */
#include "definitions/definitions.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct checked {
    struct definitions definitions;
    struct diagnostics diagnostics;
};

static void parse(struct checked *self, const char *file, const char *text)
{
    definitions_parse(text, strlen(text), file, &self->definitions, &self->diagnostics);
}

static void parse_rules(struct checked *self, const char *file, const char *text)
{
    definitions_parse_rules(text, strlen(text), file, &self->definitions, &self->diagnostics);
}

static void join(struct checked *self)
{
    definitions_join_rules(&self->definitions, &self->diagnostics);
}

static void release(struct checked *self)
{
    definitions_release(&self->definitions);
    diagnostics_release(&self->diagnostics);
}

static void assert_json(const value_t *value, const char *expected)
{
    struct buf text = {0};
    assert_non_null(value);
    value_to_json(value, VALUE_JSON_COMPACT, &text);
    assert_string_equal(buf_string(&text), expected);
    buf_release(&text);
}

static void assert_lines(const struct checked *self, const char *expected)
{
    struct buf lines = {0};
    diagnostics_format(&self->diagnostics, &lines);
    assert_string_equal(buf_string(&lines), expected);
    buf_release(&lines);
}

/* --- paths -------------------------------------------------------------------------------------
 */

static void assert_path(const char *file, const char *model, const char *expected)
{
    struct checked checked = {0};
    char *text = xasprintf("{\"agent\": \"a\", \"model\": \"script/%s\"}", model);
    parse(&checked, file, text);
    assert_int_equal(checked.definitions.count, 1);
    char *path = definition_rules_path(&checked.definitions.items[0]);
    assert_string_equal(path, expected);
    value_t *missing = definitions_missing_rules(&checked.definitions);
    assert_int_equal(value_size(missing), 1);
    assert_string_equal(value_as_string(value_at(missing, 0)), expected);
    value_destroy(&missing);
    free(path);
    free(text);
    release(&checked);
}

static void test_paths(void **state)
{
    (void)state;
    assert_path("a.yaml", "r.yaml", "r.yaml");
    assert_path("./a.yaml", "r.yaml", "r.yaml");
    assert_path("dir/a.yaml", "r.yaml", "dir/r.yaml");
    assert_path("dir//sub/./a.yaml", "./r//s.yaml", "dir/sub/r/s.yaml");
    assert_path("dir/sub/a.yaml", "../r.yaml", "dir/r.yaml");
    assert_path("dir/a.yaml", "../../r.yaml", "../r.yaml");
    assert_path("../dir/a.yaml", "../../r.yaml", "../../r.yaml");
    assert_path("/dir/a.yaml", "../../r.yaml", "/r.yaml");
    assert_path("/dir/a.yaml", "r.yaml", "/dir/r.yaml");
    assert_path("dir/a.yaml", "/etc/../r.yaml", "/r.yaml");
    assert_path("dir/a.yaml", "...", "dir/...");
}

static void test_agents_without_rules_have_no_path(void **state)
{
    (void)state;
    struct checked checked = {0};
    parse(&checked, "f", "agent: a\nbuiltin: echo\n---\nworkflow: w\nnodes: {n: {agent: a}}\n");
    assert_int_equal(checked.definitions.count, 2);
    assert_null(definition_rules_path(&checked.definitions.items[0]));
    assert_null(definition_rules_path(&checked.definitions.items[1]));
    value_t *missing = definitions_missing_rules(&checked.definitions);
    assert_int_equal(value_size(missing), 0);
    value_destroy(&missing);
    release(&checked);
}

/* --- joining -----------------------------------------------------------------------------------
 */

static void test_rules_are_joined_from_any_side(void **state)
{
    (void)state;
    struct checked checked = {0};
    struct agent_def *agent = NULL;
    parse(&checked, "rules/./first.yaml", "rules: [{say: hi}]");
    parse(&checked, "agents/a.yaml",
          "agent: a\nmodel: script/../rules/first.yaml\n---\n"
          "agent: b\nmodel: script/b/own.yaml\n---\nagent: c\nmodel: script/../rules/first.yaml\n");
    value_t *missing = definitions_missing_rules(&checked.definitions);
    assert_json(missing, "[\"agents/b/own.yaml\"]");
    value_destroy(&missing);
    parse_rules(&checked, "agents/b/own.yaml", "rules: [{say: ho}]");
    join(&checked);
    assert_lines(&checked, "");
    assert_int_equal(checked.definitions.count, 3);
    const struct definition *items = checked.definitions.items;
    assert_json(value_get(items[0].canonical, "rules"), "{\"rules\":[{\"say\":\"hi\"}]}");
    assert_json(value_get(items[1].canonical, "rules"), "{\"rules\":[{\"say\":\"ho\"}]}");
    assert_json(value_get(items[2].canonical, "rules"), "{\"rules\":[{\"say\":\"hi\"}]}");
    assert_int_equal(agent_compile(items[1].canonical, &agent, NULL), 0);
    assert_json(agent->rules, "{\"rules\":[{\"say\":\"ho\"}]}");
    agent_def_destroy(&agent);
    release(&checked);
}

static void hash_with(const char *rules, uint8_t ret_hash[32])
{
    struct checked checked = {0};
    parse(&checked, "a.yaml", "agent: a\nmodel: script/r.yaml\n");
    parse(&checked, "r.yaml", rules);
    join(&checked);
    assert_lines(&checked, "");
    memcpy(ret_hash, checked.definitions.items[0].hash, 32);
    release(&checked);
}

static void test_the_hash_follows_the_rules(void **state)
{
    (void)state;
    uint8_t first[32], same[32], other[32];
    hash_with("rules: [{when: {turn: 1}, say: hi}]", first);
    hash_with("# of another look\nrules:\n- say: hi\n  when: {turn: 1..1}\n", same);
    hash_with("rules: [{when: {turn: 2}, say: hi}]", other);
    assert_memory_equal(first, same, 32);
    assert_memory_not_equal(first, other, 32);
}

static void test_canonical_form_of_rules(void **state)
{
    (void)state;
    struct checked checked = {0};
    parse(&checked, "a.yaml",
          "agent: a\nmodel: script/a.yaml\ntools: [{command: {name: wc, argv: [wc]}}]\n---\n"
          "rules:\n"
          "- name: first\n"
          "  when: {turn: 1, attempt: 2..3, message: m, results: r, called: wc, not_called: wc,\n"
          "         delegated: x, not_delegated: y, has: results, lacks: turns,\n"
          "         equals: {turn: 1, agent: a}}\n"
          "  calls:\n"
          "  - {tool: wc, with: {input: '{{message}}'}, for: results, if: turns}\n"
          "  - {delegate: x, message: {}, context: [1], hand_off: true}\n"
          "  delay: 50ms\n"
          "  stream: 1s\n"
          "  usage: {input: 1, output: 2}\n"
          "- fail: {code: busy, message: later, permanent: true}\n");
    join(&checked);
    assert_lines(&checked, "");
    assert_json(
        value_get(checked.definitions.items[0].canonical, "rules"),
        "{\"rules\":[{\"name\":\"first\",\"when\":{\"turn\":[1,1],\"attempt\":[2,3],"
        "\"message\":\"m\",\"results\":\"r\",\"called\":\"wc\",\"not_called\":\"wc\","
        "\"delegated\":\"x\",\"not_delegated\":\"y\",\"has\":\"results\",\"lacks\":\"turns\","
        "\"equals\":[[\"agent\",\"a\"],[\"turn\",1]]},"
        "\"calls\":[{\"tool\":\"wc\",\"with\":{\"input\":\"{{message}}\"},\"for\":\"results\","
        "\"if\":\"turns\"},{\"delegate\":\"x\",\"message\":{},\"context\":[1],"
        "\"hand_off\":true}],\"delay_us\":50000,\"stream_us\":1000000,"
        "\"usage\":{\"input\":1,\"output\":2}},"
        "{\"fail\":{\"code\":\"busy\",\"message\":\"later\",\"permanent\":true}}]}");
    release(&checked);
}

static void test_canonical_form_of_a_model(void **state)
{
    (void)state;
    struct checked checked = {0};
    parse(
        &checked, "a.yaml",
        "agent: a\nmodel: script/r\nmax_tokens: 5\ndelegates: [c, 'b*']\nrepeat_tools: [wc]\n"
        "tools: [{command: {name: wc, argv: [wc, -w], input: stdin, repeat: safe, timeout: 5s}}]\n"
        "output: integer\nprice: {input: 0.25, output: 2}\n"
        "limits: {turns: 1, tokens: 2, cost: 0.1, depth: 3, delegations: 4, same_delegation: 5}\n");
    assert_lines(&checked, "");
    assert_json(
        checked.definitions.items[0].canonical,
        "{\"agent\":\"a\",\"model\":\"script/r\",\"max_tokens\":5,\"delegates\":[\"b*\",\"c\"],"
        "\"repeat_tools\":[\"wc\"],\"tools\":[{\"command\":{\"name\":\"wc\","
        "\"argv\":[\"wc\",\"-w\"],\"input\":\"stdin\",\"repeat\":\"safe\","
        "\"timeout_us\":5000000}}],\"output\":{\"type\":\"integer\"},"
        "\"price\":{\"input_microusd\":250000,\"output_microusd\":2000000},"
        "\"limits\":{\"turns\":1,\"tokens\":2,\"cost_microusd\":100000,\"depth\":3,"
        "\"delegations\":4,\"same_delegation\":5}}");
    release(&checked);
}

static void test_limits_of_a_workflow(void **state)
{
    (void)state;
    struct checked checked = {0};
    dag_t *dag = NULL;
    parse(&checked, "w.yaml",
          "workflow: w\nnodes: {a: {agent: x, allow_again: true}, b: {agent: x}}\n"
          "limits: {tokens: 7, cost: 1.5, depth: 3}\n");
    assert_lines(&checked, "");
    assert_int_equal(workflow_compile(checked.definitions.items[0].canonical, &dag, NULL), 0);
    assert_int_equal(dag_tokens(dag), 7);
    assert_int_equal(dag_cost_microusd(dag), 1500000);
    assert_int_equal(dag_depth(dag), 3);
    assert_true(dag_node(dag, 0)->allow_again);
    assert_false(dag_node(dag, 1)->allow_again);
    dag_destroy(&dag);
    release(&checked);
}

/* --- what is wrong -----------------------------------------------------------------------------
 */

static void test_missing_rules_are_errors(void **state)
{
    (void)state;
    struct checked checked = {0};
    parse(&checked, "x/a.yaml", "# comment\n---\nagent: a\nmodel: script/r.yaml\n");
    parse(&checked, "x/b.yaml", "agent: b\nmodel: script/a.yaml\n");
    join(&checked);
    assert_lines(&checked,
                 "x/a.yaml:4:8: error: model: there is no file x/r.yaml with the rules of this "
                 "model; write that file, or give its path relative to this one\n"
                 "x/b.yaml:2:8: error: model: the file x/a.yaml holds no rules; begin it with "
                 "\"rules:\"\n");
    release(&checked);
}

static void test_unreadable_rules_are_errors_with_the_reason(void **state)
{
    (void)state;
    struct checked checked = {0};
    parse(&checked, "x/a.yaml", "agent: a\nmodel: script/fifo\n");
    definitions_unread_rules(&checked.definitions, "x/fifo", "it is no regular file");
    value_t *missing = definitions_missing_rules(&checked.definitions);
    assert_int_equal(value_size(missing), 0);
    value_destroy(&missing);
    join(&checked);
    assert_lines(&checked, "x/a.yaml:2:8: error: model: the file x/fifo can't be read: it is no "
                           "regular file; name a file that can be read\n");
    release(&checked);
}

/* Each agent that names rules has them in its definition: together they are bounded. */
static void test_too_many_rules_together(void **state)
{
    (void)state;
    struct checked checked = {0};
    struct buf rules = {0}, agents = {0};
    buf_puts(&rules, "rules:\n");
    for (int i = 0; i < 9; i++)
        buf_printf(&rules, "- say: \"%0*d\"\n", 1000000, i);
    buf_puts(&agents, "# two\n---\nagent: a\nmodel: script/r.yaml\n---\nagent: b\n"
                      "model: script/r.yaml\n---\nagent: c\nmodel: script/r.yaml\n");
    parse(&checked, "a.yaml", buf_string(&agents));
    parse(&checked, "r.yaml", buf_string(&rules));
    join(&checked);
    assert_lines(&checked,
                 "a.yaml:7:8: error: model: with the rules of this model, the agents of this set "
                 "have more than 16 MiB of rules together: each has a copy of its own; let smaller "
                 "files hold the rules, or apply the agents in several sets\n");
    assert_non_null(value_get(checked.definitions.items[0].canonical, "rules"));
    assert_null(value_get(checked.definitions.items[1].canonical, "rules"));
    assert_null(value_get(checked.definitions.items[2].canonical, "rules"));
    buf_release(&rules);
    buf_release(&agents);
    release(&checked);
}

/* Rules that are wrong are not said to be missing, too. */
static void test_wrong_rules_are_reported_once(void **state)
{
    (void)state;
    struct checked checked = {0};
    parse(&checked, "a.yaml", "agent: a\nmodel: script/r.yaml\n");
    parse(&checked, "r.yaml", "rules: 5\n");
    join(&checked);
    assert_lines(&checked, "r.yaml:1:8: error: rules: needs a list of rules, but is an integer; "
                           "write - say: TEXT for each\n");
    release(&checked);
}

static void test_a_file_of_rules_holds_nothing_else(void **state)
{
    (void)state;
    struct checked checked = {0};
    parse_rules(&checked, "r.yaml", "rules: [{say: 1}]\n---\nagent: b\nbuiltin: echo\n");
    assert_int_equal(checked.definitions.count, 0);
    assert_lines(&checked, "r.yaml:3:1: error: a model names this file for its rules, and this is "
                           "something else; keep nothing but \"rules:\" in it\n");
    release(&checked);
}

static void test_a_file_that_must_hold_rules_is_told_how(void **state)
{
    (void)state;
    struct checked checked = {0};
    parse_rules(&checked, "empty.yaml", "# nothing\n");
    parse_rules(&checked, "list.yaml", "- say: hi\n");
    assert_lines(&checked, "empty.yaml:1:1: error: the file holds no rules; begin with "
                           "\"rules:\"\n"
                           "list.yaml:1:1: error: needs an object, but is a list; begin with "
                           "\"rules:\"\n");
    release(&checked);
}

static bool only_critic(void *context, enum definition_kind kind, const char *name)
{
    (void)context;
    return kind == DEFINITION_AGENT && strcmp(name, "critic") == 0;
}

static void test_unknown_delegates_are_warnings(void **state)
{
    (void)state;
    struct checked checked = {0};
    parse(&checked, "a.yaml", "agent: lead\nexternal: true\ndelegates: [critic, led, far, 'x*']\n");
    definitions_cross_check(&checked.definitions, only_critic, NULL, &checked.diagnostics);
    assert_int_equal(checked.diagnostics.errors, 0);
    assert_lines(&checked, "a.yaml:3:21: warning: delegates[1]: there is no agent \"led\" yet; did "
                           "you mean \"lead\"?\n"
                           "a.yaml:3:26: warning: delegates[2]: there is no agent \"far\" yet; "
                           "apply the agent, too\n");
    release(&checked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_agents_without_rules_have_no_path),
        cmocka_unit_test(test_rules_are_joined_from_any_side),
        cmocka_unit_test(test_the_hash_follows_the_rules),
        cmocka_unit_test(test_canonical_form_of_rules),
        cmocka_unit_test(test_canonical_form_of_a_model),
        cmocka_unit_test(test_limits_of_a_workflow),
        cmocka_unit_test(test_missing_rules_are_errors),
        cmocka_unit_test(test_unreadable_rules_are_errors_with_the_reason),
        cmocka_unit_test(test_too_many_rules_together),
        cmocka_unit_test(test_wrong_rules_are_reported_once),
        cmocka_unit_test(test_a_file_of_rules_holds_nothing_else),
        cmocka_unit_test(test_a_file_that_must_hold_rules_is_told_how),
        cmocka_unit_test(test_unknown_delegates_are_warnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
