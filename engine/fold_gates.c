#include "base/limits.h"
#include "engine/state.h"
#include <stdlib.h>
#include <string.h>

/* The fold of what stands between the ends of sources and a task that may run: joins, conditions of
 * edges and nodes, and lists whose items are tasks. Expressions are not evaluated here: the fold
 * asks, and goes on with the `decided` event that holds the answer. */

static const uint8_t packed_empty[1] = {0x90};

static void ask(engine_t *self, struct question question)
{
    if (self->questions_count == self->questions_capacity) {
        self->questions_capacity = self->questions_capacity ? 2 * self->questions_capacity : 64;
        self->questions =
            xrealloc(self->questions, self->questions_capacity * sizeof *self->questions);
    }
    self->questions[self->questions_count++] = question;
}

void fold_ask(engine_t *self, const struct exec *exec, uint32_t node)
{
    ask(self, (struct question){exec->id, node, ASK_GATE});
}

void fold_ask_begin(engine_t *self, const struct exec *exec, uint32_t index)
{
    ask(self, (struct question){exec->id, index, ASK_BEGIN});
}

/* --- joins ------------------------------------------------------------------------------------ */

void fold_join_holds(engine_t *self, struct exec *exec, uint32_t node)
{
    const struct dag_node *what = dag_node(exec->dag, node);
    struct task *task = &exec->tasks[node];
    if (!what->condition && !what->items) {
        fold_make_ready(self, exec, node);
        return;
    }
    task->gate = what->condition ? GATE_IF : GATE_FOR;
    task->ready_sequence = exec->sequence;
    fold_see_context(exec, node);
    fold_ask(self, exec, node);
}

static bool edge_is_untaken(const struct exec *exec, uint32_t node, uint32_t source)
{
    const struct dag_node *what = dag_node(exec->dag, node);
    const struct task *task = &exec->tasks[node];
    for (uint32_t i = 0; task->edges && i < what->sources_count; i++)
        if (what->sources[i] == source)
            return task->edges[i] == EDGE_DEAD;
    return false;
}

void fold_judge(engine_t *self, struct exec *exec, uint32_t node, uint32_t source)
{
    const struct dag_node *what = dag_node(exec->dag, node);
    const struct task *task = &exec->tasks[node];
    if (task->status != TASK_PENDING || task->gate != GATE_NONE)
        return;
    bool all_ended = task->taken + task->dead == what->sources_count;
    switch (what->join) {
    case DAG_JOIN_ALL:
        if (task->dead > 0)
            fold_end_task(self, exec, node, TASK_SKIPPED,
                          edge_is_untaken(exec, node, source) ? REASON_EDGE : REASON_SOURCE,
                          source);
        else if (all_ended)
            fold_join_holds(self, exec, node);
        return;
    case DAG_JOIN_ANY:
        if (task->taken > 0)
            fold_join_holds(self, exec, node);
        else if (all_ended)
            fold_end_task(self, exec, node, TASK_SKIPPED, REASON_NO_SOURCE, source);
        return;
    case DAG_JOIN_DONE:
        if (all_ended)
            fold_join_holds(self, exec, node);
        return;
    }
}

static void set_edge(struct exec *exec, uint32_t node, uint32_t slot, enum edge_state state)
{
    struct task *task = &exec->tasks[node];
    if (!task->edges)
        task->edges = xcalloc(dag_node(exec->dag, node)->sources_count, 1);
    task->asked += state == EDGE_ASKED;
    task->asked -= task->edges[slot] == EDGE_ASKED;
    task->edges[slot] = (uint8_t)state;
}

/* What is asked may read nodes that have yet to end: it is asked again with each end, but only once
 * until it is answered. */
void fold_ask_edges(engine_t *self, struct exec *exec, uint32_t node)
{
    struct task *task = &exec->tasks[node];
    if (task->asked == 0 || task->asking || task->status != TASK_PENDING || task->gate != GATE_NONE)
        return;
    task->asking = true;
    ask(self, (struct question){exec->id, node, ASK_EDGES});
}

void fold_source_ended(engine_t *self, struct exec *exec, uint32_t node, uint32_t slot, bool taken)
{
    const struct dag_node *what = dag_node(exec->dag, node);
    struct task *task = &exec->tasks[node];
    bool asks = taken && what->source_ifs && what->source_ifs[slot];
    if (asks && task->status == TASK_PENDING)
        set_edge(exec, node, slot, EDGE_ASKED);
    else if (taken)
        task->taken++;
    else
        task->dead++;
    fold_ask_edges(self, exec, node);
    fold_judge(self, exec, node, what->sources[slot]);
}

/* --- items ------------------------------------------------------------------------------------ */

/* Children come after their parents, and move nobody but in memory. */
uint32_t fold_add_task(struct exec *exec)
{
    if (exec->count == exec->capacity) {
        exec->capacity = exec->capacity < 8 ? 16 : 2 * exec->capacity;
        exec->tasks = xrealloc(exec->tasks, exec->capacity * sizeof *exec->tasks);
    }
    exec->tasks[exec->count] = (struct task){0};
    exec->open++;
    return exec->count++;
}

void fold_add_child(struct exec *exec, uint32_t parent, uint32_t child)
{
    struct talk *talk = talk_of(&exec->tasks[parent]);
    if (talk->children_count == talk->children_capacity) {
        talk->children_capacity = talk->children_capacity ? 2 * talk->children_capacity : 4;
        talk->children = xrealloc(talk->children, talk->children_capacity * sizeof(uint32_t));
    }
    talk->children[talk->children_count++] = child;
}

#define INDEX_BYTES 13 /* "[", ten digits, "]", NUL */

/* "score[17]" */
static void put_index(char *path, const char *id, uint32_t index)
{
    char digits[INDEX_BYTES];
    size_t count = 0, size = strlen(id);
    do
        digits[count++] = (char)('0' + index % 10);
    while ((index /= 10) > 0);
    memcpy(path, id, size);
    path[size++] = '[';
    while (count > 0)
        path[size++] = digits[--count];
    path[size++] = ']';
    path[size] = '\0';
}

static struct origin *item_origin(const struct exec *exec, uint32_t node, uint32_t index)
{
    const char *id = dag_node(exec->dag, node)->id;
    struct origin *self = xmalloc(sizeof *self + strlen(id) + INDEX_BYTES);
    char *path = (char *)(self + 1);
    put_index(path, id, index);
    *self = (struct origin){
        .parent = node, .number = index, .is_item = true, .root = node, .path = path};
    return self;
}

void fold_begin_items(engine_t *self, struct exec *exec, uint32_t node)
{
    uint32_t most = dag_node(exec->dag, node)->items_parallel;
    const struct talk *talk = exec->tasks[node].talk;
    struct group *group = exec->tasks[node].group;
    while (group->begun < talk->children_count && (most == 0 || group->running < most)) {
        uint32_t item = talk->children[group->begun++];
        if (task_ended(&exec->tasks[item]))
            continue;
        group->running++;
        fold_make_ready(self, exec, item);
    }
    if (group->open > 0)
        return;
    exec->tasks[node].gate = GATE_GATHER;
    fold_ask(self, exec, node);
}

static void begin_group(engine_t *self, struct exec *exec, uint32_t node,
                        const struct event_decided *decided)
{
    struct task *task = &exec->tasks[node];
    const struct datum empty = datum_inline(bytes_of(packed_empty, sizeof packed_empty));
    fold_set_task(exec, node, TASK_READY);
    fold_set_task(exec, node, TASK_WAITING);
    task->first_attempt = ++task->attempt;
    task->queued_us = task->started_us = exec->time_us;
    task->group = xcalloc(1, sizeof *task->group);
    task->group->list = answer_new(&decided->items, "");
    if (decided->items_count == 0) {
        task->answer = answer_new(&empty, "");
        fold_end_task(self, exec, node, TASK_SUCCEEDED, REASON_NONE, NO_NODE);
        return;
    }
    for (uint32_t i = 0; i < decided->items_count; i++) {
        uint32_t item = fold_add_task(exec);
        exec->tasks[item].origin = item_origin(exec, node, i);
        fold_add_child(exec, node, item);
    }
    exec->tasks[node].group->open = decided->items_count;
    fold_begin_items(self, exec, node);
}

/* An item that fails for good fails its node, and with it the others. */
static void fail_group(engine_t *self, struct exec *exec, uint32_t node, uint32_t item)
{
    struct task *task = &exec->tasks[node];
    const struct blame *blame = exec->tasks[item].blame;
    free(task->blame);
    task->blame = blame_new(&blame->failure, blame->instance);
    fold_end_task(self, exec, node, TASK_FAILED, REASON_NONE, NO_NODE);
    fold_note_failed(exec, node);
}

void fold_item_ended(engine_t *self, struct exec *exec, uint32_t index)
{
    uint32_t node = exec->tasks[index].origin->parent;
    struct task *task = &exec->tasks[node];
    if (task_ended(task))
        return;
    task->group->open--;
    task->group->running--;
    if (exec->tasks[index].status == TASK_FAILED &&
        dag_node(exec->dag, node)->on_error != DAG_CONTINUE) {
        fail_group(self, exec, node, index);
        return;
    }
    fold_begin_items(self, exec, node);
}

/* --- decided ---------------------------------------------------------------------------------- */

static uint32_t slot_of(const struct exec *exec, uint32_t node, const char *source)
{
    const struct dag_node *what = dag_node(exec->dag, node);
    uint32_t index = source ? exec_find(exec, source) : NO_NODE;
    for (uint32_t i = 0; index != NO_NODE && i < what->sources_count; i++)
        if (what->sources[i] == index)
            return i;
    return NO_NODE;
}

int check_decided(const struct exec *exec, const struct event *event, struct err *err)
{
    const struct event_decided *decided = &event->decided;
    uint32_t node = exec_find(exec, decided->path);
    if (node == NO_NODE || node >= exec->nodes)
        return fold_refuse(err, event, "there is no such node");
    const struct task *task = &exec->tasks[node];
    if (task->status != TASK_PENDING)
        return fold_refuse(err, event, "its node has begun");
    if (decided->what == DECIDED_EDGE) {
        uint32_t slot = slot_of(exec, node, decided->source);
        bool asked = slot != NO_NODE && task->edges && task->edges[slot] == EDGE_ASKED;
        return asked && task->gate == GATE_NONE
                   ? 0
                   : fold_refuse(err, event, "that edge was not asked");
    }
    enum gate gate = decided->what == DECIDED_IF ? GATE_IF : GATE_FOR;
    if (task->gate != gate)
        return fold_refuse(err, event, "that was not asked");
    if (decided->items_count > LIMIT_MAP_ITEMS ||
        decided->items_count > LIMIT_EXECUTION_TASKS - exec->count)
        return fold_refuse(err, event, "there are too many items");
    return 0;
}

/* The expression would fail again: nothing is tried twice. */
static void fail_node(engine_t *self, struct exec *exec, uint32_t node,
                      const struct failure *failure)
{
    struct task *task = &exec->tasks[node];
    task->gate = GATE_NONE;
    task->first_attempt = ++task->attempt;
    task->blame = blame_new(failure, "");
    fold_end_task(self, exec, node, TASK_FAILED, REASON_NONE, NO_NODE);
    fold_note_failed(exec, node);
}

static void decide_edge(engine_t *self, struct exec *exec, uint32_t node,
                        const struct event_decided *decided)
{
    uint32_t slot = slot_of(exec, node, decided->source);
    struct task *task = &exec->tasks[node];
    set_edge(exec, node, slot, decided->holds ? EDGE_TAKEN : EDGE_DEAD);
    if (decided->holds)
        task->taken++;
    else
        task->dead++;
    fold_judge(self, exec, node, dag_node(exec->dag, node)->sources[slot]);
}

static void decide_if(engine_t *self, struct exec *exec, uint32_t node, bool holds)
{
    struct task *task = &exec->tasks[node];
    task->gate = GATE_NONE;
    if (!holds) {
        fold_end_task(self, exec, node, TASK_SKIPPED, REASON_IF, NO_NODE);
    } else if (dag_node(exec->dag, node)->items) {
        task->gate = GATE_FOR;
        fold_ask(self, exec, node);
    } else {
        uint64_t as_of = task->ready_sequence;
        value_t *context = task->context;
        task->context = NULL;
        fold_make_ready(self, exec, node);
        value_destroy(&task->context);
        task->context = context;
        task->ready_sequence = as_of; /* values are as of when the join held */
    }
}

void fold_decided(engine_t *self, struct exec *exec, const struct event_decided *decided)
{
    uint32_t node = exec_find(exec, decided->path);
    if (decided->failure.code) {
        fail_node(self, exec, node, &decided->failure);
    } else if (decided->what == DECIDED_EDGE) {
        decide_edge(self, exec, node, decided);
    } else if (decided->what == DECIDED_IF) {
        decide_if(self, exec, node, decided->holds);
    } else {
        exec->tasks[node].gate = GATE_NONE;
        begin_group(self, exec, node, decided);
    }
    fold_spread(self, exec);
}
