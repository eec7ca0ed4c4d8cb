/* What a schedule starts when its time has come, or has come and gone while nobody looked. Pure.
 * Times are UTC microseconds, as everywhere outside of schedule/. */
#ifndef AF_SCHEDULE_DUE_H
#define AF_SCHEDULE_DUE_H

#include "schedule/cron.h"

enum missed {
    MISSED_ONCE, /* one run for all that were missed, the newest */
    MISSED_SKIP, /* none for those more than LIMIT_RUN_LATE_US late */
    MISSED_ALL,  /* each, the newest LIMIT_MISSED_RUNS at most */
};

struct due {
    int64_t run_us;  /* the time to run for; 0: none */
    int64_t next_us; /* the next time to look at, which may have come already; INT64_MAX: never */
    bool left_out;   /* some earlier times are not run for */
};

/* The first time after this one. */
int64_t due_next(const struct cron *cron, const zone_t *zone, int64_t after_us);
/* next_us: the time that was to be looked at next, which has come. What it gives next is later than
 * what it runs for, and than next_us. */
struct due due_now(const struct cron *cron, const zone_t *zone, enum missed missed,
                   int64_t next_us, int64_t now_us);

#endif
