/* The hash of a canonical form. Keys are sorted on the way, so that their order doesn't count. */
#include "base/datum.h"
#include "definitions/definitions.h"
#include <stdlib.h>
#include <string.h>

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static value_t *sorted(const value_t *value);

static value_t *sorted_map(const value_t *map)
{
    size_t count = value_size(map);
    const char **names = xcalloc(count + 1, sizeof *names);
    value_t *copy = value_map();
    for (size_t i = 0; i < count; i++)
        names[i] = value_key_at(map, i, NULL);
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        value_t *member = sorted(value_get(map, names[i]));
        value_set(copy, names[i], &member);
    }
    free(names);
    return copy;
}

static value_t *sorted_list(const value_t *list)
{
    value_t *copy = value_list();
    for (size_t i = 0; i < value_size(list); i++) {
        value_t *item = sorted(value_at(list, i));
        value_append(copy, &item);
    }
    return copy;
}

static value_t *sorted(const value_t *value)
{
    switch (value_type(value)) {
    case VALUE_LIST: return sorted_list(value);
    case VALUE_MAP: return sorted_map(value);
    default: return value_ref(value);
    }
}

void definition_hash(const value_t *canonical, uint8_t ret_hash[32])
{
    struct buf bytes = {0};
    value_t *copy = sorted(canonical);
    value_to_msgpack(copy, &bytes);
    datum_hash(buf_bytes(&bytes), ret_hash);
    value_destroy(&copy);
    buf_release(&bytes);
}
