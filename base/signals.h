/* Signals of a daemon, read from a descriptor in its loop instead of being handled anywhere. */
#ifndef AF_BASE_SIGNALS_H
#define AF_BASE_SIGNALS_H

#include "base/err.h"

#include <stdbool.h>

/* Blocks SIGTERM and SIGINT, with children SIGCHLD too, and ignores SIGPIPE. To be called before the
 * first thread exists (libzmq makes some), since threads inherit what is blocked. Returns a signalfd
 * that doesn't block, the caller's to close, or an error (negative). */
int signals_open(bool children, struct err *err) MUST_CHECK;

#endif
