/* Whatever text comes: no crash, and what is accepted is written in a form that reads back equal.
 */
#include "base/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    value_t *value = NULL;
    struct err err;
    char text[600];
    if (value_from_json((const char *)data, size, &value, &err)) {
        CHECK(err.code != 0 && err.what[0]);
        err_format(&err, text, sizeof text);
        return 0;
    }
    struct buf json = {0};
    value_t *again = NULL;
    value_to_json(value, VALUE_JSON_INDENT | VALUE_JSON_SORT, &json);
    CHECK(value_from_json(buf_string(&json), json.size, &again, NULL) == 0);
    CHECK(value_equal(value, again));
    value_destroy(&again);
    buf_clear(&json);
    value_to_msgpack(value, &json);
    CHECK(value_from_msgpack(buf_bytes(&json), &again, NULL) == 0);
    CHECK(value_equal(value, again));
    value_destroy(&again);
    value_destroy(&value);
    buf_release(&json);
    return 0;
}
