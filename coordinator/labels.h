/* Executions by the labels of their workflows, as their versions have them. */
#ifndef AF_COORDINATOR_LABELS_H
#define AF_COORDINATOR_LABELS_H

#include "base/map.h"
#include "coordinator/record.h"

struct coordinator;

struct label_filter {
    char *key;         /* NULL: whatever labels there are */
    const char *value; /* NULL: any */
    map_t *versions;   /* those that were looked at */
};

/* "team=bees", or "team" for any value; NULL: everything fits. The text is kept, not copied.
 * ERR_INVALID. */
int label_filter_init(struct label_filter *self, const char *text, struct err *err) MUST_CHECK;
void label_filter_release(struct label_filter *self);
/* False for agents alone, which have no labels, and for workflows that can't be read. */
bool label_filter_fits(struct label_filter *self, struct coordinator *coordinator,
                       const struct summary *summary);

/* So many versions were read that others should have their turn: the rest is for another answer. */
bool label_filter_is_full(const struct label_filter *self);

#endif
