/* A coordinator for tests of agentd: answers agents.get with one definition, welcomes links, serves
 * blobs from memory, dispatches, and records the steps that come back. Reached through a real
 * brokerd. A failed expectation fails the cmocka test that runs. */
#ifndef AF_AGENTD_FAKE_COORDINATOR_H
#define AF_AGENTD_FAKE_COORDINATOR_H

#include "base/value.h"
#include "proto/link.h"
#include "proto/peer.h"

#define FAKE_PATIENCE_US (20 * 1000000LL) /* no test waits that long unless it is going to fail */

/* A delegation or a tool call. */
struct fake_said {
    bool delegates, hand_off;
    struct wire_run run;
    uint32_t attempt, turn, call;
    char *name;
    value_t *value, *context;
};

struct fake_step {
    struct uuid execution;
    char *path;
    struct wire_run run;
    uint32_t attempt, number, turn, call;
    enum wire_step_kind kind;
    char *calls; /* names with commas between them */
    struct wire_usage usage;
    bool failed, permanent;
    char *code, *message, *detail;
    value_t *output; /* NULL when it failed, or the output is a blob that was never stored */
    bool output_is_blob;
};

struct fake {
    peer_t *peer;
    link_t *link;
    struct wire_link_id id;
    char *instance; /* whom the link is with */
    uint64_t boot;
    value_t *definition;
    uint32_t version;
    bool keep;   /* the verdict on what a hello claims */
    bool deaf;   /* takes nothing in and answers nothing: a partition */
    bool commits; /* acknowledges steps */
    struct fake_step *steps;
    size_t steps_count;
    uint64_t credit;
    bool draining;
    size_t hellos, byes, claims; /* claims: of the newest hello */
    uint32_t claimed_step;       /* its first claim's unacknowledged step, or 0 */
    uint64_t counter;            /* of runs */
    struct buf blob;             /* the one that is stored */
    struct buf *blobs;
    size_t blobs_count;
    size_t puts;
    struct fake_said *said;
    size_t said_count;
    struct wire_history *history; /* of the task that takes turns */
    struct buf *history_bytes;
    uint32_t history_count;
    uint32_t history_page; /* entries of an answer to tasks.history */
    size_t history_asked;
    uint32_t journaled_step;      /* of that task, for its next dispatch */
    const char *egress; /* address, for dispatches and grants */
    void (*also)(void *context); /* serves something else in each round */
    void *also_context;
    bool count_only; /* steps are counted, not kept: for throughput */
};

void fake_init(struct fake *self, const char *endpoint, const char *definition_json);
void fake_release(struct fake *self);

/* Serves what arrives until the condition holds; fails after the patience. */
void fake_wait(struct fake *self, bool (*condition)(struct fake *self));
void fake_wait_steps(struct fake *self, size_t count);
void fake_serve_for(struct fake *self, int64_t us);

/* Sends one dispatch with a new run; message is JSON. Returns the run. */
struct wire_run fake_dispatch(struct fake *self, struct uuid execution, const char *path,
                              const char *message_json, uint64_t timeout_us);
struct wire_run fake_dispatch_datum(struct fake *self, struct uuid execution, const char *path,
                                    struct datum message, uint64_t timeout_us);
/* The same of a task that takes turns: with a grant (0: none), and the history from `from` on. */
struct wire_run fake_dispatch_turn(struct fake *self, struct uuid execution, const char *path,
                                   const char *message_json, uint32_t turn, uint32_t from);
void fake_grant(struct fake *self, struct uuid execution, const char *path, struct wire_run run,
                uint32_t turn);
/* Adds to the history; code NULL: an output, else output_json is the message of a failure. */
void fake_remember(struct fake *self, enum wire_step_kind kind, uint32_t turn, uint32_t call,
                   const char *output_json, const char *code);
void fake_wait_said(struct fake *self, size_t count);
void fake_drop(struct fake *self, struct uuid execution, const char *path, struct wire_run run);
/* Keeps a value as a blob, to be named by a dispatch. */
struct datum fake_blob(struct fake *self, const value_t *value);
bool fake_linked(struct fake *self);

#endif
