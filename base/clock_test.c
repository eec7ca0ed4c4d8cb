#include "base/test.h"

#include "base/clock.h"
#include "base/limits.h"
#include <string.h>

static void test_clock_format(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_SIZE];
    assert_string_equal(clock_format(0, text), "1970-01-01T00:00:00.000000Z");
    assert_string_equal(clock_format(1767323045678901, text), "2026-01-02T03:04:05.678901Z");
    assert_string_equal(clock_format(-1, text), "1969-12-31T23:59:59.999999Z");
    assert_string_equal(clock_format(253402300799999999, text), "9999-12-31T23:59:59.999999Z");
    clock_format(INT64_MAX, text);
    assert_true(strlen(text) < sizeof text);
    clock_format(INT64_MIN, text);
    assert_true(strlen(text) < sizeof text);
}

static void test_clocks_go_on(void **state)
{
    (void)state;
    int64_t first = clock_monotonic_us();
    assert_true(first > 0);
    assert_true(clock_monotonic_us() >= first);
    assert_true(clock_utc_us() > INT64_C(1600000000000000));
}

struct duration {
    const char *text;
    int64_t us;
};

static void test_duration_parse(void **state)
{
    (void)state;
    static const struct duration GOOD[] = {
        {"1ms", 1000},
        {"500ms", 500000},
        {"30s", 30000000},
        {"5m", 300000000},
        {"2h", INT64_C(7200000000)},
        {"3d", INT64_C(259200000000)},
        {"007s", 7000000},
        {"3660d", LIMIT_TIME_MAX_US},
        {"316224000000ms", LIMIT_TIME_MAX_US},
    };
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        int64_t us = 0;
        assert_int_equal(duration_parse(GOOD[i].text, strlen(GOOD[i].text), &us, NULL), 0);
        assert_int_equal(us, GOOD[i].us);
    }
    int64_t us = 0;
    assert_int_equal(duration_parse("30seconds", 3, &us, NULL), 0);
    assert_int_equal(us, 30000000);
}

static void test_duration_refused(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "",
        "s",
        "5",
        "5 s",
        " 5s",
        "5s ",
        "-5s",
        "+5s",
        "1.5s",
        "5S",
        "5us",
        "5min",
        "5sec",
        "1h30m",
        "0s",
        "0ms",
        "00d",
        "3661d",
        "316224000001ms",
        "99999999999999999999s",
        "18446744073709551617s",
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        int64_t us = -7;
        struct err err = {0};
        assert_int_equal(duration_parse(BAD[i], strlen(BAD[i]), &us, &err), ERR_INVALID);
        assert_int_equal(us, -7);
        assert_true(err.what[0] && err.fix[0]);
    }
    int64_t us = -7;
    assert_int_equal(duration_parse("5s\0", 3, &us, NULL), ERR_INVALID);
    assert_int_equal(duration_parse(NULL, 0, &us, NULL), ERR_INVALID);
    assert_int_equal(us, -7);
}

static void test_duration_format(void **state)
{
    (void)state;
    static const struct duration TEXTS[] = {
        {"0ms", 0},
        {"1500ms", 1500000},
        {"2s", 2000000},
        {"90s", 90000000},
        {"2m", 120000000},
        {"1h", INT64_C(3600000000)},
        {"1d", INT64_C(86400000000)},
        {"36h", INT64_C(129600000000)},
        {"3660d", LIMIT_TIME_MAX_US},
        {"2ms", 1500},
        {"1ms", 1499},
        {"-5s", -5000000},
    };
    char text[CLOCK_TEXT_SIZE];
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++)
        assert_string_equal(duration_format(TEXTS[i].us, text), TEXTS[i].text);
    duration_format(INT64_MAX, text);
    duration_format(INT64_MIN, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_format),    cmocka_unit_test(test_clocks_go_on),
        cmocka_unit_test(test_duration_parse),  cmocka_unit_test(test_duration_refused),
        cmocka_unit_test(test_duration_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
