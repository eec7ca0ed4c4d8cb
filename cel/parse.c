/* Text to program, by the grammar of CEL (cel-spec, doc/langdef.md, "Syntax"). What stands in a row
 * (a + b + c) makes no depth; what stands within another does, and that is bounded. */
#include "cel/parse.h"

#include "base/limits.h"
#include "cel/function.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int parse_advance(struct parser *self)
{
    return lex_next(&self->lexer, &self->token);
}

bool parse_at(const struct parser *self, char sign)
{
    return self->token.type == TOKEN_SIGN && self->token.sign == sign;
}

static const char *text_at(const struct parser *self, const struct token *token)
{
    return self->lexer.text + token->start;
}

static bool token_is(const struct parser *self, const struct token *token, const char *word)
{
    return token->size == strlen(word) && memcmp(text_at(self, token), word, token->size) == 0;
}

int parse_expect(struct parser *self, char sign, size_t opened, const char *what, const char *fix)
{
    if (parse_at(self, sign))
        return parse_advance(self);
    if (self->token.type == TOKEN_END)
        return lex_invalid(&self->lexer, opened, what, fix);
    return lex_unexpected(&self->lexer, self->token.start);
}

static int enter(struct parser *self)
{
    if (self->depth++ < LIMIT_EXPRESSION_DEPTH)
        return 0;
    err_set(self->lexer.err, ERR_TOO_DEEP, "the expression is nested deeper than %d levels",
            LIMIT_EXPRESSION_DEPTH);
    err_fix(self->lexer.err, "compute a part of it in a node of its own");
    if (self->lexer.err)
        self->lexer.err->column = text_column(self->lexer.text, self->token.start);
    return ERR_TOO_DEEP;
}

static int unsupported(struct parser *self, size_t offset, const char *what, const char *fix)
{
    (void)lex_invalid(&self->lexer, offset, what, fix);
    if (self->lexer.err)
        self->lexer.err->code = ERR_UNSUPPORTED;
    return ERR_UNSUPPORTED;
}

/* --- literals --------------------------------------------------------------------------------- */

static void push_constant(struct parser *self, struct cell cell, size_t from)
{
    uint32_t constant = build_constant(&self->builder, cell);
    build_op(&self->builder, OP_CONSTANT, constant, 0, from, from);
}

static int parse_integer(struct parser *self, bool is_negative, size_t from)
{
    const struct token *token = &self->token;
    bool is_uint = token->type == TOKEN_UINT;
    const char *text = text_at(self, token);
    size_t size = token->size - (is_uint ? 1 : 0);
    bool is_hex = size > 2 && (text[1] == 'x' || text[1] == 'X');
    uint64_t most = is_uint ? UINT64_MAX : (uint64_t)INT64_MAX + (is_negative ? 1 : 0);
    uint64_t number = 0;
    for (size_t i = is_hex ? 2 : 0; i < size; i++) {
        char c = text[i];
        unsigned digit = (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
        unsigned base = is_hex ? 16 : 10;
        if (number > (most - digit) / base)
            return lex_invalid(&self->lexer, token->start, "the number is outside of 64 bits",
                               "use a smaller one, or write it with .0");
        number = number * base + digit;
    }
    if (is_uint)
        push_constant(self, cell_uint(number), from);
    else
        push_constant(self, cell_int((int64_t)(is_negative ? 0 - number : number)), from);
    return parse_advance(self);
}

static int parse_double(struct parser *self, bool is_negative, size_t from)
{
    char *text = xstrndup(text_at(self, &self->token), self->token.size);
    double number = strtod(text, NULL);
    free(text);
    if (!isfinite(number))
        return lex_invalid(&self->lexer, self->token.start, "the number is too large",
                           "numbers go up to about 1.79e308");
    push_constant(self, cell_double(is_negative ? -number : number), from);
    return parse_advance(self);
}

static int parse_text(struct parser *self)
{
    struct buf text = {0};
    int code = lex_string(&self->lexer, &self->token, &text);
    if (!code) {
        uint32_t constant = build_text(&self->builder, buf_string(&text), text.size);
        build_op(&self->builder, OP_CONSTANT, constant, 0, self->token.start, self->token.start);
        code = parse_advance(self);
    }
    buf_release(&text);
    return code;
}

static int parse_list(struct parser *self)
{
    size_t start = self->token.start;
    uint32_t count = 0;
    int code = parse_advance(self);
    while (!code && !parse_at(self, ']')) {
        code = parse_expression(self);
        count++;
        if (code || !parse_at(self, ','))
            break;
        code = parse_advance(self);
    }
    if (!code)
        code = parse_expect(self, ']', start, "the list is not closed", "end it with ]");
    if (!code) {
        uint32_t op = build_op(&self->builder, OP_LIST, 0, count, start, start);
        self->builder.program->ops[op].count = (uint16_t)count;
    }
    return code;
}

static int parse_map(struct parser *self)
{
    size_t start = self->token.start;
    uint32_t count = 0;
    int code = parse_advance(self);
    while (!code && !parse_at(self, '}')) {
        code = parse_expression(self);
        if (!code)
            code = parse_expect(self, ':', start, "the map is not closed", "end it with }");
        if (!code)
            code = parse_expression(self);
        count++;
        if (code || !parse_at(self, ','))
            break;
        code = parse_advance(self);
    }
    if (!code)
        code = parse_expect(self, '}', start, "the map is not closed", "end it with }");
    if (!code) {
        uint32_t op = build_op(&self->builder, OP_MAP, 0, 2 * count, start, start);
        self->builder.program->ops[op].count = (uint16_t)count;
    }
    return code;
}

/* Each item is two bytes of text or more. */
_Static_assert(LIMIT_EXPRESSION_BYTES / 2 <= UINT16_MAX, "a count of items fits its place");

/* --- names ------------------------------------------------------------------------------------ */

static bool is_reserved(const struct parser *self, const struct token *token)
{
    static const char *const WORDS[] = {
        "as",  "break", "const",     "continue", "else",   "for", "function", "if",    "import",
        "let", "loop",  "namespace", "package",  "return", "var", "void",     "while", NULL};
    for (size_t i = 0; WORDS[i]; i++)
        if (token_is(self, token, WORDS[i]))
            return true;
    return false;
}

static const struct local *find_local(const struct parser *self, const struct token *name)
{
    for (const struct local *local = self->locals; local; local = local->outer)
        if (local->size == name->size && memcmp(local->name, text_at(self, name), name->size) == 0)
            return local;
    return NULL;
}

/* Below `nodes` each node is a variable of its own. At the token behind `nodes`. */
static int parse_node(struct parser *self, const struct token *nodes)
{
    struct buf id = {0};
    size_t offset = 0;
    size_t behind = self->token.start;
    bool is_dot = parse_at(self, '.');
    bool is_bracket = parse_at(self, '[');
    int code = is_dot || is_bracket ? parse_advance(self) : 0;
    if (!code && is_dot && self->token.type == TOKEN_IDENT) {
        offset = self->token.start;
        buf_append(&id, text_at(self, &self->token), self->token.size);
    } else if (!code && is_bracket && self->token.type == TOKEN_STRING) {
        offset = self->token.start + 1;
        code = lex_string(&self->lexer, &self->token, &id);
    }
    if (!code && (id.size == 0 || strlen(buf_string(&id)) != id.size))
        code = lex_invalid(&self->lexer, is_dot || is_bracket ? behind : nodes->start,
                           "the name of a node must follow \"nodes\"",
                           "write nodes.ID.status or nodes.ID.error");
    if (!code)
        code = parse_advance(self);
    if (!code && is_bracket)
        code = parse_expect(self, ']', behind, "the bracket is not closed", "end it with ]");
    if (!code)
        build_variable(&self->builder, "nodes.", buf_string(&id), id.size, offset, nodes->start);
    buf_release(&id);
    return code;
}

/* The bytes of the longest declared name that stands at the token, counted in tokens as well. */
static size_t longest_name(const struct parser *self, const struct token *first, size_t *ret_tokens)
{
    size_t longest = 0;
    struct lexer lexer = self->lexer;
    struct token token = self->token;
    struct buf name = {0};
    buf_append(&name, text_at(self, first), first->size);
    lexer.err = NULL;
    for (size_t tokens = 0;; tokens += 2) {
        for (size_t i = 0; i < self->names->count; i++)
            if (strcmp(self->names->names[i], buf_string(&name)) == 0) {
                longest = name.size;
                *ret_tokens = tokens;
            }
        if (token.type != TOKEN_SIGN || token.sign != '.' || lex_next(&lexer, &token) ||
            token.type != TOKEN_IDENT)
            break;
        buf_putc(&name, '.');
        buf_append(&name, text_at(self, &token), token.size);
        if (lex_next(&lexer, &token) || (token.type == TOKEN_SIGN && token.sign == '('))
            break;
    }
    buf_release(&name);
    return longest;
}

static int parse_declared(struct parser *self, const struct token *name, size_t tokens)
{
    struct buf joined = {0};
    int code = 0;
    buf_append(&joined, text_at(self, name), name->size);
    for (size_t i = 0; !code && i < tokens; i++) {
        buf_append(&joined, text_at(self, &self->token), self->token.size);
        code = parse_advance(self);
    }
    if (!code)
        build_variable(&self->builder, "", buf_string(&joined), joined.size, name->start,
                       name->start);
    buf_release(&joined);
    return code;
}

/* At a name; is_root: a dot stands before it, so that it is none of a macro's variables. */
static int parse_name(struct parser *self, size_t from, bool is_root)
{
    struct token name = self->token;
    size_t tokens = 0;
    if (is_reserved(self, &name))
        return lex_invalid(&self->lexer, name.start,
                           "a word that CEL reserves can't name a variable",
                           "rename what it stands for");
    int code = parse_advance(self);
    if (code)
        return code;
    if (parse_at(self, '('))
        return parse_global_call(self, &name);
    const struct local *local = is_root ? NULL : find_local(self, &name);
    if (local) {
        build_op(&self->builder, OP_LOCAL, local->level, 0, name.start, from);
        return 0;
    }
    if (self->names && longest_name(self, &name, &tokens))
        return parse_declared(self, &name, tokens);
    if (token_is(self, &name, "nodes"))
        return parse_node(self, &name);
    enum kind type = type_named(text_at(self, &name), name.size);
    if (type == KIND_ERROR)
        build_variable(&self->builder, "", text_at(self, &name), name.size, name.start, from);
    else
        push_constant(self, (struct cell){.kind = KIND_TYPE, .as.type = type}, from);
    return 0;
}

static int parse_primary(struct parser *self)
{
    size_t from = self->token.start;
    struct cell cell = {.kind = KIND_NULL};
    int code;
    switch (self->token.type) {
    case TOKEN_INT:
    case TOKEN_UINT: return parse_integer(self, false, from);
    case TOKEN_DOUBLE: return parse_double(self, false, from);
    case TOKEN_STRING: return parse_text(self);
    case TOKEN_BYTES:
        return unsupported(self, from, "unsupported: bytes, which JSON doesn't have",
                           "use a text, without the b");
    case TOKEN_TRUE:
    case TOKEN_FALSE: cell = cell_bool(self->token.type == TOKEN_TRUE); /* fall through */
    case TOKEN_NULL: push_constant(self, cell, from); return parse_advance(self);
    case TOKEN_IDENT: return parse_name(self, from, false);
    default: break;
    }
    if (parse_at(self, '['))
        return parse_list(self);
    if (parse_at(self, '{'))
        return parse_map(self);
    if (parse_at(self, '.')) {
        code = parse_advance(self);
        if (code)
            return code;
        return self->token.type == TOKEN_IDENT ? parse_name(self, from, true)
                                               : lex_unexpected(&self->lexer, self->token.start);
    }
    if (!parse_at(self, '('))
        return lex_unexpected(&self->lexer, self->token.start);
    code = parse_advance(self);
    if (!code)
        code = parse_expression(self);
    return code ? code
                : parse_expect(self, ')', from, "the parenthesis is not closed", "end it with )");
}

/* --- fields, indexes, calls ------------------------------------------------------------------- */

static void push_field(struct parser *self, const char *name, size_t size, size_t at, size_t from,
                       size_t offset)
{
    struct builder *builder = &self->builder;
    const struct op *last = &builder->program->ops[builder->program->op_count - 1];
    struct cel_reference *references = builder->program->references;
    size_t count = builder->program->reference_count;
    if (last->code == OP_VARIABLE && count > 0 && !references[count - 1].field &&
        memchr(name, '\0', size) == NULL)
        build_field_of_last(builder, name, size, offset);
    build_op(builder, OP_FIELD, build_text(builder, name, size), 1, at, from);
}

static int parse_field(struct parser *self, size_t from)
{
    static const char WHAT[] = "a field's name must follow the dot";
    static const char FIX[] = "write a name, or [\"…\"] for a field that is no identifier";
    size_t dot = self->token.start;
    int code = parse_advance(self);
    if (code)
        return code;
    struct token name = self->token;
    if (name.type == TOKEN_TRUE || name.type == TOKEN_FALSE || name.type == TOKEN_NULL ||
        name.type == TOKEN_IN)
        return lex_invalid(&self->lexer, name.start, "a keyword of CEL can't follow the dot",
                           "write the field as [\"…\"]");
    if (name.type != TOKEN_IDENT && name.type != TOKEN_QUOTED_IDENT)
        return lex_invalid(&self->lexer, name.start, WHAT, FIX);
    code = parse_advance(self);
    if (!code && parse_at(self, '(') && name.type == TOKEN_IDENT)
        return parse_method_call(self, &name, from);
    if (code)
        return code;
    push_field(self, text_at(self, &name), name.size, dot, from, name.start);
    self->selected = self->builder.program->op_count;
    return 0;
}

static int parse_index(struct parser *self, size_t from)
{
    size_t bracket = self->token.start;
    struct builder *builder = &self->builder;
    int code = parse_advance(self);
    if (code)
        return code;
    if (parse_at(self, ']') || self->token.type == TOKEN_END)
        return lex_invalid(&self->lexer, self->token.start, "the brackets hold no index",
                           "write a number from 0, or a field's name in quotes");
    size_t inside = self->token.start;
    size_t before = builder->program->op_count;
    code = parse_expression(self);
    if (!code)
        code = parse_expect(self, ']', bracket, "the bracket is not closed", "end it with ]");
    if (code)
        return code;
    const struct op *last = &builder->program->ops[before];
    const struct cell *key =
        last->code == OP_CONSTANT ? &builder->program->constants[last->arg] : NULL;
    if (builder->program->op_count == before + 1 && key && key->kind == KIND_STRING) {
        struct text text = {value_as_string(key->as.json), value_size(key->as.json)};
        builder->program->op_count = before;
        builder->stack--;
        push_field(self, text.data, text.size, bracket, from, inside + 1);
    } else {
        build_op(builder, OP_INDEX, 0, 2, bracket, from);
    }
    return 0;
}

static int parse_steps(struct parser *self, size_t from)
{
    for (;;) {
        int code;
        if (parse_at(self, '.'))
            code = parse_field(self, from);
        else if (parse_at(self, '['))
            code = parse_index(self, from);
        else if (parse_at(self, '{'))
            return unsupported(self, self->token.start,
                               "unsupported: a message, which JSON doesn't have",
                               "write a map such as {\"key\": value}");
        else if (self->token.type == TOKEN_DOUBLE && text_at(self, &self->token)[0] == '.')
            return lex_invalid(&self->lexer, self->token.start + 1,
                               "a field's name must follow the dot",
                               "write a name, or [0] for an item of a list");
        else
            return 0;
        if (code)
            return code;
    }
}

/* --- operators -------------------------------------------------------------------------------- */

static int parse_unary(struct parser *self)
{
    size_t from = self->token.start;
    bool is_not = parse_at(self, '!');
    int code = 0;
    if (!is_not && !parse_at(self, '-')) {
        code = parse_primary(self);
        return code ? code : parse_steps(self, from);
    }
    code = parse_advance(self);
    if (code)
        return code;
    bool is_integer = self->token.type == TOKEN_INT;
    if (!is_not && (is_integer || self->token.type == TOKEN_DOUBLE)) {
        code = is_integer ? parse_integer(self, true, from) : parse_double(self, true, from);
        return code ? code : parse_steps(self, from);
    }
    code = enter(self);
    if (!code)
        code = parse_unary(self);
    self->depth--;
    if (!code)
        build_op(&self->builder, is_not ? OP_NOT : OP_NEGATE, 0, 1, from, self->token.start);
    return code;
}

enum { LEVEL_OR = 1, LEVEL_AND, LEVEL_RELATION, LEVEL_SUM, LEVEL_PRODUCT };

/* 0: no operator between two operands. */
static int operator_level(const struct token *token, enum opcode *ret_code)
{
    static const struct {
        enum token_type type;
        char sign;
        uint8_t level;
        enum opcode code;
    } OPERATORS[] = {
        {TOKEN_OR, 0, LEVEL_OR, OP_OR},
        {TOKEN_AND, 0, LEVEL_AND, OP_AND},
        {TOKEN_EQ, 0, LEVEL_RELATION, OP_EQ},
        {TOKEN_NE, 0, LEVEL_RELATION, OP_NE},
        {TOKEN_LE, 0, LEVEL_RELATION, OP_LE},
        {TOKEN_GE, 0, LEVEL_RELATION, OP_GE},
        {TOKEN_IN, 0, LEVEL_RELATION, OP_IN},
        {TOKEN_SIGN, '<', LEVEL_RELATION, OP_LT},
        {TOKEN_SIGN, '>', LEVEL_RELATION, OP_GT},
        {TOKEN_SIGN, '+', LEVEL_SUM, OP_ADD},
        {TOKEN_SIGN, '-', LEVEL_SUM, OP_SUBTRACT},
        {TOKEN_SIGN, '*', LEVEL_PRODUCT, OP_MULTIPLY},
        {TOKEN_SIGN, '/', LEVEL_PRODUCT, OP_DIVIDE},
        {TOKEN_SIGN, '%', LEVEL_PRODUCT, OP_REMAINDER},
    };
    for (size_t i = 0; i < sizeof OPERATORS / sizeof OPERATORS[0]; i++)
        if (OPERATORS[i].type == token->type && OPERATORS[i].sign == token->sign) {
            *ret_code = OPERATORS[i].code;
            return OPERATORS[i].level;
        }
    return 0;
}

static int parse_binary(struct parser *self, int level)
{
    size_t from = self->token.start;
    int code = parse_unary(self);
    while (!code) {
        enum opcode operator= OP_END;
        size_t at = self->token.start;
        uint32_t jump = 0;
        int found = operator_level(&self->token, &operator);
        if (found == 0 || found < level)
            break;
        if (found <= LEVEL_AND)
            jump = build_jump(&self->builder, found == LEVEL_OR ? OP_OR_JUMP : OP_AND_JUMP, at);
        code = parse_advance(self);
        if (!code)
            code = parse_binary(self, found + 1);
        if (code)
            break;
        build_op(&self->builder, operator, 0, 2, at, from);
        if (found <= LEVEL_AND)
            build_land(&self->builder, jump);
    }
    return code;
}

static int parse_branches(struct parser *self, size_t from)
{
    struct builder *builder = &self->builder;
    size_t mark = self->token.start;
    uint32_t condition = build_jump(builder, OP_CONDITION, mark);
    builder->program->ops[condition].from = (uint32_t)from;
    builder->stack--;
    int code = parse_advance(self);
    if (!code)
        code = parse_expression(self);
    uint32_t jump = build_jump(builder, OP_JUMP, mark);
    builder->stack--;
    build_land(builder, condition);
    if (!code)
        code = parse_expect(self, ':', mark, "the \"?\" has no \":\"",
                            "write condition ? value : other value");
    if (!code)
        code = parse_expression(self);
    build_land(builder, jump);
    self->selected = 0;
    return code;
}

int parse_expression(struct parser *self)
{
    size_t from = self->token.start;
    int code = enter(self);
    if (!code)
        code = parse_binary(self, LEVEL_OR);
    if (!code && parse_at(self, '?'))
        code = parse_branches(self, from);
    self->depth--;
    return code;
}

/* --- all of it -------------------------------------------------------------------------------- */

static bool is_path(const cel_t *program)
{
    for (size_t i = 0; i + 1 < program->op_count; i++) {
        enum opcode code = (enum opcode)program->ops[i].code;
        bool indexes = code == OP_CONSTANT && program->ops[i + 1].code == OP_INDEX;
        if (i == 0 ? code != OP_VARIABLE : code != OP_FIELD && code != OP_INDEX && !indexes)
            return false;
    }
    return true;
}

static int parse_all(struct parser *self)
{
    int code = parse_advance(self);
    if (code)
        return code;
    if (self->token.type == TOKEN_END)
        return lex_invalid(&self->lexer, self->token.start, "the expression is empty",
                           "write one, such as input.topic");
    code = parse_expression(self);
    if (!code && self->token.type != TOKEN_END)
        code = lex_unexpected(&self->lexer, self->token.start);
    build_jump(&self->builder, OP_END, self->lexer.size);
    return code;
}

int cel_compile_with(const char *text, size_t size, const struct cel_names *names,
                     cel_t **ret_program, struct err *err)
{
    if (size > LIMIT_EXPRESSION_BYTES) {
        err_set(err, ERR_TOO_LARGE, "the expression has %zu bytes, more than %u", size,
                LIMIT_EXPRESSION_BYTES);
        err_fix(err, "shorten it");
        return ERR_TOO_LARGE;
    }
    cel_t *program = xcalloc(1, sizeof *program);
    program->text = xstrndup("", 0);
    struct parser parser = {.lexer = {.text = text, .size = size, .err = err},
                            .builder = {.program = program, .known = map_new()},
                            .names = names};
    int code = parse_all(&parser);
    map_destroy(&parser.builder.known);
    if (code) {
        cel_destroy(&program);
        return code;
    }
    free(program->text);
    program->text = memcpy(xcalloc(1, size + 1), text, size);
    program->text_size = size;
    program->is_path = is_path(program);
    *ret_program = program;
    return 0;
}

int cel_compile(const char *text, size_t size, cel_t **ret_program, struct err *err)
{
    return cel_compile_with(text, size, NULL, ret_program, err);
}
