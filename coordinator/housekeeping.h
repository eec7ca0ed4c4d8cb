/* What is removed from the store in time: idempotency keys after a day, ended executions after their
 * retention. A few at a time, so that nothing else waits. */
#ifndef AF_COORDINATOR_HOUSEKEEPING_H
#define AF_COORDINATOR_HOUSEKEEPING_H

#include "coordinator/coordinator.h"
#include "coordinator/record.h"

/* It ended before its retention began: the next sweep removes it, or one has begun to. */
bool housekeeping_removes(const struct coordinator *self, const struct summary *summary);
void housekeeping_tick(struct coordinator *self);
int64_t housekeeping_deadline(const struct coordinator *self); /* monotonic */

#endif
