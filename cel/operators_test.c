/* Operators: cel-spec, doc/langdef.md, "Logical Operators", "Equality", "Ordering", "Overflow",
 * "Field Selection". */
#include "cel/fixture.h"

#define WORLD                                                                                      \
    "{\"i\":7,\"d\":7.0,\"h\":0.5,\"t\":\"text\",\"n\":null,\"l\":[1,2.0,\"x\",null],"             \
    "\"m\":{\"a\":1,\"b\":{\"c\":null}},\"yes\":true,\"big\":9007199254740993}"

static void test_precedence(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"1 + 2 * 3", "7"},
        {"(1 + 2) * 3", "9"},
        {"10 - 4 - 3", "3"},
        {"100 / 10 / 2", "5"},
        {"-2 * -3", "6"},
        {"7 % 4 + 1", "4"},
        {"-7 % 4", "-3"},
        {"-7 / 2", "-3"},
        {"1 + 1 == 2 && 2 < 3 || false", "true"},
        {"true || false && false", "true"},
        {"!yes || yes", "true"},
        {"!!yes", "true"},
        {"yes ? 1 : yes ? 2 : 3", "1"},
        {"false ? 1 : false ? 2 : 3", "3"},
        {"(yes ? false : true) ? 1 : 2", "2"},
        {"1 < 2 == true", "true"},
        {"-l[0]", "-1"},
        {"1 in l == true", "true"},
        {"yes && !(1 > 2)", "true"},
    };
    ASSERT_GOOD(CASES, WORLD);
}

static void test_logic_absorbs_errors(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"1 / 0 == 1 || true", "true"},
        {"true || 1 / 0 == 1", "true"},
        {"1 / 0 == 1 && false", "false"},
        {"false && 1 / 0 == 1", "false"},
        {"m.x.y == 1 || yes", "true"},
        {"absent && false", "false"},
        {"(1 / 0 == 1 || false) || true", "true"},
        {"(1 / 0 == 1 ? true : false) || true", "true"},
        {"7 || true", "true"},
        {"'x' && false", "false"},
        {"yes ? 1 : 1 / 0", "1"},
        {"yes || [1, 2][5] == 1 && m.x", "true"},
    };
    static const struct bad_case FAILING[] = {
        {"1 / 0 == 1 || false", ERR_INVALID, 3, "division by zero", "!= 0"},
        {"1 % 0 == 1 && true", ERR_INVALID, 3, "remainder by zero", "!= 0"},
        {"false || m.x", ERR_NOT_FOUND, 11, "m has no field \"x\"", "a, b"},
        {"true && 7", ERR_INVALID, 6, "&& takes booleans, not an integer", "!= null"},
        {"t || n", ERR_INVALID, 3, "|| takes booleans, not a text", ""},
        {"1 / 0 == 1 || 2 / 0 == 1", ERR_INVALID, 3, "division", ""},
        {"i ? 1 : 2", ERR_INVALID, 3, "\"?\" is an integer, not a boolean", ""},
        {"1 / 0 == 1 ? 1 : 2", ERR_INVALID, 3, "division", ""},
        {"!i", ERR_INVALID, 1, "\"!\" turns is an integer", ""},
        {"!(1 / 0)", ERR_INVALID, 5, "division", ""},
    };
    ASSERT_GOOD(CASES, WORLD);
    ASSERT_BAD(FAILING, WORLD);
}

static void test_equality(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"1 == 1.0 && 1u == 1 && 1.0 == 1u", "true"},
        {"i == d", "true"},
        {"1 == '1'", "false"},
        {"null == false", "false"},
        {"n == null", "true"},
        {"[] == {}", "false"},
        {"l == [1.0, 2, 'x', null]", "true"},
        {"l != [1, 2, 'x']", "true"},
        {"m == {'b': {'c': n}, 'a': 1u}", "true"},
        {"m == {'b': {'d': n}, 'a': 1}", "false"},
        {"{1: 'a'} == {1.0 == 1.0 ? 1u : 2u: 'a'}", "true"},
        {"0.0 / 0.0 == 0.0 / 0.0", "false"},
        {"0.0 / 0.0 != 0.0 / 0.0", "true"},
        {"0.0 == -0.0", "true"},
        {"big == 9007199254740992.0 && big != 9007199254740992", "true"},
        {"big - 1 == 9007199254740992.0", "true"},
        {"9223372036854775807 == 9223372036854775807.0", "true"},
        {"-1 == 18446744073709551615u", "false"},
        {"type(1) == int && type(1u) == uint && type(1.0) == double", "true"},
        {"type(t) == string && type(yes) == bool && type(n) == null_type", "true"},
        {"type(l) == list && type(m) == map && type(int) == type", "true"},
        {"type(1) == type(1.0)", "false"},
    };
    ASSERT_GOOD(CASES, WORLD);
}

static void test_order(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"1 < 2 && 2 > 1 && 2 <= 2 && 2 >= 2", "true"},
        {"1 < 1.5 && 1.5 < 2u && 1u < 2", "true"},
        {"big > 9007199254740992.0", "false"},
        {"9223372036854775807 < 9223372036854775808.0", "false"},
        {"9223372036854775807 < 9223372036854777857.0", "true"},
        {"-9223372036854775808 >= -9223372036854775808.0", "true"},
        {"-1 < 0u", "true"},
        {"18446744073709551615u > -1.0", "true"},
        {"0.0 / 0.0 < 1", "false"},
        {"0.0 / 0.0 >= 1", "false"},
        {"1 < 1.0 / 0.0 && -1.0 / 0.0 < 1", "true"},
        {"'a' < 'b' && 'a' < 'aa' && 'Z' < 'a'", "true"},
        {"'\\uffff' < '\\U00010000'", "true"},
        {"false < true", "true"},
    };
    static const struct bad_case FAILING[] = {
        {"'a' < 1", ERR_INVALID, 5, "< can't take a text and an integer", "string(x)"},
        {"l >= l", ERR_INVALID, 3, ">= can't take a list and a list", ""},
        {"n < 1", ERR_INVALID, 3, "< can't take null and an integer", ""},
        {"true > 0", ERR_INVALID, 6, "> can't take a boolean and an integer", ""},
        {"m < m", ERR_INVALID, 3, "an object and an object", ""},
    };
    ASSERT_GOOD(CASES, WORLD);
    ASSERT_BAD(FAILING, WORLD);
}

static void test_arithmetic(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"i + 1", "8"},
        {"d * h", "3.5"},
        {"1.0 / 0.0 > 1.0", "true"},
        {"5u - 3u", "2"},
        {"7u / 2u * 2u + 7u % 2u", "7"},
        {"-(-3)", "3"},
        {"-d", "-7.0"},
        {"'a' + 'b' + t", "\"abtext\""},
        {"[1] + [] + l", "[1,1,2.0,\"x\",null]"},
        {"9223372036854775807 - 1 + 1", "9223372036854775807"},
        {"-9223372036854775808 + 0", "-9223372036854775808"},
        {"18446744073709551614u + 1u == 18446744073709551615u", "true"},
    };
    static const struct bad_case FAILING[] = {
        {"9223372036854775807 + 1", ERR_INVALID, 21, "+ is outside of 64 bits", "double(x)"},
        {"-9223372036854775808 - 1", ERR_INVALID, 22, "- is outside of 64 bits", ""},
        {"9223372036854775807 * 2", ERR_INVALID, 21, "* is outside of 64 bits", ""},
        {"-9223372036854775808 / -1", ERR_INVALID, 22, "/ is outside of 64 bits", ""},
        {"-9223372036854775808 % -1", ERR_INVALID, 22, "% is outside of 64 bits", ""},
        {"-(-9223372036854775808)", ERR_INVALID, 1, "- is outside of 64 bits", ""},
        {"1u - 2u", ERR_INVALID, 4, "outside of 64 bits", ""},
        {"18446744073709551615u + 1u", ERR_INVALID, 23, "outside of 64 bits", ""},
        {"1u / 0u", ERR_INVALID, 4, "division by zero", ""},
        {"1 + 1.0", ERR_INVALID, 3, "+ can't take an integer and a number", "double(x) or int(x)"},
        {"1 + 1u", ERR_INVALID, 3, "an integer and an unsigned integer", "int(x)"},
        {"1.5 % 1.0", ERR_INVALID, 5, "% can't take a number and a number", "int(x)"},
        {"t + 1", ERR_INVALID, 3, "+ can't take a text and an integer", "string(x)"},
        {"t - t", ERR_INVALID, 3, "- can't take a text and a text", ""},
        {"m + m", ERR_INVALID, 3, "+ can't take an object and an object", ""},
        {"-t", ERR_INVALID, 1, "- can't take a text", "integer"},
        {"-1u", ERR_INVALID, 1, "- can't take an unsigned integer", ""},
    };
    ASSERT_GOOD(CASES, WORLD);
    ASSERT_BAD(FAILING, WORLD);
}

static void test_membership_and_fields(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"2 in l && null in l && !('y' in l)", "true"},
        {"'a' in m && !('c' in m)", "true"},
        {"1 in m", "false"},
        {"1 in {1u: 0} && 1.0 in {1: 0} && !(1.5 in {1: 0})", "true"},
        {"has(m.a) && !has(m.x)", "true"},
        {"has(m.b.c)", "true"}, /* present, though null */
        {"has({'a': 1}.a) && !has({}.a)", "true"},
        {"l[1.0] == 2 && l[1u] == 2", "true"},
        {"{1: 'a'}[1.0] + {1: 'b'}[1u]", "\"ab\""},
        {"{true: 1}[true]", "1"},
        {"m['b']['c']", "null"},
        {"m[t == 'text' ? 'a' : 'b']", "1"},
    };
    static const struct bad_case FAILING[] = {
        {"1 in 2", ERR_INVALID, 3, "in can't take an integer and an integer", "a list"},
        {"'t' in t", ERR_INVALID, 5, "in can't take a text and a text", "a list or an object"},
        {"has(m.x.y)", ERR_NOT_FOUND, 6, "m has no field \"x\"", "a, b"},
        {"has(t.y)", ERR_INVALID, 6, "t is a text and has no field \"y\"", ""},
        {"{1: 2}[1.5]", ERR_NOT_FOUND, 7, "no index 1.5", ""},
        {"m[1]", ERR_INVALID, 2, "m is an object and has no index 1", "a, b"},
        {"m[null]", ERR_INVALID, 2, "has no index null", ""},
        {"[l][0].x", ERR_INVALID, 7, "[l][0] is a list", "[l][0][0]"},
    };
    ASSERT_GOOD(CASES, WORLD);
    ASSERT_BAD(FAILING, WORLD);
}

static void test_results_that_json_does_not_have(void **state)
{
    (void)state;
    static const struct bad_case CASES[] = {
        {"0.0 / 0.0", ERR_INVALID, 1, "a number that JSON doesn't have", "0.0"},
        {"[1.0 / 0.0]", ERR_INVALID, 1, "a number that JSON doesn't have", ""},
        {"18446744073709551615u", ERR_INVALID, 1, "too large for JSON", "double(x)"},
        {"{1: 2}", ERR_INVALID, 1, "keys are not all texts", "string(x)"},
        {"type(1)", ERR_INVALID, 1, "a type", "type(x) == int"},
        {"{'\\000': 1}", ERR_INVALID, 1, "NUL in a key", ""},
    };
    ASSERT_BAD(CASES, WORLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_logic_absorbs_errors),
        cmocka_unit_test(test_equality),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_membership_and_fields),
        cmocka_unit_test(test_results_that_json_does_not_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
