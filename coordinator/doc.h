/* Writes a MessagePack document into a buffer as it goes, without a tree: answers to clients and
 * published events. Values that rest as MessagePack are put in as they are. A mistake in the
 * nesting is a mistake of the programmer. */
#ifndef AF_COORDINATOR_DOC_H
#define AF_COORDINATOR_DOC_H

#include "base/datum.h"
#include "base/value.h"

#define DOC_DEPTH 16

struct doc {
    struct buf *out;
    unsigned depth;
    struct {
        size_t at;      /* of the header, to be filled in at the end */
        uint32_t count; /* items, or keys */
        bool list;
    } open[DOC_DEPTH];
};

void doc_init(struct doc *self, struct buf *out); /* appends to out, which is borrowed */
/* key NULL: an item of a list, or the document itself. */
void doc_map(struct doc *self, const char *key);
void doc_list(struct doc *self, const char *key);
void doc_end(struct doc *self);
void doc_null(struct doc *self, const char *key);
void doc_bool(struct doc *self, const char *key, bool b);
void doc_int(struct doc *self, const char *key, int64_t i);
void doc_double(struct doc *self, const char *key, double d);
void doc_string(struct doc *self, const char *key, const char *text); /* NULL: null */
void doc_string_n(struct doc *self, const char *key, const char *text, size_t size);
/* RFC 3339; 0 is null. */
void doc_time(struct doc *self, const char *key, int64_t utc_us);
void doc_raw(struct doc *self, const char *key, struct bytes msgpack); /* one whole value */
void doc_value(struct doc *self, const char *key, const value_t *value);
/* The value, or null when absent, or {"$blob": hash in hex, "size": bytes}. */
void doc_datum(struct doc *self, const char *key, const struct datum *datum);

#endif
