#include "schedule/cron.h"

#include "base/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ALL_HOURS 0xffffffu
#define YEARS     40          /* at most between two February 29 on one day of the week */
#define OVERLAP_S (26 * 3600) /* no clock is set back by more */

/* --- reading ---------------------------------------------------------------------------------- */

struct field {
    const char *title;
    int least, most;
    const char *const *names; /* NULL-terminated, from `least`; or NULL */
};

static const char *const MONTHS[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                     "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const WEEKDAYS[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };
static const struct field FIELD[FIELDS] = {
    [MINUTE] = {"minute", 0, 59, NULL},
    [HOUR] = {"hour", 0, 23, NULL},
    [DAY] = {"day of the month", 1, 31, NULL},
    [MONTH] = {"month", 1, 12, MONTHS},
    [WEEKDAY] = {"day of the week", 0, 7, WEEKDAYS},
};

struct reader {
    const char *text, *at;
    const struct field *field;
    struct err *err;
};

static int refuse(const struct reader *self, const char *what)
{
    const struct field *field = self->field;
    (void)err_set(self->err, ERR_INVALID, "the %s %s", field->title, what);
    err_fix(self->err,
            "write numbers from %d to %d%s%s, ranges such as %d-%d, lists with commas, * or steps "
            "such as */2",
            field->least, field->most, field->names ? ", names such as " : "",
            field->names ? field->names[1] : "", field->least + 1, field->least + 5);
    if (self->err)
        self->err->column = (unsigned)(self->at - self->text) + 1;
    return ERR_INVALID;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A number, or a name. */
static int read_value(struct reader *self, int *ret_value)
{
    const struct field *field = self->field;
    const char *begin = self->at;
    for (int i = 0; field->names && field->names[i]; i++)
        if (strncasecmp(self->at, field->names[i], 3) == 0) {
            self->at += 3;
            *ret_value = field->least + i;
            return 0;
        }
    int value = 0;
    while (is_digit(*self->at) && self->at - begin < 4)
        value = value * 10 + (*self->at++ - '0');
    if (self->at == begin)
        return refuse(self, "can't be read here");
    *ret_value = value;
    if (value >= field->least && value <= field->most)
        return 0;
    self->at = begin;
    return refuse(self, "lies outside its bounds");
}

static int read_step(struct reader *self, int *ret_step)
{
    const char *begin = ++self->at;
    int step = 0;
    while (is_digit(*self->at) && self->at - begin < 4)
        step = step * 10 + (*self->at++ - '0');
    *ret_step = step;
    if (step >= 1 && step <= self->field->most)
        return 0;
    self->at = begin;
    return refuse(self, "has a step that is no number within its bounds");
}

/* One part of a list. */
static int read_range(struct reader *self, uint64_t *bits)
{
    const struct field *field = self->field;
    int first = field->least, last = field->most, step = 1;
    bool alone = false;
    if (*self->at == '*') {
        self->at++;
    } else {
        if (read_value(self, &first))
            return ERR_INVALID;
        last = first;
        alone = *self->at != '-';
        if (!alone && (self->at++, read_value(self, &last)))
            return ERR_INVALID;
    }
    if (last < first)
        return refuse(self, "has a range that ends before it begins");
    if (*self->at == '/') {
        if (read_step(self, &step))
            return ERR_INVALID;
        if (alone)
            last = field->most;
    }
    for (int value = first; value <= last; value += step)
        *bits |= UINT64_C(1) << value;
    return 0;
}

static int read_field(struct reader *self, uint64_t *ret_bits, bool *ret_any)
{
    *ret_any = *self->at == '*';
    *ret_bits = 0;
    for (;;) {
        if (read_range(self, ret_bits))
            return ERR_INVALID;
        if (*self->at != ',')
            break;
        self->at++;
    }
    if (*self->at != '\0' && *self->at != ' ' && *self->at != '\t')
        return refuse(self, "can't be read here");
    return 0;
}

static int refuse_count(const struct reader *self, const char *what)
{
    (void)err_set(self->err, ERR_INVALID, "%s", what);
    err_fix(self->err, "write minute, hour, day of the month, month and day of the week, such as "
                       "\"0 9 * * 1-5\", or @hourly, @daily, @weekly, @monthly, @yearly");
    if (self->err)
        self->err->column = (unsigned)(self->at - self->text) + 1;
    return ERR_INVALID;
}

static int read_fields(struct reader *self, struct cron *cron)
{
    uint64_t bits[FIELDS];
    bool any[FIELDS];
    for (int i = 0; i < FIELDS; i++) {
        self->at += strspn(self->at, " \t");
        self->field = &FIELD[i];
        if (*self->at == '\0')
            return refuse_count(self, "the cron expression has fewer than five fields");
        if (read_field(self, &bits[i], &any[i]))
            return ERR_INVALID;
    }
    self->at += strspn(self->at, " \t");
    if (*self->at != '\0')
        return refuse_count(self, "the cron expression has more than five fields");
    *cron = (struct cron){.minutes = bits[MINUTE],
                          .hours = (uint32_t)bits[HOUR],
                          .days = (uint32_t)bits[DAY],
                          .months = (uint32_t)bits[MONTH],
                          .weekdays = (uint32_t)((bits[WEEKDAY] | bits[WEEKDAY] >> 7) & 0x7f),
                          .any_day = any[DAY],
                          .any_weekday = any[WEEKDAY]};
    return 0;
}

static const char *long_form(const struct reader *self)
{
    static const struct {
        const char *name, *fields;
    } NAMES[] = {
        {"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
        {"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
        {"@annually", "0 0 1 1 *"},
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
        if (strcasecmp(self->text, NAMES[i].name) == 0)
            return NAMES[i].fields;
    return NULL;
}

int cron_parse(const char *text, struct cron *ret_cron, struct err *err)
{
    struct reader reader = {.text = text, .at = text, .err = err};
    struct cron cron = {0};
    if (strlen(text) > LIMIT_CRON_BYTES)
        return refuse_count(&reader, "the cron expression is longer than 256 bytes");
    if (*text == '@') {
        reader.text = reader.at = long_form(&reader);
        if (!reader.text) {
            reader.text = reader.at = text;
            return refuse_count(&reader, "there is no such word for a time");
        }
    }
    int code = read_fields(&reader, &cron);
    if (code == 0) {
        zone_t *utc = NULL;
        CHECK(zone_open("UTC", &utc, NULL) == 0);
        reader.at = reader.text;
        if (cron_next(&cron, utc, 0) == INT64_MAX)
            code = refuse_count(&reader, "this day never comes");
        zone_destroy(&utc);
    }
    if (code == 0)
        *ret_cron = cron;
    return code;
}

/* --- asking ----------------------------------------------------------------------------------- */

static bool has_day(const struct cron *self, int64_t number, int day)
{
    bool day_fits = self->days >> day & 1;
    bool weekday_fits = self->weekdays >> day_of_week(number) & 1;
    if (self->any_day || self->any_weekday)
        return day_fits && weekday_fits;
    return day_fits || weekday_fits;
}

/* The next day from this one on, not after `last`; past it when there is none. */
static int64_t next_day(const struct cron *self, int64_t number, int64_t last)
{
    while (number <= last) {
        int64_t year;
        int month, day;
        day_date(number, &year, &month, &day);
        if (!(self->months >> month & 1))
            number += days_of_month(year, month) - day + 1;
        else if (has_day(self, number, day))
            return number;
        else
            number++;
    }
    return number;
}

/* The least bit from `from` on; -1: none. */
static int next_bit(uint64_t bits, int from)
{
    bits = from < 64 ? bits >> from : 0;
    return bits ? from + __builtin_ctzll(bits) : -1;
}

/* The next minute that fits, from this one on: both counted on the clock on the wall. INT64_MAX:
 * none up to `last_day`. */
static int64_t next_minute(const struct cron *self, int64_t minute, int64_t last_day)
{
    int64_t today = day_of(minute * 60), day = next_day(self, today, last_day);
    int of_day = day == today ? (int)(minute - day * 1440) : 0;
    int hour = of_day / 60;
    int found = self->hours >> hour & 1 ? next_bit(self->minutes, of_day % 60) : -1;
    if (found < 0) {
        found = next_bit(self->minutes, 0);
        hour = next_bit(self->hours, hour + 1);
    }
    if (hour < 0) {
        day = next_day(self, day + 1, last_day);
        hour = next_bit(self->hours, 0);
    }
    return day > last_day ? INT64_MAX : day * 1440 + hour * 60 + found;
}

static int64_t search(const struct cron *self, const zone_t *zone, int64_t from_local_s,
                      int64_t after_s, bool last)
{
    int64_t minute = day_of(from_local_s) * 1440;
    int64_t last_day = day_of(from_local_s) + YEARS * 366 + 2;
    minute += (from_local_s - minute * 60) / 60 + 1;
    while ((minute = next_minute(self, minute, last_day)) != INT64_MAX) {
        int64_t utc_s = zone_utc(zone, minute * 60, last);
        if (utc_s > after_s)
            return utc_s;
        minute++;
    }
    return INT64_MAX;
}

/* Moments don't come before those of earlier times on the wall, so the first one found is the next.
 * An hour's second showing only matters near it. */
int64_t cron_next(const struct cron *self, const zone_t *zone, int64_t after_s)
{
    int64_t local_s = after_s + zone_offset(zone, after_s);
    int64_t next_s = search(self, zone, local_s, after_s, false);
    if (self->hours == ALL_HOURS &&
        zone_offset(zone, after_s - OVERLAP_S) > zone_offset(zone, after_s + OVERLAP_S)) {
        int64_t second_s = search(self, zone, local_s - OVERLAP_S, after_s, true);
        if (second_s < next_s)
            next_s = second_s;
    }
    return next_s;
}
