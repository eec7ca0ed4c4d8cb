/* Workflows that start by themselves: when each is due next, and who listens to which signal. What a
 * schedule starts and that it has started it are written in one batch. Times are those of the
 * machine's clock on the wall (wall_us), which may be set: a time that was run for never comes again,
 * since the next one, once written, only moves on. */
#ifndef AF_COORDINATOR_SCHEDULES_H
#define AF_COORDINATOR_SCHEDULES_H

#include "coordinator/coordinator.h"
#include "definitions/definitions.h"

struct schedules *schedules_new(void);
void schedules_destroy(struct schedules **self_p);
/* After the catalog. A record that can't be read is logged, and its schedule begins anew. */
int schedules_load(struct coordinator *self, struct err *err) MUST_CHECK;
/* A workflow was applied or removed, in the current batch. */
void schedules_follow(struct coordinator *self, const char *workflow);

/* Starts what is due, as much as there is room for. */
void schedules_tick(struct coordinator *self);
int64_t schedules_deadline(const struct coordinator *self); /* on the wall; INT64_MAX: none */

/* One schedule, for lists and for signals. All is borrowed until the next call that may change it. */
struct schedule_view {
    const char *workflow;
    uint32_t version;
    const struct workflow_schedule *what;
    int64_t next_us, last_us; /* next INT64_MAX: never; last 0: not yet */
    struct uuid last;         /* the execution started last */
    const char *trouble;      /* why it started nothing when it was due last; NULL: it did */
};
/* In order of first application; false at the end. */
bool schedules_next(const struct coordinator *self, size_t *position, struct schedule_view *ret_view);
/* A signal has started this execution of the workflow, in the current batch. */
void schedules_note(struct coordinator *self, const char *workflow, struct uuid execution);

#endif
