/* The fan-out of events: publishers connect to an XSUB, followers to an XPUB; events go down,
 * subscriptions go up, so that a publisher sends only what somebody follows. Best effort. */
#ifndef AF_BROKER_EVENTS_H
#define AF_BROKER_EVENTS_H

#include <stdbool.h>

/* Each passes one message on; false when none waits. Neither blocks. */
bool events_pass_down(void *publish, void *followers);
bool events_pass_up(void *followers, void *publish);

#endif
