/* Checks of plain values: names, texts, numbers, durations, sizes, commands. */
#include "base/clock.h"
#include "base/limits.h"
#include "definitions/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUOTE_IT "quote it if it is meant as text"
#define WITHIN   "give one within these bounds"

static const char *text_fix(const struct node *node)
{
    if (node->kind == NODE_NULL)
        return "write a text, or leave the key out";
    if (node->kind != NODE_MAP && node->kind != NODE_LIST)
        return QUOTE_IT;
    return node->flow ? "quote it: YAML takes what begins with { or [ for an object or list"
                      : "write one text, as a block after | if it has several lines";
}

static const char *number_fix(const struct node *node, const char *otherwise)
{
    return node->kind == NODE_TEXT && node->style != STYLE_PLAIN ? "don't quote it" : otherwise;
}

value_t *check_text(struct check *self, const struct node *node, size_t most)
{
    if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "a text", text_fix(node));
        return NULL;
    }
    if (node->size > most) {
        check_error(self, node->place, "bad_value", "shorten it",
                    "the text has %u bytes, more than %zu", node->size, most);
        return NULL;
    }
    return value_string_n(node->text, node->size);
}

/* [a-z][a-z0-9_-]* */
static bool is_name(const char *text)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    return *text >= 'a' && *text <= 'z' && text[strspn(text, LETTERS)] == '\0';
}

bool is_definition_name(const char *text, size_t size)
{
    return size <= LIMIT_NAME_BYTES && is_name(text);
}

value_t *check_name(struct check *self, const struct node *node)
{
    if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "a name", text_fix(node));
        return NULL;
    }
    if (!is_definition_name(node->text, node->size)) {
        check_error(self, node->place, "bad_value",
                    "begin with a small letter, go on with small letters, digits, _ and -",
                    "\"%s\" is not a name of at most %d characters", check_shown(self, node->text),
                    LIMIT_NAME_BYTES);
        return NULL;
    }
    return value_string(node->text);
}

value_t *check_choice(struct check *self, const struct key *key, const struct node *node)
{
    struct suggestion suggestion = SUGGESTION(node->kind == NODE_TEXT ? node->text : "");
    struct buf choices = {0};
    char fix[128];
    for (size_t i = 0; key->choices[i]; i++) {
        if (node->kind == NODE_TEXT && strcmp(key->choices[i], node->text) == 0) {
            buf_release(&choices);
            return value_string(node->text);
        }
        check_offer(self, &suggestion, key->choices[i]);
        buf_printf(&choices, "%s%s", i == 0 ? "" : ", ", key->choices[i]);
    }
    if (!suggestion_text(&suggestion, fix, sizeof fix)[0])
        snprintf(fix, sizeof fix, "%s",
                 key->choices[1] ? "write one of them" : "write that, or leave the key out");
    if (node->kind != NODE_TEXT)
        check_wrong_type(self, node, buf_string(&choices), fix);
    else
        check_error(self, node->place, "bad_value", fix, "\"%s\" is not one of: %s",
                    check_shown(self, node->text), buf_string(&choices));
    buf_release(&choices);
    return NULL;
}

static void report_range(struct check *self, const struct key *key, const struct node *node)
{
    check_error(self, node->place, "bad_value", WITHIN, "%s is not from %.15g to %.15g",
                check_shown(self, node->text), key->least, key->most);
}

value_t *check_integer(struct check *self, const struct key *key, const struct node *node)
{
    if (node->kind != NODE_INT) {
        check_wrong_type(self, node, "an integer",
                         number_fix(node, "write a whole number, such as 3"));
        return NULL;
    }
    if ((double)node->integer < key->least || (double)node->integer > key->most) {
        report_range(self, key, node);
        return NULL;
    }
    return value_int(node->integer);
}

/* Equal numbers become equal values: 2.0 is 2. */
value_t *check_number(struct check *self, const struct key *key, const struct node *node)
{
    if (node->kind != NODE_INT && node->kind != NODE_FLOAT) {
        check_wrong_type(self, node, "a number", number_fix(node, "write one, such as 2 or 0.5"));
        return NULL;
    }
    double number = node->kind == NODE_INT ? (double)node->integer : node->number;
    if (number < key->least || number > key->most) {
        report_range(self, key, node);
        return NULL;
    }
    if (node->kind == NODE_INT)
        return value_int(node->integer);
    bool whole = floor(number) == number && fabs(number) < 0x1p53;
    return whole ? value_int((int64_t)number) : value_double(number);
}

/* Millionths of a dollar, which are whole. */
value_t *check_dollars(struct check *self, const struct key *key, const struct node *node)
{
    if (node->kind != NODE_INT && node->kind != NODE_FLOAT) {
        check_wrong_type(self, node, "a number of US dollars",
                         number_fix(node, "write one, such as 2 or 0.5"));
        return NULL;
    }
    double dollars = node->kind == NODE_INT ? (double)node->integer : node->number;
    if (dollars < key->least || dollars > key->most) {
        check_error(self, node->place, "bad_value", WITHIN, "%s is not from %s to %.0f US dollars",
                    check_shown(self, node->text), key->least > 0 ? "0.000001" : "0", key->most);
        return NULL;
    }
    return value_int(llround(dollars * 1e6));
}

value_t *check_boolean(struct check *self, const struct node *node)
{
    if (node->kind != NODE_BOOL) {
        check_wrong_type(self, node, "a boolean", "write true or false");
        return NULL;
    }
    return value_bool(node->boolean);
}

value_t *check_duration(struct check *self, const struct key *key, const struct node *node)
{
    static const char FIX[] = "write a whole number and a unit, such as 500ms, 30s, 5m, 2h or 3d";
    (void)key;
    if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "a duration", FIX);
        return NULL;
    }
    struct err err = {0};
    int64_t us = 0;
    if (duration_parse(node->text, node->size, &us, &err) != 0) {
        check_error(self, node->place, "bad_value", err.fix, "%s", err.what);
        return NULL;
    }
    return value_int(us);
}

/* A whole number and K, M, G or T (of 1024); gives -1 for what isn't. */
static double parse_size(const char *text)
{
    static const char UNITS[] = "KMGT";
    size_t digits = strspn(text, "0123456789");
    const char *unit =
        digits > 0 && digits < 16 && text[digits] ? strchr(UNITS, text[digits]) : NULL;
    if (!unit || text[digits + 1] != '\0')
        return -1;
    return (double)strtoll(text, NULL, 10) * (double)(1ll << 10 * (unit - UNITS + 1));
}

value_t *check_size(struct check *self, const struct key *key, const struct node *node)
{
    static const char FIX[] = "write a whole number and a unit, such as 256M or 2G";
    if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "a size", FIX);
        return NULL;
    }
    double bytes = parse_size(node->text);
    if (bytes < 0) {
        check_error(self, node->place, "bad_value", FIX, "\"%s\" is not a size",
                    check_shown(self, node->text));
        return NULL;
    }
    if (bytes < key->least || bytes > key->most) {
        check_error(self, node->place, "bad_value", WITHIN, "%s is not from %.0fM to %.0fT",
                    node->text, key->least / 0x1p20, key->most / 0x1p40);
        return NULL;
    }
    return value_int((int64_t)bytes);
}

/* "1..4" */
static bool parse_range(const char *text, int64_t *ret_least, int64_t *ret_most)
{
    size_t digits = strspn(text, "0123456789");
    const char *rest = text + digits;
    if (digits == 0 || digits > 9 || strncmp(rest, "..", 2) != 0)
        return false;
    size_t more = strspn(rest + 2, "0123456789");
    if (more == 0 || more > 9 || rest[2 + more] != '\0')
        return false;
    *ret_least = strtoll(text, NULL, 10);
    *ret_most = strtoll(rest + 2, NULL, 10);
    return true;
}

void check_range(struct check *self, const struct key *key, const struct node *node, value_t *into)
{
    static const char FIX[] = "write a number such as 2, or fewest..most such as 1..4";
    int64_t least = 0, most = 0;
    if (node->kind == NODE_INT) {
        least = most = node->integer;
    } else if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "a number or a range", FIX);
        return;
    } else if (!parse_range(node->text, &least, &most)) {
        check_error(self, node->place, "bad_value", FIX, "\"%s\" is not a range",
                    check_shown(self, node->text));
        return;
    }
    if ((double)least < key->least || (double)most > key->most || most < 1 || least > most) {
        check_error(self, node->place, "bad_value", FIX,
                    "%s must not begin below %.0f, end below 1 or beyond %.0f, or end below its "
                    "beginning",
                    check_shown(self, node->text), key->least, key->most);
        return;
    }
    value_set_int(into, "instances_min", least);
    value_set_int(into, "instances_max", most);
}

value_t *check_span(struct check *self, const struct key *key, const struct node *node)
{
    static const char FIX[] = "write a number such as 2, or first..last such as 2..5";
    int64_t least = 0, most = 0;
    if (node->kind == NODE_INT) {
        least = most = node->integer;
    } else if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "a number or a range", FIX);
        return NULL;
    } else if (!parse_range(node->text, &least, &most)) {
        check_error(self, node->place, "bad_value", FIX, "\"%s\" is not a range",
                    check_shown(self, node->text));
        return NULL;
    }
    if ((double)least < key->least || (double)most > key->most || least > most) {
        check_error(self, node->place, "bad_value", FIX,
                    "%s must lie within %.0f..%.0f, and not end below its beginning",
                    check_shown(self, node->text), key->least, key->most);
        return NULL;
    }
    value_t *span = value_list(), *first = value_int(least), *last = value_int(most);
    value_append(span, &first);
    value_append(span, &last);
    return span;
}

value_t *check_argv(struct check *self, const struct node *node)
{
    if (node->kind != NODE_LIST) {
        check_wrong_type(self, node, "a list of texts", "write [program, argument, ...]");
        return NULL;
    }
    if (node->size == 0 || (node->first->kind == NODE_TEXT && node->first->size == 0)) {
        check_error(self, node->place, "bad_value", "write [program, argument, ...]",
                    "the list must begin with a program");
        return NULL;
    }
    value_t *argv = value_list();
    size_t index = 0;
    for (const struct node *item = node->first; item && !check_is_full(self); item = item->next) {
        size_t before = check_enter_index(self, index++);
        value_t *text = check_text(self, item, LIMIT_TEXT_BYTES);
        if (text)
            value_append(argv, &text);
        check_leave(self, before);
    }
    return argv;
}

bool check_count(struct check *self, const struct key *key, const struct node *node,
                 const char *plural)
{
    if (node->size <= key->most)
        return true;
    check_error(self, node->place, "too_many", "take some out", "has %u %s, more than %.0f",
                node->size, plural, key->most);
    return false;
}

static bool are_members(struct check *self, const struct key *key, const struct node *node)
{
    if (node->kind == NODE_MAP)
        return check_count(self, key, node, "members");
    check_wrong_type(self, node, "an object of texts", "write {name: text, ...}");
    return false;
}

/* The name of an environment variable. */
static bool is_variable(const char *text)
{
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    return *text != '\0' && !(*text >= '0' && *text <= '9') && text[strspn(text, LETTERS)] == '\0';
}

static void check_variable(struct check *self, const struct node *item)
{
    const char *name = item->key->text;
    if (!is_variable(name))
        check_error(self, item->key->place, "bad_value",
                    "use letters, digits and _, beginning with no digit",
                    "\"%s\" is not a name of a variable", check_shown(self, name));
    if (item->kind == NODE_TEXT && strncmp(item->text, "env:", 4) == 0 &&
        !is_variable(item->text + 4))
        check_error(self, item->place, "bad_value", "write env:NAME",
                    "\"%s\" refers to no variable", check_shown(self, item->text));
}

value_t *check_env(struct check *self, const struct key *key, const struct node *node)
{
    if (!are_members(self, key, node))
        return NULL;
    value_t *env = value_map();
    for (const struct node *item = node->first; item && !check_is_full(self); item = item->next) {
        size_t before = check_enter(self, item->key->text);
        check_variable(self, item);
        value_t *text = check_text(self, item, LIMIT_TEXT_BYTES);
        if (text)
            value_set(env, item->key->text, &text);
        check_leave(self, before);
    }
    return env;
}

value_t *check_labels(struct check *self, const struct key *key, const struct node *node)
{
    if (!are_members(self, key, node))
        return NULL;
    value_t *labels = value_map();
    for (const struct node *item = node->first; item && !check_is_full(self); item = item->next) {
        size_t before = check_enter(self, item->key->text);
        if (item->key->size == 0 || item->key->size > LIMIT_NAME_BYTES)
            check_error(self, item->key->place, "bad_value", "rename it",
                        "a label's name has from 1 to %d bytes, not %u", LIMIT_NAME_BYTES,
                        item->key->size);
        value_t *text = check_text(self, item, LIMIT_NAME_BYTES);
        if (text)
            value_set(labels, item->key->text, &text);
        check_leave(self, before);
    }
    return labels;
}
