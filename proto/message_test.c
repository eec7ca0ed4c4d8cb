#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

#include "base/limits.h"
#include "proto/message.h"
#include "proto/wire_samples.h"

static void *context, *sender, *receiver;

/* Inproc: what was sent is there at once. */
static int setup(void **state)
{
    (void)state;
    context = zmq_ctx_new();
    receiver = zmq_socket(context, ZMQ_DEALER);
    sender = zmq_socket(context, ZMQ_DEALER);
    int linger = 0, few = 100;
    zmq_setsockopt(sender, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(sender, ZMQ_SNDHWM, &few, sizeof few);
    zmq_setsockopt(receiver, ZMQ_RCVHWM, &few, sizeof few);
    assert_int_equal(zmq_bind(receiver, "inproc://message"), 0);
    assert_int_equal(zmq_connect(sender, "inproc://message"), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    zmq_close(sender);
    zmq_close(receiver);
    zmq_ctx_term(context);
    return 0;
}

static const struct wire_route ping = {.kind = WIRE_PING, .to = "broker", .correlation = 9};

/* Sends frames as they are. */
static void send_raw(size_t count, const struct bytes *frames)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(zmq_send(sender, frames[i].data, frames[i].size,
                                  ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0)),
                         (int)frames[i].size);
}

static void test_all_kinds(void **state)
{
    (void)state;
    struct message message = {0};
    struct err err;
    for (size_t i = 0; i < sample_bodies_count; i++) {
        struct wire_route route = sample_route;
        struct bytes payload = i % 2 ? bytes_of_string("payload") : (struct bytes){0};
        route.kind = sample_bodies[i].kind;
        assert_int_equal(message_send(sender, &route, &sample_bodies[i], payload, NULL), 0);
        assert_int_equal(message_receive(receiver, &message, &err), 0);
        assert_int_equal(message.route.kind, route.kind);
        assert_string_equal(message.route.from, sample_route.from);
        assert_int_equal(message.body.kind, route.kind);
        assert_int_equal(message.has_payload, i % 2);
        assert_true(bytes_equal(message.payload, payload));
        struct buf sent = {0}, got = {0};
        wire_encode_body(&sample_bodies[i], &sent);
        wire_encode_body(&message.body, &got);
        assert_true(bytes_equal(buf_bytes(&sent), buf_bytes(&got)));
        assert_true(bytes_equal(buf_bytes(&sent), message_body_bytes(&message)));
        buf_release(&sent);
        buf_release(&got);
    }
    assert_int_equal(message_receive(receiver, &message, &err), ERR_AGAIN);
    message_release(&message);
    message_release(&message); /* again is harmless */
}

static void assert_refused_then_well(size_t count, const struct bytes *frames, int code,
                                     const char *what)
{
    struct message message = {0};
    struct err err = {0};
    struct wire_body body = {.kind = WIRE_PING};
    send_raw(count, frames);
    assert_int_equal(message_receive(receiver, &message, &err), code);
    if (!strstr(err.what, what))
        fail_msg("\"%s\" does not tell of \"%s\"", err.what, what);
    assert_int_equal(message.body.kind, WIRE_NONE);
    /* The one after it is whole. */
    assert_int_equal(message_send(sender, &ping, &body, (struct bytes){0}, NULL), 0);
    assert_int_equal(message_receive(receiver, &message, &err), 0);
    assert_int_equal(message.route.correlation, 9);
    message_release(&message);
}

static void test_refused(void **state)
{
    (void)state;
    struct buf route = {0};
    wire_encode_route(&ping, &route);
    struct bytes signature = bytes_of_string("AF01"), head = buf_bytes(&route), empty = {0};
    struct bytes one[] = {signature};
    assert_refused_then_well(1, one, ERR_MALFORMED, "this one has 1");
    struct bytes two[] = {signature, head};
    assert_refused_then_well(2, two, ERR_MALFORMED, "this one has 2");
    struct bytes five[] = {signature, head, empty, empty, empty};
    assert_refused_then_well(5, five, ERR_MALFORMED, "this one has 5");
    struct bytes nine[] = {signature, head, empty, empty, empty, empty, empty, empty, empty};
    assert_refused_then_well(9, nine, ERR_MALFORMED, "this one has 9");
    struct bytes nothing[] = {empty};
    assert_refused_then_well(1, nothing, ERR_MALFORMED, "signature AF01");
    struct bytes stranger[] = {bytes_of_string("GET / HTTP/1.1"), head, empty};
    assert_refused_then_well(3, stranger, ERR_MALFORMED, "signature AF01");
    struct bytes longer[] = {bytes_of_string("AF011"), head, empty};
    assert_refused_then_well(3, longer, ERR_MALFORMED, "signature AF01");
    struct bytes later[] = {bytes_of_string("AF12"), head, empty};
    assert_refused_then_well(3, later, ERR_VERSION,
                             "version 12 of the protocol, this program version 1");
    struct bytes letters[] = {bytes_of_string("AFxy"), head, empty};
    assert_refused_then_well(3, letters, ERR_MALFORMED, "signature AF01");
    struct bytes bad_route[] = {signature, bytes_of_string("\xff"), empty};
    assert_refused_then_well(3, bad_route, ERR_MALFORMED, "Route is not well formed");
    buf_release(&route);
    struct wire_route request = {.kind = WIRE_REQUEST, .correlation = 77};
    wire_encode_route(&request, &route);
    struct bytes bad_body[] = {signature, buf_bytes(&route), empty};
    assert_refused_then_well(3, bad_body, ERR_MALFORMED, "missing");
    buf_release(&route);
}

/* What could be read of the route is there, so that a refusal can be answered. */
static void test_route_of_a_refused_message(void **state)
{
    (void)state;
    struct message message = {0};
    struct buf route = {0};
    wire_encode_route(
        &(struct wire_route){.kind = WIRE_REQUEST, .from = "client:a", .correlation = 77}, &route);
    struct bytes frames[] = {bytes_of_string("AF01"), buf_bytes(&route), {0}};
    send_raw(3, frames);
    assert_int_equal(message_receive(receiver, &message, NULL), ERR_MALFORMED);
    assert_int_equal(message.route.correlation, 77);
    assert_string_equal(message.route.from, "client:a");
    buf_release(&route);
    message_release(&message);
}

static void test_sizes(void **state)
{
    (void)state;
    struct message message = {0};
    struct err err;
    uint8_t *large = calloc(1, LIMIT_MESSAGE_BYTES);
    struct wire_route route = {.kind = WIRE_LINK_FRAME};
    struct wire_body body = {.kind = WIRE_LINK_FRAME, .frame = {.link = {1, 1}}};
    /* Small, large enough to be handed over, and the largest that fits. */
    static const size_t sizes[] = {1, 8191, 8192, 100000, LIMIT_MESSAGE_BYTES - 100};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        large[sizes[i] - 1] = 7;
        body.frame.items = bytes_of(large, sizes[i]);
        assert_int_equal(message_send(sender, &route, &body, (struct bytes){0}, &err), 0);
        assert_int_equal(message_receive(receiver, &message, &err), 0);
        assert_true(bytes_equal(message.body.frame.items, body.frame.items));
    }
    body.frame.items = bytes_of(large, LIMIT_MESSAGE_BYTES);
    assert_int_equal(message_send(sender, &route, &body, (struct bytes){0}, &err), ERR_TOO_LARGE);
    assert_int_equal(message_receive(receiver, &message, &err), ERR_AGAIN);
    /* Somebody who does not mind the limit. */
    struct buf head = {0};
    wire_encode_route(&ping, &head);
    struct bytes frames[] = {
        bytes_of_string("AF01"), buf_bytes(&head), {0}, bytes_of(large, LIMIT_MESSAGE_BYTES)};
    send_raw(4, frames);
    assert_int_equal(message_receive(receiver, &message, &err), ERR_MALFORMED);
    assert_non_null(strstr(err.what, "at most 4194304"));
    buf_release(&head);
    free(large);
    message_release(&message);
}

static void test_full_socket(void **state)
{
    (void)state;
    struct wire_body body = {.kind = WIRE_PING};
    struct message message = {0};
    struct err err;
    size_t sent = 0, received = 0;
    while (message_send(sender, &ping, &body, bytes_of_string("x"), &err) == 0)
        sent++;
    assert_int_equal(err.code, ERR_AGAIN);
    while (message_receive(receiver, &message, &err) == 0)
        received++;
    assert_int_equal(err.code, ERR_AGAIN);
    assert_true(sent > 0 && sent == received);
    message_release(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_route_of_a_refused_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_socket, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
