#include "hostd/output.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *output_path(const struct run_paths *paths, const char *agent, const char *instance)
{
    return xasprintf("%s/agentd-%s-%s.log", paths->log, agent, instance);
}

static ssize_t read_end(int fd, char *data, size_t size)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return -1;
    off_t from = status.st_size > (off_t)size ? status.st_size - (off_t)size : 0;
    return pread(fd, data, size, from);
}

/* The writer appends (O_APPEND), so it goes on at the new end. What it writes between the reading
 * and the cut is lost; it is a log that overflows. */
void output_trim(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0 || status.st_size <= (off_t)LIMIT_INSTANCE_LOG_BYTES)
        return;
    int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        return;
    char *data = xmalloc(LIMIT_STDERR_TAIL_BYTES);
    ssize_t size = read_end(fd, data, LIMIT_STDERR_TAIL_BYTES);
    if (ftruncate(fd, 0) == 0 && size > 0)
        (void)!write(fd, data, (size_t)size);
    free(data);
    close(fd);
}

/* Where the last lines begin; a line cut at the front of what was read is left out when there are
 * whole ones behind it. */
static size_t find_lines(const char *data, size_t size, bool cut)
{
    size_t lines = 0, from = size;
    while (from > 0) {
        if (data[from - 1] == '\n' && from < size && ++lines == LIMIT_STDERR_TAIL_LINES)
            return from;
        from--;
    }
    if (!cut)
        return 0;
    const char *newline = memchr(data, '\n', size);
    return newline && newline + 1 < data + size ? (size_t)(newline + 1 - data) : 0;
}

void output_tail(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    char *data = xmalloc(LIMIT_STDERR_TAIL_BYTES);
    ssize_t got = read_end(fd, data, LIMIT_STDERR_TAIL_BYTES);
    close(fd);
    size_t size = got > 0 ? (size_t)got : 0;
    for (size_t i = 0; i < size; i++)
        if (data[i] == '\0')
            data[i] = ' ';
    size_t from = find_lines(data, size, size == LIMIT_STDERR_TAIL_BYTES);
    utf8_append_lossy(out, data + from, size - from);
    free(data);
}

static void append(const char *path, struct bytes bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    (void)!write(fd, bytes.data, bytes.size);
    close(fd);
}

static void rotate(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0 || status.st_size <= (off_t)LIMIT_AGENT_LOG_BYTES)
        return;
    char *old = xasprintf("%s.old", path);
    (void)rename(path, old);
    free(old);
}

void output_archive(const struct run_paths *paths, const char *agent, const char *instance,
                    const char *what, const char *tail)
{
    char now[CLOCK_TEXT_SIZE];
    struct buf text = {0};
    char *path = xasprintf("%s/agentd-%s.log", paths->log, agent);
    buf_printf(&text, "--- %s %s %s\n", clock_format(clock_utc_us(), now), instance, what);
    buf_puts(&text, tail);
    if (text.data[text.size - 1] != '\n')
        buf_putc(&text, '\n');
    rotate(path);
    append(path, buf_bytes(&text));
    buf_release(&text);
    free(path);
    path = output_path(paths, agent, instance);
    (void)unlink(path);
    free(path);
}
