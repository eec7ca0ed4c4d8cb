/* `schedule`: what is read of it. What is wrong with it: tests/data/definitions/bad, the files
 * called
 * *-schedule.yaml. */
#include "base/test.h"
#include "definitions/definitions.h"
#include <stdio.h>
#include <string.h>

static bool parse(const char *schedule, struct definitions *definitions)
{
    struct diagnostics diagnostics = {0};
    char text[512];
    (void)snprintf(
        text, sizeof text,
        "workflow: w\ninput: {n: {type: integer, default: 3}}\nnodes: {x: {agent: a}}\n%s\n",
        schedule);
    definitions_parse(text, strlen(text), "test.yaml", definitions, &diagnostics);
    if (diagnostics.count > 0)
        fail_msg("%s: %s", text, diagnostics.items[0].message);
    diagnostics_release(&diagnostics);
    return definitions->count == 1;
}

static void test_short_form(void **state)
{
    struct definitions definitions = {0};
    struct workflow_schedule schedule;
    (void)state;
    assert_true(parse("schedule: 0 9 * * mon-fri", &definitions));
    assert_true(workflow_schedule(definitions.items[0].canonical, &schedule));
    assert_null(schedule.signal);
    assert_string_equal(schedule.cron, "0 9 * * mon-fri");
    assert_string_equal(schedule.zone, "UTC");
    assert_int_equal(schedule.missed, MISSED_ONCE);
    assert_false(schedule.alone);
    assert_null(schedule.input);
    definitions_release(&definitions);
}

static void test_long_form(void **state)
{
    struct definitions definitions = {0};
    struct workflow_schedule schedule;
    dag_t *dag = NULL;
    (void)state;
    assert_true(
        parse("schedule: {cron: \"@daily\", zone: Europe/Berlin, missed: all, overlap: skip, "
              "input: {n: 4}}",
              &definitions));
    assert_true(workflow_schedule(definitions.items[0].canonical, &schedule));
    assert_string_equal(schedule.zone, "Europe/Berlin");
    assert_int_equal(schedule.missed, MISSED_ALL);
    assert_true(schedule.alone);
    assert_int_equal(value_as_int(value_get(schedule.input, "n")), 4);
    assert_int_equal(workflow_compile(definitions.items[0].canonical, &dag, NULL), 0);
    dag_destroy(&dag);
    definitions_release(&definitions);
}

static void test_signal(void **state)
{
    struct definitions definitions = {0};
    struct workflow_schedule schedule;
    (void)state;
    assert_true(parse("schedule: {signal: paper-arrived}", &definitions));
    assert_true(workflow_schedule(definitions.items[0].canonical, &schedule));
    assert_string_equal(schedule.signal, "paper-arrived");
    definitions_release(&definitions);
    assert_true(parse("", &definitions));
    assert_false(workflow_schedule(definitions.items[0].canonical, &schedule));
    definitions_release(&definitions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_form),
        cmocka_unit_test(test_long_form),
        cmocka_unit_test(test_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
