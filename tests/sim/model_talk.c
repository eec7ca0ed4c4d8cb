#include "tests/sim/model.h"

#include "base/limits.h"
#include "tests/sim/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Turns, what they call, and what it costs, by the simplest reading of the rules. */

static const struct plan_talk *talk_of(const struct model *self, uint32_t index)
{
    return &self->plan->agents[self->nodes[index].agent].talk;
}

static bool all_done(const struct model_node *node)
{
    for (uint32_t i = 0; i < node->calls_count; i++)
        if (!node->calls[i].done)
            return false;
    return true;
}

static bool may_ask(const struct model_node *node)
{
    if (node->turn == 0)
        return true;
    return node->calls_count > 0 ? all_done(node) : node->corrected;
}

/* --- what is used ----------------------------------------------------------------------------- */

struct model_sum model_sum_of(const struct usage *usage)
{
    return (struct model_sum){usage->input_tokens + usage->output_tokens, usage->cost_microusd};
}

bool model_sum_equal(const struct model_sum *sum, const struct usage *usage)
{
    const struct model_sum other = model_sum_of(usage);
    return sum->tokens == other.tokens && sum->cost == other.cost;
}

static void add(struct model_sum *sum, struct model_sum more)
{
    sum->tokens += more.tokens;
    sum->cost += more.cost;
}

static void take(struct model_sum *sum, struct model_sum less)
{
    sum->tokens -= less.tokens;
    sum->cost -= less.cost;
}

void model_spend(struct model *self, uint32_t index, struct model_sum sum)
{
    add(&self->nodes[index].used, sum);
    for (uint32_t at = index; at != NO_TASK; at = self->nodes[at].owner)
        add(&self->nodes[at].used_below, sum);
    add(&self->used, sum);
}

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void reserve(struct model *self, uint32_t index, uint32_t turn, struct model_sum sum)
{
    struct model_node *node = &self->nodes[index];
    node->reserved_turn = turn;
    node->reserved = sum;
    node->reserved_most.tokens = greater(sum.tokens, node->reserved_most.tokens);
    node->reserved_most.cost = greater(sum.cost, node->reserved_most.cost);
    for (uint32_t at = index; at != NO_TASK; at = self->nodes[at].owner)
        add(&self->nodes[at].reserved_below, sum);
    add(&self->reserved, sum);
}

static void unreserve(struct model *self, uint32_t index)
{
    const struct model_sum sum = self->nodes[index].reserved;
    for (uint32_t at = index; at != NO_TASK; at = self->nodes[at].owner)
        take(&self->nodes[at].reserved_below, sum);
    take(&self->reserved, sum);
    self->nodes[index].reserved_turn = 0;
    self->nodes[index].reserved = (struct model_sum){0};
}

void model_drop_reservation(struct model *self, uint32_t index)
{
    if (self->nodes[index].reserved_turn > 0)
        unreserve(self, index);
    self->nodes[index].reserved_most = (struct model_sum){0};
}

bool model_is_past(uint64_t limit, uint64_t used, uint64_t reserved)
{
    return limit > 0 && used + reserved > limit;
}

static bool past_limits(const struct model *self, uint32_t index)
{
    bool past = model_family_past(self);
    for (uint32_t at = index; at != NO_TASK; at = self->nodes[at].parent) {
        const struct model_node *node = &self->nodes[at];
        const struct plan_talk *talk = talk_of(self, at);
        past |= model_is_past(talk->tokens, node->used_below.tokens, node->reserved_below.tokens) ||
                model_is_past(talk->cost, node->used_below.cost, node->reserved_below.cost);
    }
    return past;
}

bool model_is_spent(uint64_t limit, uint64_t used)
{
    return limit > 0 && used >= limit;
}

static bool nothing_left(const struct model *self, uint32_t index)
{
    bool spent = model_family_spent(self);
    for (uint32_t at = index; at != NO_TASK; at = self->nodes[at].parent) {
        const struct plan_talk *talk = talk_of(self, at);
        spent |= model_is_spent(talk->tokens, self->nodes[at].used_below.tokens) ||
                 model_is_spent(talk->cost, self->nodes[at].used_below.cost);
    }
    return spent;
}

/* Its time runs from its first reservation on, whoever holds it, and while nobody does. */
void model_begin_attempt(struct model *self, uint32_t index)
{
    struct model_node *node = &self->nodes[index];
    int64_t own_us = model_rules(self, node)->timeout_us;
    int64_t timeout_us = own_us > 0 ? own_us : self->plan->agents[node->agent].timeout_us;
    if (node->until_us == 0)
        node->until_us = self->time_us + timeout_us;
}

static const char *apply_reserved(struct model *self, const struct event_reserved *reserved,
                                  int *ret_invariant)
{
    uint32_t index = model_find(self, reserved->path);
    *ret_invariant = 4;
    if (index == NO_TASK || self->nodes[index].status != MODEL_ACTIVE ||
        self->nodes[index].attempt != reserved->attempt)
        return "a reservation for what is not under way";
    const struct model_node *node = &self->nodes[index];
    uint32_t most = talk_of(self, index)->turns ? talk_of(self, index)->turns : LIMIT_TURNS;
    if (self->plan->agents[node->agent].kind != KIND_MODEL)
        return "a reservation for an agent without a model";
    if (node->reserved_turn > 0 || reserved->turn != node->turn + 1 || !may_ask(node))
        return "a reservation for a turn that is not next";
    if (self->paused && node->reserved_most.tokens == 0)
        return "a turn that begins while the execution is paused";
    *ret_invariant = 6;
    if (reserved->turn > most)
        return "more turns than the limit";
    model_begin_attempt(self, index);
    reserve(self, index, reserved->turn,
            (struct model_sum){reserved->tokens, reserved->cost_microusd});
    return past_limits(self, index) ? "more reserved than the limits leave" : NULL;
}

static const char *apply_settled(struct model *self, const struct event_settled *settled,
                                 int *ret_invariant)
{
    uint32_t index = model_find(self, settled->path);
    *ret_invariant = 4;
    if (index != NO_TASK && settled->turn == 0)
        return model_sub_counted(self, index, settled);
    if (index == NO_TASK || self->nodes[index].reserved_turn == 0 ||
        self->nodes[index].reserved_turn != settled->turn)
        return "the end of a reservation that there is not";
    const struct model_sum bound = self->nodes[index].reserved;
    unreserve(self, index);
    model_spend(self, index, bound);
    self->nodes[index].calls_again++;
    return NULL;
}

void model_attempt_over(struct model *self, uint32_t index, const struct usage *usage)
{
    struct model_node *node = &self->nodes[index];
    if (node->reserved_turn > 0) {
        const struct model_sum sum = usage ? model_sum_of(usage) : node->reserved;
        unreserve(self, index);
        model_spend(self, index, sum);
    }
    node->turn = node->entries = node->calls_count = 0;
    node->reserved_most = (struct model_sum){0};
    node->until_us = 0;
    node->ours = node->corrected = false;
    for (uint32_t i = index + 1; i < self->count; i++)
        if (self->nodes[i].owner == index && !model_node_ended(&self->nodes[i]))
            model_end_node(self, i, MODEL_CANCELLED);
}

/* --- turns ------------------------------------------------------------------------------------ */

int64_t model_deadline(const struct model *self, const struct model_node *node)
{
    bool grace = self->workflow->nodes[node->root].join == DAG_JOIN_DONE;
    int64_t least_us = self->deadline_us > 0 && !grace ? self->deadline_us : INT64_MAX;
    for (uint32_t at = node->parent; at != NO_TASK; at = self->nodes[at].parent)
        if (self->nodes[at].until_us > 0 && self->nodes[at].until_us < least_us)
            least_us = self->nodes[at].until_us;
    return least_us;
}

static enum model_tool tool_of(const char *name)
{
    if (strcmp(name, "delegate_to_agent") == 0)
        return MODEL_DELEGATE;
    if (strcmp(name, "list_agents") == 0)
        return MODEL_LIST;
    if (strcmp(name, "context_get") == 0)
        return MODEL_GET;
    return strcmp(name, "context_set") == 0 ? MODEL_SET : MODEL_LOCAL;
}

static void take_calls(struct model_node *node, const struct event_step *step)
{
    free(node->calls);
    node->calls = xcalloc(step->calls_count + 1, sizeof *node->calls);
    node->calls_count = (uint32_t)step->calls_count;
    node->ours = node->corrected = false;
    for (uint32_t i = 0; i < node->calls_count; i++) {
        node->calls[i].tool = tool_of(step->calls[i]);
        node->calls[i].repeat_safe = strcmp(step->calls[i], "look") == 0;
        node->calls[i].child = NO_TASK;
        node->ours |= node->calls[i].tool != MODEL_LOCAL;
    }
}

const char *model_turn(struct model *self, uint32_t index, const struct event_step *step,
                       int *ret_invariant)
{
    struct model_node *node = &self->nodes[index];
    const struct model_sum used = model_sum_of(&step->usage);
    *ret_invariant = 4;
    if (step->turn != node->turn + 1 || node->reserved_most.tokens == 0)
        return "a turn that nothing was reserved for";
    if (!may_ask(node))
        return "a turn before all calls of the one before have results";
    *ret_invariant = 6;
    /* It may come of a call that was taken for lost, and was counted as such. */
    if (used.tokens > node->reserved_most.tokens || used.cost > node->reserved_most.cost)
        return "a turn that used more than was reserved for it";
    node->reserved_most = (struct model_sum){0};
    unreserve(self, index);
    model_spend(self, index, used);
    node->turn = step->turn;
    node->turns++;
    node->entries++;
    take_calls(node, step);
    return NULL;
}

/* Its instance has given all that it has to a turn that calls the coordinator. */
static void yield(struct model_node *node, struct run run)
{
    bool open = false;
    for (uint32_t i = 0; i < node->calls_count; i++) {
        const struct model_call *call = &node->calls[i];
        if (!call->done && !call->said)
            return;
        open |= !call->done;
    }
    if (!node->ours)
        return;
    model_void_runs(node, run);
    if (open)
        node->status = MODEL_WAITING;
}

static void answer(struct model_node *node, uint32_t call)
{
    node->calls[call].done = true;
    node->entries++;
}

const char *model_tool_result(struct model *self, uint32_t index, const struct event_step *step,
                              int *ret_invariant)
{
    struct model_node *node = &self->nodes[index];
    *ret_invariant = 2;
    if (node->turn > 0 && step->turn == node->turn && node->calls_count == 0 && step->call == 0 &&
        !node->corrected && step->failure.code) {
        node->corrected = true;
        node->entries++;
        return NULL;
    }
    if (node->turn == 0 || step->turn != node->turn || step->call >= node->calls_count ||
        node->calls[step->call].done)
        return "a result of no call, or a second one";
    if (node->calls[step->call].tool != MODEL_LOCAL && !step->failure.code)
        return "a result from an instance of what the coordinator answers";
    answer(node, step->call);
    yield(node, step->run);
    return NULL;
}

/* --- what the coordinator answers ------------------------------------------------------------- */

static const char *check_place(const struct model *self, const struct call_place *by,
                               uint32_t *ret_index)
{
    uint32_t index = *ret_index = model_find(self, by->path);
    if (index == NO_TASK)
        return "a call of a task that does not exist";
    const struct model_node *node = &self->nodes[index];
    if (node->status != MODEL_ACTIVE || node->attempt != by->attempt)
        return "a call of what is not under way";
    bool given = node->given && run_compare(by->run, node->given_run) == 0;
    if (run_compare(by->run, node->void_run) <= 0 || (!given && !self->copying))
        return "a call from a run that is void, or is not the current one";
    if (by->turn == 0 || by->turn != node->turn || by->call >= node->calls_count)
        return "a call that is not of the last turn";
    const struct model_call *call = &node->calls[by->call];
    return call->done || call->said ? "a second outcome of one call" : NULL;
}

static uint32_t times_same(const struct model *self, uint32_t index, uint32_t agent, uint64_t hash)
{
    uint32_t times = 0;
    for (uint32_t i = 0; i < self->count; i++)
        times += self->nodes[i].parent == index &&
                 self->nodes[i].by_attempt == self->nodes[index].attempt &&
                 self->nodes[i].agent == agent && self->nodes[i].message == hash;
    for (uint32_t at = index; self->nodes[at].depth > 0; at = self->nodes[at].parent)
        times += self->nodes[at].agent == agent && self->nodes[at].message == hash;
    return times;
}

/* What must hold for a delegation from this task to that agent; NULL: it does. */
static const char *objection(const struct model *self, uint32_t index, uint32_t agent,
                             uint64_t hash)
{
    const struct model_node *node = &self->nodes[index];
    uint32_t on_path = 0, depth = node->depth + 1, same = 0;
    uint32_t most = talk_of(self, index)->delegations;
    if (!model_deep_enough(self, depth))
        return "deeper than the execution allows";
    for (uint32_t at = index; at != NO_TASK; at = self->nodes[at].parent) {
        const struct plan_talk *talk = talk_of(self, at);
        if (!talk->may[agent])
            return "an agent that somebody on the path may not ask";
        if (talk->depth > 0 && depth > self->nodes[at].depth + talk->depth)
            return "deeper than an agent on the path allows";
        if (talk->same_delegation > 0 && (same == 0 || talk->same_delegation < same))
            same = talk->same_delegation;
        on_path += self->nodes[at].agent == agent;
    }
    if (on_path > (self->workflow->nodes[node->root].allow_again ? 1 : 0))
        return "an agent that works on the path already";
    if (node->children >= (most ? most : LIMIT_DELEGATIONS))
        return "more delegations than its limit";
    if (hash && times_same(self, index, agent, hash) >= (same ? same : LIMIT_SAME_DELEGATION))
        return "the same delegation too often";
    return nothing_left(self, index) ? "a delegation without budget" : NULL;
}

static uint64_t hash_of(const struct datum *message)
{
    return script_mix(1, message->inline_bytes.data, message->inline_bytes.size) | 1;
}

static const char *apply_delegated(struct model *self, const struct event_delegated *delegated,
                                   int *ret_invariant)
{
    uint32_t index, agent = plan_agent_index(self->plan, delegated->agent.name);
    char path[PATH_BYTES];
    *ret_invariant = 3;
    const char *wrong = check_place(self, &delegated->by, &index);
    if (wrong)
        return wrong;
    struct model_node *node = &self->nodes[index];
    struct model_call *call = &node->calls[delegated->by.call];
    if (call->tool != MODEL_DELEGATE || call->child != NO_TASK)
        return "a delegation of a call that is none, or has one";
    (void)snprintf(path, sizeof path, "%.60s/%u", node->path, node->children + 1);
    if (strcmp(path, delegated->child) != 0)
        return "a child whose number is not its parent's next";
    *ret_invariant = 6;
    if (agent == UINT32_MAX)
        return "a delegation to an agent that there is not";
    wrong = objection(self, index, agent, hash_of(&delegated->message));
    if (wrong)
        return wrong;
    if (delegated->hand_off && node->calls_count != 1)
        return "a hand-off beside other calls";
    node->children++;
    call->said = true;
    call->child = self->count;
    yield(node, delegated->by.run);
    uint32_t root = node->root, depth = node->depth + 1;
    struct model_node *child = model_add(self, path, agent);
    child->status = MODEL_ACTIVE;
    child->attempt = child->first_attempt = 1;
    child->parent = child->owner = index;
    child->root = root;
    child->depth = depth;
    child->by_attempt = delegated->by.attempt;
    child->by_turn = delegated->by.turn;
    child->by_call = delegated->by.call;
    child->hand_off = delegated->hand_off;
    child->message = hash_of(&delegated->message);
    return NULL;
}

/* What it was refused for is one of the rules. */
static const char *apply_refused(struct model *self, const struct event_refused *refused,
                                 int *ret_invariant)
{
    uint32_t index, agent = plan_agent_index(self->plan, refused->agent);
    const char *code = refused->failure.code;
    const char *wrong = check_place(self, &refused->by, &index);
    *ret_invariant = 3;
    if (wrong)
        return wrong;
    struct model_node *node = &self->nodes[index];
    if (node->calls[refused->by.call].tool != MODEL_DELEGATE)
        return "the refusal of a call that is no delegation";
    bool by_sight = strcmp(code, "same_delegation") == 0 ||
                    (strcmp(code, "hand_off") == 0 && node->calls_count > 1);
    bool known = !by_sight && !self->copying; /* a copy does not know its owner's rules */
    if (agent != UINT32_MAX && known && !objection(self, index, agent, 0))
        return "the refusal of a delegation that breaks no rule";
    answer(node, refused->by.call);
    yield(node, refused->by.run);
    return NULL;
}

static const char *apply_answered(struct model *self, const struct call_place *by, bool patch,
                                  int *ret_invariant)
{
    uint32_t index;
    const char *wrong = check_place(self, by, &index);
    *ret_invariant = 3;
    if (wrong)
        return wrong;
    enum model_tool tool = self->nodes[index].calls[by->call].tool;
    if (tool == MODEL_LOCAL || tool == MODEL_DELEGATE || (patch && tool != MODEL_SET))
        return "an answer of the coordinator to what it does not answer";
    answer(&self->nodes[index], by->call);
    yield(&self->nodes[index], by->run);
    return NULL;
}

/* The end of a delegation is the result of a call, if its parent still waits for it. */
static void tell_parent(struct model *self, uint32_t index)
{
    const struct model_node *child = &self->nodes[index];
    struct model_node *parent = child->parent == NO_TASK ? NULL : &self->nodes[child->parent];
    if (!parent || model_node_ended(parent) || parent->attempt != child->by_attempt ||
        parent->turn != child->by_turn)
        return;
    answer(parent, child->by_call);
    if (child->hand_off && child->status == MODEL_SUCCEEDED) {
        uint32_t place = child->parent;
        parent->results++;
        buf_clear(&parent->output);
        buf_append_bytes(&parent->output, buf_bytes(&child->output));
        model_end_node(self, place, MODEL_SUCCEEDED);
        model_tell_owner(self, place);
    } else if (parent->status == MODEL_WAITING && all_done(parent)) {
        parent->status = MODEL_ACTIVE;
    }
}

void model_tell_owner(struct model *self, uint32_t index)
{
    if (self->nodes[index].is_item)
        model_item_ended(self, index);
    else
        tell_parent(self, index);
}

const char *model_call_event(struct model *self, const struct event *event, int *ret_invariant)
{
    switch (event->kind) {
    case EVENT_RESERVED: return apply_reserved(self, &event->reserved, ret_invariant);
    case EVENT_SETTLED: return apply_settled(self, &event->settled, ret_invariant);
    case EVENT_DELEGATED: return apply_delegated(self, &event->delegated, ret_invariant);
    case EVENT_REFUSED: return apply_refused(self, &event->refused, ret_invariant);
    case EVENT_ANSWERED: return apply_answered(self, &event->answered.by, false, ret_invariant);
    case EVENT_PATCHED:
        model_patched(self, &event->patched.patch);
        return apply_answered(self, &event->patched.by, true, ret_invariant);
    default: return "an event of an unknown kind";
    }
}
