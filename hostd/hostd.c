#include "hostd/hostd.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "hostd/fleet.h"
#include "proto/link.h"
#include "proto/peer.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <zmq.h>

/* Messages taken before processes have their turn. */
#define BATCH_MAX 256
/* At the end: until all processes must be over, and for the last reports to be acknowledged. */
#define SHUTDOWN_US     (LIMIT_SHUTDOWN_GRACE_US + 2 * LIMIT_SECOND_US)
#define LAST_REPORTS_US (LIMIT_SECOND_US / 2)

struct hostd {
    struct hostd_options options;
    char *address;
    peer_t *peer;
    link_t *link;
    plan_t *plan;
    reports_t *reports;
    fleet_t *fleet;
    struct message message;
    int64_t now_us;
    bool refused; /* and said so */
    bool stopping;
    int64_t stop_us;  /* when it ends at the latest */
    int64_t empty_us; /* when it had no process left; 0: it has */
};

static void send_link(void *context, const struct wire_body *body)
{
    hostd_t *self = context;
    const struct wire_route route = {
        .kind = body->kind, .to = "coordinator", .from = self->address};
    /* What can't be sent is lost here, and sent again by the link. */
    (void)!peer_send(self->peer, &route, body, (struct bytes){0}, NULL);
}

static void fill_hello(void *context, struct wire_hello *hello)
{
    const hostd_t *self = context;
    *hello = (struct wire_hello){
        .role = "host",
        .host = self->options.host,
        .pid = (uint32_t)getpid(),
        .program = "hostd " AF_VERSION,
    };
}

static int connect_peer(hostd_t *self, struct err *err)
{
    const struct peer_options options = {
        .endpoint = self->options.broker,
        .address = self->address,
        .program = "hostd " AF_VERSION,
    };
    int rc = peer_new(&options, &self->peer, err);
    if (rc)
        return rc;
    self->link = link_new_peer((uint64_t)clock_utc_us(), send_link, self);
    link_set_hello(self->link, fill_hello);
    link_hello(self->link, self->now_us);
    return 0;
}

int hostd_new(const struct hostd_options *options, hostd_t **ret_hostd, struct err *err)
{
    hostd_t *self = xcalloc(1, sizeof *self);
    const struct process_options processes = {
        .paths = options->paths,
        .agentd = options->agentd,
        .broker = options->broker,
        .host = options->host,
        .agents_dir = options->agents_dir,
    };
    self->options = *options;
    self->address = xasprintf("host:%s", options->host);
    self->now_us = clock_monotonic_us();
    self->plan = plan_new();
    self->reports = reports_new(options->paths);
    self->fleet = fleet_new(&processes, self->plan, self->reports);
    int rc = fleet_adopt(self->fleet, self->now_us, err);
    if (rc == 0)
        rc = connect_peer(self, err);
    if (rc)
        hostd_destroy(&self);
    else
        *ret_hostd = self;
    return rc;
}

void hostd_destroy(hostd_t **self_p)
{
    hostd_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    fleet_destroy(&self->fleet);
    reports_destroy(&self->reports);
    plan_destroy(&self->plan);
    message_release(&self->message);
    link_destroy(&self->link);
    peer_destroy(&self->peer);
    free(self->address);
    free(self);
}

static void take_plan(hostd_t *self, const struct wire_plan *wish)
{
    struct err err;
    if (self->stopping)
        return;
    int rc = plan_apply(self->plan, wish, self->now_us, &err);
    if (rc == ERR_LIMIT)
        log_error("HOST-PLAN-TOO-LARGE", err.what, "fix", err.fix, NULL);
    else if (rc)
        log_warn("HOST-PLAN-OLD", err.what, NULL);
}

static void take_items(hostd_t *self, struct bytes bytes)
{
    struct wire_items items;
    struct err err;
    if (wire_decode_items(&self->message.arena, bytes, &items, &err) != 0) {
        log_warn("HOST-ITEMS-MALFORMED", err.what, NULL);
        link_hello(self->link, self->now_us);
        return;
    }
    for (size_t i = 0; i < items.count; i++)
        if (items.items[i].kind == WIRE_ITEM_PLAN)
            take_plan(self, &items.items[i].plan);
}

/* What the coordinator knows of this host may be nothing, so it is told all. */
static void welcomed(hostd_t *self)
{
    log_info("HOST-LINKED", "the coordinator has welcomed this host", NULL);
    plan_forget_number(self->plan);
    reports_restart(self->reports);
    fleet_report_all(self->fleet);
}

static bool is_link_kind(enum wire_kind kind)
{
    return kind == WIRE_LINK_WELCOME || kind == WIRE_LINK_FRAME || kind == WIRE_LINK_RESET ||
           kind == WIRE_LINK_BYE;
}

static void handle(hostd_t *self)
{
    struct bytes items = {0};
    if (!is_link_kind(self->message.body.kind) ||
        strcmp(self->message.route.from, "coordinator") != 0)
        return;
    switch (link_receive(self->link, &self->message.body, self->now_us, &items)) {
    case LINK_WELCOMED: welcomed(self); break;
    case LINK_ITEMS: take_items(self, items); break;
    case LINK_NOTHING:
    case LINK_RESTART:
    case LINK_ENDED: break;
    }
}

static bool receive_batch(hostd_t *self)
{
    for (int taken = 0; taken < BATCH_MAX; taken++) {
        struct err err;
        int rc = peer_receive(self->peer, &self->message, self->now_us, &err);
        if (rc == ERR_AGAIN)
            return false;
        if (rc == 0)
            handle(self);
    }
    return true;
}

static void stop(hostd_t *self)
{
    notify_manager("STOPPING=1");
    log_info("HOST-STOPPING", "hostd was told to end", NULL);
    self->stopping = true;
    self->stop_us = self->now_us;
    if (self->options.keep)
        return;
    self->stop_us += SHUTDOWN_US;
    plan_stop_all(self->plan, LIMIT_SHUTDOWN_GRACE_US);
}

static void take_signals(hostd_t *self)
{
    struct signalfd_siginfo signals[16];
    ssize_t size = read(self->options.signals, signals, sizeof signals);
    size_t count = size > 0 ? (size_t)size / sizeof signals[0] : 0;
    for (size_t i = 0; i < count; i++) {
        if (signals[i].ssi_signo == SIGCHLD)
            fleet_note_child(self->fleet, self->now_us);
        else if (!self->stopping)
            stop(self);
    }
}

/* When hostd ends: its processes are over and the coordinator knows it, or patience is. */
static bool is_over(hostd_t *self)
{
    if (!self->stopping)
        return false;
    if (self->now_us >= self->stop_us)
        return true;
    if (fleet_size(self->fleet) > 0)
        return false;
    if (self->empty_us == 0) {
        self->empty_us = self->now_us;
        if (self->stop_us > self->now_us + LAST_REPORTS_US)
            self->stop_us = self->now_us + LAST_REPORTS_US;
    }
    return reports_pending(self->reports) == 0 || link_state(self->link) != LINK_OPEN;
}

static long poll_timeout_ms(hostd_t *self, bool busy)
{
    int64_t deadline_us = clock_earlier(plan_deadline(self->plan), fleet_deadline(self->fleet));
    deadline_us = clock_earlier(deadline_us, link_deadline(self->link));
    deadline_us = clock_earlier(deadline_us, peer_deadline(self->peer));
    if (self->stopping)
        deadline_us = clock_earlier(deadline_us, self->stop_us);
    if (busy || deadline_us <= self->now_us)
        return 0;
    int64_t left_ms = (deadline_us - self->now_us) / 1000 + 1;
    return left_ms < 60000 ? (long)left_ms : 60000;
}

/* Once for each time it happens. */
static void say_refused(hostd_t *self)
{
    const char *by_broker = peer_refusal(self->peer);
    bool by_coordinator = link_state(self->link) == LINK_REFUSED;
    bool refused = by_broker || by_coordinator;
    if (refused && !self->refused)
        log_error("HOST-REFUSED", by_broker ? by_broker : link_refusal(self->link), NULL);
    self->refused = refused;
}

static void act(hostd_t *self)
{
    say_refused(self);
    fleet_collect(self->fleet, self->now_us);
    fleet_tick(self->fleet, self->now_us);
    fleet_act(self->fleet, self->now_us);
    peer_tick(self->peer, self->now_us);
    (void)link_tick(self->link, self->now_us);
    reports_acknowledged(self->reports, link_acknowledged(self->link));
    reports_send(self->reports, self->link, self->now_us);
}

int hostd_run(hostd_t *self, struct err *err)
{
    zmq_pollitem_t items[] = {
        {.fd = self->options.signals, .events = ZMQ_POLLIN},
        {.fd = fleet_fd(self->fleet), .events = ZMQ_POLLIN},
        {.socket = peer_socket(self->peer), .events = ZMQ_POLLIN},
    };
    bool busy = false;
    while (!is_over(self)) {
        if (zmq_poll(items, 3, poll_timeout_ms(self, busy)) < 0 && errno != EINTR)
            return err_set(err, ERR_IO, "the sockets can't be polled: %s", zmq_strerror(errno));
        self->now_us = clock_monotonic_us();
        take_signals(self);
        busy = receive_batch(self);
        act(self);
    }
    if (fleet_size(self->fleet) > 0 && !self->options.keep)
        log_warn("HOST-LEFT-BEHIND",
                 "hostd ends while processes still do; they are adopted by the "
                 "next one",
                 NULL);
    link_bye(self->link, "hostd ends");
    return 0;
}
