#include "engine/state.h"
#include <string.h>

/* Looking at executions, tasks and agents from outside. */

const char *task_status_name(enum task_status status)
{
    switch (status) {
    case TASK_PENDING:
    case TASK_READY: return "pending";
    case TASK_RUNNING: return "running";
    case TASK_RETRYING: return "retrying";
    case TASK_SUCCEEDED: return "succeeded";
    case TASK_FAILED: return "failed";
    case TASK_SKIPPED: return "skipped";
    case TASK_CANCELLED: return "cancelled";
    case TASK_WAITING: return "waiting";
    }
    return "unknown";
}

/* Rule 1: what the fold has no state of its own for. */
static enum execution_status shown_execution_status(const struct exec *exec)
{
    if (exec->status == EXECUTION_RUNNING && exec->paused)
        return EXECUTION_PAUSED;
    return exec_waits(exec) ? EXECUTION_WAITING : exec->status;
}

int engine_execution(const engine_t *self, struct uuid execution, struct execution_view *ret_view)
{
    const struct exec *exec = state_exec(self, execution);
    if (!exec)
        return ERR_NOT_FOUND;
    *ret_view = (struct execution_view){
        .id = exec->id,
        .status = shown_execution_status(exec),
        .workflow = exec->workflow,
        .workflow_version = exec->workflow_version,
        .agent = exec->agent,
        .sequence = exec->sequence,
        .started_us = exec->started_us,
        .ended_us = exec->ended_us,
        .deadline_us = exec->deadline_us,
        .input = exec->input->datum,
        .failed_path = "",
        .reopened = exec->reopened,
        .forked_from = exec->forked_from,
        .forked_at = exec->forked_at,
        .owner = exec->owner,
        .owner_path = exec->owner_path ? exec->owner_path : "",
        .tasks = exec->count,
        .delegations = exec->delegations,
        .used = exec->ledger.used,
        .tokens_reserved = exec->ledger.held_tokens,
        .cost_reserved_microusd = exec->ledger.held_cost,
    };
    if (exec->output)
        ret_view->output = exec->output->datum;
    if (exec->blame)
        ret_view->failure = exec->blame->failure;
    if (exec->failed_node != NO_NODE)
        ret_view->failed_path = task_path(exec, exec->failed_node);
    return 0;
}

static const char *how_it_ended(enum task_status status)
{
    switch (status) {
    case TASK_FAILED: return "failed";
    case TASK_CANCELLED: return "was cancelled";
    default: return "was skipped";
    }
}

static const char *reason_text(const engine_t *self, const struct exec *exec,
                               const struct task *task)
{
    switch ((enum reason)task->reason) {
    case REASON_NONE: return "";
    case REASON_DISABLED: return "disabled";
    case REASON_NO_SOURCE: return "none of the nodes before it succeeded";
    case REASON_FAILED: return "the execution failed";
    case REASON_CANCELLED: return "the execution was cancelled";
    case REASON_ENDED: return "the execution ended";
    case REASON_PARENT: return "the task that asked for it ended";
    case REASON_IF: return "its `if` is false";
    case REASON_EDGE:
        return arena_printf(self->scratch, "the `if` of its edge from \"%s\" is false",
                            task_path(exec, task->reason_node));
    case REASON_SOURCE: break;
    }
    return arena_printf(self->scratch, "after \"%s\" %s", task_path(exec, task->reason_node),
                        how_it_ended(exec->tasks[task->reason_node].status));
}

static enum task_status shown_status(const struct task *task)
{
    if (!task_active(task) || !task->live)
        return task->status;
    switch (task->live->state) {
    case LIVE_RUNNING: return TASK_RUNNING;
    case LIVE_RETRY:
    case LIVE_CLAIM:
    case LIVE_STOPPING: return task->status;
    default: return TASK_READY;
    }
}

static const char *shown_instance(const struct task *task)
{
    if (task->live && task->live->instance && task->live->state == LIVE_RUNNING)
        return task->live->instance->name;
    if (task->answer)
        return task->answer->instance;
    return task->blame ? task->blame->instance : "";
}

static void put_origin(const struct exec *exec, const struct origin *origin, struct task_view *view)
{
    view->parent = task_path(exec, origin->parent);
    view->depth = origin->depth;
    view->message = origin->message;
    view->hand_off = origin->hand_off;
    view->is_item = origin->is_item;
    view->item = origin->is_item ? origin->number : 0;
}

static void put_talk(const struct talk *talk, struct task_view *view)
{
    view->turns = talk->turns;
    view->children = view->items > 0 ? 0 : talk->children_count;
    view->calls_again = talk->calls_again;
    view->own = talk->own;
    view->subtree = talk->ledger.used;
    if (view->started_us == 0)
        view->started_us = talk->since_us;
}

static void put_waiting(const struct waiting *waiting, struct task_view *view)
{
    view->waits = waiting->kind;
    view->signal = waiting->signal ? waiting->signal : "";
    view->due_us = waiting->due_us;
}

static struct datum datum_of(const struct answer *answer)
{
    return answer ? answer->datum : (struct datum){0};
}

static struct approval_view approval_of(const struct exec *exec, const struct waiting *waiting)
{
    return (struct approval_view){
        .path = task_path(exec, waiting->task),
        .attempt = waiting->attempt,
        .sequence = waiting->sequence,
        .text = datum_of(waiting->text),
        .show = datum_of(waiting->show),
        .hash = waiting->hash,
        .asked_us = waiting->since_us,
        .due_us = waiting->due_us,
        .ended_us = waiting->ended_us,
        .by = waiting->by,
        .note = waiting->note,
        .approved = waiting->approved,
    };
}

size_t engine_approvals(const engine_t *self, struct uuid execution, uint64_t after,
                        struct approval_view *ret_views, size_t most)
{
    const struct exec *exec = state_exec(self, execution);
    size_t count = 0;
    if (!exec)
        return 0;
    const struct list *head = &exec->waits[WAIT_APPROVAL];
    for (struct list *at = head->next; at != head && count < most; at = at->next) {
        const struct waiting *waiting = LIST_OWNER(at, struct waiting, link);
        if (waiting->sequence > after)
            ret_views[count++] = approval_of(exec, waiting);
    }
    return count;
}

int engine_approval(const engine_t *self, struct uuid execution, const char *path,
                    struct approval_view *ret_view)
{
    const struct exec *exec = state_exec(self, execution);
    uint32_t index = exec ? exec_find(exec, path) : NO_NODE;
    const struct waiting *waiting = index == NO_NODE ? NULL : exec->tasks[index].waiting;
    if (!waiting || waiting->kind != WAIT_APPROVAL)
        return ERR_NOT_FOUND;
    *ret_view = approval_of(exec, waiting);
    return 0;
}

value_t *engine_context(const engine_t *self, struct uuid execution)
{
    const struct exec *exec = state_exec(self, execution);
    if (!exec)
        return NULL;
    return exec->context ? value_ref(exec->context) : value_map();
}

bool engine_needs_agent(const engine_t *self, struct uuid execution, const char *agent)
{
    const struct exec *exec = state_exec(self, execution);
    return exec && !exec_terminal(exec) && exec_pin(exec, agent) != NO_NODE;
}

int engine_task(const engine_t *self, struct uuid execution, uint32_t index,
                struct task_view *ret_view)
{
    const struct exec *exec = state_exec(self, execution);
    if (!exec || index >= exec->count)
        return ERR_NOT_FOUND;
    const struct task *task = &exec->tasks[index];
    const struct pin *pin = task_pin(exec, index);
    *ret_view = (struct task_view){
        .path = task_path(exec, index),
        .node = task_root(exec, index)->id,
        .agent = pin->agent->name,
        .agent_version = pin->as.version,
        .status = shown_status(task),
        .attempt = task->attempt,
        .step = task->step,
        .losses = task->losses,
        .reason = reason_text(self, exec, task),
        .queued_us = task->queued_us,
        .started_us = task->started_us,
        .ended_us = task->ended_us,
        .ready_sequence = task->ready_sequence,
        .retry_at_us = task->status == TASK_RETRYING ? task->retry_at_us : 0,
        .instance = shown_instance(task),
        .signal = "",
        .parent = "",
    };
    if (task->origin)
        put_origin(exec, task->origin, ret_view);
    if (task->waiting && task->waiting->end == WAIT_OPEN)
        put_waiting(task->waiting, ret_view);
    if (task->owned)
        ret_view->owned = task->owned->execution;
    if (task->group) {
        ret_view->items_begun = true;
        ret_view->items = task->talk ? task->talk->children_count : 0;
        ret_view->items_open = task->group->open;
    }
    if (task->talk)
        put_talk(task->talk, ret_view);
    if (task->live && task->live->instance)
        ret_view->started_us = task->live->dispatched_us;
    if (task->blame)
        ret_view->failure = task->blame->failure;
    if (task->answer)
        ret_view->output = task->answer->datum;
    return 0;
}

bool engine_next_execution(const engine_t *self, size_t *position, struct uuid *ret_execution)
{
    const struct exec *exec = map_next(self->execs, position, NULL);
    if (exec)
        *ret_execution = exec->id;
    return exec != NULL;
}

void engine_agent_load(const engine_t *self, const char *agent, struct agent_load *ret_load)
{
    const struct agent *found = map_get(self->agents, agent, strlen(agent));
    *ret_load = (struct agent_load){0};
    if (!found)
        return;
    ret_load->ready = found->queued + found->starved;
    ret_load->running = found->running;
    ret_load->instances = (uint32_t)found->instances.count;
    for (size_t i = 0; i < found->instances.count; i++)
        ret_load->free_credit += instance_free((const void *)found->instances.items[i]);
}

bool engine_next_agent(const engine_t *self, size_t *position, const char **ret_agent)
{
    const struct agent *agent;
    while ((agent = map_next(self->agents, position, NULL))) {
        if (agent->queued + agent->starved == 0 && agent->instances.count == 0)
            continue;
        *ret_agent = agent->name;
        return true;
    }
    return false;
}

size_t engine_instance_tasks(const engine_t *self, uint64_t handle)
{
    const struct instance *instance = state_instance(self, handle);
    return instance ? instance->held : 0;
}

size_t engine_active_executions(const engine_t *self)
{
    return self->active;
}
