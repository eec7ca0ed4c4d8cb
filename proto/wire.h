/* The wire: plain, validated structs for each message of af.proto, and their codec.
 *
 * Decoding checks everything that protobuf-c does not: exactly one item where the schema says so,
 * UTF-8 without NULs, ids that parse, enumerations in range, caps of base/limits.h. Strings are
 * NUL-terminated and never NULL after decoding ("" when absent); in structs to be encoded NULL
 * means absent. All memory of a decoded message belongs to the arena given; bytes fields may point
 * into the input, which must outlive the message. Pure; any thread. */
#ifndef AF_PROTO_WIRE_H
#define AF_PROTO_WIRE_H

#include "base/datum.h"
#include "base/err.h"
#include "base/typeid.h"

#define WIRE_SIGNATURE "AF01"
#define WIRE_MAJOR     1
#define WIRE_MINOR     0

enum wire_kind {
    WIRE_NONE = 0,
    WIRE_REGISTER = 1, WIRE_REGISTERED = 2, WIRE_WHO = 3, WIRE_UNREGISTER = 4,
    WIRE_UNDELIVERABLE = 5, WIRE_PING = 6, WIRE_PONG = 7, WIRE_PEERS = 8, WIRE_PEERS_REPLY = 9,
    WIRE_REQUEST = 16, WIRE_REPLY = 17,
    WIRE_LINK_HELLO = 32, WIRE_LINK_WELCOME = 33, WIRE_LINK_FRAME = 34, WIRE_LINK_RESET = 35,
    WIRE_LINK_BYE = 36,
    WIRE_BLOB_GET = 48, WIRE_BLOB_CHUNK = 49, WIRE_BLOB_PUT = 50, WIRE_BLOB_STORED = 51,
    WIRE_CALL = 64, WIRE_CALL_ANSWER = 65,
};
const char *wire_kind_name(enum wire_kind kind); /* "LINK_FRAME"; "UNKNOWN" */

struct wire_route {
    enum wire_kind kind;
    const char *to, *from;
    uint64_t correlation;
    int64_t deadline_us;
    const char *trace;
};

struct wire_run { uint64_t epoch, counter; };
int wire_run_compare(struct wire_run a, struct wire_run b);
struct wire_link_id { uint64_t epoch, counter; };

struct wire_register { uint32_t major, minor; const char *program; const char *const *agents; size_t agents_count; };
struct wire_registered { uint32_t major, minor; const char *program, *refused; };
struct wire_undeliverable { enum wire_kind kind; const char *to, *reason, *text; };
struct wire_request { const char *method, *idempotency_key; };
struct wire_reply { const char *error, *what, *where, *fix; uint32_t line, column, retry_after_ms; };

/* The error that a reply brings, in ret_err; 0: it brings none. */
int wire_reply_error(const struct wire_reply *reply, struct err *ret_err) MUST_CHECK;

struct wire_claim {
    struct uuid execution;
    const char *path;
    struct wire_run run;
    uint32_t acknowledged_step;
    const uint32_t *unacknowledged_steps;
    size_t unacknowledged_count;
};
/* Of a model call: the turn of an attempt of a task. */
struct wire_call_key { struct uuid execution; const char *path; uint32_t attempt, turn; };
struct wire_hello {
    uint64_t boot, number;
    const char *role, *agent, *host;
    uint32_t pid;
    uint64_t credit;
    const struct wire_claim *inventory;
    size_t inventory_count;
    const char *program;
    const struct wire_call_key *held; /* egress */
    size_t held_count;
};
struct wire_verdict { struct uuid execution; const char *path; struct wire_run run; bool keep; uint32_t journaled_step; };
struct wire_welcome {
    uint64_t boot, number;
    struct wire_link_id link;
    const struct wire_verdict *verdicts;
    size_t verdicts_count;
    const char *refused;
};
struct wire_frame {
    struct wire_link_id link;
    uint64_t sequence, acknowledged, sent_us, echo_us;
    struct bytes items;
};
struct wire_reset { struct wire_link_id link; const char *reason; }; /* LINK_BYE too */

enum wire_step_kind { WIRE_STEP_TURN = 1, WIRE_STEP_TOOL_RESULT = 2, WIRE_STEP_RESULT = 3, WIRE_STEP_FAILURE = 4 };
struct wire_failure { const char *code, *message, *detail; bool permanent; };
struct wire_usage { uint64_t input_tokens, output_tokens, cost_microusd; };
struct wire_history {
    enum wire_step_kind kind; /* turn or tool result */
    uint32_t turn, call;
    struct datum output;
    struct wire_failure failure; /* code NULL or "": none */
};
struct wire_dispatch {
    struct uuid execution;
    const char *path;
    uint32_t attempt;
    struct wire_run run;
    uint32_t journaled_step;
    const char *agent;
    uint32_t agent_version;
    struct datum message;
    uint64_t timeout_us;
    int64_t deadline_us;
    const char *workflow;
    int64_t queued_us;
    uint32_t turn; /* granted; 0: none */
    const char *egress;
    uint32_t history_count, history_from;
    const struct wire_history *history;
    size_t history_here;
    uint64_t tokens_left, cost_left_microusd; /* 0: no limit */
    const char *const *chain;
    size_t chain_count;
};
struct wire_drop { struct uuid execution; const char *path; struct wire_run run; const char *reason; };
struct wire_step {
    struct uuid execution;
    const char *path;
    uint32_t attempt;
    struct wire_run run;
    uint32_t number;
    enum wire_step_kind kind;
    int64_t queued_us, started_us, ended_us;
    struct datum output;
    struct wire_failure failure; /* of a failure, or of a tool result; code NULL or "": none */
    uint32_t turn, call;
    const char *const *calls;
    size_t calls_count;
    struct wire_usage usage;
};
struct wire_delegate {
    struct uuid execution;
    const char *path;
    struct wire_run run;
    uint32_t attempt, turn, call;
    const char *agent;
    struct datum message, context;
    bool hand_off;
};
struct wire_tool_call {
    struct uuid execution;
    const char *path;
    struct wire_run run;
    uint32_t attempt, turn, call;
    const char *tool;
    struct datum arguments;
};
struct wire_granted { struct uuid execution; const char *path; struct wire_run run; uint32_t turn; const char *egress; };
struct wire_grant {
    struct wire_call_key key;
    struct wire_run run;
    const char *agent;
    uint32_t agent_version;
    uint64_t tokens, cost_microusd;
};
struct wire_forget { struct wire_call_key key; };
struct wire_call { struct wire_call_key key; struct wire_run run; uint8_t request_hash[DATUM_HASH_BYTES]; };
struct wire_call_answer {
    struct wire_call_key key;
    uint8_t request_hash[DATUM_HASH_BYTES];
    const char *error, *what;
    bool permanent;
    struct wire_usage usage;
};
struct wire_planned { const char *agent; uint32_t instances; uint64_t memory_bytes; };
struct wire_plan { uint64_t number; const struct wire_planned *agents; size_t agents_count; };
struct wire_process {
    const char *instance;
    uint64_t boot;
    const char *agent;
    uint32_t pid;
    bool up;
    int32_t exit_status;
    uint32_t signal;
    const char *stderr_tail;
    uint32_t restarts;
    const char *stopped;
};

enum wire_item_kind {
    WIRE_ITEM_DISPATCH = 1, WIRE_ITEM_DROP, WIRE_ITEM_STEP, WIRE_ITEM_PLAN, WIRE_ITEM_PROCESS,
    WIRE_ITEM_DELEGATE, WIRE_ITEM_TOOL_CALL, WIRE_ITEM_GRANTED, WIRE_ITEM_GRANT, WIRE_ITEM_FORGET,
};
struct wire_item {
    enum wire_item_kind kind;
    union {
        struct wire_dispatch dispatch;
        struct wire_drop drop;
        struct wire_step step;
        struct wire_plan plan;
        struct wire_process process;
        struct wire_delegate delegate;
        struct wire_tool_call tool_call;
        struct wire_granted granted;
        struct wire_grant grant;
        struct wire_forget forget;
    };
};
struct wire_items {
    bool has_credit;
    uint64_t credit;
    bool draining;
    const struct wire_item *items;
    size_t count;
};

struct wire_blob_get { uint8_t hash[DATUM_HASH_BYTES]; uint64_t offset; };
struct wire_blob_chunk { uint8_t hash[DATUM_HASH_BYTES]; uint64_t offset, size_bytes; const char *error; };
struct wire_blob_put { uint8_t hash[DATUM_HASH_BYTES]; uint64_t size_bytes, offset; };
struct wire_blob_stored { uint8_t hash[DATUM_HASH_BYTES]; uint64_t offset; bool complete; const char *error, *what; };

/* A decoded body. */
struct wire_body {
    enum wire_kind kind;
    union {
        struct wire_register reg;
        struct wire_registered registered;
        struct wire_undeliverable undeliverable;
        struct wire_request request;
        struct wire_reply reply;
        struct wire_hello hello;
        struct wire_welcome welcome;
        struct wire_frame frame;
        struct wire_reset reset;
        struct wire_blob_get blob_get;
        struct wire_blob_chunk blob_chunk;
        struct wire_blob_put blob_put;
        struct wire_blob_stored blob_stored;
        struct wire_call call;
        struct wire_call_answer call_answer;
    };
};

int wire_decode_route(struct arena *arena, struct bytes frame, struct wire_route *ret_route, struct err *err) MUST_CHECK;
/* Appends to out. A `from` is written last, so that the broker can stamp it in place. */
void wire_encode_route(const struct wire_route *route, struct buf *out);

/* Kinds without a body (WHO, PING, ...) decode to a body with only kind set, whatever the bytes. */
int wire_decode_body(struct arena *arena, enum wire_kind kind, struct bytes frame, struct wire_body *ret_body, struct err *err) MUST_CHECK;
void wire_encode_body(const struct wire_body *body, struct buf *out);

int wire_decode_items(struct arena *arena, struct bytes bytes, struct wire_items *ret_items, struct err *err) MUST_CHECK;
void wire_encode_items(const struct wire_items *items, struct buf *out);
/* For gathering a frame's items one by one, byte-compatible with wire_encode_items: items may be
 * appended in any order with these two. */
void wire_append_item(const struct wire_item *item, struct buf *out);
void wire_append_credit(uint64_t credit, bool draining, struct buf *out);

/* Addresses: "broker", "coordinator", "instance:ID", "agent:NAME", "egress:ID", "host:ID", "client:ID".
 * ABNF in docs/protocol.md. */
bool wire_address_valid(const char *address, size_t size);
/* Names of agents and workflows: [a-z][a-z0-9_-]*, at most LIMIT_NAME_BYTES. */
bool wire_name_valid(const char *name, size_t size);
bool wire_path_valid(const char *path, size_t size); /* task paths */

#endif
