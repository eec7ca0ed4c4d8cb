#include "base/value_tree.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/utf8.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* msgpack-c's own entry points stop at 32 levels. Its parser is a template in a public header,
 * though, of which the depth and the callbacks are parameters: here it is made to check, and when
 * asked to, to build a tree, in one pass and without an object tree between. A container's declared
 * size is only counted down, so a false one costs nothing. */
#define MSGPACK_EMBED_STACK_SIZE LIMIT_VALUE_DEPTH
#include <msgpack/unpack.h>
#include <msgpack/unpack_define.h>

#define KEYS_ON_STACK 64
#define COMPARE_UP_TO 16u /* keys of one map compared each with each; more are hashed */

struct item {
    enum value_type type;
    uint32_t size; /* bytes of a text; entries of a container that are still to come */
    union {
        bool boolean;
        int64_t integer;
        double number;
        const char *text;
        size_t first_key; /* of a map: where its keys start in the reader's list */
    } as;
    value_t *tree; /* of a container, when building */
};

struct key {
    const char *text;
    uint32_t size;
};

/* The keys of all maps that are open, innermost last; those of a map go when it closes. */
struct reader {
    struct err *err;
    bool builds;
    bool failed; /* err was set by a callback */
    uint32_t items;
    struct key *keys;
    size_t key_count;
    size_t key_capacity;
    struct key keys_here[KEYS_ON_STACK];
};

static int fail(struct reader *self, int code, const char *what, const char *fix)
{
    self->failed = true;
    err_set(self->err, code, "%s", what);
    err_fix(self->err, "%s", fix);
    return code;
}

static int count_item(struct reader *self)
{
    if (++self->items <= LIMIT_VALUE_ITEMS)
        return 0;
    return fail(self, ERR_TOO_LARGE, "the MessagePack value holds more than 8388608 values",
                "split it, or pass it as text");
}

_Static_assert(LIMIT_VALUE_ITEMS == 8388608, "the message above names this limit");

static value_t *tree_of(const struct item *item)
{
    switch (item->type) {
    case VALUE_NULL: return value_null();
    case VALUE_BOOL: return value_bool(item->as.boolean);
    case VALUE_INT: return value_int(item->as.integer);
    case VALUE_DOUBLE: return value_double(item->as.number);
    case VALUE_STRING: return value_string_n(item->as.text, item->size);
    default: return item->tree;
    }
}

static int duplicate_key(struct reader *self, struct key key)
{
    self->failed = true;
    int shown = key.size < 80 ? (int)utf8_cut(key.text, key.size) : (int)utf8_cut(key.text, 80);
    int code = err_set(self->err, ERR_MALFORMED,
                       "the key \"%.*s\" stands twice in one MessagePack map", shown, key.text);
    err_fix(self->err, "send each key once");
    return code;
}

static bool key_equal(struct key a, struct key b)
{
    return a.size == b.size && memcmp(a.text, b.text, a.size) == 0;
}

static void push_key(struct reader *self, struct key key)
{
    if (self->key_count == self->key_capacity) {
        size_t capacity = self->key_capacity * 2;
        struct key *moved = self->keys == self->keys_here ? NULL : self->keys;
        self->keys = xrealloc(moved, capacity * sizeof *self->keys);
        if (!moved)
            memcpy(self->keys, self->keys_here, sizeof self->keys_here);
        self->key_capacity = capacity;
    }
    self->keys[self->key_count++] = key;
}

static int check_many_keys(struct reader *self, size_t first)
{
    const struct key *keys = self->keys + first;
    size_t count = self->key_count - first;
    size_t slot_count = COMPARE_UP_TO * 4;
    while (slot_count < count * 2)
        slot_count *= 2;
    uint32_t *slots = xcalloc(slot_count, sizeof *slots);
    int code = 0;
    for (size_t i = 0; i < count && !code; i++) {
        size_t at = hash_bytes(keys[i].text, keys[i].size) & (slot_count - 1);
        for (; slots[at] != 0 && !code; at = (at + 1) & (slot_count - 1))
            if (key_equal(keys[slots[at] - 1], keys[i]))
                code = duplicate_key(self, keys[i]);
        slots[at] = (uint32_t)(i + 1);
    }
    free(slots);
    return code;
}

static int take_key(struct reader *self, struct item *map, struct key key)
{
    if (memchr(key.text, '\0', key.size))
        return fail(self, ERR_UNSUPPORTED, "a key of a MessagePack map holds a NUL",
                    "use keys without NULs");
    if (self->key_count - map->as.first_key < COMPARE_UP_TO)
        for (size_t i = map->as.first_key; i < self->key_count; i++)
            if (key_equal(self->keys[i], key))
                return duplicate_key(self, key);
    push_key(self, key);
    if (--map->size > 0)
        return 0;
    if (self->key_count - map->as.first_key > COMPARE_UP_TO) {
        int code = check_many_keys(self, map->as.first_key);
        if (code)
            return code;
    }
    self->key_count = map->as.first_key;
    return 0;
}

/* What follows are the callbacks of the template; negative results end the parse. */

static struct item on_root(struct reader *self)
{
    (void)self;
    return (struct item){0};
}

static int on_int64(struct reader *self, int64_t number, struct item *ret_item)
{
    *ret_item = (struct item){.type = VALUE_INT, .as.integer = number};
    return count_item(self);
}

static int on_int32(struct reader *self, int32_t number, struct item *ret_item)
{
    return on_int64(self, number, ret_item);
}

static int on_int16(struct reader *self, int16_t number, struct item *ret_item)
{
    return on_int64(self, number, ret_item);
}

static int on_int8(struct reader *self, int8_t number, struct item *ret_item)
{
    return on_int64(self, number, ret_item);
}

static int on_uint64(struct reader *self, uint64_t number, struct item *ret_item)
{
    if (number > INT64_MAX)
        return fail(self, ERR_UNSUPPORTED,
                    "a MessagePack integer is above 9223372036854775807, the largest there is",
                    "send it as text or as a floating-point number");
    return on_int64(self, (int64_t)number, ret_item);
}

static int on_uint32(struct reader *self, uint32_t number, struct item *ret_item)
{
    return on_int64(self, number, ret_item);
}

static int on_uint16(struct reader *self, uint16_t number, struct item *ret_item)
{
    return on_int64(self, number, ret_item);
}

static int on_uint8(struct reader *self, uint8_t number, struct item *ret_item)
{
    return on_int64(self, number, ret_item);
}

static int on_double(struct reader *self, double number, struct item *ret_item)
{
    if (!isfinite(number))
        return fail(self, ERR_UNSUPPORTED,
                    "a MessagePack number is infinite or not a number, which JSON does not have",
                    "send null or a text instead");
    *ret_item = (struct item){.type = VALUE_DOUBLE, .as.number = number};
    return count_item(self);
}

static int on_float(struct reader *self, float number, struct item *ret_item)
{
    return on_double(self, (double)number, ret_item);
}

static int on_nil(struct reader *self, struct item *ret_item)
{
    *ret_item = (struct item){.type = VALUE_NULL};
    return count_item(self);
}

static int on_true(struct reader *self, struct item *ret_item)
{
    *ret_item = (struct item){.type = VALUE_BOOL, .as.boolean = true};
    return count_item(self);
}

static int on_false(struct reader *self, struct item *ret_item)
{
    *ret_item = (struct item){.type = VALUE_BOOL, .as.boolean = false};
    return count_item(self);
}

static int on_str(struct reader *self, const char *base, const char *text, unsigned size,
                  struct item *ret_item)
{
    (void)base;
    if (!utf8_valid(text, size))
        return fail(self, ERR_MALFORMED, "a MessagePack text is not valid UTF-8",
                    "send bytes that are no text in base64");
    /* Of an empty text the template gives no address. */
    *ret_item = (struct item){.type = VALUE_STRING, .size = size, .as.text = size ? text : ""};
    return count_item(self);
}

static int on_bin(struct reader *self, const char *base, const char *data, unsigned size,
                  struct item *ret_item)
{
    (void)base;
    (void)data;
    (void)size;
    (void)ret_item;
    return fail(self, ERR_UNSUPPORTED, "MessagePack binary is not supported",
                "send it as a text in base64");
}

static int on_ext(struct reader *self, const char *base, const char *data, unsigned size,
                  struct item *ret_item)
{
    (void)base;
    (void)data;
    (void)size;
    (void)ret_item;
    return fail(self, ERR_UNSUPPORTED, "MessagePack extension types are not supported",
                "send plain values: null, boolean, number, text, list, map");
}

static int on_array(struct reader *self, unsigned size, struct item *ret_item)
{
    int code = count_item(self);
    if (code)
        return code;
    *ret_item = (struct item){.type = VALUE_LIST, .size = size};
    if (self->builds)
        ret_item->tree = value_list();
    return 0;
}

static int on_map(struct reader *self, unsigned size, struct item *ret_item)
{
    int code = count_item(self);
    if (code)
        return code;
    *ret_item = (struct item){.type = VALUE_MAP, .size = size, .as.first_key = self->key_count};
    if (self->builds)
        ret_item->tree = value_map();
    return 0;
}

static int on_array_item(struct reader *self, struct item *list, struct item item)
{
    if (self->builds) {
        value_t *tree = tree_of(&item);
        value_append(list->tree, &tree);
    }
    return 0;
}

static int on_map_item(struct reader *self, struct item *map, struct item key, struct item item)
{
    int code = 0;
    if (key.type == VALUE_STRING)
        code = take_key(self, map, (struct key){key.as.text, key.size});
    else
        code = fail(self, ERR_UNSUPPORTED, "a key of a MessagePack map is not a text",
                    "use texts as keys");
    if (code)
        value_destroy(&item.tree); /* a key's tree stays on the parser's stack, see below */
    else if (self->builds)
        value_add_member(map->tree, key.as.text, key.size, tree_of(&item));
    return code;
}

#define msgpack_unpack_struct(name)     struct template##name
#define msgpack_unpack_func(type, name) static type template##name
#define msgpack_unpack_callback(name)   on##name
#define msgpack_unpack_object           struct item
#define msgpack_unpack_user             struct reader
#include <msgpack/unpack_template.h>

/* Containers that were begun, and keys (a container as a key is only refused when its value is
 * there, for the template asks about both at once). */
static void free_unfinished(struct template_context *context)
{
    for (unsigned i = 0; i < context->top; i++) {
        value_destroy(&context->stack[i].obj.tree);
        if (context->stack[i].ct == MSGPACK_CT_MAP_VALUE)
            value_destroy(&context->stack[i].map_key.tree);
    }
}

/* For what the template found by itself; its callbacks have said what they found. */
static int explain(int result, struct err *err)
{
    if (result == MSGPACK_UNPACK_NOMEM_ERROR) {
        err_set(err, ERR_TOO_DEEP, "the MessagePack value is nested deeper than %d levels",
                LIMIT_VALUE_DEPTH);
        err_fix(err, "flatten it");
        return ERR_TOO_DEEP;
    }
    err_set(err, ERR_MALFORMED, "%s",
            result == MSGPACK_UNPACK_CONTINUE ? "the MessagePack value ends too early"
                                              : "the byte 0xc1 starts no MessagePack value");
    err_fix(err, "send exactly one whole MessagePack value");
    return ERR_MALFORMED;
}

static int parse(struct bytes bytes, struct template_context *context, struct item *ret_item)
{
    struct err *err = context->user.err;
    size_t at = 0;
    template_init(context);
    const char *data = bytes.size ? (const char *)bytes.data : "";
    int result = template_execute(context, data, bytes.size, &at);
    int code = 0;
    struct item item = template_data(context);
    if (result != MSGPACK_UNPACK_EXTRA_BYTES) {
        code = context->user.failed ? result : explain(result, err);
        free_unfinished(context);
    } else if (at != bytes.size) {
        code =
            err_set(err, ERR_MALFORMED, "%zu bytes follow the MessagePack value", bytes.size - at);
        err_fix(err, "send exactly one whole MessagePack value");
        value_destroy(&item.tree);
    }
    if (code)
        err_where(err, "byte %zu of %zu", at, bytes.size);
    else
        *ret_item = item;
    return code;
}

static int read_value(struct bytes bytes, bool builds, struct item *ret_item, struct err *err)
{
    if (bytes.size > LIMIT_VALUE_BYTES) {
        int code = err_set(err, ERR_TOO_LARGE, "the value has %zu bytes, more than %u", bytes.size,
                           LIMIT_VALUE_BYTES);
        err_fix(err, "send less, or a reference to where it lies");
        return code;
    }
    struct template_context context;
    context.user.err = err;
    context.user.builds = builds;
    context.user.failed = false;
    context.user.items = 0;
    context.user.keys = context.user.keys_here;
    context.user.key_count = 0;
    context.user.key_capacity = KEYS_ON_STACK;
    int code = parse(bytes, &context, ret_item);
    if (context.user.keys != context.user.keys_here)
        free(context.user.keys);
    return code;
}

int value_from_msgpack(struct bytes bytes, value_t **ret_value, struct err *err)
{
    struct item item;
    int code = read_value(bytes, true, &item, err);
    if (code)
        return code;
    *ret_value = tree_of(&item);
    return 0;
}

int value_check_msgpack(struct bytes bytes, struct err *err)
{
    struct item item;
    return read_value(bytes, false, &item, err);
}
