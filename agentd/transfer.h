/* One value too large to travel inline, on its way from or to the coordinator in chunks. Each chunk
 * is asked for or sent under a correlation number until it is answered. Pure. */
#ifndef AF_AGENTD_TRANSFER_H
#define AF_AGENTD_TRANSFER_H

#include "proto/wire.h"

enum transfer_kind { TRANSFER_NONE, TRANSFER_GET, TRANSFER_PUT };

/* {0} is valid: nothing is under way. */
struct transfer {
    enum transfer_kind kind;
    uint8_t hash[DATUM_HASH_BYTES];
    uint64_t size_bytes, offset;
    struct buf *bytes;    /* borrowed: what arrives is appended, what is sent is read */
    uint64_t correlation; /* of the message that is to be answered next */
    int64_t again_us;     /* when to send it again */
    int64_t pause_us;
};

/* ERR_TOO_LARGE past LIMIT_VALUE_BYTES. bytes is emptied, and filled by and by. */
int transfer_get(struct transfer *self, const struct datum *datum, struct buf *bytes,
                 struct err *err) MUST_CHECK;
void transfer_put(struct transfer *self, struct buf *bytes);
struct datum transfer_datum(const struct transfer *self);

/* The message to send now; *correlation is a number to be used by this message if it is the first
 * of its chunk, and is then advanced. */
void transfer_message(struct transfer *self, uint64_t *correlation, int64_t now_us,
                      struct wire_body *ret_body, struct bytes *ret_payload);

enum transfer_result {
    TRANSFER_OTHER, /* no answer to what was asked last: ignore it */
    TRANSFER_MORE,  /* send transfer_message() now */
    TRANSFER_DONE,
    TRANSFER_FAILED, /* err says why */
};
enum transfer_result transfer_receive(struct transfer *self, uint64_t correlation,
                                      const struct wire_body *body, struct bytes payload,
                                      struct err *err);

#endif
