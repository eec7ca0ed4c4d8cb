/* Values against schemas. It stands apart from the rest of the module, with base/ alone, because
 * agentd links it. */
#include "definitions/instance.h"

#include "base/limits.h"
#include "definitions/definitions.h"
#include <math.h>
#include <string.h>

const struct type_name TYPE_NAMES[] = {
    {"text", "string"}, {"number", "number"}, {"integer", "integer"}, {"boolean", "boolean"},
    {"list", "array"},  {"object", "object"}, {NULL, NULL},
};

struct instance {
    struct buf path;
    unsigned depth;
    struct err *err;
};

static int check(struct instance *self, const value_t *schema, const value_t *value);

static int refuse(struct instance *self, int code, const char *fix)
{
    err_where(self->err, "%s", buf_string(&self->path));
    err_fix(self->err, "%s", fix);
    return code;
}

static int bad_schema(struct instance *self)
{
    int code = err_set(self->err, ERR_INVALID, "the stored schema is not valid");
    return refuse(self, code, "apply the definition again with this version");
}

static void leave(struct instance *self, size_t before)
{
    self->path.size = before;
    if (self->path.data)
        self->path.data[before] = '\0';
}

const char *type_for_people(const char *schema_name)
{
    for (size_t i = 0; TYPE_NAMES[i].ours; i++)
        if (strcmp(TYPE_NAMES[i].schema, schema_name) == 0)
            return TYPE_NAMES[i].ours;
    return schema_name;
}

static bool is_whole(const value_t *value)
{
    double number = value_as_double(value);
    return floor(number) == number;
}

static bool has_type(const value_t *value, const char *type)
{
    switch (value_type(value)) {
    case VALUE_NULL: return false;
    case VALUE_BOOL: return strcmp(type, "boolean") == 0;
    case VALUE_INT: return strcmp(type, "integer") == 0 || strcmp(type, "number") == 0;
    case VALUE_DOUBLE:
        return strcmp(type, "number") == 0 || (strcmp(type, "integer") == 0 && is_whole(value));
    case VALUE_STRING: return strcmp(type, "string") == 0;
    case VALUE_LIST: return strcmp(type, "array") == 0;
    case VALUE_MAP: return strcmp(type, "object") == 0;
    }
    return false;
}

static int check_type(struct instance *self, const value_t *type, const value_t *value)
{
    if (value_type(type) != VALUE_STRING)
        return bad_schema(self);
    if (has_type(value, value_as_string(type)))
        return 0;
    int code = err_set(self->err, ERR_INVALID, "must be of type %s, not %s",
                       type_for_people(value_as_string(type)), value_type_name(value_type(value)));
    return refuse(self, code, "give a value of that type");
}

static int check_enum(struct instance *self, const value_t *choices, const value_t *value)
{
    if (value_type(choices) != VALUE_LIST)
        return bad_schema(self);
    for (size_t i = 0; i < value_size(choices); i++)
        if (value_equal(value_at(choices, i), value))
            return 0;
    struct buf text = {0};
    value_to_json(choices, VALUE_JSON_COMPACT, &text);
    int code = err_set(self->err, ERR_INVALID, "must be one of %.200s", buf_string(&text));
    buf_release(&text);
    return refuse(self, code, "give one of these");
}

static bool is_number(const value_t *value)
{
    return value_type(value) == VALUE_INT || value_type(value) == VALUE_DOUBLE;
}

static int check_bound(struct instance *self, const char *word, const value_t *bound,
                       const value_t *value)
{
    if (!is_number(bound))
        return bad_schema(self);
    if (!is_number(value))
        return 0;
    double limit = value_as_double(bound), number = value_as_double(value);
    const char *must = NULL;
    if (strcmp(word, "minimum") == 0)
        must = number >= limit ? NULL : "at least";
    else if (strcmp(word, "maximum") == 0)
        must = number <= limit ? NULL : "at most";
    else if (strcmp(word, "exclusiveMinimum") == 0)
        must = number > limit ? NULL : "greater than";
    else
        must = number < limit ? NULL : "smaller than";
    if (!must)
        return 0;
    int code = err_set(self->err, ERR_INVALID, "must be %s %g, not %g", must, limit, number);
    return refuse(self, code, "give a number within the limits");
}

/* Of two integers exactly; else within what doubles can tell, so that 0.07 is one of 0.01. */
static bool is_multiple(const value_t *value, const value_t *step)
{
    if (value_type(value) == VALUE_INT && value_type(step) == VALUE_INT)
        return value_as_int(value) % value_as_int(step) == 0;
    double times = value_as_double(value) / value_as_double(step);
    return fabs(times - nearbyint(times)) <= 1e-12 * fmax(1, fabs(times));
}

static int check_multiple(struct instance *self, const value_t *step, const value_t *value)
{
    if (!is_number(step) || value_as_double(step) <= 0)
        return bad_schema(self);
    if (!is_number(value) || is_multiple(value, step))
        return 0;
    int code = err_set(self->err, ERR_INVALID, "must be a multiple of %g, which %g is not",
                       value_as_double(step), value_as_double(value));
    return refuse(self, code, "give a multiple");
}

static int check_const(struct instance *self, const value_t *only, const value_t *value)
{
    if (value_equal(only, value))
        return 0;
    struct buf text = {0};
    value_to_json(only, VALUE_JSON_COMPACT, &text);
    int code = err_set(self->err, ERR_INVALID, "must be %.200s", buf_string(&text));
    buf_release(&text);
    return refuse(self, code, "give just that");
}

/* Texts are valid UTF-8: what is no byte of continuation begins a character. */
static size_t characters_of(const value_t *text)
{
    const char *bytes = value_as_string(text);
    size_t count = 0;
    for (size_t i = 0; i < value_size(text); i++)
        count += ((unsigned char)bytes[i] & 0xc0) != 0x80;
    return count;
}

/* minLength, maxLength of texts; minItems, maxItems of lists. */
static int check_size(struct instance *self, const char *word, const value_t *bound,
                      const value_t *value)
{
    bool of_text = strcmp(word + 3, "Length") == 0, is_least = word[1] == 'i';
    if (value_type(bound) != VALUE_INT || value_as_int(bound) < 0)
        return bad_schema(self);
    if (value_type(value) != (of_text ? VALUE_STRING : VALUE_LIST))
        return 0;
    size_t limit = (size_t)value_as_int(bound);
    size_t size = of_text ? characters_of(value) : value_size(value);
    if (is_least ? size >= limit : size <= limit)
        return 0;
    int code = err_set(self->err, ERR_INVALID, "must have at %s %zu %s, not %zu",
                       is_least ? "least" : "most", limit, of_text ? "characters" : "items", size);
    return refuse(self, code, is_least ? "give more" : "give less");
}

/* properties: of the same schema, or NULL. */
static int check_no_others(struct instance *self, const value_t *allowed, const value_t *properties,
                           const value_t *value)
{
    if (value_type(allowed) != VALUE_BOOL)
        return bad_schema(self);
    if (value_as_bool(allowed) || value_type(value) != VALUE_MAP)
        return 0;
    for (size_t i = 0; i < value_size(value); i++) {
        const char *name = value_key_at(value, i, NULL);
        if (properties && value_get(properties, name))
            continue;
        int code = err_set(self->err, ERR_INVALID, "has no member \"%.64s\"", name);
        return refuse(self, code, "leave it out, or look at its spelling");
    }
    return 0;
}

static int check_items(struct instance *self, const value_t *items, const value_t *value)
{
    if (value_type(value) != VALUE_LIST)
        return 0;
    int code = 0;
    for (size_t i = 0; code == 0 && i < value_size(value); i++) {
        size_t before = self->path.size;
        buf_printf(&self->path, "[%zu]", i);
        code = check(self, items, value_at(value, i));
        leave(self, before);
    }
    return code;
}

static int check_required_members(struct instance *self, const value_t *names, const value_t *value)
{
    if (value_type(names) == VALUE_BOOL || value_type(value) != VALUE_MAP)
        return 0;
    if (value_type(names) != VALUE_LIST)
        return bad_schema(self);
    for (size_t i = 0; i < value_size(names); i++) {
        const value_t *name = value_at(names, i);
        if (value_type(name) != VALUE_STRING)
            return bad_schema(self);
        if (value_get(value, value_as_string(name)))
            continue;
        int code =
            err_set(self->err, ERR_INVALID, "needs the member \"%.64s\"", value_as_string(name));
        return refuse(self, code, "give it");
    }
    return 0;
}

static int check_properties(struct instance *self, const value_t *properties, const value_t *value)
{
    if (value_type(properties) != VALUE_MAP)
        return bad_schema(self);
    int code = 0;
    for (size_t i = 0; code == 0 && i < value_size(properties); i++) {
        const char *name = value_key_at(properties, i, NULL);
        const value_t *member = value_get(value, name);
        if (!member)
            continue;
        size_t before = self->path.size;
        buf_printf(&self->path, "%s%.64s", before > 0 ? "." : "", name);
        code = check(self, value_member_at(properties, i), member);
        leave(self, before);
    }
    return code;
}

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(*words, word) != 0)
        words++;
    return *words != NULL;
}

static int check_word(struct instance *self, const char *word, const value_t *schema,
                      const value_t *rule, const value_t *value)
{
    static const char *const BOUNDS[] = {"minimum", "maximum", "exclusiveMinimum",
                                         "exclusiveMaximum", NULL};
    static const char *const SIZES[] = {"minLength", "maxLength", "minItems", "maxItems", NULL};
    static const char *const NOTES[] = {"default", "description", "title", NULL};
    if (strcmp(word, "type") == 0)
        return check_type(self, rule, value);
    if (strcmp(word, "enum") == 0)
        return check_enum(self, rule, value);
    if (strcmp(word, "const") == 0)
        return check_const(self, rule, value);
    if (is_one_of(word, BOUNDS))
        return check_bound(self, word, rule, value);
    if (strcmp(word, "multipleOf") == 0)
        return check_multiple(self, rule, value);
    if (is_one_of(word, SIZES))
        return check_size(self, word, rule, value);
    if (strcmp(word, "items") == 0)
        return check_items(self, rule, value);
    if (strcmp(word, "required") == 0)
        return check_required_members(self, rule, value);
    if (strcmp(word, "properties") == 0)
        return check_properties(self, rule, value);
    if (strcmp(word, "additionalProperties") == 0)
        return check_no_others(self, rule, value_get(schema, "properties"), value);
    if (is_one_of(word, NOTES))
        return 0;
    int code = err_set(self->err, ERR_UNSUPPORTED,
                       "the stored schema uses \"%.64s\", which this version does not run", word);
    return refuse(self, code, "upgrade this program");
}

/* The type first: what is said of other words makes sense only then. Depth is bounded by that of
 * canonical forms. */
static int check(struct instance *self, const value_t *schema, const value_t *value)
{
    if (value_type(schema) != VALUE_MAP || self->depth >= LIMIT_VALUE_DEPTH)
        return bad_schema(self);
    const value_t *type = value_get(schema, "type");
    int code = type ? check_type(self, type, value) : 0;
    self->depth++;
    for (size_t i = 0; code == 0 && i < value_size(schema); i++)
        code = check_word(self, value_key_at(schema, i, NULL), schema, value_member_at(schema, i),
                          value);
    self->depth--;
    return code;
}

int instance_check_at(const char *path, const value_t *schema, const value_t *value,
                      struct err *err)
{
    struct instance self = {.err = err};
    buf_puts(&self.path, path);
    int code = check(&self, schema, value);
    buf_release(&self.path);
    return code;
}

int schema_check_value(const value_t *schema, const value_t *value, struct err *err)
{
    return instance_check_at("", schema, value, err);
}

/* --- defaults --------------------------------------------------------------------------------- */

static value_t *members_with_defaults(const value_t *properties, const value_t *value)
{
    value_t *map = value_map();
    for (size_t i = 0; i < value_size(value); i++) {
        const char *name = value_key_at(value, i, NULL);
        const value_t *schema = value_get(properties, name), *member = value_member_at(value, i);
        value_t *taken = schema ? instance_with_defaults(schema, member) : value_ref(member);
        value_set(map, name, &taken);
    }
    for (size_t i = 0; i < value_size(properties); i++) {
        const char *name = value_key_at(properties, i, NULL);
        const value_t *schema = value_member_at(properties, i);
        const value_t *fallback = value_get(value, name) ? NULL : value_get(schema, "default");
        value_t *taken = fallback ? instance_with_defaults(schema, fallback) : NULL;
        if (taken)
            value_set(map, name, &taken);
    }
    return map;
}

value_t *instance_with_defaults(const value_t *schema, const value_t *value)
{
    const value_t *properties = value_get(schema, "properties");
    const value_t *items = value_get(schema, "items");
    if (value_type(value) == VALUE_MAP && properties && value_type(properties) == VALUE_MAP)
        return members_with_defaults(properties, value);
    if (value_type(value) != VALUE_LIST || !items)
        return value_ref(value);
    value_t *list = value_list();
    for (size_t i = 0; i < value_size(value); i++) {
        value_t *item = instance_with_defaults(items, value_at(value, i));
        value_append(list, &item);
    }
    return list;
}
