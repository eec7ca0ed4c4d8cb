/* What stands for a blob in documents: {"$blob": hash in hexadecimal, "size": bytes}. */
#ifndef AF_BASE_REFERENCE_H
#define AF_BASE_REFERENCE_H

#include "base/datum.h"
#include "base/value.h"

value_t *reference_to_blob(const struct datum *blob);
/* Whether the value is one; only then *ret_blob is set. */
bool reference_read(const value_t *value, struct datum *ret_blob);

#endif
