#include "store/record.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(RECORD_SUM_BYTES == crypto_shorthash_BYTES, "the stored checksum is one SipHash");
_Static_assert(TABLE_KEY_BYTES == crypto_shorthash_KEYBYTES, "T is a key of SipHash");

#define HEX_BYTES_SHOWN 64 /* of a key that is named in an error */

static void table_init(struct table *self, const char *name)
{
    CHECK(name[0] != '\0' && name[0] != '_');
    self->name = xstrdup(name);
    CHECK(crypto_generichash(self->key, sizeof self->key, (const uint8_t *)name, strlen(name), NULL,
                             0) == 0);
}

void tables_init(struct tables *self, const char *const *names)
{
    /* Libsodium allows repeated initialisation from any thread. */
    CHECK(sodium_init() >= 0);
    *self = (struct tables){0};
    for (; names[self->count]; self->count++) {
        CHECK(self->count < LIMIT_STORE_TABLES);
        table_init(&self->list[self->count], names[self->count]);
    }
}

void tables_release(struct tables *self)
{
    for (unsigned i = 0; i < self->count; i++)
        free(self->list[i].name);
    *self = (struct tables){0};
}

unsigned tables_find(const struct tables *self, const char *name)
{
    for (unsigned i = 0; i < self->count; i++)
        if (strcmp(self->list[i].name, name) == 0)
            return i;
    check_failed(__FILE__, __LINE__, name, "the store was opened with this table");
}

static void sum(const struct table *table, struct bytes key, const uint8_t *value, size_t size,
                uint8_t ret_sum[RECORD_SUM_BYTES])
{
    uint8_t second[TABLE_KEY_BYTES];
    crypto_shorthash(second, key.data, key.size, table->key);
    memcpy(second + RECORD_SUM_BYTES, table->key + RECORD_SUM_BYTES,
           TABLE_KEY_BYTES - RECORD_SUM_BYTES);
    crypto_shorthash(ret_sum, value, size, second);
}

void record_seal(const struct table *table, struct bytes key, struct bytes value, uint8_t *room)
{
    if (value.size)
        memcpy(room, value.data, value.size);
    sum(table, key, room, value.size, room + value.size);
}

static int corrupt(const struct table *table, struct bytes key, struct err *err)
{
    char hex[HEX_BYTES_SHOWN * 2 + 1];
    size_t shown = key.size < HEX_BYTES_SHOWN ? key.size : HEX_BYTES_SHOWN;
    sodium_bin2hex(hex, sizeof hex, key.data, shown);
    int code = err_set(err, ERR_CORRUPT, "a record fails its checksum");
    err_where(err, "table %s, key %s%s", table->name, hex, shown < key.size ? "..." : "");
    err_fix(err, "restore the store from a backup, and check the disk and the memory");
    return code;
}

int record_open(const struct table *table, struct bytes key, struct bytes stored,
                struct bytes *ret_value, struct err *err)
{
    uint8_t expected[RECORD_SUM_BYTES];
    if (stored.size < RECORD_SUM_BYTES)
        return corrupt(table, key, err);
    size_t size = stored.size - RECORD_SUM_BYTES;
    sum(table, key, stored.data, size, expected);
    if (memcmp(expected, stored.data + size, RECORD_SUM_BYTES) != 0)
        return corrupt(table, key, err);
    *ret_value = bytes_of(stored.data, size);
    return 0;
}
