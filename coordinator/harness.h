/* For tests: a coordinator in a process of its own, and everybody else (broker, clients, instances,
 * hosts) played by the test over one real socket, so that each message can be seen, held back or
 * sent twice. A failed expectation fails the cmocka test that runs. */
#ifndef AF_COORDINATOR_HARNESS_H
#define AF_COORDINATOR_HARNESS_H

#include "base/run.h"
#include "base/value.h"
#include "proto/link.h"
#include "proto/message.h"

#include <sys/types.h>

#define HARNESS_PATIENCE_US (20 * 1000000LL) /* no test waits that long unless it is going to fail */
#define HARNESS_PEERS       4

/* What the store of the coordinator is to fail with, from the n-th commit after its start on. */
struct harness_fault {
    unsigned n;
    int code;
};

struct harness_dispatch {
    struct uuid execution;
    char path[64];
    struct wire_run run;
    uint32_t attempt, journaled_step;
    struct buf message; /* MessagePack, when inline */
};

struct harness;

/* An instance or a host. */
struct harness_peer {
    struct harness *harness;
    char address[64];
    const char *role, *agent;
    link_t *link;
    bool answers;  /* each dispatch with its message, at once */
    bool deaf;     /* takes nothing in and says nothing: a partition, or dead */
    struct harness_dispatch *held; /* dispatches that were not answered */
    size_t held_count;
    uint64_t dispatches, drops, plans;
    struct wire_claim claim; /* its inventory, when claims is 1 */
    size_t claims;
    uint64_t credit; /* granted: the tasks it has been ready to take */
    uint32_t planned; /* instances of the newest plan */
    bool refused;
};

struct harness {
    char directory[64];
    struct run_paths paths;
    void *context, *router;
    char endpoint[128];
    pid_t coordinator;
    int64_t clock_ahead_us; /* of the coordinators that start from now on */
    bool registered; /* the coordinator said hello to "the broker" */
    struct harness_peer peers[HARNESS_PEERS];
    size_t peers_count;
    uint64_t correlations;
    struct message message; /* the newest for the client */
    uint64_t answered;      /* its correlation; 0: none yet */
};

void harness_init(struct harness *self);
void harness_release(struct harness *self); /* kills the coordinator, removes the directory */

void harness_start(struct harness *self, const struct harness_fault *fault);
void harness_kill(struct harness *self);             /* -9 */
int harness_wait_exit(struct harness *self);         /* its exit status */
void harness_stop(struct harness *self);             /* SIGTERM; must exit with 0 */

/* Takes in one message, or lets a little time pass. */
void harness_pump(struct harness *self);
bool harness_until(struct harness *self, bool (*condition)(struct harness *self));

/* Sends a request; params are JSON text. */
uint64_t harness_send(struct harness *self, const char *method, const char *params,
                      const char *key);
/* Waits for the answer to it. ret_error: the error's name, "" for success. The document (or NULL)
 * is the caller's. */
value_t *harness_answer(struct harness *self, uint64_t correlation, char ret_error[32]);
/* Whether an answer comes within this time. */
bool harness_answered_within(struct harness *self, uint64_t correlation, int64_t us);
/* Both; a failure fails the test. */
value_t *harness_call(struct harness *self, const char *method, const char *params);
/* Both, expecting this error. */
void harness_refused(struct harness *self, const char *method, const char *params,
                     const char *error);
/* A blob message of any kind from the client; the answer stands in self->message. */
void harness_blob(struct harness *self, const struct wire_body *body, struct bytes payload);

struct harness_peer *harness_instance(struct harness *self, const char *id, const char *agent);
struct harness_peer *harness_host(struct harness *self, const char *id);
/* Sends a result (or, with a code, a failure) for a task that is held. */
void harness_result(struct harness_peer *peer, const struct harness_dispatch *dispatch,
                    struct datum output, const char *failure_code);
void harness_process_report(struct harness_peer *host, const char *instance, uint64_t boot,
                            bool up);

#endif
