#include "base/limits.h"
#include "engine/decide.h"
#include <string.h>

/* The history of an attempt, as it is told to those who go on with it. */

/* What a model is told; the detail stays in the journal. */
static struct failure told(struct arena *arena, const struct failure *from)
{
    struct failure failure = *from;
    failure.detail = "";
    return from->code ? keep_failure(arena, &failure) : (struct failure){0};
}

static size_t size_of(const struct history_entry *entry)
{
    size_t message = entry->failure.code ? strlen(entry->failure.message) : 0;
    return entry->output.inline_bytes.size + message + 64;
}

/* As many as fill a message, one at least. */
static size_t copy_entries(struct arena *arena, const struct exec *exec, const struct talk *talk,
                           uint32_t from, const struct history_entry **ret_entries)
{
    size_t most = talk->entries_count - from;
    if (most > LIMIT_HISTORY_ENTRIES)
        most = LIMIT_HISTORY_ENTRIES;
    struct history_entry *entries = arena_alloc(arena, (most + 1) * sizeof *entries);
    size_t count = 0;
    for (uint64_t bytes = 0; count < most && bytes < LIMIT_HISTORY_BYTES; count++) {
        struct history_entry view = entry_view(exec, talk->entries[from + count]);
        entries[count] = view;
        entries[count].output = datum_copy(arena, &view.output);
        entries[count].failure = told(arena, &view.failure);
        bytes += size_of(&entries[count]);
    }
    *ret_entries = entries;
    return count;
}

void put_history(struct call *call, const struct exec *exec, uint32_t index, bool whole,
                 struct effect_dispatch *dispatch)
{
    const struct talk *talk = exec->tasks[index].talk;
    dispatch->history_count = talk->entries_count;
    dispatch->history_from = whole || talk->entries_count == 0 ? 0 : talk->turn_at;
    dispatch->history_here =
        copy_entries(&call->out->arena, exec, talk, dispatch->history_from, &dispatch->history);
}

int engine_history(const engine_t *self, struct uuid execution, const char *path, uint32_t attempt,
                   uint32_t from, struct arena *arena, const struct history_entry **ret_entries,
                   size_t *ret_count, uint32_t *ret_total, struct err *err)
{
    const struct exec *exec = state_exec(self, execution);
    uint32_t index = exec ? exec_find(exec, path) : NO_NODE;
    const struct talk *talk = index == NO_NODE ? NULL : exec->tasks[index].talk;
    if (!talk || task_ended(&exec->tasks[index]))
        return err_set(err, ERR_NOT_FOUND, "there is no such task with turns under way");
    if (attempt > 0 && attempt != exec->tasks[index].attempt)
        return err_set(err, ERR_NOT_FOUND, "attempt %u of the task is not under way", attempt);
    if (from > talk->entries_count)
        return err_set(err, ERR_INVALID, "the attempt has %u entries", talk->entries_count);
    *ret_count = copy_entries(arena, exec, talk, from, ret_entries);
    *ret_total = talk->entries_count;
    return 0;
}
