#include "agentd/jobs.h"

#include "agentd/builtin.h"
#include "agentd/command.h"
#include "agentd/deadlines.h"
#include "agentd/outcome.h"
#include "agentd/transfer.h"
#include "base/clock.h"
#include "base/limits.h"
#include "definitions/versions.h"
#include <stdlib.h>
#include <string.h>

enum job_state { JOB_VERSION, JOB_FETCH, JOB_QUEUED, JOB_COMMAND, JOB_SLEEP, JOB_STORE };

struct job {
    struct job *next, *prev; /* of all jobs */
    struct job *queued;      /* the next in the queue */
    struct task *task;       /* whose `work` this is: both end together */
    enum job_state state;
    struct version *version;
    char *workflow;
    struct datum blob; /* the message, when it is large */
    struct buf message;
    int64_t deadline_utc_us;
    bool has_timeout;      /* its dispatch gave one; else the definition's counts */
    int64_t timeout_us;    /* what it was given, for the message; 0: none */
    int64_t timeout_at_us; /* INT64_MAX: none */
    int64_t wake_at_us;    /* what the state waits for; INT64_MAX: nothing */
    struct deadline deadline;
    struct transfer transfer;
    uint64_t command;
    enum { STOP_NONE, STOP_TIMEOUT, STOP_CANCEL } stopped;
    struct outcome outcome;
};

/* A command of a task that has left, until nothing of it is left either: a newer run of the same
 * task must not start beside it. */
struct dying {
    struct dying *next;
    uint64_t owner;
    struct uuid execution;
    char *path;
};

struct jobs {
    struct jobs_options options;
    int64_t now_us, utc_us;
    struct versions versions;
    struct version *newest;
    struct job *first, *queue;
    struct dying *dying;
    struct deadlines deadlines;
    uint64_t correlation;
    size_t running; /* jobs in JOB_COMMAND */
    struct sandbox sandbox;
    scratch_t *scratch;
    commands_t *commands; /* NULL until the first one */
    bool sweeping;
};

static void command_ended(void *context, uint64_t owner, const struct command_end *end);

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

/* --- the queue of commands that wait for a lease, a place, or the end of an older run ------------
 */

static void enqueue(jobs_t *self, struct job *job)
{
    struct job **link = &self->queue;
    while (*link)
        link = &(*link)->queued;
    *link = job;
    job->queued = NULL;
    job->state = JOB_QUEUED;
}

static void dequeue(jobs_t *self, struct job *job)
{
    struct job **link = &self->queue;
    while (*link && *link != job)
        link = &(*link)->queued;
    if (*link)
        *link = job->queued;
}

/* --- a job's time --------------------------------------------------------------------------------
 */

static void schedule(jobs_t *self, struct job *job)
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
    schedule(self, job);
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

static void job_destroy(jobs_t *self, struct job *job)
{
    if (job->state == JOB_QUEUED)
        dequeue(self, job);
    if (job->state == JOB_COMMAND)
        self->running--;
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

static void finish_with(jobs_t *self, struct job *job, const struct datum *output)
{
    write_step(self, job->task, output, NULL);
    job_destroy(self, job);
}

static void finish_failed(jobs_t *self, struct job *job)
{
    struct wire_failure failure = {.code = job->outcome.code,
                                   .message = buf_string(&job->outcome.message),
                                   .detail = buf_string(&job->outcome.detail),
                                   .permanent = job->outcome.permanent};
    write_step(self, job->task, NULL, &failure);
    job_destroy(self, job);
}

static void fail_err(jobs_t *self, struct job *job, bool permanent, const struct err *err)
{
    outcome_fail_err(&job->outcome, permanent, err);
    finish_failed(self, job);
}

/* Absent is null. */
static struct datum or_null(struct datum datum)
{
    return datum_absent(&datum) ? datum_inline(bytes_of("\xc0", 1)) : datum;
}

/* --- large values --------------------------------------------------------------------------------
 */

static void send_transfer(jobs_t *self, struct job *job)
{
    struct wire_body body;
    struct bytes payload;
    transfer_message(&job->transfer, &self->correlation, self->now_us, &body, &payload);
    self->options.send(self->options.context, &body, job->transfer.correlation, payload);
    job->wake_at_us = job->transfer.again_us;
    schedule(self, job);
}

static void store_output(jobs_t *self, struct job *job, struct buf *output)
{
    job->state = JOB_STORE;
    job->timeout_at_us = INT64_MAX; /* the work is done */
    transfer_put(&job->transfer, output);
    send_transfer(self, job);
}

static void finish_with_message(jobs_t *self, struct job *job)
{
    struct datum datum = job->blob.is_blob ? job->blob : datum_inline(buf_bytes(&job->message));
    datum = or_null(datum);
    finish_with(self, job, &datum);
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
        fail_err(self, job, true, &err);
        return;
    }
    struct builtin_answer answer;
    builtin_answer(builtin, message, job->task->attempt, &answer);
    value_destroy(&message);
    if (answer.failed) {
        fail_err(self, job, answer.permanent, &answer.error);
    } else if (answer.delay_us) {
        job->state = JOB_SLEEP;
        job->wake_at_us = self->now_us + answer.delay_us;
        tasks_run(self->options.tasks, job->task);
        schedule(self, job);
    } else {
        finish_with_message(self, job);
    }
}

/* --- commands ------------------------------------------------------------------------------------
 */

static int have_commands(jobs_t *self, struct err *err)
{
    if (self->commands)
        return 0;
    int rc = self->sandbox.self_pidfd > 0 ? 0 : sandbox_init(&self->sandbox, err);
    if (!rc && !self->scratch)
        rc = scratch_new(self->options.scratch_dir, self->options.instance, &self->scratch, err);
    if (rc)
        return rc;
    self->commands =
        commands_new(self->options.epoll_fd, &self->sandbox, self->scratch, command_ended, self);
    return 0;
}

static uint64_t memory_of(const jobs_t *self, const struct agent_def *def)
{
    uint64_t cap = self->options.memory_bytes;
    return cap && cap < def->memory_bytes ? cap : def->memory_bytes;
}

static struct outcome_task about(const jobs_t *self, const struct job *job)
{
    return (struct outcome_task){.execution = job->task->execution,
                                 .path = job->task->path,
                                 .workflow = job->workflow,
                                 .agent = self->options.agent,
                                 .attempt = job->task->attempt,
                                 .message = buf_bytes(&job->message),
                                 .deadline_us = job->deadline_utc_us};
}

static const char *search_path(void)
{
    const char *path = getenv("PATH");
    return path && path[0] ? path : "/usr/local/bin:/usr/bin:/bin";
}

/* What can't be mended by trying again gives a permanent failure. */
static int launch(jobs_t *self, struct job *job, bool *ret_permanent, struct err *err)
{
    const struct agent_def *def = job->version->def;
    struct outcome_task task = about(self, job);
    struct command_spec spec = {.memory_bytes = memory_of(self, def), .network = def->network};
    char *program = NULL, **argv = NULL, **env = NULL;
    struct buf input = {0};
    *ret_permanent = true;
    int rc =
        outcome_find_program(def->argv[0], self->options.agents_dir, search_path(), &program, err);
    if (!rc)
        rc = outcome_env(&task, self->options.agents_dir, def->env, &env, err);
    if (!rc)
        rc = outcome_input(&task, &input, err);
    if (!rc) {
        *ret_permanent = false;
        argv = outcome_argv(def->argv, self->options.agents_dir);
        spec.program = program;
        spec.argv = argv;
        spec.env = env;
        spec.input = buf_bytes(&input);
        rc = have_commands(self, err);
    }
    if (!rc)
        rc = commands_start(self->commands, &spec, job->task->id, &job->command, err);
    outcome_free_strings(&argv);
    outcome_free_strings(&env);
    buf_release(&input);
    free(program);
    return rc;
}

static void start_command(jobs_t *self, struct job *job)
{
    struct err err = {0};
    bool permanent = false;
    job->task->started_us = self->utc_us;
    int rc = launch(self, job, &permanent, &err);
    if (rc) {
        fail_err(self, job, permanent, &err);
        return;
    }
    job->state = JOB_COMMAND;
    self->running++;
    tasks_run(self->options.tasks, job->task);
}

static bool has_dying_run(const jobs_t *self, const struct task *task)
{
    for (const struct dying *dying = self->dying; dying; dying = dying->next)
        if (uuid_equal(dying->execution, task->execution) && strcmp(dying->path, task->path) == 0)
            return true;
    return false;
}

static void start_queued(jobs_t *self)
{
    struct job *next = NULL;
    for (struct job *job = self->queue; job; job = next) {
        next = job->queued;
        if (self->running >= tasks_parallel(self->options.tasks))
            return;
        if (has_dying_run(self, job->task))
            continue;
        dequeue(self, job);
        job->state = JOB_VERSION; /* on no queue, should it fail now */
        start_command(self, job);
    }
}

static void forget_dying(jobs_t *self, uint64_t owner)
{
    for (struct dying **link = &self->dying; *link; link = &(*link)->next) {
        if ((*link)->owner == owner) {
            struct dying *dying = *link;
            *link = dying->next;
            free(dying->path);
            free(dying);
            return;
        }
    }
}

static void add_dying(jobs_t *self, const struct task *task)
{
    struct dying *dying = xcalloc(1, sizeof *dying);
    dying->owner = task->id;
    dying->execution = task->execution;
    dying->path = xstrdup(task->path);
    dying->next = self->dying;
    self->dying = dying;
}

static void set_stopped(struct job *job)
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

static void command_ended(void *context, uint64_t owner, const struct command_end *end)
{
    jobs_t *self = context;
    struct task *task = tasks_get(self->options.tasks, owner);
    self->sweeping = true;
    if (!task || !task->work) {
        forget_dying(self, owner);
        return;
    }
    struct job *job = task->work;
    const struct agent_def *def = job->version->def;
    outcome_of_command(end, def->argv[0], memory_of(self, def), &job->outcome);
    if (job->stopped) {
        set_stopped(job);
        outcome_detail(&job->outcome, end->error_tail);
    }
    self->running--;
    job->state = JOB_STORE;
    if (job->outcome.failed) {
        finish_failed(self, job);
    } else if (job->outcome.output.size > LIMIT_INLINE_BYTES) {
        store_output(self, job, &job->outcome.output);
    } else {
        struct datum output = datum_inline(buf_bytes(&job->outcome.output));
        finish_with(self, job, &output);
    }
}

/* --- the way of a job ----------------------------------------------------------------------------
 */

static void begin(jobs_t *self, struct job *job)
{
    const struct agent_def *def = job->version->def;
    job->wake_at_us = INT64_MAX;
    schedule(self, job);
    if (def->answers == AGENT_BUILTIN)
        begin_builtin(self, job);
    else
        enqueue(self, job);
}

static void fetch_message(jobs_t *self, struct job *job)
{
    struct err err = {0};
    if (transfer_get(&job->transfer, &job->blob, &job->message, &err)) {
        fail_err(self, job, true, &err);
        return;
    }
    job->state = JOB_FETCH;
    send_transfer(self, job);
}

static void version_known(jobs_t *self, struct job *job)
{
    const struct version *version = job->version;
    if (version->state == VERSION_REFUSED) {
        fail_err(self, job, true, &version->refusal);
        return;
    }
    if (version->def->answers == AGENT_EXTERNAL) {
        outcome_fail(&job->outcome, "invalid", true,
                     "version %u of agent %s is external: a program of its own connects for it",
                     version->number, self->options.agent);
        finish_failed(self, job);
        return;
    }
    if (!job->has_timeout)
        set_timeout(self, job, version->def->timeout_us);
    if (is_echo(version->def))
        finish_with_message(self, job);
    else if (job->blob.is_blob)
        fetch_message(self, job);
    else
        begin(self, job);
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
    if (job->version->state != VERSION_ASKED)
        version_known(self, job);
}

void jobs_drop(jobs_t *self, struct task *task)
{
    struct job *job = task->work;
    if (!job)
        return;
    if (job->state == JOB_COMMAND) {
        add_dying(self, task);
        commands_kill(self->commands, job->command);
    }
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
    case TRANSFER_MORE: send_transfer(self, job); return;
    case TRANSFER_FAILED: fail_err(self, job, false, err); return;
    case TRANSFER_DONE: break;
    }
    if (job->state == JOB_FETCH) {
        begin(self, job);
        return;
    }
    struct datum datum = transfer_datum(&job->transfer);
    finish_with(self, job, &datum);
}

static void receive_blob(jobs_t *self, const struct message *message)
{
    struct job *job = self->first;
    while (job &&
           !(job->transfer.correlation && job->transfer.correlation == message->route.correlation))
        job = job->next;
    if (!job || (job->state != JOB_FETCH && job->state != JOB_STORE))
        return;
    struct err err = {0};
    enum transfer_result result = transfer_receive(&job->transfer, message->route.correlation,
                                                   &message->body, message->payload, &err);
    transferred(self, job, result, &err);
}

int jobs_receive(jobs_t *self, const struct message *message, struct err *err)
{
    if (message->body.kind == WIRE_UNDELIVERABLE)
        versions_undelivered(&self->versions, message->route.correlation, self->now_us);
    else if (message->body.kind != WIRE_REPLY)
        receive_blob(self, message);
    if (message->body.kind != WIRE_REPLY)
        return 0;
    struct err why = {0}, refusal = {0};
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
        self->options.send(self->options.context, &body, version->correlation, buf_bytes(&params));
        buf_release(&params);
    }
}

/* With a step, once nothing of the work is left. */
static void stop(jobs_t *self, struct job *job)
{
    job->timeout_at_us = INT64_MAX;
    if (job->state == JOB_COMMAND) {
        commands_kill(self->commands, job->command);
        schedule(self, job);
        return;
    }
    set_stopped(job);
    finish_failed(self, job);
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
    } else {
        CHECK(job->state == JOB_FETCH || job->state == JOB_STORE);
        send_transfer(self, job);
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
    if (self->queue && lease)
        start_queued(self);
    self->sweeping = self->sweeping && scratch_sweep(self->scratch);
    return self->queue && !lease;
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
    return self->queue != NULL;
}

bool jobs_effects(const jobs_t *self)
{
    return self->running > 0;
}

void jobs_stop_effects(jobs_t *self)
{
    struct job *next = NULL;
    for (struct job *job = self->first; job; job = next) {
        next = job->next;
        if (job->state == JOB_COMMAND) {
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
        forget_dying(self, self->dying->owner);
    scratch_destroy(&self->scratch);
    sandbox_release(&self->sandbox);
    versions_release(&self->versions);
    deadlines_release(&self->deadlines);
    free(self);
    *self_p = NULL;
}
