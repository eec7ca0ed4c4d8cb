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

/* A list of texts; an absent one is empty. */
static int get_texts(const value_t *map, const char *key, char ***ret_texts, size_t *ret_count,
                     struct err *err)
{
    const value_t *list = NULL;
    int code = get(map, key, VALUE_LIST, &list, err);
    size_t count = code == 0 && list ? value_size(list) : 0;
    char **texts = xcalloc(count + 1, sizeof *texts);
    *ret_texts = texts;
    *ret_count = count;
    for (size_t i = 0; i < count; i++) {
        if (value_type(value_at(list, i)) != VALUE_STRING)
            return wrong(err, key, "a list of texts");
        texts[i] = xstrdup(value_as_string(value_at(list, i)));
    }
    return code;
}

static int get_uint32(const value_t *map, const char *key, int64_t most, uint32_t *in_out,
                      struct err *err)
{
    int64_t number = *in_out;
    int code = get_int(map, key, 0, most, &number, err);
    *in_out = (uint32_t)number;
    return code;
}

static int get_uint64(const value_t *map, const char *key, uint64_t *in_out, struct err *err)
{
    int64_t number = (int64_t)*in_out;
    int code = get_int(map, key, 0, (int64_t)LIMIT_USAGE, &number, err);
    *in_out = (uint64_t)number;
    return code;
}

static int get_schema(const value_t *map, const char *key, value_t **ret_schema, struct err *err)
{
    const value_t *schema = NULL;
    int code = get(map, key, VALUE_MAP, &schema, err);
    if (code == 0 && schema)
        *ret_schema = value_ref(schema);
    return code;
}

static int get_argv(const value_t *map, const char *key, char ***ret_argv, struct err *err)
{
    size_t count = 0;
    int code = get_texts(map, key, ret_argv, &count, err);
    return code == 0 && count == 0 ? wrong(err, key, "a list that is not empty") : code;
}

static int compile_answers(const value_t *canonical, struct agent_def *self, struct err *err)
{
    const value_t *command = NULL;
    bool external = false;
    int code = get(canonical, "command", VALUE_LIST, &command, err);
    if (code == 0)
        code = get_text(canonical, "builtin", &self->builtin, err);
    if (code == 0)
        code = get_text(canonical, "model", &self->model, err);
    if (code == 0)
        code = get_bool(canonical, "external", &external, err);
    if (code != 0)
        return code;
    if ((command != NULL) + (self->builtin != NULL) + (self->model != NULL) + external != 1)
        return wrong(err, "agent", "answered by one of command, builtin, model or external");
    self->answers = command         ? AGENT_COMMAND
                    : self->builtin ? AGENT_BUILTIN
                    : self->model   ? AGENT_MODEL
                                    : AGENT_EXTERNAL;
    static const char *const BUILTINS[] = {"echo", "sleep", "fail", NULL};
    if (self->builtin && !contains(BUILTINS, self->builtin))
        return wrong(err, "builtin", "one of echo, sleep, fail");
    return command ? get_argv(canonical, "command", &self->argv, err) : 0;
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
    static const char *const KEYS[] = {"time_us", "turns",       "tokens",          "cost_microusd",
                                       "depth",   "delegations", "same_delegation", NULL};
    static const char *const TIME[] = {"time_us", NULL};
    const value_t *limits = NULL;
    bool may_delegate = self->answers == AGENT_MODEL || self->answers == AGENT_EXTERNAL;
    self->timeout_us = self->answers == AGENT_MODEL ? 0 : LIMIT_TIMEOUT_COMMAND_US;
    int code = get(canonical, "limits", VALUE_MAP, &limits, err);
    if (code == 0 && limits)
        code = check_keys(limits, "limits", may_delegate ? KEYS : TIME, err);
    if (code == 0)
        code = get_int(limits, "time_us", 1, LIMIT_TIME_MAX_US, &self->timeout_us, err);
    if (code == 0)
        code = get_uint32(limits, "turns", LIMIT_TURNS_MAX, &self->turns, err);
    if (code == 0)
        code = get_uint64(limits, "tokens", &self->tokens, err);
    if (code == 0)
        code = get_uint64(limits, "cost_microusd", &self->cost_microusd, err);
    if (code == 0)
        code = get_uint32(limits, "depth", LIMIT_DEPTH_MAX, &self->depth, err);
    if (code == 0)
        code = get_uint32(limits, "delegations", LIMIT_EXECUTION_TASKS, &self->delegations, err);
    if (code == 0)
        code = get_uint32(limits, "same_delegation", LIMIT_EXECUTION_TASKS, &self->same_delegation,
                          err);
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

/* --- models ------------------------------------------------------------------------------------
 */

/* One parameter, whose `required` says so of itself, as JSON Schema has it: among its object's. */
static void add_parameter(const value_t *schemas, size_t index, value_t *properties,
                          value_t *required)
{
    const char *name = value_key_at(schemas, index, NULL);
    value_t *schema = value_copy(value_member_at(schemas, index));
    const value_t *needed = value_get(schema, "required");
    bool is_needed = !value_get(schema, "default");
    if (needed && value_type(needed) == VALUE_BOOL) {
        is_needed = value_as_bool(needed);
        value_unset(schema, "required");
    }
    value_set(properties, name, &schema);
    value_t *text = is_needed ? value_string(name) : NULL;
    if (text)
        value_append(required, &text);
}

static int compile_parameters(const value_t *tool, struct agent_tool *self, struct err *err)
{
    const value_t *schemas = NULL;
    int code = get(tool, "parameters", VALUE_MAP, &schemas, err);
    if (code != 0 || (!schemas && self->input == TOOL_INPUT_JSON))
        return code;
    for (size_t i = 0; schemas && i < value_size(schemas); i++)
        if (value_type(value_member_at(schemas, i)) != VALUE_MAP)
            return wrong(err, "parameters", "an object of schemas");
    value_t *object = value_map(), *properties = value_map(), *required = value_list();
    for (size_t i = 0; schemas && i < value_size(schemas); i++)
        add_parameter(schemas, i, properties, required);
    if (!schemas && self->input == TOOL_INPUT_STDIN) {
        value_t *input = value_map(), *name = value_string("input");
        value_set_string(input, "type", "string");
        value_set(properties, "input", &input);
        value_append(required, &name);
    }
    value_set_string(object, "type", "object");
    value_set(object, "properties", &properties);
    value_set(object, "required", &required);
    self->parameters = object;
    return 0;
}

static int compile_tool_input(const value_t *tool, struct agent_tool *self, struct err *err)
{
    const value_t *input = NULL;
    int code = get(tool, "input", VALUE_STRING, &input, err);
    const char *text = code == 0 && input ? value_as_string(input) : "json";
    if (strcmp(text, "stdin") == 0)
        self->input = TOOL_INPUT_STDIN;
    else if (strcmp(text, "none") == 0)
        self->input = TOOL_INPUT_NONE;
    else if (strcmp(text, "json") != 0)
        return wrong(err, "input", "one of json, stdin, none");
    return code;
}

static int compile_repeat(const value_t *tool, const struct agent_def *agent,
                          struct agent_tool *self, struct err *err)
{
    const value_t *repeat = NULL;
    int code = get(tool, "repeat", VALUE_STRING, &repeat, err);
    if (code == 0 && repeat && strcmp(value_as_string(repeat), "safe") != 0)
        return wrong(err, "repeat", "\"safe\"");
    self->repeat_safe = repeat || contains((const char *const *)agent->repeat_tools, self->name);
    return code;
}

static int compile_tool(const value_t *item, const struct agent_def *agent, struct agent_tool *self,
                        struct err *err)
{
    static const char *const KINDS[] = {"command", NULL};
    static const char *const KEYS[] = {"name",   "about",      "argv",    "input", "parameters",
                                       "repeat", "timeout_us", "network", NULL};
    const value_t *tool = NULL;
    if (value_type(item) != VALUE_MAP)
        return wrong(err, "tools", "a list of objects");
    int code = check_keys(item, "tools", KINDS, err);
    if (code == 0)
        code = get(item, "command", VALUE_MAP, &tool, err);
    if (code == 0 && !tool)
        code = wrong(err, "tools", "a list of commands");
    if (code == 0)
        code = check_keys(tool, "tools.command", KEYS, err);
    if (code == 0)
        code = get_text(tool, "name", &self->name, err);
    if (code == 0 && (!self->name || strlen(self->name) > LIMIT_NAME_BYTES))
        code = wrong(err, "tools.command.name", "a name");
    if (code == 0)
        code = get_text(tool, "about", &self->about, err);
    if (code == 0)
        code = get_argv(tool, "argv", &self->argv, err);
    if (code == 0)
        code = compile_tool_input(tool, self, err);
    if (code == 0)
        code = compile_parameters(tool, self, err);
    if (code == 0)
        code = compile_repeat(tool, agent, self, err);
    if (code == 0)
        code = get_int(tool, "timeout_us", 1, LIMIT_TIME_MAX_US, &self->timeout_us, err);
    if (code == 0)
        code = get_bool(tool, "network", &self->network, err);
    if (!self->about)
        self->about = xstrdup("");
    return code;
}

static int compile_tools(const value_t *canonical, struct agent_def *self, struct err *err)
{
    const value_t *tools = NULL;
    int code = get(canonical, "tools", VALUE_LIST, &tools, err);
    if (code != 0 || !tools)
        return code;
    if (value_size(tools) > LIMIT_TOOLS)
        return wrong(err, "tools", "a list within its limits");
    self->tools = xcalloc(value_size(tools) + 1, sizeof *self->tools);
    for (size_t i = 0; code == 0 && i < value_size(tools); i++)
        code = compile_tool(value_at(tools, i), self, &self->tools[self->tools_count++], err);
    return code;
}

static int compile_price(const value_t *canonical, struct agent_def *self, struct err *err)
{
    static const char *const KEYS[] = {"input_microusd", "output_microusd", NULL};
    const value_t *price = NULL;
    int code = get(canonical, "price", VALUE_MAP, &price, err);
    if (code == 0 && price)
        code = check_keys(price, "price", KEYS, err);
    if (code == 0)
        code = get_uint64(price, "input_microusd", &self->input_price, err);
    if (code == 0)
        code = get_uint64(price, "output_microusd", &self->output_price, err);
    return code;
}

/* What only a model's agent may have has no meaning elsewhere. */
static int check_model_keys(const value_t *canonical, const struct agent_def *self, struct err *err)
{
    static const char *const KEYS[] = {"rules",        "instructions", "max_tokens", "tools",
                                       "repeat_tools", "output",       "price",      NULL};
    for (size_t i = 0; KEYS[i] && self->answers != AGENT_MODEL; i++)
        if (value_get(canonical, KEYS[i]))
            return wrong(err, KEYS[i], "absent without a model");
    if (value_get(canonical, "delegates") && self->answers != AGENT_MODEL &&
        self->answers != AGENT_EXTERNAL)
        return wrong(err, "delegates", "absent without a model");
    return 0;
}

static int compile_model(const value_t *canonical, struct agent_def *self, struct err *err)
{
    size_t count = 0;
    int code = check_model_keys(canonical, self, err);
    if (code == 0)
        code = get_texts(canonical, "delegates", &self->delegates, &self->delegates_count, err);
    if (code == 0)
        code = get_texts(canonical, "repeat_tools", &self->repeat_tools, &count, err);
    if (code == 0)
        code = get_text(canonical, "instructions", &self->instructions, err);
    if (code == 0)
        code = get_uint32(canonical, "max_tokens", LIMIT_MODEL_TOKENS_MAX, &self->max_tokens, err);
    if (code == 0)
        code = compile_tools(canonical, self, err);
    if (code == 0)
        code = get_schema(canonical, "output", &self->output, err);
    if (code == 0)
        code = get_schema(canonical, "rules", &self->rules, err);
    return code == 0 ? compile_price(canonical, self, err) : code;
}

/* --- agents ------------------------------------------------------------------------------------
 */

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
    static const char *const KEYS[] = {
        "agent",   "about", "command", "builtin",      "external",   "rerun", "limits",
        "process", "env",   "model",   "instructions", "max_tokens", "tools", "repeat_tools",
        "rules",   "price", "output",  "delegates",    NULL};
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
    if (code == 0)
        code = compile_model(canonical, self, err);
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
    if (!self->instructions)
        self->instructions = xstrdup("");
    *ret_agent = self;
    return 0;
}

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

static void release_tool(struct agent_tool *self)
{
    free(self->name);
    free(self->about);
    free_list(self->argv);
    value_destroy(&self->parameters);
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
    free(self->model);
    free(self->instructions);
    free_list(self->delegates);
    free_list(self->repeat_tools);
    value_destroy(&self->output);
    value_destroy(&self->rules);
    for (size_t i = 0; i < self->tools_count; i++)
        release_tool(&self->tools[i]);
    free(self->tools);
    free(self);
    *self_p = NULL;
}

/* Without going back further than to the last `*`: at most the product of both lengths. */
bool agent_name_fits(const char *glob, const char *name)
{
    const char *star = NULL, *resume = NULL;
    while (*name) {
        if (*glob == '*') {
            star = glob++;
            resume = name;
        } else if (*glob == '?' || *glob == *name) {
            glob++;
            name++;
        } else if (star) {
            glob = star + 1;
            name = ++resume;
        } else {
            return false;
        }
    }
    while (*glob == '*')
        glob++;
    return *glob == '\0';
}
