#include "engine/decide.h"
#include <stdlib.h>
#include <string.h>

/* Instances come, go and say what they hold. */

/* --- claims ----------------------------------------------------------------------------------- */

/* The instance knows all steps that the journal has of this task: the last one was acknowledged to
 * it, or is one that it made itself under this run and was not acknowledged for. */
static bool knows_steps(const struct task *task, const struct claim *claim)
{
    if (claim->acknowledged_step == task->step)
        return true;
    if (run_compare(task->step_run, claim->run) != 0)
        return false;
    for (size_t i = 0; i < claim->unacknowledged_count; i++)
        if (claim->unacknowledged_steps[i] == task->step)
            return true;
    return false;
}

/* The life of the task that this claim is about, when the claim is good: nobody else can hold the
 * task, and it is either held under the link that ends now, or waits for claims after a restart. */
static struct live *good_claim(const struct call *call, const struct claim *claim,
                               const struct instance *old)
{
    struct exec *exec = state_exec(call->engine, claim->execution);
    uint32_t node = exec ? exec_find(exec, claim->path) : NO_NODE;
    struct live *live = node == NO_NODE ? NULL : exec->tasks[node].live;
    bool held = live && old && live->instance == old && run_compare(live->run, claim->run) == 0;
    if (held && live->state == LIVE_STOPPING)
        return live; /* which still has to stop */
    if (!live || task_ended(&exec->tasks[node]) || !knows_steps(&exec->tasks[node], claim))
        return NULL;
    if (run_compare(claim->run, exec->tasks[node].void_run) <= 0)
        return NULL;
    if (live->state == LIVE_CLAIM)
        return claim->run.epoch < call->engine->config.epoch ? live : NULL;
    return held ? live : NULL;
}

static void take_claims(struct call *call, const struct input_instance_up *in,
                        struct instance *instance, const struct instance *old)
{
    for (size_t i = 0; i < in->claims_count; i++) {
        struct live *live = good_claim(call, &in->claims[i], old);
        if (!live)
            continue;
        if (live->instance)
            live_move(live, instance);
        else
            hand_over(call, live, instance, in->claims[i].run);
    }
}

static struct verdict judge_claim(struct call *call, const struct claim *claim,
                                  const struct instance *instance)
{
    struct verdict verdict = {
        .execution = claim->execution, .path = keep_text(call, claim->path), .run = claim->run};
    const struct exec *exec = state_exec(call->engine, claim->execution);
    uint32_t node = exec ? exec_find(exec, claim->path) : NO_NODE;
    if (node == NO_NODE)
        return verdict;
    const struct live *live = exec->tasks[node].live;
    verdict.journaled_step = exec->tasks[node].step;
    verdict.keep = live && live->state == LIVE_RUNNING && live->instance == instance &&
                   run_compare(live->run, claim->run) == 0;
    return verdict;
}

static void welcome(struct call *call, const struct input_instance_up *in,
                    struct instance *instance)
{
    struct verdict *verdicts =
        arena_alloc(&call->out->arena, (in->claims_count + 1) * sizeof *verdicts);
    for (size_t i = 0; i < in->claims_count; i++)
        verdicts[i] = judge_claim(call, &in->claims[i], instance);
    const struct list *at = instance->lives.next;
    for (; at != &instance->lives; at = at->next)
        if (LIST_OWNER(at, struct live, link)->state == LIVE_RUNNING)
            instance->sent++;
    struct effect *effect = add_effect(call, EFFECT_WELCOME);
    effect->welcome = (struct effect_welcome){instance->handle, verdicts, in->claims_count};
}

/* What was said to it under the old link may be lost: which turns are granted is said again. */
static void grant_again(struct call *call, struct instance *instance)
{
    size_t count = 0;
    struct live **lives = arena_alloc(&call->out->arena, (instance->held + 1) * sizeof *lives);
    for (struct list *at = instance->lives.next; at != &instance->lives; at = at->next)
        lives[count++] = LIST_OWNER(at, struct live, link);
    for (size_t i = 0; i < count; i++)
        if (lives[i]->state == LIVE_RUNNING && lives[i]->instance == instance)
            advance(call, lives[i]);
}

/* --- up and down ------------------------------------------------------------------------------ */

static struct instance *instance_new(engine_t *engine, const struct input_instance_up *in)
{
    struct instance *instance = xcalloc(1, sizeof *instance);
    instance->handle = in->handle;
    instance->credit = in->credit;
    instance->name = xstrdup(in->instance);
    instance->agent = agent_ref(engine, in->agent);
    instance->closed = true;
    instance->last_used = ++engine->use_counter;
    list_init(&instance->lives);
    (void)map_put(engine->instances, &in->handle, sizeof in->handle, instance);
    heap_put(&instance->agent->instances, &instance->item);
    return instance;
}

static void instance_end(struct call *call, struct instance *instance, const char *reason)
{
    engine_t *engine = call->engine;
    instance->closed = true;
    heap_remove(&instance->agent->instances, &instance->item);
    while (!list_empty(&instance->lives)) {
        struct live *live = LIST_OWNER(instance->lives.next, struct live, link);
        if (live->state == LIVE_RUNNING) {
            task_lose(call, live, reason);
            continue;
        }
        let_go(call, live);
    }
    (void)map_remove(engine->instances, &instance->handle, sizeof instance->handle);
    agent_unref(engine, &instance->agent);
    free(instance->name);
    free(instance);
}

/* The losses come before the verdicts, since one may stop an execution of which this instance has
 * another task; until the Welcome nothing else is sent to it. */
void input_instance_up(struct call *call, const struct input_instance_up *in)
{
    struct instance *same = state_instance(call->engine, in->handle);
    if (same)
        instance_end(call, same, "replaced");
    struct instance *old = in->old_handle ? state_instance(call->engine, in->old_handle) : NULL;
    struct instance *instance = instance_new(call->engine, in);
    take_claims(call, in, instance, old);
    if (old)
        instance_end(call, old, "not claimed");
    welcome(call, in, instance);
    instance->closed = false;
    grant_again(call, instance);
    heap_moved(&instance->agent->instances, &instance->item);
    agent_dirty(call->engine, instance->agent);
}

void input_instance_down(struct call *call, const struct input_instance_down *in)
{
    struct instance *instance = state_instance(call->engine, in->handle);
    if (instance)
        instance_end(call, instance, in->reason);
}

void input_credit(struct call *call, const struct input_credit *in)
{
    struct instance *instance = state_instance(call->engine, in->handle);
    if (!instance)
        return;
    if (in->credit > instance->credit)
        instance->credit = in->credit;
    instance->draining = in->draining;
    heap_moved(&instance->agent->instances, &instance->item);
    agent_dirty(call->engine, instance->agent);
}
