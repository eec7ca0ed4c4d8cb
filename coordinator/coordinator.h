/* The coordinator's shell: everything around the pure engine that has a socket, a file or a clock.
 * This header holds what its parts share; each part has a header of its own. All of it belongs to
 * the thread of the loop. Lives as long as the program. */
#ifndef AF_COORDINATOR_COORDINATOR_H
#define AF_COORDINATOR_COORDINATOR_H

#include "base/limits.h"
#include "base/run.h"
#include "coordinator/steady.h"
#include "engine/engine.h"
#include "proto/peer.h"
#include "store/store.h"

struct coordinator_options {
    const char *dir;      /* NULL: see run_paths_init */
    const char *broker;   /* endpoint; NULL: the installation's own */
    const char *publish;  /* endpoint for events; NULL: the installation's own */
    uint64_t map_bytes_max; /* of the store; 0: its default */
    int64_t clock_ahead_us; /* of the machine's, for tests of schedules */
};

struct counters {
    uint64_t messages, steps, dispatches, starts, ended, losses;
    uint64_t delegations;
    uint64_t calls_again;    /* model calls that were made again for a lost egress */
    uint64_t malformed;      /* messages, bodies and items that could not be read */
    uint64_t refused_hellos, refused_requests;
    uint64_t undeliverable;  /* what the broker gave back */
    uint64_t unsent;         /* answers that the broker's socket did not take */
    uint64_t batches;
};

struct coordinator {
    struct coordinator_options options;
    struct run_paths paths;
    void *zmq_context;
    store_t *store;
    engine_t *engine;
    peer_t *peer;
    struct pipeline *pipeline;
    struct links *links;
    struct catalog *catalog;
    struct blobs *blobs;
    struct fleet *fleet;
    struct publisher *publisher;
    struct waiters *waiters;
    struct folds *folds;
    struct aside *aside;
    struct idempotency *idempotency;
    struct schedules *schedules;
    uint64_t epoch;
    struct buf fence;     /* the epoch's record, which every batch requires */
    struct steady steady;
    int64_t utc_us;       /* of this round */
    int64_t wall_us;      /* UTC as the machine tells it, which may jump: for schedules alone */
    int64_t mono_us;
    int64_t busy_us;      /* monotonic: when something came last */
    int64_t started_us;   /* monotonic */
    int64_t housekeeping_us; /* when to look for what is too old; monotonic */
    struct uuid swept;    /* the execution that the present look has come to */
    bool full;            /* a batch waits for room in the store */
    bool stopping;
    struct counters counters;
};

/* Opens everything, takes the next epoch, folds what is unfinished. *self is zeroed before. */
int coordinator_start(struct coordinator *self, const struct coordinator_options *options,
                      struct err *err) MUST_CHECK;
void coordinator_stop(struct coordinator *self); /* also after a failed start */

/* Runs until a signal (fd of a signalfd with SIGTERM and SIGINT) or a fatal error of the store. */
int coordinator_loop(struct coordinator *self, int signal_fd, struct err *err) MUST_CHECK;

/* The clocks, read once a round. */
void coordinator_read_clocks(struct coordinator *self);
/* Ends the process at once and releases nothing: what the disk holds is unknown, or the store
 * belongs to another by now. The restart folds what is really there. */
_Noreturn void coordinator_die(const char *sentence, const struct err *err);

#endif
