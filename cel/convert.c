/* Conversions between types (cel-spec, doc/langdef.md, "List of Standard Definitions"). */
#include "cel/function.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cell refuse(struct eval *self, struct cell cell, enum kind wanted)
{
    struct cell type = {.kind = KIND_TYPE, .as.type = wanted};
    return fault_new(self, FAULT_CONVERSION, cell, type);
}

struct cell convert_dyn(struct eval *self, const struct cell *args, size_t count)
{
    (void)self;
    (void)count;
    return args[0];
}

struct cell type_of(struct eval *self, const struct cell *args, size_t count)
{
    (void)self;
    (void)count;
    return (struct cell){.kind = KIND_TYPE, .as.type = (enum kind)args[0].kind};
}

/* Decimal digits with an optional minus sign; false when they are none or don't fit. */
static bool read_digits(struct text text, bool *ret_negative, uint64_t *ret_number)
{
    size_t at = text.size > 0 && text.data[0] == '-' ? 1 : 0;
    *ret_negative = at > 0;
    *ret_number = 0;
    if (at == text.size)
        return false;
    for (; at < text.size; at++) {
        char c = text.data[at];
        if (c < '0' || c > '9' || __builtin_mul_overflow(*ret_number, 10u, ret_number) ||
            __builtin_add_overflow(*ret_number, (uint64_t)(c - '0'), ret_number))
            return false;
    }
    return true;
}

struct cell convert_int(struct eval *self, const struct cell *args, size_t count)
{
    struct cell arg = args[0];
    bool is_negative;
    uint64_t number;
    (void)count;
    switch ((enum kind)arg.kind) {
    case KIND_INT: return arg;
    case KIND_UINT:
        if (arg.as.natural <= INT64_MAX)
            return cell_int((int64_t)arg.as.natural);
        break;
    case KIND_DOUBLE: /* the specification leaves the two ends out, which no double has exactly */
        if (arg.as.number > -0x1p63 && arg.as.number < 0x1p63)
            return cell_int((int64_t)arg.as.number);
        break;
    case KIND_STRING:
        if (!read_digits(text_of(arg), &is_negative, &number))
            break;
        if (number <= INT64_MAX)
            return cell_int(is_negative ? -(int64_t)number : (int64_t)number);
        if (is_negative && number == (uint64_t)INT64_MAX + 1)
            return cell_int(INT64_MIN);
        break;
    default: break;
    }
    return refuse(self, arg, KIND_INT);
}

struct cell convert_uint(struct eval *self, const struct cell *args, size_t count)
{
    struct cell arg = args[0];
    bool is_negative;
    uint64_t number;
    (void)count;
    if (arg.kind == KIND_UINT)
        return arg;
    if (arg.kind == KIND_INT && arg.as.integer >= 0)
        return cell_uint((uint64_t)arg.as.integer);
    if (arg.kind == KIND_DOUBLE && arg.as.number > -1 && arg.as.number < 0x1p64)
        return cell_uint((uint64_t)arg.as.number);
    if (arg.kind == KIND_STRING && read_digits(text_of(arg), &is_negative, &number) && !is_negative)
        return cell_uint(number);
    return refuse(self, arg, KIND_UINT);
}

/* As numbers are written in JSON, a point without digits on one side and a plus allowed. */
static bool is_decimal(struct text text)
{
    size_t digits = 0;
    size_t at = text.size > 0 && strchr("+-", text.data[0]) && text.data[0] ? 1 : 0;
    bool has_point = false;
    for (; at < text.size; at++) {
        char c = text.data[at];
        if (c >= '0' && c <= '9')
            digits++;
        else if (c == '.' && !has_point)
            has_point = true;
        else
            break;
    }
    if (digits == 0 || at == text.size)
        return digits > 0;
    if (text.data[at] != 'e' && text.data[at] != 'E')
        return false;
    at++;
    if (at < text.size && (text.data[at] == '+' || text.data[at] == '-'))
        at++;
    size_t first = at;
    while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9')
        at++;
    return at == text.size && at > first;
}

static bool text_is(struct text text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static bool read_double(struct eval *self, struct text text, double *ret)
{
    size_t sign = text.size > 0 && text.data[0] == '-' ? 1 : 0;
    struct text rest = {text.data + sign, text.size - sign};
    if (text_is(rest, "Infinity") || text_is(rest, "Inf")) {
        *ret = sign ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    if (text_is(text, "NaN")) {
        *ret = (double)NAN;
        return true;
    }
    if (text.size > 4096 || !is_decimal(text) || !eval_charge(self, text.size))
        return false;
    char *copy = arena_strndup(&self->arena, text.data, text.size);
    *ret = strtod(copy, NULL);
    return isfinite(*ret);
}

struct cell convert_double(struct eval *self, const struct cell *args, size_t count)
{
    double number;
    (void)count;
    switch ((enum kind)args[0].kind) {
    case KIND_DOUBLE: return args[0];
    case KIND_INT: return cell_double((double)args[0].as.integer);
    case KIND_UINT: return cell_double((double)args[0].as.natural);
    case KIND_STRING:
        if (read_double(self, text_of(args[0]), &number))
            return cell_double(number);
        break;
    default: break;
    }
    return refuse(self, args[0], KIND_DOUBLE);
}

/* The shortest digits that read back the same, with an exponent where there would be many zeros:
 * 1, 123.456, 1000000, 1e+21, 1.38e-23. */
static void write_double(double number, char *text, size_t size)
{
    char digits[40];
    int precision = 0;
    if (!isfinite(number)) {
        snprintf(text, size, "%s", isnan(number) ? "NaN" : number > 0 ? "+Inf" : "-Inf");
        return;
    }
    do
        snprintf(digits, sizeof digits, "%.*e", precision, number);
    while (strtod(digits, NULL) != number && ++precision < 17);
    long exponent = strtol(strchr(digits, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= 21)
        snprintf(text, size, "%s", digits);
    else
        snprintf(text, size, "%.*f", exponent < precision ? precision - (int)exponent : 0, number);
}

static struct cell keep_text(struct eval *self, const char *text)
{
    char *own = eval_alloc(self, strlen(text) + 1);
    if (!own)
        return cell_none();
    memcpy(own, text, strlen(text));
    return cell_text(self, own, strlen(text));
}

struct cell convert_string(struct eval *self, const struct cell *args, size_t count)
{
    char text[64];
    (void)count;
    switch ((enum kind)args[0].kind) {
    case KIND_STRING: return args[0];
    case KIND_BOOL: return keep_text(self, args[0].as.boolean ? "true" : "false");
    case KIND_INT: snprintf(text, sizeof text, "%" PRId64, args[0].as.integer); break;
    case KIND_UINT: snprintf(text, sizeof text, "%" PRIu64, args[0].as.natural); break;
    case KIND_DOUBLE: write_double(args[0].as.number, text, sizeof text); break;
    default: return refuse(self, args[0], KIND_STRING);
    }
    return eval_charge(self, 20) ? keep_text(self, text) : cell_none();
}

struct cell convert_bool(struct eval *self, const struct cell *args, size_t count)
{
    static const char *const WORDS[2][6] = {{"0", "f", "false", "FALSE", "False", "F"},
                                            {"1", "t", "true", "TRUE", "True", "T"}};
    (void)count;
    if (args[0].kind == KIND_BOOL)
        return args[0];
    for (int i = 0; args[0].kind == KIND_STRING && i < 2; i++)
        for (int j = 0; j < 6; j++)
            if (text_is(text_of(args[0]), WORDS[i][j]))
                return cell_bool(i == 1);
    return refuse(self, args[0], KIND_BOOL);
}
