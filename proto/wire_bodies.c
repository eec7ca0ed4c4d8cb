/* The tables of the messages that a Route's kind names. Numbers, names and meanings: af.proto. */
#include "base/limits.h"
#include "proto/wire_tables.h"

#include <string.h>

static const struct pb_field datum_fields[] = {
    [1] = {FIELD(PB_BYTES, pb_datum, inline_bytes)},
    [2] = {FIELD(PB_BYTES, pb_datum, hash)},
    [3] = {FIELD(PB_UINT64, pb_datum, size_bytes)},
};

static int check_datum(const void *message, uint64_t seen, struct err *err)
{
    const struct pb_datum *datum = message;
    bool has_inline = seen >> 1 & 1, has_hash = seen >> 2 & 1;
    if (has_inline && has_hash)
        return err_set(err, ERR_MALFORMED, "a value is either inline or a blob, not both");
    if (has_hash && datum->hash.size != DATUM_HASH_BYTES)
        return err_set(err, ERR_MALFORMED, "a blob's hash has 32 bytes, not %zu", datum->hash.size);
    if (has_hash && datum->size_bytes == 0)
        return err_set(err, ERR_MALFORMED, "the size of a blob is missing");
    if (datum->inline_bytes.size > LIMIT_INLINE_BYTES) {
        err_set(err, ERR_MALFORMED, "the inline value has %zu bytes; at most %u are allowed",
                datum->inline_bytes.size, LIMIT_INLINE_BYTES);
        err_fix(err, "store it as a blob and send its hash");
        return ERR_MALFORMED;
    }
    return 0;
}

const struct pb_message pb_datum_message = {MESSAGE("Datum", datum_fields, pb_datum),
                                            .check = check_datum};

static const struct pb_field run_fields[] = {
    [1] = {FIELD(PB_UINT64, wire_run, epoch)},
    [2] = {FIELD(PB_UINT64, wire_run, counter)},
};
const struct pb_message wire_run_message = {MESSAGE("Run", run_fields, wire_run)};

static const struct pb_field call_key_fields[] = {
    [1] = {FIELD(PB_EXECUTION, wire_call_key, execution), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_TEXT, wire_call_key, path), .flags = PB_REQUIRED, .valid = wire_path_valid},
    [3] = {FIELD(PB_UINT32, wire_call_key, attempt), .flags = PB_REQUIRED},
    [4] = {FIELD(PB_UINT32, wire_call_key, turn), .flags = PB_REQUIRED},
};

static int check_call_key(const void *message, uint64_t seen, struct err *err)
{
    const struct wire_call_key *key = message;
    (void)seen;
    if (key->attempt == 0 || key->turn == 0)
        return err_set(err, ERR_MALFORMED, "attempts and turns count from 1");
    return 0;
}

const struct pb_message wire_call_key_message = {MESSAGE("CallKey", call_key_fields, wire_call_key),
                                                 .check = check_call_key};

static const struct pb_field usage_fields[] = {
    [1] = {FIELD(PB_UINT64, wire_usage, input_tokens)},
    [2] = {FIELD(PB_UINT64, wire_usage, output_tokens)},
    [3] = {FIELD(PB_UINT64, wire_usage, cost_microusd)},
};

static int check_usage(const void *message, uint64_t seen, struct err *err)
{
    const struct wire_usage *usage = message;
    (void)seen;
    if (usage->input_tokens > LIMIT_USAGE || usage->output_tokens > LIMIT_USAGE ||
        usage->cost_microusd > LIMIT_USAGE)
        return err_set(err, ERR_MALFORMED, "no model call uses as much");
    return 0;
}

const struct pb_message wire_usage_message = {MESSAGE("Usage", usage_fields, wire_usage),
                                              .check = check_usage};

static const struct pb_field link_id_fields[] = {
    [1] = {FIELD(PB_UINT64, wire_link_id, epoch)},
    [2] = {FIELD(PB_UINT64, wire_link_id, counter)},
};

static int check_link_id(const void *message, uint64_t seen, struct err *err)
{
    const struct wire_link_id *id = message;
    (void)seen;
    if (id->epoch == 0 && id->counter == 0)
        return err_set(err, ERR_MALFORMED, "the id of a link is not zero");
    return 0;
}

static const struct pb_message link_id_message = {MESSAGE("LinkId", link_id_fields, wire_link_id),
                                                  .check = check_link_id};

/* --- with the broker ---------------------------------------------------------------------------
 */

static const struct pb_field register_fields[] = {
    [1] = {FIELD(PB_UINT32, wire_register, major), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_UINT32, wire_register, minor)},
    [3] = {FIELD(PB_TEXT, wire_register, program)},
    [4] = {FIELD(PB_TEXT, wire_register, agents), .flags = PB_REPEATED,
           ITEMS(wire_register, agents_count), .max = LIMIT_PEER_AGENTS, .valid = wire_name_valid},
};
static const struct pb_message register_message = {
    MESSAGE("Register", register_fields, wire_register)};

static const struct pb_field registered_fields[] = {
    [1] = {FIELD(PB_UINT32, wire_registered, major), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_UINT32, wire_registered, minor)},
    [3] = {FIELD(PB_TEXT, wire_registered, program)},
    [4] = {FIELD(PB_TEXT, wire_registered, refused)},
};
static const struct pb_message registered_message = {
    MESSAGE("Registered", registered_fields, wire_registered)};

/* The kind that comes back may be one that only its sender knows. */
static const struct pb_field undeliverable_fields[] = {
    [1] = {FIELD(PB_ENUM, wire_undeliverable, kind), .max = UINT16_MAX},
    [2] = {FIELD(PB_TEXT, wire_undeliverable, to), .max = LIMIT_ADDRESS_BYTES},
    [3] = {FIELD(PB_TEXT, wire_undeliverable, reason), .flags = PB_REQUIRED},
    [4] = {FIELD(PB_TEXT, wire_undeliverable, text)},
};
static const struct pb_message undeliverable_message = {
    MESSAGE("Undeliverable", undeliverable_fields, wire_undeliverable)};

/* --- the control surface -----------------------------------------------------------------------
 */

static const struct pb_field request_fields[] = {
    [1] = {FIELD(PB_TEXT, wire_request, method), .flags = PB_REQUIRED, .max = LIMIT_METHOD_BYTES},
    [2] = {FIELD(PB_TEXT, wire_request, idempotency_key), .max = LIMIT_IDEMPOTENCY_KEY_BYTES},
};
static const struct pb_message request_message = {MESSAGE("Request", request_fields, wire_request)};

static const struct pb_field reply_fields[] = {
    [1] = {FIELD(PB_TEXT, wire_reply, error)},
    [2] = {FIELD(PB_TEXT, wire_reply, what)},
    [3] = {FIELD(PB_TEXT, wire_reply, where)},
    [4] = {FIELD(PB_TEXT, wire_reply, fix)},
    [5] = {FIELD(PB_UINT32, wire_reply, line)},
    [6] = {FIELD(PB_UINT32, wire_reply, column)},
    [7] = {FIELD(PB_UINT32, wire_reply, retry_after_ms)},
};
static const struct pb_message reply_message = {MESSAGE("Reply", reply_fields, wire_reply)};

/* --- links -------------------------------------------------------------------------------------
 */

static const struct pb_field claim_fields[] = {
    [1] = {FIELD(PB_EXECUTION, wire_claim, execution), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_TEXT, wire_claim, path), .flags = PB_REQUIRED, .valid = wire_path_valid},
    [3] = {FIELD(PB_MESSAGE, wire_claim, run), .flags = PB_REQUIRED, .message = &wire_run_message},
    [4] = {FIELD(PB_UINT32, wire_claim, acknowledged_step)},
    [5] = {FIELD(PB_UINT32, wire_claim, unacknowledged_steps), .flags = PB_REPEATED,
           ITEMS(wire_claim, unacknowledged_count), .max = LIMIT_CLAIM_STEPS},
};
static const struct pb_message claim_message = {MESSAGE("Claim", claim_fields, wire_claim)};

static bool role_valid(const char *text, size_t size)
{
    struct bytes role = bytes_of(text, size);
    return bytes_equal(role, bytes_of_string("instance")) ||
           bytes_equal(role, bytes_of_string("host")) ||
           bytes_equal(role, bytes_of_string("egress"));
}

static const struct pb_field hello_fields[] = {
    [1] = {FIELD(PB_UINT64, wire_hello, boot), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_UINT64, wire_hello, number), .flags = PB_REQUIRED},
    [3] = {FIELD(PB_TEXT, wire_hello, role), .flags = PB_REQUIRED, .valid = role_valid},
    [4] = {FIELD(PB_TEXT, wire_hello, agent), .valid = wire_name_valid},
    [5] = {FIELD(PB_TEXT, wire_hello, host), .max = LIMIT_ADDRESS_BYTES},
    [6] = {FIELD(PB_UINT32, wire_hello, pid)},
    [7] = {FIELD(PB_UINT64, wire_hello, credit)},
    [8] = {FIELD(PB_MESSAGE, wire_hello, inventory), .flags = PB_REPEATED,
           ITEMS(wire_hello, inventory_count), .max = LIMIT_CLAIMS, .message = &claim_message},
    [9] = {FIELD(PB_TEXT, wire_hello, program)},
    [10] = {FIELD(PB_MESSAGE, wire_hello, held), .flags = PB_REPEATED,
            ITEMS(wire_hello, held_count), .max = LIMIT_CLAIMS, .message = &wire_call_key_message},
};

static int check_hello(const void *message, uint64_t seen, struct err *err)
{
    const struct wire_hello *hello = message;
    (void)seen;
    if (hello->boot == 0 || hello->number == 0)
        return err_set(err, ERR_MALFORMED, "boot and number of a hello are greater than 0");
    if (strcmp(hello->role, "instance") == 0 && !*hello->agent) {
        err_set(err, ERR_MALFORMED, "the hello of an instance names no agent");
        err_where(err, "agent");
        return ERR_MALFORMED;
    }
    return 0;
}

static const struct pb_message hello_message = {MESSAGE("LinkHello", hello_fields, wire_hello),
                                                .check = check_hello};

static const struct pb_field verdict_fields[] = {
    [1] = {FIELD(PB_EXECUTION, wire_verdict, execution), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_TEXT, wire_verdict, path), .flags = PB_REQUIRED, .valid = wire_path_valid},
    [3] = {FIELD(PB_MESSAGE, wire_verdict, run), .flags = PB_REQUIRED,
           .message = &wire_run_message},
    [4] = {FIELD(PB_BOOL, wire_verdict, keep)},
    [5] = {FIELD(PB_UINT32, wire_verdict, journaled_step)},
};
static const struct pb_message verdict_message = {MESSAGE("Verdict", verdict_fields, wire_verdict)};

enum { WELCOME_LINK = 3 };

static const struct pb_field welcome_fields[] = {
    [1] = {FIELD(PB_UINT64, wire_welcome, boot), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_UINT64, wire_welcome, number), .flags = PB_REQUIRED},
    [WELCOME_LINK] = {FIELD(PB_MESSAGE, wire_welcome, link), .message = &link_id_message},
    [4] = {FIELD(PB_MESSAGE, wire_welcome, verdicts), .flags = PB_REPEATED,
           ITEMS(wire_welcome, verdicts_count), .max = LIMIT_CLAIMS, .message = &verdict_message},
    [5] = {FIELD(PB_TEXT, wire_welcome, refused)},
};

static int check_welcome(const void *message, uint64_t seen, struct err *err)
{
    const struct wire_welcome *welcome = message;
    bool linked = seen >> WELCOME_LINK & 1;
    if (linked == (*welcome->refused != 0))
        return err_set(err, ERR_MALFORMED, "a welcome has either a link or a reason against it");
    return 0;
}

static const struct pb_message welcome_message = {
    MESSAGE("LinkWelcome", welcome_fields, wire_welcome), .check = check_welcome};

static const struct pb_field frame_fields[] = {
    [1] = {FIELD(PB_MESSAGE, wire_frame, link), .flags = PB_REQUIRED, .message = &link_id_message},
    [2] = {FIELD(PB_UINT64, wire_frame, sequence)},
    [3] = {FIELD(PB_UINT64, wire_frame, acknowledged)},
    [4] = {FIELD(PB_UINT64, wire_frame, sent_us)},
    [5] = {FIELD(PB_UINT64, wire_frame, echo_us)},
    [6] = {FIELD(PB_BYTES, wire_frame, items)},
};
static const struct pb_message frame_message = {MESSAGE("LinkFrame", frame_fields, wire_frame)};

static const struct pb_field reset_fields[] = {
    [1] = {FIELD(PB_MESSAGE, wire_reset, link), .flags = PB_REQUIRED, .message = &link_id_message},
    [2] = {FIELD(PB_TEXT, wire_reset, reason)},
};
static const struct pb_message reset_message = {MESSAGE("LinkReset", reset_fields, wire_reset)};

/* --- blobs -------------------------------------------------------------------------------------
 */

static const struct pb_field blob_get_fields[] = {
    [1] = {FIELD(PB_HASH, wire_blob_get, hash), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_UINT64, wire_blob_get, offset)},
};
static const struct pb_message blob_get_message = {
    MESSAGE("BlobGet", blob_get_fields, wire_blob_get)};

static const struct pb_field blob_chunk_fields[] = {
    [1] = {FIELD(PB_HASH, wire_blob_chunk, hash), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_UINT64, wire_blob_chunk, offset)},
    [3] = {FIELD(PB_UINT64, wire_blob_chunk, size_bytes)},
    [4] = {FIELD(PB_TEXT, wire_blob_chunk, error)},
};
static const struct pb_message blob_chunk_message = {
    MESSAGE("BlobChunk", blob_chunk_fields, wire_blob_chunk)};

static const struct pb_field blob_put_fields[] = {
    [1] = {FIELD(PB_HASH, wire_blob_put, hash), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_UINT64, wire_blob_put, size_bytes), .flags = PB_REQUIRED},
    [3] = {FIELD(PB_UINT64, wire_blob_put, offset)},
};
static const struct pb_message blob_put_message = {
    MESSAGE("BlobPut", blob_put_fields, wire_blob_put)};

static const struct pb_field blob_stored_fields[] = {
    [1] = {FIELD(PB_HASH, wire_blob_stored, hash), .flags = PB_REQUIRED},
    [2] = {FIELD(PB_UINT64, wire_blob_stored, offset)},
    [3] = {FIELD(PB_BOOL, wire_blob_stored, complete)},
    [4] = {FIELD(PB_TEXT, wire_blob_stored, error)},
    [5] = {FIELD(PB_TEXT, wire_blob_stored, what)},
};
static const struct pb_message blob_stored_message = {
    MESSAGE("BlobStored", blob_stored_fields, wire_blob_stored)};

/* --- model calls -------------------------------------------------------------------------------
 */

static const struct pb_field call_fields[] = {
    [1] = {FIELD(PB_MESSAGE, wire_call, key), .flags = PB_REQUIRED,
           .message = &wire_call_key_message},
    [2] = {FIELD(PB_MESSAGE, wire_call, run), .flags = PB_REQUIRED, .message = &wire_run_message},
    [3] = {FIELD(PB_HASH, wire_call, request_hash), .flags = PB_REQUIRED},
};
static const struct pb_message call_message = {MESSAGE("Call", call_fields, wire_call)};

static const struct pb_field call_answer_fields[] = {
    [1] = {FIELD(PB_MESSAGE, wire_call_answer, key), .flags = PB_REQUIRED,
           .message = &wire_call_key_message},
    [2] = {FIELD(PB_HASH, wire_call_answer, request_hash), .flags = PB_REQUIRED},
    [3] = {FIELD(PB_TEXT, wire_call_answer, error)},
    [4] = {FIELD(PB_TEXT, wire_call_answer, what)},
    [5] = {FIELD(PB_BOOL, wire_call_answer, permanent)},
    [6] = {FIELD(PB_MESSAGE, wire_call_answer, usage), .message = &wire_usage_message},
};
static const struct pb_message call_answer_message = {
    MESSAGE("CallAnswer", call_answer_fields, wire_call_answer)};

/* --- which kind has which ----------------------------------------------------------------------
 */

struct body_kind {
    const struct pb_message *message;
    size_t offset;
};
#define BODY(table, member)                                                                        \
    {                                                                                              \
        &(table), offsetof(struct wire_body, member)                                               \
    }

static const struct body_kind body_kinds[] = {
    [WIRE_REGISTER] = BODY(register_message, reg),
    [WIRE_REGISTERED] = BODY(registered_message, registered),
    [WIRE_UNDELIVERABLE] = BODY(undeliverable_message, undeliverable),
    [WIRE_REQUEST] = BODY(request_message, request),
    [WIRE_REPLY] = BODY(reply_message, reply),
    [WIRE_LINK_HELLO] = BODY(hello_message, hello),
    [WIRE_LINK_WELCOME] = BODY(welcome_message, welcome),
    [WIRE_LINK_FRAME] = BODY(frame_message, frame),
    [WIRE_LINK_RESET] = BODY(reset_message, reset),
    [WIRE_LINK_BYE] = BODY(reset_message, reset),
    [WIRE_BLOB_GET] = BODY(blob_get_message, blob_get),
    [WIRE_BLOB_CHUNK] = BODY(blob_chunk_message, blob_chunk),
    [WIRE_BLOB_PUT] = BODY(blob_put_message, blob_put),
    [WIRE_BLOB_STORED] = BODY(blob_stored_message, blob_stored),
    [WIRE_CALL] = BODY(call_message, call),
    [WIRE_CALL_ANSWER] = BODY(call_answer_message, call_answer),
};

const struct pb_message *wire_body_message(enum wire_kind kind, size_t *ret_offset)
{
    if ((size_t)kind >= FIELD_COUNT(body_kinds))
        return NULL;
    *ret_offset = body_kinds[kind].offset;
    return body_kinds[kind].message;
}
