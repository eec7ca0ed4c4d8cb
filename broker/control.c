#include "broker/core.h"

#include "base/limits.h"
#include "base/log.h"
#include <stdio.h>
#include <string.h>

/* Room for the counters and the list's head in a document of peers. */
#define PEERS_DOCUMENT_BYTES (LIMIT_MESSAGE_BYTES - (64u << 10))

static const char *sender_text(struct parcel *parcel, char ret_text[LIMIT_ADDRESS_BYTES + 1])
{
    struct bytes sender = parcel_part(parcel, PART_SENDER);
    snprintf(ret_text, LIMIT_ADDRESS_BYTES + 1, "%.*s", (int)sender.size,
             (const char *)sender.data);
    return ret_text;
}

static void answer_registered(struct core *core, struct parcel *parcel, const char *refused)
{
    struct wire_body body = {
        .kind = WIRE_REGISTERED,
        .registered = {.major = WIRE_MAJOR,
                       .minor = WIRE_MINOR,
                       .program = BROKER_PROGRAM,
                       .refused = refused},
    };
    answer_send(core, parcel, &body, (struct bytes){0});
}

static void refuse_registration(struct core *core, struct parcel *parcel, const char *why)
{
    char sender[LIMIT_ADDRESS_BYTES + 1];
    log_warn("BROKER-REFUSED", "a peer was refused", "peer", sender_text(parcel, sender), "why",
             why, NULL);
    (void)presence_remove(core->presence, parcel_part(parcel, PART_SENDER));
    answer_registered(core, parcel, why);
}

static void refuse_version(struct core *core, struct parcel *parcel,
                           const struct wire_register *reg)
{
    char text[256];
    snprintf(text, sizeof text,
             "%.64s speaks version %u.%u of the protocol and " BROKER_PROGRAM
             " version %d.%d: update the older of the two",
             reg->program && *reg->program ? reg->program : "the peer", reg->major, reg->minor,
             WIRE_MAJOR, WIRE_MINOR);
    refuse_registration(core, parcel, text);
}

static void enter(struct core *core, struct parcel *parcel, const struct wire_register *reg)
{
    struct err err;
    int rc = presence_register(core->presence, parcel_part(parcel, PART_SENDER), reg->program,
                               reg->agents, reg->agents_count, core->now_us, &err);
    if (rc) {
        refuse_registration(core, parcel, err.what);
        return;
    }
    char sender[LIMIT_ADDRESS_BYTES + 1];
    log_debug("BROKER-REGISTERED", "a peer has registered", "peer", sender_text(parcel, sender),
              "program", reg->program, NULL);
    answer_registered(core, parcel, NULL);
}

static void handle_register(struct core *core, struct parcel *parcel)
{
    struct err err;
    struct wire_body body;
    /* The answer clears core->arena, so what is decoded here needs one of its own. */
    struct arena arena = {0};
    int rc = wire_decode_body(&arena, WIRE_REGISTER, parcel_part(parcel, PART_BODY), &body, &err);
    if (rc)
        answer_malformed(core, parcel, "malformed", err.what);
    else if (body.reg.major != WIRE_MAJOR)
        refuse_version(core, parcel, &body.reg);
    else
        enter(core, parcel, &body.reg);
    arena_release(&arena);
}

/* A PONG gives back the body and the payload of the PING as they are. */
static void handle_ping(struct core *core, struct parcel *parcel)
{
    struct bytes sender = parcel_part(parcel, PART_SENDER);
    struct wire_route route = {
        .kind = WIRE_PONG,
        .to = arena_strndup(&core->arena, (const char *)sender.data, sender.size),
        .from = "broker",
        .correlation = parcel->route.correlation,
    };
    buf_clear(&core->route);
    wire_encode_route(&route, &core->route);
    zmq_msg_close(&parcel->parts[PART_ROUTE]);
    CHECK(zmq_msg_init_size(&parcel->parts[PART_ROUTE], core->route.size) == 0);
    memcpy(zmq_msg_data(&parcel->parts[PART_ROUTE]), core->route.data, core->route.size);
    (void)parcel_send(parcel, core->router, sender);
    arena_clear(&core->arena);
}

static void handle_peers(struct core *core, struct parcel *parcel)
{
    bool complete = false;
    value_t *peers =
        presence_document(core->presence, core->now_us, PEERS_DOCUMENT_BYTES, &complete);
    value_t *document = value_map();
    value_set_string(document, "program", BROKER_PROGRAM);
    value_set_int(document, "registered", (int64_t)presence_count(core->presence));
    value_set_bool(document, "complete", complete);
    value_set_int(document, "forwarded", (int64_t)core->counters.forwarded);
    value_set_int(document, "undeliverable", (int64_t)core->counters.undeliverable);
    value_set_int(document, "malformed", (int64_t)core->counters.malformed);
    value_set_int(document, "events", (int64_t)core->counters.events);
    value_set(document, "peers", &peers);
    struct buf payload = {0};
    value_to_msgpack(document, &payload);
    value_destroy(&document);
    struct wire_body body = {.kind = WIRE_PEERS_REPLY};
    answer_send(core, parcel, &body, buf_bytes(&payload));
    buf_release(&payload);
}

void control_handle(struct core *core, struct parcel *parcel)
{
    switch (parcel->route.kind) {
    case WIRE_REGISTER: handle_register(core, parcel); break;
    case WIRE_UNREGISTER:
        (void)presence_remove(core->presence, parcel_part(parcel, PART_SENDER));
        break;
    case WIRE_PING: handle_ping(core, parcel); break;
    case WIRE_PEERS: handle_peers(core, parcel); break;
    /* Answers of a peer to something of ours; there is nothing to say to them. */
    case WIRE_PONG:
    case WIRE_UNDELIVERABLE: break;
    default: answer_undeliverable(core, parcel, "unknown", "the broker has no answer to this kind");
    }
}
