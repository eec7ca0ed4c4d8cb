/* How an approval is named outside: EXECUTION/PATH, which is what a person sees anyway and can type;
 * EXECUTION/PATH@N for the N-th attempt of its task, from the second one on. Never used twice. */
#ifndef AF_COORDINATOR_APPROVALS_H
#define AF_COORDINATOR_APPROVALS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/typeid.h"

struct approval_id {
    struct uuid execution;
    const char *path; /* the arena's */
    uint32_t attempt;
};
void approval_id_print(struct uuid execution, const char *path, uint32_t attempt, struct buf *out);
/* ERR_INVALID for what is no such name. */
int approval_id_parse(const char *text, struct arena *arena, struct approval_id *ret_id,
                      struct err *err) MUST_CHECK;

#endif
