/* Inside the module: adding diagnostics, and suggestions for misspelt words. */
#ifndef AF_DEFINITIONS_DIAGNOSTICS_H
#define AF_DEFINITIONS_DIAGNOSTICS_H

#include "definitions/definitions.h"
#include "definitions/source.h"
#include <stdarg.h>

struct finding {
    enum diagnostic_severity severity;
    const char *file;
    struct place place;
    const char *path;
    const char *kind;
    const char *fix; /* NULL: none */
};
/* Copies everything. Past LIMIT_DIAGNOSTICS it only counts. */
void diagnostics_add(struct diagnostics *self, const struct finding *finding, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));
void diagnostics_add_v(struct diagnostics *self, const struct finding *finding, const char *format,
                       va_list arguments);

/* The word nearest to one that isn't known: start with {0} and the word, offer all candidates, read
 * nearest (borrowed; NULL when none is near). The first of equally near ones wins. */
struct suggestion {
    const char *word;
    size_t size;
    unsigned distance;
    const char *nearest;
};
#define SUGGESTION(the_word) ((struct suggestion){.word = (the_word), .size = strlen(the_word)})
void suggestion_offer(struct suggestion *self, const char *candidate);
/* `did you mean "x"?` in buffer, or "" */
const char *suggestion_text(const struct suggestion *self, char *buffer, size_t size);

#endif
