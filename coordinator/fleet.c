#include "coordinator/fleet.h"

#include "base/log.h"
#include "base/map.h"
#include "base/utf8.h"
#include "coordinator/catalog.h"
#include "coordinator/fleet_plan.h"
#include "coordinator/links.h"
#include "coordinator/publisher.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_INTERVAL_US  (LIMIT_SECOND_US / 10)
#define STDERR_KEPT_BYTES 4096

struct host {
    uint64_t handle;
    char *id;
    struct buf plan; /* as last sent: agents and numbers as text, to see what changed */
    bool behind;     /* a plan did not go into the link */
};

struct process {
    uint64_t host;
    char *instance, *agent, *stderr_tail, *stopped;
    uint64_t boot;
    uint32_t pid, signal, restarts;
    int32_t exit_status;
    bool up;
    int64_t at_us; /* UTC, of the report */
};

struct wish {
    struct fleet_wish wish;
    struct fleet_demand demand;
    uint64_t seen; /* the look that found it in the catalog */
};

struct fleet {
    struct host **hosts; /* in order of their ids, so that shares are the same in every look */
    size_t hosts_count;
    map_t *wishes;    /* agent -> struct wish */
    map_t *processes; /* instance -> struct process */
    bool woken;
    int64_t looked_us; /* monotonic */
    int64_t next_us;   /* when a wish may go down by itself */
    uint64_t looks, plans;
};

struct fleet *fleet_new(void)
{
    struct fleet *self = xcalloc(1, sizeof *self);
    self->wishes = map_new();
    self->processes = map_new();
    self->woken = true;
    self->next_us = INT64_MAX;
    return self;
}

static void host_destroy(struct host *host)
{
    free(host->id);
    buf_release(&host->plan);
    free(host);
}

static void process_destroy(struct process *process)
{
    free(process->instance);
    free(process->agent);
    free(process->stderr_tail);
    free(process->stopped);
    free(process);
}

void fleet_destroy(struct fleet **self_p)
{
    struct fleet *self = *self_p;
    void *item;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->hosts_count; i++)
        host_destroy(self->hosts[i]);
    for (size_t position = 0; (item = map_next(self->wishes, &position, NULL)) != NULL;)
        free(item);
    for (size_t position = 0; (item = map_next(self->processes, &position, NULL)) != NULL;)
        process_destroy(item);
    map_destroy(&self->wishes);
    map_destroy(&self->processes);
    free(self->hosts);
    free(self);
    *self_p = NULL;
}

/* --- hosts and processes ---------------------------------------------------------------------- */

void fleet_host_up(struct coordinator *self, uint64_t handle, const char *id)
{
    struct fleet *fleet = self->fleet;
    struct host *host = xcalloc(1, sizeof *host);
    size_t at = 0;

    host->handle = handle;
    host->id = xstrdup(id);
    host->behind = true;
    fleet->hosts = xrealloc(fleet->hosts, (fleet->hosts_count + 1) * sizeof(*fleet->hosts));
    while (at < fleet->hosts_count && strcmp(fleet->hosts[at]->id, id) < 0)
        at++;
    memmove(fleet->hosts + at + 1, fleet->hosts + at,
            (fleet->hosts_count - at) * sizeof(*fleet->hosts));
    fleet->hosts[at] = host;
    fleet->hosts_count++;
    log_info("COORD-HOST-UP", "a host is there", "host", id, NULL);
}

static void forget_process(struct fleet *self, struct process *process)
{
    map_remove(self->processes, process->instance, strlen(process->instance));
    process_destroy(process);
}

void fleet_host_down(struct coordinator *self, uint64_t handle)
{
    struct fleet *fleet = self->fleet;
    struct process *process;
    size_t at = 0;

    while (at < fleet->hosts_count && fleet->hosts[at]->handle != handle)
        at++;
    if (at == fleet->hosts_count)
        return;
    host_destroy(fleet->hosts[at]);
    fleet->hosts_count--;
    memmove(fleet->hosts + at, fleet->hosts + at + 1,
            (fleet->hosts_count - at) * sizeof(*fleet->hosts));
    for (size_t position = 0; (process = map_next(fleet->processes, &position, NULL)) != NULL;)
        if (process->host == handle)
            forget_process(fleet, process);
}

static void log_exit(const struct wire_process *process)
{
    char status[32], signal_text[32];
    snprintf(status, sizeof status, "%" PRId32, process->exit_status);
    snprintf(signal_text, sizeof signal_text, "%" PRIu32, process->signal);
    if (*process->stopped != '\0')
        log_error("COORD-AGENT-STOPPED", "an agent's processes are not started again", "agent",
                  process->agent, "reason", process->stopped, "instance", process->instance, NULL);
    else if (process->signal != 0 || process->exit_status != 0)
        log_warn("COORD-PROCESS-EXITED", "an agent's process ended", "agent", process->agent,
                 "instance", process->instance, "exit_status", status, "signal", signal_text, NULL);
}

static bool worth_keeping(const struct wire_process *process)
{
    return process->up || process->signal != 0 || process->exit_status != 0 ||
           *process->stopped != '\0';
}

void fleet_process(struct coordinator *self, uint64_t handle, const struct wire_process *process)
{
    struct fleet *fleet = self->fleet;
    struct process *kept = map_get(fleet->processes, process->instance, strlen(process->instance));

    if (!process->up)
        log_exit(process);
    if (kept != NULL)
        forget_process(fleet, kept);
    if (!worth_keeping(process))
        return;
    if (map_size(fleet->processes) >= LIMIT_PROCESS_REPORTS) {
        size_t position = 0;
        forget_process(fleet, map_next(fleet->processes, &position, NULL));
    }
    kept = xcalloc(1, sizeof *kept);
    kept->host = handle;
    kept->instance = xstrdup(process->instance);
    kept->agent = xstrdup(process->agent);
    kept->stderr_tail =
        xstrndup(process->stderr_tail,
                 utf8_cut(process->stderr_tail, strnlen(process->stderr_tail, STDERR_KEPT_BYTES)));
    kept->stopped = xstrdup(process->stopped);
    kept->boot = process->boot;
    kept->pid = process->pid;
    kept->signal = process->signal;
    kept->restarts = process->restarts;
    kept->exit_status = process->exit_status;
    kept->up = process->up;
    kept->at_us = self->utc_us;
    map_put(fleet->processes, kept->instance, strlen(kept->instance), kept);
}

/* --- wishes ----------------------------------------------------------------------------------- */

static struct wish *find_wish(const struct fleet *self, const char *agent)
{
    return map_get(self->wishes, agent, strlen(agent));
}

/* An agent that was applied just now has no wish before the next look: it will be its least. */
uint32_t fleet_wanted(const struct coordinator *self, const char *agent)
{
    const struct wish *wish = find_wish(self->fleet, agent);
    if (wish != NULL)
        return wish->wish.wanted;
    const struct catalog_entry *entry = catalog_find(self, DEFINITION_AGENT, agent);
    bool ours = entry != NULL && entry->agent->answers != AGENT_EXTERNAL;
    return ours ? entry->agent->instances_min : 0;
}

static void update_wish(struct coordinator *self, const struct catalog_entry *entry)
{
    struct fleet *fleet = self->fleet;
    struct wish *wish = find_wish(fleet, entry->name);
    struct agent_load load;

    if (wish == NULL) {
        wish = xcalloc(1, sizeof *wish);
        map_put(fleet->wishes, entry->name, strlen(entry->name), wish);
    }
    engine_agent_load(self->engine, entry->name, &load);
    wish->seen = fleet->looks;
    wish->demand = (struct fleet_demand){.instances_min = entry->agent->instances_min,
                                         .instances_max = entry->agent->instances_max,
                                         .parallel = entry->agent->parallel,
                                         .idle_us = entry->agent->idle_us,
                                         .ready = load.ready,
                                         .running = load.running};
    uint32_t before = wish->wish.wanted;
    fleet_wish_update(&wish->wish, &wish->demand, self->mono_us);
    int64_t deadline = fleet_wish_deadline(&wish->wish, &wish->demand);
    if (deadline < fleet->next_us)
        fleet->next_us = deadline;
    publisher_queue(self, entry->name, &load, wish->wish.wanted, before != wish->wish.wanted);
}

static void update_wishes(struct coordinator *self)
{
    struct fleet *fleet = self->fleet;
    const struct catalog_entry *entry;
    struct bytes key;
    struct wish *wish;

    fleet->looks++;
    fleet->next_us = INT64_MAX;
    for (size_t position = 0; (entry = catalog_next(self, DEFINITION_AGENT, &position)) != NULL;)
        if (entry->agent->answers != AGENT_EXTERNAL)
            update_wish(self, entry);
    for (size_t position = 0; (wish = map_next(fleet->wishes, &position, &key)) != NULL;)
        if (wish->seen != fleet->looks) {
            map_remove(fleet->wishes, key.data, key.size);
            free(wish);
        }
}

/* --- plans ------------------------------------------------------------------------------------ */

static size_t plan_host(struct coordinator *self, size_t host, struct wire_planned *planned,
                        struct buf *text)
{
    struct fleet *fleet = self->fleet;
    const struct catalog_entry *entry;
    size_t count = 0;

    for (size_t position = 0; (entry = catalog_next(self, DEFINITION_AGENT, &position)) != NULL;) {
        uint32_t wanted = fleet_wanted(self, entry->name);
        uint32_t share = fleet_share(entry->name, wanted, host, fleet->hosts_count);
        if (share == 0)
            continue;
        planned[count++] = (struct wire_planned){
            .agent = entry->name, .instances = share, .memory_bytes = entry->agent->memory_bytes};
        buf_printf(text, "%s %" PRIu32 " %" PRIu64 "\n", entry->name, share,
                   entry->agent->memory_bytes);
    }
    return count;
}

/* Numbers of plans go up from coordinator to coordinator too. */
static uint64_t next_plan_number(struct coordinator *self)
{
    return self->epoch << 32 | (++self->fleet->plans & UINT32_MAX);
}

static void send_plan(struct coordinator *self, size_t index, struct wire_planned *planned)
{
    struct host *host = self->fleet->hosts[index];
    struct buf text = {0};
    size_t count = plan_host(self, index, planned, &text);

    if (host->behind || !bytes_equal(buf_bytes(&text), buf_bytes(&host->plan))) {
        struct wire_plan plan = {
            .number = next_plan_number(self), .agents = planned, .agents_count = count};
        host->behind = !links_send_plan(self, host->handle, &plan);
        if (host->behind)
            fleet_wake(self);
        buf_release(&host->plan);
        host->plan = text;
        return;
    }
    buf_release(&text);
}

static void send_plans(struct coordinator *self)
{
    struct fleet *fleet = self->fleet;
    struct wire_planned *planned = xcalloc(map_size(fleet->wishes) + 1, sizeof *planned);
    for (size_t i = 0; i < fleet->hosts_count; i++)
        send_plan(self, i, planned);
    free(planned);
}

void fleet_wake(struct coordinator *self)
{
    self->fleet->woken = true;
}

void fleet_tick(struct coordinator *self)
{
    struct fleet *fleet = self->fleet;
    if (self->mono_us < fleet_deadline(self))
        return;
    fleet->woken = false;
    fleet->looked_us = self->mono_us;
    update_wishes(self);
    send_plans(self);
}

int64_t fleet_deadline(const struct coordinator *self)
{
    const struct fleet *fleet = self->fleet;
    return fleet->woken ? fleet->looked_us + LOOK_INTERVAL_US : fleet->next_us;
}

/* --- documents -------------------------------------------------------------------------------- */

static void put_process(struct doc *doc, const struct process *process)
{
    doc_map(doc, NULL);
    doc_string(doc, "instance", process->instance);
    doc_string(doc, "agent", process->agent);
    doc_int(doc, "pid", process->pid);
    doc_bool(doc, "up", process->up);
    doc_int(doc, "restarts", process->restarts);
    doc_time(doc, "at", process->at_us);
    if (!process->up) {
        doc_int(doc, "exit_status", process->exit_status);
        doc_int(doc, "signal", process->signal);
        doc_string(doc, "stderr", process->stderr_tail);
    }
    if (*process->stopped != '\0')
        doc_string(doc, "stopped", process->stopped);
    doc_end(doc);
}

static void put_plan(const struct coordinator *self, size_t host, struct doc *doc)
{
    const struct catalog_entry *entry;
    doc_list(doc, "plan");
    for (size_t position = 0; (entry = catalog_next(self, DEFINITION_AGENT, &position)) != NULL;) {
        uint32_t share = fleet_share(entry->name, fleet_wanted(self, entry->name), host,
                                     self->fleet->hosts_count);
        if (share == 0)
            continue;
        doc_map(doc, NULL);
        doc_string(doc, "agent", entry->name);
        doc_int(doc, "instances", share);
        doc_end(doc);
    }
    doc_end(doc);
}

void fleet_host_document(const struct coordinator *self, uint64_t handle, struct doc *doc)
{
    const struct fleet *fleet = self->fleet;
    const struct process *process;

    for (size_t i = 0; i < fleet->hosts_count; i++)
        if (fleet->hosts[i]->handle == handle)
            put_plan(self, i, doc);
    doc_list(doc, "processes");
    for (size_t position = 0; (process = map_next(fleet->processes, &position, NULL)) != NULL;)
        if (process->host == handle)
            put_process(doc, process);
    doc_end(doc);
}
