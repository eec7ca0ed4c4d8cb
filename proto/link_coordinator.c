/* The coordinator's end: welcome, answers to beats, silence.
 *
 * One object is one link; it ends once and never opens again. Before link_welcome it is CLOSED and
 * not ended, then OPEN, then CLOSED and ended. */
#include "base/limits.h"
#include "proto/link_core.h"

#include <string.h>

link_t *link_new_coordinator(struct wire_link_id id, const struct wire_hello *hello, int64_t now_us,
                             link_send_fn send, void *context)
{
    link_t *self = xcalloc(1, sizeof *self);
    self->coordinator = true;
    self->id = id;
    self->boot = hello->boot;
    self->number = hello->number;
    self->send = send;
    self->context = context;
    self->state = LINK_CLOSED;
    self->heard_us = now_us;
    self->reset_us = now_us - LIMIT_BEAT_AGAIN_US;
    link_forget(self);
    return self;
}

static void hear(link_t *self, int64_t now_us)
{
    self->heard_us = now_us;
    self->unanswered_us = 0;
}

/* --- hello and welcome -------------------------------------------------------------------------
 */

static void send_welcome(link_t *self)
{
    struct wire_body body = {.kind = WIRE_LINK_WELCOME, .welcome = self->welcome};
    self->send(self->context, &body);
}

/* Once a frame of the link was heard, its peer has the welcome. */
static void forget_welcome(link_t *self)
{
    if (!self->has_welcome)
        return;
    self->has_welcome = false;
    self->welcome = (struct wire_welcome){0};
    arena_release(&self->kept);
}

void link_welcome(link_t *self, const struct wire_verdict *verdicts, size_t count, int64_t now_us)
{
    CHECK(self->state == LINK_CLOSED && !self->ended);
    struct wire_verdict *kept = count ? arena_alloc(&self->kept, count * sizeof *kept) : NULL;
    for (size_t i = 0; i < count; i++) {
        kept[i] = verdicts[i];
        kept[i].path = arena_strdup(&self->kept, verdicts[i].path);
    }
    self->welcome = (struct wire_welcome){.boot = self->boot,
                                          .number = self->number,
                                          .link = self->id,
                                          .verdicts = kept,
                                          .verdicts_count = count};
    self->has_welcome = true;
    self->state = LINK_OPEN;
    self->sent_us = now_us;
    send_welcome(self);
}

enum link_hello_verdict link_receive_hello(link_t *self, const struct wire_hello *hello,
                                           int64_t now_us)
{
    if (hello->boot < self->boot || (hello->boot == self->boot && hello->number < self->number))
        return LINK_HELLO_OLD;
    /* Who says the same hello again after its link ended has not seen that link. */
    if (hello->boot > self->boot || hello->number > self->number || self->ended)
        return LINK_HELLO_NEW;
    hear(self, now_us);
    if (self->has_welcome)
        send_welcome(self);
    return LINK_HELLO_REPEATED;
}

/* --- frames ------------------------------------------------------------------------------------
 */

/* A burst of frames that can't be taken is answered once. */
static void reset_peer(link_t *self, struct wire_link_id id, const char *reason, int64_t now_us)
{
    if (now_us - self->reset_us < LIMIT_BEAT_AGAIN_US)
        return;
    self->reset_us = now_us;
    link_emit_reset(self, WIRE_LINK_RESET, id, reason);
}

static enum link_event take_frame(link_t *self, const struct wire_frame *frame, int64_t now_us)
{
    if (self->state != LINK_OPEN || !link_same_id(frame->link, self->id)) {
        reset_peer(self, frame->link, "the link is not known", now_us);
        return LINK_NOTHING;
    }
    hear(self, now_us);
    forget_welcome(self);
    enum link_taken taken = link_take_frame(self, frame, now_us);
    if (taken == LINK_TAKEN_GAP) {
        /* The link lives on until the hello that follows, or until silence: its peer may hold a
         * lease. */
        reset_peer(self, self->id, "there is a gap in the frames", now_us);
        return LINK_NOTHING;
    }
    if (frame->sequence == 0 && frame->sent_us > self->echoed_us)
        link_beat(self, now_us);
    return taken == LINK_TAKEN_ITEMS ? LINK_ITEMS : LINK_NOTHING;
}

static enum link_event end_link(link_t *self)
{
    link_forget(self);
    forget_welcome(self);
    self->state = LINK_CLOSED;
    self->ended = true;
    return LINK_ENDED;
}

enum link_event link_coordinator_receive(link_t *self, const struct wire_body *body, int64_t now_us)
{
    switch (body->kind) {
    case WIRE_LINK_FRAME: return take_frame(self, &body->frame, now_us);
    case WIRE_LINK_BYE:
        if (self->state != LINK_OPEN || !link_same_id(body->reset.link, self->id))
            return LINK_NOTHING;
        return end_link(self);
    default: return LINK_NOTHING;
    }
}

void link_commit(link_t *self, uint64_t sequence)
{
    /* An ended link has forgotten its numbers; a commit that comes later changes nothing. */
    if (self->ended || sequence <= self->committed)
        return;
    CHECK(sequence <= self->received);
    self->committed = sequence;
    self->owes = true;
}

/* --- time --------------------------------------------------------------------------------------
 */

static int64_t silence_us(const link_t *self)
{
    if (!self->busy)
        return self->heard_us + LIMIT_SILENCE_IDLE_US;
    int64_t since_us = self->unanswered_us > self->heard_us ? self->unanswered_us : self->heard_us;
    return since_us + LIMIT_SILENCE_US;
}

/* The answers to the peer's beats are our beats while all is well: our own come half an interval
 * after the next answer would. */
static int64_t beat_us(const link_t *self)
{
    int64_t interval_us = self->busy ? LIMIT_BEAT_US : LIMIT_BEAT_IDLE_US;
    return self->sent_us + interval_us + interval_us / 2;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t link_coordinator_deadline(const link_t *self)
{
    if (self->ended)
        return LINK_NEVER;
    if (self->state != LINK_OPEN)
        return silence_us(self);
    return least(least(silence_us(self), beat_us(self)), least(self->resend_us, self->answer_us));
}

enum link_event link_coordinator_tick(link_t *self, int64_t now_us)
{
    if (self->ended)
        return LINK_NOTHING;
    if (now_us >= silence_us(self))
        return end_link(self);
    if (self->state != LINK_OPEN)
        return LINK_NOTHING;
    link_tick_resend(self, now_us);
    if (now_us >= beat_us(self) || now_us >= self->answer_us)
        link_beat(self, now_us);
    return LINK_NOTHING;
}
