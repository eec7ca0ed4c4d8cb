/* The items of a link frame. */
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct buf first = {0}, again = {0};
    struct wire_items items, second;
    struct err err;
    if (wire_decode_items(&arena, bytes_of(data, size), &items, &err) == 0) {
        wire_encode_items(&items, &first);
        CHECK(wire_decode_items(&arena, buf_bytes(&first), &second, &err) == 0);
        wire_encode_items(&second, &again);
        CHECK(bytes_equal(buf_bytes(&first), buf_bytes(&again)));
    } else {
        CHECK(err.code == ERR_MALFORMED && err.what[0]);
    }
    buf_release(&first);
    buf_release(&again);
    arena_release(&arena);
    return 0;
}
