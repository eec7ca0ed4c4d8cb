#include "store/batch.h"

#include <stdlib.h>
#include <string.h>

/* Stands before each item's key and value; copied in and out, since items are not aligned. */
struct item_head {
    uint32_t value_size;
    uint16_t key_size;
    uint8_t kind;
    uint8_t table;
};

store_batch_t *store_batch_new(void)
{
    return xcalloc(1, sizeof(store_batch_t));
}

void store_batch_destroy(store_batch_t **self_p)
{
    store_batch_t *self = *self_p;
    if (!self)
        return;
    buf_release(&self->conditions);
    buf_release(&self->operations);
    for (unsigned i = 0; i < self->name_count; i++)
        free(self->names[i]);
    free(self);
    *self_p = NULL;
}

/* A batch that once carried something very large doesn't hold on to that memory. */
static void clear(struct buf *buf)
{
    if (buf->capacity > LIMIT_STORE_BATCH_KEPT_BYTES)
        buf_release(buf);
    else
        buf_clear(buf);
}

void store_batch_clear(store_batch_t *self)
{
    clear(&self->conditions);
    clear(&self->operations);
    self->operation_count = 0;
}

size_t store_batch_size_bytes(const store_batch_t *self)
{
    return self->conditions.size + self->operations.size;
}

size_t store_batch_operations(const store_batch_t *self)
{
    return self->operation_count;
}

static uint8_t name_number(store_batch_t *self, const char *name)
{
    unsigned i = 0;
    while (i < self->name_count && strcmp(self->names[i], name) != 0)
        i++;
    if (i == self->name_count) {
        CHECK(i < LIMIT_STORE_TABLES);
        self->names[self->name_count++] = xstrdup(name);
    }
    return (uint8_t)i;
}

static void add(store_batch_t *self, struct buf *items, enum batch_kind kind, const char *table,
                struct bytes key, struct bytes value)
{
    CHECK(key.size > 0 && key.size <= STORE_KEY_MAX);
    CHECK(value.size < UINT32_MAX / 2);
    struct item_head head = {
        .value_size = (uint32_t)value.size,
        .key_size = (uint16_t)key.size,
        .kind = (uint8_t)kind,
        .table = name_number(self, table),
    };
    buf_append(items, &head, sizeof head);
    buf_append_bytes(items, key);
    buf_append_bytes(items, value);
}

void store_batch_put(store_batch_t *self, const char *table, struct bytes key, struct bytes value)
{
    add(self, &self->operations, BATCH_PUT, table, key, value);
    self->operation_count++;
}

void store_batch_delete(store_batch_t *self, const char *table, struct bytes key)
{
    add(self, &self->operations, BATCH_DELETE, table, key, (struct bytes){0});
    self->operation_count++;
}

void store_batch_require(store_batch_t *self, const char *table, struct bytes key,
                         struct bytes expected)
{
    enum batch_kind kind = expected.data ? BATCH_REQUIRE_VALUE : BATCH_REQUIRE_ABSENT;
    CHECK(expected.data || expected.size == 0);
    add(self, &self->conditions, kind, table, key, expected);
}

bool batch_next(const struct buf *items, size_t *offset, struct batch_item *ret_item)
{
    struct item_head head;
    if (*offset == items->size)
        return false;
    const uint8_t *at = items->data + *offset;
    memcpy(&head, at, sizeof head);
    *ret_item = (struct batch_item){
        .kind = head.kind,
        .table = head.table,
        .key = bytes_of(at + sizeof head, head.key_size),
        .value = bytes_of(at + sizeof head + head.key_size, head.value_size),
    };
    *offset += sizeof head + head.key_size + head.value_size;
    return true;
}
