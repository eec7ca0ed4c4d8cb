/* approvals ls, approve, reject. */
#include "tools/commands.h"

#include <stdlib.h>
#include <string.h>

static void print_asked(const value_t *item)
{
    const value_t *show = value_get(item, "show");
    const char *due = value_get_string(item, "due_at", NULL);
    printf("%s%s%s  asked %s", tone_on(stdout, TONE_BOLD), value_get_string(item, "id", "?"),
           tone_off(stdout), value_get_string(item, "asked_at", "?"));
    if (due)
        printf(", expires %s", due);
    putchar('\n');
    print_output(value_get(item, "text"));
    if (show && value_type(show) != VALUE_NULL)
        print_output(show);
}

/* All pages, as one list. */
static int fetch_all(struct context *context, value_t **ret_items)
{
    char *after = NULL;
    value_t *items = value_list();
    int status = EXIT_OK;
    do {
        value_t *params = value_map();
        value_t *result = NULL;
        if (after)
            value_set_string(params, "after", after);
        free(after);
        after = NULL;
        status = context_call(context, "approvals.list", &params, &result);
        const value_t *page = status == EXIT_OK ? value_get(result, "items") : NULL;
        for (size_t i = 0; page && i < value_size(page); i++) {
            value_t *item = value_ref(value_at(page, i));
            value_append(items, &item);
        }
        const char *next = page ? value_get_string(result, "next", NULL) : NULL;
        after = next ? xstrdup(next) : NULL;
        value_destroy(&result);
    } while (after);
    struct err err;
    if (status == EXIT_OK &&
        client_resolve_blobs(context->client, &items, context_timeout_ms(context, 60000), &err))
        status = show_error(context->options, &err);
    if (status == EXIT_OK)
        *ret_items = items;
    else
        value_destroy(&items);
    return status;
}

static int list(struct context *context)
{
    value_t *items = NULL;
    int status = fetch_all(context, &items);
    if (status)
        return status;
    if (context->options->json) {
        value_t *document = value_map();
        value_set(document, "items", &items);
        print_json(document);
        value_destroy(&document);
        return EXIT_OK;
    }
    for (size_t i = 0; i < value_size(items); i++)
        print_asked(value_at(items, i));
    if (value_size(items) == 0)
        print_hint(context->options, "nothing waits for a person");
    else
        print_hint(context->options, "agentctl approvals approve|reject ID [--note TEXT]");
    value_destroy(&items);
    return EXIT_OK;
}

static int decide(struct context *context, const char *id, bool approved)
{
    const struct options *options = context->options;
    value_t *params = value_map();
    value_t *edited = NULL;
    value_t *result = NULL;
    struct err err;
    value_set_string(params, "id", id);
    value_set_bool(params, "approved", approved);
    if (options->note)
        value_set_string(params, "note", options->note);
    if (options->edit && value_from_json(options->edit, strlen(options->edit), &edited, &err)) {
        value_destroy(&params);
        err_where(&err, "--edit");
        err_fix(&err, "write JSON, such as '{\"n\": 3}' or '\"text\"'");
        return show_error(options, &err);
    }
    if (edited)
        value_set(params, "edited", &edited);
    int status = context_call(context, "approvals.decide", &params, &result);
    if (status == EXIT_OK && options->json)
        print_json(result);
    else if (status == EXIT_OK)
        print_hint(options, "%s is %s by %s", id, approved ? "approved" : "rejected",
                   value_get_string(result, "by", "?"));
    value_destroy(&result);
    return status;
}

int command_approvals(struct context *context)
{
    const char *verb = context->args_count ? context->args[0] : "ls";
    const char *id = context->args_count == 2 ? context->args[1] : NULL;
    bool decides = context->options->note || context->options->edit;
    struct err err;
    if (strcmp(verb, "ls") == 0 && !id && !decides)
        return list(context);
    if (strcmp(verb, "approve") == 0 && id)
        return decide(context, id, true);
    if (strcmp(verb, "reject") == 0 && id)
        return decide(context, id, false);
    err_set(&err, ERR_INVALID, "that is not how it goes");
    err_fix(&err, "usage: agentctl approvals [ls | approve ID | reject ID] [--note TEXT] [--edit "
                  "JSON]");
    return show_error(context->options, &err);
}
