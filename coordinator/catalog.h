/* The definitions that were applied: the newest version of each name in memory, the older ones in
 * the store; workflows compiled once and shared; what an execution pins at its start. */
#ifndef AF_COORDINATOR_CATALOG_H
#define AF_COORDINATOR_CATALOG_H

#include "coordinator/coordinator.h"
#include "definitions/definitions.h"

struct catalog *catalog_new(void);
void catalog_destroy(struct catalog **self_p);
/* Reads what the store holds. A definition that can't be read is logged and left out. */
int catalog_load(struct coordinator *self, struct err *err) MUST_CHECK;

/* The newest version. Everything is borrowed until the next apply or remove. */
struct catalog_entry {
    char *name;
    uint32_t version;
    bool removed;
    uint8_t hash[32];
    value_t *canonical;
    char *source;
    char *by;
    int64_t applied_us;
    struct agent_def *agent; /* compiled; NULL for a workflow */
};

bool catalog_has(const struct coordinator *self, enum definition_kind kind, const char *name);
/* NULL when there is none, or it was removed. */
const struct catalog_entry *catalog_find(const struct coordinator *self, enum definition_kind kind,
                                         const char *name);
/* Names in order of first application; removed ones are left out. */
const struct catalog_entry *catalog_next(const struct coordinator *self, enum definition_kind kind,
                                         size_t *position);
/* Any version (0: the newest, removed or not), the caller's to destroy. */
struct catalog_entry *catalog_version(struct coordinator *self, enum definition_kind kind,
                                      const char *name, uint32_t version,
                                      struct err *err) MUST_CHECK;
void catalog_entry_destroy(struct catalog_entry **self_p);

/* Puts a definition into the current batch, as the next version unless it is the newest already. */
int catalog_apply(struct coordinator *self, const struct definition *definition, const char *by,
                  uint32_t *ret_version, bool *ret_changed, struct err *err) MUST_CHECK;
/* What catalog_apply would answer. */
void catalog_preview(const struct coordinator *self, const struct definition *definition,
                     uint32_t *ret_version, bool *ret_changed);
/* Whether all these can be applied without passing the limit of names. */
int catalog_room(const struct coordinator *self, const struct definitions *definitions,
                 struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND. Versions stay for the executions that pinned them. */
int catalog_remove(struct coordinator *self, enum definition_kind kind, const char *name,
                   struct err *err) MUST_CHECK;

/* For engine_config: context is the coordinator. */
dag_t *catalog_find_dag(void *context, const char *workflow, uint32_t version, const char *agent,
                        struct err *err);
/* What an execution keeps of an agent. All texts and lists are borrowed from the entry. */
void catalog_pin_of(const struct catalog_entry *entry, struct pinned_agent *ret_pin);
int catalog_pin_agent(void *context, const char *name, struct pinned_agent *ret_pin, struct err *err);
bool catalog_next_agent(void *context, size_t *position, const char **ret_name,
                        const char **ret_about);
/* An engine over this coordinator's catalog and blobs. */
engine_t *catalog_new_engine(struct coordinator *self);
/* The newest versions of all agents that the graph names; ERR_INVALID naming those that are not
 * there. The array is the arena's. */
int catalog_pin(struct coordinator *self, const dag_t *dag, struct arena *arena,
                const struct pinned_agent **ret_agents, size_t *ret_count,
                struct err *err) MUST_CHECK;
/* The same of the workflows that its nodes run. */
int catalog_pin_workflows(struct coordinator *self, const dag_t *dag, struct arena *arena,
                          const struct pinned_workflow **ret_workflows, size_t *ret_count,
                          struct err *err) MUST_CHECK;
/* For engine_config: the input with its defaults, and both kinds of pins. */
int catalog_prepare_workflow(void *context, const char *workflow, uint32_t version,
                             const value_t *input, struct arena *arena,
                             struct prepared_workflow *ret_prepared, struct err *err) MUST_CHECK;

#endif
