/* Compiles an agent's canonical form. It stands apart from the rest of the module, and needs base/
 * alone, because agentd links it. */
#include "base/clock.h"
#include "base/limits.h"
#include "definitions/definitions.h"
#include <stdlib.h>
#include <string.h>

static int wrong(struct err *err, const char *where, const char *needs)
{
    int code = err_set(err, ERR_INVALID, "the stored agent definition is not valid: %s must be %s",
                       where, needs);
    err_where(err, "%s", where);
    err_fix(err, "apply the definition again with this version");
    return code;
}

static bool contains(const char *const *names, const char *name)
{
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* A key that this version doesn't know may change what the agent means: never pass it over. */
static int check_keys(const value_t *map, const char *where, const char *const *known,
                      struct err *err)
{
    for (size_t i = 0; i < value_size(map); i++) {
        const char *key = value_key_at(map, i, NULL);
        if (contains(known, key))
            continue;
        int code = err_set(err, ERR_UNSUPPORTED,
                           "the stored agent definition uses \"%.64s\", which this version does "
                           "not run",
                           key);
        err_where(err, "%s%s%.64s", where, *where ? "." : "", key);
        err_fix(err, "upgrade this program, or apply a definition without it");
        return code;
    }
    return 0;
}

/* Gives an absent key's value as NULL. */
static int get(const value_t *map, const char *key, enum value_type type, const value_t **ret_value,
               struct err *err)
{
    const value_t *value = map ? value_get(map, key) : NULL;
    if (value && value_type(value) != type)
        return wrong(err, key, value_type_name(type));
    *ret_value = value;
    return 0;
}

static int get_int(const value_t *map, const char *key, int64_t least, int64_t most,
                   int64_t *in_out, struct err *err)
{
    const value_t *value = NULL;
    int code = get(map, key, VALUE_INT, &value, err);
    if (code != 0 || !value)
        return code;
    int64_t number = value_as_int(value);
    if (number < least || number > most)
        return wrong(err, key, "within its limits");
    *in_out = number;
    return 0;
}

static int get_bool(const value_t *map, const char *key, bool *in_out, struct err *err)
{
    const value_t *value = NULL;
    int code = get(map, key, VALUE_BOOL, &value, err);
    if (code == 0 && value)
        *in_out = value_as_bool(value);
    return code;
}

static int get_text(const value_t *map, const char *key, char **ret_text, struct err *err)
{
    const value_t *value = NULL;
    int code = get(map, key, VALUE_STRING, &value, err);
    if (code == 0 && value)
        *ret_text = xstrdup(value_as_string(value));
    return code;
}

static int compile_argv(const value_t *command, struct agent_def *self, struct err *err)
{
    size_t count = value_size(command);
    if (count == 0)
        return wrong(err, "command", "a list that is not empty");
    self->argv = xcalloc(count + 1, sizeof *self->argv);
    for (size_t i = 0; i < count; i++) {
        const value_t *item = value_at(command, i);
        if (value_type(item) != VALUE_STRING)
            return wrong(err, "command", "a list of texts");
        self->argv[i] = xstrdup(value_as_string(item));
    }
    return 0;
}

static int compile_answers(const value_t *canonical, struct agent_def *self, struct err *err)
{
    const value_t *command = NULL;
    bool external = false;
    int code = get(canonical, "command", VALUE_LIST, &command, err);
    if (code == 0)
        code = get_text(canonical, "builtin", &self->builtin, err);
    if (code == 0)
        code = get_bool(canonical, "external", &external, err);
    if (code != 0)
        return code;
    if ((command != NULL) + (self->builtin != NULL) + external != 1)
        return wrong(err, "agent", "answered by one of command, builtin or external");
    self->answers = command ? AGENT_COMMAND : self->builtin ? AGENT_BUILTIN : AGENT_EXTERNAL;
    static const char *const BUILTINS[] = {"echo", "sleep", "fail", NULL};
    if (self->builtin && !contains(BUILTINS, self->builtin))
        return wrong(err, "builtin", "one of echo, sleep, fail");
    return command ? compile_argv(command, self, err) : 0;
}

static int compile_process(const value_t *canonical, struct agent_def *self, struct err *err)
{
    static const char *const KEYS[] = {"instances_min", "instances_max", "parallel", "memory_bytes",
                                       "idle_us",       "network",       NULL};
    const value_t *process = NULL;
    int64_t least = 1, most = 1, memory = (int64_t)LIMIT_COMMAND_MEMORY_BYTES;
    int64_t parallel =
        self->answers == AGENT_COMMAND ? LIMIT_PARALLEL_COMMAND : LIMIT_PARALLEL_MODEL;
    int code = get(canonical, "process", VALUE_MAP, &process, err);
    if (code == 0 && process)
        code = check_keys(process, "process", KEYS, err);
    if (code == 0)
        code = get_int(process, "instances_min", 0, LIMIT_INSTANCES, &least, err);
    if (code == 0)
        code = get_int(process, "instances_max", 1, LIMIT_INSTANCES, &most, err);
    if (code == 0)
        code = get_int(process, "parallel", 1, LIMIT_PARALLEL, &parallel, err);
    if (code == 0)
        code = get_int(process, "memory_bytes", LIMIT_PROCESS_MEMORY_MIN_BYTES,
                       LIMIT_PROCESS_MEMORY_MAX_BYTES, &memory, err);
    if (code == 0)
        code = get_int(process, "idle_us", 0, LIMIT_TIME_MAX_US, &self->idle_us, err);
    if (code == 0)
        code = get_bool(process, "network", &self->network, err);
    if (code == 0 && least > most)
        code = wrong(err, "process.instances_min", "at most instances_max");
    self->instances_min = (uint32_t)least;
    self->instances_max = (uint32_t)most;
    self->parallel = (uint32_t)parallel;
    self->memory_bytes = (uint64_t)memory;
    return code;
}

static int compile_limits(const value_t *canonical, struct agent_def *self, struct err *err)
{
    static const char *const KEYS[] = {"time_us", NULL};
    const value_t *limits = NULL;
    self->timeout_us = LIMIT_TIMEOUT_COMMAND_US;
    int code = get(canonical, "limits", VALUE_MAP, &limits, err);
    if (code == 0 && limits)
        code = check_keys(limits, "limits", KEYS, err);
    if (code == 0)
        code = get_int(limits, "time_us", 1, LIMIT_TIME_MAX_US, &self->timeout_us, err);
    return code;
}

static int compile_env(const value_t *canonical, struct agent_def *self, struct err *err)
{
    const value_t *env = NULL;
    int code = get(canonical, "env", VALUE_MAP, &env, err);
    if (code != 0)
        return code;
    size_t count = env ? value_size(env) : 0;
    self->env = xcalloc(count + 1, sizeof *self->env);
    for (size_t i = 0; i < count; i++) {
        const value_t *text = value_member_at(env, i);
        if (value_type(text) != VALUE_STRING)
            return wrong(err, "env", "an object of texts");
        self->env[i] = xasprintf("%s=%s", value_key_at(env, i, NULL), value_as_string(text));
    }
    return 0;
}

static int compile_rerun(const value_t *canonical, struct agent_def *self, struct err *err)
{
    const value_t *rerun = NULL;
    int code = get(canonical, "rerun", VALUE_STRING, &rerun, err);
    if (code != 0 || !rerun)
        return code;
    if (strcmp(value_as_string(rerun), "never") != 0)
        return wrong(err, "rerun", "\"never\"");
    self->rerun_never = true;
    return 0;
}

static int compile(const value_t *canonical, struct agent_def *self, struct err *err)
{
    static const char *const KEYS[] = {"agent", "about",  "command", "builtin", "external",
                                       "rerun", "limits", "process", "env",     NULL};
    if (!canonical || value_type(canonical) != VALUE_MAP)
        return wrong(err, "agent", "an object");
    int code = check_keys(canonical, "", KEYS, err);
    if (code == 0)
        code = get_text(canonical, "agent", &self->name, err);
    if (code == 0)
        code = get_text(canonical, "about", &self->about, err);
    if (code == 0 && !self->name)
        code = wrong(err, "agent", "the agent's name");
    if (code == 0)
        code = compile_answers(canonical, self, err);
    if (code == 0)
        code = compile_process(canonical, self, err);
    if (code == 0)
        code = compile_limits(canonical, self, err);
    if (code == 0)
        code = compile_env(canonical, self, err);
    return code == 0 ? compile_rerun(canonical, self, err) : code;
}

int agent_compile(const value_t *canonical, struct agent_def **ret_agent, struct err *err)
{
    struct agent_def *self = xcalloc(1, sizeof *self);
    int code = compile(canonical, self, err);
    if (code != 0) {
        agent_def_destroy(&self);
        return code;
    }
    if (!self->about)
        self->about = xstrdup("");
    *ret_agent = self;
    return 0;
}

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void agent_def_destroy(struct agent_def **self_p)
{
    struct agent_def *self = *self_p;
    if (!self)
        return;
    free(self->name);
    free(self->about);
    free(self->builtin);
    free_list(self->argv);
    free_list(self->env);
    free(self);
    *self_p = NULL;
}
