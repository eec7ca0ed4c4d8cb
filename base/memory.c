/* CHECK, and memory that never runs out without a word. */
#include "base/err.h"

#include <execinfo.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Printed with write() and backtrace_symbols_fd(), neither of which needs memory from the heap. */
static _Noreturn void die(const char *message, size_t size)
{
    void *frames[64];
    ssize_t ignored = write(STDERR_FILENO, message, size);
    (void)ignored;
    int count = backtrace(frames, (int)(sizeof frames / sizeof frames[0]));
    backtrace_symbols_fd(frames, count, STDERR_FILENO);
    abort();
}

_Noreturn void check_failed(const char *file, int line, const char *function, const char *what)
{
    char message[512];
    int size = snprintf(message, sizeof message, "%s:%d: %s: check failed: %s\n", file, line,
                        function, what);
    die(message, size < (int)sizeof message ? (size_t)size : sizeof message - 1);
}

static _Noreturn void out_of_memory(size_t size)
{
    char message[128];
    int length = snprintf(message, sizeof message, "out of memory: %zu bytes asked for\n", size);
    die(message, (size_t)length);
}

void *xcalloc(size_t count, size_t size)
{
    void *pointer = calloc(count ? count : 1, size ? size : 1);
    if (!pointer)
        out_of_memory(count > SIZE_MAX / (size ? size : 1) ? SIZE_MAX : count * size);
    return pointer;
}

void *xmalloc(size_t size)
{
    void *pointer = malloc(size ? size : 1);
    if (!pointer)
        out_of_memory(size);
    return pointer;
}

void *xrealloc(void *pointer, size_t size)
{
    void *moved = realloc(pointer, size ? size : 1);
    if (!moved)
        out_of_memory(size);
    return moved;
}

char *xstrdup(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(xmalloc(size), text, size);
}

char *xstrndup(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    char *copy = xmalloc(length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *xasprintf(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0)
        out_of_memory(0);
    return text;
}
