#include "engine/fixture.h"
#include <stdlib.h>

/* What tasks are asked and what executions answer: values passed on, put together, and large. */

static void test_templates_read_all_variables(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("off", NULL, .disabled = true), NODE("a", "{{input.topic}}"),
             NODE("b",
                  "{\"text\":\"{{a.n}} of {{input.topic}}\",\"all\":\"{{a}}\",\"off\":\"{{off}}\","
                  "\"status\":\"{{nodes.off.status}}\",\"error\":\"{{nodes.a.error}}\"}",
                  .join = DAG_JOIN_DONE),
             NODE("c", "{{execution.id}}"));
    up(f, 1, "echo");
    start_with(f, "w", "{\"topic\":\"t\"}");
    const char *id = json_of(f, &dispatch_of(f, "c")->message);
    assert_memory_equal(id, "\"exec_", 6);
    assert_string_equal(json_of(f, &dispatch_of(f, "a")->message), "\"t\"");
    result(f, dispatch_of(f, "a"), "{\"n\":3}");
    assert_string_equal(json_of(f, &dispatch_of(f, "b")->message),
                        "{\"text\":\"3 of t\",\"all\":{\"n\":3},\"off\":null,"
                        "\"status\":\"skipped\",\"error\":null}");
    fixture_free(&f);
}

/* Rule 4. */
static void test_absent_values_are_null(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("a", NULL), NODE("b", "{{a}}"), NODE("c", "<{{a}}>"));
    up(f, 1, "echo");
    start(f, "w");
    assert_string_equal(json_of(f, &dispatch_of(f, "a")->message), "null");
    step(f, dispatch_of(f, "a"), (struct event_step){.kind = STEP_RESULT});
    assert_string_equal(json_of(f, &dispatch_of(f, "b")->message), "null");
    assert_string_equal(json_of(f, &dispatch_of(f, "c")->message), "\"<null>\"");
    fixture_free(&f);
}

/* Bytes that are no MessagePack pass where nobody reads them: proof that they are not decoded. */
static void test_what_passes_whole_is_not_decoded(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("a", NULL), NODE("b", "{{a}}"));
    WORKFLOW(f, "reads", NODE("a", NULL), NODE("b", "{{a.x}}"));
    const struct datum broken = datum_inline(bytes_of("\xc1\xc1", 2));
    up(f, 1, "echo");
    start(f, "w");
    step(f, dispatch_of(f, "a"), (struct event_step){.kind = STEP_RESULT, .output = broken});
    assert_true(datum_equal(&dispatch_of(f, "b")->message, &broken));
    struct uuid id = start(f, "reads");
    step(f, dispatch_of(f, "a"), (struct event_step){.kind = STEP_RESULT, .output = broken});
    assert_string_equal(execution(f, id).failure.code, "expression");
    fixture_free(&f);
}

static char *long_text(size_t size)
{
    char *text = xmalloc(size + 3);
    memset(text, 'x', size + 2);
    text[0] = text[size + 1] = '"';
    text[size + 2] = 0;
    return text;
}

static void test_large_values_become_blobs(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    char *text = long_text(LIMIT_INLINE_BYTES);
    const struct node nodes[] = {NODE("a", "{{input}}!"), NODE("b", "{{a}}"), NODE("c", "{{a}}?")};
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5}, nodes, 3);
    up(f, 1, "echo");
    struct uuid id = start_with(f, "w", text);
    assert_int_equal(count_effects(f, EFFECT_BLOB), 2); /* the input, and what a is asked */
    assert_true(execution(f, id).input.is_blob);
    assert_true(event_of(f, EVENT_STARTED)->started.input.is_blob);
    const struct effect_dispatch *a = dispatch_of(f, "a");
    assert_true(a->message.is_blob);
    assert_int_equal(strlen(json_of(f, &a->message)), LIMIT_INLINE_BYTES + 3);
    result(f, a, text);
    assert_true(event_of(f, EVENT_STEP)->step.output.is_blob);
    assert_true(datum_equal(&dispatch_of(f, "b")->message, &event_of(f, EVENT_STEP)->step.output));
    assert_int_equal(strlen(json_of(f, &dispatch_of(f, "c")->message)), LIMIT_INLINE_BYTES + 3);
    struct effect_dispatch b = *dispatch_of(f, "b"), c = *dispatch_of(f, "c");
    step(f, &b, (struct event_step){.kind = STEP_RESULT, .output = b.message});
    result(f, &c, "1");
    struct execution_view view = execution(f, id);
    assert_true(view.output.is_blob);
    assert_true(event_of(f, EVENT_ENDED)->ended.output.is_blob);
    const char *output = json_of(f, &view.output);
    assert_memory_equal(output, "{\"b\":\"xxx", 9);
    assert_string_equal(output + strlen(output) - 10, "xx\",\"c\":1}");
    free(text);
    fixture_free(&f);
}

static void test_a_blob_that_is_missing_fails_its_reader(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("a", NULL), NODE("b", "{{a}}!"));
    const struct datum lost = {.is_blob = true, .hash = {1}, .size_bytes = 100000};
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    step(f, dispatch_of(f, "a"), (struct event_step){.kind = STEP_RESULT, .output = lost});
    assert_string_equal(execution(f, id).failure.code, "expression");
    assert_non_null(strstr(execution(f, id).failure.message, "blob is missing"));
    fixture_free(&f);
}

/* Rule 12. */
static void test_outputs_of_many_last_nodes(void **state)
{
    (void)state;
    const size_t counts[] = {15, 16, 70000};
    for (size_t i = 0; i < 3; i++) {
        struct fixture *f = fixture_new();
        struct node *nodes = arena_alloc(&f->arena, counts[i] * sizeof *nodes);
        for (size_t n = 0; n < counts[i]; n++)
            nodes[n].spec = (struct dag_node_spec){
                .id = arena_printf(&f->arena, n == 3 ? "a_name_of_more_than_31_bytes_%zu" : "n%zu",
                                   n),
                .disabled = true};
        workflow_full(f, (struct dag_spec){.name = "w", .priority = 5}, nodes, counts[i]);
        struct uuid id = start(f, "w");
        struct datum output = execution(f, id).output;
        struct bytes bytes = output.inline_bytes;
        if (output.is_blob)
            bytes = buf_bytes(map_get(f->blobs, output.hash, sizeof output.hash));
        value_t *value = NULL;
        assert_int_equal(value_from_msgpack(bytes, &value, NULL), 0);
        assert_int_equal(value_size(value), counts[i]);
        assert_string_equal(value_key_at(value, 3, NULL), "a_name_of_more_than_31_bytes_3");
        assert_int_equal(value_type(value_member_at(value, counts[i] - 1)), VALUE_NULL);
        value_destroy(&value);
        fixture_free(&f);
    }
}

/* Outputs as deep as a value may be can't be put into one more object. */
static void test_an_output_that_gets_too_deep(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("a", NULL));
    uint8_t deep[2 * LIMIT_VALUE_DEPTH];
    memset(deep, 0x91, sizeof deep);
    deep[sizeof deep - 1] = 0xc0;
    struct bytes bytes = bytes_of(deep, sizeof deep);
    while (value_check_msgpack(bytes, NULL)) { /* one level less, until it is acceptable */
        bytes.data++;
        bytes.size--;
    }
    assert_true(bytes.size >= LIMIT_VALUE_DEPTH);
    const struct datum output = datum_inline(bytes);
    up(f, 1, "echo");
    struct uuid id = start(f, "w");
    step(f, dispatch_of(f, "a"), (struct event_step){.kind = STEP_RESULT, .output = output});
    assert_string_equal(status_of(f, id), "failed");
    assert_string_equal(execution(f, id).failure.code, "expression");
    fixture_free(&f);
}

/* More values than are kept decoded, read by turns, each time the right one. */
static void test_decoded_values_do_not_get_mixed_up(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    WORKFLOW(f, "w", NODE("a", "{{input.n}}."), NODE("b", "{{input.n}}+{{a}}"));
    f->credit = 1000;
    up(f, 1, "echo");
    struct effect_dispatch waiting[60];
    for (int i = 0; i < 60; i++) {
        start_with(f, "w", arena_printf(&f->arena, "{\"n\":%d}", i));
        waiting[i] = *dispatch_of(f, "a");
    }
    for (int i = 0; i < 60; i++) {
        assert_string_equal(json_of(f, &waiting[i].message), arena_printf(&f->arena, "\"%d.\"", i));
        result(f, &waiting[i], arena_printf(&f->arena, "\"a%d\"", i));
        const struct effect_dispatch *b = dispatch_of(f, "b");
        assert_string_equal(json_of(f, &b->message), arena_printf(&f->arena, "\"%d+a%d\"", i, i));
        result(f, b, "1");
        engine_forget(f->engine, b->execution);
    }
    for (int i = 0; i < 100; i++) { /* where one execution was in memory, the next one will be */
        start_with(f, "w", arena_printf(&f->arena, "{\"n\":%d}", i));
        const struct effect_dispatch *a = dispatch_of(f, "a");
        assert_string_equal(json_of(f, &a->message), arena_printf(&f->arena, "\"%d.\"", i));
        assert_int_equal(cancel(f, a->execution), 0);
        failure(f, a, "cancelled", false);
        engine_forget(f->engine, a->execution);
    }
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_templates_read_all_variables),
        cmocka_unit_test(test_absent_values_are_null),
        cmocka_unit_test(test_what_passes_whole_is_not_decoded),
        cmocka_unit_test(test_large_values_become_blobs),
        cmocka_unit_test(test_a_blob_that_is_missing_fails_its_reader),
        cmocka_unit_test(test_outputs_of_many_last_nodes),
        cmocka_unit_test(test_an_output_that_gets_too_deep),
        cmocka_unit_test(test_decoded_values_do_not_get_mixed_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
