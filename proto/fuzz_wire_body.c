/* A body of any kind; the first byte is the kind. */
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct buf first = {0}, again = {0};
    struct wire_body body, second;
    struct err err;
    if (size == 0)
        return 0;
    enum wire_kind kind = (enum wire_kind)data[0];
    if (wire_decode_body(&arena, kind, bytes_of(data + 1, size - 1), &body, &err) == 0) {
        wire_encode_body(&body, &first);
        CHECK(wire_decode_body(&arena, kind, buf_bytes(&first), &second, &err) == 0);
        wire_encode_body(&second, &again);
        CHECK(bytes_equal(buf_bytes(&first), buf_bytes(&again)));
    } else {
        CHECK(err.code == ERR_MALFORMED && err.what[0]);
    }
    buf_release(&first);
    buf_release(&again);
    arena_release(&arena);
    return 0;
}
