#include "tests/sim/net.h"
#include "tests/sim/observer.h"
#include "tests/sim/plan.h"
#include "tests/sim/shell_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry *links_find(struct shell *self, uint64_t handle)
{
    struct entry *entry = self->entries;
    while (entry && entry->handle != handle)
        entry = entry->next;
    return entry;
}

static struct entry *find_address(struct shell *self, const char *address)
{
    struct entry *entry = self->entries;
    while (entry && strcmp(entry->address, address) != 0)
        entry = entry->next;
    return entry;
}

static void send_body(void *context, const struct wire_body *body)
{
    struct entry *entry = context;
    net_send(&entry->shell->proc, entry->address, 0, body, (struct bytes){0});
}

static void make_dirty(struct shell *self, struct entry *entry)
{
    if (entry->dirty)
        return;
    CHECK(self->dirty_count < sizeof self->dirty / sizeof self->dirty[0]);
    self->dirty[self->dirty_count++] = entry->handle;
    entry->dirty = true;
}

/* --- opening and ending ----------------------------------------------------------------------- */

static void forget_entry(struct shell *self, struct entry *entry)
{
    struct entry **link = &self->entries;
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    link_destroy(&entry->link);
    buf_release(&entry->items);
    free(entry);
}

void links_release(struct shell *self)
{
    while (self->entries)
        forget_entry(self, self->entries);
    self->dirty_count = 0;
}

static void decide(struct shell *self, struct input *input)
{
    struct err err;
    if (shell_decide(self, input, &err))
        world_fail(self->world, 0, "the engine refuses an input of kind %d: %s", (int)input->kind,
                   err.what);
}

static void end(struct shell *self, struct entry *entry, const char *reason)
{
    struct input input = {.kind = INPUT_INSTANCE_DOWN,
                          .down = {.handle = entry->handle, .reason = reason}};
    TRACE(self->world, "coordinator: the link of %s ends: %s", entry->address, reason);
    decide(self, &input);
    forget_entry(self, entry);
}

static struct entry *open_link(struct shell *self, const char *address,
                               const struct wire_hello *hello)
{
    struct entry *entry = xcalloc(1, sizeof *entry);
    struct entry **link = &self->entries;
    while (*link)
        link = &(*link)->next;
    *link = entry;
    entry->shell = self;
    entry->handle = ++self->handles;
    (void)snprintf(entry->address, sizeof entry->address, "%s", address);
    (void)snprintf(entry->agent, sizeof entry->agent, "%s", hello->agent);
    entry->link = link_new_coordinator((struct wire_link_id){self->epoch, entry->handle}, hello,
                                       self->mono_us, send_body, entry);
    return entry;
}

static const struct claim *read_inventory(struct shell *self, const struct wire_hello *hello)
{
    struct claim *claims = arena_alloc(&self->arena, (hello->inventory_count + 1) * sizeof *claims);
    for (size_t i = 0; i < hello->inventory_count; i++) {
        const struct wire_claim *from = &hello->inventory[i];
        claims[i] = (struct claim){.execution = from->execution,
                                   .path = from->path,
                                   .run = {from->run.epoch, from->run.counter},
                                   .acknowledged_step = from->acknowledged_step,
                                   .unacknowledged_steps = from->unacknowledged_steps,
                                   .unacknowledged_count = from->unacknowledged_count};
    }
    return claims;
}

static bool boot_is_over(const struct shell *self, const char *address, uint64_t boot)
{
    for (size_t i = 0; i < self->dead_boots_count; i++)
        if (strcmp(self->dead_boots[i].address, address) == 0)
            return boot <= self->dead_boots[i].boot;
    return false;
}

static void receive_hello(struct shell *self, const char *from, const struct wire_hello *hello)
{
    struct entry *old = find_address(self, from);
    if (boot_is_over(self, from, hello->boot))
        return;
    if (old && link_receive_hello(old->link, hello, self->mono_us) != LINK_HELLO_NEW)
        return;
    uint64_t old_handle = old ? old->handle : 0;
    if (old)
        forget_entry(self, old);
    struct entry *entry = open_link(self, from, hello);
    struct input input = {.kind = INPUT_INSTANCE_UP,
                          .up = {.handle = entry->handle,
                                 .old_handle = old_handle,
                                 .instance = entry->address,
                                 .agent = entry->agent,
                                 .credit = hello->credit,
                                 .claims = read_inventory(self, hello),
                                 .claims_count = hello->inventory_count}};
    decide(self, &input);
    if (old_handle && engine_instance_tasks(self->engine, old_handle) > 0)
        world_fail(self->world, 1, "%s said hello, but still holds tasks under its old link", from);
}

void links_ended(struct shell *self, const struct shell_ended *ended)
{
    size_t i = 0;
    while (i < self->dead_boots_count && strcmp(self->dead_boots[i].address, ended->address) != 0)
        i++;
    CHECK(i < sizeof self->dead_boots / sizeof self->dead_boots[0]);
    if (i == self->dead_boots_count)
        self->dead_boots[self->dead_boots_count++] = (struct dead_boot){0};
    if (ended->boot > self->dead_boots[i].boot) {
        memcpy(self->dead_boots[i].address, ended->address, sizeof ended->address);
        self->dead_boots[i].boot = ended->boot;
    }
    struct entry *entry = find_address(self, ended->address);
    if (entry && link_boot(entry->link) <= ended->boot)
        end(self, entry, "exited");
}

/* --- receiving -------------------------------------------------------------------------------- */

static void receive_step(struct shell *self, struct entry *entry, const struct wire_step *step)
{
    struct input input = {.kind = INPUT_STEP,
                          .step = {.handle = entry->handle,
                                   .execution = step->execution,
                                   .step = {.path = step->path,
                                            .attempt = step->attempt,
                                            .run = {step->run.epoch, step->run.counter},
                                            .instance = entry->address,
                                            .number = step->number,
                                            .kind = (enum step_kind)step->kind,
                                            .queued_us = step->queued_us,
                                            .started_us = step->started_us,
                                            .ended_us = step->ended_us,
                                            .output = step->output,
                                            .agent = entry->agent}}};
    if (step->kind == WIRE_STEP_FAILURE)
        input.step.step.failure = (struct failure){.code = step->failure.code,
                                                   .message = step->failure.message,
                                                   .detail = step->failure.detail,
                                                   .permanent = step->failure.permanent};
    TRACE(self->world, "coordinator: step %u of %s %s, run %llu.%llu, from %s", step->number,
          sim_uuid(step->execution), step->path, (unsigned long long)step->run.epoch,
          (unsigned long long)step->run.counter, entry->address);
    decide(self, &input);
}

static void receive_items(struct shell *self, struct entry *entry, struct bytes bytes)
{
    struct wire_items items;
    struct err err;
    shell_acknowledge(self, entry);
    if (wire_decode_items(&self->arena, bytes, &items, &err)) {
        world_fail(self->world, 0, "items of a link can't be read: %s", err.what);
        return;
    }
    for (size_t i = 0; i < items.count; i++)
        if (items.items[i].kind == WIRE_ITEM_STEP)
            receive_step(self, entry, &items.items[i].step);
    if (items.has_credit) {
        struct input input = {.kind = INPUT_CREDIT,
                              .credit = {.handle = entry->handle,
                                         .credit = items.credit,
                                         .draining = items.draining}};
        decide(self, &input);
    }
    make_dirty(self, entry);
    if (self->world->fault == FAULT_ACKNOWLEDGE_EARLY) {
        link_commit(entry->link, link_received(entry->link));
        link_flush(entry->link, self->mono_us);
    }
}

static void answer_unknown(struct shell *self, const char *from, struct wire_link_id id)
{
    struct wire_body body = {.kind = WIRE_LINK_RESET,
                             .reset = {.link = id, .reason = "unknown link"}};
    net_send(&self->proc, from, 0, &body, (struct bytes){0});
}

static void receive_body(struct shell *self, const char *from, const struct wire_body *body)
{
    bool frame = body->kind == WIRE_LINK_FRAME;
    struct wire_link_id id = frame ? body->frame.link : body->reset.link;
    struct entry *entry = find_address(self, from);
    struct bytes items;
    if (!entry || id.epoch != link_id(entry->link).epoch ||
        id.counter != link_id(entry->link).counter) {
        if (frame)
            answer_unknown(self, from, id);
        return;
    }
    switch (link_receive(entry->link, body, self->mono_us, &items)) {
    case LINK_ITEMS: receive_items(self, entry, items); break;
    case LINK_RESTART: end(self, entry, "reset"); break;
    case LINK_ENDED: end(self, entry, body->kind == WIRE_LINK_BYE ? "bye" : "reset"); break;
    case LINK_NOTHING:
    case LINK_WELCOMED: break;
    }
}

void links_receive(struct shell *self, const struct sim_message *message,
                   const struct wire_body *body)
{
    if (body->kind == WIRE_LINK_HELLO)
        receive_hello(self, message->from, &body->hello);
    else
        receive_body(self, message->from, body);
}

/* --- time ------------------------------------------------------------------------------------- */

void links_tick(struct shell *self)
{
    struct entry *next = NULL;
    for (struct entry *entry = self->entries; entry; entry = next) {
        next = entry->next;
        if (link_deadline(entry->link) > self->mono_us)
            continue;
        if (link_tick(entry->link, self->mono_us) != LINK_NOTHING)
            end(self, entry, "silence");
    }
}

int64_t links_deadline(const struct shell *self)
{
    int64_t least_us = INT64_MAX;
    for (const struct entry *entry = self->entries; entry; entry = entry->next)
        if (link_deadline(entry->link) < least_us)
            least_us = link_deadline(entry->link);
    return least_us;
}

/* --- releasing -------------------------------------------------------------------------------- */

void links_commit(struct shell *self, uint64_t handle, uint64_t sequence)
{
    struct entry *entry = links_find(self, handle);
    if (!entry)
        return;
    link_commit(entry->link, sequence);
    make_dirty(self, entry);
}

static void release_welcome(struct shell *self, const struct effect_welcome *welcome)
{
    struct entry *entry = links_find(self, welcome->handle);
    if (!entry)
        return;
    struct wire_verdict *verdicts = xcalloc(welcome->count + 1, sizeof *verdicts);
    for (size_t i = 0; i < welcome->count; i++) {
        const struct verdict *from = &welcome->verdicts[i];
        verdicts[i] = (struct wire_verdict){.execution = from->execution,
                                            .path = from->path,
                                            .run = {from->run.epoch, from->run.counter},
                                            .keep = from->keep,
                                            .journaled_step = from->journaled_step};
        observer_judged(self->world, entry->address, &verdicts[i]);
    }
    TRACE(self->world, "coordinator: welcome %s, link %llu.%llu", entry->address,
          (unsigned long long)self->epoch, (unsigned long long)entry->handle);
    link_welcome(entry->link, verdicts, welcome->count, self->mono_us);
    free(verdicts);
    make_dirty(self, entry);
}

static bool send_items(struct shell *self, struct entry *entry)
{
    int r = link_send(entry->link, buf_bytes(&entry->items), self->mono_us, NULL);
    buf_clear(&entry->items);
    entry->items_count = 0;
    if (r == 0)
        return true;
    end(self, entry, "overloaded");
    return false;
}

static struct entry *gather(struct shell *self, uint64_t handle)
{
    struct entry *entry = links_find(self, handle);
    if (!entry)
        return NULL;
    if (entry->items_count >= LIMIT_LINK_ITEMS && !send_items(self, entry))
        return NULL;
    entry->items_count++;
    make_dirty(self, entry);
    return entry;
}

static void release_dispatch(struct shell *self, const struct stamp *stamp,
                             const struct effect_dispatch *dispatch)
{
    struct entry *entry = gather(self, dispatch->handle);
    if (!entry)
        return;
    struct wire_item item = {.kind = WIRE_ITEM_DISPATCH,
                             .dispatch = {.execution = dispatch->execution,
                                          .path = dispatch->path,
                                          .attempt = dispatch->attempt,
                                          .run = {dispatch->run.epoch, dispatch->run.counter},
                                          .journaled_step = dispatch->journaled_step,
                                          .agent = dispatch->agent,
                                          .agent_version = dispatch->agent_version,
                                          .message = dispatch->message,
                                          .timeout_us = (uint64_t)dispatch->timeout_us,
                                          .deadline_us = dispatch->deadline_us,
                                          .workflow = dispatch->workflow,
                                          .queued_us = dispatch->queued_us}};
    observer_dispatched(self->world, entry->address, &item.dispatch, stamp->sequence,
                        stamp->stopped);
    wire_append_item(&item, &entry->items);
}

static void release_drop(struct shell *self, const struct effect_drop *drop)
{
    struct entry *entry = gather(self, drop->handle);
    if (!entry)
        return;
    struct wire_item item = {.kind = WIRE_ITEM_DROP,
                             .drop = {.execution = drop->execution,
                                      .path = drop->path,
                                      .run = {drop->run.epoch, drop->run.counter},
                                      .reason = drop->reason}};
    TRACE(self->world, "coordinator: %s is to drop %s %s, run %llu.%llu: %s", entry->address,
          sim_uuid(drop->execution), drop->path, (unsigned long long)drop->run.epoch,
          (unsigned long long)drop->run.counter, drop->reason);
    wire_append_item(&item, &entry->items);
}

void links_effect(struct shell *self, const struct stamp *stamp, const struct effect *effect)
{
    switch (effect->kind) {
    case EFFECT_WELCOME: release_welcome(self, &effect->welcome); break;
    case EFFECT_DISPATCH: release_dispatch(self, stamp, &effect->dispatch); break;
    case EFFECT_DROP: release_drop(self, &effect->drop); break;
    default: break;
    }
}

static void flush(struct shell *self, struct entry *entry)
{
    entry->dirty = false;
    if (entry->items_count > 0 && !send_items(self, entry))
        return;
    if (self->world->fault != FAULT_NO_FLUSH)
        link_flush(entry->link, self->mono_us);
    link_set_busy(entry->link, engine_instance_tasks(self->engine, entry->handle) > 0,
                  self->mono_us);
}

void links_flush(struct shell *self)
{
    for (size_t i = 0; i < self->dirty_count; i++) {
        struct entry *entry = links_find(self, self->dirty[i]);
        if (entry)
            flush(self, entry);
    }
    self->dirty_count = 0;
}
