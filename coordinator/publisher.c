#include "coordinator/publisher.h"

#include "coordinator/events.h"
#include "coordinator/executions.h"
#include "proto/publish.h"

#include <stdlib.h>
#include <string.h>

#define TOPIC_EXECUTION "execution."
#define TOPIC_FLEET     "fleet"

struct publisher {
    publish_t *events;
    struct buf document;
    struct doc doc;
};

int publisher_new(void *zmq_context, const char *endpoint, struct publisher **ret_publisher,
                  struct err *err)
{
    struct publisher *self = xcalloc(1, sizeof *self);
    int rc = publish_new(zmq_context, endpoint, &self->events, err);
    if (rc != 0) {
        err_where(err, "--publish");
        publisher_destroy(&self);
        return rc;
    }
    *ret_publisher = self;
    return 0;
}

void publisher_destroy(struct publisher **self_p)
{
    struct publisher *self = *self_p;
    if (self == NULL)
        return;
    publish_destroy(&self->events);
    buf_release(&self->document);
    free(self);
    *self_p = NULL;
}

void *publisher_socket(struct publisher *self)
{
    return publish_socket(self->events);
}

void publisher_receive(struct coordinator *self)
{
    publish_receive(self->publisher->events);
}

static bool wanted(const struct publisher *self, const char *topic)
{
    return publish_wanted(self->events, topic);
}

static bool anything_wanted(const struct publisher *self)
{
    return publish_any_wanted(self->events);
}

bool publisher_sends(const struct coordinator *self)
{
    return anything_wanted(self->publisher);
}

/* --- events ----------------------------------------------------------------------------------- */

struct topic {
    char text[sizeof TOPIC_EXECUTION + TYPEID_TEXT_SIZE];
    const char *id; /* within text */
};

static void execution_topic(struct uuid id, struct topic *topic)
{
    size_t size = sizeof TOPIC_EXECUTION - 1;
    memcpy(topic->text, TOPIC_EXECUTION, size);
    topic->id = topic->text + size;
    typeid_text("exec", id, topic->text + size);
}

static struct doc *begin(struct publisher *self, const char *type)
{
    buf_clear(&self->document);
    doc_init(&self->doc, &self->document);
    doc_map(&self->doc, NULL);
    doc_string(&self->doc, "type", type);
    return &self->doc;
}

static struct doc *begin_about(struct publisher *self, const struct topic *topic, const char *type,
                               const struct event *event)
{
    struct doc *doc = begin(self, type);
    doc_string(doc, "execution", topic->id);
    doc_int(doc, "sequence", (int64_t)event->sequence);
    doc_time(doc, "at", event->time_us);
    return doc;
}

static void finish(struct publisher *self, const char *topic)
{
    doc_end(&self->doc);
    publish_send(self->events, topic, buf_bytes(&self->document));
}

static const char *step_type(const struct event_step *step)
{
    switch (step->kind) {
    case STEP_TURN: return "turn.finished";
    case STEP_TOOL_RESULT: return "tool.finished";
    case STEP_RESULT: return "task.succeeded";
    case STEP_FAILURE: return step->retry_at_us != 0 ? "task.retrying" : "task.failed";
    }
    return "";
}

static const char *end_type(enum execution_status status)
{
    if (status == EXECUTION_SUCCEEDED)
        return "execution.succeeded";
    return status == EXECUTION_CANCELLED ? "execution.cancelled" : "execution.failed";
}

/* An approval that expires is resolved by that: it can't be decided any more. */
static const char *timer_type(enum wait_kind kind)
{
    switch (kind) {
    case WAIT_APPROVAL: return "approval.resolved";
    case WAIT_TIMER: return "timer.fired";
    case WAIT_SIGNAL: return "signal.expired";
    }
    return "";
}

static const char *event_type(const struct event *event)
{
    switch (event->kind) {
    case EVENT_STARTED: return "execution.started";
    case EVENT_STEP: return step_type(&event->step);
    case EVENT_LOST: return "task.lost";
    case EVENT_CANCEL: return "execution.cancelling";
    case EVENT_FAILING: return "execution.failing";
    case EVENT_ENDED: return end_type(event->ended.status);
    case EVENT_RESERVED: return "turn.started";
    case EVENT_SETTLED: return event->settled.turn > 0 ? "turn.again" : "workflow.counted";
    case EVENT_DELEGATED: return "delegation.started";
    case EVENT_REFUSED: return "delegation.refused";
    case EVENT_ANSWERED: return "tool.finished";
    case EVENT_PATCHED: return "context.changed";
    case EVENT_DECIDED: return "task.decided";
    case EVENT_WAITING:
        return event->waiting.kind == WAIT_APPROVAL ? "approval.requested" : "task.waiting";
    case EVENT_DECISION: return "approval.resolved";
    case EVENT_SIGNAL: return "signal.received";
    case EVENT_TIMER: return timer_type(event->timer.kind);
    case EVENT_PAUSED: return "execution.paused";
    case EVENT_RESUMED: return "execution.resumed";
    case EVENT_REOPENED: return "execution.reopened";
    case EVENT_FORKED: return "execution.forked";
    case EVENT_OWNED: return "workflow.started";
    }
    return "";
}

static void put_step(struct doc *doc, const struct event_step *step)
{
    doc_string(doc, "task", step->path);
    doc_string(doc, "agent", step->agent);
    doc_string(doc, "instance", step->instance);
    doc_int(doc, "attempt", step->attempt);
    doc_int(doc, "step", step->number);
    doc_time(doc, "started_at", step->started_us);
    doc_time(doc, "ended_at", step->ended_us);
    if (step->failure.code != NULL)
        executions_failure(doc, "failure", &step->failure);
    if (step->retry_at_us != 0)
        doc_time(doc, "retry_at", step->retry_at_us);
    if (step->turn > 0)
        doc_int(doc, "turn", step->turn);
    if (step->kind == STEP_TOOL_RESULT)
        doc_int(doc, "call", step->call);
    else if (step->turn > 0)
        events_usage(doc, &step->usage);
}

static void put_place(struct doc *doc, const struct call_place *by)
{
    doc_string(doc, "task", by->path);
    doc_int(doc, "turn", by->turn);
    doc_int(doc, "call", by->call);
}

/* What is large stays in the journal. */
static void put_call(struct doc *doc, const struct event *event)
{
    switch (event->kind) {
    case EVENT_RESERVED:
        doc_string(doc, "task", event->reserved.path);
        doc_int(doc, "turn", event->reserved.turn);
        break;
    case EVENT_SETTLED:
        doc_string(doc, "task", event->settled.path);
        doc_int(doc, "turn", event->settled.turn);
        doc_string(doc, "reason", event->settled.reason);
        break;
    case EVENT_DELEGATED:
        put_place(doc, &event->delegated.by);
        doc_string(doc, "child", event->delegated.child);
        doc_string(doc, "agent", event->delegated.agent.name);
        break;
    case EVENT_REFUSED:
        put_place(doc, &event->refused.by);
        doc_string(doc, "agent", event->refused.agent);
        executions_failure(doc, "failure", &event->refused.failure);
        break;
    case EVENT_ANSWERED:
        put_place(doc, &event->answered.by);
        doc_string(doc, "tool", event->answered.tool);
        break;
    case EVENT_DECIDED: events_decided(doc, &event->decided); break;
    default: put_place(doc, &event->patched.by); break;
    }
}

static void put_rest(struct doc *doc, const struct event *event)
{
    switch (event->kind) {
    case EVENT_STARTED:
        doc_string(doc, "workflow", event->started.workflow);
        doc_int(doc, "version", event->started.workflow_version);
        doc_string(doc, "agent", event->started.agent);
        events_owner(doc, event->started.owner, event->started.owner_path);
        break;
    case EVENT_STEP: put_step(doc, &event->step); break;
    case EVENT_LOST:
        doc_string(doc, "task", event->lost.path);
        doc_string(doc, "instance", event->lost.instance);
        doc_string(doc, "reason", event->lost.reason);
        break;
    case EVENT_CANCEL:
        doc_string(doc, "by", event->cancel.by);
        doc_string(doc, "why", event->cancel.why);
        break;
    case EVENT_FAILING:
        doc_string(doc, "task", event->failing.path);
        executions_failure(doc, "failure", &event->failing.failure);
        break;
    case EVENT_ENDED: executions_failure(doc, "failure", &event->ended.failure); break;
    case EVENT_WAITING:
    case EVENT_DECISION:
    case EVENT_SIGNAL:
    case EVENT_TIMER:
    case EVENT_PAUSED:
    case EVENT_RESUMED: events_wait(doc, event); break;
    case EVENT_REOPENED:
    case EVENT_FORKED: events_again(doc, event); break;
    case EVENT_OWNED: events_owned(doc, &event->owned); break;
    default: put_call(doc, event); break;
    }
}

/* A delegation's end is its task's, told once more to those who follow delegations. */
static void publish_delegation_end(struct publisher *self, const struct topic *topic,
                                   const struct event *event)
{
    const struct event_step *step = &event->step;
    bool ends = step->kind == STEP_RESULT || (step->kind == STEP_FAILURE && step->retry_at_us == 0);
    if (event->kind != EVENT_STEP || !ends || strchr(step->path, '/') == NULL)
        return;
    struct doc *doc = begin_about(self, topic, "delegation.finished", event);
    doc_string(doc, "task", step->path);
    doc_string(doc, "agent", step->agent);
    doc_string(doc, "status", step->kind == STEP_RESULT ? "succeeded" : "failed");
    finish(self, topic->text);
}

/* A result that sets the shared context changes it as an agent's patch does. */
static void publish_set(struct publisher *self, const struct topic *topic,
                        const struct event *event)
{
    if (event->kind != EVENT_STEP || datum_absent(&event->step.patch))
        return;
    struct doc *doc = begin_about(self, topic, "context.changed", event);
    doc_string(doc, "task", event->step.path);
    finish(self, topic->text);
}

/* That an execution waits follows from its tasks, and is no event of its own. */
static void publish_waiting(struct publisher *self, const struct topic *topic,
                            const struct event *event)
{
    (void)begin_about(self, topic, "execution.waiting", event);
    finish(self, topic->text);
}

static void publish_event(struct publisher *self, const struct event *event)
{
    struct topic topic;
    execution_topic(event->execution, &topic);
    if (!wanted(self, topic.text))
        return;
    publish_delegation_end(self, &topic, event);
    struct doc *doc = begin_about(self, &topic, event_type(event), event);
    put_rest(doc, event);
    finish(self, topic.text);
    publish_set(self, &topic, event);
    if (event->leaves_waiting)
        publish_waiting(self, &topic, event);
}

void publisher_batch(struct coordinator *self, const struct decisions *decisions)
{
    if (!anything_wanted(self->publisher))
        return;
    for (size_t i = 0; i < decisions->events_count; i++)
        publish_event(self->publisher, &decisions->events[i]);
}

void publisher_dispatch(struct coordinator *self, const struct effect_dispatch *dispatch,
                        const char *instance)
{
    struct publisher *publisher = self->publisher;
    struct topic topic;
    if (!anything_wanted(publisher))
        return;
    execution_topic(dispatch->execution, &topic);
    if (!wanted(publisher, topic.text))
        return;
    struct doc *doc = begin(publisher, "task.started");
    doc_string(doc, "execution", topic.id);
    doc_time(doc, "at", self->utc_us);
    doc_string(doc, "task", dispatch->path);
    doc_string(doc, "agent", dispatch->agent);
    doc_string(doc, "instance", instance);
    doc_int(doc, "attempt", dispatch->attempt);
    doc_time(doc, "queued_at", dispatch->queued_us);
    finish(publisher, topic.text);
}

void publisher_instance(struct coordinator *self, bool up, const char *instance, const char *agent,
                        const char *host, const char *reason)
{
    struct publisher *publisher = self->publisher;
    if (!wanted(publisher, TOPIC_FLEET))
        return;
    struct doc *doc = begin(publisher, up ? "instance.up" : "instance.down");
    doc_time(doc, "at", self->utc_us);
    doc_string(doc, "instance", instance);
    doc_string(doc, "agent", agent);
    doc_string(doc, "host", host);
    if (!up)
        doc_string(doc, "reason", reason);
    finish(publisher, TOPIC_FLEET);
}

void publisher_queue(struct coordinator *self, const char *agent, const struct agent_load *load,
                     uint32_t wanted_instances, bool changed)
{
    struct publisher *publisher = self->publisher;
    if ((!changed && load->ready == 0 && load->running == 0) || !wanted(publisher, TOPIC_FLEET))
        return;
    struct doc *doc = begin(publisher, "queue.updated");
    doc_time(doc, "at", self->utc_us);
    doc_string(doc, "agent", agent);
    doc_int(doc, "ready", (int64_t)load->ready);
    doc_int(doc, "running", (int64_t)load->running);
    doc_int(doc, "instances", load->instances);
    doc_int(doc, "wanted", wanted_instances);
    finish(publisher, TOPIC_FLEET);
}
