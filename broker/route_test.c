#include "broker/route.h"

#include "base/limits.h"
#include "proto/wire.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct bytes encoded(struct buf *buf, const char *to, const char *from, uint64_t correlation)
{
    struct wire_route route = {
        .kind = WIRE_LINK_FRAME,
        .to = to,
        .from = from,
        .correlation = correlation,
        .deadline_us = 12345,
        .trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    };
    buf_clear(buf);
    wire_encode_route(&route, buf);
    return buf_bytes(buf);
}

static void assert_bytes(struct bytes bytes, const char *text)
{
    assert_int_equal(bytes.size, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.size);
}

static void test_reads_what_the_codec_writes(void **state)
{
    (void)state;
    struct buf buf = {0};
    struct route route;
    struct bytes frame = encoded(&buf, "coordinator", "client:x1", UINT64_MAX);
    assert_int_equal(route_scan(frame, &route), 0);
    assert_int_equal(route.kind, WIRE_LINK_FRAME);
    assert_true(route.correlation == UINT64_MAX);
    assert_bytes(route.to, "coordinator");
    assert_bytes(route.from, "client:x1");
    assert_true(route.from_is_last);

    assert_int_equal(route_scan(encoded(&buf, "coordinator", NULL, 1), &route), 0);
    assert_int_equal(route.from.size, 0);
    assert_false(route.from_is_last);
    assert_int_equal(route_scan((struct bytes){0}, &route), 0);
    assert_int_equal(route.kind, 0);
    buf_release(&buf);
}

/* What the receiver decodes after the stamp, whatever the sender wrote. */
static void assert_stamped(struct bytes frame, const char *sender, bool in_place)
{
    struct route route;
    struct wire_route decoded;
    struct arena arena = {0};
    struct buf copy = {0};
    buf_append_bytes(&copy, frame);
    assert_int_equal(route_scan(buf_bytes(&copy), &route), 0);
    bool done = route_stamp(copy.data, &route, bytes_of_string(sender));
    assert_int_equal(done, in_place);
    if (!done) {
        size_t size = route_stamped_size(frame.size, bytes_of_string(sender));
        buf_reserve(&copy, size);
        route_stamp_copy(frame, bytes_of_string(sender), copy.data);
        copy.size = size;
    }
    assert_int_equal(wire_decode_route(&arena, buf_bytes(&copy), &decoded, NULL), 0);
    assert_string_equal(decoded.from, sender);
    assert_int_equal(route_scan(buf_bytes(&copy), &route), 0);
    assert_bytes(route.from, sender);
    assert_true(route.from_is_last);
    arena_release(&arena);
    buf_release(&copy);
}

static void test_stamps_the_sender(void **state)
{
    (void)state;
    struct buf buf = {0};
    assert_stamped(encoded(&buf, "coordinator", "client:aa", 7), "client:bb", true);
    assert_stamped(encoded(&buf, "coordinator", "client:aa", 7), "client:aa", true);
    assert_stamped(encoded(&buf, "coordinator", "client:a", 7), "client:bb", false);
    assert_stamped(encoded(&buf, "coordinator", NULL, 7), "client:bb", false);
    char longest[LIMIT_ADDRESS_BYTES + 1] = "client:";
    memset(longest + 7, 'x', sizeof longest - 8);
    longest[sizeof longest - 1] = '\0';
    assert_stamped(encoded(&buf, "coordinator", NULL, 7), longest, false);
    assert_stamped(encoded(&buf, "coordinator", "client:a", 7), longest, false);
    buf_release(&buf);
}

static void test_a_later_field_forbids_stamping_in_place(void **state)
{
    (void)state;
    struct buf buf = {0};
    encoded(&buf, "coordinator", "client:aa", 7);
    buf_append(&buf, "\x08\x06", 2); /* kind once more: PING */
    assert_stamped(buf_bytes(&buf), "client:bb", false);
    struct route route;
    assert_int_equal(route_scan(buf_bytes(&buf), &route), 0);
    assert_int_equal(route.kind, WIRE_PING);
    /* Two senders: the last one is what a receiver would believe. */
    encoded(&buf, "coordinator", "client:aa", 7);
    buf_append(&buf,
               "\x1a\x09"
               "client:cc",
               11);
    assert_stamped(buf_bytes(&buf), "client:bb", true);
    buf_release(&buf);
}

static void test_passes_over_unknown_fields(void **state)
{
    (void)state;
    static const uint8_t FRAME[] = {
        0x08, 0x06,                                     /* kind */
        0x78, 0x80, 0x01,                               /* 15: a varint */
        0x79, 1,    2,    3,    4,    5,   6,   7,   8, /* 15: fixed64 */
        0x7a, 2,    'h',  'i',                          /* 15: bytes */
        0x7d, 1,    2,    3,    4,                      /* 15: fixed32 */
        0xf8, 0xff, 0xff, 0xff, 0x0f, 0,                /* the highest field number */
        0x12, 6,    'b',  'r',  'o',  'k', 'e', 'r',    /* to */
    };
    struct route route;
    assert_int_equal(route_scan(bytes_of(FRAME, sizeof FRAME), &route), 0);
    assert_int_equal(route.kind, WIRE_PING);
    assert_bytes(route.to, "broker");
}

struct refused {
    const char *bytes;
    size_t size;
};
#define REFUSED(text)                                                                              \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }

static void test_refuses_what_is_no_protobuf(void **state)
{
    (void)state;
    static const struct refused FRAMES[] = {
        REFUSED("\x08"),                                         /* a tag alone */
        REFUSED("\x08\x80"),                                     /* half a varint */
        REFUSED("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), /* more than 64 bits */
        REFUSED("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
        REFUSED("\x12\x05"
                "abcd"),                                         /* shorter than it says */
        REFUSED("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* much shorter */
        REFUSED("\x10\x01"),                                     /* an address that is a number */
        REFUSED("\x0a\x01x"),                                    /* a kind that is a text */
        REFUSED("\x2d\x01\x02\x03"),                             /* half a fixed32 */
        REFUSED("\x29\x01\x02\x03\x04\x05\x06\x07"),             /* half a fixed64 */
        REFUSED("\x7b\x7c"),                                     /* a group */
        REFUSED("\x7e\x01"),                                     /* no such type */
        REFUSED("\x00\x01"),                                     /* field 0 */
        REFUSED("\x80\x80\x80\x80\x80\x01\x01"),                 /* a tag past 32 bits */
    };
    for (size_t i = 0; i < sizeof FRAMES / sizeof FRAMES[0]; i++) {
        /* On the heap, so that a sanitizer sees a byte read past the end. */
        uint8_t *copy = xmalloc(FRAMES[i].size);
        struct route route;
        memcpy(copy, FRAMES[i].bytes, FRAMES[i].size);
        if (route_scan(bytes_of(copy, FRAMES[i].size), &route) != ERR_MALFORMED)
            fail_msg("frame %zu was not refused", i);
        free(copy);
    }
}

static void test_keeps_the_correlation_of_a_refused_route(void **state)
{
    (void)state;
    struct route route;
    assert_int_equal(route_scan(bytes_of("\x20\x2a\x12\x09x", 5), &route), ERR_MALFORMED);
    assert_int_equal(route.correlation, 42);
}

static void test_bounds_sizes(void **state)
{
    (void)state;
    struct buf buf = {0};
    struct route route;
    buf_append(&buf, "\x12\x81\x01", 3);
    for (int i = 0; i < LIMIT_ADDRESS_BYTES + 1; i++)
        buf_putc(&buf, 'a');
    assert_int_equal(route_scan(buf_bytes(&buf), &route), ERR_TOO_LARGE);
    buf_clear(&buf);
    for (int i = 0; i < LIMIT_ROUTE_BYTES / 2 + 1; i++)
        buf_append(&buf, "\x08\x06", 2);
    assert_int_equal(route_scan(buf_bytes(&buf), &route), ERR_TOO_LARGE);
    buf.size = LIMIT_ROUTE_BYTES;
    assert_int_equal(route_scan(buf_bytes(&buf), &route), 0);
    buf_release(&buf);
}

static void test_classifies_addresses(void **state)
{
    (void)state;
    struct bytes rest = {0};
    assert_int_equal(route_classify(bytes_of_string("broker"), &rest), ROUTE_BROKER);
    assert_int_equal(route_classify(bytes_of_string("brokers"), &rest), ROUTE_DIRECT);
    assert_int_equal(route_classify(bytes_of_string("coordinator"), &rest), ROUTE_DIRECT);
    assert_int_equal(route_classify(bytes_of_string("agent:echo"), &rest), ROUTE_AGENT);
    assert_bytes(rest, "echo");
    assert_int_equal(route_classify(bytes_of_string(""), &rest), ROUTE_NOWHERE);
    assert_int_equal(route_classify(bytes_of("\0abcd", 5), &rest), ROUTE_NOWHERE);
}

static void test_knows_what_a_peer_may_be_called(void **state)
{
    (void)state;
    static const char *const GOOD[] = {"coordinator", "client:a", "instance:inst_1", "host:h",
                                       "egress:e"};
    static const char *const BAD[] = {
        "", "broker", "agent:echo", "agent:", "client:", "client", "client:a b", "Client:a"};
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++)
        assert_true(route_is_peer(bytes_of_string(GOOD[i])));
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        assert_false(route_is_peer(bytes_of_string(BAD[i])));
    assert_false(route_is_peer(bytes_of("\0\x80\x01\x02\x03", 5)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_the_codec_writes),
        cmocka_unit_test(test_stamps_the_sender),
        cmocka_unit_test(test_a_later_field_forbids_stamping_in_place),
        cmocka_unit_test(test_passes_over_unknown_fields),
        cmocka_unit_test(test_refuses_what_is_no_protobuf),
        cmocka_unit_test(test_keeps_the_correlation_of_a_refused_route),
        cmocka_unit_test(test_bounds_sizes),
        cmocka_unit_test(test_classifies_addresses),
        cmocka_unit_test(test_knows_what_a_peer_may_be_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
