/* Directories for commands to work in: DIR/INSTANCE/NUMBER, each removed after its command, without
 * blocking its owner for long; those of instances that ended without cleaning up are removed by the
 * next one that starts a command. The instance's directory is locked while its process lives. */
#ifndef AF_AGENTD_SCRATCH_H
#define AF_AGENTD_SCRATCH_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct scratch scratch_t;

/* Creates DIR (its parents exist) and DIR/INSTANCE when they are missing. */
int scratch_new(const char *dir, const char *instance, scratch_t **ret_scratch,
                struct err *err) MUST_CHECK;
/* Removes all that is left, however long it takes. */
void scratch_destroy(scratch_t **self_p);

/* A new, empty directory, mode 0700; the caller frees the path. */
int scratch_make(scratch_t *self, char **ret_path, struct err *err) MUST_CHECK;
/* Consumes the path: the directory is to be removed. */
void scratch_discard(scratch_t *self, char **path_p);
/* Removes a bounded number of files; whether there is more to remove. */
bool scratch_sweep(scratch_t *self);

#endif
