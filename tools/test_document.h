/* For tests: documents written in C, with 'single quotes' for the sake of the eyes. */
#ifndef AF_TOOLS_TEST_DOCUMENT_H
#define AF_TOOLS_TEST_DOCUMENT_H

#include "base/test.h"
#include "base/value.h"

#include <stdlib.h>
#include <string.h>

static inline value_t *test_document(const char *text)
{
    value_t *document = NULL;
    struct err err = {0};
    char *json = xstrdup(text);
    for (char *at = json; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    if (value_from_json(json, strlen(json), &document, &err))
        fail_msg("%s: %s", err.what, text);
    free(json);
    return document;
}

#endif
