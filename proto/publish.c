#include "proto/publish.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/typeid.h"
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

/* Of "execution.exec_" and a UUID in base32: a subscription of this size names one execution. */
#define TOPIC_EXECUTION_BYTES (sizeof "execution." - 1 + 5 + 26)

struct subscription {
    char *text;
    size_t size;
};

struct publish {
    void *socket;
    map_t *subscriptions;           /* topic -> struct subscription */
    struct subscription **prefixes; /* those that may match several topics */
    size_t prefixes_count;
    bool everything; /* more subscriptions than are kept: all is published */
};

int publish_new(void *zmq_context, const char *endpoint, publish_t **ret_publish, struct err *err)
{
    publish_t *self = xcalloc(1, sizeof *self);
    int linger = 0, hwm = LIMIT_EVENTS_HWM;

    self->subscriptions = map_new();
    self->socket = zmq_socket(zmq_context, ZMQ_XPUB);
    if (self->socket == NULL || zmq_setsockopt(self->socket, ZMQ_LINGER, &linger, sizeof linger) ||
        zmq_setsockopt(self->socket, ZMQ_SNDHWM, &hwm, sizeof hwm) ||
        zmq_connect(self->socket, endpoint) != 0) {
        err_set(err, ERR_INVALID, "can't connect to %s: %s", endpoint, zmq_strerror(zmq_errno()));
        publish_destroy(&self);
        return ERR_INVALID;
    }
    *ret_publish = self;
    return 0;
}

static void subscription_destroy(struct subscription *subscription)
{
    free(subscription->text);
    free(subscription);
}

void publish_destroy(publish_t **self_p)
{
    publish_t *self = *self_p;
    void *item;
    if (self == NULL)
        return;
    if (self->socket != NULL)
        zmq_close(self->socket);
    for (size_t position = 0; (item = map_next(self->subscriptions, &position, NULL)) != NULL;)
        subscription_destroy(item);
    map_destroy(&self->subscriptions);
    free(self->prefixes);
    free(self);
    *self_p = NULL;
}

void *publish_socket(publish_t *self)
{
    return self->socket;
}

/* The broker says of each topic once that somebody wants it, and once that nobody does any more. */
static void subscribe(publish_t *self, struct bytes topic)
{
    if (map_get(self->subscriptions, topic.data, topic.size) != NULL)
        return;
    if (topic.size > LIMIT_TOPIC_BYTES || map_size(self->subscriptions) >= LIMIT_SUBSCRIPTIONS) {
        self->everything = true;
        return;
    }
    struct subscription *subscription = xcalloc(1, sizeof *subscription);
    subscription->text = xstrndup((const char *)topic.data, topic.size);
    subscription->size = topic.size;
    map_put(self->subscriptions, topic.data, topic.size, subscription);
    if (topic.size == TOPIC_EXECUTION_BYTES)
        return;
    self->prefixes = xrealloc(self->prefixes, (self->prefixes_count + 1) * sizeof(*self->prefixes));
    self->prefixes[self->prefixes_count++] = subscription;
}

static void unsubscribe(publish_t *self, struct bytes topic)
{
    struct subscription *subscription = map_remove(self->subscriptions, topic.data, topic.size);
    if (subscription == NULL)
        return;
    for (size_t i = 0; i < self->prefixes_count; i++)
        if (self->prefixes[i] == subscription)
            self->prefixes[i--] = self->prefixes[--self->prefixes_count];
    subscription_destroy(subscription);
}

void publish_receive(publish_t *self)
{
    zmq_msg_t message;
    int rounds = LIMIT_ROUND_MESSAGES;

    zmq_msg_init(&message);
    while (rounds-- > 0 && zmq_msg_recv(&message, self->socket, ZMQ_DONTWAIT) >= 0) {
        const uint8_t *data = zmq_msg_data(&message);
        size_t size = zmq_msg_size(&message);
        if (size == 0 || zmq_msg_more(&message) != 0)
            continue;
        if (data[0] == 1)
            subscribe(self, bytes_of(data + 1, size - 1));
        else if (data[0] == 0)
            unsubscribe(self, bytes_of(data + 1, size - 1));
    }
    zmq_msg_close(&message);
}

bool publish_wanted(const publish_t *self, const char *topic)
{
    size_t size = strlen(topic);
    if (self->everything)
        return true;
    if (map_size(self->subscriptions) == 0)
        return false;
    if (map_get(self->subscriptions, topic, size) != NULL)
        return true;
    for (size_t i = 0; i < self->prefixes_count; i++) {
        const struct subscription *prefix = self->prefixes[i];
        if (prefix->size <= size && memcmp(prefix->text, topic, prefix->size) == 0)
            return true;
    }
    return false;
}

bool publish_any_wanted(const publish_t *self)
{
    return self->everything || map_size(self->subscriptions) > 0;
}

void publish_send(publish_t *self, const char *topic, struct bytes document)
{
    if (zmq_send(self->socket, topic, strlen(topic), ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
        zmq_send(self->socket, document.data, document.size, ZMQ_DONTWAIT);
}
