#include "base/limits.h"
#include "engine/decide.h"
#include <string.h>

/* Gives ready tasks to instances. */

static int64_t whole_timeout_us(const struct exec *exec, uint32_t node)
{
    int64_t own = task_rules(exec, node)->timeout_us;
    return own > 0 ? own : task_pin(exec, node)->as.timeout_us;
}

/* An attempt that takes turns goes through several hands: its time runs on between them. */
int64_t attempt_until(const struct exec *exec, uint32_t index)
{
    int64_t timeout_us = whole_timeout_us(exec, index);
    const struct talk *talk = exec->tasks[index].talk;
    if (task_owns(&exec->tasks[index]))
        return timeout_us > 0 ? exec->tasks[index].started_us + timeout_us : INT64_MAX;
    return timeout_us > 0 && talk && talk->since_us > 0 ? talk->since_us + timeout_us : INT64_MAX;
}

#define LEAST_TIMEOUT_US 1000

static int64_t timeout_us(const struct call *call, const struct exec *exec, uint32_t node)
{
    int64_t until_us = attempt_until(exec, node);
    if (until_us == INT64_MAX)
        return whole_timeout_us(exec, node);
    int64_t left_us = until_us - call->now_us;
    return left_us > LEAST_TIMEOUT_US ? left_us : LEAST_TIMEOUT_US;
}

/* What the instance is told: join: done nodes have their grace on top of the limit. */
static int64_t exec_deadline_us(const struct exec *exec, uint32_t node)
{
    if (exec->deadline_us == 0 || task_root(exec, node)->join != DAG_JOIN_DONE)
        return exec->deadline_us;
    int64_t from = exec->stop_us > exec->deadline_us ? exec->stop_us : exec->deadline_us;
    return from + LIMIT_DONE_GRACE_US;
}

/* A delegation has no more time than those that wait for it. */
static int64_t deadline_us(const struct exec *exec, uint32_t node)
{
    int64_t least_us = exec_deadline_us(exec, node);
    while ((node = task_parent(exec, node)) != NO_NODE) {
        int64_t until_us = attempt_until(exec, node);
        if (until_us != INT64_MAX && (least_us == 0 || until_us < least_us))
            least_us = until_us;
    }
    return least_us;
}

void hand_over(struct call *call, struct live *live, struct instance *instance, struct run run)
{
    live_run(call->engine, live, instance, run, call->now_us);
    int64_t timeout = timeout_us(call, live->exec, live->node);
    if (timeout > 0)
        timer_set(call->engine, &live->timer, call->now_us + timeout + LIMIT_TIMEOUT_GRACE_US);
}

static struct run next_run(engine_t *engine)
{
    return (struct run){engine->config.epoch, ++engine->run_counter};
}

/* 0: there is no limit. What is reserved for the task's own next turn is its own. */
static uint64_t shown_left(uint64_t left, uint64_t own)
{
    return left == UINT64_MAX ? 0 : left + own > 0 ? left + own : 1;
}

static void put_talk(struct call *call, const struct live *live, struct effect_dispatch *dispatch)
{
    const struct exec *exec = live->exec;
    const struct talk *talk = exec->tasks[live->node].talk;
    const struct reservation *held = &talk->reservation;
    dispatch->turn = held->turn;
    dispatch->egress = keep_text(call, held->egress);
    dispatch->tokens_left = shown_left(ledger_tokens(exec, live->node).free, held->tokens);
    dispatch->cost_left_microusd =
        shown_left(ledger_cost(exec, live->node).free, held->cost_microusd);
    put_history(call, exec, live->node, live->home != live->instance->handle, dispatch);
}

static void put_chain(struct call *call, const struct exec *exec, uint32_t node,
                      struct effect_dispatch *dispatch)
{
    uint32_t depth = task_depth(exec, node);
    const char **chain = arena_alloc(&call->out->arena, (depth + 1) * sizeof *chain);
    dispatch->egress = "";
    dispatch->chain = chain;
    dispatch->chain_count = depth;
    for (uint32_t i = depth; i-- > 0;) {
        node = task_parent(exec, node);
        chain[i] = keep_text(call, task_pin(exec, node)->agent->name);
    }
}

static void add_dispatch(struct call *call, struct live *live, const struct datum *message)
{
    const struct exec *exec = live->exec;
    const struct task *task = &exec->tasks[live->node];
    const struct pin *pin = task_pin(exec, live->node);
    live->effect = call->out->effects_count;
    struct effect *effect = add_effect(call, EFFECT_DISPATCH);
    effect->dispatch = (struct effect_dispatch){
        .handle = live->instance->handle,
        .execution = exec->id,
        .path = keep_text(call, task_path(exec, live->node)),
        .attempt = task->attempt,
        .run = live->run,
        .journaled_step = task->step,
        .agent = keep_text(call, pin->agent->name),
        .agent_version = pin->as.version,
        .message = *message,
        .timeout_us = timeout_us(call, exec, live->node),
        .deadline_us = deadline_us(exec, live->node),
        .workflow = keep_text(call, exec->workflow),
        .queued_us = task->queued_us,
    };
    put_chain(call, exec, live->node, &effect->dispatch);
    if (task->talk)
        put_talk(call, live, &effect->dispatch);
}

/* The run is known to nobody, so a drop of it in the dispatch's place says nothing to the instance,
 * whose credit was not used either. */
bool recall(struct call *call, struct live *live)
{
    struct instance *instance = live->instance;
    if (live->effect >= call->out->effects_count)
        return false;
    struct effect *effect = &call->out->effects[live->effect];
    if (effect->kind != EFFECT_DISPATCH || effect->dispatch.handle != instance->handle ||
        run_compare(effect->dispatch.run, live->run) != 0)
        return false;
    const struct effect_dispatch dispatch = effect->dispatch;
    *effect = (struct effect){.kind = EFFECT_DROP,
                              .drop = {.handle = dispatch.handle,
                                       .execution = dispatch.execution,
                                       .path = dispatch.path,
                                       .run = dispatch.run,
                                       .reason = "cancelled"}};
    if (instance->closed)
        return true;
    instance->sent--;
    heap_moved(&instance->agent->instances, &instance->item);
    agent_dirty(call->engine, instance->agent);
    return true;
}

static bool render(struct call *call, struct live *live, struct datum *ret_message)
{
    struct err err = {0};
    if (render_message(call, live->exec, live->node, ret_message, &err) == 0) {
        live->message_bytes = datum_size(ret_message);
        return true;
    }
    live_idle(call->engine, live);
    task_fail(call, live, (struct run){0, 0}, "expression", keep_err(call, &err), true);
    return false;
}

/* False: it has failed, or starves. */
static bool take_turn(struct call *call, struct live *live)
{
    if (!task_pin(live->exec, live->node)->as.takes_turns)
        return true;
    live_idle(call->engine, live);
    return reserve(call, live);
}

/* One that starved before is rendered again only once it has its reservation. */
static void dispatch_one(struct call *call, struct live *live, struct instance *instance)
{
    engine_t *engine = call->engine;
    struct datum message;
    bool known = live->message_bytes > 0;
    if (known && !take_turn(call, live))
        return;
    if (!render(call, live, &message))
        return;
    if (!known && !take_turn(call, live))
        return;
    instance->sent++;
    instance->last_used = ++engine->use_counter;
    heap_moved(&instance->agent->instances, &instance->item);
    hand_over(call, live, instance, next_run(engine));
    add_dispatch(call, live, &message);
    grant(call, live, false);
}

/* Whoever has the conversation in memory, else the one with most to spare. */
static struct instance *choose(const struct call *call, const struct agent *agent,
                               const struct live *live)
{
    struct instance *home = live->home ? state_instance(call->engine, live->home) : NULL;
    if (home && home->agent == agent && instance_free(home) > 0)
        return home;
    return (void *)heap_top(&agent->instances);
}

/* What one call renders for dispatches has a bound, since it is to be committed at once; and what
 * it evaluates has one, since others wait for it. */
static bool rendered_enough(const struct call *call, size_t begin)
{
    return call->out->arena.used_bytes - begin >= LIMIT_BATCH_BYTES ||
           call->steps >= LIMIT_BATCH_STEPS;
}

/* False when it stopped at the bound. */
static bool dispatch_agent(struct call *call, struct agent *agent, size_t begin)
{
    struct live *live;
    while ((live = agent_first(agent))) {
        struct instance *instance = choose(call, agent, live);
        if (!instance || instance_free(instance) == 0)
            return true;
        struct list *wait = egress_wait(call, live->exec, live->node);
        if (wait) {
            live_idle(call->engine, live);
            live_starve(call->engine, live, wait, attempt_until(live->exec, live->node));
        } else if (!exec_has_slot(live->exec))
            live_aside(call->engine, live);
        else if (rendered_enough(call, begin))
            return false;
        else
            dispatch_one(call, live, instance);
    }
    return true;
}

/* Tasks that fail here make others ready, of agents that then join the end of the row. What is left
 * of the row waits for the tick that is due at once. */
void dispatch_all(struct call *call)
{
    engine_t *engine = call->engine;
    call->steps = 0; /* dear conditions don't keep others from being given out */
    feed(call);
    size_t begin = call->out->arena.used_bytes, done = 0;
    bool more = true;
    while (more && done < engine->dirty_count) {
        struct agent *agent = engine->dirty[done];
        agent->dirty = false;
        more = dispatch_agent(call, agent, begin);
        if (more || agent->dirty)
            done++; /* one that is in the row again has its place there */
        else
            agent->dirty = true;
        agent_collect(engine, agent);
    }
    engine->dirty_count -= done;
    if (engine->dirty_count > 0)
        memmove(engine->dirty, engine->dirty + done, engine->dirty_count * sizeof(struct agent *));
    feed_again(call);
}
