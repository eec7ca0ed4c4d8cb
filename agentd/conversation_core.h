/* What the files of a conversation share. */
#ifndef AF_AGENTD_CONVERSATION_CORE_H
#define AF_AGENTD_CONVERSATION_CORE_H

#include "agentd/conversation.h"

/* An output as the model gets to see it, or an error: {0} is neither, yet. */
struct result {
    value_t *output;
    char *code, *message;
};

enum call_kind {
    CALL_WRONG,    /* answered by its error */
    CALL_COMMAND,
    CALL_DELEGATE, /* the coordinator's, as is the next one */
    CALL_TOOL,
};

struct call {
    enum call_kind kind;
    bool ours; /* its name is one of the coordinator's tools, right or wrong */
    const char *tool;
    const value_t *arguments; /* the turn's; NULL: none */
    value_t *filled;          /* of a command: with defaults */
    const struct agent_tool *command;
    bool started;
    struct result result;
};

struct turn {
    uint32_t number;
    value_t *value; /* {"content", "calls"} */
    struct call *calls;
    size_t calls_count;
    struct result correction;
};

/* Of the history, until all of it is there. */
struct entry {
    bool present;
    enum wire_step_kind kind;
    uint32_t turn, call;
    struct datum blob; /* is_blob: still to be fetched */
    struct result result; /* the turn's value as output, too */
};

struct pending {
    struct pending *next;
    struct conversation_report report;
    struct buf output, context;
    char *name, *code, *message, *detail;
    const char **calls; /* a block with its texts */
};

enum conversation_state {
    /* The history and the message are being gathered. */
    TALK_GATHERS,
    /* The last turn's calls are open: reported, started, or waited for. */
    TALK_WORKS,
    /* All is answered: waits for the next turn's grant, or asks for it. */
    TALK_READY,
    TALK_CALLING,
    TALK_YIELDED,
    TALK_ENDED,
};

struct conversation {
    const struct agent_def *def;
    uint32_t attempt;
    enum conversation_state state;
    struct datum message_blob; /* is_blob: still to be fetched */
    value_t *message;
    struct turn *turns;
    size_t turns_count, turns_capacity;
    uint32_t base; /* entries that the turns stand for, while it gathers */
    struct entry *entries;
    uint32_t entries_count;
    uint32_t granted;
    bool acknowledged; /* the last turn is in the journal */
    bool fresh;        /* the last turn was made in this run */
    struct pending *first, *last;
    struct buf request;
    size_t bytes;
};

void result_release(struct result *self);
/* conversation_calls.c: a turn out of its value, which is consumed. ERR_MALFORMED. */
int turn_init(struct turn *self, uint32_t number, value_t **value_p, struct err *err) MUST_CHECK;
void turn_release(struct turn *self);
bool turn_is_ours(const struct turn *self); /* has calls of the coordinator's tools */
/* Says what kind a call is, and fills in what follows from that; a wrong one gets its error. */
void call_judge(struct call *self, const struct agent_def *def);
/* The tools that the agent has, for a request. */
value_t *tools_document(const struct agent_def *def);

/* conversation_request.c */
void result_set_output(struct result *self, const value_t *output); /* cut, if it is long */
/* Valid UTF-8, the caller's: messages may have been cut within a character. NULL: "". */
char *clean_text(const char *text);
void result_set_error(struct result *self, const char *code, const char *message);
/* ERR_TOO_LARGE. */
int request_write(const conversation_t *self, uint32_t turn, struct buf *out,
                  struct err *err) MUST_CHECK;

#endif
