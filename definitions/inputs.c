/* The `input` of a workflow: a bounded subset of JSON Schema, checked in definitions and against
 * the inputs of executions. */
#include "base/limits.h"
#include "definitions/check.h"
#include <stdlib.h>
#include <string.h>

static void offer_types(struct check *self, struct suggestion *suggestion)
{
    for (size_t i = 0; TYPE_NAMES[i].ours; i++) {
        check_offer(self, suggestion, TYPE_NAMES[i].ours);
        check_offer(self, suggestion, TYPE_NAMES[i].schema);
    }
}

value_t *check_schema_type(struct check *self, const struct node *node)
{
    if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "the name of a type",
                         "write text, number, integer, boolean, list or object");
        return NULL;
    }
    const char *schema_name = type_schema_name(node->text);
    if (schema_name)
        return value_string(schema_name);
    struct suggestion suggestion = SUGGESTION(node->text);
    char fix[128];
    offer_types(self, &suggestion);
    suggestion_text(&suggestion, fix, sizeof fix);
    check_error(self, node->place, "bad_value", suggestion.nearest ? fix : "write one of them",
                "\"%s\" is not one of: text, number, integer, boolean, list, object",
                check_shown(self, node->text));
    return NULL;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A list of texts in order, each once. */
static value_t *sorted_texts(const char **texts, size_t count)
{
    value_t *list = value_list();
    qsort(texts, count, sizeof *texts, compare_texts);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && strcmp(texts[i - 1], texts[i]) == 0)
            continue;
        value_t *text = value_string(texts[i]);
        value_append(list, &text);
    }
    return list;
}

value_t *check_required(struct check *self, const struct node *node)
{
    if (node->kind == NODE_BOOL)
        return value_bool(node->boolean);
    if (node->kind != NODE_LIST) {
        check_wrong_type(self, node, "a boolean or a list of names",
                         "write true, false or [name, ...]");
        return NULL;
    }
    const char **names = xcalloc((size_t)node->size + 1, sizeof *names);
    size_t count = 0;
    for (const struct node *item = node->first; item && !check_is_full(self); item = item->next) {
        if (item->kind == NODE_TEXT)
            names[count++] = item->text;
        else
            check_wrong_type(self, item, "a name", "quote it if it is meant as text");
    }
    value_t *list = sorted_texts(names, count);
    free(names);
    return list;
}

static void check_example(struct check *self, const char *key, const struct node *node,
                          const value_t *schema, const value_t *value)
{
    struct err err = {0};
    if (!node || node->kind == NODE_BAD)
        return;
    value_t *taken = instance_with_defaults(schema, value);
    int code = schema_check_value(schema, taken, &err);
    value_destroy(&taken);
    if (code == 0)
        return;
    size_t before = check_enter(self, key);
    check_error(self, node->place, "bad_value", "make it fit the rest of this schema",
                "doesn't fit: %s", err.what);
    check_leave(self, before);
}

/* Whether the pairs of bounds leave anything between them. */
static bool check_bounds(struct check *self, const struct node *node, const value_t *schema)
{
    static const char *const PAIRS[][2] = {{"minimum", "maximum"},
                                           {"exclusiveMinimum", "exclusiveMaximum"},
                                           {"minLength", "maxLength"},
                                           {"minItems", "maxItems"}};
    bool holds = true;
    for (size_t i = 0; i < sizeof PAIRS / sizeof PAIRS[0]; i++) {
        const value_t *least = value_get(schema, PAIRS[i][0]);
        const value_t *most = value_get(schema, PAIRS[i][1]);
        if (!least || !most || value_as_double(least) <= value_as_double(most))
            continue;
        check_error(self, node_get(node, PAIRS[i][0])->place, "bad_value", "swap them",
                    "the %s is above the %s", PAIRS[i][0], PAIRS[i][1]);
        holds = false;
    }
    return holds;
}

/* What the parts of a schema say against each other. */
static void check_agreement(struct check *self, const struct node *node, const value_t *schema)
{
    static const char *const EXAMPLES[] = {"default", "const"};
    if (!check_bounds(self, node, schema))
        return;
    for (size_t i = 0; i < sizeof EXAMPLES / sizeof EXAMPLES[0]; i++) {
        const value_t *example = value_get(schema, EXAMPLES[i]);
        if (example)
            check_example(self, EXAMPLES[i], node_get(node, EXAMPLES[i]), schema, example);
    }
}

value_t *check_schema(struct check *self, const struct node *node)
{
    if (node->kind == NODE_TEXT) {
        value_t *type = check_schema_type(self, node);
        value_t *schema = type ? value_map() : NULL;
        if (type)
            value_set(schema, "type", &type);
        return schema;
    }
    if (node->kind != NODE_MAP) {
        check_wrong_type(self, node, "a type or a schema",
                         "write text, number, integer, boolean, list, object or {type: ...}");
        return NULL;
    }
    value_t *schema = check_object(self, node, OWNER_INPUT);
    check_agreement(self, node, schema);
    return schema;
}

static bool check_schema_count(struct check *self, const struct key *key, const struct node *node)
{
    if (node->kind != NODE_MAP) {
        check_wrong_type(self, node, "an object of types or schemas",
                         "write {name: text, ...}, or another type");
        return false;
    }
    return check_count(self, key, node, "members");
}

value_t *check_schemas(struct check *self, const struct key *key, const struct node *node)
{
    if (!check_schema_count(self, key, node))
        return NULL;
    value_t *schemas = value_map();
    for (const struct node *item = node->first; item && !check_is_full(self); item = item->next) {
        size_t before = check_enter(self, item->key->text);
        value_t *schema = check_schema(self, item);
        if (schema)
            value_set(schemas, item->key->text, &schema);
        check_leave(self, before);
    }
    return schemas;
}

static bool is_identifier(const char *text)
{
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    return *text != '\0' && !(*text >= '0' && *text <= '9') && text[strspn(text, LETTERS)] == '\0';
}

value_t *check_inputs(struct check *self, const struct key *key, const struct node *node)
{
    for (const struct node *item = node->kind == NODE_MAP ? node->first : NULL; item;
         item = item->next) {
        if (item->key->size <= LIMIT_NAME_BYTES && is_identifier(item->key->text))
            continue;
        size_t before = check_enter(self, item->key->text);
        check_error(self, item->key->place, "bad_value",
                    "use letters, digits and _, beginning with no digit",
                    "\"%s\" is not a name of at most %d characters",
                    check_shown(self, item->key->text), LIMIT_NAME_BYTES);
        check_leave(self, before);
    }
    return check_schemas(self, key, node);
}

/* --- schemas that a model gets to see ----------------------------------------------------------
 */

/* There, `required` is JSON Schema's: of an object, a list of names. Whether an input itself must
 * be given, which is ours, makes no sense within one. */
static void check_plain(struct check *self, const struct node *schema, bool is_parameter)
{
    const struct node *required = node_get(schema, "required");
    const struct node *properties = node_get(schema, "properties");
    const struct node *items = node_get(schema, "items");
    if (required && required->kind == NODE_BOOL && !is_parameter) {
        size_t before = check_enter(self, "required");
        check_error(self, required->place, "bad_value",
                    "name it in the list `required` of the object that it is a member of",
                    "only a parameter or an input says of itself whether it is required");
        check_leave(self, before);
    }
    size_t before = check_enter(self, "properties");
    for (const struct node *item = properties && properties->kind == NODE_MAP ? properties->first
                                                                              : NULL;
         item && !check_is_full(self); item = item->next) {
        size_t inside = check_enter(self, item->key->text);
        check_plain(self, item, false);
        check_leave(self, inside);
    }
    check_leave(self, before);
    before = check_enter(self, "items");
    if (items)
        check_plain(self, items, false);
    check_leave(self, before);
}

value_t *check_answer(struct check *self, const struct node *node)
{
    value_t *schema = check_schema(self, node);
    check_plain(self, node, false);
    return schema;
}

value_t *check_parameters(struct check *self, const struct key *key, const struct node *node)
{
    value_t *schemas = check_inputs(self, key, node);
    for (const struct node *item = schemas ? node->first : NULL; item && !check_is_full(self);
         item = item->next) {
        size_t before = check_enter(self, item->key->text);
        check_plain(self, item, true);
        check_leave(self, before);
    }
    return schemas;
}
