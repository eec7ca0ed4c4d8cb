#include "base/test.h"

#include "base/limits.h"
#include "base/value.h"
#include <stdlib.h>
#include <string.h>

static char *to_json(const value_t *value, unsigned flags)
{
    struct buf text = {0};
    value_to_json(value, flags, &text);
    return buf_steal(&text);
}

struct text_case {
    const char *given;
    const char *expected; /* NULL: the same */
};

static void test_round_trips(void **state)
{
    (void)state;
    static const struct text_case CASES[] = {
        {"null", NULL},
        {" true ", "true"},
        {"false", NULL},
        {"0", NULL},
        {"-9223372036854775808", NULL},
        {"9223372036854775807", NULL},
        {"0.1", NULL},
        {"1.0", NULL},
        {"-0.0", NULL},
        {"1E2", "100.0"},
        {"1e22", "1e+22"},
        {"0.30000000000000004", NULL},
        {"1.7976931348623157e308", "1.7976931348623157e+308"},
        {"2.2250738585072014e-308", NULL},
        {"123456789.123", NULL},
        {"\"\"", NULL},
        {"\"\\u0000\\u001f\\b\\f\\n\\r\\t\\\"\\\\/\"", NULL},
        {"\"\\u00e9\\ud83d\\ude00\\/\"", "\"\xc3\xa9\xf0\x9f\x98\x80/\""},
        {"\"\x7f\"", NULL},
        {"[]", NULL},
        {"{}", NULL},
        {"[ 1 , [ 2 , { } ] ]", "[1,[2,{}]]"},
        {"{ \"z\" : 1 , \"a\" : [ null ] , \"\" : { \"m\" : \"}]\" } }",
         "{\"z\":1,\"a\":[null],\"\":{\"m\":\"}]\"}}"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        value_t *value = NULL;
        assert_int_equal(value_from_json(CASES[i].given, strlen(CASES[i].given), &value, NULL), 0);
        char *text = to_json(value, VALUE_JSON_COMPACT);
        assert_string_equal(text, CASES[i].expected ? CASES[i].expected : CASES[i].given);
        free(text);
        value_destroy(&value);
    }
}

static void test_nul_in_a_text(void **state)
{
    (void)state;
    value_t *value = NULL;
    assert_int_equal(value_from_json("\"a\\u0000b\"", 10, &value, NULL), 0);
    assert_int_equal(value_size(value), 3);
    assert_memory_equal(value_as_string(value), "a\0b", 3);
    value_destroy(&value);
}

static void test_indent_and_sort(void **state)
{
    (void)state;
    static const char TEXT[] = "{\"b\":[1,{}],\"a\":{\"d\":1,\"c\":[]},\"B\":0}";
    value_t *value = NULL;
    assert_int_equal(value_from_json(TEXT, strlen(TEXT), &value, NULL), 0);
    char *text = to_json(value, VALUE_JSON_SORT);
    assert_string_equal(text, "{\"B\":0,\"a\":{\"c\":[],\"d\":1},\"b\":[1,{}]}");
    free(text);
    text = to_json(value, VALUE_JSON_INDENT);
    assert_string_equal(text, "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": {\n    \"d\": 1,\n"
                              "    \"c\": []\n  },\n  \"B\": 0\n}");
    free(text);
    value_destroy(&value);
}

struct bad_case {
    const char *text;
    int code;
    unsigned line;
    unsigned column; /* 0: any but 0 */
    const char *mentions;
};

static void test_refusals_say_where(void **state)
{
    (void)state;
    static const struct bad_case CASES[] = {
        {"[1,\n2,]", ERR_MALFORMED, 2, 3, "not valid JSON"},
        {"{\"a\":1,\n  \"a\":2}", ERR_MALFORMED, 2, 0, "duplicate"},
        {"[1] 2", ERR_MALFORMED, 1, 5, "end of file expected"},
        {"nul", ERR_MALFORMED, 1, 0, "nul"},
        {"01", ERR_MALFORMED, 1, 0, ""},
        {"\"a", ERR_MALFORMED, 1, 0, ""},
        {"\"\n\"", ERR_MALFORMED, 1, 0, ""},
        {"\"\\ud800\"", ERR_MALFORMED, 1, 0, "Unicode"},
        {"\"\xff\"", ERR_MALFORMED, 1, 0, "UTF-8"},
        {"[\"\xed\xa0\x80\"]", ERR_MALFORMED, 1, 0, "UTF-8"},
        {"{1:2}", ERR_MALFORMED, 1, 0, ""},
        {"[NaN]", ERR_MALFORMED, 1, 0, ""},
        {"9223372036854775808", ERR_UNSUPPORTED, 1, 0, "64 bits"},
        {"[-9223372036854775809]", ERR_UNSUPPORTED, 1, 0, "64 bits"},
        {"1e999", ERR_UNSUPPORTED, 1, 0, "double"},
        {"{\"a\\u0000\":1}", ERR_UNSUPPORTED, 1, 0, "NUL"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        value_t *value = NULL;
        struct err err = {0};
        int code = value_from_json(CASES[i].text, strlen(CASES[i].text), &value, &err);
        assert_int_equal(code, CASES[i].code);
        assert_int_equal(err.code, code);
        assert_null(value);
        assert_int_equal(err.line, CASES[i].line);
        assert_true(CASES[i].column ? err.column == CASES[i].column : err.column > 0);
        assert_non_null(strstr(err.what, CASES[i].mentions));
    }
}

static void test_empty_input(void **state)
{
    (void)state;
    value_t *value = NULL;
    struct err err = {0};
    assert_int_equal(value_from_json("", 0, &value, &err), ERR_MALFORMED);
    assert_int_equal(value_from_json(NULL, 0, &value, NULL), ERR_MALFORMED);
    assert_int_equal(value_from_json("12", 1, &value, NULL), 0);
    assert_int_equal(value_as_int(value), 1);
    value_destroy(&value);
}

static void test_depth(void **state)
{
    (void)state;
    enum { DEPTH = LIMIT_VALUE_DEPTH };
    char text[2 * (DEPTH + 1) + 1];
    memset(text, '[', DEPTH + 1);
    memset(text + DEPTH + 1, ']', DEPTH + 1);
    value_t *value = NULL;
    assert_int_equal(value_from_json(text + 1, (size_t)DEPTH * 2, &value, NULL), 0);
    assert_int_equal(value_depth(value), DEPTH);
    value_destroy(&value);
    struct err err = {0};
    assert_int_equal(value_from_json(text, (size_t)(DEPTH + 1) * 2, &value, &err), ERR_TOO_DEEP);
    assert_int_equal(err.line, 1);
    assert_int_equal(err.column, DEPTH + 1);
    /* Brackets within a text are none. */
    text[0] = '"';
    text[2 * DEPTH + 1] = '"';
    assert_int_equal(value_from_json(text, (size_t)(DEPTH + 1) * 2, &value, NULL), 0);
    value_destroy(&value);
}

static void test_too_many_values(void **state)
{
    (void)state;
    size_t size = (size_t)LIMIT_VALUE_ITEMS * 2 + 4;
    char *text = xmalloc(size);
    for (size_t i = 0; i < size; i++)
        text[i] = i % 2 ? '1' : ',';
    text[0] = '[';
    text[size - 1] = ']';
    value_t *value = NULL;
    assert_int_equal(value_from_json(text, size, &value, NULL), ERR_TOO_LARGE);
    assert_int_equal(value_from_json(text, (size_t)LIMIT_VALUE_BYTES + 1, &value, NULL),
                     ERR_TOO_LARGE);
    assert_null(value);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),     cmocka_unit_test(test_nul_in_a_text),
        cmocka_unit_test(test_indent_and_sort), cmocka_unit_test(test_refusals_say_where),
        cmocka_unit_test(test_empty_input),     cmocka_unit_test(test_depth),
        cmocka_unit_test(test_too_many_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
