#include "schedule/zone.h"

#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIRECTORY    "/usr/share/zoneinfo/"
#define HEADER_BYTES 44
#define COUNT_MAX    100000 /* of anything in a file */
#define OFFSET_MAX   (26 * 3600)

struct zone {
    size_t changes_count;
    int64_t *changes_s; /* UTC, in order */
    int32_t *offsets;   /* from each of them on */
    int32_t first;      /* before the first */
    bool has_rule;      /* after the last */
    struct zone_rule rule;
};

void zone_destroy(zone_t **self_p)
{
    struct zone *self = *self_p;
    if (!self)
        return;
    free(self->changes_s);
    free(self->offsets);
    free(self);
    *self_p = NULL;
}

/* --- files ------------------------------------------------------------------------------------ */

struct header {
    char version;
    uint32_t utc_count, wall_count, leap_count, time_count, type_count, text_bytes;
};

static uint32_t read_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int64_t read_time(const uint8_t *at, size_t size)
{
    if (size == 4)
        return (int32_t)read_u32(at);
    return (int64_t)((uint64_t)read_u32(at) << 32 | read_u32(at + 4));
}

static int malformed(struct err *err)
{
    return err_set(err, ERR_MALFORMED, "the file of the time zone can't be read");
}

static bool read_header(struct bytes file, size_t at, struct header *ret_header)
{
    if (at + HEADER_BYTES > file.size || memcmp(file.data + at, "TZif", 4) != 0)
        return false;
    const uint8_t *counts = file.data + at + 20;
    *ret_header = (struct header){.version = (char)file.data[at + 4],
                                  .utc_count = read_u32(counts),
                                  .wall_count = read_u32(counts + 4),
                                  .leap_count = read_u32(counts + 8),
                                  .time_count = read_u32(counts + 12),
                                  .type_count = read_u32(counts + 16),
                                  .text_bytes = read_u32(counts + 20)};
    for (size_t i = 0; i < 6; i++)
        if (read_u32(counts + 4 * i) > COUNT_MAX)
            return false;
    return ret_header->type_count > 0;
}

/* What follows a header, where times have so many bytes. */
static size_t block_size(const struct header *header, size_t time_bytes)
{
    return header->time_count * (time_bytes + 1) + header->type_count * (size_t)6 +
           header->text_bytes + header->leap_count * (time_bytes + 4) + header->wall_count +
           header->utc_count;
}

static bool read_block(struct zone *self, struct bytes file, size_t at, const struct header *header,
                       size_t time_bytes)
{
    const uint8_t *times = file.data + at;
    const uint8_t *indexes = times + header->time_count * time_bytes;
    const uint8_t *types = indexes + header->time_count;
    self->changes_count = header->time_count;
    self->changes_s = xcalloc(header->time_count + 1, sizeof *self->changes_s);
    self->offsets = xcalloc(header->time_count + 1, sizeof *self->offsets);
    self->first = (int32_t)read_u32(types);
    for (size_t i = 0; i < header->time_count; i++) {
        if (indexes[i] >= header->type_count)
            return false;
        self->changes_s[i] = read_time(times + i * time_bytes, time_bytes);
        self->offsets[i] = (int32_t)read_u32(types + 6 * (size_t)indexes[i]);
        if (self->offsets[i] < -OFFSET_MAX || self->offsets[i] > OFFSET_MAX ||
            (i > 0 && self->changes_s[i] <= self->changes_s[i - 1]))
            return false;
    }
    return self->first >= -OFFSET_MAX && self->first <= OFFSET_MAX;
}

/* NEWLINE rule NEWLINE; the rule may be empty. */
static int read_rule(struct zone *self, struct bytes file, size_t at, struct err *err)
{
    char text[128];
    const uint8_t *begin = file.data + at;
    const uint8_t *end =
        at < file.size && *begin == '\n' ? memchr(begin + 1, '\n', file.size - at - 1) : NULL;
    if (!end || (size_t)(end - begin) > sizeof text)
        return malformed(err);
    size_t size = (size_t)(end - begin) - 1;
    memcpy(text, begin + 1, size);
    text[size] = '\0';
    self->has_rule = size > 0;
    return size > 0 ? zone_rule_parse(text, &self->rule, err) : 0;
}

/* Files of version 2 and later begin with the same in 32 bits, for older programs. */
static int read_file(struct zone *self, struct bytes file, struct err *err)
{
    struct header header;
    size_t at = HEADER_BYTES, time_bytes = 4;
    if (!read_header(file, 0, &header))
        return malformed(err);
    if (header.version >= '2') {
        time_bytes = 8;
        at += block_size(&header, 4);
        if (!read_header(file, at, &header))
            return malformed(err);
        at += HEADER_BYTES;
    }
    if (header.leap_count > 0)
        return err_set(err, ERR_MALFORMED, "the file of the time zone counts leap seconds");
    size_t size = block_size(&header, time_bytes);
    if (at + size > file.size || !read_block(self, file, at, &header, time_bytes))
        return malformed(err);
    return time_bytes == 8 ? read_rule(self, file, at + size, err) : 0;
}

int zone_parse(struct bytes file, zone_t **ret_zone, struct err *err)
{
    struct zone *self = xcalloc(1, sizeof *self);
    int code = read_file(self, file, err);
    if (code)
        zone_destroy(&self);
    else
        *ret_zone = self;
    return code;
}

/* --- names ------------------------------------------------------------------------------------ */

/* Parts of letters, digits, _, + and -, with / between, each beginning with a letter: no way out of
 * the directory. */
static bool is_name(const char *name)
{
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char OTHERS[] = "0123456789_+-/";
    if (strlen(name) > LIMIT_NAME_BYTES)
        return false;
    for (size_t i = 0; name[i]; i++) {
        bool begins = i == 0 || name[i - 1] == '/';
        if (!strchr(LETTERS, name[i]) && (begins || !strchr(OTHERS, name[i])))
            return false;
    }
    return *name != '\0' && name[strlen(name) - 1] != '/';
}

static int not_found(const char *name, struct err *err)
{
    int code = err_set(err, ERR_NOT_FOUND, "there is no time zone \"%.64s\" on this machine", name);
    err_fix(err, "write one of the IANA database, such as Europe/Berlin or UTC; the package tzdata "
                 "has them");
    return code;
}

static int read_all(int fd, struct buf *out)
{
    uint8_t part[4096];
    ssize_t size;
    while ((size = read(fd, part, sizeof part)) != 0) {
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 || out->size + (size_t)size > LIMIT_ZONE_BYTES)
            return ERR_IO;
        buf_append(out, part, (size_t)size);
    }
    return 0;
}

int zone_open(const char *name, zone_t **ret_zone, struct err *err)
{
    struct buf path = {0}, file = {0};
    if (!is_name(name)) {
        int code = err_set(err, ERR_INVALID, "\"%.64s\" is no name of a time zone", name);
        err_fix(err, "write one such as Europe/Berlin or UTC");
        return code;
    }
    if (strcmp(name, "UTC") == 0) {
        *ret_zone = xcalloc(1, sizeof **ret_zone);
        return 0;
    }
    buf_printf(&path, "%s%s", DIRECTORY, name);
    int fd = open(buf_string(&path), O_RDONLY | O_CLOEXEC);
    int code = fd < 0 || read_all(fd, &file) ? not_found(name, err)
                                             : zone_parse(buf_bytes(&file), ret_zone, err);
    if (fd >= 0)
        (void)close(fd);
    if (code == ERR_MALFORMED)
        err_where(err, "%s", buf_string(&path));
    buf_release(&path);
    buf_release(&file);
    return code;
}

/* --- asking ----------------------------------------------------------------------------------- */

int32_t zone_offset(const zone_t *self, int64_t utc_s)
{
    size_t low = 0, high = self->changes_count; /* the first change after utc_s */
    if (self->has_rule && (high == 0 || utc_s >= self->changes_s[high - 1]))
        return zone_rule_offset(&self->rule, utc_s);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->changes_s[middle] <= utc_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? self->first : self->offsets[low - 1];
}

/* The first moment after `low` with another offset; there is one, not after `high`. */
static int64_t change_between(const zone_t *self, int64_t low, int64_t high)
{
    int32_t before = zone_offset(self, low);
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (zone_offset(self, middle) == before)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* Offsets well before and well after are those that the time may be in: zones don't change twice
 * within so few days. */
int64_t zone_utc(const zone_t *self, int64_t local_s, bool last)
{
    int32_t before = zone_offset(self, local_s - OFFSET_MAX);
    int32_t after = zone_offset(self, local_s + OFFSET_MAX);
    int64_t early = local_s - before, late = local_s - after;
    if (before == after)
        return early;
    bool is_early = zone_offset(self, early) == before;
    bool is_late = zone_offset(self, late) == after;
    if (is_early && is_late)
        return (early < late) == last ? late : early;
    if (is_early || is_late)
        return is_early ? early : late;
    return change_between(self, late, early);
}
