/* A hash map from byte keys to pointers, for directories and indexes. Keys are copied. Iteration is
 * in order of insertion (removal keeps the order of the rest), so nothing depends on a hash. */
#ifndef AF_BASE_MAP_H
#define AF_BASE_MAP_H

#include "base/buf.h"

typedef struct map map_t;

map_t *map_new(void);
void map_destroy(map_t **self_p); /* values are the caller's */
void *map_get(const map_t *self, const void *key, size_t key_size);
/* Returns the value that was there before, or NULL. value must not be NULL. */
void *map_put(map_t *self, const void *key, size_t key_size, void *value);
void *map_remove(map_t *self, const void *key, size_t key_size); /* the value, or NULL */
size_t map_size(const map_t *self);
/* Walks: position starts at 0; NULL at the end. The entry just returned may be removed; nothing may
 * be put during a walk. ret_key may be NULL. */
void *map_next(const map_t *self, size_t *position, struct bytes *ret_key);

#endif
