#include "tools/text.h"

#include "base/test.h"

#include <string.h>

static void assert_excerpt(const char *expected, const char *text, size_t width)
{
    struct buf out = {0};
    text_excerpt(&out, text, strlen(text), width);
    assert_string_equal(expected, buf_string(&out));
    assert_true(text_width(buf_string(&out), out.size) <= width);
    buf_release(&out);
}

static void test_width_is_that_of_a_terminal(void **state)
{
    (void)state;
    assert_int_equal(5, text_width("hello", 5));
    assert_int_equal(5, text_width("größe", strlen("größe")));
    assert_int_equal(6, text_width("日本語", strlen("日本語")));
    assert_int_equal(1, text_width("e\u0301", strlen("e\u0301")));
    assert_int_equal(2, text_width("🚀", strlen("🚀")));
}

static void test_excerpts_are_one_line(void **state)
{
    (void)state;
    assert_excerpt("two words", "  two \n\t words\r\n ", 80);
    assert_excerpt("a [31m b", "a\033[31m\x07\u202e\xc2\x9b b", 80);
    assert_excerpt("", " \n ", 80);
}

static void test_excerpts_are_cut_between_characters(void **state)
{
    (void)state;
    assert_excerpt("hello", "hello", 5);
    assert_excerpt("hel…", "hello", 4);
    assert_excerpt("grö…", "größer", 4);
    assert_excerpt("日…", "日本語", 4); /* the second one and the ellipsis would take five */
    assert_excerpt("日本…", "日本語", 5);
    assert_excerpt("e\u0301e\u0301…", "e\u0301e\u0301e\u0301e\u0301", 3);
    assert_excerpt("…", "日本", 1);
    assert_excerpt("a…", "a bcd", 3);
}

static void assert_message(const char *expected, const char *json, size_t width)
{
    value_t *message = NULL;
    struct buf out = {0};
    assert_int_equal(0, value_from_json(json, strlen(json), &message, NULL));
    text_message(&out, message, width);
    assert_string_equal(expected, buf_string(&out));
    buf_release(&out);
    value_destroy(&message);
}

static void test_messages(void **state)
{
    (void)state;
    assert_message("“Look at it”", "\"Look at it\"", 40);
    assert_message("“Look a…”", "\"Look at all of it\"", 9);
    assert_message("{\"kind\":\"c\"}", "{\"kind\": \"c\"}", 40);
    assert_message("“Look”", "{\"message\": \"Look\", \"context\": {\"a\": [1, 2]}}", 40);
    assert_message("{\"message\":\"Look\"}", "{\"message\": \"Look\"}", 40);
    assert_message("(70000 bytes)", "{\"$blob\": \"00ff\", \"size\": 70000}", 40);
    assert_message("", "null", 40);
}

static void test_whole_texts_keep_their_lines(void **state)
{
    (void)state;
    struct buf out = {0};
    const char *text = "a\tb\n\x1b[31mred\r\302\2330m\x7f größer\n";
    text_shown(&out, text, strlen(text));
    assert_string_equal("a\tb\n\ufffd[31mred\ufffd\ufffd0m\ufffd größer\n", buf_string(&out));
    buf_clear(&out);
    const char *json = "{\n  \"ü\": \"\\u001b\302\2330m\x7f\"\n}";
    text_shown_json(&out, json, strlen(json));
    assert_string_equal("{\n  \"ü\": \"\\u001b\\u009b0m\\u007f\"\n}", buf_string(&out));
    buf_release(&out);
}

static void test_numbers(void **state)
{
    (void)state;
    struct buf out = {0};
    text_money(&out, 1230000);
    buf_putc(&out, ' ');
    text_money(&out, 1200);
    buf_putc(&out, ' ');
    text_money(&out, 7);
    buf_putc(&out, ' ');
    text_count(&out, 1, "turn");
    buf_putc(&out, ' ');
    text_count(&out, 0, "turn");
    assert_string_equal("$1.23 $0.0012 $0.000007 1 turn 0 turns", buf_string(&out));
    buf_release(&out);
    assert_int_equal(0, text_tokens(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_width_is_that_of_a_terminal),
        cmocka_unit_test(test_excerpts_are_one_line),
        cmocka_unit_test(test_excerpts_are_cut_between_characters),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_whole_texts_keep_their_lines),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
