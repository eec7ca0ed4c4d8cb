/* egressd: makes the calls to models for all agents, with the coordinator's leave. */
#include "base/log.h"
#include "base/notify.h"
#include "base/run.h"
#include "base/signals.h"
#include "egress/egressd.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

struct arguments {
    const char *dir, *broker, *publish, *id, *calls;
    enum log_level level;
};

static void print_help(void)
{
    puts("egressd [OPTIONS]: makes the calls to models, for all agents, with the coordinator's "
         "leave\n"
         "\n"
         "  --dir DIR           state directory (default: $AGENTFACTORY_DIR, else\n"
         "                      $XDG_STATE_HOME/agentfactory, else ~/.local/state/agentfactory)\n"
         "  --broker ENDPOINT   the broker (default: ipc://DIR/run/broker.sock)\n"
         "  --publish ENDPOINT  where events go (default: ipc://DIR/run/publish.sock)\n"
         "  --id ID             its own id, egr_… (default: kept in DIR/egress_id)\n"
         "  --calls FILE        add a line to FILE for each call that is really made:\n"
         "                      EXECUTION TASK ATTEMPT TURN\n"
         "  --verbose           log more\n"
         "  --version, --help\n"
         "\n"
         "SIGTERM lets calls under way end, for 5 seconds. Exit status: 0 after a signal, 1 on\n"
         "errors, 2 on wrong options.");
}

static int usage(const char *what, const char *which)
{
    fprintf(stderr, "egressd: %s%s%s; see egressd --help\n", what, which ? " " : "",
            which ? which : "");
    return 2;
}

static int check(const struct arguments *arguments)
{
    struct uuid id;
    if (arguments->id && typeid_parse_as(arguments->id, "egr", &id, NULL) != 0)
        return usage("--id is not an id such as egr_01h455vb4pex5vsknk084sn02q:", arguments->id);
    return -1;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option OPTIONS[] = {
        {"dir", required_argument, NULL, 'd'},
        {"broker", required_argument, NULL, 'b'},
        {"publish", required_argument, NULL, 'p'},
        {"id", required_argument, NULL, 'i'},
        {"calls", required_argument, NULL, 'c'},
        {"verbose", no_argument, NULL, 'v'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 'd': arguments->dir = optarg; break;
        case 'b': arguments->broker = optarg; break;
        case 'p': arguments->publish = optarg; break;
        case 'i': arguments->id = optarg; break;
        case 'c': arguments->calls = optarg; break;
        case 'v': arguments->level = LOG_LEVEL_DEBUG; break;
        case 'V': puts("egressd " AF_VERSION); return 0;
        case 'h': print_help(); return 0;
        case ':': return usage("a value is missing after", argv[optind - 1]);
        default: return usage("there is no option", argv[optind - 1]);
        }
    }
    if (optind < argc)
        return usage("this belongs to no option:", argv[optind]);
    return check(arguments);
}

static int fail(const struct err *err)
{
    char text[800];
    log_error("EGRESS-FAILED", err_format(err, text, sizeof text), NULL);
    return 1;
}

static int serve(const struct run_paths *paths, const struct egressd_options *options,
                 struct err *err)
{
    egressd_t *egressd = NULL;
    int rc = egressd_new(options, &egressd, err);
    if (rc == 0)
        rc = run_write_pid(paths, "egressd", err);
    if (rc == 0) {
        notify_manager("READY=1");
        rc = egressd_run(egressd, err);
        run_remove_pid(paths, "egressd");
    }
    egressd_destroy(&egressd);
    return rc;
}

static int prepare(const struct arguments *arguments, const struct run_paths *paths,
                   char ret_id[TYPEID_TEXT_SIZE], int *ret_lock, struct err *err)
{
    int rc = run_paths_make(paths, err);
    if (rc == 0)
        rc = run_lock(paths, "egressd", ret_lock, err);
    if (rc == 0 && arguments->id)
        (void)snprintf(ret_id, TYPEID_TEXT_SIZE, "%s", arguments->id);
    else if (rc == 0)
        rc = run_own_id(paths, "egress_id", "egr", ret_id, err);
    return rc;
}

static int start(const struct arguments *arguments, const struct run_paths *paths, struct err *err)
{
    char id[TYPEID_TEXT_SIZE];
    int lock = -1;
    int rc = prepare(arguments, paths, id, &lock, err);
    int signals = rc == 0 ? signals_open(false, err) : rc;
    if (signals >= 0) {
        const struct egressd_options options = {
            .broker = arguments->broker ? arguments->broker : paths->broker_endpoint,
            .publish = arguments->publish ? arguments->publish : paths->publish_endpoint,
            .id = id,
            .calls = arguments->calls,
            .signals = signals,
        };
        rc = serve(paths, &options, err);
        close(signals);
    } else {
        rc = signals;
    }
    if (lock >= 0)
        close(lock);
    return rc;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.level = LOG_LEVEL_INFO};
    struct run_paths paths;
    struct err err;
    int status = parse(argc, argv, &arguments);
    if (status >= 0)
        return status;
    log_open("egressd", arguments.level);
    if (run_paths_init(&paths, arguments.dir, &err) != 0)
        return fail(&err);
    status = start(&arguments, &paths, &err) == 0 ? 0 : fail(&err);
    run_paths_release(&paths);
    return status;
}
