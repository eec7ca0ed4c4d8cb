#include "proto/peer.h"

#include "base/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define LINGER_MS         200
#define RECONNECT_MS      20
#define RECONNECT_MAX_MS  1000
#define HEARTBEAT_MS      5000 /* tcp alone: a broken path has no other sign */
#define HEARTBEAT_LOST_MS 15000
#define OWN_SOCKETS       4

/*
 *              REGISTERED without a reason
 *   ASKING --------------------------------> ACCEPTED
 *     |  ^                WHO                   |
 *     |  +-------------------------------------+|
 *     |  ^ after LIMIT_REFUSED_US               |
 *     v  |                                      |
 *   REFUSED <-----------------------------------+
 *         REGISTERED with a reason; a message of another major version
 *
 * ASKING: a registration was sent and is repeated. REFUSED: `refusal` says why.
 */
enum peer_state { PEER_ASKING, PEER_ACCEPTED, PEER_REFUSED };

struct peer {
    void *context; /* of our own, or NULL */
    void *socket;
    char *address;
    char *program;
    char **agents;
    size_t agents_count;
    enum peer_state state;
    int64_t next_us;  /* of the next registration or keepalive; 0: at once */
    bool sent_lately; /* since the last tick that looked */
    char *refusal;
    uint64_t malformed;
};

/* --- making ------------------------------------------------------------------------------------
 */

static int set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

static int configure(const peer_t *self, const char *endpoint)
{
    void *socket = self->socket;
    if (zmq_setsockopt(socket, ZMQ_ROUTING_ID, self->address, strlen(self->address)) != 0 ||
        set_int(socket, ZMQ_LINGER, LINGER_MS) != 0 ||
        set_int(socket, ZMQ_SNDHWM, LIMIT_SOCKET_HWM) != 0 ||
        set_int(socket, ZMQ_RCVHWM, LIMIT_SOCKET_HWM) != 0 ||
        set_int(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS) != 0 ||
        set_int(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) != 0)
        return -1;
    if (strncmp(endpoint, "tcp:", 4) != 0)
        return 0;
    return set_int(socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) != 0 ||
                   set_int(socket, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_LOST_MS) != 0
               ? -1
               : 0;
}

static void *own_context(void)
{
    void *context = zmq_ctx_new();
    if (context) {
        zmq_ctx_set(context, ZMQ_IO_THREADS, 1);
        zmq_ctx_set(context, ZMQ_MAX_SOCKETS, OWN_SOCKETS);
    }
    return context;
}

/* The queue stays while no broker is there (ZMQ_IMMEDIATE is off): what waits in it for a restarted
 * broker arrives with its reconnection, and what is lost the links and callers repeat. */
static int connect_socket(peer_t *self, const struct peer_options *options, struct err *err)
{
    self->context = options->zmq_context ? NULL : own_context();
    void *context = options->zmq_context ? options->zmq_context : self->context;
    self->socket = context ? zmq_socket(context, ZMQ_DEALER) : NULL;
    if (!self->socket)
        return err_set(err, ERR_IO, "making a socket failed: %s", zmq_strerror(errno));
    if (configure(self, options->endpoint) != 0)
        return err_set(err, ERR_IO, "configuring a socket failed: %s", zmq_strerror(errno));
    if (zmq_connect(self->socket, options->endpoint) != 0) {
        err_set(err, ERR_INVALID, "the broker's endpoint can't be used: %s", zmq_strerror(errno));
        err_where(err, "%s", options->endpoint);
        err_fix(err, "give one such as ipc:///path/broker.sock or tcp://host:port");
        return ERR_INVALID;
    }
    return 0;
}

static int check_options(const struct peer_options *options, struct err *err)
{
    if (wire_address_valid(options->address, strlen(options->address)))
        return 0;
    err_set(err, ERR_INVALID, "\"%s\" is not an address", options->address);
    err_fix(err, "use one such as client:NAME or instance:ID");
    return ERR_INVALID;
}

static void send_register(peer_t *self)
{
    struct wire_route route = {.kind = WIRE_REGISTER, .to = "broker"};
    struct wire_body body = {.kind = WIRE_REGISTER,
                             .reg = {.major = WIRE_MAJOR,
                                     .minor = WIRE_MINOR,
                                     .program = self->program,
                                     .agents = (const char *const *)self->agents,
                                     .agents_count = self->agents_count}};
    /* What the socket does not take is repeated by the clock. */
    (void)!peer_send(self, &route, &body, (struct bytes){0}, NULL);
}

int peer_new(const struct peer_options *options, peer_t **ret_peer, struct err *err)
{
    int rc = check_options(options, err);
    if (rc != 0)
        return rc;
    peer_t *self = xcalloc(1, sizeof *self);
    self->address = xstrdup(options->address);
    self->program = xstrdup(options->program ? options->program : "");
    self->agents = xcalloc(options->agents_count + 1, sizeof *self->agents);
    for (; self->agents_count < options->agents_count; self->agents_count++)
        self->agents[self->agents_count] = xstrdup(options->agents[self->agents_count]);
    rc = connect_socket(self, options, err);
    if (rc != 0) {
        peer_destroy(&self);
        return rc;
    }
    send_register(self);
    *ret_peer = self;
    return 0;
}

static void send_unregister(peer_t *self)
{
    struct wire_route route = {.kind = WIRE_UNREGISTER, .to = "broker"};
    struct wire_body body = {.kind = WIRE_UNREGISTER};
    (void)!peer_send(self, &route, &body, (struct bytes){0}, NULL);
}

void peer_destroy(peer_t **self_p)
{
    peer_t *self = *self_p;
    if (!self)
        return;
    if (self->socket) {
        send_unregister(self);
        zmq_close(self->socket);
    }
    if (self->context)
        zmq_ctx_term(self->context);
    for (size_t i = 0; i < self->agents_count; i++)
        free(self->agents[i]);
    free(self->agents);
    free(self->address);
    free(self->program);
    free(self->refusal);
    free(self);
    *self_p = NULL;
}

/* --- registration ------------------------------------------------------------------------------
 */

static void register_again(peer_t *self, int64_t now_us)
{
    self->state = PEER_ASKING;
    self->next_us = now_us + LIMIT_REGISTER_US;
    send_register(self);
}

/* Each message that a restarted broker refuses brings a WHO: one registration answers them all. */
static void take_who(peer_t *self, int64_t now_us)
{
    if (self->state == PEER_ACCEPTED)
        register_again(self, now_us);
}

static void refuse(peer_t *self, const char *why, int64_t now_us)
{
    free(self->refusal);
    self->refusal = xstrdup(why);
    self->state = PEER_REFUSED;
    self->next_us = now_us + LIMIT_REFUSED_US;
}

static void take_registered(peer_t *self, const struct wire_registered *registered, int64_t now_us)
{
    if (*registered->refused) {
        refuse(self, registered->refused, now_us);
        return;
    }
    free(self->refusal);
    self->refusal = NULL;
    self->state = PEER_ACCEPTED;
    self->next_us = now_us + LIMIT_KEEPALIVE_US;
    self->sent_lately = false;
}

static void send_keepalive(peer_t *self)
{
    struct wire_route route = {.kind = WIRE_PING, .to = "broker"};
    struct wire_body body = {.kind = WIRE_PING};
    (void)!peer_send(self, &route, &body, (struct bytes){0}, NULL);
}

void peer_tick(peer_t *self, int64_t now_us)
{
    if (self->next_us == 0) {
        /* The registration of peer_new, which had no clock. */
        self->next_us = now_us + LIMIT_REGISTER_US;
        return;
    }
    if (now_us < self->next_us)
        return;
    if (self->state != PEER_ACCEPTED) {
        register_again(self, now_us);
        return;
    }
    if (!self->sent_lately)
        send_keepalive(self);
    self->sent_lately = false;
    self->next_us = now_us + LIMIT_KEEPALIVE_US;
}

int64_t peer_deadline(const peer_t *self)
{
    return self->next_us;
}

/* --- messages ----------------------------------------------------------------------------------
 */

static void answer_ping(peer_t *self, const struct message *message)
{
    struct wire_route route = {.kind = WIRE_PONG,
                               .to = message->route.from,
                               .correlation = message->route.correlation,
                               .from = self->address,
                               .trace = message->route.trace};
    self->sent_lately = true;
    /* Who pings repeats it. */
    (void)!message_send_encoded(self->socket, &route, message_body_bytes(message), message->payload,
                                NULL);
}

static bool from_broker(const struct message *message)
{
    return strcmp(message->route.from, "broker") == 0;
}

/* Whether the message was for us and not for the program. */
static bool take_own(peer_t *self, const struct message *message, int64_t now_us)
{
    switch (message->route.kind) {
    case WIRE_WHO:
        if (from_broker(message))
            take_who(self, now_us);
        return true;
    case WIRE_REGISTERED:
        if (from_broker(message))
            take_registered(self, &message->body.registered, now_us);
        return true;
    case WIRE_PING: answer_ping(self, message); return true;
    case WIRE_PONG: return from_broker(message) && message->route.correlation == 0;
    default: return false;
    }
}

static void count_refused(peer_t *self, int rc, const struct err *err, int64_t now_us)
{
    self->malformed++;
    /* Once registered, it can't be the broker that speaks another version. */
    if (rc == ERR_VERSION && self->state != PEER_ACCEPTED)
        refuse(self, err->what, now_us);
}

int peer_receive(peer_t *self, struct message *message, int64_t now_us, struct err *err)
{
    for (;;) {
        struct err detail = {0};
        int rc = message_receive(self->socket, message, &detail);
        if (rc == ERR_MALFORMED || rc == ERR_VERSION) {
            count_refused(self, rc, &detail, now_us);
        } else if (rc != 0) {
            if (err)
                *err = detail;
            return rc;
        } else if (!take_own(self, message, now_us)) {
            return 0;
        }
    }
}

int peer_send(peer_t *self, const struct wire_route *route, const struct wire_body *body,
              struct bytes payload, struct err *err)
{
    struct wire_route signed_route = *route;
    signed_route.from = self->address;
    self->sent_lately = true;
    return message_send(self->socket, &signed_route, body, payload, err);
}

void *peer_socket(peer_t *self)
{
    return self->socket;
}

const char *peer_address(const peer_t *self)
{
    return self->address;
}

bool peer_registered(const peer_t *self)
{
    return self->state == PEER_ACCEPTED;
}

const char *peer_refusal(const peer_t *self)
{
    return self->refusal;
}

uint64_t peer_malformed(const peer_t *self)
{
    return self->malformed;
}
