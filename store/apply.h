/* One transaction out of a group of batches: conditions are checked in the order of the batches,
 * each seeing what those before it changed; a batch whose condition isn't met is left out. */
#ifndef AF_STORE_APPLY_H
#define AF_STORE_APPLY_H

#include "store/kv.h"
#include "store/record.h"
#include "store/store.h"

/* What becomes of one batch: 0, ERR_CONFLICT, or ERR_CORRUPT when a condition's record is. */
struct verdict {
    int code;
    struct err err;
};

/* Opens a transaction, writes the batches, and leaves it open when it returns 0, with the verdicts
 * filled and *ret_changes the number of operations written. On failure the transaction is gone:
 * ERR_AGAIN, ERR_TOO_LARGE, ERR_FULL, ERR_IO as kv.h has them. */
int apply_group(kv_t *kv, const struct tables *tables, const store_batch_t *const *batches,
                size_t count, struct verdict *verdicts, size_t *ret_changes,
                struct err *err) MUST_CHECK;

#endif
