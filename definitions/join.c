/* Agents and the rules of their scripts, which are files of their own. Files are found by their
 * names alone, which may be relative, as whoever reads them wrote them: nothing is read here. */
#include "base/limits.h"
#include "base/map.h"
#include "definitions/reread.h"
#include <stdlib.h>
#include <string.h>

/* --- paths -------------------------------------------------------------------------------------
 */

/* Takes the last part off again, unless it is "..", which stays. */
static bool go_up(struct buf *path, size_t root)
{
    const char *text = buf_string(path);
    if (path->size == root)
        return root > 0; /* above "/" there is "/" */
    const char *slash = memrchr(text + root, '/', path->size - root);
    const char *last = slash ? slash + 1 : text + root;
    if (strcmp(last, "..") == 0)
        return false;
    path->size = slash ? (size_t)(slash - text) : root;
    path->data[path->size] = '\0';
    return true;
}

static void add_parts(struct buf *path, size_t root, const char *more, size_t size)
{
    for (size_t at = 0; at < size;) {
        const char *slash = memchr(more + at, '/', size - at);
        size_t part = slash ? (size_t)(slash - more) - at : size - at;
        const char *text = more + at;
        at += part + 1;
        if (part == 0 || (part == 1 && text[0] == '.'))
            continue;
        if (part == 2 && memcmp(text, "..", 2) == 0 && go_up(path, root))
            continue;
        if (path->size > root)
            buf_putc(path, '/');
        buf_append(path, text, part);
    }
}

/* Of the file in that folder (a prefix of `folder`), without ".", ".." and "//" where that can be.
 */
static char *normal_path(const char *folder, size_t folder_size, const char *file)
{
    struct buf path = {0};
    if (*file == '/')
        folder_size = 0;
    size_t root = *file == '/' || (folder_size > 0 && *folder == '/') ? 1 : 0;
    if (root)
        buf_putc(&path, '/');
    add_parts(&path, root, folder, folder_size);
    add_parts(&path, root, file, strlen(file));
    char *result = xstrdup(buf_string(&path));
    buf_release(&path);
    return result;
}

char *definition_rules_path(const struct definition *self)
{
    const char *model =
        self->kind == DEFINITION_AGENT ? value_get_string(self->canonical, "model", NULL) : NULL;
    if (!model || strncmp(model, SCRIPT_PREFIX, strlen(SCRIPT_PREFIX)) != 0)
        return NULL;
    const char *slash = strrchr(self->file, '/');
    return normal_path(self->file, slash ? (size_t)(slash - self->file) + 1 : 0,
                       model + strlen(SCRIPT_PREFIX));
}

/* Paths to the files, each as a definition_file; the first of equal ones. */
static map_t *files_by_path(const struct definitions *self)
{
    map_t *files = map_new();
    for (size_t i = 0; i < self->files_count; i++) {
        struct definition_file *file = &self->files[i];
        char *path = normal_path("", 0, file->name);
        if (!map_get(files, path, strlen(path)))
            (void)map_put(files, path, strlen(path), file);
        free(path);
    }
    return files;
}

value_t *definitions_missing_rules(const struct definitions *self)
{
    map_t *files = files_by_path(self);
    map_t *seen = map_new();
    value_t *missing = value_list();
    for (size_t i = 0; i < self->count; i++) {
        char *path = definition_rules_path(&self->items[i]);
        if (path && !map_get(files, path, strlen(path)) && !map_get(seen, path, strlen(path))) {
            value_t *item = value_string_lossy(path, strlen(path));
            (void)map_put(seen, path, strlen(path), &self->items[i]);
            value_append(missing, &item);
        }
        free(path);
    }
    map_destroy(&files);
    map_destroy(&seen);
    return missing;
}

/* --- what is wrong -----------------------------------------------------------------------------
 */

/* The place of an agent's `model`. reread_close() ends it. */
static struct place open_model(struct reread *reread, const struct definition *agent,
                               struct diagnostics *diagnostics)
{
    reread_open(reread, agent->source, agent->file, agent->line, diagnostics);
    const struct node *model = node_get(reread->root, "model");
    check_enter(&reread->check, "model");
    return model ? reread_place(reread, model->place) : (struct place){agent->line, 1};
}

static void report_missing(const struct definition *agent, const char *path,
                           const struct definition_file *file, struct diagnostics *diagnostics)
{
    struct reread reread;
    struct place place = open_model(&reread, agent, diagnostics);
    if (file && file->unread)
        check_error(&reread.check, place, "missing_rules", "name a file that can be read",
                    "the file %s can't be read: %s", check_shown(&reread.check, path),
                    file->unread);
    else if (file)
        check_error(&reread.check, place, "missing_rules", "begin it with \"rules:\"",
                    "the file %s holds no rules", check_shown(&reread.check, path));
    else
        check_error(&reread.check, place, "missing_rules",
                    "write that file, or give its path relative to this one",
                    "there is no file %s with the rules of this model",
                    check_shown(&reread.check, path));
    reread_close(&reread);
}

/* Said once: what follows is too large for the same reason. */
static void report_too_large(const struct definition *agent, struct diagnostics *diagnostics)
{
    struct reread reread;
    struct place place = open_model(&reread, agent, diagnostics);
    check_error(&reread.check, place, "too_large",
                "let smaller files hold the rules, or apply the agents in several sets",
                "with the rules of this model, the agents of this set have more than %u MiB of "
                "rules together: each has a copy of its own",
                LIMIT_RULES_JOINED_BYTES >> 20);
    reread_close(&reread);
}

static bool has_tool(const value_t *tools, const char *name, struct suggestion *suggestion)
{
    for (size_t i = 0; tools && i < value_size(tools); i++) {
        const value_t *command = value_get(value_at(tools, i), "command");
        const char *known = value_get_string(command, "name", "");
        if (strcmp(known, name) == 0)
            return true;
        if (suggestion)
            suggestion_offer(suggestion, known);
    }
    return is_our_tool(name);
}

static void note_tool(map_t *seen, const value_t *map, const char *key, value_t *names)
{
    const char *name = map ? value_get_string(map, key, NULL) : NULL;
    if (!name || value_size(names) > LIMIT_TOOLS || is_our_tool(name) ||
        map_get(seen, name, strlen(name)))
        return;
    value_t *text = value_string(name);
    (void)map_put(seen, name, strlen(name), (void *)(uintptr_t)map);
    value_append(names, &text);
}

/* The distinct tools that rules name, but for those that every model has. One more than an agent
 * can have is as good as all of them: some are unknown then. */
static value_t *tools_of(const value_t *rules)
{
    map_t *seen = map_new();
    value_t *names = value_list();
    for (size_t i = 0; i < value_size(rules); i++) {
        const value_t *rule = value_at(rules, i);
        const value_t *when = value_get(rule, "when"), *calls = value_get(rule, "calls");
        note_tool(seen, when, "called", names);
        note_tool(seen, when, "not_called", names);
        for (size_t j = 0; calls && j < value_size(calls); j++)
            note_tool(seen, value_at(calls, j), "tool", names);
    }
    map_destroy(&seen);
    return names;
}

/* A model may well call what isn't there, and a script show that: hence no error. */
static void warn_of_tool(struct reread *reread, const struct definition *agent,
                         const struct node *map, const char *key)
{
    const struct node *name = node_get(map, key);
    struct suggestion suggestion = SUGGESTION(name ? name->text : "");
    char fix[128];
    if (!name || name->kind != NODE_TEXT ||
        has_tool(value_get(agent->canonical, "tools"), name->text, &suggestion))
        return;
    for (size_t i = 0; OUR_TOOLS[i]; i++)
        suggestion_offer(&suggestion, OUR_TOOLS[i]);
    size_t before = check_enter(&reread->check, key);
    check_warning(&reread->check, reread_place(reread, name->place), "unknown_tool",
                  suggestion.nearest ? suggestion_text(&suggestion, fix, sizeof fix)
                                     : "declare it under the agent's tools",
                  "the agent \"%s\" has no tool \"%s\"", agent->name,
                  check_shown(&reread->check, name->text));
    check_leave(&reread->check, before);
}

static void warn_of_calls(struct reread *reread, const struct definition *agent,
                          const struct node *calls)
{
    size_t index = 0;
    size_t before = check_enter(&reread->check, "calls");
    for (const struct node *call = calls ? calls->first : NULL; call; call = call->next) {
        size_t inside = check_enter_index(&reread->check, index++);
        warn_of_tool(reread, agent, call, "tool");
        check_leave(&reread->check, inside);
    }
    check_leave(&reread->check, before);
}

static void warn_of_tools(const struct definition *agent, const struct definition_file *file,
                          struct diagnostics *diagnostics)
{
    struct reread reread;
    reread_open(&reread, file->source, file->name, file->line, diagnostics);
    const struct node *rules = node_get(reread.root, "rules");
    size_t index = 0;
    check_enter(&reread.check, "rules");
    for (const struct node *rule = rules ? rules->first : NULL; rule; rule = rule->next) {
        size_t before = check_enter_index(&reread.check, index++);
        size_t inside = check_enter(&reread.check, "when");
        warn_of_tool(&reread, agent, node_get(rule, "when"), "called");
        warn_of_tool(&reread, agent, node_get(rule, "when"), "not_called");
        check_leave(&reread.check, inside);
        warn_of_calls(&reread, agent, node_get(rule, "calls"));
        check_leave(&reread.check, before);
    }
    reread_close(&reread);
}

struct joining {
    map_t *files;
    struct diagnostics *diagnostics;
    size_t bytes;    /* of the rules in all agents so far */
    unsigned warned; /* agents whose rules name unknown tools */
};

/* Saying so takes reading the rules again, so it is said of so many agents at most. */
#define WARNED_MAX 64

/* What each agent that names the rules takes of them, since it has a copy and a hash of its own. */
static void measure(struct definition_file *file)
{
    struct buf bytes = {0};
    value_to_msgpack(file->rules, &bytes);
    file->bytes = bytes.size;
    file->tools = tools_of(value_get(file->rules, "rules"));
    buf_release(&bytes);
}

/* Whether there is room for the rules in one more agent. */
static bool has_room(struct joining *self, const struct definition *agent,
                     struct definition_file *file)
{
    if (!file->tools)
        measure(file);
    bool fitted = self->bytes <= LIMIT_RULES_JOINED_BYTES;
    if (fitted)
        self->bytes += file->bytes;
    bool fits = self->bytes <= LIMIT_RULES_JOINED_BYTES;
    if (fitted && !fits)
        report_too_large(agent, self->diagnostics);
    return fits;
}

static void join(struct joining *self, struct definition *agent, struct definition_file *file)
{
    const value_t *tools = value_get(agent->canonical, "tools");
    bool is_unknown = false;
    value_t *copy = value_ref(file->rules);
    value_set(agent->canonical, "rules", &copy);
    definition_hash(agent->canonical, agent->hash);
    for (size_t i = 0; !is_unknown && i < value_size(file->tools); i++)
        is_unknown = !has_tool(tools, value_as_string(value_at(file->tools, i)), NULL);
    if (is_unknown && self->warned++ < WARNED_MAX)
        warn_of_tools(agent, file, self->diagnostics);
}

void definitions_join_rules(struct definitions *self, struct diagnostics *diagnostics)
{
    struct joining joining = {.files = files_by_path(self), .diagnostics = diagnostics};
    for (size_t i = 0; i < self->count; i++) {
        struct definition *item = &self->items[i];
        char *path = definition_rules_path(item);
        struct definition_file *file = path ? map_get(joining.files, path, strlen(path)) : NULL;
        if (file && file->rules) {
            if (has_room(&joining, item, file))
                join(&joining, item, file);
        } else if (path && !(file && file->has_errors)) { /* which were reported */
            report_missing(item, path, file, diagnostics);
        }
        free(path);
    }
    map_destroy(&joining.files);
}

/* --- reading again -----------------------------------------------------------------------------
 */

void reread_open(struct reread *self, const char *text, const char *file, unsigned line,
                 struct diagnostics *diagnostics)
{
    *self = (struct reread){0};
    source_init(&self->source, text, strlen(text), file);
    tree_parse(&self->tree, &self->source, &self->none);
    self->root = self->tree.count > 0 ? self->tree.documents[0].root : NULL;
    if (self->root && self->root->place.line <= line)
        self->lines_before = line - self->root->place.line;
    check_init(&self->check, &self->source, &self->tree, diagnostics);
}

void reread_close(struct reread *self)
{
    check_release(&self->check);
    tree_release(&self->tree);
    source_release(&self->source);
    diagnostics_release(&self->none);
}

struct place reread_place(const struct reread *self, struct place place)
{
    return (struct place){place.line + self->lines_before, place.column};
}
