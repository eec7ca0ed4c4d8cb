/* Approvals, signals and pauses as clients see them, over a real socket. No agent is needed. */
#include "coordinator/scenes.h"

#include "base/limits.h"

#include <zmq.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char definitions[] =
    "{\"files\":[{\"name\":\"all.yaml\",\"text\":\""
    "workflow: each\\nnodes:\\n  ask: {approve: 'Take {{item}}?', for: input, show: index}\\n"
    "output: ask\\n---\\n"
    "workflow: one\\nnodes:\\n  ask: {approve: 'ok?', set: {ok: '{{ask.approved}}'}}\\n"
    "  go: {wait: {signal: go}, after: [ask]}\\noutput: go\\n\"}]}";

static void begin(struct harness *harness)
{
    harness_start(harness, NULL);
    value_t *applied = harness_call(harness, "definitions.apply", definitions);
    assert_int_equal(value_size(value_get(applied, "applied")), 2);
    value_destroy(&applied);
}

static void done(value_t *answer)
{
    value_destroy(&answer);
}

/* The id of a new execution; the caller's to free. */
static char *start_of(struct harness *harness, const char *workflow, const char *input)
{
    char params[4096];
    (void)snprintf(params, sizeof params, "{\"workflow\":\"%s\",\"input\":%s}", workflow, input);
    value_t *started = harness_call(harness, "executions.start", params);
    assert_string_equal(value_get_string(started, "status", ""), "waiting");
    char *id = xstrdup(value_get_string(started, "id", ""));
    value_destroy(&started);
    return id;
}

static value_t *decide(struct harness *harness, const char *id, const char *more)
{
    char params[512];
    (void)snprintf(params, sizeof params, "{\"id\":\"%s\",%s}", id, more);
    return harness_call(harness, "approvals.decide", params);
}

static void refuse(struct harness *harness, const char *method, const char *id, const char *more,
                   const char *error)
{
    char params[6144];
    (void)snprintf(params, sizeof params, "{\"id\":\"%s\"%s}", id, more);
    harness_refused(harness, method, params, error);
}

/* Counts all that is listed, by pages of so many, and checks their order. */
static size_t count_listed(struct harness *harness, int limit)
{
    char last[128] = "";
    size_t count = 0;
    for (;;) {
        char params[256];
        (void)snprintf(params, sizeof params, "{\"limit\":%d,\"after\":\"%s\"}", limit, last);
        value_t *page = harness_call(harness, "approvals.list", params);
        const value_t *items = value_get(page, "items");
        const char *next = value_get_string(page, "next", NULL);
        assert_true(value_size(items) <= (size_t)limit);
        count += value_size(items);
        if (next) {
            const value_t *item = value_at(items, value_size(items) - 1);
            assert_string_equal(value_get_string(item, "id", ""), next);
            (void)snprintf(last, sizeof last, "%s", next);
        }
        value_destroy(&page);
        if (!next)
            return count;
    }
}

static void test_pages(void **state)
{
    struct harness *harness = *state;
    begin(harness);
    assert_int_equal(count_listed(harness, 3), 0);
    char *first = start_of(harness, "each", "[1,2,3,4,5,6,7]");
    char *second = start_of(harness, "one", "null");
    char *third = start_of(harness, "each", "[1,2]");
    for (int limit = 1; limit < 12; limit++)
        assert_int_equal(count_listed(harness, limit), 10);
    char id[128];
    (void)snprintf(id, sizeof id, "%s/ask[3]", first);
    value_t *decided = decide(harness, id, "\"approved\":false");
    assert_string_equal(value_get_string(decided, "approval", ""), id);
    assert_string_equal(value_get_string(decided, "task", ""), "ask[3]");
    value_destroy(&decided);
    assert_int_equal(count_listed(harness, 4), 9);
    /* From one that has been decided since, too. */
    char params[256];
    (void)snprintf(params, sizeof params, "{\"after\":\"%s\",\"execution\":\"%s\"}", id, first);
    value_t *page = harness_call(harness, "approvals.list", params);
    const value_t *items = value_get(page, "items");
    assert_int_equal(value_size(items), 3);
    assert_string_equal(value_get_string(value_at(items, 0), "task", ""), "ask[4]");
    assert_string_equal(value_get_string(value_at(items, 0), "text", ""), "Take 5?");
    assert_int_equal(value_get_int(value_at(items, 0), "show", -1), 4);
    value_destroy(&page);
    harness_kill(harness);
    harness_start(harness, NULL);
    assert_int_equal(count_listed(harness, 4), 9);
    free(first);
    free(second);
    free(third);
}

static void test_decisions(void **state)
{
    struct harness *harness = *state;
    begin(harness);
    char *execution = start_of(harness, "one", "null");
    char id[128], more[128], hash[80];
    (void)snprintf(id, sizeof id, "%s/ask", execution);
    value_t *page = harness_call(harness, "approvals.list", "{}");
    const value_t *item = value_at(value_get(page, "items"), 0);
    (void)snprintf(hash, sizeof hash, "%s", value_get_string(item, "hash", ""));
    value_destroy(&page);
    refuse(harness, "approvals.decide", "ask", ",\"approved\":true", "invalid");
    refuse(harness, "approvals.decide", id, "", "invalid");
    refuse(harness, "approvals.decide", id, ",\"approved\":1", "invalid");
    refuse(harness, "approvals.decide", id, ",\"approved\":true,\"hash\":\"00\"", "invalid");
    char note[LIMIT_NOTE_BYTES + 64] = ",\"approved\":true,\"note\":\"";
    size_t at = strlen(note);
    memset(note + at, 'x', LIMIT_NOTE_BYTES + 1);
    memcpy(note + at + LIMIT_NOTE_BYTES + 1, "\"", 2);
    refuse(harness, "approvals.decide", id, note, "too_large");
    hash[0] = hash[0] == '0' ? '1' : '0';
    (void)snprintf(more, sizeof more, ",\"approved\":true,\"hash\":\"%s\"", hash);
    refuse(harness, "approvals.decide", id, more, "conflict");
    char other[128];
    (void)snprintf(other, sizeof other, "%s/go", execution);
    refuse(harness, "approvals.decide", other, ",\"approved\":true", "not_found");
    done(decide(harness, id, "\"approved\":true,\"note\":\"a\""));
    value_t *again = decide(harness, id, "\"approved\":true,\"note\":\"b\"");
    assert_string_equal(value_get_string(again, "note", ""), "a");
    value_destroy(&again);
    refuse(harness, "approvals.decide", id, ",\"approved\":false", "conflict");
    refuse(harness, "executions.signal", execution, ",\"name\":\"stop\"", "not_found");
    refuse(harness, "executions.signal", execution, "", "invalid");
    char params[160];
    (void)snprintf(params, sizeof params, "{\"id\":\"%s\",\"name\":\"go\",\"payload\":\"went\"}",
                   execution);
    done(harness_call(harness, "executions.signal", params));
    assert_ends_with(harness, execution, "went");
    refuse(harness, "executions.signal", execution, ",\"name\":\"go\"", "conflict");
    refuse(harness, "approvals.decide", id, ",\"approved\":true", "conflict");
    refuse(harness, "executions.pause", execution, "", "conflict");
    free(execution);
}

static void assert_status(struct harness *harness, const char *method, const char *id,
                          const char *status)
{
    value_t *answer = call_for(harness, method, id);
    assert_string_equal(value_get_string(answer, "status", ""), status);
    value_destroy(&answer);
}

static void test_pauses(void **state)
{
    struct harness *harness = *state;
    begin(harness);
    char *execution = start_of(harness, "one", "null");
    assert_status(harness, "executions.pause", execution, "paused");
    assert_status(harness, "executions.pause", execution, "paused");
    harness_kill(harness);
    harness_start(harness, NULL);
    assert_status(harness, "executions.get", execution, "paused");
    char id[128];
    (void)snprintf(id, sizeof id, "%s/ask", execution);
    done(decide(harness, id, "\"approved\":true"));
    value_t *found = call_for(harness, "executions.get", execution);
    const value_t *tasks = value_get(found, "tasks");
    assert_string_equal(value_get_string(value_at(tasks, 0), "status", ""), "succeeded");
    assert_string_equal(value_get_string(value_at(tasks, 1), "status", ""), "pending");
    value_destroy(&found);
    assert_status(harness, "executions.resume", execution, "waiting");
    assert_status(harness, "executions.resume", execution, "waiting");
    /* After a restart it waits until no instance can hold anything of it any more. */
    assert_status(harness, "executions.cancel", execution, "cancelling");
    free(execution);
}

/* --- published events ------------------------------------------------------------------------- */

/* The type of the next event that is published of this execution, within so many moments; "" for
 * none. */
static void next_type(struct harness *harness, void *socket, const char *id, int moments,
                      char type[64])
{
    zmq_msg_t message;
    *type = '\0';
    zmq_msg_init(&message);
    while (!*type && moments > 0) {
        if (zmq_msg_recv(&message, socket, ZMQ_DONTWAIT) < 0) { /* the topic */
            harness_pump(harness);
            moments--;
            continue;
        }
        assert_true(zmq_msg_more(&message));
        assert_true(zmq_msg_recv(&message, socket, 0) > 0);
        value_t *event = NULL;
        struct bytes bytes = bytes_of(zmq_msg_data(&message), zmq_msg_size(&message));
        assert_int_equal(value_from_msgpack(bytes, &event, NULL), 0);
        if (strcmp(value_get_string(event, "execution", ""), id) == 0)
            (void)snprintf(type, 64, "%s", value_get_string(event, "type", ""));
        value_destroy(&event);
    }
    zmq_msg_close(&message);
}

static void assert_published(struct harness *harness, void *socket, const char *id,
                             const char *const *types)
{
    char type[64];
    for (; *types; types++) {
        next_type(harness, socket, id, 1000, type);
        assert_string_equal(type, *types);
    }
}
#define PUBLISHED(...)                                                                             \
    assert_published(harness, socket, execution, (const char *const[]){__VA_ARGS__, NULL})

/* Plays the broker's side of events: the coordinator connects to it when it can. */
static void *follow_all(struct harness *harness)
{
    char type[64] = "";
    void *socket = zmq_socket(harness->context, ZMQ_XSUB);
    assert_non_null(socket);
    assert_int_equal(zmq_bind(socket, harness->paths.publish_endpoint), 0);
    assert_int_equal(zmq_send(socket,
                              "\x01"
                              "execution.",
                              11, 0),
                     11);
    for (int i = 0; i < 1000 && !*type; i++) {
        char *execution = start_of(harness, "one", "null");
        next_type(harness, socket, execution, 10, type);
        free(execution);
    }
    assert_string_not_equal(type, "");
    return socket;
}

static void test_events(void **state)
{
    struct harness *harness = *state;
    begin(harness);
    void *socket = follow_all(harness);
    char *execution = start_of(harness, "one", "null");
    PUBLISHED("execution.started", "approval.requested", "execution.waiting");
    assert_status(harness, "executions.pause", execution, "paused");
    PUBLISHED("execution.paused");
    assert_status(harness, "executions.resume", execution, "waiting");
    PUBLISHED("execution.resumed", "execution.waiting");
    char id[128];
    (void)snprintf(id, sizeof id, "%s/ask", execution);
    done(decide(harness, id, "\"approved\":true"));
    PUBLISHED("approval.resolved", "task.succeeded", "context.changed", "task.waiting");
    free(execution);
    zmq_close(socket);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pages),
        TEST(test_decisions),
        TEST(test_pauses),
        TEST(test_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
