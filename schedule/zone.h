/* Time zones as the IANA database has them, from the files of the machine (TZif, RFC 8536). All
 * times are seconds: UTC since 1970, or local, which is what a clock on the wall shows, counted as if
 * it were UTC. A zone doesn't change once it is read. */
#ifndef AF_SCHEDULE_ZONE_H
#define AF_SCHEDULE_ZONE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

typedef struct zone zone_t;

/* "Europe/Berlin". "UTC" needs no file. ERR_INVALID: not a name; ERR_NOT_FOUND: the machine has no
 * such zone; ERR_MALFORMED. */
int zone_open(const char *name, zone_t **ret_zone, struct err *err) MUST_CHECK;
/* The same, of the bytes of a file. ERR_MALFORMED. */
int zone_parse(struct bytes file, zone_t **ret_zone, struct err *err) MUST_CHECK;
void zone_destroy(zone_t **self_p);

/* Seconds east of UTC. */
int32_t zone_offset(const zone_t *self, int64_t utc_s);
/* When a clock shows this time. What it skips maps to the moment of the skip; of what it shows
 * twice, the first time, or the last one. */
int64_t zone_utc(const zone_t *self, int64_t local_s, bool last);

/* --- zone_rule.c: what a file says of the time after its last entry, as POSIX has it in TZ ------ */

struct zone_day {
    char kind;      /* 'M': of a month, 'J': of a year without leap days, '0': of a year, from 0 */
    int month, week, day;
    int32_t time_s; /* after midnight, local */
};

struct zone_rule {
    int32_t offset;         /* seconds east */
    bool changes;           /* whether there is another time in a part of the year */
    int32_t summer_offset;
    struct zone_day begins, ends; /* of that */
};

/* "CET-1CEST,M3.5.0,M10.5.0/3". ERR_MALFORMED. */
int zone_rule_parse(const char *text, struct zone_rule *ret_rule, struct err *err) MUST_CHECK;
int32_t zone_rule_offset(const struct zone_rule *self, int64_t utc_s);

/* --- days -------------------------------------------------------------------------------------- */

#define DAY_S 86400

/* Days since 1970-01-01 in the Gregorian calendar; month 1 to 12. */
int64_t day_number(int64_t year, int month, int day);
void day_date(int64_t number, int64_t *ret_year, int *ret_month, int *ret_day);
int day_of_week(int64_t number); /* 0: Sunday */
int days_of_month(int64_t year, int month);
/* Rounds down, also below 0. */
int64_t day_of(int64_t seconds);

#endif
