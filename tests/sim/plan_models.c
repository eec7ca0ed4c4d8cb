#include "tests/sim/plan.h"

#include "base/limits.h"

#include <stdio.h>
#include <string.h>

/* Agents that models answer: whom they may ask, and how much. What they say is up to the script
 * (script.h). */

#define MS     1000LL
#define SECOND LIMIT_SECOND_US

/* Whom each of them means is written out here, so that nobody has to match globs to check them. */
struct pattern {
    char *glob;
    uint32_t from, count; /* of the programs, or the models */
    bool models, programs;
};
static char ALL[] = "*", MODELS[] = "model*", PROGRAMS[] = "agent*", ONE_MODEL[] = "model?";
static char NAMES[AGENTS_MOST][8] = {"agent0", "agent1", "agent2", "model0",
                                     "model1", "model2", "model3"};
static const struct pattern PATTERNS[] = {
    {ALL, 0, AGENTS_MOST, true, true},       {MODELS, 0, AGENTS_MOST, true, false},
    {PROGRAMS, 0, AGENTS_MOST, false, true}, {ONE_MODEL, 0, AGENTS_MOST, true, false},
    {NAMES[0], 0, 1, false, true},           {NAMES[1], 1, 1, false, true},
    {NAMES[2], 2, 1, false, true},           {NAMES[3], 0, 1, true, false},
    {NAMES[4], 1, 1, true, false},           {NAMES[5], 2, 1, true, false},
    {NAMES[6], 3, 1, true, false},
};
#define PATTERNS_COUNT ((int64_t)(sizeof PATTERNS / sizeof PATTERNS[0]))

static void mean(const struct plan *plan, struct plan_talk *talk, const struct pattern *pattern)
{
    uint32_t programs = plan->agents_count - plan->models_count;
    for (uint32_t i = 0; i < plan->agents_count; i++) {
        bool model = i >= programs;
        uint32_t number = model ? i - programs : i;
        if ((model ? pattern->models : pattern->programs) && number >= pattern->from &&
            number - pattern->from < pattern->count)
            talk->may[i] = true;
    }
}

static void draw_delegates(const struct plan *plan, struct plan_talk *talk, struct prng *prng)
{
    talk->delegates_count = (uint32_t)prng_between(prng, 1, DELEGATES_MOST);
    if (prng_chance(prng, 120))
        talk->delegates_count = 0;
    for (uint32_t i = 0; i < talk->delegates_count; i++) {
        int64_t most = prng_chance(prng, 750) ? 3 : PATTERNS_COUNT - 1;
        const struct pattern *pattern = &PATTERNS[prng_between(prng, 0, most)];
        talk->delegates[i] = pattern->glob;
        mean(plan, talk, pattern);
    }
}

static uint32_t some(struct prng *prng, int64_t permille, int64_t low, int64_t high)
{
    return prng_chance(prng, permille) ? (uint32_t)prng_between(prng, low, high) : 0;
}

static void define(struct plan_agent *agent)
{
    static char about[] = "", look[] = "look", act[] = "act";
    struct plan_talk *talk = &agent->talk;
    talk->tools[0] = (struct agent_tool){.name = look, .about = about, .repeat_safe = true};
    talk->tools[1] = (struct agent_tool){.name = act, .about = about};
    talk->def = (struct agent_def){.name = agent->name,
                                   .about = about,
                                   .answers = AGENT_MODEL,
                                   .tools = talk->tools,
                                   .tools_count = TOOLS_MOST,
                                   .delegates = talk->delegates,
                                   .delegates_count = talk->delegates_count};
}

/* What expressions of workflows read of it. */
static value_t *schema(void)
{
    static const char text[] = "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}},"
                               "\"required\":[\"n\"]}";
    value_t *value = NULL;
    CHECK(value_from_json(text, sizeof text - 1, &value, NULL) == 0);
    return value;
}

static void draw_model(const struct plan *plan, struct plan_agent *agent, struct prng *prng)
{
    struct plan_talk *talk = &agent->talk;
    agent->kind = KIND_MODEL;
    agent->timeout_us = prng_chance(prng, 300) ? prng_between(prng, 1000, 10000) * MS
                                               : prng_between(prng, 15, 90) * SECOND;
    agent->rerun_never = prng_chance(prng, 60);
    agent->duration_most_us = prng_chance(prng, 400) ? 300 * MS : 6 * SECOND; /* of its tools */
    draw_delegates(plan, talk, prng);
    talk->turns = some(prng, 300, 1, 8);
    talk->depth = some(prng, 300, 1, 4);
    talk->delegations = some(prng, 300, 1, 6);
    talk->same_delegation = some(prng, 400, 1, 3);
    talk->max_tokens = some(prng, 500, 50, 2000);
    talk->tokens = some(prng, 250, 3000, 40000);
    talk->cost = some(prng, 100, 5000, 150000);
    talk->input_price = some(prng, 700, 100000, 5000000);
    talk->output_price = some(prng, 700, 100000, 20000000);
    define(agent);
    if (prng_chance(prng, 400))
        talk->def.output = schema();
}

void plan_draw_models(struct plan *plan, struct prng *prng)
{
    uint32_t programs = plan->agents_count;
    plan->models_count = (uint32_t)prng_between(prng, 1, MODELS_MOST);
    plan->agents_count += plan->models_count;
    for (uint32_t i = programs; i < plan->agents_count; i++) {
        struct plan_agent *agent = &plan->agents[i];
        (void)snprintf(agent->name, sizeof agent->name, "model%u", i - programs);
        draw_model(plan, agent, prng);
    }
    plan->egresses_count = (uint32_t)prng_between(prng, 1, EGRESSES_MOST);
    plan->script_seed = prng_next(prng);
    plan->call_most_us = prng_chance(prng, 500) ? 300 * MS : 5 * SECOND;
    plan->narrow_egress = prng_chance(prng, 250);
    plan->parked_most = (uint32_t)prng_between(prng, 0, 8);
}
