/* Calls of functions, and the macros, which look like calls but bind a variable. */
#include "cel/function.h"
#include "cel/parse.h"
#include "cel/pattern.h"
#include <stdlib.h>
#include <string.h>

/* The arguments behind a "(", each left on the stack. */
static int parse_arguments(struct parser *self, uint32_t *count)
{
    size_t start = self->token.start;
    int code = parse_advance(self);
    while (!code && !parse_at(self, ')')) {
        size_t before = self->builder.program->op_count;
        code = parse_expression(self);
        self->argument = before;
        ++*count;
        if (code || !parse_at(self, ','))
            break;
        code = parse_advance(self);
        if (!code && parse_at(self, ')'))
            code = lex_unexpected(&self->lexer, self->token.start);
    }
    if (!code)
        code = parse_expect(self, ')', start, "the parenthesis is not closed", "end it with )");
    return code;
}

/* --- functions -------------------------------------------------------------------------------- */

/* Patterns that are literals are compiled with the expression. True: it was one. */
static bool take_pattern(struct parser *self, const struct token *name, size_t from, int *ret_code)
{
    struct builder *builder = &self->builder;
    const struct op *last = &builder->program->ops[builder->program->op_count - 1];
    struct pattern *pattern = NULL;
    if (builder->program->op_count != self->argument + 1 || last->code != OP_CONSTANT)
        return false;
    const struct cell *text = &builder->program->constants[last->arg];
    if (text->kind != KIND_STRING)
        return false;
    *ret_code = pattern_compile(value_as_string(text->as.json), value_size(text->as.json), &pattern,
                                self->lexer.err);
    if (*ret_code) {
        if (self->lexer.err)
            self->lexer.err->column = text_column(self->lexer.text, last->at);
        return true;
    }
    builder->program->op_count--;
    builder->stack--;
    build_pattern(builder, pattern, name->start, from);
    return true;
}

static void note_problem(struct parser *self, const struct token *name, bool is_method,
                         uint32_t count)
{
    cel_t *program = self->builder.program;
    if (program->problem)
        return;
    program->problem = xcalloc(1, sizeof *program->problem);
    (void)function_unknown(self->lexer.text + name->start, name->size, is_method, count,
                           program->problem);
    program->problem->column = text_column(self->lexer.text, name->start);
}

static int push_call(struct parser *self, const struct token *name, bool is_method, uint32_t count,
                     size_t from)
{
    struct builder *builder = &self->builder;
    const char *text = self->lexer.text + name->start;
    int function = function_find(text, name->size, is_method, count);
    uint32_t op;
    int code = 0;
    if (function < 0) {
        note_problem(self, name, is_method, count);
        op = build_op(builder, OP_UNKNOWN, build_text(builder, text, name->size), count,
                      name->start, from);
        builder->program->ops[op].flag = is_method;
    } else if (function_at((unsigned)function) == text_matches &&
               take_pattern(self, name, from, &code)) {
        return code;
    } else {
        op = build_op(builder, OP_CALL, (uint32_t)function, count, name->start, from);
    }
    builder->program->ops[op].count = (uint16_t)count;
    return 0;
}

/* --- macros ----------------------------------------------------------------------------------- */

static int parse_has(struct parser *self, const struct token *name)
{
    size_t start = self->token.start;
    cel_t *program = self->builder.program;
    int code = parse_advance(self);
    self->selected = 0;
    if (!code)
        code = parse_expression(self);
    if (code)
        return code;
    if (!parse_at(self, ')') || self->selected != program->op_count)
        return lex_invalid(&self->lexer, name->start, "has() takes a field of something",
                           "write has(x.field), or \"key\" in x for a key that is no identifier");
    program->ops[program->op_count - 1].code = OP_HAS;
    self->selected = 0;
    return parse_expect(self, ')', start, "the parenthesis is not closed", "end it with )");
}

static const struct {
    const char *name;
    enum macro macro;
} MACROS[] = {
    {"all", MACRO_ALL},
    {"exists", MACRO_EXISTS},
    {"exists_one", MACRO_EXISTS_ONE},
    {"existsOne", MACRO_EXISTS_ONE},
    {"map", MACRO_MAP},
    {"filter", MACRO_FILTER},
};

static bool find_macro(const struct parser *self, const struct token *name, enum macro *ret_macro)
{
    const char *text = self->lexer.text + name->start;
    for (size_t i = 0; i < sizeof MACROS / sizeof MACROS[0]; i++)
        if (strlen(MACROS[i].name) == name->size && memcmp(MACROS[i].name, text, name->size) == 0) {
            *ret_macro = MACROS[i].macro;
            return true;
        }
    return false;
}

/* At the first argument: `x,`. */
static int parse_local(struct parser *self, const struct token *name, struct local *local)
{
    struct token variable = self->token;
    int code = 0;
    if (variable.type == TOKEN_IDENT)
        code = parse_advance(self);
    if (!code && (variable.type != TOKEN_IDENT || !parse_at(self, ',')))
        return lex_invalid(&self->lexer, name->start, "a macro takes a variable and an expression",
                           "write it like list.filter(x, x > 0) or list.map(x, x.name)");
    if (code)
        return code;
    *local =
        (struct local){self->lexer.text + variable.start, variable.size, self->level, self->locals};
    return parse_advance(self);
}

/* The body of a macro, between its OP_LOOP and its OP_LOOP_NEXT. */
static int parse_body(struct parser *self, enum macro macro, size_t at, size_t from)
{
    struct builder *builder = &self->builder;
    uint32_t test = 0;
    uint32_t body = (uint32_t)builder->program->op_count;
    int code = parse_expression(self);
    bool has_test = !code && macro == MACRO_MAP && parse_at(self, ',');
    if (has_test) {
        test = build_jump(builder, OP_LOOP_TEST, at);
        builder->program->ops[test].count = (uint16_t)(self->level - 1);
        builder->stack--;
        code = parse_advance(self);
        if (!code)
            code = parse_expression(self);
    }
    if (code)
        return code;
    if (has_test)
        build_land(builder, test);
    uint32_t next = build_op(builder, OP_LOOP_NEXT, body, 1, at, from);
    builder->program->ops[next].flag = (uint8_t)macro;
    builder->program->ops[next].count = (uint16_t)(self->level - 1);
    return 0;
}

static int parse_macro(struct parser *self, const struct token *name, enum macro macro, size_t from)
{
    struct builder *builder = &self->builder;
    struct local local;
    size_t start = self->token.start;
    int code = parse_advance(self);
    if (!code)
        code = parse_local(self, name, &local);
    if (code)
        return code;
    uint32_t loop = build_jump(builder, OP_LOOP, name->start);
    builder->program->ops[loop].from = (uint32_t)from;
    builder->program->ops[loop].flag = (uint8_t)macro;
    builder->program->ops[loop].count = (uint16_t)self->level++;
    builder->stack--;
    if (self->level > builder->program->loop_depth)
        builder->program->loop_depth = self->level;
    self->locals = &local;
    code = parse_body(self, macro, name->start, from);
    self->locals = local.outer;
    self->level--;
    build_land(builder, loop);
    if (!code)
        code = parse_expect(self, ')', start, "the parenthesis is not closed", "end it with )");
    return code;
}

int parse_global_call(struct parser *self, const struct token *name)
{
    uint32_t count = 0;
    if (name->size == 3 && memcmp(self->lexer.text + name->start, "has", 3) == 0)
        return parse_has(self, name);
    int code = parse_arguments(self, &count);
    return code ? code : push_call(self, name, false, count, name->start);
}

int parse_method_call(struct parser *self, const struct token *name, size_t from)
{
    enum macro macro;
    uint32_t count = 1;
    if (find_macro(self, name, &macro))
        return parse_macro(self, name, macro, from);
    int code = parse_arguments(self, &count);
    return code ? code : push_call(self, name, true, count, from);
}
