#include "agentd/outcome.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "base/value.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

int outcome_input(const struct outcome_task *task, struct buf *out, struct err *err)
{
    value_t *message = NULL;
    if (!task->message.size)
        message = value_null();
    else if (value_from_msgpack(task->message, &message, err))
        return ERR_MALFORMED;
    char text[TYPEID_TEXT_SIZE], time[CLOCK_TEXT_SIZE];
    value_t *line = value_map();
    value_set_string(line, "execution", typeid_text("exec", task->execution, text));
    value_set_string(line, "workflow", task->workflow && task->workflow[0] ? task->workflow : NULL);
    value_set_string(line, "task", task->path);
    value_set_int(line, "attempt", task->attempt);
    value_set_string(line, "agent", task->agent);
    value_set(line, "message", &message);
    value_set_string(line, "deadline",
                     task->deadline_us ? clock_format(task->deadline_us, time) : NULL);
    value_to_json(line, VALUE_JSON_COMPACT, out);
    buf_putc(out, '\n');
    value_destroy(&line);
    return 0;
}

void outcome_release(struct outcome *self)
{
    buf_release(&self->message);
    buf_release(&self->detail);
    buf_release(&self->output);
    *self = (struct outcome){0};
}

static void set_failed(struct outcome *self, const char *code, bool permanent)
{
    self->failed = true;
    self->code = code;
    self->permanent = permanent;
    buf_clear(&self->message);
    buf_clear(&self->output);
}

void outcome_fail(struct outcome *self, const char *code, bool permanent, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    set_failed(self, code, permanent);
    utf8_append_lossy(&self->message, text, strlen(text));
}

void outcome_fail_err(struct outcome *self, bool permanent, const struct err *err)
{
    char text[sizeof err->what + sizeof err->where + sizeof err->fix + 16];
    (void)err_format(err, text, sizeof text);
    outcome_fail(self, err_name(err->code), permanent, "%s", text);
}

/* The last line that is not empty, without what would not fit a sentence. */
static struct bytes last_line(struct bytes text)
{
    size_t end = text.size;
    if (!end)
        return text;
    while (end && strchr(" \t\r\n", text.data[end - 1]))
        end--;
    size_t start = end;
    while (start && text.data[start - 1] != '\n')
        start--;
    size_t size = end - start < 300 ? end - start : 300;
    return bytes_of(text.data + start, size);
}

static void append_last_line(struct outcome *self, struct bytes error_tail)
{
    struct bytes line = last_line(error_tail);
    if (!line.size)
        return;
    buf_puts(&self->message, ": ");
    utf8_append_lossy(&self->message, line.data, line.size);
}

void outcome_detail(struct outcome *self, struct bytes error_tail)
{
    buf_clear(&self->detail);
    size_t size = error_tail.size;
    if (!size)
        return;
    if (size > LIMIT_COMMAND_DETAIL_BYTES)
        size = LIMIT_COMMAND_DETAIL_BYTES;
    const uint8_t *start = error_tail.data + error_tail.size - size;
    /* From the start of a line, or at least of a character. */
    if (size < error_tail.size) {
        const uint8_t *line = memchr(start, '\n', size - 1);
        if (line)
            start = line + 1;
        while (start < error_tail.data + error_tail.size && (*start & 0xc0) == 0x80)
            start++;
    }
    utf8_append_lossy(&self->detail, start, (size_t)(error_tail.data + error_tail.size - start));
}

/* sysexits.h: what a retry can't help, all but EX_TEMPFAIL (75). */
static bool is_permanent_status(int status)
{
    return status >= 64 && status <= 78 && status != 75;
}

static bool speaks_of_memory(struct bytes error_tail)
{
    static const char *const words[] = {"out of memory",   "Out of memory",          "MemoryError",
                                        "std::bad_alloc",  "Cannot allocate memory", "heap limit",
                                        "OutOfMemoryError"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (error_tail.size && memmem(error_tail.data, error_tail.size, words[i], strlen(words[i])))
            return true;
    return false;
}

static void memory_hint(struct outcome *self, struct bytes error_tail, uint64_t memory_bytes)
{
    if (speaks_of_memory(error_tail))
        buf_printf(&self->message, "; it ran out of memory: process.memory allows %llu MiB",
                   (unsigned long long)(memory_bytes >> 20));
}

static void of_exit(struct outcome *self, int status, struct bytes error_tail,
                    uint64_t memory_bytes)
{
    outcome_fail(self, "exit", is_permanent_status(status), "the command exited with status %d",
                 status);
    append_last_line(self, error_tail);
    memory_hint(self, error_tail, memory_bytes);
}

static void of_signal(struct outcome *self, int sig, struct bytes error_tail, uint64_t memory_bytes)
{
    const char *name = sigabbrev_np(sig);
    outcome_fail(self, "signal", false, "the command was ended by SIG%s", name ? name : "?");
    append_last_line(self, error_tail);
    if (sig == SIGKILL && !speaks_of_memory(error_tail))
        buf_puts(&self->message, "; the kernel does so when the machine is out of memory");
    if (sig == SIGSYS)
        buf_puts(&self->message, "; it made a system call that the sandbox refuses");
    if (sig == SIGXFSZ)
        buf_puts(&self->message, "; it wrote a larger file than the sandbox allows");
    memory_hint(self, error_tail, memory_bytes);
}

static bool is_compound(const value_t *value)
{
    return value_type(value) == VALUE_LIST || value_type(value) == VALUE_MAP;
}

/* The whole output is JSON, or it is text; of a tool, only an object or a list counts as JSON.
 * Values that are JSON but past a limit are refused rather than taken for text. */
static int value_of_output(struct bytes output, bool tool, value_t **ret_value, struct err *err)
{
    if (!utf8_valid(output.data, output.size))
        return err_set(err, ERR_INVALID, "the command's output is not valid UTF-8");
    int rc = output.size ? value_from_json((const char *)output.data, output.size, ret_value, err)
                         : ERR_MALFORMED;
    if (rc == 0 && tool && !is_compound(*ret_value)) {
        value_destroy(ret_value);
        rc = ERR_MALFORMED;
    }
    if (rc == 0 || rc == ERR_TOO_LARGE || rc == ERR_TOO_DEEP || rc == ERR_LIMIT)
        return rc;
    size_t size = output.size;
    if (size && output.data[size - 1] == '\n')
        size--;
    if (size && size < output.size && output.data[size - 1] == '\r')
        size--;
    *ret_value = value_string_n(size ? (const char *)output.data : "", size);
    return 0;
}

static void of_output(struct outcome *self, struct bytes output, bool tool)
{
    struct err err = {0};
    value_t *value = NULL;
    int rc = value_of_output(output, tool, &value, &err);
    if (rc) {
        char text[sizeof err.what + sizeof err.where + sizeof err.fix + 16];
        outcome_fail(self, "output", true, "%s", err_format(&err, text, sizeof text));
        return;
    }
    value_to_msgpack(value, &self->output);
    value_destroy(&value);
    if (self->output.size > LIMIT_VALUE_BYTES)
        outcome_fail(self, "output", true, "the command's output is larger than %u MiB as a value",
                     LIMIT_VALUE_BYTES >> 20);
}

static void not_started(struct outcome *self, const struct sandbox_report *failed,
                        const char *program)
{
    enum sandbox_stage stage = (enum sandbox_stage)failed->stage;
    const char *why = strerror(failed->value);
    if (stage != SANDBOX_EXEC)
        outcome_fail(self, "internal", false, "%s could not be started: %s failed: %s", program,
                     sandbox_stage_text(stage), why);
    else
        outcome_fail(self, "not_found", true,
                     "%s can't be executed: %s; check that it is a program for this machine, that "
                     "the interpreter in its first line exists, and that it may be executed",
                     program, why);
}

static void of_command(const struct command_end *end, const char *program, uint64_t memory_bytes,
                       bool tool, struct outcome *ret_outcome)
{
    *ret_outcome = (struct outcome){0};
    if (end->output_too_large)
        outcome_fail(ret_outcome, "output", true,
                     "the command wrote more than %u MiB to its standard output",
                     LIMIT_COMMAND_OUTPUT_BYTES >> 20);
    else if (!end->started)
        not_started(ret_outcome, &end->failed, program);
    else if (WIFSIGNALED(end->status))
        of_signal(ret_outcome, WTERMSIG(end->status), end->error_tail, memory_bytes);
    else if (WEXITSTATUS(end->status) != 0)
        of_exit(ret_outcome, WEXITSTATUS(end->status), end->error_tail, memory_bytes);
    else
        of_output(ret_outcome, end->output, tool);
    if (ret_outcome->failed)
        outcome_detail(ret_outcome, end->error_tail);
}

void outcome_of_command(const struct command_end *end, const char *program, uint64_t memory_bytes,
                        struct outcome *ret_outcome)
{
    of_command(end, program, memory_bytes, false, ret_outcome);
}

void outcome_of_tool(const struct command_end *end, const char *program, uint64_t memory_bytes,
                     struct outcome *ret_outcome)
{
    of_command(end, program, memory_bytes, true, ret_outcome);
}
