/* Starts a program apart from everything else: in a process-id namespace whose first process is a
 * stub of ours, so that the end of the stub, by whatever cause, ends all that the program started;
 * without network, writing nowhere but below its scratch directory (Landlock), with limits, without
 * rights to gain. Where the kernel refuses namespaces, the stub watches over its descendants as
 * their reaper instead, and a `shortfall` says what is missing.
 *
 * The caller has one thread that forks; children run only async-signal-safe code until exec. */
#ifndef AF_AGENTD_SANDBOX_H
#define AF_AGENTD_SANDBOX_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sandbox {
    uint64_t clone_flags; /* the namespaces that this kernel grants us, network apart */
    bool network_namespace;
    int landlock_abi;     /* 0: none */
    int self_pidfd;       /* of the caller: a stub that finds it ended ends too */
    char shortfall[256];  /* empty: everything is there */
    char uid_map[40], gid_map[40];
};

/* Finds out by a trial what the kernel grants. ERR_IO when even a process can't be had. */
int sandbox_init(struct sandbox *self, struct err *err) MUST_CHECK;
void sandbox_release(struct sandbox *self);

struct sandbox_spec {
    const char *program;      /* absolute */
    char *const *argv, *const *env;
    const char *directory;    /* scratch: where it starts and may write */
    int input, output, error; /* descriptors above 2 */
    int report;               /* the write end of a pipe: struct sandbox_report */
    uint64_t memory_bytes;
    bool network;
};

/* What the stub says, at most twice: that a step of the preparation failed, then the end. */
enum sandbox_stage {
    SANDBOX_ENDED, /* value: the program's status, as waitpid(2) gives it */
    SANDBOX_NAMESPACES, SANDBOX_DIRECTORY, SANDBOX_LIMITS, SANDBOX_RIGHTS, SANDBOX_EXEC,
};
struct sandbox_report {
    int32_t stage;
    int32_t value; /* errno, but for SANDBOX_ENDED */
};
const char *sandbox_stage_text(enum sandbox_stage stage);

/* The pidfd becomes readable once the stub and all below it have ended; reap it with waitid. */
int sandbox_start(const struct sandbox *self, const struct sandbox_spec *spec, int *ret_pidfd,
                  struct err *err) MUST_CHECK;
/* Ends the stub and all below it. */
void sandbox_kill(const struct sandbox *self, int pidfd);

#endif
