/* The inside of a value, for the files that read and write trees. */
#ifndef AF_BASE_VALUE_TREE_H
#define AF_BASE_VALUE_TREE_H

#include "base/value.h"

struct member {
    char *key; /* NUL-terminated */
    uint32_t key_size;
    uint32_t hash; /* only valid while the map has an index */
    value_t *value;
};

struct value {
    uint32_t refs; /* UINT32_MAX: a constant that is never freed */
    uint8_t type;  /* enum value_type */
    union {
        bool boolean;
        int64_t integer;
        double number;
        size_t text_size; /* the text itself and a NUL follow the struct */
        struct {
            value_t **items;
            uint32_t size;
            uint32_t capacity;
        } list;
        struct {
            struct member *members;
            uint32_t *index; /* slots of position + 1; NULL while the map is small */
            uint32_t size;
            uint32_t capacity;
        } map;
    } as;
};

/* Adds a member whose key is known to be new. Takes item. */
void value_add_member(value_t *map, const char *key, size_t key_size, value_t *item);

#endif
