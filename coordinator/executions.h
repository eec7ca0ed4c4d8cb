/* Executions as the store and the engine show them: summaries and their indexes, written at start
 * and end, and the documents that clients get. */
#ifndef AF_COORDINATOR_EXECUTIONS_H
#define AF_COORDINATOR_EXECUTIONS_H

#include "coordinator/coordinator.h"
#include "coordinator/doc.h"
#include "coordinator/record.h"

/* For the pipeline: what the tables hold beside the journal. */
void executions_write_started(struct coordinator *self, store_batch_t *writes,
                              const struct event *event);
/* It ended before, and runs again; or it begins as a fork, with the events of another one. */
void executions_write_reopened(struct coordinator *self, store_batch_t *writes,
                               const struct event *event);
void executions_write_forked(struct coordinator *self, store_batch_t *writes,
                             const struct event *event);
void executions_write_ended(struct coordinator *self, store_batch_t *writes,
                            const struct event *event);

/* ERR_NOT_FOUND naming the execution. What the summary points to is the arena's. */
int executions_summary(struct coordinator *self, struct uuid id, struct arena *arena,
                       struct summary *ret_summary, struct err *err) MUST_CHECK;

struct execution_options {
    bool tasks;       /* list them */
    bool outputs;     /* with their outputs */
    uint32_t after;   /* tasks to pass over */
    uint32_t limit;   /* tasks at most */
};
/* The whole document of one execution, from an engine that has it. */
void executions_document(const engine_t *engine, struct uuid id,
                         const struct execution_options *options, struct doc *doc);
/* What an ended execution came to, from its summary alone: no input, no tasks, and no fold. */
void executions_outcome(struct uuid id, const struct summary *summary, struct doc *doc);
/* An item of a list. status may differ from the summary's where the engine knows better. */
void executions_item(struct uuid id, const struct summary *summary, enum execution_status status,
                     const char *set_aside, struct doc *doc);
/* The key of an execution in the table by name; valid until out changes. */
struct bytes executions_name_key(const struct summary *summary, struct uuid id, struct buf *out);
void executions_failure(struct doc *doc, const char *key, const struct failure *failure);

/* Executions whose journal can't be folded: they are left alone, with the reason. */
struct aside *aside_new(void);
void aside_destroy(struct aside **self_p);
void aside_put(struct coordinator *self, struct uuid id, const char *reason);
const char *aside_reason(const struct coordinator *self, struct uuid id); /* NULL: it is not */
size_t aside_count(const struct coordinator *self);

#endif
