#include "agentd/jobs_core.h"
#include "base/clock.h"
#include <stdlib.h>
#include <string.h>

static void command_ended(void *context, uint64_t owner, const struct command_end *end);

/* --- the queue of commands that wait for a lease, a place, or the end of an older run ------------
 */

void programs_enqueue(jobs_t *self, struct job *job)
{
    struct job **link = &self->queue;
    while (*link)
        link = &(*link)->queued;
    *link = job;
    job->queued = NULL;
    job->state = JOB_QUEUED;
}

void programs_dequeue(jobs_t *self, struct job *job)
{
    struct job **link = &self->queue;
    while (*link && *link != job)
        link = &(*link)->queued;
    if (*link)
        *link = job->queued;
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

uint64_t programs_memory(const jobs_t *self, const struct agent_def *def)
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

int programs_start(jobs_t *self, const struct job *job, const struct program *started,
                   uint64_t owner, uint64_t *ret_id, bool *ret_permanent, struct err *err)
{
    const struct agent_def *def = job->version->def;
    const char *agents_dir = self->options.agents_dir;
    struct outcome_task task = about(self, job);
    struct command_spec spec = {.memory_bytes = programs_memory(self, def),
                                .network = started->network,
                                .input = started->input};
    char *program = NULL, **argv = NULL, **env = NULL;
    *ret_permanent = true;
    int rc = outcome_find_program(started->argv[0], agents_dir, search_path(), &program, err);
    if (!rc)
        rc = outcome_env(&task, agents_dir, def->env, &env, err);
    if (!rc) {
        *ret_permanent = false;
        argv = outcome_argv(started->argv, agents_dir);
        spec.program = program;
        spec.argv = argv;
        spec.env = env;
        rc = have_commands(self, err);
    }
    if (!rc)
        rc = commands_start(self->commands, &spec, owner, ret_id, err);
    outcome_free_strings(&argv);
    outcome_free_strings(&env);
    free(program);
    return rc;
}

static int launch(jobs_t *self, struct job *job, bool *ret_permanent, struct err *err)
{
    const struct agent_def *def = job->version->def;
    struct outcome_task task = about(self, job);
    struct buf input = {0};
    *ret_permanent = true;
    int rc = outcome_input(&task, &input, err);
    if (!rc) {
        struct program program = {
            .argv = def->argv, .input = buf_bytes(&input), .network = def->network};
        rc = programs_start(self, job, &program, job->task->id, &job->command, ret_permanent, err);
    }
    buf_release(&input);
    return rc;
}

static void start_command(jobs_t *self, struct job *job)
{
    struct err err = {0};
    bool permanent = false;
    job->task->started_us = self->utc_us;
    int rc = launch(self, job, &permanent, &err);
    if (rc) {
        job_fail_err(self, job, permanent, &err);
        return;
    }
    job->state = JOB_COMMAND;
    self->running++;
    tasks_run(self->options.tasks, job->task);
}

bool programs_has_dying(const jobs_t *self, const struct task *task)
{
    for (const struct dying *dying = self->dying; dying; dying = dying->next)
        if (uuid_equal(dying->execution, task->execution) && strcmp(dying->path, task->path) == 0)
            return true;
    return false;
}

void programs_start_queued(jobs_t *self)
{
    struct job *next = NULL;
    for (struct job *job = self->queue; job; job = next) {
        next = job->queued;
        if (self->running >= tasks_parallel(self->options.tasks))
            return;
        if (programs_has_dying(self, job->task))
            continue;
        programs_dequeue(self, job);
        job->state = JOB_VERSION; /* on no queue, should it fail now */
        start_command(self, job);
    }
}

void programs_forget_dying(jobs_t *self, uint64_t owner)
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

void programs_abandon(jobs_t *self, const struct task *task, uint64_t owner, uint64_t id)
{
    struct dying *dying = xcalloc(1, sizeof *dying);
    dying->owner = owner;
    dying->execution = task->execution;
    dying->path = xstrdup(task->path);
    dying->next = self->dying;
    self->dying = dying;
    commands_kill(self->commands, id);
}

static void command_ended(void *context, uint64_t owner, const struct command_end *end)
{
    jobs_t *self = context;
    self->sweeping = true;
    if (owner >= TOOL_OWNERS) {
        tools_ended(self, owner, end);
        return;
    }
    struct task *task = tasks_get(self->options.tasks, owner);
    if (!task || !task->work) {
        programs_forget_dying(self, owner);
        return;
    }
    struct job *job = task->work;
    const struct agent_def *def = job->version->def;
    outcome_of_command(end, def->argv[0], programs_memory(self, def), &job->outcome);
    if (job->stopped) {
        job_set_stopped(job);
        outcome_detail(&job->outcome, end->error_tail);
    }
    self->running--;
    job->state = JOB_STORE;
    if (job->outcome.failed) {
        job_finish_failed(self, job);
    } else if (job->outcome.output.size > LIMIT_INLINE_BYTES) {
        job_store_output(self, job, &job->outcome.output);
    } else {
        struct datum output = datum_inline(buf_bytes(&job->outcome.output));
        job_finish_with(self, job, &output);
    }
}
