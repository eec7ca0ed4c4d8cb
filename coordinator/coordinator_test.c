/* The coordinator as a process, over a real socket: what clients and instances see of it. */
#include "coordinator/scenes.h"

#include "base/clock.h"
#include "base/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the way of an execution -------------------------------------------------------------------
 */

static void test_chain(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    struct harness_peer *instance = harness_instance(harness, INSTANCE_1, "echo");
    instance->answers = true;
    char *id = start_chain(harness, "\"hello\"");
    assert_ends_with(harness, id, "hello");
    assert_int_equal(instance->dispatches, 2);

    /* What has ended is forgotten, and folded from its journal when it is asked for. */
    value_t *again = call_for(harness, "executions.get", id);
    const value_t *tasks = value_get(again, "tasks");
    assert_int_equal(value_size(tasks), 2);
    assert_string_equal(value_get_string(value_at(tasks, 0), "path", ""), "a");
    assert_string_equal(value_get_string(value_at(tasks, 1), "status", ""), "succeeded");
    assert_string_equal(value_get_string(value_at(tasks, 1), "instance", ""), INSTANCE_1);
    assert_string_equal(value_get_string(again, "output", ""), "hello");
    value_destroy(&again);

    value_t *journal = call_for(harness, "executions.journal", id);
    const value_t *items = value_get(journal, "items");
    assert_int_equal(value_size(items), 4);
    assert_string_equal(value_get_string(value_at(items, 0), "kind", ""), "started");
    assert_string_equal(value_get_string(value_at(items, 1), "task", ""), "a");
    assert_string_equal(value_get_string(value_at(items, 3), "kind", ""), "ended");
    assert_int_equal(value_get_int(value_at(items, 3), "sequence", 0), 4);
    value_destroy(&journal);
    free(id);
}

static void test_agent_alone(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    harness_instance(harness, INSTANCE_1, "echo")->answers = true;
    value_t *started =
        harness_call(harness, "executions.start", "{\"agent\":\"echo\",\"input\":\"alone\"}");
    assert_ends_with(harness, value_get_string(started, "id", ""), "alone");
    value_destroy(&started);
}

static void test_lists(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    harness_instance(harness, INSTANCE_1, "echo")->answers = true;
    char *first = start_chain(harness, "\"1\"");
    assert_ends_with(harness, first, "1");
    harness->peers[0].answers = false;
    char *second = start_chain(harness, "\"2\"");

    value_t *all = harness_call(harness, "executions.list", "{\"limit\":1}");
    assert_string_equal(value_get_string(value_at(value_get(all, "items"), 0), "id", ""), second);
    char params[256];
    snprintf(params, sizeof params, "{\"cursor\":\"%s\"}",
             value_get_string(all, "next_cursor", ""));
    value_destroy(&all);
    all = harness_call(harness, "executions.list", params);
    assert_int_equal(value_size(value_get(all, "items")), 1);
    assert_string_equal(value_get_string(value_at(value_get(all, "items"), 0), "id", ""), first);
    value_destroy(&all);

    static const struct {
        const char *params;
        size_t count;
    } filters[] = {
        {"{\"status\":\"running\"}", 1},
        {"{\"status\":\"succeeded\"}", 1},
        {"{\"status\":\"failed\"}", 0},
        {"{\"workflow\":\"chain\"}", 2},
        {"{\"workflow\":\"chain\",\"status\":\"running\"}", 1},
        {"{\"agent\":\"chain\"}", 0},
        {"{\"since\":\"2001-01-01T00:00:00Z\"}", 2},
        {"{\"since\":\"2999-01-01T00:00:00.5Z\"}", 0},
    };
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        value_t *some = harness_call(harness, "executions.list", filters[i].params);
        assert_int_equal(value_size(value_get(some, "items")), filters[i].count);
        value_destroy(&some);
    }
    free(first);
    free(second);
}

static void test_failure_of_a_task(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    struct harness_peer *instance = harness_instance(harness, INSTANCE_1, "echo");
    char *id = start_chain(harness, "1");
    assert_true(harness_until(harness, first_holds_one));
    harness_result(instance, &instance->held[0], (struct datum){0}, "exit");

    value_t *ended = call_for(harness, "executions.wait", id);
    assert_string_equal(value_get_string(ended, "status", ""), "failed");
    assert_string_equal(value_get_string(value_get(ended, "failure"), "code", ""), "exit");
    assert_string_equal(value_get_string(ended, "failed_path", ""), "a");
    value_destroy(&ended);
    free(id);
}

/* An output that is no value fails its task; so does a blob that nobody stored. */
static void test_output_is_checked(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    struct harness_peer *instance = harness_instance(harness, INSTANCE_1, "echo");
    struct datum bad[] = {datum_inline(bytes_of("\xc1", 1)),
                          {.is_blob = true, .hash = {1, 2, 3}, .size_bytes = 100000}};
    for (size_t i = 0; i < 2; i++) {
        char *id = start_chain(harness, "1");
        assert_true(harness_until(harness, first_holds_one));
        harness_result(instance, &instance->held[0], bad[i], NULL);
        value_t *ended = call_for(harness, "executions.wait", id);
        assert_string_equal(value_get_string(value_get(ended, "failure"), "code", ""), "output");
        value_destroy(&ended);
        buf_release(&instance->held[0].message);
        instance->held_count = 0;
        free(id);
    }
}

static bool first_was_told_to_drop(struct harness *harness)
{
    return harness->peers[0].drops > 0;
}

static void test_cancel(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    harness_instance(harness, INSTANCE_1, "echo");
    char *id = start_chain(harness, "1");
    assert_true(harness_until(harness, first_holds_one));
    value_destroy(&(value_t *){call_for(harness, "executions.cancel", id)});
    value_t *ended = call_for(harness, "executions.wait", id);
    assert_string_equal(value_get_string(ended, "status", ""), "cancelled");
    assert_true(harness_until(harness, first_was_told_to_drop));
    value_destroy(&ended);

    char params[128];
    snprintf(params, sizeof params, "{\"id\":\"%s\"}", id);
    harness_refused(harness, "executions.cancel", params, "conflict");
    free(id);
}

/* --- requests ----------------------------------------------------------------------------------
 */

static void test_refuses(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    harness_refused(harness, "no.such", "{}", "unsupported");
    harness_refused(harness, "status", "{\"what\":1}", "invalid");
    harness_refused(harness, "status", "[]", "invalid");
    harness_refused(harness, "executions.start", "{\"workflow\":\"nope\"}", "not_found");
    harness_refused(harness, "executions.start", "{\"agent\":\"nope\"}", "not_found");
    harness_refused(harness, "executions.start", "{}", "invalid");
    harness_refused(harness, "executions.start", "{\"workflow\":7}", "invalid");
    harness_refused(harness, "executions.get", "{\"id\":\"exec_01h455vb4pex5vsknk084sn02q\"}",
                    "not_found");
    harness_refused(harness, "executions.get", "{\"id\":\"nonsense\"}", "invalid");
    harness_refused(harness, "executions.list", "{\"limit\":0}", "invalid");
    harness_refused(harness, "executions.list", "{\"since\":\"yesterday\"}", "invalid");
    harness_refused(harness, "agents.get", "{\"name\":\"nope\"}", "not_found");
    harness_refused(harness, "agents.remove", "{\"name\":\"nope\"}", "not_found");
}

static void test_wait_times_out(void **state)
{
    struct harness *harness = *state;
    char params[128];
    start_with_definitions(harness);
    char *id = start_chain(harness, "1");
    snprintf(params, sizeof params, "{\"id\":\"%s\",\"timeout_ms\":50}", id);
    harness_refused(harness, "executions.wait", params, "timeout");
    free(id);
}

static void test_idempotency(void **state)
{
    static const char params[] = "{\"workflow\":\"chain\",\"input\":1}";
    struct harness *harness = *state;
    char error[32];
    start_with_definitions(harness);

    /* Both are sent before the first one can be committed. */
    uint64_t one = harness_send(harness, "executions.start", params, "key-1");
    uint64_t two = harness_send(harness, "executions.start", params, "key-1");
    value_t *first = harness_answer(harness, one, error);
    value_t *second = harness_answer(harness, two, error);
    assert_true(value_equal(first, second));
    value_destroy(&second);

    harness_kill(harness);
    harness_start(harness, NULL);
    second =
        harness_answer(harness, harness_send(harness, "executions.start", params, "key-1"), error);
    assert_true(value_equal(first, second));
    value_destroy(&first);
    value_destroy(&second);

    value_t *refused = harness_answer(
        harness, harness_send(harness, "executions.start", "{\"workflow\":\"chain\"}", "key-1"),
        error);
    assert_string_equal(error, "invalid");
    value_destroy(&refused);
}

/* --- definitions -------------------------------------------------------------------------------
 */

static void test_versions(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    value_t *applied = harness_call(harness, "definitions.apply", scene_definitions);
    const value_t *agent = value_at(value_get(applied, "applied"), 0);
    assert_false(value_get_bool(agent, "changed", true));
    assert_int_equal(value_get_int(agent, "version", 0), 1);
    value_destroy(&applied);

    static const char changed[] = "{\"files\":[{\"name\":\"a.yaml\",\"text\":"
                                  "\"agent: echo\\nabout: says it again\\nbuiltin: echo\\n\"}]}";
    applied = harness_call(harness, "definitions.apply", changed);
    assert_int_equal(value_get_int(value_at(value_get(applied, "applied"), 0), "version", 0), 2);
    value_destroy(&applied);

    harness_kill(harness);
    harness_start(harness, NULL);
    value_t *newest = harness_call(harness, "agents.get", "{\"name\":\"echo\"}");
    assert_int_equal(value_get_int(newest, "version", 0), 2);
    assert_string_equal(value_get_string(newest, "about", ""), "says it again");
    value_destroy(&newest);
    value_t *older = harness_call(harness, "agents.get", "{\"name\":\"echo\",\"version\":1}");
    assert_string_equal(value_get_string(older, "about", "-"), "");
    assert_non_null(value_get(older, "definition"));
    value_destroy(&older);
    harness_refused(harness, "agents.get", "{\"name\":\"echo\",\"version\":3}", "not_found");
}

static void test_invalid_definitions(void **state)
{
    struct harness *harness = *state;
    char error[32];
    start_with_definitions(harness);
    value_t *detail = harness_answer(
        harness,
        harness_send(harness, "definitions.apply",
                     "{\"files\":[{\"name\":\"x.yaml\",\"text\":\"agent: good\\nbuiltin: echo\\n"
                     "---\\nagent: worse\\nbuiltin: nonsense\\ncolour: red\\n\"}]}",
                     NULL),
        error);
    assert_string_equal(error, "invalid");
    assert_true(value_size(value_get(detail, "diagnostics")) >= 2);
    value_destroy(&detail);
    harness_refused(harness, "agents.get", "{\"name\":\"good\"}", "not_found");
}

/* The rules of a script come in a file of their own, and are part of the agent's version. */
static void test_rules_of_a_script(void **state)
{
#define AGENT_FILE      "{\"name\":\"dir/a.yaml\",\"text\":\"agent: lead\\nmodel: script/../r.yaml\\n\"}"
#define RULES_FILE(say) "{\"name\":\"r.yaml\",\"rules\":true,\"text\":\"rules: [{say: " say "}]\"}"
    static const char *const APPLY[] = {"{\"files\":[" AGENT_FILE "," RULES_FILE("hi") "]}",
                                        "{\"files\":[" RULES_FILE("hi") "," AGENT_FILE "]}",
                                        "{\"files\":[" RULES_FILE("ho") "," AGENT_FILE "]}"};
    static const int VERSIONS[] = {1, 1, 2};
    struct harness *harness = *state;
    harness_start(harness, NULL);
    for (size_t i = 0; i < 3; i++) {
        value_t *applied = harness_call(harness, "definitions.apply", APPLY[i]);
        const value_t *items = value_get(applied, "applied");
        assert_int_equal(value_size(items), 1);
        assert_int_equal(value_get_int(value_at(items, 0), "version", 0), VERSIONS[i]);
        value_destroy(&applied);
    }
    value_t *agent = harness_call(harness, "agents.get", "{\"name\":\"lead\",\"version\":1}");
    const value_t *rules = value_get(value_get(value_get(agent, "definition"), "rules"), "rules");
    assert_string_equal(value_get_string(value_at(rules, 0), "say", ""), "hi");
    value_destroy(&agent);
    harness_refused(harness, "definitions.apply", "{\"files\":[" AGENT_FILE "]}", "invalid");
#undef AGENT_FILE
#undef RULES_FILE
}

static void test_removed_agents_are_named(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    value_destroy(&(value_t *){harness_call(harness, "agents.remove", "{\"name\":\"echo\"}")});
    harness_refused(harness, "executions.start", "{\"workflow\":\"chain\"}", "invalid");
    assert_non_null(strstr(harness->message.body.reply.what, "\"echo\""));
    value_t *applied = harness_call(harness, "definitions.apply", scene_definitions);
    assert_int_equal(value_get_int(value_at(value_get(applied, "applied"), 0), "version", 0), 2);
    value_destroy(&applied);
}

static void test_a_needed_agent_stays(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    value_t *started = harness_call(harness, "executions.start",
                                    "{\"workflow\":\"chain\",\"input\":{\"text\":\"x\"}}");
    value_destroy(&started);
    harness_refused(harness, "agents.remove", "{\"name\":\"echo\"}", "conflict");
}

/* --- links -------------------------------------------------------------------------------------
 */

static bool first_is_refused(struct harness *harness)
{
    return harness->peers[0].refused;
}

static void test_unknown_agent_is_refused(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    struct harness_peer *instance = harness_instance(harness, INSTANCE_1, "stranger");
    assert_true(harness_until(harness, first_is_refused));
    assert_non_null(strstr(link_refusal(instance->link), "stranger"));
}

/* An instance whose process is over, as its host says, loses its task to another one at once. */
static void test_exit_report(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    struct harness_peer *first = harness_instance(harness, INSTANCE_1, "echo");
    char *id = start_chain(harness, "\"x\"");
    assert_true(harness_until(harness, first_holds_one));
    struct harness_peer *second = harness_instance(harness, INSTANCE_2, "echo");
    struct harness_peer *host = harness_host(harness, HOST_1);
    first->deaf = true;
    while (link_state(host->link) != LINK_OPEN || host->plans == 0)
        harness_pump(harness);
    harness_process_report(host, INSTANCE_1, UINT64_MAX, false);
    assert_true(harness_until(harness, second_holds_one));
    assert_true(second->held[0].run.counter > first->held[0].run.counter);
    assert_int_equal(second->held[0].attempt, 1);

    second->answers = true;
    harness_result(second, &second->held[0], datum_inline(bytes_of("\xa1x", 2)), NULL);
    assert_ends_with(harness, id, "x");
    value_t *journal = call_for(harness, "executions.journal", id);
    const value_t *lost = value_at(value_get(journal, "items"), 1);
    assert_string_equal(value_get_string(lost, "kind", ""), "lost");
    assert_string_equal(value_get_string(lost, "reason", ""), "exited");
    value_destroy(&journal);
    free(id);
}

/* The same for one that says nothing any more, after the silence of the rules. */
static void test_silence(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    struct harness_peer *first = harness_instance(harness, INSTANCE_1, "echo");
    char *id = start_chain(harness, "\"s\"");
    assert_true(harness_until(harness, first_holds_one));
    first->deaf = true;
    harness_instance(harness, INSTANCE_2, "echo")->answers = true;
    assert_ends_with(harness, id, "s");
    value_t *journal = call_for(harness, "executions.journal", id);
    assert_string_equal(value_get_string(value_at(value_get(journal, "items"), 1), "reason", ""),
                        "silence");
    value_destroy(&journal);

    /* What the first one says of it now is void. */
    first->deaf = false;
    harness_result(first, &first->held[0], datum_inline(bytes_of("\xa4late", 5)), NULL);
    assert_true(harness_until(harness, first_is_open));
    journal = call_for(harness, "executions.journal", id);
    assert_int_equal(value_size(value_get(journal, "items")), 5);
    value_destroy(&journal);
    free(id);
}

/* --- links that end while their instances live --------------------------------------------------
 */

/* What the first instance may still do under its lease is over before the second one has its task.
 */
static void assert_given_after_the_lease(struct harness *harness, const char *id, int64_t since_us,
                                         const char *reason)
{
    assert_true(harness_until(harness, second_was_given_something));
    assert_true(clock_monotonic_us() - since_us > LIMIT_LEASE_US);
    value_t *journal = call_for(harness, "executions.journal", id);
    const value_t *lost = value_at(value_get(journal, "items"), 1);
    assert_string_equal(value_get_string(lost, "kind", ""), "lost");
    assert_string_equal(value_get_string(lost, "reason", ""), reason);
    value_destroy(&journal);
}

static void test_malformed_items(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    struct harness_peer *first = harness_instance(harness, INSTANCE_1, "echo");
    char *id = start_chain(harness, "\"m\"");
    assert_true(harness_until(harness, first_holds_one));
    harness_instance(harness, INSTANCE_2, "echo")->answers = true;
    assert_true(harness_until(harness, second_is_open));
    int64_t now_us = clock_monotonic_us();
    assert_int_equal(link_send(first->link, bytes_of("\xff\xff", 2), now_us, NULL), 0);
    assert_given_after_the_lease(harness, id, now_us, "malformed");
    assert_ends_with(harness, id, "m");
    free(id);
}

enum { FAN = 1200, FAN_INPUT_BYTES = 60000 };

/* A workflow whose nodes together have more to say than a link keeps for resending. */
static void apply_fan(struct harness *harness)
{
    struct buf text = {0};
    buf_puts(&text, "{\"files\":[{\"name\":\"fan.yaml\",\"text\":\"workflow: fan\\nnodes:\\n");
    for (int i = 0; i < FAN; i++)
        buf_printf(&text, "  n%d: {agent: echo, say: '{{input}}'}\\n", i);
    buf_puts(&text, "output: n0\\n\"}]}");
    value_t *applied = harness_call(harness, "definitions.apply", buf_string(&text));
    value_destroy(&applied);
    buf_release(&text);
}

static uint64_t send_start_of_fan(struct harness *harness)
{
    struct buf text = {0};
    buf_puts(&text, "{\"workflow\":\"fan\",\"input\":\"");
    for (int i = 0; i < FAN_INPUT_BYTES; i++)
        buf_putc(&text, 'x');
    buf_puts(&text, "\"}");
    uint64_t correlation = harness_send(harness, "executions.start", buf_string(&text), NULL);
    buf_release(&text);
    return correlation;
}

/* The first instance beats, so that it is heard, and acknowledges nothing. */
static bool second_was_given_something_while_first_beats(struct harness *harness)
{
    struct harness_peer *first = &harness->peers[0];
    first->deaf = false;
    link_beat(first->link, clock_monotonic_us());
    first->deaf = true;
    return second_was_given_something(harness);
}

static void test_overloaded_link(void **state)
{
    struct harness *harness = *state;
    char error[32];
    start_with_definitions(harness);
    apply_fan(harness);
    struct harness_peer *first = harness_instance(harness, INSTANCE_1, "echo");
    first->credit = FAN;
    assert_true(harness_until(harness, first_is_open));
    link_hello(first->link, clock_monotonic_us());
    assert_true(harness_until(harness, first_is_open));
    first->deaf = true;
    int64_t now_us = clock_monotonic_us();
    value_t *started = harness_answer(harness, send_start_of_fan(harness), error);
    assert_string_equal(error, "");
    harness_instance(harness, INSTANCE_2, "echo");
    assert_true(harness_until(harness, second_was_given_something_while_first_beats));
    assert_given_after_the_lease(harness, value_get_string(started, "id", ""), now_us,
                                 "overloaded");
    value_destroy(&started);
}

static bool first_has_a_plan(struct harness *harness)
{
    return harness->peers[0].plans > 0 && harness->peers[0].planned == 1;
}

static bool first_is_to_stop_all(struct harness *harness)
{
    return harness->peers[0].plans > 1 && harness->peers[0].planned == 0;
}

static void test_plans(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    harness_host(harness, HOST_1);
    assert_true(harness_until(harness, first_has_a_plan));
    value_destroy(&(value_t *){harness_call(harness, "agents.remove", "{\"name\":\"echo\"}")});
    assert_true(harness_until(harness, first_is_to_stop_all));
    value_t *hosts = harness_call(harness, "hosts.list", "{}");
    assert_string_equal(value_get_string(value_at(value_get(hosts, "items"), 0), "id", ""), HOST_1);
    value_destroy(&hosts);
}

/* --- restarts ----------------------------------------------------------------------------------
 */

static bool first_is_reopened(struct harness *harness)
{
    return first_is_open(harness) && link_id(harness->peers[0].link).epoch == 2;
}

/* The coordinator is killed while an instance works: the instance claims its task, which is not
 * given out a second time, and its result counts. */
static void test_claim_after_restart(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    struct harness_peer *instance = harness_instance(harness, INSTANCE_1, "echo");
    char *id = start_chain(harness, "\"y\"");
    assert_true(harness_until(harness, first_holds_one));
    const struct harness_dispatch *held = &instance->held[0];
    instance->claim =
        (struct wire_claim){.execution = held->execution, .path = held->path, .run = held->run};
    instance->claims = 1;

    harness_kill(harness);
    harness_start(harness, NULL);
    assert_true(harness_until(harness, first_is_reopened));
    instance->claims = 0;
    instance->answers = true;
    harness_result(instance, held, datum_inline(bytes_of("\xa1y", 2)), NULL);
    assert_ends_with(harness, id, "y");
    assert_int_equal(instance->dispatches, 2); /* a, then b */
    value_t *journal = call_for(harness, "executions.journal", id);
    assert_int_equal(value_size(value_get(journal, "items")), 4);
    value_destroy(&journal);
    free(id);
}

static void test_stops_in_good_order(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    char *id = start_chain(harness, "1");
    harness_stop(harness);
    harness_start(harness, NULL);
    value_t *execution = call_for(harness, "executions.get", id);
    assert_string_equal(value_get_string(execution, "status", ""), "running");
    value_destroy(&execution);
    value_t *status = harness_call(harness, "status", "{}");
    assert_int_equal(value_get_int(status, "epoch", 0), 2);
    value_destroy(&status);
    free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_chain),
        TEST(test_agent_alone),
        TEST(test_lists),
        TEST(test_failure_of_a_task),
        TEST(test_output_is_checked),
        TEST(test_cancel),
        TEST(test_refuses),
        TEST(test_wait_times_out),
        TEST(test_idempotency),
        TEST(test_versions),
        TEST(test_invalid_definitions),
        TEST(test_rules_of_a_script),
        TEST(test_removed_agents_are_named),
        TEST(test_a_needed_agent_stays),
        TEST(test_unknown_agent_is_refused),
        TEST(test_exit_report),
        TEST(test_silence),
        TEST(test_malformed_items),
        TEST(test_overloaded_link),
        TEST(test_plans),
        TEST(test_claim_after_restart),
        TEST(test_stops_in_good_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
