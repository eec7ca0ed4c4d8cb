/* run, ask, and executions ls, show, wait, cancel, pause, resume, signal. */
#include "base/utf8.h"
#include "tools/commands.h"
#include "tools/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_INPUT_BYTES (64u << 20)

/* --- inputs ----------------------------------------------------------------------------------- */

int read_all(const char *path, struct buf *text, struct err *err)
{
    char chunk[65536];
    ssize_t size;
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "can't read %s: %s", path,
                       strerror(errno));
    while ((size = read(fd, chunk, sizeof chunk)) > 0 && text->size <= MAX_INPUT_BYTES)
        buf_append(text, chunk, (size_t)size);
    int rc = 0;
    if (size < 0)
        rc = err_set(err, ERR_IO, "can't read %s: %s", path, strerror(errno));
    else if (text->size > MAX_INPUT_BYTES)
        rc = err_set(err, ERR_TOO_LARGE, "%s holds more than %u bytes", path, MAX_INPUT_BYTES);
    if (rc == ERR_TOO_LARGE)
        err_fix(err, "keep the data where the agents can read it, and pass its place");
    if (!standard)
        close(fd);
    return rc;
}

static bool declared_as_text(const value_t *schema, const char *key)
{
    const value_t *property = value_get(schema, key);
    if (!property)
        return false;
    const char *type = value_type(property) == VALUE_STRING
                           ? value_as_string(property)
                           : value_get_string(property, "type", "");
    return strcmp(type, "text") == 0 || strcmp(type, "string") == 0;
}

/* "key=value": a text where the workflow declares one; else JSON if it is JSON, else a text. */
static void add_pair(value_t *input, const value_t *schema, const char *pair)
{
    const char *equals = strchr(pair, '=');
    char *key = xstrndup(pair, (size_t)(equals - pair));
    value_t *value = NULL;
    if (declared_as_text(schema, key) ||
        value_from_json(equals + 1, strlen(equals + 1), &value, NULL))
        value = value_string(equals + 1);
    value_set(input, key, &value);
    free(key);
}

/* The workflow's input block, or NULL: what the coordinator refuses it explains itself. */
static value_t *fetch_schema(struct context *context, const char *workflow)
{
    int status;
    value_t *document = NULL;
    value_t *schema = NULL;
    client_t *client = context_client(context, &status);
    value_t *params = value_map();
    value_set_string(params, "name", workflow);
    if (client && client_call(client, "workflows.get", params, NULL,
                              context_timeout_ms(context, 10000), &document, NULL, NULL) == 0) {
        const value_t *input = value_get(value_get(document, "definition"), "input");
        schema = input ? value_ref(input) : NULL;
    }
    value_destroy(&document);
    value_destroy(&params);
    return schema;
}

static int make_input(struct context *context, const char *workflow, value_t **ret_input,
                      struct err *err)
{
    const struct options *options = context->options;
    value_t *input = NULL;
    if (options->input_file) {
        struct buf text = {0};
        int rc = read_all(options->input_file, &text, err);
        if (rc == 0)
            rc = value_from_json(buf_string(&text), text.size, &input, err);
        buf_release(&text);
        if (rc)
            return rc;
    }
    if (!input)
        input = value_map();
    if (options->inputs_count && value_type(input) != VALUE_MAP) {
        value_destroy(&input);
        return err_set(err, ERR_INVALID, "-i adds keys, but --input gives no object");
    }
    value_t *schema = options->inputs_count ? fetch_schema(context, workflow) : NULL;
    for (size_t i = 0; i < options->inputs_count; i++)
        add_pair(input, schema, options->inputs[i]);
    value_destroy(&schema);
    *ret_input = input;
    return 0;
}

/* --- starting --------------------------------------------------------------------------------- */

/* What it has cost, where it has cost anything. */
static void hint_use(const struct options *options, const value_t *execution)
{
    struct buf use = {0};
    describe_use(execution, &use);
    if (use.size)
        print_hint(options, "%s", buf_string(&use));
    buf_release(&use);
}

static int report_outcome(struct context *context, const value_t *execution)
{
    const struct options *options = context->options;
    int status = outcome_status(execution);
    if (options->json) {
        print_json(execution);
        return status;
    }
    if (options->quiet && status != EXIT_OK) {
        fprintf(stderr, "%sagentctl:%s ", tone_on(stderr, TONE_BAD), tone_off(stderr));
        lines_print_why(execution, stderr);
    }
    if (options->tree)
        print_task_tree(execution, stderr);
    else
        hint_use(options, execution);
    if (status == EXIT_OK) {
        const value_t *output = value_get(execution, "output");
        if (output && value_type(output) != VALUE_NULL)
            print_output(output);
    }
    return status;
}

/* Sets it going by a method; with --detach prints the id, else follows it to its end and prints its
 * output. */
static int set_going(struct context *context, const char *method, value_t **params_p)
{
    value_t *started = NULL;
    int status = context_call(context, method, params_p, &started);
    if (status)
        return status;
    const char *id = value_get_string(started, "id", "");
    if (context->options->detach) {
        if (context->options->json)
            print_json(started);
        else
            puts(id);
    } else {
        value_t *execution = NULL;
        int64_t after = value_get_int(started, "after", 0);
        status = follow_execution(context, id, after, LINES_PROGRESS, &execution);
        if (execution)
            status = report_outcome(context, execution);
        value_destroy(&execution);
    }
    value_destroy(&started);
    return status;
}

static int start(struct context *context, value_t **params_p)
{
    return set_going(context, "executions.start", params_p);
}

/* A file holds one workflow (and perhaps its agents): it is applied, and its name is run. Heap. */
static char *workflow_of_file(struct context *context, const char *path, int *ret_status)
{
    value_t *result = NULL;
    char *name = NULL;
    struct err err = {0};
    *ret_status = apply_paths(context, &path, 1, false, &result);
    if (*ret_status)
        return NULL;
    const value_t *applied = value_get(result, "applied");
    size_t workflows = 0;
    for (size_t i = 0; i < value_size(applied); i++) {
        const value_t *item = value_at(applied, i);
        if (strcmp(value_get_string(item, "kind", ""), "workflow") != 0)
            continue;
        workflows++;
        free(name);
        name = xstrdup(value_get_string(item, "name", ""));
    }
    value_destroy(&result);
    if (workflows == 1)
        return name;
    err_set(&err, ERR_INVALID, "%s holds %zu workflows, so which one to run is not clear", path,
            workflows);
    err_fix(&err, "apply it and run one by its name");
    *ret_status = show_error(context->options, &err);
    free(name);
    return NULL;
}

static bool names_a_file(const char *argument)
{
    struct stat info;
    const char *dot = strrchr(argument, '.');
    bool looks =
        strchr(argument, '/') || (dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 ||
                                          strcmp(dot, ".json") == 0));
    return looks || (stat(argument, &info) == 0 && S_ISREG(info.st_mode));
}

int command_run(struct context *context)
{
    int status = EXIT_ERROR;
    struct err err = {0};
    value_t *input = NULL;
    char *name = names_a_file(context->args[0])
                     ? workflow_of_file(context, context->args[0], &status)
                     : xstrdup(context->args[0]);
    if (!name)
        return status;
    if (make_input(context, name, &input, &err)) {
        free(name);
        return show_error(context->options, &err);
    }
    value_t *params = value_map();
    value_set_string(params, "workflow", name);
    value_set(params, "input", &input);
    free(name);
    return start(context, &params);
}

int command_ask(struct context *context)
{
    struct err err = {0};
    struct buf text = {0};
    if (strcmp(context->args[1], "-") == 0) {
        if (read_all("-", &text, &err)) {
            buf_release(&text);
            return show_error(context->options, &err);
        }
    } else {
        buf_puts(&text, context->args[1]);
    }
    if (!utf8_valid(buf_string(&text), text.size)) {
        buf_release(&text);
        err_set(&err, ERR_INVALID, "what is asked is not a text: it must be UTF-8");
        return show_error(context->options, &err);
    }
    value_t *params = value_map();
    value_t *input = value_string_n(buf_string(&text), text.size);
    value_set_string(params, "agent", context->args[0]);
    value_set(params, "input", &input);
    buf_release(&text);
    return start(context, &params);
}

/* --- executions ------------------------------------------------------------------------------- */

static value_t *id_params(const char *id)
{
    value_t *params = value_map();
    value_set_string(params, "id", id);
    return params;
}

static void print_list(const value_t *items)
{
    static const char *const titles[] = {"EXECUTION", "STATUS", "WHAT", "STARTED", "TOOK"};
    table_t *table = table_new(5, titles);
    for (size_t i = 0; i < value_size(items); i++) {
        const value_t *item = value_at(items, i);
        const char *status = value_get_string(item, "status", "?");
        const char *workflow = value_get_string(item, "workflow", "");
        char state[64];
        char took[32];
        snprintf(state, sizeof state, "%s %s", status_mark(status), status);
        table_cell(table, value_get_string(item, "id", "?"));
        table_cell(table, state);
        table_cell(table, *workflow ? workflow : value_get_string(item, "agent", ""));
        table_cell(table, value_get_string(item, "started_at", ""));
        table_cell(table, print_duration(time_between(value_get_string(item, "started_at", NULL),
                                                      value_get_string(item, "ended_at", NULL)),
                                         took));
    }
    table_print(&table, stdout);
}

static int list(struct context *context)
{
    const struct options *options = context->options;
    value_t *params = value_map();
    value_t *result = NULL;
    if (options->status)
        value_set_string(params, "status", options->status);
    if (options->workflow)
        value_set_string(params, "workflow", options->workflow);
    if (options->agent)
        value_set_string(params, "agent", options->agent);
    if (options->cursor)
        value_set_string(params, "cursor", options->cursor);
    if (options->parent)
        value_set_string(params, "parent", options->parent);
    if (options->label)
        value_set_string(params, "label", options->label);
    if (options->all)
        value_set_bool(params, "all", true);
    if (options->limit >= 0)
        value_set_int(params, "limit", options->limit);
    int status = context_call(context, "executions.list", &params, &result);
    if (status)
        return status;
    if (options->json)
        print_json(result);
    else
        print_list(value_get(result, "items"));
    const char *next = value_get_string(result, "next_cursor", NULL);
    if (!options->json && next && *next)
        print_hint(options, "more: --cursor %s", next);
    value_destroy(&result);
    return EXIT_OK;
}

static void print_execution(const struct options *options, const value_t *execution)
{
    const char *status = value_get_string(execution, "status", "?");
    const char *workflow = value_get_string(execution, "workflow", "");
    const char *agent = value_get_string(execution, "agent", "");
    const value_t *failure = value_get(execution, "failure");
    struct buf use = {0};
    char took[32];
    printf("%s%s %s%s  %s\n", tone_on(stdout, status_tone(status)), status_mark(status), status,
           tone_off(stdout), value_get_string(execution, "id", "?"));
    if (*workflow)
        printf("workflow  %s, version %lld\n", workflow,
               (long long)value_get_int(execution, "version", 0));
    else
        printf("agent     %s\n", agent);
    if (value_get(execution, "parent"))
        printf("parent    %s, task %s\n", value_get_string(execution, "parent", "?"),
               value_get_string(execution, "parent_task", "?"));
    printf("started   %s, took %s\n", value_get_string(execution, "started_at", "?"),
           print_duration(time_between(value_get_string(execution, "started_at", NULL),
                                       value_get_string(execution, "ended_at", NULL)),
                          took));
    const char *forked_from = value_get_string(execution, "forked_from", "");
    if (*forked_from)
        printf("fork      of %s, event %lld\n", forked_from,
               (long long)value_get_int(execution, "forked_at", 0));
    describe_use(execution, &use);
    if (use.size && !options->tree)
        printf("used      %s\n", buf_string(&use));
    buf_release(&use);
    if (failure && value_type(failure) == VALUE_MAP) {
        const char *message = value_get_string(failure, "message", "");
        printf("failure   %s: ", value_get_string(failure, "code", "?"));
        print_shown(message, strlen(message));
        putchar('\n');
    }
    if (options->tree)
        print_task_tree(execution, stdout);
    else
        print_task_table(execution, stdout);
    const value_t *output = value_get(execution, "output");
    if (options->tree || !output || value_type(output) == VALUE_NULL)
        return;
    puts("output");
    print_output(output);
}

static int show(struct context *context, const char *id)
{
    value_t *execution = NULL;
    struct err err = {0};
    int status = EXIT_OK;
    const struct fetch_options options = {.outputs = context->options->json,
                                          .timeout_ms = context_timeout_ms(context, 60000)};
    client_t *client = context_client(context, &status);
    if (!client)
        return status;
    if (fetch_execution(client, id, &options, &execution, &err))
        status = show_error(context->options, &err);
    else if (context->options->json)
        print_json(execution);
    else
        print_execution(context->options, execution);
    value_destroy(&execution);
    return status;
}

static int wait_for(struct context *context, const char *id)
{
    value_t *execution = NULL;
    int status = follow_execution(context, id, 0, LINES_PROGRESS, &execution);
    if (execution)
        status = report_outcome(context, execution);
    value_destroy(&execution);
    return status;
}

/* cancel, pause, resume: tells how it is then. */
static int steer(struct context *context, const char *method, const char *id)
{
    value_t *params = id_params(id);
    value_t *result = NULL;
    if (context->options->why)
        value_set_string(params, "why", context->options->why);
    int status = context_call(context, method, &params, &result);
    if (status == EXIT_OK && context->options->json)
        print_json(result);
    else if (status == EXIT_OK)
        print_hint(context->options, "%s is %s", id, value_get_string(result, "status", "?"));
    value_destroy(&result);
    return status;
}

static int retry(struct context *context, const char *id)
{
    value_t *params = id_params(id);
    return set_going(context, "executions.retry", &params);
}

static value_t *with_changes(const value_t *before, const value_t *changes)
{
    value_t *input = value_copy(before);
    for (size_t i = 0; i < value_size(changes); i++) {
        const char *key = value_key_at(changes, i, NULL);
        value_t *value = value_ref(value_get(changes, key));
        value_set(input, key, &value);
    }
    return input;
}

/* The input that it has, with the keys that are given changed. A large one is fetched first: what
 * stands for it is not the input. */
static int changed_input(struct context *context, const char *id, value_t **ret_input)
{
    value_t *params = id_params(id);
    value_t *execution = NULL, *changes = NULL;
    struct err err = {0};
    value_set_int(params, "limit", 1);
    int status = context_call(context, "executions.get", &params, &execution);
    if (status)
        return status;
    const char *workflow = value_get_string(execution, "workflow", "");
    int rc = make_input(context, workflow, &changes, &err);
    const value_t *there = value_get(execution, "input");
    value_t *before = rc == 0 && there && !context->options->input_file ? value_ref(there) : NULL;
    if (before)
        rc = client_resolve_blobs(context->client, &before, context_timeout_ms(context, 60000),
                                  &err);
    bool adds = before && value_type(before) == VALUE_MAP;
    if (rc == 0)
        *ret_input = adds ? with_changes(before, changes) : value_ref(changes);
    value_destroy(&before);
    value_destroy(&changes);
    value_destroy(&execution);
    return rc == 0 ? EXIT_OK : show_error(context->options, &err);
}

static int fork_it(struct context *context, const char *id)
{
    const struct options *options = context->options;
    value_t *input = NULL;
    if (!options->from) {
        struct err err;
        err_set(&err, ERR_INVALID, "a fork needs the node that it goes on from");
        err_fix(&err, "agentctl executions fork ID --from NODE");
        return show_error(options, &err);
    }
    if (options->inputs_count > 0 || options->input_file) {
        int status = changed_input(context, id, &input);
        if (status)
            return status;
    }
    value_t *params = id_params(id);
    value_set_string(params, "node", options->from);
    if (input)
        value_set(params, "input", &input);
    return set_going(context, "executions.fork", &params);
}

static int signal_it(struct context *context, const char *id, const char *name)
{
    value_t *params = id_params(id);
    value_t *payload = NULL;
    value_t *result = NULL;
    value_set_string(params, "name", name);
    int status = payload_of(context, &payload);
    if (status) {
        value_destroy(&params);
        return status;
    }
    if (payload)
        value_set(params, "payload", &payload);
    status = context_call(context, "executions.signal", &params, &result);
    if (status == EXIT_OK && context->options->json)
        print_json(result);
    else if (status == EXIT_OK)
        print_hint(context->options, "%s has the signal %s", id, name);
    value_destroy(&result);
    return status;
}

int command_executions(struct context *context)
{
    const char *verb = context->args_count ? context->args[0] : "ls";
    const char *id = context->args_count == 2 ? context->args[1] : NULL;
    bool steers = id && (strcmp(verb, "cancel") == 0 || strcmp(verb, "pause") == 0 ||
                         strcmp(verb, "resume") == 0);
    char method[64];
    struct err err;
    if (strcmp(verb, "ls") == 0 && !id)
        return list(context);
    if (strcmp(verb, "show") == 0 && id)
        return show(context, id);
    if (strcmp(verb, "wait") == 0 && id)
        return wait_for(context, id);
    if (strcmp(verb, "retry") == 0 && id)
        return retry(context, id);
    if (strcmp(verb, "fork") == 0 && id)
        return fork_it(context, id);
    if (steers) {
        snprintf(method, sizeof method, "executions.%s", verb);
        return steer(context, method, id);
    }
    if (strcmp(verb, "signal") == 0 && context->args_count == 3)
        return signal_it(context, context->args[1], context->args[2]);
    err_set(&err, ERR_INVALID, "that is not how it goes");
    err_fix(&err,
            "usage: agentctl executions [ls | show ID [--tree] | wait ID | cancel|pause|resume "
            "ID | signal ID NAME [--payload JSON|-] | retry ID | fork ID --from NODE]");
    return show_error(context->options, &err);
}
