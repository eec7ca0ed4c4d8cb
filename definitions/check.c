#include "definitions/check.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/utf8.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES 64 /* of a word from the file, in a message or path */
#define FEW_MEMBERS 16 /* so many are compared in pairs */

void check_init(struct check *self, const struct source *source, struct tree *tree,
                struct diagnostics *diagnostics)
{
    *self = (struct check){
        .source = source,
        .diagnostics = diagnostics,
        .arena = &tree->arena,
        .effort_left = CHECK_EFFORT,
    };
}

void check_release(struct check *self)
{
    buf_release(&self->path);
}

bool check_is_full(const struct check *self)
{
    return self->diagnostics->count >= LIMIT_DIAGNOSTICS;
}

size_t check_enter(struct check *self, const char *key)
{
    size_t before = self->path.size;
    if (before > 0)
        buf_putc(&self->path, '.');
    buf_append(&self->path, key, utf8_cut(key, strnlen(key, SHOWN_BYTES)));
    return before;
}

size_t check_enter_index(struct check *self, size_t index)
{
    size_t before = self->path.size;
    buf_printf(&self->path, "[%zu]", index);
    return before;
}

void check_leave(struct check *self, size_t before)
{
    self->path.size = before;
    if (self->path.data)
        self->path.data[before] = '\0';
}

static struct finding finding_at(const struct check *self, enum diagnostic_severity severity,
                                 struct place place, const char *kind, const char *fix)
{
    return (struct finding){.severity = severity,
                            .file = self->source->file,
                            .place = place,
                            .path = buf_string(&self->path),
                            .kind = kind,
                            .fix = fix};
}

void check_error(struct check *self, struct place place, const char *kind, const char *fix,
                 const char *format, ...)
{
    struct finding finding = finding_at(self, DIAGNOSTIC_ERROR, place, kind, fix);
    va_list arguments;
    va_start(arguments, format);
    diagnostics_add_v(self->diagnostics, &finding, format, arguments);
    va_end(arguments);
}

void check_warning(struct check *self, struct place place, const char *kind, const char *fix,
                   const char *format, ...)
{
    struct finding finding = finding_at(self, DIAGNOSTIC_WARNING, place, kind, fix);
    va_list arguments;
    va_start(arguments, format);
    diagnostics_add_v(self->diagnostics, &finding, format, arguments);
    va_end(arguments);
}

void check_wrong_type(struct check *self, const struct node *node, const char *needs,
                      const char *fix)
{
    if (node->kind == NODE_BAD)
        return;
    check_error(self, node->place, "wrong_type", fix, "needs %s, but is %s", needs,
                node_kind_name(node));
}

void check_offer(struct check *self, struct suggestion *suggestion, const char *candidate)
{
    size_t effort = 16 + suggestion->size * strlen(candidate);
    if (self->effort_left < effort) {
        self->effort_left = 0;
        return;
    }
    self->effort_left -= effort;
    suggestion_offer(suggestion, candidate);
}

const char *check_shown(struct check *self, const char *word)
{
    if (check_is_full(self))
        return "";
    size_t size = utf8_cut(word, strnlen(word, SHOWN_BYTES));
    return arena_printf(self->arena, "%.*s%s", (int)size, word, word[size] ? "..." : "");
}

/* --- the tree: flaws and duplicates ------------------------------------------------------------
 */

static void report_flaw(struct check *self, const struct node *node)
{
    static const struct {
        const char *kind, *message, *fix;
    } FLAWS[] = {
        [FLAW_TAG] = {"syntax", "what begins with \"!\" is a tag in YAML, which isn't used here",
                      "quote it if it is meant as text"},
        [FLAW_ALIAS] = {"syntax", "what begins with \"*\" is an alias in YAML, which isn't allowed",
                        "quote it if it is meant as text, or write the value out"},
        [FLAW_ANCHOR] = {"syntax",
                         "what begins with \"&\" is an anchor in YAML, which isn't allowed",
                         "quote it if it is meant as text"},
        [FLAW_KEY] =
            {"syntax", "unquoted braces or brackets stand for an object or list in YAML",
             "quote the text: \"{{...}}\"; where an expression stands (if, for, output), take "
             "the braces away"},
        [FLAW_NUL] = {"bad_value", "a text must not hold a NUL character", "take it out"},
        [FLAW_OVERFLOW] = {"bad_value", "the integer doesn't fit into 64 bits",
                           "quote it if it is meant as text"},
        [FLAW_INFINITE] = {"bad_value", "the number isn't finite",
                           "quote it if it is meant as text"},
    };
    if (node->flaw != FLAW_NONE)
        check_error(self, node->place, FLAWS[node->flaw].kind, FLAWS[node->flaw].fix, "%s",
                    FLAWS[node->flaw].message);
}

/* The member of that key that came before this one, or NULL. */
static const struct node *earlier_member(const struct node *map, const struct node *item,
                                         map_t *seen)
{
    const char *key = item->key->text;
    size_t size = item->key->size;
    if (seen) {
        const struct node *earlier = map_get(seen, key, size);
        if (!earlier)
            (void)map_put(seen, key, size, (void *)(uintptr_t)item);
        return earlier;
    }
    for (const struct node *other = map->first; other != item; other = other->next)
        if (other->key->size == size && memcmp(other->key->text, key, size) == 0)
            return other;
    return NULL;
}

static bool accept_member(struct check *self, const struct node *map, const struct node *item,
                          map_t *seen)
{
    const struct node *key = item->key;
    bool usable = key->kind != NODE_BAD || key->flaw == FLAW_OVERFLOW || key->flaw == FLAW_INFINITE;
    if (!usable) {
        report_flaw(self, key);
        return false;
    }
    const struct node *earlier = earlier_member(map, item, seen);
    if (!earlier)
        return true;
    size_t before = check_enter(self, key->text);
    check_error(self, key->place, "duplicate_key", "keep one of them",
                "\"%s\" stands here twice, first in line %u", check_shown(self, key->text),
                earlier->key->place.line);
    check_leave(self, before);
    return false;
}

static void check_map(struct check *self, struct node *map)
{
    map_t *seen = map->size > FEW_MEMBERS ? map_new() : NULL;
    struct node **link = &map->first;
    while (*link && !check_is_full(self)) {
        struct node *item = *link;
        if (!accept_member(self, map, item, seen)) {
            *link = item->next;
            map->size--;
            continue;
        }
        size_t before = check_enter(self, item->key->text);
        check_tree(self, item);
        check_leave(self, before);
        link = &item->next;
    }
    map_destroy(&seen);
}

static void check_list(struct check *self, struct node *list)
{
    size_t index = 0;
    for (struct node *item = list->first; item && !check_is_full(self); item = item->next) {
        size_t before = check_enter_index(self, index++);
        check_tree(self, item);
        check_leave(self, before);
    }
}

/* Recursion is bounded by LIMIT_DEFINITION_DEPTH, which the reader holds. */
void check_tree(struct check *self, struct node *root)
{
    if (root->kind == NODE_BAD)
        report_flaw(self, root);
    else if (root->kind == NODE_MAP)
        check_map(self, root);
    else if (root->kind == NODE_LIST)
        check_list(self, root);
}

/* --- objects -----------------------------------------------------------------------------------
 */

/* Who else has a key of that name: it may only stand in the wrong place. */
static enum key_owner other_owner(const char *name)
{
    for (int owner = 0; owner < OWNER_COUNT; owner++)
        if (key_find((enum key_owner)owner, name))
            return (enum key_owner)owner;
    return OWNER_COUNT;
}

static void report_unknown(struct check *self, enum key_owner owner, const struct node *key)
{
    struct suggestion suggestion = SUGGESTION(key->text);
    char fix[160];
    size_t count = 0;
    const struct key *keys = keys_of(owner, &count);
    for (size_t i = 0; i < count; i++)
        check_offer(self, &suggestion, keys[i].name);
    suggestion_text(&suggestion, fix, sizeof fix);
    enum key_owner elsewhere = other_owner(key->text);
    if (elsewhere != OWNER_COUNT && (!suggestion.nearest || suggestion.distance > 1))
        snprintf(fix, sizeof fix, "\"%s\" is a key of %s", key->text, owner_name(elsewhere));
    check_error(self, key->place, "unknown_key", fix, "%s has no key \"%s\"", owner_name(owner),
                check_shown(self, key->text));
}

static void check_member(struct check *self, enum key_owner owner, const struct node *item,
                         value_t *into)
{
    const struct key *key = key_find(owner, item->key->text);
    size_t before = check_enter(self, item->key->text);
    if (!key)
        report_unknown(self, owner, item->key);
    else if (key->later)
        check_error(self, item->key->place, "unsupported", "take it out",
                    "\"%s\" is a key of %s that this version does not run yet", key->name,
                    owner_name(owner));
    else
        check_value(self, key, item, into);
    check_leave(self, before);
}

static void report_missing(struct check *self, enum key_owner owner, const struct key *key,
                           struct place place)
{
    struct buf fix = {0};
    buf_printf(&fix, "add %s: ", key->name);
    key_print_type(key, &fix);
    check_error(self, place, "missing_key", buf_string(&fix), "%s needs the key \"%s\"",
                owner_name(owner), key->name);
    buf_release(&fix);
}

static void check_required_keys(struct check *self, const struct node *map, enum key_owner owner,
                                struct place place)
{
    size_t count = 0;
    const struct key *keys = keys_of(owner, &count);
    for (size_t i = 0; i < count; i++)
        if (keys[i].required && !keys[i].later && !node_get(map, keys[i].name))
            report_missing(self, owner, &keys[i], place);
}

void check_members(struct check *self, const struct node *map, enum key_owner owner,
                   struct place missing, value_t *into)
{
    for (const struct node *item = map->first; item && !check_is_full(self); item = item->next)
        check_member(self, owner, item, into);
    if (missing.line > 0)
        check_required_keys(self, map, owner, missing);
}

value_t *check_object(struct check *self, const struct node *node, enum key_owner owner)
{
    if (node->kind != NODE_MAP) {
        check_wrong_type(self, node, "an object", NULL);
        return NULL;
    }
    value_t *object = value_map();
    check_members(self, node, owner, node->place, object);
    return object;
}

static value_t *check_true(struct check *self, const struct node *node)
{
    if (node->kind == NODE_BOOL && node->boolean)
        return value_bool(true);
    if (node->kind == NODE_BOOL)
        check_error(self, node->place, "bad_value", "write true, or leave the key out",
                    "can't be false");
    else
        check_wrong_type(self, node, "the word true", NULL);
    return NULL;
}

static value_t *check_values(struct check *self, const struct key *key, const struct node *node)
{
    if (node->kind != NODE_LIST) {
        check_wrong_type(self, node, "a list", NULL);
        return NULL;
    }
    if (node->size == 0 || node->size > key->most) {
        check_error(self, node->place, "bad_value", NULL, "needs from 1 to %.0f items", key->most);
        return NULL;
    }
    return node_value(node);
}

static value_t *canonical_of(struct check *self, const struct key *key, const struct node *node)
{
    switch (key->type) {
    case TYPE_NAME: return check_name(self, node);
    case TYPE_TEXT: return check_text(self, node, LIMIT_TEXT_BYTES);
    case TYPE_TEMPLATE: return check_template(self, node);
    case TYPE_TEMPLATES: return check_templates(self, node);
    case TYPE_EXPRESSION: return check_expression(self, node);
    case TYPE_CONDITION: return check_condition(self, node);
    case TYPE_SHOWN: return check_expression(self, node);
    case TYPE_WAIT: return check_wait(self, key, node);
    case TYPE_EXPIRY: return check_expiry(node);
    case TYPE_LIST: return check_list_expression(self, node);
    case TYPE_NODE_ID: return check_node_reference(self, node);
    case TYPE_INTEGER: return check_integer(self, key, node);
    case TYPE_NUMBER: return check_number(self, key, node);
    case TYPE_BOOLEAN: return check_boolean(self, node);
    case TYPE_TRUE: return check_true(self, node);
    case TYPE_CHOICE: return check_choice(self, key, node);
    case TYPE_DURATION: return check_duration(self, key, node);
    case TYPE_SIZE: return check_size(self, key, node);
    case TYPE_ARGV: return check_argv(self, node);
    case TYPE_ENV: return check_env(self, key, node);
    case TYPE_LABELS: return check_labels(self, key, node);
    case TYPE_OBJECT: return check_object(self, node, key->child);
    case TYPE_INPUTS: return check_inputs(self, key, node);
    case TYPE_NODES: return check_nodes(self, key, node);
    case TYPE_AFTER: return check_after(self, key, node);
    case TYPE_RETRY: return check_retry(self, key, node);
    case TYPE_ON_ERROR: return check_on_error(self, key, node);
    case TYPE_SCHEMA: return check_schema(self, node);
    case TYPE_SCHEMA_TYPE: return check_schema_type(self, node);
    case TYPE_SCHEMAS: return check_schemas(self, key, node);
    case TYPE_REQUIRED: return check_required(self, node);
    case TYPE_VALUE: return node_value(node);
    case TYPE_VALUES: return check_values(self, key, node);
    case TYPE_MODEL: return check_model(self, node);
    case TYPE_TOOLS: return check_tools(self, key, node);
    case TYPE_TOOL_NAME: return check_tool_name(self, node);
    case TYPE_TOOL_NAMES: return check_tool_names(self, key, node);
    case TYPE_DELEGATES: return check_delegates(self, key, node);
    case TYPE_ANSWER: return check_answer(self, node);
    case TYPE_PARAMETERS: return check_parameters(self, key, node);
    case TYPE_DOLLARS: return check_dollars(self, key, node);
    case TYPE_RULES: return check_rules(self, key, node);
    case TYPE_CALLS: return check_calls(self, key, node);
    case TYPE_SPAN: return check_span(self, key, node);
    case TYPE_ANYTHING: return check_anything(self, node);
    case TYPE_EQUALS: return check_equals(self, key, node);
    case TYPE_SCHEDULE: return check_schedule(self, key, node);
    case TYPE_CRON: return check_cron(self, node);
    case TYPE_ZONE: return check_zone(self, node);
    case TYPE_RANGE:
    case TYPE_OTHER: break;
    }
    return NULL;
}

void check_value(struct check *self, const struct key *key, const struct node *node, value_t *into)
{
    if (node->kind == NODE_BAD)
        return;
    if (key->type == TYPE_RANGE) {
        check_range(self, key, node, into);
        return;
    }
    self->in_template =
        key->type == TYPE_TEMPLATE || key->type == TYPE_TEMPLATES || key->type == TYPE_SHOWN;
    self->in_set = self->graph && key->type == TYPE_TEMPLATES && strcmp(key->name, "set") == 0;
    value_t *value = canonical_of(self, key, node);
    bool is_empty_map = value && value_type(value) == VALUE_MAP && value_size(value) == 0;
    /* Inputs that are empty say that there are none; a message may be an empty object. */
    bool has_meaning = key->type == TYPE_INPUTS || key->type == TYPE_ANYTHING ||
                       key->type == TYPE_PARAMETERS || key->type == TYPE_EXPIRY ||
                       key->type == TYPE_VALUE;
    if (is_empty_map && !has_meaning)
        value_destroy(&value);
    if (value)
        value_set(into, key_canonical(key), &value);
}
