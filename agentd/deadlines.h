/* A heap of deadlines that are embedded in what they belong to: setting, moving and clearing one
 * costs no memory. Pure; times are of whichever clock the owner uses, in microseconds. */
#ifndef AF_AGENTD_DEADLINES_H
#define AF_AGENTD_DEADLINES_H

#include <stddef.h>
#include <stdint.h>

struct deadline {
    int64_t at_us;
    size_t position; /* in the heap, from 1; 0: not set. {0} is valid */
};

struct deadlines {
    struct deadline **heap; /* from 1 */
    size_t count, capacity;
};

void deadlines_set(struct deadlines *self, struct deadline *deadline, int64_t at_us);
void deadlines_clear(struct deadlines *self, struct deadline *deadline);
struct deadline *deadlines_first(const struct deadlines *self); /* NULL: none is set */
void deadlines_release(struct deadlines *self);

#endif
