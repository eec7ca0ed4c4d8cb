/* Journal events: the only truth about an execution. Plain data; memory belongs to whoever made it
 * (decisions, or a journal reader's arena). engine_apply copies what the state keeps. */
#ifndef AF_ENGINE_EVENT_H
#define AF_ENGINE_EVENT_H

#include "base/datum.h"
#include "base/typeid.h"

/* One dispatch of one task to one instance: the fencing token. */
struct run {
    uint64_t epoch;
    uint64_t counter;
};
int run_compare(struct run a, struct run b);

enum execution_status {
    EXECUTION_RUNNING = 1,
    EXECUTION_WAITING = 2,
    EXECUTION_PAUSED = 3,
    EXECUTION_CANCELLING = 4,
    EXECUTION_FAILING = 5,
    EXECUTION_SUCCEEDED = 6,
    EXECUTION_FAILED = 7,
    EXECUTION_CANCELLED = 8,
};
const char *execution_status_name(enum execution_status status);
bool execution_status_terminal(enum execution_status status);

enum event_kind {
    EVENT_STARTED = 1,
    EVENT_STEP,
    EVENT_LOST,
    EVENT_CANCEL,
    EVENT_FAILING,
    EVENT_ENDED,
    EVENT_RESERVED,
    EVENT_SETTLED,
    EVENT_DELEGATED,
    EVENT_REFUSED,
    EVENT_ANSWERED,
    EVENT_PATCHED,
    EVENT_DECIDED,
    EVENT_WAITING,
    EVENT_DECISION,
    EVENT_SIGNAL,
    EVENT_TIMER,
    EVENT_PAUSED,
    EVENT_RESUMED,
    EVENT_REOPENED,
    EVENT_FORKED,
    EVENT_OWNED,
};
const char *event_kind_name(enum event_kind kind);

struct pinned_agent {
    const char *name;
    uint32_t version;
    int64_t timeout_us; /* of an attempt, where the node has none */
    bool rerun_never;
    bool takes_turns;   /* a model answers: its turns are reserved and granted */
    const char *const *delegates; /* names or globs of agents that it may delegate to */
    size_t delegates_count;
    uint32_t turns, depth, delegations, same_delegation; /* 0: the default */
    uint32_t max_tokens;          /* of one turn's output; 0: the default */
    uint64_t tokens, cost_microusd; /* of one task and all below it; 0: no limit */
    uint64_t input_price, output_price; /* microusd for a million tokens; 0: not known */
};

/* What model calls used, or may use at most. */
struct usage {
    uint64_t input_tokens, output_tokens, cost_microusd;
};

struct failure {
    const char *code;    /* "exit", "signal", "timeout", "expression", "lost", "limit", ...; NULL: none */
    const char *message;
    const char *detail;
    bool permanent;
};

struct pinned_workflow {
    const char *name;
    uint32_t version;
};

struct event_started {
    uint64_t seed;
    const char *workflow; /* "" for an agent alone */
    uint32_t workflow_version;
    const char *agent;    /* "" for a workflow */
    const struct pinned_agent *agents;
    size_t agents_count;
    struct datum input;
    int64_t deadline_us;  /* absolute; 0: none */
    const char *by;
    const struct pinned_workflow *workflows; /* that its nodes run */
    size_t workflows_count;
    /* Of a sub-workflow's execution: the task of another one that owns it. */
    struct uuid owner;    /* nil: nobody, and the others are not set */
    const char *owner_path;
    uint32_t owner_attempt;
    uint32_t depth;       /* of delegation, from 1 */
};

/* The same numbers as on the wire. */
enum step_kind { STEP_TURN = 1, STEP_TOOL_RESULT = 2, STEP_RESULT = 3, STEP_FAILURE = 4 };

struct event_step {
    const char *path;
    uint32_t attempt;
    struct run run;
    const char *instance;   /* "" when the coordinator itself made it (expression, backstop, losses) */
    uint32_t number;        /* within the task, from 1, across attempts and runs */
    enum step_kind kind;
    int64_t queued_us, started_us, ended_us;
    struct datum output;
    struct failure failure;
    int64_t retry_at_us;    /* STEP_FAILURE: when the next attempt is due; 0: the task failed for good */
    const char *agent;      /* who answered; differs from the node's after a fallback */
    uint32_t agent_version;
    uint32_t turn;          /* STEP_TURN: its number within the attempt; STEP_TOOL_RESULT: whose call;
                             * 0: a step that only counts */
    uint32_t call;          /* STEP_TOOL_RESULT: index within its turn. A turn without calls may have
                             * one result, a correction, after which the next turn follows */
    const char *const *calls; /* STEP_TURN: names of the tools that it calls */
    size_t calls_count;
    struct usage usage;     /* STEP_TURN, STEP_FAILURE: of the reserved turn, which it settles; of a task
                             * that waited for a sub-workflow: of all that this used */
    struct datum patch;     /* STEP_RESULT: a merge patch of the shared context, made with it by its
                             * node's `set`; absent: none */
};

struct event_lost {
    const char *path;
    struct run run;         /* all runs up to it are void */
    bool counted;           /* against LIMIT_LOSSES in a row */
    const char *reason;     /* "exited", "silence", "restart", "not claimed" */
    const char *instance;
};

/* The next turn of an attempt may be asked for, once, from this egress. */
struct event_reserved {
    const char *path;
    uint32_t attempt, turn;
    const char *egress;     /* address */
    uint64_t boot;          /* of the egress */
    uint64_t tokens, cost_microusd; /* the most that it may use; cost 0: not known */
};
/* A reservation ends without its turn: the egress that had it was lost. Counted at its bound. */
struct event_settled {
    const char *path;
    uint32_t attempt, turn; /* turn 0: no reservation, but a sub-workflow of the task, which had gone on
                             * without it, has ended and used this */
    const char *reason;     /* "egress lost" */
    struct usage usage;     /* with turn 0 */
};
/* A call of the task's last turn, which the coordinator answers. */
struct call_place {
    const char *path;
    struct run run;         /* of whoever said it */
    uint32_t attempt, turn, call;
};
struct event_delegated {
    struct call_place by;
    const char *child;      /* path */
    struct pinned_agent agent; /* as pinned by this execution from now on, or before */
    struct datum message;
    bool hand_off;
};
struct event_refused {
    struct call_place by;
    const char *agent;
    struct failure failure;
};
struct event_answered {
    struct call_place by;
    const char *tool;
    struct datum output;    /* absent: it failed */
    struct failure failure;
};
struct event_patched {
    struct call_place by;
    struct datum patch;     /* a merge patch of the shared context, RFC 7396 */
};

/* What an expression of the workflow came to, so that no later change of code changes it. */
enum decided_what { DECIDED_EDGE = 1, DECIDED_IF = 2, DECIDED_FOR = 3 };
struct event_decided {
    const char *path;       /* of the node */
    enum decided_what what;
    const char *source;     /* DECIDED_EDGE: the node that the edge comes from */
    bool holds;             /* DECIDED_EDGE, DECIDED_IF */
    struct datum items;     /* DECIDED_FOR: the list */
    uint32_t items_count;
    struct failure failure; /* code NULL: none. The expression failed, and with it the node */
};

/* A task waits for a person, a time or a signal; nothing of it runs. What ends the wait makes the task
 * ready again, and the coordinator then journals its result as a step. A wait is named by its path
 * and attempt, which no other wait of the execution ever has. */
enum wait_kind { WAIT_APPROVAL = 1, WAIT_TIMER = 2, WAIT_SIGNAL = 3 };
struct event_waiting {
    const char *path;
    uint32_t attempt;
    enum wait_kind kind;
    uint8_t hash[DATUM_HASH_BYTES]; /* WAIT_APPROVAL: of text and show, which a decision is bound to */
    struct datum text, show; /* WAIT_APPROVAL: what is asked, and what is shown with it; show may be
                              * absent */
    const char *signal;     /* WAIT_SIGNAL: its name */
    int64_t due_us;         /* absolute; 0: it waits for ever */
};
struct event_decision {
    const char *path;
    uint32_t attempt;
    bool approved;
    const char *by, *note;
    struct datum edited;    /* absent: nothing was */
};
/* Goes to the wait for that name that began first, or is kept for one that will begin. */
struct event_signal {
    const char *name;
    struct datum payload;   /* inline */
    const char *by;
};
/* What was waited for is due: the time of a timer, or the end of the patience for the others. */
struct event_timer {
    const char *path;
    uint32_t attempt;
    enum wait_kind kind;
};
/* Nothing begins from here on, or does again. */
struct event_pause { const char *by, *why; };

/* It had failed or been cancelled, and goes on: what has succeeded stays, all else is tried again. */
struct event_reopened {
    const char *by;
    enum execution_status was;
    struct run run;         /* all runs up to it are void */
    int64_t deadline_us;    /* as in started */
};
/* All events before were copied from another execution; from here on it is its own. */
struct event_forked {
    struct uuid from;
    uint64_t at;            /* the last event that was copied: it made the node ready */
    const char *node;
    struct datum input;     /* absent: as before */
    const char *by;
    int64_t deadline_us;
};

/* A sub-workflow was started for a task, which waits for its end: the task's next step is what it came
 * to. Goes with the `started` of that execution in one batch, and so does that step with its end. */
struct event_owned {
    const char *path;
    uint32_t attempt;
    struct uuid execution;
    const char *workflow;
    uint32_t version;
};

struct event_cancel { const char *by, *why; };
struct event_failing { const char *path; struct failure failure; bool finish; };
struct event_ended {
    enum execution_status status;
    struct datum output;
    struct failure failure;
    const char *path;       /* of the node that failed it; "" */
};

struct event {
    struct uuid execution;
    uint64_t sequence; /* from 1 within the execution */
    int64_t time_us;   /* never goes back within an execution */
    enum event_kind kind;
    bool leaves_waiting; /* for publishing alone, not journaled: from here on the execution waits for
                          * people, times and signals alone, which it did not before */
    union {
        struct event_started started;
        struct event_step step;
        struct event_lost lost;
        struct event_cancel cancel;
        struct event_failing failing;
        struct event_ended ended;
        struct event_reserved reserved;
        struct event_settled settled;
        struct event_delegated delegated;
        struct event_refused refused;
        struct event_answered answered;
        struct event_patched patched;
        struct event_decided decided;
        struct event_waiting waiting;
        struct event_decision decision;
        struct event_signal signal;
        struct event_timer timer;
        struct event_pause paused, resumed;
        struct event_reopened reopened;
        struct event_forked forked;
        struct event_owned owned;
    };
};

#endif
