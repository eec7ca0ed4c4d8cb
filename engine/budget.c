#include "base/limits.h"
#include "engine/decide.h"

/* What a turn may need at most, whether limits leave it, and who of those that wait gets what is
 * free.
 */

#define BASE_TOKENS     2048u /* instructions, tools, the message */
#define BYTES_PER_TOKEN 2u    /* fewer than any tokenizer needs for text */
#define PER_MILLION     1000000u

/* The most that the next turn may use; what is left of limits cuts it. */
static uint64_t bound_tokens(const struct exec *exec, uint32_t index)
{
    const struct pinned_agent *as = &task_pin(exec, index)->as;
    const struct task *task = &exec->tasks[index];
    uint64_t bytes = task->talk ? task->talk->bytes : 0;
    bytes += task->live->message_bytes;
    return BASE_TOKENS + bytes / BYTES_PER_TOKEN +
           (as->max_tokens > 0 ? as->max_tokens : LIMIT_TURN_OUTPUT_TOKENS);
}

static uint64_t bound_cost(const struct exec *exec, uint32_t index, uint64_t tokens)
{
    const struct pinned_agent *as = &task_pin(exec, index)->as;
    uint64_t price = as->input_price > as->output_price ? as->input_price : as->output_price;
    if (price > 0 && tokens > UINT64_MAX / price)
        return UINT64_MAX;
    return (tokens * price + PER_MILLION - 1) / PER_MILLION;
}

static const char *spent_text(struct call *call, const struct exec *exec, uint32_t index,
                              uint32_t limit, const char *what)
{
    const char *chain = talk_chain(&call->out->arena, exec, index);
    if (limit == NO_NODE)
        return arena_printf(&call->out->arena, "nothing is left of the execution's limits.%s: %s",
                            what, chain);
    return arena_printf(&call->out->arena, "nothing is left of limits.%s of agent \"%s\": %s", what,
                        task_pin(exec, limit)->agent->name, chain);
}

/* The whole of what the turn may need; or, while nobody else has any of it reserved, what is left.
 * False: it has to wait. */
static bool cut(const struct budget *budget, uint64_t *bound)
{
    if (*bound > budget->free && budget->free < budget->left)
        return false;
    if (*bound > budget->left)
        *bound = budget->left;
    return true;
}

/* One that an instance had over a restart was not rendered by this process. */
static void measure(struct call *call, struct live *live)
{
    struct datum message;
    struct err err;
    if (live->message_bytes == 0 &&
        render_message(call, live->exec, live->node, &message, &err) == 0)
        live->message_bytes = datum_size(&message);
}

enum leave budget_judge(struct call *call, struct live *live, struct event_reserved *reserved,
                        const char **ret_why)
{
    const struct exec *exec = live->exec;
    uint32_t index = live->node;
    const struct pinned_agent *as = &task_pin(exec, index)->as;
    uint32_t turns = as->turns > 0 ? as->turns : LIMIT_TURNS;
    if (reserved->turn > turns) {
        *ret_why =
            arena_printf(&call->out->arena, "agent \"%s\" has taken %u turns, its limits.turns: %s",
                         as->name, turns, talk_chain(&call->out->arena, exec, index));
        return FORBIDDEN;
    }
    measure(call, live);
    struct budget tokens = ledger_tokens(exec, index), cost = ledger_cost(exec, index);
    if (tokens.left == 0 ||
        cost.left == 0) { /* also of one that would have to wait for the other */
        *ret_why = tokens.left == 0 ? spent_text(call, exec, index, tokens.limit, "tokens")
                                    : spent_text(call, exec, index, cost.limit, "cost");
        return FORBIDDEN;
    }
    reserved->tokens = bound_tokens(exec, index);
    if (!cut(&tokens, &reserved->tokens))
        return STARVES;
    reserved->cost_microusd = bound_cost(exec, index, reserved->tokens);
    return cut(&cost, &reserved->cost_microusd) ? LEAVE : STARVES;
}

/* --- those that wait -------------------------------------------------------------------------- */

/* What one pass places, by the limit that it is held to. */
struct share {
    uint32_t limit; /* as in struct budget */
    bool cost;
    bool full; /* somebody waits for it; so does everybody behind them */
    uint64_t taken;
};
struct shares {
    struct share *items;
    size_t count;
    bool full; /* the execution's own limit: nobody gets anything more */
};

static struct share *share_of(struct shares *self, uint32_t limit, bool cost)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->items[i].limit == limit && self->items[i].cost == cost)
            return &self->items[i];
    self->items[self->count] = (struct share){.limit = limit, .cost = cost};
    return &self->items[self->count++];
}

static bool fits(struct shares *self, struct share *share, const struct budget *budget,
                 uint64_t bound)
{
    uint64_t free = budget->free > share->taken ? budget->free - share->taken : 0;
    bool all_left = share->taken == 0 && budget->free == budget->left;
    if (!share->full && (bound <= free || all_left))
        return true;
    share->full = true;
    self->full |= share->limit == NO_NODE;
    return false;
}

static bool may_have(struct shares *shares, const struct live *live)
{
    struct budget tokens = ledger_tokens(live->exec, live->node);
    struct budget cost = ledger_cost(live->exec, live->node);
    uint64_t need = bound_tokens(live->exec, live->node);
    if (tokens.left == 0 || cost.left == 0)
        return true; /* to hear that it is forbidden, which needs nothing */
    uint64_t price = bound_cost(live->exec, live->node, need < tokens.left ? need : tokens.left);
    struct share *of_tokens = share_of(shares, tokens.tight, false);
    struct share *of_cost = share_of(shares, cost.tight, true);
    if (!fits(shares, of_tokens, &tokens, need) || !fits(shares, of_cost, &cost, price))
        return false;
    of_tokens->taken += need < tokens.free ? need : tokens.free;
    of_cost->taken += price < cost.free ? price : cost.free;
    return true;
}

static struct shares no_shares(struct call *call, const struct exec *exec)
{
    size_t most = 0;
    for (const struct list *at = exec->starved.next; at != &exec->starved; at = at->next)
        most++;
    return (struct shares){.items =
                               arena_alloc(&call->out->arena, 2 * most * sizeof(struct share))};
}

/* The next one, from *at on, that may have its share, in the order in which they came to wait:
 * nobody passes one that waits for the same limit. NULL: there is none. */
static struct live *next_fed(struct shares *shares, const struct exec *exec, struct list **at)
{
    while (*at != &exec->starved && !shares->full) {
        struct live *live = LIST_OWNER(*at, struct live, link);
        *at = (*at)->next;
        if (may_have(shares, live))
            return live;
    }
    return NULL;
}

static void feed_exec(struct call *call, struct exec *exec)
{
    struct shares shares = no_shares(call, exec);
    struct list *at = exec->starved.next;
    struct live *live;
    while ((live = next_fed(&shares, exec, &at))) {
        live_idle(call->engine, live);
        place(call, live);
    }
}

void feed(struct call *call)
{
    engine_t *engine = call->engine;
    while (!list_empty(&engine->fed)) {
        struct exec *exec = LIST_OWNER(engine->fed.next, struct exec, fed);
        if (!list_empty(&exec->starved))
            feed_exec(call, exec);
        list_remove(&exec->fed);
        if (!list_empty(&exec->starved) && list_empty(&exec->tried))
            list_push_back(&engine->tried, &exec->tried);
    }
}

/* Who got a share may have failed, or found no instance, and has reserved nothing: its end would
 * free nothing. So those behind it are looked at again. */
void feed_again(struct call *call)
{
    engine_t *engine = call->engine;
    while (!list_empty(&engine->tried)) {
        struct exec *exec = LIST_OWNER(engine->tried.next, struct exec, tried);
        struct shares shares = no_shares(call, exec);
        struct list *at = exec->starved.next;
        list_remove(&exec->tried);
        if (next_fed(&shares, exec, &at))
            feed_later(engine, exec);
    }
}
