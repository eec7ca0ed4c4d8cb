#include "cel/fixture.h"

#include <string.h>

value_t *fixture_parse(const char *json)
{
    value_t *value = NULL;
    struct err err = {0};
    if (value_from_json(json, strlen(json), &value, &err))
        fail_msg("%s: %s", json, err.what);
    return value;
}

int fixture_resolve(void *context, const char *name, value_t **ret_value, struct err *err)
{
    const value_t *found = value_get(context, name);
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "no variable \"%s\"", name);
    *ret_value = value_ref(found);
    return 0;
}

int fixture_evaluate(const char *text, const char *world_json, value_t **ret_value, struct err *err)
{
    cel_t *program = NULL;
    int code = cel_compile(text, strlen(text), &program, err);
    if (code)
        return code;
    value_t *world = fixture_parse(world_json);
    code = cel_eval(program, fixture_resolve, world, ret_value, err);
    value_destroy(&world);
    cel_destroy(&program);
    assert_null(program);
    return code;
}

void fixture_assert_json(const value_t *value, const char *expected)
{
    struct buf text = {0};
    value_to_json(value, VALUE_JSON_COMPACT, &text);
    assert_string_equal(buf_string(&text), expected);
    buf_release(&text);
}

void fixture_good(const struct good_case *cases, size_t count, const char *world)
{
    for (size_t i = 0; i < count; i++) {
        value_t *value = NULL;
        struct err err = {0};
        struct buf text = {0};
        if (fixture_evaluate(cases[i].text, world, &value, &err))
            fail_msg("%s: %s", cases[i].text, err.what);
        value_to_json(value, VALUE_JSON_COMPACT, &text);
        if (strcmp(buf_string(&text), cases[i].json) != 0)
            fail_msg("%s gives %s, not %s", cases[i].text, buf_string(&text), cases[i].json);
        buf_release(&text);
        value_destroy(&value);
    }
}

void fixture_bad(const struct bad_case *cases, size_t count, const char *world)
{
    for (size_t i = 0; i < count; i++) {
        value_t *value = NULL;
        struct err err = {0};
        int code = fixture_evaluate(cases[i].text, world, &value, &err);
        if (code != cases[i].code || err.column != cases[i].column)
            fail_msg("%s: code %d, column %u: %s", cases[i].text, code, err.column, err.what);
        assert_int_equal(err.code, code);
        assert_null(value);
        if (!strstr(err.what, cases[i].what) || !strstr(err.fix, cases[i].fix))
            fail_msg("%s: %s; %s", cases[i].text, err.what, err.fix);
        assert_int_equal(fixture_evaluate(cases[i].text, world, &value, NULL), code);
    }
}

void fixture_fail(const char *const *texts, size_t count, const char *world)
{
    for (size_t i = 0; i < count; i++) {
        value_t *value = NULL;
        struct err err = {0};
        if (fixture_evaluate(texts[i], world, &value, &err) == 0) {
            struct buf json = {0};
            value_to_json(value, VALUE_JSON_COMPACT, &json);
            fail_msg("%s gives %s", texts[i], buf_string(&json));
        }
        assert_true(err.code < 0 && err.what[0] && err.fix[0] && err.column > 0);
    }
}
