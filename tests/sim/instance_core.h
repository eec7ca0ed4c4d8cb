/* What the files of the simulated agentd share. */
#ifndef AF_TESTS_SIM_INSTANCE_CORE_H
#define AF_TESTS_SIM_INSTANCE_CORE_H

#include "agentd/conversation.h"
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
    int64_t over_us; /* when it ends by itself, on the world's time; SIM_NEVER: it does not */
    bool killed, over; /* over: its end waits to be seen by the instance */
    bool fails, permanent, hangs;
    bool tool; /* of a turn's call, which `what` names */
};

enum job_state { JOB_QUEUED, JOB_COMMAND, JOB_SLEEP, JOB_MUTE, JOB_TALK };

/* What is said again until it is answered; correlation 0: there is none. */
struct asking {
    uint64_t correlation;
    int64_t again_us, pause_us;
};

/* Of a task that a model answers, as in agentd/jobs_turns.c. */
struct talk {
    conversation_t *conversation;
    char egress[40];
    uint32_t journal; /* the step whose acknowledgement is waited for; 0: none */
    bool waits;       /* for a lease */
    bool with_payload;
    struct asking call, history;
    uint32_t history_from;
    uint8_t request_hash[DATUM_HASH_BYTES];
    size_t commands; /* of tools, that run */
};

/* A conversation that nobody works on. */
struct parked {
    struct uuid execution;
    char path[PATH_BYTES];
    conversation_t *conversation;
};
#define PARKED_MOST 9

struct job {
    struct job *next;
    struct task *task;
    enum job_state state;
    const char *stopped; /* the code of the failure that follows from it; NULL: it was not */
    bool limited;        /* its timeout is the end of the execution's time */
    int64_t timeout_at_us, wake_at_us; /* monotonic; SIM_NEVER: none */
    struct command *command;
    struct talk *talk; /* JOB_TALK */
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
    struct job *jobs, *last_job;       /* oldest first */
    size_t running;                    /* jobs in JOB_COMMAND, and commands of tools */
    struct parked parked[PARKED_MOST]; /* oldest first */
    size_t parked_count;
    uint64_t correlation;
    struct command *commands; /* those that were killed, too, until their end is seen */
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
void instance_send(struct instance *self, const char *to, uint64_t correlation,
                   const struct wire_body *body, struct bytes payload);

/* instance_jobs.c */
void jobs_take(struct instance *self, struct task *task, const struct wire_dispatch *dispatch);
void jobs_drop(struct instance *self, struct task *task);
/* Ends it with a step, once nothing of it is left. */
void jobs_stop(struct instance *self, struct job *job, const char *code);
void jobs_see_ends(struct instance *self);
/* Ends it with a result, or a failure of this code. */
void jobs_finish(struct instance *self, struct job *job, const char *code, bool permanent);
void jobs_forget(struct instance *self, struct job *job);
/* NULL: it died just there. */
struct command *jobs_start_command(struct instance *self, struct job *job,
                                   const struct sim_task *what);
bool jobs_has_dying_run(const struct instance *self, const struct task *task);
void jobs_kill_tools(struct instance *self, const struct job *job);
/* What a command, or a tool, comes to: it says which run made it. */
void jobs_pack_output(const struct instance *self, const struct task *task, struct buf *out);
/* Starts what may start; true when only the lease is missing. */
bool jobs_tick(struct instance *self, bool lease);
void jobs_stop_effects(struct instance *self);
int64_t jobs_deadline(const struct instance *self);
void jobs_die(struct instance *self); /* with the instance */
void jobs_release(struct instance *self);

/* instance_talks.c */
void talks_take(struct instance *self, struct job *job, const struct wire_dispatch *dispatch);
void talks_advance(struct instance *self, struct job *job, bool lease);
void talks_tick(struct instance *self, struct job *job); /* says again what is not answered */
int64_t talks_deadline(const struct job *job);
void talks_granted(struct instance *self, struct job *job, const struct wire_granted *granted);
void talks_answered(struct instance *self, const struct wire_call_answer *answer,
                    struct bytes payload);
void talks_history(struct instance *self, uint64_t correlation, const struct wire_reply *reply,
                   struct bytes payload);
void talks_tool_over(struct instance *self, struct job *job, const struct command *command);
/* park: its conversation may be gone on with. */
void talks_release(struct instance *self, struct job *job, bool park);
void talks_forget_parked(struct instance *self);

/* instance_wrong.c */
void wrong_say(struct instance *self);

#endif
