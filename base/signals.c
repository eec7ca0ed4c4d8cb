#include "base/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

int signals_open(bool children, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (children)
        sigaddset(&set, SIGCHLD);
    signal(SIGPIPE, SIG_IGN);
    int fd = sigprocmask(SIG_BLOCK, &set, NULL) < 0
                 ? -1
                 : signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 ? fd : err_set(err, ERR_IO, "signals can't be read: %s", strerror(errno));
}
