/* agentd: serves one agent's tasks. Started by hostd, or by hand. */
#include "agentd/agentd.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/typeid.h"
#include "proto/wire.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_help(void)
{
    puts("agentd --agent NAME --instance inst_ID --broker ENDPOINT [OPTIONS]: serves one agent\n"
         "\n"
         "  --agent NAME        whose tasks to take; its definition comes from the coordinator\n"
         "  --instance inst_ID  the id of this instance\n"
         "  --broker ENDPOINT   ipc:///…/broker.sock or tcp://…\n"
         "  --host host_ID      the host that it runs on\n"
         "  --agents DIR        what the paths of commands are relative to\n"
         "  --scratch DIR       where commands get their working directories\n"
         "                      (default: $TMPDIR/agentd-scratch-UID)\n"
         "  --memory BYTES      the most memory of a task's processes\n"
         "  --boot MICROSECONDS start of this process in UTC, as its starter knows it\n"
         "  --verbose           log more\n"
         "  --version, --help\n"
         "\n"
         "SIGTERM lets running tasks end for 5 seconds. Exit status: 0 after a signal, 1 on "
         "errors,\n"
         "2 on wrong options.");
}

static int usage(const char *what)
{
    fprintf(stderr, "agentd: %s; see agentd --help\n", what);
    return 2;
}

struct arguments {
    struct agentd_options options;
    enum log_level level;
};

static bool parse_number(const char *text, uint64_t *ret_number)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-')
        return false;
    *ret_number = number;
    return true;
}

static int check(const struct agentd_options *options)
{
    struct uuid id;
    if (!options->agent || !options->instance || !options->broker)
        return usage("--agent, --instance and --broker are needed");
    if (!wire_name_valid(options->agent, strlen(options->agent)))
        return usage("--agent is not a name ([a-z][a-z0-9_-]*)");
    if (typeid_parse_as(options->instance, "inst", &id, NULL))
        return usage("--instance is not an id such as inst_01h455vb4pex5vsknk084sn02q");
    if (options->host && typeid_parse_as(options->host, "host", &id, NULL))
        return usage("--host is not an id such as host_01h455vb4pex5vsknk084sn02q");
    return -1;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option OPTIONS[] = {
        {"agent", required_argument, NULL, 'a'},  {"instance", required_argument, NULL, 'i'},
        {"broker", required_argument, NULL, 'b'}, {"host", required_argument, NULL, 'o'},
        {"agents", required_argument, NULL, 'd'}, {"scratch", required_argument, NULL, 's'},
        {"memory", required_argument, NULL, 'm'}, {"boot", required_argument, NULL, 't'},
        {"verbose", no_argument, NULL, 'v'},      {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    struct agentd_options *options = &arguments->options;
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 'a': options->agent = optarg; break;
        case 'i': options->instance = optarg; break;
        case 'b': options->broker = optarg; break;
        case 'o': options->host = optarg; break;
        case 'd': options->agents_dir = optarg; break;
        case 's': options->scratch_dir = optarg; break;
        case 'm':
            if (!parse_number(optarg, &options->memory_bytes))
                return usage("--memory is not a number of bytes");
            break;
        case 't':
            if (!parse_number(optarg, &options->boot) || options->boot == 0)
                return usage("--boot is not a number of microseconds");
            break;
        case 'v': arguments->level = LOG_LEVEL_DEBUG; break;
        case 'V': puts("agentd " AF_VERSION); return 0;
        case 'h': print_help(); return 0;
        default: return usage("an option is not known or lacks its value");
        }
    }
    if (optind < argc)
        return usage("there are arguments that belong to no option");
    return check(options);
}

/* Descriptors 0 to 2 must be taken, so that no pipe of a command becomes one of them. */
static void hold_standard_descriptors(void)
{
    int fd = 0;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

static char *absolute(const char *path)
{
    if (!path)
        return NULL;
    char *whole = realpath(path, NULL);
    if (whole || path[0] == '/')
        return whole ? whole : xstrdup(path);
    char *here = realpath(".", NULL);
    whole = xasprintf("%s/%s", here ? here : "", path);
    free(here);
    return whole;
}

static char *default_scratch(void)
{
    const char *tmpdir = getenv("TMPDIR");
    return xasprintf("%s/agentd-scratch-%u", tmpdir && tmpdir[0] ? tmpdir : "/tmp", geteuid());
}

static int run(struct agentd_options *options)
{
    char *agents_dir = absolute(options->agents_dir);
    char *scratch_dir = options->scratch_dir ? absolute(options->scratch_dir) : default_scratch();
    struct err err = {0};
    options->agents_dir = agents_dir;
    options->scratch_dir = scratch_dir;
    int rc = agentd_run(options, &err);
    if (rc) {
        char text[sizeof err.what + sizeof err.where + sizeof err.fix + 16];
        log_error("AGENTD-FAILED", err_format(&err, text, sizeof text), "agent", options->agent,
                  NULL);
    }
    free(agents_dir);
    free(scratch_dir);
    return rc ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.level = LOG_LEVEL_INFO,
                                  .options = {.boot = (uint64_t)clock_utc_us()}};
    /* One heap for all threads, given back in small pieces: a thousand of us share a machine. */
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TRIM_THRESHOLD, 128 << 10);
    hold_standard_descriptors();
    int status = parse(argc, argv, &arguments);
    if (status >= 0)
        return status;
    log_open("agentd", arguments.level);
    return run(&arguments.options);
}
