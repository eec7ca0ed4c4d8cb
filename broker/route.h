/* What the broker must know of a Route (af.proto) to forward a message: found by one pass over its
 * bytes, without decoding the rest and without memory of its own. Pure; any thread.
 *
 * Only the fields named below are read; fields unknown to this version pass through unread. As in
 * every protobuf decoder the last occurrence of a field counts. */
#ifndef AF_BROKER_ROUTE_H
#define AF_BROKER_ROUTE_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>

struct route {
    uint32_t kind;
    uint64_t correlation;
    struct bytes to;   /* points into the frame; empty when absent */
    struct bytes from; /* likewise */
    bool from_is_last; /* nothing follows `from`: it may be overwritten by one of the same size */
};

/* ERR_TOO_LARGE past LIMIT_ROUTE_BYTES or for an address past LIMIT_ADDRESS_BYTES; ERR_MALFORMED for
 * what isn't protobuf. ret_route holds what was read up to there, so that a refusal can carry the
 * correlation back. */
int route_scan(struct bytes frame, struct route *ret_route) MUST_CHECK;

/* Puts the sender's address into a Route. In place when it ends with a `from` of the same size: then
 * true, and frame is changed. Else false, and route_stamped_size tells what route_stamp_copy needs. */
bool route_stamp(uint8_t *frame, const struct route *route, struct bytes sender);
size_t route_stamped_size(size_t frame_size, struct bytes sender);
void route_stamp_copy(struct bytes frame, struct bytes sender, uint8_t *ret_frame);

enum route_class {
    ROUTE_NOWHERE, /* absent, or no address at all */
    ROUTE_BROKER,  /* "broker": the broker itself */
    ROUTE_AGENT,   /* "agent:NAME": any instance; ret_rest is NAME */
    ROUTE_DIRECT,  /* the routing id of one peer */
};
/* ret_rest may be NULL. Does not check that an address is well formed in full: one that is not has
 * no peer. */
enum route_class route_classify(struct bytes to, struct bytes *ret_rest);

/* Whether a peer may have this routing id: an address that names one peer (so neither "broker" nor
 * "agent:NAME"). */
bool route_is_peer(struct bytes address);

#endif
