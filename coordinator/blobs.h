/* Values above LIMIT_INLINE_BYTES, kept once by their content hash: reads for expressions and for
 * BlobGet, and the putting together of BlobPut's chunks, which is bounded. A blob that is written in
 * a batch can be read at once. */
#ifndef AF_COORDINATOR_BLOBS_H
#define AF_COORDINATOR_BLOBS_H

#include "coordinator/coordinator.h"

struct blobs *blobs_new(void);
void blobs_destroy(struct blobs **self_p);

/* For engine_config: context is the coordinator. What it gives lives until blobs_end_reads. */
int blobs_read(void *context, const uint8_t hash[DATUM_HASH_BYTES], struct bytes *ret_bytes,
               struct err *err) MUST_CHECK;
void blobs_end_reads(struct coordinator *self);

/* Puts the bytes into the current batch. */
void blobs_write(struct coordinator *self, const uint8_t hash[DATUM_HASH_BYTES],
                 struct bytes bytes);
/* A value as it is to rest: inline, or written as a blob. */
struct datum blobs_datum(struct coordinator *self, struct bytes msgpack);
/* ERR_NOT_FOUND when there is no such blob of that size. */
int blobs_check(struct coordinator *self, const uint8_t hash[DATUM_HASH_BYTES],
                uint64_t size_bytes, struct err *err) MUST_CHECK;

/* BLOB_GET and BLOB_PUT. */
void blobs_receive_get(struct coordinator *self, const struct message *message);
void blobs_receive_put(struct coordinator *self, const struct message *message);

#endif
