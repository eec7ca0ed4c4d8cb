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

/* Nodes that this version doesn't run need no agent: that they are not run is said once. */
static bool is_of_another_kind(const struct node *node)
{
    return node_get(node, "workflow") || node_get(node, "approve") || node_get(node, "wait") ||
           node_get(node, "set");
}

static value_t *check_node(struct check *self, const struct node *node)
{
    check_node_id(self, node->key);
    if (node->kind != NODE_MAP) {
        check_wrong_type(self, node, "an object", NULL);
        return NULL;
    }
    value_t *canonical = value_map();
    value_set_string(canonical, "id", node->key->text);
    struct place missing = is_of_another_kind(node) ? (struct place){0} : node->key->place;
    check_members(self, node, OWNER_NODE, missing, canonical);
    const struct node *with = node_get(node, "with");
    if (with && node_get(node, "say"))
        check_error(self, with->key->place, "bad_value", "keep one of them",
                    "a node has either say or with, not both");
    return canonical;
}

static void gather_nodes(struct graph *self, const struct node *nodes)
{
    self->nodes = xcalloc((size_t)nodes->size + 1, sizeof *self->nodes);
    for (const struct node *item = nodes->first; item; item = item->next) {
        const struct node *join = node_get(item, "join");
        const struct node *disabled = node_get(item, "disabled");
        self->nodes[self->nodes_count++] = (struct graph_node){
            .id = item->key->text,
            .place = item->key->place,
            .join = join && join->kind == NODE_TEXT ? join : NULL,
            .disabled = disabled && disabled->kind == NODE_BOOL && disabled->boolean,
        };
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
        check_error(self, node->place, node->size == 0 ? "bad_value" : "too_many", NULL,
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

static bool check_after_item(struct check *self, const struct node *item)
{
    if (item->kind == NODE_MAP && (node_get(item, "node") || node_get(item, "if"))) {
        check_error(self, item->place, "unsupported", "write the node's id alone",
                    "edges with a condition are not run by this version yet");
        return false;
    }
    if (item->kind != NODE_TEXT) {
        check_wrong_type(self, item, "a node's id", NULL);
        return false;
    }
    struct reference reference = {
        .user = self->graph->user,
        .is_order = true,
        .name = item->text,
        .node = item,
        .path = arena_strdup(self->arena, buf_string(&self->path)),
    };
    graph_add_reference(self, &reference);
    return true;
}

value_t *check_after(struct check *self, const struct node *node)
{
    if (node->kind != NODE_LIST) {
        check_wrong_type(self, node, "a list of node ids", "write [id, ...]");
        return NULL;
    }
    const struct node **items = xcalloc((size_t)node->size + 1, sizeof *items);
    size_t index = 0, count = 0;
    for (const struct node *item = node->first; item && !check_is_full(self); item = item->next) {
        size_t before = check_enter_index(self, index++);
        if (check_after_item(self, item))
            items[count++] = item;
        check_leave(self, before);
    }
    value_t *ids = check_sorted(self, items, count);
    free(items);
    if (value_size(ids) == 0)
        value_destroy(&ids);
    return ids;
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
    self->graph = NULL;
    graph_release(&graph);
    if (self->diagnostics->errors > errors)
        value_destroy(&canonical);
    return canonical;
}
