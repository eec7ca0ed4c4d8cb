#include "agentd/outcome.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_file(const char *path)
{
    struct stat stat_of;
    return stat(path, &stat_of) == 0 && S_ISREG(stat_of.st_mode);
}

/* Takes the path: it is the result, or freed. */
static int check_executable(char *path, char **ret_program, struct err *err)
{
    int rc = 0;
    if (!is_file(path)) {
        rc = err_set(err, ERR_NOT_FOUND, "the command's program does not exist");
        err_where(err, "%s", path);
        err_fix(err, "put it there, start with another --agents directory, or correct `command`");
    } else if (access(path, X_OK) < 0) {
        rc = err_set(err, ERR_NOT_ALLOWED, "the command's program can't be executed: %s",
                     strerror(errno));
        err_where(err, "%s", path);
        err_fix(err, "make it executable: chmod +x");
    }
    if (rc)
        free(path);
    else
        *ret_program = path;
    return rc;
}

static char *search(const char *name, const char *search_path)
{
    for (const char *at = search_path; *at;) {
        size_t size = strcspn(at, ":");
        char *path = xasprintf("%.*s/%s", (int)size, at, name);
        if (path[0] == '/' && is_file(path) && access(path, X_OK) == 0)
            return path;
        free(path);
        at += size + (at[size] == ':');
    }
    return NULL;
}

int outcome_find_program(const char *argv0, const char *agents_dir, const char *search_path,
                         char **ret_program, struct err *err)
{
    if (argv0[0] == '/')
        return check_executable(xstrdup(argv0), ret_program, err);
    char *below = agents_dir ? xasprintf("%s/%s", agents_dir, argv0) : NULL;
    if (below && (strchr(argv0, '/') || is_file(below)))
        return check_executable(below, ret_program, err);
    free(below);
    if (strchr(argv0, '/')) {
        (void)err_set(err, ERR_NOT_FOUND, "the command's program has a relative path");
        err_where(err, "%s", argv0);
        err_fix(err, "start agentd with --agents DIR, which it is relative to");
        return ERR_NOT_FOUND;
    }
    *ret_program = search(argv0, search_path);
    if (*ret_program)
        return 0;
    (void)err_set(err, ERR_NOT_FOUND,
                  "the command's program \"%s\" is neither in the agents' "
                  "directory nor in PATH",
                  argv0);
    err_where(err, "%s%sPATH=%s", agents_dir ? agents_dir : "", agents_dir ? ", " : "",
              search_path);
    err_fix(err, "install it, put it into the agents' directory, or correct `command`");
    return ERR_NOT_FOUND;
}

static int add_reference(char **env, size_t *count, const char *entry, const char *equals,
                         struct err *err)
{
    int name_size = (int)(equals - entry);
    if (strncmp(equals + 1, "env:", 4) != 0) {
        env[(*count)++] = xstrdup(entry);
        return 0;
    }
    const char *other = equals + 5;
    const char *value = getenv(other);
    if (!value) {
        (void)err_set(err, ERR_INVALID,
                      "the environment variable %s, which the agent's `env` "
                      "refers to, is not set",
                      other);
        err_where(err, "env.%.*s", name_size, entry);
        err_fix(err, "set it where hostd or agentd is started");
        return ERR_INVALID;
    }
    env[(*count)++] = xasprintf("%.*s=%s", name_size, entry, value);
    return 0;
}

/* Names that a definition sets itself win over those that all commands get. */
static bool is_set(char *const *definition_env, const char *entry)
{
    size_t size = strcspn(entry, "=") + 1;
    for (size_t i = 0; definition_env && definition_env[i]; i++)
        if (strncmp(definition_env[i], entry, size) == 0)
            return true;
    return false;
}

static void add_common(char **env, size_t *count, const struct outcome_task *task,
                       const char *agents_dir, char *const *definition_env)
{
    char text[TYPEID_TEXT_SIZE];
    const char *path = getenv("PATH");
    char *common[] = {
        xasprintf("PATH=%s", path && path[0] ? path : "/usr/local/bin:/usr/bin:/bin"),
        xstrdup("LANG=C.UTF-8"),
        xasprintf("AF_EXECUTION=%s", typeid_text("exec", task->execution, text)),
        xasprintf("AF_TASK=%s", task->path),
        xasprintf("AF_ATTEMPT=%u", task->attempt),
        xasprintf("AF_AGENT=%s", task->agent),
        agents_dir ? xasprintf("AF_AGENTS_DIR=%s", agents_dir) : NULL,
        getenv("TZ") ? xasprintf("TZ=%s", getenv("TZ")) : NULL,
    };
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++) {
        if (common[i] && !is_set(definition_env, common[i]))
            env[(*count)++] = common[i];
        else
            free(common[i]);
    }
}

int outcome_env(const struct outcome_task *task, const char *agents_dir,
                char *const *definition_env, char ***ret_env, struct err *err)
{
    size_t own = 0;
    while (definition_env && definition_env[own])
        own++;
    char **env = xcalloc(own + 9, sizeof env[0]);
    size_t count = 0;
    add_common(env, &count, task, agents_dir, definition_env);
    int rc = 0;
    for (size_t i = 0; !rc && i < own; i++) {
        const char *equals = strchr(definition_env[i], '=');
        if (equals)
            rc = add_reference(env, &count, definition_env[i], equals, err);
    }
    if (rc)
        outcome_free_strings(&env);
    else
        *ret_env = env;
    return rc;
}

void outcome_free_strings(char ***strings_p)
{
    for (size_t i = 0; *strings_p && (*strings_p)[i]; i++)
        free((*strings_p)[i]);
    free(*strings_p);
    *strings_p = NULL;
}

char **outcome_argv(char *const *argv, const char *agents_dir)
{
    size_t count = 0;
    while (argv[count])
        count++;
    char **all = xcalloc(count + 1, sizeof all[0]);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && agents_dir && strncmp(argv[i], "./", 2) == 0)
            all[i] = xasprintf("%s/%s", agents_dir, argv[i] + 2);
        else
            all[i] = xstrdup(argv[i]);
    }
    return all;
}
