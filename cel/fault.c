/* What an error says. Written only when it is the outcome, since && and || may absorb it. */
#include "base/utf8.h"
#include "cel/function.h"
#include "cel/lex.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_BYTES  100
#define SHOWN_FIELDS 12

static struct cell keep(struct eval *self, enum fault_kind kind, struct cell a, struct cell b,
                        const struct err *detail)
{
    struct fault *fault = eval_alloc(self, sizeof *fault);
    if (!fault)
        return cell_none();
    *fault = (struct fault){.kind = kind, .op = self->op, .a = a, .b = b, .detail = detail};
    return (struct cell){.kind = KIND_ERROR, .as.fault = fault};
}

struct cell fault_new(struct eval *self, enum fault_kind kind, struct cell a, struct cell b)
{
    return keep(self, kind, a, b, NULL);
}

struct cell fault_with(struct eval *self, enum fault_kind kind, const struct err *detail)
{
    return keep(self, kind, cell_none(), cell_none(), detail);
}

/* The names of the project where values have them, those of CEL for what JSON tells less about. */
const char *kind_name(enum kind kind)
{
    switch (kind) {
    case KIND_NULL: return "null";
    case KIND_BOOL: return "a boolean";
    case KIND_INT: return "an integer";
    case KIND_UINT: return "an unsigned integer";
    case KIND_DOUBLE: return "a number";
    case KIND_STRING: return "a text";
    case KIND_LIST: return "a list";
    case KIND_MAP: return "an object";
    case KIND_TYPE: return "a type";
    case KIND_ERROR: break;
    }
    return "an error";
}

static const char *type_word(enum kind kind)
{
    static const char *const WORDS[] = {"error",  "null_type", "bool", "int", "uint",
                                        "double", "string",    "list", "map", "type"};
    return WORDS[kind];
}

/* A part of the expression, as it was written: "find.links". */
struct prefix {
    const char *text;
    int size;
};

static struct prefix operand_of(const struct eval *self, const struct op *op)
{
    const char *text = self->program->text;
    size_t start = op->from;
    size_t end = op->at > op->from ? op->at : op->from;
    while (start < end && strchr(" \t\r\n\f", text[start]))
        start++;
    while (end > start && strchr(" \t\r\n\f", text[end - 1]))
        end--;
    size_t shown = end - start;
    if (shown > SHOWN_BYTES)
        shown = utf8_cut(text + start, SHOWN_BYTES);
    return (struct prefix){text + start, (int)shown};
}

static int shown_size(struct text text)
{
    return (int)(text.size > SHOWN_BYTES ? utf8_cut(text.data, SHOWN_BYTES) : text.size);
}

/* A scalar as it would be written; other values by their kind. */
static const char *show(struct cell cell, char *buffer, size_t size)
{
    if (cell.kind == KIND_STRING) {
        struct text text = text_of(cell);
        snprintf(buffer, size, "\"%.*s\"%s", shown_size(text), text.data,
                 text.size > SHOWN_BYTES ? "…" : "");
    } else if (cell.kind == KIND_INT) {
        snprintf(buffer, size, "%" PRId64, cell.as.integer);
    } else if (cell.kind == KIND_UINT) {
        snprintf(buffer, size, "%" PRIu64, cell.as.natural);
    } else if (cell.kind == KIND_DOUBLE) {
        snprintf(buffer, size, "%.17g", cell.as.number);
    } else if (cell.kind == KIND_BOOL) {
        snprintf(buffer, size, "%s", cell.as.boolean ? "true" : "false");
    } else {
        snprintf(buffer, size, "%s", kind_name((enum kind)cell.kind));
    }
    return buffer;
}

/* --- fields and indexes -------------------------------------------------------------------------
 */

static struct text key_text(struct cell map, size_t index, char *buffer, size_t size)
{
    if (map.is_json) {
        struct text text = {0};
        text.data = value_key_at(map.as.json, index, &text.size);
        return text;
    }
    struct cell key = map.as.dict->keys[index];
    if (key.kind == KIND_STRING)
        return text_of(key);
    show(key, buffer, size);
    return (struct text){buffer, strlen(buffer)};
}

/* As many of the object's fields as fit the remedy. */
static void list_fields(struct cell map, struct err *err)
{
    struct buf names = {0};
    char buffer[256];
    size_t count = cell_size(map);
    size_t shown = 0;
    for (; shown < count && shown < SHOWN_FIELDS && names.size < SHOWN_BYTES; shown++) {
        struct text key = key_text(map, shown, buffer, sizeof buffer);
        buf_printf(&names, "%s%.*s", shown ? ", " : "", shown_size(key), key.data);
    }
    if (count == 0)
        err_fix(err, "the object is empty; look at what makes it");
    else if (shown == count)
        err_fix(err, "its fields are %s", buf_string(&names));
    else
        err_fix(err, "its fields are %s and %zu more", buf_string(&names), count - shown);
    buf_release(&names);
}

static int report_field(const struct eval *self, const struct fault *fault, struct err *err)
{
    struct prefix prefix = operand_of(self, fault->op);
    enum kind kind = (enum kind)fault->a.kind;
    char shown[256];
    show(fault->b, shown, sizeof shown);
    if (kind == KIND_MAP) {
        err_set(err, ERR_NOT_FOUND, "%.*s has no field %s", prefix.size, prefix.text, shown);
        list_fields(fault->a, err);
        return ERR_NOT_FOUND;
    }
    err_set(err, ERR_INVALID, "%.*s is %s and has no field %s", prefix.size, prefix.text,
            kind_name(kind), shown);
    if (kind == KIND_LIST)
        err_fix(err, "choose an item first: %.*s[0]", prefix.size, prefix.text);
    else
        err_fix(err, "only objects have fields");
    return ERR_INVALID;
}

static int report_index(const struct eval *self, const struct fault *fault, struct err *err)
{
    struct prefix prefix = operand_of(self, fault->op);
    enum kind kind = (enum kind)fault->a.kind;
    int64_t index;
    char shown[256];
    show(fault->b, shown, sizeof shown);
    if (fault->b.kind == KIND_STRING)
        return report_field(self, fault, err);
    if (kind == KIND_LIST && cell_whole(fault->b, &index)) {
        size_t size = cell_size(fault->a);
        err_set(err, ERR_NOT_FOUND, "%.*s has %zu item%s and no index %s", prefix.size, prefix.text,
                size, size == 1 ? "" : "s", shown);
        if (size == 0)
            err_fix(err, "the list is empty; look at what makes it");
        else
            err_fix(err, "its indexes go from 0 to %zu", size - 1);
        return ERR_NOT_FOUND;
    }
    if (kind == KIND_MAP && !fault->a.is_json) {
        err_set(err, ERR_NOT_FOUND, "%.*s has no index %s", prefix.size, prefix.text, shown);
        list_fields(fault->a, err);
        return ERR_NOT_FOUND;
    }
    err_set(err, ERR_INVALID, "%.*s is %s and has no index %s", prefix.size, prefix.text,
            kind_name(kind), shown);
    if (kind == KIND_MAP)
        list_fields(fault->a, err);
    else
        err_fix(err, kind == KIND_LIST ? "write a whole number from 0" : "only lists have indexes");
    return ERR_INVALID;
}

/* --- operators and functions --------------------------------------------------------------------
 */

static const char *sign_of(const struct op *op)
{
    switch ((enum opcode)op->code) {
    case OP_NOT: return "!";
    case OP_NEGATE: return "-";
    case OP_ADD: return "+";
    case OP_SUBTRACT: return "-";
    case OP_MULTIPLY: return "*";
    case OP_DIVIDE: return "/";
    case OP_REMAINDER: return "%";
    case OP_LT: return "<";
    case OP_LE: return "<=";
    case OP_GT: return ">";
    case OP_GE: return ">=";
    case OP_IN: return "in";
    case OP_AND: return "&&";
    case OP_OR: return "||";
    default: return "";
    }
}

static int report_operands(const struct fault *fault, struct err *err)
{
    struct cell a = fault->a;
    struct cell b = fault->b;
    const char *sign = sign_of(fault->op);
    if (fault->op->code == OP_AND || fault->op->code == OP_OR) {
        enum kind odd = (enum kind)(a.kind == KIND_BOOL ? b.kind : a.kind);
        err_set(err, ERR_INVALID, "%s takes booleans, not %s", sign, kind_name(odd));
        err_fix(err, "compare it with something, as in x != null");
        return ERR_INVALID;
    }
    err_set(err, ERR_INVALID, "%s can't take %s and %s", sign, kind_name((enum kind)a.kind),
            kind_name((enum kind)b.kind));
    if (fault->op->code == OP_IN)
        err_fix(err, "on its right it takes a list or an object");
    else if (is_number(a) && is_number(b))
        err_fix(err, fault->op->code == OP_REMAINDER ? "it takes integers: int(x)"
                                                     : "make both the same: double(x) or int(x)");
    else if (a.kind == KIND_STRING || b.kind == KIND_STRING)
        err_fix(err, "make both texts, string(x), or both numbers, double(x)");
    else
        err_fix(err, "give it two of one kind that it works on");
    return ERR_INVALID;
}

static int report_condition(const struct fault *fault, struct err *err)
{
    enum opcode code = (enum opcode)fault->op->code;
    const char *what = code == OP_CONDITION ? "the condition before \"?\""
                       : code == OP_NOT     ? "what \"!\" turns"
                                            : "the condition of the macro";
    err_set(err, ERR_INVALID, "%s is %s, not a boolean", what, kind_name((enum kind)fault->a.kind));
    err_fix(err, "compare it with something, as in x != null");
    return ERR_INVALID;
}

static const char *called(const struct fault *fault)
{
    return fault->op->code == OP_MATCH ? "matches" : function_name(fault->op->arg);
}

static int report_conversion(const struct fault *fault, struct err *err)
{
    char shown[256];
    const char *wanted = type_word(fault->b.as.type);
    err_set(err, ERR_INVALID, "%s() can't convert %s", wanted, show(fault->a, shown, sizeof shown));
    if (is_number(fault->a))
        err_fix(err, "it is outside of the range of %s", wanted);
    else if (fault->a.kind == KIND_STRING)
        err_fix(err, "the text does not say %s", kind_name(fault->b.as.type));
    else
        err_fix(err, "choose a part of it");
    return ERR_INVALID;
}

static int report_call(const struct eval *self, const struct fault *fault, struct err *err)
{
    char shown[256];
    const struct op *op = fault->op;
    const struct cell *name;
    struct text text;
    switch (fault->kind) {
    case FAULT_ARGUMENT:
        err_set(err, ERR_INVALID, "%s can't take %s", called(fault),
                kind_name((enum kind)fault->a.kind));
        err_fix(err, "see docs/expressions.md for what it takes");
        return ERR_INVALID;
    case FAULT_POSITION:
        err_set(err, ERR_INVALID, "%s: the position %s is outside of the text", called(fault),
                show(fault->a, shown, sizeof shown));
        err_fix(err, "positions go from 0 to size(x), and the first is not behind the second");
        return ERR_INVALID;
    case FAULT_RANGE:
        err_set(err, ERR_INVALID, "a macro goes through a list or an object, not %s",
                kind_name((enum kind)fault->a.kind));
        err_fix(err, "guard it: type(x) == list && x.exists(…)");
        return ERR_INVALID;
    default: break;
    }
    name = &self->program->constants[op->arg];
    text = text_of(*name);
    return function_unknown(text.data, text.size, op->flag, op->count, err);
}

static int report_value(const struct fault *fault, struct err *err)
{
    char shown[256];
    const char *sign = sign_of(fault->op);
    switch (fault->kind) {
    case FAULT_OVERFLOW:
        err_set(err, ERR_INVALID, "the result of %s is outside of 64 bits", sign);
        err_fix(err, "compute with double(x)");
        break;
    case FAULT_ZERO:
        err_set(err, ERR_INVALID, "%s by zero", *sign == '/' ? "division" : "remainder");
        err_fix(err, "guard it: y != 0 ? x %s y : 0", sign);
        break;
    case FAULT_KEY:
        err_set(err, ERR_INVALID, "%s can't be a key of a map",
                show(fault->a, shown, sizeof shown));
        err_fix(err, "keys are texts, integers or booleans");
        break;
    case FAULT_DUPLICATE:
        err_set(err, ERR_INVALID, "the key %s is there twice", show(fault->a, shown, sizeof shown));
        err_fix(err, "take one out");
        break;
    default:
        err_set(err, ERR_INVALID, "%s can't take %s", sign, kind_name((enum kind)fault->a.kind));
        err_fix(err, "it takes an integer or a number");
    }
    return ERR_INVALID;
}

static int report(const struct eval *self, const struct fault *fault, struct err *err)
{
    switch (fault->kind) {
    case FAULT_VARIABLE:
    case FAULT_PATTERN:
        if (err)
            *err = *fault->detail;
        return fault->detail->code;
    case FAULT_FIELD: return report_field(self, fault, err);
    case FAULT_INDEX: return report_index(self, fault, err);
    case FAULT_OPERANDS: return report_operands(fault, err);
    case FAULT_CONDITION: return report_condition(fault, err);
    case FAULT_CONVERSION: return report_conversion(fault, err);
    case FAULT_ARGUMENT:
    case FAULT_POSITION:
    case FAULT_RANGE:
    case FAULT_UNKNOWN: return report_call(self, fault, err);
    default: return report_value(fault, err);
    }
}

int fault_report(const struct eval *self, const struct fault *fault, struct err *err)
{
    int code = report(self, fault, err);
    if (err && err->column == 0)
        err->column = text_column(self->program->text, fault->op->at);
    return code;
}
