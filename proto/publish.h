/* A program's end of the events: an XPUB socket connected to the broker's XSUB, and what followers
 * have subscribed to, so that nothing is made that nobody wants. Best effort: what the socket does
 * not take at once is lost. Who it belongs to is its only thread. docs/protocol.md lists the topics
 * and types. */
#ifndef AF_PROTO_PUBLISH_H
#define AF_PROTO_PUBLISH_H

#include "base/buf.h"
#include "base/err.h"

typedef struct publish publish_t;

/* ERR_INVALID for an endpoint that can't be connected to. */
int publish_new(void *zmq_context, const char *endpoint, publish_t **ret_publish,
                struct err *err) MUST_CHECK;
void publish_destroy(publish_t **self_p);
void *publish_socket(publish_t *self); /* for zmq_poll */
void publish_receive(publish_t *self); /* subscriptions that have arrived */
bool publish_wanted(const publish_t *self, const char *topic);
bool publish_any_wanted(const publish_t *self);
void publish_send(publish_t *self, const char *topic, struct bytes document); /* MessagePack */

#endif
