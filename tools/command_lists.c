/* The lists: agents, workflows, hosts; show and rm of definitions. */
#include "tools/commands.h"

#include <stdlib.h>
#include <string.h>

typedef void (*print_items_fn)(const value_t *items);

static void cell_int(table_t *table, int64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)number);
    table_cell(table, text);
}

static void print_agents(const value_t *items)
{
    static const char *const titles[] = {"AGENT", "VERSION", "READY", "RUNNING", "QUEUED", "ABOUT"};
    table_t *table = table_new(6, titles);
    for (size_t i = 0; i < value_size(items); i++) {
        const value_t *item = value_at(items, i);
        const value_t *instances = value_get(item, "instances");
        const value_t *queue = value_get(item, "queue");
        char ready[64];
        snprintf(ready, sizeof ready, "%lld/%lld", (long long)value_get_int(instances, "ready", 0),
                 (long long)value_get_int(instances, "wanted", 0));
        table_cell(table, value_get_string(item, "name", "?"));
        cell_int(table, value_get_int(item, "version", 0));
        table_cell(table, ready);
        cell_int(table, value_get_int(queue, "running", 0));
        cell_int(table, value_get_int(queue, "ready", 0));
        table_cell(table, value_get_string(item, "about", ""));
    }
    table_print(&table, stdout);
}

static void print_workflows(const value_t *items)
{
    static const char *const titles[] = {"WORKFLOW", "VERSION", "ABOUT"};
    table_t *table = table_new(3, titles);
    for (size_t i = 0; i < value_size(items); i++) {
        const value_t *item = value_at(items, i);
        table_cell(table, value_get_string(item, "name", "?"));
        cell_int(table, value_get_int(item, "version", 0));
        table_cell(table, value_get_string(item, "about", ""));
    }
    table_print(&table, stdout);
}

static int list(struct context *context, const char *method, print_items_fn print)
{
    value_t *params = NULL;
    value_t *result = NULL;
    int status = context_call(context, method, &params, &result);
    if (status)
        return status;
    if (context->options->json)
        print_json(result);
    else
        print(value_get(result, "items"));
    value_destroy(&result);
    return EXIT_OK;
}

static value_t *name_params(const char *name)
{
    value_t *params = value_map();
    value_set_string(params, "name", name);
    return params;
}

static int show(struct context *context, const char *method)
{
    value_t *params = name_params(context->args[1]);
    value_t *result = NULL;
    int status = context_call(context, method, &params, &result);
    if (status)
        return status;
    const char *source = value_get_string(result, "source", NULL);
    if (context->options->json || !source)
        print_json(result);
    else
        printf("%s# %s, version %lld, applied %s%s\n%s", tone_on(stdout, TONE_DIM),
               value_get_string(result, "name", "?"),
               (long long)value_get_int(result, "version", 0),
               value_get_string(result, "applied_at", "?"), tone_off(stdout), source);
    value_destroy(&result);
    return EXIT_OK;
}

static int forget(struct context *context, const char *method)
{
    value_t *params = name_params(context->args[1]);
    value_t *result = NULL;
    int status = context_call(context, method, &params, &result);
    if (status == EXIT_OK && context->options->json)
        print_json(result);
    else if (status == EXIT_OK)
        print_hint(context->options, "removed %s", context->args[1]);
    value_destroy(&result);
    return status;
}

static int usage(struct context *context, const char *what, const char *how)
{
    struct err err;
    err_set(&err, ERR_INVALID, "%s", what);
    err_fix(&err, "usage: agentctl %s", how);
    return show_error(context->options, &err);
}

/* ls, show NAME, rm NAME of one kind of definition. */
static int definitions(struct context *context, const char *kind, print_items_fn print,
                       const char *how)
{
    const char *verb = context->args_count ? context->args[0] : "ls";
    char method[64];
    bool named = context->args_count == 2;
    if (strcmp(verb, "ls") == 0 && !named) {
        snprintf(method, sizeof method, "%s.list", kind);
        return list(context, method, print);
    }
    if (strcmp(verb, "show") == 0 && named) {
        snprintf(method, sizeof method, "%s.get", kind);
        return show(context, method);
    }
    if (strcmp(verb, "rm") == 0 && named) {
        snprintf(method, sizeof method, "%s.remove", kind);
        return forget(context, method);
    }
    return usage(context, "that is not how it goes", how);
}

int command_agents(struct context *context)
{
    return definitions(context, "agents", print_agents, "agents [ls | show NAME | rm NAME]");
}

int command_workflows(struct context *context)
{
    return definitions(context, "workflows", print_workflows,
                       "workflows [ls | show NAME | rm NAME]");
}

static void print_hosts(const value_t *items)
{
    static const char *const titles[] = {"AGENT", "INSTANCE", "PID", "STATE", "RESTARTS", "WHY"};
    for (size_t i = 0; i < value_size(items); i++) {
        const value_t *host = value_at(items, i);
        const value_t *processes = value_get(host, "processes");
        printf("%s%s%s  %s, %zu %s\n", tone_on(stdout, TONE_BOLD),
               value_get_string(host, "id", "?"), tone_off(stdout),
               value_get_bool(host, "up", false) ? "up" : "down",
               processes ? value_size(processes) : 0, "agent processes");
        table_t *table = table_new(6, titles);
        for (size_t j = 0; processes && j < value_size(processes); j++) {
            const value_t *process = value_at(processes, j);
            bool up = value_get_bool(process, "up", false);
            table_cell(table, value_get_string(process, "agent", "?"));
            table_cell(table, value_get_string(process, "instance", "?"));
            cell_int(table, value_get_int(process, "pid", 0));
            table_cell(table, up ? "up" : "down");
            cell_int(table, value_get_int(process, "restarts", 0));
            table_cell(table, value_get_string(process, "stopped", ""));
        }
        table_print(&table, stdout);
    }
    if (value_size(items) == 0)
        puts("no host is connected; `agentctl up` starts one here");
}

int command_hosts(struct context *context)
{
    if (context->args_count && strcmp(context->args[0], "ls") != 0)
        return usage(context, "that is not how it goes", "hosts [ls]");
    return list(context, "hosts.list", print_hosts);
}
