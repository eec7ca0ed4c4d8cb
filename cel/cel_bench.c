/* cel_bench [SECONDS]: how long compiled expressions take, on data that is decoded already. */
#include "base/clock.h"
#include "cel/cel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char WORLD[] =
    "{\"review\":{\"by\":\"p\",\"note\":\"fine\",\"score\":8,\"approved\":true},"
    "\"find\":{\"links\":[{\"url\":\"https://a.example/1\",\"score\":3},"
    "{\"url\":\"https://b.example/2\",\"score\":9},{\"url\":\"https://c.example/"
    "3\",\"score\":5}]}}";

static int resolve(void *context, const char *name, value_t **ret_value, struct err *err)
{
    (void)err;
    *ret_value = value_ref(value_get(context, name));
    return 0;
}

static double measure(const cel_t *program, value_t *world, double seconds)
{
    int64_t end = clock_monotonic_us() + (int64_t)(seconds * 1e6);
    int64_t start = clock_monotonic_us();
    int64_t now = start;
    uint64_t rounds = 0;
    for (; now < end; now = clock_monotonic_us())
        for (int i = 0; i < 1000; i++, rounds++) {
            value_t *value = NULL;
            CHECK(cel_eval(program, resolve, world, &value, NULL) == 0);
            value_destroy(&value);
        }
    return (double)(now - start) * 1e3 / (double)rounds;
}

int main(int argc, char **argv)
{
    static const char *const EXPRESSIONS[] = {
        "review.score >= 7 && review.approved",
        "find.links[1].url",
        "review.by in ['a', 'b', 'p'] ? review.note : ''",
        "find.links.exists(l, l.score > 8)",
        "find.links.filter(l, l.score > 4).map(l, l.url)",
        "find.links[0].url.matches('^https://[a-z]+[.]example/')",
    };
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1.0;
    value_t *world = NULL;
    CHECK(value_from_json(WORLD, strlen(WORLD), &world, NULL) == 0);
    for (size_t i = 0; i < sizeof EXPRESSIONS / sizeof EXPRESSIONS[0]; i++) {
        cel_t *program = NULL;
        CHECK(cel_compile(EXPRESSIONS[i], strlen(EXPRESSIONS[i]), &program, NULL) == 0);
        printf("%8.1f ns  %s\n", measure(program, world, seconds), EXPRESSIONS[i]);
        cel_destroy(&program);
    }
    value_destroy(&world);
    return 0;
}
