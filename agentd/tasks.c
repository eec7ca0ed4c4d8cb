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

struct reports {
    struct report *first, *last;
    size_t count;
};

struct tasks {
    uint32_t parallel;
    uint64_t finished; /* since Welcome: tasks that have given back their place */
    uint64_t granted;
    bool draining;
    struct list lists[STATES];
    struct reports unsent, sent; /* in the order in which they were written */
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

/* --- reports -------------------------------------------------------------------------------------
 */

static void limit_buf(struct buf *buf)
{
    if (buf->capacity > KEPT_BYTES)
        buf_release(buf);
    else
        buf_clear(buf);
}

static struct report *report_new(struct task *task)
{
    struct report *report = task->report.task ? xcalloc(1, sizeof *report) : &task->report;
    report->task = task;
    report->sequence = 0;
    report->later = NULL;
    if (task->reports)
        task->last_report->later = report;
    else
        task->reports = report;
    task->last_report = report;
    return report;
}

static void reports_append(struct reports *reports, struct report *report)
{
    report->next = NULL;
    report->prev = reports->last;
    if (reports->last)
        reports->last->next = report;
    else
        reports->first = report;
    reports->last = report;
    reports->count++;
}

static void reports_remove(struct reports *reports, struct report *report)
{
    if (report->prev)
        report->prev->next = report->next;
    else
        reports->first = report->next;
    if (report->next)
        report->next->prev = report->prev;
    else
        reports->last = report->prev;
    reports->count--;
}

/* Takes it off the table's list; the task's own is the caller's affair. */
static void report_free(tasks_t *self, struct report *report)
{
    struct task *task = report->task;
    task->unsent -= report->sequence == 0;
    reports_remove(report->sequence ? &self->sent : &self->unsent, report);
    if (report == &task->report) {
        limit_buf(&report->item);
        report->task = NULL;
    } else {
        buf_release(&report->item);
        free(report);
    }
}

/* Forgets the task's reports up to this number, or all of them. What is no step has no number, and
 * is forgotten only with all. */
static void forget_reports(tasks_t *self, struct task *task, uint32_t number, bool all)
{
    struct report *last = NULL;
    for (struct report **link = &task->reports; *link;) {
        struct report *report = *link;
        if (all || (report->number && report->number <= number)) {
            *link = report->later;
            report_free(self, report);
        } else {
            last = report;
            link = &report->later;
        }
    }
    task->last_report = last;
}

static void fill_step(const struct task *task, struct wire_step *step)
{
    step->execution = task->execution;
    step->path = task->path;
    step->attempt = task->attempt;
    step->run = task->run;
    step->number = task->next_step;
    step->queued_us = task->queued_us;
}

/* --- tasks ---------------------------------------------------------------------------------------
 */

static void task_free(struct task *task)
{
    while (task->reports) {
        struct report *report = task->reports;
        task->reports = report->later;
        if (report != &task->report) {
            buf_release(&report->item);
            free(report);
        }
    }
    buf_release(&task->report.item);
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
    task->slot = self->slots_count;
    self->slots[self->slots_count++] = task;
    return task;
}

/* A free task has the id 0. */
static struct task *allocate(tasks_t *self)
{
    struct task *task = self->free;
    if (task)
        self->free = task->chain;
    else
        task = new_slot(self);
    task->id = ++self->generation << SLOT_BITS | task->slot;
    return task;
}

static void leave(tasks_t *self, struct task *task)
{
    struct task **link = bucket_of(self, task->execution, task->path);
    while (*link != task)
        link = &(*link)->chain;
    *link = task->chain;
    list_remove(&self->lists[task->state], task);
    self->count--;
    forget_reports(self, task, 0, true);
    limit_buf(&task->path_bytes);
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
    task->acknowledged_step = dispatch->journaled_step;
    task->next_step = dispatch->journaled_step + 1;
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

void tasks_report(tasks_t *self, struct task *task, struct wire_item *item)
{
    CHECK(task->state == TASK_WAITING || task->state == TASK_RUNNING);
    struct report *report = report_new(task);
    report->number = 0;
    if (item->kind == WIRE_ITEM_STEP) {
        fill_step(task, &item->step);
        report->number = task->next_step++;
    } else if (item->kind == WIRE_ITEM_DELEGATE) {
        item->delegate.execution = task->execution;
        item->delegate.path = task->path;
        item->delegate.attempt = task->attempt;
        item->delegate.run = task->run;
    } else {
        CHECK(item->kind == WIRE_ITEM_TOOL_CALL);
        item->tool_call.execution = task->execution;
        item->tool_call.path = task->path;
        item->tool_call.attempt = task->attempt;
        item->tool_call.run = task->run;
    }
    wire_append_item(item, &report->item);
    reports_append(&self->unsent, report);
    task->unsent++;
}

/* All that it reported may have gone out already. */
static void settle(tasks_t *self, struct task *task)
{
    if (task->state == TASK_FINISHED && task->unsent == 0)
        set_state(self, task, TASK_SENT);
}

void tasks_finish(tasks_t *self, struct task *task)
{
    CHECK(task->state == TASK_WAITING || task->state == TASK_RUNNING);
    CHECK(task->reports);
    self->finished++;
    set_state(self, task, TASK_FINISHED);
    settle(self, task);
}

const struct report *tasks_unsent(const tasks_t *self)
{
    return self->unsent.first;
}

const struct report *tasks_unsent_next(const struct report *report)
{
    return report->next;
}

void tasks_sent(tasks_t *self, size_t count, uint64_t sequence)
{
    for (; count; count--) {
        struct report *report = self->unsent.first;
        reports_remove(&self->unsent, report);
        reports_append(&self->sent, report);
        report->sequence = sequence;
        report->task->unsent--;
        settle(self, report->task);
    }
}

/* Reports of one task go out in order, so this is its oldest one. */
static void acknowledge(tasks_t *self, struct report *report)
{
    struct task *task = report->task;
    CHECK(task->reports == report);
    if (report->number)
        task->acknowledged_step = report->number;
    task->reports = report->later;
    report_free(self, report);
    if (task->state == TASK_SENT && !task->reports)
        leave(self, task);
}

void tasks_acknowledge(tasks_t *self, uint64_t sequence)
{
    while (self->sent.first && self->sent.first->sequence <= sequence)
        acknowledge(self, self->sent.first);
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

static void claim_of(const struct task *task, struct arena *arena, struct wire_claim *ret_claim)
{
    size_t count = 0;
    for (const struct report *report = task->reports; report; report = report->later)
        count += report->number > 0;
    uint32_t *steps = count ? arena_alloc(arena, count * sizeof *steps) : NULL;
    *ret_claim = (struct wire_claim){
        .execution = task->execution,
        .path = task->path,
        .run = task->run,
        .acknowledged_step = task->acknowledged_step,
        .unacknowledged_steps = steps,
        .unacknowledged_count = count,
    };
    for (const struct report *report = task->reports; report; report = report->later)
        if (report->number)
            *steps++ = report->number;
}

void tasks_inventory(const tasks_t *self, struct arena *arena, const struct wire_claim **ret_claims,
                     size_t *ret_count)
{
    struct wire_claim *claims =
        self->count ? arena_alloc(arena, self->count * sizeof *claims) : NULL;
    size_t count = 0;
    for (size_t state = 0; state < STATES; state++)
        for (struct task *task = self->lists[state].first; task; task = task->next)
            claim_of(task, arena, &claims[count++]);
    *ret_claims = claims;
    *ret_count = count;
}

/* Marks the task of a verdict as kept, and acknowledges the steps that the journal holds; one that
 * has nothing more to say leaves, having kept its place in the count of what was sent. */
static void judge(tasks_t *self, const struct wire_verdict *verdict)
{
    struct task *task = tasks_find(self, verdict->execution, verdict->path);
    if (!task || task->judged || !verdict->keep || wire_run_compare(task->run, verdict->run) != 0)
        return;
    forget_reports(self, task, verdict->journaled_step, false);
    if (verdict->journaled_step > task->acknowledged_step &&
        verdict->journaled_step < task->next_step)
        task->acknowledged_step = verdict->journaled_step;
    if (!has_place(task)) {
        self->finished++;
        if (!task->reports) {
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

/* What was sent under the old link goes out before what was not. */
static void unsend(tasks_t *self)
{
    struct reports later = self->unsent;
    self->unsent = self->sent;
    self->sent = (struct reports){0};
    for (struct report *report = self->unsent.first; report; report = report->next) {
        report->sequence = 0;
        report->task->unsent++;
    }
    for (struct report *report = later.first, *next; report; report = next) {
        next = report->next;
        reports_append(&self->unsent, report);
    }
    struct list finished = self->lists[TASK_FINISHED];
    self->lists[TASK_FINISHED] = (struct list){0};
    while (self->lists[TASK_SENT].first)
        set_state(self, self->lists[TASK_SENT].first, TASK_FINISHED);
    for (struct task *task = finished.first, *next; task; task = next) {
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
    return self->unsent.count + self->sent.count;
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

size_t tasks_sent_count(const tasks_t *self)
{
    return self->sent.count;
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
