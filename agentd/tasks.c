#include "agentd/tasks.h"

#include "base/hash.h"
#include "base/limits.h"
#include <stdlib.h>
#include <string.h>

enum {
    STATES = TASK_SENT + 1,
    SLOT_BITS = 24,
    BUCKETS_MIN = 64,
    KEPT_BYTES = 1024, /* a larger buffer is not kept for the slot's next task */
};

struct list {
    struct task *first, *last;
    size_t count;
};

struct tasks {
    uint32_t parallel;
    uint64_t finished; /* since Welcome: tasks that have given back their place */
    uint64_t granted;
    bool draining;
    struct list lists[STATES];
    struct task **buckets;
    size_t buckets_count; /* a power of two */
    size_t count;
    struct task **slots;
    size_t slots_count, slots_capacity;
    uint64_t generation;
    struct task *free; /* by chain */
};

static const bool legal[STATES][STATES] = {
    [TASK_WAITING] = {[TASK_RUNNING] = true, [TASK_FINISHED] = true},
    [TASK_RUNNING] = {[TASK_FINISHED] = true},
    [TASK_FINISHED] = {[TASK_SENT] = true},
    [TASK_SENT] = {[TASK_FINISHED] = true},
};

static void list_append(struct list *list, struct task *task)
{
    task->next = NULL;
    task->prev = list->last;
    if (list->last)
        list->last->next = task;
    else
        list->first = task;
    list->last = task;
    list->count++;
}

static void list_remove(struct list *list, struct task *task)
{
    if (task->prev)
        task->prev->next = task->next;
    else
        list->first = task->next;
    if (task->next)
        task->next->prev = task->prev;
    else
        list->last = task->prev;
    list->count--;
}

static void set_state(tasks_t *self, struct task *task, enum task_state state)
{
    CHECK(legal[task->state][state]);
    list_remove(&self->lists[task->state], task);
    task->state = state;
    list_append(&self->lists[state], task);
}

static struct task **bucket_of(const tasks_t *self, struct uuid execution, const char *path)
{
    uint64_t hash = uuid_hash(execution) ^ hash_bytes(path, strlen(path));
    return &self->buckets[hash & (self->buckets_count - 1)];
}

static void set_buckets(tasks_t *self, size_t count)
{
    struct task **before = self->buckets;
    size_t before_count = self->buckets_count;
    self->buckets = xcalloc(count, sizeof self->buckets[0]);
    self->buckets_count = count;
    for (size_t i = 0; i < before_count; i++) {
        while (before[i]) {
            struct task *task = before[i];
            before[i] = task->chain;
            struct task **bucket = bucket_of(self, task->execution, task->path);
            task->chain = *bucket;
            *bucket = task;
        }
    }
    free(before);
}

tasks_t *tasks_new(uint32_t parallel)
{
    tasks_t *self = xcalloc(1, sizeof *self);
    self->parallel = parallel;
    set_buckets(self, BUCKETS_MIN);
    return self;
}

static void task_free(struct task *task)
{
    buf_release(&task->step);
    buf_release(&task->path_bytes);
    free(task);
}

void tasks_destroy(tasks_t **self_p)
{
    tasks_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->slots_count; i++)
        task_free(self->slots[i]);
    free(self->slots);
    free(self->buckets);
    free(self);
    *self_p = NULL;
}

struct task *tasks_get(const tasks_t *self, uint64_t id)
{
    size_t slot = id & ((1u << SLOT_BITS) - 1);
    if (slot >= self->slots_count || self->slots[slot]->id != id)
        return NULL;
    return self->slots[slot];
}

struct task *tasks_find(const tasks_t *self, struct uuid execution, const char *path)
{
    struct task *task = *bucket_of(self, execution, path);
    while (task && !(uuid_equal(task->execution, execution) && strcmp(task->path, path) == 0))
        task = task->chain;
    return task;
}

static struct task *new_slot(tasks_t *self)
{
    if (self->slots_count == self->slots_capacity) {
        self->slots_capacity = self->slots_capacity ? self->slots_capacity * 2 : 16;
        self->slots = xrealloc(self->slots, self->slots_capacity * sizeof(struct task *));
    }
    CHECK(self->slots_count < 1u << SLOT_BITS);
    struct task *task = xcalloc(1, sizeof *task);
    task->sequence = self->slots_count;
    self->slots[self->slots_count++] = task;
    return task;
}

/* A free task keeps its slot's number in `sequence`, and has the id 0. */
static struct task *allocate(tasks_t *self)
{
    struct task *task = self->free;
    if (task)
        self->free = task->chain;
    else
        task = new_slot(self);
    task->id = ++self->generation << SLOT_BITS | task->sequence;
    task->sequence = 0;
    return task;
}

static void limit_buf(struct buf *buf)
{
    if (buf->capacity > KEPT_BYTES)
        buf_release(buf);
    else
        buf_clear(buf);
}

static void leave(tasks_t *self, struct task *task)
{
    struct task **link = bucket_of(self, task->execution, task->path);
    while (*link != task)
        link = &(*link)->chain;
    *link = task->chain;
    list_remove(&self->lists[task->state], task);
    self->count--;
    limit_buf(&task->step);
    limit_buf(&task->path_bytes);
    task->sequence = task->id & ((1u << SLOT_BITS) - 1);
    task->id = 0;
    task->work = NULL;
    task->chain = self->free;
    self->free = task;
}

static struct task *add(tasks_t *self, const struct wire_dispatch *dispatch)
{
    if (self->count >= self->buckets_count)
        set_buckets(self, self->buckets_count * 2);
    struct task *task = allocate(self);
    buf_puts(&task->path_bytes, dispatch->path);
    task->path = buf_string(&task->path_bytes);
    task->execution = dispatch->execution;
    task->run = dispatch->run;
    task->attempt = dispatch->attempt;
    task->journaled_step = dispatch->journaled_step;
    task->step_number = dispatch->journaled_step + 1;
    task->queued_us = dispatch->queued_us;
    task->state = TASK_WAITING;
    struct task **bucket = bucket_of(self, task->execution, task->path);
    task->chain = *bucket;
    *bucket = task;
    list_append(&self->lists[TASK_WAITING], task);
    self->count++;
    return task;
}

enum tasks_take tasks_take(tasks_t *self, const struct wire_dispatch *dispatch,
                           struct task **ret_task)
{
    struct task *held = tasks_find(self, dispatch->execution, dispatch->path);
    if (held && wire_run_compare(held->run, dispatch->run) >= 0)
        return TASKS_HELD;
    *ret_task = held ? held : add(self, dispatch);
    return held ? TASKS_BEFORE : TASKS_TAKEN;
}

void tasks_run(tasks_t *self, struct task *task)
{
    set_state(self, task, TASK_RUNNING);
}

void tasks_finish(tasks_t *self, struct task *task)
{
    CHECK(task->state == TASK_WAITING || task->state == TASK_RUNNING);
    self->finished++;
    set_state(self, task, TASK_FINISHED);
}

struct task *tasks_finished(const tasks_t *self)
{
    return self->lists[TASK_FINISHED].first;
}

struct task *tasks_finished_next(const struct task *task)
{
    return task->next;
}

void tasks_sent(tasks_t *self, struct task *task, uint64_t sequence)
{
    set_state(self, task, TASK_SENT);
    task->sequence = sequence;
}

void tasks_acknowledge(tasks_t *self, uint64_t sequence)
{
    struct list *sent = &self->lists[TASK_SENT];
    while (sent->first && sent->first->sequence <= sequence)
        leave(self, sent->first);
}

static bool has_place(const struct task *task)
{
    return task->state == TASK_WAITING || task->state == TASK_RUNNING;
}

void tasks_drop(tasks_t *self, struct task **task_p)
{
    self->finished += has_place(*task_p);
    leave(self, *task_p);
    *task_p = NULL;
}

static void claim_of(const struct task *task, struct wire_claim *ret_claim)
{
    *ret_claim = (struct wire_claim){
        .execution = task->execution,
        .path = task->path,
        .run = task->run,
        .acknowledged_step = task->journaled_step,
        .unacknowledged_steps = &task->step_number,
        .unacknowledged_count = has_place(task) ? 0 : 1,
    };
}

void tasks_inventory(const tasks_t *self, struct arena *arena, const struct wire_claim **ret_claims,
                     size_t *ret_count)
{
    struct wire_claim *claims =
        self->count ? arena_alloc(arena, self->count * sizeof *claims) : NULL;
    size_t count = 0;
    for (size_t state = 0; state < STATES; state++)
        for (struct task *task = self->lists[state].first; task; task = task->next)
            claim_of(task, &claims[count++]);
    *ret_claims = claims;
    *ret_count = count;
}

/* Marks the task of a verdict as kept; one whose step the journal holds leaves, having kept its
 * place in the count of what was sent. */
static void judge(tasks_t *self, const struct wire_verdict *verdict)
{
    struct task *task = tasks_find(self, verdict->execution, verdict->path);
    if (!task || task->judged || !verdict->keep || wire_run_compare(task->run, verdict->run) != 0)
        return;
    if (!has_place(task)) {
        self->finished++;
        if (task->step_number <= verdict->journaled_step) {
            leave(self, task);
            return;
        }
    }
    task->judged = true;
}

static void drop_unjudged(tasks_t *self, tasks_drop_fn drop, void *context)
{
    for (size_t state = 0; state < STATES; state++) {
        struct task *next = NULL;
        for (struct task *task = self->lists[state].first; task; task = next) {
            next = task->next;
            if (!task->judged) {
                drop(context, task);
                leave(self, task);
            } else {
                task->judged = false;
            }
        }
    }
}

/* Steps that were sent under the old link go out before those that were not. */
static void unsend(tasks_t *self)
{
    struct list later = self->lists[TASK_FINISHED];
    self->lists[TASK_FINISHED] = (struct list){0};
    while (self->lists[TASK_SENT].first)
        set_state(self, self->lists[TASK_SENT].first, TASK_FINISHED);
    for (struct task *task = later.first, *next; task; task = next) {
        next = task->next;
        list_append(&self->lists[TASK_FINISHED], task);
    }
}

void tasks_welcome(tasks_t *self, const struct wire_verdict *verdicts, size_t count,
                   tasks_drop_fn drop, void *context)
{
    self->finished = 0;
    for (size_t i = 0; i < count; i++)
        judge(self, &verdicts[i]);
    drop_unjudged(self, drop, context);
    unsend(self);
    self->granted = 0;
}

static size_t unacknowledged(const tasks_t *self)
{
    return self->lists[TASK_FINISHED].count + self->lists[TASK_SENT].count;
}

uint64_t tasks_credit(tasks_t *self)
{
    uint64_t ready = self->parallel + self->finished;
    bool more = !self->draining && unacknowledged(self) < LIMIT_AGENTD_UNACKED;
    if (ready > self->granted && more)
        self->granted = ready;
    return self->granted;
}

uint64_t tasks_hello_credit(const tasks_t *self)
{
    return self->draining ? 0 : self->parallel;
}

void tasks_set_parallel(tasks_t *self, uint32_t parallel)
{
    self->parallel = parallel;
}

uint32_t tasks_parallel(const tasks_t *self)
{
    return self->parallel;
}

void tasks_drain(tasks_t *self)
{
    self->draining = true;
}

size_t tasks_count(const tasks_t *self)
{
    return self->count;
}

size_t tasks_count_in(const tasks_t *self, enum task_state state)
{
    return self->lists[state].count;
}

void tasks_trim(tasks_t *self)
{
    if (self->count || !self->slots_count)
        return;
    for (size_t i = 0; i < self->slots_count; i++)
        task_free(self->slots[i]);
    free(self->slots);
    self->slots = NULL;
    self->slots_count = self->slots_capacity = 0;
    self->free = NULL;
    if (self->buckets_count > BUCKETS_MIN) {
        self->buckets_count = 0;
        free(self->buckets);
        self->buckets = NULL;
        set_buckets(self, BUCKETS_MIN);
    }
}
