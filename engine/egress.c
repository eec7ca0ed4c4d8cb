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

bool egress_has_room(const engine_t *engine)
{
    return choose(engine) != NULL;
}

static struct gone *find_gone(const engine_t *engine, const char *name)
{
    for (size_t i = 0; i < engine->gone_count; i++)
        if (strcmp(engine->gone[i].name, name) == 0)
            return &engine->gone[i];
    return NULL;
}

/* An egress that is not there may come back and have the answer, if it hasn't as a later process.
 */
static bool may_come_back(const struct call *call, const struct reservation *held)
{
    const engine_t *engine = call->engine;
    const struct egress *egress = find(engine, held->egress);
    if (egress && egress->boot > held->boot)
        return false;
    return call->now_us < engine->resumed_until_us || find_gone(engine, held->egress);
}

struct list *egress_wait(const struct call *call, const struct exec *exec, uint32_t index)
{
    engine_t *engine = call->engine;
    const struct talk *talk = exec->tasks[index].talk;
    if (!turn_is_due(exec, index))
        return NULL;
    if (talk && talk->reservation.turn > 0) {
        if (holder(engine, &talk->reservation))
            return NULL;
        if (may_come_back(call, &talk->reservation))
            return &engine->returning;
    }
    return egress_has_room(engine) ? NULL : &engine->egressless;
}

bool turn_is_unasked(const struct exec *exec, uint32_t index)
{
    const struct talk *talk = exec->tasks[index].talk;
    return talk && talk->turn > 0 && turn_is_due(exec, index) && talk->reservation.turn == 0;
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

/* Who has no family shares its limits with nobody. */
void free_budget(engine_t *engine, struct exec *exec)
{
    feed_later(engine, exec);
    if (!exec_has_family(exec))
        return;
    for (struct list *at = engine->starving.next; at != &engine->starving; at = at->next) {
        struct exec *other = LIST_OWNER(at, struct exec, starving);
        if (exec_root(other) == exec_root(exec))
            feed_later(engine, other);
    }
}

/* A place with an instance is taken by nobody who waits for others' calls, for these may need it.
 */
static void starve(struct call *call, struct live *live, struct list *list, const char *why)
{
    if (live->state == LIVE_RUNNING)
        task_take_back(call, live, why);
    live_starve(call->engine, live, list, attempt_until(live->exec, live->node));
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
    switch (budget_judge(call, live, &event.reserved, &why)) {
    case STARVES:
        starve(call, live, &exec->starved, "its budget is reserved for others");
        return false;
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

static void know(struct egress *egress, struct reservation *held)
{
    egress->told += held->told != egress->handle;
    held->told = egress->handle;
}

void grant(struct call *call, struct live *live, bool tell)
{
    const struct exec *exec = live->exec;
    const struct task *task = &exec->tasks[live->node];
    const struct pin *pin = task_pin(exec, live->node);
    if (!task->talk || live->state != LIVE_RUNNING)
        return;
    struct reservation *held = &task->talk->reservation;
    struct egress *egress = holder(call->engine, held);
    if (!egress)
        return;
    know(egress, held);
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

/* Whether the next turn was reserved, by an egress that is there. */
static bool is_reserved(const engine_t *engine, const struct live *live)
{
    const struct talk *talk = live->exec->tasks[live->node].talk;
    return talk && holder(engine, &talk->reservation);
}

/* Where there is no egress at all it keeps its place: soon there will be one again. */
void advance(struct call *call, struct live *live)
{
    engine_t *engine = call->engine;
    if (!turn_is_due(live->exec, live->node))
        return;
    struct list *wait = egress_wait(call, live->exec, live->node);
    if (live->exec->paused && wait != &engine->returning && !is_reserved(engine, live)) {
        task_take_back(call, live, "paused");
        live_hold(engine, live);
        return;
    }
    if (!wait && reserve(call, live))
        grant(call, live, true);
    else if (wait == &engine->egressless && engine->egresses_count > 0)
        starve(call, live, wait, "no egress has room for its call");
}

static void forget(struct call *call, const struct egress *egress, const struct call_key *key)
{
    struct effect *effect = add_effect(call, EFFECT_FORGET);
    effect->forget = (struct effect_forget){egress->handle, *key};
}

static void end_one(struct egress *egress, const struct released *released)
{
    egress->open -= egress->boot == released->boot;
    egress->told -= egress->handle == released->told;
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
            end_one(egress, released);
            forget(call, egress, &key);
        }
        free(released->egress);
    }
}

/* --- egresses come and go --------------------------------------------------------------------- */

/* The reservation of this egress that the key is of, or NULL. */
static struct reservation *find_held(const struct call *call, const struct egress *egress,
                                     const struct call_key *key)
{
    const struct exec *exec = state_exec(call->engine, key->execution);
    uint32_t index = exec ? exec_find(exec, key->path) : NO_NODE;
    struct talk *talk = index == NO_NODE ? NULL : exec->tasks[index].talk;
    bool is_its = talk && exec->tasks[index].attempt == key->attempt && key->turn > 0 &&
                  talk->reservation.turn == key->turn &&
                  holder(call->engine, &talk->reservation) == egress;
    return is_its ? &talk->reservation : NULL;
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
    return egress ? egress->told : 0;
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

/* The egress that has just come is told again what it has; for all others only those count that
 * have no egress. */
static void look_again(struct call *call, struct live *live, uint64_t came)
{
    const struct talk *talk = live->exec->tasks[live->node].talk;
    const struct egress *egress = talk ? holder(call->engine, &talk->reservation) : NULL;
    if (!egress)
        advance(call, live);
    else if (egress->handle == came)
        grant(call, live, true);
}

static void look_at_all(struct call *call, uint64_t came)
{
    size_t count;
    const struct place *places = list_running(call, &count);
    for (size_t i = 0; i < count; i++) {
        struct exec *exec = state_exec(call->engine, places[i].execution);
        struct live *live = exec ? exec->tasks[places[i].index].live : NULL;
        if (live && live->state == LIVE_RUNNING)
            look_again(call, live, came);
    }
}

static void place_some(struct call *call, struct list *list, uint64_t most)
{
    struct list waiting;
    list_init(&waiting);
    list_move_all(list, &waiting);
    while (!list_empty(&waiting) && most-- > 0) {
        struct live *live = LIST_OWNER(waiting.next, struct live, link);
        live_idle(call->engine, live);
        place(call, live);
    }
    list_move_all(list, &waiting);
    list_move_all(&waiting, list);
}

static uint64_t room(const engine_t *engine)
{
    uint64_t room = 0;
    for (size_t i = 0; i < engine->egresses_count; i++)
        if (engine->egresses[i].open < LIMIT_EGRESS_ANSWERS)
            room += LIMIT_EGRESS_ANSWERS - engine->egresses[i].open;
    return room;
}

static void remove_gone(engine_t *engine, struct gone *gone)
{
    free(gone->name);
    *gone = engine->gone[--engine->gone_count];
}

/* Whether any is gone for good. */
static bool expire(engine_t *engine, int64_t now_us)
{
    bool any = engine->resumed_until_us > 0 && now_us >= engine->resumed_until_us;
    if (any)
        engine->resumed_until_us = 0;
    for (size_t i = engine->gone_count; i-- > 0;) {
        if (now_us < engine->gone[i].until_us)
            continue;
        remove_gone(engine, &engine->gone[i]);
        any = true;
    }
    return any;
}

int64_t egress_deadline(const engine_t *engine)
{
    int64_t at_us = engine->resumed_until_us > 0 ? engine->resumed_until_us : INT64_MAX;
    for (size_t i = 0; i < engine->gone_count; i++)
        if (engine->gone[i].until_us < at_us)
            at_us = engine->gone[i].until_us;
    return at_us;
}

void egress_due(struct call *call)
{
    engine_t *engine = call->engine;
    if (expire(engine, call->now_us)) {
        look_at_all(call, 0);
        place_some(call, &engine->returning, UINT64_MAX);
    }
    if (!list_empty(&engine->egressless))
        place_some(call, &engine->egressless, room(engine));
}

void input_egress_up(struct call *call, const struct input_egress_up *in)
{
    engine_t *engine = call->engine;
    struct egress *old = in->old_handle ? find_handle(engine, in->old_handle) : NULL;
    if (old)
        remove_egress(engine, old);
    struct egress *egress = add_egress(engine, in);
    struct gone *gone = find_gone(engine, in->egress);
    if (gone)
        remove_gone(engine, gone);
    for (size_t i = 0; i < in->held_count; i++) {
        struct call_key key = in->held[i];
        key.path = keep_text(call, key.path);
        struct reservation *held = find_held(call, egress, &key);
        if (held)
            know(egress, held);
        else
            forget(call, egress, &key);
    }
    look_at_all(call, in->handle);
    place_some(call, &engine->returning, UINT64_MAX);
}

void input_egress_down(struct call *call, const struct input_egress_down *in)
{
    engine_t *engine = call->engine;
    struct egress *egress = find_handle(engine, in->handle);
    if (!egress)
        return;
    if (egress->open > 0) {
        engine->gone = xrealloc(engine->gone, (engine->gone_count + 1) * sizeof *engine->gone);
        engine->gone[engine->gone_count++] =
            (struct gone){xstrdup(egress->name), call->now_us + LIMIT_EGRESS_GRACE_US};
    }
    remove_egress(engine, egress);
}
