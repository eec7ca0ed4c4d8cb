/* brokerd: the middle through which all programs of AgentFactory talk. */
#include "base/log.h"
#include "base/notify.h"
#include "base/run.h"
#include "base/signals.h"
#include "broker/broker.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BINDS_MAX 16

struct arguments {
    const char *dir;
    const char *binds[BINDS_MAX];
    size_t binds_count;
    const char *events, *publish;
    enum log_level level;
};

static void print_help(void)
{
    puts("brokerd [OPTIONS]: forwards the messages of all AgentFactory programs of a machine\n"
         "\n"
         "  --dir DIR           state directory (default: $AGENTFACTORY_DIR, else\n"
         "                      $XDG_STATE_HOME/agentfactory, else ~/.local/state/agentfactory)\n"
         "  --bind ENDPOINT     where programs connect; may be repeated\n"
         "                      (default: ipc://DIR/run/broker.sock)\n"
         "  --events ENDPOINT   where followers of events connect (ipc://DIR/run/events.sock)\n"
         "  --publish ENDPOINT  where publishers of events connect (ipc://DIR/run/publish.sock)\n"
         "  --verbose           log what peers come and go\n"
         "  --version, --help\n"
         "\n"
         "Endpoints are ipc:///absolute/path, readable by this user alone, or tcp:// on the\n"
         "loopback interface: other hosts are not served before connections are encrypted.");
}

static int usage(const char *what)
{
    fprintf(stderr, "brokerd: %s; see brokerd --help\n", what);
    return 2;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct arguments *ret_arguments)
{
    static const struct option OPTIONS[] = {
        {"dir", required_argument, NULL, 'd'},    {"bind", required_argument, NULL, 'b'},
        {"events", required_argument, NULL, 'e'}, {"publish", required_argument, NULL, 'p'},
        {"verbose", no_argument, NULL, 'v'},      {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    struct arguments arguments = {.level = LOG_LEVEL_INFO};
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 'd': arguments.dir = optarg; break;
        case 'e': arguments.events = optarg; break;
        case 'p': arguments.publish = optarg; break;
        case 'v': arguments.level = LOG_LEVEL_DEBUG; break;
        case 'V': puts("brokerd " AF_VERSION); return 0;
        case 'h': print_help(); return 0;
        case 'b':
            if (arguments.binds_count == BINDS_MAX)
                return usage("more than 16 times --bind");
            arguments.binds[arguments.binds_count++] = optarg;
            break;
        default: return usage("an option is not known or lacks its value");
        }
    }
    if (optind < argc)
        return usage("there are arguments that belong to no option");
    *ret_arguments = arguments;
    return -1;
}

static int fail(const struct err *err)
{
    char text[800];
    log_error("BROKER-FAILED", err_format(err, text, sizeof text), NULL);
    return 1;
}

static int serve(const struct run_paths *paths, const struct broker_options *options,
                 struct err *err)
{
    int signals = signals_open(false, err);
    if (signals < 0)
        return signals;
    broker_t *broker = NULL;
    int rc = broker_new(options, &broker, err);
    if (rc == 0)
        rc = run_write_pid(paths, "brokerd", err);
    if (rc == 0) {
        notify_manager("READY=1");
        rc = broker_run(broker, signals, err);
        notify_manager("STOPPING=1");
        run_remove_pid(paths, "brokerd");
    }
    broker_destroy(&broker);
    close(signals);
    return rc;
}

static int start(const struct arguments *arguments, const struct run_paths *paths, struct err *err)
{
    int lock = -1;
    int rc = run_paths_make(paths, err);
    if (rc == 0)
        rc = run_lock(paths, "brokerd", &lock, err);
    if (rc)
        return rc;
    /* Whoever can open a socket file may say anything in anybody's name. */
    umask(0177);
    run_raise_open_files();
    const char *const standard[] = {paths->broker_endpoint};
    bool given = arguments->binds_count > 0;
    const struct broker_options options = {
        .endpoints = given ? arguments->binds : standard,
        .endpoints_count = given ? arguments->binds_count : 1,
        .events_endpoint = arguments->events ? arguments->events : paths->events_endpoint,
        .publish_endpoint = arguments->publish ? arguments->publish : paths->publish_endpoint,
    };
    rc = serve(paths, &options, err);
    close(lock);
    return rc;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    struct run_paths paths;
    struct err err;
    int status = parse(argc, argv, &arguments);
    if (status >= 0)
        return status;
    log_open("brokerd", arguments.level);
    if (run_paths_init(&paths, arguments.dir, &err) != 0)
        return fail(&err);
    status = start(&arguments, &paths, &err) == 0 ? 0 : fail(&err);
    run_paths_release(&paths);
    return status;
}
