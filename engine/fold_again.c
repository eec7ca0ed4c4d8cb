#include "base/limits.h"
#include "engine/state.h"
#include <stdlib.h>
#include <string.h>

/* The fold of what makes an execution begin again: one that ended is reopened, and one that began
 * as another one's prefix is forked off.
 *
 * What has succeeded stays. What failed, was cancelled or was skipped by that is as if it had not
 * begun, but that attempts, steps and delegations go on counting and old runs are void. */

/* --- which tasks ------------------------------------------------------------------------------ */

/* Skipped because something else failed, or because the execution was stopped. Whether its sources
 * will let it run is judged anew. A condition, also one of another source's edge, may have read
 * what a source came to, and is decided anew with it. */
static bool skipped_thereby(const struct task *task, bool source_again)
{
    switch ((enum reason)task->reason) {
    case REASON_FAILED:
    case REASON_CANCELLED:
    case REASON_ENDED: return true;
    case REASON_SOURCE:
    case REASON_NO_SOURCE:
    case REASON_IF:
    case REASON_EDGE: return source_again;
    default: return false;
    }
}

/* Marks the nodes that run again, and those that are to be judged again since a source does. */
static void mark_nodes(const struct exec *exec, bool *again)
{
    uint32_t *work = xcalloc((size_t)exec->nodes + 1, sizeof *work);
    size_t count = 0;
    for (uint32_t i = 0; i < exec->nodes; i++) {
        const struct task *task = &exec->tasks[i];
        again[i] = task->status == TASK_FAILED || task->status == TASK_CANCELLED ||
                   (task->status == TASK_SKIPPED && skipped_thereby(task, false));
        if (again[i])
            work[count++] = i;
    }
    for (size_t at = 0; at < count; at++) {
        const struct dag_node *node = dag_node(exec->dag, work[at]);
        for (uint32_t t = 0; t < node->targets_count; t++) {
            uint32_t target = node->targets[t];
            const struct task *task = &exec->tasks[target];
            if (again[target] || task->status != TASK_SKIPPED || !skipped_thereby(task, true))
                continue;
            again[target] = true;
            work[count++] = target;
        }
    }
    free(work);
}

/* --- as if it had not begun ------------------------------------------------------------------- */

static void reset_task(struct exec *exec, uint32_t index, struct run void_run)
{
    struct task *task = &exec->tasks[index];
    task->status = TASK_PENDING;
    exec->open++;
    task->reason = REASON_NONE;
    task->reason_node = 0;
    task->gate = GATE_NONE;
    task->fallen_back = false;
    task->asking = false;
    task->asked = task->taken = task->dead = 0;
    task->losses_row = 0;
    task->ready_sequence = task->ended_sequence = 0;
    task->queued_us = task->started_us = task->ended_us = task->retry_at_us = 0;
    fold_void_runs(task, void_run);
    free(task->answer);
    free(task->blame);
    free(task->edges);
    task->answer = NULL;
    task->blame = NULL;
    task->edges = NULL;
    waiting_free(&task->waiting);
    free(task->owned);
    task->owned = NULL;
    value_destroy(&task->context);
}

/* --- items ------------------------------------------------------------------------------------ */

/* Its list is known already, and what some of its items gave. */
static void reopen_group(engine_t *self, struct exec *exec, uint32_t node, struct run void_run)
{
    const struct talk *talk = exec->tasks[node].talk;
    struct group *group = exec->tasks[node].group;
    group->begun = group->running = group->open = 0;
    for (uint32_t i = 0; i < talk->children_count; i++) {
        if (exec->tasks[talk->children[i]].status == TASK_SUCCEEDED)
            continue;
        reset_task(exec, talk->children[i], void_run);
        group->open++;
    }
    fold_set_task(exec, node, TASK_READY);
    fold_set_task(exec, node, TASK_WAITING);
    exec->tasks[node].first_attempt = ++exec->tasks[node].attempt;
    exec->tasks[node].queued_us = exec->tasks[node].started_us = exec->time_us;
    exec->tasks[node].ready_sequence = exec->sequence;
    fold_begin_items(self, exec, node);
}

/* --- edges ------------------------------------------------------------------------------------ */

/* Its sources that stay as they are say again what they said; the others will say it. */
static void judge_again(engine_t *self, struct exec *exec, uint32_t node, const bool *again)
{
    const struct dag_node *what = dag_node(exec->dag, node);
    if (exec->tasks[node].group)
        return; /* it was let begin */
    if (what->sources_count == 0)
        fold_join_holds(self, exec, node);
    for (uint32_t i = 0; i < what->sources_count; i++)
        if (!again[what->sources[i]])
            fold_source_ended(self, exec, node, i, fold_edge_taken(exec, what->sources[i]));
}

/* --- reopened --------------------------------------------------------------------------------- */

int check_reopened(const struct exec *exec, const struct event *event, struct err *err)
{
    const struct event_reopened *reopened = &event->reopened;
    if (exec->status != EXECUTION_FAILED && exec->status != EXECUTION_CANCELLED)
        return fold_refuse(err, event, "the execution has neither failed nor been cancelled");
    if (reopened->was != exec->status)
        return fold_refuse(err, event, "the execution ended otherwise");
    if (reopened->deadline_us < 0)
        return fold_refuse(err, event, "its deadline is negative");
    return 0;
}

void fold_reopened(engine_t *self, struct exec *exec, const struct event_reopened *reopened)
{
    bool *again = xcalloc((size_t)exec->nodes + 1, sizeof *again);
    exec->status = EXECUTION_RUNNING;
    self->active++;
    exec->stop = exec->paused = false;
    exec->ended_us = exec->stop_us = 0;
    exec->deadline_us = reopened->deadline_us;
    exec->failed_node = exec->first_failed = NO_NODE;
    free(exec->blame);
    free(exec->output);
    exec->blame = NULL;
    exec->output = NULL;
    exec->reopened++;
    mark_nodes(exec, again);
    for (uint32_t i = 0; i < exec->nodes; i++)
        if (again[i])
            reset_task(exec, i, reopened->run);
    for (uint32_t i = 0; i < exec->nodes; i++)
        if (again[i])
            judge_again(self, exec, i, again);
    for (uint32_t i = 0; i < exec->nodes; i++)
        if (again[i] && exec->tasks[i].group)
            reopen_group(self, exec, i, reopened->run);
    free(again);
    fold_spread(self, exec);
}

/* --- forked ----------------------------------------------------------------------------------- */

int check_forked(const struct exec *exec, const struct event *event, struct err *err)
{
    const struct event_forked *forked = &event->forked;
    uint32_t node = exec_find(exec, forked->node);
    if (node == NO_NODE || node >= exec->nodes)
        return fold_refuse(err, event, "there is no such node");
    if (exec->tasks[node].ready_sequence != exec->sequence || forked->at != exec->sequence)
        return fold_refuse(err, event, "its node has not just become ready");
    if (forked->deadline_us < 0)
        return fold_refuse(err, event, "its deadline is negative");
    return 0;
}

static void leave_family(struct exec *exec)
{
    free(exec->owner_path);
    exec->owner_path = NULL;
    exec->owner = (struct uuid){0};
    exec->owner_attempt = exec->depth = 0;
}

/* Calls that were in flight belong to the other execution, which also pays for them; so do its
 * sub-workflows, and what it waited for: this one starts its own, asks anew, and its times count
 * from now. */
static void begin_anew(engine_t *self, struct exec *exec, uint32_t index)
{
    struct task *task = &exec->tasks[index];
    bool waits = task->waiting && task->waiting->end == WAIT_OPEN;
    fold_drop_reservation(exec, index);
    if (task->talk && task->talk->since_us > 0)
        task->talk->since_us = exec->time_us;
    if (!waits && !task_owns(task))
        return;
    fold_set_task(exec, index, TASK_READY);
    if (waits)
        waiting_free(&task->waiting);
    u32_push(&self->ready, &self->ready_count, &self->ready_capacity, index);
}

void fold_forked(engine_t *self, struct exec *exec, const struct event_forked *forked)
{
    leave_family(exec);
    for (uint32_t i = 0; i < exec->count; i++)
        begin_anew(self, exec, i);
    if (!datum_absent(&forked->input)) {
        free(exec->input);
        exec->input = answer_new(&forked->input, "");
        decoded_forget(self, exec);
    }
    exec->paused = false;
    exec->deadline_us = forked->deadline_us;
    exec->started_us = exec->time_us;
    exec->forked_from = forked->from;
    exec->forked_at = forked->at;
    free(exec->by);
    exec->by = xstrdup(forked->by ? forked->by : "");
}
