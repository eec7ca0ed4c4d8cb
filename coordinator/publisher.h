/* Published events: best effort, under the topics "execution.ID" and "fleet", and only where
 * somebody subscribed. docs/protocol.md lists the types. */
#ifndef AF_COORDINATOR_PUBLISHER_H
#define AF_COORDINATOR_PUBLISHER_H

#include "coordinator/coordinator.h"

int publisher_new(void *zmq_context, const char *endpoint, struct publisher **ret_publisher,
                  struct err *err) MUST_CHECK;
void publisher_destroy(struct publisher **self_p);
void *publisher_socket(struct publisher *self);
bool publisher_sends(const struct coordinator *self); /* somebody subscribed */
void publisher_receive(struct coordinator *self); /* subscriptions that have arrived */

/* At release only. */
void publisher_batch(struct coordinator *self, const struct decisions *decisions);
void publisher_dispatch(struct coordinator *self, const struct effect_dispatch *dispatch,
                        const char *instance);
/* What is volatile may be told at once. */
void publisher_instance(struct coordinator *self, bool up, const char *instance,
                        const char *agent, const char *host, const char *reason);
/* Of an agent that has work, or whose wish has just changed. */
void publisher_queue(struct coordinator *self, const char *agent, const struct agent_load *load,
                     uint32_t wanted, bool changed);

#endif
