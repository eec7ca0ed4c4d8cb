#include "tests/sim/instance_core.h"

#include "tests/sim/net.h"
#include "tests/sim/shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As in agentd/agentd.c. */
#define BEAT_AGAIN_US (200 * MS)

struct sim_task instance_task(const struct task *task)
{
    struct sim_task what = {
        .execution = task->execution, .run = task->run, .attempt = task->attempt};
    (void)snprintf(what.path, sizeof what.path, "%s", task->path);
    return what;
}

/* --- what is acknowledged --------------------------------------------------------------------- */

static void note_reported(struct instance *self, const struct report *report, uint64_t sequence)
{
    if (self->reported_count == self->reported_capacity) {
        self->reported_capacity = self->reported_capacity ? 2 * self->reported_capacity : 16;
        self->reported = xrealloc(self->reported, self->reported_capacity * sizeof *self->reported);
    }
    self->reported[self->reported_count++] = (struct reported){
        instance_task(report->task), report->number, sequence, self->world->now_us};
}

static void note_acknowledged(struct instance *self, const struct reported *reported)
{
    if (reported->number > 0)
        observer_acknowledged(self->world, self->index, &reported->what, reported->number);
    int64_t took_us = self->world->now_us - reported->sent_us;
    observer_acknowledged_after(self->world, self->index, &reported->what, reported->sent_us,
                                took_us);
}

static void acknowledge(struct instance *self)
{
    uint64_t acknowledged = link_acknowledged(self->link);
    size_t left = 0;
    if (link_state(self->link) != LINK_OPEN)
        return;
    for (size_t i = 0; i < self->reported_count; i++) {
        if (self->reported[i].sequence <= acknowledged)
            note_acknowledged(self, &self->reported[i]);
        else
            self->reported[left++] = self->reported[i];
    }
    self->reported_count = left;
    tasks_acknowledge(self->tasks, acknowledged);
    if (tasks_sent_count(self->tasks) != left)
        world_fail(self->world, 2, "%s has %zu steps on their way, but holds %zu of them",
                   self->proc.name, left, tasks_sent_count(self->tasks));
}

/* It is not waited for any more. */
static void forget_reported(struct instance *self, const struct task *task)
{
    size_t left = 0;
    for (size_t i = 0; i < self->reported_count; i++)
        if (!uuid_equal(self->reported[i].what.execution, task->execution) ||
            strcmp(self->reported[i].what.path, task->path) != 0)
            self->reported[left++] = self->reported[i];
    self->reported_count = left;
}

static void note_journaled(struct instance *self, const struct task *task, uint32_t journaled)
{
    struct sim_task what = instance_task(task);
    for (const struct report *report = task->reports; report; report = report->later)
        if (report->number > 0 && report->number <= journaled)
            observer_acknowledged(self->world, self->index, &what, report->number);
}

/* A Welcome acknowledges what the journal holds; all else is to be reported anew. */
static void note_welcomed(struct instance *self, const struct wire_welcome *welcome)
{
    for (size_t i = 0; i < welcome->verdicts_count; i++) {
        const struct wire_verdict *verdict = &welcome->verdicts[i];
        const struct task *task = tasks_find(self->tasks, verdict->execution, verdict->path);
        if (task && verdict->keep && wire_run_compare(task->run, verdict->run) == 0)
            note_journaled(self, task, verdict->journaled_step);
    }
    self->reported_count = 0;
}

/* --- sending ---------------------------------------------------------------------------------- */

static void send_link(void *context, const struct wire_body *body)
{
    struct instance *self = context;
    net_send(&self->proc, SHELL_NAME, 0, body, (struct bytes){0});
}

void instance_send(struct instance *self, const char *to, uint64_t correlation,
                   const struct wire_body *body, struct bytes payload)
{
    net_send(&self->proc, to, correlation, body, payload);
}

static void fill_hello(void *context, struct wire_hello *hello)
{
    struct instance *self = context;
    hello->role = "instance";
    hello->agent = self->agent->name;
    hello->host = "host1";
    hello->program = "sim";
    hello->credit = tasks_hello_credit(self->tasks);
    arena_clear(&self->claims);
    tasks_inventory(self->tasks, &self->claims, &hello->inventory, &hello->inventory_count);
    TRACE(self->world, "%s says hello with %zu tasks", self->proc.name, hello->inventory_count);
}

static bool send_frame(struct instance *self)
{
    size_t count = 0;
    buf_clear(&self->frame);
    for (const struct report *report = tasks_unsent(self->tasks);
         report && count < LIMIT_LINK_ITEMS; report = tasks_unsent_next(report), count++)
        buf_append_bytes(&self->frame, buf_bytes(&report->item));
    uint64_t credit = tasks_credit(self->tasks);
    if (credit != self->credit_sent || self->credit_due)
        wire_append_credit(credit, self->phase != SERVING, &self->frame);
    else if (!count)
        return false;
    uint64_t sequence = 0;
    if (link_send(self->link, buf_bytes(&self->frame), self->now_us, &sequence) != 0)
        return false;
    self->credit_sent = credit;
    self->credit_due = false;
    for (; count > 0; count--) {
        const struct report *report = tasks_unsent(self->tasks);
        const struct task *task = report->task;
        if (report->number > 0)
            TRACE(self->world, "%s reports step %u of %s %s, run %llu.%llu", self->proc.name,
                  report->number, sim_uuid(task->execution), task->path,
                  (unsigned long long)task->run.epoch, (unsigned long long)task->run.counter);
        note_reported(self, report, sequence);
        tasks_sent(self->tasks, 1, sequence);
    }
    return true;
}

static void flush(struct instance *self)
{
    if (link_state(self->link) != LINK_OPEN)
        return;
    while (send_frame(self) && tasks_unsent(self->tasks)) {
    }
}

/* --- receiving -------------------------------------------------------------------------------- */

static void drop_work(void *context, struct task *task)
{
    jobs_drop(context, task);
}

static void take_dispatch(struct instance *self, const struct wire_dispatch *dispatch)
{
    struct task *task = NULL;
    if (self->phase != SERVING)
        return;
    enum tasks_take take = tasks_take(self->tasks, dispatch, &task);
    if (take == TASKS_BEFORE) {
        jobs_drop(self, task);
        forget_reported(self, task);
        tasks_drop(self->tasks, &task);
        take = tasks_take(self->tasks, dispatch, &task);
    }
    if (take != TASKS_TAKEN)
        return;
    jobs_take(self, task, dispatch);
    size_t places =
        tasks_count_in(self->tasks, TASK_WAITING) + tasks_count_in(self->tasks, TASK_RUNNING);
    if (places > tasks_parallel(self->tasks))
        world_fail(self->world, 6, "%s was given %zu tasks, of which it takes %u at a time",
                   self->proc.name, places, tasks_parallel(self->tasks));
}

static void take_drop(struct instance *self, const struct wire_drop *drop)
{
    struct task *task = tasks_find(self->tasks, drop->execution, drop->path);
    if (!task || wire_run_compare(task->run, drop->run) != 0)
        return;
    if (task->work) {
        jobs_stop(self, task->work, "cancelled");
    } else if (task->state == TASK_SENT) {
        forget_reported(self, task);
        tasks_drop(self->tasks, &task);
    }
}

static void take_granted(struct instance *self, const struct wire_granted *granted)
{
    struct task *task = tasks_find(self->tasks, granted->execution, granted->path);
    struct job *job = task ? task->work : NULL;
    if (job && job->talk && wire_run_compare(task->run, granted->run) == 0)
        talks_granted(self, job, granted);
}

static void take_items(struct instance *self, struct bytes bytes)
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
        if (item->kind == WIRE_ITEM_DISPATCH)
            take_dispatch(self, &item->dispatch);
        else if (item->kind == WIRE_ITEM_DROP)
            take_drop(self, &item->drop);
        else if (item->kind == WIRE_ITEM_GRANTED)
            take_granted(self, &item->granted);
    }
}

static void take_welcome(struct instance *self, const struct wire_welcome *welcome)
{
    TRACE(self->world, "%s is welcome, link %llu.%llu", self->proc.name,
          (unsigned long long)welcome->link.epoch, (unsigned long long)welcome->link.counter);
    note_welcomed(self, welcome);
    tasks_welcome(self->tasks, welcome->verdicts, welcome->verdicts_count, drop_work, self);
    self->credit_due = true;
    self->opened_us = self->world->now_us;
}

static void receive(struct instance *self, const struct sim_message *message)
{
    struct wire_body body;
    struct err err;
    struct bytes items = {0};
    struct arena arena = {0};
    if (wire_decode_body(&arena, message->kind, buf_bytes(&message->body), &body, &err)) {
        world_fail(self->world, 0, "a message can't be read: %s", err.what);
        arena_release(&arena);
        return;
    }
    if (body.kind == WIRE_CALL_ANSWER || body.kind == WIRE_REPLY) {
        if (body.kind == WIRE_CALL_ANSWER)
            talks_answered(self, &body.call_answer, buf_bytes(&message->payload));
        else
            talks_history(self, message->correlation, &body.reply, buf_bytes(&message->payload));
        arena_release(&arena);
        return;
    }
    switch (link_receive(self->link, &body, self->now_us, &items)) {
    case LINK_ITEMS: take_items(self, items); break;
    case LINK_WELCOMED: take_welcome(self, &body.welcome); break;
    case LINK_NOTHING:
    case LINK_RESTART:
    case LINK_ENDED: break;
    }
    arena_release(&arena);
}

/* --- the round, as in agentd/agentd.c --------------------------------------------------------- */

static void tick_link(struct instance *self)
{
    if (self->running > 0 && !link_lease_valid(self->link, self->now_us)) {
        TRACE(self->world, "%s has lost its lease", self->proc.name);
        jobs_stop_effects(self);
        if (link_state(self->link) == LINK_OPEN)
            link_hello(self->link, self->now_us);
    }
    (void)link_tick(self->link, self->now_us);
}

static void set_busy(struct instance *self)
{
    if (tasks_count(self->tasks))
        self->busy_us = self->now_us;
    bool busy = self->busy_us && self->now_us - self->busy_us < LIMIT_BEAT_US;
    link_set_busy(self->link, busy, self->now_us);
}

static void tick_jobs(struct instance *self)
{
    bool open = link_state(self->link) == LINK_OPEN;
    /* What this round took so far counts against the lease, too. */
    bool lease = open && link_lease_valid(self->link, proc_mono_anew(&self->proc));
    bool wanting = jobs_tick(self, lease);
    if (wanting && open && self->now_us - self->beat_us >= BEAT_AGAIN_US) {
        self->beat_us = self->now_us;
        link_beat(self->link, self->now_us);
    }
}

static void least(int64_t *at_us, int64_t other_us)
{
    if (other_us < *at_us)
        *at_us = other_us;
}

static void schedule(struct instance *self)
{
    int64_t at_us = jobs_deadline(self);
    least(&at_us, link_deadline(self->link));
    if (self->running > 0)
        least(&at_us, link_lease_until(self->link) + 1);
    if (self->busy_us > self->now_us - LIMIT_BEAT_US)
        least(&at_us, self->busy_us + LIMIT_BEAT_US);
    if (self->phase == DRAINING)
        least(&at_us, self->drain_until_us);
    least(&at_us, self->now_us + 10 * SECOND);
    proc_wake(&self->proc, proc_when(&self->proc, at_us) + prng_between(&self->world->prng, 0, MS));
}

static void clear(struct instance *self);
static void begin(struct world *world, void *context, uint64_t number);

static void restart_later(struct instance *self)
{
    struct world *world = self->world;
    world_at(world, world->now_us + prng_skewed(&world->prng, 20 * MS, 4 * SECOND), begin, self, 0);
}

static void end_in_good_order(struct instance *self)
{
    jobs_die(self);
    link_bye(self->link, "the instance ends");
    clear(self);
    proc_stop(&self->proc);
    restart_later(self);
}

static void round_of(struct proc *proc)
{
    struct instance *self = (struct instance *)proc;
    struct sim_message *message;
    self->now_us = proc_mono(proc);
    self->utc_us = proc_utc(proc);
    tick_link(self);
    while ((message = proc_take(proc))) {
        receive(self, message);
        sim_message_free(&message);
    }
    acknowledge(self);
    flush(self);
    jobs_see_ends(self);
    set_busy(self);
    tick_jobs(self);
    flush(self);
    wrong_say(self);
    if (proc->dying)
        return;
    if (self->phase == DRAINING &&
        (tasks_count(self->tasks) == 0 || self->now_us >= self->drain_until_us))
        end_in_good_order(self);
    else
        schedule(self);
}

/* --- start and end ---------------------------------------------------------------------------- */

static void begin(struct world *world, void *context, uint64_t number)
{
    struct instance *self = context;
    (void)number;
    proc_start(&self->proc);
    proc_read_clock(&self->proc);
    self->now_us = proc_mono(&self->proc);
    self->utc_us = proc_utc(&self->proc);
    self->boot = (uint64_t)world->now_us;
    self->phase = SERVING;
    self->credit_sent = 0;
    self->credit_due = false;
    self->beat_us = self->busy_us = 0;
    self->sends_wrong = self->plan->wrong && !world->calm;
    self->tasks = tasks_new(self->plan->parallel);
    self->link = link_new_peer(self->boot, send_link, self);
    link_set_hello(self->link, fill_hello);
    link_hello(self->link, self->now_us);
}

static void clear(struct instance *self)
{
    link_destroy(&self->link);
    tasks_destroy(&self->tasks);
    buf_release(&self->frame);
    arena_release(&self->items);
    arena_release(&self->claims);
    self->reported_count = 0;
}

/* Its host reports the end once nothing of it is left. */
static void report_end(struct world *world, void *context, uint64_t boot)
{
    struct instance *self = context;
    struct proc host = {.world = world, .name = "client:host"};
    struct wire_body body = {.kind = WIRE_REQUEST, .request = {.method = METHOD_ENDED}};
    struct shell_ended ended = {.boot = boot};
    memcpy(ended.address, self->proc.name, sizeof ended.address);
    net_send(&host, SHELL_NAME, 0, &body, bytes_of(&ended, sizeof ended));
}

static void die(struct proc *proc)
{
    struct instance *self = (struct instance *)proc;
    struct world *world = self->world;
    world->counts.crashes++;
    jobs_die(self);
    clear(self);
    proc_stop(proc);
    if (world->plan->hostd)
        world_at(world, world->now_us + prng_skewed(&world->prng, MS, 500 * MS), report_end, self,
                 self->boot);
    restart_later(self);
}

static void add(struct world *world, size_t index)
{
    struct fleet *fleet = world->fleet;
    struct instance *self = &fleet->instances[fleet->count++];
    self->world = world;
    self->index = index;
    self->plan = &world->plan->instances[index];
    self->agent = &world->plan->agents[self->plan->agent];
    self->proc = (struct proc){.world = world, .round = round_of, .die = die};
    (void)snprintf(self->proc.name, sizeof self->proc.name, "instance:i%zu", index);
    self->proc.mono_ahead_us = prng_between(&world->prng, 0, 1000000 * SECOND);
    self->proc.utc_ahead_us = prng_between(&world->prng, -3 * SECOND, 3 * SECOND);
    net_join(world, &self->proc);
    world_at(world, world->now_us + prng_skewed(&world->prng, 0, 2 * SECOND), begin, self, 0);
}

struct fleet *fleet_new(struct world *world)
{
    world->fleet = xcalloc(1, sizeof *world->fleet);
    for (size_t i = 0; i < world->plan->instances_count; i++)
        add(world, i);
    return world->fleet;
}

void fleet_destroy(struct fleet **self_p)
{
    struct fleet *fleet = *self_p;
    *self_p = NULL;
    if (!fleet)
        return;
    for (size_t i = 0; i < fleet->count; i++) {
        struct instance *self = &fleet->instances[i];
        if (self->proc.up)
            proc_stop(&self->proc);
        jobs_release(self);
        clear(self);
        free(self->reported);
    }
    free(fleet);
}

size_t fleet_size(const struct world *world)
{
    return world->fleet->count;
}

struct proc *fleet_proc(struct world *world, size_t index)
{
    return &world->fleet->instances[index].proc;
}

void fleet_drain(struct world *world, size_t index)
{
    struct instance *self = &world->fleet->instances[index];
    if (!self->proc.up || self->proc.frozen || self->phase != SERVING)
        return;
    TRACE(world, "%s is asked to end", self->proc.name);
    self->phase = DRAINING;
    self->drain_until_us = proc_mono(&self->proc) + LIMIT_AGENTD_DRAIN_US;
    self->credit_due = true;
    tasks_drain(self->tasks);
    proc_wake(&self->proc, world->now_us);
}

size_t fleet_tasks(const struct world *world)
{
    size_t count = 0;
    for (size_t i = 0; i < world->fleet->count; i++)
        if (world->fleet->instances[i].proc.up)
            count += tasks_count(world->fleet->instances[i].tasks);
    return count;
}

size_t fleet_find(const struct world *world, const char *address)
{
    for (size_t i = 0; i < world->fleet->count; i++)
        if (strcmp(world->fleet->instances[i].proc.name, address) == 0)
            return i;
    return SIZE_MAX;
}

size_t fleet_busiest(const struct world *world)
{
    const struct fleet *fleet = world->fleet;
    size_t index = SIZE_MAX;
    int64_t longest_us = 0;
    for (size_t i = 0; i < fleet->count; i++) {
        const struct command *command = fleet->instances[i].commands;
        for (; command; command = command->next) {
            if (command->over_us <= longest_us)
                continue;
            longest_us = command->over_us;
            index = i;
        }
    }
    return index;
}

bool fleet_frozen(const struct world *world, size_t index)
{
    return world->fleet->instances[index].proc.frozen;
}
