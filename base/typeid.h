/* TypeIDs (github.com/jetify-com/typeid, spec v0.3): a prefix and a UUIDv7 in Crockford base32. */
#ifndef AF_BASE_TYPEID_H
#define AF_BASE_TYPEID_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

#define TYPEID_PREFIX_MAX 63
#define TYPEID_TEXT_SIZE  (TYPEID_PREFIX_MAX + 1 + 26 + 1) /* with the NUL */

struct uuid {
    uint8_t bytes[16];
};

/* Version 7 from a time and ten random bytes (the caller supplies both; this is pure). */
struct uuid uuid_v7(int64_t time_us, const uint8_t random[10]);
/* Now, from the kernel's random source; within one process later ones sort after earlier ones. */
struct uuid uuid_new(void);
bool uuid_equal(struct uuid a, struct uuid b);
int uuid_compare(struct uuid a, struct uuid b);
bool uuid_is_nil(struct uuid id);
uint64_t uuid_hash(struct uuid id); /* well mixed, not keyed */

int typeid_parse(const char *text, char ret_prefix[TYPEID_PREFIX_MAX + 1], struct uuid *ret_id,
                 struct err *err) MUST_CHECK;
/* As typeid_parse, and the prefix must be this one. */
int typeid_parse_as(const char *text, const char *prefix, struct uuid *ret_id,
                    struct err *err) MUST_CHECK;
int typeid_format(const char *prefix, struct uuid id, char ret_text[TYPEID_TEXT_SIZE],
                  struct err *err) MUST_CHECK;
/* For prefixes of ours ("exec", "inst", "host", "client"): can't fail. Returns ret_text. */
const char *typeid_text(const char *prefix, struct uuid id, char ret_text[TYPEID_TEXT_SIZE]);

#endif
