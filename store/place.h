/* The directory of a store: made when missing, and locked while it is open for writing. */
#ifndef AF_STORE_PLACE_H
#define AF_STORE_PLACE_H

#include "base/err.h"

/* Makes the directory with mode 0700 when it is missing; its parent has to exist. ERR_NOT_FOUND when
 * it doesn't, ERR_FULL, ERR_IO. */
int place_make(const char *path, struct err *err) MUST_CHECK;
/* Takes the lock PATH/lock and writes our pid into it. The kernel gives it up when the descriptor is
 * closed or its process dies, however it dies. ERR_BUSY names the holder; ERR_FULL, ERR_IO. */
int place_lock(const char *path, int *ret_fd, struct err *err) MUST_CHECK;
/* Makes the names of new files in the directory, and its own name, survive a power cut. */
int place_sync(const char *path, struct err *err) MUST_CHECK;

/* The code for a failed system call's errno: ERR_FULL for what room would mend, else ERR_IO. */
int place_code(int error);

#endif
