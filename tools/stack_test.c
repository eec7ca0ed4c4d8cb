/* The supervision of daemons, which are shell scripts here: this program copies itself to where
 * they lie, since daemons are looked for beside the program that starts them. */
#include "tools/stack.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_US (20 * 1000 * 1000LL)

/* Writes its pid file as a daemon does, and tells in the file "ended" when it is asked to end. */
static const char SCRIPT[] =
    "#!/bin/sh\n"
    "name=${0##*/}\n"
    "trap 'echo $name >> \"$2/ended\"; exit 0' TERM\n"
    "set -- $1 $2 $(cat /proc/$$/stat)\n"
    "echo $$ ${24} > \"$2/run/$name.new\" && mv \"$2/run/$name.new\" \"$2/run/$name.pid\"\n"
    "while :; do sleep 0.02; done\n";

static char *folder;

static void write_file(const char *name, const char *text, mode_t mode)
{
    char *path = xasprintf("%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0 && chmod(path, mode) == 0);
    free(path);
}

static bool has_pid_file(const struct run_paths *paths, int daemon)
{
    pid_t pid;
    uint64_t starttime;
    return run_read_pid(paths, stack_name(daemon), &pid, &starttime, NULL) == 0 &&
           run_process_alive(pid, starttime);
}

/* Looks at the daemons until all have said that they run. */
static void await_all(daemons_t *daemons, const struct run_paths *paths)
{
    int64_t until = clock_monotonic_us() + WAIT_US;
    for (int i = 0; i < STACK_DAEMONS; i++) {
        while (!has_pid_file(paths, i)) {
            assert_true(clock_monotonic_us() < until);
            stack_tick(daemons, 10);
        }
    }
}

static void assert_ended(const char *expected)
{
    char text[256] = "";
    char *path = xasprintf("%s/ended", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(expected, text);
    free(path);
}

static void test_daemons_are_started_restarted_adopted_and_stopped(void **state)
{
    struct err err = {0};
    struct run_paths paths;
    pid_t pids[STACK_DAEMONS];
    (void)state;
    assert_int_equal(0, run_paths_init(&paths, folder, &err));
    assert_int_equal(0, run_paths_make(&paths, &err));
    const struct stack_options options = {.paths = &paths, .with_host = true};
    daemons_t *first = stack_new(&options);
    assert_int_equal(0, stack_start(first, &err));
    await_all(first, &paths);

    kill(stack_pid(first, STACK_EGRESS), SIGKILL);
    stack_tick(first, 5000);
    await_all(first, &paths);
    for (int i = 0; i < STACK_DAEMONS; i++)
        pids[i] = stack_pid(first, i);
    stack_destroy(&first);

    daemons_t *second = stack_new(&options);
    assert_int_equal(0, stack_start(second, &err));
    for (int i = 0; i < STACK_DAEMONS; i++)
        assert_int_equal(pids[i], stack_pid(second, i));
    stack_stop(second);
    assert_ended("hostd\negressd\ncoordinatord\nbrokerd\n");
    assert_int_equal(0, stack_stop_by_files(&paths));
    stack_destroy(&second);
    run_paths_release(&paths);
}

static void test_a_program_that_is_not_there_is_named(void **state)
{
    struct err err = {0};
    struct run_paths paths;
    char *path = xasprintf("%s/egressd", folder);
    (void)state;
    assert_int_equal(0, unlink(path));
    assert_int_equal(0, run_paths_init(&paths, folder, &err));
    const struct stack_options options = {.paths = &paths, .die_with_parent = true};
    daemons_t *daemons = stack_new(&options);
    assert_int_equal(ERR_NOT_FOUND, stack_start(daemons, &err));
    assert_non_null(strstr(err.what, "egressd"));
    stack_stop(daemons);
    stack_destroy(&daemons);
    run_paths_release(&paths);
    free(path);
}

/* --- the copy --------------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static int test_daemons(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_daemons_are_started_restarted_adopted_and_stopped),
        cmocka_unit_test(test_a_program_that_is_not_there_is_named),
    };
    folder = stack_program_dir();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(folder);
    return failed;
}

static void copy_self(const char *to)
{
    char chunk[65536];
    ssize_t size;
    int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    CHECK(in >= 0 && out >= 0);
    while ((size = read(in, chunk, sizeof chunk)) > 0)
        CHECK(write(out, chunk, (size_t)size) == size);
    close(in);
    close(out);
}

int main(int argc, char **argv)
{
    static char name[] = "/var/tmp/aft-stack-XXXXXX";
    (void)argv;
    if (argc > 1)
        return test_daemons();
    folder = mkdtemp(name);
    CHECK(folder != NULL);
    for (int i = 0; i < STACK_DAEMONS; i++)
        write_file(stack_name(i), SCRIPT, 0700);
    char *copy = xasprintf("%s/stack_test", folder);
    copy_self(copy);
    execl(copy, copy, "copied", (char *)NULL);
    perror("the copy can't be run");
    return 1;
}
