/* What the files of the jobs share: jobs.c (a job's way and time), jobs_programs.c (what is started
 * in a sandbox), jobs_turns.c, jobs_tools.c and jobs_history.c (tasks that a model answers). */
#ifndef AF_AGENTD_JOBS_CORE_H
#define AF_AGENTD_JOBS_CORE_H

#include "agentd/command.h"
#include "agentd/conversation.h"
#include "agentd/deadlines.h"
#include "agentd/jobs.h"
#include "agentd/outcome.h"
#include "agentd/parked.h"
#include "agentd/transfer.h"
#include "definitions/versions.h"
#include "base/limits.h"

enum job_state {
    JOB_VERSION, JOB_FETCH, JOB_QUEUED, JOB_COMMAND, JOB_SLEEP, JOB_STORE, JOB_TURNS,
};

/* The command of a tool that runs. */
struct tool {
    struct tool *next;
    uint64_t owner;   /* among those of tasks, whose numbers are below TOOL_OWNERS */
    uint64_t command;
    uint32_t call;
    const char *program; /* the definition's */
    int64_t timeout_us, timeout_at_us;
    int64_t started_us; /* UTC */
    bool timed_out;
};
#define TOOL_OWNERS (1ull << 63)

/* Of a request or a call that is said again until it is answered; correlation 0: there is none. */
struct asking {
    uint64_t correlation;
    int64_t again_us, pause_us;
};

/* What a task has that a model answers. */
struct turns {
    conversation_t *conversation;
    char egress[LIMIT_ADDRESS_BYTES + 1];
    bool waits;           /* for a lease, or a place for a command */
    uint32_t journal;     /* the step whose acknowledgement is waited for; 0: none */
    struct asking history, call;
    uint32_t history_from;
    bool with_payload;    /* the next time the call is said, the request goes along */
    uint8_t request_hash[DATUM_HASH_BYTES];
    struct buf value;     /* that is fetched or stored */
    bool stores, stored;  /* the output of the report that is next */
    struct tool *tools;
    int64_t started_us;   /* UTC: of what is reported next */
};

struct job {
    struct job *next, *prev; /* of all jobs */
    struct job *queued;      /* the next in the queue */
    struct task *task;       /* whose `work` this is: both end together */
    enum job_state state;
    struct version *version;
    char *workflow;
    struct datum blob; /* the message, when it is large */
    struct buf message;
    int64_t deadline_utc_us;
    bool has_timeout;      /* its dispatch gave one; else the definition's counts */
    int64_t timeout_us;    /* what it was given, for the message; 0: none */
    int64_t timeout_at_us; /* INT64_MAX: none */
    int64_t wake_at_us;    /* what the state waits for; INT64_MAX: nothing */
    struct deadline deadline;
    struct transfer transfer;
    uint64_t command;
    enum { STOP_NONE, STOP_TIMEOUT, STOP_CANCEL } stopped;
    struct outcome outcome;
    struct turns *turns; /* NULL unless a model answers, or it is not known who does */
};

/* A command of a task that has left, until nothing of it is left either: a newer run of the same
 * task must not start beside it. */
struct dying {
    struct dying *next;
    uint64_t owner;
    struct uuid execution;
    char *path;
};

struct jobs {
    struct jobs_options options;
    int64_t now_us, utc_us;
    bool lease; /* while jobs_tick starts what waits for it */
    struct versions versions;
    struct version *newest;
    struct job *first, *queue;
    struct dying *dying;
    struct deadlines deadlines;
    uint64_t correlation;
    size_t running;       /* jobs in JOB_COMMAND */
    size_t tools_running; /* of tasks that are held */
    uint64_t tools_started;
    size_t turns_waiting, turns_unjournaled; /* whose `waits`, and whose `journal` is set */
    struct parked parked;
    struct sandbox sandbox;
    scratch_t *scratch;
    commands_t *commands; /* NULL until the first one */
    bool sweeping;
};

/* jobs.c */
void job_schedule(jobs_t *self, struct job *job);
void job_destroy(jobs_t *self, struct job *job);
void job_finish_with(jobs_t *self, struct job *job, const struct datum *output);
void job_finish_failed(jobs_t *self, struct job *job); /* by its outcome */
void job_fail_err(jobs_t *self, struct job *job, bool permanent, const struct err *err);
void job_set_stopped(struct job *job); /* its outcome says why it was stopped */
void job_send_transfer(jobs_t *self, struct job *job);
void job_store_output(jobs_t *self, struct job *job, struct buf *output);
void jobs_send(jobs_t *self, const char *to, const struct wire_body *body, uint64_t correlation,
               struct bytes payload);
/* Gives the message of a request or a call its number, and says when to repeat it. */
void jobs_ask(jobs_t *self, struct asking *asking, int64_t first_us, int64_t max_us);

/* jobs_programs.c */
struct program {
    char *const *argv; /* as the definition has them */
    struct bytes input;
    bool network;
};
/* What can't be mended by trying again gives a permanent failure. */
int programs_start(jobs_t *self, const struct job *job, const struct program *program,
                   uint64_t owner, uint64_t *ret_id, bool *ret_permanent, struct err *err) MUST_CHECK;
uint64_t programs_memory(const jobs_t *self, const struct agent_def *def);
/* Ends a program of a task that is about to leave. */
void programs_abandon(jobs_t *self, const struct task *task, uint64_t owner, uint64_t id);
bool programs_has_dying(const jobs_t *self, const struct task *task);
void programs_forget_dying(jobs_t *self, uint64_t owner);
void programs_enqueue(jobs_t *self, struct job *job);
void programs_dequeue(jobs_t *self, struct job *job);
void programs_start_queued(jobs_t *self);

/* jobs_turns.c */
void turns_begin(jobs_t *self, struct job *job, const struct wire_dispatch *dispatch);
void turns_define(jobs_t *self, struct job *job);  /* its version is known: a model answers */
void turns_advance(jobs_t *self, struct job *job); /* may end the job */
void turns_granted(jobs_t *self, struct job *job, const struct wire_granted *granted);
void turns_park(jobs_t *self, struct job *job); /* keeps the conversation; the job is about to end */
void turns_release(jobs_t *self, struct job *job);
void turns_wake(jobs_t *self, struct job *job);
void turns_set_wake(jobs_t *self, struct job *job);
void turns_transferred(jobs_t *self, struct job *job);
void turns_receive_answer(jobs_t *self, const struct message *message);
void turns_undelivered(jobs_t *self, uint64_t correlation);
void turns_tick(jobs_t *self); /* what waits for the lease, a place or the journal */

/* jobs_tools.c */
bool tools_start(jobs_t *self, struct job *job, const struct conversation_next *next);
void tools_wake(jobs_t *self, struct job *job); /* kills those whose time is up */
void tools_kill(jobs_t *self, struct job *job); /* their ends follow */
void tools_abandon(jobs_t *self, struct job *job);
void tools_ended(jobs_t *self, uint64_t owner, const struct command_end *end);

/* jobs_history.c */
void history_ask(jobs_t *self, struct job *job, uint32_t from);
void history_send(jobs_t *self, struct job *job);
/* Whether the reply was to such a request. */
bool history_receive(jobs_t *self, const struct message *message);

#endif
