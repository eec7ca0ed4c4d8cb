#include "coordinator/link_items.h"

static struct wire_run wire_run_of(struct run run)
{
    return (struct wire_run){run.epoch, run.counter};
}

static struct run run_of(struct wire_run run)
{
    return (struct run){run.epoch, run.counter};
}

/* --- effects ---------------------------------------------------------------------------------- */

static const struct wire_history *history_of(const struct effect_dispatch *dispatch,
                                             struct arena *arena)
{
    struct wire_history *history =
        arena_alloc(arena, (dispatch->history_here + 1) * sizeof *history);
    for (size_t i = 0; i < dispatch->history_here; i++) {
        const struct history_entry *from = &dispatch->history[i];
        history[i] = (struct wire_history){.kind = (enum wire_step_kind)from->kind,
                                           .turn = from->turn,
                                           .call = from->call,
                                           .output = from->output,
                                           .failure = {.code = from->failure.code,
                                                       .message = from->failure.message,
                                                       .detail = from->failure.detail,
                                                       .permanent = from->failure.permanent}};
    }
    return history;
}

static struct wire_dispatch dispatch_of(const struct effect_dispatch *from, struct arena *arena)
{
    return (struct wire_dispatch){
        .execution = from->execution,
        .path = from->path,
        .attempt = from->attempt,
        .run = wire_run_of(from->run),
        .journaled_step = from->journaled_step,
        .agent = from->agent,
        .agent_version = from->agent_version,
        .message = from->message,
        .timeout_us = (uint64_t)from->timeout_us,
        .deadline_us = from->deadline_us,
        .workflow = from->workflow,
        .queued_us = from->queued_us,
        .turn = from->turn,
        .egress = from->egress,
        .history_count = from->history_count,
        .history_from = from->history_from,
        .history = from->history_here > 0 ? history_of(from, arena) : NULL,
        .history_here = from->history_here,
        .tokens_left = from->tokens_left,
        .cost_left_microusd = from->cost_left_microusd,
        .chain = from->chain,
        .chain_count = from->chain_count,
    };
}

static struct wire_call_key key_of(const struct call_key *key)
{
    return (struct wire_call_key){
        .execution = key->execution, .path = key->path, .attempt = key->attempt, .turn = key->turn};
}

static struct wire_item grant_of(const struct effect_grant *grant)
{
    return (struct wire_item){.kind = WIRE_ITEM_GRANT,
                              .grant = {.key = key_of(&grant->key),
                                        .run = wire_run_of(grant->run),
                                        .agent = grant->agent,
                                        .agent_version = grant->agent_version,
                                        .tokens = grant->tokens,
                                        .cost_microusd = grant->cost_microusd}};
}

static struct wire_item granted_of(const struct effect_granted *granted)
{
    return (struct wire_item){.kind = WIRE_ITEM_GRANTED,
                              .granted = {.execution = granted->execution,
                                          .path = granted->path,
                                          .run = wire_run_of(granted->run),
                                          .turn = granted->turn,
                                          .egress = granted->egress}};
}

bool link_item_of(const struct effect *effect, struct arena *arena, struct wire_item *ret_item,
                  uint64_t *ret_handle)
{
    switch (effect->kind) {
    case EFFECT_DISPATCH:
        *ret_handle = effect->dispatch.handle;
        *ret_item = (struct wire_item){.kind = WIRE_ITEM_DISPATCH,
                                       .dispatch = dispatch_of(&effect->dispatch, arena)};
        return true;
    case EFFECT_DROP:
        *ret_handle = effect->drop.handle;
        *ret_item = (struct wire_item){.kind = WIRE_ITEM_DROP,
                                       .drop = {.execution = effect->drop.execution,
                                                .path = effect->drop.path,
                                                .run = wire_run_of(effect->drop.run),
                                                .reason = effect->drop.reason}};
        return true;
    case EFFECT_GRANTED:
        *ret_handle = effect->granted.handle;
        *ret_item = granted_of(&effect->granted);
        return true;
    case EFFECT_GRANT:
        *ret_handle = effect->grant.handle;
        *ret_item = grant_of(&effect->grant);
        return true;
    case EFFECT_FORGET:
        *ret_handle = effect->forget.handle;
        *ret_item =
            (struct wire_item){.kind = WIRE_ITEM_FORGET, .forget = {key_of(&effect->forget.key)}};
        return true;
    case EFFECT_WELCOME:
    case EFFECT_BLOB: break;
    }
    return false;
}

const struct wire_verdict *link_verdicts(const struct effect_welcome *welcome, struct arena *arena)
{
    struct wire_verdict *verdicts = arena_alloc(arena, (welcome->count + 1) * sizeof *verdicts);
    for (size_t i = 0; i < welcome->count; i++) {
        const struct verdict *from = &welcome->verdicts[i];
        verdicts[i] = (struct wire_verdict){.execution = from->execution,
                                            .path = from->path,
                                            .run = wire_run_of(from->run),
                                            .keep = from->keep,
                                            .journaled_step = from->journaled_step};
    }
    return verdicts;
}

/* --- inputs ----------------------------------------------------------------------------------- */

static struct failure failure_of(const struct wire_failure *from)
{
    if (from->code == NULL || *from->code == '\0') /* absent: its code is required */
        return (struct failure){0};
    return (struct failure){.code = from->code,
                            .message = from->message,
                            .detail = from->detail,
                            .permanent = from->permanent};
}

static struct input step_of(const struct wire_step *step, uint64_t handle, const char *instance,
                            const char *agent)
{
    return (struct input){
        .kind = INPUT_STEP,
        .step = {.handle = handle,
                 .execution = step->execution,
                 .step = {.path = step->path,
                          .attempt = step->attempt,
                          .run = run_of(step->run),
                          .instance = instance,
                          .number = step->number,
                          .kind = (enum step_kind)step->kind,
                          .queued_us = step->queued_us,
                          .started_us = step->started_us,
                          .ended_us = step->ended_us,
                          .output = step->output,
                          .failure = failure_of(&step->failure),
                          .agent = agent,
                          .turn = step->turn,
                          .call = step->call,
                          .calls = step->calls,
                          .calls_count = step->calls_count,
                          .usage = {step->usage.input_tokens, step->usage.output_tokens,
                                    step->usage.cost_microusd}}}};
}

static struct input delegate_of(const struct wire_delegate *from, uint64_t handle)
{
    return (struct input){.kind = INPUT_DELEGATE,
                          .delegate = {.handle = handle,
                                       .execution = from->execution,
                                       .by = {.path = from->path,
                                              .run = run_of(from->run),
                                              .attempt = from->attempt,
                                              .turn = from->turn,
                                              .call = from->call},
                                       .agent = from->agent,
                                       .message = from->message,
                                       .context = from->context,
                                       .hand_off = from->hand_off}};
}

static struct input tool_call_of(const struct wire_tool_call *from, uint64_t handle)
{
    return (struct input){.kind = INPUT_TOOL_CALL,
                          .tool_call = {.handle = handle,
                                        .execution = from->execution,
                                        .by = {.path = from->path,
                                               .run = run_of(from->run),
                                               .attempt = from->attempt,
                                               .turn = from->turn,
                                               .call = from->call},
                                        .tool = from->tool,
                                        .arguments = from->arguments}};
}

bool link_input_of(const struct wire_item *item, uint64_t handle, const char *instance,
                   const char *agent, struct input *ret_input)
{
    switch (item->kind) {
    case WIRE_ITEM_STEP: *ret_input = step_of(&item->step, handle, instance, agent); return true;
    case WIRE_ITEM_DELEGATE: *ret_input = delegate_of(&item->delegate, handle); return true;
    case WIRE_ITEM_TOOL_CALL: *ret_input = tool_call_of(&item->tool_call, handle); return true;
    default: return false;
    }
}

static const struct claim *claims_of(const struct wire_hello *hello, struct arena *arena)
{
    struct claim *claims = arena_alloc(arena, (hello->inventory_count + 1) * sizeof *claims);
    for (size_t i = 0; i < hello->inventory_count; i++) {
        const struct wire_claim *from = &hello->inventory[i];
        claims[i] = (struct claim){.execution = from->execution,
                                   .path = from->path,
                                   .run = run_of(from->run),
                                   .acknowledged_step = from->acknowledged_step,
                                   .unacknowledged_steps = from->unacknowledged_steps,
                                   .unacknowledged_count = from->unacknowledged_count};
    }
    return claims;
}

struct input link_instance_up(const struct wire_hello *hello, const char *instance, uint64_t handle,
                              uint64_t old_handle, struct arena *arena)
{
    return (struct input){.kind = INPUT_INSTANCE_UP,
                          .up = {.handle = handle,
                                 .old_handle = old_handle,
                                 .instance = instance,
                                 .agent = hello->agent,
                                 .credit = hello->credit,
                                 .claims = claims_of(hello, arena),
                                 .claims_count = hello->inventory_count}};
}

struct input link_egress_up(const struct wire_hello *hello, const char *egress, uint64_t handle,
                            uint64_t old_handle, struct arena *arena)
{
    struct call_key *held = arena_alloc(arena, (hello->held_count + 1) * sizeof *held);
    for (size_t i = 0; i < hello->held_count; i++)
        held[i] = (struct call_key){.execution = hello->held[i].execution,
                                    .path = hello->held[i].path,
                                    .attempt = hello->held[i].attempt,
                                    .turn = hello->held[i].turn};
    return (struct input){.kind = INPUT_EGRESS_UP,
                          .egress_up = {.handle = handle,
                                        .old_handle = old_handle,
                                        .egress = egress,
                                        .boot = hello->boot,
                                        .held = held,
                                        .held_count = hello->held_count}};
}
