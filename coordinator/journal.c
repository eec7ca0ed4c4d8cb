#include "coordinator/journal.h"

#include "coordinator/journal_again.h"
#include "coordinator/journal_calls.h"
#include "coordinator/journal_owned.h"
#include "coordinator/journal_waits.h"
#include "coordinator/record_util.h"

#include <inttypes.h>
#include <stdlib.h>

/* Agents whose pins are encoded without touching the heap. */
#define PINS_ON_STACK 32

static void encode_pins(const struct event_started *from, Af__Record__Started *to,
                        Af__Record__PinnedAgent *pins, Af__Record__PinnedAgent **pointers)
{
    for (size_t i = 0; i < from->agents_count; i++)
        pointers[i] = journal_encode_pin(&from->agents[i], &pins[i]);
    to->n_agents = from->agents_count;
    to->agents = pointers;
}

static void encode_started(const struct event_started *from, Af__Record__Event *event,
                           struct buf *out)
{
    Af__Record__Started to = AF__RECORD__STARTED__INIT;
    Af__Record__Datum input;
    Af__Record__PinnedAgent pins_small[PINS_ON_STACK], *pins = pins_small;
    Af__Record__PinnedAgent *pointers_small[PINS_ON_STACK], **pointers = pointers_small;
    bool large = from->agents_count > PINS_ON_STACK;
    struct arena arena = {0};

    if (large) {
        pins = xcalloc(from->agents_count, sizeof *pins);
        pointers = xcalloc(from->agents_count, sizeof(*pointers));
    }
    encode_pins(from, &to, pins, pointers);
    journal_encode_family(from, &to, &arena);
    RECORD_SET(&to, seed, from->seed);
    to.workflow = record_text(from->workflow);
    RECORD_SET(&to, workflow_version, from->workflow_version);
    to.agent = record_text(from->agent);
    to.input = record_datum(&from->input, &input);
    RECORD_SET(&to, deadline_us, from->deadline_us);
    to.by = record_text(from->by);
    event->started = &to;
    record_pack(&event->base, out);
    arena_release(&arena);
    if (large) {
        free(pins);
        free(pointers);
    }
}

static void encode_step(const struct event_step *from, Af__Record__Event *event, struct buf *out)
{
    Af__Record__Step to = AF__RECORD__STEP__INIT;
    Af__Record__Datum output, patch;
    Af__Record__Failure failure;
    Af__Record__Run run;
    Af__Record__Usage usage;

    to.path = record_text(from->path);
    RECORD_SET(&to, attempt, from->attempt);
    to.run = record_run(from->run, &run);
    to.instance = record_text(from->instance);
    RECORD_SET(&to, number, from->number);
    RECORD_SET(&to, kind, (uint32_t)from->kind);
    RECORD_SET(&to, queued_us, from->queued_us);
    RECORD_SET(&to, started_us, from->started_us);
    RECORD_SET(&to, ended_us, from->ended_us);
    to.output = record_datum(&from->output, &output);
    to.patch = record_datum(&from->patch, &patch);
    to.failure = record_failure(&from->failure, &failure);
    to.has_retry_at_us = from->retry_at_us != 0;
    to.retry_at_us = from->retry_at_us;
    to.agent = record_text(from->agent);
    RECORD_SET(&to, agent_version, from->agent_version);
    if (from->turn > 0)
        journal_encode_turn(from, &to, &usage);
    else if (from->usage.input_tokens + from->usage.output_tokens + from->usage.cost_microusd > 0)
        to.usage = record_usage(&from->usage, &usage);
    event->step = &to;
    record_pack(&event->base, out);
}

static void encode_lost(const struct event_lost *from, Af__Record__Event *event, struct buf *out)
{
    Af__Record__Lost to = AF__RECORD__LOST__INIT;
    Af__Record__Run run;

    to.path = record_text(from->path);
    to.run = record_run(from->run, &run);
    RECORD_SET(&to, counted, from->counted);
    to.reason = record_text(from->reason);
    to.instance = record_text(from->instance);
    event->lost = &to;
    record_pack(&event->base, out);
}

static void encode_cancel(const struct event_cancel *from, Af__Record__Event *event,
                          struct buf *out)
{
    Af__Record__Cancel to = AF__RECORD__CANCEL__INIT;

    to.by = record_text(from->by);
    to.why = record_text(from->why);
    event->cancel = &to;
    record_pack(&event->base, out);
}

static void encode_failing(const struct event_failing *from, Af__Record__Event *event,
                           struct buf *out)
{
    Af__Record__Failing to = AF__RECORD__FAILING__INIT;
    Af__Record__Failure failure;

    to.path = record_text(from->path);
    to.failure = record_failure(&from->failure, &failure);
    RECORD_SET(&to, finish, from->finish);
    event->failing = &to;
    record_pack(&event->base, out);
}

static void encode_ended(const struct event_ended *from, Af__Record__Event *event, struct buf *out)
{
    Af__Record__Ended to = AF__RECORD__ENDED__INIT;
    Af__Record__Datum output;
    Af__Record__Failure failure;

    RECORD_SET(&to, status, (uint32_t)from->status);
    to.output = record_datum(&from->output, &output);
    to.failure = record_failure(&from->failure, &failure);
    to.path = record_text(from->path);
    event->ended = &to;
    record_pack(&event->base, out);
}

void journal_encode(const struct event *event, struct buf *out)
{
    Af__Record__Event record = AF__RECORD__EVENT__INIT;

    buf_clear(out);
    RECORD_SET(&record, time_us, event->time_us);
    switch (event->kind) {
    case EVENT_STARTED: encode_started(&event->started, &record, out); break;
    case EVENT_STEP: encode_step(&event->step, &record, out); break;
    case EVENT_LOST: encode_lost(&event->lost, &record, out); break;
    case EVENT_CANCEL: encode_cancel(&event->cancel, &record, out); break;
    case EVENT_FAILING: encode_failing(&event->failing, &record, out); break;
    case EVENT_ENDED: encode_ended(&event->ended, &record, out); break;
    case EVENT_RESERVED:
    case EVENT_SETTLED:
    case EVENT_DELEGATED:
    case EVENT_REFUSED:
    case EVENT_ANSWERED:
    case EVENT_PATCHED:
    case EVENT_DECIDED: journal_encode_call(event, &record, out); break;
    case EVENT_WAITING:
    case EVENT_DECISION:
    case EVENT_SIGNAL:
    case EVENT_TIMER:
    case EVENT_PAUSED:
    case EVENT_RESUMED: journal_encode_wait(event, &record, out); break;
    case EVENT_REOPENED: journal_encode_reopened(&event->reopened, &record, out); break;
    case EVENT_FORKED: journal_encode_forked(&event->forked, &record, out); break;
    case EVENT_OWNED: journal_encode_owned(&event->owned, &record, out); break;
    }
}

static int decode_pins(struct arena *arena, const Af__Record__Started *from,
                       struct event_started *to, struct err *err)
{
    struct pinned_agent *pins = arena_alloc(arena, (from->n_agents + 1) * sizeof *pins);

    for (size_t i = 0; i < from->n_agents; i++) {
        int rc = journal_decode_pin(from->agents[i], &pins[i], err);
        if (rc < 0)
            return rc;
    }
    to->agents = pins;
    to->agents_count = from->n_agents;
    return 0;
}

static int decode_started(struct arena *arena, const Af__Record__Started *from,
                          struct event_started *to, struct err *err)
{
    int rc;
    if ((rc = decode_pins(arena, from, to, err)) < 0 ||
        (rc = record_read_text(from->workflow, "workflow", &to->workflow, err)) < 0 ||
        (rc = record_read_text(from->agent, "agent", &to->agent, err)) < 0 ||
        (rc = record_read_text(from->by, "by", &to->by, err)) < 0 ||
        (rc = record_read_datum(from->input, "input", &to->input, err)) < 0)
        return rc;
    to->seed = from->seed;
    to->workflow_version = from->workflow_version;
    to->deadline_us = from->deadline_us;
    return journal_decode_family(arena, from, to, err);
}

static int decode_step(const Af__Record__Step *from, struct event_step *to, struct err *err)
{
    int rc;
    if ((rc = record_read_text(from->path, "path", &to->path, err)) < 0 ||
        (rc = record_read_text(from->instance, "instance", &to->instance, err)) < 0 ||
        (rc = record_read_text(from->agent, "agent", &to->agent, err)) < 0 ||
        (rc = record_read_datum(from->output, "output", &to->output, err)) < 0 ||
        (rc = record_read_datum(from->patch, "patch", &to->patch, err)) < 0 ||
        (rc = record_read_failure(from->failure, &to->failure, err)) < 0)
        return rc;
    if (from->kind < STEP_TURN || from->kind > STEP_FAILURE)
        return err_set(err, ERR_MALFORMED, "%u is not a kind of step", from->kind);
    to->attempt = from->attempt;
    to->run = record_read_run(from->run);
    to->number = from->number;
    to->kind = (enum step_kind)from->kind;
    to->queued_us = from->queued_us;
    to->started_us = from->started_us;
    to->ended_us = from->ended_us;
    to->retry_at_us = from->retry_at_us;
    to->agent_version = from->agent_version;
    return journal_decode_turn(from, to, err);
}

static int decode_lost(const Af__Record__Lost *from, struct event_lost *to, struct err *err)
{
    int rc;
    if ((rc = record_read_text(from->path, "path", &to->path, err)) < 0 ||
        (rc = record_read_text(from->reason, "reason", &to->reason, err)) < 0 ||
        (rc = record_read_text(from->instance, "instance", &to->instance, err)) < 0)
        return rc;
    to->run = record_read_run(from->run);
    to->counted = from->counted;
    return 0;
}

static int decode_cancel(const Af__Record__Cancel *from, struct event_cancel *to, struct err *err)
{
    int rc = record_read_text(from->by, "by", &to->by, err);
    return rc < 0 ? rc : record_read_text(from->why, "why", &to->why, err);
}

static int decode_failing(const Af__Record__Failing *from, struct event_failing *to,
                          struct err *err)
{
    int rc = record_read_text(from->path, "path", &to->path, err);
    to->finish = from->finish;
    return rc < 0 ? rc : record_read_failure(from->failure, &to->failure, err);
}

static int decode_ended(const Af__Record__Ended *from, struct event_ended *to, struct err *err)
{
    int rc;
    if ((rc = record_read_text(from->path, "path", &to->path, err)) < 0 ||
        (rc = record_read_datum(from->output, "output", &to->output, err)) < 0 ||
        (rc = record_read_failure(from->failure, &to->failure, err)) < 0)
        return rc;
    if (from->status < EXECUTION_SUCCEEDED || from->status > EXECUTION_CANCELLED)
        return err_set(err, ERR_MALFORMED, "%u is not the status of an end", from->status);
    to->status = (enum execution_status)from->status;
    return 0;
}

static int decode_kind(struct arena *arena, const Af__Record__Event *from, struct event *to,
                       struct err *err)
{
    int kinds = (from->started != NULL) + (from->step != NULL) + (from->lost != NULL) +
                (from->cancel != NULL) + (from->failing != NULL) + (from->ended != NULL) +
                (from->reopened != NULL) + (from->forked != NULL) + (from->owned != NULL) +
                journal_call_kinds(from) + journal_wait_kinds(from);
    if (kinds != 1)
        return err_set(err, ERR_MALFORMED, "the record holds %d kinds of event", kinds);
    if (from->started != NULL) {
        to->kind = EVENT_STARTED;
        return decode_started(arena, from->started, &to->started, err);
    }
    if (from->step != NULL) {
        to->kind = EVENT_STEP;
        return decode_step(from->step, &to->step, err);
    }
    if (from->lost != NULL) {
        to->kind = EVENT_LOST;
        return decode_lost(from->lost, &to->lost, err);
    }
    if (from->cancel != NULL) {
        to->kind = EVENT_CANCEL;
        return decode_cancel(from->cancel, &to->cancel, err);
    }
    if (from->failing != NULL) {
        to->kind = EVENT_FAILING;
        return decode_failing(from->failing, &to->failing, err);
    }
    if (from->ended != NULL) {
        to->kind = EVENT_ENDED;
        return decode_ended(from->ended, &to->ended, err);
    }
    if (from->reopened != NULL) {
        to->kind = EVENT_REOPENED;
        return journal_decode_reopened(from->reopened, &to->reopened, err);
    }
    if (from->forked != NULL) {
        to->kind = EVENT_FORKED;
        return journal_decode_forked(from->forked, &to->forked, err);
    }
    if (from->owned != NULL) {
        to->kind = EVENT_OWNED;
        return journal_decode_owned(from->owned, &to->owned, err);
    }
    if (journal_wait_kinds(from) > 0)
        return journal_decode_wait(from, to, err);
    return journal_decode_call(from, to, err);
}

int journal_decode(struct arena *arena, struct uuid execution, uint64_t sequence,
                   struct bytes record, struct event *ret_event, struct err *err)
{
    Af__Record__Event *from =
        (Af__Record__Event *)record_unpack(&af__record__event__descriptor, record, arena);
    if (from == NULL)
        return err_set(err, ERR_MALFORMED, "the record is not an event");

    struct event event = {.execution = execution, .sequence = sequence, .time_us = from->time_us};
    int rc = decode_kind(arena, from, &event, err);
    if (rc == 0)
        *ret_event = event;
    return rc;
}

int journal_fold(engine_t *engine, struct arena *arena, struct uuid execution,
                 uint64_t last_sequence, uint64_t sequence, struct bytes record, struct err *err)
{
    struct err cause = {0};
    struct event event;
    char id[TYPEID_TEXT_SIZE], text[320];

    if (sequence != last_sequence + 1)
        return err_set(err, ERR_CORRUPT,
                       "the journal of %s goes from event %" PRIu64 " to %" PRIu64,
                       typeid_text("exec", execution, id), last_sequence, sequence);
    arena_clear(arena);
    int rc = journal_decode(arena, execution, sequence, record, &event, &cause);
    if (rc == 0)
        rc = engine_apply(engine, &event, &cause);
    if (rc < 0)
        rc = err_set(err, ERR_CORRUPT, "event %" PRIu64 " of the journal of %s: %s", sequence,
                     typeid_text("exec", execution, id), err_format(&cause, text, sizeof text));
    return rc;
}
