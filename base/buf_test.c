#include "base/test.h"

#include "base/buf.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>

static void test_buf_grows_and_stays_a_string(void **state)
{
    (void)state;
    struct buf buf = {0};
    assert_string_equal(buf_string(&buf), "");
    buf_append(&buf, NULL, 0);
    assert_int_equal(buf.size, 0);
    for (int i = 0; i < 1000; i++) {
        buf_putc(&buf, (char)('a' + i % 26));
        assert_int_equal(buf.data[buf.size], 0);
    }
    assert_int_equal(buf.size, 1000);
    assert_int_equal(buf.data[999], 'a' + 999 % 26);
    buf_clear(&buf);
    assert_string_equal(buf_string(&buf), "");
    buf_puts(&buf, "x");
    buf_printf(&buf, "=%0*d", 300, 7);
    assert_int_equal(buf.size, 302);
    assert_int_equal(strlen(buf_string(&buf)), 302);
    buf_append_bytes(&buf, bytes_of("\0z", 2));
    assert_int_equal(buf_bytes(&buf).size, 304);
    buf_release(&buf);
    assert_null(buf.data);
}

static void test_buf_steal(void **state)
{
    (void)state;
    struct buf buf = {0};
    char *text = buf_steal(&buf);
    assert_string_equal(text, "");
    free(text);
    buf_puts(&buf, "mine");
    text = buf_steal(&buf);
    assert_string_equal(text, "mine");
    assert_null(buf.data);
    assert_int_equal(buf.size, 0);
    free(text);
}

static void test_bytes_equal(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_of(NULL, 0), bytes_of("x", 0)));
    assert_true(bytes_equal(bytes_of_string("ab"), bytes_of("abc", 2)));
    assert_false(bytes_equal(bytes_of_string("ab"), bytes_of_string("ac")));
    assert_false(bytes_equal(bytes_of_string("ab"), bytes_of_string("abc")));
}

static void assert_zeroed_and_aligned(const uint8_t *memory, size_t size)
{
    assert_int_equal((uintptr_t)memory % 16, 0);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(memory[i], 0);
}

static void test_arena_gives_zeroed_memory_also_after_clear(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (int round = 0; round < 3; round++) {
        for (size_t size = 0; size < 3000; size = size * 2 + 1) {
            uint8_t *memory = arena_alloc(&arena, size);
            assert_zeroed_and_aligned(memory, size);
            memset(memory, 0xff, size);
        }
        uint8_t *large = arena_alloc(&arena, 3 << 20);
        assert_zeroed_and_aligned(large, 3 << 20);
        assert_true(arena.used_bytes > (3 << 20));
        memset(large, 0xff, 3 << 20);
        arena_clear(&arena);
        assert_int_equal(arena.used_bytes, 0);
    }
    arena_release(&arena);
    assert_null(arena.chunks);
}

static void test_arena_texts(void **state)
{
    (void)state;
    struct arena arena = {0};
    char *a = arena_strdup(&arena, "one");
    char *b = arena_strndup(&arena, "twofold", 3);
    char *c = arena_printf(&arena, "%s%d", "three", 3);
    struct bytes d = arena_copy(&arena, bytes_of("a\0b", 3));
    assert_string_equal(a, "one");
    assert_string_equal(b, "two");
    assert_string_equal(c, "three3");
    assert_true(bytes_equal(d, bytes_of("a\0b", 3)));
    assert_int_equal(arena_copy(&arena, bytes_of(NULL, 0)).size, 0);
    arena_release(&arena);
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const VALID[] = {"",
                                        "plain ascii, longer than eight",
                                        "\xc3\xa9",
                                        "12345678\xe2\x82\xac",
                                        "\xf0\x9f\x98\x80",
                                        "\xf4\x8f\xbf\xbf",
                                        "\xed\x9f\xbf",
                                        "\xee\x80\x80"};
    static const char *const INVALID[] = {
        "\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xff",         "12345678\xc3",     "\xe2\x82",         "a\xc3z"};
    for (size_t i = 0; i < sizeof VALID / sizeof VALID[0]; i++)
        assert_true(utf8_valid(VALID[i], strlen(VALID[i])));
    for (size_t i = 0; i < sizeof INVALID / sizeof INVALID[0]; i++)
        assert_false(utf8_valid(INVALID[i], strlen(INVALID[i])));
    assert_true(utf8_valid("a\0b", 3));
}

static void test_utf8_lossy_and_cut(void **state)
{
    (void)state;
    struct buf out = {0};
    utf8_append_lossy(&out, "a\xff\xc3\xa9\xe2\x82", 6);
    assert_string_equal(buf_string(&out), "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");
    assert_true(utf8_valid(out.data, out.size));
    buf_release(&out);
    assert_int_equal(utf8_cut("a\xe2\x82\xac", 4), 4);
    assert_int_equal(utf8_cut("a\xe2\x82\xac", 3), 1);
    assert_int_equal(utf8_cut("a\xe2\x82\xac", 2), 1);
    assert_int_equal(utf8_cut("a\xe2\x82\xac", 1), 1);
    assert_int_equal(utf8_cut("", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_grows_and_stays_a_string),
        cmocka_unit_test(test_buf_steal),
        cmocka_unit_test(test_bytes_equal),
        cmocka_unit_test(test_arena_gives_zeroed_memory_also_after_clear),
        cmocka_unit_test(test_arena_texts),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_utf8_lossy_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
