/* Executions that are no longer in the engine's memory (or, while the store is full, those that
 * are: only what is committed may be shown), folded from the store into engines of their own, a
 * slice of events each round, so that a long journal holds up nobody. The last few are kept. */
#ifndef AF_COORDINATOR_FOLDS_H
#define AF_COORDINATOR_FOLDS_H

#include "coordinator/coordinator.h"

struct folds *folds_new(void);
void folds_destroy(struct folds **self_p);

struct request;
/* REQUEST_DEFERRED: it is being folded now, and the request is run again when it is ready. Other
 * errors: it can't be. The engine is borrowed until the loop goes on. */
int folds_get(struct coordinator *self, const struct request *request, struct uuid execution,
              const engine_t **ret_engine, struct err *err) MUST_CHECK;
/* Gives a fold that folds_get has just given to the coordinator's own engine: it goes on from there. */
int folds_take(struct coordinator *self, struct uuid execution, struct err *err) MUST_CHECK;
/* The execution has ended once more: a fold that ends before is not the last word. */
void folds_forget(struct coordinator *self, struct uuid execution);
bool folds_working(const struct coordinator *self);
void folds_step(struct coordinator *self); /* one slice */
size_t folds_waiting(const struct coordinator *self); /* requests deferred */

#endif
