#include "base/limits.h"
#include "engine/state.h"
#include <stdlib.h>
#include <string.h>

/* What a task has that takes turns or delegates: its conversation, and what it and all below it may
 * spend. */

struct talk *talk_of(struct task *task)
{
    if (!task->talk)
        task->talk = xcalloc(1, sizeof *task->talk);
    return task->talk;
}

void talk_clear(struct talk *self)
{
    for (uint32_t i = 0; i < self->entries_count; i++)
        free(self->entries[i]);
    free(self->entries);
    free(self->calls);
    self->entries = NULL;
    self->calls = NULL;
    self->entries_count = self->entries_capacity = self->calls_count = 0;
    self->turn = self->asked = self->open = self->local_open = self->unsaid = self->turn_at = 0;
    self->corrected = self->ours = false;
    self->bytes = 0;
    self->since_us = 0;
}

void talk_free(struct talk **self_p)
{
    struct talk *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    talk_clear(self);
    free(self->reservation.egress);
    free(self->children);
    free(self);
}

/* --- the history ------------------------------------------------------------------------------ */

static char *put(char **at, const void *data, size_t size)
{
    char *here = *at;
    if (size > 0)
        memcpy(here, data, size);
    *at += size;
    return here;
}

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static const char *put_text(char **at, const char *text)
{
    return text ? put(at, text, strlen(text) + 1) : NULL;
}

/* One block with all that it points to. */
static struct entry *entry_new(const struct entry *from)
{
    size_t bytes = from->datum.is_blob ? 0 : from->datum.inline_bytes.size;
    struct entry *self =
        xmalloc(sizeof *self + bytes + text_size(from->failure.code) +
                text_size(from->failure.message) + text_size(from->failure.detail));
    char *at = (char *)(self + 1);
    *self = *from;
    if (bytes > 0)
        self->datum.inline_bytes = bytes_of(put(&at, from->datum.inline_bytes.data, bytes), bytes);
    self->failure.code = put_text(&at, from->failure.code);
    self->failure.message = put_text(&at, from->failure.message);
    self->failure.detail = put_text(&at, from->failure.detail);
    return self;
}

void talk_add(struct talk *self, const struct entry *entry)
{
    if (self->entries_count == self->entries_capacity) {
        self->entries_capacity = self->entries_capacity ? 2 * self->entries_capacity : 8;
        self->entries = xrealloc(self->entries, self->entries_capacity * sizeof(struct entry *));
    }
    if (entry->kind == STEP_TURN)
        self->turn_at = self->entries_count;
    self->bytes += datum_size(&entry->datum);
    self->entries[self->entries_count++] = entry_new(entry);
}

void talk_answer(struct talk *self, const struct entry *entry)
{
    struct turn_call *call = &self->calls[entry->call];
    CHECK(!call->done);
    call->done = true;
    self->open--;
    if (!call->ours)
        self->local_open--;
    else if (!call->said)
        self->unsaid--;
    talk_add(self, entry);
}

struct history_entry entry_view(const struct exec *exec, const struct entry *entry)
{
    struct history_entry view = {.kind = entry->kind,
                                 .turn = entry->turn,
                                 .call = entry->call,
                                 .output = entry->datum,
                                 .failure = entry->failure};
    if (entry->child == NO_NODE)
        return view;
    const struct task *child = &exec->tasks[entry->child];
    if (child->answer)
        view.output = child->answer->datum;
    else if (child->blame)
        view.failure = child->blame->failure;
    else
        view.failure = (struct failure){
            .code = "cancelled", .message = "the delegation was cancelled", .detail = ""};
    return view;
}

/* --- the ledger ------------------------------------------------------------------------------- */

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t minus(uint64_t limit, uint64_t used)
{
    return used >= limit ? 0 : limit - used;
}

static void usage_add(struct usage *self, const struct usage *more)
{
    self->input_tokens = plus(self->input_tokens, more->input_tokens);
    self->output_tokens = plus(self->output_tokens, more->output_tokens);
    self->cost_microusd = plus(self->cost_microusd, more->cost_microusd);
}

static void hold(struct ledger *ledger, uint64_t tokens, uint64_t cost_microusd)
{
    ledger->held_tokens = plus(ledger->held_tokens, tokens);
    ledger->held_cost = plus(ledger->held_cost, cost_microusd);
}

void ledger_hold(struct exec *exec, uint32_t index, uint64_t tokens, uint64_t cost_microusd)
{
    for (; index != NO_NODE; index = task_owner(exec, index))
        hold(&talk_of(&exec->tasks[index])->ledger, tokens, cost_microusd);
    hold(&exec->ledger, tokens, cost_microusd);
    while ((exec = exec->parent))
        hold(&exec->below, tokens, cost_microusd);
}

static void settle(struct ledger *ledger, const struct reservation *held, const struct usage *usage)
{
    ledger->held_tokens -= held->tokens;
    ledger->held_cost -= held->cost_microusd;
    usage_add(&ledger->used, usage);
}

void ledger_settle(struct exec *exec, uint32_t index, const struct reservation *held,
                   const struct usage *usage)
{
    usage_add(&talk_of(&exec->tasks[index])->own, usage);
    for (; index != NO_NODE; index = task_owner(exec, index))
        settle(&exec->tasks[index].talk->ledger, held, usage);
    settle(&exec->ledger, held, usage);
    while ((exec = exec->parent))
        settle(&exec->below, held, usage);
}

static void take_away(struct ledger *self, const struct ledger *less)
{
    self->used.input_tokens = minus(self->used.input_tokens, less->used.input_tokens);
    self->used.output_tokens = minus(self->used.output_tokens, less->used.output_tokens);
    self->used.cost_microusd = minus(self->used.cost_microusd, less->used.cost_microusd);
    self->held_tokens = minus(self->held_tokens, less->held_tokens);
    self->held_cost = minus(self->held_cost, less->held_cost);
}

static void add_ledger(struct ledger *self, const struct ledger *more)
{
    usage_add(&self->used, &more->used);
    hold(self, more->held_tokens, more->held_cost);
}

/* Of an execution with its sub-workflows. */
static struct ledger ledger_whole(const struct exec *exec)
{
    struct ledger whole = exec->ledger;
    add_ledger(&whole, &exec->below);
    return whole;
}

const struct exec *exec_root(const struct exec *exec)
{
    while (exec->parent)
        exec = exec->parent;
    return exec;
}

bool exec_has_family(const struct exec *exec)
{
    return exec->parent || dag_workflows(exec->dag) > 0;
}

void ledger_join(struct exec *exec, bool gone)
{
    const struct ledger whole = ledger_whole(exec);
    while ((exec = exec->parent)) {
        if (gone)
            take_away(&exec->below, &whole);
        else
            add_ledger(&exec->below, &whole);
    }
}

static void narrow(struct budget *budget, uint64_t limit, uint64_t used, uint64_t held,
                   uint32_t index)
{
    if (limit == 0)
        return;
    uint64_t left = minus(limit, used), unheld = minus(left, held);
    if (left < budget->left) {
        budget->left = left;
        budget->limit = index;
    }
    if (unheld < budget->free) {
        budget->free = unheld;
        budget->tight = index;
    }
}

static void narrow_tokens(struct budget *budget, uint64_t limit, const struct ledger *ledger,
                          uint32_t index)
{
    uint64_t used = plus(ledger->used.input_tokens, ledger->used.output_tokens);
    narrow(budget, limit, used, ledger->held_tokens, index);
}

static void narrow_cost(struct budget *budget, uint64_t limit, const struct ledger *ledger,
                        uint32_t index)
{
    narrow(budget, limit, ledger->used.cost_microusd, ledger->held_cost, index);
}

static const struct ledger *ledger_of(const struct exec *exec, uint32_t index)
{
    static const struct ledger nothing = {0};
    const struct talk *talk = exec->tasks[index].talk;
    return talk ? &talk->ledger : &nothing;
}

struct budget ledger_tokens(const struct exec *exec, uint32_t index)
{
    struct budget budget = {UINT64_MAX, UINT64_MAX, NO_NODE, NO_NODE};
    for (const struct exec *at = exec; at; at = at->parent) {
        const struct ledger whole = ledger_whole(at);
        narrow_tokens(&budget, dag_tokens(at->dag), &whole, NO_NODE);
    }
    for (; index != NO_NODE; index = task_parent(exec, index))
        narrow_tokens(&budget, task_pin(exec, index)->as.tokens, ledger_of(exec, index), index);
    return budget;
}

struct budget ledger_cost(const struct exec *exec, uint32_t index)
{
    struct budget budget = {UINT64_MAX, UINT64_MAX, NO_NODE, NO_NODE};
    for (const struct exec *at = exec; at; at = at->parent) {
        const struct ledger whole = ledger_whole(at);
        narrow_cost(&budget, dag_cost_microusd(at->dag), &whole, NO_NODE);
    }
    for (; index != NO_NODE; index = task_parent(exec, index))
        narrow_cost(&budget, task_pin(exec, index)->as.cost_microusd, ledger_of(exec, index),
                    index);
    return budget;
}

/* --- the chain -------------------------------------------------------------------------------- */

const char *talk_chain(struct arena *arena, const struct exec *exec, uint32_t index)
{
    const char *chain = task_pin(exec, index)->agent->name;
    while ((index = task_parent(exec, index)) != NO_NODE)
        chain = arena_printf(arena, "%s -> %s", task_pin(exec, index)->agent->name, chain);
    return chain;
}
