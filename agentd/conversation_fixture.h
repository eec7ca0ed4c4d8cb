/* For tests of conversations: one task and its definition, the history that a coordinator would have,
 * and steps through what is to be done. A failed expectation fails the cmocka test that runs. */
#ifndef AF_AGENTD_CONVERSATION_FIXTURE_H
#define AF_AGENTD_CONVERSATION_FIXTURE_H

#include "agentd/conversation.h"

enum { PAST = 64 };

struct talk {
    struct agent_def def;
    struct agent_tool tools[2];
    conversation_t *conversation;
    struct conversation_next next;
    struct buf bytes[PAST];
    struct wire_history past[PAST];
    uint32_t past_count;
};

#define TURN_WC    "{\"content\":\"a\",\"calls\":[{\"tool\":\"wc\",\"arguments\":{\"input\":\"x\"}}]}"
#define TURN_PAY   "{\"content\":null,\"calls\":[{\"tool\":\"pay\",\"arguments\":{}}]}"
#define TURN_FINAL "{\"content\":\"done\"}"
#define CALL_DELEGATE                                                                              \
    "{\"tool\":\"delegate_to_agent\",\"arguments\":{\"agent\":\"writer\",\"message\":[1]}}"
#define TURN_DELEGATE "{\"content\":null,\"calls\":[" CALL_DELEGATE "]}"
#define TURN_MIXED                                                                                 \
    "{\"calls\":[" CALL_DELEGATE ",{\"tool\":\"wc\",\"arguments\":{\"input\":\"x\"}},"             \
    "{\"tool\":\"context_get\",\"arguments\":{\"path\":\"a.b\"}}]}"

/* Values written as JSON; those that are returned belong to the caller. */
value_t *talk_json(const char *text);
void talk_pack(const char *text, struct buf *out);
void talk_assert_packed(struct bytes bytes, const char *expected);
int talk_set_up(void **state);
int talk_tear_down(void **state);
/* What the history holds. */
void talk_past_turn(struct talk *self, uint32_t turn, const char *value);
void talk_past_result(struct talk *self, uint32_t turn, uint32_t call, const char *output);
void talk_past_error(struct talk *self, uint32_t turn, uint32_t call, const char *code,
                       const char *message);
struct wire_dispatch talk_dispatch_of(const struct talk *self, uint32_t granted, uint32_t from,
                                        uint32_t here);
/* A new conversation, with all of the history. */
void talk_begin(struct talk *self, uint32_t granted);
/* What is to be done next; the next ones expect it, look at it, and tell that it was done. */
void talk_expect(struct talk *self, enum conversation_do what);
const struct conversation_report *talk_expect_report(struct talk *self,
                                                       enum conversation_report_kind kind);
void talk_reported(struct talk *self);
void talk_expect_call(struct talk *self, uint32_t turn);
void talk_answer(struct talk *self, const char *turn);
void talk_expect_turn(struct talk *self, uint32_t turn, size_t calls);
void talk_expect_error(struct talk *self, uint32_t call, const char *code, const char *says);
void talk_expect_output(struct talk *self, uint32_t call, const char *output);
void talk_expect_tool(struct talk *self, uint32_t call, const char *arguments);
void talk_tool_gives(struct talk *self, uint32_t call, const char *output);
void talk_tool_fails(struct talk *self, uint32_t call, const char *code);
void talk_expect_result(struct talk *self, const char *output);
void talk_expect_failure(struct talk *self, const char *code, bool permanent);

#endif
