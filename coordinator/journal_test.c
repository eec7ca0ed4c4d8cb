#include "coordinator/journal.h"

#include "coordinator/record.h"
#include "coordinator/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct uuid execution = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

struct fixture {
    struct buf record;
    struct arena arena;
    struct event event;
};

static struct event make_event(enum event_kind kind)
{
    return (struct event){
        .execution = execution, .sequence = 7, .time_us = 1700000000000001, .kind = kind};
}

static const struct event *round_trip(struct fixture *fixture, const struct event *event)
{
    struct err err;
    journal_encode(event, &fixture->record);
    arena_clear(&fixture->arena);
    assert_int_equal(journal_decode(&fixture->arena, execution, 7, buf_bytes(&fixture->record),
                                    &fixture->event, &err),
                     0);
    assert_int_equal(fixture->event.kind, event->kind);
    assert_int_equal(fixture->event.time_us, event->time_us);
    assert_int_equal(fixture->event.sequence, 7);
    assert_true(uuid_equal(fixture->event.execution, execution));
    return &fixture->event;
}

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct fixture));
    return *state == NULL;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    buf_release(&fixture->record);
    arena_release(&fixture->arena);
    free(fixture);
    return 0;
}

static struct datum blob(uint8_t first, uint64_t size)
{
    struct datum datum = {.is_blob = true, .size_bytes = size};
    memset(datum.hash, first, sizeof datum.hash);
    return datum;
}

static struct failure exit_failure(void)
{
    return (struct failure){.code = "exit",
                            .message = "the command exited with 3",
                            .detail = "line one\nline two\n",
                            .permanent = true};
}

static void assert_failure(const struct failure *a, const struct failure *b)
{
    assert_string_equal(a->code, b->code);
    assert_string_equal(a->message, b->message);
    assert_string_equal(a->detail, b->detail);
    assert_int_equal(a->permanent, b->permanent);
}

static void test_started(void **state)
{
    static const struct pinned_agent agents[] = {
        {.name = "scout", .version = 3, .timeout_us = 3600000000, .rerun_never = true},
        {.name = "critic", .version = 1, .timeout_us = 0, .rerun_never = false},
    };
    struct event event = make_event(EVENT_STARTED);
    event.started = (struct event_started){.seed = 0xfedcba9876543210,
                                           .workflow = "brief",
                                           .workflow_version = 12,
                                           .agent = "",
                                           .agents = agents,
                                           .agents_count = 2,
                                           .input = datum_inline(bytes_of("\x81\xa1k\x01", 4)),
                                           .deadline_us = 1700000100000000,
                                           .by = "client:abc"};
    const struct event_started *back = &round_trip(*state, &event)->started;

    assert_true(back->seed == event.started.seed);
    assert_string_equal(back->workflow, "brief");
    assert_int_equal(back->workflow_version, 12);
    assert_string_equal(back->agent, "");
    assert_int_equal(back->agents_count, 2);
    assert_string_equal(back->agents[0].name, "scout");
    assert_int_equal(back->agents[0].version, 3);
    assert_int_equal(back->agents[0].timeout_us, 3600000000);
    assert_true(back->agents[0].rerun_never);
    assert_false(back->agents[1].rerun_never);
    assert_true(datum_equal(&back->input, &event.started.input));
    assert_int_equal(back->deadline_us, 1700000100000000);
    assert_string_equal(back->by, "client:abc");
}

static void test_sub_workflows(void **state)
{
    static const struct pinned_workflow workflows[] = {{"count", 4}, {"sum", 1}};
    struct event event = make_event(EVENT_STARTED);
    event.started = (struct event_started){.workflow = "w",
                                           .workflows = workflows,
                                           .workflows_count = 2,
                                           .owner = execution,
                                           .owner_path = "each[3]",
                                           .owner_attempt = 2,
                                           .depth = 5};
    const struct event_started *started = &round_trip(*state, &event)->started;
    assert_int_equal(started->workflows_count, 2);
    assert_string_equal(started->workflows[1].name, "sum");
    assert_int_equal(started->workflows[0].version, 4);
    assert_true(uuid_equal(started->owner, execution));
    assert_string_equal(started->owner_path, "each[3]");
    assert_int_equal(started->owner_attempt, 2);
    assert_int_equal(started->depth, 5);

    event = make_event(EVENT_OWNED);
    event.owned = (struct event_owned){"each[3]", 2, execution, "count", 4};
    const struct event_owned *owned = &round_trip(*state, &event)->owned;
    assert_string_equal(owned->path, "each[3]");
    assert_int_equal(owned->attempt, 2);
    assert_true(uuid_equal(owned->execution, execution));
    assert_string_equal(owned->workflow, "count");
    assert_int_equal(owned->version, 4);

    event = make_event(EVENT_SETTLED);
    event.settled = (struct event_settled){
        .path = "a", .attempt = 1, .reason = "ended", .usage = {.output_tokens = 7}};
    assert_int_equal(round_trip(*state, &event)->settled.usage.output_tokens, 7);

    event = make_event(EVENT_STEP);
    event.step = (struct event_step){
        .path = "a", .attempt = 1, .number = 1, .kind = STEP_RESULT, .usage = {1, 2, 3}};
    assert_int_equal(round_trip(*state, &event)->step.usage.cost_microusd, 3);
}

static void test_started_with_many_agents(void **state)
{
    enum { COUNT = 100 };
    struct pinned_agent agents[COUNT];
    struct event event = make_event(EVENT_STARTED);
    for (uint32_t i = 0; i < COUNT; i++)
        agents[i] = (struct pinned_agent){.name = "same", .version = i + 1};
    event.started.agent = "alone";
    event.started.agents = agents;
    event.started.agents_count = COUNT;
    const struct event_started *back = &round_trip(*state, &event)->started;

    assert_string_equal(back->agent, "alone");
    assert_string_equal(back->workflow, "");
    assert_int_equal(back->agents_count, COUNT);
    assert_int_equal(back->agents[COUNT - 1].version, COUNT);
    assert_true(datum_absent(&back->input));
}

static struct event make_step(enum step_kind kind)
{
    struct event event = make_event(EVENT_STEP);
    event.step = (struct event_step){.path = "score[17]/2",
                                     .attempt = 4,
                                     .run = {9, 12345678901},
                                     .instance = "inst_01",
                                     .number = 6,
                                     .kind = kind,
                                     .queued_us = 1,
                                     .started_us = 2,
                                     .ended_us = 3,
                                     .agent = "critic",
                                     .agent_version = 8};
    return event;
}

static void assert_step(const struct event_step *a, const struct event_step *b)
{
    assert_string_equal(a->path, b->path);
    assert_int_equal(a->attempt, b->attempt);
    assert_int_equal(run_compare(a->run, b->run), 0);
    assert_string_equal(a->instance, b->instance);
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->queued_us, b->queued_us);
    assert_int_equal(a->started_us, b->started_us);
    assert_int_equal(a->ended_us, b->ended_us);
    assert_int_equal(a->retry_at_us, b->retry_at_us);
    assert_string_equal(a->agent, b->agent);
    assert_int_equal(a->agent_version, b->agent_version);
    assert_true(datum_equal(&a->output, &b->output));
    assert_true(datum_equal(&a->patch, &b->patch));
}

static void test_step_result(void **state)
{
    struct event event = make_step(STEP_RESULT);
    event.step.output = blob(0xab, 70000);
    const struct event_step *back = &round_trip(*state, &event)->step;
    assert_step(back, &event.step);
    assert_null(back->failure.code);
}

static void test_step_result_that_sets(void **state)
{
    struct event event = make_step(STEP_RESULT);
    event.step.output = datum_inline(bytes_of("\xc0", 1));
    assert_true(datum_absent(&round_trip(*state, &event)->step.patch));
    event.step.patch = datum_inline(bytes_of("\x81\xa1k\x01", 4));
    assert_step(&round_trip(*state, &event)->step, &event.step);
}

static void test_step_turn_and_tool_result(void **state)
{
    struct event event = make_step(STEP_TURN);
    event.step.output = datum_inline(bytes_of("\xc0", 1));
    assert_step(&round_trip(*state, &event)->step, &event.step);
    event.step.kind = STEP_TOOL_RESULT;
    assert_step(&round_trip(*state, &event)->step, &event.step);
}

static void test_step_failure(void **state)
{
    struct event event = make_step(STEP_FAILURE);
    event.step.failure = exit_failure();
    event.step.retry_at_us = 1700000000500000;
    const struct event_step *back = &round_trip(*state, &event)->step;
    assert_step(back, &event.step);
    assert_failure(&back->failure, &event.step.failure);
}

static void test_step_of_the_coordinator(void **state)
{
    struct event event = make_step(STEP_FAILURE);
    event.step.instance = "";
    event.step.run = (struct run){0, 0};
    event.step.failure = (struct failure){.code = "lost", .message = "", .detail = ""};
    assert_step(&round_trip(*state, &event)->step, &event.step);
}

static void test_lost(void **state)
{
    struct event event = make_event(EVENT_LOST);
    event.lost = (struct event_lost){.path = "draft",
                                     .run = {UINT64_MAX, 3},
                                     .counted = true,
                                     .reason = "silence",
                                     .instance = "inst_02"};
    const struct event_lost *back = &round_trip(*state, &event)->lost;
    assert_string_equal(back->path, "draft");
    assert_int_equal(run_compare(back->run, event.lost.run), 0);
    assert_true(back->counted);
    assert_string_equal(back->reason, "silence");
    assert_string_equal(back->instance, "inst_02");
}

static void test_cancel(void **state)
{
    struct event event = make_event(EVENT_CANCEL);
    event.cancel = (struct event_cancel){.by = "client:x", .why = "no longer needed — really"};
    const struct event_cancel *back = &round_trip(*state, &event)->cancel;
    assert_string_equal(back->by, "client:x");
    assert_string_equal(back->why, "no longer needed — really");
}

static void test_failing(void **state)
{
    struct event event = make_event(EVENT_FAILING);
    event.failing =
        (struct event_failing){.path = "publish", .failure = exit_failure(), .finish = true};
    const struct event_failing *back = &round_trip(*state, &event)->failing;
    assert_string_equal(back->path, "publish");
    assert_failure(&back->failure, &event.failing.failure);
    assert_true(back->finish);
}

static void test_ended(void **state)
{
    struct event event = make_event(EVENT_ENDED);
    event.ended = (struct event_ended){
        .status = EXECUTION_SUCCEEDED, .output = datum_inline(bytes_of("\xa2ok", 3)), .path = ""};
    const struct event_ended *back = &round_trip(*state, &event)->ended;
    assert_int_equal(back->status, EXECUTION_SUCCEEDED);
    assert_true(datum_equal(&back->output, &event.ended.output));
    assert_null(back->failure.code);

    event.ended = (struct event_ended){
        .status = EXECUTION_FAILED, .failure = exit_failure(), .path = "publish"};
    back = &round_trip(*state, &event)->ended;
    assert_failure(&back->failure, &event.ended.failure);
    assert_string_equal(back->path, "publish");
    assert_true(datum_absent(&back->output));
}

static void refuse(struct fixture *fixture, struct bytes record)
{
    struct err err;
    struct event event;
    assert_int_equal(journal_decode(&fixture->arena, execution, 1, record, &event, &err),
                     ERR_MALFORMED);
    assert_string_not_equal(err.what, "");
}

static void test_refuses_what_is_not_an_event(void **state)
{
    struct fixture *fixture = *state;
    struct event event = make_step(STEP_RESULT);

    refuse(fixture, (struct bytes){0});
    refuse(fixture, bytes_of_string("no record at all"));
    event.step.kind = (enum step_kind)9;
    journal_encode(&event, &fixture->record);
    refuse(fixture, buf_bytes(&fixture->record));
    event = make_event(EVENT_ENDED);
    event.ended.status = EXECUTION_RUNNING;
    journal_encode(&event, &fixture->record);
    refuse(fixture, buf_bytes(&fixture->record));
    event = make_event(EVENT_CANCEL);
    event.cancel.by = "\xff";
    journal_encode(&event, &fixture->record);
    refuse(fixture, buf_bytes(&fixture->record));
}

/* No cut of a record crashes the decoder; those that still decode are events. */
static void test_every_cut(void **state)
{
    struct fixture *fixture = *state;
    struct event event = make_step(STEP_FAILURE), back;
    struct err err;
    event.step.failure = exit_failure();
    journal_encode(&event, &fixture->record);
    for (size_t size = 0; size < fixture->record.size; size++) {
        int rc = journal_decode(&fixture->arena, execution, 1, bytes_of(fixture->record.data, size),
                                &back, &err);
        assert_true(rc == 0 || rc == ERR_MALFORMED);
    }
}

static void test_fold_refuses_a_gap(void **state)
{
    struct fixture *fixture = *state;
    struct event event = make_step(STEP_RESULT);
    struct engine_config config = {.epoch = 1};
    engine_t *engine = engine_new(&config);
    struct err err;

    journal_encode(&event, &fixture->record);
    assert_int_equal(
        journal_fold(engine, &fixture->arena, execution, 3, 5, buf_bytes(&fixture->record), &err),
        ERR_CORRUPT);
    assert_non_null(strstr(err.what, "from event 3 to 5"));
    /* A step before any start is one that the state forbids. */
    assert_int_equal(
        journal_fold(engine, &fixture->arena, execution, 0, 1, buf_bytes(&fixture->record), &err),
        ERR_CORRUPT);
    engine_destroy(&engine);
}

static void test_summary(void **state)
{
    struct fixture *fixture = *state;
    struct err err;
    struct summary back, summary = {.workflow = "brief",
                                    .workflow_version = 2,
                                    .agent = "",
                                    .status = EXECUTION_FAILED,
                                    .started_us = 5,
                                    .ended_us = 6,
                                    .output = blob(1, 99999),
                                    .failure = exit_failure(),
                                    .failed_path = "a",
                                    .by = "client:1",
                                    .tasks = 77};
    summary_encode(&summary, &fixture->record);
    assert_int_equal(summary_decode(&fixture->arena, buf_bytes(&fixture->record), &back, &err), 0);
    assert_string_equal(back.workflow, "brief");
    assert_int_equal(back.workflow_version, 2);
    assert_int_equal(back.status, EXECUTION_FAILED);
    assert_int_equal(back.started_us, 5);
    assert_int_equal(back.ended_us, 6);
    assert_true(datum_equal(&back.output, &summary.output));
    assert_failure(&back.failure, &summary.failure);
    assert_string_equal(back.failed_path, "a");
    assert_string_equal(back.by, "client:1");
    assert_int_equal(back.tasks, 77);
    assert_int_equal(summary_decode(&fixture->arena, bytes_of_string("x"), &back, &err),
                     ERR_MALFORMED);
}

static void test_definition_and_key_records(void **state)
{
    struct fixture *fixture = *state;
    struct err err;
    struct definition_record definition = {.version = 4,
                                           .hash = {1, 2, 3},
                                           .canonical = bytes_of("\x80", 1),
                                           .source = "agent: x\n",
                                           .applied_us = 8,
                                           .by = "client:2"};
    struct definition_record definition_back;
    definition_encode(&definition, &fixture->record);
    assert_int_equal(
        definition_decode(&fixture->arena, buf_bytes(&fixture->record), &definition_back, &err), 0);
    assert_int_equal(definition_back.version, 4);
    assert_memory_equal(definition_back.hash, definition.hash, 32);
    assert_true(bytes_equal(definition_back.canonical, definition.canonical));
    assert_string_equal(definition_back.source, "agent: x\n");

    struct idempotency_record key = {
        .request_hash = {9}, .reply = bytes_of("abc", 3), .stored_us = 77};
    struct idempotency_record key_back;
    idempotency_encode(&key, &fixture->record);
    assert_int_equal(
        idempotency_decode(&fixture->arena, buf_bytes(&fixture->record), &key_back, &err), 0);
    assert_memory_equal(key_back.request_hash, key.request_hash, 32);
    assert_true(bytes_equal(key_back.reply, key.reply));
    assert_int_equal(key_back.stored_us, 77);
}

/* Journal keys sort as their sequences do, and lead back to them. */
static void test_journal_keys(void **state)
{
    static const uint64_t sequences[] = {1, 2, 255, 256, 65535, 65536, 1ull << 40, UINT64_MAX};
    uint8_t before[KEY_JOURNAL_BYTES] = {0}, key[KEY_JOURNAL_BYTES];
    struct uuid other = {{2}};
    (void)state;
    for (size_t i = 0; i < sizeof sequences / sizeof sequences[0]; i++) {
        struct bytes bytes = key_journal(execution, sequences[i], key);
        assert_true(memcmp(before, key, sizeof key) < 0);
        assert_true(key_journal_sequence(bytes, execution) == sequences[i]);
        assert_int_equal(key_journal_sequence(bytes, other), 0);
        memcpy(before, key, sizeof key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_started, setup, teardown),
        cmocka_unit_test_setup_teardown(test_started_with_many_agents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sub_workflows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_step_result, setup, teardown),
        cmocka_unit_test_setup_teardown(test_step_result_that_sets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_step_turn_and_tool_result, setup, teardown),
        cmocka_unit_test_setup_teardown(test_step_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_step_of_the_coordinator, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refuses_what_is_not_an_event, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fold_refuses_a_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_summary, setup, teardown),
        cmocka_unit_test_setup_teardown(test_definition_and_key_records, setup, teardown),
        cmocka_unit_test(test_journal_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
