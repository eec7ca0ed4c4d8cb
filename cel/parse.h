/* The parser's inside, for its two files: the grammar, and calls with macros. */
#ifndef AF_CEL_PARSE_H
#define AF_CEL_PARSE_H

#include "cel/build.h"
#include "cel/lex.h"

/* A variable of a macro; the innermost comes first. */
struct local {
    const char *name;
    size_t size;
    uint32_t level;
    const struct local *outer;
};

struct parser {
    struct lexer lexer;
    struct token token; /* the next one */
    struct builder builder;
    const struct cel_names *names;
    const struct local *locals;
    size_t selected; /* operations when a plain field ended the last expression, else 0 */
    size_t argument; /* operations before the last argument of the last call */
    uint32_t level;  /* of loops */
    unsigned depth;
};

int parse_advance(struct parser *self) MUST_CHECK;
bool parse_at(const struct parser *self, char sign);
/* Takes a sign, or says that it is missing. */
int parse_expect(struct parser *self, char sign, size_t opened, const char *what,
                 const char *fix) MUST_CHECK;
int parse_expression(struct parser *self) MUST_CHECK;
/* Behind a name: at its "(". */
int parse_global_call(struct parser *self, const struct token *name) MUST_CHECK;
/* The receiver, whose text begins at `from`, is on the stack. */
int parse_method_call(struct parser *self, const struct token *name, size_t from) MUST_CHECK;

#endif
