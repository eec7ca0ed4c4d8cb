/* The inside of a compiled expression: a root variable and the steps from it. Immutable. */
#ifndef AF_CEL_PATH_H
#define AF_CEL_PATH_H

#include "cel/cel.h"

struct step {
    char *field; /* NULL: an index */
    size_t field_size;
    int64_t index;
    size_t start; /* where the step begins in the text: "." or "[" */
};

struct cel {
    char *text; /* as written, for messages */
    size_t text_size;
    char *variable;
    struct step *steps;
    size_t step_count;
};

/* The column, counted in characters from 1, of a byte offset. */
unsigned text_column(const char *text, size_t offset);

#endif
