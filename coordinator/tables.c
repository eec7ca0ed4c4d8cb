#include "coordinator/tables.h"

#include <string.h>

const char *const tables_all[] = {
    TABLE_META,    TABLE_AGENTS,  TABLE_WORKFLOWS, TABLE_EXECUTIONS,  TABLE_BY_STATUS,
    TABLE_BY_NAME, TABLE_JOURNAL, TABLE_BLOBS,     TABLE_IDEMPOTENCY, TABLE_SCHEDULES,
    NULL,
};

static void put_big_endian(uint8_t *at, uint64_t number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)(number >> (8 * (size - 1 - i)));
}

struct bytes key_uuid(const struct uuid *id)
{
    return bytes_of(id->bytes, KEY_UUID_BYTES);
}

struct bytes key_journal(struct uuid execution, uint64_t sequence,
                         uint8_t buffer[KEY_JOURNAL_BYTES])
{
    memcpy(buffer, execution.bytes, KEY_UUID_BYTES);
    put_big_endian(buffer + KEY_UUID_BYTES, sequence, 8);
    return bytes_of(buffer, KEY_JOURNAL_BYTES);
}

uint64_t key_journal_sequence(struct bytes key, struct uuid execution)
{
    if (key.size != KEY_JOURNAL_BYTES || memcmp(key.data, execution.bytes, KEY_UUID_BYTES) != 0)
        return 0;
    uint64_t sequence = 0;
    for (size_t i = KEY_UUID_BYTES; i < KEY_JOURNAL_BYTES; i++)
        sequence = sequence << 8 | key.data[i];
    return sequence;
}

struct bytes key_status(uint8_t status, struct uuid execution, uint8_t buffer[KEY_STATUS_BYTES])
{
    buffer[0] = status;
    memcpy(buffer + 1, execution.bytes, KEY_UUID_BYTES);
    return bytes_of(buffer, KEY_STATUS_BYTES);
}

struct uuid key_last_uuid(struct bytes key)
{
    struct uuid id = {{0}};
    if (key.size >= KEY_UUID_BYTES)
        memcpy(id.bytes, key.data + key.size - KEY_UUID_BYTES, KEY_UUID_BYTES);
    return id;
}

struct bytes key_chunk(const uint8_t hash[DATUM_HASH_BYTES], uint32_t chunk,
                       uint8_t buffer[KEY_CHUNK_BYTES])
{
    memcpy(buffer, hash, DATUM_HASH_BYTES);
    put_big_endian(buffer + DATUM_HASH_BYTES, chunk, 4);
    return bytes_of(buffer, KEY_CHUNK_BYTES);
}

struct bytes key_definition(const char *name, uint32_t version, struct buf *out)
{
    uint8_t number[4];
    buf_clear(out);
    buf_append(out, name, strlen(name) + 1);
    if (version != 0) {
        put_big_endian(number, version, 4);
        buf_append(out, number, 4);
    }
    return buf_bytes(out);
}

struct bytes key_name(char kind, const char *name, const struct uuid *execution, struct buf *out)
{
    buf_clear(out);
    buf_putc(out, kind);
    buf_append(out, name, strlen(name) + 1);
    if (execution != NULL)
        buf_append(out, execution->bytes, KEY_UUID_BYTES);
    return buf_bytes(out);
}
