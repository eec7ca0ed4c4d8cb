/* Clients: start executions, each under an idempotency key, ask again until they are answered, and
 * cancel some. When the faults are over they start a few more, which a healthy world has to serve.
 */
#ifndef AF_TESTS_SIM_CLIENT_H
#define AF_TESTS_SIM_CLIENT_H

#include "tests/sim/world.h"

struct clients *clients_new(struct world *world);
void clients_destroy(struct clients **self_p);
bool clients_done(const struct world *world); /* all was asked and answered */

/* person.c: somebody who decides, signals, pauses and resumes while faults last, as the plan says,
 * often twice or too late, and gives all that waits its answer when they are over. */
struct person *person_new(struct world *world);
void person_destroy(struct person **self_p);
/* Wants this execution, which is about to be cancelled, back as soon as it has ended. */
void person_misses(struct world *world, struct uuid execution);

#endif
