#include "agentd/conversation_core.h"
#include "base/limits.h"
#include <stdlib.h>
#include <string.h>

/*            gathered            all results there         granted, called
 *  GATHERS ------------> WORKS ---------------------> READY ------------> CALLING
 *     ^                  ^ | \                                              |
 *     |     resume       | |  '--> YIELDED, ENDED                           |
 *     +-- (any state)    '-+----------------- the answer ------------------'
 */
static const bool legal[TALK_ENDED + 1][TALK_ENDED + 1] = {
    [TALK_GATHERS] = {[TALK_WORKS] = true, [TALK_READY] = true, [TALK_ENDED] = true},
    [TALK_WORKS] = {[TALK_READY] = true, [TALK_YIELDED] = true, [TALK_ENDED] = true},
    [TALK_READY] = {[TALK_CALLING] = true, [TALK_ENDED] = true},
    [TALK_CALLING] = {[TALK_READY] = true, [TALK_WORKS] = true, [TALK_ENDED] = true},
};

static void set_state(conversation_t *self, enum conversation_state state)
{
    CHECK(legal[self->state][state]);
    self->state = state;
}

/* --- reports -------------------------------------------------------------------------------------
 */

static struct pending *add_report(conversation_t *self, enum conversation_report_kind kind,
                                  uint32_t call)
{
    struct pending *pending = xcalloc(1, sizeof *pending);
    uint32_t turn = self->turns_count ? self->turns[self->turns_count - 1].number : 0;
    pending->report = (struct conversation_report){.kind = kind, .turn = turn, .call = call};
    if (self->last)
        self->last->next = pending;
    else
        self->first = pending;
    self->last = pending;
    return pending;
}

static void drop_report(conversation_t *self)
{
    struct pending *pending = self->first;
    self->first = pending->next;
    if (!self->first)
        self->last = NULL;
    buf_release(&pending->output);
    buf_release(&pending->context);
    free(pending->name);
    free(pending->code);
    free(pending->message);
    free(pending->detail);
    free(pending->calls);
    free(pending);
}

static void set_failure(struct pending *pending, const char *code, const char *message,
                        const char *detail, bool permanent)
{
    pending->code = xstrdup(code);
    pending->message = clean_text(message);
    pending->detail = clean_text(detail);
    pending->report.failure = (struct wire_failure){.code = pending->code,
                                                    .message = pending->message,
                                                    .detail = pending->detail,
                                                    .permanent = permanent};
}

static void fail(conversation_t *self, const char *code, const char *message, bool permanent,
                 const struct wire_usage *usage)
{
    struct pending *pending = add_report(self, CONVERSATION_FAILURE, 0);
    set_failure(pending, code, message, NULL, permanent);
    pending->report.turn = 0;
    if (usage) {
        pending->report.turn = conversation_calling(self);
        pending->report.usage = *usage;
    }
    set_state(self, TALK_ENDED);
}

static void fail_err(conversation_t *self, bool permanent, const struct err *err)
{
    char text[sizeof err->what + sizeof err->where + sizeof err->fix + 16];
    fail(self, err_name(err->code), err_format(err, text, sizeof text), permanent, NULL);
}

/* --- a turn's calls ------------------------------------------------------------------------------
 */

static struct turn *last_turn(conversation_t *self)
{
    return self->turns_count ? &self->turns[self->turns_count - 1] : NULL;
}

static bool is_done(const struct call *call)
{
    return call->result.code || call->result.output;
}

static void report_error(conversation_t *self, uint32_t call, const struct result *result)
{
    struct pending *pending = add_report(self, CONVERSATION_TOOL_RESULT, call);
    set_failure(pending, result->code, result->message, NULL, false);
}

static void pack(const value_t *value, struct buf *out)
{
    if (value)
        value_to_msgpack(value, out);
}

static void say_to_coordinator(conversation_t *self, const struct call *call, uint32_t index)
{
    bool delegates = call->kind == CALL_DELEGATE;
    struct pending *pending =
        add_report(self, delegates ? CONVERSATION_DELEGATE : CONVERSATION_TOOL_CALL, index);
    if (delegates) {
        pack(value_get(call->arguments, "message"), &pending->output);
        pack(value_get(call->arguments, "context"), &pending->context);
        pending->report.hand_off = value_get_bool(call->arguments, "hand_off", false);
        pending->name = xstrdup(value_get_string(call->arguments, "agent", ""));
    } else {
        value_t *none = call->arguments ? NULL : value_map();
        pack(none ? none : call->arguments, &pending->output);
        value_destroy(&none);
        pending->name = xstrdup(call->tool);
    }
    pending->report.output = buf_bytes(&pending->output);
    pending->report.context = buf_bytes(&pending->context);
    pending->report.name = pending->name;
}

/* A command that was perhaps started by a run before this one. */
static bool was_interrupted(const conversation_t *self, const struct call *call)
{
    return !self->fresh && call->kind == CALL_COMMAND && !call->command->repeat_safe;
}

static void open_call(conversation_t *self, struct call *call, uint32_t index)
{
    call_judge(call, self->def);
    if (was_interrupted(self, call))
        result_set_error(&call->result, "interrupted", "interrupted, outcome unknown");
    if (call->result.code)
        report_error(self, index, &call->result);
    else if (call->kind != CALL_COMMAND)
        say_to_coordinator(self, call, index);
}

/* What was left of its calls decides what follows on the last turn. */
static void settle_calls(conversation_t *self)
{
    struct turn *turn = last_turn(self);
    for (size_t i = 0; i < turn->calls_count; i++)
        if (!is_done(&turn->calls[i]) && !turn->calls[i].ours)
            return;
    set_state(self, turn_is_ours(turn) ? TALK_YIELDED : TALK_READY);
}

static bool has_open_calls(const struct turn *turn)
{
    for (size_t i = 0; i < turn->calls_count; i++)
        if (!is_done(&turn->calls[i]))
            return true;
    return false;
}

/* --- the answer ----------------------------------------------------------------------------------
 */

/* Gives the answer as it fits the agent's `output`: a text is read as JSON first. */
static int check_output(const conversation_t *self, const value_t *content, value_t **ret_answer,
                        struct err *err)
{
    value_t *parsed = NULL;
    if (!self->def->output) {
        *ret_answer = value_ref(content);
        return 0;
    }
    if (value_type(content) == VALUE_STRING &&
        value_from_json(value_as_string(content), value_size(content), &parsed, NULL) == 0) {
        int rc = schema_check_value(self->def->output, parsed, err);
        if (!rc) {
            *ret_answer = parsed;
            return 0;
        }
        /* The text itself may be what is wanted. */
        if (schema_check_value(self->def->output, content, NULL) != 0) {
            value_destroy(&parsed);
            return rc;
        }
        value_destroy(&parsed);
    } else {
        int rc = schema_check_value(self->def->output, content, err);
        if (rc)
            return rc;
    }
    *ret_answer = value_ref(content);
    return 0;
}

static void correct(conversation_t *self, struct turn *turn, const struct err *err)
{
    char *message =
        xasprintf("the answer does not fit the output that is asked for: %s%s%s; answer "
                  "again, with JSON that fits",
                  err->where[0] ? err->where : "it", " ", err->what);
    result_set_error(&turn->correction, "output", message);
    free(message);
    report_error(self, 0, &turn->correction);
    set_state(self, TALK_READY);
}

static void conclude(conversation_t *self, struct turn *turn)
{
    const value_t *content = value_get(turn->value, "content");
    value_t *nothing = content ? NULL : value_null(), *answer = NULL;
    struct err err = {0};
    int rc = check_output(self, content ? content : nothing, &answer, &err);
    if (rc) {
        correct(self, turn, &err);
    } else {
        struct pending *pending = add_report(self, CONVERSATION_RESULT, 0);
        value_to_msgpack(answer, &pending->output);
        pending->report.output = buf_bytes(&pending->output);
        set_state(self, TALK_ENDED);
    }
    value_destroy(&answer);
    value_destroy(&nothing);
}

/* Begins with the last turn, in whatever state its calls are. */
static void work(conversation_t *self)
{
    struct turn *turn = last_turn(self);
    set_state(self, TALK_WORKS);
    if (!turn || (!turn->calls_count && turn->correction.code) ||
        (turn->calls_count && !has_open_calls(turn))) {
        set_state(self, TALK_READY);
        return;
    }
    if (!turn->calls_count) {
        conclude(self, turn);
        return;
    }
    for (size_t i = 0; i < turn->calls_count; i++)
        if (!is_done(&turn->calls[i]))
            open_call(self, &turn->calls[i], (uint32_t)i);
    settle_calls(self);
}

/* --- the history ---------------------------------------------------------------------------------
 */

static struct turn *add_turn(conversation_t *self)
{
    if (self->turns_count == self->turns_capacity) {
        self->turns_capacity = self->turns_capacity ? self->turns_capacity * 2 : 4;
        self->turns = xrealloc(self->turns, self->turns_capacity * sizeof *self->turns);
    }
    return &self->turns[self->turns_count++];
}

static uint32_t entries_of(const struct turn *turn)
{
    uint32_t count = 1 + (turn->correction.code ? 1 : 0);
    for (size_t i = 0; i < turn->calls_count; i++)
        count += is_done(&turn->calls[i]);
    return count;
}

static void release_entries(conversation_t *self)
{
    for (uint32_t i = 0; i < self->entries_count; i++)
        result_release(&self->entries[i].result);
    free(self->entries);
    self->entries = NULL;
    self->entries_count = 0;
}

/* The turns before entry `from` are kept; the base tells up to which entry they go. */
static void keep_turns(conversation_t *self, uint32_t from)
{
    size_t kept = 0;
    uint32_t at = 0;
    while (kept < self->turns_count && at < from)
        at += entries_of(&self->turns[kept++]);
    /* All of a turn that is followed by another is in the journal; of the last one, perhaps not. */
    if (at != from || (kept && kept == self->turns_count)) {
        kept = 0;
        at = 0;
    }
    while (self->turns_count > kept)
        turn_release(&self->turns[--self->turns_count]);
    self->base = at;
}

static int set_value(struct entry *entry, struct bytes bytes, struct err *err)
{
    value_t *value = NULL;
    int rc = value_from_msgpack(bytes.size ? bytes : bytes_of("\xc0", 1), &value, err);
    if (rc)
        return rc;
    if (entry->kind == WIRE_STEP_TURN)
        entry->result.output = value_ref(value);
    else
        result_set_output(&entry->result, value);
    value_destroy(&value);
    entry->blob = (struct datum){0};
    return 0;
}

static int set_entry(conversation_t *self, struct entry *entry, const struct wire_history *from,
                     struct err *err)
{
    entry->kind = from->kind;
    entry->turn = from->turn;
    entry->call = from->call;
    entry->present = true;
    if (from->failure.code && from->failure.code[0]) {
        result_set_error(&entry->result, from->failure.code, from->failure.message);
        return 0;
    }
    self->bytes += datum_size(&from->output);
    if (!from->output.is_blob)
        return set_value(entry, from->output.inline_bytes, err);
    entry->blob = from->output;
    return 0;
}

static int set_entries(conversation_t *self, uint32_t from, const struct wire_history *entries,
                       size_t count, size_t *ret_new, struct err *err)
{
    *ret_new = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t place = (uint64_t)from + i;
        if (place < self->base || place - self->base >= self->entries_count ||
            self->entries[place - self->base].present)
            continue;
        int rc = set_entry(self, &self->entries[place - self->base], &entries[i], err);
        if (rc)
            return rc;
        (*ret_new)++;
    }
    return 0;
}

static int wrong_history(struct err *err, const struct entry *entry)
{
    return err_set(err, ERR_MALFORMED,
                   "the history of the task is not in order at turn %u, call %u", entry->turn,
                   entry->call);
}

/* Takes the entry's value. */
static int fold_turn(conversation_t *self, struct entry *entry, struct err *err)
{
    struct turn turn;
    const struct turn *before = last_turn(self);
    if (!entry->result.output || (before && entry->turn <= before->number))
        return wrong_history(err, entry);
    int rc = turn_init(&turn, entry->turn, &entry->result.output, err);
    if (!rc)
        *add_turn(self) = turn;
    return rc;
}

static int fold_result(conversation_t *self, struct entry *entry, struct err *err)
{
    struct turn *turn = last_turn(self);
    if (!turn || turn->number != entry->turn ||
        entry->call >= (turn->calls_count ? turn->calls_count : 1))
        return wrong_history(err, entry);
    struct result *result =
        turn->calls_count ? &turn->calls[entry->call].result : &turn->correction;
    if (result->code || result->output)
        return wrong_history(err, entry);
    *result = entry->result;
    entry->result = (struct result){0};
    return 0;
}

/* All is there: the entries become turns. */
static void fold(conversation_t *self)
{
    struct err err = {0};
    int rc = 0;
    for (uint32_t i = 0; !rc && i < self->entries_count; i++) {
        struct entry *entry = &self->entries[i];
        rc = entry->kind == WIRE_STEP_TURN ? fold_turn(self, entry, &err)
                                           : fold_result(self, entry, &err);
    }
    release_entries(self);
    if (rc)
        fail_err(self, false, &err);
    else
        work(self);
}

/* --- begin and end -------------------------------------------------------------------------------
 */

static void take_message(conversation_t *self, const struct datum *message)
{
    struct err err = {0};
    struct bytes bytes = message->inline_bytes;
    if (message->is_blob)
        self->message_blob = *message;
    else if (value_from_msgpack(bytes.size ? bytes : bytes_of("\xc0", 1), &self->message, &err))
        fail_err(self, true, &err);
}

static void begin_run(conversation_t *self, const struct wire_dispatch *dispatch)
{
    struct err err = {0};
    size_t fresh = 0;
    self->state = TALK_GATHERS;
    self->granted = dispatch->turn;
    self->acknowledged = true;
    self->fresh = false;
    if (dispatch->history_count > LIMIT_CONVERSATION_ENTRIES) {
        (void)err_set(&err, ERR_TOO_LARGE, "the history has %u entries; the most is %u",
                      dispatch->history_count, LIMIT_CONVERSATION_ENTRIES);
        fail_err(self, true, &err);
        return;
    }
    keep_turns(self, dispatch->history_from);
    self->entries_count = dispatch->history_count - self->base;
    self->entries =
        self->entries_count ? xcalloc(self->entries_count, sizeof *self->entries) : NULL;
    if (set_entries(self, dispatch->history_from, dispatch->history, dispatch->history_here, &fresh,
                    &err))
        fail_err(self, false, &err);
    else if (!self->message && !self->message_blob.is_blob)
        take_message(self, &dispatch->message);
}

conversation_t *conversation_new(const struct wire_dispatch *dispatch)
{
    conversation_t *self = xcalloc(1, sizeof *self);
    self->attempt = dispatch->attempt;
    self->bytes = sizeof *self + datum_size(&dispatch->message);
    begin_run(self, dispatch);
    return self;
}

bool conversation_resume(conversation_t *self, const struct wire_dispatch *dispatch)
{
    if (dispatch->attempt != self->attempt)
        return false;
    while (self->first)
        drop_report(self);
    buf_release(&self->request);
    release_entries(self);
    begin_run(self, dispatch);
    return true;
}

void conversation_define(conversation_t *self, const struct agent_def *def)
{
    self->def = def;
}

size_t conversation_bytes(const conversation_t *self)
{
    /* A tree of values takes several times what its MessagePack does. */
    return sizeof *self + 4 * self->bytes + self->turns_capacity * sizeof *self->turns;
}

void conversation_destroy(conversation_t **self_p)
{
    conversation_t *self = *self_p;
    if (!self)
        return;
    while (self->first)
        drop_report(self);
    while (self->turns_count)
        turn_release(&self->turns[--self->turns_count]);
    release_entries(self);
    free(self->turns);
    value_destroy(&self->message);
    buf_release(&self->request);
    free(self);
    *self_p = NULL;
}

/* --- what to do next -----------------------------------------------------------------------------
 */

static uint32_t next_turn(conversation_t *self)
{
    const struct turn *turn = last_turn(self);
    return turn ? turn->number + 1 : 1;
}

/* Whether something is to be fetched. */
static bool gather(conversation_t *self, struct conversation_next *ret_next)
{
    for (uint32_t i = 0; i < self->entries_count; i++) {
        if (self->entries[i].present)
            continue;
        ret_next->what = CONVERSATION_HISTORY;
        ret_next->from = self->base + i;
        return true;
    }
    const struct datum *blob = self->message_blob.is_blob ? &self->message_blob : NULL;
    for (uint32_t i = 0; !blob && i < self->entries_count; i++)
        if (self->entries[i].blob.is_blob)
            blob = &self->entries[i].blob;
    if (!blob)
        return false;
    ret_next->what = CONVERSATION_BLOB;
    ret_next->blob = *blob;
    return true;
}

static void next_tool(conversation_t *self, struct conversation_next *ret_next)
{
    struct turn *turn = last_turn(self);
    for (size_t i = 0; self->acknowledged && i < turn->calls_count; i++) {
        const struct call *call = &turn->calls[i];
        if (call->kind != CALL_COMMAND || call->started || is_done(call))
            continue;
        ret_next->what = CONVERSATION_TOOL;
        ret_next->turn = turn->number;
        ret_next->call = (uint32_t)i;
        ret_next->tool = call->command;
        ret_next->arguments = call->filled;
        return;
    }
}

/* Writes the request if that was not done yet; false: it can't be asked for. */
static bool have_request(conversation_t *self)
{
    struct err err = {0};
    if (self->request.size || request_write(self, next_turn(self), &self->request, &err) == 0)
        return true;
    buf_release(&self->request);
    fail_err(self, true, &err);
    return false;
}

static void next_call(conversation_t *self, struct conversation_next *ret_next)
{
    if (self->granted != next_turn(self) || !have_request(self))
        return;
    ret_next->what = CONVERSATION_CALL;
    ret_next->turn = next_turn(self);
    ret_next->request = buf_bytes(&self->request);
}

void conversation_next(conversation_t *self, struct conversation_next *ret_next)
{
    *ret_next = (struct conversation_next){.what = CONVERSATION_WAIT};
    if (!self->def)
        return;
    if (self->state == TALK_GATHERS && !gather(self, ret_next))
        fold(self);
    if (!self->first && self->state == TALK_READY)
        next_call(self, ret_next);
    if (self->first) {
        ret_next->what = CONVERSATION_REPORT;
        ret_next->report = self->first->report;
        return;
    }
    switch (self->state) {
    case TALK_WORKS: next_tool(self, ret_next); return;
    case TALK_YIELDED: ret_next->what = CONVERSATION_YIELD; return;
    case TALK_ENDED: ret_next->what = CONVERSATION_END; return;
    default: return;
    }
}

/* --- what came of it -----------------------------------------------------------------------------
 */

int conversation_history(conversation_t *self, uint32_t from, const struct wire_history *entries,
                         size_t count, struct err *err)
{
    size_t fresh = 0;
    if (self->state != TALK_GATHERS)
        return 0;
    int rc = set_entries(self, from, entries, count, &fresh, err);
    if (!rc && !fresh)
        rc = err_set(err, ERR_MALFORMED, "the coordinator gives no entry %u of the task's history",
                     from);
    return rc;
}

void conversation_blob(conversation_t *self, struct bytes bytes)
{
    struct err err = {0};
    int rc = 0;
    if (self->state != TALK_GATHERS)
        return;
    if (self->message_blob.is_blob) {
        self->message_blob = (struct datum){0};
        rc = value_from_msgpack(bytes, &self->message, &err);
    } else {
        uint32_t i = 0;
        while (i < self->entries_count && !self->entries[i].blob.is_blob)
            i++;
        rc = i < self->entries_count ? set_value(&self->entries[i], bytes, &err) : 0;
    }
    if (rc)
        fail_err(self, true, &err);
}

void conversation_reported(conversation_t *self)
{
    CHECK(self->first);
    drop_report(self);
}

void conversation_acknowledged(conversation_t *self)
{
    self->acknowledged = true;
}

bool conversation_awaits_acknowledgement(const conversation_t *self)
{
    return self->state == TALK_WORKS && !self->acknowledged;
}

void conversation_granted(conversation_t *self, uint32_t turn)
{
    if (turn <= self->granted && self->state != TALK_CALLING)
        return;
    self->granted = turn > self->granted ? turn : self->granted;
    if (self->state == TALK_CALLING && turn == next_turn(self))
        set_state(self, TALK_READY);
}

void conversation_called(conversation_t *self)
{
    set_state(self, TALK_CALLING);
}

uint32_t conversation_calling(const conversation_t *self)
{
    if (self->state != TALK_CALLING)
        return 0;
    return self->turns_count ? self->turns[self->turns_count - 1].number + 1 : 1;
}

struct bytes conversation_request(conversation_t *self)
{
    CHECK(self->state == TALK_CALLING);
    if (!self->request.size)
        CHECK(request_write(self, next_turn(self), &self->request, NULL) == 0);
    return buf_bytes(&self->request);
}

void conversation_forget_request(conversation_t *self)
{
    buf_release(&self->request);
}

static void report_turn(conversation_t *self, struct bytes bytes, const struct wire_usage *usage)
{
    const struct turn *turn = last_turn(self);
    struct pending *pending = add_report(self, CONVERSATION_TURN, 0);
    size_t size = turn->calls_count * sizeof pending->calls[0], at = size;
    for (size_t i = 0; i < turn->calls_count; i++)
        size += strlen(turn->calls[i].tool) + 1;
    pending->calls = size ? xmalloc(size) : NULL;
    for (size_t i = 0; i < turn->calls_count; i++) {
        size_t length = strlen(turn->calls[i].tool) + 1;
        pending->calls[i] = memcpy((char *)pending->calls + at, turn->calls[i].tool, length);
        at += length;
    }
    buf_append_bytes(&pending->output, bytes);
    pending->report.output = buf_bytes(&pending->output);
    pending->report.calls = pending->calls;
    pending->report.calls_count = turn->calls_count;
    pending->report.usage = *usage;
}

void conversation_answer(conversation_t *self, const struct conversation_answer *answer)
{
    struct err err = {0};
    struct turn turn;
    value_t *value = NULL;
    if (self->state != TALK_CALLING)
        return;
    if (answer->error && answer->error[0]) {
        fail(self, answer->error, answer->what, answer->permanent, &answer->usage);
        return;
    }
    int rc = value_from_msgpack(answer->turn, &value, &err);
    if (!rc)
        rc = turn_init(&turn, next_turn(self), &value, &err);
    if (rc) {
        fail(self, "malformed", err.what, false, &answer->usage);
        return;
    }
    *add_turn(self) = turn;
    self->bytes += answer->turn.size;
    self->acknowledged = false;
    self->fresh = true;
    buf_release(&self->request);
    report_turn(self, answer->turn, &answer->usage);
    work(self);
}

static struct call *find_call(conversation_t *self, uint32_t index)
{
    struct turn *turn = last_turn(self);
    if (self->state != TALK_WORKS || !turn || index >= turn->calls_count)
        return NULL;
    return &turn->calls[index];
}

void conversation_started(conversation_t *self, uint32_t call)
{
    struct call *found = find_call(self, call);
    CHECK(found && found->kind == CALL_COMMAND);
    found->started = true;
}

void conversation_result(conversation_t *self, uint32_t index, struct bytes output,
                         const struct wire_failure *failure)
{
    struct call *call = find_call(self, index);
    struct err err = {0};
    value_t *value = NULL;
    if (!call || call->kind != CALL_COMMAND || is_done(call))
        return;
    struct pending *pending = add_report(self, CONVERSATION_TOOL_RESULT, index);
    if (failure) {
        set_failure(pending, failure->code, failure->message, failure->detail, false);
    } else if (value_from_msgpack(output, &value, &err)) {
        set_failure(pending, "output", err.what, NULL, false);
    } else {
        buf_append_bytes(&pending->output, output);
        pending->report.output = buf_bytes(&pending->output);
        self->bytes += output.size;
        result_set_output(&call->result, value);
        value_destroy(&value);
    }
    if (pending->code)
        result_set_error(&call->result, pending->code, pending->message);
    settle_calls(self);
}
