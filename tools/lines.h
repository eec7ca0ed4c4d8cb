/* The journal of an execution as lines for a person: delegations and what delegated tasks do stand
 * further in, below the task that delegated. One thread. */
#ifndef AF_TOOLS_LINES_H
#define AF_TOOLS_LINES_H

#include "base/value.h"

#include <stdio.h>

enum lines_detail {
    LINES_PROGRESS, /* what a person who waits wants to know */
    LINES_ALL,      /* every event */
};

typedef struct lines lines_t;
/* node NULL: everything; else what is of that node's task and those delegated below it, and of no
 * task at all. */
lines_t *lines_new(enum lines_detail detail, const char *node);
void lines_destroy(lines_t **self_p);

/* Takes note of the next event of the journal; whether there is a line to show for it. */
bool lines_take(lines_t *self, const value_t *event);
/* The line of the event just taken. */
void lines_print(const lines_t *self, const value_t *event, FILE *stream);

/* Why an execution has not succeeded, whole, for those who have not seen its lines:
 * "execution failed: exit: status 3". */
void lines_print_why(const value_t *execution, FILE *stream);

#endif
