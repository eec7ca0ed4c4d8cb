/* What people and programs say to executions that wait for them, and pauses. */
#include "coordinator/approvals.h"
#include "coordinator/blobs.h"
#include "coordinator/executions.h"
#include "coordinator/methods.h"
#include "coordinator/pipeline.h"

#include <sodium.h>
#include <string.h>

#define APPROVALS_SOFT_BYTES (1u << 20) /* of one answer: the client asks on for the rest */

static void put_status(struct coordinator *self, struct uuid id, struct doc *doc)
{
    char text[TYPEID_TEXT_SIZE];
    struct execution_view view;
    CHECK(engine_execution(self->engine, id, &view) == 0);
    doc_string(doc, "id", typeid_text("exec", id, text));
    doc_string(doc, "status", execution_status_name(view.status));
}

/* Gives the engine an input about this execution. */
static int decide_about(struct coordinator *self, struct uuid id, struct input *input,
                        struct err *err)
{
    int rc = refuse_aside(self, id, err);
    struct execution_view view;
    if (rc == 0 && engine_execution(self->engine, id, &view) < 0)
        return refuse_ended(self, id, err);
    return rc < 0 ? rc : pipeline_decide(self, input, err);
}

static int param_short(const struct request *request, const char *name, const char **ret_text,
                       struct err *err)
{
    int rc = param_optional_text(request, name, ret_text, err);
    if (rc < 0 || strlen(*ret_text) <= LIMIT_NOTE_BYTES)
        return rc;
    err_set(err, ERR_TOO_LARGE, "the parameter \"%s\" is longer than %u bytes", name,
            LIMIT_NOTE_BYTES);
    err_where(err, "%s", name);
    return ERR_TOO_LARGE;
}

/* --- pause and resume ------------------------------------------------------------------------- */

static int pause_or_go_on(struct coordinator *self, enum input_kind kind,
                          const struct request *request, struct doc *doc, struct err *err)
{
    struct input input = {.kind = kind, .pause = {.by = request->from, .why = ""}};
    int rc = param_id(request, &input.pause.execution, err);
    if (rc == 0)
        rc = param_short(request, "why", &input.pause.why, err);
    if (rc == 0)
        rc = decide_about(self, input.pause.execution, &input, err);
    if (rc < 0)
        return rc;
    doc_map(doc, NULL);
    put_status(self, input.pause.execution, doc);
    doc_end(doc);
    return 0;
}

int method_executions_pause(struct coordinator *self, const struct request *request,
                            struct doc *doc, struct err *err)
{
    return pause_or_go_on(self, INPUT_PAUSE, request, doc, err);
}

int method_executions_resume(struct coordinator *self, const struct request *request,
                             struct doc *doc, struct err *err)
{
    return pause_or_go_on(self, INPUT_GO_ON, request, doc, err);
}

/* --- signals ---------------------------------------------------------------------------------- */

int method_executions_signal(struct coordinator *self, const struct request *request,
                             struct doc *doc, struct err *err)
{
    struct input input = {.kind = INPUT_SIGNAL, .signal = {.by = request->from}};
    const value_t *payload = value_get(request->params, "payload");
    value_t *null = value_null();
    struct buf packed = {0};

    int rc = param_id(request, &input.signal.execution, err);
    if (rc == 0)
        rc = param_text(request, "name", &input.signal.name, err);
    if (rc == 0) {
        value_to_msgpack(payload == NULL ? null : payload, &packed);
        input.signal.payload = datum_inline(buf_bytes(&packed));
        rc = decide_about(self, input.signal.execution, &input, err);
    }
    buf_release(&packed);
    value_destroy(&null);
    if (rc < 0)
        return rc;
    doc_map(doc, NULL);
    put_status(self, input.signal.execution, doc);
    doc_string(doc, "signal", input.signal.name);
    doc_end(doc);
    return 0;
}

/* --- approvals.decide ------------------------------------------------------------------------- */

static int parse_hash(const struct request *request, uint8_t hash[DATUM_HASH_BYTES],
                      const uint8_t **ret_hash, struct err *err)
{
    const char *text = NULL;
    int rc = param_optional_text(request, "hash", &text, err);
    if (rc < 0 || text == NULL)
        return rc;
    size_t size = strspn(text, "0123456789abcdef");
    if (size != 2 * DATUM_HASH_BYTES || text[size] != '\0') {
        err_set(err, ERR_INVALID, "the parameter \"hash\" is not one that a list gave");
        err_where(err, "hash");
        return ERR_INVALID;
    }
    CHECK(sodium_hex2bin(hash, DATUM_HASH_BYTES, text, size, NULL, NULL, NULL) == 0);
    *ret_hash = hash;
    return 0;
}

struct decide {
    struct arena arena;
    struct buf edited;
    struct approval_id id;
    uint8_t hash[DATUM_HASH_BYTES];
};

static int read_decision(struct coordinator *self, const struct request *request,
                         struct decide *decide, struct input_decision *in, struct err *err)
{
    const value_t *edited = value_get(request->params, "edited");
    const value_t *approved = value_get(request->params, "approved");
    const char *id;
    int rc;
    if ((rc = param_text(request, "id", &id, err)) < 0 ||
        (rc = approval_id_parse(id, &decide->arena, &decide->id, err)) < 0 ||
        (rc = param_short(request, "note", &in->note, err)) < 0 ||
        (rc = param_optional_bool(request, "approved", &in->approved, err)) < 0 ||
        (rc = parse_hash(request, decide->hash, &in->hash, err)) < 0)
        return rc;
    if (approved == NULL || value_type(approved) == VALUE_NULL) {
        err_set(err, ERR_INVALID, "the parameter \"approved\" is missing");
        err_where(err, "approved");
        return ERR_INVALID;
    }
    in->execution = decide->id.execution;
    in->path = decide->id.path;
    in->attempt = decide->id.attempt;
    if (edited == NULL)
        return 0;
    value_to_msgpack(edited, &decide->edited);
    if (decide->edited.size > LIMIT_VALUE_BYTES)
        return err_set(err, ERR_TOO_LARGE, "what was edited is larger than %u bytes",
                       LIMIT_VALUE_BYTES);
    in->edited = blobs_datum(self, buf_bytes(&decide->edited));
    return 0;
}

static void put_decided(struct coordinator *self, const struct decide *decide,
                        const struct approval_view *view, struct doc *doc)
{
    struct buf id = {0};
    approval_id_print(decide->id.execution, view->path, view->attempt, &id);
    doc_map(doc, NULL);
    doc_string(doc, "approval", buf_string(&id));
    put_status(self, decide->id.execution, doc);
    doc_string(doc, "task", view->path);
    doc_bool(doc, "approved", view->approved);
    doc_string(doc, "by", view->by);
    doc_string(doc, "note", view->note);
    doc_time(doc, "decided_at", view->ended_us);
    doc_end(doc);
    buf_release(&id);
}

int method_approvals_decide(struct coordinator *self, const struct request *request,
                            struct doc *doc, struct err *err)
{
    struct decide decide = {0};
    struct approval_view view;
    struct input input = {.kind = INPUT_DECISION, .decision = {.by = request->from, .note = ""}};
    int rc = read_decision(self, request, &decide, &input.decision, err);
    if (rc == 0)
        rc = decide_about(self, decide.id.execution, &input, err);
    if (rc == 0) {
        CHECK(engine_approval(self->engine, decide.id.execution, decide.id.path, &view) == 0);
        put_decided(self, &decide, &view, doc);
    }
    buf_release(&decide.edited);
    arena_release(&decide.arena);
    return rc;
}

/* --- approvals.list --------------------------------------------------------------------------- */

struct page {
    struct arena arena;
    int64_t limit;
    bool one; /* of one execution alone */
    struct uuid execution;
    struct approval_id after;
    bool has_after;
    uint64_t after_sequence;
    int64_t listed;
    size_t begin;
    bool full;       /* there is more than the page holds */
    struct buf last; /* the last one listed */
};

static int read_page(struct coordinator *self, const struct request *request, struct page *page,
                     struct err *err)
{
    const char *execution = NULL, *after = NULL;
    struct approval_view view;
    int rc;
    page->limit = LIMIT_PAGE;
    if ((rc = param_optional_text(request, "execution", &execution, err)) < 0 ||
        (rc = param_optional_text(request, "after", &after, err)) < 0 ||
        (rc = param_optional_int(request, "limit", 1, LIMIT_PAGE, &page->limit, err)) < 0)
        return rc;
    page->one = execution != NULL;
    page->has_after = after != NULL && *after != '\0';
    if (page->one && typeid_parse_as(execution, "exec", &page->execution, err) < 0)
        return ERR_INVALID;
    if (page->has_after && (rc = approval_id_parse(after, &page->arena, &page->after, err)) < 0)
        return rc;
    if (page->has_after &&
        engine_approval(self->engine, page->after.execution, page->after.path, &view) == 0)
        page->after_sequence = view.sequence;
    return 0;
}

static void put_approval(struct doc *doc, const struct execution_view *execution,
                         const struct approval_view *view, const char *id)
{
    char text[TYPEID_TEXT_SIZE], hash[2 * DATUM_HASH_BYTES + 1];
    doc_map(doc, NULL);
    doc_string(doc, "id", id);
    doc_string(doc, "execution", typeid_text("exec", execution->id, text));
    doc_string(doc, "workflow", execution->workflow);
    doc_string(doc, "task", view->path);
    doc_int(doc, "attempt", view->attempt);
    doc_datum(doc, "text", &view->text);
    doc_datum(doc, "show", &view->show);
    datum_hash_hex(view->hash, hash);
    doc_string(doc, "hash", hash);
    doc_time(doc, "asked_at", view->asked_us);
    doc_time(doc, "due_at", view->due_us);
    doc_end(doc);
}

static void list_execution(struct coordinator *self, struct page *page, struct uuid id,
                           struct doc *doc)
{
    struct approval_view views[LIMIT_PAGE + 1];
    struct execution_view execution;
    bool begun = page->has_after && uuid_equal(id, page->after.execution);
    size_t most = (size_t)(page->limit - page->listed) + 1;
    size_t count =
        engine_approvals(self->engine, id, begun ? page->after_sequence : 0, views, most);
    if (count == 0 || engine_execution(self->engine, id, &execution) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        page->full =
            page->listed == page->limit || doc->out->size - page->begin > APPROVALS_SOFT_BYTES;
        if (page->full)
            return;
        buf_clear(&page->last);
        approval_id_print(id, views[i].path, views[i].attempt, &page->last);
        put_approval(doc, &execution, &views[i], buf_string(&page->last));
        page->listed++;
    }
}

/* Executions in the order of their ids, which is that of their starts. */
static void list_all(struct coordinator *self, struct page *page, struct doc *doc)
{
    struct uuid id;
    for (size_t position = 0; !page->full && engine_next_execution(self->engine, &position, &id);)
        if (!page->has_after || memcmp(id.bytes, page->after.execution.bytes, sizeof id.bytes) >= 0)
            list_execution(self, page, id, doc);
}

int method_approvals_list(struct coordinator *self, const struct request *request, struct doc *doc,
                          struct err *err)
{
    struct page page = {.begin = doc->out->size};
    int rc = read_page(self, request, &page, err);
    if (rc == 0 && self->full)
        rc = err_set(err, ERR_FULL, "the store has no room: what waits can't be told until it has");
    if (rc == 0) {
        doc_map(doc, NULL);
        doc_list(doc, "items");
        if (page.one)
            list_execution(self, &page, page.execution, doc);
        else
            list_all(self, &page, doc);
        doc_end(doc);
        doc_string(doc, "next", page.full ? buf_string(&page.last) : NULL);
        doc_end(doc);
    }
    buf_release(&page.last);
    arena_release(&page.arena);
    return rc;
}
