#include "base/limits.h"
#include "engine/decide.h"
#include <string.h>

/* What instances report of tasks, what the coordinator finds by itself, and what follows of both:
 * the next step, the next attempt, the next run. */

/* --- retries ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* A number in [0, 1) that depends on the execution, the task and the attempt alone. */
static double chance(uint64_t seed, const char *path, uint32_t attempt)
{
    uint64_t x = mix(seed + 0x9e3779b97f4a7c15u);
    for (; *path; path++)
        x = mix(x ^ (uint8_t)*path);
    x = mix(x ^ attempt);
    return (double)(x >> 11) / 9007199254740992.0;
}

static int64_t pause_us(const struct exec *exec, uint32_t node, uint32_t tried)
{
    const struct dag_retry *retry = &task_rules(exec, node)->retry;
    double most = retry->max_us > 0 ? (double)retry->max_us : (double)LIMIT_TIME_MAX_US;
    double pause = (double)retry->backoff_us;
    for (uint32_t i = 1; i < tried && pause < most; i++)
        pause *= retry->factor;
    if (pause > most)
        pause = most;
    pause += pause * 0.2 * chance(exec->seed, task_path(exec, node), exec->tasks[node].attempt);
    return (int64_t)pause;
}

/* When the next attempt after this failure is due; 0: none follows. A fallback follows at once. An
 * expression would fail with any agent, so no other one is asked. */
static int64_t next_attempt(const struct exec *exec, uint32_t node, const struct failure *failure,
                            int64_t ended_us)
{
    const struct dag_node *what = task_rules(exec, node);
    const struct task *task = &exec->tasks[node];
    uint32_t tried = task->attempt - task->first_attempt + 1;
    int64_t at = 0;
    if (!failure->permanent && tried < what->retry.attempts)
        at = ended_us + pause_us(exec, node, tried);
    else if (what->on_error == DAG_FALLBACK && !task->fallen_back &&
             strcmp(failure->code, "expression") != 0)
        at = ended_us;
    else
        return 0;
    return at > 0 ? at : 1;
}

static bool permanent_code(const char *code)
{
    return strcmp(code, "invalid") == 0 || strcmp(code, "not_allowed") == 0 ||
           strcmp(code, "expression") == 0;
}

/* --- ends of attempts ------------------------------------------------------------------------- */

/* After a step that ended an attempt was folded; live is idle. */
static void go_on(struct call *call, struct live *live)
{
    struct exec *exec = live->exec;
    if (task_active(&exec->tasks[live->node]))
        place(call, live);
    else
        live_free(call->engine, &live);
    settle(call, exec);
}

void let_go(struct call *call, struct live *live)
{
    live_idle(call->engine, live);
    go_on(call, live);
}

struct event own_step(struct call *call, const struct exec *exec, uint32_t index,
                      enum step_kind kind)
{
    const struct task *task = &exec->tasks[index];
    const struct pin *pin = task_pin(exec, index);
    return (struct event){
        .kind = EVENT_STEP,
        .step = {.path = keep_text(call, task_path(exec, index)),
                 .attempt = task->attempt,
                 .instance = "",
                 .number = task->step + 1,
                 .kind = kind,
                 .queued_us = task->queued_us,
                 .ended_us = event_time(call, exec),
                 .agent = keep_text(call, pin->agent->name),
                 .agent_version = pin->as.version},
    };
}

static void emit_failure_with(struct call *call, const struct live *live, struct run run,
                              const struct failure *failure, const struct usage *usage)
{
    struct exec *exec = live->exec;
    const struct task *task = &exec->tasks[live->node];
    struct event event = own_step(call, exec, live->node, STEP_FAILURE);
    event.step.run = run;
    event.step.started_us = task_owns(task) ? task->started_us : live->dispatched_us;
    event.step.failure = keep_failure(&call->out->arena, failure);
    event.step.retry_at_us = next_attempt(exec, live->node, failure, event.step.ended_us);
    if (usage)
        event.step.usage = *usage;
    emit(call, exec, &event);
}

static void emit_failure(struct call *call, const struct live *live, struct run run,
                         const char *code, const char *message, bool permanent)
{
    const struct failure failure = {
        .code = code, .message = message, .detail = "", .permanent = permanent};
    emit_failure_with(call, live, run, &failure, NULL);
}

void task_fail_with(struct call *call, struct live *live, const struct failure *failure,
                    const struct usage *usage)
{
    emit_failure_with(call, live, (struct run){0, 0}, failure, usage);
    go_on(call, live);
}

void task_fail(struct call *call, struct live *live, struct run run, const char *code,
               const char *message, bool permanent)
{
    emit_failure(call, live, run, code, message, permanent);
    go_on(call, live);
}

/* The instance may be at work until the drop has reached it, or its lease is over: so long neither
 * a next attempt may begin nor the execution end. */
void task_break(struct call *call, struct live *live, const char *code, const char *message,
                bool permanent)
{
    struct exec *exec = live->exec;
    struct run run = live->run;
    stop_holder(call, live, "void");
    emit_failure(call, live, run, code, message, permanent);
    settle(call, exec);
}

/* --- losses ----------------------------------------------------------------------------------- */

static void emit_lost(struct call *call, struct live *live, struct run run, bool counted,
                      const char *reason, const char *instance)
{
    struct event event = {
        .kind = EVENT_LOST,
        .lost = {.path = keep_text(call, task_path(live->exec, live->node)),
                 .run = run,
                 .counted = counted,
                 .reason = keep_text(call, reason),
                 .instance = keep_text(call, instance)},
    };
    emit(call, live->exec, &event);
}

void task_take_back(struct call *call, struct live *live, const char *reason)
{
    drop(call, live->instance, live->exec->id, task_path(live->exec, live->node), live->run,
         "void");
    emit_lost(call, live, live->run, false, reason, live->instance->name);
    live_idle(call->engine, live);
}

#define RERUN_NEVER "its instance was lost while it ran, and the agent says rerun: never"

void task_lose(struct call *call, struct live *live, const char *reason)
{
    struct exec *exec = live->exec;
    struct run run = live->run;
    emit_lost(call, live, run, true, reason, live->instance->name);
    live_idle(call->engine, live);
    if (task_pin(exec, live->node)->as.rerun_never)
        task_fail(call, live, run, "lost", RERUN_NEVER, true);
    else if (exec->tasks[live->node].losses_row > LIMIT_LOSSES)
        task_fail(call, live, run, "lost", "its instances were lost too often in a row", false);
    else
        place(call, live);
}

/* Whether the task was ever given out can't be known, since dispatches are not journaled; so all
 * runs of earlier epochs are void now. For `rerun: never` that means failing: running a second time
 * what may have run is what the agent forbids. A retry that is not due yet was not given out, and
 * between two turns, before the next is reserved, nothing runs; nor does what became due in a pause
 * that lasts. */
void task_unclaimed(struct call *call, struct live *live)
{
    struct exec *exec = live->exec;
    const struct task *task = &exec->tasks[live->node];
    uint64_t epoch = call->engine->config.epoch;
    struct run run = {epoch > 0 ? epoch - 1 : 0, epoch > 0 ? UINT64_MAX : 0};
    live_idle(call->engine, live);
    if (task_ended(task)) {
        live_free(call->engine, &live);
        settle(call, exec);
        return;
    }
    if (run_compare(run, task->void_run) > 0)
        emit_lost(call, live, run, false, "restart", "");
    bool due = task->status == TASK_READY || task->retry_at_us <= call->now_us;
    if (due && !held_by_pause(exec, live->node) && !turn_is_unasked(exec, live->node) &&
        task_pin(exec, live->node)->as.rerun_never)
        task_fail(call, live, run, "lost",
                  "the coordinator was restarted while it perhaps ran, and the agent says rerun: "
                  "never",
                  true);
    else
        place(call, live);
}

#define TOOK_TOO_LONG "the attempt took longer than its timeout"

void live_due(struct call *call, struct live *live)
{
    switch (live->state) {
    case LIVE_RETRY:
        live_idle(call->engine, live);
        place(call, live);
        return;
    case LIVE_STOPPING: let_go(call, live); return;
    case LIVE_PARKED:
        if (live->exec->tasks[live->node].waiting) {
            wait_due(call, live);
            return;
        }
        /* fallthrough */
    case LIVE_STARVED:
        live_idle(call->engine, live);
        task_fail(call, live, (struct run){0, 0}, "timeout", TOOK_TOO_LONG, false);
        return;
    default: task_break(call, live, "timeout", TOOK_TOO_LONG, false); return;
    }
}

/* --- steps from instances --------------------------------------------------------------------- */

static bool ends_attempt(enum step_kind kind)
{
    return kind == STEP_RESULT || kind == STEP_FAILURE;
}

static bool known_step(enum step_kind kind)
{
    return kind == STEP_TURN || kind == STEP_TOOL_RESULT || ends_attempt(kind);
}

static int64_t between(int64_t low, int64_t value, int64_t high)
{
    if (value > high)
        value = high;
    return value < low ? low : value;
}

/* What a step says of turns. A failure says what the reserved turn used, if it is that one's. */
static void keep_turn(struct call *call, const struct live *live, const struct event_step *step,
                      struct event_step *kept)
{
    const struct talk *talk = live->exec->tasks[live->node].talk;
    bool reserved = talk && talk->reservation.turn > 0 && talk->reservation.turn == step->turn;
    if (step->turn == 0 || (step->kind == STEP_FAILURE && !reserved))
        return;
    const char **calls = arena_alloc(&call->out->arena, (step->calls_count + 1) * sizeof *calls);
    for (size_t i = 0; i < step->calls_count; i++)
        calls[i] = keep_text(call, step->calls[i]);
    kept->turn = step->turn;
    kept->call = step->call;
    kept->calls = calls;
    kept->calls_count = step->kind == STEP_TURN ? step->calls_count : 0;
    kept->usage = step->usage;
}

/* The task whose node succeeds with a result of this one: its own, or that of whoever handed off.
 */
static uint32_t who_succeeds(const struct exec *exec, uint32_t index)
{
    while (index >= exec->nodes && exec->tasks[index].origin->hand_off)
        index = exec->tasks[index].origin->parent;
    return index;
}

/* What its node sets, now that it has succeeded: an expression that fails makes it fail. */
static void keep_set(struct call *call, const struct live *live, struct event_step *kept)
{
    struct err err = {0};
    uint32_t index = who_succeeds(live->exec, live->node);
    if (!render_set(call, live->exec, index, &kept->output, &kept->patch, &err))
        return;
    kept->kind = STEP_FAILURE;
    kept->output = (struct datum){0};
    kept->failure = (struct failure){
        .code = "expression",
        .message = keep_err(call, &err),
        .detail = "",
        .permanent = true,
    };
}

/* The instance says what happened; what it has no say in comes from the state. Clocks of hosts
 * differ, so its times are kept within what the coordinator itself saw. */
static struct event_step keep_step(struct call *call, const struct live *live,
                                   const struct event_step *step)
{
    const struct exec *exec = live->exec;
    const struct task *task = &exec->tasks[live->node];
    const struct pin *pin = task_pin(exec, live->node);
    int64_t now_us = event_time(call, exec);
    int64_t ended_us = step->ended_us > 0 ? step->ended_us : now_us;
    ended_us = between(task->queued_us, ended_us, now_us);
    struct event_step kept = {
        .path = keep_text(call, task_path(exec, live->node)),
        .attempt = task->attempt,
        .run = live->run,
        .instance = keep_text(call, live->instance->name),
        .number = step->number,
        .kind = step->kind,
        .queued_us = task->queued_us,
        .started_us =
            between(task->queued_us, step->started_us > 0 ? step->started_us : live->dispatched_us,
                    ended_us),
        .ended_us = ended_us,
        .agent = keep_text(call, pin->agent->name),
        .agent_version = step->agent_version ? step->agent_version : pin->as.version,
    };
    if (ends_attempt(step->kind) && task->talk && task->talk->since_us > 0)
        kept.started_us = task->talk->since_us; /* of the attempt, not of its last run */
    keep_turn(call, live, step, &kept);
    if (step->kind != STEP_FAILURE) {
        if (step->kind == STEP_TOOL_RESULT && step->failure.code)
            kept.failure = keep_failure(&call->out->arena, &step->failure);
        else
            kept.output = keep_datum(call, &step->output);
        if (step->kind == STEP_RESULT)
            keep_set(call, live, &kept);
        return kept;
    }
    kept.failure = keep_failure(&call->out->arena, &step->failure);
    if (!*kept.failure.code)
        kept.failure.code = "failed";
    kept.failure.permanent = step->failure.permanent || permanent_code(kept.failure.code);
    kept.retry_at_us = next_attempt(exec, live->node, &kept.failure, ended_us);
    return kept;
}

static void leave_instance(struct call *call, struct live *live)
{
    struct exec *exec = live->exec;
    live->home = live->instance->handle;
    live_idle(call->engine, live);
    if (exec->tasks[live->node].status == TASK_WAITING)
        live_park(call->engine, live, attempt_until(exec, live->node));
    else
        place(call, live);
    settle(call, exec);
}

/* Who reserves nothing is held to its limit of turns here. */
static bool took_too_many(const struct live *live)
{
    const struct pinned_agent *as = &task_pin(live->exec, live->node)->as;
    return !as->takes_turns && as->turns > 0 &&
           live->exec->tasks[live->node].talk->turn > as->turns;
}

void turn_moved(struct call *call, struct live *live)
{
    const struct talk *talk = live->exec->tasks[live->node].talk;
    if (!talk || talk->turn == 0)
        return;
    if (took_too_many(live))
        task_break(call, live, "limit", "it has taken more turns than its limits.turns", true);
    else if (turn_yields(talk))
        leave_instance(call, live);
    else
        advance(call, live);
}

static void accept(struct call *call, struct live *live, struct event *event)
{
    bool ends = ends_attempt(event->step.kind);
    if (ends)
        live_idle(call->engine, live);
    emit(call, live->exec, event);
    if (ends)
        go_on(call, live);
    else
        turn_moved(call, live);
}

static bool fits(const struct exec *exec, uint32_t index, const struct event *event)
{
    struct err err;
    return ends_attempt(event->step.kind) || check_turn(exec, event, index, &err) == 0;
}

void task_nonsense(struct call *call, struct live *live)
{
    drop(call, live->instance, live->exec->id, task_path(live->exec, live->node), live->run,
         "void");
    task_lose(call, live, "its steps make no sense");
}

/* A step of the current run. */
static void take_step(struct call *call, struct live *live, const struct event_step *step)
{
    struct exec *exec = live->exec;
    if (live->state == LIVE_STOPPING) {
        if (!ends_attempt(step->kind))
            return;
        let_go(call, live);
        return;
    }
    uint32_t last = exec->tasks[live->node].step;
    if (step->number <= last)
        return;
    /* The link keeps order, so a gap is the peer's defect; the task goes on elsewhere. */
    struct event event = {.kind = EVENT_STEP, .step = keep_step(call, live, step)};
    if (known_step(step->kind) && step->number == last + 1 && fits(exec, live->node, &event))
        accept(call, live, &event);
    else
        task_nonsense(call, live);
}

static const char *drop_reason(const struct exec *exec)
{
    if (!exec || exec_terminal(exec))
        return "ended";
    return exec->status == EXECUTION_CANCELLING ? "cancelled" : "void";
}

struct live *held_by(struct call *call, uint64_t handle, struct uuid execution, const char *path,
                     struct run run)
{
    const struct instance *instance = state_instance(call->engine, handle);
    struct exec *exec = state_exec(call->engine, execution);
    uint32_t index = exec ? exec_find(exec, path) : NO_NODE;
    struct live *live = index == NO_NODE ? NULL : exec->tasks[index].live;
    if (!instance)
        return NULL;
    if (live && live->instance == instance && run_compare(live->run, run) == 0)
        return live->state == LIVE_RUNNING ? live : NULL;
    drop(call, instance, execution, path, run, drop_reason(exec));
    return NULL;
}

void input_step(struct call *call, const struct input_step *in)
{
    const struct event_step *step = &in->step;
    const struct instance *instance = state_instance(call->engine, in->handle);
    if (!instance)
        return;
    struct exec *exec = state_exec(call->engine, in->execution);
    uint32_t node = exec ? exec_find(exec, step->path) : NO_NODE;
    struct live *live = node == NO_NODE ? NULL : exec->tasks[node].live;
    if (live && live->instance == instance && run_compare(live->run, step->run) == 0) {
        take_step(call, live, step);
        return;
    }
    /* The answer to a drop needs no answer. */
    bool dropped = step->kind == STEP_FAILURE && step->failure.code &&
                   strcmp(step->failure.code, "cancelled") == 0;
    if (!dropped)
        drop(call, instance, in->execution, step->path, step->run, drop_reason(exec));
}
