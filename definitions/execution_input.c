/* The inputs of executions against the `input` of their workflow. */
#include "base/limits.h"
#include "definitions/diagnostics.h"
#include "definitions/instance.h"
#include <stdio.h>
#include <string.h>

static int unknown_input(const value_t *schemas, const char *name, struct err *err)
{
    struct suggestion suggestion = SUGGESTION(name);
    char fix[160];
    for (size_t i = 0; i < value_size(schemas); i++)
        suggestion_offer(&suggestion, value_key_at(schemas, i, NULL));
    int code = err_set(err, ERR_INVALID, "the workflow has no input \"%.64s\"", name);
    err_where(err, "input.%.64s", name);
    err_fix(err, "%s",
            suggestion.nearest ? suggestion_text(&suggestion, fix, sizeof fix) : "leave it out");
    return code;
}

static int missing_input(const value_t *schema, const char *name, struct err *err)
{
    const char *type = value_get_string(schema, "type", "");
    int code = err_set(err, ERR_INVALID, "the workflow needs the input \"%.64s\"%s%s", name,
                       *type ? ", of type " : "", type_for_people(type));
    err_where(err, "input.%.64s", name);
    err_fix(err, "give it, for example with -i %.64s=...", name);
    return code;
}

/* Takes one input over, or its default. */
static int take_input(const char *name, const value_t *schema, const value_t *input, value_t *into,
                      struct err *err)
{
    char path[LIMIT_NAME_BYTES + 16];
    const value_t *given = input ? value_get(input, name) : NULL;
    const value_t *from = given ? given : value_get(schema, "default");
    if (!from)
        return value_get_bool(schema, "required", true) ? missing_input(schema, name, err) : 0;
    (void)snprintf(path, sizeof path, "input.%.64s", name);
    value_t *taken = instance_with_defaults(schema, from);
    int code = instance_check_at(path, schema, taken, err);
    if (code == 0)
        value_set(into, name, &taken);
    value_destroy(&taken);
    return code;
}

static int take_inputs(const value_t *schemas, const value_t *input, value_t *into, struct err *err)
{
    for (size_t i = 0; input && i < value_size(input); i++)
        if (!value_get(schemas, value_key_at(input, i, NULL)))
            return unknown_input(schemas, value_key_at(input, i, NULL), err);
    int code = 0;
    for (size_t i = 0; code == 0 && i < value_size(schemas); i++)
        code = take_input(value_key_at(schemas, i, NULL), value_member_at(schemas, i), input, into,
                          err);
    return code;
}

int workflow_check_input(const value_t *canonical, const value_t *input,
                         value_t **ret_with_defaults, struct err *err)
{
    const value_t *schemas = value_get(canonical, "input");
    if (!schemas) {
        *ret_with_defaults = input ? value_ref(input) : value_null();
        return 0;
    }
    if (input && value_type(input) == VALUE_NULL)
        input = NULL;
    if (value_type(schemas) != VALUE_MAP || (input && value_type(input) != VALUE_MAP)) {
        int code =
            err_set(err, ERR_INVALID, "the input must be an object of the workflow's inputs");
        err_where(err, "input");
        err_fix(err, "give a JSON object, or -i name=value for each");
        return code;
    }
    value_t *with_defaults = value_map();
    int code = take_inputs(schemas, input, with_defaults, err);
    if (code != 0)
        value_destroy(&with_defaults);
    else
        *ret_with_defaults = with_defaults;
    return code;
}
