/* The engine: DAGs, tasks, retries, losses, limits, as a pure function of events and inputs. No
 * socket, clock, disk, thread or randomness; time comes in with each input, ids and seeds with the
 * start. One thread. Lives as long as its coordinator.
 *
 * State is in two parts. Folded: what engine_apply makes of the journal, and nothing else. Volatile:
 * which instances there are, who holds which run, what waits in the ready queues; a restart loses it
 * and claims bring it back. engine_decide turns one input into new events, each already applied by
 * engine_apply when it returns, and effects, which the shell releases only after the commit of the
 * batch that holds those events and of all earlier ones. */
#ifndef AF_ENGINE_ENGINE_H
#define AF_ENGINE_ENGINE_H

#include "engine/dag.h"
#include "engine/event.h"

typedef struct engine engine_t;

/* What the execution of a sub-workflow begins with. Pins are borrowed until the next callback, or
 * the arena's. */
struct prepared_workflow {
    value_t *input; /* checked, with defaults; the receiver destroys it */
    const struct pinned_agent *agents;
    size_t agents_count;
    const struct pinned_workflow *workflows;
    size_t workflows_count;
};

struct engine_config {
    uint64_t epoch; /* of this coordinator, greater than all before; runs are (epoch, counter) */
    /* A new reference to the compiled workflow version (or, with an empty workflow, to the agent's
     * own one-node graph); NULL with err when the store lacks it. The same answer for ever. */
    dag_t *(*find_dag)(void *context, const char *workflow, uint32_t version, const char *agent,
                       struct err *err);
    /* The bytes of a blob that an expression needs, borrowed until the call ends. Same for ever.
     * The shell also knows the blobs of batches that it has not committed yet. */
    int (*read_blob)(void *context, const uint8_t hash[DATUM_HASH_BYTES], struct bytes *ret_bytes,
                     struct err *err);
    /* The newest version of an agent, for a delegation to it; ERR_NOT_FOUND. Borrowed until the next
     * callback. NULL: there is none. */
    int (*pin_agent)(void *context, const char *name, struct pinned_agent *ret_pin, struct err *err);
    /* The agents that there are, for list_agents; position starts at 0; false at the end. NULL: none. */
    bool (*next_agent)(void *context, size_t *position, const char **ret_name, const char **ret_about);
    /* Checks the input of a workflow version and pins what its nodes need. An error fails the task
     * that runs it. NULL: there are no sub-workflows. */
    int (*prepare_workflow)(void *context, const char *workflow, uint32_t version,
                            const value_t *input, struct arena *arena,
                            struct prepared_workflow *ret_prepared, struct err *err);
    void *context;
};

engine_t *engine_new(const struct engine_config *config);
void engine_destroy(engine_t **self_p);

/* Folds one event. Events of an execution come in sequence, the first being EVENT_STARTED.
 * ERR_INVALID, changing nothing, for an event that the state forbids (a journal that this program
 * could not have written). Ended executions stay until engine_forget. */
int engine_apply(engine_t *self, const struct event *event, struct err *err) MUST_CHECK;
/* Takes an execution over that another engine has folded, and gives out nothing of it: an input says
 * how it goes on. ERR_NOT_FOUND, ERR_EXISTS. */
int engine_adopt(engine_t *self, engine_t *from, struct uuid execution, struct err *err) MUST_CHECK;
/* Drops an ended execution's state from memory. Does nothing for others. */
void engine_forget(engine_t *self, struct uuid execution);

/* --- inputs ----------------------------------------------------------------------------------- */

enum input_kind {
    INPUT_RESUME,        /* once, after the fold of all unfinished journals, before anything else */
    INPUT_START,
    INPUT_CANCEL,
    INPUT_INSTANCE_UP,   /* a hello was accepted */
    INPUT_INSTANCE_DOWN, /* its link ended */
    INPUT_CREDIT,
    INPUT_STEP,
    INPUT_DELEGATE,      /* a call of delegate_to_agent in the last turn */
    INPUT_TOOL_CALL,     /* a call of another tool that the coordinator answers */
    INPUT_EGRESS_UP,     /* a hello was accepted */
    INPUT_EGRESS_DOWN,   /* its link ended */
    INPUT_DECISION,      /* of an approval */
    INPUT_SIGNAL,
    INPUT_PAUSE,
    INPUT_GO_ON,         /* the end of a pause */
    INPUT_REOPEN,        /* of one that failed or was cancelled, and is in memory */
    INPUT_FORK,          /* of one that was folded from a copy of another one's first events */
    INPUT_TICK,          /* engine_deadline has come */
};

struct input_start {
    struct uuid execution;
    struct event_started started; /* pins chosen by the shell; deadline computed from limits */
};
struct input_cancel { struct uuid execution; const char *by, *why; };

struct input_decision {
    struct uuid execution;
    const char *path;
    uint32_t attempt;      /* 0: whichever it is that waits */
    const uint8_t *hash;   /* of what was decided on; NULL: not given */
    bool approved;
    const char *by, *note;
    struct datum edited;   /* absent: nothing */
};
struct input_signal { struct uuid execution; const char *name; struct datum payload; const char *by; };
struct input_pause { struct uuid execution; const char *by, *why; };

struct input_reopen { struct uuid execution; const char *by; };
struct input_fork {
    struct uuid execution;
    struct uuid from;
    const char *node;      /* which the last event has made ready */
    struct datum input;    /* absent: as it was */
    const char *by;
};

struct claim {
    struct uuid execution;
    const char *path;
    struct run run;
    uint32_t acknowledged_step;
    const uint32_t *unacknowledged_steps; /* ascending */
    size_t unacknowledged_count;
};
struct input_instance_up {
    uint64_t handle;       /* of the new link; never used again */
    uint64_t old_handle;   /* the link of the same instance that this one replaces; 0: none. What was
                            * held under it and is not claimed now is lost at once */
    const char *instance;  /* inst_… */
    const char *agent;
    uint64_t credit;       /* total; claims that are kept count as sent */
    const struct claim *claims;
    size_t claims_count;
};
struct input_instance_down {
    uint64_t handle;
    const char *reason;    /* "exited", "silence", "bye" */
};
struct input_credit { uint64_t handle; uint64_t credit; bool draining; };
struct input_step {
    uint64_t handle;
    struct uuid execution;
    struct event_step step; /* as the instance said it; retry_at_us is ignored */
};

/* Both may be said again: they attach to what was made of them the first time. */
struct input_delegate {
    uint64_t handle;
    struct uuid execution;
    struct call_place by;
    const char *agent;     /* as the model wrote it */
    struct datum message, context; /* context absent: none */
    bool hand_off;
};
struct input_tool_call {
    uint64_t handle;
    struct uuid execution;
    struct call_place by;
    const char *tool;
    struct datum arguments;
};
/* Names a model call: the turn of an attempt of a task. */
struct call_key {
    struct uuid execution;
    const char *path;
    uint32_t attempt, turn;
};
struct input_egress_up {
    uint64_t handle;       /* of the new link; never used again */
    uint64_t old_handle;   /* the link that this one replaces; 0: none */
    const char *egress;    /* address */
    uint64_t boot;
    const struct call_key *held; /* of which it has grants, calls or answers */
    size_t held_count;
};
struct input_egress_down { uint64_t handle; };

struct input {
    enum input_kind kind;
    int64_t now_us; /* UTC; the engine never lets a journal's time go back */
    union {
        struct input_start start;
        struct input_cancel cancel;
        struct input_instance_up up;
        struct input_instance_down down;
        struct input_credit credit;
        struct input_step step;
        struct input_delegate delegate;
        struct input_tool_call tool_call;
        struct input_egress_up egress_up;
        struct input_egress_down egress_down;
        struct input_decision decision;
        struct input_signal signal;
        struct input_pause pause; /* INPUT_PAUSE, INPUT_GO_ON */
        struct input_reopen reopen;
        struct input_fork fork;
    };
};

/* --- effects ---------------------------------------------------------------------------------- */

enum effect_kind {
    EFFECT_WELCOME,  /* open the link, with these verdicts */
    EFFECT_DISPATCH,
    EFFECT_DROP,     /* tell an instance to drop what it holds under this run */
    EFFECT_GRANTED,  /* tell an instance that it may ask for its task's next turn */
    EFFECT_GRANT,    /* tell an egress that it may answer that */
    EFFECT_FORGET,   /* tell an egress that nobody needs that call or its answer any more */
    EFFECT_BLOB,     /* not an effect outside: bytes to store in this same batch (a large message) */
};

struct verdict {
    struct uuid execution;
    const char *path;
    struct run run;
    bool keep;
    uint32_t journaled_step;
};
/* What an attempt has been through: a turn, or the result of one of its calls. */
struct history_entry {
    enum step_kind kind;   /* STEP_TURN or STEP_TOOL_RESULT */
    uint32_t turn, call;
    struct datum output;
    struct failure failure; /* code NULL: none */
};
struct effect_welcome { uint64_t handle; const struct verdict *verdicts; size_t count; };
struct effect_dispatch {
    uint64_t handle;
    struct uuid execution;
    const char *path;
    uint32_t attempt;
    struct run run;
    uint32_t journaled_step;
    const char *agent;
    uint32_t agent_version;
    struct datum message;
    int64_t timeout_us;
    int64_t deadline_us;
    const char *workflow;
    int64_t queued_us;
    uint32_t turn;         /* granted; 0: none */
    const char *egress;    /* address, with turn */
    uint32_t history_count, history_from; /* entries of the attempt; place of the first one here */
    const struct history_entry *history;
    size_t history_here;
    uint64_t tokens_left, cost_left_microusd; /* 0: no limit */
    const char *const *chain; /* agents of the tasks above, the first one first */
    size_t chain_count;
};
struct effect_drop { uint64_t handle; struct uuid execution; const char *path; struct run run; const char *reason; };
struct effect_granted { uint64_t handle; struct uuid execution; const char *path; struct run run; uint32_t turn; const char *egress; };
struct effect_grant {
    uint64_t handle;       /* of the egress */
    struct call_key key;
    struct run run;
    const char *agent;
    uint32_t agent_version;
    uint64_t tokens, cost_microusd;
};
struct effect_forget { uint64_t handle; struct call_key key; };
struct effect_blob { uint8_t hash[DATUM_HASH_BYTES]; struct bytes bytes; };

struct effect {
    enum effect_kind kind;
    union {
        struct effect_welcome welcome;
        struct effect_dispatch dispatch;
        struct effect_drop drop;
        struct effect_granted granted;
        struct effect_grant grant;
        struct effect_forget forget;
        struct effect_blob blob;
    };
};

/* What one or more calls of engine_decide came to. {0} is valid; memory is in the arena, so that it
 * may be handed on with its batch. */
struct decisions {
    struct arena arena;
    struct event *events;
    size_t events_count, events_capacity;
    struct effect *effects;
    size_t effects_count, effects_capacity;
};
void decisions_clear(struct decisions *self); /* keeps memory */
void decisions_release(struct decisions *self);

/* Appends to *decisions. ERR_ values are for the shell's caller and change nothing: INPUT_START:
 * ERR_EXISTS, ERR_INVALID (input), ERR_NOT_FOUND (dag); INPUT_CANCEL: ERR_NOT_FOUND, ERR_CONFLICT
 * (already terminal). INPUT_DECISION: these, and ERR_CONFLICT naming who decided otherwise before; the
 * same decision again is no change. INPUT_SIGNAL: these, ERR_NOT_FOUND for one that no node waits for,
 * ERR_TOO_LARGE, ERR_LIMIT (too many are kept). INPUT_PAUSE, INPUT_GO_ON: ERR_NOT_FOUND, ERR_CONFLICT;
 * no change where it is so already. INPUT_REOPEN: ERR_NOT_FOUND, ERR_CONFLICT (it has not ended, has
 * succeeded, or is owned). INPUT_FORK: ERR_NOT_FOUND, ERR_INVALID. Other inputs answer 0: what is wrong in them is met by drops. */
int engine_decide(engine_t *self, const struct input *input, struct decisions *decisions,
                  struct err *err) MUST_CHECK;

/* The next moment (UTC microseconds) at which a tick is wanted; INT64_MAX: none; 0: at once, since one
 * call gives out LIMIT_BATCH_BYTES of messages and one more at most. */
int64_t engine_deadline(const engine_t *self);

/* --- looking ---------------------------------------------------------------------------------- */

enum task_status {
    TASK_PENDING, TASK_READY, TASK_RUNNING, TASK_RETRYING, TASK_SUCCEEDED, TASK_FAILED,
    TASK_SKIPPED, TASK_CANCELLED, TASK_WAITING,
};
/* The statuses of definitions.md rule 1: TASK_READY shows as "pending"; TASK_WAITING waits for
 * delegations or items, for a person, a time or a signal, and is parked. */
const char *task_status_name(enum task_status status);

struct task_view {
    const char *path;      /* all pointers are borrowed until the next call that changes the engine */
    const char *node;
    const char *agent;
    uint32_t agent_version;
    enum task_status status;
    uint32_t attempt;      /* that is due or under way, or was the last; 0: none yet */
    uint32_t step;         /* last journaled */
    uint32_t losses;       /* in all */
    const char *reason;    /* of a skip: "after \"a\" failed"; "" */
    struct failure failure; /* last one; code NULL: none */
    struct datum output;
    enum wait_kind waits;  /* for whom, while it waits for somebody outside; 0: it doesn't */
    const char *signal;    /* that it waits for; "" */
    int64_t due_us;        /* of what it waits for; 0: never */
    int64_t queued_us, started_us, ended_us; /* 0: not yet */
    int64_t retry_at_us;
    const char *instance;  /* that answered or (volatile) holds it now; "" */
    uint64_t ready_sequence; /* of the event that let it start, or its `if` be asked; 0: none did yet */
    bool items_begun;      /* of a node with items: its list is known */
    uint32_t items, items_open; /* of it: how many, and how many have not ended */
    bool is_item;          /* of such a node */
    uint32_t item;         /* its index */
    /* of tasks that take turns or delegate, and of delegations */
    const char *parent;    /* path of the task that delegated this one, or of the node whose item it
                            * is; "" for a node's own */
    uint32_t depth;        /* of delegation; 0 for a node's own */
    struct datum message;  /* of a delegation: what was asked; absent otherwise */
    bool hand_off;
    uint32_t turns;        /* in all attempts */
    uint32_t children;
    uint32_t calls_again;  /* model calls that were made again because an egress was lost */
    struct usage own, subtree; /* settled, subtree with own */
    struct uuid owned;     /* execution of a sub-workflow that it waits for, or waited for last; nil */
};
struct execution_view {
    struct uuid id;
    enum execution_status status;
    const char *workflow;
    uint32_t workflow_version;
    const char *agent;
    uint64_t sequence;     /* last event */
    int64_t started_us, ended_us, deadline_us;
    struct datum input, output;
    struct failure failure;
    const char *failed_path;
    uint32_t reopened;     /* how often it was, after it had ended */
    struct uuid forked_from; /* nil: it was not */
    uint64_t forked_at;    /* the last event of the other one that is also its own */
    struct uuid owner;     /* of a sub-workflow: the execution whose task owns it; nil */
    const char *owner_path; /* "" */
    uint32_t tasks;        /* the workflow's nodes first, then items and delegations in order of their
                            * making */
    uint32_t delegations;
    struct usage used;     /* settled, of all tasks */
    uint64_t tokens_reserved, cost_reserved_microusd; /* for calls in flight */
};
/* ERR_NOT_FOUND. */
int engine_execution(const engine_t *self, struct uuid execution, struct execution_view *ret_view) MUST_CHECK;
/* In order of the definition; index < tasks. */
int engine_task(const engine_t *self, struct uuid execution, uint32_t index, struct task_view *ret_view) MUST_CHECK;
/* Entries of the history of a task's attempt (0: the present one), from place `from` on, as many as fill LIMIT_HISTORY_BYTES,
 * one at least; everything is the arena's. *ret_total: how many there are. ERR_NOT_FOUND for a task
 * or an attempt that is not under way. */
int engine_history(const engine_t *self, struct uuid execution, const char *path, uint32_t attempt,
                   uint32_t from, struct arena *arena, const struct history_entry **ret_entries,
                   size_t *ret_count, uint32_t *ret_total, struct err *err) MUST_CHECK;
/* Approvals that nobody has decided yet, of one execution, in the order in which they were asked,
 * from after this event on, so many at most. Borrowed as views are. */
struct approval_view {
    const char *path;
    uint32_t attempt;
    uint64_t sequence;     /* of the event that asked */
    struct datum text, show; /* show may be absent */
    const uint8_t *hash;   /* of both; DATUM_HASH_BYTES */
    int64_t asked_us, due_us; /* due 0: never */
    int64_t ended_us;      /* of the decision, or when nobody could decide any more; 0: it is open */
    const char *by, *note; /* of the decision; NULL: there was none. Text and show are absent then */
    bool approved;
};
size_t engine_approvals(const engine_t *self, struct uuid execution, uint64_t after,
                        struct approval_view *ret_views, size_t most);
/* One by its path, open or not. ERR_NOT_FOUND. */
int engine_approval(const engine_t *self, struct uuid execution, const char *path,
                    struct approval_view *ret_view) MUST_CHECK;
/* The shared context as it is now: an object. The caller's to destroy; NULL: no such execution. */
value_t *engine_context(const engine_t *self, struct uuid execution);
/* Whether some task of an execution that has not ended may need this agent. */
bool engine_needs_agent(const engine_t *self, struct uuid execution, const char *agent);
/* Executions in memory, in order of start; position starts at 0; false at the end. */
bool engine_next_execution(const engine_t *self, size_t *position, struct uuid *ret_execution);

struct agent_load {
    uint64_t ready;        /* tasks that wait for an instance */
    uint64_t running;
    uint64_t free_credit;  /* over its instances */
    uint32_t instances;
};
void engine_agent_load(const engine_t *self, const char *agent, struct agent_load *ret_load);
/* Agents that have ready tasks or instances. position as above. */
bool engine_next_agent(const engine_t *self, size_t *position, const char **ret_agent);
size_t engine_instance_tasks(const engine_t *self, uint64_t handle);
/* Reservations that an egress has, by the handle of its link. */
uint64_t engine_egress_load(const engine_t *self, uint64_t handle);
size_t engine_active_executions(const engine_t *self); /* not terminal */

/* A hash over all that is folded of one execution: equal folds give equal values, in any process. */
uint64_t engine_fingerprint(const engine_t *self, struct uuid execution);

#endif
