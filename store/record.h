/* How a value rests in a table: the value, then 8 bytes of checksum over the table's name, the key
 * and the value, so that a value that stands under a wrong key is found as well as a changed one.
 *
 * The checksum is SipHash-2-4 (libsodium's crypto_shorthash), twice. With T the 16 bytes of
 * BLAKE2b (crypto_generichash, no key) of the table's name:
 *   K = SipHash(key T, the record's key)
 *   S = SipHash(key K followed by the last 8 bytes of T, the value)
 * S is stored as its 8 bytes stand. It finds accidents; it is no defence against an attacker. */
#ifndef AF_STORE_RECORD_H
#define AF_STORE_RECORD_H

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"

#define RECORD_SUM_BYTES 8
#define TABLE_KEY_BYTES  16

struct table {
    char *name;
    uint8_t key[TABLE_KEY_BYTES];
};

struct tables {
    struct table list[LIMIT_STORE_TABLES];
    unsigned count;
};

/* names: NULL-terminated, at most LIMIT_STORE_TABLES, none empty, none beginning with '_'. */
void tables_init(struct tables *self, const char *const *names);
void tables_release(struct tables *self);
/* The number of a table; a name that the store was not opened with is a programmer's mistake. */
unsigned tables_find(const struct tables *self, const char *name);

/* Fills room (value.size + RECORD_SUM_BYTES) with the value and its checksum. */
void record_seal(const struct table *table, struct bytes key, struct bytes value, uint8_t *room);
/* Verifies what is stored under a key and gives the value in it. ERR_CORRUPT names table and key. */
int record_open(const struct table *table, struct bytes key, struct bytes stored,
                struct bytes *ret_value, struct err *err) MUST_CHECK;

#endif
