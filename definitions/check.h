/* Inside the module: what one check of one document carries, and the checks by key type. Each check
 * reports what is wrong and goes on, so that one run finds every problem. Lives as long as one call
 * of definitions_parse. */
#ifndef AF_DEFINITIONS_CHECK_H
#define AF_DEFINITIONS_CHECK_H

#include "definitions/diagnostics.h"
#include "definitions/keys.h"
#include "definitions/tree.h"

struct graph; /* workflow.h */

struct check {
    const struct source *source;
    struct diagnostics *diagnostics;
    struct arena *arena;
    struct buf path;           /* of the node in hand: nodes.find.retry */
    size_t effort_left;        /* for suggestions, which must not cost more than the check itself */
    struct graph *graph;       /* while in a workflow */
    const struct node *loop;   /* the `for` of the call (in a rules file) or node in hand */
    bool in_template;          /* the key in hand is read by a task: a text or object with
                                * {{expressions}} in it, or `show` */
    bool in_set;               /* the key in hand is `set` of a node, which may read its own output */
};
#define CHECK_EFFORT (20u << 20) /* compared pairs of characters */

void check_init(struct check *self, const struct source *source, struct tree *tree,
                struct diagnostics *diagnostics);
void check_release(struct check *self);

/* No more problems can be shown: whatever walks through many things stops there. */
bool check_is_full(const struct check *self);

/* The path grows by a key or index, until check_leave with the value that check_enter… returned. */
size_t check_enter(struct check *self, const char *key);
size_t check_enter_index(struct check *self, size_t index);
void check_leave(struct check *self, size_t before);

/* An error at the path in hand. fix says how to mend it. */
void check_error(struct check *self, struct place place, const char *kind, const char *fix,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));
void check_warning(struct check *self, struct place place, const char *kind, const char *fix,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));
/* `needs a number, not a text`, and how to mend it. */
void check_wrong_type(struct check *self, const struct node *node, const char *needs,
                      const char *fix);
/* As suggestion_offer, until effort_left is used up. */
void check_offer(struct check *self, struct suggestion *suggestion, const char *candidate);
/* A word from the file, short enough for a message. */
const char *check_shown(struct check *self, const char *word);

/* Reports flaws and duplicate keys of the whole tree and takes those members out. */
void check_tree(struct check *self, struct node *root);
/* Checks an object's keys and sets each value's canonical form in `into`. missing: report required
 * keys that are not there, at this place; place.line 0: don't. */
void check_members(struct check *self, const struct node *map, enum key_owner owner,
                   struct place missing, value_t *into);
/* The same for a node that must be an object; NULL (reported) when it isn't. */
value_t *check_object(struct check *self, const struct node *node, enum key_owner owner);
/* Checks one value and sets its canonical form in `into`, under the key's canonical name. */
void check_value(struct check *self, const struct key *key, const struct node *node, value_t *into);

/* --- by type: each gives the canonical form, or NULL after it reported ------------------------- */

value_t *check_text(struct check *self, const struct node *node, size_t most);
value_t *check_name(struct check *self, const struct node *node);
value_t *check_choice(struct check *self, const struct key *key, const struct node *node);
value_t *check_integer(struct check *self, const struct key *key, const struct node *node);
value_t *check_number(struct check *self, const struct key *key, const struct node *node);
value_t *check_boolean(struct check *self, const struct node *node);
value_t *check_duration(struct check *self, const struct key *key, const struct node *node);
value_t *check_size(struct check *self, const struct key *key, const struct node *node);
value_t *check_argv(struct check *self, const struct node *node);
value_t *check_env(struct check *self, const struct key *key, const struct node *node);
value_t *check_labels(struct check *self, const struct key *key, const struct node *node);
value_t *check_dollars(struct check *self, const struct key *key, const struct node *node);
value_t *check_span(struct check *self, const struct key *key, const struct node *node);
/* [a-z][a-z0-9_-]*, not too long */
bool is_definition_name(const char *text, size_t size);
/* false: the list or object has more than key->most of them (a plural), which is reported. */
bool check_count(struct check *self, const struct key *key, const struct node *node,
                 const char *plural);
void check_range(struct check *self, const struct key *key, const struct node *node, value_t *into);
/* inputs.c */
value_t *check_inputs(struct check *self, const struct key *key, const struct node *node);
value_t *check_schema(struct check *self, const struct node *node);
value_t *check_schema_type(struct check *self, const struct node *node);
value_t *check_schemas(struct check *self, const struct key *key, const struct node *node);
value_t *check_required(struct check *self, const struct node *node);
value_t *check_answer(struct check *self, const struct node *node);
value_t *check_parameters(struct check *self, const struct key *key, const struct node *node);
/* agent.c */
value_t *check_model(struct check *self, const struct node *node);
value_t *check_tools(struct check *self, const struct key *key, const struct node *node);
value_t *check_tool_name(struct check *self, const struct node *node);
value_t *check_tool_names(struct check *self, const struct key *key, const struct node *node);
value_t *check_delegates(struct check *self, const struct key *key, const struct node *node);
/* Texts, sorted; one that stands twice is reported. */
value_t *check_sorted(struct check *self, const struct node **items, size_t count);
/* rules.c */
value_t *check_rules(struct check *self, const struct key *key, const struct node *node);
value_t *check_calls(struct check *self, const struct key *key, const struct node *node);
value_t *check_equals(struct check *self, const struct key *key, const struct node *node);
/* workflow.c */
value_t *check_nodes(struct check *self, const struct key *key, const struct node *node);
value_t *check_after(struct check *self, const struct key *key, const struct node *node);
value_t *check_node_reference(struct check *self, const struct node *node);
value_t *check_retry(struct check *self, const struct key *key, const struct node *node);
value_t *check_on_error(struct check *self, const struct key *key, const struct node *node);
/* kinds.c */
value_t *check_wait(struct check *self, const struct key *key, const struct node *node);
value_t *check_expiry(const struct node *node);
/* Whether all that it does is to set the context. */
bool kind_is_set(const struct node *node);
/* Whether any of its keys says what it is; else it lacks an agent. */
bool kind_is_known(const struct node *node);
/* Which keys go with what the node is. */
void check_node_kind(struct check *self, const struct node *node);
/* schedules.c */
value_t *check_schedule(struct check *self, const struct key *key, const struct node *node);
value_t *check_cron(struct check *self, const struct node *node);
value_t *check_zone(struct check *self, const struct node *node);
/* That the schedule's input is one that the workflow takes. */
void check_schedule_input(struct check *self, const struct node *root, const value_t *canonical);
/* expressions.c: references that are found go to self->graph. */
value_t *check_template(struct check *self, const struct node *node);
value_t *check_templates(struct check *self, const struct node *node);
value_t *check_anything(struct check *self, const struct node *node);
value_t *check_expression(struct check *self, const struct node *node);
value_t *check_condition(struct check *self, const struct node *node);
value_t *check_list_expression(struct check *self, const struct node *node);
/* Where the byte at this offset of a scalar's text stands. */
struct place check_place_in(const struct check *self, const struct node *node, size_t offset);
/* Every expression of a text that is a template, or is one expression. */
void expressions_check(struct check *check, const struct node *node, bool is_template);

/* One whole document: its canonical form, or NULL when there was any error. */
value_t *check_agent(struct check *self, const struct node *root);
value_t *check_workflow(struct check *self, const struct node *root);
value_t *check_rules_file(struct check *self, const struct node *root);

#endif
