/* The broker's view of a Route and the receiver's must agree after the stamp: whatever the bytes, a
 * receiver that decodes the message finds the sender that the broker put in, and the same address.
 */
#include "broker/route.h"

#include "base/limits.h"
#include "proto/wire.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char SENDER[] = "client:fuzz";

static void check_receiver(struct bytes frame, const struct route *route)
{
    struct arena arena = {0};
    struct wire_route decoded;
    if (wire_decode_route(&arena, frame, &decoded, NULL) == 0) {
        CHECK(strcmp(decoded.from, SENDER) == 0);
        CHECK(strlen(decoded.to) == route->to.size);
        CHECK(route->to.size == 0 || memcmp(decoded.to, route->to.data, route->to.size) == 0);
        CHECK((uint32_t)decoded.kind == route->kind);
        CHECK(decoded.correlation == route->correlation);
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct route route;
    if (route_scan(bytes_of(data, size), &route) != 0)
        return 0;
    (void)route_classify(route.to, NULL);
    (void)route_is_peer(route.to);
    struct bytes sender = bytes_of_string(SENDER);
    size_t stamped_size = route_stamped_size(size, sender);
    uint8_t *copy = xmalloc(stamped_size);
    if (size)
        memcpy(copy, data, size);
    CHECK(route_scan(bytes_of(copy, size), &route) == 0);
    if (route_stamp(copy, &route, sender)) {
        check_receiver(bytes_of(copy, size), &route);
    } else {
        route_stamp_copy(bytes_of(data, size), sender, copy);
        CHECK(route_scan(bytes_of(copy, stamped_size), &route) == 0);
        CHECK(route.from_is_last);
        check_receiver(bytes_of(copy, stamped_size), &route);
    }
    free(copy);
    return 0;
}
