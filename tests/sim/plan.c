#include "tests/sim/plan.h"

#include "base/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS     1000LL
#define SECOND LIMIT_SECOND_US

/* --- agents and instances --------------------------------------------------------------------- */

static void draw_agents(struct plan *plan, struct prng *prng)
{
    plan->agents_count = (uint32_t)prng_between(prng, 1, PROGRAMS_MOST);
    for (uint32_t i = 0; i < plan->agents_count; i++) {
        struct plan_agent *agent = &plan->agents[i];
        (void)snprintf(agent->name, sizeof agent->name, "agent%u", i);
        int64_t kind = prng_between(prng, 0, 9);
        agent->kind = kind < 8 ? KIND_COMMAND : kind == 8 ? KIND_ECHO : KIND_SLEEP;
        agent->timeout_us = prng_between(prng, 500, 8000) * MS;
        agent->rerun_never = prng_chance(prng, 100);
        agent->duration_most_us = prng_chance(prng, 400) ? 300 * MS : 12 * SECOND;
    }
}

static void draw_instances(struct plan *plan, struct prng *prng)
{
    bool wrong = prng_chance(prng, 400);
    for (uint32_t i = 0; i < plan->agents_count; i++) {
        int64_t most = plan->models_count > 0 ? 2 : INSTANCES_MOST / AGENTS_MOST;
        int64_t count = prng_between(prng, 1, most);
        for (int64_t n = 0; n < count; n++) {
            struct plan_instance *instance = &plan->instances[plan->instances_count++];
            instance->agent = i;
            instance->parallel = (uint32_t)prng_between(prng, 1, 4);
            instance->wrong = wrong && prng_chance(prng, 500);
        }
    }
}

/* --- workflows -------------------------------------------------------------------------------- */

static void add_source(struct plan_node *node, uint32_t source)
{
    for (uint32_t i = 0; i < node->sources_count; i++)
        if (node->sources[i] == source)
            return;
    node->sources[node->sources_count++] = source;
}

static void draw_edges(struct plan_workflow *workflow, struct prng *prng)
{
    uint32_t count = workflow->nodes_count;
    int64_t shape = prng_between(prng, 0, 3);
    for (uint32_t i = 1; i < count; i++) {
        struct plan_node *node = &workflow->nodes[i];
        if (shape == 0) { /* a line */
            add_source(node, i - 1);
        } else if (shape == 1) { /* out, and in again */
            for (uint32_t s = i + 1 == count ? 1 : 0; s < (i + 1 == count ? i : 1); s++)
                add_source(node, s);
        } else {
            int64_t edges = prng_between(prng, 0, i < 3 ? (int64_t)i : 3);
            for (int64_t e = 0; e < edges; e++)
                add_source(node, (uint32_t)prng_between(prng, 0, i - 1));
        }
    }
}

static uint32_t draw_agent(const struct plan *plan, struct prng *prng)
{
    uint32_t programs = plan->agents_count - plan->models_count;
    if (plan->models_count > 0 && prng_chance(prng, 350))
        return (uint32_t)prng_between(prng, programs, plan->agents_count - 1);
    return (uint32_t)prng_between(prng, 0, programs - 1);
}

static void draw_node(const struct plan *plan, struct plan_node *node, uint32_t index,
                      struct prng *prng)
{
    (void)snprintf(node->id, sizeof node->id, "n%u", index);
    node->agent = draw_agent(plan, prng);
    node->fallback = draw_agent(plan, prng);
    int64_t join = prng_between(prng, 0, 9);
    node->join = join < 6 ? DAG_JOIN_ALL : join < 8 ? DAG_JOIN_ANY : DAG_JOIN_DONE;
    int64_t on_error = prng_between(prng, 0, 9);
    node->on_error = on_error < 5 ? DAG_FAIL : on_error < 8 ? DAG_CONTINUE : DAG_FALLBACK;
    node->retry.attempts = (uint32_t)prng_between(prng, 1, 4);
    node->retry.backoff_us = prng_skewed(prng, 1, 2 * SECOND);
    node->retry.factor = prng_chance(prng, 500) ? 1.0 : 2.0;
    node->retry.max_us = 4 * SECOND;
    node->timeout_us = prng_chance(prng, 300) ? prng_between(prng, 100, 5000) * MS : 0;
    if (plan->agents[node->agent].kind == KIND_MODEL)
        node->timeout_us *= 6;
    node->allow_again = prng_chance(prng, 400);
    node->says_all = prng_chance(prng, 100);
    node->disabled = prng_chance(prng, 30);
    node->cannot_read = prng_chance(prng, 20);
}

/* Integers of sources that have surely ended well, and of the input: values that expressions read
 * again for each attempt. */
static value_t *make_message(const struct plan_workflow *workflow, const struct plan_node *node)
{
    char text[32];
    value_t *message = value_map();
    value_set_string(message, "k",
                     node->cannot_read       ? "{{input.lacks}}"
                     : plan_adds_index(node) ? "{{input.k + index}}"
                                             : "{{input.k}}");
    if (node->says_all)
        value_set_string(message, "all", "{{input}}");
    if (node->reads_context)
        value_set_string(message, "context", "{{context}}");
    if (node->items.reads != READS_NOTHING) {
        value_set_string(message, "item", "{{item}}");
        value_set_string(message, "index", "{{index}}");
    }
    for (uint32_t i = 0; node->join == DAG_JOIN_ALL && i < node->sources_count; i++) {
        const struct plan_node *source = &workflow->nodes[node->sources[i]];
        if (source->on_error == DAG_CONTINUE || !plan_gives_n(source))
            continue;
        (void)snprintf(text, sizeof text, "{{%s.n}}", source->id);
        value_set_string(message, source->id, text);
    }
    return message;
}

static void compile(const struct plan *plan, struct plan_workflow *workflow)
{
    struct dag_node_spec specs[NODES_MOST] = {{0}};
    value_t *messages[NODES_MOST], *sets[NODES_MOST], *expired = value_string(EXPIRED);
    const char *after[NODES_MOST][NODES_MOST], *after_ifs[NODES_MOST][NODES_MOST];
    struct err err;
    for (uint32_t i = 0; i < workflow->nodes_count; i++) {
        const struct plan_node *node = &workflow->nodes[i];
        messages[i] = make_message(workflow, node);
        sets[i] = plan_set(node);
        for (uint32_t s = 0; s < node->sources_count; s++) {
            after[i][s] = workflow->nodes[node->sources[s]].id;
            after_ifs[i][s] = plan_text(&node->edge_ifs[s]);
        }
        specs[i] = (struct dag_node_spec){
            .id = node->id,
            .kind = node->kind,
            .agent = node->kind == DAG_AGENT ? plan->agents[node->agent].name : NULL,
            .workflow = node->kind == DAG_WORKFLOW ? plan->workflows[node->workflow].name : NULL,
            .message = node->kind == DAG_SET ? NULL : messages[i],
            .set = sets[i],
            .wait_us = node->wait_us,
            .signal = node->signal,
            .on_expiry = node->on_expiry ? expired : NULL,
            .show = node->show,
            .after = after[i],
            .after_ifs = after_ifs[i],
            .after_count = node->sources_count,
            .condition = plan_text(&node->condition),
            .items = plan_text(&node->items),
            .items_parallel = node->items_parallel,
            .join = node->join,
            .retry = node->retry,
            .timeout_us = node->timeout_us,
            .on_error = node->on_error,
            .fallback = node->on_error == DAG_FALLBACK ? plan->agents[node->fallback].name : NULL,
            .disabled = node->disabled || node->gone,
            .allow_again = node->allow_again,
        };
    }
    const struct dag_spec spec = {.name = workflow->name,
                                  .nodes = specs,
                                  .nodes_count = workflow->nodes_count,
                                  .output = workflow->output,
                                  .time_us = workflow->time_us,
                                  .parallel = workflow->parallel,
                                  .finish = workflow->finish,
                                  .priority = workflow->priority,
                                  .tokens = workflow->tokens,
                                  .cost_microusd = workflow->cost,
                                  .depth = workflow->depth};
    if (dag_new(&spec, &workflow->dag, &err))
        check_failed(__FILE__, __LINE__, __func__, err.what);
    for (uint32_t i = 0; i < workflow->nodes_count; i++) {
        value_destroy(&messages[i]);
        value_destroy(&sets[i]);
    }
    value_destroy(&expired);
}

static void draw_workflows(struct plan *plan, struct prng *prng)
{
    plan->workflows_count = (uint32_t)prng_between(prng, 1, WORKFLOWS_MOST);
    for (uint32_t i = 0; i < plan->workflows_count; i++) {
        struct plan_workflow *workflow = &plan->workflows[i];
        (void)snprintf(workflow->name, sizeof workflow->name, "w%u", i);
        workflow->nodes_count = (uint32_t)prng_skewed(prng, 1, NODES_MOST);
        workflow->nodes_count += (uint32_t)prng_between(prng, 0, 3);
        if (workflow->nodes_count > NODES_MOST)
            workflow->nodes_count = NODES_MOST;
        for (uint32_t n = 0; n < workflow->nodes_count; n++)
            draw_node(plan, &workflow->nodes[n], n, prng);
        draw_edges(workflow, prng);
        plan_draw_rules(plan, workflow, prng);
        workflow->parallel = prng_chance(prng, 400) ? (uint32_t)prng_between(prng, 1, 3) : 0;
        workflow->time_us = prng_chance(prng, 250) ? prng_between(prng, 1, 40) * SECOND : 0;
        workflow->output = prng_chance(prng, 100) ? "n0.n" : NULL;
        workflow->finish = prng_chance(prng, 400);
        workflow->priority = (uint32_t)prng_between(prng, 0, 9);
        workflow->tokens = prng_chance(prng, 350) ? (uint64_t)prng_between(prng, 2000, 80000) : 0;
        workflow->cost = prng_chance(prng, 150) ? (uint64_t)prng_between(prng, 5000, 300000) : 0;
        workflow->depth = prng_chance(prng, 300) ? (uint32_t)prng_between(prng, 1, 4) : 0;
    }
}

/* --- faults ----------------------------------------------------------------------------------- */

static int64_t maybe(struct prng *prng, int64_t most)
{
    return prng_chance(prng, 500) ? prng_between(prng, 1, most) : 0;
}

static void draw_faults(struct plan *plan, struct prng *prng)
{
    plan->faults_us = prng_between(prng, 5, 40) * SECOND;
    plan->fault_every_us = prng_between(prng, 300, 5000) * MS;
    plan->late_permille = maybe(prng, prng_chance(prng, 500) ? 100 : 500);
    plan->late_most_us = prng_chance(prng, 500) ? 4 * SECOND : 300 * MS;
    plan->lost_permille = maybe(prng, prng_chance(prng, 500) ? 50 : 450);
    plan->doubled_permille = maybe(prng, 150);
    plan->commit_most_us = prng_chance(prng, 300) ? 800 * MS : 20 * MS;
    plan->fail_permille = maybe(prng, 600);
    plan->hang_permille = maybe(prng, prng_chance(prng, 700) ? 50 : 400);
    plan->cancel_permille = maybe(prng, 500);
    plan->pause_permille = maybe(prng, 600);
    plan->reopen_permille = prng_chance(prng, 300) ? 600 : 100;
    plan->fork_permille = maybe(prng, 300);
    plan->crash_coordinator = maybe(prng, 10);
    plan->crash_instance = maybe(prng, 10);
    plan->pause_instance = maybe(prng, 10);
    plan->pause_coordinator = maybe(prng, 6);
    plan->crash_broker = maybe(prng, 6);
    plan->partition = maybe(prng, 10);
    plan->disk_full = maybe(prng, 3);
    plan->disk_error = maybe(prng, 3);
    plan->drain_instance = maybe(prng, 4);
    plan->crash_egress = plan->egresses_count > 0 ? maybe(prng, 10) : 0;
    plan->pause_egress = plan->egresses_count > 0 ? maybe(prng, 5) : 0;
    plan->slow_cut_permille = prng_chance(prng, 200) ? 900 : 200;
    plan->hostd = prng_chance(prng, 500);
}

uint32_t plan_agent_index(const struct plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->agents_count; i++)
        if (strcmp(plan->agents[i].name, name) == 0)
            return i;
    return UINT32_MAX;
}

struct plan *plan_new(struct prng *prng, const char *cuts, bool *ret_cut)
{
    struct plan *plan = xcalloc(1, sizeof *plan);
    draw_agents(plan, prng);
    if (prng_chance(prng, 500))
        plan_draw_models(plan, prng);
    draw_instances(plan, prng);
    plan->people = prng_chance(prng, 500);
    plan->subs = prng_chance(prng, 500);
    draw_workflows(plan, prng);
    plan_draw_schedules(plan, prng);
    draw_faults(plan, prng);
    plan->executions = (uint32_t)prng_between(
        prng, 1, plan->models_count > 0 || plan->subs ? 12 : EXECUTIONS_MOST);
    plan->large_inputs = prng_chance(prng, 50);
    bool cut = plan_cut(plan, cuts ? cuts : "");
    if (ret_cut)
        *ret_cut = cut;
    for (uint32_t i = 0; i < plan->workflows_count; i++)
        compile(plan, &plan->workflows[i]);
    return plan;
}

void plan_destroy(struct plan **self_p)
{
    struct plan *plan = *self_p;
    *self_p = NULL;
    if (!plan)
        return;
    for (uint32_t i = 0; i < plan->workflows_count; i++)
        dag_destroy(&plan->workflows[i].dag);
    for (uint32_t i = 0; i < plan->agents_count; i++)
        value_destroy(&plan->agents[i].talk.def.output);
    free(plan);
}
