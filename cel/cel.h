/* Expressions over JSON values, and texts with {{expressions}} in them.
 *
 * The language is CEL (github.com/google/cel-spec), as far as JSON can carry its values: see
 * docs/expressions.md. Pure: no clock, no randomness, no I/O. Bounded in steps, depth and memory,
 * each with an error of its own (LIMIT_EXPRESSION_…). Compiled programs are immutable, but belong to
 * one thread at a time. */
#ifndef AF_CEL_CEL_H
#define AF_CEL_CEL_H

#include "base/value.h"

typedef struct cel cel_t;

/* err->column counts from 1 within text. A call of a function that does not exist compiles, and is
 * an error when it is evaluated: cel_check() finds it before. */
int cel_compile(const char *text, size_t size, cel_t **ret_program, struct err *err) MUST_CHECK;
/* Names with dots in them, such as "a.b", that the owner has values for: the longest that a path
 * begins with is its variable. Names of types (int, list ...) that are among them are variables. */
struct cel_names {
    const char *const *names;
    size_t count;
};
int cel_compile_with(const char *text, size_t size, const struct cel_names *names,
                     cel_t **ret_program, struct err *err) MUST_CHECK;
void cel_destroy(cel_t **self_p);
/* ERR_INVALID for the first call of a function that does not exist, or not so. */
int cel_check(const cel_t *self, struct err *err) MUST_CHECK;
/* Whether it is a variable and fields and indexes behind it, such as find.links[0].url. */
bool cel_is_path(const cel_t *self);
/* Words that stand for types, such as int and list: no variables, unless they are declared. */
bool cel_is_type(const char *word);

/* The root variables that the program names, each once, in order of appearance; those of macros are
 * not among them. For a path below `nodes` the name is `nodes.ID`. */
size_t cel_variables(const cel_t *self);
const char *cel_variable(const cel_t *self, size_t index);
/* The variable's name when the program is nothing but one variable, else NULL. */
const char *cel_sole_variable(const cel_t *self);

/* Each place that names a variable, in order. The field is the one right behind it, in the form
 * x.field or x["field"]; NULL for none. The offsets are in bytes; that of a variable nodes.ID is
 * the one of its ID. */
struct cel_reference {
    const char *variable;
    const char *field;
    size_t offset;
    size_t field_offset;
};
size_t cel_references(const cel_t *self);
const struct cel_reference *cel_reference(const cel_t *self, size_t index); /* NULL past the end */

/* Gives the value of a root variable (an owned reference), or an error. Called at most once for a
 * variable and evaluation, when it is needed. ERR_NOT_FOUND is an error of the expression, which
 * && and || can absorb; any other ends the evaluation. */
typedef int (*cel_resolve_fn)(void *context, const char *name, value_t **ret_value,
                              struct err *err);

/* A missing field is ERR_NOT_FOUND and names the field and what is there. ERR_LIMIT: too many steps;
 * ERR_TOO_LARGE: too much memory; ERR_TOO_DEEP: lists and maps nested too deep. */
int cel_eval(const cel_t *self, cel_resolve_fn resolve, void *context, value_t **ret_value,
             struct err *err) MUST_CHECK;
/* cel_eval with what is left of a number of steps, for several expressions that share them, or to
 * tell how many it took. */
int cel_eval_within(const cel_t *self, cel_resolve_fn resolve, void *context, int64_t *steps,
                    value_t **ret_value, struct err *err) MUST_CHECK;

/* A template: either a text with {{…}} in it, or a literal value whose strings may hold {{…}} (for
 * `with`). A text that is nothing but one {{…}} keeps the value's type; elsewhere strings stand as
 * they are and all else as compact JSON. "{{" is written `{{"{{"}}`. */
typedef struct cel_template cel_template_t;

/* err->where is the path inside the literal ("text", "list[2]"), column is within that string. */
int cel_template_compile(const value_t *literal, cel_template_t **ret_template,
                         struct err *err) MUST_CHECK;
void cel_template_destroy(cel_template_t **self_p);
size_t cel_template_variables(const cel_template_t *self);
const char *cel_template_variable(const cel_template_t *self, size_t index);
/* The variable's name when the whole template is one `{{variable}}`, else NULL. */
const char *cel_template_sole_variable(const cel_template_t *self);
int cel_template_eval(const cel_template_t *self, cel_resolve_fn resolve, void *context,
                      value_t **ret_value, struct err *err) MUST_CHECK;
int cel_template_eval_within(const cel_template_t *self, cel_resolve_fn resolve, void *context,
                             int64_t *steps, value_t **ret_value, struct err *err) MUST_CHECK;
/* The "}}" that closes an expression, which begins at text: not one within a literal. When there is
 * none but its literals are not closed, the first at all, so that the error is about what is
 * between. NULL: there is none. */
const char *cel_template_close(const char *text, size_t size);

#endif
