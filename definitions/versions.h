/* The versions of agents' definitions that a program has in use: fetched by name and number when
 * something first asks for one, kept while it is used, and a few more. No sockets: the owner sends
 * the requests that versions_request() writes (method agents.get). agentd has those of its one
 * agent, egressd those of all agents that ask for turns. */
#ifndef AF_DEFINITIONS_VERSIONS_H
#define AF_DEFINITIONS_VERSIONS_H

#include "definitions/definitions.h"

enum version_state { VERSION_ASKED, VERSION_READY, VERSION_REFUSED };

struct version {
    char *agent;
    uint32_t number; /* 0 until the answer: the newest one */
    enum version_state state;
    struct agent_def *def; /* once ready */
    struct err refusal;    /* once refused */
    uint32_t users;

    /* The table's own. */
    uint64_t correlation, used;
    int64_t ask_us, pause_us;
    struct version *next;
};

struct versions {
    const char *agent; /* borrowed: of versions_use and versions_ready */
    size_t kept_max;   /* unused ones that are kept; 0: LIMIT_AGENTD_VERSIONS */
    struct version *first;
    uint64_t uses;
};

void versions_release(struct versions *self);

/* The version of this number (0: the newest), asked for if need be; one more user of it. */
struct version *versions_use(struct versions *self, uint32_t number, int64_t now_us);
void versions_unuse(struct versions *self, struct version *version);
/* The same of any agent. */
struct version *versions_use_of(struct versions *self, const char *agent, uint32_t number,
                                int64_t now_us);
/* What is there of that version, in whatever state; NULL: nothing. */
struct version *versions_find(const struct versions *self, const char *agent, uint32_t number);
/* As versions_use, without counting a user, and only when it is ready; else NULL. */
struct version *versions_ready(const struct versions *self, uint32_t number);

/* The next version whose request is due; NULL: none. */
struct version *versions_due(struct versions *self, int64_t now_us);
/* Appends the request's payload, a MessagePack document, to out. It is to be sent under
 * version->correlation, which stays the same when it is repeated; a new one is taken from
 * *correlation, which is then advanced. */
void versions_request(struct version *version, uint64_t *correlation, int64_t now_us,
                      struct buf *out);
int64_t versions_deadline(const struct versions *self); /* INT64_MAX: none */

/* A request came back undelivered: the coordinator is not there yet; it is asked again soon. */
void versions_undelivered(struct versions *self, uint64_t correlation, int64_t now_us);

/* An answer: the version that it made ready or refused, or NULL when it was not asked for, or asks
 * for patience. refusal NULL: the payload is the document; else why there is none. Refused numbers
 * stay until unused; the newest (0) is asked for again and again. */
struct version *versions_receive(struct versions *self, uint64_t correlation,
                                 const struct err *refusal, struct bytes payload,
                                 int64_t now_us, struct err *err);

#endif
