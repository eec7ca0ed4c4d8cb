#include "tests/sim/model.h"

#include <string.h>

/* Executions that have ended and go on: what has succeeded stays, and what failed, was cancelled or
 * was skipped thereby is judged anew. */

static bool is_marked(const struct model_node *node)
{
    return node->status == MODEL_FAILED || node->status == MODEL_CANCELLED ||
           (node->status == MODEL_SKIPPED && node->stopped);
}

/* Sources stand before their targets: one walk is enough. */
static void mark(const struct model *self, bool *again)
{
    for (uint32_t i = 0; i < self->workflow->nodes_count; i++) {
        const struct plan_node *plan = &self->workflow->nodes[i];
        const struct model_node *node = &self->nodes[i];
        again[i] = is_marked(node);
        bool skipped = node->status == MODEL_SKIPPED && !plan->disabled && !plan->gone;
        for (uint32_t s = 0; skipped && s < plan->sources_count; s++)
            again[i] |= again[plan->sources[s]];
    }
}

static void reset(struct model *self, uint32_t index, struct run void_run)
{
    struct model_node *node = &self->nodes[index];
    node->status = MODEL_PENDING;
    node->gate = MODEL_GATE_NONE;
    node->stopped = false;
    node->agent = self->workflow->nodes[node->root].agent;
    node->fallen_back = false;
    node->losses_row = 0;
    node->ended_us = 0;
    node->ended_sequence = 0;
    memset(node->edges, 0, sizeof node->edges);
    model_void_runs(node, void_run);
}

/* Its list is known, and what some of its items gave. */
static bool reset_items(struct model *self, uint32_t index, struct run void_run)
{
    bool any = false;
    for (uint32_t i = self->workflow->nodes_count; i < self->count; i++) {
        if (!self->nodes[i].is_item || self->nodes[i].owner != index)
            continue;
        any = true;
        if (self->nodes[i].status != MODEL_SUCCEEDED)
            reset(self, i, void_run);
    }
    return any;
}

const char *model_reopened(struct model *self, const struct event_reopened *reopened,
                           int *ret_invariant)
{
    bool again[NODES_MOST] = {false};
    int64_t time_us = self->workflow->time_us;
    *ret_invariant = 3;
    if (self->status != EXECUTION_FAILED && self->status != EXECUTION_CANCELLED)
        return "the reopening of what has neither failed nor been cancelled";
    if (reopened->was != self->status)
        return "a reopening of what ended otherwise";
    if (reopened->deadline_us != (time_us > 0 ? self->time_us + time_us : 0))
        return "a reopening with another limit of time than its rule";
    self->status = EXECUTION_RUNNING;
    self->stop = self->paused = false;
    self->deadline_us = reopened->deadline_us;
    self->reopened++;
    mark(self, again);
    for (uint32_t i = 0; i < self->workflow->nodes_count; i++) {
        if (!again[i])
            continue;
        reset(self, i, reopened->run);
        if (reset_items(self, i, reopened->run))
            model_items_again(self, i);
    }
    return NULL;
}
