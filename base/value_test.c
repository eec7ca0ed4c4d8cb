#include "base/test.h"

#include "base/datum.h"
#include "base/limits.h"
#include "base/value.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static value_t *parse(const char *json)
{
    value_t *value = NULL;
    struct err err = {0};
    int code = value_from_json(json, strlen(json), &value, &err);
    if (code)
        fail_msg("%s: %s", json, err.what);
    return value;
}

static void assert_json(const value_t *value, const char *expected)
{
    struct buf text = {0};
    value_to_json(value, VALUE_JSON_COMPACT, &text);
    assert_string_equal(buf_string(&text), expected);
    buf_release(&text);
}

static void test_scalars(void **state)
{
    (void)state;
    value_t *i = value_int(INT64_MIN);
    value_t *d = value_double(-0.5);
    value_t *s = value_string_n("a\0b", 3);
    value_t *b = value_bool(true);
    value_t *n = value_null();
    assert_int_equal(value_type(i), VALUE_INT);
    assert_true(value_as_int(i) == INT64_MIN);
    assert_true(value_as_double(d) == -0.5);
    assert_true(value_as_double(i) == -0x1p63);
    assert_int_equal(value_size(s), 3);
    assert_memory_equal(value_as_string(s), "a\0b", 4);
    assert_true(value_as_bool(b));
    assert_int_equal(value_type(n), VALUE_NULL);
    assert_int_equal(value_size(n), 0);
    value_destroy(&i);
    value_destroy(&d);
    value_destroy(&s);
    value_destroy(&b);
    value_destroy(&n);
    assert_null(n);
    value_destroy(&n);
}

static void test_lossy_string(void **state)
{
    (void)state;
    value_t *s = value_string_lossy("ok\xff!", 4);
    assert_string_equal(value_as_string(s), "ok\xef\xbf\xbd!");
    assert_int_equal(value_size(s), 6);
    value_destroy(&s);
}

static void test_map_keeps_order_and_replaces_in_place(void **state)
{
    (void)state;
    value_t *map = value_map();
    value_set_int(map, "z", 1);
    value_set_string(map, "a", "x");
    value_set_bool(map, "m", false);
    value_set_int(map, "z", 2);
    value_set_string(map, "n", NULL);
    value_set_double(map, "d", 2.0);
    assert_json(map, "{\"z\":2,\"a\":\"x\",\"m\":false,\"n\":null,\"d\":2.0}");
    value_unset(map, "a");
    value_unset(map, "absent");
    assert_json(map, "{\"z\":2,\"m\":false,\"n\":null,\"d\":2.0}");
    assert_null(value_get(map, "a"));
    assert_string_equal(value_key_at(map, 1, NULL), "m");
    assert_null(value_key_at(map, 4, NULL));
    assert_null(value_member_at(map, 4));
    value_destroy(&map);
}

/* Above a few members an index is used: it has to follow every change. */
static void test_large_map(void **state)
{
    (void)state;
    value_t *map = value_map();
    char key[16];
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        value_set_int(map, key, i);
        assert_int_equal(value_get_int(map, key, -1), i);
        assert_null(value_get(map, "k"));
    }
    for (int i = 0; i < 2000; i += 2) {
        snprintf(key, sizeof key, "k%d", i);
        value_unset(map, key);
    }
    assert_int_equal(value_size(map), 1000);
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(value_get_int(map, key, -1), i % 2 ? i : -1);
    }
    for (int i = 1; i < 2000; i += 2) {
        snprintf(key, sizeof key, "k%d", i);
        assert_string_equal(value_key_at(map, (size_t)i / 2, NULL), key);
        value_set_int(map, key, -i);
        assert_int_equal(value_get_int(map, key, 0), -i);
    }
    assert_int_equal(value_size(map), 1000);
    value_destroy(&map);
}

static void test_list(void **state)
{
    (void)state;
    value_t *list = value_list();
    for (int i = 0; i < 100; i++) {
        value_t *item = value_int(i);
        value_append(list, &item);
        assert_null(item);
    }
    assert_int_equal(value_size(list), 100);
    assert_int_equal(value_as_int(value_at(list, 99)), 99);
    assert_null(value_at(list, 100));
    assert_null(value_get(list, "x"));
    value_destroy(&list);
}

static void test_lookups_fall_back(void **state)
{
    (void)state;
    value_t *map = parse("{\"s\":\"t\",\"i\":4,\"b\":true,\"d\":1.5}");
    assert_string_equal(value_get_string(map, "s", "?"), "t");
    assert_string_equal(value_get_string(map, "i", "?"), "?");
    assert_null(value_get_string(map, "absent", NULL));
    assert_int_equal(value_get_int(map, "i", -1), 4);
    assert_int_equal(value_get_int(map, "d", -1), -1);
    assert_true(value_get_bool(map, "b", false));
    assert_true(value_get_bool(map, "i", true));
    value_destroy(&map);
}

static void test_references_share(void **state)
{
    (void)state;
    value_t *map = parse("{\"a\":[1]}");
    value_t *inner = value_ref(value_get(map, "a"));
    value_destroy(&map);
    assert_json(inner, "[1]");
    value_destroy(&inner);
}

struct pair {
    const char *a;
    const char *b;
};

static void test_equal(void **state)
{
    (void)state;
    static const struct pair SAME[] = {
        {"1", "1.0"},    {"{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}"}, {"\"x\"", "\"x\""},
        {"0.0", "-0.0"}, {"9007199254740992", "9007199254740992.0"},       {"null", "null"},
    };
    static const struct pair DIFFERENT[] = {
        {"1", "1.5"},
        {"9007199254740993", "9007199254740992.0"},
        {"9223372036854775807", "9223372036854775808.0"},
        {"1", "true"},
        {"1", "\"1\""},
        {"[1,2]", "[2,1]"},
        {"[1]", "[1,1]"},
        {"{\"a\":1}", "{\"b\":1}"},
        {"{\"a\":1}", "{\"a\":1,\"b\":1}"},
        {"null", "false"},
        {"\"a\"", "\"a\\u0000\""},
        {"1e300", "1"},
    };
    for (size_t i = 0; i < sizeof SAME / sizeof SAME[0]; i++) {
        value_t *a = parse(SAME[i].a);
        value_t *b = parse(SAME[i].b);
        assert_true(value_equal(a, b) && value_equal(b, a));
        value_destroy(&a);
        value_destroy(&b);
    }
    for (size_t i = 0; i < sizeof DIFFERENT / sizeof DIFFERENT[0]; i++) {
        value_t *a = parse(DIFFERENT[i].a);
        value_t *b = parse(DIFFERENT[i].b);
        assert_false(value_equal(a, b) || value_equal(b, a));
        value_destroy(&a);
        value_destroy(&b);
    }
}

static void test_copy_may_be_changed(void **state)
{
    (void)state;
    value_t *map = parse("{\"a\":[1,{\"b\":\"x\"}],\"c\":{}}");
    value_t *copy = value_copy(map);
    assert_true(value_equal(map, copy));
    value_t *more = value_int(2);
    value_append((value_t *)(uintptr_t)value_get(copy, "a"), &more);
    value_set_int((value_t *)(uintptr_t)value_get(copy, "c"), "d", 1);
    assert_json(map, "{\"a\":[1,{\"b\":\"x\"}],\"c\":{}}");
    assert_json(copy, "{\"a\":[1,{\"b\":\"x\"},2],\"c\":{\"d\":1}}");
    value_destroy(&map);
    value_destroy(&copy);
}

/* The examples of RFC 7396, appendix A, and the order of members. */
static void test_merge_patch(void **state)
{
    (void)state;
    static const char *const CASES[][3] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        {"{\"z\":1,\"y\":2}", "{\"new\":3,\"z\":4}", "{\"z\":4,\"y\":2,\"new\":3}"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        value_t *target = parse(CASES[i][0]);
        value_t *patch = parse(CASES[i][1]);
        value_t *merged = value_merge_patch(target, patch);
        assert_json(merged, CASES[i][2]);
        assert_json(target, CASES[i][0]);
        value_destroy(&target);
        value_destroy(&patch);
        assert_json(merged, CASES[i][2]);
        value_destroy(&merged);
    }
}

static value_t *nested(unsigned depth)
{
    value_t *value = value_int(1);
    for (unsigned i = 0; i < depth; i++) {
        value_t *outer = i % 2 ? value_map() : value_list();
        if (i % 2)
            value_set(outer, "k", &value);
        else
            value_append(outer, &value);
        value = outer;
    }
    return value;
}

static void test_depth_and_limits(void **state)
{
    (void)state;
    value_t *value = nested(0);
    assert_int_equal(value_depth(value), 0);
    value_destroy(&value);
    value = nested(LIMIT_VALUE_DEPTH);
    assert_int_equal(value_depth(value), LIMIT_VALUE_DEPTH);
    assert_int_equal(value_check_limits(value, NULL), 0);
    value_t *outer = value_list();
    value_append(outer, &value);
    struct err err;
    assert_int_equal(value_check_limits(outer, &err), ERR_TOO_DEEP);
    assert_true(err.what[0] && err.fix[0]);
    value_destroy(&outer);
}

/* One megabyte shared two hundred times costs little memory, but would cost much when written. */
static void test_limit_of_shared_bytes(void **state)
{
    (void)state;
    static char text[1 << 20];
    memset(text, 'x', sizeof text);
    value_t *large = value_string_n(text, sizeof text);
    value_t *list = value_list();
    for (int i = 0; i < 63; i++) {
        value_t *item = value_ref(large);
        value_append(list, &item);
    }
    assert_int_equal(value_check_limits(list, NULL), 0);
    value_t *last = value_ref(large);
    value_append(list, &last);
    assert_int_equal(value_check_limits(list, NULL), ERR_TOO_LARGE);
    value_destroy(&list);
    value_destroy(&large);
}

static void test_type_names(void **state)
{
    (void)state;
    assert_string_equal(value_type_name(VALUE_NULL), "null");
    assert_string_equal(value_type_name(VALUE_DOUBLE), "number");
    assert_string_equal(value_type_name(VALUE_STRING), "text");
    assert_string_equal(value_type_name(VALUE_MAP), "object");
}

static void test_datum(void **state)
{
    (void)state;
    struct datum absent = {0};
    struct datum small = datum_inline(bytes_of("\x01", 1));
    assert_true(datum_absent(&absent));
    assert_false(datum_absent(&small));
    assert_int_equal(datum_size(&small), 1);
    struct datum blob = {.is_blob = true, .size_bytes = 70000};
    datum_hash(bytes_of_string("abc"), blob.hash);
    char hex[2 * DATUM_HASH_BYTES + 1];
    datum_hash_hex(blob.hash, hex);
    /* BLAKE2b-256 of "abc", as b2sum -l 256 gives it. */
    assert_string_equal(hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    assert_false(datum_absent(&blob));
    assert_int_equal(datum_size(&blob), 70000);
    struct arena arena = {0};
    struct datum copy = datum_copy(&arena, &blob);
    assert_true(datum_equal(&blob, &copy));
    copy.hash[31] ^= 1;
    assert_false(datum_equal(&blob, &copy));
    copy = datum_copy(&arena, &small);
    assert_true(datum_equal(&small, &copy));
    assert_ptr_not_equal(copy.inline_bytes.data, small.inline_bytes.data);
    assert_false(datum_equal(&small, &blob));
    arena_release(&arena);
    datum_hash(bytes_of(NULL, 0), blob.hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_lossy_string),
        cmocka_unit_test(test_map_keeps_order_and_replaces_in_place),
        cmocka_unit_test(test_large_map),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_lookups_fall_back),
        cmocka_unit_test(test_references_share),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_copy_may_be_changed),
        cmocka_unit_test(test_merge_patch),
        cmocka_unit_test(test_depth_and_limits),
        cmocka_unit_test(test_limit_of_shared_bytes),
        cmocka_unit_test(test_type_names),
        cmocka_unit_test(test_datum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
