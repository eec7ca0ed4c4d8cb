#include "cel/path.h"

#include "base/utf8.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES  100
#define SHOWN_FIELDS 12

void cel_destroy(cel_t **self_p)
{
    cel_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (size_t i = 0; i < self->step_count; i++)
        free(self->steps[i].field);
    free(self->steps);
    free(self->variable);
    free(self->text);
    free(self);
}

size_t cel_variables(const cel_t *self)
{
    (void)self;
    return 1;
}

const char *cel_variable(const cel_t *self, size_t index)
{
    return index == 0 ? self->variable : NULL;
}

const char *cel_sole_variable(const cel_t *self)
{
    return self->step_count == 0 ? self->variable : NULL;
}

/* What stands before a step, as it was written: "find.links". */
struct prefix {
    const char *text;
    int size;
};

static struct prefix prefix_before(const cel_t *self, size_t step)
{
    size_t start = strspn(self->text, " \t\r\n\f");
    size_t size = self->steps[step].start - start;
    while (size > 0 && strchr(" \t\r\n\f", self->text[start + size - 1]))
        size--;
    size_t shown = size > SHOWN_BYTES ? utf8_cut(self->text + start, SHOWN_BYTES) : size;
    return (struct prefix){self->text + start, (int)shown};
}

static const char *article(enum value_type type)
{
    switch (type) {
    case VALUE_NULL: return "";
    case VALUE_INT:
    case VALUE_MAP: return "an ";
    default: return "a ";
    }
}

/* As many of the object's fields as fit the remedy. */
static void list_fields(const value_t *map, struct err *err)
{
    struct buf names = {0};
    size_t count = value_size(map);
    size_t shown = 0;
    for (; shown < count && shown < SHOWN_FIELDS && names.size < SHOWN_BYTES; shown++) {
        size_t size;
        const char *key = value_key_at(map, shown, &size);
        int cut = (int)(size > SHOWN_BYTES ? utf8_cut(key, SHOWN_BYTES) : size);
        buf_printf(&names, "%s%.*s", shown ? ", " : "", cut, key);
    }
    if (count == 0)
        err_fix(err, "the object is empty; look at what makes it");
    else if (shown == count)
        err_fix(err, "its fields are %s", buf_string(&names));
    else
        err_fix(err, "its fields are %s and %zu more", buf_string(&names), count - shown);
    buf_release(&names);
}

static int missing_field(const cel_t *self, size_t at, const value_t *value, struct err *err)
{
    const struct step *step = &self->steps[at];
    struct prefix prefix = prefix_before(self, at);
    int shown = (int)(step->field_size > SHOWN_BYTES ? utf8_cut(step->field, SHOWN_BYTES)
                                                     : step->field_size);
    if (value_type(value) == VALUE_MAP) {
        err_set(err, ERR_NOT_FOUND, "%.*s has no field \"%.*s\"", prefix.size, prefix.text, shown,
                step->field);
        list_fields(value, err);
        return ERR_NOT_FOUND;
    }
    enum value_type type = value_type(value);
    err_set(err, ERR_INVALID, "%.*s is %s%s and has no field \"%.*s\"", prefix.size, prefix.text,
            article(type), value_type_name(type), shown, step->field);
    if (type == VALUE_LIST)
        err_fix(err, "choose an item first: %.*s[0]", prefix.size, prefix.text);
    else
        err_fix(err, "only objects have fields");
    return ERR_INVALID;
}

static int missing_index(const cel_t *self, size_t at, const value_t *value, struct err *err)
{
    int64_t index = self->steps[at].index;
    struct prefix prefix = prefix_before(self, at);
    enum value_type type = value_type(value);
    if (type != VALUE_LIST) {
        err_set(err, ERR_INVALID, "%.*s is %s%s and has no index %" PRId64, prefix.size,
                prefix.text, article(type), value_type_name(type), index);
        if (type == VALUE_MAP)
            list_fields(value, err);
        else
            err_fix(err, "only lists have indexes");
        return ERR_INVALID;
    }
    size_t size = value_size(value);
    err_set(err, ERR_NOT_FOUND, "%.*s has %zu item%s and no index %" PRId64, prefix.size,
            prefix.text, size, size == 1 ? "" : "s", index);
    if (size == 0)
        err_fix(err, "the list is empty; look at what makes it");
    else
        err_fix(err, "its indexes go from 0 to %zu", size - 1);
    return ERR_NOT_FOUND;
}

static int walk(const cel_t *self, const value_t *value, const value_t **ret_value, struct err *err)
{
    for (size_t i = 0; i < self->step_count; i++) {
        const struct step *step = &self->steps[i];
        const value_t *next = NULL;
        if (step->field)
            next = value_get_n(value, step->field, step->field_size);
        else if (value_type(value) == VALUE_LIST)
            next = value_at(value, (size_t)step->index);
        if (!next) {
            int code = step->field ? missing_field(self, i, value, err)
                                   : missing_index(self, i, value, err);
            if (err)
                err->column = text_column(self->text, step->start);
            return code;
        }
        value = next;
    }
    *ret_value = value;
    return 0;
}

int cel_eval(const cel_t *self, cel_resolve_fn resolve, void *context, value_t **ret_value,
             struct err *err)
{
    value_t *root = NULL;
    int code = resolve(context, self->variable, &root, err);
    if (code)
        return code;
    const value_t *found;
    code = walk(self, root, &found, err);
    if (!code)
        *ret_value = value_ref(found);
    value_destroy(&root);
    return code;
}
