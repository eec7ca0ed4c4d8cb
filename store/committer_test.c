#include "base/limits.h"
#include "store/testing.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    char *path;
    store_t *store;
};

static int set_up(void **state)
{
    struct fixture *self = xcalloc(1, sizeof *self);
    self->path = test_directory();
    self->store = test_open(self->path);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *self = *state;
    store_close(&self->store);
    test_directory_remove(&self->path);
    free(self);
    return 0;
}

static void reopen(struct fixture *self)
{
    store_close(&self->store);
    self->store = test_open(self->path);
}

static bool readable(store_t *store)
{
    struct pollfd fd = {.fd = store_completion_fd(store), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

/* Submits one batch that is held, and takes its report: from then on what is submitted gathers
 * until the fault is switched off. */
static void hold(store_t *store, uint64_t tag, const char *key, const char *value)
{
    store_fault(store, 1, ERR_FULL, true);
    test_submit_put(store, tag, key, value);
    test_assert_completes(store, tag, ERR_FULL);
}

static void let_go(store_t *store)
{
    store_fault(store, 0, 0, false);
}

static void submit_conditional(store_t *store, uint64_t tag, const char *key, const char *expected,
                               const char *value)
{
    store_batch_t *batch = store_batch_new();
    store_batch_require(batch, "journal", test_text(key), test_text(expected));
    store_batch_put(batch, "journal", test_text(key), test_text(value));
    assert_int_equal(store_submit(store, &batch, tag, NULL), 0);
}

static void completions_come_in_order_with_their_batches(void **state)
{
    struct fixture *self = *state;
    struct store_completion completion;
    assert_false(readable(self->store));
    assert_false(store_complete(self->store, &completion));
    for (uint64_t tag = 0; tag < LIMIT_STORE_IN_FLIGHT; tag++) {
        char key[16];
        snprintf(key, sizeof key, "%u", (unsigned)tag);
        test_submit_put(self->store, tag, key, "v");
    }
    for (uint64_t tag = 0; tag < LIMIT_STORE_IN_FLIGHT; tag++) {
        completion = test_complete(self->store);
        assert_int_equal(completion.tag, tag);
        assert_int_equal(completion.code, 0);
        assert_int_equal(store_batch_operations(completion.batch), 1);
        store_batch_destroy(&completion.batch);
    }
    assert_false(readable(self->store));
    assert_int_equal(test_count(self->store, "journal"), LIMIT_STORE_IN_FLIGHT);
    struct store_info info;
    store_info(self->store, &info);
    assert_int_equal(info.batches, LIMIT_STORE_IN_FLIGHT);
    assert_true(info.commits >= 1 && info.commits <= LIMIT_STORE_IN_FLIGHT);
}

static void descriptor_is_readable_until_the_last_is_taken(void **state)
{
    struct fixture *self = *state;
    hold(self->store, 1, "a", "v");
    assert_false(readable(self->store));
    test_submit_put(self->store, 2, "b", "v");
    let_go(self->store);
    test_assert_completes(self->store, 1, 0);
    assert_true(readable(self->store));
    test_assert_completes(self->store, 2, 0);
    assert_false(readable(self->store));
}

static void what_waits_goes_into_one_transaction(void **state)
{
    struct fixture *self = *state;
    test_put(self->store, "k", "1");
    uint64_t before = store_commits(self->store);
    hold(self->store, 1, "first", "v");
    submit_conditional(self->store, 2, "k", "1", "2");
    submit_conditional(self->store, 3, "k", "1", "never");
    submit_conditional(self->store, 4, "k", "2", "3");
    test_submit_put(self->store, 5, "last", "v");
    let_go(self->store);
    test_assert_completes(self->store, 1, 0);
    test_assert_completes(self->store, 2, 0);
    test_assert_completes(self->store, 3, ERR_CONFLICT);
    test_assert_completes(self->store, 4, 0);
    test_assert_completes(self->store, 5, 0);
    /* Two, when a try had gathered its group before the last were there. */
    assert_in_range(store_commits(self->store) - before, 1, 2);
    test_assert_value(self->store, "k", "3");
    test_assert_value(self->store, "last", "v");
}

static void no_more_than_the_limit_is_in_flight(void **state)
{
    struct fixture *self = *state;
    struct err err;
    hold(self->store, 0, "k", "v");
    for (uint64_t tag = 1; tag < LIMIT_STORE_IN_FLIGHT; tag++)
        test_submit_put(self->store, tag, "k", "v");
    store_batch_t *batch = store_batch_new();
    store_batch_put(batch, "journal", test_text("one more"), test_text("v"));
    assert_int_equal(store_submit(self->store, &batch, 99, &err), ERR_BUSY);
    assert_non_null(batch);
    let_go(self->store);
    test_assert_completes(self->store, 0, 0);
    assert_int_equal(store_submit(self->store, &batch, 99, &err), 0);
    for (uint64_t tag = 1; tag < LIMIT_STORE_IN_FLIGHT; tag++)
        test_assert_completes(self->store, tag, 0);
    test_assert_completes(self->store, 99, 0);
    test_assert_value(self->store, "one more", "v");
}

static void batch_that_is_too_large_is_refused(void **state)
{
    struct fixture *self = *state;
    struct err err;
    size_t size = LIMIT_STORE_BATCH_BYTES / 4;
    uint8_t *data = xcalloc(1, size);
    store_batch_t *batch = store_batch_new();
    for (unsigned i = 0; i < 4; i++)
        store_batch_put(batch, "journal", test_text("k"), bytes_of(data, size));
    assert_int_equal(store_apply(self->store, batch, &err), ERR_TOO_LARGE);
    assert_int_equal(store_submit(self->store, &batch, 1, &err), ERR_TOO_LARGE);
    assert_non_null(batch);
    store_batch_destroy(&batch);
    free(data);
    test_put(self->store, "k", "v");
}

/* More than one group's worth of bytes goes through in several transactions, in order. */
static void large_batches_are_spread_over_transactions(void **state)
{
    struct fixture *self = *state;
    size_t size = LIMIT_STORE_GROUP_BYTES / 2;
    uint8_t *data = xcalloc(1, size);
    hold(self->store, 0, "k", "v");
    uint64_t before = store_commits(self->store);
    for (uint64_t tag = 1; tag <= 4; tag++) {
        store_batch_t *batch = store_batch_new();
        store_batch_put(batch, "journal", test_text("large"), bytes_of(data, size));
        assert_int_equal(store_submit(self->store, &batch, tag, NULL), 0);
    }
    let_go(self->store);
    for (uint64_t tag = 0; tag <= 4; tag++)
        test_assert_completes(self->store, tag, 0);
    assert_in_range(store_commits(self->store) - before, 4, 5);
    free(data);
}

/* --- no room -----------------------------------------------------------------------------------
 */

static void full_is_reported_once_and_tried_again(void **state)
{
    struct fixture *self = *state;
    store_fault(self->store, 3, ERR_FULL, false);
    test_put(self->store, "a", "v");
    test_put(self->store, "b", "v");
    test_submit_put(self->store, 7, "c", "v");
    struct store_completion report = test_complete(self->store);
    assert_int_equal(report.code, ERR_FULL);
    assert_int_equal(report.tag, 7);
    assert_null(report.batch);
    test_assert_completes(self->store, 7, 0);
    test_assert_value(self->store, "c", "v");
    assert_int_equal(store_commits(self->store), 3);

    /* The next shortage is reported anew. */
    hold(self->store, 8, "d", "v");
    let_go(self->store);
    test_assert_completes(self->store, 8, 0);
}

static void apply_answers_full_while_others_are_held(void **state)
{
    struct fixture *self = *state;
    struct err err;
    hold(self->store, 1, "a", "v");
    test_submit_put(self->store, 2, "b", "v");
    assert_int_equal(test_apply_put(self->store, "c", "v", &err), ERR_FULL);
    assert_int_equal(err.code, ERR_FULL);
    test_submit_put(self->store, 3, "d", "v");
    let_go(self->store);
    test_assert_completes(self->store, 1, 0);
    test_assert_completes(self->store, 2, 0);
    test_assert_completes(self->store, 3, 0);
    test_assert_value(self->store, "c", NULL);
    test_put(self->store, "c", "v");
    assert_int_equal(test_count(self->store, "journal"), 4);
}

static void apply_alone_answers_full_and_may_be_repeated(void **state)
{
    struct fixture *self = *state;
    struct store_completion completion;
    for (unsigned n = 1; n <= 5; n++) {
        store_fault(self->store, n, ERR_FULL, false);
        for (unsigned i = 1; i <= 5; i++) {
            char key[16];
            snprintf(key, sizeof key, "%u-%u", n, i);
            int code = test_apply_put(self->store, key, "v", NULL);
            assert_int_equal(code, i == n ? ERR_FULL : 0);
            if (code)
                test_put(self->store, key, "v");
        }
    }
    assert_false(store_complete(self->store, &completion));
    assert_int_equal(test_count(self->store, "journal"), 25);
}

static void close_gives_up_what_finds_no_room(void **state)
{
    struct fixture *self = *state;
    test_put(self->store, "kept", "v");
    hold(self->store, 1, "a", "v");
    test_submit_put(self->store, 2, "b", "v");
    test_submit_put(self->store, 3, "c", "v");
    reopen(self);
    assert_int_equal(test_count(self->store, "journal"), 1);
    test_assert_value(self->store, "kept", "v");
}

static void close_waits_for_what_was_submitted(void **state)
{
    struct fixture *self = *state;
    hold(self->store, 0, "0", "v");
    for (unsigned i = 1; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        test_submit_put(self->store, i, key, "v");
    }
    let_go(self->store);
    reopen(self);
    assert_int_equal(test_count(self->store, "journal"), 20);
}

/* --- errors for good ---------------------------------------------------------------------------
 */

static void commit_error_stops_it_for_good_at_any_place(void **state)
{
    struct fixture *self = *state;
    struct err err;
    unsigned count = 0;
    for (unsigned n = 1; n <= 8; n++) {
        store_fault(self->store, n, ERR_IO, false);
        for (unsigned i = 1; i <= 10; i++) {
            char key[16];
            snprintf(key, sizeof key, "%u-%u", n, i);
            int code = test_apply_put(self->store, key, "v", &err);
            assert_int_equal(code, i < n ? 0 : ERR_IO);
            count += code == 0;
        }
        assert_int_equal(err.code, ERR_IO);
        assert_int_equal(test_count(self->store, "journal"), count);
        reopen(self);
        assert_int_equal(test_count(self->store, "journal"), count);
    }
}

static void commit_error_completes_everything_that_waits(void **state)
{
    struct fixture *self = *state;
    struct err err;
    hold(self->store, 1, "a", "v");
    test_submit_put(self->store, 2, "b", "v");
    test_submit_put(self->store, 3, "c", "v");
    store_fault(self->store, 1, ERR_IO, false);
    test_assert_completes(self->store, 1, ERR_IO);
    test_assert_completes(self->store, 2, ERR_IO);
    test_assert_completes(self->store, 3, ERR_IO);
    store_batch_t *batch = store_batch_new();
    assert_int_equal(store_submit(self->store, &batch, 4, &err), ERR_IO);
    assert_non_null(batch);
    assert_int_equal(store_apply(self->store, batch, &err), ERR_IO);
    store_batch_destroy(&batch);
    assert_int_equal(test_count(self->store, "journal"), 0);
}

/* --- many threads ------------------------------------------------------------------------------
 */

struct adder {
    store_t *store;
    unsigned conflicts;
};

#define ADDERS    4
#define ADDITIONS 25

static int add_one(store_t *store)
{
    char *before = test_get(store, "sum"), after[16];
    snprintf(after, sizeof after, "%u", before ? (unsigned)strtoul(before, NULL, 10) + 1 : 1);
    store_batch_t *batch = store_batch_new();
    store_batch_require(batch, "journal", test_text("sum"),
                        before ? test_text(before) : (struct bytes){0});
    store_batch_put(batch, "journal", test_text("sum"), test_text(after));
    int code = store_apply(store, batch, NULL);
    store_batch_destroy(&batch);
    free(before);
    return code;
}

static void *add_many(void *argument)
{
    struct adder *self = argument;
    for (unsigned done = 0; done < ADDITIONS;) {
        int code = add_one(self->store);
        CHECK(code == 0 || code == ERR_CONFLICT);
        done += code == 0;
        self->conflicts += code != 0;
    }
    return NULL;
}

/* Threads that apply, each fencing the others by a condition, beside one that submits. */
static void threads_apply_and_submit_side_by_side(void **state)
{
    struct fixture *self = *state;
    pthread_t threads[ADDERS];
    struct adder adders[ADDERS] = {0};
    for (size_t i = 0; i < ADDERS; i++) {
        adders[i].store = self->store;
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &adders[i]), 0);
    }
    for (unsigned i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        test_submit_put(self->store, i, key, "v");
        test_assert_completes(self->store, i, 0);
    }
    for (size_t i = 0; i < ADDERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    char expected[16];
    snprintf(expected, sizeof expected, "%d", ADDERS * ADDITIONS);
    test_assert_value(self->store, "sum", expected);
    assert_int_equal(test_count(self->store, "journal"), 101);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(completions_come_in_order_with_their_batches),
        TEST(descriptor_is_readable_until_the_last_is_taken),
        TEST(what_waits_goes_into_one_transaction),
        TEST(no_more_than_the_limit_is_in_flight),
        TEST(batch_that_is_too_large_is_refused),
        TEST(large_batches_are_spread_over_transactions),
        TEST(full_is_reported_once_and_tried_again),
        TEST(apply_answers_full_while_others_are_held),
        TEST(apply_alone_answers_full_and_may_be_repeated),
        TEST(close_gives_up_what_finds_no_room),
        TEST(close_waits_for_what_was_submitted),
        TEST(commit_error_stops_it_for_good_at_any_place),
        TEST(commit_error_completes_everything_that_waits),
        TEST(threads_apply_and_submit_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
