/* The rules of a script, which stands in for a model: a file of its own that an agent names by
 * `model: script/FILE`. Checked here, and kept in the agent's canonical form:
 *
 *   {rules: [{name, when, say, calls, delay_us, stream_us, usage {input, output},
 *             fail {code, message, permanent}}]}
 *   when:  turn [least, most], attempt [least, most], message, results, called, not_called,
 *          delegated, not_delegated, has, lacks (expressions),
 *          equals [[expression, value]] (sorted)
 *   calls: [{tool, with, for, if} | {delegate, message, context, hand_off, for, if}] */
#include "base/limits.h"
#include "definitions/check.h"
#include <stdlib.h>
#include <string.h>

/* --- equals ------------------------------------------------------------------------------------
 */

static int compare_keys(const void *a, const void *b)
{
    const struct node *left = *(const struct node *const *)a;
    const struct node *right = *(const struct node *const *)b;
    return strcmp(left->key->text, right->key->text);
}

static value_t *equal_pair(const struct node *item)
{
    value_t *pair = value_list();
    value_t *path = value_string(item->key->text), *value = node_value(item);
    value_append(pair, &path);
    value_append(pair, &value);
    return pair;
}

value_t *check_equals(struct check *self, const struct key *key, const struct node *node)
{
    if (node->kind != NODE_MAP) {
        check_wrong_type(self, node, "an object", "write {\"results[0].output\": value}");
        return NULL;
    }
    if (!check_count(self, key, node, "members"))
        return NULL;
    const struct node **items = xcalloc((size_t)node->size + 1, sizeof *items);
    value_t *pairs = value_list();
    size_t count = 0;
    for (const struct node *item = node->first; item && !check_is_full(self); item = item->next) {
        size_t before = check_enter(self, item->key->text);
        expressions_check(self, item->key, false);
        check_leave(self, before);
        items[count++] = item;
    }
    qsort(items, count, sizeof *items, compare_keys);
    for (size_t i = 0; i < count; i++) {
        value_t *pair = equal_pair(items[i]);
        value_append(pairs, &pair);
    }
    free(items);
    if (value_size(pairs) == 0)
        value_destroy(&pairs);
    return pairs;
}

/* --- calls -------------------------------------------------------------------------------------
 */

static void refuse_with(struct check *self, const struct node *call, const char *way,
                        const char *const *keys)
{
    for (size_t i = 0; keys[i]; i++) {
        const struct node *item = node_get(call, keys[i]);
        if (!item)
            continue;
        size_t before = check_enter(self, keys[i]);
        check_error(self, item->key->place, "bad_value", "take it out", "a call with %s has no %s",
                    way, keys[i]);
        check_leave(self, before);
    }
}

/* Without an expression in it, it must be a name now. */
static void check_delegate_name(struct check *self, const struct node *delegate)
{
    if (delegate->kind != NODE_TEXT || strstr(delegate->text, "{{") ||
        is_definition_name(delegate->text, delegate->size))
        return;
    size_t before = check_enter(self, "delegate");
    check_error(self, delegate->place, "bad_value", "write the name of an agent",
                "\"%s\" is not a name", check_shown(self, delegate->text));
    check_leave(self, before);
}

static void check_way(struct check *self, const struct node *call)
{
    static const char *const OF_TOOLS[] = {"with", NULL};
    static const char *const OF_DELEGATIONS[] = {"message", "context", "hand_off", NULL};
    const struct node *tool = node_get(call, "tool");
    const struct node *delegate = node_get(call, "delegate");
    if (tool && delegate) {
        check_error(self, delegate->key->place, "bad_value", "keep one of them",
                    "a call has either tool or delegate, not both");
    } else if (delegate) {
        check_delegate_name(self, delegate);
        refuse_with(self, call, "delegate", OF_TOOLS);
        if (!node_get(call, "message"))
            check_error(self, call->place, "missing_key", "add message: what the agent is told",
                        "a call with delegate needs the key \"message\"");
    } else if (tool) {
        refuse_with(self, call, "tool", OF_DELEGATIONS);
    } else {
        check_error(self, call->place, "missing_key", "write tool: NAME or delegate: AGENT",
                    "a call needs the key \"tool\" or \"delegate\"");
    }
}

static value_t *check_call(struct check *self, const struct key *key, const struct node *call)
{
    if (call->kind != NODE_MAP) {
        check_wrong_type(self, call, "an object", "write - tool: NAME or - delegate: AGENT");
        return NULL;
    }
    value_t *canonical = value_map();
    self->loop = node_get(call, "for");
    check_members(self, call, key->child, call->place, canonical);
    self->loop = NULL;
    check_way(self, call);
    return canonical;
}

/* --- lists -------------------------------------------------------------------------------------
 */

static value_t *check_each(struct check *self, const struct key *key, const struct node *node,
                           const char *needs, const char *fix,
                           value_t *(*check_item)(struct check *, const struct key *,
                                                  const struct node *))
{
    if (node->kind != NODE_LIST) {
        check_wrong_type(self, node, needs, fix);
        return NULL;
    }
    if (node->size == 0)
        check_error(self, node->place, "bad_value", fix, "has no items");
    if (node->size == 0 || !check_count(self, key, node, "items"))
        return NULL;
    value_t *list = value_list();
    size_t index = 0;
    for (const struct node *item = node->first; item && !check_is_full(self); item = item->next) {
        size_t before = check_enter_index(self, index++);
        value_t *canonical = check_item(self, key, item);
        if (canonical)
            value_append(list, &canonical);
        check_leave(self, before);
    }
    return list;
}

value_t *check_calls(struct check *self, const struct key *key, const struct node *node)
{
    return check_each(self, key, node, "a list of calls", "write - tool: NAME or - delegate: AGENT",
                      check_call);
}

static value_t *check_rule(struct check *self, const struct key *key, const struct node *rule)
{
    value_t *canonical = check_object(self, rule, key->child);
    const struct node *failure = node_get(rule, "fail");
    const struct node *say = node_get(rule, "say");
    const struct node *answer = say ? say : node_get(rule, "calls");
    if (canonical && failure && answer)
        check_error(self, failure->key->place, "bad_value", "keep one of them",
                    "a rule either fails or has %s, not both", answer->key->text);
    else if (canonical && !failure && !answer)
        check_error(self, rule->place, "missing_key", "add say: TEXT",
                    "a rule needs one of say, calls and fail");
    return canonical;
}

value_t *check_rules(struct check *self, const struct key *key, const struct node *node)
{
    return check_each(self, key, node, "a list of rules", "write - say: TEXT for each", check_rule);
}

value_t *check_rules_file(struct check *self, const struct node *root)
{
    size_t errors = self->diagnostics->errors;
    value_t *canonical = value_map();
    check_members(self, root, OWNER_RULES_FILE, root->place, canonical);
    if (self->diagnostics->errors > errors)
        value_destroy(&canonical);
    return canonical;
}
