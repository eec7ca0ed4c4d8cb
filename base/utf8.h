/* UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above U+10FFFF. Pure. */
#ifndef AF_BASE_UTF8_H
#define AF_BASE_UTF8_H

#include "base/buf.h"

bool utf8_valid(const void *text, size_t size);
/* Appends text with every byte that is not part of valid UTF-8 replaced by U+FFFD: for what a
 * program wrote, which may be anything. */
void utf8_append_lossy(struct buf *out, const void *text, size_t size);
/* The largest size up to `size` that doesn't cut a sequence in two. */
size_t utf8_cut(const char *text, size_t size);

#endif
