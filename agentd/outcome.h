/* What goes into a command and what comes out of it: the task as one line of JSON, and the meaning
 * of output, exit status and standard error. Pure. */
#ifndef AF_AGENTD_OUTCOME_H
#define AF_AGENTD_OUTCOME_H

#include "agentd/command.h"
#include "base/datum.h"
#include "base/typeid.h"
#include "definitions/definitions.h"
#include "proto/wire.h"

struct outcome_task {
    struct uuid execution;
    const char *path, *workflow, *agent;
    uint32_t attempt;
    struct bytes message;  /* MessagePack; empty: null */
    int64_t deadline_us;   /* UTC; 0: none */
};
/* {"execution","workflow","task","attempt","agent","message","deadline"} and a newline. */
int outcome_input(const struct outcome_task *task, struct buf *out, struct err *err) MUST_CHECK;

/* A failure in the making; texts are made valid UTF-8 and cut by outcome_failure. */
struct outcome {
    bool failed, permanent;
    const char *code;
    struct buf message, detail;
    struct buf output; /* MessagePack, unless failed */
};
void outcome_release(struct outcome *self);
void outcome_fail(struct outcome *self, const char *code, bool permanent, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* As outcome_fail with "what (where): fix"; the code is the error's own name. */
void outcome_fail_err(struct outcome *self, bool permanent, const struct err *err);

/* argv0 and memory_bytes are for messages. An end that was ours to cause (timeout, drop) is judged
 * by the caller. */
void outcome_of_command(const struct command_end *end, const char *program, uint64_t memory_bytes,
                        struct outcome *ret_outcome);
/* The same of a tool's command: what is neither a JSON object nor a list is text. */
void outcome_of_tool(const struct command_end *end, const char *program, uint64_t memory_bytes,
                     struct outcome *ret_outcome);
/* Adds the last lines of standard error. */
void outcome_detail(struct outcome *self, struct bytes error_tail);

/* Where a command's program is, as an absolute path that the caller frees: with a slash, or found in
 * the agents' directory, it is below that directory; else it is looked up in PATH. ERR_NOT_FOUND and
 * ERR_NOT_ALLOWED name the path and the remedy. */
int outcome_find_program(const char *argv0, const char *agents_dir, const char *search_path,
                         char **ret_program, struct err *err) MUST_CHECK;

/* The environment of a task's command: NULL-terminated, to be freed with outcome_free_strings.
 * ERR_INVALID names a variable that the definition refers to and that is not set. */
int outcome_env(const struct outcome_task *task, const char *agents_dir,
                char *const *definition_env, char ***ret_env, struct err *err) MUST_CHECK;
/* The arguments: those that begin with "./" are relative to the agents' directory, as argv[0] is. */
char **outcome_argv(char *const *argv, const char *agents_dir);
void outcome_free_strings(char ***strings_p);

#endif
