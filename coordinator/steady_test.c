#include "base/test.h"

#include "base/limits.h"
#include "coordinator/steady.h"

#define UTC  (1000000 * LIMIT_SECOND_US)
#define MONO (50 * LIMIT_SECOND_US)
#define HOUR (3600 * LIMIT_SECOND_US)

static void test_follows_a_clock_that_is_well(void **state)
{
    (void)state;
    struct steady clock = {0};
    for (int64_t t = 0; t < 10 * LIMIT_SECOND_US; t += 777777)
        assert_int_equal(steady_read(&clock, UTC + t, MONO + t), UTC + t);
}

static void test_a_jump_is_leant_into(void **state)
{
    (void)state;
    struct steady clock = {0};
    (void)steady_read(&clock, UTC, MONO);
    int64_t forward = steady_read(&clock, UTC + HOUR, MONO + LIMIT_SECOND_US);
    assert_int_equal(forward, UTC + LIMIT_SECOND_US + LIMIT_SECOND_US / STEADY_LEAN);
    int64_t back = steady_read(&clock, UTC - HOUR, MONO + 2 * LIMIT_SECOND_US);
    assert_int_equal(back, forward + LIMIT_SECOND_US - LIMIT_SECOND_US / STEADY_LEAN);
}

/* Read every microsecond, as in a busy loop, it still comes nearer and never goes back. */
static void test_short_readings_lean_too(void **state)
{
    (void)state;
    struct steady clock = {0};
    int64_t last = steady_read(&clock, UTC, MONO);
    for (int64_t t = 1; t <= 100000; t++) {
        int64_t now = steady_read(&clock, UTC - HOUR + t, MONO + t);
        assert_true(now >= last);
        last = now;
    }
    assert_in_range(last, UTC + 94000, UTC + 96000);
}

static void test_it_arrives(void **state)
{
    (void)state;
    struct steady clock = {0};
    (void)steady_read(&clock, UTC, MONO);
    for (int64_t t = 0; t <= 30 * LIMIT_SECOND_US; t += 10000)
        (void)steady_read(&clock, UTC + LIMIT_SECOND_US + t, MONO + t);
    assert_int_equal(steady_read(&clock, UTC + 32 * LIMIT_SECOND_US, MONO + 31 * LIMIT_SECOND_US),
                     UTC + 32 * LIMIT_SECOND_US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follows_a_clock_that_is_well),
        cmocka_unit_test(test_a_jump_is_leant_into),
        cmocka_unit_test(test_short_readings_lean_too),
        cmocka_unit_test(test_it_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
