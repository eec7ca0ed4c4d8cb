/* The one source of chance: splitmix64. Everything that a run does follows from its seed, with
 * every compiler: draw once in an expression at the most, since their order within one is not
 * given. */
#ifndef AF_TESTS_SIM_PRNG_H
#define AF_TESTS_SIM_PRNG_H

#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t state;
};

uint64_t prng_next(struct prng *self);
/* low to high, both included. */
int64_t prng_between(struct prng *self, int64_t low, int64_t high);
/* True in so many of 1000 cases. */
bool prng_chance(struct prng *self, int64_t permille);
/* Mostly near low, seldom near high: durations of a real world. */
int64_t prng_skewed(struct prng *self, int64_t low, int64_t high);

#endif
