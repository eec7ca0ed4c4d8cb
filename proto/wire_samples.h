/* One filled body of each kind and items of each kind, for tests of the codec. */
#ifndef AF_PROTO_WIRE_SAMPLES_H
#define AF_PROTO_WIRE_SAMPLES_H

#include "proto/wire.h"

extern const struct wire_route sample_route;
extern const struct wire_body sample_bodies[];
extern const size_t sample_bodies_count;
extern const struct wire_items sample_items;

#endif
