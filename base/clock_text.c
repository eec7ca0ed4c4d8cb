/* Times and durations as text: pure, and apart from the clocks so that pure code can link it. */
#include "base/clock.h"

#include "base/limits.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct unit {
    const char *name;
    int64_t us;
};

/* Largest first: the largest unit that divides a duration gives the shortest text. */
static const struct unit UNITS[] = {
    {"d", 86400 * LIMIT_SECOND_US},
    {"h", 3600 * LIMIT_SECOND_US},
    {"m", 60 * LIMIT_SECOND_US},
    {"s", LIMIT_SECOND_US},
    {"ms", 1000},
};

#define UNIT_COUNT (sizeof UNITS / sizeof UNITS[0])

const char *clock_format(int64_t utc_us, char ret_text[CLOCK_TEXT_SIZE])
{
    int64_t fraction = utc_us % LIMIT_SECOND_US;
    int64_t seconds = utc_us / LIMIT_SECOND_US;
    if (fraction < 0) {
        fraction += LIMIT_SECOND_US;
        seconds--;
    }
    time_t time = (time_t)seconds;
    struct tm parts;
    char date[CLOCK_TEXT_SIZE - 8];
    if (!gmtime_r(&time, &parts) || !strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts))
        date[0] = '\0';
    snprintf(ret_text, CLOCK_TEXT_SIZE, "%s.%06dZ", date, (int)fraction);
    return ret_text;
}

static const struct unit *find_unit(const char *text, size_t size)
{
    for (size_t i = 0; i < UNIT_COUNT; i++)
        if (strlen(UNITS[i].name) == size && memcmp(UNITS[i].name, text, size) == 0)
            return &UNITS[i];
    return NULL;
}

static int not_a_duration(const char *text, size_t size, struct err *err)
{
    int shown = size < 40 ? (int)size : 40;
    int code = err_set(err, ERR_INVALID, "\"%.*s\" is not a duration", shown, size ? text : "");
    err_fix(err, "write a whole number and a unit, such as 500ms, 30s, 5m, 2h or 3d");
    return code;
}

static int out_of_range(const char *text, size_t size, bool is_zero, struct err *err)
{
    int shown = size < 40 ? (int)size : 40;
    char most[CLOCK_TEXT_SIZE];
    duration_format(LIMIT_TIME_MAX_US, most);
    int code = err_set(err, ERR_INVALID, "the duration %.*s is %s", shown, text,
                       is_zero ? "zero" : "too long");
    err_fix(err, "give more than 0 and at most %s", most);
    return code;
}

int duration_parse(const char *text, size_t size, int64_t *ret_us, struct err *err)
{
    int64_t number = 0;
    size_t at = 0;
    bool too_long = false;
    for (; at < size && text[at] >= '0' && text[at] <= '9'; at++) {
        number = number * 10 + (text[at] - '0');
        if (number > LIMIT_TIME_MAX_US) {
            too_long = true;
            number = LIMIT_TIME_MAX_US;
        }
    }
    const struct unit *unit = at > 0 ? find_unit(text + at, size - at) : NULL;
    if (!unit)
        return not_a_duration(text, size, err);
    if (too_long || number == 0 || number > LIMIT_TIME_MAX_US / unit->us)
        return out_of_range(text, size, number == 0, err);
    *ret_us = number * unit->us;
    return 0;
}

const char *duration_format(int64_t us, char ret_text[CLOCK_TEXT_SIZE])
{
    int64_t ms = us / 1000 + (us % 1000 >= 500) - (us % 1000 <= -500);
    const struct unit *unit = &UNITS[UNIT_COUNT - 1];
    for (size_t i = UNIT_COUNT; i-- > 0;)
        if (ms != 0 && ms % (UNITS[i].us / 1000) == 0)
            unit = &UNITS[i];
    snprintf(ret_text, CLOCK_TEXT_SIZE, "%" PRId64 "%s", ms / (unit->us / 1000), unit->name);
    return ret_text;
}
