/* The provider of `script/` models: plays what script_evaluate says in its time, with its delay, word
 * by word where it streams. Pure but for the times that it is given. */
#ifndef AF_EGRESS_PLAYBACK_H
#define AF_EGRESS_PLAYBACK_H

#include "egress/provider.h"

struct provider playback_new(const struct provider_events *events);
size_t playback_count(const struct provider *self); /* calls under way */

#endif
