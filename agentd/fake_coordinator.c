#include "agentd/fake_coordinator.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/reference.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include <cmocka.h>

void fake_init(struct fake *self, const char *endpoint, const char *definition_json)
{
    *self = (struct fake){.version = 1, .commits = true, .history_page = 2};
    struct peer_options options = {
        .endpoint = endpoint, .address = "coordinator", .program = "fake 0"};
    struct err err = {0};
    if (peer_new(&options, &self->peer, &err))
        fail_msg("%s", err.what);
    if (value_from_json(definition_json, strlen(definition_json), &self->definition, &err))
        fail_msg("%s: %s", definition_json, err.what);
}

static void free_step(struct fake_step *step)
{
    free(step->path);
    free(step->code);
    free(step->message);
    free(step->detail);
    free(step->calls);
    value_destroy(&step->output);
}

void fake_release(struct fake *self)
{
    for (size_t i = 0; i < self->steps_count; i++)
        free_step(&self->steps[i]);
    for (size_t i = 0; i < self->said_count; i++) {
        free(self->said[i].name);
        value_destroy(&self->said[i].value);
        value_destroy(&self->said[i].context);
    }
    for (size_t i = 0; i < self->blobs_count; i++)
        buf_release(&self->blobs[i]);
    for (size_t i = 0; i < self->history_count; i++)
        buf_release(&self->history_bytes[i]);
    free(self->history);
    free(self->history_bytes);
    free(self->said);
    free(self->steps);
    free(self->blobs);
    buf_release(&self->blob);
    link_destroy(&self->link);
    peer_destroy(&self->peer);
    value_destroy(&self->definition);
    free(self->instance);
    *self = (struct fake){0};
}

static void send_to(struct fake *self, const char *to, const struct wire_body *body,
                    uint64_t correlation, struct bytes payload)
{
    struct wire_route route = {.kind = body->kind, .to = to, .correlation = correlation};
    struct err err = {0};
    if (!self->deaf && peer_send(self->peer, &route, body, payload, &err))
        fail_msg("%s", err.what);
}

static void send_link(void *context, const struct wire_body *body)
{
    struct fake *self = context;
    send_to(self, self->instance, body, 0, bytes_of(NULL, 0));
}

/* --- what a coordinator answers ------------------------------------------------------------------
 */

static void write_definition(const struct fake *self, const value_t *params, value_t *document)
{
    value_t *definition = value_ref(self->definition);
    value_set_string(document, "name", value_get_string(params, "name", ""));
    value_set_int(document, "version", value_get_int(params, "version", self->version));
    value_set_string(document, "hash", "");
    value_set(document, "definition", &definition);
}

static void append_entry(value_t *items, const struct wire_history *entry)
{
    value_t *item = value_map(), *output = NULL;
    value_set_string(item, "kind", entry->kind == WIRE_STEP_TURN ? "turn" : "tool_result");
    value_set_int(item, "turn", entry->turn);
    value_set_int(item, "call", entry->call);
    if (entry->failure.code) {
        output = value_map();
        value_set_string(output, "code", entry->failure.code);
        value_set_string(output, "message", entry->failure.message);
        value_set(item, "failure", &output);
    } else if (entry->output.is_blob) {
        output = reference_to_blob(&entry->output);
        value_set(item, "output", &output);
    } else {
        assert_int_equal(value_from_msgpack(entry->output.inline_bytes, &output, NULL), 0);
        value_set(item, "output", &output);
    }
    value_append(items, &item);
}

static void write_history(struct fake *self, const value_t *params, value_t *document)
{
    value_t *items = value_list();
    uint32_t from = (uint32_t)value_get_int(params, "from", 0), at = from;
    self->history_asked++;
    for (; at < self->history_count && at - from < self->history_page; at++)
        append_entry(items, &self->history[at]);
    value_set(document, "items", &items);
    if (at < self->history_count)
        value_set_int(document, "next", at);
}

static void answer_request(struct fake *self, const struct message *message)
{
    struct buf payload = {0};
    struct wire_body reply = {.kind = WIRE_REPLY};
    value_t *params = NULL, *document = value_map();
    const char *method = message->body.request.method;
    assert_int_equal(value_from_msgpack(message->payload, &params, NULL), 0);
    bool known = value_get_int(params, "version", self->version) <= self->version;
    if (strcmp(method, "agents.get") == 0 && known) {
        write_definition(self, params, document);
    } else if (strcmp(method, "tasks.history") == 0) {
        write_history(self, params, document);
    } else {
        reply.reply.error = "not_found";
        reply.reply.what = "there is no such version";
    }
    if (value_size(document))
        value_to_msgpack(document, &payload);
    value_destroy(&document);
    value_destroy(&params);
    send_to(self, message->route.from, &reply, message->route.correlation, buf_bytes(&payload));
    buf_release(&payload);
}

static void open_link(struct fake *self, const struct wire_hello *hello, int64_t now_us)
{
    struct wire_verdict *verdicts = xcalloc(hello->inventory_count + 1, sizeof *verdicts);
    link_destroy(&self->link);
    self->claims = hello->inventory_count;
    self->claimed_step = 0;
    for (size_t i = 0; i < hello->inventory_count; i++) {
        const struct wire_claim *claim = &hello->inventory[i];
        verdicts[i] = (struct wire_verdict){.execution = claim->execution,
                                            .path = claim->path,
                                            .run = claim->run,
                                            .keep = self->keep,
                                            .journaled_step = claim->acknowledged_step};
        if (i == 0 && claim->unacknowledged_count)
            self->claimed_step = claim->unacknowledged_steps[0];
    }
    self->boot = hello->boot;
    self->id = (struct wire_link_id){1, self->id.counter + 1};
    self->link = link_new_coordinator(self->id, hello, now_us, send_link, self);
    link_welcome(self->link, verdicts, hello->inventory_count, now_us);
    free(verdicts);
}

static void take_hello(struct fake *self, const struct message *message, int64_t now_us)
{
    const struct wire_hello *hello = &message->body.hello;
    assert_string_equal(hello->role, "instance");
    if (self->link && link_receive_hello(self->link, hello, now_us) != LINK_HELLO_NEW)
        return;
    self->hellos++;
    free(self->instance);
    self->instance = xstrdup(message->route.from);
    open_link(self, hello, now_us);
}

static const struct buf *find_blob(const struct fake *self, const uint8_t hash[DATUM_HASH_BYTES])
{
    for (size_t i = 0; i < self->blobs_count; i++) {
        uint8_t own[DATUM_HASH_BYTES];
        datum_hash(buf_bytes(&self->blobs[i]), own);
        if (memcmp(own, hash, sizeof own) == 0)
            return &self->blobs[i];
    }
    return NULL;
}

static void keep_blob(struct fake *self, struct buf *blob)
{
    self->blobs = xrealloc(self->blobs, (self->blobs_count + 1) * sizeof self->blobs[0]);
    self->blobs[self->blobs_count++] = *blob;
    *blob = (struct buf){0};
}

struct datum fake_blob(struct fake *self, const value_t *value)
{
    struct buf bytes = {0};
    value_to_msgpack(value, &bytes);
    struct datum datum = {.is_blob = true, .size_bytes = bytes.size};
    datum_hash(buf_bytes(&bytes), datum.hash);
    keep_blob(self, &bytes);
    return datum;
}

static void give_chunk(struct fake *self, const struct message *message)
{
    const struct wire_blob_get *get = &message->body.blob_get;
    const struct buf *blob = find_blob(self, get->hash);
    struct wire_body body = {.kind = WIRE_BLOB_CHUNK, .blob_chunk = {.offset = get->offset}};
    struct bytes payload = {0};
    memcpy(body.blob_chunk.hash, get->hash, DATUM_HASH_BYTES);
    if (!blob || get->offset >= blob->size) {
        body.blob_chunk.error = "not_found";
    } else {
        size_t left = blob->size - (size_t)get->offset;
        body.blob_chunk.size_bytes = blob->size;
        payload = bytes_of(blob->data + get->offset,
                           left < LIMIT_BLOB_CHUNK_BYTES ? left : LIMIT_BLOB_CHUNK_BYTES);
    }
    send_to(self, message->route.from, &body, message->route.correlation, payload);
}

static void refuse_chunk(struct fake *self, const struct message *message)
{
    struct wire_body body = {.kind = WIRE_BLOB_STORED, .blob_stored = {.error = self->put_error}};
    memcpy(body.blob_stored.hash, message->body.blob_put.hash, DATUM_HASH_BYTES);
    if (self->on_put_error)
        self->on_put_error(self->put_error_context);
    send_to(self, message->route.from, &body, message->route.correlation, bytes_of(NULL, 0));
}

static void take_chunk(struct fake *self, const struct message *message)
{
    const struct wire_blob_put *put = &message->body.blob_put;
    if (self->put_error) {
        refuse_chunk(self, message);
        return;
    }
    if (put->offset == 0)
        buf_clear(&self->blob);
    if (put->offset == self->blob.size)
        buf_append_bytes(&self->blob, message->payload);
    self->puts++;
    struct wire_body body = {
        .kind = WIRE_BLOB_STORED,
        .blob_stored = {.offset = self->blob.size, .complete = self->blob.size == put->size_bytes}};
    memcpy(body.blob_stored.hash, put->hash, DATUM_HASH_BYTES);
    if (body.blob_stored.complete)
        keep_blob(self, &self->blob);
    send_to(self, message->route.from, &body, message->route.correlation, bytes_of(NULL, 0));
}

/* --- what comes over the link
 * ---------------------------------------------------------------------- */

static value_t *output_of(struct fake *self, const struct datum *datum)
{
    struct bytes bytes = datum->inline_bytes;
    value_t *value = NULL;
    if (datum->is_blob) {
        const struct buf *blob = find_blob(self, datum->hash);
        if (!blob)
            return NULL;
        bytes = buf_bytes(blob);
    }
    assert_int_equal(value_from_msgpack(bytes, &value, NULL), 0);
    return value;
}

static char *names_of(const struct wire_step *step)
{
    struct buf names = {0};
    for (size_t i = 0; i < step->calls_count; i++)
        buf_printf(&names, "%s%s", i ? "," : "", step->calls[i]);
    return names.size ? buf_steal(&names) : xstrdup("");
}

static void take_step(struct fake *self, const struct wire_step *step)
{
    if (self->count_only) {
        self->steps_count++;
        return;
    }
    self->steps = xrealloc(self->steps, (self->steps_count + 1) * sizeof self->steps[0]);
    bool failed = step->failure.code && step->failure.code[0];
    assert_true(step->started_us > 0 && step->ended_us >= step->started_us);
    self->steps[self->steps_count++] = (struct fake_step){
        .execution = step->execution,
        .path = xstrdup(step->path),
        .run = step->run,
        .attempt = step->attempt,
        .number = step->number,
        .turn = step->turn,
        .call = step->call,
        .kind = step->kind,
        .calls = names_of(step),
        .usage = step->usage,
        .failed = failed,
        .permanent = step->failure.permanent,
        .code = xstrdup(failed ? step->failure.code : ""),
        .message = xstrdup(failed ? step->failure.message : ""),
        .detail = xstrdup(failed ? step->failure.detail : ""),
        .output = failed ? NULL : output_of(self, &step->output),
        .output_is_blob = step->output.is_blob,
    };
}

static void take_said(struct fake *self, const struct wire_item *item)
{
    const struct wire_delegate *delegate = &item->delegate;
    const struct wire_tool_call *call = &item->tool_call;
    bool delegates = item->kind == WIRE_ITEM_DELEGATE;
    self->said = xrealloc(self->said, (self->said_count + 1) * sizeof self->said[0]);
    self->said[self->said_count++] = (struct fake_said){
        .delegates = delegates,
        .hand_off = delegates && delegate->hand_off,
        .run = delegates ? delegate->run : call->run,
        .attempt = delegates ? delegate->attempt : call->attempt,
        .turn = delegates ? delegate->turn : call->turn,
        .call = delegates ? delegate->call : call->call,
        .name = xstrdup(delegates ? delegate->agent : call->tool),
        .value = output_of(self, delegates ? &delegate->message : &call->arguments),
        .context = delegates && !datum_absent(&delegate->context)
                       ? output_of(self, &delegate->context)
                       : NULL,
    };
}

static void take_items(struct fake *self, struct bytes bytes)
{
    struct arena arena = {0};
    struct wire_items items;
    struct err err = {0};
    if (wire_decode_items(&arena, bytes, &items, &err))
        fail_msg("%s", err.what);
    if (items.has_credit)
        self->credit = items.credit;
    self->draining |= items.draining;
    for (size_t i = 0; i < items.count; i++)
        if (items.items[i].kind == WIRE_ITEM_STEP)
            take_step(self, &items.items[i].step);
        else if (items.items[i].kind == WIRE_ITEM_DELEGATE ||
                 items.items[i].kind == WIRE_ITEM_TOOL_CALL)
            take_said(self, &items.items[i]);
    arena_release(&arena);
}

static void take_link(struct fake *self, const struct wire_body *body, int64_t now_us)
{
    struct bytes items = {0};
    if (!self->link)
        return;
    switch (link_receive(self->link, body, now_us, &items)) {
    case LINK_ITEMS:
        take_items(self, items);
        if (self->commits)
            link_commit(self->link, link_received(self->link));
        break;
    case LINK_ENDED: self->byes++; break;
    default: break;
    }
}

static void take_message(struct fake *self, const struct message *message, int64_t now_us)
{
    switch (message->route.kind) {
    case WIRE_REQUEST: answer_request(self, message); return;
    case WIRE_LINK_HELLO: take_hello(self, message, now_us); return;
    case WIRE_LINK_FRAME:
    case WIRE_LINK_BYE: take_link(self, &message->body, now_us); return;
    case WIRE_BLOB_GET: give_chunk(self, message); return;
    case WIRE_BLOB_PUT: take_chunk(self, message); return;
    default: return;
    }
}

static void serve(struct fake *self, int64_t until_us)
{
    struct message message = {0};
    struct err err = {0};
    int64_t now_us = clock_monotonic_us();
    int rc = 0;
    while ((rc = peer_receive(self->peer, &message, now_us, &err)) == 0) {
        if (!self->deaf)
            take_message(self, &message, now_us);
        message_clear(&message);
    }
    assert_int_equal(rc, ERR_AGAIN);
    message_release(&message);
    peer_tick(self->peer, now_us);
    int64_t wake_us = peer_deadline(self->peer);
    if (self->link && !self->deaf) {
        link_flush(self->link, now_us);
        (void)link_tick(self->link, now_us);
        if (link_deadline(self->link) < wake_us)
            wake_us = link_deadline(self->link);
    }
    if (self->also)
        self->also(self->also_context);
    wake_us = until_us < wake_us ? until_us : wake_us;
    long ms = wake_us > now_us ? (long)((wake_us - now_us) / 1000) + 1 : 0;
    zmq_pollitem_t item = {.socket = peer_socket(self->peer), .events = ZMQ_POLLIN};
    long most_ms = self->also ? 2 : 20;
    (void)zmq_poll(&item, 1, ms > most_ms ? most_ms : ms);
}

void fake_wait(struct fake *self, bool (*condition)(struct fake *self))
{
    int64_t until_us = clock_monotonic_us() + FAKE_PATIENCE_US;
    while (!condition(self)) {
        if (clock_monotonic_us() > until_us)
            fail_msg("waited in vain");
        serve(self, until_us);
    }
}

void fake_wait_steps(struct fake *self, size_t count)
{
    int64_t until_us = clock_monotonic_us() + FAKE_PATIENCE_US;
    while (self->steps_count < count) {
        if (clock_monotonic_us() > until_us)
            fail_msg("waited in vain for step %zu; there are %zu", count, self->steps_count);
        serve(self, until_us);
    }
}

void fake_wait_said(struct fake *self, size_t count)
{
    int64_t until_us = clock_monotonic_us() + FAKE_PATIENCE_US;
    while (self->said_count < count) {
        if (clock_monotonic_us() > until_us)
            fail_msg("waited in vain for delegation or call %zu; there are %zu", count,
                     self->said_count);
        serve(self, until_us);
    }
}

void fake_serve_for(struct fake *self, int64_t us)
{
    int64_t until_us = clock_monotonic_us() + us;
    while (clock_monotonic_us() < until_us)
        serve(self, until_us);
}

bool fake_linked(struct fake *self)
{
    return self->link && link_state(self->link) == LINK_OPEN && self->credit > 0;
}

/* --- orders ------------------------------------------------------------------------------------
 */

static void send_item(struct fake *self, const struct wire_item *item)
{
    struct buf bytes = {0};
    wire_append_item(item, &bytes);
    assert_int_equal(link_send(self->link, buf_bytes(&bytes), clock_monotonic_us(), NULL), 0);
    buf_release(&bytes);
}

static struct wire_dispatch dispatch_of(struct fake *self, struct uuid execution, const char *path)
{
    return (struct wire_dispatch){.execution = execution,
                                  .path = path,
                                  .attempt = 1,
                                  .run = {1, ++self->counter},
                                  .agent = value_get_string(self->definition, "agent", ""),
                                  .agent_version = self->version,
                                  .workflow = "flow",
                                  .queued_us = clock_utc_us()};
}

static struct wire_run send_dispatch(struct fake *self, const struct wire_dispatch *dispatch)
{
    struct wire_item item = {.kind = WIRE_ITEM_DISPATCH, .dispatch = *dispatch};
    link_set_busy(self->link, true, clock_monotonic_us());
    send_item(self, &item);
    return dispatch->run;
}

struct wire_run fake_dispatch_datum(struct fake *self, struct uuid execution, const char *path,
                                    struct datum message, uint64_t timeout_us)
{
    struct wire_dispatch dispatch = dispatch_of(self, execution, path);
    dispatch.message = message;
    dispatch.timeout_us = timeout_us;
    return send_dispatch(self, &dispatch);
}

static void pack(const char *json, struct buf *out)
{
    value_t *value = NULL;
    assert_int_equal(value_from_json(json, strlen(json), &value, NULL), 0);
    value_to_msgpack(value, out);
    value_destroy(&value);
}

struct wire_run fake_dispatch(struct fake *self, struct uuid execution, const char *path,
                              const char *message_json, uint64_t timeout_us)
{
    struct buf bytes = {0};
    pack(message_json, &bytes);
    struct wire_run run =
        fake_dispatch_datum(self, execution, path, datum_inline(buf_bytes(&bytes)), timeout_us);
    buf_release(&bytes);
    return run;
}

struct wire_run fake_dispatch_turn(struct fake *self, struct uuid execution, const char *path,
                                   const char *message_json, uint32_t turn, uint32_t from)
{
    struct buf bytes = {0};
    struct wire_dispatch dispatch = dispatch_of(self, execution, path);
    pack(message_json, &bytes);
    dispatch.message = datum_inline(buf_bytes(&bytes));
    dispatch.journaled_step = self->journaled_step;
    dispatch.turn = turn;
    dispatch.egress = self->egress;
    dispatch.history_count = self->history_count;
    dispatch.history_from = from;
    dispatch.history = self->history ? self->history + from : NULL;
    dispatch.history_here = self->history_count - from;
    struct wire_run run = send_dispatch(self, &dispatch);
    buf_release(&bytes);
    return run;
}

void fake_grant(struct fake *self, struct uuid execution, const char *path, struct wire_run run,
                uint32_t turn)
{
    struct wire_item item = {.kind = WIRE_ITEM_GRANTED,
                             .granted = {.execution = execution,
                                         .path = path,
                                         .run = run,
                                         .turn = turn,
                                         .egress = self->egress}};
    send_item(self, &item);
}

void fake_remember(struct fake *self, enum wire_step_kind kind, uint32_t turn, uint32_t call,
                   const char *output_json, const char *code)
{
    uint32_t at = self->history_count++;
    self->history = xrealloc(self->history, self->history_count * sizeof self->history[0]);
    self->history_bytes =
        xrealloc(self->history_bytes, self->history_count * sizeof self->history_bytes[0]);
    self->history_bytes[at] = (struct buf){0};
    self->history[at] = (struct wire_history){.kind = kind, .turn = turn, .call = call};
    if (code) {
        self->history[at].failure = (struct wire_failure){.code = code, .message = output_json};
        return;
    }
    pack(output_json, &self->history_bytes[at]);
    self->history[at].output = datum_inline(buf_bytes(&self->history_bytes[at]));
}

void fake_drop(struct fake *self, struct uuid execution, const char *path, struct wire_run run)
{
    struct wire_item item = {
        .kind = WIRE_ITEM_DROP,
        .drop = {.execution = execution, .path = path, .run = run, .reason = "cancelled"}};
    send_item(self, &item);
}
