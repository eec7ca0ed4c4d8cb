#include "tests/sim/observer.h"

#include "coordinator/journal.h"
#include "tests/sim/client.h"
#include "tests/sim/instance.h"
#include "tests/sim/model.h"
#include "tests/sim/shell.h"
#include "tests/sim/store.h"

#include <stdlib.h>
#include <string.h>

#define EFFECTS_MOST 256
/* After the faults: until what is late has arrived; for all to end; and how long it stays quiet. */
#define SETTLE_US (12 * SECOND)
#define BOUND_US  (1500 * SECOND)
#define QUIET_US  (30 * SECOND)
/* In a calm world: two ways through the broker, a commit, and the rounds between them. */
#define ACKNOWLEDGED_IN_US (100 * MS)
/* Past a limit of time: the grace of `join: done` nodes, the wait for instances to stop, a restart.
 */
#define LIMIT_SLACK_US (LIMIT_DONE_GRACE_US + 25 * SECOND)

struct running {
    size_t instance;
    struct sim_task what;
};

struct observer {
    struct model *models[EXECUTIONS_MOST * 2];
    size_t count;
    size_t open;
    engine_t *twin; /* folds what the disk holds */
    struct running effects[EFFECTS_MOST];
    size_t effects_count;
    int64_t quiet_us; /* when the watch ends; 0: something is open */
    struct arena arena;
};

/* --- lookups ---------------------------------------------------------------------------------- */

dag_t *observer_find_dag(void *context, const char *workflow, uint32_t version, const char *agent,
                         struct err *err)
{
    const struct world *world = context;
    (void)version;
    (void)agent;
    for (uint32_t i = 0; i < world->plan->workflows_count; i++)
        if (strcmp(world->plan->workflows[i].name, workflow) == 0)
            return dag_ref(world->plan->workflows[i].dag);
    (void)err_set(err, ERR_NOT_FOUND, "there is no workflow %s", workflow);
    return NULL;
}

static struct model *find(const struct world *world, struct uuid execution)
{
    for (size_t i = 0; i < world->observer->count; i++)
        if (uuid_equal(world->observer->models[i]->execution, execution))
            return world->observer->models[i];
    return NULL;
}

static struct model_node *find_node(struct model *model, const char *path)
{
    uint32_t index = model_find(model, path);
    CHECK(index != UINT32_MAX);
    return &model->nodes[index];
}

static struct run run_of(struct wire_run run)
{
    return (struct run){run.epoch, run.counter};
}

static bool runs(const struct model *model)
{
    return !execution_status_terminal(model->status);
}

struct observer *observer_new(struct world *world)
{
    struct observer *self = xcalloc(1, sizeof *self);
    const struct engine_config config = {.find_dag = observer_find_dag, .context = world};
    self->twin = engine_new(&config);
    return self;
}

void observer_destroy(struct observer **self_p)
{
    struct observer *self = *self_p;
    *self_p = NULL;
    for (size_t i = 0; i < self->count; i++)
        free(self->models[i]);
    engine_destroy(&self->twin);
    arena_release(&self->arena);
    free(self);
}

/* --- the disk --------------------------------------------------------------------------------- */

static struct model *add_model(struct world *world, const struct event *event)
{
    struct observer *self = world->observer;
    struct model *model = xcalloc(1, sizeof *model);
    CHECK(self->count < sizeof self->models / sizeof(struct model *));
    self->models[self->count++] = model;
    self->open++;
    world->counts.executions++;
    model->execution = event->execution;
    for (uint32_t i = 0; i < world->plan->workflows_count; i++)
        if (event->kind == EVENT_STARTED &&
            strcmp(world->plan->workflows[i].name, event->started.workflow) == 0)
            model->workflow = &world->plan->workflows[i];
    return model;
}

/* A result says by itself which run of which instance made it. */
static void check_output(struct world *world, const struct model *model,
                         const struct event_step *step)
{
    value_t *value = NULL;
    if (step->kind != STEP_RESULT)
        return;
    int r = value_from_msgpack(step->output.inline_bytes, &value, NULL);
    bool fits = !r && value_get_int(value, "epoch", -1) == (int64_t)step->run.epoch &&
                value_get_int(value, "counter", -1) == (int64_t)step->run.counter &&
                strcmp(value_get_string(value, "by", ""), step->instance) == 0;
    if (!fits)
        world_fail(world, 2, "the result of %s %s was not made by run %llu.%llu of %s",
                   sim_uuid(model->execution), step->path, (unsigned long long)step->run.epoch,
                   (unsigned long long)step->run.counter, step->instance);
    value_destroy(&value);
}

static void check_step(struct world *world, struct model *model, const struct event_step *step)
{
    const struct model_node *node = find_node(model, step->path);
    if (strcmp(step->failure.code ? step->failure.code : "", "lie") == 0)
        world_fail(world, 2, "a lie about %s %s is recorded", sim_uuid(model->execution),
                   step->path);
    if (!*step->instance)
        return;
    if (fleet_find(world, step->instance) != node->given_to)
        world_fail(world, 2, "a step of %s %s from %s, which does not hold it",
                   sim_uuid(model->execution), step->path, step->instance);
    check_output(world, model, step);
}

static enum model_status status_of(enum task_status status)
{
    switch (status) {
    case TASK_PENDING: return MODEL_PENDING;
    case TASK_READY:
    case TASK_RETRYING:
    case TASK_WAITING:
    case TASK_RUNNING: return MODEL_ACTIVE;
    case TASK_SUCCEEDED: return MODEL_SUCCEEDED;
    case TASK_FAILED: return MODEL_FAILED;
    case TASK_SKIPPED: return MODEL_SKIPPED;
    case TASK_CANCELLED: return MODEL_CANCELLED;
    }
    return MODEL_PENDING;
}

/* The engine's fold of what the disk holds, against the model. */
static void compare(struct world *world, const struct model *model)
{
    struct task_view view;
    for (uint32_t i = 0; i < model->workflow->nodes_count; i++) {
        const struct model_node *node = &model->nodes[i];
        if (engine_task(world->observer->twin, model->execution, i, &view)) {
            world_fail(world, 7, "the fold lacks task %u of %s", i, sim_uuid(model->execution));
            return;
        }
        if (status_of(view.status) != node->status || view.step != node->step ||
            view.attempt != node->attempt)
            world_fail(world, 3,
                       "%s of %s is %s in the fold (attempt %u, step %u), but %d by the rules "
                       "(attempt %u, step %u)",
                       view.path, sim_uuid(model->execution), task_status_name(view.status),
                       view.attempt, view.step, (int)node->status, node->attempt, node->step);
    }
}

static void check_end(struct world *world, const struct model *model)
{
    int64_t calm_utc_us = SIM_UTC + world->calm_us + 5 * SECOND;
    if (runs(model))
        return;
    world->observer->open--;
    int64_t from_us = model->deadline_us > calm_utc_us ? model->deadline_us : calm_utc_us;
    if (model->deadline_us > 0 && model->time_us > from_us + LIMIT_SLACK_US)
        world_fail(world, 6, "%s ended %.1f s past its limit of time", sim_uuid(model->execution),
                   (double)(model->time_us - model->deadline_us) / (double)SECOND);
}

static void take_event(struct world *world, const struct event *event)
{
    struct model *model = find(world, event->execution);
    int invariant = 0;
    struct err err;
    if (!model)
        model = add_model(world, event);
    if (!model->workflow) {
        world_fail(world, 1, "the journal of %s has no start", sim_uuid(event->execution));
        return;
    }
    const char *wrong = model_apply(model, event, &invariant);
    if (wrong) {
        world_fail(world, invariant, "the journal of %s holds, as event %llu (%s), %s",
                   sim_uuid(event->execution), (unsigned long long)event->sequence,
                   event_kind_name(event->kind), wrong);
        return;
    }
    if (event->kind == EVENT_STEP)
        check_step(world, model, &event->step);
    if (engine_apply(world->observer->twin, event, &err))
        world_fail(world, 7, "what the disk holds can't be folded: %s", err.what);
    else
        compare(world, model);
    check_end(world, model);
}

static void count_event(struct world *world, const struct event *event)
{
    struct counts *counts = &world->counts;
    counts->events++;
    counts->losses += event->kind == EVENT_LOST;
    counts->cancels += event->kind == EVENT_CANCEL;
    counts->retries += event->kind == EVENT_STEP && event->step.retry_at_us > 0;
}

static void trace_event(const struct world *world, const struct event *event)
{
    const char *path = event->kind == EVENT_STEP   ? event->step.path
                       : event->kind == EVENT_LOST ? event->lost.path
                                                   : "";
    const char *what = event_kind_name(event->kind);
    if (event->kind == EVENT_STEP)
        what = event->step.kind == STEP_RESULT ? "result" : event->step.failure.code;
    else if (event->kind == EVENT_ENDED)
        what = execution_status_name(event->ended.status);
    TRACE(world, "disk: %s %llu %s %s", sim_uuid(event->execution),
          (unsigned long long)event->sequence, path, what);
}

bool observer_committed(struct world *world, const struct record *record)
{
    struct event event;
    struct err err;
    if (world->failed)
        return false;
    arena_clear(&world->observer->arena);
    if (journal_decode(&world->observer->arena, record->execution, record->sequence,
                       buf_bytes(&record->bytes), &event, &err)) {
        world_fail(world, 7, "a record can't be read: %s", err.what);
        return false;
    }
    count_event(world, &event);
    trace_event(world, &event);
    take_event(world, &event);
    return event.kind == EVENT_ENDED;
}

/* --- the coordinator -------------------------------------------------------------------------- */

void observer_folded(struct world *world, struct uuid execution, uint64_t fingerprint)
{
    if (fingerprint != engine_fingerprint(world->observer->twin, execution))
        world_fail(world, 7, "a restart folds %s to another state than before",
                   sim_uuid(execution));
}

void observer_decided(struct world *world, const struct event *event)
{
    if (world->fault == FAULT_NONE && !shell_up(world))
        world_fail(world, 0, "%s is decided on by a coordinator that is down",
                   sim_uuid(event->execution));
}

/* What the disk holds must be reason enough for this dispatch. When the disk holds more by now, it
 * may be out of date, but it is never ahead. */
static const char *objection(const struct model *model, const struct model_node *node,
                             const struct wire_dispatch *dispatch, uint64_t sequence, bool stopped)
{
    struct run run = run_of(dispatch->run);
    bool latest = sequence == model->sequence && !stopped;
    if (sequence > model->sequence)
        return "the disk does not hold the reason yet";
    if (node->status == MODEL_PENDING)
        return "its join is not satisfied";
    if (dispatch->attempt > node->attempt || dispatch->journaled_step > node->step)
        return "the disk does not know of its attempt or steps yet";
    if (node->given && (run_compare(run, node->given_run) <= 0 ||
                        run_compare(node->void_run, node->given_run) < 0))
        return "its former run is not void";
    if (!latest)
        return NULL;
    if (node->results > 0)
        return "its result is recorded";
    if (node->status != MODEL_ACTIVE || !runs(model) || model->status == EXECUTION_CANCELLING)
        return "nothing of it may start any more";
    if (dispatch->attempt != node->attempt || dispatch->journaled_step != node->step)
        return "its attempt or steps are not those of the disk";
    return run_compare(run, node->void_run) <= 0 ? "its run is void" : NULL;
}

void observer_dispatched(struct world *world, const char *address,
                         const struct wire_dispatch *dispatch, uint64_t sequence, bool stopped)
{
    struct model *model = find(world, dispatch->execution);
    world->counts.dispatches++;
    TRACE(world, "coordinator: %s is given %s %s, attempt %u, run %llu.%llu", address,
          sim_uuid(dispatch->execution), dispatch->path, dispatch->attempt,
          (unsigned long long)dispatch->run.epoch, (unsigned long long)dispatch->run.counter);
    if (!model) {
        world_fail(world, 3, "%s of an execution that the disk does not hold is given out",
                   dispatch->path);
        return;
    }
    struct model_node *node = find_node(model, dispatch->path);
    const char *why = objection(model, node, dispatch, sequence, stopped);
    if (why)
        world_fail(world, node->results ? 4 : 3, "%s %s is given to %s, but %s",
                   sim_uuid(model->execution), dispatch->path, address, why);
    node->given = true;
    node->given_run = run_of(dispatch->run);
    node->given_to = fleet_find(world, address);
}

void observer_judged(struct world *world, const char *address, const struct wire_verdict *verdict)
{
    struct model *model = find(world, verdict->execution);
    TRACE(world, "coordinator: %s %s %s %s, run %llu.%llu", address,
          verdict->keep ? "keeps" : "loses", sim_uuid(verdict->execution), verdict->path,
          (unsigned long long)verdict->run.epoch, (unsigned long long)verdict->run.counter);
    if (!verdict->keep) {
        world->counts.refused_claims++;
        return;
    }
    world->counts.kept_claims++;
    if (!model) {
        world_fail(world, 2, "%s keeps a task that the disk does not hold", address);
        return;
    }
    const struct model_node *node = find_node(model, verdict->path);
    struct run run = run_of(verdict->run);
    if (!node->given || run_compare(run, node->given_run) != 0 ||
        fleet_find(world, address) != node->given_to)
        world_fail(world, 2, "%s keeps %s %s under a run that is not the last one given out",
                   address, sim_uuid(model->execution), verdict->path);
}

/* --- effects ---------------------------------------------------------------------------------- */

static const char *start_objection(const struct model *model, const struct model_node *node,
                                   int *ret_invariant)
{
    *ret_invariant = 5;
    if (!runs(model))
        return "the execution has ended";
    *ret_invariant = 4;
    if (node->results > 0)
        return "its result is recorded";
    *ret_invariant = 3;
    return node->status == MODEL_PENDING ? "its join is not satisfied" : NULL;
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
        at_once++;
        if (strcmp(other->what.path, what->path) == 0)
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

static void check_rerun(struct world *world, const struct model *model, struct model_node *node,
                        const struct sim_task *what)
{
    const struct plan_node *plan = &model->workflow->nodes[model_find(model, what->path)];
    uint32_t agent = node->fallen_back ? plan->fallback : plan->agent;
    if (world->plan->agents[agent].rerun_never && node->effect_attempt == what->attempt)
        world_fail(world, 4, "%s %s runs again, though its agent says rerun: never",
                   sim_uuid(what->execution), what->path);
    node->effect_attempt = what->attempt;
    node->effect_run = run_of(what->run);
}

void observer_effect_started(struct world *world, size_t instance, const struct sim_task *what)
{
    struct observer *self = world->observer;
    struct model *model = find(world, what->execution);
    int invariant = 0;
    world->counts.effects++;
    TRACE(world, "%s starts %s %s, attempt %u, run %llu.%llu", fleet_proc(world, instance)->name,
          sim_uuid(what->execution), what->path, what->attempt, (unsigned long long)what->run.epoch,
          (unsigned long long)what->run.counter);
    if (!model) {
        world_fail(world, 3, "an effect of an execution that the disk does not hold");
        return;
    }
    struct model_node *node = find_node(model, what->path);
    const char *why = start_objection(model, node, &invariant);
    if (why)
        world_fail(world, invariant, "%s starts %s %s, but %s", fleet_proc(world, instance)->name,
                   sim_uuid(what->execution), what->path, why);
    check_others(world, instance, model, what);
    check_rerun(world, model, node, what);
    CHECK(self->effects_count < EFFECTS_MOST);
    self->effects[self->effects_count++] = (struct running){instance, *what};
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
            wire_run_compare(effect->what.run, what->run) != 0)
            continue;
        self->effects[i] = self->effects[--self->effects_count];
        return;
    }
}

/* --- acknowledgements ------------------------------------------------------------------------- */

void observer_acknowledged(struct world *world, size_t instance, const struct sim_task *what,
                           uint32_t number)
{
    struct model *model = find(world, what->execution);
    if (model) {
        const struct model_node *node = find_node(model, what->path);
        bool recorded =
            number <= node->step && run_compare(node->steps[number], run_of(what->run)) == 0;
        bool is_void = run_compare(run_of(what->run), node->void_run) <= 0;
        if (recorded || is_void || model_node_ended(node))
            return;
    }
    world_fail(world, 2, "step %u of %s %s is acknowledged to %s, but the disk does not hold it",
               number, sim_uuid(what->execution), what->path, fleet_proc(world, instance)->name);
}

void observer_acknowledged_after(struct world *world, size_t instance, const struct sim_task *what,
                                 int64_t sent_us, int64_t took_us)
{
    if (world->calm && sent_us > world->calm_us + SETTLE_US && took_us > ACKNOWLEDGED_IN_US)
        world_fail(world, 0, "%s waited %.3f s in a calm world for the acknowledgement of %s %s",
                   fleet_proc(world, instance)->name, (double)took_us / (double)SECOND,
                   sim_uuid(what->execution), what->path);
}

void observer_start_answered(struct world *world, struct uuid execution)
{
    if (!find(world, execution))
        world_fail(world, 1, "the start of %s was answered, but the disk does not hold it",
                   sim_uuid(execution));
}

void observer_cancel_answered(struct world *world, struct uuid execution)
{
    const struct model *model = find(world, execution);
    if (!model || (runs(model) && model->status != EXECUTION_CANCELLING))
        world_fail(world, 5, "the cancel of %s was answered, but the disk does not hold it",
                   sim_uuid(execution));
}

/* --- questions -------------------------------------------------------------------------------- */

bool observer_any_given(struct world *world, size_t other_than, struct sim_task *ret_what,
                        uint32_t *ret_number)
{
    struct observer *self = world->observer;
    if (self->count == 0)
        return false;
    const struct model *model =
        self->models[prng_between(&world->prng, 0, (int64_t)self->count - 1)];
    int64_t index = prng_between(&world->prng, 0, model->workflow->nodes_count - 1);
    const struct model_node *node = &model->nodes[index];
    struct run run = node->given_run;
    if (node->step > 0 && prng_chance(&world->prng, 500))
        run = node->steps[prng_between(&world->prng, 1, node->step)];
    bool current = run_compare(run, node->void_run) > 0;
    if (!node->given || (current && node->given_to == other_than))
        return false;
    *ret_what = (struct sim_task){
        .execution = model->execution,
        .run = {run.epoch, run.counter},
        .attempt = node->attempt,
    };
    memcpy(ret_what->path, model->workflow->nodes[index].id, PATH_BYTES);
    *ret_number = node->step + 1;
    return true;
}

bool observer_any_open(struct world *world, struct uuid *ret_execution)
{
    const struct observer *self = world->observer;
    for (size_t i = 0; i < self->count; i++) {
        if (!runs(self->models[i]) || !prng_chance(&world->prng, 500))
            continue;
        *ret_execution = self->models[i]->execution;
        return true;
    }
    return false;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void fail_unfinished(struct world *world)
{
    const struct observer *self = world->observer;
    for (size_t i = 0; i < self->count; i++) {
        const struct model *model = self->models[i];
        for (uint32_t n = 0; runs(model) && n < model->workflow->nodes_count; n++)
            if (!model_node_ended(&model->nodes[n]))
                world_fail(world, 1, "%s is %s for ever: %s has not ended (attempt %u, step %u)",
                           sim_uuid(model->execution), execution_status_name(model->status),
                           model->workflow->nodes[n].id, model->nodes[n].attempt,
                           model->nodes[n].step);
        if (runs(model))
            world_fail(world, 1, "%s is %s for ever", sim_uuid(model->execution),
                       execution_status_name(model->status));
    }
    world_fail(world, 1, "a client is never answered");
}

bool observer_satisfied(struct world *world)
{
    struct observer *self = world->observer;
    if (!world->calm)
        return false;
    if (self->open > 0 || !clients_done(world)) {
        self->quiet_us = 0;
        if (world->now_us > world->calm_us + BOUND_US)
            fail_unfinished(world);
        return world->failed;
    }
    if (self->quiet_us == 0)
        self->quiet_us = world->now_us + QUIET_US;
    return world->now_us > self->quiet_us;
}

void observer_end(struct world *world)
{
    const struct observer *self = world->observer;
    if (self->effects_count > 0)
        world_fail(world, 5, "%s of %s still runs on %s after all has ended",
                   self->effects[0].what.path, sim_uuid(self->effects[0].what.execution),
                   fleet_proc(world, self->effects[0].instance)->name);
    if (fleet_tasks(world) > 0)
        world_fail(world, 5, "instances still hold %zu tasks after all has ended",
                   fleet_tasks(world));
}
