#include "broker/broker.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "broker/core.h"
#include "broker/endpoint.h"
#include "broker/events.h"
#include <czmq.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Messages taken from one socket before the others have their turn. */
#define BATCH_MAX 256
/* How long a message may wait for its receiver when the broker ends. */
#define LINGER_MS 100
/* A thousand agents connect at once when a host starts. */
#define BACKLOG         4096
#define EXPIRE_EVERY_US (LIMIT_BROKER_SILENCE_US / 3)

/* CZMQ's sockets are made, bound and closed; frames move through the libzmq handles below them,
 * without an allocation for each. */
struct broker {
    zsock_t *router, *followers, *publish; /* ROUTER, XPUB, XSUB */
    struct core core;
};

static int socket_failed(const char *endpoint, const char *what, struct err *err)
{
    err_set(err, ERR_IO, "%s: %s", what, zmq_strerror(errno));
    err_where(err, "%s", endpoint);
    return ERR_IO;
}

static int open_socket(int type, zsock_t **ret_socket, struct err *err)
{
    bool events = type != ZMQ_ROUTER;
    int hwm = events ? LIMIT_EVENTS_HWM : LIMIT_SOCKET_HWM;
    zsock_t *self = zsock_new(type);
    if (!self)
        return socket_failed("", "a socket can't be opened", err);
    zsock_set_sndhwm(self, hwm);
    zsock_set_rcvhwm(self, hwm);
    zsock_set_linger(self, LINGER_MS);
    zsock_set_ipv6(self, 1);
    zsock_set_backlog(self, BACKLOG);
    zsock_set_maxmsgsize(self, LIMIT_MESSAGE_BYTES);
    if (!events) {
        zsock_set_router_mandatory(self, 1);
        zsock_set_router_handover(self, 1);
    }
    *ret_socket = self;
    return 0;
}

static int bind_socket(zsock_t *socket, const char *endpoint, struct err *err)
{
    int rc = endpoint_check(endpoint, err);
    if (rc == 0)
        rc = endpoint_check_free(endpoint, err);
    if (rc)
        return rc;
    if (zsock_bind(socket, "%s", endpoint) < 0)
        return socket_failed(endpoint, "the endpoint can't be bound", err);
    log_info("BROKER-BOUND", "an endpoint is open", "endpoint", zsock_endpoint(socket), NULL);
    return 0;
}

static int open_all(broker_t *self, const struct broker_options *options, struct err *err)
{
    int rc = open_socket(ZMQ_ROUTER, &self->router, err);
    if (rc == 0)
        rc = open_socket(ZMQ_XPUB, &self->followers, err);
    if (rc == 0)
        rc = open_socket(ZMQ_XSUB, &self->publish, err);
    /* Peers take a bound router for a broker that is whole, so it comes last. */
    if (rc == 0)
        rc = bind_socket(self->followers, options->events_endpoint, err);
    if (rc == 0)
        rc = bind_socket(self->publish, options->publish_endpoint, err);
    for (size_t i = 0; rc == 0 && i < options->endpoints_count; i++)
        rc = bind_socket(self->router, options->endpoints[i], err);
    if (rc == 0)
        self->core.router = zsock_resolve(self->router);
    return rc;
}

int broker_new(const struct broker_options *options, broker_t **ret_broker, struct err *err)
{
    broker_t *self = xcalloc(1, sizeof *self);
    self->core.presence = presence_new();
    zsys_handler_set(NULL); /* signals are the program's business */
    int rc = open_all(self, options, err);
    if (rc) {
        broker_destroy(&self);
        return rc;
    }
    *ret_broker = self;
    return 0;
}

void broker_destroy(broker_t **self_p)
{
    broker_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    zsock_destroy(&self->router);
    zsock_destroy(&self->followers);
    zsock_destroy(&self->publish);
    zsys_shutdown();
    presence_destroy(&self->core.presence);
    arena_release(&self->core.arena);
    buf_release(&self->core.route);
    buf_release(&self->core.body);
    free(self);
}

static bool forward_batch(broker_t *self)
{
    int taken = 0;
    while (taken < BATCH_MAX && forward_one(&self->core))
        taken++;
    return taken == BATCH_MAX;
}

static bool events_batch(broker_t *self)
{
    void *followers = zsock_resolve(self->followers);
    void *publish = zsock_resolve(self->publish);
    int down = 0, up = 0;
    while (up < BATCH_MAX && events_pass_up(followers, publish))
        up++;
    while (down < BATCH_MAX && events_pass_down(publish, followers))
        down++;
    self->core.counters.events += (uint64_t)down;
    return up > 0 || down > 0;
}

static int poll_timeout_ms(const broker_t *self, int64_t expire_us)
{
    int64_t left_us = expire_us - self->core.now_us;
    return left_us > 0 ? (int)(left_us / 1000 + 1) : 0;
}

static void expire(broker_t *self)
{
    size_t gone = presence_expire(self->core.presence, self->core.now_us);
    if (gone == 0)
        return;
    char count[24];
    snprintf(count, sizeof count, "%zu", gone);
    log_info("BROKER-SILENT", "peers that fell silent left the directory", "count", count, NULL);
}

enum { WATCH_STOP, WATCH_ROUTER, WATCH_FOLLOWERS, WATCH_PUBLISH, WATCH_COUNT };

static struct pollfd watch(zsock_t *socket)
{
    return (struct pollfd){.fd = zsock_fd(socket), .events = POLLIN, .revents = POLLIN};
}

/* A libzmq socket's descriptor tells of changes only: it may be waited for when the last thing that
 * was done to the socket is a receive that found nothing. forward_batch ends with that. Of the
 * other two each is sent to by what the other gives, so both are taken from until neither gives
 * anything. This costs a third of the system calls of zmq_poll. */
int broker_run(broker_t *self, int stop_fd, struct err *err)
{
    struct pollfd watches[WATCH_COUNT] = {
        [WATCH_STOP] = {.fd = stop_fd, .events = POLLIN},
        [WATCH_ROUTER] = watch(self->router),
        [WATCH_FOLLOWERS] = watch(self->followers),
        [WATCH_PUBLISH] = watch(self->publish),
    };
    self->core.now_us = clock_monotonic_us();
    int64_t expire_us = self->core.now_us + EXPIRE_EVERY_US;
    bool more_messages = true, more_events = true;
    while (watches[WATCH_STOP].revents == 0) {
        int timeout_ms = more_messages || more_events ? 0 : poll_timeout_ms(self, expire_us);
        if (poll(watches, WATCH_COUNT, timeout_ms) < 0 && errno != EINTR)
            return err_set(err, ERR_IO, "the sockets can't be polled: %s", strerror(errno));
        self->core.now_us = clock_monotonic_us();
        if (more_messages || watches[WATCH_ROUTER].revents)
            more_messages = forward_batch(self);
        if (more_events || watches[WATCH_FOLLOWERS].revents || watches[WATCH_PUBLISH].revents)
            more_events = events_batch(self);
        if (self->core.now_us < expire_us)
            continue;
        expire(self);
        expire_us = self->core.now_us + EXPIRE_EVERY_US;
    }
    return 0;
}
