/* Any bytes as a definition file. What is accepted, rules too, must compile, also after a round
 * trip through MessagePack, under the same hash. */
#include "base/err.h"
#include "definitions/definitions.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_accepted(const struct definition *item)
{
    struct buf bytes = {0};
    value_t *back = NULL;
    uint8_t hash[32];
    struct agent_def *agent = NULL;
    dag_t *dag = NULL;
    value_to_msgpack(item->canonical, &bytes);
    CHECK(value_from_msgpack(buf_bytes(&bytes), &back, NULL) == 0);
    definition_hash(back, hash);
    CHECK(memcmp(hash, item->hash, sizeof hash) == 0);
    if (item->kind == DEFINITION_AGENT) {
        CHECK(agent_compile(back, &agent, NULL) == 0);
    } else {
        value_t *input = NULL;
        CHECK(workflow_compile(back, &dag, NULL) == 0);
        if (workflow_check_input(back, NULL, &input, NULL) == 0)
            value_destroy(&input);
    }
    agent_def_destroy(&agent);
    if (dag)
        dag_destroy(&dag);
    value_destroy(&back);
    buf_release(&bytes);
}

/* What may hold expressions in a rule that was accepted compiles. */
static void check_template(const value_t *map, const char *key)
{
    const value_t *literal = map ? value_get(map, key) : NULL;
    cel_template_t *template = NULL;
    if (!literal)
        return;
    CHECK(cel_template_compile(literal, &template, NULL) == 0);
    cel_template_destroy(&template);
}

static void check_path(const value_t *map, const char *key)
{
    const value_t *text = map ? value_get(map, key) : NULL;
    cel_t *program = NULL;
    if (!text)
        return;
    CHECK(cel_compile(value_as_string(text), value_size(text), &program, NULL) == 0);
    cel_destroy(&program);
}

static void check_rules(const value_t *rules)
{
    for (size_t i = 0; i < value_size(rules); i++) {
        const value_t *rule = value_at(rules, i), *calls = value_get(rule, "calls");
        check_template(rule, "say");
        check_path(value_get(rule, "when"), "has");
        check_path(value_get(rule, "when"), "lacks");
        for (size_t j = 0; calls && j < value_size(calls); j++) {
            const value_t *call = value_at(calls, j);
            check_template(call, "with");
            check_template(call, "delegate");
            check_template(call, "message");
            check_template(call, "context");
            check_path(call, "for");
            check_path(call, "if");
        }
    }
}

/* The checks let nothing pass that doesn't compile. */
static void check_complete(const struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->count; i++)
        CHECK(strcmp(diagnostics->items[i].kind, "not_compiled") != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct definitions definitions = {0};
    struct diagnostics diagnostics = {0};
    struct buf lines = {0};
    definitions_parse((const char *)data, size, "f", &definitions, &diagnostics);
    for (size_t i = 0; i < definitions.count; i++)
        check_accepted(&definitions.items[i]);
    CHECK(definitions.count > 0 || diagnostics.errors > 0 || definitions.files[0].rules);
    if (definitions.files[0].rules)
        check_rules(value_get(definitions.files[0].rules, "rules"));
    value_t *missing = definitions_missing_rules(&definitions);
    value_destroy(&missing);
    definitions_join_rules(&definitions, &diagnostics);
    for (size_t i = 0; i < definitions.count; i++)
        check_accepted(&definitions.items[i]);
    definitions_cross_check(&definitions, NULL, NULL, &diagnostics);
    check_complete(&diagnostics);
    diagnostics_format(&diagnostics, &lines);
    buf_release(&lines);
    definitions_release(&definitions);
    diagnostics_release(&diagnostics);
    return 0;
}
