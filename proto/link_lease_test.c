/* The rules of a link, one by one: beats, leases, silence. */
#include "proto/link_fixture.h"

#include <stdlib.h>
#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
