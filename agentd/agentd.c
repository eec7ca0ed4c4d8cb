#include "agentd/agentd.h"

#include "agentd/jobs.h"
#include "agentd/tasks.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/signals.h"
#include "proto/link.h"
#include "proto/peer.h"
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <zmq.h>

enum {
    EVENTS = 64,                /* taken from the epoll set at a time */
    BEAT_AGAIN_US = 200 * 1000, /* between two beats for a lease that something waits for */
    POLL_MAX_US = 10 * LIMIT_SECOND_US,
};
/* Beside the ids of commands in the epoll set's data. */
#define SIGNAL_DATA UINT64_MAX

enum phase { SERVING, DRAINING, ENDING };

struct agentd {
    const struct agentd_options *options;
    enum phase phase;
    int64_t drain_until_us;
    int64_t now_us, utc_us;
    int epoll_fd, signal_fd;
    peer_t *peer;
    link_t *link;
    tasks_t *tasks;
    jobs_t *jobs;
    struct message message;
    struct arena items, claims;
    struct buf frame;
    uint64_t credit_sent;
    bool credit_due; /* to be said whether it changed or not */
    int64_t beat_us; /* when something last asked for a lease */
    int64_t busy_us; /* when tasks were last held */
    bool untrimmed;  /* memory was used since the last trim */
    bool refusal_logged, shortfall_logged, definition_logged;
    uint64_t malformed;
};

static const char *const COORDINATOR = "coordinator";

/* --- sending -------------------------------------------------------------------------------------
 */

/* What the socket doesn't take is lost here, and sent again by the link's or the job's own rules.
 */
static void send_body(struct agentd *self, const char *to, const struct wire_body *body,
                      uint64_t correlation, struct bytes payload)
{
    struct wire_route route = {.kind = body->kind, .to = to, .correlation = correlation};
    struct err err;
    (void)!peer_send(self->peer, &route, body, payload, &err);
}

static void send_link(void *context, const struct wire_body *body)
{
    send_body(context, COORDINATOR, body, 0, bytes_of(NULL, 0));
}

static void send_job(void *context, const char *to, const struct wire_body *body,
                     uint64_t correlation, struct bytes payload)
{
    send_body(context, to, body, correlation, payload);
}

static void fill_hello(void *context, struct wire_hello *hello)
{
    struct agentd *self = context;
    hello->role = "instance";
    hello->agent = self->options->agent;
    hello->host = self->options->host;
    hello->pid = (uint32_t)getpid();
    hello->program = "agentd " AF_VERSION;
    hello->credit = tasks_hello_credit(self->tasks);
    arena_clear(&self->claims);
    tasks_inventory(self->tasks, &self->claims, &hello->inventory, &hello->inventory_count);
}

/* Gathers the reports that were not sent yet, up to a frame's bounds, with the credit they free.
 * Returns whether there was something to send and the link took it. */
static bool send_frame(struct agentd *self)
{
    size_t count = 0;
    buf_clear(&self->frame);
    for (const struct report *report = tasks_unsent(self->tasks);
         report && count < LIMIT_LINK_ITEMS; report = tasks_unsent_next(report)) {
        if (count && self->frame.size + report->item.size > LIMIT_LINK_FRAME_BYTES)
            break;
        buf_append_bytes(&self->frame, buf_bytes(&report->item));
        count++;
    }
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
    tasks_sent(self->tasks, count, sequence);
    return true;
}

static void flush(struct agentd *self)
{
    if (!self->link || link_state(self->link) != LINK_OPEN)
        return;
    while (send_frame(self) && tasks_unsent(self->tasks)) {
    }
}

/* --- the link ------------------------------------------------------------------------------------
 */

static void drop_work(void *context, struct task *task)
{
    struct agentd *self = context;
    jobs_drop(self->jobs, task);
}

static void take_dispatch(struct agentd *self, const struct wire_dispatch *dispatch)
{
    /* What comes while it drains is not held: with the link's end the coordinator knows it lost. */
    if (self->phase != SERVING)
        return;
    struct task *task = NULL;
    enum tasks_take take = tasks_take(self->tasks, dispatch, &task);
    if (take == TASKS_BEFORE) {
        jobs_drop(self->jobs, task);
        tasks_drop(self->tasks, &task);
        take = tasks_take(self->tasks, dispatch, &task);
    }
    if (take == TASKS_TAKEN)
        jobs_take(self->jobs, task, dispatch);
}

/* The coordinator waits for the step that says that nothing of the work is left. A result or a
 * failure that is written and not sent yet says so too; one that was sent is what the drop answers,
 * or has crossed it. The steps of a run that yields don't say so: it has to be said. */
static void take_drop(struct agentd *self, const struct wire_drop *drop)
{
    struct task *task = tasks_find(self->tasks, drop->execution, drop->path);
    if (!task || wire_run_compare(task->run, drop->run) != 0)
        return;
    if (task->work || task->yielded)
        jobs_cancel(self->jobs, task);
    else if (task->state == TASK_SENT)
        tasks_drop(self->tasks, &task);
}

static void take_granted(struct agentd *self, const struct wire_granted *granted)
{
    struct task *task = tasks_find(self->tasks, granted->execution, granted->path);
    if (task && wire_run_compare(task->run, granted->run) == 0)
        jobs_granted(self->jobs, task, granted);
}

static void take_items(struct agentd *self, struct bytes bytes)
{
    struct wire_items items;
    struct err err = {0};
    arena_clear(&self->items);
    if (wire_decode_items(&self->items, bytes, &items, &err)) {
        /* The link counts the frame as received: only a new link can bring its items back. */
        self->malformed++;
        log_warn("AGENTD-MALFORMED", "a frame of the coordinator is not valid", "why", err.what,
                 NULL);
        link_hello(self->link, self->now_us);
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

static void take_welcome(struct agentd *self, const struct wire_welcome *welcome)
{
    tasks_welcome(self->tasks, welcome->verdicts, welcome->verdicts_count, drop_work, self);
    self->credit_due = true;
    self->refusal_logged = false;
    log_debug("AGENTD-WELCOME", "the link to the coordinator is open", "agent",
              self->options->agent, "instance", self->options->instance, NULL);
}

/* Whatever runs on an expired lease is stopped before anything is said or taken. */
static void enforce_lease(struct agentd *self)
{
    if (!jobs_effects(self->jobs) || link_lease_valid(self->link, self->now_us))
        return;
    log_warn("AGENTD-LEASE-LOST",
             "the coordinator was silent for longer than the lease: commands are killed", "agent",
             self->options->agent, "instance", self->options->instance, NULL);
    jobs_stop_effects(self->jobs);
    if (link_state(self->link) == LINK_OPEN)
        link_hello(self->link, self->now_us);
}

static void tick_link(struct agentd *self)
{
    if (!self->link)
        return;
    enforce_lease(self);
    (void)link_tick(self->link, self->now_us);
    const char *refusal = link_refusal(self->link);
    if (link_state(self->link) == LINK_REFUSED && !self->refusal_logged) {
        self->refusal_logged = true;
        log_error("AGENTD-REFUSED", "the coordinator refuses this instance", "why",
                  refusal ? refusal : "", "agent", self->options->agent, NULL);
    }
}

static void take_link(struct agentd *self, const struct wire_body *body)
{
    if (!self->link)
        return;
    struct bytes items = {0};
    switch (link_receive(self->link, body, self->now_us, &items)) {
    case LINK_ITEMS: take_items(self, items); return;
    case LINK_WELCOMED: take_welcome(self, &body->welcome); return;
    case LINK_NOTHING:
    case LINK_RESTART:
    case LINK_ENDED: return;
    }
}

/* --- starting: the definition comes before the link, for its credit
 * -------------------------------- */

static int open_link(struct agentd *self, struct err *err)
{
    const struct agent_def *def = jobs_definition(self->jobs);
    if (self->link || !def)
        return 0;
    if (def->answers == AGENT_EXTERNAL) {
        (void)err_set(err, ERR_UNSUPPORTED, "agent \"%s\" is external", self->options->agent);
        err_fix(err, "start the program that serves it, which connects by itself; not agentd");
        return ERR_UNSUPPORTED;
    }
    tasks_set_parallel(self->tasks, def->parallel);
    self->link = link_new_peer(self->options->boot, send_link, self);
    link_set_hello(self->link, fill_hello);
    link_hello(self->link, self->now_us);
    notify_manager("READY=1");
    return 0;
}

static void log_definition_error(struct agentd *self, const struct err *err)
{
    char text[sizeof err->what + sizeof err->where + sizeof err->fix + 16];
    if (self->definition_logged)
        return;
    self->definition_logged = true;
    log_warn("AGENTD-DEFINITION", "the agent's definition can't be had; asking on", "agent",
             self->options->agent, "why", err_format(err, text, sizeof text), NULL);
}

/* --- the loop ------------------------------------------------------------------------------------
 */

static void dispatch_message(struct agentd *self)
{
    struct err err = {0};
    switch (self->message.route.kind) {
    case WIRE_LINK_WELCOME:
    case WIRE_LINK_FRAME:
    case WIRE_LINK_RESET:
    case WIRE_LINK_BYE: take_link(self, &self->message.body); return;
    case WIRE_REPLY:
    case WIRE_BLOB_CHUNK:
    case WIRE_BLOB_STORED:
    case WIRE_CALL_ANSWER:
    case WIRE_UNDELIVERABLE:
        if (jobs_receive(self->jobs, &self->message, &err))
            log_definition_error(self, &err);
        return;
    default: return;
    }
}

/* All that has arrived, up to a bound: what it gives is sent together. */
static void receive_messages(struct agentd *self)
{
    struct err err;
    for (int i = 0; i < LIMIT_AGENTD_ROUND; i++) {
        int rc = peer_receive(self->peer, &self->message, self->now_us, &err);
        if (rc == ERR_AGAIN)
            return;
        self->untrimmed = true;
        if (rc)
            self->malformed++;
        else
            dispatch_message(self);
        message_clear(&self->message);
    }
}

static void take_signal(struct agentd *self)
{
    struct signalfd_siginfo info;
    if (read(self->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (self->phase != SERVING) {
        self->phase = ENDING;
        return;
    }
    self->phase = DRAINING;
    self->drain_until_us = self->now_us + LIMIT_AGENTD_DRAIN_US;
    self->credit_due = true;
    tasks_drain(self->tasks);
    notify_manager("STOPPING=1");
}

static void take_events(struct agentd *self)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(self->epoll_fd, events, EVENTS, 0);
    for (int i = 0; i < count; i++) {
        self->untrimmed = true;
        if (events[i].data.u64 == SIGNAL_DATA)
            take_signal(self);
        else
            jobs_event(self->jobs, events[i].data.u64);
    }
}

/* An instance counts as busy for a while after its last task, so that one that answers many short
 * tasks does not ask for a new lease with each of them. */
static void set_busy(struct agentd *self)
{
    if (tasks_count(self->tasks))
        self->busy_us = self->now_us;
    bool busy = self->busy_us && self->now_us - self->busy_us < LIMIT_BEAT_US;
    link_set_busy(self->link, busy, self->now_us);
}

static void tick_jobs(struct agentd *self)
{
    bool open = self->link && link_state(self->link) == LINK_OPEN;
    /* What this round took so far counts against the lease, too. */
    int64_t now_us = jobs_waiting(self->jobs) ? clock_monotonic_us() : self->now_us;
    bool lease = open && link_lease_valid(self->link, now_us);
    bool wanting = jobs_tick(self->jobs, lease);
    if (wanting && open && self->now_us - self->beat_us >= BEAT_AGAIN_US) {
        self->beat_us = self->now_us;
        link_beat(self->link, self->now_us);
    }
    const char *shortfall = jobs_shortfall(self->jobs);
    if (*shortfall && !self->shortfall_logged) {
        self->shortfall_logged = true;
        log_warn("AGENTD-SANDBOX", "the kernel does not give commands all of their sandbox",
                 "missing", shortfall, NULL);
    }
}

static void advance_end(struct agentd *self)
{
    if (self->phase != DRAINING)
        return;
    if (tasks_count(self->tasks) == 0 || self->now_us >= self->drain_until_us)
        self->phase = ENDING;
}

/* An instance at rest keeps no memory of its busy times. */
static void trim(struct agentd *self)
{
    if (!self->untrimmed || tasks_count(self->tasks) ||
        self->now_us - self->busy_us < LIMIT_BEAT_US)
        return;
    self->untrimmed = false;
    tasks_trim(self->tasks);
    arena_release(&self->items);
    arena_release(&self->claims);
    buf_release(&self->frame);
    message_release(&self->message);
    (void)malloc_trim(0);
}

static int64_t next_wake_us(const struct agentd *self)
{
    int64_t wake_us = clock_earlier(peer_deadline(self->peer), jobs_deadline(self->jobs));
    if (self->link) {
        wake_us = clock_earlier(wake_us, link_deadline(self->link));
        if (jobs_effects(self->jobs))
            wake_us = clock_earlier(wake_us, link_lease_until(self->link) + 1);
        if (self->busy_us > self->now_us - LIMIT_BEAT_US)
            wake_us = clock_earlier(wake_us, self->busy_us + LIMIT_BEAT_US);
    }
    if (self->phase == DRAINING)
        wake_us = clock_earlier(wake_us, self->drain_until_us);
    return clock_earlier(wake_us, self->now_us + POLL_MAX_US);
}

static void wait_for_work(struct agentd *self)
{
    int64_t left_us = next_wake_us(self) - self->now_us;
    long timeout_ms = left_us > 0 ? (long)((left_us + 999) / 1000) : 0;
    zmq_pollitem_t items[] = {
        {.socket = peer_socket(self->peer), .events = ZMQ_POLLIN},
        {.fd = self->epoll_fd, .events = ZMQ_POLLIN},
    };
    (void)zmq_poll(items, 2, timeout_ms);
}

/* The link's time is looked at before anything else: a process that was stopped for longer than its
 * lease has lost it, whatever has arrived meanwhile. */
static int run_round(struct agentd *self, struct err *err)
{
    self->now_us = clock_monotonic_us();
    self->utc_us = clock_utc_us();
    jobs_set_time(self->jobs, self->now_us, self->utc_us);
    tick_link(self);
    peer_tick(self->peer, self->now_us);
    receive_messages(self);
    int rc = open_link(self, err);
    if (rc)
        return rc;
    if (self->link)
        tasks_acknowledge(self->tasks, link_acknowledged(self->link));
    flush(self);
    take_events(self);
    if (self->link)
        set_busy(self);
    tick_jobs(self);
    flush(self);
    trim(self);
    advance_end(self);
    return 0;
}

static int open_signals(struct agentd *self, struct err *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = SIGNAL_DATA};
    self->signal_fd = signals_open(false, err);
    if (self->signal_fd < 0)
        return self->signal_fd;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll_fd < 0 || epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, self->signal_fd, &event) < 0)
        return err_set(err, ERR_IO, "signals can't be watched: %s", strerror(errno));
    return 0;
}

static int connect_broker(struct agentd *self, struct err *err)
{
    char address[LIMIT_ADDRESS_BYTES];
    (void)snprintf(address, sizeof address, "instance:%s", self->options->instance);
    struct peer_options options = {
        .endpoint = self->options->broker,
        .address = address,
        .program = "agentd " AF_VERSION,
        .agents = &self->options->agent,
        .agents_count = 1,
    };
    return peer_new(&options, &self->peer, err);
}

static void make_jobs(struct agentd *self)
{
    self->tasks = tasks_new(0);
    struct jobs_options options = {
        .agent = self->options->agent,
        .instance = self->options->instance,
        .agents_dir = self->options->agents_dir,
        .scratch_dir = self->options->scratch_dir,
        .memory_bytes = self->options->memory_bytes,
        .epoll_fd = self->epoll_fd,
        .tasks = self->tasks,
        .send = send_job,
        .context = self,
    };
    self->jobs = jobs_new(&options);
}

static void release(struct agentd *self)
{
    jobs_destroy(&self->jobs);
    if (self->link)
        link_bye(self->link, "the instance ends");
    link_destroy(&self->link);
    peer_destroy(&self->peer);
    tasks_destroy(&self->tasks);
    message_release(&self->message);
    arena_release(&self->items);
    arena_release(&self->claims);
    buf_release(&self->frame);
    if (self->signal_fd >= 0)
        close(self->signal_fd);
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
}

int agentd_run(const struct agentd_options *options, struct err *err)
{
    struct agentd self = {.options = options, .epoll_fd = -1, .signal_fd = -1};
    int rc = open_signals(&self, err);
    if (!rc)
        rc = connect_broker(&self, err);
    if (!rc)
        make_jobs(&self);
    while (!rc && self.phase != ENDING) {
        rc = run_round(&self, err);
        if (!rc && self.phase != ENDING)
            wait_for_work(&self);
    }
    release(&self);
    return rc;
}
