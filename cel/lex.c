#include "cel/lex.h"

#include <stdio.h>
#include <string.h>

unsigned text_column(const char *text, size_t offset)
{
    unsigned column = 1;
    for (size_t i = 0; i < offset; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            column++;
    return column;
}

int lex_invalid(const struct lexer *self, size_t offset, const char *what, const char *fix)
{
    err_set(self->err, ERR_INVALID, "%s", what);
    err_fix(self->err, "%s", fix);
    if (self->err)
        self->err->column = text_column(self->text, offset);
    return ERR_INVALID;
}

int lex_unexpected(const struct lexer *self, size_t offset)
{
    if (offset >= self->size)
        return lex_invalid(self, self->size, "the expression breaks off here",
                           "write what belongs here, or take out what calls for it");
    int shown = 1; /* bytes of the one character */
    while (shown < 4 && offset + (size_t)shown < self->size &&
           (self->text[offset + (size_t)shown] & 0xc0) == 0x80)
        shown++;
    char what[48] = "a control character is not expected here";
    if ((unsigned char)self->text[offset] > ' ')
        snprintf(what, sizeof what, "\"%.*s\" is not expected here", shown, self->text + offset);
    return lex_invalid(self, offset, what,
                       "see docs/expressions.md for what an expression may hold");
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

static int digit_of(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* NUL at the end, and never after it. */
static char peek_at(const struct lexer *self, size_t at)
{
    return at < self->size ? self->text[at] : '\0';
}

static void skip_blanks(struct lexer *self)
{
    for (;;) {
        while (self->at < self->size && is_space(self->text[self->at]))
            self->at++;
        if (peek_at(self, self->at) != '/' || peek_at(self, self->at + 1) != '/')
            return;
        while (self->at < self->size && self->text[self->at] != '\n')
            self->at++;
    }
}

/* --- texts ------------------------------------------------------------------------------------ */

/* How a text literal is written, from what stands before its content. */
struct quoting {
    size_t content; /* offset of its first byte */
    size_t quotes;  /* 1 or 3 */
    char quote;
    bool is_raw;
    bool is_bytes;
};

/* False when no text literal begins at the offset. */
static bool read_quoting(const struct lexer *self, size_t at, struct quoting *ret)
{
    *ret = (struct quoting){0};
    for (int i = 0; i < 2; i++, at++) {
        char c = peek_at(self, at);
        if ((c == 'r' || c == 'R') && !ret->is_raw)
            ret->is_raw = true;
        else if ((c == 'b' || c == 'B') && !ret->is_bytes)
            ret->is_bytes = true;
        else
            break;
    }
    ret->quote = peek_at(self, at);
    if (ret->quote != '"' && ret->quote != '\'')
        return false;
    bool triple = peek_at(self, at + 1) == ret->quote && peek_at(self, at + 2) == ret->quote;
    ret->quotes = triple ? 3 : 1;
    ret->content = at + ret->quotes;
    return true;
}

static bool closes(const struct lexer *self, const struct quoting *quoting, size_t at)
{
    for (size_t i = 0; i < quoting->quotes; i++)
        if (peek_at(self, at + i) != quoting->quote)
            return false;
    return true;
}

static int take_text(struct lexer *self, const struct quoting *quoting, struct token *token)
{
    size_t at = quoting->content;
    while (at < self->size && !closes(self, quoting, at)) {
        char c = self->text[at];
        if (quoting->quotes == 1 && (c == '\n' || c == '\r'))
            break;
        at += c == '\\' && !quoting->is_raw ? 2 : 1;
    }
    if (at >= self->size || !closes(self, quoting, at))
        return lex_invalid(self, token->start, "the text is not closed",
                           "end it with the quote that it starts with");
    self->at = at + quoting->quotes;
    token->type = quoting->is_bytes ? TOKEN_BYTES : TOKEN_STRING;
    token->size = self->at - token->start;
    return 0;
}

void lex_put_character(struct buf *out, uint32_t point)
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

/* A code point written in so many digits of a base, which begin at *at_p. */
static int read_code_point(const struct lexer *self, size_t start, int digits, int base,
                           size_t *at_p, struct buf *out)
{
    uint32_t point = 0;
    for (int i = 0; i < digits; i++, ++*at_p) {
        int digit = digit_of(peek_at(self, *at_p));
        if (digit >= base)
            return lex_invalid(self, start, "the escape has too few digits",
                               "write \\u and four hexadecimal digits");
        point = point * (uint32_t)base + (uint32_t)digit;
    }
    if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return lex_invalid(self, start, "the escape names no Unicode character",
                           "write \\U and eight digits for characters above \\uffff");
    lex_put_character(out, point);
    return 0;
}

static int read_escape(const struct lexer *self, size_t *at_p, struct buf *out)
{
    static const char NAMES[] = "abfnrtv\\?\"'`";
    static const char MEANINGS[] = "\a\b\f\n\r\t\v\\?\"'`";
    size_t start = (*at_p)++;
    char c = peek_at(self, *at_p);
    const char *found = c ? strchr(NAMES, c) : NULL;
    if (found) {
        buf_putc(out, MEANINGS[found - NAMES]);
        ++*at_p;
        return 0;
    }
    if (c >= '0' && c <= '3')
        return read_code_point(self, start, 3, 8, at_p, out);
    int digits = c == 'x' || c == 'X' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0)
        return lex_invalid(self, start, "CEL has no such escape", "write \\\\ for a backslash");
    ++*at_p;
    return read_code_point(self, start, digits, 16, at_p, out);
}

int lex_string(const struct lexer *self, const struct token *token, struct buf *out)
{
    struct quoting quoting;
    CHECK(read_quoting(self, token->start, &quoting));
    size_t end = token->start + token->size - quoting.quotes;
    for (size_t at = quoting.content; at < end;) {
        if (self->text[at] == '\\' && !quoting.is_raw) {
            int code = read_escape(self, &at, out);
            if (code)
                return code;
        } else {
            buf_putc(out, self->text[at++]);
        }
    }
    return 0;
}

/* --- words, numbers, signs ---------------------------------------------------------------------
 */

static bool word_is(const struct lexer *self, const struct token *token, const char *word)
{
    return strlen(word) == token->size && memcmp(self->text + token->start, word, token->size) == 0;
}

static void take_word(struct lexer *self, struct token *token)
{
    while (starts_name(peek_at(self, self->at)) || is_digit(peek_at(self, self->at)))
        self->at++;
    token->size = self->at - token->start;
    token->type = TOKEN_IDENT;
    if (word_is(self, token, "true"))
        token->type = TOKEN_TRUE;
    else if (word_is(self, token, "false"))
        token->type = TOKEN_FALSE;
    else if (word_is(self, token, "null"))
        token->type = TOKEN_NULL;
    else if (word_is(self, token, "in"))
        token->type = TOKEN_IN;
}

static int take_quoted_name(struct lexer *self, struct token *token)
{
    size_t at = self->at + 1;
    while (starts_name(peek_at(self, at)) || is_digit(peek_at(self, at)) ||
           (peek_at(self, at) && strchr("./- ", peek_at(self, at))))
        at++;
    if (peek_at(self, at) != '`' || at == self->at + 1)
        return lex_invalid(self, token->start, "the name between backquotes is not closed",
                           "letters, digits and _ . - / may stand between them; write [\"…\"] for "
                           "other fields");
    token->type = TOKEN_QUOTED_IDENT;
    token->start = self->at + 1;
    token->size = at - token->start;
    self->at = at + 1;
    return 0;
}

static void skip_digits(struct lexer *self, int base)
{
    while (digit_of(peek_at(self, self->at)) < base)
        self->at++;
}

static int take_number(struct lexer *self, struct token *token)
{
    const size_t start = self->at;
    char second = peek_at(self, start + 1);
    token->type = TOKEN_INT;
    if (peek_at(self, start) == '0' && (second == 'x' || second == 'X')) {
        self->at += 2;
        skip_digits(self, 16);
        if (self->at == start + 2)
            return lex_invalid(self, start, "the number has no digits",
                               "write hexadecimal digits behind 0x");
    } else {
        skip_digits(self, 10);
        if (peek_at(self, self->at) == '.' && is_digit(peek_at(self, self->at + 1))) {
            token->type = TOKEN_DOUBLE;
            self->at++;
            skip_digits(self, 10);
        }
        char e = peek_at(self, self->at);
        char sign = peek_at(self, self->at + 1);
        size_t digits = self->at + (sign == '+' || sign == '-' ? 2 : 1);
        if ((e == 'e' || e == 'E') && is_digit(peek_at(self, digits))) {
            token->type = TOKEN_DOUBLE;
            self->at = digits;
            skip_digits(self, 10);
        }
    }
    char last = peek_at(self, self->at);
    if (token->type == TOKEN_INT && (last == 'u' || last == 'U')) {
        token->type = TOKEN_UINT;
        self->at++;
    }
    if (starts_name(peek_at(self, self->at)))
        return lex_unexpected(self, self->at);
    token->size = self->at - start;
    return 0;
}

static int take_sign(struct lexer *self, struct token *token)
{
    static const struct {
        char text[3];
        enum token_type type;
    } PAIRS[] = {{"||", TOKEN_OR}, {"&&", TOKEN_AND}, {"==", TOKEN_EQ},
                 {"!=", TOKEN_NE}, {"<=", TOKEN_LE},  {">=", TOKEN_GE}};
    char c = self->text[self->at];
    for (size_t i = 0; i < sizeof PAIRS / sizeof PAIRS[0]; i++) {
        if (c != PAIRS[i].text[0] || peek_at(self, self->at + 1) != PAIRS[i].text[1])
            continue;
        token->type = PAIRS[i].type;
        token->size = 2;
        self->at += 2;
        return 0;
    }
    if (c == '=' || c == '&' || c == '|') {
        static const char *const FIXES[] = {"write == to compare", "write && for \"and\"",
                                            "write || for \"or\""};
        char what[32];
        snprintf(what, sizeof what, "CEL has no operator \"%c\"", c);
        return lex_invalid(self, self->at, what, FIXES[c == '=' ? 0 : c == '&' ? 1 : 2]);
    }
    if (!c || !strchr("()[]{}.,:?!<>+-*/%", c))
        return lex_unexpected(self, self->at);
    token->type = TOKEN_SIGN;
    token->sign = c;
    token->size = 1;
    self->at++;
    return 0;
}

int lex_next(struct lexer *self, struct token *ret_token)
{
    struct quoting quoting;
    skip_blanks(self);
    *ret_token = (struct token){.type = TOKEN_END, .start = self->at};
    if (self->at == self->size)
        return 0;
    char c = self->text[self->at];
    if (read_quoting(self, self->at, &quoting))
        return take_text(self, &quoting, ret_token);
    if (starts_name(c)) {
        take_word(self, ret_token);
        return 0;
    }
    if (c == '`')
        return take_quoted_name(self, ret_token);
    if (is_digit(c) || (c == '.' && is_digit(peek_at(self, self->at + 1))))
        return take_number(self, ret_token);
    return take_sign(self, ret_token);
}
