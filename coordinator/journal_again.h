/* The records of events that make an execution begin again. Private to the journal. */
#ifndef AF_COORDINATOR_JOURNAL_AGAIN_H
#define AF_COORDINATOR_JOURNAL_AGAIN_H

#include "coordinator/record_util.h"

void journal_encode_reopened(const struct event_reopened *from, Af__Record__Event *record,
                             struct buf *out);
void journal_encode_forked(const struct event_forked *from, Af__Record__Event *record,
                           struct buf *out);
int journal_decode_reopened(const Af__Record__Reopened *from, struct event_reopened *to,
                            struct err *err) MUST_CHECK;
int journal_decode_forked(const Af__Record__Forked *from, struct event_forked *to,
                          struct err *err) MUST_CHECK;

#endif
