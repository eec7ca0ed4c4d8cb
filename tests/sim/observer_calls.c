#include "tests/sim/observer_core.h"

#include "tests/sim/egress.h"
#include "tests/sim/instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Calls of models, by their keys: each rests on a reservation that the disk holds, and none is made
 * again unless the egress that had it was lost. */

/* When it was decided, at which egress, and how often that one had been lost by then. */
struct reserved {
    int64_t at_us;
    size_t egress;
    uint64_t boot, losses;
};
struct model_call_count {
    uint32_t reserved; /* on the disk */
    uint32_t made;
    struct reserved decided, last; /* last: on the disk */
};

static struct model_call_count *count_of(const struct world *world, struct uuid execution,
                                         const char *path, uint32_t attempt, uint32_t turn)
{
    char key[sizeof execution.bytes + PATH_BYTES + 48];
    memcpy(key, execution.bytes, sizeof execution.bytes);
    int size = snprintf(key + sizeof execution.bytes, sizeof key - sizeof execution.bytes,
                        "%s %u %u", path, attempt, turn);
    size += (int)sizeof execution.bytes;
    map_t *calls = world->observer->calls;
    struct model_call_count *count = map_get(calls, key, (size_t)size);
    if (count)
        return count;
    count = xcalloc(1, sizeof *count);
    (void)map_put(calls, key, (size_t)size, count);
    return count;
}

static struct model_call_count *count_of_key(const struct world *world,
                                             const struct wire_call_key *key)
{
    return count_of(world, key->execution, key->path, key->attempt, key->turn);
}

void observer_release_calls(struct observer *self)
{
    struct model_call_count *count;
    for (size_t position = 0; (count = map_next(self->calls, &position, NULL));)
        free(count);
    map_destroy(&self->calls);
}

/* --- the journal ------------------------------------------------------------------------------ */

static const char *path_of(const struct event *event)
{
    switch (event->kind) {
    case EVENT_STEP: return event->step.path;
    case EVENT_LOST: return event->lost.path;
    case EVENT_RESERVED: return event->reserved.path;
    case EVENT_SETTLED: return event->settled.path;
    case EVENT_DELEGATED: return event->delegated.by.path;
    case EVENT_REFUSED: return event->refused.by.path;
    case EVENT_ANSWERED: return event->answered.by.path;
    case EVENT_PATCHED: return event->patched.by.path;
    case EVENT_DECIDED: return event->decided.path;
    case EVENT_OWNED: return event->owned.path;
    case EVENT_WAITING: return event->waiting.path;
    case EVENT_DECISION: return event->decision.path;
    case EVENT_TIMER: return event->timer.path;
    case EVENT_SIGNAL: return event->signal.name;
    default: return "";
    }
}

/* What ends or begins a wait. */
static void describe_wait(const struct event *event, char *text, size_t size)
{
    static const char *const kinds[] = {"", "approval", "time", "signal"};
    double due_s = (double)(event->waiting.due_us - SIM_UTC) / (double)SECOND;
    if (event->kind == EVENT_DECISION)
        (void)snprintf(text, size, "%s", event->decision.approved ? "approved" : "rejected");
    else if (event->kind == EVENT_WAITING && event->waiting.due_us > 0)
        (void)snprintf(text, size, "for %s, until %.3f", kinds[event->waiting.kind], due_s);
    else if (event->kind == EVENT_WAITING)
        (void)snprintf(text, size, "for %s, for ever", kinds[event->waiting.kind]);
}

static void trace_event(const struct world *world, const struct event *event)
{
    const struct event_step *step = &event->step;
    const char *name = event_kind_name(event->kind), *what = "";
    char text[200] = "";
    if (event->kind == EVENT_STEP && step->kind == STEP_TURN)
        (void)snprintf(text, sizeof text, "turn %u of attempt %u, %zu calls", step->turn,
                       step->attempt, step->calls_count);
    else if (event->kind == EVENT_STEP && step->kind == STEP_TOOL_RESULT)
        (void)snprintf(text, sizeof text, "turn %u, call %u: %s", step->turn, step->call,
                       step->failure.code ? step->failure.code : "done");
    else if (event->kind == EVENT_STEP)
        what = step->kind == STEP_RESULT ? "result" : step->failure.code;
    else if (event->kind == EVENT_ENDED)
        what = execution_status_name(event->ended.status);
    else if (event->kind == EVENT_RESERVED)
        (void)snprintf(text, sizeof text, "turn %u of attempt %u at %s, %llu tokens",
                       event->reserved.turn, event->reserved.attempt, event->reserved.egress,
                       (unsigned long long)event->reserved.tokens);
    else if (event->kind == EVENT_DELEGATED)
        (void)snprintf(text, sizeof text, "turn %u, call %u: %s to %s%s", event->delegated.by.turn,
                       event->delegated.by.call, event->delegated.child,
                       event->delegated.agent.name,
                       event->delegated.hand_off ? ", handed off" : "");
    else if (event->kind == EVENT_DECIDED)
        (void)snprintf(text, sizeof text, "%s%s: %s, %u items",
                       event->decided.what == DECIDED_FOR  ? "for"
                       : event->decided.what == DECIDED_IF ? "if"
                                                           : "if after ",
                       event->decided.source,
                       event->decided.failure.code ? "fails"
                       : event->decided.holds      ? "true"
                                                   : "false",
                       event->decided.items_count);
    else if (event->kind == EVENT_WAITING || event->kind == EVENT_DECISION)
        describe_wait(event, text, sizeof text);
    else if (event->kind == EVENT_OWNED)
        (void)snprintf(text, sizeof text, "attempt %u runs %s as %s", event->owned.attempt,
                       event->owned.workflow, sim_uuid(event->owned.execution));
    else if (event->kind == EVENT_FORKED)
        (void)snprintf(text, sizeof text, "from %s, at %s", sim_uuid(event->forked.from),
                       event->forked.node);
    else if (event->kind == EVENT_REFUSED)
        what = event->refused.failure.code;
    TRACE(world, "disk: %s %llu %s %s %s%s", sim_uuid(event->execution),
          (unsigned long long)event->sequence, path_of(event), name, what, text);
}

void observer_note_event(struct world *world, const struct event *event)
{
    struct counts *counts = &world->counts;
    counts->events++;
    counts->losses += event->kind == EVENT_LOST;
    counts->cancels += event->kind == EVENT_CANCEL;
    counts->retries += event->kind == EVENT_STEP && event->step.retry_at_us > 0;
    counts->turns += event->kind == EVENT_STEP && event->step.kind == STEP_TURN;
    counts->delegations += event->kind == EVENT_DELEGATED;
    counts->expressions += event->kind == EVENT_DECIDED;
    counts->waits += event->kind == EVENT_WAITING;
    counts->decisions += event->kind == EVENT_DECISION;
    counts->signals += event->kind == EVENT_SIGNAL;
    counts->human_pauses += event->kind == EVENT_PAUSED;
    counts->reopened += event->kind == EVENT_REOPENED;
    counts->forks += event->kind == EVENT_FORKED;
    counts->subs += event->kind == EVENT_OWNED;
    counts->items += event->kind == EVENT_DECIDED ? event->decided.items_count : 0;
    counts->refusals += event->kind == EVENT_REFUSED;
    trace_event(world, event);
}

void observer_check_lie(struct world *world, const struct event *event)
{
    const char *name = event->kind == EVENT_DELEGATED  ? event->delegated.agent.name
                       : event->kind == EVENT_REFUSED  ? event->refused.agent
                       : event->kind == EVENT_ANSWERED ? event->answered.tool
                                                       : "";
    if (strcmp(name, LIAR) == 0)
        world_fail(world, 2, "a lie about a call of %s %s is recorded", sim_uuid(event->execution),
                   path_of(event));
}

void observer_note_reserved(struct world *world, const struct event *event)
{
    const struct event_reserved *reserved = &event->reserved;
    if (event->kind != EVENT_RESERVED)
        return;
    struct model_call_count *count =
        count_of(world, event->execution, reserved->path, reserved->attempt, reserved->turn);
    count->reserved++;
    count->last = count->decided; /* or another one has been decided on since */
    count->last.boot = reserved->boot;
    count->last.egress = egresses_find(world, reserved->egress);
}

void observer_check_given_up(struct world *world, const struct event *event)
{
    const struct event_reserved *reserved = &event->reserved;
    const struct event_settled *settled = &event->settled;
    if (event->kind == EVENT_RESERVED) {
        struct model_call_count *count =
            count_of(world, event->execution, reserved->path, reserved->attempt, reserved->turn);
        size_t egress = egresses_find(world, reserved->egress);
        count->decided = (struct reserved){world->now_us, egress, reserved->boot,
                                           world->observer->egress_losses[egress]};
    } else if (event->kind == EVENT_SETTLED) {
        const struct model_call_count *count =
            count_of(world, event->execution, settled->path, settled->attempt, settled->turn);
        const struct reserved *last = count->reserved > 0 ? &count->last : &count->decided;
        /* Whoever is not back by the end of the claims is as good as lost. */
        bool waited = world->now_us - world->observer->begun_us >= LIMIT_CLAIM_WAIT_US - SECOND;
        bool before = last->at_us < world->observer->begun_us;
        bool there = last->losses == world->observer->egress_losses[last->egress] &&
                     last->boot == egresses_boot(world, last->egress);
        if (there && !(before && waited))
            world_fail(world, 4, "turn %u of %s %s is given up, though its egress was never lost",
                       settled->turn, sim_uuid(event->execution), settled->path);
    }
}

/* A turn, or what it ends with, says by itself which one it is; and a model was asked for it. */
void observer_check_turn(struct world *world, const struct model *model,
                         const struct event_step *step)
{
    value_t *value = NULL;
    int r = value_from_msgpack(step->output.inline_bytes, &value, NULL);
    bool turn = step->kind == STEP_TURN;
    const value_t *content = !r && turn ? value_get(value, "content") : value;
    bool fits = content && strcmp(value_get_string(content, "path", ""), step->path) == 0 &&
                value_get_int(content, "attempt", 0) == step->attempt &&
                (!turn || value_get_int(content, "turn", 0) == step->turn);
    if (turn)
        fits &= count_of(world, model->execution, step->path, step->attempt, step->turn)->made > 0;
    if (!fits)
        world_fail(world, 4, "what is recorded of %s %s, turn %u, is no answer to it",
                   sim_uuid(model->execution), step->path, step->turn);
    value_destroy(&value);
}

void observer_coordinator_begins(struct world *world)
{
    world->observer->begun_us = world->now_us;
}

/* --- egresses --------------------------------------------------------------------------------- */

void observer_call_made(struct world *world, size_t egress, const struct wire_call_key *key)
{
    struct model_call_count *count = count_of_key(world, key);
    const struct model_node *node =
        observer_find_node(observer_find(world, key->execution), key->path);
    world->counts.provider_calls++;
    bool over = !node || model_node_ended(node) || node->attempt != key->attempt;
    world->counts.calls_again += count->made > 0;
    world->counts.calls_late += over || node->turn >= key->turn;
    count->made++;
    TRACE(world, "%s calls the model for turn %u of %s %s, attempt %u%s",
          egresses_proc(world, egress)->name, key->turn, sim_uuid(key->execution), key->path,
          key->attempt, count->made > 1 ? ", again" : "");
    if (count->made > count->reserved)
        world_fail(world, 4,
                   "the model is called %u times for turn %u of %s %s, attempt %u, which "
                   "the journal has %u reservations for",
                   count->made, key->turn, sim_uuid(key->execution), key->path, key->attempt,
                   count->reserved);
    /* An egress that was given up may hear of it only after it has its lease again. */
    if (!over && node->turn >= key->turn && count->reserved == 1)
        world_fail(world, 4, "the model is called for turn %u of %s %s, which is in the journal",
                   key->turn, sim_uuid(key->execution), key->path);
}

void observer_egress_lost(struct world *world, size_t egress)
{
    if (egress < EGRESSES_MOST)
        world->observer->egress_losses[egress]++;
}

void observer_call_replied(struct world *world, const char *to,
                           const struct wire_call_answer *answer)
{
    const char *error = answer->error ? answer->error : "";
    if (strcmp(error, "conflict") == 0 || strcmp(error, "malformed") == 0)
        world_fail(world, 4, "%s asks for turn %u of %s %s with another request than before (%s)",
                   to, answer->key.turn, sim_uuid(answer->key.execution), answer->key.path, error);
}

/* --- what is told ----------------------------------------------------------------------------- */

/* Somebody else may be told so, too, who only says that it holds the run. */
void observer_dropped(const struct world *world, const char *address, struct model_node *node,
                      struct run run)
{
    if (run_compare(run, node->dropped_run) <= 0 || fleet_find(world, address) != node->given_to)
        return;
    node->dropped_run = run;
    node->dropped_us = world->now_us;
}

static void check_grant(struct world *world, const char *address, const struct wire_call_key *key)
{
    if (count_of_key(world, key)->reserved == 0)
        world_fail(world, 4, "%s may answer turn %u of %s %s, which the disk has no reservation of",
                   address, key->turn, sim_uuid(key->execution), key->path);
}

static void check_granted(struct world *world, const char *address,
                          const struct wire_granted *granted)
{
    const struct model_node *node =
        observer_find_node(observer_find(world, granted->execution), granted->path);
    struct run run = observer_run(granted->run);
    if (!node || run_compare(run, node->given_run) != 0 || run_compare(run, node->void_run) <= 0)
        return;
    if (count_of(world, granted->execution, granted->path, node->attempt, granted->turn)
            ->reserved == 0)
        world_fail(world, 4,
                   "%s may ask for turn %u of %s %s, which the disk has no reservation of", address,
                   granted->turn, sim_uuid(granted->execution), granted->path);
}

static void check_forget(struct world *world, const char *address, const struct wire_call_key *key)
{
    const struct model_node *node =
        observer_find_node(observer_find(world, key->execution), key->path);
    /* One that is reserved anew may be forgotten and granted at once. */
    if (node && node->attempt == key->attempt && node->reserved_turn == key->turn &&
        count_of_key(world, key)->reserved == 1)
        world_fail(world, 4, "%s is to forget turn %u of %s %s, which the disk does not hold yet",
                   address, key->turn, sim_uuid(key->execution), key->path);
}

void observer_told(struct world *world, const char *address, const struct wire_item *item)
{
    switch (item->kind) {
    case WIRE_ITEM_GRANT: check_grant(world, address, &item->grant.key); return;
    case WIRE_ITEM_GRANTED: check_granted(world, address, &item->granted); return;
    case WIRE_ITEM_FORGET: check_forget(world, address, &item->forget.key); return;
    case WIRE_ITEM_DROP: {
        struct model_node *node =
            observer_find_node(observer_find(world, item->drop.execution), item->drop.path);
        if (node)
            observer_dropped(world, address, node, observer_run(item->drop.run));
        return;
    }
    default: return;
    }
}
