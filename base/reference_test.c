#include "base/test.h"

#include "base/reference.h"

#include <string.h>

#define HASH "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static bool reads(const char *json, struct datum *ret_blob)
{
    value_t *value = NULL;
    assert_int_equal(value_from_json(json, strlen(json), &value, NULL), 0);
    bool is_reference = reference_read(value, ret_blob);
    value_destroy(&value);
    return is_reference;
}

static void test_there_and_back(void **state)
{
    struct datum blob = {.is_blob = true, .size_bytes = 70000}, again = {0};
    (void)state;
    for (size_t i = 0; i < sizeof blob.hash; i++)
        blob.hash[i] = (uint8_t)i;
    value_t *reference = reference_to_blob(&blob);
    assert_string_equal(value_get_string(reference, "$blob", ""), HASH);
    assert_int_equal(value_get_int(reference, "size", 0), 70000);
    assert_true(reference_read(reference, &again));
    assert_true(datum_equal(&blob, &again));
    value_destroy(&reference);
}

static void test_what_is_none(void **state)
{
    struct datum blob = {.size_bytes = 7};
    (void)state;
    assert_false(reads("null", &blob));
    assert_false(reads("[]", &blob));
    assert_false(reads("{\"$blob\":\"" HASH "\"}", &blob));
    assert_false(reads("{\"$blob\":\"" HASH "\",\"size\":-1}", &blob));
    assert_false(reads("{\"$blob\":\"" HASH "\",\"size\":\"1\"}", &blob));
    assert_false(reads("{\"$blob\":\"" HASH "\",\"size\":1,\"more\":1}", &blob));
    assert_false(reads("{\"$blob\":\"" HASH "00\",\"size\":1}", &blob));
    assert_false(reads("{\"$blob\":\"x" HASH "\",\"size\":1}", &blob));
    assert_false(reads("{\"$blob\":\"gg0102030405060708090a0b0c0d0e0f"
                       "101112131415161718191a1b1c1d1e1f\",\"size\":1}",
                       &blob));
    assert_int_equal(blob.size_bytes, 7);
    assert_true(reads("{\"size\":1,\"$blob\":\"" HASH "\"}", &blob));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
