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

static void add_task(uint64_t *hash, const struct task *task)
{
    add(hash, task->status);
    add(hash, task->reason);
    add(hash, task->reason_node);
    add(hash, task->fallen_back);
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
    add(hash, exec->open);
    add(hash, exec->count);
    add_signed(hash, exec->time_us);
    add_signed(hash, exec->started_us);
    add_signed(hash, exec->ended_us);
    add_signed(hash, exec->deadline_us);
    add_signed(hash, exec->stop_us);
    add_text(hash, exec->workflow);
    add_text(hash, exec->agent);
    add_text(hash, exec->by);
    add_answer(hash, exec->input);
    add_answer(hash, exec->output);
    add_blame(hash, exec->blame);
}

static void add_pin(uint64_t *hash, const struct pin *pin)
{
    add_text(hash, pin->agent->name);
    add(hash, pin->version);
    add_signed(hash, pin->timeout_us);
    add(hash, pin->rerun_never);
}

uint64_t engine_fingerprint(const engine_t *self, struct uuid execution)
{
    const struct exec *exec = state_exec(self, execution);
    uint64_t hash = 0;
    if (!exec)
        return hash;
    add_exec(&hash, exec);
    for (size_t i = 0; i < dag_agents(exec->dag); i++)
        add_pin(&hash, &exec->pins[i]);
    for (uint32_t i = 0; i < exec->count; i++)
        add_task(&hash, &exec->tasks[i]);
    return hash;
}
