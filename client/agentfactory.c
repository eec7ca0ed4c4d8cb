#include "client/agentfactory.h"

#include "base/run.h"
#include "client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct af_client {
    client_t *client;
};

static void fill(struct af_error *error, const struct err *err)
{
    if (!error)
        return;
    memset(error, 0, sizeof *error);
    snprintf(error->name, sizeof error->name, "%s", err_name(err->code));
    snprintf(error->what, sizeof error->what, "%s", err->what);
    snprintf(error->where, sizeof error->where, "%s", err->where);
    snprintf(error->fix, sizeof error->fix, "%s", err->fix);
    error->line = err->line;
    error->column = err->column;
}

af_client_t *af_client_new(const char *dir, struct af_error *error)
{
    struct err err = {0};
    struct run_paths paths = {0};
    af_client_t *self = xcalloc(1, sizeof *self);
    int rc = run_paths_init(&paths, dir, &err);
    if (rc == 0) {
        struct client_options options = {.endpoint = paths.broker_endpoint,
                                         .events = paths.events_endpoint,
                                         .program = "libagentfactory " AF_VERSION};
        rc = client_new(&options, &self->client, &err);
        run_paths_release(&paths);
    }
    if (rc) {
        fill(error, &err);
        af_client_destroy(&self);
    }
    return self;
}

void af_client_destroy(af_client_t **self_p)
{
    if (!self_p || !*self_p)
        return;
    client_destroy(&(*self_p)->client);
    free(*self_p);
    *self_p = NULL;
}

static char *to_json(value_t **value_p)
{
    struct buf out = {0};
    value_to_json(*value_p, VALUE_JSON_COMPACT, &out);
    value_destroy(value_p);
    return buf_steal(&out);
}

char *af_call(af_client_t *self, const char *method, const char *params_json,
              const char *idempotency_key, int timeout_ms, struct af_error *error)
{
    struct err err = {0};
    value_t *params = NULL;
    value_t *result = NULL;
    int rc = 0;
    if (params_json)
        rc = value_from_json(params_json, strlen(params_json), &params, &err);
    if (rc == 0)
        rc = client_call(self->client, method, params, idempotency_key, timeout_ms, &result, NULL,
                         &err);
    if (rc == 0)
        rc = client_resolve_blobs(self->client, &result, timeout_ms, &err);
    value_destroy(&params);
    if (rc == 0)
        return to_json(&result);
    value_destroy(&result);
    fill(error, &err);
    return NULL;
}

int af_follow(af_client_t *self, const char *topic, struct af_error *error)
{
    struct err err = {0};
    if (client_follow(self->client, topic, &err) == 0)
        return 0;
    fill(error, &err);
    return -1;
}

char *af_next_event(af_client_t *self, int timeout_ms, struct af_error *error)
{
    struct err err = {0};
    value_t *event = NULL;
    if (client_next_event(self->client, timeout_ms, &event, &err) == 0)
        return to_json(&event);
    fill(error, &err);
    return NULL;
}

void af_free(char *text)
{
    free(text);
}
