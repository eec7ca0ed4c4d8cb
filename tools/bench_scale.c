/* How cost grows: with the nodes of one workflow, with what the store holds, and with what a
 * coordinator that starts has to fold. */
#include "base/clock.h"
#include "tools/bench.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define ECHO        "agent: e\nbuiltin: echo\nprocess: {instances: 1, parallel: 2048}\n---\n"
#define FOR_EVER_US INT64_MAX / 2

/* --- windows ---------------------------------------------------------------------------------- */

#define WINDOWS 3

/* A machine that is shared gives one window more than another: the middle one counts. */
struct window {
    struct bench_executions done;
    double cpu_us; /* of broker and coordinator */
};

static int by_speed(const void *a, const void *b)
{
    const struct window *one = a, *other = b;
    double first = (double)one->done.count / one->done.seconds;
    double second = (double)other->done.count / other->done.seconds;
    return (first > second) - (first < second);
}

static int run_windows(struct bench *self, const char *workflow, uint64_t in_flight, uint64_t count,
                       int64_t most_us, struct window *ret_middle, struct err *err)
{
    struct window windows[WINDOWS];
    for (size_t i = 0; i < WINDOWS; i++) {
        int64_t cpu_us = bench_daemons_cpu_us(self);
        int rc = bench_executions(self, workflow, in_flight, count, most_us, &windows[i].done, err);
        if (rc)
            return rc;
        windows[i].cpu_us = (double)(bench_daemons_cpu_us(self) - cpu_us);
    }
    qsort(windows, WINDOWS, sizeof *windows, by_speed);
    *ret_middle = windows[WINDOWS / 2];
    return 0;
}

/* --- dag -------------------------------------------------------------------------------------- */

#define WIDTH 100 /* of the widest workflow: nodes that can run at the same time */

static int64_t width_of(int64_t nodes)
{
    return nodes / 2 < WIDTH ? nodes / 2 : WIDTH;
}

/* Layers of equal width; each node waits for one of the layer before, every fourth for two. Short,
 * since definitions of 100,000 nodes have to go in one message. */
static void define_dag(struct buf *text, int64_t nodes)
{
    int64_t width = width_of(nodes);
    buf_printf(text, "workflow: dag%lld\nnodes:\n", (long long)nodes);
    for (int64_t i = 0; i < nodes; i++) {
        int64_t layer = i / width * width - width;
        if (i < width)
            buf_printf(text, "  n%lld: {agent: e}\n", (long long)i);
        else if (i % 4)
            buf_printf(text, "  n%lld: {agent: e, after: [n%lld]}\n", (long long)i,
                       (long long)(layer + i % width));
        else
            buf_printf(text, "  n%lld: {agent: e, after: [n%lld, n%lld]}\n", (long long)i,
                       (long long)(layer + i % width), (long long)(layer + (i + 1) % width));
    }
    buf_printf(text, "output: n%lld\n", (long long)nodes - 1);
}

#define DAG_STEPS       300000 /* of one window */
#define NODES_THAT_SHOW 100000 /* in the memory of a process */

/* What one execution alone adds to the coordinator's memory. */
static int weigh(struct bench *self, const char *workflow, double *ret_bytes, struct err *err)
{
    pid_t coordinator = stack_pid(self->daemons, STACK_COORDINATOR);
    struct bench_executions done;
    int64_t before_kb = process_status_kb(coordinator, "VmRSS:");
    process_reset_peak(coordinator);
    int rc = bench_executions(self, workflow, 1, 1, FOR_EVER_US, &done, err);
    *ret_bytes = (double)(process_status_kb(coordinator, "VmHWM:") - before_kb) * 1024;
    return rc;
}

/* The same number of steps each time, with as many tasks that can run at once. */
static int run_dag(struct bench *self, int64_t nodes, int64_t steps, struct err *err)
{
    struct window middle;
    char workflow[32];
    double bytes = 0;
    uint64_t count = (uint64_t)(steps / nodes > 0 ? steps / nodes : 1);
    (void)snprintf(workflow, sizeof workflow, "dag%lld", (long long)nodes);
    int rc = nodes >= NODES_THAT_SHOW ? weigh(self, workflow, &bytes, err) : 0;
    if (rc)
        return rc;
    rc = run_windows(self, workflow, (uint64_t)(WIDTH / width_of(nodes)), count, FOR_EVER_US,
                     &middle, err);
    if (rc)
        return rc;
    double all = (double)middle.done.count * (double)nodes;
    value_t *result = value_map();
    value_set_int(result, "nodes", nodes);
    value_set_int(result, "executions", (int64_t)middle.done.count);
    value_set_double(result, "steps_per_s", all / middle.done.seconds);
    value_set_double(result, "broker_and_coordinator_cpu_us_per_step", middle.cpu_us / all);
    if (bytes > 0)
        value_set_double(result, "memory_bytes_per_task", bytes / (double)nodes);
    value_append(self->results, &result);
    return 0;
}

static int define_and_run(struct bench *self, int64_t nodes, int64_t steps, struct err *err)
{
    struct buf text = {0};
    buf_puts(&text, ECHO);
    define_dag(&text, nodes);
    int rc = bench_apply(self, buf_string(&text), 1, err);
    buf_release(&text);
    return rc ? rc : run_dag(self, nodes, steps, err);
}

int bench_dag(struct bench *self, struct err *err)
{
    static const int64_t sizes[] = {10, 100, 1000, 10000, 100000};
    int64_t given = self->context->options->count;
    if (given > 0)
        return given < 10 ? err_set(err, ERR_INVALID, "--count needs ten nodes at least")
                          : define_and_run(self, given, DAG_STEPS, err);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof sizes / sizeof *sizes; i++)
        rc = define_and_run(self, sizes[i], DAG_STEPS, err);
    return rc;
}

/* --- store ------------------------------------------------------------------------------------ */

#define FLIGHTS 256

static const char STORE_DEFINITIONS[] =
    ECHO "workflow: tiny\ninput: {text: text}\nnodes:\n  a: {agent: e, say: x}\noutput: a\n---\n"
         "workflow: chain\ninput: {text: text}\nnodes:\n"
         "  n1: {agent: e, say: \"{{input.text}}\"}\n  n2: {agent: e, say: \"{{n1}}\"}\n"
         "  n3: {agent: e, say: \"{{n2}}\"}\n  n4: {agent: e, say: \"{{n3}}\"}\n"
         "  n5: {agent: e, say: \"{{n4}}\"}\n  n6: {agent: e, say: \"{{n5}}\"}\n"
         "  n7: {agent: e, say: \"{{n6}}\"}\n  n8: {agent: e, say: \"{{n7}}\"}\n"
         "  n9: {agent: e, say: \"{{n8}}\"}\n  n10: {agent: e, say: \"{{n9}}\"}\n"
         "output: n10\n";

static int run_store(struct bench *self, int64_t finished, struct err *err)
{
    int64_t seconds = self->context->options->seconds > 0 ? self->context->options->seconds : 5;
    struct window middle;
    int rc = run_windows(self, "chain", FLIGHTS, UINT64_MAX, seconds * 1000000, &middle, err);
    if (rc)
        return rc;
    double steps = (double)middle.done.count * 10;
    value_t *result = value_map();
    value_set_int(result, "finished_executions", finished);
    value_set_double(result, "steps_per_s", steps / middle.done.seconds);
    value_set_double(result, "broker_and_coordinator_cpu_us_per_step", middle.cpu_us / steps);
    value_append(self->results, &result);
    return 0;
}

/* What the measurements themselves add is not counted: the levels are ten times apart. */
int bench_store(struct bench *self, struct err *err)
{
    int64_t most = self->context->options->count > 0 ? self->context->options->count : 100000;
    struct bench_executions done;
    int64_t finished = 0;
    int rc = bench_apply(self, STORE_DEFINITIONS, 1, err);
    if (rc == 0) /* the first executions of a fresh installation warm it up */
        rc = bench_executions(self, "chain", FLIGHTS, FLIGHTS * 4, FOR_EVER_US, &done, err);
    if (rc == 0)
        rc = run_store(self, 0, err);
    for (int64_t level = most < 1000 ? most : 1000; rc == 0 && finished < most;
         level = level * 10 < most ? level * 10 : most) {
        rc = bench_executions(self, "tiny", 4 * FLIGHTS, (uint64_t)(level - finished), FOR_EVER_US,
                              &done, err);
        finished = level;
        if (rc == 0)
            rc = run_store(self, finished, err);
    }
    return rc;
}

/* --- recovery --------------------------------------------------------------------------------- */

static const char RECOVERY_DEFINITIONS[] =
    ECHO "workflow: waits\ninput: {text: text}\nnodes:\n"
         "  a: {agent: e, say: \"{{input.text}}\"}\n  b: {agent: e, say: \"{{a}}\"}\n"
         "  c: {agent: e, say: \"{{b}}\"}\n  go: {wait: {signal: go}, after: [c]}\n";

static int waiting(struct bench *self, int64_t *ret_tasks, struct err *err)
{
    value_t *status = NULL;
    int rc = bench_call(self, "status", &(value_t *){NULL}, &status, err);
    *ret_tasks = value_get_int(value_get(status, "counters"), "steps", 0);
    value_destroy(&status);
    return rc;
}

static int start_waiting(struct bench *self, int64_t count, struct err *err)
{
    int rc = 0;
    uint64_t correlation;
    for (int64_t sent = 0, answered = 0; rc == 0 && answered < count;) {
        value_t *answer = NULL;
        if (sent < count && sent - answered < FLIGHTS) {
            value_t *params = value_map(), *input = value_map();
            value_set_string(input, "text", "a message of some forty bytes, to be echoed");
            value_set_string(params, "workflow", "waits");
            value_set(params, "input", &input);
            rc = client_send(bench_client(self), "executions.start", params, NULL, &correlation,
                             err);
            value_destroy(&params);
            sent++;
            continue;
        }
        rc = client_receive(bench_client(self), 60000, &correlation, &answer, err);
        value_destroy(&answer);
        answered++;
    }
    return rc;
}

/* Until all have done their three steps and wait. */
static int settle(struct bench *self, int64_t steps, struct err *err)
{
    int64_t until = clock_monotonic_us() + 120 * 1000000LL;
    for (int64_t done = 0;;) {
        int rc = waiting(self, &done, err);
        if (rc || done >= steps)
            return rc;
        if (clock_monotonic_us() > until)
            return err_set(err, ERR_TIMEOUT, "%lld of %lld steps came", (long long)done,
                           (long long)steps);
        poll(NULL, 0, 20);
    }
}

/* From the death of the coordinator until its successor answers; the pause of 100 ms before it is
 * started is within. */
static int run_recovery(struct bench *self, int64_t unfinished, struct err *err)
{
    int64_t dead_us = clock_monotonic_us();
    value_t *status = NULL;
    kill(stack_pid(self->daemons, STACK_COORDINATOR), SIGKILL);
    for (int rc = -1; rc != 0;) {
        if (clock_monotonic_us() - dead_us > 120 * 1000000LL)
            return err_set(err, ERR_TIMEOUT, "the coordinator did not come back");
        stack_tick(self->daemons, 10);
        rc = client_call(bench_client(self), "status", NULL, NULL, 50, &status, NULL, NULL);
    }
    value_t *result = value_map();
    value_set_int(result, "unfinished_executions", unfinished);
    value_set_int(result, "folded", value_get_int(value_get(status, "executions"), "active", -1));
    value_set_double(result, "seconds", (double)(clock_monotonic_us() - dead_us) / 1e6);
    value_append(self->results, &result);
    value_destroy(&status);
    return 0;
}

int bench_recovery(struct bench *self, struct err *err)
{
    int64_t most = self->context->options->count > 0 ? self->context->options->count : 10000;
    int64_t there = 0;
    int rc = bench_apply(self, RECOVERY_DEFINITIONS, 1, err);
    for (int64_t level = most < 100 ? most : 100; rc == 0 && there < most;
         level = level * 10 < most ? level * 10 : most) {
        rc = start_waiting(self, level - there, err);
        if (rc == 0)
            rc = settle(self, 3 * (level - there), err);
        there = level;
        if (rc == 0)
            rc = run_recovery(self, level, err);
        if (rc == 0)
            rc = bench_wait_instances(self, 1, err);
    }
    return rc;
}
