/* Protocol buffers to and from plain structs, driven by tables.
 *
 * One table of fields describes one message: which number goes to which member of a struct, of what
 * type, and what it must be like. The generic decoder and encoder here do the rest, so that a
 * message is validated in the pass that reads it, without a tree of generated structs in between.
 * (Generated code could not do it: protobuf-c hides NULs inside of strings. It serves our tests as
 * the second opinion.) Bounded: no recursion beyond the depth of the tables, every repeated field
 * has a cap. Internal to proto/. Pure; any thread. */
#ifndef AF_PROTO_PB_H
#define AF_PROTO_PB_H

#include "base/buf.h"
#include "base/err.h"

enum pb_type {
    PB_NONE,      /* no such field */
    PB_UINT32,    /* uint32_t */
    PB_UINT64,    /* uint64_t */
    PB_SINT32,    /* int32_t, zigzag */
    PB_SFIXED64,  /* int64_t */
    PB_BOOL,      /* bool */
    PB_ENUM,      /* an enum of at most `max`; whether a number between is one, the check says */
    PB_TEXT,      /* const char *: "" when absent; never with NULs, always UTF-8 */
    PB_BYTES,     /* struct bytes, borrowed from the input */
    PB_HASH,      /* uint8_t[DATUM_HASH_BYTES] */
    PB_EXECUTION, /* struct uuid, on the wire its TypeID "exec_…" */
    PB_DATUM,     /* struct datum */
    PB_MESSAGE,   /* an embedded struct, described by `message` */
};

enum {
    PB_REQUIRED = 1, /* its absence is refused, and a text that is empty; encoded also when 0 */
    PB_REPEATED = 2, /* the member is a pointer, its count stands at count_offset; max items */
};

struct pb_message;

struct pb_field {
    const char *name;
    enum pb_type type;
    unsigned flags;
    size_t offset;
    size_t count_offset;
    size_t has_offset; /* PB_HAS + the offset of a bool that says whether it is there; 0: none */
    size_t max;        /* bytes of a text (0: any), items of a repeated field, greatest enumerator */
    bool (*valid)(const char *text, size_t size); /* of a text that is not empty; or NULL */
    const struct pb_message *message;
};
#define PB_HAS 1

struct pb_message {
    const char *name;
    const struct pb_field *fields; /* by number; [0] is not used */
    size_t count;                  /* of fields, [0] included */
    size_t size;                   /* of the struct */
    bool choice; /* exactly one field; its number is the struct's first member, an enum */
    /* Rules beyond single fields; or NULL. seen: bit N is set when field N was there. */
    int (*check)(const void *message, uint64_t seen, struct err *err);
};

/* Fills *ret (message->size bytes, zeroed by the caller). ERR_MALFORMED with where = the path of the
 * field. Texts and arrays come from the arena, bytes fields point into `input`. */
int pb_decode(struct arena *arena, const struct pb_message *message, struct bytes input, void *ret,
              struct err *err) MUST_CHECK;
/* Appends. Zero, empty and NULL members are left out, unless they are required. */
void pb_encode(const struct pb_message *message, const void *value, struct buf *out);
/* Appends one item of the repeated message field `number`, with its tag and size. */
void pb_encode_item(const struct pb_message *message, size_t number, const void *item,
                    struct buf *out);

/* --- the format's primitives ------------------------------------------------------------------- */

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_DELIMITED = 2, PB_FIXED32 = 5 };

struct pb_reader {
    const uint8_t *at;
    const uint8_t *end;
};

/* One field as it stands on the wire: its value, or its bytes when delimited. */
struct pb_token {
    uint32_t number;
    enum pb_wire wire;
    uint64_t value;
    struct bytes bytes;
};

/* False: not well formed (reader's place is then undefined). Ask only while at < end. */
bool pb_next(struct pb_reader *reader, struct pb_token *ret_token) MUST_CHECK;
bool pb_varint(struct pb_reader *reader, uint64_t *ret_value) MUST_CHECK;
void pb_put_varint(struct buf *out, uint64_t value);
void pb_put_tag(struct buf *out, size_t number, enum pb_wire wire);

/* A datum as the schema has it. */
struct pb_datum {
    struct bytes inline_bytes;
    struct bytes hash;
    uint64_t size_bytes;
};
extern const struct pb_message pb_datum_message;

#endif
