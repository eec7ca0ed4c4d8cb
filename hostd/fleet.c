#include "hostd/fleet.h"

#include "base/clock.h"
#include "base/log.h"
#include "hostd/output.h"
#include "hostd/sweep.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

/* Between two looks at /proc while something below an ended process still dies. */
#define SWEEP_FIRST_US 2000
#define SWEEP_MAX_US   50000
/* A process that can't be killed for so long (it hangs in the kernel) is reported as left over. */
#define SWEEP_PATIENCE_US (5 * LIMIT_SECOND_US)
#define TRIM_EVERY_US     (5 * LIMIT_SECOND_US)
#define EVENTS_MAX        64

struct process {
    struct record record;
    uint64_t slot; /* of the plan; 0: none, it was over when it was found */
    int pidfd;     /* -1: likewise */
    pid_t session; /* what to sweep up; 0: nothing */
    bool ended;
    bool below; /* something of its session was alive at the last look */
    int64_t ended_us;
};

struct fleet {
    struct process_options options;
    plan_t *plan;
    reports_t *reports;
    int epoll;
    struct process **processes;
    size_t count, capacity;
    size_t ended;
    bool orphans; /* seen alive at the last look */
    int64_t sweep_us, sweep_wait_us;
    int64_t trim_us;
};

fleet_t *fleet_new(const struct process_options *options, plan_t *plan, reports_t *reports)
{
    fleet_t *self = xcalloc(1, sizeof *self);
    self->options = *options;
    self->plan = plan;
    self->reports = reports;
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK(self->epoll >= 0);
    self->sweep_us = PLAN_NEVER;
    return self;
}

static void free_process(struct process *process)
{
    if (process->pidfd >= 0)
        close(process->pidfd);
    free(process);
}

void fleet_destroy(fleet_t **self_p)
{
    fleet_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    for (size_t i = 0; i < self->count; i++)
        free_process(self->processes[i]);
    free(self->processes);
    close(self->epoll);
    free(self);
}

static struct process *add(fleet_t *self, const struct record *record, uint64_t slot, int pidfd)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 64;
        self->processes = xrealloc(self->processes, self->capacity * sizeof self->processes[0]);
    }
    struct process *process = xcalloc(1, sizeof *process);
    process->record = *record;
    process->slot = slot;
    process->pidfd = pidfd;
    process->session = record->pid;
    self->processes[self->count++] = process;
    return process;
}

static bool watch(fleet_t *self, struct process *process)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = process};
    return epoll_ctl(self->epoll, EPOLL_CTL_ADD, process->pidfd, &event) == 0;
}

static void sweep_soon(fleet_t *self, int64_t now_us)
{
    self->sweep_us = now_us;
    self->sweep_wait_us = SWEEP_FIRST_US;
}

static void note_end(fleet_t *self, struct process *process, int64_t now_us)
{
    process->ended = true;
    process->ended_us = now_us;
    self->ended++;
    if (process->pidfd >= 0)
        (void)epoll_ctl(self->epoll, EPOLL_CTL_DEL, process->pidfd, NULL);
    sweep_soon(self, now_us);
}

/* Taking over. */

struct adoption {
    fleet_t *fleet;
    int64_t now_us;
};

/* A number that belongs to another process now is no session of ours any more: as long as anything
 * lives in a session, its number is not given out. */
static bool number_taken(const struct record *record)
{
    uint64_t starttime = 0;
    return run_process_starttime(record->pid, &starttime, NULL) == 0 &&
           starttime != record->starttime;
}

static void adopt_dead(fleet_t *self, const struct record *record, int64_t now_us)
{
    struct process *process = add(self, record, 0, -1);
    if (record->pid == 0 || number_taken(record))
        process->session = 0;
    note_end(self, process, now_us);
}

static void adopt(void *context, const struct record *found)
{
    const struct adoption *adoption = context;
    fleet_t *self = adoption->fleet;
    struct record record = *found;
    int pidfd = -1;
    struct err err;
    if (process_adopt(self->options.paths, &record, &pidfd, &err) != 0) {
        adopt_dead(self, &record, adoption->now_us);
        return;
    }
    const struct slot *slot = plan_adopt(self->plan, record.agent, record.memory_bytes,
                                         record.restarts, adoption->now_us);
    if (!slot) {
        log_warn("HOST-FULL", "a process was not taken over: there are too many", "instance",
                 record.instance, NULL);
        close(pidfd);
        return;
    }
    struct process *process = add(self, &record, slot->id, pidfd);
    if (!watch(self, process))
        note_end(self, process, adoption->now_us);
    log_info("HOST-ADOPTED", "a running process was taken over", "agent", record.agent, "instance",
             record.instance, NULL);
}

int fleet_adopt(fleet_t *self, int64_t now_us, struct err *err)
{
    struct adoption adoption = {.fleet = self, .now_us = now_us};
    return record_each(self->options.paths, adopt, &adoption, err);
}

/* Starting and stopping. */

static struct process *find_slot(const fleet_t *self, uint64_t slot)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->processes[i]->slot == slot)
            return self->processes[i];
    return NULL;
}

static void format_stopped(const struct plan_exit *over, char *ret_text, size_t size)
{
    snprintf(ret_text, size,
             "crash loop: %d exits within %d s; tried again in %d s, or with a new plan",
             LIMIT_CRASH_LOOP_EXITS, (int)(LIMIT_CRASH_LOOP_US / LIMIT_SECOND_US),
             (int)(LIMIT_CRASH_LOOP_REST_US / LIMIT_SECOND_US));
    if (!over->halted)
        ret_text[0] = '\0';
}

/* Tells plan, log and coordinator of an end; slot 0 is none of the plan's. */
static void tell_end(fleet_t *self, uint64_t slot, struct record *record,
                     const struct process_end *end, const char *what, const char *tail,
                     int64_t now_us)
{
    /* Of an adopted process nobody knows how it ended: that is not held against it. */
    bool killed =
        !end->known || end->signal == SIGKILL || end->signal == SIGTERM || end->signal == SIGINT;
    struct plan_exit over = {0};
    char stopped[128];
    if (slot)
        over = plan_exited(self->plan, slot, killed, now_us);
    record->restarts = slot ? over.restarts : record->restarts;
    format_stopped(&over, stopped, sizeof stopped);
    reports_down(self->reports, record, end, tail, over.halted ? stopped : NULL);
    if (over.halted)
        log_error("HOST-CRASH-LOOP", stopped, "agent", record->agent, "instance", record->instance,
                  "end", what, NULL);
    else if (over.crashed)
        log_warn("HOST-EXIT", "a process ended unasked and is started again", "agent",
                 record->agent, "instance", record->instance, "end", what, NULL);
    else
        log_info("HOST-STOPPED", "a process is over", "agent", record->agent, "instance",
                 record->instance, "end", what, NULL);
}

static void not_started(fleet_t *self, uint64_t slot, struct record *record, const struct err *why,
                        int64_t now_us)
{
    const struct process_end end = {.known = true, .exit_status = 127};
    char text[800];
    err_format(why, text, sizeof text);
    tell_end(self, slot, record, &end, text, text, now_us);
}

static void start(fleet_t *self, const struct slot *slot, int64_t now_us)
{
    struct record record = {
        .boot = (uint64_t)clock_utc_us(),
        .memory_bytes = slot->memory_bytes,
        .restarts = plan_restarts(self->plan, slot->agent),
    };
    struct err err = {0};
    int pidfd = -1;
    memcpy(record.agent, slot->agent, sizeof record.agent);
    typeid_text("inst", uuid_new(), record.instance);
    if (process_start(&self->options, &record, &pidfd, &err) != 0) {
        not_started(self, slot->id, &record, &err, now_us);
        return;
    }
    struct process *process = add(self, &record, slot->id, pidfd);
    if (!watch(self, process)) {
        process_signal(pidfd, SIGKILL);
        note_end(self, process, now_us);
    }
    reports_up(self->reports, &record);
    log_info("HOST-STARTED", "a process was started", "agent", record.agent, "instance",
             record.instance, NULL);
}

void fleet_act(fleet_t *self, int64_t now_us)
{
    const struct slot *slot = NULL;
    struct process *process = NULL;
    for (int started = 0; started < LIMIT_START_BATCH;) {
        switch (plan_next(self->plan, now_us, &slot)) {
        case PLAN_NOTHING: return;
        case PLAN_START:
            start(self, slot, now_us);
            started++;
            break;
        case PLAN_TERMINATE:
            process = find_slot(self, slot->id);
            process_signal(process->pidfd, SIGTERM);
            break;
        case PLAN_KILL:
            process = find_slot(self, slot->id);
            process_signal(process->pidfd, SIGKILL);
            break;
        }
    }
}

/* Ends. */

int fleet_fd(const fleet_t *self)
{
    return self->epoll;
}

void fleet_collect(fleet_t *self, int64_t now_us)
{
    struct epoll_event events[EVENTS_MAX];
    int count = 0;
    do {
        count = epoll_wait(self->epoll, events, EVENTS_MAX, 0);
        for (int i = 0; i < count; i++)
            note_end(self, events[i].data.ptr, now_us);
    } while (count == EVENTS_MAX);
}

void fleet_note_child(fleet_t *self, int64_t now_us)
{
    sweep_soon(self, now_us);
}

static struct process *find_session(const fleet_t *self, pid_t session)
{
    for (size_t i = 0; session > 0 && i < self->count; i++)
        if (self->processes[i]->session == session)
            return self->processes[i];
    return NULL;
}

/* What is below an ended process dies; so does what was handed to us as its subreaper and belongs
 * to no running process. The dead that are ours to reap are reaped, but for the fleet's own. */
static void sweep_entry(void *context, const struct sweep_entry *entry)
{
    fleet_t *self = context;
    bool ours = entry->parent == getpid();
    struct process *process = find_session(self, entry->session);
    bool leader = process && process->record.pid == entry->pid;
    if (leader && process->pidfd >= 0)
        return;
    if (entry->zombie) {
        if (ours)
            (void)waitpid(entry->pid, NULL, WNOHANG);
        return;
    }
    bool below = process && process->ended;
    bool orphan = ours && !process;
    /* One that is gone by now, or that we may not kill, is not waited for. */
    if ((!below && !orphan) || kill(entry->pid, SIGKILL) != 0)
        return;
    if (below)
        process->below = true;
    else
        self->orphans = true;
}

static void finish(fleet_t *self, size_t at, int64_t now_us)
{
    struct process *process = self->processes[at];
    struct record *record = &process->record;
    struct process_end end = {0};
    struct buf tail = {0};
    char what[64];
    if (process->pidfd >= 0)
        end = process_reap(process->pidfd);
    process_describe(&end, what, sizeof what);
    char *path = output_path(self->options.paths, record->agent, record->instance);
    output_tail(path, &tail);
    free(path);
    output_archive(self->options.paths, record->agent, record->instance, what, buf_string(&tail));
    tell_end(self, process->slot, record, &end, what, buf_string(&tail), now_us);
    buf_release(&tail);
    self->count--;
    self->ended--;
    memmove(self->processes + at, self->processes + at + 1,
            (self->count - at) * sizeof self->processes[0]);
    free_process(process);
}

static bool is_over(const fleet_t *self, const struct process *process, int64_t now_us)
{
    if (!process->ended)
        return false;
    if (!process->below && !self->orphans)
        return true;
    if (now_us - process->ended_us < SWEEP_PATIENCE_US)
        return false;
    log_warn("HOST-LEFTOVER", "something below an ended process can't be killed", "agent",
             process->record.agent, "instance", process->record.instance, NULL);
    return true;
}

static void sweep(fleet_t *self, int64_t now_us)
{
    self->orphans = false;
    for (size_t i = 0; i < self->count; i++)
        self->processes[i]->below = false;
    if (!sweep_walk(sweep_entry, self))
        log_error("HOST-PROC", "/proc can't be read: processes may be left over", NULL);
    for (size_t i = self->count; i-- > 0;)
        if (is_over(self, self->processes[i], now_us))
            finish(self, i, now_us);
    bool again = self->ended > 0 || self->orphans;
    self->sweep_us = again ? now_us + self->sweep_wait_us : PLAN_NEVER;
    self->sweep_wait_us =
        2 * self->sweep_wait_us < SWEEP_MAX_US ? 2 * self->sweep_wait_us : SWEEP_MAX_US;
}

static void trim_logs(const fleet_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct record *record = &self->processes[i]->record;
        char *path = output_path(self->options.paths, record->agent, record->instance);
        output_trim(path);
        free(path);
    }
}

void fleet_tick(fleet_t *self, int64_t now_us)
{
    if (now_us >= self->sweep_us)
        sweep(self, now_us);
    if (now_us < self->trim_us)
        return;
    trim_logs(self);
    self->trim_us = now_us + TRIM_EVERY_US;
}

int64_t fleet_deadline(const fleet_t *self)
{
    if (self->count == 0)
        return self->sweep_us;
    return self->sweep_us < self->trim_us ? self->sweep_us : self->trim_us;
}

void fleet_report_all(fleet_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        if (!self->processes[i]->ended)
            reports_up(self->reports, &self->processes[i]->record);
}

size_t fleet_size(const fleet_t *self)
{
    return self->count;
}
