/* The tasks that an instance holds: those it works on, and those whose step it has reported and that
 * the coordinator has not acknowledged yet. It gives the inventory of a hello, obeys the verdicts of
 * a Welcome, and counts credit. Rules: architecture.md section 3, "Links". Pure.
 *
 *   take            run              finish              sent
 *   -----> WAITING -----> RUNNING ----------> FINISHED ---------> SENT
 *             |              |     finish        ^                  |
 *             +--------------+-------------------+ <----------------+
 *                                                       welcome
 * A WAITING task has had no effect yet, a RUNNING one may have had. FINISHED: its step is written
 * and waits to be put into a frame. SENT: the step is in the frame `sequence` of the present link.
 * A task leaves by its acknowledgement, by a drop, or by a Welcome that does not keep it. */
#ifndef AF_AGENTD_TASKS_H
#define AF_AGENTD_TASKS_H

#include "proto/wire.h"

enum task_state { TASK_WAITING, TASK_RUNNING, TASK_FINISHED, TASK_SENT };

struct task {
    uint64_t id; /* never used again: what goes across an asynchronous gap */
    struct uuid execution;
    const char *path;
    struct wire_run run;
    uint32_t attempt;
    uint32_t journaled_step; /* its next step is this plus one */
    uint32_t step_number;    /* of its unacknowledged step, once finished */
    enum task_state state;
    int64_t queued_us, started_us; /* UTC */
    struct buf step;               /* the encoded item, once finished */
    uint64_t sequence;             /* once sent: the frame that it went out in */
    void *work;                    /* the owner's; NULL when it has none */

    /* The table's own. */
    struct buf path_bytes;
    struct task *next, *prev, *chain;
    bool judged;
};

typedef struct tasks tasks_t;

tasks_t *tasks_new(uint32_t parallel);
void tasks_destroy(tasks_t **self_p); /* what `work` names is the owner's */

struct task *tasks_get(const tasks_t *self, uint64_t id); /* NULL: it has left */
struct task *tasks_find(const tasks_t *self, struct uuid execution, const char *path);

enum tasks_take {
    TASKS_TAKEN,  /* *ret_task is new, and waits */
    TASKS_HELD,   /* this run, or a newer one, is held: ignore */
    TASKS_BEFORE, /* *ret_task is an older run of the same task: end it, drop it, take again */
};
enum tasks_take tasks_take(tasks_t *self, const struct wire_dispatch *dispatch,
                           struct task **ret_task);

void tasks_run(tasks_t *self, struct task *task);
/* Once task->step holds its step as an encoded item. */
void tasks_finish(tasks_t *self, struct task *task);
/* The first finished task whose step has not been put into a frame, or NULL; the next one. */
struct task *tasks_finished(const tasks_t *self);
struct task *tasks_finished_next(const struct task *task);
void tasks_sent(tasks_t *self, struct task *task, uint64_t sequence);
/* All frames up to this one have been acknowledged: their tasks leave. */
void tasks_acknowledge(tasks_t *self, uint64_t sequence);
void tasks_drop(tasks_t *self, struct task **task_p);

/* Claims for a hello, into the arena. */
void tasks_inventory(const tasks_t *self, struct arena *arena, const struct wire_claim **ret_claims,
                     size_t *ret_count);
/* Obeys a Welcome: calls `drop` for each task that is not kept, which then leaves; all steps that
 * are still unacknowledged are to be sent anew; credit starts anew. */
typedef void (*tasks_drop_fn)(void *context, struct task *task);
void tasks_welcome(tasks_t *self, const struct wire_verdict *verdicts, size_t count,
                   tasks_drop_fn drop, void *context);

/* The total of tasks that it has been ready to take since Welcome, those kept from the inventory
 * counted as sent. Does not grow while it drains, nor while too many steps are unacknowledged. */
uint64_t tasks_credit(tasks_t *self);
/* What a hello offers: its places. Of the claims that are kept, those whose work is done take none,
 * which the credit that follows the Welcome makes good; offered here, the places of claims that are
 * refused would be given away twice. */
uint64_t tasks_hello_credit(const tasks_t *self);
void tasks_set_parallel(tasks_t *self, uint32_t parallel);
uint32_t tasks_parallel(const tasks_t *self);
void tasks_drain(tasks_t *self);

size_t tasks_count(const tasks_t *self);
size_t tasks_count_in(const tasks_t *self, enum task_state state);
void tasks_trim(tasks_t *self); /* gives back the memory of tasks that have left */

#endif
