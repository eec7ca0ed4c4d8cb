#include "tests/sim/model.h"

#include <stdlib.h>
#include <string.h>

/* What people, times and signals are waited for, and pauses. */

/* A node whose items wait does not wait itself. */
bool model_wait_open(const struct model_node *node)
{
    return node->status == MODEL_WAITING && node->wait_attempt == node->attempt &&
           node->wait_end == MODEL_WAIT_OPEN;
}

static const struct plan_node *plan_of(const struct model *self, uint32_t index)
{
    return &self->workflow->nodes[self->nodes[index].root];
}

static void end_wait(struct model_node *node, enum model_wait_end end)
{
    node->wait_end = end;
    node->status = MODEL_ACTIVE;
}

/* --- begin ------------------------------------------------------------------------------------ */

static enum wait_kind kind_of(enum dag_kind kind)
{
    return kind == DAG_APPROVE ? WAIT_APPROVAL : kind == DAG_WAIT ? WAIT_TIMER : WAIT_SIGNAL;
}

/* The signal that was kept first, of that name; false: none. */
static bool take_kept(struct model *self, const char *name, int64_t *ret_payload)
{
    for (uint32_t i = 0; i < self->kept_count; i++) {
        if (strcmp(self->kept[i].name, name) != 0)
            continue;
        *ret_payload = self->kept[i].payload;
        memmove(&self->kept[i], &self->kept[i + 1], (--self->kept_count - i) * sizeof *self->kept);
        return true;
    }
    return false;
}

/* What a person sees is of the input as it is by now. */
static bool asks_right(const struct model *self, const struct plan_node *plan,
                       const struct event_waiting *waiting)
{
    value_t *text = NULL, *show = NULL;
    bool right = !value_from_msgpack(waiting->text.inline_bytes, &text, NULL) &&
                 value_get_int(text, "k", -1) == self->k;
    if (plan->says_all)
        right |= waiting->text.is_blob; /* too large to be looked at here */
    if (plan->show)
        right = right && strcmp(plan->show, SHOWS_K) == 0 &&
                !value_from_msgpack(waiting->show.inline_bytes, &show, NULL) &&
                value_type(show) == VALUE_LIST && value_as_int(value_at(show, 0)) == self->k;
    value_destroy(&text);
    value_destroy(&show);
    return right && (plan->show || datum_absent(&waiting->show));
}

static const char *apply_waiting(struct model *self, const struct event_waiting *waiting)
{
    uint32_t index = model_find(self, waiting->path);
    if (index == NO_TASK)
        return "a wait of a task that does not exist";
    const struct plan_node *plan = plan_of(self, index);
    struct model_node *node = &self->nodes[index];
    int64_t patience_us = plan->kind == DAG_WAIT ? plan->wait_us : plan->timeout_us;
    if (self->paused)
        return "a wait that begins while the execution is paused";
    if (node->depth > 0 || !plan_waits(plan) || waiting->kind != kind_of(plan->kind))
        return "a wait of a node that waits for nothing, or something else";
    if (node->status != MODEL_ACTIVE || waiting->attempt != node->attempt ||
        node->wait_attempt == node->attempt)
        return "a wait that is not due, or has been";
    if (waiting->due_us != (patience_us > 0 ? self->time_us + patience_us : 0))
        return "a wait that is due at another time than its rule says";
    if (plan->kind == DAG_SIGNAL && strcmp(waiting->signal, plan->signal) != 0)
        return "a wait for another signal";
    if (plan->kind == DAG_APPROVE && !asks_right(self, plan, waiting))
        return "a question other than its rule says";
    node->status = MODEL_WAITING;
    memcpy(node->wait_hash, waiting->hash, sizeof node->wait_hash);
    node->wait_end = MODEL_WAIT_OPEN;
    node->wait_attempt = node->attempt;
    node->wait_sequence = self->sequence;
    node->due_us = waiting->due_us;
    if (plan->kind == DAG_SIGNAL && take_kept(self, plan->signal, &node->payload))
        end_wait(node, MODEL_WAIT_SIGNALLED);
    return NULL;
}

/* --- end -------------------------------------------------------------------------------------- */

static struct model_node *find_open(struct model *self, const char *path, uint32_t attempt)
{
    uint32_t index = model_find(self, path);
    struct model_node *node = index == NO_TASK ? NULL : &self->nodes[index];
    return node && model_wait_open(node) && node->wait_attempt == attempt ? node : NULL;
}

/* -1: it is none. */
static int64_t number_of(const struct datum *datum)
{
    value_t *value = NULL;
    int64_t number = -1;
    if (!datum_absent(datum) && !value_from_msgpack(datum->inline_bytes, &value, NULL) &&
        value_type(value) == VALUE_INT)
        number = value_as_int(value);
    value_destroy(&value);
    return number;
}

static const char *apply_decision(struct model *self, const struct event_decision *decision)
{
    struct model_node *node = find_open(self, decision->path, decision->attempt);
    if (!node || self->workflow->nodes[node->root].kind != DAG_APPROVE)
        return "a decision of what nobody asks, or asks any more";
    node->approved = decision->approved;
    node->edited = number_of(&decision->edited);
    end_wait(node, MODEL_WAIT_DECIDED);
    return NULL;
}

static const char *apply_timer(struct model *self, const struct event_timer *timer)
{
    struct model_node *node = find_open(self, timer->path, timer->attempt);
    if (!node || node->due_us == 0)
        return "the end of a wait that is over, or for ever";
    if (self->time_us < node->due_us)
        return "the end of a wait before its time";
    end_wait(node, MODEL_WAIT_DUE);
    return NULL;
}

/* It goes to whoever has waited for it the longest. */
static const char *apply_signal(struct model *self, const struct event_signal *signal)
{
    struct model_node *first = NULL;
    int64_t number = number_of(&signal->payload);
    for (uint32_t i = 0; i < self->count; i++) {
        struct model_node *node = &self->nodes[i];
        const struct plan_node *plan = plan_of(self, i);
        if (model_wait_open(node) && plan->kind == DAG_SIGNAL &&
            strcmp(plan->signal, signal->name) == 0 &&
            (!first || node->wait_sequence < first->wait_sequence))
            first = node;
    }
    if (first) {
        first->payload = number;
        end_wait(first, MODEL_WAIT_SIGNALLED);
        return NULL;
    }
    self->kept = xrealloc(self->kept, (self->kept_count + 1) * sizeof *self->kept);
    self->kept[self->kept_count].name = strcmp(signal->name, "go") == 0 ? "go" : "now";
    self->kept[self->kept_count++].payload = number;
    return NULL;
}

/* --- what it gives ---------------------------------------------------------------------------- */

static value_t *given(const struct plan_node *plan, const struct model_node *node)
{
    value_t *value;
    switch (node->wait_end) {
    case MODEL_WAIT_DECIDED:
        value = value_map();
        value_set_bool(value, "approved", node->approved);
        value_set_string(value, "by", "person");
        value_set_string(value, "note", "");
        if (node->edited >= 0)
            value_set_int(value, "edited", node->edited);
        return value;
    case MODEL_WAIT_SIGNALLED: return value_int(node->payload);
    case MODEL_WAIT_DUE: return plan->kind == DAG_WAIT ? value_null() : value_string(EXPIRED);
    case MODEL_WAIT_OPEN: break;
    }
    return value_null();
}

/* It gives what it sets. */
static const char *own_set(const struct model *self, const struct event_step *step)
{
    if (self->paused)
        return "a node that begins while the execution is paused";
    return step->kind == STEP_FAILURE ||
                   bytes_equal(step->output.inline_bytes, step->patch.inline_bytes)
               ? NULL
               : "a node that gives something else than it sets";
}

const char *model_own_step(struct model *self, uint32_t index, const struct event_step *step)
{
    const struct model_node *node = &self->nodes[index];
    const struct plan_node *plan = plan_of(self, index);
    if (step->kind != STEP_RESULT && step->kind != STEP_FAILURE)
        return "a step that nobody made";
    if (node->depth == 0 && plan->kind == DAG_SET)
        return own_set(self, step);
    if (node->depth == 0 && plan->kind == DAG_WORKFLOW)
        return model_sub_step(self, index, step);
    bool own = node->depth == 0 && plan_waits(plan);
    if (!own)
        return step->kind == STEP_RESULT ? "a result that nobody made" : NULL;
    bool over = node->wait_attempt == node->attempt && node->wait_end != MODEL_WAIT_OPEN;
    if (step->kind == STEP_FAILURE) {
        bool expired =
            over && node->wait_end == MODEL_WAIT_DUE && plan->kind != DAG_WAIT && !plan->on_expiry;
        return expired == (strcmp(step->failure.code, "expired") == 0)
                   ? NULL
                   : "a wait that fails, or expires, against its rule";
    }
    if (!over || node->status != MODEL_ACTIVE)
        return "the result of a wait that is not over";
    if (node->wait_end == MODEL_WAIT_DUE && plan->kind != DAG_WAIT && !plan->on_expiry)
        return "the result of a wait that has expired";
    value_t *value = given(plan, node), *output = NULL;
    bool same =
        !value_from_msgpack(step->output.inline_bytes, &output, NULL) && value_equal(value, output);
    value_destroy(&value);
    value_destroy(&output);
    return same ? NULL : "another result of a wait than what came";
}

const char *model_wait_event(struct model *self, const struct event *event, int *ret_invariant)
{
    *ret_invariant = 2;
    switch (event->kind) {
    case EVENT_WAITING: return apply_waiting(self, &event->waiting);
    case EVENT_DECISION: return apply_decision(self, &event->decision);
    case EVENT_TIMER: return apply_timer(self, &event->timer);
    case EVENT_SIGNAL: self->signals++; return apply_signal(self, &event->signal);
    default: break;
    }
    bool pauses = event->kind == EVENT_PAUSED;
    if (self->paused == pauses || (pauses && self->status == EXECUTION_CANCELLING))
        return "a pause, or an end of one, that changes nothing";
    self->pauses += pauses;
    self->paused = pauses;
    self->paused_sequence = self->sequence;
    self->hears_of_pause = false;
    model_pass_down(self);
    return NULL;
}
