/* What is to run on this host, what runs, and when it is started again: the coordinator's plan folded
 * into slots, one for each agentd process wished, with backoff and the end of crash loops. Pure: the
 * time is a parameter, and processes are the shell's, which does what plan_next says and tells of
 * exits. Owned by the loop of hostd.
 *
 *              plan_next: START                 exit, not too often
 *   WAITING ---------------------> RUNNING ------------------------> WAITING (due after a backoff)
 *      ^                             |  |
 *      | a new plan, or its rest     |  | exit, too often
 *      | is over                     |  +--------------------------> HALTED
 *      +-------------------------------------------------------------- |
 *                                    | not wished any more: TERMINATE, later KILL
 *                                    +--------------------------> STOPPING --exit--> (no slot)
 *
 * WAITING, HALTED: there is no process; due_us is when one is started. RUNNING: there is one.
 * STOPPING: there is one, told to end; due_us is when it is killed. */
#ifndef AF_HOSTD_PLAN_H
#define AF_HOSTD_PLAN_H

#include "base/limits.h"
#include "proto/wire.h"

#define PLAN_NEVER INT64_MAX

enum slot_state { SLOT_WAITING, SLOT_RUNNING, SLOT_STOPPING, SLOT_HALTED };

struct slot {
    uint64_t id; /* never given twice */
    char agent[LIMIT_NAME_BYTES + 1];
    uint64_t memory_bytes; /* of its tasks; 0: default */
    enum slot_state state;
    bool unwished; /* RUNNING, to be told to end by the next plan_next */
    int64_t due_us;
    int64_t started_us;
    unsigned failures; /* in a row: what the backoff grows by */
    int64_t exits[LIMIT_CRASH_LOOP_EXITS]; /* a ring of the last ones that count for a crash loop */
    unsigned exits_count;                  /* of all that were put into it */
};

typedef struct plan plan_t;

plan_t *plan_new(void);
void plan_destroy(plan_t **self_p);

/* Takes a plan: the whole wish. ERR_CONFLICT for a lower number than the last one's: it is ignored.
 * ERR_LIMIT when it wishes for more than LIMIT_HOST_PROCESSES: it is done as far as that goes. A
 * greater number lets halted slots try again at once. */
int plan_apply(plan_t *self, const struct wire_plan *wish, int64_t now_us,
               struct err *err) MUST_CHECK;
/* The coordinator may have restarted: its numbers are its own, so the next plan counts. */
void plan_forget_number(plan_t *self);
/* Wishes for nothing; processes have grace_us until they are killed. */
void plan_stop_all(plan_t *self, int64_t grace_us);

/* A process that an earlier hostd has started. Until the first plan comes it is wished for. NULL
 * past LIMIT_HOST_PROCESSES. */
const struct slot *plan_adopt(plan_t *self, const char *agent, uint64_t memory_bytes,
                              uint32_t restarts, int64_t now_us);

/* The next thing to do now; the slot has taken the state that follows from it. */
enum plan_action { PLAN_NOTHING, PLAN_START, PLAN_TERMINATE, PLAN_KILL };
enum plan_action plan_next(plan_t *self, int64_t now_us, const struct slot **ret_slot);
int64_t plan_deadline(const plan_t *self); /* when plan_next has something to do; PLAN_NEVER */

/* The slot's process is over (or could not be started). killed: a signal of somebody else's ended it,
 * which is no defect of its own and makes no crash loop. */
struct plan_exit {
    bool crashed;      /* it was to go on running */
    bool halted;       /* a crash loop: it is not started before its rest is over */
    int64_t again_us;  /* when it is started again; PLAN_NEVER: not */
    uint32_t restarts; /* of this agent on this host, this one included */
};
struct plan_exit plan_exited(plan_t *self, uint64_t id, bool killed, int64_t now_us);

const struct slot *plan_slot(const plan_t *self, uint64_t id); /* NULL when there is none */
uint32_t plan_restarts(const plan_t *self, const char *agent);
size_t plan_size(const plan_t *self); /* slots */

#endif
