#include "base/map.h"

#include "base/err.h"
#include "base/hash.h"
#include <stdlib.h>
#include <string.h>

/* Entries stand in an array in the order of their insertion; an open-addressed index finds them by
 * hash. A removed entry stays as a dead one (without a value) until the array is full: then put
 * packs it. So removing never moves an entry, which is what lets a walk remove what it just got. */

#define KEY_INLINE_BYTES 16 /* a UUID, the commonest key, needs no memory of its own */
#define MIN_CAPACITY     8u
#define MAX_CAPACITY     (1u << 30)

struct entry {
    union {
        uint8_t here[KEY_INLINE_BYTES];
        uint8_t *apart;
    } key;
    size_t key_size;
    uint64_t hash;
    void *value; /* NULL: dead */
};

struct slot {
    uint32_t entry; /* index + 1; 0: free */
    uint32_t tag;   /* high half of the hash: spares most looks at an entry that isn't it */
};

struct map {
    struct entry *entries;
    struct slot *slots;
    uint32_t capacity;  /* of entries */
    uint32_t used;      /* entries in use, dead ones included */
    uint32_t live;      /* entries with a value */
    uint32_t first;     /* every entry before it is dead */
    uint32_t slot_mask; /* number of slots - 1; there are at least twice as many as entries */
};

static const uint8_t *entry_key(const struct entry *entry)
{
    return entry->key_size <= KEY_INLINE_BYTES ? entry->key.here : entry->key.apart;
}

static void entry_free_key(struct entry *entry)
{
    if (entry->key_size > KEY_INLINE_BYTES)
        free(entry->key.apart);
}

static bool entry_is(const struct entry *entry, const void *key, size_t key_size)
{
    return entry->value && entry->key_size == key_size &&
           (key_size == 0 || memcmp(entry_key(entry), key, key_size) == 0);
}

static struct entry *find(const map_t *self, const void *key, size_t key_size, uint64_t hash)
{
    if (self->live == 0)
        return NULL;
    uint32_t tag = (uint32_t)(hash >> 32);
    for (uint32_t at = (uint32_t)hash & self->slot_mask;; at = (at + 1) & self->slot_mask) {
        struct slot slot = self->slots[at];
        if (slot.entry == 0)
            return NULL;
        if (slot.tag != tag)
            continue;
        struct entry *entry = &self->entries[slot.entry - 1];
        if (entry_is(entry, key, key_size))
            return entry;
    }
}

static void index_entry(map_t *self, uint32_t position)
{
    uint64_t hash = self->entries[position].hash;
    uint32_t at = (uint32_t)hash & self->slot_mask;
    while (self->slots[at].entry != 0)
        at = (at + 1) & self->slot_mask;
    self->slots[at] = (struct slot){position + 1, (uint32_t)(hash >> 32)};
}

/* Packs the live entries, and gives room for twice as many as live now. */
static void rebuild(map_t *self)
{
    uint32_t capacity = MIN_CAPACITY;
    CHECK(self->live < MAX_CAPACITY / 2);
    while (capacity < self->live * 2)
        capacity *= 2;
    struct entry *entries = xmalloc(capacity * sizeof *entries);
    uint32_t used = 0;
    for (uint32_t i = 0; i < self->used; i++)
        if (self->entries[i].value)
            entries[used++] = self->entries[i];
    free(self->entries);
    free(self->slots);
    self->entries = entries;
    self->capacity = capacity;
    self->used = used;
    self->first = 0;
    self->slot_mask = capacity * 2 - 1;
    self->slots = xcalloc((size_t)capacity * 2, sizeof *self->slots);
    for (uint32_t i = 0; i < used; i++)
        index_entry(self, i);
}

static void add(map_t *self, const void *key, size_t key_size, uint64_t hash, void *value)
{
    if (self->used == self->capacity)
        rebuild(self);
    struct entry *entry = &self->entries[self->used];
    entry->key_size = key_size;
    entry->hash = hash;
    entry->value = value;
    if (key_size > KEY_INLINE_BYTES)
        entry->key.apart = memcpy(xmalloc(key_size), key, key_size);
    else if (key_size > 0)
        memcpy(entry->key.here, key, key_size);
    index_entry(self, self->used++);
    self->live++;
}

map_t *map_new(void)
{
    return xcalloc(1, sizeof(map_t));
}

void map_destroy(map_t **self_p)
{
    map_t *self = *self_p;
    if (!self)
        return;
    for (uint32_t i = 0; i < self->used; i++)
        if (self->entries[i].value)
            entry_free_key(&self->entries[i]);
    free(self->entries);
    free(self->slots);
    free(self);
    *self_p = NULL;
}

void *map_get(const map_t *self, const void *key, size_t key_size)
{
    if (self->live == 0)
        return NULL;
    const struct entry *entry = find(self, key, key_size, hash_bytes(key, key_size));
    return entry ? entry->value : NULL;
}

void *map_put(map_t *self, const void *key, size_t key_size, void *value)
{
    CHECK(value);
    uint64_t hash = hash_bytes(key, key_size);
    struct entry *entry = find(self, key, key_size, hash);
    if (!entry) {
        add(self, key, key_size, hash, value);
        return NULL;
    }
    void *before = entry->value;
    entry->value = value;
    return before;
}

/* An empty map starts afresh, so that what is filled and drained in turn never has to be packed. */
static void reset(map_t *self)
{
    self->used = 0;
    self->first = 0;
    memset(self->slots, 0, ((size_t)self->slot_mask + 1) * sizeof *self->slots);
}

void *map_remove(map_t *self, const void *key, size_t key_size)
{
    if (self->live == 0)
        return NULL;
    struct entry *entry = find(self, key, key_size, hash_bytes(key, key_size));
    if (!entry)
        return NULL;
    void *value = entry->value;
    entry_free_key(entry);
    entry->value = NULL;
    self->live--;
    while (self->first < self->used && !self->entries[self->first].value)
        self->first++;
    if (self->live == 0 && self->used * 2 > self->capacity)
        reset(self);
    return value;
}

size_t map_size(const map_t *self)
{
    return self->live;
}

void *map_next(const map_t *self, size_t *position, struct bytes *ret_key)
{
    size_t at = *position < self->first ? self->first : *position;
    while (at < self->used && !self->entries[at].value)
        at++;
    if (at >= self->used) {
        *position = at;
        return NULL;
    }
    const struct entry *entry = &self->entries[at];
    if (ret_key)
        *ret_key = bytes_of(entry_key(entry), entry->key_size);
    *position = at + 1;
    return entry->value;
}
