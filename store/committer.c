/* Who waits stands in one queue: batches submitted, in slots of a fixed number, and callers of
 * committer_apply, on their own stacks. The thread looks at the first of them without taking them
 * out, does their transaction without the mutex, and takes them out with its outcome:
 *
 *   gone through     each gets its verdict
 *   ERR_TOO_LARGE    half as many are tried; one alone gets that answer
 *   ERR_FULL         callers of committer_apply get that answer, wherever they stand, since they
 *                    can't wait for somebody to make room; batches submitted stay, the first is
 *                    reported once, and all are tried again after a while
 *   any other        everybody gets it, and whoever comes later */
#include "store/committer.h"

#include "store/apply.h"
#include "store/batch.h"
#include "store/wait.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A report of ERR_FULL belongs to one batch in flight, so completions and reports never are more
 * than twice the batches. */
#define COMPLETIONS (2 * LIMIT_STORE_IN_FLIGHT)

struct waiting {
    struct waiting *next;
    const store_batch_t *batch;
    store_batch_t *owned; /* the same batch, when it was submitted; NULL: somebody waits in apply */
    uint64_t tag;
    bool done; /* in apply: the verdict is there */
    struct verdict verdict;
};

struct fault {
    unsigned n;
    int code;
    bool for_good;
};

struct committer {
    kv_t *kv;
    const struct tables *tables;
    pthread_t thread;
    int fd;
    atomic_uint_fast64_t commits;
    atomic_uint_fast64_t batches;

    pthread_mutex_t mutex;
    pthread_cond_t work;    /* something waits, or the end has come */
    pthread_cond_t applied; /* a caller of apply has its verdict */
    struct waiting *first, **last;
    struct waiting slots[LIMIT_STORE_IN_FLIGHT];
    struct waiting *free_slots;
    unsigned in_flight; /* submitted and not yet taken by committer_complete */
    struct store_completion completions[COMPLETIONS];
    size_t completions_first, completions_count;
    bool full_reported;
    bool closing;
    struct fault fault;
    struct verdict broken; /* code 0 while it works */
};

/* --- completions: all with the mutex held ------------------------------------------------------
 */

static void push_completion(committer_t *self, uint64_t tag, const struct verdict *verdict,
                            store_batch_t *batch)
{
    CHECK(self->completions_count < COMPLETIONS);
    size_t at = (self->completions_first + self->completions_count++) % COMPLETIONS;
    struct store_completion *completion = &self->completions[at];
    completion->tag = tag;
    completion->code = verdict->code;
    completion->batch = batch;
    if (verdict->code)
        completion->err = verdict->err;
    else
        memset(&completion->err, 0, sizeof completion->err);
}

/* The descriptor is readable exactly while completions wait. */
static void raise_fd(committer_t *self)
{
    uint64_t one = 1;
    if (self->completions_count)
        CHECK(write(self->fd, &one, sizeof one) == (ssize_t)sizeof one);
}

static void lower_fd(committer_t *self)
{
    uint64_t count;
    if (self->completions_count == 0)
        CHECK(read(self->fd, &count, sizeof count) == (ssize_t)sizeof count || errno == EAGAIN);
}

/* Gives one that was taken out of the queue its outcome. */
static void settle(committer_t *self, struct waiting *waiting, const struct verdict *verdict)
{
    if (!waiting->owned) {
        waiting->verdict = *verdict;
        waiting->done = true;
        pthread_cond_broadcast(&self->applied);
        return;
    }
    push_completion(self, waiting->tag, verdict, waiting->owned);
    waiting->owned = NULL;
    waiting->next = self->free_slots;
    self->free_slots = waiting;
}

static struct waiting *take_first(committer_t *self)
{
    struct waiting *waiting = self->first;
    self->first = waiting->next;
    if (!self->first)
        self->last = &self->first;
    return waiting;
}

static void append(committer_t *self, struct waiting *waiting)
{
    waiting->next = NULL;
    *self->last = waiting;
    self->last = &waiting->next;
    pthread_cond_signal(&self->work);
}

/* --- the thread --------------------------------------------------------------------------------
 */

struct group {
    const store_batch_t *batches[LIMIT_STORE_GROUP_BATCHES];
    struct verdict verdicts[LIMIT_STORE_GROUP_BATCHES];
    size_t count;
};

/* Whoever waits now, as far as one transaction carries it; the mutex is held. */
static void gather(const committer_t *self, struct group *group)
{
    size_t bytes = 0;
    group->count = 0;
    for (const struct waiting *at = self->first; at && group->count < LIMIT_STORE_GROUP_BATCHES;
         at = at->next) {
        bytes += store_batch_size_bytes(at->batch);
        if (group->count && bytes > LIMIT_STORE_GROUP_BYTES)
            break;
        group->batches[group->count++] = at->batch;
    }
}

static int take_fault(committer_t *self, struct err *err)
{
    int code = 0;
    pthread_mutex_lock(&self->mutex);
    struct fault *fault = &self->fault;
    if (fault->n == 1)
        code = err_set(err, fault->code, "a fault that was asked for");
    if (fault->n > 1 || (fault->n == 1 && !fault->for_good))
        fault->n--;
    pthread_mutex_unlock(&self->mutex);
    return code;
}

static int transact_once(committer_t *self, struct group *group, struct err *err)
{
    size_t changes = 0;
    int code = apply_group(self->kv, self->tables, group->batches, group->count, group->verdicts,
                           &changes, err);
    if (code)
        return code;
    /* Where nothing changes there is nothing to make durable. */
    code = changes ? take_fault(self, err) : 0;
    if (code || changes == 0) {
        kv_abort(self->kv);
        return code;
    }
    code = kv_commit(self->kv, err);
    if (code == 0)
        atomic_fetch_add(&self->commits, 1);
    return code;
}

static int transact(committer_t *self, struct group *group, struct err *err)
{
    int code;
    while ((code = transact_once(self, group, err)) == ERR_AGAIN)
        if ((code = kv_grow(self->kv, err)) != 0)
            break;
    return code;
}

/* As many of the group as one transaction can hold. */
static int transact_some(committer_t *self, struct group *group, struct err *err)
{
    int code;
    while ((code = transact(self, group, err)) == ERR_TOO_LARGE && group->count > 1)
        group->count /= 2;
    if (code == ERR_TOO_LARGE) {
        group->verdicts[0] = (struct verdict){code, *err};
        code = 0;
    }
    return code;
}

static void settle_group(committer_t *self, const struct group *group)
{
    for (size_t i = 0; i < group->count; i++)
        settle(self, take_first(self), &group->verdicts[i]);
    atomic_fetch_add(&self->batches, group->count);
    self->full_reported = false;
}

static void settle_all(committer_t *self, const struct verdict *verdict)
{
    while (self->first)
        settle(self, take_first(self), verdict);
}

/* Answers every caller of apply; the batches submitted stay, in their order. */
static void settle_callers(committer_t *self, const struct verdict *verdict)
{
    struct waiting *at = self->first;
    self->first = NULL;
    self->last = &self->first;
    while (at) {
        struct waiting *next = at->next;
        if (at->owned) {
            append(self, at);
        } else {
            settle(self, at, verdict);
        }
        at = next;
    }
}

static void report_full(committer_t *self, const struct verdict *verdict)
{
    if (!self->full_reported)
        push_completion(self, self->first->tag, verdict, NULL);
    self->full_reported = true;
}

static void pause_before_retry(committer_t *self)
{
    struct timespec deadline = wait_deadline(LIMIT_STORE_RETRY_US);
    while (!self->closing && wait_until(&self->work, &self->mutex, &deadline))
        ;
}

/* Nothing of the group is in the store. */
static void hold(committer_t *self, const struct verdict *verdict)
{
    settle_callers(self, verdict);
    if (self->closing)
        settle_all(self, verdict);
    if (!self->first)
        return;
    report_full(self, verdict);
    raise_fd(self);
    pause_before_retry(self);
}

static void conclude(committer_t *self, const struct group *group, const struct verdict *outcome)
{
    if (outcome->code == 0) {
        settle_group(self, group);
    } else if (outcome->code == ERR_FULL) {
        hold(self, outcome);
    } else {
        self->broken = *outcome;
        self->broken.code = ERR_IO;
        self->broken.err.code = ERR_IO;
        settle_all(self, &self->broken);
    }
    raise_fd(self);
}

static void *run(void *argument)
{
    committer_t *self = argument;
    struct group *group = xcalloc(1, sizeof *group);
    pthread_mutex_lock(&self->mutex);
    for (;;) {
        struct verdict outcome = {0};
        while (!self->first && !self->closing)
            pthread_cond_wait(&self->work, &self->mutex);
        if (!self->first)
            break;
        gather(self, group);
        pthread_mutex_unlock(&self->mutex);
        outcome.code = transact_some(self, group, &outcome.err);
        pthread_mutex_lock(&self->mutex);
        conclude(self, group, &outcome);
    }
    pthread_mutex_unlock(&self->mutex);
    free(group);
    return NULL;
}

/* Signals are for the program's own threads: this one takes none. */
static int start_thread(committer_t *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&self->thread, NULL, run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        pthread_setname_np(self->thread, "store-committer");
    return error;
}

/* --- life --------------------------------------------------------------------------------------
 */

static void release(committer_t *self)
{
    struct store_completion completion;
    while (committer_complete(self, &completion))
        store_batch_destroy(&completion.batch);
    if (self->fd >= 0)
        close(self->fd);
    pthread_cond_destroy(&self->applied);
    pthread_cond_destroy(&self->work);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

int committer_new(kv_t *kv, const struct tables *tables, committer_t **ret_committer,
                  struct err *err)
{
    committer_t *self = xcalloc(1, sizeof *self);
    self->kv = kv;
    self->tables = tables;
    self->last = &self->first;
    CHECK(pthread_mutex_init(&self->mutex, NULL) == 0);
    wait_init(&self->work);
    wait_init(&self->applied);
    for (size_t i = 0; i < LIMIT_STORE_IN_FLIGHT; i++) {
        self->slots[i].next = self->free_slots;
        self->free_slots = &self->slots[i];
    }
    self->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int error = self->fd < 0 ? errno : start_thread(self);
    if (error) {
        release(self);
        return err_set(err, ERR_IO, "cannot start the committer: %s", strerror(error));
    }
    *ret_committer = self;
    return 0;
}

void committer_destroy(committer_t **self_p)
{
    committer_t *self = *self_p;
    if (!self)
        return;
    pthread_mutex_lock(&self->mutex);
    self->closing = true;
    pthread_cond_signal(&self->work);
    pthread_mutex_unlock(&self->mutex);
    CHECK(pthread_join(self->thread, NULL) == 0);
    release(self);
    *self_p = NULL;
}

/* --- what other threads call -------------------------------------------------------------------
 */

static int refuse_broken(const committer_t *self, struct err *err)
{
    if (self->broken.code && err)
        *err = self->broken.err;
    return self->broken.code;
}

static int refuse_large(const store_batch_t *batch, struct err *err)
{
    size_t size = store_batch_size_bytes(batch);
    if (size <= LIMIT_STORE_BATCH_BYTES)
        return 0;
    int code = err_set(err, ERR_TOO_LARGE, "a batch of %zu bytes is larger than %u", size,
                       LIMIT_STORE_BATCH_BYTES);
    err_fix(err, "split the batch");
    return code;
}

/* A table that the store doesn't have is a mistake of whoever made the batch, so it shows there and
 * not in the committer's thread. */
static void check_tables(const committer_t *self, const store_batch_t *batch)
{
    for (unsigned i = 0; i < batch->name_count; i++)
        (void)tables_find(self->tables, batch->names[i]);
}

int committer_apply(committer_t *self, const store_batch_t *batch, struct err *err)
{
    struct waiting waiting = {.batch = batch};
    check_tables(self, batch);
    int code = refuse_large(batch, err);
    if (code)
        return code;
    pthread_mutex_lock(&self->mutex);
    code = refuse_broken(self, err);
    if (code == 0) {
        append(self, &waiting);
        while (!waiting.done)
            pthread_cond_wait(&self->applied, &self->mutex);
        code = waiting.verdict.code;
        if (code && err)
            *err = waiting.verdict.err;
    }
    pthread_mutex_unlock(&self->mutex);
    return code;
}

static void submit(committer_t *self, store_batch_t **batch_p, uint64_t tag)
{
    struct waiting *slot = self->free_slots;
    self->free_slots = slot->next;
    slot->batch = slot->owned = *batch_p;
    slot->tag = tag;
    *batch_p = NULL;
    self->in_flight++;
    append(self, slot);
}

int committer_submit(committer_t *self, store_batch_t **batch_p, uint64_t tag, struct err *err)
{
    check_tables(self, *batch_p);
    int code = refuse_large(*batch_p, err);
    if (code)
        return code;
    pthread_mutex_lock(&self->mutex);
    code = refuse_broken(self, err);
    if (code == 0 && self->in_flight == LIMIT_STORE_IN_FLIGHT)
        code = err_set(err, ERR_BUSY, "%d batches are in flight already", LIMIT_STORE_IN_FLIGHT);
    if (code == 0)
        submit(self, batch_p, tag);
    pthread_mutex_unlock(&self->mutex);
    return code;
}

bool committer_complete(committer_t *self, struct store_completion *ret_completion)
{
    pthread_mutex_lock(&self->mutex);
    bool some = self->completions_count > 0;
    if (some) {
        *ret_completion = self->completions[self->completions_first];
        self->completions_first = (self->completions_first + 1) % COMPLETIONS;
        self->completions_count--;
        if (ret_completion->batch)
            self->in_flight--;
        lower_fd(self);
    }
    pthread_mutex_unlock(&self->mutex);
    return some;
}

int committer_fd(const committer_t *self)
{
    return self->fd;
}

void committer_fault(committer_t *self, unsigned n, int code, bool for_good)
{
    CHECK(n == 0 || code == ERR_FULL || code == ERR_IO);
    pthread_mutex_lock(&self->mutex);
    self->fault = (struct fault){n, code, for_good};
    pthread_mutex_unlock(&self->mutex);
}

uint64_t committer_commits(const committer_t *self)
{
    return atomic_load(&self->commits);
}

uint64_t committer_batches(const committer_t *self)
{
    return atomic_load(&self->batches);
}
