/* Which endpoints the broker may serve: ipc:// guarded by file permissions, and tcp:// on the
 * loopback interface. Other hosts need encryption and authentication first. */
#ifndef AF_BROKER_ENDPOINT_H
#define AF_BROKER_ENDPOINT_H

#include "base/err.h"

/* Pure. ERR_NOT_ALLOWED or ERR_INVALID or ERR_TOO_LARGE, with the remedy. */
int endpoint_check(const char *endpoint, struct err *err) MUST_CHECK;

/* ERR_CONFLICT when somebody listens on this ipc:// endpoint: binding would take its socket file
 * away under it. A file left behind by a dead process is not in the way. */
int endpoint_check_free(const char *endpoint, struct err *err) MUST_CHECK;

#endif
