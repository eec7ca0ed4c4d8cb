/* The commands of agentctl: what each gets, and the table's entries. A command returns an exit status
 * and has printed its own errors by show_error. */
#ifndef AF_TOOLS_COMMANDS_H
#define AF_TOOLS_COMMANDS_H

#include "base/run.h"
#include "client/client.h"
#include "tools/lines.h"
#include "tools/options.h"
#include "tools/output.h"

struct context {
    const struct options *options;
    struct run_paths paths;
    client_t *client;       /* connected at first need by context_client */
    const char *const *args; /* after the command's name */
    size_t args_count;
};

/* Connects once; an error is printed. NULL on failure, with *ret_status set. */
client_t *context_client(struct context *self, int *ret_status);
/* client_call with the command's timeout (default 10 s) and its error printed. Returns an exit
 * status; on EXIT_OK *ret_result is the caller's. params_p is consumed and may point to NULL. */
int context_call(struct context *self, const char *method, value_t **params_p,
                 value_t **ret_result);
int context_timeout_ms(const struct context *self, int fallback_ms);

/* A file, or "-" for standard input; appended to text. */
int read_all(const char *path, struct buf *text, struct err *err) MUST_CHECK;
/* The value of --payload, the caller's; NULL when it isn't given. Returns an exit status, its error
 * printed. */
int payload_of(struct context *self, value_t **ret_payload);

int command_init(struct context *context);
int command_up(struct context *context);
int command_down(struct context *context);
int command_status(struct context *context);
int command_validate(struct context *context);
int command_apply(struct context *context);
int command_run(struct context *context);
int command_ask(struct context *context);
int command_agents(struct context *context);
int command_workflows(struct context *context);
int command_executions(struct context *context);
int command_approvals(struct context *context);
int command_schedules(struct context *context);
int command_signal(struct context *context);
int command_logs(struct context *context);
int command_hosts(struct context *context);
int command_graph(struct context *context);
int command_replay(struct context *context);
int command_bench(struct context *context);

/* Applies files and folders over an open client. Prints diagnostics; *ret_result has the document of
 * definitions.apply on EXIT_OK. */
int apply_paths(struct context *context, const char *const *paths, size_t count, bool dry_run,
                value_t **ret_result);
/* {name, text} of each definition file below the paths, in order of name; then of what models name for
 * their rules and isn't among them {name, text, rules}, with `wrong` if it doesn't hold rules that are
 * right, or {name, unread} with the reason. ERR_NOT_FOUND names a path that isn't there. */
int read_definition_files(const char *const *paths, size_t count, value_t **ret_files,
                          struct err *err) MUST_CHECK;

/* Whether they can be sent: a file that a model names goes nowhere before it is known to hold rules. */
bool definition_files_may_leave(const value_t *files);

struct definitions;
struct diagnostics;
void parse_definition_files(const value_t *files, struct definitions *definitions,
                            struct diagnostics *diagnostics);

struct fetch_options {
    bool outputs; /* of the tasks, too */
    int timeout_ms; /* of each request */
};
/* The document of executions.get with all its tasks, blobs resolved; the caller's, also when it comes
 * with an error of a blob. */
int fetch_execution(client_t *client, const char *id, const struct fetch_options *options,
                    value_t **ret_execution, struct err *err) MUST_CHECK;

/* Called with the items of each page; anything but 0 ends the walk with that. */
typedef int (*fetch_page_fn)(void *context, const value_t *items, struct err *err);
struct journal_options {
    int64_t after; /* the last event that isn't wanted; 0: from the first one on */
    bool raw;      /* with the stored records */
    int timeout_ms; /* of each request */
};
/* Walks the journal of an execution, page by page, to its present end. */
int fetch_journal(client_t *client, const char *id, const struct journal_options *options,
                  fetch_page_fn call, void *argument, struct err *err) MUST_CHECK;

/* Follows an execution to its end, for as long as --timeout says, showing what happens after this
 * event of its journal (0: all of it) on standard error. Returns the exit status that tells its outcome; *ret_execution (the document of
 * executions.get with outputs) is the caller's when the execution ended. */
int follow_execution(struct context *context, const char *id, int64_t after,
                     enum lines_detail detail, value_t **ret_execution);
/* The exit status for a terminal execution document. */
int outcome_status(const value_t *execution);

#endif
