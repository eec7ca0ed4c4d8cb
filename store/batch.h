/* The inside of a batch: its operations one after another in one buffer, its conditions in another,
 * so that adding to a batch that is used again allocates nothing. Table names are kept once; an
 * operation holds their number in this batch, which the committer translates. */
#ifndef AF_STORE_BATCH_H
#define AF_STORE_BATCH_H

#include "base/limits.h"
#include "store/store.h"

enum batch_kind { BATCH_PUT, BATCH_DELETE, BATCH_REQUIRE_VALUE, BATCH_REQUIRE_ABSENT };

struct store_batch {
    struct buf conditions;
    struct buf operations;
    size_t operation_count;
    char *names[LIMIT_STORE_TABLES];
    unsigned name_count;
};

struct batch_item {
    enum batch_kind kind;
    unsigned table; /* into names */
    struct bytes key;
    struct bytes value;
};

/* Reads the item at *offset and moves on; false at the end. What it gives points into the buffer. */
bool batch_next(const struct buf *items, size_t *offset, struct batch_item *ret_item);

#endif
