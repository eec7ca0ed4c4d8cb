/* The functions of expressions, by name and form of call. */
#ifndef AF_CEL_FUNCTION_H
#define AF_CEL_FUNCTION_H

#include "cel/eval.h"

/* Errors among the arguments have been dealt with. */
typedef struct cell (*function_fn)(struct eval *self, const struct cell *args, size_t count);

/* A function's number, or -1. A receiver counts as an argument. */
int function_find(const char *name, size_t size, bool is_method, size_t count);
function_fn function_at(unsigned function);
const char *function_name(unsigned function);
/* Says why function_find gave -1; returns ERR_INVALID. */
int function_unknown(const char *name, size_t size, bool is_method, size_t count, struct err *err);
/* The type that a word names, as in type(x) == int; KIND_ERROR for none. */
enum kind type_named(const char *name, size_t size);

/* Conversions (convert.c) and functions of texts (text.c). */
struct cell convert_int(struct eval *self, const struct cell *args, size_t count);
struct cell convert_uint(struct eval *self, const struct cell *args, size_t count);
struct cell convert_double(struct eval *self, const struct cell *args, size_t count);
struct cell convert_string(struct eval *self, const struct cell *args, size_t count);
struct cell convert_bool(struct eval *self, const struct cell *args, size_t count);
struct cell convert_dyn(struct eval *self, const struct cell *args, size_t count);
struct cell type_of(struct eval *self, const struct cell *args, size_t count);
struct cell text_size(struct eval *self, const struct cell *args, size_t count);
struct cell text_contains(struct eval *self, const struct cell *args, size_t count);
struct cell text_starts_with(struct eval *self, const struct cell *args, size_t count);
struct cell text_ends_with(struct eval *self, const struct cell *args, size_t count);
struct cell text_matches(struct eval *self, const struct cell *args, size_t count);
struct cell text_split(struct eval *self, const struct cell *args, size_t count);
struct cell text_join(struct eval *self, const struct cell *args, size_t count);
struct cell text_lower(struct eval *self, const struct cell *args, size_t count);
struct cell text_upper(struct eval *self, const struct cell *args, size_t count);
struct cell text_trim(struct eval *self, const struct cell *args, size_t count);
struct cell text_replace(struct eval *self, const struct cell *args, size_t count);
struct cell text_char_at(struct eval *self, const struct cell *args, size_t count);
struct cell text_index_of(struct eval *self, const struct cell *args, size_t count);
struct cell text_last_index_of(struct eval *self, const struct cell *args, size_t count);
struct cell text_substring(struct eval *self, const struct cell *args, size_t count);

#endif
