#include "tests/sim/model.h"

#include "base/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool model_node_ended(const struct model_node *node)
{
    return node->status > MODEL_WAITING;
}

uint32_t model_find(const struct model *self, const char *path)
{
    for (uint32_t i = 0; i < self->count; i++)
        if (strcmp(self->nodes[i].path, path) == 0)
            return i;
    return NO_TASK;
}

const struct plan_node *model_rules(const struct model *self, const struct model_node *node)
{
    static const struct plan_node delegation = {.on_error = DAG_CONTINUE, .retry = {.attempts = 1}};
    return node->depth > 0 ? &delegation : &self->workflow->nodes[node->root];
}

struct model_node *model_add(struct model *self, const char *path, uint32_t agent)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 16;
        self->nodes = xrealloc(self->nodes, self->capacity * sizeof *self->nodes);
    }
    struct model_node *node = &self->nodes[self->count++];
    *node = (struct model_node){
        .agent = agent, .parent = NO_TASK, .owner = NO_TASK, .root = self->count - 1};
    (void)snprintf(node->path, sizeof node->path, "%s", path);
    return node;
}

void model_release(struct model *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        free(self->nodes[i].steps);
        free(self->nodes[i].calls);
        buf_release(&self->nodes[i].output);
    }
    buf_release(&self->output);
    free(self->nodes);
    free(self->kept);
}

/* --- ends ------------------------------------------------------------------------------------- */

void model_begin_node(struct model_node *node)
{
    node->gate = MODEL_GATE_NONE;
    node->status = MODEL_ACTIVE;
    node->first_attempt = ++node->attempt;
}

void model_end_node(struct model *self, uint32_t index, enum model_status status)
{
    self->nodes[index].gate = MODEL_GATE_NONE;
    self->nodes[index].status = status;
    self->nodes[index].owns = false;
    self->nodes[index].ended_sequence = self->sequence;
    self->nodes[index].ended_us = self->time_us;
    model_attempt_over(self, index, NULL);
}

static void cancel_all(struct model *self)
{
    for (uint32_t i = 0; i < self->count; i++)
        if (!model_node_ended(&self->nodes[i]))
            model_end_node(self, i, MODEL_CANCELLED);
}

/* Items before their nodes: those that have not begun are skipped, too. */
static void stop_tasks(struct model *self)
{
    for (uint32_t i = self->count; i-- > 0;) {
        const struct model_node *node = &self->nodes[i];
        if (model_node_ended(node) || self->workflow->nodes[node->root].join == DAG_JOIN_DONE)
            continue;
        self->nodes[i].stopped = true;
        model_end_node(self, i, node->status == MODEL_PENDING ? MODEL_SKIPPED : MODEL_CANCELLED);
    }
}

/* --- steps ------------------------------------------------------------------------------------ */

void model_void_runs(struct model_node *node, struct run run)
{
    if (run_compare(run, node->void_run) > 0)
        node->void_run = run;
}

static void note_step(struct model_node *node, const struct event_step *step)
{
    if (step->number >= node->steps_capacity) {
        node->steps_capacity = 2 * node->steps_capacity + 8;
        node->steps = xrealloc(node->steps, node->steps_capacity * sizeof *node->steps);
    }
    node->step = step->number;
    node->steps[step->number] = step->run;
    node->losses_row = 0;
}

static const char *apply_failure(struct model *self, uint32_t index, const struct event_step *step,
                                 int *ret_invariant)
{
    struct model_node *node = &self->nodes[index];
    const struct plan_node *rules = model_rules(self, node);
    bool used = node->attempt - node->first_attempt + 1 >= rules->retry.attempts;
    *ret_invariant = 6;
    model_void_runs(node, step->run);
    model_attempt_over(self, index, step->turn > 0 ? &step->usage : NULL);
    if (step->retry_at_us == 0) {
        model_end_node(self, index, MODEL_FAILED);
        model_tell_owner(self, index);
        return NULL;
    }
    if (step->failure.permanent || used) {
        if (rules->on_error != DAG_FALLBACK || node->fallen_back)
            return "an attempt more than the policy allows";
        node->fallen_back = true;
        node->agent = rules->fallback;
        node->first_attempt = node->attempt + 1;
    }
    node->status = MODEL_ACTIVE;
    node->attempt++;
    node->retry_at_us = step->retry_at_us;
    return NULL;
}

static void keep_output(struct model_node *node, const struct event_step *step)
{
    buf_clear(&node->output);
    buf_append_bytes(&node->output, step->output.inline_bytes);
}

/* The outputs of its items are that of the node. */
static const char *apply_gathered(struct model *self, uint32_t index, const struct event_step *step)
{
    struct model_node *node = &self->nodes[index];
    const char *wrong = model_gathered(self, index, step);
    if (wrong)
        return wrong;
    node->results++;
    keep_output(node, step);
    model_end_node(self, index, MODEL_SUCCEEDED);
    return NULL;
}

static const char *apply_result(struct model *self, uint32_t index, const struct event_step *step)
{
    struct model_node *node = &self->nodes[index];
    if (self->plan->agents[node->agent].kind == KIND_MODEL &&
        (node->turn == 0 || node->calls_count > 0 || node->corrected))
        return "a result of a model that has not given its last answer";
    const char *wrong = model_set(self, index, step);
    if (wrong)
        return wrong;
    model_void_runs(node, step->run);
    node->results++;
    keep_output(node, step);
    model_end_node(self, index, MODEL_SUCCEEDED);
    model_tell_owner(self, index);
    return NULL;
}

static const char *apply_step(struct model *self, const struct event_step *step, int *ret_invariant)
{
    uint32_t index = model_find(self, step->path);
    *ret_invariant = 2;
    if (index == NO_TASK)
        return "a step of a task that does not exist";
    struct model_node *node = &self->nodes[index];
    bool own = !*step->instance, gathers = own && node->gate == MODEL_GATE_GATHER;
    if (node->results > 0)
        return "a step after the recorded result";
    bool ends_wait = own && (step->kind == STEP_FAILURE || node->owns);
    if (node->status != MODEL_ACTIVE && !gathers && (node->status != MODEL_WAITING || !ends_wait))
        return "a step of a task that is not under way";
    if (step->number != node->step + 1)
        return "a step that is not the task's next";
    if (step->attempt != node->attempt)
        return "a step of another attempt";
    if (!own && run_compare(step->run, node->void_run) <= 0)
        return "a step from a run that is void";
    bool given = node->given && run_compare(step->run, node->given_run) == 0;
    if (!own && !given && !self->copying)
        return "a step from another run than the current one";
    const char *wrong = own && !gathers ? model_own_step(self, index, step) : NULL;
    if (wrong)
        return wrong;
    node->owns = false;
    note_step(node, step);
    if (gathers)
        return apply_gathered(self, index, step);
    switch (step->kind) {
    case STEP_TURN: return model_turn(self, index, step, ret_invariant);
    case STEP_TOOL_RESULT: return model_tool_result(self, index, step, ret_invariant);
    case STEP_FAILURE: return apply_failure(self, index, step, ret_invariant);
    case STEP_RESULT: return apply_result(self, index, step);
    }
    return "a step of an unknown kind";
}

static const char *apply_lost(struct model *self, const struct event_lost *lost, int *ret_invariant)
{
    uint32_t index = model_find(self, lost->path);
    *ret_invariant = 2;
    if (index == NO_TASK || self->nodes[index].status != MODEL_ACTIVE)
        return "a loss of a task that is not under way";
    struct model_node *node = &self->nodes[index];
    if (run_compare(lost->run, node->void_run) <= 0)
        return "a loss of a run that is void already";
    model_void_runs(node, lost->run);
    node->losses_row += lost->counted;
    *ret_invariant = 6;
    return node->losses_row > LIMIT_LOSSES + 1 ? "more losses in a row than the limit" : NULL;
}

/* --- events ----------------------------------------------------------------------------------- */

static const char *begin(struct model *self, const struct event_started *started)
{
    self->status = EXECUTION_RUNNING;
    self->seed = started->seed;
    self->k = self->first_k = self->copying ? model_copied_k(self) : (int64_t)started->seed;
    self->deadline_us = started->deadline_us;
    for (uint32_t i = 0; i < self->workflow->nodes_count; i++)
        (void)model_add(self, self->workflow->nodes[i].id, self->workflow->nodes[i].agent);
    return uuid_is_nil(started->owner) || self->copying ? NULL : model_begin_sub(self, started);
}

static const char *apply_ended(struct model *self, const struct event_ended *ended,
                               int *ret_invariant)
{
    *ret_invariant = 1;
    if (!execution_status_terminal(ended->status))
        return "an end that is none";
    const char *open = model_subs_open(self);
    if (open)
        return open;
    for (uint32_t i = 0; i < self->count; i++) {
        const struct model_node *node = &self->nodes[i];
        if (!model_node_ended(node) && !self->stop)
            return "an end while tasks have not ended";
        bool failed =
            node->status == MODEL_FAILED && model_rules(self, node)->on_error != DAG_CONTINUE;
        if (failed && ended->status == EXECUTION_SUCCEEDED)
            return "a success although a task failed";
    }
    if ((self->status == EXECUTION_CANCELLING) != (ended->status == EXECUTION_CANCELLED))
        return "an end that does not fit what was asked";
    const char *wrong = self->status == EXECUTION_RUNNING ? model_output(self, ended) : NULL;
    if (wrong)
        return wrong;
    cancel_all(self);
    self->status = ended->status;
    model_sub_ended(self, ended);
    *ret_invariant = 6;
    return self->reserved.tokens > 0 || self->reserved.cost > 0 ? "an end while tokens are reserved"
                                                                : NULL;
}

static const char *apply_kind(struct model *self, const struct event *event, int *ret_invariant)
{
    switch (event->kind) {
    case EVENT_STARTED: *ret_invariant = 3; return begin(self, &event->started);
    case EVENT_OWNED: *ret_invariant = 3; return model_owned(self, &event->owned);
    case EVENT_STEP: return apply_step(self, &event->step, ret_invariant);
    case EVENT_LOST: return apply_lost(self, &event->lost, ret_invariant);
    case EVENT_CANCEL:
        self->status = EXECUTION_CANCELLING;
        cancel_all(self);
        return NULL;
    case EVENT_FAILING:
        self->status = EXECUTION_FAILING;
        if (!event->failing.finish) {
            self->stop = true;
            stop_tasks(self);
        }
        return NULL;
    case EVENT_FORKED: return model_forked(self, &event->forked, ret_invariant);
    case EVENT_REOPENED: return model_reopened(self, &event->reopened, ret_invariant);
    case EVENT_DECIDED: return model_decided(self, &event->decided, ret_invariant);
    case EVENT_WAITING:
    case EVENT_DECISION:
    case EVENT_TIMER:
    case EVENT_SIGNAL:
    case EVENT_PAUSED:
    case EVENT_RESUMED: return model_wait_event(self, event, ret_invariant);
    case EVENT_ENDED: return apply_ended(self, &event->ended, ret_invariant);
    default: break;
    }
    return model_call_event(self, event, ret_invariant);
}

const char *model_apply(struct model *self, const struct event *event, int *ret_invariant)
{
    *ret_invariant = 1;
    if (event->sequence != self->sequence + 1)
        return "a gap in the journal";
    if ((event->sequence == 1) != (event->kind == EVENT_STARTED))
        return "a journal that does not begin with its start";
    if (event->time_us < self->time_us)
        return "a time that goes back";
    bool again = event->kind == EVENT_REOPENED || event->kind == EVENT_FORKED;
    if (self->sequence > 0 && execution_status_terminal(self->status) && !again) {
        *ret_invariant = 3;
        return "an event after the end";
    }
    self->sequence = event->sequence;
    self->time_us = event->time_us;
    const char *wrong = apply_kind(self, event, ret_invariant);
    if (!wrong && !execution_status_terminal(self->status))
        model_settle(self);
    return wrong;
}
