/* Starting executions: what a client's request, a schedule and a signal have in common. */
#ifndef AF_COORDINATOR_STARTS_H
#define AF_COORDINATOR_STARTS_H

#include "coordinator/coordinator.h"

struct start {
    const char *workflow, *agent; /* one of them; the other is NULL */
    int64_t version;              /* of the workflow; 0: the newest */
    int64_t timeout_ms;           /* 0: as the workflow says */
    const value_t *input;         /* NULL: none */
    const char *by;
};

/* A start of which all is known that can be. Borrows what its struct start borrows. */
struct prepared {
    struct start start;
    struct uuid id;
    uint32_t version;
    struct buf input; /* MessagePack, with the workflow's defaults */
    dag_t *dag;
    const struct pinned_agent *agents;
    size_t agents_count;
    const struct pinned_workflow *workflows;
    size_t workflows_count;
};

/* ERR_BUSY when so many more would be too many at a time. */
int starts_have_room(const struct coordinator *self, size_t count, struct err *err) MUST_CHECK;
/* The workflow's input with its defaults, or the message of an agent (workflow NULL) as it is, as
 * MessagePack. in_out_version 0: the newest, which it becomes. ERR_NOT_FOUND, ERR_INVALID,
 * ERR_TOO_LARGE. */
int start_input(struct coordinator *self, const char *workflow, uint32_t *in_out_version,
                const value_t *input, struct buf *out, struct err *err) MUST_CHECK;
/* Looks everything up and checks the input; changes nothing. ERR_NOT_FOUND, ERR_INVALID,
 * ERR_TOO_LARGE. To be released in any case, in the round in which it was made. */
int start_prepare(struct coordinator *self, const struct start *start,
                  struct prepared *ret_prepared, struct err *err) MUST_CHECK;
/* Starts it, in the current batch. */
int start_decide(struct coordinator *self, const struct prepared *prepared,
                 struct err *err) MUST_CHECK;
void start_release(struct prepared *self);

#endif
