#include "coordinator/fleet_plan.h"

static uint32_t needed(const struct fleet_demand *demand)
{
    uint64_t tasks = demand->ready + demand->running;
    uint64_t parallel = demand->parallel == 0 ? 1 : demand->parallel;
    uint64_t instances = tasks / parallel + (tasks % parallel != 0);

    if (instances < demand->instances_min)
        instances = demand->instances_min;
    if (instances > demand->instances_max)
        instances = demand->instances_max;
    return (uint32_t)instances;
}

uint32_t fleet_wish_update(struct fleet_wish *wish, const struct fleet_demand *demand,
                           int64_t now_us)
{
    uint32_t need = needed(demand);

    if (wish->wanted > demand->instances_max)
        wish->wanted = demand->instances_max;
    if (need >= wish->wanted) {
        wish->wanted = need;
        wish->low_since_us = 0;
    } else if (wish->low_since_us == 0) {
        wish->low_since_us = now_us;
    } else if (now_us >= fleet_wish_deadline(wish, demand)) {
        wish->wanted = need;
        wish->low_since_us = 0;
    }
    return wish->wanted;
}

int64_t fleet_wish_deadline(const struct fleet_wish *wish, const struct fleet_demand *demand)
{
    if (wish->low_since_us == 0 || demand->idle_us == 0)
        return INT64_MAX;
    return wish->low_since_us + demand->idle_us;
}

/* FNV-1a: the same in every process, which base/hash.h is not. */
static uint32_t name_number(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash;
}

uint32_t fleet_share(const char *agent, uint32_t wanted, size_t host, size_t hosts)
{
    size_t rest = wanted % hosts;
    size_t first = name_number(agent) % hosts;
    size_t place = (host + hosts - first) % hosts;
    return (uint32_t)(wanted / hosts + (place < rest));
}
