/* Inside the module: reading a document again to say where something stands in it, since canonical
 * forms carry no places; and what is known of models. Lives as long as one check between
 * documents. */
#ifndef AF_DEFINITIONS_REREAD_H
#define AF_DEFINITIONS_REREAD_H

#include "definitions/check.h"

struct reread {
    struct source source;
    struct tree tree;
    struct check check;
    struct diagnostics none; /* what was said when it was read first */
    const struct node *root; /* NULL when it can't be read any more */
    unsigned lines_before;   /* of the document in its file */
};

/* text and file are borrowed; line is that of the document's root in its file. */
void reread_open(struct reread *self, const char *text, const char *file, unsigned line,
                 struct diagnostics *diagnostics);
void reread_close(struct reread *self);
/* Where a place of the document is in its file. */
struct place reread_place(const struct reread *self, struct place place);

#define SCRIPT_PREFIX "script/"

/* Tools that every model has: no tool of an agent may have such a name. */
extern const char *const OUR_TOOLS[]; /* NULL-terminated */
bool is_our_tool(const char *name);

#endif
