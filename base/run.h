/* The files of one installation on one machine: names that daemons and agentctl share.
 *
 *   DIR/store/            the store (coordinatord alone)
 *   DIR/run/broker.sock   messages        (ROUTER)  ipc://
 *   DIR/run/events.sock   events          (XPUB)    ipc://  followers connect a SUB
 *   DIR/run/publish.sock  publishers      (XSUB)    ipc://  coordinatord connects an XPUB
 *   DIR/run/NAME.pid      "PID STARTTIME" of a daemon, STARTTIME being field 22 of /proc/PID/stat
 *   DIR/run/instances/    one file for each agentd that hostd started (hostd alone)
 *   DIR/log/NAME.log      standard error of daemons that `agentctl up` started
 *   DIR/scratch/          working directories of command tasks
 *   DIR/agents            agent directory by default: paths of commands are relative to it */
#ifndef AF_BASE_RUN_H
#define AF_BASE_RUN_H

#include "base/err.h"

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

#endif
