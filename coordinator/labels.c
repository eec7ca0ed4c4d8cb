#include "coordinator/labels.h"

#include "coordinator/catalog.h"

#include <stdlib.h>
#include <string.h>

#define VERSIONS_MOST 64

int label_filter_init(struct label_filter *self, const char *text, struct err *err)
{
    *self = (struct label_filter){0};
    if (text == NULL)
        return 0;
    const char *equals = strchr(text, '=');
    size_t size = equals == NULL ? strlen(text) : (size_t)(equals - text);
    if (size == 0) {
        err_set(err, ERR_INVALID, "\"%s\" names no label", text);
        err_where(err, "label");
        err_fix(err, "write it as key=value, or as the key alone");
        return ERR_INVALID;
    }
    self->key = xmalloc(size + 1);
    memcpy(self->key, text, size);
    self->key[size] = '\0';
    self->value = equals == NULL ? NULL : equals + 1;
    self->versions = map_new();
    return 0;
}

bool label_filter_is_full(const struct label_filter *self)
{
    return self->key != NULL && map_size(self->versions) >= VERSIONS_MOST;
}

void label_filter_release(struct label_filter *self)
{
    free(self->key);
    if (self->versions != NULL)
        map_destroy(&self->versions);
    *self = (struct label_filter){0};
}

static bool has_label(const struct label_filter *self, struct coordinator *coordinator,
                      const struct summary *summary)
{
    struct err err;
    struct catalog_entry *entry = catalog_version(
        coordinator, DEFINITION_WORKFLOW, summary->workflow, summary->workflow_version, &err);
    const value_t *labels = entry == NULL ? NULL : value_get(entry->canonical, "labels");
    const char *value = value_get_string(labels, self->key, NULL);
    bool fits = value != NULL && (self->value == NULL || strcmp(value, self->value) == 0);
    catalog_entry_destroy(&entry);
    return fits;
}

bool label_filter_fits(struct label_filter *self, struct coordinator *coordinator,
                       const struct summary *summary)
{
    static char yes, no;
    struct buf key = {0};
    if (self->key == NULL)
        return true;
    if (*summary->workflow == '\0')
        return false;
    buf_printf(&key, "%u %s", summary->workflow_version, summary->workflow);
    void *known = map_get(self->versions, key.data, key.size);
    if (known == NULL) {
        known = has_label(self, coordinator, summary) ? &yes : &no;
        map_put(self->versions, key.data, key.size, known);
    }
    buf_release(&key);
    return known == &yes;
}
