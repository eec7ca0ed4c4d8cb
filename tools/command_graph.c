/* `graph`: a workflow, known or in a file, or an execution, as text, for Graphviz, or as a picture.
 */
#include "definitions/definitions.h"
#include "tools/commands.h"
#include "tools/graph.h"
#include "tools/output.h"

#include <string.h>
#include <sys/stat.h>

static int definition_of(struct context *context, const char *name, int64_t version,
                         value_t **ret_document)
{
    value_t *params = value_map();
    value_set_string(params, "name", name);
    if (version > 0)
        value_set_int(params, "version", version);
    return context_call(context, "workflows.get", &params, ret_document);
}

static int print(struct context *context, const value_t *definition, const value_t *execution)
{
    struct graph *graph = NULL;
    struct err err = {0};
    const char *format = context->options->format ? context->options->format : "text";
    int rc = graph_new(definition, execution, &graph, &err);
    if (rc == 0 && strcmp(format, "svg") == 0) {
        graph_layout(graph);
        rc = graph_print_svg(graph, stdout, &err);
    } else if (rc == 0 && strcmp(format, "dot") == 0) {
        graph_print_dot(graph, stdout);
    } else if (rc == 0) {
        graph_print_text(graph, stdout);
    }
    graph_destroy(&graph);
    return rc ? show_error(context->options, &err) : EXIT_OK;
}

/* Nothing is sent: the file need not be applied, nor its agents be known. */
static int graph_file(struct context *context, const char *path)
{
    value_t *files = NULL;
    struct definitions definitions = {0};
    struct diagnostics diagnostics = {0};
    struct err err = {0};
    const value_t *workflow = NULL;
    size_t workflows = 0;
    if (read_definition_files(&path, 1, &files, &err))
        return show_error(context->options, &err);
    parse_definition_files(files, &definitions, &diagnostics);
    for (size_t i = 0; i < definitions.count; i++)
        if (definitions.items[i].kind == DEFINITION_WORKFLOW) {
            workflow = definitions.items[i].canonical;
            workflows++;
        }
    int status = EXIT_USAGE;
    if (workflows == 1) {
        status = print(context, workflow, NULL);
    } else {
        err_set(&err, ERR_INVALID,
                "%s holds %zu workflows that are valid, so which one to draw is not clear", path,
                workflows);
        err_fix(&err, "check it with agentctl validate, or apply it and draw one by its name");
        status = show_error(context->options, &err);
    }
    definitions_release(&definitions);
    diagnostics_release(&diagnostics);
    value_destroy(&files);
    return status;
}

static int graph_execution(struct context *context, const char *id)
{
    const struct fetch_options options = {.timeout_ms = context_timeout_ms(context, 60000)};
    value_t *execution = NULL, *document = NULL;
    struct err err = {0};
    int status = EXIT_OK;
    client_t *client = context_client(context, &status);
    if (!client)
        return status;
    if (fetch_execution(client, id, &options, &execution, &err)) {
        value_destroy(&execution);
        return show_error(context->options, &err);
    }
    const char *workflow = value_get_string(execution, "workflow", "");
    if (*workflow) {
        status =
            definition_of(context, workflow, value_get_int(execution, "version", 0), &document);
        if (status == EXIT_OK)
            status = print(context, value_get(document, "definition"), execution);
    } else {
        err_set(&err, ERR_INVALID, "%s is of an agent alone, which has no graph", id);
        err_fix(&err, "agentctl executions show %s --tree", id);
        status = show_error(context->options, &err);
    }
    value_destroy(&document);
    value_destroy(&execution);
    return status;
}

int command_graph(struct context *context)
{
    static const char *const FORMATS[] = {"text", "dot", "svg", NULL};
    const char *name = context->args[0], *format = context->options->format;
    struct stat info;
    bool known = !format;
    for (size_t i = 0; format && FORMATS[i]; i++)
        known = known || strcmp(format, FORMATS[i]) == 0;
    if (!known) {
        struct err err = {0};
        err_set(&err, ERR_INVALID, "there is no format \"%s\"", format);
        err_where(&err, "--format");
        err_fix(&err, "use text, dot or svg");
        return show_error(context->options, &err);
    }
    if (strncmp(name, "exec_", 5) == 0)
        return graph_execution(context, name);
    if (stat(name, &info) == 0 && S_ISREG(info.st_mode))
        return graph_file(context, name);
    value_t *document = NULL;
    int status = definition_of(context, name, 0, &document);
    if (status == EXIT_OK)
        status = print(context, value_get(document, "definition"), NULL);
    value_destroy(&document);
    return status;
}
