#include "agentd/jobs_core.h"

#include "agentd/builtin.h"
#include "base/clock.h"
#include <stdlib.h>
#include <string.h>

jobs_t *jobs_new(const struct jobs_options *options)
{
    jobs_t *self = xcalloc(1, sizeof *self);
    self->options = *options;
    self->versions.agent = options->agent;
    self->correlation = 1;
    self->newest = versions_use(&self->versions, 0, 0);
    return self;
}

void jobs_set_time(jobs_t *self, int64_t now_us, int64_t utc_us)
{
    self->now_us = now_us;
    self->utc_us = utc_us;
}

const struct agent_def *jobs_definition(const jobs_t *self)
{
    return self->newest->state == VERSION_READY ? self->newest->def : NULL;
}

/* --- a job's time --------------------------------------------------------------------------------
 */

void job_schedule(jobs_t *self, struct job *job)
{
    int64_t at_us = job->timeout_at_us < job->wake_at_us ? job->timeout_at_us : job->wake_at_us;
    if (at_us == INT64_MAX)
        deadlines_clear(&self->deadlines, &job->deadline);
    else
        deadlines_set(&self->deadlines, &job->deadline, at_us);
}

/* An attempt's time runs from when the instance took it; an execution's deadline ends it, too. */
static void set_timeout(jobs_t *self, struct job *job, int64_t timeout_us)
{
    job->timeout_us = timeout_us;
    job->timeout_at_us = timeout_us ? self->now_us + timeout_us : INT64_MAX;
    if (job->deadline_utc_us) {
        int64_t at_us = self->now_us + (job->deadline_utc_us - self->utc_us);
        if (at_us < job->timeout_at_us) {
            job->timeout_at_us = at_us;
            job->timeout_us = 0;
        }
    }
    job_schedule(self, job);
}

/* --- a job's begin and end -----------------------------------------------------------------------
 */

static struct job *job_new(jobs_t *self, struct task *task, const struct wire_dispatch *dispatch)
{
    struct job *job = xcalloc(1, sizeof *job);
    job->task = task;
    task->work = job;
    job->workflow = xstrdup(dispatch->workflow);
    job->deadline_utc_us = dispatch->deadline_us;
    job->wake_at_us = INT64_MAX;
    job->blob = dispatch->message;
    job->blob.inline_bytes = bytes_of(NULL, 0);
    buf_append_bytes(&job->message, dispatch->message.inline_bytes);
    job->has_timeout = dispatch->timeout_us != 0;
    set_timeout(self, job, (int64_t)dispatch->timeout_us);
    job->next = self->first;
    if (self->first)
        self->first->prev = job;
    self->first = job;
    return job;
}

void job_destroy(jobs_t *self, struct job *job)
{
    if (job->state == JOB_QUEUED)
        programs_dequeue(self, job);
    if (job->state == JOB_COMMAND)
        self->running--;
    if (job->turns)
        turns_release(self, job);
    deadlines_clear(&self->deadlines, &job->deadline);
    if (job->version)
        versions_unuse(&self->versions, job->version);
    if (job->prev)
        job->prev->next = job->next;
    else
        self->first = job->next;
    if (job->next)
        job->next->prev = job->prev;
    job->task->work = NULL;
    free(job->workflow);
    buf_release(&job->message);
    outcome_release(&job->outcome);
    free(job);
}

static void write_step(jobs_t *self, struct task *task, const struct datum *output,
                       const struct wire_failure *failure)
{
    struct wire_item item = {.kind = WIRE_ITEM_STEP,
                             .step = {.kind = failure ? WIRE_STEP_FAILURE : WIRE_STEP_RESULT,
                                      .started_us = task->started_us,
                                      .ended_us = self->utc_us}};
    if (failure)
        item.step.failure = *failure;
    else
        item.step.output = *output;
    tasks_report(self->options.tasks, task, &item);
    tasks_finish(self->options.tasks, task);
}

void job_finish_with(jobs_t *self, struct job *job, const struct datum *output)
{
    write_step(self, job->task, output, NULL);
    job_destroy(self, job);
}

void job_finish_failed(jobs_t *self, struct job *job)
{
    struct wire_failure failure = {.code = job->outcome.code,
                                   .message = buf_string(&job->outcome.message),
                                   .detail = buf_string(&job->outcome.detail),
                                   .permanent = job->outcome.permanent};
    write_step(self, job->task, NULL, &failure);
    job_destroy(self, job);
}

void job_fail_err(jobs_t *self, struct job *job, bool permanent, const struct err *err)
{
    outcome_fail_err(&job->outcome, permanent, err);
    job_finish_failed(self, job);
}

/* Absent is null. */
static struct datum or_null(struct datum datum)
{
    return datum_absent(&datum) ? datum_inline(bytes_of("\xc0", 1)) : datum;
}

/* --- messages ------------------------------------------------------------------------------------
 */

void jobs_send(jobs_t *self, const char *to, const struct wire_body *body, uint64_t correlation,
               struct bytes payload)
{
    self->options.send(self->options.context, to ? to : "coordinator", body, correlation, payload);
}

void jobs_ask(jobs_t *self, struct asking *asking, int64_t first_us, int64_t max_us)
{
    if (!asking->correlation)
        *asking = (struct asking){.correlation = self->correlation++, .pause_us = first_us};
    else
        asking->pause_us = asking->pause_us < max_us / 2 ? asking->pause_us * 2 : max_us;
    asking->again_us = self->now_us + asking->pause_us;
}

/* --- large values --------------------------------------------------------------------------------
 */

void job_send_transfer(jobs_t *self, struct job *job)
{
    struct wire_body body;
    struct bytes payload;
    transfer_message(&job->transfer, &self->correlation, self->now_us, &body, &payload);
    jobs_send(self, NULL, &body, job->transfer.correlation, payload);
    if (job->state == JOB_TURNS) {
        turns_set_wake(self, job);
        return;
    }
    job->wake_at_us = job->transfer.again_us;
    job_schedule(self, job);
}

void job_store_output(jobs_t *self, struct job *job, struct buf *output)
{
    job->state = JOB_STORE;
    job->timeout_at_us = INT64_MAX; /* the work is done */
    transfer_put(&job->transfer, output);
    job_send_transfer(self, job);
}

static void finish_with_message(jobs_t *self, struct job *job)
{
    struct datum datum = job->blob.is_blob ? job->blob : datum_inline(buf_bytes(&job->message));
    datum = or_null(datum);
    job_finish_with(self, job, &datum);
}

/* --- builtins ------------------------------------------------------------------------------------
 */

static bool is_echo(const struct agent_def *def)
{
    return def->answers == AGENT_BUILTIN && strcmp(def->builtin, "echo") == 0;
}

static void begin_builtin(jobs_t *self, struct job *job)
{
    struct err err = {0};
    enum builtin builtin;
    value_t *message = NULL;
    if (builtin_from_name(job->version->def->builtin, &builtin, &err) ||
        value_from_msgpack(job->message.size ? buf_bytes(&job->message) : bytes_of("\xc0", 1),
                           &message, &err)) {
        job_fail_err(self, job, true, &err);
        return;
    }
    struct builtin_answer answer;
    builtin_answer(builtin, message, job->task->attempt, &answer);
    value_destroy(&message);
    if (answer.failed) {
        job_fail_err(self, job, answer.permanent, &answer.error);
    } else if (answer.delay_us) {
        job->state = JOB_SLEEP;
        job->wake_at_us = self->now_us + answer.delay_us;
        tasks_run(self->options.tasks, job->task);
        job_schedule(self, job);
    } else {
        finish_with_message(self, job);
    }
}

/* --- the way of a job ----------------------------------------------------------------------------
 */

static void begin(jobs_t *self, struct job *job)
{
    const struct agent_def *def = job->version->def;
    job->wake_at_us = INT64_MAX;
    job_schedule(self, job);
    if (def->answers == AGENT_BUILTIN)
        begin_builtin(self, job);
    else
        programs_enqueue(self, job);
}

static void fetch_message(jobs_t *self, struct job *job)
{
    struct err err = {0};
    if (transfer_get(&job->transfer, &job->blob, &job->message, &err)) {
        job_fail_err(self, job, true, &err);
        return;
    }
    job->state = JOB_FETCH;
    job_send_transfer(self, job);
}

static void version_known(jobs_t *self, struct job *job)
{
    const struct version *version = job->version;
    if (version->state == VERSION_REFUSED) {
        job_fail_err(self, job, true, &version->refusal);
        return;
    }
    if (version->def->answers == AGENT_EXTERNAL) {
        outcome_fail(&job->outcome, "invalid", true,
                     "version %u of agent %s is external: a program of its own connects for it",
                     version->number, self->options.agent);
        job_finish_failed(self, job);
        return;
    }
    if (!job->has_timeout)
        set_timeout(self, job, version->def->timeout_us);
    if (version->def->answers == AGENT_MODEL) {
        turns_define(self, job);
        return;
    }
    if (job->turns)
        turns_release(self, job);
    if (is_echo(version->def))
        finish_with_message(self, job);
    else if (job->blob.is_blob)
        fetch_message(self, job);
    else
        begin(self, job);
}

void jobs_granted(jobs_t *self, struct task *task, const struct wire_granted *granted)
{
    struct job *job = task->work;
    if (job && job->turns)
        turns_granted(self, job, granted);
}

void jobs_take(jobs_t *self, struct task *task, const struct wire_dispatch *dispatch)
{
    uint32_t number = dispatch->agent_version ? dispatch->agent_version : self->newest->number;
    struct version *version = versions_ready(&self->versions, number);
    task->started_us = self->utc_us;
    if (version && is_echo(version->def)) {
        struct datum output = or_null(dispatch->message);
        write_step(self, task, &output, NULL);
        return;
    }
    struct job *job = job_new(self, task, dispatch);
    job->version = versions_use(&self->versions, number, self->now_us);
    if (!version || version->def->answers == AGENT_MODEL)
        turns_begin(self, job, dispatch);
    if (job->version->state != VERSION_ASKED)
        version_known(self, job);
}

void jobs_drop(jobs_t *self, struct task *task)
{
    struct job *job = task->work;
    if (!job)
        return;
    if (job->state == JOB_COMMAND)
        programs_abandon(self, task, task->id, job->command);
    if (job->turns)
        turns_park(self, job);
    job_destroy(self, job);
}

/* --- what arrives --------------------------------------------------------------------------------
 */

static void version_arrived(jobs_t *self, const struct version *version)
{
    struct job *next = NULL;
    for (struct job *job = self->first; job; job = next) {
        next = job->next;
        if (job->state == JOB_VERSION && job->version == version)
            version_known(self, job);
    }
}

/* A newer definition says anew how many tasks at a time. */
static void note_newest(jobs_t *self, struct version *version)
{
    if (version == self->newest || version->number <= self->newest->number ||
        version->state != VERSION_READY)
        return;
    struct version *older = self->newest;
    self->newest = versions_use(&self->versions, version->number, self->now_us);
    versions_unuse(&self->versions, older);
    tasks_set_parallel(self->options.tasks, self->newest->def->parallel);
}

static void transferred(jobs_t *self, struct job *job, enum transfer_result result,
                        const struct err *err)
{
    switch (result) {
    case TRANSFER_OTHER: return;
    case TRANSFER_MORE: job_send_transfer(self, job); return;
    case TRANSFER_FAILED: job_fail_err(self, job, false, err); return;
    case TRANSFER_DONE: break;
    }
    if (job->state == JOB_FETCH) {
        begin(self, job);
        return;
    }
    if (job->state == JOB_TURNS) {
        turns_transferred(self, job);
        return;
    }
    struct datum datum = transfer_datum(&job->transfer);
    job_finish_with(self, job, &datum);
}

static void receive_blob(jobs_t *self, const struct message *message)
{
    struct job *job = self->first;
    while (job &&
           !(job->transfer.correlation && job->transfer.correlation == message->route.correlation))
        job = job->next;
    if (!job || (job->state != JOB_FETCH && job->state != JOB_STORE && job->state != JOB_TURNS))
        return;
    struct err err = {0};
    enum transfer_result result = transfer_receive(&job->transfer, message->route.correlation,
                                                   &message->body, message->payload, &err);
    transferred(self, job, result, &err);
}

int jobs_receive(jobs_t *self, const struct message *message, struct err *err)
{
    struct err why = {0}, refusal = {0};
    switch (message->body.kind) {
    case WIRE_UNDELIVERABLE:
        versions_undelivered(&self->versions, message->route.correlation, self->now_us);
        turns_undelivered(self, message->route.correlation);
        return 0;
    case WIRE_BLOB_CHUNK:
    case WIRE_BLOB_STORED: receive_blob(self, message); return 0;
    case WIRE_CALL_ANSWER: turns_receive_answer(self, message); return 0;
    case WIRE_REPLY: break;
    default: return 0;
    }
    if (history_receive(self, message))
        return 0;
    bool refused = wire_reply_error(&message->body.reply, &refusal) != 0;
    struct version *version =
        versions_receive(&self->versions, message->route.correlation, refused ? &refusal : NULL,
                         message->payload, self->now_us, &why);
    if (version) {
        version->users++; /* holds it while its jobs end */
        version_arrived(self, version);
        note_newest(self, version);
        versions_unuse(&self->versions, version);
    }
    if (why.code && err)
        *err = why;
    return why.code;
}

void jobs_event(jobs_t *self, uint64_t data)
{
    if (self->commands)
        commands_event(self->commands, data);
}

/* --- time ----------------------------------------------------------------------------------------
 */

static void ask_for_versions(jobs_t *self)
{
    struct version *version = NULL;
    while ((version = versions_due(&self->versions, self->now_us))) {
        struct buf params = {0};
        struct wire_body body = {.kind = WIRE_REQUEST, .request = {.method = "agents.get"}};
        versions_request(version, &self->correlation, self->now_us, &params);
        jobs_send(self, NULL, &body, version->correlation, buf_bytes(&params));
        buf_release(&params);
    }
}

void job_set_stopped(struct job *job)
{
    char text[CLOCK_TEXT_SIZE];
    if (job->stopped == STOP_CANCEL)
        outcome_fail(&job->outcome, "cancelled", true, "it was stopped");
    else if (job->timeout_us)
        outcome_fail(&job->outcome, "timeout", false, "it took longer than its timeout of %s",
                     duration_format(job->timeout_us, text));
    else
        outcome_fail(&job->outcome, "limit", true, "the execution's limit of time is reached");
}

/* With a step, once nothing of the work is left. */
static void stop(jobs_t *self, struct job *job)
{
    job->timeout_at_us = INT64_MAX;
    if (job->state == JOB_COMMAND || (job->turns && job->turns->tools)) {
        if (job->state == JOB_COMMAND)
            commands_kill(self->commands, job->command);
        else
            tools_kill(self, job);
        job_schedule(self, job);
        return;
    }
    job_set_stopped(job);
    job_finish_failed(self, job);
}

void jobs_cancel(jobs_t *self, struct task *task)
{
    struct job *job = task->work;
    if (job->stopped == STOP_CANCEL)
        return;
    job->stopped = STOP_CANCEL;
    stop(self, job);
}

static void job_due(jobs_t *self, struct job *job)
{
    if (job->timeout_at_us <= self->now_us) {
        job->stopped = STOP_TIMEOUT;
        stop(self, job);
    } else if (job->state == JOB_SLEEP) {
        finish_with_message(self, job);
    } else if (job->state == JOB_TURNS) {
        turns_wake(self, job);
    } else {
        CHECK(job->state == JOB_FETCH || job->state == JOB_STORE);
        job_send_transfer(self, job);
    }
}

bool jobs_tick(jobs_t *self, bool lease)
{
    ask_for_versions(self);
    for (struct deadline *first = NULL; (first = deadlines_first(&self->deadlines));) {
        if (first->at_us > self->now_us)
            break;
        job_due(self, (struct job *)((char *)first - offsetof(struct job, deadline)));
    }
    self->lease = lease;
    if (self->queue && lease)
        programs_start_queued(self);
    if (self->turns_waiting || self->turns_unjournaled)
        turns_tick(self);
    self->lease = false;
    parked_expire(&self->parked, self->now_us - LIMIT_AGENTD_PARKED_US);
    self->sweeping = self->sweeping && scratch_sweep(self->scratch);
    return jobs_waiting(self) && !lease;
}

int64_t jobs_deadline(const jobs_t *self)
{
    if (self->sweeping)
        return self->now_us;
    int64_t deadline_us = versions_deadline(&self->versions);
    const struct deadline *first = deadlines_first(&self->deadlines);
    return first && first->at_us < deadline_us ? first->at_us : deadline_us;
}

bool jobs_waiting(const jobs_t *self)
{
    return self->queue || self->turns_waiting;
}

bool jobs_effects(const jobs_t *self)
{
    return self->running > 0 || self->tools_running > 0;
}

void jobs_stop_effects(jobs_t *self)
{
    struct job *next = NULL;
    for (struct job *job = self->first; job; job = next) {
        next = job->next;
        if (job->state == JOB_COMMAND || (job->turns && job->turns->tools)) {
            struct task *task = job->task;
            jobs_drop(self, task);
            tasks_drop(self->options.tasks, &task);
        }
    }
}

const char *jobs_shortfall(const jobs_t *self)
{
    return self->sandbox.shortfall;
}

void jobs_destroy(jobs_t **self_p)
{
    jobs_t *self = *self_p;
    if (!self)
        return;
    while (self->first)
        job_destroy(self, self->first);
    commands_destroy(&self->commands);
    while (self->dying)
        programs_forget_dying(self, self->dying->owner);
    parked_release(&self->parked);
    scratch_destroy(&self->scratch);
    sandbox_release(&self->sandbox);
    versions_release(&self->versions);
    deadlines_release(&self->deadlines);
    free(self);
    *self_p = NULL;
}
