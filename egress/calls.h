/* The table of model calls: which turns are granted, who asks for them, which are under way, and the
 * answers that are held. Pure: no socket, no clock (times are parameters, of one monotonic clock), no
 * definitions; it does not know what a request or an answer says. One thread.
 *
 * A key (execution, task path, attempt, turn) stands for one call, which is made once:
 *
 *              grant                          ask
 *   (nothing) ───────> GRANTED ──────────────────────────> READY ── start ──> RUNNING
 *       │                  ^                                ^  │                 │
 *       │ ask              │ no grant in time               │  └── answer ──┐    │ answer
 *       v                  │ (with an older grant)          │              v    v
 *   WAITING ───────────────┴──────────── grant ─────────────┘             ANSWERED
 *      │ no grant in time
 *      v
 *   (nothing)
 *
 * - WAITING: a request that came ahead of its grant, or of a grant of its own run. It waits for
 *   wait_us, then its askers get "no_grant", which is not held.
 * - READY: granted and asked for; starts when the owner has a lease (calls_startable), and the grant
 *   came under its present link to the coordinator (calls_linked).
 * - RUNNING: whoever asks for the same request attaches, under this run or a later one.
 * - ANSWERED: the answer, a failure too, is given to whoever asks, until it is forgotten.
 * Forget ends each of them but a request that waits for a later grant. Askers of a call that is
 * forgotten hear nothing: nobody wants the answer, and one that does asks again.
 *
 * Requests are refused, and nothing is changed, with
 *   "void"       a run older than the grant's
 *   "conflict"   another request under the same key and run, or of a call that has started
 *   "unknown"    no payload, and none is known: ask with it
 *   "malformed"  the payload's hash is another one
 *   "too_large"  the request is larger than LIMIT_CONVERSATION_BYTES
 *   "busy"       a cap is reached; no answer is ever dropped for room
 * A request of a later run takes the place of an older one that waits. */
#ifndef AF_EGRESS_CALLS_H
#define AF_EGRESS_CALLS_H

#include "egress/usage.h"
#include "proto/wire.h"

typedef struct calls calls_t;

struct calls_limits {
    size_t keys;          /* grants, calls and answers; also the most answers held and to come */
    size_t answer_bytes;  /* held */
    size_t request_bytes; /* of requests whose calls have not ended */
    size_t waiting;       /* requests ahead of their grants */
    size_t waiting_bytes; /* of them */
    size_t askers;        /* of one call; past it the oldest goes, and asks again */
    int64_t wait_us;
};
extern const struct calls_limits CALLS_LIMITS; /* those of base/limits.h */

enum call_state { CALL_GRANTED = 1, CALL_WAITING, CALL_READY, CALL_RUNNING, CALL_ANSWERED };

/* A call as its owner sees it; borrowed until the next call of this module that changes something. */
struct call_view {
    uint64_t id; /* never used again */
    enum call_state state;
    struct wire_call_key key;
    struct wire_run run;   /* of the newest grant */
    const char *agent;     /* of that grant, like the rest */
    uint32_t agent_version;
    uint64_t tokens, cost_microusd;
    struct bytes request;  /* READY and RUNNING */
    struct usage_prices prices; /* as given at its start */
};

/* An answer to one asker, to be sent at once; all is borrowed. It must not call back. */
typedef void (*calls_reply_fn)(void *context, const char *to, uint64_t correlation,
                               const struct wire_call_answer *answer, struct bytes payload);

calls_t *calls_new(const struct calls_limits *limits, calls_reply_fn reply, void *context);
void calls_destroy(calls_t **self_p);

/* The coordinator has opened a new link. Before it did it may have ended what it had granted, so what
 * has not started by now starts only when it is granted anew. */
void calls_linked(calls_t *self);
/* A grant counts if its run is the newest of its key; of a call that has started, the run alone
 * does. ERR_LIMIT: there is no place for one more key;
 * it is not taken. */
int calls_grant(calls_t *self, const struct wire_grant *grant, struct err *err) MUST_CHECK;
/* Returns the id of the call that was under way and is to be aborted, or 0. */
uint64_t calls_forget(calls_t *self, const struct wire_call_key *key);

enum calls_verdict {
    CALLS_START,    /* a call became READY: see calls_startable */
    CALLS_WAITS,    /* for its grant */
    CALLS_ATTACHED, /* to a call that has not ended, or a request that waits */
    CALLS_ANSWERED, /* from what is held: replied */
    CALLS_REFUSED,  /* replied */
};
struct calls_asker { const char *address; uint64_t correlation; };
/* payload NULL: attach to what is known. It is copied. An asker that asks again replaces itself. */
enum calls_verdict calls_ask(calls_t *self, const struct wire_call *call,
                             const struct bytes *payload, struct calls_asker asker, int64_t now_us);

/* The first READY call after the one of this id (0: from the start), in the order in which they
 * became so; false: none, or no lease. */
bool calls_startable(const calls_t *self, bool lease, uint64_t after, struct call_view *ret_call);
/* READY -> RUNNING; others are left alone. */
void calls_start(calls_t *self, uint64_t id, struct usage_prices prices);
bool calls_find(const calls_t *self, uint64_t id, struct call_view *ret_call);

/* The end of a call, READY or RUNNING: replied to its askers and held. key and request_hash of the
 * answer are filled in. Does nothing for a call that is not there any more. */
void calls_answer(calls_t *self, uint64_t id, const struct wire_call_answer *answer,
                  struct bytes payload);

void calls_tick(calls_t *self, int64_t now_us);  /* requests whose time is up */
int64_t calls_deadline(const calls_t *self);     /* INT64_MAX: none */

/* The keys that there are grants, calls or answers of, for the hello, oldest first; in the arena. */
void calls_held(const calls_t *self, struct arena *arena, const struct wire_call_key **ret_keys,
                size_t *ret_count);
bool calls_any(const calls_t *self); /* whether there is any key, in whatever state */
size_t calls_count(const calls_t *self, enum call_state state);
size_t calls_answer_bytes(const calls_t *self);
size_t calls_request_bytes(const calls_t *self);

#endif
