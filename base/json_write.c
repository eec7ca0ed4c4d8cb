#include "base/value_tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct writer {
    struct buf *out;
    unsigned flags;
    unsigned level;
};

/* Runs of bytes that need no escape are appended whole. */
static void write_text(struct buf *out, const char *text, size_t size)
{
    buf_putc(out, '"');
    size_t start = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= ' ' && c != '"' && c != '\\')
            continue;
        buf_append(out, text + start, i - start);
        start = i + 1;
        switch (c) {
        case '"': buf_puts(out, "\\\""); break;
        case '\\': buf_puts(out, "\\\\"); break;
        case '\n': buf_puts(out, "\\n"); break;
        case '\r': buf_puts(out, "\\r"); break;
        case '\t': buf_puts(out, "\\t"); break;
        case '\b': buf_puts(out, "\\b"); break;
        case '\f': buf_puts(out, "\\f"); break;
        default: buf_printf(out, "\\u%04x", c);
        }
    }
    buf_append(out, text + start, size - start);
    buf_putc(out, '"');
}

/* The shortest of 15 to 17 digits that reads back the same, with a sign that it is no integer. */
static void write_double(struct buf *out, double number)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    /* A program that embeds us may have set a locale with a decimal comma. */
    char *comma = strchr(text, ',');
    if (comma)
        *comma = '.';
    buf_puts(out, text);
    if (!strpbrk(text, ".e"))
        buf_puts(out, ".0");
}

static void write_break(const struct writer *self)
{
    if (!(self->flags & VALUE_JSON_INDENT))
        return;
    buf_putc(self->out, '\n');
    for (unsigned i = 0; i < self->level; i++)
        buf_puts(self->out, "  ");
}

static void write_value(struct writer *self, const value_t *value);

static void write_list(struct writer *self, const value_t *list)
{
    buf_putc(self->out, '[');
    self->level++;
    for (uint32_t i = 0; i < list->as.list.size; i++) {
        if (i > 0)
            buf_putc(self->out, ',');
        write_break(self);
        write_value(self, list->as.list.items[i]);
    }
    self->level--;
    if (list->as.list.size > 0)
        write_break(self);
    buf_putc(self->out, ']');
}

static void write_member(struct writer *self, const struct member *member, bool is_first)
{
    if (!is_first)
        buf_putc(self->out, ',');
    write_break(self);
    write_text(self->out, member->key, member->key_size);
    buf_puts(self->out, self->flags & VALUE_JSON_INDENT ? ": " : ":");
    write_value(self, member->value);
}

static int compare_members(const void *a, const void *b)
{
    const struct member *left = *(const struct member *const *)a;
    const struct member *right = *(const struct member *const *)b;
    return strcmp(left->key, right->key);
}

static void write_sorted_members(struct writer *self, const value_t *map)
{
    uint32_t count = map->as.map.size;
    const struct member **sorted = xmalloc(count * sizeof *sorted);
    for (uint32_t i = 0; i < count; i++)
        sorted[i] = &map->as.map.members[i];
    qsort(sorted, count, sizeof *sorted, compare_members);
    for (uint32_t i = 0; i < count; i++)
        write_member(self, sorted[i], i == 0);
    free(sorted);
}

static void write_map(struct writer *self, const value_t *map)
{
    buf_putc(self->out, '{');
    self->level++;
    if (self->flags & VALUE_JSON_SORT)
        write_sorted_members(self, map);
    else
        for (uint32_t i = 0; i < map->as.map.size; i++)
            write_member(self, &map->as.map.members[i], i == 0);
    self->level--;
    if (map->as.map.size > 0)
        write_break(self);
    buf_putc(self->out, '}');
}

static void write_value(struct writer *self, const value_t *value)
{
    switch ((enum value_type)value->type) {
    case VALUE_NULL: buf_puts(self->out, "null"); break;
    case VALUE_BOOL: buf_puts(self->out, value->as.boolean ? "true" : "false"); break;
    case VALUE_INT: buf_printf(self->out, "%" PRId64, value->as.integer); break;
    case VALUE_DOUBLE: write_double(self->out, value->as.number); break;
    case VALUE_STRING: write_text(self->out, value_as_string(value), value->as.text_size); break;
    case VALUE_LIST: write_list(self, value); break;
    case VALUE_MAP: write_map(self, value); break;
    }
}

void value_to_json(const value_t *self, unsigned flags, struct buf *out)
{
    struct writer writer = {.out = out, .flags = flags};
    write_value(&writer, self);
}
