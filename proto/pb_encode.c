#include "base/datum.h"
#include "base/typeid.h"
#include "proto/pb.h"

#include <string.h>

#define VARINT_BYTES 10

void pb_put_varint(struct buf *out, uint64_t value)
{
    buf_reserve(out, VARINT_BYTES);
    uint8_t *at = out->data + out->size;
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    *at = 0;
    out->size = (size_t)(at - out->data);
}

void pb_put_tag(struct buf *out, size_t number, enum pb_wire wire)
{
    pb_put_varint(out, (uint64_t)number << 3 | (uint64_t)wire);
}

static void put_number(struct buf *out, size_t number, uint64_t value)
{
    pb_put_tag(out, number, PB_VARINT);
    pb_put_varint(out, value);
}

static void put_fixed64(struct buf *out, size_t number, uint64_t value)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    pb_put_tag(out, number, PB_FIXED64);
    buf_append(out, bytes, sizeof bytes);
}

static void put_bytes(struct buf *out, size_t number, const void *data, size_t size)
{
    pb_put_tag(out, number, PB_DELIMITED);
    pb_put_varint(out, size);
    buf_append(out, data, size);
}

/* The size of what is nested is known only when it is written: one byte is kept for it, and what
 * follows moves up when that is not enough. */
static void put_message(struct buf *out, size_t number, const struct pb_message *message,
                        const void *value, bool even_empty)
{
    size_t before = out->size;
    pb_put_tag(out, number, PB_DELIMITED);
    size_t size_at = out->size;
    buf_putc(out, 0);
    size_t start = out->size;
    pb_encode(message, value, out);
    size_t size = out->size - start;
    if (size == 0 && !even_empty) {
        out->size = before;
        out->data[before] = 0;
        return;
    }
    size_t digits = 1;
    for (uint64_t rest = size >> 7; rest > 0; rest >>= 7)
        digits++;
    if (digits > 1) {
        static const uint8_t room[10] = {0};
        buf_append(out, room, digits - 1);
        memmove(out->data + start + digits - 1, out->data + start, size);
    }
    for (size_t i = 0; i < digits; i++) {
        out->data[size_at + i] = (uint8_t)((size >> (7 * i) & 0x7f) | (i + 1 < digits ? 0x80 : 0));
    }
}

static void put_execution(struct buf *out, size_t number, struct uuid id)
{
    char text[TYPEID_TEXT_SIZE];
    typeid_text("exec", id, text);
    put_bytes(out, number, text, strlen(text));
}

static void put_datum(struct buf *out, size_t number, const struct datum *datum)
{
    struct pb_datum wire = {0};
    if (datum_absent(datum))
        return;
    if (datum->is_blob) {
        wire.hash = bytes_of(datum->hash, DATUM_HASH_BYTES);
        wire.size_bytes = datum->size_bytes;
    } else {
        wire.inline_bytes = datum->inline_bytes;
    }
    put_message(out, number, &pb_datum_message, &wire, true);
}

static void put_text(struct buf *out, size_t number, const char *text, bool always)
{
    if (always || (text && *text))
        put_bytes(out, number, text ? text : "", text ? strlen(text) : 0);
}

/* Scalars, all of them varints but for sfixed64. */
static void put_scalar(struct buf *out, size_t number, const struct pb_field *field, const void *at,
                       bool always)
{
    uint64_t value = 0;
    switch (field->type) {
    case PB_UINT32: value = *(const uint32_t *)at; break;
    case PB_UINT64: value = *(const uint64_t *)at; break;
    case PB_BOOL: value = *(const bool *)at; break;
    case PB_ENUM: value = (uint64_t)(unsigned)*(const int *)at; break;
    case PB_SFIXED64: value = (uint64_t) * (const int64_t *)at; break;
    case PB_SINT32: {
        int32_t number32 = *(const int32_t *)at;
        value = (uint32_t)number32 << 1 ^ (number32 < 0 ? UINT32_MAX : 0);
        break;
    }
    default: check_failed(__FILE__, __LINE__, __func__, "a scalar");
    }
    if (value == 0 && !always)
        return;
    if (field->type == PB_SFIXED64)
        put_fixed64(out, number, value);
    else
        put_number(out, number, value);
}

static void put_value(struct buf *out, size_t number, const struct pb_field *field, const void *at,
                      bool always)
{
    switch (field->type) {
    case PB_NONE: break;
    case PB_TEXT: put_text(out, number, *(const char *const *)at, always); break;
    case PB_BYTES: {
        const struct bytes *bytes = at;
        if (bytes->size > 0 || always)
            put_bytes(out, number, bytes->data, bytes->size);
        break;
    }
    case PB_HASH: put_bytes(out, number, at, DATUM_HASH_BYTES); break;
    case PB_EXECUTION: put_execution(out, number, *(const struct uuid *)at); break;
    case PB_DATUM: put_datum(out, number, at); break;
    case PB_MESSAGE: put_message(out, number, field->message, at, always); break;
    default: put_scalar(out, number, field, at, always);
    }
}

static void put_items(struct buf *out, size_t number, const struct pb_field *field,
                      const uint8_t *value)
{
    const uint8_t *items = *(const uint8_t *const *)(const void *)(value + field->offset);
    size_t count = *(const size_t *)(const void *)(value + field->count_offset);
    size_t size = field->type == PB_MESSAGE ? field->message->size
                  : field->type == PB_TEXT  ? sizeof(const char *)
                                            : sizeof(uint32_t);
    for (size_t i = 0; i < count; i++)
        put_value(out, number, field, items + i * size, true);
}

void pb_encode(const struct pb_message *message, const void *value, struct buf *out)
{
    const uint8_t *base = value;
    if (message->choice) {
        int kind = *(const int *)value;
        CHECK(kind > 0 && (size_t)kind < message->count);
        const struct pb_field *field = &message->fields[kind];
        put_value(out, (size_t)kind, field, base + field->offset, true);
        return;
    }
    for (size_t i = 1; i < message->count; i++) {
        const struct pb_field *field = &message->fields[i];
        if (field->type == PB_NONE)
            continue;
        if (field->flags & PB_REPEATED) {
            put_items(out, i, field, base);
            continue;
        }
        /* A required text that is empty would be refused: it is as absent as an optional one. */
        bool always = field->flags & PB_REQUIRED && field->type != PB_TEXT;
        bool has = field->has_offset && *(const bool *)(base + field->has_offset - PB_HAS);
        put_value(out, i, field, base + field->offset, has || always);
    }
}

void pb_encode_item(const struct pb_message *message, size_t number, const void *item,
                    struct buf *out)
{
    put_value(out, number, &message->fields[number], item, true);
}
