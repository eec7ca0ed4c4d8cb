#include "base/limits.h"
#include "engine/state.h"
#include <stdlib.h>
#include <string.h>

/* The fold of turns and what they call: the history of an attempt, delegations and their results,
 * what the coordinator answers by itself, reservations and the ledger.
 *
 * The calls of a turn are of two kinds. Those that the instance works on end with its tool results.
 * Those that the coordinator answers are said by the instance, and end with a refusal, an answer, a
 * patch, or the end of a delegation. A turn that has any of the second kind ends its run as soon as
 * the instance has nothing more to give to it: the run is void from then on, the task waits,
 * holding no instance, and goes on under a new one when all calls are done. Nothing says so but
 * this fold, so that the instance, the coordinator and a restart can't differ. */

static const char *const OURS[] = {"delegate_to_agent", "list_agents", "context_get",
                                   "context_set"};
static const uint8_t packed_true[1] = {0xc3};

static bool is_ours(const char *tool)
{
    for (size_t i = 0; i < sizeof OURS / sizeof OURS[0]; i++)
        if (strcmp(OURS[i], tool) == 0)
            return true;
    return false;
}

bool turn_yields(const struct talk *talk)
{
    return talk->ours && talk->local_open == 0 && talk->unsaid == 0;
}

/* --- reservations ----------------------------------------------------------------------------- */

/* Nobody needs the call or its answer any more. Takes the egress' name over. */
static void release(engine_t *self, struct exec *exec, uint32_t index)
{
    struct reservation *held = &exec->tasks[index].talk->reservation;
    if (self->released_count == self->released_capacity) {
        self->released_capacity = self->released_capacity ? 2 * self->released_capacity : 8;
        self->released = xrealloc(self->released, self->released_capacity * sizeof *self->released);
    }
    self->released[self->released_count++] = (struct released){
        index, exec->tasks[index].attempt, held->turn, held->boot, held->told, held->egress};
    held->egress = NULL;
}

/* usage NULL: what it came to is not known, and counts at its bound. */
static void settle(struct exec *exec, uint32_t index, const struct usage *usage)
{
    struct reservation *held = &exec->tasks[index].talk->reservation;
    const struct usage bound = {.output_tokens = held->tokens,
                                .cost_microusd = held->cost_microusd};
    ledger_settle(exec, index, held, usage ? usage : &bound);
    free(held->egress);
    *held = (struct reservation){0};
    exec->reservations--;
}

void fold_drop_reservation(struct exec *exec, uint32_t index)
{
    const struct usage nothing = {0};
    if (exec->tasks[index].talk && exec->tasks[index].talk->reservation.turn > 0)
        settle(exec, index, &nothing);
}

static void fold_reserved(struct exec *exec, uint32_t index, const struct event_reserved *reserved)
{
    struct talk *talk = talk_of(&exec->tasks[index]);
    talk->reservation = (struct reservation){.turn = reserved->turn,
                                             .egress = xstrdup(reserved->egress),
                                             .boot = reserved->boot,
                                             .tokens = reserved->tokens,
                                             .cost_microusd = reserved->cost_microusd};
    talk->asked = reserved->turn;
    if (talk->since_us == 0)
        talk->since_us = exec->time_us;
    exec->reservations++;
    ledger_hold(exec, index, reserved->tokens, reserved->cost_microusd);
}

static void fold_settled(struct exec *exec, uint32_t index, const struct event_settled *settled)
{
    if (settled->turn == 0) {
        fold_used_below(exec, index, &settled->usage);
        return;
    }
    settle(exec, index, NULL);
    exec->tasks[index].talk->calls_again++;
}

/* --- ends ------------------------------------------------------------------------------------- */

static void part(engine_t *self, struct exec *exec, uint32_t index)
{
    const struct talk *talk = exec->tasks[index].talk;
    for (uint32_t i = 0; i < talk->children_count; i++) {
        uint32_t child = talk->children[i];
        if (task_ended(&exec->tasks[child]))
            continue;
        u32_push(&self->parted, &self->parted_count, &self->parted_capacity, child);
        fold_end_task(self, exec, child, TASK_CANCELLED, REASON_PARENT, index);
    }
}

void fold_attempt_over(engine_t *self, struct exec *exec, uint32_t index, const struct usage *usage)
{
    struct talk *talk = exec->tasks[index].talk;
    if (talk->reservation.turn > 0) {
        release(self, exec, index);
        settle(exec, index, usage);
    }
    talk_clear(talk);
    part(self, exec, index);
}

/* The other agent's answer becomes the task's own. */
static void hand_over_answer(engine_t *self, struct exec *exec, uint32_t index, uint32_t child)
{
    struct task *task = &exec->tasks[index];
    const struct answer *answer = exec->tasks[child].answer;
    task->answer = answer_new(&answer->datum, answer->instance);
    task->started_us = task->talk->since_us;
    task->retry_at_us = 0;
    u32_push(&self->parted, &self->parted_count, &self->parted_capacity, index);
    fold_end_task(self, exec, index, TASK_SUCCEEDED, REASON_NONE, NO_NODE);
}

static void go_on(engine_t *self, struct exec *exec, uint32_t index)
{
    fold_set_task(exec, index, TASK_READY);
    u32_push(&self->ready, &self->ready_count, &self->ready_capacity, index);
}

/* Attempts that are over want no results any more. */
static bool is_wanted(const struct task *parent, const struct origin *origin)
{
    const struct talk *talk = parent->talk;
    return !task_ended(parent) && parent->attempt == origin->attempt &&
           talk->turn == origin->turn && !talk->calls[origin->call].done;
}

void fold_child_ended(engine_t *self, struct exec *exec, uint32_t index)
{
    const struct origin *origin = exec->tasks[index].origin;
    struct task *parent = &exec->tasks[origin->parent];
    if (!is_wanted(parent, origin))
        return;
    const struct entry entry = {
        .kind = STEP_TOOL_RESULT, .turn = origin->turn, .call = origin->call, .child = index};
    talk_answer(parent->talk, &entry);
    if (exec->tasks[index].answer)
        parent->talk->bytes += datum_size(&exec->tasks[index].answer->datum);
    if (origin->hand_off && exec->tasks[index].status == TASK_SUCCEEDED)
        hand_over_answer(self, exec, origin->parent, index);
    else if (parent->status == TASK_WAITING && parent->talk->open == 0)
        go_on(self, exec, origin->parent);
}

/* --- turns ------------------------------------------------------------------------------------ */

bool turn_may_follow(const struct talk *talk)
{
    if (!talk || talk->turn == 0)
        return true;
    return talk->calls_count == 0 ? talk->corrected : talk->open == 0;
}

int check_turn(const struct exec *exec, const struct event *event, uint32_t index, struct err *err)
{
    const struct event_step *step = &event->step;
    const struct talk *talk = exec->tasks[index].talk;
    bool reserves = task_pin(exec, index)->as.takes_turns;
    if (step->turn == 0)
        return reserves ? fold_refuse(err, event, "its turn is missing") : 0;
    if (step->kind == STEP_TURN) {
        if (step->turn != (talk ? talk->turn : 0) + 1 || !turn_may_follow(talk))
            return fold_refuse(err, event, "it is not the attempt's next turn");
        /* One that was given up as lost may have been answered before, and counted already. */
        if (reserves && (!talk || talk->asked != step->turn))
            return fold_refuse(err, event, "nothing was reserved for it");
        return 0;
    }
    if (!talk || step->turn != talk->turn)
        return fold_refuse(err, event, "it is not of the last turn");
    bool correction = talk->calls_count == 0 && step->call == 0 && !talk->corrected;
    bool open = step->call < talk->calls_count && !talk->calls[step->call].done &&
                !talk->calls[step->call].said;
    return correction || open ? 0 : fold_refuse(err, event, "that call has no result to come");
}

static void take_calls(struct talk *talk, const struct event_step *step)
{
    free(talk->calls);
    talk->calls = step->calls_count > 0 ? xcalloc(step->calls_count, sizeof *talk->calls) : NULL;
    talk->calls_count = talk->open = (uint32_t)step->calls_count;
    talk->local_open = talk->unsaid = 0;
    talk->ours = talk->corrected = false;
    for (uint32_t i = 0; i < talk->calls_count; i++) {
        talk->calls[i].ours = is_ours(step->calls[i]);
        talk->ours |= talk->calls[i].ours;
        talk->unsaid += talk->calls[i].ours;
        talk->local_open += !talk->calls[i].ours;
    }
}

void fold_turn(engine_t *self, struct exec *exec, uint32_t index, const struct event_step *step)
{
    struct talk *talk = talk_of(&exec->tasks[index]);
    const struct entry entry = {
        .kind = STEP_TURN, .turn = step->turn, .child = NO_NODE, .datum = step->output};
    if (talk->reservation.turn == step->turn) {
        release(self, exec, index);
        settle(exec, index, &step->usage);
    } else {
        const struct reservation nothing = {0};
        ledger_settle(exec, index, &nothing, &step->usage);
    }
    if (talk->since_us == 0)
        talk->since_us = step->started_us; /* of an agent that reserves nothing */
    talk->turn = step->turn;
    talk->turns++;
    take_calls(talk, step);
    talk_add(talk, &entry);
}

/* See the top of this file. */
static void yield(struct exec *exec, uint32_t index, struct run run)
{
    struct task *task = &exec->tasks[index];
    if (!turn_yields(task->talk))
        return;
    fold_void_runs(task, run);
    task->retry_at_us = 0;
    if (task->talk->open > 0)
        fold_set_task(exec, index, TASK_WAITING);
}

void fold_tool_result(struct exec *exec, uint32_t index, const struct event_step *step)
{
    struct talk *talk = exec->tasks[index].talk;
    const struct entry entry = {.kind = STEP_TOOL_RESULT,
                                .turn = step->turn,
                                .call = step->call,
                                .child = NO_NODE,
                                .datum = step->output,
                                .failure = step->failure};
    if (talk->calls_count == 0) {
        talk->corrected = true;
        talk_add(talk, &entry);
        return;
    }
    talk_answer(talk, &entry);
    yield(exec, index, step->run);
}

/* --- what the coordinator answers ------------------------------------------------------------- */

static struct origin *origin_new(const struct exec *exec, uint32_t parent, uint32_t pin,
                                 const struct event_delegated *delegated)
{
    const struct datum *message = &delegated->message;
    size_t bytes = message->is_blob ? 0 : message->inline_bytes.size;
    size_t path_size = strlen(delegated->child) + 1;
    struct origin *self = xmalloc(sizeof *self + path_size + bytes);
    char *at = (char *)(self + 1);
    *self = (struct origin){
        .parent = parent,
        .number = exec->tasks[parent].talk->children_count + 1,
        .root = parent < exec->nodes ? parent : exec->tasks[parent].origin->root,
        .pin = pin,
        .attempt = delegated->by.attempt,
        .turn = delegated->by.turn,
        .call = delegated->by.call,
        .depth = task_depth(exec, parent) + 1,
        .hand_off = delegated->hand_off,
        .path = memcpy(at, delegated->child, path_size),
        .message = *message,
    };
    if (bytes > 0)
        self->message.inline_bytes =
            bytes_of(memcpy(at + path_size, message->inline_bytes.data, bytes), bytes);
    return self;
}

static void fold_delegated(engine_t *self, struct exec *exec, uint32_t parent,
                           const struct event_delegated *delegated)
{
    uint32_t pin = exec_pin(exec, delegated->agent.name);
    if (pin == NO_NODE)
        pin = exec_add_pin(self, exec, &delegated->agent);
    struct origin *origin = origin_new(exec, parent, pin, delegated);
    uint32_t child = fold_add_task(exec);
    exec->tasks[child].origin = origin;
    fold_add_child(exec, parent, child);
    exec->delegations++;
    struct talk *talk = exec->tasks[parent].talk;
    talk->calls[delegated->by.call].said = true;
    talk->unsaid--;
    fold_make_ready(self, exec, child);
    yield(exec, parent, delegated->by.run);
}

static void answer(struct exec *exec, uint32_t index, const struct call_place *by,
                   const struct datum *output, const struct failure *failure)
{
    const struct entry entry = {.kind = STEP_TOOL_RESULT,
                                .turn = by->turn,
                                .call = by->call,
                                .child = NO_NODE,
                                .datum = output ? *output : (struct datum){0},
                                .failure = failure ? *failure : (struct failure){0}};
    talk_answer(exec->tasks[index].talk, &entry);
    yield(exec, index, by->run);
}

static void fold_patched(struct exec *exec, uint32_t index, const struct event_patched *patched)
{
    const struct datum done = datum_inline(bytes_of(packed_true, sizeof packed_true));
    fold_patch(exec, &patched->patch);
    answer(exec, index, &patched->by, &done, NULL);
}

static int check_place(const struct exec *exec, const struct event *event,
                       const struct call_place *by, struct err *err)
{
    uint32_t index = exec_find(exec, by->path);
    if (index == NO_NODE)
        return fold_refuse(err, event, "there is no such task");
    const struct task *task = &exec->tasks[index];
    const struct talk *talk = task->talk;
    if (!task_active(task) || by->attempt != task->attempt)
        return fold_refuse(err, event, "its attempt is not under way");
    if (run_compare(by->run, task->void_run) <= 0)
        return fold_refuse(err, event, "its run is void");
    if (!talk || talk->turn == 0 || by->turn != talk->turn)
        return fold_refuse(err, event, "it is not of the last turn");
    const struct turn_call *call = by->call < talk->calls_count ? &talk->calls[by->call] : NULL;
    if (!call || !call->ours || call->said || call->done)
        return fold_refuse(err, event, "that call is not open");
    return 0;
}

static int check_delegated(const struct exec *exec, const struct event *event, struct err *err)
{
    const struct event_delegated *delegated = &event->delegated;
    int r = check_place(exec, event, &delegated->by, err);
    if (r)
        return r;
    uint32_t pin = exec_pin(exec, delegated->agent.name);
    if (pin != NO_NODE && exec->pins[pin]->as.version != delegated->agent.version)
        return fold_refuse(err, event, "the agent is pinned in another version");
    if (exec->count >= LIMIT_EXECUTION_TASKS)
        return fold_refuse(err, event, "there are too many tasks");
    size_t size = strlen(delegated->by.path);
    bool below = strncmp(delegated->child, delegated->by.path, size) == 0 &&
                 delegated->child[size] == '/' && exec_find(exec, delegated->child) == NO_NODE;
    return below ? 0 : fold_refuse(err, event, "its path is not the next below its parent");
}

static int check_reserved(const struct exec *exec, const struct event *event, struct err *err)
{
    const struct event_reserved *reserved = &event->reserved;
    uint32_t index = exec_find(exec, reserved->path);
    if (index == NO_NODE)
        return fold_refuse(err, event, "there is no such task");
    const struct task *task = &exec->tasks[index];
    const struct talk *talk = task->talk;
    if (!task_active(task) || reserved->attempt != task->attempt)
        return fold_refuse(err, event, "its attempt is not under way");
    if (talk && talk->reservation.turn > 0)
        return fold_refuse(err, event, "there is a reservation already");
    if (reserved->turn != (talk ? talk->turn : 0) + 1 || !turn_may_follow(talk))
        return fold_refuse(err, event, "it is not for the next turn");
    return 0;
}

static int check_settled(const struct exec *exec, const struct event *event, struct err *err)
{
    const struct event_settled *settled = &event->settled;
    uint32_t index = exec_find(exec, settled->path);
    if (settled->turn == 0 && index != NO_NODE && exec->tasks[index].owned)
        return 0;
    const struct talk *talk = index == NO_NODE ? NULL : exec->tasks[index].talk;
    if (!talk || talk->reservation.turn == 0 || talk->reservation.turn != settled->turn)
        return fold_refuse(err, event, "there is no such reservation");
    return 0;
}

int check_call_event(const struct exec *exec, const struct event *event, struct err *err)
{
    switch (event->kind) {
    case EVENT_RESERVED: return check_reserved(exec, event, err);
    case EVENT_SETTLED: return check_settled(exec, event, err);
    case EVENT_DELEGATED: return check_delegated(exec, event, err);
    case EVENT_REFUSED: return check_place(exec, event, &event->refused.by, err);
    case EVENT_ANSWERED: return check_place(exec, event, &event->answered.by, err);
    default: return check_place(exec, event, &event->patched.by, err);
    }
}

void fold_call_event(engine_t *self, struct exec *exec, const struct event *event)
{
    switch (event->kind) {
    case EVENT_RESERVED:
        fold_reserved(exec, exec_find(exec, event->reserved.path), &event->reserved);
        break;
    case EVENT_SETTLED:
        fold_settled(exec, exec_find(exec, event->settled.path), &event->settled);
        break;
    case EVENT_DELEGATED:
        fold_delegated(self, exec, exec_find(exec, event->delegated.by.path), &event->delegated);
        break;
    case EVENT_REFUSED:
        answer(exec, exec_find(exec, event->refused.by.path), &event->refused.by, NULL,
               &event->refused.failure);
        break;
    case EVENT_ANSWERED:
        answer(exec, exec_find(exec, event->answered.by.path), &event->answered.by,
               &event->answered.output, &event->answered.failure);
        break;
    default: fold_patched(exec, exec_find(exec, event->patched.by.path), &event->patched); break;
    }
}
