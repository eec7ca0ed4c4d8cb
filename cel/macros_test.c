/* Macros: cel-spec, doc/langdef.md, "Macros". */
#include "cel/fixture.h"

#define WORLD                                                                                      \
    "{\"l\":[3,1,2],\"o\":{\"a\":1,\"b\":2},\"people\":[{\"name\":\"ann\",\"age\":40},"            \
    "{\"name\":\"bob\"},{\"name\":\"cy\",\"age\":7}],\"x\":9,\"e\":[]}"

static void test_predicates(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"l.all(i, i > 0)", "true"},
        {"l.all(i, i > 1)", "false"},
        {"e.all(i, false)", "true"},
        {"l.exists(i, i == 2)", "true"},
        {"e.exists(i, true)", "false"},
        {"l.exists_one(i, i > 2)", "true"},
        {"l.existsOne(i, i > 1)", "false"},
        {"e.exists_one(i, true)", "false"},
        {"o.all(k, o[k] > 0)", "true"},
        {"o.exists(k, k == 'b' && o[k] == 2)", "true"},
        {"{1: 2, 3: 4}.exists_one(k, k == 3)", "true"},
        /* An error is absorbed by an item that decides. */
        {"[0, 1].exists(i, 1 / i == 1)", "true"},
        {"[0, 2].all(i, 1 / i == 1)", "false"},
        {"people.exists(p, p.age < 10)", "true"},
        {"people.all(p, p.age > 100)", "false"},
    };
    static const struct bad_case FAILING[] = {
        {"[0, 2].exists(i, 1 / i == 1)", ERR_INVALID, 20, "division by zero", ""},
        {"[0, 1].all(i, 1 / i == 1)", ERR_INVALID, 17, "division by zero", ""},
        {"[1, 0].exists_one(i, 1 / i == 1)", ERR_INVALID, 24, "division by zero", ""},
        {"people.all(p, p.age > 0)", ERR_NOT_FOUND, 16, "p has no field \"age\"", "name"},
        {"l.all(i, i)", ERR_INVALID, 3, "the condition of the macro is an integer", "!= null"},
        {"l.exists(i, 'x')", ERR_INVALID, 3, "is a text, not a boolean", ""},
        {"l.exists_one(i, null)", ERR_INVALID, 3, "is null, not a boolean", ""},
        {"x.all(i, true)", ERR_INVALID, 3, "a list or an object, not an integer", "type(x)"},
        {"'abc'.exists(c, true)", ERR_INVALID, 7, "not a text", ""},
        {"l[9].all(i, true)", ERR_NOT_FOUND, 2, "no index 9", ""},
    };
    ASSERT_GOOD(CASES, WORLD);
    ASSERT_BAD(FAILING, WORLD);
}

static void test_lists_made(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"l.map(i, i * i)", "[9,1,4]"},
        {"l.map(i, i > 1, [i])", "[[3],[2]]"},
        {"e.map(i, i)", "[]"},
        {"e.map(i, true, i)", "[]"},
        {"l.map(i, false, i)", "[]"},
        {"l.filter(i, i != 1)", "[3,2]"},
        {"o.map(k, k + '!')", "[\"a!\",\"b!\"]"},
        {"o.filter(k, o[k] > 1)", "[\"b\"]"},
        {"people.filter(p, has(p.age)).map(p, p.name)", "[\"ann\",\"cy\"]"},
        {"people.map(p, {'n': p.name, 'old': has(p.age) && p.age > 30})[0]",
         "{\"n\":\"ann\",\"old\":true}"},
        {"[[1, 2], [3]].map(r, r.map(i, i + 1))", "[[2,3],[4]]"},
        {"[[1, 2], [3]].map(r, r.filter(i, l.exists(j, j == i && size(r) == 2)))", "[[1,2],[]]"},
    };
    static const struct bad_case FAILING[] = {
        {"l.map(i, i / 0)", ERR_INVALID, 12, "division by zero", ""},
        {"l.filter(i, 1 / (i - 1) > 0)", ERR_INVALID, 15, "division by zero", ""},
        {"l.map(i, i, i)", ERR_INVALID, 3, "the condition of the macro is an integer", ""},
        {"l.map(i, 1 / 0 == 1, i)", ERR_INVALID, 12, "division by zero", ""},
        {"l.filter(i, i)", ERR_INVALID, 3, "the condition of the macro is an integer", ""},
    };
    ASSERT_GOOD(CASES, WORLD);
    ASSERT_BAD(FAILING, WORLD);
}

static void test_scopes(void **state)
{
    (void)state;
    static const struct good_case CASES[] = {
        {"[1].map(x, x)", "[1]"},
        {"[1].map(x, .x)", "[9]"},
        {"[1].map(x, x) + [x]", "[1,9]"},
        {"[x].map(x, x + 1)", "[10]"},
        {"[[1]].map(x, x.map(x, x + 1))", "[[2]]"},
        {"[1].map(y, [2].map(z, [y, z, x]))", "[[[1,2,9]]]"},
        {"[1].map(size, size + size([1, 2]))", "[3]"},
        {"[1, 2].map(a, [3].map(b, a + b)).map(c, c[0])", "[4,5]"},
        {"[true].all(x, x) && x == 9", "true"},
    };
    ASSERT_GOOD(CASES, WORLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predicates),
        cmocka_unit_test(test_lists_made),
        cmocka_unit_test(test_scopes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
