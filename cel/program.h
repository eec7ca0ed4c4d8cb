/* The inside of a compiled expression: operations on a stack of cells, run from first to last with
 * jumps for what is decided on the way. Immutable; its depth of stack and of loops is known. */
#ifndef AF_CEL_PROGRAM_H
#define AF_CEL_PROGRAM_H

#include "cel/cel.h"

enum kind {
    KIND_ERROR,
    KIND_NULL,
    KIND_BOOL,
    KIND_INT,
    KIND_UINT,
    KIND_DOUBLE,
    KIND_STRING,
    KIND_LIST,
    KIND_MAP,
    KIND_TYPE,
};

/* A text of the evaluation; its bytes may belong to a value, to the program or to the arena. */
struct text {
    const char *data;
    size_t size;
};

/* A list that the evaluation made. */
struct items {
    const struct cell *cells;
    size_t size;
    unsigned depth; /* of lists and maps that the evaluation made, within each other */
};

/* A map that the evaluation made; keys may be of other kinds than text. */
struct dict {
    const struct cell *keys;
    const struct cell *values;
    const uint32_t *index; /* slots of position + 1 */
    size_t size;
    size_t index_mask;
    unsigned depth;
};

/* One value. Texts, lists and maps are either parts of JSON values (is_json), borrowed from a
 * variable or from the program, or live in the arena of the evaluation. */
struct cell {
    uint8_t kind;
    bool is_json;
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural;
        double number;
        enum kind type;
        const value_t *json;
        const struct text *text;
        const struct items *items;
        const struct dict *dict;
        const struct fault *fault;
    } as;
};

enum opcode {
    OP_CONSTANT,   /* arg: constant */
    OP_VARIABLE,   /* arg: variable */
    OP_LOCAL,      /* arg: level of the loop whose item it is */
    OP_FIELD,      /* arg: constant, the name */
    OP_HAS,        /* the same: whether it is there */
    OP_INDEX,      /* container, index */
    OP_LIST,       /* count items */
    OP_MAP,        /* count pairs of key and value */
    OP_NOT,
    OP_NEGATE,
    OP_ADD, OP_SUBTRACT, OP_MULTIPLY, OP_DIVIDE, OP_REMAINDER,
    OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_IN,
    OP_CALL,       /* arg: function, with count arguments */
    OP_MATCH,      /* arg: pattern of the program; a text */
    OP_UNKNOWN,    /* arg: constant, the name of no function; count arguments */
    OP_JUMP,       /* arg: where to */
    OP_AND_JUMP,   /* arg: where to when the top is false, which stays */
    OP_OR_JUMP,    /* the same for true */
    OP_AND,
    OP_OR,
    OP_CONDITION,  /* arg: where the other branch begins; the operation before it jumps to the end */
    OP_LOOP,       /* arg: where its end is; flag: macro; count: level */
    OP_LOOP_TEST,  /* arg: the OP_LOOP_NEXT; goes on when the top is true */
    OP_LOOP_NEXT,  /* arg: where the body begins */
    OP_END,
};

enum macro { MACRO_ALL, MACRO_EXISTS, MACRO_EXISTS_ONE, MACRO_MAP, MACRO_FILTER };

struct op {
    uint8_t code;
    uint8_t flag;
    uint16_t count;
    uint32_t arg;
    uint32_t at;   /* offset in the text that errors point to */
    uint32_t from; /* where the operand that errors name begins */
};

struct cel {
    char *text; /* as written, for messages */
    size_t text_size;
    struct op *ops;
    size_t op_count;
    struct cell *constants; /* texts belong to the program */
    size_t constant_count;
    struct pattern **patterns;
    size_t pattern_count;
    char **variables;
    size_t variable_count;
    struct cel_reference *references;
    size_t reference_count;
    struct err *problem; /* the first call of no function; NULL: none */
    uint32_t stack_size;
    uint32_t loop_depth;
    bool is_path;
};

#endif
