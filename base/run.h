/* The files of one installation on one machine: names that daemons and agentctl share.
 *
 *   DIR/store/            the store (coordinatord alone)
 *   DIR/run/broker.sock   messages        (ROUTER)  ipc://
 *   DIR/run/events.sock   events          (XPUB)    ipc://  followers connect a SUB
 *   DIR/run/publish.sock  publishers      (XSUB)    ipc://  coordinatord connects an XPUB
 *   DIR/run/NAME.pid      "PID STARTTIME" of a daemon, STARTTIME being field 22 of /proc/PID/stat
 *   DIR/run/instances/    one file for each agentd that hostd started (hostd alone)
 *   DIR/host_id, DIR/egress_id  ids that outlive the processes that bear them
 *   DIR/log/NAME.log      standard error of daemons that `agentctl up` started
 *   DIR/scratch/          working directories of command tasks
 *   DIR/agents            agent directory by default: paths of commands are relative to it */
#ifndef AF_BASE_RUN_H
#define AF_BASE_RUN_H

#include "base/err.h"
#include "base/typeid.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct run_paths {
    char *dir, *store, *run, *log, *scratch;
    char *broker_endpoint, *events_endpoint, *publish_endpoint;
};

/* dir NULL: $AGENTFACTORY_DIR, else $STATE_DIRECTORY (systemd), else $XDG_STATE_HOME/agentfactory,
 * else ~/.local/state/agentfactory. Makes it absolute. ERR_TOO_LARGE when a socket's path would not
 * fit sun_path (107 bytes): the remedy is a shorter --dir. */
int run_paths_init(struct run_paths *paths, const char *dir, struct err *err) MUST_CHECK;
void run_paths_release(struct run_paths *paths);
int run_paths_make(const struct run_paths *paths, struct err *err) MUST_CHECK; /* mode 0700 */

/* A process is named by its id and its start time (field 22 of /proc/PID/stat), since ids are given
 * out anew. A zombie is not alive. */
int run_process_starttime(pid_t pid, uint64_t *ret_starttime, struct err *err) MUST_CHECK;
bool run_process_alive(pid_t pid, uint64_t starttime);

/* DIR/run/NAME.pid of the calling process, written in one step (a reader never sees half of it). */
int run_write_pid(const struct run_paths *paths, const char *name, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND without such a file, ERR_MALFORMED when it holds something else. Says nothing of
 * whether the process is alive. */
int run_read_pid(const struct run_paths *paths, const char *name, pid_t *ret_pid,
                 uint64_t *ret_starttime, struct err *err) MUST_CHECK;
void run_remove_pid(const struct run_paths *paths, const char *name);

/* Holds DIR/run/NAME.lock until the descriptor is closed or the process ends; it is not inherited by
 * programs. ERR_CONFLICT names the holder when another process has it. */
int run_lock(const struct run_paths *paths, const char *name, int *ret_fd,
             struct err *err) MUST_CHECK;

/* The installation's own id of a kind, kept in DIR/FILE: read, or made when there is none yet. */
int run_own_id(const struct run_paths *paths, const char *file, const char *prefix,
               char ret_id[TYPEID_TEXT_SIZE], struct err *err) MUST_CHECK;

/* Raises the soft limit of open files to the hard one: a daemon serves a thousand peers. */
void run_raise_open_files(void);

#endif
