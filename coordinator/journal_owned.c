#include "coordinator/journal_owned.h"

#include <string.h>

void journal_encode_owned(const struct event_owned *from, Af__Record__Event *record,
                          struct buf *out)
{
    Af__Record__Owned to = AF__RECORD__OWNED__INIT;
    to.path = record_text(from->path);
    RECORD_SET(&to, attempt, from->attempt);
    to.has_execution = true;
    to.execution = record_bytes(bytes_of(from->execution.bytes, sizeof from->execution.bytes));
    to.workflow = record_text(from->workflow);
    RECORD_SET(&to, version, from->version);
    record->owned = &to;
    record_pack(&record->base, out);
}

int journal_decode_owned(const Af__Record__Owned *from, struct event_owned *to, struct err *err)
{
    int rc;
    if ((rc = record_read_id(from->has_execution, from->execution, "execution", &to->execution,
                             err)) < 0 ||
        (rc = record_read_text(from->path, "path", &to->path, err)) < 0)
        return rc;
    to->attempt = from->attempt;
    to->version = from->version;
    return record_read_text(from->workflow, "workflow", &to->workflow, err);
}

void journal_encode_family(const struct event_started *from, Af__Record__Started *to,
                           struct arena *arena)
{
    size_t count = from->workflows_count;
    Af__Record__PinnedWorkflow *pins = arena_alloc(arena, (count + 1) * sizeof *pins);
    to->workflows = arena_alloc(arena, (count + 1) * sizeof(*to->workflows));
    to->n_workflows = count;
    for (size_t i = 0; i < count; i++) {
        pins[i] = (Af__Record__PinnedWorkflow)AF__RECORD__PINNED_WORKFLOW__INIT;
        pins[i].name = record_text(from->workflows[i].name);
        RECORD_SET(&pins[i], version, from->workflows[i].version);
        to->workflows[i] = &pins[i];
    }
    if (uuid_is_nil(from->owner))
        return;
    to->has_owner = true;
    to->owner = record_bytes(bytes_of(from->owner.bytes, sizeof from->owner.bytes));
    to->owner_path = record_text(from->owner_path);
    RECORD_SET(to, owner_attempt, from->owner_attempt);
    RECORD_SET(to, depth, from->depth);
}

int journal_decode_family(struct arena *arena, const Af__Record__Started *from,
                          struct event_started *to, struct err *err)
{
    size_t count = from->n_workflows;
    struct pinned_workflow *pins = arena_alloc(arena, (count + 1) * sizeof *pins);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = record_read_text(from->workflows[i]->name, "workflows", &pins[i].name, err);
        pins[i].version = from->workflows[i]->version;
    }
    to->workflows = pins;
    to->workflows_count = count;
    if (rc == 0 && from->has_owner)
        rc = record_read_id(true, from->owner, "owner", &to->owner, err);
    to->owner_attempt = from->owner_attempt;
    to->depth = from->depth;
    return rc < 0 ? rc : record_read_text(from->owner_path, "owner_path", &to->owner_path, err);
}
