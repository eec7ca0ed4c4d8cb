/* Following an execution: the journal as it grows, page by page, woken by published events; events
 * are hints (best effort), the journal is what is shown. */
#include "base/clock.h"
#include "base/map.h"
#include "tools/commands.h"
#include "tools/text.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICE_MS     200             /* how soon Ctrl-C and the clock are seen */
#define SHOWN        4               /* running tasks that the live line names */
#define POLL_US      (1000 * 1000LL) /* the journal is read this often without any event */
#define NEEDS_PERSON 1               /* beside the codes of errors: it waits for a person */

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
    lines_t *lines;
    enum lines_detail detail;
    map_t *asked;   /* task path -> heap name of the approval that waits for a person */
    map_t *running; /* task path -> heap int64_t: when it started, monotonic */
    map_t *askers;  /* task path -> itself: it has delegated */
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
    struct buf line = {0};
    struct buf cut = {0};
    if (!self->live || map_size(self->running) == 0)
        return;
    buf_puts(&line, "running:");
    while (shown < SHOWN && (started = map_next(self->running, &position, &path))) {
        buf_printf(&line, "%s %.*s %lld s", shown ? "," : "", (int)path.size,
                   (const char *)path.data,
                   (long long)((clock_monotonic_us() - *started) / 1000000));
        shown++;
    }
    if (map_size(self->running) > (size_t)shown)
        buf_printf(&line, " and %zu more", map_size(self->running) - (size_t)shown);
    /* Only a line that isn't broken in two can be cleared. */
    size_t width = stream_width(stderr);
    text_excerpt(&cut, buf_string(&line), line.size, width > 4 ? width - 3 : SIZE_MAX);
    fprintf(stderr, "%s  %s%s", tone_on(stderr, TONE_DIM), buf_string(&cut), tone_off(stderr));
    fflush(stderr);
    buf_release(&line);
    buf_release(&cut);
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

/* Takes out what is of this task, or of one below it. */
static void forget_below(map_t *map, const char *path)
{
    size_t position = 0;
    size_t size = strlen(path);
    struct bytes key;
    void *known;
    while ((known = map_next(map, &position, &key))) {
        const char *other = (const char *)key.data;
        if (key.size < size || memcmp(other, path, size) != 0 ||
            (size > 0 && key.size > size && other[size] != '/' && other[size] != '['))
            continue;
        map_remove(map, other, key.size);
        free(known);
    }
}

static void note_asker(struct follower *self, const char *path)
{
    (void)map_put(self->askers, path, strlen(path), self);
}

/* With a task ends everything that it has delegated, and with a node its items. Below an item that
 * delegated nothing there is nothing to look for, among what may be many. */
static void note_ended(struct follower *self, const char *path)
{
    bool is_item = strchr(path, '[') && !strchr(path, '/');
    if (is_item && !map_get(self->askers, path, strlen(path))) {
        free(map_remove(self->running, path, strlen(path)));
        free(map_remove(self->asked, path, strlen(path)));
        return;
    }
    forget_below(self->running, path);
    forget_below(self->asked, path);
}

/* Who waits for a person, and who doesn't any more. */
static void note_wait(struct follower *self, const char *kind, const value_t *item)
{
    const char *path = value_get_string(item, "task", "");
    const char *approval = value_get_string(item, "approval", NULL);
    bool stops = strcmp(kind, "failing") == 0 || strcmp(kind, "cancel") == 0;
    if (strcmp(kind, "waiting") == 0 && approval)
        free(map_put(self->asked, path, strlen(path), xstrdup(approval)));
    else if (strcmp(kind, "decision") == 0 || strcmp(kind, "timer") == 0)
        free(map_remove(self->asked, path, strlen(path)));
    else if (stops)
        forget_below(self->asked, "");
}

static void show_how_to_decide(const struct follower *self, const value_t *item)
{
    const char *approval = value_get_string(item, "approval", NULL);
    if (approval && self->detail == LINES_PROGRESS &&
        strcmp(value_get_string(item, "kind", ""), "waiting") == 0)
        print_hint(self->context->options,
                   "  agentctl approvals approve %s   (or reject, --note TEXT)", approval);
}

/* --- the journal ------------------------------------------------------------------------------ */

/* What the journal tells of who works: a task that has taken a turn is under way though nobody here
 * has seen it start. */
static void note_event(struct follower *self, const value_t *item)
{
    const char *kind = value_get_string(item, "kind", "?");
    const char *step = value_get_string(item, "step_kind", "result");
    const char *path = value_get_string(item, "task", "");
    /* What has ended may go on, by a retry. */
    self->ended = (self->ended && strcmp(kind, "reopened") != 0) || strcmp(kind, "ended") == 0;
    note_wait(self, kind, item);
    if (strcmp(kind, "delegated") == 0) {
        note_asker(self, path);
        note_running(self, value_get_string(item, "child", ""), true);
    } else if (strcmp(kind, "lost") == 0)
        note_running(self, path, false);
    else if (strcmp(kind, "step") == 0 && strcmp(step, "turn") == 0)
        note_running(self, path, true);
    else if (strcmp(kind, "step") == 0 && strcmp(step, "tool_result") != 0)
        note_ended(self, path);
}

static int show_items(void *context, const value_t *items, struct err *err)
{
    struct follower *self = context;
    (void)err;
    for (size_t i = 0; i < value_size(items); i++) {
        const value_t *item = value_at(items, i);
        self->sequence = value_get_int(item, "sequence", self->sequence + 1);
        note_event(self, item);
        if (!lines_take(self->lines, item) || self->context->options->quiet)
            continue;
        clear_line(self);
        lines_print(self->lines, item, stderr);
        show_how_to_decide(self, item);
    }
    return 0;
}

/* Reads the journal on from the last event shown. */
static int read_journal(struct follower *self, struct err *err)
{
    const struct journal_options options = {.after = self->sequence, .timeout_ms = 30000};
    int rc = fetch_journal(self->client, self->id, &options, show_items, self, err);
    self->read_us = clock_monotonic_us();
    return rc;
}

/* Whether the published event says that the journal has grown. */
static bool note_hint(struct follower *self, const value_t *event)
{
    const char *type = value_get_string(event, "type", "");
    const char *path = value_get_string(event, "task", "?");
    if (strcmp(type, "message.delta") == 0)
        return false;
    if (strcmp(type, "task.started") == 0) {
        note_running(self, path, true);
        return false;
    }
    if (strcmp(type, "delegation.started") == 0) {
        note_asker(self, path);
        note_running(self, value_get_string(event, "child", "?"), true);
    } else if (strcmp(type, "delegation.finished") == 0)
        note_ended(self, path);
    return true;
}

/* Waits for a hint that the journal has grown, or for the time to look by ourselves. */
static bool await_hint(struct follower *self)
{
    value_t *event = NULL;
    bool hint = false;
    int wait_ms = SLICE_MS;
    while (client_next_event(self->client, wait_ms, &event, NULL) == 0) {
        hint = note_hint(self, event) || hint;
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

static int follow(struct follower *self, value_t **ret_execution, struct err *err)
{
    char topic[128];
    int64_t timeout_us = self->context->options->timeout_us;
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
        if (self->context->options->no_input && map_size(self->asked) > 0)
            return NEEDS_PERSON;
        while (!await_hint(self)) {
            if (interrupted)
                return ERR_CANCELLED;
            if (clock_monotonic_us() > until)
                return ERR_TIMEOUT;
        }
    }
}

/* It goes on; whoever started it is told for whom it waits. */
static int report_asked(struct follower *self)
{
    const struct options *options = self->context->options;
    value_t *document = value_map();
    value_t *approvals = value_list();
    size_t position = 0;
    const char *approval;
    while ((approval = map_next(self->asked, &position, NULL))) {
        value_t *name = value_string(approval);
        value_append(approvals, &name);
        print_hint(options, "%s waits for a person: agentctl approvals approve %s", self->id,
                   approval);
    }
    value_set_string(document, "id", self->id);
    value_set_string(document, "status", "waiting");
    value_set(document, "approvals", &approvals);
    if (options->json)
        print_json(document);
    value_destroy(&document);
    return EXIT_NEEDS_PERSON;
}

static int report(struct follower *self, int rc, struct err *err)
{
    const struct options *options = self->context->options;
    clear_line(self);
    if (rc == NEEDS_PERSON)
        return report_asked(self);
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
    return rc ? show_error(options, err) : EXIT_OK;
}

int follow_execution(struct context *context, const char *id, int64_t after,
                     enum lines_detail detail, value_t **ret_execution)
{
    int status = EXIT_ERROR;
    struct err err = {0};
    struct sigaction action = {.sa_handler = on_interrupt};
    struct follower self = {.context = context,
                            .id = id,
                            .sequence = after,
                            .lines = lines_new(detail, context->options->node),
                            .detail = detail,
                            .asked = map_new(),
                            .running = map_new(),
                            .askers = map_new(),
                            .live = isatty(STDERR_FILENO) && !context->options->quiet};
    self.client = context_client(context, &status);
    if (self.client) {
        sigaction(SIGINT, &action, NULL);
        status = report(&self, follow(&self, ret_execution, &err), &err);
        action.sa_handler = SIG_DFL;
        sigaction(SIGINT, &action, NULL);
    }
    note_ended(&self, "");
    map_destroy(&self.running);
    map_destroy(&self.askers);
    map_destroy(&self.asked);
    lines_destroy(&self.lines);
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
