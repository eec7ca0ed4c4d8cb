#include "engine/decide.h"
#include "base/limits.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>

/* --- decisions -------------------------------------------------------------------------------- */

void decisions_clear(struct decisions *self)
{
    arena_clear(&self->arena);
    self->events_count = self->effects_count = 0;
}

void decisions_release(struct decisions *self)
{
    arena_release(&self->arena);
    free(self->events);
    free(self->effects);
    *self = (struct decisions){0};
}

static struct event *add_event(struct decisions *self, const struct event *event)
{
    if (self->events_count == self->events_capacity) {
        self->events_capacity = self->events_capacity ? 2 * self->events_capacity : 64;
        self->events = xrealloc(self->events, self->events_capacity * sizeof *self->events);
    }
    self->events[self->events_count] = *event;
    return &self->events[self->events_count++];
}

struct effect *add_effect(struct call *call, enum effect_kind kind)
{
    struct decisions *out = call->out;
    if (out->effects_count == out->effects_capacity) {
        out->effects_capacity = out->effects_capacity ? 2 * out->effects_capacity : 64;
        out->effects = xrealloc(out->effects, out->effects_capacity * sizeof *out->effects);
    }
    struct effect *effect = &out->effects[out->effects_count++];
    *effect = (struct effect){.kind = kind};
    return effect;
}

const char *keep_text(struct call *call, const char *text)
{
    return text && *text ? arena_strdup(&call->out->arena, text) : "";
}

const char *keep_err(struct call *call, const struct err *err)
{
    char text[sizeof err->what + sizeof err->where + sizeof err->fix];
    return keep_text(call, err_format(err, text, sizeof text));
}

static const char *cut_text(struct arena *arena, const char *text, size_t most)
{
    if (!text || !*text)
        return "";
    size_t size = strlen(text);
    return arena_strndup(arena, text, size > most ? utf8_cut(text, most) : size);
}

struct failure keep_failure(struct arena *arena, const struct failure *failure)
{
    return (struct failure){
        .code = cut_text(arena, failure->code, LIMIT_NAME_BYTES),
        .message = cut_text(arena, failure->message, LIMIT_FAILURE_MESSAGE_BYTES),
        .detail = cut_text(arena, failure->detail, LIMIT_FAILURE_DETAIL_BYTES),
        .permanent = failure->permanent,
    };
}

void drop(struct call *call, const struct instance *instance, struct uuid execution,
          const char *path, struct run run, const char *reason)
{
    if (instance->closed)
        return;
    struct effect *effect = add_effect(call, EFFECT_DROP);
    effect->drop = (struct effect_drop){
        .handle = instance->handle,
        .execution = execution,
        .path = keep_text(call, path),
        .run = run,
        .reason = reason,
    };
}

int64_t event_time(const struct call *call, const struct exec *exec)
{
    return call->now_us > exec->time_us ? call->now_us : exec->time_us;
}

void place(struct call *call, struct live *live)
{
    const struct exec *exec = live->exec;
    const struct task *task = &exec->tasks[live->node];
    if (exec->hard)
        live_free(call->engine, &live);
    else if (task->status == TASK_RETRYING && task->retry_at_us > call->now_us)
        live_retry(call->engine, live, task->retry_at_us);
    else if ((exec_stops(exec) && must_wait(call, exec)) ||
             (exec->paused && !task_has_waited(task)))
        live_hold(call->engine, live);
    else if (task_is_own(exec, live->node))
        fold_ask_begin(call->engine, exec, live->node);
    else
        live_queue(call->engine, live);
}

/* What was parked has a life already. */
static void place_ready(struct call *call, struct exec *exec)
{
    engine_t *engine = call->engine;
    for (size_t i = 0; i < engine->ready_count; i++) {
        struct live *live = exec->tasks[engine->ready[i]].live;
        if (live)
            live_idle(engine, live);
        else
            live = live_new(engine, exec, engine->ready[i]);
        place(call, live);
    }
    engine->ready_count = 0;
}

void stop_holder(struct call *call, struct live *live, const char *reason)
{
    drop(call, live->instance, live->exec->id, task_path(live->exec, live->node), live->run,
         reason);
    live_stop(call->engine, live);
    timer_set(call->engine, &live->timer, call->now_us + 2 * LIMIT_SILENCE_US);
}

/* Tasks that the last event ended on its way. Whoever may have one from before a restart may be at
 * work on it until its claim is refused, or claims are over: so long it keeps its slot. */
static void stop_parted(struct call *call, struct exec *exec)
{
    engine_t *engine = call->engine;
    for (size_t i = 0; i < engine->parted_count; i++) {
        struct live *live = exec->tasks[engine->parted[i]].live;
        if (!live || live->state == LIVE_STOPPING || live->state == LIVE_CLAIM)
            continue;
        if (live->state != LIVE_RUNNING || recall(call, live))
            live_free(engine, &live);
        else
            stop_holder(call, live, "cancelled");
    }
    engine->parted_count = 0;
}

void emit(struct call *call, struct exec *exec, struct event *event)
{
    event->execution = exec->id;
    event->sequence = exec->sequence + 1;
    event->time_us = event_time(call, exec);
    struct err err;
    if (fold(call->engine, add_event(call->out, event), &err))
        check_failed(__FILE__, __LINE__, __func__, err.what);
    call->waits |= exec->waits_count > 0 || exec->told_waiting;
    forget_released(call, exec);
    stop_parted(call, exec);
    /* First who must stop, then who starts: what became ready through a stop waits for it. */
    bool stops = event->kind == EVENT_CANCEL || event->kind == EVENT_FAILING;
    if (stops && exec_stops(exec))
        begin_stop(call, exec);
    place_ready(call, exec);
}

/* --- start, cancel ---------------------------------------------------------------------------- */

static int check_start(const engine_t *engine, const struct input_start *in, struct err *err)
{
    const struct event_started *started = &in->started;
    bool workflow = started->workflow && *started->workflow;
    bool agent = started->agent && *started->agent;
    if (uuid_is_nil(in->execution) || workflow == agent)
        return err_set(err, ERR_INVALID,
                       "an execution has an id, and either a workflow or an agent");
    if (state_exec(engine, in->execution))
        return err_set(err, ERR_EXISTS, "an execution of this id exists");
    return 0;
}

struct pinned_agent keep_pin(struct call *call, const struct pinned_agent *pin)
{
    struct pinned_agent kept = *pin;
    const char **delegates =
        arena_alloc(&call->out->arena, (pin->delegates_count + 1) * sizeof *delegates);
    for (size_t i = 0; i < pin->delegates_count; i++)
        delegates[i] = keep_text(call, pin->delegates[i]);
    kept.name = keep_text(call, pin->name);
    kept.delegates = delegates;
    return kept;
}

static struct event_started keep_started(struct call *call, const struct event_started *started)
{
    struct event_started kept = *started;
    struct pinned_agent *agents =
        arena_alloc(&call->out->arena, (started->agents_count + 1) * sizeof *agents);
    for (size_t i = 0; i < started->agents_count; i++)
        agents[i] = keep_pin(call, &started->agents[i]);
    kept.agents = agents;
    struct pinned_workflow *workflows =
        arena_alloc(&call->out->arena, (started->workflows_count + 1) * sizeof *workflows);
    for (size_t i = 0; i < started->workflows_count; i++)
        workflows[i] = (struct pinned_workflow){keep_text(call, started->workflows[i].name),
                                                started->workflows[i].version};
    kept.workflows = workflows;
    kept.owner_path = keep_text(call, started->owner_path);
    kept.workflow = keep_text(call, started->workflow);
    kept.agent = keep_text(call, started->agent);
    kept.by = keep_text(call, started->by);
    return kept;
}

int start_exec(struct call *call, const struct input_start *in, struct exec **ret_exec,
               struct err *err)
{
    const struct engine_config *config = &call->engine->config;
    int r = check_start(call->engine, in, err);
    if (r)
        return r;
    struct event event = {.execution = in->execution,
                          .sequence = 1,
                          .time_us = call->now_us,
                          .kind = EVENT_STARTED,
                          .started = keep_started(call, &in->started)};
    dag_t *dag = config->find_dag(config->context, event.started.workflow,
                                  event.started.workflow_version, event.started.agent, err);
    if (!dag)
        return ERR_NOT_FOUND;
    if (event.started.deadline_us == 0 && dag_time_us(dag) > 0)
        event.started.deadline_us = call->now_us + dag_time_us(dag);
    dag_destroy(&dag);
    /* The fold is the check of all the rest; a large input becomes a blob only once it passed. */
    event.started.input = in->started.input;
    r = fold(call->engine, &event, err);
    if (r)
        return r;
    struct exec *exec = state_exec(call->engine, in->execution);
    if (!uuid_is_nil(in->started.owner)) /* with whose its tasks take turns; see owned.c */
        exec->parent = state_exec(call->engine, in->started.owner);
    event.started.input = keep_datum(call, &in->started.input);
    if (event.started.input.is_blob != in->started.input.is_blob) {
        free(exec->input);
        exec->input = answer_new(&event.started.input, "");
    }
    (void)add_event(call->out, &event);
    place_ready(call, exec);
    arm_limit(call, exec);
    *ret_exec = exec;
    return 0;
}

static int input_start(struct call *call, const struct input_start *in, struct err *err)
{
    struct exec *exec = NULL;
    int r = start_exec(call, in, &exec, err);
    if (!r)
        settle(call, exec);
    return r;
}

void cancel_exec(struct call *call, struct exec *exec, const char *by, const char *why)
{
    struct event event = {.kind = EVENT_CANCEL,
                          .cancel = {keep_text(call, by), keep_text(call, why)}};
    if (exec_terminal(exec) || exec->status == EXECUTION_CANCELLING)
        return;
    emit(call, exec, &event);
    settle(call, exec);
}

static int input_cancel(struct call *call, const struct input_cancel *in, struct err *err)
{
    struct exec *exec = NULL;
    int r = find_running(call, in->execution, &exec, err);
    if (!r)
        cancel_exec(call, exec, in->by, in->why);
    return r;
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* Tells by the last event of each execution that it waits for people, times and signals alone now.
 */
static void tell_waiting(struct call *call, size_t first_event)
{
    for (size_t i = call->out->events_count; i-- > first_event;) {
        struct event *event = &call->out->events[i];
        struct exec *exec = state_exec(call->engine, event->execution);
        bool waits = exec && exec_waits(exec);
        if (!exec || waits == exec->told_waiting)
            continue;
        exec->told_waiting = waits;
        event->leaves_waiting = waits;
    }
}

/* --- resume ----------------------------------------------------------------------------------- */

int64_t parked_until(const struct exec *exec, uint32_t index)
{
    const struct task *task = &exec->tasks[index];
    return task->waiting ? wait_until(task) : attempt_until(exec, index);
}

void place_all(struct call *call, struct exec *exec, bool claimed)
{
    engine_t *engine = call->engine;
    ask_again(call, exec);
    for (uint32_t i = 0; i < exec->count; i++) {
        const struct task *task = &exec->tasks[i];
        if (task->live || task->group)
            continue;
        if (task_active(task) && claimed && !task_is_own(exec, i))
            live_claim(engine, live_new(engine, exec, i));
        else if (task_active(task))
            place(call, live_new(engine, exec, i));
        else if (task->status == TASK_WAITING)
            live_park(engine, live_new(engine, exec, i), parked_until(exec, i));
    }
}

/* Whether a task ended by somebody else's doing than that of the instance that had it, which may
 * not have heard of that. */
static bool may_have_strays(const struct exec *exec)
{
    for (uint32_t i = 0; i < exec->count; i++) {
        const struct task *task = &exec->tasks[i];
        bool failed = task->status == TASK_FAILED && task->blame && !*task->blame->instance;
        if ((failed || task->status == TASK_CANCELLED) && !task_is_own(exec, i))
            return true;
    }
    return false;
}

static void resume_exec(struct call *call, struct exec *exec)
{
    exec->from_before = true;
    exec->strays = may_have_strays(exec);
    exec->told_waiting = exec_waits(exec);
    arm_limit(call, exec);
    place_all(call, exec, true);
    settle(call, exec);
}

/* The shell has folded what the disk holds. Which instances still work for whom is not known, so
 * all that may have been given out waits for its claim, longer than any lease of an earlier epoch
 * can live. */
static void input_resume(struct call *call)
{
    engine_t *engine = call->engine;
    engine->claiming = engine->active > 0;
    engine->claims_until_us = call->now_us + LIMIT_CLAIM_WAIT_US;
    struct exec *exec;
    size_t position = 0;
    owned_link_all(call);
    while ((exec = map_next(engine->execs, &position, NULL))) {
        if (!exec_terminal(exec))
            resume_exec(call, exec);
        if (exec->reservations > 0)
            engine->resumed_until_us = call->now_us + LIMIT_EGRESS_GRACE_US;
    }
    owned_check_all(call);
}

static void end_claiming(struct call *call)
{
    engine_t *engine = call->engine;
    engine->claiming = false;
    struct exec *exec;
    size_t position = 0;
    while ((exec = map_next(engine->execs, &position, NULL))) {
        if (!exec->from_before)
            continue;
        exec->from_before = exec->strays = false;
        fill_slots(engine, exec);
        settle(call, exec);
    }
}

/* At most a batch's worth in one call; the deadline stays due until all are through. */
static void claims_due(struct call *call)
{
    engine_t *engine = call->engine;
    for (size_t i = 0; i < LIMIT_BATCH_EVENTS && !list_empty(&engine->claims); i++)
        task_unclaimed(call, LIST_OWNER(engine->claims.next, struct live, link));
    if (list_empty(&engine->claims))
        end_claiming(call);
}

/* --- tick ------------------------------------------------------------------------------------- */

static void timer_due(struct call *call, struct timer *timer)
{
    timer_clear(call->engine, timer);
    switch (timer->kind) {
    case TIMER_LIVE: live_due(call, timer->owner); return;
    case TIMER_LIMIT: limit_due(call, timer->owner); return;
    case TIMER_STOP: stop_due(call, timer->owner); return;
    }
}

static void input_tick(struct call *call)
{
    engine_t *engine = call->engine;
    for (size_t i = 0; i < LIMIT_BATCH_EVENTS; i++) {
        struct timer *timer = (void *)heap_top(&engine->timers);
        if (!timer || timer->at_us > call->now_us)
            break;
        timer_due(call, timer);
    }
    if (engine->claiming && call->now_us >= engine->claims_until_us)
        claims_due(call);
}

int64_t engine_deadline(const engine_t *self)
{
    const struct timer *timer = (const void *)heap_top(&self->timers);
    int64_t at = timer ? timer->at_us : INT64_MAX;
    int64_t gone_us = egress_deadline(self);
    if (gone_us < at)
        at = gone_us;
    if (self->dirty_count > 0 || self->questions_count > 0 || !list_empty(&self->fed) ||
        !list_empty(&self->parted_subs) ||
        (!list_empty(&self->egressless) && egress_has_room(self)))
        return 0; /* there is more to do than the last call did */
    return self->claiming && self->claims_until_us < at ? self->claims_until_us : at;
}

/* --- dispatcher ------------------------------------------------------------------------------- */

static int take(struct call *call, const struct input *input, struct err *err)
{
    switch (input->kind) {
    case INPUT_RESUME: input_resume(call); return 0;
    case INPUT_START: return input_start(call, &input->start, err);
    case INPUT_CANCEL: return input_cancel(call, &input->cancel, err);
    case INPUT_INSTANCE_UP: input_instance_up(call, &input->up); return 0;
    case INPUT_INSTANCE_DOWN: input_instance_down(call, &input->down); return 0;
    case INPUT_CREDIT: input_credit(call, &input->credit); return 0;
    case INPUT_STEP: input_step(call, &input->step); return 0;
    case INPUT_DELEGATE: input_delegate(call, &input->delegate); return 0;
    case INPUT_TOOL_CALL: input_tool_call(call, &input->tool_call); return 0;
    case INPUT_EGRESS_UP: input_egress_up(call, &input->egress_up); return 0;
    case INPUT_EGRESS_DOWN: input_egress_down(call, &input->egress_down); return 0;
    case INPUT_DECISION: return input_decision(call, &input->decision, err);
    case INPUT_SIGNAL: return input_signal(call, &input->signal, err);
    case INPUT_PAUSE: return input_pause(call, &input->pause, err);
    case INPUT_GO_ON: return input_go_on(call, &input->pause, err);
    case INPUT_REOPEN: return input_reopen(call, &input->reopen, err);
    case INPUT_FORK: return input_fork(call, &input->fork, err);
    case INPUT_TICK: input_tick(call); return 0;
    }
    return err_set(err, ERR_INVALID, "there is no input of kind %d", (int)input->kind);
}

int engine_decide(engine_t *self, const struct input *input, struct decisions *decisions,
                  struct err *err)
{
    arena_clear(self->scratch);
    struct call call = {.engine = self, .out = decisions, .now_us = input->now_us};
    size_t first_event = decisions->events_count;
    int r = take(&call, input, err);
    if (r)
        return r;
    answer_questions(&call);
    owned_due(&call);
    answer_questions(&call);
    egress_due(&call);
    dispatch_all(&call);
    answer_questions(&call); /* of what failed while it was given out */
    owned_due(&call);
    if (call.waits)
        tell_waiting(&call, first_event);
    decoded_end(self);
    return 0;
}
