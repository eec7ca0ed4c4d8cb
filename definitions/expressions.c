/* Expressions in definitions: each is compiled, so that its errors stand at their column in the
 * file, and what it refers to is noted for the graph. */
#include "base/limits.h"
#include "definitions/workflow.h"
#include <string.h>

/* One expression inside of a scalar's text. */
struct expression {
    struct check *check;
    const struct node *node;
    const char *text;
    size_t size;
    size_t start; /* in the scalar's text */
};

struct place check_place_in(const struct check *self, const struct node *node, size_t offset)
{
    return source_scalar_place(self->source, node->place, node->offset,
                               (enum scalar_style)node->style, bytes_of(node->text, node->size),
                               offset);
}

static size_t column_offset(const char *text, size_t size, unsigned column)
{
    size_t at = 0;
    for (unsigned i = 1; i < column && at < size; i++) {
        at++;
        while (at < size && ((unsigned char)text[at] & 0xc0) == 0x80)
            at++;
    }
    return at;
}

static void report(const struct expression *self, const struct err *err)
{
    size_t offset = self->start + column_offset(self->text, self->size, err->column);
    check_error(self->check, check_place_in(self->check, self->node, offset),
                err->code == ERR_UNSUPPORTED ? "unsupported" : "expression", err->fix, "%s",
                err->what);
}

static void note_reference(const struct expression *self, const struct cel_reference *found)
{
    const char *dot = strchr(found->variable, '.');
    bool has_field = found->field && strcmp(found->variable, "input") == 0;
    struct arena *arena = self->check->arena;
    struct reference reference = {
        .user = self->check->graph->user,
        .is_qualified = dot != NULL,
        .name = arena_strdup(arena, dot ? dot + 1 : found->variable),
        .field = has_field ? arena_strdup(arena, found->field) : NULL,
        .node = self->node,
        .offset = (uint32_t)(self->start + found->offset),
        .field_offset = (uint32_t)(self->start + found->field_offset),
        .path = arena_strdup(arena, buf_string(&self->check->path)),
    };
    graph_add_reference(self->check, &reference);
}

static const char *const RULE_VARIABLES[] = {"message", "agent", "turn",  "attempt", "results",
                                             "turns",   "item",  "index", NULL};

static bool is_rule_variable(const struct check *check, const char *name, const struct node *node)
{
    bool has_item = check->loop && check->loop != node;
    for (size_t i = 0; RULE_VARIABLES[i]; i++)
        if (strcmp(RULE_VARIABLES[i], name) == 0)
            return has_item || (strcmp(name, "item") != 0 && strcmp(name, "index") != 0);
    return false;
}

/* Rules have variables alone, and no nodes. */
static void check_rule_variable(const struct expression *self, const struct cel_reference *found)
{
    struct check *check = self->check;
    const char *dot = strchr(found->variable, '.');
    size_t size = strcspn(found->variable, ".");
    const char *name = arena_strndup(check->arena, found->variable, size);
    struct suggestion suggestion = SUGGESTION(name);
    char fix[160];
    if (is_rule_variable(check, name, self->node))
        return;
    for (size_t i = 0; RULE_VARIABLES[i]; i++)
        if (is_rule_variable(check, RULE_VARIABLES[i], self->node))
            check_offer(check, &suggestion, RULE_VARIABLES[i]);
    suggestion_text(&suggestion, fix, sizeof fix);
    bool is_item = strcmp(name, "item") == 0 || strcmp(name, "index") == 0;
    /* The offset of nodes.ID is that of the ID, behind at least "nodes". */
    size_t offset = dot ? found->offset - size - 1 : found->offset;
    check_error(check, check_place_in(check, self->node, self->start + offset), "unknown_variable",
                is_item ? "it is one within a call that has for: LIST"
                : suggestion.nearest
                    ? fix
                    : "variables are message, agent, turn, attempt, results, turns",
                "refers to \"%s\", which is no variable here", check_shown(check, name));
}

/* What it refers to: each variable once, but each field of the input. */
static void check_references(const struct expression *self, const cel_t *program)
{
    size_t known = 0;
    for (size_t i = 0; i < cel_references(program); i++) {
        const struct cel_reference *found = cel_reference(program, i);
        bool is_first = found->variable == cel_variable(program, known);
        known += is_first;
        if (!self->check->graph && is_first)
            check_rule_variable(self, found);
        else if (is_first || (self->check->graph && found->field))
            note_reference(self, found);
    }
}

static void check_one(const struct expression *self)
{
    cel_t *program = NULL;
    struct err err = {0};
    if (cel_compile(self->text, self->size, &program, &err) != 0) {
        report(self, &err);
        return;
    }
    if (cel_check(program, &err) != 0)
        report(self, &err);
    check_references(self, program);
    cel_destroy(&program);
}

static const char *find_open(const char *text, const char *end)
{
    return memmem(text, (size_t)(end - text), "{{", 2);
}

static void check_parts(struct check *check, const struct node *node)
{
    const char *end = node->text + node->size;
    for (const char *at = node->text; !check_is_full(check) && (at = find_open(at, end));) {
        const char *begin = at + 2;
        const char *close = cel_template_close(begin, (size_t)(end - begin));
        if (!close) {
            check_error(check, check_place_in(check, node, (size_t)(at - node->text)), "expression",
                        "end the expression with \"}}\"", "\"{{\" is not closed");
            return;
        }
        struct expression expression = {.check = check,
                                        .node = node,
                                        .text = begin,
                                        .size = (size_t)(close - begin),
                                        .start = (size_t)(begin - node->text)};
        check_one(&expression);
        at = close + 2;
    }
}

/* Without braces: what begins with them is a template, or was meant as one. */
static bool is_braced(const struct node *node)
{
    return node->size >= 4 && memcmp(node->text, "{{", 2) == 0 &&
           memcmp(node->text + node->size - 2, "}}", 2) == 0;
}

void expressions_check(struct check *check, const struct node *node, bool is_template)
{
    const char *end = node->text + node->size;
    if (is_template && !find_open(node->text, end))
        return;
    if (node->size > LIMIT_EXPRESSION_BYTES) {
        check_error(check, node->place, "bad_value",
                    "move its long parts into values that it names",
                    "a text with expressions has %u bytes, more than %u", node->size,
                    LIMIT_EXPRESSION_BYTES);
    } else if (is_template) {
        check_parts(check, node);
    } else {
        struct expression expression = {
            .check = check, .node = node, .text = node->text, .size = node->size};
        check_one(&expression);
    }
}

value_t *check_template(struct check *self, const struct node *node)
{
    value_t *text = check_text(self, node, LIMIT_TEXT_BYTES);
    if (text)
        expressions_check(self, node, true);
    return text;
}

/* An expression must be text to YAML, too: a bare true or 5 has to be quoted. */
value_t *check_expression(struct check *self, const struct node *node)
{
    value_t *text = check_text(self, node, LIMIT_TEXT_BYTES);
    if (text && is_braced(node))
        check_error(self, node->place, "expression", "take the braces away",
                    "an expression stands here without braces");
    else if (text)
        expressions_check(self, node, false);
    return text;
}

/* Where an expression is nothing but an input, its declared type tells what it gives. */
static void check_input_type(struct check *self, const struct node *node, const char *needs)
{
    static const char PREFIX[] = "input.";
    const size_t prefix = sizeof PREFIX - 1;
    const struct node *input = NULL;
    if (self->graph && node->size > prefix && memcmp(node->text, PREFIX, prefix) == 0)
        input = map_get(self->graph->inputs, node->text + prefix, node->size - prefix);
    if (input && input->kind == NODE_MAP)
        input = node_get(input, "type");
    const char *type = input && input->kind == NODE_TEXT ? type_schema_name(input->text) : NULL;
    if (type && strcmp(type, type_schema_name(needs)) != 0)
        check_error(self, node->place, "bad_value", "compare it, or declare the input otherwise",
                    "needs a %s, but the input is declared as %s", needs, input->text);
}

static value_t *check_false(struct check *self, const struct node *node)
{
    struct node word = *node;
    word.kind = NODE_TEXT;
    word.text = "false";
    word.size = 5;
    expressions_check(self, &word, false);
    return value_string(word.text);
}

static const char *condition_fix(const struct node *node)
{
    if (node->kind == NODE_NULL)
        return "write an expression, or leave the key out";
    if (node->kind == NODE_LIST || node->kind == NODE_MAP)
        return "write an expression, without brackets or braces around it";
    return "write an expression, such as find.count > 0";
}

/* `true` says what the absence of the key does. */
value_t *check_condition(struct check *self, const struct node *node)
{
    if (node->kind == NODE_BOOL)
        return node->boolean ? NULL : check_false(self, node);
    if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "an expression, true or false", condition_fix(node));
        return NULL;
    }
    check_input_type(self, node, "boolean");
    return check_expression(self, node);
}

value_t *check_list_expression(struct check *self, const struct node *node)
{
    if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "an expression",
                         node->kind == NODE_LIST
                             ? "quote it, or make it the default of an input and name that"
                             : "write a path to a list, such as input.files or find.links");
        return NULL;
    }
    check_input_type(self, node, "list");
    return check_expression(self, node);
}

static void check_texts(struct check *self, const struct node *node)
{
    size_t index = 0;
    if (node->kind == NODE_TEXT) {
        if (node->size > LIMIT_TEXT_BYTES)
            check_error(self, node->place, "bad_value", NULL, "the text has %u bytes, more than %u",
                        node->size, LIMIT_TEXT_BYTES);
        else
            expressions_check(self, node, true);
    } else if (node->kind == NODE_LIST || node->kind == NODE_MAP) {
        for (const struct node *item = node->first; item; item = item->next) {
            size_t before = node->kind == NODE_MAP ? check_enter(self, item->key->text)
                                                   : check_enter_index(self, index++);
            check_texts(self, item);
            check_leave(self, before);
        }
    }
}

value_t *check_templates(struct check *self, const struct node *node)
{
    if (node->kind != NODE_MAP) {
        check_wrong_type(self, node, "an object",
                         self->graph && !self->in_set ? "for a text, write say instead of with"
                                                      : "write {name: value, ...}");
        return NULL;
    }
    check_texts(self, node);
    return node_value(node);
}

value_t *check_anything(struct check *self, const struct node *node)
{
    check_texts(self, node);
    return node_value(node);
}
