/* One evaluation: what it may still use up, its memory, and the cells that its operations make.
 *
 * An error is a cell like any other and passes through the operations, so that && and || can absorb
 * it; its text is written at the end, if it is the outcome. Running out of a bound is no cell: it
 * ends the evaluation. */
#ifndef AF_CEL_EVAL_H
#define AF_CEL_EVAL_H

#include "base/buf.h"
#include "cel/program.h"

enum fault_kind {
    FAULT_VARIABLE,    /* detail: what the resolver said */
    FAULT_FIELD,       /* a: what has no such field; b: its name */
    FAULT_INDEX,       /* a: what has no such index; b: the index */
    FAULT_KEY,         /* a: a key that no map can have */
    FAULT_DUPLICATE,   /* a: a key that is there twice */
    FAULT_OPERANDS,    /* a, b: what an operator can't take */
    FAULT_OPERAND,     /* a */
    FAULT_CONDITION,   /* a: what is no boolean */
    FAULT_RANGE,       /* a: what a macro can't go through */
    FAULT_OVERFLOW,
    FAULT_ZERO,
    FAULT_ARGUMENT,    /* a: the argument that a function can't take */
    FAULT_CONVERSION,  /* a: what can't become the type b */
    FAULT_POSITION,    /* a: a position outside of a text */
    FAULT_PATTERN,     /* detail: what the engine of patterns said */
    FAULT_UNKNOWN,     /* a: the name */
};

struct fault {
    enum fault_kind kind;
    const struct op *op;
    struct cell a;
    struct cell b;
    const struct err *detail;
};

struct slot {
    value_t *root; /* keeps the cell's value */
    struct cell cell;
    bool is_known;
};

struct loop {
    struct cell range;
    struct cell item;
    struct cell failure; /* all, exists: the first error; kind 0 when there is none */
    struct cell *items;  /* map, filter: what is kept */
    size_t index;
    size_t size;
    size_t kept;
    size_t capacity;
    bool has_failure;
};

struct eval {
    const cel_t *program;
    const struct op *op; /* that is being run, for errors */
    cel_resolve_fn resolve;
    void *context;
    struct err *err;
    int fatal; /* set: the evaluation has ended, and err is filled */
    int64_t steps;
    struct arena arena;
    struct cell *stack;
    struct slot *slots;
    struct loop *loops;
    struct pattern *pattern; /* the last that was not known before */
    struct text pattern_text;
};

/* Uses up steps, or memory; false when the evaluation is over. */
bool eval_charge(struct eval *self, size_t steps);
bool eval_charge_bytes(struct eval *self, size_t bytes); /* read or written */
/* NULL when the evaluation is over. */
void *eval_alloc(struct eval *self, size_t size);
/* Ends the evaluation. */
struct cell eval_end(struct eval *self, int code, const char *what, const char *fix);

struct cell fault_new(struct eval *self, enum fault_kind kind, struct cell a, struct cell b);
struct cell fault_with(struct eval *self, enum fault_kind kind, const struct err *detail);
/* Writes the fault's text; gives its code. */
int fault_report(const struct eval *self, const struct fault *fault, struct err *err);
const char *kind_name(enum kind kind); /* "a text" */

static inline struct cell cell_none(void)
{
    return (struct cell){.kind = KIND_NULL};
}

static inline struct cell cell_bool(bool boolean)
{
    return (struct cell){.kind = KIND_BOOL, .as.boolean = boolean};
}

static inline struct cell cell_int(int64_t integer)
{
    return (struct cell){.kind = KIND_INT, .as.integer = integer};
}

static inline struct cell cell_uint(uint64_t natural)
{
    return (struct cell){.kind = KIND_UINT, .as.natural = natural};
}

static inline struct cell cell_double(double number)
{
    return (struct cell){.kind = KIND_DOUBLE, .as.number = number};
}

static inline bool is_number(struct cell cell)
{
    return cell.kind == KIND_INT || cell.kind == KIND_UINT || cell.kind == KIND_DOUBLE;
}

/* A part of a JSON value, which must outlive the cell. */
struct cell cell_of(const value_t *value);
/* The bytes must outlive the evaluation's use of them: they are not copied. */
struct cell cell_text(struct eval *self, const char *data, size_t size);
struct text text_of(struct cell cell);
size_t cell_size(struct cell cell); /* of a list or map */
struct cell cell_item(struct cell list, size_t index);
struct cell cell_key(struct eval *self, struct cell map, size_t index);
/* Both take the cells over, which must live in the arena. */
struct cell cell_list(struct eval *self, const struct cell *cells, size_t size);
struct cell cell_map(struct eval *self, const struct cell *pairs, size_t count);
/* False when it is not there. */
bool cell_find(struct eval *self, struct cell map, struct cell key, struct cell *ret);
bool cell_find_text(struct eval *self, struct cell map, struct text key, struct cell *ret);
/* An index that stands for a whole number, be it 1, 1u or 1.0. */
bool cell_whole(struct cell cell, int64_t *ret);

bool cell_equal(struct eval *self, struct cell a, struct cell b);
enum order { ORDER_LESS = -1, ORDER_SAME, ORDER_GREATER, ORDER_NONE };
/* False when the two can't be compared. ORDER_NONE: one is no number (NaN). */
bool cell_order(struct eval *self, struct cell a, struct cell b, enum order *ret);
struct cell cell_arithmetic(struct eval *self, struct cell a, struct cell b);
struct cell cell_negate(struct eval *self, struct cell a);

/* The outcome as a JSON value; ERR_… with err filled. */
int cell_to_value(struct eval *self, struct cell cell, value_t **ret_value);

#endif
