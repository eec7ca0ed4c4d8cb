#include "tests/sim/script.h"

#include <string.h>

uint64_t script_mix(uint64_t seed, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        seed = (seed ^ bytes[i]) * 0x100000001b3u;
    return seed ^ seed >> 29;
}

static uint32_t depth_of(const char *path)
{
    uint32_t depth = 0;
    for (; *path; path++)
        depth += *path == '/';
    return depth;
}

/* --- calls ------------------------------------------------------------------------------------ */

static void add_call(value_t *calls, const char *tool, value_t **arguments_p)
{
    value_t *call = value_map();
    value_set_string(call, "tool", tool);
    value_set(call, "arguments", arguments_p);
    value_append(calls, &call);
}

static const char *draw_delegate(const struct plan *plan, const struct plan_agent *agent,
                                 struct prng *prng)
{
    int64_t kind = prng_between(prng, 0, 99);
    uint32_t from = (uint32_t)prng_between(prng, 0, plan->agents_count - 1);
    for (uint32_t i = 0; kind < 82 && i < plan->agents_count; i++) {
        uint32_t at = (from + i) % plan->agents_count;
        if (agent->talk.may[at])
            return plan->agents[at].name;
    }
    return kind < 95 ? plan->agents[from].name : "nobody";
}

static void add_delegation(const struct plan *plan, const struct plan_agent *agent, value_t *calls,
                           bool hand_off, struct prng *prng)
{
    value_t *arguments = value_map(), *message = value_map();
    value_set_int(message, "k", prng_between(prng, 0, 3));
    value_set_string(arguments, "agent", draw_delegate(plan, agent, prng));
    value_set(arguments, "message", &message);
    if (prng_chance(prng, 100)) {
        value_t *context = value_string("as was said");
        value_set(arguments, "context", &context);
    }
    if (hand_off)
        value_set_bool(arguments, "hand_off", true);
    add_call(calls, "delegate_to_agent", &arguments);
}

static void add_patch(value_t *calls, struct prng *prng)
{
    static const char *const keys[] = {"a", "b", "c"};
    value_t *arguments = value_map(), *patch = value_map();
    const char *key = keys[prng_between(prng, 0, 2)];
    value_t *nothing = value_null();
    if (prng_chance(prng, 250))
        value_set(patch, key, &nothing);
    else
        value_set_int(patch, key, prng_between(prng, 0, 9));
    value_destroy(&nothing);
    value_set(arguments, "patch", &patch);
    add_call(calls, "context_set", &arguments);
}

static void add_read(value_t *calls, struct prng *prng)
{
    value_t *arguments = value_map();
    if (prng_chance(prng, 500))
        value_set_string(arguments, "path", prng_chance(prng, 500) ? "a" : "a.b[0");
    add_call(calls, "context_get", &arguments);
}

/* A tool that there is not, or arguments that make no sense. */
static void add_wrong(value_t *calls, struct prng *prng)
{
    value_t *arguments = value_map();
    value_set_int(arguments, "what", 1);
    add_call(calls, prng_chance(prng, 500) ? "nothing" : "delegate_to_agent", &arguments);
}

static void add_any(const struct plan *plan, const struct plan_agent *agent, value_t *calls,
                    struct prng *prng)
{
    int64_t kind = prng_between(prng, 0, 99);
    value_t *nothing = value_map();
    if (kind < 48)
        add_delegation(plan, agent, calls, kind == 0, prng);
    else if (kind < 62)
        add_call(calls, "look", &nothing);
    else if (kind < 76)
        add_call(calls, "act", &nothing);
    else if (kind < 82)
        add_wrong(calls, prng);
    else if (kind < 90)
        add_patch(calls, prng);
    else if (kind < 96)
        add_read(calls, prng);
    else
        add_call(calls, "list_agents", &nothing);
    value_destroy(&nothing);
}

static value_t *draw_calls(const struct plan *plan, const struct plan_agent *agent,
                           const struct wire_call_key *key, struct prng *prng)
{
    value_t *calls = value_list();
    uint32_t depth = depth_of(key->path);
    int64_t last = 200 + 150 * (int64_t)(key->turn - 1) + 120 * (int64_t)depth;
    if (prng_chance(prng, last))
        return calls;
    if (prng_chance(prng, 120)) {
        add_delegation(plan, agent, calls, true, prng);
        return calls;
    }
    int64_t count = prng_skewed(prng, 1, depth == 0 ? 7 : 4);
    for (int64_t i = 0; i < count; i++)
        add_any(plan, agent, calls, prng);
    return calls;
}

/* --- the answer ------------------------------------------------------------------------------- */

/* It says by itself which turn of whom it is, and has what expressions of workflows read. */
static value_t *content_of(const struct plan_agent *agent, const struct wire_call_key *key,
                           struct prng *prng)
{
    value_t *content = value_map();
    if (agent->talk.def.output && prng_chance(prng, 250))
        value_set_string(content, "n", "of no use");
    else
        value_set_int(content, "n", prng_between(prng, 0, 9));
    value_set_string(content, "path", key->path);
    value_set_int(content, "attempt", key->attempt);
    value_set_int(content, "turn", key->turn);
    return content;
}

void script_answer(const struct plan *plan, const struct wire_call_key *key, const char *agent,
                   struct bytes request, struct script_answer *ret_answer)
{
    uint32_t index = plan_agent_index(plan, agent);
    uint64_t seed = script_mix(plan->script_seed, request.data, request.size);
    seed = script_mix(seed, key->execution.bytes, sizeof key->execution.bytes);
    seed = script_mix(seed, key->path, strlen(key->path));
    struct prng prng = {script_mix(seed, &key->turn, sizeof key->turn)};
    CHECK(index != UINT32_MAX);
    ret_answer->input_tokens = (uint64_t)prng_skewed(&prng, 10, 4000);
    ret_answer->output_tokens = (uint64_t)prng_skewed(&prng, 1, 4000);
    if (prng_chance(&prng, 40)) {
        ret_answer->error = "overloaded";
        ret_answer->permanent = prng_chance(&prng, 300);
        return;
    }
    value_t *turn = value_map(), *content = content_of(&plan->agents[index], key, &prng);
    value_t *calls = draw_calls(plan, &plan->agents[index], key, &prng);
    value_set(turn, "content", &content);
    value_set(turn, "calls", &calls);
    value_to_msgpack(turn, &ret_answer->turn);
    value_destroy(&turn);
}
