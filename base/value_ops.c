/* What is done with whole trees: comparing, copying, measuring, patching. */
#include "base/value_tree.h"

#include "base/limits.h"
#include <string.h>

/* Exact: an integer that a double can't hold is not equal to its neighbour that it can. */
static bool int_equals_double(int64_t i, double d)
{
    return d >= -0x1p63 && d < 0x1p63 && (int64_t)d == i && (double)(int64_t)d == d;
}

static bool list_equal(const value_t *a, const value_t *b)
{
    if (a->as.list.size != b->as.list.size)
        return false;
    for (uint32_t i = 0; i < a->as.list.size; i++)
        if (!value_equal(a->as.list.items[i], b->as.list.items[i]))
            return false;
    return true;
}

static bool map_equal(const value_t *a, const value_t *b)
{
    if (a->as.map.size != b->as.map.size)
        return false;
    for (uint32_t i = 0; i < a->as.map.size; i++) {
        const struct member *member = &a->as.map.members[i];
        const value_t *other = value_get_n(b, member->key, member->key_size);
        if (!other || !value_equal(member->value, other))
            return false;
    }
    return true;
}

bool value_equal(const value_t *a, const value_t *b)
{
    if (a == b)
        return true;
    if (a->type == VALUE_INT && b->type == VALUE_DOUBLE)
        return int_equals_double(a->as.integer, b->as.number);
    if (a->type == VALUE_DOUBLE && b->type == VALUE_INT)
        return int_equals_double(b->as.integer, a->as.number);
    if (a->type != b->type)
        return false;
    switch ((enum value_type)a->type) {
    case VALUE_NULL: return true;
    case VALUE_BOOL: return a->as.boolean == b->as.boolean;
    case VALUE_INT: return a->as.integer == b->as.integer;
    case VALUE_DOUBLE: return a->as.number == b->as.number;
    case VALUE_STRING:
        return a->as.text_size == b->as.text_size &&
               memcmp(value_as_string(a), value_as_string(b), a->as.text_size) == 0;
    case VALUE_LIST: return list_equal(a, b);
    case VALUE_MAP: return map_equal(a, b);
    }
    return false;
}

/* Only lists and maps can be changed, so everything else is shared. */
value_t *value_copy(const value_t *self)
{
    if (self->type == VALUE_LIST) {
        value_t *list = value_list();
        for (uint32_t i = 0; i < self->as.list.size; i++) {
            value_t *item = value_copy(self->as.list.items[i]);
            value_append(list, &item);
        }
        return list;
    }
    if (self->type == VALUE_MAP) {
        value_t *map = value_map();
        for (uint32_t i = 0; i < self->as.map.size; i++) {
            const struct member *member = &self->as.map.members[i];
            value_add_member(map, member->key, member->key_size, value_copy(member->value));
        }
        return map;
    }
    return value_ref(self);
}

size_t value_depth(const value_t *self)
{
    size_t deepest = 0;
    if (self->type == VALUE_LIST) {
        for (uint32_t i = 0; i < self->as.list.size; i++) {
            size_t depth = value_depth(self->as.list.items[i]);
            deepest = depth > deepest ? depth : deepest;
        }
    } else if (self->type == VALUE_MAP) {
        for (uint32_t i = 0; i < self->as.map.size; i++) {
            size_t depth = value_depth(self->as.map.members[i].value);
            deepest = depth > deepest ? depth : deepest;
        }
    } else {
        return 0;
    }
    return deepest + 1;
}

struct measure {
    uint64_t bytes; /* of the MessagePack */
    uint32_t items;
    unsigned depth;
    int code;
};

static uint64_t head_bytes(uint64_t size, uint64_t inline_limit)
{
    return size < inline_limit ? 1 : size <= UINT16_MAX ? 3 : 5;
}

static uint64_t text_bytes(uint64_t size)
{
    return size + (size >= 32 && size <= UINT8_MAX ? 2 : head_bytes(size, 32));
}

static uint64_t int_bytes(int64_t i)
{
    if (i >= 0)
        return i < 128 ? 1 : i <= UINT8_MAX ? 2 : i <= UINT16_MAX ? 3 : i <= UINT32_MAX ? 5 : 9;
    return i >= -32 ? 1 : i >= INT8_MIN ? 2 : i >= INT16_MIN ? 3 : i >= INT32_MIN ? 5 : 9;
}

static void add_measure(struct measure *self, const value_t *value);

static void add_content(struct measure *self, const value_t *value)
{
    if (++self->depth > LIMIT_VALUE_DEPTH)
        self->code = ERR_TOO_DEEP;
    if (value->type == VALUE_LIST)
        for (uint32_t i = 0; i < value->as.list.size && !self->code; i++)
            add_measure(self, value->as.list.items[i]);
    else
        for (uint32_t i = 0; i < value->as.map.size && !self->code; i++) {
            self->bytes += text_bytes(value->as.map.members[i].key_size);
            add_measure(self, value->as.map.members[i].value);
        }
    self->depth--;
}

static void add_measure(struct measure *self, const value_t *value)
{
    switch ((enum value_type)value->type) {
    case VALUE_NULL:
    case VALUE_BOOL: self->bytes += 1; break;
    case VALUE_INT: self->bytes += int_bytes(value->as.integer); break;
    case VALUE_DOUBLE: self->bytes += 9; break;
    case VALUE_STRING: self->bytes += text_bytes(value->as.text_size); break;
    case VALUE_LIST:
    case VALUE_MAP: self->bytes += head_bytes(value_size(value), 16); break;
    }
    if (++self->items > LIMIT_VALUE_ITEMS || self->bytes > LIMIT_VALUE_BYTES)
        self->code = ERR_TOO_LARGE;
    if (!self->code && (value->type == VALUE_LIST || value->type == VALUE_MAP))
        add_content(self, value);
}

int value_check_limits(const value_t *self, struct err *err)
{
    struct measure measure = {0};
    add_measure(&measure, self);
    if (measure.code == ERR_TOO_DEEP) {
        err_set(err, ERR_TOO_DEEP, "the value is nested deeper than %d levels", LIMIT_VALUE_DEPTH);
        err_fix(err, "flatten it");
    } else if (measure.code == ERR_TOO_LARGE) {
        err_set(err, ERR_TOO_LARGE, "the value has more than %u bytes or holds more than %u values",
                LIMIT_VALUE_BYTES, LIMIT_VALUE_ITEMS);
        err_fix(err, "pass on only what is needed of it");
    }
    return measure.code;
}

/* Members of the target keep their places, new ones follow in the patch's order. Below a member
 * that the target lacks the patch is still applied, since its nulls must go (RFC 7396, section 2).
 */
static value_t *merge_maps(const value_t *target, const value_t *patch)
{
    value_t *merged = value_map();
    bool is_map = target && target->type == VALUE_MAP;
    for (uint32_t i = 0; is_map && i < target->as.map.size; i++) {
        const struct member *old = &target->as.map.members[i];
        const value_t *change = value_get_n(patch, old->key, old->key_size);
        if (change && change->type == VALUE_NULL)
            continue;
        value_t *item = change ? value_merge_patch(old->value, change) : value_ref(old->value);
        value_add_member(merged, old->key, old->key_size, item);
    }
    for (uint32_t i = 0; i < patch->as.map.size; i++) {
        const struct member *change = &patch->as.map.members[i];
        bool is_known = is_map && value_get_n(target, change->key, change->key_size);
        if (!is_known && change->value->type != VALUE_NULL)
            value_add_member(merged, change->key, change->key_size,
                             value_merge_patch(NULL, change->value));
    }
    return merged;
}

/* A NULL target stands for an absent one. */
value_t *value_merge_patch(const value_t *target, const value_t *patch)
{
    return patch->type == VALUE_MAP ? merge_maps(target, patch) : value_ref(patch);
}
