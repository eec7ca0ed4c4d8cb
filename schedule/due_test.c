#include "schedule/due.h"

#include "base/limits.h"
#include "base/test.h"

#define HOUR   (3600 * LIMIT_SECOND_US)
#define MINUTE (60 * LIMIT_SECOND_US)
#define NOON   (1795780800 * LIMIT_SECOND_US) /* 2026-11-27 12:00 UTC */

struct world {
    struct cron cron;
    zone_t *zone;
};

static struct world world(const char *text)
{
    struct world self = {0};
    assert_int_equal(cron_parse(text, &self.cron, NULL), 0);
    assert_int_equal(zone_open("UTC", &self.zone, NULL), 0);
    return self;
}

static struct due due(struct world *self, enum missed missed, int64_t next_us, int64_t now_us)
{
    struct due what = due_now(&self->cron, self->zone, missed, next_us, now_us);
    assert_true(what.next_us > next_us && what.next_us > what.run_us);
    return what;
}

static void expect(struct due what, int64_t run_us, int64_t next_us, bool left_out)
{
    assert_int_equal(what.run_us, run_us);
    assert_int_equal(what.next_us, next_us);
    assert_int_equal(what.left_out, left_out);
}

static void test_in_time(void **state)
{
    (void)state;
    struct world hourly = world("@hourly");
    for (int missed = MISSED_ONCE; missed <= MISSED_ALL; missed++) {
        expect(due(&hourly, (enum missed)missed, NOON, NOON), NOON, NOON + HOUR, false);
        expect(due(&hourly, (enum missed)missed, NOON, NOON + MINUTE), NOON, NOON + HOUR, false);
    }
    assert_int_equal(due_next(&hourly.cron, hourly.zone, NOON), NOON + HOUR);
    assert_int_equal(due_next(&hourly.cron, hourly.zone, NOON - 1), NOON);
    zone_destroy(&hourly.zone);
}

/* Nobody looked from ten to ten minutes past noon. */
static void test_missed(void **state)
{
    (void)state;
    struct world hourly = world("@hourly");
    int64_t ten = NOON - 2 * HOUR, now = NOON + 10 * MINUTE;
    expect(due(&hourly, MISSED_ONCE, ten, now), NOON, NOON + HOUR, true);
    expect(due(&hourly, MISSED_SKIP, ten, now), 0, NOON + HOUR, true);
    expect(due(&hourly, MISSED_ALL, ten, now), ten, ten + HOUR, false);
    expect(due(&hourly, MISSED_ALL, ten + HOUR, now), ten + HOUR, NOON, false);
    expect(due(&hourly, MISSED_ALL, NOON, now), NOON, NOON + HOUR, false);
    zone_destroy(&hourly.zone);
}

/* Two years of minutes: the newest hundred, and no long search. */
static void test_missed_very_often(void **state)
{
    (void)state;
    struct world minutely = world("* * * * *");
    int64_t from = NOON - 2 * 365 * 24 * HOUR;
    expect(due(&minutely, MISSED_ALL, from, NOON), NOON - 99 * MINUTE, NOON - 98 * MINUTE, true);
    expect(due(&minutely, MISSED_ALL, NOON - 98 * MINUTE, NOON), NOON - 98 * MINUTE,
           NOON - 97 * MINUTE, false);
    expect(due(&minutely, MISSED_ONCE, from, NOON), NOON, NOON + MINUTE, true);
    zone_destroy(&minutely.zone);
}

static void test_missed_rarely(void **state)
{
    (void)state;
    struct world yearly = world("@yearly");
    int64_t first = day_number(2016, 1, 1) * DAY_S * LIMIT_SECOND_US;
    int64_t last = day_number(2026, 1, 1) * DAY_S * LIMIT_SECOND_US;
    int64_t next = day_number(2027, 1, 1) * DAY_S * LIMIT_SECOND_US;
    expect(due(&yearly, MISSED_ONCE, first, NOON), last, next, true);
    int64_t at = first;
    int runs = 0;
    for (; at <= NOON; runs++) {
        struct due what = due(&yearly, MISSED_ALL, at, NOON);
        assert_int_equal(what.run_us, at);
        at = what.next_us;
    }
    assert_int_equal(runs, 11);
    zone_destroy(&yearly.zone);
}

/* The time that was to come is none any more, by newer rules of its zone. */
static void test_other_rules(void **state)
{
    (void)state;
    struct world hourly = world("@hourly");
    expect(due(&hourly, MISSED_ONCE, NOON + 20 * MINUTE, NOON + 30 * MINUTE), 0, NOON + HOUR,
           false);
    zone_destroy(&hourly.zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_time),           cmocka_unit_test(test_missed),
        cmocka_unit_test(test_missed_very_often), cmocka_unit_test(test_missed_rarely),
        cmocka_unit_test(test_other_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
