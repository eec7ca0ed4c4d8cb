#include "coordinator/doc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What was written, as JSON text: it must be exactly one value. */
static void assert_document(struct buf *out, const char *json)
{
    struct err err;
    struct buf text = {0};
    value_t *value = NULL;

    assert_int_equal(value_from_msgpack(buf_bytes(out), &value, &err), 0);
    value_to_json(value, VALUE_JSON_COMPACT, &text);
    assert_string_equal(buf_string(&text), json);
    value_destroy(&value);
    buf_release(&text);
    buf_release(out);
}

static void test_nesting(void **state)
{
    (void)state;
    struct buf out = {0};
    struct doc doc;
    doc_init(&doc, &out);
    doc_map(&doc, NULL);
    doc_string(&doc, "s", "text");
    doc_string(&doc, "nothing", NULL);
    doc_list(&doc, "list");
    doc_int(&doc, NULL, -1);
    doc_map(&doc, NULL);
    doc_bool(&doc, "yes", true);
    doc_end(&doc);
    doc_list(&doc, NULL);
    doc_end(&doc);
    doc_end(&doc);
    doc_double(&doc, "d", 0.5);
    doc_end(&doc);
    assert_int_equal(doc.depth, 0);
    assert_document(&out, "{\"s\":\"text\",\"nothing\":null,\"list\":[-1,{\"yes\":true},[]],"
                          "\"d\":0.5}");
}

static void test_integers(void **state)
{
    (void)state;
    struct buf out = {0};
    struct doc doc;
    doc_init(&doc, &out);
    doc_list(&doc, NULL);
    doc_int(&doc, NULL, 0);
    doc_int(&doc, NULL, 127);
    doc_int(&doc, NULL, 128);
    doc_int(&doc, NULL, INT64_MAX);
    doc_int(&doc, NULL, INT64_MIN);
    doc_end(&doc);
    assert_document(&out, "[0,127,128,9223372036854775807,-9223372036854775808]");
}

static void test_text_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 31, 32, 255, 256, 70000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buf out = {0};
        struct doc doc;
        struct err err;
        value_t *value = NULL;
        char *text = calloc(1, sizes[i] + 1);
        memset(text, 'x', sizes[i]);
        doc_init(&doc, &out);
        doc_string(&doc, NULL, text);
        assert_int_equal(value_from_msgpack(buf_bytes(&out), &value, &err), 0);
        assert_string_equal(value_as_string(value), text);
        value_destroy(&value);
        buf_release(&out);
        free(text);
    }
}

static void test_data_and_times(void **state)
{
    (void)state;
    struct buf out = {0};
    struct doc doc;
    struct datum absent = {0}, inline_datum = datum_inline(bytes_of("\x93\x01\x02\x03", 4));
    struct datum blob = {.is_blob = true, .size_bytes = 65537};
    memset(blob.hash, 0x1f, sizeof blob.hash);
    doc_init(&doc, &out);
    doc_map(&doc, NULL);
    doc_datum(&doc, "absent", &absent);
    doc_datum(&doc, "inline", &inline_datum);
    doc_datum(&doc, "blob", &blob);
    doc_time(&doc, "never", 0);
    doc_time(&doc, "at", 1700000000000001);
    doc_end(&doc);
    assert_document(&out, "{\"absent\":null,\"inline\":[1,2,3],\"blob\":{\"$blob\":"
                          "\"1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f\","
                          "\"size\":65537},\"never\":null,\"at\":\"2023-11-14T22:13:20.000001Z\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_text_sizes),
        cmocka_unit_test(test_data_and_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
