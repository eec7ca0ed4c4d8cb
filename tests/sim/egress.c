#include "tests/sim/egress.h"

#include "egress/calls.h"
#include "proto/link.h"
#include "tests/sim/net.h"
#include "tests/sim/observer.h"
#include "tests/sim/plan.h"
#include "tests/sim/script.h"
#include "tests/sim/shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As in egress/egressd.c. */
#define BEAT_AGAIN_US (200 * MS)
#define OVER_MOST     256

struct egress {
    struct proc proc;
    struct world *world;
    size_t index;
    uint64_t boot;
    int64_t now_us, busy_us, beat_us;
    bool waits_for_lease;
    link_t *link;
    calls_t *calls;
    uint64_t over[OVER_MOST]; /* calls whose answers wait to be taken */
    size_t over_count;
    struct arena held, items;
};

struct egresses {
    struct egress all[EGRESSES_MOST];
    size_t count;
};

/* --- sending ---------------------------------------------------------------------------------- */

static void send_link(void *context, const struct wire_body *body)
{
    struct egress *self = context;
    net_send(&self->proc, SHELL_NAME, 0, body, (struct bytes){0});
}

static void fill_hello(void *context, struct wire_hello *hello)
{
    struct egress *self = context;
    hello->role = "egress";
    hello->host = "host1";
    hello->program = "sim";
    arena_clear(&self->held);
    calls_held(self->calls, &self->held, &hello->held, &hello->held_count);
    TRACE(self->world, "%s says hello with %zu calls", self->proc.name, hello->held_count);
}

static void reply(void *context, const char *to, uint64_t correlation,
                  const struct wire_call_answer *answer, struct bytes payload)
{
    struct egress *self = context;
    struct wire_body body = {.kind = WIRE_CALL_ANSWER, .call_answer = *answer};
    TRACE(self->world, "%s answers %s about turn %u of %s %s, attempt %u: %s", self->proc.name, to,
          answer->key.turn, sim_uuid(answer->key.execution), answer->key.path, answer->key.attempt,
          answer->error && *answer->error ? answer->error : "a turn");
    observer_call_replied(self->world, to, answer);
    net_send(&self->proc, to, correlation, &body, payload);
}

/* --- calls ------------------------------------------------------------------------------------ */

static void call_over(struct world *world, void *context, uint64_t number)
{
    struct egress *self = context;
    uint32_t life = (uint32_t)(number >> 32);
    if (!self->proc.up || (uint32_t)self->proc.life != life)
        return;
    if (self->proc.frozen || self->over_count == OVER_MOST) {
        world_at(world, world->now_us + 20 * MS, call_over, self, number);
        return;
    }
    self->over[self->over_count++] = (uint32_t)number;
    proc_wake(&self->proc, world->now_us);
}

static void take_over(struct egress *self, uint64_t id)
{
    struct call_view call;
    struct script_answer said = {0};
    if (!calls_find(self->calls, id, &call) || call.state != CALL_RUNNING)
        return; /* it was forgotten */
    script_answer(self->world->plan, &call.key, call.agent, call.request, &said);
    const struct wire_call_answer answer = {
        .error = said.error,
        .what = said.error ? "sim" : NULL,
        .permanent = said.permanent,
        .usage = usage_settle(said.input_tokens, said.output_tokens, call.prices, call.tokens,
                              call.cost_microusd),
    };
    calls_answer(self->calls, id, &answer, buf_bytes(&said.turn));
    buf_release(&said.turn);
}

static struct usage_prices prices_of(const struct plan *plan, const char *agent)
{
    const struct plan_talk *talk = &plan->agents[plan_agent_index(plan, agent)].talk;
    return (struct usage_prices){talk->input_price, talk->output_price};
}

static void start_calls(struct egress *self)
{
    struct world *world = self->world;
    struct call_view call;
    self->waits_for_lease = false;
    while (calls_count(self->calls, CALL_READY) > 0 && !self->proc.dying) {
        bool lease = link_lease_valid(self->link, proc_mono_anew(&self->proc));
        self->waits_for_lease = !lease;
        if (!calls_startable(self->calls, lease, 0, &call) || !proc_effect(&self->proc))
            return;
        observer_call_made(world, self->index, &call.key);
        calls_start(self->calls, call.id, prices_of(world->plan, call.agent));
        int64_t most_us = prng_chance(&world->prng, world->calm ? 0 : 30)
                              ? 20 * SECOND
                              : world->plan->call_most_us;
        world_at(world, world->now_us + prng_skewed(&world->prng, MS, most_us), call_over, self,
                 (uint64_t)(uint32_t)self->proc.life << 32 | (uint32_t)call.id);
    }
}

/* --- receiving -------------------------------------------------------------------------------- */

static void take_items(struct egress *self, struct bytes bytes)
{
    struct wire_items items;
    struct err err;
    arena_clear(&self->items);
    if (wire_decode_items(&self->items, bytes, &items, &err)) {
        world_fail(self->world, 0, "the coordinator's items can't be read: %s", err.what);
        return;
    }
    for (size_t i = 0; i < items.count; i++) {
        const struct wire_item *item = &items.items[i];
        if (item->kind == WIRE_ITEM_FORGET)
            (void)calls_forget(self->calls, &item->forget.key);
        else if (item->kind == WIRE_ITEM_GRANT && calls_grant(self->calls, &item->grant, &err))
            world_fail(self->world, 0, "%s has no room for a grant: %s", self->proc.name, err.what);
    }
}

static void receive(struct egress *self, const struct sim_message *message)
{
    struct wire_body body;
    struct err err;
    struct bytes items = {0};
    struct arena arena = {0};
    if (wire_decode_body(&arena, message->kind, buf_bytes(&message->body), &body, &err)) {
        world_fail(self->world, 0, "a message can't be read: %s", err.what);
    } else if (body.kind == WIRE_CALL) {
        struct bytes payload = buf_bytes(&message->payload);
        (void)calls_ask(self->calls, &body.call, payload.size > 0 ? &payload : NULL,
                        (struct calls_asker){message->from, message->correlation}, self->now_us);
    } else {
        enum link_event event = link_receive(self->link, &body, self->now_us, &items);
        if (event == LINK_WELCOMED)
            calls_linked(self->calls);
        else if (event == LINK_ITEMS)
            take_items(self, items);
    }
    arena_release(&arena);
}

/* --- the round, as in egress/egressd.c -------------------------------------------------------- */

static size_t held(const struct egress *self)
{
    size_t count = 0;
    for (enum call_state state = CALL_GRANTED; state <= CALL_ANSWERED; state++)
        count += calls_count(self->calls, state);
    return count;
}

static void keep_lease(struct egress *self)
{
    if (held(self) > 0)
        self->busy_us = self->now_us;
    link_set_busy(self->link, self->busy_us && self->now_us - self->busy_us < LIMIT_BEAT_US,
                  self->now_us);
    if (self->waits_for_lease && link_state(self->link) == LINK_OPEN &&
        self->now_us - self->beat_us >= BEAT_AGAIN_US) {
        self->beat_us = self->now_us;
        link_beat(self->link, self->now_us);
    }
}

static void schedule(struct egress *self)
{
    int64_t at_us = link_deadline(self->link);
    int64_t others_us[] = {calls_deadline(self->calls), self->now_us + 10 * SECOND,
                           self->waits_for_lease ? self->now_us + BEAT_AGAIN_US : INT64_MAX,
                           held(self) > 0 ? self->now_us + LIMIT_BEAT_US : INT64_MAX};
    for (size_t i = 0; i < sizeof others_us / sizeof others_us[0]; i++)
        if (others_us[i] < at_us)
            at_us = others_us[i];
    proc_wake(&self->proc, proc_when(&self->proc, at_us) + prng_between(&self->world->prng, 0, MS));
}

static void round_of(struct proc *proc)
{
    struct egress *self = (struct egress *)proc;
    struct sim_message *message;
    self->now_us = proc_mono(proc);
    (void)link_tick(self->link, self->now_us);
    while ((message = proc_take(proc))) {
        receive(self, message);
        sim_message_free(&message);
    }
    for (size_t i = 0; i < self->over_count; i++)
        take_over(self, self->over[i]);
    self->over_count = 0;
    calls_tick(self->calls, self->now_us);
    start_calls(self);
    keep_lease(self);
    if (!proc->dying)
        schedule(self);
}

/* --- start and end ---------------------------------------------------------------------------- */

static void begin(struct world *world, void *context, uint64_t number)
{
    struct egress *self = context;
    (void)number;
    proc_start(&self->proc);
    proc_read_clock(&self->proc);
    self->now_us = proc_mono(&self->proc);
    self->boot = (uint64_t)world->now_us;
    self->busy_us = self->beat_us = 0;
    self->waits_for_lease = false;
    self->over_count = 0;
    struct calls_limits limits = CALLS_LIMITS;
    if (world->plan->narrow_egress) {
        limits.request_bytes = 6u << 10;
        limits.waiting = 2;
        limits.askers = 1;
        limits.wait_us = SECOND;
    }
    self->calls = calls_new(&limits, reply, self);
    self->link = link_new_peer(self->boot, send_link, self);
    link_set_hello(self->link, fill_hello);
    link_hello(self->link, self->now_us);
}

static void clear(struct egress *self)
{
    link_destroy(&self->link);
    calls_destroy(&self->calls);
    arena_release(&self->held);
    arena_release(&self->items);
}

static void die(struct proc *proc)
{
    struct egress *self = (struct egress *)proc;
    struct world *world = self->world;
    world->counts.crashes++;
    world->counts.egress_crashes++;
    clear(self);
    proc_stop(proc);
    observer_egress_lost(world, self->index);
    world_at(world, world->now_us + prng_skewed(&world->prng, 20 * MS, 4 * SECOND), begin, self, 0);
}

struct egresses *egresses_new(struct world *world)
{
    struct egresses *all = xcalloc(1, sizeof *all);
    for (; all->count < world->plan->egresses_count; all->count++) {
        struct egress *self = &all->all[all->count];
        self->world = world;
        self->index = all->count;
        self->proc = (struct proc){.world = world, .round = round_of, .die = die};
        (void)snprintf(self->proc.name, sizeof self->proc.name, "egress:e%zu", all->count);
        self->proc.mono_ahead_us = prng_between(&world->prng, 0, 1000000 * SECOND);
        net_join(world, &self->proc);
        world_at(world, world->now_us + prng_skewed(&world->prng, 0, 2 * SECOND), begin, self, 0);
    }
    return all;
}

void egresses_destroy(struct egresses **self_p)
{
    struct egresses *all = *self_p;
    *self_p = NULL;
    if (!all)
        return;
    for (size_t i = 0; i < all->count; i++) {
        if (all->all[i].proc.up)
            proc_stop(&all->all[i].proc);
        clear(&all->all[i]);
    }
    free(all);
}

size_t egresses_count(const struct world *world)
{
    return world->egresses->count;
}

struct proc *egresses_proc(struct world *world, size_t index)
{
    return &world->egresses->all[index].proc;
}

uint64_t egresses_boot(const struct world *world, size_t index)
{
    const struct egress *self = &world->egresses->all[index];
    return self->proc.up ? self->boot : 0;
}

size_t egresses_find(const struct world *world, const char *address)
{
    for (size_t i = 0; i < world->egresses->count; i++)
        if (strcmp(world->egresses->all[i].proc.name, address) == 0)
            return i;
    return SIZE_MAX;
}

size_t egresses_held(const struct world *world)
{
    size_t count = 0;
    for (size_t i = 0; i < world->egresses->count; i++)
        if (world->egresses->all[i].proc.up)
            count += held(&world->egresses->all[i]);
    return count;
}
