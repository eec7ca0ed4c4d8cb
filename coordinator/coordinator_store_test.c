/* The coordinator as a process: what its store holds, what is too large for a message, and what
 * happens when the store fails. */
#include "coordinator/scenes.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/reference.h"
#include "coordinator/record.h"
#include "coordinator/tables.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- faults of the store -----------------------------------------------------------------------
 */

static store_t *open_store_of(struct harness *harness)
{
    struct store_options options = {.path = harness->paths.store, .tables = tables_all};
    store_t *store = NULL;
    struct err err;
    assert_int_equal(store_open(&options, &store, &err), 0);
    return store;
}

static void spoil_journal(struct harness *harness, const char *id)
{
    uint8_t key[KEY_JOURNAL_BYTES];
    struct uuid execution;
    store_t *store = open_store_of(harness);
    store_batch_t *batch = store_batch_new();
    struct err err;

    assert_int_equal(typeid_parse_as(id, "exec", &execution, &err), 0);
    store_batch_put(batch, TABLE_JOURNAL, key_journal(execution, 1, key),
                    bytes_of_string("not an event"));
    assert_int_equal(store_apply(store, batch, &err), 0);
    store_batch_destroy(&batch);
    store_close(&store);
}

static void test_bad_journal_is_set_aside(void **state)
{
    struct harness *harness = *state;
    char params[128];
    start_with_definitions(harness);
    char *bad = start_chain(harness, "\"bad\""), *good = start_chain(harness, "\"good\"");
    harness_stop(harness);
    spoil_journal(harness, bad);
    harness_start(harness, NULL);

    harness_instance(harness, INSTANCE_1, "echo")->answers = true;
    assert_ends_with(harness, good, "good");
    snprintf(params, sizeof params, "{\"id\":\"%s\"}", bad);
    harness_refused(harness, "executions.get", params, "corrupt");
    harness_refused(harness, "executions.cancel", params, "corrupt");
    value_t *running = harness_call(harness, "executions.list", "{\"status\":\"running\"}");
    assert_non_null(value_get(value_at(value_get(running, "items"), 0), "set_aside"));
    value_destroy(&running);
    free(bad);
    free(good);
}

/* A commit that fails for good: nothing of it is released, and the process ends. */
static void test_failed_commit_ends_it(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    harness_stop(harness);
    harness_start(harness, &(struct harness_fault){.n = 1, .code = ERR_IO});
    uint64_t start = harness_send(harness, "executions.start", "{\"workflow\":\"chain\"}", NULL);
    assert_int_equal(harness_wait_exit(harness), 1);
    assert_false(harness_answered_within(harness, start, 0));

    harness_start(harness, NULL);
    value_t *status = harness_call(harness, "status", "{}");
    assert_int_equal(value_get_int(value_get(status, "executions"), "active", -1), 0);
    value_destroy(&status);
}

/* No room: what was taken in waits, new work is refused with the reason, looking is possible. */
static void test_full_store(void **state)
{
    struct harness *harness = *state;
    start_with_definitions(harness);
    harness_stop(harness);
    harness_start(harness, &(struct harness_fault){.n = 1, .code = ERR_FULL});
    uint64_t held = harness_send(harness, "executions.start", "{\"workflow\":\"chain\"}", NULL);
    value_t *status;
    for (bool full = false; !full; value_destroy(&status)) {
        status = harness_call(harness, "status", "{}");
        full = value_get_bool(status, "full", false);
    }
    assert_false(harness_answered_within(harness, held, 0));
    harness_refused(harness, "executions.start", "{\"workflow\":\"chain\"}", "full");
    assert_true(harness->message.body.reply.retry_after_ms > 0);
    value_t *list = harness_call(harness, "executions.list", "{}");
    assert_int_equal(value_size(value_get(list, "items")), 0);
    value_destroy(&list);
    assert_false(harness_answered_within(harness, held, 300000));
}

/* An execution that ended so long ago, as the tables have it. */
static void write_ended(store_batch_t *batch, struct uuid id, int64_t ended_us)
{
    uint8_t journal[KEY_JOURNAL_BYTES], status[KEY_STATUS_BYTES];
    struct buf record = {0}, name = {0};
    struct summary summary = {.workflow = "chain",
                              .workflow_version = 1,
                              .status = EXECUTION_SUCCEEDED,
                              .started_us = ended_us,
                              .ended_us = ended_us};
    summary_encode(&summary, &record);
    store_batch_put(batch, TABLE_EXECUTIONS, key_uuid(&id), buf_bytes(&record));
    store_batch_put(batch, TABLE_BY_STATUS, key_status(EXECUTION_SUCCEEDED, id, status),
                    (struct bytes){0});
    store_batch_put(batch, TABLE_BY_NAME, key_name('w', "chain", &id, &name), (struct bytes){0});
    store_batch_put(batch, TABLE_JOURNAL, key_journal(id, 1, journal), bytes_of_string("event"));
    buf_release(&record);
    buf_release(&name);
}

static bool in_store(struct harness *harness, const char *table, struct bytes key)
{
    store_t *store = open_store_of(harness);
    store_snapshot_t *snapshot = NULL;
    struct bytes value;
    struct err err;
    assert_int_equal(store_snapshot(store, &snapshot, &err), 0);
    int rc = store_get(snapshot, table, key, &value, &err);
    store_snapshot_close(&snapshot);
    store_close(&store);
    return rc == 0;
}

static bool one_execution_is_left(struct harness *harness)
{
    value_t *list = harness_call(harness, "executions.list", "{\"status\":\"succeeded\"}");
    bool one = value_size(value_get(list, "items")) == 1;
    value_destroy(&list);
    return one;
}

static void test_old_executions_are_removed(void **state)
{
    struct harness *harness = *state;
    struct uuid unreadable = {{0, 1}}, old = {{1}}, recent = {{2}};
    uint8_t key[KEY_JOURNAL_BYTES];
    int64_t now_us = clock_utc_us();
    struct err err;
    store_t *store = open_store_of(harness);
    store_batch_t *batch = store_batch_new();
    write_ended(batch, old, now_us - LIMIT_RETENTION_US - LIMIT_SECOND_US);
    write_ended(batch, recent, now_us - LIMIT_RETENTION_US / 2);
    store_batch_put(batch, TABLE_EXECUTIONS, key_uuid(&unreadable), bytes_of_string("junk"));
    assert_int_equal(store_apply(store, batch, &err), 0);
    store_batch_destroy(&batch);
    store_close(&store);

    harness_start(harness, NULL);
    assert_true(harness_until(harness, one_execution_is_left));
    harness_stop(harness);
    assert_false(in_store(harness, TABLE_EXECUTIONS, key_uuid(&old)));
    assert_false(in_store(harness, TABLE_JOURNAL, key_journal(old, 1, key)));
    assert_true(in_store(harness, TABLE_EXECUTIONS, key_uuid(&recent)));
    assert_true(in_store(harness, TABLE_JOURNAL, key_journal(recent, 1, key)));
}

/* What the present batch may be removing can't go on. The sweep stops at what started within the
 * retention, so that this one stays for the test. */
static void test_what_is_to_be_removed_is_not_retried(void **state)
{
    struct harness *harness = *state;
    struct uuid id = {{3}};
    char text[TYPEID_TEXT_SIZE], params[128];
    struct buf record = {0};
    int64_t now_us = clock_utc_us();
    struct summary summary = {.workflow = "chain",
                              .workflow_version = 1,
                              .status = EXECUTION_FAILED,
                              .started_us = now_us,
                              .ended_us = now_us - LIMIT_RETENTION_US - LIMIT_SECOND_US};
    struct err err;
    store_t *store = open_store_of(harness);
    store_batch_t *batch = store_batch_new();
    summary_encode(&summary, &record);
    store_batch_put(batch, TABLE_EXECUTIONS, key_uuid(&id), buf_bytes(&record));
    assert_int_equal(store_apply(store, batch, &err), 0);
    store_batch_destroy(&batch);
    store_close(&store);
    buf_release(&record);

    harness_start(harness, NULL);
    snprintf(params, sizeof params, "{\"id\":\"%s\"}", typeid_text("exec", id, text));
    harness_refused(harness, "executions.retry", params, "conflict");
}

/* --- blobs -------------------------------------------------------------------------------------
 */

/* A text value of this many bytes in all. */
static struct buf make_text(size_t size)
{
    struct buf out = {0};
    value_t *value = NULL;
    char *text = malloc(size);
    memset(text, 'b', size - 5);
    value = value_string_n(text, size - 5);
    value_to_msgpack(value, &out);
    assert_int_equal(out.size, size);
    value_destroy(&value);
    free(text);
    return out;
}

static const struct wire_blob_stored *put_chunk(struct harness *harness, const uint8_t hash[32],
                                                struct bytes whole, size_t offset)
{
    struct wire_body body = {.kind = WIRE_BLOB_PUT,
                             .blob_put = {.size_bytes = whole.size, .offset = offset}};
    size_t left = whole.size - offset;
    memcpy(body.blob_put.hash, hash, 32);
    harness_blob(harness, &body,
                 bytes_of(whole.data + offset,
                          left < LIMIT_BLOB_CHUNK_BYTES ? left : LIMIT_BLOB_CHUNK_BYTES));
    assert_int_equal(harness->message.body.kind, WIRE_BLOB_STORED);
    return &harness->message.body.blob_stored;
}

static void get_chunk(struct harness *harness, const uint8_t hash[32], size_t offset)
{
    struct wire_body body = {.kind = WIRE_BLOB_GET, .blob_get = {.offset = offset}};
    memcpy(body.blob_get.hash, hash, 32);
    harness_blob(harness, &body, (struct bytes){0});
    assert_int_equal(harness->message.body.kind, WIRE_BLOB_CHUNK);
}

static void test_blobs(void **state)
{
    struct harness *harness = *state;
    struct buf text = make_text(LIMIT_BLOB_CHUNK_BYTES + 1000);
    uint8_t hash[32];
    start_with_definitions(harness);
    datum_hash(buf_bytes(&text), hash);

    get_chunk(harness, hash, 0);
    assert_string_equal(harness->message.body.blob_chunk.error, "not_found");
    assert_int_equal(put_chunk(harness, hash, buf_bytes(&text), 1000)->offset, 0);
    assert_string_equal(harness->message.body.blob_stored.error, "");
    assert_false(put_chunk(harness, hash, buf_bytes(&text), 0)->complete);
    assert_int_equal(put_chunk(harness, hash, buf_bytes(&text), 0)->offset, LIMIT_BLOB_CHUNK_BYTES);
    assert_true(put_chunk(harness, hash, buf_bytes(&text), LIMIT_BLOB_CHUNK_BYTES)->complete);
    assert_true(put_chunk(harness, hash, buf_bytes(&text), 0)->complete);

    get_chunk(harness, hash, LIMIT_BLOB_CHUNK_BYTES);
    assert_int_equal(harness->message.body.blob_chunk.size_bytes, text.size);
    assert_true(
        bytes_equal(harness->message.payload, bytes_of(text.data + LIMIT_BLOB_CHUNK_BYTES, 1000)));
    hash[0] ^= 1;
    put_chunk(harness, hash, buf_bytes(&text), 0);
    assert_string_equal(put_chunk(harness, hash, buf_bytes(&text), LIMIT_BLOB_CHUNK_BYTES)->error,
                        "invalid");
    buf_release(&text);
}

/* A large input rests as a blob, goes to the instance by reference, and comes back so. */
static void test_large_values_go_by_reference(void **state)
{
    enum { SIZE = 200000 };
    struct harness *harness = *state;
    start_with_definitions(harness);
    harness_instance(harness, INSTANCE_1, "echo")->answers = true;
    char *params = malloc(SIZE + 100);
    int head = snprintf(params, 100, "{\"workflow\":\"chain\",\"input\":\"");
    memset(params + head, 'z', SIZE);
    snprintf(params + head + SIZE, 10, "\"}");
    value_t *started = harness_call(harness, "executions.start", params);
    value_t *ended = call_for(harness, "executions.wait", value_get_string(started, "id", ""));
    const value_t *output = value_get(ended, "output");
    assert_string_equal(value_get_string(ended, "status", ""), "succeeded");
    assert_int_equal(value_get_int(output, "size", 0), SIZE + 5);
    assert_int_equal(strlen(value_get_string(output, "$blob", "")), 64);
    value_destroy(&ended);
    value_destroy(&started);
    free(params);
}

/* Puts {"workflow": "chain", "input": text of this size} as a blob: a reference to it as JSON. */
static void put_parameters(struct harness *harness, size_t size, struct buf *ret_reference)
{
    value_t *params = value_map();
    struct buf bytes = {0}, text = {0};
    struct datum blob = {.is_blob = true};
    buf_reserve(&text, size + 1);
    memset(text.data, 'p', size);
    value_t *input = value_string_n((const char *)text.data, size);
    value_set_string(params, "workflow", "chain");
    value_set(params, "input", &input);
    value_to_msgpack(params, &bytes);
    blob.size_bytes = bytes.size;
    datum_hash(buf_bytes(&bytes), blob.hash);
    for (size_t offset = 0; offset < bytes.size; offset += LIMIT_BLOB_CHUNK_BYTES)
        assert_string_equal(put_chunk(harness, blob.hash, buf_bytes(&bytes), offset)->error, "");
    value_t *reference = reference_to_blob(&blob);
    value_to_json(reference, VALUE_JSON_COMPACT, ret_reference);
    value_destroy(&reference);
    value_destroy(&params);
    buf_release(&text);
    buf_release(&bytes);
}

/* Parameters that one message can't hold were put as a blob, and a reference stands for them; under
 * the same key they start one execution. */
static void test_large_parameters(void **state)
{
    enum { SIZE = LIMIT_MESSAGE_BYTES + 1000 };
    struct harness *harness = *state;
    struct buf reference = {0};
    char error[32];
    start_with_definitions(harness);
    harness_instance(harness, INSTANCE_1, "echo")->answers = true;
    put_parameters(harness, SIZE, &reference);
    const char *params = buf_string(&reference);
    value_t *started =
        harness_answer(harness, harness_send(harness, "executions.start", params, "k"), error);
    assert_string_equal(error, "");
    value_t *again =
        harness_answer(harness, harness_send(harness, "executions.start", params, "k"), error);
    assert_true(value_equal(started, again));
    value_t *ended = call_for(harness, "executions.wait", value_get_string(started, "id", ""));
    assert_string_equal(value_get_string(ended, "status", ""), "succeeded");
    assert_int_equal(value_get_int(value_get(ended, "output"), "size", 0), SIZE + 5);
    harness_refused(harness, "executions.get", params, "invalid"); /* it has no such parameters */
    value_destroy(&ended);
    value_destroy(&again);
    value_destroy(&started);
    buf_release(&reference);
}

/* A reference to what is not stored, or has another size, or holds no parameters. */
static void test_parameters_that_are_not_there(void **state)
{
    enum { SIZE = 70000 };
    struct harness *harness = *state;
    struct datum blob = {.is_blob = true, .size_bytes = SIZE};
    struct buf text = make_text(SIZE), json = {0};
    start_with_definitions(harness);
    for (int i = 0; i < 3; i++) {
        value_t *reference = reference_to_blob(&blob);
        buf_clear(&json);
        value_to_json(reference, VALUE_JSON_COMPACT, &json);
        harness_refused(harness, "executions.start", buf_string(&json), "invalid");
        value_destroy(&reference);
        if (i == 0) {
            datum_hash(buf_bytes(&text), blob.hash);
            assert_true(put_chunk(harness, blob.hash, buf_bytes(&text), 0)->complete);
            blob.size_bytes++;
        } else {
            blob.size_bytes = SIZE; /* a text, not an object */
        }
    }
    buf_release(&json);
    buf_release(&text);
}

/* The first decision of the execution's journal about this; absent when nothing was decided. */
static value_t *decision_of(struct harness *harness, const char *id, const char *what)
{
    value_t *journal = call_for(harness, "executions.journal", id), *found = NULL;
    const value_t *items = value_get(journal, "items");
    for (size_t i = 0; found == NULL && i < value_size(items); i++)
        if (strcmp(value_get_string(value_at(items, i), "kind", ""), "decided") == 0 &&
            strcmp(value_get_string(value_at(items, i), "what", ""), what) == 0)
            found = value_ref(value_at(items, i));
    value_destroy(&journal);
    return found;
}

static char *start_each(struct harness *harness, size_t size)
{
    static const char each[] =
        "{\"files\":[{\"name\":\"each.yaml\",\"text\":\"workflow: each\\n"
        "input: {go: boolean, list: list}\\nnodes:\\n"
        "  m: {agent: echo, if: input.go, for: input.list, say: '{{item}}'}\\noutput: m\\n\"}]}";
    struct buf params = {0};
    value_t *applied = harness_call(harness, "definitions.apply", each);
    buf_puts(&params, "{\"workflow\":\"each\",\"input\":{\"go\":true,\"list\":[\"a\",\"");
    for (size_t i = 0; i < size; i++)
        buf_putc(&params, 'z');
    buf_puts(&params, "\"]}}");
    value_t *started = harness_call(harness, "executions.start", buf_string(&params));
    char *id = xstrdup(value_get_string(started, "id", ""));
    value_destroy(&applied);
    value_destroy(&started);
    buf_release(&params);
    return id;
}

/* Before anything has run, be the list inline or a blob; and it is not asked again. */
static void test_decisions_survive_a_restart(void **state)
{
    enum { SIZE = 100000 };
    struct harness *harness = *state;
    start_with_definitions(harness);
    char *ids[2] = {start_each(harness, 1), start_each(harness, SIZE)};
    harness_kill(harness);
    harness_start(harness, NULL);
    for (size_t i = 0; i < 2; i++) {
        value_t *list = decision_of(harness, ids[i], "for");
        value_t *condition = decision_of(harness, ids[i], "if");
        assert_true(value_get_bool(condition, "holds", false));
        assert_int_equal(value_get_int(list, "sequence", 0), 3);
        assert_int_equal(value_get_int(list, "items_count", 0), 2);
        assert_int_equal(value_get_int(list, "items_size", 0), i == 0 ? 5 : 1 + 2 + 5 + SIZE);
        value_destroy(&list);
        value_destroy(&condition);
    }
    harness_instance(harness, INSTANCE_1, "echo")->answers = true;
    for (size_t i = 0; i < 2; i++) {
        value_t *ended = call_for(harness, "executions.wait", ids[i]);
        assert_string_equal(value_get_string(ended, "status", ""), "succeeded");
        const value_t *output = value_get(ended, "output"), *tasks = value_get(ended, "tasks");
        if (i == 0)
            assert_string_equal(value_as_string(value_at(output, 0)), "a");
        else
            assert_int_equal(value_get_int(output, "size", 0), 1 + 2 + 5 + SIZE);
        assert_int_equal(value_get_int(value_at(tasks, 0), "items", 0), 2);
        assert_int_equal(value_get_int(value_at(tasks, 0), "items_ended", 0), 2);
        assert_string_equal(value_get_string(value_at(tasks, 2), "path", ""), "m[1]");
        assert_string_equal(value_get_string(value_at(tasks, 2), "parent", ""), "m");
        assert_int_equal(value_get_int(value_at(tasks, 2), "item", 0), 1);
        value_destroy(&ended);
        free(ids[i]);
    }
}

/* An answer that one message can't hold is a blob: whoever asked gets a reference to it. */
static void test_too_large_an_answer(void **state)
{
    enum { NODES = 50, SAY_BYTES = 50000 };
    struct harness *harness = *state;
    struct buf text = {0};
    start_with_definitions(harness);
    buf_puts(&text, "{\"files\":[{\"name\":\"big.yaml\",\"text\":\"workflow: big\\nnodes:\\n");
    for (int i = 0; i < NODES; i++) {
        buf_printf(&text, "  n%d: {agent: echo, say: '", i);
        for (int j = 0; j < SAY_BYTES; j++)
            buf_putc(&text, 'y');
        buf_puts(&text, "'}\\n");
    }
    buf_puts(&text, "output: n0\\n\"}]}");
    value_t *applied = harness_call(harness, "definitions.apply", buf_string(&text));
    assert_int_equal(value_size(value_get(applied, "applied")), 1);
    value_t *shown = harness_call(harness, "workflows.get", "{\"name\":\"big\"}");
    struct datum blob;
    assert_true(reference_read(shown, &blob));
    assert_true(blob.size_bytes > LIMIT_MESSAGE_BYTES);
    get_chunk(harness, blob.hash, 0);
    assert_int_equal(harness->message.body.blob_chunk.size_bytes, blob.size_bytes);
    value_destroy(&shown);
    value_destroy(&applied);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bad_journal_is_set_aside),
        TEST(test_failed_commit_ends_it),
        TEST(test_full_store),
        TEST(test_old_executions_are_removed),
        TEST(test_what_is_to_be_removed_is_not_retried),
        TEST(test_blobs),
        TEST(test_large_parameters),
        TEST(test_parameters_that_are_not_there),
        TEST(test_large_values_go_by_reference),
        TEST(test_decisions_survive_a_restart),
        TEST(test_too_large_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
