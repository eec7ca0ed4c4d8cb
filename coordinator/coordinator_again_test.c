/* Retries and forks as clients see them, of executions that the coordinator has forgotten. */
#include "coordinator/scenes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One that was cancelled while it waited for an instance, and that nobody has looked at since the
 * coordinator was started again. Its id is the caller's to free. */
static char *cancelled_and_forgotten(struct harness *harness)
{
    start_with_definitions(harness);
    char *id = start_chain(harness, "\"y\"");
    value_destroy(&(value_t *){call_for(harness, "executions.cancel", id)});
    value_t *ended = call_for(harness, "executions.wait", id);
    assert_string_equal(value_get_string(ended, "status", ""), "cancelled");
    value_destroy(&ended);
    harness_kill(harness);
    harness_start(harness, NULL);
    return id;
}

static uint64_t send_for(struct harness *harness, const char *method, const char *id,
                         const char *key)
{
    char params[128];
    snprintf(params, sizeof params, "{\"id\":\"%s\"}", id);
    return harness_send(harness, method, params, key);
}

static void assert_answers(struct harness *harness, uint64_t correlation, const char *status,
                           const char *error)
{
    char failed[32];
    value_t *answer = harness_answer(harness, correlation, failed);
    assert_string_equal(failed, error);
    if (*error == '\0')
        assert_string_equal(value_get_string(answer, "status", ""), status);
    value_destroy(&answer);
}

/* All wait for the same fold, which the first retry takes. */
static void test_retries_at_once_of_what_was_forgotten(void **state)
{
    struct harness *harness = *state;
    char *id = cancelled_and_forgotten(harness);
    uint64_t get = send_for(harness, "executions.get", id, "");
    uint64_t first = send_for(harness, "executions.retry", id, "k");
    uint64_t second = send_for(harness, "executions.retry", id, "");
    uint64_t same = send_for(harness, "executions.retry", id, "k");
    uint64_t after = send_for(harness, "executions.get", id, "");
    assert_answers(harness, get, "cancelled", "");
    assert_answers(harness, first, "running", "");
    assert_answers(harness, second, "", "conflict");
    assert_answers(harness, same, "running", "");
    assert_answers(harness, after, "running", "");
    harness_instance(harness, INSTANCE_1, "echo")->answers = true;
    assert_ends_with(harness, id, "y");
    value_t *document = call_for(harness, "executions.get", id);
    assert_int_equal(value_get_int(document, "reopened", 0), 1);
    value_destroy(&document);
    free(id);
}

/* The fold of its first end is not what the second one shows. */
static void test_a_retry_is_retried(void **state)
{
    struct harness *harness = *state;
    char *id = cancelled_and_forgotten(harness);
    for (int i = 1; i <= 3; i++) {
        assert_answers(harness, send_for(harness, "executions.retry", id, ""), "running", "");
        value_destroy(&(value_t *){call_for(harness, "executions.cancel", id)});
        value_t *ended = call_for(harness, "executions.wait", id);
        assert_string_equal(value_get_string(ended, "status", ""), "cancelled");
        assert_int_equal(value_get_int(ended, "reopened", 0), i);
        value_destroy(&ended);
    }
    value_t *list = harness_call(harness, "executions.list", "{\"status\":\"cancelled\"}");
    assert_int_equal(value_size(value_get(list, "items")), 1);
    value_destroy(&list);
    list = harness_call(harness, "executions.list", "{\"status\":\"running\"}");
    assert_int_equal(value_size(value_get(list, "items")), 0);
    value_destroy(&list);
    free(id);
}

/* A fork that is refused leaves nothing; one that is made survives a crash whole. */
static void test_a_fork_of_what_was_forgotten(void **state)
{
    struct harness *harness = *state;
    char params[160];
    char *id = cancelled_and_forgotten(harness);
    snprintf(params, sizeof params, "{\"id\":\"%s\",\"node\":\"b\"}", id);
    harness_refused(harness, "executions.fork", params, "conflict");
    snprintf(params, sizeof params, "{\"id\":\"%s\",\"node\":\"a\",\"input\":\"z\"}", id);
    value_t *forked = harness_call(harness, "executions.fork", params);
    char *fork = xstrdup(value_get_string(forked, "id", ""));
    value_destroy(&forked);
    harness_kill(harness);
    harness_start(harness, NULL);
    harness_instance(harness, INSTANCE_1, "echo")->answers = true;
    assert_ends_with(harness, fork, "z");
    value_t *list = harness_call(harness, "executions.list", "{}");
    assert_int_equal(value_size(value_get(list, "items")), 2);
    value_destroy(&list);
    free(fork);
    free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_retries_at_once_of_what_was_forgotten),
        TEST(test_a_retry_is_retried),
        TEST(test_a_fork_of_what_was_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
