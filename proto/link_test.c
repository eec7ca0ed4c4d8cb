/* The rules of a link, one by one: opening, order, acknowledgement, resending, its end.
 * link_lease_test.c has those of beats and leases, link_pipe_test.c has chance do it. */
#include "proto/link_fixture.h"

#include <stdlib.h>
#include <string.h>

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
        RULE(test_ended_link_answers_with_reset),
        RULE(test_bye),
        RULE(test_bye_of_the_coordinator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
