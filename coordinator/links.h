/* The links that are open now, to instances, hosts and egresses: by address, by handle, by their next
 * deadline. Turns what comes over them into inputs of the engine, and the engine's effects into
 * items, gathered into one frame for each link and release. A handle is the counter of the link's id
 * and is never used again. */
#ifndef AF_COORDINATOR_LINKS_H
#define AF_COORDINATOR_LINKS_H

#include "coordinator/coordinator.h"

struct links *links_new(void);
void links_destroy(struct links **self_p);

/* LINK_HELLO, LINK_FRAME, LINK_RESET, LINK_BYE. */
void links_receive(struct coordinator *self, struct message *message);
void links_tick(struct coordinator *self);
int64_t links_deadline(const struct coordinator *self); /* monotonic */
/* A process is over, says its host: its link, if it is of this boot, ends at once, and a hello of
 * this boot or an older one that comes late is ignored. */
void links_process_over(struct coordinator *self, const char *instance, uint64_t boot);

/* --- for the pipeline --- */
/* Notes that the link takes part in this batch; false when it is noted already, or gone. */
bool links_touch(struct coordinator *self, uint64_t handle, uint64_t batch);
uint64_t links_received(struct coordinator *self, uint64_t handle);
void links_commit(struct coordinator *self, uint64_t handle, uint64_t sequence);
void links_welcome(struct coordinator *self, const struct effect_welcome *welcome);
void links_effect(struct coordinator *self, const struct effect *effect); /* any other */
void links_flush(struct coordinator *self); /* sends what was gathered, and what is owed */

/* --- for the fleet and for views --- */
enum link_role { LINK_INSTANCE, LINK_HOST, LINK_EGRESS };
#define LINK_ROLES 3
struct link_view {
    uint64_t handle;
    enum link_role role;
    const char *id;    /* inst_…, host_… or egr_… */
    const char *agent; /* "" for a host or egress */
    const char *host;  /* "" when not known */
    const char *program;
    uint32_t pid;
    uint64_t boot;
    int64_t since_us;  /* UTC */
    bool draining;
};
/* In order of opening; position starts at 0; false at the end. */
bool links_next(const struct coordinator *self, size_t *position, struct link_view *ret_view);
size_t links_count(const struct coordinator *self, enum link_role role);
/* Whether it went into the link. */
bool links_send_plan(struct coordinator *self, uint64_t handle, const struct wire_plan *plan);

#endif
