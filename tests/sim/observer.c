#include "tests/sim/observer_core.h"

#include "coordinator/journal.h"
#include "tests/sim/client.h"
#include "tests/sim/egress.h"
#include "tests/sim/instance.h"
#include "tests/sim/shell.h"
#include "tests/sim/store.h"

#include <stdlib.h>
#include <string.h>

/* After the faults: until what is late has arrived; for something to happen, longer than anybody
 * waits for anything; for all to end; and how long it stays quiet. */
#define SETTLE_US (12 * SECOND)
#define STUCK_US  (300 * SECOND)
#define BOUND_US  (20000 * SECOND)
#define QUIET_US  (30 * SECOND)
/* In a calm world: two ways through the broker, a commit, and the rounds between them. */
#define ACKNOWLEDGED_IN_US (100 * MS)
/* Past a limit of time: the grace of `join: done` nodes, the wait for instances to stop, a restart.
 */
#define LIMIT_SLACK_US (LIMIT_DONE_GRACE_US + 25 * SECOND)

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

struct model *observer_find(const struct world *world, struct uuid execution)
{
    return model_among(&world->observer->models, execution);
}

struct model_node *observer_find_node(struct model *model, const char *path)
{
    uint32_t index = model ? model_find(model, path) : NO_TASK;
    return index == NO_TASK ? NULL : &model->nodes[index];
}

struct observer *observer_new(struct world *world)
{
    struct observer *self = xcalloc(1, sizeof *self);
    const struct engine_config config = {.find_dag = observer_find_dag, .context = world};
    self->twin = engine_new(&config);
    self->calls = map_new();
    return self;
}

void observer_destroy(struct observer **self_p)
{
    struct observer *self = *self_p;
    *self_p = NULL;
    for (size_t i = 0; i < self->models.count; i++) {
        model_release(self->models.all[i]);
        free(self->models.all[i]);
    }
    free((void *)self->models.all);
    free(self->starts);
    observer_release_calls(self);
    engine_destroy(&self->twin);
    arena_release(&self->arena);
    free(self);
}

/* --- the disk --------------------------------------------------------------------------------- */

static struct model *add_model(struct world *world, const struct event *event)
{
    struct observer *self = world->observer;
    struct model *model = xcalloc(1, sizeof *model);
    struct models *models = &self->models;
    if (models->count == models->capacity) {
        models->capacity = models->capacity ? 2 * models->capacity : 64;
        models->all = xrealloc((void *)models->all, models->capacity * sizeof(struct model *));
    }
    models->all[models->count++] = model;
    self->open++;
    world->counts.executions++;
    model->execution = event->execution;
    model->among = models;
    model->plan = world->plan;
    for (uint32_t i = 0; i < world->plan->workflows_count; i++)
        if (event->kind == EVENT_STARTED &&
            strcmp(world->plan->workflows[i].name, event->started.workflow) == 0)
            model->workflow = &world->plan->workflows[i];
    return model;
}

/* A result says by itself which run of which instance made it. */
static void check_own_output(struct world *world, const struct model *model,
                             const struct event_step *step)
{
    value_t *value = NULL;
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

static void check_output(struct world *world, const struct model *model,
                         const struct model_node *node, const struct event_step *step)
{
    if (step->kind == STEP_FAILURE || step->failure.code)
        return;
    if (world->plan->agents[node->agent].kind == KIND_MODEL && step->kind != STEP_TOOL_RESULT)
        observer_check_turn(world, model, step);
    else
        check_own_output(world, model, step);
}

static void check_step(struct world *world, struct model *model, const struct event_step *step)
{
    const struct model_node *node = observer_find_node(model, step->path);
    if (strcmp(step->failure.code ? step->failure.code : "", "lie") == 0)
        world_fail(world, 2, "a lie about %s %s is recorded", sim_uuid(model->execution),
                   step->path);
    if (!*step->instance)
        return;
    if (fleet_find(world, step->instance) != node->given_to)
        world_fail(world, 2, "a step of %s %s from %s, which does not hold it",
                   sim_uuid(model->execution), step->path, step->instance);
    check_output(world, model, node, step);
}

static enum model_status status_of(enum task_status status)
{
    switch (status) {
    case TASK_PENDING: return MODEL_PENDING;
    case TASK_READY:
    case TASK_RETRYING:
    case TASK_RUNNING: return MODEL_ACTIVE;
    case TASK_WAITING: return MODEL_WAITING;
    case TASK_SUCCEEDED: return MODEL_SUCCEEDED;
    case TASK_FAILED: return MODEL_FAILED;
    case TASK_SKIPPED: return MODEL_SKIPPED;
    case TASK_CANCELLED: return MODEL_CANCELLED;
    }
    return MODEL_PENDING;
}

static bool same_talk(const struct task_view *view, const struct model_node *node)
{
    return view->depth == node->depth && view->turns == node->turns &&
           view->children == node->children && view->calls_again == node->calls_again &&
           model_sum_equal(&node->used, &view->own) &&
           model_sum_equal(&node->used_below, &view->subtree);
}

static void compare_status(struct world *world, const struct model *model)
{
    struct execution_view view;
    if (engine_execution(world->observer->twin, model->execution, &view))
        return;
    bool paused = view.status == EXECUTION_PAUSED;
    if (paused != (model->status == EXECUTION_RUNNING && model->paused))
        world_fail(world, 3, "%s is %s in the fold, but %spaused by the rules",
                   sim_uuid(model->execution), execution_status_name(view.status),
                   model->paused ? "" : "not ");
}

static void compare_context(struct world *world, const struct model *model)
{
    value_t *there = engine_context(world->observer->twin, model->execution);
    value_t *here = model_context_value(&model->context);
    if (!there || !value_equal(there, here))
        world_fail(world, 7, "the shared context of %s is another one in the fold",
                   sim_uuid(model->execution));
    value_destroy(&there);
    value_destroy(&here);
}

static void compare_sums(struct world *world, const struct model *model)
{
    struct execution_view view;
    if (engine_execution(world->observer->twin, model->execution, &view) ||
        view.tasks != model->count || view.tokens_reserved != model->reserved.tokens ||
        view.cost_reserved_microusd != model->reserved.cost ||
        !model_sum_equal(&model->used, &view.used))
        world_fail(world, 6, "the fold of %s does not add up to what its turns used (%llu tokens)",
                   sim_uuid(model->execution), (unsigned long long)model->used.tokens);
}

/* The engine's fold of what the disk holds, against the model. */
static void compare(struct world *world, const struct model *model)
{
    struct task_view view;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct model_node *node = &model->nodes[i];
        if (engine_task(world->observer->twin, model->execution, i, &view)) {
            world_fail(world, 7, "the fold lacks task %u of %s", i, sim_uuid(model->execution));
            return;
        }
        if (status_of(view.status) != node->status || view.step != node->step ||
            view.attempt != node->attempt || strcmp(view.path, node->path) != 0)
            world_fail(world, 3,
                       "%s of %s is %s in the fold (attempt %u, step %u), but %d by the rules "
                       "(attempt %u, step %u)",
                       view.path, sim_uuid(model->execution), task_status_name(view.status),
                       view.attempt, view.step, (int)node->status, node->attempt, node->step);
        if (!same_talk(&view, node))
            world_fail(world, 6, "the fold of %s %s has other turns, delegations or sums",
                       sim_uuid(model->execution), node->path);
    }
    compare_sums(world, model);
    compare_status(world, model);
    compare_context(world, model);
}

static void check_end(struct world *world, const struct model *model)
{
    int64_t calm_utc_us = SIM_UTC + world->calm_us + 5 * SECOND;
    if (observer_runs(model))
        return;
    world->observer->open--;
    int64_t from_us = model->deadline_us > calm_utc_us ? model->deadline_us : calm_utc_us;
    if (model->deadline_us > 0 && model->time_us > from_us + LIMIT_SLACK_US)
        world_fail(world, 6, "%s ended %.1f s past its limit of time", sim_uuid(model->execution),
                   (double)(model->time_us - model->deadline_us) / (double)SECOND);
}

/* A fork begins with the other one's journal, byte for byte. */
static void check_copy(struct world *world, const struct event_forked *forked,
                       struct uuid execution)
{
    const struct journal *from = store_find(world->store, forked->from);
    const struct journal *to = store_find(world->store, execution);
    bool same = from && from->count >= forked->at && to->count == forked->at + 1;
    for (uint64_t i = 0; same && i < forked->at; i++)
        same = bytes_equal(buf_bytes(&from->records[i].bytes), buf_bytes(&to->records[i].bytes));
    if (!same)
        world_fail(world, 7, "the fork %s does not begin as %s does", sim_uuid(execution),
                   sim_uuid(forked->from));
}

static void take_event(struct world *world, const struct event *event, bool copied)
{
    struct model *model = observer_find(world, event->execution);
    int invariant = 0;
    struct err err;
    if (!model)
        model = add_model(world, event);
    if (!model->workflow) {
        world_fail(world, 1, "the journal of %s has no start", sim_uuid(event->execution));
        return;
    }
    model->copying = copied;
    if (!copied)
        observer_note_reserved(world, event);
    if (event->kind == EVENT_FORKED && !copied)
        check_copy(world, &event->forked, event->execution);
    world->observer->open += event->kind == EVENT_REOPENED;
    const char *wrong = model_apply(model, event, &invariant);
    if (wrong) {
        world_fail(world, invariant, "the journal of %s holds, as event %llu (%s), %s",
                   sim_uuid(event->execution), (unsigned long long)event->sequence,
                   event_kind_name(event->kind), wrong);
        return;
    }
    observer_check_lie(world, event);
    if (event->kind == EVENT_STEP && !copied)
        check_step(world, model, &event->step);
    if (engine_apply(world->observer->twin, event, &err))
        world_fail(world, 7, "what the disk holds can't be folded: %s", err.what);
    else
        compare(world, model);
    check_end(world, model);
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
    world->observer->last_event_us = world->now_us;
    observer_note_event(world, &event);
    take_event(world, &event, record->copied);
    if (!record->copied) /* a fork's start is: no schedule has made it */
        observer_schedule_started(world, &event);
    return event.kind == EVENT_ENDED;
}

void observer_batch_committed(struct world *world)
{
    struct uuid execution;
    const char *wrong = world->failed ? NULL : model_family(&world->observer->models, &execution);
    if (wrong)
        world_fail(world, 3, "the execution %s %s", sim_uuid(execution), wrong);
    observer_schedules_batch(world);
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
    observer_check_given_up(world, event);
}

/* What the disk holds must be reason enough for this dispatch. When the disk holds more by now, it
 * may be out of date, but it is never ahead. */
static const char *talk_objection(const struct model *model, const struct model_node *node,
                                  const struct wire_dispatch *dispatch)
{
    const struct plan_agent *agent = &model->plan->agents[node->agent];
    if (strcmp(dispatch->agent, agent->name) != 0)
        return "to another agent's instance";
    if (dispatch->chain_count != node->depth)
        return "with another chain of agents";
    if (model_deadline(model, node) != INT64_MAX &&
        (dispatch->deadline_us == 0 || dispatch->deadline_us > model_deadline(model, node)))
        return "with more time than those have who wait for it";
    if (dispatch->turn != node->reserved_turn)
        return "with a turn that is not the one that is reserved";
    return dispatch->history_count != node->entries ? "with another history" : NULL;
}

static const char *objection(const struct model *model, const struct model_node *node,
                             const struct wire_dispatch *dispatch, uint64_t sequence, bool stopped)
{
    struct run run = observer_run(dispatch->run);
    bool latest = sequence == model->sequence && !stopped;
    if (sequence > model->sequence)
        return "the disk does not hold the reason yet";
    if (node->status == MODEL_PENDING)
        return "its join is not satisfied";
    if (model->paused && sequence >= model->paused_sequence)
        return "the execution is paused";
    if (node->depth == 0 && model->workflow->nodes[node->root].kind != DAG_AGENT)
        return "no agent does it";
    if (dispatch->attempt > node->attempt || dispatch->journaled_step > node->step)
        return "the disk does not know of its attempt or steps yet";
    if (node->given && (run_compare(run, node->given_run) <= 0 ||
                        run_compare(node->void_run, node->given_run) < 0))
        return "its former run is not void";
    if (!latest)
        return NULL;
    if (node->results > 0)
        return "its result is recorded";
    if (node->status != MODEL_ACTIVE || !observer_runs(model) ||
        model->status == EXECUTION_CANCELLING)
        return "nothing of it may start any more";
    if (dispatch->attempt != node->attempt || dispatch->journaled_step != node->step)
        return "its attempt or steps are not those of the disk";
    if (run_compare(run, node->void_run) <= 0)
        return "its run is void";
    return talk_objection(model, node, dispatch);
}

/* What it is given to read of the shared context. */
static void check_context(struct world *world, const struct model *model,
                          const struct model_node *node, const struct wire_dispatch *dispatch)
{
    value_t *value = NULL;
    if (node->depth > 0 || !model->workflow->nodes[node->root].reads_context ||
        value_from_msgpack(dispatch->message.inline_bytes, &value, NULL))
        return;
    value_t *context = model_context_value(&node->context);
    const value_t *said = value_get(value, "context");
    if (!said || !value_equal(said, context))
        world_fail(world, 3, "%s of %s is given another context than that of its start", node->path,
                   sim_uuid(model->execution));
    value_destroy(&value);
    value_destroy(&context);
}

static void check_item(struct world *world, const struct model *model,
                       const struct model_node *node, const struct wire_dispatch *dispatch)
{
    value_t *value = NULL;
    int64_t number;
    if (!node->is_item || value_from_msgpack(dispatch->message.inline_bytes, &value, NULL))
        return;
    if (value_get_int(value, "index", -1) != node->item ||
        (model_item_number(model, node, &number) && value_get_int(value, "item", -1) != number))
        world_fail(world, 3, "%s of %s is given out with another item", node->path,
                   sim_uuid(model->execution));
    value_destroy(&value);
}

void observer_dispatched(struct world *world, const char *address,
                         const struct wire_dispatch *dispatch, uint64_t sequence, bool stopped)
{
    struct model *model = observer_find(world, dispatch->execution);
    world->counts.dispatches++;
    TRACE(world, "coordinator: %s is given %s %s, attempt %u, run %llu.%llu", address,
          sim_uuid(dispatch->execution), dispatch->path, dispatch->attempt,
          (unsigned long long)dispatch->run.epoch, (unsigned long long)dispatch->run.counter);
    struct model_node *node = observer_find_node(model, dispatch->path);
    if (!node) {
        world_fail(world, 3, "%s, which the disk does not hold, is given out", dispatch->path);
        return;
    }
    const char *why = objection(model, node, dispatch, sequence, stopped);
    if (why)
        world_fail(world, node->results ? 4 : 3, "%s %s is given to %s, but %s",
                   sim_uuid(model->execution), dispatch->path, address, why);
    check_item(world, model, node, dispatch);
    check_context(world, model, node, dispatch);
    node->given = true;
    node->given_run = observer_run(dispatch->run);
    node->given_to = fleet_find(world, address);
}

void observer_judged(struct world *world, const char *address, const struct wire_verdict *verdict)
{
    struct model *model = observer_find(world, verdict->execution);
    TRACE(world, "coordinator: %s %s %s %s, run %llu.%llu", address,
          verdict->keep ? "keeps" : "loses", sim_uuid(verdict->execution), verdict->path,
          (unsigned long long)verdict->run.epoch, (unsigned long long)verdict->run.counter);
    struct model_node *node = observer_find_node(model, verdict->path);
    if (!verdict->keep) {
        world->counts.refused_claims++;
        if (node)
            observer_dropped(world, address, node, observer_run(verdict->run));
        return;
    }
    world->counts.kept_claims++;
    if (!node) {
        world_fail(world, 2, "%s keeps a task that the disk does not hold", address);
        return;
    }
    struct run run = observer_run(verdict->run);
    if (!node->given || run_compare(run, node->given_run) != 0 ||
        fleet_find(world, address) != node->given_to)
        world_fail(world, 2, "%s keeps %s %s under a run that is not the last one given out",
                   address, sim_uuid(model->execution), verdict->path);
}

/* --- acknowledgements ------------------------------------------------------------------------- */

void observer_acknowledged(struct world *world, size_t instance, const struct sim_task *what,
                           uint32_t number)
{
    struct model *model = observer_find(world, what->execution);
    const struct model_node *node = observer_find_node(model, what->path);
    if (node) {
        bool recorded =
            number <= node->step && run_compare(node->steps[number], observer_run(what->run)) == 0;
        bool is_void = run_compare(observer_run(what->run), node->void_run) <= 0;
        /* The answer to a drop, past the grace of a limit, is not recorded. */
        bool dropped = run_compare(observer_run(what->run), node->dropped_run) <= 0;
        if (recorded || is_void || dropped || model_node_ended(node))
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
    if (!observer_find(world, execution))
        world_fail(world, 1, "the start of %s was answered, but the disk does not hold it",
                   sim_uuid(execution));
}

static bool is_cancelled(const struct model *model)
{
    return !observer_runs(model) || model->status == EXECUTION_CANCELLING || model->reopened > 0;
}

void observer_cancel_answered(struct world *world, struct uuid execution)
{
    const struct model *model = observer_find(world, execution);
    if (!model || !is_cancelled(model))
        world_fail(world, 5, "the cancel of %s was answered, but the disk does not hold it",
                   sim_uuid(execution));
}

void observer_wish_answered(struct world *world, const struct shell_wish *wish)
{
    struct model *model = observer_find(world, wish->execution);
    const struct model_node *node =
        wish->kind == WISH_DECISION ? observer_find_node(model, wish->path) : NULL;
    bool held = model && (wish->kind != WISH_REOPEN || model->reopened > 0) &&
                (wish->kind != WISH_PAUSE || model->pauses > 0) &&
                (wish->kind != WISH_FORK || model->forked) &&
                (wish->kind != WISH_CANCEL || is_cancelled(model)) &&
                (wish->kind != WISH_SIGNAL || model->signals > 0);
    if (wish->kind == WISH_DECISION)
        held =
            node && (node->wait_attempt > wish->attempt ||
                     (node->wait_attempt == wish->attempt && node->wait_end == MODEL_WAIT_DECIDED &&
                      node->approved == wish->yes && node->edited == wish->number));
    if (wish->kind == WISH_DECISION && wish->stale)
        world_fail(world, 5, "a decision of %s %s counts, though something else was asked",
                   sim_uuid(wish->execution), wish->path);
    if (!held)
        world_fail(world, 5,
                   "what a person wished of %s %s was answered, but the disk does not "
                   "hold it",
                   sim_uuid(wish->execution), wish->path);
}

/* --- questions -------------------------------------------------------------------------------- */

bool observer_any_given(struct world *world, size_t other_than, struct sim_task *ret_what,
                        uint32_t *ret_number)
{
    struct observer *self = world->observer;
    if (self->models.count == 0)
        return false;
    const struct model *model =
        self->models.all[prng_between(&world->prng, 0, (int64_t)self->models.count - 1)];
    int64_t index = prng_between(&world->prng, 0, (int64_t)model->count - 1);
    const struct model_node *node = &model->nodes[index];
    struct run run = node->given_run;
    if (node->step > 0 && prng_chance(&world->prng, 500))
        run = node->steps[prng_between(&world->prng, 1, node->step)];
    /* Also of one that is void it may hold the task yet, and has to stop it: that it has done so is
     * a lie that nobody could see through. */
    bool last = run_compare(run, node->given_run) == 0;
    if (!node->given || (last && node->given_to == other_than))
        return false;
    *ret_what = (struct sim_task){
        .execution = model->execution,
        .run = {run.epoch, run.counter},
        .attempt = node->attempt,
    };
    memcpy(ret_what->path, node->path, PATH_BYTES);
    *ret_number = node->step + 1;
    return true;
}

bool observer_last_turn(struct world *world, const struct sim_task *what, uint32_t *ret_turn,
                        uint32_t *ret_calls)
{
    const struct model_node *node =
        observer_find_node(observer_find(world, what->execution), what->path);
    if (!node || node->turn == 0)
        return false;
    *ret_turn = node->turn;
    *ret_calls = node->calls_count;
    return true;
}

bool observer_holder(const struct world *world, struct uuid execution, size_t *ret_instance)
{
    const struct model *model = observer_find(world, execution);
    bool found = false;
    for (uint32_t i = 0; model && i < model->count; i++) {
        if (!model->nodes[i].given || model_node_ended(&model->nodes[i]))
            continue;
        *ret_instance = model->nodes[i].given_to;
        found = true;
    }
    return found;
}

bool observer_any_open(struct world *world, struct uuid *ret_execution)
{
    const struct observer *self = world->observer;
    for (size_t i = 0; i < self->models.count; i++) {
        if (!observer_runs(self->models.all[i]) || !prng_chance(&world->prng, 500))
            continue;
        *ret_execution = self->models.all[i]->execution;
        return true;
    }
    return false;
}

bool observer_any_ended(struct world *world, struct uuid *ret_execution)
{
    const struct observer *self = world->observer;
    uint32_t count = 0;
    int64_t last_us = prng_chance(&world->prng, 500) ? 0 : INT64_MAX;
    for (size_t i = 0; i < self->models.count; i++) {
        const struct model *model = self->models.all[i];
        if (observer_runs(model) ||
            (model->status == EXECUTION_SUCCEEDED && !prng_chance(&world->prng, 100)))
            continue;
        bool later = model->time_us > last_us;
        if (later)
            last_us = model->time_us;
        if (later || prng_between(&world->prng, 0, count) == 0)
            *ret_execution = model->execution;
        count++;
    }
    return count > 0;
}

bool observer_any_begun(struct world *world, struct uuid *ret_execution, char *ret_node)
{
    const struct models *models = &world->observer->models;
    if (models->count == 0)
        return false;
    const struct model *model =
        models->all[prng_between(&world->prng, 0, (int64_t)models->count - 1)];
    if (model->owner && prng_chance(&world->prng, 700))
        model = model->owner;
    const struct model_node *node =
        &model->nodes[prng_between(&world->prng, 0, (int64_t)model->workflow->nodes_count - 1)];
    if (node->status == MODEL_PENDING && node->gate == MODEL_GATE_NONE)
        return false;
    *ret_execution = model->execution;
    memcpy(ret_node, node->path, PATH_BYTES);
    return true;
}

bool observer_next_wait(const struct world *world, struct sim_place *place,
                        struct sim_wait *ret_wait)
{
    const struct observer *self = world->observer;
    for (; place->model < self->models.count; place->model++, place->node = 0) {
        const struct model *model = self->models.all[place->model];
        while (observer_runs(model) && place->node < model->count) {
            const struct model_node *node = &model->nodes[place->node++];
            if (!model_wait_open(node))
                continue;
            const struct plan_node *plan = &model->workflow->nodes[node->root];
            *ret_wait = (struct sim_wait){.execution = model->execution,
                                          .attempt = node->attempt,
                                          .kind = plan->kind,
                                          .signal = plan->signal,
                                          .hash = node->wait_hash};
            memcpy(ret_wait->path, node->path, PATH_BYTES);
            return true;
        }
    }
    return false;
}

bool observer_next_paused(const struct world *world, struct sim_place *place,
                          struct uuid *ret_execution)
{
    const struct observer *self = world->observer;
    while (place->model < self->models.count) {
        const struct model *model = self->models.all[place->model++];
        if (!observer_runs(model) || !model->paused)
            continue;
        *ret_execution = model->execution;
        return true;
    }
    return false;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void fail_unfinished(struct world *world)
{
    const struct observer *self = world->observer;
    for (size_t i = 0; i < self->models.count; i++) {
        const struct model *model = self->models.all[i];
        for (uint32_t n = 0; observer_runs(model) && n < model->count; n++)
            if (!model_node_ended(&model->nodes[n]))
                world_fail(world, 1, "%s is %s for ever: %s has not ended (attempt %u, step %u)",
                           sim_uuid(model->execution), execution_status_name(model->status),
                           model->nodes[n].path, model->nodes[n].attempt, model->nodes[n].step);
        if (observer_runs(model))
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
        if (world->now_us > world->calm_us + BOUND_US ||
            (world->now_us > world->calm_us + STUCK_US &&
             world->now_us > self->last_event_us + STUCK_US))
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
    if (egresses_held(world) > 0)
        world_fail(world, 4, "egresses still hold %zu grants, calls or answers after all has ended",
                   egresses_held(world));
    observer_schedules_end(world);
}
