#include "egress/usage.h"

#include "base/limits.h"

enum { PRICED_TOKENS = 1000000 };

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* In two halves of a division, so that nothing overflows: tokens is at most LIMIT_USAGE, and what
 * it is multiplied with at most a million. */
static uint64_t cost_of(uint64_t tokens, uint64_t price, uint64_t *rest)
{
    uint64_t whole = price / PRICED_TOKENS, part = price % PRICED_TOKENS;
    if (whole && tokens > LIMIT_USAGE / whole)
        return LIMIT_USAGE;
    uint64_t product = tokens * part;
    *rest += product % PRICED_TOKENS;
    return whole * tokens + product / PRICED_TOKENS;
}

struct wire_usage usage_settle(uint64_t input_tokens, uint64_t output_tokens,
                               struct usage_prices prices, uint64_t tokens_max, uint64_t cost_max)
{
    uint64_t most = tokens_max ? least(tokens_max, LIMIT_USAGE) : LIMIT_USAGE;
    uint64_t rest = 0;
    struct wire_usage usage = {.input_tokens = least(input_tokens, most)};
    usage.output_tokens = least(output_tokens, most - usage.input_tokens);
    uint64_t cost = cost_of(usage.input_tokens, prices.input, &rest) +
                    cost_of(usage.output_tokens, prices.output, &rest);
    cost += (rest + PRICED_TOKENS - 1) / PRICED_TOKENS;
    cost = least(cost, LIMIT_USAGE);
    usage.cost_microusd = cost_max ? least(cost, cost_max) : cost;
    return usage;
}
