/* A binary heap of deadlines. Timers are embedded in what they wake; the heap borrows them. One
 * thread. Adding, moving and removing are O(log n), the next one O(1), so that a thousand idle links
 * cost nothing between their beats. */
#ifndef AF_COORDINATOR_TIMERS_H
#define AF_COORDINATOR_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct timer {
    int64_t at_us;
    size_t place; /* in the heap, from 1; 0: not set */
};

struct timers {
    struct timer **heap; /* from 1 */
    size_t count, capacity;
};

void timers_release(struct timers *self);
void timers_set(struct timers *self, struct timer *timer, int64_t at_us); /* adds or moves */
void timers_unset(struct timers *self, struct timer *timer); /* harmless when not set */
int64_t timers_next(const struct timers *self);              /* INT64_MAX: none */
/* Takes out the earliest timer that is due at now_us; NULL: none. */
struct timer *timers_due(struct timers *self, int64_t now_us);

#endif
