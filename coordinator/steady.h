/* A UTC clock that never jumps: it advances with the machine's monotonic clock and leans towards the
 * real one, so that setting the clock neither delays a retry by hours nor cuts short the wait for
 * claims after a restart. Pure; a plain struct, {0} before the first reading. */
#ifndef AF_COORDINATOR_STEADY_H
#define AF_COORDINATOR_STEADY_H

#include <stdint.h>

struct steady {
    int64_t utc_us, mono_us; /* of the last reading */
};

/* Of the time that passed, at most one part in this many is gained or lost to come nearer. */
#define STEADY_LEAN 20

/* Both clocks as they are now; mono_us never goes back. Returns UTC microseconds, never less than
 * the reading before. */
int64_t steady_read(struct steady *self, int64_t utc_us, int64_t mono_us);

#endif
