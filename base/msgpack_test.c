#include "base/test.h"

#include "base/limits.h"
#include "base/value.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(text) bytes_of("" text, sizeof(text) - 1)

static value_t *parse(const char *json)
{
    value_t *value = NULL;
    assert_int_equal(value_from_json(json, strlen(json), &value, NULL), 0);
    return value;
}

/* Both readers have to agree on every input. */
static int read_both(struct bytes bytes, value_t **ret_value, struct err *err)
{
    int checked = value_check_msgpack(bytes, err);
    int read = value_from_msgpack(bytes, ret_value, err);
    assert_int_equal(checked, read);
    return read;
}

static void assert_reads_as(struct bytes bytes, const char *json)
{
    value_t *value = NULL;
    struct buf text = {0};
    assert_int_equal(read_both(bytes, &value, NULL), 0);
    value_to_json(value, VALUE_JSON_COMPACT, &text);
    assert_string_equal(buf_string(&text), json);
    buf_release(&text);
    value_destroy(&value);
}

static void test_round_trips(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "null",
        "true",
        "[0,127,128,255,256,65535,65536,4294967295,4294967296,9223372036854775807]",
        "[-1,-32,-33,-128,-129,-32768,-32769,-2147483648,-2147483649,-9223372036854775808]",
        "[0.0,-0.0,1.5,1e+300,5e-324]",
        "\"\"",
        "\"a\\u0000b\"",
        "{\"z\":{\"y\":[]},\"\":{},\"a\":[[],[[\"x\"]]]}",
    };
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        value_t *value = parse(TEXTS[i]);
        value_t *again = NULL;
        struct buf packed = {0};
        value_to_msgpack(value, &packed);
        assert_int_equal(read_both(buf_bytes(&packed), &again, NULL), 0);
        assert_true(value_equal(value, again));
        value_destroy(&value);
        value_destroy(&again);
        buf_release(&packed);
    }
}

static void test_sizes_of_texts_and_containers(void **state)
{
    (void)state;
    static const size_t SIZES[] = {0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536, 70000};
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        size_t size = SIZES[i];
        char *letters = xmalloc(size + 1);
        memset(letters, 'x', size);
        value_t *list = value_list();
        value_t *map = value_map();
        char key[24];
        for (size_t j = 0; j < size; j++) {
            value_t *item = value_null();
            value_append(list, &item);
            snprintf(key, sizeof key, "%zu", j);
            value_set_int(map, key, (int64_t)j);
        }
        value_t *both = value_list();
        value_t *text = value_string_n(letters, size);
        value_append(both, &text);
        value_append(both, &list);
        value_append(both, &map);
        struct buf packed = {0};
        value_to_msgpack(both, &packed);
        value_t *again = NULL;
        assert_int_equal(read_both(buf_bytes(&packed), &again, NULL), 0);
        assert_true(value_equal(both, again));
        value_destroy(&again);
        value_destroy(&both);
        buf_release(&packed);
        free(letters);
    }
}

static void test_forms_that_others_send(void **state)
{
    (void)state;
    assert_reads_as(BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), "9223372036854775807");
    assert_reads_as(BYTES("\xcc\x05"), "5");
    assert_reads_as(BYTES("\xd3\xff\xff\xff\xff\xff\xff\xff\xff"), "-1");
    assert_reads_as(BYTES("\xca\x3f\xc0\x00\x00"), "1.5");
    assert_reads_as(BYTES("\xd9\x02hi"), "\"hi\"");
    assert_reads_as(BYTES("\xda\x00\x02hi"), "\"hi\"");
    assert_reads_as(BYTES("\xdb\x00\x00\x00\x02hi"), "\"hi\"");
    assert_reads_as(BYTES("\xd9\x00"), "\"\"");
    assert_reads_as(BYTES("\xdc\x00\x01\x90"), "[[]]");
    assert_reads_as(BYTES("\xdd\x00\x00\x00\x00"), "[]");
    assert_reads_as(BYTES("\xde\x00\x01\xa1k\x80"), "{\"k\":{}}");
    assert_reads_as(BYTES("\xdf\x00\x00\x00\x01\xa0\xc0"), "{\"\":null}");
}

struct bad_case {
    const char *data;
    size_t size;
    int code;
    const char *mentions;
};

#define BAD(text, code, mentions)                                                                  \
    {                                                                                              \
        "" text, sizeof(text) - 1, code, mentions                                                  \
    }

static void test_refusals(void **state)
{
    (void)state;
    static const struct bad_case CASES[] = {
        BAD("", ERR_MALFORMED, "too early"),
        BAD("\xc1", ERR_MALFORMED, "0xc1"),
        BAD("\x91\xc1", ERR_MALFORMED, "0xc1"),
        BAD("\x92\x01", ERR_MALFORMED, "too early"),
        BAD("\x81\xa1k", ERR_MALFORMED, "too early"),
        BAD("\xa5shor", ERR_MALFORMED, "too early"),
        BAD("\xcb\x00", ERR_MALFORMED, "too early"),
        BAD("\xdd\xff\xff\xff\xff", ERR_MALFORMED, "too early"),
        BAD("\xdf\xff\xff\xff\xff\xa1k\x01", ERR_MALFORMED, "too early"),
        BAD("\xdb\xff\xff\xff\xffx", ERR_MALFORMED, "too early"),
        BAD("\x01\x02", ERR_MALFORMED, "1 bytes follow"),
        BAD("\x91\x01\x91", ERR_MALFORMED, "follow"),
        BAD("\xcf\x80\x00\x00\x00\x00\x00\x00\x00", ERR_UNSUPPORTED, "9223372036854775807"),
        BAD("\xc4\x01x", ERR_UNSUPPORTED, "binary"),
        BAD("\xc4\x00", ERR_UNSUPPORTED, "binary"),
        BAD("\xd4\x01x", ERR_UNSUPPORTED, "extension"),
        BAD("\xc7\x00\x01", ERR_UNSUPPORTED, "extension"),
        BAD("\x81\x01\x02", ERR_UNSUPPORTED, "not a text"),
        BAD("\x81\x91\x01\x02", ERR_UNSUPPORTED, "not a text"),
        BAD("\x81\x91\x01\x91\x02", ERR_UNSUPPORTED, "not a text"),
        BAD("\x81\x91\x01", ERR_MALFORMED, "too early"),
        BAD("\x81\xa1\x00\x01", ERR_UNSUPPORTED, "NUL"),
        BAD("\x82\xa1k\x01\xa1k\x02", ERR_MALFORMED, "\"k\" stands twice"),
        BAD("\x82\xa1k\x81\xa1k\x01\xa1k\x91\x02", ERR_MALFORMED, "\"k\" stands twice"),
        BAD("\xa1\xff", ERR_MALFORMED, "UTF-8"),
        BAD("\x81\xa1\xff\x01", ERR_MALFORMED, "UTF-8"),
        BAD("\xa3\xed\xa0\x80", ERR_MALFORMED, "UTF-8"),
        BAD("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", ERR_UNSUPPORTED, "infinite"),
        BAD("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", ERR_UNSUPPORTED, "not a number"),
        BAD("\xca\xff\x80\x00\x00", ERR_UNSUPPORTED, "infinite"),
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        value_t *value = NULL;
        struct err err = {0};
        int code = read_both(bytes_of(CASES[i].data, CASES[i].size), &value, &err);
        assert_int_equal(code, CASES[i].code);
        assert_int_equal(err.code, code);
        assert_null(value);
        assert_non_null(strstr(err.what, CASES[i].mentions));
        assert_true(err.where[0] && err.fix[0]);
        assert_int_equal(value_check_msgpack(bytes_of(CASES[i].data, CASES[i].size), NULL), code);
    }
}

static void test_no_bytes_at_all(void **state)
{
    (void)state;
    value_t *value = NULL;
    assert_int_equal(read_both(bytes_of(NULL, 0), &value, NULL), ERR_MALFORMED);
    assert_null(value);
}

static void test_the_same_key_in_different_maps(void **state)
{
    (void)state;
    assert_reads_as(BYTES("\x92\x81\xa1k\x01\x81\xa1k\x02"), "[{\"k\":1},{\"k\":2}]");
    assert_reads_as(BYTES("\x82\xa1k\x81\xa1k\x01\xa1l\x81\xa1k\x02"),
                    "{\"k\":{\"k\":1},\"l\":{\"k\":2}}");
}

/* A map of so many keys, of which the last is the same as the one given. */
static int read_with_repeated_key(unsigned count, unsigned repeated)
{
    struct buf packed = {0};
    buf_putc(&packed, '\xde');
    buf_putc(&packed, (char)((count + 1) >> 8));
    buf_putc(&packed, (char)(count + 1));
    for (unsigned i = 0; i <= count; i++) {
        buf_putc(&packed, '\xa4');
        buf_printf(&packed, "%04x", i < count ? i : repeated);
        buf_putc(&packed, '\xc0');
    }
    value_t *value = NULL;
    int code = read_both(buf_bytes(&packed), &value, NULL);
    value_destroy(&value);
    buf_release(&packed);
    return code;
}

static void test_repeated_keys_in_maps_of_any_size(void **state)
{
    (void)state;
    static const unsigned COUNTS[] = {1, 2, 15, 16, 17, 31, 63, 64, 65, 200, 5000};
    for (size_t i = 0; i < sizeof COUNTS / sizeof COUNTS[0]; i++) {
        unsigned count = COUNTS[i];
        assert_int_equal(read_with_repeated_key(count, 0), ERR_MALFORMED);
        assert_int_equal(read_with_repeated_key(count, count / 2), ERR_MALFORMED);
        assert_int_equal(read_with_repeated_key(count, count - 1), ERR_MALFORMED);
        assert_int_equal(read_with_repeated_key(count, count), 0);
    }
}

static void test_depth(void **state)
{
    (void)state;
    char data[LIMIT_VALUE_DEPTH + 2];
    memset(data, '\x91', sizeof data);
    data[LIMIT_VALUE_DEPTH] = '\xc0';
    value_t *value = NULL;
    assert_int_equal(read_both(bytes_of(data, LIMIT_VALUE_DEPTH + 1), &value, NULL), 0);
    assert_int_equal(value_depth(value), LIMIT_VALUE_DEPTH);
    struct buf packed = {0};
    value_to_msgpack(value, &packed);
    assert_true(bytes_equal(buf_bytes(&packed), bytes_of(data, LIMIT_VALUE_DEPTH + 1)));
    buf_release(&packed);
    value_destroy(&value);
    data[LIMIT_VALUE_DEPTH] = '\x90';
    struct err err = {0};
    assert_int_equal(read_both(bytes_of(data, LIMIT_VALUE_DEPTH + 1), &value, &err), ERR_TOO_DEEP);
    assert_non_null(strstr(err.what, "256"));
    data[LIMIT_VALUE_DEPTH] = '\x80';
    assert_int_equal(read_both(bytes_of(data, LIMIT_VALUE_DEPTH + 1), &value, &err), ERR_TOO_DEEP);
}

static void test_limits_of_size(void **state)
{
    (void)state;
    size_t size = (size_t)LIMIT_VALUE_ITEMS + 5;
    uint8_t *data = xmalloc(size);
    memset(data, 0xc0, size);
    data[0] = 0xdd;
    data[1] = 0;
    data[2] = 0x80;
    data[3] = 0;
    data[4] = 0;
    assert_int_equal(value_check_msgpack(bytes_of(data, size), NULL), ERR_TOO_LARGE);
    data[2] = 0x7f;
    data[3] = 0xff;
    data[4] = 0xff;
    assert_int_equal(value_check_msgpack(bytes_of(data, size - 1), NULL), 0);
    assert_int_equal(value_check_msgpack(bytes_of(data, (size_t)LIMIT_VALUE_BYTES + 1), NULL),
                     ERR_TOO_LARGE);
    free(data);
}

/* Every prefix of a value is refused, and nothing of it is leaked. */
static void test_every_prefix(void **state)
{
    (void)state;
    value_t *value =
        parse("{\"list\":[1,-5,300,70000,1.5,{\"deep\":[[\"text\"]]}],\"k\":{\"a\":"
              "null,\"b\":true,\"long\":\"0123456789012345678901234567890123456789\"}}");
    struct buf packed = {0};
    value_to_msgpack(value, &packed);
    for (size_t size = 0; size < packed.size; size++) {
        value_t *none = NULL;
        assert_int_equal(read_both(bytes_of(packed.data, size), &none, NULL), ERR_MALFORMED);
        assert_null(none);
    }
    buf_release(&packed);
    value_destroy(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_sizes_of_texts_and_containers),
        cmocka_unit_test(test_forms_that_others_send),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_bytes_at_all),
        cmocka_unit_test(test_the_same_key_in_different_maps),
        cmocka_unit_test(test_repeated_keys_in_maps_of_any_size),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_limits_of_size),
        cmocka_unit_test(test_every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
