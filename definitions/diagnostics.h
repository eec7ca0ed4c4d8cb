/* Inside the module: adding diagnostics. */
#ifndef AF_DEFINITIONS_DIAGNOSTICS_H
#define AF_DEFINITIONS_DIAGNOSTICS_H

#include "base/suggest.h"
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

#endif
