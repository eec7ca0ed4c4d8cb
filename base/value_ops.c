/* What is done with whole trees: comparing, copying, patching. */
#include "base/value_tree.h"

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
