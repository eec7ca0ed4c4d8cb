#include "engine/dag.h"
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

/* The targets of every node: those of node i stand from first[i] to first[i + 1] in targets. */
struct graph {
    uint32_t nodes;
    size_t *first;
    uint32_t *targets;
    uint32_t *waits_for; /* how many sources a node still waits for */
};

static void graph_init(struct graph *self, uint32_t nodes, const uint32_t (*edges)[2], size_t count)
{
    *self = (struct graph){
        .nodes = nodes,
        .first = xcalloc((size_t)nodes + 2, sizeof *self->first),
        .targets = xcalloc(count + 1, sizeof *self->targets),
        .waits_for = xcalloc((size_t)nodes + 1, sizeof *self->waits_for),
    };
    for (size_t i = 0; i < count; i++) {
        self->first[edges[i][0] + 2]++;
        self->waits_for[edges[i][1]]++;
    }
    for (size_t i = 2; i < (size_t)nodes + 2; i++)
        self->first[i] += self->first[i - 1];
    for (size_t i = 0; i < count; i++)
        self->targets[self->first[edges[i][0] + 1]++] = edges[i][1];
}

static void graph_release(struct graph *self)
{
    free(self->first);
    free(self->targets);
    free(self->waits_for);
}

/* Takes away, again and again, what waits for nothing (Kahn). Returns how many nodes are left. */
static uint32_t take_away(struct graph *self)
{
    uint32_t *work = xcalloc((size_t)self->nodes + 1, sizeof *work);
    uint32_t found = 0;
    for (uint32_t i = 0; i < self->nodes; i++)
        if (self->waits_for[i] == 0)
            work[found++] = i;
    for (uint32_t done = 0; done < found; done++) {
        uint32_t node = work[done];
        for (size_t i = self->first[node]; i < self->first[node + 1]; i++)
            if (--self->waits_for[self->targets[i]] == 0)
                work[found++] = self->targets[i];
    }
    free(work);
    return self->nodes - found;
}

/* One source of each node that is left, which is left too: following them must run into a cycle. */
static uint32_t *remaining_sources(const struct graph *self)
{
    uint32_t *source = xmalloc((size_t)self->nodes * sizeof *source);
    for (uint32_t i = 0; i < self->nodes; i++)
        source[i] = NONE;
    for (uint32_t node = 0; node < self->nodes; node++) {
        if (self->waits_for[node] == 0)
            continue;
        for (size_t i = self->first[node]; i < self->first[node + 1]; i++)
            if (source[self->targets[i]] == NONE)
                source[self->targets[i]] = node;
    }
    return source;
}

/* Walks against the edges until a node comes again, then writes that round down in their direction,
 * beginning with its smallest index. */
static size_t write_cycle(const struct graph *self, const uint32_t *source, uint32_t **ret_cycle)
{
    bool *seen = xcalloc(self->nodes, sizeof *seen);
    uint32_t at = 0;
    while (self->waits_for[at] == 0)
        at++;
    for (; !seen[at]; at = source[at])
        seen[at] = true;
    free(seen);
    size_t size = 1;
    uint32_t least = at;
    for (uint32_t i = source[at]; i != at; i = source[i]) {
        least = i < least ? i : least;
        size++;
    }
    uint32_t *cycle = xmalloc(size * sizeof *cycle);
    cycle[0] = least;
    at = source[least];
    for (size_t i = size - 1; i > 0; i--, at = source[at])
        cycle[i] = at;
    *ret_cycle = cycle;
    return size;
}

size_t dag_cycle(uint32_t nodes, const uint32_t (*edges)[2], size_t edges_count,
                 uint32_t **ret_cycle)
{
    struct graph graph;
    size_t size = 0;
    graph_init(&graph, nodes, edges, edges_count);
    if (take_away(&graph) > 0) {
        uint32_t *source = remaining_sources(&graph);
        size = write_cycle(&graph, source, ret_cycle);
        free(source);
    }
    graph_release(&graph);
    return size;
}
