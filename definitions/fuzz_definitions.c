/* Any bytes as a definition file. What is accepted must compile, also after a round trip through
 * MessagePack, under the same hash. */
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
