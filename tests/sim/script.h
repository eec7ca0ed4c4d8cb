/* What the models of the simulated world say: a pure function of the plan's seed and of what is
 * asked. The same request has the same answer, whoever asks it, and however often. */
#ifndef AF_TESTS_SIM_SCRIPT_H
#define AF_TESTS_SIM_SCRIPT_H

#include "proto/wire.h"
#include "tests/sim/plan.h"

struct script_answer {
    struct buf turn;   /* MessagePack: {"content", "calls"} */
    const char *error; /* NULL: none */
    bool permanent;
    uint64_t input_tokens, output_tokens;
};
/* Fills in a zeroed answer. */
void script_answer(const struct plan *plan, const struct wire_call_key *key, const char *agent,
                   struct bytes request, struct script_answer *ret_answer);
/* A hash of the data, and of what came before it. */
uint64_t script_mix(uint64_t seed, const void *data, size_t size);

#endif
