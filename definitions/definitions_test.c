#include "base/datum.h"
#include "base/limits.h"
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

static struct checked check_bytes(const char *text, size_t size)
{
    struct checked checked = {0};
    definitions_parse(text, size, "test.yaml", &checked.definitions, &checked.diagnostics);
    return checked;
}

static struct checked check(const char *text)
{
    return check_bytes(text, strlen(text));
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
    assert_true(checked.definitions.count > 0);
    return checked;
}

/* --- the canonical form ------------------------------------------------------------------------
 */

static void hash_of(const char *text, uint8_t ret_hash[32])
{
    struct checked checked = check_good(text);
    assert_int_equal(checked.definitions.count, 1);
    memcpy(ret_hash, checked.definitions.items[0].hash, 32);
    release(&checked);
}

static void assert_same_hash(const char *a, const char *b)
{
    uint8_t left[32], right[32];
    hash_of(a, left);
    hash_of(b, right);
    assert_memory_equal(left, right, 32);
}

static void assert_other_hash(const char *a, const char *b)
{
    uint8_t left[32], right[32];
    hash_of(a, left);
    hash_of(b, right);
    assert_memory_not_equal(left, right, 32);
}

static void test_equal_meaning_has_equal_hash(void **state)
{
    (void)state;
    assert_same_hash("agent: a\nbuiltin: echo\nlimits: {time: 2m}",
                     "# a comment\nlimits:\n  time: '120s'\n\"builtin\": \"echo\"\nagent: a\n");
    assert_same_hash("agent: a\nbuiltin: echo\nprocess: {instances: 2, memory: 1G}",
                     "agent: a\nbuiltin: echo\nprocess: {memory: 1024M, instances: 2..2}");
    assert_same_hash("agent: a\nbuiltin: echo\nprocess: {}\nenv: {}", "agent: a\nbuiltin: echo");
    assert_same_hash("workflow: w\nnodes: {a: {agent: x, retry: 3}}",
                     "workflow: w\nnodes: {a: {retry: {attempts: 3}, agent: x}}");
    assert_same_hash("workflow: w\ninput: {a: text, b: list}\nnodes: {a: {agent: x}}",
                     "workflow: w\ninput: {b: {type: array}, a: {type: string}}\n"
                     "nodes: {a: {agent: x}}");
    assert_same_hash(
        "workflow: w\nnodes: {a: {agent: x}, b: {agent: x}, c: {agent: x, after: [a, b]}}",
        "workflow: w\nnodes: {a: {agent: x}, b: {agent: x}, c: {agent: x, after: [b, a]}}");
    assert_same_hash("workflow: w\nnodes: {a: {agent: x, retry: {attempts: 2, factor: 2.0}}}",
                     "workflow: w\nnodes: {a: {agent: x, retry: {attempts: 2, factor: 2}}}");
    assert_same_hash("workflow: w\nnodes: {a: {agent: x, with: {k: 1, l: {m: a, n: b}}}}",
                     "workflow: w\nnodes: {a: {agent: x, with: {l: {n: b, m: a}, k: 1}}}");
}

static void test_other_meaning_has_another_hash(void **state)
{
    (void)state;
    assert_other_hash("workflow: w\nnodes: {a: {agent: x}, b: {agent: x}}",
                      "workflow: w\nnodes: {b: {agent: x}, a: {agent: x}}");
    assert_other_hash("workflow: w\nnodes: {a: {agent: x}}",
                      "workflow: w\ninput: {}\nnodes: {a: {agent: x}}");
    assert_other_hash("workflow: w\nnodes: {a: {agent: x, with: {l: [1, 2]}}}",
                      "workflow: w\nnodes: {a: {agent: x, with: {l: [2, 1]}}}");
    assert_other_hash("agent: a\ncommand: [a, b]", "agent: a\ncommand: [b, a]");
}

static void test_json_and_yaml_are_one_language(void **state)
{
    (void)state;
    assert_same_hash("workflow: w\ninput: {t: {type: number, default: 1.5}}\n"
                     "nodes:\n  a:\n    agent: x\n    with: {s: \"\xf0\x9f\x98\x80 é\", n: [1, -2, "
                     "2.5, true, null]}\n",
                     "{\"nodes\": {\"a\": {\"with\": {\"s\": \"\\ud83d\\ude00 \\u00e9\", "
                     "\"n\": [1,-2,2.5,true,null]},\n\t\"agent\"\n:\"x\"}},\n \"workflow\": \"w\", "
                     "\"input\": {\"t\": {\"default\": 1.5, \"type\": \"number\"}}}");
    assert_same_hash("\xef\xbb\xbf"
                     "agent: a\r\nbuiltin: echo\r\n",
                     "{agent: a, builtin: echo}");
}

static void test_canonical_form(void **state)
{
    (void)state;
    struct checked checked =
        check_good("workflow: w\nnodes:\n  a:\n    agent: x\n    say: hi\n    timeout: 1500ms\n"
                   "    retry: {attempts: 2, backoff: 1s, max: 1m}\n    on_error: {fallback: y}\n"
                   "limits: {time: 1d}\n");
    struct buf text = {0};
    value_to_json(checked.definitions.items[0].canonical, VALUE_JSON_COMPACT, &text);
    assert_string_equal(
        buf_string(&text),
        "{\"workflow\":\"w\",\"nodes\":[{\"id\":\"a\",\"agent\":\"x\",\"say\":\"hi\","
        "\"timeout_us\":1500000,\"retry\":{\"attempts\":2,\"backoff_us\":1000000,"
        "\"max_us\":60000000},\"on_error\":{\"fallback\":\"y\"}}],"
        "\"limits\":{\"time_us\":86400000000}}");
    buf_release(&text);
    release(&checked);
}

static void test_several_documents_keep_their_source(void **state)
{
    (void)state;
    struct checked checked = check_good("# first\nagent: a\nbuiltin: echo\n---\n# second\n\n"
                                        "agent: b # here\nbuiltin: fail\n");
    assert_int_equal(checked.definitions.count, 2);
    const struct definition *first = &checked.definitions.items[0], *second = first + 1;
    assert_string_equal(first->source, "# first\nagent: a\nbuiltin: echo\n");
    assert_string_equal(second->source, "---\n# second\n\nagent: b # here\nbuiltin: fail\n");
    assert_string_equal(second->name, "b");
    assert_string_equal(second->file, "test.yaml");
    assert_int_equal(first->line, 2);
    assert_int_equal(second->line, 7);
    assert_int_equal(second->kind, DEFINITION_AGENT);
    release(&checked);
}

/* What is right beside what is wrong is kept; what came before a syntax error is checked. */
static void test_valid_documents_beside_invalid_ones(void **state)
{
    (void)state;
    struct checked checked =
        check("agent: a\nbuiltin: echo\n---\nagent: b\nbuiltin: no\n---\nagent: c\nbuiltin: fail\n"
              "---\nagent: [\n");
    assert_int_equal(checked.definitions.count, 2);
    assert_string_equal(checked.definitions.items[0].name, "a");
    assert_string_equal(checked.definitions.items[1].name, "c");
    assert_int_equal(checked.diagnostics.errors, 2);
    release(&checked);
}

/* What was said once of a value is all that is said of it. */
static void test_a_flaw_is_reported_once(void **state)
{
    (void)state;
    struct checked checked = check("agent: a\nbuiltin: &fail\n");
    assert_int_equal(checked.diagnostics.count, 1);
    assert_string_equal(checked.diagnostics.items[0].kind, "syntax");
    release(&checked);
}

static void test_names_are_unique_over_files(void **state)
{
    (void)state;
    struct checked checked = check_good("agent: a\nbuiltin: echo\n");
    const char *more = "workflow: a\nnodes: {n: {agent: a}}\n---\nagent: a\nbuiltin: fail\n";
    definitions_parse(more, strlen(more), "more.yaml", &checked.definitions, &checked.diagnostics);
    assert_int_equal(checked.definitions.count, 2);
    assert_int_equal(checked.diagnostics.errors, 1);
    const struct diagnostic *item = &checked.diagnostics.items[0];
    assert_string_equal(item->kind, "duplicate_name");
    assert_string_equal(item->file, "more.yaml");
    assert_int_equal(item->line, 4);
    assert_non_null(strstr(item->message, "test.yaml:1"));
    release(&checked);
}

/* --- diagnostics -------------------------------------------------------------------------------
 */

static void test_diagnostics_as_a_document(void **state)
{
    (void)state;
    struct checked checked = check("agent: a\nbuiltin: echo\nabuot: x\n");
    value_t *list = diagnostics_document(&checked.diagnostics);
    struct buf text = {0};
    value_to_json(list, VALUE_JSON_COMPACT, &text);
    assert_string_equal(buf_string(&text),
                        "[{\"severity\":\"error\",\"file\":\"test.yaml\",\"line\":3,\"column\":1,"
                        "\"path\":\"abuot\",\"kind\":\"unknown_key\",\"message\":\"an agent has no "
                        "key \\\"abuot\\\"\",\"fix\":\"did you mean \\\"about\\\"?\"}]");
    buf_release(&text);
    value_destroy(&list);
    release(&checked);
}

/* Names out of a file must not break a line in two or reach a terminal as an escape sequence. */
static void test_diagnostics_are_printable(void **state)
{
    (void)state;
    struct checked checked = check("agent: a\nbuiltin: \"x\\e[31m\\ny\"\n\"k\\n\\x07\": 1\n");
    struct buf text = {0};
    diagnostics_format(&checked.diagnostics, &text);
    size_t lines = 0;
    for (size_t i = 0; i < text.size; i++) {
        lines += text.data[i] == '\n';
        assert_true(text.data[i] >= 0x20 || text.data[i] == '\n');
    }
    assert_int_equal(lines, 2);
    buf_release(&text);
    release(&checked);
}

static void test_diagnostics_are_bounded(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_puts(&text, "agent: a\nbuiltin: echo\n");
    for (int i = 0; i < 5000; i++)
        buf_printf(&text, "k%d: 1\n", i);
    struct checked checked = check_bytes(buf_string(&text), text.size);
    assert_int_equal(checked.diagnostics.count, LIMIT_DIAGNOSTICS);
    assert_true(checked.diagnostics.errors >= LIMIT_DIAGNOSTICS);
    assert_int_equal(checked.definitions.count, 0);
    buf_clear(&text);
    diagnostics_format(&checked.diagnostics, &text);
    assert_non_null(strstr(buf_string(&text), "further problems are not shown"));
    buf_release(&text);
    release(&checked);
}

/* --- large and hostile files --------------------------------------------------------------------
 */

static void assert_only(const struct checked *checked, const char *kind)
{
    assert_int_equal(checked->diagnostics.count, 1);
    assert_string_equal(checked->diagnostics.items[0].kind, kind);
    assert_int_equal(checked->definitions.count, 0);
}

static void test_too_large(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_puts(&text, "agent: a\nbuiltin: echo\nabout: ");
    while (text.size <= LIMIT_DEFINITION_BYTES)
        buf_puts(&text, "abcdefghijklmnop");
    struct checked checked = check_bytes(buf_string(&text), text.size);
    assert_only(&checked, "too_large");
    release(&checked);
    checked = check_bytes(buf_string(&text), LIMIT_DEFINITION_BYTES);
    assert_only(&checked, "bad_value"); /* read, but the text is too long */
    release(&checked);
    buf_release(&text);
}

static void check_nested(const char *open, const char *inner, const char *close, int levels,
                         const char *kind)
{
    struct buf text = {0};
    for (int i = 0; i < levels; i++)
        buf_puts(&text, open);
    buf_puts(&text, inner);
    for (int i = 0; i < levels; i++)
        buf_puts(&text, close);
    struct checked checked = check_bytes(buf_string(&text), text.size);
    assert_only(&checked, kind);
    release(&checked);
    buf_release(&text);
}

static void test_too_deep(void **state)
{
    (void)state;
    check_nested("[", "", "]", 1000, "too_deep");
    check_nested("{\"a\": ", "1", "}", 1000, "too_deep");
    check_nested("- ", "a", "", 1000, "too_deep");
    check_nested("? ", "a", "", 100000, "too_deep");
    check_nested("[", "", "]", LIMIT_DEFINITION_DEPTH + 1, "too_deep");
    check_nested("[", "", "]", LIMIT_DEFINITION_DEPTH, "wrong_type");
    check_nested("{\"a\": ", "1", "}", LIMIT_DEFINITION_DEPTH, "missing_key");
}

static void test_too_many_values(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_puts(&text, "[");
    for (int i = 0; i < LIMIT_DEFINITION_VALUES + 1; i++)
        buf_puts(&text, "0,");
    buf_puts(&text, "0]");
    struct checked checked = check_bytes(buf_string(&text), text.size);
    assert_only(&checked, "too_many");
    release(&checked);
    buf_release(&text);
}

static void append_nodes(struct buf *text, int count, int cycle)
{
    buf_puts(text, "workflow: w\nnodes:\n");
    for (int i = 0; i < count; i++)
        if (i > 0 || cycle > 0)
            buf_printf(text, "  n%d: {agent: x, after: [n%d]}\n", i, i > 0 ? i - 1 : cycle - 1);
        else
            buf_printf(text, "  n%d: {agent: x}\n", i);
}

static void test_too_many_nodes(void **state)
{
    (void)state;
    struct buf text = {0};
    append_nodes(&text, LIMIT_NODES + 1, 0);
    struct checked checked = check_bytes(buf_string(&text), text.size);
    assert_only(&checked, "too_many");
    release(&checked);
    buf_clear(&text);
    append_nodes(&text, LIMIT_NODES, 0);
    checked = check_bytes(buf_string(&text), text.size);
    assert_int_equal(checked.diagnostics.count, 0);
    assert_int_equal(checked.definitions.count, 1);
    release(&checked);
    buf_release(&text);
}

static void test_long_cycle(void **state)
{
    (void)state;
    struct buf text = {0};
    append_nodes(&text, 10000, 10000);
    struct checked checked = check_bytes(buf_string(&text), text.size);
    assert_only(&checked, "cycle");
    const struct diagnostic *item = &checked.diagnostics.items[0];
    assert_non_null(strstr(item->message, "n0 -> n1 -> n2"));
    assert_non_null(strstr(item->message, "-> (9988 more) -> n9999 -> n0"));
    assert_string_equal(item->path, "nodes.n1.after[0]");
    assert_int_equal(item->line, 4);
    release(&checked);
    buf_release(&text);
}

/* Suggestions for many unknown names among many nodes must not become quadratic. */
static void test_many_unknown_nodes(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_puts(&text, "{\"workflow\": \"w\", \"nodes\": {");
    for (int i = 0; i < 50000; i++)
        buf_printf(&text, "%s\"node_%d\": {\"agent\": \"x\", \"say\": \"{{nodd_%d}}\"}",
                   i ? "," : "", i, i);
    buf_puts(&text, "}}");
    struct checked checked = check_bytes(buf_string(&text), text.size);
    assert_int_equal(checked.diagnostics.count, LIMIT_DIAGNOSTICS);
    assert_string_equal(checked.diagnostics.items[0].kind, "unknown_node");
    assert_string_equal(checked.diagnostics.items[0].fix, "did you mean \"node_0\"?");
    release(&checked);
    buf_release(&text);
}

static void test_no_cut_crashes(void **state)
{
    (void)state;
    static const char TEXT[] = "{\"workflow\": \"w\", \"input\": {\"a\": \"text\"}, \"nodes\": "
                               "{\"n\": {\"agent\": \"x\", \"say\": \"\\u00e9 {{input.a[0]['b']}}"
                               "\", \"retry\": {\"attempts\": 2}}}}\n---\nagent: b\nbuiltin: >\n  "
                               "echo\n";
    for (size_t size = 0; size < sizeof TEXT; size++) {
        char *copy = xmalloc(size + 1); /* of that size, so that a sanitizer sees a read past it */
        memcpy(copy, TEXT, size);
        struct checked checked = check_bytes(copy, size);
        release(&checked);
        free(copy);
    }
}

/* --- agents that are named -----------------------------------------------------------------------
 */

static bool knows_writer(void *context, enum definition_kind kind, const char *name)
{
    (*(int *)context)++;
    return kind == DEFINITION_AGENT && strcmp(name, "writer") == 0;
}

static const char CROSS[] = "agent: scout\nbuiltin: echo\n---\n# comment\nworkflow: w\nnodes:\n"
                            "  a: {agent: scout}\n  b: {agent: writer}\n  c: {agent: writer}\n"
                            "  d: {agent: scuot}\n"
                            "  e: {agent: scout, on_error: {fallback: nobody}}\n";

static void test_cross_check_asks(void **state)
{
    (void)state;
    struct checked checked = check_good(CROSS);
    int asked = 0;
    definitions_cross_check(&checked.definitions, knows_writer, &asked, &checked.diagnostics);
    struct buf text = {0};
    diagnostics_format(&checked.diagnostics, &text);
    assert_string_equal(buf_string(&text),
                        "test.yaml:10:14: error: nodes.d.agent: there is no agent \"scuot\"; did "
                        "you mean \"scout\"?\n"
                        "test.yaml:11:42: error: nodes.e.on_error.fallback: there is no agent "
                        "\"nobody\"; apply the agent, too\n");
    assert_int_equal(asked, 3); /* each name once */
    buf_release(&text);
    release(&checked);
}

/* Of a workflow that is known elsewhere the inputs are not known here. */
static void test_cross_check_of_workflows(void **state)
{
    (void)state;
    struct checked checked =
        check_good("workflow: letter\ninput: {to: text}\nnodes: {a: {set: {x: 1}}}\n---\n"
                   "workflow: w\nnodes:\n  a: {workflow: letter, with: {to: 1, from_whom: 2}}\n"
                   "  b: {workflow: leter}\n  c: {workflow: elsewhere}\n");
    int asked = 0;
    definitions_cross_check(&checked.definitions, knows_writer, &asked, &checked.diagnostics);
    struct buf text = {0};
    diagnostics_format(&checked.diagnostics, &text);
    assert_string_equal(buf_string(&text),
                        "test.yaml:7:39: error: nodes.a.with: the workflow \"letter\" has no input "
                        "\"from_whom\"; leave it out\n"
                        "test.yaml:8:17: error: nodes.b.workflow: there is no workflow \"leter\"; "
                        "did you mean \"letter\"?\n"
                        "test.yaml:9:17: error: nodes.c.workflow: there is no workflow "
                        "\"elsewhere\"; apply the workflow, too\n");
    assert_int_equal(asked, 2);
    buf_release(&text);
    release(&checked);
}

static void test_cross_check_offline(void **state)
{
    (void)state;
    struct checked checked = check_good(CROSS);
    definitions_cross_check(&checked.definitions, NULL, NULL, &checked.diagnostics);
    assert_int_equal(checked.diagnostics.count, 1);
    assert_int_equal(checked.diagnostics.errors, 0);
    assert_string_equal(checked.diagnostics.items[0].kind, "unknown_agent");
    assert_int_equal(checked.diagnostics.items[0].severity, DIAGNOSTIC_WARNING);
    release(&checked);
}

/* --- compiled workflows
 * --------------------------------------------------------------------------- */

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

static const char FULL[] =
    "workflow: w\nnodes:\n  a: {agent: x}\n"
    "  b: {agent: x, say: \"{{a}}\", join: any, timeout: 5s, on_error: {fallback: y}, "
    "retry: {attempts: 4, backoff: 2s, factor: 3, max: 9s}}\n"
    "  c: {agent: z, with: {v: \"{{a}}\"}, after: [b], join: done, disabled: true, "
    "on_error: continue, retry: 2}\n"
    "output: b\nlimits: {time: 1h, parallel: 3}\nwhen_failed: finish\npriority: 9\n";

static void check_full_nodes(const dag_t *dag)
{
    const struct dag_node *a = dag_node(dag, 0), *b = dag_node(dag, 1), *c = dag_node(dag, 2);
    assert_null(a->message);
    assert_int_equal(a->retry.attempts, 1);
    assert_int_equal(a->timeout_us, 0);
    assert_int_equal(a->on_error, DAG_FAIL);
    assert_int_equal(a->targets_count, 2);
    assert_int_equal(b->join, DAG_JOIN_ANY);
    assert_int_equal(b->timeout_us, 5 * LIMIT_SECOND_US);
    assert_int_equal(b->on_error, DAG_FALLBACK);
    assert_string_equal(b->fallback, "y");
    assert_int_equal(b->retry.attempts, 4);
    assert_int_equal(b->retry.backoff_us, 2 * LIMIT_SECOND_US);
    assert_true(b->retry.factor == 3.0);
    assert_int_equal(b->retry.max_us, 9 * LIMIT_SECOND_US);
    assert_int_equal(c->join, DAG_JOIN_DONE);
    assert_int_equal(c->sources_count, 2);
    assert_int_equal(c->retry.attempts, 2);
    assert_int_equal(c->retry.backoff_us, LIMIT_RETRY_BACKOFF_US);
    assert_int_equal(c->on_error, DAG_CONTINUE);
    assert_true(c->disabled);
}

static void test_workflow_compiles(void **state)
{
    (void)state;
    struct checked checked = check(FULL);
    assert_int_equal(checked.definitions.count, 1);
    const struct definition *item = &checked.definitions.items[0];
    value_t *back = through_store(item->canonical);
    uint8_t hash[32];
    definition_hash(back, hash);
    assert_memory_equal(hash, item->hash, 32);
    dag_t *dag = NULL;
    struct err err;
    assert_int_equal(workflow_compile(back, &dag, &err), 0);
    assert_int_equal(dag_nodes(dag), 3);
    check_full_nodes(dag);
    assert_non_null(dag_output(dag));
    assert_int_equal(dag_time_us(dag), 3600 * LIMIT_SECOND_US);
    assert_int_equal(dag_parallel(dag), 3);
    assert_int_equal(dag_priority(dag), 9);
    assert_true(dag_finish(dag));
    dag_destroy(&dag);
    value_destroy(&back);
    release(&checked);
}

static void test_workflow_defaults(void **state)
{
    (void)state;
    struct checked checked = check_good("workflow: w\nnodes: {a: {agent: x}}");
    dag_t *dag = NULL;
    assert_int_equal(workflow_compile(checked.definitions.items[0].canonical, &dag, NULL), 0);
    assert_int_equal(dag_priority(dag), 5);
    assert_int_equal(dag_parallel(dag), 0);
    assert_int_equal(dag_time_us(dag), 0);
    assert_false(dag_finish(dag));
    assert_null(dag_output(dag));
    dag_destroy(&dag);
    release(&checked);
}

static void check_stored(const char *json, int code, const char *where)
{
    value_t *canonical = NULL;
    dag_t *dag = NULL;
    struct err err = {0};
    assert_int_equal(value_from_json(json, strlen(json), &canonical, &err), 0);
    assert_int_equal(workflow_compile(canonical, &dag, &err), code);
    assert_null(dag);
    assert_string_equal(err.where, where);
    assert_true(err.what[0] != '\0' && err.fix[0] != '\0');
    value_destroy(&canonical);
}

/* What a newer version may have stored, or what is no canonical form at all. */
static void test_foreign_canonical_forms_are_refused(void **state)
{
    (void)state;
    check_stored("3", ERR_INVALID, "workflow");
    check_stored("{}", ERR_INVALID, "workflow");
    check_stored("{\"workflow\":\"w\"}", ERR_INVALID, "nodes");
    check_stored("{\"workflow\":\"w\",\"nodes\":[]}", ERR_INVALID, "nodes");
    check_stored("{\"workflow\":\"w\",\"nodes\":{}}", ERR_INVALID, "nodes");
    check_stored("{\"workflow\":\"w\",\"nodes\":[3]}", ERR_INVALID, "nodes");
    check_stored("{\"workflow\":\"w\",\"nodes\":[{\"agent\":\"x\"}]}", ERR_INVALID, "nodes");
    check_stored("{\"workflow\":\"w\",\"keep\":\"3d\",\"nodes\":[]}", ERR_UNSUPPORTED, "keep");
    check_stored("{\"workflow\":\"w\",\"nodes\":[{\"id\":\"a\",\"levitate\":\"b\"}]}",
                 ERR_UNSUPPORTED, "nodes.a.levitate");
    check_stored("{\"workflow\":\"w\",\"nodes\":[{\"id\":\"a\"}]}", ERR_INVALID, "nodes.a.agent");
    check_stored("{\"workflow\":\"w\",\"nodes\":[{\"id\":\"a\",\"agent\":\"x\",\"retry\":3}]}",
                 ERR_INVALID, "nodes.a.retry");
    check_stored(
        "{\"workflow\":\"w\",\"nodes\":[{\"id\":\"a\",\"agent\":\"x\",\"join\":\"most\"}]}",
        ERR_INVALID, "nodes.a.join");
    check_stored("{\"workflow\":\"w\",\"nodes\":[{\"id\":\"a\",\"agent\":\"x\",\"after\":[1]}]}",
                 ERR_INVALID, "nodes.a.after");
    check_stored("{\"workflow\":\"w\",\"priority\":10,\"nodes\":[]}", ERR_INVALID, "priority");
}

/* --- inputs -------------------------------------------------------------------------------------
 */

static const char INPUTS[] =
    "workflow: w\ninput:\n  topic: text\n  count: {type: integer, default: 3, minimum: 1, maximum: "
    "9}\n  mode: {enum: [fast, full], default: fast}\n  note: {type: text, required: false}\n"
    "  rows: {type: list, default: [], items: {type: object, properties: {n: integer}, required: "
    "[n]}}\nnodes: {a: {agent: x}}\n";

static int check_input(const char *definition, const char *json, struct buf *ret_text,
                       struct err *err)
{
    struct checked checked = check_good(definition);
    value_t *input = NULL, *result = NULL;
    if (json)
        assert_int_equal(value_from_json(json, strlen(json), &input, NULL), 0);
    int code = workflow_check_input(checked.definitions.items[0].canonical, input, &result, err);
    if (code == 0)
        value_to_json(result, VALUE_JSON_COMPACT, ret_text);
    else
        assert_null(result);
    value_destroy(&input);
    value_destroy(&result);
    release(&checked);
    return code;
}

static void accept(const char *definition, const char *json, const char *expected)
{
    struct buf text = {0};
    struct err err = {0};
    if (check_input(definition, json, &text, &err) != 0)
        fail_msg("%s: %s", json, err.what);
    assert_string_equal(buf_string(&text), expected);
    buf_release(&text);
}

static void refuse(const char *json, const char *where, const char *fix)
{
    struct buf text = {0};
    struct err err = {0};
    assert_int_equal(check_input(INPUTS, json, &text, &err), ERR_INVALID);
    assert_string_equal(err.where, where);
    assert_non_null(strstr(err.fix, fix));
}

static void test_inputs_are_checked(void **state)
{
    (void)state;
    accept(INPUTS, "{\"topic\":\"a\"}",
           "{\"topic\":\"a\",\"count\":3,\"mode\":\"fast\",\"rows\":[]}");
    accept(INPUTS, "{\"rows\":[{\"n\":1,\"m\":2}],\"note\":\"n\",\"count\":2.0,\"topic\":\"a\"}",
           "{\"topic\":\"a\",\"count\":2.0,\"mode\":\"fast\",\"note\":\"n\",\"rows\":[{\"n\":1,"
           "\"m\":2}]}");
    refuse(NULL, "input.topic", "-i topic=");
    refuse("null", "input.topic", "give it");
    refuse("[]", "input", "JSON object");
    refuse("{\"topic\":\"a\",\"cuont\":3}", "input.cuont", "did you mean \"count\"?");
    refuse("{\"topic\":\"a\",\"zzz\":3}", "input.zzz", "leave it out");
    refuse("{\"topic\":3}", "input.topic", "type");
    refuse("{\"topic\":\"a\",\"count\":2.5}", "input.count", "type");
    refuse("{\"topic\":\"a\",\"count\":10}", "input.count", "limits");
    refuse("{\"topic\":\"a\",\"count\":0}", "input.count", "limits");
    refuse("{\"topic\":\"a\",\"mode\":\"slow\"}", "input.mode", "one of these");
    refuse("{\"topic\":\"a\",\"rows\":[{\"n\":1},{\"n\":\"x\"}]}", "input.rows[1].n", "type");
    refuse("{\"topic\":\"a\",\"rows\":[{}]}", "input.rows[0]", "give it");
}

static void test_members_have_defaults(void **state)
{
    (void)state;
    const char *definition =
        "workflow: w\nnodes: {a: {agent: x}}\ninput:\n"
        "  o: {type: object, default: {}, required: [n], properties: {n: {type: integer, default: "
        "1},"
        " in: {type: object, properties: {m: {default: [2]}}}}}\n"
        "  l: {type: list, default: [], items: {type: object, properties: {k: {default: null}}}}\n";
    accept(definition, "{}", "{\"o\":{\"n\":1},\"l\":[]}");
    accept(definition, "{\"o\":{\"in\":{}},\"l\":[{},{\"k\":3}]}",
           "{\"o\":{\"in\":{\"m\":[2]},\"n\":1},\"l\":[{\"k\":null},{\"k\":3}]}");
}

static void check_words(const char *schema, const char *good, const char *bad, const char *words)
{
    char definition[256], json[64];
    struct buf text = {0};
    struct err err = {0};
    (void)snprintf(definition, sizeof definition,
                   "workflow: w\ninput: {v: {%s}}\nnodes: {a: {agent: x}}", schema);
    (void)snprintf(json, sizeof json, "{\"v\":%s}", good);
    accept(definition, json, json);
    (void)snprintf(json, sizeof json, "{\"v\":%s}", bad);
    assert_int_equal(check_input(definition, json, &text, &err), ERR_INVALID);
    assert_non_null(strstr(err.where, "input.v"));
    if (!strstr(err.what, words))
        fail_msg("%s: %s", schema, err.what);
    assert_true(*err.fix);
    buf_release(&text);
}

static void test_words_of_schemas(void **state)
{
    (void)state;
    check_words("minLength: 2", "\"\u00e4\u00f6\"", "\"\u00e4\"", "at least 2 characters, not 1");
    check_words("maxLength: 2", "\"\u00e4\u00f6\"", "\"abc\"", "at most 2 characters, not 3");
    check_words("minItems: 1", "[1]", "[]", "at least 1 items, not 0");
    check_words("maxItems: 1", "[1]", "[1,2]", "at most 1 items, not 2");
    check_words("exclusiveMinimum: 1", "1.5", "1", "greater than 1");
    check_words("exclusiveMaximum: 1", "0.5", "1", "smaller than 1");
    check_words("multipleOf: 3", "-9", "10", "a multiple of 3");
    check_words("multipleOf: 0.01", "0.07", "0.075", "a multiple of 0.01");
    check_words("multipleOf: 3", "\"no number\"", "1", "a multiple of 3");
    check_words("const: [1, a]", "[1,\"a\"]", "[1]", "must be [1,\"a\"]");
    check_words("additionalProperties: false, properties: {a: {}}, title: V", "{\"a\":1}",
                "{\"a\":1,\"b\":2}", "no member \"b\"");
    check_words("additionalProperties: true, properties: {a: text}", "{\"b\":1}", "{\"a\":1}",
                "text");
}

static void test_inputs_that_are_not_declared(void **state)
{
    (void)state;
    accept("workflow: w\nnodes: {a: {agent: x}}", "[1, {}]", "[1,{}]");
    accept("workflow: w\nnodes: {a: {agent: x}}", NULL, "null");
    accept("workflow: w\ninput: {}\nnodes: {a: {agent: x}}", NULL, "{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_meaning_has_equal_hash),
        cmocka_unit_test(test_other_meaning_has_another_hash),
        cmocka_unit_test(test_json_and_yaml_are_one_language),
        cmocka_unit_test(test_canonical_form),
        cmocka_unit_test(test_several_documents_keep_their_source),
        cmocka_unit_test(test_valid_documents_beside_invalid_ones),
        cmocka_unit_test(test_a_flaw_is_reported_once),
        cmocka_unit_test(test_names_are_unique_over_files),
        cmocka_unit_test(test_diagnostics_as_a_document),
        cmocka_unit_test(test_diagnostics_are_printable),
        cmocka_unit_test(test_diagnostics_are_bounded),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_too_deep),
        cmocka_unit_test(test_too_many_values),
        cmocka_unit_test(test_too_many_nodes),
        cmocka_unit_test(test_long_cycle),
        cmocka_unit_test(test_many_unknown_nodes),
        cmocka_unit_test(test_no_cut_crashes),
        cmocka_unit_test(test_cross_check_asks),
        cmocka_unit_test(test_cross_check_of_workflows),
        cmocka_unit_test(test_cross_check_offline),
        cmocka_unit_test(test_workflow_compiles),
        cmocka_unit_test(test_workflow_defaults),
        cmocka_unit_test(test_foreign_canonical_forms_are_refused),
        cmocka_unit_test(test_inputs_are_checked),
        cmocka_unit_test(test_members_have_defaults),
        cmocka_unit_test(test_words_of_schemas),
        cmocka_unit_test(test_inputs_that_are_not_declared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
