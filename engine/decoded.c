#include "engine/state.h"

/* Values decoded for expressions. Fan-outs read the same one over and over, and every item of a
 * list reads that list, so without them a map's time would grow with the square of its length. The
 * one that was used least recently goes first. */

static void drop(engine_t *self, struct decoded *place)
{
    value_destroy(&place->value);
    self->decoded_bytes -= place->bytes;
    self->decoded_count--;
    *place = self->decoded[self->decoded_count];
}

static struct decoded *find(engine_t *self, const struct exec *exec, uint32_t node, bool list)
{
    for (size_t i = 0; i < self->decoded_count; i++) {
        struct decoded *place = &self->decoded[i];
        if (place->exec == exec && place->node == node && place->list == list)
            return place;
    }
    return NULL;
}

const value_t *decoded_find(engine_t *self, const struct exec *exec, struct decoded_key key)
{
    struct decoded *place = find(self, exec, key.node, key.list);
    if (!place)
        return NULL;
    place->brief = place->brief && key.brief;
    place->used = ++self->decoded_uses;
    return place->value;
}

/* An item reads its list and perhaps other large values: a few have room whatever their size. */
static bool is_full(const engine_t *self, uint64_t bytes)
{
    return self->decoded_count == DECODED_KEPT ||
           (self->decoded_count >= DECODED_KEPT_LARGE &&
            self->decoded_bytes + bytes > DECODED_KEPT_BYTES);
}

void decoded_keep(engine_t *self, const struct exec *exec, struct decoded_key key,
                  const value_t *value, uint64_t bytes)
{
    while (is_full(self, bytes)) {
        struct decoded *oldest = self->decoded;
        for (size_t i = 1; i < self->decoded_count; i++)
            if (self->decoded[i].used < oldest->used)
                oldest = &self->decoded[i];
        drop(self, oldest);
    }
    self->decoded[self->decoded_count++] =
        (struct decoded){.exec = exec,
                         .node = key.node,
                         .list = key.list,
                         .brief = key.brief && bytes > DECODED_ONE_BYTES,
                         .bytes = bytes,
                         .used = ++self->decoded_uses,
                         .value = value_ref(value)};
    self->decoded_bytes += bytes;
}

void decoded_drop_list(engine_t *self, const struct exec *exec, uint32_t node)
{
    struct decoded *place = find(self, exec, node, true);
    if (place)
        drop(self, place);
}

void decoded_end(engine_t *self)
{
    for (size_t i = self->decoded_count; i-- > 0;)
        if (self->decoded[i].brief)
            drop(self, &self->decoded[i]);
}

void decoded_forget(engine_t *self, const struct exec *exec)
{
    for (size_t i = self->decoded_count; i-- > 0;)
        if (self->decoded[i].exec == exec)
            drop(self, &self->decoded[i]);
}
