#include "base/hash.h"

#include "base/err.h"
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

/* The mixing step multiplies two 64-bit words into 128 bits and folds the halves: each round takes
 * 16 bytes, and every input word is covered by a secret word first. */
static struct {
    uint64_t a, b, c;
} secret;
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

static void make_secret(void)
{
    CHECK(getrandom(&secret, sizeof secret, 0) == (ssize_t)sizeof secret);
    secret.a |= 1;
    secret.b |= 1;
    secret.c |= 1;
}

static inline uint64_t mix(uint64_t x, uint64_t y)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)x * y;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t load_word(const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

static inline uint64_t load_tail(const uint8_t *data, size_t size)
{
    uint64_t word = 0;
    memcpy(&word, data, size);
    return word;
}

uint64_t hash_bytes(const void *data, size_t size)
{
    pthread_once(&secret_once, make_secret);
    const uint8_t *rest = data;
    size_t left = size;
    uint64_t state = secret.a ^ (uint64_t)size;
    for (; left > 16; rest += 16, left -= 16)
        state = mix(load_word(rest) ^ secret.b, load_word(rest + 8) ^ secret.c ^ state);
    uint64_t low = 0;
    uint64_t high = 0;
    if (left >= 8) {
        low = load_word(rest);
        high = load_word(rest + left - 8);
    } else if (left > 0) {
        low = load_tail(rest, left);
    }
    state = mix(low ^ secret.b, high ^ secret.c ^ state);
    return mix(state ^ secret.a, secret.c);
}
