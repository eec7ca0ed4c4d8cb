#include "agentd/command.h"

#include "base/limits.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum stream { INPUT, OUTPUT, ERROR, REPORT, PIDFD, STREAMS };
enum {
    SLOT_BITS = 16,
    STREAM_BITS = 3,
    READ_BYTES = 16 << 10,
    READS = 64, /* of one event, so that one command can't keep the loop for itself */
};

struct command {
    uint64_t id, owner;
    int fds[STREAMS];
    struct buf input;
    size_t written;
    struct buf output, error;
    bool output_too_large, killed;
    char *directory;
};

struct commands {
    int epoll_fd;
    const struct sandbox *sandbox;
    scratch_t *scratch;
    command_ended_fn ended;
    void *context;
    struct command **slots;
    size_t slots_count, count;
    uint64_t generation;
};

commands_t *commands_new(int epoll_fd, const struct sandbox *sandbox, scratch_t *scratch,
                         command_ended_fn ended, void *context)
{
    commands_t *self = xcalloc(1, sizeof *self);
    *self = (struct commands){.epoll_fd = epoll_fd,
                              .sandbox = sandbox,
                              .scratch = scratch,
                              .ended = ended,
                              .context = context};
    return self;
}

static struct command *find(const commands_t *self, uint64_t id)
{
    size_t slot = id & ((1u << SLOT_BITS) - 1);
    if (slot >= self->slots_count || !self->slots[slot] || self->slots[slot]->id != id)
        return NULL;
    return self->slots[slot];
}

static struct command *add(commands_t *self)
{
    size_t slot = 0;
    while (slot < self->slots_count && self->slots[slot])
        slot++;
    CHECK(slot < 1u << SLOT_BITS);
    if (slot == self->slots_count)
        self->slots = xrealloc(self->slots, ++self->slots_count * sizeof(struct command *));
    struct command *command = xcalloc(1, sizeof *command);
    command->id = ++self->generation << SLOT_BITS | slot;
    for (int i = 0; i < STREAMS; i++)
        command->fds[i] = -1;
    self->slots[slot] = command;
    self->count++;
    return command;
}

/* Taken out of the epoll set by hand: a child that was just forked may hold a copy for a moment,
 * which would keep it there. */
static void close_stream(commands_t *self, struct command *command, enum stream stream)
{
    if (command->fds[stream] < 0)
        return;
    (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, command->fds[stream], NULL);
    close(command->fds[stream]);
    command->fds[stream] = -1;
}

static void forget(commands_t *self, struct command *command)
{
    for (int i = 0; i < STREAMS; i++)
        close_stream(self, command, (enum stream)i);
    buf_release(&command->input);
    buf_release(&command->output);
    buf_release(&command->error);
    scratch_discard(self->scratch, &command->directory);
    self->slots[command->id & ((1u << SLOT_BITS) - 1)] = NULL;
    free(command);
    if (--self->count == 0) {
        free(self->slots);
        self->slots = NULL;
        self->slots_count = 0;
    }
}

static int watch(commands_t *self, struct command *command, enum stream stream, uint32_t events)
{
    struct epoll_event event = {.events = events,
                                .data.u64 = command->id << STREAM_BITS | (uint64_t)stream};
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, command->fds[stream], &event);
}

static int watch_all(commands_t *self, struct command *command, struct err *err)
{
    int rc = watch(self, command, PIDFD, EPOLLIN);
    rc |= watch(self, command, OUTPUT, EPOLLIN);
    rc |= watch(self, command, ERROR, EPOLLIN);
    if (command->input.size)
        rc |= watch(self, command, INPUT, EPOLLOUT);
    else
        close_stream(self, command, INPUT);
    if (rc < 0)
        return err_set(err, ERR_LIMIT, "the command's pipes can't be watched: %s", strerror(errno));
    return 0;
}

/* theirs: the ends for the command, blocking; ours: non-blocking. */
static int make_pipes(struct command *command, int theirs[STREAMS], struct err *err)
{
    for (int i = 0; i < PIDFD; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
            return err_set(err, ERR_LIMIT, "a pipe can't be made: %s", strerror(errno));
        int ours = i == INPUT ? ends[1] : ends[0];
        theirs[i] = i == INPUT ? ends[0] : ends[1];
        command->fds[i] = ours;
        if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
            return err_set(err, ERR_IO, "fcntl: %s", strerror(errno));
    }
    return 0;
}

/* The environment is what the owner gives, and where the scratch directory is. */
static char **make_env(char *const *env, const char *directory)
{
    size_t count = 0;
    while (env && env[count])
        count++;
    char **all = xcalloc(count + 3, sizeof all[0]);
    all[0] = xasprintf("HOME=%s", directory);
    all[1] = xasprintf("TMPDIR=%s", directory);
    for (size_t i = 0; i < count; i++)
        all[2 + i] = env[i];
    return all;
}

static void free_env(char **env)
{
    free(env[0]);
    free(env[1]);
    free(env);
}

static int launch(commands_t *self, struct command *command, const struct command_spec *spec,
                  const int theirs[STREAMS], struct err *err)
{
    char **env = make_env(spec->env, command->directory);
    struct sandbox_spec sandboxed = {
        .program = spec->program,
        .argv = spec->argv,
        .env = env,
        .directory = command->directory,
        .input = theirs[INPUT],
        .output = theirs[OUTPUT],
        .error = theirs[ERROR],
        .report = theirs[REPORT],
        .memory_bytes = spec->memory_bytes,
        .network = spec->network,
    };
    int rc = sandbox_start(self->sandbox, &sandboxed, &command->fds[PIDFD], err);
    free_env(env);
    return rc;
}

static void reap(struct command *command)
{
    siginfo_t info;
    while (waitid(P_PIDFD, (id_t)command->fds[PIDFD], &info, WEXITED) < 0 && errno == EINTR) {
    }
}

int commands_start(commands_t *self, const struct command_spec *spec, uint64_t owner,
                   uint64_t *ret_id, struct err *err)
{
    struct command *command = add(self);
    int theirs[STREAMS] = {-1, -1, -1, -1, -1};
    command->owner = owner;
    buf_append_bytes(&command->input, spec->input);
    int rc = scratch_make(self->scratch, &command->directory, err);
    if (!rc)
        rc = make_pipes(command, theirs, err);
    if (!rc)
        rc = launch(self, command, spec, theirs, err);
    for (int i = 0; i < STREAMS; i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    if (!rc)
        rc = watch_all(self, command, err);
    if (rc) {
        if (command->fds[PIDFD] >= 0) {
            sandbox_kill(self->sandbox, command->fds[PIDFD]);
            reap(command);
        }
        forget(self, command);
        return rc;
    }
    *ret_id = command->id;
    return 0;
}

static void kill_command(commands_t *self, struct command *command)
{
    command->killed = true;
    sandbox_kill(self->sandbox, command->fds[PIDFD]);
}

void commands_kill(commands_t *self, uint64_t id)
{
    struct command *command = find(self, id);
    if (command && !command->killed)
        kill_command(self, command);
}

static void write_input(commands_t *self, struct command *command)
{
    while (command->written < command->input.size) {
        ssize_t n = write(command->fds[INPUT], command->input.data + command->written,
                          command->input.size - command->written);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        /* A command that doesn't read its input isn't at fault. */
        if (n < 0)
            break;
        command->written += (size_t)n;
    }
    close_stream(self, command, INPUT);
    buf_release(&command->input);
}

static void take_output(commands_t *self, struct command *command, const char *bytes, size_t size)
{
    if (command->output_too_large)
        return;
    if (size > LIMIT_COMMAND_OUTPUT_BYTES - command->output.size) {
        command->output_too_large = true;
        buf_release(&command->output);
        kill_command(self, command);
        return;
    }
    buf_append(&command->output, bytes, size);
}

static void take_error(struct command *command, const char *bytes, size_t size)
{
    struct buf *tail = &command->error;
    buf_append(tail, bytes, size);
    if (tail->size <= 2 * LIMIT_COMMAND_STDERR_BYTES)
        return;
    memmove(tail->data, tail->data + tail->size - LIMIT_COMMAND_STDERR_BYTES,
            LIMIT_COMMAND_STDERR_BYTES);
    tail->size = LIMIT_COMMAND_STDERR_BYTES;
    tail->data[tail->size] = '\0';
}

/* Takes what is there; whether there may be more. */
static bool read_some(commands_t *self, struct command *command, enum stream stream)
{
    char bytes[READ_BYTES];
    for (int i = 0; i < READS && command->fds[stream] >= 0; i++) {
        ssize_t n = read(command->fds[stream], bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0) {
            close_stream(self, command, stream);
            return false;
        }
        if (stream == OUTPUT)
            take_output(self, command, bytes, (size_t)n);
        else
            take_error(command, bytes, (size_t)n);
    }
    return command->fds[stream] >= 0;
}

/* What the stub said. Without a word of its end it was killed itself. */
static void read_report(struct command *command, struct command_end *ret_end)
{
    struct sandbox_report report;
    bool failed = false, ended = false;
    while (read(command->fds[REPORT], &report, sizeof report) == (ssize_t)sizeof report) {
        if (report.stage == SANDBOX_ENDED) {
            ended = true;
            ret_end->status = report.value;
        } else {
            failed = true;
            ret_end->failed = report;
        }
    }
    ret_end->started = !failed;
    if (!failed && !ended) {
        ret_end->killed = true;
        ret_end->status = SIGKILL;
    }
}

static void finish(commands_t *self, struct command *command)
{
    reap(command);
    while (read_some(self, command, OUTPUT)) {
    }
    while (read_some(self, command, ERROR)) {
    }
    struct command_end end = {.killed = command->killed,
                              .output_too_large = command->output_too_large};
    read_report(command, &end);
    end.output = buf_bytes(&command->output);
    end.error_tail = buf_bytes(&command->error);
    if (end.error_tail.size > LIMIT_COMMAND_STDERR_BYTES) {
        end.error_tail.data += end.error_tail.size - LIMIT_COMMAND_STDERR_BYTES;
        end.error_tail.size = LIMIT_COMMAND_STDERR_BYTES;
    }
    self->ended(self->context, command->owner, &end);
    forget(self, command);
}

void commands_event(commands_t *self, uint64_t data)
{
    struct command *command = find(self, data >> STREAM_BITS);
    if (!command)
        return;
    switch ((enum stream)(data & ((1u << STREAM_BITS) - 1))) {
    case INPUT:
        if (command->fds[INPUT] >= 0)
            write_input(self, command);
        return;
    case OUTPUT: (void)read_some(self, command, OUTPUT); return;
    case ERROR: (void)read_some(self, command, ERROR); return;
    case PIDFD: finish(self, command); return;
    default: return;
    }
}

size_t commands_count(const commands_t *self)
{
    return self->count;
}

void commands_destroy(commands_t **self_p)
{
    commands_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->slots_count; i++)
        if (self->slots[i])
            kill_command(self, self->slots[i]);
    for (size_t i = 0, count = self->slots_count; i < count; i++) {
        if (self->slots && self->slots[i]) {
            reap(self->slots[i]);
            forget(self, self->slots[i]);
        }
    }
    free(self->slots);
    free(self);
    *self_p = NULL;
}
