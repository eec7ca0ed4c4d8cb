/* The tasks that an instance holds: those it works on, and those whose end it has reported and that
 * the coordinator has not acknowledged yet; and what it reports of them, in order over all tasks,
 * until that is acknowledged. It gives the inventory of a hello, obeys the verdicts of a Welcome, and
 * counts credit. Rules: architecture.md section 3, "Links". Pure.
 *
 *   take            run              finish              sent
 *   -----> WAITING -----> RUNNING ----------> FINISHED ---------> SENT
 *             |              |     finish        ^                  |
 *             +--------------+-------------------+ <----------------+
 *                                                       welcome
 * A WAITING task has had no effect yet, a RUNNING one may have had; both may have reports on their
 * way. FINISHED: its last report is written, which gave back its place, and reports of it wait to be
 * put into a frame. SENT: all of them are in frames of the present link. A task leaves by the
 * acknowledgement of its last report, by a drop, or by a Welcome that does not keep it. */
#ifndef AF_AGENTD_TASKS_H
#define AF_AGENTD_TASKS_H

#include "proto/wire.h"

enum task_state { TASK_WAITING, TASK_RUNNING, TASK_FINISHED, TASK_SENT };

/* A step, a delegation or a tool call, encoded. The buffer of a task's first one is part of it, so
 * that a task that reports once costs no memory of its own. */
struct report {
    struct task *task;       /* NULL: not in use */
    uint32_t number;         /* of a step; 0: of something else, which an acknowledgement ends, too */
    uint64_t sequence;       /* the frame of the present link that it went out in; 0: not yet */
    struct buf item;

    /* The table's own. */
    struct report *next, *prev; /* of all that are to be sent, or of all that were */
    struct report *later;       /* of the same task */
};

struct task {
    uint64_t id; /* never used again: what goes across an asynchronous gap */
    struct uuid execution;
    const char *path;
    struct wire_run run;
    uint32_t attempt;
    uint32_t acknowledged_step; /* all up to this one are in the journal */
    uint32_t next_step;         /* the number of what it reports next */
    enum task_state state;
    int64_t queued_us, started_us; /* UTC */
    void *work;                    /* the owner's; NULL when it has none */

    /* The table's own. */
    struct report *reports, *last_report; /* unacknowledged, oldest first */
    struct report report;
    size_t unsent;
    size_t slot;
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
/* Queues a step, a delegation or a tool call of the task, and fills in whose it is: execution, path,
 * attempt, run, and for a step its number and when the task was queued. */
void tasks_report(tasks_t *self, struct task *task, struct wire_item *item);
/* Nothing follows what it has reported and is not acknowledged, of which there must be something. */
void tasks_finish(tasks_t *self, struct task *task);
/* The first report that has not been put into a frame, or NULL; the next one. */
const struct report *tasks_unsent(const tasks_t *self);
const struct report *tasks_unsent_next(const struct report *report);
/* The first `count` of them went out. */
void tasks_sent(tasks_t *self, size_t count, uint64_t sequence);
/* All frames up to this one have been acknowledged: their reports go, and the tasks that were
 * finished with them. */
void tasks_acknowledge(tasks_t *self, uint64_t sequence);
void tasks_drop(tasks_t *self, struct task **task_p);

/* Claims for a hello, into the arena. */
void tasks_inventory(const tasks_t *self, struct arena *arena, const struct wire_claim **ret_claims,
                     size_t *ret_count);
/* Obeys a Welcome: calls `drop` for each task that is not kept, which then leaves; steps that the
 * journal holds are acknowledged; all other reports are to be sent anew, in order; credit starts
 * anew. */
typedef void (*tasks_drop_fn)(void *context, struct task *task);
void tasks_welcome(tasks_t *self, const struct wire_verdict *verdicts, size_t count,
                   tasks_drop_fn drop, void *context);

/* The total of tasks that it has been ready to take since Welcome, those kept from the inventory
 * counted as sent. Does not grow while it drains, nor while too many reports are unacknowledged. */
uint64_t tasks_credit(tasks_t *self);
/* What a hello offers: its places. Of the claims that are kept, those whose work is done take none,
 * which the credit that follows the Welcome makes good; offered here, the places of claims that are
 * refused would be given away twice. */
uint64_t tasks_hello_credit(const tasks_t *self);
void tasks_set_parallel(tasks_t *self, uint32_t parallel);
uint32_t tasks_parallel(const tasks_t *self);
void tasks_drain(tasks_t *self);

size_t tasks_count(const tasks_t *self);
size_t tasks_sent_count(const tasks_t *self); /* reports that wait for their acknowledgement */
size_t tasks_count_in(const tasks_t *self, enum task_state state);
void tasks_trim(tasks_t *self); /* gives back the memory of tasks that have left */

#endif
