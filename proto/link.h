/* The link: a numbered session on top of the broker's forwarding, between the coordinator and one
 * instance, host or egress. It makes a lossy, duplicating, reordering, restarting middle harmless.
 * Rules: architecture.md section 3, "Links". Pure: no socket, no clock (times are parameters, of one
 * monotonic clock of the caller), no threads. Used at both ends and tested alone.
 *
 * Both ends: link_send() queues items under the next number; link_receive() gives the items of
 * frames in order, each once; link_tick() at link_deadline() beats, resends, notices silence.
 * Frames to put on the wire come out through the `send` callback, at once. The callback must not
 * call back into the link.
 *
 * Beats. A beat is a frame with sequence 0 and no items. Every frame, beat or not, carries its
 * sender's clock (sent_us), the newest such clock heard from the other end (echo_us) and the
 * acknowledgement; so every frame that comes from the coordinator renews the lease.
 * - The peer's end beats when it has sent nothing for LIMIT_BEAT_US (LIMIT_BEAT_IDLE_US without
 *   tasks); each LIMIT_BEAT_AGAIN_US when it is busy and its lease is more than half over with an
 *   echo outstanding; at once after Welcome, and when it gets busy without a valid lease.
 * - The coordinator's end answers a frame with sequence 0 at once, if its sent_us is newer than what
 *   the coordinator last echoed. The peer's end never answers a frame with sequence 0. So a beat
 *   costs two frames, and there is no ping-pong.
 * - A numbered frame is acknowledged and echoed by whatever goes the other way next, at the latest
 *   by a frame of its own after LIMIT_ANSWER_DELAY_US (the coordinator's: by link_flush after the
 *   commit).
 * - While a frame of the coordinator is unacknowledged for longer than LIMIT_BEAT_US, its frames echo
 *   nothing newer: a peer that does not know what was decided gets no new lease. So no lease rests on
 *   news older than LIMIT_SILENCE_US.
 * - The coordinator's end beats by itself only when it has sent nothing for one and a half
 *   intervals, which does not happen while the peer's beats arrive.
 *
 * now_us is greater than 0 and should be read shortly before the call: what it lags behind goes off
 * the second that lies between the end of a lease and the end of a link. */
#ifndef AF_PROTO_LINK_H
#define AF_PROTO_LINK_H

#include "proto/wire.h"

typedef struct link link_t;

/* Puts a message on the wire towards the other end. What can't be sent now is lost here and sent
 * again by the link's own rules. body is borrowed. */
typedef void (*link_send_fn)(void *context, const struct wire_body *body);

/* --- the peer's end (instance, host, egress) --------------------------------------------------- */

enum link_state {
    LINK_CLOSED,  /* says hello again at link_deadline */
    LINK_OPEN,
    LINK_REFUSED, /* the coordinator refused: see link_refusal(); hello goes on slowly */
};

link_t *link_new_peer(uint64_t boot, link_send_fn send, void *context);
void link_destroy(link_t **self_p);

/* What a hello carries; the strings and the inventory are borrowed during the callback's frame only.
 * Asked for anew before each hello, repeated ones included. */
typedef void (*link_hello_fn)(void *context, struct wire_hello *hello);
void link_set_hello(link_t *self, link_hello_fn hello);

/* Closes the link (if open) and says hello now: what was unacknowledged under it is forgotten here;
 * the owner keeps its unacknowledged steps and sends them anew after Welcome. */
void link_hello(link_t *self, int64_t now_us);

/* Feeds WELCOME, FRAME, RESET or BYE. */
enum link_event {
    LINK_NOTHING,  /* a duplicate, an old link's, a beat */
    LINK_WELCOMED, /* now open: ret_body's verdicts are to be obeyed (peer's end) */
    LINK_ITEMS,    /* ret_items is the next in order */
    LINK_RESTART,  /* the link is closed; the peer's end says hello anew by itself. From link_receive:
                    * what runs goes on under its lease. From link_tick: the lease is over, see there */
    LINK_ENDED,    /* coordinator's end: the other side said bye, or must say hello anew */
};
/* items is set on LINK_ITEMS: bytes to decode with wire_decode_items, borrowed from body. */
enum link_event link_receive(link_t *self, const struct wire_body *body, int64_t now_us,
                             struct bytes *ret_items);

enum link_state link_state(const link_t *self);
struct wire_link_id link_id(const link_t *self);
const char *link_refusal(const link_t *self);

/* Queues and sends one frame of items (bytes are copied; at most LIMIT_LINK_FRAME_BYTES unless it
 * is one item). ERR_AGAIN when LIMIT_LINK_UNACKED frames are unacknowledged or the link is not
 * open. Returns the frame's number through ret_sequence (may be NULL). */
int link_send(link_t *self, struct bytes items, int64_t now_us, uint64_t *ret_sequence) MUST_CHECK;
/* The highest number of ours that the other end acknowledged. */
uint64_t link_acknowledged(const link_t *self);

/* The lease: whether an effect may start now (newest acknowledged beat sent at most LIMIT_LEASE_US
 * ago by now_us). If not, link_beat() asks, and the answer renews it. */
bool link_lease_valid(const link_t *self, int64_t now_us);
int64_t link_lease_until(const link_t *self); /* 0 before the first echo */
void link_beat(link_t *self, int64_t now_us); /* a beat at once */
/* Whether it has tasks: beats each LIMIT_BEAT_US, or LIMIT_BEAT_IDLE_US without. For both ends: the
 * coordinator's says so before it dispatches the first task, since silence is counted accordingly. */
void link_set_busy(link_t *self, bool busy, int64_t now_us);

/* Beats, resends, and (peer's end) says hello anew: when the lease of a busy link ran out, the link
 * is closed by link_tick, which returns LINK_RESTART: the owner stops its commands, and calls
 * link_tick again (link_deadline is due), which says the hello, with what is left in the inventory.
 * That happens in every state: the lease of a link that was closed runs on. Coordinator's end:
 * LINK_ENDED after the silence of the rules. */
enum link_event link_tick(link_t *self, int64_t now_us);
int64_t link_deadline(const link_t *self); /* when to tick next */
void link_bye(link_t *self, const char *reason); /* ends it in good order */

/* --- the coordinator's end --------------------------------------------------------------------- */

/* A link for an accepted hello; nothing is sent before link_welcome. */
link_t *link_new_coordinator(struct wire_link_id id, const struct wire_hello *hello, int64_t now_us,
                             link_send_fn send, void *context);
/* Sends the Welcome (verdicts copied) and keeps it, to repeat it to a repeated hello. */
void link_welcome(link_t *self, const struct wire_verdict *verdicts, size_t count, int64_t now_us);
/* How a hello relates to this link (one that has ended knows nothing of its own hello any more: the
 * same hello again is a new one): */
enum link_hello_verdict {
    LINK_HELLO_OLD,      /* of an older boot, or a lower number: ignore */
    LINK_HELLO_REPEATED, /* the same: the same Welcome was sent again, if there is one yet */
    LINK_HELLO_NEW,      /* a newer boot or number: make a new link, end this one */
};
enum link_hello_verdict link_receive_hello(link_t *self, const struct wire_hello *hello, int64_t now_us);
/* The number of the newest frame received in order: to be given to link_commit once what it brought
 * is committed. */
uint64_t link_received(const link_t *self);
/* All up to this number is committed and may be acknowledged. The number must be of this very link:
 * when a commit comes back, look the link up by its id, and forget the number if it is gone. */
void link_commit(link_t *self, uint64_t sequence);
/* Sends an acknowledgement alone if one is owed and no frame has carried it: at every release. */
void link_flush(link_t *self, int64_t now_us);
uint64_t link_boot(const link_t *self);

#endif
