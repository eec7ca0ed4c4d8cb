/* What stands between egressd and whoever answers model calls: `script/` today; APIs over the network
 * are to stand behind the same. A provider begins calls, and says what comes of each through the
 * callbacks, from within `tick` alone: any number of deltas, then one end. Requests and turns are
 * MessagePack values, neutral of any provider. One thread, one loop: nothing here blocks. */
#ifndef AF_EGRESS_PROVIDER_H
#define AF_EGRESS_PROVIDER_H

#include "base/buf.h"
#include "base/err.h"
#include "definitions/definitions.h"

struct provider_call {
    uint64_t id;                 /* the owner's, by which it names the call again */
    const struct agent_def *def; /* model, rules, limits; until begin returns, like the request */
    struct bytes request;
};

struct provider_end {
    const char *error, *what;    /* "" or NULL: the turn; else why there is none */
    bool permanent;
    struct bytes turn;
    uint64_t input_tokens, output_tokens;
};

struct provider_events {
    void (*delta)(void *context, uint64_t id, struct bytes text); /* a piece of the answer's text */
    void (*end)(void *context, uint64_t id, const struct provider_end *end);
    void *context;
};

struct provider {
    void *self;
    void (*begin)(void *self, const struct provider_call *call, int64_t now_us);
    void (*abort)(void *self, uint64_t id); /* nothing more is heard of it */
    void (*tick)(void *self, int64_t now_us);
    int64_t (*deadline)(const void *self);  /* INT64_MAX: none */
    void (*destroy)(void **self_p);
};

#endif
