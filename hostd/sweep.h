/* A walk over the processes of this machine (/proc). */
#ifndef AF_HOSTD_SWEEP_H
#define AF_HOSTD_SWEEP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sweep_entry {
    pid_t pid;
    pid_t parent;
    pid_t session;
    bool zombie; /* dead, and not yet reaped by its parent */
};

/* Calls back for each process; processes that come or go meanwhile may be missed. False when /proc
 * can't be read at all. */
typedef void (*sweep_fn)(void *context, const struct sweep_entry *entry);
bool sweep_walk(sweep_fn visit, void *context);

/* The process that has this word as one of its arguments; 0 when there is none. Not ourselves. */
pid_t sweep_find_argument(const char *word);

#endif
