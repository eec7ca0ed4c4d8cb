/* The simulated egressd processes: the real table of calls (egress/calls.c) and the peer's ends of
 * links, with the order of the real loop around them (egress/egressd.c). A call of a provider is an
 * effect in the world: what was asked for is answered by the script after a while. */
#ifndef AF_TESTS_SIM_EGRESS_H
#define AF_TESTS_SIM_EGRESS_H

#include "tests/sim/world.h"

struct egresses *egresses_new(struct world *world); /* and starts them */
void egresses_destroy(struct egresses **self_p);

size_t egresses_count(const struct world *world);
struct proc *egresses_proc(struct world *world, size_t index);
uint64_t egresses_boot(const struct world *world, size_t index); /* of the process; 0: none */
/* By address; SIZE_MAX: there is none. */
size_t egresses_find(const struct world *world, const char *address);
/* Grants, calls and answers that they hold together. */
size_t egresses_held(const struct world *world);

#endif
