#include "tests/sim/instance_core.h"

#include "tests/sim/shell.h"
#include "tests/sim/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tasks that a model answers: the real conversations (agentd/conversation.c), with the order of the
 * real agentd around them (agentd/jobs_turns.c). A call of a model goes to an egress through the
 * broker, and is said again until it is answered; the command of a tool is an effect in the world.
 */

#define HISTORY_FIRST_US (SECOND / 2)

/* --- conversations that nobody works on ------------------------------------------------------- */

static void remove_parked(struct instance *self, size_t place)
{
    self->parked_count--;
    memmove(&self->parked[place], &self->parked[place + 1],
            (self->parked_count - place) * sizeof self->parked[0]);
}

static conversation_t *take_parked(struct instance *self, const struct task *task)
{
    for (size_t i = 0; i < self->parked_count; i++) {
        conversation_t *conversation = self->parked[i].conversation;
        if (!uuid_equal(self->parked[i].execution, task->execution) ||
            strcmp(self->parked[i].path, task->path) != 0)
            continue;
        remove_parked(self, i);
        return conversation;
    }
    return NULL;
}

static void park(struct instance *self, const struct task *task, conversation_t **conversation_p)
{
    struct parked parked = {.execution = task->execution, .conversation = *conversation_p};
    conversation_t *old = take_parked(self, task);
    *conversation_p = NULL;
    conversation_destroy(&old);
    (void)snprintf(parked.path, sizeof parked.path, "%s", task->path);
    conversation_define(parked.conversation, NULL);
    self->parked[self->parked_count++] = parked;
    if (self->parked_count <= self->world->plan->parked_most)
        return;
    conversation_destroy(&self->parked[0].conversation);
    remove_parked(self, 0);
}

void talks_forget_parked(struct instance *self)
{
    while (self->parked_count > 0)
        conversation_destroy(&self->parked[--self->parked_count].conversation);
}

void talks_release(struct instance *self, struct job *job, bool keep)
{
    struct talk *talk = job->talk;
    if (!talk)
        return;
    if (keep)
        park(self, job->task, &talk->conversation);
    conversation_destroy(&talk->conversation);
    free(talk);
    job->talk = NULL;
}

/* --- begin ------------------------------------------------------------------------------------ */

static void set_egress(struct talk *talk, const char *egress)
{
    (void)snprintf(talk->egress, sizeof talk->egress, "%s", egress ? egress : "");
}

void talks_take(struct instance *self, struct job *job, const struct wire_dispatch *dispatch)
{
    conversation_t *conversation = take_parked(self, job->task);
    if (conversation && !conversation_resume(conversation, dispatch))
        conversation_destroy(&conversation);
    if (!conversation)
        conversation = conversation_new(dispatch);
    conversation_define(conversation, &self->agent->talk.def);
    job->talk = xcalloc(1, sizeof *job->talk);
    job->talk->conversation = conversation;
    set_egress(job->talk, dispatch->egress);
    tasks_run(self->tasks, job->task);
}

/* --- asking ----------------------------------------------------------------------------------- */

static void ask(struct instance *self, struct asking *asking, int64_t first_us, int64_t most_us)
{
    asking->pause_us = asking->correlation ? 2 * asking->pause_us : first_us;
    if (asking->pause_us > most_us)
        asking->pause_us = most_us;
    asking->again_us = self->now_us + asking->pause_us;
    asking->correlation = ++self->correlation;
}

static void say_call(struct instance *self, struct job *job)
{
    struct talk *talk = job->talk;
    const struct task *task = job->task;
    struct wire_body body = {.kind = WIRE_CALL,
                             .call = {.key = {.execution = task->execution,
                                              .path = task->path,
                                              .attempt = task->attempt,
                                              .turn = conversation_calling(talk->conversation)},
                                      .run = task->run}};
    memcpy(body.call.request_hash, talk->request_hash, sizeof talk->request_hash);
    ask(self, &talk->call, LIMIT_CALL_FIRST_US, LIMIT_CALL_MAX_US);
    TRACE(self->world, "%s asks %s for turn %u of %s %s, attempt %u%s", self->proc.name,
          talk->egress, body.call.key.turn, sim_uuid(task->execution), task->path, task->attempt,
          talk->with_payload ? "" : ", again");
    instance_send(self, talk->egress, talk->call.correlation, &body,
                  talk->with_payload ? conversation_request(talk->conversation)
                                     : (struct bytes){0});
    conversation_forget_request(talk->conversation);
    talk->with_payload = false;
}

static void say_history(struct instance *self, struct job *job)
{
    struct talk *talk = job->talk;
    struct shell_history wanted = {.execution = job->task->execution,
                                   .attempt = job->task->attempt,
                                   .from = talk->history_from};
    struct wire_body body = {.kind = WIRE_REQUEST, .request = {.method = METHOD_HISTORY}};
    (void)snprintf(wanted.path, sizeof wanted.path, "%s", job->task->path);
    ask(self, &talk->history, HISTORY_FIRST_US, LIMIT_CALL_MAX_US);
    self->world->counts.fetches++;
    instance_send(self, SHELL_NAME, talk->history.correlation, &body,
                  bytes_of(&wanted, sizeof wanted));
}

void talks_history(struct instance *self, uint64_t correlation, const struct wire_reply *reply,
                   struct bytes payload)
{
    struct arena arena = {0};
    struct wire_items items;
    struct err err;
    struct job *job = self->jobs;
    while (job && (!job->talk || job->talk->history.correlation != correlation))
        job = job->next;
    if (!job || job->stopped || correlation == 0)
        return;
    job->talk->history = (struct asking){0};
    if (*reply->error) /* nobody knows of it any more: agentd fails the attempt, which is void */
        jobs_stop(self, job, "history");
    else if (wire_decode_items(&arena, payload, &items, &err) || items.count != 1 ||
             conversation_history(job->talk->conversation, job->talk->history_from,
                                  items.items[0].dispatch.history,
                                  items.items[0].dispatch.history_here, &err))
        world_fail(self->world, 0, "%s can't use the history of %s: %s", self->proc.name,
                   job->task->path, err.what);
    arena_release(&arena);
}

/* No reason to give the attempt up: another grant follows, or the same call is good by and by. */
static bool is_passing(const char *error)
{
    return strcmp(error, "unknown") == 0 || strcmp(error, "busy") == 0 ||
           strcmp(error, "no_grant") == 0;
}

void talks_answered(struct instance *self, const struct wire_call_answer *answer,
                    struct bytes payload)
{
    struct task *task = tasks_find(self->tasks, answer->key.execution, answer->key.path);
    struct job *job = task ? task->work : NULL;
    struct talk *talk = job ? job->talk : NULL;
    if (!talk || job->stopped || answer->key.attempt != task->attempt || !answer->key.turn ||
        answer->key.turn != conversation_calling(talk->conversation) ||
        memcmp(answer->request_hash, talk->request_hash, sizeof talk->request_hash) != 0)
        return;
    if (is_passing(answer->error)) {
        talk->with_payload = true;
        if (strcmp(answer->error, "unknown") == 0)
            say_call(self, job);
        return;
    }
    const struct conversation_answer told = {.turn = payload,
                                             .error = answer->error,
                                             .what = answer->what,
                                             .permanent = answer->permanent,
                                             .usage = answer->usage};
    talk->call = (struct asking){0};
    conversation_answer(talk->conversation, &told);
}

void talks_granted(struct instance *self, struct job *job, const struct wire_granted *granted)
{
    struct talk *talk = job->talk;
    TRACE(self->world, "%s may ask %s for turn %u of %s %s", self->proc.name, granted->egress,
          granted->turn, sim_uuid(granted->execution), granted->path);
    set_egress(talk, granted->egress);
    conversation_granted(talk->conversation, granted->turn);
    if (!conversation_calling(talk->conversation))
        talk->call = (struct asking){0};
}

void talks_tick(struct instance *self, struct job *job)
{
    struct talk *talk = job->talk;
    if (job->stopped)
        return;
    if (talk->history.correlation && talk->history.again_us <= self->now_us)
        say_history(self, job);
    if (talk->call.correlation && talk->call.again_us <= self->now_us)
        say_call(self, job);
    if (talk->journal && job->task->acknowledged_step >= talk->journal) {
        talk->journal = 0;
        conversation_acknowledged(talk->conversation);
    }
}

int64_t talks_deadline(const struct job *job)
{
    const struct talk *talk = job->talk;
    int64_t least_us = SIM_NEVER;
    if (talk && talk->history.correlation)
        least_us = talk->history.again_us;
    if (talk && talk->call.correlation && talk->call.again_us < least_us)
        least_us = talk->call.again_us;
    return least_us;
}

/* --- tools ------------------------------------------------------------------------------------ */

static bool start_tool(struct instance *self, struct job *job, const struct conversation_next *next)
{
    struct sim_task what = instance_task(job->task);
    what.turn = next->turn;
    what.call = next->call;
    if (jobs_has_dying_run(self, job->task))
        return false;
    struct command *command = jobs_start_command(self, job, &what);
    if (!command)
        return false;
    command->tool = true;
    job->talk->commands++;
    conversation_started(job->talk->conversation, next->call);
    return true;
}

void talks_tool_over(struct instance *self, struct job *job, const struct command *command)
{
    const struct wire_failure failure = {.code = "exit", .message = "sim"};
    struct talk *talk = job->talk;
    struct buf output = {0};
    talk->commands--;
    self->running--;
    if (job->stopped) {
        if (talk->commands == 0)
            jobs_finish(self, job, job->stopped, strcmp(job->stopped, "timeout") != 0);
        return;
    }
    jobs_pack_output(self, job->task, &output);
    conversation_result(talk->conversation, command->what.call, buf_bytes(&output),
                        command->fails ? &failure : NULL);
    buf_release(&output);
}

/* --- reports ---------------------------------------------------------------------------------- */

static void fill_step(const struct instance *self, const struct conversation_report *report,
                      struct wire_step *ret_step)
{
    static const enum wire_step_kind kinds[] = {
        [CONVERSATION_TURN] = WIRE_STEP_TURN,
        [CONVERSATION_TOOL_RESULT] = WIRE_STEP_TOOL_RESULT,
        [CONVERSATION_RESULT] = WIRE_STEP_RESULT,
        [CONVERSATION_FAILURE] = WIRE_STEP_FAILURE,
    };
    *ret_step = (struct wire_step){.kind = kinds[report->kind],
                                   .ended_us = self->utc_us,
                                   .turn = report->kind == CONVERSATION_RESULT ? 0 : report->turn,
                                   .call = report->call,
                                   .calls = report->calls,
                                   .calls_count = report->calls_count,
                                   .usage = report->usage};
    if (report->failure.code)
        ret_step->failure = report->failure;
    else
        ret_step->output = datum_inline(report->output);
}

static void fill_item(const struct instance *self, const struct conversation_report *report,
                      struct wire_item *ret_item)
{
    *ret_item = (struct wire_item){.kind = WIRE_ITEM_STEP};
    if (report->kind == CONVERSATION_DELEGATE) {
        ret_item->kind = WIRE_ITEM_DELEGATE;
        ret_item->delegate = (struct wire_delegate){.turn = report->turn,
                                                    .call = report->call,
                                                    .agent = report->name,
                                                    .message = datum_inline(report->output),
                                                    .context = datum_inline(report->context),
                                                    .hand_off = report->hand_off};
    } else if (report->kind == CONVERSATION_TOOL_CALL) {
        ret_item->kind = WIRE_ITEM_TOOL_CALL;
        ret_item->tool_call = (struct wire_tool_call){.turn = report->turn,
                                                      .call = report->call,
                                                      .tool = report->name,
                                                      .arguments = datum_inline(report->output)};
    } else {
        fill_step(self, report, &ret_item->step);
    }
}

static void report(struct instance *self, struct job *job, const struct conversation_report *report)
{
    struct wire_item item;
    fill_item(self, report, &item);
    tasks_report(self->tasks, job->task, &item);
    if (report->kind == CONVERSATION_TURN)
        job->talk->journal = item.step.number;
    conversation_reported(job->talk->conversation);
}

static void end(struct instance *self, struct job *job, bool keep)
{
    struct task *task = job->task;
    TRACE(self->world, "%s has done what it could for %s %s, run %llu.%llu", self->proc.name,
          sim_uuid(task->execution), task->path, (unsigned long long)task->run.epoch,
          (unsigned long long)task->run.counter);
    if (job->talk->commands > 0)
        world_fail(self->world, 0, "the run of %s is over while a tool of it runs", task->path);
    talks_release(self, job, keep);
    jobs_forget(self, job);
    tasks_finish(self->tasks, task);
}

/* --- what is next ----------------------------------------------------------------------------- */

static void fetch_blob(struct instance *self, struct job *job, const struct datum *blob)
{
    struct bytes bytes = {0};
    if (!store_get_blob(self->world->store, blob->hash, &bytes))
        world_fail(self->world, 0, "%s lacks a blob", job->task->path);
    conversation_blob(job->talk->conversation, bytes);
}

static void begin_call(struct instance *self, struct job *job, const struct conversation_next *next)
{
    struct talk *talk = job->talk;
    datum_hash(next->request, talk->request_hash);
    talk->call = (struct asking){0};
    talk->with_payload = true;
    conversation_called(talk->conversation);
    say_call(self, job);
}

/* Whether to look again. */
static bool do_next(struct instance *self, struct job *job, const struct conversation_next *next,
                    bool lease)
{
    struct talk *talk = job->talk;
    switch (next->what) {
    case CONVERSATION_WAIT: return false;
    case CONVERSATION_HISTORY:
        if (!talk->history.correlation) {
            talk->history_from = next->from;
            say_history(self, job);
        }
        return false;
    case CONVERSATION_BLOB: fetch_blob(self, job, &next->blob); return !self->world->failed;
    case CONVERSATION_REPORT: report(self, job, &next->report); return true;
    case CONVERSATION_TOOL: talk->waits = !lease; return lease && start_tool(self, job, next);
    case CONVERSATION_CALL:
        if (!*talk->egress)
            return false;
        talk->waits = !lease;
        if (lease)
            begin_call(self, job, next);
        return lease;
    case CONVERSATION_YIELD: end(self, job, true); return false;
    case CONVERSATION_END: end(self, job, false); return false;
    }
    return false;
}

void talks_advance(struct instance *self, struct job *job, bool lease)
{
    struct conversation_next next;
    if (job->stopped)
        return;
    job->talk->waits = false;
    do {
        conversation_next(job->talk->conversation, &next);
    } while (do_next(self, job, &next, lease) && !self->proc.dying);
}
