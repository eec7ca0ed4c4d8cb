/* A thousand agents at rest: how long until all are registered, what memory each takes, and what
 * processor time they and the daemons use together while nothing is to do. */
#include "base/clock.h"
#include "tools/bench.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct fleet {
    pid_t *pids;
    size_t count;
};

/* A line "Pss:   123 kB" of smaps_rollup, summed for the keys given. */
static int64_t rollup_kb(pid_t pid, const char *const *keys)
{
    char path[64];
    char line[256];
    int64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        for (const char *const *key = keys; *key; key++)
            if (strncmp(line, *key, strlen(*key)) == 0)
                sum += strtoll(line + strlen(*key), NULL, 10);
    if (file)
        fclose(file);
    return sum;
}

static int find_fleet(struct bench *self, struct fleet *fleet, struct err *err)
{
    value_t *hosts = NULL;
    int rc = client_call(bench_client(self), "hosts.list", NULL, NULL, 10000, &hosts, NULL, err);
    if (rc)
        return rc;
    const value_t *processes = value_get(value_at(value_get(hosts, "items"), 0), "processes");
    size_t count = processes ? value_size(processes) : 0;
    fleet->pids = xcalloc(count + 1, sizeof *fleet->pids);
    for (size_t i = 0; i < count; i++)
        if (value_get_bool(value_at(processes, i), "up", false))
            fleet->pids[fleet->count++] = (pid_t)value_get_int(value_at(processes, i), "pid", 0);
    value_destroy(&hosts);
    return 0;
}

static int64_t total_cpu_us(struct bench *self, const struct fleet *fleet)
{
    int64_t sum = 0;
    for (int i = 0; i < STACK_DAEMONS; i++)
        sum += process_cpu_us(stack_pid(self->daemons, i));
    for (size_t i = 0; i < fleet->count; i++)
        sum += process_cpu_us(fleet->pids[i]);
    return sum;
}

/* Percent of one core, over some seconds of rest. The kernel counts in ticks of 10 ms for each
 * process, so the time is long enough for them to add up. */
static double idle_percent(struct bench *self, const struct fleet *fleet)
{
    int64_t seconds = self->context->options->seconds > 0 ? self->context->options->seconds : 30;
    poll(NULL, 0, 5000); /* what starting left over */
    int64_t start = clock_monotonic_us();
    int64_t before = total_cpu_us(self, fleet);
    poll(NULL, 0, (int)seconds * 1000);
    int64_t used = total_cpu_us(self, fleet) - before;
    return 100.0 * (double)used / (double)(clock_monotonic_us() - start);
}

static void define(struct buf *text, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        buf_printf(text, "agent: agent_%lld\nbuiltin: echo\n---\n", (long long)i);
}

int bench_agents(struct bench *self, struct err *err)
{
    static const char *const pss[] = {"Pss:", NULL};
    static const char *const private[] = {"Private_Clean:", "Private_Dirty:", NULL};
    int64_t count = self->context->options->count > 0 ? self->context->options->count : 1000;
    struct buf text = {0};
    struct fleet fleet = {0};
    define(&text, count);
    int64_t start = clock_monotonic_us();
    int rc = bench_apply(self, buf_string(&text), count, err);
    double registered = (double)(clock_monotonic_us() - start) / 1e6;
    buf_release(&text);
    if (rc == 0)
        rc = find_fleet(self, &fleet, err);
    if (rc == 0 && fleet.count) {
        int64_t pss_kb = 0;
        int64_t private_kb = 0;
        for (size_t i = 0; i < fleet.count; i++) {
            pss_kb += rollup_kb(fleet.pids[i], pss);
            private_kb += rollup_kb(fleet.pids[i], private);
        }
        value_t *result = value_map();
        value_set_int(result, "count", (int64_t)fleet.count);
        value_set_double(result, "registered_s", registered);
        value_set_double(result, "pss_kb_each", (double)pss_kb / (double)fleet.count);
        value_set_double(result, "private_kb_each", (double)private_kb / (double)fleet.count);
        value_set_double(result, "idle_cpu_percent", idle_percent(self, &fleet));
        value_append(self->results, &result);
    }
    free(fleet.pids);
    return rc;
}
