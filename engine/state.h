/* The engine's inside, shared by the files of engine/ and nobody else.
 *
 * Folded state is struct exec, struct task and what hangs below it, but for what stands below
 * "volatile" in them; only fold.c, fold_calls.c and talk.c write it. Volatile state is struct live (the other side of a task that is neither pending
 * nor ended), struct instance and struct agent; decide.c and its companions write it, and a restart
 * loses it. */
#ifndef AF_ENGINE_STATE_H
#define AF_ENGINE_STATE_H

#include "base/map.h"
#include "engine/engine.h"
#include "engine/heap.h"
#include "engine/list.h"

#define NO_NODE UINT32_MAX

struct exec;
struct instance;

/* --- timers ----------------------------------------------------------------------------------- */

enum timer_kind { TIMER_LIVE, TIMER_LIMIT, TIMER_STOP };

struct timer {
    struct heap_item item; /* first: the heap orders by the timers around its items */
    int64_t at_us;
    uint64_t order; /* of arming: equal times fire in it */
    enum timer_kind kind;
    void *owner;
};

/* --- volatile --------------------------------------------------------------------------------- */

/*            .---------> CLAIM ----------.
 *            |                           v
 * IDLE --> RETRY --> QUEUED <--> ASIDE   |   RUNNING --> STOPPING
 *  ^ |       ^         ^ '---------------+---> ^ |           |
 *  | '-------+---------+-> HELD, PARKED  |       |           |
 *  |                   |   STARVED       |       |           |
 *  '---------------------------------------------+-----------'
 *
 * IDLE: in no list, no timer. CLAIM: after a restart, waits for its instance to claim it. RETRY: its
 * timer runs until the next attempt. QUEUED: in its agent's queue. ASIDE: its execution has as many
 * tasks running as it may. HELD: its execution is being stopped and others have yet to stop.
 * STARVED: what is left of its budget is reserved for others, whose calls are in flight; or there is
 * no egress that it could ask. Only the time of its attempt runs.
 * PARKED: it waits for delegations, nobody holds it, and only the time of its attempt runs.
 * RUNNING: an instance holds it under `run`. STOPPING: the same, but the fold has ended the task, or
 * the attempt, and the instance was told to drop it; a next attempt waits until it has let go. */
enum live_state {
    LIVE_IDLE,
    LIVE_CLAIM,
    LIVE_RETRY,
    LIVE_QUEUED,
    LIVE_ASIDE,
    LIVE_HELD,
    LIVE_STARVED,
    LIVE_PARKED,
    LIVE_RUNNING,
    LIVE_STOPPING,
};

struct live {
    struct list link; /* in the one list that its state names */
    struct exec *exec;
    uint32_t node;
    uint32_t agent_index; /* of exec->pins, while QUEUED, ASIDE or STARVED */
    enum live_state state;
    bool again; /* dispatched before, perhaps: goes ahead of new work */
    struct instance *instance; /* RUNNING and STOPPING */
    struct run run;
    int64_t dispatched_us;
    uint64_t message_bytes; /* of its message, once it was rendered */
    uint64_t home; /* handle of the instance that has its conversation in memory, perhaps; 0: none */
    size_t effect; /* where its dispatch stands among the decisions, as long as they are gathered */
    struct timer timer; /* RETRY: next attempt; RUNNING: the backstop of its timeout; PARKED: its
                         * timeout; STOPPING: the backstop of its stop */
};

#define PRIORITIES 10
#define QUEUES     (2 * PRIORITIES)

struct agent {
    char *name;
    size_t references;           /* of executions' pins and of instances */
    bool dirty;                  /* in engine->dirty */
    uint32_t waiting;            /* bit i: queues[i] has something in it */
    uint64_t queued, starved, running;
    struct list queues[QUEUES];  /* of crews: (9 - priority) * 2, one more for work that is new */
    struct heap instances;       /* the one to be chosen at the top */
};

struct instance {
    struct heap_item item; /* first */
    uint64_t handle;
    uint64_t credit, sent;
    uint64_t last_used;
    struct agent *agent;
    char *name;
    bool draining;
    bool closed; /* its link is not open yet, or no more: nothing can be sent to it */
    size_t held;
    struct list lives;
};

/* An egress whose link is open. */
struct egress {
    uint64_t handle;
    char *name; /* address */
    uint64_t boot;
    uint64_t granted; /* in all: the one with least is asked next */
    uint64_t open;    /* reservations that it has */
    uint64_t told;    /* those of which it knows by this link */
};

/* An egress whose link ended, and which may come back with its calls. */
struct gone {
    char *name;
    int64_t until_us;
};

/* The lanes of an execution and all that it owns, in one of an agent's queues. Crews take turns, and
 * in each crew its lanes do, so that nobody waits for the length of a list, whether its items are
 * tasks or sub-workflows. */
struct crew {
    struct list lanes; /* their turn */
    struct list turn;  /* in the agent's queue, while there are lanes */
    struct crew_key {
        const struct exec *root;
        const struct agent *agent;
        uint64_t queue;
    } key; /* in engine->crews; not of one that is a lane's own */
};

/* What one execution has ready for one agent. Kinds: what was dispatched before, perhaps, and what is
 * new. */
struct lane {
    struct list lives[2]; /* QUEUED, by kind */
    struct list turn[2];  /* in a crew, while there are such lives */
    struct crew *crew[2]; /* that one */
    struct crew own[2];   /* of an execution that nobody owns, and that owns none */
    struct list aside;    /* with a limit of parallel tasks */
    struct list idle;     /* in exec->idle_lanes: has some aside and none queued */
};

/* --- folded ----------------------------------------------------------------------------------- */

enum reason {
    REASON_NONE, REASON_DISABLED, REASON_SOURCE, REASON_NO_SOURCE, REASON_FAILED, REASON_CANCELLED,
    REASON_ENDED, REASON_PARENT, REASON_IF, REASON_EDGE,
};

/* What a node waits for that only its expressions can tell. */
enum gate {
    GATE_NONE,
    GATE_IF,     /* its join holds; its `if` is to be evaluated */
    GATE_FOR,    /* its `if` holds, too; its list is to be evaluated */
    GATE_GATHER, /* its items have ended; its output is to be put together */
};
/* Of an edge with a condition. */
enum edge_state { EDGE_OPEN, EDGE_ASKED, EDGE_TAKEN, EDGE_DEAD };

/* Heap blocks with all that they point to. */
struct answer {
    struct datum datum;
    const char *instance;
};
struct blame {
    struct failure failure;
    const char *instance;
};

/* A turn, the result of one of its calls, or the delegation that gives it. A heap block. */
struct entry {
    enum step_kind kind;
    uint32_t turn, call;
    uint32_t child; /* whose end is the result; NO_NODE: it stands here */
    struct datum datum;
    struct failure failure; /* code NULL: none */
};

/* A call of a task's last turn. */
struct turn_call {
    bool ours;  /* the coordinator answers it */
    bool said;  /* ours: the instance has said it */
    bool done;  /* it has its result */
};

/* A reservation: the leave for one model call, and the most that it may use. */
struct reservation {
    uint32_t turn;       /* 0: there is none */
    char *egress;        /* address */
    uint64_t boot;
    uint64_t tokens, cost_microusd;
    uint64_t told; /* volatile: handle of the egress that has been told of it */
};

/* Sums over a task and all below it, or over an execution. */
struct ledger {
    struct usage used;
    uint64_t held_tokens, held_cost; /* reserved */
};

/* What a task has that takes turns or delegates. */
struct talk {
    /* of the present attempt */
    int64_t since_us;    /* of its first reservation; 0: none yet */
    uint32_t turn;       /* the last one */
    uint32_t asked;      /* the last one that was reserved, also if that was given up since */
    bool corrected;      /* that one had no calls, and something was wrong with it */
    bool ours;           /* that one has calls that the coordinator answers */
    struct turn_call *calls;
    uint32_t calls_count;
    uint32_t open;       /* calls of it without a result */
    uint32_t local_open; /* of those, the ones that its instance works on */
    uint32_t unsaid;     /* of those, the coordinator's that its instance has not said yet */
    struct entry **entries;
    uint32_t entries_count, entries_capacity;
    uint32_t turn_at;    /* place of the last turn's entry */
    uint64_t bytes;      /* of all entries */
    struct reservation reservation;
    /* of all attempts */
    uint32_t turns, calls_again;
    struct usage own;
    struct ledger ledger;
    uint32_t *children;  /* by number - 1; of a node with items: these, by index */
    uint32_t children_count, children_capacity;
};

/* What a task waits for, or waited for: a person, a time or a signal. A heap block of its own, kept
 * when the wait is over, so that a decision that comes twice is known again. */
enum wait_end { WAIT_OPEN, WAIT_DECIDED, WAIT_SIGNALLED, WAIT_DUE, WAIT_DROPPED };
struct waiting {
    struct list link;    /* while WAIT_OPEN: in exec->waits of its kind, the ones that began first
                          * first */
    uint32_t task;
    uint32_t attempt;
    enum wait_kind kind;
    enum wait_end end;   /* WAIT_DROPPED: its task ended otherwise */
    bool approved;
    uint64_t sequence;   /* of the event that began it */
    int64_t since_us, due_us, ended_us;
    uint8_t hash[DATUM_HASH_BYTES];
    char *signal, *by, *note;  /* NULL: none */
    struct answer *text, *show; /* while WAIT_OPEN; NULL: none */
    struct answer *given;      /* what was edited, or a payload; NULL: none */
};

/* The execution of a sub-workflow that a task waits for, or waited for last. */
struct owned {
    struct uuid execution;
    uint32_t attempt;
    bool open;          /* the task waits for its end */
    /* volatile */
    struct exec *child; /* until it has ended; NULL: it is not in memory */
};

/* A signal that came before anybody waited for it. */
struct kept_signal {
    char *name;
    struct answer *payload;
};

/* What a node has that has items. */
struct group {
    struct answer *list;
    uint32_t begun;   /* items that were made ready, or had ended before: the first ones */
    uint32_t running; /* of those, the ones that have not ended */
    uint32_t open;    /* items that have not ended */
};

/* Where a delegation or an item comes from. A heap block. */
struct origin {
    uint32_t parent, number; /* number: of the parent's children, from 1; of an item its index */
    bool is_item;            /* of a node with items, whose rules it follows */
    uint32_t root;           /* the node at the top */
    uint32_t pin;            /* index of exec->pins */
    uint32_t attempt, turn, call; /* of the parent */
    uint32_t depth;          /* from 1 */
    bool hand_off;
    const char *path;
    struct datum message;
};

struct task {
    uint8_t status; /* enum task_status; TASK_RUNNING is volatile and never stands here */
    uint8_t reason;
    bool fallen_back;
    uint8_t gate;           /* enum gate */
    bool asking;            /* volatile: its edges are among the questions */
    uint32_t asked;         /* edges into it that wait for their condition */
    uint32_t reason_node;
    uint32_t attempt;       /* that is due or under way; 0 while pending */
    uint32_t first_attempt; /* of the agent in use */
    uint32_t step;
    uint32_t losses, losses_row;
    uint32_t taken, dead;   /* edges into it so far */
    struct run void_run, step_run;
    uint64_t ready_sequence, ended_sequence; /* of the events that made it so; 0: none */
    int64_t queued_us, started_us, ended_us, retry_at_us;
    struct answer *answer;
    struct blame *blame;
    struct talk *talk;     /* NULL: it has taken no turn and delegated nothing */
    struct origin *origin; /* NULL: a node's own */
    struct group *group;   /* NULL: it has no items, or not yet */
    uint8_t *edges;        /* enum edge_state by source; NULL: no edge has a condition */
    struct waiting *waiting; /* NULL: it has not waited for anybody outside */
    struct owned *owned;   /* NULL: it has run no sub-workflow */
    value_t *context;      /* the shared context as of ready_sequence, where its node reads it; NULL:
                            * nothing was set then, or nobody reads it */
    /* volatile */
    struct live *live;
};

/* An agent as this execution pinned it. */
struct pin {
    struct agent *agent; /* a reference */
    struct pinned_agent as; /* name and delegates are the pin's own */
    /* volatile */
    struct lane lane;
};

struct exec {
    struct uuid id;
    dag_t *dag;
    enum execution_status status;
    bool stop;    /* while failing: what has not ended is cancelled or skipped */
    uint64_t sequence;
    int64_t time_us; /* of the last event */
    uint64_t seed;
    char *workflow, *agent, *by;
    uint32_t workflow_version;
    int64_t started_us, ended_us, deadline_us;
    int64_t allowed_us; /* its own limit of time, also by who started it; 0: none */
    int64_t stop_us; /* when `stop` was set */
    struct answer *input, *output;
    struct blame *blame;
    uint32_t failed_node; /* NO_NODE: the execution itself */
    uint32_t first_failed; /* of the nodes that failed for good and fail the execution; NO_NODE */
    uint32_t reopened;    /* how often */
    struct uuid forked_from;
    uint64_t forked_at;
    struct uuid owner;    /* nil: nobody's */
    char *owner_path;     /* NULL: nobody's */
    uint32_t owner_attempt, depth;
    uint32_t *workflows;  /* versions, by dag_workflow */
    uint32_t open;        /* tasks that have not ended */
    uint32_t active;      /* of those, the ones that are ready or retrying */
    bool paused;          /* nothing begins */
    uint64_t paused_sequence; /* of the event that paused it; 0: it isn't paused */
    int64_t paused_us;
    uint32_t waits_count;
    struct list waits[WAIT_SIGNAL + 1]; /* struct waiting, by kind */
    struct kept_signal *signals; /* the first one first */
    uint32_t signals_count, signals_capacity;
    uint64_t signals_bytes;
    uint32_t nodes;       /* of the workflow: the first tasks */
    uint32_t count, capacity;
    struct task *tasks;   /* moves when delegations are added: use places across events */
    struct pin **pins;    /* by dag_agent first, then of delegates */
    uint32_t pins_count;
    uint32_t delegations;
    uint32_t reservations; /* open ones */
    struct ledger ledger;
    value_t *context;     /* shared; an object. NULL: nothing was set */
    /* volatile */
    bool limited;      /* has a limit of parallel tasks */
    bool told_waiting; /* what was last said of it is that it waits */
    bool hard;         /* past the grace of a limit: nothing starts any more */
    bool from_before;  /* was there at the resume: instances unknown yet may hold its tasks */
    bool strays;       /* also some that have ended: until claims are over */
    uint32_t running;  /* tasks held by instances, or perhaps held (CLAIM); those that stop included */
    uint32_t stopping;
    struct list idle_lanes;
    struct list held, starved;
    struct list fed;   /* in engine->fed: some of what was reserved is free */
    struct list tried; /* in engine->tried: it was fed in this call */
    /* volatile, of sub-workflows */
    struct exec *parent;  /* NULL: nobody's, or not linked */
    uint32_t parent_task;
    bool parted;          /* that task waits for it no more */
    uint32_t leaving;     /* sub-workflows that are parted and have not ended */
    struct list family;   /* in engine->parted_subs or engine->ended_subs */
    struct list *parted_subs; /* the first of these, for the fold of the parent */
    struct list starving; /* in engine->starving: it is of a family, and some of its lives starve */
    struct ledger below;  /* sums over its sub-workflows that are under way, and theirs */
    struct timer limit, stop_timer;
};

/* --- the engine ------------------------------------------------------------------------------- */

#define DECODED_KEPT       64
#define DECODED_KEPT_LARGE 4         /* so many are kept however large they are */
#define DECODED_KEPT_BYTES (32u << 20) /* of the others together, packed */
#define DECODED_ONE_BYTES  (1u << 20)  /* larger ones are kept for longer for items alone */
#define DECODED_INPUT      UINT32_MAX

struct decoded_key {
    uint32_t node;
    bool list;
    bool brief; /* who reads it wants it for one decision alone, if it is large */
};

struct decoded {
    const struct exec *exec;
    uint32_t node;           /* DECODED_INPUT: the execution's input */
    bool list;               /* not the node's output, but what its `for` gave */
    bool brief;              /* to be dropped when the decision is made */
    uint64_t bytes, used;
    value_t *value;
};

/* What is to be asked of expressions: the conditions of a node's edges, what its gate says, or what
 * a task without an agent does now that it is ready (own.c). */
enum ask { ASK_EDGES, ASK_GATE, ASK_BEGIN };
struct question {
    struct uuid execution;
    uint32_t node;
    enum ask what;
};

struct released {
    uint32_t task, attempt, turn;
    uint64_t boot, told;
    char *egress; /* the receiver frees it */
};

struct engine {
    struct engine_config config;
    map_t *execs;     /* uuid -> struct exec */
    map_t *instances; /* handle -> struct instance */
    map_t *agents;    /* name -> struct agent */
    size_t active;
    /* Filled by the fold for whoever called it. */
    uint32_t *ready; /* nodes that became ready */
    size_t ready_count, ready_capacity;
    uint32_t *work;  /* nodes that ended and whose targets have yet to hear of it */
    size_t work_count, work_capacity;
    uint32_t *parted; /* tasks under way that ended by no step of their own: with who delegated
                       * them, or by a hand-off */
    size_t parted_count, parted_capacity;
    struct question *questions; /* in the order in which they came up */
    size_t questions_first, questions_count, questions_capacity;
    struct released *released; /* reservations that ended: nobody needs their calls any more */
    size_t released_count, released_capacity;
    /* volatile */
    struct egress *egresses;
    size_t egresses_count;
    struct gone *gone;
    size_t gone_count;
    int64_t resumed_until_us; /* after a restart any egress may come back until then; 0: it is past */
    uint64_t run_counter;
    uint64_t use_counter;
    uint64_t timer_counter;
    struct heap timers;
    bool claiming; /* since the resume, until claims_until_us has passed and all is settled */
    int64_t claims_until_us;
    struct list claims;     /* lives in CLAIM */
    map_t *crews;           /* of families, while they have lanes */
    struct list fed, tried; /* executions */
    struct list egressless; /* lives in STARVED that wait for room at an egress */
    struct list parted_subs; /* executions that are to be cancelled, since their owner's task ended */
    struct list ended_subs;  /* that have ended, of which their owners are to hear */
    struct list starving;   /* executions */
    struct list returning;  /* lives in STARVED that wait for the egress that has their call */
    struct agent **dirty;
    size_t dirty_count, dirty_capacity;
    struct live *spare; /* freed lives, chained by link.next */
    struct decoded decoded[DECODED_KEPT];
    size_t decoded_count;
    uint64_t decoded_bytes, decoded_uses;
    struct arena *scratch; /* texts of views, until the next change */
};

/* --- state.c ---------------------------------------------------------------------------------- */

struct exec *state_exec(const engine_t *self, struct uuid id);
struct instance *state_instance(const engine_t *self, uint64_t handle);
/* A new reference; made when there is none of that name. */
struct agent *agent_ref(engine_t *self, const char *name);
void agent_unref(engine_t *self, struct agent **agent_p);
/* Frees an agent without references, unless it still waits in engine->dirty. */
void agent_collect(engine_t *self, struct agent *agent);
void exec_destroy(engine_t *self, struct exec **exec_p);
struct answer *answer_new(const struct datum *datum, const char *instance);
struct blame *blame_new(const struct failure *failure, const char *instance);
void u32_push(uint32_t **array, size_t *count, size_t *capacity, uint32_t item);

/* The dag's node, or, for a delegation, the rules that all delegations follow: one attempt, whose
 * failure is the affair of whoever asked. Its id is no path. */
const struct dag_node *task_rules(const struct exec *exec, uint32_t index); /* an item's: its node */
const char *task_path(const struct exec *exec, uint32_t index);
/* The node at the top: whose join counts for what stops and what goes on. */
const struct dag_node *task_root(const struct exec *exec, uint32_t index);
uint32_t task_depth(const struct exec *exec, uint32_t index);
uint32_t task_parent(const struct exec *exec, uint32_t index); /* that delegated it; NO_NODE: none */
uint32_t task_owner(const struct exec *exec, uint32_t index);  /* the same, or the node of an item */
bool task_is_item(const struct exec *exec, uint32_t index);
/* NO_NODE for a path that names no task, also for none at all. */
uint32_t exec_find(const struct exec *exec, const char *path);
bool exec_terminal(const struct exec *exec);
/* Being stopped as a whole: cancelling, failing at once, or past the grace of a limit. */
bool exec_stops(const struct exec *exec);
bool task_active(const struct task *task); /* ready or retrying in the fold */
bool task_ended(const struct task *task);
/* The agent in use: index of exec->pins. NO_NODE: nobody. */
uint32_t task_agent(const struct exec *exec, uint32_t node);
const struct pin *task_pin(const struct exec *exec, uint32_t node);
/* Whether the coordinator itself does it, without an agent: task_pin is that of nobody then. */
bool task_is_own(const struct exec *exec, uint32_t index);
/* Whether what the task waited for has come, so that its result is next. */
bool task_has_waited(const struct task *task);
/* Whether nothing runs or is due, and somebody waits for a person, a time or a signal: rule 1. */
bool exec_waits(const struct exec *exec);
/* By name; NO_NODE: this execution has not pinned it. */
uint32_t exec_pin(const struct exec *exec, const char *name);
/* Adds one; references the agent, copies the rest. */
uint32_t exec_add_pin(engine_t *self, struct exec *exec, const struct pinned_agent *as);

/* --- fold.c ----------------------------------------------------------------------------------- */

/* engine_apply, leaving in self->ready which nodes became ready. */
int fold(engine_t *self, const struct event *event, struct err *err) MUST_CHECK;

/* For fold_calls.c. */
int fold_refuse(struct err *err, const struct event *event, const char *why);
void fold_make_ready(engine_t *self, struct exec *exec, uint32_t index);
/* Ends a task and all that it delegated; who waits for it hears of it in fold_spread. */
void fold_end_task(engine_t *self, struct exec *exec, uint32_t index, enum task_status status,
                   enum reason reason, uint32_t reason_node);
void fold_set_task(struct exec *exec, uint32_t index, enum task_status status);
void fold_spread(engine_t *self, struct exec *exec);
void fold_void_runs(struct task *task, struct run run);

/* --- fold_calls.c: turns, delegations, what the coordinator answers, the ledger ---------------- */

int check_turn(const struct exec *exec, const struct event *event, uint32_t index, struct err *err) MUST_CHECK;
void fold_turn(engine_t *self, struct exec *exec, uint32_t index, const struct event_step *step);
void fold_tool_result(struct exec *exec, uint32_t index, const struct event_step *step);
/* An attempt is over: its history goes, its delegations end, its reservation is settled (usage NULL:
 * at its bound). */
void fold_attempt_over(engine_t *self, struct exec *exec, uint32_t index, const struct usage *usage);
/* The reservation that the task has, if any, is none of this execution's: nothing of it counts. */
void fold_drop_reservation(struct exec *exec, uint32_t index);
/* A delegation has ended: its parent gets the result. */
void fold_child_ended(engine_t *self, struct exec *exec, uint32_t index);
int check_call_event(const struct exec *exec, const struct event *event, struct err *err) MUST_CHECK;
void fold_call_event(engine_t *self, struct exec *exec, const struct event *event);
void fold_ask(engine_t *self, const struct exec *exec, uint32_t node);
void fold_ask_begin(engine_t *self, const struct exec *exec, uint32_t index);
void fold_ask_edges(engine_t *self, struct exec *exec, uint32_t node);
/* --- decoded.c -------------------------------------------------------------------------------- */

/* Borrowed until the next call here; NULL: it is not there. */
const value_t *decoded_find(engine_t *self, const struct exec *exec, struct decoded_key key);
void decoded_keep(engine_t *self, const struct exec *exec, struct decoded_key key,
                  const value_t *value, uint64_t bytes);
void decoded_end(engine_t *self); /* the decision is made: what is brief goes */
void decoded_drop_list(engine_t *self, const struct exec *exec, uint32_t node);
void decoded_forget(engine_t *self, const struct exec *exec);

/* fold_context.c: the shared context. */
void fold_patch(struct exec *exec, const struct datum *patch);
/* The task is ready, or its expressions are asked: it sees the context as it is now. */
void fold_see_context(struct exec *exec, uint32_t index);

/* fold_waits.c: approvals, timers, signals; pauses. */
int check_wait_event(const struct exec *exec, const struct event *event, struct err *err) MUST_CHECK;
void fold_wait_event(engine_t *self, struct exec *exec, const struct event *event);
/* The wait for a signal of that name that began first; NULL: there is none. */
struct waiting *fold_listener(const struct exec *exec, const char *name);
/* A task that waited does so no more, or has ended. */
void fold_wait_left(struct exec *exec, struct waiting *waiting, bool ended);
void waiting_free(struct waiting **self_p);
void signals_free(struct exec *exec);

/* fold_owned.c: sub-workflows. */
int check_owned(const struct exec *exec, const struct event *event, struct err *err) MUST_CHECK;
void fold_owned(struct exec *exec, const struct event_owned *owned);
/* A task that waited for a sub-workflow does so no more. */
void fold_owned_left(struct exec *exec, struct task *task);
/* That sub-workflow is to end: whoever decides cancels it. Nothing that is folded. */
void owned_leave(struct exec *exec, const struct task *task);
/* What a sub-workflow used counts for its task and all above it. */
void fold_used_below(struct exec *exec, uint32_t index, const struct usage *usage);
/* Whether the task waits for a sub-workflow. */
bool task_owns(const struct task *task);

/* fold_again.c: retries and forks. */
int check_reopened(const struct exec *exec, const struct event *event, struct err *err) MUST_CHECK;
void fold_reopened(engine_t *self, struct exec *exec, const struct event_reopened *reopened);
int check_forked(const struct exec *exec, const struct event *event, struct err *err) MUST_CHECK;
void fold_forked(engine_t *self, struct exec *exec, const struct event_forked *forked);

/* fold_gates.c: conditions, lists and their items. */
int check_decided(const struct exec *exec, const struct event *event, struct err *err) MUST_CHECK;
void fold_decided(engine_t *self, struct exec *exec, const struct event_decided *decided);
/* The node's join holds: it becomes ready, or what its expressions say is asked first. */
void fold_join_holds(engine_t *self, struct exec *exec, uint32_t node);
/* Rule 3 of the definitions, after one more source of this node has ended or was decided on. */
void fold_judge(engine_t *self, struct exec *exec, uint32_t node, uint32_t source);
/* A source of the node has ended. */
void fold_source_ended(engine_t *self, struct exec *exec, uint32_t node, uint32_t slot, bool taken);
/* Items begin in order, so many at a time as its node allows; those that ended before are passed
 * over. Where none is open, its output is asked for. */
void fold_begin_items(engine_t *self, struct exec *exec, uint32_t node);
bool fold_edge_taken(const struct exec *exec, uint32_t source);
void fold_item_ended(engine_t *self, struct exec *exec, uint32_t index);
void fold_note_failed(struct exec *exec, uint32_t node);
uint32_t fold_add_task(struct exec *exec);
void fold_add_child(struct exec *exec, uint32_t parent, uint32_t child);
/* Whether the last turn has all that its instance has to give, so that the run is over: what the
 * coordinator answers comes with the next dispatch. */
bool turn_yields(const struct talk *talk);
/* Whether a model is to be asked next: all that the last turn called for is there. */
bool turn_may_follow(const struct talk *talk);

/* --- talk.c ----------------------------------------------------------------------------------- */

struct talk *talk_of(struct task *task); /* made when there is none */
void talk_free(struct talk **self_p);
/* Forgets the attempt's turns. */
void talk_clear(struct talk *self);
void talk_add(struct talk *self, const struct entry *entry);
/* A result for this call, which is done now. */
void talk_answer(struct talk *self, const struct entry *entry);
/* Adds to the ledgers of the task, all above it, and the execution. */
void ledger_hold(struct exec *exec, uint32_t index, uint64_t tokens, uint64_t cost_microusd);
void ledger_settle(struct exec *exec, uint32_t index, const struct reservation *held,
                   const struct usage *usage);
/* What an execution used and has reserved becomes part of the sums of all that own it, or (gone) is
 * that no more. */
void ledger_join(struct exec *exec, bool gone);
const struct exec *exec_root(const struct exec *exec); /* who owns it, in the end; itself */
bool exec_has_family(const struct exec *exec); /* it has an owner, or may own others */
/* What a task may still use by its own limits, those above it, the execution's and those of the
 * executions that own it. UINT64_MAX: there is no limit. */
struct budget {
    uint64_t left;  /* beside what was used */
    uint64_t free;  /* beside what is reserved, too */
    uint32_t limit; /* the task whose limit `left` comes of; NO_NODE: the execution */
    uint32_t tight; /* the same for `free` */
};
struct budget ledger_tokens(const struct exec *exec, uint32_t index);
struct budget ledger_cost(const struct exec *exec, uint32_t index);
/* "lead -> writer -> lead": the agents from the top down to the task, in the arena. */
const char *talk_chain(struct arena *arena, const struct exec *exec, uint32_t index);
/* The entry as it is shown: a delegation's with what it came to. Borrowed. */
struct history_entry entry_view(const struct exec *exec, const struct entry *entry);

/* --- live.c ----------------------------------------------------------------------------------- */

void timer_set(engine_t *self, struct timer *timer, int64_t at_us);
void timer_clear(engine_t *self, struct timer *timer);
bool timer_before(const struct heap_item *a, const struct heap_item *b);
bool instance_before(const struct heap_item *a, const struct heap_item *b);
uint64_t instance_free(const struct instance *instance);

struct live *live_new(engine_t *self, struct exec *exec, uint32_t node);
void live_free(engine_t *self, struct live **live_p); /* from any state */
void live_idle(engine_t *self, struct live *live);
void live_claim(engine_t *self, struct live *live);
void live_retry(engine_t *self, struct live *live, int64_t at_us);
void live_queue(engine_t *self, struct live *live);
void live_aside(engine_t *self, struct live *live);
void live_hold(engine_t *self, struct live *live);
/* In exec->starved, engine->egressless or engine->returning. INT64_MAX: no timeout. */
void live_starve(engine_t *self, struct live *live, struct list *list, int64_t timeout_at_us);
void live_park(engine_t *self, struct live *live, int64_t timeout_at_us); /* INT64_MAX: none */
void live_run(engine_t *self, struct live *live, struct instance *instance, struct run run,
              int64_t now_us);
void live_stop(engine_t *self, struct live *live);
/* From one instance's list to another's, keeping state and run. */
void live_move(struct live *live, struct instance *instance);
bool exec_has_slot(const struct exec *exec); /* by its limit of parallel tasks */
void fill_slots(engine_t *self, struct exec *exec); /* some may have become free */
/* To be fed with the next dispatches, if any of it starve. */
void feed_later(engine_t *self, struct exec *exec);
void agent_dirty(engine_t *self, struct agent *agent);
/* The first in the agent's queues; NULL when they are empty. */
struct live *agent_first(const struct agent *agent);

#endif
