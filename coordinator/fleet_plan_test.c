#include "coordinator/fleet_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct fleet_demand four = {
    .instances_min = 1, .instances_max = 4, .parallel = 8, .idle_us = 1000};

static void test_least_without_work(void **state)
{
    (void)state;
    struct fleet_wish wish = {0};
    assert_int_equal(fleet_wish_update(&wish, &four, 10), 1);
    assert_true(fleet_wish_deadline(&wish, &four) == INT64_MAX);
}

static void test_more_with_the_queue(void **state)
{
    (void)state;
    struct fleet_wish wish = {0};
    struct fleet_demand demand = four;

    demand.ready = 5;
    demand.running = 3;
    assert_int_equal(fleet_wish_update(&wish, &demand, 10), 1);
    demand.ready = 6;
    assert_int_equal(fleet_wish_update(&wish, &demand, 11), 2);
    demand.ready = 1000;
    assert_int_equal(fleet_wish_update(&wish, &demand, 12), 4);
}

static void test_from_none_on_demand(void **state)
{
    (void)state;
    struct fleet_wish wish = {0};
    struct fleet_demand demand = four;

    demand.instances_min = 0;
    assert_int_equal(fleet_wish_update(&wish, &demand, 10), 0);
    demand.ready = 1;
    assert_int_equal(fleet_wish_update(&wish, &demand, 11), 1);
}

static void test_fewer_after_idle_time(void **state)
{
    (void)state;
    struct fleet_wish wish = {.wanted = 4};
    struct fleet_demand demand = four;

    assert_int_equal(fleet_wish_update(&wish, &demand, 100), 4);
    assert_true(fleet_wish_deadline(&wish, &demand) == 1100);
    assert_int_equal(fleet_wish_update(&wish, &demand, 1099), 4);
    assert_int_equal(fleet_wish_update(&wish, &demand, 1100), 1);
    assert_true(fleet_wish_deadline(&wish, &demand) == INT64_MAX);
}

static void test_work_resets_idle_time(void **state)
{
    (void)state;
    struct fleet_wish wish = {.wanted = 2};
    struct fleet_demand demand = four;

    fleet_wish_update(&wish, &demand, 100);
    demand.ready = 16;
    fleet_wish_update(&wish, &demand, 600);
    demand.ready = 0;
    assert_int_equal(fleet_wish_update(&wish, &demand, 1200), 2);
    assert_int_equal(fleet_wish_update(&wish, &demand, 2200), 1);
}

static void test_never_fewer_without_idle_time(void **state)
{
    (void)state;
    struct fleet_wish wish = {.wanted = 3};
    struct fleet_demand demand = four;

    demand.idle_us = 0;
    fleet_wish_update(&wish, &demand, 1);
    assert_int_equal(fleet_wish_update(&wish, &demand, 1000000000), 3);
}

static void test_new_definition_lowers_most(void **state)
{
    (void)state;
    struct fleet_wish wish = {.wanted = 9};
    assert_int_equal(fleet_wish_update(&wish, &four, 1), 4);
}

static void test_shares_add_up(void **state)
{
    (void)state;
    for (uint32_t wanted = 0; wanted < 20; wanted++)
        for (size_t hosts = 1; hosts < 6; hosts++) {
            uint32_t sum = 0;
            for (size_t host = 0; host < hosts; host++) {
                uint32_t share = fleet_share("scout", wanted, host, hosts);
                assert_in_range(share, wanted / hosts, wanted / hosts + 1);
                sum += share;
            }
            assert_int_equal(sum, wanted);
        }
}

static void test_single_instances_spread(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    uint32_t of_host[2] = {0};
    for (size_t i = 0; i < 8; i++)
        for (size_t host = 0; host < 2; host++)
            of_host[host] += fleet_share(names[i], 1, host, 2);
    assert_int_equal(of_host[0] + of_host[1], 8);
    assert_true(of_host[0] > 0 && of_host[1] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least_without_work),
        cmocka_unit_test(test_more_with_the_queue),
        cmocka_unit_test(test_from_none_on_demand),
        cmocka_unit_test(test_fewer_after_idle_time),
        cmocka_unit_test(test_work_resets_idle_time),
        cmocka_unit_test(test_never_fewer_without_idle_time),
        cmocka_unit_test(test_new_definition_lowers_most),
        cmocka_unit_test(test_shares_add_up),
        cmocka_unit_test(test_single_instances_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
