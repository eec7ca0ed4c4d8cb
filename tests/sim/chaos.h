/* Who dies, stops, or is cut off, and when. All of it ends with the plan's faults_us; from then on
 * the world is calm. */
#ifndef AF_TESTS_SIM_CHAOS_H
#define AF_TESTS_SIM_CHAOS_H

#include "tests/sim/world.h"

void chaos_begin(struct world *world);
/* The coordinator may be killed soon, where the plan has it killed at all. */
void chaos_follow(struct world *world);
/* Who holds a task of what is to be cancelled may be cut off, where the plan has such faults, and
 * come back with it when all is over; true: it is. */
bool chaos_before_cancel(struct world *world, struct uuid execution);

#endif
