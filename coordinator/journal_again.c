#include "coordinator/journal_again.h"

void journal_encode_reopened(const struct event_reopened *from, Af__Record__Event *record,
                             struct buf *out)
{
    Af__Record__Reopened to = AF__RECORD__REOPENED__INIT;
    Af__Record__Run run;
    to.by = record_text(from->by);
    RECORD_SET(&to, was, (uint32_t)from->was);
    to.run = record_run(from->run, &run);
    to.has_deadline_us = from->deadline_us != 0;
    to.deadline_us = from->deadline_us;
    record->reopened = &to;
    record_pack(&record->base, out);
}

void journal_encode_forked(const struct event_forked *from, Af__Record__Event *record,
                           struct buf *out)
{
    Af__Record__Forked to = AF__RECORD__FORKED__INIT;
    Af__Record__Datum input;
    to.has_from = true;
    to.from = record_bytes(bytes_of(from->from.bytes, sizeof from->from.bytes));
    RECORD_SET(&to, at, from->at);
    to.node = record_text(from->node);
    to.input = record_datum(&from->input, &input);
    to.by = record_text(from->by);
    to.has_deadline_us = from->deadline_us != 0;
    to.deadline_us = from->deadline_us;
    record->forked = &to;
    record_pack(&record->base, out);
}

int journal_decode_reopened(const Af__Record__Reopened *from, struct event_reopened *to,
                            struct err *err)
{
    to->was = (enum execution_status)from->was;
    if (!execution_status_terminal(to->was))
        return err_set(err, ERR_MALFORMED, "%u is no status that an execution ends with",
                       from->was);
    to->run = record_read_run(from->run);
    to->deadline_us = from->deadline_us;
    return record_read_text(from->by, "by", &to->by, err);
}

int journal_decode_forked(const Af__Record__Forked *from, struct event_forked *to, struct err *err)
{
    int rc;
    if ((rc = record_read_id(from->has_from, from->from, "from", &to->from, err)) < 0 ||
        (rc = record_read_text(from->node, "node", &to->node, err)) < 0 ||
        (rc = record_read_text(from->by, "by", &to->by, err)) < 0)
        return rc;
    to->at = from->at;
    to->deadline_us = from->deadline_us;
    return record_read_datum(from->input, "input", &to->input, err);
}
