#include "engine/state.h"
#include <stdlib.h>

/* The volatile side of tasks: which list each is in, who holds it, and the timers. */

static uint32_t bit(enum live_state state)
{
    return 1u << state;
}

static bool legal(enum live_state from, enum live_state to)
{
    switch (from) {
    case LIVE_IDLE: return to != LIVE_ASIDE && to != LIVE_STOPPING;
    case LIVE_CLAIM: return bit(to) & (bit(LIVE_IDLE) | bit(LIVE_RUNNING));
    case LIVE_RETRY: return bit(to) & bit(LIVE_IDLE);
    case LIVE_QUEUED: return bit(to) & (bit(LIVE_IDLE) | bit(LIVE_ASIDE));
    case LIVE_ASIDE: return bit(to) & (bit(LIVE_IDLE) | bit(LIVE_QUEUED));
    case LIVE_HELD:
    case LIVE_STARVED:
    case LIVE_PARKED: return bit(to) & bit(LIVE_IDLE);
    case LIVE_RUNNING: return bit(to) & (bit(LIVE_IDLE) | bit(LIVE_STOPPING));
    case LIVE_STOPPING: return bit(to) & bit(LIVE_IDLE);
    }
    return false;
}

static void set_state(struct live *live, enum live_state state)
{
    CHECK(legal(live->state, state));
    live->state = state;
}

/* --- timers ----------------------------------------------------------------------------------- */

bool timer_before(const struct heap_item *a, const struct heap_item *b)
{
    const struct timer *left = (const void *)a;
    const struct timer *right = (const void *)b;
    if (left->at_us != right->at_us)
        return left->at_us < right->at_us;
    return left->order < right->order;
}

void timer_set(engine_t *self, struct timer *timer, int64_t at_us)
{
    heap_remove(&self->timers, &timer->item);
    timer->at_us = at_us;
    timer->order = ++self->timer_counter;
    heap_put(&self->timers, &timer->item);
}

void timer_clear(engine_t *self, struct timer *timer)
{
    heap_remove(&self->timers, &timer->item);
}

/* --- instances and agents --------------------------------------------------------------------- */

uint64_t instance_free(const struct instance *instance)
{
    if (instance->draining || instance->closed || instance->credit <= instance->sent)
        return 0;
    return instance->credit - instance->sent;
}

bool instance_before(const struct heap_item *a, const struct heap_item *b)
{
    const struct instance *left = (const void *)a;
    const struct instance *right = (const void *)b;
    uint64_t left_free = instance_free(left), right_free = instance_free(right);
    if (left_free != right_free)
        return left_free > right_free;
    if (left->last_used != right->last_used)
        return left->last_used < right->last_used;
    return left->handle < right->handle;
}

void agent_dirty(engine_t *self, struct agent *agent)
{
    if (agent->dirty)
        return;
    agent->dirty = true;
    if (self->dirty_count == self->dirty_capacity) {
        self->dirty_capacity = self->dirty_capacity ? 2 * self->dirty_capacity : 16;
        self->dirty = xrealloc(self->dirty, self->dirty_capacity * sizeof(struct agent *));
    }
    self->dirty[self->dirty_count++] = agent;
}

/* The first of the lane whose turn it is, in the crew whose turn it is. */
struct live *agent_first(const struct agent *agent)
{
    if (agent->waiting == 0)
        return NULL;
    unsigned queue = (unsigned)__builtin_ctz(agent->waiting);
    unsigned kind = queue % 2;
    const struct crew *crew = LIST_OWNER(agent->queues[queue].next, struct crew, turn);
    const struct lane *lane = LIST_OWNER(crew->lanes.next - kind, struct lane, turn);
    return LIST_OWNER(lane->lives[kind].next, struct live, link);
}

/* --- queues and lanes ------------------------------------------------------------------------- */

static unsigned kind_of(const struct live *live)
{
    return live->again ? 0 : 1;
}

static unsigned queue_of(const struct live *live)
{
    return (9 - dag_priority(live->exec->dag)) * 2 + kind_of(live);
}

static struct pin *pin_of(const struct live *live)
{
    return live->exec->pins[live->agent_index];
}

static bool lane_is_empty(const struct lane *lane)
{
    return list_empty(&lane->lives[0]) && list_empty(&lane->lives[1]);
}

/* A lane is idle when it has some aside and none queued: the next slot that frees must queue one of
 * it, for its agent may be the only one with an instance to spare. */
static void lane_update(struct exec *exec, struct lane *lane)
{
    bool idle = lane_is_empty(lane) && !list_empty(&lane->aside);
    if (idle && list_empty(&lane->idle))
        list_push_back(&exec->idle_lanes, &lane->idle);
    else if (!idle && !list_empty(&lane->idle))
        list_remove(&lane->idle);
}

static struct crew *crew_of(engine_t *self, const struct live *live, struct lane *lane)
{
    if (!exec_has_family(live->exec))
        return &lane->own[kind_of(live)];
    const struct crew_key key = {exec_root(live->exec), pin_of(live)->agent, queue_of(live)};
    struct crew *crew = map_get(self->crews, &key, sizeof key);
    if (crew)
        return crew;
    crew = xmalloc(sizeof *crew);
    list_init(&crew->lanes);
    list_init(&crew->turn);
    crew->key = key;
    (void)map_put(self->crews, &key, sizeof key, crew);
    return crew;
}

static void enter_crew(engine_t *self, const struct live *live, struct lane *lane)
{
    unsigned kind = kind_of(live);
    struct crew *crew = lane->crew[kind] = crew_of(self, live, lane);
    list_push_back(&crew->lanes, &lane->turn[kind]);
    if (list_empty(&crew->turn))
        list_push_back(&pin_of(live)->agent->queues[queue_of(live)], &crew->turn);
}

/* Its turn, and its crew's, is over; both come again behind all others, while there is more. */
static void end_turn(engine_t *self, const struct live *live, struct lane *lane)
{
    unsigned kind = kind_of(live);
    struct crew *crew = lane->crew[kind];
    list_remove(&lane->turn[kind]);
    list_remove(&crew->turn);
    if (!list_empty(&lane->lives[kind]))
        list_push_back(&crew->lanes, &lane->turn[kind]);
    if (!list_empty(&crew->lanes)) {
        list_push_back(&pin_of(live)->agent->queues[queue_of(live)], &crew->turn);
    } else if (crew != &lane->own[kind]) {
        (void)map_remove(self->crews, &crew->key, sizeof crew->key);
        free(crew);
    }
}

static void enter_queue(engine_t *self, struct live *live, bool ahead)
{
    struct agent *agent = pin_of(live)->agent;
    struct lane *lane = &pin_of(live)->lane;
    unsigned kind = kind_of(live), queue = queue_of(live);
    if (list_empty(&lane->lives[kind]))
        enter_crew(self, live, lane);
    if (ahead)
        list_push_front(&lane->lives[kind], &live->link);
    else
        list_push_back(&lane->lives[kind], &live->link);
    agent->waiting |= 1u << queue;
    agent->queued++;
    agent_dirty(self, agent);
    lane_update(live->exec, lane);
}

/* Whoever takes the first of a lane has had the lane's turn: the others of its queue come next. */
static void leave_queue(engine_t *self, struct live *live)
{
    struct agent *agent = pin_of(live)->agent;
    struct lane *lane = &pin_of(live)->lane;
    unsigned kind = kind_of(live), queue = queue_of(live);
    bool first = lane->lives[kind].next == &live->link;
    list_remove(&live->link);
    if (first)
        end_turn(self, live, lane);
    if (list_empty(&agent->queues[queue]))
        agent->waiting &= ~(1u << queue);
    agent->queued--;
    lane_update(live->exec, lane);
}

bool exec_has_slot(const struct exec *exec)
{
    return !exec->limited || (!exec->strays && exec->running < dag_parallel(exec->dag));
}

/* While a slot is free no lane may stay idle. What was set aside goes to the front of its lane,
 * whose turn comes behind those of others: else an execution that keeps to its limit would starve
 * them. */
void fill_slots(engine_t *self, struct exec *exec)
{
    while (exec_has_slot(exec) && !list_empty(&exec->idle_lanes)) {
        struct lane *lane = LIST_OWNER(exec->idle_lanes.next, struct lane, idle);
        struct live *live = LIST_OWNER(lane->aside.next, struct live, link);
        list_remove(&live->link);
        set_state(live, LIVE_QUEUED);
        enter_queue(self, live, true);
    }
}

/* --- lives ------------------------------------------------------------------------------------ */

struct live *live_new(engine_t *self, struct exec *exec, uint32_t node)
{
    struct live *live = self->spare;
    if (live)
        self->spare = live->link.next ? LIST_OWNER(live->link.next, struct live, link) : NULL;
    else
        live = xmalloc(sizeof *live);
    *live = (struct live){.exec = exec, .node = node};
    live->timer.kind = TIMER_LIVE;
    live->timer.owner = live;
    list_init(&live->link);
    exec->tasks[node].live = live;
    return live;
}

static void leave_instance(struct live *live)
{
    list_remove(&live->link);
    live->instance->held--;
    live->instance->agent->running--;
    live->instance = NULL;
    live->exec->running--;
    if (live->state == LIVE_STOPPING)
        live->exec->stopping--;
}

/* It had a slot, for an instance may have been at work on it all the time. */
static void leave_claims(engine_t *self, struct live *live)
{
    list_remove(&live->link);
    live->exec->running--;
    fill_slots(self, live->exec);
}

static void leave_aside(struct live *live)
{
    list_remove(&live->link);
    lane_update(live->exec, &pin_of(live)->lane);
}

void feed_later(engine_t *self, struct exec *exec)
{
    if (!list_empty(&exec->starved) && list_empty(&exec->fed))
        list_push_back(&self->fed, &exec->fed);
}

/* Those behind it may have waited for it alone. */
static void leave_starved(engine_t *self, struct live *live)
{
    struct exec *exec = live->exec;
    list_remove(&live->link);
    pin_of(live)->agent->starved--;
    if (list_empty(&exec->starved))
        list_remove(&exec->starving);
    feed_later(self, exec);
}

static void leave(engine_t *self, struct live *live)
{
    timer_clear(self, &live->timer);
    switch (live->state) {
    case LIVE_IDLE: return;
    case LIVE_PARKED:
    case LIVE_RETRY: break;
    case LIVE_STARVED: leave_starved(self, live); break;
    case LIVE_HELD: list_remove(&live->link); break;
    case LIVE_CLAIM: leave_claims(self, live); break;
    case LIVE_QUEUED: leave_queue(self, live); break;
    case LIVE_ASIDE: leave_aside(live); break;
    case LIVE_RUNNING:
    case LIVE_STOPPING: leave_instance(live); break;
    }
    set_state(live, LIVE_IDLE);
}

/* Who leaves may free a slot, or be the last of its lane in the queue while a slot is free. */
void live_idle(engine_t *self, struct live *live)
{
    leave(self, live);
    fill_slots(self, live->exec);
}

void live_free(engine_t *self, struct live **live_p)
{
    struct live *live = *live_p;
    live_idle(self, live);
    live->exec->tasks[live->node].live = NULL;
    live->link.next = self->spare ? &self->spare->link : NULL;
    self->spare = live;
}

void live_claim(engine_t *self, struct live *live)
{
    set_state(live, LIVE_CLAIM);
    live->again = true;
    live->exec->running++;
    list_push_back(&self->claims, &live->link);
}

void live_retry(engine_t *self, struct live *live, int64_t at_us)
{
    set_state(live, LIVE_RETRY);
    live->again = true;
    timer_set(self, &live->timer, at_us);
}

void live_queue(engine_t *self, struct live *live)
{
    set_state(live, LIVE_QUEUED);
    live->agent_index = task_agent(live->exec, live->node);
    enter_queue(self, live, false);
}

void live_aside(engine_t *self, struct live *live)
{
    struct lane *lane = &pin_of(live)->lane;
    set_state(live, LIVE_ASIDE);
    leave_queue(self, live);
    if (live->again)
        list_push_front(&lane->aside, &live->link);
    else
        list_push_back(&lane->aside, &live->link);
    lane_update(live->exec, lane);
}

void live_hold(engine_t *self, struct live *live)
{
    (void)self;
    set_state(live, LIVE_HELD);
    list_push_back(&live->exec->held, &live->link);
}

void live_starve(engine_t *self, struct live *live, struct list *list, int64_t timeout_at_us)
{
    set_state(live, LIVE_STARVED);
    if (timeout_at_us != INT64_MAX)
        timer_set(self, &live->timer, timeout_at_us);
    live->agent_index = task_agent(live->exec, live->node);
    live->again = true;
    pin_of(live)->agent->starved++;
    list_push_back(list, &live->link);
    if (list == &live->exec->starved && list_empty(&live->exec->starving))
        list_push_back(&self->starving, &live->exec->starving);
}

void live_park(engine_t *self, struct live *live, int64_t timeout_at_us)
{
    set_state(live, LIVE_PARKED);
    live->again = true;
    if (timeout_at_us != INT64_MAX)
        timer_set(self, &live->timer, timeout_at_us);
}

void live_run(engine_t *self, struct live *live, struct instance *instance, struct run run,
              int64_t now_us)
{
    leave(self, live);
    set_state(live, LIVE_RUNNING);
    live->instance = instance;
    live->run = run;
    live->dispatched_us = now_us;
    live->again = true;
    list_push_back(&instance->lives, &live->link);
    instance->held++;
    instance->agent->running++;
    live->exec->running++;
    fill_slots(self, live->exec);
}

void live_stop(engine_t *self, struct live *live)
{
    timer_clear(self, &live->timer);
    set_state(live, LIVE_STOPPING);
    live->exec->stopping++;
}

void live_move(struct live *live, struct instance *instance)
{
    list_remove(&live->link);
    live->instance->held--;
    live->instance->agent->running--;
    live->instance = instance;
    list_push_back(&instance->lives, &live->link);
    instance->held++;
    instance->agent->running++;
}
