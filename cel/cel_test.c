#include "cel/fixture.h"

#include <string.h>

static const char WORLD[] =
    "{\"input\":{\"topic\":\"t\",\"n\":3,\"a key\":1,\"if\":2,\"\":4,\"\xc3\xa9\":5},"
    "\"find\":{\"links\":[{\"url\":\"u0\"},{\"url\":null}],\"empty\":[],\"o\":{}},"
    "\"nodes.find\":{\"status\":\"succeeded\"},\"text\":\"a \\\"b\\\"\",\"nothing\":null,"
    "\"half\":0.5,\"yes\":true}";

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
    ASSERT_GOOD(CASES, WORLD);
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
        {"1 == absent.x", ERR_NOT_FOUND, 6, "no variable \"absent\"", ""},
        {"find.links[-1]", ERR_NOT_FOUND, 11, "find.links has 2 items and no index -1", "0 to 1"},
        {"find.links[0.5]", ERR_INVALID, 11, "find.links is a list and has no index 0.5", "whole"},
        {"input['x'].y", ERR_NOT_FOUND, 6, "input has no field \"x\"", "topic"},
        {"{'a': 1}.b", ERR_NOT_FOUND, 9, "{'a': 1} has no field \"b\"", "its fields are a"},
        {"{1: 2}[3]", ERR_NOT_FOUND, 7, "{1: 2} has no index 3", "are 1"},
        {"(find.links + [1])[2].url", ERR_INVALID, 22, "is an integer and has no", "only objects"},
        {"size(find.links.map(l, l.uri))", ERR_NOT_FOUND, 25, "l has no field \"uri\"", "url"},
    };
    ASSERT_BAD(CASES, WORLD);
}

static cel_t *compile(const char *text)
{
    cel_t *program = NULL;
    struct err err = {0};
    if (cel_compile(text, strlen(text), &program, &err))
        fail_msg("%s: %s", text, err.what);
    return program;
}

static void test_variables(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *variables;
        const char *sole;
    } CASES[] = {
        {"input", "input", "input"},
        {" a ", "a", "a"},
        {"(a)", "a", "a"},
        {"input.x[0]", "input", ""},
        {"nodes.find", "nodes.find", "nodes.find"},
        {"nodes.find.status", "nodes.find", ""},
        {"nodes['find']", "nodes.find", "nodes.find"},
        {"b + a.c + b.d", "b a", ""},
        {"a[b] ? c(d) : e.f(g) // h", "a b d e g", ""},
        {"a.map(x, x + y).filter(z, x == z)", "a y x", ""},
        {"x.exists(x, x.exists(x, x))", "x", ""},
        {"a.map(x, .x)", "a x", ""},
        {"a.map(nodes, nodes.b)", "a", ""},
        {"nodes.b.status == nodes['c'].status", "nodes.b nodes.c", ""},
        {"type(a) == int", "a", ""},
        {"{'k': v}.k", "v", ""},
        {"'a' + \"b\" + r'c'", "", ""},
        {"has(a.b)", "a", ""},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        cel_t *program = compile(CASES[i].text);
        struct buf names = {0};
        for (size_t j = 0; j < cel_variables(program); j++)
            buf_printf(&names, "%s%s", j ? " " : "", cel_variable(program, j));
        if (strcmp(buf_string(&names), CASES[i].variables) != 0)
            fail_msg("%s names %s", CASES[i].text, buf_string(&names));
        assert_null(cel_variable(program, cel_variables(program)));
        const char *sole = cel_sole_variable(program);
        assert_string_equal(sole ? sole : "", CASES[i].sole);
        buf_release(&names);
        cel_destroy(&program);
    }
}

static void test_references(void **state)
{
    (void)state;
    static const struct {
        const char *variable;
        const char *field;
        size_t offset;
        size_t field_offset;
    } EXPECTED[] = {
        {"a", "b", 0, 2},         {"a", "c d", 6, 9}, {"nodes.x", "y", 23, 25},
        {"nodes.z", NULL, 36, 0}, {"e", NULL, 43, 0}, {"a", "f", 46, 48},
    };
    cel_t *program = compile("a.b + a['c d'] + nodes.x.y + nodes['z'] + [e][a.f].g");
    assert_int_equal(cel_references(program), sizeof EXPECTED / sizeof EXPECTED[0]);
    for (size_t i = 0; i < cel_references(program); i++) {
        const struct cel_reference *found = cel_reference(program, i);
        assert_string_equal(found->variable, EXPECTED[i].variable);
        assert_string_equal(found->field ? found->field : "",
                            EXPECTED[i].field ? EXPECTED[i].field : "");
        assert_int_equal(found->offset, EXPECTED[i].offset);
        assert_int_equal(found->field_offset, EXPECTED[i].field_offset);
    }
    assert_null(cel_reference(program, cel_references(program)));
    cel_destroy(&program);
}

static void test_paths_are_told_apart(void **state)
{
    (void)state;
    static const char *const PATHS[] = {"a", "a.b", "a[0]['b'].c", "nodes.a.status", "(a).b"};
    static const char *const OTHERS[] = {"1",    "a + b", "a[b]",  "a == 1",     "has(a.b)",
                                         "-a.b", "[a]",   "a.b()", "a.map(x, x)"};
    for (size_t i = 0; i < sizeof PATHS / sizeof PATHS[0]; i++) {
        cel_t *program = compile(PATHS[i]);
        assert_true(cel_is_path(program));
        cel_destroy(&program);
    }
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++) {
        cel_t *program = compile(OTHERS[i]);
        if (cel_is_path(program))
            fail_msg("%s is no path", OTHERS[i]);
        cel_destroy(&program);
    }
    assert_true(cel_is_type("list"));
    assert_false(cel_is_type("lists"));
}

static void test_declared_names(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"a.b", "a", "int"};
    static const struct cel_names DECLARED = {NAMES, 3};
    static const char *const CASES[][2] = {
        {"a.b.c", "a.b"}, {"a.c", "a"}, {"a.b(1)", "a"}, {"int == 1", "int"}, {"b.a", "b"}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        cel_t *program = NULL;
        assert_int_equal(
            cel_compile_with(CASES[i][0], strlen(CASES[i][0]), &DECLARED, &program, NULL), 0);
        assert_string_equal(cel_variable(program, 0), CASES[i][1]);
        cel_destroy(&program);
    }
}

static void test_functions_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned column;
        const char *what;
        const char *fix;
    } CASES[] = {
        {"a.contians('x') || true", 3, "no function \"contians\"", "did you mean \"contains\"?"},
        {"nothing_like_it(1)", 1, "no function", "docs/expressions.md"},
        {"1 + size(a, b)", 5, "number of arguments", "give it 1"},
        {"a.split()", 3, "number of arguments", "give it 1 or 2"},
        {"contains(a, b)", 1, "called on a value", "x.contains(…)"},
        {"a.int()", 3, "no function of a value", "int(x)"},
        {"filter(a, b)", 1, "called on a list", "list.filter(x, …)"},
        {"duration('1s')", 1, "JSON has no such values", "docs/expressions.md"},
        {"a.getHours()", 3, "JSON has no such values", "docs/expressions.md"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct err err = {0};
        cel_t *program = compile(CASES[i].text);
        assert_int_equal(cel_check(program, &err), ERR_INVALID);
        assert_int_equal(cel_check(program, NULL), ERR_INVALID);
        if (err.column != CASES[i].column || !strstr(err.what, CASES[i].what) ||
            !strstr(err.fix, CASES[i].fix))
            fail_msg("%s: column %u: %s; %s", CASES[i].text, err.column, err.what, err.fix);
        cel_destroy(&program);
    }
    cel_t *program = compile("size(a)");
    assert_int_equal(cel_check(program, NULL), 0);
    cel_destroy(&program);
}

struct counted {
    int calls;
    int code;
};

static int count_calls(void *context, const char *name, value_t **ret_value, struct err *err)
{
    struct counted *self = context;
    self->calls++;
    if (strcmp(name, "bad") == 0)
        return err_set(err, self->code, "there is no %s", name);
    *ret_value = value_int(1);
    return 0;
}

/* A variable that isn't there is an error of the expression; a disk that fails is none. */
static void test_resolver(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code; /* of the resolver, for "bad" */
        int expected;
        int calls;
    } CASES[] = {
        {"a + a + a", 0, 0, 1},
        {"true || a == 1", 0, 0, 0},
        {"a == 1 ? 1 : b", 0, 0, 1},
        {"bad == 1 || true", ERR_NOT_FOUND, 0, 1},
        {"[1, 2].exists(x, bad == 1 || x == 2)", ERR_NOT_FOUND, 0, 1},
        {"bad == 1 || a == 2", ERR_NOT_FOUND, ERR_NOT_FOUND, 2},
        {"bad == 1 || true", ERR_IO, ERR_IO, 1},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct counted counted = {0, CASES[i].code};
        struct err err = {0};
        value_t *value = NULL;
        cel_t *program = compile(CASES[i].text);
        assert_int_equal(cel_eval(program, count_calls, &counted, &value, &err), CASES[i].expected);
        assert_int_equal(counted.calls, CASES[i].calls);
        if (CASES[i].expected)
            assert_string_equal(err.what, "there is no bad");
        value_destroy(&value);
        cel_destroy(&program);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_what_is_not_there),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_paths_are_told_apart),
        cmocka_unit_test(test_declared_names),
        cmocka_unit_test(test_functions_are_checked),
        cmocka_unit_test(test_resolver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
