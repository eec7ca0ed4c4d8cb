#include "tests/sim/plan.h"

#include "base/limits.h"

#include <stdio.h>

#define SUBS_MOST 2 /* nodes of one workflow that run another one */

/* Expressions of workflows, from a grammar so small that the model can tell what each comes to. */

bool plan_input_flag(uint64_t k)
{
    return k % 3 > 0;
}

uint32_t plan_input_size(uint64_t k)
{
    return (uint32_t)(k % 5);
}

static void write_text(const struct plan_workflow *workflow, struct plan_expression *self)
{
    const char *id = workflow->nodes[self->node].id;
    char text[EXPRESSION_BYTES - 4] = "";
    switch (self->reads) {
    case READS_NOTHING: return;
    case READS_TRUE: (void)snprintf(text, sizeof text, "true"); break;
    case READS_FALSE: (void)snprintf(text, sizeof text, "false"); break;
    case READS_FLAG: (void)snprintf(text, sizeof text, "input.flag"); break;
    case READS_SIZE: (void)snprintf(text, sizeof text, "size(input.list) > %u", self->bound); break;
    case READS_NUMBER: (void)snprintf(text, sizeof text, "input.k"); break;
    case READS_LACKING: (void)snprintf(text, sizeof text, "input.lacks"); break;
    case READS_N: (void)snprintf(text, sizeof text, "%s.n > %u", id, self->bound); break;
    case READS_STATUS:
        (void)snprintf(text, sizeof text, "nodes.%s.status == 'succeeded'", id);
        break;
    case READS_NULL: (void)snprintf(text, sizeof text, "%s == null", id); break;
    case READS_LIST: (void)snprintf(text, sizeof text, "input.list"); break;
    case READS_NUMBERS: (void)snprintf(text, sizeof text, "[7, 8, 9]"); break;
    case READS_EMPTY: (void)snprintf(text, sizeof text, "[]"); break;
    case READS_OUTPUT: (void)snprintf(text, sizeof text, "%s", id); break;
    }
    (void)snprintf(self->text, sizeof self->text, self->negated ? "!(%s)" : "%s", text);
}

bool plan_reads_node(const struct plan_expression *self)
{
    return self->reads == READS_N || self->reads == READS_STATUS || self->reads == READS_NULL ||
           self->reads == READS_OUTPUT;
}

const char *plan_text(const struct plan_expression *self)
{
    return self->reads == READS_NOTHING ? NULL : self->text;
}

/* Of a node that has this one as a source: what is read makes no edge that there is not. */
static uint32_t draw_source(const struct plan_node *node, struct prng *prng)
{
    return node->sources[prng_between(prng, 0, (int64_t)node->sources_count - 1)];
}

static void draw_condition(const struct plan_workflow *workflow, const struct plan_node *node,
                           struct plan_expression *self, struct prng *prng)
{
    int64_t kind = prng_between(prng, 0, 99);
    bool alone = node->sources_count == 0;
    if (!alone)
        self->node = draw_source(node, prng);
    self->bound = (uint32_t)prng_between(prng, 0, 6);
    if (kind < 4)
        self->reads = prng_chance(prng, 500) ? READS_NUMBER : READS_LACKING;
    else if (kind < 14)
        self->reads = READS_TRUE;
    else if (kind < 20)
        self->reads = READS_FALSE;
    else if (kind < 40)
        self->reads = READS_FLAG;
    else if (kind < 55 || alone)
        self->reads = READS_SIZE;
    else
        self->reads = kind < 70 ? READS_N : kind < 85 ? READS_STATUS : READS_NULL;
    self->negated = prng_chance(prng, 300);
    write_text(workflow, self);
}

static void draw_items(const struct plan_workflow *workflow, struct plan_node *node,
                       struct prng *prng)
{
    static const enum plan_reads lists[] = {READS_LIST,    READS_LIST,    READS_LIST,
                                            READS_NUMBERS, READS_NUMBERS, READS_NUMBERS,
                                            READS_EMPTY,   READS_NUMBER,  READS_LACKING};
    struct plan_expression *self = &node->items;
    self->reads = lists[prng_between(prng, 0, sizeof lists / sizeof lists[0] - 1)];
    if (node->sources_count > 0 && prng_chance(prng, 250)) {
        self->reads = READS_OUTPUT;
        self->node = draw_source(node, prng);
        for (uint32_t i = 0; i < node->sources_count; i++)
            if (workflow->nodes[node->sources[i]].items.reads != READS_NOTHING)
                self->node = node->sources[i];
    }
    node->items_parallel = prng_chance(prng, 650) ? (uint32_t)prng_between(prng, 1, 3) : 0;
    write_text(workflow, self);
}

bool plan_waits(const struct plan_node *self)
{
    return self->kind == DAG_APPROVE || self->kind == DAG_WAIT || self->kind == DAG_SIGNAL;
}

bool plan_gives_n(const struct plan_node *self)
{
    return self->kind == DAG_AGENT && self->items.reads == READS_NOTHING;
}

static void draw_wait(struct plan_node *node, struct prng *prng)
{
    static const enum dag_kind kinds[] = {DAG_APPROVE, DAG_APPROVE, DAG_SIGNAL, DAG_WAIT};
    node->kind = kinds[prng_between(prng, 0, 3)];
    node->agent = node->fallback = 0;
    node->on_error = node->on_error == DAG_FALLBACK ? DAG_CONTINUE : node->on_error;
    node->wait_us = prng_skewed(prng, 1, 20 * LIMIT_SECOND_US);
    node->signal = prng_chance(prng, 500) ? "go" : "now";
    node->timeout_us = prng_chance(prng, 500) ? prng_skewed(prng, 1, 30 * LIMIT_SECOND_US) : 0;
    node->on_expiry = prng_chance(prng, 400);
    if (node->kind == DAG_APPROVE && prng_chance(prng, 500))
        node->show = prng_chance(prng, 80) ? SHOWS_LACKING : SHOWS_K;
}

bool plan_adds_index(const struct plan_node *self)
{
    return self->kind == DAG_WORKFLOW && self->items.reads != READS_NOTHING;
}

/* A later one; now and then itself, which ends by its limit of depth alone, and so by one node of
 * it: neither makes more executions than the world can end. How many more may run another one. */
static uint32_t draw_sub(const struct plan *plan, const struct plan_workflow *workflow,
                         struct plan_node *node, uint32_t most, struct prng *prng)
{
    uint32_t own = (uint32_t)(workflow - plan->workflows), last = plan->workflows_count - 1;
    bool itself = prng_chance(prng, 30) && most == SUBS_MOST;
    if (own == last && !itself)
        return most;
    node->kind = DAG_WORKFLOW;
    node->workflow = itself ? own : (uint32_t)prng_between(prng, own + 1, last);
    node->agent = node->fallback = 0;
    node->on_error = node->on_error == DAG_FALLBACK ? DAG_CONTINUE : node->on_error;
    if (node->retry.attempts > 2 || itself)
        node->retry.attempts = itself ? 1 : 2;
    node->timeout_us *= 4;
    return itself ? 0 : most - 1;
}

const char *plan_member_name(enum plan_member member)
{
    static const char *const names[] = {"a", "b", "c", "x", "y", "m"};
    return names[member];
}

value_t *plan_set(const struct plan_node *self)
{
    char text[EXPRESSION_BYTES];
    value_t *set = value_map(), *m = value_map();
    if (self->patches_count == 0)
        value_destroy(&set);
    for (uint32_t i = 0; i < self->patches_count; i++) {
        const struct plan_patch *patch = &self->patches[i];
        bool inner = patch->member == MEMBER_X || patch->member == MEMBER_Y;
        value_t *value = NULL;
        (void)snprintf(text, sizeof text, "{{%s.n}}", self->id);
        switch (patch->gives) {
        case GIVES_NUMBER: value = value_int(patch->number); break;
        case GIVES_NULL: value = value_null(); break;
        case GIVES_K: value = value_string("{{input.k}}"); break;
        case GIVES_A: value = value_string("{{(has(context.a) ? context.a : 0) + 1}}"); break;
        case GIVES_OWN_N: value = value_string(text); break;
        case GIVES_NOTHING: value = value_string("{{input.lacks}}"); break;
        }
        value_set(inner ? m : set, plan_member_name(patch->member), &value);
        if (inner) {
            value_t *copy = value_copy(m);
            value_set(set, "m", &copy);
        }
    }
    value_destroy(&m);
    return set;
}

static void draw_patches(struct plan_node *node, struct prng *prng)
{
    node->patches_count = (uint32_t)prng_between(prng, 1, PATCHES_MOST);
    enum plan_member first = (enum plan_member)prng_between(prng, MEMBER_A, MEMBER_M);
    for (uint32_t i = 0; i < node->patches_count; i++) {
        struct plan_patch *patch = &node->patches[i];
        int64_t gives = prng_between(prng, 0, 99);
        patch->member = i == 0 ? first : first == MEMBER_A ? MEMBER_X : first - 1;
        if (first == MEMBER_M && i > 0)
            patch->member = MEMBER_A;
        patch->number = prng_between(prng, 0, 99);
        patch->gives = gives < 30   ? GIVES_NUMBER
                       : gives < 45 ? GIVES_NULL
                       : gives < 60 ? GIVES_K
                       : gives < 97 ? GIVES_A
                                    : GIVES_NOTHING;
        if (node->kind == DAG_AGENT && prng_chance(prng, 250))
            patch->gives = GIVES_OWN_N;
        if (patch->member == MEMBER_M)
            patch->gives = GIVES_NULL;
    }
}

void plan_draw_rules(const struct plan *plan, struct plan_workflow *workflow, struct prng *prng)
{
    bool conditions = prng_chance(prng, 500), maps = prng_chance(prng, 400);
    bool sets = prng_chance(prng, 500);
    bool waits = plan->people && prng_chance(prng, 700);
    uint32_t subs = plan->subs ? SUBS_MOST : 0;
    for (uint32_t i = 0; i < workflow->nodes_count; i++) {
        struct plan_node *node = &workflow->nodes[i];
        if (waits && prng_chance(prng, 250))
            draw_wait(node, prng);
        if (sets && !plan_waits(node) && prng_chance(prng, 120)) {
            node->kind = DAG_SET;
            node->agent = node->fallback = 0;
            node->on_error = node->on_error == DAG_FALLBACK ? DAG_CONTINUE : node->on_error;
        }
        if (subs > 0 && node->kind == DAG_AGENT && prng_chance(prng, 400))
            subs = draw_sub(plan, workflow, node, subs, prng);
        if (node->kind == DAG_SET || (sets && prng_chance(prng, 300)))
            draw_patches(node, prng);
        node->reads_context = sets && prng_chance(prng, 400);
        if (conditions && prng_chance(prng, 300))
            draw_condition(workflow, node, &node->condition, prng);
        for (uint32_t s = 0; conditions && s < node->sources_count; s++)
            if (prng_chance(prng, 250))
                draw_condition(workflow, node, &node->edge_ifs[s], prng);
        bool again = node->kind == DAG_WORKFLOW && node->workflow == workflow - plan->workflows;
        if (maps && !again && prng_chance(prng, 300))
            draw_items(workflow, node, prng);
    }
}
