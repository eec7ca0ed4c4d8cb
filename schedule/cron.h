/* Cron expressions: minute, hour, day of month, month, day of week. Each field is a list of numbers,
 * names (jan, mon), ranges a-b, `*`, with steps /n; or the whole is @hourly, @daily, @weekly,
 * @monthly, @yearly. 0 and 7 are Sunday. When both days are restricted, either will do, as Vixie's
 * cron has it. */
#ifndef AF_SCHEDULE_CRON_H
#define AF_SCHEDULE_CRON_H

#include "schedule/zone.h"

struct cron {
    uint64_t minutes; /* bit n: minute n; the same below */
    uint32_t hours, days, months, weekdays;
    bool any_day, any_weekday; /* the field begins with `*` */
};

/* ERR_INVALID: names the field and says what may stand there; err->column is where, from 1. Also for
 * what never comes, such as February 30. */
int cron_parse(const char *text, struct cron *ret_cron, struct err *err) MUST_CHECK;

/* The first time after this one, in seconds of UTC; INT64_MAX: there is none within forty years. What
 * the clock skips comes at the moment of the skip. What it shows twice comes once, the first time;
 * but with every hour (`*`) an hour that comes twice counts twice. */
int64_t cron_next(const struct cron *self, const zone_t *zone, int64_t after_s);

#endif
