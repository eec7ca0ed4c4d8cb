#include "coordinator/approvals.h"
#include "coordinator/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Records of waits, decisions, signals, timers and pauses, there and back; names of approvals. */

static const struct uuid execution = {{1, 2, 3}};
static struct buf record;
static struct arena arena;

static struct event round_trip(struct event event)
{
    struct event back;
    struct err err;
    event.time_us = 1700000000000001;
    journal_encode(&event, &record);
    assert_int_equal(journal_decode(&arena, execution, 9, buf_bytes(&record), &back, &err), 0);
    assert_int_equal(back.kind, event.kind);
    /* No cut of it is taken for a whole one of another kind. */
    for (size_t size = 0; size < record.size; size++) {
        struct event other;
        struct bytes cut = {record.data, size};
        if (journal_decode(&arena, execution, 9, cut, &other, NULL) == 0)
            assert_int_equal(other.kind, event.kind);
    }
    return back;
}

static void assert_damaged(struct event event, const char *what)
{
    struct event back;
    struct err err;
    journal_encode(&event, &record);
    assert_int_equal(journal_decode(&arena, execution, 9, buf_bytes(&record), &back, &err),
                     ERR_MALFORMED);
    assert_string_equal(err.what, what);
}

static int clean(void **state)
{
    (void)state;
    buf_release(&record);
    arena_release(&arena);
    return 0;
}

static struct event waiting(enum wait_kind kind)
{
    return (struct event){.kind = EVENT_WAITING,
                          .waiting = {.path = "review[3]", .attempt = 2, .kind = kind}};
}

static void test_waits(void **state)
{
    (void)state;
    struct event event = waiting(WAIT_APPROVAL);
    event.waiting.text = datum_inline(bytes_of("\xa2ok", 3));
    event.waiting.show = (struct datum){.is_blob = true, .hash = {7}, .size_bytes = 1 << 20};
    event.waiting.hash[31] = 9;
    struct event_waiting back = round_trip(event).waiting;
    assert_string_equal(back.path, "review[3]");
    assert_int_equal(back.attempt, 2);
    assert_int_equal(back.kind, WAIT_APPROVAL);
    assert_true(datum_equal(&back.text, &event.waiting.text));
    assert_true(datum_equal(&back.show, &event.waiting.show));
    assert_memory_equal(back.hash, event.waiting.hash, DATUM_HASH_BYTES);
    assert_int_equal(back.due_us, 0);
    event = waiting(WAIT_SIGNAL);
    event.waiting.signal = "go";
    event.waiting.due_us = 1800000000000000;
    back = round_trip(event).waiting;
    assert_string_equal(back.signal, "go");
    assert_true(back.due_us == 1800000000000000);
    assert_true(datum_absent(&back.text));
    event = waiting(WAIT_TIMER);
    event.waiting.due_us = 5;
    assert_int_equal(round_trip(event).waiting.due_us, 5);
}

static void test_decisions(void **state)
{
    (void)state;
    struct event event = {
        .kind = EVENT_DECISION,
        .decision = {
            .path = "review", .attempt = 1, .approved = true, .by = "client:1", .note = "fine"}};
    struct event_decision back = round_trip(event).decision;
    assert_string_equal(back.path, "review");
    assert_true(back.approved);
    assert_string_equal(back.by, "client:1");
    assert_string_equal(back.note, "fine");
    assert_true(datum_absent(&back.edited));
    event.decision.approved = false;
    event.decision.edited = datum_inline(bytes_of("\xc0", 1));
    back = round_trip(event).decision;
    assert_false(back.approved);
    assert_true(datum_equal(&back.edited, &event.decision.edited));
}

static void test_the_rest(void **state)
{
    (void)state;
    struct event event = {.kind = EVENT_SIGNAL,
                          .signal = {"go", datum_inline(bytes_of("\x07", 1)), "client:2"}};
    struct event_signal signal = round_trip(event).signal;
    assert_string_equal(signal.name, "go");
    assert_string_equal(signal.by, "client:2");
    assert_true(datum_equal(&signal.payload, &event.signal.payload));
    event = (struct event){.kind = EVENT_TIMER, .timer = {"pause", 3, WAIT_TIMER}};
    struct event_timer timer = round_trip(event).timer;
    assert_string_equal(timer.path, "pause");
    assert_int_equal(timer.attempt, 3);
    assert_int_equal(timer.kind, WAIT_TIMER);
    event = (struct event){.kind = EVENT_PAUSED, .paused = {"client:3", "lunch"}};
    assert_string_equal(round_trip(event).paused.why, "lunch");
    event = (struct event){.kind = EVENT_RESUMED, .resumed = {"client:3", ""}};
    assert_string_equal(round_trip(event).resumed.by, "client:3");
}

static void test_retries_and_forks(void **state)
{
    (void)state;
    struct event event = {
        .kind = EVENT_REOPENED,
        .reopened = {"client:4", EXECUTION_FAILED, {3, 14}, INT64_C(1700000000000000)}};
    struct event_reopened reopened = round_trip(event).reopened;
    assert_string_equal(reopened.by, "client:4");
    assert_int_equal(reopened.was, EXECUTION_FAILED);
    assert_int_equal(reopened.run.counter, 14);
    assert_true(reopened.deadline_us == event.reopened.deadline_us);
    event = (struct event){.kind = EVENT_FORKED,
                           .forked = {.from = {{1, 2, 3}},
                                      .at = 17,
                                      .node = "draft",
                                      .input = datum_inline(bytes_of("\x07", 1)),
                                      .by = "client:5"}};
    struct event_forked forked = round_trip(event).forked;
    assert_true(uuid_equal(forked.from, event.forked.from));
    assert_int_equal(forked.at, 17);
    assert_string_equal(forked.node, "draft");
    assert_true(datum_equal(&forked.input, &event.forked.input));
    event = (struct event){.kind = EVENT_REOPENED, .reopened = {"", EXECUTION_RUNNING, {0, 0}, 0}};
    assert_damaged(event, "1 is no status that an execution ends with");
}

/* What no coordinator writes is not read either. */
static void test_damaged(void **state)
{
    (void)state;
    struct event event = waiting((enum wait_kind)4);
    assert_damaged(event, "4 is nothing that is waited for");
    assert_damaged(waiting(WAIT_APPROVAL), "the field \"text\" is missing");
    event = waiting(WAIT_TIMER);
    event.waiting.text = datum_inline(bytes_of("\xc0", 1));
    assert_damaged(event, "the field \"text\" is where nothing is asked");
    event = waiting(WAIT_SIGNAL);
    event.waiting.signal = "\xff";
    assert_damaged(event, "the field \"signal\" is not UTF-8");
    event = (struct event){.kind = EVENT_TIMER, .timer = {"pause", 3, (enum wait_kind)0}};
    assert_damaged(event, "0 is nothing that is waited for");
    event = (struct event){.kind = EVENT_PAUSED, .paused = {"client:3", "\xff"}};
    assert_damaged(event, "the field \"why\" is not UTF-8");
}

static void test_names(void **state)
{
    (void)state;
    struct buf text = {0};
    struct err err;
    struct approval_id id;
    for (uint32_t attempt = 1; attempt < 12; attempt += 10) {
        buf_clear(&text);
        approval_id_print(execution, "review[17]", attempt, &text);
        assert_int_equal(approval_id_parse(buf_string(&text), &arena, &id, &err), 0);
        assert_true(uuid_equal(id.execution, execution));
        assert_string_equal(id.path, "review[17]");
        assert_int_equal(id.attempt, attempt);
    }
    const char *const tails[] = {"", "/", "/a@", "/a@0", "/a@1", "/a@x", "/a@2x", "/a@99999999999"};
    char exec[TYPEID_TEXT_SIZE];
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        buf_clear(&text);
        buf_printf(&text, "%s%s", typeid_text("exec", execution, exec), tails[i]);
        assert_int_equal(approval_id_parse(buf_string(&text), &arena, &id, &err), ERR_INVALID);
    }
    assert_int_equal(approval_id_parse("inst_1/a", &arena, &id, &err), ERR_INVALID);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_waits, clean),
        cmocka_unit_test_teardown(test_decisions, clean),
        cmocka_unit_test_teardown(test_the_rest, clean),
        cmocka_unit_test_teardown(test_retries_and_forks, clean),
        cmocka_unit_test_teardown(test_damaged, clean),
        cmocka_unit_test_teardown(test_names, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
