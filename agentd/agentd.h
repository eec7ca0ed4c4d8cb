/* agentd: one process that serves one agent. Its loop, its link to the coordinator, and what arrives
 * over it. One thread besides libzmq's, for the life of the process. */
#ifndef AF_AGENTD_AGENTD_H
#define AF_AGENTD_AGENTD_H

#include "base/err.h"
#include <stdint.h>

struct agentd_options {
    const char *agent;       /* name */
    const char *instance;    /* "inst_…" */
    const char *host;        /* "host_…", or NULL */
    const char *broker;      /* endpoint */
    const char *agents_dir;  /* what commands' paths are relative to, absolute; or NULL */
    const char *scratch_dir; /* absolute */
    uint64_t memory_bytes;   /* cap on a task's memory; 0: the definition's alone */
    uint64_t boot;           /* start of this process, microseconds UTC: orders the instance's boots */
};

/* Runs until SIGTERM or SIGINT, which it blocks; the options are borrowed. */
int agentd_run(const struct agentd_options *options, struct err *err) MUST_CHECK;

#endif
