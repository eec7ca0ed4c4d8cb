/* What the files of the observer share. */
#ifndef AF_TESTS_SIM_OBSERVER_CORE_H
#define AF_TESTS_SIM_OBSERVER_CORE_H

#include "base/map.h"
#include "engine/engine.h"
#include "tests/sim/model.h"
#include "tests/sim/observer.h"
#include "tests/sim/store.h"

#define EFFECTS_MOST 1024

struct running {
    size_t instance;
    struct sim_task what;
};

/* A schedule's record, and its last execution as of the last batch. */
struct watched_schedule {
    struct scheduled record;
    bool there, ran;
    uint32_t reopened; /* how often that execution was */
};
struct scheduled_start {
    struct uuid execution;
    uint32_t workflow;
};

struct observer {
    struct models models;
    size_t open;
    engine_t *twin; /* folds what the disk holds */
    struct running effects[EFFECTS_MOST];
    size_t effects_count;
    map_t *calls; /* of models, by key */
    uint64_t egress_losses[EGRESSES_MOST];
    struct watched_schedule schedules[WORKFLOWS_MOST];
    struct scheduled_start *starts; /* of the batch, without their records */
    size_t starts_count;
    int64_t begun_us; /* the coordinator that runs now */
    int64_t last_event_us;
    int64_t quiet_us; /* when the watch ends; 0: something is open */
    struct arena arena;
};

static inline struct run observer_run(struct wire_run run)
{
    return (struct run){run.epoch, run.counter};
}

static inline bool observer_runs(const struct model *model)
{
    return !execution_status_terminal(model->status);
}

struct model *observer_find(const struct world *world, struct uuid execution); /* or NULL */
struct model_node *observer_find_node(struct model *model, const char *path);  /* or NULL */

/* observer_schedules.c */
void observer_schedule_started(struct world *world, const struct event *event); /* of any kind */
void observer_schedules_batch(struct world *world); /* it is on the disk as a whole */
void observer_schedules_end(struct world *world);   /* what must hold then */

/* observer_calls.c */
void observer_note_event(struct world *world, const struct event *event);
void observer_check_lie(struct world *world, const struct event *event);
void observer_note_reserved(struct world *world, const struct event *event);
void observer_check_given_up(struct world *world, const struct event *event);
void observer_check_turn(struct world *world, const struct model *model,
                         const struct event_step *step);
void observer_dropped(const struct world *world, const char *address, struct model_node *node,
                      struct run run);
void observer_release_calls(struct observer *self);

#endif
