/* The committer: one thread that applies batches in order of submission. It takes what waits at a
 * moment into one transaction, commits, and gives the completions out. It belongs to the store,
 * which lives longer; its functions may be called from any thread. */
#ifndef AF_STORE_COMMITTER_H
#define AF_STORE_COMMITTER_H

#include "store/kv.h"
#include "store/record.h"
#include "store/store.h"

typedef struct committer committer_t;

/* Both are borrowed for the committer's life. ERR_IO when there is no thread or descriptor left. */
int committer_new(kv_t *kv, const struct tables *tables, committer_t **ret_committer,
                  struct err *err) MUST_CHECK;
/* Ends the thread after it has applied what waits; batches that don't go through are given up. */
void committer_destroy(committer_t **self_p);

int committer_apply(committer_t *self, const store_batch_t *batch, struct err *err) MUST_CHECK;
int committer_submit(committer_t *self, store_batch_t **batch_p, uint64_t tag,
                     struct err *err) MUST_CHECK;
bool committer_complete(committer_t *self, struct store_completion *ret_completion);
int committer_fd(const committer_t *self);
void committer_fault(committer_t *self, unsigned n, int code, bool for_good);
uint64_t committer_commits(const committer_t *self);
uint64_t committer_batches(const committer_t *self);

#endif
