/* Checks between definitions: does every agent that a workflow names exist, and every one that an
 * agent delegates to? Canonical forms carry no places, so a definition that names an unknown one is
 * read again to say where. */
#include "base/map.h"
#include "definitions/reread.h"
#include <stdlib.h>
#include <string.h>

struct cross {
    const struct definitions *definitions;
    definition_known_fn known; /* NULL: nobody to ask */
    void *context;
    struct diagnostics *diagnostics;
    map_t *agents;      /* in the set */
    map_t *asked;       /* names that known answered: YES or NO */
    size_t effort_left; /* for suggestions, over all definitions */
};

static char yes, no;

static bool is_known(struct cross *self, const char *name)
{
    if (map_get(self->agents, name, strlen(name)))
        return true;
    if (!self->known)
        return false;
    const char *answer = map_get(self->asked, name, strlen(name));
    if (!answer) {
        answer = self->known(self->context, DEFINITION_AGENT, name) ? &yes : &no;
        (void)map_put(self->asked, name, strlen(name), (void *)(uintptr_t)answer);
    }
    return answer == &yes;
}

static bool names_unknown(struct cross *self, const value_t *node)
{
    const char *agent = value_get_string(node, "agent", NULL);
    const value_t *on_error = value_get(node, "on_error");
    const char *fallback = on_error ? value_get_string(on_error, "fallback", NULL) : NULL;
    return (agent && !is_known(self, agent)) || (fallback && !is_known(self, fallback));
}

static bool workflow_names_unknown(struct cross *self, const struct definition *workflow)
{
    const value_t *nodes = value_get(workflow->canonical, "nodes");
    for (size_t i = 0; nodes && i < value_size(nodes); i++)
        if (names_unknown(self, value_at(nodes, i)))
            return true;
    return false;
}

/* Offline, an agent that isn't in the files may be applied elsewhere: only one that looks like a
 * slip of the pen is worth a warning. */
static void report(struct cross *cross, struct reread *self, const struct node *name,
                   bool is_delegate)
{
    struct suggestion suggestion = SUGGESTION(name->text);
    struct place place = reread_place(self, name->place);
    size_t position = 0;
    struct bytes key;
    char fix[128];
    const char *agent;
    while ((agent = map_next(cross->agents, &position, &key)))
        check_offer(&self->check, &suggestion, agent);
    suggestion_text(&suggestion, fix, sizeof fix);
    if (cross->known && is_delegate)
        check_warning(&self->check, place, "unknown_agent",
                      suggestion.nearest ? fix : "apply the agent, too",
                      "there is no agent \"%s\" yet", name->text);
    else if (cross->known)
        check_error(&self->check, place, "unknown_agent",
                    suggestion.nearest ? fix : "apply the agent, too", "there is no agent \"%s\"",
                    name->text);
    else if (suggestion.nearest)
        check_warning(&self->check, place, "unknown_agent", fix, "these files have no agent \"%s\"",
                      name->text);
}

static void check_name_of(struct cross *cross, struct reread *self, const struct node *map,
                          const char *key)
{
    const struct node *name = node_get(map, key);
    if (!name || name->kind != NODE_TEXT || is_known(cross, name->text))
        return;
    size_t before = check_enter(&self->check, key);
    report(cross, self, name, false);
    check_leave(&self->check, before);
}

static void check_nodes_of(struct cross *cross, struct reread *self)
{
    const struct node *nodes = node_get(self->root, "nodes");
    check_enter(&self->check, "nodes");
    for (const struct node *item = nodes ? nodes->first : NULL; item; item = item->next) {
        size_t before = check_enter(&self->check, item->key->text);
        check_name_of(cross, self, item, "agent");
        size_t inside = check_enter(&self->check, "on_error");
        check_name_of(cross, self, node_get(item, "on_error"), "fallback");
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
        if (item->kind == NODE_TEXT && !strpbrk(item->text, "*?") && !is_known(cross, item->text))
            report(cross, self, item, true);
        check_leave(&self->check, before);
    }
    check_leave(&self->check, 0);
}

static bool agent_names_unknown(struct cross *self, const struct definition *agent)
{
    const value_t *delegates = value_get(agent->canonical, "delegates");
    for (size_t i = 0; delegates && i < value_size(delegates); i++) {
        const char *name = value_as_string(value_at(delegates, i));
        if (!strpbrk(name, "*?") && !is_known(self, name))
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
                          .agents = map_new(),
                          .asked = map_new(),
                          .effort_left = CHECK_EFFORT};
    for (size_t i = 0; i < definitions->count; i++) {
        const struct definition *item = &definitions->items[i];
        if (item->kind == DEFINITION_AGENT)
            (void)map_put(cross.agents, item->name, strlen(item->name), item->name);
    }
    for (size_t i = 0; i < definitions->count; i++)
        check_one(&cross, &definitions->items[i]);
    map_destroy(&cross.agents);
    map_destroy(&cross.asked);
}
