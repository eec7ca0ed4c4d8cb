/* Lexis and grammar: cel-spec, doc/langdef.md, "Syntax" and "String and Bytes Values". */
#include "cel/fixture.h"

#define WORLD "{\"a\":{\"b\":1,\"if\":2},\"b\":[1,2],\"r\":5,\"nodes.x\":1}"

static void test_numbers(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"0", "0"},
        {"007", "7"},
        {"0xFf", "255"},
        {"-0x10", "-16"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"-0x8000000000000000", "-9223372036854775808"},
        {"7u", "7"},
        {"0xFU", "15"},
        {"18446744073709551615u == 18446744073709551615u", "true"},
        {"1.5", "1.5"},
        {".5", "0.5"},
        {"1e3", "1000.0"},
        {"1.5E-1", "0.15"},
        {"-2.0", "-2.0"},
        {"- 3", "-3"},
    };
    static const char *const FAILING[] = {
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616u",
        "18446744073709551615u",
        "0x",
        "0x10000000000000000",
        "1a",
        "1.",
        "1e",
        "1.5u",
        "1e999",
        "-1u",
        "1_000",
    };
    ASSERT_GOOD(CASES, WORLD);
    ASSERT_FAIL(FAILING, WORLD);
}

static void test_texts(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"''", "\"\""},
        {"\"it's\"", "\"it's\""},
        {"'say \"a\"'", "\"say \\\"a\\\"\""},
        {"'\\a\\b\\f\\n\\r\\t\\v\\\\\\?\\\"\\'\\`'",
         "\"\\u0007\\b\\f\\n\\r\\t\\u000b\\\\?\\\"'`\""},
        {"'\\x41\\X42\\103\\u00e9\\U0001f431'", "\"AB"
                                                "C\xc3\xa9\xf0\x9f\x90\xb1\""},
        {"'\\377'", "\"\xc3\xbf\""},
        {"'\xc3\xa9'", "\"\xc3\xa9\""},
        {"r'\\n\\'", "\"\\\\n\\\\\""},
        {"R\"a\\\"", "\"a\\\\\""},
        {"'''a\n'b' ''c'''", "\"a\\n'b' ''c\""},
        {"\"\"\"a \"b\" \\x41\"\"\"", "\"a \\\"b\\\" A\""},
        {"r'''a\\'''", "\"a\\\\\""},
        {"''''a'''", "\"'a\""},
        {"r + 1", "6"}, /* a variable, not a prefix */
    };
    static const char *const FAILING[] = {
        "'a",        "'a\n'",         "\"a'",    "'\\",    "'\\'",  "'\\q'", "'\\u12'", "'\\xg1'",
        "'\\ud800'", "'\\U00110000'", "'\\400'", "'\\08'", "'''a'", "b'a'",  "br'a'",   "rb\"a\"",
    };
    ASSERT_GOOD(CASES, WORLD);
    ASSERT_FAIL(FAILING, WORLD);
}

static void test_lists_and_maps(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"[]", "[]"},
        {"[1, 'a', [null]]", "[1,\"a\",[null]]"},
        {"[1, 2,]", "[1,2]"},
        {"{}", "{}"},
        {"{'a': 1, 'b': {'c': [a.b]},}", "{\"a\":1,\"b\":{\"c\":[1]}}"},
        {"{'b': 1, 'a': 2}", "{\"b\":1,\"a\":2}"},
        {"{1: 'x', true: 'y', 2u: 'z'}[2]", "\"z\""},
        {"{'a.b': 1}.`a.b` + {'c-d/e f': 2}.`c-d/e f`", "3"},
        {"{'a': a}.a.b", "1"},
    };
    static const char *const FAILING[] = {
        "[",
        "[1",
        "[1 2]",
        "[,]",
        "{",
        "{'a'}",
        "{'a': 1",
        "{'a' 1}",
        "{,}",
        "{1: 2}",
        "{1.0: 2}.x",
        "{null: 1}",
        "{[1]: 1}",
        "{'a': 1, 'a': 2}",
        "{1: 1, 1u: 2}",
        "{'\\000': 1}",
        "a{b: 1}",
        "{'a': 1}.`a",
    };
    ASSERT_GOOD(CASES, WORLD);
    ASSERT_FAIL(FAILING, WORLD);
}

static void test_blanks_and_comments(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"\t a \n .\r\n b\f", "1"},
        {"a // one\n.b // two", "1"},
        {"'// no comment'", "\"// no comment\""},
    };
    ASSERT_GOOD(CASES, WORLD);
}

static void test_what_is_no_cel(void **state)
{
    (void)state;
    static const struct bad_case CASES[] = {
        {"", ERR_INVALID, 1, "empty", "input.topic"},
        {"  ", ERR_INVALID, 3, "empty", "input.topic"},
        {"// a", ERR_INVALID, 5, "empty", "input.topic"},
        {"a b", ERR_INVALID, 3, "\"b\" is not expected", "expressions.md"},
        {"a@", ERR_INVALID, 2, "\"@\" is not expected", "expressions.md"},
        {"\xc3\xa9", ERR_INVALID, 1, "\"\xc3\xa9\" is not expected", "expressions.md"},
        {"a['\xc3\xa9'].\xc3\xa9", ERR_INVALID, 8, "\"\xc3\xa9\" is not expected", ""},
        {"a\x01", ERR_INVALID, 2, "control character", "expressions.md"},
        {"a = 1", ERR_INVALID, 3, "no operator \"=\"", "=="},
        {"a & b", ERR_INVALID, 3, "no operator \"&\"", "&&"},
        {"a | b", ERR_INVALID, 3, "no operator \"|\"", "||"},
        {"a +", ERR_INVALID, 4, "breaks off", "belongs here"},
        {"a ? b", ERR_INVALID, 3, "has no \":\"", "condition ?"},
        {"a ? b : ", ERR_INVALID, 9, "breaks off", ""},
        {"(a", ERR_INVALID, 1, "not closed", ")"},
        {"a)", ERR_INVALID, 2, "\")\" is not expected", ""},
        {"for", ERR_INVALID, 1, "reserves", "rename"},
        {"package.x", ERR_INVALID, 1, "reserves", "rename"},
        {"a.in", ERR_INVALID, 3, "keyword", "[\"…\"]"},
        {"a.true", ERR_INVALID, 3, "keyword", "[\"…\"]"},
        {"a.", ERR_INVALID, 3, "must follow the dot", "name"},
        {"a.1", ERR_INVALID, 3, "must follow the dot", "name"},
        {"a[", ERR_INVALID, 3, "hold no index", "number"},
        {"a[]", ERR_INVALID, 3, "hold no index", "number"},
        {"a[1", ERR_INVALID, 2, "not closed", "]"},
        {"a[9223372036854775808]", ERR_INVALID, 3, "64 bits", "smaller"},
        {"a['x]", ERR_INVALID, 3, "not closed", "quote"},
        {"a['\\q']", ERR_INVALID, 4, "no such escape", "backslash"},
        {"b'x'", ERR_UNSUPPORTED, 1, "bytes", "text"},
        {"A{b: 1}", ERR_UNSUPPORTED, 2, "a message", "map"},
        {"nodes", ERR_INVALID, 1, "name of a node", "nodes.ID"},
        {"nodes[0].x", ERR_INVALID, 6, "name of a node", "nodes.ID"},
        {"nodes[a].x", ERR_INVALID, 6, "name of a node", "nodes.ID"},
        {"size(a", ERR_INVALID, 5, "not closed", ")"},
        {"size(a,)", ERR_INVALID, 8, "\")\" is not expected", ""},
        {"has(a)", ERR_INVALID, 1, "has() takes a field", "has(x.field)"},
        {"has(a['b'])", ERR_INVALID, 1, "has() takes a field", "\"key\" in x"},
        {"has(a.b == 1)", ERR_INVALID, 1, "has() takes a field", ""},
        {"has(a ? a : a.b)", ERR_INVALID, 1, "has() takes a field", ""},
        {"b.map(x)", ERR_INVALID, 3, "a variable and an expression", "list.filter"},
        {"b.map(1, 2)", ERR_INVALID, 3, "a variable and an expression", ""},
        {"b.map(x.y, 2)", ERR_INVALID, 3, "a variable and an expression", ""},
        {"b.filter(x, x, x)", ERR_INVALID, 14, "\",\" is not expected", ""},
    };
    ASSERT_BAD(CASES, WORLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_lists_and_maps), cmocka_unit_test(test_blanks_and_comments),
        cmocka_unit_test(test_what_is_no_cel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
