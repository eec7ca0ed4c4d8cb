/* Expressions over JSON values, and texts with {{expressions}} in them.
 *
 * The language is CEL. This version holds plain paths: `input.topic`, `find.links[0].url`,
 * `find["a key"]`; whatever else CEL allows is refused at compile time with its column and the word
 * "unsupported". Pure: no clock, no I/O, bounded in steps, depth and memory. Compiled programs are
 * immutable. Spec: github.com/google/cel-spec. */
#ifndef AF_CEL_CEL_H
#define AF_CEL_CEL_H

#include "base/value.h"

typedef struct cel cel_t;

/* err->column counts from 1 within text. */
int cel_compile(const char *text, size_t size, cel_t **ret_program, struct err *err) MUST_CHECK;
void cel_destroy(cel_t **self_p);

/* The root variables that the program names, each once, in order of appearance. For a path below
 * `nodes` the name is `nodes.ID`. */
size_t cel_variables(const cel_t *self);
const char *cel_variable(const cel_t *self, size_t index);
/* The variable's name when the program is nothing but one variable, else NULL. */
const char *cel_sole_variable(const cel_t *self);

/* Gives the value of a root variable (an owned reference), or an error. */
typedef int (*cel_resolve_fn)(void *context, const char *name, value_t **ret_value,
                              struct err *err);

/* A missing field is ERR_NOT_FOUND and names the field and what is there. */
int cel_eval(const cel_t *self, cel_resolve_fn resolve, void *context, value_t **ret_value,
             struct err *err) MUST_CHECK;

/* A template: either a text with {{…}} in it, or a literal value whose strings may hold {{…}} (for
 * `with`). A text that is nothing but one {{…}} keeps the value's type; elsewhere strings stand as
 * they are and all else as compact JSON. "{{" is written `{{"{{"}}` once CEL literals are there. */
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

#endif
