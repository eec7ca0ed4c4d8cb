#include "coordinator/harness.h"

#include "base/clock.h"
#include "coordinator/coordinator.h"

#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#define CLIENT      "client:test"
#define COORDINATOR "coordinator"
#define SLICE_MS    20

void harness_init(struct harness *self)
{
    struct err err;
    *self = (struct harness){0};
    snprintf(self->directory, sizeof self->directory, "/tmp/af-coordinator-XXXXXX");
    assert_non_null(mkdtemp(self->directory));
    assert_int_equal(run_paths_init(&self->paths, self->directory, &err), 0);
    assert_int_equal(run_paths_make(&self->paths, &err), 0);
    snprintf(self->endpoint, sizeof self->endpoint, "%s", self->paths.broker_endpoint);
    self->correlations = 1;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static void close_sockets(struct harness *self)
{
    if (self->router != NULL)
        zmq_close(self->router);
    if (self->context != NULL)
        zmq_ctx_term(self->context);
    self->router = self->context = NULL;
}

void harness_release(struct harness *self)
{
    if (self->coordinator > 0)
        harness_kill(self);
    for (size_t i = 0; i < self->peers_count; i++) {
        struct harness_peer *peer = &self->peers[i];
        link_destroy(&peer->link);
        for (size_t j = 0; j < peer->held_count; j++)
            buf_release(&peer->held[j].message);
        free(peer->held);
    }
    message_release(&self->message);
    close_sockets(self);
    run_paths_release(&self->paths);
    nftw(self->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- the process ------------------------------------------------------------------------------ */

static _Noreturn void run_coordinator(const struct harness *self, const struct harness_fault *fault)
{
    static struct coordinator coordinator;
    struct coordinator_options options = {.dir = self->directory,
                                          .clock_ahead_us = self->clock_ahead_us};
    struct err err = {0};
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    int rc = coordinator_start(&coordinator, &options, &err);
    if (rc == 0 && fault != NULL)
        store_fault(coordinator.store, fault->n, fault->code, true);
    if (rc == 0)
        rc = coordinator_loop(&coordinator, signal_fd, &err);
    if (rc < 0)
        fprintf(stderr, "coordinator: %s\n", err.what);
    coordinator_stop(&coordinator);
    exit(rc < 0 ? 1 : 0); /* not _exit: a leak is to be found */
}

/* The sockets are made after the fork: libzmq does not survive one. */
static void open_sockets(struct harness *self)
{
    int handover = 1, linger = 0;
    if (self->context != NULL)
        return;
    self->context = zmq_ctx_new();
    self->router = zmq_socket(self->context, ZMQ_ROUTER);
    zmq_setsockopt(self->router, ZMQ_ROUTER_HANDOVER, &handover, sizeof handover);
    zmq_setsockopt(self->router, ZMQ_LINGER, &linger, sizeof linger);
    assert_int_equal(zmq_bind(self->router, self->endpoint), 0);
}

static bool is_registered(struct harness *self)
{
    return self->registered;
}

void harness_start(struct harness *self, const struct harness_fault *fault)
{
    close_sockets(self);
    fflush(NULL);
    self->registered = false;
    self->coordinator = fork();
    assert_true(self->coordinator >= 0);
    if (self->coordinator == 0)
        run_coordinator(self, fault);
    open_sockets(self);
    assert_true(harness_until(self, is_registered));
}

void harness_kill(struct harness *self)
{
    kill(self->coordinator, SIGKILL);
    waitpid(self->coordinator, NULL, 0);
    self->coordinator = 0;
}

int harness_wait_exit(struct harness *self)
{
    int status = 0;
    int64_t until_us = clock_monotonic_us() + HARNESS_PATIENCE_US;
    while (waitpid(self->coordinator, &status, WNOHANG) == 0) {
        assert_true(clock_monotonic_us() < until_us);
        harness_pump(self);
    }
    self->coordinator = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void harness_stop(struct harness *self)
{
    kill(self->coordinator, SIGTERM);
    assert_int_equal(harness_wait_exit(self), 0);
}

/* --- messages --------------------------------------------------------------------------------- */

static void send_frames(struct harness *self, const char *from, const struct wire_body *body,
                        uint64_t correlation, struct bytes payload)
{
    struct wire_route route = {
        .kind = body->kind, .to = COORDINATOR, .from = from, .correlation = correlation};
    struct buf route_bytes = {0}, body_bytes = {0};

    wire_encode_route(&route, &route_bytes);
    wire_encode_body(body, &body_bytes);
    zmq_send(self->router, COORDINATOR, strlen(COORDINATOR), ZMQ_SNDMORE);
    zmq_send(self->router, WIRE_SIGNATURE, 4, ZMQ_SNDMORE);
    zmq_send(self->router, route_bytes.data, route_bytes.size, ZMQ_SNDMORE);
    zmq_send(self->router, body_bytes.data, body_bytes.size, payload.size > 0 ? ZMQ_SNDMORE : 0);
    if (payload.size > 0)
        zmq_send(self->router, payload.data, payload.size, 0);
    buf_release(&route_bytes);
    buf_release(&body_bytes);
}

static void answer_broker(struct harness *self, const struct message *message)
{
    struct wire_body body = {
        .kind = WIRE_REGISTERED,
        .registered = {.major = WIRE_MAJOR, .minor = WIRE_MINOR, .program = "harness"}};
    if (message->route.kind != WIRE_REGISTER)
        return;
    send_frames(self, "broker", &body, message->route.correlation, (struct bytes){0});
    self->registered = true;
}

static struct harness_peer *find_peer(struct harness *self, const char *address)
{
    for (size_t i = 0; i < self->peers_count; i++)
        if (strcmp(self->peers[i].address, address) == 0)
            return &self->peers[i];
    return NULL;
}

static void hold(struct harness_peer *peer, const struct wire_dispatch *from)
{
    peer->held = xrealloc(peer->held, (peer->held_count + 1) * sizeof(*peer->held));
    struct harness_dispatch *to = &peer->held[peer->held_count++];
    *to = (struct harness_dispatch){.execution = from->execution,
                                    .run = from->run,
                                    .attempt = from->attempt,
                                    .journaled_step = from->journaled_step};
    snprintf(to->path, sizeof to->path, "%s", from->path);
    buf_append_bytes(&to->message, from->message.inline_bytes);
}

static void take_dispatch(struct harness_peer *peer, const struct wire_dispatch *dispatch)
{
    hold(peer, dispatch);
    peer->dispatches++;
    if (!peer->answers)
        return;
    struct harness_dispatch *held = &peer->held[--peer->held_count];
    harness_result(peer, held, dispatch->message, NULL);
    buf_release(&held->message);
}

static void take_items(struct harness_peer *peer, struct bytes bytes)
{
    struct arena arena = {0};
    struct wire_items items;
    struct err err;

    assert_int_equal(wire_decode_items(&arena, bytes, &items, &err), 0);
    for (size_t i = 0; i < items.count; i++) {
        const struct wire_item *item = &items.items[i];
        if (item->kind == WIRE_ITEM_DISPATCH) {
            take_dispatch(peer, &item->dispatch);
        } else if (item->kind == WIRE_ITEM_DROP) {
            peer->drops++;
        } else if (item->kind == WIRE_ITEM_PLAN) {
            peer->plans++;
            peer->planned = 0;
            for (size_t j = 0; j < item->plan.agents_count; j++)
                peer->planned += item->plan.agents[j].instances;
        }
    }
    arena_release(&arena);
}

static void take_link(struct harness_peer *peer, const struct message *message)
{
    struct bytes items;
    if (peer->deaf)
        return;
    int64_t now_us = clock_monotonic_us();
    enum link_event event = link_receive(peer->link, &message->body, now_us, &items);
    peer->refused = link_state(peer->link) == LINK_REFUSED;
    if (event == LINK_ITEMS)
        take_items(peer, items);
}

static void take_one(struct harness *self, struct message *message)
{
    struct harness_peer *peer = find_peer(self, message->route.to);
    if (strcmp(message->route.to, "broker") == 0)
        answer_broker(self, message);
    else if (peer != NULL)
        take_link(peer, message);
    else
        self->answered = message->route.correlation;
}

static void tick_links(struct harness *self)
{
    int64_t now_us = clock_monotonic_us();
    for (size_t i = 0; i < self->peers_count; i++) {
        struct harness_peer *peer = &self->peers[i];
        if (!peer->deaf && link_deadline(peer->link) <= now_us)
            (void)link_tick(peer->link, now_us);
    }
}

/* A ROUTER puts the sender's identity before the four frames; message_receive takes the rest. */
void harness_pump(struct harness *self)
{
    zmq_pollitem_t item = {.socket = self->router, .events = ZMQ_POLLIN};
    char identity[128];
    struct err err = {0};

    tick_links(self);
    if (zmq_poll(&item, 1, SLICE_MS) <= 0)
        return;
    if (zmq_recv(self->router, identity, sizeof identity, ZMQ_DONTWAIT) < 0)
        return;
    message_clear(&self->message);
    self->answered = 0;
    int rc = message_receive(self->router, &self->message, &err);
    assert_int_equal(rc, 0);
    take_one(self, &self->message);
}

bool harness_until(struct harness *self, bool (*condition)(struct harness *self))
{
    int64_t until_us = clock_monotonic_us() + HARNESS_PATIENCE_US;
    while (!condition(self)) {
        if (clock_monotonic_us() > until_us)
            return false;
        harness_pump(self);
    }
    return true;
}

/* --- the client ------------------------------------------------------------------------------- */

uint64_t harness_send(struct harness *self, const char *method, const char *params, const char *key)
{
    struct wire_body body = {.kind = WIRE_REQUEST,
                             .request = {.method = method, .idempotency_key = key}};
    struct buf payload = {0};
    struct err err;
    value_t *value = NULL;

    assert_int_equal(value_from_json(params, strlen(params), &value, &err), 0);
    value_to_msgpack(value, &payload);
    send_frames(self, CLIENT, &body, ++self->correlations, buf_bytes(&payload));
    buf_release(&payload);
    value_destroy(&value);
    return self->correlations;
}

bool harness_answered_within(struct harness *self, uint64_t correlation, int64_t us)
{
    int64_t until_us = clock_monotonic_us() + us;
    self->answered = 0;
    while (self->answered != correlation) {
        if (clock_monotonic_us() > until_us)
            return false;
        harness_pump(self);
    }
    return true;
}

value_t *harness_answer(struct harness *self, uint64_t correlation, char ret_error[32])
{
    value_t *value = NULL;
    struct err err;

    assert_true(harness_answered_within(self, correlation, HARNESS_PATIENCE_US));
    assert_int_equal(self->message.body.kind, WIRE_REPLY);
    snprintf(ret_error, 32, "%s", self->message.body.reply.error);
    if (self->message.has_payload)
        assert_int_equal(value_from_msgpack(self->message.payload, &value, &err), 0);
    return value;
}

value_t *harness_call(struct harness *self, const char *method, const char *params)
{
    char error[32];
    value_t *result = harness_answer(self, harness_send(self, method, params, NULL), error);
    if (*error != '\0')
        print_error("%s %s: %s: %s\n", method, params, error, self->message.body.reply.what);
    assert_string_equal(error, "");
    assert_non_null(result);
    return result;
}

void harness_refused(struct harness *self, const char *method, const char *params,
                     const char *error)
{
    char got[32];
    value_t *result = harness_answer(self, harness_send(self, method, params, NULL), got);
    assert_string_equal(got, error);
    assert_string_not_equal(self->message.body.reply.what, "");
    value_destroy(&result);
}

void harness_blob(struct harness *self, const struct wire_body *body, struct bytes payload)
{
    send_frames(self, CLIENT, body, ++self->correlations, payload);
    assert_true(harness_answered_within(self, self->correlations, HARNESS_PATIENCE_US));
}

/* --- instances and hosts ---------------------------------------------------------------------- */

static void send_body(void *context, const struct wire_body *body)
{
    struct harness_peer *peer = context;
    if (!peer->deaf && peer->harness->router != NULL)
        send_frames(peer->harness, peer->address, body, 0, (struct bytes){0});
}

static void peer_hello(void *context, struct wire_hello *hello)
{
    struct harness_peer *peer = context;
    hello->role = peer->role;
    hello->agent = peer->agent;
    hello->program = "harness";
    hello->pid = 1;
    hello->credit = peer->credit;
    hello->inventory = &peer->claim;
    hello->inventory_count = peer->claims;
}

static struct harness_peer *add_peer(struct harness *self, const char *kind, const char *id)
{
    assert_true(self->peers_count < HARNESS_PEERS);
    struct harness_peer *peer = &self->peers[self->peers_count++];
    peer->harness = self;
    snprintf(peer->address, sizeof peer->address, "%s:%s", kind, id);
    peer->role = kind;
    peer->credit = 8;
    peer->link = link_new_peer((uint64_t)clock_utc_us(), send_body, peer);
    link_set_hello(peer->link, peer_hello);
    return peer;
}

struct harness_peer *harness_instance(struct harness *self, const char *id, const char *agent)
{
    struct harness_peer *peer = add_peer(self, "instance", id);
    peer->agent = agent;
    link_hello(peer->link, clock_monotonic_us());
    return peer;
}

struct harness_peer *harness_host(struct harness *self, const char *id)
{
    struct harness_peer *peer = add_peer(self, "host", id);
    link_hello(peer->link, clock_monotonic_us());
    return peer;
}

static void send_item(struct harness_peer *peer, const struct wire_item *item, bool credit)
{
    struct buf items = {0};
    wire_append_item(item, &items);
    if (credit)
        wire_append_credit(++peer->credit, false, &items);
    assert_int_equal(link_send(peer->link, buf_bytes(&items), clock_monotonic_us(), NULL), 0);
    buf_release(&items);
}

void harness_result(struct harness_peer *peer, const struct harness_dispatch *dispatch,
                    struct datum output, const char *failure_code)
{
    int64_t now_us = clock_utc_us();
    struct wire_item item = {
        .kind = WIRE_ITEM_STEP,
        .step = {.execution = dispatch->execution,
                 .path = dispatch->path,
                 .attempt = dispatch->attempt,
                 .run = dispatch->run,
                 .number = dispatch->journaled_step + 1,
                 .kind = failure_code == NULL ? WIRE_STEP_RESULT : WIRE_STEP_FAILURE,
                 .queued_us = now_us,
                 .started_us = now_us,
                 .ended_us = now_us,
                 .output = output,
                 .failure = {.code = failure_code,
                             .message = failure_code == NULL ? NULL : "as the test wants it"}}};
    send_item(peer, &item, true);
}

void harness_process_report(struct harness_peer *host, const char *instance, uint64_t boot, bool up)
{
    struct wire_item item = {.kind = WIRE_ITEM_PROCESS,
                             .process = {.instance = instance,
                                         .boot = boot,
                                         .agent = "echo",
                                         .pid = 4711,
                                         .up = up,
                                         .signal = up ? 0 : 9}};
    send_item(host, &item, false);
}
