#include "tests/sim/chaos.h"

#include "tests/sim/egress.h"
#include "tests/sim/instance.h"
#include "tests/sim/net.h"
#include "tests/sim/observer.h"
#include "tests/sim/plan.h"
#include "tests/sim/shell.h"
#include "tests/sim/store.h"

/* Half of all deaths come between two effects of one round. */
static void crash(struct world *world, struct proc *proc)
{
    uint64_t countdown =
        prng_chance(&world->prng, 500) ? (uint64_t)prng_skewed(&world->prng, 1, 12) : 0;
    if (!proc->up)
        return;
    if (countdown == 0)
        TRACE(world, "%s is killed", proc->name);
    proc_kill(proc, countdown);
}

static struct proc *any_egress(struct world *world)
{
    size_t count = egresses_count(world);
    return count == 0
               ? NULL
               : egresses_proc(world, (size_t)prng_between(&world->prng, 0, (int64_t)count - 1));
}

static struct proc *any_instance(struct world *world, size_t *ret_index)
{
    *ret_index = (size_t)prng_between(&world->prng, 0, (int64_t)fleet_size(world) - 1);
    return fleet_proc(world, *ret_index);
}

/* Of nothing that a fault does any trace may be left when the calm begins, but what it led to. */
static int64_t until(struct world *world, int64_t low_us, int64_t high_us)
{
    int64_t at_us = world->now_us + prng_skewed(&world->prng, low_us, high_us);
    return at_us < world->calm_us ? at_us : world->calm_us;
}

/* number: its two lowest bits say which ways, the rest for how many microseconds at the least. */
static void cut(struct world *world, void *context, uint64_t number)
{
    if (!world->calm)
        net_cut(world, context, (number & 1) != 0, (number & 2) != 0,
                until(world, (int64_t)(number >> 2), 12 * SECOND));
}

/* What it hears is old, then nobody hears it any more. Who is at work has the most to lose. */
static void slow_then_cut(struct world *world, struct proc *proc)
{
    size_t busiest = prng_chance(&world->prng, 700) ? fleet_busiest(world) : SIZE_MAX;
    int64_t lag_us = prng_between(&world->prng, SECOND, 3 * SECOND);
    int64_t cut_us = prng_between(&world->prng, 0, lag_us + SECOND);
    if (busiest != SIZE_MAX) {
        proc = fleet_proc(world, busiest);
        cut_us = prng_between(&world->prng, SECOND / 2, 3 * SECOND / 2);
    }
    uint64_t least_us = (uint64_t)prng_between(&world->prng, SECOND, 8 * SECOND);
    net_lag(world, proc, true, lag_us, until(world, 4 * SECOND, 12 * SECOND));
    world_at(world, world->now_us + cut_us, cut, proc, least_us << 2 | 2);
}

static void partition(struct world *world)
{
    const struct plan *plan = world->plan;
    size_t index;
    struct proc *proc = any_instance(world, &index);
    if (egresses_count(world) > 0 && prng_chance(&world->prng, 250))
        proc = any_egress(world);
    int64_t kind = prng_between(&world->prng, 0, 7);
    bool to = prng_chance(&world->prng, 500);
    if (prng_chance(&world->prng, plan->slow_cut_permille)) {
        slow_then_cut(world, proc);
    } else if (kind < 4) {
        cut(world, proc, (uint64_t)(kind < 3 ? kind + 1 : 3) | (uint64_t)(200 * MS) << 2);
    } else if (kind < 6) {
        int64_t least_us = prng_between(&world->prng, MS, 14 * SECOND);
        net_choke(world, proc, to, until(world, least_us, 20 * SECOND));
    } else {
        int64_t lag_us = prng_between(&world->prng, 0, 3 * SECOND);
        net_lag(world, proc, to, lag_us, until(world, SECOND, 12 * SECOND));
    }
}

static void act(struct world *world)
{
    const struct plan *plan = world->plan;
    const int64_t weights[] = {plan->crash_coordinator, plan->crash_instance, plan->pause_instance,
                               plan->pause_coordinator, plan->crash_broker,   plan->partition,
                               plan->disk_full,         plan->disk_error,     plan->drain_instance,
                               plan->crash_egress,      plan->pause_egress};
    int64_t sum = 0;
    size_t kind = 0, index;
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++)
        sum += weights[i];
    if (sum == 0)
        return;
    for (int64_t at = prng_between(&world->prng, 0, sum - 1); at >= weights[kind]; kind++)
        at -= weights[kind];
    struct proc *instance = any_instance(world, &index);
    switch (kind) {
    case 0: crash(world, shell_proc(world)); break;
    case 1: crash(world, instance); break;
    case 2: proc_freeze(instance, until(world, 50 * MS, 9 * SECOND)); break;
    case 3: proc_freeze(shell_proc(world), until(world, 50 * MS, 9 * SECOND)); break;
    case 4: net_crash(world, until(world, 10 * MS, 3 * SECOND)); break;
    case 5: partition(world); break;
    case 6: store_fill(world->store, until(world, 100 * MS, 5 * SECOND)); break;
    case 7: store_break(world->store); break;
    case 8: fleet_drain(world, index); break;
    case 9: crash(world, any_egress(world)); break;
    case 10: proc_freeze(any_egress(world), until(world, 50 * MS, 9 * SECOND)); break;
    default: break;
    }
}

static void happen(struct world *world, void *context, uint64_t number)
{
    (void)context;
    (void)number;
    if (world->calm)
        return;
    act(world);
    world_at(world, world->now_us + prng_skewed(&world->prng, MS, 2 * world->plan->fault_every_us),
             happen, NULL, 0);
}

static void calm_down(struct world *world, void *context, uint64_t number)
{
    (void)context;
    (void)number;
    TRACE(world, "the world is calm");
    world->calm = true;
    shell_proc(world)->countdown = 0;
    for (size_t i = 0; i < fleet_size(world); i++)
        fleet_proc(world, i)->countdown = 0;
    for (size_t i = 0; i < egresses_count(world); i++)
        egresses_proc(world, i)->countdown = 0;
}

static void kill_coordinator(struct world *world, void *context, uint64_t number)
{
    (void)context;
    (void)number;
    if (world->calm)
        return;
    crash(world, shell_proc(world));
    if (world->plan->partition == 0 || prng_chance(&world->prng, 300))
        return;
    for (size_t i = 0; i < fleet_size(world); i++) /* whoever was cut off is back soon */
        net_cut(world, fleet_proc(world, i), true, true, until(world, 10 * MS, 3 * SECOND));
}

void chaos_follow(struct world *world)
{
    if (!world->calm && world->plan->crash_coordinator > 0 && prng_chance(&world->prng, 600))
        world_at(world, world->now_us + prng_skewed(&world->prng, 0, 2 * SECOND), kill_coordinator,
                 NULL, 0);
}

bool chaos_before_cancel(struct world *world, struct uuid execution)
{
    size_t index;
    if (world->calm || world->plan->partition == 0 || !prng_chance(&world->prng, 700) ||
        !observer_holder(world, execution, &index))
        return false;
    int64_t least_us = prng_between(&world->prng, 5 * SECOND, 15 * SECOND);
    net_cut(world, fleet_proc(world, index), true, true, until(world, least_us, 20 * SECOND));
    return true;
}

void chaos_begin(struct world *world)
{
    world_at(world, world->now_us + prng_skewed(&world->prng, 0, 3 * SECOND), happen, NULL, 0);
    world_at(world, world->calm_us, calm_down, NULL, 0);
}
