/* Between the engine's words and those of the wire: effects as items of links, and items and hellos
 * as inputs. Pure: the simulator's coordinator uses the same. */
#ifndef AF_COORDINATOR_LINK_ITEMS_H
#define AF_COORDINATOR_LINK_ITEMS_H

#include "engine/engine.h"
#include "proto/wire.h"

/* The item that an effect is told by, and the handle of the link that it goes to; false for effects
 * that are none. What the item points to is the effect's or the arena's. */
bool link_item_of(const struct effect *effect, struct arena *arena, struct wire_item *ret_item,
                  uint64_t *ret_handle);

/* What a step, delegation or tool call of an instance is to the engine; false for other items.
 * Borrowed from the item. */
bool link_input_of(const struct wire_item *item, uint64_t handle, const char *instance,
                   const char *agent, struct input *ret_input);

/* What a hello is to the engine, once its link has a handle. Lists are the arena's. */
struct input link_instance_up(const struct wire_hello *hello, const char *instance,
                              uint64_t handle, uint64_t old_handle, struct arena *arena);
struct input link_egress_up(const struct wire_hello *hello, const char *egress, uint64_t handle,
                            uint64_t old_handle, struct arena *arena);

/* Verdicts for a Welcome, in the arena. */
const struct wire_verdict *link_verdicts(const struct effect_welcome *welcome,
                                         struct arena *arena);

#endif
