#include "agentd/tasks.h"

#include "agentd/deadlines.h"
#include "base/limits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct uuid EXECUTION = {{1, 2, 3}};
static const struct datum NOTHING = {.inline_bytes = {(const uint8_t *)"\xc0", 1}};

static struct wire_dispatch dispatch_of(const char *path, uint64_t counter)
{
    return (struct wire_dispatch){.execution = EXECUTION,
                                  .path = path,
                                  .attempt = 1,
                                  .run = {7, counter},
                                  .journaled_step = 4,
                                  .workflow = ""};
}

static struct task *take(tasks_t *tasks, const char *path, uint64_t counter)
{
    struct wire_dispatch dispatch = dispatch_of(path, counter);
    struct task *task = NULL;
    assert_int_equal(tasks_take(tasks, &dispatch, &task), TASKS_TAKEN);
    return task;
}

/* A turn whose only call has this name, by which it is known again. */
static void report(tasks_t *tasks, struct task *task, const char *name)
{
    struct wire_item item = {
        .kind = WIRE_ITEM_STEP,
        .step = {.kind = WIRE_STEP_TURN, .turn = 1, .calls = &name, .calls_count = 1}};
    tasks_report(tasks, task, &item);
}

static void report_delegation(tasks_t *tasks, struct task *task, const char *agent)
{
    struct wire_item item = {.kind = WIRE_ITEM_DELEGATE,
                             .delegate = {.agent = agent, .turn = 1, .message = NOTHING}};
    tasks_report(tasks, task, &item);
}

static void report_call(tasks_t *tasks, struct task *task, const char *tool)
{
    struct wire_item item = {.kind = WIRE_ITEM_TOOL_CALL,
                             .tool_call = {.tool = tool, .turn = 1, .arguments = NOTHING}};
    tasks_report(tasks, task, &item);
}

/* "4 text, - agent": the number of each step, or a dash, and what it is known by. */
static void assert_unsent(const tasks_t *tasks, const char *expected)
{
    struct buf text = {0};
    struct arena arena = {0};
    for (const struct report *one = tasks_unsent(tasks); one; one = tasks_unsent_next(one)) {
        struct wire_items items;
        assert_int_equal(wire_decode_items(&arena, buf_bytes(&one->item), &items, NULL), 0);
        assert_int_equal(items.count, 1);
        const struct wire_item *item = items.items;
        assert_int_equal(one->number, item->kind == WIRE_ITEM_STEP ? item->step.number : 0);
        if (text.size)
            buf_puts(&text, ", ");
        if (item->kind == WIRE_ITEM_STEP)
            buf_printf(&text, "%u %s", item->step.number, item->step.calls[0]);
        else
            buf_printf(&text, "- %s",
                       item->kind == WIRE_ITEM_DELEGATE ? item->delegate.agent
                                                        : item->tool_call.tool);
    }
    assert_string_equal(buf_string(&text), expected);
    buf_release(&text);
    arena_release(&arena);
}

static struct task *take_and_finish(tasks_t *tasks, const char *path, uint64_t counter)
{
    struct task *task = take(tasks, path, counter);
    report(tasks, task, path);
    tasks_finish(tasks, task);
    return task;
}

/* All that is to be sent goes out. */
static void send_all(tasks_t *tasks, uint64_t sequence)
{
    while (tasks_unsent(tasks))
        tasks_sent(tasks, 1, sequence);
}

struct drops {
    char paths[256];
};

static void note_drop(void *context, struct task *task)
{
    struct drops *drops = context;
    size_t size = strlen(drops->paths);
    snprintf(drops->paths + size, sizeof drops->paths - size, "%s ", task->path);
}

static void test_runs_of_one_task(void **state)
{
    (void)state;
    tasks_t *tasks = tasks_new(4);
    struct task *first = take(tasks, "a", 5);
    uint64_t id = first->id;
    struct task *found = NULL;
    struct wire_dispatch same = dispatch_of("a", 5), older = dispatch_of("a", 4),
                         newer = dispatch_of("a", 6);
    assert_int_equal(tasks_take(tasks, &same, &found), TASKS_HELD);
    assert_int_equal(tasks_take(tasks, &older, &found), TASKS_HELD);
    assert_int_equal(tasks_take(tasks, &newer, &found), TASKS_BEFORE);
    assert_ptr_equal(found, first);
    tasks_drop(tasks, &found);
    assert_null(tasks_get(tasks, id));
    assert_int_equal(tasks_take(tasks, &newer, &found), TASKS_TAKEN);
    assert_int_not_equal(found->id, id);
    assert_null(tasks_get(tasks, id));
    assert_ptr_equal(tasks_get(tasks, found->id), found);
    assert_int_equal(found->next_step, 5);
    tasks_destroy(&tasks);
}

static void test_a_restarted_epoch_is_newer(void **state)
{
    (void)state;
    tasks_t *tasks = tasks_new(4);
    take(tasks, "a", 500);
    struct wire_dispatch dispatch = dispatch_of("a", 1);
    dispatch.run.epoch = 8;
    struct task *held = NULL;
    assert_int_equal(tasks_take(tasks, &dispatch, &held), TASKS_BEFORE);
    tasks_destroy(&tasks);
}

static void test_steps_leave_when_they_are_acknowledged(void **state)
{
    (void)state;
    tasks_t *tasks = tasks_new(4);
    take_and_finish(tasks, "a", 1);
    take_and_finish(tasks, "b", 2);
    tasks_sent(tasks, 2, 1);
    take_and_finish(tasks, "c", 3);
    tasks_sent(tasks, 1, 2);
    struct task *waiting = take_and_finish(tasks, "d", 4);
    tasks_acknowledge(tasks, 0);
    assert_int_equal(tasks_count(tasks), 4);
    tasks_acknowledge(tasks, 1);
    assert_int_equal(tasks_count(tasks), 2);
    assert_null(tasks_find(tasks, EXECUTION, "a"));
    assert_non_null(tasks_find(tasks, EXECUTION, "c"));
    tasks_acknowledge(tasks, 9);
    assert_ptr_equal(tasks_unsent(tasks)->task, waiting);
    assert_int_equal(tasks_count(tasks), 1);
    tasks_destroy(&tasks);
}

static void test_credit_counts_places(void **state)
{
    (void)state;
    tasks_t *tasks = tasks_new(2);
    assert_int_equal(tasks_hello_credit(tasks), 2);
    tasks_welcome(tasks, NULL, 0, note_drop, NULL);
    assert_int_equal(tasks_credit(tasks), 2);
    struct task *a = take(tasks, "a", 1);
    take(tasks, "b", 2);
    assert_int_equal(tasks_credit(tasks), 2);
    report(tasks, a, "a");
    assert_int_equal(tasks_credit(tasks), 2);
    tasks_finish(tasks, a);
    assert_int_equal(tasks_credit(tasks), 3);
    tasks_sent(tasks, 1, 1);
    tasks_acknowledge(tasks, 1);
    assert_int_equal(tasks_credit(tasks), 3);
    struct task *b = tasks_find(tasks, EXECUTION, "b");
    tasks_drop(tasks, &b);
    assert_int_equal(tasks_credit(tasks), 4);
    tasks_drain(tasks);
    take_and_finish(tasks, "c", 3);
    assert_int_equal(tasks_credit(tasks), 4);
    tasks_destroy(&tasks);
}

static void test_credit_stops_at_the_cap_of_unacknowledged_steps(void **state)
{
    (void)state;
    tasks_t *tasks = tasks_new(1);
    char path[32];
    uint64_t before = 0;
    for (unsigned i = 0; i < LIMIT_AGENTD_UNACKED; i++) {
        before = tasks_credit(tasks);
        snprintf(path, sizeof path, "n[%u]", i);
        take_and_finish(tasks, path, i + 1);
        tasks_sent(tasks, 1, i + 1);
    }
    assert_int_equal(tasks_credit(tasks), before);
    tasks_acknowledge(tasks, LIMIT_AGENTD_UNACKED / 2);
    assert_int_equal(tasks_credit(tasks), LIMIT_AGENTD_UNACKED + 1);
    tasks_destroy(&tasks);
}

static struct wire_verdict verdict_of(const char *path, uint64_t counter, bool keep, uint32_t step)
{
    return (struct wire_verdict){.execution = EXECUTION,
                                 .path = path,
                                 .run = {7, counter},
                                 .keep = keep,
                                 .journaled_step = step};
}

static void test_inventory(void **state)
{
    (void)state;
    tasks_t *tasks = tasks_new(4);
    struct arena arena = {0};
    const struct wire_claim *claims = NULL;
    size_t count = 9;
    tasks_inventory(tasks, &arena, &claims, &count);
    assert_int_equal(count, 0);
    tasks_run(tasks, take(tasks, "running", 1));
    take_and_finish(tasks, "finished", 2);
    tasks_inventory(tasks, &arena, &claims, &count);
    assert_int_equal(count, 2);
    assert_string_equal(claims[0].path, "running");
    assert_int_equal(claims[0].acknowledged_step, 4);
    assert_int_equal(claims[0].unacknowledged_count, 0);
    assert_string_equal(claims[1].path, "finished");
    assert_int_equal(claims[1].run.counter, 2);
    assert_int_equal(claims[1].unacknowledged_count, 1);
    assert_int_equal(claims[1].unacknowledged_steps[0], 5);
    assert_int_equal(tasks_hello_credit(tasks), 4);
    arena_release(&arena);
    tasks_destroy(&tasks);
}

/* What the Welcome refuses must not leave credit behind: the coordinator counts only what is kept
 * as sent. */
static void test_credit_of_a_hello_is_good_for_any_verdict(void **state)
{
    (void)state;
    tasks_t *tasks = tasks_new(2);
    take_and_finish(tasks, "refused", 1);
    take_and_finish(tasks, "kept", 2);
    take(tasks, "waiting", 3);
    uint64_t offered = tasks_hello_credit(tasks);
    struct wire_verdict verdicts[] = {verdict_of("refused", 1, false, 0),
                                      verdict_of("kept", 2, true, 4),
                                      verdict_of("waiting", 3, true, 4)};
    tasks_welcome(tasks, verdicts, 3, note_drop, &(struct drops){0});
    assert_int_equal(offered, 2);
    assert_int_equal(tasks_credit(tasks),
                     3); /* two kept, of which one is done: one place is free */
    tasks_destroy(&tasks);
}

static void test_welcome(void **state)
{
    (void)state;
    tasks_t *tasks = tasks_new(4);
    struct drops drops = {0};
    tasks_run(tasks, take(tasks, "kept", 1));
    tasks_run(tasks, take(tasks, "dropped", 2));
    tasks_run(tasks, take(tasks, "other_run", 3));
    take_and_finish(tasks, "journaled", 4);
    tasks_sent(tasks, 1, 1);
    take_and_finish(tasks, "sent", 5);
    tasks_sent(tasks, 1, 2);
    take_and_finish(tasks, "finished", 6);
    take(tasks, "unnamed", 7);
    struct wire_verdict verdicts[] = {
        verdict_of("kept", 1, true, 4),      verdict_of("dropped", 2, false, 0),
        verdict_of("other_run", 9, true, 4), verdict_of("journaled", 4, true, 5),
        verdict_of("sent", 5, true, 4),      verdict_of("finished", 6, true, 4),
        verdict_of("unknown", 1, true, 4),
    };
    tasks_welcome(tasks, verdicts, sizeof verdicts / sizeof verdicts[0], note_drop, &drops);
    assert_string_equal(drops.paths, "unnamed dropped other_run ");
    assert_int_equal(tasks_count(tasks), 3);
    assert_int_equal(tasks_count_in(tasks, TASK_RUNNING), 1);
    assert_int_equal(tasks_count_in(tasks, TASK_SENT), 0);
    assert_int_equal(tasks_find(tasks, EXECUTION, "kept")->state, TASK_RUNNING);
    /* Steps go out anew in the order in which they were written. */
    assert_unsent(tasks, "5 sent, 5 finished");
    /* Kept: one with a place and three without, which count as sent. */
    assert_int_equal(tasks_credit(tasks), 4 + 3);
    /* A second welcome judges anew. */
    drops = (struct drops){0};
    tasks_welcome(tasks, verdicts, 1, note_drop, &drops);
    assert_string_equal(drops.paths, "sent finished ");
    assert_int_equal(tasks_credit(tasks), 4);
    tasks_destroy(&tasks);
}

/* --- several reports of one run ------------------------------------------------------------------
 */

static void test_reports_go_out_in_order_over_all_tasks(void **state)
{
    (void)state;
    tasks_t *tasks = tasks_new(4);
    struct task *a = take(tasks, "a", 1), *b = take(tasks, "b", 2);
    report(tasks, a, "first");
    report(tasks, b, "other");
    report_delegation(tasks, a, "writer");
    report_call(tasks, a, "list_agents");
    report(tasks, a, "second");
    assert_unsent(tasks, "5 first, 5 other, - writer, - list_agents, 6 second");
    tasks_sent(tasks, 3, 1);
    assert_unsent(tasks, "- list_agents, 6 second");
    assert_int_equal(tasks_sent_count(tasks), 3);
    tasks_acknowledge(tasks, 1);
    assert_int_equal(a->acknowledged_step, 5);
    assert_int_equal(b->acknowledged_step, 5);
    assert_int_equal(tasks_count(tasks), 2); /* neither has ended */
    send_all(tasks, 2);
    tasks_acknowledge(tasks, 2);
    assert_int_equal(a->acknowledged_step, 6);
    report(tasks, a, "third");
    assert_unsent(tasks, "7 third");
    tasks_destroy(&tasks);
}

static void test_a_task_leaves_with_its_last_report(void **state)
{
    (void)state;
    tasks_t *tasks = tasks_new(1);
    tasks_welcome(tasks, NULL, 0, note_drop, NULL);
    struct task *task = take(tasks, "a", 1);
    tasks_run(tasks, task);
    assert_int_equal(tasks_credit(tasks), 1);
    report(tasks, task, "turn");
    send_all(tasks, 1);
    report_delegation(tasks, task, "writer");
    assert_int_equal(tasks_credit(tasks), 1);
    tasks_finish(tasks, task);
    assert_int_equal(tasks_credit(tasks), 2); /* it is parked: its place is free */
    assert_int_equal(task->state, TASK_FINISHED);
    send_all(tasks, 2);
    assert_int_equal(task->state, TASK_SENT);
    tasks_acknowledge(tasks, 1);
    assert_int_equal(task->acknowledged_step, 5);
    assert_int_equal(tasks_count(tasks), 1);
    tasks_acknowledge(tasks, 2);
    assert_int_equal(tasks_count(tasks), 0);
    assert_int_equal(tasks_credit(tasks), 2);
    tasks_destroy(&tasks);
}

static void test_finished_when_all_is_out_already(void **state)
{
    (void)state;
    tasks_t *tasks = tasks_new(1);
    struct task *task = take(tasks, "a", 1);
    report(tasks, task, "turn");
    send_all(tasks, 1);
    tasks_finish(tasks, task);
    assert_int_equal(task->state, TASK_SENT);
    tasks_acknowledge(tasks, 1);
    assert_int_equal(tasks_count(tasks), 0);
    tasks_destroy(&tasks);
}

static void test_a_dropped_task_takes_its_reports_along(void **state)
{
    (void)state;
    tasks_t *tasks = tasks_new(2);
    struct task *a = take(tasks, "a", 1), *b = take(tasks, "b", 2);
    report(tasks, a, "a1");
    report(tasks, b, "b1");
    tasks_sent(tasks, 1, 1);
    report(tasks, a, "a2");
    tasks_drop(tasks, &a);
    assert_unsent(tasks, "5 b1");
    assert_int_equal(tasks_sent_count(tasks), 0);
    send_all(tasks, 2);
    tasks_acknowledge(tasks, 2);
    assert_int_equal(b->acknowledged_step, 5);
    /* The slot is used again, with a report of its own. */
    a = take(tasks, "c", 3);
    report(tasks, a, "c1");
    assert_unsent(tasks, "5 c1");
    tasks_destroy(&tasks);
}

static void assert_claim(const tasks_t *tasks, uint32_t acknowledged, size_t count,
                         const uint32_t *steps)
{
    struct arena arena = {0};
    const struct wire_claim *claims = NULL;
    size_t claims_count = 0;
    tasks_inventory(tasks, &arena, &claims, &claims_count);
    assert_int_equal(claims_count, 1);
    assert_int_equal(claims[0].acknowledged_step, acknowledged);
    assert_int_equal(claims[0].unacknowledged_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(claims[0].unacknowledged_steps[i], steps[i]);
    arena_release(&arena);
}

static void test_a_welcome_in_the_middle_of_a_run(void **state)
{
    (void)state;
    tasks_t *tasks = tasks_new(2);
    struct task *task = take(tasks, "a", 1);
    report(tasks, task, "one");
    send_all(tasks, 1);
    tasks_acknowledge(tasks, 1);
    report(tasks, task, "two");
    report_delegation(tasks, task, "writer");
    report(tasks, task, "three");
    send_all(tasks, 2);
    report(tasks, task, "four");
    assert_claim(tasks, 5, 3, (uint32_t[]){6, 7, 8});
    /* What the journal holds is acknowledged; delegations are said again: that is harmless. */
    struct wire_verdict verdict = verdict_of("a", 1, true, 6);
    tasks_welcome(tasks, &verdict, 1, note_drop, NULL);
    assert_int_equal(task->acknowledged_step, 6);
    assert_unsent(tasks, "- writer, 7 three, 8 four");
    assert_claim(tasks, 6, 2, (uint32_t[]){7, 8});
    assert_int_equal(tasks_credit(tasks), 2);
    tasks_finish(tasks, task);
    assert_int_equal(tasks_credit(tasks), 3);
    send_all(tasks, 1);
    verdict.journaled_step = 8;
    tasks_welcome(tasks, &verdict, 1, note_drop, NULL);
    assert_unsent(tasks, "- writer");
    assert_int_equal(tasks_count(tasks), 1);
    assert_int_equal(tasks_credit(tasks), 3);
    send_all(tasks, 1);
    tasks_acknowledge(tasks, 1);
    assert_int_equal(tasks_count(tasks), 0);
    tasks_destroy(&tasks);
}

static void test_many_tasks_come_and_go(void **state)
{
    (void)state;
    tasks_t *tasks = tasks_new(1000);
    char path[32];
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 500; i++) {
            snprintf(path, sizeof path, "n[%u]", i);
            take_and_finish(tasks, path, round * 500 + i + 1);
            tasks_sent(tasks, 1, i + 1);
        }
        for (unsigned i = 0; i < 500; i++) {
            snprintf(path, sizeof path, "n[%u]", i);
            assert_string_equal(tasks_find(tasks, EXECUTION, path)->path, path);
        }
        tasks_acknowledge(tasks, 500);
        assert_int_equal(tasks_count(tasks), 0);
        if (round % 5 == 0)
            tasks_trim(tasks);
    }
    tasks_destroy(&tasks);
}

/* Against the plain way to find the earliest, over a fixed sequence of sets, moves and clears. */
static void test_deadlines(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    struct deadline all[COUNT] = {{0}};
    struct deadlines heap = {0};
    uint32_t random = 12345;
    assert_null(deadlines_first(&heap));
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525 + 1013904223;
        struct deadline *one = &all[(random >> 8) % COUNT];
        if ((random >> 20) % 4 == 0)
            deadlines_clear(&heap, one);
        else
            deadlines_set(&heap, one, (random >> 4) % 1000);
        int64_t least = INT64_MAX;
        for (int j = 0; j < COUNT; j++)
            if (all[j].position && all[j].at_us < least)
                least = all[j].at_us;
        const struct deadline *first = deadlines_first(&heap);
        assert_int_equal(first ? first->at_us : INT64_MAX, least);
    }
    deadlines_release(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_of_one_task),
        cmocka_unit_test(test_a_restarted_epoch_is_newer),
        cmocka_unit_test(test_steps_leave_when_they_are_acknowledged),
        cmocka_unit_test(test_credit_counts_places),
        cmocka_unit_test(test_credit_stops_at_the_cap_of_unacknowledged_steps),
        cmocka_unit_test(test_inventory),
        cmocka_unit_test(test_credit_of_a_hello_is_good_for_any_verdict),
        cmocka_unit_test(test_welcome),
        cmocka_unit_test(test_reports_go_out_in_order_over_all_tasks),
        cmocka_unit_test(test_a_task_leaves_with_its_last_report),
        cmocka_unit_test(test_finished_when_all_is_out_already),
        cmocka_unit_test(test_a_dropped_task_takes_its_reports_along),
        cmocka_unit_test(test_a_welcome_in_the_middle_of_a_run),
        cmocka_unit_test(test_many_tasks_come_and_go),
        cmocka_unit_test(test_deadlines),
    };
    return cmocka_run_group_tests_name("tasks", tests, NULL, NULL);
}
