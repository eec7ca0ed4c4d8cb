#include "tests/sim/world.h"

#include "tests/sim/chaos.h"
#include "tests/sim/client.h"
#include "tests/sim/egress.h"
#include "tests/sim/instance.h"
#include "tests/sim/net.h"
#include "tests/sim/observer.h"
#include "tests/sim/plan.h"
#include "tests/sim/shell.h"
#include "tests/sim/store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A world in which nothing ends would go on for ever; no healthy one comes near this. */
#define HAPPENINGS_MOST 20000000u

struct happening {
    int64_t at_us;
    uint64_t order;
    world_fn fn;
    void *context;
    uint64_t number;
};

/* --- the queue -------------------------------------------------------------------------------- */

static bool before(const struct happening *a, const struct happening *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void swap(struct happening *a, struct happening *b)
{
    struct happening kept = *a;
    *a = *b;
    *b = kept;
}

void world_at(struct world *world, int64_t at_us, world_fn fn, void *context, uint64_t number)
{
    if (world->queue_count == world->queue_capacity) {
        world->queue_capacity = world->queue_capacity ? 2 * world->queue_capacity : 256;
        world->queue = xrealloc(world->queue, world->queue_capacity * sizeof *world->queue);
    }
    if (at_us < world->now_us)
        at_us = world->now_us;
    size_t at = world->queue_count++;
    world->queue[at] = (struct happening){at_us, ++world->order, fn, context, number};
    for (; at > 0 && before(&world->queue[at], &world->queue[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&world->queue[at], &world->queue[(at - 1) / 2]);
}

static struct happening take_first(struct world *world)
{
    struct happening first = world->queue[0];
    world->queue[0] = world->queue[--world->queue_count];
    for (size_t at = 0;;) {
        size_t least = at, left = 2 * at + 1;
        for (size_t i = left; i < left + 2 && i < world->queue_count; i++)
            if (before(&world->queue[i], &world->queue[least]))
                least = i;
        if (least == at)
            return first;
        swap(&world->queue[at], &world->queue[least]);
        at = least;
    }
}

/* --- findings and trace ----------------------------------------------------------------------- */

void world_fail(struct world *world, int invariant, const char *format, ...)
{
    va_list arguments;
    if (world->failed)
        return;
    world->failed = true;
    world->invariant = invariant;
    va_start(arguments, format);
    (void)vsnprintf(world->failure, sizeof world->failure, format, arguments);
    va_end(arguments);
    TRACE(world, "*** invariant %d: %s", invariant, world->failure);
}

void world_trace(const struct world *world, const char *format, ...)
{
    va_list arguments;
    printf("%10.6f  ", (double)world->now_us / (double)SECOND);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

const char *sim_uuid(struct uuid id)
{
    static char text[4][12];
    static unsigned next;
    char *here = text[next++ % 4];
    if (id.bytes[0] == 1 && id.bytes[1] == 0) /* see shell.c; others are of sub-workflows */
        (void)snprintf(here, sizeof text[0], "x%u", (unsigned)(id.bytes[14] << 8 | id.bytes[15]));
    else
        (void)snprintf(here, sizeof text[0], "s%02x%02x%02x", id.bytes[13], id.bytes[14],
                       id.bytes[15]);
    return here;
}

/* --- processes -------------------------------------------------------------------------------- */

void sim_message_free(struct sim_message **message_p)
{
    struct sim_message *message = *message_p;
    *message_p = NULL;
    if (!message)
        return;
    free(message->from);
    buf_release(&message->body);
    buf_release(&message->payload);
    free(message);
}

void proc_start(struct proc *self)
{
    self->up = true;
    self->frozen = self->dying = false;
    self->countdown = 0;
    self->life++;
    self->wake_us = SIM_NEVER;
    self->clock_us = self->world->now_us;
    self->inbox = NULL;
    self->inbox_end = &self->inbox;
    TRACE(self->world, "%s starts", self->name);
    proc_wake(self, self->world->now_us);
}

void proc_stop(struct proc *self)
{
    struct sim_message *message;
    self->up = false;
    while ((message = proc_take(self)))
        sim_message_free(&message);
    TRACE(self->world, "%s is gone", self->name);
}

static void run_round(struct proc *self)
{
    self->wake_us = SIM_NEVER;
    proc_read_clock(self);
    self->round(self);
    if (self->up && self->dying)
        self->die(self);
}

static void wake(struct world *world, void *context, uint64_t life)
{
    struct proc *self = context;
    if (self->up && self->life == life && !self->frozen && self->wake_us == world->now_us)
        run_round(self);
}

void proc_wake(struct proc *self, int64_t at_us)
{
    struct world *world = self->world;
    if (!self->up || at_us == SIM_NEVER)
        return;
    if (at_us <= world->now_us)
        at_us = world->now_us + prng_between(&world->prng, 5, 150);
    if (at_us >= self->wake_us)
        return;
    self->wake_us = at_us;
    world_at(world, at_us, wake, self, self->life);
}

/* What ran when it was stopped runs on from here: the process looks at its clock at once. */
static void thaw(struct world *world, void *context, uint64_t life)
{
    struct proc *self = context;
    if (!self->up || self->life != life)
        return;
    TRACE(world, "%s goes on", self->name);
    self->frozen = false;
    self->clock_us = world->now_us;
    run_round(self);
}

void proc_freeze(struct proc *self, int64_t until_us)
{
    if (!self->up || self->frozen)
        return;
    TRACE(self->world, "%s is stopped for %.3f s", self->name,
          (double)(until_us - self->world->now_us) / (double)SECOND);
    self->frozen = true;
    self->world->counts.pauses++;
    world_at(self->world, until_us, thaw, self, self->life);
}

void proc_kill(struct proc *self, uint64_t countdown)
{
    if (!self->up)
        return;
    if (countdown > 0) {
        self->countdown = countdown;
        return;
    }
    self->dying = true;
    self->die(self);
}

bool proc_effect(struct proc *self)
{
    if (self->countdown > 0 && --self->countdown == 0) {
        TRACE(self->world, "%s is killed in the middle of its round", self->name);
        self->dying = true;
    }
    return !self->dying;
}

/* A round's clock is read once; the round's work comes up to a few milliseconds later, seldom as
 * much as the margin between a lease and a link's end has room for. */
void proc_read_clock(struct proc *self)
{
    struct prng *prng = &self->world->prng;
    int64_t lag_us =
        prng_chance(prng, 5) ? prng_between(prng, 0, 300 * MS) : prng_skewed(prng, 0, 3 * MS);
    int64_t at_us = self->world->now_us - lag_us;
    if (at_us > self->clock_us)
        self->clock_us = at_us;
}

int64_t proc_mono(const struct proc *self)
{
    return self->clock_us + self->mono_ahead_us;
}

int64_t proc_mono_anew(const struct proc *self)
{
    return self->world->now_us + self->mono_ahead_us;
}

int64_t proc_utc(const struct proc *self)
{
    return SIM_UTC + self->clock_us + self->utc_ahead_us;
}

int64_t proc_when(const struct proc *self, int64_t mono_us)
{
    return mono_us == SIM_NEVER ? SIM_NEVER : mono_us - self->mono_ahead_us;
}

struct sim_message *proc_take(struct proc *self)
{
    struct sim_message *message = self->inbox;
    if (!message)
        return NULL;
    self->inbox = message->next;
    if (!self->inbox)
        self->inbox_end = &self->inbox;
    return message;
}

/* --- a run ------------------------------------------------------------------------------------ */

uint64_t world_prng(uint64_t seed)
{
    return seed * 0x2545f4914f6cdd1du + 0x1234567;
}

static void build(struct world *world)
{
    world->prng.state = world_prng(world->seed);
    world->now_us = SECOND;
    world->plan = plan_new(&world->prng, world->cuts, NULL);
    if (world->tracing)
        plan_print(world->plan);
    world->calm_us = world->now_us + world->plan->faults_us;
    world->net = net_new(world);
    world->store = store_new(world);
    world->observer = observer_new(world);
    world->shell = shell_new(world);
    world->fleet = fleet_new(world);
    world->egresses = egresses_new(world);
    world->clients = clients_new(world);
    world->person = person_new(world);
    chaos_begin(world);
}

static void drop_rest(struct world *world)
{
    while (world->queue_count > 0) {
        struct happening rest = take_first(world);
        net_forget(rest.fn, rest.context);
    }
    free(world->queue);
}

static void take_down(struct world *world)
{
    clients_destroy(&world->clients);
    person_destroy(&world->person);
    fleet_destroy(&world->fleet);
    egresses_destroy(&world->egresses);
    shell_destroy(&world->shell);
    observer_destroy(&world->observer);
    store_destroy(&world->store);
    drop_rest(world);
    net_destroy(&world->net);
    plan_destroy(&world->plan);
}

/* The calm lasts until all has ended, and a while longer for what must not happen any more; at the
 * most so long as the slowest plan may need. */
static bool goes_on(struct world *world)
{
    if (world->failed || world->queue_count == 0)
        return false;
    if (world->counts.happenings++ > HAPPENINGS_MOST) {
        world_fail(world, 0, "the world does not come to rest");
        return false;
    }
    return !observer_satisfied(world);
}

void world_run(struct world *world)
{
    build(world);
    while (goes_on(world)) {
        struct happening next = take_first(world);
        world->now_us = next.at_us;
        next.fn(world, next.context, next.number);
    }
    if (!world->failed)
        observer_end(world);
    take_down(world);
}
