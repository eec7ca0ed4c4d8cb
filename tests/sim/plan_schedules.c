#include "tests/sim/plan.h"

#include "base/limits.h"

#define MINUTE_US (60 * LIMIT_SECOND_US)

/* All in UTC, and each divides an hour: whoever looks from outside needs no calendar to know them.
 */
static const struct {
    uint32_t minutes;
    const char *cron;
} times[] = {
    {1, "* * * * *"},
    {2, "*/2 * * * *"},
    {3, "*/3 * * * *"},
    {5, "0-59/5 * * * *"},
    {10, "0,10,20,30,40,50 * * * *"},
};

static void draw_schedule(struct plan_schedule *schedule, bool seldom, struct prng *prng)
{
    int64_t most = (int64_t)(sizeof times / sizeof times[0]) - 1;
    int64_t index = prng_between(prng, seldom ? 1 : 0, most);
    int64_t missed = prng_between(prng, 0, 2);
    schedule->minutes = times[index].minutes;
    schedule->cron = times[index].cron;
    schedule->missed = missed == 0 ? MISSED_ONCE : missed == 1 ? MISSED_SKIP : MISSED_ALL;
    schedule->alone = prng_chance(prng, 400);
}

/* More is missed than is made up for. So many executions have to end by themselves in time. */
static void draw_absence(struct plan *plan, uint32_t workflow, struct prng *prng)
{
    struct plan_schedule *schedule = &plan->workflows[workflow].schedule;
    bool absent = prng_chance(prng, 500);
    if (!absent || plan->workflows[workflow].time_us == 0)
        return;
    plan->clock_most_us = 130 * MINUTE_US;
    schedule->minutes = times[0].minutes;
    schedule->cron = times[0].cron;
    schedule->missed = MISSED_ALL;
    schedule->alone = false;
}

void plan_draw_schedules(struct plan *plan, struct prng *prng)
{
    bool seldom = plan->models_count > 0 || plan->subs;
    if (!prng_chance(prng, 300))
        return;
    uint32_t first = (uint32_t)prng_between(prng, 0, plan->workflows_count - 1);
    uint32_t second = (uint32_t)prng_between(prng, 0, plan->workflows_count - 1);
    plan->clock_most_us = prng_chance(prng, 500) ? 9 * MINUTE_US : 0;
    draw_schedule(&plan->workflows[first].schedule, seldom, prng);
    if (second != first)
        draw_schedule(&plan->workflows[second].schedule, seldom, prng);
    else
        draw_absence(plan, first, prng);
}
