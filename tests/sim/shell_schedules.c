#include "schedule/due.h"
#include "tests/sim/observer.h"
#include "tests/sim/shell_core.h"

#include <stdlib.h>

/* As coordinator/schedules.c: a record for each workflow with a schedule, which is written in one
 * batch with the start that it tells of. */

#define STARTS_OF_A_ROUND 64
/* The clock on the wall runs so many times as fast as all else, so that minutes are short. */
#define WALL_SPEED 30

struct schedule {
    const struct plan_schedule *plan; /* NULL: the workflow has none */
    struct cron cron;
    struct scheduled record;
};

struct schedules {
    struct schedule all[WORKFLOWS_MOST];
    zone_t *utc;
    int64_t ahead_us; /* of the clock on the wall, which somebody has set */
    /* With a planted fault: what goes into a batch after this one. */
    bool late[WORKFLOWS_MOST];
    uint64_t late_after;
};

/* --- the clock on the wall -------------------------------------------------------------------- */

int64_t shell_wall(const struct world *world, int64_t utc_us)
{
    return SIM_UTC + WALL_SPEED * (utc_us - SIM_UTC) + world->shell->schedules->ahead_us;
}

static int64_t utc_of(const struct shell *self, int64_t wall_us)
{
    return SIM_UTC + (wall_us - SIM_UTC - self->schedules->ahead_us) / WALL_SPEED + 1;
}

static void set_clock(struct world *world, void *context, uint64_t number)
{
    struct shell *self = context;
    int64_t most_us = world->plan->clock_most_us;
    if (world->calm)
        return;
    self->schedules->ahead_us = prng_between(&world->prng, -most_us / 3, most_us);
    world->counts.clocks_set++;
    TRACE(world, "the clock on the wall is set, now %.3f s ahead",
          (double)self->schedules->ahead_us / (double)SECOND);
    proc_wake(&self->proc, world->now_us);
    world_at(world, world->now_us + prng_skewed(&world->prng, SECOND, 15 * SECOND), set_clock, self,
             number);
}

/* --- the records ------------------------------------------------------------------------------ */

static void write_record(struct shell *self, uint32_t workflow, int64_t wall_us)
{
    struct scheduled *record = &self->schedules->all[workflow].record;
    record->wall_us = wall_us;
    writes_schedule(&shell_current(self)->writes, record);
}

static void load(struct shell *self, uint32_t workflow)
{
    struct schedule *schedule = &self->schedules->all[workflow];
    const struct scheduled *stored = store_scheduled(self->world->store, workflow);
    int64_t wall_us = shell_wall(self->world, self->utc_us);
    if (stored) {
        schedule->record = *stored;
        return;
    }
    schedule->record = (struct scheduled){
        .workflow = workflow, .next_us = due_next(&schedule->cron, self->schedules->utc, wall_us)};
    write_record(self, workflow, wall_us);
}

void schedules_load(struct shell *self)
{
    for (uint32_t i = 0; i < WORKFLOWS_MOST; i++) {
        self->schedules->late[i] = false;
        if (self->schedules->all[i].plan)
            load(self, i);
    }
}

/* --- running ---------------------------------------------------------------------------------- */

static bool still_runs(const struct shell *self, struct uuid id)
{
    struct execution_view view;
    return engine_execution(self->engine, id, &view) == 0 &&
           !execution_status_terminal(view.status);
}

static void run(struct shell *self, struct schedule *schedule, int64_t at_us)
{
    struct scheduled *record = &schedule->record;
    bool alone = schedule->plan->alone && self->world->fault != FAULT_SCHEDULE_BESIDE;
    if (alone && still_runs(self, record->last)) {
        self->world->counts.schedules_skipped++;
        return;
    }
    if (shell_start(self, record->workflow, "schedule", &record->last))
        return;
    record->last_us = at_us;
}

static void fire(struct shell *self, struct schedule *schedule)
{
    struct schedules *all = self->schedules;
    struct scheduled *record = &schedule->record;
    int64_t wall_us = shell_wall(self->world, self->utc_us);
    struct due due =
        due_now(&schedule->cron, all->utc, schedule->plan->missed, record->next_us, wall_us);
    if (due.run_us != 0)
        run(self, schedule, due.run_us);
    record->next_us = due.next_us;
    if (self->world->fault == FAULT_SCHEDULE_APART) {
        all->late[record->workflow] = true;
        all->late_after = shell_current(self)->number;
    } else {
        write_record(self, record->workflow, wall_us);
    }
}

static void write_late(struct shell *self)
{
    struct schedules *all = self->schedules;
    for (uint32_t i = 0; i < WORKFLOWS_MOST; i++) {
        if (!all->late[i] || all->late_after == shell_current(self)->number)
            continue;
        all->late[i] = false;
        write_record(self, i, shell_wall(self->world, self->utc_us));
    }
}

static struct schedule *next_due(const struct shell *self)
{
    struct schedule *next = NULL;
    for (size_t i = 0; i < WORKFLOWS_MOST; i++) {
        struct schedule *schedule = &self->schedules->all[i];
        if (schedule->plan && (!next || schedule->record.next_us < next->record.next_us))
            next = schedule;
    }
    return next;
}

/* They go on into the calm for a while, so that what was missed can be made up for. */
static bool may_start(const struct shell *self)
{
    return !self->full && self->world->now_us < self->world->calm_us + SCHEDULES_CALM_US;
}

void schedules_tick(struct shell *self)
{
    struct schedule *next;
    write_late(self);
    for (int i = 0; i < STARTS_OF_A_ROUND && may_start(self) && (next = next_due(self)) &&
                    next->record.next_us <= shell_wall(self->world, self->utc_us);
         i++)
        fire(self, next);
}

int64_t schedules_deadline(const struct shell *self)
{
    const struct schedule *next = may_start(self) ? next_due(self) : NULL;
    return next ? utc_of(self, next->record.next_us) : INT64_MAX;
}

/* --- begin and end ---------------------------------------------------------------------------- */

struct schedules *schedules_new(struct shell *shell)
{
    struct schedules *self = xcalloc(1, sizeof *self);
    struct world *world = shell->world;
    bool any = false;
    struct err err;
    if (zone_open("UTC", &self->utc, &err))
        world_fail(world, 0, "%s", err.what);
    for (uint32_t i = 0; i < world->plan->workflows_count; i++) {
        const struct plan_workflow *workflow = &world->plan->workflows[i];
        if (!workflow->schedule.cron || workflow->gone)
            continue;
        any = true;
        self->all[i].plan = &workflow->schedule;
        if (cron_parse(workflow->schedule.cron, &self->all[i].cron, &err))
            world_fail(world, 0, "%s", err.what);
    }
    if (any && world->plan->clock_most_us > 0)
        world_at(world, world->now_us + prng_skewed(&world->prng, SECOND, 15 * SECOND), set_clock,
                 shell, 0);
    return self;
}

void schedules_destroy(struct schedules **self_p)
{
    struct schedules *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    zone_destroy(&self->utc);
    free(self);
}
