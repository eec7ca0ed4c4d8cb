/* Requests of clients: the envelope (parameters, idempotency, limits) around the methods, and the
 * answers. docs/protocol.md has the methods' parameters and results. */
#ifndef AF_COORDINATOR_REQUESTS_H
#define AF_COORDINATOR_REQUESTS_H

#include "coordinator/coordinator.h"
#include "coordinator/doc.h"

/* KIND_REQUEST. */
void requests_receive(struct coordinator *self, const struct message *message);
/* Runs one request, now or again; payload may be empty. */
void requests_run(struct coordinator *self, const char *from, uint64_t correlation,
                  const char *method, const char *key, struct bytes payload);
/* Sends an answer at once: only for what is committed. err NULL: success. */
void requests_send(struct coordinator *self, const char *to, uint64_t correlation,
                   const struct err *err, struct bytes document);
/* Requests whose answers are not out yet. */
size_t requests_waiting(const struct coordinator *self);

/* --- for the methods --- */
struct request {
    const char *from;
    uint64_t correlation;
    const char *method;
    const value_t *params; /* an object */
    struct bytes payload;  /* the same as it came: perhaps as a reference to a blob */
    const char *key;       /* of idempotency; "" */
};
/* Writes its result. A negative code is the answer too, with what was written so far as the payload;
 * REQUEST_DEFERRED: the answer comes later, by other ways. */
typedef int (*method_fn)(struct coordinator *self, const struct request *request, struct doc *doc,
                         struct err *err);
#define REQUEST_DEFERRED 1

/* Parameters. ERR_INVALID naming the parameter when it is missing or of another type. */
int param_text(const struct request *request, const char *name, const char **ret_text,
               struct err *err) MUST_CHECK;
int param_id(const struct request *request, struct uuid *ret_id, struct err *err) MUST_CHECK;
/* Optional ones: *ret keeps its value when absent. */
int param_optional_text(const struct request *request, const char *name, const char **ret_text,
                        struct err *err) MUST_CHECK;
int param_optional_int(const struct request *request, const char *name, int64_t least,
                       int64_t most, int64_t *ret_number, struct err *err) MUST_CHECK;
int param_optional_bool(const struct request *request, const char *name, bool *ret_flag,
                        struct err *err) MUST_CHECK;

#endif
