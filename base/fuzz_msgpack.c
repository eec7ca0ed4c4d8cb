/* Whatever bytes come: no crash, checking and reading agree, and what is accepted packs again into
 * something equal, which is within the limits as a tree, too. */
#include "base/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    value_t *value = NULL;
    struct err err;
    int code = value_from_msgpack(bytes_of(data, size), &value, &err);
    CHECK(code == value_check_msgpack(bytes_of(data, size), NULL));
    if (code) {
        CHECK(err.code == code && err.what[0]);
        return 0;
    }
    CHECK(value_check_limits(value, NULL) == 0);
    struct buf packed = {0};
    value_t *again = NULL;
    value_to_msgpack(value, &packed);
    CHECK(value_from_msgpack(buf_bytes(&packed), &again, NULL) == 0);
    CHECK(value_equal(value, again));
    value_destroy(&again);
    buf_clear(&packed);
    value_to_json(value, VALUE_JSON_COMPACT, &packed);
    CHECK(value_from_json(buf_string(&packed), packed.size, &again, NULL) == 0);
    CHECK(value_equal(value, again));
    value_destroy(&again);
    value_destroy(&value);
    buf_release(&packed);
    return 0;
}
