#include "tools/text.h"

#include <string.h>

/* --- characters ------------------------------------------------------------------------------- */

/* What stands at `at`, in valid UTF-8; *ret_size: its bytes. */
static uint32_t character(const char *at, const char *end, size_t *ret_size)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned char first = (unsigned char)*at;
    size_t size = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (size > (size_t)(end - at))
        size = (size_t)(end - at);
    uint32_t point = first & masks[size];
    for (size_t i = 1; i < size; i++)
        point = point << 6 | ((unsigned char)at[i] & 0x3f);
    *ret_size = size;
    return point;
}

struct range {
    uint32_t first, last;
};

/* Not shown, or that would change how the rest of the line is shown. */
static const struct range CONTROLS[] = {
    {0x00, 0x20}, {0x7f, 0xa0}, {0x2028, 0x202e}, {0x2066, 0x2069}, {0xfff9, 0xfffb}};

/* Marks, joiners and selectors: the scripts that this program is likely to meet. */
static const struct range MARKS[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489},  {0x0591, 0x05bd}, {0x0610, 0x061a}, {0x064b, 0x065f},
    {0x0e31, 0x0e31}, {0x0e34, 0x0e3a},  {0x0e47, 0x0e4e}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},
    {0x200b, 0x200f}, {0x2060, 0x2064},  {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
    {0xfeff, 0xfeff}, {0xe0100, 0xe01ef}};

static const struct range WIDE[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x23e9, 0x23ec},   {0x25fd, 0x25fe},
    {0x2614, 0x2615},   {0x2648, 0x2653},   {0x26aa, 0x26ab},   {0x2705, 0x2705},
    {0x274c, 0x274c},   {0x2753, 0x2755},   {0x2757, 0x2757},   {0x2795, 0x2797},
    {0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},
    {0xa960, 0xa97f},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
    {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff},
    {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd}};

static bool within(uint32_t point, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count && point >= ranges[i].first; i++)
        if (point <= ranges[i].last)
            return true;
    return false;
}
#define WITHIN(point, ranges) within(point, ranges, sizeof(ranges) / sizeof *(ranges))

static size_t columns(uint32_t point)
{
    if (point < 0x300)
        return 1;
    return WITHIN(point, MARKS) ? 0 : WITHIN(point, WIDE) ? 2 : 1;
}

size_t text_width(const char *text, size_t size)
{
    size_t width = 0;
    size_t step;
    for (const char *at = text; at < text + size; at += step)
        width += columns(character(at, text + size, &step));
    return width;
}

/* --- excerpts --------------------------------------------------------------------------------- */

#define ELLIPSIS "…"

static void shorten(struct buf *out, size_t size)
{
    out->size = size;
    buf_puts(out, ELLIPSIS);
}

void text_excerpt(struct buf *out, const char *text, size_t size, size_t width)
{
    size_t begin = out->size,
           fits = out->size; /* fits: up to where there is room for the ellipsis */
    size_t used = 0;
    size_t step;
    bool blank = false;
    for (const char *at = text; at < text + size; at += step) {
        uint32_t point = character(at, text + size, &step);
        if (WITHIN(point, CONTROLS)) {
            blank = out->size > begin;
            continue;
        }
        used += columns(point) + blank;
        if (used > width) {
            shorten(out, fits);
            return;
        }
        if (blank)
            buf_putc(out, ' ');
        buf_append(out, at, step);
        blank = false;
        if (used < width)
            fits = out->size;
    }
}

/* --- whole texts ------------------------------------------------------------------------------ */

/* Those that a terminal obeys: of ASCII, and their extension to eight bits. */
static bool is_obeyed(uint32_t point)
{
    return (point < 0x20 && point != '\n' && point != '\t') || (point >= 0x7f && point < 0xa0);
}

static void show(struct buf *out, const char *text, size_t size, bool json)
{
    const char *whole = text; /* what needs no change is appended whole */
    size_t step;
    for (const char *at = text; at < text + size; at += step) {
        uint32_t point = character(at, text + size, &step);
        if (!is_obeyed(point))
            continue;
        buf_append(out, whole, (size_t)(at - whole));
        whole = at + step;
        if (json)
            buf_printf(out, "\\u%04x", (unsigned)point);
        else
            buf_puts(out, "\xef\xbf\xbd");
    }
    buf_append(out, whole, (size_t)(text + size - whole));
}

void text_shown(struct buf *out, const char *text, size_t size)
{
    show(out, text, size, false);
}

void text_shown_json(struct buf *out, const char *json, size_t size)
{
    show(out, json, size, true);
}

void text_message(struct buf *out, const value_t *message, size_t width)
{
    const value_t *said = value_get(message, "message");
    if (said && value_get(message, "context") && value_size(message) == 2)
        message = said;
    if (!message || value_type(message) == VALUE_NULL)
        return;
    if (value_get(message, "$blob")) {
        buf_printf(out, "(%lld bytes)", (long long)value_get_int(message, "size", 0));
    } else if (value_type(message) == VALUE_STRING) {
        buf_puts(out, "“");
        text_excerpt(out, value_as_string(message), value_size(message), width > 2 ? width - 2 : 0);
        buf_puts(out, "”");
    } else {
        struct buf json = {0};
        value_to_json(message, VALUE_JSON_COMPACT, &json);
        text_excerpt(out, buf_string(&json), json.size, width);
        buf_release(&json);
    }
}

/* --- numbers ---------------------------------------------------------------------------------- */

void text_money(struct buf *out, int64_t microusd)
{
    int decimals = microusd % 10000 == 0 ? 2 : microusd % 100 == 0 ? 4 : 6;
    buf_printf(out, "$%.*f", decimals, (double)microusd / 1e6);
}

void text_count(struct buf *out, int64_t count, const char *one)
{
    buf_printf(out, "%lld %s%s", (long long)count, one, count == 1 ? "" : "s");
}

int64_t text_tokens(const value_t *tokens)
{
    if (tokens && value_type(tokens) == VALUE_INT)
        return value_as_int(tokens);
    return value_get_int(tokens, "input", 0) + value_get_int(tokens, "output", 0);
}
