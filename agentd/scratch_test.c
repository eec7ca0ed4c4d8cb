/* Instances start together in one scratch directory, each sweeping what looks abandoned: nobody's
 * own directory may be taken, and what the dead left behind goes. */
#include "base/test.h"

#include "agentd/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 16
#define ROUNDS    60

static char *make_base(void)
{
    static char path[] = "/tmp/af-scratch-XXXXXX";
    (void)snprintf(path, sizeof path, "/tmp/af-scratch-XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

/* 0 when every directory that it made was there until it gave it up. */
static int live_in(const char *base, int number)
{
    char name[64];
    for (int round = 0; round < ROUNDS; round++) {
        scratch_t *scratch = NULL;
        char *path = NULL;
        (void)snprintf(name, sizeof name, "inst_%d_%d", number, round);
        if (scratch_new(base, name, &scratch, NULL))
            return 1;
        (void)scratch_sweep(scratch);
        for (int i = 0; i < 3; i++) {
            if (scratch_make(scratch, &path, NULL) || access(path, F_OK) != 0)
                return 2;
            scratch_discard(scratch, &path);
            (void)scratch_sweep(scratch);
        }
        scratch_destroy(&scratch);
    }
    return 0;
}

static void test_nobody_sweeps_the_living(void **state)
{
    (void)state;
    char *base = make_base();
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            _exit(live_in(base, i));
    }
    int failed = 0;
    for (int i = 0; i < PROCESSES; i++) {
        int status = 0;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        failed += status != 0;
    }
    assert_int_equal(failed, 0);
    assert_int_equal(rmdir(base), 0);
}

static void test_the_next_one_removes_what_the_dead_left(void **state)
{
    (void)state;
    char *base = make_base();
    char path[128];
    pid_t pid = fork();
    if (pid == 0) {
        scratch_t *scratch = NULL;
        char *made = NULL;
        _exit(scratch_new(base, "inst_dead", &scratch, NULL) ||
              scratch_make(scratch, &made, NULL)); /* and leaves without tidying */
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    (void)snprintf(path, sizeof path, "%s/inst_dead/1", base);
    assert_int_equal(access(path, F_OK), 0);

    scratch_t *scratch = NULL;
    assert_int_equal(scratch_new(base, "inst_next", &scratch, NULL), 0);
    scratch_destroy(&scratch);
    assert_int_equal(rmdir(base), 0); /* nothing is left in it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_sweeps_the_living),
        cmocka_unit_test(test_the_next_one_removes_what_the_dead_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
