/* Whatever is taken for an expression: compiling and evaluating it end in a value within the limits
 * or in an error that says something, and what the program tells about itself holds together. */
#include "cel/cel.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static value_t *make_world(void)
{
    static const char TEXT[] =
        "{\"n\":3,\"d\":0.5,\"s\":\"a text\",\"l\":[1,2.5,\"x\",null,[true]],\"m\":{\"a\":1,\"b\":"
        "{\"c\":[]}},\"yes\":true}";
    value_t *world = NULL;
    CHECK(value_from_json(TEXT, strlen(TEXT), &world, NULL) == 0);
    return world;
}

static int resolve(void *context, const char *name, value_t **ret_value, struct err *err)
{
    const value_t *found = value_get(context, name);
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "there is no variable \"%s\"", name);
    *ret_value = value_ref(found);
    return 0;
}

static void look_at(const cel_t *program, size_t size)
{
    size_t known = 0;
    for (size_t i = 0; i < cel_references(program); i++) {
        const struct cel_reference *reference = cel_reference(program, i);
        CHECK(reference->offset <= size && (!reference->field || reference->field_offset <= size));
        known += reference->variable == cel_variable(program, known);
    }
    CHECK(known == cel_variables(program));
    CHECK(!cel_sole_variable(program) || cel_is_path(program));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    cel_t *program = NULL;
    value_t *value = NULL;
    const char *close = cel_template_close((const char *)data, size);
    CHECK(!close || (close >= (const char *)data && close + 2 <= (const char *)data + size));
    value_t *text = value_string_lossy(data, size);
    if (cel_compile(value_as_string(text), value_size(text), &program, &err)) {
        CHECK(err.code != 0 && err.what[0] && err.fix[0]);
        value_destroy(&text);
        return 0;
    }
    look_at(program, value_size(text));
    value_destroy(&text);
    if (cel_check(program, &err))
        CHECK(err.code != 0 && err.what[0] && err.column > 0);
    value_t *world = make_world();
    err = (struct err){0};
    if (cel_eval(program, resolve, world, &value, &err))
        CHECK(err.code != 0 && err.what[0] && !value);
    else
        CHECK(value_check_limits(value, NULL) == 0);
    value_destroy(&value);
    value_destroy(&world);
    cel_destroy(&program);
    return 0;
}
