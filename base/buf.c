#include "base/buf.h"

#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){data, size};
}

struct bytes bytes_of_string(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

void buf_release(struct buf *self)
{
    free(self->data);
    *self = (struct buf){0};
}

void buf_clear(struct buf *self)
{
    self->size = 0;
    if (self->data)
        self->data[0] = '\0';
}

/* One byte more than asked for is always kept for the closing NUL. */
void buf_reserve(struct buf *self, size_t more)
{
    if (more < self->capacity - self->size && self->data)
        return;
    CHECK(more < SIZE_MAX / 2 - self->size);
    size_t needed = self->size + more + 1;
    size_t capacity = self->capacity ? self->capacity : 64;
    while (capacity < needed)
        capacity *= 2;
    self->data = xrealloc(self->data, capacity);
    self->data[self->size] = '\0';
    self->capacity = capacity;
}

void buf_append(struct buf *self, const void *data, size_t size)
{
    if (size == 0)
        return;
    buf_reserve(self, size);
    memcpy(self->data + self->size, data, size);
    self->size += size;
    self->data[self->size] = '\0';
}

void buf_append_bytes(struct buf *self, struct bytes bytes)
{
    buf_append(self, bytes.data, bytes.size);
}

void buf_puts(struct buf *self, const char *text)
{
    buf_append(self, text, strlen(text));
}

void buf_putc(struct buf *self, char c)
{
    buf_reserve(self, 1);
    self->data[self->size++] = (uint8_t)c;
    self->data[self->size] = '\0';
}

void buf_printf(struct buf *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CHECK(size >= 0);
    buf_reserve(self, (size_t)size);
    va_start(arguments, format);
    vsnprintf((char *)self->data + self->size, (size_t)size + 1, format, arguments);
    va_end(arguments);
    self->size += (size_t)size;
}

struct bytes buf_bytes(const struct buf *self)
{
    return (struct bytes){self->data, self->size};
}

const char *buf_string(const struct buf *self)
{
    return self->data ? (const char *)self->data : "";
}

char *buf_steal(struct buf *self)
{
    char *text = self->data ? (char *)self->data : xstrdup("");
    *self = (struct buf){0};
    return text;
}
