/* Who looks at the world from outside and knows what must hold: the seven invariants of
 * docs/architecture.md, and the promises of links and leases. It learns what the disk holds, what
 * leaves the coordinator, which effects run where, and what others were told; it trusts nobody's
 * word for it, but keeps a model of each execution of its own (model.h). */
#ifndef AF_TESTS_SIM_OBSERVER_H
#define AF_TESTS_SIM_OBSERVER_H

#include "engine/dag.h"
#include "tests/sim/plan.h"
#include "tests/sim/world.h"

struct event;
struct record;
struct scheduled;

/* The agent, or the tool, that instances ask for when they lie. */
#define LIAR "liar"

/* One run of one task. */
struct sim_task {
    struct uuid execution;
    char path[PATH_BYTES];
    struct wire_run run;
    uint32_t attempt;
    uint32_t turn, call; /* of the call that it is about; turn 0: of none */
};

struct observer *observer_new(struct world *world);
void observer_destroy(struct observer **self_p);
/* For engines: context is the world. */
dag_t *observer_find_dag(void *context, const char *workflow, uint32_t version, const char *agent,
                         struct err *err);

/* The disk holds one more record. Returns whether the execution has ended with it. */
bool observer_committed(struct world *world, const struct record *record);
void observer_scheduled(struct world *world, const struct scheduled *record); /* after the records */
void observer_batch_committed(struct world *world); /* and the last one of its batch */

/* The coordinator: folded this execution with this outcome; decided this event; lets this dispatch
 * or verdict out towards an address. A dispatch was decided when the execution's last event was
 * that of `sequence`; stopped: the same input then stopped the execution. */
void observer_folded(struct world *world, struct uuid execution, uint64_t fingerprint);
void observer_decided(struct world *world, const struct event *event);
void observer_coordinator_begins(struct world *world);
void observer_dispatched(struct world *world, const char *address,
                         const struct wire_dispatch *dispatch, uint64_t sequence, bool stopped);
/* It has not heard of this instance, or egress, for so long that nothing runs there any more. */
void observer_given_up(struct world *world, const char *address);
void observer_judged(struct world *world, const char *address, const struct wire_verdict *verdict);

/* Instances, by index. */
void observer_effect_started(struct world *world, size_t instance, const struct sim_task *what);
void observer_effect_ended(struct world *world, size_t instance, const struct sim_task *what,
                           const char *how);
void observer_acknowledged(struct world *world, size_t instance, const struct sim_task *what,
                           uint32_t number);
void observer_acknowledged_after(struct world *world, size_t instance, const struct sim_task *what,
                                 int64_t sent_us, int64_t took_us);

/* Models. An egress, by index: makes a call; is gone, or the coordinator takes it for gone. An
 * instance is told this about a call. */
void observer_call_made(struct world *world, size_t egress, const struct wire_call_key *key);
void observer_egress_lost(struct world *world, size_t egress);
void observer_call_replied(struct world *world, const char *to,
                           const struct wire_call_answer *answer);
/* The coordinator lets one of these out: a grant, a leave to ask for a turn, a forget, a drop. */
void observer_told(struct world *world, const char *address, const struct wire_item *item);

/* A person was told that this was done. */
struct shell_wish;
void observer_wish_answered(struct world *world, const struct shell_wish *wish);
/* Clients were told that this was started, or that its cancel was taken. */
void observer_start_answered(struct world *world, struct uuid execution);
void observer_cancel_answered(struct world *world, struct uuid execution);

/* Some run that somebody was given, now or before, with the number of its task's next step; not the
 * last one of a task that this instance was given last. False: none. */
bool observer_any_given(struct world *world, size_t other_than, struct sim_task *ret_what,
                        uint32_t *ret_number);
/* The last turn of a task, and how many calls it has; false: it has taken none. */
bool observer_last_turn(struct world *world, const struct sim_task *what, uint32_t *ret_turn,
                        uint32_t *ret_calls);
/* The instance that was given a task of it last that has not ended; false: none. */
bool observer_holder(const struct world *world, struct uuid execution, size_t *ret_instance);
/* An execution that is under way as far as the disk knows; false: none. */
bool observer_any_open(struct world *world, struct uuid *ret_execution);

/* What waits, as far as the disk knows, from a zeroed place on; false at the end. */
struct sim_place {
    size_t model;
    uint32_t node;
};
struct sim_wait {
    struct uuid execution;
    char path[PATH_BYTES];
    uint32_t attempt;
    enum dag_kind kind;
    const char *signal;
    const uint8_t *hash; /* of what is asked */
};
/* An execution that has failed or was cancelled, often the last one of them, seldom one that
 * succeeded; false: none. */
bool observer_any_ended(struct world *world, struct uuid *ret_execution);
/* A node of some execution that was let begin, with its path in PATH_BYTES; false: none. */
bool observer_any_begun(struct world *world, struct uuid *ret_execution, char *ret_node);
bool observer_next_wait(const struct world *world, struct sim_place *place,
                        struct sim_wait *ret_wait);
bool observer_next_paused(const struct world *world, struct sim_place *place,
                          struct uuid *ret_execution);

bool observer_satisfied(struct world *world); /* all has ended, a while ago */
void observer_end(struct world *world);       /* what must hold then */

#endif
