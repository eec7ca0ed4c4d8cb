#include "egress/playback.h"

#include "base/limits.h"
#include "base/value.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct provider provider;
    struct agent_def def;
    struct buf said; /* the deltas, each followed by "|" */
    size_t deltas, ends, largest;
    uint64_t ended; /* the last one */
    char error[32];
    uint64_t input_tokens, output_tokens;
    size_t turn_bytes;
};

static void note_delta(void *context, uint64_t id, struct bytes text)
{
    struct fixture *self = context;
    (void)id;
    self->deltas++;
    if (text.size > self->largest)
        self->largest = text.size;
    buf_append_bytes(&self->said, text);
    buf_putc(&self->said, '|');
}

static void note_end(void *context, uint64_t id, const struct provider_end *end)
{
    struct fixture *self = context;
    self->ends++;
    self->ended = id;
    self->input_tokens = end->input_tokens;
    self->output_tokens = end->output_tokens;
    self->turn_bytes = end->turn.size;
    (void)snprintf(self->error, sizeof self->error, "%s", end->error);
}

static void set_up(struct fixture *self, const char *rules_json)
{
    const struct provider_events events = {note_delta, note_end, self};
    value_t *rules = NULL;
    assert_int_equal(value_from_json(rules_json, strlen(rules_json), &rules, NULL), 0);
    *self = (struct fixture){.provider = playback_new(&events)};
    self->def.rules = rules;
}

static void tear_down(struct fixture *self)
{
    self->provider.destroy(&self->provider.self);
    assert_null(self->provider.self);
    value_destroy(&self->def.rules);
    buf_release(&self->said);
}

static void begin(struct fixture *self, uint64_t id, int64_t now_us)
{
    value_t *request = value_map();
    struct buf bytes = {0};
    value_set_int(request, "turn", 1);
    value_to_msgpack(request, &bytes);
    const struct provider_call call = {.id = id, .def = &self->def, .request = buf_bytes(&bytes)};
    self->provider.begin(self->provider.self, &call, now_us);
    buf_release(&bytes);
    value_destroy(&request);
}

static void tick(struct fixture *self, int64_t now_us)
{
    self->provider.tick(self->provider.self, now_us);
}

static int64_t deadline(struct fixture *self)
{
    return self->provider.deadline(self->provider.self);
}

static void test_words_in_their_time(void **state)
{
    (void)state;
    struct fixture self;
    set_up(&self, "{\"rules\":[{\"say\":\" one two\\nthree \",\"delay_us\":50,\"stream_us\":5}]}");
    assert_int_equal(deadline(&self), INT64_MAX);
    begin(&self, 7, 100);
    assert_int_equal(deadline(&self), 150);
    tick(&self, 149);
    assert_int_equal(self.deltas, 0);
    tick(&self, 150);
    assert_string_equal(buf_string(&self.said), " one |");
    assert_int_equal(deadline(&self), 155);
    tick(&self, 161); /* late: what was due meanwhile comes at once */
    assert_string_equal(buf_string(&self.said), " one |two\n|three |");
    assert_int_equal(self.ends, 0);
    tick(&self, 165);
    assert_int_equal(self.ends, 1);
    assert_int_equal(self.ended, 7);
    assert_string_equal(self.error, "");
    assert_int_equal(self.input_tokens, 2); /* of 7 bytes */
    assert_int_equal(self.output_tokens, (self.turn_bytes + 3) / 4);
    assert_int_equal(playback_count(&self.provider), 0);
    tear_down(&self);
}

static void test_without_a_stream_all_comes_at_once(void **state)
{
    (void)state;
    struct fixture self;
    set_up(&self, "{\"rules\":[{\"say\":\"one two\",\"usage\":{\"input\":10,\"output\":20}}]}");
    begin(&self, 1, 100);
    tick(&self, 100);
    assert_string_equal(buf_string(&self.said), "one two|");
    assert_int_equal(self.ends, 1);
    assert_int_equal(self.input_tokens, 10);
    assert_int_equal(self.output_tokens, 20);
    tear_down(&self);
    /* What is not a text is not streamed. */
    set_up(&self, "{\"rules\":[{\"say\":{\"a\":1},\"stream_us\":5}]}");
    begin(&self, 1, 100);
    tick(&self, 100);
    assert_int_equal(self.deltas, 0);
    assert_int_equal(self.ends, 1);
    tear_down(&self);
}

static void test_pieces_are_bounded_and_whole(void **state)
{
    (void)state;
    struct fixture self;
    struct buf rules = {0};
    buf_puts(&rules, "{\"rules\":[{\"say\":\"x");
    for (size_t i = 0; i < LIMIT_INLINE_BYTES; i++)
        buf_puts(&rules, "\xc3\xa9");
    buf_puts(&rules, "\",\"stream_us\":1}]}");
    set_up(&self, buf_string(&rules));
    begin(&self, 1, 0);
    tick(&self, 100);
    assert_int_equal(self.ends, 1);
    assert_int_equal(self.deltas, 3);
    assert_int_equal(self.largest, LIMIT_INLINE_BYTES);
    /* The first one stops short of half a character. */
    assert_int_equal(strcspn(buf_string(&self.said), "|"), LIMIT_INLINE_BYTES - 1);
    tear_down(&self);
    buf_release(&rules);
}

static void test_a_round_has_so_many_pieces_of_a_call(void **state)
{
    (void)state;
    struct fixture self;
    struct buf rules = {0};
    buf_puts(&rules, "{\"rules\":[{\"stream_us\":1,\"say\":\"");
    for (int i = 0; i < LIMIT_EGRESS_PIECES + 1; i++)
        buf_puts(&rules, "a ");
    buf_puts(&rules, "\"}]}");
    set_up(&self, buf_string(&rules));
    begin(&self, 1, 0);
    tick(&self, LIMIT_SECOND_US);
    assert_int_equal(self.deltas, LIMIT_EGRESS_PIECES);
    assert_true(deadline(&self) < LIMIT_SECOND_US);
    tick(&self, LIMIT_SECOND_US);
    assert_int_equal(self.deltas, LIMIT_EGRESS_PIECES + 1);
    assert_int_equal(self.ends, 1);
    tear_down(&self);
    buf_release(&rules);
}

static void test_failures(void **state)
{
    (void)state;
    struct fixture self;
    set_up(&self, "{\"rules\":[{\"delay_us\":9,\"fail\":{\"code\":\"overloaded\","
                  "\"message\":\"later\"}}]}");
    begin(&self, 1, 100);
    tick(&self, 108);
    assert_int_equal(self.ends, 0);
    tick(&self, 109);
    assert_string_equal(self.error, "overloaded");
    assert_int_equal(self.turn_bytes + self.input_tokens + self.output_tokens, 0);
    const struct provider_call broken = {
        .id = 2, .def = &self.def, .request = bytes_of_string("\xc1")};
    self.provider.begin(self.provider.self, &broken, 200);
    tick(&self, 200);
    assert_int_equal(self.ended, 2);
    assert_string_equal(self.error, "malformed");
    tear_down(&self);
}

static void test_a_turn_too_large(void **state)
{
    (void)state;
    struct fixture self;
    struct buf rules = {0};
    buf_puts(&rules, "{\"rules\":[{\"say\":\"");
    for (size_t i = 0; i < LIMIT_CONVERSATION_BYTES; i++)
        buf_putc(&rules, 'x');
    buf_puts(&rules, "\"}]}");
    set_up(&self, buf_string(&rules));
    begin(&self, 1, 0);
    tick(&self, 0);
    assert_string_equal(self.error, "too_large");
    assert_int_equal(self.deltas, 0);
    tear_down(&self);
    buf_release(&rules);
}

static void test_abort(void **state)
{
    (void)state;
    struct fixture self;
    set_up(&self, "{\"rules\":[{\"say\":\"x\",\"delay_us\":10}]}");
    for (uint64_t id = 1; id <= 3; id++)
        begin(&self, id, (int64_t)id);
    self.provider.abort(self.provider.self, 3);
    self.provider.abort(self.provider.self, 1);
    self.provider.abort(self.provider.self, 9);
    begin(&self, 4, 4);
    assert_int_equal(playback_count(&self.provider), 2);
    assert_int_equal(deadline(&self), 12);
    tick(&self, 12);
    assert_int_equal(self.ended, 2);
    tick(&self, 14);
    assert_int_equal(self.ended, 4);
    assert_int_equal(self.ends, 2);
    begin(&self, 5, 20); /* one is left behind for tear_down */
    tear_down(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_in_their_time),
        cmocka_unit_test(test_without_a_stream_all_comes_at_once),
        cmocka_unit_test(test_pieces_are_bounded_and_whole),
        cmocka_unit_test(test_a_round_has_so_many_pieces_of_a_call),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_a_turn_too_large),
        cmocka_unit_test(test_abort),
    };
    return cmocka_run_group_tests_name("playback", tests, NULL, NULL);
}
