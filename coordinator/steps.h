/* What instances say of their tasks, checked before the engine sees it: a value must be one acceptable
 * value, or a blob that the store holds. A step whose output is neither becomes a permanent failure of
 * its attempt; what a delegation brings along becomes null. */
#ifndef AF_COORDINATOR_STEPS_H
#define AF_COORDINATOR_STEPS_H

#include "coordinator/coordinator.h"

/* A step, delegation or tool call, as link_input_of made it. */
void steps_receive(struct coordinator *self, struct input *input);

#endif
