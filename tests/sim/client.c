#include "tests/sim/client.h"

#include "tests/sim/chaos.h"
#include "tests/sim/net.h"
#include "tests/sim/observer.h"
#include "tests/sim/shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_AGAIN_US  (1 * SECOND)
#define CALM_AFTER_US (13 * SECOND)
#define WISHES_MOST   (EXECUTIONS_MOST + CALM_STARTS)

enum wish_state { WISH_NONE, WISH_ASKED, WISH_ANSWERED };

struct wish {
    uint8_t workflow;
    enum wish_state start, cancel;
    struct uuid execution;
    bool cut; /* from whoever holds a task of it, when its cancel was asked */
};

struct clients {
    struct proc proc;
    struct wish wishes[WISHES_MOST];
    size_t count, answered;
};

/* A correlation says which wish, and what of it. */
static uint64_t correlation_of(size_t index, bool cancel)
{
    return 2 * index + cancel + 1;
}

static void ask_start(struct world *world, void *context, uint64_t index);

static void send_start(struct clients *self, size_t index)
{
    char key[24];
    const struct wish *wish = &self->wishes[index];
    struct wire_body body = {.kind = WIRE_REQUEST,
                             .request = {.method = METHOD_START, .idempotency_key = key}};
    (void)snprintf(key, sizeof key, "%zu", index + 1);
    net_send(&self->proc, SHELL_NAME, correlation_of(index, false), &body,
             bytes_of(&wish->workflow, 1));
}

static void ask_start(struct world *world, void *context, uint64_t index)
{
    struct clients *self = context;
    struct wish *wish = &self->wishes[index];
    if (wish->start == WISH_ANSWERED)
        return;
    wish->start = WISH_ASKED;
    send_start(self, index);
    world_at(world, world->now_us + ASK_AGAIN_US, ask_start, self, index);
}

static void ask_cancel(struct world *world, void *context, uint64_t index)
{
    struct clients *self = context;
    struct wish *wish = &self->wishes[index];
    struct wire_body body = {.kind = WIRE_REQUEST, .request = {.method = METHOD_CANCEL}};
    if (wish->cancel == WISH_ANSWERED)
        return;
    if (!wish->cut && chaos_before_cancel(world, wish->execution)) {
        wish->cut = true;
        person_misses(world, wish->execution);
    }
    net_send(&self->proc, SHELL_NAME, correlation_of(index, true), &body,
             bytes_of(wish->execution.bytes, sizeof wish->execution.bytes));
    world_at(world, world->now_us + ASK_AGAIN_US, ask_cancel, self, index);
}

static void take_start(struct clients *self, size_t index, const struct wire_reply *reply,
                       struct uuid execution)
{
    struct world *world = self->proc.world;
    struct wish *wish = &self->wishes[index];
    if (*reply->error)
        return; /* no room: the next time will do */
    observer_start_answered(world, execution);
    if (wish->start == WISH_ANSWERED) {
        if (!uuid_equal(wish->execution, execution))
            world_fail(world, 1, "one key was answered with two executions");
        return;
    }
    wish->start = WISH_ANSWERED;
    wish->execution = execution;
    self->answered++;
    if (world->calm || !prng_chance(&world->prng, world->plan->cancel_permille))
        return;
    wish->cancel = WISH_ASKED;
    self->answered--;
    world_at(world, world->now_us + prng_skewed(&world->prng, 0, 10 * SECOND), ask_cancel, self,
             index);
}

static void take_cancel(struct clients *self, size_t index, const struct wire_reply *reply)
{
    struct wish *wish = &self->wishes[index];
    bool gone = strcmp(reply->error, "not_found") == 0 || strcmp(reply->error, "conflict") == 0;
    if (wish->cancel == WISH_ANSWERED || (*reply->error && !gone))
        return;
    wish->cancel = WISH_ANSWERED;
    self->answered++;
    observer_cancel_answered(self->proc.world, wish->execution);
}

static void receive(struct clients *self, const struct sim_message *message)
{
    struct arena arena = {0};
    struct wire_body body;
    struct uuid execution;
    struct err err;
    size_t index = (size_t)(message->correlation - 1) / 2;
    if (message->kind == WIRE_REPLY &&
        wire_decode_body(&arena, WIRE_REPLY, buf_bytes(&message->body), &body, &err) == 0) {
        memcpy(execution.bytes, message->payload.data, sizeof execution.bytes);
        if (message->correlation % 2 == 1)
            take_start(self, index, &body.reply, execution);
        else
            take_cancel(self, index, &body.reply);
    }
    arena_release(&arena);
}

static void round_of(struct proc *proc)
{
    struct sim_message *message;
    while ((message = proc_take(proc))) {
        receive((struct clients *)proc, message);
        sim_message_free(&message);
    }
}

static void die(struct proc *proc)
{
    (void)proc;
}

static void wish_for(struct clients *self, int64_t at_us)
{
    struct world *world = self->proc.world;
    CHECK(self->count < WISHES_MOST);
    self->wishes[self->count] = (struct wish){
        .workflow = (uint8_t)prng_between(&world->prng, 0, world->plan->workflows_count - 1)};
    size_t index = self->count++;
    bool cut = world->plan->workflows[self->wishes[index].workflow].gone ||
               world->plan->no_execution[index];
    if (cut) {
        self->wishes[index].start = WISH_ANSWERED;
        self->answered++;
    } else {
        world_at(world, at_us, ask_start, self, index);
    }
}

struct clients *clients_new(struct world *world)
{
    struct clients *self = xcalloc(1, sizeof *self);
    self->proc = (struct proc){.world = world, .name = "client:1", .round = round_of, .die = die};
    net_join(world, &self->proc);
    proc_start(&self->proc);
    for (uint32_t i = 0; i < world->plan->executions; i++)
        wish_for(self, world->now_us + prng_between(&world->prng, 0, world->plan->faults_us));
    for (uint32_t i = 0; i < CALM_STARTS; i++)
        wish_for(self, world->calm_us + CALM_AFTER_US);
    return self;
}

void clients_destroy(struct clients **self_p)
{
    struct clients *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    proc_stop(&self->proc);
    free(self);
}

bool clients_done(const struct world *world)
{
    return world->clients->answered == world->clients->count;
}
