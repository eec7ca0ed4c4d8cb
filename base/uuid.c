#include "base/typeid.h"

#include "base/clock.h"
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

/* RFC 9562, section 5.7: 48 bits of milliseconds, 4 of version, 12 random, 2 of variant, 62 random.
 */
struct uuid uuid_v7(int64_t time_us, const uint8_t random[10])
{
    uint64_t ms = time_us > 0 ? (uint64_t)time_us / 1000 : 0;
    struct uuid id;
    for (unsigned i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    memcpy(id.bytes + 6, random, 10);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x70);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    return id;
}

static uint64_t load_big(const uint8_t *bytes)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++)
        word = word << 8 | bytes[i];
    return word;
}

static void store_big(uint8_t *bytes, uint64_t word)
{
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(word >> (56 - 8 * i));
}

/* The next id after one: its lower 62 random bits plus a step; what overflows goes to the upper 12
 * and from there to the time, with version and variant left out of the sum. */
static struct uuid advance(struct uuid id, uint32_t step)
{
    const uint64_t low_mask = (UINT64_C(1) << 62) - 1;
    uint64_t high = load_big(id.bytes);
    uint64_t low = (load_big(id.bytes + 8) & low_mask) + step + 1;
    if (low > low_mask) {
        uint64_t time_and_random = (high >> 16 << 12 | (high & 0xfff)) + 1;
        high = time_and_random >> 12 << 16 | 0x7000 | (time_and_random & 0xfff);
    }
    store_big(id.bytes, high);
    store_big(id.bytes + 8, (low & low_mask) | UINT64_C(1) << 63);
    return id;
}

struct uuid uuid_new(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static struct uuid last;
    uint8_t random[10];
    CHECK(getrandom(random, sizeof random, 0) == (ssize_t)sizeof random);
    struct uuid id = uuid_v7(clock_utc_us(), random);
    pthread_mutex_lock(&mutex);
    if (uuid_compare(id, last) <= 0) {
        uint32_t step;
        memcpy(&step, random, sizeof step);
        id = advance(last, step);
    }
    last = id;
    pthread_mutex_unlock(&mutex);
    return id;
}

bool uuid_equal(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

int uuid_compare(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes);
}

bool uuid_is_nil(struct uuid id)
{
    return uuid_equal(id, (struct uuid){0});
}

static uint64_t scramble(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x9e6c63d0676a9a99);
    x ^= x >> 29;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

uint64_t uuid_hash(struct uuid id)
{
    return scramble(load_big(id.bytes) + scramble(load_big(id.bytes + 8)));
}
