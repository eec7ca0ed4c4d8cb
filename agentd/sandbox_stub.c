#include "agentd/sandbox_stub.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

static _Noreturn void fail(const struct sandbox_spec *spec, enum sandbox_stage stage, int error)
{
    struct sandbox_report report = {.stage = (int32_t)stage, .value = error};
    (void)!write(spec->report, &report, sizeof report);
    _exit(127);
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    size_t size = strlen(text);
    int error = write(fd, text, size) == (ssize_t)size ? 0 : errno;
    close(fd);
    return error;
}

static int map_user(const struct sandbox *sandbox)
{
    /* Kernels before 3.19 lack setgroups; there it need not be denied. */
    int error = write_file("/proc/self/setgroups", "deny");
    if (error && error != ENOENT)
        return error;
    error = write_file("/proc/self/uid_map", sandbox->uid_map);
    return error ? error : write_file("/proc/self/gid_map", sandbox->gid_map);
}

/* Its own /proc, so that process ids fit, and its own /dev/shm, so that semaphores and shared
 * memory work without a way to others. Both are comforts: a kernel may refuse them inside a
 * container. */
static bool mount_private(void)
{
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return false;
    (void)mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    return mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                 "size=64m,mode=1777") == 0;
}

/* A new network namespace has a loopback device that is down. */
static void raise_loopback(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    (void)ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
}

static void follow_parent(const struct sandbox *sandbox, int sig)
{
    (void)prctl(PR_SET_PDEATHSIG, sig);
    struct pollfd parent = {.fd = sandbox->self_pidfd, .events = POLLIN};
    if (poll(&parent, 1, 0) != 0)
        _exit(127);
}

static void reset_signals(void)
{
    for (int sig = 1; sig < NSIG; sig++)
        (void)signal(sig, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become_program(const struct sandbox *sandbox, const struct sandbox_spec *spec,
                                     bool private_shm)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setsid();
    if (dup2(spec->input, 0) < 0 || dup2(spec->output, 1) < 0 || dup2(spec->error, 2) < 0)
        fail(spec, SANDBOX_DIRECTORY, errno);
    (void)syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
    if (chdir(spec->directory) < 0)
        fail(spec, SANDBOX_DIRECTORY, errno);
    (void)umask(077);
    int error = sandbox_limits(spec, sandbox->clone_flags & CLONE_NEWUSER);
    if (error)
        fail(spec, SANDBOX_LIMITS, error);
    if (geteuid() == 0 && !(sandbox->clone_flags & CLONE_NEWUSER))
        error = sandbox_drop_capabilities();
    if (!error && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        error = errno;
    if (!error && sandbox->landlock_abi)
        error = sandbox_landlock(sandbox->landlock_abi, spec->directory, private_shm,
                                 spec->network || sandbox->network_namespace);
    if (!error)
        error = sandbox_filter_calls(spec->network);
    if (error)
        fail(spec, SANDBOX_RIGHTS, error);
    reset_signals();
    (void)execve(spec->program, spec->argv, spec->env);
    fail(spec, SANDBOX_EXEC, errno);
}

static void report_end(const struct sandbox_spec *spec, int status)
{
    struct sandbox_report report = {.stage = SANDBOX_ENDED, .value = status};
    (void)!write(spec->report, &report, sizeof report);
}

/* In a namespace: waits for the program; what it left behind ends with this process. */
static _Noreturn void wait_as_init(const struct sandbox_spec *spec, pid_t program)
{
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid == program) {
            report_end(spec, status);
            _exit(0);
        }
        if (pid < 0 && errno != EINTR)
            _exit(127);
    }
}

/* Ends one generation of our descendants; orphans among the next become our children. */
static void kill_children(void)
{
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    char text[4096];
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    long pid = 0;
    for (ssize_t i = 0; i < size; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            pid = pid * 10 + (text[i] - '0');
        } else if (pid > 0) {
            (void)kill((pid_t)pid, SIGKILL);
            pid = 0;
        }
    }
}

static _Noreturn void kill_descendants(pid_t program)
{
    (void)kill(-program, SIGKILL);
    for (;;) {
        kill_children();
        if (waitpid(-1, NULL, 0) < 0 && errno != EINTR)
            _exit(0);
    }
}

/* Without a namespace: as the reaper of all descendants, waits for the program or for the order to
 * end, which is SIGTERM; then ends them all. */
static _Noreturn void wait_as_reaper(const struct sandbox_spec *spec, pid_t program)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid == program) {
            report_end(spec, status);
            kill_descendants(program);
        }
        if (pid < 0 && errno != EINTR)
            _exit(127);
        if (pid == 0 && sigwaitinfo(&set, NULL) == SIGTERM)
            kill_descendants(program);
    }
}

_Noreturn void sandbox_stub(const struct sandbox *sandbox, const struct sandbox_spec *spec)
{
    bool namespaces = sandbox->clone_flags & CLONE_NEWPID;
    follow_parent(sandbox, namespaces ? SIGKILL : SIGTERM);
    int error = sandbox->clone_flags & CLONE_NEWUSER ? map_user(sandbox) : 0;
    if (error)
        fail(spec, SANDBOX_NAMESPACES, error);
    bool private_shm = namespaces && mount_private();
    if (sandbox->network_namespace && !spec->network)
        raise_loopback();
    if (!namespaces)
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)setsid();
    if (!spec->program) {
        report_end(spec, 0);
        _exit(0);
    }
    long program = syscall(SYS_clone, (unsigned long)SIGCHLD, NULL, NULL, NULL, NULL);
    if (program == 0)
        become_program(sandbox, spec, private_shm);
    if (program < 0)
        fail(spec, SANDBOX_NAMESPACES, errno);
    /* Nothing of agentd's stays open here: a pipe that the stub held would never end. */
    (void)dup2(spec->report, 3);
    struct sandbox_spec own = {.report = 3};
    (void)syscall(SYS_close_range, 0U, 2U, 0U);
    (void)syscall(SYS_close_range, 4U, ~0U, 0U);
    if (namespaces)
        wait_as_init(&own, (pid_t)program);
    wait_as_reaper(&own, (pid_t)program);
}
