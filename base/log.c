#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one datagram per entry, of
 * lines NAME=value; a value with a newline in it is sent as NAME, newline, its size in 64 bits
 * little-endian, the value, newline. */
#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define MAX_VALUE      4096 /* bytes of one field's value; more is cut */
#define MAX_FIELDS     32
#define MAX_NAME       48

struct field {
    const char *name;
    const char *value;
};

struct entry {
    enum log_level level;
    const char *id;
    const char *sentence;
    struct field fields[MAX_FIELDS];
    size_t field_count;
};

/* Set once by log_open, before other threads are there; only read afterwards. */
static struct {
    char program[64];
    enum log_level level;
    bool is_stream; /* standard error ends in the journal */
    int journal;    /* a datagram socket connected to the journal, or -1 */
} state = {.program = "agentfactory", .level = LOG_LEVEL_INFO, .journal = -1};

static const char *const LEVEL_NAMES[] = {"ERROR", "WARN", "INFO", "DEBUG"};
static const char LEVEL_PRIORITIES[] = {'3', '4', '6', '7'};

/* systemd sets JOURNAL_STREAM to the device and inode of the stream that it gave us; a standard
 * error that was redirected since then no longer matches. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    if (!stream || fstat(STDERR_FILENO, &status))
        return false;
    char own[64];
    snprintf(own, sizeof own, "%llu:%llu", (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino);
    return strcmp(own, stream) == 0;
}

static int connect_journal(const char *path)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address)) {
        close(fd);
        return -1;
    }
    return fd;
}

void log_open(const char *program, enum log_level level)
{
    log_open_journal(program, level, JOURNAL_SOCKET);
}

void log_open_journal(const char *program, enum log_level level, const char *socket_path)
{
    snprintf(state.program, sizeof state.program, "%s", program);
    state.level = level;
    if (state.journal >= 0)
        close(state.journal);
    state.is_stream = stderr_is_journal();
    state.journal = state.is_stream ? connect_journal(socket_path) : -1;
}

static bool is_plain(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c == 0x7f)
            return false;
    }
    return size > 0;
}

static void put_escaped(struct buf *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n')
            buf_puts(out, "\\n");
        else if (c < ' ' || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_putc(out, (char)c);
    }
}

static void put_quoted(struct buf *out, const char *text, size_t size)
{
    buf_putc(out, '"');
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"' || text[i] == '\\')
            buf_putc(out, '\\');
        put_escaped(out, text + i, 1);
    }
    buf_putc(out, '"');
}

/* "ID the sentence name=value …": one line whatever the values hold, so nothing from outside can
 * forge a line of its own. */
static void put_sentence(struct buf *out, const struct entry *entry)
{
    buf_puts(out, entry->id);
    buf_putc(out, ' ');
    put_escaped(out, entry->sentence, strnlen(entry->sentence, MAX_VALUE));
    for (size_t i = 0; i < entry->field_count; i++) {
        const char *value = entry->fields[i].value;
        size_t size = strnlen(value, MAX_VALUE);
        buf_printf(out, " %s=", entry->fields[i].name);
        if (is_plain(value, size))
            buf_append(out, value, size);
        else
            put_quoted(out, value, size);
    }
}

/* Names get the prefix AF_ so that none can stand for one of the journal's own. */
static void put_journal_name(struct buf *out, const char *name)
{
    buf_puts(out, "AF_");
    for (size_t i = 0; name[i] && i < MAX_NAME; i++) {
        char c = name[i];
        bool is_digit = c >= '0' && c <= '9';
        bool is_upper = c >= 'A' && c <= 'Z';
        bool is_lower = c >= 'a' && c <= 'z';
        buf_putc(out, is_lower ? (char)(c - 'a' + 'A') : is_digit || is_upper ? c : '_');
    }
}

static void put_journal_value(struct buf *out, const char *value, size_t size)
{
    if (!memchr(value, '\n', size)) {
        buf_putc(out, '=');
    } else {
        uint8_t length[8];
        for (unsigned i = 0; i < sizeof length; i++)
            length[i] = (uint8_t)((uint64_t)size >> (8 * i));
        buf_putc(out, '\n');
        buf_append(out, length, sizeof length);
    }
    buf_append(out, value, size);
    buf_putc(out, '\n');
}

static bool send_to_journal(const struct entry *entry)
{
    struct buf datagram = {0};
    buf_puts(&datagram, "MESSAGE=");
    put_sentence(&datagram, entry);
    buf_printf(&datagram, "\nPRIORITY=%c\nSYSLOG_IDENTIFIER=%s\nAF_ID=%s\n",
               LEVEL_PRIORITIES[entry->level], state.program, entry->id);
    for (size_t i = 0; i < entry->field_count; i++) {
        put_journal_name(&datagram, entry->fields[i].name);
        const char *value = entry->fields[i].value;
        put_journal_value(&datagram, value, strnlen(value, MAX_VALUE));
    }
    ssize_t sent = send(state.journal, datagram.data, datagram.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    buf_release(&datagram);
    return sent >= 0;
}

/* On a stream that ends in the journal the line starts with its priority instead of the time. */
static void write_line(const struct entry *entry)
{
    struct buf line = {0};
    char time[CLOCK_TEXT_SIZE];
    if (state.is_stream)
        buf_printf(&line, "<%c>", LEVEL_PRIORITIES[entry->level]);
    else
        buf_printf(&line, "%s %s ", clock_format(clock_utc_us(), time), LEVEL_NAMES[entry->level]);
    put_sentence(&line, entry);
    buf_putc(&line, '\n');
    for (size_t at = 0; at < line.size;) {
        ssize_t written = write(STDERR_FILENO, line.data + at, line.size - at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            break;
        at += (size_t)written;
    }
    buf_release(&line);
}

static void emit(enum log_level level, const char *id, const char *sentence, va_list arguments)
{
    if (level > state.level)
        return;
    int kept_errno = errno;
    struct entry entry = {.level = level, .id = id, .sentence = sentence};
    const char *name;
    while (entry.field_count < MAX_FIELDS && (name = va_arg(arguments, const char *))) {
        const char *value = va_arg(arguments, const char *);
        entry.fields[entry.field_count++] = (struct field){name, value ? value : ""};
    }
    if (state.journal < 0 || !send_to_journal(&entry))
        write_line(&entry);
    errno = kept_errno;
}

void log_error(const char *id, const char *sentence, ...)
{
    va_list arguments;
    va_start(arguments, sentence);
    emit(LOG_LEVEL_ERROR, id, sentence, arguments);
    va_end(arguments);
}

void log_warn(const char *id, const char *sentence, ...)
{
    va_list arguments;
    va_start(arguments, sentence);
    emit(LOG_LEVEL_WARN, id, sentence, arguments);
    va_end(arguments);
}

void log_info(const char *id, const char *sentence, ...)
{
    va_list arguments;
    va_start(arguments, sentence);
    emit(LOG_LEVEL_INFO, id, sentence, arguments);
    va_end(arguments);
}

void log_debug(const char *id, const char *sentence, ...)
{
    va_list arguments;
    va_start(arguments, sentence);
    emit(LOG_LEVEL_DEBUG, id, sentence, arguments);
    va_end(arguments);
}
