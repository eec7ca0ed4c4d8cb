/* The conversation of one attempt of a task that a model answers: its turns, their calls and results,
 * and what is to be done next. It decides and does nothing itself: the owner asks conversation_next(),
 * does what it says, and tells what came of it; the same is said again until it is told. Rules:
 * docs/delegation.md and architecture.md sections 3 (Parking) and 4 (Effects and repetition). Pure.
 *
 * A turn without calls is the answer, or is corrected by a result of its call 0 when it doesn't fit
 * the agent's `output`. Of the calls of a turn, those that the coordinator answers (by their names:
 * delegate_to_agent, list_agents, context_get, context_set) end the run, once all of the turn has
 * been said and its other calls have their results; their outcome comes with another dispatch.
 * Otherwise the next turn follows when it is granted. */
#ifndef AF_AGENTD_CONVERSATION_H
#define AF_AGENTD_CONVERSATION_H

#include "base/value.h"
#include "definitions/definitions.h"
#include "proto/wire.h"

typedef struct conversation conversation_t;

/* What the dispatch says of the past is copied. */
conversation_t *conversation_new(const struct wire_dispatch *dispatch);
void conversation_destroy(conversation_t **self_p);
/* Goes on with another dispatch of the same task, using what it knows of the turns before those that
 * the dispatch brings. False, and nothing has changed: it is of another attempt. */
bool conversation_resume(conversation_t *self, const struct wire_dispatch *dispatch) MUST_CHECK;
/* The definition, before anything is done; borrowed until the run ends. NULL: none any more. */
void conversation_define(conversation_t *self, const struct agent_def *def);
/* About what it takes in memory. */
size_t conversation_bytes(const conversation_t *self);

/* --- what to do next --------------------------------------------------------------------------- */

enum conversation_do {
    CONVERSATION_WAIT,    /* nothing, until something is told */
    CONVERSATION_HISTORY, /* fetch entries of the history from `from` on: conversation_history() */
    CONVERSATION_BLOB,    /* fetch the value `blob`: conversation_blob() */
    CONVERSATION_REPORT,  /* report `report`, its output as a blob if it is large:
                           * conversation_reported() */
    CONVERSATION_TOOL,    /* under a lease: start the command of call `call`:
                           * conversation_started(), then conversation_result() */
    CONVERSATION_CALL,    /* under a lease: ask the model for turn `turn` with `request`:
                           * conversation_called(), then conversation_answer() */
    CONVERSATION_YIELD,   /* the run is over, the task goes on with another one */
    CONVERSATION_END,     /* the result or the failure has been reported */
};

enum conversation_report_kind {
    CONVERSATION_TURN, CONVERSATION_TOOL_RESULT, CONVERSATION_RESULT, CONVERSATION_FAILURE,
    CONVERSATION_DELEGATE, CONVERSATION_TOOL_CALL,
};
/* Everything is borrowed until it is reported. */
struct conversation_report {
    enum conversation_report_kind kind;
    uint32_t turn, call;
    struct bytes output;         /* MessagePack; of a delegation its message, of a call its arguments */
    struct bytes context;        /* of a delegation; empty: none */
    bool hand_off;
    const char *name;            /* of the agent, or the tool */
    const char *const *calls;    /* of a turn */
    size_t calls_count;
    struct wire_failure failure; /* code NULL: none */
    struct wire_usage usage;
};

struct conversation_next {
    enum conversation_do what;
    uint32_t from;
    struct datum blob;
    struct conversation_report report;
    uint32_t turn, call;
    const struct agent_tool *tool;
    const value_t *arguments; /* of the tool, with defaults; borrowed until its result is told */
    struct bytes request;     /* MessagePack; borrowed until it is forgotten, or the answer is told */
};
void conversation_next(conversation_t *self, struct conversation_next *ret_next);

/* --- what came of it --------------------------------------------------------------------------- */

/* ERR_MALFORMED when these entries, which begin at `from`, hold none of those that are missing. */
int conversation_history(conversation_t *self, uint32_t from, const struct wire_history *entries,
                         size_t count, struct err *err) MUST_CHECK;
/* The value that was asked for last: one MessagePack value. */
void conversation_blob(conversation_t *self, struct bytes bytes);
void conversation_reported(conversation_t *self);
/* All that was reported until now is in the journal. */
void conversation_acknowledged(conversation_t *self);
/* Whether something waits for that. */
bool conversation_awaits_acknowledgement(const conversation_t *self);
/* The turn may be asked for; said again, it is to be asked for again. */
void conversation_granted(conversation_t *self, uint32_t turn);
void conversation_called(conversation_t *self);
/* The turn that is asked for; 0: none is. */
uint32_t conversation_calling(const conversation_t *self);
/* The request of that turn, written once more if it was forgotten: the same bytes. Waiting for an
 * answer takes long, and requests are large. */
struct bytes conversation_request(conversation_t *self);
void conversation_forget_request(conversation_t *self);

struct conversation_answer {
    struct bytes turn;       /* MessagePack, unless there is an error */
    const char *error;       /* a failure's code; NULL or "": none */
    const char *what;
    bool permanent;
    struct wire_usage usage;
};
/* Ignored unless a turn is asked for. */
void conversation_answer(conversation_t *self, const struct conversation_answer *answer);
void conversation_started(conversation_t *self, uint32_t call);
/* Of a command that was started, or couldn't be: its output, MessagePack, or a failure. */
void conversation_result(conversation_t *self, uint32_t call, struct bytes output,
                         const struct wire_failure *failure);

#endif
