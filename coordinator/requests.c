#include "coordinator/requests.h"

#include "base/reference.h"
#include "coordinator/blobs.h"
#include "coordinator/folds.h"
#include "coordinator/idempotency.h"
#include "coordinator/methods.h"
#include "coordinator/pipeline.h"
#include "coordinator/waiters.h"

#include <stdio.h>
#include <string.h>

#define RETRY_AFTER_MS 200
#define PARAMETERS_MAX 9
/* A larger document leaves no room for the other frames of its message. */
#define MESSAGE_DOCUMENT_BYTES (LIMIT_MESSAGE_BYTES - 8192)

enum method_kind {
    READS,    /* may tell of what is not committed yet: answered with the current batch */
    CHANGES,  /* writes: refused while the store is full, kept under idempotency keys */
    VOLATILE, /* tells of nothing that a journal holds: answered at once */
};

struct method {
    const char *name;
    method_fn run;
    enum method_kind kind;
    const char *parameters[PARAMETERS_MAX];
};

static const struct method methods[] = {
    {"status", method_status, VOLATILE, {NULL}},
    {"definitions.apply", method_definitions_apply, CHANGES, {"files", "dry_run"}},
    {"agents.list", method_agents_list, READS, {NULL}},
    {"agents.get", method_agents_get, READS, {"name", "version"}},
    {"agents.remove", method_agents_remove, CHANGES, {"name"}},
    {"workflows.list", method_workflows_list, READS, {NULL}},
    {"workflows.get", method_workflows_get, READS, {"name", "version"}},
    {"workflows.remove", method_workflows_remove, CHANGES, {"name"}},
    {"executions.start",
     method_executions_start,
     CHANGES,
     {"workflow", "agent", "version", "input", "timeout_ms"}},
    {"executions.get", method_executions_get, READS, {"id", "tasks", "outputs", "after", "limit"}},
    {"executions.wait",
     method_executions_wait,
     READS,
     {"id", "timeout_ms", "tasks", "outputs", "after", "limit"}},
    {"executions.list",
     method_executions_list,
     READS,
     {"status", "workflow", "agent", "since", "limit", "cursor", "all", "parent", "label"}},
    {"executions.cancel", method_executions_cancel, CHANGES, {"id", "why"}},
    {"executions.retry", method_executions_retry, CHANGES, {"id"}},
    {"executions.fork", method_executions_fork, CHANGES, {"id", "node", "input"}},
    {"executions.pause", method_executions_pause, CHANGES, {"id", "why"}},
    {"executions.resume", method_executions_resume, CHANGES, {"id", "why"}},
    {"executions.signal", method_executions_signal, CHANGES, {"id", "name", "payload"}},
    {"approvals.list", method_approvals_list, READS, {"execution", "after", "limit"}},
    {"approvals.decide",
     method_approvals_decide,
     CHANGES,
     {"id", "approved", "note", "edited", "hash"}},
    {"executions.journal", method_executions_journal, READS, {"id", "after", "limit", "raw"}},
    {"executions.context", method_executions_context, READS, {"id"}},
    {"signals.send", method_signals_send, CHANGES, {"name", "payload"}},
    {"schedules.list", method_schedules_list, READS, {NULL}},
    {"tasks.history", method_tasks_history, READS, {"execution", "path", "attempt", "from"}},
    {"hosts.list", method_hosts_list, VOLATILE, {NULL}},
    {"instances.list", method_instances_list, VOLATILE, {"agent"}},
};

static const struct method *find_method(const char *name)
{
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    return NULL;
}

/* --- answers ---------------------------------------------------------------------------------- */

static struct wire_body make_reply(const struct err *err)
{
    struct wire_body body = {.kind = WIRE_REPLY};
    if (err == NULL)
        return body;
    body.reply = (struct wire_reply){.error = err_name(err->code),
                                     .what = err->what,
                                     .where = err->where,
                                     .fix = err->fix,
                                     .line = err->line,
                                     .column = err->column};
    if (err->code == ERR_BUSY || err->code == ERR_FULL)
        body.reply.retry_after_ms = RETRY_AFTER_MS;
    return body;
}

void requests_send(struct coordinator *self, const char *to, uint64_t correlation,
                   const struct err *err, struct bytes document)
{
    struct wire_body body = make_reply(err);
    struct wire_route route = {.kind = WIRE_REPLY, .to = to, .correlation = correlation};
    struct err why;

    int rc = peer_send(self->peer, &route, &body, document, &why);
    if (rc == ERR_TOO_LARGE) {
        body = make_reply(&why);
        rc = peer_send(self->peer, &route, &body, (struct bytes){0}, NULL);
    }
    if (rc < 0)
        self->counters.unsent++;
}

/* A reference to the document, which becomes a blob. */
static void refer_to(struct coordinator *self, struct bytes document, struct buf *out)
{
    struct datum blob = blobs_datum(self, document);
    struct doc doc;
    doc_init(&doc, out);
    doc_datum(&doc, NULL, &blob);
}

/* An answer may tell of what is not committed yet: it goes out with the current batch. While the
 * store is full that may last, and methods read what is committed alone: then it goes at once. */
static void answer(struct coordinator *self, const struct request *request, bool at_once,
                   const struct err *err, struct bytes document)
{
    struct wire_body body = make_reply(err);
    struct buf reference = {0};
    if (err != NULL)
        self->counters.refused_requests++;
    if (self->full || at_once) {
        requests_send(self, request->from, request->correlation, err, document);
        return;
    }
    if (err == NULL && document.size > MESSAGE_DOCUMENT_BYTES &&
        document.size <= LIMIT_VALUE_BYTES) {
        refer_to(self, document, &reference);
        document = buf_bytes(&reference);
    }
    pipeline_send(self, request->from, request->correlation, &body, document);
    buf_release(&reference);
}

size_t requests_waiting(const struct coordinator *self)
{
    return pipeline_answers_waiting(self) + waiters_count(self) + folds_waiting(self);
}

/* --- parameters ------------------------------------------------------------------------------- */

static int wrong_type(const char *name, const value_t *value, const char *wanted, struct err *err)
{
    err_set(err, ERR_INVALID, "the parameter \"%s\" is %s, not %s", name,
            value_type_name(value_type(value)), wanted);
    err_where(err, "%s", name);
    return ERR_INVALID;
}

int param_optional_text(const struct request *request, const char *name, const char **ret_text,
                        struct err *err)
{
    const value_t *value = value_get(request->params, name);
    if (value == NULL || value_type(value) == VALUE_NULL)
        return 0;
    if (value_type(value) != VALUE_STRING)
        return wrong_type(name, value, "text", err);
    if (strlen(value_as_string(value)) != value_size(value))
        return err_set(err, ERR_INVALID, "the parameter \"%s\" holds a NUL", name);
    *ret_text = value_as_string(value);
    return 0;
}

int param_text(const struct request *request, const char *name, const char **ret_text,
               struct err *err)
{
    const char *text = NULL;
    int rc = param_optional_text(request, name, &text, err);
    if (rc == 0 && text == NULL) {
        rc = err_set(err, ERR_INVALID, "the parameter \"%s\" is missing", name);
        err_where(err, "%s", name);
    }
    if (rc == 0)
        *ret_text = text;
    return rc;
}

int param_id(const struct request *request, struct uuid *ret_id, struct err *err)
{
    const char *text;
    int rc = param_text(request, "id", &text, err);
    if (rc == 0)
        rc = typeid_parse_as(text, "exec", ret_id, err);
    return rc == ERR_MALFORMED ? ERR_INVALID : rc;
}

int param_optional_int(const struct request *request, const char *name, int64_t least, int64_t most,
                       int64_t *ret_number, struct err *err)
{
    const value_t *value = value_get(request->params, name);
    if (value == NULL || value_type(value) == VALUE_NULL)
        return 0;
    if (value_type(value) != VALUE_INT)
        return wrong_type(name, value, "an integer", err);
    int64_t number = value_as_int(value);
    if (number < least || number > most) {
        err_set(err, ERR_INVALID, "the parameter \"%s\" is %lld: it is %lld to %lld", name,
                (long long)number, (long long)least, (long long)most);
        err_where(err, "%s", name);
        return ERR_INVALID;
    }
    *ret_number = number;
    return 0;
}

int param_optional_bool(const struct request *request, const char *name, bool *ret_flag,
                        struct err *err)
{
    const value_t *value = value_get(request->params, name);
    if (value == NULL || value_type(value) == VALUE_NULL)
        return 0;
    if (value_type(value) != VALUE_BOOL)
        return wrong_type(name, value, "a boolean", err);
    *ret_flag = value_as_bool(value);
    return 0;
}

static bool knows_parameter(const struct method *method, const char *name)
{
    for (size_t i = 0; i < PARAMETERS_MAX && method->parameters[i] != NULL; i++)
        if (strcmp(method->parameters[i], name) == 0)
            return true;
    return false;
}

/* Parameters too large for one message were put as a blob, to which they are a reference. */
static int read_blob(struct coordinator *self, const struct datum *blob, value_t **ret_params,
                     struct err *err)
{
    struct bytes bytes;
    if (blobs_check(self, blob->hash, blob->size_bytes, err) != 0)
        return err_set(err, ERR_INVALID,
                       "no blob of that hash and size is stored that could be the parameters");
    int rc = blobs_read(self, blob->hash, &bytes, err);
    if (rc == 0)
        rc = value_from_msgpack(bytes, ret_params, err);
    blobs_end_reads(self);
    return rc;
}

static int read_payload(struct coordinator *self, struct bytes payload, value_t **ret_params,
                        struct err *err)
{
    struct datum blob;
    if (payload.size == 0) {
        *ret_params = value_map();
        return 0;
    }
    int rc = value_from_msgpack(payload, ret_params, err);
    if (rc == 0 && reference_read(*ret_params, &blob)) {
        value_destroy(ret_params);
        rc = read_blob(self, &blob, ret_params, err);
    }
    return rc;
}

static int read_params(struct coordinator *self, const struct method *method, struct bytes payload,
                       value_t **ret_params, struct err *err)
{
    value_t *params = NULL;
    int rc = read_payload(self, payload, &params, err);
    if (rc == 0 && value_type(params) != VALUE_MAP)
        rc = err_set(err, ERR_INVALID, "the parameters are not an object");
    for (size_t i = 0; rc == 0 && i < value_size(params); i++)
        if (!knows_parameter(method, value_key_at(params, i, NULL)))
            rc = err_set(err, ERR_INVALID, "%s has no parameter \"%s\"", method->name,
                         value_key_at(params, i, NULL));
    if (rc < 0)
        value_destroy(&params);
    else
        *ret_params = params;
    return rc;
}

/* --- running ---------------------------------------------------------------------------------- */

static int check_room(struct coordinator *self, const struct method *method, struct err *err)
{
    if (method->kind == CHANGES && self->full) {
        err_set(err, ERR_FULL, "the store has no room: nothing new is accepted until it has");
        err_where(err, "%s", self->paths.store);
        err_fix(err, "make room on that disk; running work goes on by itself then");
        return ERR_FULL;
    }
    if (requests_waiting(self) >= LIMIT_CLIENT_REQUESTS)
        return err_set(err, ERR_BUSY, "%d requests wait already", LIMIT_CLIENT_REQUESTS);
    return 0;
}

static int run_new(struct coordinator *self, const struct method *method,
                   const struct request *request, struct doc *doc, struct err *err)
{
    int rc = method->run(self, request, doc, err);
    CHECK(rc != 0 || doc->depth == 0);
    return rc;
}

/* The same request under the same key is not run again. */
static int run_keyed(struct coordinator *self, const struct method *method,
                     const struct request *request, const char *key, struct doc *doc,
                     struct err *err)
{
    uint8_t hash[32];
    idempotency_hash(method->name, request->payload, hash);
    int rc = idempotency_find(self, key, hash, doc->out, err);
    if (rc != ERR_NOT_FOUND)
        return rc;
    rc = run_new(self, method, request, doc, err);
    if (rc == 0)
        idempotency_store(self, key, hash, buf_bytes(doc->out));
    return rc;
}

/* Asked again, while the store is full, under a key that is known: what was answered before is
 * answered again. If the batch with this request itself waits for room, its answer goes out with
 * it; to refuse the request now would be a lie, since it will be carried out. */
static int run_again_while_full(struct coordinator *self, const struct request *request,
                                const char *key, struct doc *doc, struct err *err)
{
    uint8_t hash[32];
    struct err full = *err;
    if (idempotency_waits(self, key))
        return REQUEST_DEFERRED;
    idempotency_hash(request->method, request->payload, hash);
    int rc = idempotency_find(self, key, hash, doc->out, err);
    if (rc == ERR_NOT_FOUND) {
        *err = full;
        rc = ERR_FULL;
    }
    return rc;
}

static int run(struct coordinator *self, const struct method *method, struct request *request,
               const char *key, struct doc *doc, struct err *err)
{
    value_t *params = NULL;
    int rc = check_room(self, method, err);
    if (rc == ERR_FULL && *key != '\0')
        return run_again_while_full(self, request, key, doc, err);
    if (rc == 0)
        rc = read_params(self, method, request->payload, &params, err);
    if (rc < 0)
        return rc;
    request->params = params;
    if (method->kind == CHANGES && *key != '\0')
        rc = run_keyed(self, method, request, key, doc, err);
    else
        rc = run_new(self, method, request, doc, err);
    value_destroy(&params);
    return rc;
}

void requests_run(struct coordinator *self, const char *from, uint64_t correlation,
                  const char *method_name, const char *key, struct bytes payload)
{
    const struct method *method = find_method(method_name);
    struct request request = {.from = from,
                              .correlation = correlation,
                              .method = method_name,
                              .payload = payload,
                              .key = key};
    struct err err = {0};
    struct buf out = {0};
    struct doc doc;
    int rc;

    doc_init(&doc, &out);
    if (method == NULL)
        rc = err_set(&err, ERR_UNSUPPORTED, "there is no method \"%s\"", method_name);
    else
        rc = run(self, method, &request, key, &doc, &err);
    if (rc < 0 && err.code != rc)
        err.code = rc;
    if (rc != REQUEST_DEFERRED)
        answer(self, &request, method != NULL && method->kind == VOLATILE, rc < 0 ? &err : NULL,
               buf_bytes(&out));
    buf_release(&out);
}

void requests_receive(struct coordinator *self, const struct message *message)
{
    const struct wire_route *route = &message->route;
    const struct wire_request *request = &message->body.request;

    if (route->deadline_us != 0 && route->deadline_us < self->utc_us)
        return; /* its answer interests nobody any more */
    requests_run(self, route->from, route->correlation, request->method, request->idempotency_key,
                 message->payload);
}
