#include "definitions/definitions.h"

#include "base/limits.h"
#include "base/map.h"
#include "definitions/check.h"
#include <stdlib.h>
#include <string.h>

void definitions_release(struct definitions *self)
{
    for (size_t i = 0; i < self->count; i++) {
        struct definition *item = &self->items[i];
        free(item->name);
        value_destroy(&item->canonical);
        free(item->source);
        free(item->file);
    }
    for (size_t i = 0; i < self->files_count; i++) {
        free(self->files[i].name);
        free(self->files[i].source);
        free(self->files[i].unread);
        value_destroy(&self->files[i].rules);
        value_destroy(&self->files[i].tools);
    }
    free(self->items);
    free(self->files);
    *self = (struct definitions){0};
}

struct parse {
    struct check check;
    struct definitions *definitions;
    map_t *names; /* kind and name -> index + 1 of the definitions so far */
    struct definition_file *file;
    bool rules_only;
    bool found; /* some document */
};

static void name_key(enum definition_kind kind, const char *name, struct buf *out)
{
    buf_clear(out);
    buf_printf(out, "%d %s", (int)kind, name);
}

static void note_name(map_t *names, const struct definition *item, size_t index)
{
    struct buf key = {0};
    name_key(item->kind, item->name, &key);
    (void)map_put(names, key.data, key.size, (void *)(uintptr_t)(index + 1));
    buf_release(&key);
}

static const struct definition *find_name(const struct parse *self, enum definition_kind kind,
                                          const char *name)
{
    struct buf key = {0};
    name_key(kind, name, &key);
    uintptr_t found = (uintptr_t)map_get(self->names, key.data, key.size);
    buf_release(&key);
    return found ? &self->definitions->items[found - 1] : NULL;
}

static const char *kind_word(enum definition_kind kind)
{
    return kind == DEFINITION_AGENT ? "agent" : "workflow";
}

/* --- one document ------------------------------------------------------------------------------
 */

/* Whether there is any sense in which the document is of that kind. */
static bool guess_kind(const struct node *root, enum definition_kind *ret_kind)
{
    if (node_get(root, "workflow") || node_get(root, "nodes")) {
        *ret_kind = DEFINITION_WORKFLOW;
        return true;
    }
    *ret_kind = DEFINITION_AGENT;
    return node_get(root, "agent") || node_get(root, "command") || node_get(root, "builtin") ||
           node_get(root, "external") || node_get(root, "model");
}

static bool is_rules_file(const struct node *root)
{
    return node_get(root, "rules") && !node_get(root, "agent") && !node_get(root, "workflow");
}

static void report_no_kind(struct parse *self, const struct node *root)
{
    const struct node *near_key = NULL;
    struct suggestion nearest = {0};
    char fix[128];
    for (const struct node *item = root->first; item; item = item->next) {
        struct suggestion suggestion = SUGGESTION(item->key->text);
        check_offer(&self->check, &suggestion, "agent");
        check_offer(&self->check, &suggestion, "workflow");
        check_offer(&self->check, &suggestion, "rules");
        if (!suggestion.nearest || (nearest.nearest && suggestion.distance >= nearest.distance))
            continue;
        nearest = suggestion;
        near_key = item->key;
    }
    if (near_key)
        check_error(&self->check, near_key->place, "unknown_key",
                    suggestion_text(&nearest, fix, sizeof fix),
                    "a definition is an agent or a workflow; it has no key \"%s\"",
                    check_shown(&self->check, near_key->text));
    else
        check_error(&self->check, root->place, "missing_key",
                    "write \"agent: NAME\" or \"workflow: NAME\"",
                    "the document is neither an agent nor a workflow");
}

/* What the checks passed compiles; should it not, that is said rather than found out later. */
static bool compiles(struct parse *self, enum definition_kind kind, const struct node *root,
                     const value_t *canonical)
{
    struct err err = {0};
    struct agent_def *agent = NULL;
    dag_t *dag = NULL;
    int code = kind == DEFINITION_AGENT ? agent_compile(canonical, &agent, &err)
                                        : workflow_compile(canonical, &dag, &err);
    agent_def_destroy(&agent);
    if (dag)
        dag_destroy(&dag);
    if (code != 0)
        check_error(&self->check, root->place, "not_compiled", err.fix, "%s%s%s", err.where,
                    err.where[0] ? ": " : "", err.what);
    return code == 0;
}

/* Takes *canonical_p. */
static void add_definition(struct parse *self, enum definition_kind kind,
                           const struct document *document, value_t **canonical_p)
{
    struct definitions *all = self->definitions;
    const struct source *source = self->check.source;
    if ((all->count & (all->count - 1)) == 0) {
        size_t capacity = all->count > 0 ? all->count * 2 : 1;
        all->items = xrealloc(all->items, capacity * sizeof *all->items);
    }
    struct definition *item = &all->items[all->count];
    *item = (struct definition){
        .kind = kind,
        .name = xstrdup(value_get_string(*canonical_p, kind_word(kind), "")),
        .canonical = *canonical_p,
        .source = xstrndup(source->text + document->begin, document->end - document->begin),
        .file = xstrdup(source->file),
        .line = document->root->place.line,
    };
    *canonical_p = NULL;
    definition_hash(item->canonical, item->hash);
    note_name(self->names, item, all->count++);
}

/* errors: how many there were before this document. */
static void check_definition(struct parse *self, enum definition_kind kind,
                             const struct document *document, size_t errors)
{
    struct check *check = &self->check;
    const struct node *root = document->root;
    value_t *canonical =
        kind == DEFINITION_AGENT ? check_agent(check, root) : check_workflow(check, root);
    const struct node *name = node_get(root, kind_word(kind));
    const struct definition *other =
        name && name->kind == NODE_TEXT ? find_name(self, kind, name->text) : NULL;
    if (other) {
        size_t before = check_enter(check, kind_word(kind));
        check_error(check, name->place, "duplicate_name", "rename one of them",
                    "the %s \"%s\" is defined before, in %s:%u", kind_word(kind), other->name,
                    other->file, other->line);
        check_leave(check, before);
    }
    if (canonical && check->diagnostics->errors == errors && compiles(self, kind, root, canonical))
        add_definition(self, kind, document, &canonical);
    value_destroy(&canonical);
}

static void check_rules_document(struct parse *self, const struct document *document)
{
    struct check *check = &self->check;
    struct definition_file *file = self->file;
    value_t *rules = check_rules_file(check, document->root);
    if (file->source) {
        check_error(check, document->root->place, "duplicate_name", "keep one of them",
                    "the file holds rules before, in line %u", file->line);
        value_destroy(&rules);
        return;
    }
    file->source = xstrndup(check->source->text + document->begin, document->end - document->begin);
    file->line = document->root->place.line;
    file->rules = rules;
}

static const char *how_to_begin(const struct parse *self)
{
    return self->rules_only ? "begin with \"rules:\""
                            : "begin with \"agent: NAME\" or \"workflow: NAME\"";
}

static void check_document(struct parse *self, const struct document *document)
{
    struct check *check = &self->check;
    struct node *root = document->root;
    enum definition_kind kind = DEFINITION_AGENT;
    if (!root || root->kind == NODE_NULL)
        return;
    self->found = true;
    size_t errors = check->diagnostics->errors;
    check_tree(check, root);
    if (root->kind == NODE_BAD)
        return;
    if (root->kind != NODE_MAP)
        check_wrong_type(check, root, "an object", how_to_begin(self));
    else if (is_rules_file(root))
        check_rules_document(self, document);
    else if (self->rules_only)
        check_error(check, root->place, "missing_rules", "keep nothing but \"rules:\" in it",
                    "a model names this file for its rules, and this is something else");
    else if (!guess_kind(root, &kind))
        report_no_kind(self, root);
    else
        check_definition(self, kind, document, errors);
}

static struct bytes without_mark(const char *text, size_t size)
{
    static const char MARK[] = "\xef\xbb\xbf";
    bool marked = size >= 3 && memcmp(text, MARK, 3) == 0;
    return marked ? bytes_of(text + 3, size - 3) : bytes_of(text, size);
}

static struct definition_file *add_file(struct definitions *all, const char *name)
{
    if ((all->files_count & (all->files_count - 1)) == 0) {
        size_t capacity = all->files_count > 0 ? all->files_count * 2 : 1;
        all->files = xrealloc(all->files, capacity * sizeof *all->files);
    }
    struct definition_file *file = &all->files[all->files_count++];
    *file = (struct definition_file){.name = xstrdup(name)};
    return file;
}

static void parse_file(struct bytes bytes, const char *file, bool rules_only,
                       struct definitions *definitions, struct diagnostics *diagnostics)
{
    struct source source;
    struct tree tree;
    size_t errors = diagnostics->errors;
    source_init(&source, (const char *)bytes.data, bytes.size, file);
    tree_parse(&tree, &source, diagnostics);
    struct parse parse = {.definitions = definitions,
                          .names = map_new(),
                          .file = add_file(definitions, file),
                          .rules_only = rules_only};
    check_init(&parse.check, &source, &tree, diagnostics);
    for (size_t i = 0; i < definitions->count; i++)
        note_name(parse.names, &definitions->items[i], i);
    for (size_t i = 0; i < tree.count && !check_is_full(&parse.check); i++)
        check_document(&parse, &tree.documents[i]);
    if (!parse.found && diagnostics->errors == errors)
        check_error(&parse.check, (struct place){1, 1}, "missing_key", how_to_begin(&parse),
                    "the file holds no %s", rules_only ? "rules" : "definition");
    parse.file->has_errors = diagnostics->errors > errors;
    if (parse.file->has_errors)
        value_destroy(&parse.file->rules);
    check_release(&parse.check);
    map_destroy(&parse.names);
    tree_release(&tree);
    source_release(&source);
}

void definitions_unread_rules(struct definitions *self, const char *file, const char *why)
{
    add_file(self, file)->unread = xstrdup(why);
}

void definitions_parse(const char *text, size_t size, const char *file,
                       struct definitions *definitions, struct diagnostics *diagnostics)
{
    parse_file(without_mark(size > 0 ? text : "", size), file, false, definitions, diagnostics);
}

void definitions_parse_rules(const char *text, size_t size, const char *file,
                             struct definitions *definitions, struct diagnostics *diagnostics)
{
    parse_file(without_mark(size > 0 ? text : "", size), file, true, definitions, diagnostics);
}
