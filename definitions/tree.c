#include "definitions/tree.h"

#include "base/limits.h"
#include "definitions/diagnostics.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct level {
    struct node *node;
    struct node *last;
    struct node *key; /* read, its value not yet */
    bool is_map;
};

struct reader {
    struct tree *tree;
    const struct source *source;
    struct diagnostics *diagnostics;
    struct level levels[LIMIT_DEFINITION_DEPTH];
    unsigned depth;
    size_t values;
    size_t mark_index;          /* libyaml counts characters: the last one that was looked up, */
    size_t mark_bytes;          /* and the bytes before it */
    struct document *documents; /* heap, until the end */
    size_t capacity;
};

static void report(struct reader *self, struct place place, const char *kind, const char *fix,
                   const char *message)
{
    struct finding finding = {.severity = DIAGNOSTIC_ERROR,
                              .file = self->source->file,
                              .place = place,
                              .kind = kind,
                              .fix = fix};
    diagnostics_add(self->diagnostics, &finding, "%s", message);
}

struct node *tree_node(struct tree *self, enum node_kind kind, struct place place, size_t offset)
{
    struct node *node = arena_alloc(&self->arena, sizeof *node);
    node->kind = (uint8_t)kind;
    node->place = place;
    node->offset = (uint32_t)offset;
    node->text = "";
    return node;
}

static struct place place_of(const yaml_mark_t *mark)
{
    return (struct place){.line = (unsigned)mark->line + 1, .column = (unsigned)mark->column + 1};
}

/* Marks come in order, so that all of them together walk the text once. */
static size_t offset_of(struct reader *self, const yaml_mark_t *mark)
{
    const struct source *source = self->source;
    while (self->mark_index < mark->index && self->mark_bytes < source->size) {
        self->mark_bytes++;
        while (self->mark_bytes < source->size &&
               ((unsigned char)source->text[self->mark_bytes] & 0xc0) == 0x80)
            self->mark_bytes++;
        self->mark_index++;
    }
    return self->mark_bytes;
}

static struct node *new_node(struct reader *self, enum node_kind kind, const yaml_event_t *event)
{
    return tree_node(self->tree, kind, place_of(&event->start_mark),
                     offset_of(self, &event->start_mark));
}

static struct document *last_document(struct reader *self)
{
    return &self->documents[self->tree->count - 1];
}

static void begin_document(struct reader *self, const yaml_event_t *event)
{
    struct tree *tree = self->tree;
    if (tree->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 4;
        self->documents = xrealloc(self->documents, self->capacity * sizeof *self->documents);
    }
    struct place place = {.line = (unsigned)event->start_mark.line + 1, .column = 1};
    size_t begin = tree->count > 0 ? source_offset(self->source, place) : 0;
    if (tree->count > 0)
        last_document(self)->end = begin;
    self->documents[tree->count++] = (struct document){.begin = begin, .end = self->source->size};
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void flaw(struct node *node, enum node_flaw flaw)
{
    node->kind = NODE_BAD;
    node->flaw = (uint8_t)flaw;
}

static void place_in_map(struct reader *self, struct level *level, struct node *node)
{
    if (!level->key) {
        level->key = node;
        bool is_scalar = node->kind != NODE_LIST && node->kind != NODE_MAP;
        if (is_scalar)
            return;
        flaw(level->node, FLAW_KEY);
        level->key = tree_node(self->tree, NODE_TEXT, node->place, node->offset);
        return;
    }
    node->key = level->key;
    level->key = NULL;
    if (level->last)
        level->last->next = node;
    else
        level->node->first = node;
    level->last = node;
    level->node->size++;
}

static void place_node(struct reader *self, struct node *node)
{
    if (self->depth == 0) {
        last_document(self)->root = node;
        return;
    }
    struct level *level = &self->levels[self->depth - 1];
    if (level->is_map) {
        place_in_map(self, level, node);
        return;
    }
    if (level->last)
        level->last->next = node;
    else
        level->node->first = node;
    level->last = node;
    level->node->size++;
}

static enum scalar_style style_of(yaml_scalar_style_t style)
{
    switch (style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE: return STYLE_SINGLE;
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE: return STYLE_DOUBLE;
    case YAML_LITERAL_SCALAR_STYLE: return STYLE_LITERAL;
    case YAML_FOLDED_SCALAR_STYLE: return STYLE_FOLDED;
    default: return STYLE_PLAIN;
    }
}

static void read_scalar(struct reader *self, const yaml_event_t *event)
{
    struct node *node = new_node(self, NODE_TEXT, event);
    const char *text = (const char *)event->data.scalar.value;
    size_t size = event->data.scalar.length;
    node->style = (uint8_t)style_of(event->data.scalar.style);
    node->text = arena_strndup(&self->tree->arena, text, size);
    node->size = (uint32_t)size;
    if (node->style == STYLE_PLAIN)
        node_resolve(node);
    if (event->data.scalar.tag)
        flaw(node, FLAW_TAG);
    else if (event->data.scalar.anchor)
        flaw(node, FLAW_ANCHOR);
    else if (memchr(text, '\0', size))
        flaw(node, FLAW_NUL);
    place_node(self, node);
}

static bool open_level(struct reader *self, const yaml_event_t *event)
{
    bool is_map = event->type == YAML_MAPPING_START_EVENT;
    struct place place = place_of(&event->start_mark);
    if (self->depth == LIMIT_DEFINITION_DEPTH) {
        char message[80];
        snprintf(message, sizeof message, "nested deeper than %d levels", LIMIT_DEFINITION_DEPTH);
        report(self, place, "too_deep", "flatten it", message);
        return false;
    }
    struct node *node = new_node(self, is_map ? NODE_MAP : NODE_LIST, event);
    place_node(self, node);
    bool tag = is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    bool anchor = is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    node->flow = is_map ? event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE
                        : event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    if (tag || anchor)
        flaw(node, tag ? FLAW_TAG : FLAW_ANCHOR);
    self->levels[self->depth++] = (struct level){.node = node, .is_map = is_map};
    return true;
}

static void read_alias(struct reader *self, const yaml_event_t *event)
{
    struct node *node = new_node(self, NODE_BAD, event);
    node->flaw = FLAW_ALIAS;
    place_node(self, node);
}

static bool count_value(struct reader *self, const yaml_event_t *event)
{
    if (++self->values <= LIMIT_DEFINITION_VALUES)
        return true;
    char message[80];
    snprintf(message, sizeof message, "the file holds more than %d values",
             LIMIT_DEFINITION_VALUES);
    report(self, place_of(&event->start_mark), "too_many", "split it into several files", message);
    return false;
}

/* false: the end, or a limit. */
static bool read_event(struct reader *self, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_STREAM_END_EVENT: return false;
    case YAML_DOCUMENT_START_EVENT: begin_document(self, event); return true;
    case YAML_SCALAR_EVENT: read_scalar(self, event); return count_value(self, event);
    case YAML_ALIAS_EVENT: read_alias(self, event); return count_value(self, event);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT: return count_value(self, event) && open_level(self, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: self->depth--; return true;
    default: return true;
    }
}

/* --- what isn't YAML -------------------------------------------------------------------------- */

static bool line_holds(const struct source *source, unsigned line, const char *what)
{
    struct bytes text = source_line(source, line);
    return text.size > 0 && memmem(text.data, text.size, what, strlen(what)) != NULL;
}

static bool indented_by_tab(const struct source *source, unsigned line)
{
    struct bytes text = source_line(source, line);
    for (size_t i = 0; i < text.size && (text.data[i] == ' ' || text.data[i] == '\t'); i++)
        if (text.data[i] == '\t')
            return true;
    return false;
}

static const char *syntax_fix(const struct source *source, struct place place, const char *problem,
                              const char *context)
{
    size_t at = source_offset(source, place);
    char c = at < source->size ? source->text[at] : '\0';
    if (indented_by_tab(source, place.line))
        return "indent with spaces, not tabs";
    if (line_holds(source, place.line, "{{") ||
        (place.line > 1 && line_holds(source, place.line - 1, "{{")))
        return "quote a text that begins with {{ or holds \": \"";
    if (strstr(context, "tag"))
        return "quote what begins with !, such as \"!x.ok\"";
    if (line_holds(source, place.line, " ? "))
        return "quote the expression";
    if (c != '\0' && strchr("@`%!&*|>", c))
        return "quote a text that begins with one of @ ` % ! & * | >";
    if (strstr(problem, "mapping values"))
        return "quote a text that holds \": \", or mend the indentation";
    return "mend quotes, brackets or indentation";
}

static void report_yaml(struct reader *self, const yaml_parser_t *parser)
{
    char message[200];
    struct place place = place_of(&parser->problem_mark);
    const char *problem = parser->problem ? parser->problem : "it can't be read";
    if (parser->error == YAML_READER_ERROR) {
        place = source_place(self->source, parser->problem_offset);
        report(self, place, "syntax", "write the text in UTF-8, without control characters",
               problem);
        return;
    }
    const char *context = parser->context ? parser->context : "";
    char begun[40] = "";
    if (*context && parser->context_mark.line != parser->problem_mark.line)
        snprintf(begun, sizeof begun, " that begins in line %zu", parser->context_mark.line + 1);
    snprintf(message, sizeof message, "not YAML: %s%s%s%s", problem, *context ? " " : "", context,
             begun);
    report(self, place, "syntax", syntax_fix(self->source, place, problem, context), message);
}

/* A document cut short by an error is no document. */
static void drop_last(struct reader *self)
{
    if (self->tree->count > 0)
        self->tree->count--;
}

static void read_yaml(struct reader *self)
{
    yaml_parser_t parser;
    CHECK(yaml_parser_initialize(&parser));
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)self->source->text,
                                 self->source->size);
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            report_yaml(self, &parser);
            drop_last(self);
            break;
        }
        bool more = read_event(self, &event);
        bool ended = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (!more && !ended)
            drop_last(self);
        if (!more)
            break;
    }
    yaml_parser_delete(&parser);
}

static bool looks_like_json(const struct source *source)
{
    size_t at = 0;
    while (at < source->size && strchr(" \t\r\n", source->text[at]) && source->text[at])
        at++;
    return at < source->size && source->text[at] == '{';
}

void tree_parse(struct tree *self, const struct source *source, struct diagnostics *diagnostics)
{
    *self = (struct tree){0};
    struct reader *reader = xcalloc(1, sizeof *reader);
    *reader = (struct reader){.tree = self, .source = source, .diagnostics = diagnostics};
    if (source->size > LIMIT_DEFINITION_BYTES) {
        char message[80];
        snprintf(message, sizeof message, "the file has %zu bytes, more than %u", source->size,
                 LIMIT_DEFINITION_BYTES);
        report(reader, (struct place){1, 1}, "too_large", "split it into several files", message);
    } else if (!looks_like_json(source) || !tree_read_json(self, source)) {
        read_yaml(reader);
        struct bytes documents =
            bytes_of(reader->documents, self->count * sizeof *reader->documents);
        if (documents.size > 0)
            self->documents =
                memcpy(arena_alloc(&self->arena, documents.size), documents.data, documents.size);
    }
    free(reader->documents);
    free(reader);
}

void tree_release(struct tree *self)
{
    arena_release(&self->arena);
    *self = (struct tree){0};
}
