/* What the files of the simulated coordinator share. */
#ifndef AF_TESTS_SIM_SHELL_CORE_H
#define AF_TESTS_SIM_SHELL_CORE_H

#include "base/map.h"
#include "engine/engine.h"
#include "proto/link.h"
#include "tests/sim/shell.h"
#include "tests/sim/store.h"

/* As in coordinator/pipeline.c. */
#define BATCHES_IN_FLIGHT 2
#define BATCHES           (BATCHES_IN_FLIGHT + 1)

struct acknowledgement {
    uint64_t handle, sequence;
};
struct outgoing {
    char to[40];
    uint64_t correlation;
    struct wire_body body; /* a reply; its texts are literals */
    struct uuid execution; /* payload */
};

/* What the execution of a dispatch had come to when it was decided: the sequence of its last event;
 * and whether the same input has stopped the execution after the dispatch. */
struct stamp {
    uint64_t sequence;
    bool stopped;
};

struct batch {
    uint64_t number;
    bool submitted, committed;
    struct decisions decisions;
    struct stamp *stamps; /* one for each effect */
    struct writes writes;
    struct outgoing *outgoing;
    size_t outgoing_count;
    struct acknowledgement *acknowledgements;
    size_t acknowledgements_count;
};

struct entry {
    struct shell *shell;
    link_t *link;
    uint64_t handle;
    char address[40], agent[16];
    bool egress;
    uint64_t batch; /* the last one that it takes part in */
    bool dirty;
    struct buf items;
    uint32_t items_count;
    struct entry *next;
};

struct dead_boot {
    char address[40];
    uint64_t boot;
};

struct shell {
    struct proc proc;
    struct world *world;
    uint64_t uuids; /* like the kernel's randomness, this outlives the process */
    int64_t utc_us, mono_us;
    uint64_t epoch;
    struct schedules *schedules; /* its clock on the wall outlives the process, too */
    engine_t *engine, *mirror; /* the mirror folds what is written */
    struct batch ring[BATCHES];
    size_t oldest, in_flight;
    uint64_t numbers;
    bool full;
    /* links */
    struct entry *entries; /* in order of opening */
    uint64_t handles;
    uint64_t dirty[64];
    size_t dirty_count;
    struct dead_boot dead_boots[INSTANCES_MOST];
    size_t dead_boots_count;
    /* idempotency keys, committed or in a batch */
    struct answered *answers;
    size_t answers_count;
    struct arena arena; /* of the message that is looked at */
};

/* shell.c: starts the workflow of this index, in the current batch. */
int shell_start(struct shell *self, uint32_t workflow, const char *by, struct uuid *ret_execution);

/* shell_schedules.c */
/* How long they go on into the calm: until what was missed is made up for. */
#define SCHEDULES_CALM_US (8 * SECOND)
struct schedules *schedules_new(struct shell *shell);
void schedules_destroy(struct schedules **self_p);
void schedules_load(struct shell *self); /* from the store; some begin, in the current batch */
void schedules_tick(struct shell *self); /* starts what is due */
int64_t schedules_deadline(const struct shell *self); /* on the coordinator's clock */

/* shell_pipeline.c */
struct batch *shell_current(struct shell *self);
int shell_decide(struct shell *self, struct input *input, struct err *err) MUST_CHECK;
void shell_answer(struct shell *self, const char *to, uint64_t correlation, int error,
                  struct uuid execution);
void shell_acknowledge(struct shell *self, struct entry *entry);
void shell_submit(struct shell *self);
void shell_release_committed(struct shell *self);
void batch_clear(struct batch *batch);
void batch_release(struct batch *batch);

/* shell.c */
engine_t *shell_new_engine(const struct shell *self);
/* The first events of a journal, as those of this execution. */
void shell_fold(struct shell *self, engine_t *engine, const struct journal *journal,
                uint64_t until, struct uuid execution);
struct uuid shell_uuid(struct shell *self); /* a new one */
value_t *shell_input(uint64_t k, bool large); /* of an execution; the caller's */

/* shell_again.c */
int shell_reopen(struct shell *self, struct uuid execution, struct err *err) MUST_CHECK;
int shell_fork(struct shell *self, const struct shell_wish *wish, struct uuid *ret_execution,
               struct err *err) MUST_CHECK;

/* shell_links.c */
void links_receive(struct shell *self, const struct sim_message *message,
                   const struct wire_body *body);
void links_ended(struct shell *self, const struct shell_ended *ended);
void links_tick(struct shell *self);
int64_t links_deadline(const struct shell *self);
struct entry *links_find(struct shell *self, uint64_t handle);
/* Whether this effect has gone out ahead of its commit, by a planted fault. */
bool links_early(const struct shell *self, const struct effect *effect);
void links_effect(struct shell *self, const struct stamp *stamp, const struct effect *effect);
void links_commit(struct shell *self, uint64_t handle, uint64_t sequence);
void links_flush(struct shell *self);
void links_release(struct shell *self);

#endif
