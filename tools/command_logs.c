/* logs: the journal as lines. replay: the journal folded here, by the same engine, to show the
 * state that it gives at any event. */
#include "base/limits.h"
#include "coordinator/journal.h"
#include "definitions/definitions.h"
#include "tools/commands.h"

#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* --- logs ------------------------------------------------------------------------------------- */

struct printer {
    const struct options *options;
    lines_t *lines;
};

static int print_page(void *argument, const value_t *items, struct err *err)
{
    const struct printer *self = argument;
    (void)err;
    for (size_t i = 0; i < value_size(items); i++) {
        const value_t *item = value_at(items, i);
        if (!lines_take(self->lines, item))
            continue;
        if (self->options->json) {
            print_json_line(item);
        } else {
            printf("%s%6lld %s%s ", tone_on(stdout, TONE_DIM),
                   (long long)value_get_int(item, "sequence", 0),
                   value_get_string(item, "time", ""), tone_off(stdout));
            lines_print(self->lines, item, stdout);
        }
    }
    fflush(stdout);
    return 0;
}

int command_logs(struct context *context)
{
    int status = EXIT_ERROR;
    struct err err = {0};
    if (!context_client(context, &status))
        return status;
    if (context->options->follow && !context->options->json) {
        value_t *execution = NULL;
        status = follow_execution(context, context->args[0], 0, LINES_ALL, &execution);
        value_destroy(&execution);
        return status;
    }
    const struct journal_options options = {.timeout_ms = context_timeout_ms(context, 30000)};
    struct printer printer = {.options = context->options,
                              .lines = lines_new(LINES_ALL, context->options->node)};
    int rc = fetch_journal(context->client, context->args[0], &options, print_page, &printer, &err);
    lines_destroy(&printer.lines);
    return rc ? show_error(context->options, &err) : EXIT_OK;
}

/* --- replay ----------------------------------------------------------------------------------- */

struct replay {
    struct context *context;
    struct uuid execution;
    engine_t *engine;
    struct arena arena;
    uint64_t last, at; /* at 0: the whole journal */
};

static dag_t *find_dag(void *argument, const char *workflow, uint32_t version, const char *agent,
                       struct err *err)
{
    struct replay *self = argument;
    dag_t *dag = NULL;
    value_t *document = NULL;
    if (!*workflow)
        return dag_new_for_agent(agent, &dag, err) ? NULL : dag;
    value_t *params = value_map();
    value_set_string(params, "name", workflow);
    value_set_int(params, "version", version);
    int rc = client_call(self->context->client, "workflows.get", params, NULL, 30000, &document,
                         NULL, err);
    value_destroy(&params);
    if (rc == 0)
        rc = workflow_compile(value_get(document, "definition"), &dag, err);
    value_destroy(&document);
    return rc ? NULL : dag;
}

/* A fold evaluates nothing, so it reads no blob. */
static int read_blob(void *argument, const uint8_t hash[DATUM_HASH_BYTES], struct bytes *ret_bytes,
                     struct err *err)
{
    (void)argument;
    (void)hash;
    (void)ret_bytes;
    return err_set(err, ERR_UNSUPPORTED, "a replay reads no blobs");
}

static int fold_record(struct replay *self, const value_t *item, struct err *err)
{
    const value_t *record = value_get(item, "raw");
    uint64_t sequence = (uint64_t)value_get_int(item, "sequence", 0);
    if (!record || value_type(record) != VALUE_STRING)
        return err_set(err, ERR_MALFORMED, "event %llu came without its record",
                       (unsigned long long)sequence);
    size_t size = value_size(record);
    uint8_t *bytes = xmalloc(size + 1);
    size_t decoded = 0;
    int rc = sodium_base642bin(bytes, size, value_as_string(record), size, NULL, &decoded, NULL,
                               sodium_base64_VARIANT_ORIGINAL)
                 ? err_set(err, ERR_MALFORMED, "event %llu: its record is not base64",
                           (unsigned long long)sequence)
                 : journal_fold(self->engine, &self->arena, self->execution, self->last, sequence,
                                bytes_of(bytes, decoded), err);
    self->last = sequence;
    free(bytes);
    return rc;
}

static int fold_page(void *argument, const value_t *items, struct err *err)
{
    struct replay *self = argument;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < value_size(items); i++)
        if (!self->at || (uint64_t)value_get_int(value_at(items, i), "sequence", 0) <= self->at)
            rc = fold_record(self, value_at(items, i), err);
    return rc;
}

static void set_pair(value_t *task, const char *key, uint64_t own, uint64_t subtree)
{
    value_t *pair = value_map();
    value_set_int(pair, "own", (int64_t)own);
    value_set_int(pair, "subtree", (int64_t)subtree);
    value_set(task, key, &pair);
}

static uint64_t tokens_of(const struct usage *usage)
{
    return usage->input_tokens + usage->output_tokens;
}

/* Where the task stands in the tree of delegations, and what it used. */
static void set_delegation(value_t *task, const struct task_view *view)
{
    value_set_string(task, "parent", view->parent ? view->parent : "");
    value_set_int(task, "depth", view->depth);
    value_set_bool(task, "hand_off", view->hand_off);
    value_set_int(task, "turns", view->turns);
    value_set_int(task, "children", view->children);
    value_set_int(task, "calls_again", view->calls_again);
    if (view->is_item)
        value_set_int(task, "item", view->item);
    if (view->items_begun)
        value_set_int(task, "items", view->items);
    set_pair(task, "tokens", tokens_of(&view->own), tokens_of(&view->subtree));
    set_pair(task, "cost_microusd", view->own.cost_microusd, view->subtree.cost_microusd);
}

static value_t *task_document(const struct task_view *view)
{
    value_t *task = value_map();
    value_set_string(task, "path", view->path);
    value_set_string(task, "agent", view->agent);
    value_set_string(task, "status", task_status_name(view->status));
    value_set_int(task, "attempt", view->attempt);
    value_set_int(task, "step", view->step);
    value_set_int(task, "losses", view->losses);
    value_set_string(task, "reason", view->reason);
    value_set_string(task, "error", view->failure.code);
    value_set_int(task, "output_bytes", (int64_t)datum_size(&view->output));
    set_delegation(task, view);
    return task;
}

static value_t *state_document(const struct replay *self, const struct execution_view *view)
{
    char fingerprint[32];
    value_t *state = value_map();
    value_t *tasks = value_list();
    snprintf(fingerprint, sizeof fingerprint, "%016llx",
             (unsigned long long)engine_fingerprint(self->engine, self->execution));
    value_set_string(state, "status", execution_status_name(view->status));
    value_set_string(state, "workflow", view->workflow);
    value_set_string(state, "agent", view->agent);
    value_set_int(state, "sequence", (int64_t)view->sequence);
    value_set_int(state, "delegations", view->delegations);
    value_set_int(state, "tokens", (int64_t)tokens_of(&view->used));
    value_set_int(state, "cost_microusd", (int64_t)view->used.cost_microusd);
    value_set_string(state, "fingerprint", fingerprint);
    for (uint32_t i = 0; i < view->tasks; i++) {
        struct task_view task;
        if (engine_task(self->engine, self->execution, i, &task))
            continue;
        value_t *document = task_document(&task);
        value_append(tasks, &document);
    }
    value_set(state, "tasks", &tasks);
    return state;
}

static void print_state(const value_t *state)
{
    static const char *const titles[] = {"TASK", "AGENT", "STATUS", "ATTEMPT",
                                         "STEP", "LOST",  "TURNS",  "WHY"};
    static const char *const counts[] = {"attempt", "step", "losses", "turns"};
    const value_t *tasks = value_get(state, "tasks");
    table_t *table = table_new(8, titles);
    printf("%s after event %lld (fingerprint %s)\n", value_get_string(state, "status", "?"),
           (long long)value_get_int(state, "sequence", 0),
           value_get_string(state, "fingerprint", "?"));
    for (size_t i = 0; i < value_size(tasks); i++) {
        const value_t *task = value_at(tasks, i);
        const char *error = value_get_string(task, "error", NULL);
        table_cell(table, value_get_string(task, "path", ""));
        table_cell(table, value_get_string(task, "agent", ""));
        table_cell(table, value_get_string(task, "status", ""));
        for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) {
            char text[32];
            snprintf(text, sizeof text, "%lld", (long long)value_get_int(task, counts[j], 0));
            table_cell(table, text);
        }
        table_cell(table, error ? error : value_get_string(task, "reason", ""));
    }
    table_print(&table, stdout);
}

static int replay(struct replay *self, const char *id, value_t **ret_state, struct err *err)
{
    struct engine_config config = {
        .epoch = 1, .find_dag = find_dag, .read_blob = read_blob, .context = self};
    const struct journal_options options = {.raw = true,
                                            .timeout_ms = context_timeout_ms(self->context, 30000)};
    struct execution_view view;
    int rc = typeid_parse_as(id, "exec", &self->execution, err);
    if (rc)
        return rc;
    self->engine = engine_new(&config);
    rc = fetch_journal(self->context->client, id, &options, fold_page, self, err);
    if (rc == 0 && engine_execution(self->engine, self->execution, &view))
        rc = err_set(err, ERR_NOT_FOUND, "the journal of %s is empty", id);
    if (rc == 0)
        *ret_state = state_document(self, &view);
    engine_destroy(&self->engine);
    arena_release(&self->arena);
    return rc;
}

int command_replay(struct context *context)
{
    int status = EXIT_ERROR;
    struct err err = {0};
    value_t *state = NULL;
    struct replay self = {.context = context,
                          .at = context->options->at > 0 ? (uint64_t)context->options->at : 0};
    if (!context_client(context, &status))
        return status;
    if (replay(&self, context->args[0], &state, &err))
        return show_error(context->options, &err);
    if (context->options->json)
        print_json(state);
    else
        print_state(state);
    value_destroy(&state);
    return EXIT_OK;
}
