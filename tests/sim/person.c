#include "tests/sim/client.h"

#include "tests/sim/chaos.h"
#include "tests/sim/net.h"
#include "tests/sim/observer.h"
#include "tests/sim/plan.h"
#include "tests/sim/shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Asked are remembered for a while: some are asked again, or otherwise. */
#define ASKS_MOST   64
#define MISSED_MOST 64

struct person {
    struct proc proc;
    struct shell_wish asks[ASKS_MOST];
    uint64_t asks_count;
    struct uuid missed[MISSED_MOST];
    uint64_t missed_count;
};

static void ask(struct person *self, const struct shell_wish *wish)
{
    struct wire_body body = {.kind = WIRE_REQUEST, .request = {.method = METHOD_WISH}};
    self->asks[self->asks_count % ASKS_MOST] = *wish;
    net_send(&self->proc, SHELL_NAME, ++self->asks_count, &body, bytes_of(wish, sizeof *wish));
}

/* --- what is wished --------------------------------------------------------------------------- */

static void answer_wait(struct person *self, const struct sim_wait *wait)
{
    struct prng *prng = &self->proc.world->prng;
    struct shell_wish wish = {.execution = wait->execution, .attempt = wait->attempt, .number = -1};
    memcpy(wish.path, wait->path, sizeof wish.path);
    if (wait->kind == DAG_APPROVE) {
        wish.kind = WISH_DECISION;
        wish.yes = prng_chance(prng, 700);
        if (prng_chance(prng, 300))
            wish.number = prng_between(prng, 0, 99);
        if (prng_chance(prng, 500))
            memcpy(wish.hash, wait->hash, sizeof wish.hash);
        wish.stale = !self->proc.world->calm && prng_chance(prng, 100);
        if (wish.stale)
            memset(wish.hash, 1, sizeof wish.hash);
    } else {
        wish.kind = WISH_SIGNAL;
        wish.number = (int64_t)self->asks_count;
        (void)snprintf(wish.path, sizeof wish.path, "%s", wait->signal);
    }
    ask(self, &wish);
}

static bool any_wait(struct world *world, struct sim_wait *ret_wait)
{
    struct sim_place place = {0};
    struct sim_wait wait;
    uint32_t count = 0;
    while (observer_next_wait(world, &place, &wait))
        if (wait.kind != DAG_WAIT && prng_between(&world->prng, 0, count++) == 0)
            *ret_wait = wait;
    return count > 0;
}

static void repeat(struct person *self)
{
    struct prng *prng = &self->proc.world->prng;
    if (self->asks_count == 0)
        return;
    uint64_t most = self->asks_count < ASKS_MOST ? self->asks_count : ASKS_MOST;
    struct shell_wish wish = self->asks[prng_between(prng, 0, (int64_t)most - 1)];
    if (prng_chance(prng, 500))
        wish.yes = !wish.yes;
    ask(self, &wish);
}

static void wish_fork(struct person *self)
{
    struct world *world = self->proc.world;
    struct shell_wish wish = {.kind = WISH_FORK, .number = -1};
    if (!observer_any_begun(world, &wish.execution, wish.path))
        return;
    if (prng_chance(&world->prng, 400))
        wish.number = prng_between(&world->prng, 0, 99);
    ask(self, &wish);
}

static void wish_any(struct person *self)
{
    struct world *world = self->proc.world;
    struct sim_wait wait;
    struct shell_wish wish = {0};
    if (prng_chance(&world->prng, world->plan->reopen_permille)) {
        wish.kind = WISH_REOPEN;
        if (observer_any_ended(world, &wish.execution))
            ask(self, &wish);
        return;
    }
    if (prng_chance(&world->prng, world->plan->fork_permille)) {
        wish_fork(self);
        return;
    }
    int64_t kind = prng_between(&world->prng, 0, 99);
    if (kind < 34) {
        if (any_wait(world, &wait))
            answer_wait(self, &wait);
        return;
    }
    if (kind < 42) {
        repeat(self);
        return;
    }
    if (!observer_any_open(world, &wish.execution))
        return;
    if (prng_chance(&world->prng, world->plan->cancel_permille / 10)) {
        wish.kind = WISH_CANCEL; /* also of a sub-workflow alone */
    } else if (kind < 58) {
        wish.kind = WISH_SIGNAL;
        wish.number = (int64_t)self->asks_count;
        (void)snprintf(wish.path, sizeof wish.path, "%s",
                       prng_chance(&world->prng, 500) ? "go" : "now");
    } else {
        bool pauses = prng_chance(&world->prng, world->plan->pause_permille);
        wish.kind = pauses ? WISH_PAUSE : WISH_GO_ON;
    }
    ask(self, &wish);
}

static void miss(struct world *world, void *context, uint64_t number)
{
    struct person *self = context;
    struct shell_wish wish = {.kind = WISH_REOPEN, .execution = self->missed[number % MISSED_MOST]};
    if (!world->calm)
        ask(self, &wish);
}

/* The end may have to wait until whoever is cut off is given up. */
void person_misses(struct world *world, struct uuid execution)
{
    struct person *self = world->person;
    TRACE(world, "a person misses %s", sim_uuid(execution));
    uint64_t number = self->missed_count++;
    self->missed[number % MISSED_MOST] = execution;
    for (int64_t s = 1; world->plan->people && s < 12; s += 2)
        world_at(world, world->now_us + prng_between(&world->prng, s * SECOND, (s + 2) * SECOND),
                 miss, self, number);
}

/* When the faults are over all gets its answer. */
static void wish_all(struct person *self)
{
    struct world *world = self->proc.world;
    struct sim_place place = {0};
    struct sim_wait wait;
    struct shell_wish wish = {.kind = WISH_GO_ON};
    while (observer_next_paused(world, &place, &wish.execution))
        ask(self, &wish);
    place = (struct sim_place){0};
    while (observer_next_wait(world, &place, &wait))
        if (wait.kind != DAG_WAIT)
            answer_wait(self, &wait);
}

static void tick(struct world *world, void *context, uint64_t number)
{
    struct person *self = context;
    int64_t most_us = world->calm ? 2 * SECOND : 600 * MS;
    if (world->calm)
        wish_all(self);
    else
        wish_any(self);
    world_at(world, world->now_us + prng_between(&world->prng, 50 * MS, most_us), tick, self,
             number);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void receive(struct person *self, const struct sim_message *message)
{
    struct arena arena = {0};
    struct wire_body body;
    struct err err;
    bool kept = message->correlation + ASKS_MOST > self->asks_count;
    if (kept && message->kind == WIRE_REPLY &&
        wire_decode_body(&arena, WIRE_REPLY, buf_bytes(&message->body), &body, &err) == 0 &&
        !*body.reply.error) {
        const struct shell_wish *wish = &self->asks[(message->correlation - 1) % ASKS_MOST];
        struct shell_wish done = *wish;
        if (wish->kind == WISH_FORK)
            memcpy(done.execution.bytes, message->payload.data, sizeof done.execution.bytes);
        observer_wish_answered(self->proc.world, &done);
        /* Who holds what the retry takes away may come back to a coordinator that knows nothing. */
        if (wish->kind == WISH_REOPEN)
            chaos_follow(self->proc.world);
    }
    arena_release(&arena);
}

static void round_of(struct proc *proc)
{
    struct sim_message *message;
    while ((message = proc_take(proc))) {
        receive((struct person *)proc, message);
        sim_message_free(&message);
    }
}

static void die(struct proc *proc)
{
    (void)proc;
}

struct person *person_new(struct world *world)
{
    struct person *self = xcalloc(1, sizeof *self);
    self->proc = (struct proc){.world = world, .name = "client:2", .round = round_of, .die = die};
    net_join(world, &self->proc);
    proc_start(&self->proc);
    if (world->plan->people)
        world_at(world, world->now_us + SECOND, tick, self, 0);
    return self;
}

void person_destroy(struct person **self_p)
{
    struct person *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    proc_stop(&self->proc);
    free(self);
}
