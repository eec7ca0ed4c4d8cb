/* What runs in a sandbox's first process, and in the program's before exec: async-signal-safe code
 * only. For sandbox.c alone. */
#ifndef AF_AGENTD_SANDBOX_STUB_H
#define AF_AGENTD_SANDBOX_STUB_H

#include "agentd/sandbox.h"

/* With spec->program NULL: prepares, reports the end with status 0, and ends. */
_Noreturn void sandbox_stub(const struct sandbox *sandbox, const struct sandbox_spec *spec);

/* The rights that are given up for good, in sandbox_rights.c; each returns 0 or an errno. */
int sandbox_landlock_abi(void);
int sandbox_landlock(int abi, const char *directory, bool private_shm, bool network);
int sandbox_drop_capabilities(void);
int sandbox_filter_calls(bool network);
int sandbox_limits(const struct sandbox_spec *spec, bool own_user_namespace);

#endif
