#include "agentd/sandbox.h"

#include "agentd/sandbox_stub.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static uint64_t flags_of(const struct sandbox *self, bool network)
{
    uint64_t flags = self->clone_flags | CLONE_PIDFD;
    if (self->network_namespace && !network)
        flags |= CLONE_NEWNET;
    return flags;
}

/* As fork, with namespaces and a pidfd. The C library's fork handlers are not run: the child must
 * not allocate. */
static long fork_with(uint64_t flags, int *ret_pidfd)
{
#if defined(__x86_64__) || defined(__aarch64__)
    return syscall(SYS_clone, flags | SIGCHLD, NULL, ret_pidfd, NULL, 0);
#else
#error "the order of clone's arguments on this machine is not known"
#endif
}

int sandbox_start(const struct sandbox *self, const struct sandbox_spec *spec, int *ret_pidfd,
                  struct err *err)
{
    /* Signals stay blocked in the child until it has left our handlers and descriptors behind. */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    int pidfd = -1;
    long pid = fork_with(flags_of(self, spec->network), &pidfd);
    if (pid == 0)
        sandbox_stub(self, spec);
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return err_set(err, error == EAGAIN || error == ENOMEM ? ERR_BUSY : ERR_NOT_ALLOWED,
                       "a process can't be started: %s", strerror(error));
    *ret_pidfd = pidfd;
    return 0;
}

void sandbox_kill(const struct sandbox *self, int pidfd)
{
    /* Without a namespace the stub has to end its descendants itself before it goes. */
    int sig = self->clone_flags & CLONE_NEWPID ? SIGKILL : SIGTERM;
    (void)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

/* Starts a stub with nothing to run: whether it says that it got its namespaces. */
static bool trial(const struct sandbox *self, bool network, int *ret_error)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0) {
        *ret_error = errno;
        return false;
    }
    struct sandbox_spec spec = {.report = report[1], .network = network};
    struct err err = {0};
    int pidfd = -1;
    bool granted = sandbox_start(self, &spec, &pidfd, &err) == 0;
    *ret_error = granted ? 0 : errno;
    close(report[1]);
    if (granted) {
        struct sandbox_report answer = {.stage = SANDBOX_NAMESPACES, .value = EPERM};
        granted = read(report[0], &answer, sizeof answer) == (ssize_t)sizeof answer &&
                  answer.stage == SANDBOX_ENDED;
        *ret_error = granted ? 0 : answer.value;
        siginfo_t info;
        (void)waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
        close(pidfd);
    }
    close(report[0]);
    return granted;
}

static bool try_flags(struct sandbox *self, uint64_t flags, int *ret_error)
{
    self->clone_flags = flags;
    return trial(self, true, ret_error);
}

static void find_namespaces(struct sandbox *self, int *ret_error)
{
    const uint64_t wanted = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC;
    if (geteuid() == 0 && try_flags(self, wanted, ret_error))
        return;
    if (try_flags(self, wanted | CLONE_NEWUSER, ret_error))
        return;
    self->clone_flags = 0;
}

static void find_network_namespace(struct sandbox *self)
{
    int error = 0;
    self->network_namespace = true;
    self->network_namespace = self->clone_flags && trial(self, false, &error);
}

static void describe(struct sandbox *self, int error)
{
    size_t size = 0;
    self->shortfall[0] = '\0';
    if (!self->clone_flags)
        size += (size_t)snprintf(self->shortfall, sizeof self->shortfall,
                                 "no namespaces (%s): commands run in a process group; ",
                                 strerror(error));
    else if (!self->network_namespace)
        size +=
            (size_t)snprintf(self->shortfall, sizeof self->shortfall, "no network namespaces; ");
    if (!self->landlock_abi)
        (void)snprintf(self->shortfall + size, sizeof self->shortfall - size,
                       "no Landlock: commands may write wherever their user may");
}

int sandbox_init(struct sandbox *self, struct err *err)
{
    *self = (struct sandbox){.self_pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0)};
    if (self->self_pidfd < 0)
        return err_set(err, ERR_UNSUPPORTED, "pidfd_open: %s", strerror(errno));
    (void)snprintf(self->uid_map, sizeof self->uid_map, "%u %u 1\n", geteuid(), geteuid());
    (void)snprintf(self->gid_map, sizeof self->gid_map, "%u %u 1\n", getegid(), getegid());
    self->landlock_abi = sandbox_landlock_abi();
    int error = 0;
    find_namespaces(self, &error);
    find_network_namespace(self);
    if (!self->clone_flags && !trial(self, true, &error)) {
        sandbox_release(self);
        return err_set(err, ERR_IO, "a process can't be started: %s", strerror(error));
    }
    describe(self, error);
    return 0;
}

void sandbox_release(struct sandbox *self)
{
    if (self->self_pidfd > 0)
        close(self->self_pidfd);
    self->self_pidfd = -1;
}

const char *sandbox_stage_text(enum sandbox_stage stage)
{
    switch (stage) {
    case SANDBOX_ENDED: return "the end";
    case SANDBOX_NAMESPACES: return "setting up its namespaces";
    case SANDBOX_DIRECTORY: return "entering its scratch directory";
    case SANDBOX_LIMITS: return "setting its limits";
    case SANDBOX_RIGHTS: return "giving up rights";
    case SANDBOX_EXEC: return "executing it";
    }
    return "an unknown step";
}
