/* The records of events that come from outside and take their time: waits, decisions, signals, timers,
 * pauses. Private to the journal. */
#ifndef AF_COORDINATOR_JOURNAL_WAITS_H
#define AF_COORDINATOR_JOURNAL_WAITS_H

#include "coordinator/record_util.h"

/* Of one of these kinds. */
void journal_encode_wait(const struct event *event, Af__Record__Event *record, struct buf *out);
/* How many of these kinds the record holds. */
int journal_wait_kinds(const Af__Record__Event *from);
/* One of them. */
int journal_decode_wait(const Af__Record__Event *from, struct event *to, struct err *err) MUST_CHECK;

#endif
