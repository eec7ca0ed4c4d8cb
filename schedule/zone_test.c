#include "schedule/zone.h"

#include "base/test.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static zone_t *zone(const char *name)
{
    zone_t *self = NULL;
    struct err err = {0};
    if (zone_open(name, &self, &err))
        fail_msg("%s: %s", name, err.what);
    return self;
}

/* Written by tests/data/schedule/generate.py. */
static void test_offsets_are_those_of_another_reader(void **state)
{
    char name[64];
    int64_t utc_s;
    int32_t offset;
    int rows = 0;
    (void)state;
    FILE *file = fopen(AF_SOURCE_DIR "/tests/data/schedule/offsets.tsv", "re");
    assert_non_null(file);
    while (fscanf(file, "%63s %" SCNd64 " %" SCNd32, name, &utc_s, &offset) == 3) {
        zone_t *self = zone(name);
        if (zone_offset(self, utc_s) != offset)
            fail_msg("%s at %" PRId64 ": %" PRId32, name, utc_s, zone_offset(self, utc_s));
        zone_destroy(&self);
        rows++;
    }
    (void)fclose(file);
    assert_true(rows > 1000);
}

static void test_names(void **state)
{
    static const char *const BAD[] = {"",        "../UTC", "/etc/passwd", "Europe/../UTC",
                                      "Europe/", "a b",    ".",           "Europe//Rome",
                                      "1",       "-x",     "Europe/.x",   "x\n"};
    zone_t *self = NULL;
    struct err err = {0};
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_int_equal(zone_open(BAD[i], &self, &err), ERR_INVALID);
        assert_true(*err.fix);
    }
    assert_int_equal(zone_open("Europe/Nowhere", &self, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.what, "Europe/Nowhere"));
    assert_int_equal(zone_open("Europe", &self, &err), ERR_NOT_FOUND); /* a directory */
    assert_null(self);
}

/* 2026-03-29 02:30 is skipped in Berlin; 2026-10-25 02:30 comes twice. */
static void test_times_on_the_wall(void **state)
{
    (void)state;
    zone_t *berlin = zone("Europe/Berlin");
    int64_t skipped_s = day_number(2026, 3, 29) * DAY_S + 9000;
    int64_t twice_s = day_number(2026, 10, 25) * DAY_S + 9000;
    assert_int_equal(zone_utc(berlin, skipped_s, false), skipped_s - 9000 + 3600);
    assert_int_equal(zone_utc(berlin, skipped_s, true), skipped_s - 9000 + 3600);
    assert_int_equal(zone_utc(berlin, twice_s, false), twice_s - 7200);
    assert_int_equal(zone_utc(berlin, twice_s, true), twice_s - 3600);
    zone_destroy(&berlin);
}

static void test_rules(void **state)
{
    static const char *const GOOD[] = {"UTC0", "<-03>3", "EST5EDT,M3.2.0,M11.1.0",
                                       "IST-1GMT0,M10.5.0,M3.5.0/1",
                                       "<+1030>-10:30<+11>-11,J60,300/26"};
    static const char *const BAD[] = {"",
                                      "X1",
                                      "EST",
                                      "EST5EDT",
                                      "EST5EDT,",
                                      "<+03-3",
                                      "EST25",
                                      "EST5EDT,M13.1.0,M1.1.0",
                                      "EST5x",
                                      "EST5EDT,M0.1.0,M1.1.0",
                                      "EST5EDT,J0,J5"};
    struct zone_rule rule;
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++)
        assert_int_equal(zone_rule_parse(GOOD[i], &rule, NULL), 0);
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        if (zone_rule_parse(BAD[i], &rule, NULL) != ERR_MALFORMED)
            fail_msg("%s", BAD[i]);
}

/* In Dublin the winter has the odd time; day 60 of a year without leap days is always March 1. */
static void test_rules_of_other_kinds(void **state)
{
    struct zone_rule rule;
    (void)state;
    assert_int_equal(zone_rule_parse("AAA0BBB,J60/0,J61/0", &rule, NULL), 0);
    assert_int_equal(zone_rule_offset(&rule, day_number(2024, 3, 1) * DAY_S), 3600);
    assert_int_equal(zone_rule_offset(&rule, day_number(2024, 2, 29) * DAY_S), 0);
    assert_int_equal(zone_rule_offset(&rule, day_number(2025, 3, 1) * DAY_S), 3600);
    assert_int_equal(zone_rule_parse("AAA0BBB,59/0,60/0", &rule, NULL), 0);
    assert_int_equal(zone_rule_offset(&rule, day_number(2024, 2, 29) * DAY_S), 3600);
    assert_int_equal(zone_rule_offset(&rule, day_number(2025, 3, 1) * DAY_S), 3600);
}

static void test_days(void **state)
{
    (void)state;
    for (int64_t number = day_number(1890, 1, 1); number < day_number(2410, 1, 1); number++) {
        int64_t year;
        int month, day;
        day_date(number, &year, &month, &day);
        assert_int_equal(day_number(year, month, day), number);
        assert_true(day >= 1 && day <= days_of_month(year, month));
    }
    assert_int_equal(day_number(1970, 1, 1), 0);
    assert_int_equal(day_of_week(day_number(2026, 11, 27)), 5);
    assert_int_equal(day_of(-1), -1);
    assert_int_equal(day_of(-DAY_S), -1);
    assert_int_equal(day_of(DAY_S), 1);
}

/* A file cut anywhere, or with any byte changed, is refused or read, and never more than that. */
static void test_broken_files(void **state)
{
    static uint8_t bytes[8192];
    (void)state;
    FILE *file = fopen("/usr/share/zoneinfo/Europe/Berlin", "re");
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    for (size_t i = 0; i < size; i++) {
        uint8_t *copy = malloc(i + 1);
        memcpy(copy, bytes, i);
        zone_t *self = NULL;
        assert_int_not_equal(zone_parse(bytes_of(copy, i), &self, NULL), 0);
        free(copy);
        uint8_t kept = bytes[i];
        bytes[i] = (uint8_t)(kept ^ 0xff);
        if (zone_parse(bytes_of(bytes, size), &self, NULL) == 0)
            (void)zone_utc(self, 1800000000, false);
        zone_destroy(&self);
        bytes[i] = kept;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets_are_those_of_another_reader),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_times_on_the_wall),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_rules_of_other_kinds),
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_broken_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
