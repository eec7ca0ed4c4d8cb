/* What is removed from the store in time: idempotency keys after a day, ended executions after their
 * retention. A few at a time, so that nothing else waits. */
#ifndef AF_COORDINATOR_HOUSEKEEPING_H
#define AF_COORDINATOR_HOUSEKEEPING_H

#include "coordinator/coordinator.h"

void housekeeping_tick(struct coordinator *self);
int64_t housekeeping_deadline(const struct coordinator *self); /* monotonic */

#endif
