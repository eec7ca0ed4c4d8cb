#include "base/limits.h"
#include "engine/decide.h"

/* Executions that begin again: retries of what has ended, and forks. */

/* Rule of limits.time: it counts from here, as it did from the start, which may have asked for
 * less.
 */
static int64_t new_deadline(const struct call *call, const struct exec *exec)
{
    return exec->allowed_us > 0 ? event_time(call, exec) + exec->allowed_us : 0;
}

/* Runs up to this one were given out before. */
static struct run last_run(const engine_t *engine)
{
    return (struct run){engine->config.epoch, engine->run_counter};
}

int input_reopen(struct call *call, const struct input_reopen *in, struct err *err)
{
    struct exec *exec = state_exec(call->engine, in->execution);
    if (!exec)
        return err_set(err, ERR_NOT_FOUND, "there is no such execution in memory");
    if (!exec_terminal(exec)) {
        int r = err_set(err, ERR_CONFLICT, "the execution has not ended");
        err_fix(err, "wait for its end, or cancel it first");
        return r;
    }
    if (exec->status == EXECUTION_SUCCEEDED) {
        int r = err_set(err, ERR_CONFLICT, "the execution has succeeded: nothing of it failed");
        err_fix(err, "start it anew, or fork it from a node");
        return r;
    }
    if (exec->owner_path) {
        int r = err_set(err, ERR_CONFLICT,
                        "the execution is a sub-workflow's: it can't be retried alone");
        err_fix(err, "retry the execution that owns it");
        return r;
    }
    exec->hard = false;
    struct event event = {.kind = EVENT_REOPENED,
                          .reopened = {.by = keep_text(call, in->by),
                                       .was = exec->status,
                                       .run = last_run(call->engine),
                                       .deadline_us = new_deadline(call, exec)}};
    emit(call, exec, &event);
    arm_limit(call, exec);
    settle(call, exec);
    return 0;
}

int input_fork(struct call *call, const struct input_fork *in, struct err *err)
{
    struct exec *exec = state_exec(call->engine, in->execution);
    if (!exec)
        return err_set(err, ERR_NOT_FOUND, "there is no such execution in memory");
    struct event event = {.kind = EVENT_FORKED,
                          .forked = {.from = in->from,
                                     .at = exec->sequence,
                                     .node = keep_text(call, in->node),
                                     .by = keep_text(call, in->by),
                                     .deadline_us = new_deadline(call, exec)}};
    if (!datum_absent(&in->input))
        event.forked.input = keep_datum(call, &in->input);
    event.sequence = exec->sequence + 1;
    int r = check_forked(exec, &event, err);
    if (r)
        return r;
    emit(call, exec, &event);
    arm_limit(call, exec);
    place_all(call, exec, false);
    settle(call, exec);
    return 0;
}
