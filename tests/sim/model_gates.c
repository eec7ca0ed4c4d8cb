#include "tests/sim/model.h"

#include <stdio.h>
#include <string.h>

/* What stands between the ends of sources and a task that may run: joins, conditions and lists.
 * What an expression comes to is found without evaluating it: the plan says what it reads. */

/* --- expressions ------------------------------------------------------------------------------ */

enum truth { FAILS, IS_FALSE, IS_TRUE };

/* NULL: it reads as null. */
static const struct buf *output_as_of(const struct model *self, uint32_t index, uint64_t as_of)
{
    const struct model_node *node = &self->nodes[index];
    bool known = node->status == MODEL_SUCCEEDED && node->ended_sequence <= as_of;
    return known ? &node->output : NULL;
}

static bool read_n(const struct model *self, uint32_t index, uint64_t as_of, int64_t *ret_n)
{
    const struct buf *output = output_as_of(self, index, as_of);
    value_t *value = NULL;
    if (!output || value_from_msgpack(buf_bytes(output), &value, NULL))
        return false;
    const value_t *n = value_get(value, "n");
    bool read = n && value_type(n) == VALUE_INT;
    if (read)
        *ret_n = value_as_int(n);
    value_destroy(&value);
    return read;
}

static enum truth truth_of(bool holds, bool negated)
{
    return holds != negated ? IS_TRUE : IS_FALSE;
}

static enum truth tell(const struct model *self, const struct plan_expression *what, uint64_t as_of)
{
    const struct buf *output = NULL;
    int64_t n = 0;
    switch (what->reads) {
    case READS_TRUE: return truth_of(true, what->negated);
    case READS_FALSE: return truth_of(false, what->negated);
    case READS_FLAG: return truth_of(plan_input_flag((uint64_t)self->k), what->negated);
    case READS_SIZE:
        return truth_of(plan_input_size((uint64_t)self->k) > what->bound, what->negated);
    case READS_N:
        return read_n(self, what->node, as_of, &n) ? truth_of(n > what->bound, what->negated)
                                                   : FAILS;
    case READS_STATUS:
        output = output_as_of(self, what->node, as_of);
        return truth_of(output != NULL, what->negated);
    case READS_NULL:
        output = output_as_of(self, what->node, as_of);
        /* A timer gives null, too. */
        return truth_of(!output || output->data[0] == 0xc0, what->negated);
    default: return FAILS;
    }
}

static void pack_numbers(int64_t from, uint32_t count, struct buf *out)
{
    value_t *list = value_list();
    for (uint32_t i = 0; i < count; i++) {
        value_t *number = value_int(from + i);
        value_append(list, &number);
    }
    value_to_msgpack(list, out);
    value_destroy(&list);
}

/* False: it is none. */
static bool pack_list(const struct model *self, const struct plan_expression *what, uint64_t as_of,
                      struct buf *out)
{
    const struct buf *output;
    switch (what->reads) {
    case READS_LIST: pack_numbers(self->k, plan_input_size((uint64_t)self->k), out); break;
    case READS_NUMBERS: pack_numbers(7, 3, out); break;
    case READS_EMPTY: pack_numbers(0, 0, out); break;
    case READS_OUTPUT:
        output = output_as_of(self, what->node, as_of);
        if (!output || self->workflow->nodes[what->node].items.reads == READS_NOTHING)
            return false;
        buf_append_bytes(out, buf_bytes(output));
        break;
    default: return false;
    }
    return true;
}

/* --- the output ------------------------------------------------------------------------------- */

static bool is_source(const struct model *self, uint32_t index)
{
    for (uint32_t i = 0; i < self->workflow->nodes_count; i++)
        for (uint32_t s = 0; s < self->workflow->nodes[i].sources_count; s++)
            if (self->workflow->nodes[i].sources[s] == index)
                return true;
    return false;
}

/* Of the nodes that nothing depends on. */
static value_t *default_output(const struct model *self)
{
    value_t *whole = value_map();
    for (uint32_t i = 0; i < self->workflow->nodes_count; i++) {
        const struct buf *output = output_as_of(self, i, self->sequence);
        value_t *value = NULL;
        if (is_source(self, i))
            continue;
        if (!output || value_from_msgpack(buf_bytes(output), &value, NULL))
            value = value_null();
        value_set(whole, self->workflow->nodes[i].id, &value);
    }
    return whole;
}

const char *model_output(const struct model *self, const struct event_ended *ended)
{
    int64_t n = 0;
    bool own = self->workflow->output != NULL; /* it is n0.n */
    bool known = !own || read_n(self, 0, self->sequence, &n);
    if (known != (ended->status == EXECUTION_SUCCEEDED))
        return "an end that does not fit the output's expression";
    if (!known)
        return NULL;
    value_t *here = own ? value_int(n) : default_output(self), *there = NULL;
    bool same =
        !value_from_msgpack(ended->output.inline_bytes, &there, NULL) && value_equal(here, there);
    value_destroy(&here);
    value_destroy(&there);
    return same ? NULL : "another output than that of its nodes";
}

/* --- joins ------------------------------------------------------------------------------------ */

enum edge { EDGE_OPEN, EDGE_TAKEN, EDGE_DEAD };

static enum edge edge_of(const struct model *self, uint32_t index, uint32_t slot)
{
    const struct plan_node *plan = &self->workflow->nodes[index];
    uint32_t source = plan->sources[slot];
    enum model_status status = self->nodes[source].status;
    if (!model_node_ended(&self->nodes[source]))
        return EDGE_OPEN;
    if (status != MODEL_SUCCEEDED &&
        (status != MODEL_FAILED || self->workflow->nodes[source].on_error != DAG_CONTINUE))
        return EDGE_DEAD;
    if (plan->edge_ifs[slot].reads == READS_NOTHING)
        return EDGE_TAKEN;
    switch (self->nodes[index].edges[slot]) {
    case MODEL_HOLDS: return EDGE_TAKEN;
    case MODEL_HOLDS_NOT: return EDGE_DEAD;
    default: return EDGE_OPEN;
    }
}

static void hold_join(struct model *self, uint32_t index)
{
    const struct plan_node *plan = &self->workflow->nodes[index];
    struct model_node *node = &self->nodes[index];
    node->gate_sequence = self->sequence;
    node->context = self->context;
    if (plan->condition.reads != READS_NOTHING)
        node->gate = MODEL_GATE_IF;
    else if (plan->items.reads != READS_NOTHING)
        node->gate = MODEL_GATE_FOR;
    else
        model_begin_node(node);
}

static void judge(struct model *self, uint32_t index)
{
    const struct plan_node *plan = &self->workflow->nodes[index];
    uint32_t taken = 0, dead = 0;
    for (uint32_t i = 0; i < plan->sources_count; i++) {
        enum edge edge = edge_of(self, index, i);
        taken += edge == EDGE_TAKEN;
        dead += edge == EDGE_DEAD;
    }
    bool all = taken + dead == plan->sources_count;
    bool holds = plan->join == DAG_JOIN_ALL   ? all && dead == 0
                 : plan->join == DAG_JOIN_ANY ? taken > 0
                                              : all;
    bool never = plan->join == DAG_JOIN_ALL ? dead > 0 : all;
    if (holds || plan->sources_count == 0)
        hold_join(self, index);
    else if (never)
        model_end_node(self, index, MODEL_SKIPPED);
}

/* Sources stand before their targets in every workflow of a plan, so one walk is enough. */
void model_settle(struct model *self)
{
    for (uint32_t i = 0; i < self->workflow->nodes_count; i++) {
        const struct model_node *node = &self->nodes[i];
        if (node->status != MODEL_PENDING || node->gate != MODEL_GATE_NONE)
            continue;
        if (self->workflow->nodes[i].disabled || self->workflow->nodes[i].gone)
            model_end_node(self, i, MODEL_SKIPPED);
        else
            judge(self, i);
    }
}

/* --- items ------------------------------------------------------------------------------------ */

static void begin_items(struct model *self, uint32_t index)
{
    uint32_t most = self->workflow->nodes[self->nodes[index].root].items_parallel;
    uint32_t active = 0, open = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        struct model_node *item = &self->nodes[i];
        bool of_it = item->parent == NO_TASK && item->owner == index;
        if (!of_it || model_node_ended(item))
            continue;
        open++;
        active += item->status != MODEL_PENDING;
    }
    for (uint32_t i = 0; i < self->count && (most == 0 || active < most); i++) {
        struct model_node *item = &self->nodes[i];
        if (item->parent != NO_TASK || item->owner != index || item->status != MODEL_PENDING)
            continue;
        item->context = self->context;
        model_begin_node(item);
        active++;
    }
    if (open == 0)
        self->nodes[index].gate = MODEL_GATE_GATHER;
}

static void add_items(struct model *self, uint32_t index, uint32_t count)
{
    char path[PATH_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(path, sizeof path, "%s[%u]", self->workflow->nodes[index].id, i);
        struct model_node *item = model_add(self, path, self->workflow->nodes[index].agent);
        item->owner = item->root = index;
        item->item = i;
        item->is_item = true;
    }
}

bool model_item_number(const struct model *self, const struct model_node *item, int64_t *ret_number)
{
    enum plan_reads reads = self->workflow->nodes[item->root].items.reads;
    *ret_number = (reads == READS_LIST ? self->nodes[item->root].list_k : 7) + item->item;
    return reads == READS_LIST || reads == READS_NUMBERS;
}

void model_items_again(struct model *self, uint32_t index)
{
    model_begin_node(&self->nodes[index]);
    self->nodes[index].gate_sequence = self->sequence;
    self->nodes[index].status = MODEL_WAITING;
    begin_items(self, index);
}

void model_item_ended(struct model *self, uint32_t index)
{
    uint32_t node = self->nodes[index].owner;
    bool failed = self->nodes[index].status == MODEL_FAILED;
    if (model_node_ended(&self->nodes[node]))
        return;
    if (failed && self->workflow->nodes[node].on_error != DAG_CONTINUE)
        model_end_node(self, node, MODEL_FAILED);
    else
        begin_items(self, node);
}

const char *model_gathered(struct model *self, uint32_t index, const struct event_step *step)
{
    struct model_node *node = &self->nodes[index];
    struct buf whole = {0};
    value_t *list = value_list();
    for (uint32_t i = 0; i < self->count; i++) {
        const struct model_node *item = &self->nodes[i];
        value_t *value = NULL;
        if (!item->is_item || item->owner != index)
            continue;
        CHECK(value_size(list) == item->item);
        if (item->status != MODEL_SUCCEEDED ||
            value_from_msgpack(buf_bytes(&item->output), &value, NULL))
            value = value_null();
        value_append(list, &value);
    }
    value_to_msgpack(list, &whole);
    value_destroy(&list);
    bool same = bytes_equal(buf_bytes(&whole), step->output.inline_bytes);
    buf_release(&whole);
    if (node->gate != MODEL_GATE_GATHER || step->kind != STEP_RESULT)
        return "a list of outputs before all items have ended";
    return same ? NULL : "a list that is not what its items gave, in order";
}

/* --- decided ---------------------------------------------------------------------------------- */

static const char *fail(struct model *self, uint32_t index)
{
    model_begin_node(&self->nodes[index]);
    model_end_node(self, index, MODEL_FAILED);
    return NULL;
}

static const char *decide_edge(struct model *self, uint32_t index,
                               const struct event_decided *decided)
{
    const struct plan_node *plan = &self->workflow->nodes[index];
    struct model_node *node = &self->nodes[index];
    uint32_t source = model_find(self, decided->source), slot = 0;
    while (slot < plan->sources_count && plan->sources[slot] != source)
        slot++;
    if (slot == plan->sources_count || node->gate != MODEL_GATE_NONE ||
        node->edges[slot] != MODEL_UNTOLD || edge_of(self, index, slot) != EDGE_OPEN ||
        !model_node_ended(&self->nodes[source]))
        return "the condition of an edge that did not ask for it";
    const struct plan_expression *what = &plan->edge_ifs[slot];
    if (plan_reads_node(what) && !model_node_ended(&self->nodes[what->node]))
        return "the condition of an edge before what it reads has ended";
    enum truth truth = tell(self, what, self->sequence);
    if ((truth == FAILS) != (decided->failure.code != NULL))
        return "the condition of an edge that fails, or not, against its rule";
    if (truth == FAILS)
        return fail(self, index);
    if ((truth == IS_TRUE) != decided->holds)
        return "the condition of an edge that came to what it can't";
    node->edges[slot] = decided->holds ? MODEL_HOLDS : MODEL_HOLDS_NOT;
    return NULL;
}

static const char *decide_if(struct model *self, uint32_t index,
                             const struct event_decided *decided)
{
    const struct plan_node *plan = &self->workflow->nodes[index];
    struct model_node *node = &self->nodes[index];
    if (node->gate != MODEL_GATE_IF)
        return "a condition that was not due";
    enum truth truth = tell(self, &plan->condition, node->gate_sequence);
    if ((truth == FAILS) != (decided->failure.code != NULL))
        return "a condition that fails, or not, against its rule";
    if (truth == FAILS)
        return fail(self, index);
    if ((truth == IS_TRUE) != decided->holds)
        return "a condition that came to what it can't";
    if (!decided->holds)
        model_end_node(self, index, MODEL_SKIPPED);
    else if (plan->items.reads != READS_NOTHING)
        node->gate = MODEL_GATE_FOR;
    else
        model_begin_node(node);
    return NULL;
}

static const char *decide_for(struct model *self, uint32_t index,
                              const struct event_decided *decided)
{
    const struct plan_expression *what = &self->workflow->nodes[index].items;
    struct model_node *node = &self->nodes[index];
    struct buf list = {0};
    if (node->gate != MODEL_GATE_FOR)
        return "a list that was not due";
    bool is_list = pack_list(self, what, node->gate_sequence, &list);
    bool same = bytes_equal(buf_bytes(&list), decided->items.inline_bytes);
    buf_release(&list);
    if (is_list != (decided->failure.code == NULL))
        return "a list that fails, or not, against its rule";
    if (!is_list)
        return fail(self, index);
    if (!same)
        return "another list than its rule gives";
    model_begin_node(node);
    node->list_k = self->k;
    if (decided->items_count == 0) {
        buf_append_bytes(&node->output, decided->items.inline_bytes);
        model_end_node(self, index, MODEL_SUCCEEDED);
        return NULL;
    }
    node->status = MODEL_WAITING;
    add_items(self, index, decided->items_count);
    begin_items(self, index);
    return NULL;
}

const char *model_decided(struct model *self, const struct event_decided *decided,
                          int *ret_invariant)
{
    uint32_t index = model_find(self, decided->path);
    *ret_invariant = 3;
    if (index == NO_TASK || index >= self->workflow->nodes_count ||
        self->nodes[index].status != MODEL_PENDING)
        return "what an expression of a node came to that has begun";
    switch (decided->what) {
    case DECIDED_EDGE: return decide_edge(self, index, decided);
    case DECIDED_IF: return decide_if(self, index, decided);
    case DECIDED_FOR: return decide_for(self, index, decided);
    }
    return "what an unknown expression came to";
}
