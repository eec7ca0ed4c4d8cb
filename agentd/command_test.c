/* Real processes in real sandboxes. What a kernel refuses is skipped, and said. */
#include "agentd/command.h"

#include "base/clock.h"
#include "base/limits.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_US (20 * 1000000LL)

struct fixture {
    char dir[128];
    char *scratch_dir;
    int epoll_fd;
    struct sandbox sandbox;
    scratch_t *scratch;
    commands_t *commands;
    /* the newest end */
    size_t ends;
    struct command_end end;
    struct buf output, error;
    uint64_t owner;
};

static void note_end(void *context, uint64_t owner, const struct command_end *end)
{
    struct fixture *self = context;
    self->ends++;
    self->end = *end;
    self->owner = owner;
    buf_clear(&self->output);
    buf_clear(&self->error);
    buf_append_bytes(&self->output, end->output);
    buf_append_bytes(&self->error, end->error_tail);
}

static int open_fixture(struct fixture *self, const char *parent)
{
    *self = (struct fixture){0};
    snprintf(self->dir, sizeof self->dir, "%s/af-command-XXXXXX", parent);
    struct err err = {0};
    if (!mkdtemp(self->dir))
        return -1;
    self->scratch_dir = xasprintf("%s/scratch", self->dir);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (sandbox_init(&self->sandbox, &err) ||
        scratch_new(self->scratch_dir, "inst_test", &self->scratch, &err)) {
        fprintf(stderr, "%s\n", err.what);
        return -1;
    }
    self->commands = commands_new(self->epoll_fd, &self->sandbox, self->scratch, note_end, self);
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void close_fixture(struct fixture *self)
{
    commands_destroy(&self->commands);
    scratch_destroy(&self->scratch);
    sandbox_release(&self->sandbox);
    buf_release(&self->output);
    buf_release(&self->error);
    close(self->epoll_fd);
    nftw(self->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(self->scratch_dir);
}

static int set_up(void **state)
{
    struct fixture *self = xcalloc(1, sizeof *self);
    *state = self;
    int rc = open_fixture(self, "/tmp");
    if (rc == 0 && self->sandbox.shortfall[0])
        print_message("this kernel gives commands less: %s\n", self->sandbox.shortfall);
    return rc;
}

static int tear_down(void **state)
{
    close_fixture(*state);
    free(*state);
    return 0;
}

static void serve(struct fixture *self, int timeout_ms)
{
    struct epoll_event event;
    if (epoll_wait(self->epoll_fd, &event, 1, timeout_ms) == 1)
        commands_event(self->commands, event.data.u64);
}

static void wait_for_end(struct fixture *self)
{
    int64_t until_us = clock_monotonic_us() + PATIENCE_US;
    size_t before = self->ends;
    while (self->ends == before) {
        assert_true(clock_monotonic_us() < until_us);
        serve(self, 100);
    }
}

static uint64_t start_with(struct fixture *self, const char *script, struct bytes input,
                           uint64_t memory_bytes, bool network)
{
    char *const argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                          (char *)(uintptr_t)script, NULL};
    char *const env[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin", (char *)(uintptr_t) "A=b", NULL};
    struct command_spec spec = {.program = "/bin/sh",
                                .argv = argv,
                                .env = env,
                                .input = input,
                                .memory_bytes = memory_bytes,
                                .network = network};
    uint64_t id = 0;
    struct err err = {0};
    if (commands_start(self->commands, &spec, 77, &id, &err))
        fail_msg("%s", err.what);
    return id;
}

static uint64_t start(struct fixture *self, const char *script)
{
    return start_with(self, script, bytes_of(NULL, 0), LIMIT_COMMAND_MEMORY_BYTES, false);
}

static void run(struct fixture *self, const char *script)
{
    start(self, script);
    wait_for_end(self);
    assert_true(self->end.started);
}

static void assert_exited(const struct fixture *self, int status)
{
    assert_true(WIFEXITED(self->end.status));
    if (WEXITSTATUS(self->end.status) != status)
        fail_msg("exit status %d: %s", WEXITSTATUS(self->end.status), buf_string(&self->error));
}

static bool has_namespaces(const struct fixture *self)
{
    return self->sandbox.clone_flags & CLONE_NEWPID;
}

/* --- what it gets, and what comes back
 * -------------------------------------------------------------- */

static void test_output_and_status(void **state)
{
    struct fixture *self = *state;
    run(self, "echo out; echo err >&2; exit 3");
    assert_exited(self, 3);
    assert_string_equal(buf_string(&self->output), "out\n");
    assert_string_equal(buf_string(&self->error), "err\n");
    assert_int_equal(self->owner, 77);
    run(self, "kill -TERM $$");
    assert_true(WIFSIGNALED(self->end.status));
    assert_int_equal(WTERMSIG(self->end.status), SIGTERM);
    assert_int_equal(commands_count(self->commands), 0);
}

static void test_input(void **state)
{
    struct fixture *self = *state;
    size_t size = 1 << 20;
    char *text = xmalloc(size);
    memset(text, 'i', size);
    start_with(self, "cat", bytes_of(text, size), 0, false);
    wait_for_end(self);
    assert_exited(self, 0);
    assert_int_equal(self->output.size, size);
    assert_memory_equal(self->output.data, text, size);
    /* One that doesn't read is not at fault. */
    start_with(self, "exec 0<&-; echo done", bytes_of(text, size), 0, false);
    wait_for_end(self);
    assert_exited(self, 0);
    assert_string_equal(buf_string(&self->output), "done\n");
    free(text);
}

static void test_environment_is_clean(void **state)
{
    struct fixture *self = *state;
    setenv("AF_TEST_SECRET", "secret", 1);
    run(self, "exec /usr/bin/env");
    assert_exited(self, 0);
    const char *text = buf_string(&self->output);
    assert_non_null(strstr(text, "A=b\n"));
    assert_non_null(strstr(text, "HOME=/tmp/af-command-"));
    assert_non_null(strstr(text, "TMPDIR=/tmp/af-command-"));
    assert_null(strstr(text, "secret"));
    unsetenv("AF_TEST_SECRET");
}

static void test_no_descriptor_is_inherited(void **state)
{
    struct fixture *self = *state;
    int open_fd = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
    run(self, "ls /proc/self/fd | tr '\\n' ' '");
    assert_exited(self, 0);
    assert_string_equal(buf_string(&self->output), "0 1 2 3 "); /* 3 is ls' own */
    close(open_fd);
}

static void test_signals_are_as_new(void **state)
{
    struct fixture *self = *state;
    signal(SIGPIPE, SIG_IGN);
    run(self, "grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f2 | tr '\\n' ' '");
    assert_string_equal(buf_string(&self->output), "0000000000000000 0000000000000000 ");
}

static void test_output_is_bounded(void **state)
{
    struct fixture *self = *state;
    run(self, "exec head -c 100000000 /dev/zero");
    assert_true(self->end.output_too_large);
    assert_int_equal(self->end.output.size, 0);
}

static void test_the_tail_of_standard_error_is_kept(void **state)
{
    struct fixture *self = *state;
    run(self, "head -c 1000000 /dev/zero | tr '\\0' e >&2; echo last >&2");
    assert_exited(self, 0);
    assert_int_equal(self->error.size, LIMIT_COMMAND_STDERR_BYTES);
    assert_string_equal(buf_string(&self->error) + self->error.size - 6, "elast\n");
}

static void test_a_program_that_can_not_be_executed(void **state)
{
    struct fixture *self = *state;
    char *path = xasprintf("%s/broken", self->dir);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
    const char script[] = "#!/no/such/interpreter\n";
    assert_int_equal(write(fd, script, sizeof script - 1), sizeof script - 1);
    close(fd);
    char *const argv[] = {path, NULL};
    struct command_spec spec = {.program = path, .argv = argv};
    uint64_t id = 0;
    assert_int_equal(commands_start(self->commands, &spec, 1, &id, NULL), 0);
    wait_for_end(self);
    assert_false(self->end.started);
    assert_int_equal(self->end.failed.stage, SANDBOX_EXEC);
    assert_int_equal(self->end.failed.value, ENOENT);
    free(path);
}

/* --- what it may not do
 * ----------------------------------------------------------------------------- */

static void test_writes_only_to_its_scratch_directory(void **state)
{
    struct fixture *self = *state;
    if (!self->sandbox.landlock_abi) {
        print_message("skipped: this kernel has no Landlock\n");
        skip();
    }
    char *script = xasprintf("echo x >inside && mkdir d && mv inside d/ && cat d/inside &&"
                             " echo x >$TMPDIR/y && echo x >/dev/null || exit 9\n"
                             "echo x >%s/outside 2>/dev/null && exit 1\n"
                             "mkdir %s/directory 2>/dev/null && exit 2\n"
                             "rm -f %s/witness 2>/dev/null && exit 3\n"
                             "ln d/inside %s/link 2>/dev/null && exit 4\n"
                             "echo x >>%s/witness 2>/dev/null && exit 5\nexit 0\n",
                             self->dir, self->dir, self->dir, self->dir, self->dir);
    char *witness = xasprintf("%s/witness", self->dir);
    close(open(witness, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    run(self, script);
    assert_exited(self, 0);
    assert_string_equal(buf_string(&self->output), "x\n");
    assert_int_equal(access(witness, F_OK), 0);
    free(witness);
    free(script);
}

static void test_gains_no_rights(void **state)
{
    struct fixture *self = *state;
    run(self, "grep -E '^(NoNewPrivs|Seccomp|CapEff):' /proc/self/status | cut -f2 | tr '\\n' ' '");
    unsigned long long capabilities = 0;
    int no_new = 0, seccomp = 0;
    assert_int_equal(
        sscanf(buf_string(&self->output), "%llx %d %d", &capabilities, &no_new, &seccomp), 3);
    assert_int_equal(no_new, 1);
    assert_int_equal(seccomp, 2);
    /* CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID */
    assert_int_equal(capabilities & ~0x1fULL, 0);
    run(self, "mount -t tmpfs x /tmp 2>/dev/null");
    assert_int_not_equal(self->end.status, 0);
}

static void test_limits(void **state)
{
    struct fixture *self = *state;
    start_with(self, "ulimit -d; ulimit -c; ulimit -n", bytes_of(NULL, 0), 64 << 20, false);
    wait_for_end(self);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%d\n0\n%d\n", 64 << 10, LIMIT_COMMAND_FILES);
    assert_string_equal(buf_string(&self->output), wanted);
}

static void test_network_only_when_allowed(void **state)
{
    struct fixture *self = *state;
    if (!self->sandbox.network_namespace) {
        print_message("skipped: this kernel gives no network namespace\n");
        skip();
    }
    char ours[128] = "", theirs[128] = "";
    assert_true(readlink("/proc/self/ns/net", ours, sizeof ours - 1) > 0);
    run(self, "readlink /proc/self/ns/net; cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' \\n'");
    assert_int_equal(sscanf(buf_string(&self->output), "%127s", theirs), 1);
    assert_string_not_equal(theirs, ours);
    assert_non_null(strstr(buf_string(&self->output), "\nlo"));
    start_with(self, "readlink /proc/self/ns/net", bytes_of(NULL, 0), 0, true);
    wait_for_end(self);
    assert_int_equal(sscanf(buf_string(&self->output), "%127s", theirs), 1);
    assert_string_equal(theirs, ours);
}

static void test_sees_only_its_own_processes(void **state)
{
    struct fixture *self = *state;
    if (!has_namespaces(self)) {
        print_message("skipped: this kernel gives no process-id namespace\n");
        skip();
    }
    char *script = xasprintf("echo $$; kill -0 %d 2>/dev/null && echo reached", getpid());
    run(self, script);
    assert_string_equal(buf_string(&self->output), "2\n");
    free(script);
}

/* --- its end -------------------------------------------------------------------------------------
 */

/* Held open for reading by all that a command leaves behind: writing fails once all are gone. */
struct witness {
    char *path;
    int fd;
};

static struct witness open_witness(const struct fixture *self)
{
    struct witness witness = {.path = xasprintf("%s/fifo", self->dir), .fd = -1};
    assert_int_equal(mkfifo(witness.path, 0644), 0);
    return witness;
}

static void wait_until_seen(struct fixture *self, struct witness *witness)
{
    int64_t until_us = clock_monotonic_us() + PATIENCE_US;
    while ((witness->fd = open(witness->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0) {
        assert_true(clock_monotonic_us() < until_us);
        serve(self, 5);
    }
}

static void wait_until_gone(struct witness *witness)
{
    int64_t until_us = clock_monotonic_us() + PATIENCE_US;
    while (write(witness->fd, "x", 1) >= 0) {
        assert_true(clock_monotonic_us() < until_us);
        usleep(1000);
    }
    assert_int_equal(errno, EPIPE);
    close(witness->fd);
    free(witness->path);
}

static char *daemoniser(const struct witness *witness, const char *then)
{
    return xasprintf("exec 9<%s\nsetsid sh -c 'sleep 1000 & setsid sleep 1000' >/dev/null 2>&1 &\n"
                     "%s",
                     witness->path, then);
}

static void kill_with_daemons(struct fixture *self)
{
    struct witness witness = open_witness(self);
    char *script = daemoniser(&witness, "sleep 1000");
    uint64_t id = start(self, script);
    wait_until_seen(self, &witness);
    commands_kill(self->commands, id);
    wait_for_end(self);
    assert_true(self->end.killed);
    /* The end is told only when nothing is left. */
    assert_true(write(witness.fd, "x", 1) < 0 && errno == EPIPE);
    wait_until_gone(&witness);
    free(script);
}

static void test_kill_ends_daemons(void **state)
{
    kill_with_daemons(*state);
}

static void test_kill_ends_daemons_without_namespaces(void **state)
{
    struct fixture *self = *state;
    self->sandbox.clone_flags = 0;
    self->sandbox.network_namespace = false;
    kill_with_daemons(self);
}

static void end_with_daemons(struct fixture *self)
{
    struct witness witness = open_witness(self);
    char *script = daemoniser(&witness, "exit 5");
    start(self, script);
    wait_until_seen(self, &witness);
    wait_for_end(self);
    assert_exited(self, 5);
    wait_until_gone(&witness);
    free(script);
}

static void test_exit_ends_daemons(void **state)
{
    end_with_daemons(*state);
}

static void test_exit_ends_daemons_without_namespaces(void **state)
{
    struct fixture *self = *state;
    self->sandbox.clone_flags = 0;
    self->sandbox.network_namespace = false;
    end_with_daemons(self);
}

/* A process that runs a command as agentd does, and is killed in the middle. */
static void parent_dies(struct fixture *self, bool namespaces)
{
    struct witness witness = open_witness(self);
    char *script = daemoniser(&witness, "sleep 1000");
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct fixture own;
        if (open_fixture(&own, self->dir) != 0)
            _exit(1);
        if (!namespaces) {
            own.sandbox.clone_flags = 0;
            own.sandbox.network_namespace = false;
        }
        start(&own, script);
        for (;;)
            serve(&own, 1000);
    }
    wait_until_seen(self, &witness);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    wait_until_gone(&witness);
    free(script);
}

static void test_death_of_the_parent_ends_all(void **state)
{
    parent_dies(*state, true);
}

static void test_death_of_the_parent_ends_all_without_namespaces(void **state)
{
    parent_dies(*state, false);
}

static void test_destroy_ends_all(void **state)
{
    struct fixture *self = *state;
    struct witness witness = open_witness(self);
    char *script = daemoniser(&witness, "sleep 1000");
    start(self, script);
    wait_until_seen(self, &witness);
    commands_destroy(&self->commands);
    assert_int_equal(self->ends, 0);
    wait_until_gone(&witness);
    free(script);
}

static void test_as_a_user_without_rights(void **state)
{
    struct fixture *self = *state;
    if (geteuid() != 0) {
        print_message("skipped: all of these tests run without rights\n");
        skip();
    }
    (void)self;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct fixture own;
        if (setgid(65534) || setuid(65534) || open_fixture(&own, "/tmp"))
            _exit(10);
        start(&own, "id -u; echo x >inside || exit 7; echo x >/tmp/af-outside && exit 8; exit 3");
        for (int i = 0; i < 200 && !own.ends; i++)
            serve(&own, 100);
        bool well = own.end.started && WIFEXITED(own.end.status) &&
                    WEXITSTATUS(own.end.status) == 3 &&
                    strcmp(buf_string(&own.output), "65534\n") == 0;
        if (!well)
            fprintf(stderr, "stage %d value %d status %d: %s%s\n", own.end.failed.stage,
                    own.end.failed.value, own.end.status, buf_string(&own.output),
                    buf_string(&own.error));
        close_fixture(&own);
        _exit(well ? 0 : 11);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- scratch
 * -------------------------------------------------------------------------------------- */

static size_t count_entries(const char *path)
{
    size_t count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void test_scratch_is_removed(void **state)
{
    struct fixture *self = *state;
    char *path = xasprintf("%s/inst_test", self->scratch_dir);
    run(self, "for i in $(seq 1500); do : >f$i; done; mkdir a; : >a/f; chmod 000 a\n"
              "d=.; for i in $(seq 150); do mkdir -p $d/deep; cd $d/deep; done; pwd | wc -c");
    assert_exited(self, 0);
    assert_int_equal(count_entries(path), 1);
    int rounds = 0;
    while (scratch_sweep(self->scratch))
        assert_true(++rounds < 100);
    assert_true(rounds > 0); /* more than one round's budget */
    assert_int_equal(count_entries(path), 0);
    free(path);
}

static void test_scratch_of_dead_instances_is_removed(void **state)
{
    struct fixture *self = *state;
    char *abandoned = xasprintf("%s/inst_dead/1", self->scratch_dir);
    char *parent = xasprintf("%s/inst_dead", self->scratch_dir);
    assert_int_equal(mkdir(parent, 0700), 0);
    assert_int_equal(mkdir(abandoned, 0700), 0);
    scratch_t *other = NULL;
    assert_int_equal(scratch_new(self->scratch_dir, "inst_other", &other, NULL), 0);
    while (scratch_sweep(other)) {
    }
    assert_int_equal(access(parent, F_OK), -1);
    char *living = xasprintf("%s/inst_test", self->scratch_dir);
    assert_int_equal(access(living, F_OK), 0);
    struct err err = {0};
    scratch_t *second = NULL;
    assert_int_equal(scratch_new(self->scratch_dir, "inst_test", &second, &err), ERR_CONFLICT);
    scratch_destroy(&other);
    free(living);
    free(parent);
    free(abandoned);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_output_and_status),
        TEST(test_input),
        TEST(test_environment_is_clean),
        TEST(test_no_descriptor_is_inherited),
        TEST(test_signals_are_as_new),
        TEST(test_output_is_bounded),
        TEST(test_the_tail_of_standard_error_is_kept),
        TEST(test_a_program_that_can_not_be_executed),
        TEST(test_writes_only_to_its_scratch_directory),
        TEST(test_gains_no_rights),
        TEST(test_limits),
        TEST(test_network_only_when_allowed),
        TEST(test_sees_only_its_own_processes),
        TEST(test_kill_ends_daemons),
        TEST(test_kill_ends_daemons_without_namespaces),
        TEST(test_exit_ends_daemons),
        TEST(test_exit_ends_daemons_without_namespaces),
        TEST(test_death_of_the_parent_ends_all),
        TEST(test_death_of_the_parent_ends_all_without_namespaces),
        TEST(test_destroy_ends_all),
        TEST(test_as_a_user_without_rights),
        TEST(test_scratch_is_removed),
        TEST(test_scratch_of_dead_instances_is_removed),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
