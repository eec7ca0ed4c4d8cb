/* JSON (RFC 8259) as a tree with places. libyaml reads most JSON, but neither surrogate pairs nor
 * long keys nor a colon on the next line, all of which other programs' JSON may hold. */
#include "definitions/tree.h"

#include "base/limits.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>

struct json {
    struct tree *tree;
    const char *text;
    size_t size;
    size_t at;
    size_t line_at; /* where the line begins */
    size_t extra;   /* bytes since then that are no characters of their own */
    unsigned line;
    unsigned depth;
    size_t values;
    struct buf scratch;
};

static struct node *read_value(struct json *self);

static char peek(const struct json *self)
{
    return self->at < self->size ? self->text[self->at] : '\0';
}

static struct place here(const struct json *self)
{
    size_t characters = self->at - self->line_at - self->extra;
    return (struct place){.line = self->line, .column = (unsigned)characters + 1};
}

static void skip_blanks(struct json *self)
{
    for (; self->at < self->size; self->at++) {
        char c = self->text[self->at];
        if (c == '\n') {
            self->line++;
            self->line_at = self->at + 1;
            self->extra = 0;
        } else if (c != ' ' && c != '\t' && c != '\r') {
            return;
        }
    }
}

static bool take(struct json *self, char c)
{
    skip_blanks(self);
    if (peek(self) != c)
        return false;
    self->at++;
    return true;
}

static int hex4(const char *text)
{
    int code = 0;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = text[i] ? strchr(digits, text[i] | 0x20) : NULL;
        if (!digit)
            return -1;
        code = code * 16 + (int)(digit - digits);
    }
    return code;
}

static void put_utf8(struct buf *out, unsigned code)
{
    if (code < 0x80) {
        buf_putc(out, (char)code);
        return;
    }
    if (code < 0x800) {
        buf_putc(out, (char)(0xc0 | code >> 6));
    } else if (code < 0x10000) {
        buf_putc(out, (char)(0xe0 | code >> 12));
        buf_putc(out, (char)(0x80 | (code >> 6 & 0x3f)));
    } else {
        buf_putc(out, (char)(0xf0 | code >> 18));
        buf_putc(out, (char)(0x80 | (code >> 12 & 0x3f)));
        buf_putc(out, (char)(0x80 | (code >> 6 & 0x3f)));
    }
    buf_putc(out, (char)(0x80 | (code & 0x3f)));
}

/* After "\u": four digits, or eight of a pair. */
static bool read_unicode(struct json *self)
{
    if (self->size - self->at < 4)
        return false;
    int high = hex4(self->text + self->at);
    self->at += 4;
    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
        return false;
    unsigned code = (unsigned)high;
    if (high >= 0xd800 && high <= 0xdbff) {
        if (self->size - self->at < 6 || memcmp(self->text + self->at, "\\u", 2) != 0)
            return false;
        int low = hex4(self->text + self->at + 2);
        self->at += 6;
        if (low < 0xdc00 || low > 0xdfff)
            return false;
        code = 0x10000 + (((unsigned)high - 0xd800) << 10) + ((unsigned)low - 0xdc00);
    }
    put_utf8(&self->scratch, code);
    return true;
}

static bool read_escape(struct json *self)
{
    static const char NAMES[] = "\"\\/bfnrt";
    static const char MEANT[] = "\"\\/\b\f\n\r\t";
    char c = peek(self);
    self->at++;
    if (c == 'u')
        return read_unicode(self);
    const char *name = c ? strchr(NAMES, c) : NULL;
    if (!name)
        return false;
    buf_putc(&self->scratch, MEANT[name - NAMES]);
    return true;
}

static struct node *read_string(struct json *self)
{
    struct node *node = tree_node(self->tree, NODE_TEXT, here(self), self->at);
    node->style = STYLE_DOUBLE;
    buf_clear(&self->scratch);
    for (self->at++;;) {
        unsigned char c = (unsigned char)peek(self);
        if (c < 0x20) /* the end of the text included */
            return NULL;
        self->at++;
        self->extra += (c & 0xc0) == 0x80;
        if (c == '"')
            break;
        if (c != '\\')
            buf_putc(&self->scratch, (char)c);
        else if (!read_escape(self))
            return NULL;
    }
    struct buf *scratch = &self->scratch;
    node->size = (uint32_t)scratch->size;
    node->text = arena_strndup(&self->tree->arena, buf_string(scratch), scratch->size);
    if (scratch->size > 0 && memchr(scratch->data, '\0', scratch->size)) {
        node->kind = NODE_BAD;
        node->flaw = FLAW_NUL;
    }
    return node;
}

static bool is_json_number(const char *text)
{
    const char *at = text + (*text == '-');
    size_t whole = strspn(at, "0123456789");
    if (whole == 0 || (whole > 1 && *at == '0'))
        return false;
    at += whole;
    if (*at == '.') {
        size_t fraction = strspn(at + 1, "0123456789");
        if (fraction == 0)
            return false;
        at += 1 + fraction;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '-' || *at == '+';
        size_t exponent = strspn(at, "0123456789");
        if (exponent == 0)
            return false;
        at += exponent;
    }
    return *at == '\0';
}

/* true, false, null and numbers: a run of letters, digits and signs. */
static struct node *read_word(struct json *self)
{
    struct node *node = tree_node(self->tree, NODE_TEXT, here(self), self->at);
    size_t begin = self->at;
    while (peek(self) && strchr("0123456789+-.eEtrufalsn", peek(self)))
        self->at++;
    node->size = (uint32_t)(self->at - begin);
    node->text = arena_strndup(&self->tree->arena, self->text + begin, node->size);
    bool is_literal = strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0 ||
                      strcmp(node->text, "null") == 0;
    if (!is_literal && !is_json_number(node->text))
        return NULL;
    node_resolve(node);
    return node;
}

/* One member or item, linked behind *last_p. */
static bool read_child(struct json *self, struct node *parent, struct node **last_p)
{
    struct node *key = NULL;
    skip_blanks(self);
    if (parent->kind == NODE_MAP) {
        key = peek(self) == '"' ? read_string(self) : NULL;
        if (!key || !take(self, ':'))
            return false;
    }
    struct node *node = read_value(self);
    if (!node)
        return false;
    node->key = key;
    if (*last_p)
        (*last_p)->next = node;
    else
        parent->first = node;
    *last_p = node;
    parent->size++;
    return true;
}

static struct node *read_children(struct json *self, enum node_kind kind, char close)
{
    struct node *node = tree_node(self->tree, kind, here(self), self->at);
    struct node *last = NULL;
    node->flow = true;
    self->at++;
    if (take(self, close))
        return node;
    if (self->depth == LIMIT_DEFINITION_DEPTH)
        return NULL;
    self->depth++;
    do {
        if (!read_child(self, node, &last))
            return NULL;
    } while (take(self, ','));
    self->depth--;
    return take(self, close) ? node : NULL;
}

static struct node *read_value(struct json *self)
{
    skip_blanks(self);
    if (++self->values > LIMIT_DEFINITION_VALUES)
        return NULL;
    switch (peek(self)) {
    case '{': return read_children(self, NODE_MAP, '}');
    case '[': return read_children(self, NODE_LIST, ']');
    case '"': return read_string(self);
    default: return read_word(self);
    }
}

bool tree_read_json(struct tree *self, const struct source *source)
{
    if (!utf8_valid(source->text, source->size))
        return false;
    struct json json = {.tree = self, .text = source->text, .size = source->size, .line = 1};
    struct node *root = read_value(&json);
    skip_blanks(&json);
    buf_release(&json.scratch);
    if (!root || json.at != json.size)
        return false;
    self->documents = arena_alloc(&self->arena, sizeof *self->documents);
    self->documents[0] = (struct document){.root = root, .end = source->size};
    self->count = 1;
    return true;
}
