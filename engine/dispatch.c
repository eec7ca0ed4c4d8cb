#include "base/limits.h"
#include "engine/decide.h"
#include <string.h>

/* Gives ready tasks to instances. */

static int64_t timeout_us(const struct exec *exec, uint32_t node)
{
    int64_t own = dag_node(exec->dag, node)->timeout_us;
    return own > 0 ? own : task_pin(exec, node)->timeout_us;
}

/* What the instance is told: join: done nodes have their grace on top of the limit. */
static int64_t deadline_us(const struct exec *exec, uint32_t node)
{
    if (exec->deadline_us == 0 || dag_node(exec->dag, node)->join != DAG_JOIN_DONE)
        return exec->deadline_us;
    int64_t from = exec->stop_us > exec->deadline_us ? exec->stop_us : exec->deadline_us;
    return from + LIMIT_DONE_GRACE_US;
}

void hand_over(struct call *call, struct live *live, struct instance *instance, struct run run)
{
    live_run(call->engine, live, instance, run, call->now_us);
    int64_t timeout = timeout_us(live->exec, live->node);
    if (timeout > 0)
        timer_set(call->engine, &live->timer, call->now_us + timeout + LIMIT_TIMEOUT_GRACE_US);
}

static struct run next_run(engine_t *engine)
{
    return (struct run){engine->config.epoch, ++engine->run_counter};
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
        .path = keep_text(call, dag_node(exec->dag, live->node)->id),
        .attempt = task->attempt,
        .run = live->run,
        .journaled_step = task->step,
        .agent = keep_text(call, pin->agent->name),
        .agent_version = pin->version,
        .message = *message,
        .timeout_us = timeout_us(exec, live->node),
        .deadline_us = deadline_us(exec, live->node),
        .workflow = keep_text(call, exec->workflow),
        .queued_us = task->queued_us,
    };
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

static void dispatch_one(struct call *call, struct live *live, struct instance *instance)
{
    engine_t *engine = call->engine;
    struct datum message;
    struct err err = {0};
    if (render_message(call, live->exec, live->node, &message, &err)) {
        char text[sizeof err.what + sizeof err.where + sizeof err.fix];
        live_idle(engine, live);
        task_fail(call, live, (struct run){0, 0}, "expression", err_format(&err, text, sizeof text),
                  true);
        return;
    }
    instance->sent++;
    instance->last_used = ++engine->use_counter;
    heap_moved(&instance->agent->instances, &instance->item);
    hand_over(call, live, instance, next_run(engine));
    add_dispatch(call, live, &message);
}

/* What one call renders for dispatches has a bound, since it is to be committed at once. */
static bool rendered_enough(const struct call *call, size_t begin)
{
    return call->out->arena.used_bytes - begin >= LIMIT_BATCH_BYTES;
}

/* False when it stopped at the bound. */
static bool dispatch_agent(struct call *call, struct agent *agent, size_t begin)
{
    struct live *live;
    while ((live = agent_first(agent))) {
        struct instance *instance = (void *)heap_top(&agent->instances);
        if (!instance || instance_free(instance) == 0)
            return true;
        if (!exec_has_slot(live->exec))
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
}
