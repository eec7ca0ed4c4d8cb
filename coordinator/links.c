#include "coordinator/links.h"

#include "base/log.h"
#include "base/map.h"
#include "coordinator/catalog.h"
#include "coordinator/fleet.h"
#include "coordinator/link_items.h"
#include "coordinator/pipeline.h"
#include "coordinator/publisher.h"
#include "coordinator/steps.h"
#include "coordinator/timers.h"
#include "proto/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INSTANCE_PREFIX "instance:"
#define HOST_PREFIX     "host:"
#define EGRESS_PREFIX   "egress:"

struct entry {
    struct timer timer; /* first, so that a timer that is due leads back to its entry */
    struct coordinator *coordinator;
    link_t *link;
    uint64_t handle;
    enum link_role role;
    char *address, *agent, *host, *program;
    const char *id; /* within address */
    uint32_t pid;
    int64_t since_us;
    bool draining;
    uint64_t batch;    /* the last one that it takes part in */
    bool dirty;        /* in the list to be flushed */
    const char *muted; /* why it is to end at muted_until_us; NULL: it is not */
    int64_t muted_until_us;
    struct buf items;
    uint32_t items_count;
};

struct links {
    map_t *by_address, *by_handle;
    struct timers timers;
    uint64_t handles;
    uint64_t *dirty; /* handles */
    size_t dirty_count, dirty_capacity;
    size_t counts[LINK_ROLES];
    struct arena arena; /* of one item or welcome */
    map_t *dead_boots;  /* address -> struct dead_boot */
};

struct dead_boot {
    uint64_t boot;
};

struct links *links_new(void)
{
    struct links *self = xcalloc(1, sizeof *self);
    self->by_address = map_new();
    self->by_handle = map_new();
    self->dead_boots = map_new();
    return self;
}

static void entry_destroy(struct entry *entry)
{
    link_destroy(&entry->link);
    free(entry->address);
    free(entry->agent);
    free(entry->host);
    free(entry->program);
    buf_release(&entry->items);
    free(entry);
}

void links_destroy(struct links **self_p)
{
    struct links *self = *self_p;
    if (self == NULL)
        return;
    void *item;
    for (size_t position = 0; (item = map_next(self->by_handle, &position, NULL)) != NULL;)
        entry_destroy(item);
    for (size_t position = 0; (item = map_next(self->dead_boots, &position, NULL)) != NULL;)
        free(item);
    map_destroy(&self->by_address);
    map_destroy(&self->by_handle);
    map_destroy(&self->dead_boots);
    timers_release(&self->timers);
    arena_release(&self->arena);
    free(self->dirty);
    free(self);
    *self_p = NULL;
}

static struct entry *find(const struct links *self, uint64_t handle)
{
    return map_get(self->by_handle, &handle, sizeof handle);
}

static struct entry *find_address(const struct links *self, const char *address)
{
    return map_get(self->by_address, address, strlen(address));
}

/* A link's messages. What the socket does not take is lost here and sent again by the link. */
static void send_body(void *context, const struct wire_body *body)
{
    struct entry *entry = context;
    struct coordinator *coordinator = entry->coordinator;
    struct wire_route route = {.kind = body->kind, .to = entry->address};
    if (peer_send(coordinator->peer, &route, body, (struct bytes){0}, NULL) < 0)
        coordinator->counters.unsent++;
}

static int64_t deadline_of(const struct entry *entry)
{
    return entry->muted != NULL ? entry->muted_until_us : link_deadline(entry->link);
}

static void reschedule(struct links *self, struct entry *entry)
{
    timers_set(&self->timers, &entry->timer, deadline_of(entry));
}

static void make_dirty(struct links *self, struct entry *entry)
{
    if (entry->dirty)
        return;
    if (self->dirty_count == self->dirty_capacity) {
        self->dirty_capacity = self->dirty_capacity == 0 ? 64 : 2 * self->dirty_capacity;
        self->dirty = xrealloc(self->dirty, self->dirty_capacity * sizeof(*self->dirty));
    }
    self->dirty[self->dirty_count++] = entry->handle;
    entry->dirty = true;
}

/* --- opening and ending ----------------------------------------------------------------------- */

static void forget_entry(struct coordinator *self, struct entry *entry)
{
    struct links *links = self->links;
    if (find_address(links, entry->address) == entry)
        map_remove(links->by_address, entry->address, strlen(entry->address));
    map_remove(links->by_handle, &entry->handle, sizeof entry->handle);
    timers_unset(&links->timers, &entry->timer);
    links->counts[entry->role]--;
    entry_destroy(entry);
}

static void end_instance(struct coordinator *self, struct entry *entry, const char *reason)
{
    struct input input = {.kind = INPUT_INSTANCE_DOWN,
                          .down = {.handle = entry->handle, .reason = reason}};
    struct err err;
    if (pipeline_decide(self, &input, &err) < 0)
        log_error("COORD-INPUT-REFUSED", err.what, "input", "instance down", NULL);
    publisher_instance(self, false, entry->id, entry->agent, entry->host, reason);
}

static void decide(struct coordinator *self, struct input *input, const char *what)
{
    struct err err;
    if (pipeline_decide(self, input, &err) < 0)
        log_error("COORD-INPUT-REFUSED", err.what, "input", what, NULL);
}

static void end_egress(struct coordinator *self, const struct entry *entry)
{
    struct input input = {.kind = INPUT_EGRESS_DOWN, .egress_down = {.handle = entry->handle}};
    decide(self, &input, "egress down");
}

static void end(struct coordinator *self, struct entry *entry, const char *reason)
{
    log_info("COORD-LINK-ENDED", "a link ended", "peer", entry->address, "reason", reason, NULL);
    switch (entry->role) {
    case LINK_INSTANCE: end_instance(self, entry, reason); break;
    case LINK_HOST: fleet_host_down(self, entry->handle); break;
    case LINK_EGRESS: end_egress(self, entry); break;
    }
    fleet_wake(self);
    forget_entry(self, entry);
}

/* Ends the link of a peer that lives, and may be at work under its lease: nothing is sent to it or
 * taken from it any more, so that the lease runs out, and only then its tasks are anybody else's.
 * Its hello is heard all the same, for that says what it still holds. */
static void mute(struct coordinator *self, struct entry *entry, const char *reason)
{
    struct err err;
    struct input input = {.kind = INPUT_CREDIT,
                          .credit = {.handle = entry->handle, .draining = true}};
    if (entry->role != LINK_INSTANCE) {
        end(self, entry, reason);
        return;
    }
    log_warn("COORD-LINK-MUTED", "a link is to end", "peer", entry->address, "reason", reason,
             NULL);
    entry->muted = reason;
    entry->muted_until_us = self->mono_us + LIMIT_SILENCE_US;
    entry->draining = true;
    buf_clear(&entry->items);
    entry->items_count = 0;
    reschedule(self->links, entry);
    if (pipeline_decide(self, &input, &err) < 0)
        log_error("COORD-INPUT-REFUSED", err.what, "input", "credit", NULL);
}

static struct entry *open_link(struct coordinator *self, const char *address,
                               const struct wire_hello *hello, enum link_role role)
{
    struct links *links = self->links;
    struct entry *entry = xcalloc(1, sizeof *entry);

    entry->coordinator = self;
    entry->handle = ++links->handles;
    entry->role = role;
    entry->address = xstrdup(address);
    entry->id = strchr(entry->address, ':') + 1;
    entry->agent = xstrdup(hello->agent);
    entry->host = xstrdup(hello->host);
    entry->program = xstrdup(hello->program);
    entry->pid = hello->pid;
    entry->since_us = self->utc_us;
    entry->link = link_new_coordinator((struct wire_link_id){self->epoch, entry->handle}, hello,
                                       self->mono_us, send_body, entry);
    map_put(links->by_address, address, strlen(address), entry);
    map_put(links->by_handle, &entry->handle, sizeof entry->handle, entry);
    links->counts[role]++;
    reschedule(links, entry);
    return entry;
}

static void open_instance(struct coordinator *self, struct message *message,
                          const struct wire_hello *hello, uint64_t old_handle)
{
    struct entry *entry = open_link(self, message->route.from, hello, LINK_INSTANCE);
    struct input input =
        link_instance_up(hello, entry->id, entry->handle, old_handle, &message->arena);
    decide(self, &input, "instance up");
    publisher_instance(self, true, entry->id, entry->agent, entry->host, "");
    fleet_wake(self);
}

/* What it is to be told rests on commits, as its grants do; its welcome does not. */
static void open_egress(struct coordinator *self, struct message *message,
                        const struct wire_hello *hello, uint64_t old_handle)
{
    struct entry *entry = open_link(self, message->route.from, hello, LINK_EGRESS);
    link_welcome(entry->link, NULL, 0, self->mono_us);
    struct input input =
        link_egress_up(hello, entry->address, entry->handle, old_handle, &message->arena);
    decide(self, &input, "egress up");
    log_info("COORD-EGRESS-UP", "an egress is there", "peer", entry->address, NULL);
}

/* A host's link touches no journal, and the epoch is committed: its welcome need not wait. */
static void open_host(struct coordinator *self, struct message *message,
                      const struct wire_hello *hello, uint64_t old_handle)
{
    if (old_handle != 0)
        fleet_host_down(self, old_handle);
    struct entry *entry = open_link(self, message->route.from, hello, LINK_HOST);
    link_welcome(entry->link, NULL, 0, self->mono_us);
    fleet_host_up(self, entry->handle, entry->id);
    fleet_wake(self);
}

static void refuse(struct coordinator *self, struct message *message, const char *why)
{
    const struct wire_hello *hello = &message->body.hello;
    struct wire_body body = {
        .kind = WIRE_LINK_WELCOME,
        .welcome = {.boot = hello->boot, .number = hello->number, .refused = why}};
    struct wire_route route = {.kind = WIRE_LINK_WELCOME, .to = message->route.from};
    self->counters.refused_hellos++;
    log_warn("COORD-HELLO-REFUSED", why, "peer", message->route.from, NULL);
    if (peer_send(self->peer, &route, &body, (struct bytes){0}, NULL) < 0)
        self->counters.unsent++;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Why this hello can't be accepted, or NULL. */
static const char *objection(struct coordinator *self, struct message *message,
                             enum link_role *ret_role)
{
    const struct wire_hello *hello = &message->body.hello;

    if (strcmp(hello->role, "host") == 0) {
        *ret_role = LINK_HOST;
        return starts_with(message->route.from, HOST_PREFIX)
                   ? NULL
                   : "a host says hello from an address \"host:ID\"";
    }
    if (strcmp(hello->role, "egress") == 0) {
        *ret_role = LINK_EGRESS;
        return starts_with(message->route.from, EGRESS_PREFIX)
                   ? NULL
                   : "an egress says hello from an address \"egress:ID\"";
    }
    *ret_role = LINK_INSTANCE;
    if (strcmp(hello->role, "instance") != 0)
        return arena_printf(&message->arena,
                            "the role \"%s\" is not known here: it is \"instance\", \"host\" or "
                            "\"egress\"",
                            hello->role);
    if (!starts_with(message->route.from, INSTANCE_PREFIX))
        return "an instance says hello from an address \"instance:ID\"";
    if (!catalog_has(self, DEFINITION_AGENT, hello->agent))
        return arena_printf(&message->arena, "there is no agent \"%s\": apply its definition first",
                            hello->agent);
    return NULL;
}

static bool boot_is_over(const struct links *self, const char *address, uint64_t boot)
{
    const struct dead_boot *dead = map_get(self->dead_boots, address, strlen(address));
    return dead != NULL && boot <= dead->boot;
}

/* Takes the place of the entry that had this address: its handle ends, its tasks are the engine's
 * to judge. Returns the old handle. */
static uint64_t replace(struct coordinator *self, struct entry *old)
{
    uint64_t handle = old->handle;
    forget_entry(self, old);
    return handle;
}

static void receive_hello(struct coordinator *self, struct message *message)
{
    const struct wire_hello *hello = &message->body.hello;
    struct entry *old = find_address(self->links, message->route.from);
    enum link_role role;

    if (boot_is_over(self->links, message->route.from, hello->boot))
        return;
    const char *why = objection(self, message, &role);
    if (why != NULL) {
        refuse(self, message, why);
        return;
    }
    if (old != NULL) {
        enum link_hello_verdict verdict = link_receive_hello(old->link, hello, self->mono_us);
        reschedule(self->links, old);
        if (verdict != LINK_HELLO_NEW)
            return;
    }
    uint64_t old_handle = old == NULL ? 0 : replace(self, old);
    switch (role) {
    case LINK_INSTANCE: open_instance(self, message, hello, old_handle); break;
    case LINK_HOST: open_host(self, message, hello, old_handle); break;
    case LINK_EGRESS: open_egress(self, message, hello, old_handle); break;
    }
}

static void note_dead_boot(struct links *self, const char *address, uint64_t boot)
{
    struct dead_boot *dead = map_get(self->dead_boots, address, strlen(address));
    if (dead == NULL) {
        dead = xcalloc(1, sizeof *dead);
        map_put(self->dead_boots, address, strlen(address), dead);
    }
    if (boot > dead->boot)
        dead->boot = boot;
    if (map_size(self->dead_boots) > LIMIT_DEAD_BOOTS) {
        size_t position = 0;
        struct bytes key;
        void *oldest = map_next(self->dead_boots, &position, &key);
        map_remove(self->dead_boots, key.data, key.size);
        free(oldest);
    }
}

void links_process_over(struct coordinator *self, const char *instance, uint64_t boot)
{
    char address[LIMIT_ADDRESS_BYTES + 1];
    if (boot == 0 ||
        snprintf(address, sizeof address, "%s%s", INSTANCE_PREFIX, instance) >= (int)sizeof address)
        return;
    note_dead_boot(self->links, address, boot);
    struct entry *entry = find_address(self->links, address);
    if (entry != NULL && link_boot(entry->link) <= boot)
        end(self, entry, "exited");
}

/* --- receiving -------------------------------------------------------------------------------- */

static void receive_process(struct coordinator *self, const struct entry *entry,
                            const struct wire_process *process)
{
    fleet_process(self, entry->handle, process);
    if (!process->up)
        links_process_over(self, process->instance, process->boot);
}

static void receive_credit(struct coordinator *self, struct entry *entry,
                           const struct wire_items *items)
{
    struct err err;
    struct input input = {
        .kind = INPUT_CREDIT,
        .credit = {.handle = entry->handle, .credit = items->credit, .draining = items->draining}};
    entry->draining = items->draining;
    if (pipeline_decide(self, &input, &err) < 0)
        log_error("COORD-INPUT-REFUSED", err.what, "input", "credit", NULL);
}

static void receive_item(struct coordinator *self, const struct entry *entry,
                         const struct wire_item *item)
{
    struct input input;
    if (entry->role == LINK_INSTANCE &&
        link_input_of(item, entry->handle, entry->id, entry->agent, &input))
        steps_receive(self, &input);
    else if (item->kind == WIRE_ITEM_PROCESS && entry->role == LINK_HOST)
        receive_process(self, entry, &item->process);
    else
        self->counters.malformed++;
}

static void receive_items(struct coordinator *self, struct message *message, struct entry *entry,
                          struct bytes bytes)
{
    struct wire_items items;
    struct err err;
    uint64_t handle = entry->handle;

    pipeline_acknowledge(self, handle);
    if (wire_decode_items(&message->arena, bytes, &items, &err) < 0) {
        self->counters.malformed++;
        log_warn("COORD-ITEMS-MALFORMED", err.what, "where", err.where, "peer", entry->address,
                 NULL);
        mute(self, entry, "malformed");
        return;
    }
    for (size_t i = 0; i < items.count; i++)
        receive_item(self, entry, &items.items[i]);
    if (items.has_credit && entry->role == LINK_INSTANCE)
        receive_credit(self, entry, &items);
    make_dirty(self->links, entry);
}

/* Whoever sends under a link that is not known here is to say hello anew. */
static void answer_unknown(struct coordinator *self, const struct message *message)
{
    struct wire_body body = {.kind = WIRE_LINK_RESET,
                             .reset = {.link = message->body.frame.link, .reason = "unknown link"}};
    struct wire_route route = {.kind = WIRE_LINK_RESET, .to = message->route.from};
    if (peer_send(self->peer, &route, &body, (struct bytes){0}, NULL) < 0)
        self->counters.unsent++;
}

static bool same_link(struct wire_link_id a, struct wire_link_id b)
{
    return a.epoch == b.epoch && a.counter == b.counter;
}

static void receive_body(struct coordinator *self, struct message *message)
{
    const struct wire_body *body = &message->body;
    bool frame = body->kind == WIRE_LINK_FRAME;
    struct wire_link_id id = frame ? body->frame.link : body->reset.link;
    struct entry *entry = find_address(self->links, message->route.from);
    struct bytes items;

    if (entry == NULL || !same_link(id, link_id(entry->link))) {
        if (frame)
            answer_unknown(self, message);
        return;
    }
    if (frame && entry->muted != NULL)
        return;
    switch (link_receive(entry->link, body, self->mono_us, &items)) {
    case LINK_ITEMS: receive_items(self, message, entry, items); break;
    case LINK_RESTART: end(self, entry, "reset"); break;
    case LINK_ENDED: end(self, entry, body->kind == WIRE_LINK_BYE ? "bye" : "reset"); break;
    case LINK_NOTHING:
    case LINK_WELCOMED: break;
    }
}

void links_receive(struct coordinator *self, struct message *message)
{
    if (message->body.kind == WIRE_LINK_HELLO)
        receive_hello(self, message);
    else
        receive_body(self, message);
}

/* --- time ------------------------------------------------------------------------------------- */

/* Why it ends now, or NULL. */
static const char *tick_entry(const struct coordinator *self, struct entry *entry)
{
    if (deadline_of(entry) > self->mono_us)
        return NULL;
    if (entry->muted != NULL)
        return entry->muted;
    return link_tick(entry->link, self->mono_us) == LINK_NOTHING ? NULL : "silence";
}

void links_tick(struct coordinator *self)
{
    struct links *links = self->links;
    struct timer *due;

    while ((due = timers_due(&links->timers, self->mono_us)) != NULL) {
        struct entry *entry = (struct entry *)due;
        const char *reason = tick_entry(self, entry);
        if (reason == NULL)
            reschedule(links, entry);
        else
            end(self, entry, reason);
    }
}

int64_t links_deadline(const struct coordinator *self)
{
    return timers_next(&self->links->timers);
}

/* --- releasing -------------------------------------------------------------------------------- */

bool links_touch(struct coordinator *self, uint64_t handle, uint64_t batch)
{
    struct entry *entry = find(self->links, handle);
    if (entry == NULL || entry->batch == batch)
        return false;
    entry->batch = batch;
    return true;
}

uint64_t links_received(struct coordinator *self, uint64_t handle)
{
    struct entry *entry = find(self->links, handle);
    return entry == NULL ? 0 : link_received(entry->link);
}

void links_commit(struct coordinator *self, uint64_t handle, uint64_t sequence)
{
    struct entry *entry = find(self->links, handle);
    if (entry == NULL)
        return;
    link_commit(entry->link, sequence);
    make_dirty(self->links, entry);
}

void links_welcome(struct coordinator *self, const struct effect_welcome *welcome)
{
    struct entry *entry = find(self->links, welcome->handle);
    if (entry == NULL)
        return;
    arena_clear(&self->links->arena);
    link_welcome(entry->link, link_verdicts(welcome, &self->links->arena), welcome->count,
                 self->mono_us);
    make_dirty(self->links, entry);
}

/* An instance that leaves thousands of frames unacknowledged takes no more: its link is to end, and
 * what it holds is given to others then. */
static bool send_items(struct coordinator *self, struct entry *entry)
{
    int rc = link_send(entry->link, buf_bytes(&entry->items), self->mono_us, NULL);
    buf_clear(&entry->items);
    entry->items_count = 0;
    if (rc == 0)
        return true;
    mute(self, entry, "overloaded");
    return false;
}

/* Makes room for one more item; NULL when the link is gone or muted. */
static struct entry *gather(struct coordinator *self, uint64_t handle)
{
    struct entry *entry = find(self->links, handle);
    if (entry == NULL || entry->muted != NULL)
        return NULL;
    if ((entry->items_count >= LIMIT_LINK_ITEMS || entry->items.size >= LIMIT_LINK_FRAME_BYTES) &&
        !send_items(self, entry))
        return NULL;
    entry->items_count++;
    make_dirty(self->links, entry);
    return entry;
}

void links_effect(struct coordinator *self, const struct effect *effect)
{
    struct wire_item item;
    uint64_t handle;
    arena_clear(&self->links->arena);
    if (!link_item_of(effect, &self->links->arena, &item, &handle))
        return;
    struct entry *entry = gather(self, handle);
    if (entry == NULL)
        return;
    wire_append_item(&item, &entry->items);
    if (effect->kind != EFFECT_DISPATCH)
        return;
    self->counters.dispatches++;
    publisher_dispatch(self, &effect->dispatch, entry->id);
}

static void flush(struct coordinator *self, struct entry *entry)
{
    entry->dirty = false;
    if (entry->muted != NULL || (entry->items_count > 0 && !send_items(self, entry)))
        return;
    link_flush(entry->link, self->mono_us);
    if (entry->role == LINK_EGRESS)
        link_set_busy(entry->link, engine_egress_load(self->engine, entry->handle) > 0,
                      self->mono_us);
    else if (entry->role == LINK_INSTANCE)
        link_set_busy(entry->link, engine_instance_tasks(self->engine, entry->handle) > 0,
                      self->mono_us);
    if (link_deadline(entry->link) < entry->timer.at_us)
        reschedule(self->links, entry);
}

void links_flush(struct coordinator *self)
{
    struct links *links = self->links;
    for (size_t i = 0; i < links->dirty_count; i++) {
        struct entry *entry = find(links, links->dirty[i]);
        if (entry != NULL)
            flush(self, entry);
    }
    links->dirty_count = 0;
}

bool links_send_plan(struct coordinator *self, uint64_t handle, const struct wire_plan *plan)
{
    struct buf items = {0};
    struct wire_item item = {.kind = WIRE_ITEM_PLAN, .plan = *plan};
    struct entry *entry = find(self->links, handle);
    if (entry == NULL)
        return false;
    wire_append_item(&item, &items);
    int rc = link_send(entry->link, buf_bytes(&items), self->mono_us, NULL);
    buf_release(&items);
    if (link_deadline(entry->link) < entry->timer.at_us)
        reschedule(self->links, entry);
    return rc == 0;
}

/* --- looking ---------------------------------------------------------------------------------- */

bool links_next(const struct coordinator *self, size_t *position, struct link_view *ret_view)
{
    const struct entry *entry = map_next(self->links->by_handle, position, NULL);
    if (entry == NULL)
        return false;
    *ret_view = (struct link_view){
        .handle = entry->handle,
        .role = entry->role,
        .id = entry->id,
        .agent = entry->agent,
        .host = entry->host,
        .program = entry->program,
        .pid = entry->pid,
        .boot = link_boot(entry->link),
        .since_us = entry->since_us,
        .draining = entry->draining,
    };
    return true;
}

size_t links_count(const struct coordinator *self, enum link_role role)
{
    return self->links->counts[role];
}
