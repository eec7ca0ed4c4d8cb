#include "agentd/fixture.h"

#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

extern char **environ;

static pid_t spawn(const char *program, const char *const *arguments)
{
    pid_t pid = 0;
    int rc = posix_spawn(&pid, program, NULL, NULL, (char *const *)(uintptr_t)arguments, environ);
    assert_int_equal(rc, 0);
    return pid;
}

void fixture_start(struct fixture *self, const char *name)
{
    char instance[TYPEID_TEXT_SIZE];
    const char *const arguments[] = {"agentd",
                                     "--agent",
                                     name,
                                     "--instance",
                                     typeid_text("inst", uuid_new(), instance),
                                     "--broker",
                                     self->paths.broker_endpoint,
                                     "--agents",
                                     self->agents,
                                     "--scratch",
                                     self->paths.scratch,
                                     NULL};
    self->agentd = spawn(AGENTD, arguments);
}

/* The definition in its canonical form, whose agent is called "a". */
void fixture_serve(struct fixture *self, const char *definition_json)
{
    fake_init(&self->fake, self->paths.broker_endpoint, definition_json);
    fixture_start(self, "a");
    fake_wait(&self->fake, fake_linked);
}

int fixture_set_up(void **state)
{
    struct fixture *self = xcalloc(1, sizeof *self);
    snprintf(self->dir, sizeof self->dir, "/tmp/af-agentd-XXXXXX");
    if (!mkdtemp(self->dir) || run_paths_init(&self->paths, self->dir, NULL) != 0 ||
        run_paths_make(&self->paths, NULL) != 0)
        return -1;
    self->agents = xasprintf("%s/agents", self->dir);
    (void)mkdir(self->agents, 0700);
    const char *const arguments[] = {"brokerd", "--dir", self->dir, NULL};
    self->broker = spawn(BROKERD, arguments);
    self->execution = uuid_new();
    *state = self;
    return 0;
}

int fixture_stop(pid_t *pid, int signal_number)
{
    int status = 0;
    if (*pid <= 0)
        return 0;
    kill(*pid, signal_number);
    assert_int_equal(waitpid(*pid, &status, 0), *pid);
    *pid = 0;
    return status;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

int fixture_tear_down(void **state)
{
    struct fixture *self = *state;
    fixture_stop(&self->agentd, SIGKILL);
    if (self->fake.peer)
        fake_release(&self->fake);
    fixture_stop(&self->broker, SIGTERM);
    nftw(self->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    run_paths_release(&self->paths);
    free(self->agents);
    free(self);
    return 0;
}

void fixture_write_program(const struct fixture *self, const char *name, const char *script)
{
    char *path = xasprintf("%s/%s", self->agents, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, script, strlen(script)), (ssize_t)strlen(script));
    close(fd);
    free(path);
}

void fixture_assert_output(const struct fake_step *step, const char *json)
{
    value_t *wanted = NULL;
    assert_int_equal(value_from_json(json, strlen(json), &wanted, NULL), 0);
    if (step->failed)
        fail_msg("%s: %s", step->code, step->message);
    struct buf got = {0};
    value_to_json(step->output, 0, &got);
    if (!value_equal(step->output, wanted))
        fail_msg("got %.300s, wanted %s", buf_string(&got), json);
    buf_release(&got);
    value_destroy(&wanted);
}

struct witness witness_open(const struct fixture *self)
{
    struct witness witness = {.path = xasprintf("%s/witness", self->agents)};
    assert_int_equal(mkfifo(witness.path, 0600), 0);
    return witness;
}

/* A writer can be opened without blocking as soon as the command has the other end open. */
void witness_wait_until_seen(struct fixture *self, struct witness *witness)
{
    int64_t until_us = clock_monotonic_us() + FAKE_PATIENCE_US;
    while ((witness->fd = open(witness->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0) {
        assert_int_equal(errno, ENXIO);
        assert_true(clock_monotonic_us() < until_us);
        fake_serve_for(&self->fake, 2000);
    }
}

bool witness_is_gone(const struct witness *witness)
{
    return write(witness->fd, "", 0) == 0 && write(witness->fd, "x", 1) < 0 && errno == EPIPE;
}

void witness_wait_until_gone(struct fixture *self, struct witness *witness)
{
    int64_t until_us = clock_monotonic_us() + FAKE_PATIENCE_US;
    while (!witness_is_gone(witness)) {
        assert_true(clock_monotonic_us() < until_us);
        fake_serve_for(&self->fake, 2000);
    }
    close(witness->fd);
    unlink(witness->path);
    free(witness->path);
}

/* Leaves a daemon behind, in a session of its own, that also holds the witness. */
void fixture_write_daemoniser(const struct fixture *self)
{
    char *script = xasprintf("#!/bin/sh\nexec 9<%s/witness\n"
                             "setsid sh -c 'sleep 1000 & sleep 1000' >/dev/null 2>&1 &\n"
                             "[ \"$AF_TASK\" = ends ] && exit 0\nsleep 1000\n",
                             self->agents);
    fixture_write_program(self, "daemoniser", script);
    free(script);
}
