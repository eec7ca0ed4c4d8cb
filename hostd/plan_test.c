#include "hostd/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW (1000 * LIMIT_SECOND_US)

static int set_up(void **state)
{
    *state = plan_new();
    return 0;
}

static int tear_down(void **state)
{
    plan_t *plan = *state;
    plan_destroy(&plan);
    assert_null(plan);
    return 0;
}

static int apply(plan_t *self, uint64_t number, const char *agent, uint32_t instances,
                 uint64_t memory, int64_t now_us)
{
    const struct wire_planned planned = {
        .agent = agent, .instances = instances, .memory_bytes = memory};
    const struct wire_plan wish = {
        .number = number, .agents = &planned, .agents_count = agent ? 1 : 0};
    return plan_apply(self, &wish, now_us, NULL);
}

static uint64_t expect(plan_t *self, enum plan_action action, int64_t now_us)
{
    const struct slot *slot = NULL;
    assert_int_equal(plan_next(self, now_us, &slot), action);
    return slot ? slot->id : 0;
}

static void test_starts_what_is_wished(void **state)
{
    plan_t *self = *state;
    const struct slot *slot = NULL;
    assert_true(plan_deadline(self) == PLAN_NEVER);
    assert_int_equal(apply(self, 1, "echo", 3, 7, NOW), 0);
    assert_true(plan_deadline(self) == NOW);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(plan_next(self, NOW, &slot), PLAN_START);
        assert_string_equal(slot->agent, "echo");
        assert_int_equal(slot->memory_bytes, 7);
    }
    expect(self, PLAN_NOTHING, NOW);
    assert_true(plan_deadline(self) == PLAN_NEVER);
    assert_int_equal(apply(self, 2, "echo", 3, 7, NOW), 0);
    expect(self, PLAN_NOTHING, NOW);
    assert_int_equal(plan_size(self), 3);
}

static void test_stops_what_is_not_wished(void **state)
{
    plan_t *self = *state;
    assert_int_equal(apply(self, 1, "echo", 2, 0, NOW), 0);
    uint64_t older = expect(self, PLAN_START, NOW);
    uint64_t younger = expect(self, PLAN_START, NOW);
    assert_int_equal(apply(self, 2, "echo", 1, 0, NOW), 0);
    assert_int_equal(expect(self, PLAN_TERMINATE, NOW), younger);
    expect(self, PLAN_NOTHING, NOW + LIMIT_STOP_GRACE_US - 1);
    assert_true(plan_deadline(self) == NOW + LIMIT_STOP_GRACE_US);
    assert_int_equal(expect(self, PLAN_KILL, NOW + LIMIT_STOP_GRACE_US), younger);
    expect(self, PLAN_NOTHING, NOW + 10 * LIMIT_STOP_GRACE_US);
    struct plan_exit over = plan_exited(self, younger, true, NOW);
    assert_false(over.crashed);
    assert_true(over.again_us == PLAN_NEVER);
    assert_int_equal(over.restarts, 0);
    assert_null(plan_slot(self, younger));
    assert_non_null(plan_slot(self, older));
    assert_int_equal(apply(self, 3, NULL, 0, 0, NOW), 0);
    assert_int_equal(expect(self, PLAN_TERMINATE, NOW), older);
}

static void test_a_wish_may_come_back_while_a_process_ends(void **state)
{
    plan_t *self = *state;
    assert_int_equal(apply(self, 1, "echo", 1, 0, NOW), 0);
    uint64_t first = expect(self, PLAN_START, NOW);
    assert_int_equal(apply(self, 2, NULL, 0, 0, NOW), 0);
    assert_int_equal(expect(self, PLAN_TERMINATE, NOW), first);
    assert_int_equal(apply(self, 3, "echo", 1, 0, NOW), 0);
    assert_int_not_equal(expect(self, PLAN_START, NOW), first);
    assert_false(plan_exited(self, first, false, NOW).crashed);
    expect(self, PLAN_NOTHING, NOW);
    assert_int_equal(plan_size(self), 1);
}

static void test_drops_those_first_that_do_not_run(void **state)
{
    plan_t *self = *state;
    assert_int_equal(apply(self, 1, "echo", 2, 0, NOW), 0);
    uint64_t crashed = expect(self, PLAN_START, NOW);
    uint64_t running = expect(self, PLAN_START, NOW);
    assert_true(plan_exited(self, crashed, false, NOW).crashed);
    assert_int_equal(apply(self, 2, "echo", 1, 0, NOW), 0);
    assert_null(plan_slot(self, crashed));
    assert_int_equal(plan_slot(self, running)->state, SLOT_RUNNING);
    expect(self, PLAN_NOTHING, NOW + LIMIT_BACKOFF_MAX_US);
}

static void test_other_memory_takes_other_processes(void **state)
{
    plan_t *self = *state;
    const struct slot *slot = NULL;
    assert_int_equal(apply(self, 1, "echo", 1, 100, NOW), 0);
    uint64_t first = expect(self, PLAN_START, NOW);
    assert_int_equal(apply(self, 2, "echo", 1, 200, NOW), 0);
    assert_int_equal(expect(self, PLAN_TERMINATE, NOW), first);
    assert_int_equal(plan_next(self, NOW, &slot), PLAN_START);
    assert_int_equal(slot->memory_bytes, 200);
}

static void test_ignores_an_older_plan(void **state)
{
    plan_t *self = *state;
    assert_int_equal(apply(self, 5, "echo", 1, 0, NOW), 0);
    expect(self, PLAN_START, NOW);
    assert_int_equal(apply(self, 4, NULL, 0, 0, NOW), ERR_CONFLICT);
    expect(self, PLAN_NOTHING, NOW);
    assert_int_equal(apply(self, 5, "echo", 1, 0, NOW), 0);
    plan_forget_number(self);
    assert_int_equal(apply(self, 1, NULL, 0, 0, NOW), 0);
    expect(self, PLAN_TERMINATE, NOW);
}

static void test_starts_again_with_backoff(void **state)
{
    plan_t *self = *state;
    static const int64_t waits_ms[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    int64_t now_us = NOW;
    assert_int_equal(apply(self, 1, "echo", 1, 0, now_us), 0);
    for (size_t i = 0; i < sizeof waits_ms / sizeof waits_ms[0]; i++) {
        uint64_t slot = expect(self, PLAN_START, now_us);
        struct plan_exit over = plan_exited(self, slot, false, now_us);
        assert_true(over.crashed);
        assert_false(over.halted);
        assert_int_equal(over.restarts, i + 1);
        assert_true(over.again_us == now_us + waits_ms[i] * 1000);
        expect(self, PLAN_NOTHING, over.again_us - 1);
        now_us = over.again_us;
    }
    assert_int_equal(plan_restarts(self, "echo"), 9);
}

/* Gives the time of the exit that halted it. */
static int64_t crash_until_halted(plan_t *self, int64_t now_us)
{
    for (int i = 1;; i++) {
        struct plan_exit over = plan_exited(self, expect(self, PLAN_START, now_us), false, now_us);
        assert_int_equal(over.halted, i == LIMIT_CRASH_LOOP_EXITS);
        if (over.halted) {
            assert_true(over.again_us == now_us + LIMIT_CRASH_LOOP_REST_US);
            return now_us;
        }
        now_us = over.again_us;
    }
}

static void test_ends_a_crash_loop(void **state)
{
    plan_t *self = *state;
    assert_int_equal(apply(self, 1, "echo", 1, 0, NOW), 0);
    int64_t now_us = crash_until_halted(self, NOW);
    expect(self, PLAN_NOTHING, now_us + LIMIT_CRASH_LOOP_REST_US - 1);
    assert_int_equal(apply(self, 1, "echo", 1, 0, now_us), 0);
    expect(self, PLAN_NOTHING, now_us);
    /* A new plan lets it try once, and it halts at once when that fails. */
    assert_int_equal(apply(self, 2, "echo", 1, 0, now_us), 0);
    struct plan_exit over = plan_exited(self, expect(self, PLAN_START, now_us), false, now_us);
    assert_true(over.halted);
    expect(self, PLAN_START, over.again_us);
}

static void test_a_long_life_starts_afresh(void **state)
{
    plan_t *self = *state;
    int64_t now_us = NOW;
    assert_int_equal(apply(self, 1, "echo", 1, 0, now_us), 0);
    for (int i = 0; i < 5; i++)
        now_us = plan_exited(self, expect(self, PLAN_START, now_us), false, now_us).again_us;
    uint64_t slot = expect(self, PLAN_START, now_us);
    now_us += LIMIT_BACKOFF_RESET_US;
    assert_true(plan_exited(self, slot, false, now_us).again_us == now_us + LIMIT_BACKOFF_FIRST_US);
    crash_until_halted(self, now_us + LIMIT_BACKOFF_FIRST_US);
}

/* Somebody who kills processes again and again must not make hostd give up. */
static void test_killing_is_no_crash_loop(void **state)
{
    plan_t *self = *state;
    int64_t now_us = NOW;
    assert_int_equal(apply(self, 1, "echo", 1, 0, now_us), 0);
    for (int i = 0; i < 3 * LIMIT_CRASH_LOOP_EXITS; i++) {
        uint64_t slot = expect(self, PLAN_START, now_us);
        now_us += LIMIT_KILLED_EARLY_US;
        struct plan_exit over = plan_exited(self, slot, true, now_us);
        assert_false(over.halted);
        assert_true(over.again_us == now_us + LIMIT_BACKOFF_FIRST_US);
        now_us = over.again_us;
    }
    for (int i = 0; i < 3 * LIMIT_CRASH_LOOP_EXITS; i++) {
        struct plan_exit over = plan_exited(self, expect(self, PLAN_START, now_us), true, now_us);
        assert_false(over.halted);
        now_us = over.again_us;
    }
    assert_int_equal(plan_restarts(self, "echo"), 6 * LIMIT_CRASH_LOOP_EXITS);
}

static void test_one_slots_crashes_do_not_halt_another(void **state)
{
    plan_t *self = *state;
    int64_t now_us = NOW;
    assert_int_equal(apply(self, 1, "echo", LIMIT_CRASH_LOOP_EXITS + 1, 0, now_us), 0);
    uint64_t slots[LIMIT_CRASH_LOOP_EXITS + 1];
    for (size_t i = 0; i < LIMIT_CRASH_LOOP_EXITS + 1; i++)
        slots[i] = expect(self, PLAN_START, now_us);
    for (size_t i = 0; i < LIMIT_CRASH_LOOP_EXITS + 1; i++)
        assert_false(plan_exited(self, slots[i], false, now_us).halted);
}

static void test_adopts_what_runs(void **state)
{
    plan_t *self = *state;
    const struct slot *one = plan_adopt(self, "echo", 5, 3, NOW);
    const struct slot *two = plan_adopt(self, "other", 5, 0, NOW);
    uint64_t first = one->id, second = two->id;
    expect(self, PLAN_NOTHING, NOW);
    /* Without a plan it is wished for. */
    struct plan_exit over = plan_exited(self, first, true, NOW + LIMIT_SECOND_US);
    assert_true(over.crashed);
    assert_int_equal(over.restarts, 4);
    assert_int_equal(expect(self, PLAN_START, over.again_us), first);
    assert_int_equal(apply(self, 1, "echo", 1, 5, NOW), 0);
    assert_int_equal(expect(self, PLAN_TERMINATE, over.again_us), second);
    expect(self, PLAN_NOTHING, over.again_us);
    assert_int_equal(plan_restarts(self, "echo"), 4);
}

static void test_stops_all(void **state)
{
    plan_t *self = *state;
    assert_int_equal(apply(self, 1, "echo", 3, 0, NOW), 0);
    uint64_t waiting = expect(self, PLAN_START, NOW);
    uint64_t running = expect(self, PLAN_START, NOW);
    assert_true(plan_exited(self, waiting, false, NOW).crashed);
    plan_stop_all(self, 5 * LIMIT_SECOND_US);
    assert_int_equal(plan_size(self), 1);
    assert_int_equal(expect(self, PLAN_TERMINATE, NOW), running);
    assert_int_equal(expect(self, PLAN_KILL, NOW + 5 * LIMIT_SECOND_US), running);
    assert_false(plan_exited(self, running, true, NOW).crashed);
    assert_int_equal(plan_size(self), 0);
}

static void test_is_bounded(void **state)
{
    plan_t *self = *state;
    assert_int_equal(apply(self, 1, "echo", UINT32_MAX, 0, NOW), ERR_LIMIT);
    assert_int_equal(plan_size(self), LIMIT_HOST_PROCESSES);
    assert_null(plan_adopt(self, "other", 0, 0, NOW));
    assert_int_equal(apply(self, 2, "echo", 1, 0, NOW), 0);
    assert_int_equal(plan_size(self), 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_starts_what_is_wished),
        TEST(test_stops_what_is_not_wished),
        TEST(test_a_wish_may_come_back_while_a_process_ends),
        TEST(test_drops_those_first_that_do_not_run),
        TEST(test_other_memory_takes_other_processes),
        TEST(test_ignores_an_older_plan),
        TEST(test_starts_again_with_backoff),
        TEST(test_ends_a_crash_loop),
        TEST(test_a_long_life_starts_afresh),
        TEST(test_killing_is_no_crash_loop),
        TEST(test_one_slots_crashes_do_not_halt_another),
        TEST(test_adopts_what_runs),
        TEST(test_stops_all),
        TEST(test_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
