#include "engine/dag.h"
#include "base/limits.h"
#include "base/map.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NONE         UINT32_MAX
#define NODES_PREFIX "nodes."
#define PREFIX_SIZE  (sizeof(NODES_PREFIX) - 1)
#define CYCLE_SHOWN  6u

struct dag {
    size_t references;
    struct arena arena; /* strings and arrays */
    char *name;
    struct dag_node *nodes;
    cel_template_t **templates; /* owned, two for each node, which only point to them */
    uint32_t count;
    map_t *by_id; /* id -> index + 1 */
    const char **agents;
    size_t agents_count;
    const char **workflows;
    size_t workflows_count;
    cel_t *output;
    cel_t **programs; /* conditions and lists, owned */
    size_t programs_count;
    int64_t time_us;
    uint32_t parallel;
    bool finish;
    uint32_t priority;
    uint64_t tokens, cost_microusd;
    uint32_t depth;
};

/* What dag_new needs only while it works. */
struct builder {
    dag_t *dag;
    const struct dag_spec *spec;
    struct err *err;
    uint32_t (*edges)[2];   /* from, to; each pair once, those of one target together */
    const cel_t **edge_ifs; /* for each edge, or NULL */
    size_t edges_count, edges_capacity;
    uint32_t *mark; /* by source: the last target (+ 1) that has an edge from it */
    map_t *agents;  /* name -> index + 1 */
    map_t *workflows;
};

static void *number_as_pointer(size_t number)
{
    return (void *)(uintptr_t)(number + 1);
}

uint32_t dag_find(const dag_t *self, const char *id, size_t id_size)
{
    uintptr_t found = (uintptr_t)map_get(self->by_id, id, id_size);
    return found ? (uint32_t)(found - 1) : NONE;
}

uint32_t dag_find_variable(const dag_t *self, const char *variable, bool *ret_facts)
{
    bool facts = strncmp(variable, NODES_PREFIX, PREFIX_SIZE) == 0;
    const char *id = facts ? variable + PREFIX_SIZE : variable;
    if (ret_facts)
        *ret_facts = facts;
    return dag_find(self, id, strlen(id));
}

/* The place of a name in a list of distinct ones, to which it is added where it is new. */
static uint32_t add_name(struct builder *self, map_t *known, const char **names, size_t *count,
                         const char *name)
{
    uintptr_t found = (uintptr_t)map_get(known, name, strlen(name));
    if (found)
        return (uint32_t)(found - 1);
    names[*count] = arena_strdup(&self->dag->arena, name);
    (void)map_put(known, name, strlen(name), number_as_pointer(*count));
    return (uint32_t)(*count)++;
}

static uint32_t add_agent(struct builder *self, const char *name)
{
    return add_name(self, self->agents, self->dag->agents, &self->dag->agents_count, name);
}

static int check_policy(const struct dag_node_spec *spec, struct err *err)
{
    const struct dag_retry *retry = &spec->retry;
    if (retry->attempts < 1 || retry->attempts > LIMIT_ATTEMPTS) {
        (void)err_set(err, ERR_INVALID, "attempts must be from 1 to %d", LIMIT_ATTEMPTS);
        err_where(err, "nodes.%s.retry.attempts", spec->id);
        return ERR_INVALID;
    }
    if (!isfinite(retry->factor) || retry->factor < 1 || retry->backoff_us < 0 ||
        retry->max_us < 0 || retry->backoff_us > LIMIT_TIME_MAX_US) {
        (void)err_set(err, ERR_INVALID, "pauses must not be negative, the factor at least 1");
        err_where(err, "nodes.%s.retry", spec->id);
        return ERR_INVALID;
    }
    if (spec->timeout_us < 0 || spec->timeout_us > LIMIT_TIME_MAX_US) {
        (void)err_set(err, ERR_INVALID, "the timeout is out of range");
        err_where(err, "nodes.%s.timeout", spec->id);
        return ERR_INVALID;
    }
    if (spec->on_error == DAG_FALLBACK && (!spec->fallback || !*spec->fallback)) {
        (void)err_set(err, ERR_INVALID, "a fallback names no agent");
        err_where(err, "nodes.%s.on_error", spec->id);
        return ERR_INVALID;
    }
    return 0;
}

/* Of nodes without an agent. */
static int check_own(const struct dag_node_spec *spec, struct err *err)
{
    if (spec->kind == DAG_WAIT && (spec->wait_us < 1 || spec->wait_us > LIMIT_TIME_MAX_US))
        (void)err_set(err, ERR_INVALID, "the time to wait is out of range");
    else if (spec->kind == DAG_SIGNAL &&
             (!spec->signal || !*spec->signal || strlen(spec->signal) > LIMIT_NAME_BYTES))
        (void)err_set(err, ERR_INVALID,
                      "the signal to wait for has no name, or one longer than %d "
                      "bytes",
                      LIMIT_NAME_BYTES);
    else if (spec->kind != DAG_AGENT && spec->on_error == DAG_FALLBACK)
        (void)err_set(err, ERR_INVALID, "no agent can stand in for a node that has none");
    else
        return 0;
    err_where(err, "nodes.%s.%s", spec->id, spec->on_error == DAG_FALLBACK ? "on_error" : "wait");
    return ERR_INVALID;
}

static int check_node(const struct dag_node_spec *spec, size_t index, struct err *err)
{
    if (!spec->id || !*spec->id || strlen(spec->id) > LIMIT_NAME_BYTES) {
        (void)err_set(err, ERR_INVALID, "node %zu has no id, or one longer than %d bytes",
                      index + 1, LIMIT_NAME_BYTES);
        err_where(err, "nodes");
        return ERR_INVALID;
    }
    if (spec->kind == DAG_AGENT && (!spec->agent || !*spec->agent)) {
        (void)err_set(err, ERR_INVALID, "node \"%s\" names no agent", spec->id);
        err_where(err, "nodes.%s.agent", spec->id);
        return ERR_INVALID;
    }
    if (spec->kind == DAG_WORKFLOW && (!spec->workflow || !*spec->workflow)) {
        (void)err_set(err, ERR_INVALID, "node \"%s\" names no workflow", spec->id);
        err_where(err, "nodes.%s.workflow", spec->id);
        return ERR_INVALID;
    }
    int r = check_own(spec, err);
    return r ? r : check_policy(spec, err);
}

static int add_node(struct builder *self, uint32_t index)
{
    dag_t *dag = self->dag;
    const struct dag_node_spec *spec = &self->spec->nodes[index];
    int r = check_node(spec, index, self->err);
    if (r)
        return r;
    struct dag_node *node = &dag->nodes[index];
    *node = (struct dag_node){
        .id = arena_strdup(&dag->arena, spec->id),
        .kind = spec->kind,
        .agent_index = NONE,
        .join = spec->join,
        .retry = spec->retry,
        .timeout_us = spec->timeout_us,
        .wait_us = spec->wait_us,
        .signal = spec->signal ? arena_strdup(&dag->arena, spec->signal) : NULL,
        .on_expiry = spec->on_expiry ? value_ref(spec->on_expiry) : NULL,
        .on_error = spec->on_error,
        .fallback_index = NONE,
        .workflow_index = NONE,
        .disabled = spec->disabled,
        .allow_again = spec->allow_again,
        .items_parallel = spec->items_parallel,
    };
    if (spec->kind == DAG_AGENT) {
        node->agent_index = add_agent(self, spec->agent);
        node->agent = dag->agents[node->agent_index];
    }
    if (spec->kind == DAG_WORKFLOW) {
        node->workflow_index =
            add_name(self, self->workflows, dag->workflows, &dag->workflows_count, spec->workflow);
        node->workflow = dag->workflows[node->workflow_index];
    }
    if (spec->on_error == DAG_FALLBACK) {
        node->fallback_index = add_agent(self, spec->fallback);
        node->fallback = dag->agents[node->fallback_index];
    }
    dag->count++;
    if (map_put(dag->by_id, spec->id, strlen(spec->id), number_as_pointer(index))) {
        (void)err_set(self->err, ERR_INVALID, "two nodes are called \"%s\"", spec->id);
        err_where(self->err, "nodes.%s", spec->id);
        return ERR_INVALID;
    }
    return 0;
}

static int add_edge(struct builder *self, uint32_t from, uint32_t to, const cel_t *condition)
{
    if (self->mark[from] == to + 1) {
        if (!condition)
            return 0;
        return err_set(self->err, ERR_INVALID, "node \"%s\" stands there twice",
                       self->dag->nodes[from].id);
    }
    self->mark[from] = to + 1;
    if (self->edges_count == LIMIT_EDGES)
        return err_set(self->err, ERR_INVALID, "the workflow has more than %d edges", LIMIT_EDGES);
    if (self->edges_count == self->edges_capacity) {
        self->edges_capacity = self->edges_capacity ? 2 * self->edges_capacity : 64;
        self->edges = xrealloc(self->edges, self->edges_capacity * sizeof(*self->edges));
        self->edge_ifs = xrealloc((void *)self->edge_ifs, self->edges_capacity * sizeof(cel_t *));
    }
    self->edge_ifs[self->edges_count] = condition;
    self->edges[self->edges_count][0] = from;
    self->edges[self->edges_count][1] = to;
    self->edges_count++;
    return 0;
}

/* Which node a variable of an expression reads: *ret_node stays NONE for input and execution, and
 * for the item and its index of a node that has items. */
static int find_variable(const dag_t *dag, const char *name, bool has_items, uint32_t *ret_node,
                         struct err *err)
{
    *ret_node = NONE;
    if (strcmp(name, "input") == 0 || strcmp(name, "context") == 0 ||
        strcmp(name, "execution") == 0)
        return 0;
    if (has_items && (strcmp(name, "item") == 0 || strcmp(name, "index") == 0))
        return 0;
    *ret_node = dag_find_variable(dag, name, NULL);
    if (*ret_node != NONE)
        return 0;
    int r =
        err_set(err, ERR_INVALID, "\"%s\" is neither a node of this workflow nor a variable", name);
    err_fix(err, "use input, context, execution.id or the id of a node");
    return r;
}

/* Puts the place inside a template, as it told it, behind that of the template. */
static void where_in_template(struct err *err, const char *id, const char *key)
{
    if (!err)
        return;
    const struct err inner = *err;
    const char *dot = *inner.where && *inner.where != '[' ? "." : "";
    err_where(err, "nodes.%s.%s%s%s", id, key, dot, inner.where);
}

/* What a node's own text reads is upstream of it by that. own: of its own output, which makes no
 * edge. */
static int add_variable(struct builder *self, uint32_t index, const char *name, bool items,
                        bool own)
{
    uint32_t source;
    int r = find_variable(self->dag, name, items, &source, self->err);
    if (!r && strcmp(name, "context") == 0)
        self->dag->nodes[index].reads_context = true;
    if (r || source == NONE || (own && source == index))
        return r;
    return add_edge(self, source, index, NULL);
}

static int add_template(struct builder *self, uint32_t index, const value_t *text, const char *key,
                        cel_template_t **ret_template)
{
    const struct dag_node_spec *spec = &self->spec->nodes[index];
    if (!text)
        return 0;
    int r = cel_template_compile(text, ret_template, self->err);
    if (r) {
        where_in_template(self->err, spec->id, key);
        return ERR_INVALID;
    }
    size_t variables = cel_template_variables(*ret_template);
    bool own = text == spec->set && spec->kind != DAG_SET;
    for (size_t i = 0; !r && i < variables; i++)
        r = add_variable(self, index, cel_template_variable(*ret_template, i), spec->items != NULL,
                         own);
    if (r)
        err_where(self->err, "nodes.%s.%s", spec->id, key);
    return r;
}

static int add_templates(struct builder *self, uint32_t index)
{
    const struct dag_node_spec *spec = &self->spec->nodes[index];
    dag_t *dag = self->dag;
    cel_template_t **own = &dag->templates[2 * index];
    int r = add_template(self, index, spec->message, "message", &own[0]);
    if (!r)
        r = add_template(self, index, spec->set, "set", &own[1]);
    dag->nodes[index].message = own[0];
    dag->nodes[index].set = own[1];
    return r;
}

static int compile_program(struct builder *self, const char *text, const cel_t **ret_program)
{
    dag_t *dag = self->dag;
    cel_t *program = NULL;
    int r = cel_compile(text, strlen(text), &program, self->err);
    if (r)
        return ERR_INVALID;
    if ((dag->programs_count & (dag->programs_count - 1)) == 0)
        dag->programs =
            xrealloc((void *)dag->programs,
                     (dag->programs_count ? 2 * dag->programs_count : 1) * sizeof(cel_t *));
    dag->programs[dag->programs_count++] = program;
    *ret_program = program;
    return 0;
}

static int add_references(struct builder *self, uint32_t index, const cel_t *program, bool items)
{
    int r = 0;
    for (size_t i = 0; !r && i < cel_variables(program); i++)
        r = add_variable(self, index, cel_variable(program, i), items, false);
    return r;
}

static int add_program(struct builder *self, uint32_t index, const char *text, const char *key,
                       bool items, const cel_t **ret_program)
{
    if (!text)
        return 0;
    int r = compile_program(self, text, ret_program);
    if (!r)
        r = add_references(self, index, *ret_program, items);
    if (r)
        err_where(self->err, "nodes.%s.%s", self->spec->nodes[index].id, key);
    return r;
}

static int add_order(struct builder *self, uint32_t index)
{
    const struct dag_node_spec *spec = &self->spec->nodes[index];
    for (size_t i = 0; i < spec->after_count; i++) {
        uint32_t source = dag_find(self->dag, spec->after[i], strlen(spec->after[i]));
        const char *text = spec->after_ifs ? spec->after_ifs[i] : NULL;
        const cel_t *condition = NULL;
        int r = 0;
        if (source == NONE)
            r = err_set(self->err, ERR_INVALID,
                        "node \"%s\" comes after \"%s\", which does not exist", spec->id,
                        spec->after[i]);
        else if (text)
            r = compile_program(self, text, &condition);
        if (!r)
            r = add_edge(self, source, index, condition);
        if (r) {
            err_where(self->err, "nodes.%s.after[%zu]", spec->id, i);
            return r;
        }
    }
    return 0;
}

/* After the edges themselves, since what an edge's condition reads may be one of them. */
static int add_conditions(struct builder *self, uint32_t index, size_t first_edge)
{
    const struct dag_node_spec *spec = &self->spec->nodes[index];
    size_t last_edge = self->edges_count;
    int r = 0;
    for (size_t i = first_edge; !r && i < last_edge; i++)
        if (self->edge_ifs[i])
            r = add_references(self, index, self->edge_ifs[i], false);
    if (r) {
        err_where(self->err, "nodes.%s.after", spec->id);
        return r;
    }
    struct dag_node *node = &self->dag->nodes[index];
    r = add_program(self, index, spec->condition, "if", false, &node->condition);
    if (!r)
        r = add_program(self, index, spec->items, "for", false, &node->items);
    return r ? r : add_program(self, index, spec->show, "show", spec->items != NULL, &node->show);
}

static int add_output(struct builder *self)
{
    dag_t *dag = self->dag;
    const char *text = self->spec->output;
    if (!text)
        return 0;
    int r = cel_compile(text, strlen(text), &dag->output, self->err);
    for (size_t i = 0; !r && i < cel_variables(dag->output); i++) {
        uint32_t node;
        r = find_variable(dag, cel_variable(dag->output, i), false, &node, self->err);
    }
    if (r) {
        err_where(self->err, "output");
        return ERR_INVALID;
    }
    return 0;
}

/* Gives each node its sources and targets as slices of two shared arrays. Edges stand ordered by
 * target, so sources need no sorting; targets come out in the order of the definition. */
static void link_nodes(struct builder *self)
{
    dag_t *dag = self->dag;
    uint32_t *sources = arena_alloc(&dag->arena, (self->edges_count + 1) * sizeof *sources);
    uint32_t *targets = arena_alloc(&dag->arena, (self->edges_count + 1) * sizeof *targets);
    uint32_t *slots = arena_alloc(&dag->arena, (self->edges_count + 1) * sizeof *slots);
    const cel_t **ifs = arena_alloc(&dag->arena, (self->edges_count + 1) * sizeof(cel_t *));
    for (size_t i = 0; i < self->edges_count; i++) {
        struct dag_node *target = &dag->nodes[self->edges[i][1]];
        sources[i] = self->edges[i][0];
        ifs[i] = self->edge_ifs[i];
        if (target->sources_count++ == 0)
            target->sources = &sources[i];
        if (ifs[i])
            target->source_ifs = &ifs[target->sources - sources];
        dag->nodes[self->edges[i][0]].targets_count++;
    }
    uint32_t *at = targets;
    for (uint32_t i = 0; i < dag->count; i++) {
        dag->nodes[i].targets = at;
        dag->nodes[i].target_slots = slots + (at - targets);
        at += dag->nodes[i].targets_count;
        dag->nodes[i].targets_count = 0;
    }
    for (size_t i = 0; i < self->edges_count; i++) {
        struct dag_node *source = &dag->nodes[self->edges[i][0]];
        const struct dag_node *target = &dag->nodes[self->edges[i][1]];
        size_t place = (size_t)(source->targets - targets) + source->targets_count++;
        targets[place] = self->edges[i][1];
        slots[place] = (uint32_t)(i - (size_t)(target->sources - sources));
    }
}

static int refuse_cycle(struct builder *self)
{
    uint32_t *cycle = NULL;
    const dag_t *dag = self->dag;
    size_t size =
        dag_cycle(dag->count, (const uint32_t(*)[2])self->edges, self->edges_count, &cycle);
    if (size == 0)
        return 0;
    struct buf path = {0};
    for (size_t i = 0; i < size && i < CYCLE_SHOWN; i++)
        buf_printf(&path, "%.40s -> ", dag->nodes[cycle[i]].id);
    if (size > CYCLE_SHOWN)
        buf_printf(&path, "(%zu more) -> ", size - CYCLE_SHOWN);
    buf_printf(&path, "%.40s", dag->nodes[cycle[0]].id);
    int r = err_set(self->err, ERR_INVALID, "the nodes form a cycle: %s", buf_string(&path));
    err_where(self->err, "nodes.%s", dag->nodes[cycle[0]].id);
    err_fix(self->err, "remove one of these references");
    buf_release(&path);
    free(cycle);
    return r;
}

static int build(struct builder *self)
{
    int r = 0;
    uint32_t count = (uint32_t)self->spec->nodes_count;
    for (uint32_t i = 0; !r && i < count; i++)
        r = add_node(self, i);
    for (uint32_t i = 0; !r && i < count; i++) {
        size_t first_edge = self->edges_count;
        r = add_order(self, i);
        if (!r)
            r = add_conditions(self, i, first_edge);
        if (!r)
            r = add_templates(self, i);
    }
    if (!r)
        r = add_output(self);
    if (!r)
        r = refuse_cycle(self);
    if (!r)
        link_nodes(self);
    return r;
}

static int check_spec(const struct dag_spec *spec, struct err *err)
{
    if (spec->nodes_count < 1 || spec->nodes_count > LIMIT_NODES) {
        (void)err_set(err, ERR_INVALID, "a workflow has from 1 to %d nodes", LIMIT_NODES);
        err_where(err, "nodes");
        return ERR_INVALID;
    }
    if (spec->time_us < 0 || spec->time_us > LIMIT_TIME_MAX_US) {
        (void)err_set(err, ERR_INVALID, "the limit of time is out of range");
        err_where(err, "limits.time");
        return ERR_INVALID;
    }
    if (spec->priority > 9) {
        (void)err_set(err, ERR_INVALID, "the priority must be from 0 to 9");
        err_where(err, "priority");
        return ERR_INVALID;
    }
    return 0;
}

static dag_t *dag_alloc(const struct dag_spec *spec)
{
    dag_t *dag = xcalloc(1, sizeof *dag);
    dag->references = 1;
    dag->name = xstrdup(spec->name ? spec->name : "");
    dag->nodes = xcalloc(spec->nodes_count, sizeof *dag->nodes);
    dag->templates = xcalloc(2 * spec->nodes_count, sizeof *dag->templates);
    dag->agents = xcalloc(2 * spec->nodes_count, sizeof *dag->agents);
    dag->workflows = xcalloc(spec->nodes_count, sizeof *dag->workflows);
    dag->by_id = map_new();
    dag->time_us = spec->time_us;
    dag->parallel = spec->parallel;
    dag->finish = spec->finish;
    dag->priority = spec->priority;
    dag->tokens = spec->tokens;
    dag->cost_microusd = spec->cost_microusd;
    dag->depth = spec->depth > 0 ? spec->depth : LIMIT_DEPTH;
    return dag;
}

int dag_new(const struct dag_spec *spec, dag_t **ret_dag, struct err *err)
{
    int r = check_spec(spec, err);
    if (r)
        return r;
    struct builder builder = {
        .dag = dag_alloc(spec),
        .spec = spec,
        .err = err,
        .mark = xcalloc(spec->nodes_count, sizeof(uint32_t)),
        .agents = map_new(),
        .workflows = map_new(),
    };
    r = build(&builder);
    free(builder.edges);
    free((void *)builder.edge_ifs);
    free(builder.mark);
    map_destroy(&builder.agents);
    map_destroy(&builder.workflows);
    if (r) {
        dag_destroy(&builder.dag);
        return r;
    }
    *ret_dag = builder.dag;
    return 0;
}

int dag_new_for_agent(const char *agent, dag_t **ret_dag, struct err *err)
{
    value_t *message = value_string("{{input}}");
    const struct dag_node_spec node = {
        .id = "ask",
        .agent = agent,
        .message = message,
        .retry = {.attempts = 1, .factor = 1},
    };
    const struct dag_spec spec = {
        .name = agent, .nodes = &node, .nodes_count = 1, .output = "ask", .priority = 5};
    int r = dag_new(&spec, ret_dag, err);
    value_destroy(&message);
    return r;
}

dag_t *dag_ref(dag_t *self)
{
    self->references++;
    return self;
}

void dag_destroy(dag_t **self_p)
{
    dag_t *self = *self_p;
    *self_p = NULL;
    if (!self || --self->references > 0)
        return;
    for (size_t i = 0; i < 2 * (size_t)self->count; i++)
        if (self->templates[i])
            cel_template_destroy(&self->templates[i]);
    for (uint32_t i = 0; i < self->count; i++)
        value_destroy(&self->nodes[i].on_expiry);
    if (self->output)
        cel_destroy(&self->output);
    for (size_t i = 0; i < self->programs_count; i++)
        cel_destroy(&self->programs[i]);
    free((void *)self->programs);
    map_destroy(&self->by_id);
    arena_release(&self->arena);
    free(self->templates);
    free(self->nodes);
    free(self->agents);
    free((void *)self->workflows);
    free(self->name);
    free(self);
}

const char *dag_name(const dag_t *self)
{
    return self->name;
}

uint32_t dag_nodes(const dag_t *self)
{
    return self->count;
}

const struct dag_node *dag_node(const dag_t *self, uint32_t index)
{
    CHECK(index < self->count);
    return &self->nodes[index];
}

const cel_t *dag_output(const dag_t *self)
{
    return self->output;
}

int64_t dag_time_us(const dag_t *self)
{
    return self->time_us;
}

uint32_t dag_parallel(const dag_t *self)
{
    return self->parallel;
}

bool dag_finish(const dag_t *self)
{
    return self->finish;
}

uint32_t dag_priority(const dag_t *self)
{
    return self->priority;
}

uint64_t dag_tokens(const dag_t *self)
{
    return self->tokens;
}

uint64_t dag_cost_microusd(const dag_t *self)
{
    return self->cost_microusd;
}

uint32_t dag_depth(const dag_t *self)
{
    return self->depth;
}

size_t dag_agents(const dag_t *self)
{
    return self->agents_count;
}

const char *dag_agent(const dag_t *self, size_t index)
{
    CHECK(index < self->agents_count);
    return self->agents[index];
}

size_t dag_workflows(const dag_t *self)
{
    return self->workflows_count;
}

const char *dag_workflow(const dag_t *self, size_t index)
{
    CHECK(index < self->workflows_count);
    return self->workflows[index];
}
