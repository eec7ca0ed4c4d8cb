/* The records of sub-workflows. Private to the journal. */
#ifndef AF_COORDINATOR_JOURNAL_OWNED_H
#define AF_COORDINATOR_JOURNAL_OWNED_H

#include "coordinator/record_util.h"

void journal_encode_owned(const struct event_owned *from, Af__Record__Event *record,
                          struct buf *out);
int journal_decode_owned(const Af__Record__Owned *from, struct event_owned *to,
                         struct err *err) MUST_CHECK;
/* What a start says of its owner and of the workflows that its nodes run. What is encoded points into
 * the event and the arena. */
void journal_encode_family(const struct event_started *from, Af__Record__Started *to,
                           struct arena *arena);
int journal_decode_family(struct arena *arena, const Af__Record__Started *from,
                          struct event_started *to, struct err *err) MUST_CHECK;

#endif
