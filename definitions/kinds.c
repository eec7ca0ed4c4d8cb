/* What a node is (whose agent works, what it waits for) and which keys go with that. */
#include "base/limits.h"
#include "definitions/workflow.h"
#include <stdio.h>
#include <string.h>

enum kind {
    KIND_NONE = 0,
    KIND_AGENT = 1 << 0,
    KIND_WORKFLOW = 1 << 1,
    KIND_APPROVE = 1 << 2,
    KIND_TIMER = 1 << 3,
    KIND_SIGNAL = 1 << 4,
    KIND_SET = 1 << 5,
};

/* Keys that say what a node is: it has one of them, or `set` alone. */
static const char *const KIND_KEYS[] = {"agent", "workflow", "approve", "wait", NULL};

static enum kind kind_of(const struct node *node)
{
    const struct node *wait = node_get(node, "wait");
    if (node_get(node, "agent"))
        return KIND_AGENT;
    if (node_get(node, "workflow"))
        return KIND_WORKFLOW;
    if (node_get(node, "approve"))
        return KIND_APPROVE;
    if (wait)
        return wait->kind == NODE_MAP ? KIND_SIGNAL : KIND_TIMER;
    return node_get(node, "set") ? KIND_SET : KIND_NONE;
}

bool kind_is_set(const struct node *node)
{
    return node->kind == NODE_MAP && kind_of(node) == KIND_SET;
}

bool kind_is_known(const struct node *node)
{
    return kind_of(node) != KIND_NONE;
}

static const char *kind_name(enum kind kind)
{
    switch (kind) {
    case KIND_AGENT: return "an agent works on";
    case KIND_WORKFLOW: return "runs another workflow";
    case KIND_APPROVE: return "a person decides on";
    case KIND_TIMER: return "waits for a time";
    case KIND_SIGNAL: return "waits for a signal";
    case KIND_SET: return "only sets the context";
    case KIND_NONE: break;
    }
    return "does nothing";
}

/* Keys that make no sense on every node, and the remedy where they make none. */
static const struct {
    const char *key;
    unsigned kinds;
    const char *fix;
} RULES[] = {
    {"say", KIND_AGENT | KIND_WORKFLOW, "take it out"},
    {"say", ~(unsigned)KIND_WORKFLOW, "write with: {name: value}, which is its input"},
    {"with", KIND_AGENT | KIND_WORKFLOW, "take it out"},
    {"retry", KIND_AGENT | KIND_WORKFLOW, "take it out"},
    {"allow_again", KIND_AGENT, "take it out"},
    {"timeout", KIND_AGENT | KIND_WORKFLOW | KIND_APPROVE,
     "for a signal, write wait: {signal: NAME, timeout: 1h}"},
    {"show", KIND_APPROVE, "it goes with approve: TEXT"},
    {"on_expiry", KIND_APPROVE | KIND_SIGNAL,
     "it goes with approve: TEXT and with wait: {signal: NAME, timeout: 1h}; on_error says what "
     "follows a failure"},
};

static void report(struct check *self, const struct node *at, const char *kind, const char *fix,
                   const char *message)
{
    size_t before = check_enter(self, at->key->text);
    check_error(self, at->key->place, kind, fix, "%s", message);
    check_leave(self, before);
}

static void check_rules_of_kind(struct check *self, const struct node *node, enum kind kind)
{
    char message[160];
    for (size_t i = 0; i < sizeof RULES / sizeof RULES[0]; i++) {
        const struct node *member = node_get(node, RULES[i].key);
        if (!member || kind & RULES[i].kinds)
            continue;
        (void)snprintf(message, sizeof message, "means nothing on a node that %s", kind_name(kind));
        report(self, member, "bad_value", RULES[i].fix, message);
    }
}

static void check_one_kind(struct check *self, const struct node *node)
{
    const char *first = NULL;
    char message[160];
    for (size_t i = 0; KIND_KEYS[i]; i++) {
        const struct node *member = node_get(node, KIND_KEYS[i]);
        if (member && first) {
            (void)snprintf(message, sizeof message, "stands beside %s: a node does one thing",
                           first);
            report(self, member, "bad_value", "make two nodes of it, one after the other", message);
        } else if (member) {
            first = KIND_KEYS[i];
        }
    }
}

/* What never expires needs no word on it. */
static void check_expiry_has_time(struct check *self, const struct node *node, enum kind kind)
{
    const struct node *on_expiry = node_get(node, "on_expiry");
    const struct node *holder = kind == KIND_SIGNAL ? node_get(node, "wait") : node;
    if (on_expiry && (kind == KIND_APPROVE || kind == KIND_SIGNAL) && !node_get(holder, "timeout"))
        report(self, on_expiry, "missing_key",
               kind == KIND_SIGNAL ? "write wait: {signal: NAME, timeout: 1h}, or take it out"
                                   : "add timeout: 2d, or take it out",
               "never comes: without a timeout it waits for ever");
}

static void check_no_fallback(struct check *self, const struct node *node, enum kind kind)
{
    const struct node *on_error = node_get(node, "on_error");
    if (on_error && on_error->kind == NODE_MAP && kind != KIND_AGENT)
        report(self, on_error, "bad_value", "write continue or fail",
               "names another agent, but no agent works on this node");
}

void check_node_kind(struct check *self, const struct node *node)
{
    enum kind kind = kind_of(node);
    check_one_kind(self, node);
    if (kind == KIND_NONE)
        return; /* what is missing was said */
    check_rules_of_kind(self, node, kind);
    check_expiry_has_time(self, node, kind);
    check_no_fallback(self, node, kind);
}

/* --- wait, on_expiry -------------------------------------------------------------------------- */

value_t *check_wait(struct check *self, const struct key *key, const struct node *node)
{
    if (node->kind == NODE_MAP)
        return check_object(self, node, key->child);
    if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "a duration or a signal",
                         "write 30s, or {signal: NAME, timeout: 1h}");
        return NULL;
    }
    value_t *time_us = check_duration(self, key, node);
    value_t *wait = time_us ? value_map() : NULL;
    if (time_us)
        value_set(wait, "time_us", &time_us);
    return wait;
}

/* `fail` is what happens without the key. */
value_t *check_expiry(const struct node *node)
{
    if (node->kind == NODE_TEXT && strcmp(node->text, "fail") == 0)
        return NULL;
    return node_value(node);
}
