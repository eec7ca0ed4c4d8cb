#include "schedule/due.h"

#include "base/limits.h"

#define WINDOW_S 3600 /* to look back over first; four times as much each time after */

/* The newest times up to now. */
struct times {
    int64_t at_s[LIMIT_MISSED_RUNS]; /* a ring: the oldest is at `first` */
    size_t first, count, most;
};

static void put(struct times *self, int64_t at_s)
{
    self->at_s[(self->first + self->count) % self->most] = at_s;
    if (self->count < self->most)
        self->count++;
    else
        self->first = (self->first + 1) % self->most;
}

static int64_t time_at(const struct times *self, size_t index)
{
    return self->at_s[(self->first + index) % self->most];
}

/* Looks back over more and more, since a long absence may have missed very many. */
static void gather(struct times *self, const struct cron *cron, const zone_t *zone, int64_t from_s,
                   int64_t now_s)
{
    for (int64_t window_s = WINDOW_S;; window_s *= 4) {
        int64_t begin_s = now_s - window_s > from_s ? now_s - window_s : from_s;
        self->first = self->count = 0;
        for (int64_t at_s = begin_s - 1; (at_s = cron_next(cron, zone, at_s)) <= now_s;)
            put(self, at_s);
        if (self->count == self->most || begin_s == from_s)
            return;
    }
}

static int64_t to_us(int64_t seconds)
{
    return seconds == INT64_MAX ? INT64_MAX : seconds * LIMIT_SECOND_US;
}

static int64_t to_s(int64_t us)
{
    return us >= 0 ? us / LIMIT_SECOND_US : 0;
}

int64_t due_next(const struct cron *cron, const zone_t *zone, int64_t after_us)
{
    return to_us(cron_next(cron, zone, to_s(after_us)));
}

struct due due_now(const struct cron *cron, const zone_t *zone, enum missed missed, int64_t next_us,
                   int64_t now_us)
{
    struct times times = {.most = missed == MISSED_ALL ? LIMIT_MISSED_RUNS : 1};
    int64_t now_s = to_s(now_us);
    gather(&times, cron, zone, to_s(next_us), now_s);
    struct due due = {.next_us = to_us(cron_next(cron, zone, now_s))};
    if (times.count == 0)
        return due; /* the zone's rules have changed meanwhile */
    due.run_us = to_us(time_at(&times, 0));
    if (times.count > 1)
        due.next_us = to_us(time_at(&times, 1));
    due.left_out = due.run_us > next_us;
    if (missed == MISSED_SKIP && now_us - due.run_us > LIMIT_RUN_LATE_US) {
        due.run_us = 0;
        due.left_out = true;
    }
    return due;
}
