/* What the parts of the broker share: the socket, the directory, counters and scratch memory.
 * One thread, for the life of the process. */
#ifndef AF_BROKER_CORE_H
#define AF_BROKER_CORE_H

#include "broker/presence.h"
#include "broker/route.h"
#include "proto/wire.h"
#include <zmq.h>

#define BROKER_PROGRAM "brokerd " AF_VERSION

struct counters {
    uint64_t forwarded;
    uint64_t undeliverable;
    uint64_t malformed;
    uint64_t events;
};

struct core {
    void *router;
    presence_t *presence;
    struct counters counters;
    int64_t now_us; /* of this round of the loop */
    /* For messages of the broker's own; those that are only forwarded need none. */
    struct arena arena;
    struct buf route, body;
};

/* The frames of one message as a ROUTER gives them: the sender's routing id, then those of af.proto. */
enum { PART_SENDER, PART_SIGNATURE, PART_ROUTE, PART_BODY, PART_PAYLOAD, PART_MAX };

struct parcel {
    zmq_msg_t parts[PART_MAX];
    size_t count;
    size_t size_bytes;
    bool overlong; /* there were more frames; they are dropped */
    struct route route;
};

struct bytes parcel_part(struct parcel *self, size_t part);

/* Takes one message off the socket; false when none waits. parcel_release afterwards. */
bool parcel_receive(struct parcel *self, void *router);
void parcel_release(struct parcel *self);
/* Hands the frames from PART_SIGNATURE on to the peer at this address. 0, or an errno: EHOSTUNREACH
 * when it isn't connected, EAGAIN when its queue is full; then the frames are all still here. Never
 * blocks. */
int parcel_send(struct parcel *self, void *router, struct bytes address);

/* Answers of the broker itself; best effort, as is all it does. */
void answer_send(struct core *core, struct parcel *parcel, const struct wire_body *body,
                 struct bytes payload);
void answer_undeliverable(struct core *core, struct parcel *parcel, const char *reason,
                          const char *text);
void answer_malformed(struct core *core, struct parcel *parcel, const char *reason,
                      const char *text);
void answer_who(struct core *core, struct parcel *parcel);

/* A message to the broker itself. */
void control_handle(struct core *core, struct parcel *parcel);

/* Takes one message and sends it on its way, or back; false when none waits. */
bool forward_one(struct core *core);

#endif
