/* Events of the journal as documents: what executions.journal lists and what is published. */
#ifndef AF_COORDINATOR_EVENTS_H
#define AF_COORDINATOR_EVENTS_H

#include "coordinator/doc.h"
#include "engine/event.h"

/* All that the event says beside its sequence, time and kind, into the open map. */
void events_document(struct doc *doc, const struct event *event);
/* Of what an expression came to; published alike. */
void events_decided(struct doc *doc, const struct event_decided *decided);
/* "tokens" {input, output} and "cost_microusd". */
void events_usage(struct doc *doc, const struct usage *usage);
int64_t events_number(uint64_t number); /* the most that a document can hold, at most */

/* What comes from outside and takes its time: waits to pauses. */
void events_wait(struct doc *doc, const struct event *event);
/* What owns a sub-workflow, if anything does; and that a task began one. */
void events_owner(struct doc *doc, struct uuid owner, const char *path);
void events_owned(struct doc *doc, const struct event_owned *owned);
/* A retry, or a fork. */
void events_again(struct doc *doc, const struct event *event);
const char *events_wait_name(enum wait_kind kind);

#endif
