/* Documents and journals of executions, put together from as many answers as they take. */
#include "tools/commands.h"

#define PAGE 200

static int get_page(client_t *client, const char *id, const struct fetch_options *options,
                    int64_t after, value_t **ret_page, struct err *err)
{
    value_t *params = value_map();
    value_set_string(params, "id", id);
    value_set_bool(params, "outputs", options->outputs);
    value_set_int(params, "after", after);
    int rc = client_call(client, "executions.get", params, NULL, options->timeout_ms, ret_page,
                         NULL, err);
    value_destroy(&params);
    return rc;
}

static void append_tasks(value_t *tasks, const value_t *page)
{
    const value_t *more = value_get(page, "tasks");
    for (size_t i = 0; more && i < value_size(more); i++) {
        value_t *task = value_ref(value_at(more, i));
        value_append(tasks, &task);
    }
}

int fetch_execution(client_t *client, const char *id, const struct fetch_options *options,
                    value_t **ret_execution, struct err *err)
{
    value_t *page = NULL;
    value_t *tasks = value_list();
    int64_t after = 0;
    do {
        value_destroy(&page);
        int rc = get_page(client, id, options, after, &page, err);
        if (rc) {
            value_destroy(&tasks);
            return rc;
        }
        append_tasks(tasks, page);
        after = value_get_int(page, "tasks_next", 0);
    } while (after > 0);
    value_set(page, "tasks", &tasks);
    *ret_execution = page;
    return client_resolve_blobs(client, ret_execution, options->timeout_ms, err);
}

/* --- journals --------------------------------------------------------------------------------- */

static int get_events(client_t *client, const char *id, const struct journal_options *options,
                      int64_t after, value_t **ret_page, struct err *err)
{
    value_t *params = value_map();
    value_set_string(params, "id", id);
    value_set_int(params, "after", after);
    value_set_int(params, "limit", PAGE);
    value_set_bool(params, "raw", options->raw);
    int rc = client_call(client, "executions.journal", params, NULL, options->timeout_ms, ret_page,
                         NULL, err);
    value_destroy(&params);
    return rc;
}

int fetch_journal(client_t *client, const char *id, const struct journal_options *options,
                  fetch_page_fn call, void *argument, struct err *err)
{
    int rc;
    int64_t after = options->after;
    do {
        value_t *page = NULL;
        rc = get_events(client, id, options, after, &page, err);
        const value_t *items = value_get(page, "items");
        if (rc == 0 && items)
            rc = call(argument, items, err);
        after = value_get_int(page, "next", 0);
        value_destroy(&page);
    } while (rc == 0 && after > 0);
    return rc;
}
