#include "egress/calls.h"

#include "base/limits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { REPLIES_MAX = 64 };

static const struct uuid EXECUTION = {{1, 2, 3}};

struct reply {
    char to[64], error[32], payload[64];
    uint64_t correlation;
    struct wire_usage usage;
    bool permanent;
};

struct fixture {
    calls_t *calls;
    struct reply replies[REPLIES_MAX];
    size_t count, seen;
    int64_t now_us;
};

static void note(void *context, const char *to, uint64_t correlation,
                 const struct wire_call_answer *answer, struct bytes payload)
{
    struct fixture *self = context;
    assert_true(self->count < REPLIES_MAX);
    struct reply *reply = &self->replies[self->count++];
    assert_true(payload.size < sizeof reply->payload);
    assert_true(uuid_equal(answer->key.execution, EXECUTION));
    *reply = (struct reply){
        .correlation = correlation, .usage = answer->usage, .permanent = answer->permanent};
    (void)snprintf(reply->to, sizeof reply->to, "%s", to);
    (void)snprintf(reply->error, sizeof reply->error, "%s", answer->error);
    if (payload.size)
        memcpy(reply->payload, payload.data, payload.size);
}

static void set_up(struct fixture *self, const struct calls_limits *limits)
{
    *self = (struct fixture){.now_us = 1000};
    self->calls = calls_new(limits, note, self);
}

/* Nothing is left that was not expected. */
static void tear_down(struct fixture *self)
{
    assert_int_equal(self->seen, self->count);
    calls_destroy(&self->calls);
    assert_null(self->calls);
}

static struct wire_call_key key_of(const char *path)
{
    return (struct wire_call_key){EXECUTION, path, 1, 1};
}

static int try_grant(struct fixture *self, const char *path, uint64_t run)
{
    const struct wire_grant grant = {.key = key_of(path),
                                     .run = {1, run},
                                     .agent = "writer",
                                     .agent_version = (uint32_t)run,
                                     .tokens = 100 + run,
                                     .cost_microusd = 7};
    return calls_grant(self->calls, &grant, NULL);
}

static void grant(struct fixture *self, const char *path, uint64_t run)
{
    assert_int_equal(try_grant(self, path, run), 0);
}

static uint64_t forget(struct fixture *self, const char *path)
{
    const struct wire_forget item = {.key = key_of(path)};
    return calls_forget(self->calls, &item.key);
}

/* Asks with this request; bare: without its payload. */
static enum calls_verdict ask_as(struct fixture *self, const char *path, uint64_t run,
                                 const char *request, bool bare, const char *asker,
                                 uint64_t correlation)
{
    struct bytes payload = bytes_of_string(request);
    struct wire_call call = {.key = key_of(path), .run = {1, run}};
    datum_hash(payload, call.request_hash);
    return calls_ask(self->calls, &call, bare ? NULL : &payload,
                     (struct calls_asker){asker, correlation}, self->now_us);
}

static enum calls_verdict ask(struct fixture *self, const char *path, uint64_t run,
                              const char *request)
{
    return ask_as(self, path, run, request, false, "instance:a", 1);
}

static enum calls_verdict ask_bare(struct fixture *self, const char *path, uint64_t run,
                                   const char *request)
{
    return ask_as(self, path, run, request, true, "instance:a", 1);
}

static void expect(struct fixture *self, const char *to, uint64_t correlation, const char *error,
                   const char *payload)
{
    assert_true(self->seen < self->count);
    const struct reply *reply = &self->replies[self->seen++];
    assert_string_equal(reply->to, to);
    assert_int_equal(reply->correlation, correlation);
    assert_string_equal(reply->error, error);
    assert_string_equal(reply->payload, payload);
}

static uint64_t start(struct fixture *self)
{
    struct call_view call;
    assert_true(calls_startable(self->calls, true, 0, &call));
    calls_start(self->calls, call.id, (struct usage_prices){0});
    return call.id;
}

static void answer(struct fixture *self, uint64_t id, const char *payload)
{
    const struct wire_call_answer end = {.usage = {3, 4, 5}};
    calls_answer(self->calls, id, &end, bytes_of_string(payload));
}

static size_t held(struct fixture *self)
{
    struct arena arena = {0};
    const struct wire_call_key *keys;
    size_t count = 0;
    calls_held(self->calls, &arena, &keys, &count);
    arena_release(&arena);
    return count;
}

static void test_grant_then_call(void **state)
{
    (void)state;
    struct fixture self;
    struct call_view call;
    set_up(&self, &CALLS_LIMITS);
    grant(&self, "a", 5);
    assert_int_equal(held(&self), 1);
    assert_false(calls_startable(self.calls, true, 0, &call));
    assert_int_equal(ask(&self, "a", 5, "question"), CALLS_START);
    assert_false(calls_startable(self.calls, false, 0, &call)); /* no lease, no call */
    assert_true(calls_startable(self.calls, true, 0, &call));
    assert_string_equal(call.agent, "writer");
    assert_int_equal(call.agent_version, 5);
    assert_int_equal(call.tokens, 105);
    assert_int_equal(call.cost_microusd, 7);
    assert_true(bytes_equal(call.request, bytes_of_string("question")));
    assert_false(calls_startable(self.calls, true, call.id, &call));
    assert_int_equal(calls_request_bytes(self.calls), 8);
    uint64_t id = start(&self);
    assert_false(calls_startable(self.calls, true, 0, &call));
    answer(&self, id, "turn");
    expect(&self, "instance:a", 1, "", "turn");
    assert_int_equal(self.replies[0].usage.output_tokens, 4);
    assert_int_equal(calls_request_bytes(self.calls), 0);
    assert_int_equal(calls_answer_bytes(self.calls), 4);
    answer(&self, id, "another"); /* a second end of one call is none */
    tear_down(&self);
}

static void test_call_then_grant(void **state)
{
    (void)state;
    struct fixture self;
    set_up(&self, &CALLS_LIMITS);
    assert_int_equal(ask(&self, "a", 5, "question"), CALLS_WAITS);
    assert_int_equal(held(&self), 0);
    assert_int_equal(ask_bare(&self, "a", 5, "question"), CALLS_ATTACHED);
    assert_int_equal(calls_deadline(self.calls), self.now_us + LIMIT_EGRESS_WAIT_US);
    grant(&self, "a", 5);
    assert_int_equal(calls_deadline(self.calls), INT64_MAX);
    answer(&self, start(&self), "turn");
    expect(&self, "instance:a", 1, "", "turn"); /* once: it replaced itself */
    tear_down(&self);
}

/* The coordinator may have ended what it had granted before. */
static void test_after_a_new_link_only_new_grants_count(void **state)
{
    (void)state;
    struct fixture self;
    struct call_view call;
    set_up(&self, &CALLS_LIMITS);
    grant(&self, "a", 5);
    grant(&self, "b", 5);
    assert_int_equal(ask(&self, "a", 5, "question"), CALLS_START);
    calls_linked(self.calls);
    assert_false(calls_startable(self.calls, true, 0, &call));
    assert_int_equal(ask(&self, "b", 5, "question"), CALLS_START);
    assert_false(calls_startable(self.calls, true, 0, &call));
    assert_int_equal(held(&self), 2);
    grant(&self, "b", 5);
    assert_true(calls_startable(self.calls, true, 0, &call));
    assert_string_equal(call.key.path, "b");
    assert_false(calls_startable(self.calls, true, call.id, &call));
    tear_down(&self);
}

static void test_no_grant_in_time(void **state)
{
    (void)state;
    struct fixture self;
    set_up(&self, &CALLS_LIMITS);
    (void)ask(&self, "a", 5, "question");
    self.now_us += 1;
    (void)ask(&self, "b", 5, "question");
    calls_tick(self.calls, calls_deadline(self.calls) - 1);
    assert_int_equal(self.count, 0);
    calls_tick(self.calls, calls_deadline(self.calls));
    expect(&self, "instance:a", 1, "no_grant", "");
    assert_false(self.replies[0].permanent);
    assert_int_equal(calls_count(self.calls, CALL_WAITING), 1);
    /* It is not held: the next one starts afresh. */
    assert_int_equal(ask_bare(&self, "a", 5, "question"), CALLS_REFUSED);
    expect(&self, "instance:a", 1, "unknown", "");
    assert_int_equal(ask(&self, "a", 5, "question"), CALLS_WAITS);
    tear_down(&self);
}

static void test_an_older_grant_outlives_a_request_of_a_later_run(void **state)
{
    (void)state;
    struct fixture self;
    set_up(&self, &CALLS_LIMITS);
    grant(&self, "a", 5);
    assert_int_equal(ask(&self, "a", 6, "question"), CALLS_WAITS);
    calls_tick(self.calls, calls_deadline(self.calls));
    expect(&self, "instance:a", 1, "no_grant", "");
    assert_int_equal(calls_count(self.calls, CALL_GRANTED), 1);
    assert_int_equal(ask(&self, "a", 5, "question"), CALLS_START);
    tear_down(&self);
}

static void test_attach_to_a_call_in_flight(void **state)
{
    (void)state;
    struct fixture self;
    struct call_view call;
    set_up(&self, &CALLS_LIMITS);
    grant(&self, "a", 5);
    (void)ask(&self, "a", 5, "question");
    assert_int_equal(ask_as(&self, "a", 5, "question", true, "instance:b", 2), CALLS_ATTACHED);
    uint64_t id = start(&self);
    assert_int_equal(ask_as(&self, "a", 5, "question", false, "instance:a", 3), CALLS_ATTACHED);
    /* One of a later run, ahead of its grant, needs no second call. */
    assert_int_equal(ask_as(&self, "a", 6, "question", true, "instance:c", 4), CALLS_ATTACHED);
    assert_false(calls_startable(self.calls, true, 0, &call));
    answer(&self, id, "turn");
    expect(&self, "instance:a", 3, "", "turn");
    expect(&self, "instance:b", 2, "", "turn");
    expect(&self, "instance:c", 4, "", "turn");
    tear_down(&self);
}

static void test_an_answer_is_held_until_it_is_forgotten(void **state)
{
    (void)state;
    struct fixture self;
    set_up(&self, &CALLS_LIMITS);
    grant(&self, "a", 5);
    (void)ask(&self, "a", 5, "question");
    const struct wire_call_answer failure = {.error = "overloaded", .what = "later"};
    calls_answer(self.calls, start(&self), &failure, bytes_of(NULL, 0));
    expect(&self, "instance:a", 1, "overloaded", "");
    grant(&self, "a", 6);
    assert_int_equal(ask_as(&self, "a", 6, "question", true, "instance:b", 9), CALLS_ANSWERED);
    expect(&self, "instance:b", 9, "overloaded", "");
    assert_int_equal(ask_as(&self, "a", 5, "question", true, "instance:a", 9), CALLS_REFUSED);
    expect(&self, "instance:a", 9, "void", "");
    assert_int_equal(held(&self), 1);
    assert_int_equal(calls_answer_bytes(self.calls), strlen("overloaded") + strlen("later"));
    assert_int_equal(forget(&self, "a"), 0);
    assert_int_equal(held(&self), 0);
    assert_int_equal(calls_answer_bytes(self.calls), 0);
    assert_int_equal(ask_bare(&self, "a", 6, "question"), CALLS_REFUSED);
    expect(&self, "instance:a", 1, "unknown", "");
    assert_int_equal(forget(&self, "a"), 0);
    tear_down(&self);
}

static void test_forget_aborts_a_call_in_flight(void **state)
{
    (void)state;
    struct fixture self;
    set_up(&self, &CALLS_LIMITS);
    grant(&self, "a", 5);
    (void)ask(&self, "a", 5, "question");
    uint64_t id = start(&self);
    assert_int_equal(forget(&self, "a"), id);
    answer(&self, id, "too late");
    assert_int_equal(self.count, 0);
    assert_int_equal(calls_request_bytes(self.calls), 0);
    /* One that has not started ends as quietly. */
    grant(&self, "a", 6);
    (void)ask(&self, "a", 6, "question");
    assert_int_equal(forget(&self, "a"), 0);
    assert_int_equal(held(&self), 0);
    tear_down(&self);
}

/* The new run's request has overtaken the old grant's end and its own grant. */
static void test_forget_leaves_a_request_that_waits_for_a_later_grant(void **state)
{
    (void)state;
    struct fixture self;
    set_up(&self, &CALLS_LIMITS);
    grant(&self, "a", 5);
    assert_int_equal(ask(&self, "a", 6, "question"), CALLS_WAITS);
    assert_int_equal(held(&self), 1);
    (void)forget(&self, "a");
    assert_int_equal(held(&self), 0);
    grant(&self, "a", 6);
    answer(&self, start(&self), "turn");
    expect(&self, "instance:a", 1, "", "turn");
    tear_down(&self);
}

static void test_runs(void **state)
{
    (void)state;
    struct fixture self;
    set_up(&self, &CALLS_LIMITS);
    grant(&self, "a", 5);
    assert_int_equal(ask(&self, "a", 4, "question"), CALLS_REFUSED);
    expect(&self, "instance:a", 1, "void", "");
    /* What waits under an older run than the grant that comes is void; under a later one it waits.
     */
    (void)ask_as(&self, "b", 5, "question", false, "instance:b", 2);
    grant(&self, "b", 6);
    expect(&self, "instance:b", 2, "void", "");
    assert_int_equal(calls_count(self.calls, CALL_GRANTED), 2);
    (void)ask_as(&self, "c", 7, "question", false, "instance:c", 3);
    grant(&self, "c", 6);
    assert_int_equal(calls_count(self.calls, CALL_WAITING), 1);
    grant(&self, "c", 7);
    assert_int_equal(calls_count(self.calls, CALL_READY), 1);
    grant(&self, "c", 6); /* an old grant comes late: it changes nothing */
    struct call_view call;
    assert_true(calls_startable(self.calls, true, 0, &call));
    assert_int_equal(call.run.counter, 7);
    assert_int_equal(call.agent_version, 7);
    /* A grant of a call that has started brings its run alone. */
    calls_start(self.calls, call.id, (struct usage_prices){1, 2});
    grant(&self, "c", 8);
    assert_true(calls_find(self.calls, call.id, &call));
    assert_int_equal(call.run.counter, 8);
    assert_int_equal(call.agent_version, 7);
    assert_int_equal(call.prices.output, 2);
    tear_down(&self);
}

static void test_a_later_request_takes_the_place_of_one_that_waits(void **state)
{
    (void)state;
    struct fixture self;
    set_up(&self, &CALLS_LIMITS);
    (void)ask_as(&self, "a", 5, "old", false, "instance:a", 1);
    (void)ask_as(&self, "a", 5, "old", true, "instance:b", 2);
    assert_int_equal(ask_as(&self, "a", 6, "newer", true, "instance:a", 3), CALLS_REFUSED);
    expect(&self, "instance:a", 3, "unknown", "");
    assert_int_equal(ask_as(&self, "a", 6, "newer", false, "instance:a", 4), CALLS_WAITS);
    expect(&self, "instance:b", 2, "void", ""); /* but not the one that asks now */
    assert_int_equal(calls_request_bytes(self.calls), 5);
    assert_int_equal(ask_as(&self, "a", 5, "old", false, "instance:b", 5), CALLS_REFUSED);
    expect(&self, "instance:b", 5, "void", "");
    /* The same request under a later run: it waits anew. */
    self.now_us += 100;
    assert_int_equal(ask_as(&self, "a", 7, "newer", true, "instance:c", 6), CALLS_ATTACHED);
    expect(&self, "instance:a", 4, "void", "");
    assert_int_equal(calls_deadline(self.calls), self.now_us + LIMIT_EGRESS_WAIT_US);
    grant(&self, "a", 7);
    answer(&self, start(&self), "turn");
    expect(&self, "instance:c", 6, "", "turn");
    tear_down(&self);
}

static void test_conflicts(void **state)
{
    (void)state;
    struct fixture self;
    set_up(&self, &CALLS_LIMITS);
    (void)ask(&self, "a", 5, "question");
    assert_int_equal(ask(&self, "a", 5, "another"), CALLS_REFUSED);
    expect(&self, "instance:a", 1, "conflict", "");
    grant(&self, "a", 5);
    assert_int_equal(ask(&self, "a", 5, "another"), CALLS_REFUSED);
    expect(&self, "instance:a", 1, "conflict", "");
    uint64_t id = start(&self);
    assert_int_equal(ask(&self, "a", 6, "another"), CALLS_REFUSED);
    expect(&self, "instance:a", 1, "conflict", "");
    answer(&self, id, "turn");
    expect(&self, "instance:a", 1, "", "turn");
    assert_int_equal(ask_bare(&self, "a", 5, "another"), CALLS_REFUSED);
    expect(&self, "instance:a", 1, "conflict", "");
    assert_true(self.replies[self.count - 1].permanent);
    tear_down(&self);
}

static void test_a_hash_that_is_not_of_the_request(void **state)
{
    (void)state;
    struct fixture self;
    struct bytes payload = bytes_of_string("question");
    struct wire_call call = {.key = key_of("a"), .run = {1, 5}};
    set_up(&self, &CALLS_LIMITS);
    assert_int_equal(
        calls_ask(self.calls, &call, &payload, (struct calls_asker){"instance:a", 1}, 1),
        CALLS_REFUSED);
    expect(&self, "instance:a", 1, "malformed", "");
    tear_down(&self);
}

static void test_a_request_too_large(void **state)
{
    (void)state;
    struct fixture self;
    char *request = xcalloc(1, LIMIT_CONVERSATION_BYTES + 2);
    memset(request, 'x', LIMIT_CONVERSATION_BYTES + 1);
    set_up(&self, &CALLS_LIMITS);
    assert_int_equal(ask(&self, "a", 5, request), CALLS_REFUSED);
    expect(&self, "instance:a", 1, "too_large", "");
    assert_int_equal(ask(&self, "a", 5, request + 1), CALLS_WAITS);
    free(request);
    tear_down(&self);
}

static void test_unknown_needs_the_request(void **state)
{
    (void)state;
    struct fixture self;
    set_up(&self, &CALLS_LIMITS);
    assert_int_equal(ask_bare(&self, "a", 5, "question"), CALLS_REFUSED);
    expect(&self, "instance:a", 1, "unknown", "");
    grant(&self, "a", 5);
    assert_int_equal(ask_bare(&self, "a", 5, "question"), CALLS_REFUSED);
    expect(&self, "instance:a", 1, "unknown", "");
    assert_int_equal(ask(&self, "a", 5, "question"), CALLS_START);
    tear_down(&self);
}

static void test_keys_are_told_apart(void **state)
{
    (void)state;
    struct fixture self;
    struct wire_grant item = {
        .key = key_of("a"), .run = {1, 1}, .agent = "writer", .agent_version = 1};
    set_up(&self, &CALLS_LIMITS);
    for (uint32_t attempt = 1; attempt <= 3; attempt++) {
        for (uint32_t turn = 1; turn <= 3; turn++) {
            item.key.attempt = attempt;
            item.key.turn = turn;
            assert_int_equal(calls_grant(self.calls, &item, NULL), 0);
        }
    }
    assert_int_equal(held(&self), 9);
    struct arena arena = {0};
    const struct wire_call_key *keys;
    size_t count;
    calls_held(self.calls, &arena, &keys, &count);
    assert_int_equal(keys[5].attempt, 2);
    assert_int_equal(keys[5].turn, 3);
    assert_string_equal(keys[5].path, "a");
    (void)calls_forget(self.calls, &keys[5]);
    arena_release(&arena);
    assert_int_equal(held(&self), 8);
    tear_down(&self);
}

/* --- caps ----------------------------------------------------------------------------------------
 */

static void test_grants_are_bounded(void **state)
{
    (void)state;
    for (size_t most = 0; most < 4; most++) {
        struct fixture self;
        struct calls_limits limits = CALLS_LIMITS;
        limits.keys = most;
        set_up(&self, &limits);
        for (size_t i = 0; i < 4; i++) {
            char path[8];
            (void)snprintf(path, sizeof path, "a/%zu", i + 1);
            assert_int_equal(try_grant(&self, path, 5), i < most ? 0 : ERR_LIMIT);
        }
        assert_int_equal(held(&self), most);
        if (most) {
            assert_int_equal(try_grant(&self, "a/1", 6), 0); /* no new one */
            (void)forget(&self, "a/1");
            assert_int_equal(try_grant(&self, "b", 5), 0);
        }
        tear_down(&self);
    }
}

static void test_answers_are_bounded_by_refusing_new_calls(void **state)
{
    (void)state;
    for (size_t most = 1; most < 4; most++) {
        struct fixture self;
        struct calls_limits limits = CALLS_LIMITS;
        limits.keys = most;
        set_up(&self, &limits);
        for (size_t i = 0; i < most; i++) {
            char path[32];
            (void)snprintf(path, sizeof path, "a/%zu", i + 1);
            grant(&self, path, 5);
            assert_int_equal(ask(&self, path, 5, "question"), CALLS_START);
            if (i % 2) /* calls under way count like the answers that they will give */
                continue;
            answer(&self, start(&self), "turn");
            expect(&self, "instance:a", 1, "", "turn");
        }
        assert_int_equal(ask(&self, "b", 5, "question"), CALLS_REFUSED);
        expect(&self, "instance:a", 1, "busy", "");
        assert_false(self.replies[self.count - 1].permanent);
        assert_int_equal(ask_bare(&self, "a/1", 5, "question"), CALLS_ANSWERED);
        expect(&self, "instance:a", 1, "", "turn");
        (void)forget(&self, "a/1");
        assert_int_equal(ask(&self, "b", 5, "question"), CALLS_WAITS);
        tear_down(&self);
    }
}

static void test_bytes_of_answers_are_bounded(void **state)
{
    (void)state;
    struct fixture self;
    struct calls_limits limits = CALLS_LIMITS;
    limits.answer_bytes = 8;
    set_up(&self, &limits);
    grant(&self, "a", 5);
    grant(&self, "b", 5);
    (void)ask(&self, "a", 5, "question");
    answer(&self, start(&self), "1234567");
    expect(&self, "instance:a", 1, "", "1234567");
    assert_int_equal(ask(&self, "b", 5, "question"), CALLS_START);
    answer(&self, start(&self), "8"); /* under way already: it is held all the same */
    expect(&self, "instance:a", 1, "", "8");
    assert_int_equal(ask(&self, "c", 5, "question"), CALLS_REFUSED);
    expect(&self, "instance:a", 1, "busy", "");
    (void)forget(&self, "b");
    assert_int_equal(ask(&self, "c", 5, "question"), CALLS_WAITS);
    tear_down(&self);
}

static void test_waiting_requests_are_bounded(void **state)
{
    (void)state;
    struct fixture self;
    struct calls_limits limits = CALLS_LIMITS;
    limits.waiting = 2;
    limits.waiting_bytes = 10;
    limits.request_bytes = 16;
    set_up(&self, &limits);
    assert_int_equal(ask(&self, "a", 5, "12345678901"), CALLS_REFUSED); /* too large alone */
    expect(&self, "instance:a", 1, "busy", "");
    assert_int_equal(ask(&self, "a", 5, "123456"), CALLS_WAITS);
    assert_int_equal(ask(&self, "b", 5, "12345"), CALLS_REFUSED); /* together */
    expect(&self, "instance:a", 1, "busy", "");
    assert_int_equal(ask(&self, "b", 5, "1234"), CALLS_WAITS);
    assert_int_equal(ask(&self, "c", 5, ""), CALLS_REFUSED); /* in number */
    expect(&self, "instance:a", 1, "busy", "");
    /* In the place of what waits there is its own room. */
    assert_int_equal(ask(&self, "a", 6, "654321"), CALLS_WAITS);
    assert_int_equal(calls_request_bytes(self.calls), 10);
    /* What is granted waits for nothing, and yet its bytes count. */
    grant(&self, "d", 5);
    assert_int_equal(ask(&self, "d", 5, "1234567"), CALLS_REFUSED);
    expect(&self, "instance:a", 1, "busy", "");
    assert_int_equal(ask(&self, "d", 5, "abcdef"), CALLS_START);
    grant(&self, "b", 5); /* it waits no longer, so another one may */
    assert_int_equal(calls_count(self.calls, CALL_WAITING), 1);
    answer(&self, start(&self), "turn");
    expect(&self, "instance:a", 1, "", "turn");
    assert_int_equal(ask(&self, "c", 5, "1234"), CALLS_WAITS);
    tear_down(&self);
}

static void test_askers_are_bounded(void **state)
{
    (void)state;
    struct fixture self;
    struct calls_limits limits = CALLS_LIMITS;
    limits.askers = 2;
    set_up(&self, &limits);
    grant(&self, "a", 5);
    (void)ask_as(&self, "a", 5, "question", false, "instance:a", 1);
    (void)ask_as(&self, "a", 5, "question", true, "instance:b", 2);
    (void)ask_as(&self, "a", 5, "question", true, "instance:c", 3);
    answer(&self, start(&self), "turn");
    expect(&self, "instance:b", 2, "", "turn");
    expect(&self, "instance:c", 3, "", "turn");
    tear_down(&self);
}

static void test_calls_start_in_the_order_of_their_asking(void **state)
{
    (void)state;
    struct fixture self;
    struct call_view call;
    const char *const paths[] = {"c", "a", "b", "d"};
    set_up(&self, &CALLS_LIMITS);
    (void)ask(&self, "d", 5, "question"); /* asked for first, granted last */
    for (size_t i = 0; i < 3; i++) {
        grant(&self, paths[i], 5);
        (void)ask(&self, paths[i], 5, "question");
    }
    grant(&self, "d", 5);
    uint64_t last = 0;
    for (size_t i = 0; i < 4; i++) {
        assert_true(calls_startable(self.calls, true, last, &call));
        assert_string_equal(call.key.path, paths[i]);
        if (i % 2) /* whether it starts or is passed over */
            calls_start(self.calls, call.id, (struct usage_prices){0});
        last = call.id;
    }
    assert_false(calls_startable(self.calls, true, last, &call));
    assert_true(calls_startable(self.calls, true, 0, &call));
    assert_string_equal(call.key.path, "c");
    tear_down(&self);
}

/* --- usage ---------------------------------------------------------------------------------------
 */

static void expect_usage(struct wire_usage usage, uint64_t input, uint64_t output, uint64_t cost)
{
    assert_int_equal(usage.input_tokens, input);
    assert_int_equal(usage.output_tokens, output);
    assert_int_equal(usage.cost_microusd, cost);
}

static void test_usage(void **state)
{
    (void)state;
    const struct usage_prices free_of_charge = {0}, prices = {250000, 2000000};
    expect_usage(usage_settle(100, 20, free_of_charge, 0, 0), 100, 20, 0);
    expect_usage(usage_settle(100, 20, prices, 1000, 0), 100, 20, 65);
    expect_usage(usage_settle(1, 0, prices, 0, 0), 1, 0, 1); /* rounded up, once */
    expect_usage(usage_settle(2, 1, (struct usage_prices){250000, 500000}, 0, 0), 2, 1, 1);
    expect_usage(usage_settle(100, 20, prices, 110, 0), 100, 10, 45); /* the output first */
    expect_usage(usage_settle(100, 20, prices, 90, 0), 90, 0, 23);
    expect_usage(usage_settle(100, 20, prices, 0, 7), 100, 20, 7);
    expect_usage(
        usage_settle(UINT64_MAX, UINT64_MAX, (struct usage_prices){UINT64_MAX, UINT64_MAX}, 0, 0),
        LIMIT_USAGE, 0, LIMIT_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grant_then_call),
        cmocka_unit_test(test_call_then_grant),
        cmocka_unit_test(test_after_a_new_link_only_new_grants_count),
        cmocka_unit_test(test_no_grant_in_time),
        cmocka_unit_test(test_an_older_grant_outlives_a_request_of_a_later_run),
        cmocka_unit_test(test_attach_to_a_call_in_flight),
        cmocka_unit_test(test_an_answer_is_held_until_it_is_forgotten),
        cmocka_unit_test(test_forget_aborts_a_call_in_flight),
        cmocka_unit_test(test_forget_leaves_a_request_that_waits_for_a_later_grant),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_a_later_request_takes_the_place_of_one_that_waits),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_a_hash_that_is_not_of_the_request),
        cmocka_unit_test(test_a_request_too_large),
        cmocka_unit_test(test_unknown_needs_the_request),
        cmocka_unit_test(test_keys_are_told_apart),
        cmocka_unit_test(test_grants_are_bounded),
        cmocka_unit_test(test_answers_are_bounded_by_refusing_new_calls),
        cmocka_unit_test(test_bytes_of_answers_are_bounded),
        cmocka_unit_test(test_waiting_requests_are_bounded),
        cmocka_unit_test(test_askers_are_bounded),
        cmocka_unit_test(test_calls_start_in_the_order_of_their_asking),
        cmocka_unit_test(test_usage),
    };
    return cmocka_run_group_tests_name("calls", tests, NULL, NULL);
}
