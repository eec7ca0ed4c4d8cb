/* A fast hash for tables in memory, keyed with a random secret of this process, so that nobody
 * outside can choose keys that collide. Its values differ from process to process: never store
 * them, and let no order depend on them. Any thread. */
#ifndef AF_BASE_HASH_H
#define AF_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t size);

#endif
