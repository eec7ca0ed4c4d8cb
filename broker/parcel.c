#include "broker/core.h"

#include <errno.h>

struct bytes parcel_part(struct parcel *self, size_t part)
{
    if (part >= self->count)
        return (struct bytes){0};
    return bytes_of(zmq_msg_data(&self->parts[part]), zmq_msg_size(&self->parts[part]));
}

static int receive_part(zmq_msg_t *part, void *router)
{
    int rc = 0;
    do
        rc = zmq_msg_recv(part, router, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc;
}

/* libzmq gives a message out only when all of its frames are there, so only the first can be
 * missing; the rest must be taken, or they would pass for the next message. */
static void drop_rest(struct parcel *self, void *router)
{
    zmq_msg_t rest;
    self->overlong = true;
    zmq_msg_init(&rest);
    do {
        if (receive_part(&rest, router) < 0)
            break;
        self->size_bytes += zmq_msg_size(&rest);
    } while (zmq_msg_more(&rest));
    zmq_msg_close(&rest);
}

bool parcel_receive(struct parcel *self, void *router)
{
    self->count = 0;
    self->size_bytes = 0;
    self->overlong = false;
    self->route = (struct route){0};
    for (;;) {
        zmq_msg_t *part = &self->parts[self->count];
        zmq_msg_init(part);
        if (receive_part(part, router) < 0) {
            zmq_msg_close(part);
            return self->count > 0;
        }
        self->count++;
        self->size_bytes += self->count > 1 ? zmq_msg_size(part) : 0;
        if (!zmq_msg_more(part))
            return true;
        if (self->count == PART_MAX) {
            drop_rest(self, router);
            return true;
        }
    }
}

void parcel_release(struct parcel *self)
{
    while (self->count > 0)
        zmq_msg_close(&self->parts[--self->count]);
}

static int send_part(zmq_msg_t *part, void *router, int flags)
{
    int rc = 0;
    do
        rc = zmq_msg_send(part, router, flags | ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc;
}

int parcel_send(struct parcel *self, void *router, struct bytes address)
{
    /* The routing id is only looked up, never kept: a constant message spares a copy. libzmq
     * decides at this frame whether the message can go; those behind it follow or are dropped with
     * it. */
    zmq_msg_t head;
    zmq_msg_init_data(&head, (void *)(uintptr_t)address.data, address.size, NULL, NULL);
    if (send_part(&head, router, ZMQ_SNDMORE) < 0) {
        int error = errno;
        zmq_msg_close(&head);
        return error;
    }
    for (size_t i = PART_SIGNATURE; i < self->count; i++)
        if (send_part(&self->parts[i], router, i + 1 < self->count ? ZMQ_SNDMORE : 0) < 0)
            return errno;
    return 0;
}
