/* What the journal says of one execution, told anew and simply: the rules of joins, retries and
 * ends without the engine's code. It knows one workflow of the plan, and is fed the events that the
 * disk holds. */
#ifndef AF_TESTS_SIM_MODEL_H
#define AF_TESTS_SIM_MODEL_H

#include "engine/event.h"
#include "tests/sim/plan.h"

#define STEPS_MOST 64

enum model_status {
    MODEL_PENDING,
    MODEL_ACTIVE, /* may be given out */
    MODEL_SUCCEEDED,
    MODEL_FAILED,
    MODEL_SKIPPED,
    MODEL_CANCELLED,
};

struct model_node {
    enum model_status status;
    uint32_t attempt, first_attempt, step, losses_row, results;
    bool fallen_back;
    int64_t retry_at_us;
    struct run void_run;
    struct run steps[STEPS_MOST]; /* by number: whose it was */
    /* From outside the journal: */
    bool given;
    struct run given_run;
    size_t given_to;         /* instance */
    uint32_t effect_attempt; /* of the effect that started last; 0: none */
    struct run effect_run;
};

struct model {
    struct uuid execution;
    const struct plan_workflow *workflow;
    enum execution_status status;
    uint64_t sequence;
    int64_t time_us, deadline_us;
    bool stop;
    struct model_node nodes[NODES_MOST];
};

/* NULL, or what is wrong with the event, and which invariant forbids it. The first event is that of
 * the start, into a zeroed model with execution and workflow set. */
const char *model_apply(struct model *self, const struct event *event, int *ret_invariant);
/* UINT32_MAX: no such node. */
uint32_t model_find(const struct model *self, const char *path);
bool model_node_ended(const struct model_node *node);

#endif
