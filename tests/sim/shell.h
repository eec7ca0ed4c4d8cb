/* The simulated coordinatord: the pure engine and the coordinator's ends of links, with the order
 * of the real shell around them (coordinator/pipeline.c, links.c, loop.c): decide and apply, commit
 * the batch, and only then release acknowledgements, welcomes, dispatches, drops and answers, in
 * order. It checks with every input that the fold of what goes into the journal equals its engine's
 * state (invariant 7). */
#ifndef AF_TESTS_SIM_SHELL_H
#define AF_TESTS_SIM_SHELL_H

#include "engine/event.h"
#include "tests/sim/plan.h"
#include "tests/sim/world.h"

#define SHELL_NAME    "coordinator"
#define METHOD_START  "start"  /* payload: the workflow's index, one byte */
#define METHOD_CANCEL "cancel" /* payload: the execution's id */
#define METHOD_ENDED  "ended"  /* a host's report: struct shell_ended */

/* Of an attempt, from this entry on; answered with a dispatch that says nothing else. */
#define METHOD_HISTORY "history"

struct shell_history {
    struct uuid execution;
    char path[PATH_BYTES];
    uint32_t attempt, from;
};
/* What a person wants of an execution: struct shell_wish. */
#define METHOD_WISH "wish"
enum shell_wish_kind {
    WISH_DECISION,
    WISH_SIGNAL,
    WISH_PAUSE,
    WISH_GO_ON,
    WISH_REOPEN,
    WISH_CANCEL,
    WISH_FORK, /* answered with the new execution */
};
struct shell_wish {
    enum shell_wish_kind kind;
    struct uuid execution;
    char path[PATH_BYTES]; /* or the name of a signal; WISH_FORK: the node */
    uint32_t attempt;
    bool yes;       /* WISH_DECISION: approved */
    uint8_t hash[DATUM_HASH_BYTES]; /* WISH_DECISION: of what was asked; zero: it is not said */
    bool stale;     /* and that is wrong */
    int64_t number; /* WISH_DECISION: edited into this, -1: as it was; WISH_SIGNAL: its payload; WISH_FORK: k of the new input, -1: as it was */
};
struct shell_ended {
    char address[40]; /* of the instance */
    uint64_t boot;
};

struct shell *shell_new(struct world *world); /* and starts it */
void shell_destroy(struct shell **self_p);
struct proc *shell_proc(struct world *world);
bool shell_up(const struct world *world);

/* What the clock on the wall shows, which schedules go by, when the coordinator's shows utc_us. */
int64_t shell_wall(const struct world *world, int64_t utc_us);

/* --- from the store --- */
void shell_committed(struct world *world, uint64_t number);
void shell_full(struct world *world);
void shell_store_failed(struct world *world); /* the coordinator ends itself */

#endif
