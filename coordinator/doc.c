#include "coordinator/doc.h"

#include "base/clock.h"

#include <string.h>

/* Type bytes of the MessagePack specification. */
enum {
    MSGPACK_NIL = 0xc0,
    MSGPACK_FALSE = 0xc2,
    MSGPACK_TRUE = 0xc3,
    MSGPACK_DOUBLE = 0xcb,
    MSGPACK_INT64 = 0xd3,
    MSGPACK_FIXSTR = 0xa0,
    MSGPACK_STR8 = 0xd9,
    MSGPACK_STR32 = 0xdb,
    MSGPACK_LIST32 = 0xdd,
    MSGPACK_MAP32 = 0xdf,
};

static void put_number(struct buf *out, uint8_t type, uint64_t number, size_t size)
{
    uint8_t bytes[9] = {type};
    for (size_t i = 0; i < size; i++)
        bytes[1 + i] = (uint8_t)(number >> (8 * (size - 1 - i)));
    buf_append(out, bytes, 1 + size);
}

static void put_string(struct buf *out, const char *text, size_t size)
{
    if (size < 32)
        buf_putc(out, (char)(MSGPACK_FIXSTR | size));
    else if (size < 256)
        put_number(out, MSGPACK_STR8, size, 1);
    else
        put_number(out, MSGPACK_STR32, size, 4);
    buf_append(out, text, size);
}

static void put_key(struct doc *self, const char *key)
{
    if (self->depth == 0) {
        CHECK(key == NULL);
        return;
    }
    CHECK((key == NULL) == self->open[self->depth - 1].list);
    self->open[self->depth - 1].count++;
    if (key != NULL)
        put_string(self->out, key, strlen(key));
}

static void open_container(struct doc *self, const char *key, bool list)
{
    put_key(self, key);
    CHECK(self->depth < DOC_DEPTH);
    self->open[self->depth].at = self->out->size;
    self->open[self->depth].count = 0;
    self->open[self->depth].list = list;
    self->depth++;
    put_number(self->out, list ? MSGPACK_LIST32 : MSGPACK_MAP32, 0, 4);
}

void doc_init(struct doc *self, struct buf *out)
{
    self->out = out;
    self->depth = 0;
}

void doc_map(struct doc *self, const char *key)
{
    open_container(self, key, false);
}

void doc_list(struct doc *self, const char *key)
{
    open_container(self, key, true);
}

void doc_end(struct doc *self)
{
    CHECK(self->depth > 0);
    self->depth--;
    uint8_t *header = self->out->data + self->open[self->depth].at;
    uint32_t count = self->open[self->depth].count;
    for (size_t i = 0; i < 4; i++)
        header[1 + i] = (uint8_t)(count >> (8 * (3 - i)));
}

void doc_null(struct doc *self, const char *key)
{
    put_key(self, key);
    buf_putc(self->out, (char)MSGPACK_NIL);
}

void doc_bool(struct doc *self, const char *key, bool b)
{
    put_key(self, key);
    buf_putc(self->out, (char)(b ? MSGPACK_TRUE : MSGPACK_FALSE));
}

void doc_int(struct doc *self, const char *key, int64_t i)
{
    put_key(self, key);
    if (i >= 0 && i < 128)
        buf_putc(self->out, (char)i);
    else
        put_number(self->out, MSGPACK_INT64, (uint64_t)i, 8);
}

void doc_double(struct doc *self, const char *key, double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    put_key(self, key);
    put_number(self->out, MSGPACK_DOUBLE, bits, 8);
}

void doc_string_n(struct doc *self, const char *key, const char *text, size_t size)
{
    put_key(self, key);
    put_string(self->out, text, size);
}

void doc_string(struct doc *self, const char *key, const char *text)
{
    if (text == NULL)
        doc_null(self, key);
    else
        doc_string_n(self, key, text, strlen(text));
}

void doc_time(struct doc *self, const char *key, int64_t utc_us)
{
    char text[CLOCK_TEXT_SIZE];
    doc_string(self, key, utc_us == 0 ? NULL : clock_format(utc_us, text));
}

void doc_raw(struct doc *self, const char *key, struct bytes msgpack)
{
    put_key(self, key);
    buf_append_bytes(self->out, msgpack);
}

void doc_value(struct doc *self, const char *key, const value_t *value)
{
    put_key(self, key);
    value_to_msgpack(value, self->out);
}

void doc_datum(struct doc *self, const char *key, const struct datum *datum)
{
    char hash[2 * DATUM_HASH_BYTES + 1];

    if (datum_absent(datum)) {
        doc_null(self, key);
    } else if (datum->is_blob) {
        datum_hash_hex(datum->hash, hash);
        doc_map(self, key);
        doc_string(self, "$blob", hash);
        doc_int(self, "size", (int64_t)datum->size_bytes);
        doc_end(self);
    } else {
        doc_raw(self, key, datum->inline_bytes);
    }
}
