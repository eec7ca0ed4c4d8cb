/* The simulated world: its time, its queue of what happens next, its processes, and what has gone
 * wrong. One thread, one world for one seed; nothing in it reads a clock or a source of chance of
 * the machine. The parts: plan (what the seed makes of workflows and faults), net (the broker),
 * store (the disk), shell (coordinatord), instance (agentd), egress (egressd, and what its models
 * say: script), client, chaos (who dies when), observer (who looks at all of it from outside and
 * knows the invariants). */
#ifndef AF_TESTS_SIM_WORLD_H
#define AF_TESTS_SIM_WORLD_H

#include "base/limits.h"
#include "proto/wire.h"
#include "tests/sim/prng.h"

#define MS        1000LL
#define SECOND    LIMIT_SECOND_US
#define SIM_NEVER INT64_MAX
/* UTC at the world's time 0. */
#define SIM_UTC (1700000000 * SECOND)

/* Faults that stand in our own shells; those of pure modules are in copies of them, see mutate.py.
 */
enum shell_fault {
    FAULT_NONE,
    FAULT_ACKNOWLEDGE_EARLY, /* steps are acknowledged before their commit */
    FAULT_REPLY_EARLY,       /* a start is answered before its commit */
    FAULT_DISPATCH_EARLY,    /* effects go out before their commit */
    FAULT_NO_FLUSH,          /* acknowledgements are not flushed at a release */
    FAULT_GRANT_EARLY,       /* egresses hear of grants before their commit */
    FAULT_SCHEDULE_APART,    /* a schedule's record goes into a batch after that of its start */
    FAULT_SCHEDULE_BESIDE,   /* schedules start although the execution before still runs */
    FAULT_FORK_APART,        /* a fork's event goes into a batch after that of its copies */
    FAULT_FORGET_EARLY,      /* egresses are told to forget before the turn's commit */
};

struct world;
struct proc;
struct plan;
struct net;
struct store;
struct shell;
struct fleet;
struct egresses;
struct clients;
struct person;
struct observer;

struct counts {
    uint64_t happenings, messages, lost_messages, doubled_messages, executions, events, dispatches;
    uint64_t effects, kept_claims, refused_claims, losses, retries, cancels, lies;
    uint64_t turns, delegations, refusals, provider_calls, calls_again, calls_late, fetches, egress_crashes;
    uint64_t subs, expressions, items, waits, decisions, signals, human_pauses, reopened, forks;
    uint64_t scheduled, scheduled_late, schedules_skipped, clocks_set;
    uint64_t crashes, pauses, broker_crashes, partitions, disk_faults, torn;
};

struct world {
    uint64_t seed;
    enum shell_fault fault;
    bool tracing, thorough;
    const char *cuts;        /* of the plan; NULL: none. See plan_cut.c */
    struct prng prng;
    int64_t now_us;
    bool calm;               /* the faults are over */
    int64_t calm_us;         /* since when, or from when on */
    struct happening *queue; /* a heap */
    size_t queue_count, queue_capacity;
    uint64_t order;
    struct plan *plan;
    struct net *net;
    struct store *store;
    struct shell *shell;
    struct fleet *fleet;
    struct egresses *egresses;
    struct clients *clients;
    struct person *person;
    struct observer *observer;
    struct counts counts;
    bool failed;
    int invariant; /* that does not hold, from 1; 0: something else is wrong */
    char failure[600];
};

uint64_t world_prng(uint64_t seed); /* the state of chance that the seed's plan is drawn from */
/* Builds the world of this seed, lets it run to its end, and takes it down. *world's first five
 * members are the caller's; counts and failure are the answer. */
void world_run(struct world *world);

typedef void (*world_fn)(struct world *world, void *context, uint64_t number);
/* Equal times come in the order of these calls. A time that is over counts as now. */
void world_at(struct world *world, int64_t at_us, world_fn fn, void *context, uint64_t number);

/* The first finding counts; what comes after it follows from it. */
void world_fail(struct world *world, int invariant, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define TRACE(world, ...)                                                                          \
    do {                                                                                           \
        if ((world)->tracing)                                                                      \
            world_trace((world), __VA_ARGS__);                                                     \
    } while (0)
void world_trace(const struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *sim_uuid(struct uuid id); /* short, in static memory; good for one call at a time */

/* --- processes -------------------------------------------------------------------------------- */

struct sim_message {
    char *from;
    uint64_t correlation;
    enum wire_kind kind;
    struct buf body;
    struct buf payload;
    struct sim_message *next;
};
void sim_message_free(struct sim_message **message_p);

struct proc {
    struct world *world;
    char name[40]; /* its address */
    bool up, frozen;
    bool dying;         /* dead already, within a round that has yet to unwind: nothing leaves it */
    uint64_t countdown; /* it dies instead of its so-manieth effect from now; 0: it does not */
    uint64_t life;      /* greater for each start */
    int64_t wake_us;
    int64_t mono_ahead_us, utc_ahead_us; /* of its clocks */
    int64_t clock_us;                    /* what it read last, on the world's time */
    struct sim_message *inbox, **inbox_end;
    void (*round)(struct proc *self);
    void (*die)(struct proc *self);
};

void proc_start(struct proc *self);
/* Takes what waits in its inbox away and marks it as down; the owner has freed all else. */
void proc_stop(struct proc *self);
/* Runs a round at that time, or soon after; the earliest wish counts. */
void proc_wake(struct proc *self, int64_t at_us);
void proc_freeze(struct proc *self, int64_t until_us);
/* kill -9, now, or instead of its n-th effect. */
void proc_kill(struct proc *self, uint64_t countdown);
/* To be asked before anything that others could notice: false when the process died just there. */
bool proc_effect(struct proc *self);
/* Its clocks, as read at the begin of a round: they lag a little behind. */
void proc_read_clock(struct proc *self);
int64_t proc_mono(const struct proc *self);
/* The monotonic clock read anew, in the middle of a round. */
int64_t proc_mono_anew(const struct proc *self);
int64_t proc_utc(const struct proc *self);
/* The world's time at which its monotonic clock shows this. */
int64_t proc_when(const struct proc *self, int64_t mono_us);
struct sim_message *proc_take(struct proc *self); /* the oldest message, or NULL */

#endif
