/* Steps of instances, checked before the engine sees them: an output must be one acceptable value,
 * or a blob that the store holds. One that is neither becomes a permanent failure of its attempt. */
#ifndef AF_COORDINATOR_STEPS_H
#define AF_COORDINATOR_STEPS_H

#include "coordinator/coordinator.h"

/* instance and agent are those of the link that brought the step. */
void steps_receive(struct coordinator *self, uint64_t handle, const char *instance,
                   const char *agent, const struct wire_step *step);

#endif
