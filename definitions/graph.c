/* References between nodes: do they exist, do they make a cycle, do joins make sense. All of it is
 * linear in nodes and references. */
#include "base/limits.h"
#include "definitions/workflow.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CYCLES_SHOWN 10
#define CYCLE_IDS    12 /* of one cycle */

void graph_add_reference(struct check *check, const struct reference *reference)
{
    struct graph *self = check->graph;
    if (self->references_count == LIMIT_EDGES) {
        if (!self->too_many_references)
            check_error(check, reference->node->place, "too_many", "split the workflow",
                        "the workflow has more than %d references", LIMIT_EDGES);
        self->too_many_references = true;
        return;
    }
    if (self->references_count == self->references_capacity) {
        self->references_capacity = self->references_capacity ? self->references_capacity * 2 : 64;
        self->references =
            xrealloc(self->references, self->references_capacity * sizeof *self->references);
    }
    struct reference *kept = &self->references[self->references_count++];
    *kept = *reference;
    kept->in_template = check->in_template && !reference->is_order;
    kept->in_set = check->in_set;
    kept->has_item = kept->in_template && check->loop;
}

/* --- unknown names -----------------------------------------------------------------------------
 */

/* Reports at a byte of the scalar that the reference stands in, under the reference's path. */
static void report(struct check *check, const struct reference *reference, uint32_t offset,
                   const char *kind, const char *fix, const char *message, const char *name)
{
    const struct node *node = reference->node;
    struct place place;
    check_leave(check, 0);
    buf_puts(&check->path, reference->path);
    place = source_scalar_place(check->source, node->place, node->offset,
                                (enum scalar_style)node->style, bytes_of(node->text, node->size),
                                offset);
    check_error(check, place, kind, fix, message, check_shown(check, name));
    check_leave(check, 0);
}

static bool graph_input(const struct graph *self, const char *name)
{
    return map_get(self->inputs, name, strlen(name)) != NULL;
}

static void report_unknown_node(struct check *check, const struct reference *reference)
{
    struct graph *self = check->graph;
    struct suggestion suggestion = SUGGESTION(reference->name);
    char fix[160];
    for (uint32_t i = 0; i < self->nodes_count && check->effort_left > 0; i++)
        check_offer(check, &suggestion, self->nodes[i].id);
    if (!reference->is_order) {
        check_offer(check, &suggestion, "input");
        check_offer(check, &suggestion, "execution");
    }
    if (!suggestion_text(&suggestion, fix, sizeof fix)[0])
        (void)snprintf(fix, sizeof fix, "%s",
                       reference->is_order
                           ? "add that node, or take the reference out"
                           : "name a node, input.NAME, context or execution, or add the node");
    if (!reference->is_order && graph_input(self, reference->name))
        (void)snprintf(fix, sizeof fix, "write input.%s", reference->name);
    report(check, reference, reference->offset, "unknown_node", fix,
           reference->is_order ? "needs \"%s\", which does not exist"
                               : "refers to \"%s\", which is neither a node nor a variable",
           reference->name);
}

static void check_input_field(struct check *check, const struct reference *reference)
{
    const struct node *input = check->graph->input;
    if (!input || !reference->field || graph_input(check->graph, reference->field))
        return;
    struct suggestion suggestion = SUGGESTION(reference->field);
    char fix[160];
    for (const struct node *item = input->first; item; item = item->next)
        check_offer(check, &suggestion, item->key->text);
    suggestion_text(&suggestion, fix, sizeof fix);
    report(check, reference, reference->field_offset, "unknown_input",
           suggestion.nearest ? fix : "declare it under input",
           "refers to the input \"%s\", which is not declared", reference->field);
}

static void report_item(struct check *check, const struct reference *reference)
{
    report(check, reference, reference->offset, "unknown_variable",
           reference->in_template
               ? "it is one in a node that has for: LIST"
               : "use it in say, with, approve or show, of a node that has for: LIST",
           "refers to \"%s\", which is no variable here", reference->name);
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static uint32_t find(const struct graph *self, const char *id)
{
    uintptr_t found = (uintptr_t)map_get(self->by_id, id, strlen(id));
    return found ? (uint32_t)(found - 1) : NO_NODE;
}

/* The node that a reference needs; NO_NODE when it needs none, or none that exists. */
static uint32_t resolve(struct check *check, const struct reference *reference)
{
    static const char *const ITEMS[] = {"item", "index", NULL};
    bool is_variable = !reference->is_order && !reference->is_qualified;
    if (is_variable &&
        (strcmp(reference->name, "execution") == 0 || strcmp(reference->name, "context") == 0))
        return NO_NODE;
    if (is_variable && strcmp(reference->name, "input") == 0) {
        check_input_field(check, reference);
        return NO_NODE;
    }
    if (is_variable && is_one_of(reference->name, ITEMS)) {
        if (!reference->has_item)
            report_item(check, reference);
        return NO_NODE;
    }
    uint32_t node = find(check->graph, reference->name);
    if (node == NO_NODE)
        report_unknown_node(check, reference);
    return node;
}

/* --- edges -------------------------------------------------------------------------------------
 */

struct edges {
    uint32_t (*pairs)[2]; /* from, to; those of one target stand together */
    size_t *references;   /* that made them */
    size_t count;
};

/* What a node sets when it has succeeded may hold its own output, which is no edge. */
static bool reads_itself(const struct graph *graph, const struct reference *reference,
                         uint32_t from)
{
    return reference->in_set && from == reference->user && !graph->nodes[from].sets_alone;
}

static void edges_make(struct check *check, struct edges *self)
{
    struct graph *graph = check->graph;
    self->pairs = xcalloc(graph->references_count + 1, sizeof *self->pairs);
    self->references = xcalloc(graph->references_count + 1, sizeof *self->references);
    self->count = 0;
    for (size_t i = 0; i < graph->references_count && !check_is_full(check); i++) {
        const struct reference *reference = &graph->references[i];
        uint32_t from = resolve(check, reference);
        if (from == NO_NODE || reference->user == NO_NODE || reads_itself(graph, reference, from))
            continue;
        self->pairs[self->count][0] = from;
        self->pairs[self->count][1] = reference->user;
        self->references[self->count++] = i;
    }
}

/* Takes an edge out, however often it is there; gives the first reference that made it. */
static size_t edges_remove(struct edges *self, uint32_t from, uint32_t to)
{
    size_t kept = 0, reference = SIZE_MAX;
    for (size_t i = 0; i < self->count; i++) {
        if (self->pairs[i][0] == from && self->pairs[i][1] == to) {
            reference = reference == SIZE_MAX ? self->references[i] : reference;
            continue;
        }
        self->pairs[kept][0] = self->pairs[i][0];
        self->pairs[kept][1] = self->pairs[i][1];
        self->references[kept++] = self->references[i];
    }
    self->count = kept;
    return reference;
}

static void print_cycle(const struct graph *self, const uint32_t *cycle, size_t size,
                        struct buf *out)
{
    size_t head = size <= CYCLE_IDS ? size : CYCLE_IDS - 1;
    for (size_t i = 0; i < head; i++)
        buf_printf(out, "%s -> ", self->nodes[cycle[i]].id);
    if (head < size) {
        if (size - head > 1)
            buf_printf(out, "(%zu more) -> ", size - head - 1);
        buf_printf(out, "%s -> ", self->nodes[cycle[size - 1]].id);
    }
    buf_puts(out, self->nodes[cycle[0]].id);
}

static void report_cycle(struct check *check, const struct reference *reference,
                         const uint32_t *cycle, size_t size)
{
    struct buf path = {0};
    print_cycle(check->graph, cycle, size, &path);
    check_leave(check, 0);
    buf_puts(&check->path, reference->path);
    const struct node *node = reference->node;
    struct place place = source_scalar_place(check->source, node->place, node->offset,
                                             (enum scalar_style)node->style,
                                             bytes_of(node->text, node->size), reference->offset);
    check_error(check, place, "cycle", "take one of these references out",
                "the nodes wait for each other: %s", buf_string(&path));
    check_leave(check, 0);
    buf_release(&path);
}

/* Each cycle is broken where it was reported, which shows the next one. */
static void check_cycles(struct check *check, struct edges *edges)
{
    struct graph *graph = check->graph;
    for (int i = 0; i < CYCLES_SHOWN && !check_is_full(check); i++) {
        uint32_t *cycle = NULL;
        size_t size =
            dag_cycle(graph->nodes_count, (const uint32_t(*)[2])edges->pairs, edges->count, &cycle);
        if (size == 0)
            return;
        size_t reference = edges_remove(edges, cycle[0], cycle[1 % size]);
        CHECK(reference != SIZE_MAX);
        report_cycle(check, &graph->references[reference], cycle, size);
        free(cycle);
    }
}

/* --- joins -------------------------------------------------------------------------------------
 */

static void warn(struct check *check, const struct graph_node *node, const struct node *at,
                 const char *fix, const char *message, const char *name)
{
    check_leave(check, 0);
    buf_printf(&check->path, "nodes.%s", node->id);
    check_warning(check, at ? at->place : node->place, "join", fix, message, name);
    check_leave(check, 0);
}

/* What a condition of the form `!path` or `!(anything)` negates; else the condition itself. */
static struct bytes bare_condition(const char *text, bool *ret_negated)
{
    static const char PATH[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.[]";
    size_t size = strlen(text);
    bool path = *text == '!' && text[1 + strspn(text + 1, PATH)] == '\0';
    bool whole = size > 3 && memcmp(text, "!(", 2) == 0 && text[size - 1] == ')';
    *ret_negated = path || whole;
    if (whole)
        return bytes_of(text + 2, size - 3);
    return path ? bytes_of(text + 1, size - 1) : bytes_of(text, size);
}

/* The nodes that have a condition and its negation among what must hold for them. */
struct sides {
    map_t *nodes[2]; /* by the bare condition: who needs it, who needs its negation */
};

/* The one that needs the opposite of one of node's conditions, or NULL. */
static const struct graph_node *add_conditions(struct sides *self, const struct graph_node *node)
{
    const struct graph_node *opposite = NULL;
    for (uint32_t i = 0; i < node->conditions_count && !opposite; i++) {
        bool negated = false;
        struct bytes bare = bare_condition(node->conditions[i], &negated);
        opposite = map_get(self->nodes[!negated], bare.data, bare.size);
        (void)map_put(self->nodes[negated], bare.data, bare.size, (void *)(uintptr_t)node);
    }
    return opposite;
}

/* Branches that merge and wait for each other: one of them is always skipped. */
static void check_exclusive(struct check *check, uint32_t target, const struct edges *edges,
                            size_t begin, size_t end)
{
    const struct graph *graph = check->graph;
    const struct graph_node *node = &graph->nodes[target];
    struct sides sides = {{map_new(), map_new()}};
    const struct graph_node *source = node, *opposite = add_conditions(&sides, node);
    for (size_t i = begin; i < end && !opposite; i++) {
        source = &graph->nodes[edges->pairs[i][0]];
        opposite = add_conditions(&sides, source);
    }
    if (opposite == source && source == node)
        warn(check, node, NULL, "take one of the conditions out",
             "never runs: conditions of \"%s\" exclude each other", node->id);
    else if (opposite == node)
        warn(check, node, NULL, "take one of the conditions out",
             "never runs: its own conditions exclude those of \"%s\"", source->id);
    else if (opposite && opposite != source)
        warn(check, node, node->join, "write join: any, or join: done",
             "never runs: it waits for \"%s\" and for another node that runs only otherwise",
             source->id);
    map_destroy(&sides.nodes[0]);
    map_destroy(&sides.nodes[1]);
}

/* The edges of one target are pairs[begin] to pairs[end - 1]. */
static void check_join(struct check *check, uint32_t target, const struct edges *edges,
                       size_t begin, size_t end)
{
    const struct graph *graph = check->graph;
    const struct graph_node *node = &graph->nodes[target];
    const struct node *join = node->join;
    bool any = join && strcmp(join->text, "any") == 0;
    bool done = join && strcmp(join->text, "done") == 0;
    size_t disabled = 0;
    const char *name = "";
    for (size_t i = begin; i < end; i++) {
        if (!graph->nodes[edges->pairs[i][0]].disabled)
            continue;
        disabled++;
        name = graph->nodes[edges->pairs[i][0]].id;
    }
    if (join && begin == end)
        warn(check, node, join, "take the key out",
             "join has no effect on \"%s\", which waits for no node", node->id);
    else if (disabled > 0 && !done && !node->disabled && (!any || disabled == end - begin))
        warn(check, node, join, "write join: done, or take the reference out",
             "never runs: it waits for \"%s\", which is disabled", name);
    else if (!any && !done && !node->disabled)
        check_exclusive(check, target, edges, begin, end);
}

static void check_joins(struct check *check, const struct edges *edges)
{
    size_t at = 0;
    for (uint32_t i = 0; i < check->graph->nodes_count && !check_is_full(check); i++) {
        size_t begin = at;
        while (at < edges->count && edges->pairs[at][1] == i)
            at++;
        check_join(check, i, edges, begin, at);
    }
}

void graph_check(struct check *check)
{
    struct edges edges = {0};
    edges_make(check, &edges);
    check_joins(check, &edges);
    check_cycles(check, &edges);
    free(edges.pairs);
    free(edges.references);
}
