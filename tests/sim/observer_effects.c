#include "tests/sim/observer_core.h"

#include "tests/sim/instance.h"

#include <string.h>

static const char *start_objection(const struct model *model, const struct model_node *node,
                                   int *ret_invariant)
{
    *ret_invariant = 5;
    if (!observer_runs(model))
        return "the execution has ended";
    *ret_invariant = 4;
    if (node->results > 0)
        return "its result is recorded";
    *ret_invariant = 3;
    return node->status == MODEL_PENDING ? "its join is not satisfied" : NULL;
}

/* Drops are obeyed at once where they arrive, and where they don't no lease outlives them long. */
#define DROP_SLACK_US (LIMIT_SILENCE_US + SECOND)

static const char *late_objection(const struct world *world, const struct model_node *node,
                                  const struct sim_task *what)
{
    if (node->dropped_us > 0 && run_compare(observer_run(what->run), node->dropped_run) <= 0 &&
        world->now_us > node->dropped_us + DROP_SLACK_US)
        return "its run was to be dropped long ago";
    return NULL;
}

/* A call of a turn, by an attempt that is under way: nothing of one that is over is known any more.
 */
static const char *tool_objection(const struct model_node *node, const struct sim_task *what)
{
    if (model_node_ended(node) || node->attempt != what->attempt)
        return NULL;
    if (node->turn != what->turn || what->call >= node->calls_count)
        return "its turn is not the last one in the journal";
    const struct model_call *call = &node->calls[what->call];
    if (call->tool != MODEL_LOCAL)
        return "the coordinator answers that call";
    if (call->done)
        return "its result is recorded";
    if (!call->repeat_safe && call->effect_attempt == what->attempt)
        return "it may not be repeated";
    return NULL;
}

/* Tools of one turn may run beside each other. */
static bool beside(const struct sim_task *a, const struct sim_task *b)
{
    return a->turn > 0 && a->turn == b->turn && a->call != b->call &&
           wire_run_compare(a->run, b->run) == 0;
}

/* Of the effects of one task. */
static bool is_first(const struct observer *self, size_t place)
{
    const struct sim_task *what = &self->effects[place].what;
    for (size_t i = 0; i < place; i++)
        if (uuid_equal(self->effects[i].what.execution, what->execution) &&
            strcmp(self->effects[i].what.path, what->path) == 0)
            return false;
    return true;
}

/* An effect in an instance that is stopped as a whole does not run. */
static void check_others(struct world *world, size_t instance, const struct model *model,
                         const struct sim_task *what)
{
    const struct observer *self = world->observer;
    uint32_t at_once = 1;
    for (size_t i = 0; i < self->effects_count; i++) {
        const struct running *other = &self->effects[i];
        if (!uuid_equal(other->what.execution, what->execution) ||
            fleet_frozen(world, other->instance))
            continue;
        bool same = strcmp(other->what.path, what->path) == 0;
        at_once += !same && is_first(self, i);
        if (same && !beside(&other->what, what))
            world_fail(world, 0, "%s %s starts on %s while it still runs on %s (run %llu.%llu)",
                       sim_uuid(what->execution), what->path, fleet_proc(world, instance)->name,
                       fleet_proc(world, other->instance)->name,
                       (unsigned long long)other->what.run.epoch,
                       (unsigned long long)other->what.run.counter);
    }
    if (model->workflow->parallel > 0 && at_once > model->workflow->parallel)
        world_fail(world, 6, "%u tasks of %s run at once, of which there may be %u", at_once,
                   sim_uuid(what->execution), model->workflow->parallel);
}

static void check_rerun(struct world *world, struct model_node *node, const struct sim_task *what)
{
    if (what->turn > 0) {
        if (node->attempt == what->attempt && what->call < node->calls_count)
            node->calls[what->call].effect_attempt = what->attempt;
        return;
    }
    if (world->plan->agents[node->agent].rerun_never && node->effect_attempt == what->attempt)
        world_fail(world, 4, "%s %s runs again, though its agent says rerun: never",
                   sim_uuid(what->execution), what->path);
    node->effect_attempt = what->attempt;
    node->effect_run = observer_run(what->run);
}

void observer_effect_started(struct world *world, size_t instance, const struct sim_task *what)
{
    struct observer *self = world->observer;
    struct model *model = observer_find(world, what->execution);
    int invariant = 0;
    world->counts.effects++;
    TRACE(world, "%s starts %s %s, attempt %u, run %llu.%llu", fleet_proc(world, instance)->name,
          sim_uuid(what->execution), what->path, what->attempt, (unsigned long long)what->run.epoch,
          (unsigned long long)what->run.counter);
    struct model_node *node = observer_find_node(model, what->path);
    if (!node) {
        world_fail(world, 3, "an effect of a task that the disk does not hold");
        return;
    }
    const char *why = start_objection(model, node, &invariant);
    if (!why && what->turn > 0) {
        invariant = 4;
        why = tool_objection(node, what);
    }
    if (!why) {
        invariant = 5;
        why = late_objection(world, node, what);
    }
    if (why)
        world_fail(world, invariant, "%s starts %s %s, but %s", fleet_proc(world, instance)->name,
                   sim_uuid(what->execution), what->path, why);
    check_others(world, instance, model, what);
    check_rerun(world, node, what);
    CHECK(self->effects_count < EFFECTS_MOST);
    self->effects[self->effects_count++] = (struct running){instance, *what};
}

void observer_given_up(struct world *world, const char *address)
{
    const struct observer *self = world->observer;
    for (size_t i = 0; i < self->effects_count; i++) {
        const struct running *effect = &self->effects[i];
        const struct model_node *node =
            observer_find_node(observer_find(world, effect->what.execution), effect->what.path);
        bool last = node && run_compare(node->given_run, observer_run(effect->what.run)) == 0;
        if (strcmp(fleet_proc(world, effect->instance)->name, address) == 0 && last &&
            !fleet_frozen(world, effect->instance))
            world_fail(world, 5, "%s %s still runs on %s, which is given up",
                       sim_uuid(effect->what.execution), effect->what.path, address);
    }
}

void observer_effect_ended(struct world *world, size_t instance, const struct sim_task *what,
                           const char *how)
{
    struct observer *self = world->observer;
    TRACE(world, "%s: %s %s, run %llu.%llu, %s", fleet_proc(world, instance)->name,
          sim_uuid(what->execution), what->path, (unsigned long long)what->run.epoch,
          (unsigned long long)what->run.counter, how);
    for (size_t i = 0; i < self->effects_count; i++) {
        const struct running *effect = &self->effects[i];
        if (effect->instance != instance || strcmp(effect->what.path, what->path) != 0 ||
            !uuid_equal(effect->what.execution, what->execution) ||
            wire_run_compare(effect->what.run, what->run) != 0 || effect->what.turn != what->turn ||
            effect->what.call != what->call)
            continue;
        self->effects[i] = self->effects[--self->effects_count];
        return;
    }
}
