/* The codec's own tables against the schema as protobuf-c understands it: the same fields, and the
 * same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/af.pb-c.h"
#include "proto/wire_samples.h"
#include "proto/wire_tables.h"

/* --- the same fields ---------------------------------------------------------------------------
 */

static void assert_type(const ProtobufCFieldDescriptor *theirs, const struct pb_field *ours)
{
    switch (theirs->type) {
    case PROTOBUF_C_TYPE_UINT32: assert_int_equal(ours->type, PB_UINT32); break;
    case PROTOBUF_C_TYPE_UINT64: assert_int_equal(ours->type, PB_UINT64); break;
    case PROTOBUF_C_TYPE_SINT32: assert_int_equal(ours->type, PB_SINT32); break;
    case PROTOBUF_C_TYPE_SFIXED64: assert_int_equal(ours->type, PB_SFIXED64); break;
    case PROTOBUF_C_TYPE_BOOL: assert_int_equal(ours->type, PB_BOOL); break;
    case PROTOBUF_C_TYPE_ENUM: assert_int_equal(ours->type, PB_ENUM); break;
    case PROTOBUF_C_TYPE_STRING:
        assert_true(ours->type == PB_TEXT || ours->type == PB_EXECUTION);
        break;
    case PROTOBUF_C_TYPE_BYTES: assert_true(ours->type == PB_BYTES || ours->type == PB_HASH); break;
    case PROTOBUF_C_TYPE_MESSAGE:
        assert_true(ours->type == PB_MESSAGE || ours->type == PB_DATUM);
        break;
    default: fail_msg("field %s has a type that the codec does not know", theirs->name);
    }
}

static void assert_message(const ProtobufCMessageDescriptor *theirs, const struct pb_message *ours)
{
    unsigned known = 0;
    assert_string_equal(theirs->short_name, ours->name);
    for (size_t i = 1; i < ours->count; i++)
        known += ours->fields[i].type != PB_NONE;
    assert_int_equal(known, theirs->n_fields);
    for (unsigned i = 0; i < theirs->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &theirs->fields[i];
        assert_true(field->id < ours->count);
        const struct pb_field *mine = &ours->fields[field->id];
        assert_string_equal(field->name, mine->name);
        assert_type(field, mine);
        assert_int_equal(field->label == PROTOBUF_C_LABEL_REPEATED,
                         (mine->flags & PB_REPEATED) != 0);
        if (mine->flags & PB_REPEATED)
            assert_true(mine->max > 0);
        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            assert_message(field->descriptor,
                           mine->type == PB_DATUM ? &pb_datum_message : mine->message);
    }
}

static const struct {
    enum wire_kind kind;
    const ProtobufCMessageDescriptor *theirs;
} kinds[] = {
    {WIRE_REGISTER, &af__register__descriptor},
    {WIRE_REGISTERED, &af__registered__descriptor},
    {WIRE_UNDELIVERABLE, &af__undeliverable__descriptor},
    {WIRE_REQUEST, &af__request__descriptor},
    {WIRE_REPLY, &af__reply__descriptor},
    {WIRE_LINK_HELLO, &af__link_hello__descriptor},
    {WIRE_LINK_WELCOME, &af__link_welcome__descriptor},
    {WIRE_LINK_FRAME, &af__link_frame__descriptor},
    {WIRE_LINK_RESET, &af__link_reset__descriptor},
    {WIRE_LINK_BYE, &af__link_reset__descriptor},
    {WIRE_BLOB_GET, &af__blob_get__descriptor},
    {WIRE_BLOB_CHUNK, &af__blob_chunk__descriptor},
    {WIRE_BLOB_PUT, &af__blob_put__descriptor},
    {WIRE_BLOB_STORED, &af__blob_stored__descriptor},
    {WIRE_CALL, &af__call__descriptor},
    {WIRE_CALL_ANSWER, &af__call_answer__descriptor},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static const ProtobufCMessageDescriptor *theirs_of(enum wire_kind kind)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (kinds[i].kind == kind)
            return kinds[i].theirs;
    }
    return NULL;
}

static void test_fields(void **state)
{
    (void)state;
    assert_message(&af__route__descriptor, &wire_route_message);
    assert_message(&af__link_items__descriptor, &wire_items_message);
    for (size_t i = 0; i < KINDS; i++) {
        size_t offset;
        assert_message(kinds[i].theirs, wire_body_message(kinds[i].kind, &offset));
    }
}

static void test_kinds(void **state)
{
    (void)state;
    for (unsigned i = 0; i < af__kind__descriptor.n_values; i++) {
        const ProtobufCEnumValue *value = &af__kind__descriptor.values[i];
        enum wire_kind kind = (enum wire_kind)value->value;
        size_t offset;
        if (kind == WIRE_NONE)
            continue;
        assert_true(wire_kind_known(kind));
        assert_string_equal(value->name + strlen("KIND_"), wire_kind_name(kind));
        assert_int_equal(wire_body_message(kind, &offset) != NULL, theirs_of(kind) != NULL);
    }
    assert_false(wire_kind_known((enum wire_kind)12));
    assert_string_equal(wire_kind_name((enum wire_kind)12), "UNKNOWN");
}

/* --- the same bytes ----------------------------------------------------------------------------
 */

static unsigned unknown_fields(const ProtobufCMessage *message);

static unsigned unknown_fields_below(const ProtobufCMessage *message,
                                     const ProtobufCFieldDescriptor *field)
{
    const uint8_t *base = (const uint8_t *)message;
    unsigned count = 0;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return 0;
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        ProtobufCMessage *const *one =
            (ProtobufCMessage *const *)(const void *)(base + field->offset);
        return *one ? unknown_fields(*one) : 0;
    }
    size_t n = *(const size_t *)(const void *)(base + field->quantifier_offset);
    ProtobufCMessage **const *many =
        (ProtobufCMessage * *const *)(const void *)(base + field->offset);
    for (size_t i = 0; i < n; i++)
        count += unknown_fields((*many)[i]);
    return count;
}

static unsigned unknown_fields(const ProtobufCMessage *message)
{
    unsigned count = message->n_unknown_fields;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++)
        count += unknown_fields_below(message, &message->descriptor->fields[i]);
    return count;
}

/* Our bytes, read and written again by protobuf-c: nothing unknown in them, and nothing lost. */
static struct buf through_theirs(const ProtobufCMessageDescriptor *theirs, struct bytes ours)
{
    ProtobufCMessage *message = protobuf_c_message_unpack(theirs, NULL, ours.size, ours.data);
    assert_non_null(message);
    assert_int_equal(unknown_fields(message), 0);
    struct buf out = {0};
    size_t size = protobuf_c_message_get_packed_size(message);
    buf_reserve(&out, size);
    out.size = protobuf_c_message_pack(message, out.data);
    assert_int_equal(out.size, size);
    protobuf_c_message_free_unpacked(message, NULL);
    return out;
}

static void test_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sample_bodies_count; i++) {
        const struct wire_body *sample = &sample_bodies[i];
        struct buf ours = {0}, again = {0};
        struct arena arena = {0};
        struct wire_body decoded;
        wire_encode_body(sample, &ours);
        struct buf theirs = through_theirs(theirs_of(sample->kind), buf_bytes(&ours));
        assert_int_equal(wire_decode_body(&arena, sample->kind, buf_bytes(&theirs), &decoded, NULL),
                         0);
        wire_encode_body(&decoded, &again);
        assert_true(bytes_equal(buf_bytes(&ours), buf_bytes(&again)));
        buf_release(&ours);
        buf_release(&again);
        buf_release(&theirs);
        arena_release(&arena);
    }
}

static void test_items(void **state)
{
    (void)state;
    struct buf ours = {0}, again = {0};
    struct arena arena = {0};
    struct wire_items decoded;
    wire_encode_items(&sample_items, &ours);
    struct buf theirs = through_theirs(&af__link_items__descriptor, buf_bytes(&ours));
    assert_int_equal(wire_decode_items(&arena, buf_bytes(&theirs), &decoded, NULL), 0);
    wire_encode_items(&decoded, &again);
    assert_true(bytes_equal(buf_bytes(&ours), buf_bytes(&again)));
    buf_release(&ours);
    buf_release(&again);
    buf_release(&theirs);
    arena_release(&arena);
}

static void test_route(void **state)
{
    (void)state;
    struct buf ours = {0}, again = {0};
    struct arena arena = {0};
    struct wire_route decoded;
    wire_encode_route(&sample_route, &ours);
    struct buf theirs = through_theirs(&af__route__descriptor, buf_bytes(&ours));
    assert_int_equal(wire_decode_route(&arena, buf_bytes(&theirs), &decoded, NULL), 0);
    wire_encode_route(&decoded, &again);
    assert_true(bytes_equal(buf_bytes(&ours), buf_bytes(&again)));
    buf_release(&ours);
    buf_release(&again);
    buf_release(&theirs);
    arena_release(&arena);
}

/* Values, not only positions: a step as a client that uses generated code would see it. */
static void test_values(void **state)
{
    (void)state;
    struct buf ours = {0};
    wire_encode_items(&sample_items, &ours);
    Af__LinkItems *items = af__link_items__unpack(NULL, ours.size, ours.data);
    assert_non_null(items);
    assert_true(items->has_credit && items->credit == 70 && items->draining);
    assert_int_equal(items->n_items, sample_items.count);
    const Af__Dispatch *dispatch = items->items[0]->dispatch;
    assert_string_equal(dispatch->execution, "exec_01h455vb4pex5vsknk084sn02q");
    assert_string_equal(dispatch->path, "draft/1");
    assert_int_equal(dispatch->run->counter, 4);
    assert_int_equal(dispatch->message->inline_bytes.len, 6);
    assert_int_equal(dispatch->queued_us, 1699999999999999);
    const Af__Step *step = items->items[3]->step;
    assert_int_equal(step->kind, AF__STEP_KIND__STEP_FAILURE);
    assert_string_equal(step->failure->detail, "line 1\nline 2");
    assert_true(step->failure->permanent);
    assert_int_equal(items->items[5]->process->exit_status, -1);
    af__link_items__free_unpacked(items, NULL);
    buf_release(&ours);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields), cmocka_unit_test(test_kinds), cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_items),  cmocka_unit_test(test_route), cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
