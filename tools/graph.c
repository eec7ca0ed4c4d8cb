#include "tools/graph.h"

#include "base/clock.h"
#include "base/map.h"
#include "definitions/definitions.h"
#include "tools/text.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_WIDTH 48
#define SWEEPS     8
#define BENDS_MOST 20000 /* more of them would only be a carpet */

/* --- nodes ------------------------------------------------------------------------------------ */

static const char *keep(struct graph *self, struct buf *text)
{
    const char *kept = arena_strdup(&self->arena, buf_string(text));
    buf_clear(text);
    return kept;
}

static void put_excerpt(struct buf *out, const char *label, const char *text)
{
    if (!text)
        return;
    if (out->size > 0)
        buf_puts(out, ", ");
    buf_puts(out, label);
    text_excerpt(out, text, strlen(text), TEXT_WIDTH);
}

static void put_wait(struct buf *out, const value_t *wait)
{
    char text[CLOCK_TEXT_SIZE];
    const char *signal = value_get_string(wait, "signal", NULL);
    if (signal)
        buf_printf(out, "wait for signal %s", signal);
    else
        buf_printf(out, "wait %s", duration_format(value_get_int(wait, "time_us", 0), text));
}

static const char *what_is(struct graph *self, const value_t *node)
{
    struct buf text = {0};
    const char *agent = value_get_string(node, "agent", NULL);
    const char *workflow = value_get_string(node, "workflow", NULL);
    const value_t *wait = value_get(node, "wait");
    if (agent)
        buf_puts(&text, agent);
    else if (workflow)
        buf_printf(&text, "workflow %s", workflow);
    else if (wait)
        put_wait(&text, wait);
    else if (value_get(node, "approve"))
        put_excerpt(&text, "approve: ", value_get_string(node, "approve", ""));
    else
        buf_puts(&text, "set");
    const char *what = keep(self, &text);
    buf_release(&text);
    return what;
}

static const char *more_of(struct graph *self, const value_t *node)
{
    struct buf text = {0};
    const value_t *on_error = value_get(node, "on_error");
    const char *join = value_get_string(node, "join", "all");
    put_excerpt(&text, "for each of ", value_get_string(node, "for", NULL));
    put_excerpt(&text, "if ", value_get_string(node, "if", NULL));
    if (strcmp(join, "all") != 0)
        put_excerpt(&text, "join: ", join);
    if (on_error && value_type(on_error) == VALUE_MAP)
        put_excerpt(&text, "else ", value_get_string(on_error, "fallback", ""));
    if (value_get_bool(node, "disabled", false))
        put_excerpt(&text, "", "disabled");
    const char *more = keep(self, &text);
    buf_release(&text);
    return more;
}

static const char *detail_of(struct graph *self, const value_t *task)
{
    struct buf text = {0};
    const char *reason = value_get_string(task, "reason", "");
    const char *why = value_get_string(value_get(task, "failure"), "message", "");
    int64_t items = value_get_int(task, "items", -1);
    if (items >= 0)
        buf_printf(&text, "%lld of %lld items",
                   (long long)value_get_int(task, "items_ended", items), (long long)items);
    if (*reason)
        put_excerpt(&text, "", reason);
    else if (*why)
        put_excerpt(&text, "", why);
    const char *detail = keep(self, &text);
    buf_release(&text);
    return detail;
}

static void add_states(struct graph *self, const value_t *execution, map_t *by_path)
{
    const value_t *tasks = value_get(execution, "tasks");
    size_t count = tasks ? value_size(tasks) : 0;
    self->nodes = xrealloc(self->nodes, (self->count + count) * sizeof *self->nodes);
    self->edges = xrealloc(self->edges, (self->edges_count + count) * sizeof *self->edges);
    for (size_t i = 0; i < count; i++) {
        const value_t *task = value_at(tasks, i);
        const char *path = value_get_string(task, "path", "");
        const char *parent = value_get_string(task, "parent", "");
        uintptr_t known = (uintptr_t)map_get(by_path, path, strlen(path));
        uintptr_t above = (uintptr_t)map_get(by_path, parent, strlen(parent));
        if (value_get(
                task,
                "item")) { /* its node tells how many have ended; its delegations hang there */
            if (above)
                (void)map_put(by_path, path, strlen(path), (void *)above);
            continue;
        }
        if (!known && !above)
            continue;
        if (!known) {
            self->nodes[self->count] = (struct graph_node){
                .id = arena_strdup(&self->arena, path),
                .what = arena_strdup(&self->arena, value_get_string(task, "agent", "")),
                .more = "",
                .delegated = true};
            self->edges[self->edges_count++] = (struct graph_edge){.from = (uint32_t)(above - 1),
                                                                   .to = self->count,
                                                                   .condition = "",
                                                                   .delegates = true};
            known = ++self->count;
            (void)map_put(by_path, path, strlen(path), (void *)known);
        }
        self->nodes[known - 1].status =
            arena_strdup(&self->arena, value_get_string(task, "status", ""));
        self->nodes[known - 1].detail = detail_of(self, task);
    }
    self->has_states = true;
}

/* --- edges ------------------------------------------------------------------------------------ */

/* The condition of the edge, as it was written. */
static const char *condition_of(struct graph *self, const value_t *node, const char *source)
{
    const value_t *after = value_get(node, "after");
    for (size_t i = 0; after && i < value_size(after); i++) {
        const value_t *edge = value_at(after, i);
        const char *condition = value_get_string(edge, "if", NULL);
        if (value_type(edge) != VALUE_MAP || !condition ||
            strcmp(value_get_string(edge, "node", ""), source) != 0)
            continue;
        struct buf text = {0};
        text_excerpt(&text, condition, strlen(condition), TEXT_WIDTH);
        condition = keep(self, &text);
        buf_release(&text);
        return condition;
    }
    return "";
}

static void add_nodes(struct graph *self, const value_t *nodes, const dag_t *dag, map_t *by_path)
{
    size_t edges = 0;
    for (uint32_t i = 0; i < dag_nodes(dag); i++)
        edges += dag_node(dag, i)->sources_count;
    self->nodes = xcalloc((size_t)dag_nodes(dag) + 1, sizeof *self->nodes);
    self->edges = xcalloc(edges + 1, sizeof *self->edges);
    for (uint32_t i = 0; i < dag_nodes(dag); i++) {
        const struct dag_node *node = dag_node(dag, i);
        const value_t *written = value_at(nodes, i);
        self->nodes[i] = (struct graph_node){.id = arena_strdup(&self->arena, node->id),
                                             .what = what_is(self, written),
                                             .more = more_of(self, written),
                                             .status = "",
                                             .detail = ""};
        (void)map_put(by_path, node->id, strlen(node->id), (void *)(uintptr_t)(i + 1));
        for (uint32_t s = 0; s < node->sources_count; s++)
            self->edges[self->edges_count++] = (struct graph_edge){
                .from = node->sources[s],
                .to = i,
                .condition = condition_of(self, written, dag_node(dag, node->sources[s])->id)};
    }
    self->count = dag_nodes(dag);
}

/* --- layers ----------------------------------------------------------------------------------- */

/* The edges of each node in one array: those that leave it from at[i] to at[i + 1]. */
static size_t *edges_by(const struct graph *self, bool by_source, size_t **ret_at)
{
    size_t *at = xcalloc((size_t)self->count + 2, sizeof *at);
    size_t *list = xcalloc(self->edges_count + 1, sizeof *list);
    for (size_t i = 0; i < self->edges_count; i++)
        at[(by_source ? self->edges[i].from : self->edges[i].to) + 2]++;
    for (uint32_t i = 2; i < self->count + 2; i++)
        at[i] += at[i - 1];
    for (size_t i = 0; i < self->edges_count; i++)
        list[at[(by_source ? self->edges[i].from : self->edges[i].to) + 1]++] = i;
    *ret_at = at;
    return list;
}

/* Longest way from the sources, by taking away what waits for nothing. */
static void make_layers(struct graph *self)
{
    size_t *at, *list = edges_by(self, true, &at);
    uint32_t *waits = xcalloc((size_t)self->count + 1, sizeof *waits);
    uint32_t *work = xcalloc((size_t)self->count + 1, sizeof *work);
    uint32_t count = 0;
    for (size_t i = 0; i < self->edges_count; i++)
        waits[self->edges[i].to]++;
    for (uint32_t i = 0; i < self->count; i++)
        if (waits[i] == 0)
            work[count++] = i;
    for (uint32_t w = 0; w < count; w++) {
        uint32_t layer = self->nodes[work[w]].layer;
        self->layers = layer >= self->layers ? layer + 1 : self->layers;
        for (size_t e = at[work[w]]; e < at[work[w] + 1]; e++) {
            uint32_t to = self->edges[list[e]].to;
            if (self->nodes[to].layer <= layer)
                self->nodes[to].layer = layer + 1;
            if (--waits[to] == 0)
                work[count++] = to;
        }
    }
    free(waits);
    free(work);
    free(list);
    free(at);
}

int graph_new(const value_t *definition, const value_t *execution, struct graph **ret_graph,
              struct err *err)
{
    dag_t *dag = NULL;
    int rc = workflow_compile(definition, &dag, err);
    if (rc)
        return rc;
    struct graph *self = xcalloc(1, sizeof *self);
    map_t *by_path = map_new();
    self->title = arena_strdup(&self->arena, value_get_string(definition, "workflow", ""));
    add_nodes(self, value_get(definition, "nodes"), dag, by_path);
    if (execution)
        add_states(self, execution, by_path);
    make_layers(self);
    map_destroy(&by_path);
    dag_destroy(&dag);
    *ret_graph = self;
    return 0;
}

void graph_destroy(struct graph **self_p)
{
    struct graph *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    free(self->nodes);
    free(self->edges);
    arena_release(&self->arena);
    free(self);
}

/* --- order within layers ---------------------------------------------------------------------- */

struct ranked {
    double rank;
    uint32_t node;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *left = a, *right = b;
    if (left->rank != right->rank)
        return left->rank < right->rank ? -1 : 1;
    return left->node < right->node ? -1 : left->node > right->node;
}

/* The middle of its neighbours on one side; its own place where it has none. */
static double middle(const struct graph *self, uint32_t node, const size_t *list, const size_t *at,
                     bool sources)
{
    double sum = 0;
    for (size_t e = at[node]; e < at[node + 1]; e++) {
        const struct graph_edge *edge = &self->edges[list[e]];
        sum += self->nodes[sources ? edge->from : edge->to].place;
    }
    size_t count = at[node + 1] - at[node];
    return count > 0 ? sum / (double)count : self->nodes[node].place;
}

/* The nodes of each layer, one layer after the other: those of layer l from at[l] to at[l + 1]. */
static uint32_t *nodes_by_layer(const struct graph *self, size_t **ret_at)
{
    size_t *at = xcalloc((size_t)self->layers + 2, sizeof *at);
    uint32_t *list = xcalloc((size_t)self->count + 1, sizeof *list);
    for (uint32_t i = 0; i < self->count; i++)
        at[self->nodes[i].layer + 1]++;
    for (uint32_t l = 0; l < self->layers; l++)
        at[l + 1] += at[l];
    size_t *next = xcalloc((size_t)self->layers + 1, sizeof *next);
    memcpy(next, at, self->layers * sizeof *next);
    for (uint32_t i = 0; i < self->count; i++) {
        size_t place = next[self->nodes[i].layer]++;
        self->nodes[i].place = (uint32_t)(place - at[self->nodes[i].layer]);
        list[place] = i;
    }
    free(next);
    *ret_at = at;
    return list;
}

struct sweeper {
    struct graph *graph;
    size_t *in, *in_at, *out, *out_at; /* edges by target and by source */
    uint32_t *nodes;                   /* by layer */
    size_t *nodes_at;
    struct ranked *ranked;
};

static void sweep(const struct sweeper *self, bool sources)
{
    struct graph *graph = self->graph;
    for (uint32_t l = 0; l < graph->layers; l++) {
        uint32_t layer = sources ? l : graph->layers - 1 - l;
        size_t begin = self->nodes_at[layer], count = self->nodes_at[layer + 1] - begin;
        for (size_t i = 0; i < count; i++) {
            uint32_t node = self->nodes[begin + i];
            self->ranked[i] =
                (struct ranked){sources ? middle(graph, node, self->in, self->in_at, true)
                                        : middle(graph, node, self->out, self->out_at, false),
                                node};
        }
        qsort(self->ranked, count, sizeof *self->ranked, by_rank);
        for (size_t i = 0; i < count; i++)
            graph->nodes[self->ranked[i].node].place = (uint32_t)i;
    }
}

/* Cuts each edge over several layers into one for each of them. */
static void add_bends(struct graph *self)
{
    size_t bends = 0;
    for (size_t i = 0; i < self->edges_count; i++)
        bends += self->nodes[self->edges[i].to].layer - self->nodes[self->edges[i].from].layer - 1;
    if (bends > BENDS_MOST)
        return;
    self->nodes = xrealloc(self->nodes, (self->count + bends + 1) * sizeof *self->nodes);
    self->edges = xrealloc(self->edges, (self->edges_count + bends + 1) * sizeof *self->edges);
    size_t edges = self->edges_count;
    for (size_t i = 0; i < edges; i++) {
        struct graph_edge *edge = &self->edges[i];
        uint32_t to = edge->to, layer = self->nodes[edge->from].layer;
        while (++layer < self->nodes[to].layer) {
            self->nodes[self->count] = (struct graph_node){.id = "",
                                                           .what = "",
                                                           .more = "",
                                                           .status = "",
                                                           .detail = "",
                                                           .layer = layer,
                                                           .bend = true};
            edge->to = self->count++;
            self->edges[self->edges_count] = (struct graph_edge){
                .from = edge->to, .to = to, .condition = "", .delegates = edge->delegates};
            edge = &self->edges[self->edges_count++];
        }
    }
}

void graph_layout(struct graph *self)
{
    if (self->count > GRAPH_DRAWN_MOST)
        return; /* it is not drawn */
    add_bends(self);
    struct sweeper sweeper = {.graph = self,
                              .ranked = xcalloc((size_t)self->count + 1, sizeof(struct ranked))};
    sweeper.in = edges_by(self, false, &sweeper.in_at);
    sweeper.out = edges_by(self, true, &sweeper.out_at);
    sweeper.nodes = nodes_by_layer(self, &sweeper.nodes_at);
    for (int i = 0; i < SWEEPS; i++)
        sweep(&sweeper, i % 2 == 0);
    free(sweeper.in);
    free(sweeper.in_at);
    free(sweeper.out);
    free(sweeper.out_at);
    free(sweeper.nodes);
    free(sweeper.nodes_at);
    free(sweeper.ranked);
}
