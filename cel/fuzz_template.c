/* Whatever is taken for a template, as a text or as a JSON literal: compiling and evaluating it end
 * in a value or in an error that says something. */
#include "cel/cel.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static value_t *make_input(void)
{
    static const char TEXT[] = "{\"n\":3,\"topic\":\"t\",\"list\":[1,{\"x\":null}],\"a key\":[{}]}";
    value_t *input = NULL;
    CHECK(value_from_json(TEXT, strlen(TEXT), &input, NULL) == 0);
    return input;
}

static int resolve(void *context, const char *name, value_t **ret_value, struct err *err)
{
    const value_t *input = context;
    if (strcmp(name, "nodes.unknown") == 0)
        return err_set(err, ERR_NOT_FOUND, "there is no such node");
    *ret_value = value_ref(input);
    return 0;
}

static void try_literal(const value_t *literal, const value_t *input)
{
    struct err err = {0};
    cel_template_t *template = NULL;
    if (cel_template_compile(literal, &template, &err)) {
        CHECK(err.code != 0 && err.what[0]);
        return;
    }
    for (size_t i = 0; i < cel_template_variables(template); i++)
        CHECK(cel_template_variable(template, i)[0]);
    cel_template_sole_variable(template);
    value_t *value = NULL;
    if (cel_template_eval(template, resolve, (void *)(uintptr_t)input, &value, &err))
        CHECK(err.code != 0 && err.what[0]);
    else
        CHECK(value_check_limits(value, NULL) == 0);
    value_destroy(&value);
    cel_template_destroy(&template);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    value_t *input = make_input();
    value_t *literal = value_string_lossy(data, size);
    try_literal(literal, input);
    value_destroy(&literal);
    if (!value_from_json((const char *)data, size, &literal, NULL)) {
        try_literal(literal, input);
        value_destroy(&literal);
    }
    cel_t *program = NULL;
    if (!cel_compile((const char *)data, size, &program, NULL))
        cel_destroy(&program);
    value_destroy(&input);
    return 0;
}
