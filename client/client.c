#include "client/client.h"

#include "base/clock.h"
#include "base/datum.h"
#include "base/limits.h"
#include "base/reference.h"
#include "base/typeid.h"
#include "proto/peer.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

/* A request without an answer is sent again after this, doubling up to the second. */
#define RESEND_FIRST_US (500 * 1000LL)
#define RESEND_MAX_US   (8 * LIMIT_SECOND_US)
/* The broker said that the coordinator is not there: ask again soon, it may be starting. */
#define ABSENT_PAUSE_US (50 * 1000LL)
/* Too many blobs arrive there at once. */
#define BUSY_PAUSE_US (200 * 1000LL)
/* Larger ones leave no room for the other frames of their message, the broker's stamp included. */
#define MESSAGE_PARAMS_BYTES (LIMIT_MESSAGE_BYTES - 4096)

struct client {
    peer_t *peer;
    void *zmq_context;
    void *events; /* SUB, or NULL */
    struct message message;
    struct buf packed;
    uint64_t correlation;
};

int client_new(const struct client_options *options, client_t **ret_client, struct err *err)
{
    client_t *self = xcalloc(1, sizeof *self);
    self->zmq_context = zmq_ctx_new();
    char id[TYPEID_TEXT_SIZE];
    char address[TYPEID_TEXT_SIZE + 8];
    snprintf(address, sizeof address, "client:%s", typeid_text("client", uuid_new(), id));
    struct peer_options peer = {.endpoint = options->endpoint,
                                .address = address,
                                .program = options->program,
                                .zmq_context = self->zmq_context};
    int rc = peer_new(&peer, &self->peer, err);
    if (rc == 0 && options->events) {
        int no_linger = 0;
        self->events = zmq_socket(self->zmq_context, ZMQ_SUB);
        if (!self->events ||
            zmq_setsockopt(self->events, ZMQ_LINGER, &no_linger, sizeof no_linger) ||
            zmq_connect(self->events, options->events))
            rc = err_set(err, ERR_UNREACHABLE, "can't follow events at %s: %s", options->events,
                         zmq_strerror(errno));
    }
    if (rc) {
        client_destroy(&self);
        return rc;
    }
    *ret_client = self;
    return 0;
}

void client_destroy(client_t **self_p)
{
    client_t *self = *self_p;
    if (!self)
        return;
    if (self->events)
        zmq_close(self->events);
    peer_destroy(&self->peer);
    zmq_ctx_term(self->zmq_context);
    message_release(&self->message);
    buf_release(&self->packed);
    free(self);
    *self_p = NULL;
}

static struct wire_body make_request(const char *method, const char *key)
{
    return (struct wire_body){.kind = WIRE_REQUEST,
                              .request = {.method = method, .idempotency_key = key}};
}

static int send_body(client_t *self, const struct wire_body *body, struct bytes payload,
                     uint64_t correlation, struct err *err)
{
    struct wire_route route = {.kind = body->kind, .to = "coordinator", .correlation = correlation};
    return peer_send(self->peer, &route, body, payload, err);
}

static void pack(client_t *self, const value_t *params)
{
    buf_clear(&self->packed);
    if (params) {
        value_to_msgpack(params, &self->packed);
    } else {
        value_t *empty = value_map();
        value_to_msgpack(empty, &self->packed);
        value_destroy(&empty);
    }
}

/* Waits for the socket until the moment given, ticking the peer as it wants. */
static void wait_until(client_t *self, int64_t until_us)
{
    int64_t now = clock_monotonic_us();
    peer_tick(self->peer, now);
    int64_t wake = peer_deadline(self->peer);
    if (wake > until_us)
        wake = until_us;
    long wait_ms = wake <= now ? 0 : (long)((wake - now + 999) / 1000);
    zmq_pollitem_t item = {.socket = peer_socket(self->peer), .events = ZMQ_POLLIN};
    (void)zmq_poll(&item, 1, wait_ms);
}

/* ERR_TIMEOUT, or 0 with the next message for us in self->message. */
static int next_message(client_t *self, int64_t until_us, struct err *err)
{
    for (;;) {
        message_clear(&self->message);
        int rc = peer_receive(self->peer, &self->message, clock_monotonic_us(), err);
        if (rc == 0)
            return 0;
        if (rc != ERR_AGAIN)
            continue; /* malformed: counted by the peer */
        if (peer_refusal(self->peer))
            return err_set(err, ERR_VERSION, "the broker refuses us: %s", peer_refusal(self->peer));
        if (clock_monotonic_us() >= until_us)
            return err_set(err, ERR_TIMEOUT, "no answer in time");
        wait_until(self, until_us);
    }
}

/* Makes a result (or an error with its detail) of the reply in self->message. */
static int take_reply(client_t *self, value_t **ret_result, value_t **ret_detail, struct err *err)
{
    value_t *document = NULL;
    if (self->message.has_payload && self->message.payload.size) {
        int rc = value_from_msgpack(self->message.payload, &document, err);
        if (rc)
            return rc;
    } else {
        document = value_null();
    }
    const struct wire_reply *reply = &self->message.body.reply;
    if (!reply->error[0]) {
        *ret_result = document;
        return 0;
    }
    if (ret_detail)
        *ret_detail = value_ref(document);
    value_destroy(&document);
    return wire_reply_error(reply, err);
}

struct pending_call {
    uint64_t correlation;
    int64_t until_us, resend_us, pause_us;
};

/* 1: the answer is in self->message. 0: send again. Negative: over. */
static int await_answer(client_t *self, struct pending_call *call, struct err *err)
{
    int64_t until = call->resend_us < call->until_us ? call->resend_us : call->until_us;
    for (;;) {
        int rc = next_message(self, until, err);
        if (rc == ERR_TIMEOUT) {
            if (until < call->until_us)
                return 0;
            if (!peer_registered(self->peer))
                return err_set(err, ERR_UNREACHABLE, "no broker answers");
            return rc;
        }
        if (rc)
            return rc;
        if (self->message.route.correlation != call->correlation)
            continue;
        if (self->message.route.kind == WIRE_UNDELIVERABLE) {
            call->resend_us = clock_monotonic_us() + ABSENT_PAUSE_US;
            until = call->resend_us < call->until_us ? call->resend_us : call->until_us;
            continue;
        }
        return 1;
    }
}

/* Sends the message until its answer is there, in self->message. */
static int converse(client_t *self, const struct wire_body *body, struct bytes payload,
                    int64_t until_us, struct err *err)
{
    struct pending_call call = {
        .correlation = ++self->correlation, .until_us = until_us, .pause_us = RESEND_FIRST_US};
    for (;;) {
        int rc = send_body(self, body, payload, call.correlation, err);
        if (rc && rc != ERR_AGAIN)
            return rc;
        call.resend_us = clock_monotonic_us() + call.pause_us;
        call.pause_us = call.pause_us * 2 > RESEND_MAX_US ? RESEND_MAX_US : call.pause_us * 2;
        rc = await_answer(self, &call, err);
        if (rc == 1)
            return 0;
        if (rc < 0) {
            if (rc == ERR_UNREACHABLE && err)
                err_fix(err, "is it running? `agentctl up -d` starts it");
            return rc;
        }
    }
}

static const char *make_key(char text[33])
{
    uint8_t random[16];
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(text, 33, random, sizeof random);
    return text;
}

/* The coordinator is busy, and is asked again after this; not past the end of the caller's time. */
static bool pause_for(client_t *self, int64_t pause_us, int64_t until_us)
{
    int64_t again_us = clock_monotonic_us() + pause_us;
    if (pause_us == 0 || again_us >= until_us)
        return false;
    while (clock_monotonic_us() < again_us)
        wait_until(self, again_us);
    return true;
}

static bool pause_if_busy(client_t *self, int64_t until_us)
{
    const struct wire_reply *reply = &self->message.body.reply;
    return self->message.route.kind == WIRE_REPLY && err_from_name(reply->error) == ERR_BUSY &&
           pause_for(self, reply->retry_after_ms * 1000LL, until_us);
}

/* --- large parameters ------------------------------------------------------------------------- */

/* 1: the whole blob is stored. 0: the next chunk is to be sent, from *offset on. */
static int put_chunk(client_t *self, const struct datum *blob, uint64_t *offset, int64_t until_us,
                     struct err *err)
{
    struct wire_body body = {.kind = WIRE_BLOB_PUT,
                             .blob_put = {.size_bytes = blob->size_bytes, .offset = *offset}};
    size_t left = self->packed.size - (size_t)*offset;
    struct bytes chunk = bytes_of(self->packed.data + *offset,
                                  left < LIMIT_BLOB_CHUNK_BYTES ? left : LIMIT_BLOB_CHUNK_BYTES);
    memcpy(body.blob_put.hash, blob->hash, sizeof blob->hash);
    int rc = converse(self, &body, chunk, until_us, err);
    if (rc)
        return rc;
    const struct wire_blob_stored *stored = &self->message.body.blob_stored;
    if (self->message.route.kind != WIRE_BLOB_STORED)
        return err_set(err, ERR_MALFORMED, "an answer that is not that to a chunk");
    if (err_from_name(stored->error) == ERR_BUSY && pause_for(self, BUSY_PAUSE_US, until_us))
        return 0;
    if (stored->error[0])
        return err_set(err, err_from_name(stored->error), "the parameters can't be stored: %s",
                       stored->what);
    if (!stored->complete && stored->offset >= blob->size_bytes)
        return err_set(err, ERR_MALFORMED, "the answer to a chunk does not fit its blob");
    *offset = stored->offset;
    return stored->complete;
}

static int refuse_large(const client_t *self, const char *method, struct err *err)
{
    int rc =
        err_set(err, ERR_TOO_LARGE, "the parameters of %s have %zu bytes; at most %u are taken",
                method, self->packed.size, LIMIT_VALUE_BYTES);
    if (strcmp(method, "definitions.apply") == 0)
        err_fix(err, "apply fewer files at once");
    else
        err_fix(err, "keep the data where the agents can read it, and pass its place");
    return rc;
}

/* Parameters too large for one message go first, as a blob; a reference to it stands for them. */
static int put_large(client_t *self, const char *method, int64_t until_us, struct err *err)
{
    if (self->packed.size <= MESSAGE_PARAMS_BYTES)
        return 0;
    if (self->packed.size > LIMIT_VALUE_BYTES)
        return refuse_large(self, method, err);
    struct datum blob = {.is_blob = true, .size_bytes = self->packed.size};
    uint64_t offset = 0;
    int rc = 0;
    datum_hash(buf_bytes(&self->packed), blob.hash);
    while (rc == 0)
        rc = put_chunk(self, &blob, &offset, until_us, err);
    if (rc < 0)
        return rc;
    value_t *reference = reference_to_blob(&blob);
    buf_release(&self->packed);
    pack(self, reference);
    value_destroy(&reference);
    return 0;
}

/* --- requests --------------------------------------------------------------------------------- */

/* A result that one message can't hold is a blob. */
static int resolve_result(client_t *self, value_t **result_p, int64_t until_us, struct err *err)
{
    struct datum blob;
    value_t *result = NULL;
    if (!reference_read(*result_p, &blob))
        return 0;
    int64_t left_ms = (until_us - clock_monotonic_us()) / 1000;
    value_destroy(result_p);
    int rc =
        client_blob(self, blob.hash, blob.size_bytes, left_ms < 1 ? 1 : (int)left_ms, &result, err);
    if (rc == 0)
        *result_p = result;
    return rc;
}

int client_call(client_t *self, const char *method, const value_t *params, const char *key,
                int timeout_ms, value_t **ret_result, value_t **ret_detail, struct err *err)
{
    char made[33];
    if (ret_detail)
        *ret_detail = NULL;
    if (!key)
        key = make_key(made);
    struct wire_body body = make_request(method, key);
    int64_t until_us = clock_monotonic_us() + timeout_ms * 1000LL;
    pack(self, params);
    int rc = put_large(self, method, until_us, err);
    if (rc)
        return rc;
    do {
        rc = converse(self, &body, buf_bytes(&self->packed), until_us, err);
    } while (rc == 0 && pause_if_busy(self, until_us));
    if (rc)
        return rc;
    if (self->message.route.kind != WIRE_REPLY)
        return err_set(err, ERR_MALFORMED, "the answer to %s is no reply", method);
    rc = take_reply(self, ret_result, ret_detail, err);
    return rc ? rc : resolve_result(self, ret_result, until_us, err);
}

int client_send(client_t *self, const char *method, const value_t *params, const char *key,
                uint64_t *ret_correlation, struct err *err)
{
    struct wire_body body = make_request(method, key);
    pack(self, params);
    int rc = send_body(self, &body, buf_bytes(&self->packed), self->correlation + 1, err);
    if (rc)
        return rc;
    *ret_correlation = ++self->correlation;
    return 0;
}

int client_receive(client_t *self, int timeout_ms, uint64_t *ret_correlation, value_t **ret_result,
                   struct err *err)
{
    int64_t until = clock_monotonic_us() + timeout_ms * 1000LL;
    int rc = next_message(self, until, err);
    if (rc)
        return rc;
    *ret_correlation = self->message.route.correlation;
    if (self->message.route.kind == WIRE_PONG) {
        *ret_result = value_null();
        return 0;
    }
    if (self->message.route.kind == WIRE_UNDELIVERABLE)
        return err_set(err, ERR_UNREACHABLE, "%s", self->message.body.undeliverable.text);
    if (self->message.route.kind != WIRE_REPLY)
        return err_set(err, ERR_MALFORMED, "an answer that is no reply");
    return take_reply(self, ret_result, NULL, err);
}

int client_ping_send(client_t *self, const char *address, uint64_t correlation, struct bytes body,
                     struct err *err)
{
    struct wire_route route = {.kind = WIRE_PING,
                               .to = address,
                               .from = peer_address(self->peer),
                               .correlation = correlation};
    return message_send_encoded(peer_socket(self->peer), &route, body, (struct bytes){0}, err);
}

/* --- blobs ------------------------------------------------------------------------------------ */

static int get_chunk(client_t *self, const uint8_t hash[DATUM_HASH_BYTES], uint64_t offset,
                     int64_t until_us, struct err *err)
{
    struct wire_body body = {.kind = WIRE_BLOB_GET, .blob_get = {.offset = offset}};
    memcpy(body.blob_get.hash, hash, DATUM_HASH_BYTES);
    int rc = converse(self, &body, (struct bytes){0}, until_us, err);
    if (rc)
        return rc;
    const struct wire_blob_chunk *chunk = &self->message.body.blob_chunk;
    if (self->message.route.kind != WIRE_BLOB_CHUNK || chunk->offset != offset)
        return err_set(err, ERR_MALFORMED, "an answer that is not the chunk asked for");
    if (chunk->error[0])
        return err_set(err, err_from_name(chunk->error), "the blob can't be read");
    return 0;
}

int client_blob(client_t *self, const uint8_t hash[32], uint64_t size_bytes, int timeout_ms,
                value_t **ret_value, struct err *err)
{
    if (size_bytes > LIMIT_VALUE_BYTES)
        return err_set(err, ERR_TOO_LARGE, "a blob of %llu bytes", (unsigned long long)size_bytes);
    int64_t until = clock_monotonic_us() + timeout_ms * 1000LL;
    struct buf whole = {0};
    int rc = 0;
    while (rc == 0 && whole.size < size_bytes) {
        rc = get_chunk(self, hash, whole.size, until, err);
        if (rc == 0 &&
            (!self->message.payload.size || self->message.payload.size > size_bytes - whole.size))
            rc = err_set(err, ERR_MALFORMED, "a chunk that does not fit its blob");
        if (rc == 0)
            buf_append_bytes(&whole, self->message.payload);
    }
    uint8_t real[DATUM_HASH_BYTES];
    if (rc == 0) {
        datum_hash(buf_bytes(&whole), real);
        if (memcmp(real, hash, sizeof real))
            rc = err_set(err, ERR_CORRUPT, "the blob's bytes do not give its hash");
    }
    if (rc == 0)
        rc = value_from_msgpack(buf_bytes(&whole), ret_value, err);
    buf_release(&whole);
    return rc;
}

static int resolve(client_t *self, const value_t *value, int timeout_ms, value_t **ret_value,
                   struct err *err)
{
    struct datum blob;
    if (reference_read(value, &blob))
        return client_blob(self, blob.hash, blob.size_bytes, timeout_ms, ret_value, err);
    enum value_type type = value_type(value);
    if (type != VALUE_LIST && type != VALUE_MAP) {
        *ret_value = value_ref(value);
        return 0;
    }
    value_t *copy = type == VALUE_LIST ? value_list() : value_map();
    for (size_t i = 0; i < value_size(value); i++) {
        value_t *item = NULL;
        const value_t *member = type == VALUE_LIST ? value_at(value, i) : value_member_at(value, i);
        int rc = resolve(self, member, timeout_ms, &item, err);
        if (rc) {
            value_destroy(&copy);
            return rc;
        }
        if (type == VALUE_LIST)
            value_append(copy, &item);
        else
            value_set(copy, value_key_at(value, i, NULL), &item);
    }
    *ret_value = copy;
    return 0;
}

int client_resolve_blobs(client_t *self, value_t **document_p, int timeout_ms, struct err *err)
{
    value_t *resolved = NULL;
    int rc = resolve(self, *document_p, timeout_ms, &resolved, err);
    if (rc)
        return rc;
    value_destroy(document_p);
    *document_p = resolved;
    return 0;
}

/* --- events ----------------------------------------------------------------------------------- */

int client_follow(client_t *self, const char *topic, struct err *err)
{
    if (!self->events)
        return err_set(err, ERR_INVALID, "this client follows no events");
    if (zmq_setsockopt(self->events, ZMQ_SUBSCRIBE, topic, strlen(topic)))
        return err_set(err, ERR_INTERNAL, "can't subscribe: %s", zmq_strerror(errno));
    return 0;
}

/* Takes one event if one waits: topic frame, document frame. */
static int take_event(client_t *self, value_t **ret_event, struct err *err)
{
    zmq_msg_t frame;
    struct bytes document = {0};
    int rc = ERR_MALFORMED;
    bool more = true;
    zmq_msg_init(&frame);
    for (int i = 0; more; i++) {
        if (zmq_msg_recv(&frame, self->events, ZMQ_DONTWAIT) < 0) {
            rc = i ? ERR_MALFORMED : ERR_AGAIN;
            break;
        }
        more = zmq_msg_more(&frame);
        document = bytes_of(zmq_msg_data(&frame), zmq_msg_size(&frame));
        if (i == 1)
            rc = value_from_msgpack(document, ret_event, err);
    }
    zmq_msg_close(&frame);
    return rc;
}

int client_next_event(client_t *self, int timeout_ms, value_t **ret_event, struct err *err)
{
    int64_t until = clock_monotonic_us() + timeout_ms * 1000LL;
    for (;;) {
        int rc = take_event(self, ret_event, err);
        if (rc == 0)
            return 0;
        int64_t now = clock_monotonic_us();
        if (rc == ERR_AGAIN && now >= until)
            return err_set(err, ERR_TIMEOUT, "no event");
        if (rc == ERR_AGAIN) {
            peer_tick(self->peer, now);
            zmq_pollitem_t item = {.socket = self->events, .events = ZMQ_POLLIN};
            (void)zmq_poll(&item, 1, (long)((until - now + 999) / 1000));
        }
    }
}
