/* The loop of egressd: its connection to the broker, its link to the coordinator, the table of calls
 * and the provider that answers them, and the events that it publishes. One thread makes it, runs it
 * and destroys it. */
#ifndef AF_EGRESS_EGRESSD_H
#define AF_EGRESS_EGRESSD_H

#include "base/err.h"

typedef struct egressd egressd_t;

struct egressd_options {
    const char *broker;  /* endpoint of messages */
    const char *publish; /* endpoint of events */
    const char *id;      /* egr_… */
    const char *calls;   /* file to which a line is added for each call really made; or NULL */
    int signals;         /* signalfd of SIGTERM and SIGINT, not blocking */
};

/* The options are borrowed. */
int egressd_new(const struct egressd_options *options, egressd_t **ret_egressd,
                struct err *err) MUST_CHECK;
/* Returns after SIGTERM or SIGINT, when the calls under way have ended and nobody needs an answer
 * that is held, or after LIMIT_EGRESS_DRAIN_US; at once upon a second signal. */
int egressd_run(egressd_t *self, struct err *err) MUST_CHECK;
void egressd_destroy(egressd_t **self_p);

#endif
