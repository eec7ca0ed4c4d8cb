/* How many instances of an agent are wanted, and on which hosts. Pure. */
#ifndef AF_COORDINATOR_FLEET_PLAN_H
#define AF_COORDINATOR_FLEET_PLAN_H

#include <stddef.h>
#include <stdint.h>

struct fleet_demand {
    uint32_t instances_min, instances_max;
    uint32_t parallel;   /* tasks at a time of one instance */
    int64_t idle_us;     /* fewer only after so long without need; 0: never fewer */
    uint64_t ready;      /* tasks that wait */
    uint64_t running;
};
/* What is remembered of an agent between two looks. {0} at first. */
struct fleet_wish {
    uint32_t wanted;
    int64_t low_since_us; /* since when fewer would do; 0: they would not */
};

/* More at once when tasks wait for places, fewer only after the idle time; always within min and
 * max. Changes *wish; returns wish->wanted. */
uint32_t fleet_wish_update(struct fleet_wish *wish, const struct fleet_demand *demand,
                           int64_t now_us);
/* When the wish may go down without anything happening; INT64_MAX: never. */
int64_t fleet_wish_deadline(const struct fleet_wish *wish, const struct fleet_demand *demand);

/* The share of one host among `hosts` (numbered from 0): even, the rest going to hosts that follow
 * from the agent's name, so that agents of one instance each don't pile up on the first host and no
 * share depends on other agents. */
uint32_t fleet_share(const char *agent, uint32_t wanted, size_t host, size_t hosts);

#endif
