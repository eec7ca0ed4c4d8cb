/* The tasks of an execution's document for a person: as a table, or as the tree of who delegated to
 * whom. Pure but for what they print. */
#ifndef AF_TOOLS_TREE_H
#define AF_TOOLS_TREE_H

#include "base/value.h"

#include <stdio.h>

/* Each task with its status, attempts, times and instance, as lines. */
void print_task_table(const value_t *execution, FILE *stream);
/* Each task below the one that delegated it (those whose parent isn't in the document at the left),
 * with what it was asked, its turns and what it used, itself and with all below it; then totals. */
void print_task_tree(const value_t *execution, FILE *stream);
/* Appends "3 delegations, 7 turns, 1200 tokens, $0.0012"; nothing when nothing was used. */
void describe_use(const value_t *execution, struct buf *out);

#endif
