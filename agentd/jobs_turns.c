/* Does what the conversations of tasks say: asks models through egress, and reports. */
#include "agentd/jobs_core.h"
#include "base/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNDELIVERED_PAUSE_US = 500 * 1000 };

static void set_waits(jobs_t *self, struct turns *turns, bool waits)
{
    self->turns_waiting += (size_t)waits - (size_t)turns->waits;
    turns->waits = waits;
}

static void set_journal(jobs_t *self, struct turns *turns, uint32_t step)
{
    self->turns_unjournaled += (size_t)(step != 0) - (size_t)(turns->journal != 0);
    turns->journal = step;
}

void turns_set_wake(jobs_t *self, struct job *job)
{
    const struct turns *turns = job->turns;
    int64_t wake_us = INT64_MAX;
    if (job->transfer.correlation)
        wake_us = clock_earlier(wake_us, job->transfer.again_us);
    if (turns->history.correlation)
        wake_us = clock_earlier(wake_us, turns->history.again_us);
    if (turns->call.correlation)
        wake_us = clock_earlier(wake_us, turns->call.again_us);
    for (const struct tool *tool = turns->tools; tool; tool = tool->next)
        wake_us = clock_earlier(wake_us, tool->timeout_at_us);
    job->wake_at_us = wake_us;
    job_schedule(self, job);
}

/* --- begin and end -------------------------------------------------------------------------------
 */

static void set_egress(struct turns *turns, const char *egress)
{
    (void)snprintf(turns->egress, sizeof turns->egress, "%s", egress ? egress : "");
}

void turns_begin(jobs_t *self, struct job *job, const struct wire_dispatch *dispatch)
{
    struct turns *turns = xcalloc(1, sizeof *turns);
    turns->conversation = parked_take(&self->parked, dispatch->execution, dispatch->path);
    if (turns->conversation && !conversation_resume(turns->conversation, dispatch))
        conversation_destroy(&turns->conversation);
    if (!turns->conversation)
        turns->conversation = conversation_new(dispatch);
    set_egress(turns, dispatch->egress);
    turns->started_us = self->utc_us;
    job->turns = turns;
}

void turns_define(jobs_t *self, struct job *job)
{
    job->state = JOB_TURNS;
    buf_release(&job->message); /* the conversation has it */
    conversation_define(job->turns->conversation, job->version->def);
    turns_advance(self, job);
}

void turns_park(jobs_t *self, struct job *job)
{
    conversation_define(job->turns->conversation, NULL);
    parked_put(&self->parked, job->task->execution, job->task->path, &job->turns->conversation,
               self->now_us);
}

void turns_release(jobs_t *self, struct job *job)
{
    struct turns *turns = job->turns;
    tools_abandon(self, job);
    set_waits(self, turns, false);
    set_journal(self, turns, 0);
    conversation_destroy(&turns->conversation);
    buf_release(&turns->value);
    free(turns);
    job->turns = NULL;
}

/* --- reports -------------------------------------------------------------------------------------
 */

static void fill_step(const jobs_t *self, const struct job *job,
                      const struct conversation_report *report, const struct datum *output,
                      struct wire_step *ret_step)
{
    bool last = report->kind == CONVERSATION_RESULT || report->kind == CONVERSATION_FAILURE;
    enum wire_step_kind kind = report->kind == CONVERSATION_TURN          ? WIRE_STEP_TURN
                               : report->kind == CONVERSATION_TOOL_RESULT ? WIRE_STEP_TOOL_RESULT
                               : report->kind == CONVERSATION_RESULT      ? WIRE_STEP_RESULT
                                                                          : WIRE_STEP_FAILURE;
    *ret_step = (struct wire_step){
        .kind = kind,
        .started_us = last ? job->task->started_us : job->turns->started_us,
        .ended_us = self->utc_us,
        .turn = kind == WIRE_STEP_RESULT ? 0 : report->turn,
        .call = report->call,
        .calls = report->calls,
        .calls_count = report->calls_count,
        .usage = report->usage,
    };
    if (report->failure.code)
        ret_step->failure = report->failure;
    else
        ret_step->output = *output;
}

static void fill_item(const jobs_t *self, const struct job *job,
                      const struct conversation_report *report, const struct datum *output,
                      struct wire_item *ret_item)
{
    if (report->kind == CONVERSATION_DELEGATE) {
        *ret_item = (struct wire_item){.kind = WIRE_ITEM_DELEGATE,
                                       .delegate = {.turn = report->turn,
                                                    .call = report->call,
                                                    .agent = report->name,
                                                    .message = *output,
                                                    .context = datum_inline(report->context),
                                                    .hand_off = report->hand_off}};
    } else if (report->kind == CONVERSATION_TOOL_CALL) {
        *ret_item = (struct wire_item){.kind = WIRE_ITEM_TOOL_CALL,
                                       .tool_call = {.turn = report->turn,
                                                     .call = report->call,
                                                     .tool = report->name,
                                                     .arguments = *output}};
    } else {
        *ret_item = (struct wire_item){.kind = WIRE_ITEM_STEP};
        fill_step(self, job, report, output, &ret_item->step);
    }
}

/* Whether it is reported; else its output is on its way to the coordinator. */
static bool report(jobs_t *self, struct job *job, const struct conversation_report *report)
{
    struct turns *turns = job->turns;
    struct datum output = datum_inline(report->output);
    struct wire_item item;
    if (turns->stored) {
        output = transfer_datum(&job->transfer);
    } else if (report->output.size > LIMIT_INLINE_BYTES) {
        turns->stores = true;
        buf_clear(&turns->value);
        buf_append_bytes(&turns->value, report->output);
        transfer_put(&job->transfer, &turns->value);
        job_send_transfer(self, job);
        return false;
    }
    fill_item(self, job, report, &output, &item);
    tasks_report(self->options.tasks, job->task, &item);
    if (report->kind == CONVERSATION_TURN)
        set_journal(self, turns, item.step.number);
    if (turns->stored)
        buf_release(&turns->value);
    turns->stored = false;
    conversation_reported(turns->conversation);
    return true;
}

/* The last of what it had to say has been reported. */
static void finish(jobs_t *self, struct job *job, bool yields)
{
    struct task *task = job->task;
    if (yields)
        turns_park(self, job);
    job_destroy(self, job);
    if (yields)
        tasks_yield(self->options.tasks, task);
    else
        tasks_finish(self->options.tasks, task);
}

/* --- values that are fetched ---------------------------------------------------------------------
 */

static void fetch(jobs_t *self, struct job *job, const struct datum *blob)
{
    struct err err = {0};
    if (transfer_get(&job->transfer, blob, &job->turns->value, &err)) {
        job_fail_err(self, job, true, &err);
        return;
    }
    job_send_transfer(self, job);
}

void turns_transferred(jobs_t *self, struct job *job)
{
    struct turns *turns = job->turns;
    job->transfer.correlation = 0;
    if (turns->stores) {
        turns->stores = false;
        turns->stored = true;
    } else {
        conversation_blob(turns->conversation, buf_bytes(&turns->value));
        buf_release(&turns->value);
    }
    turns_advance(self, job);
}

/* --- calls of models -----------------------------------------------------------------------------
 */

static void say_call(jobs_t *self, struct job *job)
{
    struct turns *turns = job->turns;
    const struct task *task = job->task;
    struct wire_body body = {.kind = WIRE_CALL,
                             .call = {.key = {.execution = task->execution,
                                              .path = task->path,
                                              .attempt = task->attempt,
                                              .turn = conversation_calling(turns->conversation)},
                                      .run = task->run}};
    memcpy(body.call.request_hash, turns->request_hash, sizeof turns->request_hash);
    struct bytes request =
        turns->with_payload ? conversation_request(turns->conversation) : bytes_of(NULL, 0);
    jobs_ask(self, &turns->call, LIMIT_CALL_FIRST_US, LIMIT_CALL_MAX_US);
    jobs_send(self, turns->egress, &body, turns->call.correlation, request);
    conversation_forget_request(turns->conversation);
    turns->with_payload = false;
}

static void run(jobs_t *self, struct job *job)
{
    if (job->task->state == TASK_WAITING)
        tasks_run(self->options.tasks, job->task);
}

static void call(jobs_t *self, struct job *job, const struct conversation_next *next)
{
    struct turns *turns = job->turns;
    datum_hash(next->request, turns->request_hash);
    turns->call = (struct asking){0};
    turns->with_payload = true;
    turns->started_us = self->utc_us;
    conversation_called(turns->conversation);
    run(self, job);
    say_call(self, job);
}

/* The egress has no room now, or lost the grant: another one follows, or the same call is good by
 * and by. No reason to give the attempt up. */
static bool is_passing(const char *error)
{
    return strcmp(error, "unknown") == 0 || strcmp(error, "busy") == 0 ||
           strcmp(error, "no_grant") == 0;
}

static bool is_asked_for(const struct job *job, const struct wire_call_answer *answer)
{
    const struct turns *turns = job->turns;
    return turns && job->state == JOB_TURNS && answer->key.attempt == job->task->attempt &&
           answer->key.turn == conversation_calling(turns->conversation) && answer->key.turn &&
           memcmp(answer->request_hash, turns->request_hash, sizeof turns->request_hash) == 0;
}

void turns_receive_answer(jobs_t *self, const struct message *message)
{
    const struct wire_call_answer *answer = &message->body.call_answer;
    struct task *task = tasks_find(self->options.tasks, answer->key.execution, answer->key.path);
    struct job *job = task ? task->work : NULL;
    if (!job || job->stopped || !is_asked_for(job, answer))
        return;
    if (is_passing(answer->error)) {
        job->turns->with_payload = true;
        if (strcmp(answer->error, "unknown") == 0)
            say_call(self, job);
        turns_set_wake(self, job);
        return;
    }
    struct conversation_answer told = {.turn = message->payload,
                                       .error = answer->error,
                                       .what = answer->what,
                                       .permanent = answer->permanent,
                                       .usage = answer->usage};
    job->turns->call = (struct asking){0};
    conversation_answer(job->turns->conversation, &told);
    turns_advance(self, job);
}

void turns_granted(jobs_t *self, struct job *job, const struct wire_granted *granted)
{
    struct turns *turns = job->turns;
    set_egress(turns, granted->egress);
    conversation_granted(turns->conversation, granted->turn);
    if (!conversation_calling(turns->conversation))
        turns->call = (struct asking){0};
    if (job->state == JOB_TURNS && !job->stopped)
        turns_advance(self, job);
}

/* A call is said again in its own time, and without its request: requests are large, and many tasks
 * may wait for one egress. When it is back it says that it doesn't know the call. */
static void undelivered(jobs_t *self, struct job *job, uint64_t correlation)
{
    struct turns *turns = job->turns;
    if (turns->history.correlation != correlation)
        return;
    turns->history.again_us = self->now_us + UNDELIVERED_PAUSE_US;
    turns_set_wake(self, job);
}

void turns_undelivered(jobs_t *self, uint64_t correlation)
{
    for (struct job *job = correlation ? self->first : NULL; job; job = job->next)
        if (job->turns && job->state == JOB_TURNS)
            undelivered(self, job, correlation);
}

/* --- what is next --------------------------------------------------------------------------------
 */

/* Whether to look again: it was done, and the job is still there. */
static bool do_next(jobs_t *self, struct job *job, const struct conversation_next *next)
{
    struct turns *turns = job->turns;
    switch (next->what) {
    case CONVERSATION_WAIT: return false;
    case CONVERSATION_HISTORY:
        if (!turns->history.correlation)
            history_ask(self, job, next->from);
        return false;
    case CONVERSATION_BLOB:
        if (!job->transfer.correlation)
            fetch(self, job, &next->blob);
        return false;
    case CONVERSATION_REPORT: return !job->transfer.correlation && report(self, job, &next->report);
    case CONVERSATION_TOOL:
        if (self->lease && tools_start(self, job, next)) {
            run(self, job);
            return true;
        }
        set_waits(self, turns, true);
        return false;
    case CONVERSATION_CALL:
        if (!turns->egress[0])
            return false;
        if (!self->lease) {
            set_waits(self, turns, true);
            return false;
        }
        call(self, job, next);
        return true;
    case CONVERSATION_YIELD: finish(self, job, true); return false;
    case CONVERSATION_END: finish(self, job, false); return false;
    }
    return false;
}

void turns_advance(jobs_t *self, struct job *job)
{
    struct task *task = job->task;
    struct conversation_next next;
    if (job->stopped)
        return;
    set_waits(self, job->turns, false);
    do {
        conversation_next(job->turns->conversation, &next);
    } while (do_next(self, job, &next));
    if (task->work)
        turns_set_wake(self, job);
}

void turns_wake(jobs_t *self, struct job *job)
{
    struct turns *turns = job->turns;
    if (job->transfer.correlation && job->transfer.again_us <= self->now_us)
        job_send_transfer(self, job);
    if (turns->history.correlation && turns->history.again_us <= self->now_us)
        history_send(self, job);
    if (turns->call.correlation && turns->call.again_us <= self->now_us)
        say_call(self, job);
    tools_wake(self, job);
    turns_set_wake(self, job);
}

void turns_tick(jobs_t *self)
{
    struct job *next = NULL;
    for (struct job *job = self->first; job; job = next) {
        struct turns *turns = job->turns;
        next = job->next;
        if (!turns || job->state != JOB_TURNS)
            continue;
        bool journaled = turns->journal && job->task->acknowledged_step >= turns->journal;
        if (journaled) {
            set_journal(self, turns, 0);
            conversation_acknowledged(turns->conversation);
        }
        if (journaled || (turns->waits && self->lease))
            turns_advance(self, job);
    }
}
