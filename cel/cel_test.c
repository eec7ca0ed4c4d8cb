#include "base/test.h"

#include "base/limits.h"
#include "cel/cel.h"
#include <stdlib.h>
#include <string.h>

static const char WORLD[] =
    "{\"input\":{\"topic\":\"t\",\"n\":3,\"a key\":1,\"if\":2,\"\":4,\"\xc3\xa9\":5},"
    "\"find\":{\"links\":[{\"url\":\"u0\"},{\"url\":null}],\"empty\":[],\"o\":{}},"
    "\"nodes.find\":{\"status\":\"succeeded\"},\"text\":\"a \\\"b\\\"\",\"nothing\":null,"
    "\"half\":0.5,\"yes\":true}";

static value_t *parse(const char *json)
{
    value_t *value = NULL;
    struct err err = {0};
    if (value_from_json(json, strlen(json), &value, &err))
        fail_msg("%s: %s", json, err.what);
    return value;
}

static int resolve(void *context, const char *name, value_t **ret_value, struct err *err)
{
    const value_t *found = value_get(context, name);
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "no variable \"%s\"", name);
    *ret_value = value_ref(found);
    return 0;
}

static int evaluate(const char *text, value_t **ret_value, struct err *err)
{
    cel_t *program = NULL;
    int code = cel_compile(text, strlen(text), &program, err);
    if (code)
        return code;
    value_t *world = parse(WORLD);
    code = cel_eval(program, resolve, world, ret_value, err);
    value_destroy(&world);
    cel_destroy(&program);
    assert_null(program);
    return code;
}

static void assert_json(value_t *value, const char *expected)
{
    struct buf text = {0};
    value_to_json(value, VALUE_JSON_COMPACT, &text);
    assert_string_equal(buf_string(&text), expected);
    buf_release(&text);
}

struct good_case {
    const char *text;
    const char *json;
};

static void test_paths(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"input.topic", "\"t\""},
        {"input", "{\"topic\":\"t\",\"n\":3,\"a key\":1,\"if\":2,\"\":4,\"\xc3\xa9\":5}"},
        {" find\t. links\n[ 0 ] . url ", "\"u0\""},
        {"find.links[1].url", "null"},
        {"find.links[00]", "{\"url\":\"u0\"}"},
        {"input[\"a key\"]", "1"},
        {"input['a key']", "1"},
        {"input['a\\x20\\u006bey']", "1"},
        {"input[\"a\\040key\"]", "1"},
        {"input['\\u00e9']", "5"},
        {"input['\\U000000e9']", "5"},
        {"input['\xc3\xa9']", "5"},
        {"input['']", "4"},
        {"input.if", "2"},
        {"find['links'][0][\"url\"]", "\"u0\""},
        {"nodes.find.status", "\"succeeded\""},
        {"nodes[\"find\"].status", "\"succeeded\""},
        {"nothing", "null"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        value_t *value = NULL;
        struct err err = {0};
        if (evaluate(CASES[i].text, &value, &err))
            fail_msg("%s: %s", CASES[i].text, err.what);
        assert_json(value, CASES[i].json);
        value_destroy(&value);
    }
}

struct bad_case {
    const char *text;
    int code;
    unsigned column;
    const char *what; /* a part of the message */
    const char *fix;  /* a part of the remedy */
};

static void assert_all_refused(const struct bad_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        value_t *value = NULL;
        struct err err = {0};
        int code = evaluate(cases[i].text, &value, &err);
        if (code != cases[i].code || err.column != cases[i].column)
            fail_msg("%s: code %d, column %u: %s", cases[i].text, code, err.column, err.what);
        assert_int_equal(err.code, code);
        assert_null(value);
        assert_non_null(strstr(err.what, cases[i].what));
        assert_non_null(strstr(err.fix, cases[i].fix));
    }
}

static void test_rest_of_cel_is_unsupported(void **state)
{
    (void)state;
    static const struct bad_case CASES[] = {
        {"a+b", ERR_UNSUPPORTED, 2, "unsupported: an operator", "path"},
        {"a == b", ERR_UNSUPPORTED, 3, "unsupported", "path"},
        {"a && b", ERR_UNSUPPORTED, 3, "unsupported", "path"},
        {"a in b", ERR_UNSUPPORTED, 3, "unsupported", "path"},
        {"a ? b : c", ERR_UNSUPPORTED, 3, "unsupported", "path"},
        {"!a", ERR_UNSUPPORTED, 1, "unsupported", "path"},
        {"-1", ERR_UNSUPPORTED, 1, "unsupported", "path"},
        {"(a)", ERR_UNSUPPORTED, 1, "parentheses", "path"},
        {"has(a.b)", ERR_UNSUPPORTED, 4, "a function call", "path"},
        {"a.exists(x, x)", ERR_UNSUPPORTED, 9, "a function call", "path"},
        {"1", ERR_UNSUPPORTED, 1, "a literal", "path"},
        {"'x'", ERR_UNSUPPORTED, 1, "a literal", "path"},
        {"r'x'", ERR_UNSUPPORTED, 1, "a literal", "path"},
        {"true", ERR_UNSUPPORTED, 1, "a literal", "path"},
        {"null", ERR_UNSUPPORTED, 1, "a literal", "path"},
        {"[1]", ERR_UNSUPPORTED, 1, "a list or map literal", "path"},
        {"{}", ERR_UNSUPPORTED, 1, "a list or map literal", "path"},
        {".a", ERR_UNSUPPORTED, 1, "a leading dot", "path"},
        {"a[b]", ERR_UNSUPPORTED, 3, "an expression as an index", "path"},
        {"a[1 + 1]", ERR_UNSUPPORTED, 5, "an expression as an index", "path"},
        {"a[1u]", ERR_UNSUPPORTED, 3, "decimal integer", "path"},
        {"a[0x1]", ERR_UNSUPPORTED, 3, "decimal integer", "path"},
        {"a[1.0]", ERR_UNSUPPORTED, 3, "decimal integer", "path"},
    };
    assert_all_refused(CASES, sizeof CASES / sizeof CASES[0]);
}

static void test_what_is_no_cel(void **state)
{
    (void)state;
    static const struct bad_case CASES[] = {
        {"", ERR_INVALID, 1, "empty", "path"},
        {"  ", ERR_INVALID, 3, "empty", "path"},
        {"a b", ERR_INVALID, 3, "\"b\" is not expected", "path"},
        {"a@", ERR_INVALID, 2, "\"@\" is not expected", "path"},
        {"\xc3\xa9", ERR_INVALID, 1, "\"\xc3\xa9\" is not expected", "path"},
        {"a['\xc3\xa9'].\xc3\xa9", ERR_INVALID, 8, "must follow the dot", "[\"…\"]"},
        {"a\x01", ERR_INVALID, 2, "control character", "path"},
        {"for", ERR_INVALID, 1, "reserves", "rename"},
        {"package.x", ERR_INVALID, 1, "reserves", "rename"},
        {"a.in", ERR_INVALID, 3, "keyword", "[\"…\"]"},
        {"a.true", ERR_INVALID, 3, "keyword", "[\"…\"]"},
        {"a.", ERR_INVALID, 3, "must follow the dot", "name"},
        {"a.1", ERR_INVALID, 3, "must follow the dot", "name"},
        {"a[", ERR_INVALID, 3, "hold no index", "number"},
        {"a[]", ERR_INVALID, 3, "hold no index", "number"},
        {"a[1", ERR_INVALID, 2, "not closed", "]"},
        {"a[-1]", ERR_INVALID, 3, "negative", "from 0"},
        {"a[9223372036854775808]", ERR_INVALID, 3, "64 bits", "smaller"},
        {"a['x]", ERR_INVALID, 3, "not closed", "quote"},
        {"a['x\n']", ERR_INVALID, 3, "not closed", "quote"},
        {"a['\\q']", ERR_INVALID, 4, "no such escape", "backslash"},
        {"a['\\u12']", ERR_INVALID, 4, "too few digits", "four"},
        {"a['\\ud800']", ERR_INVALID, 4, "no Unicode character", "digits"},
        {"a['\\U00110000']", ERR_INVALID, 4, "no Unicode character", "digits"},
        {"nodes", ERR_INVALID, 1, "name of a node", "nodes.ID"},
        {"nodes[0].x", ERR_INVALID, 6, "name of a node", "nodes.ID"},
    };
    assert_all_refused(CASES, sizeof CASES / sizeof CASES[0]);
}

static void test_what_is_not_there(void **state)
{
    (void)state;
    static const struct bad_case CASES[] = {
        {"input.topc", ERR_NOT_FOUND, 6, "input has no field \"topc\"", "topic, n, a key"},
        {" find . o . x", ERR_NOT_FOUND, 11, "find . o has no field \"x\"", "empty"},
        {"find.links[2]", ERR_NOT_FOUND, 11, "find.links has 2 items", "0 to 1"},
        {"find.links[9223372036854775807]", ERR_NOT_FOUND, 11, "has 2 items", "0 to 1"},
        {"find.empty[0]", ERR_NOT_FOUND, 11, "0 items", "empty"},
        {"find.links.url", ERR_INVALID, 11, "find.links is a list", "find.links[0]"},
        {"find.links['0']", ERR_INVALID, 11, "find.links is a list", "find.links[0]"},
        {"text.x", ERR_INVALID, 5, "text is a text", "only objects"},
        {"text[0]", ERR_INVALID, 5, "text is a text", "only lists"},
        {"nothing.x", ERR_INVALID, 8, "nothing is null", "only objects"},
        {"input[0]", ERR_INVALID, 6, "input is an object", "topic"},
        {"input.n.x", ERR_INVALID, 8, "input.n is an integer", "only objects"},
        {"nodes.find.x", ERR_NOT_FOUND, 11, "nodes.find has no field \"x\"", "status"},
        {"absent.x", ERR_NOT_FOUND, 0, "no variable \"absent\"", ""},
    };
    assert_all_refused(CASES, sizeof CASES / sizeof CASES[0]);
}

static void test_variables(void **state)
{
    (void)state;
    static const char *const CASES[][3] = {
        /* text, variable, "sole" when nothing follows it */
        {"input", "input", "sole"},
        {" a ", "a", "sole"},
        {"input.x[0]", "input", ""},
        {"nodes.find", "nodes.find", "sole"},
        {"nodes.find.status", "nodes.find", ""},
        {"nodes['find']", "nodes.find", "sole"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        cel_t *program = NULL;
        assert_int_equal(cel_compile(CASES[i][0], strlen(CASES[i][0]), &program, NULL), 0);
        assert_int_equal(cel_variables(program), 1);
        assert_string_equal(cel_variable(program, 0), CASES[i][1]);
        assert_null(cel_variable(program, 1));
        const char *sole = cel_sole_variable(program);
        assert_int_equal(sole != NULL, CASES[i][2][0] != '\0');
        if (sole)
            assert_string_equal(sole, CASES[i][1]);
        cel_destroy(&program);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    struct buf text = {0};
    cel_t *program = NULL;
    buf_puts(&text, "a");
    for (int i = 0; i < LIMIT_EXPRESSION_STEPS; i++)
        buf_puts(&text, ".b");
    assert_int_equal(cel_compile(buf_string(&text), text.size, &program, NULL), 0);
    cel_destroy(&program);
    buf_puts(&text, "[0]");
    assert_int_equal(cel_compile(buf_string(&text), text.size, &program, NULL), ERR_INVALID);
    while (text.size <= LIMIT_EXPRESSION_BYTES)
        buf_putc(&text, ' ');
    assert_int_equal(cel_compile(buf_string(&text), text.size, &program, NULL), ERR_TOO_LARGE);
    assert_null(program);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),          cmocka_unit_test(test_rest_of_cel_is_unsupported),
        cmocka_unit_test(test_what_is_no_cel), cmocka_unit_test(test_what_is_not_there),
        cmocka_unit_test(test_variables),      cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
