#include "proto/link.h"

#include "base/limits.h"
#include "proto/link_core.h"

#include <stdlib.h>
#include <string.h>

/* What a frame carries besides its items, at the most, with its route and signature. */
#define FRAME_OVERHEAD_BYTES 1024

/* --- sending -----------------------------------------------------------------------------------
 */

bool link_same_id(struct wire_link_id a, struct wire_link_id b)
{
    return a.epoch == b.epoch && a.counter == b.counter;
}

/* A lease is also a promise to know what was decided. While the coordinator has a frame out that is
 * not acknowledged for longer than a beat, a drop perhaps, no newer beat of its peer is echoed; so
 * what a peer does under a lease rests on news that is at most LIMIT_BEAT_US + LIMIT_LEASE_US =
 * LIMIT_SILENCE_US old. */
static uint64_t echo_us(const link_t *self, int64_t now_us)
{
    bool behind =
        self->coordinator && now_us - LIMIT_BEAT_US > link_window_oldest_us(&self->window);
    return behind ? self->echoed_us : self->heard_sent_us;
}

void link_emit(link_t *self, uint64_t sequence, struct bytes items, int64_t now_us)
{
    struct wire_body body = {
        .kind = WIRE_LINK_FRAME,
        .frame = {.link = self->id,
                  .sequence = sequence,
                  .acknowledged = self->coordinator ? self->committed : self->received,
                  .sent_us = (uint64_t)now_us,
                  .echo_us = echo_us(self, now_us),
                  .items = items}};
    self->sent_us = now_us;
    self->echoed_us = body.frame.echo_us;
    self->owes = false;
    self->answer_us = LINK_NEVER;
    self->send(self->context, &body);
}

void link_emit_reset(link_t *self, enum wire_kind kind, struct wire_link_id id, const char *reason)
{
    struct wire_body body = {.kind = kind, .reset = {.link = id, .reason = reason}};
    self->send(self->context, &body);
}

int link_send(link_t *self, struct bytes items, int64_t now_us, uint64_t *ret_sequence)
{
    if (items.size > LIMIT_MESSAGE_BYTES - FRAME_OVERHEAD_BYTES)
        return ERR_TOO_LARGE;
    if (self->state != LINK_OPEN || link_window_full(&self->window, items.size))
        return ERR_AGAIN;
    if (self->window.count == 0) {
        self->resend_wait_us = LIMIT_RESEND_FIRST_US;
        self->resend_us = now_us + self->resend_wait_us;
    }
    if (self->unanswered_us == 0)
        self->unanswered_us = now_us;
    uint64_t sequence = link_window_push(&self->window, items, now_us);
    if (ret_sequence)
        *ret_sequence = sequence;
    link_emit(self, sequence, items, now_us);
    return 0;
}

/* The oldest come first and as many as one frame may be large: if they arrive, their
 * acknowledgement brings the next ones. */
void link_tick_resend(link_t *self, int64_t now_us)
{
    if (self->window.count == 0 || now_us < self->resend_us)
        return;
    size_t sent_bytes = 0;
    for (size_t i = 0; i < self->window.count && sent_bytes < LIMIT_LINK_FRAME_BYTES; i++) {
        uint64_t sequence;
        struct bytes items = link_window_at(&self->window, i, &sequence);
        link_emit(self, sequence, items, now_us);
        sent_bytes += items.size + FRAME_OVERHEAD_BYTES;
    }
    self->resend_wait_us *= 2;
    if (self->resend_wait_us > LIMIT_RESEND_MAX_US)
        self->resend_wait_us = LIMIT_RESEND_MAX_US;
    self->resend_us = now_us + self->resend_wait_us;
}

void link_beat(link_t *self, int64_t now_us)
{
    if (self->state == LINK_OPEN)
        link_emit(self, 0, (struct bytes){0}, now_us);
}

void link_flush(link_t *self, int64_t now_us)
{
    if (self->owes)
        link_beat(self, now_us);
}

void link_bye(link_t *self, const char *reason)
{
    if (self->state == LINK_OPEN)
        link_emit_reset(self, WIRE_LINK_BYE, self->id, reason);
    link_forget(self);
    self->state = LINK_CLOSED;
    self->ended = true;
    if (!self->coordinator)
        link_peer_bye(self);
}

/* --- receiving ---------------------------------------------------------------------------------
 */

void link_forget(link_t *self)
{
    link_window_reset(&self->window);
    self->resend_us = LINK_NEVER;
    self->answer_us = LINK_NEVER;
    self->owes = false;
    self->received = 0;
    self->committed = 0;
    self->heard_sent_us = 0;
    self->echoed_us = 0;
    self->unanswered_us = 0;
}

static bool take_acknowledgement(link_t *self, uint64_t acknowledged, int64_t now_us)
{
    size_t before = self->window.count;
    if (!link_window_acknowledge(&self->window, acknowledged))
        return false;
    if (self->window.count < before) {
        self->resend_wait_us = LIMIT_RESEND_FIRST_US;
        self->resend_us = self->window.count > 0 ? now_us + self->resend_wait_us : LINK_NEVER;
    }
    return true;
}

static void answer_until(link_t *self, int64_t time_us)
{
    if (time_us < self->answer_us)
        self->answer_us = time_us;
}

enum link_taken link_take_frame(link_t *self, const struct wire_frame *frame, int64_t now_us)
{
    if (frame->sent_us > self->heard_sent_us)
        self->heard_sent_us = frame->sent_us;
    if (!take_acknowledgement(self, frame->acknowledged, now_us))
        return LINK_TAKEN_GAP;
    if (frame->sequence == 0)
        return LINK_TAKEN_NOTHING;
    answer_until(self, now_us + LIMIT_ANSWER_DELAY_US);
    if (frame->sequence > self->received + 1)
        return LINK_TAKEN_GAP;
    if (frame->sequence <= self->received) {
        /* Its acknowledgement may have been lost. The coordinator has none to repeat for what is
         * not committed yet. */
        self->owes |= !self->coordinator || frame->sequence <= self->committed;
        return LINK_TAKEN_NOTHING;
    }
    self->received = frame->sequence;
    self->owes |= !self->coordinator;
    return LINK_TAKEN_ITEMS;
}

enum link_event link_receive(link_t *self, const struct wire_body *body, int64_t now_us,
                             struct bytes *ret_items)
{
    enum link_event event = self->coordinator ? link_coordinator_receive(self, body, now_us)
                                              : link_peer_receive(self, body, now_us);
    if (event == LINK_ITEMS)
        *ret_items = body->frame.items;
    return event;
}

/* --- time --------------------------------------------------------------------------------------
 */

enum link_event link_tick(link_t *self, int64_t now_us)
{
    return self->coordinator ? link_coordinator_tick(self, now_us) : link_peer_tick(self, now_us);
}

int64_t link_deadline(const link_t *self)
{
    return self->coordinator ? link_coordinator_deadline(self) : link_peer_deadline(self);
}

void link_set_busy(link_t *self, bool busy, int64_t now_us)
{
    bool was = self->busy;
    self->busy = busy;
    if (busy && !was && !self->coordinator)
        link_peer_busy(self, now_us);
}

/* --- the rest ----------------------------------------------------------------------------------
 */

void link_destroy(link_t **self_p)
{
    link_t *self = *self_p;
    if (!self)
        return;
    link_window_reset(&self->window);
    arena_release(&self->kept);
    free(self->refusal);
    free(self);
    *self_p = NULL;
}

enum link_state link_state(const link_t *self)
{
    return self->state;
}

struct wire_link_id link_id(const link_t *self)
{
    return self->id;
}

const char *link_refusal(const link_t *self)
{
    return self->refusal;
}

uint64_t link_acknowledged(const link_t *self)
{
    return link_window_acknowledged(&self->window);
}

uint64_t link_received(const link_t *self)
{
    return self->received;
}

uint64_t link_boot(const link_t *self)
{
    return self->boot;
}
