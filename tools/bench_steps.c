/* Durable steps through real processes: chains of ten echo tasks, and fan-outs of a hundred with a
 * join, at a given number of executions in flight. Latency is what a client sees: from sending the
 * start to having the answer that it ended. */
#include "base/clock.h"
#include "base/map.h"
#include "tools/bench.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 60000

struct flight {
    int64_t sent_us;
    bool waiting; /* the start was answered; the next answer is its end */
};

/* One measurement: executions of one workflow, so many in flight, for so long. */
struct measurement {
    client_t *client;
    const char *workflow;
    uint64_t in_flight;
    int64_t until_us; /* no new starts after it, */
    uint64_t left;    /* nor when so many were started */
    map_t *flights;   /* correlation -> struct flight */
    struct samples samples;
    uint64_t finished, failed;
};

static int send_tracked(struct measurement *self, const char *method, value_t **params_p,
                        struct flight *flight, struct err *err)
{
    uint64_t correlation;
    int rc = client_send(self->client, method, *params_p, NULL, &correlation, err);
    value_destroy(params_p);
    if (rc)
        return rc;
    map_put(self->flights, &correlation, sizeof correlation, flight);
    return 0;
}

static int start_one(struct measurement *self, struct flight *flight, struct err *err)
{
    value_t *params = value_map();
    value_t *input = value_map();
    value_set_string(input, "text", "a message of some forty bytes, to be echoed");
    value_set_string(params, "workflow", self->workflow);
    value_set(params, "input", &input);
    flight->sent_us = clock_monotonic_us();
    flight->waiting = false;
    self->left--;
    return send_tracked(self, "executions.start", &params, flight, err);
}

static int wait_one(struct measurement *self, const value_t *started, struct flight *flight,
                    struct err *err)
{
    value_t *params = value_map();
    value_set_string(params, "id", value_get_string(started, "id", ""));
    value_set_int(params, "timeout_ms", ANSWER_MS);
    value_set_bool(params, "tasks", false);
    flight->waiting = true;
    return send_tracked(self, "executions.wait", &params, flight, err);
}

static int finish_one(struct measurement *self, const value_t *ended, struct flight *flight,
                      struct err *err)
{
    int64_t now = clock_monotonic_us();
    samples_add(&self->samples, now - flight->sent_us);
    self->finished++;
    self->failed += strcmp(value_get_string(ended, "status", ""), "succeeded") != 0;
    if (now < self->until_us && self->left > 0)
        return start_one(self, flight, err);
    free(flight);
    return 0;
}

static int take_answer(struct measurement *self, struct err *err)
{
    uint64_t correlation = 0;
    value_t *document = NULL;
    int rc = client_receive(self->client, ANSWER_MS, &correlation, &document, err);
    if (rc)
        return rc;
    struct flight *flight = map_remove(self->flights, &correlation, sizeof correlation);
    if (flight && flight->waiting)
        rc = finish_one(self, document, flight, err);
    else if (flight)
        rc = wait_one(self, document, flight, err);
    value_destroy(&document);
    return rc;
}

static int measure(struct measurement *self, struct err *err)
{
    int rc = 0;
    self->flights = map_new();
    for (uint64_t i = 0; rc == 0 && i < self->in_flight && self->left > 0; i++)
        rc = start_one(self, xcalloc(1, sizeof(struct flight)), err);
    while (rc == 0 && map_size(self->flights))
        rc = take_answer(self, err);
    size_t position = 0;
    struct flight *left;
    while ((left = map_next(self->flights, &position, NULL)))
        free(left);
    map_destroy(&self->flights);
    if (rc == 0 && self->failed)
        rc = err_set(err, ERR_FAILED, "%llu of %llu executions failed",
                     (unsigned long long)self->failed, (unsigned long long)self->finished);
    return rc;
}

static int64_t commits(client_t *client)
{
    value_t *status = NULL;
    if (client_call(client, "status", NULL, NULL, ANSWER_MS, &status, NULL, NULL))
        return 0;
    int64_t count = value_get_int(value_get(status, "store"), "commits", 0);
    value_destroy(&status);
    return count;
}

int bench_executions(struct bench *self, const char *workflow, uint64_t in_flight, uint64_t count,
                     int64_t most_us, struct bench_executions *ret, struct err *err)
{
    int64_t start = clock_monotonic_us();
    struct measurement m = {.client = bench_client(self),
                            .workflow = workflow,
                            .in_flight = in_flight,
                            .until_us = start + most_us,
                            .left = count};
    int rc = measure(&m, err);
    *ret = (struct bench_executions){.count = m.finished,
                                     .seconds = (double)(clock_monotonic_us() - start) / 1e6};
    samples_release(&m.samples);
    return rc;
}

/* Runs at one number in flight and adds its result: {in_flight, tasks-a-second fields,
 * percentiles}. */
static int run(struct bench *self, const char *workflow, int64_t in_flight, int64_t tasks,
               const char *size_key, int64_t size, const char *rate_key, struct err *err)
{
    int64_t seconds = self->context->options->seconds > 0 ? self->context->options->seconds : 5;
    struct measurement m = {.client = bench_client(self),
                            .workflow = workflow,
                            .in_flight = (uint64_t)in_flight,
                            .left = UINT64_MAX};
    int64_t commits_before = commits(m.client);
    int64_t cpu_before = bench_daemons_cpu_us(self);
    int64_t start = clock_monotonic_us();
    m.until_us = start + seconds * 1000000;
    int rc = measure(&m, err);
    double took = (double)(clock_monotonic_us() - start) / 1e6;
    if (rc == 0) {
        double steps = (double)m.finished * (double)tasks;
        value_t *result = value_map();
        value_set_int(result, "in_flight", in_flight);
        value_set_int(result, size_key, size);
        value_set_double(result, "executions_per_s", (double)m.finished / took);
        value_set_double(result, rate_key, steps / took);
        value_set_double(result, "p50_ms", samples_percentile_us(&m.samples, 50) / 1e3);
        value_set_double(result, "p99_ms", samples_percentile_us(&m.samples, 99) / 1e3);
        value_set_double(result, "commits_per_s",
                         (double)(commits(m.client) - commits_before) / took);
        value_set_double(result, "broker_and_coordinator_cpu_us_per_step",
                         (double)(bench_daemons_cpu_us(self) - cpu_before) / steps);
        value_append(self->results, &result);
    }
    samples_release(&m.samples);
    return rc;
}

static int run_all(struct bench *self, const char *workflow, int64_t tasks, const char *size_key,
                   int64_t size, const char *rate_key, const int64_t *defaults, struct err *err)
{
    int64_t given = self->context->options->in_flight;
    if (given > 0)
        return run(self, workflow, given, tasks, size_key, size, rate_key, err);
    int rc = 0;
    for (; rc == 0 && *defaults; defaults++)
        rc = run(self, workflow, *defaults, tasks, size_key, size, rate_key, err);
    return rc;
}

static void define_echo(struct buf *text)
{
    buf_puts(text, "agent: echo\nbuiltin: echo\nprocess: {instances: 1, parallel: 2048}\n---\n");
}

int bench_steps(struct bench *self, struct err *err)
{
    static const int64_t in_flight[] = {1, 64, 256, 1024, 0};
    struct buf text = {0};
    define_echo(&text);
    buf_puts(&text, "workflow: chain\ninput: {text: text}\nnodes:\n"
                    "  n1: {agent: echo, say: \"{{input.text}}\"}\n");
    for (int i = 2; i <= 10; i++)
        buf_printf(&text, "  n%d: {agent: echo, say: \"{{n%d}}\"}\n", i, i - 1);
    buf_puts(&text, "output: n10\n");
    int rc = bench_apply(self, buf_string(&text), 1, err);
    buf_release(&text);
    return rc ? rc : run_all(self, "chain", 10, "chain", 10, "steps_per_s", in_flight, err);
}

int bench_fan(struct bench *self, struct err *err)
{
    static const int64_t in_flight[] = {1, 64, 0};
    struct buf text = {0};
    define_echo(&text);
    buf_puts(&text, "workflow: fan\ninput: {text: text}\nnodes:\n"
                    "  first: {agent: echo, say: \"{{input.text}}\"}\n");
    for (int i = 1; i <= 100; i++)
        buf_printf(&text, "  n%d: {agent: echo, say: \"{{first}}\"}\n", i);
    buf_puts(&text, "  last:\n    agent: echo\n    say: done\n    after: [n1");
    for (int i = 2; i <= 100; i++)
        buf_printf(&text, ", n%d", i);
    buf_puts(&text, "]\noutput: last\n");
    int rc = bench_apply(self, buf_string(&text), 1, err);
    buf_release(&text);
    return rc ? rc : run_all(self, "fan", 102, "width", 100, "tasks_per_s", in_flight, err);
}
