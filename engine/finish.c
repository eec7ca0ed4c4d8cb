#include "base/limits.h"
#include "engine/decide.h"

/* How executions fail, stop and end. */

bool must_wait(const struct call *call, const struct exec *exec)
{
    return exec->stopping > 0 || exec->leaving > 0 || (call->engine->claiming && exec->from_before);
}

void begin_stop(struct call *call, struct exec *exec)
{
    engine_t *engine = call->engine;
    for (uint32_t i = 0; i < exec->count; i++) {
        struct live *live = exec->tasks[i].live;
        if (!live || live->state == LIVE_STOPPING)
            continue;
        if (!exec->hard && !task_ended(&exec->tasks[i]))
            continue;
        if (live->state == LIVE_CLAIM && task_ended(&exec->tasks[i]))
            continue; /* as in stop_parted */
        if (live->state != LIVE_RUNNING || recall(call, live)) {
            live_free(engine, &live);
            continue;
        }
        live_stop(engine, live);
        drop(call, live->instance, exec->id, task_path(exec, i), live->run, "cancelled");
    }
    if (exec->hard)
        owned_part_all(exec);
    if (exec->stopping > 0)
        timer_set(engine, &exec->stop_timer, call->now_us + 2 * LIMIT_SILENCE_US);
}

/* An instance that doesn't answer is not waited for any longer: its run is void in any case. */
void stop_due(struct call *call, struct exec *exec)
{
    for (uint32_t i = 0; i < exec->count; i++)
        if (exec->tasks[i].live && exec->tasks[i].live->state == LIVE_STOPPING)
            let_go(call, exec->tasks[i].live);
}

/* --- limits ----------------------------------------------------------------------------------- */

/* When the limit of time has its next say: at the deadline, then after the grace that join: done
 * nodes get. A coordinator that was down over the deadline still gives them their grace. */
static int64_t limit_at(const struct exec *exec)
{
    if (!exec->stop)
        return exec->deadline_us;
    int64_t from = exec->stop_us > exec->deadline_us ? exec->stop_us : exec->deadline_us;
    return from + LIMIT_DONE_GRACE_US;
}

void arm_limit(struct call *call, struct exec *exec)
{
    if (exec->deadline_us > 0 && !exec_terminal(exec) && exec->status != EXECUTION_CANCELLING)
        timer_set(call->engine, &exec->limit, limit_at(exec));
}

static void emit_failing(struct call *call, struct exec *exec, const char *path,
                         const struct failure *failure, bool finish)
{
    struct event event = {.kind = EVENT_FAILING,
                          .failing = {.path = keep_text(call, path),
                                      .failure = keep_failure(&call->out->arena, failure),
                                      .finish = finish}};
    emit(call, exec, &event);
}

void limit_due(struct call *call, struct exec *exec)
{
    if (exec->status == EXECUTION_CANCELLING || exec_terminal(exec))
        return;
    if (call->now_us < limit_at(exec)) {
        arm_limit(call, exec);
        return;
    }
    if (exec->stop) {
        exec->hard = true;
        begin_stop(call, exec);
    } else {
        const struct failure failure = {
            .code = "limit",
            .message = "the execution took longer than its limit of time",
            .permanent = true,
        };
        emit_failing(call, exec, "", &failure, false);
        arm_limit(call, exec);
    }
    settle(call, exec);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void fill_output(struct call *call, struct exec *exec, struct event_ended *ended)
{
    struct err err = {0};
    ended->status = EXECUTION_SUCCEEDED;
    if (!render_output(call, exec, &ended->output, &err))
        return;
    ended->status = EXECUTION_FAILED;
    ended->output = (struct datum){0};
    ended->failure = (struct failure){
        .code = "expression",
        .message = arena_printf(&call->out->arena, "output: %s", err.what),
        .detail = keep_text(call, err.fix),
        .permanent = true,
    };
}

static void fill_ended(struct call *call, struct exec *exec, struct event_ended *ended)
{
    ended->path = "";
    if (exec->status == EXECUTION_CANCELLING) {
        ended->status = EXECUTION_CANCELLED;
    } else if (exec->status == EXECUTION_FAILING) {
        ended->status = EXECUTION_FAILED;
        ended->failure = keep_failure(&call->out->arena, &exec->blame->failure);
        if (exec->failed_node != NO_NODE)
            ended->path = keep_text(call, task_path(exec, exec->failed_node));
    } else {
        fill_output(call, exec, ended);
    }
}

static void end_exec(struct call *call, struct exec *exec)
{
    struct event event = {.kind = EVENT_ENDED};
    fill_ended(call, exec, &event.ended);
    emit(call, exec, &event);
    timer_clear(call->engine, &exec->limit);
    timer_clear(call->engine, &exec->stop_timer);
    owned_ended(call, exec);
}

/* Some may have to be held again. */
void release_held(struct call *call, struct exec *exec)
{
    struct list held;
    list_init(&held);
    list_move_all(&exec->held, &held);
    while (!list_empty(&held)) {
        struct live *live = LIST_OWNER(held.next, struct live, link);
        live_idle(call->engine, live);
        place(call, live);
    }
}

void settle(struct call *call, struct exec *exec)
{
    if (exec_terminal(exec))
        return;
    if (exec->stopping == 0)
        timer_clear(call->engine, &exec->stop_timer);
    if (exec->status == EXECUTION_RUNNING && exec->first_failed != NO_NODE) {
        uint32_t node = exec->first_failed;
        emit_failing(call, exec, task_path(exec, node), &exec->tasks[node].blame->failure,
                     dag_finish(exec->dag));
    }
    if (!exec_stops(exec)) {
        if (exec->open == 0 && exec->running == 0 && exec->leaving == 0 && !exec->strays)
            end_exec(call, exec);
        return;
    }
    if (must_wait(call, exec))
        return;
    if (exec->open == 0 || exec->hard)
        end_exec(call, exec);
    else
        release_held(call, exec);
}
