/* Regular expressions in the syntax of RE2, which the specification names, matched by PCRE2 and held
 * to a budget of work. The only file that knows PCRE2. */
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
/* How much one step of work may cost: grows with the pattern. */
size_t pattern_weight(const struct pattern *self);
/* Whether it matches somewhere in the text, which is valid UTF-8. ERR_AGAIN: not within so many
 * steps of work, of which each character takes one or more; ERR_LIMIT: it took too much memory. */
int pattern_match(const struct pattern *self, const char *text, size_t size, unsigned work,
                  bool *ret_matches) MUST_CHECK;

#endif
