#include "tests/sim/model.h"

#include <string.h>

/* Executions that begin again. Those that have ended and go on: what has succeeded stays, and what
 * failed, was cancelled or was skipped thereby is judged anew. */

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

/* --- forks ------------------------------------------------------------------------------------ */

int64_t model_copied_k(const struct model *self)
{
    for (size_t i = 0; i < self->among->count; i++)
        if (self->among->all[i] != self && self->among->all[i]->seed == self->seed)
            return self->among->all[i]->first_k;
    return -1;
}

/* What was asked, waited for or run elsewhere is the other one's; this one's times count from now.
 */
static void begin_anew(struct model *self, uint32_t index)
{
    struct model_node *node = &self->nodes[index];
    bool waits = model_wait_open(node);
    model_drop_reservation(self, index);
    if (node->until_us > 0) {
        node->until_us = 0;
        model_begin_attempt(self, index);
    }
    if (waits)
        node->wait_attempt = 0;
    if (waits || node->owns)
        node->status = MODEL_ACTIVE;
    node->owns = false;
    node->child = NULL;
}

static int64_t new_k(const struct event_forked *forked, int64_t k)
{
    value_t *input = NULL;
    if (value_from_msgpack(forked->input.inline_bytes, &input, NULL))
        return k;
    k = value_get_int(input, "k", -1);
    value_destroy(&input);
    return k;
}

const char *model_forked(struct model *self, const struct event_forked *forked, int *ret_invariant)
{
    uint32_t index = model_find(self, forked->node);
    int64_t time_us = self->workflow->time_us;
    *ret_invariant = 3;
    if (index == NO_TASK || index >= self->workflow->nodes_count)
        return "a fork from what is no node";
    if (forked->at != self->sequence - 1 || self->nodes[index].gate_sequence != forked->at)
        return "a fork from a node that was not just let begin";
    if (forked->deadline_us != (time_us > 0 ? self->time_us + time_us : 0))
        return "a fork with another limit of time than its rule";
    for (uint32_t i = 0; i < self->count; i++)
        begin_anew(self, i);
    if (!datum_absent(&forked->input))
        self->k = new_k(forked, self->k);
    self->deadline_us = forked->deadline_us;
    self->paused = false;
    self->forked = true;
    return NULL;
}
