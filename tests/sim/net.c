#include "tests/sim/net.h"

#include "tests/sim/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCS_MOST 64

struct place {
    struct proc *proc;
    int64_t no_to_us, no_from_us; /* cut until then */
    /* Of what comes from it, and what goes to it: */
    int64_t lag_us[2], lag_until_us[2], choked_until_us[2];
};

struct net {
    struct place places[PROCS_MOST];
    size_t count;
    uint64_t life; /* of the broker */
    int64_t down_until_us;
};

struct flight {
    struct place *to;
    uint64_t life; /* of the broker that carries it; 0: none does any more */
    struct sim_message *message;
};

struct net *net_new(struct world *world)
{
    (void)world;
    struct net *self = xcalloc(1, sizeof *self);
    self->life = 1;
    return self;
}

void net_destroy(struct net **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

void net_join(struct world *world, struct proc *proc)
{
    CHECK(world->net->count < PROCS_MOST);
    world->net->places[world->net->count++].proc = proc;
}

static struct place *find(struct net *self, const char *name)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->places[i].proc->name, name) == 0)
            return &self->places[i];
    return NULL;
}

static void flight_free(struct flight *flight)
{
    sim_message_free(&flight->message);
    free(flight);
}

static void arrive(struct world *world, void *context, uint64_t number)
{
    struct flight *flight = context;
    struct proc *proc = flight->to->proc;
    (void)number;
    bool lost =
        flight->life != world->net->life || world->now_us < flight->to->no_to_us || !proc->up;
    if (lost) {
        world->counts.lost_messages++;
        flight_free(flight);
        return;
    }
    *proc->inbox_end = flight->message;
    proc->inbox_end = &flight->message->next;
    proc_wake(proc, world->now_us);
    free(flight);
}

void net_forget(world_fn fn, void *context)
{
    if (fn == arrive)
        flight_free(context);
}

static void launch(struct world *world, struct place *to, const struct proc *from,
                   uint64_t correlation, enum wire_kind kind, struct bytes body,
                   struct bytes payload, int64_t delay_us)
{
    struct flight *flight = xcalloc(1, sizeof *flight);
    flight->to = to;
    flight->life = world->net->life;
    flight->message = xcalloc(1, sizeof *flight->message);
    flight->message->from = xstrdup(from->name);
    flight->message->correlation = correlation;
    flight->message->kind = kind;
    buf_append_bytes(&flight->message->body, body);
    buf_append_bytes(&flight->message->payload, payload);
    world_at(world, world->now_us + delay_us, arrive, flight, 0);
}

static int64_t draw_delay(struct world *world)
{
    const struct plan *plan = world->plan;
    int64_t delay_us = prng_skewed(&world->prng, 50, 2 * MS);
    if (!world->calm && prng_chance(&world->prng, plan->late_permille))
        delay_us += prng_skewed(&world->prng, 0, plan->late_most_us);
    return delay_us;
}

static int64_t lag_of(const struct world *world, const struct place *place, bool to)
{
    return place && world->now_us < place->lag_until_us[to] ? place->lag_us[to] : 0;
}

/* A frame without items is smaller than this, one with a step or a dispatch is not. */
#define LARGE_BYTES 60

static bool is_choked(const struct world *world, const struct place *place, bool to,
                      const struct buf *bytes)
{
    return place && world->now_us < place->choked_until_us[to] && bytes->size > LARGE_BYTES;
}

/* While the broker is down a sender's socket keeps what it has, or has been closed by then. */
static bool held_back(struct world *world, int64_t *delay_us)
{
    if (world->now_us >= world->net->down_until_us)
        return true;
    *delay_us += world->net->down_until_us - world->now_us;
    return prng_chance(&world->prng, 500);
}

void net_send(struct proc *from, const char *to, uint64_t correlation, const struct wire_body *body,
              struct bytes payload)
{
    struct world *world = from->world;
    struct net *self = world->net;
    struct place *place = find(self, to);
    const struct place *here = find(self, from->name);
    struct buf bytes = {0};
    if (!proc_effect(from) || !place)
        return;
    world->counts.messages++;
    int64_t delay_us = draw_delay(world) + lag_of(world, place, true) + lag_of(world, here, false);
    bool lost = !world->calm && prng_chance(&world->prng, world->plan->lost_permille);
    if (lost || (here && world->now_us < here->no_from_us) || !held_back(world, &delay_us)) {
        world->counts.lost_messages++;
        TRACE(world, "%s -> %s: %s is lost", from->name, to, wire_kind_name(body->kind));
        return;
    }
    wire_encode_body(body, &bytes);
    if (is_choked(world, place, true, &bytes) || is_choked(world, here, false, &bytes)) {
        world->counts.lost_messages++;
        TRACE(world, "%s -> %s: a large %s is lost", from->name, to, wire_kind_name(body->kind));
        buf_release(&bytes);
        return;
    }
    launch(world, place, from, correlation, body->kind, buf_bytes(&bytes), payload, delay_us);
    if (!world->calm && prng_chance(&world->prng, world->plan->doubled_permille)) {
        world->counts.doubled_messages++;
        delay_us += draw_delay(world);
        launch(world, place, from, correlation, body->kind, buf_bytes(&bytes), payload, delay_us);
    }
    buf_release(&bytes);
}

void net_crash(struct world *world, int64_t until_us)
{
    TRACE(world, "the broker is gone for %.3f s",
          (double)(until_us - world->now_us) / (double)SECOND);
    world->counts.broker_crashes++;
    world->net->life++;
    world->net->down_until_us = until_us;
}

void net_cut(struct world *world, const struct proc *proc, bool to, bool from, int64_t until_us)
{
    struct place *place = find(world->net, proc->name);
    TRACE(world, "%s is cut off%s%s for %.3f s", proc->name, to ? " (to)" : "",
          from ? " (from)" : "", (double)(until_us - world->now_us) / (double)SECOND);
    world->counts.partitions++;
    if (to)
        place->no_to_us = until_us;
    if (from)
        place->no_from_us = until_us;
}

void net_lag(struct world *world, const struct proc *proc, bool to, int64_t lag_us,
             int64_t until_us)
{
    struct place *place = find(world->net, proc->name);
    TRACE(world, "what %s %s is late by %.3f s for %.3f s", to ? "goes to" : "comes from",
          proc->name, (double)lag_us / (double)SECOND,
          (double)(until_us - world->now_us) / (double)SECOND);
    place->lag_us[to] = lag_us;
    place->lag_until_us[to] = until_us;
}

void net_choke(struct world *world, const struct proc *proc, bool to, int64_t until_us)
{
    TRACE(world, "what is large and %s %s is lost for %.3f s", to ? "goes to" : "comes from",
          proc->name, (double)(until_us - world->now_us) / (double)SECOND);
    world->counts.partitions++;
    find(world->net, proc->name)->choked_until_us[to] = until_us;
}
