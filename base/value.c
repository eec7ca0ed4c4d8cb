#include "base/value_tree.h"

#include "base/hash.h"
#include "base/utf8.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CONSTANT_REFS UINT32_MAX
#define MIN_CAPACITY  4u
#define MAX_CAPACITY  (1u << 30)
#define INDEX_FROM    16u /* members up to which looking at each key is as fast as hashing */

static value_t the_null = {.refs = CONSTANT_REFS, .type = VALUE_NULL};
static value_t the_false = {.refs = CONSTANT_REFS, .type = VALUE_BOOL, .as.boolean = false};
static value_t the_true = {.refs = CONSTANT_REFS, .type = VALUE_BOOL, .as.boolean = true};

static value_t *new_value(enum value_type type, size_t more)
{
    value_t *self = xmalloc(sizeof *self + more);
    memset(self, 0, sizeof *self);
    self->refs = 1;
    self->type = (uint8_t)type;
    return self;
}

value_t *value_null(void)
{
    return &the_null;
}

value_t *value_bool(bool b)
{
    return b ? &the_true : &the_false;
}

value_t *value_int(int64_t i)
{
    value_t *self = new_value(VALUE_INT, 0);
    self->as.integer = i;
    return self;
}

value_t *value_double(double d)
{
    CHECK(isfinite(d));
    value_t *self = new_value(VALUE_DOUBLE, 0);
    self->as.number = d;
    return self;
}

value_t *value_string(const char *text)
{
    return value_string_n(text, strlen(text));
}

value_t *value_string_n(const char *text, size_t size)
{
    value_t *self = new_value(VALUE_STRING, size + 1);
    char *own = (char *)(self + 1);
    if (size > 0)
        memcpy(own, text, size);
    own[size] = '\0';
    self->as.text_size = size;
    return self;
}

value_t *value_string_lossy(const void *text, size_t size)
{
    if (utf8_valid(text, size))
        return value_string_n(text, size);
    struct buf mended = {0};
    utf8_append_lossy(&mended, text, size);
    value_t *self = value_string_n(buf_string(&mended), mended.size);
    buf_release(&mended);
    return self;
}

value_t *value_list(void)
{
    return new_value(VALUE_LIST, 0);
}

value_t *value_map(void)
{
    return new_value(VALUE_MAP, 0);
}

/* The count belongs to the thread of the tree, not to what a reader may see, hence the cast. */
value_t *value_ref(const value_t *self)
{
    value_t *owned = (value_t *)(uintptr_t)self;
    if (owned->refs != CONSTANT_REFS) {
        owned->refs++;
        CHECK(owned->refs != CONSTANT_REFS);
    }
    return owned;
}

static void free_content(value_t *self)
{
    if (self->type == VALUE_LIST) {
        for (uint32_t i = 0; i < self->as.list.size; i++)
            value_destroy(&self->as.list.items[i]);
        free(self->as.list.items);
    } else if (self->type == VALUE_MAP) {
        for (uint32_t i = 0; i < self->as.map.size; i++) {
            free(self->as.map.members[i].key);
            value_destroy(&self->as.map.members[i].value);
        }
        free(self->as.map.members);
        free(self->as.map.index);
    }
}

void value_destroy(value_t **self_p)
{
    value_t *self = *self_p;
    *self_p = NULL;
    if (!self || self->refs == CONSTANT_REFS || --self->refs > 0)
        return;
    free_content(self);
    free(self);
}

static uint32_t grown(uint32_t capacity)
{
    CHECK(capacity < MAX_CAPACITY);
    return capacity ? capacity * 2 : MIN_CAPACITY;
}

void value_append(value_t *list, value_t **item_p)
{
    CHECK(list->type == VALUE_LIST && *item_p);
    if (list->as.list.size == list->as.list.capacity) {
        list->as.list.capacity = grown(list->as.list.capacity);
        list->as.list.items =
            xrealloc(list->as.list.items, list->as.list.capacity * sizeof *list->as.list.items);
    }
    list->as.list.items[list->as.list.size++] = *item_p;
    *item_p = NULL;
}

/* The index has twice as many slots as the map has places, so a search always ends at a free one.
 */
static uint32_t index_mask(const value_t *map)
{
    return map->as.map.capacity * 2 - 1;
}

static void index_member(value_t *map, uint32_t position)
{
    uint32_t mask = index_mask(map);
    uint32_t at = map->as.map.members[position].hash & mask;
    while (map->as.map.index[at] != 0)
        at = (at + 1) & mask;
    map->as.map.index[at] = position + 1;
}

static void rebuild_index(value_t *map)
{
    free(map->as.map.index);
    map->as.map.index = NULL;
    if (map->as.map.size <= INDEX_FROM)
        return;
    map->as.map.index = xcalloc((size_t)map->as.map.capacity * 2, sizeof *map->as.map.index);
    for (uint32_t i = 0; i < map->as.map.size; i++) {
        struct member *member = &map->as.map.members[i];
        member->hash = (uint32_t)hash_bytes(member->key, member->key_size);
        index_member(map, i);
    }
}

static bool member_is(const struct member *member, const char *key, size_t key_size)
{
    return member->key_size == key_size && memcmp(member->key, key, key_size) == 0;
}

static struct member *find_by_index(const value_t *map, const char *key, size_t key_size)
{
    uint32_t hash = (uint32_t)hash_bytes(key, key_size);
    uint32_t mask = index_mask(map);
    for (uint32_t at = hash & mask;; at = (at + 1) & mask) {
        uint32_t slot = map->as.map.index[at];
        if (slot == 0)
            return NULL;
        struct member *member = &map->as.map.members[slot - 1];
        if (member->hash == hash && member_is(member, key, key_size))
            return member;
    }
}

static struct member *find_member(const value_t *map, const char *key, size_t key_size)
{
    if (map->as.map.index)
        return find_by_index(map, key, key_size);
    for (uint32_t i = 0; i < map->as.map.size; i++)
        if (member_is(&map->as.map.members[i], key, key_size))
            return &map->as.map.members[i];
    return NULL;
}

void value_add_member(value_t *map, const char *key, size_t key_size, value_t *item)
{
    CHECK(key_size < UINT32_MAX);
    bool grows = map->as.map.size == map->as.map.capacity;
    if (grows) {
        map->as.map.capacity = grown(map->as.map.capacity);
        map->as.map.members =
            xrealloc(map->as.map.members, map->as.map.capacity * sizeof *map->as.map.members);
    }
    char *own = xmalloc(key_size + 1);
    if (key_size > 0)
        memcpy(own, key, key_size);
    own[key_size] = '\0';
    struct member *member = &map->as.map.members[map->as.map.size++];
    *member = (struct member){.key = own, .key_size = (uint32_t)key_size, .value = item};
    if (grows || (!map->as.map.index && map->as.map.size > INDEX_FROM)) {
        rebuild_index(map);
    } else if (map->as.map.index) {
        member->hash = (uint32_t)hash_bytes(key, key_size);
        index_member(map, map->as.map.size - 1);
    }
}

void value_set_n(value_t *map, const char *key, size_t key_size, value_t **item_p)
{
    CHECK(map->type == VALUE_MAP && *item_p);
    struct member *member = find_member(map, key, key_size);
    if (member) {
        value_destroy(&member->value);
        member->value = *item_p;
    } else {
        value_add_member(map, key, key_size, *item_p);
    }
    *item_p = NULL;
}

void value_set(value_t *map, const char *key, value_t **item_p)
{
    value_set_n(map, key, strlen(key), item_p);
}

void value_set_string(value_t *map, const char *key, const char *text)
{
    value_t *item = text ? value_string(text) : value_null();
    value_set(map, key, &item);
}

void value_set_int(value_t *map, const char *key, int64_t i)
{
    value_t *item = value_int(i);
    value_set(map, key, &item);
}

void value_set_bool(value_t *map, const char *key, bool b)
{
    value_t *item = value_bool(b);
    value_set(map, key, &item);
}

void value_set_double(value_t *map, const char *key, double d)
{
    value_t *item = value_double(d);
    value_set(map, key, &item);
}

void value_unset(value_t *map, const char *key)
{
    CHECK(map->type == VALUE_MAP);
    struct member *member = find_member(map, key, strlen(key));
    if (!member)
        return;
    free(member->key);
    value_destroy(&member->value);
    struct member *end = map->as.map.members + map->as.map.size;
    memmove(member, member + 1, (size_t)(end - member - 1) * sizeof *member);
    map->as.map.size--;
    rebuild_index(map);
}

enum value_type value_type(const value_t *self)
{
    return (enum value_type)self->type;
}

const char *value_type_name(enum value_type type)
{
    static const char *const NAMES[] = {"null", "boolean", "integer", "number",
                                        "text", "list",    "object"};
    return (unsigned)type < sizeof NAMES / sizeof NAMES[0] ? NAMES[type] : "nothing";
}

bool value_as_bool(const value_t *self)
{
    CHECK(self->type == VALUE_BOOL);
    return self->as.boolean;
}

int64_t value_as_int(const value_t *self)
{
    CHECK(self->type == VALUE_INT);
    return self->as.integer;
}

double value_as_double(const value_t *self)
{
    if (self->type == VALUE_INT)
        return (double)self->as.integer;
    CHECK(self->type == VALUE_DOUBLE);
    return self->as.number;
}

const char *value_as_string(const value_t *self)
{
    CHECK(self->type == VALUE_STRING);
    return (const char *)(self + 1);
}

size_t value_size(const value_t *self)
{
    switch ((enum value_type)self->type) {
    case VALUE_STRING: return self->as.text_size;
    case VALUE_LIST: return self->as.list.size;
    case VALUE_MAP: return self->as.map.size;
    default: return 0;
    }
}

const value_t *value_at(const value_t *list, size_t index)
{
    CHECK(list->type == VALUE_LIST);
    return index < list->as.list.size ? list->as.list.items[index] : NULL;
}

const value_t *value_get_n(const value_t *map, const char *key, size_t key_size)
{
    if (!map || map->type != VALUE_MAP)
        return NULL;
    const struct member *member = find_member(map, key, key_size);
    return member ? member->value : NULL;
}

const value_t *value_get(const value_t *map, const char *key)
{
    return value_get_n(map, key, strlen(key));
}

const char *value_key_at(const value_t *map, size_t index, size_t *ret_size)
{
    CHECK(map->type == VALUE_MAP);
    if (index >= map->as.map.size)
        return NULL;
    if (ret_size)
        *ret_size = map->as.map.members[index].key_size;
    return map->as.map.members[index].key;
}

const value_t *value_member_at(const value_t *map, size_t index)
{
    CHECK(map->type == VALUE_MAP);
    return index < map->as.map.size ? map->as.map.members[index].value : NULL;
}

const char *value_get_string(const value_t *map, const char *key, const char *fallback)
{
    const value_t *item = value_get(map, key);
    return item && item->type == VALUE_STRING ? value_as_string(item) : fallback;
}

int64_t value_get_int(const value_t *map, const char *key, int64_t fallback)
{
    const value_t *item = value_get(map, key);
    return item && item->type == VALUE_INT ? item->as.integer : fallback;
}

bool value_get_bool(const value_t *map, const char *key, bool fallback)
{
    const value_t *item = value_get(map, key);
    return item && item->type == VALUE_BOOL ? item->as.boolean : fallback;
}
