/* Sending and receiving whole messages on a DEALER socket (any libzmq socket handle), the four
 * frames at once. Never blocks: ERR_AGAIN. Used by every program but the broker, which moves frames. */
#ifndef AF_PROTO_MESSAGE_H
#define AF_PROTO_MESSAGE_H

#include "proto/wire.h"

/* A received message. Route and body point into the frames and into arena; both live until the next
 * message_clear or message_release. {0} is valid. */
struct message {
    struct wire_route route;
    struct wire_body body;
    bool has_payload;
    struct bytes payload;
    struct arena arena;
    struct message_frames *frames;
};

/* ERR_AGAIN: none waits. ERR_MALFORMED: one was taken and refused (err says why; ret holds what of
 * the route could be read): count it and go on. ERR_VERSION: of another major version. */
int message_receive(void *socket, struct message *message, struct err *err) MUST_CHECK;
void message_clear(struct message *message);
void message_release(struct message *message);

/* Encodes and sends; payload may be empty (then there is no fourth frame). ERR_AGAIN when the
 * socket takes no more, ERR_TOO_LARGE past LIMIT_MESSAGE_BYTES. */
int message_send(void *socket, const struct wire_route *route, const struct wire_body *body,
                 struct bytes payload, struct err *err) MUST_CHECK;

/* The body frame as it came, for answering with the same bytes; borrowed like the rest. */
struct bytes message_body_bytes(const struct message *message);
/* message_send with a body that is encoded already. */
int message_send_encoded(void *socket, const struct wire_route *route, struct bytes body,
                         struct bytes payload, struct err *err) MUST_CHECK;

#endif
