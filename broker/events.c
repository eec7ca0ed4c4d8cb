#include "broker/events.h"

#include "base/limits.h"
#include <errno.h>
#include <stdint.h>
#include <zmq.h>

static bool receive(zmq_msg_t *part, void *socket)
{
    int rc = 0;
    do
        rc = zmq_msg_recv(part, socket, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc >= 0;
}

static void send(zmq_msg_t *part, void *socket, bool more)
{
    int rc = 0;
    do
        rc = zmq_msg_send(part, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    while (rc < 0 && errno == EINTR);
}

bool events_pass_down(void *publish, void *followers)
{
    zmq_msg_t part;
    zmq_msg_init(&part);
    bool any = false, more = true;
    while (more && receive(&part, publish)) {
        any = true;
        more = zmq_msg_more(&part) != 0;
        send(&part, followers, more);
    }
    zmq_msg_close(&part);
    return any;
}

/* A subscription is one frame: 1 or 0, then the topic's prefix. A follower can send other things
 * too, which are not for publishers to see. */
static bool is_subscription(zmq_msg_t *part)
{
    size_t size = zmq_msg_size(part);
    return size >= 1 && size <= 1 + LIMIT_TOPIC_BYTES && *(const uint8_t *)zmq_msg_data(part) <= 1;
}

bool events_pass_up(void *followers, void *publish)
{
    zmq_msg_t part;
    zmq_msg_init(&part);
    bool any = false, more = true;
    while (more && receive(&part, followers)) {
        bool first = !any;
        any = true;
        more = zmq_msg_more(&part) != 0;
        if (first && !more && is_subscription(&part))
            send(&part, publish, false);
    }
    zmq_msg_close(&part);
    return any;
}
