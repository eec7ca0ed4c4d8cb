/* Following an execution: the journal as it grows, page by page, woken by published events; events
 * are hints (best effort), the journal is what is shown. */
#include "base/clock.h"
#include "base/map.h"
#include "tools/commands.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICE_MS 200             /* how soon Ctrl-C and the clock are seen */
#define POLL_US  (1000 * 1000LL) /* the journal is read this often without any event */
#define PAGE     200

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

struct follower {
    struct context *context;
    client_t *client;
    const char *id;
    int64_t sequence; /* last shown */
    int64_t read_us;  /* when the journal was read last */
    bool ended, live; /* live: a status line on a terminal */
    map_t *running;   /* task path -> heap int64_t: when it started, monotonic */
};

/* --- the live line ---------------------------------------------------------------------------- */

static void clear_line(const struct follower *self)
{
    if (self->live)
        fputs("\r\033[K", stderr);
}

static void draw_line(const struct follower *self)
{
    size_t position = 0;
    struct bytes path;
    int64_t *started;
    int shown = 0;
    if (!self->live || map_size(self->running) == 0)
        return;
    fprintf(stderr, "%s  running:", tone_on(stderr, TONE_DIM));
    while (shown < 4 && (started = map_next(self->running, &position, &path))) {
        fprintf(stderr, "%s %.*s %lld s", shown ? "," : "", (int)path.size, (const char *)path.data,
                (long long)((clock_monotonic_us() - *started) / 1000000));
        shown++;
    }
    if (map_size(self->running) > (size_t)shown)
        fprintf(stderr, " and %zu more", map_size(self->running) - (size_t)shown);
    fputs(tone_off(stderr), stderr);
    fflush(stderr);
}

static void note_running(struct follower *self, const char *path, bool running)
{
    int64_t *started = NULL;
    if (running && !map_get(self->running, path, strlen(path))) {
        started = xmalloc(sizeof *started);
        *started = clock_monotonic_us();
        map_put(self->running, path, strlen(path), started);
    } else if (!running) {
        free(map_remove(self->running, path, strlen(path)));
    }
}

/* --- journal lines ---------------------------------------------------------------------------- */

static void print_step(const value_t *event, FILE *stream)
{
    char took[32];
    const char *path = value_get_string(event, "task", "?");
    const value_t *failure = value_get(event, "failure");
    bool failed = failure && value_type(failure) == VALUE_MAP;
    const char *retry_at = value_get_string(event, "retry_at", NULL);
    int64_t attempt = value_get_int(event, "attempt", 1);
    print_duration(time_between(value_get_string(event, "started_at", NULL),
                                value_get_string(event, "ended_at", NULL)),
                   took);
    const char *status = !failed ? "succeeded" : retry_at ? "retrying" : "failed";
    fprintf(stream, "%s%s %-20s%s %s in %s", tone_on(stream, status_tone(status)),
            status_mark(status), path, tone_off(stream), failed ? "failed" : "succeeded", took);
    if (attempt > 1 || failed)
        fprintf(stream, ", attempt %lld", (long long)attempt);
    if (failed)
        fprintf(stream, ": %s: %s", value_get_string(failure, "code", "?"),
                value_get_string(failure, "message", ""));
    if (failed && retry_at)
        fprintf(stream, " (again at %s)", retry_at);
    const char *instance = value_get_string(event, "instance", "");
    fprintf(stream, "%s  %s%s\n", tone_on(stream, TONE_DIM), instance, tone_off(stream));
}

static void print_ended(const value_t *event, FILE *stream)
{
    const char *status = value_get_string(event, "status", "?");
    const value_t *failure = value_get(event, "failure");
    fprintf(stream, "%s%s execution %s%s", tone_on(stream, status_tone(status)),
            status_mark(status), status, tone_off(stream));
    if (failure && value_type(failure) == VALUE_MAP)
        fprintf(stream, ": %s: %s", value_get_string(failure, "code", "?"),
                value_get_string(failure, "message", ""));
    fputc('\n', stream);
}

void print_journal_line(const value_t *event, FILE *stream)
{
    const char *kind = value_get_string(event, "kind", "?");
    const char *path = value_get_string(event, "task", "");
    if (strcmp(kind, "step") == 0)
        print_step(event, stream);
    else if (strcmp(kind, "ended") == 0)
        print_ended(event, stream);
    else if (strcmp(kind, "lost") == 0)
        fprintf(stream, "%s↯ %-20s%s lost (%s); it goes on elsewhere%s  %s%s\n",
                tone_on(stream, TONE_WARN), path, tone_off(stream),
                value_get_string(event, "reason", "?"), tone_on(stream, TONE_DIM),
                value_get_string(event, "instance", ""), tone_off(stream));
    else if (strcmp(kind, "cancel") == 0)
        fprintf(stream, "%s■ cancel asked%s by %s %s\n", tone_on(stream, TONE_WARN),
                tone_off(stream), value_get_string(event, "by", "?"),
                value_get_string(event, "why", ""));
    else if (strcmp(kind, "failing") == 0)
        fprintf(stream, "%s✘ failing%s because of %s\n", tone_on(stream, TONE_BAD),
                tone_off(stream), path);
    else if (strcmp(kind, "started") == 0)
        fprintf(stream, "%s▶ started%s %s\n", tone_on(stream, TONE_BOLD), tone_off(stream),
                value_get_string(event, "workflow", value_get_string(event, "agent", "")));
    else
        fprintf(stream, "  %s %s\n", kind, path);
}

static void show_item(struct follower *self, const value_t *item)
{
    const char *kind = value_get_string(item, "kind", "?");
    self->sequence = value_get_int(item, "sequence", self->sequence + 1);
    self->ended = self->ended || strcmp(kind, "ended") == 0;
    if (strcmp(kind, "step") == 0 || strcmp(kind, "lost") == 0)
        note_running(self, value_get_string(item, "task", ""), false);
    if (self->context->options->quiet)
        return;
    clear_line(self);
    print_journal_line(item, stderr);
}

/* Reads the journal on from the last event shown. */
static int read_journal(struct follower *self, struct err *err)
{
    int64_t next;
    do {
        value_t *params = value_map();
        value_t *page = NULL;
        value_set_string(params, "id", self->id);
        value_set_int(params, "after", self->sequence);
        value_set_int(params, "limit", PAGE);
        int rc =
            client_call(self->client, "executions.journal", params, NULL, 30000, &page, NULL, err);
        value_destroy(&params);
        if (rc)
            return rc;
        const value_t *items = value_get(page, "items");
        for (size_t i = 0; items && i < value_size(items); i++)
            show_item(self, value_at(items, i));
        next = value_get_int(page, "next", 0);
        value_destroy(&page);
    } while (next > 0);
    self->read_us = clock_monotonic_us();
    return 0;
}

/* Waits for a hint that the journal has grown, or for the time to look by ourselves. */
static bool await_hint(struct follower *self)
{
    value_t *event = NULL;
    bool hint = false;
    int wait_ms = SLICE_MS;
    while (client_next_event(self->client, wait_ms, &event, NULL) == 0) {
        const char *type = value_get_string(event, "type", "");
        if (strcmp(type, "task.started") == 0) {
            note_running(self, value_get_string(event, "task", "?"), true);
        } else {
            hint = true;
        }
        wait_ms = 0;
        value_destroy(&event);
    }
    clear_line(self);
    draw_line(self);
    return hint || clock_monotonic_us() - self->read_us > POLL_US;
}

static int get_ended(struct follower *self, value_t **ret_execution, struct err *err)
{
    const struct fetch_options options = {.outputs = self->context->options->json,
                                          .timeout_ms = 60000};
    return fetch_execution(self->client, self->id, &options, ret_execution, err);
}

static int follow(struct follower *self, int64_t timeout_us, value_t **ret_execution,
                  struct err *err)
{
    char topic[128];
    int64_t until = timeout_us > 0 ? clock_monotonic_us() + timeout_us : INT64_MAX;
    snprintf(topic, sizeof topic, "execution.%s", self->id);
    if (!self->context->options->broker) {
        int rc = client_follow(self->client, topic, err);
        if (rc)
            return rc;
    }
    for (;;) {
        int rc = read_journal(self, err);
        if (rc || self->ended)
            return rc ? rc : get_ended(self, ret_execution, err);
        while (!await_hint(self)) {
            if (interrupted)
                return ERR_CANCELLED;
            if (clock_monotonic_us() > until)
                return ERR_TIMEOUT;
        }
    }
}

static int report(struct follower *self, int rc, struct err *err)
{
    const struct options *options = self->context->options;
    clear_line(self);
    if (rc == ERR_CANCELLED) {
        print_hint(options,
                   "\n%s goes on. Follow: agentctl logs -f %s   Cancel: agentctl "
                   "executions cancel %s",
                   self->id, self->id, self->id);
        return EXIT_INTERRUPTED;
    }
    if (rc == ERR_TIMEOUT && self->sequence > 0) {
        print_hint(options,
                   "%s has not ended in time and goes on. Wait: agentctl executions wait "
                   "%s",
                   self->id, self->id);
        return EXIT_WAIT_TIMEOUT;
    }
    return rc ? print_error(options, err) : EXIT_OK;
}

int follow_execution(struct context *context, const char *id, int64_t timeout_us,
                     value_t **ret_execution)
{
    int status = EXIT_ERROR;
    struct err err = {0};
    struct sigaction action = {.sa_handler = on_interrupt};
    struct follower self = {.context = context,
                            .id = id,
                            .running = map_new(),
                            .live = isatty(STDERR_FILENO) && !context->options->quiet};
    self.client = context_client(context, &status);
    if (self.client) {
        sigaction(SIGINT, &action, NULL);
        status = report(&self, follow(&self, timeout_us, ret_execution, &err), &err);
        action.sa_handler = SIG_DFL;
        sigaction(SIGINT, &action, NULL);
    }
    size_t position = 0;
    int64_t *started;
    while ((started = map_next(self.running, &position, NULL)))
        free(started);
    map_destroy(&self.running);
    return status;
}

/* --- the outcome ------------------------------------------------------------------------------ */

int outcome_status(const value_t *execution)
{
    const char *status = value_get_string(execution, "status", "");
    const char *code = value_get_string(value_get(execution, "failure"), "code", "");
    if (strcmp(status, "failed") == 0)
        return strcmp(code, "limit") == 0 ? EXIT_LIMIT : EXIT_EXECUTION_FAILED;
    if (strcmp(status, "cancelled") == 0)
        return EXIT_EXECUTION_CANCELLED;
    return EXIT_OK;
}

void print_task_tree(const value_t *execution, FILE *stream)
{
    static const char *const titles[] = {"",      "TASK",   "AGENT", "STATUS",
                                         "TRIES", "WAITED", "TOOK",  "INSTANCE"};
    const value_t *tasks = value_get(execution, "tasks");
    table_t *table = table_new(8, titles);
    for (size_t i = 0; tasks && i < value_size(tasks); i++) {
        const value_t *task = value_at(tasks, i);
        const char *status = value_get_string(task, "status", "?");
        const char *reason = value_get_string(task, "reason", "");
        const char *started = value_get_string(task, "started_at", NULL);
        char text[128];
        char time[32];
        table_cell(table, status_mark(status));
        table_cell(table, value_get_string(task, "path", "?"));
        table_cell(table, value_get_string(task, "agent", ""));
        snprintf(text, sizeof text, "%s%s%.80s%s", status, *reason ? " (" : "", reason,
                 *reason ? ")" : "");
        table_cell(table, text);
        int64_t losses = value_get_int(task, "losses", 0);
        snprintf(text, sizeof text, losses ? "%lld, lost %lld" : "%lld",
                 (long long)value_get_int(task, "attempt", 0), (long long)losses);
        table_cell(table, text);
        table_cell(
            table,
            print_duration(time_between(value_get_string(task, "queued_at", NULL), started), time));
        table_cell(
            table,
            print_duration(time_between(started, value_get_string(task, "ended_at", NULL)), time));
        table_cell(table, value_get_string(task, "instance", ""));
    }
    table_print(&table, stream);
}
