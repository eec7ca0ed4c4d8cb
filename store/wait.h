/* Condition variables that wait by the monotonic clock, so that a step of the wall clock neither
 * ends a wait early nor stretches it. */
#ifndef AF_STORE_WAIT_H
#define AF_STORE_WAIT_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline void wait_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    CHECK(pthread_condattr_init(&attributes) == 0);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(condition, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
}

static inline struct timespec wait_deadline(int64_t from_now_us)
{
    struct timespec deadline;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &deadline) == 0);
    int64_t nanoseconds = deadline.tv_nsec + from_now_us % 1000000 * 1000;
    deadline.tv_sec += from_now_us / 1000000 + nanoseconds / 1000000000;
    deadline.tv_nsec = nanoseconds % 1000000000;
    return deadline;
}

/* False when the deadline has passed. */
static inline bool wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex,
                             const struct timespec *deadline)
{
    return pthread_cond_timedwait(condition, mutex, deadline) == 0;
}

#endif
