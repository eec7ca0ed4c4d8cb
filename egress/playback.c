#include "egress/playback.h"

#include "base/limits.h"
#include "egress/script.h"
#include <stdlib.h>
#include <string.h>

enum { BYTES_OF_A_TOKEN = 4 };

/* One call. Its text is what is streamed: the turn's content, when that is a text. */
struct play {
    struct play *next;
    uint64_t id;
    struct script_answer answer;
    struct buf turn;
    const char *text;
    size_t text_size, said;
    uint64_t input_tokens, output_tokens;
    int64_t due_us;
};

struct playback {
    struct provider_events events;
    struct play *first, **last_link; /* in the order of their beginning */
    size_t count;
};

static uint64_t tokens_of(size_t bytes)
{
    return (bytes + BYTES_OF_A_TOKEN - 1) / BYTES_OF_A_TOKEN;
}

/* A failure costs what its rule says, or nothing. */
static void count_tokens(struct play *play, size_t request_bytes)
{
    int64_t input = play->answer.input_tokens, output = play->answer.output_tokens;
    bool failed = play->answer.turn == NULL;
    play->input_tokens = input >= 0 ? (uint64_t)input : failed ? 0 : tokens_of(request_bytes);
    play->output_tokens = output >= 0 ? (uint64_t)output : failed ? 0 : tokens_of(play->turn.size);
}

static void refuse(struct play *play, const char *code, const char *what)
{
    struct script_answer *answer = &play->answer;
    value_destroy(&answer->turn);
    free(answer->code);
    free(answer->what);
    answer->code = xstrdup(code);
    answer->what = xstrdup(what);
    answer->permanent = true;
    buf_release(&play->turn);
}

static void write_turn(struct play *play)
{
    const value_t *content = value_get(play->answer.turn, "content");
    value_to_msgpack(play->answer.turn, &play->turn);
    if (play->turn.size > LIMIT_CONVERSATION_BYTES) {
        refuse(play, "too_large", "the turn is larger than a conversation may be");
        return;
    }
    if (content && value_type(content) == VALUE_STRING) {
        play->text = value_as_string(content);
        play->text_size = value_size(content);
    }
}

static void begin(void *self, const struct provider_call *call, int64_t now_us)
{
    struct playback *playback = self;
    struct play *play = xcalloc(1, sizeof *play);
    struct err err = {0};
    value_t *request = NULL;
    play->id = call->id;
    if (value_from_msgpack(call->request, &request, &err) != 0)
        refuse(play, "malformed", err.what);
    else
        script_evaluate(call->def->rules, request, &play->answer);
    value_destroy(&request);
    if (play->answer.turn)
        write_turn(play);
    count_tokens(play, call->request.size);
    play->due_us = now_us + play->answer.delay_us;
    *playback->last_link = play;
    playback->last_link = &play->next;
    playback->count++;
}

static void unlink_play(struct playback *playback, struct play **link)
{
    struct play *play = *link;
    *link = play->next;
    if (playback->last_link == &play->next)
        playback->last_link = link;
    playback->count--;
    script_answer_release(&play->answer);
    buf_release(&play->turn);
    free(play);
}

static void abort_call(void *self, uint64_t id)
{
    struct playback *playback = self;
    struct play **link = &playback->first;
    while (*link && (*link)->id != id)
        link = &(*link)->next;
    if (*link)
        unlink_play(playback, link);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool is_continued(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* A word with the space after it, or without a stream all there is; never so much that an event
 * could not hold it, and never half a character. */
static size_t next_piece(const struct play *play)
{
    const char *text = play->text + play->said;
    size_t left = play->text_size - play->said, size = left;
    if (play->answer.stream_us > 0) {
        size = 0;
        while (size < left && is_space(text[size]))
            size++;
        while (size < left && !is_space(text[size]))
            size++;
        while (size < left && is_space(text[size]))
            size++;
    }
    if (size <= LIMIT_INLINE_BYTES)
        return size;
    size = LIMIT_INLINE_BYTES;
    while (is_continued(text[size]))
        size--;
    return size;
}

static void end(struct playback *playback, const struct play *play)
{
    const struct script_answer *answer = &play->answer;
    const struct provider_end what = {
        .error = answer->turn ? "" : answer->code,
        .what = answer->turn ? "" : answer->what,
        .permanent = answer->permanent,
        .turn = buf_bytes(&play->turn),
        .input_tokens = play->input_tokens,
        .output_tokens = play->output_tokens,
    };
    playback->events.end(playback->events.context, play->id, &what);
}

/* Whether the call is over. */
static bool advance(struct playback *playback, struct play *play, int64_t now_us)
{
    for (int pieces = 0; play->due_us <= now_us && pieces < LIMIT_EGRESS_PIECES; pieces++) {
        if (play->said == play->text_size) {
            end(playback, play);
            return true;
        }
        size_t size = next_piece(play);
        playback->events.delta(playback->events.context, play->id,
                               bytes_of(play->text + play->said, size));
        play->said += size;
        play->due_us += play->answer.stream_us;
    }
    return false;
}

static void tick(void *self, int64_t now_us)
{
    struct playback *playback = self;
    struct play **link = &playback->first;
    while (*link) {
        if ((*link)->due_us <= now_us && advance(playback, *link, now_us))
            unlink_play(playback, link);
        else
            link = &(*link)->next;
    }
}

static int64_t deadline(const void *self)
{
    const struct playback *playback = self;
    int64_t deadline_us = INT64_MAX;
    for (const struct play *play = playback->first; play; play = play->next)
        if (play->due_us < deadline_us)
            deadline_us = play->due_us;
    return deadline_us;
}

static void destroy(void **self_p)
{
    struct playback *playback = *self_p;
    if (!playback)
        return;
    *self_p = NULL;
    while (playback->first)
        unlink_play(playback, &playback->first);
    free(playback);
}

struct provider playback_new(const struct provider_events *events)
{
    struct playback *playback = xcalloc(1, sizeof *playback);
    playback->events = *events;
    playback->last_link = &playback->first;
    return (struct provider){
        .self = playback,
        .begin = begin,
        .abort = abort_call,
        .tick = tick,
        .deadline = deadline,
        .destroy = destroy,
    };
}

size_t playback_count(const struct provider *self)
{
    const struct playback *playback = self->self;
    return playback->count;
}
