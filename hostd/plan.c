#include "hostd/plan.h"

#include <stdlib.h>
#include <string.h>

/* What is known of an agent here; kept while it is wished for or has a slot. */
struct wish {
    char agent[LIMIT_NAME_BYTES + 1];
    uint32_t instances;
    uint64_t memory_bytes;
    uint32_t restarts;
};

struct plan {
    struct wish *wishes;
    size_t wishes_count, wishes_capacity;
    struct slot **slots; /* in the order in which they were made */
    size_t slots_count, slots_capacity;
    uint64_t next_id;
    bool has_number;
    uint64_t number;
    int64_t grace_us;
};

plan_t *plan_new(void)
{
    plan_t *self = xcalloc(1, sizeof *self);
    self->next_id = 1;
    self->grace_us = LIMIT_STOP_GRACE_US;
    return self;
}

void plan_destroy(plan_t **self_p)
{
    plan_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    for (size_t i = 0; i < self->slots_count; i++)
        free(self->slots[i]);
    free(self->slots);
    free(self->wishes);
    free(self);
}

static struct wish *find_wish(const plan_t *self, const char *agent)
{
    for (size_t i = 0; i < self->wishes_count; i++)
        if (strcmp(self->wishes[i].agent, agent) == 0)
            return &self->wishes[i];
    return NULL;
}

static struct wish *make_wish(plan_t *self, const char *agent)
{
    struct wish *wish = find_wish(self, agent);
    if (wish)
        return wish;
    if (self->wishes_count == self->wishes_capacity) {
        self->wishes_capacity = self->wishes_capacity ? 2 * self->wishes_capacity : 16;
        self->wishes = xrealloc(self->wishes, self->wishes_capacity * sizeof self->wishes[0]);
    }
    wish = &self->wishes[self->wishes_count++];
    *wish = (struct wish){0};
    memcpy(wish->agent, agent, strnlen(agent, LIMIT_NAME_BYTES));
    return wish;
}

static struct slot *make_slot(plan_t *self, const struct wish *wish, enum slot_state state,
                              int64_t now_us)
{
    if (self->slots_count == LIMIT_HOST_PROCESSES)
        return NULL;
    if (self->slots_count == self->slots_capacity) {
        self->slots_capacity = self->slots_capacity ? 2 * self->slots_capacity : 16;
        self->slots = xrealloc(self->slots, self->slots_capacity * sizeof self->slots[0]);
    }
    struct slot *slot = xcalloc(1, sizeof *slot);
    slot->id = self->next_id++;
    memcpy(slot->agent, wish->agent, sizeof slot->agent);
    slot->memory_bytes = wish->memory_bytes;
    slot->state = state;
    slot->due_us = now_us;
    slot->started_us = now_us;
    self->slots[self->slots_count++] = slot;
    return slot;
}

static void drop_slot(plan_t *self, size_t at)
{
    free(self->slots[at]);
    self->slots_count--;
    memmove(self->slots + at, self->slots + at + 1,
            (self->slots_count - at) * sizeof self->slots[0]);
}

static bool has_process(const struct slot *slot)
{
    return slot->state == SLOT_RUNNING || slot->state == SLOT_STOPPING;
}

/* Without a process a slot is simply gone; one that runs is told to end by plan_next. */
static void unwish(plan_t *self, size_t at)
{
    if (has_process(self->slots[at]))
        self->slots[at]->unwished = true;
    else
        drop_slot(self, at);
}

static bool is_wished(const struct slot *slot)
{
    return slot->state != SLOT_STOPPING && !slot->unwished;
}

static uint32_t count_wished(const plan_t *self, const char *agent)
{
    uint32_t count = 0;
    for (size_t i = 0; i < self->slots_count; i++)
        if (is_wished(self->slots[i]) && strcmp(self->slots[i]->agent, agent) == 0)
            count++;
    return count;
}

/* The memory of tasks is told to a process at its start, so another number takes another process.
 */
static void unwish_other_memory(plan_t *self, const struct wish *wish)
{
    for (size_t i = self->slots_count; i-- > 0;) {
        const struct slot *slot = self->slots[i];
        if (is_wished(slot) && strcmp(slot->agent, wish->agent) == 0 &&
            slot->memory_bytes != wish->memory_bytes)
            unwish(self, i);
    }
}

/* First those without a process, then the youngest. */
static void unwish_surplus(plan_t *self, const char *agent, uint32_t surplus)
{
    for (int with_process = 0; with_process <= 1; with_process++)
        for (size_t i = self->slots_count; surplus > 0 && i-- > 0;) {
            const struct slot *slot = self->slots[i];
            if (!is_wished(slot) || strcmp(slot->agent, agent) != 0 ||
                has_process(slot) != (with_process == 1))
                continue;
            unwish(self, i);
            surplus--;
        }
}

/* False when the host is full. */
static bool reconcile(plan_t *self, const struct wish *wish, int64_t now_us)
{
    unwish_other_memory(self, wish);
    uint32_t count = count_wished(self, wish->agent);
    if (count > wish->instances)
        unwish_surplus(self, wish->agent, count - wish->instances);
    for (; count < wish->instances; count++)
        if (!make_slot(self, wish, SLOT_WAITING, now_us))
            return false;
    return true;
}

static void let_halted_try(plan_t *self, int64_t now_us)
{
    for (size_t i = 0; i < self->slots_count; i++)
        if (self->slots[i]->state == SLOT_HALTED)
            self->slots[i]->due_us = now_us;
}

static void forget_unused_wishes(plan_t *self)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->wishes_count; i++) {
        bool used = self->wishes[i].instances > 0;
        for (size_t j = 0; !used && j < self->slots_count; j++)
            used = strcmp(self->slots[j]->agent, self->wishes[i].agent) == 0;
        if (used)
            self->wishes[kept++] = self->wishes[i];
    }
    self->wishes_count = kept;
}

int plan_apply(plan_t *self, const struct wire_plan *wish, int64_t now_us, struct err *err)
{
    if (self->has_number && wish->number < self->number)
        return err_set(err, ERR_CONFLICT, "the plan is older than the one that is carried out");
    if (!self->has_number || wish->number > self->number)
        let_halted_try(self, now_us);
    self->has_number = true;
    self->number = wish->number;
    for (size_t i = 0; i < self->wishes_count; i++)
        self->wishes[i].instances = 0;
    for (size_t i = 0; i < wish->agents_count; i++) {
        struct wish *mine = make_wish(self, wish->agents[i].agent);
        mine->instances = wish->agents[i].instances;
        mine->memory_bytes = wish->agents[i].memory_bytes;
    }
    bool full = false;
    for (size_t i = 0; i < self->wishes_count; i++)
        full = !reconcile(self, &self->wishes[i], now_us) || full;
    forget_unused_wishes(self);
    if (!full)
        return 0;
    err_set(err, ERR_LIMIT, "the plan wishes for more processes than a host may have (%d)",
            LIMIT_HOST_PROCESSES);
    err_fix(err, "lower `instances` of some agents, or add a host");
    return ERR_LIMIT;
}

void plan_forget_number(plan_t *self)
{
    self->has_number = false;
}

void plan_stop_all(plan_t *self, int64_t grace_us)
{
    self->grace_us = grace_us;
    for (size_t i = 0; i < self->wishes_count; i++)
        self->wishes[i].instances = 0;
    for (size_t i = self->slots_count; i-- > 0;)
        unwish(self, i);
}

const struct slot *plan_adopt(plan_t *self, const char *agent, uint64_t memory_bytes,
                              uint32_t restarts, int64_t now_us)
{
    struct wish *wish = make_wish(self, agent);
    wish->memory_bytes = memory_bytes;
    if (restarts > wish->restarts)
        wish->restarts = restarts;
    return make_slot(self, wish, SLOT_RUNNING, now_us);
}

static int64_t slot_due(const struct slot *slot)
{
    if (slot->state == SLOT_RUNNING)
        return slot->unwished ? INT64_MIN : PLAN_NEVER;
    return slot->due_us;
}

static enum plan_action act(plan_t *self, struct slot *slot, int64_t now_us)
{
    switch (slot->state) {
    case SLOT_RUNNING:
        slot->state = SLOT_STOPPING;
        slot->due_us = now_us + self->grace_us;
        return PLAN_TERMINATE;
    case SLOT_STOPPING: slot->due_us = PLAN_NEVER; return PLAN_KILL;
    case SLOT_WAITING:
    case SLOT_HALTED: break;
    }
    slot->state = SLOT_RUNNING;
    slot->started_us = now_us;
    return PLAN_START;
}

enum plan_action plan_next(plan_t *self, int64_t now_us, const struct slot **ret_slot)
{
    for (size_t i = 0; i < self->slots_count; i++) {
        if (slot_due(self->slots[i]) > now_us)
            continue;
        *ret_slot = self->slots[i];
        return act(self, self->slots[i], now_us);
    }
    return PLAN_NOTHING;
}

int64_t plan_deadline(const plan_t *self)
{
    int64_t deadline_us = PLAN_NEVER;
    for (size_t i = 0; i < self->slots_count; i++)
        if (slot_due(self->slots[i]) < deadline_us)
            deadline_us = slot_due(self->slots[i]);
    return deadline_us;
}

static int64_t backoff(unsigned failures)
{
    int64_t wait_us = LIMIT_BACKOFF_FIRST_US;
    for (unsigned i = 1; i < failures && wait_us < LIMIT_BACKOFF_MAX_US; i++)
        wait_us *= 2;
    return wait_us < LIMIT_BACKOFF_MAX_US ? wait_us : LIMIT_BACKOFF_MAX_US;
}

/* Whether the last exits came too close together, this one included. */
static bool note_exit(struct slot *slot, int64_t now_us)
{
    slot->exits[slot->exits_count++ % LIMIT_CRASH_LOOP_EXITS] = now_us;
    if (slot->exits_count < LIMIT_CRASH_LOOP_EXITS)
        return false;
    int64_t oldest_us = slot->exits[slot->exits_count % LIMIT_CRASH_LOOP_EXITS];
    return now_us - oldest_us <= LIMIT_CRASH_LOOP_US;
}

/* Whether its end says anything of what the next process will do. */
static bool is_afresh(const struct slot *slot, bool killed, int64_t now_us)
{
    int64_t lived_us = now_us - slot->started_us;
    return lived_us >= LIMIT_BACKOFF_RESET_US || (killed && lived_us >= LIMIT_KILLED_EARLY_US);
}

static void wait_again(struct slot *slot, bool killed, int64_t now_us, struct plan_exit *ret_exit)
{
    if (is_afresh(slot, killed, now_us)) {
        slot->failures = 0;
        slot->exits_count = 0;
    } else {
        slot->failures++;
        ret_exit->halted = !killed && note_exit(slot, now_us);
    }
    slot->state = ret_exit->halted ? SLOT_HALTED : SLOT_WAITING;
    slot->due_us = now_us + (ret_exit->halted ? LIMIT_CRASH_LOOP_REST_US : backoff(slot->failures));
    ret_exit->again_us = slot->due_us;
}

struct plan_exit plan_exited(plan_t *self, uint64_t id, bool killed, int64_t now_us)
{
    struct plan_exit over = {.again_us = PLAN_NEVER};
    size_t at = 0;
    while (at < self->slots_count && self->slots[at]->id != id)
        at++;
    CHECK(at < self->slots_count && has_process(self->slots[at]));
    struct slot *slot = self->slots[at];
    struct wish *wish = find_wish(self, slot->agent);
    if (wish && slot->state == SLOT_RUNNING && !slot->unwished) {
        wish->restarts++;
        over.crashed = true;
        wait_again(slot, killed, now_us, &over);
    }
    over.restarts = wish ? wish->restarts : 0;
    if (!over.crashed)
        drop_slot(self, at);
    return over;
}

const struct slot *plan_slot(const plan_t *self, uint64_t id)
{
    for (size_t i = 0; i < self->slots_count; i++)
        if (self->slots[i]->id == id)
            return self->slots[i];
    return NULL;
}

uint32_t plan_restarts(const plan_t *self, const char *agent)
{
    const struct wish *wish = find_wish(self, agent);
    return wish ? wish->restarts : 0;
}

size_t plan_size(const plan_t *self)
{
    return self->slots_count;
}
