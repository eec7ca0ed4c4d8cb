/* Delegations through real processes: one task that delegates a thousand times, all in one turn, or
 * one a turn. Time is the whole execution's, memory what the coordinator grew by at its peak. */
#include "base/clock.h"
#include "tools/bench.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 300000

static void add_file(value_t *files, const char *name, const char *text, bool rules)
{
    value_t *file = value_map();
    value_set_string(file, "name", name);
    value_set_string(file, "text", text);
    if (rules)
        value_set_bool(file, "rules", true);
    value_append(files, &file);
}

static int apply(struct bench *self, int64_t count, struct err *err)
{
    static const char agents[] =
        "agent: echo\nbuiltin: echo\nprocess: {instances: 1, parallel: 2048}\n---\n"
        "agent: at_once\nmodel: script/at_once.yaml\ndelegates: [echo]\n---\n"
        "agent: in_turn\nmodel: script/in_turn.yaml\ndelegates: [echo]\nlimits: {turns: 10000}\n";
    static const char at_once[] =
        "rules:\n  - when: {turn: 1}\n"
        "    calls: [{delegate: echo, message: \"{{item}}\", for: message}]\n  - say: done\n";
    struct buf in_turn = {0};
    value_t *params = value_map(), *files = value_list(), *result = NULL;
    buf_printf(&in_turn,
               "rules:\n  - when: {turn: \"1..%lld\"}\n"
               "    calls: [{delegate: echo, message: \"{{turn}}\"}]\n  - say: done\n",
               (long long)count);
    add_file(files, "bench.yaml", agents, false);
    add_file(files, "at_once.yaml", at_once, true);
    add_file(files, "in_turn.yaml", buf_string(&in_turn), true);
    value_set(params, "files", &files);
    int rc = client_call(bench_client(self), "definitions.apply", params, NULL, ANSWER_MS, &result,
                         NULL, err);
    value_destroy(&params);
    value_destroy(&result);
    buf_release(&in_turn);
    return rc ? rc : bench_wait_instances(self, 3, err);
}

static int start(struct bench *self, const char *agent, int64_t count, value_t **ret_started,
                 struct err *err)
{
    value_t *params = value_map(), *numbers = value_list();
    for (int64_t i = 0; i < count; i++) {
        value_t *number = value_int(i);
        value_append(numbers, &number);
    }
    value_set_string(params, "agent", agent);
    value_set(params, "input", &numbers);
    int rc = client_call(bench_client(self), "executions.start", params, NULL, ANSWER_MS,
                         ret_started, NULL, err);
    value_destroy(&params);
    return rc;
}

static int wait_end(struct bench *self, const value_t *started, value_t **ret_ended,
                    struct err *err)
{
    value_t *params = value_map();
    value_set_string(params, "id", value_get_string(started, "id", ""));
    value_set_int(params, "timeout_ms", ANSWER_MS);
    value_set_bool(params, "tasks", false);
    int rc = client_call(bench_client(self), "executions.wait", params, NULL, ANSWER_MS, ret_ended,
                         NULL, err);
    value_destroy(&params);
    return rc;
}

static int run(struct bench *self, const char *agent, int64_t count, struct err *err)
{
    pid_t coordinator = stack_pid(self->daemons, STACK_COORDINATOR);
    value_t *started = NULL, *ended = NULL;
    int64_t before_kb = process_status_kb(coordinator, "VmRSS:");
    process_reset_peak(coordinator);
    int64_t begin_us = clock_monotonic_us();
    int rc = start(self, agent, count, &started, err);
    if (rc == 0)
        rc = wait_end(self, started, &ended, err);
    double seconds = (double)(clock_monotonic_us() - begin_us) / 1e6;
    int64_t made = rc == 0 ? value_get_int(ended, "delegations", 0) : 0;
    if (rc == 0 && made != count)
        rc = err_set(err, ERR_FAILED, "%lld of %lld delegations were made", (long long)made,
                     (long long)count);
    if (rc == 0) {
        value_t *result = value_map();
        value_set_string(result, "shape", agent);
        value_set_int(result, "delegations", count);
        value_set_double(result, "seconds", seconds);
        value_set_double(result, "delegations_per_s", (double)count / seconds);
        value_set_double(result, "coordinator_kb_each",
                         (double)(process_status_kb(coordinator, "VmHWM:") - before_kb) /
                             (double)count);
        value_append(self->results, &result);
    }
    value_destroy(&started);
    value_destroy(&ended);
    return rc;
}

int bench_delegations(struct bench *self, struct err *err)
{
    int64_t count = self->context->options->count > 0 ? self->context->options->count : 1000;
    int rc = apply(self, count, err);
    if (rc == 0)
        rc = run(self, "at_once", count, err);
    return rc ? rc : run(self, "in_turn", count, err);
}
