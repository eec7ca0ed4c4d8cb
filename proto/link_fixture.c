#include "proto/link_fixture.h"

struct caught from_peer, from_coordinator;

void catch (void *context, const struct wire_body *body)
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

link_t *peer, *coordinator;
const struct wire_link_id first_id = {7, 1};

const struct wire_body *last(const struct caught *caught)
{
    assert_true(caught->count > 0);
    return &caught->bodies[caught->count - 1];
}

const struct wire_frame *last_frame(const struct caught *caught)
{
    assert_int_equal(last(caught)->kind, WIRE_LINK_FRAME);
    return &last(caught)->frame;
}

int setup(void **state)
{
    (void)state;
    from_peer.count = from_coordinator.count = 0;
    peer = link_new_peer(5, catch, &from_peer);
    link_set_hello(peer, fill_hello);
    coordinator = NULL;
    return 0;
}

int teardown(void **state)
{
    (void)state;
    link_destroy(&peer);
    link_destroy(&coordinator);
    link_destroy(&peer);
    return 0;
}

enum link_event give(link_t *to, struct wire_body body, int64_t now_us)
{
    struct bytes items;
    return link_receive(to, &body, now_us, &items);
}

void open_at(int64_t now_us)
{
    link_hello(peer, now_us);
    assert_int_equal(last(&from_peer)->kind, WIRE_LINK_HELLO);
    coordinator =
        link_new_coordinator(first_id, &last(&from_peer)->hello, now_us, catch, &from_coordinator);
    link_welcome(coordinator, NULL, 0, now_us);
    assert_int_equal(give(peer, *last(&from_coordinator), now_us), LINK_WELCOMED);
    assert_int_equal(link_state(peer), LINK_OPEN);
}

void exchange_beat(int64_t now_us)
{
    link_beat(peer, now_us);
    assert_int_equal(give(coordinator, *last(&from_peer), now_us), LINK_NOTHING);
    assert_int_equal(give(peer, *last(&from_coordinator), now_us), LINK_NOTHING);
}

struct bytes text(const char *s)
{
    return bytes_of_string(s);
}

int64_t silence_from(int64_t now_us)
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
