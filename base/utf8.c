#include "base/utf8.h"

#include <string.h>

/* The size of the valid sequence at the start, 0 if there is none. */
static size_t sequence_size(const uint8_t *text, size_t left)
{
    uint8_t lead = text[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (left < size)
        return 0;
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

/* The number of valid bytes at the start; most texts are ASCII, taken eight bytes at a time. */
static size_t valid_prefix(const uint8_t *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        uint64_t word;
        if (size - at >= sizeof word) {
            memcpy(&word, text + at, sizeof word);
            if (!(word & UINT64_C(0x8080808080808080))) {
                at += sizeof word;
                continue;
            }
        }
        size_t taken = sequence_size(text + at, size - at);
        if (taken == 0)
            break;
        at += taken;
    }
    return at;
}

bool utf8_valid(const void *text, size_t size)
{
    return valid_prefix(text, size) == size;
}

void utf8_append_lossy(struct buf *out, const void *text, size_t size)
{
    const uint8_t *rest = text;
    for (size_t left = size; left > 0;) {
        size_t valid = valid_prefix(rest, left);
        buf_append(out, rest, valid);
        if (valid == left)
            return;
        buf_puts(out, "\xef\xbf\xbd");
        rest += valid + 1;
        left -= valid + 1;
    }
}

size_t utf8_cut(const char *text, size_t size)
{
    size_t start = size;
    while (start > 0 && size - start < 4) {
        start--;
        if (((uint8_t)text[start] & 0xc0) != 0x80)
            return sequence_size((const uint8_t *)text + start, size - start) ? size : start;
    }
    return size;
}
