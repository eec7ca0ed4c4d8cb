#include "base/reference.h"

#include <sodium.h>
#include <string.h>

value_t *reference_to_blob(const struct datum *blob)
{
    char hash[2 * DATUM_HASH_BYTES + 1];
    value_t *reference = value_map();
    datum_hash_hex(blob->hash, hash);
    value_set_string(reference, "$blob", hash);
    value_set_int(reference, "size", (int64_t)blob->size_bytes);
    return reference;
}

bool reference_read(const value_t *value, struct datum *ret_blob)
{
    const char *hash = value_get_string(value, "$blob", "");
    int64_t size = value_get_int(value, "size", -1);
    struct datum blob = {.is_blob = true, .size_bytes = (uint64_t)size};
    if (value_type(value) != VALUE_MAP || value_size(value) != 2 || size < 0 ||
        strlen(hash) != 2 * sizeof blob.hash ||
        sodium_hex2bin(blob.hash, sizeof blob.hash, hash, strlen(hash), NULL, NULL, NULL) != 0)
        return false;
    *ret_blob = blob;
    return true;
}
