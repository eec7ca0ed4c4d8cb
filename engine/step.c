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
    const struct dag_retry *retry = &dag_node(exec->dag, node)->retry;
    double most = retry->max_us > 0 ? (double)retry->max_us : (double)LIMIT_TIME_MAX_US;
    double pause = (double)retry->backoff_us;
    for (uint32_t i = 1; i < tried && pause < most; i++)
        pause *= retry->factor;
    if (pause > most)
        pause = most;
    pause +=
        pause * 0.2 * chance(exec->seed, dag_node(exec->dag, node)->id, exec->tasks[node].attempt);
    return (int64_t)pause;
}

/* When the next attempt after this failure is due; 0: none follows. A fallback follows at once. An
 * expression would fail with any agent, so no other one is asked. */
static int64_t next_attempt(const struct exec *exec, uint32_t node, const struct failure *failure,
                            int64_t ended_us)
{
    const struct dag_node *what = dag_node(exec->dag, node);
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

static void emit_failure(struct call *call, const struct live *live, struct run run,
                         const char *code, const char *message, bool permanent)
{
    struct exec *exec = live->exec;
    const struct task *task = &exec->tasks[live->node];
    const struct failure failure = {
        .code = code, .message = keep_text(call, message), .detail = "", .permanent = permanent};
    int64_t now_us = event_time(call, exec);
    struct event event = {
        .kind = EVENT_STEP,
        .step = {.path = keep_text(call, dag_node(exec->dag, live->node)->id),
                 .attempt = task->attempt,
                 .run = run,
                 .instance = "",
                 .number = task->step + 1,
                 .kind = STEP_FAILURE,
                 .queued_us = task->queued_us,
                 .started_us = live->dispatched_us,
                 .ended_us = now_us,
                 .failure = failure,
                 .retry_at_us = next_attempt(exec, live->node, &failure, now_us),
                 .agent = keep_text(call, task_pin(exec, live->node)->agent->name),
                 .agent_version = task_pin(exec, live->node)->version},
    };
    emit(call, exec, &event);
}

void task_fail(struct call *call, struct live *live, struct run run, const char *code,
               const char *message, bool permanent)
{
    emit_failure(call, live, run, code, message, permanent);
    go_on(call, live);
}

/* --- losses ----------------------------------------------------------------------------------- */

static void emit_lost(struct call *call, struct live *live, struct run run, bool counted,
                      const char *reason, const char *instance)
{
    struct event event = {
        .kind = EVENT_LOST,
        .lost = {.path = keep_text(call, dag_node(live->exec->dag, live->node)->id),
                 .run = run,
                 .counted = counted,
                 .reason = keep_text(call, reason),
                 .instance = keep_text(call, instance)},
    };
    emit(call, live->exec, &event);
}

#define RERUN_NEVER "its instance was lost while it ran, and the agent says rerun: never"

void task_lose(struct call *call, struct live *live, const char *reason)
{
    struct exec *exec = live->exec;
    struct run run = live->run;
    emit_lost(call, live, run, true, reason, live->instance->name);
    live_idle(call->engine, live);
    if (task_pin(exec, live->node)->rerun_never)
        task_fail(call, live, run, "lost", RERUN_NEVER, true);
    else if (exec->tasks[live->node].losses_row > LIMIT_LOSSES)
        task_fail(call, live, run, "lost", "its instances were lost too often in a row", false);
    else
        place(call, live);
}

/* Whether the task was ever given out can't be known, since dispatches are not journaled; so all
 * runs of earlier epochs are void now. For `rerun: never` that means failing: running a second time
 * what may have run is what the agent forbids. A retry that is not due yet was not given out. */
void task_unclaimed(struct call *call, struct live *live)
{
    struct exec *exec = live->exec;
    const struct task *task = &exec->tasks[live->node];
    uint64_t epoch = call->engine->config.epoch;
    struct run run = {epoch > 0 ? epoch - 1 : 0, epoch > 0 ? UINT64_MAX : 0};
    live_idle(call->engine, live);
    if (run_compare(run, task->void_run) > 0)
        emit_lost(call, live, run, false, "restart", "");
    bool due = task->status == TASK_READY || task->retry_at_us <= call->now_us;
    if (due && task_pin(exec, live->node)->rerun_never)
        task_fail(call, live, run, "lost",
                  "the coordinator was restarted while it perhaps ran, and the agent says rerun: "
                  "never",
                  true);
    else
        place(call, live);
}

/* The instance may be at work until the drop has reached it, or its lease is over: so long neither
 * a next attempt may begin nor the execution end. */
static void time_out(struct call *call, struct live *live)
{
    struct exec *exec = live->exec;
    drop(call, live->instance, exec->id, dag_node(exec->dag, live->node)->id, live->run, "void");
    live_stop(call->engine, live);
    timer_set(call->engine, &live->timer, call->now_us + 2 * LIMIT_SILENCE_US);
    emit_failure(call, live, live->run, "timeout", "the attempt took longer than its timeout",
                 false);
    settle(call, exec);
}

void live_due(struct call *call, struct live *live)
{
    switch (live->state) {
    case LIVE_RETRY:
        live_idle(call->engine, live);
        place(call, live);
        return;
    case LIVE_STOPPING: let_go(call, live); return;
    default: time_out(call, live); return;
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
        .path = keep_text(call, dag_node(exec->dag, live->node)->id),
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
        .agent_version = step->agent_version ? step->agent_version : pin->version,
    };
    if (step->kind != STEP_FAILURE) {
        kept.output = keep_datum(call, &step->output);
        return kept;
    }
    kept.failure = keep_failure(call, &step->failure);
    if (!*kept.failure.code)
        kept.failure.code = "failed";
    kept.failure.permanent = step->failure.permanent || permanent_code(kept.failure.code);
    kept.retry_at_us = next_attempt(exec, live->node, &kept.failure, ended_us);
    return kept;
}

static void accept(struct call *call, struct live *live, const struct event_step *step)
{
    struct event event = {.kind = EVENT_STEP, .step = keep_step(call, live, step)};
    if (ends_attempt(step->kind))
        live_idle(call->engine, live);
    emit(call, live->exec, &event);
    if (ends_attempt(step->kind))
        go_on(call, live);
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
    if (known_step(step->kind) && step->number == last + 1) {
        accept(call, live, step);
        return;
    }
    if (step->number <= last)
        return;
    /* The link keeps order, so a gap is the peer's defect; the task goes on elsewhere. */
    drop(call, live->instance, exec->id, step->path, live->run, "void");
    task_lose(call, live, "its steps make no sense");
}

static const char *drop_reason(const struct exec *exec)
{
    if (!exec || exec_terminal(exec))
        return "ended";
    return exec->status == EXECUTION_CANCELLING ? "cancelled" : "void";
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
