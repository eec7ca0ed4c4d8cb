/* The engine's inside, shared by the files of engine/ and nobody else.
 *
 * Folded state is struct exec and struct task but for what stands below "volatile" in them; only
 * fold.c writes it. Volatile state is struct live (the other side of a task that is neither pending
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
 *  | '-------+---------+----> HELD       |       |           |
 *  '---------------------------------------------+-----------'
 *
 * IDLE: in no list, no timer. CLAIM: after a restart, waits for its instance to claim it. RETRY: its
 * timer runs until the next attempt. QUEUED: in its agent's queue. ASIDE: its execution has as many
 * tasks running as it may. HELD: its execution is being stopped and others have yet to stop.
 * RUNNING: an instance holds it under `run`. STOPPING: the same, but the fold has ended the task, or
 * the attempt, and the instance was told to drop it; a next attempt waits until it has let go. */
enum live_state {
    LIVE_IDLE,
    LIVE_CLAIM,
    LIVE_RETRY,
    LIVE_QUEUED,
    LIVE_ASIDE,
    LIVE_HELD,
    LIVE_RUNNING,
    LIVE_STOPPING,
};

struct live {
    struct list link; /* in the one list that its state names */
    struct exec *exec;
    uint32_t node;
    uint32_t agent_index; /* by dag_agent, while QUEUED or ASIDE */
    enum live_state state;
    bool again; /* dispatched before, perhaps: goes ahead of new work */
    struct instance *instance; /* RUNNING and STOPPING */
    struct run run;
    int64_t dispatched_us;
    size_t effect; /* where its dispatch stands among the decisions, as long as they are gathered */
    struct timer timer; /* RETRY: next attempt; RUNNING: the backstop of its timeout; STOPPING: of it */
};

#define PRIORITIES 10
#define QUEUES     (2 * PRIORITIES)

struct agent {
    char *name;
    size_t references;           /* of executions' pins and of instances */
    bool dirty;                  /* in engine->dirty */
    uint32_t waiting;            /* bit i: queues[i] has something in it */
    uint64_t queued, running;
    struct list queues[QUEUES];  /* (9 - priority) * 2, one more for work that is new */
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

/* Of one execution with a limit of parallel tasks, for one agent. */
struct lane {
    struct list aside;
    struct list idle;  /* in exec->idle_lanes: has some aside and none queued */
    uint32_t queued;
};

/* --- folded ----------------------------------------------------------------------------------- */

enum reason { REASON_NONE, REASON_DISABLED, REASON_SOURCE, REASON_NO_SOURCE, REASON_FAILED, REASON_CANCELLED, REASON_ENDED };

/* Heap blocks with all that they point to. */
struct answer {
    struct datum datum;
    const char *instance;
};
struct blame {
    struct failure failure;
    const char *instance;
};

struct task {
    uint8_t status; /* enum task_status; TASK_RUNNING is volatile and never stands here */
    uint8_t reason;
    bool fallen_back;
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
    /* volatile */
    struct live *live;
};

struct pin {
    struct agent *agent; /* a reference */
    uint32_t version;
    int64_t timeout_us;
    bool rerun_never;
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
    int64_t stop_us; /* when `stop` was set */
    struct answer *input, *output;
    struct blame *blame;
    uint32_t failed_node; /* NO_NODE: the execution itself */
    uint32_t first_failed; /* of the nodes that failed for good and fail the execution; NO_NODE */
    uint32_t open;        /* tasks that have not ended */
    uint32_t count;
    struct task *tasks;
    struct pin *pins; /* by dag_agent */
    /* volatile */
    bool hard;         /* past the grace of a limit: nothing starts any more */
    bool from_before;  /* was there at the resume: instances unknown yet may hold its tasks */
    uint32_t running;  /* tasks held by instances, or perhaps held (CLAIM); those that stop included */
    uint32_t stopping;
    struct lane *lanes; /* by dag_agent; NULL without a limit of parallel tasks */
    struct list idle_lanes;
    struct list held;
    struct timer limit, stop_timer;
};

/* --- the engine ------------------------------------------------------------------------------- */

#define DECODED_KEPT       16
#define DECODED_KEPT_BYTES (1u << 20)
#define DECODED_INPUT      UINT32_MAX

/* Values decoded for expressions, since fan-outs read the same one over and over. */
struct decoded {
    const struct exec *exec; /* NULL: free */
    uint32_t node;           /* DECODED_INPUT: the execution's input */
    value_t *value;
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
    /* volatile */
    uint64_t run_counter;
    uint64_t use_counter;
    uint64_t timer_counter;
    struct heap timers;
    bool claiming; /* since the resume, until claims_until_us has passed and all is settled */
    int64_t claims_until_us;
    struct list claims; /* lives in CLAIM */
    struct agent **dirty;
    size_t dirty_count, dirty_capacity;
    struct live *spare; /* freed lives, chained by link.next */
    struct decoded decoded[DECODED_KEPT];
    size_t decoded_next;
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

/* NO_NODE for a path that names no task, also for none at all. */
uint32_t exec_find(const struct exec *exec, const char *path);
bool exec_terminal(const struct exec *exec);
/* Being stopped as a whole: cancelling, failing at once, or past the grace of a limit. */
bool exec_stops(const struct exec *exec);
bool task_active(const struct task *task); /* ready or retrying in the fold */
bool task_ended(const struct task *task);
/* The agent in use, by dag_agent. */
uint32_t task_agent(const struct exec *exec, uint32_t node);
const struct pin *task_pin(const struct exec *exec, uint32_t node);

/* --- fold.c ----------------------------------------------------------------------------------- */

/* engine_apply, leaving in self->ready which nodes became ready. */
int fold(engine_t *self, const struct event *event, struct err *err) MUST_CHECK;

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
void live_run(engine_t *self, struct live *live, struct instance *instance, struct run run,
              int64_t now_us);
void live_stop(engine_t *self, struct live *live);
/* From one instance's list to another's, keeping state and run. */
void live_move(struct live *live, struct instance *instance);
bool exec_has_slot(const struct exec *exec); /* by its limit of parallel tasks */
void agent_dirty(engine_t *self, struct agent *agent);
/* The first in the agent's queues; NULL when they are empty. */
struct live *agent_first(const struct agent *agent);

#endif
