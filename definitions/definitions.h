/* Definitions as files: YAML 1.2 core (libyaml) or JSON of the same shape, one or several documents,
 * checked by the one validator there is, which reports every problem at once; and the canonical form
 * that is stored, compared and compiled. Language: docs/definitions.md. It reads no files but those
 * of time zones, and opens no connections. */
#ifndef AF_DEFINITIONS_DEFINITIONS_H
#define AF_DEFINITIONS_DEFINITIONS_H

#include "base/value.h"
#include "engine/dag.h"
#include "schedule/due.h"

enum diagnostic_severity { DIAGNOSTIC_ERROR, DIAGNOSTIC_WARNING };

struct diagnostic {
    enum diagnostic_severity severity;
    char *file;
    unsigned line, column; /* from 1 */
    char *path;            /* "nodes.publish.after[1]" */
    char *kind;            /* stable name of the rule: "unknown_key", "cycle", "unknown_node", ... */
    char *message;         /* what is wrong */
    char *fix;             /* the remedy; "" when there is none to say */
};

struct diagnostics {
    struct diagnostic *items;
    size_t count, errors;
    size_t dropped; /* past LIMIT_DIAGNOSTICS */
};
void diagnostics_release(struct diagnostics *self);
/* `workflows/brief.yaml:14:12: error: nodes.publish.after[0]: … ; did you mean "review"?` one line
 * each, to out; sorted by file, line, column. */
void diagnostics_format(const struct diagnostics *self, struct buf *out);
/* List of {severity, file, line, column, path, kind, message, fix}. */
value_t *diagnostics_document(const struct diagnostics *self);

enum definition_kind { DEFINITION_AGENT, DEFINITION_WORKFLOW };

struct definition {
    enum definition_kind kind;
    char *name;
    value_t *canonical; /* normalised: the same for the same meaning, whatever the spelling */
    uint8_t hash[32];   /* of the canonical form's MessagePack with sorted keys */
    char *source;       /* the document's own text, comments kept */
    char *file;
    unsigned line;
};
/* A file that was parsed. Rules of scripts are no definitions: they belong to the agents that name
 * their file by `model: script/FILE`. */
struct definition_file {
    char *name;
    bool has_errors;
    char *unread;   /* why it couldn't be read; NULL: it was */
    value_t *rules; /* canonical, when it holds rules that are right; see rules.c */
    value_t *tools; /* names of tools in them; for definitions_join_rules */
    size_t bytes;   /* of them in an agent, as MessagePack; likewise */
    char *source;   /* the text of that document, or NULL */
    unsigned line;
};
struct definitions {
    struct definition *items;
    size_t count;
    struct definition_file *files;
    size_t files_count;
};
void definitions_release(struct definitions *self);

/* Parses and checks one text. Adds to *definitions what is valid, a document with `rules` at its top
 * among the files, and to *diagnostics what is wrong; both are initialised by the caller with {0} and
 * may be filled by several calls (several files). */
void definitions_parse(const char *text, size_t size, const char *file,
                       struct definitions *definitions, struct diagnostics *diagnostics);

/* The same for a file that is read because an agent names it as its rules: it must hold nothing
 * else. */
void definitions_parse_rules(const char *text, size_t size, const char *file,
                             struct definitions *definitions, struct diagnostics *diagnostics);

/* The path of the file that holds an agent's rules: FILE of `model: script/FILE`, seen from the
 * agent's own file, without "." and ".." where that can be. NULL: it has none. The caller frees. */
char *definition_rules_path(const struct definition *self);
/* The paths of all that are named and not among the files parsed so far, each once: a list of texts,
 * the caller's. Whoever has the disk at hand reads them, and parses them too. */
value_t *definitions_missing_rules(const struct definitions *self);
/* One of them is there and can't be read, and why: "it is a directory". */
void definitions_unread_rules(struct definitions *self, const char *file, const char *why);
/* When all files are parsed: puts the rules into the agents that name them, which changes their
 * hashes. Rules that aren't there are errors, and more than LIMIT_RULES_JOINED_BYTES in all agents
 * together; tools in rules that the agent doesn't have are warnings. Before the cross-checks; once. */
void definitions_join_rules(struct definitions *self, struct diagnostics *diagnostics);

/* Cross-checks: agents and sub-workflows that are named must be in the set or known through the
 * callback. Where there is nobody to ask (validate offline), known is NULL and only what the files
 * themselves contradict is reported. A file given alone may name agents that are applied elsewhere.
 * A delegate that isn't known is a warning at most: whom to delegate to is decided at run time. */
typedef bool (*definition_known_fn)(void *context, enum definition_kind kind, const char *name);
void definitions_cross_check(const struct definitions *definitions, definition_known_fn known,
                             void *context, struct diagnostics *diagnostics);

/* The hash of a canonical form: BLAKE2b-256 of its MessagePack with all keys sorted. */
void definition_hash(const value_t *canonical, uint8_t ret_hash[32]);

/* --- the canonical form ------------------------------------------------------------------------
 *
 * A map. Defaults are not filled in, shapes are normalised, empty objects are left out, and what is
 * a set is sorted, so that equal meaning gives an equal hash.
 *
 * agent:    agent, about, command [text] | builtin | external true | model "script/FILE" with rules
 *           {rules: [...]} (rules.c says its form), rerun, env {name: text}, instructions,
 *           max_tokens, tools [{command: tool}], delegates [name or glob] (sorted), repeat_tools
 *           [name] (sorted), output (schema), limits {time_us, turns, tokens, cost_microusd, depth,
 *           delegations, same_delegation}, price {input_microusd, output_microusd} (for a million
 *           tokens), process {instances_min, instances_max, parallel, memory_bytes, idle_us, network}
 * tool:     name, about, argv [text], input "json" | "stdin" | "none", parameters {name: schema},
 *           repeat "safe", timeout_us, network
 * workflow: workflow, about, input {name: schema} (also when empty), nodes [node] in the file's
 *           order, output, limits {time_us, parallel, tokens, cost_microusd, depth}, when_failed,
 *           priority, labels {name: text}
 * node:     id, agent, say | with, after [id | {node: id, if}] (sorted by id; an edge without a
 *           condition is its id), if, for, parallel, join, retry {attempts, backoff_us, factor,
 *           max_us}, timeout_us, on_error "fail" | "continue" | {fallback: agent}, disabled, about,
 *           allow_again; `if: true` is left out
 * schema:   JSON Schema's words: type, description, default, required (of an input itself: a
 *           boolean; of an object's members: sorted names), properties, items, enum, minimum, maximum */

/* --- compiled forms --------------------------------------------------------------------------- */

/* canonical is what a definition's was (also after a round trip through MessagePack); the error of
 * one that isn't says what is wrong, so a store of a newer version can't crash an older program. */
int workflow_compile(const value_t *canonical, dag_t **ret_dag, struct err *err) MUST_CHECK;

/* Checks an execution's input (NULL: none given) against the workflow's `input`, and fills in the
 * defaults. A workflow without `input` takes any value. The caller owns *ret_with_defaults.
 * ERR_INVALID with err->where such as "input.topic". */
int workflow_check_input(const value_t *canonical, const value_t *input,
                         value_t **ret_with_defaults, struct err *err) MUST_CHECK;

/* What stands in `schedule`. Texts and values are borrowed from the canonical form. */
struct workflow_schedule {
    const char *signal;     /* NULL: it starts by time, and all below counts */
    const char *cron, *zone;
    enum missed missed;
    bool alone;             /* not while the execution before still runs */
    const value_t *input;   /* NULL: none */
};
/* False: there is none. Of what a newer version stored, unknown words are read as the defaults. */
bool workflow_schedule(const value_t *canonical, struct workflow_schedule *ret_schedule);

enum agent_answers { AGENT_BUILTIN, AGENT_COMMAND, AGENT_EXTERNAL, AGENT_MODEL };

/* What a tool's program gets on its standard input: all arguments as one line of JSON, the argument
 * `input` alone (a text as it is, all else as JSON), or nothing. */
enum tool_input { TOOL_INPUT_JSON, TOOL_INPUT_STDIN, TOOL_INPUT_NONE };
struct agent_tool {
    char *name;
    char *about;
    char **argv;         /* NULL-terminated */
    enum tool_input input;
    value_t *parameters; /* JSON Schema of the arguments, an object; NULL: any object */
    bool repeat_safe;    /* may run again when its outcome is not known; repeat_tools included */
    int64_t timeout_us;  /* 0: default */
    bool network;
};

struct agent_def {
    char *name;
    char *about;
    enum agent_answers answers;
    char *builtin;             /* "echo", "sleep", "fail" */
    char **argv;               /* NULL-terminated, for AGENT_COMMAND */
    uint32_t instances_min, instances_max; /* defaults 1, 1 */
    uint32_t parallel;         /* default LIMIT_PARALLEL_COMMAND or LIMIT_PARALLEL_MODEL */
    uint64_t memory_bytes;     /* of a task's processes; default LIMIT_COMMAND_MEMORY_BYTES */
    int64_t idle_us;           /* 0: never stopped when idle */
    bool network;              /* commands may use the network */
    bool rerun_never;
    int64_t timeout_us;        /* limits.time, or the default; of one attempt; 0: none (of models) */
    char **env;                /* "NAME=value" or references "NAME=env:OTHER"; NULL-terminated */
    /* for AGENT_MODEL; delegates and limits for AGENT_EXTERNAL, too */
    char *model;               /* "script/FILE" */
    value_t *rules;            /* of a script, canonical: {rules: [...]}; NULL: not joined yet */
    char *instructions;        /* "" without any */
    uint32_t max_tokens;       /* of one turn's output; 0: default */
    struct agent_tool *tools;
    size_t tools_count;
    char **repeat_tools;       /* NULL-terminated */
    char **delegates;          /* names or globs; NULL-terminated */
    size_t delegates_count;
    value_t *output;           /* JSON Schema of the answer, or NULL */
    uint32_t turns, depth, delegations, same_delegation; /* 0: default */
    uint64_t tokens, cost_microusd;     /* of one task and all below it; 0: none */
    uint64_t input_price, output_price; /* microusd for a million tokens; 0: not known */
};
int agent_compile(const value_t *canonical, struct agent_def **ret_agent, struct err *err) MUST_CHECK;
void agent_def_destroy(struct agent_def **self_p);
/* Whether a name is one that `delegates` lists, or fits one of its globs (`*`, `?`). */
bool agent_name_fits(const char *glob, const char *name);

/* Does a value fit a JSON Schema in canonical form, such as `output` and a tool's `parameters`?
 * ERR_INVALID with err->where being the path inside the value ("links[2].url", "" for itself). What
 * the schema says in words that this version doesn't know is ERR_UNSUPPORTED. */
int schema_check_value(const value_t *schema, const value_t *value, struct err *err) MUST_CHECK;

/* --- generated documents ----------------------------------------------------------------------- */

/* The JSON Schema of a definition, for editors; and docs/definitions.md. Both come from the table of
 * keys that the validator goes by. */
value_t *definitions_json_schema(void);
void definitions_document(struct buf *out);

#endif
