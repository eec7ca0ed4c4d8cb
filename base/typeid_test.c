#include "base/test.h"

#include "base/typeid.h"
#include "base/value.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static value_t *read_vectors(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/data/typeid/%s", AF_SOURCE_DIR, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char text[16384];
    size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    value_t *vectors = NULL;
    assert_int_equal(value_from_json(text, size, &vectors, NULL), 0);
    return vectors;
}

static void format_uuid(struct uuid id, char ret_text[37])
{
    size_t at = 0;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            ret_text[at++] = '-';
        snprintf(ret_text + at, 3, "%02x", id.bytes[i]);
        at += 2;
    }
}

static void test_valid_vectors(void **state)
{
    (void)state;
    value_t *vectors = read_vectors("valid.json");
    assert_true(value_size(vectors) >= 9);
    for (size_t i = 0; i < value_size(vectors); i++) {
        const value_t *vector = value_at(vectors, i);
        const char *text = value_get_string(vector, "typeid", "");
        char prefix[TYPEID_PREFIX_MAX + 1];
        struct uuid id;
        assert_int_equal(typeid_parse(text, prefix, &id, NULL), 0);
        assert_string_equal(prefix, value_get_string(vector, "prefix", "?"));
        char uuid[37];
        format_uuid(id, uuid);
        assert_string_equal(uuid, value_get_string(vector, "uuid", "?"));
        char again[TYPEID_TEXT_SIZE];
        assert_int_equal(typeid_format(prefix, id, again, NULL), 0);
        assert_string_equal(again, text);
    }
    value_destroy(&vectors);
}

static void test_invalid_vectors(void **state)
{
    (void)state;
    value_t *vectors = read_vectors("invalid.json");
    assert_true(value_size(vectors) >= 20);
    for (size_t i = 0; i < value_size(vectors); i++) {
        const char *text = value_get_string(value_at(vectors, i), "typeid", NULL);
        assert_non_null(text);
        char prefix[TYPEID_PREFIX_MAX + 1] = "same";
        struct uuid id = {{7}};
        struct err err = {0};
        assert_int_equal(typeid_parse(text, prefix, &id, &err), ERR_INVALID);
        assert_true(err.what[0] && err.fix[0]);
        assert_string_equal(prefix, "same");
        assert_int_equal(id.bytes[0], 7);
    }
    value_destroy(&vectors);
}

static void test_parse_as(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct uuid found = {{0}};
    char text[TYPEID_TEXT_SIZE];
    typeid_text("exec", id, text);
    assert_int_equal(typeid_parse_as(text, "exec", &found, NULL), 0);
    assert_true(uuid_equal(id, found));
    struct err err;
    assert_int_equal(typeid_parse_as(text, "inst", &found, &err), ERR_INVALID);
    assert_non_null(strstr(err.fix, "inst_"));
    assert_int_equal(typeid_parse_as(text, "exe", &found, NULL), ERR_INVALID);
    assert_int_equal(typeid_parse_as(text + 5, "exec", &found, NULL), ERR_INVALID);
    assert_int_equal(typeid_parse_as("exec_", "exec", &found, NULL), ERR_INVALID);
}

static void test_format_refuses_bad_prefixes(void **state)
{
    (void)state;
    static const char *const BAD[] = {"A", "a-b", "_a", "a_", "a1", "_", "\xc3\xa9"};
    char text[TYPEID_TEXT_SIZE] = "same";
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        assert_int_equal(typeid_format(BAD[i], uuid_new(), text, NULL), ERR_INVALID);
    char longest[TYPEID_PREFIX_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[TYPEID_PREFIX_MAX + 1] = '\0';
    assert_int_equal(typeid_format(longest, uuid_new(), text, NULL), ERR_INVALID);
    assert_string_equal(text, "same");
    longest[TYPEID_PREFIX_MAX] = '\0';
    assert_int_equal(typeid_format(longest, uuid_new(), text, NULL), 0);
    assert_int_equal(strlen(text), TYPEID_TEXT_SIZE - 1);
}

static void test_uuid_v7_layout(void **state)
{
    (void)state;
    const uint8_t random[10] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    struct uuid id = uuid_v7(INT64_C(0x010203040506) * 1000 + 999, random);
    const uint8_t expected[16] = {1,    2,   3,   4,   5,   6,   0x7f, 255,
                                  0xbf, 255, 255, 255, 255, 255, 255,  255};
    assert_memory_equal(id.bytes, expected, sizeof expected);
    const uint8_t zeros[10] = {0};
    id = uuid_v7(-5, zeros);
    const uint8_t least[16] = {0, 0, 0, 0, 0, 0, 0x70, 0, 0x80};
    assert_memory_equal(id.bytes, least, sizeof least);
}

static void test_uuid_new_ascends(void **state)
{
    (void)state;
    struct uuid last = uuid_new();
    for (int i = 0; i < 20000; i++) {
        struct uuid next = uuid_new();
        assert_true(uuid_compare(last, next) < 0);
        assert_int_equal(next.bytes[6] >> 4, 7);
        assert_int_equal(next.bytes[8] >> 6, 2);
        last = next;
    }
}

#define IDS_PER_THREAD 5000

static void *make_ids(void *context)
{
    struct uuid *ids = context;
    for (int i = 0; i < IDS_PER_THREAD; i++)
        ids[i] = uuid_new();
    return NULL;
}

static int compare_ids(const void *a, const void *b)
{
    return uuid_compare(*(const struct uuid *)a, *(const struct uuid *)b);
}

static void test_uuid_new_is_unique_among_threads(void **state)
{
    (void)state;
    static struct uuid ids[4 * IDS_PER_THREAD];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_ids, ids + i * IDS_PER_THREAD), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    qsort(ids, 4 * IDS_PER_THREAD, sizeof ids[0], compare_ids);
    for (int i = 1; i < 4 * IDS_PER_THREAD; i++)
        assert_true(uuid_compare(ids[i - 1], ids[i]) < 0);
}

static void test_uuid_helpers(void **state)
{
    (void)state;
    struct uuid nil = {{0}};
    struct uuid one = {{0}};
    one.bytes[15] = 1;
    assert_true(uuid_is_nil(nil));
    assert_false(uuid_is_nil(one));
    assert_true(uuid_compare(nil, one) < 0);
    assert_false(uuid_equal(nil, one));
    assert_true(uuid_hash(nil) != uuid_hash(one));
    assert_true(uuid_hash(one) == uuid_hash(one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_vectors),
        cmocka_unit_test(test_invalid_vectors),
        cmocka_unit_test(test_parse_as),
        cmocka_unit_test(test_format_refuses_bad_prefixes),
        cmocka_unit_test(test_uuid_v7_layout),
        cmocka_unit_test(test_uuid_new_ascends),
        cmocka_unit_test(test_uuid_new_is_unique_among_threads),
        cmocka_unit_test(test_uuid_helpers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
