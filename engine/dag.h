/* A workflow version, compiled: an immutable graph of nodes with edges, shared by its executions
 * through a reference count (one thread). Pure. */
#ifndef AF_ENGINE_DAG_H
#define AF_ENGINE_DAG_H

#include "base/value.h"
#include "cel/cel.h"

typedef struct dag dag_t;

enum dag_join { DAG_JOIN_ALL, DAG_JOIN_ANY, DAG_JOIN_DONE };
/* Who does a node's tasks: an agent, or the coordinator itself. */
enum dag_kind {
    DAG_AGENT,
    DAG_APPROVE, /* a person decides; the message is what is asked */
    DAG_WAIT,    /* a time passes */
    DAG_SIGNAL,  /* a signal comes */
    DAG_SET,     /* nobody: it only writes the shared context */
    DAG_WORKFLOW, /* an execution of another workflow, whose input is the message */
};
enum dag_on_error { DAG_FAIL, DAG_CONTINUE, DAG_FALLBACK };

struct dag_retry {
    uint32_t attempts;   /* at least 1 */
    int64_t backoff_us;
    double factor;       /* at least 1 */
    int64_t max_us;      /* of one pause */
};

/* What a node is, as the validator made it. Strings are borrowed by dag_new, which copies. */
struct dag_node_spec {
    const char *id;
    enum dag_kind kind;
    const char *agent;           /* with DAG_AGENT alone */
    const char *workflow;        /* with DAG_WORKFLOW alone: its name */
    const value_t *message;      /* literal with templates; NULL: null */
    const value_t *set;          /* an object with templates: a merge patch of the shared context, made
                                  * when a task has succeeded, whose output it may read; NULL: none */
    const char *const *after;    /* ids, order alone; references make edges by themselves */
    const char *const *after_ifs; /* NULL, or for each of `after` an expression that the edge needs to
                                  * be taken, or NULL */
    size_t after_count;
    const char *condition;       /* `if`: an expression; false skips the node. NULL: none */
    const char *items;           /* `for`: an expression that gives a list; one task for each item.
                                  * NULL: one task */
    uint32_t items_parallel;     /* items at a time; 0: all */
    enum dag_join join;
    struct dag_retry retry;
    int64_t timeout_us;          /* 0: the agent's; of an approval or a signal: how long to wait for
                                  * it at most, 0: for ever */
    int64_t wait_us;             /* DAG_WAIT: how long */
    const char *signal;          /* DAG_SIGNAL: its name */
    const char *show;            /* DAG_APPROVE: an expression, shown with the message. NULL: none */
    const value_t *on_expiry;    /* DAG_APPROVE, DAG_SIGNAL: the output when nothing came in time.
                                  * NULL: it fails */
    enum dag_on_error on_error;
    const char *fallback;        /* agent, with DAG_FALLBACK */
    bool disabled;               /* skipped, with that reason */
    bool allow_again;            /* its agents may appear twice on a path of delegations */
};
struct dag_spec {
    const char *name;
    const struct dag_node_spec *nodes;
    size_t nodes_count;
    const char *output;          /* expression, or NULL: an object of what nothing depends on */
    int64_t time_us;             /* limits.time; 0: none */
    uint32_t parallel;           /* limits.parallel; 0: none */
    bool finish;                 /* when_failed: finish */
    uint32_t priority;           /* 0 to 9 */
    uint64_t tokens, cost_microusd; /* limits of models; 0: none */
    uint32_t depth;              /* of delegation; 0: LIMIT_DEPTH */
};

/* ERR_INVALID with err->where naming the node's field: unknown reference, cycle (err->what has the
 * path "a -> b -> a"), expression. Linear in nodes and edges. */
int dag_new(const struct dag_spec *spec, dag_t **ret_dag, struct err *err) MUST_CHECK;
/* The execution of one agent alone: one node "ask" whose message is {{input}}, whose output is the
 * execution's. */
int dag_new_for_agent(const char *agent, dag_t **ret_dag, struct err *err) MUST_CHECK;
dag_t *dag_ref(dag_t *self);
void dag_destroy(dag_t **self_p); /* drops one reference */

struct dag_node {
    const char *id;
    enum dag_kind kind;
    const char *agent;             /* NULL unless DAG_AGENT */
    const char *workflow;          /* NULL unless DAG_WORKFLOW */
    const cel_template_t *message; /* NULL: null */
    const cel_template_t *set;     /* NULL: none */
    bool reads_context;            /* some expression of its own does */
    enum dag_join join;
    struct dag_retry retry;
    int64_t timeout_us;
    int64_t wait_us;
    const char *signal;            /* NULL unless DAG_SIGNAL */
    const cel_t *show;             /* NULL: nothing */
    value_t *on_expiry;            /* NULL: it fails */
    enum dag_on_error on_error;
    const char *fallback;
    bool disabled;
    bool allow_again;
    const cel_t *condition;        /* NULL: none */
    const cel_t *items;            /* NULL: one task */
    uint32_t items_parallel;       /* 0: no limit */
    const uint32_t *sources;       /* indexes of nodes it depends on, each once */
    const cel_t *const *source_ifs; /* NULL, or for each source the edge's condition, or NULL */
    uint32_t sources_count;
    const uint32_t *targets;
    const uint32_t *target_slots;  /* which of the target's sources this node is */
    uint32_t targets_count;
    uint32_t agent_index;          /* of agent, for dag_agent(); UINT32_MAX without one */
    uint32_t fallback_index;       /* of fallback; UINT32_MAX without one */
    uint32_t workflow_index;       /* of workflow, for dag_workflow(); UINT32_MAX without one */
};

const char *dag_name(const dag_t *self);
uint32_t dag_nodes(const dag_t *self);
const struct dag_node *dag_node(const dag_t *self, uint32_t index);
/* Nodes keep the order of the definition. UINT32_MAX when there is none of that id. */
uint32_t dag_find(const dag_t *self, const char *id, size_t id_size);
/* The node that a variable of an expression reads, its output ("a") or what else is known of it
 * ("nodes.a": *ret_facts, which may be NULL); UINT32_MAX: it reads none. */
uint32_t dag_find_variable(const dag_t *self, const char *variable, bool *ret_facts);
const cel_t *dag_output(const dag_t *self); /* NULL: the default rule */
int64_t dag_time_us(const dag_t *self);
uint32_t dag_parallel(const dag_t *self);
bool dag_finish(const dag_t *self);
uint32_t dag_priority(const dag_t *self);
uint64_t dag_tokens(const dag_t *self);
uint64_t dag_cost_microusd(const dag_t *self);
uint32_t dag_depth(const dag_t *self);
/* Distinct agents named by nodes and fallbacks, in order of appearance. */
size_t dag_agents(const dag_t *self);
const char *dag_agent(const dag_t *self, size_t index);
/* Distinct workflows that its nodes run, in the same order. */
size_t dag_workflows(const dag_t *self);
const char *dag_workflow(const dag_t *self, size_t index);

/* Finds a cycle among edges (pairs of indexes: from, to) of count nodes. Fills *ret_cycle (heap
 * array, first element not repeated) and its length; 0 when there is none. Iterative. */
size_t dag_cycle(uint32_t nodes, const uint32_t (*edges)[2], size_t edges_count, uint32_t **ret_cycle);

#endif
