/* Canonical form to graph. It trusts nothing: the form may come from a store that a newer version
 * wrote. */
#include "base/clock.h"
#include "base/limits.h"
#include "definitions/definitions.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct compiler {
    struct arena arena;
    const char *node; /* the id of the node in hand; NULL: the workflow */
    struct err *err;
};

static int wrong(struct compiler *self, const char *key, const char *needs)
{
    int code =
        err_set(self->err, ERR_INVALID, "the stored workflow is not valid: %s of %s must be %s",
                key, self->node ? self->node : "it", needs);
    err_where(self->err, "%s%s%s%s", self->node ? "nodes." : "", self->node ? self->node : "",
              self->node ? "." : "", key);
    err_fix(self->err, "apply the workflow again with this version");
    return code;
}

static int check_keys(struct compiler *self, const value_t *map, const char *const *known)
{
    for (size_t i = 0; i < value_size(map); i++) {
        const char *key = value_key_at(map, i, NULL);
        size_t at = 0;
        while (known[at] && strcmp(known[at], key) != 0)
            at++;
        if (known[at])
            continue;
        int code =
            err_set(self->err, ERR_UNSUPPORTED,
                    "the stored workflow uses \"%.64s\", which this version does not run", key);
        err_where(self->err, "%s%s%s%.64s", self->node ? "nodes." : "",
                  self->node ? self->node : "", self->node ? "." : "", key);
        err_fix(self->err, "upgrade this program, or apply a workflow without it");
        return code;
    }
    return 0;
}

/* An absent key is NULL. */
static int get(struct compiler *self, const value_t *map, const char *key, enum value_type type,
               const value_t **ret_value)
{
    const value_t *value = map ? value_get(map, key) : NULL;
    if (value && value_type(value) != type)
        return wrong(self, key, value_type_name(type));
    *ret_value = value;
    return 0;
}

static int get_int(struct compiler *self, const value_t *map, const char *key, int64_t least,
                   int64_t most, int64_t *in_out)
{
    const value_t *value = NULL;
    int code = get(self, map, key, VALUE_INT, &value);
    if (code != 0 || !value)
        return code;
    if (value_as_int(value) < least || value_as_int(value) > most)
        return wrong(self, key, "within its limits");
    *in_out = value_as_int(value);
    return 0;
}

static int get_text(struct compiler *self, const value_t *map, const char *key, const char **in_out)
{
    const value_t *value = NULL;
    int code = get(self, map, key, VALUE_STRING, &value);
    if (code == 0 && value)
        *in_out = value_as_string(value);
    return code;
}

static int get_bool(struct compiler *self, const value_t *map, const char *key, bool *in_out)
{
    const value_t *value = NULL;
    int code = get(self, map, key, VALUE_BOOL, &value);
    if (code == 0 && value)
        *in_out = value_as_bool(value);
    return code;
}

/* An id, or {node, if}. */
static int compile_edge(struct compiler *self, const value_t *edge, const char **ret_id,
                        const char **ret_if)
{
    static const char *const KEYS[] = {"node", "if", NULL};
    *ret_id = NULL;
    *ret_if = NULL;
    int code = 0;
    if (value_type(edge) == VALUE_STRING) {
        *ret_id = value_as_string(edge);
    } else if (value_type(edge) == VALUE_MAP) {
        code = check_keys(self, edge, KEYS);
        if (code == 0)
            code = get_text(self, edge, "node", ret_id);
        if (code == 0)
            code = get_text(self, edge, "if", ret_if);
    }
    return code == 0 && !*ret_id ? wrong(self, "after", "a list of ids and edges") : code;
}

static int compile_after(struct compiler *self, const value_t *node, struct dag_node_spec *spec)
{
    const value_t *after = NULL;
    int code = get(self, node, "after", VALUE_LIST, &after);
    if (code != 0 || !after)
        return code;
    size_t count = value_size(after);
    const char **ids = arena_alloc(&self->arena, (count + 1) * sizeof *ids);
    const char **ifs = arena_alloc(&self->arena, (count + 1) * sizeof *ifs);
    for (size_t i = 0; code == 0 && i < count; i++)
        code = compile_edge(self, value_at(after, i), &ids[i], &ifs[i]);
    spec->after = ids;
    spec->after_ifs = ifs;
    spec->after_count = count;
    return code;
}

static int compile_items(struct compiler *self, const value_t *node, struct dag_node_spec *spec)
{
    int64_t parallel = 0;
    int code = get_text(self, node, "for", &spec->items);
    if (code == 0)
        code = get_int(self, node, "parallel", 1, LIMIT_MAP_ITEMS, &parallel);
    if (code == 0 && parallel > 0 && !spec->items)
        code = wrong(self, "parallel", "absent where there is no for");
    spec->items_parallel = (uint32_t)parallel;
    return code;
}

static int compile_join(struct compiler *self, const value_t *node, struct dag_node_spec *spec)
{
    const char *join = "all";
    int code = get_text(self, node, "join", &join);
    if (code != 0)
        return code;
    spec->join = DAG_JOIN_ALL;
    if (strcmp(join, "any") == 0)
        spec->join = DAG_JOIN_ANY;
    else if (strcmp(join, "done") == 0)
        spec->join = DAG_JOIN_DONE;
    else if (strcmp(join, "all") != 0)
        return wrong(self, "join", "all, any or done");
    return 0;
}

static int compile_factor(struct compiler *self, const value_t *retry, double *in_out)
{
    const value_t *factor = retry ? value_get(retry, "factor") : NULL;
    if (!factor)
        return 0;
    if (value_type(factor) != VALUE_INT && value_type(factor) != VALUE_DOUBLE)
        return wrong(self, "retry.factor", "a number");
    double number = value_as_double(factor);
    if (!(number >= 1 && number <= LIMIT_RETRY_FACTOR_MAX))
        return wrong(self, "retry.factor", "within its limits");
    *in_out = number;
    return 0;
}

static int compile_retry(struct compiler *self, const value_t *node, struct dag_node_spec *spec)
{
    static const char *const KEYS[] = {"attempts", "backoff_us", "factor", "max_us", NULL};
    const value_t *retry = NULL;
    int64_t attempts = 1;
    spec->retry = (struct dag_retry){.backoff_us = LIMIT_RETRY_BACKOFF_US,
                                     .factor = LIMIT_RETRY_FACTOR,
                                     .max_us = LIMIT_RETRY_MAX_US};
    int code = get(self, node, "retry", VALUE_MAP, &retry);
    if (code == 0 && retry)
        code = check_keys(self, retry, KEYS);
    if (code == 0)
        code = get_int(self, retry, "attempts", 1, LIMIT_ATTEMPTS, &attempts);
    if (code == 0)
        code = get_int(self, retry, "backoff_us", 1, LIMIT_TIME_MAX_US, &spec->retry.backoff_us);
    if (code == 0)
        code = get_int(self, retry, "max_us", 1, LIMIT_TIME_MAX_US, &spec->retry.max_us);
    spec->retry.attempts = (uint32_t)attempts;
    return code == 0 ? compile_factor(self, retry, &spec->retry.factor) : code;
}

static int compile_on_error(struct compiler *self, const value_t *node, struct dag_node_spec *spec)
{
    static const char *const KEYS[] = {"fallback", NULL};
    const value_t *on_error = value_get(node, "on_error");
    spec->on_error = DAG_FAIL;
    if (!on_error)
        return 0;
    if (value_type(on_error) == VALUE_MAP) {
        spec->on_error = DAG_FALLBACK;
        int code = check_keys(self, on_error, KEYS);
        if (code == 0)
            code = get_text(self, on_error, "fallback", &spec->fallback);
        return code == 0 && !spec->fallback ? wrong(self, "on_error.fallback", "a name") : code;
    }
    const char *text = value_type(on_error) == VALUE_STRING ? value_as_string(on_error) : "";
    if (strcmp(text, "continue") == 0)
        spec->on_error = DAG_CONTINUE;
    else if (strcmp(text, "fail") != 0)
        return wrong(self, "on_error", "fail, continue or {fallback: agent}");
    return 0;
}

static int compile_message(struct compiler *self, const value_t *node, struct dag_node_spec *spec)
{
    const value_t *say = NULL, *with = NULL;
    int code = get(self, node, "say", VALUE_STRING, &say);
    if (code == 0)
        code = get(self, node, "with", VALUE_MAP, &with);
    if (code == 0 && say && with)
        code = wrong(self, "with", "absent where there is say");
    spec->message = say ? say : with;
    return code;
}

static int compile_wait(struct compiler *self, const value_t *wait, struct dag_node_spec *spec)
{
    static const char *const KEYS[] = {"time_us", "signal", "timeout_us", NULL};
    int code = check_keys(self, wait, KEYS);
    if (code == 0)
        code = get_int(self, wait, "time_us", 1, LIMIT_TIME_MAX_US, &spec->wait_us);
    if (code == 0)
        code = get_int(self, wait, "timeout_us", 1, LIMIT_TIME_MAX_US, &spec->timeout_us);
    if (code == 0)
        code = get_text(self, wait, "signal", &spec->signal);
    bool timer = spec->wait_us > 0 && !spec->signal && spec->timeout_us == 0;
    bool signal = spec->wait_us == 0 && spec->signal;
    if (code == 0 && !timer && !signal)
        code = wrong(self, "wait", "a time or a signal");
    spec->kind = timer ? DAG_WAIT : DAG_SIGNAL;
    return code;
}

/* What a node is: whose agent does its tasks, or what they wait for. */
static int compile_kind(struct compiler *self, const value_t *node, struct dag_node_spec *spec)
{
    const value_t *approve = NULL, *wait = NULL;
    int code = get_text(self, node, "agent", &spec->agent);
    if (code == 0)
        code = get_text(self, node, "workflow", &spec->workflow);
    if (code == 0)
        code = get(self, node, "approve", VALUE_STRING, &approve);
    if (code == 0)
        code = get(self, node, "wait", VALUE_MAP, &wait);
    if (code == 0)
        code = get(self, node, "set", VALUE_MAP, &spec->set);
    if (code == 0)
        code = get_text(self, node, "show", &spec->show);
    spec->on_expiry = value_get(node, "on_expiry");
    if (code != 0)
        return code;
    int kinds =
        (spec->agent != NULL) + (spec->workflow != NULL) + (approve != NULL) + (wait != NULL);
    if (kinds > 1 || (kinds == 0 && !spec->set))
        return wrong(self, "agent", "a name, unless there is workflow, approve, wait or set");
    if (wait)
        return compile_wait(self, wait, spec);
    spec->kind = DAG_SET;
    if (spec->agent)
        spec->kind = DAG_AGENT;
    else if (spec->workflow)
        spec->kind = DAG_WORKFLOW;
    else if (approve)
        spec->kind = DAG_APPROVE;
    if (approve)
        spec->message = approve;
    return 0;
}

static int compile_node(struct compiler *self, const value_t *node, struct dag_node_spec *spec)
{
    static const char *const KEYS[] = {
        "id",   "agent", "say",        "with",     "after",    "if",    "for",         "parallel",
        "join", "retry", "timeout_us", "on_error", "disabled", "about", "allow_again", "approve",
        "wait", "show",  "on_expiry",  "set",      "workflow", NULL};
    self->node = NULL;
    if (value_type(node) != VALUE_MAP)
        return wrong(self, "nodes", "a list of objects");
    int code = get_text(self, node, "id", &spec->id);
    if (code == 0 && !spec->id)
        code = wrong(self, "nodes", "a list of objects with ids");
    if (code != 0)
        return code;
    self->node = spec->id;
    code = check_keys(self, node, KEYS);
    if (code == 0)
        code = compile_message(self, node, spec);
    if (code == 0)
        code = compile_kind(self, node, spec);
    if (code == 0)
        code = compile_after(self, node, spec);
    if (code == 0)
        code = get_text(self, node, "if", &spec->condition);
    if (code == 0)
        code = compile_items(self, node, spec);
    if (code == 0)
        code = compile_join(self, node, spec);
    if (code == 0)
        code = compile_retry(self, node, spec);
    if (code == 0)
        code = compile_on_error(self, node, spec);
    if (code == 0)
        code = get_int(self, node, "timeout_us", 1, LIMIT_TIME_MAX_US, &spec->timeout_us);
    if (code == 0)
        code = get_bool(self, node, "disabled", &spec->disabled);
    return code == 0 ? get_bool(self, node, "allow_again", &spec->allow_again) : code;
}

static int compile_nodes(struct compiler *self, const value_t *canonical, struct dag_spec *spec)
{
    const value_t *nodes = NULL;
    int code = get(self, canonical, "nodes", VALUE_LIST, &nodes);
    if (code == 0 && (!nodes || value_size(nodes) == 0 || value_size(nodes) > LIMIT_NODES))
        code = wrong(self, "nodes", "a list within its limits");
    if (code != 0)
        return code;
    spec->nodes_count = value_size(nodes);
    struct dag_node_spec *specs = arena_alloc(&self->arena, spec->nodes_count * sizeof *specs);
    for (size_t i = 0; code == 0 && i < spec->nodes_count; i++)
        code = compile_node(self, value_at(nodes, i), &specs[i]);
    self->node = NULL;
    spec->nodes = specs;
    return code;
}

static int compile_limits(struct compiler *self, const value_t *canonical, struct dag_spec *spec)
{
    static const char *const KEYS[] = {"time_us",       "parallel", "tokens",
                                       "cost_microusd", "depth",    NULL};
    const value_t *limits = NULL;
    int64_t parallel = 0, tokens = 0, cost = 0, depth = 0;
    int code = get(self, canonical, "limits", VALUE_MAP, &limits);
    if (code == 0 && limits)
        code = check_keys(self, limits, KEYS);
    if (code == 0)
        code = get_int(self, limits, "time_us", 1, LIMIT_TIME_MAX_US, &spec->time_us);
    if (code == 0)
        code = get_int(self, limits, "parallel", 1, LIMIT_NODES, &parallel);
    if (code == 0)
        code = get_int(self, limits, "tokens", 1, (int64_t)LIMIT_USAGE, &tokens);
    if (code == 0)
        code = get_int(self, limits, "cost_microusd", 1, (int64_t)LIMIT_USAGE, &cost);
    if (code == 0)
        code = get_int(self, limits, "depth", 1, LIMIT_DEPTH_MAX, &depth);
    spec->parallel = (uint32_t)parallel;
    spec->tokens = (uint64_t)tokens;
    spec->cost_microusd = (uint64_t)cost;
    spec->depth = (uint32_t)depth;
    return code;
}

static int compile_workflow(struct compiler *self, const value_t *canonical, struct dag_spec *spec)
{
    static const char *const KEYS[] = {"workflow", "about",    "input",       "nodes",
                                       "output",   "limits",   "when_failed", "priority",
                                       "labels",   "schedule", NULL};
    const char *when_failed = "stop";
    int64_t priority = 5;
    if (!canonical || value_type(canonical) != VALUE_MAP)
        return wrong(self, "workflow", "an object");
    int code = check_keys(self, canonical, KEYS);
    if (code == 0)
        code = get_text(self, canonical, "workflow", &spec->name);
    if (code == 0 && !spec->name)
        code = wrong(self, "workflow", "a name");
    if (code == 0)
        code = get_text(self, canonical, "output", &spec->output);
    if (code == 0)
        code = get_text(self, canonical, "when_failed", &when_failed);
    if (code == 0 && strcmp(when_failed, "stop") != 0 && strcmp(when_failed, "finish") != 0)
        code = wrong(self, "when_failed", "stop or finish");
    if (code == 0)
        code = get_int(self, canonical, "priority", 0, 9, &priority);
    if (code == 0)
        code = compile_limits(self, canonical, spec);
    spec->finish = strcmp(when_failed, "finish") == 0;
    spec->priority = (uint32_t)priority;
    return code == 0 ? compile_nodes(self, canonical, spec) : code;
}

int workflow_compile(const value_t *canonical, dag_t **ret_dag, struct err *err)
{
    struct compiler compiler = {.err = err};
    struct dag_spec spec = {0};
    int code = compile_workflow(&compiler, canonical, &spec);
    if (code == 0)
        code = dag_new(&spec, ret_dag, err);
    arena_release(&compiler.arena);
    return code;
}
