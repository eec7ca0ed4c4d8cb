#include "egress/egressd.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/notify.h"
#include "definitions/versions.h"
#include "egress/calls.h"
#include "egress/playback.h"
#include "egress/usage.h"
#include "proto/link.h"
#include "proto/peer.h"
#include "proto/publish.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <zmq.h>

enum {
    BATCH_MAX = 256,            /* messages taken before calls have their turn */
    BEAT_AGAIN_US = 200 * 1000, /* between two beats for a lease that something waits for */
    POLL_MAX_US = 10 * LIMIT_SECOND_US,
};

static const char COORDINATOR[] = "coordinator";
static const char SCRIPT[] = "script/";

struct egressd {
    struct egressd_options options;
    char *address;
    void *zmq_context;
    peer_t *peer;
    publish_t *publish;
    link_t *link;
    calls_t *calls;
    struct provider script;
    struct versions versions;
    uint64_t correlation; /* of the next request for a definition */
    int calls_fd;         /* -1: no such file */
    struct message message;
    struct arena held;
    struct buf scratch;
    int64_t now_us;
    int64_t busy_us; /* when there last was a grant or a call */
    int64_t beat_us; /* when something last asked for a lease */
    bool waits_for_lease;
    bool refused; /* and said so */
    bool draining;
    int64_t end_us; /* draining: when it ends at the latest */
};

/* --- sending -------------------------------------------------------------------------------------
 */

/* What can't be sent is lost here: the link sends again, and askers ask again. */
static void send_body(egressd_t *self, const char *to, const struct wire_body *body,
                      uint64_t correlation, struct bytes payload)
{
    const struct wire_route route = {
        .kind = body->kind, .to = to, .from = self->address, .correlation = correlation};
    struct err err;
    if (peer_send(self->peer, &route, body, payload, &err) != 0)
        log_debug("EGRESS-UNSENT", err.what, "to", to, NULL);
}

static void send_link(void *context, const struct wire_body *body)
{
    send_body(context, COORDINATOR, body, 0, bytes_of(NULL, 0));
}

static void send_answer(void *context, const char *to, uint64_t correlation,
                        const struct wire_call_answer *answer, struct bytes payload)
{
    const struct wire_body body = {.kind = WIRE_CALL_ANSWER, .call_answer = *answer};
    send_body(context, to, &body, correlation, payload);
}

static void fill_hello(void *context, struct wire_hello *hello)
{
    egressd_t *self = context;
    arena_clear(&self->held);
    *hello = (struct wire_hello){
        .role = "egress", .pid = (uint32_t)getpid(), .program = "egressd " AF_VERSION};
    calls_held(self->calls, &self->held, &hello->held, &hello->held_count);
}

/* --- events --------------------------------------------------------------------------------------
 */

static void publish_delta(void *context, uint64_t id, struct bytes text)
{
    egressd_t *self = context;
    struct call_view call;
    char execution[TYPEID_TEXT_SIZE], at[CLOCK_TEXT_SIZE];
    char topic[sizeof "execution." + TYPEID_TEXT_SIZE];
    if (!publish_any_wanted(self->publish) || !calls_find(self->calls, id, &call))
        return;
    typeid_text("exec", call.key.execution, execution);
    (void)snprintf(topic, sizeof topic, "execution.%s", execution);
    if (!publish_wanted(self->publish, topic))
        return;
    value_t *event = value_map();
    value_t *piece = value_string_n((const char *)text.data, text.size);
    value_set_string(event, "type", "message.delta");
    value_set_string(event, "execution", execution);
    value_set_string(event, "at", clock_format(clock_utc_us(), at));
    value_set_string(event, "task", call.key.path);
    value_set_string(event, "agent", call.agent);
    value_set_int(event, "attempt", call.key.attempt);
    value_set_int(event, "turn", call.key.turn);
    value_set(event, "text", &piece);
    buf_clear(&self->scratch);
    value_to_msgpack(event, &self->scratch);
    value_destroy(&event);
    publish_send(self->publish, topic, buf_bytes(&self->scratch));
}

/* --- calls ---------------------------------------------------------------------------------------
 */

typedef void (*log_fn)(const char *id, const char *sentence, ...);

/* Says which call; never what is in it. */
static void log_call(log_fn log, const char *id, const char *sentence, const struct call_view *call,
                     const char *why)
{
    char execution[TYPEID_TEXT_SIZE], turn[24];
    typeid_text("exec", call->key.execution, execution);
    (void)snprintf(turn, sizeof turn, "%u/%u", call->key.attempt, call->key.turn);
    log(id, sentence, "execution", execution, "task", call->key.path, "turn", turn, "agent",
        call->agent, "why", why, NULL);
}

static void refuse_call(egressd_t *self, const struct call_view *call, const char *error,
                        const char *what)
{
    const struct wire_call_answer answer = {.error = error, .what = what, .permanent = true};
    log_call(log_warn, "EGRESS-CALL-REFUSED", "a call is refused for good", call, what);
    calls_answer(self->calls, call->id, &answer, bytes_of(NULL, 0));
}

static void end_call(void *context, uint64_t id, const struct provider_end *end)
{
    egressd_t *self = context;
    struct call_view call;
    if (!calls_find(self->calls, id, &call))
        return;
    const struct wire_call_answer answer = {
        .error = end->error,
        .what = end->what,
        .permanent = end->permanent,
        .usage = usage_settle(end->input_tokens, end->output_tokens, call.prices, call.tokens,
                              call.cost_microusd),
    };
    log_call(log_debug, "EGRESS-CALL-ENDED", "a call has ended", &call,
             end->error && end->error[0] ? end->error : "answered");
    calls_answer(self->calls, id, &answer, end->turn);
}

/* Before the call is made: a line too many after a crash is found, one too few is not. */
static void note_call(egressd_t *self, const struct call_view *call)
{
    char execution[TYPEID_TEXT_SIZE];
    if (self->calls_fd < 0)
        return;
    buf_clear(&self->scratch);
    buf_printf(&self->scratch, "%s %s %u %u\n", typeid_text("exec", call->key.execution, execution),
               call->key.path, call->key.attempt, call->key.turn);
    if (write(self->calls_fd, self->scratch.data, self->scratch.size) !=
        (ssize_t)self->scratch.size)
        log_error("EGRESS-CALLS-FILE", "a call can't be noted", "file", self->options.calls, "why",
                  strerror(errno), NULL);
}

static void start_call(egressd_t *self, const struct call_view *call, const struct agent_def *def)
{
    const struct provider_call begun = {.id = call->id, .def = def, .request = call->request};
    if (def->answers != AGENT_MODEL) {
        refuse_call(self, call, "invalid", "the agent is not answered by a model");
    } else if (strncmp(def->model, SCRIPT, sizeof SCRIPT - 1) != 0) {
        refuse_call(self, call, "invalid", "this version runs models of script/ alone");
    } else if (!def->rules) {
        refuse_call(self, call, "invalid", "the agent's definition holds no rules of its script");
    } else {
        log_call(log_debug, "EGRESS-CALL-STARTED", "a call begins", call, "");
        note_call(self, call);
        calls_start(self->calls, call->id,
                    (struct usage_prices){def->input_price, def->output_price});
        self->script.begin(self->script.self, &begun, self->now_us);
    }
}

/* The version of the call's agent, asked for if need be; NULL while it is not there, and when the
 * call was refused for it. */
static struct version *version_of(egressd_t *self, const struct call_view *call)
{
    struct version *version = versions_find(&self->versions, call->agent, call->agent_version);
    if (!version)
        /* In use by egressd itself until the answer. */
        version = versions_use_of(&self->versions, call->agent, call->agent_version, self->now_us);
    return version->state == VERSION_READY ? version : NULL;
}

/* A few at a time: the lease must be a true one for each. Returns whether there are more. */
static bool start_calls(egressd_t *self)
{
    struct call_view call;
    uint64_t last = 0;
    int started = 0;
    self->waits_for_lease = false;
    if (self->draining || calls_count(self->calls, CALL_READY) == 0)
        return false;
    bool lease = link_lease_valid(self->link, clock_monotonic_us());
    while (started < LIMIT_EGRESS_STARTS && calls_startable(self->calls, lease, last, &call)) {
        last = call.id;
        struct version *version = version_of(self, &call);
        if (!version)
            continue;
        (void)versions_use_of(&self->versions, version->agent, version->number, self->now_us);
        start_call(self, &call, version->def);
        versions_unuse(&self->versions, version);
        started++;
        lease = link_lease_valid(self->link, clock_monotonic_us());
    }
    self->waits_for_lease = !lease;
    return started == LIMIT_EGRESS_STARTS;
}

static void refuse_calls_of(egressd_t *self, const struct version *version)
{
    char what[sizeof version->refusal.what + 64];
    struct call_view call;
    (void)snprintf(what, sizeof what, "the agent's definition can't be used: %s",
                   version->refusal.what);
    for (uint64_t last = 0; calls_startable(self->calls, true, last, &call); last = call.id)
        if (call.agent_version == version->number && strcmp(call.agent, version->agent) == 0)
            refuse_call(self, &call, "invalid", what);
}

/* --- what arrives --------------------------------------------------------------------------------
 */

static void take_grant(egressd_t *self, const struct wire_grant *grant)
{
    struct err err;
    if (calls_grant(self->calls, grant, &err) != 0)
        log_warn("EGRESS-FULL", "a grant can't be taken", "why", err.what, "agent", grant->agent,
                 NULL);
}

static void take_items(egressd_t *self, struct bytes bytes)
{
    struct wire_items items;
    struct err err;
    if (wire_decode_items(&self->message.arena, bytes, &items, &err) != 0) {
        /* The link counts the frame as received: only a new link can bring its items back. */
        log_warn("EGRESS-ITEMS-MALFORMED", err.what, NULL);
        link_hello(self->link, self->now_us);
        return;
    }
    for (size_t i = 0; i < items.count; i++) {
        const struct wire_item *item = &items.items[i];
        if (item->kind == WIRE_ITEM_GRANT) {
            take_grant(self, &item->grant);
        } else if (item->kind == WIRE_ITEM_FORGET) {
            uint64_t id = calls_forget(self->calls, &item->forget.key);
            if (id)
                self->script.abort(self->script.self, id);
        }
    }
}

static void take_link(egressd_t *self)
{
    struct bytes items = {0};
    if (strcmp(self->message.route.from, COORDINATOR) != 0)
        return;
    switch (link_receive(self->link, &self->message.body, self->now_us, &items)) {
    case LINK_WELCOMED:
        calls_linked(self->calls);
        log_info("EGRESS-LINKED", "the coordinator has welcomed this egress", NULL);
        break;
    case LINK_ITEMS: take_items(self, items); break;
    case LINK_NOTHING:
    case LINK_RESTART:
    case LINK_ENDED: break;
    }
}

/* Instances alone ask for calls: a grant names a run, and a run is an instance's. */
static void take_call(egressd_t *self)
{
    const struct message *message = &self->message;
    const struct calls_asker asker = {message->route.from, message->route.correlation};
    if (strncmp(asker.address, "instance:", strlen("instance:")) != 0)
        return;
    (void)calls_ask(self->calls, &message->body.call,
                    message->has_payload ? &message->payload : NULL, asker, self->now_us);
}

static void take_reply(egressd_t *self)
{
    struct err refusal = {0}, why = {0};
    if (strcmp(self->message.route.from, COORDINATOR) != 0)
        return;
    bool refused = wire_reply_error(&self->message.body.reply, &refusal) != 0;
    struct version *version =
        versions_receive(&self->versions, self->message.route.correlation,
                         refused ? &refusal : NULL, self->message.payload, self->now_us, &why);
    if (why.code)
        log_warn("EGRESS-DEFINITION", "an agent's definition can't be had", "agent",
                 version ? version->agent : "", "why", why.what, NULL);
    if (!version)
        return;
    if (version->state == VERSION_REFUSED)
        refuse_calls_of(self, version);
    versions_unuse(&self->versions, version);
}

static void handle(egressd_t *self)
{
    switch (self->message.body.kind) {
    case WIRE_LINK_WELCOME:
    case WIRE_LINK_FRAME:
    case WIRE_LINK_RESET:
    case WIRE_LINK_BYE: take_link(self); return;
    case WIRE_CALL: take_call(self); return;
    case WIRE_REPLY: take_reply(self); return;
    case WIRE_UNDELIVERABLE:
        if (self->message.body.undeliverable.kind == WIRE_REQUEST)
            versions_undelivered(&self->versions, self->message.route.correlation, self->now_us);
        return;
    default: return;
    }
}

static bool receive_batch(egressd_t *self)
{
    for (int taken = 0; taken < BATCH_MAX; taken++) {
        struct err err;
        int rc = peer_receive(self->peer, &self->message, self->now_us, &err);
        if (rc == ERR_AGAIN)
            return false;
        if (rc == 0)
            handle(self);
        message_clear(&self->message);
    }
    return true;
}

/* --- the loop ------------------------------------------------------------------------------------
 */

static void take_signals(egressd_t *self)
{
    struct signalfd_siginfo info;
    while (read(self->options.signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (self->draining) {
            self->end_us = self->now_us;
            continue;
        }
        notify_manager("STOPPING=1");
        log_info("EGRESS-STOPPING", "egressd was told to end", NULL);
        self->draining = true;
        self->end_us = self->now_us + LIMIT_EGRESS_DRAIN_US;
    }
}

/* What is under way was paid for, and what is held is still to be journaled. */
static bool is_over(const egressd_t *self)
{
    if (!self->draining)
        return false;
    return self->now_us >= self->end_us || (calls_count(self->calls, CALL_RUNNING) == 0 &&
                                            calls_count(self->calls, CALL_ANSWERED) == 0);
}

static void ask_for_definitions(egressd_t *self)
{
    struct version *version;
    while ((version = versions_due(&self->versions, self->now_us))) {
        const struct wire_body body = {.kind = WIRE_REQUEST, .request.method = "agents.get"};
        struct buf params = {0};
        versions_request(version, &self->correlation, self->now_us, &params);
        send_body(self, COORDINATOR, &body, version->correlation, buf_bytes(&params));
        buf_release(&params);
    }
}

/* The coordinator counts what it has reserved here and not settled. Each is a key of the table,
 * whatever state its call is in; so beats are as often as it expects them. The link counts as busy
 * for a while longer, so as not to ask for a lease with each call. */
static void keep_lease(egressd_t *self)
{
    if (calls_any(self->calls))
        self->busy_us = self->now_us;
    link_set_busy(self->link, self->busy_us && self->now_us - self->busy_us < LIMIT_BEAT_US,
                  self->now_us);
    if (self->waits_for_lease && link_state(self->link) == LINK_OPEN &&
        self->now_us - self->beat_us >= BEAT_AGAIN_US) {
        self->beat_us = self->now_us;
        link_beat(self->link, self->now_us);
    }
}

/* Once for each time it happens. */
static void say_refused(egressd_t *self)
{
    const char *by_broker = peer_refusal(self->peer);
    bool by_coordinator = link_state(self->link) == LINK_REFUSED;
    bool refused = by_broker || by_coordinator;
    if (refused && !self->refused)
        log_error("EGRESS-REFUSED", by_broker ? by_broker : link_refusal(self->link), NULL);
    self->refused = refused;
}

static long poll_timeout_ms(const egressd_t *self, bool busy)
{
    int64_t wake_us = clock_earlier(self->now_us + POLL_MAX_US, link_deadline(self->link));
    wake_us = clock_earlier(wake_us, peer_deadline(self->peer));
    wake_us = clock_earlier(wake_us, calls_deadline(self->calls));
    wake_us = clock_earlier(wake_us, versions_deadline(&self->versions));
    wake_us = clock_earlier(wake_us, self->script.deadline(self->script.self));
    if (self->waits_for_lease && link_state(self->link) == LINK_OPEN)
        wake_us = clock_earlier(wake_us, self->beat_us + BEAT_AGAIN_US);
    if (self->draining)
        wake_us = clock_earlier(wake_us, self->end_us);
    if (busy || wake_us <= self->now_us)
        return 0;
    return (long)((wake_us - self->now_us + 999) / 1000);
}

/* The link's time comes first: a process that was stopped for longer than its lease has lost it,
 * whatever has arrived meanwhile. */
static bool run_round(egressd_t *self)
{
    self->now_us = clock_monotonic_us();
    take_signals(self);
    (void)link_tick(self->link, self->now_us);
    peer_tick(self->peer, self->now_us);
    publish_receive(self->publish);
    bool more = receive_batch(self);
    calls_tick(self->calls, self->now_us);
    more |= start_calls(self);
    ask_for_definitions(self);
    keep_lease(self);
    self->script.tick(self->script.self, self->now_us);
    say_refused(self);
    return more;
}

int egressd_run(egressd_t *self, struct err *err)
{
    zmq_pollitem_t items[] = {
        {.fd = self->options.signals, .events = ZMQ_POLLIN},
        {.socket = peer_socket(self->peer), .events = ZMQ_POLLIN},
        {.socket = publish_socket(self->publish), .events = ZMQ_POLLIN},
    };
    bool more = true;
    while (!is_over(self)) {
        if (zmq_poll(items, 3, poll_timeout_ms(self, more)) < 0 && errno != EINTR)
            return err_set(err, ERR_IO, "the sockets can't be polled: %s", zmq_strerror(errno));
        more = run_round(self);
    }
    link_bye(self->link, "egressd ends");
    return 0;
}

/* --- its life ------------------------------------------------------------------------------------
 */

static int open_calls_file(egressd_t *self, struct err *err)
{
    if (!self->options.calls)
        return 0;
    self->calls_fd = open(self->options.calls, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (self->calls_fd >= 0)
        return 0;
    (void)err_set(err, ERR_IO, "the file of calls can't be written: %s", strerror(errno));
    err_where(err, "%s", self->options.calls);
    err_fix(err, "give another --calls");
    return ERR_IO;
}

static int connect_broker(egressd_t *self, struct err *err)
{
    struct peer_options options = {
        .endpoint = self->options.broker,
        .address = self->address,
        .program = "egressd " AF_VERSION,
        .zmq_context = self->zmq_context,
    };
    int rc = publish_new(self->zmq_context, self->options.publish, &self->publish, err);
    if (rc != 0)
        err_where(err, "--publish");
    if (rc == 0)
        rc = peer_new(&options, &self->peer, err);
    if (rc != 0)
        return rc;
    self->link = link_new_peer((uint64_t)clock_utc_us(), send_link, self);
    link_set_hello(self->link, fill_hello);
    link_hello(self->link, self->now_us);
    return 0;
}

int egressd_new(const struct egressd_options *options, egressd_t **ret_egressd, struct err *err)
{
    egressd_t *self = xcalloc(1, sizeof *self);
    const struct provider_events events = {
        .delta = publish_delta, .end = end_call, .context = self};
    self->options = *options;
    self->address = xasprintf("egress:%s", options->id);
    self->calls_fd = -1;
    self->correlation = 1;
    self->now_us = clock_monotonic_us();
    self->versions.kept_max = LIMIT_EGRESS_VERSIONS;
    self->calls = calls_new(&CALLS_LIMITS, send_answer, self);
    self->script = playback_new(&events);
    self->zmq_context = zmq_ctx_new();
    CHECK(self->zmq_context != NULL);
    int rc = open_calls_file(self, err);
    if (rc == 0)
        rc = connect_broker(self, err);
    if (rc != 0)
        egressd_destroy(&self);
    else
        *ret_egressd = self;
    return rc;
}

void egressd_destroy(egressd_t **self_p)
{
    egressd_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    self->script.destroy(&self->script.self);
    calls_destroy(&self->calls);
    versions_release(&self->versions);
    message_release(&self->message);
    link_destroy(&self->link);
    peer_destroy(&self->peer);
    publish_destroy(&self->publish);
    zmq_ctx_term(self->zmq_context);
    arena_release(&self->held);
    buf_release(&self->scratch);
    if (self->calls_fd >= 0)
        close(self->calls_fd);
    free(self->address);
    free(self);
}
