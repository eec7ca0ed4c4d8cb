#include "base/limits.h"
#include "engine/decide.h"
#include <string.h>

/* Delegation: who may be asked, and what becomes of it; and the other tools that the coordinator
 * answers. What is refused reaches the model as the result of its call, with the rule and what is
 * allowed, so that it can choose another way. */

/* --- rights ----------------------------------------------------------------------------------- */

/* `*` stands for any characters, `?` for one. */
static bool glob(const char *pattern, const char *name)
{
    const char *star = NULL, *from = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            from = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool may_ask(const struct pinned_agent *as, const char *agent)
{
    for (size_t i = 0; i < as->delegates_count; i++)
        if (glob(as->delegates[i], agent))
            return true;
    return false;
}

/* A delegation has no more rights than all those that it works for: NO_NODE, or the task nearest to
 * this one whose agent may not ask. */
static uint32_t who_may_not(const struct exec *exec, uint32_t index, const char *agent)
{
    for (; index != NO_NODE; index = task_parent(exec, index))
        if (!may_ask(&task_pin(exec, index)->as, agent))
            return index;
    return NO_NODE;
}

#define NAMES_SHOWN 20u

static const char *list_delegates(struct arena *arena, const struct pinned_agent *as)
{
    struct buf text = {0};
    for (size_t i = 0; i < as->delegates_count && i < NAMES_SHOWN; i++)
        buf_printf(&text, "%s%s", i > 0 ? ", " : "", as->delegates[i]);
    if (as->delegates_count == 0)
        buf_puts(&text, "nobody");
    if (as->delegates_count > NAMES_SHOWN)
        buf_printf(&text, " and %zu more", as->delegates_count - NAMES_SHOWN);
    const char *kept = arena_strdup(arena, buf_string(&text));
    buf_release(&text);
    return kept;
}

/* --- the rules -------------------------------------------------------------------------------- */

struct wish {
    struct call *call;
    struct exec *exec;
    uint32_t parent;
    const struct input_delegate *in;
    struct datum message;
    struct pinned_agent agent;
    const char *code; /* of a refusal */
};

static const char *refused(struct wish *self, const char *code, const char *why)
{
    self->code = code;
    return why;
}

static struct arena *arena_of(const struct wish *self)
{
    return &self->call->out->arena;
}

static const char *name_of(const struct wish *self, uint32_t index)
{
    return task_pin(self->exec, index)->agent->name;
}

static const char *check_known(struct wish *self)
{
    const struct engine_config *config = &self->call->engine->config;
    uint32_t pin = exec_pin(self->exec, self->in->agent);
    struct err err;
    if (pin != NO_NODE) {
        self->agent = self->exec->pins[pin]->as;
        return NULL;
    }
    if (config->pin_agent &&
        config->pin_agent(config->context, self->in->agent, &self->agent, &err) == 0)
        return NULL;
    return refused(
        self, "not_found",
        arena_printf(arena_of(self), "there is no agent \"%.64s\"; \"%s\" may delegate to: %s",
                     self->in->agent, name_of(self, self->parent),
                     list_delegates(arena_of(self), &task_pin(self->exec, self->parent)->as)));
}

static const char *check_allowed(struct wish *self)
{
    uint32_t who = who_may_not(self->exec, self->parent, self->in->agent);
    if (who == NO_NODE)
        return NULL;
    const char *list = list_delegates(arena_of(self), &task_pin(self->exec, who)->as);
    if (who == self->parent)
        return refused(self, "not_allowed",
                       arena_printf(arena_of(self),
                                    "\"%s\" may not delegate to \"%s\"; it may delegate to: %s",
                                    name_of(self, who), self->in->agent, list));
    return refused(self, "not_allowed",
                   arena_printf(arena_of(self),
                                "\"%s\" works for \"%s\", which may not delegate to \"%s\"; that "
                                "one may delegate to: %s",
                                name_of(self, self->parent), name_of(self, who), self->in->agent,
                                list));
}

static const char *chain_to(const struct wish *self)
{
    return arena_printf(arena_of(self), "%s -> %s",
                        talk_chain(arena_of(self), self->exec, self->parent), self->in->agent);
}

static const char *check_cycle(struct wish *self)
{
    uint32_t allowed = task_root(self->exec, self->parent)->allow_again ? 2 : 1, times = 0;
    for (uint32_t at = self->parent; at != NO_NODE; at = task_parent(self->exec, at))
        times += strcmp(name_of(self, at), self->in->agent) == 0;
    if (times < allowed)
        return NULL;
    return refused(self, "cycle",
                   arena_printf(arena_of(self),
                                "\"%s\" is at work above already, and an agent may stand %s on a "
                                "path: %s",
                                self->in->agent, allowed == 1 ? "once" : "twice", chain_to(self)));
}

static const char *check_depth(struct wish *self)
{
    uint32_t depth = task_depth(self->exec, self->parent) + 1;
    uint32_t limit = dag_depth(self->exec->dag), least = limit, whose = NO_NODE;
    for (const struct exec *at = self->exec->parent; at; at = at->parent) {
        uint32_t passed = self->exec->depth - at->depth; /* each counts from itself */
        uint32_t left = dag_depth(at->dag) > passed ? dag_depth(at->dag) - passed : 0;
        if (left < least) {
            least = left;
            limit = dag_depth(at->dag);
        }
    }
    for (uint32_t at = self->parent; at != NO_NODE; at = task_parent(self->exec, at)) {
        uint32_t own = task_pin(self->exec, at)->as.depth;
        if (own == 0 || task_depth(self->exec, at) + own >= least)
            continue;
        least = task_depth(self->exec, at) + own;
        limit = own;
        whose = at;
    }
    if (depth <= least && self->exec->depth + depth <= LIMIT_DEPTH_MAX)
        return NULL;
    const char *who = whose == NO_NODE
                          ? "the execution"
                          : arena_printf(arena_of(self), "agent \"%s\"", name_of(self, whose));
    return refused(self, "depth",
                   arena_printf(arena_of(self), "deeper than %u, limits.depth of %s: %s", limit,
                                who, chain_to(self)));
}

static const char *check_count(struct wish *self)
{
    const struct talk *talk = self->exec->tasks[self->parent].talk;
    const struct pinned_agent *as = &task_pin(self->exec, self->parent)->as;
    uint32_t limit = as->delegations > 0 ? as->delegations : LIMIT_DELEGATIONS;
    if (talk->children_count >= limit)
        return refused(
            self, "delegations",
            arena_printf(arena_of(self),
                         "the delegations of \"%s\" are used up: its limits.delegations is %u",
                         as->name, limit));
    uint32_t all = self->exec->delegations;
    if (all >= LIMIT_DELEGATIONS || self->exec->count >= LIMIT_EXECUTION_TASKS)
        return refused(self, "delegations",
                       arena_printf(arena_of(self),
                                    "the execution has %u delegations, the most that it may", all));
    return NULL;
}

static bool is_same(const struct wish *self, uint32_t index)
{
    const struct origin *origin = self->exec->tasks[index].origin;
    return strcmp(name_of(self, index), self->in->agent) == 0 &&
           datum_equal(&origin->message, &self->message);
}

/* How often this was asked already, by this task in its attempt or on the way down to it. */
static uint32_t count_same(const struct wish *self)
{
    const struct task *parent = &self->exec->tasks[self->parent];
    uint32_t times = 0;
    for (uint32_t i = 0; i < parent->talk->children_count; i++) {
        uint32_t child = parent->talk->children[i];
        times +=
            self->exec->tasks[child].origin->attempt == parent->attempt && is_same(self, child);
    }
    for (uint32_t at = self->parent; at >= self->exec->nodes && at != NO_NODE;
         at = task_parent(self->exec, at))
        times += is_same(self, at);
    return times;
}

static const char *check_same(struct wish *self)
{
    uint32_t limit = 0;
    for (uint32_t at = self->parent; at != NO_NODE; at = task_parent(self->exec, at)) {
        uint32_t own = task_pin(self->exec, at)->as.same_delegation;
        if (own > 0 && (limit == 0 || own < limit))
            limit = own;
    }
    if (limit == 0)
        limit = LIMIT_SAME_DELEGATION;
    if (count_same(self) < limit)
        return NULL;
    return refused(self, "same_delegation",
                   arena_printf(arena_of(self),
                                "\"%s\" was asked just that on this path as often as "
                                "limits.same_delegation allows, %u: %s",
                                self->in->agent, limit, chain_to(self)));
}

static const char *check_budget(struct wish *self)
{
    struct budget budget = ledger_tokens(self->exec, self->parent);
    const char *what = "tokens";
    if (budget.left > 0) {
        budget = ledger_cost(self->exec, self->parent);
        what = "cost";
    }
    if (budget.left > 0)
        return NULL;
    uint32_t limit = budget.limit;
    const char *who = limit == NO_NODE
                          ? "the execution"
                          : arena_printf(arena_of(self), "agent \"%s\"", name_of(self, limit));
    return refused(self, "budget",
                   arena_printf(arena_of(self),
                                "nothing is left of limits.%s of %s: answer with what there is",
                                what, who));
}

/* A hand-off ends the task with the other one's answer: no other call may wait beside it. */
static const char *check_hand_off(struct wish *self)
{
    const struct talk *talk = self->exec->tasks[self->parent].talk;
    if (!self->in->hand_off || talk->calls_count == 1)
        return NULL;
    return refused(self, "hand_off", "a hand-off must be the only call of its turn");
}

static const char *objection(struct wish *self)
{
    static const char *(*const rules[])(struct wish *) = {
        check_known, check_allowed, check_cycle,  check_depth,
        check_count, check_same,    check_budget, check_hand_off,
    };
    const char *why = NULL;
    for (size_t i = 0; !why && i < sizeof rules / sizeof rules[0]; i++)
        why = rules[i](self);
    return why;
}

/* --- calls ------------------------------------------------------------------------------------ */

static struct call_place keep_place(struct call *call, const struct call_place *by)
{
    struct call_place kept = *by;
    kept.path = keep_text(call, by->path);
    return kept;
}

/* The call of the last turn that this is about, if it is one that has yet to be said: false when it
 * was said before, or makes no sense, which ends the run. */
static bool is_open(struct call *call, struct live *live, const struct call_place *by)
{
    const struct task *task = &live->exec->tasks[live->node];
    const struct talk *talk = task->talk;
    bool sense = talk && talk->turn > 0 && by->attempt == task->attempt && by->turn == talk->turn &&
                 by->call < talk->calls_count && talk->calls[by->call].ours;
    if (!sense)
        task_nonsense(call, live);
    return sense && !talk->calls[by->call].said && !talk->calls[by->call].done;
}

static void emit_refused(struct call *call, struct exec *exec, const struct input_delegate *in,
                         const char *code, const char *why)
{
    struct event event = {
        .kind = EVENT_REFUSED,
        .refused = {.by = keep_place(call, &in->by),
                    .agent = keep_text(call, in->agent),
                    .failure = {.code = code,
                                .message = keep_text(call, why),
                                .detail = "",
                                .permanent = true}},
    };
    emit(call, exec, &event);
}

static void emit_delegated(struct wish *wish)
{
    struct call *call = wish->call;
    const struct input_delegate *in = wish->in;
    const struct talk *talk = wish->exec->tasks[wish->parent].talk;
    struct event event = {
        .kind = EVENT_DELEGATED,
        .delegated = {.by = keep_place(call, &in->by),
                      .child = arena_printf(&call->out->arena, "%s/%u", in->by.path,
                                            talk->children_count + 1),
                      .agent = keep_pin(call, &wish->agent),
                      .message = wish->message,
                      .hand_off = in->hand_off},
    };
    emit(call, wish->exec, &event);
}

void input_delegate(struct call *call, const struct input_delegate *in)
{
    struct live *live = held_by(call, in->handle, in->execution, in->by.path, in->by.run);
    struct err err;
    if (!live || !is_open(call, live, &in->by))
        return;
    struct wish wish = {.call = call, .exec = live->exec, .parent = live->node, .in = in};
    const char *why = NULL;
    if (render_delegation(call, &in->message, &in->context, &wish.message, &err))
        why = refused(&wish, "invalid", arena_strdup(&call->out->arena, err.what));
    else
        why = objection(&wish);
    if (why)
        emit_refused(call, wish.exec, in, wish.code, why);
    else
        emit_delegated(&wish);
    turn_moved(call, live);
}

/* --- other tools ------------------------------------------------------------------------------ */

static value_t *list_agents(struct call *call, const struct exec *exec, uint32_t index)
{
    const struct engine_config *config = &call->engine->config;
    const char *name, *about;
    size_t position = 0;
    value_t *list = value_list();
    while (config->next_agent && config->next_agent(config->context, &position, &name, &about)) {
        if (who_may_not(exec, index, name) != NO_NODE)
            continue;
        value_t *item = value_map();
        value_set_string(item, "agent", name);
        value_set_string(item, "about", about);
        value_append(list, &item);
    }
    return list;
}

static int give_context(void *context, const char *name, value_t **ret_value, struct err *err)
{
    const struct exec *exec = context;
    if (strcmp(name, "context") != 0)
        return err_set(err, ERR_NOT_FOUND, "there is nothing but the context");
    *ret_value = exec->context ? value_ref(exec->context) : value_map();
    return 0;
}

/* path: "a.b[0]"; none: the whole context. */
static int read_context(struct call *call, struct exec *exec, const value_t *arguments,
                        value_t **ret_value, struct err *err)
{
    const char *path = value_get_string(arguments, "path", "");
    const char *text =
        arena_printf(&call->out->arena, "context%s%s", *path && *path != '[' ? "." : "", path);
    cel_t *program = NULL;
    int r = cel_compile(text, strlen(text), &program, err);
    if (!r && !cel_is_path(program))
        r = err_set(err, ERR_INVALID, "\"path\" is no path, such as a.b[0]");
    if (!r)
        r = cel_eval(program, give_context, exec, ret_value, err);
    cel_destroy(&program);
    return r;
}

static int patch_context(struct call *call, struct exec *exec, const struct call_place *by,
                         const value_t *arguments, struct err *err)
{
    struct buf packed = {0};
    const value_t *patch = value_get(arguments, "patch");
    int r = 0;
    if (!patch || value_type(patch) != VALUE_MAP)
        r = err_set(err, ERR_INVALID, "context_set needs \"patch\", an object");
    else
        r = check_context_patch(exec, patch, &packed, err);
    if (!r) {
        struct event event = {
            .kind = EVENT_PATCHED,
            .patched = {.by = keep_place(call, by),
                        .patch = datum_inline(arena_copy(&call->out->arena, buf_bytes(&packed)))},
        };
        emit(call, exec, &event);
    }
    buf_release(&packed);
    return r;
}

static void emit_answered(struct call *call, struct exec *exec, const struct input_tool_call *in,
                          value_t **value_p, int r, struct err *err)
{
    struct event event = {
        .kind = EVENT_ANSWERED,
        .answered = {.by = keep_place(call, &in->by), .tool = keep_text(call, in->tool)}};
    if (!r)
        r = render_value(call, value_p, &event.answered.output, err);
    if (r)
        event.answered.failure = (struct failure){.code = err_name(r),
                                                  .message = keep_text(call, err->what),
                                                  .detail = keep_text(call, err->fix),
                                                  .permanent = true};
    emit(call, exec, &event);
}

static void answer_call(struct call *call, struct live *live, const struct input_tool_call *in,
                        const value_t *arguments)
{
    struct exec *exec = live->exec;
    value_t *value = NULL;
    struct err err = {0};
    int r = 0;
    if (strcmp(in->tool, "context_set") == 0) {
        r = patch_context(call, exec, &in->by, arguments, &err);
        if (!r)
            return;
    } else if (strcmp(in->tool, "list_agents") == 0) {
        value = list_agents(call, exec, live->node);
    } else if (strcmp(in->tool, "context_get") == 0) {
        r = read_context(call, exec, arguments, &value, &err);
    } else {
        r = err_set(&err, ERR_INVALID, "the coordinator has no tool \"%s\"", in->tool);
    }
    emit_answered(call, exec, in, &value, r, &err);
}

void input_tool_call(struct call *call, const struct input_tool_call *in)
{
    struct live *live = held_by(call, in->handle, in->execution, in->by.path, in->by.run);
    value_t *arguments = NULL;
    struct err err;
    if (!live || !is_open(call, live, &in->by))
        return;
    if (datum_absent(&in->arguments) || render_read(call, &in->arguments, &arguments, &err))
        arguments = value_map();
    answer_call(call, live, in, arguments);
    value_destroy(&arguments);
    turn_moved(call, live);
}
