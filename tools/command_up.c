/* up, down, status: the installation on this machine. */
#include "base/clock.h"
#include "tools/commands.h"
#include "tools/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SUPERVISOR "agentctl-up"
#define READY_MS   20000
#define AGENTS_MS  20000

static bool supervisor_alive(const struct run_paths *paths, pid_t *ret_pid)
{
    uint64_t starttime;
    return run_read_pid(paths, SUPERVISOR, ret_pid, &starttime, NULL) == 0 &&
           run_process_alive(*ret_pid, starttime);
}

/* --- the supervisor --------------------------------------------------------------------------- */

/* Paths of commands are relative to the agent directory: what --agents says, else the folder that
 * is applied, else DIR/agents. Heap string. */
static char *agents_dir(const struct context *context)
{
    const char *given = context->options->agents;
    const char *apply = context->options->apply;
    struct stat info;
    char *path = NULL;
    if (given) {
        path = realpath(given, NULL);
    } else if (apply && (path = realpath(apply, NULL)) && stat(path, &info) == 0 &&
               !S_ISDIR(info.st_mode)) {
        *strrchr(path, '/') = 0;
    }
    char *result = path && *path ? xstrdup(path) : xasprintf("%s/agents", context->paths.dir);
    free(path);
    return result;
}

/* Runs until a signal asks it to end. Holds the lock of the directory's one supervisor. */
static int supervise(struct context *context, const char *agents, int ready_fd)
{
    struct err err = {0};
    int lock = -1;
    struct stack_options options = {.paths = &context->paths, .agents = agents, .with_host = true};
    daemons_t *daemons = stack_new(&options);
    int rc = run_lock(&context->paths, SUPERVISOR, &lock, &err);
    if (rc == 0)
        rc = run_write_pid(&context->paths, SUPERVISOR, &err);
    if (rc == 0)
        rc = stack_start(daemons, &err);
    if (ready_fd >= 0)
        close(ready_fd);
    if (rc == 0)
        stack_supervise(daemons);
    stack_stop(daemons);
    stack_destroy(&daemons);
    if (lock >= 0) {
        run_remove_pid(&context->paths, SUPERVISOR);
        close(lock);
    }
    return rc ? show_error(context->options, &err) : EXIT_OK;
}

/* Leaves a supervisor behind that belongs to no terminal; its messages go to a log. */
_Noreturn static void detach_supervisor(struct context *context, const char *agents)
{
    char *log_path = xasprintf("%s/supervisor.log", context->paths.log);
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    setsid();
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    free(log_path);
    if (chdir("/"))
        _exit(EXIT_ERROR);
    _exit(supervise(context, agents, -1));
}

/* --- the greeting ----------------------------------------------------------------------------- */

static int wait_for_coordinator(struct context *context, value_t **ret_status)
{
    int status = EXIT_ERROR;
    struct err err = {0};
    client_t *client = context_client(context, &status);
    if (!client)
        return status;
    int rc = client_call(client, "status", NULL, NULL, context_timeout_ms(context, READY_MS),
                         ret_status, NULL, &err);
    if (rc == 0)
        return EXIT_OK;
    err_fix(&err, "the reasons are in %s/*.log", context->paths.log);
    return show_error(context->options, &err);
}

/* How many agents that should have instances have none yet. */
static size_t agents_not_ready(client_t *client, size_t *ret_all)
{
    value_t *agents = NULL;
    size_t missing = 0;
    *ret_all = 0;
    if (client_call(client, "agents.list", NULL, NULL, 5000, &agents, NULL, NULL))
        return 1;
    const value_t *items = value_get(agents, "items");
    for (size_t i = 0; i < value_size(items); i++) {
        const value_t *instances = value_get(value_at(items, i), "instances");
        int64_t wanted = value_get_int(instances, "wanted", 0);
        *ret_all += wanted > 0;
        missing += wanted > 0 && value_get_int(instances, "ready", 0) < 1;
    }
    value_destroy(&agents);
    return missing;
}

/* Bounded: what isn't ready by then is said, not waited for. */
static size_t wait_for_agents(struct context *context, size_t *ret_all)
{
    int status;
    client_t *client = context_client(context, &status);
    int64_t until = clock_monotonic_us() + AGENTS_MS * 1000LL;
    size_t missing;
    while ((missing = agents_not_ready(client, ret_all)) > 0 && clock_monotonic_us() < until)
        poll(NULL, 0, 20);
    return missing;
}

static void print_greeting(struct context *context, const value_t *status, size_t missing,
                           size_t agents)
{
    const value_t *store = value_get(status, "store");
    printf("%sAgentFactory is up%s\n", tone_on(stdout, TONE_BOLD), tone_off(stdout));
    printf("  store    %s (%s; %s)\n", value_get_string(store, "path", context->paths.store),
           value_get_string(store, "engine", "?"), value_get_string(store, "durability", "?"));
    printf("  broker   %s\n", context->paths.broker_endpoint);
    printf("  logs     %s\n", context->paths.log);
    if (missing)
        printf("  agents   %zu of %zu ready; `agentctl hosts` tells more\n", agents - missing,
               agents);
    else
        printf("  agents   %zu ready\n", agents);
    bool other = context->options->dir || getenv("AGENTFACTORY_DIR");
    const char *flag = other && context->options->dir ? " --dir " : "";
    const char *dir = *flag ? context->paths.dir : "";
    printf("  next     agentctl%s%s workflows     stop: agentctl%s%s down\n", flag, dir, flag, dir);
    fflush(stdout);
}

static int greet(struct context *context)
{
    value_t *status = NULL;
    value_t *applied = NULL;
    int result = wait_for_coordinator(context, &status);
    if (result == EXIT_OK && context->options->apply)
        result = apply_paths(context, &context->options->apply, 1, false, &applied);
    if (result == EXIT_OK) {
        size_t agents = 0;
        size_t missing = wait_for_agents(context, &agents);
        if (context->options->json)
            print_json(status);
        else
            print_greeting(context, status, missing, agents);
    }
    value_destroy(&status);
    value_destroy(&applied);
    return result;
}

/* --- the commands ----------------------------------------------------------------------------- */

static int up_detached(struct context *context, const char *agents)
{
    pid_t pid = fork();
    if (pid == 0)
        detach_supervisor(context, agents);
    if (pid < 0) {
        struct err err;
        err_set(&err, ERR_IO, "can't start the supervisor: %s", strerror(errno));
        return show_error(context->options, &err);
    }
    return greet(context);
}

/* The supervisor stays in this process; a child does the waiting, applying and printing. */
static int up_foreground(struct context *context, const char *agents)
{
    int ready[2];
    if (pipe2(ready, O_CLOEXEC))
        return EXIT_ERROR;
    pid_t greeter = fork();
    if (greeter == 0) {
        char byte;
        close(ready[1]);
        if (read(ready[0], &byte, 1) < 0)
            _exit(EXIT_ERROR);
        int status = greet(context);
        if (status == EXIT_OK)
            print_hint(context->options, "Ctrl-C stops everything");
        client_destroy(&context->client);
        _exit(status);
    }
    close(ready[0]);
    return supervise(context, agents, ready[1]);
}

int command_up(struct context *context)
{
    struct err err = {0};
    pid_t pid;
    if (run_paths_make(&context->paths, &err))
        return show_error(context->options, &err);
    if (supervisor_alive(&context->paths, &pid)) {
        print_hint(context->options, "already running (supervisor is process %d)", (int)pid);
        return greet(context);
    }
    char *agents = agents_dir(context);
    int status =
        context->options->detach ? up_detached(context, agents) : up_foreground(context, agents);
    free(agents);
    return status;
}

int command_down(struct context *context)
{
    pid_t pid = 0;
    unsigned ended = 0;
    bool supervised = supervisor_alive(&context->paths, &pid);
    int pidfd = supervised ? pidfd_open(pid, 0) : -1;
    if (pidfd >= 0) {
        struct pollfd fd = {.fd = pidfd, .events = POLLIN};
        pidfd_send_signal(pidfd, SIGTERM, NULL, 0);
        if (poll(&fd, 1, context_timeout_ms(context, 60000)) == 1)
            ended = 1;
        close(pidfd);
    }
    ended += stack_stop_by_files(&context->paths);
    if (context->options->json) {
        value_t *document = value_map();
        value_set_bool(document, "stopped", ended > 0);
        print_json(document);
        value_destroy(&document);
    } else {
        print_hint(context->options, ended ? "stopped" : "nothing was running in %s",
                   context->paths.dir);
    }
    return EXIT_OK;
}

static void print_daemons(const struct run_paths *paths)
{
    for (int i = 0; i < STACK_DAEMONS; i++) {
        pid_t pid;
        uint64_t starttime;
        bool alive = run_read_pid(paths, stack_name(i), &pid, &starttime, NULL) == 0 &&
                     run_process_alive(pid, starttime);
        if (alive)
            printf("%-13s %sup%s (process %d)\n", stack_name(i), tone_on(stdout, TONE_GOOD),
                   tone_off(stdout), (int)pid);
        else
            printf("%-13s %sdown%s\n", stack_name(i), tone_on(stdout, TONE_BAD), tone_off(stdout));
    }
}

static void print_status(struct context *context, const value_t *status)
{
    const value_t *store = value_get(status, "store");
    char text[32];
    print_daemons(&context->paths);
    printf("%-13s %lld active\n", "executions",
           (long long)value_get_int(value_get(status, "executions"), "active", 0));
    printf("%-13s %lld agents, %lld instances, %lld hosts\n", "fleet",
           (long long)value_get_int(status, "agents", 0),
           (long long)value_get_int(status, "instances", 0),
           (long long)value_get_int(status, "hosts", 0));
    printf("%-13s %s (%s; %.1f MiB used)%s\n", "store", value_get_string(store, "path", "?"),
           value_get_string(store, "durability", "?"),
           (double)value_get_int(store, "used_bytes", 0) / 1048576.0,
           value_get_bool(status, "full", false) ? " FULL: make room; running work waits" : "");
    printf("%-13s %s, epoch %lld, version %s\n", "uptime",
           print_duration(value_get_int(status, "uptime_ms", 0) * 1000, text),
           (long long)value_get_int(status, "epoch", 0), value_get_string(status, "version", "?"));
}

int command_status(struct context *context)
{
    value_t *params = NULL;
    value_t *status = NULL;
    int result = context_call(context, "status", &params, &status);
    if (result == EXIT_OK && context->options->json)
        print_json(status);
    else if (result == EXIT_OK)
        print_status(context, status);
    value_destroy(&status);
    return result;
}
