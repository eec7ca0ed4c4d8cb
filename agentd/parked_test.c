#include "agentd/parked.h"

#include "base/limits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct uuid ONE = {{1}}, OTHER = {{2}};

static conversation_t *conversation_of(uint32_t attempt)
{
    struct wire_dispatch dispatch = {.path = "n", .attempt = attempt};
    return conversation_new(&dispatch);
}

static void put(struct parked *self, struct uuid execution, const char *path, int64_t now_us)
{
    conversation_t *conversation = conversation_of(1);
    parked_put(self, execution, path, &conversation, now_us);
    assert_null(conversation);
}

static bool take(struct parked *self, struct uuid execution, const char *path)
{
    conversation_t *conversation = parked_take(self, execution, path);
    bool found = conversation != NULL;
    conversation_destroy(&conversation);
    return found;
}

static void test_taken_once(void **state)
{
    struct parked self = {0};
    (void)state;
    put(&self, ONE, "a", 1);
    put(&self, ONE, "b", 1);
    put(&self, ONE, "a", 2); /* in place of the first one */
    assert_int_equal(self.count, 2);
    assert_false(take(&self, OTHER, "a"));
    assert_true(take(&self, ONE, "a"));
    assert_false(take(&self, ONE, "a"));
    assert_int_equal(self.count, 1);
    parked_release(&self);
    assert_int_equal(self.bytes, 0);
}

static void test_the_oldest_go_first(void **state)
{
    struct parked self = {0};
    char path[32];
    (void)state;
    for (unsigned i = 0; i < LIMIT_AGENTD_PARKED + 2; i++) {
        snprintf(path, sizeof path, "n[%u]", i);
        put(&self, ONE, path, i);
    }
    assert_int_equal(self.count, LIMIT_AGENTD_PARKED);
    assert_false(take(&self, ONE, "n[1]"));
    assert_true(take(&self, ONE, "n[2]"));
    parked_expire(&self, 6);
    assert_false(take(&self, ONE, "n[5]"));
    assert_true(take(&self, ONE, "n[6]"));
    parked_release(&self);
    assert_int_equal(self.count, 0);
}

static void test_bounded_in_bytes(void **state)
{
    struct parked self = {0};
    (void)state;
    struct buf text = {0};
    value_t *value = NULL;
    buf_reserve(&text, 60000);
    memset(text.data, 'x', 60000);
    value = value_string_n((const char *)text.data, 60000);
    buf_clear(&text);
    value_to_msgpack(value, &text);
    value_destroy(&value);
    for (unsigned i = 0; i < 300; i++) {
        struct wire_dispatch dispatch = {
            .path = "n", .attempt = 1, .message = datum_inline(buf_bytes(&text))};
        conversation_t *conversation = conversation_new(&dispatch);
        char path[32];
        snprintf(path, sizeof path, "n[%u]", i);
        parked_put(&self, ONE, path, &conversation, i);
    }
    assert_true(self.bytes <= LIMIT_AGENTD_PARKED_BYTES);
    assert_true(self.count > 100 && self.count < 150);
    parked_release(&self);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_once),
        cmocka_unit_test(test_the_oldest_go_first),
        cmocka_unit_test(test_bounded_in_bytes),
    };
    return cmocka_run_group_tests_name("parked", tests, NULL, NULL);
}
