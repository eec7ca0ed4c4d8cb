#include "tools/lines.h"

#include "base/map.h"
#include "tools/output.h"
#include "tools/text.h"

#include <stdlib.h>
#include <string.h>

#define PATH_WIDTH  20
#define INDENT      2
#define INDENT_MOST 16 /* of steps: deeper ones stand no further in */
#define WORDS_WIDTH 60 /* of a message's first words */
#define NAMES_SHOWN 6  /* tools that one turn calls */
#define ITEMS_SHOWN 50 /* of one node: where it has more, progress tells tenths of them */
#define WHY_WIDTH                                                                                  \
    200 /* of a failure's message: an attempt's, a task's and an execution's repeat it */

/* The calls of a task's last turn: what is answered names them by their place only. */
struct turn {
    int64_t attempt, number;
    value_t *calls;
};

/* A node with many items. */
struct crowd {
    int64_t items, succeeded;
};

struct lines {
    enum lines_detail detail;
    char *node;
    map_t *turns;              /* task path -> heap struct turn */
    map_t *crowds;             /* node -> heap struct crowd */
    const struct crowd *tenth; /* the event just taken stands for so many of these */
};

lines_t *lines_new(enum lines_detail detail, const char *node)
{
    lines_t *self = xcalloc(1, sizeof *self);
    self->detail = detail;
    self->node = node ? xstrdup(node) : NULL;
    self->turns = map_new();
    self->crowds = map_new();
    return self;
}

static void turn_destroy(struct turn *turn)
{
    if (turn)
        value_destroy(&turn->calls);
    free(turn);
}

void lines_destroy(lines_t **self_p)
{
    lines_t *self = *self_p;
    size_t position = 0;
    struct turn *turn;
    if (!self)
        return;
    while ((turn = map_next(self->turns, &position, NULL)))
        turn_destroy(turn);
    map_destroy(&self->turns);
    position = 0;
    void *crowd;
    while ((crowd = map_next(self->crowds, &position, NULL)))
        free(crowd);
    map_destroy(&self->crowds);
    free(self->node);
    free(self);
    *self_p = NULL;
}

/* --- taking note ------------------------------------------------------------------------------ */

static void note_step(lines_t *self, const value_t *event)
{
    const char *path = value_get_string(event, "task", "");
    const char *kind = value_get_string(event, "step_kind", "");
    const value_t *calls = value_get(event, "calls");
    if (strcmp(kind, "tool_result") == 0)
        return;
    turn_destroy(map_remove(self->turns, path, strlen(path)));
    if (strcmp(kind, "turn") != 0 || !calls || value_type(calls) != VALUE_LIST)
        return;
    struct turn *turn = xcalloc(1, sizeof *turn);
    turn->attempt = value_get_int(event, "attempt", 0);
    turn->number = value_get_int(event, "turn", 0);
    turn->calls = value_ref(calls);
    map_put(self->turns, path, strlen(path), turn);
}

static bool of_node(const lines_t *self, const value_t *event)
{
    const char *path = value_get_string(event, "task", "");
    size_t size = self->node ? strlen(self->node) : 0;
    return !self->node || !*path ||
           (strncmp(path, self->node, size) == 0 &&
            (path[size] == '\0' || path[size] == '/' || path[size] == '['));
}

/* A condition that holds, be it an edge's or a node's. */
static bool went_on(const value_t *event)
{
    return strcmp(value_get_string(event, "kind", ""), "decided") == 0 &&
           value_get_bool(event, "holds", false);
}

static void note_list(lines_t *self, const value_t *event)
{
    const char *node = value_get_string(event, "task", "");
    int64_t items = value_get_int(event, "items_count", 0);
    if (items <= ITEMS_SHOWN)
        return;
    struct crowd *crowd = xcalloc(1, sizeof *crowd);
    crowd->items = items;
    free(map_put(self->crowds, node, strlen(node), crowd));
}

/* The node of which it is the success of one of many items; NULL: it is none. */
static struct crowd *crowd_of(const lines_t *self, const value_t *event)
{
    const char *path = value_get_string(event, "task", "");
    const char *bracket = strchr(path, '[');
    if (!bracket || strchr(bracket, '/') || value_get(event, "patch") ||
        strcmp(value_get_string(event, "step_kind", ""), "result") != 0)
        return NULL;
    return map_get(self->crowds, path, (size_t)(bracket - path));
}

/* Whether the event completes another tenth of its many items, or is of none such. */
static bool take_item(lines_t *self, const value_t *event)
{
    struct crowd *crowd = crowd_of(self, event);
    self->tenth = NULL;
    if (!crowd)
        return true;
    crowd->succeeded++;
    if (crowd->succeeded * 10 / crowd->items == (crowd->succeeded - 1) * 10 / crowd->items)
        return false;
    self->tenth = crowd;
    return true;
}

bool lines_take(lines_t *self, const value_t *event)
{
    const char *kind = value_get_string(event, "kind", "");
    if (strcmp(kind, "step") == 0)
        note_step(self, event);
    else if (strcmp(kind, "decided") == 0)
        note_list(self, event);
    if (self->detail == LINES_PROGRESS && !take_item(self, event))
        return false;
    if (self->detail == LINES_PROGRESS &&
        (strcmp(kind, "reserved") == 0 || strcmp(kind, "settled") == 0 || went_on(event)))
        return false;
    return of_node(self, event);
}

/* The tool of a call of the task's last turn; NULL when that turn has not been seen. */
static const char *tool_of(const lines_t *self, const value_t *event)
{
    const char *path = value_get_string(event, "task", "");
    const struct turn *turn = map_get(self->turns, path, strlen(path));
    int64_t call = value_get_int(event, "call", -1);
    if (!turn || call < 0 || turn->number != value_get_int(event, "turn", 0) ||
        turn->attempt != value_get_int(event, "attempt", turn->attempt))
        return NULL;
    const value_t *name = value_at(turn->calls, (size_t)call);
    return name && value_type(name) == VALUE_STRING ? value_as_string(name) : NULL;
}

/* --- parts of lines --------------------------------------------------------------------------- */

static size_t depth_of(const char *path)
{
    size_t depth = 0;
    for (; *path; path++)
        depth += *path == '/' || *path == '[';
    return depth < INDENT_MOST ? depth : INDENT_MOST;
}

static void print_path(const char *mark, enum tone tone, const char *path, FILE *stream)
{
    int in = INDENT * (int)depth_of(path);
    int width = PATH_WIDTH > in ? PATH_WIDTH - in : 0;
    fprintf(stream, "%*s%s%s %-*s%s ", in, "", tone_on(stream, tone), mark, width, path,
            tone_off(stream));
}

/* The end of a line: what is good to know. */
static void print_dim(const char *text, FILE *stream)
{
    if (*text)
        fprintf(stream, "%s  %s%s", tone_on(stream, TONE_DIM), text, tone_off(stream));
    fputc('\n', stream);
}

/* What others wrote, on one line. */
static void print_text(const char *text, FILE *stream)
{
    struct buf out = {0};
    text_excerpt(&out, text, strlen(text), SIZE_MAX);
    fputs(buf_string(&out), stream);
    buf_release(&out);
}

static void print_message(const char *before, const value_t *message, FILE *stream)
{
    struct buf out = {0};
    text_message(&out, message, WORDS_WIDTH);
    fprintf(stream, "%s%s", out.size ? before : "", buf_string(&out));
    buf_release(&out);
}

static const value_t *failure_of(const value_t *event)
{
    const value_t *failure = value_get(event, "failure");
    return failure && value_type(failure) == VALUE_MAP ? failure : NULL;
}

/* Whether a message begins with the word that its code is. */
static bool begins_with(const char *message, const char *code)
{
    size_t size = strlen(code);
    return size > 0 && strncmp(message, code, size) == 0 &&
           (message[size] == '\0' || strchr(" ,.:;", message[size]));
}

static void print_why(const value_t *failure, size_t width, FILE *stream)
{
    const char *code = value_get_string(failure, "code", "?");
    const char *message = value_get_string(failure, "message", "");
    struct buf out = {0};
    if (!begins_with(message, code)) {
        fputs(": ", stream);
        print_text(code, stream);
    }
    text_excerpt(&out, message, strlen(message), width);
    fprintf(stream, ": %s", buf_string(&out));
    buf_release(&out);
}

static void print_failure(const value_t *failure, FILE *stream)
{
    print_why(failure, WHY_WIDTH, stream);
}

static const char *took(const value_t *event, char text[32])
{
    return print_duration(time_between(value_get_string(event, "started_at", NULL),
                                       value_get_string(event, "ended_at", NULL)),
                          text);
}

static void print_money(int64_t microusd, FILE *stream)
{
    struct buf out = {0};
    text_money(&out, microusd);
    fputs(buf_string(&out), stream);
    buf_release(&out);
}

/* --- steps ------------------------------------------------------------------------------------ */

static const char *name_at(const value_t *calls, size_t index)
{
    const value_t *name = value_at(calls, index);
    return name && value_type(name) == VALUE_STRING ? value_as_string(name) : "?";
}

static size_t times_called(const value_t *calls, const char *name)
{
    size_t times = 0;
    for (size_t i = 0; i < value_size(calls); i++)
        times += strcmp(name_at(calls, i), name) == 0;
    return times;
}

static bool called_before(const value_t *calls, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(name_at(calls, i), name_at(calls, index)) == 0)
            return true;
    return false;
}

/* "wc, delegate_to_agent ×3" */
static void print_calls(const value_t *calls, FILE *stream)
{
    size_t shown = 0;
    for (size_t i = 0; i < value_size(calls); i++) {
        if (called_before(calls, i))
            continue;
        if (shown++ == NAMES_SHOWN) {
            fputs(", …", stream);
            return;
        }
        size_t times = times_called(calls, name_at(calls, i));
        fputs(shown > 1 ? ", " : "", stream);
        print_text(name_at(calls, i), stream);
        if (times > 1)
            fprintf(stream, " ×%zu", times);
    }
}

static void print_usage(const value_t *event, FILE *stream)
{
    const value_t *tokens = value_get(event, "tokens");
    int64_t microusd = value_get_int(event, "cost_microusd", 0);
    if (text_tokens(tokens) > 0)
        fprintf(stream, ", %lld + %lld tokens", (long long)value_get_int(tokens, "input", 0),
                (long long)value_get_int(tokens, "output", 0));
    if (microusd > 0) {
        fputs(", ", stream);
        print_money(microusd, stream);
    }
}

static void print_turn(const value_t *event, FILE *stream)
{
    char text[32];
    const value_t *calls = value_get(event, "calls");
    print_path("◦", TONE_PLAIN, value_get_string(event, "task", "?"), stream);
    fprintf(stream, "turn %lld ", (long long)value_get_int(event, "turn", 0));
    if (calls && value_type(calls) == VALUE_LIST && value_size(calls) > 0) {
        fputs("calls ", stream);
        print_calls(calls, stream);
    } else {
        fputs("answers", stream);
    }
    print_usage(event, stream);
    fprintf(stream, ", %s", took(event, text));
    print_dim(value_get_string(event, "instance", ""), stream);
}

/* What came of a call, be it the instance or the coordinator that answered. */
static void print_answer(const value_t *event, const char *tool, FILE *stream)
{
    char text[64];
    const value_t *failure = failure_of(event);
    if (!tool) {
        snprintf(text, sizeof text, "call %lld of turn %lld",
                 (long long)value_get_int(event, "call", 0) + 1,
                 (long long)value_get_int(event, "turn", 0));
        tool = text;
    }
    print_path(failure ? "!" : "◦", failure ? TONE_WARN : TONE_PLAIN,
               value_get_string(event, "task", "?"), stream);
    print_text(tool, stream);
    fputs(failure ? " failed" : " answered", stream);
    if (value_get_string(event, "ended_at", NULL)) {
        char duration[32];
        fprintf(stream, " in %s", took(event, duration));
    }
    if (failure)
        print_failure(failure, stream);
    print_dim(value_get_string(event, "instance", ""), stream);
}

static void print_outcome(const value_t *event, FILE *stream)
{
    char text[32];
    const value_t *failure = failure_of(event);
    const char *retry_at = value_get_string(event, "retry_at", NULL);
    int64_t attempt = value_get_int(event, "attempt", 1);
    const char *status = !failure ? "succeeded" : retry_at ? "retrying" : "failed";
    print_path(status_mark(status), status_tone(status), value_get_string(event, "task", "?"),
               stream);
    fprintf(stream, "%s in %s", failure ? "failed" : "succeeded", took(event, text));
    if (attempt > 1 || failure)
        fprintf(stream, ", attempt %lld", (long long)attempt);
    if (failure)
        print_failure(failure, stream);
    if (failure && retry_at)
        fprintf(stream, " (again at %s)", retry_at);
    print_dim(value_get_string(event, "instance", ""), stream);
}

static void print_patched(const value_t *event, FILE *stream)
{
    print_path("◦", TONE_PLAIN, value_get_string(event, "task", "?"), stream);
    fputs("changes the context", stream);
    print_message(": ", value_get(event, "patch"), stream);
    fputc('\n', stream);
}

/* A result may set the shared context, which is a line of its own. */
static void print_step(const lines_t *self, const value_t *event, FILE *stream)
{
    const char *kind = value_get_string(event, "step_kind", "");
    if (strcmp(kind, "turn") == 0)
        print_turn(event, stream);
    else if (strcmp(kind, "tool_result") == 0)
        print_answer(event, tool_of(self, event), stream);
    else
        print_outcome(event, stream);
    if (value_get(event, "patch"))
        print_patched(event, stream);
}

static void print_tenth(const struct crowd *crowd, const char *path, FILE *stream)
{
    char node[PATH_WIDTH + 1];
    snprintf(node, sizeof node, "%.*s", (int)strcspn(path, "["), path);
    print_path("◦", TONE_PLAIN, node, stream);
    fprintf(stream, "%lld of %lld items succeeded\n", (long long)crowd->succeeded,
            (long long)crowd->items);
}

/* --- delegations and the ledger --------------------------------------------------------------- */

static void print_delegated(const value_t *event, FILE *stream)
{
    const char *child = value_get_string(event, "child", "");
    fprintf(stream, "%*s%s↳ %s → %s%s%s", INDENT * (int)depth_of(child), "",
            tone_on(stream, TONE_BOLD), value_get_string(event, "task", "?"),
            value_get_string(event, "agent", "?"), tone_off(stream),
            value_get_bool(event, "hand_off", false) ? " (hand-off)" : "");
    print_message(": ", value_get(event, "message"), stream);
    print_dim(child, stream);
}

static void print_refused(const value_t *event, FILE *stream)
{
    const char *path = value_get_string(event, "task", "?");
    const value_t *failure = failure_of(event);
    fprintf(stream, "%*s%s⊘ %s → ", INDENT * (int)(depth_of(path) + 1), "",
            tone_on(stream, TONE_WARN), path);
    print_text(value_get_string(event, "agent", "?"), stream);
    fprintf(stream, "%s refused", tone_off(stream));
    if (failure)
        print_failure(failure, stream);
    fputc('\n', stream);
}

/* What an expression of the workflow came to. */
static void print_decision(const value_t *event, const char *what, FILE *stream)
{
    bool holds = value_get_bool(event, "holds", false);
    if (strcmp(what, "for") == 0) {
        struct buf out = {0};
        text_count(&out, value_get_int(event, "items_count", 0), "item");
        fputs(buf_string(&out), stream);
        buf_release(&out);
    } else if (strcmp(what, "edge") == 0) {
        fprintf(stream, "from %s: if is %s", value_get_string(event, "source", "?"),
                holds ? "true" : "false");
    } else {
        fputs(holds ? "if is true" : "skipped: if is false", stream);
    }
}

static void print_decided(const value_t *event, FILE *stream)
{
    const char *what = value_get_string(event, "what", "?");
    const value_t *failure = failure_of(event);
    bool skips = strcmp(what, "if") == 0 && !value_get_bool(event, "holds", false);
    const char *status = failure ? "failed" : "skipped";
    bool plain = !failure && !skips;
    print_path(plain ? "◦" : status_mark(status), plain ? TONE_PLAIN : status_tone(status),
               value_get_string(event, "task", "?"), stream);
    if (failure) {
        fprintf(stream, "failed in its %s", what);
        print_failure(failure, stream);
    } else {
        print_decision(event, what, stream);
    }
    fputc('\n', stream);
}

/* Reservations are bookkeeping: dim as a whole. */
static void print_ledger(const value_t *event, const char *what, FILE *stream)
{
    const char *path = value_get_string(event, "task", "?");
    fprintf(stream, "%*s%s  %-*s turn %lld %s", INDENT * (int)depth_of(path), "",
            tone_on(stream, TONE_DIM), PATH_WIDTH - INDENT, path,
            (long long)value_get_int(event, "turn", 0), what);
}

static void print_reserved(const value_t *event, FILE *stream)
{
    int64_t microusd = value_get_int(event, "cost_microusd", 0);
    print_ledger(event, "reserved", stream);
    fprintf(stream, ", at most %lld tokens", (long long)text_tokens(value_get(event, "tokens")));
    if (microusd > 0) {
        fputs(", ", stream);
        print_money(microusd, stream);
    }
    fprintf(stream, ", from %s%s\n", value_get_string(event, "egress", "?"), tone_off(stream));
}

static void print_settled(const value_t *event, FILE *stream)
{
    bool of_turn = value_get_int(event, "turn", 0) > 0;
    print_ledger(event, of_turn ? "settled at its bound: " : "counted: ", stream);
    print_text(value_get_string(event, "reason", "?"), stream);
    fprintf(stream, "%s\n", tone_off(stream));
}

/* --- waits ------------------------------------------------------------------------------------ */

static void print_due(const value_t *event, FILE *stream)
{
    const char *due = value_get_string(event, "due_at", NULL);
    if (due)
        fprintf(stream, ", until %s", due);
}

static void print_waiting(const value_t *event, FILE *stream)
{
    const char *waits = value_get_string(event, "waits", "?");
    bool person = strcmp(waits, "approval") == 0;
    print_path(status_mark("waiting"), person ? TONE_WARN : TONE_PLAIN,
               value_get_string(event, "task", "?"), stream);
    if (person)
        fputs("waits for a person", stream);
    else if (strcmp(waits, "signal") == 0)
        fprintf(stream, "waits for the signal %s", value_get_string(event, "signal", "?"));
    else
        fputs("waits", stream);
    print_due(event, stream);
    print_message(": ", value_get(event, "text"), stream);
    print_dim(value_get_string(event, "approval", ""), stream);
}

static void print_approval(const value_t *event, FILE *stream)
{
    const char *note = value_get_string(event, "note", "");
    bool approved = value_get_bool(event, "approved", false);
    print_path("◦", approved ? TONE_GOOD : TONE_WARN, value_get_string(event, "task", "?"), stream);
    fprintf(stream, "%s by %s", approved ? "approved" : "rejected",
            value_get_string(event, "by", "?"));
    if (*note) {
        fputs(": ", stream);
        print_text(note, stream);
    }
    fputc('\n', stream);
}

static void print_timer(const value_t *event, FILE *stream)
{
    bool timer = strcmp(value_get_string(event, "waits", "?"), "timer") == 0;
    print_path("◦", timer ? TONE_PLAIN : TONE_WARN, value_get_string(event, "task", "?"), stream);
    fputs(timer ? "has waited\n" : "nothing came in time\n", stream);
}

static void print_signal(const value_t *event, FILE *stream)
{
    fprintf(stream, "◦ signal %s by %s", value_get_string(event, "signal", "?"),
            value_get_string(event, "by", "?"));
    print_message(": ", value_get(event, "payload"), stream);
    fputc('\n', stream);
}

static void print_pause(const value_t *event, FILE *stream)
{
    const char *why = value_get_string(event, "why", "");
    fprintf(stream, "%s%s%s by %s", tone_on(stream, TONE_BOLD),
            strcmp(value_get_string(event, "kind", ""), "paused") == 0 ? "‖ paused" : "▶ resumed",
            tone_off(stream), value_get_string(event, "by", "?"));
    if (*why) {
        fputs(": ", stream);
        print_text(why, stream);
    }
    fputc('\n', stream);
}

static void print_owned(const value_t *event, FILE *stream)
{
    print_path("▶", TONE_PLAIN, value_get_string(event, "task", "?"), stream);
    fprintf(stream, "workflow %s", value_get_string(event, "workflow", "?"));
    print_dim(value_get_string(event, "child", ""), stream);
}

static void print_again(const value_t *event, FILE *stream)
{
    bool reopened = strcmp(value_get_string(event, "kind", ""), "reopened") == 0;
    fprintf(stream, "%s%s%s by %s", tone_on(stream, TONE_BOLD),
            reopened ? "↻ tried again" : "⑂ forked", tone_off(stream),
            value_get_string(event, "by", "?"));
    if (reopened)
        fprintf(stream, ": it had %s\n", value_get_string(event, "was", "ended"));
    else
        fprintf(stream, " from %s at %s\n", value_get_string(event, "from", "?"),
                value_get_string(event, "task", "?"));
}

/* --- the rest --------------------------------------------------------------------------------- */

/* Whether the task goes on elsewhere or fails by this, the events that follow say. */
static void print_lost(const value_t *event, FILE *stream)
{
    print_path("↯", TONE_WARN, value_get_string(event, "task", "?"), stream);
    fprintf(stream, "lost (%s)", value_get_string(event, "reason", "?"));
    print_dim(value_get_string(event, "instance", ""), stream);
}

static void print_cancel(const value_t *event, FILE *stream)
{
    fprintf(stream, "%s■ cancel asked%s by %s ", tone_on(stream, TONE_WARN), tone_off(stream),
            value_get_string(event, "by", "?"));
    print_text(value_get_string(event, "why", ""), stream);
    fputc('\n', stream);
}

static void print_failing(const value_t *event, FILE *stream)
{
    fprintf(stream, "%s✘ failing%s because of %s\n", tone_on(stream, TONE_BAD), tone_off(stream),
            value_get_string(event, "task", ""));
}

static void print_started(const value_t *event, FILE *stream)
{
    fprintf(stream, "%s▶ started%s %s\n", tone_on(stream, TONE_BOLD), tone_off(stream),
            value_get_string(event, "workflow", value_get_string(event, "agent", "")));
}

static void print_ended(const value_t *event, FILE *stream)
{
    const char *status = value_get_string(event, "status", "?");
    const value_t *failure = failure_of(event);
    fprintf(stream, "%s%s execution %s%s", tone_on(stream, status_tone(status)),
            status_mark(status), status, tone_off(stream));
    if (failure)
        print_failure(failure, stream);
    fputc('\n', stream);
}

void lines_print_why(const value_t *execution, FILE *stream)
{
    const value_t *failure = failure_of(execution);
    fprintf(stream, "execution %s", value_get_string(execution, "status", "?"));
    if (failure)
        print_why(failure, SIZE_MAX, stream);
    fputc('\n', stream);
}

static const struct {
    const char *kind;
    void (*print)(const value_t *event, FILE *stream);
} KINDS[] = {
    {"delegated", print_delegated}, {"refused", print_refused},   {"patched", print_patched},
    {"decided", print_decided},     {"reserved", print_reserved}, {"settled", print_settled},
    {"lost", print_lost},           {"cancel", print_cancel},     {"failing", print_failing},
    {"started", print_started},     {"ended", print_ended},       {"waiting", print_waiting},
    {"decision", print_approval},   {"signal", print_signal},     {"timer", print_timer},
    {"paused", print_pause},        {"resumed", print_pause},     {"reopened", print_again},
    {"forked", print_again},        {"owned", print_owned},
};

void lines_print(const lines_t *self, const value_t *event, FILE *stream)
{
    const char *kind = value_get_string(event, "kind", "?");
    if (self->tenth) {
        print_tenth(self->tenth, value_get_string(event, "task", "?"), stream);
        return;
    }
    if (strcmp(kind, "step") == 0) {
        print_step(self, event, stream);
        return;
    }
    if (strcmp(kind, "answered") == 0) {
        print_answer(event, value_get_string(event, "tool", tool_of(self, event)), stream);
        return;
    }
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        if (strcmp(kind, KINDS[i].kind) == 0) {
            KINDS[i].print(event, stream);
            return;
        }
    }
    /* Of a newer coordinator. */
    fprintf(stream, "  %s %s\n", kind, value_get_string(event, "task", ""));
}
