/* Schedules and signals that start executions, as clients see them, under a clock that the test
 * sets: all times are of 2026-11-27, in UTC. What starts waits for a person, so that no agent is
 * needed. */
#include "coordinator/scenes.h"

#include "base/clock.h"
#include "base/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MIDNIGHT (1795737600 * LIMIT_SECOND_US)
#define AT(hour, minute, second)                                                                   \
    (MIDNIGHT + ((hour)*3600 + (minute)*60 + (second)) * LIMIT_SECOND_US)

static void start_at(struct harness *harness, int64_t at_us, const struct harness_fault *fault)
{
    harness->clock_ahead_us = at_us - clock_utc_us();
    harness_start(harness, fault);
}

/* The workflow "w", with this schedule (YAML, "": none) and something that makes a version of it.
 */
static void apply(struct harness *harness, const char *workflow, const char *schedule,
                  const char *about)
{
    char params[1024];
    (void)snprintf(
        params, sizeof params,
        "{\"files\":[{\"name\":\"w.yaml\",\"text\":\"workflow: %s\\nabout: %s\\n"
        "input: {n: {type: integer, default: 3}}\\nnodes: {ask: {approve: ok?}}\\n%s%s\"}]}",
        workflow, about, *schedule ? "schedule: " : "", schedule);
    value_t *applied = harness_call(harness, "definitions.apply", params);
    value_destroy(&applied);
}

static void remove_workflow(struct harness *harness)
{
    value_t *removed = harness_call(harness, "workflows.remove", "{\"name\":\"w\"}");
    value_destroy(&removed);
}

static void begin(struct harness *harness, const char *schedule)
{
    start_at(harness, AT(12, 10, 0), NULL);
    apply(harness, "w", schedule, "first");
}

/* Again, with the clock set. */
static void restart_at(struct harness *harness, int64_t at_us)
{
    harness_kill(harness);
    start_at(harness, at_us, NULL);
}

/* The schedule of "w"; the caller's. */
static value_t *schedule_of(struct harness *harness)
{
    value_t *list = harness_call(harness, "schedules.list", "{}");
    const value_t *items = value_get(list, "items");
    value_t *item = value_size(items) == 1 ? value_ref(value_at(items, 0)) : NULL;
    value_destroy(&list);
    return item;
}

/* Times as "13:00". */
static void assert_times(struct harness *harness, const char *last, const char *next)
{
    char text[64];
    value_t *schedule = schedule_of(harness);
    assert_non_null(schedule);
    (void)snprintf(text, sizeof text, "2026-11-27T%s:00.000000Z", next);
    assert_memory_equal(value_get_string(schedule, "next_at", ""), text, 16);
    (void)snprintf(text, sizeof text, "2026-11-27T%s:00.000000Z", last);
    assert_memory_equal(value_get_string(schedule, "last_at", "none yet        "),
                        *last ? text : "none yet", *last ? 16 : 8);
    value_destroy(&schedule);
}

static size_t count_executions(struct harness *harness)
{
    value_t *list = harness_call(harness, "executions.list", "{\"workflow\":\"w\"}");
    size_t count = value_size(value_get(list, "items"));
    value_destroy(&list);
    return count;
}

/* No more and no fewer, also a moment later. */
static void assert_executions(struct harness *harness, size_t wanted)
{
    int64_t until_us = clock_monotonic_us() + HARNESS_PATIENCE_US;
    while (count_executions(harness) < wanted && clock_monotonic_us() < until_us)
        harness_pump(harness);
    until_us = clock_monotonic_us() + LIMIT_SECOND_US / 5;
    while (clock_monotonic_us() < until_us)
        harness_pump(harness);
    assert_int_equal(count_executions(harness), wanted);
}

static void test_a_time_comes(void **state)
{
    struct harness *harness = *state;
    begin(harness, "{cron: '@hourly', input: {n: 7}}");
    assert_times(harness, "", "13:00");
    restart_at(harness, AT(12, 59, 59));
    assert_executions(harness, 1);
    assert_times(harness, "13:00", "14:00");
    value_t *schedule = schedule_of(harness);
    value_t *execution =
        call_for(harness, "executions.get", value_get_string(schedule, "last_execution", ""));
    assert_int_equal(value_get_int(value_get(execution, "input"), "n", 0), 7);
    value_t *journal =
        call_for(harness, "executions.journal", value_get_string(execution, "id", ""));
    assert_string_equal(value_get_string(value_at(value_get(journal, "items"), 0), "by", ""),
                        "schedule");
    value_destroy(&journal);
    value_destroy(&execution);
    value_destroy(&schedule);
    restart_at(harness, AT(13, 0, 5));
    assert_executions(harness, 1);
}

static void test_missed_once(void **state)
{
    struct harness *harness = *state;
    begin(harness, "'@hourly'");
    restart_at(harness, AT(15, 20, 0));
    assert_executions(harness, 1);
    assert_times(harness, "15:00", "16:00");
}

static void test_missed_all(void **state)
{
    struct harness *harness = *state;
    begin(harness, "{cron: '@hourly', missed: all}");
    restart_at(harness, AT(15, 20, 0));
    assert_executions(harness, 3);
    assert_times(harness, "15:00", "16:00");
}

static void test_missed_skip(void **state)
{
    struct harness *harness = *state;
    begin(harness, "{cron: '@hourly', missed: skip}");
    restart_at(harness, AT(15, 20, 0));
    assert_executions(harness, 0);
    assert_times(harness, "", "16:00");
}

static void test_the_clock_is_set_back(void **state)
{
    struct harness *harness = *state;
    begin(harness, "'@hourly'");
    restart_at(harness, AT(15, 20, 0));
    assert_executions(harness, 1);
    restart_at(harness, AT(12, 59, 59));
    harness_pump(harness);
    struct timespec pause = {.tv_sec = 1, .tv_nsec = 200000000};
    (void)nanosleep(&pause, NULL);
    assert_executions(harness, 1);
    assert_times(harness, "15:00", "16:00");
}

static void test_none_while_one_runs(void **state)
{
    struct harness *harness = *state;
    begin(harness, "{cron: '@hourly', overlap: skip}");
    restart_at(harness, AT(13, 20, 0));
    assert_executions(harness, 1);
    restart_at(harness, AT(14, 20, 0));
    assert_executions(harness, 1);
    assert_times(harness, "13:00", "15:00");
    value_t *schedule = schedule_of(harness);
    assert_non_null(strstr(value_get_string(schedule, "trouble", ""), "still ran"));
    const char *id = value_get_string(schedule, "last_execution", "");
    value_t *cancelled = call_for(harness, "executions.cancel", id);
    value_t *ended = call_for(harness, "executions.wait", id);
    assert_string_equal(value_get_string(ended, "status", ""), "cancelled");
    value_destroy(&cancelled);
    value_destroy(&ended);
    value_destroy(&schedule);
    restart_at(harness, AT(15, 20, 0));
    assert_executions(harness, 2);
}

/* Neither is the run lost that a failed commit took along, nor does it come twice. */
static void test_a_commit_fails(void **state)
{
    struct harness *harness = *state;
    begin(harness, "'@hourly'");
    harness_kill(harness);
    start_at(harness, AT(12, 59, 59), &(struct harness_fault){.n = 1, .code = ERR_IO});
    assert_int_equal(harness_wait_exit(harness), 1);
    start_at(harness, AT(13, 0, 30), NULL);
    assert_executions(harness, 1);
    restart_at(harness, AT(13, 1, 0));
    assert_executions(harness, 1);
}

static void test_a_full_store(void **state)
{
    struct harness *harness = *state;
    begin(harness, "'@hourly'");
    harness_kill(harness);
    start_at(harness, AT(12, 59, 59), &(struct harness_fault){.n = 1, .code = ERR_FULL});
    struct timespec pause = {.tv_sec = 2};
    (void)nanosleep(&pause, NULL);
    restart_at(harness, AT(13, 0, 30));
    assert_executions(harness, 1);
}

static void test_versions(void **state)
{
    struct harness *harness = *state;
    begin(harness, "'@hourly'");
    restart_at(harness, AT(13, 20, 0));
    assert_executions(harness, 1);
    apply(harness, "w", "'@hourly'", "second");
    assert_times(harness, "13:00", "14:00");
    apply(harness, "w", "30 * * * *", "third");
    assert_times(harness, "13:00", "13:30");
    apply(harness, "w", "", "fourth");
    assert_null(schedule_of(harness));
    apply(harness, "w", "'@hourly'", "fifth");
    assert_times(harness, "", "14:00");
    remove_workflow(harness);
    assert_null(schedule_of(harness));
    restart_at(harness, AT(18, 20, 0));
    assert_null(schedule_of(harness));
    assert_executions(harness, 1);
    apply(harness, "w", "{cron: '0 9 * * *', zone: America/New_York}", "sixth");
    restart_at(harness, AT(18, 21, 0));
    value_t *schedule = schedule_of(harness);
    assert_string_equal(value_get_string(schedule, "zone", ""), "America/New_York");
    assert_memory_equal(value_get_string(schedule, "next_at", ""), "2026-11-28T14:00", 16);
    value_destroy(&schedule);
}

static void test_signals(void **state)
{
    struct harness *harness = *state;
    char error[32];
    begin(harness, "{signal: go}");
    apply(harness, "v", "{signal: go}", "first");
    harness_refused(harness, "signals.send", "{\"name\":\"stop\"}", "not_found");
    harness_refused(harness, "signals.send", "{}", "invalid");
    harness_refused(harness, "signals.send", "{\"name\":\"go\",\"payload\":{\"n\":\"x\"}}",
                    "invalid");
    assert_executions(harness, 0);
    static const char SEND[] = "{\"name\":\"go\",\"payload\":{\"n\":5}}";
    value_t *first =
        harness_answer(harness, harness_send(harness, "signals.send", SEND, "k"), error);
    value_t *second =
        harness_answer(harness, harness_send(harness, "signals.send", SEND, "k"), error);
    assert_string_equal(error, "");
    assert_true(value_equal(first, second));
    const value_t *executions = value_get(first, "executions");
    assert_int_equal(value_size(executions), 2);
    assert_string_equal(value_get_string(value_at(executions, 1), "workflow", ""), "v");
    value_t *execution =
        call_for(harness, "executions.get", value_get_string(value_at(executions, 0), "id", ""));
    assert_int_equal(value_get_int(value_get(execution, "input"), "n", 0), 5);
    value_destroy(&execution);
    value_destroy(&first);
    value_destroy(&second);
    assert_executions(harness, 1);
    restart_at(harness, AT(13, 20, 0));
    assert_executions(harness, 1);
    value_t *list = harness_call(harness, "schedules.list", "{}");
    const value_t *item = value_at(value_get(list, "items"), 0);
    assert_string_equal(value_get_string(item, "signal", ""), "go");
    assert_memory_equal(value_get_string(item, "last_at", ""), "2026-11-27T12:10", 16);
    assert_null(value_get_string(item, "next_at", NULL));
    value_destroy(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_time_comes),   TEST(test_missed_once),           TEST(test_missed_all),
        TEST(test_missed_skip),    TEST(test_the_clock_is_set_back), TEST(test_none_while_one_runs),
        TEST(test_a_commit_fails), TEST(test_a_full_store),          TEST(test_versions),
        TEST(test_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
