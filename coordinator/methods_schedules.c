/* signals.send, which starts executions, and the list of what starts by itself. */
#include "coordinator/methods.h"
#include "coordinator/schedules.h"
#include "coordinator/starts.h"

#include <stdlib.h>
#include <string.h>

/* --- signals.send ----------------------------------------------------------------------------- */

struct listeners {
    struct prepared *items; /* one for each workflow that listens */
    size_t count, capacity;
};

/* All are looked up before the first one starts, so that either all do or none. */
static int prepare_all(struct coordinator *self, const struct request *request, const char *name,
                       struct listeners *listeners, struct err *err)
{
    struct schedule_view view;
    size_t position = 0;
    int rc = 0;
    while (rc == 0 && schedules_next(self, &position, &view)) {
        if (view.what->signal == NULL || strcmp(view.what->signal, name) != 0)
            continue;
        if (listeners->count == LIMIT_SIGNAL_STARTS)
            return err_set(err, ERR_LIMIT, "more than %d workflows listen to the signal \"%s\"",
                           LIMIT_SIGNAL_STARTS, name);
        if (listeners->count == listeners->capacity) {
            listeners->capacity = listeners->capacity == 0 ? 4 : 2 * listeners->capacity;
            listeners->items =
                xrealloc(listeners->items, listeners->capacity * sizeof *listeners->items);
        }
        struct start start = {.workflow = view.workflow,
                              .input = value_get(request->params, "payload"),
                              .by = request->from};
        rc = start_prepare(self, &start, &listeners->items[listeners->count++], err);
    }
    if (rc == 0 && listeners->count == 0) {
        rc = err_set(err, ERR_NOT_FOUND, "no workflow listens to the signal \"%s\"", name);
        err_fix(err,
                "write schedule: {signal: %s} in a workflow and apply it; a node that waits "
                "for a signal gets it by executions.signal",
                name);
    }
    return rc;
}

static int start_all(struct coordinator *self, struct listeners *listeners, struct doc *doc,
                     struct err *err)
{
    char text[TYPEID_TEXT_SIZE];
    int rc = 0;
    doc_list(doc, "executions");
    for (size_t i = 0; rc == 0 && i < listeners->count; i++) {
        const struct prepared *prepared = &listeners->items[i];
        rc = start_decide(self, prepared, err);
        if (rc < 0)
            break;
        schedules_note(self, prepared->start.workflow, prepared->id);
        doc_map(doc, NULL);
        doc_string(doc, "id", typeid_text("exec", prepared->id, text));
        doc_string(doc, "workflow", prepared->start.workflow);
        doc_int(doc, "version", prepared->version);
        doc_end(doc);
    }
    doc_end(doc);
    return rc;
}

int method_signals_send(struct coordinator *self, const struct request *request, struct doc *doc,
                        struct err *err)
{
    struct listeners listeners = {0};
    const char *name = NULL;
    int rc = param_text(request, "name", &name, err);
    if (rc == 0)
        rc = prepare_all(self, request, name, &listeners, err);
    if (rc == 0)
        rc = starts_have_room(self, listeners.count, err);
    if (rc == 0) {
        doc_map(doc, NULL);
        doc_string(doc, "signal", name);
        rc = start_all(self, &listeners, doc, err);
        doc_end(doc);
    }
    for (size_t i = 0; i < listeners.count; i++)
        start_release(&listeners.items[i]);
    free(listeners.items);
    return rc;
}

/* --- schedules.list --------------------------------------------------------------------------- */

static const char *missed_name(enum missed missed)
{
    switch (missed) {
    case MISSED_SKIP: return "skip";
    case MISSED_ALL: return "all";
    case MISSED_ONCE: break;
    }
    return "once";
}

static void put_schedule(struct doc *doc, const struct schedule_view *view)
{
    char text[TYPEID_TEXT_SIZE];
    const struct workflow_schedule *what = view->what;
    doc_map(doc, NULL);
    doc_string(doc, "workflow", view->workflow);
    doc_int(doc, "version", view->version);
    if (what->signal != NULL) {
        doc_string(doc, "signal", what->signal);
    } else {
        doc_string(doc, "cron", what->cron);
        doc_string(doc, "zone", what->zone);
        doc_string(doc, "missed", missed_name(what->missed));
        doc_string(doc, "overlap", what->alone ? "skip" : "allow");
    }
    doc_time(doc, "next_at", view->next_us == INT64_MAX ? 0 : view->next_us);
    doc_time(doc, "last_at", view->last_us);
    doc_string(doc, "last_execution",
               view->last_us == 0 ? NULL : typeid_text("exec", view->last, text));
    if (view->trouble != NULL)
        doc_string(doc, "trouble", view->trouble);
    doc_end(doc);
}

int method_schedules_list(struct coordinator *self, const struct request *request, struct doc *doc,
                          struct err *err)
{
    struct schedule_view view;
    (void)request;
    (void)err;
    doc_map(doc, NULL);
    doc_list(doc, "items");
    for (size_t position = 0; schedules_next(self, &position, &view);)
        put_schedule(doc, &view);
    doc_end(doc);
    doc_end(doc);
    return 0;
}
