/* Journal records: engine events as the bytes of proto/record.proto's Event, and back, and the fold
 * of stored records into an engine. Pure; used by the coordinator and by `agentctl replay`. */
#ifndef AF_COORDINATOR_JOURNAL_H
#define AF_COORDINATOR_JOURNAL_H

#include "engine/engine.h"

/* Replaces what out holds. Execution and sequence are the key's business. */
void journal_encode(const struct event *event, struct buf *out);

/* Everything in *ret_event belongs to arena. ERR_MALFORMED, naming the field. */
int journal_decode(struct arena *arena, struct uuid execution, uint64_t sequence,
                   struct bytes record, struct event *ret_event, struct err *err) MUST_CHECK;

/* Decodes the record and folds it. last_sequence is that of the record before (0: none):
 * ERR_CORRUPT when this one is not the next, or the state forbids it; err says which record. The
 * arena is cleared. */
int journal_fold(engine_t *engine, struct arena *arena, struct uuid execution,
                 uint64_t last_sequence, uint64_t sequence, struct bytes record,
                 struct err *err) MUST_CHECK;

#endif
