#include "base/err.h"

#include "base/utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_entry {
    int code;
    const char *name;
    const char *text;
};

static const struct err_entry ERR_TABLE[] = {
#define ERR_ROW(code, number, name, text) {-(number), name, text},
    ERR_MAP(ERR_ROW)
#undef ERR_ROW
};

#define ERR_COUNT (sizeof ERR_TABLE / sizeof ERR_TABLE[0])

static const struct err_entry *find_code(int code)
{
    for (size_t i = 0; i < ERR_COUNT; i++)
        if (ERR_TABLE[i].code == code)
            return &ERR_TABLE[i];
    return NULL;
}

/* A cut must not leave half a UTF-8 sequence: the text may go into JSON. */
static void trim_broken_tail(char *text)
{
    text[utf8_cut(text, strlen(text))] = '\0';
}

static void format_cut(char *ret_text, size_t size, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void format_cut(char *ret_text, size_t size, const char *format, va_list arguments)
{
    int written = vsnprintf(ret_text, size, format, arguments);
    if (written < 0)
        ret_text[0] = '\0';
    else if ((size_t)written >= size)
        trim_broken_tail(ret_text);
}

int err_set(struct err *self, int code, const char *format, ...)
{
    if (!self)
        return code;
    /* The old texts may be arguments of the new one, so they are cleared after it is made. */
    char what[sizeof self->what];
    va_list arguments;
    va_start(arguments, format);
    format_cut(what, sizeof what, format, arguments);
    va_end(arguments);
    memcpy(self->what, what, strlen(what) + 1);
    self->code = code;
    self->where[0] = '\0';
    self->fix[0] = '\0';
    self->line = 0;
    self->column = 0;
    return code;
}

void err_where(struct err *self, const char *format, ...)
{
    if (!self)
        return;
    char where[sizeof self->where];
    va_list arguments;
    va_start(arguments, format);
    format_cut(where, sizeof where, format, arguments);
    va_end(arguments);
    memcpy(self->where, where, strlen(where) + 1);
}

void err_fix(struct err *self, const char *format, ...)
{
    if (!self)
        return;
    char fix[sizeof self->fix];
    va_list arguments;
    va_start(arguments, format);
    format_cut(fix, sizeof fix, format, arguments);
    va_end(arguments);
    memcpy(self->fix, fix, strlen(fix) + 1);
}

const char *err_name(int code)
{
    if (code == ERR_OK)
        return "ok";
    const struct err_entry *entry = find_code(code);
    return entry ? entry->name : "internal";
}

const char *err_text(int code)
{
    if (code == ERR_OK)
        return "no error";
    const struct err_entry *entry = find_code(code);
    return entry ? entry->text : "an unknown error";
}

bool err_is_passing(int code)
{
    return code == ERR_BUSY || code == ERR_AGAIN || code == ERR_UNREACHABLE || code == ERR_TIMEOUT;
}

int err_from_name(const char *name)
{
    if (strcmp(name, "ok") == 0)
        return ERR_OK;
    for (size_t i = 0; i < ERR_COUNT; i++)
        if (strcmp(ERR_TABLE[i].name, name) == 0)
            return ERR_TABLE[i].code;
    return ERR_INTERNAL;
}

/* "where:line:column", leaving out what is empty. */
static void format_place(const struct err *self, char *ret_text, size_t size)
{
    char position[32] = "";
    if (self->line > 0 && self->column > 0)
        snprintf(position, sizeof position, "%u:%u", self->line, self->column);
    else if (self->line > 0)
        snprintf(position, sizeof position, "line %u", self->line);
    else if (self->column > 0)
        snprintf(position, sizeof position, "column %u", self->column);
    const char *separator = self->where[0] && position[0] ? (self->line ? ":" : ", ") : "";
    snprintf(ret_text, size, "%s%s%s", self->where, separator, position);
}

const char *err_format(const struct err *self, char *buffer, size_t size)
{
    if (size == 0)
        return "";
    char place[sizeof self->where + 40];
    format_place(self, place, sizeof place);
    const char *what = self->what[0] ? self->what : err_text(self->code);
    int written = snprintf(buffer, size, "%s%s%s%s%s%s", what, place[0] ? " (" : "", place,
                           place[0] ? ")" : "", self->fix[0] ? ": " : "", self->fix);
    if (written < 0)
        buffer[0] = '\0';
    else if ((size_t)written >= size)
        trim_broken_tail(buffer);
    return buffer;
}
