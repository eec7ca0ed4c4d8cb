#include "base/value_tree.h"

#include <msgpack/pack.h>

static int write_to_buf(void *context, const char *data, size_t size)
{
    buf_append(context, data, size);
    return 0;
}

static void pack_text(msgpack_packer *packer, const char *text, size_t size)
{
    msgpack_pack_str(packer, size);
    msgpack_pack_str_body(packer, text, size);
}

static void pack(msgpack_packer *packer, const value_t *self)
{
    switch ((enum value_type)self->type) {
    case VALUE_NULL: msgpack_pack_nil(packer); break;
    case VALUE_BOOL:
        if (self->as.boolean)
            msgpack_pack_true(packer);
        else
            msgpack_pack_false(packer);
        break;
    case VALUE_INT: msgpack_pack_int64(packer, self->as.integer); break;
    case VALUE_DOUBLE: msgpack_pack_double(packer, self->as.number); break;
    case VALUE_STRING: pack_text(packer, value_as_string(self), self->as.text_size); break;
    case VALUE_LIST:
        msgpack_pack_array(packer, self->as.list.size);
        for (uint32_t i = 0; i < self->as.list.size; i++)
            pack(packer, self->as.list.items[i]);
        break;
    case VALUE_MAP:
        msgpack_pack_map(packer, self->as.map.size);
        for (uint32_t i = 0; i < self->as.map.size; i++) {
            const struct member *member = &self->as.map.members[i];
            pack_text(packer, member->key, member->key_size);
            pack(packer, member->value);
        }
        break;
    }
}

void value_to_msgpack(const value_t *self, struct buf *out)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, out, write_to_buf);
    pack(&packer, self);
}
