#include "base/value_tree.h"

#include "base/limits.h"
#include "base/utf8.h"
#include <jansson.h>
#include <string.h>

/* jansson reads the text; what it would build out of proportion (its own nesting limit is 2048, and
 * it has none for the number of values) is refused by one look at the brackets and commas before.
 */

struct scan {
    unsigned depth;
    unsigned line;
    unsigned column;
    size_t values; /* at most as many as there are */
    bool in_text;
    bool escaped;
};

static int too_deep(const struct scan *scan, struct err *err)
{
    int code = err_set(err, ERR_TOO_DEEP, "the JSON text is nested deeper than %d levels",
                       LIMIT_VALUE_DEPTH);
    err_fix(err, "flatten it");
    if (err) {
        err->line = scan->line;
        err->column = scan->column;
    }
    return code;
}

static int too_large(struct err *err)
{
    int code = err_set(err, ERR_TOO_LARGE, "the JSON text has more than %u bytes or %u values",
                       LIMIT_VALUE_BYTES, LIMIT_VALUE_ITEMS);
    err_fix(err, "split it");
    return code;
}

static void scan_text(struct scan *self, char c)
{
    if (self->escaped)
        self->escaped = false;
    else if (c == '\\')
        self->escaped = true;
    else if (c == '"')
        self->in_text = false;
}

static void scan_byte(struct scan *self, char c)
{
    if (((unsigned char)c & 0xc0) != 0x80)
        self->column++;
    if (self->in_text) {
        scan_text(self, c);
        return;
    }
    switch (c) {
    case '"': self->in_text = true; break;
    case '[':
    case '{':
        self->depth++;
        self->values++;
        break;
    case ']':
    case '}':
        if (self->depth > 0)
            self->depth--;
        break;
    case ',': self->values++; break;
    case '\n':
        self->line++;
        self->column = 0;
        break;
    default: break;
    }
}

static int check_bounds(const char *text, size_t size, struct err *err)
{
    if (size > LIMIT_VALUE_BYTES)
        return too_large(err);
    struct scan scan = {.line = 1, .values = 1};
    for (size_t i = 0; i < size; i++) {
        scan_byte(&scan, text[i]);
        if (scan.depth > LIMIT_VALUE_DEPTH)
            return too_deep(&scan, err);
        if (scan.values > LIMIT_VALUE_ITEMS)
            return too_large(err);
    }
    return 0;
}

static int set_overflow(const char *reason, struct err *err)
{
    if (strstr(reason, "real")) {
        err_set(err, ERR_UNSUPPORTED, "a number is too large for a double");
        err_fix(err, "keep numbers below 1.8e308, or write it as a text");
    } else {
        err_set(err, ERR_UNSUPPORTED, "an integer is outside of 64 bits");
        err_fix(err, "keep integers within -9223372036854775808 and 9223372036854775807, or write "
                     "it as a text or with a fraction");
    }
    return ERR_UNSUPPORTED;
}

static int explain(const json_error_t *error, struct err *err)
{
    char reason[JSON_ERROR_TEXT_LENGTH];
    memcpy(reason, error->text, sizeof reason);
    reason[sizeof reason - 1] = '\0'; /* jansson keeps its code there */
    reason[utf8_cut(reason, strlen(reason))] = '\0';
    int code = ERR_MALFORMED;
    switch (json_error_code(error)) {
    case json_error_numeric_overflow: code = set_overflow(reason, err); break;
    case json_error_duplicate_key:
        err_set(err, code, "not usable JSON: %s", reason);
        err_fix(err, "write each key once");
        break;
    case json_error_null_byte_in_key:
        err_set(err, code = ERR_UNSUPPORTED, "a key in the JSON text holds a NUL");
        err_fix(err, "use keys without NULs");
        break;
    case json_error_invalid_utf8:
        err_set(err, code, "the JSON text is not valid UTF-8");
        err_fix(err, "save or send it as UTF-8");
        break;
    default: err_set(err, code, "not valid JSON: %s", reason); break;
    }
    if (err && error->line > 0)
        err->line = (unsigned)error->line;
    if (err && error->column > 0)
        err->column = (unsigned)error->column;
    return code;
}

static value_t *convert(const json_t *json);

static value_t *convert_list(const json_t *json)
{
    value_t *list = value_list();
    size_t index;
    json_t *element;
    json_array_foreach(json, index, element)
    {
        value_t *item = convert(element);
        value_append(list, &item);
    }
    return list;
}

static value_t *convert_map(json_t *json)
{
    value_t *map = value_map();
    const char *key;
    json_t *member;
    json_object_foreach(json, key, member)
    {
        value_add_member(map, key, strlen(key), convert(member));
    }
    return map;
}

static value_t *convert(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT: return convert_map((json_t *)(uintptr_t)json);
    case JSON_ARRAY: return convert_list(json);
    case JSON_STRING: return value_string_n(json_string_value(json), json_string_length(json));
    case JSON_INTEGER: return value_int(json_integer_value(json));
    case JSON_REAL: return value_double(json_real_value(json));
    case JSON_TRUE: return value_bool(true);
    case JSON_FALSE: return value_bool(false);
    case JSON_NULL: break;
    }
    return value_null();
}

int value_from_json(const char *text, size_t size, value_t **ret_value, struct err *err)
{
    int code = check_bounds(text, size, err);
    if (code)
        return code;
    json_error_t error;
    json_t *json = json_loadb(size ? text : "", size,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!json) {
        CHECK(json_error_code(&error) != json_error_out_of_memory);
        return explain(&error, err);
    }
    *ret_value = convert(json);
    json_decref(json);
    return 0;
}
