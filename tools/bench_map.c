/* Maps through real processes: one node with a task for each item of a list, of growing length, all
 * at once or a hundred at a time. Time is the whole execution's, memory what the coordinator grew
 * by at its peak, CPU that of broker and coordinator. */
#include "base/clock.h"
#include "tools/bench.h"

#include <string.h>

#define ANSWER_MS 300000

static const char DEFINITIONS[] =
    "agent: echo\nbuiltin: echo\nprocess: {instances: 1, parallel: 2048}\n---\n"
    "workflow: all\ninput: {list: list}\nnodes:\n"
    "  m: {agent: echo, for: input.list, say: \"{{item}}\"}\noutput: m\n---\n"
    "workflow: some\ninput: {list: list}\nnodes:\n"
    "  m: {agent: echo, for: input.list, parallel: 100, say: \"{{item}}\"}\noutput: m\n";

static int start(struct bench *self, const char *workflow, int64_t count, value_t **ret_started,
                 struct err *err)
{
    value_t *params = value_map(), *input = value_map(), *list = value_list();
    for (int64_t i = 0; i < count; i++) {
        value_t *number = value_int(i);
        value_append(list, &number);
    }
    value_set(input, "list", &list);
    value_set_string(params, "workflow", workflow);
    value_set(params, "input", &input);
    return bench_call(self, "executions.start", &params, ret_started, err);
}

static int wait_end(struct bench *self, const value_t *started, struct err *err)
{
    value_t *params = value_map(), *ended = NULL;
    value_set_string(params, "id", value_get_string(started, "id", ""));
    value_set_int(params, "timeout_ms", ANSWER_MS);
    value_set_bool(params, "tasks", false);
    int rc = bench_call(self, "executions.wait", &params, &ended, err);
    if (rc == 0 && strcmp(value_get_string(ended, "status", ""), "succeeded") != 0)
        rc = err_set(err, ERR_FAILED, "the map did not succeed");
    value_destroy(&ended);
    return rc;
}

static int run(struct bench *self, const char *workflow, int64_t count, struct err *err)
{
    pid_t coordinator = stack_pid(self->daemons, STACK_COORDINATOR);
    value_t *started = NULL;
    int64_t before_kb = process_status_kb(coordinator, "VmRSS:");
    process_reset_peak(coordinator);
    int64_t cpu_us = bench_daemons_cpu_us(self), begin_us = clock_monotonic_us();
    int rc = start(self, workflow, count, &started, err);
    if (rc == 0)
        rc = wait_end(self, started, err);
    double seconds = (double)(clock_monotonic_us() - begin_us) / 1e6;
    if (rc == 0) {
        double items = (double)count;
        value_t *result = value_map();
        value_set_string(result, "at_once", workflow);
        value_set_int(result, "items", count);
        value_set_double(result, "seconds", seconds);
        value_set_double(result, "items_per_s", items / seconds);
        value_set_double(result, "broker_and_coordinator_cpu_us_each",
                         (double)(bench_daemons_cpu_us(self) - cpu_us) / items);
        value_set_double(result, "coordinator_kb_each",
                         (double)(process_status_kb(coordinator, "VmHWM:") - before_kb) / items);
        value_append(self->results, &result);
    }
    value_destroy(&started);
    return rc;
}

int bench_map(struct bench *self, struct err *err)
{
    static const int64_t counts[] = {1000, 10000, 100000};
    int64_t given = self->context->options->count;
    int rc = bench_apply(self, DEFINITIONS, 1, err);
    if (given > 0) {
        rc = rc ? rc : run(self, "all", given, err);
        return rc ? rc : run(self, "some", given, err);
    }
    for (size_t i = 0; rc == 0 && i < 2 * (sizeof counts / sizeof *counts); i++)
        rc = run(self, i % 2 ? "some" : "all", counts[i / 2], err);
    return rc;
}
