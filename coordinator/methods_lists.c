/* Lists of what the store holds: executions, newest first, and the events of a journal. */
#include "coordinator/events.h"
#include "coordinator/executions.h"
#include "coordinator/journal.h"
#include "coordinator/labels.h"
#include "coordinator/methods.h"
#include "coordinator/tables.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Records looked at for one answer; what is left goes on from the cursor. */
#define LIST_LOOKS         2000
#define JOURNAL_SOFT_BYTES (1u << 20)

/* --- executions.list -------------------------------------------------------------------------- */

struct list {
    const char *status, *workflow, *agent, *since, *cursor_text, *parent_text, *label_text;
    bool all;                     /* sub-workflows, too */
    struct uuid parent;           /* whose sub-workflows alone are wanted; nil: no execution's */
    enum execution_status wanted; /* 0: any */
    int64_t since_us;
    int64_t limit;
    bool has_cursor;
    struct uuid cursor; /* the last one given */
};

static int find_status(const char *name, enum execution_status *ret_status, struct err *err)
{
    for (unsigned i = EXECUTION_RUNNING; i <= EXECUTION_CANCELLED; i++)
        if (strcmp(execution_status_name((enum execution_status)i), name) == 0) {
            *ret_status = (enum execution_status)i;
            return 0;
        }
    err_set(err, ERR_INVALID, "\"%s\" is not a status of executions", name);
    err_where(err, "status");
    return ERR_INVALID;
}

/* RFC 3339 in UTC, to the second; a fraction is passed over. */
static int parse_since(const char *text, int64_t *ret_us, struct err *err)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest != NULL && *rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    if (rest == NULL || strcmp(rest, "Z") != 0) {
        err_set(err, ERR_INVALID, "\"%s\" is not a time such as 2026-01-31T12:00:00Z", text);
        err_where(err, "since");
        return ERR_INVALID;
    }
    *ret_us = (int64_t)timegm(&tm) * LIMIT_SECOND_US;
    return 0;
}

static int read_list(const struct request *request, struct list *list, struct err *err)
{
    int rc;
    list->limit = LIMIT_PAGE;
    if ((rc = param_optional_text(request, "status", &list->status, err)) < 0 ||
        (rc = param_optional_text(request, "workflow", &list->workflow, err)) < 0 ||
        (rc = param_optional_text(request, "agent", &list->agent, err)) < 0 ||
        (rc = param_optional_text(request, "since", &list->since, err)) < 0 ||
        (rc = param_optional_text(request, "cursor", &list->cursor_text, err)) < 0 ||
        (rc = param_optional_int(request, "limit", 1, LIMIT_PAGE, &list->limit, err)) < 0 ||
        (rc = param_optional_bool(request, "all", &list->all, err)) < 0 ||
        (rc = param_optional_text(request, "parent", &list->parent_text, err)) < 0 ||
        (rc = param_optional_text(request, "label", &list->label_text, err)) < 0 ||
        (list->parent_text != NULL &&
         (rc = typeid_parse_as(list->parent_text, "exec", &list->parent, err)) < 0) ||
        (list->status != NULL && (rc = find_status(list->status, &list->wanted, err)) < 0) ||
        (list->since != NULL && (rc = parse_since(list->since, &list->since_us, err)) < 0))
        return rc;
    if (list->workflow != NULL && list->agent != NULL)
        return err_set(err, ERR_INVALID, "an execution is of a workflow or of an agent, not both");
    list->has_cursor = list->cursor_text != NULL && *list->cursor_text != '\0';
    if (list->has_cursor && typeid_parse_as(list->cursor_text, "exec", &list->cursor, err) < 0)
        return err_set(err, ERR_INVALID, "the cursor is not one that a list gave");
    return 0;
}

/* Which table has what is asked for with the fewest others between. */
static const char *choose_table(const struct list *list, struct buf *prefix)
{
    if (list->workflow != NULL || list->agent != NULL) {
        key_name(list->workflow != NULL ? 'w' : 'a',
                 list->workflow != NULL ? list->workflow : list->agent, NULL, prefix);
        return TABLE_BY_NAME;
    }
    if (list->wanted != 0) {
        /* Statuses on the way to an end are known to the engine alone. */
        bool terminal = execution_status_terminal(list->wanted);
        buf_putc(prefix, (char)(terminal ? list->wanted : EXECUTION_RUNNING));
        return TABLE_BY_STATUS;
    }
    return TABLE_EXECUTIONS;
}

static enum execution_status live_status(struct coordinator *self, struct uuid id,
                                         const struct summary *summary)
{
    struct execution_view view;
    if (self->full || engine_execution(self->engine, id, &view) < 0)
        return summary->status;
    return view.status;
}

struct walk {
    store_snapshot_t *snapshot;
    struct arena arena;
    struct label_filter label;
    struct uuid last;
    int64_t items;
    bool more; /* ended before the end of the table */
};

/* Executions that others own stand in their owners' trees, and in lists for whoever asks. */
static bool is_wanted(const struct list *list, const struct summary *summary)
{
    if (list->parent_text != NULL)
        return uuid_equal(summary->owner, list->parent);
    return list->all || uuid_is_nil(summary->owner);
}

/* Adds one execution if it is asked for; false when no older one can be. */
static bool list_one(struct coordinator *self, const struct list *list, struct walk *walk,
                     struct uuid id, struct doc *doc)
{
    struct summary summary;
    struct bytes value;

    arena_clear(&walk->arena);
    if (store_get(walk->snapshot, TABLE_EXECUTIONS, key_uuid(&id), &value, NULL) < 0 ||
        summary_decode(&walk->arena, value, &summary, NULL) < 0)
        return true;
    if (summary.started_us < list->since_us)
        return false;
    enum execution_status status = live_status(self, id, &summary);
    bool fits = is_wanted(list, &summary) && (list->wanted == 0 || status == list->wanted);
    if (!fits || !label_filter_fits(&walk->label, self, &summary))
        return true;
    executions_item(id, &summary, status, aside_reason(self, id), doc);
    walk->items++;
    return true;
}

static int walk_table(struct coordinator *self, const struct list *list, store_scan_t *scan,
                      struct walk *walk, struct doc *doc, struct err *err)
{
    struct bytes key, value;
    for (int looks = 0;; looks++) {
        if (looks == LIST_LOOKS || walk->items == list->limit ||
            label_filter_is_full(&walk->label)) {
            walk->more = true;
            return 0;
        }
        int rc = store_scan_next(scan, &key, &value, err);
        if (rc == ERR_NOT_FOUND)
            return 0;
        if (rc < 0 && rc != ERR_CORRUPT)
            return rc;
        if (rc == 0) {
            walk->last = key_last_uuid(key);
            if (!list_one(self, list, walk, walk->last, doc))
                return 0;
        }
    }
}

static int list_executions(struct coordinator *self, const struct list *list, struct walk *walk,
                           struct doc *doc, struct err *err)
{
    struct buf prefix = {0}, to = {0};
    store_scan_t *scan = NULL;
    const char *table = choose_table(list, &prefix);
    struct store_range range = {.prefix = buf_bytes(&prefix), .reverse = true};

    if (list->has_cursor) {
        buf_append_bytes(&to, buf_bytes(&prefix));
        buf_append(&to, list->cursor.bytes, KEY_UUID_BYTES);
        range.to = buf_bytes(&to);
    }
    int rc = store_scan(walk->snapshot, table, &range, &scan, err);
    if (rc == 0)
        rc = walk_table(self, list, scan, walk, doc, err);
    store_scan_close(&scan);
    buf_release(&prefix);
    buf_release(&to);
    return rc;
}

int method_executions_list(struct coordinator *self, const struct request *request, struct doc *doc,
                           struct err *err)
{
    char text[TYPEID_TEXT_SIZE];
    struct list list = {0};
    struct walk walk = {0};
    size_t begin = doc->out->size;

    int rc = read_list(request, &list, err);
    if (rc == 0)
        rc = label_filter_init(&walk.label, list.label_text, err);
    if (rc == 0)
        rc = store_snapshot(self->store, &walk.snapshot, err);
    if (rc < 0) {
        label_filter_release(&walk.label);
        return rc;
    }
    doc_map(doc, NULL);
    doc_list(doc, "items");
    rc = list_executions(self, &list, &walk, doc, err);
    doc_end(doc);
    doc_string(doc, "next_cursor", walk.more ? typeid_text("exec", walk.last, text) : NULL);
    doc_end(doc);
    if (rc < 0)
        doc->out->size = begin;
    store_snapshot_close(&walk.snapshot);
    label_filter_release(&walk.label);
    arena_release(&walk.arena);
    return rc;
}

/* --- executions.journal ----------------------------------------------------------------------- */

static void put_raw(struct doc *doc, struct bytes record)
{
    size_t size = sodium_base64_ENCODED_LEN(record.size, sodium_base64_VARIANT_ORIGINAL);
    char *text = xmalloc(size);
    sodium_bin2base64(text, size, record.data, record.size, sodium_base64_VARIANT_ORIGINAL);
    doc_string(doc, "raw", text);
    free(text);
}

struct journal_page {
    struct uuid id;
    int64_t after, limit;
    bool raw;
    struct arena arena;
};

static int put_event(struct journal_page *page, uint64_t sequence, struct bytes record,
                     struct doc *doc, struct err *err)
{
    struct event event;
    arena_clear(&page->arena);
    int rc = journal_decode(&page->arena, page->id, sequence, record, &event, err);
    if (rc < 0)
        return rc;
    doc_map(doc, NULL);
    doc_int(doc, "sequence", (int64_t)sequence);
    doc_time(doc, "time", event.time_us);
    doc_string(doc, "kind", event_kind_name(event.kind));
    events_document(doc, &event);
    if (page->raw)
        put_raw(doc, record);
    doc_end(doc);
    return 0;
}

static int put_events(struct journal_page *page, store_snapshot_t *snapshot, struct doc *doc,
                      uint64_t *ret_next, struct err *err)
{

    uint8_t from[KEY_JOURNAL_BYTES];
    struct store_range range = {.from = key_journal(page->id, (uint64_t)page->after + 1, from),
                                .prefix = key_uuid(&page->id)};
    store_scan_t *scan = NULL;
    struct bytes key, value;
    size_t begin = doc->out->size;
    uint64_t last = (uint64_t)page->after;
    int rc = store_scan(snapshot, TABLE_JOURNAL, &range, &scan, err);

    for (int64_t i = 0; rc == 0; i++) {
        rc = store_scan_next(scan, &key, &value, err);
        if (rc == 0 && (i == page->limit || doc->out->size - begin > JOURNAL_SOFT_BYTES)) {
            *ret_next = last;
            break;
        }
        if (rc == 0) {
            last = key_journal_sequence(key, page->id);
            rc = put_event(page, last, value, doc, err);
        }
    }
    store_scan_close(&scan);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int method_executions_journal(struct coordinator *self, const struct request *request,
                              struct doc *doc, struct err *err)
{
    struct journal_page page = {.limit = LIMIT_PAGE};
    struct summary summary;
    store_snapshot_t *snapshot = NULL;
    uint64_t next = 0;
    size_t begin = doc->out->size;
    int rc;

    if ((rc = param_id(request, &page.id, err)) < 0 ||
        (rc = param_optional_int(request, "after", 0, INT64_MAX - 1, &page.after, err)) < 0 ||
        (rc = param_optional_int(request, "limit", 1, LIMIT_PAGE, &page.limit, err)) < 0 ||
        (rc = param_optional_bool(request, "raw", &page.raw, err)) < 0)
        return rc;
    rc = executions_summary(self, page.id, &page.arena, &summary, err);
    if (rc == 0)
        rc = store_snapshot(self->store, &snapshot, err);
    if (rc == 0) {
        doc_map(doc, NULL);
        doc_list(doc, "items");
        rc = put_events(&page, snapshot, doc, &next, err);
        doc_end(doc);
        if (next == 0)
            doc_null(doc, "next");
        else
            doc_int(doc, "next", (int64_t)next);
        doc_end(doc);
    }
    if (rc < 0)
        doc->out->size = begin;
    store_snapshot_close(&snapshot);
    arena_release(&page.arena);
    return rc;
}
