/* Checks of agents: how they are answered, and what a model may be given. */
#include "base/limits.h"
#include "definitions/check.h"
#include "definitions/reread.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const OUR_TOOLS[] = {"delegate_to_agent", "list_agents", "context_get", "context_set",
                                 NULL};

bool is_our_tool(const char *name)
{
    for (size_t i = 0; OUR_TOOLS[i]; i++)
        if (strcmp(OUR_TOOLS[i], name) == 0)
            return true;
    return false;
}

/* --- model -------------------------------------------------------------------------------------
 */

value_t *check_model(struct check *self, const struct node *node)
{
    static const char *const LATER_PROVIDERS[] = {"openai/", "anthropic/", "http://", "https://",
                                                  NULL};
    static const char FIX[] = "write script/FILE, where FILE is the path of a file with rules";
    if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "a text", FIX);
        return NULL;
    }
    for (size_t i = 0; LATER_PROVIDERS[i]; i++) {
        if (strncmp(node->text, LATER_PROVIDERS[i], strlen(LATER_PROVIDERS[i])) != 0)
            continue;
        check_error(self, node->place, "unsupported", FIX,
                    "\"%s\" is a model that this version does not run yet",
                    check_shown(self, node->text));
        return NULL;
    }
    size_t prefix = sizeof SCRIPT_PREFIX - 1;
    if (strncmp(node->text, SCRIPT_PREFIX, prefix) != 0 || node->size == prefix ||
        node->text[node->size - 1] == '/' || node->size > LIMIT_RULES_PATH_BYTES) {
        check_error(self, node->place, "bad_value", FIX, "\"%s\" names no model",
                    check_shown(self, node->text));
        return NULL;
    }
    return value_string(node->text);
}

/* --- lists of texts ----------------------------------------------------------------------------
 */

static int compare_texts(const void *a, const void *b)
{
    const struct node *left = *(const struct node *const *)a;
    const struct node *right = *(const struct node *const *)b;
    int order = strcmp(left->text, right->text);
    return order != 0 ? order : (left->offset > right->offset) - (left->offset < right->offset);
}

value_t *check_sorted(struct check *self, const struct node **items, size_t count)
{
    value_t *list = value_list();
    qsort(items, count, sizeof *items, compare_texts);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && strcmp(items[i - 1]->text, items[i]->text) == 0) {
            check_error(self, items[i]->place, "bad_value", "keep one of them",
                        "names \"%s\" twice", check_shown(self, items[i]->text));
            continue;
        }
        value_t *text = value_string(items[i]->text);
        value_append(list, &text);
    }
    return list;
}

/* The items that are_right lets pass, sorted; NULL for none. */
static value_t *check_texts_list(struct check *self, const struct key *key, const struct node *node,
                                 const char *needs,
                                 bool (*is_right)(struct check *, const struct node *))
{
    if (node->kind != NODE_LIST) {
        check_wrong_type(self, node, needs, "write [name, ...]");
        return NULL;
    }
    if (!check_count(self, key, node, "items"))
        return NULL;
    const struct node **items = xcalloc((size_t)node->size + 1, sizeof *items);
    size_t index = 0, count = 0;
    for (const struct node *item = node->first; item && !check_is_full(self); item = item->next) {
        size_t before = check_enter_index(self, index++);
        if (is_right(self, item))
            items[count++] = item;
        check_leave(self, before);
    }
    value_t *list = check_sorted(self, items, count);
    free(items);
    if (value_size(list) == 0)
        value_destroy(&list);
    return list;
}

static bool is_glob(const struct node *node)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyz0123456789_-*?";
    return node->size > 0 && node->size <= LIMIT_NAME_BYTES && strpbrk(node->text, "*?") &&
           node->text[strspn(node->text, LETTERS)] == '\0';
}

static bool check_delegate(struct check *self, const struct node *node)
{
    if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "a name or a glob", "quote it if it is meant as text");
        return false;
    }
    if (is_definition_name(node->text, node->size) || is_glob(node))
        return true;
    check_error(self, node->place, "bad_value",
                "write an agent's name, in which * stands for any letters and ? for any one",
                "\"%s\" is neither a name of at most %d characters nor a glob",
                check_shown(self, node->text), LIMIT_NAME_BYTES);
    return false;
}

value_t *check_delegates(struct check *self, const struct key *key, const struct node *node)
{
    return check_texts_list(self, key, node, "a list of names or globs", check_delegate);
}

/* --- tools -------------------------------------------------------------------------------------
 */

static bool check_tool_text(struct check *self, const struct node *node)
{
    if (node->kind == NODE_TEXT)
        return true;
    check_wrong_type(self, node, "a tool's name", "quote it if it is meant as text");
    return false;
}

value_t *check_tool_names(struct check *self, const struct key *key, const struct node *node)
{
    return check_texts_list(self, key, node, "a list of names", check_tool_text);
}

value_t *check_tool_name(struct check *self, const struct node *node)
{
    static const char LETTERS[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    if (!check_tool_text(self, node))
        return NULL;
    const char *text = node->text;
    bool begins_well = *text && *text != '-' && !(*text >= '0' && *text <= '9');
    if (!begins_well || text[strspn(text, LETTERS)] != '\0' || node->size > LIMIT_NAME_BYTES)
        check_error(self, node->place, "bad_value",
                    "begin with a letter or _, go on with letters, digits, _ and -",
                    "\"%s\" is not a tool's name of at most %d characters", check_shown(self, text),
                    LIMIT_NAME_BYTES);
    else if (is_our_tool(text))
        check_error(self, node->place, "bad_value", "rename the tool",
                    "\"%s\" is the name of a tool that every model has", text);
    return value_string(text);
}

/* The name of a tool that is an object of one kind; NULL for what was or will be reported. */
static const struct node *tool_name(const struct node *item)
{
    const struct node *tool = node_get(item, "command");
    const struct node *name = tool ? node_get(tool, "name") : NULL;
    return name && name->kind == NODE_TEXT ? name : NULL;
}

static void check_unique(struct check *self, const struct node *tools, const struct node *item)
{
    const struct node *name = tool_name(item);
    for (const struct node *other = tools->first; name && other != item; other = other->next) {
        const struct node *earlier = tool_name(other);
        if (!earlier || strcmp(earlier->text, name->text) != 0)
            continue;
        size_t before = check_enter(self, "command");
        check_enter(self, "name");
        check_error(self, name->place, "duplicate_name", "rename one of them",
                    "a tool is called \"%s\" before, in line %u", check_shown(self, name->text),
                    earlier->place.line);
        check_leave(self, before);
        return;
    }
}

/* Arguments that would never get to the program. */
static void check_parameters_used(struct check *self, const struct node *tool)
{
    const struct node *input = tool ? node_get(tool, "input") : NULL;
    const struct node *parameters = tool ? node_get(tool, "parameters") : NULL;
    bool is_none = input && input->kind == NODE_TEXT && strcmp(input->text, "none") == 0;
    bool is_stdin = input && input->kind == NODE_TEXT && strcmp(input->text, "stdin") == 0;
    if (!parameters || parameters->kind != NODE_MAP || (!is_none && !is_stdin))
        return;
    size_t before = check_enter(self, "command");
    check_enter(self, "parameters");
    for (const struct node *item = parameters->first; item; item = item->next)
        if (is_none || strcmp(item->key->text, "input") != 0)
            check_error(self, item->key->place, "bad_value", "write input: json, or take it out",
                        "with input: %s the program never gets the parameter \"%s\"", input->text,
                        check_shown(self, item->key->text));
    if (is_stdin && !node_get(parameters, "input"))
        check_error(self, parameters->place, "bad_value", "declare input, or leave parameters out",
                    "with input: stdin the program gets the parameter \"input\", which is not "
                    "declared");
    check_leave(self, before);
}

static value_t *check_tool(struct check *self, const struct key *key, const struct node *item)
{
    static const char FIX[] = "write - command: {name: ..., argv: [program, ...]}";
    if (item->kind != NODE_MAP) {
        check_wrong_type(self, item, "an object of one key, the tool's kind", FIX);
        return NULL;
    }
    if (item->size != 1) {
        check_error(self, item->place, "bad_value", FIX,
                    "a tool is an object of one key, its kind, not of %u", item->size);
        return NULL;
    }
    value_t *tool = check_object(self, item, key->child);
    check_parameters_used(self, node_get(item, "command"));
    return tool;
}

value_t *check_tools(struct check *self, const struct key *key, const struct node *node)
{
    if (node->kind != NODE_LIST) {
        check_wrong_type(self, node, "a list of tools",
                         "write - command: {name: ..., argv: [program, ...]}");
        return NULL;
    }
    if (!check_count(self, key, node, "tools"))
        return NULL;
    value_t *tools = value_list();
    size_t index = 0;
    for (const struct node *item = node->first; item && !check_is_full(self); item = item->next) {
        size_t before = check_enter_index(self, index++);
        value_t *tool = check_tool(self, key, item);
        check_unique(self, node, item);
        if (tool)
            value_append(tools, &tool);
        check_leave(self, before);
    }
    if (value_size(tools) == 0)
        value_destroy(&tools);
    return tools;
}

static bool has_tool(struct check *self, const struct node *tools, const char *name,
                     struct suggestion *suggestion)
{
    for (const struct node *item = tools ? tools->first : NULL; item; item = item->next) {
        const struct node *known = tool_name(item);
        if (known && strcmp(known->text, name) == 0)
            return true;
        if (known)
            check_offer(self, suggestion, known->text);
    }
    return false;
}

static void check_repeat_tools(struct check *self, const struct node *root)
{
    const struct node *names = node_get(root, "repeat_tools");
    const struct node *tools = node_get(root, "tools");
    size_t before = check_enter(self, "repeat_tools");
    size_t index = 0;
    bool is_list = names && names->kind == NODE_LIST;
    for (const struct node *item = is_list ? names->first : NULL; item && !check_is_full(self);
         item = item->next) {
        struct suggestion suggestion = SUGGESTION(item->kind == NODE_TEXT ? item->text : "");
        char fix[128];
        size_t inside = check_enter_index(self, index++);
        if (item->kind == NODE_TEXT &&
            !has_tool(self, tools && tools->kind == NODE_LIST ? tools : NULL, item->text,
                      &suggestion))
            check_error(self, item->place, "bad_value",
                        suggestion.nearest ? suggestion_text(&suggestion, fix, sizeof fix)
                                           : "declare it under tools, or take it out",
                        "the agent has no tool \"%s\"", check_shown(self, item->text));
        check_leave(self, inside);
    }
    check_leave(self, before);
}

/* --- agents ------------------------------------------------------------------------------------
 */

/* An agent is answered in exactly one way: gives it, or NULL. */
static const struct node *check_answers(struct check *self, const struct node *root)
{
    static const char *const WAYS[] = {"command", "builtin", "external", "model", "a2a"};
    const struct node *first = NULL;
    for (size_t i = 0; i < sizeof WAYS / sizeof WAYS[0]; i++) {
        const struct node *way = node_get(root, WAYS[i]);
        if (way && first)
            check_error(self, way->key->place, "bad_value", "keep one of them",
                        "an agent is answered in one way, not by both %s and %s", first->key->text,
                        way->key->text);
        first = first ? first : way;
    }
    if (!first)
        check_error(self, root->place, "missing_key",
                    "write command: [program, argument, ...], model: script/FILE, external: true "
                    "or builtin: echo",
                    "an agent needs a key that says how it answers");
    return first;
}

static void refuse_key(struct check *self, const struct node *map, const char *name,
                       const char *needs, const char *way)
{
    const struct node *item = node_get(map, name);
    if (!item)
        return;
    size_t before = check_enter(self, name);
    check_error(self, item->key->place, "bad_value", "take it out",
                "\"%s\" is of agents that are answered by %s, and this one is answered by %s", name,
                needs, way);
    check_leave(self, before);
}

/* What is said of a model, or of who delegates, makes no sense of a command. */
static void check_fitting(struct check *self, const struct node *root, const char *way)
{
    static const char *const OF_MODELS[] = {"instructions", "max_tokens",   "tools",
                                            "output",       "repeat_tools", "price"};
    static const char *const LIMITS[] = {"turns", "tokens",      "cost",
                                         "depth", "delegations", "same_delegation"};
    static const char BOTH[] = "model or external";
    if (strcmp(way, "model") == 0)
        return;
    for (size_t i = 0; i < sizeof OF_MODELS / sizeof OF_MODELS[0]; i++)
        refuse_key(self, root, OF_MODELS[i], "model", way);
    if (strcmp(way, "external") == 0)
        return;
    refuse_key(self, root, "delegates", BOTH, way);
    size_t before = check_enter(self, "limits");
    for (size_t i = 0; i < sizeof LIMITS / sizeof LIMITS[0]; i++)
        refuse_key(self, node_get(root, "limits"), LIMITS[i], BOTH, way);
    check_leave(self, before);
}

value_t *check_agent(struct check *self, const struct node *root)
{
    size_t errors = self->diagnostics->errors;
    value_t *canonical = value_map();
    check_members(self, root, OWNER_AGENT, root->place, canonical);
    const struct node *way = check_answers(self, root);
    if (way && strcmp(way->key->text, "a2a") != 0)
        check_fitting(self, root, way->key->text);
    if (way && strcmp(way->key->text, "model") == 0)
        check_repeat_tools(self, root);
    if (self->diagnostics->errors > errors)
        value_destroy(&canonical);
    return canonical;
}
