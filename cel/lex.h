/* Text to tokens, by the lexis of CEL (cel-spec, doc/langdef.md, "Syntax"). */
#ifndef AF_CEL_LEX_H
#define AF_CEL_LEX_H

#include "base/buf.h"
#include "base/err.h"

enum token_type {
    TOKEN_END,
    TOKEN_IDENT,
    TOKEN_QUOTED_IDENT, /* `a name`; start and size are those between the marks */
    TOKEN_INT,          /* decimal or hexadecimal, without a sign */
    TOKEN_UINT,         /* the same with u behind it; size counts it */
    TOKEN_DOUBLE,
    TOKEN_STRING, /* with its prefix and quotes */
    TOKEN_BYTES,
    TOKEN_TRUE,
    TOKEN_FALSE,
    TOKEN_NULL,
    TOKEN_IN,
    TOKEN_OR,
    TOKEN_AND,
    TOKEN_EQ,
    TOKEN_NE,
    TOKEN_LE,
    TOKEN_GE,
    TOKEN_SIGN, /* any other: the character itself is in `sign` */
};

struct token {
    enum token_type type;
    char sign;
    size_t start;
    size_t size;
};

struct lexer {
    const char *text;
    size_t size;
    size_t at;
    struct err *err;
};

/* The column, counted in characters from 1, of a byte offset. */
unsigned text_column(const char *text, size_t offset);
/* Fills err (when not NULL) and gives ERR_INVALID. */
int lex_invalid(const struct lexer *self, size_t offset, const char *what, const char *fix);
/* What stands at the offset is not expected there. */
int lex_unexpected(const struct lexer *self, size_t offset);

int lex_next(struct lexer *self, struct token *ret_token) MUST_CHECK;
/* What a TOKEN_STRING means; always valid UTF-8 when the whole text is. */
int lex_string(const struct lexer *self, const struct token *token, struct buf *out) MUST_CHECK;
/* As UTF-8. The point is one of a character: no surrogate. */
void lex_put_character(struct buf *out, uint32_t point);

#endif
