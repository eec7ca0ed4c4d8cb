/* Regular expressions, by PCRE2, held to a budget of work. The only file that knows it. */
#ifndef AF_CEL_PATTERN_H
#define AF_CEL_PATTERN_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

struct pattern;

/* The pattern is valid UTF-8. ERR_INVALID says what is wrong with it. */
int pattern_compile(const char *text, size_t size, struct pattern **ret_pattern,
                    struct err *err) MUST_CHECK;
void pattern_destroy(struct pattern **self_p);
/* Whether it matches somewhere in the text, which is valid UTF-8. ERR_AGAIN: not within `work`,
 * which is about the count of attempts of the engine; ERR_LIMIT: it took too much memory. */
int pattern_match(const struct pattern *self, const char *text, size_t size, unsigned work,
                  bool *ret_matches) MUST_CHECK;

#endif
