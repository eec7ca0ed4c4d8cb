/* The loop: take in what has arrived, decide, hand the batch to the committer, release what is
 * committed. The order is pipeline.h's. */
#include "base/log.h"
#include "coordinator/blobs.h"
#include "coordinator/fleet.h"
#include "coordinator/folds.h"
#include "coordinator/housekeeping.h"
#include "coordinator/links.h"
#include "coordinator/pipeline.h"
#include "coordinator/publisher.h"
#include "coordinator/requests.h"
#include "coordinator/waiters.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
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

/* What is to be said of a socket that fails is in err; a malformed message is counted inside. */
static int take_in(struct coordinator *self, struct message *message, struct err *err)
{
    for (int i = 0; i < LIMIT_ROUND_MESSAGES && pipeline_has_room(self); i++) {
        int rc = peer_receive(self->peer, message, self->mono_us, err);
        if (rc == ERR_AGAIN)
            return 0;
        if (rc == 0) {
            self->counters.messages++;
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
    if (folds_working(self) || wait_us <= 0)
        return 0;
    return (long)least((wait_us + 999) / 1000, POLL_MAX_MS);
}

static int wait_for_something(struct coordinator *self, int signal_fd, struct err *err)
{
    /* A full batch takes no more in; the store's completion wakes the loop. */
    short messages = pipeline_has_room(self) ? ZMQ_POLLIN : 0;
    zmq_pollitem_t items[] = {
        {.socket = peer_socket(self->peer), .events = messages},
        {.socket = publisher_socket(self->publisher), .events = ZMQ_POLLIN},
        {.fd = store_completion_fd(self->store), .events = ZMQ_POLLIN},
        {.fd = signal_fd, .events = ZMQ_POLLIN},
    };
    if (zmq_poll(items, 4, poll_timeout_ms(self)) < 0 && zmq_errno() != EINTR)
        return err_set(err, ERR_IO, "waiting for messages failed: %s", zmq_strerror(zmq_errno()));
    if ((items[1].revents & ZMQ_POLLIN) != 0)
        publisher_receive(self);
    if ((items[3].revents & ZMQ_POLLIN) != 0)
        self->stopping = true;
    return 0;
}

static int loop_round(struct coordinator *self, int signal_fd, struct message *message,
                      struct err *err)
{
    int rc = wait_for_something(self, signal_fd, err);
    coordinator_read_clocks(self);
    if (rc == 0)
        rc = take_in(self, message, err);
    tick(self);
    pipeline_complete(self);
    pipeline_submit(self);
    return rc;
}

int coordinator_loop(struct coordinator *self, int signal_fd, struct err *err)
{
    struct message message = {0};
    int rc = 0;

    pipeline_submit(self);
    while (rc == 0 && !self->stopping)
        rc = loop_round(self, signal_fd, &message, err);
    message_release(&message);
    return rc;
}
