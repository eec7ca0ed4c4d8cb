/* schedules ls, signal: what starts executions by itself, and from outside. */
#include "tools/commands.h"

#include <string.h>

int payload_of(struct context *context, value_t **ret_payload)
{
    const char *text = context->options->payload;
    struct buf read = {0};
    struct err err;
    int rc = 0;
    if (!text)
        return EXIT_OK;
    bool piped = strcmp(text, "-") == 0;
    if (piped)
        rc = read_all("-", &read, &err);
    if (rc == 0) {
        rc = piped ? value_from_json(buf_string(&read), read.size, ret_payload, &err)
                   : value_from_json(text, strlen(text), ret_payload, &err);
        if (rc) {
            err_where(&err, "--payload");
            err_fix(&err, "write JSON, such as '{\"n\": 3}' or '\"text\"'; - reads it from a pipe");
        }
    }
    buf_release(&read);
    return rc ? show_error(context->options, &err) : EXIT_OK;
}

int command_signal(struct context *context)
{
    value_t *params = value_map(), *payload = NULL, *result = NULL;
    value_set_string(params, "name", context->args[0]);
    int status = payload_of(context, &payload);
    if (status) {
        value_destroy(&params);
        return status;
    }
    if (payload)
        value_set(params, "payload", &payload);
    status = context_call(context, "signals.send", &params, &result);
    const value_t *executions = status ? NULL : value_get(result, "executions");
    if (executions && context->options->json)
        print_json(result);
    for (size_t i = 0; executions && !context->options->json && i < value_size(executions); i++)
        puts(value_get_string(value_at(executions, i), "id", "?"));
    value_destroy(&result);
    return status;
}

/* --- schedules -------------------------------------------------------------------------------- */

/* "2026-11-27 13:00 UTC" */
static void cell_time(table_t *table, const value_t *item, const char *key)
{
    char text[32];
    const char *time = value_get_string(item, key, NULL);
    if (time && strlen(time) > 16)
        (void)snprintf(text, sizeof text, "%.10s %.5s UTC", time, time + 11);
    else
        (void)snprintf(text, sizeof text, "-");
    table_cell(table, text);
}

static void cell_when(table_t *table, const value_t *item)
{
    const char *signal = value_get_string(item, "signal", NULL);
    struct buf text = {0};
    if (signal)
        buf_printf(&text, "signal %s", signal);
    else
        buf_puts(&text, value_get_string(item, "cron", "?"));
    table_cell(table, buf_string(&text));
    buf_release(&text);
}

/* What is done about missed times and about a run that goes on, and what went wrong. */
static void cell_policy(table_t *table, const value_t *item)
{
    const char *missed = value_get_string(item, "missed", NULL);
    const char *trouble = value_get_string(item, "trouble", NULL);
    struct buf text = {0};
    if (missed)
        buf_printf(&text, "missed: %s, overlap: %s", missed,
                   value_get_string(item, "overlap", "?"));
    if (trouble)
        buf_printf(&text, "%slast: %s", missed ? "; " : "", trouble);
    table_cell(table, buf_string(&text));
    buf_release(&text);
}

static void print_schedules(const value_t *items)
{
    static const char *const titles[] = {"WORKFLOW", "WHEN", "ZONE", "NEXT", "LAST", "POLICY"};
    table_t *table = table_new(6, titles);
    for (size_t i = 0; i < value_size(items); i++) {
        const value_t *item = value_at(items, i);
        table_cell(table, value_get_string(item, "workflow", "?"));
        cell_when(table, item);
        table_cell(table, value_get_string(item, "zone", "-"));
        cell_time(table, item, "next_at");
        cell_time(table, item, "last_at");
        cell_policy(table, item);
    }
    table_cut_last(table);
    table_print(&table, stdout);
}

int command_schedules(struct context *context)
{
    value_t *params = NULL, *result = NULL;
    if (context->args_count && strcmp(context->args[0], "ls") != 0) {
        struct err err;
        err_set(&err, ERR_INVALID, "that is not how it goes");
        err_fix(&err, "usage: agentctl schedules [ls]");
        return show_error(context->options, &err);
    }
    int status = context_call(context, "schedules.list", &params, &result);
    if (status)
        return status;
    const value_t *items = value_get(result, "items");
    if (context->options->json)
        print_json(result);
    else if (value_size(items) > 0)
        print_schedules(items);
    else
        print_hint(context->options, "nothing starts by itself; write schedule: in a workflow");
    value_destroy(&result);
    return EXIT_OK;
}
