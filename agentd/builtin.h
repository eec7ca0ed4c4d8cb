/* The agents that agentd answers by itself: echo, sleep, fail; for tests and benchmarks. Pure: a
 * plan of the answer, which the owner carries out. */
#ifndef AF_AGENTD_BUILTIN_H
#define AF_AGENTD_BUILTIN_H

#include "base/err.h"
#include "base/value.h"

enum builtin { BUILTIN_ECHO, BUILTIN_SLEEP, BUILTIN_FAIL };

/* ERR_UNSUPPORTED for another name. */
int builtin_from_name(const char *name, enum builtin *ret_builtin, struct err *err) MUST_CHECK;

/* How to answer a message: fail with `error`, or give the message back after `delay_us`. */
struct builtin_answer {
    bool failed, permanent;
    struct err error;
    int64_t delay_us;
};
/* sleep takes a number of seconds, {"seconds": x} or {"ms": n}; fail takes a text, or
 * {"message": text, "permanent": bool, "times": n}: with times, attempts after the n-th succeed. */
void builtin_answer(enum builtin builtin, const value_t *message, uint32_t attempt,
                    struct builtin_answer *ret_answer);

#endif
