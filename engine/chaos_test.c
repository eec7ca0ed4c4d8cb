#include "engine/fixture.h"
#include <stdio.h>
#include <stdlib.h>

/* Random workflows under random inputs, seeded: answers, failures, turns, losses, hellos with all
 * kinds of claims, cancels, ticks and restarts. The fixture compares the fold after every input;
 * here stand the invariants that reach over inputs, and that every execution ends once the trouble
 * does. CHAOS_SEED=n runs one seed, CHAOS_SEEDS=n that many. */

#define INSTANCES 4
#define AGENTS    2

struct held {
    struct effect_dispatch dispatch;
    uint32_t step; /* last one said under this run */
};

struct chaos {
    struct fixture *f;
    uint64_t seed;
    uint32_t random;
    uint64_t next_handle;
    uint64_t handles[INSTANCES]; /* 0: down */
    struct held held[8192];      /* what instances believe to hold, by handle */
    size_t held_count;
    struct uuid ids[64];
    size_t ids_count;
    struct run last_run;
    value_t *sets[3 * 12]; /* of nodes; owned */
    size_t sets_count;
};

static uint32_t dice(struct chaos *self, uint32_t sides)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 17;
    self->random ^= self->random << 5;
    return self->random % sides;
}

static const char *agent_of(size_t instance)
{
    return instance % AGENTS ? "odd" : "even";
}

static const char *an_if(struct chaos *self, uint32_t i)
{
    struct fixture *f = self->f;
    uint32_t k = i > 0 ? dice(self, i) : 0;
    uint32_t what = i > 0 ? dice(self, 10) : dice(self, 3);
    switch (what) {
    case 0: return "true";
    case 1: return "false";
    case 2: return dice(self, 3) ? "1 < 2" : "execution.id";
    case 3: return arena_printf(&f->arena, "n%u != null", k);
    case 4: return arena_printf(&f->arena, "n%u == null", k);
    case 5: return arena_printf(&f->arena, "nodes.n%u.status == 'succeeded'", k);
    case 6:
        return arena_printf(&f->arena, "nodes.n%u.status == 'failed' || nodes.n%u.error == null", k,
                            k);
    case 7: return arena_printf(&f->arena, "n%u.x == 1", k);
    case 8: return "has(context.k)";
    default: return arena_printf(&f->arena, "n%u != null || n%u == null", k, dice(self, i));
    }
}

/* Some nodes wait for a person, a time or a signal instead. */
static void make_wait(struct chaos *self, struct dag_node_spec *spec)
{
    const enum dag_kind kinds[] = {DAG_APPROVE, DAG_WAIT, DAG_SIGNAL};
    spec->kind = kinds[dice(self, 3)];
    spec->agent = spec->fallback = NULL;
    spec->on_error = (enum dag_on_error)dice(self, 2);
    spec->wait_us = (1 + dice(self, 20)) * SECOND;
    spec->signal = spec->kind == DAG_SIGNAL ? "go" : NULL;
    if (spec->kind == DAG_WAIT)
        spec->timeout_us = 0;
}

/* Some run the workflow that was made before. */
static void make_sub(struct dag_node_spec *spec, const char *below)
{
    spec->kind = DAG_WORKFLOW;
    spec->workflow = below;
    spec->agent = spec->fallback = NULL;
    spec->on_error %= DAG_FALLBACK;
}

/* What nodes set of the shared context; some of it fails, for want of a field or of an object. */
static void make_set(struct chaos *self, struct dag_node_spec *spec)
{
    struct fixture *f = self->f;
    const char *sets[] = {"{\"k\": 1}", "{\"k\": null}", "{\"k\": {\"x\": \"{{execution.id}}\"}}",
                          arena_printf(&f->arena, "{\"k\": \"{{%s}}\"}", spec->id),
                          "{\"k\": \"{{context.k}}\"}"};
    const char *json = sets[dice(self, 5)];
    value_t *set = parse_json(json);
    self->sets[self->sets_count++] = set;
    spec->set = set;
    if (dice(self, 3) == 0 && strstr(json, spec->id) == NULL) {
        spec->kind = DAG_SET;
        spec->agent = spec->fallback = NULL;
        spec->on_error = (enum dag_on_error)dice(self, 2);
        spec->timeout_us = 0;
    }
}

static void make_workflow(struct chaos *self, const char *name, const char *below)
{
    struct fixture *f = self->f;
    struct node nodes[12] = {0};
    uint32_t count = 1 + dice(self, 12);
    for (uint32_t i = 0; i < count; i++) {
        struct dag_node_spec *spec = &nodes[i].spec;
        const char **after = arena_alloc(&f->arena, 4 * sizeof *after);
        spec->id = arena_printf(&f->arena, "n%u", i);
        spec->agent = agent_of(dice(self, AGENTS));
        spec->fallback = agent_of(dice(self, AGENTS));
        spec->join = (enum dag_join)dice(self, 3);
        spec->on_error = (enum dag_on_error)dice(self, 3);
        spec->retry.attempts = 1 + dice(self, 3);
        spec->retry.backoff_us = dice(self, 3) * SECOND;
        spec->timeout_us = dice(self, 3) ? 0 : 20 * SECOND;
        spec->disabled = dice(self, 12) == 0;
        spec->after = after;
        const char **ifs = arena_alloc(&f->arena, 4 * sizeof *ifs);
        spec->after_ifs = ifs;
        uint32_t used = 0;
        while (i > 0 && spec->after_count < 4 && dice(self, 3)) {
            uint32_t k = dice(self, i);
            if (used & 1u << k)
                continue;
            used |= 1u << k;
            ifs[spec->after_count] = dice(self, 2) ? NULL : an_if(self, i);
            after[spec->after_count++] = nodes[k].spec.id;
        }
        if (dice(self, 5) == 0)
            make_wait(self, spec);
        else if (below && dice(self, 5) == 0)
            make_sub(spec, below);
        else if (dice(self, 4) == 0)
            make_set(self, spec);
        if (dice(self, 3) == 0)
            spec->condition = an_if(self, i);
        if (dice(self, 3) == 0) {
            uint32_t k = dice(self, i + 1);
            const char *lists[] = {"[1, 2, 3]", "[]", "[1,2,3,4,5,6,7,8]", "3",
                                   i > 0
                                       ? arena_printf(&f->arena, "n%u == null ? [] : [1, 2, n%u.x]",
                                                      k ? k - 1 : 0, k ? k - 1 : 0)
                                       : "[7]"};
            spec->items = lists[dice(self, 5)];
            spec->items_parallel = dice(self, 4);
        }
        if (spec->items && dice(self, 2))
            nodes[i].say = dice(self, 8) ? "{{item}} {{index}}" : "{{item.no}}";
        else if (i > 0 && dice(self, 2))
            nodes[i].say =
                arena_printf(&f->arena, dice(self, 6) ? "{{n%u}}" : "{{n%u.no}}", dice(self, i));
    }
    const struct dag_spec options = {.name = name,
                                     .priority = dice(self, 10),
                                     .parallel = dice(self, 4),
                                     .finish = dice(self, 2),
                                     .time_us = dice(self, 3) ? 0 : 90 * SECOND};
    workflow_full(f, options, nodes, count);
}

/* --- what effects do to the instances --------------------------------------------------------- */

static void forget(struct chaos *self, size_t index)
{
    self->held[index] = self->held[--self->held_count];
}

static void take_dispatch(struct chaos *self, const struct effect_dispatch *dispatch)
{
    struct execution_view view = execution(self->f, dispatch->execution);
    assert_true(run_compare(dispatch->run, self->last_run) > 0);
    self->last_run = dispatch->run;
    assert_true(view.status != EXECUTION_PAUSED);
    if (!execution_status_terminal(view.status)) {
        enum task_status status = task(self->f, dispatch->execution, dispatch->path).status;
        assert_true(status == TASK_RUNNING || view.status == EXECUTION_FAILING);
    }
    assert_true(self->held_count < sizeof self->held / sizeof *self->held);
    self->held[self->held_count++] = (struct held){*dispatch, dispatch->journaled_step};
}

static void take_drop(struct chaos *self, const struct effect_drop *drop)
{
    for (size_t i = 0; i < self->held_count; i++)
        if (self->held[i].dispatch.handle == drop->handle &&
            run_compare(self->held[i].dispatch.run, drop->run) == 0)
            self->held[i].dispatch.deadline_us = -1; /* to be answered in its own time */
}

static void take_effects(struct chaos *self)
{
    const struct fixture *f = self->f;
    for (size_t i = f->first; i < f->effects_count; i++) {
        if (f->effects[i].kind == EFFECT_DISPATCH)
            take_dispatch(self, &f->effects[i].dispatch);
        if (f->effects[i].kind == EFFECT_DROP)
            take_drop(self, &f->effects[i].drop);
    }
}

/* --- what happens ----------------------------------------------------------------------------- */

static void say(struct chaos *self, size_t index)
{
    struct held *held = &self->held[index];
    struct fixture *f = self->f;
    struct event_step said = {.kind = STEP_RESULT, .number = held->step + 1};
    uint32_t what = dice(self, 8);
    if (held->dispatch.deadline_us == -1) {
        said.kind = STEP_FAILURE;
        said.failure.code = "cancelled";
    } else if (what == 0) {
        said.kind = STEP_TURN;
    } else if (what <= 2) {
        said.kind = STEP_FAILURE;
        said.failure.code = "exit";
        said.failure.permanent = dice(self, 4) == 0;
    } else {
        said.output = datum_of(f, "{\"x\":1}");
    }
    struct effect_dispatch dispatch = held->dispatch;
    held->step++;
    if (said.kind != STEP_TURN)
        forget(self, index);
    step(f, &dispatch, said);
    take_effects(self);
}

static void forget_all_of(struct chaos *self, uint64_t handle)
{
    for (size_t i = self->held_count; i > 0; i--)
        if (self->held[i - 1].dispatch.handle == handle)
            forget(self, i - 1);
}

static void go_down(struct chaos *self, size_t instance)
{
    uint64_t handle = self->handles[instance];
    self->handles[instance] = 0;
    forget_all_of(self, handle);
    down(self->f, handle, "exited");
    take_effects(self);
}

static struct claim make_claim(struct chaos *self, const struct held *held)
{
    uint32_t *steps = arena_alloc(&self->f->arena, sizeof *steps);
    struct claim claim = {.execution = held->dispatch.execution,
                          .path = held->dispatch.path,
                          .run = held->dispatch.run,
                          .acknowledged_step = held->step};
    *steps = held->step;
    if (held->step > 0 && dice(self, 2)) {
        claim.acknowledged_step--;
        claim.unacknowledged_steps = steps;
        claim.unacknowledged_count = 1;
    }
    if (dice(self, 20) == 0)
        claim.acknowledged_step += 5;
    return claim;
}

/* Says hello with most of what it holds, under a new handle; verdicts are obeyed. */
static void go_up(struct chaos *self, size_t instance, uint64_t old)
{
    struct fixture *f = self->f;
    uint64_t handle = self->next_handle++;
    struct claim claims[8192];
    size_t count = 0;
    for (size_t i = self->held_count; i > 0; i--) {
        struct held *held = &self->held[i - 1];
        if (held->dispatch.handle != old || old == 0)
            continue;
        if (dice(self, 5) == 0) {
            forget(self, i - 1);
            continue;
        }
        held->dispatch.handle = handle;
        claims[count++] = make_claim(self, held);
    }
    self->handles[instance] = handle;
    f->credit = 1 + dice(self, 8);
    up_claiming(f, handle, old, agent_of(instance), claims, count);
    const struct effect_welcome *welcome = welcome_of(f);
    assert_int_equal(welcome->count, count);
    for (size_t v = 0; v < count; v++)
        for (size_t i = self->held_count; i > 0; i--)
            if (!welcome->verdicts[v].keep && self->held[i - 1].dispatch.handle == handle &&
                run_compare(self->held[i - 1].dispatch.run, welcome->verdicts[v].run) == 0)
                forget(self, i - 1);
    take_effects(self);
}

static void restart_all(struct chaos *self)
{
    uint64_t old[INSTANCES];
    memcpy(old, self->handles, sizeof old);
    memset(self->handles, 0, sizeof self->handles);
    size_t count = self->f->journal_count, lost = dice(self, 2) ? dice(self, 6) : 0;
    if (lost > 0 && count > lost + 1)
        crash(self->f, count - lost);
    else
        restart(self->f);
    take_effects(self);
    for (size_t i = 0; i < INSTANCES; i++) {
        if (old[i] && dice(self, 4))
            go_up(self, i, old[i]);
        else
            forget_all_of(self, old[i]);
    }
}

static void tick_to(struct chaos *self, int64_t at_us)
{
    tick(self->f, at_us > self->f->now ? at_us : self->f->now);
    take_effects(self);
}

static void give_credit(struct chaos *self, size_t instance, uint64_t total)
{
    if (self->handles[instance] == 0)
        return;
    credit(self->f, self->handles[instance], total);
    take_effects(self);
}

static void decide_all(struct chaos *self, struct uuid id, bool approved)
{
    struct approval_view views[16];
    size_t count = engine_approvals(self->f->engine, id, 0, views, 16);
    const char *paths[16];
    for (size_t i = 0; i < count; i++)
        paths[i] = arena_strdup(&self->f->arena, views[i].path);
    for (size_t i = 0; i < count; i++) {
        (void)decision(self->f, id, paths[i], approved);
        take_effects(self);
    }
}

/* Sub-workflows, too, which may be lost in a crash. */
static struct uuid any_execution(struct chaos *self)
{
    struct uuid id = self->ids[dice(self, (uint32_t)self->ids_count)];
    struct execution_view view;
    struct task_view task;
    if (engine_execution(self->f->engine, id, &view))
        return id;
    for (uint32_t i = dice(self, 2) * view.tasks; i < view.tasks; i++)
        if (engine_task(self->f->engine, id, i, &task) == 0 && !uuid_is_nil(task.owned))
            return task.owned;
    return id;
}

/* Somebody outside says something. */
static void come_from_outside(struct chaos *self)
{
    struct fixture *f = self->f;
    struct uuid id = any_execution(self);
    switch (dice(self, 5)) {
    case 4: (void)reopen(f, id); break;
    case 0: (void)signal_to(f, id, "go", "{\"x\": 1}"); break;
    case 1: (void)pause_it(f, id); break;
    case 2: (void)go_on(f, id); break;
    default: decide_all(self, id, dice(self, 2)); return;
    }
    take_effects(self);
}

static void let_all_go_on(struct chaos *self)
{
    struct uuid id;
    for (size_t position = 0; engine_next_execution(self->f->engine, &position, &id);) {
        (void)go_on(self->f, id);
        take_effects(self);
        (void)signal_to(self->f, id, "go", "1");
        take_effects(self);
        decide_all(self, id, true);
    }
}

static void happen(struct chaos *self)
{
    size_t instance = dice(self, INSTANCES);
    uint64_t handle = self->handles[instance];
    uint32_t what = dice(self, 110);
    if (what >= 100)
        come_from_outside(self);
    else if (what < 55 && self->held_count > 0)
        say(self, dice(self, (uint32_t)self->held_count));
    else if (what < 65)
        give_credit(self, instance, 1 + dice(self, 40));
    else if (what < 75 && engine_deadline(self->f->engine) != INT64_MAX)
        tick_to(self, engine_deadline(self->f->engine));
    else if (what < 80)
        tick_to(self, self->f->now + dice(self, 3 * SECOND));
    else if (what < 88)
        go_up(self, instance, handle);
    else if (what < 92 && handle)
        go_down(self, instance);
    else if (what < 94)
        restart_all(self);
    else if (what < 95) {
        (void)cancel(self->f, any_execution(self));
        take_effects(self);
    } else if (self->ids_count < 60) {
        const char *names[] = {"w0", "w1", "w2"};
        self->f->rerun_never = dice(self, 8) == 0;
        self->ids[self->ids_count++] = start(self->f, names[dice(self, 3)]);
        take_effects(self);
    }
}

/* The trouble is over: instances stay, have credit, answer well; time goes on. */
static void calm_down(struct chaos *self)
{
    struct fixture *f = self->f;
    for (size_t i = 0; i < INSTANCES; i++)
        go_up(self, i, self->handles[i]);
    for (int round = 0; round < 100000 && engine_active_executions(f->engine) > 0; round++) {
        for (size_t i = 0; i < INSTANCES; i++)
            give_credit(self, i, 100000);
        if (self->held_count > 0)
            say(self, dice(self, (uint32_t)self->held_count));
        else if (round % 8 == 0)
            let_all_go_on(self);
        else if (engine_deadline(f->engine) != INT64_MAX)
            tick_to(self, engine_deadline(f->engine));
    }
    assert_int_equal(engine_active_executions(f->engine), 0);
    while (self->held_count > 0)
        say(self, 0);
    for (size_t i = 0; i < INSTANCES; i++)
        assert_int_equal(engine_instance_tasks(f->engine, self->handles[i]), 0);
    assert_true(engine_deadline(f->engine) >= f->now);
    for (size_t i = 0; i < self->ids_count; i++)
        engine_forget(f->engine, self->ids[i]);
}

/* Every result is recorded once, also by a retry, which alone follows the end. */
static void check_journal(const struct fixture *f)
{
    for (size_t i = 0; i < f->journal_count; i++) {
        const struct event *event = &f->journal[i];
        bool result = event->kind == EVENT_STEP && event->step.kind == STEP_RESULT;
        for (size_t j = i + 1; (result || event->kind == EVENT_ENDED) && j < f->journal_count;
             j++) {
            if (!uuid_equal(f->journal[j].execution, event->execution))
                continue;
            if (event->kind == EVENT_ENDED) {
                assert_int_equal(f->journal[j].kind, EVENT_REOPENED);
                break;
            }
            if (f->journal[j].kind == EVENT_STEP)
                assert_string_not_equal(f->journal[j].step.path, event->step.path);
        }
    }
}

static void run_seed(uint64_t seed)
{
    struct chaos *self = xcalloc(1, sizeof *self);
    self->f = fixture_new();
    self->seed = seed;
    self->random = (uint32_t)(seed * 2654435761u) | 1;
    self->next_handle = 1;
    for (int i = 0; i < 3; i++)
        make_workflow(self, arena_printf(&self->f->arena, "w%d", i),
                      i > 0 ? arena_printf(&self->f->arena, "w%d", i - 1) : NULL);
    self->ids[self->ids_count++] = start(self->f, "w0");
    for (int i = 0; i < 300; i++)
        happen(self);
    calm_down(self);
    check_journal(self->f);
    fixture_free(&self->f);
    while (self->sets_count > 0)
        value_destroy(&self->sets[--self->sets_count]);
    free(self);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void test_chaos(void **state)
{
    (void)state;
    uint64_t first = number_of("CHAOS_SEED", 1);
    uint64_t count = getenv("CHAOS_SEED") ? 1 : number_of("CHAOS_SEEDS", 100);
    for (uint64_t seed = first; seed < first + count; seed++) {
        (void)printf("CHAOS_SEED=%llu\n", (unsigned long long)seed);
        (void)fflush(stdout);
        run_seed(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chaos)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
