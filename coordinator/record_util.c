#include "coordinator/record_util.h"

#include "base/utf8.h"

#include <string.h>

char *record_text(const char *text)
{
    union {
        const char *given;
        char *generated;
    } either = {.given = text};
    return text == NULL || *text == '\0' ? NULL : either.generated;
}

ProtobufCBinaryData record_bytes(struct bytes bytes)
{
    union {
        const uint8_t *given;
        uint8_t *generated;
    } either = {.given = bytes.data};
    return (ProtobufCBinaryData){.len = bytes.size, .data = either.generated};
}

Af__Record__Datum *record_datum(const struct datum *datum, Af__Record__Datum *message)
{
    if (datum_absent(datum))
        return NULL;
    *message = (Af__Record__Datum)AF__RECORD__DATUM__INIT;
    if (datum->is_blob) {
        RECORD_SET(message, hash, record_bytes(bytes_of(datum->hash, DATUM_HASH_BYTES)));
        RECORD_SET(message, size_bytes, datum->size_bytes);
    } else {
        RECORD_SET(message, inline_bytes, record_bytes(datum->inline_bytes));
    }
    return message;
}

Af__Record__Failure *record_failure(const struct failure *failure, Af__Record__Failure *message)
{
    if (failure->code == NULL)
        return NULL;
    *message = (Af__Record__Failure)AF__RECORD__FAILURE__INIT;
    message->code = record_text(failure->code);
    message->message = record_text(failure->message);
    message->detail = record_text(failure->detail);
    RECORD_SET(message, permanent, failure->permanent);
    return message;
}

Af__Record__Run *record_run(struct run run, Af__Record__Run *message)
{
    if (run.epoch == 0 && run.counter == 0)
        return NULL;
    *message = (Af__Record__Run)AF__RECORD__RUN__INIT;
    RECORD_SET(message, epoch, run.epoch);
    RECORD_SET(message, counter, run.counter);
    return message;
}

Af__Record__Usage *record_usage(const struct usage *usage, Af__Record__Usage *message)
{
    *message = (Af__Record__Usage)AF__RECORD__USAGE__INIT;
    RECORD_SET(message, input_tokens, usage->input_tokens);
    RECORD_SET(message, output_tokens, usage->output_tokens);
    RECORD_SET(message, cost_microusd, usage->cost_microusd);
    return message;
}

void record_pack(const ProtobufCMessage *message, struct buf *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    buf_reserve(out, size);
    out->size += protobuf_c_message_pack(message, out->data + out->size);
    out->data[out->size] = 0;
}

static void *arena_allocate(void *context, size_t size)
{
    return arena_alloc(context, size);
}

static void arena_ignore(void *context, void *pointer)
{
    (void)context;
    (void)pointer;
}

ProtobufCMessage *record_unpack(const ProtobufCMessageDescriptor *descriptor, struct bytes bytes,
                                struct arena *arena)
{
    ProtobufCAllocator allocator = {
        .alloc = arena_allocate, .free = arena_ignore, .allocator_data = arena};
    return protobuf_c_message_unpack(descriptor, &allocator, bytes.size, bytes.data);
}

int record_read_text(const char *text, const char *field, const char **ret_text, struct err *err)
{
    if (text != NULL && !utf8_valid(text, strlen(text)))
        return err_set(err, ERR_MALFORMED, "the field \"%s\" is not UTF-8", field);
    *ret_text = text == NULL ? "" : text;
    return 0;
}

int record_read_datum(const Af__Record__Datum *message, const char *field, struct datum *ret_datum,
                      struct err *err)
{
    struct datum datum = {0};
    if (message != NULL && message->has_hash) {
        if (message->hash.len != DATUM_HASH_BYTES || message->has_inline_bytes)
            return err_set(err, ERR_MALFORMED, "the field \"%s\" is not a value", field);
        datum.is_blob = true;
        memcpy(datum.hash, message->hash.data, DATUM_HASH_BYTES);
        datum.size_bytes = message->size_bytes;
    } else if (message != NULL) {
        datum.inline_bytes = bytes_of(message->inline_bytes.data, message->inline_bytes.len);
    }
    *ret_datum = datum;
    return 0;
}

int record_read_failure(const Af__Record__Failure *message, struct failure *ret_failure,
                        struct err *err)
{
    struct failure failure = {0};
    int rc = 0;
    if (message != NULL) {
        if ((rc = record_read_text(message->code, "failure.code", &failure.code, err)) < 0 ||
            (rc = record_read_text(message->message, "failure.message", &failure.message, err)) <
                0 ||
            (rc = record_read_text(message->detail, "failure.detail", &failure.detail, err)) < 0)
            return rc;
        if (*failure.code == '\0')
            return err_set(err, ERR_MALFORMED, "a failure has no code");
        failure.permanent = message->permanent;
    }
    *ret_failure = failure;
    return rc;
}

struct run record_read_run(const Af__Record__Run *message)
{
    if (message == NULL)
        return (struct run){0};
    return (struct run){.epoch = message->epoch, .counter = message->counter};
}

struct usage record_read_usage(const Af__Record__Usage *message)
{
    if (message == NULL)
        return (struct usage){0};
    return (struct usage){.input_tokens = message->input_tokens,
                          .output_tokens = message->output_tokens,
                          .cost_microusd = message->cost_microusd};
}

int record_read_id(bool has, ProtobufCBinaryData from, const char *field, struct uuid *ret_id,
                   struct err *err)
{
    if (!has || from.len != sizeof ret_id->bytes)
        return err_set(err, ERR_MALFORMED, "the field \"%s\" is not an id", field);
    memcpy(ret_id->bytes, from.data, sizeof ret_id->bytes);
    return 0;
}
