/* Operators: equality, order and arithmetic (cel-spec, doc/langdef.md, "Equality", "Ordering",
 * "Overflow"). */
#include "cel/eval.h"
#include <math.h>
#include <string.h>

/* --- numbers ---------------------------------------------------------------------------------- */

static enum order order_of(bool is_less, bool is_greater)
{
    return is_less ? ORDER_LESS : is_greater ? ORDER_GREATER : ORDER_SAME;
}

static enum order reversed(enum order order)
{
    return order == ORDER_NONE ? order : (enum order)(-(int)order);
}

/* An integer beside a double is compared as one: above 2^53 neighbours may be the same, as the
 * specification's conformance data wants it ("lossy"). */
static enum order order_doubles(double a, double b)
{
    return isnan(a) || isnan(b) ? ORDER_NONE : order_of(a<b, a> b);
}

static enum order order_int_uint(int64_t a, uint64_t b)
{
    if (a < 0)
        return ORDER_LESS;
    return order_of((uint64_t)a<b, (uint64_t)a> b);
}

static enum order order_numbers(struct cell a, struct cell b)
{
    if (a.kind > b.kind)
        return reversed(order_numbers(b, a));
    if (a.kind == KIND_INT && b.kind == KIND_INT)
        return order_of(a.as.integer<b.as.integer, a.as.integer> b.as.integer);
    if (a.kind == KIND_INT && b.kind == KIND_UINT)
        return order_int_uint(a.as.integer, b.as.natural);
    if (a.kind == KIND_INT)
        return order_doubles((double)a.as.integer, b.as.number);
    if (a.kind == KIND_UINT && b.kind == KIND_UINT)
        return order_of(a.as.natural<b.as.natural, a.as.natural> b.as.natural);
    if (a.kind == KIND_UINT)
        return order_doubles((double)a.as.natural, b.as.number);
    return order_doubles(a.as.number, b.as.number);
}

_Static_assert(KIND_INT < KIND_UINT && KIND_UINT < KIND_DOUBLE, "numbers are told apart in order");

/* --- equality and order ----------------------------------------------------------------------- */

static bool lists_equal(struct eval *self, struct cell a, struct cell b)
{
    size_t size = cell_size(a);
    if (size != cell_size(b))
        return false;
    for (size_t i = 0; i < size; i++)
        if (!cell_equal(self, cell_item(a, i), cell_item(b, i)))
            return false;
    return true;
}

static bool maps_equal(struct eval *self, struct cell a, struct cell b)
{
    size_t size = cell_size(a);
    if (size != cell_size(b))
        return false;
    for (size_t i = 0; i < size; i++) {
        struct cell other;
        struct cell own;
        struct cell key = cell_key(self, a, i);
        if (self->fatal || !cell_find(self, b, key, &other) || !cell_find(self, a, key, &own) ||
            !cell_equal(self, own, other))
            return false;
    }
    return true;
}

bool cell_equal(struct eval *self, struct cell a, struct cell b)
{
    if (!eval_charge(self, 1))
        return false;
    if (is_number(a) && is_number(b))
        return order_numbers(a, b) == ORDER_SAME;
    if (a.kind != b.kind)
        return false;
    switch ((enum kind)a.kind) {
    case KIND_NULL: return true;
    case KIND_BOOL: return a.as.boolean == b.as.boolean;
    case KIND_TYPE: return a.as.type == b.as.type;
    case KIND_LIST: return lists_equal(self, a, b);
    case KIND_MAP: return maps_equal(self, a, b);
    case KIND_STRING: break;
    default: return false;
    }
    struct text left = text_of(a);
    struct text right = text_of(b);
    return left.size == right.size && eval_charge_bytes(self, left.size) &&
           memcmp(left.data, right.data, left.size) == 0;
}

/* Of UTF-8 the order of bytes is that of characters. */
bool cell_order(struct eval *self, struct cell a, struct cell b, enum order *ret)
{
    if (is_number(a) && is_number(b)) {
        *ret = order_numbers(a, b);
        return true;
    }
    if (a.kind == KIND_BOOL && b.kind == KIND_BOOL) {
        *ret = order_of(a.as.boolean<b.as.boolean, a.as.boolean> b.as.boolean);
        return true;
    }
    if (a.kind != KIND_STRING || b.kind != KIND_STRING)
        return false;
    struct text left = text_of(a);
    struct text right = text_of(b);
    size_t size = left.size < right.size ? left.size : right.size;
    (void)eval_charge_bytes(self, size);
    int order = memcmp(left.data, right.data, size);
    *ret =
        order ? order_of(order < 0, true) : order_of(left.size<right.size, left.size> right.size);
    return true;
}

/* --- arithmetic ------------------------------------------------------------------------------- */

static struct cell fail(struct eval *self, enum fault_kind kind)
{
    return fault_new(self, kind, cell_none(), cell_none());
}

static struct cell integers(struct eval *self, int64_t a, int64_t b)
{
    int64_t result = 0;
    bool overflows = false;
    switch ((enum opcode)self->op->code) {
    case OP_ADD: overflows = __builtin_add_overflow(a, b, &result); break;
    case OP_SUBTRACT: overflows = __builtin_sub_overflow(a, b, &result); break;
    case OP_MULTIPLY: overflows = __builtin_mul_overflow(a, b, &result); break;
    default:
        if (b == 0)
            return fail(self, FAULT_ZERO);
        if (a == INT64_MIN && b == -1)
            return fail(self, FAULT_OVERFLOW);
        result = self->op->code == OP_DIVIDE ? a / b : a % b;
    }
    return overflows ? fail(self, FAULT_OVERFLOW) : cell_int(result);
}

static struct cell naturals(struct eval *self, uint64_t a, uint64_t b)
{
    uint64_t result = 0;
    bool overflows = false;
    switch ((enum opcode)self->op->code) {
    case OP_ADD: overflows = __builtin_add_overflow(a, b, &result); break;
    case OP_SUBTRACT: overflows = __builtin_sub_overflow(a, b, &result); break;
    case OP_MULTIPLY: overflows = __builtin_mul_overflow(a, b, &result); break;
    default:
        if (b == 0)
            return fail(self, FAULT_ZERO);
        result = self->op->code == OP_DIVIDE ? a / b : a % b;
    }
    return overflows ? fail(self, FAULT_OVERFLOW) : cell_uint(result);
}

static struct cell doubles(struct eval *self, struct cell left, struct cell right)
{
    double a = left.as.number;
    double b = right.as.number;
    switch ((enum opcode)self->op->code) {
    case OP_ADD: return cell_double(a + b);
    case OP_SUBTRACT: return cell_double(a - b);
    case OP_MULTIPLY: return cell_double(a * b);
    case OP_DIVIDE: return cell_double(a / b);
    default: return fault_new(self, FAULT_OPERANDS, left, right);
    }
}

static struct cell join_texts(struct eval *self, struct cell a, struct cell b)
{
    struct text left = text_of(a);
    struct text right = text_of(b);
    char *joined = eval_alloc(self, left.size + right.size);
    if (!joined)
        return cell_none();
    memcpy(joined, left.data, left.size);
    memcpy(joined + left.size, right.data, right.size);
    return cell_text(self, joined, left.size + right.size);
}

static struct cell join_lists(struct eval *self, struct cell a, struct cell b)
{
    size_t left = cell_size(a);
    size_t right = cell_size(b);
    struct cell *cells = eval_alloc(self, (left + right) * sizeof *cells);
    if (!cells || !eval_charge(self, (left + right) / 4))
        return cell_none();
    for (size_t i = 0; i < left; i++)
        cells[i] = cell_item(a, i);
    for (size_t i = 0; i < right; i++)
        cells[left + i] = cell_item(b, i);
    return cell_list(self, cells, left + right);
}

struct cell cell_arithmetic(struct eval *self, struct cell a, struct cell b)
{
    if (a.kind != b.kind)
        return fault_new(self, FAULT_OPERANDS, a, b);
    switch ((enum kind)a.kind) {
    case KIND_INT: return integers(self, a.as.integer, b.as.integer);
    case KIND_UINT: return naturals(self, a.as.natural, b.as.natural);
    case KIND_DOUBLE: return doubles(self, a, b);
    case KIND_STRING:
        if (self->op->code == OP_ADD)
            return join_texts(self, a, b);
        break;
    case KIND_LIST:
        if (self->op->code == OP_ADD)
            return join_lists(self, a, b);
        break;
    default: break;
    }
    return fault_new(self, FAULT_OPERANDS, a, b);
}

struct cell cell_negate(struct eval *self, struct cell a)
{
    if (a.kind == KIND_DOUBLE)
        return cell_double(-a.as.number);
    if (a.kind != KIND_INT)
        return fault_new(self, FAULT_OPERAND, a, cell_none());
    return a.as.integer == INT64_MIN ? fail(self, FAULT_OVERFLOW) : cell_int(-a.as.integer);
}
