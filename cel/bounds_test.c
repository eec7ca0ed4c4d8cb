/* Expressions made to explode are refused, or stopped by their bounds, in well under a second. */
#include "cel/fixture.h"

#include "base/limits.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Sanitizers slow all of it down. */
#ifdef __has_feature
#define IS_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif
#define LONGEST_SECONDS (IS_SANITIZED ? 6.0 : 1.0)

/* Of this process: the machine may be busy with others. */
static double cpu_seconds(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void repeat(struct buf *out, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_puts(out, text);
}

/* Gives the code; 0 is 0. Says how long it took when that was too long. */
static int run(const char *text, size_t size, struct err *err)
{
    static const char WORLD[] =
        "{\"l\":[0,1,2,3,4,5,6,7,8,9],\"s\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}";
    double start = cpu_seconds();
    value_t *world = fixture_parse(WORLD);
    cel_t *program = NULL;
    value_t *value = NULL;
    int code = cel_compile(text, size, &program, err);
    if (!code)
        code = cel_eval(program, fixture_resolve, world, &value, err);
    value_destroy(&value);
    value_destroy(&world);
    cel_destroy(&program);
    double took = cpu_seconds() - start;
    if (took > LONGEST_SECONDS)
        fail_msg("%.100s: took %.3f s", text, took);
    return code;
}

/* open, inside, close: `open` and `close` so many times. */
static int run_nested(const char *open, const char *inside, const char *close, size_t count)
{
    struct buf text = {0};
    struct err err = {0};
    repeat(&text, open, count);
    buf_puts(&text, inside);
    repeat(&text, close, count);
    int code = run(buf_string(&text), text.size, &err);
    if (code == ERR_TOO_DEEP)
        assert_true(strstr(err.what, "nested deeper than") && err.fix[0] && err.column > 0);
    else if (code)
        fail_msg("%s…: %s", open, err.what);
    buf_release(&text);
    return code;
}

static void test_depth_of_the_text(void **state)
{
    (void)state;
    static const char *const NESTED[][3] = {
        {"(", "1", ")"},           {"[", "1", "]"},          {"{'a':", "1", "}"},
        {"true ? 1 : ", "1", ""},  {"true ? ", "1", " : 1"}, {"size([", "1", "])"},
        {"[1].map(x, ", "1", ")"}, {"l[", "0", "]"},         {"!", "true", ""},
        {"-", "(1)", ""},          {"!(", "true", ")"},
    };
    for (size_t i = 0; i < sizeof NESTED / sizeof NESTED[0]; i++) {
        const char *const *parts = NESTED[i];
        assert_int_equal(run_nested(parts[0], parts[1], parts[2], 40), 0);
        assert_int_equal(run_nested(parts[0], parts[1], parts[2], LIMIT_EXPRESSION_DEPTH + 1),
                         ERR_TOO_DEEP);
        assert_int_equal(run_nested(parts[0], parts[1], parts[2], 5000), ERR_TOO_DEEP);
    }
}

/* What stands in a row is no depth. */
static void test_long_rows(void **state)
{
    (void)state;
    static const char *const ROWS[][2] = {
        {"1", " + 1"},          {"true", " && true"},    {"false", " || false"}, {"'a'", " + 'a'"},
        {"1 == 1", " == true"}, {"[[0]]", " + [[0]]"},   {"[0][0]", " * l[0]"},  {"[1", ", 1"},
        {"s", ".trim()"},       {"{'a': 1", ", 'b': 2"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct buf text = {0};
        buf_puts(&text, ROWS[i][0]);
        repeat(&text, ROWS[i][1], (LIMIT_EXPRESSION_BYTES - 10) / strlen(ROWS[i][1]));
        if (ROWS[i][0][0] == '[' && ROWS[i][1][0] == ',')
            buf_putc(&text, ']');
        if (ROWS[i][0][0] == '{')
            buf_putc(&text, '}');
        struct err err = {0};
        int code = run(buf_string(&text), text.size, &err);
        bool is_bounded =
            code == 0 || code == ERR_TOO_LARGE || code == ERR_LIMIT || strstr(err.what, "twice");
        if (!is_bounded)
            fail_msg("%s…: %s", ROWS[i][0], err.what);
        buf_release(&text);
    }
}

static void test_size_of_the_text(void **state)
{
    (void)state;
    struct buf text = {0};
    struct err err = {0};
    buf_puts(&text, "1");
    repeat(&text, " ", LIMIT_EXPRESSION_BYTES - 1);
    assert_int_equal(run(buf_string(&text), text.size, &err), 0);
    buf_putc(&text, ' ');
    assert_int_equal(run(buf_string(&text), text.size, &err), ERR_TOO_LARGE);
    buf_release(&text);
}

/* Ten items, nested: 10^n rounds. */
static void test_steps(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "l.all(a, l.all(b, l.all(c, l.all(d, l.all(e, l.all(f, l.all(g, a + b >= 0)))))))",
        "l.exists(a, l.exists(b, l.exists(c, l.exists(d, l.exists(e, l.exists(f, l.exists(g, "
        "a.x))))))) ",
        "l.map(a, l.map(b, l.map(c, l.map(d, l.map(e, l.map(f, l.map(g, 0)))))))",
        "l.map(a, l.map(b, l.map(c, l.map(d, l.map(e, l.map(f, l.map(g, [a, b, c])))))))",
        "l.all(a, l.all(b, l.all(c, l.all(d, l.all(e, l.all(f, l.all(g, [l, l] == [l, l])))))))",
        "l.all(a, l.all(b, l.all(c, l.all(d, l.all(e, l.all(f, s.matches('^a' + string(f)) || "
        "true))))))",
    };
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        struct err err = {0};
        int code = run(TEXTS[i], strlen(TEXTS[i]), &err);
        if (code != ERR_LIMIT && code != ERR_TOO_LARGE)
            fail_msg("%s: %d %s", TEXTS[i], code, err.what);
        assert_true(err.fix[0] && err.column > 0);
    }
    struct err err = {0};
    assert_int_equal(run(TEXTS[0], strlen(TEXTS[0]), &err), ERR_LIMIT);
    assert_non_null(strstr(err.what, "steps"));
}

/* Running out is no error of the expression, which || might absorb. */
static void test_bounds_are_not_absorbed(void **state)
{
    (void)state;
    static const char TEXT[] =
        "l.all(a, l.all(b, l.all(c, l.all(d, l.all(e, l.all(f, l.all(g, a + b >= 0))))))) || true";
    assert_int_equal(run(TEXT, strlen(TEXT), NULL), ERR_LIMIT);
}

/* Doubling at each step, by each operation that can double. */
static void test_memory(void **state)
{
    (void)state;
    static const char *const CASES[][3] = {
        {"[s]", ".map(x, x + x)", "[0].size()"},
        {"[[1]]", ".map(x, x + x)", "[0].size()"},
        {"[[1]]", ".map(x, [x, x])", ""},
        {"[[1]]", ".map(x, [x, x])", ".map(y, y == y)"},
        {"[{'a': 1}]", ".map(x, {'a': x, 'b': x})", ""},
        {"[s]", ".map(x, [x, x].join())", "[0].size()"},
        {"[s]", ".map(x, x.replace('a', 'aa'))", "[0].size()"},
        {"[s]", ".map(x, x.split('').join('aa'))", "[0].size()"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct buf text = {0};
        struct err err = {0};
        buf_puts(&text, CASES[i][0]);
        repeat(&text, CASES[i][1], 60);
        buf_puts(&text, CASES[i][2]);
        int code = run(buf_string(&text), text.size, &err);
        if (code != ERR_TOO_LARGE && code != ERR_LIMIT)
            fail_msg("%s%s…: %d %s", CASES[i][0], CASES[i][1], code, err.what);
        assert_true(err.what[0] && err.fix[0] && err.column > 0);
        if (i == 0)
            assert_non_null(strstr(err.what, "64 MiB"));
        buf_release(&text);
    }
}

static void test_depth_of_what_is_made(void **state)
{
    (void)state;
    struct buf text = {0};
    struct err err = {0};
    buf_puts(&text, "[1]");
    repeat(&text, ".map(x, [x])", LIMIT_VALUE_DEPTH - 2);
    assert_int_equal(run(buf_string(&text), text.size, &err), 0);
    repeat(&text, ".map(x, [x])", 2);
    assert_int_equal(run(buf_string(&text), text.size, &err), ERR_TOO_DEEP);
    assert_true(err.what[0] && err.fix[0] && err.column > 0);
    buf_release(&text);
}

/* Patterns that take exponential or quadratic time. */
static void test_patterns(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "s.matches('(a+)+[bc]')",
        "s.matches('(a|a)*[bc]')",
        "s.matches('(a|aa)+[bc]')",
        "l.all(a, l.all(b, l.all(c, s.matches('^(a?){20}a{20}[bc]'))))",
        "[s].map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x)"
        ".map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x)"
        ".map(x, x + x).map(x, x + x).map(x, x + x).all(x, x.matches('a*[12]'))",
        "l.all(a, l.all(b, l.all(c, l.all(d, s.matches('[ab]*[12]')))))",
        "s.matches('(((((((((a{30}){30}){30}){30}){30}){30}){30}){30}){30})')",
        "s.matches('^' + [s, s, s, s].join() + '.*.*.*.*.*.*[bc]')",
        "s.matches('(.*)(.*)(.*)(.*)(.*)[bc]')",
    };
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        struct err err = {0};
        int code = run(TEXTS[i], strlen(TEXTS[i]), &err);
        if (code)
            assert_true(err.what[0] && err.fix[0] && err.column > 0);
    }
    struct err err = {0};
    assert_int_equal(run(TEXTS[0], strlen(TEXTS[0]), &err), ERR_LIMIT);
    assert_non_null(strstr(err.what, "pattern"));
    struct buf text = {0};
    buf_puts(&text, "s.matches('");
    repeat(&text, "a", LIMIT_EXPRESSION_PATTERN_BYTES + 1);
    buf_puts(&text, "')");
    assert_int_equal(run(buf_string(&text), text.size, &err), ERR_INVALID);
    assert_non_null(strstr(err.what, "4097 bytes"));
    buf_release(&text);
}

/* What a {n} stands for is not counted as work by the engine, and is charged for beforehand. */
static void test_weight_of_patterns(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "s.matches('(?:(?:a{100}){10}){1}b')",
        "s.matches('(?:aaaaaaaaaaaaaaaaaaaa){1000}b')",
        "s.matches('(?:(?:a{300}){10}){10}b')",
    };
    value_t *world = value_map();
    char *large = xcalloc(1, 100001);
    memset(large, 'a', 100000);
    value_set_string(world, "s", large);
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        cel_t *program = NULL;
        value_t *value = NULL;
        double start = cpu_seconds();
        int code = cel_compile(TEXTS[i], strlen(TEXTS[i]), &program, NULL);
        if (!code)
            code = cel_eval(program, fixture_resolve, world, &value, NULL);
        double took = cpu_seconds() - start;
        if (code != (int[]){0, ERR_LIMIT, ERR_INVALID}[i] || took > LONGEST_SECONDS)
            fail_msg("%s: %d, took %.3f s", TEXTS[i], code, took);
        value_destroy(&value);
        cel_destroy(&program);
    }
    free(large);
    value_destroy(&world);
}

static void test_depth_of_patterns(void **state)
{
    (void)state;
    struct buf text = {0};
    struct err err = {0};
    for (int depth = 249; depth <= 250; depth++) {
        buf_clear(&text);
        buf_puts(&text, "s.matches('");
        repeat(&text, "(", (size_t)depth);
        repeat(&text, ")", (size_t)depth);
        buf_puts(&text, "')");
        assert_int_equal(run(buf_string(&text), text.size, &err), depth == 249 ? 0 : ERR_INVALID);
    }
    assert_non_null(strstr(err.what, "249 groups within each other"));
    buf_release(&text);
}

/* A list of 100,000 items is no explosion. */
static void test_large_data_is_fine(void **state)
{
    (void)state;
    static const char TEXT[] = "l.filter(x, x.score >= 7 && x.url.startsWith('u')).map(x, x.url)";
    value_t *world = value_map();
    value_t *list = value_list();
    for (int i = 0; i < LIMIT_MAP_ITEMS; i++) {
        value_t *item = value_map();
        value_set_int(item, "score", i % 10);
        value_set_string(item, "url", "u");
        value_append(list, &item);
    }
    value_set(world, "l", &list);
    cel_t *program = NULL;
    value_t *value = NULL;
    struct err err = {0};
    assert_int_equal(cel_compile(TEXT, strlen(TEXT), &program, &err), 0);
    if (cel_eval(program, fixture_resolve, world, &value, &err))
        fail_msg("%s", err.what);
    assert_int_equal(value_size(value), LIMIT_MAP_ITEMS * 3 / 10);
    value_destroy(&value);
    value_destroy(&world);
    cel_destroy(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth_of_the_text),       cmocka_unit_test(test_long_rows),
        cmocka_unit_test(test_size_of_the_text),        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_bounds_are_not_absorbed), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_depth_of_what_is_made),   cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_weight_of_patterns),      cmocka_unit_test(test_depth_of_patterns),
        cmocka_unit_test(test_large_data_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
