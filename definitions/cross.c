/* Checks between definitions: does every agent and workflow that a workflow names exist, and every
 * agent that an agent delegates to, and does a workflow get the inputs that it declares? Canonical
 * forms carry no places, so a definition that names an unknown one is read again to say where. */
#include "base/map.h"
#include "definitions/reread.h"
#include <stdlib.h>
#include <string.h>

struct cross {
    const struct definitions *definitions;
    definition_known_fn known; /* NULL: nobody to ask */
    void *context;
    struct diagnostics *diagnostics;
    map_t *names[2];    /* by kind, in the set: name -> struct definition */
    map_t *asked[2];    /* names that known answered: YES or NO */
    size_t effort_left; /* for suggestions, over all definitions */
};

static char yes, no;

static bool is_known(struct cross *self, enum definition_kind kind, const char *name)
{
    if (map_get(self->names[kind], name, strlen(name)))
        return true;
    if (!self->known)
        return false;
    const char *answer = map_get(self->asked[kind], name, strlen(name));
    if (!answer) {
        answer = self->known(self->context, kind, name) ? &yes : &no;
        (void)map_put(self->asked[kind], name, strlen(name), (void *)(uintptr_t)answer);
    }
    return answer == &yes;
}

/* The inputs that a workflow of the set declares; NULL: it takes any, or isn't in the set. */
static const value_t *inputs_of(struct cross *self, const char *workflow)
{
    const struct definition *found =
        map_get(self->names[DEFINITION_WORKFLOW], workflow, strlen(workflow));
    const value_t *inputs = found ? value_get(found->canonical, "input") : NULL;
    return inputs && value_type(inputs) == VALUE_MAP ? inputs : NULL;
}

static bool lacks_input(const value_t *schema, const value_t *with, const char *name)
{
    return value_get_bool(schema, "required", true) && !value_get(schema, "default") &&
           !(with && value_get(with, name));
}

static bool gives_wrong_inputs(struct cross *self, const char *workflow, const value_t *with)
{
    const value_t *inputs = inputs_of(self, workflow);
    for (size_t i = 0; inputs && i < value_size(inputs); i++)
        if (lacks_input(value_member_at(inputs, i), with, value_key_at(inputs, i, NULL)))
            return true;
    for (size_t i = 0; inputs && with && i < value_size(with); i++)
        if (!value_get(inputs, value_key_at(with, i, NULL)))
            return true;
    return false;
}

static bool names_unknown(struct cross *self, const value_t *node)
{
    const char *agent = value_get_string(node, "agent", NULL);
    const char *workflow = value_get_string(node, "workflow", NULL);
    const value_t *on_error = value_get(node, "on_error");
    const char *fallback = on_error ? value_get_string(on_error, "fallback", NULL) : NULL;
    if (workflow && (!is_known(self, DEFINITION_WORKFLOW, workflow) ||
                     gives_wrong_inputs(self, workflow, value_get(node, "with"))))
        return true;
    return (agent && !is_known(self, DEFINITION_AGENT, agent)) ||
           (fallback && !is_known(self, DEFINITION_AGENT, fallback));
}

static bool workflow_names_unknown(struct cross *self, const struct definition *workflow)
{
    const value_t *nodes = value_get(workflow->canonical, "nodes");
    for (size_t i = 0; nodes && i < value_size(nodes); i++)
        if (names_unknown(self, value_at(nodes, i)))
            return true;
    return false;
}

static const char *const KIND_NAMES[] = {"agent", "workflow"};
static const char *const UNKNOWN[] = {"unknown_agent", "unknown_workflow"};
static const char *const APPLY[] = {"apply the agent, too", "apply the workflow, too"};

/* Offline, one that isn't in the files may be applied elsewhere: only what looks like a slip of the
 * pen is worth a warning. */
static void report(struct cross *cross, struct reread *self, enum definition_kind kind,
                   const struct node *name, bool is_delegate)
{
    struct suggestion suggestion = SUGGESTION(name->text);
    struct place place = reread_place(self, name->place);
    const struct definition *other;
    size_t position = 0;
    char near[128];
    while ((other = map_next(cross->names[kind], &position, NULL)))
        check_offer(&self->check, &suggestion, other->name);
    suggestion_text(&suggestion, near, sizeof near);
    const char *fix = suggestion.nearest ? near : APPLY[kind];
    if (cross->known && is_delegate)
        check_warning(&self->check, place, UNKNOWN[kind], fix, "there is no %s \"%s\" yet",
                      KIND_NAMES[kind], name->text);
    else if (cross->known)
        check_error(&self->check, place, UNKNOWN[kind], fix, "there is no %s \"%s\"",
                    KIND_NAMES[kind], name->text);
    else if (suggestion.nearest)
        check_warning(&self->check, place, UNKNOWN[kind], fix, "these files have no %s \"%s\"",
                      KIND_NAMES[kind], name->text);
}

static void check_name_of(struct cross *cross, struct reread *self, enum definition_kind kind,
                          const struct node *map, const char *key)
{
    const struct node *name = node_get(map, key);
    if (!name || name->kind != NODE_TEXT || is_known(cross, kind, name->text))
        return;
    size_t before = check_enter(&self->check, key);
    report(cross, self, kind, name, false);
    check_leave(&self->check, before);
}

static void check_given(struct reread *self, const value_t *inputs, const struct node *with,
                        const char *workflow)
{
    size_t before = check_enter(&self->check, "with");
    for (const struct node *item = with && with->kind == NODE_MAP ? with->first : NULL; item;
         item = item->next) {
        struct suggestion suggestion = SUGGESTION(item->key->text);
        char fix[128];
        if (value_get(inputs, item->key->text))
            continue;
        for (size_t i = 0; i < value_size(inputs); i++)
            check_offer(&self->check, &suggestion, value_key_at(inputs, i, NULL));
        suggestion_text(&suggestion, fix, sizeof fix);
        check_error(&self->check, reread_place(self, item->key->place), "unknown_key",
                    suggestion.nearest ? fix : "leave it out",
                    "the workflow \"%s\" has no input \"%s\"", workflow,
                    check_shown(&self->check, item->key->text));
    }
    check_leave(&self->check, before);
}

static void check_inputs_of(struct cross *cross, struct reread *self, const struct node *node)
{
    const struct node *name = node_get(node, "workflow"), *with = node_get(node, "with");
    const value_t *inputs = name && name->kind == NODE_TEXT ? inputs_of(cross, name->text) : NULL;
    for (size_t i = 0; inputs && i < value_size(inputs); i++) {
        const char *input = value_key_at(inputs, i, NULL);
        const value_t *schema = value_member_at(inputs, i);
        bool given = with && with->kind == NODE_MAP && node_get(with, input);
        if (!given && lacks_input(schema, NULL, input))
            check_error(&self->check, reread_place(self, name->place), "missing_key",
                        "give it under with", "the workflow \"%s\" needs the input \"%s\"",
                        name->text, input);
    }
    if (inputs)
        check_given(self, inputs, with, name->text);
}

static void check_nodes_of(struct cross *cross, struct reread *self)
{
    const struct node *nodes = node_get(self->root, "nodes");
    check_enter(&self->check, "nodes");
    for (const struct node *item = nodes ? nodes->first : NULL; item; item = item->next) {
        size_t before = check_enter(&self->check, item->key->text);
        check_name_of(cross, self, DEFINITION_AGENT, item, "agent");
        check_name_of(cross, self, DEFINITION_WORKFLOW, item, "workflow");
        check_inputs_of(cross, self, item);
        size_t inside = check_enter(&self->check, "on_error");
        check_name_of(cross, self, DEFINITION_AGENT, node_get(item, "on_error"), "fallback");
        check_leave(&self->check, inside);
        check_leave(&self->check, before);
    }
    check_leave(&self->check, 0);
}

static void check_delegates_of(struct cross *cross, struct reread *self)
{
    const struct node *delegates = node_get(self->root, "delegates");
    size_t index = 0;
    check_enter(&self->check, "delegates");
    for (const struct node *item = delegates && delegates->kind == NODE_LIST ? delegates->first
                                                                             : NULL;
         item; item = item->next) {
        size_t before = check_enter_index(&self->check, index++);
        if (item->kind == NODE_TEXT && !strpbrk(item->text, "*?") &&
            !is_known(cross, DEFINITION_AGENT, item->text))
            report(cross, self, DEFINITION_AGENT, item, true);
        check_leave(&self->check, before);
    }
    check_leave(&self->check, 0);
}

static bool agent_names_unknown(struct cross *self, const struct definition *agent)
{
    const value_t *delegates = value_get(agent->canonical, "delegates");
    for (size_t i = 0; delegates && i < value_size(delegates); i++) {
        const char *name = value_as_string(value_at(delegates, i));
        if (!strpbrk(name, "*?") && !is_known(self, DEFINITION_AGENT, name))
            return true;
    }
    return false;
}

static void check_one(struct cross *self, const struct definition *item)
{
    struct reread reread;
    bool is_agent = item->kind == DEFINITION_AGENT;
    if (is_agent ? !agent_names_unknown(self, item) : !workflow_names_unknown(self, item))
        return;
    reread_open(&reread, item->source, item->file, item->line, self->diagnostics);
    reread.check.effort_left = self->effort_left;
    if (reread.root && is_agent)
        check_delegates_of(self, &reread);
    else if (reread.root)
        check_nodes_of(self, &reread);
    self->effort_left = reread.check.effort_left;
    reread_close(&reread);
}

void definitions_cross_check(const struct definitions *definitions, definition_known_fn known,
                             void *context, struct diagnostics *diagnostics)
{
    struct cross cross = {.definitions = definitions,
                          .known = known,
                          .context = context,
                          .diagnostics = diagnostics,
                          .names = {map_new(), map_new()},
                          .asked = {map_new(), map_new()},
                          .effort_left = CHECK_EFFORT};
    for (size_t i = 0; i < definitions->count; i++) {
        struct definition *item = &definitions->items[i];
        (void)map_put(cross.names[item->kind], item->name, strlen(item->name), item);
    }
    for (size_t i = 0; i < definitions->count; i++)
        check_one(&cross, &definitions->items[i]);
    for (size_t i = 0; i < 2; i++) {
        map_destroy(&cross.names[i]);
        map_destroy(&cross.asked[i]);
    }
}
