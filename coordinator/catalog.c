#include "coordinator/catalog.h"

#include "coordinator/blobs.h"

#include "base/log.h"
#include "base/map.h"
#include "coordinator/pipeline.h"
#include "coordinator/record.h"
#include "coordinator/tables.h"

#include <stdlib.h>
#include <string.h>

struct catalog {
    map_t *names[2]; /* by definition_kind: name -> struct catalog_entry */
    map_t *dags;     /* "NAME 0 version" or "NAME" of an agent -> dag_t */
    struct buf key, record;
};

static const char *const kind_tables[] = {TABLE_AGENTS, TABLE_WORKFLOWS};
static const char *const kind_names[] = {"agent", "workflow"};

struct catalog *catalog_new(void)
{
    struct catalog *self = xcalloc(1, sizeof *self);
    self->names[DEFINITION_AGENT] = map_new();
    self->names[DEFINITION_WORKFLOW] = map_new();
    self->dags = map_new();
    return self;
}

void catalog_entry_destroy(struct catalog_entry **self_p)
{
    struct catalog_entry *self = *self_p;
    if (self == NULL)
        return;
    agent_def_destroy(&self->agent);
    value_destroy(&self->canonical);
    free(self->name);
    free(self->source);
    free(self->by);
    free(self);
    *self_p = NULL;
}

void catalog_destroy(struct catalog **self_p)
{
    struct catalog *self = *self_p;
    void *item;
    if (self == NULL)
        return;
    for (unsigned kind = 0; kind < 2; kind++) {
        for (size_t position = 0; (item = map_next(self->names[kind], &position, NULL)) != NULL;) {
            struct catalog_entry *entry = item;
            catalog_entry_destroy(&entry);
        }
        map_destroy(&self->names[kind]);
    }
    for (size_t position = 0; (item = map_next(self->dags, &position, NULL)) != NULL;) {
        dag_t *dag = item;
        dag_destroy(&dag);
    }
    map_destroy(&self->dags);
    buf_release(&self->key);
    buf_release(&self->record);
    free(self);
    *self_p = NULL;
}

/* --- reading the store ------------------------------------------------------------------------ */

/* A definition whose compiled form this program can't make is not usable here. */
static int make_entry(enum definition_kind kind, const char *name,
                      const struct definition_record *record, struct catalog_entry **ret_entry,
                      struct err *err)
{
    struct catalog_entry *entry = xcalloc(1, sizeof *entry);
    entry->name = xstrdup(name);
    entry->version = record->version;
    memcpy(entry->hash, record->hash, sizeof entry->hash);
    entry->source = xstrdup(record->source);
    entry->by = xstrdup(record->by);
    entry->applied_us = record->applied_us;
    int rc = value_from_msgpack(record->canonical, &entry->canonical, err);
    if (rc == 0 && kind == DEFINITION_AGENT)
        rc = agent_compile(entry->canonical, &entry->agent, err);
    if (rc < 0)
        catalog_entry_destroy(&entry);
    else
        *ret_entry = entry;
    return rc;
}

static int read_version(store_snapshot_t *snapshot, enum definition_kind kind, const char *name,
                        uint32_t version, struct catalog_entry **ret_entry, struct err *err)
{
    struct arena arena = {0};
    struct buf key = {0};
    struct bytes value;
    struct definition_record record;

    int rc =
        store_get(snapshot, kind_tables[kind], key_definition(name, version, &key), &value, err);
    if (rc == ERR_NOT_FOUND)
        rc = err_set(err, rc, "there is no version %u of the %s \"%s\"", version, kind_names[kind],
                     name);
    else if (rc == 0)
        rc = definition_decode(&arena, value, &record, err);
    if (rc == 0)
        rc = make_entry(kind, name, &record, ret_entry, err);
    buf_release(&key);
    arena_release(&arena);
    return rc;
}

static void load_one(struct catalog *self, store_snapshot_t *snapshot, enum definition_kind kind,
                     const char *name, struct bytes value)
{
    struct definition_head head;
    struct catalog_entry *entry = NULL;
    struct err err;
    char text[600];

    int rc = definition_head_decode(value, &head, &err);
    if (rc == 0)
        rc = read_version(snapshot, kind, name, head.version, &entry, &err);
    if (rc < 0) {
        log_error("COORD-DEFINITION-UNREADABLE", "a definition can't be used", "kind",
                  kind_names[kind], "name", name, "reason", err_format(&err, text, sizeof text),
                  NULL);
        return;
    }
    entry->removed = head.removed;
    map_put(self->names[kind], name, strlen(name), entry);
}

/* Heads are the keys that end with the NUL after the name. */
static bool is_head(struct bytes key)
{
    return key.size >= 2 && memchr(key.data, 0, key.size) == key.data + key.size - 1;
}

static int load_kind(struct coordinator *self, store_snapshot_t *snapshot,
                     enum definition_kind kind, struct err *err)
{
    struct store_range range = {0};
    store_scan_t *scan = NULL;
    struct bytes key, value;
    int rc = store_scan(snapshot, kind_tables[kind], &range, &scan, err);

    while (rc == 0) {
        rc = store_scan_next(scan, &key, &value, err);
        if (rc == 0 && is_head(key))
            load_one(self->catalog, snapshot, kind, (const char *)key.data, value);
        if (rc == ERR_CORRUPT) {
            log_error("COORD-DEFINITION-UNREADABLE", err->what, "where", err->where, NULL);
            rc = 0;
        }
    }
    store_scan_close(&scan);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int catalog_load(struct coordinator *self, struct err *err)
{
    store_snapshot_t *snapshot = NULL;
    int rc = store_snapshot(self->store, &snapshot, err);
    if (rc == 0)
        rc = load_kind(self, snapshot, DEFINITION_AGENT, err);
    if (rc == 0)
        rc = load_kind(self, snapshot, DEFINITION_WORKFLOW, err);
    store_snapshot_close(&snapshot);
    return rc;
}

/* --- looking ---------------------------------------------------------------------------------- */

static struct catalog_entry *find_any(const struct coordinator *self, enum definition_kind kind,
                                      const char *name)
{
    return map_get(self->catalog->names[kind], name, strlen(name));
}

const struct catalog_entry *catalog_find(const struct coordinator *self, enum definition_kind kind,
                                         const char *name)
{
    const struct catalog_entry *entry = find_any(self, kind, name);
    return entry == NULL || entry->removed ? NULL : entry;
}

bool catalog_has(const struct coordinator *self, enum definition_kind kind, const char *name)
{
    return catalog_find(self, kind, name) != NULL;
}

const struct catalog_entry *catalog_next(const struct coordinator *self, enum definition_kind kind,
                                         size_t *position)
{
    const struct catalog_entry *entry;
    while ((entry = map_next(self->catalog->names[kind], position, NULL)) != NULL)
        if (!entry->removed)
            return entry;
    return NULL;
}

static struct catalog_entry *copy_entry(const struct catalog_entry *from)
{
    struct catalog_entry *to = xcalloc(1, sizeof *to);
    to->name = xstrdup(from->name);
    to->version = from->version;
    to->removed = from->removed;
    memcpy(to->hash, from->hash, sizeof to->hash);
    to->canonical = value_ref(from->canonical);
    to->source = xstrdup(from->source);
    to->by = xstrdup(from->by);
    to->applied_us = from->applied_us;
    return to;
}

struct catalog_entry *catalog_version(struct coordinator *self, enum definition_kind kind,
                                      const char *name, uint32_t version, struct err *err)
{
    const struct catalog_entry *newest = find_any(self, kind, name);
    struct catalog_entry *entry = NULL;
    store_snapshot_t *snapshot = NULL;

    if (newest == NULL || (version == 0 && newest->removed)) {
        err_set(err, ERR_NOT_FOUND, "there is no %s \"%s\"", kind_names[kind], name);
        return NULL;
    }
    if (version == 0 || version == newest->version)
        return copy_entry(newest);
    int rc = store_snapshot(self->store, &snapshot, err);
    if (rc == 0)
        rc = read_version(snapshot, kind, name, version, &entry, err);
    store_snapshot_close(&snapshot);
    return rc < 0 ? NULL : entry;
}

/* --- changing --------------------------------------------------------------------------------- */

void catalog_preview(const struct coordinator *self, const struct definition *definition,
                     uint32_t *ret_version, bool *ret_changed)
{
    const struct catalog_entry *entry = find_any(self, definition->kind, definition->name);
    *ret_changed = entry == NULL || entry->removed ||
                   memcmp(entry->hash, definition->hash, sizeof entry->hash) != 0;
    *ret_version = (entry == NULL ? 0 : entry->version) + (*ret_changed ? 1 : 0);
}

static void write_head(struct coordinator *self, enum definition_kind kind,
                       const struct catalog_entry *entry)
{
    struct catalog *catalog = self->catalog;
    struct definition_head head = {.version = entry->version, .removed = entry->removed};
    definition_head_encode(&head, &catalog->record);
    store_batch_put(pipeline_writes(self), kind_tables[kind],
                    key_definition(entry->name, 0, &catalog->key), buf_bytes(&catalog->record));
}

static void write_version(struct coordinator *self, enum definition_kind kind,
                          const struct definition_record *record, const char *name)
{
    struct catalog *catalog = self->catalog;
    definition_encode(record, &catalog->record);
    store_batch_put(pipeline_writes(self), kind_tables[kind],
                    key_definition(name, record->version, &catalog->key),
                    buf_bytes(&catalog->record));
}

int catalog_apply(struct coordinator *self, const struct definition *definition, const char *by,
                  uint32_t *ret_version, bool *ret_changed, struct err *err)
{
    map_t *names = self->catalog->names[definition->kind];
    struct catalog_entry *entry = NULL;
    struct buf canonical = {0};

    catalog_preview(self, definition, ret_version, ret_changed);
    if (!*ret_changed)
        return 0;
    value_to_msgpack(definition->canonical, &canonical);
    struct definition_record record = {.version = *ret_version,
                                       .canonical = buf_bytes(&canonical),
                                       .source = definition->source,
                                       .applied_us = self->utc_us,
                                       .by = by};
    memcpy(record.hash, definition->hash, sizeof record.hash);
    int rc = make_entry(definition->kind, definition->name, &record, &entry, err);
    if (rc == 0) {
        write_version(self, definition->kind, &record, definition->name);
        write_head(self, definition->kind, entry);
        struct catalog_entry *old =
            map_put(names, definition->name, strlen(definition->name), entry);
        catalog_entry_destroy(&old);
    }
    buf_release(&canonical);
    return rc;
}

int catalog_room(const struct coordinator *self, const struct definitions *definitions,
                 struct err *err)
{
    size_t counts[2] = {map_size(self->catalog->names[0]), map_size(self->catalog->names[1])};
    for (size_t i = 0; i < definitions->count; i++) {
        const struct definition *definition = &definitions->items[i];
        if (find_any(self, definition->kind, definition->name) == NULL)
            counts[definition->kind]++;
    }
    for (unsigned kind = 0; kind < 2; kind++)
        if (counts[kind] > LIMIT_DEFINITIONS)
            return err_set(err, ERR_LIMIT, "there can be %d names of %ss at most",
                           LIMIT_DEFINITIONS, kind_names[kind]);
    return 0;
}

int catalog_remove(struct coordinator *self, enum definition_kind kind, const char *name,
                   struct err *err)
{
    struct catalog_entry *entry = find_any(self, kind, name);
    if (entry == NULL || entry->removed)
        return err_set(err, ERR_NOT_FOUND, "there is no %s \"%s\"", kind_names[kind], name);
    entry->removed = true;
    write_head(self, kind, entry);
    return 0;
}

/* --- graphs ----------------------------------------------------------------------------------- */

static int compile(struct coordinator *self, const char *workflow, uint32_t version,
                   const char *agent, dag_t **ret_dag, struct err *err)
{
    if (*workflow == '\0')
        return dag_new_for_agent(agent, ret_dag, err);
    struct catalog_entry *entry =
        catalog_version(self, DEFINITION_WORKFLOW, workflow, version, err);
    if (entry == NULL)
        return ERR_NOT_FOUND;
    int rc = workflow_compile(entry->canonical, ret_dag, err);
    catalog_entry_destroy(&entry);
    return rc;
}

static void keep_dag(struct catalog *self, struct bytes key, dag_t *dag)
{
    if (map_size(self->dags) >= LIMIT_CACHED_DAGS) {
        size_t position = 0;
        struct bytes oldest_key;
        dag_t *oldest = map_next(self->dags, &position, &oldest_key);
        map_remove(self->dags, oldest_key.data, oldest_key.size);
        dag_destroy(&oldest);
    }
    map_put(self->dags, key.data, key.size, dag);
}

dag_t *catalog_find_dag(void *context, const char *workflow, uint32_t version, const char *agent,
                        struct err *err)
{
    struct coordinator *self = context;
    struct catalog *catalog = self->catalog;
    bool alone = workflow == NULL || *workflow == '\0';
    dag_t *dag;

    if (alone) {
        buf_clear(&catalog->key);
        buf_puts(&catalog->key, agent);
    } else {
        key_definition(workflow, version, &catalog->key);
    }
    dag = map_get(catalog->dags, catalog->key.data, catalog->key.size);
    if (dag != NULL)
        return dag_ref(dag);
    if (compile(self, alone ? "" : workflow, version, agent, &dag, err) < 0)
        return NULL;
    keep_dag(catalog, buf_bytes(&catalog->key), dag);
    return dag_ref(dag);
}

static void name_missing(struct err *err, struct buf *missing, const char *name)
{
    if (missing->size > 0)
        buf_puts(missing, ", ");
    buf_printf(missing, "\"%s\"", name);
    err_set(err, ERR_INVALID, "there is no agent %s", buf_string(missing));
    err_fix(err, "apply the definitions of these agents first");
}

void catalog_pin_of(const struct catalog_entry *entry, struct pinned_agent *ret_pin)
{
    const struct agent_def *agent = entry->agent;
    *ret_pin = (struct pinned_agent){
        .name = entry->name,
        .version = entry->version,
        .timeout_us = agent->timeout_us,
        .rerun_never = agent->rerun_never,
        .takes_turns = agent->answers == AGENT_MODEL,
        .delegates = (const char *const *)agent->delegates,
        .delegates_count = agent->delegates_count,
        .turns = agent->turns,
        .depth = agent->depth,
        .delegations = agent->delegations,
        .same_delegation = agent->same_delegation,
        .max_tokens = agent->max_tokens,
        .tokens = agent->tokens,
        .cost_microusd = agent->cost_microusd,
        .input_price = agent->input_price,
        .output_price = agent->output_price,
    };
}

int catalog_pin(struct coordinator *self, const dag_t *dag, struct arena *arena,
                const struct pinned_agent **ret_agents, size_t *ret_count, struct err *err)
{
    size_t count = dag_agents(dag);
    struct pinned_agent *pins = arena_alloc(arena, (count + 1) * sizeof *pins);
    struct buf missing = {0};

    for (size_t i = 0; i < count; i++) {
        const char *name = dag_agent(dag, i);
        const struct catalog_entry *entry = catalog_find(self, DEFINITION_AGENT, name);
        if (entry == NULL) {
            name_missing(err, &missing, name);
            continue;
        }
        catalog_pin_of(entry, &pins[i]);
    }
    bool complete = missing.size == 0;
    buf_release(&missing);
    if (!complete)
        return ERR_INVALID;
    *ret_agents = pins;
    *ret_count = count;
    return 0;
}

int catalog_pin_workflows(struct coordinator *self, const dag_t *dag, struct arena *arena,
                          const struct pinned_workflow **ret_workflows, size_t *ret_count,
                          struct err *err)
{
    size_t count = dag_workflows(dag);
    struct pinned_workflow *pins = arena_alloc(arena, (count + 1) * sizeof *pins);
    for (size_t i = 0; i < count; i++) {
        const char *name = dag_workflow(dag, i);
        const struct catalog_entry *entry = catalog_find(self, DEFINITION_WORKFLOW, name);
        if (entry == NULL) {
            err_set(err, ERR_INVALID, "there is no workflow \"%s\", which a node runs", name);
            err_fix(err, "apply its definition first");
            return ERR_INVALID;
        }
        pins[i] = (struct pinned_workflow){arena_strdup(arena, name), entry->version};
    }
    *ret_workflows = pins;
    *ret_count = count;
    return 0;
}

int catalog_prepare_workflow(void *context, const char *workflow, uint32_t version,
                             const value_t *input, struct arena *arena,
                             struct prepared_workflow *ret_prepared, struct err *err)
{
    struct coordinator *self = context;
    struct prepared_workflow prepared = {0};
    struct catalog_entry *entry =
        catalog_version(self, DEFINITION_WORKFLOW, workflow, version, err);
    dag_t *dag = entry == NULL ? NULL : catalog_find_dag(self, workflow, version, "", err);
    int rc = dag == NULL ? ERR_NOT_FOUND : 0;
    if (rc == 0)
        rc = catalog_pin(self, dag, arena, &prepared.agents, &prepared.agents_count, err);
    if (rc == 0)
        rc = catalog_pin_workflows(self, dag, arena, &prepared.workflows, &prepared.workflows_count,
                                   err);
    if (rc == 0)
        rc = workflow_check_input(entry->canonical, input, &prepared.input, err);
    if (rc == 0)
        *ret_prepared = prepared;
    dag_destroy(&dag);
    catalog_entry_destroy(&entry);
    return rc;
}

int catalog_pin_agent(void *context, const char *name, struct pinned_agent *ret_pin,
                      struct err *err)
{
    const struct catalog_entry *entry = catalog_find(context, DEFINITION_AGENT, name);
    if (entry == NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no agent \"%s\"", name);
    catalog_pin_of(entry, ret_pin);
    return 0;
}

bool catalog_next_agent(void *context, size_t *position, const char **ret_name,
                        const char **ret_about)
{
    const struct catalog_entry *entry = catalog_next(context, DEFINITION_AGENT, position);
    if (entry == NULL)
        return false;
    *ret_name = entry->name;
    *ret_about = entry->agent->about;
    return true;
}

engine_t *catalog_new_engine(struct coordinator *self)
{
    struct engine_config config = {.epoch = self->epoch,
                                   .find_dag = catalog_find_dag,
                                   .read_blob = blobs_read,
                                   .pin_agent = catalog_pin_agent,
                                   .next_agent = catalog_next_agent,
                                   .prepare_workflow = catalog_prepare_workflow,
                                   .context = self};
    return engine_new(&config);
}
