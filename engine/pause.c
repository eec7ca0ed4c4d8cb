#include "engine/decide.h"

/* Pauses: nothing begins, no task, attempt, turn or node without an agent. What runs goes on to the
 * end of its attempt or turn, waits go on to their end, and limits of time run on. What would have
 * begun is held until the execution is resumed. Sub-workflows are to hear of both here. */

static int find_pausable(const struct call *call, const struct input_pause *in,
                         struct exec **ret_exec, struct err *err)
{
    int r = find_running(call, in->execution, ret_exec, err);
    if (!r && (*ret_exec)->status == EXECUTION_CANCELLING)
        r = err_set(err, ERR_CONFLICT, "the execution is being cancelled");
    return r;
}

bool held_by_pause(const struct exec *exec, uint32_t index)
{
    const struct task *task = &exec->tasks[index];
    if (!exec->paused)
        return false;
    return task->status == TASK_RETRYING ? task->retry_at_us > exec->paused_us
                                         : task->ready_sequence > exec->paused_sequence;
}

static bool may_be_given_out(const struct live *live)
{
    return live->state == LIVE_QUEUED || live->state == LIVE_ASIDE || live->state == LIVE_STARVED;
}

int input_pause(struct call *call, const struct input_pause *in, struct err *err)
{
    struct exec *exec = NULL;
    int r = find_pausable(call, in, &exec, err);
    if (r || exec->paused)
        return r;
    struct event event = {.kind = EVENT_PAUSED,
                          .paused = {keep_text(call, in->by), keep_text(call, in->why)}};
    emit(call, exec, &event);
    for (uint32_t i = 0; i < exec->count; i++) {
        struct live *live = exec->tasks[i].live;
        if (!live || !may_be_given_out(live))
            continue;
        live_idle(call->engine, live);
        live_hold(call->engine, live);
    }
    settle(call, exec);
    return 0;
}

int input_go_on(struct call *call, const struct input_pause *in, struct err *err)
{
    struct exec *exec = NULL;
    int r = find_pausable(call, in, &exec, err);
    if (r || !exec->paused)
        return r;
    struct event event = {.kind = EVENT_RESUMED,
                          .resumed = {keep_text(call, in->by), keep_text(call, in->why)}};
    emit(call, exec, &event);
    release_held(call, exec);
    settle(call, exec);
    return 0;
}
