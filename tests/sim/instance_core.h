/* What the files of the simulated agentd share. */
#ifndef AF_TESTS_SIM_INSTANCE_CORE_H
#define AF_TESTS_SIM_INSTANCE_CORE_H

#include "agentd/tasks.h"
#include "proto/link.h"
#include "tests/sim/instance.h"
#include "tests/sim/observer.h"
#include "tests/sim/plan.h"

/* The world's commands: what an instance has started and what goes on without it until it ends or
 * is killed. */
struct command {
    struct command *next;
    struct instance *instance;
    uint64_t life;   /* of the instance */
    uint64_t number; /* never used again */
    uint64_t task;   /* its id in the table */
    struct sim_task what;
    bool killed, over; /* over: its end waits to be seen by the instance */
    bool fails, permanent, hangs;
};

enum job_state { JOB_QUEUED, JOB_COMMAND, JOB_SLEEP, JOB_MUTE };

struct job {
    struct job *next;
    struct task *task;
    enum job_state state;
    const char *stopped; /* the code of the failure that follows from it; NULL: it was not */
    bool limited;        /* its timeout is the end of the execution's time */
    int64_t timeout_at_us, wake_at_us; /* monotonic; SIM_NEVER: none */
    struct command *command;
};

/* A step on its way: to know what an acknowledgement acknowledges. */
struct reported {
    struct sim_task what;
    uint32_t number;
    uint64_t sequence;
    int64_t sent_us; /* the world's time, the first time under this link */
};

enum phase { SERVING, DRAINING };

struct instance {
    struct proc proc;
    struct world *world;
    size_t index;
    const struct plan_instance *plan;
    const struct plan_agent *agent;
    bool sends_wrong; /* the process that runs now */
    uint64_t boot;
    int64_t now_us, utc_us;
    enum phase phase;
    int64_t drain_until_us;
    link_t *link;
    tasks_t *tasks;
    struct job *jobs, *last_job; /* oldest first */
    size_t running;              /* jobs in JOB_COMMAND */
    struct command *commands;    /* those that were killed, too, until their end is seen */
    struct reported *reported;
    size_t reported_count, reported_capacity;
    uint64_t credit_sent;
    bool credit_due;
    int64_t beat_us, busy_us;
    int64_t opened_us; /* the world's time of the last Welcome */
    struct buf frame;
    struct arena items, claims;
};

struct fleet {
    struct instance instances[INSTANCES_MOST];
    size_t count;
    uint64_t commands;
};

struct sim_task instance_task(const struct task *task);

/* instance_jobs.c */
void jobs_take(struct instance *self, struct task *task, const struct wire_dispatch *dispatch);
void jobs_drop(struct instance *self, struct task *task);
/* Ends it with a step, once nothing of it is left. */
void jobs_stop(struct instance *self, struct job *job, const char *code);
void jobs_see_ends(struct instance *self);
/* Starts what may start; true when only the lease is missing. */
bool jobs_tick(struct instance *self, bool lease);
void jobs_stop_effects(struct instance *self);
int64_t jobs_deadline(const struct instance *self);
void jobs_die(struct instance *self); /* with the instance */
void jobs_release(struct instance *self);

/* instance_wrong.c */
void wrong_note(struct world *world, const struct wire_dispatch *dispatch, size_t instance);
void wrong_say(struct instance *self);

#endif
