#include "engine/decide.h"

/* Pauses: nothing begins, no task, attempt, turn or node without an agent. What runs goes on to the
 * end of its attempt or turn, waits go on to their end, and limits of time run on. What would have
 * begun is held until the execution is resumed. */

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

static void pause_exec(struct call *call, struct exec *exec, const struct input_pause *in)
{
    if (exec->paused || exec_terminal(exec) || exec->status == EXECUTION_CANCELLING)
        return;
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
}

static void go_on_exec(struct call *call, struct exec *exec, const struct input_pause *in)
{
    if (!exec->paused || exec_terminal(exec) || exec->status == EXECUTION_CANCELLING)
        return;
    struct event event = {.kind = EVENT_RESUMED,
                          .resumed = {keep_text(call, in->by), keep_text(call, in->why)}};
    emit(call, exec, &event);
    release_held(call, exec);
    settle(call, exec);
}

/* Sub-workflows hear of both. What they are is as deep as limits of depth let it be. */
static void pass_down(struct call *call, struct exec *exec, const struct input_pause *in,
                      void (*change)(struct call *, struct exec *, const struct input_pause *))
{
    change(call, exec, in);
    for (uint32_t i = 0; dag_workflows(exec->dag) > 0 && i < exec->count; i++)
        if (task_owns(&exec->tasks[i]) && exec->tasks[i].owned->child)
            pass_down(call, exec->tasks[i].owned->child, in, change);
}

int input_pause(struct call *call, const struct input_pause *in, struct err *err)
{
    struct exec *exec = NULL;
    int r = find_pausable(call, in, &exec, err);
    if (!r && !exec->paused)
        pass_down(call, exec, in, pause_exec);
    return r;
}

int input_go_on(struct call *call, const struct input_pause *in, struct err *err)
{
    struct exec *exec = NULL;
    int r = find_pausable(call, in, &exec, err);
    if (!r && exec->paused)
        pass_down(call, exec, in, go_on_exec);
    return r;
}
