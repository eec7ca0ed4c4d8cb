/* hostd: runs the agentd processes of its host, as the coordinator wishes. */
#include "base/log.h"
#include "base/notify.h"
#include "base/signals.h"
#include "hostd/hostd.h"
#include "hostd/record.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct arguments {
    const char *dir, *broker, *agents_dir, *agentd, *host;
    bool keep;
};

static void print_help(void)
{
    puts("hostd [OPTIONS]: starts, watches and stops the agentd processes of this host\n"
         "\n"
         "  --dir DIR          state directory (default: $AGENTFACTORY_DIR, else\n"
         "                     $XDG_STATE_HOME/agentfactory, else ~/.local/state/agentfactory)\n"
         "  --broker ENDPOINT  the broker (default: ipc://DIR/run/broker.sock)\n"
         "  --agents DIR       agent directory: paths of commands are relative to it\n"
         "                     (default: DIR/agents)\n"
         "  --agentd PATH      the program to start (default: agentd beside hostd)\n"
         "  --host ID          this host's id, host_… (default: kept in DIR/host_id)\n"
         "  --keep             leave the processes running when hostd ends; the next one adopts\n"
         "                     them\n"
         "  --version, --help");
}

static int usage(const char *what)
{
    fprintf(stderr, "hostd: %s; see hostd --help\n", what);
    return 2;
}

static int check(const struct arguments *arguments)
{
    struct uuid id;
    if (arguments->host && typeid_parse_as(arguments->host, "host", &id, NULL) != 0)
        return usage("--host is not an id such as host_01h455vb4pex5vsknk084sn02q");
    return -1;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option OPTIONS[] = {
        {"dir", required_argument, NULL, 'd'},
        {"broker", required_argument, NULL, 'b'},
        {"agents", required_argument, NULL, 'a'},
        {"agentd", required_argument, NULL, 'p'},
        {"host", required_argument, NULL, 'o'},
        {"keep", no_argument, NULL, 'k'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 'd': arguments->dir = optarg; break;
        case 'b': arguments->broker = optarg; break;
        case 'a': arguments->agents_dir = optarg; break;
        case 'p': arguments->agentd = optarg; break;
        case 'o': arguments->host = optarg; break;
        case 'k': arguments->keep = true; break;
        case 'V': puts("hostd " AF_VERSION); return 0;
        case 'h': print_help(); return 0;
        default: return usage("an option is not known or lacks its value");
        }
    }
    if (optind < argc)
        return usage("there are arguments that belong to no option");
    return check(arguments);
}

static int fail(const struct err *err)
{
    char text[800];
    log_error("HOST-FAILED", err_format(err, text, sizeof text), NULL);
    return 1;
}

/* The agentd that was built or installed together with this hostd. */
static char *find_agentd(void)
{
    char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    if (size <= 0)
        return xstrdup("agentd");
    path[size] = '\0';
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    return xasprintf("%s/agentd", path);
}

static int check_agentd(const char *path, struct err *err)
{
    if (access(path, X_OK) == 0)
        return 0;
    err_set(err, ERR_NOT_FOUND, "the program agentd can't be started: %s", strerror(errno));
    err_where(err, "%s", path);
    err_fix(err, "give --agentd PATH");
    return ERR_NOT_FOUND;
}

static int serve(const struct hostd_options *options, struct err *err)
{
    hostd_t *hostd = NULL;
    int rc = hostd_new(options, &hostd, err);
    if (rc == 0)
        rc = run_write_pid(options->paths, "hostd", err);
    if (rc == 0) {
        notify_manager("READY=1");
        rc = hostd_run(hostd, err);
        run_remove_pid(options->paths, "hostd");
    }
    hostd_destroy(&hostd);
    return rc;
}

static int prepare(const struct arguments *arguments, const struct run_paths *paths,
                   char ret_host[TYPEID_TEXT_SIZE], int *ret_lock, struct err *err)
{
    int rc = run_paths_make(paths, err);
    if (rc == 0)
        rc = run_lock(paths, "hostd", ret_lock, err);
    if (rc == 0 && arguments->host)
        snprintf(ret_host, TYPEID_TEXT_SIZE, "%s", arguments->host);
    else if (rc == 0)
        rc = record_host_id(paths, ret_host, err);
    if (rc == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        rc = err_set(err, ERR_IO, "hostd can't be made a subreaper: %s", strerror(errno));
    return rc;
}

static int start(const struct arguments *arguments, const struct run_paths *paths, struct err *err)
{
    char host[TYPEID_TEXT_SIZE];
    int lock = -1;
    int rc = prepare(arguments, paths, host, &lock, err);
    int signals = rc == 0 ? signals_open(true, err) : rc;
    if (signals < 0)
        return signals;
    run_raise_open_files();
    char *agentd = arguments->agentd ? xstrdup(arguments->agentd) : find_agentd();
    char *agents_dir =
        arguments->agents_dir ? xstrdup(arguments->agents_dir) : xasprintf("%s/agents", paths->dir);
    const struct hostd_options options = {
        .paths = paths,
        .broker = arguments->broker ? arguments->broker : paths->broker_endpoint,
        .host = host,
        .agents_dir = agents_dir,
        .agentd = agentd,
        .signals = signals,
        .keep = arguments->keep,
    };
    rc = check_agentd(agentd, err);
    if (rc == 0)
        rc = serve(&options, err);
    free(agentd);
    free(agents_dir);
    close(signals);
    close(lock);
    return rc;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct run_paths paths;
    struct err err;
    int status = parse(argc, argv, &arguments);
    if (status >= 0)
        return status;
    log_open("hostd", LOG_LEVEL_INFO);
    if (run_paths_init(&paths, arguments.dir, &err) != 0)
        return fail(&err);
    status = start(&arguments, &paths, &err) == 0 ? 0 : fail(&err);
    run_paths_release(&paths);
    return status;
}
