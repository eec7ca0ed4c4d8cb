/* How fast commits and puts are on a given directory: 1, 10, 100 and 1,000 puts of 100-byte records
 * to a batch, in key order, each batch awaited; then small batches with 64 in flight, as a loop
 * submits them. One JSON line each.
 *
 *   store_bench DIRECTORY [SECONDS]      the directory gets a store and keeps it */
#include "base/limits.h"
#include "store/store.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VALUE_BYTES 100

static const char *const TABLES[] = {"journal", NULL};
static uint64_t counter;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void must(int code, const struct err *err)
{
    char text[512];
    if (code == 0)
        return;
    fprintf(stderr, "store_bench: %s\n", err_format(err, text, sizeof text));
    exit(1);
}

static void fill(store_batch_t *batch, unsigned puts)
{
    uint8_t key[16] = "benchmrk", value[VALUE_BYTES] = {0};
    store_batch_clear(batch);
    for (unsigned i = 0; i < puts; i++) {
        uint64_t number = ++counter;
        for (unsigned byte = 0; byte < 8; byte++)
            key[15 - byte] = (uint8_t)(number >> 8 * byte);
        memcpy(value, key, sizeof key);
        store_batch_put(batch, "journal", bytes_of(key, sizeof key), bytes_of(value, sizeof value));
    }
}

static void print(const char *how, unsigned puts, unsigned in_flight, uint64_t batches,
                  uint64_t commits, double seconds)
{
    printf("{\"how\":\"%s\",\"puts_per_batch\":%u,\"in_flight\":%u,\"commits_per_s\":%.0f,"
           "\"batches_per_s\":%.0f,\"puts_per_s\":%.0f,\"seconds\":%.2f}\n",
           how, puts, in_flight, (double)commits / seconds, (double)batches / seconds,
           (double)batches * puts / seconds, seconds);
    fflush(stdout);
}

static void bench_apply(store_t *store, unsigned puts, double seconds)
{
    struct err err;
    store_batch_t *batch = store_batch_new();
    uint64_t before = store_commits(store), batches = 0;
    double start = now(), elapsed;
    do {
        fill(batch, puts);
        must(store_apply(store, batch, &err), &err);
        batches++;
    } while ((elapsed = now() - start) < seconds);
    print("apply", puts, 1, batches, store_commits(store) - before, elapsed);
    store_batch_destroy(&batch);
}

/* Takes what has completed, waiting for one at least. */
static unsigned collect(store_t *store, store_batch_t **free_batches, unsigned free_count)
{
    struct store_completion completion;
    struct pollfd readable = {.fd = store_completion_fd(store), .events = POLLIN};
    poll(&readable, 1, -1);
    while (store_complete(store, &completion)) {
        must(completion.code, &completion.err);
        free_batches[free_count++] = completion.batch;
    }
    return free_count;
}

static void bench_submit(store_t *store, unsigned puts, double seconds)
{
    struct err err;
    store_batch_t *free_batches[LIMIT_STORE_IN_FLIGHT];
    unsigned free_count = 0;
    while (free_count < LIMIT_STORE_IN_FLIGHT)
        free_batches[free_count++] = store_batch_new();
    uint64_t before = store_commits(store), batches = 0;
    double start = now(), elapsed;
    do {
        while (free_count) {
            store_batch_t *batch = free_batches[--free_count];
            fill(batch, puts);
            must(store_submit(store, &batch, batches++, &err), &err);
        }
        free_count = collect(store, free_batches, free_count);
    } while ((elapsed = now() - start) < seconds);
    while (free_count < LIMIT_STORE_IN_FLIGHT)
        free_count = collect(store, free_batches, free_count);
    print("submit", puts, LIMIT_STORE_IN_FLIGHT, batches, store_commits(store) - before, elapsed);
    while (free_count)
        store_batch_destroy(&free_batches[--free_count]);
}

int main(int argc, char **argv)
{
    struct err err;
    store_t *store;
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 1.0;
    if (argc < 2) {
        fprintf(stderr, "usage: store_bench DIRECTORY [SECONDS]\n");
        return 2;
    }
    must(store_open(&(struct store_options){.path = argv[1], .tables = TABLES}, &store, &err),
         &err);
    counter = (uint64_t)time(NULL) << 32; /* after the keys of an earlier run */
    for (unsigned puts = 1; puts <= 1000; puts *= 10)
        bench_apply(store, puts, seconds);
    bench_submit(store, 1, seconds);
    bench_submit(store, 10, seconds);
    store_close(&store);
    return 0;
}
