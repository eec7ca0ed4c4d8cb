#include "definitions/versions.h"

#include "base/limits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void give(struct versions *versions, uint64_t correlation, uint32_t number,
                 const char *definition_json, struct version **ret_version)
{
    value_t *definition = NULL, *document = value_map();
    assert_int_equal(value_from_json(definition_json, strlen(definition_json), &definition, NULL),
                     0);
    value_set_int(document, "version", number);
    value_set(document, "definition", &definition);
    struct buf payload = {0};
    value_to_msgpack(document, &payload);
    struct err err = {0};
    *ret_version = versions_receive(versions, correlation, NULL, buf_bytes(&payload), 0, &err);
    buf_release(&payload);
    value_destroy(&document);
}

static void ask(struct versions *versions, uint64_t correlation, int64_t now_us)
{
    struct buf params = {0};
    struct version *due = versions_due(versions, now_us);
    assert_non_null(due);
    versions_request(due, &correlation, now_us, &params);
    assert_true(params.size > 0);
    buf_release(&params);
}

static void test_versions(void **state)
{
    (void)state;
    const char *echo = "{\"agent\":\"a\",\"builtin\":\"echo\"}";
    struct versions versions = {.agent = "a"};
    struct version *newest = versions_use(&versions, 0, 0), *got = NULL;
    ask(&versions, 1, 0);
    assert_null(versions_due(&versions, LIMIT_RESEND_FIRST_US - 1));
    ask(&versions, 2, LIMIT_RESEND_FIRST_US);
    assert_int_equal(versions_deadline(&versions), 3 * LIMIT_RESEND_FIRST_US);
    give(&versions, 2, 3, echo, &got);
    assert_null(got);
    give(&versions, 1, 3, "{\"agent\":\"a\"}", &got);
    assert_null(got); /* not valid: it is asked again, under the same number */
    give(&versions, 1, 3, echo, &got);
    assert_ptr_equal(got, newest);
    assert_ptr_equal(versions_ready(&versions, 3), newest);
    assert_int_equal(versions_deadline(&versions), INT64_MAX);
    struct version *missing = versions_use(&versions, 9, 0);
    ask(&versions, 4, 0);
    struct err err = {0}, refusal = {0};
    (void)err_set(&refusal, ERR_NOT_FOUND, "no version 9");
    got = versions_receive(&versions, 4, &refusal, bytes_of(NULL, 0), 0, &err);
    assert_ptr_equal(got, missing);
    assert_int_equal(missing->state, VERSION_REFUSED);
    assert_string_equal(missing->refusal.what, "no version 9");
    versions_unuse(&versions, missing);
    /* Of versions that nobody uses, a few are kept. */
    for (uint32_t i = 20; i < 40; i++) {
        struct version *version = versions_use(&versions, i, 0);
        ask(&versions, i, 0);
        give(&versions, i, i, echo, &got);
        assert_ptr_equal(got, version);
        versions_unuse(&versions, version);
    }
    size_t count = 0;
    for (struct version *version = versions.first; version; version = version->next)
        count++;
    assert_int_equal(count, LIMIT_AGENTD_VERSIONS + 1);
    assert_non_null(versions_ready(&versions, 3));
    assert_non_null(versions_ready(&versions, 39));
    versions_release(&versions);
}

static void test_versions_of_several_agents(void **state)
{
    (void)state;
    struct versions versions = {.kept_max = 1};
    struct version *one = versions_use_of(&versions, "one", 1, 0), *got = NULL;
    struct version *two = versions_use_of(&versions, "two", 1, 0);
    assert_ptr_not_equal(one, two);
    assert_ptr_equal(versions_find(&versions, "one", 1), one);
    assert_null(versions_find(&versions, "one", 2));
    ask(&versions, 1, 0); /* the newer one first */
    ask(&versions, 2, 0);
    give(&versions, 2, 1, "{\"agent\":\"one\",\"builtin\":\"echo\"}", &got);
    assert_ptr_equal(got, one);
    give(&versions, 1, 1, "{\"agent\":\"two\",\"builtin\":\"echo\"}", &got);
    assert_ptr_equal(got, two);
    versions_unuse(&versions, one);
    versions_unuse(&versions, two);
    assert_null(versions_find(&versions, "one", 1));
    assert_ptr_equal(versions_find(&versions, "two", 1), two);
    versions_release(&versions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_versions_of_several_agents),
    };
    return cmocka_run_group_tests_name("versions", tests, NULL, NULL);
}
