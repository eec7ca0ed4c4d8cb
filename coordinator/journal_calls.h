/* The part of the journal's codec that is about turns, delegations and what expressions
 * came to; see journal.h. */
#ifndef AF_COORDINATOR_JOURNAL_CALLS_H
#define AF_COORDINATOR_JOURNAL_CALLS_H

#include "coordinator/record_util.h"

/* Fills *message and returns it. */
Af__Record__PinnedAgent *journal_encode_pin(const struct pinned_agent *pin,
                                            Af__Record__PinnedAgent *message);
int journal_decode_pin(const Af__Record__PinnedAgent *from, struct pinned_agent *ret_pin,
                       struct err *err) MUST_CHECK;

void journal_encode_turn(const struct event_step *from, Af__Record__Step *to,
                         Af__Record__Usage *usage);
int journal_decode_turn(const Af__Record__Step *from, struct event_step *to,
                        struct err *err) MUST_CHECK;

/* RESERVED to DECIDED. */
void journal_encode_call(const struct event *event, Af__Record__Event *record, struct buf *out);
int journal_call_kinds(const Af__Record__Event *from); /* how many of these the record holds */
int journal_decode_call(const Af__Record__Event *from, struct event *to,
                        struct err *err) MUST_CHECK;

#endif
