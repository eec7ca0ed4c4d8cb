#include "tests/sim/model.h"

#include "base/limits.h"

#include <stdio.h>
#include <string.h>

/* Sub-workflows: executions that a task of another one owns. What holds between the two journals is
 * checked here with each event, and between batches by model_family, since a batch holds both sides
 * of what happens to both. */

static const struct plan_node *plan_of(const struct model *self, const struct model_node *node)
{
    return &self->workflow->nodes[node->root];
}

static bool runs(const struct model *self)
{
    return !execution_status_terminal(self->status);
}

struct model *model_among(const struct models *self, struct uuid execution)
{
    for (size_t i = 0; i < self->count; i++)
        if (uuid_equal(self->all[i]->execution, execution))
            return self->all[i];
    return NULL;
}

/* --- what a family uses ----------------------------------------------------------------------- */

/* With all below it that its own sums do not have yet. */
static void add_family(const struct model *self, struct model_sum *used, struct model_sum *reserved)
{
    used->tokens += self->used.tokens;
    used->cost += self->used.cost;
    reserved->tokens += self->reserved.tokens;
    reserved->cost += self->reserved.cost;
    for (size_t i = 0; i < self->among->count; i++) {
        const struct model *child = self->among->all[i];
        if (child->owner == self && !child->counted)
            add_family(child, used, reserved);
    }
}

bool model_family_past(const struct model *self)
{
    for (; self; self = self->owner) {
        struct model_sum used = {0}, reserved = {0};
        add_family(self, &used, &reserved);
        if (model_is_past(self->workflow->tokens, used.tokens, reserved.tokens) ||
            model_is_past(self->workflow->cost, used.cost, reserved.cost))
            return true;
    }
    return false;
}

bool model_family_spent(const struct model *self)
{
    for (; self; self = self->owner) {
        struct model_sum used = {0}, reserved = {0};
        add_family(self, &used, &reserved);
        if (model_is_spent(self->workflow->tokens, used.tokens) ||
            model_is_spent(self->workflow->cost, used.cost))
            return true;
    }
    return false;
}

/* --- depth ------------------------------------------------------------------------------------ */

/* Each execution above counts from itself. */
bool model_deep_enough(const struct model *self, uint32_t more)
{
    uint32_t depth = self->depth + more;
    for (const struct model *at = self; at; at = at->owner)
        if (depth - at->depth > (at->workflow->depth ? at->workflow->depth : LIMIT_DEPTH))
            return false;
    return depth <= LIMIT_DEPTH_MAX;
}

/* --- begin ------------------------------------------------------------------------------------ */

/* -1: it is too large to be read here. */
static int64_t input_k(const struct event_started *started)
{
    value_t *input = NULL;
    if (started->input.is_blob || value_from_msgpack(started->input.inline_bytes, &input, NULL))
        return -1;
    int64_t k = value_get_int(input, "k", -1);
    value_destroy(&input);
    return k;
}

/* Its owner's side follows within the same batch: see model_owned and model_family. */
const char *model_begin_sub(struct model *self, const struct event_started *started)
{
    struct model *owner = model_among(self->among, started->owner);
    uint32_t index = owner ? model_find(owner, started->owner_path) : NO_TASK;
    if (index == NO_TASK)
        return "the start of a sub-workflow whose owner the disk does not hold";
    const struct model_node *node = &owner->nodes[index];
    const struct plan_node *plan = plan_of(owner, node);
    if (plan->kind != DAG_WORKFLOW || node->depth > 0 ||
        &self->plan->workflows[plan->workflow] != self->workflow)
        return "a sub-workflow that its owner's node does not run";
    if (node->status != MODEL_ACTIVE || node->attempt != started->owner_attempt)
        return "a sub-workflow that is not due";
    if (started->depth != owner->depth + 1)
        return "a sub-workflow of another depth than one below its owner";
    self->owner = owner;
    self->owner_node = index;
    self->depth = started->depth;
    self->input_k = input_k(started);
    return model_deep_enough(self, 0) ? NULL : "a sub-workflow deeper than limits allow";
}

/* Neither its task nor, unless that is cleaning up, the owner gives it more time than they have. */
static int64_t deadline_of(const struct model *self, const struct model_node *node,
                           const struct model *child)
{
    const struct plan_node *plan = plan_of(self, node);
    int64_t least_us = plan->join == DAG_JOIN_DONE ? 0 : self->deadline_us;
    const int64_t times_us[2] = {child->workflow->time_us, plan->timeout_us};
    for (size_t i = 0; i < 2; i++)
        if (times_us[i] > 0 && (least_us == 0 || self->time_us + times_us[i] < least_us))
            least_us = self->time_us + times_us[i];
    return least_us;
}

const char *model_owned(struct model *self, const struct event_owned *owned)
{
    uint32_t index = model_find(self, owned->path);
    struct model *child = model_among(self->among, owned->execution);
    if (self->copying) {
        self->nodes[index].owns = true;
        self->nodes[index].status = MODEL_WAITING;
        return NULL;
    }
    if (index == NO_TASK || !child || child->owner != self || child->owner_node != index)
        return "a sub-workflow that is not there, or is another task's";
    struct model_node *node = &self->nodes[index];
    if (self->paused)
        return "a sub-workflow that begins while its owner is paused";
    if (node->status != MODEL_ACTIVE || owned->attempt != node->attempt)
        return "a sub-workflow of what is not due";
    if (node->child && runs(node->child))
        return "a sub-workflow beside the one of an attempt before";
    if (child->sequence != 1 || child->named)
        return "a sub-workflow that has begun before its owner says so";
    if (child->deadline_us != deadline_of(self, node, child))
        return "a sub-workflow with another limit of time than its rules say";
    if (plan_of(self, node)->cannot_read)
        return "a sub-workflow whose input can't be read";
    child->named = true;
    child->k = child->first_k = self->k + (plan_adds_index(plan_of(self, node)) ? node->item : 0);
    if (child->input_k >= 0 && child->input_k != child->k)
        return "a sub-workflow with another input than its message";
    node->child = child;
    node->owns = true;
    node->status = MODEL_WAITING;
    node->until_us = plan_of(self, node)->timeout_us;
    node->until_us += node->until_us > 0 ? self->time_us : 0;
    return NULL;
}

/* --- end -------------------------------------------------------------------------------------- */

static bool same_output(const struct model *child, const struct event_step *step)
{
    return child->status == EXECUTION_SUCCEEDED && !step->output.is_blob &&
           bytes_equal(buf_bytes(&child->output), step->output.inline_bytes);
}

/* Before its sub-workflow began. */
static const char *own_failure(const struct model *self, const struct model_node *node,
                               const struct event_step *step)
{
    const char *code = step->failure.code;
    if (node->owns)
        return "a failure of what waits for a sub-workflow that runs";
    if (strcmp(code, "limit") == 0)
        return model_deep_enough(self, 1) ? "a depth that is refused although it is allowed" : NULL;
    return plan_of(self, node)->cannot_read && strcmp(code, "expression") == 0
               ? NULL
               : "a sub-workflow that fails before it began";
}

/* Both may end in one batch: its time is up, and that of its sub-workflow. */
static bool was_timed_out(const struct model *self, const struct model_node *node,
                          const struct event_step *step)
{
    bool nothing = step->usage.input_tokens + step->usage.cost_microusd == 0;
    return step->kind == STEP_FAILURE && nothing && node->until_us > 0 &&
           self->time_us >= node->until_us && strcmp(step->failure.code, "timeout") == 0;
}

static const char *given_by(const struct model *child, const struct event_step *step)
{
    if (step->kind == STEP_RESULT)
        return same_output(child, step) ? NULL : "another result than its sub-workflow's";
    if (child->status == EXECUTION_SUCCEEDED)
        return strcmp(step->failure.code, "expression") == 0
                   ? NULL
                   : "a failure although its sub-workflow succeeded";
    bool same =
        strcmp(step->failure.code, child->code) == 0 && step->failure.permanent == child->permanent;
    return same ? NULL : "another failure than its sub-workflow's";
}

const char *model_sub_step(struct model *self, uint32_t index, const struct event_step *step)
{
    struct model_node *node = &self->nodes[index];
    struct model *child = node->owns ? node->child : NULL;
    const struct model_sum used = model_sum_of(&step->usage);
    if (self->copying) {
        model_spend(self, index, used);
        return NULL;
    }
    if (child && was_timed_out(self, node, step))
        return NULL;
    if (!child || runs(child))
        return step->kind == STEP_FAILURE ? own_failure(self, node, step)
                                          : "the result of a sub-workflow that has not ended";
    if (used.tokens != child->used.tokens || used.cost != child->used.cost)
        return "another usage than that of its sub-workflow";
    child->counted = true;
    model_spend(self, index, used);
    return given_by(child, step);
}

const char *model_sub_counted(struct model *self, uint32_t index,
                              const struct event_settled *settled)
{
    const struct model_sum used = model_sum_of(&settled->usage);
    struct model *child = self->nodes[index].child;
    if (self->copying) {
        model_spend(self, index, used);
        return NULL;
    }
    if (!child || runs(child) || child->counted || self->nodes[index].owns)
        return "the usage of a sub-workflow that is waited for, or counted, or runs";
    if (used.tokens != child->used.tokens || used.cost != child->used.cost)
        return "another usage than that of the sub-workflow";
    child->counted = true;
    model_spend(self, index, used);
    return NULL;
}

const char *model_subs_open(const struct model *self)
{
    for (size_t i = 0; i < self->among->count; i++) {
        const struct model *child = self->among->all[i];
        if (child->owner != self || child->counted)
            continue;
        if (runs(child))
            return "an end while a sub-workflow of it runs";
        if (child->used.tokens > 0 || child->used.cost > 0)
            return "an end without the usage of a sub-workflow";
    }
    return NULL;
}

void model_sub_ended(struct model *self, const struct event_ended *ended)
{
    buf_clear(&self->output);
    if (!ended->output.is_blob)
        buf_append_bytes(&self->output, ended->output.inline_bytes);
    (void)snprintf(self->code, sizeof self->code, "%s",
                   ended->status == EXECUTION_CANCELLED ? "cancelled"
                   : ended->failure.code                ? ended->failure.code
                                                        : "");
    self->permanent = ended->status == EXECUTION_CANCELLED || ended->failure.permanent;
}

/* --- pauses ----------------------------------------------------------------------------------- */

void model_pass_down(struct model *self)
{
    for (size_t i = 0; i < self->among->count; i++) {
        struct model *child = self->among->all[i];
        const struct model_node *node =
            child->owner == self ? &self->nodes[child->owner_node] : NULL;
        if (node && node->owns && node->child == child && child->paused != self->paused)
            child->hears_of_pause = true;
    }
}

/* --- between batches -------------------------------------------------------------------------- */

static const char *check_sub(struct model *self)
{
    const struct model_node *node = &self->owner->nodes[self->owner_node];
    bool due = self->hears_of_pause, waits = node->owns && node->child == self;
    self->hears_of_pause = false;
    if (!self->named)
        return "has an owner that does not know of it";
    if (!runs(self))
        return waits ? "has ended, but its owner waits for it" : NULL;
    if (self->status == EXECUTION_CANCELLING)
        return NULL;
    if (!waits)
        return "is not cancelled although nobody waits for it";
    return due ? "has not heard of a pause, or of its end" : NULL;
}

const char *model_family(const struct models *self, struct uuid *ret_execution)
{
    const char *wrong = NULL;
    for (size_t i = 0; i < self->count && !wrong; i++) {
        *ret_execution = self->all[i]->execution;
        if (self->all[i]->copying)
            wrong = "is the copy of another one without a word of that";
        else if (self->all[i]->owner)
            wrong = check_sub(self->all[i]);
    }
    return wrong;
}
