/* Functions of texts. Lengths and positions count characters (Unicode code points), as in CEL. */
#include "cel/function.h"

#include "base/limits.h"
#include "cel/pattern.h"
#include <string.h>

static struct cell refuse(struct eval *self, struct cell arg)
{
    return fault_new(self, FAULT_ARGUMENT, arg, cell_none());
}

/* Whether both are texts; charges for reading them. */
static bool are_texts(struct eval *self, const struct cell *args)
{
    return args[0].kind == KIND_STRING && args[1].kind == KIND_STRING &&
           eval_charge_bytes(self, text_of(args[0]).size + text_of(args[1]).size);
}

static struct cell refuse_texts(struct eval *self, const struct cell *args)
{
    return refuse(self, args[args[0].kind == KIND_STRING ? 1 : 0]);
}

static size_t count_characters(struct text text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

static size_t step_size(struct text text, size_t at)
{
    size_t end = at + 1;
    while (end < text.size && ((unsigned char)text.data[end] & 0xc0) == 0x80)
        end++;
    return end - at;
}

/* The byte offset of a character; false when the text has fewer characters. */
static bool offset_of(struct text text, int64_t position, size_t *ret_offset)
{
    size_t at = 0;
    for (; position > 0 && at < text.size; position--)
        at += step_size(text, at);
    *ret_offset = at;
    return position == 0;
}

/* memmem, for which the texts may be empty. */
static const char *find(const char *data, size_t size, struct text part)
{
    if (part.size == 0)
        return data;
    if (part.size == 1)
        return memchr(data, part.data[0], size);
    return size < part.size ? NULL : memmem(data, size, part.data, part.size);
}

struct cell text_size(struct eval *self, const struct cell *args, size_t count)
{
    (void)count;
    if (args[0].kind == KIND_LIST || args[0].kind == KIND_MAP)
        return cell_int((int64_t)cell_size(args[0]));
    if (args[0].kind != KIND_STRING)
        return refuse(self, args[0]);
    struct text text = text_of(args[0]);
    return eval_charge_bytes(self, text.size) ? cell_int((int64_t)count_characters(text))
                                              : cell_none();
}

struct cell text_contains(struct eval *self, const struct cell *args, size_t count)
{
    (void)count;
    if (!are_texts(self, args))
        return refuse_texts(self, args);
    struct text text = text_of(args[0]);
    return cell_bool(find(text.data, text.size, text_of(args[1])) != NULL);
}

struct cell text_starts_with(struct eval *self, const struct cell *args, size_t count)
{
    (void)count;
    if (!are_texts(self, args))
        return refuse_texts(self, args);
    struct text text = text_of(args[0]);
    struct text part = text_of(args[1]);
    return cell_bool(part.size <= text.size && memcmp(text.data, part.data, part.size) == 0);
}

struct cell text_ends_with(struct eval *self, const struct cell *args, size_t count)
{
    (void)count;
    if (!are_texts(self, args))
        return refuse_texts(self, args);
    struct text text = text_of(args[0]);
    struct text part = text_of(args[1]);
    return cell_bool(part.size <= text.size &&
                     memcmp(text.data + text.size - part.size, part.data, part.size) == 0);
}

/* --- patterns --------------------------------------------------------------------------------- */

/* Tried with as little work as the text may need first, since few texts need more. */
static struct cell match(struct eval *self, const struct pattern *pattern, struct text text)
{
    size_t work = text.size + 32;
    for (; work <= LIMIT_EXPRESSION_PATTERN_WORK; work *= 4) {
        bool matches = false;
        if (!eval_charge(self, work / 4 * (1 + pattern_weight(pattern) / 32)))
            return cell_none();
        int code = pattern_match(pattern, text.data, text.size, (unsigned)work, &matches);
        if (code == 0)
            return cell_bool(matches);
        if (code != ERR_AGAIN)
            break;
    }
    return eval_end(self, ERR_LIMIT, "the pattern takes too much work on this text",
                    "write it simpler: no repetition within a repetition, such as (a+)+");
}

static struct cell match_new(struct eval *self, struct cell text, struct cell source)
{
    struct text wanted = text_of(source);
    struct text known = self->pattern_text;
    if (self->pattern && known.size == wanted.size &&
        memcmp(known.data, wanted.data, known.size) == 0)
        return match(self, self->pattern, text_of(text));
    struct err *detail = eval_alloc(self, sizeof *detail);
    if (!detail || !eval_charge(self, 100 + 10 * wanted.size))
        return cell_none();
    pattern_destroy(&self->pattern);
    if (pattern_compile(wanted.data, wanted.size, &self->pattern, detail))
        return fault_with(self, FAULT_PATTERN, detail);
    self->pattern_text = wanted;
    return match(self, self->pattern, text_of(text));
}

/* With one argument the pattern is the program's. */
struct cell text_matches(struct eval *self, const struct cell *args, size_t count)
{
    if (count == 1 && args[0].kind == KIND_STRING)
        return match(self, self->program->patterns[self->op->arg], text_of(args[0]));
    if (count == 1)
        return refuse(self, args[0]);
    if (!are_texts(self, args))
        return refuse_texts(self, args);
    return match_new(self, args[0], args[1]);
}

/* --- split, join, replace -----------------------------------------------------------------------
 */

/* Cells that grow in the arena; what they leave behind there is at most as much again. */
struct collection {
    struct cell *cells;
    size_t size;
    size_t capacity;
};

static bool collect(struct eval *self, struct collection *to, const char *data, size_t size)
{
    if (to->size == to->capacity) {
        to->capacity = to->capacity * 2 + 8;
        struct cell *cells = eval_alloc(self, to->capacity * sizeof *cells);
        if (!cells)
            return false;
        if (to->size > 0)
            memcpy(cells, to->cells, to->size * sizeof *cells);
        to->cells = cells;
    }
    to->cells[to->size++] = cell_text(self, data, size);
    return eval_charge(self, 1);
}

/* The end of the first part: before the separator, or behind one character when it is empty. */
static size_t part_end(struct text text, size_t at, struct text separator)
{
    if (separator.size == 0)
        return at < text.size ? at + step_size(text, at) : at;
    const char *found = find(text.data + at, text.size - at, separator);
    return found ? (size_t)(found - text.data) : text.size;
}

static bool split_all(struct eval *self, struct text text, struct text separator, int64_t most,
                      struct collection *to)
{
    for (size_t at = 0;;) {
        size_t end = part_end(text, at, separator);
        bool is_last = end == text.size || (most > 0 && (int64_t)to->size == most - 1);
        if (!collect(self, to, text.data + at, (is_last ? text.size : end) - at))
            return false;
        if (is_last)
            return true;
        at = end + separator.size;
    }
}

struct cell text_split(struct eval *self, const struct cell *args, size_t count)
{
    struct collection parts = {0};
    int64_t most = -1;
    if (!are_texts(self, args))
        return refuse_texts(self, args);
    if (count > 2 && args[2].kind != KIND_INT)
        return refuse(self, args[2]);
    if (count > 2)
        most = args[2].as.integer;
    struct text text = text_of(args[0]);
    struct text separator = text_of(args[1]);
    bool is_nothing = most == 0 || (text.size == 0 && separator.size == 0);
    if (!is_nothing && !split_all(self, text, separator, most, &parts))
        return cell_none();
    return cell_list(self, parts.cells, parts.size);
}

static char *put(char *to, struct text text)
{
    if (text.size > 0)
        memcpy(to, text.data, text.size);
    return to + text.size;
}

struct cell text_join(struct eval *self, const struct cell *args, size_t count)
{
    struct text between = {"", 0};
    size_t size = 0;
    if (args[0].kind != KIND_LIST)
        return refuse(self, args[0]);
    if (count > 1 && args[1].kind != KIND_STRING)
        return refuse(self, args[1]);
    if (count > 1)
        between = text_of(args[1]);
    size_t items = cell_size(args[0]);
    for (size_t i = 0; i < items && eval_charge(self, 1); i++) {
        struct cell item = cell_item(args[0], i);
        if (item.kind != KIND_STRING)
            return refuse(self, item);
        size += text_of(item).size + (i > 0 ? between.size : 0);
    }
    char *joined = eval_alloc(self, size);
    char *end = joined;
    for (size_t i = 0; joined && i < items; i++) {
        if (i > 0)
            end = put(end, between);
        end = put(end, text_of(cell_item(args[0], i)));
    }
    return joined && !self->fatal ? cell_text(self, joined, size) : cell_none();
}

/* The next place to replace at or behind `at`; an empty text stands between all characters. */
static bool next_place(struct text text, struct text old, size_t at, bool is_first, size_t *ret)
{
    if (old.size == 0) {
        if (!is_first && at >= text.size)
            return false;
        *ret = is_first ? at : at + step_size(text, at);
        return true;
    }
    const char *found = find(text.data + at, text.size - at, old);
    *ret = found ? (size_t)(found - text.data) : 0;
    return found != NULL;
}

/* Gives the size; writes the text when `to` is not NULL. */
static size_t replace(struct eval *self, struct text text, const struct text *pair, int64_t most,
                      char *to)
{
    size_t size = 0;
    size_t at = 0;
    size_t place;
    for (int64_t n = 0; n != most && next_place(text, pair[0], at, n == 0, &place); n++) {
        if (!eval_charge(self, 1))
            return 0;
        size += place - at + pair[1].size;
        if (to)
            to = put(put(to, (struct text){text.data + at, place - at}), pair[1]);
        at = place + pair[0].size;
    }
    if (to)
        put(to, (struct text){text.data + at, text.size - at});
    return size + text.size - at;
}

struct cell text_replace(struct eval *self, const struct cell *args, size_t count)
{
    int64_t most = -1;
    if (!are_texts(self, args))
        return refuse_texts(self, args);
    if (args[2].kind != KIND_STRING)
        return refuse(self, args[2]);
    if (count > 3 && args[3].kind != KIND_INT)
        return refuse(self, args[3]);
    if (count > 3)
        most = args[3].as.integer < 0 ? -1 : args[3].as.integer;
    struct text text = text_of(args[0]);
    struct text pair[2] = {text_of(args[1]), text_of(args[2])};
    size_t size = replace(self, text, pair, most, NULL);
    char *replaced = self->fatal ? NULL : eval_alloc(self, size);
    if (!replaced)
        return cell_none();
    (void)replace(self, text, pair, most, replaced);
    return self->fatal ? cell_none() : cell_text(self, replaced, size);
}

/* --- case, space, positions ---------------------------------------------------------------------
 */

static struct cell change_case(struct eval *self, struct cell arg, char first, char last)
{
    if (arg.kind != KIND_STRING)
        return refuse(self, arg);
    struct text text = text_of(arg);
    char *changed = eval_alloc(self, text.size);
    if (!changed)
        return cell_none();
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        changed[i] = c >= first && c <= last ? (char)(c ^ 0x20) : c;
    }
    return cell_text(self, changed, text.size);
}

struct cell text_lower(struct eval *self, const struct cell *args, size_t count)
{
    (void)count;
    return change_case(self, args[0], 'A', 'Z');
}

struct cell text_upper(struct eval *self, const struct cell *args, size_t count)
{
    (void)count;
    return change_case(self, args[0], 'a', 'z');
}

/* Unicode's White_Space, as the specification of trim wants it. */
static bool is_space_at(struct text text, size_t at, size_t size)
{
    static const char *const SPACES[] = {" ",
                                         "\t",
                                         "\n",
                                         "\v",
                                         "\f",
                                         "\r",
                                         "\xc2\x85",
                                         "\xc2\xa0",
                                         "\xe1\x9a\x80",
                                         "\xe2\x80\x80",
                                         "\xe2\x80\x81",
                                         "\xe2\x80\x82",
                                         "\xe2\x80\x83",
                                         "\xe2\x80\x84",
                                         "\xe2\x80\x85",
                                         "\xe2\x80\x86",
                                         "\xe2\x80\x87",
                                         "\xe2\x80\x88",
                                         "\xe2\x80\x89",
                                         "\xe2\x80\x8a",
                                         "\xe2\x80\xa8",
                                         "\xe2\x80\xa9",
                                         "\xe2\x80\xaf",
                                         "\xe2\x81\x9f",
                                         "\xe3\x80\x80"};
    for (size_t i = 0; i < sizeof SPACES / sizeof SPACES[0]; i++)
        if (strlen(SPACES[i]) == size && memcmp(text.data + at, SPACES[i], size) == 0)
            return true;
    return false;
}

static size_t last_step(struct text text)
{
    size_t size = 1;
    while (size < text.size && ((unsigned char)text.data[text.size - size] & 0xc0) == 0x80)
        size++;
    return size;
}

struct cell text_trim(struct eval *self, const struct cell *args, size_t count)
{
    (void)count;
    if (args[0].kind != KIND_STRING)
        return refuse(self, args[0]);
    struct text text = text_of(args[0]);
    if (!eval_charge(self, text.size / 16))
        return cell_none();
    while (text.size > 0 && is_space_at(text, 0, step_size(text, 0))) {
        size_t step = step_size(text, 0);
        text = (struct text){text.data + step, text.size - step};
    }
    while (text.size > 0 && is_space_at(text, text.size - last_step(text), last_step(text)))
        text.size -= last_step(text);
    return cell_text(self, text.data, text.size);
}

static struct cell outside(struct eval *self, struct cell position)
{
    return fault_new(self, FAULT_POSITION, position, cell_none());
}

/* A position within the text, its end included. */
static bool take_position(struct eval *self, struct text text, struct cell position,
                          size_t *ret_offset)
{
    return position.kind == KIND_INT && position.as.integer >= 0 &&
           eval_charge_bytes(self, text.size) && offset_of(text, position.as.integer, ret_offset);
}

struct cell text_char_at(struct eval *self, const struct cell *args, size_t count)
{
    size_t at;
    (void)count;
    if (args[0].kind != KIND_STRING || args[1].kind != KIND_INT)
        return refuse(self, args[args[0].kind == KIND_STRING ? 1 : 0]);
    struct text text = text_of(args[0]);
    if (!take_position(self, text, args[1], &at))
        return outside(self, args[1]);
    return cell_text(self, text.data + at, at < text.size ? step_size(text, at) : 0);
}

struct cell text_index_of(struct eval *self, const struct cell *args, size_t count)
{
    size_t from = 0;
    if (!are_texts(self, args))
        return refuse_texts(self, args);
    struct text text = text_of(args[0]);
    if (count > 2 && args[2].kind != KIND_INT)
        return refuse(self, args[2]);
    if (count > 2 && !take_position(self, text, args[2], &from))
        return outside(self, args[2]);
    const char *found = find(text.data + from, text.size - from, text_of(args[1]));
    if (!found)
        return cell_int(-1);
    text.size = (size_t)(found - text.data);
    return cell_int((int64_t)count_characters(text));
}

struct cell text_last_index_of(struct eval *self, const struct cell *args, size_t count)
{
    if (!are_texts(self, args))
        return refuse_texts(self, args);
    struct text text = text_of(args[0]);
    struct text part = text_of(args[1]);
    size_t most = text.size;
    if (count > 2 && args[2].kind != KIND_INT)
        return refuse(self, args[2]);
    if (count > 2 && !take_position(self, text, args[2], &most))
        return outside(self, args[2]);
    if (part.size > text.size)
        return cell_int(-1);
    if (most > text.size - part.size)
        most = text.size - part.size;
    for (size_t at = most + 1; at-- > 0;) {
        if (!eval_charge(self, 1 + part.size / 128))
            return cell_none();
        if (memcmp(text.data + at, part.data, part.size) == 0 && !self->fatal) {
            text.size = at;
            return cell_int((int64_t)count_characters(text));
        }
    }
    return cell_int(-1);
}

struct cell text_substring(struct eval *self, const struct cell *args, size_t count)
{
    size_t from = 0;
    if (args[0].kind != KIND_STRING)
        return refuse(self, args[0]);
    struct text text = text_of(args[0]);
    size_t to = text.size;
    for (size_t i = 1; i < count; i++) {
        if (args[i].kind != KIND_INT)
            return refuse(self, args[i]);
        if (!take_position(self, text, args[i], i == 1 ? &from : &to))
            return outside(self, args[i]);
    }
    if (from > to)
        return outside(self, args[1]);
    return cell_text(self, text.data + from, to - from);
}
