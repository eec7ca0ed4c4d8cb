/* Runs programs. */
#include "cel/eval.h"

#include "base/limits.h"
#include "cel/function.h"
#include "cel/pattern.h"
#include <string.h>

#define NEAR_CELLS 32 /* these many take no memory of their own */
#define NEAR_SLOTS 8
#define NEAR_LOOPS 2

static bool is_error(struct cell cell)
{
    return cell.kind == KIND_ERROR;
}

static bool is_true(struct cell cell)
{
    return cell.kind == KIND_BOOL && cell.as.boolean;
}

static bool is_false(struct cell cell)
{
    return cell.kind == KIND_BOOL && !cell.as.boolean;
}

/* --- variables, fields, indexes -----------------------------------------------------------------
 */

static struct cell load_variable(struct eval *self, uint32_t index)
{
    struct slot *slot = &self->slots[index];
    if (slot->is_known)
        return slot->cell;
    struct err detail;
    detail.code = 0;
    detail.what[0] = detail.where[0] = detail.fix[0] = '\0';
    detail.line = detail.column = 0;
    int code = self->resolve(self->context, self->program->variables[index], &slot->root, &detail);
    slot->is_known = true;
    if (code == 0) {
        slot->cell = cell_of(slot->root);
        return slot->cell;
    }
    if (code != ERR_NOT_FOUND) {
        self->fatal = code;
        if (self->err)
            *self->err = detail;
        return cell_none();
    }
    struct err *kept = eval_alloc(self, sizeof *kept);
    if (!kept)
        return cell_none();
    *kept = detail;
    kept->code = code;
    slot->cell = fault_with(self, FAULT_VARIABLE, kept);
    return slot->cell;
}

static struct cell field(struct eval *self, struct cell container, struct cell name, bool only_has)
{
    struct cell found;
    if (is_error(container))
        return container;
    if (container.kind == KIND_MAP) {
        bool is_there = cell_find_text(self, container, text_of(name), &found);
        if (only_has)
            return cell_bool(is_there);
        if (is_there)
            return found;
    }
    return fault_new(self, FAULT_FIELD, container, name);
}

static struct cell item(struct eval *self, struct cell container, struct cell index)
{
    struct cell found;
    int64_t whole;
    if (is_error(container) || is_error(index))
        return is_error(container) ? container : index;
    if (container.kind == KIND_MAP && cell_find(self, container, index, &found))
        return found;
    if (container.kind == KIND_LIST && cell_whole(index, &whole) && whole >= 0 &&
        (uint64_t)whole < cell_size(container))
        return cell_item(container, (size_t)whole);
    return fault_new(self, FAULT_INDEX, container, index);
}

/* --- operators -------------------------------------------------------------------------------- */

static struct cell contains(struct eval *self, struct cell member, struct cell container)
{
    struct cell found;
    if (container.kind == KIND_MAP)
        return cell_bool(cell_find(self, container, member, &found));
    if (container.kind != KIND_LIST)
        return fault_new(self, FAULT_OPERANDS, member, container);
    size_t size = cell_size(container);
    for (size_t i = 0; i < size && !self->fatal; i++)
        if (cell_equal(self, member, cell_item(container, i)))
            return cell_bool(true);
    return cell_bool(false);
}

static struct cell compare(struct eval *self, struct cell a, struct cell b)
{
    enum order order;
    if (!cell_order(self, a, b, &order))
        return fault_new(self, FAULT_OPERANDS, a, b);
    switch ((enum opcode)self->op->code) {
    case OP_LT: return cell_bool(order == ORDER_LESS);
    case OP_LE: return cell_bool(order == ORDER_LESS || order == ORDER_SAME);
    case OP_GT: return cell_bool(order == ORDER_GREATER);
    default: return cell_bool(order == ORDER_GREATER || order == ORDER_SAME);
    }
}

static struct cell binary(struct eval *self, struct cell a, struct cell b)
{
    if (is_error(a) || is_error(b))
        return is_error(a) ? a : b;
    switch ((enum opcode)self->op->code) {
    case OP_EQ: return cell_bool(cell_equal(self, a, b));
    case OP_NE: return cell_bool(!cell_equal(self, a, b));
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE: return compare(self, a, b);
    case OP_IN: return contains(self, a, b);
    case OP_INDEX: return item(self, a, b);
    default: return cell_arithmetic(self, a, b);
    }
}

/* The side that decides wins over an error on the other one. */
static struct cell logical(struct eval *self, struct cell a, struct cell b)
{
    bool decides = self->op->code == OP_OR;
    if (decides ? is_true(a) || is_true(b) : is_false(a) || is_false(b))
        return cell_bool(decides);
    if (is_error(a) || is_error(b))
        return is_error(a) ? a : b;
    if (a.kind == KIND_BOOL && b.kind == KIND_BOOL)
        return cell_bool(!decides);
    return fault_new(self, FAULT_OPERANDS, a, b);
}

static struct cell unary(struct eval *self, struct cell a)
{
    if (is_error(a))
        return a;
    if (self->op->code == OP_NEGATE)
        return cell_negate(self, a);
    return a.kind == KIND_BOOL ? cell_bool(!a.as.boolean)
                               : fault_new(self, FAULT_CONDITION, a, cell_none());
}

static const struct op *branch(struct eval *self, struct cell condition, struct cell *top)
{
    const struct op *ops = self->program->ops;
    if (is_true(condition))
        return self->op + 1;
    if (is_false(condition))
        return ops + self->op->arg;
    *top =
        is_error(condition) ? condition : fault_new(self, FAULT_CONDITION, condition, cell_none());
    return ops + ops[self->op->arg - 1].arg;
}

static struct cell call(struct eval *self, const struct cell *args)
{
    size_t count = self->op->code == OP_MATCH ? 1 : self->op->count;
    for (size_t i = 0; i < count; i++)
        if (is_error(args[i]))
            return args[i];
    if (self->op->code == OP_MATCH)
        return text_matches(self, args, 1);
    return function_at(self->op->arg)(self, args, count);
}

static struct cell collection(struct eval *self, const struct cell *cells)
{
    bool is_list = self->op->code == OP_LIST;
    size_t count = (size_t)self->op->count * (is_list ? 1 : 2);
    for (size_t i = 0; i < count; i++)
        if (is_error(cells[i]))
            return cells[i];
    if (!is_list)
        return cell_map(self, cells, self->op->count);
    struct cell *own = eval_alloc(self, count * sizeof *own);
    if (!own)
        return cell_none();
    if (count > 0)
        memcpy(own, cells, count * sizeof *own);
    return cell_list(self, own, count);
}

/* --- macros ----------------------------------------------------------------------------------- */

static struct cell loop_result(struct eval *self, const struct loop *loop, enum macro macro)
{
    switch (macro) {
    case MACRO_ALL:
    case MACRO_EXISTS: return loop->has_failure ? loop->failure : cell_bool(macro == MACRO_ALL);
    case MACRO_EXISTS_ONE: return cell_bool(loop->kept == 1);
    default: return cell_list(self, loop->items, loop->kept);
    }
}

static void take_item(struct eval *self, struct loop *loop)
{
    loop->item = loop->range.kind == KIND_LIST ? cell_item(loop->range, loop->index)
                                               : cell_key(self, loop->range, loop->index);
}

/* Either into the body, or past the end with the result in *top. */
static const struct op *loop_begin(struct eval *self, struct cell range, struct cell *top)
{
    struct loop *loop = &self->loops[self->op->count];
    const struct op *end = self->program->ops + self->op->arg;
    *loop = (struct loop){.range = range};
    if (range.kind == KIND_LIST || range.kind == KIND_MAP) {
        loop->size = cell_size(range);
        if (loop->size > 0) {
            take_item(self, loop);
            return self->op + 1;
        }
        *top = loop_result(self, loop, (enum macro)self->op->flag);
    } else {
        *top = is_error(range) ? range : fault_new(self, FAULT_RANGE, range, cell_none());
    }
    return end;
}

static void keep(struct eval *self, struct loop *loop, struct cell cell)
{
    if (loop->kept == loop->capacity) {
        size_t capacity = loop->capacity * 2 + 8;
        if (capacity > loop->size)
            capacity = loop->size;
        struct cell *items = eval_alloc(self, capacity * sizeof *items);
        if (!items)
            return;
        if (loop->kept > 0)
            memcpy(items, loop->items, loop->kept * sizeof *items);
        loop->items = items;
        loop->capacity = capacity;
    }
    loop->items[loop->kept++] = cell;
}

/* On to the next item, or out of the loop, whose end is `next`. */
static const struct op *loop_step(struct eval *self, struct loop *loop, const struct op *next,
                                  struct cell *top)
{
    if (++loop->index < loop->size) {
        take_item(self, loop);
        return self->program->ops + next->arg;
    }
    *top = loop_result(self, loop, (enum macro)next->flag);
    return next + 1;
}

/* At the predicate of map(x, p, t): false goes on without t. */
static const struct op *loop_test(struct eval *self, struct cell predicate, struct cell *top)
{
    struct loop *loop = &self->loops[self->op->count];
    const struct op *next = self->program->ops + self->op->arg;
    if (is_true(predicate))
        return self->op + 1;
    if (is_false(predicate))
        return loop_step(self, loop, next, top);
    *top =
        is_error(predicate) ? predicate : fault_new(self, FAULT_CONDITION, predicate, cell_none());
    return next + 1;
}

static const struct op *loop_next(struct eval *self, struct cell outcome, struct cell *top)
{
    struct loop *loop = &self->loops[self->op->count];
    enum macro macro = (enum macro)self->op->flag;
    bool is_map = macro == MACRO_MAP;
    if (!is_map && !is_error(outcome) && outcome.kind != KIND_BOOL)
        outcome = fault_new(self, FAULT_CONDITION, outcome, cell_none());
    bool decides = macro == MACRO_ALL      ? is_false(outcome)
                   : macro == MACRO_EXISTS ? is_true(outcome)
                                           : is_error(outcome);
    if (decides) {
        *top = outcome;
        return self->op + 1;
    }
    if (is_map)
        keep(self, loop, outcome);
    else if (macro == MACRO_FILTER && is_true(outcome))
        keep(self, loop, loop->item);
    else if (macro == MACRO_EXISTS_ONE && is_true(outcome))
        loop->kept++;
    else if (is_error(outcome) && !loop->has_failure) {
        loop->has_failure = true;
        loop->failure = outcome;
    }
    return loop_step(self, loop, self->op, top);
}

/* --- the run ---------------------------------------------------------------------------------- */

/* An operation that takes cells from the top, at `top - takes`, and leaves one there. */
static size_t taken_by(const struct op *op)
{
    switch ((enum opcode)op->code) {
    case OP_LIST:
    case OP_CALL:
    case OP_UNKNOWN: return op->count;
    case OP_MAP: return 2 * (size_t)op->count;
    default: return 1;
    }
}

static struct cell from_many(struct eval *self, const struct cell *cells)
{
    switch ((enum opcode)self->op->code) {
    case OP_LIST:
    case OP_MAP: return collection(self, cells);
    case OP_UNKNOWN:
        return fault_new(self, FAULT_UNKNOWN, self->program->constants[self->op->arg], cell_none());
    default: return call(self, cells);
    }
}

/* One case for each operation; they are short, since the time is spent here. */
static struct cell run(struct eval *self)
{
    const struct op *ops = self->program->ops;
    const struct cell *constants = self->program->constants;
    const struct op *op = ops;
    struct cell *top = self->stack; /* the next free place */
    for (; !self->fatal; self->steps--) {
        self->op = op;
        if (self->steps <= 0)
            (void)eval_charge(self, 1);
        switch ((enum opcode)op->code) {
        case OP_CONSTANT: *top++ = constants[op++->arg]; break;
        case OP_VARIABLE: *top++ = load_variable(self, op++->arg); break;
        case OP_LOCAL: *top++ = self->loops[op++->arg].item; break;
        case OP_FIELD:
        case OP_HAS:
            top[-1] = field(self, top[-1], constants[op->arg], op->code == OP_HAS);
            op++;
            break;
        case OP_NOT:
        case OP_NEGATE:
            top[-1] = unary(self, top[-1]);
            op++;
            break;
        case OP_LIST:
        case OP_MAP:
        case OP_CALL:
        case OP_MATCH:
        case OP_UNKNOWN:
            top -= taken_by(op++);
            *top = from_many(self, top);
            top++;
            break;
        case OP_JUMP: op = ops + op->arg; break;
        case OP_AND_JUMP: op = is_false(top[-1]) ? ops + op->arg : op + 1; break;
        case OP_OR_JUMP: op = is_true(top[-1]) ? ops + op->arg : op + 1; break;
        case OP_AND:
        case OP_OR:
            top--;
            top[-1] = logical(self, top[-1], top[0]);
            op++;
            break;
        case OP_CONDITION:
            top--;
            op = branch(self, *top, top);
            top += op != ops + self->op->arg && op != self->op + 1;
            break;
        case OP_LOOP:
            top--;
            op = loop_begin(self, *top, top);
            top += op != self->op + 1;
            break;
        case OP_LOOP_TEST:
            top--;
            op = loop_test(self, *top, top);
            top += op == ops + self->op->arg + 1;
            break;
        case OP_LOOP_NEXT:
            top--;
            op = loop_next(self, *top, top);
            top += op == self->op + 1;
            break;
        case OP_END: return self->stack[0];
        default:
            top--;
            top[-1] = binary(self, top[-1], top[0]);
            op++;
        }
    }
    return cell_none();
}

static int finish(struct eval *self, struct cell result, value_t **ret_value)
{
    int code = self->fatal;
    if (!code && is_error(result))
        return fault_report(self, result.as.fault, self->err);
    if (!code)
        code = cell_to_value(self, result, ret_value);
    if (!code && !result.is_json && (result.kind == KIND_LIST || result.kind == KIND_MAP))
        code = value_check_limits(*ret_value, self->err);
    if (code && self->err && self->err->column == 0 && !self->fatal)
        self->err->column = 1;
    if (code)
        value_destroy(ret_value);
    return code;
}

int cel_eval_within(const cel_t *self, cel_resolve_fn resolve, void *context, int64_t *steps,
                    value_t **ret_value, struct err *err)
{
    struct cell cells[NEAR_CELLS];
    struct slot slots[NEAR_SLOTS];
    struct loop loops[NEAR_LOOPS];
    struct eval eval = {.program = self,
                        .op = self->ops,
                        .resolve = resolve,
                        .context = context,
                        .err = err,
                        .steps = *steps,
                        .stack = cells,
                        .slots = slots,
                        .loops = loops};
    value_t *value = NULL;
    if (self->stack_size > NEAR_CELLS)
        eval.stack = arena_alloc(&eval.arena, self->stack_size * sizeof cells[0]);
    if (self->variable_count > NEAR_SLOTS)
        eval.slots = arena_alloc(&eval.arena, self->variable_count * sizeof slots[0]);
    if (self->loop_depth > NEAR_LOOPS)
        eval.loops = arena_alloc(&eval.arena, self->loop_depth * sizeof loops[0]);
    for (size_t i = 0; i < self->variable_count; i++)
        eval.slots[i] = (struct slot){0};
    int code = finish(&eval, run(&eval), &value);
    *steps = eval.steps;
    if (!code)
        *ret_value = value;
    for (size_t i = 0; i < self->variable_count; i++)
        value_destroy(&eval.slots[i].root);
    pattern_destroy(&eval.pattern);
    arena_release(&eval.arena);
    return code;
}

int cel_eval(const cel_t *self, cel_resolve_fn resolve, void *context, value_t **ret_value,
             struct err *err)
{
    int64_t steps = LIMIT_EXPRESSION_STEPS;
    return cel_eval_within(self, resolve, context, &steps, ret_value, err);
}
