/* Functions: cel-spec, doc/langdef.md, "List of Standard Definitions", and what the extension
 * library "strings" says of charAt, indexOf, lastIndexOf, join, lowerAscii, replace, split,
 * substring, trim and upperAscii. */
#include "cel/fixture.h"

#define WORLD "{\"t\":\"tacocat\",\"l\":[\"hello\",\"world\"],\"m\":{\"a\":1},\"n\":null,\"i\":5}"

static void test_size(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"size('')", "0"},
        {"size('\xc3\xa9t\xc3\xa9')", "3"},
        {"'\\U0001f431'.size()", "1"},
        {"size([1, 2])", "2"},
        {"l.size()", "2"},
        {"size(m) + m.size()", "2"},
        {"{1: 1, 2: 2}.size()", "2"},
    };
    static const char *const FAILING[] = {"size(1)", "size(null)", "n.size()", "size(1, 2)",
                                          "size()"};
    ASSERT_GOOD(CASES, WORLD);
    ASSERT_FAIL(FAILING, WORLD);
}

static void test_search(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"t.contains('oc') && t.contains('') && !t.contains('x')", "true"},
        {"t.startsWith('taco') && !t.startsWith('tacocats')", "true"},
        {"t.endsWith('cat') && t.endsWith('') && !'a'.endsWith('aa')", "true"},
        {"t.indexOf('')", "0"},
        {"t.indexOf('ac')", "1"},
        {"t.indexOf('nope')", "-1"},
        {"t.indexOf('', 3)", "3"},
        {"t.indexOf('a', 3)", "5"},
        {"t.indexOf('at', 3)", "5"},
        {"'\xc3\xa9t\xc3\xa9'.indexOf('t')", "1"},
        {"t.lastIndexOf('')", "7"},
        {"t.lastIndexOf('at')", "5"},
        {"t.lastIndexOf('none')", "-1"},
        {"t.lastIndexOf('a', 3)", "1"},
        {"'\xc3\xa9t\xc3\xa9'.lastIndexOf('\xc3\xa9')", "2"},
        {"t.charAt(3)", "\"o\""},
        {"t.charAt(7)", "\"\""},
        {"'\xc3\xa9t\xc3\xa9'.charAt(2)", "\"\xc3\xa9\""},
        {"t.substring(4)", "\"cat\""},
        {"t.substring(0, 4)", "\"taco\""},
        {"t.substring(7)", "\"\""},
        {"t.substring(4, 4)", "\"\""},
        {"'\xc3\xa9t\xc3\xa9'.substring(1, 3)", "\"t\xc3\xa9\""},
    };
    static const struct bad_case FAILING[] = {
        {"t.charAt(8)", ERR_INVALID, 3, "charAt: the position 8 is outside", "size(x)"},
        {"t.charAt(-1)", ERR_INVALID, 3, "the position -1 is outside", ""},
        {"t.indexOf('a', 30)", ERR_INVALID, 3, "the position 30", ""},
        {"t.indexOf('a', -1)", ERR_INVALID, 3, "the position -1", ""},
        {"t.lastIndexOf('a', 8)", ERR_INVALID, 3, "the position 8", ""},
        {"t.substring(40)", ERR_INVALID, 3, "the position 40", ""},
        {"t.substring(3, 1)", ERR_INVALID, 3, "substring: the position 3", "first"},
        {"t.substring(0, 8)", ERR_INVALID, 3, "the position 8", ""},
        {"t.contains(1)", ERR_INVALID, 3, "contains can't take an integer", ""},
        {"i.startsWith('a')", ERR_INVALID, 3, "startsWith can't take an integer", ""},
        {"t.endsWith(null)", ERR_INVALID, 3, "endsWith can't take null", ""},
        {"t.charAt('a')", ERR_INVALID, 3, "charAt can't take a text", ""},
        {"t.substring(1.0)", ERR_INVALID, 3, "substring can't take a number", ""},
        {"t.indexOf('a', 'b')", ERR_INVALID, 3, "indexOf can't take a text", ""},
    };
    ASSERT_GOOD(CASES, WORLD);
    ASSERT_BAD(FAILING, WORLD);
}

static void test_matches(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"t.matches('oca')", "true"}, /* anywhere in it */
        {"t.matches('^oca$')", "false"},
        {"matches(t, '^[a-z]+$')", "true"},
        {"t.matches('^' + 'taco')", "true"},
        {"t.matches('')", "true"},
        {"'a\\n'.matches('a$')", "false"}, /* the end of the text alone, as in RE2 */
        {"'A'.matches('(?i)a')", "true"},
        {"'a\\nb'.matches('a.b') || 'a\\nb'.matches('(?s)a.b')", "true"},
        {"'\xc3\xa9'.matches('^.$')", "true"},
        {"'\\u0663'.matches('\\\\d')", "false"}, /* digits are those of ASCII */
        {"'x1'.matches(r'^\\pL\\d$')", "true"},
        {"'a(b'.matches(r'\\Qa(b') && 'a]b'.matches('a[]x]b') && 'a:'.matches('[[:alpha:]:]{2}')",
         "true"},
        {"'[:'.matches('^[[:]{2}$') && 'a]'.matches('^[[:alpha:x]:]]$') == false", "true"},
        {"'a:]'.matches('^[a:]{2}]$') && 'a+b'.matches(r'^a\\Q+\\Eb$')", "true"},
        {"'ab'.matches(r'^a\\Q\\Eb$') && '7'.matches('^[[:digit:][:^alnum:]]$')", "true"},
        {"'aaaabb'.matches('^(?:(a{2}){2}b{1,2}){1,2}$') && 'b'.matches('(a{10}){100}|b')", "true"},
        {"'ab'.matches('(?P<n>a)(?:b)') && 'a{b'.matches('a{b') && 'AB'.matches('(?i:a)B')",
         "true"},
        {"'x12'.matches(r'[^[:^digit:]]{2}$') && '\\u00e9'.matches(r'^\\x{e9}\\z')", "true"},
        {"l.filter(w, w.matches(l[1].substring(0, 1) + 'o'))", "[\"world\"]"},
        {"l.map(w, w.matches('o$'))", "[true,false]"},
    };
    static const struct bad_case FAILING[] = {
        {"t.matches('(')", ERR_INVALID, 11, "not valid at its byte 1", "mend"},
        {"t.matches(t + '(')", ERR_INVALID, 3, "not valid at its byte 8", "mend"},
        {"t.matches('\\\\C')", ERR_INVALID, 11, "the syntax of RE2", ""},
        {"t.matches('a)(b')", ERR_INVALID, 11, "not valid", ""},
        {"t.matches('(a)\\\\1')", ERR_INVALID, 11, "at its byte 3 what the syntax of RE2", ""},
        {"t.matches('a(?=b)')", ERR_INVALID, 11, "the syntax of RE2", "assertions"},
        {"t.matches('a(?<!b)')", ERR_INVALID, 11, "the syntax of RE2", ""},
        {"t.matches('(?R)')", ERR_INVALID, 11, "the syntax of RE2", ""},
        {"t.matches('(?>a)')", ERR_INVALID, 11, "the syntax of RE2", ""},
        {"t.matches('a++')", ERR_INVALID, 11, "the syntax of RE2", ""},
        {"t.matches('a{2}+')", ERR_INVALID, 11, "the syntax of RE2", ""},
        {"t.matches('(*COMMIT)a')", ERR_INVALID, 11, "the syntax of RE2", ""},
        {"'x'.matches('[[:](?=x):]')", ERR_INVALID, 13, "the syntax of RE2", "assertions"},
        {"'x'.matches('[[:]?(?:a++b|:])')", ERR_INVALID, 13, "the syntax of RE2", ""},
        {"'x'.matches('[[:^a1:](?=x):]')", ERR_INVALID, 13, "the syntax of RE2", ""},
        {"'x'.matches('[:](?=x)]')", ERR_INVALID, 13, "the syntax of RE2", ""},
        {"'x'.matches(r'[\\Q]\\E(?=x)]')", ERR_INVALID, 13, "at its byte 1 what", ""},
        {"'x'.matches(r'[\\c\\](?=x)\\]')", ERR_INVALID, 13, "at its byte 1 what", ""},
        {"'x'.matches(r'a+\\Q\\E+b')", ERR_INVALID, 13, "the syntax of RE2", ""},
        {"'x'.matches(r'a+\\E+b')", ERR_INVALID, 13, "at its byte 2 what", ""},
        {"t.matches('a{1001}')", ERR_INVALID, 11, "more than 1000 times", "smaller"},
        {"t.matches('a{600}b{600}')", ERR_INVALID, 11, "more than 1000 times", ""},
        {"t.matches('(?:(?:a{300}){10}){10}b')", ERR_INVALID, 11, "more than 1000 times", "multip"},
        {"t.matches('(a{2}){501}')", ERR_INVALID, 11, "more than 1000 times", ""},
        {"t.matches('(a{2,200}b{301}){2}')", ERR_INVALID, 11, "more than 1000 times", ""},
        {"t.matches('(?:a{100}|(b){101}){5}')", ERR_INVALID, 11, "more than 1000 times", ""},
        {"t.matches('(a{600})(b{600})')", ERR_INVALID, 11, "more than 1000 times", ""},
        {"t.matches('a{1001')", ERR_INVALID, 11, "more than 1000 times", ""},
        {"i.matches('a')", ERR_INVALID, 3, "matches can't take an integer", ""},
        {"matches(t, i)", ERR_INVALID, 1, "matches can't take an integer", ""},
        {"matches(m.b, 'a')", ERR_NOT_FOUND, 10, "no field", ""},
    };
    ASSERT_GOOD(CASES, WORLD);
    ASSERT_BAD(FAILING, WORLD);
}

static void test_changes(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"'hello hello hello'.split(' ')", "[\"hello\",\"hello\",\"hello\"]"},
        {"'hello hello hello'.split(' ', 0)", "[]"},
        {"'hello hello hello'.split(' ', 1)", "[\"hello hello hello\"]"},
        {"'hello hello hello'.split(' ', 2)", "[\"hello\",\"hello hello\"]"},
        {"'hello hello hello'.split(' ', -1)", "[\"hello\",\"hello\",\"hello\"]"},
        {"'a,,b,'.split(',')", "[\"a\",\"\",\"b\",\"\"]"},
        {"''.split(',')", "[\"\"]"},
        {"''.split('')", "[]"},
        {"'a\xc3\xa9'.split('')", "[\"a\",\"\xc3\xa9\"]"},
        {"'abc'.split('', 2)", "[\"a\",\"bc\"]"},
        {"l.join()", "\"helloworld\""},
        {"l.join(', ')", "\"hello, world\""},
        {"[].join('x')", "\"\""},
        {"'a-b-c'.split('-').map(p, p + p).join('+')", "\"aa+bb+cc\""},
        {"'TacoCat \xc3\x89'.lowerAscii()", "\"tacocat \xc3\x89\""},
        {"'TacoCat \xc3\xa9'.upperAscii()", "\"TACOCAT \xc3\xa9\""},
        {"'  \\ttrim\\n  '.trim()", "\"trim\""},
        {"'\\u00a0\\u3000a b\\u2003'.trim()", "\"a b\""},
        {"'   '.trim() + ''.trim()", "\"\""},
        {"'hello hello'.replace('he', 'we')", "\"wello wello\""},
        {"'hello hello'.replace('he', 'we', -1)", "\"wello wello\""},
        {"'hello hello'.replace('he', 'we', 1)", "\"wello hello\""},
        {"'hello hello'.replace('he', 'we', 0)", "\"hello hello\""},
        {"'hello'.replace('', '_')", "\"_h_e_l_l_o_\""},
        {"'hello'.replace('', '_', 2)", "\"_h_ello\""},
        {"'hello'.replace('l', '')", "\"heo\""},
        {"''.replace('', 'x')", "\"x\""},
    };
    static const struct bad_case FAILING[] = {
        {"l.join(1)", ERR_INVALID, 3, "join can't take an integer", ""},
        {"[1].join()", ERR_INVALID, 5, "join can't take an integer", ""},
        {"t.join()", ERR_INVALID, 3, "join can't take a text", ""},
        {"t.split(1)", ERR_INVALID, 3, "split can't take an integer", ""},
        {"t.split('', 'a')", ERR_INVALID, 3, "split can't take a text", ""},
        {"t.replace('a', 1)", ERR_INVALID, 3, "replace can't take an integer", ""},
        {"t.replace('a', 'b', 'c')", ERR_INVALID, 3, "replace can't take a text", ""},
        {"i.trim()", ERR_INVALID, 3, "trim can't take an integer", ""},
        {"n.lowerAscii()", ERR_INVALID, 3, "lowerAscii can't take null", ""},
        {"l.upperAscii()", ERR_INVALID, 3, "upperAscii can't take a list", ""},
    };
    ASSERT_GOOD(CASES, WORLD);
    ASSERT_BAD(FAILING, WORLD);
}

static void test_conversions(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"int('-42') + int(42u) + int(1.9) + int(-1.9)", "0"},
        {"int('9223372036854775807')", "9223372036854775807"},
        {"int('-9223372036854775808')", "-9223372036854775808"},
        {"uint(5) == 5u && uint('5') == 5u && uint(5.9) == 5u && uint(5u) == 5u", "true"},
        {"uint('18446744073709551615') == 18446744073709551615u", "true"},
        {"double(2) / 4.0", "0.5"},
        {"double('1e3') + double('.5') + double('-1') + double('+2.')", "1001.5"},
        {"double(3u)", "3.0"},
        {"double('Infinity') == 1.0 / 0.0 && double('-Inf') < 0.0", "true"},
        {"double('NaN') == double('NaN')", "false"},
        {"string(1) + string(1u) + string(true) + string('s')", "\"11trues\""},
        {"string(1.0) + ' ' + string(0.1) + ' ' + string(-2.5)", "\"1 0.1 -2.5\""},
        {"string(1e21) + ' ' + string(1.38e-23) + ' ' + string(123456789.0)",
         "\"1e+21 1.38e-23 123456789\""},
        {"string(0.0001) + ' ' + string(0.00001)", "\"0.0001 1e-05\""},
        {"string(1.0 / 0.0) + string(-1.0 / 0.0) + string(0.0 / 0.0)", "\"+Inf-InfNaN\""},
        {"bool('true') && bool('t') && bool('1') && bool('TRUE') && bool('True')", "true"},
        {"bool('false') || bool('f') || bool('0') || bool('FALSE') || bool('False')", "false"},
        {"dyn(1) == 1", "true"},
    };
    static const struct bad_case FAILING[] = {
        {"int('4.2')", ERR_INVALID, 1, "int() can't convert \"4.2\"", "does not say an integer"},
        {"int('')", ERR_INVALID, 1, "int() can't convert \"\"", ""},
        {"int('9223372036854775808')", ERR_INVALID, 1, "can't convert", ""},
        {"int(1e19)", ERR_INVALID, 1, "int() can't convert 1e+19", "outside of the range"},
        {"int(0.0 / 0.0)", ERR_INVALID, 1, "int() can't convert", ""},
        {"int(18446744073709551615u)", ERR_INVALID, 1, "can't convert", "range"},
        {"int(true)", ERR_INVALID, 1, "int() can't convert true", ""},
        {"int(null)", ERR_INVALID, 1, "int() can't convert null", ""},
        {"uint(-1)", ERR_INVALID, 1, "uint() can't convert -1", "range"},
        {"uint('-1')", ERR_INVALID, 1, "can't convert", ""},
        {"double('1 ')", ERR_INVALID, 1, "double() can't convert \"1 \"", "a number"},
        {"double('0x1p3')", ERR_INVALID, 1, "can't convert", ""},
        {"double('1e')", ERR_INVALID, 1, "can't convert", ""},
        {"double('.')", ERR_INVALID, 1, "can't convert", ""},
        {"double(true)", ERR_INVALID, 1, "can't convert", ""},
        {"string(n)", ERR_INVALID, 1, "string() can't convert null", "part"},
        {"string(l)", ERR_INVALID, 1, "string() can't convert a list", ""},
        {"bool('yes')", ERR_INVALID, 1, "bool() can't convert \"yes\"", ""},
        {"bool(1)", ERR_INVALID, 1, "bool() can't convert 1", ""},
        {"int(1 / 0)", ERR_INVALID, 7, "division", ""},
        {"nope(1)", ERR_INVALID, 1, "no function \"nope\"", ""},
        {"t.size(1)", ERR_INVALID, 3, "number of arguments", ""},
    };
    ASSERT_GOOD(CASES, WORLD);
    ASSERT_BAD(FAILING, WORLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size),        cmocka_unit_test(test_search),
        cmocka_unit_test(test_matches),     cmocka_unit_test(test_changes),
        cmocka_unit_test(test_conversions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
