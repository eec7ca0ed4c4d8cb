#include "definitions/diagnostics.h"

#include "base/limits.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void diagnostic_release(struct diagnostic *self)
{
    free(self->file);
    free(self->path);
    free(self->kind);
    free(self->message);
    free(self->fix);
}

void diagnostics_release(struct diagnostics *self)
{
    for (size_t i = 0; i < self->count; i++)
        diagnostic_release(&self->items[i]);
    free(self->items);
    *self = (struct diagnostics){0};
}

static struct diagnostic *grow(struct diagnostics *self)
{
    if ((self->count & (self->count - 1)) == 0) {
        size_t capacity = self->count > 0 ? self->count * 2 : 1;
        self->items = xrealloc(self->items, capacity * sizeof *self->items);
    }
    return &self->items[self->count++];
}

/* Texts from a file may hold anything: a line break or an escape sequence must not reach a
 * terminal or break a line in two. */
static char *printable(char *text)
{
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
    return text;
}

static char *format_text(const char *format, va_list arguments)
{
    char *text = NULL;
    CHECK(vasprintf(&text, format, arguments) >= 0);
    return printable(text);
}

void diagnostics_add_v(struct diagnostics *self, const struct finding *finding, const char *format,
                       va_list arguments)
{
    if (finding->severity == DIAGNOSTIC_ERROR)
        self->errors++;
    if (self->count >= LIMIT_DIAGNOSTICS) {
        self->dropped++;
        return;
    }
    char *message = format_text(format, arguments);
    *grow(self) = (struct diagnostic){
        .severity = finding->severity,
        .file = xstrdup(finding->file),
        .line = finding->place.line,
        .column = finding->place.column,
        .path = printable(xstrdup(finding->path ? finding->path : "")),
        .kind = xstrdup(finding->kind),
        .message = message,
        .fix = printable(xstrdup(finding->fix ? finding->fix : "")),
    };
}

void diagnostics_add(struct diagnostics *self, const struct finding *finding, const char *format,
                     ...)
{
    va_list arguments;
    va_start(arguments, format);
    diagnostics_add_v(self, finding, format, arguments);
    va_end(arguments);
}

static int compare_places(const struct diagnostic *a, const struct diagnostic *b)
{
    int order = strcmp(a->file, b->file);
    if (order == 0)
        order = (a->line > b->line) - (a->line < b->line);
    if (order == 0)
        order = (a->column > b->column) - (a->column < b->column);
    return order;
}

static int compare(const void *left, const void *right)
{
    const struct diagnostic *a = *(const struct diagnostic *const *)left;
    const struct diagnostic *b = *(const struct diagnostic *const *)right;
    int order = compare_places(a, b);
    return order != 0 ? order : (a > b) - (a < b);
}

static const struct diagnostic **sorted(const struct diagnostics *self)
{
    const struct diagnostic **list = xcalloc(self->count + 1, sizeof *list);
    for (size_t i = 0; i < self->count; i++)
        list[i] = &self->items[i];
    qsort(list, self->count, sizeof *list, compare);
    return list;
}

static const char *severity_name(enum diagnostic_severity severity)
{
    return severity == DIAGNOSTIC_ERROR ? "error" : "warning";
}

static void format_one(const struct diagnostic *self, struct buf *out)
{
    buf_printf(out, "%s:%u:%u: %s: ", self->file, self->line, self->column,
               severity_name(self->severity));
    if (self->path[0])
        buf_printf(out, "%s: ", self->path);
    buf_puts(out, self->message);
    if (self->fix[0])
        buf_printf(out, "; %s", self->fix);
    buf_putc(out, '\n');
}

void diagnostics_format(const struct diagnostics *self, struct buf *out)
{
    const struct diagnostic **list = sorted(self);
    for (size_t i = 0; i < self->count; i++)
        format_one(list[i], out);
    free(list);
    if (self->count >= LIMIT_DIAGNOSTICS)
        buf_printf(out, "further problems are not shown: mend these %zu first\n", self->count);
}

static value_t *document_of(const struct diagnostic *self)
{
    value_t *map = value_map();
    value_set_string(map, "severity", severity_name(self->severity));
    value_set_string(map, "file", self->file);
    value_set_int(map, "line", self->line);
    value_set_int(map, "column", self->column);
    value_set_string(map, "path", self->path);
    value_set_string(map, "kind", self->kind);
    value_set_string(map, "message", self->message);
    value_set_string(map, "fix", self->fix);
    return map;
}

value_t *diagnostics_document(const struct diagnostics *self)
{
    value_t *list = value_list();
    const struct diagnostic **items = sorted(self);
    for (size_t i = 0; i < self->count; i++) {
        value_t *item = document_of(items[i]);
        value_append(list, &item);
    }
    free(items);
    return list;
}
