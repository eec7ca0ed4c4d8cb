/* The loop: take in what has arrived, decide, hand the batch to the committer, release what is
 * committed. The order is pipeline.h's. */
#include "base/clock.h"
#include "base/log.h"
#include "coordinator/blobs.h"
#include "coordinator/fleet.h"
#include "coordinator/folds.h"
#include "coordinator/housekeeping.h"
#include "coordinator/links.h"
#include "coordinator/pipeline.h"
#include "coordinator/publisher.h"
#include "coordinator/requests.h"
#include "coordinator/schedules.h"
#include "coordinator/waiters.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <zmq.h>

/* While a clock that was set back would let the engine's deadlines pass unseen, look so often. */
#define POLL_MAX_MS 10000

static void receive_one(struct coordinator *self, struct message *message)
{
    switch (message->route.kind) {
    case WIRE_LINK_HELLO:
    case WIRE_LINK_FRAME:
    case WIRE_LINK_RESET:
    case WIRE_LINK_BYE: links_receive(self, message); break;
    case WIRE_REQUEST: requests_receive(self, message); break;
    case WIRE_BLOB_GET: blobs_receive_get(self, message); break;
    case WIRE_BLOB_PUT: blobs_receive_put(self, message); break;
    case WIRE_UNDELIVERABLE:
        /* Links send again by themselves, and clients ask again. */
        self->counters.undeliverable++;
        break;
    default: self->counters.malformed++; break;
    }
}

/* What is to be said of a socket that fails is in err; a malformed message is counted inside. The
 * clocks are read for each message, since a round may take long: a link that counted as heard
 * before it was would end before the lease of its instance. */
static int take_in(struct coordinator *self, struct message *message, struct err *err)
{
    for (int i = 0; i < LIMIT_ROUND_MESSAGES && pipeline_has_room(self); i++) {
        int rc = peer_receive(self->peer, message, self->mono_us, err);
        if (rc == ERR_AGAIN)
            return 0;
        if (rc == 0) {
            self->counters.messages++;
            coordinator_read_clocks(self);
            receive_one(self, message);
        } else if (rc == ERR_MALFORMED || rc == ERR_VERSION) {
            self->counters.malformed++;
        } else {
            return rc;
        }
        message_clear(message);
    }
    return 0;
}

static void tick_engine(struct coordinator *self)
{
    struct input input = {.kind = INPUT_TICK};
    struct err err;
    if (engine_deadline(self->engine) > self->utc_us || !pipeline_has_room(self))
        return;
    if (pipeline_decide(self, &input, &err) < 0)
        log_error("COORD-INPUT-REFUSED", err.what, "input", "tick", NULL);
}

static void tick(struct coordinator *self)
{
    tick_engine(self);
    links_tick(self);
    waiters_tick(self);
    fleet_tick(self);
    housekeeping_tick(self);
    schedules_tick(self);
    if (peer_deadline(self->peer) <= self->mono_us)
        peer_tick(self->peer, self->mono_us);
    if (folds_working(self))
        folds_step(self);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static long poll_timeout_ms(struct coordinator *self)
{
    int64_t at_us = least(links_deadline(self), waiters_deadline(self));
    at_us = least(at_us, least(fleet_deadline(self), peer_deadline(self->peer)));
    at_us = least(at_us, housekeeping_deadline(self));
    int64_t wait_us = at_us == INT64_MAX ? INT64_MAX : at_us - self->mono_us;
    int64_t engine_us = engine_deadline(self->engine);
    if (engine_us != INT64_MAX && pipeline_has_room(self))
        wait_us = least(wait_us, engine_us - self->utc_us);
    int64_t schedule_us = schedules_deadline(self);
    if (schedule_us != INT64_MAX)
        wait_us = least(wait_us, schedule_us - self->wall_us);
    if (folds_working(self) || wait_us <= 0)
        return 0;
    return (long)least((wait_us + 999) / 1000, POLL_MAX_MS);
}

static int socket_fd(void *socket)
{
    int fd = -1;
    size_t size = sizeof fd;
    CHECK(zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0);
    return fd;
}

static bool socket_readable(void *socket)
{
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN) != 0;
}

enum { POLL_MESSAGES, POLL_SUBSCRIPTIONS, POLL_STORE, POLL_SIGNALS, POLL_COUNT };

/* What wakes the loop. libzmq's descriptors tell of a change once: whoever sent or received since
 * has to ask the socket before sleeping. This is what zmq_poll does too, with three times the
 * system calls, which count when one step is alone on its way. */
struct wakers {
    struct pollfd fds[POLL_COUNT];
};

static void wakers_init(struct wakers *self, struct coordinator *coordinator, int signal_fd)
{
    const int fds[POLL_COUNT] = {
        [POLL_MESSAGES] = socket_fd(peer_socket(coordinator->peer)),
        [POLL_SUBSCRIPTIONS] = socket_fd(publisher_socket(coordinator->publisher)),
        [POLL_STORE] = store_completion_fd(coordinator->store),
        [POLL_SIGNALS] = signal_fd,
    };
    for (size_t i = 0; i < POLL_COUNT; i++)
        self->fds[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
}

/* While work is on its way, the next thing comes within a commit or a round trip, and waking a core
 * that has gone to sleep takes as long as either: for this long after the last thing the loop asks
 * again and again, giving way to whoever else can run. */
#define SPIN_US 300

static int poll_or_spin(struct coordinator *self, struct wakers *wakers, int timeout_ms)
{
    int ready = poll(wakers->fds, POLL_COUNT, 0);
    while (ready == 0 && timeout_ms != 0 && clock_monotonic_us() < self->busy_us + SPIN_US) {
        sched_yield();
        ready = poll(wakers->fds, POLL_COUNT, 0);
    }
    if (ready == 0 && timeout_ms != 0)
        ready = poll(wakers->fds, POLL_COUNT, timeout_ms);
    return ready;
}

/* A full batch takes no more in: then only the store's completion wakes the loop. */
static int wait_for_something(struct coordinator *self, struct wakers *wakers, bool *ret_messages,
                              struct err *err)
{
    bool room = pipeline_has_room(self);
    bool messages = room && socket_readable(peer_socket(self->peer));
    bool subscriptions =
        publisher_sends(self) && socket_readable(publisher_socket(self->publisher));
    long timeout_ms = messages || subscriptions ? 0 : poll_timeout_ms(self);

    wakers->fds[POLL_MESSAGES].events = room ? POLLIN : 0;
    wakers->fds[POLL_MESSAGES].revents = 0;
    int ready = poll_or_spin(self, wakers, (int)timeout_ms);
    if (ready > 0)
        self->busy_us = clock_monotonic_us();
    if (ready < 0 && errno != EINTR)
        return err_set(err, ERR_IO, "waiting for messages failed: %s", strerror(errno));
    if (subscriptions || wakers->fds[POLL_SUBSCRIPTIONS].revents != 0)
        publisher_receive(self);
    if (wakers->fds[POLL_SIGNALS].revents != 0)
        self->stopping = true;
    *ret_messages = messages || wakers->fds[POLL_MESSAGES].revents != 0;
    return 0;
}

static int loop_round(struct coordinator *self, struct wakers *wakers, struct message *message,
                      struct err *err)
{
    bool messages = false;
    int rc = wait_for_something(self, wakers, &messages, err);
    coordinator_read_clocks(self);
    if (rc == 0 && messages)
        rc = take_in(self, message, err);
    tick(self);
    pipeline_complete(self);
    pipeline_submit(self);
    return rc;
}

int coordinator_loop(struct coordinator *self, int signal_fd, struct err *err)
{
    struct message message = {0};
    struct wakers wakers;
    int rc = 0;

    wakers_init(&wakers, self, signal_fd);
    pipeline_submit(self);
    while (rc == 0 && !self->stopping)
        rc = loop_round(self, &wakers, &message, err);
    message_release(&message);
    return rc;
}
