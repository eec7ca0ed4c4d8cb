/* JSON values: a tree in memory, MessagePack at rest and on the wire, JSON text at the edges.
 *
 * Integers are exact within int64; larger ones and non-finite doubles are refused. Keys keep their
 * order and hold no NULs. Nesting is capped at LIMIT_VALUE_DEPTH, the values within one value at
 * LIMIT_VALUE_ITEMS, its bytes at LIMIT_VALUE_BYTES. Strings are valid UTF-8 and may hold NULs.
 * Trees are reference counted without atomics: one tree belongs to one thread. A list or map that
 * has more than one owner is changed for all of them: change only what you made or value_copy()ed. */
#ifndef AF_BASE_VALUE_H
#define AF_BASE_VALUE_H

#include "base/buf.h"
#include "base/err.h"

enum value_type {
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_DOUBLE,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_MAP,
};

typedef struct value value_t;

value_t *value_null(void);
value_t *value_bool(bool b);
value_t *value_int(int64_t i);
value_t *value_double(double d);                         /* finite */
value_t *value_string(const char *text);                 /* text is valid UTF-8 */
value_t *value_string_n(const char *text, size_t size);
value_t *value_string_lossy(const void *text, size_t size); /* any bytes; U+FFFD for invalid ones */
value_t *value_list(void);
value_t *value_map(void);
value_t *value_ref(const value_t *self); /* one more owner of the same tree */
void value_destroy(value_t **self_p);

/* Consumes *item_p. Setting a key that exists replaces its value in place. */
void value_append(value_t *list, value_t **item_p);
void value_set(value_t *map, const char *key, value_t **item_p);
void value_set_n(value_t *map, const char *key, size_t key_size, value_t **item_p);
/* Shorthands for building documents; no item is left to free. */
void value_set_string(value_t *map, const char *key, const char *text); /* NULL text: null */
void value_set_int(value_t *map, const char *key, int64_t i);
void value_set_bool(value_t *map, const char *key, bool b);
void value_set_double(value_t *map, const char *key, double d);
void value_unset(value_t *map, const char *key);

enum value_type value_type(const value_t *self);
const char *value_type_name(enum value_type type); /* "null", "boolean", "integer", "number", "text", "list", "object" */
bool value_as_bool(const value_t *self);       /* CHECKs the type, as do the next ones */
int64_t value_as_int(const value_t *self);
double value_as_double(const value_t *self);   /* int or double */
const char *value_as_string(const value_t *self); /* NUL-terminated */
size_t value_size(const value_t *self);        /* items, members, or bytes of a string */
const value_t *value_at(const value_t *list, size_t index); /* borrowed; NULL past the end */
const value_t *value_get(const value_t *map, const char *key); /* borrowed; NULL when absent or not a map */
const value_t *value_get_n(const value_t *map, const char *key, size_t key_size);
const char *value_key_at(const value_t *map, size_t index, size_t *ret_size); /* ret_size may be NULL */
const value_t *value_member_at(const value_t *map, size_t index);
/* Lookups for documents from outside: the fallback when absent or of another type. */
const char *value_get_string(const value_t *map, const char *key, const char *fallback);
int64_t value_get_int(const value_t *map, const char *key, int64_t fallback);
bool value_get_bool(const value_t *map, const char *key, bool fallback);

bool value_equal(const value_t *a, const value_t *b); /* 1 == 1.0; maps without regard to order */
value_t *value_copy(const value_t *self);             /* deep; may be changed */
size_t value_depth(const value_t *self);              /* lists and maps within each other; 0: none */
/* For a tree put together from several: ERR_TOO_DEEP or ERR_TOO_LARGE when value_from_msgpack would
 * refuse its MessagePack. Looks at no more than LIMIT_VALUE_ITEMS values. */
int value_check_limits(const value_t *self, struct err *err) MUST_CHECK;
/* RFC 7396; returns a new tree, which may share parts with both. */
value_t *value_merge_patch(const value_t *target, const value_t *patch);

/* JSON text. Errors carry line and column. Duplicate keys are refused. */
int value_from_json(const char *text, size_t size, value_t **ret_value, struct err *err) MUST_CHECK;
enum { VALUE_JSON_COMPACT = 0, VALUE_JSON_INDENT = 1, VALUE_JSON_SORT = 2 };
/* Shortest doubles that read back the same; no trailing newline. */
void value_to_json(const value_t *self, unsigned flags, struct buf *out);

/* MessagePack, one whole value. Extension types, binary and non-string keys are refused. */
int value_from_msgpack(struct bytes bytes, value_t **ret_value, struct err *err) MUST_CHECK;
void value_to_msgpack(const value_t *self, struct buf *out);
/* Checks without building a tree that the bytes are exactly one acceptable value. */
int value_check_msgpack(struct bytes bytes, struct err *err) MUST_CHECK;

#endif
