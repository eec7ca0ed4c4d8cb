#include "schedule/zone.h"

#include <string.h>

/* --- days ------------------------------------------------------------------------------------- */

/* Years are taken to begin in March, so that a leap day is the last one of its year. */
int64_t day_number(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void day_date(int64_t number, int64_t *ret_year, int *ret_month, int *ret_day)
{
    number += 719468;
    int64_t era = (number >= 0 ? number : number - 146096) / 146097;
    int64_t of_era = number - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    *ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = year + era * 400 + (*ret_month <= 2);
}

int day_of_week(int64_t number)
{
    return (int)(((number + 4) % 7 + 7) % 7);
}

int days_of_month(int64_t year, int month)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return DAYS[month - 1] + (month == 2 && leap);
}

int64_t day_of(int64_t seconds)
{
    return (seconds >= 0 ? seconds : seconds - (DAY_S - 1)) / DAY_S;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* What the functions below read: they move `at` on, or set `wrong`. */
struct reader {
    const char *at;
    bool wrong;
};

static bool take(struct reader *self, char c)
{
    if (*self->at != c)
        return false;
    self->at++;
    return true;
}

static int32_t take_number(struct reader *self, int32_t most)
{
    int32_t number = 0;
    const char *begin = self->at;
    while (*self->at >= '0' && *self->at <= '9' && number <= most)
        number = number * 10 + (*self->at++ - '0');
    if (self->at == begin || number > most)
        self->wrong = true;
    return number;
}

/* At least three letters, or anything in <>. */
static void take_name(struct reader *self)
{
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    bool quoted = take(self, '<');
    size_t size = quoted ? strcspn(self->at, ">") : strspn(self->at, LETTERS);
    self->at += size;
    if (size < 3 || (quoted && !take(self, '>')))
        self->wrong = true;
}

/* [+-]hh[:mm[:ss]], in seconds. */
static int32_t take_time(struct reader *self, int32_t most_hours)
{
    bool minus = take(self, '-');
    if (!minus)
        (void)take(self, '+');
    int32_t seconds = take_number(self, most_hours) * 3600;
    if (take(self, ':'))
        seconds += take_number(self, 59) * 60;
    if (take(self, ':'))
        seconds += take_number(self, 59);
    return minus ? -seconds : seconds;
}

static struct zone_day take_day(struct reader *self)
{
    struct zone_day day = {.kind = '0', .time_s = 2 * 3600};
    if (!take(self, ','))
        self->wrong = true;
    if (take(self, 'M')) {
        day.kind = 'M';
        day.month = take_number(self, 12);
        self->wrong |= !take(self, '.');
        day.week = take_number(self, 5);
        self->wrong |= !take(self, '.');
        day.day = take_number(self, 6);
        self->wrong |= day.month == 0 || day.week == 0;
    } else {
        if (take(self, 'J'))
            day.kind = 'J';
        day.day = take_number(self, 365);
        self->wrong |= day.kind == 'J' && day.day == 0;
    }
    if (take(self, '/'))
        day.time_s = take_time(self, 167);
    return day;
}

int zone_rule_parse(const char *text, struct zone_rule *ret_rule, struct err *err)
{
    struct reader reader = {.at = text};
    struct zone_rule rule = {0};
    take_name(&reader);
    rule.offset = -take_time(&reader, 24);
    if (!reader.wrong && *reader.at != '\0') {
        rule.changes = true;
        take_name(&reader);
        rule.summer_offset = *reader.at == ',' ? rule.offset + 3600 : -take_time(&reader, 24);
        rule.begins = take_day(&reader);
        rule.ends = take_day(&reader);
    }
    if (reader.wrong || *reader.at != '\0')
        return err_set(err, ERR_MALFORMED, "\"%.60s\" is no rule of a time zone", text);
    *ret_rule = rule;
    return 0;
}

/* --- asking ----------------------------------------------------------------------------------- */

static int64_t day_in_year(const struct zone_day *self, int64_t year)
{
    int64_t first = day_number(year, 1, 1);
    if (self->kind == '0')
        return first + self->day;
    if (self->kind == 'J')
        return first + self->day - 1 + (self->day >= 60 && days_of_month(year, 2) == 29);
    first = day_number(year, self->month, 1);
    int day = (self->day - day_of_week(first) + 7) % 7 + 7 * (self->week - 1);
    while (day >= days_of_month(year, self->month))
        day -= 7;
    return first + day;
}

int32_t zone_rule_offset(const struct zone_rule *self, int64_t utc_s)
{
    int64_t year;
    int month, day;
    if (!self->changes)
        return self->offset;
    day_date(day_of(utc_s + self->offset), &year, &month, &day);
    int64_t begins = day_in_year(&self->begins, year) * DAY_S + self->begins.time_s - self->offset;
    int64_t ends = day_in_year(&self->ends, year) * DAY_S + self->ends.time_s - self->summer_offset;
    bool summer = begins < ends ? utc_s >= begins && utc_s < ends : utc_s >= begins || utc_s < ends;
    return summer ? self->summer_offset : self->offset;
}
