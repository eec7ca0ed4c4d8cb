/* The commands of tools: each in its sandbox, its standard output the result of a call. */
#include "agentd/jobs_core.h"
#include "base/clock.h"
#include <stdlib.h>

/* What the program gets on its standard input. */
static void write_input(const struct agent_tool *tool, const value_t *arguments, struct buf *out)
{
    if (tool->input == TOOL_INPUT_NONE)
        return;
    if (tool->input == TOOL_INPUT_JSON) {
        value_to_json(arguments, VALUE_JSON_COMPACT, out);
        buf_putc(out, '\n');
        return;
    }
    const value_t *input = value_get(arguments, "input");
    if (input && value_type(input) == VALUE_STRING)
        buf_append(out, value_as_string(input), value_size(input));
    else if (input)
        value_to_json(input, VALUE_JSON_COMPACT, out);
}

static void tell(const struct job *job, uint32_t call, const struct outcome *outcome)
{
    struct wire_failure failure = {.code = outcome->code,
                                   .message = buf_string(&outcome->message),
                                   .detail = buf_string(&outcome->detail)};
    conversation_result(job->turns->conversation, call, buf_bytes(&outcome->output),
                        outcome->failed ? &failure : NULL);
}

/* An attempt's own end is looked at apart, and kills all of its tools. */
static int64_t timeout_of(const struct agent_tool *tool)
{
    return tool->timeout_us ? tool->timeout_us : LIMIT_TIMEOUT_COMMAND_US;
}

static void add(jobs_t *self, struct job *job, const struct conversation_next *next, uint64_t owner,
                uint64_t command)
{
    struct tool *tool = xcalloc(1, sizeof *tool);
    *tool = (struct tool){.next = job->turns->tools,
                          .owner = owner,
                          .command = command,
                          .call = next->call,
                          .program = next->tool->argv[0],
                          .timeout_us = timeout_of(next->tool),
                          .timeout_at_us = self->now_us + timeout_of(next->tool),
                          .started_us = self->utc_us};
    job->turns->tools = tool;
    self->tools_running++;
}

/* False: not now. What can't be started at all is the result of its call. */
bool tools_start(jobs_t *self, struct job *job, const struct conversation_next *next)
{
    struct buf input = {0};
    struct err err = {0};
    bool permanent = false;
    uint64_t owner = TOOL_OWNERS | ++self->tools_started, command = 0;
    if (self->tools_running >= LIMIT_AGENTD_TOOLS || programs_has_dying(self, job->task))
        return false;
    write_input(next->tool, next->arguments, &input);
    struct program program = {
        .argv = next->tool->argv, .input = buf_bytes(&input), .network = next->tool->network};
    int rc = programs_start(self, job, &program, owner, &command, &permanent, &err);
    buf_release(&input);
    conversation_started(job->turns->conversation, next->call);
    if (rc) {
        struct outcome outcome = {0};
        outcome_fail_err(&outcome, permanent, &err);
        job->turns->started_us = self->utc_us;
        tell(job, next->call, &outcome);
        outcome_release(&outcome);
    } else {
        add(self, job, next, owner, command);
    }
    return true;
}

void tools_kill(jobs_t *self, struct job *job)
{
    for (const struct tool *tool = job->turns->tools; tool; tool = tool->next)
        commands_kill(self->commands, tool->command);
}

void tools_wake(jobs_t *self, struct job *job)
{
    for (struct tool *tool = job->turns->tools; tool; tool = tool->next) {
        if (tool->timeout_at_us > self->now_us)
            continue;
        tool->timed_out = true;
        tool->timeout_at_us = INT64_MAX;
        commands_kill(self->commands, tool->command);
    }
}

void tools_abandon(jobs_t *self, struct job *job)
{
    struct tool *next = NULL;
    for (struct tool *tool = job->turns->tools; tool; tool = next) {
        next = tool->next;
        programs_abandon(self, job->task, tool->owner, tool->command);
        self->tools_running--;
        free(tool);
    }
    job->turns->tools = NULL;
}

/* Takes the tool off its job; NULL: its task has left. */
static struct tool *take(jobs_t *self, uint64_t owner, struct job **ret_job)
{
    for (struct job *job = self->first; job; job = job->next) {
        for (struct tool **link = job->turns ? &job->turns->tools : NULL; link && *link;
             link = &(*link)->next) {
            if ((*link)->owner != owner)
                continue;
            struct tool *tool = *link;
            *link = tool->next;
            self->tools_running--;
            *ret_job = job;
            return tool;
        }
    }
    return NULL;
}

static void judge(const jobs_t *self, const struct job *job, const struct tool *tool,
                  const struct command_end *end, struct outcome *ret_outcome)
{
    char text[CLOCK_TEXT_SIZE];
    outcome_of_tool(end, tool->program, programs_memory(self, job->version->def), ret_outcome);
    if (!tool->timed_out)
        return;
    outcome_fail(ret_outcome, "timeout", false, "it took longer than its timeout of %s",
                 duration_format(tool->timeout_us, text));
    outcome_detail(ret_outcome, end->error_tail);
}

static void end_stopped(jobs_t *self, struct job *job)
{
    if (job->turns->tools)
        return;
    job_set_stopped(job);
    job_finish_failed(self, job);
}

void tools_ended(jobs_t *self, uint64_t owner, const struct command_end *end)
{
    struct job *job = NULL;
    struct tool *tool = take(self, owner, &job);
    struct outcome outcome = {0};
    if (!tool) {
        programs_forget_dying(self, owner);
        return;
    }
    if (!job->stopped) {
        judge(self, job, tool, end, &outcome);
        job->turns->started_us = tool->started_us;
        tell(job, tool->call, &outcome);
        outcome_release(&outcome);
    }
    free(tool);
    /* A place is free. */
    if (job->stopped)
        end_stopped(self, job);
    else
        turns_advance(self, job);
}
