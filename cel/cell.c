/* Cells: lists, maps and texts of an evaluation, and how JSON values look as cells. */
#include "base/hash.h"
#include "base/limits.h"
#include "cel/eval.h"
#include "cel/lex.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_COST 64 /* about what a value, or a key, takes in memory, without its text */

bool eval_charge(struct eval *self, size_t steps)
{
    if ((int64_t)steps <= self->steps) {
        self->steps -= (int64_t)steps;
        return true;
    }
    self->steps = 0;
    (void)eval_end(self, ERR_LIMIT, "the expression takes more than 5000000 steps",
                   "let it look at less, or do the work in a node");
    return false;
}

_Static_assert(LIMIT_EXPRESSION_STEPS == 5000000, "the message above names this limit");

bool eval_charge_bytes(struct eval *self, size_t bytes)
{
    return eval_charge(self, bytes / 128);
}

struct cell eval_end(struct eval *self, int code, const char *what, const char *fix)
{
    if (!self->fatal) {
        self->fatal = err_set(self->err, code, "%s", what);
        err_fix(self->err, "%s", fix);
        size_t at = self->op->code == OP_END ? 0 : self->op->at; /* the outcome: all of it */
        if (self->err)
            self->err->column = text_column(self->program->text, at);
    }
    return (struct cell){.kind = KIND_NULL};
}

static bool fits(struct eval *self, size_t size)
{
    size_t used = self->arena.used_bytes;
    if (!self->fatal && size <= LIMIT_EXPRESSION_MEMORY_BYTES &&
        used <= LIMIT_EXPRESSION_MEMORY_BYTES - size)
        return true;
    (void)eval_end(self, ERR_TOO_LARGE, "the expression makes more than 64 MiB of values",
                   "let it put less together");
    return false;
}

_Static_assert(LIMIT_EXPRESSION_MEMORY_BYTES == 64u << 20, "the message above names this limit");

void *eval_alloc(struct eval *self, size_t size)
{
    if (!fits(self, size) || !eval_charge_bytes(self, size))
        return NULL;
    return arena_alloc(&self->arena, size ? size : 1);
}

struct cell cell_of(const value_t *value)
{
    struct cell cell = {.is_json = true, .as.json = value};
    switch (value_type(value)) {
    case VALUE_NULL: break;
    case VALUE_BOOL: return cell_bool(value_as_bool(value));
    case VALUE_INT: return cell_int(value_as_int(value));
    case VALUE_DOUBLE: return cell_double(value_as_double(value));
    case VALUE_STRING: cell.kind = KIND_STRING; return cell;
    case VALUE_LIST: cell.kind = KIND_LIST; return cell;
    case VALUE_MAP: cell.kind = KIND_MAP; return cell;
    }
    return cell_none();
}

struct cell cell_text(struct eval *self, const char *data, size_t size)
{
    struct text *text = eval_alloc(self, sizeof *text);
    if (!text)
        return cell_none();
    *text = (struct text){data, size};
    return (struct cell){.kind = KIND_STRING, .as.text = text};
}

struct text text_of(struct cell cell)
{
    if (!cell.is_json)
        return *cell.as.text;
    return (struct text){value_as_string(cell.as.json), value_size(cell.as.json)};
}

size_t cell_size(struct cell cell)
{
    if (cell.is_json)
        return value_size(cell.as.json);
    return cell.kind == KIND_LIST ? cell.as.items->size : cell.as.dict->size;
}

struct cell cell_item(struct cell list, size_t index)
{
    return list.is_json ? cell_of(value_at(list.as.json, index)) : list.as.items->cells[index];
}

struct cell cell_key(struct eval *self, struct cell map, size_t index)
{
    if (!map.is_json)
        return map.as.dict->keys[index];
    size_t size;
    const char *key = value_key_at(map.as.json, index, &size);
    return cell_text(self, key, size);
}

bool cell_whole(struct cell cell, int64_t *ret)
{
    if (cell.kind == KIND_INT) {
        *ret = cell.as.integer;
        return true;
    }
    if (cell.kind == KIND_UINT) {
        *ret = cell.as.natural <= INT64_MAX ? (int64_t)cell.as.natural : INT64_MAX;
        return true;
    }
    double number = cell.kind == KIND_DOUBLE ? cell.as.number : NAN;
    if (!(number > -0x1p63 && number < 0x1p63))
        return false;
    *ret = (int64_t)number;
    return !(number < (double)*ret) && !(number > (double)*ret);
}

/* --- lists and maps that the evaluation makes ---------------------------------------------------
 */

static unsigned depth_of(struct cell cell)
{
    if (cell.is_json)
        return 0;
    if (cell.kind == KIND_LIST)
        return cell.as.items->depth;
    return cell.kind == KIND_MAP ? cell.as.dict->depth : 0;
}

static unsigned depth_above(struct eval *self, const struct cell *cells, size_t size)
{
    unsigned deepest = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned depth = depth_of(cells[i]);
        deepest = depth > deepest ? depth : deepest;
    }
    if (deepest + 1 > LIMIT_VALUE_DEPTH)
        (void)eval_end(self, ERR_TOO_DEEP, "the expression nests lists or maps deeper than 256",
                       "flatten what it makes");
    return deepest + 1;
}

_Static_assert(LIMIT_VALUE_DEPTH == 256, "the message above names this limit");

struct cell cell_list(struct eval *self, const struct cell *cells, size_t size)
{
    struct items *items = eval_alloc(self, sizeof *items);
    if (!items || !eval_charge(self, size / 8))
        return cell_none();
    *items = (struct items){cells, size, depth_above(self, cells, size)};
    return (struct cell){.kind = KIND_LIST, .as.items = items};
}

/* Equal keys have equal hashes: 1, 1u and 1.0 are one key. */
static size_t hash_key(struct cell key)
{
    int64_t whole = 0;
    if (key.kind == KIND_STRING) {
        struct text text = text_of(key);
        return (size_t)hash_bytes(text.data, text.size);
    }
    if (key.kind == KIND_BOOL)
        whole = key.as.boolean;
    else
        (void)cell_whole(key, &whole);
    return (size_t)hash_bytes(&whole, sizeof whole);
}

static size_t find_slot(struct eval *self, const struct dict *dict, struct cell key)
{
    size_t at = hash_key(key) & dict->index_mask;
    while (dict->index[at] && !cell_equal(self, dict->keys[dict->index[at] - 1], key))
        at = (at + 1) & dict->index_mask;
    return at;
}

/* Gives a fault for a key that can't be one, or is there twice. */
static struct cell index_keys(struct eval *self, struct dict *dict, uint32_t *index)
{
    for (size_t i = 0; i < dict->size && !self->fatal; i++) {
        struct cell key = dict->keys[i];
        if (key.kind != KIND_STRING && key.kind != KIND_BOOL && key.kind != KIND_INT &&
            key.kind != KIND_UINT)
            return fault_new(self, FAULT_KEY, key, cell_none());
        size_t slot = find_slot(self, dict, key);
        if (index[slot])
            return fault_new(self, FAULT_DUPLICATE, key, cell_none());
        index[slot] = (uint32_t)i + 1;
    }
    return (struct cell){.kind = KIND_MAP, .as.dict = dict};
}

struct cell cell_map(struct eval *self, const struct cell *pairs, size_t count)
{
    size_t slots = 4;
    while (slots < 2 * count)
        slots *= 2;
    struct dict *dict = eval_alloc(self, sizeof *dict);
    struct cell *cells = eval_alloc(self, 2 * count * sizeof *cells);
    uint32_t *index = eval_alloc(self, slots * sizeof *index);
    if (!dict || !cells || !index)
        return cell_none();
    for (size_t i = 0; i < count; i++) {
        cells[i] = pairs[2 * i];
        cells[count + i] = pairs[2 * i + 1];
    }
    *dict = (struct dict){.keys = cells,
                          .values = cells + count,
                          .index = index,
                          .size = count,
                          .index_mask = slots - 1,
                          .depth = depth_above(self, cells + count, count)};
    return index_keys(self, dict, index);
}

bool cell_find(struct eval *self, struct cell map, struct cell key, struct cell *ret)
{
    if (map.is_json && key.kind != KIND_STRING)
        return false;
    if (map.is_json)
        return cell_find_text(self, map, text_of(key), ret);
    int64_t whole;
    if (key.kind == KIND_DOUBLE && !cell_whole(key, &whole))
        return false;
    size_t slot = find_slot(self, map.as.dict, key);
    if (!map.as.dict->index[slot])
        return false;
    *ret = map.as.dict->values[map.as.dict->index[slot] - 1];
    return true;
}

bool cell_find_text(struct eval *self, struct cell map, struct text key, struct cell *ret)
{
    if (!eval_charge_bytes(self, key.size))
        return false;
    if (!map.is_json)
        return cell_find(self, map, (struct cell){.kind = KIND_STRING, .as.text = &key}, ret);
    const value_t *found = value_get_n(map.as.json, key.data, key.size);
    if (found)
        *ret = cell_of(found);
    return found != NULL;
}

/* --- to JSON ---------------------------------------------------------------------------------- */

static int no_json(struct eval *self, const char *what, const char *fix)
{
    (void)eval_end(self, ERR_INVALID, what, fix);
    return ERR_INVALID;
}

/* Accounts for a value of the outcome, which does not live in the arena. */
static bool pay(struct eval *self, size_t text_size)
{
    if (!fits(self, VALUE_COST + text_size) || !eval_charge_bytes(self, text_size))
        return false;
    self->arena.used_bytes += VALUE_COST + text_size;
    return true;
}

static int list_to_value(struct eval *self, struct cell cell, value_t **ret_value)
{
    value_t *list = value_list();
    for (size_t i = 0; i < cell.as.items->size; i++) {
        value_t *item = NULL;
        int code = cell_to_value(self, cell.as.items->cells[i], &item);
        if (code) {
            value_destroy(&list);
            return code;
        }
        value_append(list, &item);
    }
    *ret_value = list;
    return 0;
}

static int map_to_value(struct eval *self, struct cell cell, value_t **ret_value)
{
    const struct dict *dict = cell.as.dict;
    value_t *map = value_map();
    int code = 0;
    for (size_t i = 0; !code && i < dict->size; i++) {
        value_t *item = NULL;
        struct text key = {0};
        if (dict->keys[i].kind == KIND_STRING)
            key = text_of(dict->keys[i]);
        else
            code = no_json(self, "the expression gives a map whose keys are not all texts",
                           "make texts of them: {string(x): …}");
        if (!code && memchr(key.data, '\0', key.size))
            code = no_json(self, "the expression gives a map with a NUL in a key", "take it out");
        if (!code && !pay(self, key.size))
            code = self->fatal;
        if (!code)
            code = cell_to_value(self, dict->values[i], &item);
        if (!code)
            value_set_n(map, key.data, key.size, &item);
    }
    if (code)
        value_destroy(&map);
    else
        *ret_value = map;
    return code;
}

int cell_to_value(struct eval *self, struct cell cell, value_t **ret_value)
{
    struct text text;
    if (!eval_charge(self, 4))
        return self->fatal;
    if (cell.is_json) {
        *ret_value = value_ref(cell.as.json);
        return 0;
    }
    switch ((enum kind)cell.kind) {
    case KIND_NULL: *ret_value = value_null(); return 0;
    case KIND_BOOL: *ret_value = value_bool(cell.as.boolean); return 0;
    default: break;
    }
    text = cell.kind == KIND_STRING ? text_of(cell) : (struct text){NULL, 0};
    if (!pay(self, text.size))
        return self->fatal;
    switch ((enum kind)cell.kind) {
    case KIND_INT: *ret_value = value_int(cell.as.integer); return 0;
    case KIND_UINT:
        if (cell.as.natural > INT64_MAX)
            return no_json(self, "the expression gives an integer that is too large for JSON here",
                           "integers go up to 9223372036854775807; use double(x)");
        *ret_value = value_int((int64_t)cell.as.natural);
        return 0;
    case KIND_DOUBLE:
        if (!isfinite(cell.as.number))
            return no_json(self, "the expression gives a number that JSON doesn't have",
                           "it is infinite or NaN; look for a division by 0.0");
        *ret_value = value_double(cell.as.number);
        return 0;
    case KIND_STRING: *ret_value = value_string_n(text.data, text.size); return 0;
    case KIND_LIST: return list_to_value(self, cell, ret_value);
    case KIND_MAP: return map_to_value(self, cell, ret_value);
    default: break;
    }
    return no_json(self, "the expression gives a type, which JSON doesn't have",
                   "compare it, as in type(x) == int");
}
