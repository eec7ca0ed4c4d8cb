/* A peer against a ROUTER that the test plays the broker with, over inproc: what was sent is there
 * at once, and time is a parameter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

#include "base/limits.h"
#include "proto/peer.h"

#define START   (50 * LIMIT_SECOND_US)
#define NOTHING ((struct bytes){0})

static void *context, *router;
static peer_t *peer;
static struct message message; /* the peer's */
static struct message heard;   /* the broker's */

static const char *const agents[] = {"scout", "critic"};

static struct peer_options options(void)
{
    return (struct peer_options){.endpoint = "inproc://broker",
                                 .address = "client:test",
                                 .program = "peer_test 1",
                                 .agents = agents,
                                 .agents_count = 2,
                                 .zmq_context = context};
}

static int setup(void **state)
{
    (void)state;
    context = zmq_ctx_new();
    router = zmq_socket(context, ZMQ_ROUTER);
    int on = 1, linger = 0;
    zmq_setsockopt(router, ZMQ_ROUTER_MANDATORY, &on, sizeof on);
    zmq_setsockopt(router, ZMQ_LINGER, &linger, sizeof linger);
    assert_int_equal(zmq_bind(router, "inproc://broker"), 0);
    struct peer_options wanted = options();
    assert_int_equal(peer_new(&wanted, &peer, NULL), 0);
    peer_tick(peer, START);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_destroy(&peer);
    peer_destroy(&peer);
    message_release(&message);
    message_release(&heard);
    zmq_close(router);
    zmq_ctx_term(context);
    return 0;
}

/* What the broker hears next; WIRE_NONE for nothing. */
static enum wire_kind hear(void)
{
    char address[256];
    int size = zmq_recv(router, address, sizeof address, ZMQ_DONTWAIT);
    if (size < 0)
        return WIRE_NONE;
    assert_int_equal(size, (int)strlen("client:test"));
    assert_memory_equal(address, "client:test", (size_t)size);
    assert_int_equal(message_receive(router, &heard, NULL), 0);
    assert_string_equal(heard.route.from, "client:test");
    return heard.route.kind;
}

static void say(const struct wire_route *route, const struct wire_body *body, struct bytes payload)
{
    assert_int_equal(zmq_send(router, "client:test", strlen("client:test"), ZMQ_SNDMORE),
                     (int)strlen("client:test"));
    assert_int_equal(message_send(router, route, body, payload, NULL), 0);
}

static void say_registered(const char *refused)
{
    struct wire_route route = {.kind = WIRE_REGISTERED, .to = "client:test", .from = "broker"};
    struct wire_body body = {.kind = WIRE_REGISTERED,
                             .registered = {.major = 1, .refused = refused}};
    say(&route, &body, NOTHING);
}

static void say_plain(enum wire_kind kind, const char *from, uint64_t correlation)
{
    struct wire_route route = {.kind = kind, .from = from, .correlation = correlation};
    struct wire_body body = {.kind = kind};
    say(&route, &body, NOTHING);
}

static void assert_nothing_for_the_program(int64_t now_us)
{
    assert_int_equal(peer_receive(peer, &message, now_us, NULL), ERR_AGAIN);
}

static void accept_peer(void)
{
    assert_int_equal(hear(), WIRE_REGISTER);
    say_registered(NULL);
    assert_nothing_for_the_program(START);
    assert_true(peer_registered(peer));
}

static void test_registers_at_once(void **state)
{
    (void)state;
    assert_int_equal(hear(), WIRE_REGISTER);
    const struct wire_register *reg = &heard.body.reg;
    assert_string_equal(heard.route.to, "broker");
    assert_true(reg->major == WIRE_MAJOR && reg->minor == WIRE_MINOR);
    assert_string_equal(reg->program, "peer_test 1");
    assert_int_equal(reg->agents_count, 2);
    assert_string_equal(reg->agents[1], "critic");
    assert_false(peer_registered(peer));
    assert_string_equal(peer_address(peer), "client:test");
}

static void test_registers_until_answered(void **state)
{
    (void)state;
    assert_int_equal(hear(), WIRE_REGISTER);
    int64_t now_us = START;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(peer_deadline(peer), now_us + LIMIT_REGISTER_US);
        peer_tick(peer, now_us + LIMIT_REGISTER_US - 1);
        assert_int_equal(hear(), WIRE_NONE);
        now_us += LIMIT_REGISTER_US;
        peer_tick(peer, now_us);
        assert_int_equal(hear(), WIRE_REGISTER);
    }
    say_registered(NULL);
    assert_nothing_for_the_program(now_us);
    assert_true(peer_registered(peer));
    peer_tick(peer, now_us + LIMIT_REGISTER_US);
    assert_int_equal(hear(), WIRE_NONE);
}

static void test_refusal(void **state)
{
    (void)state;
    assert_int_equal(hear(), WIRE_REGISTER);
    say_registered("version 2 meets version 1");
    assert_nothing_for_the_program(START);
    assert_false(peer_registered(peer));
    assert_string_equal(peer_refusal(peer), "version 2 meets version 1");
    assert_int_equal(peer_deadline(peer), START + LIMIT_REFUSED_US);
    peer_tick(peer, START + LIMIT_REFUSED_US);
    assert_int_equal(hear(), WIRE_REGISTER);
    assert_string_equal(peer_refusal(peer), "version 2 meets version 1"); /* until it is answered */
    say_registered("");
    assert_nothing_for_the_program(START);
    assert_true(peer_registered(peer));
    assert_null(peer_refusal(peer));
}

static void test_who(void **state)
{
    (void)state;
    accept_peer();
    say_plain(WIRE_WHO, "broker", 0);
    say_plain(WIRE_WHO, "broker", 0);
    say_plain(WIRE_WHO, "broker", 0);
    assert_nothing_for_the_program(START);
    assert_false(peer_registered(peer));
    assert_int_equal(hear(), WIRE_REGISTER);
    assert_int_equal(hear(), WIRE_NONE); /* one answers them all */
    say_registered(NULL);
    assert_nothing_for_the_program(START);
    assert_true(peer_registered(peer));
}

static void test_only_the_broker_is_believed(void **state)
{
    (void)state;
    accept_peer();
    say_plain(WIRE_WHO, "client:mallory", 0);
    struct wire_route route = {.kind = WIRE_REGISTERED, .from = "client:mallory"};
    struct wire_body body = {.kind = WIRE_REGISTERED,
                             .registered = {.major = 1, .refused = "go away"}};
    say(&route, &body, NOTHING);
    assert_nothing_for_the_program(START);
    assert_true(peer_registered(peer));
    assert_int_equal(hear(), WIRE_NONE);
}

static void test_ping_is_answered(void **state)
{
    (void)state;
    accept_peer();
    struct bytes frames[] = {
        bytes_of_string("AF01"), {0}, bytes_of_string("body\xff"), bytes_of_string("payload")};
    struct buf head = {0};
    wire_encode_route(
        &(struct wire_route){.kind = WIRE_PING, .from = "client:other", .correlation = 42}, &head);
    frames[1] = buf_bytes(&head);
    assert_true(zmq_send(router, "client:test", strlen("client:test"), ZMQ_SNDMORE) > 0);
    for (size_t i = 0; i < 4; i++)
        assert_true(zmq_send(router, frames[i].data, frames[i].size, i < 3 ? ZMQ_SNDMORE : 0) >= 0);
    assert_nothing_for_the_program(START);
    assert_int_equal(hear(), WIRE_PONG);
    assert_string_equal(heard.route.to, "client:other");
    assert_int_equal(heard.route.correlation, 42);
    assert_true(bytes_equal(message_body_bytes(&heard), frames[2]));
    assert_true(bytes_equal(heard.payload, frames[3]));
    buf_release(&head);
}

static void test_silent_peer_shows_that_it_is_there(void **state)
{
    (void)state;
    accept_peer();
    int64_t now_us = peer_deadline(peer);
    assert_int_equal(now_us, START + LIMIT_KEEPALIVE_US);
    peer_tick(peer, now_us);
    assert_int_equal(hear(), WIRE_PING);
    assert_string_equal(heard.route.to, "broker");
    say_plain(WIRE_PONG, "broker", 0);
    assert_nothing_for_the_program(now_us); /* that one was ours */
    struct wire_route route = {.kind = WIRE_PING, .to = "client:other", .correlation = 3};
    struct wire_body body = {.kind = WIRE_PING};
    assert_int_equal(peer_send(peer, &route, &body, NOTHING, NULL), 0);
    assert_int_equal(hear(), WIRE_PING);
    now_us = peer_deadline(peer);
    peer_tick(peer, now_us);
    /* It has sent something meanwhile, the ping before included: none is needed. */
    assert_int_equal(hear(), WIRE_NONE);
    say_plain(WIRE_PONG, "client:other", 3);
    assert_int_equal(peer_receive(peer, &message, now_us, NULL), 0);
    assert_int_equal(message.route.kind, WIRE_PONG);
    peer_tick(peer, peer_deadline(peer));
    assert_int_equal(hear(), WIRE_PING);
}

static void test_malformed_are_counted(void **state)
{
    (void)state;
    accept_peer();
    assert_true(zmq_send(router, "client:test", strlen("client:test"), ZMQ_SNDMORE) > 0);
    assert_true(zmq_send(router, "rubbish", 7, 0) > 0);
    struct wire_route route = {.kind = WIRE_REPLY, .from = "coordinator", .correlation = 5};
    struct wire_body body = {.kind = WIRE_REPLY};
    say(&route, &body, bytes_of_string("\x80"));
    assert_int_equal(peer_receive(peer, &message, START, NULL), 0);
    assert_int_equal(message.route.correlation, 5);
    assert_true(bytes_equal(message.payload, bytes_of_string("\x80")));
    assert_int_equal(peer_malformed(peer), 1);
}

static void test_broker_of_another_version(void **state)
{
    (void)state;
    assert_int_equal(hear(), WIRE_REGISTER);
    assert_true(zmq_send(router, "client:test", strlen("client:test"), ZMQ_SNDMORE) > 0);
    assert_true(zmq_send(router, "AF02", 4, 0) > 0);
    assert_nothing_for_the_program(START);
    assert_non_null(peer_refusal(peer));
    assert_non_null(strstr(peer_refusal(peer), "version 2"));
    assert_non_null(strstr(peer_refusal(peer), "version 1"));
}

static void test_unregisters(void **state)
{
    (void)state;
    accept_peer();
    peer_destroy(&peer);
    assert_null(peer);
    assert_int_equal(hear(), WIRE_UNREGISTER);
}

static void test_what_can_not_be(void **state)
{
    (void)state;
    struct peer_options wrong = options();
    struct err err;
    peer_t *none = NULL;
    wrong.address = "somebody";
    assert_int_equal(peer_new(&wrong, &none, &err), ERR_INVALID);
    assert_non_null(strstr(err.what, "somebody"));
    wrong = options();
    wrong.endpoint = "carrier://pigeon";
    assert_int_equal(peer_new(&wrong, &none, &err), ERR_INVALID);
    assert_string_equal(err.where, "carrier://pigeon");
    assert_null(none);
}

/* Over a real transport and with a context of its own; there need be no broker yet. */
static void test_own_context(void **state)
{
    (void)state;
    struct peer_options own = options();
    char directory[] = "/tmp/af-peer-XXXXXX", endpoint[64];
    peer_t *other = NULL;
    assert_non_null(mkdtemp(directory));
    snprintf(endpoint, sizeof endpoint, "ipc://%s/s", directory);
    own.endpoint = endpoint;
    own.zmq_context = NULL;
    assert_int_equal(peer_new(&own, &other, NULL), 0);
    void *late = zmq_socket(context, ZMQ_ROUTER);
    assert_int_equal(zmq_bind(late, endpoint), 0);
    zmq_pollitem_t item = {.socket = late, .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, 20000), 1);
    char address[64];
    assert_int_equal(zmq_recv(late, address, sizeof address, 0), (int)strlen("client:test"));
    assert_int_equal(message_receive(late, &heard, NULL), 0);
    assert_int_equal(heard.route.kind, WIRE_REGISTER);
    peer_destroy(&other);
    zmq_close(late);
    remove(endpoint + strlen("ipc://"));
    remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(test_registers_at_once),
        CASE(test_registers_until_answered),
        CASE(test_refusal),
        CASE(test_who),
        CASE(test_only_the_broker_is_believed),
        CASE(test_ping_is_answered),
        CASE(test_silent_peer_shows_that_it_is_there),
        CASE(test_malformed_are_counted),
        CASE(test_broker_of_another_version),
        CASE(test_unregisters),
        CASE(test_what_can_not_be),
        CASE(test_own_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
