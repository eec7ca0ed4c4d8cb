#include "tools/output.h"

#include "base/buf.h"
#include "tools/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static bool coloured(FILE *stream)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(fileno(stream)) && !(no_color && *no_color) &&
           !(term && strcmp(term, "dumb") == 0);
}

const char *tone_on(FILE *stream, enum tone tone)
{
    static const char *const codes[] = {"",         "\033[1m",  "\033[2m",
                                        "\033[32m", "\033[31m", "\033[33m"};
    return coloured(stream) ? codes[tone] : "";
}

const char *tone_off(FILE *stream)
{
    return coloured(stream) ? "\033[0m" : "";
}

size_t stream_width(FILE *stream)
{
    struct winsize size;
    int fd = fileno(stream);
    return isatty(fd) && ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static void print_document(const value_t *document, unsigned flags)
{
    struct buf out = {0};
    value_to_json(document, flags, &out);
    if (isatty(STDOUT_FILENO)) {
        struct buf shown = {0};
        text_shown_json(&shown, buf_string(&out), out.size);
        buf_release(&out);
        out = shown;
    }
    fwrite(buf_string(&out), 1, out.size, stdout);
    putchar('\n');
    fflush(stdout);
    buf_release(&out);
}

void print_json(const value_t *document)
{
    print_document(document, isatty(STDOUT_FILENO) ? VALUE_JSON_INDENT : VALUE_JSON_COMPACT);
}

void print_json_line(const value_t *document)
{
    print_document(document, VALUE_JSON_COMPACT);
}

void print_shown(const char *text, size_t size)
{
    struct buf shown = {0};
    if (!isatty(STDOUT_FILENO)) {
        fwrite(text, 1, size, stdout);
        return;
    }
    text_shown(&shown, text, size);
    fwrite(buf_string(&shown), 1, shown.size, stdout);
    buf_release(&shown);
}

void print_output(const value_t *output)
{
    if (value_type(output) != VALUE_STRING) {
        print_document(output, VALUE_JSON_INDENT);
        return;
    }
    const char *text = value_as_string(output);
    size_t size = value_size(output);
    print_shown(text, size);
    if (size == 0 || text[size - 1] != '\n')
        putchar('\n');
    fflush(stdout);
}

int show_error(const struct options *options, const struct err *err)
{
    const char *what = err->what[0] ? err->what : err_text(err->code);
    fprintf(stderr, "%sagentctl:%s %s", tone_on(stderr, TONE_BAD), tone_off(stderr), what);
    if (err->where[0])
        fprintf(stderr, " (%s)", err->where);
    fputc('\n', stderr);
    if (err->fix[0])
        fprintf(stderr, "  %s\n", err->fix);
    if (options->json) {
        value_t *document = value_map();
        value_t *error = value_map();
        value_set_string(error, "error", err_name(err->code));
        value_set_string(error, "what", what);
        value_set_string(error, "where", err->where);
        value_set_string(error, "fix", err->fix);
        value_set(document, "error", &error);
        print_json(document);
        value_destroy(&document);
    }
    return exit_status_of(err->code);
}

void print_hint(const struct options *options, const char *format, ...)
{
    if (options->quiet)
        return;
    va_list list;
    va_start(list, format);
    fputs(tone_on(stderr, TONE_DIM), stderr);
    vfprintf(stderr, format, list);
    fprintf(stderr, "%s\n", tone_off(stderr));
    va_end(list);
}

/* --- tables ----------------------------------------------------------------------------------- */

struct table {
    size_t columns;
    char **cells;
    size_t count;
    bool cut_last;
};

table_t *table_new(size_t columns, const char *const *titles)
{
    table_t *self = xcalloc(1, sizeof *self);
    self->columns = columns;
    for (size_t i = 0; i < columns; i++)
        table_cell(self, titles[i]);
    return self;
}

void table_cell(table_t *self, const char *text)
{
    if ((self->count & (self->count - 1)) == 0)
        self->cells = xrealloc(self->cells, (self->count ? self->count * 2 : 1) * sizeof(char *));
    self->cells[self->count++] = xstrdup(text ? text : "");
}

void table_cut_last(table_t *self)
{
    self->cut_last = true;
}

static size_t width_of(const char *text)
{
    return text_width(text, strlen(text));
}

#define LAST_LEAST 20 /* columns of a last cell that is cut; a narrower terminal breaks lines */

/* What is left of the terminal's line for a last cell that may be cut; SIZE_MAX: all it wants. */
static size_t room_for_last(const table_t *self, const size_t *widths, FILE *stream)
{
    size_t room = self->cut_last ? stream_width(stream) : 0;
    size_t used = 0;
    if (room == 0)
        return SIZE_MAX;
    for (size_t i = 0; i + 1 < self->columns; i++)
        used += widths[i] + 2;
    return room > used + LAST_LEAST ? room - used : LAST_LEAST;
}

static void print_last(const char *text, size_t room, FILE *stream)
{
    struct buf out = {0};
    if (room < SIZE_MAX)
        text_excerpt(&out, text, strlen(text), room);
    fprintf(stream, "%s\n", room < SIZE_MAX ? buf_string(&out) : text);
    buf_release(&out);
}

static void print_cell(const char *text, size_t width, FILE *stream)
{
    fputs(text, stream);
    for (size_t pad = width_of(text); pad < width + 2; pad++)
        fputc(' ', stream);
}

void table_print(table_t **self_p, FILE *stream)
{
    table_t *self = *self_p;
    size_t *widths = xcalloc(self->columns, sizeof *widths);
    for (size_t i = 0; i < self->count; i++) {
        size_t width = width_of(self->cells[i]);
        if (width > widths[i % self->columns])
            widths[i % self->columns] = width;
    }
    size_t room = room_for_last(self, widths, stream);
    for (size_t i = 0; i < self->count; i++) {
        size_t column = i % self->columns;
        if (i == 0)
            fputs(tone_on(stream, TONE_DIM), stream);
        if (column + 1 == self->columns)
            print_last(self->cells[i], room, stream);
        else
            print_cell(self->cells[i], widths[column], stream);
        if (i + 1 == self->columns)
            fputs(tone_off(stream), stream);
        free(self->cells[i]);
    }
    fflush(stream);
    free(self->cells);
    free(widths);
    free(self);
    *self_p = NULL;
}

/* --- times and statuses ----------------------------------------------------------------------- */

const char *print_duration(int64_t us, char text[32])
{
    if (us < 0)
        snprintf(text, 32, "-");
    else if (us < 10000)
        snprintf(text, 32, "%.1f ms", (double)us / 1e3);
    else if (us < 1000000)
        snprintf(text, 32, "%.0f ms", (double)us / 1e3);
    else if (us < 60000000)
        snprintf(text, 32, "%.1f s", (double)us / 1e6);
    else
        snprintf(text, 32, "%lld min %02lld s", (long long)(us / 60000000),
                 (long long)(us / 1000000 % 60));
    return text;
}

static bool parse_time(const char *text, int64_t *ret_us)
{
    struct tm tm = {0};
    const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    if (!rest)
        return false;
    double fraction = *rest == '.' ? strtod(rest, NULL) : 0;
    *ret_us = (int64_t)timegm(&tm) * 1000000 + (int64_t)(fraction * 1e6 + 0.5);
    return true;
}

int64_t time_between(const char *from, const char *to)
{
    int64_t from_us;
    int64_t to_us;
    return parse_time(from, &from_us) && parse_time(to, &to_us) ? to_us - from_us : -1;
}

static const struct {
    const char *status, *mark;
    enum tone tone;
} STATUSES[] = {
    {"pending", "·", TONE_DIM},  {"running", "▶", TONE_BOLD},   {"retrying", "↻", TONE_WARN},
    {"waiting", "…", TONE_WARN}, {"succeeded", "✔", TONE_GOOD}, {"failed", "✘", TONE_BAD},
    {"skipped", "–", TONE_DIM},  {"cancelled", "■", TONE_WARN}, {"cancelling", "■", TONE_WARN},
    {"failing", "✘", TONE_BAD},  {"paused", "‖", TONE_WARN},
};

const char *status_mark(const char *status)
{
    for (size_t i = 0; i < sizeof STATUSES / sizeof *STATUSES; i++)
        if (strcmp(STATUSES[i].status, status) == 0)
            return STATUSES[i].mark;
    return "?";
}

enum tone status_tone(const char *status)
{
    for (size_t i = 0; i < sizeof STATUSES / sizeof *STATUSES; i++)
        if (strcmp(STATUSES[i].status, status) == 0)
            return STATUSES[i].tone;
    return TONE_PLAIN;
}
