#include "tests/sim/observer.h"
#include "tests/sim/shell_core.h"

#include <string.h>

/* Executions that begin again, as coordinator/methods_again.c has it. */

/* Its end has to be on the disk and released; then it is folded
 * anew, and taken over. */
int shell_reopen(struct shell *self, struct uuid execution, struct err *err)
{
    struct execution_view view;
    const struct journal *journal = store_find(self->world->store, execution);
    engine_t *into[] = {self->engine, self->mirror};
    struct input input = {.kind = INPUT_REOPEN, .reopen = {execution, "person"}};
    if (engine_execution(self->engine, execution, &view) == 0)
        return err_set(err, ERR_BUSY, "the execution runs, or is just ending");
    if (!journal)
        return err_set(err, ERR_NOT_FOUND, "there is no such execution");
    for (size_t n = 0; n < 2; n++) {
        engine_t *other = shell_new_engine(self);
        shell_fold(self, other, journal, UINT64_MAX, execution);
        if (engine_adopt(into[n], other, execution, err))
            world_fail(self->world, 7, "what ended can't be taken over: %s", err->what);
        engine_destroy(&other);
    }
    int r = shell_decide(self, &input, err);
    for (size_t n = 0; r && n < 2; n++)
        engine_forget(into[n], execution);
    return r;
}

/* --- forks ------------------------------------------------------------------------------------ */

/* The event that let the node begin; 0: none did. And the input that the events up to there lack,
 * since the execution is a fork that got it later. */
static uint64_t find_event(const engine_t *engine, struct uuid execution, const char *node,
                           struct buf *ret_input)
{
    struct execution_view view;
    struct task_view task;
    uint64_t event = 0;
    for (uint32_t i = 0; engine_task(engine, execution, i, &task) == 0; i++)
        if (strcmp(task.path, node) == 0)
            event = task.ready_sequence;
    if (event > 0 && engine_execution(engine, execution, &view) == 0 && event <= view.forked_at)
        buf_append_bytes(ret_input, view.input.inline_bytes);
    return event;
}

static uint64_t fork_point(struct shell *self, const struct journal *journal, const char *node,
                           struct buf *ret_input)
{
    struct execution_view view;
    if (engine_execution(self->engine, journal->execution, &view) == 0)
        return find_event(self->engine, journal->execution, node, ret_input);
    engine_t *other = shell_new_engine(self);
    shell_fold(self, other, journal, UINT64_MAX, journal->execution);
    uint64_t event = find_event(other, journal->execution, node, ret_input);
    engine_destroy(&other);
    return event;
}

static void copy_records(struct shell *self, const struct journal *journal, uint64_t until,
                         struct uuid execution)
{
    for (size_t i = 0; i < until; i++)
        writes_copy(&shell_current(self)->writes, execution, &journal->records[i]);
    if (self->world->fault == FAULT_FORK_APART)
        shell_submit(self);
}

static void adopt(struct shell *self, engine_t *into, const struct journal *journal, uint64_t until,
                  struct uuid execution)
{
    struct err err;
    engine_t *other = shell_new_engine(self);
    shell_fold(self, other, journal, until, execution);
    if (engine_adopt(into, other, execution, &err))
        world_fail(self->world, 7, "a fork can't be taken over: %s", err.what);
    engine_destroy(&other);
}

int shell_fork(struct shell *self, const struct shell_wish *wish, struct uuid *ret_execution,
               struct err *err)
{
    const struct journal *journal = store_find(self->world->store, wish->execution);
    struct buf packed = {0};
    uint64_t until = journal ? fork_point(self, journal, wish->path, &packed) : 0;
    if (until == 0 || journal->count < until) {
        buf_release(&packed);
        return err_set(err, until == 0 ? ERR_CONFLICT : ERR_BUSY,
                       "the node was never let begin, or not on disk yet");
    }
    struct input input = {.kind = INPUT_FORK,
                          .fork = {.execution = shell_uuid(self),
                                   .from = wish->execution,
                                   .node = wish->path,
                                   .by = "person"}};
    adopt(self, self->engine, journal, until, input.fork.execution);
    adopt(self, self->mirror, journal, until, input.fork.execution);
    copy_records(self, journal, until, input.fork.execution);
    if (wish->number >= 0) {
        value_t *value = shell_input((uint64_t)wish->number, false);
        buf_clear(&packed);
        value_to_msgpack(value, &packed);
        value_destroy(&value);
    }
    input.fork.input = datum_inline(buf_bytes(&packed));
    int r = shell_decide(self, &input, err);
    if (r)
        world_fail(self->world, 0, "a fork is refused: %s", err->what);
    buf_release(&packed);
    *ret_execution = input.fork.execution;
    return r;
}
