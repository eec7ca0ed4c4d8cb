#include "tests/sim/observer_core.h"

#include "tests/sim/shell.h"
#include "tests/sim/store.h"

#include <stdlib.h>
#include <string.h>

/* What schedules start, by what is committed alone: each start with its record in one batch, for
 * the times that the rule has, each once. When a record was written is all that is believed of it.
 */

#define MINUTE_US (60 * SECOND)
/* By when, in the calm, all that was missed has been made up for, on the coordinator's clock. */
#define MADE_UP_US (3 * SECOND)

static const struct plan_schedule *rule_of(const struct world *world, uint32_t workflow)
{
    return &world->plan->workflows[workflow].schedule;
}

/* --- starts ----------------------------------------------------------------------------------- */

void observer_schedule_started(struct world *world, const struct event *event)
{
    struct observer *self = world->observer;
    uint32_t workflow = 0;
    if (event->kind != EVENT_STARTED || strcmp(event->started.by, "schedule") != 0 ||
        !uuid_is_nil(event->started.owner))
        return;
    while (strcmp(world->plan->workflows[workflow].name, event->started.workflow) != 0)
        workflow++;
    self->starts = xrealloc(self->starts, (self->starts_count + 1) * sizeof *self->starts);
    self->starts[self->starts_count++] = (struct scheduled_start){event->execution, workflow};
}

static bool take_start(struct observer *self, struct uuid execution, uint32_t workflow)
{
    for (size_t i = 0; i < self->starts_count; i++) {
        const struct scheduled_start *start = &self->starts[i];
        if (!uuid_equal(start->execution, execution) || start->workflow != workflow)
            continue;
        self->starts[i] = self->starts[--self->starts_count];
        return true;
    }
    return false;
}

/* --- records ---------------------------------------------------------------------------------- */

/* Between two batches the last one ran; or it was begun, or opened again, within this one. */
static bool may_have_run(const struct world *world, const struct watched_schedule *watched)
{
    const struct model *last = observer_find(world, watched->record.last);
    return watched->ran || (last && observer_runs(last));
}

static bool surely_runs(const struct world *world, const struct watched_schedule *watched)
{
    const struct model *last = observer_find(world, watched->record.last);
    return last && observer_runs(last) && last->reopened == watched->reopened;
}

static const char *check_start(struct world *world, const struct watched_schedule *watched,
                               const struct scheduled *record, int64_t run_us)
{
    if (record->last_us <= watched->record.last_us)
        return "a run for a time that was run for already";
    if (record->last_us != run_us)
        return "a run for another time than its rule";
    if (!take_start(world->observer, record->last, record->workflow))
        return "a run that was not started in the same batch";
    if (rule_of(world, record->workflow)->alone && surely_runs(world, watched))
        return "a run beside the one before";
    world->counts.scheduled++;
    world->counts.scheduled_late += record->wall_us - run_us > MINUTE_US;
    return NULL;
}

static const char *check_first(const struct scheduled *record, int64_t every_us)
{
    if (!uuid_is_nil(record->last) || record->last_us != 0)
        return "a run before its first time";
    return record->next_us == (record->wall_us / every_us + 1) * every_us
               ? NULL
               : "another first time than the next one";
}

/* Of the times from the one that was to be looked at up to now, the one to run for. */
static int64_t time_to_run(const struct plan_schedule *rule, int64_t next_us, int64_t wall_us)
{
    int64_t every_us = rule->minutes * MINUTE_US;
    int64_t newest_us = wall_us / every_us * every_us;
    int64_t oldest_us = newest_us - (LIMIT_MISSED_RUNS - 1) * every_us;
    if (rule->missed != MISSED_ALL)
        return newest_us;
    return oldest_us > next_us ? oldest_us : next_us;
}

static const char *check_record(struct world *world, const struct watched_schedule *watched,
                                const struct scheduled *record)
{
    const struct plan_schedule *rule = rule_of(world, record->workflow);
    int64_t every_us = rule->minutes * MINUTE_US;
    if (!watched->there)
        return check_first(record, every_us);
    if (record->wall_us < watched->record.next_us)
        return "a run before its time";
    int64_t run_us = time_to_run(rule, watched->record.next_us, record->wall_us);
    bool skips = rule->missed == MISSED_SKIP && record->wall_us - run_us > LIMIT_RUN_LATE_US;
    if (record->next_us != run_us + every_us)
        return "another next time than the one after that";
    if (!uuid_equal(record->last, watched->record.last))
        return skips ? "a run that is too late" : check_start(world, watched, record, run_us);
    if (record->last_us != watched->record.last_us)
        return "a run that started nothing";
    if (skips || (rule->alone && may_have_run(world, watched)))
        return NULL;
    return "a time that is left out";
}

void observer_scheduled(struct world *world, const struct scheduled *record)
{
    struct watched_schedule *watched = &world->observer->schedules[record->workflow];
    if (world->failed)
        return;
    const char *wrong = check_record(world, watched, record);
    if (wrong)
        world_fail(world, 0, "the record of the schedule of %s holds %s",
                   world->plan->workflows[record->workflow].name, wrong);
    bool started = !uuid_equal(record->last, watched->record.last);
    watched->ran |= started;
    if (started)
        watched->reopened = 0;
    watched->there = true;
    watched->record = *record;
    TRACE(world, "disk: the schedule of %s: last %s for minute %lld, next minute %lld",
          world->plan->workflows[record->workflow].name,
          record->last_us ? sim_uuid(record->last) : "nothing",
          (long long)(record->last_us / MINUTE_US), (long long)(record->next_us / MINUTE_US));
}

void observer_schedules_batch(struct world *world)
{
    struct observer *self = world->observer;
    if (self->starts_count > 0)
        world_fail(world, 0, "a schedule has started %s, and no record of it is in the same batch",
                   sim_uuid(self->starts[0].execution));
    for (uint32_t i = 0; i < WORKFLOWS_MOST; i++) {
        struct watched_schedule *watched = &self->schedules[i];
        const struct model *last = observer_find(world, watched->record.last);
        watched->ran = last && observer_runs(last);
        watched->reopened = last ? last->reopened : 0;
    }
}

void observer_schedules_end(struct world *world)
{
    int64_t made_up_us = shell_wall(world, SIM_UTC + world->calm_us + MADE_UP_US);
    for (uint32_t i = 0; i < world->plan->workflows_count; i++) {
        const struct watched_schedule *watched = &world->observer->schedules[i];
        if (!rule_of(world, i)->cron || world->plan->workflows[i].gone)
            continue;
        if (!watched->there || watched->record.next_us <= made_up_us)
            world_fail(world, 0, "the schedule of %s is not looked at any more",
                       world->plan->workflows[i].name);
    }
}
