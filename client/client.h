/* The client inside our own programs: requests to the coordinator with documents (value_t) in and
 * out, blobs, and followed events. client/agentfactory.h is the public face of the same, with JSON
 * text. One thread. Owns its connection; the broker may restart beneath it. */
#ifndef AF_CLIENT_CLIENT_H
#define AF_CLIENT_CLIENT_H

#include "base/value.h"

typedef struct client client_t;

struct client_options {
    const char *endpoint; /* of the broker's messages */
    const char *events;   /* of the broker's events, or NULL: none followed */
    const char *program;  /* "agentctl 0.1.0" */
};
int client_new(const struct client_options *options, client_t **ret_client,
               struct err *err) MUST_CHECK;
void client_destroy(client_t **self_p);

/* Calls a method and waits at most timeout_ms for its answer. A request that gets no answer is sent
 * again under the same idempotency key (made here when key is NULL), so that a restart of the broker
 * or the coordinator in the middle is not seen. Parameters that one message can't hold are put as a
 * blob first, and such a result is fetched; ERR_TOO_LARGE past LIMIT_VALUE_BYTES. params may be NULL; *ret_result is the caller's.
 * ERR_UNREACHABLE (nobody there in the whole time), ERR_TIMEOUT, or the coordinator's own error; for
 * that, *ret_detail (may be NULL) receives the document that came with it, or NULL. */
int client_call(client_t *self, const char *method, const value_t *params, const char *key,
                int timeout_ms, value_t **ret_result, value_t **ret_detail,
                struct err *err) MUST_CHECK;

/* The same in halves, for many requests at once; nothing is sent again, and nothing put as a blob.
 * ERR_AGAIN when the socket takes no more. */
int client_send(client_t *self, const char *method, const value_t *params, const char *key,
                uint64_t *ret_correlation, struct err *err) MUST_CHECK;
/* The next answer. ERR_TIMEOUT when none came. An error of the coordinator's is returned with its
 * correlation set. */
int client_receive(client_t *self, int timeout_ms, uint64_t *ret_correlation, value_t **ret_result,
                   struct err *err) MUST_CHECK;

/* A round trip to any address ("agent:echo"), answered by the peer without anybody's leave. */
int client_ping_send(client_t *self, const char *address, uint64_t correlation,
                     struct bytes body, struct err *err) MUST_CHECK;

/* A whole blob (LIMIT_VALUE_BYTES at most), checked against its hash, decoded. */
int client_blob(client_t *self, const uint8_t hash[32], uint64_t size_bytes, int timeout_ms,
                value_t **ret_value, struct err *err) MUST_CHECK;
/* Replaces every {"$blob": …} in a document by the value itself. Consumes and returns. */
int client_resolve_blobs(client_t *self, value_t **document_p, int timeout_ms,
                         struct err *err) MUST_CHECK;

/* Events: topics as prefixes ("execution.exec_…", "fleet"). Best effort. */
int client_follow(client_t *self, const char *topic, struct err *err) MUST_CHECK;
/* ERR_TIMEOUT when none came; *ret_event is the caller's. */
int client_next_event(client_t *self, int timeout_ms, value_t **ret_event,
                      struct err *err) MUST_CHECK;

#endif
