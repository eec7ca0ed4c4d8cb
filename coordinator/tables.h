/* The tables of the coordinator's store, and how their keys are built. proto/record.proto says what
 * the values are. Pure. */
#ifndef AF_COORDINATOR_TABLES_H
#define AF_COORDINATOR_TABLES_H

#include "base/buf.h"
#include "base/datum.h"
#include "base/typeid.h"

#define TABLE_META        "meta"        /* "epoch" */
#define TABLE_AGENTS      "agents"      /* NAME 0 [version] */
#define TABLE_WORKFLOWS   "workflows"   /* NAME 0 [version] */
#define TABLE_EXECUTIONS  "executions"  /* id */
#define TABLE_BY_STATUS   "by_status"   /* status id; the newest of a status come last */
#define TABLE_BY_NAME     "by_name"     /* 'w' or 'a', NAME 0 id */
#define TABLE_JOURNAL     "journal"     /* id sequence */
#define TABLE_BLOBS       "blobs"       /* hash [chunk] */
#define TABLE_IDEMPOTENCY "idempotency" /* the client's key */
#define TABLE_SCHEDULES   "schedules"   /* NAME of the workflow */

/* NULL-terminated, for store_open. */
extern const char *const tables_all[];

#define KEY_UUID_BYTES    16
#define KEY_JOURNAL_BYTES (KEY_UUID_BYTES + 8)
#define KEY_STATUS_BYTES  (1 + KEY_UUID_BYTES)
#define KEY_CHUNK_BYTES   (DATUM_HASH_BYTES + 4)

struct bytes key_uuid(const struct uuid *id); /* borrows *id */
struct bytes key_journal(struct uuid execution, uint64_t sequence, uint8_t buffer[KEY_JOURNAL_BYTES]);
/* The sequence of a journal key of this execution; 0 when it is not one. */
uint64_t key_journal_sequence(struct bytes key, struct uuid execution);
struct bytes key_status(uint8_t status, struct uuid execution, uint8_t buffer[KEY_STATUS_BYTES]);
/* The id at the end of a key of by_status or by_name. */
struct uuid key_last_uuid(struct bytes key);
struct bytes key_chunk(const uint8_t hash[DATUM_HASH_BYTES], uint32_t chunk,
                       uint8_t buffer[KEY_CHUNK_BYTES]);
/* NAME 0 and, unless version is 0, the version; valid until out changes. */
struct bytes key_definition(const char *name, uint32_t version, struct buf *out);
/* kind NAME 0 and, unless execution is NULL, the id. */
struct bytes key_name(char kind, const char *name, const struct uuid *execution, struct buf *out);

#endif
