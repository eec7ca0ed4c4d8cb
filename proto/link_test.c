/* The rules of a link, one by one: what an end puts on the wire is caught and handed over, or not,
 * by the test. link_pipe_test.c has chance do it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "proto/link.h"

#define MS    (LIMIT_SECOND_US / 1000)
#define START (1000 * LIMIT_SECOND_US)

#define CAUGHT_MAX 8192

struct caught {
    struct wire_body bodies[CAUGHT_MAX]; /* texts and verdicts are borrowed: look at them at once */
    size_t count;
};

static struct caught from_peer, from_coordinator;

static void catch (void *context, const struct wire_body *body)
{
    struct caught *caught = context;
    assert_true(caught->count < CAUGHT_MAX);
    caught->bodies[caught->count++] = *body;
}

static void fill_hello(void *context, struct wire_hello *hello)
{
    (void)context;
    hello->role = "instance";
    hello->agent = "scout";
    hello->credit = 8;
}

static link_t *peer, *coordinator;
static const struct wire_link_id first_id = {7, 1};

static const struct wire_body *last(const struct caught *caught)
{
    assert_true(caught->count > 0);
    return &caught->bodies[caught->count - 1];
}

static const struct wire_frame *last_frame(const struct caught *caught)
{
    assert_int_equal(last(caught)->kind, WIRE_LINK_FRAME);
    return &last(caught)->frame;
}

static int setup(void **state)
{
    (void)state;
    from_peer.count = from_coordinator.count = 0;
    peer = link_new_peer(5, catch, &from_peer);
    link_set_hello(peer, fill_hello);
    coordinator = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    link_destroy(&peer);
    link_destroy(&coordinator);
    link_destroy(&peer);
    return 0;
}

static enum link_event give(link_t *to, struct wire_body body, int64_t now_us)
{
    struct bytes items;
    return link_receive(to, &body, now_us, &items);
}

static void open_at(int64_t now_us)
{
    link_hello(peer, now_us);
    assert_int_equal(last(&from_peer)->kind, WIRE_LINK_HELLO);
    coordinator =
        link_new_coordinator(first_id, &last(&from_peer)->hello, now_us, catch, &from_coordinator);
    link_welcome(coordinator, NULL, 0, now_us);
    assert_int_equal(give(peer, *last(&from_coordinator), now_us), LINK_WELCOMED);
    assert_int_equal(link_state(peer), LINK_OPEN);
}

/* A beat there and its answer back, at one moment. */
static void exchange_beat(int64_t now_us)
{
    link_beat(peer, now_us);
    assert_int_equal(give(coordinator, *last(&from_peer), now_us), LINK_NOTHING);
    assert_int_equal(give(peer, *last(&from_coordinator), now_us), LINK_NOTHING);
}

static struct bytes text(const char *s)
{
    return bytes_of_string(s);
}

static void test_hello_is_repeated(void **state)
{
    (void)state;
    assert_true(link_deadline(peer) <= START);
    assert_int_equal(link_tick(peer, START), LINK_NOTHING);
    assert_int_equal(from_peer.count, 1);
    const struct wire_hello *hello = &last(&from_peer)->hello;
    assert_true(hello->boot == 5 && hello->number == 1 && hello->credit == 8);
    int64_t now_us = START, gap_us = 0;
    for (size_t i = 2; i <= 6; i++) {
        gap_us = link_deadline(peer) - now_us;
        link_tick(peer, link_deadline(peer) - 1);
        assert_int_equal(from_peer.count, i - 1);
        now_us = link_deadline(peer);
        link_tick(peer, now_us);
        assert_int_equal(from_peer.count, i);
        assert_int_equal(last(&from_peer)->hello.number, 1);
    }
    assert_int_equal(gap_us, LIMIT_HELLO_MAX_US);
    link_hello(peer, now_us);
    assert_int_equal(last(&from_peer)->hello.number, 2);
}

static void test_only_the_welcome_asked_for(void **state)
{
    (void)state;
    link_hello(peer, START);
    link_hello(peer, START);
    struct wire_body welcome = {.kind = WIRE_LINK_WELCOME,
                                .welcome = {.boot = 5, .number = 1, .link = {7, 1}}};
    assert_int_equal(give(peer, welcome, START), LINK_NOTHING);
    welcome.welcome.boot = 4;
    welcome.welcome.number = 2;
    assert_int_equal(give(peer, welcome, START), LINK_NOTHING);
    welcome.welcome.boot = 5;
    assert_int_equal(give(peer, welcome, START), LINK_WELCOMED);
    assert_true(link_id(peer).epoch == 7 && link_id(peer).counter == 1);
    assert_int_equal(give(peer, welcome, START), LINK_NOTHING); /* the same again */
    assert_int_equal(link_state(peer), LINK_OPEN);
}

static void test_refusal(void **state)
{
    (void)state;
    link_hello(peer, START);
    struct wire_body no = {.kind = WIRE_LINK_WELCOME,
                           .welcome = {.boot = 5, .number = 1, .refused = "no such agent"}};
    assert_int_equal(give(peer, no, START), LINK_NOTHING);
    assert_int_equal(link_state(peer), LINK_REFUSED);
    assert_string_equal(link_refusal(peer), "no such agent");
    assert_int_equal(link_deadline(peer), START + LIMIT_RESEND_MAX_US);
    link_tick(peer, link_deadline(peer));
    assert_int_equal(last(&from_peer)->hello.number, 2);
    struct wire_body yes = {.kind = WIRE_LINK_WELCOME,
                            .welcome = {.boot = 5, .number = 2, .refused = "", .link = {7, 1}}};
    assert_int_equal(give(peer, yes, START), LINK_WELCOMED);
    assert_null(link_refusal(peer));
}

static void test_hellos_at_the_coordinator(void **state)
{
    (void)state;
    struct wire_hello hello = {.boot = 5, .number = 3};
    coordinator = link_new_coordinator(first_id, &hello, START, catch, &from_coordinator);
    assert_int_equal(link_receive_hello(coordinator, &hello, START), LINK_HELLO_REPEATED);
    assert_int_equal(from_coordinator.count, 0); /* none yet */
    char path[] = "draft";
    struct wire_verdict verdict = {.path = path, .run = {1, 2}, .keep = true};
    link_welcome(coordinator, &verdict, 1, START);
    path[0] = 'X'; /* the link keeps its own */
    assert_int_equal(link_receive_hello(coordinator, &hello, START), LINK_HELLO_REPEATED);
    assert_int_equal(from_coordinator.count, 2);
    const struct wire_welcome *again = &last(&from_coordinator)->welcome;
    assert_true(again->number == 3 && again->boot == 5 && again->link.counter == 1);
    assert_int_equal(again->verdicts_count, 1);
    assert_string_equal(again->verdicts[0].path, "draft");
    hello.number = 2;
    assert_int_equal(link_receive_hello(coordinator, &hello, START), LINK_HELLO_OLD);
    hello = (struct wire_hello){.boot = 4, .number = 9};
    assert_int_equal(link_receive_hello(coordinator, &hello, START), LINK_HELLO_OLD);
    hello = (struct wire_hello){.boot = 5, .number = 4};
    assert_int_equal(link_receive_hello(coordinator, &hello, START), LINK_HELLO_NEW);
    hello = (struct wire_hello){.boot = 6, .number = 1};
    assert_int_equal(link_receive_hello(coordinator, &hello, START), LINK_HELLO_NEW);
    assert_int_equal(from_coordinator.count, 2);
    assert_int_equal(link_boot(coordinator), 5);
}

static void test_in_order_once(void **state)
{
    (void)state;
    open_at(START);
    uint64_t sequence = 0;
    assert_int_equal(link_send(coordinator, text("one"), START, &sequence), 0);
    assert_int_equal(sequence, 1);
    struct wire_body one = *last(&from_coordinator);
    assert_int_equal(link_send(coordinator, text("two"), START, &sequence), 0);
    assert_int_equal(sequence, 2);
    struct wire_body two = *last(&from_coordinator);
    struct bytes items;
    assert_int_equal(link_receive(peer, &one, START, &items), LINK_ITEMS);
    assert_true(bytes_equal(items, text("one")));
    assert_int_equal(give(peer, one, START), LINK_NOTHING);
    assert_int_equal(link_receive(peer, &two, START, &items), LINK_ITEMS);
    assert_true(bytes_equal(items, text("two")));
    assert_int_equal(give(peer, two, START), LINK_NOTHING);
    assert_int_equal(give(peer, one, START), LINK_NOTHING);
}

static void test_gap_makes_the_peer_say_hello(void **state)
{
    (void)state;
    open_at(START);
    int64_t now_us = START + LIMIT_SECOND_US;
    assert_int_equal(link_send(coordinator, text("one"), now_us, NULL), 0);
    assert_int_equal(link_send(coordinator, text("two"), now_us, NULL), 0);
    assert_int_equal(give(peer, *last(&from_coordinator), now_us), LINK_RESTART);
    assert_int_equal(link_state(peer), LINK_CLOSED);
    assert_int_equal(last(&from_peer)->kind, WIRE_LINK_HELLO);
    assert_int_equal(last(&from_peer)->hello.number, 2);
}

static void test_gap_at_the_coordinator_is_answered_with_reset(void **state)
{
    (void)state;
    open_at(START);
    int64_t now_us = START + LIMIT_SECOND_US;
    assert_int_equal(link_send(peer, text("one"), now_us, NULL), 0);
    assert_int_equal(link_send(peer, text("two"), now_us, NULL), 0);
    struct wire_body two = *last(&from_peer);
    assert_int_equal(give(coordinator, two, now_us), LINK_NOTHING);
    assert_int_equal(last(&from_coordinator)->kind, WIRE_LINK_RESET);
    size_t sent = from_coordinator.count;
    assert_int_equal(give(coordinator, two, now_us + 1), LINK_NOTHING);
    assert_int_equal(from_coordinator.count, sent);       /* one for a burst */
    assert_int_equal(link_state(coordinator), LINK_OPEN); /* its peer may hold a lease */
    assert_int_equal(give(peer, *last(&from_coordinator), now_us), LINK_RESTART);
    assert_int_equal(last(&from_peer)->hello.number, 2);
    assert_int_equal(link_receive_hello(coordinator, &last(&from_peer)->hello, now_us),
                     LINK_HELLO_NEW);
    assert_int_equal(give(peer, *last(&from_coordinator), now_us), LINK_NOTHING); /* twice */
}

static void test_resets_in_a_row_are_slowed_down(void **state)
{
    (void)state;
    open_at(START);
    struct wire_body reset = {.kind = WIRE_LINK_RESET, .reset = {.link = first_id}};
    size_t sent = from_peer.count;
    assert_int_equal(give(peer, reset, START + 1), LINK_RESTART);
    assert_int_equal(from_peer.count, sent); /* it said hello a microsecond ago */
    assert_int_equal(link_deadline(peer), START + LIMIT_HELLO_FIRST_US);
    link_tick(peer, link_deadline(peer));
    assert_int_equal(last(&from_peer)->hello.number, 2);
}

static void test_frames_of_other_links(void **state)
{
    (void)state;
    open_at(START);
    struct wire_body frame = {.kind = WIRE_LINK_FRAME,
                              .frame = {.link = {6, 99}, .sequence = 1, .sent_us = 1}};
    assert_int_equal(give(peer, frame, START), LINK_NOTHING); /* late */
    assert_int_equal(give(coordinator, frame, START), LINK_NOTHING);
    assert_int_equal(last(&from_coordinator)->kind, WIRE_LINK_RESET);
    assert_int_equal(last(&from_coordinator)->reset.link.epoch, 6);
    assert_int_equal(give(peer, *last(&from_coordinator), START), LINK_NOTHING);
    assert_int_equal(link_state(peer), LINK_OPEN);
    frame.frame.link = (struct wire_link_id){8, 1}; /* the coordinator restarted */
    assert_int_equal(give(peer, frame, START + LIMIT_SECOND_US), LINK_RESTART);
    assert_int_equal(last(&from_peer)->kind, WIRE_LINK_HELLO);
}

static void test_acknowledging_what_was_never_sent(void **state)
{
    (void)state;
    open_at(START);
    struct wire_body frame = {.kind = WIRE_LINK_FRAME,
                              .frame = {.link = first_id, .acknowledged = 1}};
    assert_int_equal(give(coordinator, frame, START), LINK_NOTHING);
    assert_int_equal(last(&from_coordinator)->kind, WIRE_LINK_RESET);
    assert_int_equal(give(peer, frame, START + LIMIT_SECOND_US), LINK_RESTART);
}

static void test_coordinator_acknowledges_only_what_is_committed(void **state)
{
    (void)state;
    open_at(START);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(link_send(peer, text("step"), START, NULL), 0);
        assert_int_equal(give(coordinator, *last(&from_peer), START), LINK_ITEMS);
    }
    assert_int_equal(link_received(coordinator), 3);
    size_t sent = from_coordinator.count;
    link_flush(coordinator, START);
    assert_int_equal(from_coordinator.count, sent); /* nothing is owed */
    link_commit(coordinator, 2);
    link_flush(coordinator, START);
    assert_int_equal(from_coordinator.count, sent + 1);
    assert_int_equal(last_frame(&from_coordinator)->acknowledged, 2);
    assert_int_equal(last_frame(&from_coordinator)->sequence, 0);
    link_flush(coordinator, START);
    assert_int_equal(from_coordinator.count, sent + 1); /* once */
    assert_int_equal(give(peer, *last(&from_coordinator), START), LINK_NOTHING);
    assert_int_equal(link_acknowledged(peer), 2);
    link_commit(coordinator, 3);
    assert_int_equal(link_send(coordinator, text("drop"), START, NULL), 0); /* carries it */
    assert_int_equal(last_frame(&from_coordinator)->acknowledged, 3);
    link_flush(coordinator, START);
    assert_int_equal(from_coordinator.count, sent + 2);
    assert_int_equal(give(peer, *last(&from_coordinator), START), LINK_ITEMS);
    assert_int_equal(link_acknowledged(peer), 3);
}

static void test_lost_acknowledgement_is_said_again(void **state)
{
    (void)state;
    open_at(START);
    assert_int_equal(link_send(peer, text("step"), START, NULL), 0);
    struct wire_body step = *last(&from_peer);
    assert_int_equal(give(coordinator, step, START), LINK_ITEMS);
    link_commit(coordinator, 1);
    link_flush(coordinator, START); /* this one is lost */
    size_t sent = from_coordinator.count;
    assert_int_equal(give(coordinator, step, START + 1), LINK_NOTHING);
    link_flush(coordinator, START + 1);
    assert_int_equal(from_coordinator.count, sent + 1);
    assert_int_equal(last_frame(&from_coordinator)->acknowledged, 1);
}

static void test_peer_acknowledges_soon(void **state)
{
    (void)state;
    open_at(START);
    exchange_beat(START);
    assert_int_equal(link_send(coordinator, text("task"), START, NULL), 0);
    assert_int_equal(give(peer, *last(&from_coordinator), START), LINK_ITEMS);
    assert_int_equal(link_deadline(peer), START + LIMIT_ANSWER_DELAY_US);
    size_t sent = from_peer.count;
    link_tick(peer, START + LIMIT_ANSWER_DELAY_US);
    assert_int_equal(from_peer.count, sent + 1);
    assert_int_equal(last_frame(&from_peer)->acknowledged, 1);
    assert_int_equal(give(coordinator, *last(&from_peer), START), LINK_NOTHING);
    assert_int_equal(link_acknowledged(coordinator), 1);
    /* A result that goes earlier takes the acknowledgement along. */
    assert_int_equal(link_send(coordinator, text("task"), START, NULL), 0);
    assert_int_equal(give(peer, *last(&from_coordinator), START), LINK_ITEMS);
    assert_int_equal(link_send(peer, text("step"), START, NULL), 0);
    assert_int_equal(last_frame(&from_peer)->acknowledged, 2);
    assert_true(link_deadline(peer) > START + LIMIT_ANSWER_DELAY_US);
}

static void test_resending(void **state)
{
    (void)state;
    open_at(START);
    exchange_beat(START);
    assert_int_equal(link_send(peer, text("one"), START, NULL), 0);
    assert_int_equal(link_send(peer, text("two"), START, NULL), 0);
    int64_t due_us = START, wait_us = LIMIT_RESEND_FIRST_US;
    for (size_t i = 0; i < 6; i++) {
        due_us += wait_us;
        /* Beats may go in between; what is numbered does not go before its time. */
        size_t before = from_peer.count;
        link_tick(peer, due_us - 1);
        for (size_t k = before; k < from_peer.count; k++)
            assert_int_equal(from_peer.bodies[k].frame.sequence, 0);
        before = from_peer.count;
        link_tick(peer, due_us);
        assert_int_equal(from_peer.count, before + 2);
        const struct wire_frame *one = &from_peer.bodies[before].frame;
        assert_int_equal(one->sequence, 1);
        assert_true(bytes_equal(one->items, text("one")));
        assert_int_equal(one->sent_us, due_us); /* said anew, not repeated */
        assert_int_equal(from_peer.bodies[before + 1].frame.sequence, 2);
        wait_us = wait_us * 2 > LIMIT_RESEND_MAX_US ? LIMIT_RESEND_MAX_US : wait_us * 2;
    }
    assert_int_equal(wait_us, LIMIT_RESEND_MAX_US);
    assert_int_equal(give(coordinator, from_peer.bodies[from_peer.count - 2], due_us), LINK_ITEMS);
    link_commit(coordinator, 1);
    link_flush(coordinator, due_us);
    assert_int_equal(give(peer, *last(&from_coordinator), due_us), LINK_NOTHING);
    /* Progress: the clock starts anew, for what is left. */
    size_t before = from_peer.count;
    link_tick(peer, due_us + LIMIT_RESEND_FIRST_US);
    assert_int_equal(from_peer.bodies[before].frame.sequence, 2);
}

static void test_caps(void **state)
{
    (void)state;
    assert_int_equal(link_send(peer, text("x"), START, NULL), ERR_AGAIN); /* not open */
    open_at(START);
    for (size_t i = 0; i < LIMIT_LINK_UNACKED; i++) {
        from_peer.count = 0;
        assert_int_equal(link_send(peer, text("x"), START, NULL), 0);
    }
    uint64_t sequence = 99;
    assert_int_equal(link_send(peer, text("x"), START, &sequence), ERR_AGAIN);
    assert_int_equal(sequence, 99);
    struct wire_body all = {.kind = WIRE_LINK_FRAME,
                            .frame = {.link = first_id, .acknowledged = LIMIT_LINK_UNACKED}};
    assert_int_equal(give(peer, all, START), LINK_NOTHING);
    assert_int_equal(link_acknowledged(peer), LIMIT_LINK_UNACKED);
    static uint8_t large[LIMIT_MESSAGE_BYTES];
    assert_int_equal(link_send(peer, bytes_of(large, sizeof large), START, NULL), ERR_TOO_LARGE);
    size_t sent = 0;
    while (link_send(peer, bytes_of(large, 3u << 20), START, NULL) == 0)
        sent++;
    assert_int_equal(sent, LIMIT_LINK_UNACKED_BYTES / (3u << 20));
}

static void test_beats_are_answered_once(void **state)
{
    (void)state;
    open_at(START);
    link_beat(peer, START + 5);
    struct wire_body beat = *last(&from_peer);
    size_t sent = from_coordinator.count;
    assert_int_equal(give(coordinator, beat, START + 6), LINK_NOTHING);
    assert_int_equal(from_coordinator.count, sent + 1);
    assert_int_equal(last_frame(&from_coordinator)->echo_us, START + 5);
    assert_int_equal(give(coordinator, beat, START + 7), LINK_NOTHING); /* doubled on its way */
    assert_int_equal(from_coordinator.count, sent + 1);
    size_t answers = from_peer.count;
    assert_int_equal(give(peer, *last(&from_coordinator), START + 8), LINK_NOTHING);
    assert_int_equal(from_peer.count, answers); /* no ping-pong */
}

/* Counts the frames of both ends of an idle link over a minute. */
static void test_idle_costs_two_frames_each_three_seconds(void **state)
{
    (void)state;
    open_at(START);
    exchange_beat(START);
    from_peer.count = from_coordinator.count = 0;
    size_t at_peer = 0, at_coordinator = 0;
    for (int64_t now_us = START; now_us <= START + 60 * LIMIT_SECOND_US; now_us += 10 * MS) {
        assert_int_equal(link_tick(peer, now_us), LINK_NOTHING);
        assert_int_equal(link_tick(coordinator, now_us), LINK_NOTHING);
        for (; at_coordinator < from_peer.count; at_coordinator++)
            give(coordinator, from_peer.bodies[at_coordinator], now_us);
        for (; at_peer < from_coordinator.count; at_peer++)
            give(peer, from_coordinator.bodies[at_peer], now_us);
    }
    assert_int_equal(from_peer.count, 20);
    assert_int_equal(from_coordinator.count, 20);
}

static void test_lease_counts_from_sending(void **state)
{
    (void)state;
    open_at(START);
    assert_false(link_lease_valid(peer, START)); /* Welcome alone gives none */
    assert_int_equal(link_lease_until(peer), 0);
    link_beat(peer, START + 100);
    assert_int_equal(give(coordinator, *last(&from_peer), START + LIMIT_SECOND_US), LINK_NOTHING);
    assert_false(link_lease_valid(peer, START + 100));
    struct wire_body answer = *last(&from_coordinator);
    assert_int_equal(give(peer, answer, START + LIMIT_SECOND_US * 3 / 2), LINK_NOTHING);
    assert_int_equal(link_lease_until(peer), START + 100 + LIMIT_LEASE_US);
    assert_true(link_lease_valid(peer, START + 100 + LIMIT_LEASE_US));
    assert_false(link_lease_valid(peer, START + 100 + LIMIT_LEASE_US + 1));
    /* The same answer again, late, gives nothing. */
    assert_int_equal(give(peer, answer, START + 3 * LIMIT_SECOND_US), LINK_NOTHING);
    assert_int_equal(link_lease_until(peer), START + 100 + LIMIT_LEASE_US);
    /* An echo of what was never sent gives nothing. */
    answer.frame.echo_us = (uint64_t)START * 2;
    assert_int_equal(give(peer, answer, START + 3 * LIMIT_SECOND_US), LINK_NOTHING);
    assert_int_equal(link_lease_until(peer), START + 100 + LIMIT_LEASE_US);
}

static void test_dispatch_renews_the_lease(void **state)
{
    (void)state;
    open_at(START);
    link_beat(peer, START + 5);
    assert_int_equal(give(coordinator, *last(&from_peer), START + 6), LINK_NOTHING);
    /* The answer is lost; the task carries the echo too. */
    assert_int_equal(link_send(coordinator, text("task"), START + 7, NULL), 0);
    assert_int_equal(give(peer, *last(&from_coordinator), START + 8), LINK_ITEMS);
    assert_true(link_lease_valid(peer, START + 8));
}

static void test_idle_peer_beats_before_it_starts(void **state)
{
    (void)state;
    open_at(START);
    exchange_beat(START);
    int64_t now_us = START + LIMIT_LEASE_US + LIMIT_SECOND_US / 2;
    assert_int_equal(link_tick(peer, now_us), LINK_NOTHING); /* idle: nothing is lost */
    assert_false(link_lease_valid(peer, now_us));
    size_t sent = from_peer.count;
    link_set_busy(peer, true, now_us);
    assert_int_equal(from_peer.count, sent + 1);
    assert_int_equal(last_frame(&from_peer)->sequence, 0);
    assert_int_equal(give(coordinator, *last(&from_peer), now_us + 1), LINK_NOTHING);
    assert_int_equal(give(peer, *last(&from_coordinator), now_us + 2), LINK_NOTHING);
    assert_true(link_lease_valid(peer, now_us + 2));
    link_set_busy(peer, false, now_us + 3);
    sent = from_peer.count;
    link_set_busy(peer, true, now_us + 4);
    assert_int_equal(from_peer.count, sent); /* it has one */
}

static void test_busy_peer_loses_its_lease(void **state)
{
    (void)state;
    open_at(START);
    exchange_beat(START);
    link_set_busy(peer, true, START);
    int64_t now_us = START;
    enum link_event event = LINK_NOTHING;
    while (event == LINK_NOTHING) {
        now_us = link_deadline(peer);
        event = link_tick(peer, now_us);
    }
    assert_int_equal(event, LINK_RESTART);
    assert_int_equal(now_us, START + LIMIT_LEASE_US + 1);
    assert_int_equal(link_state(peer), LINK_CLOSED);
    assert_int_not_equal(last(&from_peer)->kind, WIRE_LINK_HELLO); /* its owner comes first */
    assert_int_equal(link_deadline(peer), now_us);
    assert_int_equal(link_tick(peer, now_us), LINK_NOTHING);
    assert_int_equal(last(&from_peer)->hello.number, 2);
    /* Once lost, it is not lost again. */
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(link_tick(peer, link_deadline(peer)), LINK_NOTHING);
    assert_int_equal(last(&from_peer)->hello.number, 2);
}

/* An owner may look at its lease itself, stop and say hello before it ticks. */
static void test_owner_that_saw_the_end_is_not_told_again(void **state)
{
    (void)state;
    open_at(START);
    exchange_beat(START);
    link_set_busy(peer, true, START);
    int64_t now_us = START + LIMIT_LEASE_US + 1;
    assert_false(link_lease_valid(peer, now_us));
    link_hello(peer, now_us);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(link_tick(peer, now_us), LINK_NOTHING);
        now_us = link_deadline(peer);
    }
    assert_int_equal(last(&from_peer)->hello.number, 2);
}

static void test_lease_outlives_its_link_and_ends(void **state)
{
    (void)state;
    open_at(START);
    exchange_beat(START);
    link_set_busy(peer, true, START);
    struct wire_body reset = {.kind = WIRE_LINK_RESET, .reset = {.link = first_id}};
    int64_t now_us = START + LIMIT_SECOND_US;
    assert_int_equal(give(peer, reset, now_us), LINK_RESTART);
    assert_true(link_lease_valid(peer, now_us)); /* what runs goes on */
    /* No welcome comes. The lease ends while the hello is being said: a new hello, since the
     * inventory is another one. */
    enum link_event event = LINK_NOTHING;
    while (event == LINK_NOTHING) {
        now_us = link_deadline(peer);
        event = link_tick(peer, now_us);
    }
    assert_int_equal(event, LINK_RESTART);
    assert_int_equal(now_us, START + LIMIT_LEASE_US + 1);
    link_tick(peer, now_us);
    assert_int_equal(last(&from_peer)->hello.number, 3);
    struct wire_body late = {.kind = WIRE_LINK_WELCOME,
                             .welcome = {.boot = 5, .number = 2, .link = {7, 2}}};
    assert_int_equal(give(peer, late, now_us), LINK_NOTHING);
    late.welcome.number = 3;
    assert_int_equal(give(peer, late, now_us), LINK_WELCOMED);
    assert_false(link_lease_valid(peer, now_us));
}

static void test_busy_link_without_echo_starts_anew(void **state)
{
    (void)state;
    link_set_busy(peer, true, START);
    open_at(START);
    enum link_event event = LINK_NOTHING;
    int64_t now_us = START;
    size_t beats = from_peer.count;
    while (event == LINK_NOTHING) {
        now_us = link_deadline(peer);
        event = link_tick(peer, now_us);
    }
    assert_int_equal(event, LINK_RESTART);
    assert_int_equal(now_us, START + LIMIT_LEASE_US + 1);
    assert_true(from_peer.count - beats >= 6); /* it asked again and again meanwhile */
}

static void test_one_lost_beat_costs_no_lease(void **state)
{
    (void)state;
    open_at(START);
    exchange_beat(START);
    link_set_busy(peer, true, START);
    int64_t now_us = link_deadline(peer);
    assert_int_equal(now_us, START + LIMIT_BEAT_US);
    assert_int_equal(link_tick(peer, now_us), LINK_NOTHING); /* lost */
    now_us = link_deadline(peer);
    assert_int_equal(now_us, START + LIMIT_BEAT_US + LIMIT_BEAT_AGAIN_US);
    assert_int_equal(link_tick(peer, now_us), LINK_NOTHING);
    assert_int_equal(give(coordinator, *last(&from_peer), now_us), LINK_NOTHING);
    assert_int_equal(give(peer, *last(&from_coordinator), now_us), LINK_NOTHING);
    assert_int_equal(link_lease_until(peer), now_us + LIMIT_LEASE_US);
    assert_int_equal(link_deadline(peer), now_us + LIMIT_BEAT_US);
}

/* Peers that came to rest at different moments wake the broker together. */
static void test_idle_beats_gather_on_a_grid(void **state)
{
    (void)state;
    const int64_t odd_us = START + 123457;
    open_at(odd_us);
    exchange_beat(odd_us);
    link_set_busy(peer, false, odd_us);
    int64_t beat_us = link_deadline(peer);
    assert_int_equal(beat_us % LIMIT_BEAT_GRID_US, 0);
    assert_in_range(beat_us, odd_us + LIMIT_BEAT_IDLE_US,
                    odd_us + LIMIT_BEAT_IDLE_US + LIMIT_BEAT_GRID_US);
}

/* A coordinator that can't commit (its disk is full) still echoes. */
static void test_lease_lives_on_without_commits(void **state)
{
    (void)state;
    open_at(START);
    exchange_beat(START);
    link_set_busy(peer, true, START);
    link_set_busy(coordinator, true, START);
    size_t at_peer = from_coordinator.count, at_coordinator = from_peer.count;
    for (int64_t now_us = START; now_us < START + 30 * LIMIT_SECOND_US; now_us += 10 * MS) {
        if (now_us % (50 * MS) == 0)
            assert_int_equal(link_send(peer, text("step"), now_us, NULL), 0);
        assert_int_equal(link_tick(peer, now_us), LINK_NOTHING);
        assert_int_equal(link_tick(coordinator, now_us), LINK_NOTHING);
        for (; at_coordinator < from_peer.count; at_coordinator++)
            give(coordinator, from_peer.bodies[at_coordinator], now_us);
        for (; at_peer < from_coordinator.count; at_peer++)
            assert_int_equal(give(peer, from_coordinator.bodies[at_peer], now_us), LINK_NOTHING);
        assert_true(link_lease_valid(peer, now_us));
    }
    assert_int_equal(link_acknowledged(peer), 0);
}

static int64_t silence_from(int64_t now_us)
{
    enum link_event event = LINK_NOTHING;
    while (event == LINK_NOTHING) {
        now_us = link_deadline(coordinator);
        event = link_tick(coordinator, now_us);
    }
    assert_int_equal(event, LINK_ENDED);
    assert_int_equal(link_state(coordinator), LINK_CLOSED);
    assert_int_equal(link_tick(coordinator, now_us * 2), LINK_NOTHING); /* it ends once */
    return now_us;
}

/* Who lacks a drop must not go on for longer than the coordinator may count on. */
static void test_no_new_lease_before_old_news_is_known(void **state)
{
    (void)state;
    open_at(START);
    link_set_busy(peer, true, START);
    link_set_busy(coordinator, true, START);
    assert_int_equal(link_send(coordinator, text("drop"), START, NULL), 0);
    struct wire_body lost = *last(&from_coordinator);
    exchange_beat(START + LIMIT_BEAT_US);
    assert_int_equal(link_lease_until(peer), START + LIMIT_BEAT_US + LIMIT_LEASE_US);
    exchange_beat(START + LIMIT_BEAT_US + 1);
    exchange_beat(START + LIMIT_SILENCE_US - 1);
    assert_int_equal(link_lease_until(peer), START + LIMIT_BEAT_US + LIMIT_LEASE_US);
    assert_false(link_lease_valid(peer, START + LIMIT_SILENCE_US + 1));
    assert_int_equal(give(peer, lost, START + LIMIT_SILENCE_US), LINK_ITEMS);
    exchange_beat(START + LIMIT_SILENCE_US);
    assert_int_equal(link_lease_until(peer), START + LIMIT_SILENCE_US + LIMIT_LEASE_US);
}

/* The other way round nothing hangs on it: a coordinator needs no lease. */
static void test_peer_echoes_although_it_is_not_acknowledged(void **state)
{
    (void)state;
    open_at(START);
    assert_int_equal(link_send(peer, text("step"), START, NULL), 0);
    struct wire_body beat = {.kind = WIRE_LINK_FRAME, .frame = {.link = first_id, .sent_us = 77}};
    assert_int_equal(give(peer, beat, START + LIMIT_SILENCE_US), LINK_NOTHING);
    link_beat(peer, START + LIMIT_SILENCE_US);
    assert_true(last_frame(&from_peer)->echo_us == 77);
}

static void test_silence_of_an_idle_link(void **state)
{
    (void)state;
    open_at(START);
    assert_int_equal(silence_from(START), START + LIMIT_SILENCE_IDLE_US);
}

static void test_silence_of_a_busy_link(void **state)
{
    (void)state;
    open_at(START);
    link_set_busy(coordinator, true, START);
    assert_int_equal(silence_from(START), START + LIMIT_SILENCE_US);
}

static void test_silence_counts_from_the_first_unanswered_dispatch(void **state)
{
    (void)state;
    open_at(START);
    int64_t dispatch_us = START + 8 * LIMIT_SECOND_US;
    link_set_busy(coordinator, true, dispatch_us);
    assert_int_equal(link_send(coordinator, text("task"), dispatch_us, NULL), 0);
    assert_int_equal(link_tick(coordinator, dispatch_us), LINK_NOTHING);
    /* A second one later does not postpone it. */
    assert_int_equal(link_send(coordinator, text("task"), dispatch_us + LIMIT_SECOND_US, NULL), 0);
    assert_int_equal(silence_from(dispatch_us), dispatch_us + LIMIT_SILENCE_US);
}

static void test_ended_link_answers_with_reset(void **state)
{
    (void)state;
    open_at(START);
    int64_t now_us = silence_from(START);
    link_beat(peer, now_us);
    assert_int_equal(give(coordinator, *last(&from_peer), now_us), LINK_NOTHING);
    assert_int_equal(last(&from_coordinator)->kind, WIRE_LINK_RESET);
    assert_int_equal(link_send(coordinator, text("x"), now_us, NULL), ERR_AGAIN);
    link_commit(coordinator, 3); /* of a batch that was under way */
    /* Its peer may still be saying the hello that was answered. */
    struct wire_hello hello = {.boot = 5, .number = 1};
    assert_int_equal(link_receive_hello(coordinator, &hello, now_us), LINK_HELLO_NEW);
}

static void test_bye(void **state)
{
    (void)state;
    open_at(START);
    exchange_beat(START);
    link_bye(peer, "stopping");
    assert_int_equal(last(&from_peer)->kind, WIRE_LINK_BYE);
    assert_false(link_lease_valid(peer, START));
    assert_int_equal(link_deadline(peer), INT64_MAX);
    assert_int_equal(link_tick(peer, START + 60 * LIMIT_SECOND_US), LINK_NOTHING);
    assert_int_equal(give(coordinator, *last(&from_peer), START), LINK_ENDED);
    assert_int_equal(link_deadline(coordinator), INT64_MAX);
    link_hello(peer, START + 60 * LIMIT_SECOND_US); /* it changed its mind */
    assert_int_equal(last(&from_peer)->hello.number, 2);
    assert_true(link_deadline(peer) < INT64_MAX);
}

static void test_bye_of_the_coordinator(void **state)
{
    (void)state;
    open_at(START);
    exchange_beat(START);
    link_bye(coordinator, "stopping");
    assert_int_equal(give(peer, *last(&from_coordinator), START + LIMIT_SECOND_US), LINK_RESTART);
    assert_int_equal(last(&from_peer)->kind, WIRE_LINK_HELLO);
    assert_true(link_lease_valid(peer, START + LIMIT_SECOND_US));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        RULE(test_hello_is_repeated),
        RULE(test_only_the_welcome_asked_for),
        RULE(test_refusal),
        RULE(test_hellos_at_the_coordinator),
        RULE(test_in_order_once),
        RULE(test_gap_makes_the_peer_say_hello),
        RULE(test_gap_at_the_coordinator_is_answered_with_reset),
        RULE(test_resets_in_a_row_are_slowed_down),
        RULE(test_frames_of_other_links),
        RULE(test_acknowledging_what_was_never_sent),
        RULE(test_coordinator_acknowledges_only_what_is_committed),
        RULE(test_lost_acknowledgement_is_said_again),
        RULE(test_peer_acknowledges_soon),
        RULE(test_resending),
        RULE(test_caps),
        RULE(test_beats_are_answered_once),
        RULE(test_idle_costs_two_frames_each_three_seconds),
        RULE(test_lease_counts_from_sending),
        RULE(test_dispatch_renews_the_lease),
        RULE(test_idle_peer_beats_before_it_starts),
        RULE(test_idle_beats_gather_on_a_grid),
        RULE(test_busy_peer_loses_its_lease),
        RULE(test_owner_that_saw_the_end_is_not_told_again),
        RULE(test_lease_outlives_its_link_and_ends),
        RULE(test_busy_link_without_echo_starts_anew),
        RULE(test_one_lost_beat_costs_no_lease),
        RULE(test_lease_lives_on_without_commits),
        RULE(test_no_new_lease_before_old_news_is_known),
        RULE(test_peer_echoes_although_it_is_not_acknowledged),
        RULE(test_silence_of_an_idle_link),
        RULE(test_silence_of_a_busy_link),
        RULE(test_silence_counts_from_the_first_unanswered_dispatch),
        RULE(test_ended_link_answers_with_reset),
        RULE(test_bye),
        RULE(test_bye_of_the_coordinator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
