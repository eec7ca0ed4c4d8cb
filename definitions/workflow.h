/* Inside the module: what the check of a workflow gathers of its nodes, to check references, cycles
 * and joins when all nodes are known. Lives as long as the check of one document. */
#ifndef AF_DEFINITIONS_WORKFLOW_H
#define AF_DEFINITIONS_WORKFLOW_H

#include "base/map.h"
#include "definitions/check.h"

#define NO_NODE          UINT32_MAX
#define GRAPH_CONDITIONS 8

/* A place that names another node or a variable. */
struct reference {
    uint32_t user;           /* the node that refers; NO_NODE: the workflow's output */
    bool is_order;           /* an item of `after`, which names a node and nothing else */
    bool is_qualified;       /* nodes.ID, which is no variable */
    bool has_item;           /* `item` and `index` are variables there */
    bool in_template;        /* it stands in the node's message */
    bool in_set;             /* it stands in `set` of a node that has an output of its own then */
    const char *name;        /* in the arena: a node's id or a variable */
    const char *field;       /* the first field of `input`, or NULL */
    const struct node *node; /* the scalar it stands in */
    uint32_t offset, field_offset; /* of name and field in its text */
    const char *path;
};

struct graph_node {
    const char *id;
    struct place place; /* of the id */
    const struct node *join; /* a text, or NULL */
    bool disabled;
    bool sets_alone; /* it has no output of its own but what it sets */
    /* Conditions that must hold for it to run, as written: its `if`, and those of its edges where all
     * must be taken. No more than a few are looked at. */
    const char *conditions[GRAPH_CONDITIONS];
    uint32_t conditions_count;
};

struct graph {
    struct graph_node *nodes;
    uint32_t nodes_count;
    map_t *by_id; /* id -> index + 1 */
    struct reference *references;
    size_t references_count, references_capacity;
    bool too_many_references;
    uint32_t user; /* the node in hand */
    const struct node *input; /* an object, or NULL: any input is taken */
    map_t *inputs;            /* its names */
};

void graph_add_reference(struct check *check, const struct reference *reference);
/* Checks references, cycles and joins. */
void graph_check(struct check *check);

#endif
