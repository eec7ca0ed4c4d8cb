/* The tables of af.proto's messages that more than one file of the codec needs. Internal to proto/. */
#ifndef AF_PROTO_WIRE_TABLES_H
#define AF_PROTO_WIRE_TABLES_H

#include "proto/pb.h"
#include "proto/wire.h"

#define FIELD_COUNT(fields) (sizeof(fields) / sizeof(fields)[0])
#define FIELD(kind, parent, member)                                                                \
    .name = #member, .type = (kind), .offset = offsetof(struct parent, member)
#define ITEMS(parent, counter) .count_offset = offsetof(struct parent, counter)
#define MESSAGE(label, table, parent)                                                              \
    .name = (label), .fields = (table), .count = FIELD_COUNT(table), .size = sizeof(struct parent)

extern const struct pb_message wire_run_message;
extern const struct pb_message wire_call_key_message;
extern const struct pb_message wire_usage_message;
extern const struct pb_message wire_route_message;
extern const struct pb_message wire_items_message;
/* The table of a kind's body; NULL for kinds without one. *ret_offset: of its struct in wire_body. */
const struct pb_message *wire_body_message(enum wire_kind kind, size_t *ret_offset);

bool wire_kind_known(enum wire_kind kind);

#endif
