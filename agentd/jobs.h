/* The work behind the tasks that an instance holds: knows the agent's definition, fetches and stores
 * large values, runs builtins, commands and conversations with models, and writes each task's steps. An echo is answered at
 * once; everything else has a job, which goes through
 *
 *   VERSION -> FETCH -> QUEUED -> COMMAND -> STORE      a command
 *   VERSION -> FETCH -> SLEEP ------------> STORE       a builtin
 *   VERSION -> TURNS                                    a model
 *
 * skipping what it doesn't need, and ends with the task's step from any of them when it fails.
 * QUEUED waits for a lease and a place; TURNS does what the task's conversation says. One thread; times are given once for each round. */
#ifndef AF_AGENTD_JOBS_H
#define AF_AGENTD_JOBS_H

#include "agentd/tasks.h"
#include "definitions/definitions.h"
#include "proto/message.h"

typedef void (*jobs_send_fn)(void *context, const char *to, const struct wire_body *body,
                             uint64_t correlation, struct bytes payload);

struct jobs_options {
    const char *agent, *instance;       /* names; "inst_…" */
    const char *agents_dir, *scratch_dir;
    uint64_t memory_bytes;              /* a cap on what the definition gives; 0: none */
    int epoll_fd;
    tasks_t *tasks;
    jobs_send_fn send;                  /* to an address; what is lost is sent again */
    void *context;
};

typedef struct jobs jobs_t;

/* The options' strings and tasks are borrowed. */
jobs_t *jobs_new(const struct jobs_options *options);
void jobs_destroy(jobs_t **self_p); /* kills all commands and waits for their ends */

/* The time of this round: to be called before anything else in it. */
void jobs_set_time(jobs_t *self, int64_t now_us, int64_t utc_us);
/* The newest definition known, asked for since jobs_new; NULL until it came. */
const struct agent_def *jobs_definition(const jobs_t *self);

void jobs_take(jobs_t *self, struct task *task, const struct wire_dispatch *dispatch);
/* A turn of the task may be asked for. */
void jobs_granted(jobs_t *self, struct task *task, const struct wire_granted *granted);
/* Ends the work of a task that is about to leave, without a step. */
void jobs_drop(jobs_t *self, struct task *task);
/* Ends the work of a task that has some; the step that says so follows once nothing of it is left. */
void jobs_cancel(jobs_t *self, struct task *task);

/* REPLY, BLOB_CHUNK, BLOB_STORED, CALL_ANSWER, UNDELIVERABLE. Returns an error to be told to the operator (once),
 * or 0. */
int jobs_receive(jobs_t *self, const struct message *message, struct err *err);
void jobs_event(jobs_t *self, uint64_t data); /* of the epoll set */

/* Does what is due; starts commands and asks models if the lease is valid. Returns whether something
 * waits for a lease. */
bool jobs_tick(jobs_t *self, bool lease);
int64_t jobs_deadline(const jobs_t *self); /* when to tick next; INT64_MAX: whenever */

/* Whether something waits that needs a lease. */
bool jobs_waiting(const jobs_t *self);
/* Whether anything runs that may have an effect outside. */
bool jobs_effects(const jobs_t *self);
/* The lease ran out: kills all commands, those of tools too, and drops their tasks. What waits for a
 * model goes on waiting: the call is not ours. */
void jobs_stop_effects(jobs_t *self);

/* What the sandbox lacks on this machine, to be logged once; "" when nothing or not known yet. */
const char *jobs_shortfall(const jobs_t *self);

#endif
