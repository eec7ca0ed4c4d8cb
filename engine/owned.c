#include "base/limits.h"
#include "engine/decide.h"
#include <string.h>

/* Sub-workflows: executions that a task of another one owns.
 *
 * The two sides are linked by pointers that only live here: a restart makes them anew. Whatever
 * takes a task from its sub-workflow puts that into engine->parted_subs, and the end of a
 * sub-workflow puts it into engine->ended_subs; both lists are worked off at the end of a call, so
 * that nobody ends the execution in hand behind its back. */

/* --- links ------------------------------------------------------------------------------------ */

static void link_sub(engine_t *engine, struct exec *parent, uint32_t index, struct exec *child)
{
    child->parent = parent;
    child->parent_task = index;
    child->parted_subs = &engine->parted_subs;
    parent->tasks[index].owned->child = child;
    ledger_join(child, false);
}

static void unlink_sub(struct exec *child)
{
    struct exec *parent = child->parent;
    struct owned *owned = parent->tasks[child->parent_task].owned;
    ledger_join(child, true);
    if (owned && owned->child == child)
        owned->child = NULL;
    parent->leaving -= child->parted;
    child->parent = NULL;
    child->parted = false;
}

/* --- begin ------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    hash ^= hash >> 32;
    return hash * 0x9e3779b97f4a7c15u;
}

/* A number of its own for each sub-workflow that is ever started. */
static uint64_t draw(const struct call *call, const struct exec *exec, uint32_t index,
                     uint64_t salt)
{
    const char *path = task_path(exec, index);
    uint64_t hash = mix(exec->seed + salt, exec->id.bytes, sizeof exec->id.bytes);
    hash = mix(hash, path, strlen(path));
    hash = mix(hash, &exec->tasks[index].attempt, sizeof exec->tasks[index].attempt);
    hash = mix(hash, &exec->sequence, sizeof exec->sequence);
    return mix(hash, &call->engine->config.epoch, sizeof call->engine->config.epoch);
}

static struct uuid draw_id(const struct call *call, const struct exec *exec, uint32_t index)
{
    uint64_t numbers[2] = {draw(call, exec, index, 1), draw(call, exec, index, 2)};
    uint8_t random[10];
    memcpy(random, numbers, sizeof random);
    return uuid_v7(event_time(call, exec), random);
}

/* Each execution above counts from itself. False: this one would be too deep for one of them. */
static bool deep_enough(const struct exec *exec, uint32_t *ret_limit)
{
    uint32_t depth = exec->depth + 1;
    for (const struct exec *at = exec; at; at = at->parent) {
        *ret_limit = dag_depth(at->dag);
        if (depth - at->depth > *ret_limit)
            return false;
    }
    *ret_limit = LIMIT_DEPTH_MAX;
    return depth <= LIMIT_DEPTH_MAX;
}

static void fail(struct call *call, struct exec *exec, uint32_t index, const char *code,
                 const struct err *err, bool permanent)
{
    const struct failure failure = {
        .code = code, .message = err->what, .detail = err->fix, .permanent = permanent};
    struct arena *arena = &call->out->arena;
    struct failure kept = failure;
    if (*err->where)
        kept.message = arena_printf(arena, "%s: %s", err->where, err->what);
    task_fail_with(call, exec->tasks[index].live, &kept, NULL);
}

static int prepare(struct call *call, struct exec *exec, uint32_t index,
                   struct event_started *started, struct err *err)
{
    const struct engine_config *config = &call->engine->config;
    struct prepared_workflow prepared = {0};
    struct datum message;
    value_t *input = NULL;
    if (!config->prepare_workflow)
        return err_set(err, ERR_NOT_FOUND, "there are no sub-workflows here");
    int r = render_message(call, exec, index, &message, err);
    if (!r)
        r = render_read(call, &message, &input, err);
    if (r)
        return ERR_AGAIN;
    r = config->prepare_workflow(config->context, started->workflow, started->workflow_version,
                                 input, &call->out->arena, &prepared, err);
    value_destroy(&input);
    if (r)
        return r == ERR_AGAIN ? ERR_INVALID : r;
    started->agents = prepared.agents;
    started->agents_count = prepared.agents_count;
    started->workflows = prepared.workflows;
    started->workflows_count = prepared.workflows_count;
    return render_value(call, &prepared.input, &started->input, err);
}

/* An owned execution has no more time than its task and its owner; after the owner's time, what
 * cleans up has the grace that such nodes get, at the end of which the owner cancels it. */
static int64_t deadline_of(const struct call *call, const struct exec *exec, uint32_t index,
                           const dag_t *dag)
{
    int64_t now_us = event_time(call, exec);
    bool cleans_up = task_rules(exec, index)->join == DAG_JOIN_DONE;
    int64_t least_us = cleans_up ? 0 : exec->deadline_us;
    const int64_t times_us[2] = {dag_time_us(dag), task_rules(exec, index)->timeout_us};
    for (size_t i = 0; i < 2; i++)
        if (times_us[i] > 0 && (least_us == 0 || now_us + times_us[i] < least_us))
            least_us = now_us + times_us[i];
    return least_us;
}

static int fill_start(struct call *call, struct exec *exec, uint32_t index, struct input_start *in,
                      struct err *err)
{
    const struct engine_config *config = &call->engine->config;
    const struct dag_node *node = task_rules(exec, index);
    *in =
        (struct input_start){.execution = draw_id(call, exec, index),
                             .started = {.seed = draw(call, exec, index, 3),
                                         .workflow = node->workflow,
                                         .workflow_version = exec->workflows[node->workflow_index],
                                         .agent = "",
                                         .by = exec->by,
                                         .owner = exec->id,
                                         .owner_path = task_path(exec, index),
                                         .owner_attempt = exec->tasks[index].attempt,
                                         .depth = exec->depth + 1}};
    struct event_started *started = &in->started;
    dag_t *dag =
        config->find_dag(config->context, started->workflow, started->workflow_version, "", err);
    if (!dag)
        return ERR_NOT_FOUND;
    started->deadline_us = deadline_of(call, exec, index, dag);
    dag_destroy(&dag);
    return prepare(call, exec, index, started, err);
}

static void own(struct call *call, struct exec *exec, uint32_t index, struct exec *child)
{
    const struct dag_node *node = task_rules(exec, index);
    struct event event = {.kind = EVENT_OWNED,
                          .owned = {.path = keep_text(call, task_path(exec, index)),
                                    .attempt = exec->tasks[index].attempt,
                                    .execution = child->id,
                                    .workflow = keep_text(call, node->workflow),
                                    .version = exec->workflows[node->workflow_index]}};
    emit(call, exec, &event);
    link_sub(call->engine, exec, index, child);
    live_park(call->engine, exec->tasks[index].live, parked_until(exec, index));
    settle(call, child);
}

void owned_begin(struct call *call, struct exec *exec, uint32_t index)
{
    const struct owned *owned = exec->tasks[index].owned;
    struct input_start in;
    struct exec *child = NULL;
    struct err err = {0};
    uint32_t limit = 0;
    if (owned && owned->child) { /* of an attempt before: nothing runs beside it */
        live_park(call->engine, exec->tasks[index].live, INT64_MAX);
        return;
    }
    if (!deep_enough(exec, &limit)) {
        (void)err_set(&err, ERR_LIMIT,
                      "workflows within workflows are deeper than %u, limits.depth", limit);
        fail(call, exec, index, "limit", &err, true);
        return;
    }
    if (call->engine->active >= LIMIT_ACTIVE_EXECUTIONS) {
        (void)err_set(&err, ERR_LIMIT, "%d executions run already", LIMIT_ACTIVE_EXECUTIONS);
        fail(call, exec, index, "limit", &err, false);
        return;
    }
    int r = fill_start(call, exec, index, &in, &err);
    if (!r)
        r = start_exec(call, &in, &child, &err);
    if (r)
        fail(call, exec, index, r == ERR_AGAIN ? "expression" : "invalid", &err, true);
    else
        own(call, exec, index, child);
}

/* --- ends ------------------------------------------------------------------------------------- */

void owned_part_all(struct exec *exec)
{
    for (uint32_t i = 0; i < exec->count; i++)
        if (task_owns(&exec->tasks[i]))
            owned_leave(exec, &exec->tasks[i]);
}

void owned_ended(struct call *call, struct exec *exec)
{
    if (!exec->parent)
        return;
    list_remove(&exec->family);
    list_push_back(&call->engine->ended_subs, &exec->family);
}

static struct failure failure_of(struct call *call, const struct exec *child)
{
    char id[TYPEID_TEXT_SIZE];
    const char *path = child->failed_node == NO_NODE ? "" : task_path(child, child->failed_node);
    struct failure failure = {.code = "cancelled",
                              .message = "the sub-workflow was cancelled",
                              .detail = "",
                              .permanent = true};
    if (child->status == EXECUTION_FAILED && child->blame)
        failure = child->blame->failure;
    failure.detail =
        arena_printf(&call->out->arena, "execution %s of the workflow \"%s\"%s%s%s%s",
                     typeid_text("exec", child->id, id), child->workflow, *path ? ", node " : "",
                     path, *failure.detail ? "\n" : "", failure.detail);
    return failure;
}

/* The task waited for it: that is its next step. */
static void give(struct call *call, struct exec *exec, uint32_t index, const struct exec *child)
{
    struct live *live = exec->tasks[index].live;
    struct event_step what = {.usage = child->ledger.used};
    struct err err = {0};
    if (!live)
        live = live_new(call->engine, exec, index);
    live_idle(call->engine, live);
    if (child->status != EXECUTION_SUCCEEDED) {
        const struct failure failure = failure_of(call, child);
        task_fail_with(call, live, &failure, &what.usage);
        return;
    }
    if (child->output)
        what.output = keep_datum(call, &child->output->datum);
    own_end(call, exec, index, &what, 0, &err);
}

/* The task goes on without it: what it used counts all the same. */
static void count(struct call *call, struct exec *exec, uint32_t index, const struct exec *child)
{
    const struct usage *used = &child->ledger.used;
    struct event event = {.kind = EVENT_SETTLED,
                          .settled = {.path = keep_text(call, task_path(exec, index)),
                                      .attempt = child->owner_attempt,
                                      .reason = "sub-workflow ended",
                                      .usage = *used}};
    if (used->input_tokens + used->output_tokens + used->cost_microusd > 0)
        emit(call, exec, &event);
    struct live *live = exec->tasks[index].live;
    if (!live || !task_active(&exec->tasks[index]) || live->state != LIVE_PARKED)
        return;
    live_idle(call->engine, live);
    place(call, live);
}

static void hear(struct call *call, struct exec *child)
{
    struct exec *exec = child->parent;
    uint32_t index = child->parent_task;
    const struct task *task = &exec->tasks[index];
    bool waits = task_owns(task) && task->owned->child == child;
    unlink_sub(child);
    free_budget(call->engine, exec);
    if (exec_terminal(exec))
        return;
    if (waits)
        give(call, exec, index, child);
    else
        count(call, exec, index, child);
    settle(call, exec);
}

void owned_due(struct call *call)
{
    engine_t *engine = call->engine;
    size_t begin = call->out->events_count;
    for (;;) {
        bool room = call->out->events_count - begin < LIMIT_BATCH_EVENTS;
        if (!list_empty(&engine->ended_subs)) {
            struct exec *exec = LIST_OWNER(engine->ended_subs.next, struct exec, family);
            list_remove(&exec->family);
            hear(call, exec);
        } else if (room && !list_empty(&engine->parted_subs)) {
            struct exec *exec = LIST_OWNER(engine->parted_subs.next, struct exec, family);
            list_remove(&exec->family);
            cancel_exec(call, exec, "workflow", "the task that ran it ended");
        } else {
            return;
        }
    }
}

/* --- after a restart -------------------------------------------------------------------------- */

/* One that has ended is in memory only if its owner's side of the end was lost: it hears of it now.
 */
static void relink(struct call *call, struct exec *child)
{
    engine_t *engine = call->engine;
    struct exec *parent = state_exec(engine, child->owner);
    uint32_t index = parent ? exec_find(parent, child->owner_path) : NO_NODE;
    struct owned *owned = index == NO_NODE ? NULL : parent->tasks[index].owned;
    bool known = owned && !exec_terminal(parent) && uuid_equal(owned->execution, child->id);
    bool waits = known && owned->open;
    if (waits || (known && !exec_terminal(child)))
        link_sub(engine, parent, index, child);
    if (exec_terminal(child)) {
        owned_ended(call, child);
        return;
    }
    if (waits)
        return;
    child->parted = true;
    if (child->parent)
        parent->leaving++;
    list_push_back(&engine->parted_subs, &child->family);
}

void owned_link_all(struct call *call)
{
    struct exec *exec;
    size_t position = 0;
    while ((exec = map_next(call->engine->execs, &position, NULL)))
        if (exec->owner_path)
            relink(call, exec);
}

static void check_one(struct call *call, struct exec *exec)
{
    for (uint32_t i = 0; i < exec->count && !exec_terminal(exec); i++) {
        const struct task *task = &exec->tasks[i];
        if (!task_owns(task) || task->owned->child || !task->live)
            continue;
        const struct failure lost = {
            .code = "lost", .message = "its sub-workflow is not there any more", .detail = ""};
        live_idle(call->engine, task->live);
        task_fail_with(call, task->live, &lost, NULL);
    }
}

void owned_check_all(struct call *call)
{
    struct exec *exec;
    size_t position = 0;
    while ((exec = map_next(call->engine->execs, &position, NULL)))
        if (dag_workflows(exec->dag) > 0)
            check_one(call, exec);
}
