#include "base/limits.h"
#include "engine/decide.h"

/* Evaluates what stands between the ends of sources and a task that may run, and journals what it
 * came to. The fold asks (fold_gates.c); a question may be out of date when its turn comes. */

static struct event_decided *new_decided(struct call *call, const struct exec *exec, uint32_t node,
                                         enum decided_what what, struct event *event)
{
    *event = (struct event){
        .kind = EVENT_DECIDED,
        .decided = {.path = keep_text(call, task_path(exec, node)), .what = what, .source = ""}};
    return &event->decided;
}

static struct failure failure_of(struct call *call, const struct err *err)
{
    return (struct failure){.code = "expression",
                            .message = keep_text(call, err->what),
                            .detail = keep_text(call, err->fix),
                            .permanent = true};
}

/* --- edges ------------------------------------------------------------------------------------ */

/* Whether all nodes that the condition reads have ended. */
static bool can_tell(const struct exec *exec, const cel_t *condition)
{
    for (size_t i = 0; i < cel_variables(condition); i++) {
        uint32_t node = dag_find_variable(exec->dag, cel_variable(condition, i), NULL);
        if (node != NO_NODE && !task_ended(&exec->tasks[node]))
            return false;
    }
    return true;
}

static void answer_edge(struct call *call, struct exec *exec, uint32_t node, uint32_t slot)
{
    const struct dag_node *what = dag_node(exec->dag, node);
    const struct task *task = &exec->tasks[node];
    struct event event;
    struct err err;
    if (task->status != TASK_PENDING || task->gate != GATE_NONE || !task->edges ||
        task->edges[slot] != EDGE_ASKED || !can_tell(exec, what->source_ifs[slot]))
        return;
    struct event_decided *decided = new_decided(call, exec, node, DECIDED_EDGE, &event);
    decided->source = keep_text(call, task_path(exec, what->sources[slot]));
    if (render_condition(call, exec, what->source_ifs[slot], NO_NODE, &decided->holds, &err))
        decided->failure = failure_of(call, &err);
    emit(call, exec, &event);
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void answer_if(struct call *call, struct exec *exec, uint32_t node)
{
    struct event event;
    struct err err;
    struct event_decided *decided = new_decided(call, exec, node, DECIDED_IF, &event);
    if (render_condition(call, exec, dag_node(exec->dag, node)->condition, node, &decided->holds,
                         &err))
        decided->failure = failure_of(call, &err);
    emit(call, exec, &event);
}

static void answer_for(struct call *call, struct exec *exec, uint32_t node)
{
    struct event event;
    struct err err;
    struct event_decided *decided = new_decided(call, exec, node, DECIDED_FOR, &event);
    int r = render_items(call, exec, node, &decided->items, &decided->items_count, &err);
    if (!r && decided->items_count > LIMIT_EXECUTION_TASKS - exec->count)
        r = err_set(&err, ERR_TOO_LARGE, "the execution would have more than %d tasks",
                    LIMIT_EXECUTION_TASKS);
    if (r) {
        decided->items = (struct datum){0};
        decided->items_count = 0;
        decided->failure = failure_of(call, &err);
    }
    emit(call, exec, &event);
}

void emit_own_result(struct call *call, struct exec *exec, uint32_t index,
                     const struct event_step *what, int r, const struct err *err)
{
    int64_t started_us = exec->tasks[index].started_us;
    struct event event = own_step(call, exec, index, r ? STEP_FAILURE : STEP_RESULT);
    event.step.started_us = started_us ? started_us : event.step.ended_us;
    event.step.usage = what->usage;
    if (r) {
        event.step.failure = failure_of(call, err);
    } else {
        event.step.output = what->output;
        event.step.patch = what->patch;
    }
    emit(call, exec, &event);
}

/* The output of a node with items, of what these gave. */
static void gather(struct call *call, struct exec *exec, uint32_t node)
{
    struct event_step what = {0};
    struct err err = {0};
    int r = render_gathered(call, exec, node, &what.output, &err);
    emit_own_result(call, exec, node, &what, r, &err);
    decoded_drop_list(call->engine, exec, node);
}

/* Past it, the engine is to be asked again, so that others have their turn. */
static bool has_decided_enough(const struct call *call, size_t first_event)
{
    return call->out->events_count - first_event >= LIMIT_BATCH_EVENTS ||
           call->steps >= LIMIT_BATCH_STEPS;
}

/* Those that can be told; what is more than a batch holds is asked again. */
static void answer_edges(struct call *call, struct exec *exec, uint32_t node)
{
    size_t begin = call->out->events_count;
    uint32_t count = dag_node(exec->dag, node)->sources_count;
    exec->tasks[node].asking = false;
    for (uint32_t i = 0; i < count && !has_decided_enough(call, begin); i++)
        answer_edge(call, exec, node, i);
    if (has_decided_enough(call, begin))
        fold_ask_edges(call->engine, exec, node);
}

/* Unless it was stopped, or has begun, meanwhile. */
static void begin(struct call *call, struct exec *exec, uint32_t index)
{
    const struct task *task = &exec->tasks[index];
    if (!task_active(task) || !task->live || task->live->state != LIVE_IDLE)
        return;
    if (exec->paused && !task_has_waited(task))
        live_hold(call->engine, task->live);
    else
        own_begin(call, exec, index);
}

static void answer(struct call *call, struct exec *exec, const struct question *question)
{
    enum gate gate = exec->tasks[question->node].gate;
    if (question->what == ASK_BEGIN)
        begin(call, exec, question->node);
    else if (question->what == ASK_EDGES)
        answer_edges(call, exec, question->node);
    else if (gate == GATE_IF)
        answer_if(call, exec, question->node);
    else if (gate == GATE_FOR)
        answer_for(call, exec, question->node);
    else if (gate == GATE_GATHER)
        gather(call, exec, question->node);
}

void answer_questions(struct call *call)
{
    engine_t *engine = call->engine;
    size_t begin = call->out->events_count;
    size_t bytes = call->out->arena.used_bytes;
    while (engine->questions_first < engine->questions_count && !has_decided_enough(call, begin) &&
           call->out->arena.used_bytes - bytes < LIMIT_BATCH_BYTES) {
        const struct question question = engine->questions[engine->questions_first++];
        struct exec *exec = state_exec(engine, question.execution);
        if (!exec || exec_terminal(exec))
            continue;
        answer(call, exec, &question);
        settle(call, exec);
    }
    if (engine->questions_first == engine->questions_count)
        engine->questions_first = engine->questions_count = 0;
}

void ask_again(struct call *call, struct exec *exec)
{
    for (uint32_t i = 0; i < exec->nodes; i++) {
        struct task *task = &exec->tasks[i];
        task->asking = false;
        if (task->gate != GATE_NONE)
            fold_ask(call->engine, exec, i);
        fold_ask_edges(call->engine, exec, i);
    }
}
