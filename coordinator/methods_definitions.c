#include "coordinator/catalog.h"
#include "coordinator/fleet.h"
#include "coordinator/methods.h"
#include "coordinator/schedules.h"

#include <string.h>

/* --- definitions.apply ------------------------------------------------------------------------ */

static int read_file(const value_t *file, struct definitions *definitions,
                     struct diagnostics *diagnostics, struct err *err)
{
    const value_t *name = value_get(file, "name"), *text = value_get(file, "text");
    const value_t *rules = value_get(file, "rules");
    if ((rules != NULL && value_type(rules) != VALUE_BOOL) || name == NULL || text == NULL ||
        value_type(name) != VALUE_STRING || value_type(text) != VALUE_STRING) {
        err_set(err, ERR_INVALID, "a file is {name: text, text: text, rules?: boolean}");
        err_where(err, "files");
        return ERR_INVALID;
    }
    if (rules != NULL && value_as_bool(rules))
        definitions_parse_rules(value_as_string(text), value_size(text), value_as_string(name),
                                definitions, diagnostics);
    else
        definitions_parse(value_as_string(text), value_size(text), value_as_string(name),
                          definitions, diagnostics);
    return 0;
}

static int read_files(const struct request *request, struct definitions *definitions,
                      struct diagnostics *diagnostics, struct err *err)
{
    const value_t *files = value_get(request->params, "files");
    if (files == NULL || value_type(files) != VALUE_LIST) {
        err_set(err, ERR_INVALID, "the parameter \"files\" is a list of {name, text}");
        err_where(err, "files");
        return ERR_INVALID;
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < value_size(files); i++)
        rc = read_file(value_at(files, i), definitions, diagnostics, err);
    return rc;
}

static bool known(void *context, enum definition_kind kind, const char *name)
{
    return catalog_has(context, kind, name);
}

static int apply_all(struct coordinator *self, const struct request *request,
                     const struct definitions *definitions, bool dry_run, struct doc *doc,
                     struct err *err)
{
    int rc = 0;
    doc_list(doc, "applied");
    for (size_t i = 0; rc == 0 && i < definitions->count; i++) {
        const struct definition *definition = &definitions->items[i];
        uint32_t version = 0;
        bool changed = false;
        if (dry_run)
            catalog_preview(self, definition, &version, &changed);
        else
            rc = catalog_apply(self, definition, request->from, &version, &changed, err);
        if (rc == 0 && !dry_run && definition->kind == DEFINITION_WORKFLOW)
            schedules_follow(self, definition->name);
        doc_map(doc, NULL);
        doc_string(doc, "kind", definition->kind == DEFINITION_AGENT ? "agent" : "workflow");
        doc_string(doc, "name", definition->name);
        doc_int(doc, "version", version);
        doc_bool(doc, "changed", changed);
        doc_end(doc);
    }
    doc_end(doc);
    return rc;
}

/* That every definition compiles is asked before the first one is applied, so that either all are
 * or none. */
static int compile_all(const struct definitions *definitions, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < definitions->count; i++) {
        const struct definition *definition = &definitions->items[i];
        struct agent_def *agent = NULL;
        dag_t *dag = NULL;
        if (definition->kind == DEFINITION_AGENT)
            rc = agent_compile(definition->canonical, &agent, err);
        else
            rc = workflow_compile(definition->canonical, &dag, err);
        agent_def_destroy(&agent);
        dag_destroy(&dag);
    }
    return rc;
}

static int apply(struct coordinator *self, const struct request *request,
                 const struct definitions *definitions, const struct diagnostics *diagnostics,
                 bool dry_run, struct doc *doc, struct err *err)
{
    int rc = 0;
    if (diagnostics->errors > 0)
        rc = err_set(err, ERR_INVALID, "%zu problem%s in the definitions: nothing was applied",
                     diagnostics->errors, diagnostics->errors == 1 ? "" : "s");
    else if ((rc = compile_all(definitions, err)) == 0)
        rc = catalog_room(self, definitions, err);
    value_t *document = diagnostics_document(diagnostics);
    doc_map(doc, NULL);
    if (rc == 0)
        rc = apply_all(self, request, definitions, dry_run, doc, err);
    doc_value(doc, "diagnostics", document);
    doc_end(doc);
    value_destroy(&document);
    if (rc == 0 && !dry_run)
        fleet_wake(self);
    return rc;
}

int method_definitions_apply(struct coordinator *self, const struct request *request,
                             struct doc *doc, struct err *err)
{
    struct definitions definitions = {0};
    struct diagnostics diagnostics = {0};
    bool dry_run = false;

    int rc = param_optional_bool(request, "dry_run", &dry_run, err);
    if (rc == 0)
        rc = read_files(request, &definitions, &diagnostics, err);
    if (rc == 0) {
        definitions_join_rules(&definitions, &diagnostics);
        definitions_cross_check(&definitions, known, self, &diagnostics);
        rc = apply(self, request, &definitions, &diagnostics, dry_run, doc, err);
    }
    definitions_release(&definitions);
    diagnostics_release(&diagnostics);
    return rc;
}

/* --- lists ------------------------------------------------------------------------------------ */

static void put_hash(struct doc *doc, const uint8_t hash[32])
{
    char text[2 * DATUM_HASH_BYTES + 1];
    datum_hash_hex(hash, text);
    doc_string(doc, "hash", text);
}

static void put_load(struct coordinator *self, const char *agent, struct doc *doc)
{
    struct agent_load load;
    engine_agent_load(self->engine, agent, &load);
    doc_map(doc, "instances");
    doc_int(doc, "ready", load.instances);
    doc_int(doc, "wanted", fleet_wanted(self, agent));
    doc_end(doc);
    doc_map(doc, "queue");
    doc_int(doc, "ready", (int64_t)load.ready);
    doc_int(doc, "running", (int64_t)load.running);
    doc_end(doc);
}

static void put_entry(struct coordinator *self, enum definition_kind kind,
                      const struct catalog_entry *entry, struct doc *doc)
{
    doc_string(doc, "name", entry->name);
    doc_int(doc, "version", entry->version);
    put_hash(doc, entry->hash);
    doc_string(doc, "about", value_get_string(entry->canonical, "about", ""));
    doc_time(doc, "applied_at", entry->applied_us);
    if (kind == DEFINITION_AGENT)
        put_load(self, entry->name, doc);
}

static int list_kind(struct coordinator *self, enum definition_kind kind, struct doc *doc)
{
    const struct catalog_entry *entry;
    doc_map(doc, NULL);
    doc_list(doc, "items");
    for (size_t position = 0; (entry = catalog_next(self, kind, &position)) != NULL;) {
        doc_map(doc, NULL);
        put_entry(self, kind, entry, doc);
        doc_end(doc);
    }
    doc_end(doc);
    doc_end(doc);
    return 0;
}

static int get_kind(struct coordinator *self, const struct request *request,
                    enum definition_kind kind, struct doc *doc, struct err *err)
{
    const char *name;
    int64_t version = 0;
    int rc = param_text(request, "name", &name, err);
    if (rc == 0)
        rc = param_optional_int(request, "version", 1, UINT32_MAX, &version, err);
    if (rc < 0)
        return rc;
    struct catalog_entry *entry = catalog_version(self, kind, name, (uint32_t)version, err);
    if (entry == NULL)
        return err->code;
    doc_map(doc, NULL);
    put_entry(self, kind, entry, doc);
    doc_bool(doc, "removed", entry->removed);
    doc_string(doc, "by", entry->by);
    doc_value(doc, "definition", entry->canonical);
    doc_string(doc, "source", entry->source);
    doc_end(doc);
    catalog_entry_destroy(&entry);
    return 0;
}

/* Without instances the tasks that need it would wait for ever. */
static int refuse_needed_agent(struct coordinator *self, const char *agent, struct err *err)
{
    char text[TYPEID_TEXT_SIZE];
    struct uuid id;
    size_t position = 0;
    while (engine_next_execution(self->engine, &position, &id)) {
        if (!engine_needs_agent(self->engine, id, agent))
            continue;
        err_set(err, ERR_CONFLICT, "%s needs agent \"%s\" and has not ended",
                typeid_text("exec", id, text), agent);
        err_fix(err, "wait for it, or cancel it");
        return ERR_CONFLICT;
    }
    return 0;
}

static int remove_kind(struct coordinator *self, const struct request *request,
                       enum definition_kind kind, struct doc *doc, struct err *err)
{
    const char *name;
    int rc = param_text(request, "name", &name, err);
    if (rc == 0 && kind == DEFINITION_AGENT)
        rc = refuse_needed_agent(self, name, err);
    if (rc == 0)
        rc = catalog_remove(self, kind, name, err);
    if (rc < 0)
        return rc;
    if (kind == DEFINITION_WORKFLOW)
        schedules_follow(self, name);
    fleet_wake(self);
    doc_map(doc, NULL);
    doc_string(doc, "name", name);
    doc_bool(doc, "removed", true);
    doc_end(doc);
    return 0;
}

int method_agents_list(struct coordinator *self, const struct request *request, struct doc *doc,
                       struct err *err)
{
    (void)request;
    (void)err;
    return list_kind(self, DEFINITION_AGENT, doc);
}

int method_agents_get(struct coordinator *self, const struct request *request, struct doc *doc,
                      struct err *err)
{
    return get_kind(self, request, DEFINITION_AGENT, doc, err);
}

int method_agents_remove(struct coordinator *self, const struct request *request, struct doc *doc,
                         struct err *err)
{
    return remove_kind(self, request, DEFINITION_AGENT, doc, err);
}

int method_workflows_list(struct coordinator *self, const struct request *request, struct doc *doc,
                          struct err *err)
{
    (void)request;
    (void)err;
    return list_kind(self, DEFINITION_WORKFLOW, doc);
}

int method_workflows_get(struct coordinator *self, const struct request *request, struct doc *doc,
                         struct err *err)
{
    return get_kind(self, request, DEFINITION_WORKFLOW, doc, err);
}

int method_workflows_remove(struct coordinator *self, const struct request *request,
                            struct doc *doc, struct err *err)
{
    return remove_kind(self, request, DEFINITION_WORKFLOW, doc, err);
}
