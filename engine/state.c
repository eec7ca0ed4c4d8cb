#include "engine/state.h"
#include "base/limits.h"
#include <stdlib.h>
#include <string.h>

engine_t *engine_new(const struct engine_config *config)
{
    engine_t *self = xcalloc(1, sizeof *self);
    self->config = *config;
    self->execs = map_new();
    self->instances = map_new();
    self->agents = map_new();
    self->scratch = xcalloc(1, sizeof *self->scratch);
    list_init(&self->claims);
    list_init(&self->fed);
    list_init(&self->tried);
    self->crews = map_new();
    list_init(&self->egressless);
    list_init(&self->returning);
    list_init(&self->parted_subs);
    list_init(&self->ended_subs);
    list_init(&self->starving);
    heap_init(&self->timers, timer_before);
    return self;
}

struct exec *state_exec(const engine_t *self, struct uuid id)
{
    return map_get(self->execs, id.bytes, sizeof id.bytes);
}

struct instance *state_instance(const engine_t *self, uint64_t handle)
{
    return map_get(self->instances, &handle, sizeof handle);
}

struct agent *agent_ref(engine_t *self, const char *name)
{
    struct agent *agent = map_get(self->agents, name, strlen(name));
    if (!agent) {
        agent = xcalloc(1, sizeof *agent);
        agent->name = xstrdup(name);
        heap_init(&agent->instances, instance_before);
        for (size_t i = 0; i < QUEUES; i++)
            list_init(&agent->queues[i]);
        (void)map_put(self->agents, name, strlen(name), agent);
    }
    agent->references++;
    return agent;
}

void agent_collect(engine_t *self, struct agent *agent)
{
    if (agent->references > 0 || agent->dirty)
        return;
    (void)map_remove(self->agents, agent->name, strlen(agent->name));
    heap_release(&agent->instances);
    free(agent->name);
    free(agent);
}

void agent_unref(engine_t *self, struct agent **agent_p)
{
    struct agent *agent = *agent_p;
    *agent_p = NULL;
    if (!agent)
        return;
    agent->references--;
    agent_collect(self, agent);
}

static void free_tasks(engine_t *self, struct exec *exec)
{
    for (uint32_t i = 0; i < exec->count; i++) {
        if (exec->tasks[i].live)
            live_free(self, &exec->tasks[i].live);
        free(exec->tasks[i].answer);
        free(exec->tasks[i].blame);
        free(exec->tasks[i].origin);
        free(exec->tasks[i].edges);
        value_destroy(&exec->tasks[i].context);
        waiting_free(&exec->tasks[i].waiting);
        free(exec->tasks[i].owned);
        if (exec->tasks[i].group)
            free(exec->tasks[i].group->list);
        free(exec->tasks[i].group);
        talk_free(&exec->tasks[i].talk);
    }
    free(exec->tasks);
}

static void free_pin(engine_t *self, struct pin **pin_p)
{
    struct pin *pin = *pin_p;
    *pin_p = NULL;
    agent_unref(self, &pin->agent);
    union {
        const char *const *given;
        char **kept;
    } delegates = {.given = pin->as.delegates};
    for (size_t i = 0; i < pin->as.delegates_count; i++)
        free(delegates.kept[i]);
    free(delegates.kept);
    free(pin);
}

void exec_destroy(engine_t *self, struct exec **exec_p)
{
    struct exec *exec = *exec_p;
    *exec_p = NULL;
    timer_clear(self, &exec->limit);
    timer_clear(self, &exec->stop_timer);
    list_remove(&exec->fed);
    list_remove(&exec->tried);
    list_remove(&exec->family);
    list_remove(&exec->starving);
    free_tasks(self, exec);
    decoded_forget(self, exec);
    for (uint32_t i = 0; i < exec->pins_count; i++)
        free_pin(self, &exec->pins[i]);
    free(exec->pins);
    signals_free(exec);
    value_destroy(&exec->context);
    free(exec->input);
    free(exec->output);
    free(exec->blame);
    free(exec->workflow);
    free(exec->agent);
    free(exec->by);
    free(exec->owner_path);
    free(exec->workflows);
    dag_destroy(&exec->dag);
    free(exec);
}

static void free_instances(engine_t *self)
{
    struct instance *instance;
    size_t position = 0;
    while ((instance = map_next(self->instances, &position, NULL))) {
        heap_remove(&instance->agent->instances, &instance->item);
        agent_unref(self, &instance->agent);
        free(instance->name);
        free(instance);
    }
}

void engine_destroy(engine_t **self_p)
{
    engine_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    struct exec *exec;
    size_t position = 0;
    while ((exec = map_next(self->execs, &position, NULL)))
        exec->parent = NULL; /* which may go first */
    position = 0;
    while ((exec = map_next(self->execs, &position, NULL)))
        exec_destroy(self, &exec);
    free_instances(self);
    while (self->spare) {
        struct live *live = self->spare;
        self->spare = live->link.next ? LIST_OWNER(live->link.next, struct live, link) : NULL;
        free(live);
    }
    struct agent *agent;
    position = 0;
    while ((agent = map_next(self->agents, &position, NULL))) {
        agent->dirty = false;
        agent_collect(self, agent);
    }
    map_destroy(&self->crews);
    map_destroy(&self->execs);
    map_destroy(&self->instances);
    map_destroy(&self->agents);
    heap_release(&self->timers);
    arena_release(self->scratch);
    free(self->scratch);
    free(self->dirty);
    for (size_t i = 0; i < self->released_count; i++)
        free(self->released[i].egress);
    for (size_t i = 0; i < self->egresses_count; i++)
        free(self->egresses[i].name);
    for (size_t i = 0; i < self->gone_count; i++)
        free(self->gone[i].name);
    free(self->gone);
    free(self->released);
    free(self->egresses);
    free(self->ready);
    free(self->work);
    free(self->parted);
    free(self->questions);
    free(self);
}

/* Whatever points into the other engine points into this one then. */
int engine_adopt(engine_t *self, engine_t *from, struct uuid execution, struct err *err)
{
    struct exec *exec = state_exec(from, execution);
    if (!exec)
        return err_set(err, ERR_NOT_FOUND, "there is no such execution to take over");
    if (state_exec(self, execution))
        return err_set(err, ERR_EXISTS, "the execution is there already");
    decoded_forget(from, exec);
    for (uint32_t i = 0; i < exec->pins_count; i++) {
        struct agent *agent = agent_ref(self, exec->pins[i]->agent->name);
        agent_unref(from, &exec->pins[i]->agent);
        exec->pins[i]->agent = agent;
        exec->pins[i]->as.name = agent->name;
    }
    (void)map_remove(from->execs, execution.bytes, sizeof execution.bytes);
    (void)map_put(self->execs, exec->id.bytes, sizeof exec->id.bytes, exec);
    if (!exec_terminal(exec)) {
        from->active--;
        self->active++;
    }
    return 0;
}

void engine_forget(engine_t *self, struct uuid execution)
{
    struct exec *exec = state_exec(self, execution);
    if (!exec || !exec_terminal(exec))
        return;
    (void)map_remove(self->execs, execution.bytes, sizeof execution.bytes);
    exec_destroy(self, &exec);
}

/* --- heap blocks ------------------------------------------------------------------------------ */

static char *put_text(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *here = memcpy(*at, text, size);
    *at += size;
    return here;
}

struct answer *answer_new(const struct datum *datum, const char *instance)
{
    size_t size = datum->is_blob ? 0 : datum->inline_bytes.size;
    struct answer *self = xmalloc(sizeof *self + size + strlen(instance) + 1);
    char *at = (char *)(self + 1);
    self->datum = *datum;
    self->datum.inline_bytes = (struct bytes){0};
    if (size > 0) {
        self->datum.inline_bytes = (struct bytes){memcpy(at, datum->inline_bytes.data, size), size};
        at += size;
    }
    self->instance = put_text(&at, instance);
    return self;
}

struct blame *blame_new(const struct failure *failure, const char *instance)
{
    const char *code = failure->code ? failure->code : "failed";
    const char *message = failure->message ? failure->message : "";
    const char *detail = failure->detail ? failure->detail : "";
    struct blame *self = xmalloc(sizeof *self + strlen(code) + strlen(message) + strlen(detail) +
                                 strlen(instance) + 4);
    char *at = (char *)(self + 1);
    self->failure.code = put_text(&at, code);
    self->failure.message = put_text(&at, message);
    self->failure.detail = put_text(&at, detail);
    self->failure.permanent = failure->permanent;
    self->instance = put_text(&at, instance);
    return self;
}

void u32_push(uint32_t **array, size_t *count, size_t *capacity, uint32_t item)
{
    if (*count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 64;
        *array = xrealloc(*array, *capacity * sizeof **array);
    }
    (*array)[(*count)++] = item;
}

/* --- questions -------------------------------------------------------------------------------- */

static uint32_t child_at(const struct task *task, uint32_t place)
{
    return task->talk && place < task->talk->children_count ? task->talk->children[place] : NO_NODE;
}

/* The number at *at, which is moved behind it; NO_NODE: there is none. */
static uint32_t take_number(const char **at)
{
    uint32_t number = 0;
    const char *begin = *at;
    for (; **at >= '0' && **at <= '9'; ++*at) {
        if (number > LIMIT_EXECUTION_TASKS)
            return NO_NODE;
        number = 10 * number + (uint32_t)(**at - '0');
    }
    return *at == begin ? NO_NODE : number;
}

/* A path is a node's id, perhaps the index of an item, then numbers of delegations: "draft/1/2",
 * "score[17]/1". */
uint32_t exec_find(const struct exec *exec, const char *path)
{
    size_t size = 0;
    while (path && path[size] && path[size] != '/' && path[size] != '[')
        size++;
    if (size == 0)
        return NO_NODE;
    uint32_t index = dag_find(exec->dag, path, size);
    for (const char *at = path + size; *at && index != NO_NODE;) {
        const struct task *task = &exec->tasks[index];
        bool item = *at++ == '[';
        uint32_t number = take_number(&at);
        bool whole = item ? task->group != NULL && *at == ']' : number > 0 && !task->group;
        index = number != NO_NODE && whole ? child_at(task, item ? number : number - 1) : NO_NODE;
        at += item && *at;
        if (*at && *at != '/')
            return NO_NODE;
    }
    return index;
}

/* What all delegations follow. */
static const struct dag_node delegation_rules = {
    .id = "",
    .agent = "",
    .join = DAG_JOIN_ALL,
    .retry = {.attempts = 1, .factor = 1},
    .on_error = DAG_CONTINUE,
    .fallback_index = UINT32_MAX,
};

bool task_is_item(const struct exec *exec, uint32_t index)
{
    return index >= exec->nodes && exec->tasks[index].origin->is_item;
}

const struct dag_node *task_rules(const struct exec *exec, uint32_t index)
{
    if (index < exec->nodes)
        return dag_node(exec->dag, index);
    const struct origin *origin = exec->tasks[index].origin;
    return origin->is_item ? dag_node(exec->dag, origin->parent) : &delegation_rules;
}

const char *task_path(const struct exec *exec, uint32_t index)
{
    return index < exec->nodes ? dag_node(exec->dag, index)->id : exec->tasks[index].origin->path;
}

const struct dag_node *task_root(const struct exec *exec, uint32_t index)
{
    return dag_node(exec->dag, index < exec->nodes ? index : exec->tasks[index].origin->root);
}

uint32_t task_depth(const struct exec *exec, uint32_t index)
{
    return index < exec->nodes ? 0 : exec->tasks[index].origin->depth;
}

uint32_t task_owner(const struct exec *exec, uint32_t index)
{
    return index < exec->nodes ? NO_NODE : exec->tasks[index].origin->parent;
}

uint32_t task_parent(const struct exec *exec, uint32_t index)
{
    return task_is_item(exec, index) ? NO_NODE : task_owner(exec, index);
}

bool exec_terminal(const struct exec *exec)
{
    return execution_status_terminal(exec->status);
}

bool exec_stops(const struct exec *exec)
{
    return exec->hard || exec->status == EXECUTION_CANCELLING ||
           (exec->status == EXECUTION_FAILING && exec->stop);
}

bool task_active(const struct task *task)
{
    return task->status == TASK_READY || task->status == TASK_RETRYING;
}

bool task_ended(const struct task *task)
{
    return task->status != TASK_PENDING && task->status != TASK_WAITING && !task_active(task);
}

bool task_is_own(const struct exec *exec, uint32_t index)
{
    return task_rules(exec, index)->kind != DAG_AGENT;
}

bool task_has_waited(const struct task *task)
{
    return task->waiting && task->waiting->end != WAIT_OPEN &&
           task->waiting->attempt == task->attempt;
}

bool exec_waits(const struct exec *exec)
{
    return exec->status == EXECUTION_RUNNING && !exec->paused && exec->active == 0 &&
           exec->waits_count > 0;
}

uint32_t task_agent(const struct exec *exec, uint32_t node)
{
    if (node >= exec->nodes && !task_is_item(exec, node))
        return exec->tasks[node].origin->pin;
    const struct dag_node *what = task_rules(exec, node);
    return exec->tasks[node].fallen_back ? what->fallback_index : what->agent_index;
}

const struct pin *task_pin(const struct exec *exec, uint32_t node)
{
    static char no_name[] = "";
    static struct agent no_agent = {.name = no_name};
    static const struct pin nobody = {.agent = &no_agent, .as = {.name = no_name}};
    uint32_t index = task_agent(exec, node);
    return index == NO_NODE ? &nobody : exec->pins[index];
}

uint32_t exec_pin(const struct exec *exec, const char *name)
{
    for (uint32_t i = 0; i < exec->pins_count; i++)
        if (strcmp(exec->pins[i]->agent->name, name) == 0)
            return i;
    return NO_NODE;
}

uint32_t exec_add_pin(engine_t *self, struct exec *exec, const struct pinned_agent *as)
{
    struct pin *pin = xcalloc(1, sizeof *pin);
    char **delegates = xcalloc(as->delegates_count + 1, sizeof *delegates);
    for (size_t i = 0; i < as->delegates_count; i++)
        delegates[i] = xstrdup(as->delegates[i]);
    pin->agent = agent_ref(self, as->name);
    pin->as = *as;
    pin->as.name = pin->agent->name;
    pin->as.delegates = (const char *const *)delegates;
    for (unsigned i = 0; i < 2; i++) {
        list_init(&pin->lane.lives[i]);
        list_init(&pin->lane.turn[i]);
        list_init(&pin->lane.own[i].lanes);
        list_init(&pin->lane.own[i].turn);
    }
    list_init(&pin->lane.aside);
    list_init(&pin->lane.idle);
    if ((exec->pins_count & (exec->pins_count - 1)) == 0)
        exec->pins = xrealloc(exec->pins, (exec->pins_count ? 2 * (size_t)exec->pins_count : 1) *
                                              sizeof(struct pin *));
    exec->pins[exec->pins_count] = pin;
    return exec->pins_count++;
}
