/* What a call comes to: never more tokens than its grant gives, the output cut first, and never more
 * money, at the prices of the agent's definition. Pure. */
#ifndef AF_EGRESS_USAGE_H
#define AF_EGRESS_USAGE_H

#include "proto/wire.h"

struct usage_prices { uint64_t input, output; }; /* millionths of a dollar for a million tokens */

/* tokens_max, cost_max: of the grant; 0: no limit. The cost is rounded up. */
struct wire_usage usage_settle(uint64_t input_tokens, uint64_t output_tokens,
                               struct usage_prices prices, uint64_t tokens_max, uint64_t cost_max);

#endif
