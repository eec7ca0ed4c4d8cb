/* Entries of a task's history that a dispatch had no room for: asked of the coordinator by the
 * method tasks.history, {execution, path, attempt, from} -> {items: [{kind, turn, call, output |
 * failure}], next}. */
#include "agentd/jobs_core.h"
#include "base/reference.h"
#include <stdlib.h>
#include <string.h>

void history_send(jobs_t *self, struct job *job)
{
    struct turns *turns = job->turns;
    struct buf params = {0};
    char text[TYPEID_TEXT_SIZE];
    struct wire_body body = {.kind = WIRE_REQUEST, .request = {.method = "tasks.history"}};
    value_t *document = value_map();
    value_set_string(document, "execution", typeid_text("exec", job->task->execution, text));
    value_set_string(document, "path", job->task->path);
    value_set_int(document, "attempt", job->task->attempt);
    value_set_int(document, "from", turns->history_from);
    value_to_msgpack(document, &params);
    value_destroy(&document);
    jobs_ask(self, &turns->history, LIMIT_RESEND_FIRST_US, LIMIT_RESEND_MAX_US);
    jobs_send(self, NULL, &body, turns->history.correlation, buf_bytes(&params));
    buf_release(&params);
}

void history_ask(jobs_t *self, struct job *job, uint32_t from)
{
    job->turns->history = (struct asking){0};
    job->turns->history_from = from;
    history_send(self, job);
}

/* --- the answer ----------------------------------------------------------------------------------
 */

static struct datum read_output(struct arena *arena, const value_t *output)
{
    struct datum datum = {0};
    struct buf bytes = {0};
    if (!output || reference_read(output, &datum))
        return datum;
    value_to_msgpack(output, &bytes);
    datum = datum_inline(arena_copy(arena, buf_bytes(&bytes)));
    buf_release(&bytes);
    return datum;
}

static int read_entry(struct arena *arena, const value_t *item, struct wire_history *ret_entry,
                      struct err *err)
{
    const char *kind = value_get_string(item, "kind", "");
    int64_t turn = value_get_int(item, "turn", 0), call = value_get_int(item, "call", 0);
    const value_t *failure = value_get(item, "failure");
    bool is_turn = strcmp(kind, "turn") == 0;
    if ((!is_turn && strcmp(kind, "tool_result") != 0) || turn < 1 || turn > UINT32_MAX ||
        call < 0 || call > UINT32_MAX)
        return err_set(err, ERR_MALFORMED, "an entry of the task's history is not valid");
    *ret_entry = (struct wire_history){.kind = is_turn ? WIRE_STEP_TURN : WIRE_STEP_TOOL_RESULT,
                                       .turn = (uint32_t)turn,
                                       .call = (uint32_t)call};
    if (failure && value_type(failure) == VALUE_MAP)
        ret_entry->failure =
            (struct wire_failure){.code = value_get_string(failure, "code", "failed"),
                                  .message = value_get_string(failure, "message", "")};
    else
        ret_entry->output = read_output(arena, value_get(item, "output"));
    return 0;
}

static int read_entries(struct job *job, const value_t *document, struct err *err)
{
    struct arena arena = {0};
    const value_t *items = value_get(document, "items");
    size_t count = items && value_type(items) == VALUE_LIST ? value_size(items) : 0;
    struct wire_history *entries = arena_alloc(&arena, (count + 1) * sizeof *entries);
    int rc = 0;
    for (size_t i = 0; !rc && i < count; i++)
        rc = read_entry(&arena, value_at(items, i), &entries[i], err);
    if (!rc)
        rc = conversation_history(job->turns->conversation, job->turns->history_from, entries,
                                  count, err);
    arena_release(&arena);
    return rc;
}

static int refusal_of(const struct wire_reply *reply, struct err *err)
{
    struct err refusal = {0};
    int code = wire_reply_error(reply, &refusal);
    return err_set(err, code, "the coordinator can't give the task's history: %s", refusal.what);
}

static void take(jobs_t *self, struct job *job, const struct message *message)
{
    struct err err = {0};
    value_t *document = NULL;
    const struct wire_reply *reply = &message->body.reply;
    int rc = reply->error[0] ? refusal_of(reply, &err)
                             : value_from_msgpack(message->payload, &document, &err);
    if (reply->error[0] && err_is_passing(rc))
        return; /* asked again by and by */
    job->turns->history = (struct asking){0};
    if (!rc)
        rc = read_entries(job, document, &err);
    value_destroy(&document);
    if (rc)
        job_fail_err(self, job, false, &err);
    else
        turns_advance(self, job);
}

bool history_receive(jobs_t *self, const struct message *message)
{
    struct job *job = self->first;
    uint64_t correlation = message->route.correlation;
    while (job && !(correlation && job->turns && job->turns->history.correlation == correlation))
        job = job->next;
    if (!job)
        return false;
    if (!job->stopped)
        take(self, job, message);
    return true;
}
