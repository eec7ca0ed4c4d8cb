/* What hostd must know of its processes after its own end: one file for each, DIR/run/instances/ID,
 * of one line: "PID STARTTIME BOOT MEMORY RESTARTS AGENT". It is written with PID 0 before the
 * process is started, so that none can exist without it, and removed when the coordinator has
 * acknowledged its exit. And this host's own id, in DIR/host_id. */
#ifndef AF_HOSTD_RECORD_H
#define AF_HOSTD_RECORD_H

#include "base/err.h"
#include "base/limits.h"
#include "base/run.h"
#include "base/typeid.h"

struct record {
    char instance[TYPEID_TEXT_SIZE]; /* inst_… */
    char agent[LIMIT_NAME_BYTES + 1];
    pid_t pid;
    uint64_t starttime;
    uint64_t boot;
    uint64_t memory_bytes;
    uint32_t restarts;
};

int record_write(const struct run_paths *paths, const struct record *record,
                 struct err *err) MUST_CHECK;
void record_remove(const struct run_paths *paths, const char *instance);
/* Calls back for each record in order of instance ids, so of their making; a file that is none is
 * removed. */
typedef void (*record_fn)(void *context, const struct record *record);
int record_each(const struct run_paths *paths, record_fn visit, void *context,
                struct err *err) MUST_CHECK;

/* The id of this host: read, or made when there is none yet. */
int record_host_id(const struct run_paths *paths, char ret_id[TYPEID_TEXT_SIZE],
                   struct err *err) MUST_CHECK;

#endif
