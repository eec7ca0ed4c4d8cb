#include "coordinator/events.h"

#include "coordinator/approvals.h"
#include "coordinator/executions.h"

#include <string.h>

static void put_run(struct doc *doc, struct run run)
{
    doc_map(doc, "run");
    doc_int(doc, "epoch", (int64_t)run.epoch);
    doc_int(doc, "counter", (int64_t)run.counter);
    doc_end(doc);
}

static void put_pins(struct doc *doc, const struct event_started *started)
{
    doc_list(doc, "agents");
    for (size_t i = 0; i < started->agents_count; i++) {
        doc_map(doc, NULL);
        doc_string(doc, "name", started->agents[i].name);
        doc_int(doc, "version", started->agents[i].version);
        doc_end(doc);
    }
    doc_end(doc);
}

void events_owner(struct doc *doc, struct uuid owner, const char *path)
{
    char text[TYPEID_TEXT_SIZE];
    if (uuid_is_nil(owner))
        return;
    doc_string(doc, "parent", typeid_text("exec", owner, text));
    doc_string(doc, "parent_task", path);
}

void events_owned(struct doc *doc, const struct event_owned *owned)
{
    char text[TYPEID_TEXT_SIZE];
    doc_string(doc, "task", owned->path);
    doc_int(doc, "attempt", owned->attempt);
    doc_string(doc, "child", typeid_text("exec", owned->execution, text));
    doc_string(doc, "workflow", owned->workflow);
    doc_int(doc, "version", owned->version);
}

static void put_event_started(struct doc *doc, const struct event_started *started)
{
    bool alone = *started->workflow == '\0';
    doc_string(doc, "workflow", alone ? NULL : started->workflow);
    if (!alone)
        doc_int(doc, "workflow_version", started->workflow_version);
    doc_string(doc, "agent", alone ? started->agent : NULL);
    put_pins(doc, started);
    doc_datum(doc, "input", &started->input);
    doc_time(doc, "deadline_at", started->deadline_us);
    doc_string(doc, "by", started->by);
    events_owner(doc, started->owner, started->owner_path);
}

static const char *step_kind_name(enum step_kind kind)
{
    switch (kind) {
    case STEP_TURN: return "turn";
    case STEP_TOOL_RESULT: return "tool_result";
    case STEP_RESULT: return "result";
    case STEP_FAILURE: return "failure";
    }
    return "";
}

int64_t events_number(uint64_t number)
{
    return number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

void events_usage(struct doc *doc, const struct usage *usage)
{
    doc_map(doc, "tokens");
    doc_int(doc, "input", events_number(usage->input_tokens));
    doc_int(doc, "output", events_number(usage->output_tokens));
    doc_end(doc);
    doc_int(doc, "cost_microusd", events_number(usage->cost_microusd));
}

static void put_turn(struct doc *doc, const struct event_step *step)
{
    doc_int(doc, "turn", step->turn);
    if (step->kind == STEP_TOOL_RESULT) {
        doc_int(doc, "call", step->call);
        return;
    }
    doc_list(doc, "calls");
    for (size_t i = 0; i < step->calls_count; i++)
        doc_string(doc, NULL, step->calls[i]);
    doc_end(doc);
    events_usage(doc, &step->usage);
}

static void put_event_step(struct doc *doc, const struct event_step *step)
{
    doc_string(doc, "task", step->path);
    doc_int(doc, "attempt", step->attempt);
    doc_int(doc, "step", step->number);
    doc_string(doc, "step_kind", step_kind_name(step->kind));
    put_run(doc, step->run);
    doc_string(doc, "instance", step->instance);
    doc_string(doc, "agent", step->agent);
    doc_int(doc, "agent_version", step->agent_version);
    doc_time(doc, "queued_at", step->queued_us);
    doc_time(doc, "started_at", step->started_us);
    doc_time(doc, "ended_at", step->ended_us);
    if (step->turn > 0)
        put_turn(doc, step);
    if (step->failure.code != NULL)
        executions_failure(doc, "failure", &step->failure);
    if (step->kind == STEP_FAILURE)
        doc_time(doc, "retry_at", step->retry_at_us);
    else
        doc_datum(doc, "output", &step->output);
    if (!datum_absent(&step->patch))
        doc_datum(doc, "patch", &step->patch);
}

static void put_place(struct doc *doc, const struct call_place *by)
{
    doc_string(doc, "task", by->path);
    doc_int(doc, "attempt", by->attempt);
    doc_int(doc, "turn", by->turn);
    doc_int(doc, "call", by->call);
    put_run(doc, by->run);
}

static void put_delegated(struct doc *doc, const struct event_delegated *delegated)
{
    put_place(doc, &delegated->by);
    doc_string(doc, "child", delegated->child);
    doc_string(doc, "agent", delegated->agent.name);
    doc_int(doc, "version", delegated->agent.version);
    doc_datum(doc, "message", &delegated->message);
    doc_bool(doc, "hand_off", delegated->hand_off);
}

static void put_reserved(struct doc *doc, const struct event_reserved *reserved)
{
    doc_string(doc, "task", reserved->path);
    doc_int(doc, "attempt", reserved->attempt);
    doc_int(doc, "turn", reserved->turn);
    doc_string(doc, "egress", reserved->egress);
    doc_int(doc, "tokens", events_number(reserved->tokens));
    doc_int(doc, "cost_microusd", events_number(reserved->cost_microusd));
}

static void put_answered(struct doc *doc, const struct event_answered *answered)
{
    put_place(doc, &answered->by);
    doc_string(doc, "tool", answered->tool);
    if (answered->failure.code != NULL)
        executions_failure(doc, "failure", &answered->failure);
    else
        doc_datum(doc, "output", &answered->output);
}

/* The list itself is what the node before it gave; its items are in their tasks' messages. */
void events_decided(struct doc *doc, const struct event_decided *decided)
{
    static const char *const names[] = {
        [DECIDED_EDGE] = "edge", [DECIDED_IF] = "if", [DECIDED_FOR] = "for"};
    doc_string(doc, "task", decided->path);
    doc_string(doc, "what", names[decided->what]);
    if (decided->what == DECIDED_EDGE)
        doc_string(doc, "source", decided->source);
    if (decided->failure.code != NULL) {
        executions_failure(doc, "failure", &decided->failure);
    } else if (decided->what == DECIDED_FOR) {
        doc_int(doc, "items_count", decided->items_count);
        doc_int(doc, "items_size", (int64_t)datum_size(&decided->items));
    } else {
        doc_bool(doc, "holds", decided->holds);
    }
}

const char *events_wait_name(enum wait_kind kind)
{
    static const char *const names[] = {
        [WAIT_APPROVAL] = "approval", [WAIT_TIMER] = "timer", [WAIT_SIGNAL] = "signal"};
    return names[kind];
}

static void put_approval(struct doc *doc, const struct event *event, const char *path,
                         uint32_t attempt)
{
    struct buf id = {0};
    approval_id_print(event->execution, path, attempt, &id);
    doc_string(doc, "approval", buf_string(&id));
    buf_release(&id);
}

static void put_waiting(struct doc *doc, const struct event *event)
{
    const struct event_waiting *waiting = &event->waiting;
    char hash[2 * DATUM_HASH_BYTES + 1];
    doc_string(doc, "task", waiting->path);
    doc_int(doc, "attempt", waiting->attempt);
    doc_string(doc, "waits", events_wait_name(waiting->kind));
    if (waiting->kind == WAIT_APPROVAL) {
        put_approval(doc, event, waiting->path, waiting->attempt);
        doc_datum(doc, "text", &waiting->text);
        doc_datum(doc, "show", &waiting->show);
        datum_hash_hex(waiting->hash, hash);
        doc_string(doc, "hash", hash);
    }
    if (waiting->kind == WAIT_SIGNAL)
        doc_string(doc, "signal", waiting->signal);
    doc_time(doc, "due_at", waiting->due_us);
}

static void put_decision(struct doc *doc, const struct event *event)
{
    const struct event_decision *decision = &event->decision;
    doc_string(doc, "task", decision->path);
    doc_int(doc, "attempt", decision->attempt);
    put_approval(doc, event, decision->path, decision->attempt);
    doc_bool(doc, "approved", decision->approved);
    doc_string(doc, "by", decision->by);
    doc_string(doc, "note", decision->note);
    if (!datum_absent(&decision->edited))
        doc_datum(doc, "edited", &decision->edited);
}

void events_wait(struct doc *doc, const struct event *event)
{
    switch (event->kind) {
    case EVENT_WAITING: put_waiting(doc, event); break;
    case EVENT_DECISION: put_decision(doc, event); break;
    case EVENT_SIGNAL:
        doc_string(doc, "signal", event->signal.name);
        doc_datum(doc, "payload", &event->signal.payload);
        doc_string(doc, "by", event->signal.by);
        break;
    case EVENT_TIMER:
        doc_string(doc, "task", event->timer.path);
        doc_int(doc, "attempt", event->timer.attempt);
        doc_string(doc, "waits", events_wait_name(event->timer.kind));
        if (event->timer.kind == WAIT_APPROVAL)
            put_approval(doc, event, event->timer.path, event->timer.attempt);
        break;
    default: {
        const struct event_pause *pause =
            event->kind == EVENT_PAUSED ? &event->paused : &event->resumed;
        doc_string(doc, "by", pause->by);
        doc_string(doc, "why", pause->why);
        break;
    }
    }
}

void events_again(struct doc *doc, const struct event *event)
{
    char text[TYPEID_TEXT_SIZE];
    if (event->kind == EVENT_REOPENED) {
        doc_string(doc, "by", event->reopened.by);
        doc_string(doc, "was", execution_status_name(event->reopened.was));
        doc_time(doc, "deadline", event->reopened.deadline_us);
        return;
    }
    doc_string(doc, "by", event->forked.by);
    doc_string(doc, "from", typeid_text("exec", event->forked.from, text));
    doc_int(doc, "at_sequence", (int64_t)event->forked.at);
    doc_string(doc, "task", event->forked.node);
    doc_time(doc, "deadline", event->forked.deadline_us);
}

void events_document(struct doc *doc, const struct event *event)
{
    switch (event->kind) {
    case EVENT_STARTED: put_event_started(doc, &event->started); break;
    case EVENT_STEP: put_event_step(doc, &event->step); break;
    case EVENT_LOST:
        doc_string(doc, "task", event->lost.path);
        put_run(doc, event->lost.run);
        doc_bool(doc, "counted", event->lost.counted);
        doc_string(doc, "reason", event->lost.reason);
        doc_string(doc, "instance", event->lost.instance);
        break;
    case EVENT_CANCEL:
        doc_string(doc, "by", event->cancel.by);
        doc_string(doc, "why", event->cancel.why);
        break;
    case EVENT_FAILING:
        doc_string(doc, "task", event->failing.path);
        executions_failure(doc, "failure", &event->failing.failure);
        doc_bool(doc, "finish", event->failing.finish);
        break;
    case EVENT_ENDED:
        doc_string(doc, "status", execution_status_name(event->ended.status));
        doc_datum(doc, "output", &event->ended.output);
        executions_failure(doc, "failure", &event->ended.failure);
        doc_string(doc, "task", event->ended.path);
        break;
    case EVENT_RESERVED: put_reserved(doc, &event->reserved); break;
    case EVENT_SETTLED:
        doc_string(doc, "task", event->settled.path);
        doc_int(doc, "attempt", event->settled.attempt);
        doc_int(doc, "turn", event->settled.turn);
        doc_string(doc, "reason", event->settled.reason);
        if (event->settled.turn == 0)
            events_usage(doc, &event->settled.usage);
        break;
    case EVENT_DELEGATED: put_delegated(doc, &event->delegated); break;
    case EVENT_REFUSED:
        put_place(doc, &event->refused.by);
        doc_string(doc, "agent", event->refused.agent);
        executions_failure(doc, "failure", &event->refused.failure);
        break;
    case EVENT_ANSWERED: put_answered(doc, &event->answered); break;
    case EVENT_PATCHED:
        put_place(doc, &event->patched.by);
        doc_datum(doc, "patch", &event->patched.patch);
        break;
    case EVENT_DECIDED: events_decided(doc, &event->decided); break;
    case EVENT_WAITING:
    case EVENT_DECISION:
    case EVENT_SIGNAL:
    case EVENT_TIMER:
    case EVENT_PAUSED:
    case EVENT_RESUMED: events_wait(doc, event); break;
    case EVENT_OWNED: events_owned(doc, &event->owned); break;
    case EVENT_REOPENED: events_again(doc, event); break;
    case EVENT_FORKED:
        events_again(doc, event);
        if (!datum_absent(&event->forked.input))
            doc_datum(doc, "input", &event->forked.input);
        break;
    }
}
