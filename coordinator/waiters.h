/* Clients that wait for the end of an execution. Bounded together with all other requests that wait
 * for an answer. */
#ifndef AF_COORDINATOR_WAITERS_H
#define AF_COORDINATOR_WAITERS_H

#include "coordinator/coordinator.h"
#include "coordinator/executions.h"

struct waiters *waiters_new(void);
void waiters_destroy(struct waiters **self_p);

/* until_us: monotonic; INT64_MAX: however long it takes. */
void waiters_add(struct coordinator *self, struct uuid execution, const char *from,
                 uint64_t correlation, int64_t until_us, const struct execution_options *options);
/* Answers all that wait for this execution, which has ended and is still in the engine. */
void waiters_answer(struct coordinator *self, struct uuid execution);
void waiters_tick(struct coordinator *self); /* answers those whose time is up */
int64_t waiters_deadline(const struct coordinator *self);
size_t waiters_count(const struct coordinator *self);

#endif
