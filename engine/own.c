#include "engine/decide.h"

/* Tasks that the coordinator does itself: what each kind of node without an agent does when its
 * turn has come. Nothing of it runs outside, so that it needs no instance, no run and no place. */

void own_end(struct call *call, struct exec *exec, uint32_t index, const struct event_step *what,
             int r, const struct err *err)
{
    struct event_step whole = *what;
    struct err failed = r ? *err : (struct err){0};
    if (!r && datum_absent(&whole.patch))
        r = render_set(call, exec, index, &whole.output, &whole.patch, &failed);
    live_free(call->engine, &exec->tasks[index].live);
    emit_own_result(call, exec, index, &whole, r, &failed);
}

/* Its output is the patch itself. */
static void begin_set(struct call *call, struct exec *exec, uint32_t index)
{
    struct event_step what = {0};
    struct err err = {0};
    int r = render_set(call, exec, index, NULL, &what.patch, &err);
    what.output = what.patch;
    own_end(call, exec, index, &what, r, &err);
}

void own_begin(struct call *call, struct exec *exec, uint32_t index)
{
    switch (task_rules(exec, index)->kind) {
    case DAG_APPROVE:
    case DAG_WAIT:
    case DAG_SIGNAL: wait_begin(call, exec, index); return;
    case DAG_SET: begin_set(call, exec, index); return;
    case DAG_WORKFLOW: owned_begin(call, exec, index); return;
    case DAG_AGENT: return;
    }
}
