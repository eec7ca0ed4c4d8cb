#include "definitions/versions.h"

#include "base/limits.h"
#include <stdlib.h>
#include <string.h>

enum { UNDELIVERED_PAUSE_US = 100 * 1000 };

static void version_destroy(struct version *version)
{
    agent_def_destroy(&version->def);
    free(version->agent);
    free(version);
}

void versions_release(struct versions *self)
{
    while (self->first) {
        struct version *version = self->first;
        self->first = version->next;
        version_destroy(version);
    }
}

struct version *versions_find(const struct versions *self, const char *agent, uint32_t number)
{
    struct version *version = self->first;
    while (version && (version->number != number || strcmp(version->agent, agent) != 0))
        version = version->next;
    return version;
}

/* Number 0 is found only while it has not been answered: afterwards the newest is known by its own
 * number. */
struct version *versions_use_of(struct versions *self, const char *agent, uint32_t number,
                                int64_t now_us)
{
    struct version *version = versions_find(self, agent, number);
    if (!version) {
        version = xcalloc(1, sizeof *version);
        version->agent = xstrdup(agent);
        version->number = number;
        version->ask_us = now_us;
        version->next = self->first;
        self->first = version;
    }
    version->users++;
    version->used = ++self->uses;
    return version;
}

struct version *versions_use(struct versions *self, uint32_t number, int64_t now_us)
{
    return versions_use_of(self, self->agent, number, now_us);
}

static void evict(struct versions *self)
{
    size_t unused = 0;
    struct version **oldest = NULL;
    for (struct version **link = &self->first; *link; link = &(*link)->next) {
        if ((*link)->users)
            continue;
        unused++;
        if (!oldest || (*link)->used < (*oldest)->used)
            oldest = link;
    }
    if (unused <= (self->kept_max ? self->kept_max : LIMIT_AGENTD_VERSIONS))
        return;
    struct version *version = *oldest;
    *oldest = version->next;
    version_destroy(version);
}

static void forget(struct versions *self, struct version *version)
{
    struct version **link = &self->first;
    while (*link != version)
        link = &(*link)->next;
    *link = version->next;
    version_destroy(version);
}

void versions_unuse(struct versions *self, struct version *version)
{
    CHECK(version->users);
    if (--version->users)
        return;
    if (version->state == VERSION_READY)
        evict(self);
    else
        forget(self, version);
}

struct version *versions_ready(const struct versions *self, uint32_t number)
{
    struct version *version = versions_find(self, self->agent, number);
    return version && version->state == VERSION_READY ? version : NULL;
}

struct version *versions_due(struct versions *self, int64_t now_us)
{
    for (struct version *version = self->first; version; version = version->next)
        if (version->state == VERSION_ASKED && version->ask_us <= now_us)
            return version;
    return NULL;
}

static void pause_until(struct version *version, int64_t now_us)
{
    version->pause_us = version->pause_us ? version->pause_us * 2 : LIMIT_RESEND_FIRST_US;
    if (version->pause_us > LIMIT_RESEND_MAX_US)
        version->pause_us = LIMIT_RESEND_MAX_US;
    version->ask_us = now_us + version->pause_us;
}

void versions_request(struct version *version, uint64_t *correlation, int64_t now_us,
                      struct buf *out)
{
    value_t *params = value_map();
    value_set_string(params, "name", version->agent);
    if (version->number)
        value_set_int(params, "version", version->number);
    value_to_msgpack(params, out);
    value_destroy(&params);
    if (!version->correlation)
        version->correlation = (*correlation)++;
    pause_until(version, now_us);
}

int64_t versions_deadline(const struct versions *self)
{
    int64_t deadline_us = INT64_MAX;
    for (struct version *version = self->first; version; version = version->next)
        if (version->state == VERSION_ASKED && version->ask_us < deadline_us)
            deadline_us = version->ask_us;
    return deadline_us;
}

static int compile(const struct version *version, struct bytes payload, uint32_t *ret_number,
                   struct agent_def **ret_def, struct err *err)
{
    value_t *document = NULL;
    int rc = value_from_msgpack(payload, &document, err);
    if (rc)
        return rc;
    int64_t number = value_get_int(document, "version", 0);
    const value_t *canonical = value_get(document, "definition");
    if (number < 1 || number > UINT32_MAX || !canonical)
        rc = err_set(err, ERR_MALFORMED, "the coordinator's answer holds no version or definition");
    else if (version->number && version->number != (uint32_t)number)
        rc = err_set(err, ERR_MALFORMED, "asked for version %u, the coordinator gave version %lld",
                     version->number, (long long)number);
    else
        rc = agent_compile(canonical, ret_def, err);
    if (!rc)
        *ret_number = (uint32_t)number;
    value_destroy(&document);
    return rc;
}

static struct version *find_correlation(const struct versions *self, uint64_t correlation)
{
    struct version *version = self->first;
    while (version && !(version->state == VERSION_ASKED && version->correlation == correlation))
        version = version->next;
    return version;
}

void versions_undelivered(struct versions *self, uint64_t correlation, int64_t now_us)
{
    struct version *version = correlation ? find_correlation(self, correlation) : NULL;
    if (version)
        version->ask_us = now_us + UNDELIVERED_PAUSE_US;
}

struct version *versions_receive(struct versions *self, uint64_t correlation,
                                 const struct err *refusal, struct bytes payload, int64_t now_us,
                                 struct err *err)
{
    struct version *version = correlation ? find_correlation(self, correlation) : NULL;
    if (!version)
        return NULL;
    struct err why = {0};
    if (refusal)
        why = *refusal;
    int rc =
        refusal ? refusal->code : compile(version, payload, &version->number, &version->def, &why);
    if (!rc) {
        version->state = VERSION_READY;
        return version;
    }
    if (err)
        *err = why;
    if (!version->number || err_is_passing(rc)) {
        if (version->ask_us < now_us + LIMIT_RESEND_FIRST_US)
            version->ask_us = now_us + LIMIT_RESEND_FIRST_US;
        return NULL;
    }
    version->refusal = why;
    version->state = VERSION_REFUSED;
    return version;
}
