#include "agentd/fake_egress.h"

#include "base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void take_call(struct fake_egress *self, const struct message *message)
{
    const struct wire_call *call = &message->body.call;
    value_t *request = NULL;
    if (message->has_payload) {
        uint8_t hash[DATUM_HASH_BYTES];
        datum_hash(message->payload, hash);
        assert_memory_equal(hash, call->request_hash, sizeof hash);
        assert_int_equal(value_from_msgpack(message->payload, &request, NULL), 0);
    }
    self->calls = xrealloc(self->calls, (self->calls_count + 1) * sizeof self->calls[0]);
    struct fake_call *taken = &self->calls[self->calls_count++];
    *taken = (struct fake_call){.from = xstrdup(message->route.from),
                                .path = xstrdup(call->key.path),
                                .execution = call->key.execution,
                                .run = call->run,
                                .attempt = call->key.attempt,
                                .turn = call->key.turn,
                                .correlation = message->route.correlation,
                                .request = request};
    memcpy(taken->hash, call->request_hash, sizeof taken->hash);
}

static void serve(void *context)
{
    struct fake_egress *self = context;
    struct message message = {0};
    struct err err = {0};
    int64_t now_us = clock_monotonic_us();
    int rc = 0;
    while ((rc = peer_receive(self->peer, &message, now_us, &err)) == 0) {
        if (message.route.kind == WIRE_CALL)
            take_call(self, &message);
        message_clear(&message);
    }
    assert_int_equal(rc, ERR_AGAIN);
    message_release(&message);
    peer_tick(self->peer, now_us);
}

static bool is_registered(struct fake *fake)
{
    return peer_registered(((struct fake_egress *)fake->also_context)->peer);
}

void fake_egress_init(struct fake_egress *self, struct fake *fake, const char *endpoint,
                      const char *address)
{
    *self = (struct fake_egress){.fake = fake};
    struct peer_options options = {.endpoint = endpoint, .address = address, .program = "fake 0"};
    struct err err = {0};
    if (peer_new(&options, &self->peer, &err))
        fail_msg("%s", err.what);
    fake->also = serve;
    fake->also_context = self;
    fake->egress = address;
    fake_wait(fake, is_registered);
}

void fake_egress_release(struct fake_egress *self)
{
    if (!self->peer)
        return;
    for (size_t i = 0; i < self->calls_count; i++) {
        free(self->calls[i].from);
        free(self->calls[i].path);
        value_destroy(&self->calls[i].request);
    }
    free(self->calls);
    peer_destroy(&self->peer);
    self->fake->also = NULL;
}

const struct fake_call *fake_egress_wait(struct fake_egress *self, size_t count)
{
    int64_t until_us = clock_monotonic_us() + FAKE_PATIENCE_US;
    while (self->calls_count < count) {
        if (clock_monotonic_us() > until_us)
            fail_msg("waited in vain for call %zu; there are %zu", count, self->calls_count);
        fake_serve_for(self->fake, 1000);
    }
    return &self->calls[count - 1];
}

static void answer(struct fake_egress *self, const struct fake_call *call,
                   struct wire_call_answer *answer, struct bytes payload)
{
    struct wire_body body = {.kind = WIRE_CALL_ANSWER};
    struct wire_route route = {
        .kind = WIRE_CALL_ANSWER, .to = call->from, .correlation = call->correlation};
    answer->key = (struct wire_call_key){.execution = call->execution,
                                         .path = call->path,
                                         .attempt = call->attempt,
                                         .turn = call->turn};
    memcpy(answer->request_hash, call->hash, sizeof call->hash);
    answer->usage = (struct wire_usage){.input_tokens = 10, .output_tokens = 2};
    body.call_answer = *answer;
    assert_int_equal(peer_send(self->peer, &route, &body, payload, NULL), 0);
}

void fake_egress_answer(struct fake_egress *self, const struct fake_call *call,
                        const char *turn_json)
{
    struct wire_call_answer body = {0};
    struct buf payload = {0};
    value_t *turn = NULL;
    assert_int_equal(value_from_json(turn_json, strlen(turn_json), &turn, NULL), 0);
    value_to_msgpack(turn, &payload);
    value_destroy(&turn);
    answer(self, call, &body, buf_bytes(&payload));
    buf_release(&payload);
}

void fake_egress_refuse(struct fake_egress *self, const struct fake_call *call, const char *error,
                        bool permanent)
{
    struct wire_call_answer body = {.error = error, .what = "because", .permanent = permanent};
    answer(self, call, &body, bytes_of(NULL, 0));
}
