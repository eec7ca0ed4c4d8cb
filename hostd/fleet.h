/* The agentd processes of this host as they really are: started, watched, swept up behind, adopted
 * after hostd's own restart, and told of to the coordinator. What is to run is the plan's to say
 * (hostd/plan.h). Owned by the loop of hostd.
 *
 * A process that has ended is over only when nothing of its session is left: until then its number is
 * not reaped, so that no other process can get it and be taken for one below it. */
#ifndef AF_HOSTD_FLEET_H
#define AF_HOSTD_FLEET_H

#include "hostd/plan.h"
#include "hostd/process.h"
#include "hostd/reports.h"

typedef struct fleet fleet_t;

/* The plan and the reports are the caller's, and outlive the fleet. */
fleet_t *fleet_new(const struct process_options *options, plan_t *plan, reports_t *reports);
void fleet_destroy(fleet_t **self_p); /* processes go on */

/* Takes over what an earlier hostd has left: living processes go on under the plan, dead ones are
 * swept up behind and reported. */
int fleet_adopt(fleet_t *self, int64_t now_us, struct err *err) MUST_CHECK;
/* Does what the plan says, starting at most LIMIT_START_BATCH processes. */
void fleet_act(fleet_t *self, int64_t now_us);
int fleet_fd(const fleet_t *self); /* readable when a process has ended */
void fleet_collect(fleet_t *self, int64_t now_us);
/* A child has ended that may be none of the fleet's: it is reaped by the next fleet_sweep. */
void fleet_note_child(fleet_t *self, int64_t now_us);
/* When due: kills what is left below ended processes, and reports those with nothing left. Cuts
 * overflowing logs. */
void fleet_tick(fleet_t *self, int64_t now_us);
int64_t fleet_deadline(const fleet_t *self);
/* Says of each running process that it is up. */
void fleet_report_all(fleet_t *self);
size_t fleet_size(const fleet_t *self);

#endif
