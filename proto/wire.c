#include "proto/wire.h"

#include "base/limits.h"
#include "proto/wire_tables.h"

#include <string.h>

struct kind_name {
    enum wire_kind kind;
    const char *name;
};

static const struct kind_name kind_names[] = {
    {WIRE_REGISTER, "REGISTER"},
    {WIRE_REGISTERED, "REGISTERED"},
    {WIRE_WHO, "WHO"},
    {WIRE_UNREGISTER, "UNREGISTER"},
    {WIRE_UNDELIVERABLE, "UNDELIVERABLE"},
    {WIRE_PING, "PING"},
    {WIRE_PONG, "PONG"},
    {WIRE_PEERS, "PEERS"},
    {WIRE_PEERS_REPLY, "PEERS_REPLY"},
    {WIRE_REQUEST, "REQUEST"},
    {WIRE_REPLY, "REPLY"},
    {WIRE_LINK_HELLO, "LINK_HELLO"},
    {WIRE_LINK_WELCOME, "LINK_WELCOME"},
    {WIRE_LINK_FRAME, "LINK_FRAME"},
    {WIRE_LINK_RESET, "LINK_RESET"},
    {WIRE_LINK_BYE, "LINK_BYE"},
    {WIRE_BLOB_GET, "BLOB_GET"},
    {WIRE_BLOB_CHUNK, "BLOB_CHUNK"},
    {WIRE_BLOB_PUT, "BLOB_PUT"},
    {WIRE_BLOB_STORED, "BLOB_STORED"},
    {WIRE_CALL, "CALL"},
    {WIRE_CALL_ANSWER, "CALL_ANSWER"},
};

const char *wire_kind_name(enum wire_kind kind)
{
    for (size_t i = 0; i < sizeof kind_names / sizeof kind_names[0]; i++) {
        if (kind_names[i].kind == kind)
            return kind_names[i].name;
    }
    return "UNKNOWN";
}

bool wire_kind_known(enum wire_kind kind)
{
    switch (kind) {
    case WIRE_NONE: return false;
    case WIRE_REGISTER:
    case WIRE_REGISTERED:
    case WIRE_WHO:
    case WIRE_UNREGISTER:
    case WIRE_UNDELIVERABLE:
    case WIRE_PING:
    case WIRE_PONG:
    case WIRE_PEERS:
    case WIRE_PEERS_REPLY:
    case WIRE_REQUEST:
    case WIRE_REPLY:
    case WIRE_LINK_HELLO:
    case WIRE_LINK_WELCOME:
    case WIRE_LINK_FRAME:
    case WIRE_LINK_RESET:
    case WIRE_LINK_BYE:
    case WIRE_BLOB_GET:
    case WIRE_BLOB_CHUNK:
    case WIRE_BLOB_PUT:
    case WIRE_BLOB_STORED:
    case WIRE_CALL:
    case WIRE_CALL_ANSWER: return true;
    }
    return false;
}

int wire_run_compare(struct wire_run a, struct wire_run b)
{
    if (a.epoch != b.epoch)
        return a.epoch < b.epoch ? -1 : 1;
    return a.counter < b.counter ? -1 : a.counter > b.counter;
}

/* --- route -------------------------------------------------------------------------------------
 */

enum { ROUTE_FROM = 3 };

static const struct pb_field route_fields[] = {
    [1] = {FIELD(PB_ENUM, wire_route, kind), .flags = PB_REQUIRED, .max = WIRE_CALL_ANSWER},
    [2] = {FIELD(PB_TEXT, wire_route, to), .valid = wire_address_valid},
    [ROUTE_FROM] = {FIELD(PB_TEXT, wire_route, from), .valid = wire_address_valid},
    [4] = {FIELD(PB_UINT64, wire_route, correlation)},
    [5] = {FIELD(PB_SFIXED64, wire_route, deadline_us)},
    [6] = {FIELD(PB_TEXT, wire_route, trace), .max = LIMIT_TRACE_BYTES},
};

static int check_route(const void *message, uint64_t seen, struct err *err)
{
    const struct wire_route *route = message;
    (void)seen;
    if (wire_kind_known(route->kind))
        return 0;
    err_set(err, ERR_MALFORMED, "this version knows no kind %d", (int)route->kind);
    err_where(err, "kind");
    return ERR_MALFORMED;
}

const struct pb_message wire_route_message = {MESSAGE("Route", route_fields, wire_route),
                                              .check = check_route};

int wire_decode_route(struct arena *arena, struct bytes frame, struct wire_route *ret_route,
                      struct err *err)
{
    struct wire_route route = {0};
    int rc = pb_decode(arena, &wire_route_message, frame, &route, err);
    if (rc == 0)
        *ret_route = route;
    return rc;
}

void wire_encode_route(const struct wire_route *route, struct buf *out)
{
    struct wire_route rest = *route;
    rest.from = NULL;
    pb_encode(&wire_route_message, &rest, out);
    if (route->from && *route->from)
        pb_encode_item(&wire_route_message, ROUTE_FROM, &route->from, out);
}

/* --- bodies ------------------------------------------------------------------------------------
 */

int wire_decode_body(struct arena *arena, enum wire_kind kind, struct bytes frame,
                     struct wire_body *ret_body, struct err *err)
{
    struct wire_body body = {0};
    size_t offset;
    const struct pb_message *message = wire_body_message(kind, &offset);
    if (!wire_kind_known(kind))
        return err_set(err, ERR_MALFORMED, "this version knows no kind %d", (int)kind);
    body.kind = kind;
    if (message) {
        int rc = pb_decode(arena, message, frame, (uint8_t *)&body + offset, err);
        if (rc != 0)
            return rc;
    }
    *ret_body = body;
    return 0;
}

void wire_encode_body(const struct wire_body *body, struct buf *out)
{
    size_t offset;
    const struct pb_message *message = wire_body_message(body->kind, &offset);
    if (message)
        pb_encode(message, (const uint8_t *)body + offset, out);
}

int wire_reply_error(const struct wire_reply *reply, struct err *ret_err)
{
    if (!reply->error || !reply->error[0])
        return 0;
    int code = err_from_name(reply->error);
    const char *what = reply->what && reply->what[0] ? reply->what : err_text(code);
    (void)err_set(ret_err, code, "%s", what);
    if (!ret_err)
        return code;
    err_where(ret_err, "%s", reply->where ? reply->where : "");
    err_fix(ret_err, "%s", reply->fix ? reply->fix : "");
    ret_err->line = reply->line;
    ret_err->column = reply->column;
    return code;
}
