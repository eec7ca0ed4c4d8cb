#include "coordinator/journal_calls.h"

#include "base/utf8.h"

#include <string.h>

/* The generated structs are not const-correct; packing only reads. */
static char **record_texts(const char *const *texts)
{
    union {
        const char *const *given;
        char **generated;
    } either = {.given = texts};
    return either.generated;
}

static int read_texts(char **texts, size_t count, const char *field, const char *const **ret_texts,
                      struct err *err)
{
    union {
        char **generated;
        const char *const *given;
    } either = {.generated = texts};
    for (size_t i = 0; i < count; i++)
        if (!utf8_valid(texts[i], strlen(texts[i])))
            return err_set(err, ERR_MALFORMED, "the field \"%s\" is not UTF-8", field);
    *ret_texts = either.given;
    return 0;
}

/* Most agents have none of these, and their records are as small as before. */
#define SET_SOME(message, field, value)                                                            \
    do {                                                                                           \
        if (value)                                                                                 \
            RECORD_SET(message, field, value);                                                     \
    } while (0)

/* --- pins ------------------------------------------------------------------------------------- */

Af__Record__PinnedAgent *journal_encode_pin(const struct pinned_agent *pin,
                                            Af__Record__PinnedAgent *message)
{
    *message = (Af__Record__PinnedAgent)AF__RECORD__PINNED_AGENT__INIT;
    message->name = record_text(pin->name);
    RECORD_SET(message, version, pin->version);
    RECORD_SET(message, timeout_us, (uint64_t)pin->timeout_us);
    RECORD_SET(message, rerun_never, pin->rerun_never);
    message->n_delegates = pin->delegates_count;
    message->delegates = record_texts(pin->delegates);
    SET_SOME(message, takes_turns, pin->takes_turns);
    SET_SOME(message, turns, pin->turns);
    SET_SOME(message, depth, pin->depth);
    SET_SOME(message, delegations, pin->delegations);
    SET_SOME(message, same_delegation, pin->same_delegation);
    SET_SOME(message, max_tokens, pin->max_tokens);
    SET_SOME(message, tokens, pin->tokens);
    SET_SOME(message, cost_microusd, pin->cost_microusd);
    SET_SOME(message, input_price, pin->input_price);
    SET_SOME(message, output_price, pin->output_price);
    return message;
}

int journal_decode_pin(const Af__Record__PinnedAgent *from, struct pinned_agent *ret_pin,
                       struct err *err)
{
    struct pinned_agent pin = {.version = from->version,
                               .timeout_us = (int64_t)from->timeout_us,
                               .rerun_never = from->rerun_never,
                               .takes_turns = from->takes_turns,
                               .delegates_count = from->n_delegates,
                               .turns = from->turns,
                               .depth = from->depth,
                               .delegations = from->delegations,
                               .same_delegation = from->same_delegation,
                               .max_tokens = from->max_tokens,
                               .tokens = from->tokens,
                               .cost_microusd = from->cost_microusd,
                               .input_price = from->input_price,
                               .output_price = from->output_price};
    int rc = record_read_text(from->name, "agents.name", &pin.name, err);
    if (rc == 0)
        rc =
            read_texts(from->delegates, from->n_delegates, "agents.delegates", &pin.delegates, err);
    if (rc == 0 && from->timeout_us > INT64_MAX)
        rc = err_set(err, ERR_MALFORMED, "the field \"agents.timeout_us\" is too large");
    if (rc == 0)
        *ret_pin = pin;
    return rc;
}

/* --- turns ------------------------------------------------------------------------------------ */

void journal_encode_turn(const struct event_step *from, Af__Record__Step *to,
                         Af__Record__Usage *usage)
{
    RECORD_SET(to, turn, from->turn);
    RECORD_SET(to, call, from->call);
    to->n_calls = from->calls_count;
    to->calls = record_texts(from->calls);
    to->usage = from->kind == STEP_TOOL_RESULT ? NULL : record_usage(&from->usage, usage);
}

int journal_decode_turn(const Af__Record__Step *from, struct event_step *to, struct err *err)
{
    to->turn = from->turn;
    to->call = from->call;
    to->calls_count = from->n_calls;
    to->usage = record_read_usage(from->usage);
    return read_texts(from->calls, from->n_calls, "calls", &to->calls, err);
}

/* --- events ----------------------------------------------------------------------------------- */

struct place_message {
    Af__Record__CallPlace place;
    Af__Record__Run run;
};

static Af__Record__CallPlace *encode_place(const struct call_place *by,
                                           struct place_message *message)
{
    message->place = (Af__Record__CallPlace)AF__RECORD__CALL_PLACE__INIT;
    message->place.path = record_text(by->path);
    message->place.run = record_run(by->run, &message->run);
    RECORD_SET(&message->place, attempt, by->attempt);
    RECORD_SET(&message->place, turn, by->turn);
    RECORD_SET(&message->place, call, by->call);
    return &message->place;
}

static void encode_reserved(const struct event_reserved *from, Af__Record__Event *record,
                            struct buf *out)
{
    Af__Record__Reserved to = AF__RECORD__RESERVED__INIT;
    to.path = record_text(from->path);
    RECORD_SET(&to, attempt, from->attempt);
    RECORD_SET(&to, turn, from->turn);
    to.egress = record_text(from->egress);
    RECORD_SET(&to, boot, from->boot);
    RECORD_SET(&to, tokens, from->tokens);
    RECORD_SET(&to, cost_microusd, from->cost_microusd);
    record->reserved = &to;
    record_pack(&record->base, out);
}

static void encode_settled(const struct event_settled *from, Af__Record__Event *record,
                           struct buf *out)
{
    Af__Record__Settled to = AF__RECORD__SETTLED__INIT;
    Af__Record__Usage usage;
    to.path = record_text(from->path);
    RECORD_SET(&to, attempt, from->attempt);
    RECORD_SET(&to, turn, from->turn);
    to.reason = record_text(from->reason);
    if (from->turn == 0)
        to.usage = record_usage(&from->usage, &usage);
    record->settled = &to;
    record_pack(&record->base, out);
}

static void encode_delegated(const struct event_delegated *from, Af__Record__Event *record,
                             struct buf *out)
{
    Af__Record__Delegated to = AF__RECORD__DELEGATED__INIT;
    Af__Record__PinnedAgent agent;
    Af__Record__Datum message;
    struct place_message by;
    to.by = encode_place(&from->by, &by);
    to.child = record_text(from->child);
    to.agent = journal_encode_pin(&from->agent, &agent);
    to.message = record_datum(&from->message, &message);
    RECORD_SET(&to, hand_off, from->hand_off);
    record->delegated = &to;
    record_pack(&record->base, out);
}

static void encode_refused(const struct event_refused *from, Af__Record__Event *record,
                           struct buf *out)
{
    Af__Record__Refused to = AF__RECORD__REFUSED__INIT;
    Af__Record__Failure failure;
    struct place_message by;
    to.by = encode_place(&from->by, &by);
    to.agent = record_text(from->agent);
    to.failure = record_failure(&from->failure, &failure);
    record->refused = &to;
    record_pack(&record->base, out);
}

static void encode_answered(const struct event_answered *from, Af__Record__Event *record,
                            struct buf *out)
{
    Af__Record__Answered to = AF__RECORD__ANSWERED__INIT;
    Af__Record__Datum output;
    Af__Record__Failure failure;
    struct place_message by;
    to.by = encode_place(&from->by, &by);
    to.tool = record_text(from->tool);
    to.output = record_datum(&from->output, &output);
    to.failure = record_failure(&from->failure, &failure);
    record->answered = &to;
    record_pack(&record->base, out);
}

static void encode_patched(const struct event_patched *from, Af__Record__Event *record,
                           struct buf *out)
{
    Af__Record__Patched to = AF__RECORD__PATCHED__INIT;
    Af__Record__Datum patch;
    struct place_message by;
    to.by = encode_place(&from->by, &by);
    to.patch = record_datum(&from->patch, &patch);
    record->patched = &to;
    record_pack(&record->base, out);
}

static void encode_decided(const struct event_decided *from, Af__Record__Event *record,
                           struct buf *out)
{
    Af__Record__Decided to = AF__RECORD__DECIDED__INIT;
    Af__Record__Datum items;
    Af__Record__Failure failure;
    to.path = record_text(from->path);
    RECORD_SET(&to, what, (uint32_t)from->what);
    to.source = record_text(from->source);
    SET_SOME(&to, holds, from->holds);
    to.items = record_datum(&from->items, &items);
    SET_SOME(&to, items_count, from->items_count);
    to.failure = record_failure(&from->failure, &failure);
    record->decided = &to;
    record_pack(&record->base, out);
}

void journal_encode_call(const struct event *event, Af__Record__Event *record, struct buf *out)
{
    switch (event->kind) {
    case EVENT_RESERVED: encode_reserved(&event->reserved, record, out); break;
    case EVENT_SETTLED: encode_settled(&event->settled, record, out); break;
    case EVENT_DELEGATED: encode_delegated(&event->delegated, record, out); break;
    case EVENT_REFUSED: encode_refused(&event->refused, record, out); break;
    case EVENT_ANSWERED: encode_answered(&event->answered, record, out); break;
    case EVENT_DECIDED: encode_decided(&event->decided, record, out); break;
    default: encode_patched(&event->patched, record, out); break;
    }
}

int journal_call_kinds(const Af__Record__Event *from)
{
    return (from->reserved != NULL) + (from->settled != NULL) + (from->delegated != NULL) +
           (from->refused != NULL) + (from->answered != NULL) + (from->patched != NULL) +
           (from->decided != NULL);
}

static int decode_place(const Af__Record__CallPlace *from, struct call_place *to, struct err *err)
{
    if (from == NULL)
        return err_set(err, ERR_MALFORMED, "the field \"by\" is missing");
    to->run = record_read_run(from->run);
    to->attempt = from->attempt;
    to->turn = from->turn;
    to->call = from->call;
    return record_read_text(from->path, "by.path", &to->path, err);
}

static int decode_reserved(const Af__Record__Reserved *from, struct event_reserved *to,
                           struct err *err)
{
    int rc = record_read_text(from->path, "path", &to->path, err);
    to->attempt = from->attempt;
    to->turn = from->turn;
    to->boot = from->boot;
    to->tokens = from->tokens;
    to->cost_microusd = from->cost_microusd;
    return rc < 0 ? rc : record_read_text(from->egress, "egress", &to->egress, err);
}

static int decode_settled(const Af__Record__Settled *from, struct event_settled *to,
                          struct err *err)
{
    int rc = record_read_text(from->path, "path", &to->path, err);
    to->attempt = from->attempt;
    to->turn = from->turn;
    to->usage = record_read_usage(from->usage);
    return rc < 0 ? rc : record_read_text(from->reason, "reason", &to->reason, err);
}

static int decode_delegated(const Af__Record__Delegated *from, struct event_delegated *to,
                            struct err *err)
{
    int rc;
    if (from->agent == NULL)
        return err_set(err, ERR_MALFORMED, "the field \"agent\" is missing");
    if ((rc = decode_place(from->by, &to->by, err)) < 0 ||
        (rc = record_read_text(from->child, "child", &to->child, err)) < 0 ||
        (rc = journal_decode_pin(from->agent, &to->agent, err)) < 0)
        return rc;
    to->hand_off = from->hand_off;
    return record_read_datum(from->message, "message", &to->message, err);
}

static int decode_refused(const Af__Record__Refused *from, struct event_refused *to,
                          struct err *err)
{
    int rc = decode_place(from->by, &to->by, err);
    if (rc == 0)
        rc = record_read_text(from->agent, "agent", &to->agent, err);
    return rc < 0 ? rc : record_read_failure(from->failure, &to->failure, err);
}

static int decode_answered(const Af__Record__Answered *from, struct event_answered *to,
                           struct err *err)
{
    int rc;
    if ((rc = decode_place(from->by, &to->by, err)) < 0 ||
        (rc = record_read_text(from->tool, "tool", &to->tool, err)) < 0 ||
        (rc = record_read_datum(from->output, "output", &to->output, err)) < 0)
        return rc;
    return record_read_failure(from->failure, &to->failure, err);
}

static int decode_patched(const Af__Record__Patched *from, struct event_patched *to,
                          struct err *err)
{
    int rc = decode_place(from->by, &to->by, err);
    return rc < 0 ? rc : record_read_datum(from->patch, "patch", &to->patch, err);
}

static int decode_decided(const Af__Record__Decided *from, struct event_decided *to,
                          struct err *err)
{
    int rc;
    if (from->what < DECIDED_EDGE || from->what > DECIDED_FOR)
        return err_set(err, ERR_MALFORMED, "%u is nothing that is decided", from->what);
    if ((rc = record_read_text(from->path, "path", &to->path, err)) < 0 ||
        (rc = record_read_text(from->source, "source", &to->source, err)) < 0 ||
        (rc = record_read_datum(from->items, "items", &to->items, err)) < 0 ||
        (rc = record_read_failure(from->failure, &to->failure, err)) < 0)
        return rc;
    to->what = (enum decided_what)from->what;
    to->holds = from->holds;
    to->items_count = from->items_count;
    bool has_items = !datum_absent(&to->items), lists = to->what == DECIDED_FOR;
    if (has_items != (lists && to->failure.code == NULL))
        return err_set(err, ERR_MALFORMED, "the field \"items\" is %s",
                       has_items ? "where no list is" : "missing");
    if (!has_items && to->items_count > 0)
        return err_set(err, ERR_MALFORMED, "there are %u items, but no list", to->items_count);
    return 0;
}

int journal_decode_call(const Af__Record__Event *from, struct event *to, struct err *err)
{
    if (from->reserved != NULL) {
        to->kind = EVENT_RESERVED;
        return decode_reserved(from->reserved, &to->reserved, err);
    }
    if (from->settled != NULL) {
        to->kind = EVENT_SETTLED;
        return decode_settled(from->settled, &to->settled, err);
    }
    if (from->delegated != NULL) {
        to->kind = EVENT_DELEGATED;
        return decode_delegated(from->delegated, &to->delegated, err);
    }
    if (from->refused != NULL) {
        to->kind = EVENT_REFUSED;
        return decode_refused(from->refused, &to->refused, err);
    }
    if (from->answered != NULL) {
        to->kind = EVENT_ANSWERED;
        return decode_answered(from->answered, &to->answered, err);
    }
    if (from->decided != NULL) {
        to->kind = EVENT_DECIDED;
        return decode_decided(from->decided, &to->decided, err);
    }
    to->kind = EVENT_PATCHED;
    return decode_patched(from->patched, &to->patched, err);
}
