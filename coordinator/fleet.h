/* The hosts, what their processes are doing, and how many instances each is to run: looked at again
 * soon after anything happened, at most a few times a second, and not at all at rest. */
#ifndef AF_COORDINATOR_FLEET_H
#define AF_COORDINATOR_FLEET_H

#include "coordinator/coordinator.h"
#include "coordinator/doc.h"

struct fleet *fleet_new(void);
void fleet_destroy(struct fleet **self_p);

void fleet_host_up(struct coordinator *self, uint64_t handle, const char *id);
void fleet_host_down(struct coordinator *self, uint64_t handle);
/* What a host reports of one process. */
void fleet_process(struct coordinator *self, uint64_t handle, const struct wire_process *process);

void fleet_wake(struct coordinator *self); /* something happened: look again soon */
void fleet_tick(struct coordinator *self);
int64_t fleet_deadline(const struct coordinator *self); /* monotonic */

uint32_t fleet_wanted(const struct coordinator *self, const char *agent);
/* Into the open document: what is planned for a host, and its processes. */
void fleet_host_document(const struct coordinator *self, uint64_t handle, struct doc *doc);

#endif
