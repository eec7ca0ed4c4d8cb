#include "base/datum.h"
#include "base/limits.h"
#include "base/typeid.h"
#include "base/utf8.h"
#include "proto/pb.h"

#include <stdio.h>
#include <string.h>

/* A TypeID of an execution: "exec_" and 26 characters. */
#define EXECUTION_BYTES 31
/* As much of a refused text as an error shows. */
#define SHOWN_BYTES 100

/* --- primitives --------------------------------------------------------------------------------
 */

/* Empty bytes may have no address, to which nothing can be added. */
static struct pb_reader reader_of(struct bytes bytes)
{
    return (struct pb_reader){bytes.data, bytes.size ? bytes.data + bytes.size : bytes.data};
}

bool pb_varint(struct pb_reader *reader, uint64_t *ret_value)
{
    /* Most are of one byte: tags, sizes, small numbers. */
    if (reader->at != reader->end && *reader->at < 0x80) {
        *ret_value = *reader->at++;
        return true;
    }
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (reader->at == reader->end)
            return false;
        uint8_t byte = *reader->at++;
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool take_fixed(struct pb_reader *reader, size_t size, uint64_t *ret_value)
{
    if ((size_t)(reader->end - reader->at) < size)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)reader->at[i] << (8 * i);
    reader->at += size;
    *ret_value = value;
    return true;
}

static bool take_delimited(struct pb_reader *reader, struct bytes *ret_bytes)
{
    uint64_t size;
    if (!pb_varint(reader, &size) || size > (size_t)(reader->end - reader->at))
        return false;
    *ret_bytes = bytes_of(reader->at, (size_t)size);
    reader->at += size;
    return true;
}

bool pb_next(struct pb_reader *reader, struct pb_token *ret_token)
{
    uint64_t tag;
    if (!pb_varint(reader, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    ret_token->number = (uint32_t)(tag >> 3);
    ret_token->wire = (enum pb_wire)(tag & 7);
    ret_token->value = 0;
    ret_token->bytes = (struct bytes){0};
    switch (ret_token->wire) {
    case PB_VARINT: return pb_varint(reader, &ret_token->value);
    case PB_FIXED64: return take_fixed(reader, 8, &ret_token->value);
    case PB_FIXED32: return take_fixed(reader, 4, &ret_token->value);
    case PB_DELIMITED: return take_delimited(reader, &ret_token->bytes);
    }
    return false; /* groups, which proto2 has left behind, and what was never defined */
}

/* --- errors ------------------------------------------------------------------------------------
 */

static int refuse(struct err *err, const struct pb_field *field, const char *what)
{
    err_set(err, ERR_MALFORMED, "%s", what);
    err_where(err, "%s", field->name);
    return ERR_MALFORMED;
}

/* Puts the place of the enclosing message before what stands in `where` already. */
static int refuse_inside(struct err *err, const char *name, size_t index, bool indexed)
{
    if (!err)
        return ERR_MALFORMED;
    char inner[sizeof err->where];
    memcpy(inner, err->where, sizeof inner);
    const char *dot = inner[0] ? "." : "";
    if (indexed)
        err_where(err, "%s[%zu]%s%s", name, index, dot, inner);
    else
        err_where(err, "%s%s%s", name, dot, inner);
    return ERR_MALFORMED;
}

/* --- single values -----------------------------------------------------------------------------
 */

static int take_text(struct arena *arena, const struct pb_field *field, struct bytes bytes,
                     const char **ret_text, struct err *err)
{
    if (bytes.size == 0) {
        *ret_text = "";
        return 0;
    }
    if (memchr(bytes.data, 0, bytes.size))
        return refuse(err, field, "the text holds a NUL");
    if (!utf8_valid(bytes.data, bytes.size))
        return refuse(err, field, "the text is not valid UTF-8");
    const char *text = (const char *)bytes.data;
    size_t max = field->flags & PB_REPEATED ? 0 : field->max;
    if (max > 0 && bytes.size > max) {
        err_set(err, ERR_MALFORMED, "the text has %zu bytes; at most %zu are allowed", bytes.size,
                max);
        err_where(err, "%s", field->name);
        return ERR_MALFORMED;
    }
    if (field->valid && !field->valid(text, bytes.size)) {
        size_t shown = utf8_cut(text, bytes.size < SHOWN_BYTES ? bytes.size : SHOWN_BYTES);
        err_set(err, ERR_MALFORMED, "\"%.*s\" is not a valid %s", (int)shown, text, field->name);
        err_where(err, "%s", field->name);
        return ERR_MALFORMED;
    }
    *ret_text = arena_strndup(arena, text, bytes.size);
    return 0;
}

static int take_execution(const struct pb_field *field, struct bytes bytes, struct uuid *ret_id,
                          struct err *err)
{
    char text[EXECUTION_BYTES + 1] = {0};
    if (bytes.size != EXECUTION_BYTES)
        return refuse(err, field, "it is not an execution's id (exec_ and 26 characters)");
    memcpy(text, bytes.data, bytes.size);
    if (typeid_parse_as(text, "exec", ret_id, NULL) != 0)
        return refuse(err, field, "it is not an execution's id (exec_ and 26 characters)");
    return 0;
}

static int take_datum(struct arena *arena, const struct pb_field *field, struct bytes bytes,
                      struct datum *ret_datum, struct err *err)
{
    struct pb_datum wire = {0};
    if (pb_decode(arena, &pb_datum_message, bytes, &wire, err) != 0)
        return refuse_inside(err, field->name, 0, false);
    *ret_datum = datum_inline(wire.inline_bytes);
    if (wire.hash.size == 0)
        return 0;
    ret_datum->is_blob = true;
    memcpy(ret_datum->hash, wire.hash.data, DATUM_HASH_BYTES);
    ret_datum->size_bytes = wire.size_bytes;
    return 0;
}

/* The wire type that a field's type is written in. */
static enum pb_wire wire_of(enum pb_type type)
{
    switch (type) {
    case PB_UINT32:
    case PB_UINT64:
    case PB_SINT32:
    case PB_BOOL:
    case PB_ENUM: return PB_VARINT;
    case PB_SFIXED64: return PB_FIXED64;
    default: return PB_DELIMITED;
    }
}

static int take_number(const struct pb_field *field, uint64_t value, void *ret, struct err *err)
{
    switch (field->type) {
    case PB_UINT64: *(uint64_t *)ret = value; return 0;
    case PB_SFIXED64: *(int64_t *)ret = (int64_t)value; return 0;
    case PB_BOOL: *(bool *)ret = value != 0; return 0;
    case PB_ENUM:
        if (value > field->max)
            return refuse(err, field, "there is no such enumerator in this version");
        *(int *)ret = (int)value;
        return 0;
    default: break;
    }
    if (value > UINT32_MAX)
        return refuse(err, field, "the number is larger than 32 bits");
    uint32_t number = (uint32_t)value;
    if (field->type == PB_UINT32)
        *(uint32_t *)ret = number;
    else
        *(int32_t *)ret = (int32_t)((number >> 1) ^ (0u - (number & 1)));
    return 0;
}

/* The value of one field, to the place `ret`. */
static int take_value(struct arena *arena, const struct pb_field *field,
                      const struct pb_token *token, void *ret, struct err *err)
{
    switch (field->type) {
    case PB_TEXT: return take_text(arena, field, token->bytes, ret, err);
    case PB_BYTES: *(struct bytes *)ret = token->bytes; return 0;
    case PB_HASH:
        if (token->bytes.size != DATUM_HASH_BYTES)
            return refuse(err, field, "a hash has 32 bytes");
        memcpy(ret, token->bytes.data, DATUM_HASH_BYTES);
        return 0;
    case PB_EXECUTION: return take_execution(field, token->bytes, ret, err);
    case PB_DATUM: return take_datum(arena, field, token->bytes, ret, err);
    case PB_MESSAGE:
        if (pb_decode(arena, field->message, token->bytes, ret, err) != 0)
            return refuse_inside(err, field->name, 0, false);
        return 0;
    default: return take_number(field, token->value, ret, err);
    }
}

/* --- repeated fields ---------------------------------------------------------------------------
 */

static size_t size_of(const struct pb_field *field)
{
    switch (field->type) {
    case PB_UINT32: return sizeof(uint32_t);
    case PB_TEXT: return sizeof(const char *);
    default: return field->message->size;
    }
}

static size_t count_varints(struct bytes bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes.size; i++)
        count += bytes.data[i] < 0x80;
    return count;
}

/* How many items of `number` there are from this token on. Numbers may be packed. Stops counting
 * past max, or where the bytes are not well formed, which the decoder finds by itself later. */
static size_t count_items(struct pb_reader reader, struct pb_token token,
                          const struct pb_field *field)
{
    uint32_t number = token.number;
    size_t count = 0;
    for (;;) {
        if (token.number == number)
            count += field->type == PB_UINT32 && token.wire == PB_DELIMITED
                         ? count_varints(token.bytes)
                         : 1;
        if (count > field->max || reader.at == reader.end || !pb_next(&reader, &token))
            return count;
    }
}

static int take_packed(const struct pb_field *field, struct bytes bytes, uint32_t *items,
                       size_t *count, struct err *err)
{
    struct pb_reader reader = reader_of(bytes);
    while (reader.at != reader.end) {
        uint64_t value;
        if (!pb_varint(&reader, &value))
            return refuse(err, field, "the packed numbers are not well formed");
        int rc = take_number(field, value, &items[*count], err);
        if (rc != 0)
            return rc;
        ++*count;
    }
    return 0;
}

/* The array is made when the first item comes, for all that follow. */
static int take_item(struct arena *arena, const struct pb_field *field,
                     const struct pb_reader *reader, const struct pb_token *token, uint8_t *ret,
                     struct err *err)
{
    uint8_t **items = (uint8_t **)(void *)(ret + field->offset);
    size_t *count = (size_t *)(void *)(ret + field->count_offset);
    if (!*items) {
        size_t total = count_items(*reader, *token, field);
        if (total > field->max) {
            err_set(err, ERR_MALFORMED, "more than %zu items", field->max);
            err_where(err, "%s", field->name);
            return ERR_MALFORMED;
        }
        *items = arena_alloc(arena, total * size_of(field));
    }
    if (field->type == PB_UINT32 && token->wire == PB_DELIMITED)
        return take_packed(field, token->bytes, (uint32_t *)(void *)*items, count, err);
    void *item = *items + *count * size_of(field);
    if (field->type == PB_MESSAGE) {
        if (pb_decode(arena, field->message, token->bytes, item, err) != 0)
            return refuse_inside(err, field->name, *count, true);
    } else {
        int rc = take_value(arena, field, token, item, err);
        if (rc != 0)
            return rc;
    }
    ++*count;
    return 0;
}

/* --- messages ----------------------------------------------------------------------------------
 */

static bool wire_fits(const struct pb_field *field, enum pb_wire wire)
{
    if (field->type == PB_UINT32 && field->flags & PB_REPEATED && wire == PB_DELIMITED)
        return true;
    return wire_of(field->type) == wire;
}

/* Numbers and texts may come twice, the last one counts. Messages would have to be merged, which no
 * encoder asks for: they are refused. */
static bool may_come_again(const struct pb_field *field)
{
    return field->flags & PB_REPEATED || (field->type != PB_MESSAGE && field->type != PB_DATUM);
}

static int take_field(struct arena *arena, const struct pb_message *message,
                      const struct pb_reader *reader, const struct pb_token *token, uint64_t seen,
                      uint8_t *ret, struct err *err)
{
    const struct pb_field *field = &message->fields[token->number];
    if (seen >> token->number & 1 && !may_come_again(field))
        return refuse(err, field, "the field is there twice");
    if (!wire_fits(field, token->wire))
        return refuse(err, field, "the field is of another type");
    if (field->flags & PB_REPEATED)
        return take_item(arena, field, reader, token, ret, err);
    if (message->choice) {
        int *kind = (int *)(void *)ret;
        if (*kind != 0 && *kind != (int)token->number)
            return refuse(err, field, "there is another field beside it; exactly one is allowed");
        *kind = (int)token->number;
    }
    if (field->has_offset)
        *(bool *)(ret + field->has_offset - PB_HAS) = true;
    return take_value(arena, field, token, ret + field->offset, err);
}

static void set_empty_texts(const struct pb_message *message, uint8_t *ret)
{
    for (size_t i = 1; i < message->count; i++) {
        const struct pb_field *field = &message->fields[i];
        if (field->type == PB_TEXT && !(field->flags & PB_REPEATED)) {
            const char **text = (const char **)(void *)(ret + field->offset);
            if (!*text)
                *text = "";
        } else if (field->type == PB_MESSAGE && !(field->flags & PB_REPEATED) && !message->choice) {
            set_empty_texts(field->message, ret + field->offset);
        }
    }
}

static bool is_there(const struct pb_field *field, bool seen, const uint8_t *value)
{
    if (field->type == PB_TEXT && !(field->flags & PB_REPEATED))
        return **(const char *const *)(const void *)(value + field->offset) != 0;
    return seen;
}

static int check_whole(const struct pb_message *message, uint64_t seen, const void *value,
                       struct err *err)
{
    for (size_t i = 1; i < message->count; i++) {
        const struct pb_field *field = &message->fields[i];
        if (field->flags & PB_REQUIRED && !is_there(field, seen >> i & 1, value))
            return refuse(err, field, "the field is missing");
    }
    if (message->choice && seen == 0)
        return err_set(err, ERR_MALFORMED, "there is no item that this version knows");
    return message->check ? message->check(value, seen, err) : 0;
}

int pb_decode(struct arena *arena, const struct pb_message *message, struct bytes input, void *ret,
              struct err *err)
{
    struct pb_reader reader = reader_of(input);
    uint64_t seen = 0;
    while (reader.at != reader.end) {
        struct pb_token token;
        if (!pb_next(&reader, &token))
            return err_set(err, ERR_MALFORMED, "%s is not well formed protobuf", message->name);
        if (token.number >= message->count || message->fields[token.number].type == PB_NONE)
            continue; /* of a newer minor version */
        int rc = take_field(arena, message, &reader, &token, seen, ret, err);
        if (rc != 0)
            return rc;
        seen |= 1ull << token.number;
    }
    if (!message->choice)
        set_empty_texts(message, ret);
    return check_whole(message, seen, ret, err);
}
