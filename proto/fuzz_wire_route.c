/* A route as the broker would see it: whatever is accepted survives being written and read again.
 */
#include "proto/wire.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct buf again = {0};
    struct wire_route route, second;
    struct err err;
    if (wire_decode_route(&arena, bytes_of(data, size), &route, &err) == 0) {
        wire_encode_route(&route, &again);
        CHECK(wire_decode_route(&arena, buf_bytes(&again), &second, &err) == 0);
        CHECK(route.kind == second.kind && route.correlation == second.correlation &&
              route.deadline_us == second.deadline_us);
        CHECK(strcmp(route.to, second.to) == 0 && strcmp(route.from, second.from) == 0 &&
              strcmp(route.trace, second.trace) == 0);
    } else {
        CHECK(err.code == ERR_MALFORMED && err.what[0]);
    }
    buf_release(&again);
    arena_release(&arena);
    return 0;
}
