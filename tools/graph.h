/* The graph of a workflow, or of an execution with its states, to be drawn. Pure but for the streams
 * that it is printed to; one thread. */
#ifndef AF_TOOLS_GRAPH_H
#define AF_TOOLS_GRAPH_H

#include "base/value.h"

#include <stdio.h>

#define GRAPH_DRAWN_MOST 2000 /* nodes that an SVG may have */

struct graph_node {
    const char *id;     /* path: a node's id, or that of a delegation */
    const char *what;   /* "scout", "approve: Publish it?", "wait 30s", ... */
    const char *more;   /* "for each of find.links", "if review.approved", "join: any"; "" */
    const char *status; /* "" without an execution */
    const char *detail; /* of the status: "2 of 5 items", the reason of a skip, the failure; "" */
    uint32_t layer;     /* longest way from a node without edges */
    uint32_t place;     /* within its layer, after graph_layout */
    bool delegated;
    bool bend;          /* no node, but where an edge over several layers passes one of them */
};
struct graph_edge {
    uint32_t from, to;
    const char *condition; /* "" */
    bool delegates;
};
struct graph {
    struct arena arena; /* all texts */
    const char *title;
    struct graph_node *nodes; /* those of the workflow first, in the order of its definition */
    uint32_t count;
    struct graph_edge *edges;
    size_t edges_count;
    uint32_t layers;
    bool has_states;
};

/* definition: the canonical form of a workflow. execution: the document of executions.get with all its
 * tasks, or NULL. ERR_ values are those of workflow_compile. */
int graph_new(const value_t *definition, const value_t *execution, struct graph **ret_graph,
              struct err *err) MUST_CHECK;
void graph_destroy(struct graph **self_p);

/* Orders each layer so that few edges cross, and lets those over several layers pass between nodes, by
 * bends that become nodes of the graph: it is only good for a picture then. Deterministic. */
void graph_layout(struct graph *self);

/* One line for each node, layer by layer; tones on a terminal. */
void graph_print_text(const struct graph *self, FILE *stream);
/* Graphviz. */
void graph_print_dot(const struct graph *self, FILE *stream);
/* A picture that stands alone. ERR_TOO_LARGE above GRAPH_DRAWN_MOST nodes. graph_layout first. */
int graph_print_svg(const struct graph *self, FILE *stream, struct err *err) MUST_CHECK;

#endif
