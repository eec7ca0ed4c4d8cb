#include "tests/sim/plan.h"

#include "base/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is taken away from a plan that was drawn, so that less of it fails in the same way. A cut is
 * a short text: "w1" a workflow, "w1.n3" a node, "w1.n3.if" what a node has, "s1" the schedule of a
 * workflow, "x12" an execution, "f.lost" a kind of fault. Numbers are those of the plan as it was
 * drawn. */

/* --- faults ----------------------------------------------------------------------------------- */

static int64_t *fault_of(struct plan *plan, size_t index, const char **ret_name)
{
    struct {
        const char *name;
        int64_t *much;
    } faults[] = {
        {"crash_coordinator", &plan->crash_coordinator},
        {"pause_coordinator", &plan->pause_coordinator},
        {"crash_instance", &plan->crash_instance},
        {"pause_instance", &plan->pause_instance},
        {"drain_instance", &plan->drain_instance},
        {"crash_broker", &plan->crash_broker},
        {"partition", &plan->partition},
        {"disk_full", &plan->disk_full},
        {"disk_error", &plan->disk_error},
        {"crash_egress", &plan->crash_egress},
        {"pause_egress", &plan->pause_egress},
        {"late", &plan->late_permille},
        {"lost", &plan->lost_permille},
        {"doubled", &plan->doubled_permille},
        {"fail", &plan->fail_permille},
        {"hang", &plan->hang_permille},
        {"cancel", &plan->cancel_permille},
        {"pause", &plan->pause_permille},
        {"reopen", &plan->reopen_permille},
        {"clock", &plan->clock_most_us},
        {"fork", &plan->fork_permille},
    };
    if (index >= sizeof faults / sizeof faults[0])
        return NULL;
    *ret_name = faults[index].name;
    return faults[index].much;
}

static bool cut_fault(struct plan *plan, const char *name)
{
    const char *other;
    int64_t *much;
    for (size_t i = 0; (much = fault_of(plan, i, &other)); i++)
        if (strcmp(other, name) == 0) {
            bool had = *much > 0;
            *much = 0;
            return had;
        }
    return false;
}

/* --- nodes ------------------------------------------------------------------------------------ */

static bool clear(struct plan_expression *what)
{
    bool had = what->reads != READS_NOTHING;
    what->reads = READS_NOTHING;
    return had;
}

static bool cut_edges(struct plan_node *node)
{
    bool had = false;
    for (uint32_t i = 0; i < node->sources_count; i++)
        had |= clear(&node->edge_ifs[i]);
    return had;
}

static bool cut_feature(struct plan_node *node, const char *what)
{
    struct plan_node before = *node;
    if (strcmp(what, "if") == 0)
        return clear(&node->condition);
    if (strcmp(what, "for") == 0)
        return clear(&node->items);
    if (strcmp(what, "edges") == 0)
        return cut_edges(node);
    if (strcmp(what, "parallel") == 0)
        node->items_parallel = 0;
    else if (strcmp(what, "set") == 0 && node->kind != DAG_SET)
        node->patches_count = 0;
    else if (strcmp(what, "show") == 0)
        node->show = NULL;
    else if (strcmp(what, "reads") == 0)
        node->reads_context = node->cannot_read = node->says_all = false;
    else if (strcmp(what, "sub") == 0 && node->kind == DAG_WORKFLOW)
        node->kind = DAG_AGENT;
    else if (strcmp(what, "retry") == 0)
        node->retry.attempts = 1;
    else if (strcmp(what, "on_error") == 0)
        node->on_error = DAG_FAIL;
    else if (strcmp(what, "timeout") == 0)
        node->timeout_us = 0;
    else if (strcmp(what, "disabled") == 0)
        node->disabled = false;
    return memcmp(&before, node, sizeof before) != 0;
}

static void forget_source(struct plan_node *node, uint32_t gone)
{
    struct plan_expression *reads[] = {&node->condition, &node->items};
    uint32_t kept = 0;
    for (size_t i = 0; i < 2; i++)
        if (plan_reads_node(reads[i]) && reads[i]->node == gone)
            (void)clear(reads[i]);
    for (uint32_t i = 0; i < node->sources_count; i++) {
        struct plan_expression *edge = &node->edge_ifs[i];
        if (plan_reads_node(edge) && edge->node == gone)
            (void)clear(edge);
        if (node->sources[i] == gone)
            continue;
        node->sources[kept] = node->sources[i];
        node->edge_ifs[kept++] = *edge;
    }
    node->sources_count = kept;
}

static bool cut_node(struct plan_workflow *workflow, uint32_t index)
{
    if (workflow->nodes[index].gone)
        return false;
    workflow->nodes[index].gone = true;
    for (uint32_t i = 0; i < workflow->nodes_count; i++)
        forget_source(&workflow->nodes[i], index);
    return true;
}

static bool cut_schedule(struct plan_workflow *workflow)
{
    bool had = workflow->schedule.cron != NULL;
    workflow->schedule.cron = NULL;
    return had && !workflow->gone;
}

/* Nodes that are gone stay in their places, disabled: numbers and names are those of before. */
static bool cut_one(struct plan *plan, const char *cut)
{
    uint32_t workflow, node;
    char what[16];
    if (sscanf(cut, "f.%15s", what) == 1)
        return cut_fault(plan, cut + 2);
    if (sscanf(cut, "x%u", &node) == 1 && node < EXECUTIONS_MOST + CALM_STARTS) {
        bool had = !plan->no_execution[node];
        plan->no_execution[node] = true;
        return had && node < plan->executions + CALM_STARTS;
    }
    if (sscanf(cut, "s%u", &workflow) == 1)
        return workflow < plan->workflows_count && cut_schedule(&plan->workflows[workflow]);
    int parts = sscanf(cut, "w%u.n%u.%15[a-z_]", &workflow, &node, what);
    if (parts < 1 || workflow >= plan->workflows_count)
        return false;
    struct plan_workflow *of = &plan->workflows[workflow];
    if (parts == 1) {
        bool had = !of->gone;
        of->gone = true;
        return had;
    }
    if (node >= of->nodes_count || of->gone)
        return false;
    if (parts == 2)
        return cut_node(of, node);
    return !of->nodes[node].gone && cut_feature(&of->nodes[node], what);
}

bool plan_cut(struct plan *plan, const char *cuts)
{
    char cut[64];
    bool last = false;
    while (*cuts) {
        size_t size = strcspn(cuts, ",");
        (void)snprintf(cut, sizeof cut, "%.*s", (int)size, cuts);
        last = cut_one(plan, cut);
        cuts += size + (cuts[size] == ',');
    }
    return last;
}

bool plan_candidate(size_t index, char *ret_cut, size_t size)
{
    static const char *const features[] = {"if",    "for",      "edges",    "parallel",
                                           "set",   "reads",    "on_error", "timeout",
                                           "retry", "disabled", "sub",      "show"};
    enum { FEATURES = sizeof features / sizeof features[0] };
    struct plan any;
    const char *name;
    if (index < WORKFLOWS_MOST)
        return snprintf(ret_cut, size, "w%zu", index) > 0;
    index -= WORKFLOWS_MOST;
    if (index < WORKFLOWS_MOST)
        return snprintf(ret_cut, size, "s%zu", index) > 0;
    index -= WORKFLOWS_MOST;
    if (index < EXECUTIONS_MOST + CALM_STARTS)
        return snprintf(ret_cut, size, "x%zu", index) > 0;
    index -= EXECUTIONS_MOST + CALM_STARTS;
    if (index < 64)
        return snprintf(ret_cut, size, "f.%s", fault_of(&any, index, &name) ? name : "") > 0;
    index -= 64;
    if (index < (size_t)WORKFLOWS_MOST * NODES_MOST)
        return snprintf(ret_cut, size, "w%zu.n%zu", index / NODES_MOST,
                        NODES_MOST - 1 - index % NODES_MOST) > 0;
    index -= (size_t)WORKFLOWS_MOST * NODES_MOST;
    if (index >= (size_t)WORKFLOWS_MOST * NODES_MOST * FEATURES)
        return false;
    size_t node = index / FEATURES;
    return snprintf(ret_cut, size, "w%zu.n%zu.%s", node / NODES_MOST, node % NODES_MOST,
                    features[index % FEATURES]) > 0;
}

/* --- as text ---------------------------------------------------------------------------------- */

static void print_expression(const char *key, const struct plan_expression *what)
{
    if (what->reads != READS_NOTHING)
        printf("  %s: %s", key, what->text);
}

static void print_node(const struct plan *plan, const struct plan_workflow *workflow,
                       const struct plan_node *node)
{
    static const char *const kinds[] = {"agent", "approve", "wait", "signal", "set", "workflow "};
    static const char *const joins[] = {"all", "any", "done"};
    printf("  %s: %s%s", node->id,
           node->kind == DAG_AGENT ? plan->agents[node->agent].name : kinds[node->kind],
           node->kind == DAG_WORKFLOW ? plan->workflows[node->workflow].name : "");
    for (uint32_t i = 0; i < node->sources_count; i++) {
        printf("%s%s", i == 0 ? "  after: " : ", ", workflow->nodes[node->sources[i]].id);
        print_expression("if", &node->edge_ifs[i]);
    }
    if (node->sources_count > 0 && node->join != DAG_JOIN_ALL)
        printf("  join: %s", joins[node->join]);
    print_expression("if", &node->condition);
    print_expression("for", &node->items);
    if (node->items.reads != READS_NOTHING && node->items_parallel > 0)
        printf("  parallel: %u", node->items_parallel);
    if (node->kind == DAG_AGENT && node->retry.attempts > 1)
        printf("  retry: %u", node->retry.attempts);
    if (node->on_error != DAG_FAIL)
        printf("  on_error: %s",
               node->on_error == DAG_CONTINUE ? "continue" : plan->agents[node->fallback].name);
    if (node->show)
        printf("  show: %s", node->show);
    if (node->kind == DAG_WAIT)
        printf("  for: %.3f s", (double)node->wait_us / (double)LIMIT_SECOND_US);
    if (node->timeout_us > 0)
        printf("  timeout: %.3f s", (double)node->timeout_us / (double)LIMIT_SECOND_US);
    value_t *set = plan_set(node);
    struct buf json = {0};
    if (set)
        value_to_json(set, 0, &json);
    if (set)
        printf("  set: %.*s", (int)json.size, (const char *)json.data);
    buf_release(&json);
    value_destroy(&set);
    printf("%s%s%s%s\n", node->reads_context ? "  reads context" : "",
           node->cannot_read ? "  reads what is not there" : "", node->disabled ? "  disabled" : "",
           node->on_expiry ? "  on_expiry: a value" : "");
}

static void print_schedule(const struct plan_schedule *schedule)
{
    static const char *const missed[] = {"once", "skip", "all"};
    if (schedule->cron)
        printf("  schedule: %s, missed: %s%s", schedule->cron, missed[schedule->missed],
               schedule->alone ? ", alone" : "");
}

void plan_print(struct plan *plan)
{
    const char *name;
    const int64_t *much;
    for (uint32_t i = 0; i < plan->workflows_count; i++) {
        const struct plan_workflow *workflow = &plan->workflows[i];
        if (workflow->gone)
            continue;
        printf("workflow %s:", workflow->name);
        if (workflow->parallel > 0)
            printf("  parallel: %u", workflow->parallel);
        if (workflow->time_us > 0)
            printf("  time: %.3f s", (double)workflow->time_us / (double)LIMIT_SECOND_US);
        print_schedule(&workflow->schedule);
        printf("%s\n", workflow->finish ? "  when_failed: finish" : "");
        for (uint32_t n = 0; n < workflow->nodes_count; n++)
            if (!workflow->nodes[n].gone)
                print_node(plan, workflow, &workflow->nodes[n]);
    }
    printf("faults for %.1f s:", (double)plan->faults_us / (double)LIMIT_SECOND_US);
    for (size_t i = 0; (much = fault_of(plan, i, &name)); i++)
        if (*much > 0)
            printf(" %s", name);
    printf("\nexecutions:");
    for (uint32_t i = 0; i < plan->executions + CALM_STARTS; i++)
        if (!plan->no_execution[i])
            printf(" %u", i);
    printf("\n");
}
