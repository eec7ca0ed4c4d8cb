/* A real hostd process, a real broker, a coordinator played by this program, and a script that
 * plays agentd: it does what its agent's name says. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/run.h"
#include "proto/link.h"
#include "proto/peer.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

/* No test waits that long unless it is going to fail. */
#define PATIENCE_US (30 * LIMIT_SECOND_US)
#define REPORTS_MAX 256

extern char **environ;

/* Writes the process ids of what it starts below it: one in its session, one that has left it. */
static const char AGENTD[] =
    "#!/bin/sh\n"
    "args=\"$*\"\n"
    "while [ $# -gt 1 ]; do\n"
    "  case $1 in --agent) agent=$2 ;; --instance) instance=$2 ;; --agents) dir=$2 ;; esac\n"
    "  shift 2\n"
    "done\n"
    "case $agent in\n"
    "crash) echo 'one line' >&2; echo \"boom of $instance\" >&2; exit 3 ;;\n"
    "stubborn) trap '' TERM ;;\n"
    "esac\n"
    "sleep 1000 &\n"
    "inside=$!\n"
    "setsid sleep 1000 &\n"
    "outside=$!\n"
    "echo \"$inside $outside $args\" >\"$dir/$instance.new\"\n"
    "mv \"$dir/$instance.new\" \"$dir/$instance\"\n"
    "while :; do wait; done\n";

struct seen {
    char instance[TYPEID_TEXT_SIZE];
    char agent[LIMIT_NAME_BYTES + 1];
    char tail[512];
    char stopped[128];
    struct wire_process process; /* its texts are gone */
};

struct fixture {
    struct run_paths paths;
    char *agentd, *agents;
    pid_t broker, host;
    peer_t *peer;
    link_t *link;
    char host_address[LIMIT_ADDRESS_BYTES + 1];
    uint64_t counter, number;
    struct message message;
    struct seen seen[REPORTS_MAX];
    size_t seen_count;
    unsigned welcomes;
};

static pid_t spawn(const char *program, const char *const *arguments, int stderr_fd)
{
    pid_t pid = 0;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (stderr_fd >= 0)
        posix_spawn_file_actions_adddup2(&actions, stderr_fd, STDERR_FILENO);
    int rc =
        posix_spawn(&pid, program, &actions, NULL, (char *const *)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(rc, 0);
    return pid;
}

static void start_host(struct fixture *self, const char *option)
{
    const char *const arguments[] = {"hostd",      "--dir",      self->paths.dir,
                                     "--agentd",   self->agentd, "--agents",
                                     self->agents, option,       NULL};
    self->host = spawn(HOSTD, arguments, -1);
}

static int end_process(pid_t *pid_p, int signal_number)
{
    int status = 0;
    if (*pid_p <= 0)
        return 0;
    kill(*pid_p, signal_number);
    assert_int_equal(waitpid(*pid_p, &status, 0), *pid_p);
    *pid_p = 0;
    return status;
}

/* The coordinator. */

static void send_link(void *context, const struct wire_body *body)
{
    struct fixture *self = context;
    const struct wire_route route = {.kind = body->kind, .to = self->host_address};
    (void)!peer_send(self->peer, &route, body, (struct bytes){0}, NULL);
}

static void take_hello(struct fixture *self, const struct wire_hello *hello, int64_t now_us)
{
    if (self->link && link_receive_hello(self->link, hello, now_us) != LINK_HELLO_NEW)
        return;
    assert_string_equal(hello->role, "host");
    link_destroy(&self->link);
    snprintf(self->host_address, sizeof self->host_address, "%s", self->message.route.from);
    struct wire_link_id id = {.epoch = 1, .counter = ++self->counter};
    self->link = link_new_coordinator(id, hello, now_us, send_link, self);
    link_welcome(self->link, NULL, 0, now_us);
    self->welcomes++;
}

static void note(struct fixture *self, const struct wire_process *process)
{
    assert_true(self->seen_count < REPORTS_MAX);
    struct seen *seen = &self->seen[self->seen_count++];
    seen->process = *process;
    snprintf(seen->instance, sizeof seen->instance, "%s", process->instance);
    snprintf(seen->agent, sizeof seen->agent, "%s", process->agent);
    snprintf(seen->tail, sizeof seen->tail, "%s", process->stderr_tail);
    snprintf(seen->stopped, sizeof seen->stopped, "%s", process->stopped);
}

static void take_items(struct fixture *self, struct bytes bytes, int64_t now_us)
{
    struct wire_items items;
    assert_int_equal(wire_decode_items(&self->message.arena, bytes, &items, NULL), 0);
    for (size_t i = 0; i < items.count; i++)
        if (items.items[i].kind == WIRE_ITEM_PROCESS)
            note(self, &items.items[i].process);
    link_commit(self->link, link_received(self->link));
    link_flush(self->link, now_us);
}

static void pump(struct fixture *self)
{
    zmq_pollitem_t item = {.socket = peer_socket(self->peer), .events = ZMQ_POLLIN};
    zmq_poll(&item, 1, 20);
    int64_t now_us = clock_monotonic_us();
    while (peer_receive(self->peer, &self->message, now_us, NULL) == 0) {
        struct bytes items;
        if (self->message.body.kind == WIRE_LINK_HELLO)
            take_hello(self, &self->message.body.hello, now_us);
        else if (self->link &&
                 link_receive(self->link, &self->message.body, now_us, &items) == LINK_ITEMS)
            take_items(self, items, now_us);
    }
    peer_tick(self->peer, now_us);
    if (self->link && link_tick(self->link, now_us) == LINK_ENDED)
        link_destroy(&self->link);
}

static void wait_welcomes(struct fixture *self, unsigned count)
{
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    while (self->welcomes < count) {
        if (clock_monotonic_us() > end_us)
            fail_msg("hostd said no hello");
        pump(self);
    }
}

/* The next report that is not taken yet of this agent, up or down. */
static struct seen expect(struct fixture *self, const char *agent, bool up)
{
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    for (;;) {
        for (size_t i = 0; i < self->seen_count; i++) {
            struct seen seen = self->seen[i];
            if (strcmp(seen.agent, agent) != 0 || seen.process.up != up)
                continue;
            self->seen_count--;
            memmove(self->seen + i, self->seen + i + 1,
                    (self->seen_count - i) * sizeof self->seen[0]);
            return seen;
        }
        if (clock_monotonic_us() > end_us)
            fail_msg("no report came that an instance of %s is %s", agent, up ? "up" : "down");
        pump(self);
    }
}

static void wish(struct fixture *self, const char *agent, uint32_t instances)
{
    const struct wire_planned planned = {
        .agent = agent, .instances = instances, .memory_bytes = 12345678};
    const struct wire_item item = {
        .kind = WIRE_ITEM_PLAN,
        .plan = {.number = ++self->number, .agents = &planned, .agents_count = agent ? 1 : 0}};
    struct buf items = {0};
    wire_append_item(&item, &items);
    assert_int_equal(link_send(self->link, buf_bytes(&items), clock_monotonic_us(), NULL), 0);
    buf_release(&items);
}

/* What runs. */

struct below {
    pid_t inside, outside;
    char arguments[1024];
};

static struct below read_below(struct fixture *self, const char *instance)
{
    struct below below = {0};
    char *path = xasprintf("%s/%s", self->agents, instance);
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    FILE *file = NULL;
    while (!(file = fopen(path, "r")) && clock_monotonic_us() < end_us)
        pump(self);
    assert_non_null(file);
    int inside = 0, outside = 0;
    assert_int_equal(fscanf(file, "%d %d %1023[^\n]", &inside, &outside, below.arguments), 3);
    fclose(file);
    free(path);
    below.inside = inside;
    below.outside = outside;
    return below;
}

static bool lives(pid_t pid)
{
    uint64_t starttime = 0;
    return run_process_starttime(pid, &starttime, NULL) == 0 && run_process_alive(pid, starttime);
}

/* The script says its number before setsid has done its work. */
static void wait_own_session(struct fixture *self, pid_t pid, pid_t session)
{
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    while (getsid(pid) == session && clock_monotonic_us() < end_us)
        pump(self);
    assert_int_not_equal(getsid(pid), session);
}

static size_t count_records(const struct fixture *self)
{
    size_t count = 0;
    char *path = xasprintf("%s/instances", self->paths.run);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    free(path);
    return count;
}

static void wait_records(struct fixture *self, size_t count)
{
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    while (count_records(self) != count) {
        if (clock_monotonic_us() > end_us)
            fail_msg("%zu records are there instead of %zu", count_records(self), count);
        pump(self);
    }
}

/* Fixture. */

static void write_program(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
    assert_int_equal(chmod(path, 0700), 0);
}

static int set_up(void **state)
{
    char dir[] = "/tmp/af-host-XXXXXX";
    struct fixture *self = xcalloc(1, sizeof *self);
    struct err err;
    *state = self;
    /* What a killed hostd leaves comes to this program, which ends it in tear_down. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (!mkdtemp(dir) || run_paths_init(&self->paths, dir, NULL) ||
        run_paths_make(&self->paths, NULL))
        return -1;
    self->agents = xasprintf("%s/agents", dir);
    self->agentd = xasprintf("%s/agentd", dir);
    write_program(self->agentd, AGENTD);
    const char *const arguments[] = {"brokerd", "--dir", dir, NULL};
    self->broker = spawn(BROKERD, arguments, -1);
    const struct peer_options options = {
        .endpoint = self->paths.broker_endpoint, .address = "coordinator", .program = "hostd_test"};
    if (peer_new(&options, &self->peer, &err) != 0)
        return -1;
    start_host(self, NULL);
    wait_welcomes(self, 1);
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

/* Ends what was handed to this program by hostd's death, as long as there is something. */
static void end_children(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    for (;;) {
        FILE *file = fopen(path, "r");
        int pid = 0, count = 0;
        while (file && fscanf(file, "%d", &pid) == 1) {
            kill(pid, SIGKILL);
            count++;
        }
        if (file)
            fclose(file);
        if (count == 0)
            return;
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
}

static int tear_down(void **state)
{
    struct fixture *self = *state;
    end_process(&self->host, SIGKILL);
    end_process(&self->broker, SIGKILL);
    end_children();
    message_release(&self->message);
    link_destroy(&self->link);
    peer_destroy(&self->peer);
    nftw(self->paths.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    run_paths_release(&self->paths);
    free(self->agents);
    free(self->agentd);
    free(self);
    return 0;
}

/* Tests. */

static void test_runs_what_the_plan_wishes(void **state)
{
    struct fixture *self = *state;
    wish(self, "steady", 2);
    struct seen one = expect(self, "steady", true);
    struct seen two = expect(self, "steady", true);
    assert_string_not_equal(one.instance, two.instance);
    assert_true(one.process.boot > 0);
    assert_true(lives((pid_t)one.process.pid));
    assert_int_equal(getsid((pid_t)one.process.pid), one.process.pid);
    assert_int_equal(count_records(self), 2);
    struct below below = read_below(self, one.instance);
    assert_non_null(strstr(below.arguments, "--agent steady --instance inst_"));
    assert_non_null(strstr(below.arguments, "--memory 12345678"));
    assert_non_null(strstr(below.arguments, "--host host_"));
    assert_non_null(strstr(below.arguments, self->paths.broker_endpoint));

    wish(self, "steady", 1);
    struct seen over = expect(self, "steady", false);
    assert_string_equal(over.instance, two.instance);
    assert_int_equal(over.process.signal, SIGTERM);
    assert_string_equal(over.stopped, "");
    wish(self, NULL, 0);
    over = expect(self, "steady", false);
    assert_string_equal(over.instance, one.instance);
    wait_records(self, 0);
}

static void test_a_killed_process_leaves_nothing_and_comes_back(void **state)
{
    struct fixture *self = *state;
    wish(self, "steady", 1);
    struct seen one = expect(self, "steady", true);
    struct below below = read_below(self, one.instance);
    assert_true(lives(below.inside) && lives(below.outside));
    wait_own_session(self, below.outside, (pid_t)one.process.pid);
    kill((pid_t)one.process.pid, SIGKILL);
    struct seen over = expect(self, "steady", false);
    assert_false(lives(below.inside));
    assert_false(lives(below.outside));
    assert_string_equal(over.instance, one.instance);
    assert_true(over.process.boot == one.process.boot);
    assert_int_equal(over.process.signal, SIGKILL);
    assert_int_equal(over.process.restarts, 1);
    struct seen two = expect(self, "steady", true);
    assert_string_not_equal(two.instance, one.instance);
    assert_true(two.process.boot > one.process.boot);
    wait_records(self, 1);
}

static void test_tells_what_a_crashed_process_said(void **state)
{
    struct fixture *self = *state;
    wish(self, "crash", 1);
    for (uint32_t i = 1; i <= 3; i++) {
        struct seen over = expect(self, "crash", false);
        assert_int_equal(over.process.exit_status, 3);
        assert_int_equal(over.process.signal, 0);
        assert_int_equal(over.process.restarts, i);
        assert_non_null(strstr(over.tail, "one line\nboom of inst_"));
        assert_non_null(strstr(over.tail, over.instance));
        assert_string_equal(over.stopped, "");
    }
    char *path = xasprintf("%s/agentd-crash.log", self->paths.log);
    assert_int_equal(access(path, R_OK), 0);
    free(path);
}

static void test_kills_what_does_not_end(void **state)
{
    struct fixture *self = *state;
    wish(self, "stubborn", 1);
    struct seen one = expect(self, "stubborn", true);
    (void)read_below(self, one.instance);
    wish(self, NULL, 0);
    struct seen over = expect(self, "stubborn", false);
    assert_string_equal(over.instance, one.instance);
    assert_int_equal(over.process.signal, SIGKILL);
}

static void test_tells_of_what_can_not_be_started(void **state)
{
    struct fixture *self = *state;
    write_program(self->agentd, "no program at all");
    assert_int_equal(chmod(self->agentd, 0600), 0);
    wish(self, "steady", 1);
    struct seen over = expect(self, "steady", false);
    assert_int_equal(over.process.exit_status, 127);
    assert_non_null(strstr(over.tail, "agentd can't be started"));
    write_program(self->agentd, AGENTD);
    (void)expect(self, "steady", true);
}

static void test_processes_outlive_hostd(void **state)
{
    struct fixture *self = *state;
    wish(self, "steady", 1);
    struct seen one = expect(self, "steady", true);
    (void)read_below(self, one.instance);
    end_process(&self->host, SIGKILL);
    assert_true(lives((pid_t)one.process.pid));
    start_host(self, NULL);
    wait_welcomes(self, 2);
    struct seen same = expect(self, "steady", true);
    assert_string_equal(same.instance, one.instance);
    assert_int_equal(same.process.pid, one.process.pid);
    assert_true(same.process.boot == one.process.boot);
    wish(self, "steady", 1);
    kill((pid_t)one.process.pid, SIGKILL);
    struct seen over = expect(self, "steady", false);
    assert_string_equal(over.instance, one.instance);
    struct seen next = expect(self, "steady", true);
    assert_string_not_equal(next.instance, one.instance);
    wait_records(self, 1);
}

static void test_reports_what_ended_without_it(void **state)
{
    struct fixture *self = *state;
    wish(self, "steady", 1);
    struct seen one = expect(self, "steady", true);
    struct below below = read_below(self, one.instance);
    end_process(&self->host, SIGKILL);
    kill((pid_t)one.process.pid, SIGKILL);
    assert_int_equal(waitpid((pid_t)one.process.pid, NULL, 0), (pid_t)one.process.pid);
    assert_true(lives(below.inside));
    start_host(self, NULL);
    struct seen over = expect(self, "steady", false);
    assert_string_equal(over.instance, one.instance);
    assert_false(lives(below.inside));
    wait_records(self, 0);
}

/* hostd was killed between the start of a process and noting its number. */
static void test_finds_a_process_by_its_instance(void **state)
{
    struct fixture *self = *state;
    wish(self, "steady", 1);
    struct seen one = expect(self, "steady", true);
    (void)read_below(self, one.instance);
    end_process(&self->host, SIGKILL);
    char *path = xasprintf("%s/instances/%s", self->paths.run, one.instance);
    write_program(path, "0 0 77 0 0 steady\n");
    free(path);
    start_host(self, NULL);
    struct seen same = expect(self, "steady", true);
    assert_string_equal(same.instance, one.instance);
    assert_int_equal(same.process.pid, one.process.pid);
    assert_int_equal(same.process.boot, 77);
}

static void test_tells_all_anew_on_a_new_link(void **state)
{
    struct fixture *self = *state;
    wish(self, "steady", 2);
    struct seen one = expect(self, "steady", true);
    (void)expect(self, "steady", true);
    link_destroy(&self->link);
    struct wire_body body = {.kind = WIRE_LINK_RESET,
                             .reset = {.link = {.epoch = 1, .counter = self->counter}}};
    send_link(self, &body);
    wait_welcomes(self, 2);
    struct seen same = expect(self, "steady", true);
    assert_string_equal(same.instance, one.instance);
    (void)expect(self, "steady", true);
    /* Numbers are the coordinator's own: a new one begins where it likes. */
    self->number = 0;
    wish(self, NULL, 0);
    (void)expect(self, "steady", false);
    (void)expect(self, "steady", false);
}

static void test_ends_with_all_its_processes(void **state)
{
    struct fixture *self = *state;
    wish(self, "steady", 2);
    struct seen one = expect(self, "steady", true);
    struct below below = read_below(self, one.instance);
    (void)expect(self, "steady", true);
    kill(self->host, SIGTERM);
    (void)expect(self, "steady", false);
    (void)expect(self, "steady", false);
    int status = end_process(&self->host, SIGTERM);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_false(lives((pid_t)one.process.pid));
    assert_false(lives(below.inside));
    assert_int_equal(count_records(self), 0);
}

static void test_keeps_its_processes_when_told_so(void **state)
{
    struct fixture *self = *state;
    end_process(&self->host, SIGTERM);
    start_host(self, "--keep");
    wait_welcomes(self, 2);
    wish(self, "steady", 1);
    struct seen one = expect(self, "steady", true);
    (void)read_below(self, one.instance);
    int status = end_process(&self->host, SIGTERM);
    assert_true(WIFEXITED(status));
    assert_true(lives((pid_t)one.process.pid));
    assert_int_equal(count_records(self), 1);
}

static void expect_refusal(const char *const *arguments, const char *said)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = spawn(HOSTD, arguments, ends[1]);
    close(ends[1]);
    char text[2048] = "";
    size_t size = 0;
    for (ssize_t got; (got = read(ends[0], text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)got;
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    if (!strstr(text, said))
        fail_msg("\"%s\" is not in: %s", said, text);
}

static void test_refuses_what_can_not_work(void **state)
{
    struct fixture *self = *state;
    const char *const second[] = {"hostd", "--dir", self->paths.dir, NULL};
    expect_refusal(second, "another hostd runs on this directory");
    char *other = xasprintf("%s/other", self->paths.dir);
    const char *const missing[] = {"hostd", "--dir", other, "--agentd", "/no/agentd", NULL};
    expect_refusal(missing, "/no/agentd");
    free(other);
    const char *const host[] = {"hostd", "--dir", self->paths.dir, "--host", "me", NULL};
    expect_refusal(host, "--host is not an id");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_runs_what_the_plan_wishes),
        TEST(test_a_killed_process_leaves_nothing_and_comes_back),
        TEST(test_tells_what_a_crashed_process_said),
        TEST(test_kills_what_does_not_end),
        TEST(test_tells_of_what_can_not_be_started),
        TEST(test_processes_outlive_hostd),
        TEST(test_reports_what_ended_without_it),
        TEST(test_finds_a_process_by_its_instance),
        TEST(test_tells_all_anew_on_a_new_link),
        TEST(test_ends_with_all_its_processes),
        TEST(test_keeps_its_processes_when_told_so),
        TEST(test_refuses_what_can_not_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
