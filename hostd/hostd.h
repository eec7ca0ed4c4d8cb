/* The loop of hostd: its connection to the broker, its link to the coordinator, and the processes of
 * its host. One thread makes it, runs it and destroys it. */
#ifndef AF_HOSTD_HOSTD_H
#define AF_HOSTD_HOSTD_H

#include "base/run.h"

typedef struct hostd hostd_t;

struct hostd_options {
    const struct run_paths *paths;
    const char *broker;     /* endpoint */
    const char *host;       /* host_… */
    const char *agents_dir;
    const char *agentd;     /* path of the program */
    int signals;            /* signalfd of SIGTERM, SIGINT and SIGCHLD, not blocking */
    bool keep;              /* leave the processes running at the end */
};

/* Takes over what is running, then connects. The options are borrowed. */
int hostd_new(const struct hostd_options *options, hostd_t **ret_hostd, struct err *err) MUST_CHECK;
/* Returns after SIGTERM or SIGINT, when all processes have ended (or at once, with keep). */
int hostd_run(hostd_t *self, struct err *err) MUST_CHECK;
void hostd_destroy(hostd_t **self_p);

#endif
