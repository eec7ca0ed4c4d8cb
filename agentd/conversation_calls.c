/* The calls of a turn: whose they are, and whether they make sense. */
#include "agentd/conversation_core.h"
#include "base/limits.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tools that the coordinator answers, and their arguments as JSON Schema. */
struct builtin_tool {
    const char *name, *about, *parameters;
    bool delegates; /* only for agents that may delegate */
};
static const struct builtin_tool BUILTINS[] = {
    {"delegate_to_agent",
     "Asks another agent to do a part of the work and gives its answer. Several in one turn work "
     "at "
     "the same time.",
     "{\"type\":\"object\",\"properties\":{"
     "\"agent\":{\"type\":\"string\",\"description\":\"The agent's name\"},"
     "\"message\":{\"description\":\"What it is to do: a text, or any value that it expects\"},"
     "\"context\":{\"description\":\"What it should know for that\"},"
     "\"hand_off\":{\"type\":\"boolean\","
     "\"description\":\"Its answer is to be your answer, and your last word\"}},"
     "\"required\":[\"agent\",\"message\"]}",
     true},
    {"list_agents", "Lists the agents that you may delegate to, and what each is for.",
     "{\"type\":\"object\",\"properties\":{},\"required\":[]}", true},
    {"context_get",
     "Reads the context that all tasks of this execution share: the whole of it, or what is at a "
     "path.",
     "{\"type\":\"object\",\"properties\":{"
     "\"path\":{\"type\":\"string\",\"description\":\"Such as a.b[0]\"}},\"required\":[]}",
     false},
    {"context_set",
     "Changes the context that all tasks of this execution share, by a JSON merge patch: members "
     "replace those of the same name, null removes one.",
     "{\"type\":\"object\",\"properties\":{"
     "\"patch\":{\"type\":\"object\",\"description\":\"The merge patch\"}},"
     "\"required\":[\"patch\"]}",
     false},
};
enum { BUILTINS_COUNT = sizeof BUILTINS / sizeof BUILTINS[0] };

static const struct builtin_tool *find_builtin(const char *name)
{
    for (size_t i = 0; i < BUILTINS_COUNT; i++)
        if (strcmp(BUILTINS[i].name, name) == 0)
            return &BUILTINS[i];
    return NULL;
}

static bool is_offered(const struct builtin_tool *tool, const struct agent_def *def)
{
    return !tool->delegates || def->delegates_count > 0;
}

static value_t *schema_of(const struct builtin_tool *tool)
{
    value_t *schema = NULL;
    CHECK(value_from_json(tool->parameters, strlen(tool->parameters), &schema, NULL) == 0);
    return schema;
}

/* Consumes the schema. */
static void append_tool(value_t *list, const char *name, const char *about, value_t **parameters_p)
{
    value_t *tool = value_map();
    value_set_string(tool, "name", name);
    value_set_string(tool, "about", about ? about : "");
    value_set(tool, "parameters", parameters_p);
    value_append(list, &tool);
}

static value_t *any_object(void)
{
    value_t *schema = value_map();
    value_set_string(schema, "type", "object");
    return schema;
}

value_t *tools_document(const struct agent_def *def)
{
    value_t *list = value_list();
    for (size_t i = 0; i < BUILTINS_COUNT; i++) {
        if (!is_offered(&BUILTINS[i], def))
            continue;
        value_t *schema = schema_of(&BUILTINS[i]);
        append_tool(list, BUILTINS[i].name, BUILTINS[i].about, &schema);
    }
    for (size_t i = 0; i < def->tools_count; i++) {
        const struct agent_tool *tool = &def->tools[i];
        value_t *schema = tool->parameters ? value_ref(tool->parameters) : any_object();
        append_tool(list, tool->name, tool->about, &schema);
    }
    return list;
}

/* --- a turn --------------------------------------------------------------------------------------
 */

static int wrong_turn(struct err *err, const char *what)
{
    return err_set(err, ERR_MALFORMED, "the model's turn is not valid: %s", what);
}

static int init_call(struct call *self, const value_t *value, struct err *err)
{
    const value_t *tool = value_get(value, "tool");
    if (!tool || value_type(tool) != VALUE_STRING)
        return wrong_turn(err, "a call names no tool");
    if (value_size(tool) > LIMIT_TOOL_NAME_BYTES ||
        strlen(value_as_string(tool)) != value_size(tool))
        return wrong_turn(err, "a call's tool has a name that is too long or holds a NUL");
    self->tool = value_as_string(tool);
    const value_t *arguments = value_get(value, "arguments");
    self->arguments = arguments && value_type(arguments) != VALUE_NULL ? arguments : NULL;
    self->ours = find_builtin(self->tool) != NULL;
    return 0;
}

static int init_calls(struct turn *self, const value_t *calls, struct err *err)
{
    if (!calls || value_type(calls) == VALUE_NULL)
        return 0;
    if (value_type(calls) != VALUE_LIST)
        return wrong_turn(err, "its calls are no list");
    if (value_size(calls) > LIMIT_TURN_CALLS)
        return wrong_turn(err, "it has too many calls");
    if (!value_size(calls))
        return 0;
    self->calls_count = value_size(calls);
    self->calls = xcalloc(self->calls_count, sizeof *self->calls);
    for (size_t i = 0; i < self->calls_count; i++) {
        int rc = init_call(&self->calls[i], value_at(calls, i), err);
        if (rc)
            return rc;
    }
    return 0;
}

int turn_init(struct turn *self, uint32_t number, value_t **value_p, struct err *err)
{
    *self = (struct turn){.number = number, .value = *value_p};
    *value_p = NULL;
    int rc = value_type(self->value) == VALUE_MAP
                 ? init_calls(self, value_get(self->value, "calls"), err)
                 : wrong_turn(err, "it is no object");
    if (rc)
        turn_release(self);
    return rc;
}

void turn_release(struct turn *self)
{
    for (size_t i = 0; i < self->calls_count; i++) {
        value_destroy(&self->calls[i].filled);
        result_release(&self->calls[i].result);
    }
    free(self->calls);
    result_release(&self->correction);
    value_destroy(&self->value);
    *self = (struct turn){0};
}

bool turn_is_ours(const struct turn *self)
{
    for (size_t i = 0; i < self->calls_count; i++)
        if (self->calls[i].ours)
            return true;
    return false;
}

/* --- a call --------------------------------------------------------------------------------------
 */

static void refuse(struct call *self, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void refuse(struct call *self, const char *code, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    self->kind = CALL_WRONG;
    result_set_error(&self->result, code, text);
}

static void refuse_unknown(struct call *self, const struct agent_def *def)
{
    struct buf names = {0};
    for (size_t i = 0; i < BUILTINS_COUNT; i++)
        if (is_offered(&BUILTINS[i], def))
            buf_printf(&names, "%s%s", names.size ? ", " : "", BUILTINS[i].name);
    for (size_t i = 0; i < def->tools_count; i++)
        buf_printf(&names, "%s%s", names.size ? ", " : "", def->tools[i].name);
    refuse(self, "unknown_tool", "there is no tool \"%s\"; there are %.800s", self->tool,
           buf_string(&names));
    buf_release(&names);
}

/* Whether the arguments fit; else the call has its error. */
static bool check_arguments(struct call *self, const value_t *schema, const value_t *arguments)
{
    struct err err = {0};
    int rc = schema_check_value(schema, arguments, &err);
    if (rc && err.where[0])
        refuse(self, "invalid_arguments", "the argument %s of %s %s", err.where, self->tool,
               err.what);
    else if (rc)
        refuse(self, "invalid_arguments", "the arguments of %s are not right: it %s", self->tool,
               err.what);
    return rc == 0;
}

/* A name that a built-in tool doesn't know may be meant for something: it is not passed over. */
static bool check_names(struct call *self, const value_t *schema)
{
    const value_t *properties = value_get(schema, "properties");
    struct buf names = {0};
    bool right = true;
    for (size_t i = 0; i < value_size(properties); i++)
        buf_printf(&names, "%s%s", i ? ", " : "", value_key_at(properties, i, NULL));
    size_t given = self->arguments ? value_size(self->arguments) : 0;
    for (size_t i = 0; right && i < given; i++) {
        const char *name = value_key_at(self->arguments, i, NULL);
        right = value_get(properties, name) != NULL;
        if (!right)
            refuse(self, "invalid_arguments", "%s has no argument \"%.64s\"; it takes %s",
                   self->tool, name, names.size ? buf_string(&names) : "none");
    }
    buf_release(&names);
    return right;
}

static size_t packed_size(const value_t *value)
{
    struct buf bytes = {0};
    if (value)
        value_to_msgpack(value, &bytes);
    size_t size = bytes.size;
    buf_release(&bytes);
    return size;
}

/* A delegation's message and context reach the other agent as one value. */
enum { ENVELOPE_BYTES = 32 };

static bool check_size(struct call *self)
{
    size_t size = self->kind == CALL_DELEGATE
                      ? packed_size(value_get(self->arguments, "message")) +
                            packed_size(value_get(self->arguments, "context")) + ENVELOPE_BYTES
                      : packed_size(self->arguments);
    if (size > LIMIT_INLINE_BYTES)
        refuse(self, "too_large", "the arguments of %s have %zu bytes; the most is %u", self->tool,
               size, LIMIT_INLINE_BYTES);
    return size <= LIMIT_INLINE_BYTES;
}

static void check_agent(struct call *self)
{
    const value_t *agent = value_get(self->arguments, "agent");
    size_t size = value_size(agent);
    if (!size || size > LIMIT_NAME_BYTES || strlen(value_as_string(agent)) != size)
        refuse(self, "invalid_arguments",
               "the argument agent of %s must be the name of an agent, of at most %d characters",
               self->tool, LIMIT_NAME_BYTES);
}

static void judge_builtin(struct call *self, const struct builtin_tool *tool)
{
    value_t *schema = schema_of(tool), *empty = value_map();
    const value_t *arguments = self->arguments ? self->arguments : empty;
    self->kind = strcmp(tool->name, "delegate_to_agent") == 0 ? CALL_DELEGATE : CALL_TOOL;
    if (check_arguments(self, schema, arguments) && check_names(self, schema) && check_size(self) &&
        self->kind == CALL_DELEGATE)
        check_agent(self);
    value_destroy(&schema);
    value_destroy(&empty);
}

/* With the defaults of those that are not given. */
static value_t *fill(const value_t *arguments, const value_t *schema)
{
    value_t *filled = arguments ? value_copy(arguments) : value_map();
    const value_t *properties = schema ? value_get(schema, "properties") : NULL;
    for (size_t i = 0; properties && i < value_size(properties); i++) {
        const char *name = value_key_at(properties, i, NULL);
        const value_t *fallback = value_get(value_member_at(properties, i), "default");
        if (!fallback || value_get(filled, name))
            continue;
        value_t *copy = value_copy(fallback);
        value_set(filled, name, &copy);
    }
    return filled;
}

static void judge_command(struct call *self, const struct agent_tool *tool)
{
    self->kind = CALL_COMMAND;
    self->command = tool;
    if (self->arguments && value_type(self->arguments) != VALUE_MAP) {
        refuse(self, "invalid_arguments", "the arguments of %s must be an object, not %s",
               self->tool, value_type_name(value_type(self->arguments)));
        return;
    }
    value_destroy(&self->filled);
    self->filled = fill(self->arguments, tool->parameters);
    if (tool->parameters)
        (void)check_arguments(self, tool->parameters, self->filled);
}

void call_judge(struct call *self, const struct agent_def *def)
{
    const struct builtin_tool *builtin = find_builtin(self->tool);
    if (builtin) {
        judge_builtin(self, builtin);
        return;
    }
    for (size_t i = 0; i < def->tools_count; i++) {
        if (strcmp(def->tools[i].name, self->tool) == 0) {
            judge_command(self, &def->tools[i]);
            return;
        }
    }
    refuse_unknown(self, def);
}
