#include "hostd/reports.h"

#include <stdlib.h>
#include <string.h>

/* Room that a report takes besides its texts. */
#define REPORT_OVERHEAD_BYTES 256

struct report {
    struct report *next;
    struct record record;
    struct process_end end;
    bool up;
    char *tail, *stopped;
    uint64_t sequence; /* of the link's frame that carried it; 0: none yet */
};

struct reports {
    const struct run_paths *paths;
    struct report *first, **last;
    size_t count;
};

reports_t *reports_new(const struct run_paths *paths)
{
    reports_t *self = xcalloc(1, sizeof *self);
    self->paths = paths;
    self->last = &self->first;
    return self;
}

static void unlink_report(reports_t *self, struct report **at)
{
    struct report *report = *at;
    *at = report->next;
    if (self->last == &report->next)
        self->last = at;
    self->count--;
    free(report->tail);
    free(report->stopped);
    free(report);
}

void reports_destroy(reports_t **self_p)
{
    reports_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    while (self->first)
        unlink_report(self, &self->first);
    free(self);
}

/* An exit is over with when nobody needs to be told of it any more. */
static void forget(reports_t *self, struct report **at)
{
    if (!(*at)->up)
        record_remove(self->paths, (*at)->record.instance);
    unlink_report(self, at);
}

static struct report *add(reports_t *self, const struct record *record)
{
    if (self->count == LIMIT_HOST_REPORTS)
        forget(self, &self->first);
    struct report *report = xcalloc(1, sizeof *report);
    report->record = *record;
    *self->last = report;
    self->last = &report->next;
    self->count++;
    return report;
}

void reports_up(reports_t *self, const struct record *record)
{
    add(self, record)->up = true;
}

void reports_down(reports_t *self, const struct record *record, const struct process_end *end,
                  const char *tail, const char *stopped)
{
    struct report *report = add(self, record);
    report->end = *end;
    report->tail = xstrdup(tail);
    report->stopped = stopped ? xstrdup(stopped) : NULL;
}

void reports_restart(reports_t *self)
{
    for (struct report **at = &self->first; *at;) {
        if ((*at)->up) {
            unlink_report(self, at);
            continue;
        }
        (*at)->sequence = 0;
        at = &(*at)->next;
    }
}

static void append_item(const struct report *report, struct buf *out)
{
    struct wire_item item = {
        .kind = WIRE_ITEM_PROCESS,
        .process = {.instance = report->record.instance,
                    .boot = report->record.boot,
                    .agent = report->record.agent,
                    .pid = (uint32_t)report->record.pid,
                    .up = report->up,
                    .exit_status = report->up || report->end.known ? report->end.exit_status : -1,
                    .signal = (uint32_t)report->end.signal,
                    .stderr_tail = report->tail,
                    .restarts = report->record.restarts,
                    .stopped = report->stopped},
    };
    wire_append_item(&item, out);
}

static bool fits(const struct report *report, const struct buf *items)
{
    size_t size = REPORT_OVERHEAD_BYTES + (report->tail ? strlen(report->tail) : 0);
    return items->size + size < LIMIT_LINK_FRAME_BYTES;
}

/* One frame of reports from the first that was not sent; false when there was none, or no room. */
static bool send_frame(struct report *first, link_t *link, int64_t now_us)
{
    struct buf items = {0};
    struct report *end = first;
    uint64_t sequence = 0;
    for (size_t n = 0; end && n < LIMIT_LINK_ITEMS && (n == 0 || fits(end, &items)); n++) {
        append_item(end, &items);
        end = end->next;
    }
    int rc = link_send(link, buf_bytes(&items), now_us, &sequence);
    buf_release(&items);
    if (rc)
        return false;
    for (; first != end; first = first->next)
        first->sequence = sequence;
    return true;
}

void reports_send(reports_t *self, link_t *link, int64_t now_us)
{
    /* Reports are sent in their order, so those that were not sent stand at the end. */
    struct report *report = self->first;
    while (report && link_state(link) == LINK_OPEN) {
        if (report->sequence > 0)
            report = report->next;
        else if (!send_frame(report, link, now_us))
            return;
    }
}

void reports_acknowledged(reports_t *self, uint64_t sequence)
{
    while (self->first && self->first->sequence > 0 && self->first->sequence <= sequence)
        forget(self, &self->first);
}

size_t reports_pending(const reports_t *self)
{
    return self->count;
}
