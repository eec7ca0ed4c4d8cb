#include "broker/core.h"

#include <string.h>

static void make_part(zmq_msg_t *part, struct bytes bytes)
{
    CHECK(zmq_msg_init_size(part, bytes.size) == 0);
    if (bytes.size)
        memcpy(zmq_msg_data(part), bytes.data, bytes.size);
}

/* A NUL-terminated copy, living until the arena is cleared; NULL for what is no address. */
static const char *address_text(struct core *core, struct bytes address)
{
    if (!wire_address_valid((const char *)address.data, address.size))
        return NULL;
    return arena_strndup(&core->arena, (const char *)address.data, address.size);
}

void answer_send(struct core *core, struct parcel *parcel, const struct wire_body *body,
                 struct bytes payload)
{
    struct bytes sender = parcel_part(parcel, PART_SENDER);
    struct wire_route route = {
        .kind = body->kind,
        .to = address_text(core, sender),
        .from = "broker",
        .correlation = parcel->route.correlation,
    };
    buf_clear(&core->route);
    buf_clear(&core->body);
    wire_encode_route(&route, &core->route);
    wire_encode_body(body, &core->body);
    struct parcel answer = {.count = payload.size ? PART_MAX : PART_PAYLOAD};
    zmq_msg_init(&answer.parts[PART_SENDER]);
    make_part(&answer.parts[PART_SIGNATURE], bytes_of_string(WIRE_SIGNATURE));
    make_part(&answer.parts[PART_ROUTE], buf_bytes(&core->route));
    make_part(&answer.parts[PART_BODY], buf_bytes(&core->body));
    if (payload.size)
        make_part(&answer.parts[PART_PAYLOAD], payload);
    (void)parcel_send(&answer, core->router, sender);
    parcel_release(&answer);
    arena_clear(&core->arena);
}

static void send_back(struct core *core, struct parcel *parcel, const char *reason,
                      const char *text)
{
    /* Such an answer that can't be delivered either would go to and fro for ever. */
    if (parcel->route.kind == WIRE_UNDELIVERABLE)
        return;
    struct wire_body body = {
        .kind = WIRE_UNDELIVERABLE,
        .undeliverable = {.kind = (enum wire_kind)parcel->route.kind,
                          .to = address_text(core, parcel->route.to),
                          .reason = reason,
                          .text = text},
    };
    answer_send(core, parcel, &body, (struct bytes){0});
}

void answer_undeliverable(struct core *core, struct parcel *parcel, const char *reason,
                          const char *text)
{
    core->counters.undeliverable++;
    send_back(core, parcel, reason, text);
}

void answer_malformed(struct core *core, struct parcel *parcel, const char *reason,
                      const char *text)
{
    core->counters.malformed++;
    send_back(core, parcel, reason, text);
}

void answer_who(struct core *core, struct parcel *parcel)
{
    struct wire_body body = {.kind = WIRE_WHO};
    answer_send(core, parcel, &body, (struct bytes){0});
}
