#include "coordinator/schedules.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "coordinator/catalog.h"
#include "coordinator/pipeline.h"
#include "coordinator/record.h"
#include "coordinator/starts.h"
#include "coordinator/tables.h"
#include "coordinator/timers.h"

#include <stdlib.h>
#include <string.h>

#define STARTS_OF_A_ROUND 64
#define AGAIN_US          LIMIT_SECOND_US /* until a start is tried again for which there is no room */

struct schedule {
    struct timer timer; /* first: the heap gives it back */
    char *workflow;
    uint32_t version;
    value_t *canonical;
    struct workflow_schedule what; /* borrows from it */
    struct cron cron;
    const zone_t *zone; /* NULL: by signal, or its zone can't be read here */
    int64_t next_us, last_us;
    struct uuid last;
    char *trouble;
};

struct schedules {
    map_t *by_workflow; /* struct schedule */
    map_t *zones;       /* by name, as they were when the first schedule needed them */
    struct timers timers;
    struct buf record;
};

struct schedules *schedules_new(void)
{
    struct schedules *self = xcalloc(1, sizeof *self);
    self->by_workflow = map_new();
    self->zones = map_new();
    return self;
}

static void schedule_destroy(struct schedule *schedule)
{
    value_destroy(&schedule->canonical);
    free(schedule->trouble);
    free(schedule->workflow);
    free(schedule);
}

void schedules_destroy(struct schedules **self_p)
{
    struct schedules *self = *self_p;
    void *item;
    if (self == NULL)
        return;
    for (size_t position = 0; (item = map_next(self->by_workflow, &position, NULL)) != NULL;)
        schedule_destroy(item);
    for (size_t position = 0; (item = map_next(self->zones, &position, NULL)) != NULL;) {
        zone_t *zone = item;
        zone_destroy(&zone);
    }
    map_destroy(&self->by_workflow);
    map_destroy(&self->zones);
    timers_release(&self->timers);
    buf_release(&self->record);
    free(self);
    *self_p = NULL;
}

/* --- one schedule ----------------------------------------------------------------------------- */

static struct schedule *find(const struct coordinator *self, const char *workflow)
{
    return map_get(self->schedules->by_workflow, workflow, strlen(workflow));
}

static void set_trouble(struct schedule *schedule, const char *trouble)
{
    free(schedule->trouble);
    schedule->trouble = trouble == NULL ? NULL : xstrdup(trouble);
}

static const zone_t *find_zone(struct schedules *self, const char *name, struct err *err)
{
    zone_t *zone = map_get(self->zones, name, strlen(name));
    if (zone == NULL && zone_open(name, &zone, err) == 0)
        map_put(self->zones, name, strlen(name), zone);
    return zone;
}

/* What can't be read here (a zone that this machine hasn't) rests until it can. */
static void read_times(struct coordinator *self, struct schedule *schedule)
{
    const struct workflow_schedule *what = &schedule->what;
    struct err err = {0};
    char reason[600];
    if (what->signal != NULL)
        return;
    if (cron_parse(what->cron, &schedule->cron, &err) == 0)
        schedule->zone = find_zone(self->schedules, what->zone, &err);
    if (schedule->zone != NULL)
        return;
    set_trouble(schedule, err_format(&err, reason, sizeof reason));
    log_error("COORD-SCHEDULE-UNREADABLE", "a schedule can't be read here and starts nothing",
              "workflow", schedule->workflow, "reason", reason, NULL);
}

static void arm(struct coordinator *self, struct schedule *schedule, int64_t at_us)
{
    if (schedule->zone == NULL || at_us == INT64_MAX)
        timers_unset(&self->schedules->timers, &schedule->timer);
    else
        timers_set(&self->schedules->timers, &schedule->timer, at_us);
}

static void write_record(struct coordinator *self, const struct schedule *schedule)
{
    struct schedule_record record = {.version = schedule->version,
                                     .next_us =
                                         schedule->next_us == INT64_MAX ? 0 : schedule->next_us,
                                     .last_us = schedule->last_us,
                                     .last = schedule->last};
    schedule_encode(&record, &self->schedules->record);
    store_batch_put(pipeline_writes(self), TABLE_SCHEDULES, bytes_of_string(schedule->workflow),
                    buf_bytes(&self->schedules->record));
}

static struct schedule *add(struct coordinator *self, const struct catalog_entry *entry,
                            const struct workflow_schedule *what)
{
    struct schedule *schedule = xcalloc(1, sizeof *schedule);
    schedule->workflow = xstrdup(entry->name);
    schedule->version = entry->version;
    schedule->canonical = value_ref(entry->canonical);
    schedule->what = *what;
    schedule->next_us = INT64_MAX;
    read_times(self, schedule);
    map_put(self->schedules->by_workflow, entry->name, strlen(entry->name), schedule);
    return schedule;
}

/* From now on: what came before it was applied was not missed. */
static void begin(struct coordinator *self, struct schedule *schedule)
{
    if (schedule->zone != NULL)
        schedule->next_us = due_next(&schedule->cron, schedule->zone, self->wall_us);
}

/* --- following the catalog -------------------------------------------------------------------- */

static bool same_times(const struct workflow_schedule *a, const struct workflow_schedule *b)
{
    return a->signal == NULL && b->signal == NULL && strcmp(a->cron, b->cron) == 0 &&
           strcmp(a->zone, b->zone) == 0;
}

/* A new version with the same times goes on where the old one was, so that none is lost. */
static void take_over(struct coordinator *self, struct schedule *schedule,
                      const struct schedule *old)
{
    schedule->last_us = old->last_us;
    schedule->last = old->last;
    if (same_times(&schedule->what, &old->what))
        schedule->next_us = old->next_us;
    else
        begin(self, schedule);
}

void schedules_follow(struct coordinator *self, const char *workflow)
{
    const struct catalog_entry *entry = catalog_find(self, DEFINITION_WORKFLOW, workflow);
    struct schedule *old = find(self, workflow);
    struct workflow_schedule what;
    if (entry != NULL && old != NULL && entry->version == old->version)
        return;
    if (old != NULL) {
        timers_unset(&self->schedules->timers, &old->timer);
        map_remove(self->schedules->by_workflow, workflow, strlen(workflow));
        store_batch_delete(pipeline_writes(self), TABLE_SCHEDULES, bytes_of_string(workflow));
    }
    if (entry != NULL && workflow_schedule(entry->canonical, &what)) {
        struct schedule *schedule = add(self, entry, &what);
        if (old != NULL)
            take_over(self, schedule, old);
        else
            begin(self, schedule);
        write_record(self, schedule);
        arm(self, schedule, schedule->next_us);
    }
    if (old != NULL)
        schedule_destroy(old);
}

/* --- start ------------------------------------------------------------------------------------ */

static int read_record(store_snapshot_t *snapshot, const char *workflow,
                       struct schedule_record *ret_record)
{
    struct bytes value;
    struct err err;
    char reason[600];
    int rc = store_get(snapshot, TABLE_SCHEDULES, bytes_of_string(workflow), &value, &err);
    if (rc == 0)
        rc = schedule_decode(value, ret_record, &err);
    if (rc < 0 && rc != ERR_NOT_FOUND)
        log_error("COORD-SCHEDULE-CORRUPT", "a schedule's record can't be read: it begins anew",
                  "workflow", workflow, "reason", err_format(&err, reason, sizeof reason), NULL);
    return rc;
}

static void load_one(struct coordinator *self, store_snapshot_t *snapshot,
                     const struct catalog_entry *entry, const struct workflow_schedule *what)
{
    struct schedule *schedule = add(self, entry, what);
    struct schedule_record record = {0};
    if (read_record(snapshot, entry->name, &record) == 0) {
        schedule->next_us = record.next_us == 0 ? INT64_MAX : record.next_us;
        schedule->last_us = record.last_us;
        schedule->last = record.last;
    } else {
        begin(self, schedule);
        write_record(self, schedule);
    }
    arm(self, schedule, schedule->next_us);
}

int schedules_load(struct coordinator *self, struct err *err)
{
    const struct catalog_entry *entry;
    struct workflow_schedule what;
    store_snapshot_t *snapshot = NULL;
    int rc = store_snapshot(self->store, &snapshot, err);
    size_t position = 0;
    while (rc == 0 && (entry = catalog_next(self, DEFINITION_WORKFLOW, &position)) != NULL)
        if (workflow_schedule(entry->canonical, &what))
            load_one(self, snapshot, entry, &what);
    store_snapshot_close(&snapshot);
    return rc;
}

/* --- running ---------------------------------------------------------------------------------- */

static bool still_runs(const struct coordinator *self, struct uuid id)
{
    struct execution_view view;
    return engine_execution(self->engine, id, &view) == 0 &&
           !execution_status_terminal(view.status);
}

static int start(struct coordinator *self, const struct schedule *schedule, struct uuid *ret_id,
                 struct err *err)
{
    struct start what = {
        .workflow = schedule->workflow, .input = schedule->what.input, .by = "schedule"};
    struct prepared prepared = {0};
    int rc = starts_have_room(self, 1, err);
    if (rc == 0)
        rc = start_prepare(self, &what, &prepared, err);
    if (rc == 0)
        rc = start_decide(self, &prepared, err);
    *ret_id = prepared.id;
    start_release(&prepared);
    return rc;
}

static void warn(const struct schedule *schedule, const char *code, const char *sentence,
                 int64_t at_us, const char *reason)
{
    char at[CLOCK_TEXT_SIZE];
    log_warn(code, sentence, "workflow", schedule->workflow, "at", clock_format(at_us, at),
             "reason", reason, NULL);
}

/* ERR_BUSY: it is to be tried again. Any other failure is told, and the time has passed. */
static int run(struct coordinator *self, struct schedule *schedule, int64_t at_us)
{
    struct err err = {0};
    char reason[600];
    struct uuid id;
    if (schedule->what.alone && still_runs(self, schedule->last)) {
        set_trouble(schedule, "the execution before it still ran");
        warn(schedule, "COORD-SCHEDULE-SKIPPED", "a scheduled run was left out", at_us,
             schedule->trouble);
        return 0;
    }
    int rc = start(self, schedule, &id, &err);
    if (rc == 0) {
        schedule->last_us = at_us;
        schedule->last = id;
        set_trouble(schedule, NULL);
    } else if (!err_is_passing(rc)) {
        set_trouble(schedule, err_format(&err, reason, sizeof reason));
        warn(schedule, "COORD-SCHEDULE-FAILED", "a scheduled run could not start", at_us, reason);
    }
    return err_is_passing(rc) ? rc : 0;
}

/* The start and the next time go into one batch. */
static void fire(struct coordinator *self, struct schedule *schedule)
{
    struct due due = due_now(&schedule->cron, schedule->zone, schedule->what.missed,
                             schedule->next_us, self->wall_us);
    if (due.run_us != 0 && run(self, schedule, due.run_us) < 0) {
        arm(self, schedule, self->wall_us + AGAIN_US);
        return;
    }
    if (due.left_out)
        warn(schedule, "COORD-SCHEDULE-MISSED", "times of a schedule had passed", schedule->next_us,
             "nothing could start then");
    schedule->next_us = due.next_us;
    write_record(self, schedule);
    arm(self, schedule, schedule->next_us);
}

/* While the store is full nothing starts; what is late then is treated as missed. */
void schedules_tick(struct coordinator *self)
{
    struct timers *timers = &self->schedules->timers;
    struct timer *timer;
    for (int i = 0; i < STARTS_OF_A_ROUND && !self->full && pipeline_has_room(self) &&
                    (timer = timers_due(timers, self->wall_us)) != NULL;
         i++)
        fire(self, (struct schedule *)timer);
}

int64_t schedules_deadline(const struct coordinator *self)
{
    if (self->full || !pipeline_has_room(self))
        return INT64_MAX;
    return timers_next(&self->schedules->timers);
}

/* --- views and signals ------------------------------------------------------------------------ */

bool schedules_next(const struct coordinator *self, size_t *position,
                    struct schedule_view *ret_view)
{
    const struct schedule *schedule = map_next(self->schedules->by_workflow, position, NULL);
    if (schedule == NULL)
        return false;
    *ret_view = (struct schedule_view){.workflow = schedule->workflow,
                                       .version = schedule->version,
                                       .what = &schedule->what,
                                       .next_us = schedule->next_us,
                                       .last_us = schedule->last_us,
                                       .last = schedule->last,
                                       .trouble = schedule->trouble};
    return true;
}

void schedules_note(struct coordinator *self, const char *workflow, struct uuid execution)
{
    struct schedule *schedule = find(self, workflow);
    schedule->last_us = self->wall_us;
    schedule->last = execution;
    write_record(self, schedule);
}
