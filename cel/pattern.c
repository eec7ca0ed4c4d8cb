#define PCRE2_CODE_UNIT_WIDTH 8
#include "cel/pattern.h"

#include "base/limits.h"
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

struct pattern {
    pcre2_code *code;
    pcre2_match_context *context;
    pcre2_match_data *data;
};

/* RE2, which the specification names, matches "$" at the very end alone; \C would cut characters.
 */
static const uint32_t OPTIONS =
    PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;

static int refuse(int error, size_t offset, struct err *err)
{
    unsigned char text[120] = "";
    pcre2_get_error_message(error, text, sizeof text);
    err_set(err, ERR_INVALID, "the pattern is not valid at its byte %zu: %s", offset, (char *)text);
    err_fix(err, "mend it; write r'…' so that backslashes stand as they are");
    return ERR_INVALID;
}

int pattern_compile(const char *text, size_t size, struct pattern **ret_pattern, struct err *err)
{
    int error = 0;
    size_t offset = 0;
    if (size > LIMIT_EXPRESSION_PATTERN_BYTES) {
        err_set(err, ERR_INVALID, "the pattern has %zu bytes, more than %u", size,
                LIMIT_EXPRESSION_PATTERN_BYTES);
        err_fix(err, "shorten it");
        return ERR_INVALID;
    }
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)(size ? text : ""), size, OPTIONS, &error, &offset, NULL);
    if (!code)
        return refuse(error, offset, err);
    struct pattern *self = xcalloc(1, sizeof *self);
    self->code = code;
    self->context = pcre2_match_context_create(NULL);
    self->data = pcre2_match_data_create(1, NULL);
    CHECK(self->context && self->data);
    pcre2_set_heap_limit(self->context, LIMIT_EXPRESSION_PATTERN_KIB);
    *ret_pattern = self;
    return 0;
}

void pattern_destroy(struct pattern **self_p)
{
    struct pattern *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    pcre2_match_data_free(self->data);
    pcre2_match_context_free(self->context);
    pcre2_code_free(self->code);
    free(self);
}

int pattern_match(const struct pattern *self, const char *text, size_t size, unsigned work,
                  bool *ret_matches)
{
    pcre2_set_match_limit(self->context, work);
    int found = pcre2_match(self->code, (PCRE2_SPTR)text, size, 0, PCRE2_NO_UTF_CHECK, self->data,
                            self->context);
    *ret_matches = found >= 0;
    if (found >= 0 || found == PCRE2_ERROR_NOMATCH)
        return 0;
    return found == PCRE2_ERROR_MATCHLIMIT ? ERR_AGAIN : ERR_LIMIT;
}
