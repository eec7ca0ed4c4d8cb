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
static const char *const MISSED[] = {"skip", "once", "all", NULL};
static const char *const OVERLAPS[] = {"allow", "skip", NULL};
static const char *const WHEN_FAILED[] = {"stop", "finish", NULL};

static const char *const TOOL_INPUTS[] = {"json", "stdin", "none", NULL};
static const char *const REPEATS[] = {"safe", NULL};

#define TOKENS  TYPE_INTEGER, .least = 1, .most = (double)LIMIT_USAGE
#define BOUND   TYPE_NUMBER, .least = -1e300, .most = 1e300
#define LENGTH  TYPE_INTEGER, .least = 0, .most = (double)LIMIT_VALUE_BYTES
#define DOLLARS TYPE_DOLLARS, .least = 0.000001, .most = (double)LIMIT_USAGE / 1e6

static const struct key AGENT[] = {
    {"agent", TYPE_NAME, .required = true, .about = "The agent's name"},
    {"about", TYPE_TEXT, .about = "What it is for, in one sentence", .fallback = "empty"},
    {"command", TYPE_ARGV,
     .about = "The program that answers, run once for each task: program and arguments; a relative "
              "path counts from the host's agent directory"},
    {"builtin", TYPE_CHOICE, .choices = BUILTINS,
     .about = "Answered by the agent's process itself, for tests and benchmarks"},
    {"external", TYPE_TRUE, .about = "A program of yours answers, which connects by itself"},
    {"model", TYPE_MODEL,
     .about = "The model that answers: `script/FILE` is a script, whose rules are in that file, "
              "relative to this one; `openai/`, `anthropic/` and addresses come later"},
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
    {"instructions", TYPE_TEXT, .about = "What the model is told first", .fallback = "empty"},
    {"max_tokens", TYPE_INTEGER, .least = 1, .most = LIMIT_MODEL_TOKENS_MAX, .fallback = "4096",
     .about = "Of one answer of the model"},
    {"tools", TYPE_TOOLS, .most = LIMIT_TOOLS, .child = OWNER_TOOL_KINDS, .fallback = "none",
     .about = "What the model may use, each an object of one key, its kind"},
    {"delegates", TYPE_DELEGATES, .most = LIMIT_DELEGATES, .fallback = "none",
     .about = "Agents that it may delegate to: names, or globs with `*` and `?`"},
    {"output", TYPE_ANSWER, .child = OWNER_INPUT,
     .about = "What an answer must look like; the model is told what is wrong with it",
     .fallback = "anything"},
    {"repeat_tools", TYPE_TOOL_NAMES, .most = LIMIT_TOOLS, .fallback = "none",
     .about = "Its tools that are safe to repeat when their outcome is not known"},
    {"price", TYPE_OBJECT, .child = OWNER_PRICE, .about = "Prices of the model",
     .fallback = "not known"},
    {"temperature", LATER("number"), .about = "Of the model"},
    {"ask", LATER("list of names"), .about = "Tools that need a person's consent"},
};

static const struct key AGENT_LIMITS[] = {
    {"time", DURATION, .canonical = "time_us", .about = "Of one attempt, unless its node says less",
     .fallback = "1h; none for models"},
    {"turns", TYPE_INTEGER, .least = 1, .most = LIMIT_TURNS_MAX, .fallback = "100",
     .about = "Turns of the model in one attempt"},
    {"tokens", TOKENS, .about = "Tokens of models, of one task and all that it delegates",
     .fallback = "none"},
    {"cost", DOLLARS, .canonical = "cost_microusd",
     .about = "Cost in US dollars, of one task and all that it delegates", .fallback = "none"},
    {"depth", TYPE_INTEGER, .least = 1, .most = LIMIT_DEPTH_MAX, .fallback = "8",
     .about = "Levels of delegation below one task"},
    {"delegations", TYPE_INTEGER, .least = 1, .most = LIMIT_EXECUTION_TASKS, .fallback = "1000",
     .about = "Delegations of one task"},
    {"same_delegation", TYPE_INTEGER, .least = 1, .most = LIMIT_EXECUTION_TASKS, .fallback = "2",
     .about = "The same message to the same agent, by one task"},
};

static const struct key PRICE[] = {
    {"input", TYPE_DOLLARS, .canonical = "input_microusd", .least = 0, .most = LIMIT_PRICE_MAX_USD,
     .about = "Of what the model reads, in US dollars for a million tokens",
     .fallback = "not known"},
    {"output", TYPE_DOLLARS, .canonical = "output_microusd", .least = 0,
     .most = LIMIT_PRICE_MAX_USD, .about = "Of what it writes, in US dollars for a million tokens",
     .fallback = "not known"},
};

static const struct key TOOL_KINDS[] = {
    {"command", TYPE_OBJECT, .child = OWNER_TOOL, .about = "A program, run once for each call"},
    {"http_get", LATER("object"), .about = "Fetches pages"},
    {"mcp", LATER("object"), .about = "The tools of an MCP server"},
};

static const struct key TOOL[] = {
    {"name", TYPE_TOOL_NAME, .required = true,
     .about = "What the model calls it: `[a-zA-Z_][a-zA-Z0-9_-]*`, once in an agent"},
    {"about", TYPE_TEXT, .about = "What it does, for the model", .fallback = "empty"},
    {"argv", TYPE_ARGV, .required = true,
     .about = "Program and arguments; a relative path counts from the host's agent directory"},
    {"input", TYPE_CHOICE, .choices = TOOL_INPUTS, .fallback = "json",
     .about = "What stands on its standard input: all arguments as one line of JSON, the argument "
              "`input` alone, or nothing"},
    {"parameters", TYPE_PARAMETERS, .most = LIMIT_INPUTS, .child = OWNER_INPUT,
     .fallback = "anything; with `input: stdin` the text `input`",
     .about = "Its arguments by name, each a type or schema"},
    {"repeat", TYPE_CHOICE, .choices = REPEATS, .fallback = "not safe",
     .about = "`safe`: it may run again when its outcome is not known"},
    {"timeout", DURATION, .canonical = "timeout_us", .about = "Of one call",
     .fallback = "that of the task"},
    {"network", TYPE_BOOLEAN, .about = "Whether it may use the network", .fallback = "false"},
};

static const struct key RULES_FILE[] = {
    {"rules", TYPE_RULES, .required = true, .most = LIMIT_RULES, .child = OWNER_RULE,
     .about = "Asked in order for each turn: the first one that fits answers"},
};

static const struct key RULE[] = {
    {"name", TYPE_TEXT, .about = "For people, and for errors", .fallback = "none"},
    {"when", TYPE_OBJECT, .child = OWNER_WHEN, .about = "All of it must hold",
     .fallback = "always"},
    {"say", TYPE_ANYTHING, .about = "What it answers; texts in it may hold `{{expressions}}`",
     .fallback = "null"},
    {"calls", TYPE_CALLS, .most = LIMIT_TURN_CALLS, .child = OWNER_CALL,
     .about = "Tools that it calls; without any, the turn is the last one", .fallback = "none"},
    {"delay", DURATION, .canonical = "delay_us", .about = "Before the answer", .fallback = "none"},
    {"stream", DURATION, .canonical = "stream_us",
     .about = "The answer's text comes word by word, with this pause", .fallback = "at once"},
    {"usage", TYPE_OBJECT, .child = OWNER_USAGE, .about = "Tokens that it is taken to have used",
     .fallback = "one for every 4 bytes"},
    {"fail", TYPE_OBJECT, .child = OWNER_FAILURE, .about = "Fail, instead of answering"},
};

static const struct key WHEN[] = {
    {"turn", TYPE_SPAN, .least = 1, .most = LIMIT_TURNS_MAX, .about = "The turn, from 1"},
    {"attempt", TYPE_SPAN, .least = 1, .most = LIMIT_ATTEMPTS, .about = "The attempt, from 1"},
    {"message", TYPE_TEXT, .about = "The task's message, as text, holds this"},
    {"results", TYPE_TEXT, .about = "A result of the last turn, as JSON, holds this"},
    {"called", TYPE_TEXT, .about = "A turn so far called this tool"},
    {"not_called", TYPE_TEXT, .about = "No turn so far called this tool"},
    {"delegated", TYPE_TEXT, .about = "A turn so far delegated to this agent"},
    {"not_delegated", TYPE_TEXT, .about = "No turn so far delegated to this agent"},
    {"has", TYPE_EXPRESSION,
     .about = "It is there, and is not null, false, 0, an empty text, list or object"},
    {"lacks", TYPE_EXPRESSION, .about = "The opposite of `has`"},
    {"equals", TYPE_EQUALS, .most = LIMIT_RULE_EQUALS,
     .about = "Expressions and the values that they must have"},
};

static const struct key CALL[] = {
    {"tool", TYPE_TEXT, .about = "The tool's name"},
    {"with", TYPE_TEMPLATES, .about = "Its arguments; texts in it may hold `{{expressions}}`",
     .fallback = "empty"},
    {"delegate", TYPE_TEMPLATE,
     .about = "Instead of `tool`: the agent to delegate to (the tool `delegate_to_agent`)"},
    {"message", TYPE_ANYTHING, .about = "Of a delegation, which needs it"},
    {"context", TYPE_ANYTHING, .about = "Of a delegation: what else the agent gets",
     .fallback = "none"},
    {"hand_off", TYPE_BOOLEAN, .about = "Of a delegation: its answer is the task's",
     .fallback = "false"},
    {"for", TYPE_EXPRESSION,
     .about = "A list: one call for each item; `item` and `index` are variables then"},
    {"if", TYPE_EXPRESSION, .about = "Call only when this, as `has` asks, is there"},
};

static const struct key USAGE[] = {
    {"input", TYPE_INTEGER, .least = 0, .most = (double)LIMIT_USAGE, .about = "Tokens read",
     .fallback = "0"},
    {"output", TYPE_INTEGER, .least = 0, .most = (double)LIMIT_USAGE, .about = "Tokens written",
     .fallback = "0"},
};

static const struct key FAILURE[] = {
    {"code", TYPE_NAME, .required = true, .about = "Such as `overloaded`"},
    {"message", TYPE_TEXT, .about = "What went wrong", .fallback = "empty"},
    {"permanent", TYPE_BOOLEAN, .about = "Whether another attempt is in vain", .fallback = "false"},
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
    {"schedule", TYPE_SCHEDULE, .child = OWNER_SCHEDULE, .fallback = "never",
     .about = "When an execution starts by itself: a cron expression, or more about it"},
    {"keep", LATER("duration"), .about = "How long ended executions are kept"},
};

static const struct key WORKFLOW_LIMITS[] = {
    {"time", DURATION, .canonical = "time_us", .about = "Of an execution, from its start",
     .fallback = "none"},
    {"parallel", TYPE_INTEGER, .least = 1, .most = LIMIT_NODES, .about = "Tasks at a time",
     .fallback = "none"},
    {"cost", DOLLARS, .canonical = "cost_microusd", .about = "Cost of models in US dollars",
     .fallback = "none"},
    {"tokens", TOKENS, .about = "Tokens of models", .fallback = "none"},
    {"depth", TYPE_INTEGER, .least = 1, .most = LIMIT_DEPTH_MAX, .fallback = "8",
     .about = "Levels of delegation below a node"},
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
    {"const", TYPE_VALUE, .about = "The one value that is allowed"},
    {"minimum", BOUND, .about = "Of a number"},
    {"maximum", BOUND, .about = "Of a number"},
    {"exclusiveMinimum", BOUND, .about = "Of a number, which must be greater"},
    {"exclusiveMaximum", BOUND, .about = "Of a number, which must be smaller"},
    {"multipleOf", TYPE_NUMBER, .least = 1e-9, .most = 1e15, .about = "Of a number"},
    {"minLength", LENGTH, .about = "Of a text, in characters"},
    {"maxLength", LENGTH, .about = "Of a text, in characters"},
    {"minItems", LENGTH, .about = "Of a list"},
    {"maxItems", LENGTH, .about = "Of a list"},
    {"additionalProperties", TYPE_BOOLEAN, .fallback = "true",
     .about = "Of an object: whether it may have members that `properties` doesn't name"},
    {"title", TYPE_TEXT, .about = "For people", .fallback = "empty"},
    {"format", LATER("text"), .about = "JSON Schema"},
    {"pattern", LATER("text"), .about = "JSON Schema"},
    {"uniqueItems", LATER("boolean"), .about = "JSON Schema"},
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
    {"after", TYPE_AFTER, .most = LIMIT_EDGES, .child = OWNER_EDGE,
     .about = "Nodes to wait for: ids, or edges with a condition; a node that an expression refers "
              "to is waited for anyway",
     .fallback = "empty"},
    {"join", TYPE_CHOICE, .choices = JOINS, .fallback = "all",
     .about = "Start when `all` edges are taken, when `any` is, or when all sources are `done`, "
              "however they ended"},
    {"if", TYPE_CONDITION, .fallback = "true",
     .about = "Run it only if this is true, else skip it; asked when its edges let it start"},
    {"for", TYPE_LIST, .fallback = "one task",
     .about = "A list: one task for each item; in `say` and `with` there are `item` and `index`, "
              "from 0; the output is the list of their outputs"},
    {"parallel", TYPE_INTEGER, .least = 1, .most = LIMIT_MAP_ITEMS, .fallback = "all",
     .about = "Items at a time, of `for`"},
    {"retry", TYPE_RETRY, .least = 1, .most = LIMIT_ATTEMPTS, .child = OWNER_RETRY,
     .about = "Attempts, or more about them", .fallback = "1"},
    {"timeout", DURATION, .canonical = "timeout_us",
     .about = "Of one attempt; of `approve`: how long to wait for the decision",
     .fallback = "the agent's `limits.time`; none for `approve`"},
    {"on_error", TYPE_ON_ERROR, .choices = ON_ERRORS, .child = OWNER_FALLBACK, .fallback = "fail",
     .about = "When it failed for good: `fail` the execution, `continue` with null as output, or "
              "ask another agent"},
    {"disabled", TYPE_BOOLEAN, .about = "Skip it", .fallback = "false"},
    {"allow_again", TYPE_BOOLEAN, .fallback = "false",
     .about = "Whether an agent may stand twice on a path of delegations below this node"},
    {"about", TYPE_TEXT, .about = "What it is for", .fallback = "empty"},
    {"approve", TYPE_TEMPLATE,
     .about = "Instead of `agent`: wait for a person's decision on this text; the output is "
              "`{approved, by, note}`"},
    {"show", TYPE_SHOWN, .about = "Of `approve`: what the person sees beside the text",
     .fallback = "nothing"},
    {"wait", TYPE_WAIT, .least = 1, .most = (double)LIMIT_TIME_MAX_US, .child = OWNER_WAIT,
     .about = "Instead of `agent`: wait for a time, or for a signal, whose payload is the output"},
    {"on_expiry", TYPE_EXPIRY, .fallback = "`fail`",
     .about =
         "Of `approve` and of a signal with a timeout: the output when nothing came in time, or "
         "`fail`"},
    {"workflow", TYPE_NAME,
     .about = "Instead of `agent`: run another workflow, whose input is `with`; its output is the "
              "node's"},
    {"set", TYPE_TEMPLATES,
     .about =
         "A merge patch of the shared context, made when the node has succeeded: texts in it may "
         "hold `{{expressions}}`, also of its own output; alone, without `agent`, it is all that "
         "the node does",
     .fallback = "nothing"},
};

static const struct key EDGE[] = {
    {"node", TYPE_NODE_ID, .required = true, .about = "The node to wait for"},
    {"if", TYPE_CONDITION, .fallback = "true",
     .about = "The edge is taken only if this is true, asked when the node has succeeded"},
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

static const struct key WAIT[] = {
    {"signal", TYPE_NAME, .required = true, .about = "Its name"},
    {"timeout", DURATION, .canonical = "timeout_us", .about = "How long to wait for it",
     .fallback = "for ever"},
};

static const struct key FALLBACK[] = {
    {"fallback", TYPE_NAME, .required = true,
     .about = "Another agent that gets the same message, with as many attempts again"},
};

static const struct key SCHEDULE[] = {
    {"cron", TYPE_CRON,
     .about = "When: minute, hour, day of the month, month and day of the week; or `@hourly`, "
              "`@daily`, `@weekly`, `@monthly`, `@yearly`"},
    {"zone", TYPE_ZONE, .fallback = "UTC",
     .about = "Of `cron`: the time zone, by its name in the IANA database"},
    {"missed", TYPE_CHOICE, .choices = MISSED, .fallback = "once",
     .about = "Of `cron`: what to do about times that came while nothing could start: nothing, one "
              "run for all of them, or one for each, the newest 100 at most"},
    {"overlap", TYPE_CHOICE, .choices = OVERLAPS, .fallback = "allow",
     .about = "Of `cron`: `skip` starts none while the one before still runs"},
    {"input", TYPE_VALUE, .about = "Of `cron`: the input of each execution", .fallback = "none"},
    {"signal", TYPE_NAME,
     .about = "Instead of `cron`: an execution starts for each signal of this name that is sent "
              "from outside, and its payload is the input"},
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
        [OWNER_EDGE] = {EDGE, COUNT(EDGE)},
        [OWNER_RETRY] = {RETRY, COUNT(RETRY)},
        [OWNER_WAIT] = {WAIT, COUNT(WAIT)},
        [OWNER_FALLBACK] = {FALLBACK, COUNT(FALLBACK)},
        [OWNER_SCHEDULE] = {SCHEDULE, COUNT(SCHEDULE)},
        [OWNER_TOOL_KINDS] = {TOOL_KINDS, COUNT(TOOL_KINDS)},
        [OWNER_TOOL] = {TOOL, COUNT(TOOL)},
        [OWNER_PRICE] = {PRICE, COUNT(PRICE)},
        [OWNER_RULES_FILE] = {RULES_FILE, COUNT(RULES_FILE)},
        [OWNER_RULE] = {RULE, COUNT(RULE)},
        [OWNER_WHEN] = {WHEN, COUNT(WHEN)},
        [OWNER_CALL] = {CALL, COUNT(CALL)},
        [OWNER_USAGE] = {USAGE, COUNT(USAGE)},
        [OWNER_FAILURE] = {FAILURE, COUNT(FAILURE)},
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
        [OWNER_INPUT] = "a schema",
        [OWNER_NODE] = "a node",
        [OWNER_EDGE] = "an edge",
        [OWNER_RETRY] = "a node's retry",
        [OWNER_WAIT] = "a node's wait",
        [OWNER_FALLBACK] = "a node's on_error",
        [OWNER_SCHEDULE] = "a workflow's schedule",
        [OWNER_TOOL_KINDS] = "an agent's tools",
        [OWNER_TOOL] = "a command tool",
        [OWNER_PRICE] = "a model's price",
        [OWNER_RULES_FILE] = "a rules file",
        [OWNER_RULE] = "a rule",
        [OWNER_WHEN] = "a rule's when",
        [OWNER_CALL] = "a rule's call",
        [OWNER_USAGE] = "a rule's usage",
        [OWNER_FAILURE] = "a rule's fail",
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

/* Variables of expressions, then CEL's own words (github.com/google/cel-spec, langdef, "Syntax"),
 * then what it calls its types. */
const char *const RESERVED_NODE_IDS[] = {
    "input",     "context", "item",   "index", "execution", "nodes",    "in",        "true",
    "false",     "null",    "as",     "break", "const",     "continue", "else",      "for",
    "function",  "if",      "import", "let",   "loop",      "package",  "namespace", "return",
    "var",       "void",    "while",  "bool",  "double",    "int",      "list",      "map",
    "null_type", "string",  "type",   "uint",  NULL};

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
        [TYPE_CONDITION] = "expression or boolean",
        [TYPE_SHOWN] = "expression",
        [TYPE_WAIT] = "duration or object",
        [TYPE_EXPIRY] = "`fail` or any value",
        [TYPE_LIST] = "expression",
        [TYPE_NODE_ID] = "id",
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
        [TYPE_AFTER] = "list of ids or edges",
        [TYPE_RETRY] = "integer or object",
        [TYPE_SCHEMA] = "type or schema",
        [TYPE_SCHEMA_TYPE] = "type",
        [TYPE_SCHEMAS] = "object of types or schemas",
        [TYPE_REQUIRED] = "boolean or list of names",
        [TYPE_VALUE] = "any",
        [TYPE_VALUES] = "list",
        [TYPE_MODEL] = "`script/FILE`",
        [TYPE_TOOLS] = "list of tools",
        [TYPE_TOOL_NAME] = "tool name",
        [TYPE_TOOL_NAMES] = "list of tool names",
        [TYPE_DELEGATES] = "list of names or globs",
        [TYPE_ANSWER] = "type or schema",
        [TYPE_PARAMETERS] = "object of types or schemas",
        [TYPE_DOLLARS] = "number",
        [TYPE_RULES] = "list of rules",
        [TYPE_CALLS] = "list of calls",
        [TYPE_SPAN] = "integer or range",
        [TYPE_ANYTHING] = "any",
        [TYPE_EQUALS] = "object of values",
        [TYPE_SCHEDULE] = "cron expression or object",
        [TYPE_CRON] = "cron expression",
        [TYPE_ZONE] = "time zone",
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
    case TYPE_CRON: buf_printf(out, "%d bytes", LIMIT_CRON_BYTES); break;
    case TYPE_ZONE:
    case TYPE_TOOL_NAME:
    case TYPE_NAME: buf_printf(out, "%d bytes", LIMIT_NAME_BYTES); break;
    case TYPE_TEXT:
    case TYPE_TEMPLATE: buf_printf(out, "%u KiB", LIMIT_TEXT_BYTES >> 10); break;
    case TYPE_CONDITION:
    case TYPE_LIST:
    case TYPE_SHOWN:
    case TYPE_EXPRESSION: buf_printf(out, "%u KiB", LIMIT_EXPRESSION_BYTES >> 10); break;
    case TYPE_WAIT:
    case TYPE_DURATION: buf_puts(out, duration_format((int64_t)self->most, most)); break;
    case TYPE_INTEGER:
    case TYPE_RANGE:
    case TYPE_SPAN:
    case TYPE_RETRY: buf_printf(out, "%.0f to %.0f", self->least, self->most); break;
    case TYPE_DOLLARS:
        buf_printf(out, "%s to %.0f", self->least > 0 ? "0.000001" : "0", self->most);
        break;
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
