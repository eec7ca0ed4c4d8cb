#include "coordinator/timers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT 500

/* A small generator of our own, so that a failure comes back with every run. */
static unsigned next_number(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void test_due_in_order(void **state)
{
    (void)state;
    struct timers timers = {0};
    struct timer many[COUNT] = {0};
    unsigned seed = 7;

    for (size_t i = 0; i < COUNT; i++)
        timers_set(&timers, &many[i], next_number(&seed) % 1000);
    for (size_t i = 0; i < COUNT; i += 3)
        timers_set(&timers, &many[i], next_number(&seed) % 1000);
    for (size_t i = 0; i < COUNT; i += 5)
        timers_unset(&timers, &many[i]);

    size_t seen = 0;
    int64_t last = -1;
    for (struct timer *due; (due = timers_due(&timers, 2000)) != NULL; seen++) {
        assert_true(due->at_us >= last);
        assert_true((due - many) % 5 != 0);
        last = due->at_us;
    }
    assert_int_equal(seen, COUNT - COUNT / 5);
    assert_true(timers_next(&timers) == INT64_MAX);
    timers_release(&timers);
}

static void test_not_due_yet(void **state)
{
    (void)state;
    struct timers timers = {0};
    struct timer one = {0};

    timers_set(&timers, &one, 100);
    assert_null(timers_due(&timers, 99));
    assert_true(timers_next(&timers) == 100);
    timers_set(&timers, &one, 50);
    assert_ptr_equal(timers_due(&timers, 50), &one);
    assert_int_equal(one.place, 0);
    timers_unset(&timers, &one);
    assert_null(timers_due(&timers, 1000));
    timers_release(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due_in_order),
        cmocka_unit_test(test_not_due_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
