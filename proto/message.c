#include "proto/message.h"

#include "base/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { FRAME_SIGNATURE, FRAME_ROUTE, FRAME_BODY, FRAME_PAYLOAD, FRAMES_MAX };

/* From this size on, libzmq takes over our buffer instead of copying it. */
#define HAND_OVER_BYTES 8192

struct message_frames {
    zmq_msg_t frames[FRAMES_MAX];
    size_t count; /* of frames that were taken; the others are initialised and empty */
};

/* --- receiving ---------------------------------------------------------------------------------
 */

static struct bytes frame_bytes(struct message_frames *self, size_t index)
{
    return bytes_of(zmq_msg_data(&self->frames[index]), zmq_msg_size(&self->frames[index]));
}

static int receive_frame(void *socket, zmq_msg_t *frame)
{
    int rc;
    do
        rc = zmq_msg_recv(frame, socket, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc;
}

/* Takes the rest of a message that is of no use, so that the next one begins with its first frame.
 */
static size_t skip_frames(void *socket, zmq_msg_t *last)
{
    size_t skipped = 0;
    zmq_msg_t frame;
    bool more = zmq_msg_more(last);
    zmq_msg_init(&frame);
    while (more && receive_frame(socket, &frame) >= 0) {
        skipped++;
        more = zmq_msg_more(&frame);
    }
    zmq_msg_close(&frame);
    return skipped;
}

/* All frames of one message, however many. Gives how many there were. */
static int take_frames(void *socket, struct message_frames *self, size_t *ret_count,
                       struct err *err)
{
    self->count = 0;
    do {
        zmq_msg_t *frame = &self->frames[self->count];
        if (receive_frame(socket, frame) < 0) {
            if (errno == EAGAIN && self->count == 0)
                return err_set(err, ERR_AGAIN, "no message waits");
            return err_set(err, ERR_IO, "receiving failed: %s", zmq_strerror(errno));
        }
        self->count++;
    } while (zmq_msg_more(&self->frames[self->count - 1]) && self->count < FRAMES_MAX);
    *ret_count = self->count + skip_frames(socket, &self->frames[self->count - 1]);
    return 0;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static int check_signature(struct bytes signature, struct err *err)
{
    if (bytes_equal(signature, bytes_of_string(WIRE_SIGNATURE)))
        return 0;
    if (signature.size == 4 && memcmp(signature.data, "AF", 2) == 0 &&
        is_digit(signature.data[2]) && is_digit(signature.data[3])) {
        int major = (signature.data[2] - '0') * 10 + signature.data[3] - '0';
        err_set(err, ERR_VERSION,
                "the other side speaks version %d of the protocol, this program version %d", major,
                WIRE_MAJOR);
        err_fix(err, "run the same major version of AgentFactory on both sides");
        return ERR_VERSION;
    }
    err_set(err, ERR_MALFORMED, "the first frame is not the signature " WIRE_SIGNATURE);
    err_where(err, "frame 0");
    return ERR_MALFORMED;
}

static int check_shape(struct message_frames *frames, size_t count, struct err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < frames->count; i++)
        total += zmq_msg_size(&frames->frames[i]);
    if (count <= FRAME_BODY || count > FRAMES_MAX)
        return err_set(err, ERR_MALFORMED, "a message has three frames or four, this one has %zu",
                       count);
    if (total > LIMIT_MESSAGE_BYTES)
        return err_set(err, ERR_MALFORMED, "the message has %zu bytes; at most %u are allowed",
                       total, LIMIT_MESSAGE_BYTES);
    return 0;
}

static int decode_frames(struct message *message, size_t count, struct err *err)
{
    struct message_frames *frames = message->frames;
    int rc = check_signature(frame_bytes(frames, FRAME_SIGNATURE), err);
    if (rc != 0)
        return rc;
    if (count > FRAME_ROUTE) {
        rc = wire_decode_route(&message->arena, frame_bytes(frames, FRAME_ROUTE), &message->route,
                               err);
        if (rc != 0)
            return rc;
    }
    rc = check_shape(frames, count, err);
    if (rc != 0)
        return rc;
    rc = wire_decode_body(&message->arena, message->route.kind, frame_bytes(frames, FRAME_BODY),
                          &message->body, err);
    if (rc == 0 && count > FRAME_PAYLOAD) {
        message->has_payload = true;
        message->payload = frame_bytes(frames, FRAME_PAYLOAD);
    }
    return rc;
}

int message_receive(void *socket, struct message *message, struct err *err)
{
    message_clear(message);
    if (!message->frames) {
        message->frames = xcalloc(1, sizeof *message->frames);
        for (size_t i = 0; i < FRAMES_MAX; i++)
            zmq_msg_init(&message->frames->frames[i]);
    }
    size_t count = 0;
    int rc = take_frames(socket, message->frames, &count, err);
    return rc != 0 ? rc : decode_frames(message, count, err);
}

void message_clear(struct message *message)
{
    struct message_frames *frames = message->frames;
    for (size_t i = 0; frames && i < frames->count; i++) {
        zmq_msg_close(&frames->frames[i]);
        zmq_msg_init(&frames->frames[i]);
    }
    if (frames)
        frames->count = 0;
    message->route = (struct wire_route){.to = "", .from = "", .trace = ""};
    message->body = (struct wire_body){0};
    message->has_payload = false;
    message->payload = (struct bytes){0};
    arena_clear(&message->arena);
}

void message_release(struct message *message)
{
    message_clear(message);
    for (size_t i = 0; message->frames && i < FRAMES_MAX; i++)
        zmq_msg_close(&message->frames->frames[i]);
    free(message->frames);
    arena_release(&message->arena);
    *message = (struct message){0};
}

struct bytes message_body_bytes(const struct message *message)
{
    if (!message->frames || message->frames->count <= FRAME_BODY)
        return (struct bytes){0};
    return frame_bytes(message->frames, FRAME_BODY);
}

/* --- sending -----------------------------------------------------------------------------------
 */

static void free_buffer(void *data, void *hint)
{
    (void)hint;
    free(data);
}

static void frame_of_bytes(zmq_msg_t *frame, struct bytes bytes)
{
    CHECK(zmq_msg_init_size(frame, bytes.size) == 0);
    if (bytes.size > 0)
        memcpy(zmq_msg_data(frame), bytes.data, bytes.size);
}

/* Consumes the buffer: a large one changes hands, a small one is copied. */
static void frame_of_buffer(zmq_msg_t *frame, struct buf *buffer)
{
    if (buffer->size < HAND_OVER_BYTES) {
        frame_of_bytes(frame, buf_bytes(buffer));
        buf_release(buffer);
        return;
    }
    CHECK(zmq_msg_init_data(frame, buffer->data, buffer->size, free_buffer, NULL) == 0);
    *buffer = (struct buf){0};
}

/* Sends and closes the frame in any case. */
static int send_frame(void *socket, zmq_msg_t *frame, bool more)
{
    int rc;
    do
        rc = zmq_msg_send(frame, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    while (rc < 0 && errno == EINTR);
    int error = rc < 0 ? errno : 0;
    if (error)
        zmq_msg_close(frame);
    return error;
}

/* Once the first frame was taken, all the others are given to the socket whatever it says of them:
 * a message that it drops in the middle (its connection ended) must still be seen to end. */
static int send_frames(void *socket, zmq_msg_t *frames, size_t count, struct err *err)
{
    int error = send_frame(socket, &frames[0], true);
    bool refused = error != 0;
    for (size_t i = 1; i < count; i++) {
        if (refused) {
            zmq_msg_close(&frames[i]);
            continue;
        }
        int now = send_frame(socket, &frames[i], i + 1 < count);
        error = error ? error : now;
    }
    if (error == 0)
        return 0;
    if (error == EAGAIN)
        return err_set(err, ERR_AGAIN, "the socket takes no more messages now");
    if (error == EHOSTUNREACH)
        return err_set(err, ERR_UNREACHABLE, "nobody with that address is connected");
    return err_set(err, ERR_IO, "sending failed: %s", zmq_strerror(error));
}

static int send_buffers(void *socket, const struct wire_route *route, struct buf *body,
                        struct bytes payload, struct err *err)
{
    struct buf head = {0};
    wire_encode_route(route, &head);
    size_t total = strlen(WIRE_SIGNATURE) + head.size + body->size + payload.size;
    if (total > LIMIT_MESSAGE_BYTES) {
        buf_release(&head);
        buf_release(body);
        return err_set(err, ERR_TOO_LARGE, "the message has %zu bytes; at most %u are allowed",
                       total, LIMIT_MESSAGE_BYTES);
    }
    zmq_msg_t frames[FRAMES_MAX];
    frame_of_bytes(&frames[FRAME_SIGNATURE], bytes_of_string(WIRE_SIGNATURE));
    frame_of_buffer(&frames[FRAME_ROUTE], &head);
    frame_of_buffer(&frames[FRAME_BODY], body);
    if (payload.size > 0)
        frame_of_bytes(&frames[FRAME_PAYLOAD], payload);
    return send_frames(socket, frames, payload.size > 0 ? FRAMES_MAX : FRAME_PAYLOAD, err);
}

int message_send(void *socket, const struct wire_route *route, const struct wire_body *body,
                 struct bytes payload, struct err *err)
{
    struct buf encoded = {0};
    wire_encode_body(body, &encoded);
    return send_buffers(socket, route, &encoded, payload, err);
}

int message_send_encoded(void *socket, const struct wire_route *route, struct bytes body,
                         struct bytes payload, struct err *err)
{
    struct buf encoded = {0};
    buf_append_bytes(&encoded, body);
    return send_buffers(socket, route, &encoded, payload, err);
}
