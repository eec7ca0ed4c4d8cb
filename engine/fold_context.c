#include "engine/state.h"

/* The fold of the shared context: merge patches apply in the order of the journal, and a task reads
 * it as of the event that made it ready. Values are never changed, so a reference is a snapshot. */

/* That it is an object, and small enough, was checked when it was decided. */
void fold_patch(struct exec *exec, const struct datum *patch)
{
    value_t *value = NULL;
    if (value_from_msgpack(patch->inline_bytes, &value, NULL) == 0) {
        value_t *before = exec->context ? exec->context : value_map();
        exec->context = value_merge_patch(before, value);
        value_destroy(&before);
    }
    value_destroy(&value);
}

void fold_see_context(struct exec *exec, uint32_t index)
{
    struct task *task = &exec->tasks[index];
    value_destroy(&task->context);
    if (exec->context && task_rules(exec, index)->reads_context)
        task->context = value_ref(exec->context);
}
