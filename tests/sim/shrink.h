/* Takes away from what a seed plans whatever its failure can do without: workflows, executions,
 * kinds of faults, nodes, what nodes have. */
#ifndef AF_TESTS_SIM_SHRINK_H
#define AF_TESTS_SIM_SHRINK_H

#include "tests/sim/world.h"

/* Prints what is left, and the command that replays it. like: seed and fault. fault: its name, or
 * NULL. */
void shrink(const struct world *like, const char *program, const char *fault);

#endif
