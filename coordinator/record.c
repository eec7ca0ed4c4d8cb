#include "coordinator/record.h"

#include "coordinator/record_util.h"

#include <string.h>

void epoch_encode(const struct epoch_record *record, struct buf *out)
{
    Af__Record__Epoch message = AF__RECORD__EPOCH__INIT;

    buf_clear(out);
    RECORD_SET(&message, epoch, record->epoch);
    RECORD_SET(&message, started_us, record->started_us);
    RECORD_SET(&message, nonce, record->nonce);
    record_pack(&message.base, out);
}

int epoch_decode(struct bytes bytes, struct epoch_record *ret_record, struct err *err)
{
    struct arena arena = {0};
    Af__Record__Epoch *message =
        (Af__Record__Epoch *)record_unpack(&af__record__epoch__descriptor, bytes, &arena);
    if (message != NULL)
        *ret_record = (struct epoch_record){
            .epoch = message->epoch, .started_us = message->started_us, .nonce = message->nonce};
    arena_release(&arena);
    return message == NULL ? err_set(err, ERR_MALFORMED, "the record is not an epoch") : 0;
}

void summary_encode(const struct summary *summary, struct buf *out)
{
    Af__Record__Summary message = AF__RECORD__SUMMARY__INIT;
    Af__Record__Datum output;
    Af__Record__Usage used;
    Af__Record__Failure failure;

    buf_clear(out);
    message.workflow = record_text(summary->workflow);
    RECORD_SET(&message, workflow_version, summary->workflow_version);
    message.agent = record_text(summary->agent);
    RECORD_SET(&message, status, (uint32_t)summary->status);
    RECORD_SET(&message, started_us, summary->started_us);
    RECORD_SET(&message, ended_us, summary->ended_us);
    message.output = record_datum(&summary->output, &output);
    message.failure = record_failure(&summary->failure, &failure);
    message.failed_path = record_text(summary->failed_path);
    message.by = record_text(summary->by);
    RECORD_SET(&message, tasks, summary->tasks);
    if (summary->used.input_tokens > 0 || summary->used.output_tokens > 0)
        message.used = record_usage(&summary->used, &used);
    if (summary->delegations > 0)
        RECORD_SET(&message, delegations, summary->delegations);
    if (!uuid_is_nil(summary->owner)) {
        message.has_owner = true;
        message.owner = record_bytes(bytes_of(summary->owner.bytes, sizeof summary->owner.bytes));
        message.owner_path = record_text(summary->owner_path);
    }
    record_pack(&message.base, out);
}

int summary_decode(struct arena *arena, struct bytes bytes, struct summary *ret_summary,
                   struct err *err)
{
    int rc;
    struct summary summary = {0};
    Af__Record__Summary *message =
        (Af__Record__Summary *)record_unpack(&af__record__summary__descriptor, bytes, arena);
    if (message == NULL || message->status < EXECUTION_RUNNING ||
        message->status > EXECUTION_CANCELLED)
        return err_set(err, ERR_MALFORMED, "the record is not the summary of an execution");
    if ((rc = record_read_text(message->workflow, "workflow", &summary.workflow, err)) < 0 ||
        (rc = record_read_text(message->agent, "agent", &summary.agent, err)) < 0 ||
        (rc = record_read_text(message->failed_path, "path", &summary.failed_path, err)) < 0 ||
        (rc = record_read_text(message->by, "by", &summary.by, err)) < 0 ||
        (rc = record_read_text(message->owner_path, "owner_path", &summary.owner_path, err)) < 0 ||
        (message->has_owner &&
         (rc = record_read_id(true, message->owner, "owner", &summary.owner, err)) < 0) ||
        (rc = record_read_datum(message->output, "output", &summary.output, err)) < 0 ||
        (rc = record_read_failure(message->failure, &summary.failure, err)) < 0)
        return rc;
    summary.workflow_version = message->workflow_version;
    summary.status = (enum execution_status)message->status;
    summary.started_us = message->started_us;
    summary.ended_us = message->ended_us;
    summary.tasks = message->tasks;
    summary.delegations = message->delegations;
    summary.used = record_read_usage(message->used);
    *ret_summary = summary;
    return 0;
}

void definition_encode(const struct definition_record *record, struct buf *out)
{
    Af__Record__Definition message = AF__RECORD__DEFINITION__INIT;

    buf_clear(out);
    RECORD_SET(&message, version, record->version);
    RECORD_SET(&message, hash, record_bytes(bytes_of(record->hash, sizeof record->hash)));
    RECORD_SET(&message, canonical, record_bytes(record->canonical));
    message.source = record_text(record->source);
    RECORD_SET(&message, applied_us, record->applied_us);
    message.by = record_text(record->by);
    record_pack(&message.base, out);
}

int definition_decode(struct arena *arena, struct bytes bytes, struct definition_record *ret_record,
                      struct err *err)
{
    int rc;
    struct definition_record record = {0};
    Af__Record__Definition *message =
        (Af__Record__Definition *)record_unpack(&af__record__definition__descriptor, bytes, arena);
    if (message == NULL || message->hash.len != sizeof record.hash || message->version == 0)
        return err_set(err, ERR_MALFORMED, "the record is not a definition");
    if ((rc = record_read_text(message->source, "source", &record.source, err)) < 0 ||
        (rc = record_read_text(message->by, "by", &record.by, err)) < 0)
        return rc;
    record.version = message->version;
    memcpy(record.hash, message->hash.data, sizeof record.hash);
    record.canonical = bytes_of(message->canonical.data, message->canonical.len);
    record.applied_us = message->applied_us;
    *ret_record = record;
    return 0;
}

void definition_head_encode(const struct definition_head *head, struct buf *out)
{
    Af__Record__DefinitionHead message = AF__RECORD__DEFINITION_HEAD__INIT;

    buf_clear(out);
    RECORD_SET(&message, version, head->version);
    RECORD_SET(&message, removed, head->removed);
    record_pack(&message.base, out);
}

int definition_head_decode(struct bytes bytes, struct definition_head *ret_head, struct err *err)
{
    struct arena arena = {0};
    Af__Record__DefinitionHead *message = (Af__Record__DefinitionHead *)record_unpack(
        &af__record__definition_head__descriptor, bytes, &arena);
    if (message != NULL)
        *ret_head =
            (struct definition_head){.version = message->version, .removed = message->removed};
    arena_release(&arena);
    return message == NULL ? err_set(err, ERR_MALFORMED, "the record is not a definition's head")
                           : 0;
}

void idempotency_encode(const struct idempotency_record *record, struct buf *out)
{
    Af__Record__Idempotency message = AF__RECORD__IDEMPOTENCY__INIT;

    buf_clear(out);
    RECORD_SET(&message, request_hash,
               record_bytes(bytes_of(record->request_hash, sizeof record->request_hash)));
    RECORD_SET(&message, reply, record_bytes(record->reply));
    RECORD_SET(&message, stored_us, record->stored_us);
    record_pack(&message.base, out);
}

int idempotency_decode(struct arena *arena, struct bytes bytes,
                       struct idempotency_record *ret_record, struct err *err)
{
    Af__Record__Idempotency *message = (Af__Record__Idempotency *)record_unpack(
        &af__record__idempotency__descriptor, bytes, arena);
    if (message == NULL || message->request_hash.len != sizeof ret_record->request_hash)
        return err_set(err, ERR_MALFORMED, "the record is not that of an idempotency key");
    memcpy(ret_record->request_hash, message->request_hash.data, sizeof ret_record->request_hash);
    ret_record->reply = bytes_of(message->reply.data, message->reply.len);
    ret_record->stored_us = message->stored_us;
    return 0;
}

void schedule_encode(const struct schedule_record *record, struct buf *out)
{
    Af__Record__Schedule message = AF__RECORD__SCHEDULE__INIT;

    buf_clear(out);
    RECORD_SET(&message, version, record->version);
    RECORD_SET(&message, next_us, record->next_us);
    RECORD_SET(&message, last_us, record->last_us);
    RECORD_SET(&message, last,
               record_bytes(bytes_of(record->last.bytes, sizeof record->last.bytes)));
    record_pack(&message.base, out);
}

int schedule_decode(struct bytes bytes, struct schedule_record *ret_record, struct err *err)
{
    struct arena arena = {0};
    Af__Record__Schedule *message =
        (Af__Record__Schedule *)record_unpack(&af__record__schedule__descriptor, bytes, &arena);
    bool valid = message != NULL && message->last.len == sizeof ret_record->last.bytes;
    if (valid) {
        *ret_record = (struct schedule_record){
            .version = message->version, .next_us = message->next_us, .last_us = message->last_us};
        memcpy(ret_record->last.bytes, message->last.data, sizeof ret_record->last.bytes);
    }
    arena_release(&arena);
    return valid ? 0 : err_set(err, ERR_MALFORMED, "the record is not that of a schedule");
}

void blob_head_encode(const struct blob_head *head, struct buf *out)
{
    Af__Record__BlobHead message = AF__RECORD__BLOB_HEAD__INIT;

    buf_clear(out);
    RECORD_SET(&message, size_bytes, head->size_bytes);
    RECORD_SET(&message, stored_us, head->stored_us);
    record_pack(&message.base, out);
}

int blob_head_decode(struct bytes bytes, struct blob_head *ret_head, struct err *err)
{
    struct arena arena = {0};
    Af__Record__BlobHead *message =
        (Af__Record__BlobHead *)record_unpack(&af__record__blob_head__descriptor, bytes, &arena);
    if (message != NULL)
        *ret_head =
            (struct blob_head){.size_bytes = message->size_bytes, .stored_us = message->stored_us};
    arena_release(&arena);
    return message == NULL ? err_set(err, ERR_MALFORMED, "the record is not a blob's head") : 0;
}
