/* What the files of the link share. Internal to proto/. */
#ifndef AF_PROTO_LINK_CORE_H
#define AF_PROTO_LINK_CORE_H

#include "proto/link.h"

#define LINK_NEVER INT64_MAX

/* Our frames that the other end has not acknowledged, oldest first: a ring. */
struct link_window {
    struct link_kept {
        uint8_t *data;
        size_t size;
        int64_t sent_us; /* for the first time */
    } *frames;
    size_t capacity; /* a power of two, or 0 */
    size_t head;
    size_t count;
    size_t size_bytes;
    uint64_t next; /* sequence of the next frame */
};

void link_window_reset(struct link_window *self);
bool link_window_full(const struct link_window *self, size_t more_bytes);
uint64_t link_window_push(struct link_window *self, struct bytes items, int64_t now_us);
/* When the oldest frame was sent for the first time; LINK_NEVER: all are acknowledged. */
int64_t link_window_oldest_us(const struct link_window *self);
/* The frame at this place from the oldest; its sequence through ret_sequence. */
struct bytes link_window_at(const struct link_window *self, size_t index, uint64_t *ret_sequence);
/* Forgets all up to this one. False: it was never sent. */
bool link_window_acknowledge(struct link_window *self, uint64_t sequence);
uint64_t link_window_acknowledged(const struct link_window *self);

struct link {
    bool coordinator;
    enum link_state state;
    struct wire_link_id id;
    uint64_t boot;
    uint64_t number; /* peer's end: of the hello that is being said, or is to be said next */
    link_send_fn send;
    void *context;
    bool busy;

    /* ours to them */
    struct link_window window;
    int64_t resend_us;
    int64_t resend_wait_us;
    int64_t sent_us; /* when the newest frame of this link was sent */

    /* theirs to us */
    uint64_t received;      /* newest in order */
    uint64_t committed;     /* coordinator's end: of these */
    uint64_t heard_sent_us; /* their newest sent_us */
    uint64_t echoed_us;     /* the newest of these that a frame of ours carried */
    bool owes;              /* an acknowledgement */
    int64_t answer_us;      /* when a frame has to go at the latest, for what it acknowledges or echoes */

    /* the peer's end */
    link_hello_fn hello;
    bool said;            /* the hello of `number` */
    int64_t said_us;      /* when, for the first time */
    int64_t hello_us;     /* when to say it (again) */
    int64_t hello_wait_us;
    int64_t lease_us;     /* our newest sent_us that came back; 0: none */
    bool lease_held;      /* it was valid when last looked at, and its end was not reported */
    int64_t wanting_us;   /* without a lease: since when it is wanted */
    char *refusal;

    /* the coordinator's end */
    bool ended;
    int64_t heard_us;
    int64_t unanswered_us; /* the first frame sent since; 0: none */
    int64_t reset_us;      /* when the last reset was sent */
    struct arena kept;     /* of the welcome */
    struct wire_welcome welcome;
    bool has_welcome;
};

/* Puts a frame of this link on the wire, with everything that every frame carries. */
void link_emit(link_t *self, uint64_t sequence, struct bytes items, int64_t now_us);
void link_emit_reset(link_t *self, enum wire_kind kind, struct wire_link_id id, const char *reason);
bool link_same_id(struct wire_link_id a, struct wire_link_id b);
/* Forgets what belongs to one link: numbers, unacknowledged frames, echoes. */
void link_forget(link_t *self);

/* One frame under our link's own id: bookkeeping of all that it carries. */
enum link_taken { LINK_TAKEN_NOTHING, LINK_TAKEN_ITEMS, LINK_TAKEN_GAP };
enum link_taken link_take_frame(link_t *self, const struct wire_frame *frame, int64_t now_us);
/* Resends what is due. */
void link_tick_resend(link_t *self, int64_t now_us);

/* link_peer.c */
enum link_event link_peer_receive(link_t *self, const struct wire_body *body, int64_t now_us);
enum link_event link_peer_tick(link_t *self, int64_t now_us);
int64_t link_peer_deadline(const link_t *self);
void link_peer_busy(link_t *self, int64_t now_us);
void link_peer_bye(link_t *self);

/* link_coordinator.c */
enum link_event link_coordinator_receive(link_t *self, const struct wire_body *body,
                                         int64_t now_us);
enum link_event link_coordinator_tick(link_t *self, int64_t now_us);
int64_t link_coordinator_deadline(const link_t *self);

#endif
