#include "cel/fixture.h"

#include "base/limits.h"
#include <stdlib.h>
#include <string.h>

static const char WORLD[] =
    "{\"input\":{\"topic\":\"t\",\"n\":3,\"half\":0.5,\"quote\":\"a \\\"b\\\"\",\"}}\":7},"
    "\"find\":{\"links\":[{\"url\":\"u0\"},{\"url\":null}]},\"nothing\":null,\"yes\":true}";

/* The literal is gone before the template is evaluated: a template keeps what it needs. */
static int render(const char *json, value_t **ret_value, struct err *err)
{
    value_t *literal = fixture_parse(json);
    cel_template_t *template = NULL;
    int code = cel_template_compile(literal, &template, err);
    value_destroy(&literal);
    if (code)
        return code;
    value_t *world = fixture_parse(WORLD);
    code = cel_template_eval(template, fixture_resolve, world, ret_value, err);
    value_destroy(&world);
    cel_template_destroy(&template);
    assert_null(template);
    return code;
}

static void test_rendering(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"\"plain\"", "\"plain\""},
        {"\"\"", "\"\""},
        {"7", "7"},
        {"null", "null"},
        {"\"on {{input.topic}}!\"", "\"on t!\""},
        {"\"{{input.topic}}{{input.n}}\"", "\"t3\""},
        {"\"{{input.n}}\"", "3"},
        {"\"{{ input.n }}\"", "3"},
        {"\" {{input.n}}\"", "\" 3\""},
        {"\"{{find.links}}\"", "[{\"url\":\"u0\"},{\"url\":null}]"},
        {"\"x{{find.links}}\"", "\"x[{\\\"url\\\":\\\"u0\\\"},{\\\"url\\\":null}]\""},
        {"\"{{nothing}} {{yes}} {{input.half}} {{input.quote}}\"", "\"null true 0.5 a \\\"b\\\"\""},
        {"\"}} { {{input['}}']}} }\"", "\"}} { 7 }\""},
        {"{\"mode\":\"fast\",\"n\":\"{{input.n}}\",\"deep\":[1,{\"t\":\"<{{input.topic}}>\"}]}",
         "{\"mode\":\"fast\",\"n\":3,\"deep\":[1,{\"t\":\"<t>\"}]}"},
        {"{\"{{input.n}}\":\"{{input.n}}\"}", "{\"{{input.n}}\":3}"},
        {"[[],{},\"{{input.n}}\"]", "[[],{},3]"},
        {"\"\\u0000{{input.n}}\\u0000\"", "\"\\u00003\\u0000\""},
        {"\"{{input.n + 1}} of {{size(find.links)}}\"", "\"4 of 2\""},
        {"\"{{\\\"{{\\\"}}x{{'}}'}}\"", "\"{{x}}\""},
        {"\"{{ {'a': {'b': input.n}} }}\"", "{\"a\":{\"b\":3}}"},
        {"\"{{{'a': {'b': input.n}}}}\"", "{\"a\":{\"b\":3}}"},
        {"\"{{{'a': {'b': 1}}.a.b}}{{r'\\\\'}}{{'''it's }}'''}}\"", "\"1\\\\it's }}\""},
        {"\"{{input.n // }} \\n + 1}}\"", "4"},
        {"\"{{yes ? 'on ' + input.topic : ''}}\"", "\"on t\""},
        {"\"{{find.links.map(l, l.url).filter(u, u != null)}}\"", "[\"u0\"]"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        value_t *value = NULL;
        struct err err = {0};
        if (render(CASES[i].text, &value, &err))
            fail_msg("%s: %s", CASES[i].text, err.what);
        struct buf text = {0};
        value_to_json(value, VALUE_JSON_COMPACT, &text);
        assert_string_equal(buf_string(&text), CASES[i].json);
        buf_release(&text);
        value_destroy(&value);
    }
}

struct misplaced {
    const char *literal;
    int code;
    const char *where;
    unsigned column;
    const char *what;
};

static void test_errors_say_where(void **state)
{
    (void)state;
    static const struct misplaced CASES[] = {
        {"\"a {{b\"", ERR_INVALID, "", 3, "not closed"},
        {"\"\xc3\xa9 {{\"", ERR_INVALID, "", 3, "not closed"},
        {"\"{{a}} {{a['}}\"", ERR_INVALID, "", 11, "not closed"},
        {"\"{{}}\"", ERR_INVALID, "", 3, "empty"},
        {"\"\xc3\xa9 {{1 + nothing}}\"", ERR_INVALID, "", 7, "+ can't take an integer and null"},
        {"\"{{[1}} and {{2]}}\"", ERR_INVALID, "", 3, "not closed"},
        {"\"{{ {'a': 1 }} and {{2}}\"", ERR_INVALID, "", 4, "not closed"},
        {"{\"text\":\"{{a b}}\"}", ERR_INVALID, "text", 5, "not expected"},
        {"{\"list\":[1,\"x\",\"{{a b}}\"]}", ERR_INVALID, "list[2]", 5, "not expected"},
        {"[{\"a key\":{\"b\":\"{{b'x'}}\"}}]", ERR_UNSUPPORTED, "[0][\"a key\"].b", 3, "bytes"},
        {"{\"a\":{\"b\":\"n {{input.m}}\"}}", ERR_NOT_FOUND, "a.b", 10, "no field \"m\""},
        {"[\"{{input.m}}\"]", ERR_NOT_FOUND, "[0]", 8, "no field \"m\""},
        {"[\"{{absent}}\"]", ERR_NOT_FOUND, "[0]", 3, "no variable"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        value_t *value = NULL;
        struct err err = {0};
        int code = render(CASES[i].literal, &value, &err);
        if (code != CASES[i].code || err.column != CASES[i].column)
            fail_msg("%s: code %d, column %u: %s", CASES[i].literal, code, err.column, err.what);
        assert_null(value);
        assert_string_equal(err.where, CASES[i].where);
        assert_non_null(strstr(err.what, CASES[i].what));
        value_t *literal = fixture_parse(CASES[i].literal);
        cel_template_t *template = NULL;
        if (cel_template_compile(literal, &template, NULL) == 0)
            cel_template_destroy(&template);
        value_destroy(&literal);
    }
}

static void test_variables_once_and_in_order(void **state)
{
    (void)state;
    value_t *literal = fixture_parse("{\"z\":\"{{b.x}} {{a}} {{b}}\",\"y\":[\"{{nodes.c.status}}\","
                                     "\"{{a.q}}\"],\"x\":\"none\"}");
    cel_template_t *template = NULL;
    assert_int_equal(cel_template_compile(literal, &template, NULL), 0);
    assert_int_equal(cel_template_variables(template), 3);
    assert_string_equal(cel_template_variable(template, 0), "b");
    assert_string_equal(cel_template_variable(template, 1), "a");
    assert_string_equal(cel_template_variable(template, 2), "nodes.c");
    assert_null(cel_template_variable(template, 3));
    assert_null(cel_template_sole_variable(template));
    cel_template_destroy(&template);
    value_destroy(&literal);
}

static void test_sole_variable(void **state)
{
    (void)state;
    static const char *const CASES[][2] = {
        {"\"{{find}}\"", "find"}, {"\"{{ find }}\"", "find"}, {"\"{{find.x}}\"", ""},
        {"\"{{find}} \"", ""},    {"[\"{{find}}\"]", ""},     {"\"find\"", ""},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        value_t *literal = fixture_parse(CASES[i][0]);
        cel_template_t *template = NULL;
        assert_int_equal(cel_template_compile(literal, &template, NULL), 0);
        const char *sole = cel_template_sole_variable(template);
        assert_string_equal(sole ? sole : "", CASES[i][1]);
        cel_template_destroy(&template);
        value_destroy(&literal);
    }
}

static value_t *nest(value_t *value, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++) {
        value_t *outer = value_list();
        value_append(outer, &value);
        value = outer;
    }
    return value;
}

static void test_depth_of_literals(void **state)
{
    (void)state;
    value_t *literal = nest(value_string("{{a}}"), LIMIT_TEMPLATE_DEPTH);
    cel_template_t *template = NULL;
    assert_int_equal(cel_template_compile(literal, &template, NULL), 0);
    cel_template_destroy(&template);
    literal = nest(literal, 1);
    struct err err = {0};
    assert_int_equal(cel_template_compile(literal, &template, &err), ERR_TOO_DEEP);
    assert_true(err.where[0] && err.fix[0]);
    value_destroy(&literal);
}

static void test_depth_of_results(void **state)
{
    (void)state;
    value_t *literal = fixture_parse("[\"{{a}}\"]");
    cel_template_t *template = NULL;
    assert_int_equal(cel_template_compile(literal, &template, NULL), 0);
    value_t *world = value_map();
    value_t *deep = nest(value_int(1), LIMIT_VALUE_DEPTH - 1);
    value_set(world, "a", &deep);
    value_t *result = NULL;
    assert_int_equal(cel_template_eval(template, fixture_resolve, world, &result, NULL), 0);
    assert_int_equal(value_depth(result), LIMIT_VALUE_DEPTH);
    value_destroy(&result);
    deep = nest(value_int(1), LIMIT_VALUE_DEPTH);
    value_set(world, "a", &deep);
    assert_int_equal(cel_template_eval(template, fixture_resolve, world, &result, NULL),
                     ERR_TOO_DEEP);
    assert_null(result);
    value_destroy(&world);
    cel_template_destroy(&template);
    value_destroy(&literal);
}

static void test_sizes(void **state)
{
    (void)state;
    struct buf text = {0};
    while (text.size < LIMIT_EXPRESSION_BYTES - 5)
        buf_putc(&text, 'x');
    buf_puts(&text, "{{a}}");
    value_t *literal = value_string_n(buf_string(&text), text.size);
    cel_template_t *template = NULL;
    assert_int_equal(cel_template_compile(literal, &template, NULL), 0);
    cel_template_destroy(&template);
    value_destroy(&literal);
    buf_putc(&text, 'x');
    literal = value_string_n(buf_string(&text), text.size);
    assert_int_equal(cel_template_compile(literal, &template, NULL), ERR_TOO_LARGE);
    value_destroy(&literal);
    /* Without an expression there is no such bound. */
    text.data[text.size - 6] = ' ';
    text.data[text.size - 5] = ' ';
    literal = value_string_n(buf_string(&text), text.size);
    assert_int_equal(cel_template_compile(literal, &template, NULL), 0);
    cel_template_destroy(&template);
    value_destroy(&literal);
    buf_release(&text);
}

/* A text that names a large value again and again is stopped on its way. */
static void test_growth_is_bounded(void **state)
{
    (void)state;
    struct buf text = {0};
    for (int i = 0; i < 1000; i++)
        buf_puts(&text, "{{a}}");
    value_t *literal = value_string_n(buf_string(&text), text.size);
    cel_template_t *template = NULL;
    assert_int_equal(cel_template_compile(literal, &template, NULL), 0);
    value_t *world = value_map();
    char *large = xcalloc(1, (1 << 20) + 1);
    memset(large, 'x', 1 << 20);
    value_set_string(world, "a", large);
    value_t *result = NULL;
    struct err err = {0};
    assert_int_equal(cel_template_eval(template, fixture_resolve, world, &result, &err),
                     ERR_TOO_LARGE);
    assert_null(result);
    free(large);
    value_destroy(&world);
    cel_template_destroy(&template);
    value_destroy(&literal);
    buf_release(&text);
}

struct counted {
    value_t *world;
    int count;
};

static int resolve_counted(void *context, const char *name, value_t **ret_value, struct err *err)
{
    struct counted *self = context;
    self->count++;
    return fixture_resolve(self->world, name, ret_value, err);
}

/* Many texts share the bytes of one value: no more of them is made than fits into it. */
static void test_bytes_are_shared(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"x{{t}}", "{{t}}", "{{t + 'x'}}", "{{l}} of {{i}}",
                                        "{{[t]}}"};
    value_t *world = fixture_parse("{\"i\":1}");
    char *large = xcalloc(1, (10 << 20) + 1);
    memset(large, 'x', 10 << 20);
    value_t *list = value_list();
    value_t *item = value_string(large);
    value_append(list, &item);
    value_set_string(world, "t", large);
    free(large);
    value_set(world, "l", &list);
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        value_t *literal = value_list();
        cel_template_t *template = NULL;
        value_t *result = NULL;
        struct counted counted = {.world = world};
        struct err err = {0};
        for (int key = 0; key < 40; key++) {
            item = value_string(TEXTS[i]);
            value_append(literal, &item);
        }
        assert_int_equal(cel_template_compile(literal, &template, NULL), 0);
        assert_int_equal(cel_template_eval(template, resolve_counted, &counted, &result, &err),
                         ERR_TOO_LARGE);
        assert_null(result);
        assert_string_equal(err.where, "[6]");
        assert_int_equal(counted.count, strchr(TEXTS[i], 'i') ? 13 : 7);
        cel_template_destroy(&template);
        value_destroy(&literal);
    }
    value_destroy(&world);
}

/* Many expressions share the steps of one. */
static void test_steps_are_shared(void **state)
{
    (void)state;
    static const char WORK[] = "{{a.all(x, a.all(y, x + y >= 0))}}";
    struct buf text = {0};
    struct err err = {0};
    value_t *world = value_map();
    value_t *list = value_list();
    for (int i = 0; i < 500; i++) {
        value_t *item = value_int(i);
        value_append(list, &item);
    }
    value_set(world, "a", &list);
    for (int i = 0; i < 20; i++) {
        buf_puts(&text, WORK);
        value_t *literal = value_string_n(buf_string(&text), text.size);
        cel_template_t *template = NULL;
        value_t *result = NULL;
        assert_int_equal(cel_template_compile(literal, &template, NULL), 0);
        if (i == 0)
            assert_int_equal(cel_template_eval(template, fixture_resolve, world, &result, &err), 0);
        if (i == 19)
            assert_int_equal(cel_template_eval(template, fixture_resolve, world, &result, &err),
                             ERR_LIMIT);
        value_destroy(&result);
        cel_template_destroy(&template);
        value_destroy(&literal);
    }
    assert_non_null(strstr(err.what, "steps"));
    value_destroy(&world);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rendering),
        cmocka_unit_test(test_errors_say_where),
        cmocka_unit_test(test_variables_once_and_in_order),
        cmocka_unit_test(test_sole_variable),
        cmocka_unit_test(test_depth_of_literals),
        cmocka_unit_test(test_depth_of_results),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_growth_is_bounded),
        cmocka_unit_test(test_bytes_are_shared),
        cmocka_unit_test(test_steps_are_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
