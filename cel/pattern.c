#define PCRE2_CODE_UNIT_WIDTH 8
#include "cel/pattern.h"

#include "base/buf.h"
#include "base/limits.h"
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define MOST_REPEATS 1000 /* as in RE2; those within each other multiply, those in a row add up */
#define MOST_DEPTH   249  /* of groups; the engine takes one more, which stands around all */

struct pattern {
    pcre2_code *code;
    pcre2_match_context *context;
    pcre2_match_data *data;
    size_t weight;
};

/* RE2 matches "$" at the very end alone. Without NO_AUTO_POSSESS a repetition may run over the text
 * without being counted as work. */
static const uint32_t OPTIONS = PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY |
                                PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_POSSESS;

/* --- what RE2 doesn't have ----------------------------------------------------------------------
 */

/* What a part of the pattern comes to when its {n} are written out, as the engine does with groups.
 * The engine doesn't count these as work: {n} is bounded, and work charged by the weight. */
struct cost {
    size_t weight;  /* characters and classes */
    size_t repeats; /* of {n} alone */
};

struct group {
    struct cost before; /* of what stands before the last item */
    struct cost last;   /* of the item that a {n} would repeat */
};

struct scan {
    const char *text;
    size_t size;
    size_t at;
    size_t depth;
    bool is_large;                       /* repeats more than it may */
    bool is_deep;                        /* has more groups within each other than it may */
    struct group groups[MOST_DEPTH + 1]; /* that are open; the first is the pattern */
};

static void begin_item(struct scan *self, size_t weight)
{
    struct group *group = &self->groups[self->depth];
    group->before.weight += group->last.weight;
    group->before.repeats += group->last.repeats;
    group->last = (struct cost){.weight = weight};
}

static bool open_group(struct scan *self)
{
    begin_item(self, 0);
    self->is_deep = self->depth == MOST_DEPTH;
    if (!self->is_deep)
        self->groups[++self->depth] = (struct group){0};
    return !self->is_deep;
}

/* One that was not opened is left for the engine to refuse. */
static void close_group(struct scan *self)
{
    self->at++;
    begin_item(self, 0);
    if (self->depth == 0)
        return;
    struct cost whole = self->groups[self->depth].before;
    self->groups[--self->depth].last = whole;
}

/* False past the bound, before the numbers can grow out of their range. */
static bool repeat_item(struct scan *self, size_t count)
{
    struct cost *last = &self->groups[self->depth].last;
    last->weight *= count > 0 ? count : 1;
    last->repeats = (last->repeats > 0 ? last->repeats : 1) * (count > 0 ? count : 1);
    self->is_large = last->repeats > MOST_REPEATS;
    return !self->is_large;
}

static char peek(const struct scan *self, size_t ahead)
{
    return self->at + ahead < self->size ? self->text[self->at + ahead] : '\0';
}

static bool is_one_of(char c, const char *characters)
{
    return c && strchr(characters, c);
}

/* At the text of \Q, in which no character has a meaning. An empty one is nothing at all, so that
 * a "+" behind it would count for what stands before it: a+\Q\E+ is a++. */
static bool take_quotation(struct scan *self)
{
    size_t start = self->at;
    while (self->at < self->size && !(peek(self, 0) == '\\' && peek(self, 1) == 'E'))
        self->at++;
    bool is_empty = self->at == start;
    if (!is_empty) {
        begin_item(self, self->at - start - 1);
        begin_item(self, 1);
    }
    self->at += 2;
    return !(is_empty && peek(self, 0) == '+');
}

/* At a backslash. False: what follows would make a match depend on more than the place in the text,
 * or is an escape that RE2 doesn't have. */
static bool take_escape(struct scan *self)
{
    char c = peek(self, 1);
    if (is_one_of(c, "123456789gkKGXRCNHhVZocE"))
        return false;
    self->at += 2;
    if (c == 'Q')
        return take_quotation(self);
    begin_item(self, 1);
    if (is_one_of(c, "xpP") && peek(self, 0) == '{') {
        while (self->at < self->size && peek(self, 0) != '}')
            self->at++;
        self->at++;
    }
    return true;
}

/* How long a name such as [:alpha:] or [:^alpha:] is; 0: a bracket like any character, as "[:" is
 * where no name follows. */
static size_t name_size(const struct scan *self)
{
    if (peek(self, 0) != '[' || peek(self, 1) != ':')
        return 0;
    size_t size = peek(self, 2) == '^' ? 3 : 2;
    while ((peek(self, size) >= 'a' && peek(self, size) <= 'z') ||
           (peek(self, size) >= 'A' && peek(self, size) <= 'Z'))
        size++;
    return peek(self, size) == ':' && peek(self, size + 1) == ']' ? size + 2 : 0;
}

/* At a "[". The class must end here where it ends for PCRE2: what is taken for a part of it is not
 * looked at. So it has no \Q, nor an escape that takes the character behind it, as \c does. */
static bool take_class(struct scan *self)
{
    begin_item(self, 1);
    self->at += peek(self, 1) == '^' ? 2 : 1;
    self->at += peek(self, 0) == ']' ? 1 : 0;
    while (self->at < self->size && peek(self, 0) != ']') {
        size_t name = name_size(self);
        bool is_escape = peek(self, 0) == '\\';
        if (is_escape && is_one_of(peek(self, 1), "gkKGXRCNHhVZocQE"))
            return false;
        self->at += name ? name : is_escape ? 2 : 1;
    }
    self->at++;
    return true;
}

/* At a "(": a group, named or with flags, but no condition, assertion, recursion or verb. */
static bool take_group(struct scan *self)
{
    if (!open_group(self))
        return false;
    self->at++;
    if (peek(self, 0) != '?')
        return peek(self, 0) != '*';
    self->at++;
    if (peek(self, 0) == 'P' && peek(self, 1) != '<')
        return false;
    if (peek(self, 0) == 'P' || peek(self, 0) == '<')
        return !is_one_of(peek(self, 1), "=!");
    while (is_one_of(peek(self, 0), "imsU-"))
        self->at++;
    return is_one_of(peek(self, 0), ":)");
}

/* At the number of a quantifier. A brace that begins none is a character like any other, but what
 * looks like a number within it is taken for one: other versions of the engine read it as such. */
static bool take_number(struct scan *self)
{
    size_t number = 0, largest = 0;
    size_t start = self->at++;
    while (is_one_of(peek(self, 0), "0123456789, \t") && number <= MOST_REPEATS) {
        char c = peek(self, 0);
        if (c == ',')
            number = 0;
        else if (c >= '0' && c <= '9')
            number = number * 10 + (size_t)(c - '0');
        largest = number > largest ? number : largest;
        self->at++;
    }
    if (peek(self, 0) == '}' || number > MOST_REPEATS)
        return repeat_item(self, largest);
    self->at = start;
    begin_item(self, 1);
    return true;
}

/* At a quantifier; one with a "+" behind it never gives back what it took. */
static bool take_quantifier(struct scan *self)
{
    if (peek(self, 0) == '{' && !take_number(self))
        return false;
    bool is_character = peek(self, 0) == '{';
    self->at++;
    return is_character || peek(self, 0) != '+';
}

static void take_character(struct scan *self)
{
    begin_item(self, 1);
    self->at++;
}

static bool scan_all(struct scan *self)
{
    while (self->at < self->size) {
        char c = peek(self, 0);
        bool is_good = true;
        if (c == '\\')
            is_good = take_escape(self);
        else if (c == '[')
            is_good = take_class(self);
        else if (c == '(')
            is_good = take_group(self);
        else if (is_one_of(c, "*+?{"))
            is_good = take_quantifier(self);
        else if (c == ')')
            close_group(self);
        else
            take_character(self);
        if (!is_good)
            return false;
    }
    return true;
}

static int refuse_scan(const struct scan *scan, struct err *err)
{
    if (scan->is_deep) {
        err_set(err, ERR_INVALID, "the pattern has more than %d groups within each other",
                MOST_DEPTH);
        err_fix(err, "flatten it");
    } else if (scan->is_large) {
        err_set(err, ERR_INVALID, "the pattern repeats more than %d times", MOST_REPEATS);
        err_fix(err, "write smaller numbers in {n}, which multiply within each other, or x* for "
                     "any number");
    } else {
        err_set(err, ERR_INVALID, "the pattern has at its byte %zu what the syntax of RE2 lacks",
                scan->at);
        err_fix(err,
                "do without references back, assertions such as (?=x), and a+ that keeps (a++)");
    }
    return ERR_INVALID;
}

static int check(const char *text, size_t size, size_t *ret_weight, struct err *err)
{
    struct scan scan = {.text = text, .size = size};
    if (size > LIMIT_EXPRESSION_PATTERN_BYTES) {
        err_set(err, ERR_INVALID, "the pattern has %zu bytes, more than %u", size,
                LIMIT_EXPRESSION_PATTERN_BYTES);
        err_fix(err, "shorten it");
        return ERR_INVALID;
    }
    if (!scan_all(&scan))
        return refuse_scan(&scan, err);
    while (scan.depth > 0) /* left open: for the engine to refuse */
        close_group(&scan);
    begin_item(&scan, 0);
    struct cost whole = scan.groups[0].before;
    scan.is_large = whole.repeats > MOST_REPEATS;
    if (scan.is_large)
        return refuse_scan(&scan, err);
    *ret_weight = whole.weight > size ? whole.weight : size;
    return 0;
}

/* --- compiling and matching ---------------------------------------------------------------------
 */

static pcre2_code *compile(const char *text, size_t size, uint32_t options, struct err *err)
{
    int error = 0;
    size_t offset = 0;
    unsigned char message[120] = "";
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)(size ? text : ""), size, options, &error, &offset, NULL);
    if (code)
        return code;
    pcre2_get_error_message(error, message, sizeof message);
    err_set(err, ERR_INVALID, "the pattern is not valid at its byte %zu: %s", offset,
            (char *)message);
    err_fix(err, "mend it; write r'…' so that backslashes stand as they are");
    return NULL;
}

/* Matched at one place alone, with all that may stand before it as a part of the pattern: the
 * engine's count of work begins anew at each place where it starts. */
static pcre2_code *compile_whole(const char *text, size_t size, struct err *err)
{
    struct buf whole = {0};
    pcre2_code *code = compile(text, size, OPTIONS, err);
    if (!code)
        return NULL;
    pcre2_code_free(code);
    buf_puts(&whole, "(?s:.*?)(?:");
    buf_append(&whole, text, size);
    buf_puts(&whole, "\\E)");
    code = compile(buf_string(&whole), whole.size, OPTIONS | PCRE2_ANCHORED, err);
    buf_release(&whole);
    return code;
}

int pattern_compile(const char *text, size_t size, struct pattern **ret_pattern, struct err *err)
{
    size_t weight;
    int error = check(text, size, &weight, err);
    pcre2_code *code = error ? NULL : compile_whole(text, size, err);
    if (!code)
        return ERR_INVALID;
    struct pattern *self = xcalloc(1, sizeof *self);
    self->code = code;
    self->context = pcre2_match_context_create(NULL);
    self->data = pcre2_match_data_create(1, NULL);
    self->weight = weight;
    CHECK(self->context && self->data);
    pcre2_set_heap_limit(self->context, LIMIT_EXPRESSION_PATTERN_KIB);
    *ret_pattern = self;
    return 0;
}

void pattern_destroy(struct pattern **self_p)
{
    struct pattern *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    pcre2_match_data_free(self->data);
    pcre2_match_context_free(self->context);
    pcre2_code_free(self->code);
    free(self);
}

size_t pattern_weight(const struct pattern *self)
{
    return self->weight;
}

int pattern_match(const struct pattern *self, const char *text, size_t size, unsigned work,
                  bool *ret_matches)
{
    pcre2_set_match_limit(self->context, work);
    int found = pcre2_match(self->code, (PCRE2_SPTR)text, size, 0, PCRE2_NO_UTF_CHECK, self->data,
                            self->context);
    *ret_matches = found >= 0;
    if (found >= 0 || found == PCRE2_ERROR_NOMATCH)
        return 0;
    return found == PCRE2_ERROR_MATCHLIMIT ? ERR_AGAIN : ERR_LIMIT;
}
