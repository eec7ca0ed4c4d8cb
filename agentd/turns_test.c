/* Tasks that a model answers: a real agentd behind a real brokerd, with a coordinator and an egress
 * made for the test. */
#include "agentd/fake_egress.h"
#include "agentd/fixture.h"
#include "base/limits.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEFINITION                                                                                 \
    "{\"agent\":\"a\",\"model\":\"script/x.yaml\",\"rules\":{\"rules\":[]},"                       \
    "\"instructions\":\"Be brief.\",\"delegates\":[\"*\"],\"tools\":[{\"command\":{"               \
    "\"name\":\"count\",\"about\":\"Counts.\",\"argv\":[\"./count\"],\"input\":\"stdin\","         \
    "\"parameters\":{\"input\":{\"type\":\"string\"}},\"repeat\":\"safe\"}},"                      \
    "{\"command\":{\"name\":\"work\",\"about\":\"\",\"argv\":[\"./daemoniser\"],"                  \
    "\"input\":\"none\",\"parameters\":{}}},{\"command\":{\"name\":\"do\",\"about\":\"\","         \
    "\"argv\":[\"./do\"],\"input\":\"json\",\"timeout_us\":300000}}]}"

#define TURN_COUNT                                                                                 \
    "{\"content\":\"let me see\",\"calls\":[{\"tool\":\"count\",\"arguments\":{\"input\":"         \
    "\"one two\"}}]}"
#define TURN_DELEGATE                                                                              \
    "{\"content\":null,\"calls\":[{\"tool\":\"delegate_to_agent\",\"arguments\":{\"agent\":"       \
    "\"writer\",\"message\":\"write\",\"context\":{\"n\":1}}},{\"tool\":\"context_get\","          \
    "\"arguments\":{}},{\"tool\":\"count\",\"arguments\":{\"input\":\"x\"}}]}"
#define TURN_WORK "{\"content\":null,\"calls\":[{\"tool\":\"work\",\"arguments\":{}}]}"

struct world {
    struct fixture *fixture;
    struct fake *fake;
    struct fake_egress egress;
};

static int set_up(void **state)
{
    void *fixture = NULL;
    if (fixture_set_up(&fixture) != 0)
        return -1;
    struct world *self = xcalloc(1, sizeof *self);
    self->fixture = fixture;
    self->fake = &self->fixture->fake;
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct world *self = *state;
    void *fixture = self->fixture;
    fixture_stop(&self->fixture->agentd, SIGKILL);
    fake_egress_release(&self->egress);
    (void)fixture_tear_down(&fixture);
    free(self);
    return 0;
}

static void begin(struct world *self)
{
    fixture_write_program(self->fixture, "count", "#!/bin/sh\nexec wc -w\n");
    fixture_write_daemoniser(self->fixture);
    fixture_serve(self->fixture, DEFINITION);
    fake_egress_init(&self->egress, self->fake, self->fixture->paths.broker_endpoint, "egress:e1");
}

static struct wire_run dispatch(struct world *self, uint32_t turn, uint32_t from)
{
    return fake_dispatch_turn(self->fake, self->fixture->execution, "n", "\"go\"", turn, from);
}

static void grant(struct world *self, struct wire_run run, uint32_t turn)
{
    fake_grant(self->fake, self->fixture->execution, "n", run, turn);
}

static void answer(struct world *self, size_t call, const char *turn)
{
    fake_egress_answer(&self->egress, &self->egress.calls[call], turn);
}

static bool has_new_link(struct fake *fake)
{
    return fake->hellos > 1 && fake_linked(fake);
}

/* Kills the instance and starts another one. */
static void replace(struct world *self)
{
    fixture_stop(&self->fixture->agentd, SIGKILL);
    self->fake->hellos = 1;
    self->fake->credit = 0;
    fixture_start(self->fixture, "a");
    fake_wait(self->fake, has_new_link);
}

static const value_t *turn_of(const struct fake_call *call, size_t turn)
{
    return value_at(value_get(call->request, "turns"), turn);
}

static const value_t *result_of(const struct fake_call *call, size_t turn, size_t index)
{
    return value_at(value_get(turn_of(call, turn), "results"), index);
}

static void assert_step(const struct world *self, size_t index, enum wire_step_kind kind,
                        uint32_t number)
{
    assert_int_equal(self->fake->steps[index].kind, kind);
    assert_int_equal(self->fake->steps[index].number, number);
}

/* --- the tests -----------------------------------------------------------------------------------
 */

static void test_two_turns_with_a_tool(void **state)
{
    struct world *self = *state;
    begin(self);
    struct wire_run run = dispatch(self, 1, 0);
    const struct fake_call *call = fake_egress_wait(&self->egress, 1);
    assert_int_equal(call->turn, 1);
    assert_int_equal(call->attempt, 1);
    assert_int_equal(wire_run_compare(call->run, run), 0);
    assert_string_equal(value_get_string(call->request, "message", ""), "go");
    assert_int_equal(value_size(value_get(call->request, "tools")), 7);
    uint64_t credit = self->fake->credit;
    answer(self, 0, TURN_COUNT);
    fake_wait_steps(self->fake, 2);
    assert_step(self, 0, WIRE_STEP_TURN, 1);
    assert_int_equal(self->fake->steps[0].turn, 1);
    assert_string_equal(self->fake->steps[0].calls, "count");
    assert_int_equal(self->fake->steps[0].usage.input_tokens, 10);
    fixture_assert_output(&self->fake->steps[0], TURN_COUNT);
    assert_step(self, 1, WIRE_STEP_TOOL_RESULT, 2);
    fixture_assert_output(&self->fake->steps[1], "\"2\"");
    fake_serve_for(self->fake, 20000);
    assert_int_equal(self->egress.calls_count, 1);
    assert_int_equal(self->fake->credit, credit); /* the run goes on */
    grant(self, run, 2);
    call = fake_egress_wait(&self->egress, 2);
    assert_int_equal(call->turn, 2);
    assert_string_equal(value_get_string(turn_of(call, 0), "content", ""), "let me see");
    assert_string_equal(value_get_string(result_of(call, 0, 0), "output", ""), "2");
    answer(self, 1, "{\"content\":\"two words\"}");
    fake_wait_steps(self->fake, 4);
    assert_step(self, 2, WIRE_STEP_TURN, 3);
    assert_step(self, 3, WIRE_STEP_RESULT, 4);
    fixture_assert_output(&self->fake->steps[3], "\"two words\"");
    assert_int_equal(self->fake->credit, credit + 1);
}

static void test_commands_wait_for_the_journal(void **state)
{
    struct world *self = *state;
    begin(self);
    self->fake->commits = false;
    dispatch(self, 1, 0);
    fake_egress_wait(&self->egress, 1);
    answer(self, 0, TURN_COUNT);
    fake_wait_steps(self->fake, 1);
    fake_serve_for(self->fake, 300000);
    assert_int_equal(self->fake->steps_count, 1);
    self->fake->commits = true;
    link_commit(self->fake->link, link_received(self->fake->link));
    fake_wait_steps(self->fake, 2);
    fixture_assert_output(&self->fake->steps[1], "\"2\"");
}

static void test_what_tools_give(void **state)
{
    struct world *self = *state;
    begin(self);
    fixture_write_program(self->fixture, "do",
                          "#!/bin/sh\nread line\ncase \"$line\" in\n"
                          "*bad*) echo first >&2; echo second >&2; exit 3;;\n"
                          "*slow*) sleep 1000;;\n*number*) echo 12;;\n*) echo \"$line\";;\nesac\n");
    dispatch(self, 1, 0);
    fake_egress_wait(&self->egress, 1);
    answer(self, 0,
           "{\"calls\":[{\"tool\":\"do\",\"arguments\":{\"a\":[\"bad\"]}},"
           "{\"tool\":\"do\",\"arguments\":{\"slow\":1}},{\"tool\":\"do\",\"arguments\":"
           "{\"number\":1}},{\"tool\":\"do\",\"arguments\":{\"x\":{\"y\":[1]}}},"
           "{\"tool\":\"nothing\",\"arguments\":{}},{\"tool\":\"count\",\"arguments\":{}}]}");
    fake_wait_steps(self->fake, 7);
    const struct fake_step *by_call[6] = {0};
    for (size_t i = 1; i < 7; i++)
        by_call[self->fake->steps[i].call] = &self->fake->steps[i];
    assert_string_equal(by_call[0]->code, "exit");
    assert_string_equal(by_call[0]->detail, "first\nsecond\n");
    assert_string_equal(by_call[1]->code, "timeout");
    assert_non_null(strstr(by_call[1]->message, "300ms"));
    fixture_assert_output(by_call[2], "\"12\"");
    fixture_assert_output(by_call[3], "{\"x\":{\"y\":[1]}}");
    assert_string_equal(by_call[4]->code, "unknown_tool");
    assert_string_equal(by_call[5]->code, "invalid_arguments");
}

/* More than run at a time: the others wait for a place. */
static void test_many_tools_of_one_turn(void **state)
{
    struct world *self = *state;
    enum { COUNT = LIMIT_AGENTD_TOOLS + 6 };
    struct buf turn = {0};
    bool seen[COUNT] = {false};
    begin(self);
    buf_puts(&turn, "{\"calls\":[");
    for (int i = 0; i < COUNT; i++)
        buf_printf(&turn, "%s{\"tool\":\"count\",\"arguments\":{\"input\":\"a b\"}}", i ? "," : "");
    buf_puts(&turn, "]}");
    dispatch(self, 1, 0);
    fake_egress_wait(&self->egress, 1);
    answer(self, 0, buf_string(&turn));
    fake_wait_steps(self->fake, COUNT + 1);
    for (size_t i = 1; i <= COUNT; i++) {
        assert_int_equal(self->fake->steps[i].number, i + 1);
        fixture_assert_output(&self->fake->steps[i], "\"2\"");
        assert_false(seen[self->fake->steps[i].call]);
        seen[self->fake->steps[i].call] = true;
    }
    buf_release(&turn);
}

static void test_a_yield_goes_on_elsewhere(void **state)
{
    struct world *self = *state;
    begin(self);
    dispatch(self, 1, 0);
    fake_egress_wait(&self->egress, 1);
    uint64_t credit = self->fake->credit;
    answer(self, 0, TURN_DELEGATE);
    fake_wait_steps(self->fake, 2);
    assert_int_equal(self->fake->said_count, 2);
    const struct fake_said *said = self->fake->said;
    assert_true(said[0].delegates);
    assert_string_equal(said[0].name, "writer");
    assert_int_equal(said[0].turn, 1);
    assert_int_equal(said[0].call, 0);
    assert_string_equal(value_as_string(said[0].value), "write");
    assert_int_equal(value_get_int(said[0].context, "n", 0), 1);
    assert_string_equal(said[1].name, "context_get");
    assert_int_equal(said[1].call, 1);
    assert_int_equal(self->fake->credit, credit + 1); /* it has left its place */
    /* Another instance: most of the history has to be asked for. */
    fake_remember(self->fake, WIRE_STEP_TURN, 1, 0, TURN_DELEGATE, NULL);
    fake_remember(self->fake, WIRE_STEP_TOOL_RESULT, 1, 2, "\"1\"", NULL);
    fake_remember(self->fake, WIRE_STEP_TOOL_RESULT, 1, 1, "{}", NULL);
    fake_remember(self->fake, WIRE_STEP_TOOL_RESULT, 1, 0, "not allowed", "not_allowed");
    self->fake->journaled_step = 2;
    replace(self);
    struct wire_run run = dispatch(self, 2, 3);
    const struct fake_call *call = fake_egress_wait(&self->egress, 2);
    assert_int_equal(self->fake->history_asked, 2);
    assert_int_equal(call->turn, 2);
    assert_int_equal(wire_run_compare(call->run, run), 0);
    assert_string_equal(value_get_string(value_get(result_of(call, 0, 0), "error"), "code", ""),
                        "not_allowed");
    assert_string_equal(value_get_string(result_of(call, 0, 2), "output", ""), "1");
    answer(self, 1, "{\"content\":{\"done\":true}}");
    fake_wait_steps(self->fake, 4);
    assert_step(self, 2, WIRE_STEP_TURN, 3);
    assert_step(self, 3, WIRE_STEP_RESULT, 4);
    fixture_assert_output(&self->fake->steps[3], "{\"done\":true}");
}

static void test_a_yield_goes_on_from_memory(void **state)
{
    struct world *self = *state;
    begin(self);
    struct wire_run run = dispatch(self, 1, 0);
    fake_egress_wait(&self->egress, 1);
    answer(self, 0, TURN_COUNT);
    fake_wait_steps(self->fake, 2);
    grant(self, run, 2);
    fake_egress_wait(&self->egress, 2);
    answer(self, 1, TURN_DELEGATE);
    fake_wait_steps(self->fake, 4);
    assert_int_equal(self->fake->said_count, 2);
    fake_remember(self->fake, WIRE_STEP_TURN, 1, 0, TURN_COUNT, NULL);
    fake_remember(self->fake, WIRE_STEP_TOOL_RESULT, 1, 0, "\"2\"", NULL);
    fake_remember(self->fake, WIRE_STEP_TURN, 2, 0, TURN_DELEGATE, NULL);
    fake_remember(self->fake, WIRE_STEP_TOOL_RESULT, 2, 2, "\"1\"", NULL);
    fake_remember(self->fake, WIRE_STEP_TOOL_RESULT, 2, 1, "{}", NULL);
    fake_remember(self->fake, WIRE_STEP_TOOL_RESULT, 2, 0, "\"written\"", NULL);
    self->fake->journaled_step = 4;
    dispatch(self, 3, 2);
    fake_egress_wait(&self->egress, 3);
    assert_int_equal(self->fake->history_asked, 0);
    /* Whoever has it all from the journal asks for the same. */
    replace(self);
    dispatch(self, 3, 0);
    fake_egress_wait(&self->egress, 4);
    assert_int_equal(self->fake->history_asked, 0);
    assert_memory_equal(self->egress.calls[2].hash, self->egress.calls[3].hash, DATUM_HASH_BYTES);
}

static void test_killed_in_the_middle_of_a_call(void **state)
{
    struct world *self = *state;
    begin(self);
    dispatch(self, 1, 0);
    fake_egress_wait(&self->egress, 1);
    replace(self);
    struct wire_run run = dispatch(self, 1, 0);
    fake_egress_wait(&self->egress, 2);
    const struct fake_call *calls = self->egress.calls;
    assert_string_not_equal(calls[0].from, calls[1].from);
    assert_memory_equal(calls[0].hash, calls[1].hash, DATUM_HASH_BYTES);
    assert_int_equal(wire_run_compare(calls[1].run, run), 0);
    answer(self, 1, "{\"content\":\"once\"}");
    fake_wait_steps(self->fake, 2);
    fixture_assert_output(&self->fake->steps[1], "\"once\"");
}

static void test_an_interrupted_tool(void **state)
{
    struct world *self = *state;
    struct witness witness = witness_open(self->fixture);
    begin(self);
    dispatch(self, 1, 0);
    fake_egress_wait(&self->egress, 1);
    answer(self, 0, TURN_WORK);
    witness_wait_until_seen(self->fixture, &witness);
    fake_remember(self->fake, WIRE_STEP_TURN, 1, 0, TURN_WORK, NULL);
    self->fake->journaled_step = 1;
    replace(self);
    witness_wait_until_gone(self->fixture, &witness);
    struct wire_run run = dispatch(self, 0, 0);
    fake_wait_steps(self->fake, 2);
    assert_step(self, 1, WIRE_STEP_TOOL_RESULT, 2);
    assert_string_equal(self->fake->steps[1].code, "interrupted");
    assert_string_equal(self->fake->steps[1].message, "interrupted, outcome unknown");
    grant(self, run, 2);
    fake_egress_wait(&self->egress, 2);
}

static bool has_another_link(struct fake *fake)
{
    return fake->hellos > 1;
}

/* Its tools are killed and their task is dropped; what waits for a model goes on waiting. */
static void test_a_lost_lease(void **state)
{
    struct world *self = *state;
    struct witness witness = witness_open(self->fixture);
    begin(self);
    dispatch(self, 1, 0);
    fake_egress_wait(&self->egress, 1);
    fake_dispatch_turn(self->fake, self->fixture->execution, "m", "\"wait\"", 1, 0);
    fake_egress_wait(&self->egress, 2);
    answer(self, 0, TURN_WORK);
    witness_wait_until_seen(self->fixture, &witness);
    self->fake->deaf = true;
    self->fake->keep = true;
    witness_wait_until_gone(self->fixture, &witness);
    self->fake->deaf = false;
    fake_wait(self->fake, has_another_link);
    assert_int_equal(self->fake->claims, 1);
    answer(self, 1, "{\"content\":\"waited\"}");
    fake_wait_steps(self->fake, 3);
    assert_string_equal(self->fake->steps[2].path, "m");
    fixture_assert_output(&self->fake->steps[2], "\"waited\"");
}

static void test_a_drop_kills_tools(void **state)
{
    struct world *self = *state;
    struct witness witness = witness_open(self->fixture);
    begin(self);
    struct wire_run run = dispatch(self, 1, 0);
    fake_egress_wait(&self->egress, 1);
    answer(self, 0, TURN_WORK);
    witness_wait_until_seen(self->fixture, &witness);
    fake_drop(self->fake, self->fixture->execution, "n", run);
    fake_wait_steps(self->fake, 2);
    assert_true(witness_is_gone(&witness));
    assert_step(self, 1, WIRE_STEP_FAILURE, 2);
    assert_string_equal(self->fake->steps[1].code, "cancelled");
    witness_wait_until_gone(self->fixture, &witness);
    /* One that waits for a model ends at once. */
    run = fake_dispatch_turn(self->fake, self->fixture->execution, "m", "1", 1, 0);
    fake_egress_wait(&self->egress, 2);
    fake_drop(self->fake, self->fixture->execution, "m", run);
    fake_wait_steps(self->fake, 3);
    assert_string_equal(self->fake->steps[2].code, "cancelled");
}

static void test_calls_are_said_again(void **state)
{
    struct world *self = *state;
    begin(self);
    dispatch(self, 1, 0);
    fake_egress_wait(&self->egress, 1);
    /* Without the request, until that is asked for. */
    fake_egress_wait(&self->egress, 2);
    assert_null(self->egress.calls[1].request);
    fake_egress_refuse(&self->egress, &self->egress.calls[1], "unknown", false);
    fake_egress_wait(&self->egress, 3);
    assert_non_null(self->egress.calls[2].request);
    assert_int_equal(self->fake->steps_count, 0);
    fake_egress_refuse(&self->egress, &self->egress.calls[2], "no_rule", true);
    fake_wait_steps(self->fake, 1);
    assert_step(self, 0, WIRE_STEP_FAILURE, 1);
    assert_string_equal(self->fake->steps[0].code, "no_rule");
    assert_string_equal(self->fake->steps[0].message, "because");
    assert_true(self->fake->steps[0].permanent);
    assert_int_equal(self->fake->steps[0].usage.output_tokens, 2);
}

/* An egress that is not there yet; then the turn is granted anew, by another one. */
static void test_another_egress(void **state)
{
    struct world *self = *state;
    begin(self);
    self->fake->egress = "egress:e9";
    struct wire_run run = dispatch(self, 1, 0);
    fake_serve_for(self->fake, 100000);
    assert_int_equal(self->egress.calls_count, 0);
    self->fake->egress = "egress:e1";
    grant(self, run, 1);
    fake_egress_wait(&self->egress, 1);
    assert_non_null(self->egress.calls[0].request);
}

static void test_large_turns_are_stored_first(void **state)
{
    struct world *self = *state;
    begin(self);
    size_t size = 100000;
    char *text = xmalloc(size + 1);
    memset(text, 'x', size);
    text[size] = '\0';
    char *turn = xasprintf("{\"content\":\"%s\"}", text);
    char *output = xasprintf("\"%s\"", text);
    dispatch(self, 1, 0);
    fake_egress_wait(&self->egress, 1);
    answer(self, 0, turn);
    fake_wait_steps(self->fake, 2);
    assert_step(self, 0, WIRE_STEP_TURN, 1);
    assert_true(self->fake->steps[0].output_is_blob);
    fixture_assert_output(&self->fake->steps[0], turn);
    assert_step(self, 1, WIRE_STEP_RESULT, 2);
    assert_true(self->fake->steps[1].output_is_blob);
    fixture_assert_output(&self->fake->steps[1], output);
    free(output);
    free(turn);
    free(text);
}

static void test_an_attempt_that_takes_too_long(void **state)
{
    struct world *self = *state;
    struct witness witness = witness_open(self->fixture);
    begin(self);
    value_t *limits = value_map();
    value_set_int(limits, "time_us", 700000);
    value_set(self->fake->definition, "limits", &limits);
    self->fake->version = 2;
    dispatch(self, 1, 0);
    fake_egress_wait(&self->egress, 1);
    answer(self, 0, TURN_WORK);
    witness_wait_until_seen(self->fixture, &witness);
    fake_wait_steps(self->fake, 2);
    assert_true(witness_is_gone(&witness));
    assert_step(self, 1, WIRE_STEP_FAILURE, 2);
    assert_string_equal(self->fake->steps[1].code, "timeout");
    witness_wait_until_gone(self->fixture, &witness);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_two_turns_with_a_tool),
        TEST(test_commands_wait_for_the_journal),
        TEST(test_what_tools_give),
        TEST(test_many_tools_of_one_turn),
        TEST(test_a_yield_goes_on_elsewhere),
        TEST(test_a_yield_goes_on_from_memory),
        TEST(test_killed_in_the_middle_of_a_call),
        TEST(test_an_interrupted_tool),
        TEST(test_a_lost_lease),
        TEST(test_a_drop_kills_tools),
        TEST(test_calls_are_said_again),
        TEST(test_another_egress),
        TEST(test_large_turns_are_stored_first),
        TEST(test_an_attempt_that_takes_too_long),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
