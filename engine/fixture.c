#include "engine/fixture.h"
#include <stdio.h>
#include <stdlib.h>

/* --- callbacks -------------------------------------------------------------------------------- */

static dag_t *find_dag(void *context, const char *workflow, uint32_t version, const char *agent,
                       struct err *err)
{
    struct fixture *f = context;
    (void)version;
    const char *name = *workflow ? workflow : agent;
    dag_t *dag = map_get(f->dags, name, strlen(name));
    if (dag)
        return dag_ref(dag);
    (void)err_set(err, ERR_NOT_FOUND, "there is no \"%s\"", name);
    return NULL;
}

static int read_blob(void *context, const uint8_t hash[DATUM_HASH_BYTES], struct bytes *ret_bytes,
                     struct err *err)
{
    struct fixture *f = context;
    const struct buf *blob = map_get(f->blobs, hash, DATUM_HASH_BYTES);
    if (!blob)
        return err_set(err, ERR_NOT_FOUND, "the blob is missing");
    *ret_bytes = buf_bytes(blob);
    return 0;
}

static engine_t *make_engine(struct fixture *f)
{
    const struct engine_config config = {
        .epoch = f->epoch, .find_dag = find_dag, .read_blob = read_blob, .context = f};
    return engine_new(&config);
}

struct fixture *fixture_new(void)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->epoch = 7;
    f->now = T0;
    f->credit = 100;
    f->dags = map_new();
    f->blobs = map_new();
    f->engine = make_engine(f);
    f->twin = make_engine(f);
    return f;
}

void fixture_free(struct fixture **f_p)
{
    struct fixture *f = *f_p;
    *f_p = NULL;
    engine_destroy(&f->engine);
    engine_destroy(&f->twin);
    size_t position = 0;
    dag_t *dag;
    while ((dag = map_next(f->dags, &position, NULL)))
        dag_destroy(&dag);
    struct buf *blob;
    position = 0;
    while ((blob = map_next(f->blobs, &position, NULL))) {
        buf_release(blob);
        free(blob);
    }
    map_destroy(&f->dags);
    map_destroy(&f->blobs);
    arena_release(&f->arena);
    decisions_release(&f->decisions);
    free(f->journal);
    free(f->effects);
    free(f);
}

/* --- values ----------------------------------------------------------------------------------- */

static value_t *parse(const char *json)
{
    value_t *value = NULL;
    struct err err;
    if (value_from_json(json, strlen(json), &value, &err))
        fail_msg("%s: %s", json, err.what);
    return value;
}

struct datum datum_of(struct fixture *f, const char *json)
{
    struct buf packed = {0};
    value_t *value = parse(json);
    value_to_msgpack(value, &packed);
    struct datum datum = datum_inline(arena_copy(&f->arena, buf_bytes(&packed)));
    value_destroy(&value);
    buf_release(&packed);
    return datum;
}

const char *json_of(struct fixture *f, const struct datum *datum)
{
    struct bytes bytes = datum->inline_bytes;
    value_t *value = NULL;
    struct buf text = {0};
    if (datum->is_blob)
        assert_int_equal(read_blob(f, datum->hash, &bytes, NULL), 0);
    if (bytes.size == 0)
        return "absent";
    assert_int_equal(value_from_msgpack(bytes, &value, NULL), 0);
    value_to_json(value, VALUE_JSON_COMPACT, &text);
    value_destroy(&value);
    const char *kept = arena_strdup(&f->arena, buf_string(&text));
    buf_release(&text);
    return kept;
}

/* --- workflows -------------------------------------------------------------------------------- */

void workflow_full(struct fixture *f, struct dag_spec options, const struct node *nodes,
                   size_t count)
{
    struct dag_node_spec *specs = xcalloc(count, sizeof *specs);
    value_t **messages = xcalloc(count, sizeof(value_t *));
    for (size_t i = 0; i < count; i++) {
        specs[i] = nodes[i].spec;
        const char *say = nodes[i].say;
        if (say)
            messages[i] =
                *say == '[' || (*say == '{' && say[1] != '{') ? parse(say) : value_string(say);
        specs[i].message = messages[i];
        if (!specs[i].agent)
            specs[i].agent = "echo";
        if (specs[i].retry.attempts == 0)
            specs[i].retry.attempts = 1;
        if (specs[i].retry.factor < 1)
            specs[i].retry.factor = 1;
    }
    options.nodes = specs;
    options.nodes_count = count;
    dag_t *dag = NULL;
    if (dag_new(&options, &dag, &f->err))
        fail_msg("%s: %s (%s)", options.name, f->err.what, f->err.where);
    assert_null(map_put(f->dags, options.name, strlen(options.name), dag));
    for (size_t i = 0; i < count; i++)
        value_destroy(&messages[i]);
    free((void *)messages);
    free(specs);
}

/* --- the journal ------------------------------------------------------------------------------ */

static const char *copy_text(struct fixture *f, const char *text)
{
    return text ? arena_strdup(&f->arena, text) : NULL;
}

static void copy_failure(struct fixture *f, struct failure *failure)
{
    failure->code = copy_text(f, failure->code);
    failure->message = copy_text(f, failure->message);
    failure->detail = copy_text(f, failure->detail);
}

static void copy_started(struct fixture *f, struct event_started *started)
{
    struct pinned_agent *agents =
        arena_alloc(&f->arena, (started->agents_count + 1) * sizeof *agents);
    for (size_t i = 0; i < started->agents_count; i++) {
        agents[i] = started->agents[i];
        agents[i].name = copy_text(f, agents[i].name);
    }
    started->agents = agents;
    started->workflow = copy_text(f, started->workflow);
    started->agent = copy_text(f, started->agent);
    started->by = copy_text(f, started->by);
    started->input = datum_copy(&f->arena, &started->input);
}

static void copy_step(struct fixture *f, struct event_step *step)
{
    step->path = copy_text(f, step->path);
    step->instance = copy_text(f, step->instance);
    step->agent = copy_text(f, step->agent);
    step->output = datum_copy(&f->arena, &step->output);
    copy_failure(f, &step->failure);
}

static struct event copy_event(struct fixture *f, struct event event)
{
    switch (event.kind) {
    case EVENT_STARTED: copy_started(f, &event.started); break;
    case EVENT_STEP: copy_step(f, &event.step); break;
    case EVENT_LOST:
        event.lost.path = copy_text(f, event.lost.path);
        event.lost.reason = copy_text(f, event.lost.reason);
        event.lost.instance = copy_text(f, event.lost.instance);
        break;
    case EVENT_CANCEL:
        event.cancel.by = copy_text(f, event.cancel.by);
        event.cancel.why = copy_text(f, event.cancel.why);
        break;
    case EVENT_FAILING:
        event.failing.path = copy_text(f, event.failing.path);
        copy_failure(f, &event.failing.failure);
        break;
    case EVENT_ENDED:
        event.ended.path = copy_text(f, event.ended.path);
        event.ended.output = datum_copy(&f->arena, &event.ended.output);
        copy_failure(f, &event.ended.failure);
        break;
    }
    return event;
}

/* Invariant 7: the fold of the journal is the state in memory. */
static void take_events(struct fixture *f)
{
    size_t count = f->decisions.events_count;
    f->first_event = f->journal_count;
    f->journal = xrealloc(f->journal, (f->journal_count + count + 1) * sizeof *f->journal);
    for (size_t i = 0; i < count; i++) {
        struct event event = copy_event(f, f->decisions.events[i]);
        f->journal[f->journal_count++] = event;
        if (engine_apply(f->twin, &event, &f->err))
            fail_msg("the twin refuses: %s", f->err.what);
    }
    for (size_t i = 0; i < count; i++) {
        struct uuid id = f->decisions.events[i].execution;
        if (i + 1 < count && uuid_equal(id, f->decisions.events[i + 1].execution))
            continue;
        assert_true(engine_fingerprint(f->engine, id) != 0);
        assert_true(engine_fingerprint(f->engine, id) == engine_fingerprint(f->twin, id));
    }
}

static void take_blob(struct fixture *f, const struct effect_blob *effect)
{
    struct buf *blob = xcalloc(1, sizeof *blob);
    buf_append_bytes(blob, effect->bytes);
    blob = map_put(f->blobs, effect->hash, DATUM_HASH_BYTES, blob);
    if (blob) {
        buf_release(blob);
        free(blob);
    }
}

static void copy_effect(struct fixture *f, struct effect *effect)
{
    switch (effect->kind) {
    case EFFECT_DISPATCH:
        effect->dispatch.path = copy_text(f, effect->dispatch.path);
        effect->dispatch.agent = copy_text(f, effect->dispatch.agent);
        effect->dispatch.workflow = copy_text(f, effect->dispatch.workflow);
        effect->dispatch.message = datum_copy(&f->arena, &effect->dispatch.message);
        break;
    case EFFECT_DROP:
        effect->drop.path = copy_text(f, effect->drop.path);
        effect->drop.reason = copy_text(f, effect->drop.reason);
        break;
    case EFFECT_WELCOME: {
        size_t size = effect->welcome.count * sizeof(struct verdict);
        struct verdict *verdicts = arena_alloc(&f->arena, size + 1);
        for (size_t i = 0; i < effect->welcome.count; i++) {
            verdicts[i] = effect->welcome.verdicts[i];
            verdicts[i].path = copy_text(f, verdicts[i].path);
        }
        effect->welcome.verdicts = verdicts;
        break;
    }
    case EFFECT_BLOB: take_blob(f, &effect->blob); break;
    }
}

static void take_effects(struct fixture *f)
{
    size_t count = f->decisions.effects_count;
    f->first = f->effects_count;
    f->effects = xrealloc(f->effects, (f->effects_count + count + 1) * sizeof *f->effects);
    for (size_t i = 0; i < count; i++) {
        struct effect effect = f->decisions.effects[i];
        copy_effect(f, &effect);
        f->effects[f->effects_count++] = effect;
    }
}

int decide(struct fixture *f, struct input input)
{
    input.now_us = f->now;
    decisions_clear(&f->decisions);
    int r = engine_decide(f->engine, &input, &f->decisions, &f->err);
    if (r) {
        assert_int_equal(f->decisions.events_count, 0);
        assert_int_equal(f->decisions.effects_count, 0);
    }
    take_events(f);
    take_effects(f);
    return r;
}

/* --- inputs ----------------------------------------------------------------------------------- */

struct uuid start_with(struct fixture *f, const char *workflow, const char *input_json)
{
    const dag_t *dag = map_get(f->dags, workflow, strlen(workflow));
    assert_non_null(dag);
    size_t count = dag_agents(dag);
    struct pinned_agent *pins = arena_alloc(&f->arena, count * sizeof *pins);
    for (size_t i = 0; i < count; i++)
        pins[i] = (struct pinned_agent){dag_agent(dag, i), 3, f->agent_timeout, f->rerun_never};
    struct input input = {
        .kind = INPUT_START,
        .start = {.started = {.seed = 42 + f->executions,
                              .workflow = workflow,
                              .workflow_version = 1,
                              .agent = "",
                              .agents = pins,
                              .agents_count = count,
                              .input = datum_of(f, input_json),
                              .by = "test"}},
    };
    f->executions++;
    memcpy(input.start.execution.bytes, &f->executions, sizeof f->executions);
    if (decide(f, input))
        fail_msg("start: %s", f->err.what);
    return input.start.execution;
}

struct uuid start(struct fixture *f, const char *workflow)
{
    return start_with(f, workflow, "\"in\"");
}

int cancel(struct fixture *f, struct uuid id)
{
    return decide(f, (struct input){.kind = INPUT_CANCEL, .cancel = {id, "test", "because"}});
}

void up_claiming(struct fixture *f, uint64_t handle, uint64_t old_handle, const char *agent,
                 const struct claim *claims, size_t count)
{
    char name[32];
    (void)snprintf(name, sizeof name, "inst_%llu", (unsigned long long)handle);
    struct input input = {.kind = INPUT_INSTANCE_UP,
                          .up = {.handle = handle,
                                 .old_handle = old_handle,
                                 .instance = name,
                                 .agent = agent,
                                 .credit = f->credit,
                                 .claims = claims,
                                 .claims_count = count}};
    assert_int_equal(decide(f, input), 0);
}

void up(struct fixture *f, uint64_t handle, const char *agent)
{
    up_claiming(f, handle, 0, agent, NULL, 0);
}

void down(struct fixture *f, uint64_t handle, const char *reason)
{
    struct input input = {.kind = INPUT_INSTANCE_DOWN, .down = {handle, reason}};
    assert_int_equal(decide(f, input), 0);
}

void credit(struct fixture *f, uint64_t handle, uint64_t total)
{
    struct input input = {.kind = INPUT_CREDIT, .credit = {handle, total, false}};
    assert_int_equal(decide(f, input), 0);
}

void tick(struct fixture *f, int64_t at_us)
{
    f->now = at_us;
    assert_int_equal(decide(f, (struct input){.kind = INPUT_TICK}), 0);
}

void resume(struct fixture *f)
{
    assert_int_equal(decide(f, (struct input){.kind = INPUT_RESUME}), 0);
}

void restart(struct fixture *f)
{
    engine_destroy(&f->engine);
    f->epoch++;
    f->engine = make_engine(f);
    for (size_t i = 0; i < f->journal_count; i++)
        if (engine_apply(f->engine, &f->journal[i], &f->err))
            fail_msg("the journal is refused: %s", f->err.what);
    resume(f);
}

void step(struct fixture *f, const struct effect_dispatch *dispatch, struct event_step said)
{
    const struct effect_dispatch kept = *dispatch;
    said.path = kept.path;
    said.attempt = kept.attempt;
    said.run = kept.run;
    if (said.number == 0)
        said.number = kept.journaled_step + 1;
    struct input input = {.kind = INPUT_STEP, .step = {kept.handle, kept.execution, said}};
    assert_int_equal(decide(f, input), 0);
}

void result(struct fixture *f, const struct effect_dispatch *dispatch, const char *json)
{
    step(f, dispatch, (struct event_step){.kind = STEP_RESULT, .output = datum_of(f, json)});
}

void failure(struct fixture *f, const struct effect_dispatch *dispatch, const char *code,
             bool permanent)
{
    struct failure why = {.code = code, .message = "it broke", .permanent = permanent};
    step(f, dispatch, (struct event_step){.kind = STEP_FAILURE, .failure = why});
}

void echo_all(struct fixture *f)
{
    for (size_t i = f->first; i < f->effects_count; i++) {
        if (f->effects[i].kind != EFFECT_DISPATCH)
            continue;
        const struct effect_dispatch dispatch = f->effects[i].dispatch;
        step(f, &dispatch, (struct event_step){.kind = STEP_RESULT, .output = dispatch.message});
    }
}

/* --- looking ---------------------------------------------------------------------------------- */

size_t count_effects(const struct fixture *f, enum effect_kind kind)
{
    size_t count = 0;
    for (size_t i = f->first; i < f->effects_count; i++)
        count += f->effects[i].kind == kind;
    return count;
}

size_t count_events(const struct fixture *f, enum event_kind kind)
{
    size_t count = 0;
    for (size_t i = f->first_event; i < f->journal_count; i++)
        count += f->journal[i].kind == kind;
    return count;
}

static const struct effect *effect_of(const struct fixture *f, enum effect_kind kind,
                                      const char *path)
{
    for (size_t i = f->first; i < f->effects_count; i++) {
        const struct effect *effect = &f->effects[i];
        if (effect->kind != kind)
            continue;
        const char *its = kind == EFFECT_DISPATCH ? effect->dispatch.path
                          : kind == EFFECT_DROP   ? effect->drop.path
                                                  : "";
        if (!path || strcmp(its, path) == 0)
            return effect;
    }
    return NULL;
}

/* What tests look at must stay while the fixture's arrays grow. */
static const void *keep(const struct fixture *f, const void *thing, size_t size)
{
    struct arena *arena = (struct arena *)(uintptr_t)&f->arena;
    return thing ? arena_copy(arena, bytes_of(thing, size)).data : NULL;
}

const struct effect_dispatch *dispatch_of(const struct fixture *f, const char *path)
{
    const struct effect *effect = effect_of(f, EFFECT_DISPATCH, path);
    return effect ? keep(f, &effect->dispatch, sizeof effect->dispatch) : NULL;
}

const struct effect_drop *drop_of(const struct fixture *f, const char *path)
{
    const struct effect *effect = effect_of(f, EFFECT_DROP, path);
    return effect ? keep(f, &effect->drop, sizeof effect->drop) : NULL;
}

const struct effect_welcome *welcome_of(const struct fixture *f)
{
    const struct effect *effect = effect_of(f, EFFECT_WELCOME, NULL);
    return effect ? keep(f, &effect->welcome, sizeof effect->welcome) : NULL;
}

const struct event *event_of(const struct fixture *f, enum event_kind kind)
{
    for (size_t i = f->journal_count; i > f->first_event; i--)
        if (f->journal[i - 1].kind == kind)
            return keep(f, &f->journal[i - 1], sizeof *f->journal);
    return NULL;
}

struct execution_view execution(const struct fixture *f, struct uuid id)
{
    struct execution_view view;
    assert_int_equal(engine_execution(f->engine, id, &view), 0);
    return view;
}

struct task_view task(const struct fixture *f, struct uuid id, const char *path)
{
    struct task_view view;
    for (uint32_t i = 0; engine_task(f->engine, id, i, &view) == 0; i++)
        if (strcmp(view.path, path) == 0)
            return view;
    fail_msg("there is no task %s", path);
    return view;
}

const char *status_of(const struct fixture *f, struct uuid id)
{
    return execution_status_name(execution(f, id).status);
}

const char *task_status_of(const struct fixture *f, struct uuid id, const char *path)
{
    return task_status_name(task(f, id, path).status);
}

const char *output_of(struct fixture *f, struct uuid id)
{
    struct execution_view view = execution(f, id);
    return json_of(f, &view.output);
}
