#include "tests/sim/prng.h"

uint64_t prng_next(struct prng *self)
{
    uint64_t x = self->state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

int64_t prng_between(struct prng *self, int64_t low, int64_t high)
{
    if (high <= low)
        return low;
    return low + (int64_t)(prng_next(self) % (uint64_t)(high - low + 1));
}

bool prng_chance(struct prng *self, int64_t permille)
{
    return prng_between(self, 0, 999) < permille;
}

int64_t prng_skewed(struct prng *self, int64_t low, int64_t high)
{
    int64_t most = prng_between(self, low, high);
    most = prng_between(self, low, most);
    return prng_between(self, low, most);
}
