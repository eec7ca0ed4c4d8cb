#include "coordinator/link_items.h"
#include "tests/sim/egress.h"
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
    if (entry->egress) {
        input = (struct input){.kind = INPUT_EGRESS_DOWN, .egress_down = {entry->handle}};
        observer_egress_lost(self->world, egresses_find(self->world, entry->address));
    }
    TRACE(self->world, "coordinator: the link of %s ends: %s", entry->address, reason);
    if (strcmp(reason, "silence") == 0)
        observer_given_up(self->world, entry->address);
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
    entry->egress = strcmp(hello->role, "egress") == 0;
    entry->link = link_new_coordinator((struct wire_link_id){self->epoch, entry->handle}, hello,
                                       self->mono_us, send_body, entry);
    return entry;
}

static void welcome_egress(struct shell *self, struct entry *entry)
{
    TRACE(self->world, "coordinator: welcome %s, link %llu.%llu", entry->address,
          (unsigned long long)self->epoch, (unsigned long long)entry->handle);
    link_welcome(entry->link, NULL, 0, self->mono_us);
    make_dirty(self, entry);
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
    if (entry->egress) /* which there are no verdicts for: it may hear at once */
        welcome_egress(self, entry);
    struct input input =
        entry->egress
            ? link_egress_up(hello, entry->address, entry->handle, old_handle, &self->arena)
            : link_instance_up(hello, entry->address, entry->handle, old_handle, &self->arena);
    if (old_handle && entry->egress)
        observer_egress_lost(self->world, egresses_find(self->world, from));
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

static void trace_item(const struct shell *self, const struct entry *entry,
                       const struct wire_item *item)
{
    const struct wire_step *step = &item->step;
    if (item->kind == WIRE_ITEM_STEP)
        TRACE(self->world, "coordinator: step %u of %s %s, run %llu.%llu, from %s", step->number,
              sim_uuid(step->execution), step->path, (unsigned long long)step->run.epoch,
              (unsigned long long)step->run.counter, entry->address);
    else if (item->kind == WIRE_ITEM_DELEGATE)
        TRACE(self->world, "coordinator: %s %s delegates to %s, turn %u, call %u, from %s",
              sim_uuid(item->delegate.execution), item->delegate.path, item->delegate.agent,
              item->delegate.turn, item->delegate.call, entry->address);
    else if (item->kind == WIRE_ITEM_TOOL_CALL)
        TRACE(self->world, "coordinator: %s %s calls %s, turn %u, call %u, from %s",
              sim_uuid(item->tool_call.execution), item->tool_call.path, item->tool_call.tool,
              item->tool_call.turn, item->tool_call.call, entry->address);
}

static void receive_item(struct shell *self, struct entry *entry, const struct wire_item *item)
{
    struct input input;
    if (entry->egress || !link_input_of(item, entry->handle, entry->address, entry->agent, &input))
        return;
    trace_item(self, entry, item);
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
        receive_item(self, entry, &items.items[i]);
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
    struct arena arena = {0};
    if (!entry)
        return;
    const struct wire_verdict *verdicts = link_verdicts(welcome, &arena);
    for (size_t i = 0; i < welcome->count; i++)
        observer_judged(self->world, entry->address, &verdicts[i]);
    TRACE(self->world, "coordinator: welcome %s, link %llu.%llu", entry->address,
          (unsigned long long)self->epoch, (unsigned long long)entry->handle);
    link_welcome(entry->link, verdicts, welcome->count, self->mono_us);
    arena_release(&arena);
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

static void trace_told(const struct shell *self, const char *address, const struct wire_item *item)
{
    const struct wire_drop *drop = &item->drop;
    const struct wire_call_key *key =
        item->kind == WIRE_ITEM_GRANT ? &item->grant.key : &item->forget.key;
    if (item->kind == WIRE_ITEM_DROP)
        TRACE(self->world, "coordinator: %s is to drop %s %s, run %llu.%llu: %s", address,
              sim_uuid(drop->execution), drop->path, (unsigned long long)drop->run.epoch,
              (unsigned long long)drop->run.counter, drop->reason);
    else if (item->kind == WIRE_ITEM_GRANT || item->kind == WIRE_ITEM_FORGET)
        TRACE(self->world, "coordinator: %s %s turn %u of %s %s, attempt %u", address,
              item->kind == WIRE_ITEM_GRANT ? "may answer" : "is to forget", key->turn,
              sim_uuid(key->execution), key->path, key->attempt);
}

static void release_item(struct shell *self, const struct stamp *stamp, const struct effect *effect)
{
    struct arena arena = {0};
    struct wire_item item;
    uint64_t handle;
    struct entry *entry =
        link_item_of(effect, &arena, &item, &handle) ? gather(self, handle) : NULL;
    if (entry) {
        if (item.kind == WIRE_ITEM_DISPATCH)
            observer_dispatched(self->world, entry->address, &item.dispatch, stamp->sequence,
                                stamp->stopped);
        else
            observer_told(self->world, entry->address, &item);
        trace_told(self, entry->address, &item);
        wire_append_item(&item, &entry->items);
    }
    arena_release(&arena);
}

bool links_early(const struct shell *self, const struct effect *effect)
{
    switch (self->world->fault) {
    case FAULT_DISPATCH_EARLY: return true;
    case FAULT_GRANT_EARLY: return effect->kind == EFFECT_GRANT;
    case FAULT_FORGET_EARLY: return effect->kind == EFFECT_FORGET;
    default: return false;
    }
}

void links_effect(struct shell *self, const struct stamp *stamp, const struct effect *effect)
{
    if (effect->kind == EFFECT_WELCOME)
        release_welcome(self, &effect->welcome);
    else
        release_item(self, stamp, effect);
}

static void flush(struct shell *self, struct entry *entry)
{
    entry->dirty = false;
    if (entry->items_count > 0 && !send_items(self, entry))
        return;
    if (self->world->fault != FAULT_NO_FLUSH)
        link_flush(entry->link, self->mono_us);
    link_set_busy(entry->link,
                  entry->egress || engine_instance_tasks(self->engine, entry->handle) > 0,
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
