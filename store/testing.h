/* What the store's tests share: a directory that is thrown away, and short forms of the common
 * calls, which fail the test themselves. */
#ifndef AF_STORE_TESTING_H
#define AF_STORE_TESTING_H

#include "store/store.h"

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

extern const char *const TEST_TABLES[]; /* "journal", "other" */

/* A new directory under $TMPDIR or /tmp; the caller frees the name. */
char *test_directory(void);
void test_directory_remove(char **path_p);
/* The directory PATH/store with the options given, whose path and tables are filled in. */
store_t *test_open_with(const char *path, struct store_options options);
store_t *test_open(const char *path);

struct bytes test_text(const char *text);
int test_apply_put(store_t *store, const char *key, const char *value, struct err *err);
void test_put(store_t *store, const char *key, const char *value);
/* Of table "journal". The value is copied as text; NULL when the key is absent. Caller frees. */
char *test_get(store_t *store, const char *key);
void test_assert_value(store_t *store, const char *key, const char *value);
int test_get_code(store_t *store, const char *key, struct err *err);
unsigned test_count(store_t *store, const char *table);

/* Submits a batch that puts one key; the batch must be taken. */
void test_submit_put(store_t *store, uint64_t tag, const char *key, const char *value);
/* Waits, with a bound, for one completion. */
struct store_completion test_complete(store_t *store);
/* Waits for one completion and asserts its tag and code; destroys its batch. */
void test_assert_completes(store_t *store, uint64_t tag, int code);

/* Replaces a text of the same length in PATH/store/data.mdb, everywhere; returns how often. */
unsigned test_patch(const char *path, const char *find, const char *replace);

#endif
