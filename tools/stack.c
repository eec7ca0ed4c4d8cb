#include "tools/stack.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_FIRST_US (100 * 1000LL)
#define PAUSE_MAX_US   (5 * 1000 * 1000LL)
#define HEALTHY_US     (10 * 1000 * 1000LL)
#define STOP_WAIT_MS   15000

struct daemon {
    pid_t pid; /* 0: not running */
    int pidfd; /* -1: none */
    int64_t started_us, due_us, pause_us;
};

struct stack {
    struct stack_options options;
    char *program_dir;
    int signals; /* signalfd, or -1 */
    struct daemon daemons[STACK_DAEMONS];
};

static const char *const NAMES[STACK_DAEMONS] = {"brokerd", "coordinatord", "egressd", "hostd"};

const char *stack_name(int daemon)
{
    return NAMES[daemon];
}

char *stack_program_dir(void)
{
    char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    CHECK(size > 0);
    path[size] = 0;
    *strrchr(path, '/') = 0;
    return xstrdup(path);
}

daemons_t *stack_new(const struct stack_options *options)
{
    daemons_t *self = xcalloc(1, sizeof *self);
    self->options = *options;
    self->program_dir = stack_program_dir();
    self->signals = -1;
    for (int i = 0; i < STACK_DAEMONS; i++)
        self->daemons[i].pidfd = -1;
    return self;
}

void stack_destroy(daemons_t **self_p)
{
    daemons_t *self = *self_p;
    if (!self)
        return;
    for (int i = 0; i < STACK_DAEMONS; i++)
        if (self->daemons[i].pidfd >= 0)
            close(self->daemons[i].pidfd);
    if (self->signals >= 0)
        close(self->signals);
    free(self->program_dir);
    free(self);
    *self_p = NULL;
}

static bool wanted(const daemons_t *self, int daemon)
{
    return daemon != STACK_HOST || self->options.with_host;
}

static void watch(struct daemon *daemon, pid_t pid)
{
    daemon->pid = pid;
    daemon->pidfd = pidfd_open(pid, 0);
    daemon->started_us = clock_monotonic_us();
}

static bool adopt(daemons_t *self, int which)
{
    pid_t pid;
    uint64_t starttime;
    if (run_read_pid(self->options.paths, NAMES[which], &pid, &starttime, NULL) ||
        !run_process_alive(pid, starttime))
        return false;
    watch(&self->daemons[which], pid);
    return self->daemons[which].pidfd >= 0;
}

/* Only what may be called between fork and exec. */
_Noreturn static void become(const daemons_t *self, int log, const char *program, char *const *argv,
                             pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (self->options.die_with_parent) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(127);
    } else {
        setsid(); /* Ctrl-C reaches the supervisor alone, which stops things in their order */
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execv(program, argv);
    _exit(127);
}

static int spawn(daemons_t *self, int which, struct err *err)
{
    const struct run_paths *paths = self->options.paths;
    char *program = xasprintf("%s/%s", self->program_dir, NAMES[which]);
    char *log_path = xasprintf("%s/%s.log", paths->log, NAMES[which]);
    char *argv[] = {program, (char *)"--dir", paths->dir, NULL, NULL, NULL};
    if (which == STACK_HOST && self->options.agents) {
        argv[3] = (char *)"--agents";
        argv[4] = (char *)self->options.agents;
    }
    int rc = 0;
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0)
        rc = err_set(err, ERR_IO, "can't write %s: %s", log_path, strerror(errno));
    else if (access(program, X_OK))
        rc = err_set(err, ERR_NOT_FOUND, "can't run %s: %s", program, strerror(errno));
    if (rc == 0) {
        pid_t parent = getpid();
        pid_t pid = fork();
        if (pid == 0)
            become(self, log, program, argv, parent);
        if (pid < 0)
            rc = err_set(err, ERR_IO, "can't start %s: %s", program, strerror(errno));
        else
            watch(&self->daemons[which], pid);
    }
    if (log >= 0)
        close(log);
    free(program);
    free(log_path);
    return rc;
}

int stack_start(daemons_t *self, struct err *err)
{
    for (int i = 0; i < STACK_DAEMONS; i++) {
        if (!wanted(self, i) || self->daemons[i].pid || adopt(self, i))
            continue;
        int rc = spawn(self, i, err);
        if (rc)
            return rc;
    }
    return 0;
}

pid_t stack_pid(const daemons_t *self, int daemon)
{
    return self->daemons[daemon].pid;
}

/* The daemon's process is gone: reap it if it was a child, and set the time of the next start. */
static void note_exit(daemons_t *self, int which)
{
    struct daemon *daemon = &self->daemons[which];
    int64_t now = clock_monotonic_us();
    int status = 0;
    bool child = waitpid(daemon->pid, &status, WNOHANG) == daemon->pid;
    if (now - daemon->started_us > HEALTHY_US)
        daemon->pause_us = 0;
    daemon->due_us = now + daemon->pause_us;
    daemon->pause_us = daemon->pause_us ? daemon->pause_us * 2 : PAUSE_FIRST_US;
    if (daemon->pause_us > PAUSE_MAX_US)
        daemon->pause_us = PAUSE_MAX_US;
    fprintf(stderr, "%s (process %d) ended%s; its last words are in %s/%s.log\n", NAMES[which],
            (int)daemon->pid, child && WIFSIGNALED(status) ? " by a signal" : "",
            self->options.paths->log, NAMES[which]);
    close(daemon->pidfd);
    daemon->pidfd = -1;
    daemon->pid = 0;
}

static void start_due(daemons_t *self)
{
    int64_t now = clock_monotonic_us();
    for (int i = 0; i < STACK_DAEMONS; i++) {
        struct err err;
        struct daemon *daemon = &self->daemons[i];
        if (daemon->pid || !wanted(self, i) || daemon->due_us > now)
            continue;
        if (!adopt(self, i) && spawn(self, i, &err)) {
            fprintf(stderr, "%s\n", err.what);
            daemon->due_us = now + PAUSE_MAX_US;
        }
    }
}

static int until_due_ms(const daemons_t *self, int timeout_ms)
{
    int64_t now = clock_monotonic_us();
    for (int i = 0; i < STACK_DAEMONS; i++) {
        if (self->daemons[i].pid || !wanted(self, i))
            continue;
        int64_t wait = (self->daemons[i].due_us - now) / 1000 + 1;
        if (wait < 0)
            wait = 0;
        if (timeout_ms < 0 || wait < timeout_ms)
            timeout_ms = (int)wait;
    }
    return timeout_ms;
}

void stack_tick(daemons_t *self, int timeout_ms)
{
    struct pollfd fds[STACK_DAEMONS + 1];
    for (int i = 0; i < STACK_DAEMONS; i++)
        fds[i] = (struct pollfd){.fd = self->daemons[i].pidfd, .events = POLLIN};
    fds[STACK_DAEMONS] = (struct pollfd){.fd = self->signals, .events = POLLIN};
    if (poll(fds, STACK_DAEMONS + 1, until_due_ms(self, timeout_ms)) > 0)
        for (int i = 0; i < STACK_DAEMONS; i++)
            if (fds[i].revents)
                note_exit(self, i);
    start_due(self);
}

int stack_supervise(daemons_t *self)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    self->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    for (;;) {
        struct signalfd_siginfo info;
        stack_tick(self, -1);
        if (read(self->signals, &info, sizeof info) == (ssize_t)sizeof info)
            return (int)info.ssi_signo;
    }
}

/* Ends one process, kindly and then not. */
static void end_process(pid_t pid, int pidfd)
{
    struct pollfd fd = {.fd = pidfd, .events = POLLIN};
    pidfd_send_signal(pidfd, SIGTERM, NULL, 0);
    if (poll(&fd, 1, STOP_WAIT_MS) == 0) {
        pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
        (void)poll(&fd, 1, STOP_WAIT_MS);
    }
    (void)waitpid(pid, NULL, WNOHANG);
}

void stack_stop(daemons_t *self)
{
    for (int i = STACK_DAEMONS - 1; i >= 0; i--) {
        struct daemon *daemon = &self->daemons[i];
        if (!daemon->pid)
            continue;
        end_process(daemon->pid, daemon->pidfd);
        close(daemon->pidfd);
        daemon->pidfd = -1;
        daemon->pid = 0;
    }
}

unsigned stack_stop_by_files(const struct run_paths *paths)
{
    unsigned ended = 0;
    struct stack_options options = {.paths = paths, .with_host = true};
    daemons_t *self = stack_new(&options);
    for (int i = 0; i < STACK_DAEMONS; i++)
        ended += adopt(self, i);
    stack_stop(self);
    stack_destroy(&self);
    return ended;
}
