/* A definition's text with its lines, to map places in values back to lines and columns. It borrows
 * the text; it lives as long as one call of definitions_parse. Pure. */
#ifndef AF_DEFINITIONS_SOURCE_H
#define AF_DEFINITIONS_SOURCE_H

#include "base/buf.h"

struct place {
    unsigned line, column; /* from 1; columns count characters */
};

struct source {
    const char *file;
    const char *text;
    size_t size;
    size_t *lines; /* where each line begins */
    size_t lines_count;
};

void source_init(struct source *self, const char *text, size_t size, const char *file);
void source_release(struct source *self);
/* A line without its end; empty past the last one. */
struct bytes source_line(const struct source *self, unsigned line);
size_t source_offset(const struct source *self, struct place place);
struct place source_place(const struct source *self, size_t offset);

enum scalar_style { STYLE_PLAIN, STYLE_SINGLE, STYLE_DOUBLE, STYLE_LITERAL, STYLE_FOLDED };
/* Where the byte at `offset` of a scalar's value stands in the source. The scalar begins at `start`,
 * which is byte `start_offset`; escapes, folding and indentation are followed. */
struct place source_scalar_place(const struct source *self, struct place start, size_t start_offset,
                                 enum scalar_style style, struct bytes value, size_t offset);

#endif
