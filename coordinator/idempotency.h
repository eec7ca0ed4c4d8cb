/* Idempotency keys: the same request under the same key gets the answer that it got the first time,
 * also when that one has not been committed yet, for LIMIT_IDEMPOTENCY_KEPT_US. */
#ifndef AF_COORDINATOR_IDEMPOTENCY_H
#define AF_COORDINATOR_IDEMPOTENCY_H

#include "coordinator/coordinator.h"

struct idempotency *idempotency_new(void);
void idempotency_destroy(struct idempotency **self_p);

void idempotency_hash(const char *method, struct bytes payload, uint8_t ret_hash[32]);
/* 0: answered before, the answer appended to out. ERR_NOT_FOUND: not seen. ERR_INVALID: another
 * request used this key. */
int idempotency_find(struct coordinator *self, const char *key, const uint8_t hash[32],
                     struct buf *out, struct err *err) MUST_CHECK;
/* Whether the answer to this key's request goes out with a batch that is not committed yet. */
bool idempotency_waits(const struct coordinator *self, const char *key);
/* Keeps the answer, in the current batch. */
void idempotency_store(struct coordinator *self, const char *key, const uint8_t hash[32],
                       struct bytes reply);
/* Removes a few of those that are too old; called now and then. */
void idempotency_sweep(struct coordinator *self);

#endif
