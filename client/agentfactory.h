/* AgentFactory's C client: the control surface and events over ZeroMQ, with JSON text in and out.
 *
 * Methods and the shapes of their documents are listed in docs/protocol.md. A client belongs to one
 * thread. Link with `pkg-config --libs agentfactory`. */
#ifndef AGENTFACTORY_H
#define AGENTFACTORY_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct af_client af_client_t;

/* Why a call failed; every text may be empty. */
struct af_error {
    char name[32];  /* of the error list: "not_found", "invalid", "unreachable", ... */
    char what[320]; /* what was wrong */
    char where[192]; /* field, file or key */
    char fix[192];  /* what to do */
    unsigned line, column; /* from 1; 0: none */
};

/* Connects to the installation in dir (NULL: the default one, see agentctl's --dir). Returns NULL,
 * with *error filled, when the endpoint can't be used; that nobody listens shows at the first call. */
af_client_t *af_client_new(const char *dir, struct af_error *error);
void af_client_destroy(af_client_t **self_p); /* NULL and half-built objects are fine */

/* Calls a method with a JSON object (NULL: {}). Returns the result as JSON text that the caller
 * frees with af_free, or NULL with *error. Sent again until answered or timeout_ms is over, under
 * one idempotency key (NULL: a fresh one), so it takes effect once. Values of more than 64 KiB are
 * fetched and stand in the result whole. */
char *af_call(af_client_t *self, const char *method, const char *params_json,
              const char *idempotency_key, int timeout_ms, struct af_error *error);

/* Follows a topic: "execution.ID" or "fleet". 0, or -1 with *error. */
int af_follow(af_client_t *self, const char *topic, struct af_error *error);
/* The next event as JSON text (af_free), or NULL: error->name is "timeout" when none came. */
char *af_next_event(af_client_t *self, int timeout_ms, struct af_error *error);

void af_free(char *text);

#ifdef __cplusplus
}
#endif
#endif
