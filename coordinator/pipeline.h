/* The pipeline: decide, commit, release, always in that order. Decisions and writes are gathered in
 * the current batch; batches are committed in order by the store's committer thread while the next
 * one gathers; only a committed batch, and only after all earlier ones, lets its effects out:
 * acknowledgements, welcomes, dispatches, drops, answers, events. A batch that writes nothing waits
 * for the earlier ones all the same. */
#ifndef AF_COORDINATOR_PIPELINE_H
#define AF_COORDINATOR_PIPELINE_H

#include "coordinator/coordinator.h"

struct pipeline *pipeline_new(void);
void pipeline_destroy(struct pipeline **self_p);

/* Gives the engine one input. Its events go into the current batch's journal, its effects out with
 * the batch's release. Errors are the engine's: nothing changed. */
int pipeline_decide(struct coordinator *self, struct input *input, struct err *err) MUST_CHECK;
/* The current batch's writes, to be added to. */
store_batch_t *pipeline_writes(struct coordinator *self);
/* The current batch's memory: lives until its release. */
struct arena *pipeline_arena(struct coordinator *self);
/* A message to be sent at release. All strings and the payload are copied. */
void pipeline_send(struct coordinator *self, const char *to, uint64_t correlation,
                   const struct wire_body *body, struct bytes payload);
/* What this link has received so far rests in the current batch: acknowledged at its release. */
void pipeline_acknowledge(struct coordinator *self, uint64_t handle);
/* Calls back at the release of the current batch. */
typedef void (*pipeline_done_fn)(struct coordinator *self, void *argument);
void pipeline_at_release(struct coordinator *self, pipeline_done_fn done, void *argument);

/* Whether more may be taken in. */
bool pipeline_has_room(const struct coordinator *self);
/* Hands the current batch on, when there is something in it and the committer is not behind. */
void pipeline_submit(struct coordinator *self);
/* Takes the store's completions and releases what may go out. Does not return when the store failed
 * or is no longer ours. */
void pipeline_complete(struct coordinator *self);
bool pipeline_empty(const struct coordinator *self); /* nothing gathered, nothing in flight */
size_t pipeline_answers_waiting(const struct coordinator *self);

#endif
