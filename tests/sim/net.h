/* The broker between all processes: a bag of messages in flight. Each may come late, twice, before
 * an earlier one, or not at all; a crash of the broker takes along what is in flight; a partition
 * cuts one way, or both, between the coordinator and one instance. Bodies cross it encoded. */
#ifndef AF_TESTS_SIM_NET_H
#define AF_TESTS_SIM_NET_H

#include "tests/sim/world.h"

struct net *net_new(struct world *world);
void net_destroy(struct net **self_p);
/* A process that can be addressed; borrowed for the world's life. */
void net_join(struct world *world, struct proc *proc);
void net_send(struct proc *from, const char *to, uint64_t correlation, const struct wire_body *body,
              struct bytes payload);
void net_crash(struct world *world, int64_t until_us);
/* Cuts what goes to the process, and what comes from it. */
void net_cut(struct world *world, const struct proc *proc, bool to, bool from, int64_t until_us);
/* Makes what goes to the process, or comes from it, late by that much. */
void net_lag(struct world *world, const struct proc *proc, bool to, int64_t lag_us,
             int64_t until_us);
/* Loses what is large of what goes to the process, or comes from it; beats get through. */
void net_choke(struct world *world, const struct proc *proc, bool to, int64_t until_us);
/* Frees a message that would have arrived, if this is one. */
void net_forget(world_fn fn, void *context);

#endif
