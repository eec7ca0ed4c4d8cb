/* The coordinator's other records: plain structs and the bytes of proto/record.proto. Encoders
 * replace what out holds; decoders give ERR_MALFORMED, and what they return belongs to arena. Pure. */
#ifndef AF_COORDINATOR_RECORD_H
#define AF_COORDINATOR_RECORD_H

#include "base/datum.h"
#include "engine/event.h"

struct epoch_record {
    uint64_t epoch;
    int64_t started_us;
    uint64_t nonce;
};
void epoch_encode(const struct epoch_record *record, struct buf *out);
int epoch_decode(struct bytes bytes, struct epoch_record *ret_record, struct err *err) MUST_CHECK;

struct summary {
    const char *workflow;
    uint32_t workflow_version;
    const char *agent;
    enum execution_status status;
    int64_t started_us, ended_us; /* ended_us 0: not yet */
    struct datum output;
    struct failure failure;
    const char *failed_path;
    const char *by;
    uint32_t tasks, delegations;
    struct usage used;
    struct uuid owner;      /* of a sub-workflow; nil: nobody owns it */
    const char *owner_path;
};
void summary_encode(const struct summary *summary, struct buf *out);
int summary_decode(struct arena *arena, struct bytes bytes, struct summary *ret_summary,
                   struct err *err) MUST_CHECK;

struct definition_record {
    uint32_t version;
    uint8_t hash[32];
    struct bytes canonical; /* MessagePack */
    const char *source;
    int64_t applied_us;
    const char *by;
};
void definition_encode(const struct definition_record *record, struct buf *out);
int definition_decode(struct arena *arena, struct bytes bytes,
                      struct definition_record *ret_record, struct err *err) MUST_CHECK;

struct definition_head {
    uint32_t version;
    bool removed;
};
void definition_head_encode(const struct definition_head *head, struct buf *out);
int definition_head_decode(struct bytes bytes, struct definition_head *ret_head,
                           struct err *err) MUST_CHECK;

struct idempotency_record {
    uint8_t request_hash[32];
    struct bytes reply;
    int64_t stored_us;
};
void idempotency_encode(const struct idempotency_record *record, struct buf *out);
int idempotency_decode(struct arena *arena, struct bytes bytes,
                       struct idempotency_record *ret_record, struct err *err) MUST_CHECK;

struct schedule_record {
    uint32_t version;
    int64_t next_us, last_us; /* 0: none */
    struct uuid last;         /* zeros: none */
};
void schedule_encode(const struct schedule_record *record, struct buf *out);
int schedule_decode(struct bytes bytes, struct schedule_record *ret_record,
                    struct err *err) MUST_CHECK;

struct blob_head {
    uint64_t size_bytes;
    int64_t stored_us;
};
void blob_head_encode(const struct blob_head *head, struct buf *out);
int blob_head_decode(struct bytes bytes, struct blob_head *ret_head, struct err *err) MUST_CHECK;

#endif
