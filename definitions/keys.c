#include "definitions/keys.h"

#include "base/clock.h"
#include "base/limits.h"
#include <string.h>

#define COUNT(array)     (sizeof(array) / sizeof(array)[0])
#define DURATION         TYPE_DURATION, .least = 1, .most = (double)LIMIT_TIME_MAX_US
#define LATER(the_shape) TYPE_OTHER, .shape = (the_shape), .later = true

static const char *const BUILTINS[] = {"echo", "sleep", "fail", NULL};
static const char *const RERUNS[] = {"never", NULL};
static const char *const JOINS[] = {"all", "any", "done", NULL};
static const char *const ON_ERRORS[] = {"fail", "continue", NULL};
static const char *const WHEN_FAILED[] = {"stop", "finish", NULL};

static const struct key AGENT[] = {
    {"agent", TYPE_NAME, .required = true, .about = "The agent's name"},
    {"about", TYPE_TEXT, .about = "What it is for, in one sentence", .fallback = "empty"},
    {"command", TYPE_ARGV,
     .about = "The program that answers, run once for each task: program and arguments; a relative "
              "path counts from the host's agent directory"},
    {"builtin", TYPE_CHOICE, .choices = BUILTINS,
     .about = "Answered by the agent's process itself, for tests and benchmarks"},
    {"external", TYPE_TRUE, .about = "A program of yours answers, which connects by itself"},
    {"model", LATER("text"), .about = "The language model that answers"},
    {"a2a", LATER("text"), .about = "A remote agent answers, over A2A"},
    {"rerun", TYPE_CHOICE, .choices = RERUNS,
     .about = "`never`: a task whose instance was lost fails, instead of being run again",
     .fallback = "run again"},
    {"limits", TYPE_OBJECT, .child = OWNER_AGENT_LIMITS, .about = "What one task may use"},
    {"process", TYPE_OBJECT, .child = OWNER_PROCESS, .about = "The processes that serve the agent"},
    {"env", TYPE_ENV, .most = LIMIT_LABELS,
     .about = "Environment of the command: texts, or references `env:NAME` to the environment of "
              "the agent's process, so that no secret stands in a definition",
     .fallback = "empty"},
    {"instructions", LATER("text"), .about = "What the model is told first"},
    {"temperature", LATER("number"), .about = "Of the model"},
    {"max_tokens", LATER("integer"), .about = "Of one answer of the model"},
    {"tools", LATER("list"), .about = "What the model may use"},
    {"delegates", LATER("list of names or globs"), .about = "Agents that it may delegate to"},
    {"output", LATER("JSON Schema"), .about = "What an answer must look like"},
    {"repeat_tools", LATER("list of names"), .about = "Tools that are safe to repeat"},
    {"ask", LATER("list of names"), .about = "Tools that need a person's consent"},
    {"price", LATER("object"), .about = "Prices of the model"},
};

static const struct key AGENT_LIMITS[] = {
    {"time", DURATION, .canonical = "time_us", .about = "Of one attempt, unless its node says less",
     .fallback = "1h"},
    {"turns", LATER("integer"), .about = "Turns with the model"},
    {"tokens", LATER("integer"), .about = "Tokens of the model"},
    {"cost", LATER("number"), .about = "Cost in US dollars"},
    {"depth", LATER("integer"), .about = "Depth of delegation"},
    {"delegations", LATER("integer"), .about = "Number of delegations"},
    {"same_delegation", LATER("integer"), .about = "The same delegation on one path"},
};

static const struct key PROCESS[] = {
    {"instances", TYPE_RANGE, .least = 0, .most = LIMIT_INSTANCES, .fallback = "1",
     .about = "Processes that serve it: a number, or fewest..most"},
    {"parallel", TYPE_INTEGER, .least = 1, .most = LIMIT_PARALLEL,
     .about = "Tasks at a time of each process", .fallback = "8 for commands, else 64"},
    {"memory", TYPE_SIZE, .canonical = "memory_bytes",
     .least = (double)LIMIT_PROCESS_MEMORY_MIN_BYTES,
     .most = (double)LIMIT_PROCESS_MEMORY_MAX_BYTES, .fallback = "1G",
     .about = "Of one task's processes"},
    {"idle", DURATION, .canonical = "idle_us",
     .about = "Stop a process after so long without tasks", .fallback = "never"},
    {"network", TYPE_BOOLEAN, .about = "Whether commands may use the network", .fallback = "false"},
    {"labels", LATER("object of texts"), .about = "Hosts that may run it"},
};

static const struct key WORKFLOW[] = {
    {"workflow", TYPE_NAME, .required = true, .about = "The workflow's name"},
    {"about", TYPE_TEXT, .about = "What it is for, in one sentence", .fallback = "empty"},
    {"input", TYPE_INPUTS, .most = LIMIT_INPUTS, .child = OWNER_INPUT,
     .about = "Names of the inputs, each with a type; without this key any input is taken",
     .fallback = "anything"},
    {"nodes", TYPE_NODES, .required = true, .most = LIMIT_NODES, .child = OWNER_NODE,
     .about = "The tasks, by id (`[a-z][a-z0-9_]*`, not a reserved word)"},
    {"output", TYPE_EXPRESSION, .about = "What the execution gives in the end",
     .fallback = "an object of the outputs of the nodes that nothing depends on"},
    {"limits", TYPE_OBJECT, .child = OWNER_WORKFLOW_LIMITS, .about = "What one execution may use"},
    {"when_failed", TYPE_CHOICE, .choices = WHEN_FAILED, .fallback = "stop",
     .about = "After a node failed for good: `stop` cancels what runs; `finish` first ends "
              "everything that is not downstream of it"},
    {"priority", TYPE_INTEGER, .least = 0, .most = 9, .fallback = "5",
     .about = "Tasks of a higher one go first"},
    {"labels", TYPE_LABELS, .most = LIMIT_LABELS, .about = "Texts to find executions by",
     .fallback = "none"},
    {"keep", LATER("duration"), .about = "How long ended executions are kept"},
    {"schedule", LATER("text"), .about = "When to start by itself"},
};

static const struct key WORKFLOW_LIMITS[] = {
    {"time", DURATION, .canonical = "time_us", .about = "Of an execution, from its start",
     .fallback = "none"},
    {"parallel", TYPE_INTEGER, .least = 1, .most = LIMIT_NODES, .about = "Tasks at a time",
     .fallback = "none"},
    {"cost", LATER("number"), .about = "Cost in US dollars"},
    {"tokens", LATER("integer"), .about = "Tokens of models"},
    {"depth", LATER("integer"), .about = "Depth of delegation"},
};

static const struct key INPUT[] = {
    {"type", TYPE_SCHEMA_TYPE, .about = "text, number, integer, boolean, list or object",
     .fallback = "anything"},
    {"description", TYPE_TEXT, .about = "What it is", .fallback = "empty"},
    {"default", TYPE_VALUE, .about = "Taken when it isn't given"},
    {"required", TYPE_REQUIRED,
     .about = "Of an input: whether it must be given; of an object: the members that must be there",
     .fallback = "true for an input without default"},
    {"properties", TYPE_SCHEMAS, .most = LIMIT_INPUTS, .child = OWNER_INPUT,
     .about = "Of an object: its members"},
    {"items", TYPE_SCHEMA, .child = OWNER_INPUT, .about = "Of a list: its items"},
    {"enum", TYPE_VALUES, .most = LIMIT_ENUM, .about = "The values that are allowed"},
    {"minimum", TYPE_NUMBER, .least = -1e300, .most = 1e300, .about = "Of a number"},
    {"maximum", TYPE_NUMBER, .least = -1e300, .most = 1e300, .about = "Of a number"},
    {"title", LATER("text"), .about = "JSON Schema"},
    {"const", LATER("value"), .about = "JSON Schema"},
    {"format", LATER("text"), .about = "JSON Schema"},
    {"pattern", LATER("text"), .about = "JSON Schema"},
    {"minLength", LATER("integer"), .about = "JSON Schema"},
    {"maxLength", LATER("integer"), .about = "JSON Schema"},
    {"minItems", LATER("integer"), .about = "JSON Schema"},
    {"maxItems", LATER("integer"), .about = "JSON Schema"},
    {"uniqueItems", LATER("boolean"), .about = "JSON Schema"},
    {"exclusiveMinimum", LATER("number"), .about = "JSON Schema"},
    {"exclusiveMaximum", LATER("number"), .about = "JSON Schema"},
    {"multipleOf", LATER("number"), .about = "JSON Schema"},
    {"additionalProperties", LATER("boolean or schema"), .about = "JSON Schema"},
    {"anyOf", LATER("list"), .about = "JSON Schema"},
    {"oneOf", LATER("list"), .about = "JSON Schema"},
    {"allOf", LATER("list"), .about = "JSON Schema"},
    {"not", LATER("schema"), .about = "JSON Schema"},
    {"$ref", LATER("text"), .about = "JSON Schema"},
};

static const struct key NODE[] = {
    {"agent", TYPE_NAME, .required = true, .about = "The agent that does it"},
    {"say", TYPE_TEMPLATE, .about = "The message; with `{{expressions}}` in it, at most 64 KiB",
     .fallback = "null"},
    {"with", TYPE_TEMPLATES, .fallback = "null",
     .about = "The message as an object, instead of `say`; texts in it may hold `{{expressions}}`"},
    {"after", TYPE_AFTER, .most = LIMIT_EDGES,
     .about = "Ids of nodes to wait for; a node that an expression refers to is waited for anyway",
     .fallback = "empty"},
    {"join", TYPE_CHOICE, .choices = JOINS, .fallback = "all",
     .about = "Start when `all` edges are taken, when `any` is, or when all sources are `done`, "
              "however they ended"},
    {"retry", TYPE_RETRY, .least = 1, .most = LIMIT_ATTEMPTS, .child = OWNER_RETRY,
     .about = "Attempts, or more about them", .fallback = "1"},
    {"timeout", DURATION, .canonical = "timeout_us", .about = "Of one attempt",
     .fallback = "the agent's `limits.time`"},
    {"on_error", TYPE_ON_ERROR, .choices = ON_ERRORS, .child = OWNER_FALLBACK, .fallback = "fail",
     .about = "When it failed for good: `fail` the execution, `continue` with null as output, or "
              "ask another agent"},
    {"disabled", TYPE_BOOLEAN, .about = "Skip it", .fallback = "false"},
    {"about", TYPE_TEXT, .about = "What it is for", .fallback = "empty"},
    {"workflow", LATER("name"), .about = "Another workflow, as a node"},
    {"approve", LATER("text"), .about = "Wait for a person's decision"},
    {"wait", LATER("duration or object"), .about = "Wait for a time or a signal"},
    {"set", LATER("object"), .about = "Change the shared context"},
    {"if", LATER("expression"), .about = "Skip it unless this holds"},
    {"for", LATER("expression"), .about = "One task for each item of a list"},
    {"parallel", LATER("integer"), .about = "Items at a time, of `for`"},
    {"show", LATER("expression"), .about = "What the person sees, of `approve`"},
    {"on_expiry", LATER("fail or value"), .about = "When nobody decided in time"},
    {"allow_again", LATER("boolean"), .about = "May appear twice on a path of delegations"},
};

static const struct key RETRY[] = {
    {"attempts", TYPE_INTEGER, .required = true, .least = 1, .most = LIMIT_ATTEMPTS,
     .about = "How often to try at most, the first time included"},
    {"backoff", DURATION, .canonical = "backoff_us", .about = "Pause after the first attempt",
     .fallback = "1s"},
    {"factor", TYPE_NUMBER, .least = 1, .most = LIMIT_RETRY_FACTOR_MAX,
     .about = "Each further pause is so many times longer", .fallback = "2"},
    {"max", DURATION, .canonical = "max_us", .about = "Longest pause", .fallback = "5m"},
};

static const struct key FALLBACK[] = {
    {"fallback", TYPE_NAME, .required = true,
     .about = "Another agent that gets the same message, with as many attempts again"},
};

const struct key *keys_of(enum key_owner owner, size_t *ret_count)
{
    static const struct {
        const struct key *keys;
        size_t count;
    } TABLES[OWNER_COUNT] = {
        [OWNER_AGENT] = {AGENT, COUNT(AGENT)},
        [OWNER_AGENT_LIMITS] = {AGENT_LIMITS, COUNT(AGENT_LIMITS)},
        [OWNER_PROCESS] = {PROCESS, COUNT(PROCESS)},
        [OWNER_WORKFLOW] = {WORKFLOW, COUNT(WORKFLOW)},
        [OWNER_WORKFLOW_LIMITS] = {WORKFLOW_LIMITS, COUNT(WORKFLOW_LIMITS)},
        [OWNER_INPUT] = {INPUT, COUNT(INPUT)},
        [OWNER_NODE] = {NODE, COUNT(NODE)},
        [OWNER_RETRY] = {RETRY, COUNT(RETRY)},
        [OWNER_FALLBACK] = {FALLBACK, COUNT(FALLBACK)},
    };
    *ret_count = TABLES[owner].count;
    return TABLES[owner].keys;
}

const struct key *key_find(enum key_owner owner, const char *name)
{
    size_t count = 0;
    const struct key *keys = keys_of(owner, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

const char *key_canonical(const struct key *self)
{
    return self->canonical ? self->canonical : self->name;
}

const char *owner_name(enum key_owner owner)
{
    static const char *const NAMES[OWNER_COUNT] = {
        [OWNER_AGENT] = "an agent",
        [OWNER_AGENT_LIMITS] = "an agent's limits",
        [OWNER_PROCESS] = "an agent's process",
        [OWNER_WORKFLOW] = "a workflow",
        [OWNER_WORKFLOW_LIMITS] = "a workflow's limits",
        [OWNER_INPUT] = "an input's schema",
        [OWNER_NODE] = "a node",
        [OWNER_RETRY] = "a node's retry",
        [OWNER_FALLBACK] = "a node's on_error",
    };
    return NAMES[owner];
}

const char *type_schema_name(const char *name)
{
    for (size_t i = 0; TYPE_NAMES[i].ours; i++)
        if (strcmp(name, TYPE_NAMES[i].ours) == 0 || strcmp(name, TYPE_NAMES[i].schema) == 0)
            return TYPE_NAMES[i].schema;
    return NULL;
}

/* Variables of expressions, then CEL's own words (github.com/google/cel-spec, langdef, "Syntax").
 */
const char *const RESERVED_NODE_IDS[] = {
    "input",   "context",   "item",     "index", "execution", "nodes", "in",
    "true",    "false",     "null",     "as",    "break",     "const", "continue",
    "else",    "for",       "function", "if",    "import",    "let",   "loop",
    "package", "namespace", "return",   "var",   "void",      "while", NULL};

static void print_choices(const char *const *choices, struct buf *out)
{
    for (size_t i = 0; choices[i]; i++)
        buf_printf(out, "%s`%s`", i == 0 ? "" : ", ", choices[i]);
}

void key_print_type(const struct key *self, struct buf *out)
{
    static const char *const NAMES[] = {
        [TYPE_NAME] = "name",
        [TYPE_TEXT] = "text",
        [TYPE_TEMPLATE] = "text",
        [TYPE_TEMPLATES] = "object",
        [TYPE_EXPRESSION] = "expression",
        [TYPE_INTEGER] = "integer",
        [TYPE_NUMBER] = "number",
        [TYPE_BOOLEAN] = "boolean",
        [TYPE_TRUE] = "`true`",
        [TYPE_DURATION] = "duration",
        [TYPE_SIZE] = "size",
        [TYPE_RANGE] = "integer or range",
        [TYPE_ARGV] = "list of texts",
        [TYPE_ENV] = "object of texts",
        [TYPE_LABELS] = "object of texts",
        [TYPE_OBJECT] = "object",
        [TYPE_INPUTS] = "object of types or schemas",
        [TYPE_NODES] = "object of nodes",
        [TYPE_AFTER] = "list of ids",
        [TYPE_RETRY] = "integer or object",
        [TYPE_SCHEMA] = "type or schema",
        [TYPE_SCHEMA_TYPE] = "type",
        [TYPE_SCHEMAS] = "object of types or schemas",
        [TYPE_REQUIRED] = "boolean or list of names",
        [TYPE_VALUE] = "any",
        [TYPE_VALUES] = "list",
    };
    if (self->type == TYPE_OTHER) {
        buf_puts(out, self->shape);
    } else if (self->choices) {
        print_choices(self->choices, out);
        if (self->type == TYPE_ON_ERROR)
            buf_puts(out, " or object");
    } else {
        buf_puts(out, NAMES[self->type]);
    }
}

void key_print_cap(const struct key *self, struct buf *out)
{
    char most[CLOCK_TEXT_SIZE];
    switch (self->type) {
    case TYPE_NAME: buf_printf(out, "%d bytes", LIMIT_NAME_BYTES); break;
    case TYPE_TEXT:
    case TYPE_TEMPLATE: buf_printf(out, "%u KiB", LIMIT_TEXT_BYTES >> 10); break;
    case TYPE_EXPRESSION: buf_printf(out, "%u KiB", LIMIT_EXPRESSION_BYTES >> 10); break;
    case TYPE_DURATION: buf_puts(out, duration_format((int64_t)self->most, most)); break;
    case TYPE_INTEGER:
    case TYPE_RANGE:
    case TYPE_RETRY: buf_printf(out, "%.0f to %.0f", self->least, self->most); break;
    case TYPE_NUMBER:
        if (self->most < 1e300)
            buf_printf(out, "%g to %g", self->least, self->most);
        break;
    case TYPE_SIZE:
        buf_printf(out, "%.0fM to %.0fT", self->least / 0x1p20, self->most / 0x1p40);
        break;
    default:
        if (self->most > 0)
            buf_printf(out, "%.0f", self->most);
        break;
    }
}
