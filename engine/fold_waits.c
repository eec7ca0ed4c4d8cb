#include "base/limits.h"
#include "engine/state.h"
#include <stdlib.h>
#include <string.h>

/* The fold of what comes from outside and takes its time: approvals, timers, signals, pauses.
 *
 * A task that begins to wait leaves TASK_READY for TASK_WAITING. When what it waits for has come it
 * is TASK_READY again, and its result is the next step: so that what it gave is a step like any
 * other, and the same crash-safe way leads there after a restart. */

void waiting_free(struct waiting **self_p)
{
    struct waiting *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    free(self->signal);
    free(self->by);
    free(self->note);
    free(self->text);
    free(self->show);
    free(self->given);
    free(self);
}

static void signal_release(struct kept_signal *signal)
{
    free(signal->name);
    free(signal->payload);
}

void signals_free(struct exec *exec)
{
    for (uint32_t i = 0; i < exec->signals_count; i++)
        signal_release(&exec->signals[i]);
    free(exec->signals);
}

/* What was asked is in the journal; only what a second decision needs is kept. */
void fold_wait_left(struct exec *exec, struct waiting *waiting, bool ended)
{
    if (!list_empty(&waiting->link)) {
        list_remove(&waiting->link);
        exec->waits_count--;
        waiting->ended_us = exec->time_us;
    }
    if (waiting->end == WAIT_OPEN)
        waiting->end = WAIT_DROPPED;
    if (!ended)
        return;
    free(waiting->text);
    free(waiting->show);
    waiting->text = waiting->show = NULL;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static enum wait_kind wait_kind_of(const struct dag_node *node)
{
    switch (node->kind) {
    case DAG_APPROVE: return WAIT_APPROVAL;
    case DAG_WAIT: return WAIT_TIMER;
    case DAG_SIGNAL: return WAIT_SIGNAL;
    default: return 0;
    }
}

static int check_waiting(const struct exec *exec, const struct event *event, struct err *err)
{
    const struct event_waiting *waiting = &event->waiting;
    uint32_t index = exec_find(exec, waiting->path);
    if (index == NO_NODE)
        return fold_refuse(err, event, "there is no such task");
    const struct task *task = &exec->tasks[index];
    if (!task_active(task) || task->group || task_has_waited(task))
        return fold_refuse(err, event, "its task can't begin to wait");
    if (waiting->attempt != task->attempt)
        return fold_refuse(err, event, "its attempt is not the task's");
    if (waiting->kind != wait_kind_of(task_rules(exec, index)))
        return fold_refuse(err, event, "its node waits for something else, or for nothing");
    if (waiting->kind == WAIT_SIGNAL && (!waiting->signal || !*waiting->signal))
        return fold_refuse(err, event, "its signal has no name");
    if (waiting->due_us < 0 || (waiting->kind == WAIT_TIMER && waiting->due_us == 0))
        return fold_refuse(err, event, "it is never due");
    return 0;
}

static struct waiting *make_waiting(const struct exec *exec, uint32_t index,
                                    const struct event_waiting *from)
{
    struct waiting *self = xcalloc(1, sizeof *self);
    list_init(&self->link);
    self->task = index;
    self->attempt = from->attempt;
    self->kind = from->kind;
    self->sequence = exec->sequence;
    self->since_us = exec->time_us;
    self->due_us = from->due_us;
    memcpy(self->hash, from->hash, sizeof self->hash);
    if (from->kind == WAIT_SIGNAL)
        self->signal = xstrdup(from->signal);
    if (!datum_absent(&from->text))
        self->text = answer_new(&from->text, "");
    if (!datum_absent(&from->show))
        self->show = answer_new(&from->show, "");
    return self;
}

/* The wait is over: its task is ready, as of before, to give its result. */
static void end_wait(engine_t *self, struct exec *exec, struct waiting *waiting, enum wait_end end)
{
    waiting->end = end;
    fold_set_task(exec, waiting->task, TASK_READY);
    u32_push(&self->ready, &self->ready_count, &self->ready_capacity, waiting->task);
}

/* Takes the first signal of that name that was kept; NULL: there is none. */
static struct answer *take_kept(struct exec *exec, const char *name)
{
    for (uint32_t i = 0; i < exec->signals_count; i++) {
        struct kept_signal *signal = &exec->signals[i];
        if (strcmp(signal->name, name) != 0)
            continue;
        struct answer *payload = signal->payload;
        free(signal->name);
        exec->signals_bytes -= datum_size(&payload->datum);
        exec->signals_count--;
        memmove(signal, signal + 1, (exec->signals_count - i) * sizeof *signal);
        return payload;
    }
    return NULL;
}

static void fold_waiting(engine_t *self, struct exec *exec, const struct event_waiting *from)
{
    uint32_t index = exec_find(exec, from->path);
    struct task *task = &exec->tasks[index];
    waiting_free(&task->waiting);
    fold_set_task(exec, index, TASK_WAITING);
    task->waiting = make_waiting(exec, index, from);
    task->started_us = exec->time_us;
    list_push_back(&exec->waits[from->kind], &task->waiting->link);
    exec->waits_count++;
    struct answer *payload =
        from->kind == WAIT_SIGNAL ? take_kept(exec, task->waiting->signal) : NULL;
    if (!payload)
        return;
    task->waiting->given = payload;
    end_wait(self, exec, task->waiting, WAIT_SIGNALLED);
}

/* --- what ends a wait ------------------------------------------------------------------------- */

/* The open wait of that name; NULL: there is none. */
static struct waiting *open_wait(const struct exec *exec, const char *path, uint32_t attempt)
{
    uint32_t index = exec_find(exec, path);
    struct waiting *waiting = index == NO_NODE ? NULL : exec->tasks[index].waiting;
    return waiting && waiting->end == WAIT_OPEN && waiting->attempt == attempt ? waiting : NULL;
}

static int check_decision(const struct exec *exec, const struct event *event, struct err *err)
{
    const struct waiting *waiting = open_wait(exec, event->decision.path, event->decision.attempt);
    if (!waiting || waiting->kind != WAIT_APPROVAL)
        return fold_refuse(err, event, "no approval waits for it");
    return 0;
}

static void fold_decision(engine_t *self, struct exec *exec, const struct event_decision *decision)
{
    struct waiting *waiting = open_wait(exec, decision->path, decision->attempt);
    waiting->approved = decision->approved;
    waiting->by = xstrdup(decision->by ? decision->by : "");
    waiting->note = xstrdup(decision->note ? decision->note : "");
    if (!datum_absent(&decision->edited))
        waiting->given = answer_new(&decision->edited, "");
    end_wait(self, exec, waiting, WAIT_DECIDED);
}

struct waiting *fold_listener(const struct exec *exec, const char *name)
{
    const struct list *head = &exec->waits[WAIT_SIGNAL];
    for (struct list *at = head->next; at != head; at = at->next) {
        struct waiting *waiting = LIST_OWNER(at, struct waiting, link);
        if (strcmp(waiting->signal, name) == 0)
            return waiting;
    }
    return NULL;
}

static int check_signal(const struct exec *exec, const struct event *event, struct err *err)
{
    const struct event_signal *signal = &event->signal;
    if (!signal->name || !*signal->name)
        return fold_refuse(err, event, "it has no name");
    if (signal->payload.is_blob || datum_absent(&signal->payload))
        return fold_refuse(err, event, "its payload is not inline");
    if (exec->signals_count >= LIMIT_SIGNALS && !fold_listener(exec, signal->name))
        return fold_refuse(err, event, "too many signals are kept");
    return 0;
}

static void keep_signal(struct exec *exec, const struct event_signal *signal)
{
    if (exec->signals_count == exec->signals_capacity) {
        exec->signals_capacity = exec->signals_capacity ? 2 * exec->signals_capacity : 4;
        exec->signals = xrealloc(exec->signals, exec->signals_capacity * sizeof *exec->signals);
    }
    exec->signals[exec->signals_count++] = (struct kept_signal){
        .name = xstrdup(signal->name), .payload = answer_new(&signal->payload, "")};
    exec->signals_bytes += datum_size(&signal->payload);
}

static void fold_signal(engine_t *self, struct exec *exec, const struct event_signal *signal)
{
    struct waiting *waiting = fold_listener(exec, signal->name);
    if (!waiting) {
        keep_signal(exec, signal);
        return;
    }
    waiting->given = answer_new(&signal->payload, "");
    end_wait(self, exec, waiting, WAIT_SIGNALLED);
}

static int check_timer(const struct exec *exec, const struct event *event, struct err *err)
{
    const struct waiting *waiting = open_wait(exec, event->timer.path, event->timer.attempt);
    if (!waiting || waiting->due_us == 0 || waiting->kind != event->timer.kind)
        return fold_refuse(err, event, "nothing waits for it");
    return 0;
}

/* --- pauses ----------------------------------------------------------------------------------- */

static int check_pause(const struct exec *exec, const struct event *event, struct err *err)
{
    bool pauses = event->kind == EVENT_PAUSED;
    if (exec->paused == pauses)
        return fold_refuse(
            err, event, pauses ? "the execution is paused already" : "the execution is not paused");
    if (pauses && exec->status == EXECUTION_CANCELLING)
        return fold_refuse(err, event, "the execution is being cancelled");
    return 0;
}

static void fold_pause(struct exec *exec, bool pauses)
{
    exec->paused = pauses;
    exec->paused_sequence = pauses ? exec->sequence : 0;
    exec->paused_us = pauses ? exec->time_us : 0;
}

/* --- all kinds -------------------------------------------------------------------------------- */

int check_wait_event(const struct exec *exec, const struct event *event, struct err *err)
{
    switch (event->kind) {
    case EVENT_WAITING: return check_waiting(exec, event, err);
    case EVENT_DECISION: return check_decision(exec, event, err);
    case EVENT_SIGNAL: return check_signal(exec, event, err);
    case EVENT_TIMER: return check_timer(exec, event, err);
    default: return check_pause(exec, event, err);
    }
}

void fold_wait_event(engine_t *self, struct exec *exec, const struct event *event)
{
    switch (event->kind) {
    case EVENT_WAITING: fold_waiting(self, exec, &event->waiting); break;
    case EVENT_DECISION: fold_decision(self, exec, &event->decision); break;
    case EVENT_SIGNAL: fold_signal(self, exec, &event->signal); break;
    case EVENT_TIMER:
        end_wait(self, exec, open_wait(exec, event->timer.path, event->timer.attempt), WAIT_DUE);
        break;
    default: fold_pause(exec, event->kind == EVENT_PAUSED); break;
    }
}
