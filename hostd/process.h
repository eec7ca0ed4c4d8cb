/* One agentd process: starting it in a session of its own, taking over one that an earlier hostd
 * started, telling it to end, and learning how it ended. A process is named by a descriptor
 * (pidfd), never by its number alone. */
#ifndef AF_HOSTD_PROCESS_H
#define AF_HOSTD_PROCESS_H

#include "hostd/record.h"

struct process_options {
    const struct run_paths *paths;
    const char *agentd;     /* path of the program */
    const char *broker;     /* endpoint */
    const char *host;       /* host_… */
    const char *agents_dir;
};

/* How a process ended. */
struct process_end {
    bool known; /* false for a process that was no child of ours: nobody tells */
    int exit_status;
    int signal; /* 0: it ended by itself */
};

/* Starts agentd for the record's instance and agent; fills in pid and starttime and writes the
 * record, before and after. On failure nothing is left, the record included. */
int process_start(const struct process_options *options, struct record *record, int *ret_pidfd,
                  struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND when the record's process is over. A record without a pid (hostd ended while it
 * started the process) is looked for by its instance id, and completed. */
int process_adopt(const struct run_paths *paths, struct record *record, int *ret_pidfd,
                  struct err *err) MUST_CHECK;
void process_signal(int pidfd, int signal_number);
/* Reaps the process if it is a child of ours; the descriptor is readable, so it has ended. */
struct process_end process_reap(int pidfd);
/* "exited with status 1", "was ended by signal 9 (Killed)", "ended". */
void process_describe(const struct process_end *end, char *ret_text, size_t size);

#endif
