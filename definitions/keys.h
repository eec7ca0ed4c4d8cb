/* The one table of keys that a definition may hold. The validator goes by it, and the JSON Schema for
 * editors and docs/definitions.md are made of it. Constant data. */
#ifndef AF_DEFINITIONS_KEYS_H
#define AF_DEFINITIONS_KEYS_H

#include "base/buf.h"
#include "definitions/instance.h"

enum key_owner {
    OWNER_AGENT,
    OWNER_AGENT_LIMITS,
    OWNER_PROCESS,
    OWNER_WORKFLOW,
    OWNER_WORKFLOW_LIMITS,
    OWNER_INPUT,
    OWNER_NODE,
    OWNER_EDGE,
    OWNER_RETRY,
    OWNER_WAIT,
    OWNER_FALLBACK,
    OWNER_SCHEDULE,
    OWNER_TOOL_KINDS,
    OWNER_TOOL,
    OWNER_PRICE,
    OWNER_RULES_FILE, /* from here on, of files that a script's rules are in */
    OWNER_RULE,
    OWNER_WHEN,
    OWNER_CALL,
    OWNER_USAGE,
    OWNER_FAILURE,
    OWNER_COUNT,
};

enum key_type {
    TYPE_NAME,       /* of an agent or workflow */
    TYPE_TEXT,
    TYPE_TEMPLATE,   /* text with {{expressions}} */
    TYPE_TEMPLATES,  /* object whose texts may hold {{expressions}} */
    TYPE_EXPRESSION,
    TYPE_CONDITION,  /* an expression, or true or false */
    TYPE_SHOWN,      /* an expression of a task, which may read its item */
    TYPE_WAIT,       /* a duration, or an object of `child` */
    TYPE_EXPIRY,     /* `fail`, or any value */
    TYPE_LIST,       /* an expression that gives a list */
    TYPE_NODE_ID,
    TYPE_INTEGER,
    TYPE_NUMBER,
    TYPE_BOOLEAN,
    TYPE_TRUE,       /* true and nothing else */
    TYPE_CHOICE,
    TYPE_DURATION,
    TYPE_SIZE,       /* of memory */
    TYPE_RANGE,      /* 3 or 1..4 */
    TYPE_ARGV,
    TYPE_ENV,
    TYPE_LABELS,
    TYPE_OBJECT,     /* of keys of `child` */
    TYPE_INPUTS,
    TYPE_NODES,
    TYPE_AFTER,      /* ids, or objects of `child` */
    TYPE_RETRY,      /* a number, or an object of `child` */
    TYPE_ON_ERROR,   /* a word, or an object of `child` */
    TYPE_SCHEMA,     /* a short type, or an object of `child` */
    TYPE_SCHEMA_TYPE,
    TYPE_SCHEMAS,    /* object of schemas */
    TYPE_REQUIRED,
    TYPE_VALUE,
    TYPE_VALUES,     /* list of any values */
    TYPE_MODEL,      /* script/FILE */
    TYPE_TOOLS,
    TYPE_TOOL_NAME,
    TYPE_TOOL_NAMES, /* of this agent */
    TYPE_DELEGATES,  /* names or globs */
    TYPE_ANSWER,     /* a schema of what an agent answers */
    TYPE_PARAMETERS, /* object of schemas of a tool's arguments */
    TYPE_DOLLARS,    /* kept as millionths */
    TYPE_RULES,
    TYPE_CALLS,
    TYPE_SPAN,       /* 3 or 2..5, kept as [least, most] */
    TYPE_ANYTHING,   /* any value whose texts may hold {{expressions}} */
    TYPE_EQUALS,     /* object of expressions and values */
    TYPE_SCHEDULE,   /* a cron expression, or an object of `child` */
    TYPE_CRON,
    TYPE_ZONE,       /* of time */
    TYPE_OTHER,      /* only of keys that this version doesn't run; `shape` says what it is */
};

struct key {
    const char *name;
    enum key_type type;
    const char *canonical;      /* its name in the canonical form, where that is another */
    const char *about;          /* one sentence without a full stop */
    const char *fallback;       /* the default, for people; NULL: none */
    double least, most;         /* of numbers, sizes in bytes, durations in microseconds, counts */
    const char *const *choices; /* NULL-terminated */
    const char *shape;          /* of TYPE_OTHER, for people */
    enum key_owner child;
    bool required;
    bool later;                 /* a word of the language that this version doesn't run yet */
};

const struct key *keys_of(enum key_owner owner, size_t *ret_count);
const struct key *key_find(enum key_owner owner, const char *name); /* NULL: none */
const char *key_canonical(const struct key *self);
const char *owner_name(enum key_owner owner); /* "an agent", "a node's retry" */

/* For people: "duration", "1 to 1000". */
void key_print_type(const struct key *self, struct buf *out);
void key_print_cap(const struct key *self, struct buf *out);

/* JSON Schema's word for either, or NULL. */
const char *type_schema_name(const char *name);

extern const char *const RESERVED_NODE_IDS[]; /* NULL-terminated */

#endif
