/* An egress for tests of agentd: records the calls that come and answers them as the test says.
 * Served in the rounds of the fake coordinator that it is joined to. */
#ifndef AF_AGENTD_FAKE_EGRESS_H
#define AF_AGENTD_FAKE_EGRESS_H

#include "agentd/fake_coordinator.h"

struct fake_call {
    char *from, *path;
    struct uuid execution;
    struct wire_run run;
    uint32_t attempt, turn;
    uint64_t correlation;
    uint8_t hash[DATUM_HASH_BYTES];
    value_t *request; /* NULL: it came without payload */
};

struct fake_egress {
    peer_t *peer;
    struct fake *fake;
    struct fake_call *calls;
    size_t calls_count;
};

void fake_egress_init(struct fake_egress *self, struct fake *fake, const char *endpoint,
                      const char *address);
void fake_egress_release(struct fake_egress *self);
/* Waits until this many calls have come; gives the last of them. */
const struct fake_call *fake_egress_wait(struct fake_egress *self, size_t count);
/* Answers a call with a turn, or an error. */
void fake_egress_answer(struct fake_egress *self, const struct fake_call *call,
                        const char *turn_json);
void fake_egress_refuse(struct fake_egress *self, const struct fake_call *call, const char *error,
                        bool permanent);

#endif
