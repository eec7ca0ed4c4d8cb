/* agentctl: the command line. This file holds the table of commands, their help and their dispatch.
 */
#include "tools/commands.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(struct context *context);
    uint32_t allowed; /* enum option_bit */
    size_t args_min, args_max;
    const char *usage, *about;
};

static const struct command COMMANDS[] = {
    {"init", command_init, 0, 0, 1, "init [DIR]", "write a small project to start from"},
    {"up", command_up, OPTION_DETACH | OPTION_APPLY | OPTION_AGENTS, 0, 0,
     "up [-d] [--dir DIR] [--agents DIR] [--apply FILE|DIR]",
     "start everything on this machine (-d: in the background)"},
    {"down", command_down, 0, 0, 0, "down", "stop what `up` started"},
    {"status", command_status, 0, 0, 0, "status", "what runs, and where"},
    {"validate", command_validate, 0, 1, SIZE_MAX, "validate FILE|DIR...",
     "check definitions; every problem at once"},
    {"apply", command_apply, OPTION_DRY_RUN, 1, SIZE_MAX, "apply FILE|DIR... [--dry-run]",
     "make definitions known; a changed one becomes the next version"},
    {"run", command_run, OPTION_DETACH | OPTION_INPUT | OPTION_KEY | OPTION_TREE | OPTION_NO_INPUT,
     1, 1, "run WORKFLOW|FILE [-i key=value]... [--input FILE|-] [-d] [--tree] [--timeout 5m]",
     "start a workflow and follow it (-d: print its id and return)"},
    {"ask", command_ask, OPTION_DETACH | OPTION_KEY | OPTION_TREE | OPTION_NO_INPUT, 2, 2,
     "ask AGENT TEXT|- [-d] [--tree] [--timeout 5m]",
     "one task for one agent: follows it and prints the answer (-: the text comes from a pipe)"},
    {"agents", command_agents, 0, 0, 2, "agents [ls | show NAME | rm NAME]", "agents"},
    {"workflows", command_workflows, 0, 0, 2, "workflows [ls | show NAME | rm NAME]", "workflows"},
    {"executions", command_executions,
     OPTION_FILTER | OPTION_TREE | OPTION_WHY | OPTION_NO_INPUT | OPTION_PAYLOAD | OPTION_FROM |
         OPTION_INPUT | OPTION_DETACH | OPTION_KEY,
     0, 3,
     "executions [ls | show ID [--tree] | wait ID | cancel|pause|resume ID [--why TEXT] | signal "
     "ID "
     "NAME [--payload JSON|-] | retry ID [-d] | fork ID --from NODE [-i key=value] [-d]]",
     "executions"},
    {"approvals", command_approvals, OPTION_DECISION, 0, 2,
     "approvals [ls | approve ID | reject ID] [--note TEXT] [--edit JSON]",
     "what waits for a person, and decisions on it"},
    {"schedules", command_schedules, 0, 0, 1, "schedules [ls]",
     "workflows that start by themselves: when next, when last"},
    {"signal", command_signal, OPTION_PAYLOAD | OPTION_KEY, 1, 1, "signal NAME [--payload JSON|-]",
     "start an execution of each workflow that listens to this signal; prints their ids"},
    {"logs", command_logs, OPTION_FOLLOW | OPTION_NODE, 1, 1, "logs [-f] ID [--node N]",
     "the journal of an execution as lines"},
    {"hosts", command_hosts, 0, 0, 1, "hosts [ls]", "hosts and the agent processes on them"},
    {"graph", command_graph, OPTION_FORMAT, 1, 1, "graph WORKFLOW|FILE|ID [--format text|dot|svg]",
     "the graph of a workflow, or of an execution with its states"},
    {"replay", command_replay, OPTION_AT, 1, 1, "replay ID [--at SEQ]",
     "fold a journal here and show the state that it gives"},
    {"bench", command_bench, OPTION_BENCH, 1, 1,
     "bench steps|fan|route|agents|delegations|map|dag|store|recovery",
     "measure this installation in a directory of its own"},
};
#define COMMANDS_COUNT (sizeof COMMANDS / sizeof *COMMANDS)

static void print_help(FILE *stream)
{
    fputs("agentctl - run and watch workflows of agent processes\n\n", stream);
    for (size_t i = 0; i < COMMANDS_COUNT; i++)
        fprintf(stream, "  agentctl %s\n      %s\n", COMMANDS[i].usage, COMMANDS[i].about);
    fputs("\nFlags, in any position:\n"
          "  --json              one JSON document (lines of JSON for streams) on standard output\n"
          "  -q, --quiet         no progress, no hints\n"
          "  --dir DIR           the installation's directory "
          "(default: $AGENTFACTORY_DIR, else ~/.local/state/agentfactory)\n"
          "  --broker ENDPOINT   the broker, when it is not in --dir\n"
          "  --timeout DURATION  how long to wait: 500ms, 30s, 5m, 2h\n"
          "  -h, --help          this, or a command's own help\n"
          "  --version\n"
          "\nExit status: 0 success, 1 error, 2 usage or invalid definition, 3 not found, "
          "4 not allowed,\n  5 not reachable, 10 execution failed, 11 cancelled, "
          "12 timed out waiting,\n  13 waits for a person (under --no-input), 14 limit reached, "
          "130 interrupted.\n",
          stream);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS_COUNT; i++)
        if (strcmp(COMMANDS[i].name, name) == 0)
            return &COMMANDS[i];
    return NULL;
}

static int unknown_command(const struct options *options, const char *name)
{
    const char *names[COMMANDS_COUNT + 1];
    struct err err;
    for (size_t i = 0; i < COMMANDS_COUNT; i++)
        names[i] = COMMANDS[i].name;
    names[COMMANDS_COUNT] = NULL;
    const char *near = options_suggest(name, names);
    err_set(&err, ERR_INVALID, "there is no command \"%s\"", name);
    err_fix(&err, near ? "did you mean `agentctl %s`?" : "`agentctl --help` lists them", near);
    return show_error(options, &err);
}

static int check_usage(const struct command *command, const struct options *options)
{
    struct err err;
    size_t args = options->args_count - 1;
    uint32_t wrong = options->given & ~command->allowed;
    if (wrong)
        err_set(&err, ERR_INVALID, "`%s` takes no %s", command->name,
                option_bit_name(wrong & -wrong));
    else if (args < command->args_min)
        err_set(&err, ERR_INVALID, "`%s` needs more", command->name);
    else if (args > command->args_max)
        err_set(&err, ERR_INVALID, "`%s` doesn't take \"%s\"", command->name,
                options->args[command->args_max + 1]);
    else
        return EXIT_OK;
    err_fix(&err, "usage: agentctl %s", command->usage);
    return show_error(options, &err);
}

client_t *context_client(struct context *self, int *ret_status)
{
    struct err err = {0};
    if (self->client)
        return self->client;
    struct client_options options = {
        .endpoint = self->options->broker ? self->options->broker : self->paths.broker_endpoint,
        .events = self->options->broker ? NULL : self->paths.events_endpoint,
        .program = "agentctl " AF_VERSION};
    if (client_new(&options, &self->client, &err))
        *ret_status = show_error(self->options, &err);
    return self->client;
}

int context_timeout_ms(const struct context *self, int fallback_ms)
{
    int64_t us = self->options->timeout_us;
    if (us <= 0)
        return fallback_ms;
    return us / 1000 > INT32_MAX ? INT32_MAX : (int)((us + 999) / 1000);
}

int context_call(struct context *self, const char *method, value_t **params_p, value_t **ret_result)
{
    int status = EXIT_ERROR;
    struct err err = {0};
    client_t *client = context_client(self, &status);
    if (client) {
        int rc = client_call(client, method, *params_p, self->options->key,
                             context_timeout_ms(self, 10000), ret_result, NULL, &err);
        status = rc ? show_error(self->options, &err) : EXIT_OK;
    }
    value_destroy(params_p);
    return status;
}

static int run_command(const struct command *command, const struct options *options)
{
    struct err err = {0};
    struct context context = {
        .options = options, .args = options->args + 1, .args_count = options->args_count - 1};
    if (run_paths_init(&context.paths, options->dir, &err))
        return show_error(options, &err);
    int status = command->run(&context);
    client_destroy(&context.client);
    run_paths_release(&context.paths);
    return status;
}

static int dispatch(const struct options *options)
{
    if (options->version) {
        puts("agentctl " AF_VERSION);
        return EXIT_OK;
    }
    if (options->args_count == 0) {
        print_help(options->help ? stdout : stderr);
        return options->help ? EXIT_OK : EXIT_USAGE;
    }
    const struct command *command = find_command(options->args[0]);
    if (!command && strcmp(options->args[0], "help") == 0) {
        print_help(stdout);
        return EXIT_OK;
    }
    if (!command)
        return unknown_command(options, options->args[0]);
    if (options->help) {
        printf("usage: agentctl %s\n  %s\n", command->usage, command->about);
        return EXIT_OK;
    }
    int status = check_usage(command, options);
    return status ? status : run_command(command, options);
}

int main(int argc, char **argv)
{
    struct options options;
    struct err err = {0};
    signal(SIGPIPE, SIG_IGN);
    if (options_parse(argc, argv, &options, &err)) {
        struct options none = {0};
        return show_error(&none, &err);
    }
    int status = dispatch(&options);
    options_release(&options);
    if (fflush(stdout) || ferror(stdout))
        return status ? status : EXIT_ERROR;
    return status;
}
