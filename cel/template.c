#include "cel/cel.h"

#include "base/limits.h"
#include "base/map.h"
#include "cel/eval.h"
#include "cel/lex.h"
#include <stdlib.h>
#include <string.h>

/* A literal is compiled into a tree of its own shape, in which a part without expressions is kept
 * as the value that it is. */
enum node_kind { NODE_LITERAL, NODE_EXPRESSION, NODE_TEXT, NODE_LIST, NODE_MAP };

/* A stretch of literal text, or an expression. */
struct part {
    char *text;
    size_t size;
    cel_t *program; /* NULL: literal text */
    size_t start;   /* offset of the expression in the whole text, for columns */
};

struct node {
    enum node_kind kind;
    value_t *literal; /* for text: what was compiled; for maps: the literal, for its keys */
    struct part *parts;
    struct node *children;
    size_t count; /* of parts or children */
};

struct cel_template {
    struct node root;
    char **variables;
    size_t variable_count;
    size_t variable_capacity;
};

/* The way from the root to a place in the literal, kept on the stack of the recursion. */
struct place {
    const struct place *parent;
    const char *key; /* NULL: an item of a list */
    size_t index;
    unsigned depth;
};

struct compiler {
    cel_template_t *template;
    map_t *known; /* variables already listed */
    struct err *err;
};

static bool is_identifier(const char *text)
{
    if (!text[0] || (text[0] >= '0' && text[0] <= '9'))
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
           strlen(text);
}

static void put_place(struct buf *out, const struct place *place)
{
    if (!place)
        return;
    put_place(out, place->parent);
    if (!place->key)
        buf_printf(out, "[%zu]", place->index);
    else if (is_identifier(place->key))
        buf_printf(out, "%s%s", out->size ? "." : "", place->key);
    else
        buf_printf(out, "[\"%s\"]", place->key);
}

static void set_where(struct err *err, const struct place *place)
{
    struct buf path = {0};
    put_place(&path, place);
    err_where(err, "%s", buf_string(&path));
    buf_release(&path);
}

static void node_release(struct node *self)
{
    for (size_t i = 0; self->parts && i < self->count; i++) {
        cel_destroy(&self->parts[i].program);
        free(self->parts[i].text);
    }
    for (size_t i = 0; self->children && i < self->count; i++)
        node_release(&self->children[i]);
    free(self->parts);
    free(self->children);
    value_destroy(&self->literal);
    *self = (struct node){0};
}

static void note_variable(struct compiler *self, const char *name)
{
    cel_template_t *template = self->template;
    if (map_get(self->known, name, strlen(name)))
        return;
    if (template->variable_count == template->variable_capacity) {
        template->variable_capacity = template->variable_capacity * 2 + 4;
        template->variables = xrealloc(template->variables,
                                       template->variable_capacity * sizeof *template->variables);
    }
    char *own = xstrdup(name);
    template->variables[template->variable_count++] = own;
    map_put(self->known, own, strlen(own), own);
}

static const char *find_pair(const char *text, size_t size, char c)
{
    for (size_t i = 0; i + 1 < size; i++)
        if (text[i] == c && text[i + 1] == c)
            return text + i;
    return NULL;
}

const char *cel_template_close(const char *text, size_t size)
{
    struct lexer lexer = {.text = text, .size = size};
    struct token token;
    size_t braces = 0;
    const char *first = NULL;
    while (lex_next(&lexer, &token) == 0 && token.type != TOKEN_END) {
        bool closes = token.type == TOKEN_SIGN && token.sign == '}';
        bool is_pair = closes && token.start + 1 < size && text[token.start + 1] == '}';
        if (token.type == TOKEN_SIGN && token.sign == '{')
            braces++;
        if (is_pair && braces == 0)
            return text + token.start;
        if (is_pair && !first)
            first = text + token.start;
        if (closes && braces-- == 0)
            break;
    }
    return first ? first : find_pair(text, size, '}');
}

static struct part *add_part(struct node *node, size_t *capacity)
{
    if (node->count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 4;
        node->parts = xrealloc(node->parts, *capacity * sizeof *node->parts);
    }
    struct part *part = &node->parts[node->count++];
    *part = (struct part){0};
    return part;
}

static void add_text_part(struct node *node, size_t *capacity, const char *text, size_t size)
{
    if (size == 0)
        return;
    struct part *part = add_part(node, capacity);
    part->text = memcpy(xmalloc(size), text, size);
    part->size = size;
}

/* Turns a column within an expression into one within the text that the expression stands in. */
static void shift_column(struct err *err, const char *text, size_t start)
{
    if (err && err->column > 0)
        err->column += text_column(text, start) - 1;
}

static int unclosed(struct compiler *self, const char *text, size_t offset)
{
    err_set(self->err, ERR_INVALID, "\"{{\" is not closed");
    err_fix(self->err, "end the expression with \"}}\"");
    if (self->err)
        self->err->column = text_column(text, offset);
    return ERR_INVALID;
}

static int compile_parts(struct compiler *self, struct node *node, const char *text, size_t size)
{
    size_t capacity = 0;
    size_t at = 0;
    for (;;) {
        const char *open = find_pair(text + at, size - at, '{');
        if (!open) {
            add_text_part(node, &capacity, text + at, size - at);
            return 0;
        }
        add_text_part(node, &capacity, text + at, (size_t)(open - text) - at);
        size_t start = (size_t)(open - text) + 2;
        const char *close = cel_template_close(text + start, size - start);
        if (!close)
            return unclosed(self, text, start - 2);
        struct part *part = add_part(node, &capacity);
        part->start = start;
        int code =
            cel_compile(text + start, (size_t)(close - text) - start, &part->program, self->err);
        if (code) {
            shift_column(self->err, text, start);
            return code;
        }
        for (size_t i = 0; i < cel_variables(part->program); i++)
            note_variable(self, cel_variable(part->program, i));
        at = (size_t)(close - text) + 2;
    }
}

static int compile_text(struct compiler *self, struct node *node, const value_t *literal)
{
    const char *text = value_as_string(literal);
    size_t size = value_size(literal);
    node->literal = value_ref(literal);
    node->kind = NODE_LITERAL;
    if (!find_pair(text, size, '{'))
        return 0;
    if (size > LIMIT_EXPRESSION_BYTES) {
        err_set(self->err, ERR_TOO_LARGE, "a text with expressions has %zu bytes, more than %u",
                size, LIMIT_EXPRESSION_BYTES);
        err_fix(self->err, "move its long parts into values that it names");
        return ERR_TOO_LARGE;
    }
    int code = compile_parts(self, node, text, size);
    bool is_sole = !code && node->count == 1 && node->parts[0].program;
    node->kind = is_sole ? NODE_EXPRESSION : NODE_TEXT;
    return code;
}

static int compile_node(struct compiler *self, struct node *node, const value_t *literal,
                        const struct place *place);

static int compile_children(struct compiler *self, struct node *node, const value_t *literal,
                            const struct place *place)
{
    bool is_map = value_type(literal) == VALUE_MAP;
    bool is_constant = true;
    size_t count = value_size(literal);
    struct place child = {.parent = place, .depth = place ? place->depth + 1 : 1};
    node->kind = is_map ? NODE_MAP : NODE_LIST;
    node->literal = value_ref(literal);
    node->children = xcalloc(count, sizeof *node->children);
    node->count = count;
    for (size_t i = 0; i < count; i++) {
        child.key = is_map ? value_key_at(literal, i, NULL) : NULL;
        child.index = i;
        const value_t *item = is_map ? value_member_at(literal, i) : value_at(literal, i);
        int code = compile_node(self, &node->children[i], item, &child);
        if (code)
            return code;
        is_constant = is_constant && node->children[i].kind == NODE_LITERAL;
    }
    if (is_constant) {
        node_release(node);
        node->literal = value_ref(literal);
    }
    return 0;
}

static int compile_node(struct compiler *self, struct node *node, const value_t *literal,
                        const struct place *place)
{
    enum value_type type = value_type(literal);
    int code = 0;
    if (type == VALUE_STRING) {
        code = compile_text(self, node, literal);
    } else if (type != VALUE_LIST && type != VALUE_MAP) {
        node->literal = value_ref(literal);
    } else if (place && place->depth >= LIMIT_TEMPLATE_DEPTH) {
        code = err_set(self->err, ERR_TOO_DEEP, "the literal is nested deeper than %d levels",
                       LIMIT_TEMPLATE_DEPTH);
        err_fix(self->err, "flatten it");
    } else {
        return compile_children(self, node, literal, place);
    }
    if (code)
        set_where(self->err, place);
    return code;
}

int cel_template_compile(const value_t *literal, cel_template_t **ret_template, struct err *err)
{
    cel_template_t *template = xcalloc(1, sizeof *template);
    struct compiler compiler = {.template = template, .known = map_new(), .err = err};
    int code = compile_node(&compiler, &template->root, literal, NULL);
    map_destroy(&compiler.known);
    if (code)
        cel_template_destroy(&template);
    else
        *ret_template = template;
    return code;
}

void cel_template_destroy(cel_template_t **self_p)
{
    cel_template_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    node_release(&self->root);
    for (size_t i = 0; i < self->variable_count; i++)
        free(self->variables[i]);
    free(self->variables);
    free(self);
}

size_t cel_template_variables(const cel_template_t *self)
{
    return self->variable_count;
}

const char *cel_template_variable(const cel_template_t *self, size_t index)
{
    return index < self->variable_count ? self->variables[index] : NULL;
}

const char *cel_template_sole_variable(const cel_template_t *self)
{
    if (self->root.kind != NODE_EXPRESSION)
        return NULL;
    return cel_sole_variable(self->root.parts[0].program);
}

struct evaluation {
    cel_resolve_fn resolve;
    void *context;
    struct err *err;
    int64_t *steps; /* left for all expressions together */
    size_t *bytes;  /* left for all that they are put into together, which may be no larger value */
};

static int take_bytes(const struct evaluation *self, size_t size)
{
    if (size <= *self->bytes) {
        *self->bytes -= size;
        return 0;
    }
    err_set(self->err, ERR_TOO_LARGE, "this makes the whole grow above %u bytes",
            LIMIT_VALUE_BYTES);
    err_fix(self->err, "put only what is needed of the values into it");
    return ERR_TOO_LARGE;
}

/* At least so many bytes has the value, as JSON and as MessagePack; not looked at further once
 * there are more than `most`, so that a large value costs no more than what it may take. */
static size_t least_bytes(const value_t *value, size_t most)
{
    enum value_type type = value_type(value);
    size_t bytes = 1;
    if (type == VALUE_STRING)
        return bytes + value_size(value);
    if (type != VALUE_LIST && type != VALUE_MAP)
        return bytes;
    for (size_t i = 0; i < value_size(value) && bytes <= most; i++) {
        size_t key_size = 0;
        if (type == VALUE_MAP)
            (void)value_key_at(value, i, &key_size);
        const value_t *item = type == VALUE_MAP ? value_member_at(value, i) : value_at(value, i);
        bytes += key_size;
        bytes += bytes <= most ? least_bytes(item, most - bytes) : 0;
    }
    return bytes;
}

static int eval_part(const struct evaluation *self, const struct node *node,
                     const struct part *part, value_t **ret_value)
{
    int code = cel_eval_within(part->program, self->resolve, self->context, self->steps, ret_value,
                               self->err);
    if (code)
        shift_column(self->err, value_as_string(node->literal), part->start);
    return code;
}

/* Looks at the size before anything grows. JSON may still turn out longer than the least. */
static int put_value(const struct evaluation *self, struct buf *out, const value_t *value)
{
    bool is_text = value_type(value) == VALUE_STRING;
    size_t least = is_text ? value_size(value) : least_bytes(value, *self->bytes);
    size_t start = out->size;
    int code = take_bytes(self, least);
    if (code)
        return code;
    if (is_text) {
        buf_append(out, value_as_string(value), value_size(value));
        return 0;
    }
    value_to_json(value, VALUE_JSON_COMPACT, out);
    return take_bytes(self, out->size - start - least);
}

static int put_part(const struct evaluation *self, const struct node *node, const struct part *part,
                    struct buf *out)
{
    value_t *value = NULL;
    int code = part->program ? eval_part(self, node, part, &value) : take_bytes(self, part->size);
    if (code)
        return code;
    if (part->program)
        code = put_value(self, out, value);
    else
        buf_append(out, part->text, part->size);
    value_destroy(&value);
    return code;
}

static int put_parts(const struct evaluation *self, const struct node *node, struct buf *out)
{
    int code = 0;
    for (size_t i = 0; i < node->count && !code; i++)
        code = put_part(self, node, &node->parts[i], out);
    return code;
}

static int eval_text(const struct evaluation *self, const struct node *node, value_t **ret_value)
{
    struct buf text = {0};
    int code = put_parts(self, node, &text);
    if (!code)
        *ret_value = value_string_n(buf_string(&text), text.size);
    buf_release(&text);
    return code;
}

/* A value that stands alone is bounded already; within others it counts with them. */
static int eval_sole(const struct evaluation *self, const struct node *node,
                     const struct place *place, value_t **ret_value)
{
    value_t *value = NULL;
    int code = eval_part(self, node, &node->parts[0], &value);
    if (!code && place)
        code = take_bytes(self, least_bytes(value, *self->bytes));
    if (code)
        value_destroy(&value);
    else
        *ret_value = value;
    return code;
}

static int eval_node(const struct evaluation *self, const struct node *node,
                     const struct place *place, value_t **ret_value);

static int eval_children(const struct evaluation *self, const struct node *node,
                         const struct place *place, value_t **ret_value)
{
    bool is_map = node->kind == NODE_MAP;
    value_t *made = is_map ? value_map() : value_list();
    struct place child = {.parent = place};
    for (size_t i = 0; i < node->count; i++) {
        size_t key_size = 0;
        child.key = is_map ? value_key_at(node->literal, i, &key_size) : NULL;
        child.index = i;
        value_t *item = NULL;
        int code = eval_node(self, &node->children[i], &child, &item);
        if (code) {
            value_destroy(&made);
            return code;
        }
        if (is_map)
            value_set_n(made, child.key, key_size, &item);
        else
            value_append(made, &item);
    }
    *ret_value = made;
    return 0;
}

static int eval_node(const struct evaluation *self, const struct node *node,
                     const struct place *place, value_t **ret_value)
{
    int code = 0;
    switch (node->kind) {
    case NODE_LITERAL: *ret_value = value_ref(node->literal); return 0;
    case NODE_EXPRESSION: code = eval_sole(self, node, place, ret_value); break;
    case NODE_TEXT: code = eval_text(self, node, ret_value); break;
    case NODE_LIST:
    case NODE_MAP: return eval_children(self, node, place, ret_value);
    }
    if (code)
        set_where(self->err, place);
    return code;
}

/* Values that are each within the limits may pass them when they are put together. */
int cel_template_eval_within(const cel_template_t *self, cel_resolve_fn resolve, void *context,
                             int64_t *steps, value_t **ret_value, struct err *err)
{
    size_t bytes = LIMIT_VALUE_BYTES;
    struct evaluation evaluation = {resolve, context, err, steps, &bytes};
    value_t *value = NULL;
    int code = eval_node(&evaluation, &self->root, NULL, &value);
    if (code)
        return code;
    bool is_composed = self->root.kind == NODE_LIST || self->root.kind == NODE_MAP;
    code = is_composed ? value_check_limits(value, err) : 0;
    if (code)
        value_destroy(&value);
    else
        *ret_value = value;
    return code;
}

int cel_template_eval(const cel_template_t *self, cel_resolve_fn resolve, void *context,
                      value_t **ret_value, struct err *err)
{
    int64_t steps = LIMIT_EXPRESSION_STEPS;
    return cel_template_eval_within(self, resolve, context, &steps, ret_value, err);
}
