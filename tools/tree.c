#include "tools/tree.h"

#include "base/map.h"
#include "tools/output.h"
#include "tools/text.h"

#include <stdlib.h>
#include <string.h>

#define REASON_WIDTH  60
#define MESSAGE_WIDTH 60
#define NONE          SIZE_MAX

/* --- parts of both ---------------------------------------------------------------------------- */

static void cell(table_t *table, struct buf *text)
{
    table_cell(table, buf_string(text));
    buf_clear(text);
}

static void put_reason(const value_t *task, struct buf *text)
{
    const char *reason = value_get_string(task, "reason", "");
    if (*reason) {
        buf_puts(text, " (");
        text_excerpt(text, reason, strlen(reason), REASON_WIDTH);
        buf_putc(text, ')');
    }
}

/* ", 3 items", or how many of them have ended while some have not. */
static void put_items(const value_t *task, struct buf *text)
{
    int64_t count = value_get_int(task, "items", -1);
    int64_t ended = value_get_int(task, "items_ended", count);
    if (count < 0)
        return;
    buf_puts(text, ", ");
    if (ended < count)
        buf_printf(text, "%lld of ", (long long)ended);
    text_count(text, count, "item");
}

/* A task that another one asked for; an item of a node is none. */
static bool is_asked(const value_t *task)
{
    return *value_get_string(task, "parent", "") && !value_get(task, "item");
}

static void duration_cell(table_t *table, const value_t *task, const char *from, const char *to)
{
    char text[32];
    table_cell(table, print_duration(time_between(value_get_string(task, from, NULL),
                                                  value_get_string(task, to, NULL)),
                                     text));
}

/* Who works on it: an instance, or the execution of a sub-workflow. */
static const char *who_of(const value_t *task)
{
    const char *execution = value_get_string(task, "execution", NULL);
    return execution ? execution : value_get_string(task, "instance", "");
}

void print_task_table(const value_t *execution, FILE *stream)
{
    static const char *const titles[] = {"",      "TASK",   "AGENT", "STATUS",
                                         "TRIES", "WAITED", "TOOK",  "INSTANCE"};
    const value_t *tasks = value_get(execution, "tasks");
    table_t *table = table_new(8, titles);
    struct buf text = {0};
    for (size_t i = 0; tasks && i < value_size(tasks); i++) {
        const value_t *task = value_at(tasks, i);
        int64_t losses = value_get_int(task, "losses", 0);
        table_cell(table, status_mark(value_get_string(task, "status", "?")));
        table_cell(table, value_get_string(task, "path", "?"));
        table_cell(table, value_get_string(task, "agent", ""));
        buf_puts(&text, value_get_string(task, "status", "?"));
        put_items(task, &text);
        put_reason(task, &text);
        cell(table, &text);
        buf_printf(&text, "%lld", (long long)value_get_int(task, "attempt", 0));
        if (losses)
            buf_printf(&text, ", lost %lld", (long long)losses);
        cell(table, &text);
        duration_cell(table, task, "queued_at", "started_at");
        duration_cell(table, task, "started_at", "ended_at");
        table_cell(table, who_of(task));
    }
    buf_release(&text);
    table_print(&table, stream);
}

/* --- totals ----------------------------------------------------------------------------------- */

static int64_t used_tokens(const value_t *task, const char *which)
{
    return text_tokens(value_get(value_get(task, "tokens"), which));
}

static int64_t used_money(const value_t *task, const char *which)
{
    return value_get_int(value_get(task, "cost_microusd"), which, 0);
}

struct totals {
    int64_t delegations, turns, tokens, microusd, again;
};

/* The head tells most of it; what it doesn't is added up. */
static struct totals add_up(const value_t *execution)
{
    struct totals sum = {0};
    const value_t *tasks = value_get(execution, "tasks");
    const value_t *tokens = value_get(execution, "tokens");
    for (size_t i = 0; tasks && i < value_size(tasks); i++) {
        const value_t *task = value_at(tasks, i);
        sum.delegations += is_asked(task);
        sum.turns += value_get_int(task, "turns", 0);
        sum.tokens += used_tokens(task, "own");
        sum.microusd += used_money(task, "own");
        sum.again += value_get_int(task, "calls_again", 0);
    }
    sum.delegations = value_get_int(execution, "delegations", sum.delegations);
    sum.tokens = tokens ? text_tokens(tokens) : sum.tokens;
    sum.microusd = value_get_int(execution, "cost_microusd", sum.microusd);
    return sum;
}

static void add_count(struct buf *out, int64_t count, const char *one)
{
    if (count == 0)
        return;
    buf_puts(out, out->size ? ", " : "");
    text_count(out, count, one);
}

void describe_use(const value_t *execution, struct buf *out)
{
    struct totals sum = add_up(execution);
    struct buf text = {0};
    add_count(&text, sum.delegations, "delegation");
    add_count(&text, sum.turns, "turn");
    add_count(&text, sum.tokens, "token");
    if (sum.microusd) {
        buf_puts(&text, text.size ? ", " : "");
        text_money(&text, sum.microusd);
    }
    if (sum.again) {
        add_count(&text, sum.again, "model call");
        buf_puts(&text, " made again");
    }
    buf_append(out, text.data, text.size);
    buf_release(&text);
}

/* --- the tree --------------------------------------------------------------------------------- */

struct tree {
    const value_t *tasks;
    size_t count;
    size_t *first, *last, *next; /* children of each task, and of none (at count) */
    bool *shown;
    bool asked, turns, money; /* some task has such: else their columns are left out */
    table_t *table;
    struct buf guide, text;
};

static const value_t *task_at(const struct tree *self, size_t index)
{
    return value_at(self->tasks, index);
}

static void add_child(struct tree *self, size_t parent, size_t child)
{
    if (self->first[parent] == NONE)
        self->first[parent] = child;
    else
        self->next[self->last[parent]] = child;
    self->last[parent] = child;
}

static void link_tasks(struct tree *self)
{
    map_t *places = map_new(); /* path -> its place in shown, for the sake of an address */
    for (size_t i = 0; i < self->count; i++) {
        const char *path = value_get_string(task_at(self, i), "path", "");
        map_put(places, path, strlen(path), &self->shown[i]);
    }
    for (size_t i = 0; i < self->count; i++) {
        const char *parent = value_get_string(task_at(self, i), "parent", "");
        const bool *place = *parent ? map_get(places, parent, strlen(parent)) : NULL;
        add_child(self, place ? (size_t)(place - self->shown) : self->count, i);
    }
    map_destroy(&places);
}

static void tree_init(struct tree *self, const value_t *tasks)
{
    *self = (struct tree){.tasks = tasks, .count = tasks ? value_size(tasks) : 0};
    self->first = xcalloc(3 * (self->count + 1), sizeof *self->first);
    self->last = self->first + self->count + 1;
    self->next = self->last + self->count + 1;
    self->shown = xcalloc(self->count + 1, sizeof *self->shown);
    for (size_t i = 0; i < 3 * (self->count + 1); i++)
        self->first[i] = NONE;
    for (size_t i = 0; i < self->count; i++) {
        const value_t *task = task_at(self, i);
        self->asked = self->asked || is_asked(task);
        self->turns =
            self->turns || value_get_int(task, "turns", 0) > 0 || used_tokens(task, "subtree") > 0;
        self->money = self->money || used_money(task, "subtree") > 0;
    }
    link_tasks(self);
}

static void tree_release(struct tree *self)
{
    free(self->first);
    free(self->shown);
    buf_release(&self->guide);
    buf_release(&self->text);
}

static void open_table(struct tree *self)
{
    const char *titles[12];
    size_t count = 0;
    titles[count++] = "TASK";
    titles[count++] = "AGENT";
    titles[count++] = "STATUS";
    if (self->turns) {
        titles[count++] = "TURNS";
        titles[count++] = "TOKENS";
        titles[count++] = "WITH BELOW";
    }
    if (self->money) {
        titles[count++] = "COST";
        titles[count++] = "WITH BELOW";
    }
    titles[count++] = "TOOK";
    titles[count++] = "INSTANCE";
    if (self->asked)
        titles[count++] = "ASKED";
    self->table = table_new(count, titles);
    if (self->asked)
        table_cut_last(self->table);
}

static void number_cell(struct tree *self, int64_t number)
{
    buf_printf(&self->text, "%lld", (long long)number);
    cell(self->table, &self->text);
}

static void money_cell(struct tree *self, int64_t microusd)
{
    if (microusd)
        text_money(&self->text, microusd);
    else
        buf_putc(&self->text, '-');
    cell(self->table, &self->text);
}

static void status_cell(struct tree *self, const value_t *task)
{
    int64_t losses = value_get_int(task, "losses", 0);
    int64_t attempt = value_get_int(task, "attempt", 0);
    buf_puts(&self->text, value_get_string(task, "status", "?"));
    put_items(task, &self->text);
    if (attempt > 1)
        buf_printf(&self->text, ", attempt %lld", (long long)attempt);
    if (losses > 0)
        buf_printf(&self->text, ", lost %lld", (long long)losses);
    put_reason(task, &self->text);
    cell(self->table, &self->text);
}

/* "lead: “Look at the sources …”" */
static void asked_cell(struct tree *self, const value_t *task)
{
    if (is_asked(task)) {
        const value_t *message = value_get(task, "message");
        buf_printf(&self->text, "by %s%s%s", value_get_string(task, "parent", ""),
                   value_get_bool(task, "hand_off", false) ? ", hand-off" : "",
                   message && value_type(message) != VALUE_NULL ? ": " : "");
        text_message(&self->text, message, MESSAGE_WIDTH);
    }
    cell(self->table, &self->text);
}

static void add_row(struct tree *self, const value_t *task, const char *branch)
{
    const char *status = value_get_string(task, "status", "?");
    buf_printf(&self->text, "%s%s%s %s", buf_string(&self->guide), branch, status_mark(status),
               value_get_string(task, "path", "?"));
    cell(self->table, &self->text);
    table_cell(self->table, value_get_string(task, "agent", ""));
    status_cell(self, task);
    if (self->turns) {
        number_cell(self, value_get_int(task, "turns", 0));
        number_cell(self, used_tokens(task, "own"));
        number_cell(self, used_tokens(task, "subtree"));
    }
    if (self->money) {
        money_cell(self, used_money(task, "own"));
        money_cell(self, used_money(task, "subtree"));
    }
    duration_cell(self->table, task, "started_at", "ended_at");
    table_cell(self->table, who_of(task));
    if (self->asked)
        asked_cell(self, task);
}

/* Adds a task and what is below it. Depth is bounded by the limit of delegation, and a document
 * that names tasks as each other's parents by each being shown once. */
static void add_branch(struct tree *self, size_t index, const char *branch, const char *below)
{
    size_t before = self->guide.size;
    if (self->shown[index])
        return;
    self->shown[index] = true;
    add_row(self, task_at(self, index), branch);
    buf_puts(&self->guide, below);
    for (size_t child = self->first[index]; child != NONE; child = self->next[child]) {
        bool last = self->next[child] == NONE;
        add_branch(self, child, last ? "└ " : "├ ", last ? "  " : "│ ");
    }
    self->guide.size = before;
    if (self->guide.data)
        self->guide.data[before] = '\0';
}

static void print_totals(const value_t *execution, size_t tasks, FILE *stream)
{
    char text[32];
    struct buf out = {0};
    struct buf use = {0};
    text_count(&out, (int64_t)tasks, "task");
    describe_use(execution, &use);
    int64_t took_us = time_between(value_get_string(execution, "started_at", NULL),
                                   value_get_string(execution, "ended_at", NULL));
    fprintf(stream, "%sin all%s  %s%s%s%s%s\n", tone_on(stream, TONE_BOLD), tone_off(stream),
            buf_string(&out), use.size ? ", " : "", buf_string(&use), took_us >= 0 ? ", took " : "",
            took_us >= 0 ? print_duration(took_us, text) : "");
    fflush(stream);
    buf_release(&out);
    buf_release(&use);
}

void print_task_tree(const value_t *execution, FILE *stream)
{
    struct tree self;
    tree_init(&self, value_get(execution, "tasks"));
    open_table(&self);
    for (size_t i = self.first[self.count]; i != NONE; i = self.next[i])
        add_branch(&self, i, "", "");
    for (size_t i = 0; i < self.count; i++)
        add_branch(&self, i, "", "");
    table_print(&self.table, stream);
    print_totals(execution, self.count, stream);
    tree_release(&self);
}
