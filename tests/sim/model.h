/* What the journal says of one execution, told anew and simply: the rules of joins, retries, turns,
 * delegations and ends without the engine's code. It knows one workflow of the plan, and is fed the
 * events that the disk holds. */
#ifndef AF_TESTS_SIM_MODEL_H
#define AF_TESTS_SIM_MODEL_H

#include "engine/event.h"
#include "tests/sim/plan.h"

#define NO_TASK UINT32_MAX

enum model_status {
    MODEL_PENDING,
    MODEL_ACTIVE,  /* may be given out */
    MODEL_WAITING, /* for delegations or items */
    MODEL_SUCCEEDED,
    MODEL_FAILED,
    MODEL_SKIPPED,
    MODEL_CANCELLED,
};

/* What models used, or may use. */
struct model_sum {
    uint64_t tokens, cost;
};

/* A call of a task's last turn. */
enum model_tool { MODEL_LOCAL, MODEL_DELEGATE, MODEL_LIST, MODEL_GET, MODEL_SET };
struct model_call {
    enum model_tool tool;
    bool repeat_safe;
    bool said, done;         /* said: to the coordinator */
    uint32_t child;          /* NO_TASK: none */
    uint32_t effect_attempt; /* from outside the journal: of the effect that ran last; 0: none */
};

/* What has to be told before a task may run, or its items' outputs are its own. */
enum model_gate { MODEL_GATE_NONE, MODEL_GATE_IF, MODEL_GATE_FOR, MODEL_GATE_GATHER };
enum model_told { MODEL_UNTOLD, MODEL_HOLDS, MODEL_HOLDS_NOT };

enum model_wait_end {
    MODEL_WAIT_OPEN,
    MODEL_WAIT_DECIDED,
    MODEL_WAIT_SIGNALLED,
    MODEL_WAIT_DUE,
};
struct model_signal {
    const char *name;
    int64_t payload;
};

struct model_member {
    bool set;
    int64_t number;
};
struct model_context {
    struct model_member members[MEMBER_M];
    bool has_m;
};

/* A task of the workflow, or below one. */
struct model_node {
    char path[PATH_BYTES];
    enum model_status status;
    uint32_t agent; /* of the plan */
    uint32_t attempt, first_attempt, step, losses_row, results;
    bool fallen_back;
    int64_t retry_at_us;
    struct run void_run;
    struct run *steps; /* by number: whose it was */
    uint32_t steps_capacity;
    int64_t ended_us; /* the journal's time */
    uint64_t ended_sequence;
    struct buf output; /* of one that succeeded */
    struct model_context context; /* as of its start */
    struct model *child; /* the sub-workflow that was started for it last, or NULL */
    bool owns;           /* and it waits for that */
    bool stopped; /* it ended since the execution failed */
    enum model_gate gate;
    uint64_t gate_sequence; /* of the event that let its join hold */
    enum model_told edges[NODES_MOST]; /* conditions of its sources' edges */
    /* of what waits for somebody outside, the last time */
    uint32_t wait_attempt; /* 0: it has not yet */
    enum model_wait_end wait_end;
    uint64_t wait_sequence;
    int64_t due_us;
    uint8_t wait_hash[DATUM_HASH_BYTES];
    bool approved;
    int64_t edited; /* into this; -1: it was not */
    int64_t payload;
    bool is_item;
    uint32_t item;  /* its place in the list */
    int64_t list_k; /* of a node with items: the input's k when its list was told */
    uint32_t owner; /* its parent, or the node whose item it is; NO_TASK: none */
    /* of a delegation */
    uint32_t parent, root, depth; /* NO_TASK, itself, 0: a node's own */
    uint32_t by_attempt, by_turn, by_call;
    bool hand_off;
    uint64_t message; /* a hash of it */
    /* of turns: of the attempt */
    uint32_t turn, entries;
    int64_t until_us; /* when its time is up; 0: it has not begun to run */
    struct model_call *calls;
    uint32_t calls_count;
    bool ours;              /* one of them is for the coordinator */
    bool corrected;         /* it had none, and its answer was of no use */
    uint32_t reserved_turn; /* 0: none */
    struct model_sum reserved;
    struct model_sum reserved_most; /* for that turn, also by reservations that were given up */
    /* of all attempts */
    uint32_t turns, children, calls_again;
    struct model_sum used, used_below, reserved_below; /* below: with its own */
    /* From outside the journal: */
    bool given;
    struct run given_run;
    size_t given_to;         /* instance */
    uint32_t effect_attempt; /* of the effect that started last; 0: none */
    struct run effect_run;
    struct run dropped_run; /* the last one that an instance was told to drop, */
    int64_t dropped_us;     /* and when, on the world's time */
};

/* All that the disk holds. */
struct models {
    struct model **all;
    size_t count, capacity;
};

struct model {
    struct uuid execution;
    const struct models *among;
    const struct plan *plan;
    const struct plan_workflow *workflow;
    enum execution_status status;
    uint64_t sequence;
    int64_t time_us, deadline_us;
    uint64_t seed;
    int64_t k; /* of its input; the rest of that follows from it */
    int64_t first_k; /* before any fork gave it another input */
    bool copying;    /* the event that comes, or came last, is a copy of another one's: the caller's */
    bool forked;
    bool stop, paused;
    uint64_t paused_sequence; /* of the last event that paused it, or ended that */
    uint32_t pauses, signals, reopened;
    struct model_context context;
    struct model_signal *kept; /* that nobody has waited for yet */
    uint32_t kept_count;
    struct model_node *nodes; /* of the workflow first; moves when one is added */
    uint32_t count, capacity;
    struct model_sum used, reserved;
    /* of a sub-workflow */
    struct model *owner; /* NULL: nobody */
    uint32_t owner_node, depth;
    int64_t input_k;     /* as its start has it; -1: not known */
    bool named;          /* its owner's journal has it */
    bool counted;        /* what it used is its owner's own */
    bool hears_of_pause; /* within the batch: its owner was paused, or goes on */
    /* of one that has ended */
    struct buf output;
    char code[32]; /* of its failure, as its owner has it */
    bool permanent;
};

/* NULL, or what is wrong with the event, and which invariant forbids it. The first event is that of
 * the start, into a zeroed model with execution, among, plan and workflow set. */
const char *model_apply(struct model *self, const struct event *event, int *ret_invariant);
void model_release(struct model *self);
/* NO_TASK: there is none. */
uint32_t model_find(const struct model *self, const char *path);
struct model *model_among(const struct models *self, struct uuid execution); /* or NULL */
bool model_node_ended(const struct model_node *node);
/* Of the node's own, or those that all delegations follow. */
const struct plan_node *model_rules(const struct model *self, const struct model_node *node);

/* The item itself, of a list of numbers; false: it is something else. */
bool model_item_number(const struct model *self, const struct model_node *item, int64_t *ret_number);

/* When what waits for this task has no time any more; INT64_MAX: never. */
int64_t model_deadline(const struct model *self, const struct model_node *node);

struct model_sum model_sum_of(const struct usage *usage);
bool model_sum_equal(const struct model_sum *sum, const struct usage *usage);

value_t *model_context_value(const struct model_context *self); /* the caller's */
/* Somebody outside may still end its wait. */
bool model_wait_open(const struct model_node *node);

/* To be asked after each batch: NULL, or what is wrong with that execution: with a sub-workflow and
 * its owner, or with half a fork. */
const char *model_family(const struct models *self, struct uuid *ret_execution);

/* --- between model.c, model_again.c, model_context.c, model_gates.c, model_subs.c, model_talk.c and
 * model_waits.c --- */

void model_begin_node(struct model_node *node); /* its first attempt is due */
void model_settle(struct model *self); /* what follows from joins */
/* What a result sets is done, after a look at whether it is right. */
const char *model_set(struct model *self, uint32_t index, const struct event_step *step);
void model_patched(struct model *self, const struct datum *patch); /* by an agent */
const char *model_wait_event(struct model *self, const struct event *event, int *ret_invariant);
/* What is wrong with a step that the coordinator made by itself; NULL: nothing. */
const char *model_own_step(struct model *self, uint32_t index, const struct event_step *step);
const char *model_decided(struct model *self, const struct event_decided *decided,
                          int *ret_invariant);
int64_t model_copied_k(const struct model *self); /* first_k of the one whose copy this is */
const char *model_forked(struct model *self, const struct event_forked *forked,
                         int *ret_invariant);
const char *model_reopened(struct model *self, const struct event_reopened *reopened,
                           int *ret_invariant);
const char *model_begin_sub(struct model *self, const struct event_started *started);
const char *model_owned(struct model *self, const struct event_owned *owned);
/* What is wrong with the end of an attempt that has, or should have, a sub-workflow; NULL: nothing. */
const char *model_sub_step(struct model *self, uint32_t index, const struct event_step *step);
/* The same, with what one used that nobody waited for. */
const char *model_sub_counted(struct model *self, uint32_t index,
                              const struct event_settled *settled);
void model_sub_ended(struct model *self, const struct event_ended *ended);
/* What an execution may not end with; NULL: nothing. */
const char *model_subs_open(const struct model *self);
void model_pass_down(struct model *self);      /* that it is paused, or not any more */
/* Limits are 0 where there are none. */
bool model_is_past(uint64_t limit, uint64_t used, uint64_t reserved);
bool model_is_spent(uint64_t limit, uint64_t used);
/* Of limits of an execution or one above: more is used and reserved than they allow; all is used. */
bool model_family_past(const struct model *self);
bool model_family_spent(const struct model *self);
bool model_deep_enough(const struct model *self, uint32_t more);
void model_spend(struct model *self, uint32_t index, struct model_sum sum);
void model_items_again(struct model *self, uint32_t index); /* those that have not succeeded */
/* What is wrong with the end of an execution that nothing has stopped; NULL: nothing. */
const char *model_output(const struct model *self, const struct event_ended *ended);
void model_item_ended(struct model *self, uint32_t index);
/* What is wrong with the step by which a node with items ends; NULL: nothing. */
const char *model_gathered(struct model *self, uint32_t index, const struct event_step *step);
struct model_node *model_add(struct model *self, const char *path, uint32_t agent);
void model_void_runs(struct model_node *node, struct run run);
void model_end_node(struct model *self, uint32_t index, enum model_status status);
const char *model_turn(struct model *self, uint32_t index, const struct event_step *step,
                       int *ret_invariant);
const char *model_tool_result(struct model *self, uint32_t index, const struct event_step *step,
                              int *ret_invariant);
void model_begin_attempt(struct model *self, uint32_t index); /* its time runs, unless it does already */
void model_drop_reservation(struct model *self, uint32_t index); /* it counts as nothing */
/* usage NULL: what its reservation was for counts as used. */
void model_attempt_over(struct model *self, uint32_t index, const struct usage *usage);
const char *model_call_event(struct model *self, const struct event *event, int *ret_invariant);
/* A task ended by itself: who waits for it is told. */
void model_tell_owner(struct model *self, uint32_t index);

#endif
