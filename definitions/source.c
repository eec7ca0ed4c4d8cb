#include "definitions/source.h"

#include "base/err.h"
#include <stdlib.h>
#include <string.h>

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

void source_init(struct source *self, const char *text, size_t size, const char *file)
{
    *self = (struct source){.file = file, .text = text, .size = size};
    size_t count = 1;
    const char *end = text + size;
    for (const char *at = text; size > 0 && (at = memchr(at, '\n', (size_t)(end - at))); at++)
        count++;
    self->lines = xcalloc(count, sizeof *self->lines);
    self->lines_count = 1;
    for (const char *at = text; size > 0 && (at = memchr(at, '\n', (size_t)(end - at))); at++)
        self->lines[self->lines_count++] = (size_t)(at - text) + 1;
}

void source_release(struct source *self)
{
    free(self->lines);
    *self = (struct source){0};
}

struct bytes source_line(const struct source *self, unsigned line)
{
    if (line == 0 || line > self->lines_count)
        return bytes_of(NULL, 0);
    size_t begin = self->lines[line - 1];
    size_t end = line < self->lines_count ? self->lines[line] - 1 : self->size;
    if (end > begin && self->text[end - 1] == '\r')
        end--;
    return bytes_of(self->text + begin, end - begin);
}

size_t source_offset(const struct source *self, struct place place)
{
    if (place.line == 0 || place.line > self->lines_count)
        return self->size;
    size_t at = self->lines[place.line - 1];
    for (unsigned column = 1; column < place.column && at < self->size; column++) {
        at++;
        while (at < self->size && is_continuation(self->text[at]))
            at++;
    }
    return at;
}

struct place source_place(const struct source *self, size_t offset)
{
    size_t low = 0, high = self->lines_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (self->lines[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    struct place place = {.line = (unsigned)low + 1, .column = 1};
    for (size_t at = self->lines[low]; at < offset && at < self->size; at++)
        if (!is_continuation(self->text[at]))
            place.column++;
    return place;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_block(enum scalar_style style)
{
    return style == STYLE_LITERAL || style == STYLE_FOLDED;
}

static size_t skip_spaces(const struct source *self, size_t at, size_t most)
{
    for (size_t i = 0; i < most && at < self->size && self->text[at] == ' '; i++)
        at++;
    return at;
}

/* The first byte of a block scalar's content, past its header and indentation. */
static size_t block_start(const struct source *self, size_t at, size_t *ret_indent)
{
    *ret_indent = 0;
    while (at < self->size && self->text[at] != '\n')
        at++;
    for (size_t line = at; line < self->size;) {
        size_t begin = line + 1;
        size_t content = skip_spaces(self, begin, SIZE_MAX);
        if (content >= self->size)
            break;
        if (self->text[content] != '\n') {
            *ret_indent = content - begin;
            return skip_spaces(self, at + 1, *ret_indent);
        }
        line = content;
    }
    return at;
}

/* Bytes of an escape sequence and of what it stands for. */
static size_t escape_size(const char *at, size_t left)
{
    if (left < 2)
        return left;
    switch (at[1]) {
    case 'x': return 4;
    case 'u': return 6;
    case 'U': return 10;
    default: return 2;
    }
}

static size_t sequence_size(struct bytes value, size_t at)
{
    size_t end = at + 1;
    while (end < value.size && is_continuation((char)value.data[end]))
        end++;
    return end - at;
}

struct follow {
    const struct source *source;
    struct bytes value;
    enum scalar_style style;
    size_t at;   /* in the source */
    size_t done; /* of the value */
    size_t indent;
};

/* Past a line's end, and the indentation of the next one. */
static void follow_line(struct follow *self)
{
    const struct source *source = self->source;
    self->at++;
    if (is_block(self->style))
        self->at = skip_spaces(source, self->at, self->indent);
    else
        while (self->at < source->size && is_blank(source->text[self->at]))
            self->at++;
}

static void follow_one(struct follow *self)
{
    char in_source = self->source->text[self->at];
    char in_value = (char)self->value.data[self->done];
    if (in_source == '\n') {
        if (in_value == '\n' || in_value == ' ')
            self->done++;
        follow_line(self);
    } else if (self->style == STYLE_DOUBLE && in_source == '\\') {
        self->at += escape_size(self->source->text + self->at, self->source->size - self->at);
        self->done += sequence_size(self->value, self->done);
    } else if (in_source == in_value) {
        self->at += self->style == STYLE_SINGLE && in_source == '\'' ? 2 : 1;
        self->done++;
    } else {
        self->at++;
    }
}

/* The place of `to`, counted on from that of `from`. */
static struct place place_from(const struct source *self, struct place place, size_t from,
                               size_t to)
{
    for (size_t at = from; at < to; at++) {
        if (self->text[at] == '\n') {
            place.line++;
            place.column = 1;
        } else if (!is_continuation(self->text[at])) {
            place.column++;
        }
    }
    return place;
}

struct place source_scalar_place(const struct source *self, struct place start, size_t start_offset,
                                 enum scalar_style style, struct bytes value, size_t offset)
{
    struct follow follow = {.source = self, .value = value, .style = style, .at = start_offset};
    if (is_block(style))
        follow.at = block_start(self, follow.at, &follow.indent);
    else if (style != STYLE_PLAIN)
        follow.at++;
    while (follow.done < offset && follow.done < value.size && follow.at < self->size)
        follow_one(&follow);
    return place_from(self, start, start_offset, follow.at < self->size ? follow.at : self->size);
}
