/* The peer's end: hello, welcome, lease.
 *
 *             welcome with a link                 reset, bye, gap, the link's newer id,
 *   CLOSED ---------------------------> OPEN      the end of a busy link's lease, link_hello
 *    ^  ^                                |
 *    |  +--------------------------------+
 *    |        welcome with a refusal
 *    +----------------------------------> REFUSED    (says hello too, slowly, each with a new
 * number)
 *
 * CLOSED: the hello of `number` is being said and repeated, or is due at hello_us.
 * OPEN: `id` is the link's; the window, the numbers and the echoes are of this link alone.
 * The lease belongs to no state: it is a fact about a beat that came back, and outlives its link.
 */
#include "base/limits.h"
#include "proto/link_core.h"

#include <stdlib.h>
#include <string.h>

link_t *link_new_peer(uint64_t boot, link_send_fn send, void *context)
{
    link_t *self = xcalloc(1, sizeof *self);
    self->boot = boot;
    self->number = 1;
    self->send = send;
    self->context = context;
    self->state = LINK_CLOSED;
    link_forget(self);
    return self;
}

void link_set_hello(link_t *self, link_hello_fn hello)
{
    self->hello = hello;
}

/* --- hello -------------------------------------------------------------------------------------
 */

static void close_link(link_t *self)
{
    link_forget(self);
    self->state = LINK_CLOSED;
    if (self->said)
        self->number++;
    self->said = false;
}

static void say_hello(link_t *self, int64_t now_us)
{
    struct wire_body body = {.kind = WIRE_LINK_HELLO};
    CHECK(self->hello);
    self->hello(self->context, &body.hello);
    body.hello.boot = self->boot;
    body.hello.number = self->number;
    if (!self->said) {
        self->said = true;
        self->said_us = now_us;
        self->hello_wait_us = LIMIT_HELLO_FIRST_US;
    }
    self->hello_us = now_us + self->hello_wait_us;
    self->hello_wait_us *= 2;
    if (self->hello_wait_us > LIMIT_HELLO_MAX_US)
        self->hello_wait_us = LIMIT_HELLO_MAX_US;
    self->send(self->context, &body);
}

/* Closes the link and says hello, at once but for a coordinator that answers each one with a reset:
 * then as slowly as a first repetition. */
static enum link_event start_anew(link_t *self, int64_t now_us)
{
    int64_t soonest_us = self->said_us + LIMIT_HELLO_FIRST_US;
    close_link(self);
    if (now_us >= soonest_us)
        say_hello(self, now_us);
    else
        self->hello_us = soonest_us;
    return LINK_RESTART;
}

/* --- lease -------------------------------------------------------------------------------------
 */

bool link_lease_valid(const link_t *self, int64_t now_us)
{
    return self->lease_us != 0 && now_us - self->lease_us <= LIMIT_LEASE_US;
}

int64_t link_lease_until(const link_t *self)
{
    return self->lease_us != 0 ? self->lease_us + LIMIT_LEASE_US : 0;
}

static void look_at_lease(link_t *self, int64_t now_us)
{
    self->lease_held = link_lease_valid(self, now_us);
    self->wanting_us = now_us;
}

/* An owner that says hello by itself knows what became of its lease: its end is not told again. */
void link_hello(link_t *self, int64_t now_us)
{
    self->ended = false;
    close_link(self);
    look_at_lease(self, now_us);
    say_hello(self, now_us);
}

/* An echo of what we did not send yet is nobody's: it would be a lease on the future. */
static void take_echo(link_t *self, uint64_t echo_us, int64_t now_us)
{
    if (echo_us > (uint64_t)self->sent_us || echo_us <= (uint64_t)self->lease_us)
        return;
    self->lease_us = (int64_t)echo_us;
    if (link_lease_valid(self, now_us))
        self->lease_held = true;
}

/* From when on a busy peer counts as having lost its lease. One that has none yet, on a link that
 * was just opened or had no tasks, is given as long to get one. */
static int64_t lease_lost_us(const link_t *self)
{
    if (!self->busy)
        return LINK_NEVER;
    if (self->lease_held)
        return self->lease_us + LIMIT_LEASE_US + 1;
    return self->state == LINK_OPEN ? self->wanting_us + LIMIT_LEASE_US + 1 : LINK_NEVER;
}

void link_peer_busy(link_t *self, int64_t now_us)
{
    look_at_lease(self, now_us);
    if (!self->lease_held)
        link_beat(self, now_us);
}

/* --- receiving ---------------------------------------------------------------------------------
 */

static void open_link(link_t *self, struct wire_link_id id, int64_t now_us)
{
    link_forget(self);
    self->state = LINK_OPEN;
    self->id = id;
    free(self->refusal);
    self->refusal = NULL;
    look_at_lease(self, now_us);
    link_beat(self, now_us);
}

static void take_refusal(link_t *self, const char *why, int64_t now_us)
{
    char *refusal = xstrdup(why);
    free(self->refusal);
    self->refusal = refusal;
    close_link(self);
    self->state = LINK_REFUSED;
    self->hello_us = now_us + LIMIT_RESEND_MAX_US;
}

static enum link_event take_welcome(link_t *self, const struct wire_welcome *welcome,
                                    int64_t now_us)
{
    if (self->state == LINK_OPEN || !self->said || self->ended || welcome->boot != self->boot ||
        welcome->number != self->number)
        return LINK_NOTHING;
    if (welcome->refused && *welcome->refused) {
        take_refusal(self, welcome->refused, now_us);
        return LINK_NOTHING;
    }
    open_link(self, welcome->link, now_us);
    return LINK_WELCOMED;
}

static bool newer_id(struct wire_link_id a, struct wire_link_id b)
{
    return a.epoch > b.epoch || (a.epoch == b.epoch && a.counter > b.counter);
}

static enum link_event take_frame(link_t *self, const struct wire_frame *frame, int64_t now_us)
{
    if (self->state != LINK_OPEN)
        return LINK_NOTHING;
    /* An older link's frames are late. A newer one's say that the coordinator has answered our
     * hello twice, having restarted in between. */
    if (newer_id(frame->link, self->id))
        return start_anew(self, now_us);
    if (!link_same_id(frame->link, self->id))
        return LINK_NOTHING;
    enum link_taken taken = link_take_frame(self, frame, now_us);
    if (taken == LINK_TAKEN_GAP)
        return start_anew(self, now_us);
    take_echo(self, frame->echo_us, now_us);
    return taken == LINK_TAKEN_ITEMS ? LINK_ITEMS : LINK_NOTHING;
}

enum link_event link_peer_receive(link_t *self, const struct wire_body *body, int64_t now_us)
{
    switch (body->kind) {
    case WIRE_LINK_WELCOME: return take_welcome(self, &body->welcome, now_us);
    case WIRE_LINK_FRAME: return take_frame(self, &body->frame, now_us);
    case WIRE_LINK_RESET:
    case WIRE_LINK_BYE:
        if (self->state != LINK_OPEN || !link_same_id(body->reset.link, self->id))
            return LINK_NOTHING;
        return start_anew(self, now_us);
    default: return LINK_NOTHING;
    }
}

void link_peer_bye(link_t *self)
{
    self->busy = false;
    self->lease_us = 0;
    self->lease_held = false;
}

/* --- time --------------------------------------------------------------------------------------
 */

/* The next point of a grid that all processes of a machine share, since they share the clock: many
 * peers at rest beat together, so that the broker and the coordinator wake once for all of them. */
static int64_t on_grid(int64_t us)
{
    return (us + LIMIT_BEAT_GRID_US - 1) / LIMIT_BEAT_GRID_US * LIMIT_BEAT_GRID_US;
}

/* A busy peer whose newest frames are not echoed does not wait for its next beat until the lease is
 * over: from half way on it asks often. */
static int64_t beat_us(const link_t *self)
{
    if (!self->busy)
        return on_grid(self->sent_us + LIMIT_BEAT_IDLE_US);
    int64_t usual_us = self->sent_us + LIMIT_BEAT_US;
    if (self->lease_us == self->sent_us)
        return usual_us;
    int64_t worried_us = self->lease_us + LIMIT_BEAT_US + LIMIT_BEAT_AGAIN_US;
    int64_t again_us = self->sent_us + LIMIT_BEAT_AGAIN_US;
    int64_t urgent_us = worried_us > again_us ? worried_us : again_us;
    return urgent_us < usual_us ? urgent_us : usual_us;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t link_peer_deadline(const link_t *self)
{
    if (self->ended)
        return LINK_NEVER;
    int64_t lost_us = lease_lost_us(self);
    if (self->state != LINK_OPEN)
        return least(lost_us, self->hello_us);
    return least(least(lost_us, beat_us(self)), least(self->resend_us, self->answer_us));
}

/* The owner is told first: what it stops must not stand in the inventory of the hello that follows,
 * with the next tick. */
static enum link_event lose_lease(link_t *self, int64_t now_us)
{
    self->lease_held = false;
    close_link(self);
    self->hello_us = now_us;
    return LINK_RESTART;
}

enum link_event link_peer_tick(link_t *self, int64_t now_us)
{
    if (self->ended)
        return LINK_NOTHING;
    if (now_us >= lease_lost_us(self))
        return lose_lease(self, now_us);
    if (self->state != LINK_OPEN) {
        if (now_us >= self->hello_us)
            say_hello(self, now_us);
        return LINK_NOTHING;
    }
    link_tick_resend(self, now_us);
    if (now_us >= beat_us(self) || now_us >= self->answer_us)
        link_beat(self, now_us);
    return LINK_NOTHING;
}
