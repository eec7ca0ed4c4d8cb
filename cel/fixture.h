/* What the tests of expressions share: tables of expressions with what they give. */
#ifndef AF_CEL_FIXTURE_H
#define AF_CEL_FIXTURE_H

#include "base/test.h"
#include "cel/cel.h"

struct good_case {
    const char *text;
    const char *json;
};

struct bad_case {
    const char *text;
    int code;
    unsigned column;
    const char *what; /* a part of the message */
    const char *fix;  /* a part of the remedy */
};

value_t *fixture_parse(const char *json);
/* Variables are the members of the object `context`. */
int fixture_resolve(void *context, const char *name, value_t **ret_value, struct err *err);
int fixture_evaluate(const char *text, const char *world, value_t **ret_value, struct err *err);
void fixture_assert_json(const value_t *value, const char *expected);
void fixture_good(const struct good_case *cases, size_t count, const char *world);
void fixture_bad(const struct bad_case *cases, size_t count, const char *world);
/* All of them fail, however. */
void fixture_fail(const char *const *texts, size_t count, const char *world);

#define ASSERT_GOOD(cases, world) fixture_good(cases, sizeof cases / sizeof cases[0], world)
#define ASSERT_BAD(cases, world)  fixture_bad(cases, sizeof cases / sizeof cases[0], world)
#define ASSERT_FAIL(texts, world) fixture_fail(texts, sizeof texts / sizeof texts[0], world)

#endif
