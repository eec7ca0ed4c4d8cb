#include "base/test.h"

#include "base/hash.h"
#include "base/map.h"
#include <stdio.h>
#include <string.h>

static int values[4096];

static void test_put_get_remove(void **state)
{
    (void)state;
    map_t *map = map_new();
    assert_null(map_get(map, "a", 1));
    assert_null(map_remove(map, "a", 1));
    assert_null(map_put(map, "a", 1, &values[0]));
    assert_null(map_put(map, "a\0", 2, &values[1]));
    assert_null(map_put(map, NULL, 0, &values[2]));
    assert_ptr_equal(map_put(map, "a", 1, &values[3]), &values[0]);
    assert_int_equal(map_size(map), 3);
    assert_ptr_equal(map_get(map, "a", 1), &values[3]);
    assert_ptr_equal(map_get(map, "a\0", 2), &values[1]);
    assert_ptr_equal(map_get(map, "", 0), &values[2]);
    assert_ptr_equal(map_remove(map, "a", 1), &values[3]);
    assert_null(map_get(map, "a", 1));
    assert_int_equal(map_size(map), 2);
    map_destroy(&map);
    assert_null(map);
    map_destroy(&map);
}

static void test_keys_are_copied_short_and_long(void **state)
{
    (void)state;
    map_t *map = map_new();
    for (size_t size = 0; size < 40; size++) {
        char key[64];
        memset(key, 'k', sizeof key);
        assert_null(map_put(map, key, size, &values[size]));
        memset(key, 'x', sizeof key);
    }
    char key[64];
    memset(key, 'k', sizeof key);
    for (size_t size = 0; size < 40; size++)
        assert_ptr_equal(map_get(map, key, size), &values[size]);
    map_destroy(&map);
}

static void test_order_is_that_of_insertion(void **state)
{
    (void)state;
    map_t *map = map_new();
    char key[24];
    for (int i = 0; i < 3000; i++) {
        int size = snprintf(key, sizeof key, "a key that is long %d", i);
        map_put(map, key, (size_t)size, &values[i]);
    }
    for (int i = 0; i < 3000; i += 3) {
        int size = snprintf(key, sizeof key, "a key that is long %d", i);
        assert_ptr_equal(map_remove(map, key, (size_t)size), &values[i]);
    }
    for (int i = 3000; i < 4000; i++) {
        int size = snprintf(key, sizeof key, "a key that is long %d", i);
        map_put(map, key, (size_t)size, &values[i]);
    }
    size_t position = 0;
    struct bytes found;
    int *value;
    int expected = 0;
    size_t count = 0;
    while ((value = map_next(map, &position, &found))) {
        while (expected < 3000 && expected % 3 == 0)
            expected++;
        assert_ptr_equal(value, &values[expected]);
        int size = snprintf(key, sizeof key, "a key that is long %d", expected);
        assert_true(bytes_equal(found, bytes_of(key, (size_t)size)));
        expected++;
        count++;
    }
    assert_int_equal(count, map_size(map));
    assert_int_equal(count, 3000);
    map_destroy(&map);
}

static void test_walk_may_remove_what_it_got(void **state)
{
    (void)state;
    map_t *map = map_new();
    for (uint32_t i = 0; i < 1000; i++)
        map_put(map, &i, sizeof i, &values[i]);
    size_t position = 0;
    struct bytes key;
    int *value;
    int next = 0;
    while ((value = map_next(map, &position, &key))) {
        assert_ptr_equal(value, &values[next]);
        assert_ptr_equal(map_remove(map, key.data, key.size), value);
        next++;
    }
    assert_int_equal(next, 1000);
    assert_int_equal(map_size(map), 0);
    uint32_t one = 1;
    assert_null(map_put(map, &one, sizeof one, &values[1]));
    assert_ptr_equal(map_get(map, &one, sizeof one), &values[1]);
    map_destroy(&map);
}

/* A queue in a map: the front is found without passing over all that was removed before it. */
static void test_queue_of_many(void **state)
{
    (void)state;
    map_t *map = map_new();
    uint32_t tail = 0;
    for (; tail < 64; tail++)
        map_put(map, &tail, sizeof tail, &values[tail]);
    for (uint32_t head = 0; head < 200000; head++, tail++) {
        size_t position = 0;
        struct bytes key;
        int *value = map_next(map, &position, &key);
        assert_ptr_equal(value, &values[head % 4096]);
        assert_memory_equal(key.data, &head, sizeof head);
        map_remove(map, key.data, key.size);
        map_put(map, &tail, sizeof tail, &values[tail % 4096]);
    }
    assert_int_equal(map_size(map), 64);
    map_destroy(&map);
}

/* The same random operations on a map and on a plain array must give the same answers. */
static void test_against_a_model(void **state)
{
    (void)state;
    map_t *map = map_new();
    void *model[512] = {0};
    size_t live = 0;
    uint32_t seed = 12345;
    for (int i = 0; i < 200000; i++) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t key = seed >> 23;
        uint32_t action = seed >> 8 & 3;
        if (action == 0) {
            assert_ptr_equal(map_remove(map, &key, sizeof key), model[key]);
            live -= model[key] != NULL;
            model[key] = NULL;
        } else if (action == 1) {
            void *value = &values[seed >> 12 & 0xff];
            assert_ptr_equal(map_put(map, &key, sizeof key, value), model[key]);
            live += model[key] == NULL;
            model[key] = value;
        } else {
            assert_ptr_equal(map_get(map, &key, sizeof key), model[key]);
        }
        assert_int_equal(map_size(map), live);
    }
    map_destroy(&map);
}

static void test_hash_sees_every_byte_and_the_size(void **state)
{
    (void)state;
    uint8_t data[64] = {0};
    for (size_t size = 0; size < sizeof data; size++) {
        uint64_t plain = hash_bytes(data, size);
        assert_true(plain == hash_bytes(data, size));
        assert_true(plain != hash_bytes(data, size + 1));
        for (size_t i = 0; i < size; i++) {
            data[i] ^= 1;
            assert_true(plain != hash_bytes(data, size));
            data[i] ^= 1;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_get_remove),
        cmocka_unit_test(test_keys_are_copied_short_and_long),
        cmocka_unit_test(test_order_is_that_of_insertion),
        cmocka_unit_test(test_walk_may_remove_what_it_got),
        cmocka_unit_test(test_queue_of_many),
        cmocka_unit_test(test_against_a_model),
        cmocka_unit_test(test_hash_sees_every_byte_and_the_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
