/* The broker: its sockets and its loop. One thread makes it, runs it and destroys it; signals are
 * expected on a descriptor, and blocked in all threads before broker_new. */
#ifndef AF_BROKER_BROKER_H
#define AF_BROKER_BROKER_H

#include "base/err.h"
#include <stddef.h>

typedef struct broker broker_t;

struct broker_options {
    const char *const *endpoints; /* at least one */
    size_t endpoints_count;
    const char *events_endpoint;
    const char *publish_endpoint;
};

/* Binds everything or nothing. */
int broker_new(const struct broker_options *options, broker_t **ret_broker,
               struct err *err) MUST_CHECK;
/* Forwards until stop_fd is readable. */
int broker_run(broker_t *self, int stop_fd, struct err *err) MUST_CHECK;
void broker_destroy(broker_t **self_p);

#endif
