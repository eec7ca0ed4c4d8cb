#include "engine/fixture.h"

/* Approvals, timers and signals. */

#define APPROVE(name, text, ...) NODE(name, text, .kind = DAG_APPROVE, __VA_ARGS__)
#define SIGNAL(node, title, ...)                                                                   \
    NODE(node, NULL, .kind = DAG_SIGNAL, .signal = (title), __VA_ARGS__)
#define TIMER(name, seconds, ...)                                                                  \
    NODE(name, NULL, .kind = DAG_WAIT, .wait_us = (seconds)*SECOND, __VA_ARGS__)

/* --- timers ----------------------------------------------------------------------------------- */

static void test_timer_waits_and_gives_null(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", TIMER("pause", 30), NODE("then", "{{pause}}"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    assert_string_equal(status_of(f, id), "waiting");
    assert_string_equal(task_status_of(f, id, "pause"), "waiting");
    assert_true(task(f, id, "pause").due_us == T0 + 30 * SECOND);
    assert_int_equal(event_of(f, EVENT_WAITING)->waiting.kind, WAIT_TIMER);
    tick(f, T0 + 30 * SECOND - 1);
    assert_int_equal(count_events(f, EVENT_TIMER), 0);
    tick(f, T0 + 30 * SECOND);
    assert_int_equal(count_events(f, EVENT_TIMER), 1);
    assert_string_equal(task_status_of(f, id, "pause"), "succeeded");
    assert_string_equal(json_of(f, &dispatch_of(f, "then")->message), "null");
    assert_string_equal(status_of(f, id), "running");
    crash_everywhere(f);
}

static void test_timer_is_absolute_over_a_restart(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", TIMER("pause", 30));
    struct uuid id = start(f, "w");
    f->now = T0 + 20 * SECOND;
    restart(f);
    assert_string_equal(status_of(f, id), "waiting");
    assert_true(engine_deadline(f->engine) <= T0 + 30 * SECOND);
    tick(f, T0 + 29 * SECOND);
    assert_string_equal(status_of(f, id), "waiting");
    f->now = T0 + 40 * SECOND;
    restart(f);
    tick(f, T0 + 40 * SECOND);
    assert_string_equal(status_of(f, id), "succeeded");
}

static void test_clock_that_goes_back_fires_later(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", TIMER("pause", 30));
    struct uuid id = start(f, "w");
    tick(f, T0 - 100 * SECOND);
    assert_string_equal(status_of(f, id), "waiting");
    tick(f, T0 + 30 * SECOND);
    assert_string_equal(status_of(f, id), "succeeded");
}

/* --- approvals -------------------------------------------------------------------------------- */

/* Rule 15. */
static void test_approval_gives_who_and_what(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "{\"n\": 1}"),
             APPROVE("review", "Publish {{a.n}}?", .show = "a.n + 1"), NODE("then", "{{review}}"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    result(f, dispatch_of(f, "a"), "{\"n\": 1}");
    const struct event_waiting waiting = event_of(f, EVENT_WAITING)->waiting;
    assert_string_equal(waiting.path, "review");
    assert_string_equal(json_of(f, &waiting.text), "\"Publish 1?\"");
    assert_string_equal(json_of(f, &waiting.show), "2");
    assert_true(waiting.due_us == 0);
    assert_string_equal(status_of(f, id), "waiting");
    struct approval_view views[2];
    assert_int_equal(engine_approvals(f->engine, id, 0, views, 2), 1);
    assert_string_equal(views[0].path, "review");
    assert_memory_equal(views[0].hash, waiting.hash, DATUM_HASH_BYTES);
    assert_int_equal(engine_approvals(f->engine, id, views[0].sequence, views, 2), 0);
    assert_int_equal(decision(f, id, "review", true), 0);
    assert_string_equal(json_of(f, &dispatch_of(f, "then")->message),
                        "{\"approved\":true,\"by\":\"ann\",\"note\":\"fine\"}");
    assert_int_equal(engine_approvals(f->engine, id, 0, views, 2), 0);
    result(f, dispatch_of(f, "then"), "1");
    assert_string_equal(status_of(f, id), "succeeded");
    crash_everywhere(f);
}

/* Rule 15. */
static void test_rejection_is_an_output(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", APPROVE("review", "ok?", .timeout_us = 60 * SECOND),
             NODE("then", "x", .condition = "review.approved"));
    struct uuid id = start(f, "w");
    assert_int_equal(decision(f, id, "review", false), 0);
    assert_string_equal(task_status_of(f, id, "review"), "succeeded");
    assert_string_equal(task_status_of(f, id, "then"), "skipped");
    assert_string_equal(status_of(f, id), "succeeded");
}

static void test_what_was_edited_is_given(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", APPROVE("review", "ok?", .show = "'draft'"));
    struct uuid id = start(f, "w");
    struct input input = {.kind = INPUT_DECISION,
                          .decision = {.execution = id,
                                       .path = "review",
                                       .approved = true,
                                       .by = "ann",
                                       .note = "",
                                       .edited = datum_of(f, "\"better\"")}};
    assert_int_equal(decide(f, input), 0);
    assert_string_equal(
        output_of(f, id),
        "{\"review\":{\"approved\":true,\"by\":\"ann\",\"note\":\"\",\"edited\":\"better\"}}");
}

static void test_second_decision(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", APPROVE("review", "ok?"), NODE("then", "x", AFTER("review")));
    struct uuid id = start(f, "w");
    assert_int_equal(decision(f, id, "other", true), ERR_NOT_FOUND);
    assert_int_equal(decision(f, id, "then", true), ERR_NOT_FOUND);
    assert_int_equal(decision(f, id, "review", true), 0);
    assert_int_equal(decision(f, id, "review", true), 0);
    assert_int_equal(f->journal_count - f->first_event, 0);
    assert_int_equal(decision(f, id, "review", false), ERR_CONFLICT);
    assert_non_null(strstr(f->err.what, "approved by ann"));
    restart(f);
    assert_int_equal(decision(f, id, "review", true), 0);
    assert_int_equal(decision(f, id, "review", false), ERR_CONFLICT);
    assert_non_null(strstr(f->err.what, "approved by ann"));
}

static void test_decision_is_bound_to_what_was_shown(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", APPROVE("review", "ok?"));
    struct uuid id = start(f, "w");
    struct approval_view view;
    assert_int_equal(engine_approvals(f->engine, id, 0, &view, 1), 1);
    uint8_t hash[DATUM_HASH_BYTES];
    memcpy(hash, view.hash, sizeof hash);
    struct input input = {.kind = INPUT_DECISION,
                          .decision = {.execution = id,
                                       .path = "review",
                                       .attempt = 1,
                                       .hash = hash,
                                       .approved = true,
                                       .by = "ann"}};
    hash[0] ^= 1;
    assert_int_equal(decide(f, input), ERR_CONFLICT);
    hash[0] ^= 1;
    input.decision.attempt = 2;
    assert_int_equal(decide(f, input), ERR_NOT_FOUND);
    input.decision.attempt = 1;
    assert_int_equal(decide(f, input), 0);
}

/* Rule 15. */
static void test_expiry_fails(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", APPROVE("review", "ok?", .timeout_us = 60 * SECOND));
    struct uuid id = start(f, "w");
    tick(f, T0 + 60 * SECOND);
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "expired");
    assert_true(execution(f, id).failure.permanent);
    assert_int_equal(decision(f, id, "review", true), ERR_CONFLICT);
    crash_everywhere(f);
}

/* Reopened, it asks again, under another name. */
static void test_expired_is_asked_again(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", APPROVE("review", "ok?", .timeout_us = 60 * SECOND));
    struct uuid id = start(f, "w");
    tick(f, T0 + 60 * SECOND);
    assert_int_equal(reopen(f, id), 0);
    assert_string_equal(status_of(f, id), "waiting");
    assert_int_equal(event_of(f, EVENT_WAITING)->waiting.attempt, 2);
    struct input input = {
        .kind = INPUT_DECISION,
        .decision = {.execution = id, .path = "review", .attempt = 1, .approved = true}};
    assert_int_equal(decide(f, input), ERR_NOT_FOUND);
    input.decision.attempt = 2;
    assert_int_equal(decide(f, input), 0);
    assert_string_equal(status_of(f, id), "succeeded");
    crash_everywhere(f);
}

/* Rule 15. */
static void test_expiry_gives_a_value(void **state)
{
    struct fixture *f = *state;
    value_t *value = value_map();
    value_set_bool(value, "approved", false);
    WORKFLOW(f, "w", APPROVE("review", "ok?", .timeout_us = 60 * SECOND, .on_expiry = value),
             NODE("then", "{{review}}"));
    value_destroy(&value);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    tick(f, T0 + 60 * SECOND);
    assert_string_equal(json_of(f, &dispatch_of(f, "then")->message), "{\"approved\":false}");
    assert_int_equal(decision(f, id, "review", true), ERR_CONFLICT);
    assert_non_null(strstr(f->err.what, "expired"));
}

static void test_tolerated_expiry(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", APPROVE("review", "ok?", .timeout_us = 60 * SECOND, .on_error = DAG_CONTINUE));
    struct uuid id = start(f, "w");
    tick(f, T0 + 60 * SECOND);
    assert_string_equal(task_status_of(f, id, "review"), "failed");
    assert_string_equal(status_of(f, id), "succeeded");
}

static void test_text_that_fails(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", APPROVE("review", "ok?", .show = "input.none"));
    struct uuid id = start_with(f, "w", "{}");
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "expression");
}

static void test_one_approval_for_each_item(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w",
             APPROVE("review", "Take {{item}}?", .items = "input", .show = "index",
                     .items_parallel = 2));
    struct uuid id = start_with(f, "w", "[\"x\", \"y\", \"z\"]");
    struct approval_view views[4];
    assert_int_equal(engine_approvals(f->engine, id, 0, views, 4), 2);
    assert_string_equal(json_of(f, &views[1].text), "\"Take y?\"");
    assert_string_equal(json_of(f, &views[1].show), "1");
    assert_string_equal(status_of(f, id), "waiting");
    assert_int_equal(decision(f, id, "review[1]", false), 0);
    assert_int_equal(engine_approvals(f->engine, id, 0, views, 4), 2);
    assert_string_equal(views[1].path, "review[2]");
    assert_int_equal(decision(f, id, "review[2]", true), 0);
    assert_int_equal(decision(f, id, "review[0]", true), 0);
    assert_string_equal(status_of(f, id), "succeeded");
    assert_non_null(strstr(output_of(f, id), "{\"review\":[{\"approved\":true"));
    crash_everywhere(f);
}

static void test_cancel_ends_waits(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", APPROVE("review", "ok?", .timeout_us = 60 * SECOND), TIMER("t", 5),
             SIGNAL("s", "go"));
    struct uuid id = start(f, "w");
    assert_int_equal(cancel(f, id), 0);
    assert_string_equal(status_of(f, id), "cancelled");
    assert_true(engine_deadline(f->engine) == INT64_MAX);
    assert_int_equal(decision(f, id, "review", true), ERR_CONFLICT);
    crash_everywhere(f);
}

static void test_failure_elsewhere_ends_waits(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", APPROVE("review", "ok?"), NODE("a", "x"),
             NODE("last", "y", .join = DAG_JOIN_DONE, AFTER("a", "review")));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    failure(f, dispatch_of(f, "a"), "exit", true);
    assert_string_equal(task_status_of(f, id, "review"), "cancelled");
    const struct effect_dispatch last = *dispatch_of(f, "last");
    assert_int_equal(decision(f, id, "review", true), ERR_CONFLICT);
    result(f, &last, "1");
    assert_string_equal(status_of(f, id), "failed");
}

/* --- signals ---------------------------------------------------------------------------------- */

/* Rule 15. */
static void test_signal_gives_its_payload(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", SIGNAL("s", "go"), NODE("then", "{{s.n}}"));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    assert_string_equal(task(f, id, "s").signal, "go");
    assert_int_equal(signal_to(f, id, "stop", "1"), ERR_NOT_FOUND);
    assert_int_equal(signal_to(f, id, "go", "{\"n\": 7}"), 0);
    assert_string_equal(json_of(f, &dispatch_of(f, "then")->message), "7");
    crash_everywhere(f);
}

static void test_signals_are_kept_in_order(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "x"), SIGNAL("first", "go", AFTER("a")),
             SIGNAL("other", "halt", AFTER("a")), SIGNAL("second", "go", AFTER("first")));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    assert_int_equal(signal_to(f, id, "go", "1"), 0);
    assert_int_equal(signal_to(f, id, "halt", "2"), 0);
    assert_int_equal(signal_to(f, id, "go", "3"), 0);
    assert_int_equal(signal_to(f, id, "go", "4"), 0);
    restart(f);
    up(f, 2, "echo");
    tick(f, T0 + 10 * SECOND);
    result(f, dispatch_of(f, "a"), "1");
    assert_string_equal(status_of(f, id), "succeeded");
    struct datum datum = task(f, id, "first").output;
    assert_string_equal(json_of(f, &datum), "1");
    datum = task(f, id, "second").output;
    assert_string_equal(json_of(f, &datum), "3");
    datum = task(f, id, "other").output;
    assert_string_equal(json_of(f, &datum), "2");
    crash_everywhere(f);
}

static void test_each_signal_ends_one_wait(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", SIGNAL("s", "go", .items = "input"));
    struct uuid id = start_with(f, "w", "[1, 2]");
    assert_int_equal(signal_to(f, id, "go", "\"a\""), 0);
    assert_string_equal(status_of(f, id), "waiting");
    assert_int_equal(signal_to(f, id, "go", "\"b\""), 0);
    assert_string_equal(output_of(f, id), "{\"s\":[\"a\",\"b\"]}");
}

static void test_signals_are_bounded(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "x"), SIGNAL("s", "go", AFTER("a")), SIGNAL("o", "other"));
    struct uuid id = start(f, "w");
    for (int i = 0; i < LIMIT_SIGNALS; i++)
        assert_int_equal(signal_to(f, id, "go", "1"), 0);
    assert_int_equal(signal_to(f, id, "go", "1"), ERR_LIMIT);
    assert_int_equal(signal_to(f, id, "other", "1"), 0); /* somebody waits for it */
    up(f, 1, "echo");
    result(f, dispatch_of(f, "a"), "1");
    assert_string_equal(status_of(f, id), "succeeded");
}

static void test_signal_expires(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", SIGNAL("s", "go", .timeout_us = 60 * SECOND));
    struct uuid id = start(f, "w");
    tick(f, T0 + 60 * SECOND);
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "expired");
    assert_non_null(strstr(execution(f, id).failure.message, "\"go\""));
}

/* --- events that don't fit -------------------------------------------------------------------- */

static void assert_refused(struct fixture *f, struct uuid id, struct event event)
{
    uint64_t before = engine_fingerprint(f->twin, id);
    event.execution = id;
    event.sequence = execution(f, id).sequence + 1;
    event.time_us = f->now;
    assert_int_equal(engine_apply(f->twin, &event, &f->err), ERR_INVALID);
    assert_true(engine_fingerprint(f->twin, id) == before);
}

static struct event waiting_of(struct fixture *f, const char *path, enum wait_kind kind)
{
    struct event event = {
        .kind = EVENT_WAITING,
        .waiting = {
            .path = path, .attempt = 1, .kind = kind, .signal = "go", .due_us = f->now + 1}};
    if (kind == WAIT_APPROVAL)
        event.waiting.text = datum_of(f, "1");
    return event;
}

static void test_waits_that_do_not_fit(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", NODE("a", "x"), APPROVE("review", "ok?"), SIGNAL("s", "go"), TIMER("t", 5),
             APPROVE("late", "ok?", AFTER("a")));
    struct uuid id = start(f, "w");
    assert_refused(f, id, waiting_of(f, "none", WAIT_APPROVAL));
    assert_refused(f, id, waiting_of(f, "a", WAIT_APPROVAL));      /* an agent's */
    assert_refused(f, id, waiting_of(f, "review", WAIT_APPROVAL)); /* it waits already */
    assert_refused(f, id, waiting_of(f, "late", WAIT_APPROVAL));   /* it is not its turn */
    struct event event = {.kind = EVENT_DECISION, .decision = {.path = "s", .attempt = 1}};
    assert_refused(f, id, event);
    event.decision.path = "late";
    assert_refused(f, id, event);
    event.decision.path = "review";
    event.decision.attempt = 2;
    assert_refused(f, id, event);
    event = (struct event){.kind = EVENT_TIMER, .timer = {"review", 1, WAIT_APPROVAL}};
    assert_refused(f, id, event); /* it waits for ever */
    event.timer = (struct event_timer){"t", 1, WAIT_SIGNAL};
    assert_refused(f, id, event);
    event.timer = (struct event_timer){"a", 1, WAIT_TIMER};
    assert_refused(f, id, event);
    event = (struct event){.kind = EVENT_SIGNAL, .signal = {.name = ""}};
    assert_refused(f, id, event);
    event.signal.name = "go";
    assert_refused(f, id, event); /* without a payload */
    assert_refused(f, id, (struct event){.kind = EVENT_RESUMED});
    struct event step = {.kind = EVENT_STEP,
                         .step = {.path = "review",
                                  .attempt = 1,
                                  .instance = "",
                                  .number = 1,
                                  .kind = STEP_RESULT,
                                  .output = datum_of(f, "1")}};
    assert_refused(f, id, step); /* nobody has decided */
    assert_int_equal(pause_it(f, id), 0);
    assert_refused(f, id, (struct event){.kind = EVENT_PAUSED});
    assert_int_equal(decision(f, id, "review", true), 0);
    event = (struct event){.kind = EVENT_DECISION, .decision = {.path = "review", .attempt = 1}};
    assert_refused(f, id, event); /* it is decided */
    assert_int_equal(cancel(f, id), 0);
}

/* --- status ----------------------------------------------------------------------------------- */

static size_t told(const struct fixture *f)
{
    size_t count = 0;
    for (size_t i = f->first_event; i < f->journal_count; i++)
        count += f->journal[i].leaves_waiting;
    return count;
}

static void test_waiting_is_said_once(void **state)
{
    struct fixture *f = *state;
    WORKFLOW(f, "w", APPROVE("review", "ok?"), APPROVE("again", "ok?"), NODE("a", "x"),
             NODE("b", "x", AFTER("review")));
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    assert_int_equal(told(f), 0);
    assert_string_equal(status_of(f, id), "running");
    result(f, dispatch_of(f, "a"), "1");
    assert_int_equal(told(f), 1);
    assert_string_equal(status_of(f, id), "waiting");
    assert_int_equal(decision(f, id, "review", true), 0);
    assert_int_equal(told(f), 0);
    assert_string_equal(status_of(f, id), "running");
    result(f, dispatch_of(f, "b"), "1");
    assert_int_equal(told(f), 1);
    assert_int_equal(decision(f, id, "again", true), 0);
    assert_string_equal(status_of(f, id), "succeeded");
}

static void test_waits_take_no_place(void **state)
{
    struct fixture *f = *state;
    const struct node nodes[] = {APPROVE("review", "ok?"), TIMER("t", 5), NODE("a", "x")};
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .parallel = 1}, nodes, 3);
    up(f, 1, "echo");
    (void)start(f, "w");
    assert_non_null(dispatch_of(f, "a"));
}

static void test_output_is_in_the_context(void **state)
{
    struct fixture *f = *state;
    value_t *set = value_map();
    value_set_string(set, "ok", "{{review.approved}}");
    WORKFLOW(f, "w", APPROVE("review", "ok?", .set = set));
    value_destroy(&set);
    struct uuid id = start(f, "w");
    assert_int_equal(decision(f, id, "review", true), 0);
    value_t *context = engine_context(f->engine, id);
    assert_true(value_as_bool(value_get(context, "ok")));
    value_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_timer_waits_and_gives_null),
        FIXTURE_TEST(test_timer_is_absolute_over_a_restart),
        FIXTURE_TEST(test_clock_that_goes_back_fires_later),
        FIXTURE_TEST(test_approval_gives_who_and_what),
        FIXTURE_TEST(test_rejection_is_an_output),
        FIXTURE_TEST(test_what_was_edited_is_given),
        FIXTURE_TEST(test_second_decision),
        FIXTURE_TEST(test_decision_is_bound_to_what_was_shown),
        FIXTURE_TEST(test_expiry_fails),
        FIXTURE_TEST(test_expired_is_asked_again),
        FIXTURE_TEST(test_expiry_gives_a_value),
        FIXTURE_TEST(test_tolerated_expiry),
        FIXTURE_TEST(test_text_that_fails),
        FIXTURE_TEST(test_one_approval_for_each_item),
        FIXTURE_TEST(test_cancel_ends_waits),
        FIXTURE_TEST(test_failure_elsewhere_ends_waits),
        FIXTURE_TEST(test_signal_gives_its_payload),
        FIXTURE_TEST(test_signals_are_kept_in_order),
        FIXTURE_TEST(test_each_signal_ends_one_wait),
        FIXTURE_TEST(test_signals_are_bounded),
        FIXTURE_TEST(test_signal_expires),
        FIXTURE_TEST(test_waits_that_do_not_fit),
        FIXTURE_TEST(test_waiting_is_said_once),
        FIXTURE_TEST(test_waits_take_no_place),
        FIXTURE_TEST(test_output_is_in_the_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
