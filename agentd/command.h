/* The commands that run: sandboxed processes with their pipes, served without blocking, and their
 * ends. Descriptors are watched by the owner's epoll set; ids go across, never pointers. */
#ifndef AF_AGENTD_COMMAND_H
#define AF_AGENTD_COMMAND_H

#include "agentd/sandbox.h"
#include "agentd/scratch.h"
#include "base/buf.h"

struct command_spec {
    const char *program; /* absolute */
    char *const *argv;
    char *const *env;       /* HOME and TMPDIR are added */
    struct bytes input;     /* copied */
    uint64_t memory_bytes;
    bool network;
};

/* How a command ended; all of it is borrowed during the callback. */
struct command_end {
    bool started;                 /* false: `failed` says why not */
    struct sandbox_report failed;
    int status;                   /* as waitpid(2) gives it */
    bool killed;                  /* by commands_kill, or with its stub */
    bool output_too_large;
    struct bytes output;
    struct bytes error_tail;      /* the last LIMIT_COMMAND_STDERR_BYTES at most */
};
typedef void (*command_ended_fn)(void *context, uint64_t owner, const struct command_end *end);

typedef struct commands commands_t;

/* sandbox and scratch are borrowed. */
commands_t *commands_new(int epoll_fd, const struct sandbox *sandbox, scratch_t *scratch,
                         command_ended_fn ended, void *context);
/* Kills what runs and waits until it has ended; `ended` is not called. */
void commands_destroy(commands_t **self_p);

/* owner comes back with the end. */
int commands_start(commands_t *self, const struct command_spec *spec, uint64_t owner,
                   uint64_t *ret_id, struct err *err) MUST_CHECK;
/* Ends it whole; `ended` follows once nothing of it is left. An unknown id is ignored. */
void commands_kill(commands_t *self, uint64_t id);
/* Feeds an event of the epoll set: its data. */
void commands_event(commands_t *self, uint64_t data);
size_t commands_count(const commands_t *self); /* those being killed included */

#endif
