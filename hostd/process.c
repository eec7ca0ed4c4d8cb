#include "hostd/process.h"

#include "hostd/output.h"
#include "hostd/sweep.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Descriptors of an agentd and of what it starts; programs that use select(2) break above 1024. */
#define OPEN_FILES 1024

/* What concerns this process alone and would make agentd speak to its service manager. */
static bool is_private(const char *variable)
{
    static const char *const names[] = {
        "NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=", "LISTEN_FDS=", "LISTEN_PID="};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static char **make_environment(void)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **copy = xcalloc(count + 1, sizeof copy[0]);
    for (size_t i = 0; i < count; i++)
        if (!is_private(environ[i]))
            copy[kept++] = environ[i];
    return copy;
}

static void set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(attributes);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setflags(
        attributes, (short)(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
}

static int spawn(const struct process_options *options, const struct record *record, pid_t *ret_pid)
{
    char memory[24], boot[24];
    snprintf(boot, sizeof boot, "%" PRIu64, record->boot);
    snprintf(memory, sizeof memory, "%" PRIu64,
             record->memory_bytes ? record->memory_bytes : (uint64_t)LIMIT_COMMAND_MEMORY_BYTES);
    const char *const arguments[] = {"agentd",
                                     "--agent",
                                     record->agent,
                                     "--instance",
                                     record->instance,
                                     "--broker",
                                     options->broker,
                                     "--host",
                                     options->host,
                                     "--agents",
                                     options->agents_dir,
                                     "--scratch",
                                     options->paths->scratch,
                                     "--memory",
                                     memory,
                                     "--boot",
                                     boot,
                                     NULL};
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t files;
    char *log = output_path(options->paths, record->agent, record->instance);
    char **environment = make_environment();
    set_attributes(&attributes);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND,
                                     0600);
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    int error = posix_spawn(ret_pid, options->agentd, &files, &attributes,
                            (char *const *)(uintptr_t)arguments, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    free(environment);
    free(log);
    return error;
}

static void lower_open_files(pid_t pid)
{
    struct rlimit limit;
    if (prlimit(pid, RLIMIT_NOFILE, NULL, &limit) != 0 || limit.rlim_cur <= OPEN_FILES)
        return;
    limit.rlim_cur = OPEN_FILES;
    (void)prlimit(pid, RLIMIT_NOFILE, &limit, NULL);
}

static int no_process(const struct record *record, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "the process of %s is over", record->instance);
}

static void abandon(const struct process_options *options, const struct record *record)
{
    /* A child that is not reaped yet keeps its number, so this can't hit another process. */
    (void)kill(record->pid, SIGKILL);
    (void)waitpid(record->pid, NULL, 0);
    record_remove(options->paths, record->instance);
}

static int watch(const struct process_options *options, struct record *record, int *ret_pidfd,
                 struct err *err)
{
    int pidfd = pidfd_open(record->pid, 0);
    if (pidfd < 0)
        return err_set(err, ERR_IO, "agentd can't be watched: %s", strerror(errno));
    lower_open_files(record->pid);
    int rc = run_process_starttime(record->pid, &record->starttime, err);
    if (rc == 0)
        rc = record_write(options->paths, record, err);
    if (rc)
        close(pidfd);
    else
        *ret_pidfd = pidfd;
    return rc;
}

int process_start(const struct process_options *options, struct record *record, int *ret_pidfd,
                  struct err *err)
{
    record->pid = 0;
    record->starttime = 0;
    int rc = record_write(options->paths, record, err);
    if (rc)
        return rc;
    int error = spawn(options, record, &record->pid);
    if (error) {
        record->pid = 0;
        record_remove(options->paths, record->instance);
        err_set(err, ERR_IO, "agentd can't be started: %s", strerror(error));
        err_where(err, "%s", options->agentd);
        err_fix(err, "check hostd's --agentd");
        return ERR_IO;
    }
    rc = watch(options, record, ret_pidfd, err);
    if (rc)
        abandon(options, record);
    return rc;
}

int process_adopt(const struct run_paths *paths, struct record *record, int *ret_pidfd,
                  struct err *err)
{
    bool searched = record->pid == 0;
    if (searched)
        record->pid = sweep_find_argument(record->instance);
    if (record->pid == 0)
        return no_process(record, err);
    int pidfd = pidfd_open(record->pid, 0);
    if (pidfd < 0)
        return no_process(record, err);
    if (searched && run_process_starttime(record->pid, &record->starttime, NULL) != 0)
        record->starttime = 0;
    /* Looked at after opening, so the descriptor and the number mean the same process. */
    if (!run_process_alive(record->pid, record->starttime)) {
        close(pidfd);
        return no_process(record, err);
    }
    int rc = searched ? record_write(paths, record, err) : 0;
    if (rc)
        close(pidfd);
    else
        *ret_pidfd = pidfd;
    return rc;
}

void process_signal(int pidfd, int signal_number)
{
    (void)pidfd_send_signal(pidfd, signal_number, NULL, 0);
}

struct process_end process_reap(int pidfd)
{
    siginfo_t info = {0};
    struct process_end end = {0};
    if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
        return end;
    end.known = true;
    if (info.si_code == CLD_EXITED)
        end.exit_status = info.si_status;
    else
        end.signal = info.si_status;
    return end;
}

void process_describe(const struct process_end *end, char *ret_text, size_t size)
{
    if (!end->known)
        snprintf(ret_text, size, "ended");
    else if (end->signal)
        snprintf(ret_text, size, "was ended by signal %d (%s)", end->signal,
                 strsignal(end->signal));
    else
        snprintf(ret_text, size, "exited with status %d", end->exit_status);
}
