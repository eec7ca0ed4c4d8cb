#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "proto/pb.h"
#include "proto/wire.h"
#include "proto/wire_samples.h"

/* --- decoding of bytes written by hand ---------------------------------------------------------
 */

static struct arena arena;

static int clear(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static void put_text(struct buf *out, size_t number, const char *text)
{
    pb_put_tag(out, number, PB_DELIMITED);
    pb_put_varint(out, strlen(text));
    buf_puts(out, text);
}

static void put_number(struct buf *out, size_t number, uint64_t value)
{
    pb_put_tag(out, number, PB_VARINT);
    pb_put_varint(out, value);
}

static void put_nested(struct buf *out, size_t number, const struct buf *nested)
{
    pb_put_tag(out, number, PB_DELIMITED);
    pb_put_varint(out, nested->size);
    buf_append_bytes(out, buf_bytes(nested));
}

/* Consumes the bytes: copies them to their exact size, so that a sanitizer sees a step beyond. */
static int decode_body(enum wire_kind kind, struct buf *bytes, struct wire_body *ret,
                       struct err *err)
{
    struct bytes exact = arena_copy(&arena, buf_bytes(bytes));
    buf_release(bytes);
    return wire_decode_body(&arena, kind, exact, ret, err);
}

static void assert_refused(enum wire_kind kind, struct buf *bytes, const char *where,
                           const char *what)
{
    struct err err = {0};
    struct wire_body body = {.kind = WIRE_PONG};
    assert_int_equal(decode_body(kind, bytes, &body, &err), ERR_MALFORMED);
    assert_int_equal(err.code, ERR_MALFORMED);
    assert_string_equal(err.where, where);
    if (!strstr(err.what, what))
        fail_msg("\"%s\" does not tell of \"%s\"", err.what, what);
    assert_int_equal(body.kind, WIRE_PONG); /* untouched */
}

static void assert_items_refused(struct buf *bytes, const char *where, const char *what)
{
    struct err err = {0};
    struct wire_items items = {.count = 99};
    struct bytes exact = arena_copy(&arena, buf_bytes(bytes));
    buf_release(bytes);
    assert_int_equal(wire_decode_items(&arena, exact, &items, &err), ERR_MALFORMED);
    assert_string_equal(err.where, where);
    if (!strstr(err.what, what))
        fail_msg("\"%s\" does not tell of \"%s\"", err.what, what);
    assert_int_equal(items.count, 99);
}

/* --- round trips -------------------------------------------------------------------------------
 */

static void test_route_round_trip(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct wire_route route;
    wire_encode_route(&sample_route, &bytes);
    assert_int_equal(wire_decode_route(&arena, buf_bytes(&bytes), &route, NULL), 0);
    assert_int_equal(route.kind, WIRE_LINK_FRAME);
    assert_string_equal(route.to, sample_route.to);
    assert_string_equal(route.from, sample_route.from);
    assert_true(route.correlation == UINT64_MAX);
    assert_int_equal(route.deadline_us, -5);
    assert_string_equal(route.trace, sample_route.trace);
    /* The sender stands at the end, where it can be replaced. */
    size_t size = strlen(sample_route.from);
    assert_memory_equal(bytes.data + bytes.size - size, sample_route.from, size);
    buf_release(&bytes);
}

static void test_route_defaults(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct wire_route route;
    wire_encode_route(&(struct wire_route){.kind = WIRE_PING}, &bytes);
    assert_int_equal(bytes.size, 2);
    assert_int_equal(wire_decode_route(&arena, buf_bytes(&bytes), &route, NULL), 0);
    assert_string_equal(route.to, "");
    assert_string_equal(route.from, "");
    assert_string_equal(route.trace, "");
    assert_true(route.correlation == 0 && route.deadline_us == 0);
    buf_release(&bytes);
}

static void test_bodies_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < sample_bodies_count; i++) {
        struct buf first = {0}, second = {0};
        struct wire_body body;
        wire_encode_body(&sample_bodies[i], &first);
        assert_int_equal(
            wire_decode_body(&arena, sample_bodies[i].kind, buf_bytes(&first), &body, NULL), 0);
        assert_int_equal(body.kind, sample_bodies[i].kind);
        wire_encode_body(&body, &second);
        assert_true(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
        buf_release(&first);
        buf_release(&second);
    }
}

static void test_hello_values(void **state)
{
    (void)state;
    const struct wire_hello *sample = NULL;
    for (size_t i = 0; i < sample_bodies_count; i++) {
        if (sample_bodies[i].kind == WIRE_LINK_HELLO && sample_bodies[i].hello.inventory_count > 0)
            sample = &sample_bodies[i].hello;
    }
    struct buf bytes = {0};
    struct wire_body body, copy = {.kind = WIRE_LINK_HELLO, .hello = *sample};
    wire_encode_body(&copy, &bytes);
    assert_int_equal(decode_body(WIRE_LINK_HELLO, &bytes, &body, NULL), 0);
    const struct wire_hello *hello = &body.hello;
    assert_true(hello->boot == sample->boot && hello->number == 3 && hello->credit == 8);
    assert_string_equal(hello->role, "instance");
    assert_string_equal(hello->program, "agentd 0.1.0");
    assert_int_equal(hello->inventory_count, 2);
    const struct wire_claim *claim = &hello->inventory[0];
    assert_true(uuid_equal(claim->execution, sample->inventory[0].execution));
    assert_string_equal(claim->path, "draft");
    assert_true(claim->run.epoch == 1 && claim->run.counter == 7);
    assert_int_equal(claim->acknowledged_step, 2);
    assert_int_equal(claim->unacknowledged_count, 3);
    assert_true(claim->unacknowledged_steps[2] == UINT32_MAX);
    assert_int_equal(hello->inventory[1].unacknowledged_count, 0);
}

static void assert_items_equal(const struct wire_items *a, const struct wire_items *b)
{
    struct buf first = {0}, second = {0};
    wire_encode_items(a, &first);
    wire_encode_items(b, &second);
    assert_true(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    buf_release(&first);
    buf_release(&second);
}

static void test_items_round_trip(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct wire_items items;
    wire_encode_items(&sample_items, &bytes);
    assert_int_equal(wire_decode_items(&arena, buf_bytes(&bytes), &items, NULL), 0);
    assert_items_equal(&items, &sample_items);
    for (size_t i = 0; i < items.count; i++)
        assert_int_equal(items.items[i].kind, sample_items.items[i].kind);
    const struct wire_dispatch *dispatch = &items.items[0].dispatch;
    assert_true(datum_equal(&dispatch->message, &sample_items.items[0].dispatch.message));
    assert_string_equal(dispatch->workflow, "brief");
    const struct wire_step *step = &items.items[2].step;
    assert_true(step->output.is_blob && step->output.size_bytes == 70000);
    assert_string_equal(step->failure.code, ""); /* never NULL, also where nothing was */
    assert_string_equal(step->failure.detail, "");
    assert_int_equal(items.items[5].process.exit_status, -1);
    assert_string_equal(items.items[6].process.stopped, "");
    buf_release(&bytes);
}

static void test_items_one_by_one(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct wire_items items;
    wire_append_item(&sample_items.items[1], &bytes);
    wire_append_credit(5, true, &bytes);
    wire_append_item(&sample_items.items[2], &bytes);
    wire_append_credit(6, false, &bytes); /* the last word counts */
    assert_int_equal(wire_decode_items(&arena, buf_bytes(&bytes), &items, NULL), 0);
    assert_true(items.has_credit && items.credit == 6 && !items.draining);
    assert_int_equal(items.count, 2);
    assert_int_equal(items.items[1].kind, WIRE_ITEM_STEP);
    buf_release(&bytes);
}

static void test_items_absent(void **state)
{
    (void)state;
    struct wire_items items;
    assert_int_equal(wire_decode_items(&arena, (struct bytes){0}, &items, NULL), 0);
    assert_true(!items.has_credit && !items.draining && items.count == 0);
    struct buf bytes = {0};
    wire_encode_items(&(struct wire_items){.has_credit = true}, &bytes);
    assert_int_equal(wire_decode_items(&arena, buf_bytes(&bytes), &items, NULL), 0);
    assert_true(items.has_credit && items.credit == 0); /* a credit of none is a credit */
    buf_release(&bytes);
}

/* Sizes around each digit of a nested message's size, which is written after its content. */
static void test_nested_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 60, 126, 127, 128, 129, 16000, 16383, 16384, 65536};
    uint8_t *data = arena_alloc(&arena, LIMIT_INLINE_BYTES);
    for (size_t i = 0; i < LIMIT_INLINE_BYTES; i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct wire_item item = sample_items.items[0];
        struct wire_items one = {.items = &item, .count = 1}, decoded;
        struct buf bytes = {0};
        item.dispatch.message = datum_inline(bytes_of(data, sizes[i]));
        wire_encode_items(&one, &bytes);
        assert_int_equal(wire_decode_items(&arena, buf_bytes(&bytes), &decoded, NULL), 0);
        assert_true(datum_equal(&decoded.items[0].dispatch.message, &item.dispatch.message));
        assert_string_equal(decoded.items[0].dispatch.workflow, "brief");
        buf_release(&bytes);
    }
}

static void test_kinds_without_body(void **state)
{
    (void)state;
    static const enum wire_kind kinds[] = {WIRE_WHO,  WIRE_UNREGISTER, WIRE_PING,
                                           WIRE_PONG, WIRE_PEERS,      WIRE_PEERS_REPLY};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct wire_body body;
        struct buf none = {0};
        assert_int_equal(
            wire_decode_body(&arena, kinds[i], bytes_of_string("any\xff bytes"), &body, NULL), 0);
        assert_int_equal(body.kind, kinds[i]);
        wire_encode_body(&body, &none);
        assert_int_equal(none.size, 0);
    }
}

/* --- what is refused ---------------------------------------------------------------------------
 */

static void assert_route_refused(struct buf *bytes, const char *where, const char *what)
{
    struct err err = {0};
    struct wire_route route = {.kind = WIRE_PONG};
    struct bytes exact = arena_copy(&arena, buf_bytes(bytes));
    buf_release(bytes);
    assert_int_equal(wire_decode_route(&arena, exact, &route, &err), ERR_MALFORMED);
    assert_string_equal(err.where, where);
    if (!strstr(err.what, what))
        fail_msg("\"%s\" does not tell of \"%s\"", err.what, what);
    assert_int_equal(route.kind, WIRE_PONG);
}

static void test_route_refused(void **state)
{
    (void)state;
    struct buf bytes = {0};
    put_text(&bytes, 2, "coordinator");
    assert_route_refused(&bytes, "kind", "missing");
    put_number(&bytes, 1, 12);
    assert_route_refused(&bytes, "kind", "kind 12");
    put_number(&bytes, 1, UINT64_MAX);
    assert_route_refused(&bytes, "kind", "enumerator");
    put_number(&bytes, 1, WIRE_PING);
    put_text(&bytes, 2, "coordinato");
    assert_route_refused(&bytes, "to", "\"coordinato\" is not a valid to");
    put_number(&bytes, 1, WIRE_PING);
    put_text(&bytes, 3, "agent:\n");
    assert_route_refused(&bytes, "from", "not a valid");
    put_text(&bytes, 1, "text");
    assert_route_refused(&bytes, "kind", "another type");
    put_number(&bytes, 1, WIRE_PING);
    pb_put_tag(&bytes, 6, PB_DELIMITED);
    pb_put_varint(&bytes, LIMIT_TRACE_BYTES + 1);
    for (size_t i = 0; i <= LIMIT_TRACE_BYTES; i++)
        buf_putc(&bytes, 'x');
    assert_route_refused(&bytes, "trace", "at most 128");
}

static void test_unknown_fields_pass(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct wire_route route;
    put_number(&bytes, 1, WIRE_PING);
    put_number(&bytes, 7, 1);
    put_text(&bytes, 4000, "later");
    pb_put_tag(&bytes, 8, PB_FIXED32);
    buf_append(&bytes, "abcd", 4);
    pb_put_tag(&bytes, 9, PB_FIXED64);
    buf_append(&bytes, "abcdefgh", 8);
    assert_int_equal(wire_decode_route(&arena, buf_bytes(&bytes), &route, NULL), 0);
    buf_release(&bytes);
}

static void test_format_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"\x80", 1},                                          /* a tag that does not end */
        {"\x08", 1},                                          /* no value */
        {"\x08\x80", 2},                                      /* a value that does not end */
        {"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", 11}, /* more than 64 bits */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12},
        {"\x00\x01", 2}, /* field 0 */
        {"\x0b", 1},     /* a group */
        {"\x0c", 1},
        {"\x0e\x01", 2}, /* wire types that do not exist */
        {"\x0f\x01", 2},
        {"\x12\x05"
         "abcd",
         6}, /* longer than what is there */
        {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
        {"\x29\x01\x02\x03\x04\x05\x06\x07", 8}, /* half a fixed64 */
        {"\x3d\x01\x02\x03", 4},                 /* half a fixed32 */
        {"\xf8\xff\xff\xff\xff\x01\x01", 7},     /* a tag beyond 32 bits */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf bytes = {0};
        buf_append(&bytes, cases[i].bytes, cases[i].size);
        assert_route_refused(&bytes, "", "not well formed");
    }
}

static void test_texts_refused(void **state)
{
    (void)state;
    struct buf bytes = {0};
    pb_put_tag(&bytes, 1, PB_DELIMITED);
    pb_put_varint(&bytes, 3);
    buf_append(&bytes, "a\0b", 3);
    assert_refused(WIRE_REQUEST, &bytes, "method", "NUL");
    put_text(&bytes, 1, "\xc0\xaf");
    assert_refused(WIRE_REQUEST, &bytes, "method", "UTF-8");
    put_text(&bytes, 1, "\xed\xa0\x80");
    assert_refused(WIRE_REQUEST, &bytes, "method", "UTF-8");
    put_text(&bytes, 2, "key");
    assert_refused(WIRE_REQUEST, &bytes, "method", "missing");
}

static void test_bodies_refused(void **state)
{
    (void)state;
    struct buf bytes = {0}, nested = {0};
    put_number(&bytes, 1, 1);
    put_text(&bytes, 4, "Scout");
    assert_refused(WIRE_REGISTER, &bytes, "agents", "\"Scout\"");
    put_number(&bytes, 1, 1);
    for (size_t i = 0; i <= LIMIT_PEER_AGENTS; i++)
        put_text(&bytes, 4, "scout");
    assert_refused(WIRE_REGISTER, &bytes, "agents", "more than 64");
    put_number(&bytes, 1, 1ull << 32);
    assert_refused(WIRE_REGISTER, &bytes, "major", "32 bits");
    put_text(&bytes, 1, "short");
    assert_refused(WIRE_BLOB_GET, &bytes, "hash", "32 bytes");
    put_number(&bytes, 2, 1);
    assert_refused(WIRE_BLOB_GET, &bytes, "hash", "missing");
    put_number(&bytes, 2, 1);
    assert_refused(WIRE_LINK_FRAME, &bytes, "link", "missing");
    put_number(&nested, 1, 1);
    put_nested(&bytes, 1, &nested);
    put_nested(&bytes, 1, &nested);
    assert_refused(WIRE_LINK_FRAME, &bytes, "link", "twice");
    buf_release(&nested);
    struct wire_body body;
    assert_int_equal(wire_decode_body(&arena, (enum wire_kind)12, (struct bytes){0}, &body, NULL),
                     ERR_MALFORMED);
    assert_int_equal(wire_decode_body(&arena, WIRE_NONE, (struct bytes){0}, &body, NULL),
                     ERR_MALFORMED);
}

static void put_hello(struct buf *bytes, uint64_t boot, const char *role, const char *agent)
{
    put_number(bytes, 1, boot);
    put_number(bytes, 2, 1);
    put_text(bytes, 3, role);
    put_text(bytes, 4, agent);
}

static void test_hello_refused(void **state)
{
    (void)state;
    struct buf bytes = {0}, claim = {0};
    put_hello(&bytes, 0, "host", "");
    assert_refused(WIRE_LINK_HELLO, &bytes, "", "greater than 0");
    put_hello(&bytes, 1, "guest", "");
    assert_refused(WIRE_LINK_HELLO, &bytes, "role", "\"guest\"");
    put_hello(&bytes, 1, "instance", "");
    assert_refused(WIRE_LINK_HELLO, &bytes, "agent", "no agent");
    put_hello(&bytes, 1, "host", "");
    put_text(&claim, 1, "exec_01h455vb4pex5vsknk084sn02q");
    put_text(&claim, 2, "draft//1");
    put_nested(&bytes, 8, &claim);
    assert_refused(WIRE_LINK_HELLO, &bytes, "inventory[0].path", "\"draft//1\"");
    claim.size = 0;
    put_text(&claim, 1, "inst_01h455vb4pex5vsknk084sn02q");
    put_hello(&bytes, 1, "host", "");
    put_nested(&bytes, 8, &claim);
    assert_refused(WIRE_LINK_HELLO, &bytes, "inventory[0].execution", "execution's id");
    claim.size = 0;
    put_text(&claim, 1, "exec_81h455vb4pex5vsknk084sn02q"); /* more than 128 bits */
    put_hello(&bytes, 1, "host", "");
    put_nested(&bytes, 8, &claim);
    assert_refused(WIRE_LINK_HELLO, &bytes, "inventory[0].execution", "execution's id");
    buf_release(&claim);
}

static void test_welcome_refused(void **state)
{
    (void)state;
    struct buf bytes = {0}, link = {0};
    put_number(&bytes, 1, 1);
    put_number(&bytes, 2, 1);
    assert_refused(WIRE_LINK_WELCOME, &bytes, "", "either a link or a reason");
    put_number(&link, 1, 1);
    put_number(&bytes, 1, 1);
    put_number(&bytes, 2, 1);
    put_nested(&bytes, 3, &link);
    put_text(&bytes, 5, "no");
    assert_refused(WIRE_LINK_WELCOME, &bytes, "", "either a link or a reason");
    buf_release(&link);
}

/* Unacknowledged steps may come one by one or packed: both are protobuf. */
static void test_packed_numbers(void **state)
{
    (void)state;
    struct buf claim = {0}, run = {0}, bytes = {0};
    put_number(&run, 2, 1);
    put_text(&claim, 1, "exec_01h455vb4pex5vsknk084sn02q");
    put_text(&claim, 2, "draft");
    put_nested(&claim, 3, &run);
    put_number(&claim, 5, 1);
    pb_put_tag(&claim, 5, PB_DELIMITED);
    pb_put_varint(&claim, 3);
    buf_append(&claim, "\x02\xac\x02", 3);
    put_number(&claim, 5, 4);
    put_hello(&bytes, 1, "host", "");
    put_nested(&bytes, 8, &claim);
    struct wire_body body;
    assert_int_equal(decode_body(WIRE_LINK_HELLO, &bytes, &body, NULL), 0);
    const struct wire_claim *decoded = &body.hello.inventory[0];
    assert_int_equal(decoded->unacknowledged_count, 4);
    assert_int_equal(decoded->unacknowledged_steps[2], 300);
    assert_int_equal(decoded->unacknowledged_steps[3], 4);
    pb_put_tag(&claim, 5, PB_DELIMITED);
    pb_put_varint(&claim, 1);
    buf_putc(&claim, '\x80');
    put_hello(&bytes, 1, "host", "");
    put_nested(&bytes, 8, &claim);
    assert_refused(WIRE_LINK_HELLO, &bytes, "inventory[0].unacknowledged_steps", "not well formed");
    buf_release(&run);
    buf_release(&claim);
}

/* A step with its parts chosen by the caller, as the only item. */
static struct buf step_items(uint32_t attempt, uint32_t kind, bool failure,
                             const struct buf *output)
{
    struct buf step = {0}, run = {0}, fail = {0}, item = {0}, bytes = {0};
    put_number(&run, 1, 1);
    put_text(&fail, 1, "exit");
    put_text(&step, 1, "exec_01h455vb4pex5vsknk084sn02q");
    put_text(&step, 2, "draft");
    put_number(&step, 3, attempt);
    put_nested(&step, 4, &run);
    put_number(&step, 5, 1);
    put_number(&step, 6, kind);
    if (output)
        put_nested(&step, 10, output);
    if (failure)
        put_nested(&step, 11, &fail);
    put_nested(&item, 3, &step);
    put_nested(&bytes, 3, &item);
    buf_release(&step);
    buf_release(&run);
    buf_release(&fail);
    buf_release(&item);
    return bytes;
}

static void test_steps_refused(void **state)
{
    (void)state;
    struct wire_items items;
    struct buf bytes = step_items(1, WIRE_STEP_RESULT, false, NULL);
    assert_int_equal(wire_decode_items(&arena, buf_bytes(&bytes), &items, NULL), 0);
    buf_release(&bytes);
    bytes = step_items(0, WIRE_STEP_RESULT, false, NULL);
    assert_items_refused(&bytes, "items[0].step", "from 1");
    bytes = step_items(1, 0, false, NULL);
    assert_items_refused(&bytes, "items[0].step", "no kind");
    bytes = step_items(1, 5, false, NULL);
    assert_items_refused(&bytes, "items[0].step.kind", "enumerator");
    bytes = step_items(1, WIRE_STEP_RESULT, true, NULL);
    assert_items_refused(&bytes, "items[0].step", "exactly when");
    bytes = step_items(1, WIRE_STEP_FAILURE, false, NULL);
    assert_items_refused(&bytes, "items[0].step", "exactly when");
}

static void test_data_refused(void **state)
{
    (void)state;
    struct buf datum = {0}, bytes;
    put_text(&datum, 1, "\x01");
    put_text(&datum, 2, "0123456789abcdef0123456789abcdef");
    bytes = step_items(1, WIRE_STEP_RESULT, false, &datum);
    assert_items_refused(&bytes, "items[0].step.output", "not both");
    datum.size = 0;
    put_text(&datum, 2, "0123456789abcdef0123456789abcde");
    bytes = step_items(1, WIRE_STEP_RESULT, false, &datum);
    assert_items_refused(&bytes, "items[0].step.output", "32 bytes");
    datum.size = 0;
    put_text(&datum, 2, "0123456789abcdef0123456789abcdef");
    bytes = step_items(1, WIRE_STEP_RESULT, false, &datum);
    assert_items_refused(&bytes, "items[0].step.output", "size of a blob");
    datum.size = 0;
    pb_put_tag(&datum, 1, PB_DELIMITED);
    pb_put_varint(&datum, LIMIT_INLINE_BYTES + 1);
    for (size_t i = 0; i <= LIMIT_INLINE_BYTES; i++)
        buf_putc(&datum, 'x');
    bytes = step_items(1, WIRE_STEP_RESULT, false, &datum);
    assert_items_refused(&bytes, "items[0].step.output", "at most 65536");
    buf_release(&datum);
}

static void test_items_refused(void **state)
{
    (void)state;
    struct buf bytes = {0}, item = {0}, drop = {0}, run = {0};
    put_nested(&bytes, 3, &item);
    assert_items_refused(&bytes, "items[0]", "no item");
    put_number(&run, 1, 1);
    put_text(&drop, 1, "exec_01h455vb4pex5vsknk084sn02q");
    put_text(&drop, 2, "draft");
    put_nested(&drop, 3, &run);
    put_nested(&item, 2, &drop);
    struct wire_items items;
    put_nested(&bytes, 3, &item);
    assert_int_equal(wire_decode_items(&arena, buf_bytes(&bytes), &items, NULL), 0);
    bytes.size = 0;
    put_nested(&item, 3, &drop);
    put_nested(&bytes, 3, &item);
    assert_items_refused(&bytes, "items[0].step", "exactly one");
    item.size = 0;
    put_nested(&item, 2, &drop);
    put_nested(&item, 2, &drop);
    put_nested(&bytes, 3, &item);
    assert_items_refused(&bytes, "items[0].drop", "twice");
    item.size = 0;
    put_nested(&item, 2, &drop);
    for (size_t i = 0; i <= LIMIT_LINK_ITEMS; i++)
        put_nested(&bytes, 3, &item);
    assert_items_refused(&bytes, "items", "more than 256");
    buf_release(&item);
    buf_release(&drop);
    buf_release(&run);
}

/* --- cuts and flipped bits ---------------------------------------------------------------------
 */

static void decode_sample(enum wire_kind kind, struct bytes bytes, bool is_items)
{
    struct err err = {0};
    struct wire_body body;
    struct wire_items items;
    struct buf again = {0};
    int rc = is_items ? wire_decode_items(&arena, bytes, &items, &err)
                      : wire_decode_body(&arena, kind, bytes, &body, &err);
    assert_true(rc == 0 || (rc == ERR_MALFORMED && err.what[0]));
    /* What was accepted can be written. */
    if (rc == 0 && is_items)
        wire_encode_items(&items, &again);
    else if (rc == 0)
        wire_encode_body(&body, &again);
    buf_release(&again);
}

static void hurt(enum wire_kind kind, const struct buf *whole, bool is_items)
{
    for (size_t size = 0; size < whole->size; size++) {
        uint8_t *exact = malloc(size ? size : 1);
        memcpy(exact, whole->data, size);
        decode_sample(kind, bytes_of(exact, size), is_items);
        free(exact);
        arena_clear(&arena);
    }
    uint8_t *copy = malloc(whole->size);
    memcpy(copy, whole->data, whole->size);
    for (size_t bit = 0; bit < whole->size * 8; bit++) {
        copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        decode_sample(kind, bytes_of(copy, whole->size), is_items);
        copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        arena_clear(&arena);
    }
    free(copy);
}

static void test_hurt(void **state)
{
    (void)state;
    struct buf bytes = {0};
    for (size_t i = 0; i < sample_bodies_count; i++) {
        bytes.size = 0;
        wire_encode_body(&sample_bodies[i], &bytes);
        hurt(sample_bodies[i].kind, &bytes, false);
    }
    bytes.size = 0;
    wire_encode_items(&sample_items, &bytes);
    hurt(WIRE_NONE, &bytes, true);
    buf_release(&bytes);
}

/* --- names -------------------------------------------------------------------------------------
 */

typedef bool valid_fn(const char *text, size_t size);

static void assert_valid(valid_fn *valid, const char *text, bool expected)
{
    if (valid(text, strlen(text)) != expected)
        fail_msg("\"%s\" should%s be valid", text, expected ? "" : " not");
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const good[] = {"broker",
                                       "coordinator",
                                       "agent:scout",
                                       "agent:a-b_3",
                                       "instance:inst_01h455vb4pex5vsknk084sn02q",
                                       "host:host_1",
                                       "egress:e",
                                       "client:My.Program-1"};
    static const char *const bad[] = {
        "",          "Broker",       "coordinator:",    "agent:",     "agent:Scout", "agent:scout ",
        "instance:", "instance:a b", "client:\xc3\xa4", "client:a:b", "nobody:x",    "agent",
        "brokerx"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_valid(wire_address_valid, good[i], true);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_valid(wire_address_valid, bad[i], false);
    char longest[LIMIT_ADDRESS_BYTES + 2] = "client:";
    memset(longest + 7, 'x', LIMIT_ADDRESS_BYTES - 7);
    assert_valid(wire_address_valid, longest, true);
    longest[LIMIT_ADDRESS_BYTES] = 'x';
    assert_valid(wire_address_valid, longest, false);
}

static void test_paths(void **state)
{
    (void)state;
    static const char *const good[] = {"draft",        "score[17]", "draft/1",
                                       "score[0]/2/1", "a-b/10",    "x[99999]"};
    static const char *const bad[] = {"",         "Draft",     "draft/",         "draft/0",
                                      "draft/01", "draft//1",  "score[]",        "score[01]",
                                      "score[1",  "score[1]x", "score[-1]",      "draft[1][2]",
                                      "draft/a",  "/1",        "draft/12345678", "x[12345678]"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_valid(wire_path_valid, good[i], true);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_valid(wire_path_valid, bad[i], false);
}

static void test_names(void **state)
{
    (void)state;
    char longest[LIMIT_NAME_BYTES + 2];
    memset(longest, 'n', sizeof longest);
    longest[LIMIT_NAME_BYTES] = 0;
    assert_valid(wire_name_valid, longest, true);
    longest[LIMIT_NAME_BYTES] = 'n';
    longest[LIMIT_NAME_BYTES + 1] = 0;
    assert_valid(wire_name_valid, longest, false);
    assert_valid(wire_name_valid, "9lives", false);
    assert_valid(wire_name_valid, "_x", false);
    assert_valid(wire_name_valid, "a.b", false);
}

static void test_runs(void **state)
{
    (void)state;
    struct wire_run a = {1, 9}, b = {2, 1}, c = {2, 2};
    assert_true(wire_run_compare(a, b) < 0);
    assert_true(wire_run_compare(c, b) > 0);
    assert_int_equal(wire_run_compare(b, b), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_route_round_trip, clear),
        cmocka_unit_test_teardown(test_route_defaults, clear),
        cmocka_unit_test_teardown(test_bodies_round_trip, clear),
        cmocka_unit_test_teardown(test_hello_values, clear),
        cmocka_unit_test_teardown(test_items_round_trip, clear),
        cmocka_unit_test_teardown(test_items_one_by_one, clear),
        cmocka_unit_test_teardown(test_items_absent, clear),
        cmocka_unit_test_teardown(test_nested_sizes, clear),
        cmocka_unit_test_teardown(test_kinds_without_body, clear),
        cmocka_unit_test_teardown(test_route_refused, clear),
        cmocka_unit_test_teardown(test_unknown_fields_pass, clear),
        cmocka_unit_test_teardown(test_format_refused, clear),
        cmocka_unit_test_teardown(test_texts_refused, clear),
        cmocka_unit_test_teardown(test_bodies_refused, clear),
        cmocka_unit_test_teardown(test_hello_refused, clear),
        cmocka_unit_test_teardown(test_welcome_refused, clear),
        cmocka_unit_test_teardown(test_packed_numbers, clear),
        cmocka_unit_test_teardown(test_steps_refused, clear),
        cmocka_unit_test_teardown(test_data_refused, clear),
        cmocka_unit_test_teardown(test_items_refused, clear),
        cmocka_unit_test_teardown(test_hurt, clear),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
