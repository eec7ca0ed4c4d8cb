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
    f->blob_reads++;
    return 0;
}

static int pin_agent(void *context, const char *name, struct pinned_agent *ret_pin, struct err *err)
{
    struct fixture *f = context;
    const struct pinned_agent *known = map_get(f->agents, name, strlen(name));
    if (!known)
        return err_set(err, ERR_NOT_FOUND, "there is no agent \"%s\"", name);
    *ret_pin = *known;
    return 0;
}

static bool next_agent(void *context, size_t *position, const char **ret_name,
                       const char **ret_about)
{
    struct fixture *f = context;
    const struct pinned_agent *agent = map_next(f->agents, position, NULL);
    if (agent) {
        *ret_name = agent->name;
        *ret_about = "for tests";
    }
    return agent != NULL;
}

static struct pinned_agent pin_of(struct fixture *f, const char *name)
{
    const struct pinned_agent *known = map_get(f->agents, name, strlen(name));
    if (known)
        return *known;
    return (struct pinned_agent){
        .name = name, .version = 3, .timeout_us = f->agent_timeout, .rerun_never = f->rerun_never};
}

static void pin_all(struct fixture *f, struct arena *arena, const dag_t *dag,
                    const struct pinned_agent **ret_agents, size_t *ret_agents_count,
                    const struct pinned_workflow **ret_workflows, size_t *ret_workflows_count)
{
    size_t count = dag_agents(dag), below = dag_workflows(dag);
    struct pinned_agent *pins = arena_alloc(arena, (count + 1) * sizeof *pins);
    struct pinned_workflow *workflows = arena_alloc(arena, (below + 1) * sizeof *workflows);
    for (size_t i = 0; i < count; i++)
        pins[i] = pin_of(f, dag_agent(dag, i));
    for (size_t i = 0; i < below; i++)
        workflows[i] = (struct pinned_workflow){dag_workflow(dag, i), 1};
    *ret_agents = pins;
    *ret_agents_count = count;
    *ret_workflows = workflows;
    *ret_workflows_count = below;
}

/* An input {"bad": …} is refused. */
static int prepare_workflow(void *context, const char *workflow, uint32_t version,
                            const value_t *input, struct arena *arena,
                            struct prepared_workflow *ret_prepared, struct err *err)
{
    struct fixture *f = context;
    (void)version;
    dag_t *dag = map_get(f->dags, workflow, strlen(workflow));
    if (value_type(input) == VALUE_MAP && value_get(input, "bad"))
        return err_set(err, ERR_INVALID, "the input is bad");
    *ret_prepared = (struct prepared_workflow){.input = value_ref(input)};
    pin_all(f, arena, dag, &ret_prepared->agents, &ret_prepared->agents_count,
            &ret_prepared->workflows, &ret_prepared->workflows_count);
    return 0;
}

static engine_t *make_engine(struct fixture *f)
{
    const struct engine_config config = {.epoch = f->epoch,
                                         .find_dag = find_dag,
                                         .read_blob = read_blob,
                                         .pin_agent = pin_agent,
                                         .next_agent = next_agent,
                                         .prepare_workflow = prepare_workflow,
                                         .context = f};
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
    f->agents = map_new();
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
    map_destroy(&f->agents);
    arena_release(&f->arena);
    for (size_t i = 0; i < f->kept_count; i++)
        decisions_release(&f->kept[i]);
    free(f->kept);
    free(f->journal);
    free(f->effects);
    free(f);
}

int fixture_setup(void **state)
{
    *state = fixture_new();
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    fixture_free(&f);
    return 0;
}

/* What tests look at must stay while the fixture's arrays grow. */
static const void *keep(const struct fixture *f, const void *thing, size_t size)
{
    struct arena *arena = (struct arena *)(uintptr_t)&f->arena;
    return thing ? arena_copy(arena, bytes_of(thing, size)).data : NULL;
}

/* --- values ----------------------------------------------------------------------------------- */

value_t *parse_json(const char *json)
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
    value_t *value = parse_json(json);
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
                *say == '[' || (*say == '{' && say[1] != '{') ? parse_json(say) : value_string(say);
        specs[i].message = messages[i];
        if (!specs[i].agent && specs[i].kind == DAG_AGENT)
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

/* Invariant 7: the fold of the journal is the state in memory. */
static void take_events(struct fixture *f, const struct decisions *decisions)
{
    size_t count = decisions->events_count;
    f->first_event = f->journal_count;
    f->journal = xrealloc(f->journal, (f->journal_count + count + 1) * sizeof *f->journal);
    for (size_t i = 0; i < count; i++) {
        f->journal[f->journal_count++] = decisions->events[i];
        if (engine_apply(f->twin, &decisions->events[i], &f->err))
            fail_msg("the twin refuses: %s", f->err.what);
    }
    for (size_t i = 0; i < count; i++) {
        struct uuid id = decisions->events[i].execution;
        if (i + 1 < count && uuid_equal(id, decisions->events[i + 1].execution))
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

static void take_effects(struct fixture *f, const struct decisions *decisions)
{
    size_t count = decisions->effects_count;
    f->first = f->effects_count;
    f->effects = xrealloc(f->effects, (f->effects_count + count + 1) * sizeof *f->effects);
    for (size_t i = 0; i < count; i++) {
        f->effects[f->effects_count++] = decisions->effects[i];
        if (decisions->effects[i].kind == EFFECT_BLOB)
            take_blob(f, &decisions->effects[i].blob);
    }
}

/* Decisions are kept whole, so that what events and effects point to is theirs alone. */
int decide(struct fixture *f, struct input input)
{
    input.now_us = f->now;
    f->kept = xrealloc(f->kept, (f->kept_count + 1) * sizeof *f->kept);
    struct decisions *decisions = &f->kept[f->kept_count++];
    *decisions = (struct decisions){0};
    int r = engine_decide(f->engine, &input, decisions, &f->err);
    if (r) {
        assert_int_equal(decisions->events_count, 0);
        assert_int_equal(decisions->effects_count, 0);
    }
    take_events(f, decisions);
    take_effects(f, decisions);
    return r;
}

/* --- inputs ----------------------------------------------------------------------------------- */

struct uuid start_with(struct fixture *f, const char *workflow, const char *input_json)
{
    const dag_t *dag = map_get(f->dags, workflow, strlen(workflow));
    assert_non_null(dag);
    struct input input = {
        .kind = INPUT_START,
        .start = {.started = {.seed = 42 + f->executions,
                              .workflow = workflow,
                              .workflow_version = 1,
                              .agent = "",
                              .input = datum_of(f, input_json),
                              .deadline_us = f->deadline_us,
                              .by = "test"}},
    };
    struct event_started *started = &input.start.started;
    pin_all(f, &f->arena, dag, &started->agents, &started->agents_count, &started->workflows,
            &started->workflows_count);
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

static engine_t *fold_journal(struct fixture *f)
{
    engine_t *engine = make_engine(f);
    for (size_t i = 0; i < f->journal_count; i++)
        if (engine_apply(engine, &f->journal[i], &f->err))
            fail_msg("the journal is refused: %s", f->err.what);
    return engine;
}

void copy_journal(struct fixture *f, struct uuid from, uint64_t until, struct uuid to)
{
    engine_t *other = make_engine(f);
    size_t count = f->journal_count;
    for (size_t i = 0; i < count; i++) {
        struct event event = f->journal[i];
        if (!uuid_equal(event.execution, from) || event.sequence > until)
            continue;
        event.execution = to;
        if (engine_apply(other, &event, &f->err) || engine_apply(f->twin, &event, &f->err))
            fail_msg("the copied journal is refused: %s", f->err.what);
        f->journal = xrealloc(f->journal, (f->journal_count + 1) * sizeof *f->journal);
        f->journal[f->journal_count++] = event;
    }
    assert_int_equal(engine_adopt(f->engine, other, to, &f->err), 0);
    engine_destroy(&other);
}

void restart(struct fixture *f)
{
    engine_destroy(&f->engine);
    f->epoch++;
    f->engine = fold_journal(f);
    resume(f);
}

void crash(struct fixture *f, size_t on_disk)
{
    f->journal_count = on_disk;
    engine_destroy(&f->twin);
    f->twin = fold_journal(f);
    restart(f);
}

void crash_everywhere(struct fixture *f)
{
    size_t count = f->journal_count;
    struct event *journal = xmalloc((count + 1) * sizeof *journal);
    memcpy(journal, f->journal, count * sizeof *journal);
    for (size_t on_disk = 1; on_disk <= count; on_disk++) {
        f->journal = xrealloc(f->journal, (count + 1) * sizeof *f->journal);
        memcpy(f->journal, journal, on_disk * sizeof *journal);
        crash(f, on_disk);
    }
    free(journal);
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

/* --- from outside ----------------------------------------------------------------------------- */

int reopen(struct fixture *f, struct uuid id)
{
    return decide(f, (struct input){.kind = INPUT_REOPEN, .reopen = {.execution = id, .by = "me"}});
}

int decision(struct fixture *f, struct uuid id, const char *path, bool approved)
{
    return decide(
        f,
        (struct input){
            .kind = INPUT_DECISION,
            .decision = {
                .execution = id, .path = path, .approved = approved, .by = "ann", .note = "fine"}});
}

int signal_to(struct fixture *f, struct uuid id, const char *name, const char *json)
{
    return decide(
        f,
        (struct input){
            .kind = INPUT_SIGNAL,
            .signal = {.execution = id, .name = name, .payload = datum_of(f, json), .by = "bob"}});
}

int pause_it(struct fixture *f, struct uuid id)
{
    return decide(f, (struct input){.kind = INPUT_PAUSE, .pause = {id, "ann", "lunch"}});
}

int go_on(struct fixture *f, struct uuid id)
{
    return decide(f, (struct input){.kind = INPUT_GO_ON, .pause = {id, "ann", ""}});
}

/* --- model agents ----------------------------------------------------------------------------- */

void model(struct fixture *f, struct pinned_agent as)
{
    struct pinned_agent *kept = (void *)(uintptr_t)keep(f, &as, sizeof as);
    kept->takes_turns = true;
    kept->version = 3;
    while (as.delegates && as.delegates[kept->delegates_count])
        kept->delegates_count++;
    kept->delegates = keep(f, as.delegates, (kept->delegates_count + 1) * sizeof(char *));
    (void)map_put(f->agents, as.name, strlen(as.name), kept);
}

void egress_up(struct fixture *f, uint64_t handle, uint64_t boot, const struct call_key *held,
               size_t count)
{
    struct input input = {.kind = INPUT_EGRESS_UP,
                          .egress_up = {.handle = handle,
                                        .egress = "egress:e1",
                                        .boot = boot,
                                        .held = held,
                                        .held_count = count}};
    assert_int_equal(decide(f, input), 0);
}

void turn(struct fixture *f, const struct effect_dispatch *dispatch, uint32_t step_number,
          uint32_t turn_number, uint64_t tokens, const char *const *calls)
{
    struct event_step said = {.kind = STEP_TURN,
                              .number = step_number,
                              .output = datum_of(f, "{\"content\": \"hm\"}"),
                              .turn = turn_number,
                              .calls = calls,
                              .usage = {.output_tokens = tokens, .cost_microusd = 2 * tokens}};
    while (calls && calls[said.calls_count])
        said.calls_count++;
    step(f, dispatch, said);
}

void tool_result(struct fixture *f, const struct effect_dispatch *dispatch, uint32_t step_number,
                 uint32_t turn_number, uint32_t call, const char *json)
{
    step(f, dispatch,
         (struct event_step){.kind = STEP_TOOL_RESULT,
                             .number = step_number,
                             .output = datum_of(f, json),
                             .turn = turn_number,
                             .call = call});
}

static struct call_place place_of(const struct effect_dispatch *dispatch, uint32_t turn_number,
                                  uint32_t call)
{
    return (struct call_place){.path = dispatch->path,
                               .run = dispatch->run,
                               .attempt = dispatch->attempt,
                               .turn = turn_number,
                               .call = call};
}

void delegate_full(struct fixture *f, const struct effect_dispatch *dispatch, uint32_t turn_number,
                   uint32_t call, const char *agent, const char *json, bool hand_off)
{
    const struct effect_dispatch kept = *dispatch;
    struct input input = {.kind = INPUT_DELEGATE,
                          .delegate = {.handle = kept.handle,
                                       .execution = kept.execution,
                                       .by = place_of(&kept, turn_number, call),
                                       .agent = agent,
                                       .message = datum_of(f, json),
                                       .hand_off = hand_off}};
    assert_int_equal(decide(f, input), 0);
}

void delegate(struct fixture *f, const struct effect_dispatch *dispatch, uint32_t turn_number,
              uint32_t call, const char *agent, const char *json)
{
    delegate_full(f, dispatch, turn_number, call, agent, json, false);
}

void tool_call(struct fixture *f, const struct effect_dispatch *dispatch, uint32_t turn_number,
               uint32_t call, const char *tool, const char *json)
{
    const struct effect_dispatch kept = *dispatch;
    struct input input = {.kind = INPUT_TOOL_CALL,
                          .tool_call = {.handle = kept.handle,
                                        .execution = kept.execution,
                                        .by = place_of(&kept, turn_number, call),
                                        .tool = tool,
                                        .arguments = datum_of(f, json)}};
    assert_int_equal(decide(f, input), 0);
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

static const char *path_of(const struct effect *effect)
{
    switch (effect->kind) {
    case EFFECT_DISPATCH: return effect->dispatch.path;
    case EFFECT_DROP: return effect->drop.path;
    case EFFECT_GRANTED: return effect->granted.path;
    case EFFECT_GRANT: return effect->grant.key.path;
    case EFFECT_FORGET: return effect->forget.key.path;
    case EFFECT_WELCOME:
    case EFFECT_BLOB: break;
    }
    return "";
}

static const struct effect *effect_of(const struct fixture *f, enum effect_kind kind,
                                      const char *path)
{
    for (size_t i = f->first; i < f->effects_count; i++) {
        const struct effect *effect = &f->effects[i];
        if (effect->kind != kind)
            continue;
        if (!path || strcmp(path_of(effect), path) == 0)
            return effect;
    }
    return NULL;
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

const struct effect_granted *granted_of(const struct fixture *f, const char *path)
{
    const struct effect *effect = effect_of(f, EFFECT_GRANTED, path);
    return effect ? keep(f, &effect->granted, sizeof effect->granted) : NULL;
}

const struct effect_grant *grant_of(const struct fixture *f, const char *path)
{
    const struct effect *effect = effect_of(f, EFFECT_GRANT, path);
    return effect ? keep(f, &effect->grant, sizeof effect->grant) : NULL;
}

const struct effect_forget *forget_of(const struct fixture *f, const char *path)
{
    const struct effect *effect = effect_of(f, EFFECT_FORGET, path);
    return effect ? keep(f, &effect->forget, sizeof effect->forget) : NULL;
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
