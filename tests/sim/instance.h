/* The simulated agentd processes: the real table of tasks (agentd/tasks.c) and the peer's ends of
 * links, with the order of the real loop around them (agentd/agentd.c, jobs.c). A command is an
 * effect in the world: it starts under a lease only, and dies with its instance. */
#ifndef AF_TESTS_SIM_INSTANCE_H
#define AF_TESTS_SIM_INSTANCE_H

#include "tests/sim/world.h"

struct fleet *fleet_new(struct world *world); /* and starts them, one after the other */
void fleet_destroy(struct fleet **self_p);

size_t fleet_size(const struct world *world);
struct proc *fleet_proc(struct world *world, size_t index);
void fleet_drain(struct world *world, size_t index); /* SIGTERM */
/* Tasks that are held by all instances together. */
size_t fleet_tasks(const struct world *world);
/* By address; SIZE_MAX: there is none. */
size_t fleet_find(const struct world *world, const char *address);
bool fleet_frozen(const struct world *world, size_t index);
/* Where a command runs that will be at work the longest; SIZE_MAX: nowhere. */
size_t fleet_busiest(const struct world *world);

#endif
