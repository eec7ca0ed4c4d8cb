#include "engine/state.h"
#include <string.h>

/* A hash over the folded state, the same in every process and on every machine: each field goes in
 * as a number or as counted bytes, never as memory. */

static void add(uint64_t *hash, uint64_t number)
{
    uint64_t x = *hash ^ number;
    x *= 0x9e3779b97f4a7c15u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    *hash = x ^ (x >> 32);
}

static void add_signed(uint64_t *hash, int64_t number)
{
    add(hash, (uint64_t)number);
}

static void add_bytes(uint64_t *hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    add(hash, size);
    for (size_t i = 0; i < size; i++)
        add(hash, bytes[i]);
}

static void add_text(uint64_t *hash, const char *text)
{
    add_bytes(hash, text, strlen(text));
}

static void add_datum(uint64_t *hash, const struct datum *datum)
{
    add(hash, datum->is_blob);
    if (!datum->is_blob) {
        add_bytes(hash, datum->inline_bytes.data, datum->inline_bytes.size);
        return;
    }
    add_bytes(hash, datum->hash, sizeof datum->hash);
    add(hash, datum->size_bytes);
}

static void add_answer(uint64_t *hash, const struct answer *answer)
{
    add(hash, answer != NULL);
    if (!answer)
        return;
    add_datum(hash, &answer->datum);
    add_text(hash, answer->instance);
}

static void add_blame(uint64_t *hash, const struct blame *blame)
{
    add(hash, blame != NULL);
    if (!blame)
        return;
    add_text(hash, blame->failure.code);
    add_text(hash, blame->failure.message);
    add_text(hash, blame->failure.detail);
    add(hash, blame->failure.permanent);
    add_text(hash, blame->instance);
}

static void add_run(uint64_t *hash, struct run run)
{
    add(hash, run.epoch);
    add(hash, run.counter);
}

static void add_failure(uint64_t *hash, const struct failure *failure)
{
    add(hash, failure->code != NULL);
    if (!failure->code)
        return;
    add_text(hash, failure->code);
    add_text(hash, failure->message ? failure->message : "");
    add_text(hash, failure->detail ? failure->detail : "");
    add(hash, failure->permanent);
}

static void add_usage(uint64_t *hash, const struct usage *usage)
{
    add(hash, usage->input_tokens);
    add(hash, usage->output_tokens);
    add(hash, usage->cost_microusd);
}

static void add_ledger(uint64_t *hash, const struct ledger *ledger)
{
    add_usage(hash, &ledger->used);
    add(hash, ledger->held_tokens);
    add(hash, ledger->held_cost);
}

static void add_entry(uint64_t *hash, const struct entry *entry)
{
    add(hash, (uint64_t)entry->kind);
    add(hash, entry->turn);
    add(hash, entry->call);
    add(hash, entry->child);
    add_datum(hash, &entry->datum);
    add_failure(hash, &entry->failure);
}

static void add_reservation(uint64_t *hash, const struct reservation *held)
{
    add(hash, held->turn);
    if (held->turn == 0)
        return;
    add_text(hash, held->egress);
    add(hash, held->boot);
    add(hash, held->tokens);
    add(hash, held->cost_microusd);
}

static void add_talk(uint64_t *hash, const struct talk *talk)
{
    add_signed(hash, talk->since_us);
    add(hash, talk->turn);
    add(hash, talk->corrected);
    add(hash, talk->ours);
    add(hash, talk->open);
    add(hash, talk->local_open);
    add(hash, talk->unsaid);
    add(hash, talk->turn_at);
    add(hash, talk->asked);
    add(hash, talk->bytes);
    add(hash, talk->turns);
    add(hash, talk->calls_again);
    add(hash, talk->calls_count);
    for (uint32_t i = 0; i < talk->calls_count; i++) {
        const struct turn_call *call = &talk->calls[i];
        add(hash, call->ours | (uint64_t)call->said << 1 | (uint64_t)call->done << 2);
    }
    add(hash, talk->entries_count);
    for (uint32_t i = 0; i < talk->entries_count; i++)
        add_entry(hash, talk->entries[i]);
    add_reservation(hash, &talk->reservation);
    add_usage(hash, &talk->own);
    add_ledger(hash, &talk->ledger);
    add(hash, talk->children_count);
    for (uint32_t i = 0; i < talk->children_count; i++)
        add(hash, talk->children[i]);
}

static void add_origin(uint64_t *hash, const struct origin *origin)
{
    add(hash, origin->parent);
    add(hash, origin->number);
    add(hash, origin->is_item);
    add(hash, origin->root);
    add(hash, origin->pin);
    add(hash, origin->attempt);
    add(hash, origin->turn);
    add(hash, origin->call);
    add(hash, origin->depth);
    add(hash, origin->hand_off);
    add_text(hash, origin->path);
    add_datum(hash, &origin->message);
}

static void add_context(uint64_t *hash, const value_t *context)
{
    struct buf packed = {0};
    if (context)
        value_to_msgpack(context, &packed);
    add_bytes(hash, packed.data, packed.size);
    buf_release(&packed);
}

static void add_group(uint64_t *hash, const struct group *group)
{
    add_answer(hash, group->list);
    add(hash, group->begun);
    add(hash, group->running);
    add(hash, group->open);
}

static void add_waiting(uint64_t *hash, const struct waiting *waiting)
{
    add(hash, waiting->attempt);
    add(hash, waiting->kind);
    add(hash, waiting->end);
    add(hash, waiting->approved);
    add(hash, waiting->sequence);
    add_signed(hash, waiting->since_us);
    add_signed(hash, waiting->due_us);
    add_signed(hash, waiting->ended_us);
    add_bytes(hash, waiting->hash, sizeof waiting->hash);
    add_text(hash, waiting->signal ? waiting->signal : "");
    add_text(hash, waiting->by ? waiting->by : "");
    add_text(hash, waiting->note ? waiting->note : "");
    add_answer(hash, waiting->text);
    add_answer(hash, waiting->show);
    add_answer(hash, waiting->given);
}

static void add_signals(uint64_t *hash, const struct exec *exec)
{
    add(hash, exec->signals_count);
    add(hash, exec->signals_bytes);
    for (uint32_t i = 0; i < exec->signals_count; i++) {
        add_text(hash, exec->signals[i].name);
        add_answer(hash, exec->signals[i].payload);
    }
}

static void add_owned(uint64_t *hash, const struct owned *owned)
{
    add(hash, owned != NULL);
    if (!owned)
        return;
    add_bytes(hash, owned->execution.bytes, sizeof owned->execution.bytes);
    add(hash, owned->attempt);
    add(hash, owned->open);
}

static void add_family(uint64_t *hash, const struct exec *exec)
{
    add_bytes(hash, exec->owner.bytes, sizeof exec->owner.bytes);
    add_text(hash, exec->owner_path ? exec->owner_path : "");
    add(hash, exec->owner_attempt);
    add(hash, exec->depth);
    for (size_t i = 0; i < dag_workflows(exec->dag); i++)
        add(hash, exec->workflows[i]);
}

static void add_task(uint64_t *hash, const struct task *task)
{
    add(hash, task->status);
    add(hash, task->reason);
    add(hash, task->reason_node);
    add(hash, task->fallen_back);
    add(hash, task->gate);
    add(hash, task->asked);
    add(hash, task->attempt);
    add(hash, task->first_attempt);
    add(hash, task->step);
    add(hash, task->losses);
    add(hash, task->losses_row);
    add(hash, task->taken);
    add(hash, task->dead);
    add_run(hash, task->void_run);
    add_run(hash, task->step_run);
    add(hash, task->ready_sequence);
    add(hash, task->ended_sequence);
    add_signed(hash, task->queued_us);
    add_signed(hash, task->started_us);
    add_signed(hash, task->ended_us);
    add_signed(hash, task->retry_at_us);
    add_answer(hash, task->answer);
    add_blame(hash, task->blame);
    add_context(hash, task->context);
    add(hash, task->waiting != NULL);
    if (task->waiting)
        add_waiting(hash, task->waiting);
    add_owned(hash, task->owned);
    add(hash, task->talk != NULL);
    if (task->talk)
        add_talk(hash, task->talk);
    add(hash, task->origin != NULL);
    if (task->origin)
        add_origin(hash, task->origin);
    add(hash, task->group != NULL);
    if (task->group)
        add_group(hash, task->group);
}

static void add_exec(uint64_t *hash, const struct exec *exec)
{
    add_bytes(hash, exec->id.bytes, sizeof exec->id.bytes);
    add(hash, (uint64_t)exec->status);
    add(hash, exec->stop);
    add(hash, exec->sequence);
    add(hash, exec->seed);
    add(hash, exec->workflow_version);
    add(hash, exec->failed_node);
    add(hash, exec->first_failed);
    add(hash, exec->reopened);
    add_bytes(hash, exec->forked_from.bytes, sizeof exec->forked_from.bytes);
    add(hash, exec->forked_at);
    add_family(hash, exec);
    add(hash, exec->open);
    add(hash, exec->active);
    add(hash, exec->paused);
    add(hash, exec->paused_sequence);
    add_signed(hash, exec->paused_us);
    add(hash, exec->waits_count);
    add_signals(hash, exec);
    add(hash, exec->count);
    add_signed(hash, exec->time_us);
    add_signed(hash, exec->started_us);
    add_signed(hash, exec->ended_us);
    add_signed(hash, exec->deadline_us);
    add_signed(hash, exec->allowed_us);
    add_signed(hash, exec->stop_us);
    add_text(hash, exec->workflow);
    add_text(hash, exec->agent);
    add_text(hash, exec->by);
    add_answer(hash, exec->input);
    add_answer(hash, exec->output);
    add_blame(hash, exec->blame);
    add(hash, exec->nodes);
    add(hash, exec->reservations);
    add(hash, exec->delegations);
    add_ledger(hash, &exec->ledger);
    add_context(hash, exec->context);
}

static void add_pin(uint64_t *hash, const struct pin *pin)
{
    add_text(hash, pin->agent->name);
    const struct pinned_agent *as = &pin->as;
    add(hash, as->version);
    add_signed(hash, as->timeout_us);
    add(hash, as->rerun_never);
    add(hash, as->takes_turns);
    add(hash, as->delegates_count);
    for (size_t i = 0; i < as->delegates_count; i++)
        add_text(hash, as->delegates[i]);
    add(hash, as->turns);
    add(hash, as->depth);
    add(hash, as->delegations);
    add(hash, as->same_delegation);
    add(hash, as->max_tokens);
    add(hash, as->tokens);
    add(hash, as->cost_microusd);
    add(hash, as->input_price);
    add(hash, as->output_price);
}

uint64_t engine_fingerprint(const engine_t *self, struct uuid execution)
{
    const struct exec *exec = state_exec(self, execution);
    uint64_t hash = 0;
    if (!exec)
        return hash;
    add_exec(&hash, exec);
    for (uint32_t i = 0; i < exec->pins_count; i++)
        add_pin(&hash, exec->pins[i]);
    for (uint32_t i = 0; i < exec->count; i++)
        add_task(&hash, &exec->tasks[i]);
    for (uint32_t i = 0; i < exec->nodes; i++)
        if (exec->tasks[i].edges)
            add_bytes(&hash, exec->tasks[i].edges, dag_node(exec->dag, i)->sources_count);
    return hash;
}
