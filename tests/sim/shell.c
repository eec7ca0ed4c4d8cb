#include "coordinator/journal.h"
#include "coordinator/link_items.h"
#include "tests/sim/net.h"
#include "tests/sim/observer.h"
#include "tests/sim/plan.h"
#include "tests/sim/shell_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- requests --------------------------------------------------------------------------------- */

static struct pinned_agent pin_of(const struct plan_agent *agent)
{
    const struct plan_talk *talk = &agent->talk;
    return (struct pinned_agent){.name = agent->name,
                                 .version = 1,
                                 .timeout_us = agent->timeout_us,
                                 .rerun_never = agent->rerun_never,
                                 .takes_turns = agent->kind == KIND_MODEL,
                                 .delegates = (const char *const *)talk->delegates,
                                 .delegates_count = talk->delegates_count,
                                 .turns = talk->turns,
                                 .depth = talk->depth,
                                 .delegations = talk->delegations,
                                 .same_delegation = talk->same_delegation,
                                 .max_tokens = talk->max_tokens,
                                 .tokens = talk->tokens,
                                 .cost_microusd = talk->cost,
                                 .input_price = talk->input_price,
                                 .output_price = talk->output_price};
}

/* --- engines ---------------------------------------------------------------------------------- */

static int read_blob(void *context, const uint8_t hash[DATUM_HASH_BYTES], struct bytes *ret_bytes,
                     struct err *err)
{
    const struct world *world = context;
    if (store_get_blob(world->store, hash, ret_bytes))
        return 0;
    return err_set(err, ERR_NOT_FOUND, "the blob is missing");
}

static int pin_agent(void *context, const char *name, struct pinned_agent *ret_pin, struct err *err)
{
    const struct world *world = context;
    uint32_t index = plan_agent_index(world->plan, name);
    if (index == UINT32_MAX)
        return err_set(err, ERR_NOT_FOUND, "there is no agent %s", name);
    *ret_pin = pin_of(&world->plan->agents[index]);
    return 0;
}

static bool next_agent(void *context, size_t *position, const char **ret_name,
                       const char **ret_about)
{
    const struct world *world = context;
    if (*position >= world->plan->agents_count)
        return false;
    *ret_name = world->plan->agents[(*position)++].name;
    *ret_about = "";
    return true;
}

static bool needs(const struct plan_workflow *workflow, uint32_t agent)
{
    for (uint32_t i = 0; i < workflow->nodes_count; i++) {
        const struct plan_node *node = &workflow->nodes[i];
        if ((node->kind == DAG_AGENT && node->agent == agent) ||
            (node->on_error == DAG_FALLBACK && node->fallback == agent))
            return true;
    }
    return false;
}

static void pin_workflows(const struct plan *plan, const struct plan_workflow *workflow,
                          struct pinned_workflow *pins, size_t *ret_count)
{
    bool runs[WORKFLOWS_MOST] = {false};
    *ret_count = 0;
    for (uint32_t i = 0; i < workflow->nodes_count; i++)
        if (workflow->nodes[i].kind == DAG_WORKFLOW)
            runs[workflow->nodes[i].workflow] = true;
    for (uint32_t i = 0; i < plan->workflows_count; i++)
        if (runs[i])
            pins[(*ret_count)++] = (struct pinned_workflow){plan->workflows[i].name, 1};
}

/* Others are pinned when they are delegated to. */
static void pin_agents(const struct plan *plan, const struct plan_workflow *workflow,
                       struct pinned_agent *pins, size_t *ret_count)
{
    *ret_count = 0;
    for (uint32_t i = 0; i < plan->agents_count; i++)
        if (needs(workflow, i))
            pins[(*ret_count)++] = pin_of(&plan->agents[i]);
}

value_t *shell_input(uint64_t k, bool large)
{
    value_t *value = value_map(), *list = value_list();
    value_set_int(value, "k", (int64_t)k);
    value_set_bool(value, "flag", plan_input_flag(k));
    for (uint32_t i = 0; i < plan_input_size(k); i++) {
        value_t *number = value_int((int64_t)k + i);
        value_append(list, &number);
    }
    value_set(value, "list", &list);
    if (large) {
        char *text = xcalloc(1, LIMIT_INLINE_BYTES + 10);
        memset(text, 'x', LIMIT_INLINE_BYTES + 9);
        value_set_string(value, "text", text);
        free(text);
    }
    return value;
}

/* What a sub-workflow's message lacks of an input is what its number gives. */
static int prepare_workflow(void *context, const char *name, uint32_t version, const value_t *input,
                            struct arena *arena, struct prepared_workflow *ret_prepared,
                            struct err *err)
{
    const struct plan *plan = ((const struct world *)context)->plan;
    struct pinned_agent *agents = arena_alloc(arena, AGENTS_MOST * sizeof *agents);
    struct pinned_workflow *pins = arena_alloc(arena, WORKFLOWS_MOST * sizeof *pins);
    const struct plan_workflow *workflow = plan->workflows;
    uint64_t k = (uint64_t)value_get_int(input, "k", 0);
    (void)version;
    (void)err;
    while (strcmp(workflow->name, name) != 0)
        workflow++;
    ret_prepared->input = shell_input(k, plan->large_inputs && k % 3 == 0);
    ret_prepared->agents = agents;
    ret_prepared->workflows = pins;
    pin_agents(plan, workflow, agents, &ret_prepared->agents_count);
    pin_workflows(plan, workflow, pins, &ret_prepared->workflows_count);
    return 0;
}

engine_t *shell_new_engine(const struct shell *self)
{
    const struct engine_config config = {.epoch = self->epoch,
                                         .find_dag = observer_find_dag,
                                         .read_blob = read_blob,
                                         .pin_agent = pin_agent,
                                         .next_agent = next_agent,
                                         .prepare_workflow = prepare_workflow,
                                         .context = self->world};
    return engine_new(&config);
}

void shell_fold(struct shell *self, engine_t *engine, const struct journal *journal, uint64_t until,
                struct uuid execution)
{
    struct err err;
    for (size_t i = 0; i < journal->count && i < until; i++) {
        const struct record *record = &journal->records[i];
        if (journal_fold(engine, &self->arena, execution, record->sequence - 1, record->sequence,
                         buf_bytes(&record->bytes), &err))
            world_fail(self->world, 7, "a journal can't be folded: %s", err.what);
    }
}

/* --- wishes ----------------------------------------------------------------------------------- */

static struct datum pack_number(int64_t number, struct buf *packed)
{
    value_t *value = value_int(number);
    value_to_msgpack(value, packed);
    value_destroy(&value);
    return datum_inline(buf_bytes(packed));
}

static int take_signal(struct shell *self, const struct shell_wish *wish, struct err *err)
{
    struct buf packed = {0};
    struct input input = {.kind = INPUT_SIGNAL,
                          .signal = {.execution = wish->execution,
                                     .name = wish->path,
                                     .payload = pack_number(wish->number, &packed),
                                     .by = "person"}};
    int r = shell_decide(self, &input, err);
    buf_release(&packed);
    return r;
}

static int take_decision(struct shell *self, const struct shell_wish *wish, struct err *err)
{
    static const uint8_t none[DATUM_HASH_BYTES];
    struct buf packed = {0};
    struct input input = {.kind = INPUT_DECISION,
                          .decision = {.execution = wish->execution,
                                       .path = wish->path,
                                       .attempt = wish->attempt,
                                       .approved = wish->yes,
                                       .by = "person",
                                       .note = ""}};
    if (memcmp(wish->hash, none, sizeof none) != 0)
        input.decision.hash = wish->hash;
    if (wish->number >= 0)
        input.decision.edited = pack_number(wish->number, &packed);
    int r = shell_decide(self, &input, err);
    buf_release(&packed);
    return r;
}

/* *ret_execution: as the wish has it, or the new one. */
static int take_wish(struct shell *self, const struct shell_wish *wish, struct uuid *ret_execution,
                     struct err *err)
{
    struct input input = {0};
    switch (wish->kind) {
    case WISH_SIGNAL: return take_signal(self, wish, err);
    case WISH_REOPEN: return shell_reopen(self, wish->execution, err);
    case WISH_FORK: return shell_fork(self, wish, ret_execution, err);
    case WISH_DECISION: return take_decision(self, wish, err);
    case WISH_CANCEL:
        input.kind = INPUT_CANCEL;
        input.cancel = (struct input_cancel){wish->execution, "person", ""};
        break;
    case WISH_PAUSE:
    case WISH_GO_ON:
        input.kind = wish->kind == WISH_PAUSE ? INPUT_PAUSE : INPUT_GO_ON;
        input.pause = (struct input_pause){wish->execution, "person", ""};
        break;
    }
    return shell_decide(self, &input, err);
}

static void receive_wish(struct shell *self, const struct sim_message *message)
{
    struct shell_wish wish;
    struct err err;
    memcpy(&wish, message->payload.data, sizeof wish);
    struct uuid execution = wish.execution;
    int r = take_wish(self, &wish, &execution, &err);
    shell_answer(self, message->from, message->correlation, r, execution);
}

/* --- starts ----------------------------------------------------------------------------------- */

struct uuid shell_uuid(struct shell *self)
{
    struct uuid id = {{1}};
    self->uuids++;
    id.bytes[14] = (uint8_t)(self->uuids >> 8);
    id.bytes[15] = (uint8_t)self->uuids;
    return id;
}

int shell_start(struct shell *self, uint32_t index, const char *by, struct uuid *ret_execution)
{
    const struct plan *plan = self->world->plan;
    const struct plan_workflow *workflow = &plan->workflows[index];
    struct pinned_agent pins[AGENTS_MOST];
    struct pinned_workflow subs[WORKFLOWS_MOST];
    size_t count, subs_count;
    struct buf packed = {0};
    struct err err;
    pin_agents(plan, workflow, pins, &count);
    pin_workflows(plan, workflow, subs, &subs_count);
    value_t *value =
        shell_input(self->uuids, plan->large_inputs && prng_chance(&self->world->prng, 300));
    value_to_msgpack(value, &packed);
    value_destroy(&value);
    struct input input = {.kind = INPUT_START,
                          .start = {.started = {.seed = self->uuids,
                                                .workflow = workflow->name,
                                                .workflow_version = 1,
                                                .agent = "",
                                                .agents = pins,
                                                .agents_count = count,
                                                .workflows = subs,
                                                .workflows_count = subs_count,
                                                .input = datum_inline(buf_bytes(&packed)),
                                                .by = by}}};
    input.start.execution = shell_uuid(self);
    int r = shell_decide(self, &input, &err);
    buf_release(&packed);
    if (r)
        world_fail(self->world, 0, "a start is refused: %s", err.what);
    *ret_execution = input.start.execution;
    return r;
}

static void remember(struct shell *self, uint64_t key, struct uuid execution)
{
    self->answers = xrealloc(self->answers, (self->answers_count + 1) * sizeof *self->answers);
    self->answers[self->answers_count++] = (struct answered){key, execution};
}

/* A key that was seen is answered as then; its answer waits for the batch that is current now,
 * which comes after the one that holds it. */
static void receive_start(struct shell *self, const struct sim_message *message, uint64_t key)
{
    struct uuid execution = {{0}};
    for (size_t i = 0; i < self->answers_count; i++) {
        if (self->answers[i].key != key)
            continue;
        shell_answer(self, message->from, message->correlation, 0, self->answers[i].execution);
        return;
    }
    if (self->full) {
        shell_answer(self, message->from, message->correlation, ERR_FULL, execution);
        return;
    }
    if (shell_start(self, message->payload.data[0], "sim", &execution))
        return;
    remember(self, key, execution);
    writes_answer(&shell_current(self)->writes, key, execution);
    shell_answer(self, message->from, message->correlation, 0, execution);
}

static void receive_cancel(struct shell *self, const struct sim_message *message)
{
    struct err err;
    struct input input = {.kind = INPUT_CANCEL, .cancel = {.by = "client", .why = "sim"}};
    memcpy(input.cancel.execution.bytes, message->payload.data, sizeof(struct uuid));
    int r = shell_decide(self, &input, &err);
    shell_answer(self, message->from, message->correlation, r, input.cancel.execution);
}

static void receive_history(struct shell *self, const struct sim_message *message)
{
    struct shell_history wanted;
    struct wire_body body = {.kind = WIRE_REPLY};
    struct wire_item item = {.kind = WIRE_ITEM_DISPATCH};
    const struct history_entry *entries;
    size_t count = 0;
    struct buf items = {0};
    struct err err;
    memcpy(&wanted, message->payload.data, sizeof wanted);
    int r = engine_history(self->engine, wanted.execution, wanted.path, wanted.attempt, wanted.from,
                           &self->arena, &entries, &count, &item.dispatch.history_count, &err);
    if (r) {
        body.reply.error = err_name(r);
    } else {
        struct effect effect = {.kind = EFFECT_DISPATCH,
                                .dispatch = {.execution = wanted.execution,
                                             .path = wanted.path,
                                             .attempt = 1,
                                             .run = {1, 1},
                                             .agent = "agent",
                                             .history_from = wanted.from,
                                             .history_count = wanted.from + (uint32_t)count,
                                             .history = entries,
                                             .history_here = count}};
        uint64_t handle;
        (void)link_item_of(&effect, &self->arena, &item, &handle);
        wire_append_item(&item, &items);
    }
    net_send(&self->proc, message->from, message->correlation, &body, buf_bytes(&items));
    buf_release(&items);
}

static void receive_request(struct shell *self, const struct sim_message *message,
                            const struct wire_request *request)
{
    if (strcmp(request->method, METHOD_START) == 0)
        receive_start(self, message, strtoull(request->idempotency_key, NULL, 10));
    else if (strcmp(request->method, METHOD_CANCEL) == 0)
        receive_cancel(self, message);
    else if (strcmp(request->method, METHOD_WISH) == 0)
        receive_wish(self, message);
    else if (strcmp(request->method, METHOD_HISTORY) == 0)
        receive_history(self, message);
    else
        links_ended(self, (const struct shell_ended *)(const void *)message->payload.data);
}

static void receive(struct shell *self, const struct sim_message *message)
{
    struct wire_body body;
    struct err err;
    arena_clear(&self->arena);
    if (wire_decode_body(&self->arena, message->kind, buf_bytes(&message->body), &body, &err))
        world_fail(self->world, 0, "a message can't be read: %s", err.what);
    else if (body.kind == WIRE_REQUEST)
        receive_request(self, message, &body.request);
    else
        links_receive(self, message, &body);
}

/* --- the round -------------------------------------------------------------------------------- */

static void tick_engine(struct shell *self)
{
    struct input input = {.kind = INPUT_TICK};
    struct err err;
    if (engine_deadline(self->engine) > self->utc_us)
        return;
    if (shell_decide(self, &input, &err))
        world_fail(self->world, 0, "a tick is refused: %s", err.what);
}

static void schedule(struct shell *self)
{
    int64_t at_us = proc_when(&self->proc, links_deadline(self));
    int64_t utc_us = engine_deadline(self->engine), schedules_us = schedules_deadline(self);
    if (schedules_us < utc_us)
        utc_us = schedules_us;
    if (utc_us != INT64_MAX && utc_us - SIM_UTC - self->proc.utc_ahead_us < at_us)
        at_us = utc_us - SIM_UTC - self->proc.utc_ahead_us;
    if (at_us != SIM_NEVER)
        proc_wake(&self->proc, at_us + prng_between(&self->world->prng, 0, MS));
}

/* As coordinator/loop.c: take in, tick, complete, submit. */
static void round_of(struct proc *proc)
{
    struct shell *self = (struct shell *)proc;
    struct sim_message *message;
    self->mono_us = proc_mono(proc);
    self->utc_us = proc_utc(proc);
    while ((message = proc_take(proc))) {
        receive(self, message);
        sim_message_free(&message);
    }
    tick_engine(self);
    links_tick(self);
    schedules_tick(self);
    shell_release_committed(self);
    shell_submit(self);
    if (!self->proc.dying)
        schedule(self);
}

/* --- start and end ---------------------------------------------------------------------------- */

static void fold_journal(struct shell *self, const struct journal *journal)
{
    shell_fold(self, self->engine, journal, UINT64_MAX, journal->execution);
    shell_fold(self, self->mirror, journal, UINT64_MAX, journal->execution);
    observer_folded(self->world, journal->execution,
                    engine_fingerprint(self->engine, journal->execution));
}

static void begin(struct world *world, void *context, uint64_t number)
{
    struct shell *self = context;
    struct input input = {.kind = INPUT_RESUME};
    struct err err;
    (void)number;
    self->epoch = store_next_epoch(world->store);
    observer_coordinator_begins(world);
    self->proc.utc_ahead_us = prng_between(&world->prng, -2 * SECOND, 2 * SECOND);
    proc_start(&self->proc);
    proc_read_clock(&self->proc);
    self->mono_us = proc_mono(&self->proc);
    self->utc_us = proc_utc(&self->proc);
    self->engine = shell_new_engine(self);
    self->mirror = shell_new_engine(self);
    self->ring[0].number = self->numbers = 1;
    const struct journal *journal;
    for (size_t i = 0; (journal = store_journal(world->store, i)); i++)
        if (!journal->ended)
            fold_journal(self, journal);
    const struct answered *answered;
    for (size_t i = 0; (answered = store_answer(world->store, i)); i++)
        remember(self, answered->key, answered->execution);
    schedules_load(self);
    if (shell_decide(self, &input, &err))
        world_fail(world, 0, "the resume is refused: %s", err.what);
    shell_submit(self);
}

static void clear(struct shell *self)
{
    links_release(self);
    for (size_t i = 0; i < BATCHES; i++)
        batch_release(&self->ring[i]);
    engine_destroy(&self->engine);
    engine_destroy(&self->mirror);
    free(self->answers);
    self->answers = NULL;
    self->answers_count = 0;
    self->oldest = self->in_flight = 0;
    self->full = false;
    self->handles = 0;
    self->dead_boots_count = 0;
    arena_release(&self->arena);
}

static void die(struct proc *proc)
{
    struct shell *self = (struct shell *)proc;
    struct world *world = self->world;
    world->counts.crashes++;
    store_abandon(world->store);
    clear(self);
    proc_stop(proc);
    int64_t most_us = world->calm ? 500 * MS : 4 * SECOND;
    world_at(world, world->now_us + prng_skewed(&world->prng, 10 * MS, most_us), begin, self, 0);
}

struct shell *shell_new(struct world *world)
{
    struct shell *self = xcalloc(1, sizeof *self);
    self->world = world;
    self->proc = (struct proc){.world = world, .name = SHELL_NAME, .round = round_of, .die = die};
    self->proc.mono_ahead_us = prng_between(&world->prng, 0, 1000000 * SECOND);
    self->schedules = schedules_new(self);
    net_join(world, &self->proc);
    world_at(world, world->now_us, begin, self, 0);
    return self;
}

void shell_destroy(struct shell **self_p)
{
    struct shell *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    if (self->proc.up)
        proc_stop(&self->proc);
    clear(self);
    schedules_destroy(&self->schedules);
    free(self);
}

struct proc *shell_proc(struct world *world)
{
    return &world->shell->proc;
}

bool shell_up(const struct world *world)
{
    return world->shell->proc.up;
}

void shell_full(struct world *world)
{
    world->shell->full = true;
}

void shell_store_failed(struct world *world)
{
    TRACE(world, "a commit failed: the coordinator ends itself");
    proc_kill(&world->shell->proc, 0);
}
