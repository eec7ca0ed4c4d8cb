/* A program's connection to the broker: one DEALER whose routing id is the program's address,
 * registration (repeated until answered, and again when the broker asks WHO after a restart), and
 * counting of malformed messages. Used by every program but the broker. One thread. */
#ifndef AF_PROTO_PEER_H
#define AF_PROTO_PEER_H

#include "proto/message.h"

typedef struct peer peer_t;

struct peer_options {
    const char *endpoint;      /* "ipc:///…/broker.sock" */
    const char *address;       /* "instance:inst_…": the routing id */
    const char *program;       /* "agentd 0.1.0" */
    const char *const *agents; /* served names, or NULL */
    size_t agents_count;
    void *zmq_context;         /* NULL: makes one of its own, with one I/O thread and few sockets */
};

int peer_new(const struct peer_options *options, peer_t **ret_peer, struct err *err) MUST_CHECK;
void peer_destroy(peer_t **self_p); /* unregisters; lingers at most 200 ms */
void *peer_socket(peer_t *self);    /* for zmq_poll */
const char *peer_address(const peer_t *self);
bool peer_registered(const peer_t *self);
const char *peer_refusal(const peer_t *self); /* why the broker refuses us, or NULL */
uint64_t peer_malformed(const peer_t *self);

/* The next message for the program; those between us and the broker are handled inside, and PING is
 * answered. ERR_AGAIN when none waits. */
int peer_receive(peer_t *self, struct message *message, int64_t now_us, struct err *err) MUST_CHECK;
int peer_send(peer_t *self, const struct wire_route *route, const struct wire_body *body,
              struct bytes payload, struct err *err) MUST_CHECK;
void peer_tick(peer_t *self, int64_t now_us);
int64_t peer_deadline(const peer_t *self);

#endif
