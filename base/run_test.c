#include "base/notify.h"
#include "base/run.h"

#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int set_up(void **state)
{
    char dir[] = "/tmp/af-run-XXXXXX";
    struct run_paths *paths = xcalloc(1, sizeof *paths);
    *state = paths;
    return !mkdtemp(dir) || run_paths_init(paths, dir, NULL);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static int tear_down(void **state)
{
    struct run_paths *paths = *state;
    nftw(paths->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    run_paths_release(paths);
    free(paths);
    return 0;
}

static void assert_dir(const char *given, const char *expected)
{
    struct run_paths paths;
    assert_int_equal(run_paths_init(&paths, given, NULL), 0);
    assert_string_equal(paths.dir, expected);
    run_paths_release(&paths);
}

static void test_finds_the_directory(void **state)
{
    (void)state;
    unsetenv("AGENTFACTORY_DIR");
    unsetenv("STATE_DIRECTORY");
    unsetenv("XDG_STATE_HOME");
    setenv("HOME", "/home/me", 1);
    assert_dir(NULL, "/home/me/.local/state/agentfactory");
    assert_dir("", "/home/me/.local/state/agentfactory");
    setenv("XDG_STATE_HOME", "relative/is/ignored", 1);
    assert_dir(NULL, "/home/me/.local/state/agentfactory");
    setenv("XDG_STATE_HOME", "/xdg", 1);
    assert_dir(NULL, "/xdg/agentfactory");
    setenv("STATE_DIRECTORY", "/var/lib/af:/var/lib/other", 1);
    assert_dir(NULL, "/var/lib/af");
    setenv("AGENTFACTORY_DIR", "/own/", 1);
    assert_dir(NULL, "/own");
    assert_dir("/given//", "/given");
    char *here = getcwd(NULL, 0);
    char *below = xasprintf("%s/some/dir", here);
    assert_dir("some/dir", below);
    free(below);
    free(here);
    unsetenv("AGENTFACTORY_DIR");
    unsetenv("STATE_DIRECTORY");
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    struct run_paths paths;
    assert_int_equal(run_paths_init(&paths, NULL, NULL), ERR_NOT_FOUND);
}

static void test_refuses_a_directory_too_long_for_sockets(void **state)
{
    (void)state;
    struct run_paths paths;
    struct err err;
    char dir[128] = "/";
    size_t fits = 107 - strlen("/run/publish.sock");
    memset(dir + 1, 'x', fits - 1);
    assert_int_equal(run_paths_init(&paths, dir, NULL), 0);
    run_paths_release(&paths);
    dir[fits] = 'x';
    assert_int_equal(run_paths_init(&paths, dir, &err), ERR_TOO_LARGE);
    assert_non_null(strstr(err.fix, "--dir"));
}

static void test_makes_private_directories(void **state)
{
    const struct run_paths *paths = *state;
    struct stat status;
    assert_int_equal(run_paths_make(paths, NULL), 0);
    assert_int_equal(run_paths_make(paths, NULL), 0);
    const char *const made[] = {paths->store, paths->run, paths->log, paths->scratch};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(stat(made[i], &status), 0);
        assert_int_equal(status.st_mode & 07777, 0700);
    }
    struct run_paths below;
    struct err err;
    char *path = xasprintf("%s/file/below", paths->dir);
    char *file = xasprintf("%s/file", paths->dir);
    fclose(fopen(file, "w"));
    assert_int_equal(run_paths_init(&below, path, NULL), 0);
    assert_int_equal(run_paths_make(&below, &err), ERR_IO);
    assert_string_equal(err.where, file);
    run_paths_release(&below);
    free(path);
    free(file);
}

static void write_pid_file(const struct run_paths *paths, const char *text)
{
    char *path = xasprintf("%s/x.pid", paths->run);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    free(path);
}

static void test_pid_files_name_a_process(void **state)
{
    const struct run_paths *paths = *state;
    pid_t pid = 0;
    uint64_t starttime = 0;
    assert_int_equal(run_paths_make(paths, NULL), 0);
    assert_int_equal(run_read_pid(paths, "x", &pid, &starttime, NULL), ERR_NOT_FOUND);
    assert_int_equal(run_write_pid(paths, "x", NULL), 0);
    assert_int_equal(run_read_pid(paths, "x", &pid, &starttime, NULL), 0);
    assert_int_equal(pid, getpid());
    assert_true(run_process_alive(pid, starttime));
    assert_false(run_process_alive(pid, starttime + 1));
    assert_false(run_process_alive(0, starttime));
    run_remove_pid(paths, "x");
    assert_int_equal(run_read_pid(paths, "x", &pid, &starttime, NULL), ERR_NOT_FOUND);
    static const char *const wrong[] = {"", "12", "x 1", "-5 1", "99999999999 1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        write_pid_file(paths, wrong[i]);
        assert_int_equal(run_read_pid(paths, "x", &pid, &starttime, NULL), ERR_MALFORMED);
    }
}

static void test_a_zombie_is_not_alive(void **state)
{
    (void)state;
    uint64_t starttime = 0;
    siginfo_t info;
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    assert_int_equal(run_process_starttime(pid, &starttime, NULL), 0);
    assert_true(run_process_alive(pid, starttime));
    kill(pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_false(run_process_alive(pid, starttime));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(run_process_starttime(pid, &starttime, NULL), ERR_NOT_FOUND);
}

static void test_a_lock_is_held_once(void **state)
{
    const struct run_paths *paths = *state;
    struct err err;
    int first = -1, second = -1;
    assert_int_equal(run_paths_make(paths, NULL), 0);
    assert_int_equal(run_lock(paths, "x", &first, NULL), 0);
    assert_int_equal(run_lock(paths, "x", &second, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.what, "another x runs"));
    assert_int_equal(run_write_pid(paths, "x", NULL), 0);
    assert_int_equal(run_lock(paths, "x", &second, &err), ERR_CONFLICT);
    char number[24];
    snprintf(number, sizeof number, "process %d", getpid());
    assert_non_null(strstr(err.what, number));
    close(first);
    assert_int_equal(run_lock(paths, "x", &second, NULL), 0);
    close(second);
}

static void test_tells_the_service_manager(void **state)
{
    const struct run_paths *paths = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char text[32];
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", paths->dir);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    notify_manager("READY=1");
    assert_int_equal(recv(fd, text, sizeof text, MSG_DONTWAIT), 7);
    assert_memory_equal(text, "READY=1", 7);
    static const char *const nobody[] = {"", "@", "relative", "/nowhere/at/all"};
    for (size_t i = 0; i < sizeof nobody / sizeof nobody[0]; i++) {
        setenv("NOTIFY_SOCKET", nobody[i], 1);
        notify_manager("READY=1");
    }
    unsetenv("NOTIFY_SOCKET");
    notify_manager("READY=1");
    assert_int_equal(recv(fd, text, sizeof text, MSG_DONTWAIT), -1);
    close(fd);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_directory),
        cmocka_unit_test(test_refuses_a_directory_too_long_for_sockets),
        TEST(test_makes_private_directories),
        TEST(test_pid_files_name_a_process),
        cmocka_unit_test(test_a_zombie_is_not_alive),
        TEST(test_a_lock_is_held_once),
        TEST(test_tells_the_service_manager),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
