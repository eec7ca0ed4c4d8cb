#include "base/limits.h"
#include "engine/decide.h"
#include <string.h>

/* Approvals, timers and signals: what begins a wait, what ends it, and what it gives. Waits hold no
 * instance, no place of any parallelism and no memory but their own. */

/* --- begin ------------------------------------------------------------------------------------ */

/* What a decision is bound to: nobody approves what they have not seen. */
static void hash_shown(const struct datum *text, const struct datum *show,
                       uint8_t ret_hash[DATUM_HASH_BYTES])
{
    uint8_t both[2][DATUM_HASH_BYTES];
    const struct datum *parts[2] = {text, show};
    for (size_t i = 0; i < 2; i++) {
        if (parts[i]->is_blob)
            memcpy(both[i], parts[i]->hash, DATUM_HASH_BYTES);
        else
            datum_hash(parts[i]->inline_bytes, both[i]);
    }
    datum_hash(bytes_of(both, sizeof both), ret_hash);
}

static int fill_approval(struct call *call, struct exec *exec, uint32_t index,
                         struct event_waiting *waiting, struct err *err)
{
    const cel_t *show = task_rules(exec, index)->show;
    waiting->kind = WAIT_APPROVAL;
    int r = render_message(call, exec, index, &waiting->text, err);
    if (r)
        return r;
    if (show)
        r = render_expression(call, exec, index, show, &waiting->show, err);
    if (r)
        err_where(err, "show");
    else
        hash_shown(&waiting->text, &waiting->show, waiting->hash);
    return r;
}

static int fill_waiting(struct call *call, struct exec *exec, uint32_t index,
                        struct event_waiting *waiting, struct err *err)
{
    const struct dag_node *what = task_rules(exec, index);
    int64_t patience_us = what->kind == DAG_WAIT ? what->wait_us : what->timeout_us;
    *waiting = (struct event_waiting){
        .path = keep_text(call, task_path(exec, index)),
        .attempt = exec->tasks[index].attempt,
        .kind = what->kind == DAG_WAIT ? WAIT_TIMER : WAIT_SIGNAL,
        .signal = keep_text(call, what->signal),
        .due_us = patience_us > 0 ? event_time(call, exec) + patience_us : 0,
    };
    return what->kind == DAG_APPROVE ? fill_approval(call, exec, index, waiting, err) : 0;
}

int64_t wait_until(const struct task *task)
{
    return task->waiting->due_us > 0 ? task->waiting->due_us : INT64_MAX;
}

static void begin_wait(struct call *call, struct exec *exec, uint32_t index)
{
    struct event event = {.kind = EVENT_WAITING};
    struct err err = {0};
    if (fill_waiting(call, exec, index, &event.waiting, &err)) {
        task_fail(call, exec->tasks[index].live, (struct run){0, 0}, "expression",
                  keep_err(call, &err), true);
        return;
    }
    emit(call, exec, &event);
    const struct task *task = &exec->tasks[index];
    if (task->status == TASK_WAITING)
        live_park(call->engine, task->live, wait_until(task));
}

/* --- end -------------------------------------------------------------------------------------- */

static int decided_output(struct call *call, const struct waiting *waiting,
                          struct datum *ret_output, struct err *err)
{
    value_t *edited = NULL;
    value_t *output = value_map();
    int r = waiting->given ? render_read(call, &waiting->given->datum, &edited, err) : 0;
    if (r) {
        value_destroy(&output);
        return r;
    }
    value_set_bool(output, "approved", waiting->approved);
    value_set_string(output, "by", waiting->by);
    value_set_string(output, "note", waiting->note);
    if (edited)
        value_set(output, "edited", &edited);
    return render_value(call, &output, ret_output, err);
}

static const char *expiry_text(struct call *call, const struct waiting *waiting)
{
    if (waiting->kind == WAIT_APPROVAL)
        return "nobody decided in time";
    return arena_printf(&call->out->arena, "no signal \"%s\" came in time", waiting->signal);
}

/* A timer gives null. */
static int due_output(struct call *call, const struct exec *exec, const struct waiting *waiting,
                      struct datum *ret_output, struct err *err)
{
    const value_t *on_expiry = task_rules(exec, waiting->task)->on_expiry;
    value_t *output = waiting->kind == WAIT_TIMER ? value_null() : value_ref(on_expiry);
    return render_value(call, &output, ret_output, err);
}

static bool expires(const struct exec *exec, const struct waiting *waiting)
{
    return waiting->end == WAIT_DUE && waiting->kind != WAIT_TIMER &&
           !task_rules(exec, waiting->task)->on_expiry;
}

static void finish_wait(struct call *call, struct exec *exec, uint32_t index)
{
    const struct waiting *waiting = exec->tasks[index].waiting;
    struct event_step what = {0};
    struct err err = {0};
    int r = 0;
    if (expires(exec, waiting)) {
        task_fail(call, exec->tasks[index].live, (struct run){0, 0}, "expired",
                  expiry_text(call, waiting), true);
        return;
    }
    if (waiting->end == WAIT_DECIDED)
        r = decided_output(call, waiting, &what.output, &err);
    else if (waiting->end == WAIT_SIGNALLED)
        what.output = keep_datum(call, &waiting->given->datum);
    else
        r = due_output(call, exec, waiting, &what.output, &err);
    own_end(call, exec, index, &what, r, &err);
}

void wait_begin(struct call *call, struct exec *exec, uint32_t index)
{
    if (task_has_waited(&exec->tasks[index]))
        finish_wait(call, exec, index);
    else
        begin_wait(call, exec, index);
}

void wait_due(struct call *call, struct live *live)
{
    struct event event = {.kind = EVENT_TIMER,
                          .timer = {.path = keep_text(call, task_path(live->exec, live->node)),
                                    .attempt = live->exec->tasks[live->node].attempt,
                                    .kind = live->exec->tasks[live->node].waiting->kind}};
    emit(call, live->exec, &event);
}

/* --- decisions -------------------------------------------------------------------------------- */

int find_running(const struct call *call, struct uuid id, struct exec **ret_exec, struct err *err)
{
    struct exec *exec = state_exec(call->engine, id);
    if (!exec)
        return err_set(err, ERR_NOT_FOUND, "there is no such execution under way");
    if (exec_terminal(exec))
        return err_set(err, ERR_CONFLICT, "the execution has ended already (%s)",
                       execution_status_name(exec->status));
    *ret_exec = exec;
    return 0;
}

static bool same_edit(const struct waiting *waiting, const struct datum *edited)
{
    const struct datum none = {0};
    return datum_equal(waiting->given ? &waiting->given->datum : &none, edited);
}

/* The wait is over: the same decision again is no change, all else comes too late. */
static int decided_before(const struct waiting *waiting, const struct input_decision *in,
                          const struct datum *edited, struct err *err)
{
    switch (waiting->end) {
    case WAIT_DECIDED:
        if (waiting->approved == in->approved && same_edit(waiting, edited))
            return 0;
        return err_set(err, ERR_CONFLICT, "it was decided already: %s by %s",
                       waiting->approved ? "approved" : "rejected", waiting->by);
    case WAIT_DUE: return err_set(err, ERR_CONFLICT, "it has expired: nobody decided in time");
    default: return err_set(err, ERR_CONFLICT, "it is not asked any more: its task was given up");
    }
}

int input_decision(struct call *call, const struct input_decision *in, struct err *err)
{
    struct exec *exec = NULL;
    int r = find_running(call, in->execution, &exec, err);
    if (r)
        return r;
    uint32_t index = exec_find(exec, in->path);
    const struct waiting *waiting = index == NO_NODE ? NULL : exec->tasks[index].waiting;
    if (!waiting || waiting->kind != WAIT_APPROVAL ||
        (in->attempt > 0 && in->attempt != waiting->attempt))
        return err_set(err, ERR_NOT_FOUND, "no approval \"%.100s\" was asked of this execution",
                       in->path);
    if (in->hash && memcmp(in->hash, waiting->hash, DATUM_HASH_BYTES) != 0)
        return err_set(err, ERR_CONFLICT, "what is asked is not what was decided on: look again");
    struct datum edited = keep_datum(call, &in->edited);
    if (waiting->end != WAIT_OPEN)
        return decided_before(waiting, in, &edited, err);
    struct event event = {.kind = EVENT_DECISION,
                          .decision = {.path = keep_text(call, task_path(exec, index)),
                                       .attempt = waiting->attempt,
                                       .approved = in->approved,
                                       .by = keep_text(call, in->by),
                                       .note = keep_text(call, in->note),
                                       .edited = edited}};
    emit(call, exec, &event);
    settle(call, exec);
    return 0;
}

/* --- signals ---------------------------------------------------------------------------------- */

static bool waits_for(const struct exec *exec, const char *name)
{
    for (uint32_t i = 0; i < exec->nodes; i++) {
        const struct dag_node *node = dag_node(exec->dag, i);
        if (node->signal && strcmp(node->signal, name) == 0)
            return true;
    }
    return false;
}

static int check_signal(const struct exec *exec, const struct input_signal *in, struct err *err)
{
    uint64_t size = datum_size(&in->payload);
    if (exec->status == EXECUTION_CANCELLING)
        return err_set(err, ERR_CONFLICT, "the execution is being cancelled");
    if (!waits_for(exec, in->name)) {
        (void)err_set(err, ERR_NOT_FOUND, "no node of \"%s\" waits for a signal \"%.100s\"",
                      dag_name(exec->dag), in->name);
        err_fix(err, "the nodes of its definition that have wait: {signal: NAME} say which there "
                     "are");
        return ERR_NOT_FOUND;
    }
    if (in->payload.is_blob || size > LIMIT_INLINE_BYTES)
        return err_set(err, ERR_TOO_LARGE, "the payload of a signal is larger than %u bytes",
                       LIMIT_INLINE_BYTES);
    bool full =
        exec->signals_count >= LIMIT_SIGNALS || exec->signals_bytes + size > LIMIT_SIGNALS_BYTES;
    if (full && !fold_listener(exec, in->name))
        return err_set(err, ERR_LIMIT,
                       "%u signals with %llu bytes are kept for this execution, and nobody has "
                       "waited for them yet",
                       exec->signals_count, (unsigned long long)exec->signals_bytes);
    return 0;
}

int input_signal(struct call *call, const struct input_signal *in, struct err *err)
{
    struct exec *exec = NULL;
    int r = find_running(call, in->execution, &exec, err);
    if (!r)
        r = check_signal(exec, in, err);
    if (r)
        return r;
    struct event event = {.kind = EVENT_SIGNAL,
                          .signal = {.name = keep_text(call, in->name),
                                     .payload = keep_datum(call, &in->payload),
                                     .by = keep_text(call, in->by)}};
    emit(call, exec, &event);
    settle(call, exec);
    return 0;
}
