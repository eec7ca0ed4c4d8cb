#include "agentd/outcome.h"

#include "agentd/builtin.h"
#include "agentd/transfer.h"
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
#include <unistd.h>

#include <cmocka.h>

static struct command_end exited(int status, const char *output, const char *error)
{
    return (struct command_end){.started = true,
                                .status = status << 8,
                                .output = bytes_of_string(output),
                                .error_tail = bytes_of_string(error)};
}

static struct outcome outcome_of(const struct command_end *end)
{
    struct outcome outcome;
    outcome_of_command(end, "./scout", 256 << 20, &outcome);
    return outcome;
}

static void assert_value(const char *output, const char *json)
{
    struct command_end end = exited(0, output, "");
    struct outcome outcome = outcome_of(&end);
    if (outcome.failed)
        fail_msg("%s", buf_string(&outcome.message));
    value_t *got = NULL, *wanted = NULL;
    assert_int_equal(value_from_msgpack(buf_bytes(&outcome.output), &got, NULL), 0);
    assert_int_equal(value_from_json(json, strlen(json), &wanted, NULL), 0);
    assert_true(value_equal(got, wanted));
    value_destroy(&got);
    value_destroy(&wanted);
    outcome_release(&outcome);
}

static void test_output_is_json_or_text(void **state)
{
    (void)state;
    assert_value("{\"a\": [1, 2.5, null]}\n", "{\"a\":[1,2.5,null]}");
    assert_value(" 17\n", "17");
    assert_value("\"quoted\"", "\"quoted\"");
    assert_value("hello\n", "\"hello\"");
    assert_value("two\nlines\n\n", "\"two\\nlines\\n\"");
    assert_value("dos\r\n", "\"dos\"");
    assert_value("{\"a\": 1} and more", "\"{\\\"a\\\": 1} and more\"");
    assert_value("", "\"\"");
    assert_value("\n", "\"\"");
    assert_value("naïve ☃\n", "\"naïve ☃\"");
}

static void assert_failure(const struct command_end *end, const char *code, bool permanent,
                           const char *says)
{
    struct outcome outcome = outcome_of(end);
    assert_true(outcome.failed);
    assert_string_equal(outcome.code, code);
    if (!strstr(buf_string(&outcome.message), says))
        fail_msg("\"%s\" does not say \"%s\"", buf_string(&outcome.message), says);
    assert_int_equal(outcome.permanent, permanent);
    assert_int_equal(outcome.output.size, 0);
    outcome_release(&outcome);
}

static void test_failures(void **state)
{
    (void)state;
    for (int status = 1; status < 256; status++) {
        /* EX_USAGE to EX_CONFIG, but for EX_TEMPFAIL */
        bool permanent = status >= 64 && status <= 78 && status != 75;
        struct command_end end = exited(status, "ignored", "");
        char says[32];
        snprintf(says, sizeof says, "status %d", status);
        assert_failure(&end, "exit", permanent, says);
    }
    struct command_end end = exited(1, "", "first\n  the reason  \n\n");
    assert_failure(&end, "exit", false, "exited with status 1:   the reason");
    end = exited(1, "", "x\nMemoryError\n");
    assert_failure(&end, "exit", false, "process.memory allows 256 MiB");
    end = (struct command_end){.started = true, .status = SIGSEGV};
    assert_failure(&end, "signal", false, "SIGSEGV");
    end = (struct command_end){.started = true, .status = SIGKILL};
    assert_failure(&end, "signal", false, "out of memory");
    end = exited(0, "\xff", "");
    assert_failure(&end, "output", true, "UTF-8");
    end = (struct command_end){.output_too_large = true};
    assert_failure(&end, "output", true, "64 MiB");
    end = (struct command_end){.failed = {SANDBOX_EXEC, ENOENT}};
    assert_failure(&end, "not_found", true, "./scout can't be executed");
    end = (struct command_end){.failed = {SANDBOX_LIMITS, EPERM}};
    assert_failure(&end, "internal", false, "setting its limits");
}

static void test_json_past_a_limit_is_not_text(void **state)
{
    (void)state;
    struct buf deep = {0};
    for (int i = 0; i < LIMIT_VALUE_DEPTH + 10; i++)
        buf_putc(&deep, '[');
    for (int i = 0; i < LIMIT_VALUE_DEPTH + 10; i++)
        buf_putc(&deep, ']');
    struct command_end end = exited(0, buf_string(&deep), "");
    assert_failure(&end, "output", true, "");
    buf_release(&deep);
}

static void test_detail_is_whole_lines_of_valid_text(void **state)
{
    (void)state;
    struct buf text = {0};
    for (int i = 0; i < 2000; i++)
        buf_printf(&text, "line %d ☃\n", i);
    buf_puts(&text, "bad \xff byte\n");
    struct outcome outcome = {0};
    outcome_detail(&outcome, buf_bytes(&text));
    const char *detail = buf_string(&outcome.detail);
    assert_int_equal(strncmp(detail, "line ", 5), 0);
    assert_true(outcome.detail.size <= LIMIT_COMMAND_DETAIL_BYTES + 2);
    assert_true(outcome.detail.size > LIMIT_COMMAND_DETAIL_BYTES - 32);
    assert_non_null(strstr(detail, "bad \xef\xbf\xbd byte\n"));
    outcome_release(&outcome);
    buf_release(&text);
}

/* --- the program, its arguments, its environment
 * ----------------------------------------------------- */

static void make_file(const char *dir, const char *name, mode_t mode)
{
    char *path = xasprintf("%s/%s", dir, name);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, mode));
    assert_int_equal(chmod(path, mode), 0);
    free(path);
}

static void remove_file(const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name);
    assert_int_equal(unlink(path), 0);
    free(path);
}

static void assert_found(const char *argv0, const char *dir, const char *path, const char *wanted)
{
    struct err err = {0};
    char *program = NULL;
    if (outcome_find_program(argv0, dir, path, &program, &err))
        fail_msg("%s", err.what);
    assert_string_equal(program, wanted);
    free(program);
}

static void test_where_a_program_is(void **state)
{
    (void)state;
    char dir[] = "/tmp/af-outcome-XXXXXX";
    assert_non_null(mkdtemp(dir));
    make_file(dir, "scout", 0700);
    make_file(dir, "text", 0600);
    char *scout = xasprintf("%s/scout", dir), *dotted = xasprintf("%s/./scout", dir);
    assert_found("./scout", dir, "/nowhere", dotted);
    assert_found("scout", dir, "/bin", scout);
    assert_found("sh", dir, "/nowhere:/bin", "/bin/sh");
    assert_found("/bin/sh", NULL, "", "/bin/sh");
    struct err err = {0};
    char *program = NULL;
    assert_int_equal(outcome_find_program("./none", dir, "/bin", &program, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.where, "./none"));
    assert_true(err.fix[0]);
    assert_int_equal(outcome_find_program("./text", dir, "/bin", &program, &err), ERR_NOT_ALLOWED);
    assert_non_null(strstr(err.fix, "chmod"));
    assert_int_equal(outcome_find_program("no-such", dir, "/bin", &program, &err), ERR_NOT_FOUND);
    assert_int_equal(outcome_find_program("./scout", NULL, "/bin", &program, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.fix, "--agents"));
    assert_null(program);
    remove_file(dir, "scout");
    remove_file(dir, "text");
    assert_int_equal(rmdir(dir), 0);
    free(scout);
    free(dotted);
}

static bool contains(char **strings, const char *wanted)
{
    for (size_t i = 0; strings[i]; i++)
        if (strcmp(strings[i], wanted) == 0)
            return true;
    return false;
}

static void test_environment(void **state)
{
    (void)state;
    struct outcome_task task = {.path = "n[1]", .agent = "scout", .attempt = 3};
    char own[] = "MODE=fast", reference[] = "KEY=env:AF_TEST_KEY", language[] = "LANG=de_DE.UTF-8";
    char *definition[] = {own, reference, language, NULL};
    char **env = NULL;
    struct err err = {0};
    unsetenv("AF_TEST_KEY");
    assert_int_equal(outcome_env(&task, "/agents", definition, &env, &err), ERR_INVALID);
    assert_non_null(strstr(err.what, "AF_TEST_KEY"));
    assert_null(env);
    setenv("AF_TEST_KEY", "k", 1);
    assert_int_equal(outcome_env(&task, "/agents", definition, &env, &err), 0);
    assert_true(contains(env, "AF_TASK=n[1]"));
    assert_true(contains(env, "AF_ATTEMPT=3"));
    assert_true(contains(env, "AF_AGENT=scout"));
    assert_true(contains(env, "AF_AGENTS_DIR=/agents"));
    assert_true(contains(env, "MODE=fast"));
    assert_true(contains(env, "KEY=k"));
    assert_true(contains(env, "LANG=de_DE.UTF-8"));
    assert_false(contains(env, "LANG=C.UTF-8"));
    outcome_free_strings(&env);
    assert_null(env);
    unsetenv("AF_TEST_KEY");
}

static void test_arguments(void **state)
{
    (void)state;
    char zero[] = "python3", one[] = "./scout.py", two[] = "--json", three[] = "x./y";
    char *argv[] = {zero, one, two, three, NULL};
    char **all = outcome_argv(argv, "/agents");
    assert_string_equal(all[0], "python3");
    assert_string_equal(all[1], "/agents/scout.py");
    assert_string_equal(all[2], "--json");
    assert_string_equal(all[3], "x./y");
    assert_null(all[4]);
    outcome_free_strings(&all);
}

/* --- builtins
 * -------------------------------------------------------------------------------------- */

static struct builtin_answer answer(enum builtin builtin, const char *json, uint32_t attempt)
{
    struct builtin_answer answer_of;
    value_t *message = NULL;
    assert_int_equal(value_from_json(json, strlen(json), &message, NULL), 0);
    builtin_answer(builtin, message, attempt, &answer_of);
    value_destroy(&message);
    return answer_of;
}

static void test_builtins(void **state)
{
    (void)state;
    assert_int_equal(answer(BUILTIN_SLEEP, "2", 1).delay_us, 2000000);
    assert_int_equal(answer(BUILTIN_SLEEP, "0.5", 1).delay_us, 500000);
    assert_int_equal(answer(BUILTIN_SLEEP, "{\"seconds\": 1.5}", 1).delay_us, 1500000);
    assert_int_equal(answer(BUILTIN_SLEEP, "{\"ms\": 20}", 1).delay_us, 20000);
    assert_false(answer(BUILTIN_SLEEP, "0", 1).failed);
    static const char *const wrong[] = {"-1", "1e300", "null", "\"1\"", "{}", "{\"ms\":\"1\"}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_true(answer(BUILTIN_SLEEP, wrong[i], 1).permanent);
    assert_false(answer(BUILTIN_ECHO, "1", 1).failed);
    assert_true(answer(BUILTIN_FAIL, "null", 1).failed);
    assert_string_equal(answer(BUILTIN_FAIL, "\"why\"", 9).error.what, "why");
    static const char *const twice = "{\"message\": \"m\", \"times\": 2}";
    assert_true(answer(BUILTIN_FAIL, twice, 1).failed);
    assert_true(answer(BUILTIN_FAIL, twice, 2).failed);
    assert_false(answer(BUILTIN_FAIL, twice, 3).failed);
    assert_true(answer(BUILTIN_FAIL, "{\"permanent\": true}", 1).permanent);
    enum builtin builtin = BUILTIN_ECHO;
    struct err err = {0};
    assert_int_equal(builtin_from_name("dance", &builtin, &err), ERR_UNSUPPORTED);
}

/* --- large values
 * ---------------------------------------------------------------------------------- */

static void fill(struct buf *buf, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buf_putc(buf, (char)(i * 7 / 3));
}

static struct wire_body chunk_of(const struct transfer *transfer, uint64_t offset)
{
    struct wire_body body = {
        .kind = WIRE_BLOB_CHUNK,
        .blob_chunk = {.offset = offset, .size_bytes = transfer->size_bytes, .error = ""}};
    memcpy(body.blob_chunk.hash, transfer->hash, sizeof transfer->hash);
    return body;
}

static void test_getting_a_value(void **state)
{
    (void)state;
    struct buf whole = {0}, bytes = {0};
    fill(&whole, LIMIT_BLOB_CHUNK_BYTES + 100);
    struct datum datum = {.is_blob = true, .size_bytes = whole.size};
    datum_hash(buf_bytes(&whole), datum.hash);
    struct transfer transfer;
    struct wire_body body;
    struct bytes payload;
    uint64_t correlation = 5;
    assert_int_equal(transfer_get(&transfer, &datum, &bytes, NULL), 0);
    transfer_message(&transfer, &correlation, 1000, &body, &payload);
    assert_int_equal(body.kind, WIRE_BLOB_GET);
    assert_int_equal(transfer.again_us, 1000 + LIMIT_RESEND_FIRST_US);
    transfer_message(&transfer, &correlation, 2000, &body, &payload);
    assert_int_equal(transfer.again_us, 2000 + 2 * LIMIT_RESEND_FIRST_US);
    assert_int_equal(transfer.correlation, 5);
    struct wire_body first = chunk_of(&transfer, 0), last = chunk_of(&transfer, 1 << 20);
    struct bytes head = bytes_of(whole.data, LIMIT_BLOB_CHUNK_BYTES);
    struct bytes tail = bytes_of(whole.data + LIMIT_BLOB_CHUNK_BYTES, 100);
    assert_int_equal(transfer_receive(&transfer, 4, &first, head, NULL), TRANSFER_OTHER);
    assert_int_equal(transfer_receive(&transfer, 5, &last, tail, NULL), TRANSFER_OTHER);
    assert_int_equal(transfer_receive(&transfer, 5, &first, head, NULL), TRANSFER_MORE);
    assert_int_equal(transfer_receive(&transfer, 5, &first, head, NULL), TRANSFER_OTHER);
    transfer_message(&transfer, &correlation, 3000, &body, &payload);
    assert_int_equal(body.blob_get.offset, LIMIT_BLOB_CHUNK_BYTES);
    assert_int_equal(transfer_receive(&transfer, 6, &last, tail, NULL), TRANSFER_DONE);
    assert_true(bytes_equal(buf_bytes(&bytes), buf_bytes(&whole)));
    buf_release(&whole);
    buf_release(&bytes);
}

static void test_a_value_that_is_another(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct datum datum = {.is_blob = true, .size_bytes = 3};
    struct transfer transfer;
    struct wire_body body;
    struct bytes payload;
    struct err err = {0};
    uint64_t correlation = 1;
    assert_int_equal(transfer_get(&transfer, &datum, &bytes, NULL), 0);
    transfer_message(&transfer, &correlation, 0, &body, &payload);
    struct wire_body chunk = chunk_of(&transfer, 0);
    assert_int_equal(transfer_receive(&transfer, 1, &chunk, bytes_of("abcd", 4), &err),
                     TRANSFER_FAILED);
    assert_int_equal(transfer_receive(&transfer, 1, &chunk, bytes_of("abc", 3), &err),
                     TRANSFER_FAILED);
    assert_int_equal(err.code, ERR_CORRUPT);
    datum.size_bytes = LIMIT_VALUE_BYTES + 1ull;
    assert_int_equal(transfer_get(&transfer, &datum, &bytes, &err), ERR_TOO_LARGE);
    buf_release(&bytes);
}

static void test_storing_a_value(void **state)
{
    (void)state;
    struct buf whole = {0};
    fill(&whole, LIMIT_BLOB_CHUNK_BYTES + 100);
    struct transfer transfer;
    struct wire_body body;
    struct bytes payload;
    uint64_t correlation = 1;
    transfer_put(&transfer, &whole);
    transfer_message(&transfer, &correlation, 0, &body, &payload);
    assert_int_equal(payload.size, LIMIT_BLOB_CHUNK_BYTES);
    struct wire_body stored = {.kind = WIRE_BLOB_STORED,
                               .blob_stored = {.offset = 0, .error = "full", .what = ""}};
    memcpy(stored.blob_stored.hash, transfer.hash, sizeof transfer.hash);
    /* No room: the same chunk again, later. */
    assert_int_equal(transfer_receive(&transfer, 1, &stored, bytes_of(NULL, 0), NULL),
                     TRANSFER_OTHER);
    stored.blob_stored.error = "";
    stored.blob_stored.offset = LIMIT_BLOB_CHUNK_BYTES;
    assert_int_equal(transfer_receive(&transfer, 1, &stored, bytes_of(NULL, 0), NULL),
                     TRANSFER_MORE);
    transfer_message(&transfer, &correlation, 0, &body, &payload);
    assert_int_equal(payload.size, 100);
    /* A coordinator that restarted has nothing of it. */
    stored.blob_stored.offset = 0;
    assert_int_equal(transfer_receive(&transfer, 2, &stored, bytes_of(NULL, 0), NULL),
                     TRANSFER_MORE);
    transfer_message(&transfer, &correlation, 0, &body, &payload);
    assert_int_equal(body.blob_put.offset, 0);
    stored.blob_stored.complete = true;
    assert_int_equal(transfer_receive(&transfer, 3, &stored, bytes_of(NULL, 0), NULL),
                     TRANSFER_DONE);
    struct datum datum = transfer_datum(&transfer);
    assert_int_equal(datum.size_bytes, whole.size);
    buf_release(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_is_json_or_text),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_json_past_a_limit_is_not_text),
        cmocka_unit_test(test_detail_is_whole_lines_of_valid_text),
        cmocka_unit_test(test_where_a_program_is),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_builtins),
        cmocka_unit_test(test_getting_a_value),
        cmocka_unit_test(test_a_value_that_is_another),
        cmocka_unit_test(test_storing_a_value),
    };
    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
