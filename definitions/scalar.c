/* Plain scalars by YAML 1.2's core schema (yaml.org/spec/1.2.2, section 10.3.2): null, true and
 * false in three spellings, integers (also 0o17 and 0x1f), floats. `yes`, `no`, `on` and `off` are
 * text. */
#include "definitions/tree.h"

#include "base/err.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_one_of(const char *text, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        if (strcmp(text, names[i]) == 0)
            return true;
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *at)
{
    while (is_digit(*at))
        at++;
    return at;
}

static const char *skip_sign(const char *at)
{
    return *at == '-' || *at == '+' ? at + 1 : at;
}

static bool is_decimal(const char *text)
{
    const char *digits = skip_sign(text);
    return is_digit(*digits) && *skip_digits(digits) == '\0';
}

/* 0o17 or 0x1f; gives the base and the digits. */
static int prefixed_base(const char *text, const char **ret_digits)
{
    if (text[0] != '0' || (text[1] != 'o' && text[1] != 'x') || text[2] == '\0')
        return 0;
    *ret_digits = text + 2;
    const char *allowed = text[1] == 'o' ? "01234567" : "0123456789abcdefABCDEF";
    if (text[2 + strspn(text + 2, allowed)] != '\0')
        return 0;
    return text[1] == 'o' ? 8 : 16;
}

static bool is_float(const char *text)
{
    const char *at = skip_sign(text);
    const char *whole = skip_digits(at);
    bool digits = whole > at;
    if (*whole == '.') {
        const char *fraction = skip_digits(whole + 1);
        digits = digits || fraction > whole + 1;
        whole = fraction;
    }
    if (!digits)
        return false;
    if (*whole == 'e' || *whole == 'E') {
        const char *exponent = skip_sign(whole + 1);
        if (!is_digit(*exponent))
            return false;
        whole = skip_digits(exponent);
    }
    return *whole == '\0';
}

static void flaw(struct node *node, enum node_flaw flaw)
{
    node->kind = NODE_BAD;
    node->flaw = (uint8_t)flaw;
}

static void resolve_int(struct node *node, const char *digits, int base)
{
    errno = 0;
    long long number = strtoll(digits, NULL, base);
    node->kind = NODE_INT;
    node->integer = number;
    if (errno == ERANGE)
        flaw(node, FLAW_OVERFLOW);
}

static void resolve_float(struct node *node)
{
    double number = strtod(node->text, NULL);
    node->kind = NODE_FLOAT;
    node->number = number;
    if (number - number != 0)
        flaw(node, FLAW_INFINITE);
}

void node_resolve(struct node *node)
{
    static const char *const NULLS[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const TRUES[] = {"true", "True", "TRUE", NULL};
    static const char *const FALSES[] = {"false", "False", "FALSE", NULL};
    static const char *const INFINITES[] = {".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf",
                                            "+.INF", "-.inf", "-.Inf", "-.INF", ".nan",
                                            ".NaN",  ".NAN",  NULL};
    const char *text = node->text;
    const char *digits = text;
    node->kind = NODE_TEXT;
    if (is_one_of(text, NULLS)) {
        node->kind = NODE_NULL;
    } else if (is_one_of(text, TRUES) || is_one_of(text, FALSES)) {
        node->kind = NODE_BOOL;
        node->boolean = is_one_of(text, TRUES);
    } else if (is_decimal(text)) {
        resolve_int(node, text, 10);
    } else if (prefixed_base(text, &digits)) {
        resolve_int(node, digits, prefixed_base(text, &digits));
    } else if (is_float(text)) {
        resolve_float(node);
    } else if (is_one_of(text, INFINITES)) {
        flaw(node, FLAW_INFINITE);
    }
}

const struct node *node_get(const struct node *map, const char *key)
{
    if (!map || map->kind != NODE_MAP)
        return NULL;
    for (const struct node *item = map->first; item; item = item->next)
        if (strcmp(item->key->text, key) == 0)
            return item;
    return NULL;
}

const char *node_kind_name(const struct node *node)
{
    switch ((enum node_kind)node->kind) {
    case NODE_NULL: return "empty";
    case NODE_BOOL: return "a boolean";
    case NODE_INT: return "an integer";
    case NODE_FLOAT: return "a number";
    case NODE_TEXT: return "a text";
    case NODE_LIST: return "a list";
    case NODE_MAP: return "an object";
    case NODE_BAD: break;
    }
    return "not readable";
}

static value_t *list_value(const struct node *node)
{
    value_t *list = value_list();
    for (const struct node *item = node->first; item; item = item->next) {
        value_t *value = node_value(item);
        value_append(list, &value);
    }
    return list;
}

static value_t *map_value(const struct node *node)
{
    value_t *map = value_map();
    for (const struct node *item = node->first; item; item = item->next) {
        value_t *value = node_value(item);
        value_set(map, item->key->text, &value);
    }
    return map;
}

value_t *node_value(const struct node *node)
{
    switch ((enum node_kind)node->kind) {
    case NODE_NULL:
    case NODE_BAD: break;
    case NODE_BOOL: return value_bool(node->boolean);
    case NODE_INT: return value_int(node->integer);
    case NODE_FLOAT: return value_double(node->number);
    case NODE_TEXT: return value_string_n(node->text, node->size);
    case NODE_LIST: return list_value(node);
    case NODE_MAP: return map_value(node);
    }
    return value_null();
}
