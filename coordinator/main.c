/* coordinatord: definitions, executions, journal, timers. See docs/architecture.md. */
#include "base/log.h"
#include "base/notify.h"
#include "base/run.h"
#include "base/signals.h"
#include "coordinator/coordinator.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "coordinatord: runs the workflows of one installation and keeps their journal\n"
    "\n"
    "  --dir DIR           the installation's directory (default: $AGENTFACTORY_DIR, or\n"
    "                      $STATE_DIRECTORY, or ~/.local/state/agentfactory)\n"
    "  --broker ENDPOINT   the broker's endpoint (default: ipc://DIR/run/broker.sock)\n"
    "  --publish ENDPOINT  where events go (default: ipc://DIR/run/publish.sock)\n"
    "  --store-max BYTES   the store grows no further (default: 1 TiB)\n"
    "  --verbose           log what is only of use when looking for a defect\n"
    "  --version, --help\n";

struct arguments {
    struct coordinator_options options;
    enum log_level level;
};

static int parse_size(const char *text, uint64_t *ret_size)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number == 0 || *text == '-')
        return -1;
    *ret_size = number;
    return 0;
}

/* 0: go on; else the process ends, with status - 1. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},     {"broker", required_argument, NULL, 'b'},
        {"publish", required_argument, NULL, 'p'}, {"store-max", required_argument, NULL, 'm'},
        {"verbose", no_argument, NULL, 'v'},       {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'd': arguments->options.dir = optarg; break;
        case 'b': arguments->options.broker = optarg; break;
        case 'p': arguments->options.publish = optarg; break;
        case 'm':
            if (parse_size(optarg, &arguments->options.map_bytes_max) < 0) {
                fprintf(stderr, "coordinatord: --store-max takes a number of bytes\n");
                return 1 + 2;
            }
            break;
        case 'v': arguments->level = LOG_LEVEL_DEBUG; break;
        case 'V': puts("coordinatord " AF_VERSION); return 1 + 0;
        case 'h': fputs(usage, stdout); return 1 + 0;
        default: fputs(usage, stderr); return 1 + 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "coordinatord: \"%s\" is not an option\n%s", argv[optind], usage);
        return 1 + 2;
    }
    return 0;
}

static int serve(struct coordinator *coordinator, const struct coordinator_options *options,
                 int signal_fd)
{
    struct err err = {0};
    char text[800];

    int rc = coordinator_start(coordinator, options, &err);
    if (rc == 0)
        rc = run_write_pid(&coordinator->paths, "coordinatord", &err);
    if (rc == 0) {
        notify_manager("READY=1");
        rc = coordinator_loop(coordinator, signal_fd, &err);
        notify_manager("STOPPING=1");
        run_remove_pid(&coordinator->paths, "coordinatord");
    }
    if (rc < 0)
        log_error("COORD-FAILED", err_format(&err, text, sizeof text), NULL);
    coordinator_stop(coordinator);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.level = LOG_LEVEL_INFO};
    static struct coordinator coordinator;
    struct err err = {0};

    int parsed = parse_arguments(argc, argv, &arguments);
    if (parsed != 0)
        return parsed - 1;
    log_open("coordinatord", arguments.level);
    int signal_fd = signals_open(false, &err);
    if (signal_fd < 0) {
        log_error("COORD-FAILED", err.what, NULL);
        return EXIT_FAILURE;
    }
    int status = serve(&coordinator, &arguments.options, signal_fd);
    close(signal_fd);
    return status;
}
