#include "coordinator/journal_waits.h"

#include <string.h>

/* --- encoding --------------------------------------------------------------------------------- */

static void encode_waiting(const struct event_waiting *from, Af__Record__Event *record,
                           struct buf *out)
{
    Af__Record__Waiting to = AF__RECORD__WAITING__INIT;
    Af__Record__Datum text, show;
    uint8_t hash[DATUM_HASH_BYTES];
    to.path = record_text(from->path);
    RECORD_SET(&to, attempt, from->attempt);
    RECORD_SET(&to, kind, (uint32_t)from->kind);
    if (from->kind == WAIT_APPROVAL) {
        memcpy(hash, from->hash, sizeof hash);
        to.has_hash = true;
        to.hash = (ProtobufCBinaryData){.len = sizeof hash, .data = hash};
    }
    to.text = record_datum(&from->text, &text);
    to.show = record_datum(&from->show, &show);
    to.signal = record_text(from->signal);
    to.has_due_us = from->due_us != 0;
    to.due_us = from->due_us;
    record->waiting = &to;
    record_pack(&record->base, out);
}

static void encode_decision(const struct event_decision *from, Af__Record__Event *record,
                            struct buf *out)
{
    Af__Record__Decision to = AF__RECORD__DECISION__INIT;
    Af__Record__Datum edited;
    to.path = record_text(from->path);
    RECORD_SET(&to, attempt, from->attempt);
    RECORD_SET(&to, approved, from->approved);
    to.by = record_text(from->by);
    to.note = record_text(from->note);
    to.edited = record_datum(&from->edited, &edited);
    record->decision = &to;
    record_pack(&record->base, out);
}

static void encode_signal(const struct event_signal *from, Af__Record__Event *record,
                          struct buf *out)
{
    Af__Record__Signal to = AF__RECORD__SIGNAL__INIT;
    Af__Record__Datum payload;
    to.name = record_text(from->name);
    to.payload = record_datum(&from->payload, &payload);
    to.by = record_text(from->by);
    record->signal = &to;
    record_pack(&record->base, out);
}

static void encode_timer(const struct event_timer *from, Af__Record__Event *record, struct buf *out)
{
    Af__Record__Timer to = AF__RECORD__TIMER__INIT;
    to.path = record_text(from->path);
    RECORD_SET(&to, attempt, from->attempt);
    RECORD_SET(&to, kind, (uint32_t)from->kind);
    record->timer = &to;
    record_pack(&record->base, out);
}

static void encode_pause(const struct event *event, Af__Record__Event *record, struct buf *out)
{
    bool pauses = event->kind == EVENT_PAUSED;
    const struct event_pause *from = pauses ? &event->paused : &event->resumed;
    Af__Record__Pause to = AF__RECORD__PAUSE__INIT;
    to.by = record_text(from->by);
    to.why = record_text(from->why);
    if (pauses)
        record->paused = &to;
    else
        record->resumed = &to;
    record_pack(&record->base, out);
}

void journal_encode_wait(const struct event *event, Af__Record__Event *record, struct buf *out)
{
    switch (event->kind) {
    case EVENT_WAITING: encode_waiting(&event->waiting, record, out); break;
    case EVENT_DECISION: encode_decision(&event->decision, record, out); break;
    case EVENT_SIGNAL: encode_signal(&event->signal, record, out); break;
    case EVENT_TIMER: encode_timer(&event->timer, record, out); break;
    default: encode_pause(event, record, out); break;
    }
}

/* --- decoding --------------------------------------------------------------------------------- */

int journal_wait_kinds(const Af__Record__Event *from)
{
    return (from->waiting != NULL) + (from->decision != NULL) + (from->signal != NULL) +
           (from->timer != NULL) + (from->paused != NULL) + (from->resumed != NULL);
}

static int read_kind(uint32_t from, enum wait_kind *to, struct err *err)
{
    if (from < WAIT_APPROVAL || from > WAIT_SIGNAL)
        return err_set(err, ERR_MALFORMED, "%u is nothing that is waited for", from);
    *to = (enum wait_kind)from;
    return 0;
}

static int decode_timer(const Af__Record__Timer *from, struct event_timer *to, struct err *err)
{
    int rc = read_kind(from->kind, &to->kind, err);
    to->attempt = from->attempt;
    return rc < 0 ? rc : record_read_text(from->path, "path", &to->path, err);
}

static int decode_waiting(const Af__Record__Waiting *from, struct event_waiting *to,
                          struct err *err)
{
    int rc;
    if ((rc = read_kind(from->kind, &to->kind, err)) < 0 ||
        (rc = record_read_text(from->path, "path", &to->path, err)) < 0 ||
        (rc = record_read_text(from->signal, "signal", &to->signal, err)) < 0 ||
        (rc = record_read_datum(from->text, "text", &to->text, err)) < 0 ||
        (rc = record_read_datum(from->show, "show", &to->show, err)) < 0)
        return rc;
    bool approval = to->kind == WAIT_APPROVAL;
    if (datum_absent(&to->text) == approval)
        return err_set(err, ERR_MALFORMED, "the field \"text\" is %s",
                       approval ? "missing" : "where nothing is asked");
    if ((approval ? DATUM_HASH_BYTES : 0) != (from->has_hash ? from->hash.len : 0))
        return err_set(err, ERR_MALFORMED, "the field \"hash\" has not %d bytes",
                       approval ? DATUM_HASH_BYTES : 0);
    if (approval)
        memcpy(to->hash, from->hash.data, DATUM_HASH_BYTES);
    to->attempt = from->attempt;
    to->due_us = from->due_us;
    return 0;
}

static int decode_decision(const Af__Record__Decision *from, struct event_decision *to,
                           struct err *err)
{
    int rc;
    if ((rc = record_read_text(from->path, "path", &to->path, err)) < 0 ||
        (rc = record_read_text(from->by, "by", &to->by, err)) < 0 ||
        (rc = record_read_text(from->note, "note", &to->note, err)) < 0)
        return rc;
    to->attempt = from->attempt;
    to->approved = from->approved;
    return record_read_datum(from->edited, "edited", &to->edited, err);
}

static int decode_signal(const Af__Record__Signal *from, struct event_signal *to, struct err *err)
{
    int rc;
    if ((rc = record_read_text(from->name, "name", &to->name, err)) < 0 ||
        (rc = record_read_text(from->by, "by", &to->by, err)) < 0)
        return rc;
    return record_read_datum(from->payload, "payload", &to->payload, err);
}

static int decode_pause(const Af__Record__Pause *from, struct event_pause *to, struct err *err)
{
    int rc = record_read_text(from->by, "by", &to->by, err);
    return rc < 0 ? rc : record_read_text(from->why, "why", &to->why, err);
}

int journal_decode_wait(const Af__Record__Event *from, struct event *to, struct err *err)
{
    if (from->waiting != NULL) {
        to->kind = EVENT_WAITING;
        return decode_waiting(from->waiting, &to->waiting, err);
    }
    if (from->decision != NULL) {
        to->kind = EVENT_DECISION;
        return decode_decision(from->decision, &to->decision, err);
    }
    if (from->signal != NULL) {
        to->kind = EVENT_SIGNAL;
        return decode_signal(from->signal, &to->signal, err);
    }
    if (from->timer != NULL) {
        to->kind = EVENT_TIMER;
        return decode_timer(from->timer, &to->timer, err);
    }
    if (from->paused != NULL) {
        to->kind = EVENT_PAUSED;
        return decode_pause(from->paused, &to->paused, err);
    }
    to->kind = EVENT_RESUMED;
    return decode_pause(from->resumed, &to->resumed, err);
}
