/* Inside the module: does a value fit a schema in canonical form? Pure. */
#ifndef AF_DEFINITIONS_INSTANCE_H
#define AF_DEFINITIONS_INSTANCE_H

#include "base/value.h"

/* ERR_INVALID with err->where being the path inside the value ("links[2].url", "" for itself). What
 * the schema says in words that this version doesn't know is ERR_UNSUPPORTED. */
int instance_check(const value_t *schema, const value_t *value, struct err *err) MUST_CHECK;

#endif
