/* init, validate, apply, and the lists of agents and workflows. */
#include "definitions/definitions.h"
#include "tools/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- init ------------------------------------------------------------------------------------- */

static const char PROJECT[] = "# A workflow of three agents. Try it:\n"
                              "#   agentctl up -d --apply .      start everything on this machine\n"
                              "#   agentctl run hello -i name=Ada\n"
                              "#   agentctl down\n"
                              "agent: greeter\n"
                              "about: Greets whoever it is told to greet\n"
                              "command: [./greet.sh]\n"
                              "limits: {time: 10s}\n"
                              "---\n"
                              "agent: repeater\n"
                              "about: Answers with what it was asked\n"
                              "builtin: echo\n"
                              "---\n"
                              "workflow: hello\n"
                              "about: Greets in two languages at once and joins the greetings\n"
                              "input:\n"
                              "  name: text\n"
                              "nodes:\n"
                              "  english:\n"
                              "    agent: greeter\n"
                              "    say: Good day, {{input.name}}\n"
                              "  french:\n"
                              "    agent: greeter\n"
                              "    say: Bonjour, {{input.name}}\n"
                              "    retry: {attempts: 3, backoff: 500ms}\n"
                              "  both:\n"
                              "    agent: repeater\n"
                              "    say: \"{{english}} {{french}}\"\n"
                              "output: both\n";

static const char GREET[] = "#!/bin/sh\n"
                            "# A command agent: the task comes as one line of JSON on standard "
                            "input, the result leaves on\n"
                            "# standard output (JSON, or plain text).\n"
                            "sed -n 's/.*\"message\":\"\\([^\"]*\\)\".*/\\1!/p'\n";

static int write_new(const char *path, const char *text, mode_t mode, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 && errno == EEXIST) {
        err_set(err, ERR_EXISTS, "%s is there already, and was left as it is", path);
        err_fix(err, "choose another directory: agentctl init DIR");
        return ERR_EXISTS;
    }
    size_t size = strlen(text);
    bool whole = fd >= 0 && write(fd, text, size) == (ssize_t)size;
    int rc = whole ? 0 : err_set(err, ERR_IO, "can't write %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}

int command_init(struct context *context)
{
    const char *dir = context->args_count ? context->args[0] : ".";
    struct err err = {0};
    char *project = xasprintf("%s/hello.yaml", dir);
    char *greet = xasprintf("%s/greet.sh", dir);
    int rc = 0;
    if (mkdir(dir, 0755) && errno != EEXIST)
        rc = err_set(&err, ERR_IO, "can't make %s: %s", dir, strerror(errno));
    if (rc == 0)
        rc = write_new(project, PROJECT, 0644, &err);
    if (rc == 0)
        rc = write_new(greet, GREET, 0755, &err);
    if (rc == 0 && context->options->json) {
        value_t *document = value_map();
        value_set_string(document, "dir", dir);
        print_json(document);
        value_destroy(&document);
    } else if (rc == 0) {
        printf("wrote %s and %s\n", project, greet);
        print_hint(context->options, "next: agentctl up -d --apply %s", dir);
    }
    free(project);
    free(greet);
    return rc ? show_error(context->options, &err) : EXIT_OK;
}

/* --- validate --------------------------------------------------------------------------------- */

static void report_validation(const struct context *context, const struct definitions *definitions,
                              const struct diagnostics *diagnostics)
{
    if (context->options->json) {
        value_t *document = value_map();
        value_t *list = diagnostics_document(diagnostics);
        value_set_bool(document, "valid", diagnostics->errors == 0);
        value_set_int(document, "definitions", (int64_t)definitions->count);
        value_set(document, "diagnostics", &list);
        print_json(document);
        value_destroy(&document);
        return;
    }
    struct buf text = {0};
    diagnostics_format(diagnostics, &text);
    fputs(buf_string(&text), stdout);
    buf_release(&text);
    if (diagnostics->errors)
        print_hint(context->options, "%zu %s", diagnostics->errors,
                   diagnostics->errors == 1 ? "problem" : "problems");
    else
        print_hint(context->options, "%zu %s, no problem", definitions->count,
                   definitions->count == 1 ? "definition" : "definitions");
}

int command_validate(struct context *context)
{
    struct err err = {0};
    value_t *files = NULL;
    struct definitions definitions = {0};
    struct diagnostics diagnostics = {0};
    if (read_definition_files(context->args, context->args_count, &files, &err))
        return show_error(context->options, &err);
    parse_definition_files(files, &definitions, &diagnostics);
    definitions_join_rules(&definitions, &diagnostics);
    definitions_cross_check(&definitions, NULL, NULL, &diagnostics);
    report_validation(context, &definitions, &diagnostics);
    int status = diagnostics.errors ? EXIT_USAGE : EXIT_OK;
    value_destroy(&files);
    definitions_release(&definitions);
    diagnostics_release(&diagnostics);
    return status;
}

/* --- apply ------------------------------------------------------------------------------------ */

static void print_diagnostics(const value_t *list)
{
    for (size_t i = 0; i < value_size(list); i++) {
        const value_t *item = value_at(list, i);
        const char *fix = value_get_string(item, "fix", "");
        const char *path = value_get_string(item, "path", "");
        fprintf(stderr, "%s:%lld:%lld: %s: %s%s%s%s%s\n", value_get_string(item, "file", "?"),
                (long long)value_get_int(item, "line", 0),
                (long long)value_get_int(item, "column", 0),
                value_get_string(item, "severity", "error"), path, *path ? ": " : "",
                value_get_string(item, "message", ""), *fix ? "; " : "", fix);
    }
}

/* A set of more than a message's worth of text can't be sent as one request. */
static int apply_files(struct context *context, value_t **files_p, bool dry_run,
                       value_t **ret_result)
{
    int status = EXIT_ERROR;
    struct err err = {0};
    value_t *detail = NULL;
    value_t *params = value_map();
    value_set(params, "files", files_p);
    value_set_bool(params, "dry_run", dry_run);
    client_t *client = context_client(context, &status);
    if (client) {
        int rc = client_call(client, "definitions.apply", params, NULL,
                             context_timeout_ms(context, 30000), ret_result, &detail, &err);
        if (rc && detail)
            print_diagnostics(value_get(detail, "diagnostics"));
        status = rc ? show_error(context->options, &err) : EXIT_OK;
    }
    value_destroy(&detail);
    value_destroy(&params);
    return status;
}

/* What is wrong is said here, in the coordinator's words: the files go nowhere. */
static int refuse_files(const struct context *context, const value_t *files)
{
    struct err err = {0};
    struct definitions definitions = {0};
    struct diagnostics diagnostics = {0};
    parse_definition_files(files, &definitions, &diagnostics);
    definitions_join_rules(&definitions, &diagnostics);
    value_t *list = diagnostics_document(&diagnostics);
    print_diagnostics(list);
    err_set(&err, ERR_INVALID, "%zu problem%s in the definitions: nothing was applied",
            diagnostics.errors, diagnostics.errors == 1 ? "" : "s");
    value_destroy(&list);
    definitions_release(&definitions);
    diagnostics_release(&diagnostics);
    return show_error(context->options, &err);
}

int apply_paths(struct context *context, const char *const *paths, size_t count, bool dry_run,
                value_t **ret_result)
{
    struct err err = {0};
    value_t *files = NULL;
    if (read_definition_files(paths, count, &files, &err))
        return show_error(context->options, &err);
    if (definition_files_may_leave(files))
        return apply_files(context, &files, dry_run, ret_result);
    int status = refuse_files(context, files);
    value_destroy(&files);
    return status;
}

int command_apply(struct context *context)
{
    value_t *result = NULL;
    int status = apply_paths(context, context->args, context->args_count, context->options->dry_run,
                             &result);
    if (status)
        return status;
    if (context->options->json) {
        print_json(result);
    } else {
        const value_t *applied = value_get(result, "applied");
        print_diagnostics(value_get(result, "diagnostics"));
        for (size_t i = 0; i < value_size(applied); i++) {
            const value_t *item = value_at(applied, i);
            bool changed = value_get_bool(item, "changed", false);
            printf("%-9s %-24s version %lld%s\n", value_get_string(item, "kind", "?"),
                   value_get_string(item, "name", "?"),
                   (long long)value_get_int(item, "version", 0),
                   changed ? (context->options->dry_run ? " (would be new)" : " (new)")
                           : " (unchanged)");
        }
    }
    value_destroy(&result);
    return EXIT_OK;
}
