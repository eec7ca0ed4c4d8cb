/* What the codecs of records share: strings, bytes and values between our structs and the generated
 * ones, and unpacking into an arena. */
#ifndef AF_COORDINATOR_RECORD_UTIL_H
#define AF_COORDINATOR_RECORD_UTIL_H

#include "base/datum.h"
#include "base/err.h"
#include "engine/event.h"
#include "proto/record.pb-c.h"

#define RECORD_SET(message, field, value)                                                          \
    do {                                                                                           \
        (message)->has_##field = true;                                                             \
        (message)->field = (value);                                                                \
    } while (0)

/* The generated structs are not const-correct; packing only reads. NULL for an absent text. */
char *record_text(const char *text);
ProtobufCBinaryData record_bytes(struct bytes bytes);

/* Fills *message and returns it, or NULL for an absent value. */
Af__Record__Datum *record_datum(const struct datum *datum, Af__Record__Datum *message);
Af__Record__Failure *record_failure(const struct failure *failure, Af__Record__Failure *message);
Af__Record__Usage *record_usage(const struct usage *usage, Af__Record__Usage *message);
Af__Record__Run *record_run(struct run run, Af__Record__Run *message);

/* Appends the packed message. */
void record_pack(const ProtobufCMessage *message, struct buf *out);
/* A message of the arena; NULL when the bytes are not one. */
ProtobufCMessage *record_unpack(const ProtobufCMessageDescriptor *descriptor, struct bytes bytes,
                                struct arena *arena);

/* From the generated structs, which may be NULL: "" for an absent text. ERR_MALFORMED naming the
 * field. */
int record_read_text(const char *text, const char *field, const char **ret_text,
                     struct err *err) MUST_CHECK;
int record_read_datum(const Af__Record__Datum *message, const char *field, struct datum *ret_datum,
                      struct err *err) MUST_CHECK;
int record_read_failure(const Af__Record__Failure *message, struct failure *ret_failure,
                        struct err *err) MUST_CHECK;
/* 16 bytes. */
int record_read_id(bool has, ProtobufCBinaryData from, const char *field, struct uuid *ret_id,
                   struct err *err) MUST_CHECK;
struct usage record_read_usage(const Af__Record__Usage *message); /* zeros when absent */
struct run record_read_run(const Af__Record__Run *message); /* zeros when absent */

#endif
