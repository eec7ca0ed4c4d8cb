/* A real agentd process behind a real brokerd, with a coordinator made for the test. */
#include "agentd/fixture.h"
#include "base/clock.h"
#include "base/limits.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* --- builtins
 * -------------------------------------------------------------------------------------- */

static void test_echo(void **state)
{
    struct fixture *self = *state;
    fixture_serve(self, "{\"agent\":\"a\",\"builtin\":\"echo\",\"process\":{\"parallel\":16}}");
    assert_int_equal(self->fake.credit, 16);
    for (int i = 0; i < 100; i++) {
        char path[16], message[32];
        snprintf(path, sizeof path, "n[%d]", i);
        snprintf(message, sizeof message, "{\"i\": %d}", i);
        fake_dispatch(&self->fake, self->execution, path, message, 0);
    }
    fake_wait_steps(&self->fake, 100);
    for (int i = 0; i < 100; i++) {
        char path[16], message[32];
        snprintf(path, sizeof path, "n[%d]", i);
        snprintf(message, sizeof message, "{\"i\": %d}", i);
        assert_string_equal(self->fake.steps[i].path, path);
        assert_int_equal(self->fake.steps[i].number, 1);
        fixture_assert_output(&self->fake.steps[i], message);
    }
    assert_int_equal(self->fake.credit, 116);
}

static void test_echo_gives_a_large_value_back_by_its_name(void **state)
{
    struct fixture *self = *state;
    fixture_serve(self, "{\"agent\":\"a\",\"builtin\":\"echo\"}");
    char *text = xmalloc(200001);
    memset(text, 'x', 200000);
    text[200000] = '\0';
    value_t *value = value_string(text);
    struct datum datum = fake_blob(&self->fake, value);
    fake_dispatch_datum(&self->fake, self->execution, "n", datum, 0);
    fake_wait_steps(&self->fake, 1);
    assert_true(self->fake.steps[0].output_is_blob);
    assert_true(value_equal(self->fake.steps[0].output, value));
    value_destroy(&value);
    free(text);
}

static void test_sleep(void **state)
{
    struct fixture *self = *state;
    fixture_serve(self, "{\"agent\":\"a\",\"builtin\":\"sleep\"}");
    fake_dispatch(&self->fake, self->execution, "long", "{\"seconds\": 0.2}", 0);
    fake_dispatch(&self->fake, self->execution, "short", "{\"ms\": 1}", 0);
    fake_dispatch(&self->fake, self->execution, "late", "3600", 50000);
    fake_dispatch(&self->fake, self->execution, "wrong", "\"soon\"", 0);
    fake_wait_steps(&self->fake, 4);
    const struct fake_step *steps = self->fake.steps;
    assert_string_equal(steps[0].path, "wrong");
    assert_true(steps[0].permanent);
    assert_string_equal(steps[1].path, "short");
    fixture_assert_output(&steps[1], "{\"ms\": 1}");
    assert_string_equal(steps[2].path, "late");
    assert_string_equal(steps[2].code, "timeout");
    assert_false(steps[2].permanent);
    assert_string_equal(steps[3].path, "long");
}

static void test_fail(void **state)
{
    struct fixture *self = *state;
    fixture_serve(self, "{\"agent\":\"a\",\"builtin\":\"fail\"}");
    fake_dispatch(&self->fake, self->execution, "n", "\"because\"", 0);
    fake_dispatch(&self->fake, self->execution, "m",
                  "{\"message\": \"never\", \"permanent\": true}", 0);
    fake_wait_steps(&self->fake, 2);
    assert_string_equal(self->fake.steps[0].code, "failed");
    assert_string_equal(self->fake.steps[0].message, "because");
    assert_false(self->fake.steps[0].permanent);
    assert_string_equal(self->fake.steps[1].message, "never");
    assert_true(self->fake.steps[1].permanent);
}

static void test_another_version_is_fetched(void **state)
{
    struct fixture *self = *state;
    fixture_serve(self, "{\"agent\":\"a\",\"builtin\":\"sleep\"}");
    value_destroy(&self->fake.definition);
    const char *next = "{\"agent\":\"a\",\"builtin\":\"echo\",\"process\":{\"parallel\":5}}";
    assert_int_equal(value_from_json(next, strlen(next), &self->fake.definition, NULL), 0);
    self->fake.version = 2;
    fake_dispatch(&self->fake, self->execution, "n", "\"x\"", 0);
    fake_wait_steps(&self->fake, 1);
    fixture_assert_output(&self->fake.steps[0], "\"x\"");
}

/* --- commands
 * -------------------------------------------------------------------------------------- */

static void test_command(void **state)
{
    struct fixture *self = *state;
    fixture_write_program(self, "cat", "#!/bin/sh\nexec /bin/cat\n");
    fixture_serve(self, "{\"agent\":\"a\",\"command\":[\"cat\"]}");
    fake_dispatch(&self->fake, self->execution, "n", "{\"question\": [1, null]}", 0);
    fake_wait_steps(&self->fake, 1);
    char text[TYPEID_TEXT_SIZE];
    char *wanted =
        xasprintf("{\"execution\":\"%s\",\"workflow\":\"flow\",\"task\":\"n\",\"attempt\":1,"
                  "\"agent\":\"a\",\"message\":{\"question\":[1,null]},\"deadline\":null}",
                  typeid_text("exec", self->execution, text));
    fixture_assert_output(&self->fake.steps[0], wanted);
    free(wanted);
}

static void test_command_with_large_values(void **state)
{
    struct fixture *self = *state;
    fixture_write_program(self, "cat", "#!/bin/sh\nexec /bin/cat\n");
    fixture_serve(self, "{\"agent\":\"a\",\"command\":[\"cat\"]}");
    size_t size = 3 * LIMIT_BLOB_CHUNK_BYTES;
    char *text = xmalloc(size);
    memset(text, 'y', size);
    value_t *value = value_string_n(text, size);
    struct datum datum = fake_blob(&self->fake, value);
    fake_dispatch_datum(&self->fake, self->execution, "n", datum, 0);
    fake_wait_steps(&self->fake, 1);
    assert_true(self->fake.steps[0].output_is_blob);
    assert_int_equal(self->fake.puts, 4);
    assert_true(value_equal(value_get(self->fake.steps[0].output, "message"), value));
    value_destroy(&value);
    free(text);
}

static void test_command_failures(void **state)
{
    struct fixture *self = *state;
    fixture_write_program(self, "do",
                          "#!/bin/sh\nread line\ncase \"$AF_TASK\" in\n"
                          "three) echo first >&2; echo second >&2; exit 3;;\n"
                          "usage) exit 64;;\ntemporary) exit 75;;\nkill) kill -9 $$;;\n"
                          "bytes) printf '\\377\\376';;\nslow) sleep 1000;;\nesac\n");
    fixture_serve(self, "{\"agent\":\"a\",\"command\":[\"./do\"]}");
    static const struct {
        const char *path, *code, *says;
        bool permanent;
        uint64_t timeout_us;
    } cases[] = {
        {"three", "exit", "status 3: second", false, 0},
        {"usage", "exit", "status 64", true, 0},
        {"temporary", "exit", "status 75", false, 0},
        {"kill", "signal", "SIGKILL", false, 0},
        {"bytes", "output", "UTF-8", true, 0},
        {"slow", "timeout", "timeout of 200ms", false, 200000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake_dispatch(&self->fake, self->execution, cases[i].path, "null", cases[i].timeout_us);
        fake_wait_steps(&self->fake, i + 1);
        const struct fake_step *step = &self->fake.steps[i];
        assert_true(step->failed);
        assert_string_equal(step->code, cases[i].code);
        if (!strstr(step->message, cases[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].path, step->message, cases[i].says);
        assert_int_equal(step->permanent, cases[i].permanent);
    }
    assert_string_equal(self->fake.steps[0].detail, "first\nsecond\n");
}

static void test_missing_program(void **state)
{
    struct fixture *self = *state;
    fixture_serve(self, "{\"agent\":\"a\",\"command\":[\"./nothing\"]}");
    fake_dispatch(&self->fake, self->execution, "n", "null", 0);
    fake_wait_steps(&self->fake, 1);
    assert_string_equal(self->fake.steps[0].code, "not_found");
    assert_true(self->fake.steps[0].permanent);
    assert_non_null(strstr(self->fake.steps[0].message, self->agents));
    assert_non_null(strstr(self->fake.steps[0].message, "--agents"));
}

static void test_timeout_kills_a_daemon(void **state)
{
    struct fixture *self = *state;
    struct witness witness = witness_open(self);
    fixture_write_daemoniser(self);
    fixture_serve(self, "{\"agent\":\"a\",\"command\":[\"./daemoniser\"]}");
    fake_dispatch(&self->fake, self->execution, "n", "null", 500000);
    witness_wait_until_seen(self, &witness);
    fake_wait_steps(&self->fake, 1);
    assert_string_equal(self->fake.steps[0].code, "timeout");
    assert_true(witness_is_gone(&witness));
    witness_wait_until_gone(self, &witness);
}

static void test_the_end_of_a_command_kills_its_daemon(void **state)
{
    struct fixture *self = *state;
    struct witness witness = witness_open(self);
    fixture_write_daemoniser(self);
    fixture_serve(self, "{\"agent\":\"a\",\"command\":[\"./daemoniser\"]}");
    fake_dispatch(&self->fake, self->execution, "ends", "null", 0);
    witness_wait_until_seen(self, &witness);
    fake_wait_steps(&self->fake, 1);
    assert_false(self->fake.steps[0].failed);
    witness_wait_until_gone(self, &witness);
}

static void test_a_drop_kills(void **state)
{
    struct fixture *self = *state;
    struct witness witness = witness_open(self);
    fixture_write_daemoniser(self);
    fixture_serve(self, "{\"agent\":\"a\",\"command\":[\"./daemoniser\"]}");
    struct wire_run run = fake_dispatch(&self->fake, self->execution, "n", "null", 0);
    witness_wait_until_seen(self, &witness);
    struct wire_run other = {run.epoch, run.counter + 1};
    fake_drop(&self->fake, self->execution, "n", other);
    fake_serve_for(&self->fake, 20000);
    assert_false(witness_is_gone(&witness));
    assert_int_equal(self->fake.steps_count, 0);
    fake_drop(&self->fake, self->execution, "n", run);
    fake_wait_steps(&self->fake, 1);
    assert_true(witness_is_gone(&witness));
    assert_true(self->fake.steps[0].failed);
    assert_string_equal(self->fake.steps[0].code, "cancelled");
    witness_wait_until_gone(self, &witness);
}

static bool has_said_bye(struct fake *fake)
{
    return fake->byes > 0;
}

static void test_kill_leaves_nothing(void **state)
{
    struct fixture *self = *state;
    struct witness witness = witness_open(self);
    fixture_write_daemoniser(self);
    fixture_serve(self, "{\"agent\":\"a\",\"command\":[\"./daemoniser\"]}");
    fake_dispatch(&self->fake, self->execution, "n", "null", 0);
    witness_wait_until_seen(self, &witness);
    fixture_stop(&self->agentd, SIGKILL);
    witness_wait_until_gone(self, &witness);
}

static void test_sigterm_drains(void **state)
{
    struct fixture *self = *state;
    fixture_serve(self, "{\"agent\":\"a\",\"builtin\":\"sleep\"}");
    fake_dispatch(&self->fake, self->execution, "n", "{\"ms\": 300}", 0);
    fake_serve_for(&self->fake, 50000);
    kill(self->agentd, SIGTERM);
    fake_wait(&self->fake, has_said_bye);
    assert_true(self->fake.draining);
    assert_int_equal(self->fake.steps_count, 1);
    int status = fixture_stop(&self->agentd, SIGTERM);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* --- links -------------------------------------------------------------------------------------
 */

static bool has_new_link(struct fake *fake)
{
    return fake->hellos > 1;
}

static void test_stopped_past_its_lease(void **state)
{
    struct fixture *self = *state;
    struct witness witness = witness_open(self);
    fixture_write_daemoniser(self);
    fixture_serve(self, "{\"agent\":\"a\",\"command\":[\"./daemoniser\"]}");
    fake_dispatch(&self->fake, self->execution, "n", "null", 0);
    witness_wait_until_seen(self, &witness);
    self->fake.keep = true;
    kill(self->agentd, SIGSTOP);
    self->fake.deaf = true;
    fake_serve_for(&self->fake, LIMIT_LEASE_US + 300000);
    self->fake.deaf = false;
    assert_false(witness_is_gone(&witness));
    kill(self->agentd, SIGCONT);
    fake_wait(&self->fake, has_new_link);
    assert_int_equal(self->fake.claims, 0);
    witness_wait_until_gone(self, &witness);
    fake_serve_for(&self->fake, 50000);
    assert_int_equal(self->fake.steps_count, 0);
}

static void test_silence_kills_commands(void **state)
{
    struct fixture *self = *state;
    struct witness witness = witness_open(self);
    fixture_write_daemoniser(self);
    fixture_serve(self, "{\"agent\":\"a\",\"command\":[\"./daemoniser\"]}");
    fake_dispatch(&self->fake, self->execution, "n", "null", 0);
    witness_wait_until_seen(self, &witness);
    self->fake.deaf = true;
    witness_wait_until_gone(self, &witness);
    self->fake.deaf = false;
    fake_wait(&self->fake, has_new_link);
    assert_int_equal(self->fake.claims, 0);
}

static bool has_claimed(struct fake *fake)
{
    return fake->claimed_step > 0;
}

static void test_unacknowledged_steps_are_claimed_and_sent_anew(void **state)
{
    struct fixture *self = *state;
    fixture_serve(self, "{\"agent\":\"a\",\"builtin\":\"echo\"}");
    self->fake.commits = false;
    self->fake.keep = true;
    fake_dispatch(&self->fake, self->execution, "n", "1", 0);
    fake_wait_steps(&self->fake, 1);
    struct wire_body reset = {.kind = WIRE_LINK_RESET, .reset = {.link = self->fake.id}};
    struct wire_route route = {.kind = WIRE_LINK_RESET, .to = self->fake.instance};
    assert_int_equal(peer_send(self->fake.peer, &route, &reset, bytes_of(NULL, 0), NULL), 0);
    fake_wait(&self->fake, has_claimed);
    assert_int_equal(self->fake.claimed_step, 1);
    fake_wait_steps(&self->fake, 2);
    assert_true(wire_run_compare(self->fake.steps[0].run, self->fake.steps[1].run) == 0);
}

static void test_a_newer_run_replaces_an_older_one(void **state)
{
    struct fixture *self = *state;
    fixture_serve(self, "{\"agent\":\"a\",\"builtin\":\"sleep\"}");
    fake_dispatch(&self->fake, self->execution, "n", "3600", 0);
    struct wire_run newer = fake_dispatch(&self->fake, self->execution, "n", "{\"ms\":1}", 0);
    fake_wait_steps(&self->fake, 1);
    assert_true(wire_run_compare(self->fake.steps[0].run, newer) == 0);
    fake_serve_for(&self->fake, 20000);
    assert_int_equal(self->fake.steps_count, 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
        TEST(test_echo),
        TEST(test_echo_gives_a_large_value_back_by_its_name),
        TEST(test_sleep),
        TEST(test_fail),
        TEST(test_another_version_is_fetched),
        TEST(test_command),
        TEST(test_command_with_large_values),
        TEST(test_command_failures),
        TEST(test_missing_program),
        TEST(test_timeout_kills_a_daemon),
        TEST(test_the_end_of_a_command_kills_its_daemon),
        TEST(test_a_drop_kills),
        TEST(test_kill_leaves_nothing),
        TEST(test_sigterm_drains),
        TEST(test_stopped_past_its_lease),
        TEST(test_silence_kills_commands),
        TEST(test_unacknowledged_steps_are_claimed_and_sent_anew),
        TEST(test_a_newer_run_replaces_an_older_one),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("agentd", tests, NULL, NULL);
}
