/* The daemons of one machine: started, watched and restarted by `agentctl up`, and by benches in
 * directories of their own. One thread. The daemons outlive a supervisor that is killed; the next one
 * adopts them by their pid files. */
#ifndef AF_TOOLS_STACK_H
#define AF_TOOLS_STACK_H

#include "base/run.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* In the order of their start. */
enum { STACK_BROKER, STACK_COORDINATOR, STACK_EGRESS, STACK_HOST, STACK_DAEMONS };

typedef struct stack daemons_t;
struct stack_options {
    const struct run_paths *paths; /* borrowed; outlives the stack */
    const char *agents;            /* agent directory */
    bool die_with_parent;          /* daemons are killed when this process dies (benches) */
    bool with_host;                /* start hostd, too */
};

daemons_t *stack_new(const struct stack_options *options);
/* Leaves running daemons alone. */
void stack_destroy(daemons_t **self_p);

/* Adopts what runs and starts what doesn't. */
int stack_start(daemons_t *self, struct err *err) MUST_CHECK;
/* Watches until a termination signal comes (SIGINT, SIGTERM, SIGHUP; blocked by the call), starting
 * again what dies, with a pause from 100 ms doubling to 5 s. Returns the signal. */
int stack_supervise(daemons_t *self);
/* One look, waiting at most timeout_ms: restarts what is due. */
void stack_tick(daemons_t *self, int timeout_ms);
/* Ends all, the last one started first: hostd stops its agents, which may still ask egressd and the
 * coordinator. SIGKILL after 15 s. */
void stack_stop(daemons_t *self);
pid_t stack_pid(const daemons_t *self, int daemon); /* 0: not running */
const char *stack_name(int daemon);                /* "brokerd" */

/* Ends what pid files of a directory name, without a supervisor. Returns how many were ended. */
unsigned stack_stop_by_files(const struct run_paths *paths);
/* The folder of this program, where the daemons lie too. Heap string. */
char *stack_program_dir(void);

#endif
