#include "base/buf.h"

#include "base/err.h"
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_ALIGNMENT   16u
#define ARENA_FIRST_CHUNK 4096u
#define ARENA_LARGE_CHUNK (1u << 20)

/* Chunks form a list; the first one is being filled. Their memory is zeroed as it is handed out,
 * not before, so that a large chunk that is reused costs only what is used of it; and not at all
 * where it is filled at once. */
struct arena_chunk {
    struct arena_chunk *next;
    size_t capacity;
    size_t used;
    alignas(16) uint8_t memory[];
};

static void add_chunk(struct arena *self, size_t least)
{
    size_t capacity = self->chunks ? self->chunks->capacity * 2 : ARENA_FIRST_CHUNK;
    if (capacity > ARENA_LARGE_CHUNK)
        capacity = ARENA_LARGE_CHUNK;
    if (capacity < least)
        capacity = least;
    struct arena_chunk *chunk = xmalloc(sizeof *chunk + capacity);
    chunk->capacity = capacity;
    chunk->used = 0;
    chunk->next = self->chunks;
    self->chunks = chunk;
}

static void *take(struct arena *self, size_t size)
{
    CHECK(size < SIZE_MAX / 2);
    size_t rounded = (size + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    if (rounded == 0)
        rounded = ARENA_ALIGNMENT;
    if (!self->chunks || self->chunks->capacity - self->chunks->used < rounded)
        add_chunk(self, rounded);
    struct arena_chunk *chunk = self->chunks;
    void *memory = chunk->memory + chunk->used;
    chunk->used += rounded;
    self->used_bytes += rounded;
    return memory;
}

void *arena_alloc(struct arena *self, size_t size)
{
    return memset(take(self, size), 0, size);
}

char *arena_strdup(struct arena *self, const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(take(self, size), text, size);
}

char *arena_strndup(struct arena *self, const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    char *copy = take(self, length + 1);
    copy[length] = '\0';
    return memcpy(copy, text, length);
}

char *arena_printf(struct arena *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CHECK(size >= 0);
    char *text = take(self, (size_t)size + 1);
    va_start(arguments, format);
    vsnprintf(text, (size_t)size + 1, format, arguments);
    va_end(arguments);
    return text;
}

struct bytes arena_copy(struct arena *self, struct bytes bytes)
{
    if (bytes.size == 0)
        return (struct bytes){0};
    return bytes_of(memcpy(take(self, bytes.size), bytes.data, bytes.size), bytes.size);
}

void arena_clear(struct arena *self)
{
    struct arena_chunk *largest = NULL;
    for (struct arena_chunk *chunk = self->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        struct arena_chunk *smaller = chunk;
        if (!largest || chunk->capacity > largest->capacity) {
            smaller = largest;
            largest = chunk;
        }
        free(smaller);
    }
    if (largest) {
        largest->next = NULL;
        largest->used = 0;
    }
    self->chunks = largest;
    self->used_bytes = 0;
}

void arena_release(struct arena *self)
{
    for (struct arena_chunk *chunk = self->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    *self = (struct arena){0};
}
