/* Bytes: a borrowed slice, a growing buffer, and an arena for what lives as long as one batch. */
#ifndef AF_BASE_BUF_H
#define AF_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed, read-only bytes. data may be NULL when size is 0. */
struct bytes {
    const uint8_t *data;
    size_t size;
};

struct bytes bytes_of(const void *data, size_t size);
struct bytes bytes_of_string(const char *text); /* without the NUL */
bool bytes_equal(struct bytes a, struct bytes b);

/* A growing buffer; {0} is a valid empty one. Always followed by a NUL that size doesn't count, so
 * that text can be printed: buf_string(). */
struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

void buf_release(struct buf *self);
void buf_clear(struct buf *self); /* keeps the memory */
void buf_reserve(struct buf *self, size_t more);
void buf_append(struct buf *self, const void *data, size_t size);
void buf_append_bytes(struct buf *self, struct bytes bytes);
void buf_puts(struct buf *self, const char *text);
void buf_putc(struct buf *self, char c);
void buf_printf(struct buf *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct bytes buf_bytes(const struct buf *self);
const char *buf_string(const struct buf *self); /* "" when empty */
char *buf_steal(struct buf *self);              /* heap string, owned by the caller; self empties */

/* A bump allocator: everything in it dies at arena_clear or arena_release. {0} is valid. Memory is
 * zeroed and aligned to 16 bytes. One thread. */
struct arena {
    struct arena_chunk *chunks;
    size_t used_bytes; /* handed out since the last clear */
};

void *arena_alloc(struct arena *self, size_t size);
char *arena_strdup(struct arena *self, const char *text);
char *arena_strndup(struct arena *self, const char *text, size_t size);
char *arena_printf(struct arena *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct bytes arena_copy(struct arena *self, struct bytes bytes);
void arena_clear(struct arena *self); /* keeps the largest chunk */
void arena_release(struct arena *self);

#endif
