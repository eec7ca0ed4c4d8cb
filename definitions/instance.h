/* Inside the module: does a value fit a schema in canonical form? Pure. */
#ifndef AF_DEFINITIONS_INSTANCE_H
#define AF_DEFINITIONS_INSTANCE_H

#include "base/value.h"

/* Short words for types, and JSON Schema's: {"text", "string"}. */
struct type_name {
    const char *ours, *schema;
};
extern const struct type_name TYPE_NAMES[]; /* ends with {NULL, NULL} */
/* Our word for JSON Schema's. */
const char *type_for_people(const char *schema_name);

/* As schema_check_value, for a value that stands at that path of a larger one. */
int instance_check_at(const char *path, const value_t *schema, const value_t *value,
                      struct err *err) MUST_CHECK;

/* The value, in which members that are not there have the defaults of their schemas, at any depth (of
 * which there are LIMIT_VALUE_DEPTH at most, in schemas as in values). The caller's. */
value_t *instance_with_defaults(const value_t *schema, const value_t *value);

#endif
