/* The broker's directory: which peers have registered, what agents they serve, when they were last
 * heard. Soft state: after a restart it is built anew from what peers say. Pure: the time is a
 * parameter; the broker's one thread owns it for the life of the process.
 *
 * A peer that is heard without having registered is kept too, so that it is asked WHO it is no more
 * often than LIMIT_WHO_INTERVAL_US. */
#ifndef AF_BROKER_PRESENCE_H
#define AF_BROKER_PRESENCE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"

typedef struct presence presence_t;

presence_t *presence_new(void);
void presence_destroy(presence_t **self_p);

/* Something came from this address. */
enum presence_heard {
    PRESENCE_KNOWN,     /* registered */
    PRESENCE_ASK,       /* not registered: to be asked WHO it is */
    PRESENCE_UNKNOWN,   /* not registered, and asked a moment ago */
    PRESENCE_INVALID,   /* no address of a peer; nothing is kept of it */
};
enum presence_heard presence_heard(presence_t *self, struct bytes address, int64_t now_us);

/* Registers anew, replacing what the peer said before. ERR_LIMIT when the directory is full,
 * ERR_TOO_LARGE for more than LIMIT_PEER_AGENTS names, ERR_INVALID for one that is no agent's name;
 * then nothing has changed. */
int presence_register(presence_t *self, struct bytes address, const char *program,
                      const char *const *agents, size_t agents_count, int64_t now_us,
                      struct err *err) MUST_CHECK;
/* Forgets the peer; false when it wasn't registered. */
bool presence_remove(presence_t *self, struct bytes address);

/* How many peers serve the agent now. */
size_t presence_serving(const presence_t *self, struct bytes agent);
/* The address of the next of them, in turn; empty when there is none. Borrowed: it lives until that
 * peer is removed or registers anew. */
struct bytes presence_choose(presence_t *self, struct bytes agent);

/* Forgets who was silent for LIMIT_BROKER_SILENCE_US; returns how many of them were registered. */
size_t presence_expire(presence_t *self, int64_t now_us);
size_t presence_count(const presence_t *self); /* registered peers */

/* A list of {address, program, agents, last_heard_ms}, in the order in which they were first heard;
 * last_heard_ms is how long ago. Ends early when its MessagePack could pass size_bytes: then
 * ret_complete is false. */
value_t *presence_document(const presence_t *self, int64_t now_us, size_t size_bytes,
                           bool *ret_complete);

#endif
