/* docs/definitions.md: what is said here in words, and tables made from the table of keys. */
#include "base/limits.h"
#include "definitions/definitions.h"
#include "definitions/keys.h"
#include <string.h>

static const char INTRODUCTION[] =
    "# Definitions\n"
    "\n"
    "Agents and workflows are files in YAML (1.2 core schema) or JSON of the same shape. A file "
    "may\n"
    "hold several documents, parted by `---`. `agentctl validate FILE...` checks them without\n"
    "applying anything, and reports every problem at once, each with its place and a remedy:\n"
    "\n"
    "```\n"
    "workflows/brief.yaml:14:12: error: nodes.publish.after[0]: needs \"reveiw\", which does not "
    "exist; did you mean \"review\"?\n"
    "```\n"
    "\n"
    "<!-- Made by `ninja definitions_document` from the validator's own table: edit\n"
    "     definitions/keys.c or definitions/document.c instead. -->\n"
    "\n"
    "```yaml\n"
    "agent: scout\n"
    "about: Finds sources for a question\n"
    "command: [./scout, --json]\n"
    "limits: {time: 2m}\n"
    "process: {instances: 1..4, parallel: 8, memory: 256M, idle: 10m}\n"
    "---\n"
    "agent: lead\n"
    "about: Leads the research\n"
    "model: script/rules/lead.yaml\n"
    "instructions: Ask the scouts, then sum up.\n"
    "tools:\n"
    "  - command: {name: wc, about: Counts words of a text, argv: [wc, -w], input: stdin}\n"
    "delegates: [critic, \"scout*\"]\n"
    "output: {type: object, required: [links], properties: {links: list}}\n"
    "limits: {turns: 12, tokens: 20000, cost: 0.10, depth: 3, delegations: 10}\n"
    "---\n"
    "workflow: brief\n"
    "about: Researches a topic\n"
    "input:\n"
    "  topic: text\n"
    "  sources: {type: integer, default: 3}\n"
    "nodes:\n"
    "  find:\n"
    "    agent: scout\n"
    "    say: Find {{input.sources}} sources on {{input.topic}}\n"
    "    retry: {attempts: 3, backoff: 2s}\n"
    "  publish:\n"
    "    agent: writer\n"
    "    with: {links: \"{{find.links}}\", topic: \"{{input.topic}}\"}\n"
    "output: publish\n"
    "```\n"
    "\n";

static const char SCRIPTS[] =
    "## Rules of a script\n"
    "\n"
    "`model: script/FILE` lets a script answer in place of a language model, for tests and\n"
    "demonstrations: it takes turns, calls tools and delegates as a model does, by rules that "
    "stand in\n"
    "FILE. Its path counts from the file that the agent is in. `agentctl validate` and `apply` "
    "read it\n"
    "along; it is part of the agent's definition, which gets a new version when its rules change.\n"
    "It must be a regular file; `apply` sends it nowhere before it is known to hold rules.\n"
    "\n"
    "```yaml\n"
    "rules:\n"
    "  - name: ask the scouts\n"
    "    when: {turn: 1}\n"
    "    calls:\n"
    "      - tool: wc\n"
    "        with: {input: \"{{message}}\"}\n"
    "      - delegate: scout\n"
    "        message: Find links on {{message}}\n"
    "  - when: {delegated: scout, lacks: \"results[1].output.links\"}\n"
    "    fail: {code: no_links, message: The scout found nothing, permanent: true}\n"
    "  - say: {links: \"{{results[1].output.links}}\"}\n"
    "    usage: {input: 1200, output: 80}\n"
    "```\n"
    "\n"
    "For each turn the first rule answers whose `when` holds in all its parts; a rule without "
    "`when`\n"
    "always does. When none fits, the attempt fails for good, with the code `no_rule`. A turn "
    "without\n"
    "`calls` is the last one: what it says is the answer of the task.\n"
    "\n"
    "Variables of expressions: `message` (the task's), `agent`, `turn`, `attempt`, `results` (of "
    "the\n"
    "last turn's calls, in order: `{output}` or `{error: {code, message}}`), `turns` (all before "
    "this\n"
    "one: `{content, calls: [{tool, arguments}], results}`), and in a call with `for` its `item` "
    "and\n"
    "`index`.\n"
    "\n";

static const char RULES[] =
    "## Expressions\n"
    "\n"
    "An expression is CEL over JSON values: `input.topic`, `find.links[0].url`,\n"
    "`size(find.links) > 3 && !input.draft`; `docs/expressions.md` is its manual. It stands bare "
    "in\n"
    "`output`, `show`, `has`, `lacks`, `equals`, `for` and `if`, and between double braces inside "
    "of\n"
    "the texts of `say`, `with`, `set` and `approve`. A text that is nothing but one `{{...}}` "
    "keeps the "
    "value's type.\n"
    "Variables are `input`, `context` (the shared one), `execution.id`, and the id of each node "
    "(its output), also as\n"
    "`nodes.ID`. A node that refers to another one waits for it.\n"
    "\n"
    "YAML reads some texts as something else; quote them: `say: \"{{find}}\"` (else an object),\n"
    "`output: \"a ? b : c\"`, any text that holds `: ` or ` #`, or one that begins with `!`, `&`, "
    "`*`,\n"
    "`@`, `%`, `[` or `{`. Tags, anchors and aliases are errors.\n"
    "\n"
    "## Values\n"
    "\n"
    "- **name**: of an agent or workflow, `[a-z][a-z0-9_-]*`.\n"
    "- **glob**: a name in which `*` stands for any characters and `?` for any one.\n"
    "- **duration**: a whole number and `ms`, `s`, `m`, `h` or `d`.\n"
    "- **size**: a whole number and `K`, `M`, `G` or `T` (of 1024).\n"
    "- **range**: `1..4`, or a number for both ends.\n"
    "- **tool name**: `[a-zA-Z_][a-zA-Z0-9_-]*`, but none of `delegate_to_agent`, `list_agents`,\n"
    "  `context_get` and `context_set`, which every model has.\n"
    "- **type**: `text`, `number`, `integer`, `boolean`, `list`, `object` (or JSON Schema's words\n"
    "  `string` and `array`).\n"
    "\n"
    "A key that is marked *later* is a word of the language that this version does not run: using "
    "it\n"
    "is an error of the kind `unsupported`.\n"
    "\n";

static const char ORDER[] =
    "## Order, conditions and lists\n"
    "\n"
    "`if`, `for`, the conditions of edges in `after`, and `join` are explained with examples in\n"
    "[workflows.md](workflows.md). `if` and `for` hold an expression as it is, without braces.\n"
    "So are `approve`, `wait`, `show` and `on_expiry`, for nodes that wait for a person, a time or "
    "a\n"
    "signal.\n"
    "\n";

struct kind {
    const char *name, *meaning;
};

static const struct kind KINDS[] = {
    {"syntax", "not YAML or JSON, or a tag, anchor, alias or key that isn't allowed"},
    {"too_large", "the file is larger than the limit, or the rules in all agents of a set are"},
    {"too_deep", "nested deeper than the limit"},
    {"too_many", "more values, nodes, references or members than the limit"},
    {"unknown_key", "no such key there"},
    {"duplicate_key", "a key that stands twice"},
    {"missing_key", "a key that must be there"},
    {"wrong_type", "a value of another type than the key needs"},
    {"bad_value", "a value of the right type that isn't allowed"},
    {"unsupported", "a word of the language that this version does not run"},
    {"expression", "an expression that isn't one"},
    {"unknown_node", "a name that is neither a node nor a variable"},
    {"unknown_variable", "a name that is no variable there"},
    {"unknown_tool", "a tool in a script's rules that the agent doesn't have (a warning)"},
    {"missing_rules", "a model whose file of rules isn't there, can't be read, or holds none"},
    {"unknown_input", "an input that isn't declared"},
    {"cycle", "nodes that wait for each other"},
    {"join", "a join that has no effect, or that never starts (a warning)"},
    {"duplicate_name", "two agents, workflows or tools of one name, or rules twice in a file"},
    {"not_compiled", "what passed the checks and yet can't be made into a graph: a defect of ours"},
    {"unknown_workflow", "a workflow that a node runs and that doesn't exist (a warning where only "
                         "files are known)"},
    {"unknown_agent", "an agent that doesn't exist (a warning where only files are known, and of "
                      "delegates)"},
};

static void print_kinds(struct buf *out)
{
    buf_puts(out, "## Kinds of problems\n\n| kind | meaning |\n| --- | --- |\n");
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++)
        buf_printf(out, "| `%s` | %s |\n", KINDS[i].name, KINDS[i].meaning);
}

static void print_limits(struct buf *out)
{
    buf_printf(out,
               "## Limits of a file\n\n"
               "%u MiB, %d levels of nesting, %d values, %d nodes and %d references of a workflow; "
               "%d problems are shown at a time. The agents that are applied at a time may have %u "
               "MiB of rules together, those of a file counted for each agent that names it.\n\n",
               LIMIT_DEFINITION_BYTES >> 20, LIMIT_DEFINITION_DEPTH, LIMIT_DEFINITION_VALUES,
               LIMIT_NODES, LIMIT_EDGES, LIMIT_DIAGNOSTICS, LIMIT_RULES_JOINED_BYTES >> 20);
}

static void print_key(const struct key *key, struct buf *out)
{
    buf_printf(out, "| `%s` | ", key->name);
    key_print_type(key, out);
    buf_puts(out, " | ");
    if (key->later)
        buf_puts(out, "*later*");
    else if (key->required)
        buf_puts(out, "*required*");
    else if (key->fallback)
        buf_puts(out, key->fallback);
    buf_puts(out, " | ");
    key_print_cap(key, out);
    buf_printf(out, " | %s |\n", key->about);
}

static void print_owner(enum key_owner owner, struct buf *out)
{
    size_t count = 0;
    const struct key *keys = keys_of(owner, &count);
    buf_printf(out,
               "### Keys of %s\n\n| key | type | default | cap | about |\n"
               "| --- | --- | --- | --- | --- |\n",
               owner_name(owner));
    for (int later = 0; later < 2; later++)
        for (size_t i = 0; i < count; i++)
            if (keys[i].later == (later == 1))
                print_key(&keys[i], out);
    buf_putc(out, '\n');
}

static void print_reserved(struct buf *out)
{
    buf_puts(out, "Words that can't be node ids:");
    for (size_t i = 0; RESERVED_NODE_IDS[i]; i++)
        buf_printf(out, "%s `%s`", i == 0 ? "" : ",", RESERVED_NODE_IDS[i]);
    buf_puts(out, ".\n\n");
}

void definitions_document(struct buf *out)
{
    buf_puts(out, INTRODUCTION);
    buf_puts(out, "## Keys\n\n");
    for (int owner = 0; owner < OWNER_RULES_FILE; owner++)
        print_owner((enum key_owner)owner, out);
    print_reserved(out);
    buf_puts(out, SCRIPTS);
    for (int owner = OWNER_RULES_FILE; owner < OWNER_COUNT; owner++)
        print_owner((enum key_owner)owner, out);
    buf_puts(out, ORDER);
    buf_puts(out, RULES);
    print_limits(out);
    print_kinds(out);
}
