/* How much of a durable step is the engine: chains of ten echo nodes, so many in flight, each step
 * said and its successor dispatched. Prints nanoseconds for each step. */
#include "base/clock.h"
#include "base/limits.h"
#include "engine/engine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN     10
#define IN_FLIGHT 256
#define MESSAGE   256

struct sent {
    struct uuid execution;
    char path[8];
    struct run run;
};

struct bench {
    engine_t *engine;
    dag_t *dag;
    struct decisions decisions;
    struct sent *row; /* dispatches to be answered, in order */
    size_t first, count, capacity;
    struct datum message;
    uint64_t started, ended, answered;
};

static dag_t *find_dag(void *context, const char *workflow, uint32_t version, const char *agent,
                       struct err *err)
{
    (void)workflow, (void)version, (void)agent, (void)err;
    return dag_ref(((struct bench *)context)->dag);
}

static int read_blob(void *context, const uint8_t hash[DATUM_HASH_BYTES], struct bytes *ret_bytes,
                     struct err *err)
{
    (void)context, (void)hash, (void)ret_bytes;
    return err_set(err, ERR_NOT_FOUND, "no blobs here");
}

static dag_t *make_chain(void)
{
    static char ids[CHAIN][8];
    struct dag_node_spec nodes[CHAIN] = {{0}};
    value_t *messages[CHAIN];
    for (int i = 0; i < CHAIN; i++) {
        char text[24];
        (void)snprintf(ids[i], sizeof ids[i], "n%d", i);
        (void)snprintf(text, sizeof text, "{{%s}}", i ? ids[i - 1] : "input");
        messages[i] = value_string(text);
        nodes[i] = (struct dag_node_spec){.id = ids[i],
                                          .agent = "echo",
                                          .message = messages[i],
                                          .retry = {.attempts = 1, .factor = 1}};
    }
    const struct dag_spec spec = {.name = "chain", .nodes = nodes, .nodes_count = CHAIN};
    dag_t *dag = NULL;
    struct err err;
    if (dag_new(&spec, &dag, &err))
        exit(1);
    for (int i = 0; i < CHAIN; i++)
        value_destroy(&messages[i]);
    return dag;
}

static void take_effects(struct bench *self)
{
    const struct decisions *out = &self->decisions;
    for (size_t i = 0; i < out->events_count; i++) {
        if (out->events[i].kind != EVENT_ENDED)
            continue;
        self->ended++;
        engine_forget(self->engine, out->events[i].execution);
    }
    for (size_t i = 0; i < out->effects_count; i++) {
        const struct effect *effect = &out->effects[i];
        if (effect->kind != EFFECT_DISPATCH)
            continue;
        struct sent *sent = &self->row[(self->first + self->count++) % self->capacity];
        sent->execution = effect->dispatch.execution;
        sent->run = effect->dispatch.run;
        (void)snprintf(sent->path, sizeof sent->path, "%s", effect->dispatch.path);
    }
}

static void decide(struct bench *self, const struct input *input)
{
    struct err err;
    decisions_clear(&self->decisions);
    if (engine_decide(self->engine, input, &self->decisions, &err)) {
        (void)fprintf(stderr, "%s\n", err.what);
        exit(1);
    }
    take_effects(self);
}

static void start_one(struct bench *self)
{
    static const struct pinned_agent pin = {.name = "echo", .version = 1};
    struct input input = {.kind = INPUT_START,
                          .now_us = 1,
                          .start.started = {.workflow = "chain",
                                            .agent = "",
                                            .agents = &pin,
                                            .agents_count = 1,
                                            .input = self->message}};
    self->started++;
    memcpy(input.start.execution.bytes, &self->started, sizeof self->started);
    decide(self, &input);
}

static void answer_one(struct bench *self)
{
    const struct sent sent = self->row[self->first];
    self->first = (self->first + 1) % self->capacity;
    self->count--;
    self->answered++;
    const struct input input = {.kind = INPUT_STEP,
                                .now_us = 1,
                                .step = {.handle = 1,
                                         .execution = sent.execution,
                                         .step = {.path = sent.path,
                                                  .run = sent.run,
                                                  .number = 1,
                                                  .kind = STEP_RESULT,
                                                  .output = self->message}}};
    decide(self, &input);
}

int main(int argc, char **argv)
{
    uint64_t executions = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000;
    static uint8_t bytes[MESSAGE + 2];
    struct bench bench = {.dag = make_chain(), .capacity = 2 * IN_FLIGHT};
    const struct engine_config config = {
        .epoch = 1, .find_dag = find_dag, .read_blob = read_blob, .context = &bench};
    bytes[0] = 0xd9; /* a text of 255 bytes */
    bytes[1] = 0xff;
    bench.message = datum_inline(bytes_of(bytes, sizeof bytes - 1));
    bench.row = xcalloc(bench.capacity, sizeof *bench.row);
    bench.engine = engine_new(&config);
    const struct input up = {
        .kind = INPUT_INSTANCE_UP,
        .now_us = 1,
        .up = {.handle = 1, .instance = "inst_1", .agent = "echo", .credit = UINT64_MAX}};
    decide(&bench, &up);
    int64_t begin_us = clock_monotonic_us();
    while (bench.ended < executions) {
        while (bench.started - bench.ended < IN_FLIGHT && bench.started < executions)
            start_one(&bench);
        answer_one(&bench);
    }
    double spent_us = (double)(clock_monotonic_us() - begin_us);
    (void)printf("%llu steps in %llu executions: %.0f ns each\n",
                 (unsigned long long)bench.answered, (unsigned long long)bench.ended,
                 spent_us * 1000 / (double)bench.answered);
    engine_destroy(&bench.engine);
    dag_destroy(&bench.dag);
    decisions_release(&bench.decisions);
    free(bench.row);
    return 0;
}
