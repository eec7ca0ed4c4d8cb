#include "tests/sim/instance_core.h"

#include <stdlib.h>
#include <string.h>

/* --- answers ---------------------------------------------------------------------------------- */

/* The output says which run made it, so that whoever finds it in a journal can compare. */
void jobs_pack_output(const struct instance *self, const struct task *task, struct buf *out)
{
    value_t *value = value_map();
    value_set_int(value, "epoch", (int64_t)task->run.epoch);
    value_set_int(value, "counter", (int64_t)task->run.counter);
    value_set_int(value, "n", (int64_t)(task->run.counter % 10));
    value_set_string(value, "by", self->proc.name);
    value_to_msgpack(value, out);
    value_destroy(&value);
}

static void write_step(struct instance *self, struct task *task, const struct wire_failure *failure)
{
    struct buf output = {0};
    struct wire_item item = {.kind = WIRE_ITEM_STEP,
                             .step = {.kind = failure ? WIRE_STEP_FAILURE : WIRE_STEP_RESULT,
                                      .started_us = task->started_us,
                                      .ended_us = self->utc_us}};
    if (failure) {
        item.step.failure = *failure;
    } else {
        jobs_pack_output(self, task, &output);
        item.step.output = datum_inline(buf_bytes(&output));
    }
    tasks_report(self->tasks, task, &item);
    buf_release(&output);
    tasks_finish(self->tasks, task);
}

/* --- jobs ------------------------------------------------------------------------------------- */

void jobs_forget(struct instance *self, struct job *job)
{
    struct job **link = &self->jobs;
    while (*link != job)
        link = &(*link)->next;
    *link = job->next;
    job->task->work = NULL;
    talks_release(self, job, false);
    free(job);
}

void jobs_finish(struct instance *self, struct job *job, const char *code, bool permanent)
{
    const struct wire_failure failure = {.code = code, .message = "sim", .permanent = permanent};
    struct task *task = job->task;
    if (job->state == JOB_COMMAND)
        self->running--;
    jobs_forget(self, job);
    write_step(self, task, code ? &failure : NULL);
}

void jobs_take(struct instance *self, struct task *task, const struct wire_dispatch *dispatch)
{
    struct prng *prng = &self->world->prng;
    task->started_us = self->utc_us;
    if (self->agent->kind == KIND_ECHO) {
        write_step(self, task, NULL);
        return;
    }
    struct job *job = xcalloc(1, sizeof *job);
    struct job **link = &self->jobs;
    while (*link)
        link = &(*link)->next;
    *link = job;
    job->task = task;
    task->work = job;
    job->wake_at_us = SIM_NEVER;
    job->timeout_at_us =
        dispatch->timeout_us ? self->now_us + (int64_t)dispatch->timeout_us : SIM_NEVER;
    if (dispatch->deadline_us) {
        int64_t at_us = self->now_us + (dispatch->deadline_us - self->utc_us);
        job->limited = at_us < job->timeout_at_us;
        if (job->limited)
            job->timeout_at_us = at_us;
    }
    if (self->sends_wrong && !self->world->calm && prng_chance(prng, 60)) {
        /* A program that never answers, and knows of no timeout. */
        job->state = JOB_MUTE;
        job->timeout_at_us = SIM_NEVER;
        tasks_run(self->tasks, task);
    } else if (self->agent->kind == KIND_SLEEP) {
        job->state = JOB_SLEEP;
        job->wake_at_us = self->now_us + prng_skewed(prng, MS, self->agent->duration_most_us);
        tasks_run(self->tasks, task);
    } else if (self->agent->kind == KIND_MODEL) {
        job->state = JOB_TALK;
        talks_take(self, job, dispatch);
    }
}

/* --- commands --------------------------------------------------------------------------------- */

static void unlink_command(struct instance *self, struct command *command)
{
    struct command **link = &self->commands;
    while (*link != command)
        link = &(*link)->next;
    *link = command->next;
    free(command);
}

static struct command *find_command(struct instance *self, uint64_t number)
{
    struct command *command = self->commands;
    while (command && command->number != number)
        command = command->next;
    return command;
}

/* The end of a command as the world has it; a stopped host stops its commands, too. */
static void command_over(struct world *world, void *context, uint64_t number)
{
    struct instance *self = context;
    struct command *command = find_command(self, number);
    if (!command || command->over)
        return;
    if (self->proc.frozen) {
        world_at(world, world->now_us + 20 * MS, command_over, self, number);
        return;
    }
    if (!command->killed)
        observer_effect_ended(world, self->index, &command->what, "ends");
    command->over = true;
    proc_wake(&self->proc, world->now_us);
}

/* SIGKILL: nothing of it runs any more; that it is over is seen a little later. */
static void kill_command(struct instance *self, struct command *command)
{
    struct world *world = self->world;
    if (command->killed || command->over)
        return;
    observer_effect_ended(world, self->index, &command->what, "is killed");
    command->killed = true;
    world_at(world, world->now_us + prng_skewed(&world->prng, 100, 200 * MS), command_over, self,
             command->number);
}

struct command *jobs_start_command(struct instance *self, struct job *job,
                                   const struct sim_task *what)
{
    struct world *world = self->world;
    struct command *command;
    if (!proc_effect(&self->proc))
        return NULL;
    command = xcalloc(1, sizeof *command);
    command->instance = self;
    command->number = ++world->fleet->commands;
    command->task = job->task->id;
    command->what = *what;
    command->fails = !world->calm && prng_chance(&world->prng, world->plan->fail_permille);
    command->permanent = command->fails && prng_chance(&world->prng, 150);
    command->hangs = !world->calm && prng_chance(&world->prng, world->plan->hang_permille);
    command->next = self->commands;
    self->commands = command;
    self->running++;
    observer_effect_started(world, self->index, &command->what);
    command->over_us = SIM_NEVER;
    if (!command->hangs) {
        command->over_us =
            world->now_us + prng_skewed(&world->prng, MS, self->agent->duration_most_us);
        world_at(world, command->over_us, command_over, self, command->number);
    }
    return command;
}

static void start_command(struct instance *self, struct job *job)
{
    const struct sim_task what = instance_task(job->task);
    job->command = jobs_start_command(self, job, &what);
    if (!job->command)
        return;
    job->state = JOB_COMMAND;
    job->task->started_us = self->utc_us;
    tasks_run(self->tasks, job->task);
}

bool jobs_has_dying_run(const struct instance *self, const struct task *task)
{
    for (const struct command *command = self->commands; command; command = command->next)
        if (command->killed && uuid_equal(command->what.execution, task->execution) &&
            strcmp(command->what.path, task->path) == 0)
            return true;
    return false;
}

static void start_queued(struct instance *self)
{
    struct job *next = NULL;
    for (struct job *job = self->jobs; job && !self->proc.dying; job = next) {
        next = job->next;
        if (job->state != JOB_QUEUED || jobs_has_dying_run(self, job->task))
            continue;
        if (self->running >= tasks_parallel(self->tasks))
            return;
        start_command(self, job);
    }
}

static void see_end(struct instance *self, struct command *command)
{
    struct task *task = tasks_get(self->tasks, command->task);
    struct job *job = task ? task->work : NULL;
    if (command->tool) {
        if (job)
            talks_tool_over(self, job, command);
    } else if (job && job->command == command) {
        if (job->stopped)
            jobs_finish(self, job, job->stopped, strcmp(job->stopped, "timeout") != 0);
        else
            jobs_finish(self, job, command->fails ? "exit" : NULL, command->permanent);
    }
    unlink_command(self, command);
}

void jobs_see_ends(struct instance *self)
{
    struct command *next = NULL;
    for (struct command *command = self->commands; command; command = next) {
        next = command->next;
        if (command->over)
            see_end(self, command);
    }
}

void jobs_kill_tools(struct instance *self, const struct job *job)
{
    for (struct command *command = self->commands; command; command = command->next)
        if (command->tool && command->task == job->task->id)
            kill_command(self, command);
}

void jobs_drop(struct instance *self, struct task *task)
{
    struct job *job = task->work;
    if (!job)
        return;
    if (job->state == JOB_COMMAND) {
        self->running--;
        kill_command(self, job->command);
    } else if (job->talk) {
        jobs_kill_tools(self, job);
        self->running -= job->talk->commands;
        talks_release(self, job, true);
    }
    jobs_forget(self, job);
}

void jobs_stop_effects(struct instance *self)
{
    struct job *next = NULL;
    for (struct job *job = self->jobs; job; job = next) {
        next = job->next;
        if (job->state == JOB_COMMAND || (job->talk && job->talk->commands > 0)) {
            struct task *task = job->task;
            jobs_drop(self, task);
            tasks_drop(self->tasks, &task);
        }
    }
}

/* --- time ------------------------------------------------------------------------------------- */

void jobs_stop(struct instance *self, struct job *job, const char *code)
{
    if (job->stopped && strcmp(job->stopped, "cancelled") == 0)
        return;
    job->stopped = code;
    job->timeout_at_us = SIM_NEVER;
    if (job->state == JOB_COMMAND)
        kill_command(self, job->command);
    else if (job->talk && job->talk->commands > 0)
        jobs_kill_tools(self, job);
    else
        jobs_finish(self, job, code, strcmp(code, "timeout") != 0);
}

bool jobs_tick(struct instance *self, bool lease)
{
    struct job *next = NULL;
    bool queued = false;
    for (struct job *job = self->jobs; job; job = next) {
        next = job->next;
        if (job->timeout_at_us <= self->now_us)
            jobs_stop(self, job, job->limited ? "limit" : "timeout");
        else if (job->wake_at_us <= self->now_us)
            jobs_finish(self, job, NULL, false);
        else if (job->state == JOB_TALK)
            talks_tick(self, job);
    }
    for (struct job *job = self->jobs; job && !self->proc.dying; job = next) {
        next = job->next;
        if (job->state == JOB_TALK)
            talks_advance(self, job, lease);
    }
    for (struct job *job = self->jobs; job; job = job->next)
        queued |= job->state == JOB_QUEUED || (job->talk && job->talk->waits);
    if (lease)
        start_queued(self);
    return queued && !lease;
}

int64_t jobs_deadline(const struct instance *self)
{
    int64_t least_us = SIM_NEVER;
    for (const struct job *job = self->jobs; job; job = job->next) {
        int64_t at_us = job->timeout_at_us < job->wake_at_us ? job->timeout_at_us : job->wake_at_us;
        if (at_us < least_us)
            least_us = at_us;
        at_us = talks_deadline(job);
        if (at_us < least_us)
            least_us = at_us;
    }
    return least_us;
}

void jobs_release(struct instance *self)
{
    while (self->jobs)
        jobs_forget(self, self->jobs);
    talks_forget_parked(self);
    while (self->commands)
        unlink_command(self, self->commands);
    self->running = 0;
}

void jobs_die(struct instance *self)
{
    for (struct command *command = self->commands; command; command = command->next)
        if (!command->killed && !command->over)
            observer_effect_ended(self->world, self->index, &command->what, "dies");
    jobs_release(self);
}
