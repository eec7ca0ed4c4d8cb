#include "egress/script.h"

#include "base/limits.h"
#include "cel/cel.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char DELEGATE[] = "delegate_to_agent";

/* What is being answered, and the rule and item that are looked at. */
struct scene {
    const value_t *request;
    const value_t *turns; /* of the request; NULL: none */
    const value_t *rule;
    size_t number;       /* of the rule, from 1 */
    const value_t *item; /* of a call's `for`; NULL: none */
    size_t index;
};

void script_answer_release(struct script_answer *self)
{
    value_destroy(&self->turn);
    free(self->code);
    free(self->what);
    *self = (struct script_answer){0};
}

/* --- what rules can see --------------------------------------------------------------------------
 */

static const value_t *list_of(const value_t *map, const char *key)
{
    const value_t *list = map ? value_get(map, key) : NULL;
    return list && value_type(list) == VALUE_LIST ? list : NULL;
}

static size_t size_of(const value_t *list)
{
    return list ? value_size(list) : 0;
}

static const value_t *last_results(const struct scene *scene)
{
    size_t count = size_of(scene->turns);
    return count ? list_of(value_at(scene->turns, count - 1), "results") : NULL;
}

static value_t *ref_or(const value_t *value, value_t *(*make)(void))
{
    return value ? value_ref(value) : make();
}

static int resolve(void *context, const char *name, value_t **ret_value, struct err *err)
{
    const struct scene *scene = context;
    if (strcmp(name, "message") == 0)
        *ret_value = ref_or(value_get(scene->request, "message"), value_null);
    else if (strcmp(name, "agent") == 0)
        *ret_value = value_string(value_get_string(scene->request, "agent", ""));
    else if (strcmp(name, "turn") == 0)
        *ret_value = value_int(value_get_int(scene->request, "turn", 0));
    else if (strcmp(name, "attempt") == 0)
        *ret_value = value_int(value_get_int(scene->request, "attempt", 0));
    else if (strcmp(name, "results") == 0)
        *ret_value = ref_or(last_results(scene), value_list);
    else if (strcmp(name, "turns") == 0)
        *ret_value = ref_or(scene->turns, value_list);
    else if (scene->item && strcmp(name, "item") == 0)
        *ret_value = value_ref(scene->item);
    else if (scene->item && strcmp(name, "index") == 0)
        *ret_value = value_int((int64_t)scene->index);
    else
        return err_set(err, ERR_NOT_FOUND, "there is no variable %s here", name);
    return 0;
}

static int eval_expression(struct scene *scene, const char *path, value_t **ret_value,
                           struct err *err)
{
    cel_t *program = NULL;
    int rc = cel_compile(path, strlen(path), &program, err);
    if (rc == 0)
        rc = cel_eval(program, resolve, scene, ret_value, err);
    cel_destroy(&program);
    return rc;
}

static int eval_template(struct scene *scene, const value_t *literal, value_t **ret_value,
                         struct err *err)
{
    cel_template_t *template = NULL;
    int rc = cel_template_compile(literal, &template, err);
    if (rc == 0)
        rc = cel_template_eval(template, resolve, scene, ret_value, err);
    cel_template_destroy(&template);
    return rc;
}

static bool is_something(const value_t *value)
{
    switch (value_type(value)) {
    case VALUE_NULL: return false;
    case VALUE_BOOL: return value_as_bool(value);
    case VALUE_INT: return value_as_int(value) != 0;
    case VALUE_DOUBLE: return value_as_double(value) < 0 || value_as_double(value) > 0;
    case VALUE_STRING:
    case VALUE_LIST:
    case VALUE_MAP: return value_size(value) > 0;
    }
    return false;
}

/* An expression that fails has nothing: a path that leads nowhere, wherever it breaks off. */
static bool has(struct scene *scene, const char *path)
{
    value_t *value = NULL;
    bool found = eval_expression(scene, path, &value, NULL) == 0 && is_something(value);
    value_destroy(&value);
    return found;
}

/* --- conditions ----------------------------------------------------------------------------------
 */

static bool contains(const char *text, size_t size, const value_t *part)
{
    size_t part_size = value_size(part);
    const char *wanted = value_as_string(part);
    for (size_t i = 0; part_size <= size && i <= size - part_size; i++)
        if (memcmp(text + i, wanted, part_size) == 0)
            return true;
    return false;
}

static bool json_contains(const value_t *value, const value_t *part)
{
    struct buf text = {0};
    value_to_json(value, VALUE_JSON_COMPACT, &text);
    bool found = contains(buf_string(&text), text.size, part);
    buf_release(&text);
    return found;
}

static bool message_contains(const struct scene *scene, const value_t *part)
{
    const value_t *message = value_get(scene->request, "message");
    if (!message)
        return false;
    if (value_type(message) == VALUE_STRING)
        return contains(value_as_string(message), value_size(message), part);
    return json_contains(message, part);
}

static bool results_contain(const struct scene *scene, const value_t *part)
{
    const value_t *results = last_results(scene);
    for (size_t i = 0; i < size_of(results); i++)
        if (json_contains(value_at(results, i), part))
            return true;
    return false;
}

/* Whether some turn so far called the tool, and, of delegations, this agent (NULL: whichever). */
static bool has_called(const struct scene *scene, const char *tool, const char *agent)
{
    for (size_t i = 0; i < size_of(scene->turns); i++) {
        const value_t *calls = list_of(value_at(scene->turns, i), "calls");
        for (size_t j = 0; j < size_of(calls); j++) {
            const value_t *call = value_at(calls, j);
            const value_t *arguments = value_get(call, "arguments");
            if (strcmp(value_get_string(call, "tool", ""), tool) != 0)
                continue;
            if (!agent ||
                (arguments && strcmp(value_get_string(arguments, "agent", ""), agent) == 0))
                return true;
        }
    }
    return false;
}

static bool is_within(const value_t *range, int64_t number)
{
    const value_t *from = value_at(range, 0), *to = value_at(range, 1);
    return from && to && value_type(from) == VALUE_INT && value_type(to) == VALUE_INT &&
           number >= value_as_int(from) && number <= value_as_int(to);
}

static bool all_equal(struct scene *scene, const value_t *pairs)
{
    for (size_t i = 0; i < value_size(pairs); i++) {
        const value_t *path = value_at(value_at(pairs, i), 0);
        const value_t *wanted = value_at(value_at(pairs, i), 1);
        value_t *value = NULL;
        bool equal = eval_expression(scene, value_as_string(path), &value, NULL) == 0 &&
                     value_equal(value, wanted);
        value_destroy(&value);
        if (!equal)
            return false;
    }
    return true;
}

enum condition {
    WHEN_TURN,
    WHEN_ATTEMPT,
    WHEN_MESSAGE,
    WHEN_RESULTS,
    WHEN_CALLED,
    WHEN_NOT_CALLED,
    WHEN_DELEGATED,
    WHEN_NOT_DELEGATED,
    WHEN_HAS,
    WHEN_LACKS,
    WHEN_EQUALS,
    CONDITIONS,
};
static const struct {
    const char *key;
    enum value_type type;
} WHEN[CONDITIONS] = {
    [WHEN_TURN] = {"turn", VALUE_LIST},
    [WHEN_ATTEMPT] = {"attempt", VALUE_LIST},
    [WHEN_MESSAGE] = {"message", VALUE_STRING},
    [WHEN_RESULTS] = {"results", VALUE_STRING},
    [WHEN_CALLED] = {"called", VALUE_STRING},
    [WHEN_NOT_CALLED] = {"not_called", VALUE_STRING},
    [WHEN_DELEGATED] = {"delegated", VALUE_STRING},
    [WHEN_NOT_DELEGATED] = {"not_delegated", VALUE_STRING},
    [WHEN_HAS] = {"has", VALUE_STRING},
    [WHEN_LACKS] = {"lacks", VALUE_STRING},
    [WHEN_EQUALS] = {"equals", VALUE_LIST},
};

static bool holds(struct scene *scene, enum condition condition, const value_t *value)
{
    switch (condition) {
    case WHEN_TURN: return is_within(value, value_get_int(scene->request, "turn", 0));
    case WHEN_ATTEMPT: return is_within(value, value_get_int(scene->request, "attempt", 0));
    case WHEN_MESSAGE: return message_contains(scene, value);
    case WHEN_RESULTS: return results_contain(scene, value);
    case WHEN_CALLED: return has_called(scene, value_as_string(value), NULL);
    case WHEN_NOT_CALLED: return !has_called(scene, value_as_string(value), NULL);
    case WHEN_DELEGATED: return has_called(scene, DELEGATE, value_as_string(value));
    case WHEN_NOT_DELEGATED: return !has_called(scene, DELEGATE, value_as_string(value));
    case WHEN_HAS: return has(scene, value_as_string(value));
    case WHEN_LACKS: return !has(scene, value_as_string(value));
    case WHEN_EQUALS: return all_equal(scene, value);
    case CONDITIONS: break;
    }
    return false;
}

/* --- errors --------------------------------------------------------------------------------------
 */

static char *rule_name(const struct scene *scene)
{
    const char *name = value_get_string(scene->rule, "name", "");
    return *name ? xasprintf("rule %zu (\"%.100s\")", scene->number, name)
                 : xasprintf("rule %zu", scene->number);
}

static void fail(struct script_answer *answer, const char *code, char *what, bool permanent)
{
    value_destroy(&answer->turn);
    free(answer->code);
    free(answer->what);
    answer->code = xstrdup(code);
    answer->what = what;
    answer->permanent = permanent;
}

static void fail_rule(const struct scene *scene, const char *key, const struct err *err,
                      struct script_answer *answer)
{
    char *name = rule_name(scene);
    fail(answer, "script",
         xasprintf("%s, %s%s%s: %s", name, key, err->where[0] ? "." : "", err->where, err->what),
         true);
    free(name);
}

static int wrong(struct err *err, const char *what, const value_t *value)
{
    return err_set(err, ERR_INVALID, "%s is needed, and this is %s", what,
                   value ? value_type_name(value_type(value)) : "not there");
}

/* The stored form is checked by its writer; a key of the wrong type is still no reason to crash. */
static int get(const value_t *map, const char *key, enum value_type type, const value_t **ret_value,
               struct err *err)
{
    const value_t *value = value_get(map, key);
    if (value && value_type(value) != type) {
        (void)wrong(err, value_type_name(type), value);
        err_where(err, "%s", key);
        return ERR_INVALID;
    }
    *ret_value = value;
    return 0;
}

static int check_pairs(const value_t *pairs, struct err *err)
{
    for (size_t i = 0; i < value_size(pairs); i++) {
        const value_t *pair = value_at(pairs, i);
        if (value_type(pair) != VALUE_LIST || value_size(pair) != 2 ||
            value_type(value_at(pair, 0)) != VALUE_STRING)
            return err_set(err, ERR_INVALID, "pairs of a path and a value are needed");
    }
    return 0;
}

/* 1: all conditions hold; 0: one doesn't; negative: the rule is not valid. */
static int fits(struct scene *scene, struct err *err)
{
    const value_t *when = NULL, *value = NULL;
    int rc = get(scene->rule, "when", VALUE_MAP, &when, err);
    for (int i = 0; rc == 0 && when && i < CONDITIONS; i++) {
        rc = get(when, WHEN[i].key, WHEN[i].type, &value, err);
        if (rc == 0 && value && i == WHEN_EQUALS)
            rc = check_pairs(value, err);
        if (rc == 0 && value && !holds(scene, (enum condition)i, value))
            return 0;
    }
    return rc == 0 ? 1 : rc;
}

/* --- what a rule says ----------------------------------------------------------------------------
 */

static int add_member(struct scene *scene, const value_t *from, const char *key, value_t *to,
                      struct err *err)
{
    const value_t *literal = value_get(from, key);
    value_t *value = NULL;
    if (!literal)
        return 0;
    int rc = eval_template(scene, literal, &value, err);
    if (rc == 0)
        value_set(to, key, &value);
    return rc;
}

static int delegation(struct scene *scene, const value_t *call, value_t **ret_arguments,
                      struct err *err)
{
    value_t *arguments = value_map(), *agent = NULL;
    int rc = eval_template(scene, value_get(call, "delegate"), &agent, err);
    if (rc == 0 && value_type(agent) != VALUE_STRING)
        rc = wrong(err, "the name of an agent", agent);
    if (rc == 0)
        value_set(arguments, "agent", &agent);
    if (rc == 0)
        rc = add_member(scene, call, "message", arguments, err);
    if (rc == 0)
        rc = add_member(scene, call, "context", arguments, err);
    if (rc == 0 && value_get_bool(call, "hand_off", false))
        value_set_bool(arguments, "hand_off", true);
    value_destroy(&agent);
    if (rc == 0)
        *ret_arguments = arguments;
    else
        value_destroy(&arguments);
    return rc;
}

static int tool_arguments(struct scene *scene, const value_t *call, value_t **ret_arguments,
                          struct err *err)
{
    const value_t *with = value_get(call, "with");
    value_t *arguments = NULL;
    if (!with) {
        *ret_arguments = value_map();
        return 0;
    }
    int rc = eval_template(scene, with, &arguments, err);
    if (rc == 0 && value_type(arguments) != VALUE_MAP)
        rc = wrong(err, "an object", arguments);
    if (rc == 0)
        *ret_arguments = arguments;
    else
        value_destroy(&arguments);
    return rc;
}

static int add_call(struct scene *scene, const value_t *call, value_t *calls, struct err *err)
{
    const value_t *condition = NULL;
    value_t *arguments = NULL;
    bool delegates = value_get(call, "delegate") != NULL;
    const char *tool = delegates ? DELEGATE : value_get_string(call, "tool", "");
    int rc = get(call, "if", VALUE_STRING, &condition, err);
    if (rc != 0 || (condition && !has(scene, value_as_string(condition))))
        return rc;
    if (!*tool)
        return err_set(err, ERR_INVALID, "a call names a tool, or an agent to delegate to");
    if (value_size(calls) >= LIMIT_TURN_CALLS)
        return err_set(err, ERR_LIMIT, "a turn has at most %d calls", LIMIT_TURN_CALLS);
    rc = delegates ? delegation(scene, call, &arguments, err)
                   : tool_arguments(scene, call, &arguments, err);
    if (rc != 0)
        return rc;
    value_t *made = value_map();
    value_set_string(made, "tool", tool);
    value_set(made, "arguments", &arguments);
    value_append(calls, &made);
    return 0;
}

static int add_for_each(struct scene *scene, const value_t *call, const char *path, value_t *calls,
                        struct err *err)
{
    value_t *items = NULL;
    int rc = eval_expression(scene, path, &items, err);
    if (rc == 0 && value_type(items) != VALUE_LIST)
        rc = wrong(err, "a list", items);
    if (rc != 0)
        err_where(err, "for");
    for (size_t i = 0; rc == 0 && i < value_size(items); i++) {
        scene->item = value_at(items, i);
        scene->index = i;
        rc = add_call(scene, call, calls, err);
    }
    scene->item = NULL;
    value_destroy(&items);
    return rc;
}

static int add_calls(struct scene *scene, const value_t *list, value_t *calls, size_t *ret_at,
                     struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < value_size(list); i++) {
        const value_t *call = value_at(list, i), *each = NULL;
        *ret_at = i;
        if (value_type(call) != VALUE_MAP)
            return wrong(err, "an object", call);
        rc = get(call, "for", VALUE_STRING, &each, err);
        if (rc == 0 && each)
            rc = add_for_each(scene, call, value_as_string(each), calls, err);
        else if (rc == 0)
            rc = add_call(scene, call, calls, err);
    }
    return rc;
}

static void say(struct scene *scene, struct script_answer *answer)
{
    struct err err = {0};
    const value_t *literal = value_get(scene->rule, "say");
    value_t *content = NULL;
    int rc = literal ? eval_template(scene, literal, &content, &err) : 0;
    if (rc != 0) {
        fail_rule(scene, "say", &err, answer);
        return;
    }
    if (!content)
        content = value_null();
    value_set(answer->turn, "content", &content);
}

static void call(struct scene *scene, struct script_answer *answer)
{
    struct err err = {0};
    const value_t *list = NULL;
    value_t *calls = value_list();
    char where[32] = "calls";
    size_t at = 0;
    int rc = get(scene->rule, "calls", VALUE_LIST, &list, &err);
    if (rc == 0 && list) {
        rc = add_calls(scene, list, calls, &at, &err);
        (void)snprintf(where, sizeof where, "calls[%zu]", at);
    }
    if (rc != 0)
        fail_rule(scene, where, &err, answer);
    else if (value_size(calls))
        value_set(answer->turn, "calls", &calls);
    value_destroy(&calls);
}

static void follow(struct scene *scene, struct script_answer *answer)
{
    const value_t *usage = value_get(scene->rule, "usage");
    const value_t *failure = value_get(scene->rule, "fail");
    struct err err = {0};
    answer->delay_us = value_get_int(scene->rule, "delay_us", 0);
    answer->stream_us = value_get_int(scene->rule, "stream_us", 0);
    answer->input_tokens = usage ? value_get_int(usage, "input", -1) : -1;
    answer->output_tokens = usage ? value_get_int(usage, "output", -1) : -1;
    if (failure) {
        fail(answer, value_get_string(failure, "code", "failed"),
             xstrdup(value_get_string(failure, "message", "")),
             value_get_bool(failure, "permanent", false));
        return;
    }
    answer->turn = value_map();
    say(scene, answer);
    if (answer->turn)
        call(scene, answer);
    if (answer->turn && value_check_limits(answer->turn, &err) != 0)
        fail_rule(scene, "say", &err, answer);
}

void script_evaluate(const value_t *rules, const value_t *request, struct script_answer *ret_answer)
{
    struct scene scene = {.request = request, .turns = list_of(request, "turns")};
    const value_t *list = list_of(rules, "rules");
    struct err err = {0};
    *ret_answer = (struct script_answer){.input_tokens = -1, .output_tokens = -1};
    for (size_t i = 0; i < size_of(list); i++) {
        scene.rule = value_at(list, i);
        scene.number = i + 1;
        int rc = value_type(scene.rule) == VALUE_MAP ? fits(&scene, &err)
                                                     : wrong(&err, "an object", scene.rule);
        if (rc == 0)
            continue;
        if (rc < 0)
            fail_rule(&scene, "when", &err, ret_answer);
        else
            follow(&scene, ret_answer);
        return;
    }
    fail(ret_answer, "no_rule",
         xasprintf("none of the script's %zu rules fits turn %lld", size_of(list),
                   (long long)value_get_int(request, "turn", 0)),
         true);
}
