/* The text of a definition file as a tree of positioned nodes: YAML through libyaml's events, JSON
 * through a small reader of our own (libyaml lacks surrogate pairs and long keys). Scalars are
 * resolved by YAML 1.2's core schema. Everything lives in the tree's arena, for one call of
 * definitions_parse. */
#ifndef AF_DEFINITIONS_TREE_H
#define AF_DEFINITIONS_TREE_H

#include "definitions/definitions.h"
#include "definitions/source.h"

enum node_kind {
    NODE_NULL,
    NODE_BOOL,
    NODE_INT,
    NODE_FLOAT,
    NODE_TEXT,
    NODE_LIST,
    NODE_MAP,
    NODE_BAD, /* what has a flaw: reported once, then passed over in silence */
};

/* What can't be part of a definition; tree_flaw_text says it to people. */
enum node_flaw {
    FLAW_NONE,
    FLAW_TAG,
    FLAW_ALIAS,
    FLAW_ANCHOR,
    FLAW_KEY,      /* a key that is no scalar, as in `say: {{x}}` */
    FLAW_NUL,
    FLAW_OVERFLOW, /* an integer beyond 64 bits */
    FLAW_INFINITE,
};

struct node {
    uint8_t kind;  /* enum node_kind */
    uint8_t style; /* enum scalar_style, of scalars */
    uint8_t flaw;  /* enum node_flaw */
    bool flow;     /* a list or map in brackets */
    struct place place;
    uint32_t offset;  /* of that place, in bytes */
    uint32_t size;    /* items, members, or bytes of text */
    const char *text; /* of scalars as written, NUL-terminated; of a flaw: what it is about */
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct node *first; /* of lists and maps */
    };
    struct node *next; /* in the list or map */
    struct node *key;  /* of members */
};

struct document {
    struct node *root;
    size_t begin, end; /* the document's own text, comments in front of it included */
};

struct tree {
    struct arena arena;
    struct document *documents; /* in the arena */
    size_t count;
};

/* Reads all documents. What isn't YAML is reported (kinds syntax, too_large, too_deep, too_many) and
 * ends the reading; documents that came whole before it are there. */
void tree_parse(struct tree *self, const struct source *source, struct diagnostics *diagnostics);
void tree_release(struct tree *self);

const struct node *node_get(const struct node *map, const char *key); /* NULL: absent or no map */
const char *node_kind_name(const struct node *node); /* "text", "object", ... */
/* The node as a value. Nothing in it is bad. */
value_t *node_value(const struct node *node);

/* Inside the module. */
struct node *tree_node(struct tree *self, enum node_kind kind, struct place place, size_t offset);
/* Gives a plain scalar its kind by the core schema. */
void node_resolve(struct node *node);
/* Reads text that is JSON as one document; false, leaving the tree as it was, when it isn't JSON or
 * passes a limit (libyaml then says where and why). */
bool tree_read_json(struct tree *self, const struct source *source);

#endif
