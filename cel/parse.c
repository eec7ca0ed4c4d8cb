/* Text to path, by the grammar and lexis of CEL (cel-spec, doc/langdef.md, "Syntax"), of which only
 *   path = IDENT { "." IDENT | "[" INT "]" | "[" STRING "]" }
 * is taken here. What else is CEL is told apart from what is no CEL at all. */
#include "cel/path.h"

#include "base/limits.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    const char *text;
    size_t size;
    size_t at;
    cel_t *program;
    size_t step_capacity;
    struct err *err;
};

unsigned text_column(const char *text, size_t offset)
{
    unsigned column = 1;
    for (size_t i = 0; i < offset; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            column++;
    return column;
}

static void set_column(struct parser *self, size_t offset)
{
    if (self->err)
        self->err->column = text_column(self->text, offset);
}

static int invalid(struct parser *self, size_t offset, const char *what, const char *fix)
{
    err_set(self->err, ERR_INVALID, "%s", what);
    err_fix(self->err, "%s", fix);
    set_column(self, offset);
    return ERR_INVALID;
}

static int unsupported(struct parser *self, size_t offset, const char *what)
{
    err_set(self->err, ERR_UNSUPPORTED, "unsupported: %s; an expression is a plain path", what);
    err_fix(self->err, "write a path such as input.topic or find.links[0].url");
    set_column(self, offset);
    return ERR_UNSUPPORTED;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool starts_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* NUL at the end, and never after it. */
static char peek(const struct parser *self)
{
    return self->at < self->size ? self->text[self->at] : '\0';
}

static void skip_space(struct parser *self)
{
    while (self->at < self->size && is_space(self->text[self->at]))
        self->at++;
}

static size_t name_size(const struct parser *self)
{
    size_t end = self->at;
    while (end < self->size && (starts_name(self->text[end]) || is_digit(self->text[end])))
        end++;
    return end - self->at;
}

static bool in_words(const char *const *words, const char *text, size_t size)
{
    for (; *words; words++)
        if (strlen(*words) == size && memcmp(*words, text, size) == 0)
            return true;
    return false;
}

/* May name neither a variable nor a field behind a dot. */
static bool is_keyword(const char *text, size_t size)
{
    static const char *const WORDS[] = {"false", "in", "null", "true", NULL};
    return in_words(WORDS, text, size);
}

/* May not name a variable. */
static bool is_reserved(const char *text, size_t size)
{
    static const char *const WORDS[] = {
        "as",  "break", "const",     "continue", "else",   "for", "function", "if",    "import",
        "let", "loop",  "namespace", "package",  "return", "var", "void",     "while", NULL};
    return in_words(WORDS, text, size);
}

/* Something stands at `at` that can't go on a path: says what it is. */
static int refuse(struct parser *self, bool is_start)
{
    char c = peek(self);
    if (self->at == self->size)
        return invalid(self, self->at, "the expression is empty",
                       "write a path such as input.topic");
    if (c == '(')
        return unsupported(self, self->at, is_start ? "parentheses" : "a function call");
    if (is_digit(c) || c == '"' || c == '\'')
        return unsupported(self, self->at, "a literal");
    if (c == '[' || c == '{')
        return unsupported(self, self->at, is_start ? "a list or map literal" : "a message");
    if (c == '.')
        return unsupported(self, self->at, "a leading dot");
    if (c && strchr("+-*/%<>=!&|?:,", c))
        return unsupported(self, self->at, "an operator");
    int shown = 1; /* bytes of the one character */
    while (shown < 4 && self->at + (size_t)shown < self->size &&
           (self->text[self->at + (size_t)shown] & 0xc0) == 0x80)
        shown++;
    char what[48] = "a control character is not expected here";
    if ((unsigned char)c > ' ')
        snprintf(what, sizeof what, "\"%.*s\" is not expected here", shown, self->text + self->at);
    return invalid(self, self->at, what, "write a path such as input.topic");
}

static struct step *add_step(struct parser *self, size_t start)
{
    cel_t *program = self->program;
    if (program->step_count == self->step_capacity) {
        self->step_capacity = self->step_capacity ? self->step_capacity * 2 : 4;
        program->steps = xrealloc(program->steps, self->step_capacity * sizeof *program->steps);
    }
    struct step *step = &program->steps[program->step_count++];
    *step = (struct step){.start = start};
    return step;
}

static int parse_variable(struct parser *self)
{
    size_t size = name_size(self);
    const char *name = self->text + self->at;
    if (size == 0 || is_digit(name[0]))
        return refuse(self, true);
    if (is_keyword(name, size))
        return unsupported(self, self->at, size == 2 ? "an operator" : "a literal");
    if (is_reserved(name, size))
        return invalid(self, self->at, "a word that CEL reserves can't name a variable",
                       "rename what it stands for");
    char after = self->at + size < self->size ? name[size] : '\0';
    if (after == '"' || after == '\'')
        return unsupported(self, self->at, "a literal");
    self->program->variable = xstrndup(name, size);
    self->at += size;
    return 0;
}

static int parse_field(struct parser *self, size_t start)
{
    self->at++;
    skip_space(self);
    size_t size = name_size(self);
    const char *name = self->text + self->at;
    if (size == 0 || is_digit(name[0]))
        return invalid(self, self->at, "a field's name must follow the dot",
                       "write a name, or [\"…\"] for a field that is no identifier");
    if (is_keyword(name, size))
        return invalid(self, self->at, "a keyword of CEL can't follow the dot",
                       "write the field as [\"…\"]");
    struct step *step = add_step(self, start);
    step->field = xstrndup(name, size);
    step->field_size = size;
    self->at += size;
    return 0;
}

static int parse_number(struct parser *self, struct step *step)
{
    size_t start = self->at;
    if (peek(self) == '-')
        return invalid(self, start, "an index can't be negative",
                       "count from 0, the first item of the list");
    int64_t number = 0;
    for (; is_digit(peek(self)); self->at++) {
        int digit = peek(self) - '0';
        if (number > (INT64_MAX - digit) / 10)
            return invalid(self, start, "the index is outside of 64 bits", "use a smaller one");
        number = number * 10 + digit;
    }
    if (starts_name(peek(self)) || peek(self) == '.')
        return unsupported(self, start, "an index that is no decimal integer");
    step->index = number;
    return 0;
}

static void append_code_point(struct buf *out, uint32_t point)
{
    if (point < 0x80) {
        buf_putc(out, (char)point);
    } else if (point < 0x800) {
        buf_putc(out, (char)(0xc0 | point >> 6));
        buf_putc(out, (char)(0x80 | (point & 0x3f)));
    } else if (point < 0x10000) {
        buf_putc(out, (char)(0xe0 | point >> 12));
        buf_putc(out, (char)(0x80 | (point >> 6 & 0x3f)));
        buf_putc(out, (char)(0x80 | (point & 0x3f)));
    } else {
        buf_putc(out, (char)(0xf0 | point >> 18));
        buf_putc(out, (char)(0x80 | (point >> 12 & 0x3f)));
        buf_putc(out, (char)(0x80 | (point >> 6 & 0x3f)));
        buf_putc(out, (char)(0x80 | (point & 0x3f)));
    }
}

static int digit_of(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* A code point written in so many digits of a base. */
static int parse_code_point(struct parser *self, size_t start, int digits, int base,
                            struct buf *out)
{
    uint32_t point = 0;
    for (int i = 0; i < digits; i++, self->at++) {
        int digit = digit_of(peek(self));
        if (digit >= base)
            return invalid(self, start, "the escape has too few digits",
                           "write \\u and four hexadecimal digits");
        point = point * (uint32_t)base + (uint32_t)digit;
    }
    if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return invalid(self, start, "the escape names no Unicode character",
                       "write \\U and eight digits for characters above \\uffff");
    append_code_point(out, point);
    return 0;
}

static int parse_escape(struct parser *self, struct buf *out)
{
    static const char NAMES[] = "abfnrtv\\?\"'`";
    static const char MEANINGS[] = "\a\b\f\n\r\t\v\\?\"'`";
    size_t start = self->at++;
    char c = peek(self);
    const char *found = c ? strchr(NAMES, c) : NULL;
    if (found) {
        buf_putc(out, MEANINGS[found - NAMES]);
        self->at++;
        return 0;
    }
    if (c >= '0' && c <= '3')
        return parse_code_point(self, start, 3, 8, out);
    int digits = c == 'x' || c == 'X' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0)
        return invalid(self, start, "CEL has no such escape", "write \\\\ for a backslash");
    self->at++;
    return parse_code_point(self, start, digits, 16, out);
}

static int parse_string(struct parser *self, struct buf *out)
{
    size_t start = self->at;
    char quote = self->text[self->at++];
    for (;;) {
        if (self->at == self->size || peek(self) == '\n' || peek(self) == '\r')
            return invalid(self, start, "the text in the brackets is not closed",
                           "end it with the quote that it starts with");
        if (peek(self) == quote) {
            self->at++;
            return 0;
        }
        if (peek(self) == '\\') {
            int code = parse_escape(self, out);
            if (code)
                return code;
        } else {
            buf_putc(out, self->text[self->at++]);
        }
    }
}

static int parse_key(struct parser *self, struct step *step)
{
    struct buf key = {0};
    int code = parse_string(self, &key);
    if (code) {
        buf_release(&key);
        return code;
    }
    step->field_size = key.size;
    step->field = buf_steal(&key);
    return 0;
}

static int parse_brackets(struct parser *self, size_t start)
{
    self->at++;
    skip_space(self);
    char c = peek(self);
    struct step *step = add_step(self, start);
    int code;
    if (c == '"' || c == '\'')
        code = parse_key(self, step);
    else if (is_digit(c) || c == '-')
        code = parse_number(self, step);
    else if (starts_name(c))
        return unsupported(self, self->at, "an expression as an index");
    else
        return invalid(self, self->at, "the brackets hold no index",
                       "write a number from 0, or a field's name in quotes");
    if (code)
        return code;
    skip_space(self);
    if (self->at == self->size)
        return invalid(self, start, "the bracket is not closed", "end it with ]");
    if (peek(self) != ']')
        return unsupported(self, self->at, "an expression as an index");
    self->at++;
    return 0;
}

static int parse_steps(struct parser *self)
{
    for (;;) {
        skip_space(self);
        size_t start = self->at;
        if (start == self->size)
            return 0;
        if (self->program->step_count == LIMIT_EXPRESSION_STEPS)
            return invalid(self, start, "the path has more than 256 steps", "shorten it");
        char c = peek(self);
        int code;
        if (c == '.')
            code = parse_field(self, start);
        else if (c == '[')
            code = parse_brackets(self, start);
        else if (name_size(self) == 2 && memcmp(self->text + start, "in", 2) == 0)
            code = unsupported(self, start, "an operator");
        else
            code = refuse(self, false);
        if (code)
            return code;
    }
}

_Static_assert(LIMIT_EXPRESSION_STEPS == 256, "the message above names this limit");

/* The outputs, statuses and errors of nodes are variables of their own: nodes.ID. */
static int join_node(struct parser *self)
{
    cel_t *program = self->program;
    if (strcmp(program->variable, "nodes") != 0)
        return 0;
    struct step *first = program->step_count > 0 ? &program->steps[0] : NULL;
    if (!first || !first->field || strlen(first->field) != first->field_size)
        return invalid(self, first ? first->start : 0, "the name of a node must follow \"nodes\"",
                       "write nodes.ID.status or nodes.ID.error");
    char *joined = xasprintf("nodes.%s", first->field);
    free(program->variable);
    program->variable = joined;
    free(first->field);
    program->step_count--;
    memmove(first, first + 1, program->step_count * sizeof *first);
    return 0;
}

static int parse(struct parser *self)
{
    if (self->size > LIMIT_EXPRESSION_BYTES) {
        err_set(self->err, ERR_TOO_LARGE, "the expression has %zu bytes, more than %u", self->size,
                LIMIT_EXPRESSION_BYTES);
        err_fix(self->err, "shorten it");
        return ERR_TOO_LARGE;
    }
    skip_space(self);
    int code = parse_variable(self);
    if (!code)
        code = parse_steps(self);
    return code ? code : join_node(self);
}

int cel_compile(const char *text, size_t size, cel_t **ret_program, struct err *err)
{
    cel_t *program = xcalloc(1, sizeof *program);
    struct parser parser = {.text = text, .size = size, .program = program, .err = err};
    int code = parse(&parser);
    if (code) {
        cel_destroy(&program);
        return code;
    }
    program->text = xmalloc(size + 1);
    memcpy(program->text, text, size);
    program->text[size] = '\0';
    program->text_size = size;
    *ret_program = program;
    return 0;
}
