#include "base/limits.h"
#include "engine/decide.h"
#include <stdlib.h>
#include <string.h>

/* Reservations and grants: no model is asked but for a turn that the journal has a reservation of,
 * and by an egress that was told so after its commit. */

static struct egress *find(const engine_t *engine, const char *name)
{
    for (size_t i = 0; i < engine->egresses_count; i++)
        if (strcmp(engine->egresses[i].name, name) == 0)
            return &engine->egresses[i];
    return NULL;
}

static struct egress *find_handle(const engine_t *engine, uint64_t handle)
{
    for (size_t i = 0; i < engine->egresses_count; i++)
        if (engine->egresses[i].handle == handle)
            return &engine->egresses[i];
    return NULL;
}

/* The process that has the grant, if it is still there. */
static struct egress *holder(const engine_t *engine, const struct reservation *held)
{
    struct egress *egress = held->turn > 0 ? find(engine, held->egress) : NULL;
    return egress && egress->boot == held->boot ? egress : NULL;
}

static bool is_less(const struct egress *a, const struct egress *b)
{
    return a->open != b->open ? a->open < b->open : a->granted < b->granted;
}

/* NULL: none is there that has room. */
static struct egress *choose(const engine_t *engine)
{
    struct egress *best = NULL;
    for (size_t i = 0; i < engine->egresses_count; i++) {
        struct egress *egress = &engine->egresses[i];
        if (egress->open < LIMIT_EGRESS_ANSWERS && (!best || is_less(egress, best)))
            best = egress;
    }
    return best;
}

static bool turn_is_due(const struct exec *exec, uint32_t index)
{
    return task_pin(exec, index)->as.takes_turns && turn_may_follow(exec->tasks[index].talk);
}

/* An egress that is not there may come back and have the answer, if it hasn't as a later process.
 */
static bool may_come_back(const struct call *call, const struct reservation *held)
{
    const struct egress *egress = find(call->engine, held->egress);
    return call->now_us < call->engine->gone_until_us && !(egress && egress->boot > held->boot);
}

bool lacks_egress(const struct call *call, const struct exec *exec, uint32_t index)
{
    const struct talk *talk = exec->tasks[index].talk;
    if (!turn_is_due(exec, index))
        return false;
    if (talk && talk->reservation.turn > 0) {
        if (holder(call->engine, &talk->reservation))
            return false;
        if (may_come_back(call, &talk->reservation))
            return true;
    }
    return choose(call->engine) == NULL;
}

/* --- bounds ----------------------------------------------------------------------------------- */

#define BASE_TOKENS     2048u /* instructions, tools, the message */
#define BYTES_PER_TOKEN 2u    /* fewer than any tokenizer needs for text */
#define PER_MILLION     1000000u

/* The most that the next turn may use; what is left of limits cuts it. */
static uint64_t bound_tokens(const struct exec *exec, uint32_t index)
{
    const struct pinned_agent *as = &task_pin(exec, index)->as;
    const struct task *task = &exec->tasks[index];
    uint64_t bytes = task->talk ? task->talk->bytes : 0;
    bytes += task->live->message_bytes;
    return BASE_TOKENS + bytes / BYTES_PER_TOKEN +
           (as->max_tokens > 0 ? as->max_tokens : LIMIT_TURN_OUTPUT_TOKENS);
}

static uint64_t bound_cost(const struct exec *exec, uint32_t index, uint64_t tokens)
{
    const struct pinned_agent *as = &task_pin(exec, index)->as;
    uint64_t price = as->input_price > as->output_price ? as->input_price : as->output_price;
    if (price > 0 && tokens > UINT64_MAX / price)
        return UINT64_MAX;
    return (tokens * price + PER_MILLION - 1) / PER_MILLION;
}

static const char *spent_text(struct call *call, const struct exec *exec, uint32_t index,
                              uint32_t limit, const char *what)
{
    const char *chain = talk_chain(&call->out->arena, exec, index);
    if (limit == NO_NODE)
        return arena_printf(&call->out->arena, "nothing is left of the execution's limits.%s: %s",
                            what, chain);
    return arena_printf(&call->out->arena, "nothing is left of limits.%s of agent \"%s\": %s", what,
                        task_pin(exec, limit)->agent->name, chain);
}

enum leave { LEAVE, STARVES, FORBIDDEN };

/* The whole of what the turn may need; or, while nobody else has any of it reserved, what is left.
 */
static enum leave cut(const struct budget *budget, uint64_t *bound)
{
    if (budget->left == 0)
        return FORBIDDEN;
    if (*bound <= budget->free)
        return LEAVE;
    if (budget->free < budget->left)
        return STARVES;
    *bound = budget->left;
    return LEAVE;
}

static enum leave cut_cost(const struct exec *exec, uint32_t index, struct event_reserved *reserved)
{
    struct budget budget = ledger_cost(exec, index);
    reserved->cost_microusd = bound_cost(exec, index, reserved->tokens);
    return cut(&budget, &reserved->cost_microusd);
}

/* Fills in the bounds; *ret_why: why it is forbidden. */
static enum leave judge(struct call *call, const struct exec *exec, uint32_t index,
                        struct event_reserved *reserved, const char **ret_why)
{
    const struct pinned_agent *as = &task_pin(exec, index)->as;
    uint32_t turns = as->turns > 0 ? as->turns : LIMIT_TURNS;
    if (reserved->turn > turns) {
        *ret_why =
            arena_printf(&call->out->arena, "agent \"%s\" has taken %u turns, its limits.turns: %s",
                         as->name, turns, talk_chain(&call->out->arena, exec, index));
        return FORBIDDEN;
    }
    struct budget tokens = ledger_tokens(exec, index);
    reserved->tokens = bound_tokens(exec, index);
    enum leave leave = cut(&tokens, &reserved->tokens);
    if (leave == FORBIDDEN)
        *ret_why = spent_text(call, exec, index, tokens.limit, "tokens");
    if (leave != LEAVE)
        return leave;
    leave = cut_cost(exec, index, reserved);
    if (leave == FORBIDDEN)
        *ret_why = spent_text(call, exec, index, ledger_cost(exec, index).limit, "cost");
    return leave;
}

bool has_budget(const struct exec *exec, uint32_t index)
{
    struct budget tokens = ledger_tokens(exec, index), cost = ledger_cost(exec, index);
    uint64_t bound = bound_tokens(exec, index);
    if (cut(&tokens, &bound) == STARVES)
        return false;
    bound = bound_cost(exec, index, bound);
    return cut(&cost, &bound) != STARVES;
}

/* --- reserving and granting ------------------------------------------------------------------- */

/* The call may have been under way in the egress that is gone: it counts, and is made again. */
static void give_up(struct call *call, struct exec *exec, uint32_t index)
{
    struct event event = {
        .kind = EVENT_SETTLED,
        .settled = {.path = keep_text(call, task_path(exec, index)),
                    .attempt = exec->tasks[index].attempt,
                    .turn = exec->tasks[index].talk->reservation.turn,
                    .reason = "egress lost"},
    };
    emit(call, exec, &event);
    free_budget(call->engine, exec);
}

void free_budget(engine_t *engine, struct exec *exec)
{
    if (list_empty(&exec->fed) && !list_empty(&exec->starved))
        list_push_back(&engine->fed, &exec->fed);
}

/* A place with an instance is taken by nobody who waits for others' calls, for these may need it.
 */
static void starve(struct call *call, struct live *live)
{
    if (live->state == LIVE_RUNNING)
        task_take_back(call, live, "its budget is reserved for others");
    live_starve(live, &live->exec->starved);
}

static void forbid(struct call *call, struct live *live, const char *why)
{
    if (live->state == LIVE_RUNNING)
        task_break(call, live, "limit", why, true);
    else
        task_fail(call, live, (struct run){0, 0}, "limit", why, true);
}

bool reserve(struct call *call, struct live *live)
{
    struct exec *exec = live->exec;
    uint32_t index = live->node;
    const struct talk *talk = exec->tasks[index].talk;
    if (!turn_is_due(exec, index))
        return true;
    if (talk && talk->reservation.turn > 0) {
        if (holder(call->engine, &talk->reservation))
            return true;
        give_up(call, exec, index);
    }
    struct egress *egress = choose(call->engine);
    struct event event = {
        .kind = EVENT_RESERVED,
        .reserved = {.path = keep_text(call, task_path(exec, index)),
                     .attempt = exec->tasks[index].attempt,
                     .turn = (talk ? talk->turn : 0) + 1,
                     .egress = keep_text(call, egress->name),
                     .boot = egress->boot},
    };
    const char *why = NULL;
    switch (judge(call, exec, index, &event.reserved, &why)) {
    case STARVES: starve(call, live); return false;
    case FORBIDDEN: forbid(call, live, why); return false;
    case LEAVE: break;
    }
    emit(call, exec, &event);
    egress->granted++;
    egress->open++;
    return true;
}

static struct call_key key_of(struct call *call, const struct exec *exec, uint32_t index,
                              uint32_t attempt, uint32_t turn)
{
    return (struct call_key){.execution = exec->id,
                             .path = keep_text(call, task_path(exec, index)),
                             .attempt = attempt,
                             .turn = turn};
}

static void tell_instance(struct call *call, const struct live *live,
                          const struct reservation *held)
{
    if (live->instance->closed)
        return;
    struct effect *effect = add_effect(call, EFFECT_GRANTED);
    effect->granted =
        (struct effect_granted){.handle = live->instance->handle,
                                .execution = live->exec->id,
                                .path = keep_text(call, task_path(live->exec, live->node)),
                                .run = live->run,
                                .turn = held->turn,
                                .egress = keep_text(call, held->egress)};
}

void grant(struct call *call, struct live *live, bool tell)
{
    const struct exec *exec = live->exec;
    const struct task *task = &exec->tasks[live->node];
    const struct pin *pin = task_pin(exec, live->node);
    if (!task->talk || live->state != LIVE_RUNNING)
        return;
    const struct reservation *held = &task->talk->reservation;
    const struct egress *egress = holder(call->engine, held);
    if (!egress)
        return;
    struct effect *effect = add_effect(call, EFFECT_GRANT);
    effect->grant = (struct effect_grant){
        .handle = egress->handle,
        .key = key_of(call, exec, live->node, task->attempt, held->turn),
        .run = live->run,
        .agent = keep_text(call, pin->agent->name),
        .agent_version = pin->as.version,
        .tokens = held->tokens,
        .cost_microusd = held->cost_microusd,
    };
    if (tell)
        tell_instance(call, live, held);
}

void advance(struct call *call, struct live *live)
{
    if (turn_is_due(live->exec, live->node) && !lacks_egress(call, live->exec, live->node) &&
        reserve(call, live))
        grant(call, live, true);
}

static void forget(struct call *call, const struct egress *egress, const struct call_key *key)
{
    struct effect *effect = add_effect(call, EFFECT_FORGET);
    effect->forget = (struct effect_forget){egress->handle, *key};
}

/* A reservation of its process, or of the one before it, is over. */
static void end_one(engine_t *engine, struct egress *egress, uint64_t boot)
{
    if (egress->boot != boot)
        return;
    engine->room |= egress->open == LIMIT_EGRESS_ANSWERS;
    egress->open--;
}

/* An egress that is not there says what it holds when it comes back. */
void forget_released(struct call *call, struct exec *exec)
{
    engine_t *engine = call->engine;
    if (engine->released_count > 0)
        free_budget(engine, exec);
    while (engine->released_count > 0) {
        struct released *released = &engine->released[--engine->released_count];
        struct egress *egress = find(engine, released->egress);
        struct call_key key = key_of(call, exec, released->task, released->attempt, released->turn);
        if (egress) {
            end_one(engine, egress, released->boot);
            forget(call, egress, &key);
        }
        free(released->egress);
    }
}

/* --- egresses come and go --------------------------------------------------------------------- */

static bool is_wanted(const struct call *call, const struct egress *egress,
                      const struct call_key *key)
{
    const struct exec *exec = state_exec(call->engine, key->execution);
    uint32_t index = exec ? exec_find(exec, key->path) : NO_NODE;
    const struct talk *talk = index == NO_NODE ? NULL : exec->tasks[index].talk;
    return talk && exec->tasks[index].attempt == key->attempt && key->turn > 0 &&
           talk->reservation.turn == key->turn &&
           holder(call->engine, &talk->reservation) == egress;
}

static void remove_egress(engine_t *engine, struct egress *egress)
{
    size_t place = (size_t)(egress - engine->egresses);
    free(egress->name);
    engine->egresses_count--;
    memmove(egress, egress + 1, (engine->egresses_count - place) * sizeof *egress);
}

static uint64_t count_open(const engine_t *engine, const struct egress *egress)
{
    const struct exec *exec;
    uint64_t count = 0;
    for (size_t position = 0; (exec = map_next(engine->execs, &position, NULL));)
        for (uint32_t i = 0; exec->reservations > 0 && i < exec->count; i++)
            count +=
                exec->tasks[i].talk && holder(engine, &exec->tasks[i].talk->reservation) == egress;
    return count;
}

uint64_t engine_egress_load(const engine_t *self, uint64_t handle)
{
    const struct egress *egress = find_handle(self, handle);
    return egress ? egress->open : 0;
}

static struct egress *add_egress(engine_t *engine, const struct input_egress_up *in)
{
    struct egress *old = find(engine, in->egress);
    if (old)
        remove_egress(engine, old);
    engine->egresses =
        xrealloc(engine->egresses, (engine->egresses_count + 1) * sizeof *engine->egresses);
    struct egress *egress = &engine->egresses[engine->egresses_count++];
    *egress = (struct egress){.handle = in->handle, .name = xstrdup(in->egress), .boot = in->boot};
    egress->open = count_open(engine, egress);
    return egress;
}

struct place {
    struct uuid execution;
    uint32_t index;
};

/* What runs, by name: advancing one task may end others. */
static struct place *list_running(struct call *call, size_t *ret_count)
{
    const struct instance *instance;
    size_t most = 0, position = 0;
    while ((instance = map_next(call->engine->instances, &position, NULL)))
        most += instance->held;
    struct place *places = arena_alloc(&call->out->arena, (most + 1) * sizeof *places);
    *ret_count = 0;
    for (position = 0; (instance = map_next(call->engine->instances, &position, NULL));) {
        const struct list *at = instance->lives.next;
        for (; at != &instance->lives; at = at->next) {
            const struct live *live = LIST_OWNER(at, struct live, link);
            if (live->state == LIVE_RUNNING && turn_is_due(live->exec, live->node))
                places[(*ret_count)++] = (struct place){live->exec->id, live->node};
        }
    }
    return places;
}

static void advance_all(struct call *call)
{
    size_t count;
    const struct place *places = list_running(call, &count);
    for (size_t i = 0; i < count; i++) {
        struct exec *exec = state_exec(call->engine, places[i].execution);
        struct live *live = exec ? exec->tasks[places[i].index].live : NULL;
        if (live && live->state == LIVE_RUNNING)
            advance(call, live);
    }
}

static void look_again(struct call *call)
{
    engine_t *engine = call->engine;
    struct list waiting;
    advance_all(call);
    list_init(&waiting);
    list_move_all(&engine->egressless, &waiting);
    while (!list_empty(&waiting)) {
        struct live *live = LIST_OWNER(waiting.next, struct live, link);
        live_idle(engine, live);
        place(call, live);
    }
}

void egress_due(struct call *call)
{
    engine_t *engine = call->engine;
    bool gone = engine->gone_until_us > 0 && call->now_us >= engine->gone_until_us;
    if (gone)
        engine->gone_until_us = 0;
    bool due = engine->room || (gone && engine->egresses_count > 0);
    engine->room = false;
    if (due)
        look_again(call);
}

void input_egress_up(struct call *call, const struct input_egress_up *in)
{
    engine_t *engine = call->engine;
    struct egress *old = in->old_handle ? find_handle(engine, in->old_handle) : NULL;
    if (old)
        remove_egress(engine, old);
    const struct egress *egress = add_egress(engine, in);
    for (size_t i = 0; i < in->held_count; i++) {
        struct call_key key = in->held[i];
        key.path = keep_text(call, key.path);
        if (!is_wanted(call, egress, &key))
            forget(call, egress, &key);
    }
    look_again(call);
}

void input_egress_down(struct call *call, const struct input_egress_down *in)
{
    struct egress *egress = find_handle(call->engine, in->handle);
    if (!egress)
        return;
    if (egress->open > 0)
        call->engine->gone_until_us = call->now_us + LIMIT_EGRESS_GRACE_US;
    remove_egress(call->engine, egress);
}
