#include "definitions/workflow.h"

#include "base/limits.h"
#include <stdlib.h>
#include <string.h>

static bool is_node_id(const char *id)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    return *id >= 'a' && *id <= 'z' && id[strspn(id, LETTERS)] == '\0';
}

static bool is_reserved(const char *id)
{
    for (size_t i = 0; RESERVED_NODE_IDS[i]; i++)
        if (strcmp(id, RESERVED_NODE_IDS[i]) == 0)
            return true;
    return false;
}

static void check_node_id(struct check *self, const struct node *key)
{
    if (key->size > LIMIT_NAME_BYTES || !is_node_id(key->text))
        check_error(self, key->place, "bad_value",
                    "begin with a small letter, go on with small letters, digits and _",
                    "\"%s\" is not a node id of at most %d characters",
                    check_shown(self, key->text), LIMIT_NAME_BYTES);
    else if (is_reserved(key->text))
        check_error(self, key->place, "bad_value", "rename the node",
                    "\"%s\" is a reserved word and can't be a node id", key->text);
}

static void check_parallel(struct check *self, const struct node *node)
{
    const struct node *parallel = node_get(node, "parallel");
    if (!parallel || self->loop)
        return;
    size_t before = check_enter(self, "parallel");
    check_error(self, parallel->key->place, "missing_key", "add for: LIST, or take it out",
                "says how many items go at a time, but the node has no \"for\"");
    check_leave(self, before);
}

static value_t *check_node(struct check *self, const struct node *node)
{
    check_node_id(self, node->key);
    if (node->kind != NODE_MAP) {
        check_wrong_type(self, node, "an object", "write {agent: NAME}");
        return NULL;
    }
    value_t *canonical = value_map();
    value_set_string(canonical, "id", node->key->text);
    struct place missing = kind_is_known(node) ? (struct place){0} : node->key->place;
    self->loop = node_get(node, "for");
    check_members(self, node, OWNER_NODE, missing, canonical);
    check_parallel(self, node);
    check_node_kind(self, node);
    self->loop = NULL;
    const struct node *with = node_get(node, "with");
    if (with && node_get(node, "say"))
        check_error(self, with->key->place, "bad_value", "keep one of them",
                    "a node has either say or with, not both");
    return canonical;
}

static void gather_condition(struct graph_node *self, const struct node *map)
{
    const struct node *condition = node_get(map, "if");
    if (condition && condition->kind == NODE_TEXT && self->conditions_count < GRAPH_CONDITIONS)
        self->conditions[self->conditions_count++] = condition->text;
}

static void gather_conditions(struct graph_node *self, const struct node *node)
{
    const struct node *after = node_get(node, "after");
    bool all = !self->join || strcmp(self->join->text, "all") == 0;
    gather_condition(self, node);
    if (!all || !after || after->kind != NODE_LIST)
        return;
    for (const struct node *item = after->first; item && self->conditions_count < GRAPH_CONDITIONS;
         item = item->next)
        gather_condition(self, item);
}

static void gather_nodes(struct graph *self, const struct node *nodes)
{
    self->nodes = xcalloc((size_t)nodes->size + 1, sizeof *self->nodes);
    for (const struct node *item = nodes->first; item; item = item->next) {
        const struct node *join = node_get(item, "join");
        const struct node *disabled = node_get(item, "disabled");
        struct graph_node *entry = &self->nodes[self->nodes_count++];
        *entry = (struct graph_node){
            .id = item->key->text,
            .place = item->key->place,
            .join = join && join->kind == NODE_TEXT ? join : NULL,
            .disabled = disabled && disabled->kind == NODE_BOOL && disabled->boolean,
        };
        entry->sets_alone = kind_is_set(item);
        gather_conditions(entry, item);
        (void)map_put(self->by_id, item->key->text, item->key->size,
                      (void *)(uintptr_t)self->nodes_count);
    }
}

value_t *check_nodes(struct check *self, const struct key *key, const struct node *node)
{
    if (node->kind != NODE_MAP) {
        check_wrong_type(self, node, "an object of nodes", "write id: {agent: name} for each");
        return NULL;
    }
    if (node->size == 0 || node->size > key->most) {
        check_error(self, node->place, node->size == 0 ? "bad_value" : "too_many",
                    node->size == 0 ? "write id: {agent: name} for each" : "split the workflow",
                    "a workflow has from 1 to %.0f nodes, not %u", key->most, node->size);
        return NULL;
    }
    value_t *list = value_list();
    gather_nodes(self->graph, node);
    self->graph->user = 0;
    for (const struct node *item = node->first; item && !check_is_full(self);
         item = item->next, self->graph->user++) {
        size_t before = check_enter(self, item->key->text);
        value_t *canonical = check_node(self, item);
        if (canonical)
            value_append(list, &canonical);
        check_leave(self, before);
    }
    self->graph->user = NO_NODE;
    return list;
}

/* --- after -------------------------------------------------------------------------------------
 */

/* A node's id, which makes an edge by itself. */
value_t *check_node_reference(struct check *self, const struct node *node)
{
    if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "a node's id", "write the id of a node");
        return NULL;
    }
    struct reference reference = {
        .user = self->graph->user,
        .is_order = true,
        .name = node->text,
        .node = node,
        .path = arena_strdup(self->arena, buf_string(&self->path)),
    };
    graph_add_reference(self, &reference);
    return value_string_n(node->text, node->size);
}

struct edge {
    const struct node *node; /* the scalar with the source's id */
    value_t *canonical;      /* {node, if}; owned */
};

static int compare_edges(const void *a, const void *b)
{
    const struct node *left = ((const struct edge *)a)->node;
    const struct node *right = ((const struct edge *)b)->node;
    int order = strcmp(left->text, right->text);
    return order ? order : (left->offset > right->offset) - (left->offset < right->offset);
}

/* *ret_edge.node stays NULL when it names no source. */
static void check_edge(struct check *self, const struct key *key, const struct node *item,
                       struct edge *ret_edge)
{
    if (item->kind != NODE_TEXT && item->kind != NODE_MAP) {
        check_wrong_type(self, item, "a node's id or an edge", "write id, or {node: id, if: EXPR}");
        return;
    }
    const struct node *source = item->kind == NODE_MAP ? node_get(item, "node") : item;
    ret_edge->canonical = value_map();
    if (item->kind == NODE_MAP)
        check_members(self, item, key->child, item->place, ret_edge->canonical);
    else
        check_value(self, key_find(key->child, "node"), item, ret_edge->canonical);
    ret_edge->node = source && source->kind == NODE_TEXT ? source : NULL;
}

/* An edge without a condition is its source's id. Takes the edge's canonical form. */
static void append_edge(value_t *list, struct edge *edge)
{
    value_t *item = NULL;
    if (value_get(edge->canonical, "if")) {
        item = edge->canonical;
        edge->canonical = NULL;
    } else {
        item = value_string_n(edge->node->text, edge->node->size);
    }
    value_append(list, &item);
}

/* Sorted by source, each of which stands there once. */
static value_t *sorted_edges(struct check *self, struct edge *edges, size_t count)
{
    value_t *list = value_list();
    qsort(edges, count, sizeof *edges, compare_edges);
    for (size_t i = 0; i < count; i++) {
        const struct node *node = edges[i].node;
        if (i > 0 && strcmp(edges[i - 1].node->text, node->text) == 0)
            check_error(self, node->place, "bad_value", "keep one of them", "names \"%s\" twice",
                        check_shown(self, node->text));
        else
            append_edge(list, &edges[i]);
        value_destroy(&edges[i].canonical);
    }
    return list;
}

value_t *check_after(struct check *self, const struct key *key, const struct node *node)
{
    if (node->kind != NODE_LIST) {
        check_wrong_type(self, node, "a list of node ids", "write [id, ...]");
        return NULL;
    }
    struct edge *edges = xcalloc((size_t)node->size + 1, sizeof *edges);
    size_t index = 0, count = 0;
    for (const struct node *item = node->first; item && !check_is_full(self); item = item->next) {
        size_t before = check_enter_index(self, index++);
        check_edge(self, key, item, &edges[count]);
        if (edges[count].node)
            count++;
        else
            value_destroy(&edges[count].canonical);
        check_leave(self, before);
    }
    value_t *list = sorted_edges(self, edges, count);
    free(edges);
    if (value_size(list) == 0)
        value_destroy(&list);
    return list;
}

/* --- retry, on_error ---------------------------------------------------------------------------
 */

value_t *check_retry(struct check *self, const struct key *key, const struct node *node)
{
    if (node->kind != NODE_INT && node->kind != NODE_MAP) {
        check_wrong_type(self, node, "a number of attempts or an object",
                         "write 3, or {attempts: 3, backoff: 2s}");
        return NULL;
    }
    if (node->kind == NODE_MAP)
        return check_object(self, node, key->child);
    value_t *attempts = check_integer(self, key, node);
    value_t *retry = attempts ? value_map() : NULL;
    if (attempts)
        value_set(retry, "attempts", &attempts);
    return retry;
}

value_t *check_on_error(struct check *self, const struct key *key, const struct node *node)
{
    if (node->kind == NODE_MAP)
        return check_object(self, node, key->child);
    if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "fail, continue or an object", "write {fallback: agent}");
        return NULL;
    }
    return check_choice(self, key, node);
}

/* --- documents ---------------------------------------------------------------------------------
 */

static void gather_inputs(struct graph *self, const struct node *input)
{
    self->inputs = map_new();
    self->input = input && input->kind == NODE_MAP ? input : NULL;
    for (const struct node *item = self->input ? input->first : NULL; item; item = item->next)
        (void)map_put(self->inputs, item->key->text, item->key->size, (void *)(uintptr_t)item);
}

static void graph_release(struct graph *self)
{
    map_destroy(&self->by_id);
    map_destroy(&self->inputs);
    free(self->nodes);
    free(self->references);
}

value_t *check_workflow(struct check *self, const struct node *root)
{
    struct graph graph = {.by_id = map_new(), .user = NO_NODE};
    size_t errors = self->diagnostics->errors;
    value_t *canonical = value_map();
    gather_inputs(&graph, node_get(root, "input"));
    self->graph = &graph;
    check_members(self, root, OWNER_WORKFLOW, root->place, canonical);
    graph_check(self);
    if (self->diagnostics->errors == errors)
        check_schedule_input(self, root, canonical);
    self->graph = NULL;
    graph_release(&graph);
    if (self->diagnostics->errors > errors)
        value_destroy(&canonical);
    return canonical;
}
