#include "base/limits.h"
#include "engine/state.h"
#include <stdlib.h>
#include <string.h>

/* The fold: what the journal makes of an execution, and nothing else. Each event is checked against
 * the state as a whole before anything changes. Readiness and skips follow from the ends of tasks
 * and are not journaled. */

int fold_refuse(struct err *err, const struct event *event, const char *why)
{
    int r = err_set(err, ERR_INVALID, "event %llu (%s) does not fit its journal: %s",
                    (unsigned long long)event->sequence, event_kind_name(event->kind), why);
    err_fix(err, "the journal was written by another version or is damaged");
    return r;
}

/* --- status ----------------------------------------------------------------------------------- */

static bool task_may(enum task_status from, enum task_status to)
{
    switch (from) {
    case TASK_PENDING: /* FAILED: by an expression */
        return to == TASK_READY || to == TASK_SKIPPED || to == TASK_CANCELLED || to == TASK_FAILED;
    case TASK_READY:
    case TASK_RETRYING:
        return to == TASK_RETRYING || to == TASK_SUCCEEDED || to == TASK_FAILED ||
               to == TASK_CANCELLED || to == TASK_WAITING;
    case TASK_WAITING: /* SUCCEEDED: by a hand-off */
        return to == TASK_READY || to == TASK_RETRYING || to == TASK_SUCCEEDED ||
               to == TASK_FAILED || to == TASK_CANCELLED;
    default: return false;
    }
}

void fold_set_task(struct exec *exec, uint32_t node, enum task_status status)
{
    struct task *task = &exec->tasks[node];
    CHECK(task_may(task->status, status));
    exec->active -= task_active(task);
    task->status = (uint8_t)status;
    exec->active += task_active(task);
    if (task->waiting && status != TASK_WAITING)
        fold_wait_left(exec, task->waiting, task_ended(task));
    if (task_owns(task) && status != TASK_WAITING)
        fold_owned_left(exec, task);
    if (!task_ended(task))
        return;
    task->ended_us = exec->time_us;
    task->ended_sequence = exec->sequence;
    exec->open--;
}

static bool exec_may(enum execution_status from, enum execution_status to)
{
    switch (from) {
    case EXECUTION_RUNNING:
        return to == EXECUTION_FAILING || to == EXECUTION_CANCELLING || to == EXECUTION_SUCCEEDED ||
               to == EXECUTION_FAILED;
    case EXECUTION_FAILING:
        return to == EXECUTION_FAILING || to == EXECUTION_CANCELLING || to == EXECUTION_FAILED;
    case EXECUTION_CANCELLING: return to == EXECUTION_CANCELLED;
    default: return false;
    }
}

static void set_exec(engine_t *self, struct exec *exec, enum execution_status status)
{
    CHECK(exec_may(exec->status, status));
    exec->status = status;
    if (exec_terminal(exec))
        self->active--;
}

/* --- edges ------------------------------------------------------------------------------------ */

void fold_make_ready(engine_t *self, struct exec *exec, uint32_t node)
{
    struct task *task = &exec->tasks[node];
    fold_set_task(exec, node, TASK_READY);
    task->first_attempt = ++task->attempt;
    task->queued_us = exec->time_us;
    task->ready_sequence = exec->sequence;
    fold_see_context(exec, node);
    u32_push(&self->ready, &self->ready_count, &self->ready_capacity, node);
}

void fold_end_task(engine_t *self, struct exec *exec, uint32_t node, enum task_status status,
                   enum reason reason, uint32_t reason_node)
{
    struct task *task = &exec->tasks[node];
    fold_set_task(exec, node, status);
    task->reason = (uint8_t)reason;
    task->reason_node = reason_node;
    task->gate = GATE_NONE;
    value_destroy(&task->context);
    if (task->talk)
        fold_attempt_over(self, exec, node, NULL);
    u32_push(&self->work, &self->work_count, &self->work_capacity, node);
}

bool fold_edge_taken(const struct exec *exec, uint32_t source)
{
    enum task_status status = exec->tasks[source].status;
    return status == TASK_SUCCEEDED ||
           (status == TASK_FAILED && dag_node(exec->dag, source)->on_error == DAG_CONTINUE);
}

/* Tells targets of the ends of their sources until nothing follows any more. A queue, not a
 * recursion: skips may run down a chain as long as the workflow. */
void fold_spread(engine_t *self, struct exec *exec)
{
    for (size_t i = 0; i < self->work_count; i++) {
        uint32_t source = self->work[i];
        if (source >= exec->nodes) {
            if (task_is_item(exec, source))
                fold_item_ended(self, exec, source);
            else
                fold_child_ended(self, exec, source);
            continue;
        }
        const struct dag_node *what = dag_node(exec->dag, source);
        bool taken = fold_edge_taken(exec, source);
        for (uint32_t t = 0; t < what->targets_count; t++)
            fold_source_ended(self, exec, what->targets[t], what->target_slots[t], taken);
    }
    self->work_count = 0;
}

/* --- started ---------------------------------------------------------------------------------- */

static const struct pinned_agent *find_pin(const struct event_started *started, const char *name,
                                           size_t near)
{
    /* Shells pin in the order of dag_agents, so the neighbour is nearly always the one. */
    if (near < started->agents_count && strcmp(started->agents[near].name, name) == 0)
        return &started->agents[near];
    for (size_t i = 0; i < started->agents_count; i++)
        if (strcmp(started->agents[i].name, name) == 0)
            return &started->agents[i];
    return NULL;
}

static const struct pinned_workflow *find_workflow(const struct event_started *started,
                                                   const char *name, size_t near)
{
    if (near < started->workflows_count && strcmp(started->workflows[near].name, name) == 0)
        return &started->workflows[near];
    for (size_t i = 0; i < started->workflows_count; i++)
        if (strcmp(started->workflows[i].name, name) == 0)
            return &started->workflows[i];
    return NULL;
}

/* What a sub-workflow's execution says of its owner, and what its own nodes run. */
static int check_family(const struct event *event, const dag_t *dag, struct err *err)
{
    const struct event_started *started = &event->started;
    bool owned = !uuid_is_nil(started->owner);
    bool path = started->owner_path && *started->owner_path;
    if (owned != path || owned != (started->owner_attempt > 0) || owned != (started->depth > 0))
        return fold_refuse(err, event, "it names its owner in part");
    for (size_t i = 0; i < dag_workflows(dag); i++) {
        if (find_workflow(started, dag_workflow(dag, i), i))
            continue;
        (void)fold_refuse(err, event, "a workflow that it runs is not pinned");
        err_where(err, "workflows.%.64s", dag_workflow(dag, i));
        return ERR_INVALID;
    }
    return 0;
}

static int check_started(const engine_t *self, const struct event *event, const dag_t *dag,
                         struct err *err)
{
    const struct event_started *started = &event->started;
    if (event->sequence != 1)
        return fold_refuse(err, event, "it must be the first");
    if (state_exec(self, event->execution))
        return fold_refuse(err, event, "the execution was started before");
    if (started->deadline_us < 0)
        return fold_refuse(err, event, "its deadline is negative");
    for (size_t i = 0; i < dag_agents(dag); i++) {
        if (find_pin(started, dag_agent(dag, i), i))
            continue;
        (void)fold_refuse(err, event, "an agent of the workflow is not pinned");
        err_where(err, "agents.%.64s", dag_agent(dag, i));
        return ERR_INVALID;
    }
    return check_family(event, dag, err);
}

static void make_pins(engine_t *self, struct exec *exec, const struct event_started *started)
{
    size_t count = dag_agents(exec->dag);
    for (size_t i = 0; i < count; i++)
        (void)exec_add_pin(self, exec, find_pin(started, dag_agent(exec->dag, i), i));
    exec->limited = dag_parallel(exec->dag) > 0;
}

static void make_family(struct exec *exec, const struct event_started *started)
{
    size_t count = dag_workflows(exec->dag);
    exec->workflows = xcalloc(count + 1, sizeof *exec->workflows);
    for (size_t i = 0; i < count; i++)
        exec->workflows[i] = find_workflow(started, dag_workflow(exec->dag, i), i)->version;
    list_init(&exec->family);
    list_init(&exec->starving);
    if (uuid_is_nil(started->owner))
        return;
    exec->owner = started->owner;
    exec->owner_path = xstrdup(started->owner_path);
    exec->owner_attempt = started->owner_attempt;
    exec->depth = started->depth;
}

static struct exec *make_exec(const struct event *event, dag_t **dag_p)
{
    const struct event_started *started = &event->started;
    struct exec *exec = xcalloc(1, sizeof *exec);
    exec->id = event->execution;
    exec->dag = *dag_p;
    *dag_p = NULL;
    exec->status = EXECUTION_RUNNING;
    exec->sequence = 1;
    exec->time_us = exec->started_us = event->time_us;
    exec->seed = started->seed;
    exec->workflow = xstrdup(started->workflow ? started->workflow : "");
    exec->agent = xstrdup(started->agent ? started->agent : "");
    exec->by = xstrdup(started->by ? started->by : "");
    exec->workflow_version = started->workflow_version;
    exec->deadline_us = started->deadline_us;
    if (!uuid_is_nil(started->owner))
        exec->allowed_us = dag_time_us(exec->dag); /* the deadline may be the owner's */
    else if (started->deadline_us > exec->time_us)
        exec->allowed_us = started->deadline_us - exec->time_us;
    exec->input = answer_new(&started->input, "");
    exec->failed_node = exec->first_failed = NO_NODE;
    exec->nodes = exec->count = exec->capacity = exec->open = dag_nodes(exec->dag);
    exec->tasks = xcalloc(exec->count, sizeof *exec->tasks);
    exec->limit = (struct timer){.kind = TIMER_LIMIT, .owner = exec};
    exec->stop_timer = (struct timer){.kind = TIMER_STOP, .owner = exec};
    list_init(&exec->idle_lanes);
    list_init(&exec->held);
    list_init(&exec->starved);
    for (size_t i = 0; i <= WAIT_SIGNAL; i++)
        list_init(&exec->waits[i]);
    list_init(&exec->fed);
    list_init(&exec->tried);
    return exec;
}

static void start_nodes(engine_t *self, struct exec *exec)
{
    for (uint32_t i = 0; i < exec->count; i++) {
        const struct dag_node *node = dag_node(exec->dag, i);
        if (node->disabled)
            fold_end_task(self, exec, i, TASK_SKIPPED, REASON_DISABLED, NO_NODE);
        else if (node->sources_count == 0)
            fold_join_holds(self, exec, i);
    }
    fold_spread(self, exec);
}

static int fold_started(engine_t *self, const struct event *event, struct err *err)
{
    const struct event_started *started = &event->started;
    dag_t *dag =
        self->config.find_dag(self->config.context, started->workflow ? started->workflow : "",
                              started->workflow_version, started->agent ? started->agent : "", err);
    if (!dag)
        return ERR_NOT_FOUND;
    int r = check_started(self, event, dag, err);
    if (r) {
        dag_destroy(&dag);
        return r;
    }
    struct exec *exec = make_exec(event, &dag);
    make_family(exec, started);
    make_pins(self, exec, started);
    (void)map_put(self->execs, exec->id.bytes, sizeof exec->id.bytes, exec);
    self->active++;
    start_nodes(self, exec);
    return 0;
}

/* --- step ------------------------------------------------------------------------------------- */

/* Whether the agent in use has had all the attempts that it gets. */
static bool attempts_used(const struct exec *exec, uint32_t node)
{
    const struct task *task = &exec->tasks[node];
    return task->attempt - task->first_attempt + 1 >= task_rules(exec, node)->retry.attempts;
}

static bool may_fall_back(const struct exec *exec, uint32_t node)
{
    return task_rules(exec, node)->on_error == DAG_FALLBACK && !exec->tasks[node].fallen_back;
}

static bool known_kind(enum step_kind kind)
{
    return kind == STEP_TURN || kind == STEP_TOOL_RESULT || kind == STEP_RESULT ||
           kind == STEP_FAILURE;
}

static int check_step(const struct exec *exec, const struct event *event, struct err *err)
{
    const struct event_step *step = &event->step;
    uint32_t node = exec_find(exec, step->path);
    if (node == NO_NODE)
        return fold_refuse(err, event, "there is no such task");
    const struct task *task = &exec->tasks[node];
    bool own = !step->instance || !*step->instance;
    bool gathers = own && task->gate == GATE_GATHER &&
                   (step->kind == STEP_RESULT || step->kind == STEP_FAILURE);
    bool waits = task_rules(exec, node)->kind != DAG_SET; /* of those without an agent */
    bool ours = own && step->kind == STEP_RESULT && task_is_own(exec, node) &&
                (!waits || task_has_waited(task) || task_owns(task));
    bool parked = task->status == TASK_WAITING && own &&
                  (step->kind == STEP_FAILURE || (ours && task_owns(task)));
    if (!task_active(task) && !parked && !gathers)
        return fold_refuse(err, event, "its task is not under way");
    if (!known_kind(step->kind))
        return fold_refuse(err, event, "its kind is unknown");
    if (step->number != task->step + 1)
        return fold_refuse(err, event, "its number is not the task's next");
    if (step->attempt != task->attempt)
        return fold_refuse(err, event, "its attempt is not the task's");
    if (own && step->kind != STEP_FAILURE && !gathers && !ours)
        return fold_refuse(err, event, "no instance made it");
    if (!own && run_compare(step->run, task->void_run) <= 0)
        return fold_refuse(err, event, "its run is void");
    bool again = step->kind == STEP_FAILURE && step->retry_at_us > 0;
    bool used = step->failure.permanent || attempts_used(exec, node);
    if (again && used && !may_fall_back(exec, node))
        return fold_refuse(err, event, "the task has no attempt left");
    bool ends = step->kind == STEP_RESULT || step->kind == STEP_FAILURE;
    return ends ? 0 : check_turn(exec, event, node, err);
}

/* What an item or a delegation fails, its owner decides. */
void fold_note_failed(struct exec *exec, uint32_t node)
{
    if (node < exec->nodes && dag_node(exec->dag, node)->on_error != DAG_CONTINUE &&
        exec->first_failed == NO_NODE)
        exec->first_failed = node;
}

static void fold_failure(engine_t *self, struct exec *exec, uint32_t node,
                         const struct event_step *step)
{
    struct task *task = &exec->tasks[node];
    free(task->blame);
    task->blame = blame_new(&step->failure, step->instance ? step->instance : "");
    if (task->talk)
        fold_attempt_over(self, exec, node, step->turn > 0 ? &step->usage : NULL);
    if (step->retry_at_us > 0) {
        if (step->failure.permanent || attempts_used(exec, node)) {
            task->fallen_back = true;
            task->first_attempt = task->attempt + 1;
        }
        task->attempt++;
        task->retry_at_us = task->queued_us = step->retry_at_us;
        fold_set_task(exec, node, TASK_RETRYING);
        fold_spread(self, exec); /* of delegations that ended with the attempt */
        return;
    }
    task->retry_at_us = 0;
    fold_end_task(self, exec, node, TASK_FAILED, REASON_NONE, NO_NODE);
    fold_note_failed(exec, node);
    fold_spread(self, exec);
}

static void fold_result(engine_t *self, struct exec *exec, uint32_t node,
                        const struct event_step *step)
{
    struct task *task = &exec->tasks[node];
    task->answer = answer_new(&step->output, step->instance);
    if (!datum_absent(&step->patch))
        fold_patch(exec, &step->patch);
    task->retry_at_us = 0;
    fold_end_task(self, exec, node, TASK_SUCCEEDED, REASON_NONE, NO_NODE);
    fold_spread(self, exec);
}

void fold_void_runs(struct task *task, struct run run)
{
    if (run_compare(run, task->void_run) > 0)
        task->void_run = run;
}

static void fold_step(engine_t *self, struct exec *exec, const struct event_step *step)
{
    uint32_t node = exec_find(exec, step->path);
    struct task *task = &exec->tasks[node];
    task->step = step->number;
    task->step_run = step->run;
    task->losses_row = 0;
    if (step->kind == STEP_TURN && step->turn > 0)
        fold_turn(self, exec, node, step);
    else if (step->kind == STEP_TOOL_RESULT && step->turn > 0)
        fold_tool_result(exec, node, step);
    if (step->kind != STEP_RESULT && step->kind != STEP_FAILURE)
        return;
    fold_void_runs(task, step->run);
    task->started_us = step->started_us;
    if (task_owns(task))
        fold_used_below(exec, node, &step->usage);
    if (step->kind == STEP_RESULT)
        fold_result(self, exec, node, step);
    else
        fold_failure(self, exec, node, step);
}

/* --- lost ------------------------------------------------------------------------------------- */

static int check_lost(const struct exec *exec, const struct event *event, struct err *err)
{
    uint32_t node = exec_find(exec, event->lost.path);
    if (node == NO_NODE)
        return fold_refuse(err, event, "there is no such task");
    if (!task_active(&exec->tasks[node]))
        return fold_refuse(err, event, "its task is not under way");
    if (run_compare(event->lost.run, exec->tasks[node].void_run) <= 0)
        return fold_refuse(err, event, "its run was void before");
    return 0;
}

static void fold_lost(struct exec *exec, const struct event_lost *lost)
{
    struct task *task = &exec->tasks[exec_find(exec, lost->path)];
    fold_void_runs(task, lost->run);
    if (!lost->counted)
        return;
    task->losses++;
    task->losses_row++;
}

/* --- the execution's ends --------------------------------------------------------------------- */

static void cancel_all(engine_t *self, struct exec *exec, enum reason reason)
{
    for (uint32_t i = exec->count; i-- > 0;) /* delegations before who asked for them */
        if (!task_ended(&exec->tasks[i]))
            fold_end_task(self, exec, i, TASK_CANCELLED, reason, NO_NODE);
    self->work_count = 0; /* there is no target left that could start */
}

static void fold_cancel(engine_t *self, struct exec *exec)
{
    set_exec(self, exec, EXECUTION_CANCELLING);
    cancel_all(self, exec, REASON_CANCELLED);
}

static int check_failing(const struct exec *exec, const struct event *event, struct err *err)
{
    const struct event_failing *failing = &event->failing;
    bool running = exec->status == EXECUTION_RUNNING;
    bool harder = exec->status == EXECUTION_FAILING && !exec->stop && !failing->finish;
    if (!running && !harder)
        return fold_refuse(err, event, "the execution does not run");
    if (!failing->failure.code)
        return fold_refuse(err, event, "it names no failure");
    if (failing->path && *failing->path && exec_find(exec, failing->path) == NO_NODE)
        return fold_refuse(err, event, "there is no such task");
    return 0;
}

/* Rule 5: what runs is cancelled, what has not started is skipped, but join: done nodes go on. The
 * fold can't tell what was dispatched from what only waited for an instance: both are cancelled. */
static void stop_task(engine_t *self, struct exec *exec, uint32_t index)
{
    const struct task *task = &exec->tasks[index];
    if (task_ended(task) || task_root(exec, index)->join == DAG_JOIN_DONE)
        return;
    if (task->status == TASK_PENDING)
        fold_end_task(self, exec, index, TASK_SKIPPED, REASON_FAILED, NO_NODE);
    else
        fold_end_task(self, exec, index, TASK_CANCELLED, REASON_FAILED, NO_NODE);
}

static void stop_tasks(engine_t *self, struct exec *exec)
{
    for (uint32_t i = exec->count; i-- > exec->nodes;) /* delegations before who asked for them */
        stop_task(self, exec, i);
    for (uint32_t i = 0; i < exec->nodes; i++)
        stop_task(self, exec, i);
    fold_spread(self, exec);
}

static void fold_failing(engine_t *self, struct exec *exec, const struct event_failing *failing)
{
    if (exec->status == EXECUTION_RUNNING) {
        exec->blame = blame_new(&failing->failure, "");
        exec->failed_node = exec_find(exec, failing->path);
    }
    set_exec(self, exec, EXECUTION_FAILING);
    if (failing->finish)
        return;
    exec->stop = true;
    exec->stop_us = exec->time_us;
    stop_tasks(self, exec);
}

static int check_ended(const struct exec *exec, const struct event *event, struct err *err)
{
    const struct event_ended *ended = &event->ended;
    if (!execution_status_terminal(ended->status) || !exec_may(exec->status, ended->status))
        return fold_refuse(err, event, "the execution can't end so");
    bool unfinished = exec->open > 0 && !(exec->status == EXECUTION_FAILING && exec->stop);
    if (unfinished)
        return fold_refuse(err, event, "tasks have not ended");
    if (ended->path && *ended->path && exec_find(exec, ended->path) == NO_NODE)
        return fold_refuse(err, event, "there is no such task");
    return 0;
}

static void fold_ended(engine_t *self, struct exec *exec, const struct event_ended *ended)
{
    cancel_all(self, exec, REASON_ENDED);
    set_exec(self, exec, ended->status);
    exec->ended_us = exec->time_us;
    if (!datum_absent(&ended->output))
        exec->output = answer_new(&ended->output, "");
    if (ended->failure.code) {
        free(exec->blame);
        exec->blame = blame_new(&ended->failure, "");
    }
    exec->failed_node = exec_find(exec, ended->path);
}

/* --- all kinds -------------------------------------------------------------------------------- */

static int check_order(const struct exec *exec, const struct event *event, struct err *err)
{
    if (!exec)
        return fold_refuse(err, event, "the execution was not started");
    if (event->sequence != exec->sequence + 1)
        return fold_refuse(err, event, "events are missing or doubled before it");
    if (event->time_us < exec->time_us)
        return fold_refuse(err, event, "its time is before that of the one before");
    if (exec_terminal(exec) && event->kind != EVENT_REOPENED)
        return fold_refuse(err, event, "the execution has ended");
    return 0;
}

static int check(const struct exec *exec, const struct event *event, struct err *err)
{
    int r = check_order(exec, event, err);
    if (r)
        return r;
    switch (event->kind) {
    case EVENT_STEP: return check_step(exec, event, err);
    case EVENT_LOST: return check_lost(exec, event, err);
    case EVENT_FAILING: return check_failing(exec, event, err);
    case EVENT_ENDED: return check_ended(exec, event, err);
    case EVENT_CANCEL:
        if (exec->status != EXECUTION_CANCELLING)
            return 0;
        return fold_refuse(err, event, "the execution is being cancelled already");
    case EVENT_RESERVED:
    case EVENT_SETTLED:
    case EVENT_DELEGATED:
    case EVENT_REFUSED:
    case EVENT_ANSWERED:
    case EVENT_PATCHED: return check_call_event(exec, event, err);
    case EVENT_DECIDED: return check_decided(exec, event, err);
    case EVENT_REOPENED: return check_reopened(exec, event, err);
    case EVENT_FORKED: return check_forked(exec, event, err);
    case EVENT_OWNED: return check_owned(exec, event, err);
    case EVENT_WAITING:
    case EVENT_DECISION:
    case EVENT_SIGNAL:
    case EVENT_TIMER:
    case EVENT_PAUSED:
    case EVENT_RESUMED: return check_wait_event(exec, event, err);
    case EVENT_STARTED: break;
    }
    return fold_refuse(err, event, "its kind is unknown");
}

int fold(engine_t *self, const struct event *event, struct err *err)
{
    self->ready_count = 0;
    self->work_count = 0;
    self->parted_count = 0;
    while (self->released_count > 0)
        free(self->released[--self->released_count].egress);
    if (event->kind == EVENT_STARTED)
        return fold_started(self, event, err);
    struct exec *exec = state_exec(self, event->execution);
    int r = check(exec, event, err);
    if (r)
        return r;
    exec->sequence = event->sequence;
    exec->time_us = event->time_us;
    switch (event->kind) {
    case EVENT_STEP: fold_step(self, exec, &event->step); break;
    case EVENT_LOST: fold_lost(exec, &event->lost); break;
    case EVENT_CANCEL: fold_cancel(self, exec); break;
    case EVENT_FAILING: fold_failing(self, exec, &event->failing); break;
    case EVENT_ENDED: fold_ended(self, exec, &event->ended); break;
    case EVENT_RESERVED:
    case EVENT_SETTLED:
    case EVENT_DELEGATED:
    case EVENT_REFUSED:
    case EVENT_ANSWERED:
    case EVENT_PATCHED: fold_call_event(self, exec, event); break;
    case EVENT_DECIDED: fold_decided(self, exec, &event->decided); break;
    case EVENT_REOPENED: fold_reopened(self, exec, &event->reopened); break;
    case EVENT_FORKED: fold_forked(self, exec, &event->forked); break;
    case EVENT_OWNED: fold_owned(exec, &event->owned); break;
    case EVENT_WAITING:
    case EVENT_DECISION:
    case EVENT_SIGNAL:
    case EVENT_TIMER:
    case EVENT_PAUSED:
    case EVENT_RESUMED: fold_wait_event(self, exec, event); break;
    case EVENT_STARTED: break;
    }
    return 0;
}

int engine_apply(engine_t *self, const struct event *event, struct err *err)
{
    arena_clear(self->scratch);
    size_t questions = self->questions_count;
    int r = fold(self, event, err);
    /* The journal has the answers, or INPUT_RESUME asks again. */
    self->questions_count = questions;
    return r;
}
