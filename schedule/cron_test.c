#include "schedule/cron.h"

#include "base/test.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cron cron(const char *text)
{
    struct cron self;
    struct err err = {0};
    if (cron_parse(text, &self, &err))
        fail_msg("%s: %s", text, err.what);
    return self;
}

/* Five next times in a row, of a line of next.tsv. */
static void check_row(char *line)
{
    char *rest = line;
    struct cron self = cron(strsep(&rest, "\t"));
    zone_t *zone = NULL;
    assert_int_equal(zone_open(strsep(&rest, "\t"), &zone, NULL), 0);
    int64_t at_s = strtoll(strsep(&rest, "\t"), NULL, 10);
    while (rest) {
        int64_t expected_s = strtoll(strsep(&rest, "\t"), NULL, 10);
        int64_t next_s = cron_next(&self, zone, at_s);
        if (next_s != expected_s)
            fail_msg("%s: after %" PRId64 " %" PRId64 ", not %" PRId64, line, at_s, next_s,
                     expected_s);
        at_s = next_s;
    }
    zone_destroy(&zone);
}

/* Written by tests/data/schedule/generate.py. */
static void test_next_times_are_those_of_another_reader(void **state)
{
    char line[512];
    int rows = 0;
    (void)state;
    FILE *file = fopen(AF_SOURCE_DIR "/tests/data/schedule/next.tsv", "re");
    assert_non_null(file);
    for (; fgets(line, sizeof line, file); rows++)
        check_row(line);
    (void)fclose(file);
    assert_true(rows > 200);
}

static void test_what_may_be_written(void **state)
{
    static const char *const SAME[][2] = {
        {"@hourly", "0 * * * *"},
        {"@DAILY", "0 0 * * *"},
        {"@midnight", "0 0 * * *"},
        {"@weekly", "0 0 * * 7"},
        {"@monthly", "0 0 1 * *"},
        {"@yearly", "0 0 1 1 *"},
        {"0 9 * * MON-fri", "0 9 * * 1-5"},
        {" 0\t9  * jan,Mar-may * ", "0 9 * 1,3-5 *"},
        {"*/20 8-18/5 * * *", "0,20,40 8,13,18 * * *"},
        {"5/20 * * * 5-7", "5,25,45 * * * fri,sat,sun"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof SAME / sizeof SAME[0]; i++) {
        struct cron left = cron(SAME[i][0]), right = cron(SAME[i][1]);
        assert_true(left.minutes == right.minutes && left.hours == right.hours &&
                    left.days == right.days && left.months == right.months &&
                    left.weekdays == right.weekdays);
    }
}

static void test_what_may_not(void **state)
{
    static const struct {
        const char *text, *what;
        unsigned column;
    } BAD[] = {
        {"", "fewer than five", 1},
        {"0 9 * *", "fewer than five", 8},
        {"0 9 * * * *", "more than five", 11},
        {"60 * * * *", "the minute lies outside", 1},
        {"0 24 * * *", "the hour lies outside", 3},
        {"0 0 0 * *", "the day of the month lies outside", 5},
        {"0 0 * 13 *", "the month lies outside", 7},
        {"0 0 * * 8", "the day of the week lies outside", 9},
        {"0 0 * * 5-2", "ends before it begins", 12},
        {"*/0 * * * *", "has a step", 3},
        {"*/70 * * * *", "has a step", 3},
        {"1,,2 * * * *", "can't be read", 3},
        {"1- * * * *", "can't be read", 3},
        {"a * * * *", "the minute can't be read", 1},
        {"0 0 * * monday", "can't be read", 12},
        {"99999999999 * * * *", "outside", 1},
        {"0 0 30 2 *", "never comes", 1},
        {"0 0 31 4,6,9,11 *", "never comes", 1},
        {"@often", "no such word", 1},
        {"-1 * * * *", "can't be read", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct cron self;
        struct err err = {0};
        assert_int_equal(cron_parse(BAD[i].text, &self, &err), ERR_INVALID);
        if (!strstr(err.what, BAD[i].what) || err.column != BAD[i].column || !*err.fix)
            fail_msg("%s: %s, column %u", BAD[i].text, err.what, err.column);
    }
}

/* Sixteen years pass between some days. */
static void test_far_times(void **state)
{
    (void)state;
    zone_t *utc = NULL;
    assert_int_equal(zone_open("UTC", &utc, NULL), 0);
    struct cron leap = cron("0 0 29 2 *"), rare = cron("0 0 29 2 */6");
    assert_int_equal(cron_next(&leap, utc, day_number(2096, 3, 1) * DAY_S),
                     day_number(2104, 2, 29) * DAY_S);
    assert_int_equal(cron_next(&rare, utc, day_number(2032, 3, 1) * DAY_S),
                     day_number(2048, 2, 29) * DAY_S);
    zone_destroy(&utc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_times_are_those_of_another_reader),
        cmocka_unit_test(test_what_may_be_written),
        cmocka_unit_test(test_what_may_not),
        cmocka_unit_test(test_far_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
