#include "broker/core.h"

#include "base/limits.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Members of an agent that are tried for one message before it counts as undeliverable: enough to
 * pass over those that are stuck, and a bound on what one message may cost. */
#define TRIES_MAX 64

static bool is_signature(struct bytes frame)
{
    return bytes_equal(frame, bytes_of_string(WIRE_SIGNATURE));
}

/* "AF" and two other digits: a peer of another version, which deserves a better answer. */
static bool is_other_version(struct bytes frame)
{
    return frame.size == strlen(WIRE_SIGNATURE) && memcmp(frame.data, WIRE_SIGNATURE, 2) == 0;
}

static bool check_signature(struct core *core, struct parcel *parcel)
{
    struct bytes frame = parcel_part(parcel, PART_SIGNATURE);
    if (is_signature(frame))
        return true;
    if (!is_other_version(frame)) {
        answer_malformed(core, parcel, "malformed",
                         "the first frame is not the signature " WIRE_SIGNATURE);
        return false;
    }
    char text[96];
    snprintf(text, sizeof text,
             "the message is of protocol %.4s, and this broker speaks " WIRE_SIGNATURE,
             (const char *)frame.data);
    answer_malformed(core, parcel, "version", text);
    return false;
}

/* Only these two travel between peers and concern the broker too. */
static bool is_broker_kind(uint32_t kind)
{
    return kind < WIRE_REQUEST && kind != WIRE_PING && kind != WIRE_PONG;
}

static bool check_route(struct core *core, struct parcel *parcel)
{
    int rc = route_scan(parcel_part(parcel, PART_ROUTE), &parcel->route);
    if (rc) {
        answer_malformed(core, parcel, err_name(rc),
                         rc == ERR_TOO_LARGE ? "the Route or an address in it is too large"
                                             : "the second frame is not a Route");
        return false;
    }
    enum route_class class = route_classify(parcel->route.to, NULL);
    if (class == ROUTE_NOWHERE || parcel->route.kind == WIRE_NONE) {
        answer_malformed(core, parcel, "malformed", "the Route lacks a kind or an address");
        return false;
    }
    if (class != ROUTE_BROKER && is_broker_kind(parcel->route.kind)) {
        answer_malformed(core, parcel, "malformed", "this kind of message is for the broker alone");
        return false;
    }
    return true;
}

static bool check_shape(struct core *core, struct parcel *parcel)
{
    if (parcel->count < PART_PAYLOAD || parcel->overlong) {
        answer_malformed(core, parcel, "malformed", "a message has three frames or four");
        return false;
    }
    if (parcel->size_bytes > LIMIT_MESSAGE_BYTES) {
        /* Its Route is read for the correlation alone. */
        (void)!route_scan(parcel_part(parcel, PART_ROUTE), &parcel->route);
        answer_malformed(core, parcel, "too_large", "the message is larger than 4 MiB");
        return false;
    }
    return check_signature(core, parcel) && check_route(core, parcel);
}

/* The Route ends without a `from` of the sender's size: it is copied with one at its end. What the
 * scan found lies at the same places in the copy. */
static bool stamp_copy(struct parcel *parcel, struct bytes sender)
{
    struct bytes frame = parcel_part(parcel, PART_ROUTE);
    ptrdiff_t to_at = parcel->route.to.data - frame.data;
    zmq_msg_t stamped;
    if (zmq_msg_init_size(&stamped, route_stamped_size(frame.size, sender)) != 0)
        return false;
    route_stamp_copy(frame, sender, zmq_msg_data(&stamped));
    zmq_msg_move(&parcel->parts[PART_ROUTE], &stamped);
    zmq_msg_close(&stamped);
    parcel->route.to.data = (uint8_t *)zmq_msg_data(&parcel->parts[PART_ROUTE]) + to_at;
    return true;
}

/* False when the message was sent back. */
static bool stamp(struct core *core, struct parcel *parcel)
{
    struct bytes sender = parcel_part(parcel, PART_SENDER);
    if (route_stamp(zmq_msg_data(&parcel->parts[PART_ROUTE]), &parcel->route, sender))
        return true;
    struct bytes frame = parcel_part(parcel, PART_ROUTE);
    size_t grown = route_stamped_size(frame.size, sender) - frame.size;
    if (parcel->size_bytes + grown > LIMIT_MESSAGE_BYTES)
        answer_malformed(core, parcel, "too_large", "with its sender it is larger than 4 MiB");
    else if (!stamp_copy(parcel, sender))
        answer_undeliverable(core, parcel, "full", "the broker is out of memory");
    else
        return true;
    return false;
}

static void refuse_direct(struct core *core, struct parcel *parcel, int error)
{
    if (error == EAGAIN)
        answer_undeliverable(core, parcel, "full", "the receiver's queue is full");
    else if (presence_remove(core->presence, parcel->route.to))
        answer_undeliverable(core, parcel, "gone", "the receiver is no longer connected");
    else
        answer_undeliverable(core, parcel, "unknown", "nobody is connected under this address");
}

static void forward_direct(struct core *core, struct parcel *parcel)
{
    int error = parcel_send(parcel, core->router, parcel->route.to);
    if (error == 0)
        core->counters.forwarded++;
    else
        refuse_direct(core, parcel, error);
}

/* One who is no longer connected leaves the directory, so a next message does not try it again. */
static void forward_agent(struct core *core, struct parcel *parcel, struct bytes name)
{
    size_t tries = presence_serving(core->presence, name);
    const char *reason = "unknown", *text = "no instance of this agent is registered";
    for (tries = tries < TRIES_MAX ? tries : TRIES_MAX; tries > 0; tries--) {
        struct bytes address = presence_choose(core->presence, name);
        int error = parcel_send(parcel, core->router, address);
        if (error == 0) {
            core->counters.forwarded++;
            return;
        }
        if (error == EAGAIN) {
            reason = "full";
            text = "the queues of this agent's instances are full";
        } else {
            (void)presence_remove(core->presence, address);
            if (strcmp(reason, "full") != 0) {
                reason = "gone";
                text = "the agent's instances are no longer connected";
            }
        }
    }
    answer_undeliverable(core, parcel, reason, text);
}

/* A sender that hasn't registered may talk to a peer (so that links go on at once after the
 * broker's restart), but not to a name: the directory may lack others as well. */
static void forward(struct core *core, struct parcel *parcel, bool registered)
{
    struct bytes name;
    bool to_agent = route_classify(parcel->route.to, &name) == ROUTE_AGENT;
    if (to_agent && !registered) {
        answer_undeliverable(core, parcel, "unknown", "the sender has not registered");
        return;
    }
    if (!stamp(core, parcel))
        return;
    if (!to_agent) {
        forward_direct(core, parcel);
        return;
    }
    /* The stamp may have moved the Route. */
    (void)route_classify(parcel->route.to, &name);
    forward_agent(core, parcel, name);
}

static void handle(struct core *core, struct parcel *parcel)
{
    struct bytes sender = parcel_part(parcel, PART_SENDER);
    enum presence_heard heard = presence_heard(core->presence, sender, core->now_us);
    if (heard == PRESENCE_INVALID) {
        (void)!route_scan(parcel_part(parcel, PART_ROUTE), &parcel->route);
        answer_malformed(core, parcel, "malformed",
                         "the socket's routing id is not the address of a peer");
        return;
    }
    if (!check_shape(core, parcel))
        return;
    bool to_broker = route_classify(parcel->route.to, NULL) == ROUTE_BROKER;
    bool introduces =
        to_broker && (parcel->route.kind == WIRE_REGISTER || parcel->route.kind == WIRE_UNREGISTER);
    if (heard == PRESENCE_ASK && !introduces)
        answer_who(core, parcel);
    if (to_broker)
        control_handle(core, parcel);
    else
        forward(core, parcel, heard == PRESENCE_KNOWN);
}

bool forward_one(struct core *core)
{
    struct parcel parcel;
    if (!parcel_receive(&parcel, core->router))
        return false;
    handle(core, &parcel);
    parcel_release(&parcel);
    return true;
}
