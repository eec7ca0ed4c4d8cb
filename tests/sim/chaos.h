/* Who dies, stops, or is cut off, and when. All of it ends with the plan's faults_us; from then on
 * the world is calm. */
#ifndef AF_TESTS_SIM_CHAOS_H
#define AF_TESTS_SIM_CHAOS_H

#include "tests/sim/world.h"

void chaos_begin(struct world *world);
/* The coordinator may be killed soon, where the plan has it killed at all. */
void chaos_follow(struct world *world);

#endif
