#include "engine/state.h"
#include <stdlib.h>
#include <string.h>

/* The fold of sub-workflows, on the side of the task that owns one. That side alone is folded: each
 * journal stands for itself. Who is whose is linked by whoever decides (owned.c). */

bool task_owns(const struct task *task)
{
    return task->owned && task->owned->open;
}

int check_owned(const struct exec *exec, const struct event *event, struct err *err)
{
    const struct event_owned *owned = &event->owned;
    uint32_t index = exec_find(exec, owned->path);
    if (index == NO_NODE)
        return fold_refuse(err, event, "there is no such task");
    const struct task *task = &exec->tasks[index];
    const struct dag_node *node = task_rules(exec, index);
    if (!task_active(task) || task->group)
        return fold_refuse(err, event, "its task is not due");
    if (owned->attempt != task->attempt)
        return fold_refuse(err, event, "its attempt is not the task's");
    if (node->kind != DAG_WORKFLOW || !owned->workflow ||
        strcmp(node->workflow, owned->workflow) != 0 ||
        exec->workflows[node->workflow_index] != owned->version)
        return fold_refuse(err, event, "its node runs another workflow, or none");
    if (uuid_is_nil(owned->execution))
        return fold_refuse(err, event, "it names no execution");
    return 0;
}

void fold_owned(struct exec *exec, const struct event_owned *owned)
{
    uint32_t index = exec_find(exec, owned->path);
    struct task *task = &exec->tasks[index];
    fold_set_task(exec, index, TASK_WAITING);
    if (!task->owned)
        task->owned = xcalloc(1, sizeof *task->owned);
    *task->owned =
        (struct owned){.execution = owned->execution, .attempt = owned->attempt, .open = true};
    task->started_us = exec->time_us;
}

void fold_used_below(struct exec *exec, uint32_t index, const struct usage *usage)
{
    const struct reservation nothing = {0};
    if (usage->input_tokens + usage->output_tokens + usage->cost_microusd > 0)
        ledger_settle(exec, index, &nothing, usage);
}

void owned_leave(struct exec *exec, const struct task *task)
{
    struct exec *child = task->owned->child;
    if (!child || child->parted)
        return;
    child->parted = true;
    exec->leaving++;
    if (exec_terminal(child))
        return; /* its owner is to hear of that already */
    list_remove(&child->family);
    list_push_back(child->parted_subs, &child->family);
}

void fold_owned_left(struct exec *exec, struct task *task)
{
    task->owned->open = false;
    owned_leave(exec, task);
}
