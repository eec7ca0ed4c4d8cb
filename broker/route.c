#include "broker/route.h"

#include "base/limits.h"
#include "proto/wire.h"
#include <string.h>

/* Field numbers of Route in af.proto. */
enum { FIELD_KIND = 1, FIELD_TO = 2, FIELD_FROM = 3, FIELD_CORRELATION = 4 };
enum { TYPE_VARINT = 0, TYPE_FIXED64 = 1, TYPE_BYTES = 2, TYPE_FIXED32 = 5 };

#define TAG_FROM ((FIELD_FROM << 3) | TYPE_BYTES)

static bool read_varint(struct bytes frame, size_t *at, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 70 && *at < frame.size; shift += 7) {
        uint8_t byte = frame.data[(*at)++];
        if (shift == 63 && byte > 1)
            return false;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_number = number;
            return true;
        }
    }
    return false;
}

static bool read_bytes(struct bytes frame, size_t *at, struct bytes *ret_bytes)
{
    uint64_t size = 0;
    if (!read_varint(frame, at, &size) || size > frame.size - *at)
        return false;
    *ret_bytes = bytes_of(frame.data + *at, (size_t)size);
    *at += (size_t)size;
    return true;
}

static bool skip(struct bytes frame, size_t *at, size_t size)
{
    if (size > frame.size - *at)
        return false;
    *at += size;
    return true;
}

static int scan_address(struct bytes frame, size_t *at, struct bytes *ret_address)
{
    struct bytes address;
    if (!read_bytes(frame, at, &address))
        return ERR_MALFORMED;
    if (address.size > LIMIT_ADDRESS_BYTES)
        return ERR_TOO_LARGE;
    *ret_address = address;
    return 0;
}

static int scan_known(struct bytes frame, uint64_t field, size_t *at, struct route *route)
{
    uint64_t number = 0;
    switch (field) {
    case FIELD_KIND:
        if (!read_varint(frame, at, &number))
            return ERR_MALFORMED;
        route->kind = (uint32_t)number;
        return 0;
    case FIELD_CORRELATION: return read_varint(frame, at, &route->correlation) ? 0 : ERR_MALFORMED;
    case FIELD_TO: return scan_address(frame, at, &route->to);
    default: break;
    }
    int rc = scan_address(frame, at, &route->from);
    route->from_is_last = rc == 0 && *at == frame.size;
    return rc;
}

/* Groups (types 3 and 4) are not part of this protocol in any version. */
static bool skip_unknown(struct bytes frame, unsigned type, size_t *at)
{
    uint64_t number = 0;
    struct bytes bytes;
    switch (type) {
    case TYPE_VARINT: return read_varint(frame, at, &number);
    case TYPE_FIXED64: return skip(frame, at, 8);
    case TYPE_FIXED32: return skip(frame, at, 4);
    case TYPE_BYTES: return read_bytes(frame, at, &bytes);
    default: return false;
    }
}

int route_scan(struct bytes frame, struct route *ret_route)
{
    static const unsigned char TYPES[] = {
        [FIELD_KIND] = TYPE_VARINT,
        [FIELD_TO] = TYPE_BYTES,
        [FIELD_FROM] = TYPE_BYTES,
        [FIELD_CORRELATION] = TYPE_VARINT,
    };
    *ret_route = (struct route){0};
    if (frame.size > LIMIT_ROUTE_BYTES)
        return ERR_TOO_LARGE;
    for (size_t at = 0; at < frame.size;) {
        uint64_t tag = 0;
        if (!read_varint(frame, &at, &tag) || tag < 8 || tag > UINT32_MAX)
            return ERR_MALFORMED;
        uint64_t field = tag >> 3;
        unsigned type = (unsigned)(tag & 7);
        bool known = field < sizeof TYPES;
        if (known && TYPES[field] != type)
            return ERR_MALFORMED;
        int rc = known                            ? scan_known(frame, field, &at, ret_route)
                 : skip_unknown(frame, type, &at) ? 0
                                                  : ERR_MALFORMED;
        if (rc)
            return rc;
    }
    return 0;
}

bool route_stamp(uint8_t *frame, const struct route *route, struct bytes sender)
{
    if (!route->from_is_last || route->from.size != sender.size)
        return false;
    memcpy(frame + (route->from.data - frame), sender.data, sender.size);
    return true;
}

/* An address is at most LIMIT_ADDRESS_BYTES, so its size takes one or two bytes. */
static size_t length_size(size_t size)
{
    return size < 0x80 ? 1 : 2;
}

size_t route_stamped_size(size_t frame_size, struct bytes sender)
{
    return frame_size + 1 + length_size(sender.size) + sender.size;
}

void route_stamp_copy(struct bytes frame, struct bytes sender, uint8_t *ret_frame)
{
    CHECK(sender.size <= LIMIT_ADDRESS_BYTES);
    if (frame.size)
        memcpy(ret_frame, frame.data, frame.size);
    uint8_t *at = ret_frame + frame.size;
    *at++ = TAG_FROM;
    if (length_size(sender.size) == 2) {
        *at++ = (uint8_t)(0x80 | (sender.size & 0x7f));
        *at++ = (uint8_t)(sender.size >> 7);
    } else {
        *at++ = (uint8_t)sender.size;
    }
    memcpy(at, sender.data, sender.size);
}

#define AGENT_PREFIX      "agent:"
#define AGENT_PREFIX_SIZE (sizeof AGENT_PREFIX - 1)

enum route_class route_classify(struct bytes to, struct bytes *ret_rest)
{
    /* libzmq's own routing ids begin with a zero byte; nobody addresses those. */
    if (to.size == 0 || to.data[0] < 'a' || to.data[0] > 'z')
        return ROUTE_NOWHERE;
    if (to.size == strlen("broker") && memcmp(to.data, "broker", to.size) == 0)
        return ROUTE_BROKER;
    if (to.size <= AGENT_PREFIX_SIZE || memcmp(to.data, AGENT_PREFIX, AGENT_PREFIX_SIZE) != 0)
        return ROUTE_DIRECT;
    if (ret_rest)
        *ret_rest = bytes_of(to.data + AGENT_PREFIX_SIZE, to.size - AGENT_PREFIX_SIZE);
    return ROUTE_AGENT;
}

bool route_is_peer(struct bytes address)
{
    return route_classify(address, NULL) == ROUTE_DIRECT &&
           wire_address_valid((const char *)address.data, address.size);
}
